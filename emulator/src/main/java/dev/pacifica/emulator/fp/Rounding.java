package dev.pacifica.emulator.fp;

import static dev.pacifica.emulator.fp.FloatContext.DOWN;
import static dev.pacifica.emulator.fp.FloatContext.NEAREST;
import static dev.pacifica.emulator.fp.FloatContext.OE;
import static dev.pacifica.emulator.fp.FloatContext.PE;
import static dev.pacifica.emulator.fp.FloatContext.UE;
import static dev.pacifica.emulator.fp.FloatContext.UP;

/**
 * Makes a number of a format out of an exact one, with the exceptions found after computation
 * (overflow, underflow, precision).
 */
final class Rounding {
    private static final int EXTENDED_BIAS = 16383;

    /** What an unmasked overflow or underflow moves the exponent of a register result by. */
    private static final int WRAP = 24576;

    private Rounding() {}

    /**
     * Rounds the exact result in {@code c} to an extended number in {@code c.sig} and {@code c.se},
     * as precision control says.
     */
    static void extended(FloatContext c) {
        if (c.hi == 0) {
            c.result(0, c.sign << 15);
            return;
        }
        extended(c, c.sign, c.exp, c.hi, c.lo, c.precision);
    }

    static void extended(FloatContext c, int sign, int exp, long hi, long lo, int precision) {
        int biased = exp + EXTENDED_BIAS;
        long ulp = 1L << (64 - precision);
        if (biased <= 0) {
            boolean tiny =
                    biased < 0
                            || !(increments(c.rounding, sign, hi, lo, ulp)
                                    && (hi | (ulp - 1)) == -1L);
            if (tiny && (c.masks & UE) == 0) {
                c.flags |= UE;
                biased += WRAP;
                if (biased <= 0) {
                    // FSCALE can underflow by more than the exponent is moved: a zero, whatever the
                    // rounding.
                    c.flags |= PE;
                    c.roundedUp = false;
                    c.result(0, sign << 15);
                    return;
                }
            } else {
                roundDenormal(c, sign, biased, hi, lo, ulp, tiny);
                return;
            }
        }
        boolean inexact = inexact(hi, lo, ulp);
        boolean up = increments(c.rounding, sign, hi, lo, ulp);
        long sig = hi & -ulp;
        if (up) {
            sig += ulp;
            if (sig == 0) {
                sig = Long.MIN_VALUE;
                biased++;
            }
        }
        if (biased > 0x7FFE) {
            c.flags |= OE;
            if ((c.masks & OE) != 0) {
                c.flags |= PE;
                boolean toInfinity = toInfinity(c.rounding, sign);
                c.roundedUp = toInfinity;
                c.result(
                        toInfinity ? Long.MIN_VALUE : -ulp,
                        (sign << 15) | (toInfinity ? 0x7FFF : 0x7FFE));
                return;
            }
            biased -= WRAP;
            if (biased > 0x7FFE) {
                // FSCALE can overflow by more than the exponent is moved: an infinity, whatever the
                // rounding.
                c.flags |= PE;
                c.roundedUp = true;
                c.result(Long.MIN_VALUE, (sign << 15) | 0x7FFF);
                return;
            }
        }
        c.flags |= inexact ? PE : 0;
        c.roundedUp = up;
        c.result(sig, (sign << 15) | biased);
    }

    private static void roundDenormal(
            FloatContext c, int sign, int biased, long hi, long lo, long ulp, boolean tiny) {
        int distance = 1 - biased;
        long below = Significands.belowPoint(hi, distance) | (lo != 0 ? 1 : 0);
        long sig = distance < 64 ? hi >>> distance : 0;
        boolean inexact = inexact(sig, below, ulp);
        boolean up = increments(c.rounding, sign, sig, below, ulp);
        sig = (sig & -ulp) + (up ? ulp : 0);
        if (inexact) {
            c.flags |= tiny ? PE | UE : PE;
        }
        c.roundedUp = up;
        c.result(sig, (sign << 15) | (sig < 0 ? 1 : 0));
    }

