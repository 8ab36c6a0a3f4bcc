package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.RawMemory;
import dev.pacifica.emulator.observe.MachineObserver;

/**
 * Access to a VMCB (or a host save area) in RAM by its system-physical address, or to the
 * processor's copy of one. Fields are read where they lie; a writer calls {@link #aboutToWrite}
 * once before a group of stores to RAM.
 */
final class Vmcb implements MachineObserver.VmcbView {
    private final PhysicalMemory memory;
    private long address;
    private long host;

    Vmcb(PhysicalMemory memory) {
        this.memory = memory;
    }

    /** Turns to the page at a physical address, which is 4-KiB aligned and in RAM. */
    void at(long physicalAddress) {
        address = physicalAddress;
        host = memory.host(physicalAddress);
    }

    /** Turns to a copy, of {@link VmcbLayout#USED} bytes at a host address, of the VMCB. */
    void copyAt(long physicalAddress, long hostAddress) {
        address = physicalAddress;
        host = hostAddress;
    }

    /** Takes the first so many bytes of another one. */
    void copyFrom(Vmcb other, int bytes) {
        RawMemory.copy(other.host, host, bytes);
    }

    long address() {
        return address;
    }

    void aboutToWrite() {
        memory.aboutToWrite(address, VmcbLayout.SIZE);
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

    @Override
    public long get(int offset, int size) {
        return switch (size) {
            case 1 -> get8(offset);
            case 2 -> get16(offset);
            case 4 -> get32(offset) & 0xffff_ffffL;
            default -> get64(offset);
        };
    }
}
