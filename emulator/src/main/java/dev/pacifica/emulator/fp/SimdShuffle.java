package dev.pacifica.emulator.fp;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.Operand;
import dev.pacifica.emulator.decode.Operation;

/**
 * MMX and SSE operations that move elements between places: unpack, pack, shuffle, insert, extract,
 * align, horizontal sums.
 */
final class SimdShuffle {
    private SimdShuffle() {}

    static void execute(Cpu cpu, Insn insn, boolean xmm) {
        switch (insn.row.operation) {
            case PINSRW -> insertWord(cpu, insn);
            case PEXTRW -> extractWord(cpu, insn);
            case PSRLDQ, PSLLDQ -> shiftBytes(cpu.fpu, insn);
            default -> {
                if (xmm) {
                    executeXmm(cpu, insn);
                } else {
                    executeMmx(cpu, insn);
                }
            }
        }
    }

    private static void executeMmx(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        boolean half =
                switch (insn.row.operation) {
                    case PUNPCKLBW, PUNPCKLWD, PUNPCKLDQ -> true;
                    default -> false;
                };
        // The low unpacks read 32 bits of memory only.
        long b =
                half && insn.memory
                        ? FpOperands.read32(cpu, insn) & 0xFFFFFFFFL
                        : FpOperands.readMmx(cpu, insn);
        f.enterMmx();
        int register = insn.reg & 7;
        long a = f.significand[register];
        int imm = (int) insn.imm & 0xFF;
        long result =
                switch (insn.row.operation) {
                    case PUNPCKLBW -> interleave(a, b, 8);
                    case PUNPCKLWD -> interleave(a, b, 16);
                    case PUNPCKLDQ -> interleave(a, b, 32);
                    case PUNPCKHBW -> interleave(a >>> 32, b >>> 32, 8);
                    case PUNPCKHWD -> interleave(a >>> 32, b >>> 32, 16);
                    case PUNPCKHDQ -> interleave(a >>> 32, b >>> 32, 32);
                    case PACKSSWB -> packWords(a, true) | packWords(b, true) << 32;
                    case PACKUSWB -> packWords(a, false) | packWords(b, false) << 32;
                    case PACKSSDW -> packDoublewords(a, true) | packDoublewords(b, true) << 32;
                    case PSHUFW -> shuffleWords(b, imm);
                    case PSHUFB -> shuffleBytes(a, 0, b, 7);
                    case PALIGNR ->
                            imm >= 16 ? 0 : imm >= 8 ? a >>> 8 * (imm - 8) : funnel(a, b, 8 * imm);
                    default ->
                            horizontal(insn.row.operation, a)
                                    | horizontal(insn.row.operation, b) << 32;
                };
        f.setMmx(register, result);
    }

