package dev.pacifica.emulator.svm;

/**
 * Why a guest was left (Appendix C). Codes below 100h are also the positions of the intercept's
 * bit, counted from bit 0 of the VMCB's first intercept vector.
 */
public final class ExitCode {
    /** Read of CR0; CRn has 0 + n. */
    public static final int CR_READ = 0x00;

    public static final int CR_WRITE = 0x10;
    public static final int DR_READ = 0x20;
    public static final int DR_WRITE = 0x30;

    /** Exception vector 0; vector n has 40h + n. */
    public static final int EXCEPTION = 0x40;

    public static final int INTR = 0x60;
    public static final int NMI = 0x61;
    public static final int SMI = 0x62;
    public static final int INIT = 0x63;
    public static final int VINTR = 0x64;
    public static final int CR0_SEL_WRITE = 0x65;
    public static final int IDTR_READ = 0x66;
    public static final int GDTR_READ = 0x67;
    public static final int LDTR_READ = 0x68;
    public static final int TR_READ = 0x69;
    public static final int IDTR_WRITE = 0x6a;
    public static final int GDTR_WRITE = 0x6b;
    public static final int LDTR_WRITE = 0x6c;
    public static final int TR_WRITE = 0x6d;
    public static final int RDTSC = 0x6e;
    public static final int RDPMC = 0x6f;
    public static final int PUSHF = 0x70;
    public static final int POPF = 0x71;
    public static final int CPUID = 0x72;
    public static final int RSM = 0x73;
    public static final int IRET = 0x74;
    public static final int SWINT = 0x75;
    public static final int INVD = 0x76;
    public static final int PAUSE = 0x77;
    public static final int HLT = 0x78;
    public static final int INVLPG = 0x79;
    public static final int INVLPGA = 0x7a;
    public static final int IOIO = 0x7b;
    public static final int MSR = 0x7c;
    public static final int TASK_SWITCH = 0x7d;
    public static final int FERR_FREEZE = 0x7e;
    public static final int SHUTDOWN = 0x7f;
    public static final int VMRUN = 0x80;
    public static final int VMMCALL = 0x81;
    public static final int VMLOAD = 0x82;
    public static final int VMSAVE = 0x83;
    public static final int STGI = 0x84;
    public static final int CLGI = 0x85;
    public static final int SKINIT = 0x86;
    public static final int RDTSCP = 0x87;
    public static final int ICEBP = 0x88;
    public static final int WBINVD = 0x89;
    public static final int MONITOR = 0x8a;
    public static final int MWAIT = 0x8b;
    public static final int MWAIT_CONDITIONAL = 0x8c;
    public static final int XSETBV = 0x8d;
    public static final int RDPRU = 0x8e;
    public static final int EFER_WRITE_TRAP = 0x8f;

    /** CR0 was written; CRn has 90h + n. */
    public static final int CR_WRITE_TRAP = 0x90;

    public static final int INVLPGB = 0xa0;
    public static final int INVLPGB_ILLEGAL = 0xa1;
    public static final int INVPCID = 0xa2;
    public static final int MCOMMIT = 0xa3;
    public static final int TLBSYNC = 0xa4;
    public static final int BUSLOCK = 0xa5;
    public static final int IDLE_HLT = 0xa6;

    /** Nested page fault. */
    public static final int NPF = 0x400;

    /** An IPI of the guest that AVIC cannot deliver to all its targets (§15.29.9.1). */
    public static final int AVIC_INCOMPLETE_IPI = 0x401;

    /** An access to a register of the guest's APIC that AVIC leaves to the hypervisor. */
    public static final int AVIC_NOACCEL = 0x402;

    /** Illegal guest state; sign-extended to 64 bits in the VMCB. */
    public static final int INVALID = -1;

    private ExitCode() {}

    /** Whether EXITINFO1 is a decode assist (§15.8.1 to §15.8.3): undefined without them. */
    static boolean hasDecodeAssist(int code) {
        return switch (code) {
            case CR0_SEL_WRITE, SWINT, INVLPG -> true;
            default -> code >= 0 && code < EXCEPTION;
        };
    }

    private static boolean isWriteTrap(int code) {
        return code >= EFER_WRITE_TRAP && code < CR_WRITE_TRAP + 16;
    }

    /**
     * Whether #VMEXIT saves the next RIP (§15.7.1): instruction intercepts of §15.9, IOIO, MSR, and
     * the exceptions of INT3, INTO and BOUND. After a write trap RIP itself is the next one.
     */
    static boolean savesNextRip(int code) {
        return switch (code) {
            case EXCEPTION + 3, EXCEPTION + 4, EXCEPTION + 5 -> true;
            case INTR, NMI, SMI, INIT, VINTR, TASK_SWITCH, FERR_FREEZE, SHUTDOWN, BUSLOCK -> false;
            default ->
                    (code >= 0 && code < EXCEPTION || code > VINTR && code <= IDLE_HLT)
                            && !isWriteTrap(code);
        };
    }
}
