package dev.pacifica.emulator.svm;

/** What CPUID Fn8000_000A offers: exactly what is complete here. */
public final class SvmFeatures {
    /** EAX: the SVM revision. */
    public static final int REVISION = 1;

    /** EBX: address space identifiers, the host's 0 included. */
    public static final int ASIDS = 0x8000;

    /** EDX bits. */
    public static final int NP = 1;

    public static final int SVML = 1 << 2;
    public static final int NRIPS = 1 << 3;
    public static final int VMCB_CLEAN = 1 << 5;
    public static final int FLUSH_BY_ASID = 1 << 6;
    public static final int DECODE_ASSISTS = 1 << 7;

    /**
     * EDX as offered. VMCB clean bits are legitimately ignored: each VMRUN loads everything
     * (§15.15.1).
     */
    public static final int OFFERED =
            NP | SVML | NRIPS | VMCB_CLEAN | FLUSH_BY_ASID | DECODE_ASSISTS;

    private SvmFeatures() {}
}
