package dev.pacifica.emulator.fp;

import static dev.pacifica.emulator.fp.SseFloat.ADD;
import static dev.pacifica.emulator.fp.SseFloat.DIVIDE;
import static dev.pacifica.emulator.fp.SseFloat.MAX;
import static dev.pacifica.emulator.fp.SseFloat.MIN;
import static dev.pacifica.emulator.fp.SseFloat.MULTIPLY;
import static dev.pacifica.emulator.fp.SseFloat.SUBTRACT;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;

/** SSE floating-point arithmetic, comparison and approximation, packed and scalar. */
final class SseArithmetic {
    private SseArithmetic() {}

    static void execute(Cpu cpu, Insn insn) {
        switch (insn.row.operation) {
            case ADDPS -> packedSingle(cpu, insn, ADD);
            case ADDPD -> packedDouble(cpu, insn, ADD);
            case ADDSS -> scalarSingle(cpu, insn, ADD);
            case ADDSD -> scalarDouble(cpu, insn, ADD);
            case MULPS -> packedSingle(cpu, insn, MULTIPLY);
            case MULPD -> packedDouble(cpu, insn, MULTIPLY);
            case MULSS -> scalarSingle(cpu, insn, MULTIPLY);
            case MULSD -> scalarDouble(cpu, insn, MULTIPLY);
            case SUBPS -> packedSingle(cpu, insn, SUBTRACT);
            case SUBPD -> packedDouble(cpu, insn, SUBTRACT);
            case SUBSS -> scalarSingle(cpu, insn, SUBTRACT);
            case SUBSD -> scalarDouble(cpu, insn, SUBTRACT);
            case MINPS -> packedSingle(cpu, insn, MIN);
            case MINPD -> packedDouble(cpu, insn, MIN);
            case MINSS -> scalarSingle(cpu, insn, MIN);
            case MINSD -> scalarDouble(cpu, insn, MIN);
            case DIVPS -> packedSingle(cpu, insn, DIVIDE);
            case DIVPD -> packedDouble(cpu, insn, DIVIDE);
            case DIVSS -> scalarSingle(cpu, insn, DIVIDE);
            case DIVSD -> scalarDouble(cpu, insn, DIVIDE);
            case MAXPS -> packedSingle(cpu, insn, MAX);
            case MAXPD -> packedDouble(cpu, insn, MAX);
            case MAXSS -> scalarSingle(cpu, insn, MAX);
            case MAXSD -> scalarDouble(cpu, insn, MAX);
            case SQRTPS, SQRTPD -> packedRoot(cpu, insn);
            case SQRTSS, SQRTSD -> scalarRoot(cpu, insn);
            default -> rest(cpu, insn);
        }
    }

    private static void rest(Cpu cpu, Insn insn) {
        switch (insn.row.operation) {
            case CMPPS -> comparePackedSingle(cpu, insn);
            case CMPPD -> comparePackedDouble(cpu, insn);
            case CMPSS -> compareScalar(cpu, insn, false);
            case CMPSD_SSE -> compareScalar(cpu, insn, true);
            case UCOMISS -> compareToFlags(cpu, insn, false, true);
            case UCOMISD -> compareToFlags(cpu, insn, true, true);
            case COMISS -> compareToFlags(cpu, insn, false, false);
            case COMISD -> compareToFlags(cpu, insn, true, false);
            case RCPPS -> approximatePacked(cpu, insn, false);
            case RSQRTPS -> approximatePacked(cpu, insn, true);
            case RCPSS -> approximateScalar(cpu, insn, false);
            case RSQRTSS -> approximateScalar(cpu, insn, true);
            case HADDPS -> horizontalSingle(cpu, insn, ADD);
            case HSUBPS -> horizontalSingle(cpu, insn, SUBTRACT);
            case HADDPD -> horizontalDouble(cpu, insn, ADD);
            case HSUBPD -> horizontalDouble(cpu, insn, SUBTRACT);
            case ADDSUBPS -> addSubtractSingle(cpu, insn);
            default -> addSubtractDouble(cpu, insn);
        }
    }

    /** Two singles at once, in the halves of a quadword. */
    private static long pair(FloatContext c, int operation, long a, long b) {
        long low = SseFloat.singleOperation(c, operation, a & 0xFFFFFFFFL, b & 0xFFFFFFFFL);
        long high = SseFloat.singleOperation(c, operation, a >>> 32, b >>> 32);
        return high << 32 | low;
    }

