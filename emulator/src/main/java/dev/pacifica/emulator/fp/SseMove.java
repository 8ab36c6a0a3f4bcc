package dev.pacifica.emulator.fp;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.Operand;

/**
 * MMX and SSE moves between registers and memory, aligned, unaligned, partial, masked and
 * non-temporal; EMMS.
 */
final class SseMove {
    private SseMove() {}

    static void execute(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        switch (insn.row.operation) {
            case MOVAPS, MOVAPD, MOVDQA, MOVNTPS, MOVNTPD, MOVNTDQ, MOVNTDQA ->
                    moveWhole(cpu, insn, true);
            case MOVUPS, MOVUPD, MOVDQU, LDDQU -> moveWhole(cpu, insn, false);
            case MOVSS -> moveSingle(cpu, insn);
            case MOVSD_SSE -> moveDouble(cpu, insn);
            case MOVD -> moveGeneral(cpu, insn, false);
            case MOVQ_GPR -> moveGeneral(cpu, insn, true);
            case MOVQ -> moveQuadword(cpu, insn);
            case MOVLPS, MOVLPD -> moveHalf(cpu, insn, 0);
            case MOVHPS, MOVHPD -> moveHalf(cpu, insn, 1);
            case MOVHLPS -> f.xmm[2 * insn.reg] = f.xmm[2 * insn.rm + 1];
            case MOVLHPS -> f.xmm[2 * insn.reg + 1] = f.xmm[2 * insn.rm];
            default -> rest(cpu, insn);
        }
    }

    private static void rest(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        switch (insn.row.operation) {
            case MOVQ2DQ -> {
                f.enterMmx();
                FpOperands.setXmm(f, insn.reg, f.significand[insn.rm & 7], 0);
            }
            case MOVDQ2Q -> {
                f.enterMmx();
                f.setMmx(insn.reg & 7, f.xmm[2 * insn.rm]);
            }
            case MOVNTQ -> {
                FpOperands.write64(cpu, insn, f.significand[insn.reg & 7]);
                f.enterMmx();
            }
            case MOVNTSS -> FpOperands.write32(cpu, insn, (int) f.xmm[2 * insn.reg]);
            case MOVNTSD -> FpOperands.write64(cpu, insn, f.xmm[2 * insn.reg]);
            case MOVSLDUP -> {
                FpOperands.read128(cpu, insn);
                FpOperands.setXmm(f, insn.reg, twice(f.sourceLow), twice(f.sourceHigh));
            }
            case MOVSHDUP -> {
                FpOperands.read128(cpu, insn);
                FpOperands.setXmm(
                        f, insn.reg, twice(f.sourceLow >>> 32), twice(f.sourceHigh >>> 32));
            }
            case MOVDDUP -> {
                long source = FpOperands.readScalar(cpu, insn, 8);
                FpOperands.setXmm(f, insn.reg, source, source);
            }
            case MOVMSKPS ->
                    cpu.r[insn.reg] =
                            signs(f.xmm[2 * insn.rm]) | signs(f.xmm[2 * insn.rm + 1]) << 2;
            case MOVMSKPD ->
                    cpu.r[insn.reg] =
                            f.xmm[2 * insn.rm] >>> 63 | f.xmm[2 * insn.rm + 1] >>> 63 << 1;
            case PMOVMSKB -> byteMask(cpu, insn);
            case MASKMOVQ -> {
                storeMasked(
                        cpu, insn, f.significand[insn.reg & 7], 0, f.significand[insn.rm & 7], 0);
                f.enterMmx();
            }
            case MASKMOVDQU ->
                    storeMasked(
                            cpu,
                            insn,
                            f.xmm[2 * insn.reg],
                            f.xmm[2 * insn.reg + 1],
                            f.xmm[2 * insn.rm],
                            f.xmm[2 * insn.rm + 1]);
            default -> { // EMMS
                f.top = 0;
                f.valid = 0;
            }
        }
    }

    private static long twice(long low) {
        return low << 32 | low & 0xFFFFFFFFL;
    }

    private static long signs(long pair) {
        return pair >>> 31 & 1 | pair >>> 63 << 1;
    }

    /** Whether the ModRM.rm operand is the destination. */
    private static boolean storing(Insn insn) {
        Operand.Kind first = insn.row.operands.get(0).kind();
        return first != Operand.Kind.XMM && first != Operand.Kind.MMX;
    }

    private static void moveWhole(Cpu cpu, Insn insn, boolean aligned) {
        FpuState f = cpu.fpu;
        int target = insn.reg;
        int source = insn.rm;
        if (storing(insn)) {
            if (insn.memory) {
                FpOperands.write128(
                        cpu, insn, f.xmm[2 * insn.reg], f.xmm[2 * insn.reg + 1], aligned);
                return;
            }
            target = insn.rm;
            source = insn.reg;
        } else if (insn.memory) {
            FpOperands.read128(cpu, insn, aligned);
            FpOperands.setXmm(f, insn.reg, f.sourceLow, f.sourceHigh);
            return;
        }
        FpOperands.setXmm(f, target, f.xmm[2 * source], f.xmm[2 * source + 1]);
    }

