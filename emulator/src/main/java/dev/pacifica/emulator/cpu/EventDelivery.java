package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;

/**
 * Raises exceptions and interrupts: SVM exception intercepts, double and triple faults (APM Vol 2
 * §8.2), and at instruction boundaries the choice of what is to be delivered (§8.5). The way
 * through the IDT is {@link Gates}; breakpoints are {@link Breakpoints}.
 *
 * <p>The run loop's part, for each instruction boundary:
 *
 * <pre>
 *   if (cpu.attention != 0 &amp;&amp; events.poll()) continue;           // something was delivered: look up everything anew
 *   if (events.stepNeeded()) {                                     // TF, RF, shadow, instruction breakpoints: rare
 *       try { events.beforeInstruction(); execute one instruction, rip advanced; events.afterInstruction(); }
 *       catch (GuestException e) { events.deliverException(e); }
 *   } else run freely until attention != 0 or a fault
 * </pre>
 *
 * A fault (GuestException) is given to {@link #deliverException}, rip still at the instruction.
 * {@link WorldSwitched} needs nothing more.
 */
public final class EventDelivery implements Stateful {
    /** Event types of EXITINTINFO and EVENTINJ (§15.7.2). */
    static final int EXTERNAL = 0;

    static final int NMI = 2;
    static final int EXCEPTION = 3;
    static final int SOFTWARE = 4;

    private static final int EXIT_EXCEPTION = 0x40;
    private static final int EXIT_INTR = 0x60;
    private static final int EXIT_NMI = 0x61;
    private static final int EXIT_SMI = 0x62;
    private static final int EXIT_INIT = 0x63;
    private static final int EXIT_VINTR = 0x64;
    private static final int EXIT_FERR_FREEZE = 0x7e;
    private static final int EXIT_SHUTDOWN = 0x7f;

    /** VM_CR.R_INIT (§15.30.1). */
    private static final long VM_CR_R_INIT = 2;

    private final Cpu cpu;
    private final Gates gates;
    private final Breakpoints breakpoints;

    /** Whether an event is being delivered now; {@link #deliveringInfo} tells which. */
    public boolean delivering;

    /** The event being delivered, as EXITINTINFO has it (§15.7.2), 0 if none. */
    public long deliveringInfo;

    /** A repeated string instruction is suspended: an interrupt taken now pushes RF = 1. */
    private boolean repInterrupted;

    /** Error codes carry EXT (§8.4.1): the event came from outside, as an interrupt or an NMI. */
    private boolean external;

    /** VMRUN injects the event: of INT n no instruction has made the checks yet. */
    private boolean injecting;

    private boolean trapFlagAtStart;
    private long ripAtStart;
    private boolean shadowAtStart;
    private boolean guestAtStart;
    private boolean shadowSet;
    private boolean resumeFlagLoaded;
    private boolean stepSuppressed;

    EventDelivery(Cpu cpu) {
        this.cpu = cpu;
        gates = new Gates(cpu);
        breakpoints = new Breakpoints(cpu);
    }

    /**
     * Bit 0 of error codes while an interrupt or an NMI is delivered. Other than Intel's, AMD's
     * processors leave it clear while they deliver an exception: its source is within (§8.4.1).
     */
    int externalBit() {
        return delivering && external ? 1 : 0;
    }

    /**
     * Delivers an exception that the instruction at rip raised; handles double and triple faults
     * and exception intercepts.
     */
    public void deliverException(GuestException e) {
        breakpoints.discard();
        try {
            raise(e.vector, e.hasErrorCode, e.errorCode, e.address);
        } catch (WorldSwitched w) {
            // The #VMEXIT is complete.
        } finally {
            endDelivery();
        }
    }

    /**
     * INT n, INT3, INTO (DPL checked) and INT1: RIP still at the instruction, {@link
     * Cpu#insnLength} set.
     */
    void softwareInterrupt(int vector, int type, boolean dplChecked) {
        stepSuppressed = true;
        try {
            if (vector == GuestException.DB && type == EXCEPTION) {
                disarmForDebugHandler();
            }
            if (type == EXCEPTION && vector != GuestException.DB && intercepted(vector)) {
                cpu.svm.exit(EXIT_EXCEPTION + vector, 0, 0);
                return;
            }
            deliver(type, vector, false, 0, nextRip(cpu.rip), cpu.rflags() & ~Cpu.RF, dplChecked);
        } catch (WorldSwitched w) {
            // The #VMEXIT is complete.
        } finally {
            endDelivery();
        }
    }

