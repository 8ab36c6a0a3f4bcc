package dev.pacifica.emulator.fp;

import static dev.pacifica.emulator.fp.FloatContext.DE;
import static dev.pacifica.emulator.fp.FloatContext.DOWN;
import static dev.pacifica.emulator.fp.FloatContext.IE;
import static dev.pacifica.emulator.fp.FloatContext.PE;
import static dev.pacifica.emulator.fp.FloatContext.ZE;

/**
 * The x87's extended numbers: a 64-bit significand with explicit integer bit and a 16-bit sign and
 * exponent. Results and exception flags go into the {@link FloatContext}. Encodings that the 387
 * and later do not support (unnormals, pseudo-infinities, pseudo-NaNs) are invalid operands;
 * pseudo-denormals are denormals.
 */
public final class Float80 {
    /** Significand and sign-exponent of the default ("real indefinite") NaN. */
    public static final long INDEFINITE_SIG = 0xC000000000000000L;

    public static final int INDEFINITE_SE = 0xFFFF;

    static final int BIAS = 16383;
    static final long INTEGER_BIT = Long.MIN_VALUE;
    static final long QUIET_BIT = 0x4000000000000000L;

    /** In place of condition bits: there was no division; C0 and C3 keep their values. */
    static final int NO_QUOTIENT = -1;

    /** Outcomes of a comparison. */
    public static final int LESS = -1, EQUAL = 0, GREATER = 1, UNORDERED = 2;

    private Float80() {}

    public static boolean isNaN(long sig, int se) {
        return (se & 0x7FFF) == 0x7FFF && sig < 0 && sig << 1 != 0;
    }

    static boolean isSignalling(long sig, int se) {
        return isNaN(sig, se) && (sig & QUIET_BIT) == 0;
    }

    static boolean isInfinity(long sig, int se) {
        return (se & 0x7FFF) == 0x7FFF && sig == INTEGER_BIT;
    }

    /** Unnormal, pseudo-infinity or pseudo-NaN: an exponent, but no integer bit. */
    static boolean isUnsupported(long sig, int se) {
        return (se & 0x7FFF) != 0 && sig >= 0;
    }

    static boolean isZero(long sig, int se) {
        return sig == 0 && (se & 0x7FFF) == 0;
    }

    static boolean isDenormal(long sig, int se) {
        return (se & 0x7FFF) == 0 && sig != 0;
    }

    /** Unbiased exponent after normalisation of a finite number that is not zero. */
    static int exponent(long sig, int se) {
        int biased = se & 0x7FFF;
        return (biased == 0 ? 1 - Long.numberOfLeadingZeros(sig) : biased) - BIAS;
    }

    static long normalised(long sig) {
        return sig << Long.numberOfLeadingZeros(sig);
    }

    /** The masked response to an invalid operation. */
    static void invalid(FloatContext c) {
        c.flags |= IE;
        c.result(INDEFINITE_SIG, INDEFINITE_SE);
    }

    /** Handles an operand no computation is possible with; returns whether it did. */
    private static boolean special(FloatContext c, long sig, int se) {
        if (isUnsupported(sig, se)) {
            invalid(c);
            return true;
        }
        if (isNaN(sig, se)) {
            c.flags |= (sig & QUIET_BIT) == 0 ? IE : 0;
            c.result(sig | QUIET_BIT, se);
            return true;
        }
        return false;
    }

    private static boolean special(FloatContext c, long aSig, int aSe, long bSig, int bSe) {
        if ((aSe & 0x7FFF) != 0x7FFF && (bSe & 0x7FFF) != 0x7FFF) {
            if (isUnsupported(aSig, aSe) || isUnsupported(bSig, bSe)) {
                invalid(c);
                return true;
            }
            return false;
        }
        if (isUnsupported(aSig, aSe) || isUnsupported(bSig, bSe)) {
            invalid(c);
            return true;
        }
        boolean aNaN = isNaN(aSig, aSe);
        boolean bNaN = isNaN(bSig, bSe);
        if (!aNaN && !bNaN) {
            return false;
        }
        propagate(c, aSig, aSe, aNaN, bSig, bSe, bNaN);
        return true;
    }

    /**
     * The NaN with the larger significand wins, then the positive one; a quiet NaN wins over a
     * signalling one.
     */
    private static void propagate(
            FloatContext c, long aSig, int aSe, boolean aNaN, long bSig, int bSe, boolean bNaN) {
        boolean aSignals = aNaN && (aSig & QUIET_BIT) == 0;
        boolean bSignals = bNaN && (bSig & QUIET_BIT) == 0;
        if (aSignals || bSignals) {
            c.flags |= IE;
        }
        boolean first;
        if (!aNaN || !bNaN) {
            first = aNaN;
        } else if (aSignals != bSignals) {
            first = bSignals;
        } else {
            int order = Long.compareUnsigned(aSig, bSig);
            first = order > 0 || (order == 0 && aSe < bSe);
        }
        c.result((first ? aSig : bSig) | QUIET_BIT, first ? aSe : bSe);
    }

