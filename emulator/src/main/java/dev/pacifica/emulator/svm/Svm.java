package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.paging.VirtualApicPage;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;

/**
 * One processor's SVM state: what VMRUN loaded, the intercepts in force, and the way out (APM Vol 2
 * chapter 15).
 */
public final class Svm implements Stateful, VirtualApicPage {
    /** The rules of the SVM MSRs. */
    public final SvmLock lock;

    private final Cpu cpu;
    private final Intercepts intercepts;
    private final VirtualInterrupts interrupts = new VirtualInterrupts();
    private final PauseFilter pauseFilter = new PauseFilter();
    private final BusLockThreshold busLocks = new BusLockThreshold();
    private final VmcbShadow shadow;
    private final Avic avic;
    private final WorldSwitch world;
    private final SvmInstructions instructions;

    public Svm(Cpu cpu) {
        this.cpu = cpu;
        lock = new SvmLock(cpu);
        intercepts = new Intercepts(cpu.memory, cpu.mmu.hidden);
        shadow = new VmcbShadow(cpu.id);
        avic = new Avic(cpu, interrupts);
        world = new WorldSwitch(cpu, intercepts, interrupts, pauseFilter, busLocks, shadow, avic);
        instructions = new SvmInstructions(cpu, this, world, shadow);
        cpu.mmu.setNestedFaultHandler(world::nestedPageFault);
    }

    /** Follows the VMCBs of a machine's processors as one, for its observer. */
    public void followVmcbsWith(Svm other) {
        shadow.shareWith(other.shadow);
    }

    /**
     * Whether the guest's VMCB intercepts this exit code (Appendix C: 0 to BFh, the bit's position
     * in the intercept vectors).
     */
    public boolean intercepted(int exitCode) {
        return cpu.guestMode && intercepts.intercepts(exitCode);
    }

    /** Whether the guest's VMCB intercepts the exception with this vector (0..31, §15.12). */
    public boolean exceptionIntercepted(int vector) {
        return intercepts.intercepts(ExitCode.EXCEPTION + vector);
    }

    /**
     * Performs the #VMEXIT. Afterwards the processor is in the host's state; nothing of the
     * instruction or event may happen any more. RIP must still be the instruction's address, {@link
     * Cpu#insnLength} its length; nRIP follows from them where the exit code asks for it. An event
     * being delivered ({@code events.delivering}) goes to EXITINTINFO.
     */
    public void exit(int exitCode, long exitInfo1, long exitInfo2) {
        world.leave(exitCode, exitInfo1, exitInfo2);
    }

    /** Whether RDMSR or WRMSR of this MSR exits (§15.11): MSR_PROT and the permission map. */
    public boolean msrIntercepted(int msr, boolean write) {
        return intercepts.interceptsMsr(msr, write);
    }

    /**
     * Whether an access of {@code size} bytes (1, 2, 4) to the port exits (§15.10): IOIO_PROT and
     * the permission map.
     */
    public boolean ioIntercepted(int port, int size) {
        return intercepts.interceptsIo(port, size);
    }

    /** V_INTR_MASKING of the running guest (§15.21.1). */
    public boolean virtualInterruptMasking() {
        return interrupts.masking;
    }

    /**
     * The host's RFLAGS.IF at VMRUN, which masks physical interrupts while {@link
     * #virtualInterruptMasking}.
     */
    public boolean hostInterruptFlag() {
        return interrupts.hostInterruptFlag;
    }

    /** Whether the guest's CR8 is V_TPR alone: V_INTR_MASKING or AVIC (§15.21.2, §15.29.4.1). */
    public boolean ownTaskPriority() {
        return interrupts.masking || avic.enabled;
    }

    /** V_TPR, 0 to 15 (§15.21.2). */
    public int virtualTaskPriority() {
        return interrupts.taskPriority;
    }

    public void setVirtualTaskPriority(int tpr) {
        interrupts.taskPriority = tpr & 15;
        if (avic.enabled) {
            avic.taskPriorityChanged();
        }
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
    }

