package dev.pacifica.emulator.fp;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.decode.Insn;

/** SSE4.1 and SSE4.2. */
final class Sse4 {
    private Sse4() {}

    static void execute(Cpu cpu, Insn insn) {
        throw cpu.fault(GuestException.UD);
    }
}
