package dev.pacifica.emulator.fp;

import static dev.pacifica.emulator.fp.Float80.INDEFINITE_SE;
import static dev.pacifica.emulator.fp.Float80.INDEFINITE_SIG;
import static dev.pacifica.emulator.fp.FloatContext.IE;
import static dev.pacifica.emulator.fp.FloatContext.OE;
import static dev.pacifica.emulator.fp.FloatContext.UE;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;

/** x87 loads, constants and stores in all memory formats. */
final class X87Transfer {
    private static final long BCD_LIMIT = 1_000_000_000_000_000_000L;

    private X87Transfer() {}

    /**
     * Reads a single, double or integer operand, as the opcode says, into the context's result.
     * Returns whether it was a denormal.
     */
    static boolean fetch(Cpu cpu, Insn insn) {
        FloatContext c = cpu.fpu.x87;
        switch (insn.opcode) {
            case 0xD8, 0xD9 -> {
                return Float80.fromSingle(c, FpOperands.read32(cpu, insn));
            }
            case 0xDC, 0xDD -> {
                return Float80.fromDouble(c, FpOperands.read64(cpu, insn));
            }
            case 0xDA, 0xDB -> Float80.fromInteger(c, FpOperands.read32(cpu, insn));
            default -> Float80.fromInteger(c, (short) FpOperands.read16(cpu, insn));
        }
        return false;
    }

    static void load(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        FloatContext c = f.begin();
        switch (insn.row.operation) {
            case FLD -> {
                if (!insn.memory) {
                    loadRegister(f, insn.rm & 7);
                    return;
                }
                if (insn.opcode == 0xDB) {
                    loadExtended(cpu, insn);
                } else {
                    boolean denormal = fetch(cpu, insn);
                    if (!f.isEmpty(-1)) {
                        overflow(f);
                        return;
                    }
                    if (denormal) {
                        c.flags = FloatContext.DE;
                    } else if (Float80.isSignalling(c.sig, c.se)) {
                        c.flags = IE;
                        c.sig |= Float80.QUIET_BIT;
                    }
                }
            }
            case FILD -> {
                if (insn.opcode == 0xDF && insn.reg == 5) {
                    Float80.fromInteger(c, FpOperands.read64(cpu, insn));
                } else {
                    fetch(cpu, insn);
                }
            }
            case FBLD -> loadDecimal(cpu, insn);
            default -> X87Constants.load(c, insn.modrm);
        }
        if (!f.isEmpty(-1)) {
            overflow(f);
        } else if (f.complete()) {
            f.push(c.sig, c.se);
        }
    }

    private static void overflow(FpuState f) {
        if (f.stackOverflow()) {
            f.push(INDEFINITE_SIG, INDEFINITE_SE);
        }
    }

    private static void loadRegister(FpuState f, int i) {
        if (f.isEmpty(i)) {
            if (f.stackUnderflow()) {
                f.push(INDEFINITE_SIG, INDEFINITE_SE);
            }
        } else if (!f.isEmpty(-1)) {
            overflow(f);
        } else {
            f.setC1(false);
            f.push(f.sig(i), f.se(i));
        }
    }

    private static void loadExtended(Cpu cpu, Insn insn) {
        long va = cpu.linear(insn.segment, FpOperands.effectiveAddress(cpu, insn), 10, false);
        long sig = cpu.mmu.read64(va);
        cpu.fpu.x87.result(sig, cpu.mmu.read16(FpOperands.next(cpu, va, 8)));
    }

    private static void loadDecimal(Cpu cpu, Insn insn) {
        long va = cpu.linear(insn.segment, FpOperands.effectiveAddress(cpu, insn), 10, false);
        long low = cpu.mmu.read64(va);
        int high = cpu.mmu.read16(FpOperands.next(cpu, va, 8));
        long value = (high >> 4 & 0xF) * 10L + (high & 0xF);
        for (int shift = 60; shift >= 0; shift -= 4) {
            value = value * 10 + (low >>> shift & 0xF);
        }
        FloatContext c = cpu.fpu.x87;
        Float80.fromInteger(c, value);
        c.se |= high & 0x8000;
    }

    static void store(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        boolean pop;
        switch (insn.row.operation) {
            case FST, FIST -> pop = false;
            default -> pop = true;
        }
        if (!insn.memory) {
            if (insn.opcode == 0xD9 && f.isEmpty(0)) {
                // The undocumented D9 D8+i does not check for an empty register; it only pops then.
                f.setC1(false);
                f.top = f.top + 1 & 7;
            } else {
                storeRegister(f, insn.rm & 7, pop);
            }
            return;
        }
        boolean done =
                switch (insn.row.operation) {
                    case FST, FSTP ->
                            insn.opcode == 0xDB ? storeExtended(cpu, insn) : storeFloat(cpu, insn);
                    case FBSTP -> storeDecimal(cpu, insn);
                    case FISTTP -> storeInteger(cpu, insn, true);
                    default -> storeInteger(cpu, insn, false);
                };
        if (done && pop) {
            f.pop();
        }
    }

