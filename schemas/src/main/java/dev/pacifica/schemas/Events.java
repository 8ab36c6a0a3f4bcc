package dev.pacifica.schemas;

import java.util.List;

/**
 * Every kind of event, declared once: records, SQL tables and their documentation come from here. A
 * change of any field raises {@link TraceFormat#VERSION}. Names are those of KVM's tracepoints and
 * of the AMD manual (Volume 2, chapter 15).
 */
public final class Events {
    private Events() {}

    /** The largest record of any kind in bytes. */
    public static final int MAX_LENGTH = 304;

    /** VMRUN entered a guest (§15.5). */
    public static final class Vmrun {
        private static final EventKind.Layout L =
                new EventKind.Layout(1, "vmrun", "VMRUN entered a guest (§15.5)");
        public static final EventField VMCB = L.bits64("vmcb", "Physical address of the VMCB");
        public static final EventField GUEST_RIP =
                L.bits64("guest_rip", "RIP at which the guest goes on");
        public static final EventField NESTED_CR3 =
                L.bits64("nested_cr3", "N_CR3, the root of the nested page tables");
        public static final EventField EVENT_INJ =
                L.bits64("event_inj", "EVENTINJ as VMRUN found it (§15.20)");
        public static final EventField INT_CTL =
                L.bits64(
                        "int_ctl",
                        "Virtual interrupt control, VMCB offset 060h: V_TPR, V_IRQ, V_INTR_VECTOR …"
                                + " (§15.21)");
        public static final EventField TSC_OFFSET = L.bits64("tsc_offset", "TSC_OFFSET (§15.30)");
        public static final EventField HOST_INSTRUCTIONS =
                L.count(
                        "host_instructions",
                        "Instructions the processor retired since its previous #VMEXIT (or"
                                + " power-on)");
        public static final EventField HOST_NS =
                L.count(
                        "host_ns",
                        "Virtual time since the processor's previous #VMEXIT (or power-on)");
        public static final EventField ASID = L.u32("asid", "ASID of the guest");
        public static final EventField CLEAN_BITS = L.u32("clean_bits", "VMCB clean bits (§15.15)");
        public static final EventField TLB_CONTROL =
                L.u8("tlb_control", "TLB_CONTROL: 0 nothing, 1 all, 3 this ASID, 7 its non-global");
        public static final EventField NP_ENABLE = L.flag("np_enable", "Nested paging is on");
        public static final EventField INT_SHADOW =
                L.flag("int_shadow", "The guest starts in an interrupt shadow");
        public static final EventKind KIND = L.kind();

        private Vmrun() {}
    }

    /** A #VMEXIT completed (§15.6). */
    public static final class Vmexit {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        2, "vmexit", "#VMEXIT: the guest was left and the VMCB written (§15.6)");
        public static final EventField VMRUN_SEQUENCE =
                L.count("vmrun_sequence", "Sequence of the vmrun event it ends");
        public static final EventField VMCB = L.bits64("vmcb", "Physical address of the VMCB");
        public static final EventField EXIT_CODE = L.bits64("exit_code", "EXITCODE (appendix C)");
        public static final EventField GUEST_RIP = L.bits64("guest_rip", "RIP of the guest");
        public static final EventField INFO1 = L.bits64("info1", "EXITINFO1");
        public static final EventField INFO2 = L.bits64("info2", "EXITINFO2");
        public static final EventField INTR_INFO =
                L.u32(
                        "intr_info",
                        "EXITINTINFO bits 31:0, the event whose delivery was interrupted"
                                + " (§15.7.2)");
        public static final EventField ERROR_CODE =
                L.u32("error_code", "EXITINTINFO bits 63:32, that event's error code");
        public static final EventField NRIP =
                L.bits64(
                        "nrip",
                        "nRIP, the next instruction's address, where the exit saves it (§15.7.1)");
        public static final EventField GUEST_INSTRUCTIONS =
                L.count("guest_instructions", "Instructions the guest retired since VMRUN");
        public static final EventField GUEST_NS = L.count("guest_ns", "Virtual time since VMRUN");
        public static final EventField RAX = L.bits64("rax", "RAX of the guest");
        public static final EventField RSP = L.bits64("rsp", "RSP of the guest");
        public static final EventField RFLAGS = L.bits64("rflags", "RFLAGS of the guest");
        public static final EventField CR3 = L.bits64("cr3", "CR3 of the guest");
        public static final EventField STATE_DIGEST =
                L.bits64(
                        "state_digest",
                        "Digest of the processor's registers after the exit; replay compares it");
        public static final EventField CPL = L.u8("cpl", "Privilege level of the guest");
        public static final EventKind KIND = L.kind();

