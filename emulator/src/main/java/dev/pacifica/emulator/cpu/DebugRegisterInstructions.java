package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.Insn;

/** MOV to and from DR0 to DR7 (APM Vol 2 §13.1.1). */
final class DebugRegisterInstructions {
    private static final int EXIT_DR_READ = 0x20;
    private static final int EXIT_DR_WRITE = 0x30;

    private static final long DR6_ONES = 0xffff_0ff0L;
    private static final long DR6_WRITABLE = 0xe00fL;
    private static final long DR7_ONES = 0x400L;
    private static final long DR7_WRITABLE = 0xffff_23ffL;

    private DebugRegisterInstructions() {}

    /** Checks what all accesses check, and returns the register with DR4 and DR5 resolved. */
    private static int register(Cpu cpu, Insn insn) {
        int number = insn.reg;
        if (number == 4 || number == 5) {
            if ((cpu.cr4 & Cpu.CR4_DE) != 0) {
                throw cpu.fault(GuestException.UD);
            }
            number += 2;
        }
        if ((cpu.dr[7] & Breakpoints.GENERAL_DETECT) != 0) {
            throw cpu.events.generalDetect();
        }
        return number;
    }

    static int moveFrom(Cpu cpu, Insn insn) {
        int number = register(cpu, insn);
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_DR_READ + insn.reg)) {
            cpu.svm.exit(EXIT_DR_READ + insn.reg, insn.rm, 0);
            return SystemInstructions.JUMPED;
        }
        Operands.writeRegister(cpu, insn.rm, insn.operandSize, cpu.dr[number]);
        return SystemInstructions.NEXT;
    }

    static int moveTo(Cpu cpu, Insn insn) {
        int number = register(cpu, insn);
        long value = Operands.truncate(cpu.r[insn.rm], insn.operandSize);
        if (number >= 6 && value >>> 32 != 0) {
            throw cpu.fault(GuestException.GP, 0);
        }
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_DR_WRITE + insn.reg)) {
            cpu.svm.exit(EXIT_DR_WRITE + insn.reg, insn.rm, 0);
            return SystemInstructions.JUMPED;
        }
        if (number == 6) {
            cpu.dr[6] = value & DR6_WRITABLE | DR6_ONES;
        } else if (number == 7) {
            cpu.dr[7] = value & DR7_WRITABLE | DR7_ONES;
        } else {
            cpu.dr[number] = value;
        }
        cpu.events.breakpointsChanged();
        return SystemInstructions.NEXT;
    }
}