    private static void noteDenormal(FloatContext c, long sig, int se) {
        if (isDenormal(sig, se)) {
            c.flags |= DE;
        }
    }

    public static void add(FloatContext c, long aSig, int aSe, long bSig, int bSe) {
        addSigned(c, aSig, aSe, bSig, bSe, 0);
    }

    /** Computes a − b. */
    public static void subtract(FloatContext c, long aSig, int aSe, long bSig, int bSe) {
        addSigned(c, aSig, aSe, bSig, bSe, 0x8000);
    }

    private static void addSigned(
            FloatContext c, long aSig, int aSe, long bSig, int bSeGiven, int flip) {
        if (special(c, aSig, aSe, bSig, bSeGiven)) {
            return;
        }
        int bSe = bSeGiven ^ flip;
        boolean aInfinite = (aSe & 0x7FFF) == 0x7FFF;
        boolean bInfinite = (bSe & 0x7FFF) == 0x7FFF;
        if (aInfinite && bInfinite && aSe != bSe) {
            invalid(c);
            return;
        }
        noteDenormal(c, aSig, aSe);
        noteDenormal(c, bSig, bSe);
        if (aInfinite || bInfinite) {
            c.result(INTEGER_BIT, aInfinite ? aSe : bSe);
            return;
        }
        int aSign = aSe >>> 15;
        int bSign = bSe >>> 15;
        if (aSig == 0 && bSig == 0) {
            int sign = aSign == bSign ? aSign : c.rounding == DOWN ? 1 : 0;
            c.result(0, sign << 15);
            return;
        }
        if (bSig == 0) {
            c.exact(aSign, exponent(aSig, aSe), normalised(aSig), 0);
        } else if (aSig == 0) {
            c.exact(bSign, exponent(bSig, bSe), normalised(bSig), 0);
        } else {
            Significands.add(
                    c,
                    aSign,
                    exponent(aSig, aSe),
                    normalised(aSig),
                    bSign,
                    exponent(bSig, bSe),
                    normalised(bSig));
        }
        Rounding.extended(c);
    }

    public static void multiply(FloatContext c, long aSig, int aSe, long bSig, int bSe) {
        if (special(c, aSig, aSe, bSig, bSe)) {
            return;
        }
        int sign = (aSe ^ bSe) >>> 15 & 1;
        if (isInfinity(aSig, aSe) || isInfinity(bSig, bSe)) {
            if (aSig == 0 || bSig == 0) {
                invalid(c);
                return;
            }
            noteDenormal(c, aSig, aSe);
            noteDenormal(c, bSig, bSe);
            c.result(INTEGER_BIT, (sign << 15) | 0x7FFF);
            return;
        }
        noteDenormal(c, aSig, aSe);
        noteDenormal(c, bSig, bSe);
        if (aSig == 0 || bSig == 0) {
            c.result(0, sign << 15);
            return;
        }
        int exp = exponent(aSig, aSe) + exponent(bSig, bSe);
        Significands.multiply(c, sign, exp, normalised(aSig), normalised(bSig));
        Rounding.extended(c);
    }

    /** Computes a / b. */
    public static void divide(FloatContext c, long aSig, int aSe, long bSig, int bSe) {
        if (special(c, aSig, aSe, bSig, bSe)) {
            return;
        }
        int sign = (aSe ^ bSe) >>> 15 & 1;
        boolean aInfinite = isInfinity(aSig, aSe);
        boolean bInfinite = isInfinity(bSig, bSe);
        if ((aInfinite && bInfinite) || (isZero(aSig, aSe) && isZero(bSig, bSe))) {
            invalid(c);
            return;
        }
        if (bSig == 0 && !aInfinite) {
            // A denormal divided by zero is not reported as a denormal.
            c.flags |= ZE;
            c.result(INTEGER_BIT, (sign << 15) | 0x7FFF);
            return;
        }
        noteDenormal(c, aSig, aSe);
        noteDenormal(c, bSig, bSe);
        if (aInfinite) {
            c.result(INTEGER_BIT, (sign << 15) | 0x7FFF);
        } else if (bInfinite || aSig == 0) {
            c.result(0, sign << 15);
        } else {
            int exp = exponent(aSig, aSe) - exponent(bSig, bSe);
            Significands.divide(c, sign, exp, normalised(aSig), normalised(bSig));
            Rounding.extended(c);
        }
    }

