package dev.pacifica.recorder;

import dev.pacifica.emulator.observe.HypervisorFinding;
import dev.pacifica.emulator.observe.MachineObserver;
import dev.pacifica.emulator.observe.TlbFlushCause;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import dev.pacifica.emulator.svm.VmcbLayout;
import dev.pacifica.emulator.time.VirtualClock;
import dev.pacifica.schemas.EventKind;
import dev.pacifica.schemas.EventReader;
import dev.pacifica.schemas.EventWriter;
import dev.pacifica.schemas.Events;
import dev.pacifica.schemas.ExitReason;
import java.util.Arrays;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * Turns what the machine tells its observer into event records, collected to blocks. The recorder
 * writes the blocks, the replayer compares them with the recorded ones; so both see the machine
 * through the same eyes.
 */
public final class EventEncoder implements MachineObserver, Stateful {
    /** Takes blocks of records. */
    @FunctionalInterface
    public interface Sink {
        /** Takes a block; the encoder goes on with the one returned, which may be the same. */
        EventBlock block(EventBlock closed);
    }

    /**
     * A recorded event that tells of the run without being part of it, as a finding of the
     * sanitizer.
     */
    public record Remark(long sequence, long insnCount, byte[] bytes) {
        /** Whether an event of this kind is one. */
        public static boolean is(EventKind kind) {
            return kind.equals(Events.Check.KIND);
        }

        public static Remark of(EventReader event) {
            return new Remark(event.sequence(), event.insnCount(), event.record());
        }
    }

    private static final int RCX = 1;
    private static final int RDX = 2;
    private static final int RBX = 3;
    private static final int RSI = 6;

    private final RecordedMachine machine;
    private final VirtualClock clock;
    private final Sink sink;
    private EventBlock block = new EventBlock();

    /** How far the last block reaches. */
    private long reached;

    /** Of each processor: sequence of the vmrun event whose guest is running, or -1. */
    private final long[] runningVmrun;

    private final long[] vmrunTime;
    private final long[] exitInsn;
    private final long[] exitTime;
    private long inputs;
    private final List<Remark> remarks;
    private int nextRemark;

    public EventEncoder(RecordedMachine machine, Sink sink) {
        this(machine, sink, null);
    }

    /**
     * @param remarks recorded events that are not the machine's own, in their order: they are taken
     *     over at their places, and what would make new ones is not heard; null while recording
     */
    public EventEncoder(RecordedMachine machine, Sink sink, List<Remark> remarks) {
        this.remarks = remarks;
        this.machine = machine;
        this.clock = machine.clock();
        this.sink = sink;
        int vcpus = machine.vcpus();
        runningVmrun = new long[vcpus];
        vmrunTime = new long[vcpus];
        exitInsn = new long[vcpus];
        exitTime = new long[vcpus];
        Arrays.fill(runningVmrun, -1);
    }

    /** How many events there were, those in the unfinished block included. */
    public long events() {
        return block.firstSequence() + block.count();
    }

    /** How many inputs were delivered. */
    public long inputs() {
        return inputs;
    }

    /**
     * Hands the unfinished block over, even an empty one if the machine has come further since the
     * last: it tells how far.
     */
    public void flush() {
        takeRemarks(clock.retired);
        hand();
    }

    private void hand() {
        if (block.count() > 0 || clock.retired != reached) {
            long next = events();
            reached = clock.retired;
            block.close(reached, clock.now());
            block = sink.block(block);
            block.reset(next);
        }
    }

    private EventWriter begin(EventKind kind, int vcpu) {
        takeRemarks(Long.MAX_VALUE);
        add();
        return block.out.begin(kind, vcpu, clock.retired, clock.now());
    }

    private void add() {
        if (block.count() == EventBlock.CAPACITY) {
            hand();
        }
        block.add();
    }

    /** Takes those recorded remarks over that come next, up to an instruction count. */
    private void takeRemarks(long insnCount) {
        if (remarks == null) {
            return;
        }
        while (nextRemark < remarks.size()
                && remarks.get(nextRemark).sequence == events()
                && remarks.get(nextRemark).insnCount <= insnCount) {
            add();
            block.out.append(remarks.get(nextRemark++).bytes);
        }
    }