    /**
     * The vector of the virtual interrupt that V_IRQ, its priority, V_TPR and the virtual GIF let
     * through, or of the guest's APIC under AVIC, which ignores V_IRQ; IF and shadow not
     * considered; -1 if none.
     */
    public int pendingVirtualInterrupt() {
        if (avic.enabled) {
            return interrupts.letThrough() ? avic.deliverable() : -1;
        }
        return interrupts.deliverable();
    }

    /** The virtual interrupt is about to be delivered: V_IRQ is cleared, or IRR becomes ISR. */
    public void acknowledgeVirtualInterrupt() {
        if (avic.enabled) {
            avic.acknowledge();
        } else {
            interrupts.pending = false;
        }
    }

    /** Rings this processor's doorbell: a guest that runs looks at its requests (§15.29.8.2). */
    public void doorbell() {
        if (avic.enabled) {
            avic.evaluate();
        }
    }

    /** WRMSR of the doorbell register: rings that of a processor by its APIC id. */
    public void ringDoorbell(int apicId) {
        AvicIpi.ring(cpu, apicId);
    }

    /** Whether the x2APIC MSRs of the guest are virtual (§15.29.10). */
    public boolean virtualX2apic() {
        return avic.x2apicMode;
    }

    /** RDMSR of 800h + register while {@link #virtualX2apic}. */
    public long readVirtualX2apic(int register) {
        return avic.readMsr(register);
    }

    /** WRMSR of 800h + register while {@link #virtualX2apic}. */
    public void writeVirtualX2apic(int register, long value) {
        avic.writeMsr(register, value);
    }

    @Override
    public long readApicPage(int offset, int size) {
        return avic.read(offset, size);
    }

    @Override
    public void writeApicPage(int offset, int size, long value) {
        avic.write(offset, size, value);
    }

    @Override
    public void checkApicPageWrite(int offset) {
        avic.checkWrite(offset);
    }

    /** At an instruction boundary: exits if the guest's last instruction trapped to do so. */
    public boolean takeTrap() {
        if (!avic.trapped()) {
            return false;
        }
        avic.exitForTrap();
        return true;
    }

    /** V_GIF_ENABLE of the running guest: its STGI and CLGI act on V_GIF (§15.33.2). */
    boolean virtualGif() {
        return interrupts.gifVirtual;
    }

    void setVirtualGif(boolean set) {
        interrupts.gif = set;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
    }

    /** V_NMI_ENABLE of the running guest: its NMIs and their masking are virtual (§15.21.10). */
    public boolean virtualNmi() {
        return interrupts.nmiVirtual;
    }

    /** Whether V_NMI is set, not masked, and let through by the virtual GIF. */
    public boolean virtualNmiDue() {
        return interrupts.nmiDeliverable();
    }

    /** Clears V_NMI and masks further ones: the virtual NMI is about to be delivered. */
    public void acknowledgeVirtualNmi() {
        interrupts.nmiPending = false;
        interrupts.nmiMasked = true;
    }

    /** An NMI is injected: while NMIs are virtual it masks further ones (§15.21.10). */
    public void maskVirtualNmi() {
        interrupts.nmiMasked = interrupts.nmiVirtual;
    }

    /** IRET completed while NMIs are virtual. */
    public void unmaskVirtualNmi() {
        interrupts.nmiMasked = false;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
    }

    /**
     * What RDTSC, RDTSCP and RDMSR of the TSC return now: in a guest the TSC times the TSC ratio,
     * plus the VMCB's TSC_OFFSET (§15.30.5); the TSC itself in the host.
     */
    public long timeStamp() {
        return cpu.guestMode ? scaled(cpu.tsc()) + world.tscOffset : cpu.tsc();
    }

    /** MPERF and MPerfReadOnly as they are read now: guests see them scaled too (§15.30.5). */
    public long scaledInGuest(long count) {
        return cpu.guestMode ? scaled(count) : count;
    }

    /**
     * Whether the guest may execute INVLPGB and TLBSYNC: bit 7 of VMCB field 90h, where that is
     * offered.
     */
    public boolean broadcastInvalidationEnabled() {
        return world.broadcastInvalidation;
    }

    /** A count times the TSC ratio, from the whole product, without its fraction. */
    private long scaled(long count) {
        long ratio = cpu.msrs.tscRatio;
        return Math.unsignedMultiplyHigh(count, ratio) << 32 | count * ratio >>> 32;
    }

