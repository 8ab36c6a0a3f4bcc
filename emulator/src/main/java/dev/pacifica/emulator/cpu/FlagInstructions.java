package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.Insn;

/** PUSHF, POPF, CLI, STI, CLAC, STAC with privilege, VME and PVI (APM Vol 2 §8.10, Vol 3). */
final class FlagInstructions {
    private static final int EXIT_PUSHF = 0x70;
    private static final int EXIT_POPF = 0x71;

    private FlagInstructions() {}

    private static int iopl(Cpu cpu) {
        return (cpu.systemFlags() & Cpu.IOPL) >> 12;
    }

    /** In virtual-8086 mode below IOPL 3: whether VME stands in; otherwise #GP. */
    private static boolean virtualExtension(Cpu cpu, int size) {
        if (!cpu.vm86 || iopl(cpu) == 3) {
            return false;
        }
        if ((cpu.cr4 & Cpu.CR4_VME) == 0 || size != 2) {
            throw cpu.fault(GuestException.GP, 0);
        }
        return true;
    }

    static int pushFlags(Cpu cpu, Insn insn) {
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_PUSHF)) {
            cpu.svm.exit(EXIT_PUSHF, 0, 0);
            return SystemInstructions.JUMPED;
        }
        long image = cpu.rflags() & ~(long) (Cpu.VM | Cpu.RF);
        if (virtualExtension(cpu, insn.operandSize)) {
            image |= Cpu.IOPL;
            image = (cpu.systemFlags() & Cpu.VIF) != 0 ? image | Cpu.IF : image & ~Cpu.IF;
        }
        Operands.push(cpu, insn.operandSize, image);
        return SystemInstructions.NEXT;
    }

    static int popFlags(Cpu cpu, Insn insn) {
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_POPF)) {
            cpu.svm.exit(EXIT_POPF, 0, 0);
            return SystemInstructions.JUMPED;
        }
        int size = insn.operandSize;
        boolean virtual = virtualExtension(cpu, size);
        long image = Operands.peek(cpu, 0, size);
        int kept = Cpu.VM | Cpu.VIF | Cpu.VIP;
        if (cpu.cpl > 0) {
            kept |= Cpu.IOPL;
        }
        if (virtual || cpu.cpl > iopl(cpu)) {
            kept |= Cpu.IF;
        }
        long flags = cpu.rflags();
        if (virtual) {
            boolean enable = (image & Cpu.IF) != 0;
            if (enable && (flags & Cpu.VIP) != 0 || (image & Cpu.TF) != 0) {
                throw cpu.fault(GuestException.GP, 0);
            }
            flags = enable ? flags | Cpu.VIF : flags & ~(long) Cpu.VIF;
        }
        long mask = size == 2 ? 0xffff & ~(long) kept : ~(long) kept;
        Operands.release(cpu, size);
        cpu.setRflags((flags & ~mask | image & mask) & ~(long) Cpu.RF);
        return SystemInstructions.NEXT;
    }

    /**
     * Whether CLI and STI act on VIF: VM86 with VME, or CPL 3 with PVI, when IOPL does not allow
     * IF; #GP if neither.
     */
    private static boolean virtualFlag(Cpu cpu) {
        if (!cpu.protectedMode || cpu.cpl <= iopl(cpu)) {
            return false;
        }
        long bit = cpu.vm86 ? Cpu.CR4_VME : Cpu.CR4_PVI;
        if ((cpu.cr4 & bit) == 0 || cpu.cpl != 3) {
            throw cpu.fault(GuestException.GP, 0);
        }
        return true;
    }

    static int clearInterrupts(Cpu cpu) {
        int flag = virtualFlag(cpu) ? Cpu.VIF : Cpu.IF;
        cpu.setRflags(cpu.rflags() & ~(long) flag);
        return SystemInstructions.NEXT;
    }

    static int setInterrupts(Cpu cpu) {
        if (virtualFlag(cpu)) {
            if ((cpu.systemFlags() & Cpu.VIP) != 0) {
                throw cpu.fault(GuestException.GP, 0);
            }
            cpu.setRflags(cpu.rflags() | Cpu.VIF);
        } else if ((cpu.systemFlags() & Cpu.IF) == 0) {
            cpu.setRflags(cpu.rflags() | Cpu.IF);
            cpu.events.beginShadow(false);
        }
        return SystemInstructions.NEXT;
    }

    /** STAC (true) and CLAC; #UD unless CPL 0. */
    static int alignmentCheck(Cpu cpu, boolean set) {
        if (cpu.cpl != 0) {
            throw cpu.fault(GuestException.UD);
        }
        long flags = cpu.rflags();
        cpu.setRflags(set ? flags | Cpu.AC : flags & ~(long) Cpu.AC);
        return SystemInstructions.NEXT;
    }
}
