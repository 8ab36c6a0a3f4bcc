package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;

/**
 * Which code is specialised: 64-bit code, and that 32-bit code whose effective addresses are linear
 * addresses. That is so in legacy mode as long as CS, SS, DS and ES have base 0 and no limit (APM
 * Vol 2 §4.2); FS and GS are left to the generic way. Not in compatibility mode: registers may have
 * more than 32 bits there, and so have translations.
 */
final class FlatCode {
    /** 32-bit code with flat segments. */
    static final int FLAT_32 = 33;

    private static final long WHOLE = 0xffff_ffffL;
    private static final int CODE = 8;
    private static final int EXPAND_DOWN = 4;
    private static final int WRITABLE = 2;
    private static final int ASKED = Cpu.ATTR_P | Cpu.ATTR_S | CODE | EXPAND_DOWN | WRITABLE;
    private static final int DATA = Cpu.ATTR_P | Cpu.ATTR_S | WRITABLE;

    private FlatCode() {}

    /** What the processor executes: 16, 32 or 64, or {@link #FLAT_32}. */
    static int kind(Cpu cpu) {
        int bits = cpu.codeBits;
        return bits == 32
                        && (cpu.efer & Cpu.EFER_LMA) == 0
                        && cpu.stackSize == 4
                        && cpu.segBase[Cpu.CS] == 0
                        && cpu.segLimit[Cpu.CS] == WHOLE
                        && flat(cpu, Cpu.SS)
                        && flat(cpu, Cpu.DS)
                        && flat(cpu, Cpu.ES)
                ? FLAT_32
                : bits;
    }

    private static boolean flat(Cpu cpu, int segment) {
        return cpu.segBase[segment] == 0
                && cpu.segLimit[segment] == WHOLE
                && (cpu.segAttr[segment] & ASKED) == DATA;
    }

    /** The code size of a kind, for the decoder. */
    static int codeBits(int kind) {
        return kind == FLAT_32 ? 32 : kind;
    }
}
