package dev.pacifica.emulator.svm;

import java.util.List;

/**
 * Layout of the virtual machine control block (Appendix B). All offsets are in bytes from the start
 * of the 4-KiB page; the state-save area's include its base of 400h.
 *
 * <pre>
 *   Control area (Table B-1)
 *        63                             32 31                              0
 *       +---------------------------------+---------------------------------+
 *   000 |  DR writes 31:16 | reads 15:0   |  CR writes 31:16 | reads 15:0   |  intercept vectors 1, 0
 *   008 |  INTR ... SHUTDOWN              |  exceptions 31:0                |  intercept vectors 3, 2
 *   010 |  INVLPGB ... IDLE_HLT           |  VMRUN ... , CR write traps     |  intercept vectors 5, 4
 *       :                                                                   :
 *   038 | pause count 63:48, thresh 47:32 |            reserved             |
 *   040 |                            IOPM_BASE_PA                           |
 *   048 |                            MSRPM_BASE_PA                          |
 *   050 |                            TSC_OFFSET                             |
 *   058 |     reserved    | TLB_CTL 39:32 |              ASID               |
 *   060 | V_INTR_VECTOR 39:32 ; 31 AVIC, 30 x2AVIC,                         |
 *       | 26 V_NMI_ENABLE, 25 V_GIF_ENABLE,                                 |
 *       | 24 V_INTR_MASKING, 20 V_IGN_TPR, 19:16 V_INTR_PRIO,               |
 *       | 12 V_NMI_MASK, 11 V_NMI, 9 V_GIF, 8 V_IRQ, 7:0 V_TPR              |
 *   068 |                                           INTERRUPT_SHADOW 0      |
 *   070 |                            EXITCODE                               |
 *   078 |                            EXITINFO1                              |
 *   080 |                            EXITINFO2                              |
 *   088 |                            EXITINTINFO                            |
 *   090 |                                           NP_ENABLE 0             |
 *       :                                                                   :
 *   0A8 |                            EVENTINJ                               |
 *   0B0 |                            N_CR3                                  |
 *   0B8 |                   1 virtual VMLOAD and VMSAVE, 0 LBR virtualization|
 *   0C0 |                                 |            VMCB clean bits      |
 *   0C8 |                            nRIP                                   |
 *   0D0 |  guest instruction bytes 127:8 (up to 15)     | number fetched    |
 *       :                                                                   :
 *   120 |                                  | bus lock threshold 15:0        |
 *       +-------------------------------------------------------------------+
 *
 *   State-save area (Table B-2), a segment register each 16 bytes:
 *       +---------------------------------+----------------+----------------+
 *   +0  |           limit 63:32           |   attr 31:16   | selector 15:0  |
 *   +8  |                             base                                  |
 *       +---------------------------------+----------------+----------------+
 *   400 ES  410 CS  420 SS  430 DS  440 FS  450 GS  460 GDTR  470 LDTR  480 IDTR  490 TR
 *   4CB CPL  4D0 EFER  548 CR4  550 CR3  558 CR0  560 DR7  568 DR6  570 RFLAGS  578 RIP  5D8 RSP  5F8 RAX
 *   600 STAR  608 LSTAR  610 CSTAR  618 SFMASK  620 KernelGsBase  628 SYSENTER_CS  630 _ESP  638 _EIP
 *   640 CR2  668 G_PAT  670 DBGCTL  678 BR_FROM  680 BR_TO  688 LASTEXCPFROM  690 LASTEXCPTO  6E0 SPEC_CTRL
 * </pre>
 */
public final class VmcbLayout {
    /** Bytes of a VMCB. */
    public static final int SIZE = 4096;

    /** Bytes that hold fields this processor knows; what follows is reserved. */
    public static final int USED = 0x6e8;