        private Vmexit() {}
    }

    /** What a nested page fault exit says (§15.25.6). */
    public static final class Npf {
        private static final EventKind.Layout L =
                new EventKind.Layout(3, "npf", "Nested page fault that left the guest (§15.25.6)");
        public static final EventField GPA =
                L.bits64("gpa", "Guest physical address that could not be translated (EXITINFO2)");
        public static final EventField ERROR_CODE =
                L.bits64(
                        "error_code",
                        "EXITINFO1: bit 0 present, 1 write, 2 user, 3 reserved bit, 4 fetch, 32"
                                + " final address, 33 table walk");
        public static final EventField GUEST_RIP = L.bits64("guest_rip", "RIP of the guest");
        public static final EventKind KIND = L.kind();

        private Npf() {}
    }

    /** What an intercepted IN, OUT, INS or OUTS says (§15.10.2). */
    public static final class Ioio {
        private static final EventKind.Layout L =
                new EventKind.Layout(4, "ioio", "Intercepted IN, OUT, INS or OUTS (§15.10.2)");
        public static final EventField GUEST_RIP = L.bits64("guest_rip", "RIP of the instruction");
        public static final EventField NEXT_RIP =
                L.bits64("next_rip", "RIP of the instruction after it (EXITINFO2)");
        public static final EventField VALUE =
                L.u32("value", "What OUT writes; 0 for IN and for strings");
        public static final EventField PORT = L.u16("port", "I/O port");
        public static final EventField SIZE = L.u8("size", "Width in bytes: 1, 2 or 4");
        public static final EventField IN = L.flag("is_in", "IN or INS, not OUT or OUTS");
        public static final EventField STRING = L.flag("string", "INS or OUTS");
        public static final EventField REP = L.flag("rep", "With a REP prefix");
        public static final EventKind KIND = L.kind();

        private Ioio() {}
    }

    /** Intercepted RDMSR or WRMSR (§15.11). */
    public static final class Msr {
        private static final EventKind.Layout L =
                new EventKind.Layout(5, "msr", "Intercepted RDMSR or WRMSR (§15.11)");
        public static final EventField GUEST_RIP = L.bits64("guest_rip", "RIP of the instruction");
        public static final EventField MSR = L.bits64("msr", "Number of the MSR (ECX)");
        public static final EventField VALUE =
                L.bits64("value", "What WRMSR writes (EDX:EAX); 0 for RDMSR");
        public static final EventField WRITE = L.flag("is_write", "WRMSR, not RDMSR");
        public static final EventKind KIND = L.kind();

        private Msr() {}
    }

    /** Intercepted CPUID. */
    public static final class Cpuid {
        private static final EventKind.Layout L =
                new EventKind.Layout(6, "cpuid", "Intercepted CPUID (§15.9)");
        public static final EventField GUEST_RIP = L.bits64("guest_rip", "RIP of the instruction");
        public static final EventField LEAF = L.bits64("leaf", "Function asked for (EAX)");
        public static final EventField SUBLEAF =
                L.bits64("subleaf", "Sub-function asked for (ECX)");
        public static final EventKind KIND = L.kind();

        private Cpuid() {}
    }

    /** Intercepted access to a control register (§15.8.1). */
    public static final class CrAccess {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        7, "cr_access", "Intercepted access to a control register (§15.8.1)");
        public static final EventField GUEST_RIP = L.bits64("guest_rip", "RIP of the instruction");
        public static final EventField INFO1 =
                L.bits64(
                        "info1",
                        "EXITINFO1: bit 63 MOV to or from CR, bits 3:0 the general register");
        public static final EventField VALUE =
                L.bits64("value", "What a MOV writes to the control register; 0 otherwise");
        public static final EventField REGISTER = L.u8("cr", "Number of the control register");
        public static final EventField WRITE = L.flag("is_write", "A write");
        public static final EventKind KIND = L.kind();

        private CrAccess() {}
    }

    /** Intercepted access to a debug register (§15.8.1). */
    public static final class DrAccess {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        8, "dr_access", "Intercepted access to a debug register (§15.8.1)");
        public static final EventField GUEST_RIP = L.bits64("guest_rip", "RIP of the instruction");
        public static final EventField INFO1 =
                L.bits64("info1", "EXITINFO1: bits 3:0 the general register");
        public static final EventField REGISTER = L.u8("dr", "Number of the debug register");
        public static final EventField WRITE = L.flag("is_write", "A write");
        public static final EventKind KIND = L.kind();

        private DrAccess() {}
    }

    /** Intercepted exception (§15.12). */
    public static final class ExceptionIntercept {
        private static final EventKind.Layout L =
                new EventKind.Layout(9, "exception", "Intercepted exception of the guest (§15.12)");
        public static final EventField GUEST_RIP = L.bits64("guest_rip", "RIP of the guest");
        public static final EventField ERROR_CODE =
                L.bits64("error_code", "EXITINFO1: the error code, where the exception has one");
        public static final EventField ADDRESS =
                L.bits64("address", "EXITINFO2: the faulting address of #PF");
        public static final EventField VECTOR = L.u8("vector", "Vector of the exception");
        public static final EventKind KIND = L.kind();

        private ExceptionIntercept() {}
    }

    /** Intercepted physical interrupt, NMI, SMI or INIT (§15.13). */
    public static final class InterruptIntercept {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        10,
                        "interrupt",
                        "Intercepted physical interrupt, NMI, SMI or INIT (§15.13)");
        public static final EventField GUEST_RIP = L.bits64("guest_rip", "RIP of the guest");
        public static final EventField SOURCE = L.text("source", 8, "intr, nmi, smi or init");
        public static final EventKind KIND = L.kind();

        private InterruptIntercept() {}
    }

    /** An event that VMRUN injected (§15.20). */
    public static final class Injection {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        11,
                        "injection",
                        "Event that the hypervisor injected into the guest (§15.20)");
        public static final EventField VMCB = L.bits64("vmcb", "Physical address of the VMCB");
        public static final EventField EVENT_INJ =
                L.bits64("event_inj", "EVENTINJ as the hypervisor gave it");
        public static final EventField ERROR_CODE =
                L.u32("error_code", "Error code that is pushed, where one is");
        public static final EventField VECTOR = L.u8("vector", "Vector");
        public static final EventField TYPE =
                L.u8("type", "0 interrupt, 2 NMI, 3 exception, 4 software interrupt");
        public static final EventField HAS_ERROR_CODE =
                L.flag("has_error_code", "An error code is pushed");
        public static final EventKind KIND = L.kind();

        private Injection() {}
    }

    /** A virtual interrupt that the guest took (§15.21.4). */
    public static final class VirtualInterrupt {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        12,
                        "virtual_interrupt",
                        "Virtual interrupt that the guest took through its IDT (§15.21.4)");
        public static final EventField VECTOR = L.u8("vector", "Vector");
        public static final EventKind KIND = L.kind();

        private VirtualInterrupt() {}
    }

    /** Intercepted VMMCALL. */
    public static final class Vmmcall {
        private static final EventKind.Layout L =
                new EventKind.Layout(13, "vmmcall", "Intercepted VMMCALL: a hypercall");
        public static final EventField GUEST_RIP = L.bits64("guest_rip", "RIP of the instruction");
        public static final EventField RAX =
                L.bits64("rax", "RAX, by KVM's convention the hypercall's number");
        public static final EventField RBX = L.bits64("rbx", "RBX");
        public static final EventField RCX = L.bits64("rcx", "RCX");
        public static final EventField RDX = L.bits64("rdx", "RDX");
        public static final EventField RSI = L.bits64("rsi", "RSI");
        public static final EventKind KIND = L.kind();

        private Vmmcall() {}
    }

    /** VMLOAD by the hypervisor (§15.5.2). */
    public static final class Vmload {
        private static final EventKind.Layout L =
                new EventKind.Layout(14, "vmload", "VMLOAD (§15.5.2)");
        public static final EventField VMCB = L.bits64("vmcb", "Physical address of the VMCB");
        public static final EventKind KIND = L.kind();

        private Vmload() {}
    }

    /** VMSAVE by the hypervisor (§15.5.2). */
    public static final class Vmsave {
        private static final EventKind.Layout L =
                new EventKind.Layout(15, "vmsave", "VMSAVE (§15.5.2)");
        public static final EventField VMCB = L.bits64("vmcb", "Physical address of the VMCB");
        public static final EventKind KIND = L.kind();

        private Vmsave() {}
    }

    /** STGI by the hypervisor (§15.17). */
    public static final class Stgi {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        16, "stgi", "STGI: the global interrupt flag was set (§15.17)");
        public static final EventKind KIND = L.kind();

        private Stgi() {}
    }

    /** CLGI by the hypervisor (§15.17). */
    public static final class Clgi {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        17, "clgi", "CLGI: the global interrupt flag was cleared (§15.17)");
        public static final EventKind KIND = L.kind();

        private Clgi() {}
    }

    /** INVLPGA (§15.16.2). */
    public static final class Invlpga {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        18, "invlpga", "INVLPGA: one page of one ASID was flushed (§15.16.2)");
        public static final EventField ADDRESS = L.bits64("address", "Virtual address");
        public static final EventField ASID = L.u32("asid", "ASID");
        public static final EventKind KIND = L.kind();

        private Invlpga() {}
    }

    /** A VMRUN that flushed the TLB (§15.16.1). */
    public static final class TlbControl {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        19, "tlb_control", "VMRUN with a TLB_CONTROL other than 0 (§15.16.1)");
        public static final EventField VMCB = L.bits64("vmcb", "Physical address of the VMCB");
        public static final EventField ASID = L.u32("asid", "ASID of the guest");
        public static final EventField TLB_CONTROL =
                L.u8(
                        "tlb_control",
                        "1 flush all, 3 flush this ASID, 7 flush its non-global entries");
        public static final EventKind KIND = L.kind();

        private TlbControl() {}
    }

    /** The hypervisor changed a VMCB field between a #VMEXIT and the next VMRUN. */
    public static final class VmcbChange {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        20,
                        "vmcb_change",
                        "VMCB field that the hypervisor changed between a #VMEXIT and the next"
                                + " VMRUN");
        public static final EventField VMCB = L.bits64("vmcb", "Physical address of the VMCB");
        public static final EventField OLD = L.bits64("old_value", "Value that #VMEXIT left");
        public static final EventField NEW = L.bits64("new_value", "Value that VMRUN found");
        public static final EventField OFFSET =
                L.u16("field_offset", "Offset of the field in the VMCB (appendix B)");
        public static final EventField SIZE =
                L.u8("field_size", "Size of the field in bytes, 1 to 8");
        public static final EventKind KIND = L.kind();

        private VmcbChange() {}
    }

    /** VMRUN refused a guest state (§15.5.1). */
    public static final class ConsistencyFailure {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        21,
                        "consistency_failure",
                        "VMRUN refused the guest's state: VMEXIT_INVALID follows (§15.5.1)");
        public static final EventField VMCB = L.bits64("vmcb", "Physical address of the VMCB");
        public static final EventField RULE = L.text("rule", 96, "The rule that failed");
        public static final EventKind KIND = L.kind();

        private ConsistencyFailure() {}
    }

    /** A byte left a serial port. */
    public static final class Console {
        private static final EventKind.Layout L =
                new EventKind.Layout(22, "console", "A byte left a serial port of the machine");
        public static final EventField DEVICE = L.u8("device", "0 COM1, 1 COM2");
        public static final EventField VALUE = L.u8("value", "The byte");
        public static final EventKind KIND = L.kind();

        private Console() {}
    }

    /** Something from outside reached the machine. */
    public static final class Input {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        23,
                        "input",
                        "Something from outside reached the machine; the input log has its bytes");
        public static final EventField INPUT_SEQUENCE =
                L.count("input_sequence", "Number of the input in the input log, from 0");
        public static final EventField DIGEST = L.bits64("digest", "Digest of the bytes");
        public static final EventField BYTES = L.u32("bytes", "Number of bytes");
        public static final EventField INPUT_KIND =
                L.u16("input_kind", "1 bytes received by a serial port");
        public static final EventField DEVICE = L.u8("device", "0 COM1, 1 COM2");
        public static final EventKind KIND = L.kind();

        private Input() {}
    }

    /** A checkpoint was taken. */
    public static final class Checkpoint {
        private static final EventKind.Layout L =
                new EventKind.Layout(24, "checkpoint", "A checkpoint was taken");
        public static final EventField CHECKPOINT =
                L.u32("checkpoint", "Number of the checkpoint, from 0");
        public static final EventKind KIND = L.kind();

        private Checkpoint() {}
    }

    /** What the whole machine looked like. */
    public static final class StateDigest {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        25,
                        "state_digest",
                        "Digest of the machine at a checkpoint or at the end; replay compares it");
        public static final EventField DEVICES =
                L.bits64("devices", "Digest of processors and devices");
        public static final EventField DIRTY_PAGES =
                L.count("dirty_pages", "RAM pages written since the checkpoint before");
        public static final EventKind KIND = L.kind();

        private StateDigest() {}
    }

    /** A processor halted. */
    public static final class Halt {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        26, "halt", "A processor stopped executing: HLT, MWAIT or shutdown");
        public static final EventField ACTIVITY =
                L.u8("activity", "1 HLT, 2 MWAIT, 3 shutdown, 4 waits for SIPI");
        public static final EventKind KIND = L.kind();

        private Halt() {}
    }

    /** The machine ended. */
    public static final class Stop {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        27, "stop", "The machine ended: power-off, reset, debug exit …");
        public static final EventField STATUS =
                L.i32("status", "Exit status that the guest asked for");
        public static final EventField REASON = L.text("reason", 64, "Why");
        public static final EventKind KIND = L.kind();

        private Stop() {}
    }

    /** An interrupt or exception went through an IDT. */
    public static final class Delivery {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        28,
                        "delivery",
                        "Interrupt or exception that was delivered through the IDT, in host or"
                                + " guest");
        public static final EventField RIP = L.bits64("rip", "RIP that was interrupted");
        public static final EventField ERROR_CODE =
                L.bits64("error_code", "Error code; 0 where none was pushed");
        public static final EventField VECTOR = L.u8("vector", "Vector");
        public static final EventField TYPE =
                L.u8("type", "0 interrupt, 2 NMI, 3 exception, 4 software interrupt");
        public static final EventField HAS_ERROR_CODE =
                L.flag("has_error_code", "An error code was pushed");
        public static final EventField IN_GUEST = L.flag("in_guest", "A guest took it");
        public static final EventKind KIND = L.kind();

        private Delivery() {}
    }

    /** A mistake of the hypervisor, found while recording with the checks on. */
    public static final class Check {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        29,
                        "check",
                        "Mistake of the hypervisor that the sanitizer found (record --check): at"
                                + " its 1st, 2nd, 4th, 8th … occurrence, and once more at the end");
        public static final EventField VMCB = L.bits64("vmcb", "Physical address of the VMCB");
        public static final EventField RIP =
                L.bits64("rip", "RIP of the VMRUN, or of the access if in_guest");
        public static final EventField COUNT =
                L.count("occurrences", "How often kind and subject were found so far");
        public static final EventField MISTAKE =
                L.flag("mistake", "The manual forbids it; otherwise it is advice");
        public static final EventField IN_GUEST = L.flag("in_guest", "RIP is the guest's");
        public static final EventField FINDING = L.text("finding", 30, "Kind of the mistake");
        public static final EventField SUBJECT =
                L.text("subject", 96, "What it is about: a VMCB field, a rule, a register");
        public static final EventField SECTION =
                L.text("section", 32, "Where the manual (APM Vol 2) tells of it");
        public static final EventField DETAIL = L.text("detail", 96, "Values, for a person");
        public static final EventKind KIND = L.kind();

        private Check() {}
    }

    /** A processor dropped translations, other than by VMRUN and INVLPGA. */
    public static final class TlbFlush {
        private static final EventKind.Layout L =
                new EventKind.Layout(
                        30,
                        "tlb_flush",
                        "Processor dropped translations of an ASID or of all, by INVLPGB, SMI, RSM,"
                                + " MTRRs, INIT … (§15.16.1); not by VMRUN, INVLPGA and what a"
                                + " program does to its own address space");
        public static final EventField ADDRESS =
                L.bits64("address", "Virtual address, if it was one page");
        public static final EventField ASID = L.u32("asid", "ASID, unless it was all");
        public static final EventField ALL = L.flag("all_asids", "Every ASID");
        public static final EventField PAGE = L.flag("page", "One page only");
        public static final EventField GLOBALS = L.flag("globals", "Global pages too");
        public static final EventField CAUSE =
                L.text("cause", 13, "invlpgb, smi, rsm, msr, smm_ctl, init or reset");
        public static final EventKind KIND = L.kind();

        private TlbFlush() {}
    }

    private static final List<EventKind> KINDS =
            List.of(
                    Vmrun.KIND,
                    Vmexit.KIND,
                    Npf.KIND,
                    Ioio.KIND,
                    Msr.KIND,
                    Cpuid.KIND,
                    CrAccess.KIND,
                    DrAccess.KIND,
                    ExceptionIntercept.KIND,
                    InterruptIntercept.KIND,
                    Injection.KIND,
                    VirtualInterrupt.KIND,
                    Vmmcall.KIND,
                    Vmload.KIND,
                    Vmsave.KIND,
                    Stgi.KIND,
                    Clgi.KIND,
                    Invlpga.KIND,
                    TlbControl.KIND,
                    VmcbChange.KIND,
                    ConsistencyFailure.KIND,
                    Console.KIND,
                    Input.KIND,
                    Checkpoint.KIND,
                    StateDigest.KIND,
                    Halt.KIND,
                    Stop.KIND,
                    Delivery.KIND,
                    Check.KIND,
                    TlbFlush.KIND);

    /** All kinds; the one with code {@code c} is at index {@code c - 1}. */
    public static List<EventKind> kinds() {
        return KINDS;
    }

    /** The kind with the given code, or null. */
    public static EventKind kind(int code) {
        return code >= 1 && code <= KINDS.size() ? KINDS.get(code - 1) : null;
    }
}
