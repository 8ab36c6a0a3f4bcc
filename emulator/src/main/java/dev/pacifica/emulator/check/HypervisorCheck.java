package dev.pacifica.emulator.check;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.observe.MachineObserver;
import dev.pacifica.emulator.observe.TlbFlushCause;
import dev.pacifica.emulator.svm.VmcbLayout;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The hypervisor sanitizer: watches every VMRUN, #VMEXIT and nested translation for mistakes of the
 * hypervisor (APM Vol 2 chapter 15). It reads the machine and never changes it; what it knows it
 * has seen, so it is to watch from power-on.
 */
public final class HypervisorCheck implements MachineObserver {
    private final List<Cpu> cpus;
    private final Findings findings;
    private final Map<Long, VmcbHistory> histories = new HashMap<>();
    private final CleanBitChecks cleanBits;
    private final ReservedBitChecks reservedBits;
    private final EventChecks events;
    private final SafetyChecks safety;
    private final AsidChecks asids;
    private final ReachChecks reach;
    private final StaleChecks stale;
    private final HostStateChecks hostState;
    private final HostFpuChecks hostFpu;
    private final GifTimes gifTimes;
    private final boolean[] refused;
    private final VmcbView[] views;
    private long entries;

    public HypervisorCheck(List<Cpu> cpus) {
        this.cpus = cpus;
        findings = new Findings(cpus.getFirst().clock);
        cleanBits = new CleanBitChecks(findings);
        reservedBits = new ReservedBitChecks(findings);
        events = new EventChecks(findings);
        safety = new SafetyChecks(findings);
        asids = new AsidChecks(findings, cpus.size());
        reach = new ReachChecks(findings, cpus);
        stale = new StaleChecks(findings, cpus);
        hostState = new HostStateChecks(findings, cpus.size());
        hostFpu = new HostFpuChecks(findings, cpus.size());
        gifTimes = new GifTimes(cpus.size());
        refused = new boolean[cpus.size()];
        views = new VmcbView[cpus.size()];
        for (Cpu cpu : cpus) {
            cpu.instructionWatch = insn -> executing(cpu, insn);
        }
    }

    /** What was found so far, in the order of first occurrence. */
    public Collection<Finding> findings() {
        return findings.all();
    }

    /**
     * Who is told of each kind and subject when it was found for the 1st, 2nd, 4th, 8th … time;
     * null for nobody.
     */
    public void tell(MachineObserver observer) {
        findings.observer = observer;
    }

    /** The run is over: tells how often each was found. */
    public void summarize() {
        findings.summarize();
    }

    /** How many of what was found are mistakes. */
    public int mistakes() {
        int mistakes = 0;
        for (Finding finding : findings.all()) {
            if (finding.kind.level == CheckKind.Level.MISTAKE) {
                mistakes++;
            }
        }
        return mistakes;
    }

    /** VMRUNs seen. */
    public long entries() {
        return entries;
    }

    /** VMCBs seen. */
    public int vmcbs() {
        return histories.size();
    }

    public GifTimes gifTimes() {
        return gifTimes;
    }

    @Override
    public void vmrun(int vcpu, long vmcb, VmcbView state) {
        Cpu cpu = cpus.get(vcpu);
        entries++;
        gifTimes.set(vcpu, cpu.retired(), cpu.clock.retired);
        views[vcpu] = state;
        refused[vcpu] = false;
        VmcbHistory last = histories.computeIfAbsent(vmcb, _ -> new VmcbHistory());
        runningElsewhere(cpu, vmcb);
        asids.vmrun(cpu, vmcb, state, last);
        cleanBits.vmrun(cpu, vmcb, state, last);
        reservedBits.vmrun(cpu, vmcb, state, last.processor < 0);
        events.vmrun(cpu, vmcb, state, last);
        safety.vmrun(cpu, vmcb, state);
        reach.vmrun(cpu, vmcb, state);
        stale.vmrun(cpu, vmcb, state);
        hostState.vmrun(cpu, vmcb);
        hostFpu.vmrun(cpu, vmcb);
        last.processor = vcpu;
        last.known = false;
    }

    private void runningElsewhere(Cpu cpu, long vmcb) {
        for (Cpu other : cpus) {
            if (other != cpu && other.guestMode && other.svm.vmcbAddress() == vmcb) {
                findings.add(
                        CheckKind.VMCB_ON_TWO_PROCESSORS,
                        "VMCB",
                        cpu,
                        vmcb,
                        () -> "running on processor " + other.id);
            }
        }
    }

    @Override
    public void consistencyFailure(int vcpu, long vmcb, String rule) {
        refused[vcpu] = true;
        asids.refused(cpus.get(vcpu));
        stale.refused(cpus.get(vcpu));
        findings.add(
                CheckKind.VMEXIT_INVALID,
                rule,
                cpus.get(vcpu),
                vmcb,
                () -> RuleValues.of(rule, views[vcpu]));
    }