    public static final int INTERCEPT_CR = 0x000;
    public static final int INTERCEPT_DR = 0x004;
    public static final int INTERCEPT_EXCEPTIONS = 0x008;
    public static final int INTERCEPT_MISC1 = 0x00c;
    public static final int INTERCEPT_MISC2 = 0x010;
    public static final int INTERCEPT_MISC3 = 0x014;
    public static final int PAUSE_FILTER_THRESHOLD = 0x03c;
    public static final int PAUSE_FILTER_COUNT = 0x03e;
    public static final int IOPM_BASE_PA = 0x040;
    public static final int MSRPM_BASE_PA = 0x048;
    public static final int TSC_OFFSET = 0x050;
    public static final int ASID = 0x058;
    public static final int TLB_CONTROL = 0x05c;
    public static final int V_TPR = 0x060;

    /** In this byte V_IRQ is bit 0, V_GIF bit 1, V_NMI bit 3 and V_NMI_MASK bit 4. */
    public static final int V_IRQ = 0x061;

    /** The 64 bits of virtual interrupt control from V_TPR to V_INTR_VECTOR. */
    public static final int V_INTR = 0x060;

    public static final int INTERRUPT_SHADOW = 0x068;
    public static final int EXITCODE = 0x070;
    public static final int EXITINFO1 = 0x078;
    public static final int EXITINFO2 = 0x080;
    public static final int EXITINTINFO = 0x088;
    public static final int NP_ENABLE = 0x090;

    /** Bit of {@link #NP_ENABLE}: INVLPGB and TLBSYNC are defined in the guest. */
    public static final long INVLPGB_ENABLE = 1 << 7;

    public static final int AVIC_APIC_BAR = 0x098;
    public static final int GHCB = 0x0a0;
    public static final int EVENTINJ = 0x0a8;
    public static final int N_CR3 = 0x0b0;
    public static final int LBR_VIRTUALIZATION_ENABLE = 0x0b8;

    /**
     * Bit of {@link #LBR_VIRTUALIZATION_ENABLE}: the branch records are the guest's own (§15.23).
     */
    public static final long LBR_VIRTUALIZATION = 1;

    /** Bit of {@link #LBR_VIRTUALIZATION_ENABLE}: VMLOAD and VMSAVE are virtual (§15.33.1). */
    public static final long VMLOAD_VIRTUALIZATION = 1 << 1;

    public static final int CLEAN_BITS = 0x0c0;
    public static final int NRIP = 0x0c8;
    public static final int FETCHED_BYTES = 0x0d0;
    public static final int INSTRUCTION_BYTES = 0x0d1;
    public static final int AVIC_BACKING_PAGE = 0x0e0;
    public static final int AVIC_LOGICAL_TABLE = 0x0f0;
    public static final int AVIC_PHYSICAL_TABLE = 0x0f8;
    public static final int VMSA_POINTER = 0x108;
    public static final int BUS_LOCK_THRESHOLD = 0x120;

    /** Offset of the state-save area. */
    public static final int STATE = 0x400;

    public static final int ES = 0x400;
    public static final int CS = 0x410;
    public static final int SS = 0x420;
    public static final int DS = 0x430;
    public static final int FS = 0x440;
    public static final int GS = 0x450;
    public static final int GDTR = 0x460;
    public static final int LDTR = 0x470;
    public static final int IDTR = 0x480;
    public static final int TR = 0x490;

    /** Within a segment register's 16 bytes. */
    public static final int SELECTOR = 0;

    public static final int ATTRIBUTES = 2;
    public static final int LIMIT = 4;
    public static final int BASE = 8;

    public static final int CPL = 0x4cb;
    public static final int EFER = 0x4d0;
    public static final int CR4 = 0x548;
    public static final int CR3 = 0x550;
    public static final int CR0 = 0x558;
    public static final int DR7 = 0x560;
    public static final int DR6 = 0x568;
    public static final int RFLAGS = 0x570;
    public static final int RIP = 0x578;
    public static final int RSP = 0x5d8;
    public static final int RAX = 0x5f8;
    public static final int STAR = 0x600;
    public static final int LSTAR = 0x608;
    public static final int CSTAR = 0x610;
    public static final int SFMASK = 0x618;
    public static final int KERNEL_GS_BASE = 0x620;
    public static final int SYSENTER_CS = 0x628;
    public static final int SYSENTER_ESP = 0x630;
    public static final int SYSENTER_EIP = 0x638;
    public static final int CR2 = 0x640;
    public static final int G_PAT = 0x668;
    public static final int DBGCTL = 0x670;
    public static final int BR_FROM = 0x678;
    public static final int BR_TO = 0x680;
    public static final int LASTEXCPFROM = 0x688;
    public static final int LASTEXCPTO = 0x690;
    public static final int SPEC_CTRL = 0x6e0;

