package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.RawMemory;
import dev.pacifica.emulator.observe.MachineObserver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The fields of a VMCB (or of a host save area, which has the same layout) where they lie: in RAM,
 * so that what software changes meanwhile is seen and nothing is copied; or, of an image, in memory
 * of its own.
 */
final class Vmcb implements MachineObserver.VmcbView {
    /** The 64-bit words that hold fields. */
    static final int WORDS = VmcbLayout.USED / 8;

    private static final long LOW_HALF = 0xffff_ffffL;

    private final PhysicalMemory memory;

    /** The memory of an image, which lives as long as this; otherwise null. */
    private final MemorySegment own;

    private long address;

    /** The host address of the fields. */
    private long host;

    /** What lies in RAM, if this is an image of it; otherwise this. */
    private Vmcb source = this;

    /** Fields in RAM, for now of the page at 0. */
    Vmcb(PhysicalMemory memory) {
        this(memory, null);
        at(0);
    }

    private Vmcb(PhysicalMemory memory, MemorySegment own) {
        this.memory = memory;
        this.own = own;
    }

    /** Fields apart from RAM, all zero. */
    static Vmcb image(PhysicalMemory memory) {
        Vmcb image = new Vmcb(memory, Arena.ofAuto().allocate(VmcbLayout.USED, Long.BYTES));
        image.host = image.own.address();
        return image;
    }

    /** Turns to the page at a physical address, which is 4-KiB aligned and in RAM. */
    void at(long physicalAddress) {
        address = physicalAddress;
        host = memory.host(physicalAddress);
    }

    /** These are the fields with which VMRUN of another one goes on. */
    void imageOf(Vmcb inMemory) {
        address = inMemory.address;
        source = inMemory;
    }

    long address() {
        return address;
    }

    /** Must be called before fields in RAM are put, while nothing else executes. */
    void aboutToWrite() {
        memory.aboutToWrite(address, VmcbLayout.SIZE);
    }

    /** Copies all fields, {@link #WORDS} of them. */
    void copyTo(long[] words) {
        RawMemory.get(host, words, 0, WORDS);
    }

    /** Sets all fields of an image. */
    void copyFrom(long[] words) {
        RawMemory.put(host, words, 0, WORDS);
    }

    int get8(int offset) {
        return RawMemory.getByte(host + offset);
    }

    int get16(int offset) {
        return RawMemory.getShort(host + offset);
    }

    int get32(int offset) {
        return RawMemory.getInt(host + offset);
    }

    long get64(int offset) {
        return RawMemory.getLong(host + offset);
    }

    void put8(int offset, int value) {
        RawMemory.putByte(host + offset, value);
    }

    void put16(int offset, int value) {
        RawMemory.putShort(host + offset, value);
    }

    void put32(int offset, int value) {
        RawMemory.putInt(host + offset, value);
    }

    void put64(int offset, long value) {
        RawMemory.putLong(host + offset, value);
    }

    /** Reserved bytes beyond the fields are always those in RAM. */
    @Override
    public long get(int offset, int size) {
        if (offset + size > VmcbLayout.USED) {
            return memory.read(address + offset, size);
        }
        return switch (size) {
            case 1 -> get8(offset);
            case 2 -> get16(offset);
            case 4 -> get32(offset) & LOW_HALF;
            default -> get64(offset);
        };
    }

    @Override
    public long inMemory(int offset, int size) {
        return source.get(offset, size);
    }
}