    public static void squareRoot(FloatContext c, long sig, int se) {
        if (special(c, sig, se)) {
            return;
        }
        if (isZero(sig, se)) {
            c.result(sig, se);
            return;
        }
        if ((se & 0x8000) != 0) {
            invalid(c);
            return;
        }
        noteDenormal(c, sig, se);
        if (isInfinity(sig, se)) {
            c.result(sig, se);
            return;
        }
        Significands.squareRoot(c, exponent(sig, se), normalised(sig));
        Rounding.extended(c);
    }

    /**
     * Compares; {@code quiet} (FUCOM) raises invalid for signalling NaNs only. Returns LESS, EQUAL,
     * GREATER or UNORDERED.
     */
    public static int compare(
            FloatContext c, long aSig, int aSe, long bSig, int bSe, boolean quiet) {
        if (isUnsupported(aSig, aSe) || isUnsupported(bSig, bSe)) {
            c.flags |= IE;
            return UNORDERED;
        }
        if (isNaN(aSig, aSe) || isNaN(bSig, bSe)) {
            if (!quiet || isSignalling(aSig, aSe) || isSignalling(bSig, bSe)) {
                c.flags |= IE;
            }
            return UNORDERED;
        }
        noteDenormal(c, aSig, aSe);
        noteDenormal(c, bSig, bSe);
        if (aSig == 0 && bSig == 0) {
            return EQUAL;
        }
        boolean aNegative = (aSe & 0x8000) != 0;
        boolean bNegative = (bSe & 0x8000) != 0;
        if (aSig == 0) {
            return bNegative ? GREATER : LESS;
        }
        if (bSig == 0 || aNegative != bNegative) {
            return aNegative ? LESS : GREATER;
        }
        int order = Integer.compare(exponent(aSig, aSe), exponent(bSig, bSe));
        if (order == 0) {
            order = Long.compareUnsigned(normalised(aSig), normalised(bSig));
        }
        return order == 0 ? EQUAL : (order < 0) != aNegative ? LESS : GREATER;
    }

    /** Rounds to an integral value (FRNDINT). */
    public static void roundToInteger(FloatContext c, long sig, int se) {
        if (special(c, sig, se)) {
            return;
        }
        int exp = (se & 0x7FFF) - BIAS;
        if (isZero(sig, se) || exp >= 63) {
            c.result(sig, se);
            return;
        }
        noteDenormal(c, sig, se);
        int sign = se >>> 15;
        long magnitude = integerPart(c, sign, exponent(sig, se), normalised(sig));
        if (magnitude == 0) {
            c.result(0, se & 0x8000);
        } else {
            int shift = Long.numberOfLeadingZeros(magnitude);
            c.result(magnitude << shift, (se & 0x8000) | (BIAS + 63 - shift));
        }
    }

    /** Rounds a magnitude below 2^63 to an integer; sets PE and roundedUp. */
    static long integerPart(FloatContext c, int sign, int exp, long sig) {
        int distance = 63 - exp;
        long whole = distance < 64 ? sig >>> distance : 0;
        long below = Significands.belowPoint(sig, distance);
        boolean up = Rounding.increments(c.rounding, sign, whole, below, 1);
        c.flags |= below != 0 ? PE : 0;
        c.roundedUp = up;
        return whole + (up ? 1 : 0);
    }

    /**
     * Converts to a signed integer of {@code bits} (16, 32, 64); out of range is invalid and gives
     * the integer indefinite.
     */
    public static long toInteger(FloatContext c, long sig, int se, int bits) {
        long indefinite = -1L << (bits - 1);
        if ((se & 0x7FFF) == 0 && sig == 0) {
            return 0;
        }
        int exp = (se & 0x7FFF) - BIAS;
        if (isUnsupported(sig, se) || exp > 63) {
            c.flags |= IE;
            return indefinite;
        }
        int sign = se >>> 15;
        long magnitude = integerPart(c, sign, exponent(sig, se), normalised(sig));
        long limit = 1L << (bits - 1);
        // The largest magnitude is limit for negative numbers, limit - 1 for others.
        if (Long.compareUnsigned(magnitude, sign != 0 ? limit : limit - 1) > 0) {
            c.flags = c.flags & ~PE | IE;
            c.roundedUp = false;
            return indefinite;
        }
        return sign != 0 ? -magnitude : magnitude;
    }

