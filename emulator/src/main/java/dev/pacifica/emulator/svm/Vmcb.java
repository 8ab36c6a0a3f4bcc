package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.RawMemory;
import dev.pacifica.emulator.observe.MachineObserver;

/**
 * A copy of the fields of a VMCB (or of a host save area, which has the same layout) and their
 * place in RAM. They are read at once, and written at once or one by one ({@link #storeThrough}):
 * whoever writes them all reads before, because software may have changed some.
 */
final class Vmcb implements MachineObserver.VmcbView {
    /** The 64-bit words that hold fields. */
    static final int WORDS = VmcbLayout.USED / 8;

    /** The first word of the state-save area, which goes on to the end. */
    private static final int STATE = VmcbLayout.ES / 8;

    private final PhysicalMemory memory;

    /** The fields as read or set last, {@link #WORDS} of them. */
    private long[] words = new long[WORDS];

    private long address;

    /** What lies in memory, if these fields are partly a cache's; otherwise this. */
    private Vmcb source = this;

    /** The host address of the page while what is put goes there too, otherwise 0. */
    private long through;

    Vmcb(PhysicalMemory memory) {
        this.memory = memory;
    }

    /** Turns to the page at a physical address, which is 4-KiB aligned and in RAM. */
    void at(long physicalAddress) {
        address = physicalAddress;
    }

    /** These are the fields with which VMRUN of another one goes on. */
    void mergedFrom(Vmcb read) {
        address = read.address;
        source = read;
    }

    long address() {
        return address;
    }

    /** Takes all fields as they are in memory now. */
    void read() {
        RawMemory.get(memory.host(address), words, 0, WORDS);
    }

    /** Writes all fields. */
    void write() {
        memory.aboutToWrite(address, VmcbLayout.SIZE);
        RawMemory.put(memory.host(address), words, 0, WORDS);
    }

    /** As {@link #read}, of the state-save area only. */
    void readState() {
        RawMemory.get(memory.host(address) + 8 * STATE, words, STATE, WORDS - STATE);
    }

    /** As {@link #write}, of the state-save area only. */
    void writeState() {
        memory.aboutToWrite(address, VmcbLayout.SIZE);
        RawMemory.put(memory.host(address) + 8 * STATE, words, STATE, WORDS - STATE);
    }

    /** As {@link #read}, of the word at an offset only. */
    void read(int offset) {
        words[offset >>> 3] = RawMemory.getLong(memory.host(address) + (offset & -8));
    }

    /** Until {@link #storeHere}, what is put goes to memory too. */
    void storeThrough() {
        memory.aboutToWrite(address, VmcbLayout.SIZE);
        through = memory.host(address);
    }

    /** What is put stays here. */
    void storeHere() {
        through = 0;
    }

    /** The fields themselves, by their offsets divided by eight. */
    long[] words() {
        return words;
    }

    /** Gives the fields away for an array of whatever, cheaper than a copy. */
    long[] exchange(long[] others) {
        long[] given = words;
        words = others;
        return given;
    }

    int get8(int offset) {
        return (int) (words[offset >>> 3] >>> 8 * (offset & 7)) & 0xff;
    }

    int get16(int offset) {
        return (int) (words[offset >>> 3] >>> 8 * (offset & 7)) & 0xffff;
    }

    int get32(int offset) {
        return (int) (words[offset >>> 3] >>> 8 * (offset & 7));
    }

    long get64(int offset) {
        return words[offset >>> 3];
    }

    void put8(int offset, int value) {
        put(offset, 0xff, value);
        if (through != 0) {
            RawMemory.putByte(through + offset, value);
        }
    }

    void put16(int offset, int value) {
        put(offset, 0xffff, value);
        if (through != 0) {
            RawMemory.putShort(through + offset, value);
        }
    }

    void put32(int offset, int value) {
        put(offset, 0xffff_ffffL, value);
        if (through != 0) {
            RawMemory.putInt(through + offset, value);
        }
    }

    void put64(int offset, long value) {
        words[offset >>> 3] = value;
        if (through != 0) {
            RawMemory.putLong(through + offset, value);
        }
    }

    private void put(int offset, long mask, long value) {
        int shift = 8 * (offset & 7);
        words[offset >>> 3] = words[offset >>> 3] & ~(mask << shift) | (value & mask) << shift;
    }

    /** Reserved bytes beyond the fields are read where they lie. */
    @Override
    public long get(int offset, int size) {
        if (offset >= VmcbLayout.USED) {
            return memory.read(address + offset, size);
        }
        long word = words[offset >>> 3] >>> 8 * (offset & 7);
        return size == 8 ? word : word & (1L << 8 * size) - 1;
    }

    @Override
    public long inMemory(int offset, int size) {
        return source.get(offset, size);
    }
}
