package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.CpuidFeature;
import java.util.Locale;

/**
 * A feature by the name that {@code --cpu} knows it by, and where CPUID tells it. The bits of those
 * that decide whether an instruction exists are declared in {@link CpuidFeature}, all others here.
 */
public enum CpuFeature {
    FPU(CpuidFeature.FPU, Use.STANDARD),
    VME(1, Register.EDX, 1, Use.STANDARD),
    DE(1, Register.EDX, 2, Use.STANDARD),
    PSE(1, Register.EDX, 3, Use.STANDARD),
    TSC(CpuidFeature.TSC, Use.STANDARD),
    MSR(CpuidFeature.MSR, Use.STANDARD),
    PAE(1, Register.EDX, 6, Use.STANDARD),
    MCE(1, Register.EDX, 7, Use.STANDARD),
    CX8(CpuidFeature.CX8, Use.STANDARD),
    APIC(1, Register.EDX, 9, Use.STANDARD),
    SEP(CpuidFeature.SEP, Use.STANDARD),
    MTRR(1, Register.EDX, 12, Use.STANDARD),
    PGE(1, Register.EDX, 13, Use.STANDARD),
    MCA(1, Register.EDX, 14, Use.STANDARD),
    CMOV(CpuidFeature.CMOV, Use.STANDARD),
    PAT(1, Register.EDX, 16, Use.STANDARD),
    PSE36(1, Register.EDX, 17, Use.STANDARD),
    CLFLUSH(CpuidFeature.CLFSH, Use.STANDARD),
    MMX(CpuidFeature.MMX, Use.STANDARD),
    FXSR(CpuidFeature.FXSR, Use.STANDARD),
    SSE(CpuidFeature.SSE, Use.STANDARD),
    SSE2(CpuidFeature.SSE2, Use.STANDARD),
    SSE3(CpuidFeature.SSE3, Use.STANDARD),
    MONITOR(CpuidFeature.MONITOR, Use.STANDARD),
    SSSE3(CpuidFeature.SSSE3, Use.STANDARD),
    CX16(CpuidFeature.CX16, Use.STANDARD),
    SSE4_1(CpuidFeature.SSE41, Use.STANDARD),
    SSE4_2(CpuidFeature.SSE42, Use.STANDARD),
    X2APIC(1, Register.ECX, 21, Use.STANDARD),
    MOVBE(CpuidFeature.MOVBE, Use.STANDARD),
    POPCNT(CpuidFeature.POPCNT, Use.STANDARD),
    TSC_DEADLINE(1, Register.ECX, 24, Use.STANDARD),
    /** XSAVE, XRSTOR, XSETBV, XGETBV; the four after it need it. */
    XSAVE(CpuidFeature.XSAVE, Use.STANDARD),
    XSAVEOPT(CpuidFeature.XSAVEOPT, Use.STANDARD),
    /** Also the compacted form of XRSTOR. */
    XSAVEC(CpuidFeature.XSAVEC, Use.STANDARD),
    /** XGETBV with ECX = 1. */
    XGETBV1(0xd, Register.EAX, 2, Use.STANDARD),
    /** Also XRSTORS and the XSS register. */
    XSAVES(CpuidFeature.XSAVES, Use.STANDARD),
    /** Set by hypervisors for their guests; hardware never has it. */
    HYPERVISOR(1, Register.ECX, 31, Use.OPTIONAL),
    RDRAND(CpuidFeature.RDRAND, Use.STANDARD),
    FSGSBASE(CpuidFeature.FSGSBASE, Use.STANDARD),
    TSC_ADJUST(7, Register.EBX, 1, Use.OPTIONAL),
    BMI1(CpuidFeature.BMI1, Use.ABSENT),
    SMEP(7, Register.EBX, 7, Use.STANDARD),
    /** REP MOVSB and REP STOSB are the fastest way to copy and fill. */
    ERMS(7, Register.EBX, 9, Use.STANDARD),
    FSRM(7, Register.EDX, 4, Use.STANDARD),
    INVPCID(CpuidFeature.INVPCID, Use.STANDARD),
    RDSEED(CpuidFeature.RDSEED, Use.STANDARD),
    SMAP(CpuidFeature.SMAP, Use.STANDARD),
    CLFLUSHOPT(CpuidFeature.CLFLUSHOPT, Use.STANDARD),
    CLWB(CpuidFeature.CLWB, Use.STANDARD),
    RDPID(CpuidFeature.RDPID, Use.STANDARD),
    UMIP(7, Register.ECX, 2, Use.STANDARD),
    PCID(1, Register.ECX, 17, Use.STANDARD),
    LAHF_LM(0x8000_0001, Register.ECX, 0, Use.STANDARD),
    SVM(CpuidFeature.SVM, Use.STANDARD),
    EXT_APIC(0x8000_0001, Register.ECX, 3, Use.STANDARD),
    CR8_LEGACY(CpuidFeature.ALTMOVCR8, Use.STANDARD),
    ABM(CpuidFeature.ABM, Use.STANDARD),
    SSE4A(CpuidFeature.SSE4A, Use.STANDARD),
    PREFETCHW(0x8000_0001, Register.ECX, 8, Use.STANDARD),
    TOPOEXT(0x8000_0001, Register.ECX, 22, Use.STANDARD),
    /** With it kernels wait in MWAITX instead of counting. */
    MONITORX(CpuidFeature.MONITORX, Use.OPTIONAL),
    SYSCALL(CpuidFeature.SYSCALL, Use.STANDARD),
    NX(0x8000_0001, Register.EDX, 20, Use.STANDARD),
    MMXEXT(0x8000_0001, Register.EDX, 22, Use.STANDARD),
    FXSR_OPT(0x8000_0001, Register.EDX, 25, Use.ABSENT),
    PDPE1GB(0x8000_0001, Register.EDX, 26, Use.STANDARD),
    RDTSCP(CpuidFeature.RDTSCP, Use.STANDARD),
    LM(0x8000_0001, Register.EDX, 29, Use.STANDARD),
    /** MPERF and APERF, to be written in kernels and to be read without harm. */
    APERFMPERF(6, Register.ECX, 0, Use.STANDARD),
    APERFMPERF_RO(0x8000_0007, Register.EDX, 10, Use.STANDARD),
    INVTSC(0x8000_0007, Register.EDX, 8, Use.STANDARD),
    CLZERO(CpuidFeature.CLZERO, Use.STANDARD),
    /** FXRSTOR and XRSTOR always load x87 error pointers, FXSAVE and XSAVE always store them. */
    XSAVEERPTR(0x8000_0008, Register.EBX, 2, Use.STANDARD),
    INVLPGB(CpuidFeature.INVLPGB, Use.STANDARD),
    RDPRU(CpuidFeature.RDPRU, Use.STANDARD),
    /** The models offered do not have it. */
    MCOMMIT(CpuidFeature.MCOMMIT, Use.OPTIONAL),
    WBNOINVD(CpuidFeature.WBNOINVD, Use.STANDARD),
    /** INVLPGB can drop nested translations of a guest. */
    INVLPGB_NESTED(0x8000_0008, Register.EBX, 21, Use.STANDARD),
    /** PRED_CMD.IBPB and the bits of SPEC_CTRL: there for software; nothing is speculated here. */
    IBPB(0x8000_0008, Register.EBX, 12, Use.STANDARD),
    IBRS(0x8000_0008, Register.EBX, 14, Use.STANDARD),
    STIBP(0x8000_0008, Register.EBX, 15, Use.STANDARD),
    SSBD(0x8000_0008, Register.EBX, 24, Use.STANDARD),
    PSFD(0x8000_0008, Register.EBX, 28, Use.STANDARD),
    /**
     * Nothing is executed speculatively here, so that software need not work around what that would
     * leak.
     */
    SSB_NO(0x8000_0008, Register.EBX, 26, Use.STANDARD),
    BTC_NO(0x8000_0008, Register.EBX, 29, Use.STANDARD),
    /** From here the SVM features (Fn8000_000A EDX), by the names that other tools use for them. */
    NPT(0x8000_000a, Register.EDX, 0, Use.STANDARD),
    LBRV(0x8000_000a, Register.EDX, 1, Use.STANDARD),
    SVM_LOCK(0x8000_000a, Register.EDX, 2, Use.STANDARD),
    NRIP_SAVE(0x8000_000a, Register.EDX, 3, Use.STANDARD),
    TSC_SCALE(0x8000_000a, Register.EDX, 4, Use.STANDARD),
    VMCB_CLEAN(0x8000_000a, Register.EDX, 5, Use.STANDARD),
    FLUSHBYASID(0x8000_000a, Register.EDX, 6, Use.STANDARD),
    DECODEASSISTS(0x8000_000a, Register.EDX, 7, Use.STANDARD),
    PAUSE_FILTER(0x8000_000a, Register.EDX, 10, Use.STANDARD),
    PFTHRESHOLD(0x8000_000a, Register.EDX, 12, Use.STANDARD),
    AVIC(0x8000_000a, Register.EDX, 13, Use.STANDARD),
    V_VMSAVE_VMLOAD(0x8000_000a, Register.EDX, 15, Use.STANDARD),
    VGIF(0x8000_000a, Register.EDX, 16, Use.STANDARD),
    GMET(0x8000_000a, Register.EDX, 17, Use.STANDARD),
    /** In force with AVIC only. */
    X2AVIC(0x8000_000a, Register.EDX, 18, Use.STANDARD),
    /** Up to 4096 virtual processors in x2AVIC mode instead of 512. */
    X2AVIC_EXT(0x8000_000a, Register.ECX, 6, Use.STANDARD),
    SSS_CHECK(0x8000_000a, Register.EDX, 19, Use.ABSENT),
    V_SPEC_CTRL(0x8000_000a, Register.EDX, 20, Use.STANDARD),
    ROGPT(0x8000_000a, Register.EDX, 21, Use.STANDARD),
    HOST_MCE_OVERRIDE(0x8000_000a, Register.EDX, 23, Use.ABSENT),
    TLBI_CTL(0x8000_000a, Register.EDX, 24, Use.STANDARD),
    VNMI(0x8000_000a, Register.EDX, 25, Use.STANDARD),
    /** Under AVIC a guest reads extended LVT entries and traps at writing them. */
    EXTLVT(0x8000_000a, Register.EDX, 27, Use.STANDARD),
    SVME_ADDR_CHK(0x8000_000a, Register.EDX, 28, Use.STANDARD),
    BUS_LOCK_THRESHOLD(0x8000_000a, Register.EDX, 29, Use.STANDARD),
    IDLE_HLT(0x8000_000a, Register.EDX, 30, Use.STANDARD),
    LFENCE_RDTSC(0x8000_0021, Register.EAX, 2, Use.STANDARD),
    /** The SMI handler can lock its paging configuration (APM Vol 2 §10.3.9). */
    SMM_PGCFG_LOCK(0x8000_0021, Register.EAX, 3, Use.STANDARD),
    NULL_SEL_CLR_BASE(0x8000_0021, Register.EAX, 6, Use.STANDARD),
    /** There is no SMM_CTL register. */
    NO_SMM_CTL(0x8000_0021, Register.EAX, 9, Use.OPTIONAL),
    SRSO_NO(0x8000_0021, Register.EAX, 29, Use.STANDARD),
    TSA_SQ_NO(0x8000_0021, Register.ECX, 1, Use.STANDARD),
    TSA_L1_NO(0x8000_0021, Register.ECX, 2, Use.STANDARD);

    /** Where CPUID returns a bit. */
    enum Register {
        EAX,
        EBX,
        ECX,
        EDX
    }

    /** Whether a model has a feature. */
    enum Use {
        /** In every model. */
        STANDARD,
        /** Complete, but only on request. */
        OPTIONAL,
        /** Not implemented: cannot be asked for. */
        ABSENT
    }

    final int leaf;
    final Register register;
    final int bit;
    final Use use;

    /** The instruction forms that depend on it, or null. */
    final CpuidFeature instructions;

    CpuFeature(int leaf, Register register, int bit, Use use) {
        this.leaf = leaf;
        this.register = register;
        this.bit = bit;
        this.use = use;
        instructions = null;
    }

    CpuFeature(CpuidFeature feature, Use use) {
        leaf = feature.leaf;
        register = Register.values()[feature.register];
        bit = feature.bit;
        this.use = use;
        instructions = feature;
    }

    /** As written in {@code --cpu}: lower case, with hyphens. */
    public String label() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
