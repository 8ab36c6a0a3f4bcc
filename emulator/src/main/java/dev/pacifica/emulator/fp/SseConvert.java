package dev.pacifica.emulator.fp;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;

/** SSE conversions among singles, doubles and integers in XMM, MMX and general registers. */
final class SseConvert {
    private SseConvert() {}

    static void execute(Cpu cpu, Insn insn) {
        switch (insn.row.operation) {
            case CVTSI2SS -> fromGeneral(cpu, insn, false);
            case CVTSI2SD -> fromGeneral(cpu, insn, true);
            case CVTSS2SI -> toGeneral(cpu, insn, false, false);
            case CVTTSS2SI -> toGeneral(cpu, insn, false, true);
            case CVTSD2SI -> toGeneral(cpu, insn, true, false);
            case CVTTSD2SI -> toGeneral(cpu, insn, true, true);
            case CVTSS2SD -> singleToDouble(cpu, insn);
            case CVTSD2SS -> doubleToSingle(cpu, insn);
            case CVTPS2PD -> packedSingleToDouble(cpu, insn);
            case CVTPD2PS -> packedDoubleToSingle(cpu, insn);
            case CVTDQ2PS -> packedIntegerToSingle(cpu, insn);
            case CVTDQ2PD -> packedIntegerToDouble(cpu, insn);
            case CVTPS2DQ -> packedSingleToInteger(cpu, insn, false);
            case CVTTPS2DQ -> packedSingleToInteger(cpu, insn, true);
            case CVTPD2DQ -> packedDoubleToInteger(cpu, insn, false);
            case CVTTPD2DQ -> packedDoubleToInteger(cpu, insn, true);
            case CVTPI2PS -> mmxToSingle(cpu, insn);
            case CVTPI2PD -> mmxToDouble(cpu, insn);
            case CVTPS2PI -> toMmx(cpu, insn, false, false);
            case CVTTPS2PI -> toMmx(cpu, insn, false, true);
            case CVTPD2PI -> toMmx(cpu, insn, true, false);
            default -> toMmx(cpu, insn, true, true);
        }
    }

    private static void fromGeneral(Cpu cpu, Insn insn, boolean dbl) {
        boolean wide = insn.rexW;
        long value = FpOperands.readGeneral(cpu, insn, wide);
        FpuState f = cpu.fpu;
        long bits = SseFloat.fromInteger(f.beginSse(), wide ? value : (int) value, dbl);
        FpExecutor.completeSse(cpu);
        SseArithmetic.setScalar(f, insn.reg, bits, dbl);
    }

    private static void toGeneral(Cpu cpu, Insn insn, boolean dbl, boolean truncate) {
        long source = FpOperands.readScalar(cpu, insn, dbl ? 8 : 4);
        boolean wide = insn.rexW;
        long value = SseFloat.toInteger(cpu.fpu.beginSse(), source, dbl, wide ? 64 : 32, truncate);
        FpExecutor.completeSse(cpu);
        cpu.r[insn.reg] = wide ? value : value & 0xFFFFFFFFL;
    }

    private static void singleToDouble(Cpu cpu, Insn insn) {
        long source = FpOperands.readScalar(cpu, insn, 4);
        long bits = SseFloat.singleToDouble(cpu.fpu.beginSse(), source);
        FpExecutor.completeSse(cpu);
        cpu.fpu.xmm[2 * insn.reg] = bits;
    }

    private static void doubleToSingle(Cpu cpu, Insn insn) {
        long source = FpOperands.readScalar(cpu, insn, 8);
        long bits = SseFloat.doubleToSingle(cpu.fpu.beginSse(), source);
        FpExecutor.completeSse(cpu);
        FpOperands.setLowSingle(cpu.fpu, insn.reg, bits);
    }

    private static void packedSingleToDouble(Cpu cpu, Insn insn) {
        long source = FpOperands.readScalar(cpu, insn, 8);
        FloatContext c = cpu.fpu.beginSse();
        long low = SseFloat.singleToDouble(c, source & 0xFFFFFFFFL);
        long high = SseFloat.singleToDouble(c, source >>> 32);
        FpExecutor.completeSse(cpu);
        FpOperands.setXmm(cpu.fpu, insn.reg, low, high);
    }

