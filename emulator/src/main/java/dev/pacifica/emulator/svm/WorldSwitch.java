package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.cpu.WorldSwitched;
import dev.pacifica.emulator.observe.MachineObserver;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;

/** VMRUN into the guest (§15.5.1) and #VMEXIT back to the host (§15.6). */
final class WorldSwitch {
    private final Cpu cpu;
    private final Intercepts intercepts;
    private final VirtualInterrupts interrupts;
    private final PauseFilter pauseFilter;
    private final BusLockThreshold busLocks;
    private final VmcbShadow shadow;
    private final Avic avic;

    /** Null unless VMCB state is cached: then every VMRUN loads everything (§15.15.1). */
    private VmcbCache cache;

    private final Vmcb vmcb;
    final HostState host;
    private final ExitInformation information;

    private boolean nestedPaging;

    /** The guest's VMLOAD and VMSAVE are virtual (§15.33.1). */
    private boolean virtualTransfer;

    /** Virtual VMLOAD and VMSAVE are asked for but cannot be: both exit. */
    private boolean transferExits;

    private long enteredAt;

    /** Since when the guest waits for RSM, and its PAT meanwhile. */
    private long suspendedAt;

    private long suspendedPat;

    /** Bit 7 of VMCB field 90h, as VMRUN loaded it. */
    boolean broadcastInvalidation;

    /** VMCB TSC_OFFSET, 0 in the host. */
    long tscOffset;

    /** nRIP as VMRUN found it: the return address of an injected software interrupt (§15.20). */
    long injectedNextRip;

    WorldSwitch(
            Cpu cpu,
            Intercepts intercepts,
            VirtualInterrupts interrupts,
            PauseFilter pauseFilter,
            BusLockThreshold busLocks,
            VmcbShadow shadow,
            Avic avic) {
        this.cpu = cpu;
        this.intercepts = intercepts;
        this.interrupts = interrupts;
        this.pauseFilter = pauseFilter;
        this.busLocks = busLocks;
        this.shadow = shadow;
        this.avic = avic;
        vmcb = new Vmcb(cpu.memory);
        host = new HostState(cpu, new Vmcb(cpu.memory));
        information = new ExitInformation(cpu);
    }

    /** Has VMRUN take fields whose clean bit is set from the state of the last #VMEXIT (§15.15). */
    void cacheVmcbs() {
        cache = new VmcbCache(cpu.memory);
    }

    /**
     * VMRUN of the VMCB at a physical address in RAM. Afterwards the processor runs the guest, its
     * injected event already delivered, or is back in the host because the VMCB was illegal or the
     * delivery was intercepted.
     */
    void enter(long address, long nextRip) {
        host.take(nextRip);
        cpu.events.worldEntered();
        vmcb.at(address);
        enteredAt = cpu.retired();
        MachineObserver observer = cpu.observer;
        if (observer != null) {
            shadow.report(vmcb, observer);
        }
        Vmcb loaded = cache == null ? vmcb : cache.merge(vmcb);
        if (observer != null) {
            observer.vmrun(cpu.id, address, loaded);
        }
        String broken = ConsistencyChecks.firstBroken(loaded, cpu, host.cr0);
        if (broken != null) {
            refuse(broken);
            return;
        }
        loadGuest(loaded);
        long event = vmcb.get64(VmcbLayout.EVENTINJ);
        if ((event & EventInjection.VALID) != 0) {
            inject(event);
        }
    }

    private void loadGuest(Vmcb from) {
        intercepts.load(from, cpu.model);
        pauseFilter.load(from, cpu.model);
        busLocks.load(from, intercepts.intercepts(ExitCode.BUSLOCK));
        interrupts.load(from, host.interruptFlag(), cpu.model);
        tscOffset = from.get64(VmcbLayout.TSC_OFFSET);
        injectedNextRip =
                from.get64(cpu.model.has(CpuFeature.NRIP_SAVE) ? VmcbLayout.NRIP : VmcbLayout.RIP);
        long nested = SvmFeatures.nestedControl(cpu.model, from.get64(VmcbLayout.NP_ENABLE));
        nestedPaging = nested != 0;
        broadcastInvalidation =
                (from.get64(VmcbLayout.NP_ENABLE) & VmcbLayout.INVLPGB_ENABLE) != 0
                        || !cpu.model.has(CpuFeature.TLBI_CTL);
        if (nestedPaging) {
            cpu.msrs.pat = from.get64(VmcbLayout.G_PAT);
        }
        // The features of rarely used bits are asked for last: this is done at each VMRUN.
        long options = from.get64(VmcbLayout.LBR_VIRTUALIZATION_ENABLE);
        if ((options & VmcbLayout.LBR_VIRTUALIZATION) != 0 && cpu.model.has(CpuFeature.LBRV)) {
            host.takeBranchRecords();
            GuestState.loadBranchRecords(from, cpu);
        }
        boolean transfer =
                (options & VmcbLayout.VMLOAD_VIRTUALIZATION) != 0
                        && cpu.model.has(CpuFeature.V_VMSAVE_VMLOAD);
        virtualTransfer = transfer && nestedPaging && host.mode64();
        transferExits = transfer && !virtualTransfer;
        if (cpu.model.has(CpuFeature.V_SPEC_CTRL)) {
            long specCtrl = from.get64(VmcbLayout.SPEC_CTRL);
            cpu.msrs.specCtrl = specCtrl == 0 ? 0 : specCtrl & cpu.msrs.speculationBits();
        }
        cpu.guestMode = true;
        cpu.gif = true;
        cpu.activity = Cpu.RUNNING;
        cpu.interruptShadow = (from.get8(VmcbLayout.INTERRUPT_SHADOW) & 1) != 0;
        cpu.stackShadow = false;
        GuestState.load(from, cpu);
        int asid = from.get32(VmcbLayout.ASID);
        TlbControl.apply(cpu, from.get8(VmcbLayout.TLB_CONTROL), asid);
        avic.load(from, nestedPaging);
        cpu.deriveMode();
        cpu.mmu.redirect(avic.redirectedPage());
        cpu.mmu.enterGuest(asid, nested, from.get64(VmcbLayout.N_CR3), host.cr4(), host.efer());
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
    }