    @Override
    public void finding(HypervisorFinding finding) {
        if (remarks != null) {
            return;
        }
        begin(Events.Check.KIND, finding.vcpu())
                .set(Events.Check.VMCB, finding.vmcb())
                .set(Events.Check.RIP, finding.rip())
                .set(Events.Check.COUNT, finding.count())
                .set(Events.Check.MISTAKE, finding.mistake())
                .set(Events.Check.IN_GUEST, finding.inGuest())
                .set(Events.Check.FINDING, finding.kind())
                .set(Events.Check.SUBJECT, finding.subject())
                .set(Events.Check.SECTION, finding.section())
                .set(Events.Check.DETAIL, finding.detail());
    }

    @Override
    public void vmrun(int vcpu, long vmcb, VmcbView state) {
        long now = clock.now();
        int asid = (int) state.get(VmcbLayout.ASID, 4);
        int tlbControl = (int) state.get(VmcbLayout.TLB_CONTROL, 1);
        begin(Events.Vmrun.KIND, vcpu)
                .set(Events.Vmrun.VMCB, vmcb)
                .set(Events.Vmrun.GUEST_RIP, state.get(VmcbLayout.RIP, 8))
                .set(Events.Vmrun.NESTED_CR3, state.get(VmcbLayout.N_CR3, 8))
                .set(Events.Vmrun.EVENT_INJ, state.get(VmcbLayout.EVENTINJ, 8))
                .set(Events.Vmrun.INT_CTL, state.get(VmcbLayout.V_INTR, 8))
                .set(Events.Vmrun.TSC_OFFSET, state.get(VmcbLayout.TSC_OFFSET, 8))
                .set(Events.Vmrun.HOST_INSTRUCTIONS, machine.retired(vcpu) - exitInsn[vcpu])
                .set(Events.Vmrun.HOST_NS, now - exitTime[vcpu])
                .set(Events.Vmrun.ASID, asid)
                .set(Events.Vmrun.CLEAN_BITS, state.get(VmcbLayout.CLEAN_BITS, 4))
                .set(Events.Vmrun.TLB_CONTROL, tlbControl)
                .set(Events.Vmrun.NP_ENABLE, state.get(VmcbLayout.NP_ENABLE, 1) & 1)
                .set(Events.Vmrun.INT_SHADOW, state.get(VmcbLayout.INTERRUPT_SHADOW, 1) & 1);
        runningVmrun[vcpu] = events() - 1;
        vmrunTime[vcpu] = now;
        if (tlbControl != 0) {
            begin(Events.TlbControl.KIND, vcpu)
                    .set(Events.TlbControl.VMCB, vmcb)
                    .set(Events.TlbControl.ASID, asid)
                    .set(Events.TlbControl.TLB_CONTROL, tlbControl);
        }
    }

    @Override
    public void vmexit(int vcpu, long vmcb, VmcbView state, long guestInstructions) {
        long now = clock.now();
        long code = state.get(VmcbLayout.EXITCODE, 8);
        long info1 = state.get(VmcbLayout.EXITINFO1, 8);
        long info2 = state.get(VmcbLayout.EXITINFO2, 8);
        long intInfo = state.get(VmcbLayout.EXITINTINFO, 8);
        long rip = state.get(VmcbLayout.RIP, 8);
        long rax = state.get(VmcbLayout.RAX, 8);
        long vmrun = runningVmrun[vcpu];
        begin(Events.Vmexit.KIND, vcpu)
                .set(Events.Vmexit.VMRUN_SEQUENCE, vmrun)
                .set(Events.Vmexit.VMCB, vmcb)
                .set(Events.Vmexit.EXIT_CODE, code)
                .set(Events.Vmexit.GUEST_RIP, rip)
                .set(Events.Vmexit.INFO1, info1)
                .set(Events.Vmexit.INFO2, info2)
                .set(Events.Vmexit.INTR_INFO, intInfo)
                .set(Events.Vmexit.ERROR_CODE, intInfo >>> 32)
                .set(Events.Vmexit.NRIP, state.get(VmcbLayout.NRIP, 8))
                .set(Events.Vmexit.GUEST_INSTRUCTIONS, guestInstructions)
                .set(Events.Vmexit.GUEST_NS, vmrun < 0 ? 0 : now - vmrunTime[vcpu])
                .set(Events.Vmexit.RAX, rax)
                .set(Events.Vmexit.RSP, state.get(VmcbLayout.RSP, 8))
                .set(Events.Vmexit.RFLAGS, state.get(VmcbLayout.RFLAGS, 8))
                .set(Events.Vmexit.CR3, state.get(VmcbLayout.CR3, 8))
                .set(Events.Vmexit.STATE_DIGEST, machine.digest(vcpu))
                .set(Events.Vmexit.CPL, state.get(VmcbLayout.CPL, 1));
        runningVmrun[vcpu] = -1;
        exitInsn[vcpu] = machine.retired(vcpu);
        exitTime[vcpu] = now;
        detail(vcpu, code, info1, info2, rip, rax);
    }

