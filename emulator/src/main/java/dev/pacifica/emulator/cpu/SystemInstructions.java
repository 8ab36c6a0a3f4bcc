package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.Insn;

/**
 * The instructions that touch the system state: control, debug and segment registers, MSRs, descriptor tables, far transfers, interrupts,
 * I/O, flags with privilege, SVM. {@link Cpu#insnLength} must be set.
 */
public final class SystemInstructions {
    /** The caller advances RIP by the instruction's length. */
    public static final int NEXT = 0;

    /** RIP, mode or world are set already. */
    public static final int JUMPED = 1;

    private SystemInstructions() {}

    /** Executes one; #UD for what it does not know. */
    public static int execute(Cpu cpu, Insn insn) {
        throw cpu.fault(GuestException.UD);
    }
}