    /**
     * An exit that the delivery itself causes ends here, so that VMRUN completes like any other
     * instruction.
     */
    private void inject(long event) {
        if (cpu.observer != null) {
            cpu.observer.injection(cpu.id, vmcb.address(), event);
        }
        try {
            cpu.events.inject(event);
        } catch (WorldSwitched e) {
            assert !cpu.guestMode;
        }
    }

    /** VMEXIT_INVALID: no guest state was loaded, so none is stored. */
    private void refuse(String rule) {
        if (cpu.observer != null) {
            cpu.observer.consistencyFailure(cpu.id, vmcb.address(), rule);
        }
        if (cache != null) {
            cache.forget(vmcb);
        }
        vmcb.aboutToWrite();
        storeExit(ExitCode.INVALID, 0, 0, 0, 0);
        vmcb.put8(VmcbLayout.FETCHED_BYTES, 0);
        returnToHost();
    }

    /** #VMEXIT. */
    void leave(int exitCode, long exitInfo1, long exitInfo2) {
        assert cpu.guestMode;
        boolean assists = cpu.model.has(CpuFeature.DECODEASSISTS);
        int bytes = assists && information.wantsBytes(exitCode) ? information.read() : 0;
        long eventInfo = cpu.events.delivering ? cpu.events.deliveringInfo : 0;
        cpu.events.delivering = false;
        vmcb.aboutToWrite();
        storeGuest(vmcb, eventInfo);
        if (cache != null) {
            storeGuest(cache.current(vmcb), eventInfo);
        }
        interrupts.clear();
        avic.clear();
        storeExit(
                exitCode,
                assists || !ExitCode.hasDecodeAssist(exitCode) ? exitInfo1 : 0,
                exitInfo2,
                eventInfo,
                cpu.model.has(CpuFeature.NRIP_SAVE) && ExitCode.savesNextRip(exitCode)
                        ? nextRip()
                        : 0);
        information.store(vmcb, bytes);
        busLocks.leave(vmcb);
        long shadowBits = vmcb.get64(VmcbLayout.INTERRUPT_SHADOW) & ~1L;
        vmcb.put64(
                VmcbLayout.INTERRUPT_SHADOW,
                shadowBits | (cpu.interruptShadow || cpu.stackShadow ? 1 : 0));
        if (nestedPaging) {
            cpu.msrs.pat = host.pat();
        }
        if (cpu.model.has(CpuFeature.V_SPEC_CTRL)) {
            vmcb.put64(VmcbLayout.SPEC_CTRL, cpu.msrs.specCtrl);
            cpu.msrs.specCtrl = host.specCtrl();
        }
        intercepts.clear();
        virtualTransfer = false;
        transferExits = false;
        tscOffset = 0;
        cpu.guestMode = false;
        returnToHost();
    }

    /** What of the guest's state changes while it runs, to the VMCB or to its cached copy. */
    private void storeGuest(Vmcb to, long eventInfo) {
        GuestState.store(to, cpu);
        interrupts.store(to, EventInjection.isNmi(eventInfo));
        if (host.hasBranchRecords()) {
            GuestState.storeBranchRecords(to, cpu);
        }
        if (nestedPaging) {
            to.put64(VmcbLayout.G_PAT, cpu.msrs.pat);
        }
    }