    private long nextRip(long rip) {
        long next = rip + cpu.insnLength;
        return cpu.mode64 ? next : next & 0xffff_ffffL;
    }

    /**
     * Delivers the event of a VMCB's EVENTINJ field (§15.20), valid as checked before; it is not
     * subject to intercepts. Software interrupts, #BP and #OF push the VMCB's nRIP. In virtual-8086
     * mode a software interrupt needs IOPL 3 or is redirected by the virtual-mode extensions, as
     * INT n is: the hypervisor may have it from the INTn intercept, which comes before these checks
     * (Table 15-7).
     */
    public void inject(long eventInjection) {
        int type = (int) (eventInjection >>> 8) & 7;
        int vector = type == NMI ? GuestException.NMI : (int) eventInjection & 0xff;
        boolean hasCode = (eventInjection & 1 << 11) != 0;
        boolean software =
                type == SOFTWARE
                        || type == EXCEPTION
                                && (vector == GuestException.BP || vector == GuestException.OF);
        boolean debug = type == EXCEPTION && vector == GuestException.DB;
        boolean fault = type == EXCEPTION && !software && !debug;
        long flags = software ? cpu.rflags() & ~Cpu.RF : cpu.rflags(); // as of a completed INT n
        long image = fault ? flags | Cpu.RF : flags;
        wake();
        if (type == NMI) {
            cpu.svm.maskVirtualNmi();
        }
        injecting = true;
        try {
            if (debug) {
                disarmForDebugHandler();
            }
            deliver(
                    type,
                    vector,
                    hasCode,
                    (int) (eventInjection >>> 32),
                    software ? cpu.svm.injectedNextRip() : cpu.rip,
                    image,
                    software);
        } catch (WorldSwitched w) {
            // The #VMEXIT is complete.
        } finally {
            endDelivery();
        }
    }

    private void endDelivery() {
        delivering = false;
        deliveringInfo = 0;
        external = false;
        injecting = false;
    }

    /** #DB clears DR7.GD and DebugCtl's LBR and BTF (§13.1.3.5, §13.1.6). */
    private void disarmForDebugHandler() {
        cpu.dr[7] &= ~Breakpoints.GENERAL_DETECT;
        cpu.msrs.debugCtl &= ~(Msrs.LAST_BRANCH_RECORD | Msrs.BRANCH_SINGLE_STEP);
    }

    private boolean intercepted(int vector) {
        return cpu.guestMode && vector < 32 && cpu.svm.intercepted(EXIT_EXCEPTION + vector);
    }

    /** An exception, possibly during the delivery of another event. Order as in §15.7.3. */
    private void raise(int vector, boolean hasCode, int code, long address) {
        if (vector == GuestException.DB) {
            disarmForDebugHandler();
        }
        if (intercepted(vector)) {
            cpu.svm.exit(
                    EXIT_EXCEPTION + vector,
                    hasCode ? code & 0xffff_ffffL : 0,
                    vector == GuestException.PF ? address : 0);
            return;
        }
        if (vector == GuestException.PF) {
            cpu.cr2 = address;
        }
        if (delivering) {
            boolean severe = contributory(vector) || vector == GuestException.PF;
            int prior = (int) deliveringInfo & 0xff;
            boolean priorException = (deliveringInfo >>> 8 & 7) == EXCEPTION;
            if (priorException && prior == GuestException.DF && severe) {
                shutdown();
                return;
            }
            boolean doubled =
                    priorException
                            && (contributory(prior) && contributory(vector)
                                    || prior == GuestException.PF && severe);
            if (doubled) {
                if (intercepted(GuestException.DF)) {
                    cpu.svm.exit(EXIT_EXCEPTION + GuestException.DF, 0, 0);
                    return;
                }
                deliver(
                        EXCEPTION,
                        GuestException.DF,
                        true,
                        0,
                        cpu.rip,
                        cpu.rflags() | Cpu.RF,
                        false);
                return;
            }
        }
        boolean resume = vector != GuestException.DB || breakpoints.generalDetectRaised();
        deliver(
                EXCEPTION,
                vector,
                hasCode,
                code,
                cpu.rip,
                resume ? cpu.rflags() | Cpu.RF : cpu.rflags(),
                false);
    }

