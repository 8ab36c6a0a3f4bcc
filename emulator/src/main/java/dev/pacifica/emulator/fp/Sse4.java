package dev.pacifica.emulator.fp;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;

/**
 * SSE4.1: blends, widening moves, rounding, inserts, extracts, dot products and the rest that is
 * not elementwise arithmetic.
 */
final class Sse4 {
    private Sse4() {}

    static void execute(Cpu cpu, Insn insn) {
        switch (insn.row.operation) {
            case PMOVSXBW -> widen(cpu, insn, 8, 8, 16, true);
            case PMOVSXBD -> widen(cpu, insn, 4, 8, 32, true);
            case PMOVSXBQ -> widen(cpu, insn, 2, 8, 64, true);
            case PMOVSXWD -> widen(cpu, insn, 8, 16, 32, true);
            case PMOVSXWQ -> widen(cpu, insn, 4, 16, 64, true);
            case PMOVSXDQ -> widen(cpu, insn, 8, 32, 64, true);
            case PMOVZXBW -> widen(cpu, insn, 8, 8, 16, false);
            case PMOVZXBD -> widen(cpu, insn, 4, 8, 32, false);
            case PMOVZXBQ -> widen(cpu, insn, 2, 8, 64, false);
            case PMOVZXWD -> widen(cpu, insn, 8, 16, 32, false);
            case PMOVZXWQ -> widen(cpu, insn, 4, 16, 64, false);
            case PMOVZXDQ -> widen(cpu, insn, 8, 32, 64, false);
            case PEXTRB, PEXTRD, PEXTRQ, EXTRACTPS -> extract(cpu, insn);
            case PINSRB, PINSRD, PINSRQ -> insert(cpu, insn);
            case INSERTPS -> insertSingle(cpu, insn);
            case ROUNDSS -> roundScalar(cpu, insn, false);
            case ROUNDSD -> roundScalar(cpu, insn, true);
            case PCMPESTRM, PCMPESTRI, PCMPISTRM, PCMPISTRI -> StringCompare.execute(cpu, insn);
            default -> {
                FpOperands.read128(cpu, insn);
                whole(cpu, insn);
            }
        }
    }

    private static void whole(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        int i = 2 * insn.reg;
        int imm = (int) insn.imm & 0xFF;
        switch (insn.row.operation) {
            case PBLENDVB -> blend(f, i, spread(f.xmm[0], 8), spread(f.xmm[1], 8));
            case BLENDVPS -> blend(f, i, spread(f.xmm[0], 32), spread(f.xmm[1], 32));
            case BLENDVPD -> blend(f, i, f.xmm[0] >> 63, f.xmm[1] >> 63);
            case BLENDPS -> blend(f, i, selected(imm, 2, 32), selected(imm >> 2, 2, 32));
            case BLENDPD -> blend(f, i, -(long) (imm & 1), -(long) (imm >> 1 & 1));
            case PBLENDW -> blend(f, i, selected(imm, 4, 16), selected(imm >> 4, 4, 16));
            case PTEST -> test(cpu, f.xmm[i], f.xmm[i + 1]);
            case PHMINPOSUW -> minimumWord(f, insn.reg);
            case ROUNDPS -> roundPacked(cpu, insn, false);
            case ROUNDPD -> roundPacked(cpu, insn, true);
            case DPPS -> dotProductSingle(cpu, insn, imm);
            case DPPD -> dotProductDouble(cpu, insn, imm);
            default -> sumsOfDifferences(f, i, imm); // MPSADBW
        }
    }

    /** Takes the source's bits where the masks are set. */
    private static void blend(FpuState f, int i, long maskLow, long maskHigh) {
        f.xmm[i] = f.xmm[i] & ~maskLow | f.sourceLow & maskLow;
        f.xmm[i + 1] = f.xmm[i + 1] & ~maskHigh | f.sourceHigh & maskHigh;
    }

    /** Fills each element of {@code bits} bits with its top bit. */
    private static long spread(long value, int bits) {
        long result = 0;
        for (int at = 0; at < 64; at += bits) {
            result |= (value << 64 - bits - at >> 63 & (1L << bits) - 1) << at;
        }
        return result;
    }

    /** All ones in the elements whose bit in {@code imm} is set. */
    private static long selected(int imm, int count, int bits) {
        long result = 0;
        for (int n = 0; n < count; n++) {
            result |= (imm >> n & 1) != 0 ? (1L << bits) - 1 << n * bits : 0;
        }
        return result;
    }

    private static void test(Cpu cpu, long low, long high) {
        FpuState f = cpu.fpu;
        boolean zero = (f.sourceLow & low | f.sourceHigh & high) == 0;
        boolean carry = (f.sourceLow & ~low | f.sourceHigh & ~high) == 0;
        cpu.setArithmeticFlags((zero ? Cpu.ZF : 0) | (carry ? Cpu.CF : 0));
    }