    /** What the exit code's own exit information says, as an event of its own. */
    private void detail(int vcpu, long code, long info1, long info2, long rip, long rax) {
        if (code == ExitReason.NPF) {
            begin(Events.Npf.KIND, vcpu)
                    .set(Events.Npf.GPA, info2)
                    .set(Events.Npf.ERROR_CODE, info1)
                    .set(Events.Npf.GUEST_RIP, rip);
        } else if (code == ExitReason.IOIO) {
            ioio(vcpu, info1, info2, rip, rax);
        } else if (code == ExitReason.MSR) {
            boolean write = (info1 & 1) != 0;
            long value = write ? machine.register(vcpu, RDX) << 32 | rax & 0xffff_ffffL : 0;
            begin(Events.Msr.KIND, vcpu)
                    .set(Events.Msr.GUEST_RIP, rip)
                    .set(Events.Msr.MSR, machine.register(vcpu, RCX) & 0xffff_ffffL)
                    .set(Events.Msr.VALUE, value)
                    .set(Events.Msr.WRITE, write);
        } else if (code == ExitReason.CPUID) {
            begin(Events.Cpuid.KIND, vcpu)
                    .set(Events.Cpuid.GUEST_RIP, rip)
                    .set(Events.Cpuid.LEAF, rax & 0xffff_ffffL)
                    .set(Events.Cpuid.SUBLEAF, machine.register(vcpu, RCX) & 0xffff_ffffL);
        } else if (code == ExitReason.VMMCALL) {
            begin(Events.Vmmcall.KIND, vcpu)
                    .set(Events.Vmmcall.GUEST_RIP, rip)
                    .set(Events.Vmmcall.RAX, rax)
                    .set(Events.Vmmcall.RBX, machine.register(vcpu, RBX))
                    .set(Events.Vmmcall.RCX, machine.register(vcpu, RCX))
                    .set(Events.Vmmcall.RDX, machine.register(vcpu, RDX))
                    .set(Events.Vmmcall.RSI, machine.register(vcpu, RSI));
        } else if (code >= 0 && code < ExitReason.READ_DR0 || code == ExitReason.CR0_SEL_WRITE) {
            crAccess(vcpu, code, info1, rip, rax);
        } else if (code >= ExitReason.READ_DR0 && code < ExitReason.EXCEPTION) {
            begin(Events.DrAccess.KIND, vcpu)
                    .set(Events.DrAccess.GUEST_RIP, rip)
                    .set(Events.DrAccess.INFO1, info1)
                    .set(Events.DrAccess.REGISTER, code & 15)
                    .set(Events.DrAccess.WRITE, code >= ExitReason.WRITE_DR0);
        } else if (code >= ExitReason.EXCEPTION && code < ExitReason.INTR) {
            begin(Events.ExceptionIntercept.KIND, vcpu)
                    .set(Events.ExceptionIntercept.GUEST_RIP, rip)
                    .set(Events.ExceptionIntercept.ERROR_CODE, info1)
                    .set(Events.ExceptionIntercept.ADDRESS, info2)
                    .set(Events.ExceptionIntercept.VECTOR, code - ExitReason.EXCEPTION);
        } else if (code >= ExitReason.INTR && code <= ExitReason.INIT) {
            begin(Events.InterruptIntercept.KIND, vcpu)
                    .set(Events.InterruptIntercept.GUEST_RIP, rip)
                    .set(Events.InterruptIntercept.SOURCE, source((int) (code - ExitReason.INTR)));
        }
    }