    private static void moveSingle(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        if (!insn.memory) {
            boolean storing = storing(insn);
            FpOperands.setLowSingle(
                    f, storing ? insn.rm : insn.reg, f.xmm[2 * (storing ? insn.reg : insn.rm)]);
        } else if (storing(insn)) {
            FpOperands.write32(cpu, insn, (int) f.xmm[2 * insn.reg]);
        } else {
            FpOperands.setXmm(f, insn.reg, FpOperands.read32(cpu, insn) & 0xFFFFFFFFL, 0);
        }
    }

    private static void moveDouble(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        if (!insn.memory) {
            boolean storing = storing(insn);
            f.xmm[2 * (storing ? insn.rm : insn.reg)] = f.xmm[2 * (storing ? insn.reg : insn.rm)];
        } else if (storing(insn)) {
            FpOperands.write64(cpu, insn, f.xmm[2 * insn.reg]);
        } else {
            FpOperands.setXmm(f, insn.reg, FpOperands.read64(cpu, insn), 0);
        }
    }

    private static boolean isMmx(Operand.Kind kind) {
        return kind == Operand.Kind.MMX || kind == Operand.Kind.MMX_OR_MEMORY;
    }

    /** MOVD and MOVQ between a general register or memory and an MMX or XMM register. */
    private static void moveGeneral(Cpu cpu, Insn insn, boolean wide) {
        FpuState f = cpu.fpu;
        boolean storing = storing(insn);
        boolean mmx = isMmx(insn.row.operands.get(storing ? 1 : 0).kind());
        if (!storing) {
            long value = FpOperands.readGeneral(cpu, insn, wide);
            if (mmx) {
                f.enterMmx();
                f.setMmx(insn.reg & 7, value);
            } else {
                FpOperands.setXmm(f, insn.reg, value, 0);
            }
            return;
        }
        long value = mmx ? f.significand[insn.reg & 7] : f.xmm[2 * insn.reg];
        if (insn.memory) {
            if (wide) {
                FpOperands.write64(cpu, insn, value);
            } else {
                FpOperands.write32(cpu, insn, (int) value);
            }
        } else {
            cpu.r[insn.rm] = wide ? value : value & 0xFFFFFFFFL;
        }
        if (mmx) {
            f.enterMmx();
        }
    }

    /** MOVQ among MMX registers, XMM registers and memory. */
    private static void moveQuadword(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        boolean storing = storing(insn);
        if (isMmx(insn.row.operands.get(0).kind())) {
            if (!storing) {
                long value = FpOperands.readMmx(cpu, insn);
                f.enterMmx();
                f.setMmx(insn.reg & 7, value);
                return;
            }
            long value = f.significand[insn.reg & 7];
            if (insn.memory) {
                FpOperands.write64(cpu, insn, value);
            }
            f.enterMmx();
            if (!insn.memory) {
                f.setMmx(insn.rm & 7, value);
            }
            return;
        }
        if (!storing) {
            FpOperands.setXmm(f, insn.reg, FpOperands.readScalar(cpu, insn, 8), 0);
        } else if (insn.memory) {
            FpOperands.write64(cpu, insn, f.xmm[2 * insn.reg]);
        } else {
            FpOperands.setXmm(f, insn.rm, f.xmm[2 * insn.reg], 0);
        }
    }

    private static void moveHalf(Cpu cpu, Insn insn, int half) {
        if (storing(insn)) {
            FpOperands.write64(cpu, insn, cpu.fpu.xmm[2 * insn.reg + half]);
        } else {
            cpu.fpu.xmm[2 * insn.reg + half] = FpOperands.read64(cpu, insn);
        }
    }

    /** The top bits of eight bytes. */
    private static long topBits(long bytes) {
        return ((bytes >>> 7 & 0x0101010101010101L) * 0x0102040810204080L) >>> 56;
    }

    private static void byteMask(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        if (insn.row.operands.get(1).kind() == Operand.Kind.MMX_RM) {
            f.enterMmx();
            cpu.r[insn.reg] = topBits(f.significand[insn.rm & 7]);
        } else {
            cpu.r[insn.reg] = topBits(f.xmm[2 * insn.rm]) | topBits(f.xmm[2 * insn.rm + 1]) << 8;
        }
    }

    /**
     * Writes to DS:rDI the bytes whose mask byte has its top bit set; nothing if any of them
     * faults.
     */
    private static void storeMasked(
            Cpu cpu, Insn insn, long low, long high, long maskLow, long maskHigh) {
        int segment = insn.segmentOverride ? insn.segment : Cpu.DS;
        long offset = cpu.r[Cpu.RDI];
        long mask = topBits(maskLow) | topBits(maskHigh) << 8;
        for (long rest = mask; rest != 0; rest &= rest - 1) {
            long at =
                    FpOperands.truncate(
                            offset + Long.numberOfTrailingZeros(rest), insn.addressSize);
            cpu.mmu.probeWrite(cpu.linear(segment, at, 1, true), 1);
        }
        for (long rest = mask; rest != 0; rest &= rest - 1) {
            int i = Long.numberOfTrailingZeros(rest);
            int value = (int) ((i < 8 ? low : high) >>> 8 * (i & 7)) & 0xFF;
            cpu.write8(segment, FpOperands.truncate(offset + i, insn.addressSize), value);
        }
    }
}