    public static void fromInteger(FloatContext c, long value) {
        if (value == 0) {
            c.result(0, 0);
            return;
        }
        long magnitude = Math.abs(value);
        int shift = Long.numberOfLeadingZeros(magnitude);
        c.result(magnitude << shift, (value < 0 ? 0x8000 : 0) | (BIAS + 63 - shift));
    }

    /**
     * Widens a single exactly, a signalling NaN included. Returns whether it was a denormal, which
     * the wide format hides.
     */
    public static boolean fromSingle(FloatContext c, int bits) {
        return widen(c, bits >>> 31, bits >>> 23 & 0xFF, (long) (bits & 0x7FFFFF) << 40, 0xFF, 127);
    }

    /** Widens a double exactly; as {@link #fromSingle}. */
    public static boolean fromDouble(FloatContext c, long bits) {
        return widen(
                c,
                (int) (bits >>> 63),
                (int) (bits >>> 52) & 0x7FF,
                (bits & 0xFFFFFFFFFFFFFL) << 11,
                0x7FF,
                1023);
    }

    private static boolean widen(
            FloatContext c, int sign, int field, long fraction, int maxField, int bias) {
        int signBit = sign << 15;
        if (field == maxField) {
            c.result(fraction | INTEGER_BIT, signBit | 0x7FFF);
        } else if (field != 0) {
            c.result(fraction | INTEGER_BIT, signBit | (field - bias + BIAS));
        } else if (fraction == 0) {
            c.result(0, signBit);
        } else {
            int shift = Long.numberOfLeadingZeros(fraction);
            c.result(fraction << shift, signBit | (1 - bias - shift + BIAS));
            return true;
        }
        return false;
    }

    /** Narrows to a single (FST m32). */
    public static int toSingle(FloatContext c, long sig, int se) {
        return (int) narrow(c, sig, se, 24, 127);
    }

    /** Narrows to a double (FST m64). */
    public static long toDouble(FloatContext c, long sig, int se) {
        return narrow(c, sig, se, 53, 1023);
    }

    private static long narrow(FloatContext c, long sig, int se, int precision, int bias) {
        long infinity = (long) (2 * bias + 1) << (precision - 1);
        long signBit = (long) (se >>> 15) << (precision == 53 ? 63 : 31);
        if (isUnsupported(sig, se)) {
            c.flags |= IE;
            return (precision == 53 ? Long.MIN_VALUE : 0x80000000L)
                    | infinity
                    | 1L << (precision - 2);
        }
        if ((se & 0x7FFF) == 0x7FFF) {
            if (sig == INTEGER_BIT) {
                return signBit | infinity;
            }
            c.flags |= (sig & QUIET_BIT) == 0 ? IE : 0;
            return signBit | infinity | (sig << 1 >>> (65 - precision)) | 1L << (precision - 2);
        }
        if (sig == 0) {
            return signBit;
        }
        return Rounding.narrow(c, se >>> 15, exponent(sig, se), normalised(sig), precision, bias);
    }

    /**
     * Extracts the exponent of a (FXTRACT) as a number; the significand is left by {@link
     * #extractSignificand}.
     */
    public static void extractExponent(FloatContext c, long sig, int se) {
        if (special(c, sig, se)) {
            return;
        }
        if (isInfinity(sig, se)) {
            c.result(INTEGER_BIT, 0x7FFF);
        } else if (isZero(sig, se)) {
            c.flags |= ZE;
            c.result(INTEGER_BIT, 0xFFFF);
        } else {
            noteDenormal(c, sig, se);
            fromInteger(c, exponent(sig, se));
        }
    }

    public static void extractSignificand(FloatContext c, long sig, int se) {
        if (special(c, sig, se)) {
            return;
        }
        if (isInfinity(sig, se) || isZero(sig, se)) {
            c.result(sig, se);
        } else {
            noteDenormal(c, sig, se);
            c.result(normalised(sig), (se & 0x8000) | BIAS);
        }
    }

    /** Computes a * 2^trunc(b) (FSCALE). */
    public static void scale(FloatContext c, long aSig, int aSe, long bSig, int bSe) {
        if (special(c, aSig, aSe, bSig, bSe)) {
            return;
        }
        boolean aInfinite = isInfinity(aSig, aSe);
        if (isInfinity(bSig, bSe)) {
            boolean down = (bSe & 0x8000) != 0;
            if (down ? aInfinite : isZero(aSig, aSe)) {
                invalid(c);
                return;
            }
            noteDenormal(c, aSig, aSe);
            if (down || isZero(aSig, aSe)) {
                c.result(0, aSe & 0x8000);
            } else {
                c.result(INTEGER_BIT, (aSe & 0x8000) | 0x7FFF);
            }
            return;
        }
        noteDenormal(c, aSig, aSe);
        noteDenormal(c, bSig, bSe);
        if (aInfinite || isZero(aSig, aSe)) {
            c.result(aSig, aSe);
            return;
        }
        int bExp = (bSe & 0x7FFF) - BIAS;
        int shift = 0;
        if (bExp >= 0) {
            shift = bExp > 16 ? 0x20000 : (int) (bSig >>> (63 - bExp));
            shift = (bSe & 0x8000) != 0 ? -shift : shift;
        }
        Rounding.extended(c, aSe >>> 15, exponent(aSig, aSe) + shift, normalised(aSig), 0, 64);
    }