    private static void executeXmm(Cpu cpu, Insn insn) {
        FpOperands.read128(cpu, insn);
        FpuState f = cpu.fpu;
        long aLow = f.xmm[2 * insn.reg];
        long aHigh = f.xmm[2 * insn.reg + 1];
        long bLow = f.sourceLow;
        long bHigh = f.sourceHigh;
        int imm = (int) insn.imm & 0xFF;
        long low;
        long high;
        switch (insn.row.operation) {
            case PUNPCKLBW -> {
                low = interleave(aLow, bLow, 8);
                high = interleave(aLow >>> 32, bLow >>> 32, 8);
            }
            case PUNPCKLWD -> {
                low = interleave(aLow, bLow, 16);
                high = interleave(aLow >>> 32, bLow >>> 32, 16);
            }
            case PUNPCKLDQ, UNPCKLPS -> {
                low = interleave(aLow, bLow, 32);
                high = interleave(aLow >>> 32, bLow >>> 32, 32);
            }
            case PUNPCKLQDQ, UNPCKLPD -> {
                low = aLow;
                high = bLow;
            }
            case PUNPCKHBW -> {
                low = interleave(aHigh, bHigh, 8);
                high = interleave(aHigh >>> 32, bHigh >>> 32, 8);
            }
            case PUNPCKHWD -> {
                low = interleave(aHigh, bHigh, 16);
                high = interleave(aHigh >>> 32, bHigh >>> 32, 16);
            }
            case PUNPCKHDQ, UNPCKHPS -> {
                low = interleave(aHigh, bHigh, 32);
                high = interleave(aHigh >>> 32, bHigh >>> 32, 32);
            }
            case PUNPCKHQDQ, UNPCKHPD -> {
                low = aHigh;
                high = bHigh;
            }
            case PACKSSWB, PACKUSWB -> {
                boolean signed = insn.row.operation == Operation.PACKSSWB;
                low = packWords(aLow, signed) | packWords(aHigh, signed) << 32;
                high = packWords(bLow, signed) | packWords(bHigh, signed) << 32;
            }
            case PACKSSDW, PACKUSDW -> {
                boolean signed = insn.row.operation == Operation.PACKSSDW;
                low = packDoublewords(aLow, signed) | packDoublewords(aHigh, signed) << 32;
                high = packDoublewords(bLow, signed) | packDoublewords(bHigh, signed) << 32;
            }
            case PSHUFD -> {
                low = doubleword(bLow, bHigh, imm) | doubleword(bLow, bHigh, imm >> 2) << 32;
                high = doubleword(bLow, bHigh, imm >> 4) | doubleword(bLow, bHigh, imm >> 6) << 32;
            }
            case SHUFPS -> {
                low = doubleword(aLow, aHigh, imm) | doubleword(aLow, aHigh, imm >> 2) << 32;
                high = doubleword(bLow, bHigh, imm >> 4) | doubleword(bLow, bHigh, imm >> 6) << 32;
            }
            case SHUFPD -> {
                low = (imm & 1) == 0 ? aLow : aHigh;
                high = (imm & 2) == 0 ? bLow : bHigh;
            }
            case PSHUFHW -> {
                low = bLow;
                high = shuffleWords(bHigh, imm);
            }
            case PSHUFLW -> {
                low = shuffleWords(bLow, imm);
                high = bHigh;
            }
            case PSHUFB -> {
                low = shuffleBytes(aLow, aHigh, bLow, 15);
                high = shuffleBytes(aLow, aHigh, bHigh, 15);
            }
            case PALIGNR -> {
                low = alignedQuadword(aLow, aHigh, bLow, bHigh, imm);
                high = alignedQuadword(aLow, aHigh, bLow, bHigh, imm + 8);
            }
            default -> {
                low =
                        horizontal(insn.row.operation, aLow)
                                | horizontal(insn.row.operation, aHigh) << 32;
                high =
                        horizontal(insn.row.operation, bLow)
                                | horizontal(insn.row.operation, bHigh) << 32;
            }
        }
        FpOperands.setXmm(f, insn.reg, low, high);
    }

    /** Interleaves the elements of the low halves of a and b, a's first. */
    private static long interleave(long a, long b, int bits) {
        if (bits == 32) {
            return a & 0xFFFFFFFFL | b << 32;
        }
        long mask = (1L << bits) - 1;
        long result = 0;
        for (int i = 0; i < 32; i += bits) {
            result |= (a >>> i & mask) << 2 * i | (b >>> i & mask) << 2 * i + bits;
        }
        return result;
    }

    /** Four signed words saturated to signed or unsigned bytes, in the low 32 bits. */
    private static long packWords(long a, boolean signed) {
        long result = 0;
        for (int i = 0; i < 4; i++) {
            int word = (short) (a >>> 16 * i);
            int packed =
                    signed ? SimdInteger.saturateByte(word) : Math.max(0, Math.min(0xFF, word));
            result |= (packed & 0xFFL) << 8 * i;
        }
        return result;
    }

    private static long packDoublewords(long a, boolean signed) {
        return packDoubleword((int) a, signed) | packDoubleword((int) (a >>> 32), signed) << 16;
    }

    private static long packDoubleword(int value, boolean signed) {
        return (signed ? SimdInteger.saturateWord(value) : Math.max(0, Math.min(0xFFFF, value)))
                & 0xFFFFL;
    }

    private static long shuffleWords(long a, int imm) {
        long result = 0;
        for (int i = 0; i < 4; i++) {
            result |= (a >>> 16 * (imm >> 2 * i & 3) & 0xFFFF) << 16 * i;
        }
        return result;
    }

    private static long doubleword(long low, long high, int select) {
        return ((select & 2) == 0 ? low : high) >>> 32 * (select & 1) & 0xFFFFFFFFL;
    }

    private static long shuffleBytes(long low, long high, long control, int mask) {
        long result = 0;
        for (int i = 0; i < 64; i += 8) {
            int select = (int) (control >>> i) & 0xFF;
            if (select < 0x80) {
                int at = select & mask;
                result |= ((at < 8 ? low : high) >>> 8 * (at & 7) & 0xFF) << i;
            }
        }
        return result;
    }

