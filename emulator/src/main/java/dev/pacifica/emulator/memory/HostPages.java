package dev.pacifica.emulator.memory;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * Anonymous memory of the host, zero at first and committed by the operating system page by page on
 * first touch.
 */
final class HostPages implements AutoCloseable {
    private static final int PROT_READ_WRITE = 3;
    private static final int MAP_PRIVATE_ANONYMOUS_NORESERVE = 0x2 | 0x20 | 0x4000;
    private static final Linker LINKER = Linker.nativeLinker();
    private static final MethodHandle MMAP =
            handle(
                    "mmap",
                    FunctionDescriptor.of(
                            ValueLayout.JAVA_LONG,
                            ValueLayout.JAVA_LONG,
                            ValueLayout.JAVA_LONG,
                            ValueLayout.JAVA_INT,
                            ValueLayout.JAVA_INT,
                            ValueLayout.JAVA_INT,
                            ValueLayout.JAVA_LONG));
    private static final MethodHandle MUNMAP =
            handle(
                    "munmap",
                    FunctionDescriptor.of(
                            ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));

    private final long bytes;
    private long address;

    /** Maps one page more than asked for, so that wide reads near the end stay inside. */
    HostPages(long size) {
        bytes = size + 4096;
        try {
            address =
                    (long)
                            MMAP.invokeExact(
                                    0L,
                                    bytes,
                                    PROT_READ_WRITE,
                                    MAP_PRIVATE_ANONYMOUS_NORESERVE,
                                    -1,
                                    0L);
        } catch (Throwable e) {
            throw new IllegalStateException("mmap", e);
        }
        if (address == -1) {
            throw new OutOfMemoryError(
                    "the host refuses to map " + (bytes >>> 20) + " MiB of guest memory");
        }
    }

    long address() {
        return address;
    }

    @Override
    public void close() {
        if (address != 0) {
            try {
                int ignored = (int) MUNMAP.invokeExact(address, bytes);
            } catch (Throwable e) {
                throw new IllegalStateException("munmap", e);
            }
            address = 0;
        }
    }

    private static MethodHandle handle(String name, FunctionDescriptor type) {
        MemorySegment symbol = LINKER.defaultLookup().findOrThrow(name);
        return LINKER.downcallHandle(symbol, type);
    }
}