    private static void packedSingle(Cpu cpu, Insn insn, int operation) {
        FpOperands.read128(cpu, insn);
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        long low = pair(c, operation, f.xmm[2 * insn.reg], f.sourceLow);
        long high = pair(c, operation, f.xmm[2 * insn.reg + 1], f.sourceHigh);
        FpExecutor.completeSse(cpu);
        FpOperands.setXmm(f, insn.reg, low, high);
    }

    private static void packedDouble(Cpu cpu, Insn insn, int operation) {
        FpOperands.read128(cpu, insn);
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        long low = SseFloat.doubleOperation(c, operation, f.xmm[2 * insn.reg], f.sourceLow);
        long high = SseFloat.doubleOperation(c, operation, f.xmm[2 * insn.reg + 1], f.sourceHigh);
        FpExecutor.completeSse(cpu);
        FpOperands.setXmm(f, insn.reg, low, high);
    }

    private static void scalarSingle(Cpu cpu, Insn insn, int operation) {
        long source = FpOperands.readScalar(cpu, insn, 4);
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        long result =
                SseFloat.singleOperation(c, operation, f.xmm[2 * insn.reg] & 0xFFFFFFFFL, source);
        FpExecutor.completeSse(cpu);
        FpOperands.setLowSingle(f, insn.reg, result);
    }

    private static void scalarDouble(Cpu cpu, Insn insn, int operation) {
        long source = FpOperands.readScalar(cpu, insn, 8);
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        long result = SseFloat.doubleOperation(c, operation, f.xmm[2 * insn.reg], source);
        FpExecutor.completeSse(cpu);
        f.xmm[2 * insn.reg] = result;
    }

    private static long rootPair(FloatContext c, long a) {
        long low = SseFloat.squareRoot(c, a & 0xFFFFFFFFL, false);
        return SseFloat.squareRoot(c, a >>> 32, false) << 32 | low;
    }

    private static boolean isDouble(Insn insn) {
        return switch (insn.row.operation) {
            case SQRTPD, SQRTSD -> true;
            default -> false;
        };
    }

    private static void packedRoot(Cpu cpu, Insn insn) {
        FpOperands.read128(cpu, insn);
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        boolean dbl = isDouble(insn);
        long low = dbl ? SseFloat.squareRoot(c, f.sourceLow, true) : rootPair(c, f.sourceLow);
        long high = dbl ? SseFloat.squareRoot(c, f.sourceHigh, true) : rootPair(c, f.sourceHigh);
        FpExecutor.completeSse(cpu);
        FpOperands.setXmm(f, insn.reg, low, high);
    }

    private static void scalarRoot(Cpu cpu, Insn insn) {
        boolean dbl = isDouble(insn);
        long source = FpOperands.readScalar(cpu, insn, dbl ? 8 : 4);
        FpuState f = cpu.fpu;
        long result = SseFloat.squareRoot(f.beginSse(), source, dbl);
        FpExecutor.completeSse(cpu);
        setScalar(f, insn.reg, result, dbl);
    }

    static void setScalar(FpuState f, int register, long bits, boolean dbl) {
        if (dbl) {
            f.xmm[2 * register] = bits;
        } else {
            FpOperands.setLowSingle(f, register, bits);
        }
    }

    private static long comparePair(FloatContext c, long a, long b, int predicate) {
        long low =
                SseFloat.predicate(c, a & 0xFFFFFFFFL, b & 0xFFFFFFFFL, false, predicate)
                        ? 0xFFFFFFFFL
                        : 0;
        long high =
                SseFloat.predicate(c, a >>> 32, b >>> 32, false, predicate)
                        ? 0xFFFFFFFF00000000L
                        : 0;
        return high | low;
    }

    private static void comparePackedSingle(Cpu cpu, Insn insn) {
        FpOperands.read128(cpu, insn);
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        int predicate = (int) insn.imm & 7;
        long low = comparePair(c, f.xmm[2 * insn.reg], f.sourceLow, predicate);
        long high = comparePair(c, f.xmm[2 * insn.reg + 1], f.sourceHigh, predicate);
        FpExecutor.completeSse(cpu);
        FpOperands.setXmm(f, insn.reg, low, high);
    }

    private static void comparePackedDouble(Cpu cpu, Insn insn) {
        FpOperands.read128(cpu, insn);
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        int predicate = (int) insn.imm & 7;
        long low =
                SseFloat.predicate(c, f.xmm[2 * insn.reg], f.sourceLow, true, predicate) ? -1L : 0;
        long high =
                SseFloat.predicate(c, f.xmm[2 * insn.reg + 1], f.sourceHigh, true, predicate)
                        ? -1L
                        : 0;
        FpExecutor.completeSse(cpu);
        FpOperands.setXmm(f, insn.reg, low, high);
    }