    /** The low quadword of (high:low) shifted right by 0 to 63 bits. */
    private static long funnel(long high, long low, int bits) {
        return bits == 0 ? low : low >>> bits | high << 64 - bits;
    }

    /**
     * The quadword at byte {@code at} of a (bytes 16 to 31) over b (bytes 0 to 15), zeros above.
     */
    private static long alignedQuadword(long aLow, long aHigh, long bLow, long bHigh, int at) {
        int index = at >> 3;
        return funnel(
                quadword(aLow, aHigh, bLow, bHigh, index + 1),
                quadword(aLow, aHigh, bLow, bHigh, index),
                8 * (at & 7));
    }

    private static long quadword(long aLow, long aHigh, long bLow, long bHigh, int index) {
        return switch (index) {
            case 0 -> bLow;
            case 1 -> bHigh;
            case 2 -> aLow;
            case 3 -> aHigh;
            default -> 0;
        };
    }

    /** Sums or differences of neighbours (PHADDW and family), in the low 32 bits. */
    private static long horizontal(Operation operation, long a) {
        int w0 = (short) a;
        int w1 = (short) (a >>> 16);
        int w2 = (short) (a >>> 32);
        int w3 = (short) (a >>> 48);
        return switch (operation) {
            case PHADDW -> words(w0 + w1, w2 + w3);
            case PHADDSW ->
                    words(SimdInteger.saturateWord(w0 + w1), SimdInteger.saturateWord(w2 + w3));
            case PHSUBW -> words(w0 - w1, w2 - w3);
            case PHSUBSW ->
                    words(SimdInteger.saturateWord(w0 - w1), SimdInteger.saturateWord(w2 - w3));
            case PHADDD -> (int) a + (int) (a >>> 32) & 0xFFFFFFFFL;
            default -> (int) a - (int) (a >>> 32) & 0xFFFFFFFFL; // PHSUBD
        };
    }

    private static long words(int low, int high) {
        return low & 0xFFFFL | (high & 0xFFFFL) << 16;
    }

    private static void insertWord(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        long word = (insn.memory ? FpOperands.read16(cpu, insn) : cpu.r[insn.rm]) & 0xFFFF;
        int shift = 16 * ((int) insn.imm & 3);
        if (insn.row.operands.get(0).kind() == Operand.Kind.MMX) {
            f.enterMmx();
            int register = insn.reg & 7;
            f.setMmx(register, f.significand[register] & ~(0xFFFFL << shift) | word << shift);
        } else {
            int i = 2 * insn.reg + ((int) insn.imm >> 2 & 1);
            f.xmm[i] = f.xmm[i] & ~(0xFFFFL << shift) | word << shift;
        }
    }

    private static void extractWord(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        int shift = 16 * ((int) insn.imm & 3);
        int half = (int) insn.imm >> 2 & 1;
        Operand.Kind first = insn.row.operands.get(0).kind();
        if (first != Operand.Kind.GPR) {
            // The SSE4.1 form, whose destination is ModRM.rm.
            long word = f.xmm[2 * insn.reg + half] >>> shift & 0xFFFF;
            if (insn.memory) {
                FpOperands.write16(cpu, insn, (int) word);
            } else {
                cpu.r[insn.rm] = word;
            }
        } else if (insn.row.operands.get(1).kind() == Operand.Kind.MMX_RM) {
            f.enterMmx();
            cpu.r[insn.reg] = f.significand[insn.rm & 7] >>> shift & 0xFFFF;
        } else {
            cpu.r[insn.reg] = f.xmm[2 * insn.rm + half] >>> shift & 0xFFFF;
        }
    }

    /** PSRLDQ and PSLLDQ. */
    private static void shiftBytes(FpuState f, Insn insn) {
        int count = Math.min((int) insn.imm & 0xFF, 16);
        long low = f.xmm[2 * insn.rm];
        long high = f.xmm[2 * insn.rm + 1];
        if (insn.row.operation == Operation.PSRLDQ) {
            FpOperands.setXmm(
                    f,
                    insn.rm,
                    alignedQuadword(0, 0, low, high, count),
                    alignedQuadword(0, 0, low, high, count + 8));
        } else {
            FpOperands.setXmm(
                    f,
                    insn.rm,
                    alignedQuadword(low, high, 0, 0, 16 - count),
                    alignedQuadword(low, high, 0, 0, 24 - count));
        }
    }
}
