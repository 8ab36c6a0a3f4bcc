package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.RawMemory;

/**
 * Fetches and decodes single instructions, also across pages, with the checks of a fetch: canonical
 * RIP, CS limit, paging.
 */
final class InstructionFetch {
    private final Cpu cpu;
    private final Decoder decoder;
    private final byte[] window = new byte[Decoder.MAX_LENGTH + 1];

    InstructionFetch(Cpu cpu, Decoder decoder) {
        this.cpu = cpu;
        this.decoder = decoder;
    }

    /** Linear address of the instruction at RIP; raises #GP(0) outside the code segment. */
    long linear() {
        long rip = cpu.rip;
        if (cpu.mode64) {
            if (!Cpu.canonical(rip)) {
                throw cpu.fault(GuestException.GP, 0);
            }
            return rip;
        }
        if (rip > cpu.segLimit[Cpu.CS]) {
            throw cpu.fault(GuestException.GP, 0);
        }
        return cpu.segBase[Cpu.CS] + rip & 0xffff_ffffL;
    }

    /** Decodes the instruction at RIP; raises what its fetch raises. */
    void decode(Insn out) {
        long linear = linear();
        int available = Decoder.MAX_LENGTH;
        if (!cpu.mode64) {
            available = (int) Math.min(available, cpu.segLimit[Cpu.CS] - cpu.rip + 1);
        }
        int inPage = 4096 - (int) (linear & 0xfff);
        int first = Math.min(available, inPage);
        copy(cpu.mmu.translateFetch(linear), 0, first);
        Decoder.Status status = decoder.decode(window, 0, first, cpu.codeBits, out);
        if (status == Decoder.Status.NEED_MORE && first < available) {
            long second = linear + inPage;
            copy(
                    cpu.mmu.translateFetch(cpu.mode64 ? second : second & 0xffff_ffffL),
                    first,
                    available - first);
            status = decoder.decode(window, 0, available, cpu.codeBits, out);
        }
        if (status != Decoder.Status.OK) {
            throw cpu.fault(GuestException.GP, 0);
        }
    }

    private void copy(long pa, int at, int count) {
        PhysicalMemory memory = cpu.memory;
        if (memory.isRam(pa)) {
            RawMemory.get(memory.host(pa), window, at, count);
        } else {
            for (int i = 0; i < count; i++) {
                window[at + i] = (byte) memory.read(pa + i, 1);
            }
        }
    }
}
