package dev.pacifica.emulator.fp;

/**
 * Exact arithmetic on normalised 64-bit significands (top bit set, value sig * 2^(exp-63)). Results
 * go unrounded, 128 bits wide with a sticky bit at the bottom, into the {@link FloatContext};
 * {@link Rounding} makes a number of some format of them.
 */
final class Significands {
    private Significands() {}

    /**
     * Adds or subtracts; an exact zero leaves hi = 0 with the sign that the rounding mode asks for.
     */
    static void add(FloatContext c, int aSign, int aExp, long a, int bSign, int bExp, long b) {
        if (aExp < bExp || (aExp == bExp && Long.compareUnsigned(a, b) < 0)) {
            addOrdered(c, bSign, bExp, b, aSign, aExp, a);
        } else {
            addOrdered(c, aSign, aExp, a, bSign, bExp, b);
        }
    }

    private static void addOrdered(
            FloatContext c, int aSign, int aExp, long a, int bSign, int bExp, long b) {
        int distance = aExp - bExp;
        long bHi = distance < 64 ? b >>> distance : 0;
        long bLo = belowPoint(b, distance);
        if (aSign == bSign) {
            long hi = a + bHi;
            if (Long.compareUnsigned(hi, a) < 0) {
                c.exact(
                        aSign,
                        aExp + 1,
                        (hi >>> 1) | Long.MIN_VALUE,
                        (bLo >>> 1) | (hi << 63) | (bLo & 1));
            } else {
                c.exact(aSign, aExp, hi, bLo);
            }
            return;
        }
        long lo = -bLo;
        long hi = a - bHi - (bLo != 0 ? 1 : 0);
        if ((hi | lo) == 0) {
            c.exact(c.rounding == FloatContext.DOWN ? 1 : 0, 0, 0, 0);
            return;
        }
        int exp = aExp;
        if (hi == 0) {
            hi = lo;
            lo = 0;
            exp -= 64;
        }
        int shift = Long.numberOfLeadingZeros(hi);
        if (shift != 0) {
            hi = (hi << shift) | (lo >>> (64 - shift));
            lo <<= shift;
        }
        c.exact(aSign, exp - shift, hi, lo);
    }

    /**
     * The 64 bits that a right shift of {@code value} by {@code distance} moves below the point,
     * the last one sticky.
     */
    static long belowPoint(long value, int distance) {
        if (distance == 0) {
            return 0;
        }
        if (distance < 64) {
            return value << (64 - distance);
        }
        if (distance == 64) {
            return value;
        }
        if (distance < 128) {
            return (value >>> (distance - 64)) | ((value << (128 - distance)) != 0 ? 1 : 0);
        }
        return value != 0 ? 1 : 0;
    }

    static void multiply(FloatContext c, int sign, int exp, long a, long b) {
        long hi = Math.unsignedMultiplyHigh(a, b);
        long lo = a * b;
        if (hi < 0) {
            c.exact(sign, exp + 1, hi, lo);
        } else {
            c.exact(sign, exp, (hi << 1) | (lo >>> 63), lo << 1);
        }
    }

    static void divide(FloatContext c, int sign, int exp, long a, long b) {
        boolean less = Long.compareUnsigned(a, b) < 0;
        long numeratorHi = less ? a : a >>> 1;
        long numeratorLo = less ? 0 : a << 63;
        long quotient = divide128(numeratorHi, numeratorLo, b);
        long remainder = numeratorLo - quotient * b;
        long lo = 0;
        if (remainder != 0) {
            long gap = b - remainder;
            int order = Long.compareUnsigned(remainder, gap);
            lo = (order >= 0 ? Long.MIN_VALUE : 0) | (order != 0 ? 1 : 0);
        }
        c.exact(sign, less ? exp - 1 : exp, quotient, lo);
    }

    /** Unsigned (hi:lo) / divisor for hi < divisor and a divisor with its top bit set. */
    static long divide128(long hi, long lo, long divisor) {
        long dHi = divisor >>> 32;
        long dLo = divisor & 0xFFFFFFFFL;
        long q1 = digit(hi, lo >>> 32, dHi, dLo);
        long rest = ((hi << 32) | (lo >>> 32)) - q1 * divisor;
        long q0 = digit(rest, lo & 0xFFFFFFFFL, dHi, dLo);
        return (q1 << 32) + q0;
    }

    private static long digit(long hi, long next, long dHi, long dLo) {
        long q = Long.divideUnsigned(hi, dHi);
        long r = hi - q * dHi;
        while (q >>> 32 != 0 || Long.compareUnsigned(q * dLo, (r << 32) | next) > 0) {
            q--;
            r += dHi;
            if (r >>> 32 != 0) {
                break;
            }
        }
        return q;
    }

    /** Square root of sig * 2^(exp-63). */
    static void squareRoot(FloatContext c, int exp, long sig) {
        // Radicand below 2^128 with an even exponent: the root then has exactly 64 bits.
        boolean odd = (exp & 1) != 0;
        long radicandHi = odd ? sig : sig >>> 1;
        long radicandLo = odd ? 0 : sig << 63;
        long root = 0;
        long remHi = 0;
        long remLo = 0;
        for (int i = 0; i < 64; i++) {
            remHi = (remHi << 2) | (remLo >>> 62);
            remLo = (remLo << 2) | (radicandHi >>> 62);
            radicandHi = (radicandHi << 2) | (radicandLo >>> 62);
            radicandLo <<= 2;
            long trialHi = root >>> 62;
            long trialLo = (root << 2) | 1;
            root <<= 1;
            int order = Long.compareUnsigned(remHi, trialHi);
            if (order > 0 || (order == 0 && Long.compareUnsigned(remLo, trialLo) >= 0)) {
                remHi -= trialHi + (Long.compareUnsigned(remLo, trialLo) < 0 ? 1 : 0);
                remLo -= trialLo;
                root |= 1;
            }
        }
        // remainder > root means that the fraction exceeds one half; it never equals it.
        boolean aboveHalf = remHi != 0 || Long.compareUnsigned(remLo, root) > 0;
        boolean exact = (remHi | remLo) == 0;
        c.exact(
                0,
                odd ? (exp - 1) >> 1 : exp >> 1,
                root,
                (aboveHalf ? Long.MIN_VALUE : 0) | (exact ? 0 : 1));
    }
}
