package dev.pacifica.emulator.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Field;
import sun.misc.Unsafe;

/**
 * Little-endian access to host memory by absolute address. Every address must come from {@link
 * PhysicalMemory} or another allocation; nothing is checked here.
 *
 * <p>Compiled by C2, access by Unsafe and by a segment is the same machine code. Until then one by
 * a segment takes ten times as long, and C2 twice as long to compile what is full of them.
 */
@SuppressWarnings("removal") // where Unsafe does not reach memory any more, segments do
public final class RawMemory {
    /** Null where the JVM does not let it reach memory, as later ones will not. */
    private static final Unsafe UNSAFE = unsafe();

    private static final long LONGS = UNSAFE != null ? Unsafe.ARRAY_LONG_BASE_OFFSET : 0;

    private static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

    private RawMemory() {}

    /** Tries what may be denied, and later be missing: an exception, and later a linkage error. */
    private static Unsafe unsafe() {
        try (Arena arena = Arena.ofConfined()) {
            Field field = Unsafe.class.getDeclaredField("theUnsafe");
            field.setAccessible(true);
            Unsafe unsafe = (Unsafe) field.get(null);
            long address = arena.allocate(8, 8).address();
            unsafe.putLong(address, 0);
            unsafe.copyMemory(null, address, new long[1], Unsafe.ARRAY_LONG_BASE_OFFSET, 8);
            return unsafe;
        } catch (ReflectiveOperationException | RuntimeException | LinkageError e) {
            return null;
        }
    }

    /** The byte at the address, 0 to 255. */
    public static int getByte(long address) {
        return (UNSAFE != null ? UNSAFE.getByte(address) : ALL.get(ValueLayout.JAVA_BYTE, address))
                & 0xff;
    }

    /** The 16 bits at the address, 0 to 65535. */
    public static int getShort(long address) {
        return (UNSAFE != null ? UNSAFE.getShort(address) : ALL.get(SHORT, address)) & 0xffff;
    }

    public static int getInt(long address) {
        return UNSAFE != null ? UNSAFE.getInt(address) : ALL.get(INT, address);
    }

    public static long getLong(long address) {
        return UNSAFE != null ? UNSAFE.getLong(address) : ALL.get(LONG, address);
    }

    public static void putByte(long address, int value) {
        if (UNSAFE != null) {
            UNSAFE.putByte(address, (byte) value);
        } else {
            ALL.set(ValueLayout.JAVA_BYTE, address, (byte) value);
        }
    }

    public static void putShort(long address, int value) {
        if (UNSAFE != null) {
            UNSAFE.putShort(address, (short) value);
        } else {
            ALL.set(SHORT, address, (short) value);
        }
    }

    public static void putInt(long address, int value) {
        if (UNSAFE != null) {
            UNSAFE.putInt(address, value);
        } else {
            ALL.set(INT, address, value);
        }
    }

    public static void putLong(long address, long value) {
        if (UNSAFE != null) {
            UNSAFE.putLong(address, value);
        } else {
            ALL.set(LONG, address, value);
        }
    }

    /** Copies bytes between host addresses as memmove does. */
    public static void copy(long from, long to, long bytes) {
        MemorySegment.copy(ALL, from, ALL, to, bytes);
    }

    public static void fill(long address, long bytes, byte value) {
        ALL.asSlice(address, bytes).fill(value);
    }

    public static void get(long address, byte[] into, int offset, int count) {
        MemorySegment.copy(ALL, ValueLayout.JAVA_BYTE, address, into, offset, count);
    }

    public static void put(long address, byte[] from, int offset, int count) {
        MemorySegment.copy(from, offset, ALL, ValueLayout.JAVA_BYTE, address, count);
    }

    /** Reads 64-bit words. */
    public static void get(long address, long[] into, int index, int count) {
        if (UNSAFE != null) {
            UNSAFE.copyMemory(null, address, into, LONGS + 8L * index, 8L * count);
        } else {
            MemorySegment.copy(ALL, LONG, address, into, index, count);
        }
    }

    /** Writes 64-bit words. */
    public static void put(long address, long[] from, int index, int count) {
        if (UNSAFE != null) {
            UNSAFE.copyMemory(from, LONGS + 8L * index, null, address, 8L * count);
        } else {
            MemorySegment.copy(from, index, ALL, LONG, address, count);
        }
    }
}
