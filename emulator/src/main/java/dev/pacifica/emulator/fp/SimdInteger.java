package dev.pacifica.emulator.fp;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.Operand;
import dev.pacifica.emulator.decode.Operation;

/**
 * MMX and SSE integer and bitwise operations that treat each quadword by itself: an XMM operation
 * is the MMX operation twice. The second operand of a shift is its count.
 */
final class SimdInteger {
    private static final long BYTES = 0x8080808080808080L;
    private static final long WORDS = 0x8000800080008000L;
    private static final long DOUBLEWORDS = 0x8000000080000000L;

    private SimdInteger() {}

    static void execute(Cpu cpu, Insn insn, boolean xmm) {
        FpuState f = cpu.fpu;
        Operation operation = insn.row.operation;
        Operand.Kind first = insn.row.operands.get(0).kind();
        if (first == Operand.Kind.MMX_RM) {
            f.enterMmx();
            int register = insn.rm & 7;
            f.setMmx(register, quadword(operation, f.significand[register], insn.imm & 0xFF));
        } else if (first == Operand.Kind.XMM_RM) {
            int i = 2 * insn.rm;
            long count = insn.imm & 0xFF;
            f.xmm[i] = quadword(operation, f.xmm[i], count);
            f.xmm[i + 1] = quadword(operation, f.xmm[i + 1], count);
        } else if (xmm) {
            FpOperands.read128(cpu, insn);
            int i = 2 * insn.reg;
            long second = isShift(operation) ? f.sourceLow : f.sourceHigh;
            f.xmm[i] = quadword(operation, f.xmm[i], f.sourceLow);
            f.xmm[i + 1] = quadword(operation, f.xmm[i + 1], second);
        } else {
            long source = FpOperands.readMmx(cpu, insn);
            f.enterMmx();
            int register = insn.reg & 7;
            f.setMmx(register, quadword(operation, f.significand[register], source));
        }
    }

    private static boolean isShift(Operation operation) {
        return switch (operation) {
            case PSRLW, PSRAW, PSLLW, PSRLD, PSRAD, PSLLD, PSRLQ, PSLLQ -> true;
            default -> false;
        };
    }

    /** Applies the operation to one quadword of each operand. */
    static long quadword(Operation operation, long a, long b) {
        return switch (operation) {
            case PXOR, XORPS, XORPD -> a ^ b;
            case POR, ORPS, ORPD -> a | b;
            case PAND, ANDPS, ANDPD -> a & b;
            case PANDN, ANDNPS, ANDNPD -> ~a & b;
            case PADDB -> add(a, b, BYTES);
            case PADDW -> add(a, b, WORDS);
            case PADDD -> add(a, b, DOUBLEWORDS);
            case PADDQ -> a + b;
            case PSUBB -> subtract(a, b, BYTES);
            case PSUBW -> subtract(a, b, WORDS);
            case PSUBD -> subtract(a, b, DOUBLEWORDS);
            case PSUBQ -> a - b;
            case PCMPEQB -> equal(a, b, BYTES, 8);
            case PCMPEQW -> equal(a, b, WORDS, 16);
            case PCMPEQD -> equal(a, b, DOUBLEWORDS, 32);
            case PCMPEQQ -> a == b ? -1L : 0;
            case PCMPGTQ -> a > b ? -1L : 0;
            case PMULUDQ -> (a & 0xFFFFFFFFL) * (b & 0xFFFFFFFFL);
            case PMULDQ -> (long) (int) a * (int) b;
            case PMADDWD -> multiplyAdd(a, b);
            case PSADBW -> sumOfDifferences(a, b);
            case PSRLW, PSRAW, PSLLW, PSRLD, PSRAD, PSLLD, PSRLQ, PSLLQ -> shift(operation, a, b);
            default -> elements(operation, a, b);
        };
    }

    /** Adds elements whose top bits are {@code tops} without carries between them. */
    private static long add(long a, long b, long tops) {
        return (a & ~tops) + (b & ~tops) ^ (a ^ b) & tops;
    }

    private static long subtract(long a, long b, long tops) {
        return (a | tops) - (b & ~tops) ^ (a ^ ~b) & tops;
    }

    private static long equal(long a, long b, long tops, int bits) {
        long difference = a ^ b;
        long zero = ~((difference & ~tops) + ~tops | difference | ~tops);
        // One bit on top of each equal element becomes the whole element.
        return (zero << 1) - (zero >>> bits - 1) | zero;
    }

    private static long multiplyAdd(long a, long b) {
        int low = (short) a * (short) b + (short) (a >>> 16) * (short) (b >>> 16);
        int high =
                (short) (a >>> 32) * (short) (b >>> 32) + (short) (a >>> 48) * (short) (b >>> 48);
        return (long) high << 32 | low & 0xFFFFFFFFL;
    }

    private static long sumOfDifferences(long a, long b) {
        int sum = 0;
        for (int i = 0; i < 64; i += 8) {
            sum += Math.abs((int) (a >>> i & 0xFF) - (int) (b >>> i & 0xFF));
        }
        return sum;
    }

