package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.Insn;

/**
 * Sees instructions of the host before they execute: all that the engine has no fast way for, among
 * them system, x87, MMX and SSE instructions, and all with an FS or GS base.
 */
public interface InstructionWatch {
    /** RIP is the instruction's; it may fault yet. Its row is null for an undefined opcode. */
    void executing(Insn insn);
}