    private static String source(int fromIntr) {
        return switch (fromIntr) {
            case 0 -> "intr";
            case 1 -> "nmi";
            case 2 -> "smi";
            default -> "init";
        };
    }

    /** EXITINFO1 of §15.10.2: bit 0 IN, 2 string, 3 REP, 6:4 size, 31:16 port. */
    private void ioio(int vcpu, long info1, long info2, long rip, long rax) {
        int size = (int) (info1 >>> 4 & 7);
        boolean in = (info1 & 1) != 0;
        boolean string = (info1 & 4) != 0;
        begin(Events.Ioio.KIND, vcpu)
                .set(Events.Ioio.GUEST_RIP, rip)
                .set(Events.Ioio.NEXT_RIP, info2)
                .set(Events.Ioio.VALUE, in || string ? 0 : rax & (1L << 8 * size) - 1)
                .set(Events.Ioio.PORT, info1 >>> 16)
                .set(Events.Ioio.SIZE, size)
                .set(Events.Ioio.IN, in)
                .set(Events.Ioio.STRING, string)
                .set(Events.Ioio.REP, (info1 & 8) != 0);
    }

    private void crAccess(int vcpu, long code, long info1, long rip, long rax) {
        boolean selective = code == ExitReason.CR0_SEL_WRITE;
        boolean write = selective || code >= ExitReason.WRITE_CR0;
        int register = (int) (info1 & 15);
        long value = 0;
        // RSP of the guest is gone from the register file by now; MOV CR from RSP is not worth
        // more.
        if (write && info1 < 0 && register != 4) {
            value = register == 0 ? rax : machine.register(vcpu, register);
        }
        begin(Events.CrAccess.KIND, vcpu)
                .set(Events.CrAccess.GUEST_RIP, rip)
                .set(Events.CrAccess.INFO1, info1)
                .set(Events.CrAccess.VALUE, value)
                .set(Events.CrAccess.REGISTER, selective ? 0 : code & 15)
                .set(Events.CrAccess.WRITE, write);
    }

    @Override
    public void consistencyFailure(int vcpu, long vmcb, String rule) {
        begin(Events.ConsistencyFailure.KIND, vcpu)
                .set(Events.ConsistencyFailure.VMCB, vmcb)
                .set(Events.ConsistencyFailure.RULE, rule);
    }

    @Override
    public void vmcbChange(
            int vcpu, long vmcb, int offset, int size, long oldValue, long newValue) {
        begin(Events.VmcbChange.KIND, vcpu)
                .set(Events.VmcbChange.VMCB, vmcb)
                .set(Events.VmcbChange.OLD, oldValue)
                .set(Events.VmcbChange.NEW, newValue)
                .set(Events.VmcbChange.OFFSET, offset)
                .set(Events.VmcbChange.SIZE, size);
    }

    @Override
    public void vmloadSave(int vcpu, long vmcb, boolean save) {
        if (save) {
            begin(Events.Vmsave.KIND, vcpu).set(Events.Vmsave.VMCB, vmcb);
        } else {
            begin(Events.Vmload.KIND, vcpu).set(Events.Vmload.VMCB, vmcb);
        }
    }

    @Override
    public void gif(int vcpu, boolean set) {
        begin(set ? Events.Stgi.KIND : Events.Clgi.KIND, vcpu);
    }

    @Override
    public void invlpga(int vcpu, long va, int asid) {
        begin(Events.Invlpga.KIND, vcpu)
                .set(Events.Invlpga.ADDRESS, va)
                .set(Events.Invlpga.ASID, asid);
    }

    /** A VMRUN's flush is in its tlb_control event. */
    @Override
    public void tlbFlushed(int vcpu, int asid, boolean globals, TlbFlushCause cause) {
        if (cause != TlbFlushCause.VMRUN) {
            begin(Events.TlbFlush.KIND, vcpu)
                    .set(Events.TlbFlush.ASID, asid < 0 ? 0 : asid)
                    .set(Events.TlbFlush.ALL, asid < 0)
                    .set(Events.TlbFlush.GLOBALS, globals)
                    .set(Events.TlbFlush.CAUSE, cause.label());
        }
    }