    static boolean toInfinity(int rounding, int sign) {
        return rounding == NEAREST || rounding == (sign == 0 ? UP : DOWN);
    }

    private static boolean inexact(long hi, long lo, long ulp) {
        return ((hi & (ulp - 1)) | lo) != 0;
    }

    /** Whether rounding hi.lo to a multiple of ulp increases the magnitude. */
    static boolean increments(int rounding, int sign, long hi, long lo, long ulp) {
        if (rounding != NEAREST) {
            return rounding == (sign == 0 ? UP : DOWN) && inexact(hi, lo, ulp);
        }
        if (ulp == 1) {
            return lo < 0 && (lo << 1 != 0 || (hi & 1) != 0);
        }
        long rest = hi & (ulp - 1);
        long half = ulp >>> 1;
        return rest > half || (rest == half && (lo != 0 || (hi & ulp) != 0));
    }

    /** Rounds the exact result in {@code c} to a double. */
    static long toDouble(FloatContext c) {
        return c.hi == 0
                ? (long) c.sign << 63
                : narrow(c, c.sign, c.exp, c.hi | (c.lo != 0 ? 1 : 0), 53, 1023);
    }

    /** Rounds the exact result in {@code c} to a single. */
    static long toSingle(FloatContext c) {
        return c.hi == 0
                ? (long) c.sign << 31
                : narrow(c, c.sign, c.exp, c.hi | (c.lo != 0 ? 1 : 0), 24, 127);
    }

    /**
     * Rounds to a format of {@code precision} significand bits; bit 0 of {@code sig} is sticky.
     * Returns the packed bits.
     */
    static long narrow(FloatContext c, int sign, int exp, long sig, int precision, int bias) {
        int drop = 64 - precision;
        long ulp = 1L << drop;
        long signBit = (long) sign << (precision == 53 ? 63 : 31);
        int biased = exp + bias;
        boolean inexact = inexact(sig, 0, ulp);
        boolean up = increments(c.rounding, sign, sig, 0, ulp);
        if (biased <= 0) {
            boolean tiny = biased < 0 || !(up && (sig | (ulp - 1)) == -1L);
            if (tiny && (c.masks & UE) == 0) {
                c.flags |= inexact ? UE | PE : UE;
                c.roundedUp = up;
                return signBit;
            }
            if (tiny && c.flushToZero) {
                c.flags |= UE | PE;
                return signBit;
            }
            int distance = 1 - biased;
            long shifted = distance < 64 ? sig >>> distance : 0;
            shifted |= Significands.belowPoint(sig, distance) != 0 ? 1 : 0;
            inexact = inexact(shifted, 0, ulp);
            up = increments(c.rounding, sign, shifted, 0, ulp);
            if (inexact) {
                c.flags |= tiny ? PE | UE : PE;
            }
            c.roundedUp = up;
            // A carry into the integer bit is just the exponent field becoming 1.
            return signBit | ((shifted >>> drop) + (up ? 1 : 0));
        }
        long mantissa = (sig >>> drop) + (up ? 1 : 0);
        if (mantissa >>> precision != 0) {
            mantissa >>>= 1;
            biased++;
        }
        long infinity = (long) (2 * bias + 1) << (precision - 1);
        if (biased > 2 * bias) {
            c.flags |= OE;
            if ((c.masks & OE) != 0) {
                c.flags |= PE;
                c.roundedUp = toInfinity(c.rounding, sign);
                return signBit | (c.roundedUp ? infinity : infinity - 1);
            }
            c.flags |= inexact ? PE : 0;
            c.roundedUp = up;
            return signBit | infinity;
        }
        c.flags |= inexact ? PE : 0;
        c.roundedUp = up;
        return signBit
                | ((long) biased << (precision - 1))
                | (mantissa & ((1L << (precision - 1)) - 1));
    }
}
