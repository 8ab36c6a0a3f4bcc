package dev.pacifica.emulator.decode;

/**
 * The CPUID features that decide whether an instruction form exists: leaf, register (0 EAX, 1 EBX,
 * 2 ECX, 3 EDX) and bit.
 */
public enum CpuidFeature {
    FPU(0x1, 3, 0),
    TSC(0x1, 3, 4),
    MSR(0x1, 3, 5),
    CX8(0x1, 3, 8),
    SEP(0x1, 3, 11),
    CMOV(0x1, 3, 15),
    CLFSH(0x1, 3, 19),
    MMX(0x1, 3, 23),
    FXSR(0x1, 3, 24),
    SSE(0x1, 3, 25),
    SSE2(0x1, 3, 26),
    SSE3(0x1, 2, 0),
    MONITOR(0x1, 2, 3),
    SSSE3(0x1, 2, 9),
    CX16(0x1, 2, 13),
    SSE41(0x1, 2, 19),
    SSE42(0x1, 2, 20),
    MOVBE(0x1, 2, 22),
    POPCNT(0x1, 2, 23),
    XSAVE(0x1, 2, 26),
    RDRAND(0x1, 2, 30),
    FSGSBASE(0x7, 1, 0),
    BMI1(0x7, 1, 3),
    INVPCID(0x7, 1, 10),
    RDSEED(0x7, 1, 18),
    SMAP(0x7, 1, 20),
    CLFLUSHOPT(0x7, 1, 23),
    CLWB(0x7, 1, 24),
    RDPID(0x7, 2, 22),
    XSAVEOPT(0xD, 0, 0),
    XSAVEC(0xD, 0, 1),
    XSAVES(0xD, 0, 3),
    SYSCALL(0x8000_0001, 3, 11),
    RDTSCP(0x8000_0001, 3, 27),
    SVM(0x8000_0001, 2, 2),
    ALTMOVCR8(0x8000_0001, 2, 4),
    ABM(0x8000_0001, 2, 5),
    SSE4A(0x8000_0001, 2, 6),
    SKINIT(0x8000_0001, 2, 12),
    MONITORX(0x8000_0001, 2, 29),
    CLZERO(0x8000_0008, 1, 0),
    INVLPGB(0x8000_0008, 1, 3),
    RDPRU(0x8000_0008, 1, 4),
    MCOMMIT(0x8000_0008, 1, 8),
    WBNOINVD(0x8000_0008, 1, 9);

    /** CPUID function number (Dh: subleaf 1). */
    public final int leaf;

    /** 0 EAX, 1 EBX, 2 ECX, 3 EDX. */
    public final int register;

    public final int bit;

    CpuidFeature(int leaf, int register, int bit) {
        this.leaf = leaf;
        this.register = register;
        this.bit = bit;
    }
}