    @Override
    public void tlbPageFlushed(int vcpu, int asid, long va) {
        begin(Events.TlbFlush.KIND, vcpu)
                .set(Events.TlbFlush.ADDRESS, va)
                .set(Events.TlbFlush.ASID, asid)
                .set(Events.TlbFlush.PAGE, true)
                .set(Events.TlbFlush.GLOBALS, true)
                .set(Events.TlbFlush.CAUSE, "invlpgb");
    }

    @Override
    public void injection(int vcpu, long vmcb, long eventInjection) {
        begin(Events.Injection.KIND, vcpu)
                .set(Events.Injection.VMCB, vmcb)
                .set(Events.Injection.EVENT_INJ, eventInjection)
                .set(Events.Injection.ERROR_CODE, eventInjection >>> 32)
                .set(Events.Injection.VECTOR, eventInjection & 0xff)
                .set(Events.Injection.TYPE, eventInjection >>> 8 & 7)
                .set(Events.Injection.HAS_ERROR_CODE, (eventInjection >>> 11 & 1) != 0);
    }

    @Override
    public void virtualInterrupt(int vcpu, int vector) {
        begin(Events.VirtualInterrupt.KIND, vcpu).set(Events.VirtualInterrupt.VECTOR, vector);
    }

    @Override
    public void delivery(
            int vcpu, int vector, int type, boolean hasErrorCode, long errorCode, long rip) {
        begin(Events.Delivery.KIND, vcpu)
                .set(Events.Delivery.RIP, rip)
                .set(Events.Delivery.ERROR_CODE, errorCode)
                .set(Events.Delivery.VECTOR, vector)
                .set(Events.Delivery.TYPE, type)
                .set(Events.Delivery.HAS_ERROR_CODE, hasErrorCode)
                .set(Events.Delivery.IN_GUEST, runningVmrun[vcpu] >= 0);
    }

    @Override
    public void halt(int vcpu, int reason) {
        begin(Events.Halt.KIND, vcpu).set(Events.Halt.ACTIVITY, reason);
    }

    @Override
    public void serialOutput(int device, int value) {
        begin(Events.Console.KIND, 0)
                .set(Events.Console.DEVICE, device)
                .set(Events.Console.VALUE, value);
    }

    @Override
    public void input(int kind, int device, byte[] data) {
        CRC32C crc = new CRC32C();
        crc.update(data, 0, data.length);
        begin(Events.Input.KIND, 0)
                .set(Events.Input.INPUT_SEQUENCE, inputs++)
                .set(Events.Input.DIGEST, crc.getValue())
                .set(Events.Input.BYTES, data.length)
                .set(Events.Input.INPUT_KIND, kind)
                .set(Events.Input.DEVICE, device);
    }

    @Override
    public void stopped(String reason, int status) {
        begin(Events.Stop.KIND, 0).set(Events.Stop.STATUS, status).set(Events.Stop.REASON, reason);
    }

    /** A checkpoint is taken now. */
    public void checkpoint(int number) {
        begin(Events.Checkpoint.KIND, 0).set(Events.Checkpoint.CHECKPOINT, number);
    }

    /** What the machine's state is now. */
    public void stateDigest(long devices, long dirtyPages) {
        begin(Events.StateDigest.KIND, 0)
                .set(Events.StateDigest.DEVICES, devices)
                .set(Events.StateDigest.DIRTY_PAGES, dirtyPages);
    }

    @Override
    public void save(StateWriter to) {
        to.section("events");
        to.u64("events", events());
        to.u64("inputs", inputs);
        to.longs("running", runningVmrun);
        to.longs("vmrunTime", vmrunTime);
        to.longs("exitInsn", exitInsn);
        to.longs("exitTime", exitTime);
    }

    @Override
    public void load(StateReader from) {
        from.section("events");
        block.reset(from.u64("events"));
        nextRemark = 0;
        while (remarks != null
                && nextRemark < remarks.size()
                && remarks.get(nextRemark).sequence < events()) {
            nextRemark++;
        }
        reached = clock.retired;
        inputs = from.u64("inputs");
        from.longs("running", runningVmrun);
        from.longs("vmrunTime", vmrunTime);
        from.longs("exitInsn", exitInsn);
        from.longs("exitTime", exitTime);
    }
}