    /**
     * One field: its name in the manual, its offset and its size in bytes (1, 2, 4, 7 or 8), not
     * crossing 8 bytes.
     */
    public record Field(String name, int offset, int size) {}

    /** All fields in ascending order; reserved bytes have none. */
    public static final List<Field> FIELDS =
            List.of(
                    new Field("INTERCEPT_CR", INTERCEPT_CR, 4),
                    new Field("INTERCEPT_DR", INTERCEPT_DR, 4),
                    new Field("INTERCEPT_EXCEPTIONS", INTERCEPT_EXCEPTIONS, 4),
                    new Field("INTERCEPT_MISC1", INTERCEPT_MISC1, 4),
                    new Field("INTERCEPT_MISC2", INTERCEPT_MISC2, 4),
                    new Field("INTERCEPT_MISC3", INTERCEPT_MISC3, 4),
                    new Field("PAUSE_FILTER_THRESHOLD", PAUSE_FILTER_THRESHOLD, 2),
                    new Field("PAUSE_FILTER_COUNT", PAUSE_FILTER_COUNT, 2),
                    new Field("IOPM_BASE_PA", IOPM_BASE_PA, 8),
                    new Field("MSRPM_BASE_PA", MSRPM_BASE_PA, 8),
                    new Field("TSC_OFFSET", TSC_OFFSET, 8),
                    new Field("ASID", ASID, 4),
                    new Field("TLB_CONTROL", TLB_CONTROL, 1),
                    new Field("V_INTR", V_INTR, 8),
                    new Field("INTERRUPT_SHADOW", INTERRUPT_SHADOW, 8),
                    new Field("EXITCODE", EXITCODE, 8),
                    new Field("EXITINFO1", EXITINFO1, 8),
                    new Field("EXITINFO2", EXITINFO2, 8),
                    new Field("EXITINTINFO", EXITINTINFO, 8),
                    new Field("NP_ENABLE", NP_ENABLE, 8),
                    new Field("AVIC_APIC_BAR", AVIC_APIC_BAR, 8),
                    new Field("GHCB", GHCB, 8),
                    new Field("EVENTINJ", EVENTINJ, 8),
                    new Field("N_CR3", N_CR3, 8),
                    new Field("LBR_VIRTUALIZATION_ENABLE", LBR_VIRTUALIZATION_ENABLE, 8),
                    new Field("CLEAN_BITS", CLEAN_BITS, 4),
                    new Field("NRIP", NRIP, 8),
                    new Field("FETCHED_BYTES", FETCHED_BYTES, 1),
                    new Field("INSTRUCTION_BYTES", INSTRUCTION_BYTES, 7),
                    new Field("INSTRUCTION_BYTES+7", INSTRUCTION_BYTES + 7, 8),
                    new Field("AVIC_BACKING_PAGE", AVIC_BACKING_PAGE, 8),
                    new Field("AVIC_LOGICAL_TABLE", AVIC_LOGICAL_TABLE, 8),
                    new Field("AVIC_PHYSICAL_TABLE", AVIC_PHYSICAL_TABLE, 8),
                    new Field("VMSA_POINTER", VMSA_POINTER, 8),
                    new Field("BUS_LOCK_THRESHOLD", BUS_LOCK_THRESHOLD, 2),
                    new Field("ES.SELECTOR", ES, 2),
                    new Field("ES.ATTRIB", ES + ATTRIBUTES, 2),
                    new Field("ES.LIMIT", ES + LIMIT, 4),
                    new Field("ES.BASE", ES + BASE, 8),
                    new Field("CS.SELECTOR", CS, 2),
                    new Field("CS.ATTRIB", CS + ATTRIBUTES, 2),
                    new Field("CS.LIMIT", CS + LIMIT, 4),
                    new Field("CS.BASE", CS + BASE, 8),
                    new Field("SS.SELECTOR", SS, 2),
                    new Field("SS.ATTRIB", SS + ATTRIBUTES, 2),
                    new Field("SS.LIMIT", SS + LIMIT, 4),
                    new Field("SS.BASE", SS + BASE, 8),
                    new Field("DS.SELECTOR", DS, 2),
                    new Field("DS.ATTRIB", DS + ATTRIBUTES, 2),
                    new Field("DS.LIMIT", DS + LIMIT, 4),
                    new Field("DS.BASE", DS + BASE, 8),
                    new Field("FS.SELECTOR", FS, 2),
                    new Field("FS.ATTRIB", FS + ATTRIBUTES, 2),
                    new Field("FS.LIMIT", FS + LIMIT, 4),
                    new Field("FS.BASE", FS + BASE, 8),
                    new Field("GS.SELECTOR", GS, 2),
                    new Field("GS.ATTRIB", GS + ATTRIBUTES, 2),
                    new Field("GS.LIMIT", GS + LIMIT, 4),
                    new Field("GS.BASE", GS + BASE, 8),
                    new Field("GDTR.LIMIT", GDTR + LIMIT, 4),
                    new Field("GDTR.BASE", GDTR + BASE, 8),
                    new Field("LDTR.SELECTOR", LDTR, 2),
                    new Field("LDTR.ATTRIB", LDTR + ATTRIBUTES, 2),
                    new Field("LDTR.LIMIT", LDTR + LIMIT, 4),
                    new Field("LDTR.BASE", LDTR + BASE, 8),
                    new Field("IDTR.LIMIT", IDTR + LIMIT, 4),
                    new Field("IDTR.BASE", IDTR + BASE, 8),
                    new Field("TR.SELECTOR", TR, 2),
                    new Field("TR.ATTRIB", TR + ATTRIBUTES, 2),
                    new Field("TR.LIMIT", TR + LIMIT, 4),
                    new Field("TR.BASE", TR + BASE, 8),
                    new Field("CPL", CPL, 1),
                    new Field("EFER", EFER, 8),
                    new Field("CR4", CR4, 8),
                    new Field("CR3", CR3, 8),
                    new Field("CR0", CR0, 8),
                    new Field("DR7", DR7, 8),
                    new Field("DR6", DR6, 8),
                    new Field("RFLAGS", RFLAGS, 8),
                    new Field("RIP", RIP, 8),
                    new Field("RSP", RSP, 8),
                    new Field("RAX", RAX, 8),
                    new Field("STAR", STAR, 8),
                    new Field("LSTAR", LSTAR, 8),
                    new Field("CSTAR", CSTAR, 8),
                    new Field("SFMASK", SFMASK, 8),
                    new Field("KERNEL_GS_BASE", KERNEL_GS_BASE, 8),
                    new Field("SYSENTER_CS", SYSENTER_CS, 8),
                    new Field("SYSENTER_ESP", SYSENTER_ESP, 8),
                    new Field("SYSENTER_EIP", SYSENTER_EIP, 8),
                    new Field("CR2", CR2, 8),
                    new Field("G_PAT", G_PAT, 8),
                    new Field("DBGCTL", DBGCTL, 8),
                    new Field("BR_FROM", BR_FROM, 8),
                    new Field("BR_TO", BR_TO, 8),
                    new Field("LASTEXCPFROM", LASTEXCPFROM, 8),
                    new Field("LASTEXCPTO", LASTEXCPTO, 8),
                    new Field("SPEC_CTRL", SPEC_CTRL, 8));

    private VmcbLayout() {}
}
