package dev.pacifica.emulator.decode;

/** The #VMEXIT codes that the table's intercept column names (APM Vol 2 appendix C). */
enum InstructionIntercept {
    CR0_READ(0x00),
    CR0_WRITE(0x10),
    DR0_READ(0x20),
    DR0_WRITE(0x30),
    IDTR_READ(0x66),
    GDTR_READ(0x67),
    LDTR_READ(0x68),
    TR_READ(0x69),
    IDTR_WRITE(0x6A),
    GDTR_WRITE(0x6B),
    LDTR_WRITE(0x6C),
    TR_WRITE(0x6D),
    RDTSC(0x6E),
    RDPMC(0x6F),
    PUSHF(0x70),
    POPF(0x71),
    CPUID(0x72),
    RSM(0x73),
    IRET(0x74),
    SWINT(0x75),
    INVD(0x76),
    PAUSE(0x77),
    HLT(0x78),
    INVLPG(0x79),
    INVLPGA(0x7A),
    IOIO(0x7B),
    MSR(0x7C),
    VMRUN(0x80),
    VMMCALL(0x81),
    VMLOAD(0x82),
    VMSAVE(0x83),
    STGI(0x84),
    CLGI(0x85),
    SKINIT(0x86),
    RDTSCP(0x87),
    ICEBP(0x88),
    WBINVD(0x89),
    MONITOR(0x8A),
    MWAIT(0x8B),
    XSETBV(0x8D),
    RDPRU(0x8E),
    INVLPGB(0xA0),
    INVPCID(0xA2),
    MCOMMIT(0xA3),
    TLBSYNC(0xA4);

    final int exitCode;

    InstructionIntercept(int exitCode) {
        this.exitCode = exitCode;
    }
}
