package dev.pacifica.emulator.fp;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.Operation;

/**
 * PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SSE4.2). Immediate: bits 1-0 element (unsigned byte,
 * unsigned word, signed byte, signed word), 3-2 aggregation (equal any, ranges, equal each, equal
 * ordered), 5-4 polarity, 6 which index or whether a mask of elements.
 */
final class StringCompare {
    private static final int EQUAL_ANY = 0;
    private static final int RANGES = 1;
    private static final int EQUAL_EACH = 2;

    private StringCompare() {}

    static void execute(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        readUnaligned(cpu, insn);
        Operation operation = insn.row.operation;
        int imm = (int) insn.imm & 0xFF;
        boolean words = (imm & 1) != 0;
        int count = words ? 8 : 16;
        boolean explicit = operation == Operation.PCMPESTRI || operation == Operation.PCMPESTRM;
        long aLow = f.xmm[2 * insn.reg];
        long aHigh = f.xmm[2 * insn.reg + 1];
        int aLength;
        int bLength;
        if (explicit) {
            aLength = explicitLength(cpu.r[Cpu.RAX], insn.rexW, count);
            bLength = explicitLength(cpu.r[Cpu.RDX], insn.rexW, count);
        } else {
            aLength = implicitLength(aLow, aHigh, count);
            bLength = implicitLength(f.sourceLow, f.sourceHigh, count);
        }
        int matches = aggregate(aLow, aHigh, aLength, f.sourceLow, f.sourceHigh, bLength, imm);
        int all = (1 << count) - 1;
        int result =
                switch (imm >> 4 & 3) {
                    case 1 -> ~matches & all;
                    case 3 -> matches ^ (1 << bLength) - 1;
                    default -> matches;
                };
        if (operation == Operation.PCMPESTRI || operation == Operation.PCMPISTRI) {
            int index =
                    result == 0
                            ? count
                            : (imm & 0x40) != 0
                                    ? 31 - Integer.numberOfLeadingZeros(result)
                                    : Integer.numberOfTrailingZeros(result);
            cpu.r[Cpu.RCX] = index;
        } else {
            storeMask(f, result, words, (imm & 0x40) != 0);
        }
        cpu.setArithmeticFlags(
                (result != 0 ? Cpu.CF : 0)
                        | (bLength < count ? Cpu.ZF : 0)
                        | (aLength < count ? Cpu.SF : 0)
                        | ((result & 1) != 0 ? Cpu.OF : 0));
    }

    /** These instructions take misaligned memory. */
    private static void readUnaligned(Cpu cpu, Insn insn) {
        if (insn.memory) {
            FpOperands.read128(cpu, insn, false);
        } else {
            FpOperands.read128(cpu, insn);
        }
    }

    private static void storeMask(FpuState f, int result, boolean words, boolean expanded) {
        if (!expanded) {
            FpOperands.setXmm(f, 0, result, 0);
            return;
        }
        long low = 0;
        long high = 0;
        int bits = words ? 16 : 8;
        int half = words ? 4 : 8;
        long ones = (1L << bits) - 1;
        for (int n = 0; n < half; n++) {
            low |= (result >> n & 1) != 0 ? ones << n * bits : 0;
            high |= (result >> n + half & 1) != 0 ? ones << n * bits : 0;
        }
        FpOperands.setXmm(f, 0, low, high);
    }

    private static int explicitLength(long register, boolean wide, int count) {
        long value = wide ? register : (int) register;
        return value < -count || value > count ? count : (int) Math.abs(value);
    }

    private static int implicitLength(long low, long high, int count) {
        for (int n = 0; n < count; n++) {
            if (element(low, high, n, count == 8, false) == 0) {
                return n;
            }
        }
        return count;
    }

    private static int element(long low, long high, int n, boolean words, boolean signed) {
        if (words) {
            int value = (int) ((n < 4 ? low : high) >>> 16 * (n & 3)) & 0xFFFF;
            return signed ? (short) value : value;
        }
        int value = (int) ((n < 8 ? low : high) >>> 8 * (n & 7)) & 0xFF;
        return signed ? (byte) value : value;
    }

    /** One bit for each element of b. */
    private static int aggregate(
            long aLow, long aHigh, int aLength, long bLow, long bHigh, int bLength, int imm) {
        boolean words = (imm & 1) != 0;
        boolean signed = (imm & 2) != 0;
        int count = words ? 8 : 16;
        int result = 0;
        for (int j = 0; j < count; j++) {
            boolean match =
                    switch (imm >> 2 & 3) {
                        case EQUAL_ANY ->
                                j < bLength
                                        && any(
                                                aLow,
                                                aHigh,
                                                aLength,
                                                element(bLow, bHigh, j, words, signed),
                                                imm);
                        case RANGES ->
                                j < bLength
                                        && inRange(
                                                aLow,
                                                aHigh,
                                                aLength,
                                                element(bLow, bHigh, j, words, signed),
                                                imm);
                        case EQUAL_EACH ->
                                j < aLength && j < bLength
                                        ? element(aLow, aHigh, j, words, false)
                                                == element(bLow, bHigh, j, words, false)
                                        : j >= aLength && j >= bLength;
                        default -> found(aLow, aHigh, aLength, bLow, bHigh, bLength, j, words);
                    };
            result |= match ? 1 << j : 0;
        }
        return result;
    }

    private static boolean any(long aLow, long aHigh, int aLength, int value, int imm) {
        for (int i = 0; i < aLength; i++) {
            if (element(aLow, aHigh, i, (imm & 1) != 0, (imm & 2) != 0) == value) {
                return true;
            }
        }
        return false;
    }

    private static boolean inRange(long aLow, long aHigh, int aLength, int value, int imm) {
        boolean words = (imm & 1) != 0;
        boolean signed = (imm & 2) != 0;
        for (int i = 0; i + 1 < aLength; i += 2) {
            if (value >= element(aLow, aHigh, i, words, signed)
                    && value <= element(aLow, aHigh, i + 1, words, signed)) {
                return true;
            }
        }
        return false;
    }

    /**
     * Whether the string a begins at element j of b; what reaches past b's last element counts as
     * found.
     */
    private static boolean found(
            long aLow,
            long aHigh,
            int aLength,
            long bLow,
            long bHigh,
            int bLength,
            int j,
            boolean words) {
        int count = words ? 8 : 16;
        for (int i = 0; i < aLength && i + j < count; i++) {
            if (i + j >= bLength
                    || element(aLow, aHigh, i, words, false)
                            != element(bLow, bHigh, i + j, words, false)) {
                return false;
            }
        }
        return true;
    }
}
