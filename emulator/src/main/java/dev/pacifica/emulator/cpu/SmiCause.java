package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import dev.pacifica.emulator.svm.ExitInformation;

/**
 * Where the SMI that is due comes from: an I/O trap or outside, and the I/O instruction that it
 * interrupted (§10.3.8, §15.13.3). Holds until the next instruction boundary.
 */
final class SmiCause implements Stateful {
    /** The I/O restart dword's flag of an interrupted I/O instruction. */
    static final int VALID = 2;

    private static final int SEGMENT = 7 << 10;
    private static final int TRAP_FLAG = 1 << 11;
    private static final int BREAKPOINTS_SHIFT = 12;

    /** EXITINFO1: the SMI was asserted externally. */
    private static final int EXTERNAL = 1;

    private final Cpu cpu;

    /** The dword of figure 10-6 without debug status, 0 if no I/O instruction was interrupted. */
    private int dword;

    /** The effective segment as EXITINFO1 has it, bits 12:10. */
    private int segment;

    private long rip;
    private long rcx;
    private long rsi;
    private long rdi;

    /** The I/O traps that asserted it, a bit each; 0 if it is external. */
    int traps;

    SmiCause(Cpu cpu) {
        this.cpu = cpu;
    }

    /** The I/O instruction at RIP asserts an SMI; its registers are as before this iteration. */
    void ioInstruction(
            int port,
            boolean in,
            int size,
            boolean string,
            boolean repeated,
            int addressSize,
            int effectiveSegment) {
        int information =
                (int)
                        ExitInformation.ioio(
                                port, in, size, string, repeated, addressSize, effectiveSegment);
        segment = information & SEGMENT;
        dword = information & ~SEGMENT | VALID;
        rip = cpu.rip;
        rcx = cpu.r[Cpu.RCX];
        rsi = cpu.r[Cpu.RSI];
        rdi = cpu.r[Cpu.RDI];
    }

    private int dword(int debugTraps) {
        if (dword == 0) {
            return 0;
        }
        int status = (debugTraps & 15) << BREAKPOINTS_SHIFT;
        return dword | status | ((cpu.systemFlags() & Cpu.TF) != 0 ? TRAP_FLAG : 0);
    }

    /** EXITINFO1 of the SMI intercept (figure 15-3). */
    long exitInfo1(int debugTraps) {
        return (long) dword(debugTraps) << 32 | segment | (traps == 0 ? EXTERNAL : 0);
    }

    /** EXITINFO2: RIP of the I/O instruction; 0 if there is none. */
    long exitInfo2() {
        return dword == 0 ? 0 : rip;
    }

    /** Fills the I/O restart fields, with the registers as they are if there was no I/O. */
    void store(SaveStateArea area, int debugTraps) {
        boolean io = dword != 0;
        area.put32(SaveStateArea.IO_DWORD, dword(debugTraps));
        area.put32(SaveStateArea.LOCAL_SMI_STATUS, traps);
        area.put64(SaveStateArea.IO_RIP, io ? rip : cpu.rip);
        area.put64(SaveStateArea.IO_RCX, io ? rcx : cpu.r[Cpu.RCX]);
        area.put64(SaveStateArea.IO_RSI, io ? rsi : cpu.r[Cpu.RSI]);
        area.put64(SaveStateArea.IO_RDI, io ? rdi : cpu.r[Cpu.RDI]);
    }

    void clear() {
        dword = 0;
        segment = 0;
        traps = 0;
        rip = rcx = rsi = rdi = 0;
    }

    @Override
    public void save(StateWriter out) {
        out.u32("smiIoDword", dword);
        out.u32("smiIoSegment", segment);
        out.u8("smiIoTraps", traps);
        out.u64("smiIoRip", rip);
        out.u64("smiIoRcx", rcx);
        out.u64("smiIoRsi", rsi);
        out.u64("smiIoRdi", rdi);
    }

    @Override
    public void load(StateReader in) {
        dword = in.u32("smiIoDword");
        segment = in.u32("smiIoSegment");
        traps = in.u8("smiIoTraps");
        rip = in.u64("smiIoRip");
        rcx = in.u64("smiIoRcx");
        rsi = in.u64("smiIoRsi");
        rdi = in.u64("smiIoRdi");
    }
}
