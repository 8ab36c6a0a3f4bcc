package dev.pacifica.emulator.check;

import java.util.Locale;

/** What a hypervisor can do wrong, as far as it is looked for, with what the manual says of it. */
public enum CheckKind {
    VMEXIT_INVALID(
            Level.MISTAKE,
            "§15.5.1",
            "VMRUN of a VMCB that breaks a consistency rule",
            "the guest is not run: #VMEXIT with VMEXIT_INVALID"),
    CLEAN_BIT(
            Level.MISTAKE,
            "§15.15.2",
            "field changed though its clean bit was set",
            "the processor may run the guest with the field as the last #VMEXIT left it"),
    CLEAN_BITS_FIRST_RUN(
            Level.MISTAKE,
            "§15.15.2",
            "clean bits set at the first VMRUN of a VMCB",
            "the processor may take state from another guest's VMCB that was cached for the same"
                    + " address"),
    CLEAN_BITS_OTHER_PROCESSOR(
            Level.MISTAKE,
            "§15.15.2",
            "clean bits set though another processor ran the VMCB last",
            "the processor may take state from when it ran the VMCB itself"),
    RESERVED_BIT(
            Level.MISTAKE,
            "Appendix B",
            "reserved bits of the VMCB are not zero",
            "ignored today; a later processor may give the bit a meaning, or refuse the VMCB"),
    RESERVED_STATE(
            Level.ADVICE,
            "Appendix B",
            "reserved bytes of the VMCB's state-save area are not zero",
            "ignored today; a later processor may load state from them"),
    RESERVED_TLB_CONTROL(
            Level.MISTAKE,
            "§15.16.1",
            "reserved encoding of TLB_CONTROL",
            "undefined: translations may or may not be flushed"),
    FEATURE_NOT_OFFERED(
            Level.MISTAKE,
            "Appendix B, CPUID Fn8000_000A",
            "feature asked for that CPUID does not offer",
            "the bit is ignored: the guest runs without what was asked for"),
    INJECTED_INTERRUPT_MASKED(
            Level.MISTAKE,
            "§15.20",
            "interrupt injected that the guest could not take",
            "it is delivered all the same, where the guest's code does not expect an interrupt"),
    INJECTED_NMI_MASKED(
            Level.MISTAKE,
            "§15.20, §15.21.10",
            "NMI injected that the guest could not take",
            "it is delivered all the same, in the middle of the guest's NMI handler, or while its"
                    + " GIF is clear"),
    INJECTED_ERROR_CODE(
            Level.MISTAKE,
            "§15.20",
            "injected exception with an error code that it has not, or without the one that it has",
            "the handler's stack frame is a word too long or too short"),
    EVENT_LOST(
            Level.MISTAKE,
            "§15.7.2",
            "event of EXITINTINFO not injected again",
            "the interrupt or NMI whose delivery the #VMEXIT interrupted never reaches the guest"),
    SHADOW_LOST(
            Level.MISTAKE,
            "§15.21.5",
            "interrupt shadow lost between #VMEXIT and VMRUN",
            "the guest can be interrupted between STI or MOV SS and the instruction behind"),
    VIRTUAL_INTERRUPT_LOST(
            Level.ADVICE,
            "§15.21.4",
            "pending V_IRQ gone between #VMEXIT and VMRUN, not injected either",
            "the guest never sees the interrupt, unless it was meant to be withdrawn"),
    REACHES_VMCB(
            Level.MISTAKE,
            "§15.25",
            "guest can reach a VMCB through its nested tables",
            "the guest can read or change its own controls"),
    REACHES_HOST_SAVE_AREA(
            Level.MISTAKE,
            "§15.25, §15.30.4",
            "guest can reach a host save area through its nested tables",
            "the guest can read or change the state that #VMEXIT loads"),
    REACHES_PERMISSION_MAP(
            Level.MISTAKE,
            "§15.25, §15.10, §15.11",
            "guest can reach its I/O or MSR permission map through its nested tables",
            "the guest can see, or lift, the intercepts of ports and MSRs"),
    REACHES_NESTED_TABLE(
            Level.MISTAKE,
            "§15.25",
            "guest can reach its nested tables through themselves",
            "the guest can see, or map, any of the host's memory"),
    REACHES_HOST_TABLE(
            Level.MISTAKE,
            "§15.25",
            "guest can reach the host's top page table through its nested tables",
            "the guest can see, or change, the host's address space"),
    OPEN_VMLOAD_VMSAVE(
            Level.MISTAKE,
            "§15.5.2",
            "VMLOAD or VMSAVE neither intercepted nor virtualized",
            "the guest's kernel can load state from, or store it to, any physical page"),
    OPEN_GIF(
            Level.MISTAKE,
            "§15.17",
            "STGI or CLGI neither intercepted nor virtualized",
            "the guest's kernel can hold all interrupts and NMIs off the processor"),
    OPEN_SVM_MSR(
            Level.MISTAKE,
            "§15.11, §15.30",
            "writes of an SVM register are not intercepted",
            "the guest's kernel can change the register of the host"),
    OPEN_EFER(
            Level.ADVICE,
            "§15.11",
            "writes of EFER are not intercepted",
            "the guest's kernel can clear EFER.SVME, and the next VMRUN is refused"),
    OPEN_SKINIT(
            Level.ADVICE,
            "§15.27",
            "SKINIT not intercepted",
            "the guest's kernel can reinitialize the processor, where SKINIT is offered"),
    OPEN_INIT(
            Level.ADVICE,
            "§15.21.8",
            "INIT neither intercepted nor redirected",
            "an INIT that comes while the guest runs resets the processor behind the hypervisor's"
                    + " back"),
    OPEN_SHUTDOWN(
            Level.ADVICE,
            "§15.14.3",
            "SHUTDOWN not intercepted",
            "a triple fault of the guest shuts the processor down"),
    ASID_REUSED(
            Level.MISTAKE,
            "§15.16",
            "ASID given to another guest without a flush",
            "the guest may use the other one's translations"),
    ASID_NESTED_TABLE_CHANGED(
            Level.MISTAKE,
            "§15.16, §15.25",
            "nested tables replaced without a flush of the ASID",
            "the guest may use translations of the old tables"),
    ASID_MOVED(
            Level.MISTAKE,
            "§15.16",
            "guest back on a processor that kept its ASID's translations, without a flush",
            "the guest may use translations from its earlier time on this processor"),
    PAGING_MODE_CHANGED(
            Level.MISTAKE,
            "§15.16 (software rule)",
            "guest's paging changed in the VMCB without a flush of its ASID",
            "the guest may use translations made under the old paging mode or tables"),
    NXE_SET(
            Level.ADVICE,
            "§15.16 (software rule)",
            "EFER.NXE set in the VMCB without a flush of the ASID",
            "nothing: while NXE was clear no translation could have NX, which was reserved; the"
                    + " rule asks for a flush at every change"),
    STALE_NESTED_ENTRY(
            Level.MISTAKE,
            "§15.16, §15.25",
            "translation used that the nested tables had taken back, without a flush",
            "the guest may go on using the page as before"),
    STALE_SHADOW_ENTRY(
            Level.MISTAKE,
            "§15.16",
            "translation used that shadow page tables had taken back, without a flush",
            "the guest may go on using the page as before"),
    HOST_STATE_NOT_RESTORED(
            Level.MISTAKE,
            "§15.5.2",
            "host uses state of the guest that VMLOAD should have replaced",
            "the host goes on with the guest's segment, or system-call entry"),
    HOST_DEBUG_NOT_RESTORED(
            Level.MISTAKE,
            "§15.5.1, §15.6",
            "host uses debug registers as the guest or #VMEXIT left them",
            "DR0 to DR3 and DR6 are the guest's, DR7 is cleared: the host gets debug exceptions"
                    + " that are not its own, takes them for others, or misses its own"),
    HOST_FPU_NOT_RESTORED(
            Level.MISTAKE,
            "§15.5.1, §15.6",
            "host uses x87 or SSE state as the guest left it",
            "it is not switched: the guest's data leak, and the host calculates with them"),
    VMCB_ON_TWO_PROCESSORS(
            Level.MISTAKE,
            "§15.5",
            "VMRUN of a VMCB that runs on another processor",
            "undefined: both processors cache it, and both write their #VMEXIT to it");

    /** How much it matters. */
    public enum Level {
        /** The manual forbids it, or it gives the guest power over the host. */
        MISTAKE,

        /** Allowed; the manual recommends otherwise, or it may be meant. */
        ADVICE
    }

    public final Level level;

    /** Where the manual (APM Vol 2) tells of it. */
    public final String section;

    /** What was done. */
    public final String title;

    /** What a processor does, or may do, then. */
    public final String consequence;

    CheckKind(Level level, String section, String title, String consequence) {
        this.level = level;
        this.section = section;
        this.title = title;
        this.consequence = consequence;
    }

    /** The name in reports: lower case, with hyphens. */
    public String label() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