    private static void minimumWord(FpuState f, int register) {
        long best = 0x10000;
        int index = 0;
        for (int n = 0; n < 8; n++) {
            long word = (n < 4 ? f.sourceLow : f.sourceHigh) >>> 16 * (n & 3) & 0xFFFF;
            if (word < best) {
                best = word;
                index = n;
            }
        }
        FpOperands.setXmm(f, register, best | (long) index << 16, 0);
    }

    private static void widen(Cpu cpu, Insn insn, int bytes, int from, int to, boolean signed) {
        long source = FpOperands.readScalar(cpu, insn, bytes);
        long[] xmm = cpu.fpu.xmm;
        int i = 2 * insn.reg;
        xmm[i] = 0;
        xmm[i + 1] = 0;
        for (int n = 0; n < 128 / to; n++) {
            long element = source << 64 - from * (n + 1);
            element = signed ? element >> 64 - from : element >>> 64 - from;
            long masked = to == 64 ? element : element & (1L << to) - 1;
            xmm[i + n * to / 64] |= masked << n * to % 64;
        }
    }

    private static void extract(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        int imm = (int) insn.imm & 0xFF;
        int i = 2 * insn.reg;
        switch (insn.row.operation) {
            case PEXTRB -> {
                long value = f.xmm[i + (imm >> 3 & 1)] >>> 8 * (imm & 7) & 0xFF;
                if (insn.memory) {
                    cpu.write8(insn.segment, FpOperands.effectiveAddress(cpu, insn), (int) value);
                } else {
                    cpu.r[insn.rm] = value;
                }
            }
            case PEXTRQ -> {
                long value = f.xmm[i + (imm & 1)];
                if (insn.memory) {
                    FpOperands.write64(cpu, insn, value);
                } else {
                    cpu.r[insn.rm] = value;
                }
            }
            default -> {
                long value = f.xmm[i + (imm >> 1 & 1)] >>> 32 * (imm & 1) & 0xFFFFFFFFL;
                if (insn.memory) {
                    FpOperands.write32(cpu, insn, (int) value);
                } else {
                    cpu.r[insn.rm] = value;
                }
            }
        }
    }

    private static void insert(Cpu cpu, Insn insn) {
        long[] xmm = cpu.fpu.xmm;
        int imm = (int) insn.imm & 0xFF;
        int i = 2 * insn.reg;
        switch (insn.row.operation) {
            case PINSRB -> {
                long value =
                        insn.memory
                                ? cpu.read8(insn.segment, FpOperands.effectiveAddress(cpu, insn))
                                : cpu.r[insn.rm];
                int at = i + (imm >> 3 & 1);
                int shift = 8 * (imm & 7);
                xmm[at] = xmm[at] & ~(0xFFL << shift) | (value & 0xFF) << shift;
            }
            case PINSRQ -> xmm[i + (imm & 1)] = FpOperands.readGeneral(cpu, insn, true);
            default -> {
                long value = FpOperands.readGeneral(cpu, insn, false);
                int at = i + (imm >> 1 & 1);
                int shift = 32 * (imm & 1);
                xmm[at] = xmm[at] & ~(0xFFFFFFFFL << shift) | value << shift;
            }
        }
    }

    private static void insertSingle(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        int imm = (int) insn.imm & 0xFF;
        long value;
        if (insn.memory) {
            value = FpOperands.read32(cpu, insn) & 0xFFFFFFFFL;
        } else {
            value = f.xmm[2 * insn.rm + (imm >> 7)] >>> 32 * (imm >> 6 & 1) & 0xFFFFFFFFL;
        }
        int at = 2 * insn.reg + (imm >> 5 & 1);
        int shift = 32 * (imm >> 4 & 1);
        f.xmm[at] = f.xmm[at] & ~(0xFFFFFFFFL << shift) | value << shift;
        f.xmm[2 * insn.reg] &= ~selected(imm, 2, 32);
        f.xmm[2 * insn.reg + 1] &= ~selected(imm >> 2, 2, 32);
    }

    private static int rounding(FloatContext c, int imm) {
        return (imm & 4) != 0 ? c.rounding : imm & 3;
    }

    /** Records the flags; immediate bit 3 keeps an inexact result quiet. */
    private static void completeRounding(Cpu cpu, FloatContext c, int imm) {
        if ((imm & 8) != 0) {
            c.flags &= ~FloatContext.PE;
        }
        FpExecutor.completeSse(cpu);
    }