    private void storeExit(
            long exitCode, long exitInfo1, long exitInfo2, long eventInfo, long nextRip) {
        vmcb.put64(VmcbLayout.EXITCODE, exitCode);
        vmcb.put64(VmcbLayout.EXITINFO1, exitInfo1);
        vmcb.put64(VmcbLayout.EXITINFO2, exitInfo2);
        vmcb.put64(VmcbLayout.EXITINTINFO, eventInfo);
        vmcb.put64(VmcbLayout.EVENTINJ, 0);
        vmcb.put64(VmcbLayout.NRIP, nextRip);
    }

    private long nextRip() {
        long next = cpu.rip + cpu.insnLength;
        return cpu.mode64 ? next : next & 0xffff_ffffL;
    }

    private void returnToHost() {
        host.restore();
        GuestState.disableBreakpoints(cpu);
        cpu.events.worldLeft(host.trapFlag());
        cpu.gif = false;
        cpu.activity = Cpu.RUNNING;
        cpu.interruptShadow = false;
        cpu.stackShadow = false;
        cpu.deriveMode();
        cpu.mmu.enterHost();
        if (cpu.events.dueWithoutGif()) {
            cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        }
        if (host.legacyPae() && !ConsistencyChecks.PageDirectoryPointers.legal(cpu, cpu.cr3)) {
            cpu.events.enterShutdown();
        }
        MachineObserver observer = cpu.observer;
        if (observer != null) {
            observer.vmexit(
                    cpu.id, vmcb.address(), vmcb, Math.max(0, cpu.retired() - enteredAt - 1));
            shadow.remember(vmcb);
        }
    }

    /**
     * The Mmu met a nested page fault; while instruction bytes are read it only means that there
     * are no more.
     */
    WorldSwitched nestedPageFault(long guestPhysicalAddress, long exitInfo1) {
        if (!information.reading()) {
            leave(ExitCode.NPF, exitInfo1, guestPhysicalAddress);
        }
        return cpu.worldSwitched;
    }

    /** A #VMEXIT is under way and reads instruction bytes. */
    boolean exiting() {
        return information.reading();
    }

    /** Whether VMLOAD and VMSAVE of the guest exit though they are not intercepted (§15.33.1). */
    boolean transferExits() {
        return cpu.guestMode && transferExits;
    }

    /**
     * The system-physical address that VMLOAD (a read) or VMSAVE of {@code address} means: in a
     * guest whose VMLOAD and VMSAVE are virtual it is guest-physical. Raises nested page faults.
     */
    long transferAddress(long address, boolean write) {
        return cpu.guestMode && virtualTransfer
                ? cpu.mmu.translatePhysical(address, write)
                : address;
    }

    /** SMI in the guest: the handler is outside its controls and has the host's PAT. */
    void suspend() {
        suspendedAt = cpu.retired();
        if (nestedPaging) {
            suspendedPat = cpu.msrs.pat;
            cpu.msrs.pat = host.pat();
        }
        cpu.guestMode = false;
    }

    /** RSM into the guest. What the handler executed, RSM too, is not counted as the guest's. */
    void resume() {
        enteredAt += cpu.retired() - suspendedAt + 1;
        if (nestedPaging) {
            cpu.msrs.pat = suspendedPat;
        }
        cpu.guestMode = true;
        if (avic.enabled) {
            avic.evaluate();
        }
    }

    long vmcbAddress() {
        return vmcb.address();
    }

    boolean nestedPaging() {
        return nestedPaging;
    }

    long virtualInterruptControl() {
        return interrupts.control(vmcb);
    }

    /** RESET: no guest, and none remembered. */
    void reset() {
        busLocks.enabled = false;
        if (cache != null) {
            cache.reset();
        }
        tscOffset = 0;
        nestedPaging = false;
        virtualTransfer = false;
        transferExits = false;
        host.forget();
        cpu.mmu.enterHost();
    }

    void save(StateWriter out) {
        out.u64("vmcb", vmcb.address());
        out.flag("nestedPaging", nestedPaging);
        out.flag("virtualTransfer", virtualTransfer);
        out.flag("transferExits", transferExits);
        out.u64("enteredAt", enteredAt);
        out.u64("suspendedAt", suspendedAt);
        out.u64("suspendedPat", suspendedPat);
        out.u64("tscOffset", tscOffset);
        out.flag("broadcastInvalidation", broadcastInvalidation);
        out.u64("injectedNextRip", injectedNextRip);
        host.save(out);
        if (cache != null) {
            cache.save(out);
        }
    }

    void load(StateReader in) {
        vmcb.at(in.u64("vmcb"));
        nestedPaging = in.flag("nestedPaging");
        virtualTransfer = in.flag("virtualTransfer");
        transferExits = in.flag("transferExits");
        enteredAt = in.u64("enteredAt");
        suspendedAt = in.u64("suspendedAt");
        suspendedPat = in.u64("suspendedPat");
        tscOffset = in.u64("tscOffset");
        broadcastInvalidation = in.flag("broadcastInvalidation");
        injectedNextRip = in.u64("injectedNextRip");
        host.load(in);
        if (cache != null) {
            cache.load(in);
        }
    }
}