    @Override
    public void vmexit(int vcpu, long vmcb, VmcbView state, long guestInstructions) {
        Cpu cpu = cpus.get(vcpu);
        gifTimes.cleared(vcpu, cpu.retired());
        VmcbHistory history = histories.computeIfAbsent(vmcb, _ -> new VmcbHistory());
        if (!refused[vcpu]) {
            history.processor = vcpu;
            history.exited(state);
            asids.vmexit(cpu, vmcb, history);
            stale.vmexit(cpu, state);
            hostState.vmexit(cpu);
            hostFpu.vmexit(cpu);
        }
    }

    /** Neither in a guest nor in a handler of SMIs, which is not the hypervisor's. */
    private static boolean inHost(Cpu cpu) {
        return !cpu.guestMode && !cpu.smm.active();
    }

    private void executing(Cpu cpu, Insn insn) {
        if (inHost(cpu) && insn.row != null) {
            hostState.executing(cpu, insn);
            hostFpu.executing(cpu, insn);
        }
    }

    @Override
    public void gif(int vcpu, boolean set) {
        Cpu cpu = cpus.get(vcpu);
        if (!inHost(cpu)) {
            return;
        }
        hostState.gif(cpu, set);
        if (set) {
            gifTimes.set(vcpu, cpu.retired(), cpu.clock.retired);
        } else {
            gifTimes.cleared(vcpu, cpu.retired());
        }
    }

    @Override
    public void nestedTranslation(int vcpu, long guestPage, long page, boolean writable) {
        reach.translated(cpus.get(vcpu), guestPage, page, writable);
        stale.nestedTranslation(cpus.get(vcpu), guestPage, writable);
    }

    @Override
    public void translation(int vcpu, long page, boolean writable) {
        stale.translation(cpus.get(vcpu), page, writable);
    }

    @Override
    public void vmloadSave(int vcpu, long vmcb, boolean save) {
        if (!save && inHost(cpus.get(vcpu))) {
            hostState.vmload(cpus.get(vcpu));
        }
    }

    @Override
    public void delivering(int vcpu) {
        if (inHost(cpus.get(vcpu))) {
            hostState.delivering(cpus.get(vcpu));
            hostFpu.delivering(cpus.get(vcpu));
        }
    }

    @Override
    public void delivery(
            int vcpu, int vector, int type, boolean hasErrorCode, long errorCode, long rip) {
        if (inHost(cpus.get(vcpu))) {
            hostState.delivered(cpus.get(vcpu), vector);
        }
    }

    @Override
    public void invlpga(int vcpu, long va, int asid) {
        stale.invlpga(vcpu, va, asid);
    }

    @Override
    public void tlbFlushed(int vcpu, int asid, boolean globals, TlbFlushCause cause) {
        asids.flushed(vcpu, asid);
        stale.flushed(vcpu, asid);
    }

    @Override
    public void tlbPageFlushed(int vcpu, int asid, long va) {
        stale.invlpga(vcpu, va, asid);
    }

    /** The VMCB fields that a consistency rule speaks of, with their values. */
    static final class RuleValues {
        private record Word(String inRule, String field, int offset, int size) {}

        private static final List<Word> WORDS =
                List.of(
                        new Word("EFER", "EFER", VmcbLayout.EFER, 8),
                        new Word("CR0", "CR0", VmcbLayout.CR0, 8),
                        new Word("of CR3", "CR3", VmcbLayout.CR3, 8),
                        new Word("CR4", "CR4", VmcbLayout.CR4, 8),
                        new Word("DR6", "DR6", VmcbLayout.DR6, 8),
                        new Word("DR7", "DR7", VmcbLayout.DR7, 8),
                        new Word("CS.L", "CS.ATTRIB", VmcbLayout.CS + VmcbLayout.ATTRIBUTES, 2),
                        new Word("intercept", "INTERCEPT_MISC2", VmcbLayout.INTERCEPT_MISC2, 4),
                        new Word("MSR permission", "MSRPM_BASE_PA", VmcbLayout.MSRPM_BASE_PA, 8),
                        new Word("I/O permission", "IOPM_BASE_PA", VmcbLayout.IOPM_BASE_PA, 8),
                        new Word("event injection", "EVENTINJ", VmcbLayout.EVENTINJ, 8),
                        new Word("ASID", "ASID", VmcbLayout.ASID, 4),
                        new Word("nCR3", "N_CR3", VmcbLayout.N_CR3, 8),
                        new Word("G_PAT", "G_PAT", VmcbLayout.G_PAT, 8),
                        new Word("page-directory-pointer", "CR3", VmcbLayout.CR3, 8));

        private RuleValues() {}

        static String of(String rule, VmcbView vmcb) {
            StringBuilder text = new StringBuilder();
            for (Word word : WORDS) {
                if (rule.contains(word.inRule)) {
                    text.append(text.isEmpty() ? "" : ", ");
                    text.append("%s 0x%x".formatted(word.field, vmcb.get(word.offset, word.size)));
                }
            }
            return text.toString();
        }
    }
}
