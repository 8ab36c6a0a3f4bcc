package dev.pacifica.emulator.memory;

import java.util.ArrayList;
import java.util.List;

/**
 * The physical address space: RAM below the PCI hole and above 4 GiB, memory-mapped devices
 * elsewhere. It knows of each RAM page whether it was ever written, whether it was written since
 * the last checkpoint, and whether decoded code depends on it.
 *
 * <p>Physical addresses ({@code pa}) are unsigned and below 2^52. An address where nothing is reads
 * as all ones.
 */
public final class PhysicalMemory implements AutoCloseable {
    /** Where RAM below 4 GiB ends at the latest: 3 GiB. */
    public static final long HOLE_START = 0xc000_0000L;

    /** Where RAM goes on after the hole. */
    public static final long HOLE_END = 0x1_0000_0000L;

    public static final int PAGE_SIZE = 4096;

    private static final byte EVER_WRITTEN = 1;
    private static final byte DIRTY = 2;
    private static final byte CODE = 4;

    /** Told when bytes that decoded code depends on are about to change. */
    public interface CodeListener {
        /**
         * The {@code size} bytes at {@code pa}, within one page that is marked as code, are about
         * to change.
         */
        void codeWritten(long pa, int size);
    }

    /**
     * Told when pages became clean, so that every cached permission to write without notice must
     * go.
     */
    public interface CleanListener {
        void pagesCleaned();
    }

    private record Region(long start, long end, MmioDevice device) {}

    private final long bytes;
    private final long lowBytes;
    private final long highBytes;
    private final HostPages pages;
    private final long base;
    private final byte[] state;
    private final List<Region> regions = new ArrayList<>();
    private final List<CleanListener> cleanListeners = new ArrayList<>();
    private CodeListener codeListener = (pa, size) -> {};

    /** Maps {@code bytes} of RAM, a multiple of 4096; the host commits it lazily. */
    public PhysicalMemory(long bytes) {
        this.bytes = bytes;
        lowBytes = Math.min(bytes, HOLE_START);
        highBytes = bytes - lowBytes;
        pages = new HostPages(bytes);
        base = pages.address();
        state = new byte[Math.toIntExact(bytes / PAGE_SIZE)];
    }

    /** RAM in bytes. */
    public long size() {
        return bytes;
    }

    /** RAM below the PCI hole in bytes. */
    public long lowSize() {
        return lowBytes;
    }

    /** RAM from 4 GiB on in bytes. */
    public long highSize() {
        return highBytes;
    }

    public boolean isRam(long pa) {
        return Long.compareUnsigned(pa, lowBytes) < 0
                || Long.compareUnsigned(pa - HOLE_END, highBytes) < 0;
    }

    /**
     * The host address of RAM at {@code pa}; the caller knows that it is RAM and stays within the
     * page.
     */
    public long host(long pa) {
        return base + ramOffset(pa);
    }

    private long ramOffset(long pa) {
        return pa < lowBytes ? pa : pa - HOLE_END + lowBytes;
    }

    /** The number of RAM pages. Page numbers count RAM without the hole. */
    public int pageCount() {
        return state.length;
    }

    /** The RAM page number of a physical address in RAM. */
    public int pageOf(long pa) {
        return (int) (ramOffset(pa) >>> 12);
    }

    /** The host address of a RAM page by number. */
    public long hostOfPage(int page) {
        return base + ((long) page << 12);
    }

    /** Claims [start, start + length) for a device; both page-aligned. */
    public void map(long start, long length, MmioDevice device) {
        regions.add(new Region(start, start + length, device));
    }

    /** Reads 1, 2, 4 or 8 bytes within one page, zero-extended. */
    public long read(long pa, int size) {
        if (isRam(pa)) {
            long host = host(pa);
            return switch (size) {
                case 1 -> RawMemory.getByte(host);
                case 2 -> RawMemory.getShort(host);
                case 4 -> RawMemory.getInt(host) & 0xffff_ffffL;
                default -> RawMemory.getLong(host);
            };
        }
        for (Region region : regions) {
            if (pa >= region.start && pa < region.end) {
                return region.device.read(pa - region.start, size);
            }
        }
        return size == 8 ? -1L : (1L << 8 * size) - 1;
    }

