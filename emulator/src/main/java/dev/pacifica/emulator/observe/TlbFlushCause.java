package dev.pacifica.emulator.observe;

/**
 * What made a processor drop the translations of an ASID that it need not be running, or of all.
 */
public enum TlbFlushCause {
    /** TLB_CONTROL of the VMCB (§15.16.1). */
    VMRUN("vmrun"),
    /** INVLPGB of this or another processor. */
    INVLPGB("invlpgb"),
    /** Entry to SMM. */
    SMI("smi"),
    /** The end of SMM. */
    RSM("rsm"),
    /** WRMSR of an MTRR, an IORR or another register of the address map (§15.16.1). */
    MSR("msr"),
    /** WRMSR of SMM_CTL that enters or leaves SMM (§15.30.3). */
    SMM_CTL("smm_ctl"),
    /** INIT. */
    INIT("init"),
    /** RESET. */
    RESET("reset");

    private final String label;

    TlbFlushCause(String label) {
        this.label = label;
    }

    /** Its name in a trace. */
    public String label() {
        return label;
    }
}
