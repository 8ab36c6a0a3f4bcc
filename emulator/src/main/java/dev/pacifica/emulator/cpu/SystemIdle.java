package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.Insn;

/** HLT, MONITOR and MWAIT, MONITORX and MWAITX. */
final class SystemIdle {
    private static final int EXIT_HLT = 0x78;
    private static final int EXIT_MONITOR = 0x8a;
    private static final int EXIT_MWAIT = 0x8b;
    private static final int EXIT_MWAIT_ARMED = 0x8c;
    private static final int EXIT_IDLE_HLT = 0xa6;

    /** Bytes that MONITOR watches, as CPUID leaf 5 says. */
    static final int MONITOR_LINE = 64;

    /** MWAIT's extension in ECX: an interrupt ends it with RFLAGS.IF clear, too. */
    private static final int ENDS_MASKED = 1;

    /** MWAITX's own one. */
    private static final int TIMER = 2;

    private SystemIdle() {}

    private static int idle(Cpu cpu, int activity) {
        cpu.activity = activity;
        cpu.msrs.frequency.stop();
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        if (cpu.observer != null) {
            cpu.observer.halt(cpu.id, activity);
        }
        return SystemInstructions.NEXT;
    }

    /** As HLT, but RIP stays at the instruction. */
    static void freeze(Cpu cpu) {
        idle(cpu, Cpu.HALTED);
    }

    static int halt(Cpu cpu) {
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_HLT)) {
            cpu.svm.exit(EXIT_HLT, 0, 0);
            return SystemInstructions.JUMPED;
        }
        if (cpu.guestMode && cpu.svm.idleHaltIntercepted()) {
            cpu.svm.exit(EXIT_IDLE_HLT, 0, 0);
            return SystemInstructions.JUMPED;
        }
        return idle(cpu, Cpu.HALTED);
    }

    /** Undefined in user mode, as long as MonMwaitUserEn is not offered. */
    private static void checkPrivilege(Cpu cpu) {
        if (cpu.cpl != 0) {
            throw cpu.fault(GuestException.UD);
        }
    }

    /** The intercept comes after all exceptions, those of the memory access too (Table 15-7). */
    static int monitor(Cpu cpu, Insn insn) {
        checkPrivilege(cpu);
        return monitorAtAnyPrivilege(cpu, insn);
    }

    /** MONITORX: there is one monitor, which MWAIT and MWAITX share. */
    static int monitorAtAnyPrivilege(Cpu cpu, Insn insn) {
        checkExtensions(cpu, cpu.r[Cpu.RCX] & 0xffff_ffffL, 0);
        long offset = Operands.truncate(cpu.r[Cpu.RAX], insn.addressSize);
        long va = cpu.linear(insn.segment, offset, 1, false);
        cpu.mmu.read8(va);
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_MONITOR)) {
            cpu.svm.exit(EXIT_MONITOR, 0, 0);
            return SystemInstructions.JUMPED;
        }
        cpu.monitorAddress = cpu.mmu.translateRead(va) & -MONITOR_LINE;
        cpu.monitorArmed = true;
        cpu.memory.read(cpu.monitorAddress, cpu.monitoredLine, 0, MONITOR_LINE);
        return SystemInstructions.NEXT;
    }

    static int mwait(Cpu cpu) {
        checkPrivilege(cpu);
        checkExtensions(cpu, cpu.r[Cpu.RCX] & 0xffff_ffffL, ENDS_MASKED);
        return mwait(cpu, 0);
    }

    /** MWAITX: ECX bit 1 has it end after the number of TSC ticks in EBX; 0 means never. */
    static int mwaitAtAnyPrivilege(Cpu cpu) {
        checkExtensions(cpu, cpu.r[Cpu.RCX] & 0xffff_ffffL, ENDS_MASKED | TIMER);
        boolean timed = (cpu.r[Cpu.RCX] & TIMER) != 0;
        return mwait(cpu, timed ? cpu.r[Cpu.RBX] & 0xffff_ffffL : 0);
    }

    /** Both intercepts come after all exceptions (Table 15-7). */
    private static int mwait(Cpu cpu, long ticks) {
        boolean waits = cpu.monitorArmed && !monitoredLineChanged(cpu);
        if (cpu.guestMode) {
            int exit =
                    waits && cpu.svm.intercepted(EXIT_MWAIT_ARMED) ? EXIT_MWAIT_ARMED : EXIT_MWAIT;
            if (cpu.svm.intercepted(exit)) {
                cpu.svm.exit(exit, 0, 0);
                return SystemInstructions.JUMPED;
            }
        }
        cpu.monitorArmed = false;
        if (!waits) {
            return SystemInstructions.NEXT;
        }
        cpu.waitEndsMasked = (cpu.r[Cpu.RCX] & ENDS_MASKED) != 0;
        cpu.waitExpired = false;
        if (ticks != 0) {
            cpu.waitTimer.arm(cpu.clock.now() + ticks);
        } else {
            cpu.waitTimer.cancel();
        }
        return idle(cpu, Cpu.MWAITING);
    }

    private static void checkExtensions(Cpu cpu, long requested, long supported) {
        if ((requested & ~supported) != 0) {
            throw cpu.fault(GuestException.GP, 0);
        }
    }

    /**
     * Whether what MWAIT waits for has come: MWAITX's time is over, or the monitored bytes differ
     * from what they were at MONITOR, because another processor or a device wrote there.
     */
    static boolean waitIsOver(Cpu cpu) {
        return cpu.waitExpired || monitoredLineChanged(cpu);
    }

    private static boolean monitoredLineChanged(Cpu cpu) {
        for (int i = 0; i < MONITOR_LINE; i += 8) {
            long then = 0;
            for (int b = 7; b >= 0; b--) {
                then = then << 8 | cpu.monitoredLine[i + b] & 0xff;
            }
            if (cpu.memory.isRam(cpu.monitorAddress)
                    && cpu.memory.read64(cpu.monitorAddress + i) != then) {
                return true;
            }
        }
        return false;
    }
}
