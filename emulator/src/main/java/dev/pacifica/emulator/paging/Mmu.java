package dev.pacifica.emulator.paging;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.memory.PhysicalMemory;

/** One processor's way from linear addresses to memory. */
public final class Mmu {
    public Mmu(Cpu cpu, PhysicalMemory memory) {}

    /** Reads with the current privilege (CPL); raises #PF, #NPF exits and so on. May cross a page. */
    public int read8(long va) {
        return 0;
    }

    public int read16(long va) {
        return 0;
    }

    public int read32(long va) {
        return 0;
    }

    public long read64(long va) {
        return 0;
    }

    /** Writes with the current privilege. A write that crosses a page writes nothing when either page faults. */
    public void write8(long va, int value) {}

    public void write16(long va, int value) {}

    public void write32(long va, int value) {}

    public void write64(long va, long value) {}

    /** Raises the fault that a write of {@code size} (1..4096) bytes would raise, with the current privilege; for read-modify-write and multi-part stores. */
    public void probeWrite(long va, int size) {}

    /** As {@link #probeWrite}, for a read. */
    public void probeRead(long va, int size) {}

    /** Implicit supervisor accesses: descriptor tables, TSS, IDT. */
    public int readSystem8(long va) {
        return 0;
    }

    public int readSystem16(long va) {
        return 0;
    }

    public int readSystem32(long va) {
        return 0;
    }

    public long readSystem64(long va) {
        return 0;
    }

    public void writeSystem8(long va, int value) {}

    public void writeSystem16(long va, int value) {}

    public void writeSystem32(long va, int value) {}

    public void writeSystem64(long va, long value) {}

    /** Stack pushes of gates at a privilege other than the current one: {@code user} tells which. */
    public void writeAs(boolean user, long va, int size, long value) {}

    public void probeWriteAs(boolean user, long va, int size) {}

    /** Translates an instruction fetch at the current privilege to the physical address (the host's, under nested paging); raises #PF. */
    public long translateFetch(long va) {
        return va;
    }

    /** The host address behind {@code va} for reading up to the page's end without further checks, or 0 if it is not plain RAM. Raises faults. */
    public long hostForRead(long va) {
        return 0;
    }

    /** The host address behind {@code va} for writing up to the page's end without further checks, or 0 if it is not plain RAM or watched. Raises faults. */
    public long hostForWrite(long va) {
        return 0;
    }

    /** Changes whenever a cached fetch translation could be stale; equal values mean the same translations hold. */
    public long generation() {
        return 0;
    }

    /** CPL, AC, paging mode or address space changed: choose the right translation context. */
    public void contextChanged() {}

    /** Drops all translations of the current address space; {@code globals} too if true. */
    public void flush(boolean globals) {}

    /** INVLPG. */
    public void invalidatePage(long va) {}

    /** Drops the translations of one ASID (§15.16); 0 is the host. */
    public void flushAsid(int asid, boolean globals) {}

    /** Drops every translation of every ASID. */
    public void flushAll() {}

    /** INVLPGA (§15.13.? / §15.16). */
    public void invalidatePage(long va, int asid) {}

    /** Enters an address space: ASID and, for a guest with nested paging, nCR3 with the host's paging mode; {@code nested} false otherwise. */
    public void enter(int asid, boolean nested, long nestedCr3, long hostCr0, long hostCr4, long hostEfer) {}

    /** Reads guest-physical memory of the current world (through nested paging in a guest that has it), supervisor, e.g. PDPTEs, MSRPM is host-physical: use PhysicalMemory. */
    public long readPhysical64(long gpa) {
        return 0;
    }
}