    /** PAUSE executed in a guest: counts it, and tells whether it exits now (§15.14.4). */
    public boolean pauseIntercepted() {
        return intercepts.intercepts(ExitCode.PAUSE) && pauseFilter.expires(cpu.clock.now());
    }

    /** Whether the running guest's bus locks are counted, so that each one must be seen. */
    public boolean countsBusLocks() {
        return busLocks.enabled && cpu.guestMode; // SMM may have interrupted the guest
    }

    /**
     * The guest is about to lock the bus while {@link #countsBusLocks}: leaves it if the threshold
     * is exceeded. The walks that read instruction bytes for an exit are no longer the guest's.
     */
    public void lockBus() {
        if (!world.exiting() && busLocks.exceeded()) {
            exit(ExitCode.BUSLOCK, 0, 0);
            throw cpu.worldSwitched;
        }
    }

    /**
     * HLT executed in a guest: whether the idle-HLT intercept exits, which it does while neither
     * V_IRQ nor V_NMI is set (§15.9), under AVIC while no request has priority.
     */
    public boolean idleHaltIntercepted() {
        return intercepts.intercepts(ExitCode.IDLE_HLT)
                && !(avic.enabled ? avic.deliverable() >= 0 : interrupts.pending)
                && !interrupts.nmiPending;
    }

    /**
     * The return address that the delivery of an injected software interrupt, INT3 or INTO pushes:
     * nRIP of the VMCB (§15.20).
     */
    public long injectedNextRip() {
        return world.injectedNextRip;
    }

    /**
     * VMRUN VMMCALL VMLOAD VMSAVE STGI CLGI SKINIT INVLPGA, {@link Cpu#insnLength} set. Returns 0
     * when the caller is to advance RIP by the instruction's length, 1 when the world changed.
     */
    public int execute(Insn insn) {
        return instructions.execute(insn);
    }

    /**
     * Caches VMCB state between #VMEXIT and VMRUN as the clean bits allow (§15.15), from now on.
     * The other legitimate behaviour, to load everything at every VMRUN, is what happens otherwise.
     */
    public void cacheVmcbs() {
        if (cpu.model.has(CpuFeature.VMCB_CLEAN)) {
            world.cacheVmcbs();
        }
    }

    /** SMI in the guest, which waits with all its controls for RSM (§15.22.3). */
    public void suspend() {
        world.suspend();
    }

    /** RSM returns to the guest that waits; the caller loads its registers. */
    public void resume() {
        world.resume();
    }

    /** The physical address of the VMCB last run. */
    public long vmcbAddress() {
        return world.vmcbAddress();
    }

    /** The virtual interrupt controls as a #VMEXIT now would write them (VMCB offset 60h). */
    public long virtualInterruptControl() {
        return world.virtualInterruptControl();
    }

    /** Whether the guest last entered has nested paging. */
    public boolean nestedPaging() {
        return world.nestedPaging();
    }

    /** The host's control registers while a guest runs. */
    public long hostCr0() {
        return world.host.cr0;
    }

    public long hostCr3() {
        return world.host.cr3();
    }

    public long hostCr4() {
        return world.host.cr4();
    }

    public long hostEfer() {
        return world.host.efer();
    }

    /** The host's PAT, which types nested translations (§15.25.8). */
    public long hostPat() {
        return world.host.pat();
    }

    /** Forgets everything, as RESET does. */
    public void reset() {
        intercepts.clear();
        interrupts.clear();
        avic.clear();
        world.reset();
    }

    @Override
    public void save(StateWriter out) {
        out.section("svm" + cpu.id);
        lock.save(out);
        intercepts.save(out);
        interrupts.save(out);
        avic.save(out);
        pauseFilter.save(out);
        busLocks.save(out);
        world.save(out);
        shadow.save(out);
    }

    @Override
    public void load(StateReader in) {
        in.section("svm" + cpu.id);
        lock.load(in);
        intercepts.load(in);
        interrupts.load(in);
        avic.load(in);
        pauseFilter.load(in);
        busLocks.load(in);
        world.load(in);
        shadow.load(in);
    }
}
