package dev.pacifica.emulator.observe;

/**
 * What made a processor drop the translations of an ASID that it need not be running, or of all.
 */
public enum TlbFlushCause {
    /** TLB_CONTROL of the VMCB (§15.16.1). */
    VMRUN,
    INVLPGB,
    SMI,
    RSM,
    /** WRMSR of an MTRR, an IORR or another register of the address map (§15.16.1). */
    MSR,
    /** WRMSR of SMM_CTL that enters or leaves SMM (§15.30.3). */
    SMM_CTL,
    INIT,
    RESET
}