    private static void storeRegister(FpuState f, int i, boolean pop) {
        if (f.isEmpty(0)) {
            if (!f.stackUnderflow()) {
                return;
            }
            f.set(i, INDEFINITE_SIG, INDEFINITE_SE);
        } else {
            f.setC1(false);
            f.set(i, f.sig(0), f.se(0));
        }
        if (pop) {
            f.pop();
        }
    }

    private static boolean maskedInvalid(FpuState f) {
        return (f.control() & IE) != 0;
    }

    /**
     * Whether a store's exceptions let it write memory (where they do not, memory that cannot be
     * written faults all the same): an unmasked overflow or underflow does not, unlike for
     * registers.
     */
    private static boolean writes(FpuState f, int flags) {
        return (flags & ~f.control() & (FloatContext.PRE_COMPUTATION | OE | UE)) == 0;
    }

    private static boolean storeFloat(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        boolean dbl = insn.opcode == 0xDD;
        boolean empty = f.isEmpty(0);
        FloatContext c = f.begin();
        long bits;
        if (empty) {
            bits = dbl ? 0xFFF8000000000000L : 0xFFC00000L;
        } else {
            bits =
                    dbl
                            ? Float80.toDouble(c, f.sig(0), f.se(0))
                            : Float80.toSingle(c, f.sig(0), f.se(0));
        }
        if (empty ? maskedInvalid(f) : writes(f, c.flags)) {
            if (dbl) {
                FpOperands.write64(cpu, insn, bits);
            } else {
                FpOperands.write32(cpu, insn, (int) bits);
            }
        } else {
            X87Control.writable(cpu, insn, dbl ? 8 : 4);
        }
        if (empty) {
            return f.stackUnderflow();
        }
        boolean written = writes(f, c.flags);
        if (!written) {
            // No result, hence nothing inexact.
            c.flags &= ~FloatContext.PE;
            c.roundedUp = false;
        }
        f.complete();
        return written;
    }

    private static boolean storeExtended(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        if (f.isEmpty(0)) {
            if (maskedInvalid(f)) {
                writeTen(cpu, insn, INDEFINITE_SIG, INDEFINITE_SE);
            } else {
                X87Control.writable(cpu, insn, 10);
            }
            return f.stackUnderflow();
        }
        writeTen(cpu, insn, f.sig(0), f.se(0));
        f.setC1(false);
        return true;
    }

    private static void writeTen(Cpu cpu, Insn insn, long low, int high) {
        long va = X87Control.writable(cpu, insn, 10);
        cpu.mmu.write64(va, low);
        cpu.mmu.write16(FpOperands.next(cpu, va, 8), high);
    }

    private static int integerBits(Insn insn) {
        return switch (insn.opcode) {
            case 0xDB -> 32;
            case 0xDD -> 64;
            default -> insn.reg == 7 ? 64 : 16;
        };
    }

    private static boolean storeInteger(Cpu cpu, Insn insn, boolean truncate) {
        FpuState f = cpu.fpu;
        int bits = integerBits(insn);
        boolean empty = f.isEmpty(0);
        FloatContext c = f.begin();
        int rounding = c.rounding;
        if (truncate) {
            c.rounding = FloatContext.ZERO;
        }
        long value = empty ? -1L << (bits - 1) : Float80.toInteger(c, f.sig(0), f.se(0), bits);
        c.rounding = rounding;
        boolean written = empty ? maskedInvalid(f) : writes(f, c.flags);
        if (written) {
            switch (bits) {
                case 16 -> FpOperands.write16(cpu, insn, (int) value & 0xFFFF);
                case 32 -> FpOperands.write32(cpu, insn, (int) value);
                default -> FpOperands.write64(cpu, insn, value);
            }
        } else {
            X87Control.writable(cpu, insn, bits / 8);
        }
        if (empty) {
            return f.stackUnderflow();
        }
        f.complete();
        return written;
    }

    private static boolean storeDecimal(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        boolean empty = f.isEmpty(0);
        FloatContext c = f.begin();
        long low = 0xC000000000000000L;
        int high = 0xFFFF;
        if (!empty) {
            long value = Float80.toInteger(c, f.sig(0), f.se(0), 64);
            if ((c.flags & IE) == 0 && (value >= BCD_LIMIT || value <= -BCD_LIMIT)) {
                c.flags = IE;
                c.roundedUp = false;
            }
            if ((c.flags & IE) == 0) {
                long rest = Math.abs(value);
                low = 0;
                for (int shift = 0; shift < 64; shift += 4) {
                    low |= rest % 10 << shift;
                    rest /= 10;
                }
                high = (int) (rest / 10 << 4 | rest % 10) | f.se(0) & 0x8000;
            }
        }
        boolean written = empty ? maskedInvalid(f) : writes(f, c.flags);
        if (written) {
            writeTen(cpu, insn, low, high);
        } else {
            X87Control.writable(cpu, insn, 10);
        }
        if (empty) {
            return f.stackUnderflow();
        }
        f.complete();
        return written;
    }
}
