package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.Insn;

/** HLT, MONITOR and MWAIT. */
final class SystemIdle {
    private static final int EXIT_HLT = 0x78;
    private static final int EXIT_MONITOR = 0x8a;
    private static final int EXIT_MWAIT = 0x8b;
    private static final int EXIT_MWAIT_ARMED = 0x8c;
    private static final int EXIT_IDLE_HLT = 0xa6;

    /** Bytes that MONITOR watches, as CPUID leaf 5 says. */
    static final int MONITOR_LINE = 64;

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
        checkExtensions(cpu, cpu.r[Cpu.RCX] & 0xffff_ffffL, 1);
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
        cpu.waitEndsMasked = (cpu.r[Cpu.RCX] & 1) != 0;
        return idle(cpu, Cpu.MWAITING);
    }

    private static void checkExtensions(Cpu cpu, long requested, long supported) {
        if ((requested & ~supported) != 0) {
            throw cpu.fault(GuestException.GP, 0);
        }
    }

    /**
     * Whether the monitored bytes differ from what they were at MONITOR: another processor or a
     * device wrote there.
     */
    static boolean monitoredLineChanged(Cpu cpu) {
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