    /** Writes 1, 2, 4 or 8 bytes within one page. */
    public void write(long pa, int size, long value) {
        if (isRam(pa)) {
            aboutToWrite(pa, size);
            long host = host(pa);
            switch (size) {
                case 1 -> RawMemory.putByte(host, (int) value);
                case 2 -> RawMemory.putShort(host, (int) value);
                case 4 -> RawMemory.putInt(host, (int) value);
                default -> RawMemory.putLong(host, value);
            }
            return;
        }
        for (Region region : regions) {
            if (pa >= region.start && pa < region.end) {
                region.device.write(pa - region.start, size, value);
                return;
            }
        }
    }

    public long read64(long pa) {
        return read(pa, 8);
    }

    public void write64(long pa, long value) {
        write(pa, 8, value);
    }

    /** Copies bytes out of RAM, across pages; bytes outside RAM read as 0xff. */
    public void read(long pa, byte[] into, int offset, int count) {
        for (int done = 0; done < count; ) {
            int n = (int) Math.min(count - done, PAGE_SIZE - (pa + done & PAGE_SIZE - 1));
            if (isRam(pa + done)) {
                RawMemory.get(host(pa + done), into, offset + done, n);
            } else {
                java.util.Arrays.fill(into, offset + done, offset + done + n, (byte) 0xff);
            }
            done += n;
        }
    }

    /** Copies bytes into RAM, across pages; bytes outside RAM are lost. */
    public void write(long pa, byte[] from, int offset, int count) {
        for (int done = 0; done < count; ) {
            int n = (int) Math.min(count - done, PAGE_SIZE - (pa + done & PAGE_SIZE - 1));
            if (isRam(pa + done)) {
                aboutToWrite(pa + done, n);
                RawMemory.put(host(pa + done), from, offset + done, n);
            }
            done += n;
        }
    }

    /**
     * Must be called before {@code size} bytes within one RAM page change by way of {@link #host}.
     */
    public void aboutToWrite(long pa, int size) {
        int page = pageOf(pa);
        byte flags = state[page];
        if ((flags & CODE) != 0) {
            codeListener.codeWritten(pa, size);
        }
        state[page] |= EVER_WRITTEN | DIRTY;
    }

    /**
     * Marks the RAM page of {@code pa} as written, and tells whether later writes to it may go to
     * host memory without notice: no when decoded code depends on it.
     */
    public boolean openForWriting(long pa) {
        int page = pageOf(pa);
        state[page] |= EVER_WRITTEN | DIRTY;
        return (state[page] & CODE) == 0;
    }

    /**
     * Marks the RAM page of {@code pa} as one that decoded code depends on. The caller must then
     * revoke every cached permission to write to it.
     */
    public void markCode(long pa) {
        state[pageOf(pa)] |= CODE;
    }

    public void unmarkCode(long pa) {
        state[pageOf(pa)] &= ~CODE;
    }

    public boolean isCode(long pa) {
        return (state[pageOf(pa)] & CODE) != 0;
    }

    public void setCodeListener(CodeListener listener) {
        codeListener = listener;
    }

    public void addCleanListener(CleanListener listener) {
        cleanListeners.add(listener);
    }

    /** Whether the page was ever written since power-on; a page that was not is zero. */
    public boolean everWritten(int page) {
        return (state[page] & EVER_WRITTEN) != 0;
    }

    /** Whether the page was written since {@link #cleanAll} (or power-on). */
    public boolean dirty(int page) {
        return (state[page] & DIRTY) != 0;
    }

    /** Marks all pages as clean and revokes cached permissions to write. */
    public void cleanAll() {
        for (int i = 0; i < state.length; i++) {
            state[i] &= ~DIRTY;
        }
        for (CleanListener listener : cleanListeners) {
            listener.pagesCleaned();
        }
    }

    /** Replaces a whole page, for loading a saved machine; decoded code of it goes. */
    public void loadPage(int page, byte[] content) {
        if ((state[page] & CODE) != 0) {
            long pa = (long) page << 12;
            codeListener.codeWritten(pa < lowBytes ? pa : pa - lowBytes + HOLE_END, PAGE_SIZE);
        }
        RawMemory.put(hostOfPage(page), content, 0, PAGE_SIZE);
        state[page] |= EVER_WRITTEN | DIRTY;
    }

    @Override
    public void close() {
        pages.close();
    }
}
