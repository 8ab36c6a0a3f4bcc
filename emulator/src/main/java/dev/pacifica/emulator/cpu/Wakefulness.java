package dev.pacifica.emulator.cpu;

/**
 * Whether a processor has something to do: it runs, or what it waits for has come. Told from its
 * saved state alone, so that a machine loaded from a checkpoint gives the same turns.
 */
public final class Wakefulness {
    private static final int EXIT_INTR = 0x60;
    private static final int EXIT_NMI = 0x61;

    private Wakefulness() {}

    /**
     * Whether the processor should get a turn. True may be too much, for an event that then is not
     * taken after all; false is exact.
     */
    public static boolean awake(Cpu cpu) {
        if (cpu.activity == Cpu.RUNNING) {
            return true;
        }
        if (cpu.initPending && cpu.gif && (!cpu.smm.active() || cpu.activity == Cpu.SHUTDOWN)) {
            return true;
        }
        if (cpu.activity == Cpu.SHUTDOWN || cpu.activity == Cpu.WAIT_FOR_SIPI) {
            return false;
        }
        return cpu.gif && (cpu.smm.due() || nmiDue(cpu) || interruptDue(cpu))
                || cpu.guestMode && cpu.gif && cpu.svm.virtualNmiDue()
                || cpu.events.trapPending()
                || cpu.activity == Cpu.MWAITING && SystemIdle.waitIsOver(cpu);
    }

    private static boolean nmiDue(Cpu cpu) {
        return cpu.nmiPending
                && (cpu.guestMode && cpu.svm.intercepted(EXIT_NMI)
                        || !cpu.nmiBlocked && !shadow(cpu));
    }

    private static boolean shadow(Cpu cpu) {
        return cpu.interruptShadow || cpu.stackShadow;
    }

    private static boolean interruptDue(Cpu cpu) {
        boolean flag = (cpu.systemFlags() & Cpu.IF) != 0;
        boolean pending = cpu.apic != null && cpu.apic.pendingVector() >= 0;
        boolean masked = cpu.activity == Cpu.MWAITING && cpu.waitEndsMasked;
        if (pending && masked) {
            return true;
        }
        if (!cpu.guestMode) {
            return pending && flag && !shadow(cpu);
        }
        boolean physical = cpu.svm.virtualInterruptMasking() ? cpu.svm.hostInterruptFlag() : flag;
        return pending && physical && (cpu.svm.intercepted(EXIT_INTR) || !shadow(cpu))
                || (masked || flag && !shadow(cpu)) && cpu.svm.pendingVirtualInterrupt() >= 0;
    }
}