    private static boolean contributory(int vector) {
        return switch (vector) {
            case GuestException.DE,
                    GuestException.TS,
                    GuestException.NP,
                    GuestException.SS,
                    GuestException.GP,
                    GuestException.SX -> // §15.28
                    true;
            default -> false;
        };
    }

    private void deliver(
            int type,
            int vector,
            boolean hasCode,
            int code,
            long returnRip,
            long image,
            boolean dplChecked) {
        delivering = true;
        external = type == EXTERNAL || type == NMI;
        boolean codeSeen = hasCode && cpu.protectedMode;
        deliveringInfo =
                1L << 31 | (codeSeen ? 1 << 11 | (long) code << 32 : 0) | type << 8 | vector;
        long from = cpu.rip;
        if (cpu.observer != null) {
            cpu.observer.delivering(cpu.id);
        }
        try {
            if (injecting
                    && type == SOFTWARE
                    && cpu.vm86
                    && InterruptInstructions.staysInVm86(cpu, vector)) {
                InterruptInstructions.vm86Interrupt(cpu, vector, returnRip);
            } else {
                gates.enter(vector, codeSeen, code, returnRip, image, dplChecked);
            }
        } catch (GuestException e) {
            raise(e.vector, e.hasErrorCode, e.errorCode, e.address);
            return;
        }
        cpu.msrs.recordException(from, cpu.rip);
        cpu.monitorArmed = false;
        cpu.interruptShadow = false;
        cpu.stackShadow = false;
        repInterrupted = false;
        // An interrupt that a shadow or an event of higher priority held back may be taken now, if
        // the handler lets it.
        cpu.attention |= Cpu.ATTENTION_CONTEXT | Cpu.ATTENTION_INTERRUPT;
        if (cpu.observer != null) {
            cpu.observer.delivery(cpu.id, vector, type, codeSeen, codeSeen ? code : 0, from);
        }
    }