    /**
     * Partial remainder of a by b: FPREM (truncating) or FPREM1 ({@code nearest}). Leaves C0, C3,
     * C1 (the quotient's low bits) and C2 (reduction incomplete) in {@code c.conditions}.
     */
    public static void remainder(
            FloatContext c, long aSig, int aSe, long bSig, int bSe, boolean nearest) {
        if (special(c, aSig, aSe, bSig, bSe)) {
            c.conditions = NO_QUOTIENT;
            return;
        }
        if (isInfinity(aSig, aSe) || isZero(bSig, bSe)) {
            invalid(c);
            c.conditions = NO_QUOTIENT;
            return;
        }
        noteDenormal(c, aSig, aSe);
        noteDenormal(c, bSig, bSe);
        if (isZero(aSig, aSe)) {
            c.result(aSig, aSe);
            return;
        }
        int sign = aSe >>> 15;
        int aExp = exponent(aSig, aSe);
        long a = normalised(aSig);
        if (isInfinity(bSig, bSe)) {
            Rounding.extended(c, sign, aExp, a, 0, 64);
            return;
        }
        int bExp = exponent(bSig, bSe);
        long b = normalised(bSig);
        int distance = aExp - bExp;
        if (distance < -1 || (distance < 0 && !nearest)) {
            Rounding.extended(c, sign, aExp, a, 0, 64);
            return;
        }
        if (distance >= 64) {
            // An incomplete step takes away between 32 and 63 bits, as many as leave a multiple of
            // 32 to do.
            int step = (distance & 31) | 32;
            reduce(c, a, b, step);
            finishRemainder(c, sign, aExp - step);
            c.conditions = FpuState.C2;
            return;
        }
        long quotient;
        int exp;
        if (distance < 0) {
            // a is in [b/4, b): the nearest quotient is 0 or 1.
            quotient = 0;
            exp = aExp;
            if (Long.compareUnsigned(a, b) > 0) {
                // a > b/2, so that a - b is the nearer remainder: 2b - a in units of a's last
                // place.
                quotient = 1;
                sign ^= 1;
                c.lo = (b << 1) - a;
            } else {
                c.lo = a;
            }
        } else {
            quotient = reduce(c, a, b, distance);
            exp = bExp;
            if (nearest) {
                long rest = c.lo;
                long gap = b - rest;
                int order = Long.compareUnsigned(rest, gap);
                if (order > 0 || (order == 0 && (quotient & 1) != 0)) {
                    c.lo = gap;
                    sign ^= 1;
                    quotient++;
                }
            }
        }
        finishRemainder(c, sign, exp);
        c.conditions =
                ((quotient & 4) != 0 ? FpuState.C0 : 0)
                        | ((quotient & 2) != 0 ? FpuState.C3 : 0)
                        | ((quotient & 1) != 0 ? FpuState.C1 : 0);
        if (c.sig == 0) {
            c.se = aSe & 0x8000;
        }
    }

    /**
     * Long division of a * 2^steps by b; returns the quotient's low 64 bits and leaves the
     * remainder in {@code c.lo}.
     */
    private static long reduce(FloatContext c, long a, long b, int steps) {
        long rest = a;
        long quotient = 0;
        if (Long.compareUnsigned(rest, b) >= 0) {
            rest -= b;
            quotient = 1;
        }
        for (int i = 0; i < steps; i++) {
            boolean carry = rest < 0;
            rest <<= 1;
            quotient <<= 1;
            if (carry || Long.compareUnsigned(rest, b) >= 0) {
                rest -= b;
                quotient |= 1;
            }
        }
        c.lo = rest;
        return quotient;
    }

    private static void finishRemainder(FloatContext c, int sign, int exp) {
        long rest = c.lo;
        if (rest == 0) {
            c.result(0, sign << 15);
            return;
        }
        int shift = Long.numberOfLeadingZeros(rest);
        Rounding.extended(c, sign, exp - shift, rest << shift, 0, 64);
    }
}
