package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.Insn;

/**
 * SYSCALL and SYSRET, and SYSENTER and SYSEXIT, which AMD processors have outside long mode only
 * (APM Vol 2 §6.1).
 */
final class FastSystemCalls {
    private static final int CODE64 = 0xa9b;
    private static final int CODE32 = 0xc9b;
    private static final int DATA32 = 0xc93;
    private static final int DPL3 = 3 << 5;
    private static final int LEGACY_CLEARED = Cpu.VM | Cpu.IF | Cpu.RF;

    private FastSystemCalls() {}

    private static void flat(Cpu cpu, int segment, int selector, int attr) {
        cpu.segSelector[segment] = selector & 0xffff;
        cpu.segBase[segment] = 0;
        cpu.segLimit[segment] = 0xffff_ffffL;
        cpu.segAttr[segment] = attr;
    }

    static int syscall(Cpu cpu, Insn insn) {
        if ((cpu.efer & Cpu.EFER_SCE) == 0) {
            throw cpu.fault(GuestException.UD);
        }
        long next = cpu.rip + insn.length;
        int selector = (int) (cpu.msrs.star >>> 32) & 0xfffc;
        if (cpu.longMode) {
            long target = cpu.mode64 ? cpu.msrs.lstar : cpu.msrs.cstar;
            long flags = cpu.rflags() & ~(long) Cpu.RF;
            cpu.r[Cpu.RCX] = cpu.mode64 ? next : next & 0xffff_ffffL;
            cpu.r[11] = flags;
            flat(cpu, Cpu.CS, selector, CODE64);
            flat(cpu, Cpu.SS, selector + 8, DATA32);
            cpu.rip = target;
            cpu.cpl = 0;
            cpu.setRflags(flags & ~cpu.msrs.sfmask);
        } else {
            cpu.r[Cpu.RCX] = next & 0xffff_ffffL;
            flat(cpu, Cpu.CS, selector, CODE32);
            flat(cpu, Cpu.SS, selector + 8, DATA32);
            cpu.rip = cpu.msrs.star & 0xffff_ffffL;
            cpu.cpl = 0;
            cpu.setRflags(cpu.rflags() & ~(long) LEGACY_CLEARED);
        }
        if ((cpu.systemFlags() & Cpu.TF) == 0) {
            cpu.events.suppressStep();
        }
        cpu.updateMode();
        return SystemInstructions.JUMPED;
    }

    /**
     * SS keeps its base, limit and attributes, as AMD processors have it. Only for protected mode,
     * unlike SYSCALL (APM Vol 3, SYSRET).
     */
    static int sysret(Cpu cpu, Insn insn) {
        if ((cpu.efer & Cpu.EFER_SCE) == 0) {
            throw cpu.fault(GuestException.UD);
        }
        if (!cpu.protectedMode || cpu.cpl != 0) {
            throw cpu.fault(GuestException.GP, 0);
        }
        int base = (int) (cpu.msrs.star >>> 48);
        if (cpu.mode64 && insn.rexW) {
            flat(cpu, Cpu.CS, base + 16 | 3, CODE64 | DPL3);
            cpu.rip = cpu.r[Cpu.RCX];
        } else {
            flat(cpu, Cpu.CS, base | 3, CODE32 | DPL3);
            cpu.rip = cpu.r[Cpu.RCX] & 0xffff_ffffL;
        }
        cpu.segSelector[Cpu.SS] = base + 8 & 0xffff;
        cpu.cpl = 3;
        if (cpu.longMode) {
            cpu.setRflags(cpu.r[11] & ~(long) (Cpu.RF | Cpu.VM));
        } else {
            cpu.setRflags(cpu.rflags() | Cpu.IF);
        }
        cpu.updateMode();
        return SystemInstructions.JUMPED;
    }

    /** Not for real mode, but for virtual-8086 mode, which it leaves (APM Vol 3, SYSENTER). */
    static int sysenter(Cpu cpu) {
        if (cpu.longMode) {
            throw cpu.fault(GuestException.UD);
        }
        int selector = (int) cpu.msrs.sysenterCs & 0xfffc;
        if (!cpu.protectedMode || selector == 0) {
            throw cpu.fault(GuestException.GP, 0);
        }
        cpu.cpl = 0;
        cpu.setRflags(cpu.rflags() & ~(long) LEGACY_CLEARED);
        flat(cpu, Cpu.CS, selector, CODE32);
        flat(cpu, Cpu.SS, selector + 8, DATA32);
        cpu.rip = cpu.msrs.sysenterEip & 0xffff_ffffL;
        cpu.r[Cpu.RSP] = cpu.msrs.sysenterEsp & 0xffff_ffffL;
        cpu.updateMode();
        return SystemInstructions.JUMPED;
    }

    static int sysexit(Cpu cpu) {
        if (cpu.longMode) {
            throw cpu.fault(GuestException.UD);
        }
        int selector = (int) cpu.msrs.sysenterCs & 0xfffc;
        if (!cpu.protectedMode || selector == 0) {
            throw cpu.fault(GuestException.GP, 0);
        }
        cpu.cpl = 3;
        flat(cpu, Cpu.CS, selector + 16 | 3, CODE32 | DPL3);
        flat(cpu, Cpu.SS, selector + 24 | 3, DATA32 | DPL3);
        cpu.rip = cpu.r[Cpu.RDX] & 0xffff_ffffL;
        cpu.r[Cpu.RSP] = cpu.r[Cpu.RCX] & 0xffff_ffffL;
        cpu.updateMode();
        return SystemInstructions.JUMPED;
    }
}
