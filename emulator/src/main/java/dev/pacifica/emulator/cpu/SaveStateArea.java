package dev.pacifica.emulator.cpu;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The SMM state-save area of the AMD64 architecture (APM Vol 2 table 10-1): 512 bytes at SMBASE +
 * FE00h, here with offsets from their start. A segment register has the form of the VMCB (selector,
 * attributes, limit, base).
 *
 * <pre>
 *   000 ES  010 CS  020 SS  030 DS  040 FS  050 GS  060 GDTR  070 LDTR  080 IDTR  090 TR
 *   0A0 I/O restart: RIP  0A8 RCX  0B0 RSI  0B8 RDI  0C0 dword    0C4 local SMI status
 *   0C8 I/O instruction restart   0C9 auto-halt restart   0CA NMI mask   0CB CPL
 *   0D0 EFER  0D8 SVM guest  0E0 VMCB  0E8 virtual interrupt  0FC revision  100 SMBASE  118 SSP
 *   120 guest PAT  128 host EFER  130 host CR4  138 host CR3  140 host CR0
 *   148 CR4  150 CR3  158 CR0  160 DR7  168 DR6  170 RFLAGS  178 RIP  180 R15 ... 1F8 RAX
 * </pre>
 *
 * Local SMI status, NMI mask and CPL are where the manual's table has reserved bytes; appendix D
 * names the latter two.
 */
final class SaveStateArea {
    /** Where it is, from SMBASE. */
    static final int START = 0xfe00;

    static final int SIZE = 0x200;

    /** AMD64's format, with I/O instruction restart and SMBASE relocation (§10.2.4). */
    static final int REVISION_VALUE = 0x0003_0064;

    static final int GDTR = 0x060;
    static final int LDTR = 0x070;
    static final int IDTR = 0x080;
    static final int TR = 0x090;
    static final int IO_RIP = 0x0a0;
    static final int IO_RCX = 0x0a8;
    static final int IO_RSI = 0x0b0;
    static final int IO_RDI = 0x0b8;
    static final int IO_DWORD = 0x0c0;
    static final int LOCAL_SMI_STATUS = 0x0c4;
    static final int IO_RESTART = 0x0c8;
    static final int AUTO_HALT_RESTART = 0x0c9;
    static final int NMI_MASK = 0x0ca;
    static final int CPL = 0x0cb;
    static final int EFER = 0x0d0;

    /** Bits 2:0: 2 for a guest, 6 with nested paging, 0 for none; bit 3: the host's RFLAGS.IF. */
    static final int SVM_GUEST = 0x0d8;

    static final int SVM_VMCB = 0x0e0;
    static final int SVM_VIRTUAL_INTERRUPT = 0x0e8;
    static final int REVISION = 0x0fc;
    static final int SMBASE = 0x100;
    static final int SVM_GUEST_PAT = 0x120;
    static final int SVM_HOST_EFER = 0x128;
    static final int SVM_HOST_CR4 = 0x130;
    static final int SVM_HOST_CR3 = 0x138;
    static final int SVM_HOST_CR0 = 0x140;
    static final int CR4 = 0x148;
    static final int CR3 = 0x150;
    static final int CR0 = 0x158;
    static final int DR7 = 0x160;
    static final int DR6 = 0x168;
    static final int RFLAGS = 0x170;
    static final int RIP = 0x178;
    private static final int RAX = 0x1f8;

    private final byte[] bytes = new byte[SIZE];
    private final ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);

    /** Forgets all fields; reserved ones are zero. */
    void clear() {
        java.util.Arrays.fill(bytes, (byte) 0);
    }

    void read(Cpu cpu, int smbase) {
        cpu.memory.read(address(smbase), bytes, 0, SIZE);
    }

    void write(Cpu cpu, int smbase) {
        cpu.memory.write(address(smbase), bytes, 0, SIZE);
    }

    /** Physical addresses in SMM have 32 bits. */
    private static long address(int smbase) {
        return smbase + START & 0xffff_ffffL;
    }

    /** The offset of general register 0 to 15. */
    static int register(int number) {
        return RAX - 8 * number;
    }

    int get8(int at) {
        return buffer.get(at) & 0xff;
    }

    int get16(int at) {
        return buffer.getShort(at) & 0xffff;
    }

    int get32(int at) {
        return buffer.getInt(at);
    }

    long get64(int at) {
        return buffer.getLong(at);
    }

    void put8(int at, int value) {
        buffer.put(at, (byte) value);
    }

    void put32(int at, int value) {
        buffer.putInt(at, value);
    }

    void put64(int at, long value) {
        buffer.putLong(at, value);
    }

    void saveSegment(Cpu cpu, int segment, int at) {
        buffer.putShort(at, (short) cpu.segSelector[segment]);
        buffer.putShort(at + 2, (short) cpu.segAttr[segment]);
        buffer.putInt(at + 4, (int) cpu.segLimit[segment]);
        buffer.putLong(at + 8, cpu.segBase[segment]);
    }

    /** Bases of FS, GS, LDTR and TR become canonical, those of the others have 32 bits (§10.4). */
    void loadSegment(Cpu cpu, int segment, int at) {
        long base = get64(at + 8);
        cpu.segSelector[segment] = get16(at);
        cpu.segAttr[segment] = get16(at + 2) & 0xfff;
        cpu.segLimit[segment] = get32(at + 4) & 0xffff_ffffL;
        cpu.segBase[segment] = segment < Cpu.FS ? base & 0xffff_ffffL : base << 16 >> 16;
    }
}