    private static void roundScalar(Cpu cpu, Insn insn, boolean dbl) {
        long source = FpOperands.readScalar(cpu, insn, dbl ? 8 : 4);
        FloatContext c = cpu.fpu.beginSse();
        int imm = (int) insn.imm;
        long result = SseFloat.toIntegral(c, source, dbl, rounding(c, imm));
        completeRounding(cpu, c, imm);
        SseArithmetic.setScalar(cpu.fpu, insn.reg, result, dbl);
    }

    private static void roundPacked(Cpu cpu, Insn insn, boolean dbl) {
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        int imm = (int) insn.imm;
        int rounding = rounding(c, imm);
        long low = roundQuadword(c, f.sourceLow, dbl, rounding);
        long high = roundQuadword(c, f.sourceHigh, dbl, rounding);
        completeRounding(cpu, c, imm);
        FpOperands.setXmm(f, insn.reg, low, high);
    }

    private static long roundQuadword(FloatContext c, long a, boolean dbl, int rounding) {
        if (dbl) {
            return SseFloat.toIntegral(c, a, true, rounding);
        }
        long low = SseFloat.toIntegral(c, a & 0xFFFFFFFFL, false, rounding);
        return SseFloat.toIntegral(c, a >>> 32, false, rounding) << 32 | low;
    }

    private static long term(FloatContext c, FpuState f, int register, int n) {
        long a = f.xmm[2 * register + (n >> 1)] >>> 32 * (n & 1) & 0xFFFFFFFFL;
        long b = (n < 2 ? f.sourceLow : f.sourceHigh) >>> 32 * (n & 1) & 0xFFFFFFFFL;
        return SseFloat.singleOperation(c, SseFloat.MULTIPLY, a, b);
    }

    private static void dotProductSingle(Cpu cpu, Insn insn, int imm) {
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        long t0 = (imm & 0x10) != 0 ? term(c, f, insn.reg, 0) : 0;
        long t1 = (imm & 0x20) != 0 ? term(c, f, insn.reg, 1) : 0;
        long t2 = (imm & 0x40) != 0 ? term(c, f, insn.reg, 2) : 0;
        long t3 = (imm & 0x80) != 0 ? term(c, f, insn.reg, 3) : 0;
        FpExecutor.completeSse(cpu);
        long low = SseFloat.singleOperation(c, SseFloat.ADD, t0, t1);
        long high = SseFloat.singleOperation(c, SseFloat.ADD, t2, t3);
        FpExecutor.completeSse(cpu);
        long sum = SseFloat.singleOperation(c, SseFloat.ADD, low, high);
        FpExecutor.completeSse(cpu);
        long both = sum << 32 | sum;
        FpOperands.setXmm(
                f, insn.reg, both & selected(imm, 2, 32), both & selected(imm >> 2, 2, 32));
    }

    private static void dotProductDouble(Cpu cpu, Insn insn, int imm) {
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        int i = 2 * insn.reg;
        long t0 =
                (imm & 0x10) != 0
                        ? SseFloat.doubleOperation(c, SseFloat.MULTIPLY, f.xmm[i], f.sourceLow)
                        : 0;
        long t1 =
                (imm & 0x20) != 0
                        ? SseFloat.doubleOperation(c, SseFloat.MULTIPLY, f.xmm[i + 1], f.sourceHigh)
                        : 0;
        FpExecutor.completeSse(cpu);
        long sum = SseFloat.doubleOperation(c, SseFloat.ADD, t0, t1);
        FpExecutor.completeSse(cpu);
        FpOperands.setXmm(f, insn.reg, (imm & 1) != 0 ? sum : 0, (imm & 2) != 0 ? sum : 0);
    }

    private static int byteAt(long low, long high, int at) {
        return (int) ((at < 8 ? low : high) >>> 8 * (at & 7)) & 0xFF;
    }

    /** MPSADBW: eight sums, each of four absolute differences of bytes. */
    private static void sumsOfDifferences(FpuState f, int i, int imm) {
        long aLow = f.xmm[i];
        long aHigh = f.xmm[i + 1];
        int aBase = (imm >> 2 & 1) * 4;
        int bBase = (imm & 3) * 4;
        long low = 0;
        long high = 0;
        for (int n = 0; n < 8; n++) {
            long sum = 0;
            for (int k = 0; k < 4; k++) {
                sum +=
                        Math.abs(
                                byteAt(aLow, aHigh, aBase + n + k)
                                        - byteAt(f.sourceLow, f.sourceHigh, bBase + k));
            }
            if (n < 4) {
                low |= sum << 16 * n;
            } else {
                high |= sum << 16 * (n - 4);
            }
        }
        f.xmm[i] = low;
        f.xmm[i + 1] = high;
    }
}