    private static void packedDoubleToSingle(Cpu cpu, Insn insn) {
        FpOperands.read128(cpu, insn);
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        long low = SseFloat.doubleToSingle(c, f.sourceLow);
        long high = SseFloat.doubleToSingle(c, f.sourceHigh);
        FpExecutor.completeSse(cpu);
        FpOperands.setXmm(f, insn.reg, high << 32 | low, 0);
    }

    private static long integerPairToSingle(FloatContext c, long pair) {
        long low = SseFloat.fromInteger(c, pair << 32 >> 32, false);
        return SseFloat.fromInteger(c, pair >> 32, false) << 32 | low;
    }

    private static void packedIntegerToSingle(Cpu cpu, Insn insn) {
        FpOperands.read128(cpu, insn);
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        long low = integerPairToSingle(c, f.sourceLow);
        long high = integerPairToSingle(c, f.sourceHigh);
        FpExecutor.completeSse(cpu);
        FpOperands.setXmm(f, insn.reg, low, high);
    }

    private static void packedIntegerToDouble(Cpu cpu, Insn insn) {
        long source = FpOperands.readScalar(cpu, insn, 8);
        FpOperands.setXmm(
                cpu.fpu,
                insn.reg,
                Double.doubleToRawLongBits((int) source),
                Double.doubleToRawLongBits((int) (source >> 32)));
    }

    private static long singlePairToInteger(FloatContext c, long pair, boolean truncate) {
        long low = SseFloat.toInteger(c, pair & 0xFFFFFFFFL, false, 32, truncate) & 0xFFFFFFFFL;
        return SseFloat.toInteger(c, pair >>> 32, false, 32, truncate) << 32 | low;
    }

    private static void packedSingleToInteger(Cpu cpu, Insn insn, boolean truncate) {
        FpOperands.read128(cpu, insn);
        FpuState f = cpu.fpu;
        FloatContext c = f.beginSse();
        long low = singlePairToInteger(c, f.sourceLow, truncate);
        long high = singlePairToInteger(c, f.sourceHigh, truncate);
        FpExecutor.completeSse(cpu);
        FpOperands.setXmm(f, insn.reg, low, high);
    }

    private static long doublesToIntegers(FpuState f, FloatContext c, boolean truncate) {
        long low = SseFloat.toInteger(c, f.sourceLow, true, 32, truncate) & 0xFFFFFFFFL;
        return SseFloat.toInteger(c, f.sourceHigh, true, 32, truncate) << 32 | low;
    }

    private static void packedDoubleToInteger(Cpu cpu, Insn insn, boolean truncate) {
        FpOperands.read128(cpu, insn);
        FpuState f = cpu.fpu;
        long both = doublesToIntegers(f, f.beginSse(), truncate);
        FpExecutor.completeSse(cpu);
        FpOperands.setXmm(f, insn.reg, both, 0);
    }

    private static void mmxToSingle(Cpu cpu, Insn insn) {
        long source = FpOperands.readMmx(cpu, insn);
        FpuState f = cpu.fpu;
        if (!insn.memory) {
            f.enterMmx();
        }
        long both = integerPairToSingle(f.beginSse(), source);
        FpExecutor.completeSse(cpu);
        f.xmm[2 * insn.reg] = both;
    }

    private static void mmxToDouble(Cpu cpu, Insn insn) {
        long source = FpOperands.readMmx(cpu, insn);
        FpuState f = cpu.fpu;
        if (!insn.memory) {
            f.enterMmx();
        }
        FpOperands.setXmm(
                f,
                insn.reg,
                Double.doubleToRawLongBits((int) source),
                Double.doubleToRawLongBits((int) (source >> 32)));
    }

    private static void toMmx(Cpu cpu, Insn insn, boolean dbl, boolean truncate) {
        FpuState f = cpu.fpu;
        long both;
        if (dbl) {
            FpOperands.read128(cpu, insn);
            both = doublesToIntegers(f, f.beginSse(), truncate);
        } else {
            long source = FpOperands.readScalar(cpu, insn, 8);
            both = singlePairToInteger(f.beginSse(), source, truncate);
        }
        // The processor switches to MMX state even if #XM follows.
        f.enterMmx();
        FpExecutor.completeSse(cpu);
        f.setMmx(insn.reg & 7, both);
    }
}
