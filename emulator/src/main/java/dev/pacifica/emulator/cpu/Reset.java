package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.observe.TlbFlushCause;

/** The processor's state after power-on or RESET, and after INIT (APM Vol 2 §14.1, table 14-1). */
public final class Reset {
    private static final int LDT_ATTR = 0x82;
    private static final int TSS_ATTR = 0x8b;
    private static final int DATA_ATTR = 0x93;
    private static final int CODE_ATTR = 0x9b;

    /** VM_CR.R_INIT: INIT becomes #SX (§15.28). */
    private static final long VM_CR_R_INIT = 2;

    private Reset() {}

    /** Power-on and RESET. */
    public static void powerOn(Cpu cpu) {
        common(cpu);
        cpu.cr0 = Cpu.CR0_CD | Cpu.CR0_NW | Cpu.CR0_ET;
        cpu.xcr0 = ExtendedControlRegisters.X87;
        cpu.msrs.reset();
        cpu.smm.reset();
        cpu.fpu.reset();
        cpu.svm.reset();
        cpu.tscOffset = -cpu.clock.now();
        cpu.nmiPending = false;
        cpu.smiPending = false;
        cpu.gif = true;
        cpu.guestMode = false;
        cpu.mmu.flushAll(TlbFlushCause.RESET);
        cpu.updateMode();
    }

    /**
     * INIT: caches, most MSRs, XCR0 and the floating-point state stay (§15.21.8). Application
     * processors then wait for SIPI.
     */
    public static void init(Cpu cpu) {
        if (cpu.smm.active()) { // shut down there
            cpu.smm.abandon();
            cpu.svm.reset();
        }
        if (cpu.guestMode) { // taken in a guest that does not intercept it: no host is left to
            // return to
            cpu.guestMode = false;
            cpu.svm.reset();
        }
        long caching = cpu.cr0 & (Cpu.CR0_CD | Cpu.CR0_NW);
        common(cpu);
        cpu.cr0 = caching | Cpu.CR0_ET;
        cpu.svm.lock.init();
        if (cpu.apic != null) {
            cpu.apic.init();
        }
        cpu.mmu.flushAll(TlbFlushCause.INIT);
        boolean bootProcessor = cpu.apic == null || (cpu.apic.base() & 1 << 8) != 0;
        if (!bootProcessor) {
            cpu.activity = Cpu.WAIT_FOR_SIPI;
        }
        cpu.attention |= Cpu.ATTENTION_INTERRUPT; // an SMI or NMI may have waited behind it
        cpu.updateMode();
        if (cpu.pendingStartup >= 0) {
            startup(cpu, cpu.pendingStartup);
            cpu.pendingStartup = -1;
        }
    }

    /**
     * Startup IPI (§16.5): a processor that waits for it begins at vector × 4 KiB in real mode;
     * others ignore it. One whose INIT has been sent but not taken, because it was not its turn
     * since, starts behind it.
     */
    public static void startup(Cpu cpu, int vector) {
        if (cpu.initPending) {
            boolean heldBack =
                    !cpu.gif
                            || cpu.guestMode
                            || cpu.smm.active()
                            || (cpu.msrs.vmCr & VM_CR_R_INIT) != 0;
            cpu.pendingStartup = heldBack ? -1 : vector;
            return;
        }
        if (cpu.activity != Cpu.WAIT_FOR_SIPI) {
            return;
        }
        cpu.segSelector[Cpu.CS] = vector << 8;
        cpu.segBase[Cpu.CS] = (long) vector << 12;
        cpu.rip = 0;
        cpu.activity = Cpu.RUNNING;
        cpu.updateMode();
    }

    private static void common(Cpu cpu) {
        java.util.Arrays.fill(cpu.r, 0);
        cpu.r[Cpu.RDX] = cpu.model.signature();
        for (int i = Cpu.ES; i <= Cpu.TR; i++) {
            cpu.segSelector[i] = 0;
            cpu.segBase[i] = 0;
            cpu.segLimit[i] = 0xffff;
            cpu.segAttr[i] = DATA_ATTR;
        }
        cpu.segSelector[Cpu.CS] = 0xf000;
        cpu.segBase[Cpu.CS] = 0xffff_0000L;
        cpu.segAttr[Cpu.CS] = CODE_ATTR;
        cpu.segAttr[Cpu.LDTR] = LDT_ATTR;
        cpu.segAttr[Cpu.TR] = TSS_ATTR;
        cpu.rip = 0xfff0;
        cpu.gdtrBase = 0;
        cpu.gdtrLimit = 0xffff;
        cpu.idtrBase = 0;
        cpu.idtrLimit = 0xffff;
        cpu.cr2 = 0;
        cpu.cr3 = 0;
        cpu.cr4 = 0;
        cpu.efer = 0;
        java.util.Arrays.fill(cpu.dr, 0);
        cpu.dr[6] = 0xffff_0ff0L;
        cpu.dr[7] = 0x400;
        cpu.cpl = 0;
        cpu.setRflags(2);
        cpu.activity = Cpu.RUNNING;
        cpu.interruptShadow = false;
        cpu.stackShadow = false;
        cpu.nmiBlocked = false;
        cpu.initPending = false;
        cpu.monitorArmed = false;
        cpu.events.reset();
    }
}