    private static long lowElement(FpuState f, int register, boolean dbl) {
        long low = f.xmm[2 * register];
        return dbl ? low : low & 0xFFFFFFFFL;
    }

    private static void compareScalar(Cpu cpu, Insn insn, boolean dbl) {
        long source = FpOperands.readScalar(cpu, insn, dbl ? 8 : 4);
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        boolean holds =
                SseFloat.predicate(
                        c, lowElement(f, insn.reg, dbl), source, dbl, (int) insn.imm & 7);
        FpExecutor.completeSse(cpu);
        setScalar(f, insn.reg, holds ? -1L : 0, dbl);
    }

    private static void compareToFlags(Cpu cpu, Insn insn, boolean dbl, boolean quiet) {
        long source = FpOperands.readScalar(cpu, insn, dbl ? 8 : 4);
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        int order = SseFloat.compare(c, lowElement(f, insn.reg, dbl), source, dbl, quiet);
        FpExecutor.completeSse(cpu);
        cpu.setArithmeticFlags(X87Executor.comparisonFlags(order));
    }

    private static long approximate(long single, boolean root) {
        return root
                ? Approximation.reciprocalRoot((int) single)
                : Approximation.reciprocal((int) single);
    }

    private static long approximatePair(long pair, boolean root) {
        return approximate(pair >>> 32, root) << 32 | approximate(pair, root) & 0xFFFFFFFFL;
    }

    private static void approximatePacked(Cpu cpu, Insn insn, boolean root) {
        FpOperands.read128(cpu, insn);
        FpuState f = cpu.fpu;
        FpOperands.setXmm(
                f,
                insn.reg,
                approximatePair(f.sourceLow, root),
                approximatePair(f.sourceHigh, root));
    }

    private static void approximateScalar(Cpu cpu, Insn insn, boolean root) {
        long source = FpOperands.readScalar(cpu, insn, 4);
        FpOperands.setLowSingle(cpu.fpu, insn.reg, approximate(source, root));
    }

    private static long horizontalPair(FloatContext c, int operation, long low, long high) {
        long first = SseFloat.singleOperation(c, operation, low & 0xFFFFFFFFL, low >>> 32);
        long second = SseFloat.singleOperation(c, operation, high & 0xFFFFFFFFL, high >>> 32);
        return second << 32 | first;
    }

    private static void horizontalSingle(Cpu cpu, Insn insn, int operation) {
        FpOperands.read128(cpu, insn);
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        long low = horizontalPair(c, operation, f.xmm[2 * insn.reg], f.xmm[2 * insn.reg + 1]);
        long high = horizontalPair(c, operation, f.sourceLow, f.sourceHigh);
        FpExecutor.completeSse(cpu);
        FpOperands.setXmm(f, insn.reg, low, high);
    }

    private static void horizontalDouble(Cpu cpu, Insn insn, int operation) {
        FpOperands.read128(cpu, insn);
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        long low =
                SseFloat.doubleOperation(
                        c, operation, f.xmm[2 * insn.reg], f.xmm[2 * insn.reg + 1]);
        long high = SseFloat.doubleOperation(c, operation, f.sourceLow, f.sourceHigh);
        FpExecutor.completeSse(cpu);
        FpOperands.setXmm(f, insn.reg, low, high);
    }

    private static long addSubtractPair(FloatContext c, long a, long b) {
        long low = SseFloat.singleOperation(c, SUBTRACT, a & 0xFFFFFFFFL, b & 0xFFFFFFFFL);
        return SseFloat.singleOperation(c, ADD, a >>> 32, b >>> 32) << 32 | low;
    }

    private static void addSubtractSingle(Cpu cpu, Insn insn) {
        FpOperands.read128(cpu, insn);
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        long low = addSubtractPair(c, f.xmm[2 * insn.reg], f.sourceLow);
        long high = addSubtractPair(c, f.xmm[2 * insn.reg + 1], f.sourceHigh);
        FpExecutor.completeSse(cpu);
        FpOperands.setXmm(f, insn.reg, low, high);
    }

    private static void addSubtractDouble(Cpu cpu, Insn insn) {
        FpOperands.read128(cpu, insn);
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        long low = SseFloat.doubleOperation(c, SUBTRACT, f.xmm[2 * insn.reg], f.sourceLow);
        long high = SseFloat.doubleOperation(c, ADD, f.xmm[2 * insn.reg + 1], f.sourceHigh);
        FpExecutor.completeSse(cpu);
        FpOperands.setXmm(f, insn.reg, low, high);
    }
}