    private static long shift(Operation operation, long a, long count) {
        return switch (operation) {
            case PSRLW ->
                    Long.compareUnsigned(count, 15) > 0
                            ? 0
                            : a >>> count & 0x0001000100010001L * (0xFFFF >>> count);
            case PSLLW ->
                    Long.compareUnsigned(count, 15) > 0
                            ? 0
                            : a << count & 0x0001000100010001L * (0xFFFF << count & 0xFFFF);
            case PSRLD ->
                    Long.compareUnsigned(count, 31) > 0
                            ? 0
                            : a >>> count & 0x0000000100000001L * (0xFFFFFFFFL >>> count);
            case PSLLD ->
                    Long.compareUnsigned(count, 31) > 0
                            ? 0
                            : a << count
                                    & 0x0000000100000001L * (0xFFFFFFFFL << count & 0xFFFFFFFFL);
            case PSRLQ -> Long.compareUnsigned(count, 63) > 0 ? 0 : a >>> count;
            case PSLLQ -> Long.compareUnsigned(count, 63) > 0 ? 0 : a << count;
            case PSRAW ->
                    arithmeticShift(a, Long.compareUnsigned(count, 15) > 0 ? 15 : (int) count, 16);
            default ->
                    arithmeticShift(a, Long.compareUnsigned(count, 31) > 0 ? 31 : (int) count, 32);
        };
    }

    private static long arithmeticShift(long a, int count, int bits) {
        long result = 0;
        for (int i = 0; i < 64; i += bits) {
            long element = a << 64 - bits - i >> 64 - bits + count;
            result |= (element & (1L << bits) - 1) << i;
        }
        return result;
    }

    private static long elements(Operation operation, long a, long b) {
        switch (operation) {
            case PCMPGTB,
                    PSUBUSB,
                    PMINUB,
                    PADDUSB,
                    PMAXUB,
                    PAVGB,
                    PSUBSB,
                    PADDSB,
                    PSIGNB,
                    PABSB,
                    PMINSB,
                    PMAXSB -> {
                long result = 0;
                for (int i = 0; i < 64; i += 8) {
                    result |=
                            (byteElement(operation, (byte) (a >>> i), (byte) (b >>> i)) & 0xFFL)
                                    << i;
                }
                return result;
            }
            case PCMPGTD, PSIGND, PABSD, PMINSD, PMINUD, PMAXSD, PMAXUD, PMULLD -> {
                long low = doubleword(operation, (int) a, (int) b) & 0xFFFFFFFFL;
                return (long) doubleword(operation, (int) (a >>> 32), (int) (b >>> 32)) << 32 | low;
            }
            default -> {
                long result = 0;
                for (int i = 0; i < 64; i += 16) {
                    result |= (word(operation, (int) (a >>> i), (int) (b >>> i)) & 0xFFFFL) << i;
                }
                return result;
            }
        }
    }

    private static int byteElement(Operation operation, int a, int b) {
        int ua = a & 0xFF;
        int ub = b & 0xFF;
        return switch (operation) {
            case PCMPGTB -> a > b ? -1 : 0;
            case PSUBUSB -> Math.max(ua - ub, 0);
            case PADDUSB -> Math.min(ua + ub, 0xFF);
            case PMINUB -> Math.min(ua, ub);
            case PMAXUB -> Math.max(ua, ub);
            case PAVGB -> ua + ub + 1 >> 1;
            case PSUBSB -> saturateByte(a - b);
            case PADDSB -> saturateByte(a + b);
            case PSIGNB -> b < 0 ? -a : b == 0 ? 0 : a;
            case PABSB -> Math.abs(b);
            case PMINSB -> Math.min(a, b);
            default -> Math.max(a, b); // PMAXSB
        };
    }

    static int saturateByte(int value) {
        return Math.max(Byte.MIN_VALUE, Math.min(Byte.MAX_VALUE, value));
    }

    static int saturateWord(int value) {
        return Math.max(Short.MIN_VALUE, Math.min(Short.MAX_VALUE, value));
    }

    /** The operands' low 16 bits count. */
    private static int word(Operation operation, int aWide, int bWide) {
        int a = (short) aWide;
        int b = (short) bWide;
        int ua = aWide & 0xFFFF;
        int ub = bWide & 0xFFFF;
        return switch (operation) {
            case PCMPGTW -> a > b ? -1 : 0;
            case PMULLW -> a * b;
            case PMULHW -> a * b >> 16;
            case PMULHUW -> ua * ub >>> 16;
            case PSUBUSW -> Math.max(ua - ub, 0);
            case PADDUSW -> Math.min(ua + ub, 0xFFFF);
            case PAVGW -> ua + ub + 1 >> 1;
            case PSUBSW -> saturateWord(a - b);
            case PADDSW -> saturateWord(a + b);
            case PMINSW -> Math.min(a, b);
            case PMAXSW -> Math.max(a, b);
            case PMINUW -> Math.min(ua, ub);
            case PMAXUW -> Math.max(ua, ub);
            case PSIGNW -> b < 0 ? -a : b == 0 ? 0 : a;
            case PABSW -> Math.abs(b);
            case PMULHRSW -> (a * b >> 14) + 1 >> 1;
            default ->
                    saturateWord( // PMADDUBSW
                            (aWide & 0xFF) * (byte) bWide + (ua >> 8) * (byte) (bWide >> 8));
        };
    }

    private static int doubleword(Operation operation, int a, int b) {
        return switch (operation) {
            case PCMPGTD -> a > b ? -1 : 0;
            case PSIGND -> b < 0 ? -a : b == 0 ? 0 : a;
            case PABSD -> Math.abs(b);
            case PMINSD -> Math.min(a, b);
            case PMAXSD -> Math.max(a, b);
            case PMINUD -> Integer.compareUnsigned(a, b) < 0 ? a : b;
            case PMAXUD -> Integer.compareUnsigned(a, b) > 0 ? a : b;
            default -> a * b; // PMULLD
        };
    }
}