    private void shutdown() {
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_SHUTDOWN)) {
            cpu.svm.exit(EXIT_SHUTDOWN, 0, 0);
            return;
        }
        enterShutdown();
    }

    /** Shutdown after a triple fault or a failed #VMEXIT: only INIT or a reset ends it. */
    public void enterShutdown() {
        cpu.activity = Cpu.SHUTDOWN;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        if (cpu.observer != null) {
            cpu.observer.halt(cpu.id, Cpu.SHUTDOWN);
        }
    }

    /**
     * The processor freezes at an x87 or MMX instruction because of an earlier one's error, as with
     * CR0.NE clear it does until an interrupt comes; a guest exits instead if that is intercepted
     * (§15.14.2). The instruction has not begun; what is returned is to be thrown.
     */
    public WorldSwitched freeze() {
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_FERR_FREEZE)) {
            cpu.svm.exit(EXIT_FERR_FREEZE, 0, 0);
        } else {
            SystemIdle.freeze(cpu);
        }
        return cpu.worldSwitched;
    }

    private void wake() {
        cpu.activity = Cpu.RUNNING;
        cpu.waitTimer.cancel();
        cpu.msrs.frequency.start();
    }

    /**
     * At an instruction boundary, also of a halted processor: takes the one event of the highest
     * priority that is due (INIT, SMI, debug trap, NMI, interrupt, virtual interrupt; §8.5). True
     * if something was taken: RIP, mode or world changed. Clears ATTENTION_INTERRUPT and
     * ATTENTION_DEBUG unless they are needed again.
     */
    public boolean poll() {
        cpu.attention &= ~(Cpu.ATTENTION_INTERRUPT | Cpu.ATTENTION_DEBUG);
        boolean taken;
        try {
            taken = take();
        } catch (WorldSwitched w) {
            taken = true;
        } finally {
            endDelivery();
            cpu.smm.boundaryPassed();
        }
        if (stepNeeded() || breakpoints.pending()) {
            cpu.attention |= Cpu.ATTENTION_DEBUG;
        }
        if (cpu.activity == Cpu.MWAITING) {
            cpu.attention |=
                    Cpu.ATTENTION_INTERRUPT; // another processor may write the monitored line
            // at any time
        }
        return taken;
    }

    /**
     * Whether {@link #poll} has something to do at a boundary with GIF clear, as after #VMEXIT: a
     * debug trap, or the cause of an SMI, which is forgotten there. All else waits for whoever sets
     * GIF, who asks for it.
     */
    public boolean dueWithoutGif() {
        return breakpoints.pending() || cpu.smm.causeKnown();
    }

    private boolean take() {
        if (cpu.guestMode && cpu.svm.takeTrap()) {
            return true;
        }
        boolean waiting = cpu.activity == Cpu.SHUTDOWN || cpu.activity == Cpu.WAIT_FOR_SIPI;
        boolean initHeld = cpu.smm.active() && cpu.activity != Cpu.SHUTDOWN; // §10.3.3
        if (cpu.initPending && cpu.gif && !initHeld) {
            return takeInit();
        }
        if (waiting) {
            return false;
        }
        if (cpu.gif && cpu.smm.due() && takeSmi()) {
            return true;
        }
        if (breakpoints.pending() && !cpu.stackShadow) {
            breakpoints.report();
            raiseTrap();
            return true;
        }
        if (cpu.nmiPending && cpu.gif && takeNmi()) {
            return true;
        }
        if (cpu.guestMode && cpu.gif && takeVirtualNmi()) {
            return true;
        }
        if (cpu.gif && takeInterrupt()) {
            return true;
        }
        if (cpu.activity == Cpu.MWAITING && SystemIdle.waitIsOver(cpu)) {
            wake();
        }
        return false;
    }

    private void raiseTrap() {
        disarmForDebugHandler();
        wake();
        if (intercepted(GuestException.DB)) {
            cpu.svm.exit(EXIT_EXCEPTION + GuestException.DB, 0, 0);
            return;
        }
        deliver(EXCEPTION, GuestException.DB, false, 0, cpu.rip, cpu.rflags(), false);
    }

    /** §15.21.8. */
    private boolean takeInit() {
        wake();
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_INIT)) {
            cpu.svm.exit(EXIT_INIT, 0, 0);
            return true;
        }
        cpu.initPending = false;
        if ((cpu.msrs.vmCr & VM_CR_R_INIT) != 0) {
            raise(GuestException.SX, true, 1, 0);
        } else {
            Reset.init(cpu);
        }
        return true;
    }

    /**
     * §15.22.2: intercepted, unless HWCR.SMMLOCK is set, it exits whatever shadows it in the guest.
     */
    private boolean takeSmi() {
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_SMI) && !cpu.smm.locked()) {
            wake();
            cpu.svm.exit(EXIT_SMI, cpu.smm.exitInfo1(), cpu.smm.exitInfo2());
            return true;
        }
        if (cpu.interruptShadow || cpu.stackShadow) {
            return false;
        }
        cpu.smm.enter(interruptedFlags());
        return true;
    }

    /**
     * §15.21.9: an intercepted NMI exits whatever masks it in the guest, but not while SMM blocks
     * NMIs.
     */
    private boolean takeNmi() {
        if (cpu.smm.active() && cpu.nmiBlocked) {
            return false;
        }
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_NMI)) {
            wake();
            cpu.svm.exit(EXIT_NMI, 0, 0);
            return true;
        }
        if (cpu.nmiBlocked || cpu.interruptShadow || cpu.stackShadow) {
            return false;
        }
        wake();
        cpu.nmiPending = false;
        boolean guest = cpu.guestMode;
        deliver(NMI, GuestException.NMI, false, 0, cpu.rip, interruptedFlags(), false);
        cpu.nmiBlocked = guest == cpu.guestMode; // not if its delivery was intercepted
        return true;
    }

    /** §15.21.10: after the physical NMI, before all interrupts. */
    private boolean takeVirtualNmi() {
        if (!cpu.svm.virtualNmiDue() || cpu.interruptShadow || cpu.stackShadow) {
            return false;
        }
        wake();
        cpu.svm.acknowledgeVirtualNmi();
        deliver(NMI, GuestException.NMI, false, 0, cpu.rip, interruptedFlags(), false);
        return true;
    }

    private boolean takeInterrupt() {
        boolean shadow = cpu.interruptShadow || cpu.stackShadow;
        boolean flag = (cpu.systemFlags() & Cpu.IF) != 0;
        boolean physical =
                cpu.guestMode && cpu.svm.virtualInterruptMasking()
                        ? cpu.svm.hostInterruptFlag()
                        : flag;
        boolean pending = cpu.apic != null && cpu.apic.pendingVector() >= 0;
        if (cpu.activity == Cpu.MWAITING
                && cpu.waitEndsMasked
                && (pending || cpu.guestMode && cpu.svm.pendingVirtualInterrupt() >= 0)) {
            wake();
        }
        if (physical && pending) {
            if (cpu.guestMode && cpu.svm.intercepted(EXIT_INTR)) {
                wake();
                cpu.svm.exit(EXIT_INTR, 0, 0);
                return true;
            }
            if (!shadow) {
                wake();
                int vector = cpu.apic.acknowledge();
                deliver(EXTERNAL, vector, false, 0, cpu.rip, interruptedFlags(), false);
                return true;
            }
        }
        if (!cpu.guestMode || shadow || !flag) {
            return false;
        }
        int virtual = cpu.svm.pendingVirtualInterrupt();
        if (virtual < 0) {
            return false;
        }
        wake();
        if (cpu.svm.intercepted(EXIT_VINTR)) {
            cpu.svm.exit(EXIT_VINTR, 0, 0);
            return true;
        }
        cpu.svm.acknowledgeVirtualInterrupt();
        if (cpu.observer != null) {
            cpu.observer.virtualInterrupt(cpu.id, virtual);
        }
        deliver(EXTERNAL, virtual, false, 0, cpu.rip, interruptedFlags(), false);
        return true;
    }

    private long interruptedFlags() {
        return repInterrupted ? cpu.rflags() | Cpu.RF : cpu.rflags();
    }

    /**
     * Whether the next instruction must be executed singly (also to record its branch or to see
     * whether it locks the bus), between {@link #beforeInstruction} and {@link #afterInstruction}.
     */
    public boolean stepNeeded() {
        return (cpu.systemFlags() & (Cpu.TF | Cpu.RF)) != 0
                || cpu.interruptShadow
                || cpu.stackShadow
                || breakpoints.instructionsArmed()
                || (cpu.msrs.debugCtl & Msrs.LAST_BRANCH_RECORD) != 0
                || cpu.svm.countsBusLocks();
    }

    /** Before an instruction that is executed singly: instruction breakpoints (raises #DB). */
    public void beforeInstruction() {
        int flags = cpu.systemFlags();
        trapFlagAtStart = (flags & Cpu.TF) != 0;
        ripAtStart = cpu.rip;
        cpu.branchTaken = false;
        shadowAtStart = cpu.interruptShadow || cpu.stackShadow;
        guestAtStart = cpu.guestMode;
        shadowSet = false;
        resumeFlagLoaded = false;
        stepSuppressed = false;
        if ((flags & Cpu.RF) == 0 && !cpu.stackShadow && cpu.gif) {
            breakpoints.checkInstruction();
        }
    }

    /**
     * After it completed, rip advanced: ends RF and the interrupt shadow, notes the single-step
     * trap for {@link #poll}.
     */
    public void afterInstruction() {
        if (guestAtStart == cpu.guestMode) {
            if (!resumeFlagLoaded) {
                cpu.clearResumeFlag();
            }
            if (shadowAtStart && !shadowSet) {
                cpu.interruptShadow = false;
                cpu.stackShadow = false;
                cpu.attention |= Cpu.ATTENTION_INTERRUPT;
            }
            if (cpu.branchTaken) {
                cpu.msrs.recordBranch(ripAtStart, cpu.rip);
            }
            boolean stepped = cpu.branchTaken || (cpu.msrs.debugCtl & Msrs.BRANCH_SINGLE_STEP) == 0;
            if (trapFlagAtStart && stepped && !stepSuppressed && !(shadowSet && cpu.stackShadow)) {
                breakpoints.singleStepped();
            }
        }
        if (stepNeeded() || breakpoints.pending()) {
            cpu.attention |= Cpu.ATTENTION_DEBUG;
        }
    }

    /**
     * The instruction has done its work and exits as a trap (a CR or EFER write trap): RIP, RF, the
     * interrupt shadow and the count are those after it. A single-step trap that it earned is lost
     * with the guest's other pending traps.
     */
    void completeBeforeExit() {
        cpu.rip = nextRip(cpu.rip);
        cpu.clearResumeFlag();
        cpu.interruptShadow = false;
        cpu.stackShadow = false;
        cpu.clock.retired++;
    }

    /**
     * RFLAGS.IF was set: has an interrupt waited for that? One that arrives later asks for
     * attention itself.
     */
    void interruptsEnabled() {
        boolean physical = cpu.apic != null && cpu.apic.pendingVector() >= 0;
        if (physical || cpu.guestMode && cpu.svm.pendingVirtualInterrupt() >= 0) {
            cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        }
    }

    /** Whether a debug trap waits for the next boundary. */
    boolean trapPending() {
        return breakpoints.pending();
    }

    /** STI (false) or MOV SS, POP SS (true): holds back events at the next boundary (§15.21.5). */
    void beginShadow(boolean stack) {
        shadowSet = true;
        if (stack) {
            cpu.stackShadow = true;
        } else {
            cpu.interruptShadow = true;
        }
        cpu.attention |= Cpu.ATTENTION_DEBUG;
    }

    /**
     * VMRUN: a breakpoint match that MOV SS held back is not the guest's, and when VMRUN is over
     * GIF is clear, so that it is discarded (§15.17). What the host monitors is not the guest's
     * either.
     */
    public void worldEntered() {
        cpu.monitorArmed = false;
        breakpoints.discard();
    }

    /**
     * #VMEXIT: traps that the guest's last instruction left pending are gone; VMRUN, as one
     * instruction of the host that is no branch, traps if the host's TF was set (§15.5.1).
     */
    public void worldLeft(boolean hostTrapFlag) {
        repInterrupted = false;
        cpu.monitorArmed = false;
        breakpoints.discard();
        if (hostTrapFlag && (cpu.msrs.debugCtl & Msrs.BRANCH_SINGLE_STEP) == 0) {
            breakpoints.singleStepped();
        }
    }

    /** The instruction (IRET, or one that switches tasks) loads RF itself (§3.1.6). */
    void resumeFlagLoaded() {
        resumeFlagLoaded = true;
    }

    /** The instruction (SYSCALL, INT) ends without its single-step trap if it cleared TF. */
    void suppressStep() {
        stepSuppressed = true;
    }

    /** A new task's T bit is set: #DB after the task switch. */
    void taskTrap() {
        breakpoints.taskSwitched();
        cpu.attention |= Cpu.ATTENTION_DEBUG;
    }

    /** The instruction accesses debug registers while DR7.GD is set: the #DB to throw. */
    GuestException generalDetect() {
        return breakpoints.generalDetect();
    }

    /**
     * A repeated string instruction gives up between two iterations, RIP still at it. Over device
     * space that many iterations are slow, so this also ends the slice: the machine hears requests
     * from outside.
     */
    public void repSuspended() {
        repInterrupted = true;
        cpu.attention |= Cpu.ATTENTION_STOP;
    }

    /** A repeated string instruction did its last iteration. */
    public void repEnded() {
        repInterrupted = false;
    }

    /** DR6 bits of the traps that the last instruction left pending. */
    int pendingTraps() {
        return breakpoints.pendingBits();
    }

    /** SMI: the pending traps wait for RSM, and a repeated instruction starts anew. */
    int takePendingTraps() {
        int traps = breakpoints.pendingBits();
        breakpoints.discard();
        repInterrupted = false;
        return traps;
    }

    /** RSM: the traps are pending again, RF is as it was, RSM itself is not stepped over. */
    void givePendingTraps(int traps) {
        breakpoints.loadPendingBits(traps);
    }

    /** DR7, CR4.DE or the world changed: arms what is enabled. */
    void breakpointsChanged() {
        breakpoints.changed();
    }

    /** An I/O access: notes matching I/O breakpoints. */
    void portAccessed(int port, int size) {
        breakpoints.portAccessed(port, size);
    }

    /** RESET and INIT: nothing is pending or under way. */
    void reset() {
        endDelivery();
        repInterrupted = false;
        breakpoints.discard();
    }

    @Override
    public void save(StateWriter out) {
        out.flag("repInterrupted", repInterrupted);
        out.u32("pendingDebug", breakpoints.pendingBits());
    }

    @Override
    public void load(StateReader in) {
        endDelivery();
        repInterrupted = in.flag("repInterrupted");
        breakpoints.loadPendingBits(in.u32("pendingDebug"));
    }
}
