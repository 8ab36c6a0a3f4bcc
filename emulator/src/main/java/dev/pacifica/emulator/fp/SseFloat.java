package dev.pacifica.emulator.fp;

import static dev.pacifica.emulator.fp.FloatContext.DE;
import static dev.pacifica.emulator.fp.FloatContext.DOWN;
import static dev.pacifica.emulator.fp.FloatContext.IE;
import static dev.pacifica.emulator.fp.FloatContext.NEAREST;
import static dev.pacifica.emulator.fp.FloatContext.PE;
import static dev.pacifica.emulator.fp.FloatContext.ZE;

/**
 * SSE arithmetic on singles and doubles, given and returned as their bits in a long (singles
 * zero-extended), with exact MXCSR flags. In round-to-nearest with ordinary operands the JVM's own
 * IEEE arithmetic does the work; all else goes through {@link Significands}.
 */
final class SseFloat {
    static final int ADD = 0, SUBTRACT = 1, MULTIPLY = 2, DIVIDE = 3, MIN = 4, MAX = 5;

    private static final long DOUBLE_INDEFINITE = 0xFFF8000000000000L;
    private static final long SINGLE_INDEFINITE = 0xFFC00000L;

    private SseFloat() {}

    static long doubleOperation(FloatContext c, int operation, long a, long b) {
        if (c.rounding == NEAREST && ordinaryDouble(a) && ordinaryDouble(b) && operation < MIN) {
            double x = Double.longBitsToDouble(a);
            double y = Double.longBitsToDouble(b);
            double r =
                    switch (operation) {
                        case ADD -> x + y;
                        case SUBTRACT -> x - y;
                        case MULTIPLY -> x * y;
                        default -> x / y;
                    };
            long bits = Double.doubleToRawLongBits(r);
            int exponent = (int) (bits >>> 52) & 0x7FF;
            // Near the format's ends flags depend on more than the result; residuals must not
            // underflow either.
            if (exponent > 110 && exponent < 2047) {
                if ((c.flags & PE) == 0) {
                    boolean exact =
                            switch (operation) {
                                case ADD -> sumExact(x, y, r);
                                case SUBTRACT -> sumExact(x, -y, r);
                                case MULTIPLY -> Math.fma(x, y, -r) == 0;
                                default -> ((a >>> 52) & 0x7FF) > 110 && Math.fma(r, y, -x) == 0;
                            };
                    if (!exact) {
                        return operation == DIVIDE
                                ? exactOperation(c, operation, a, b, true)
                                : inexact(c, bits);
                    }
                }
                return bits;
            }
        }
        return exactOperation(c, operation, a, b, true);
    }

    static long singleOperation(FloatContext c, int operation, long a, long b) {
        if (c.rounding == NEAREST && ordinarySingle(a) && ordinarySingle(b) && operation < MIN) {
            float x = Float.intBitsToFloat((int) a);
            float y = Float.intBitsToFloat((int) b);
            float r =
                    switch (operation) {
                        case ADD -> x + y;
                        case SUBTRACT -> x - y;
                        case MULTIPLY -> x * y;
                        default -> x / y;
                    };
            int bits = Float.floatToRawIntBits(r);
            int exponent = bits >>> 23 & 0xFF;
            if (exponent > 1 && exponent < 255) {
                if ((c.flags & PE) == 0) {
                    boolean exact =
                            switch (operation) {
                                case ADD -> sumExact(x, y, r);
                                case SUBTRACT -> sumExact(x, -(double) y, r);
                                case MULTIPLY -> (double) x * y == r;
                                default -> (double) r * y == x;
                            };
                    if (!exact) {
                        c.flags |= PE;
                    }
                }
                return bits & 0xFFFFFFFFL;
            }
        }
        return exactOperation(c, operation, a, b, false);
    }

    private static long inexact(FloatContext c, long bits) {
        c.flags |= PE;
        return bits;
    }

    /** Whether r = x + y without error (Knuth's two-sum). */
    private static boolean sumExact(double x, double y, double r) {
        double yPart = r - x;
        return (x - (r - yPart)) + (y - yPart) == 0;
    }

    private static boolean ordinaryDouble(long bits) {
        int exponent = (int) (bits >>> 52) & 0x7FF;
        return exponent != 0x7FF && (exponent != 0 || bits << 1 == 0);
    }

    private static boolean ordinarySingle(long bits) {
        int exponent = (int) (bits >>> 23) & 0xFF;
        return exponent != 0xFF && (exponent != 0 || (bits & 0x7FFFFFFF) == 0);
    }

    static boolean isNaN(long bits, boolean dbl) {
        return dbl
                ? (bits & Long.MAX_VALUE) > 0x7FF0000000000000L
                : (bits & 0x7FFFFFFF) > 0x7F800000L;
    }

    private static boolean isSignalling(long bits, boolean dbl) {
        return isNaN(bits, dbl) && (bits & quietBit(dbl)) == 0;
    }

    private static long quietBit(boolean dbl) {
        return dbl ? 1L << 51 : 1L << 22;
    }

    private static boolean isDenormal(long bits, boolean dbl) {
        return dbl
                ? (bits & 0x7FF0000000000000L) == 0 && bits << 1 != 0
                : (bits & 0x7F800000) == 0 && (bits & 0x7FFFFF) != 0;
    }

    private static boolean isZero(long bits, boolean dbl) {
        return dbl ? bits << 1 == 0 : (bits & 0x7FFFFFFF) == 0;
    }

    private static boolean isInfinity(long bits, boolean dbl) {
        return dbl
                ? (bits & Long.MAX_VALUE) == 0x7FF0000000000000L
                : (bits & 0x7FFFFFFF) == 0x7F800000;
    }

    private static int sign(long bits, boolean dbl) {
        return (int) (bits >>> (dbl ? 63 : 31)) & 1;
    }

    private static long zero(int sign, boolean dbl) {
        return (long) sign << (dbl ? 63 : 31);
    }

    private static long infinity(int sign, boolean dbl) {
        return zero(sign, dbl) | (dbl ? 0x7FF0000000000000L : 0x7F800000L);
    }

    private static long invalid(FloatContext c, boolean dbl) {
        c.flags |= IE;
        return dbl ? DOUBLE_INDEFINITE : SINGLE_INDEFINITE;
    }

    /** Applies MXCSR.DAZ. */
    private static long input(FloatContext c, long bits, boolean dbl) {
        return c.denormalsAreZero && isDenormal(bits, dbl) ? zero(sign(bits, dbl), dbl) : bits;
    }

    private static void noteDenormal(FloatContext c, long bits, boolean dbl) {
        if (isDenormal(bits, dbl)) {
            c.flags |= DE;
        }
    }

    private static int exponent(long bits, boolean dbl) {
        int field = (int) (dbl ? bits >>> 52 & 0x7FF : bits >>> 23 & 0xFF);
        int bias = dbl ? 1023 : 127;
        return field == 0
                ? 1 - bias - Long.numberOfLeadingZeros(fraction(bits, dbl))
                : field - bias;
    }

    private static long fraction(long bits, boolean dbl) {
        return dbl ? bits << 12 >>> 1 : bits << 41 >>> 1;
    }

    private static long significand(long bits, boolean dbl) {
        long fraction = fraction(bits, dbl);
        boolean normal = (bits & (dbl ? 0x7FF0000000000000L : 0x7F800000L)) != 0;
        return normal ? fraction | Long.MIN_VALUE : fraction << Long.numberOfLeadingZeros(fraction);
    }

    private static long round(FloatContext c, boolean dbl) {
        return dbl ? Rounding.toDouble(c) : Rounding.toSingle(c);
    }

    private static long exactOperation(
            FloatContext c, int operation, long aGiven, long bGiven, boolean dbl) {
        long a = input(c, aGiven, dbl);
        long b = input(c, bGiven, dbl);
        if (operation >= MIN) {
            return minMax(c, operation, a, b, dbl);
        }
        if (isNaN(a, dbl) || isNaN(b, dbl)) {
            if (isSignalling(a, dbl) || isSignalling(b, dbl)) {
                c.flags |= IE;
            }
            return (isNaN(a, dbl) ? a : b) | quietBit(dbl);
        }
        return operation <= SUBTRACT
                ? sum(c, a, operation == SUBTRACT ? b ^ zero(1, dbl) : b, dbl)
                : operation == MULTIPLY ? product(c, a, b, dbl) : quotient(c, a, b, dbl);
    }

    private static long sum(FloatContext c, long a, long b, boolean dbl) {
        if (isInfinity(a, dbl) && isInfinity(b, dbl) && a != b) {
            return invalid(c, dbl);
        }
        noteDenormal(c, a, dbl);
        noteDenormal(c, b, dbl);
        if (isInfinity(a, dbl)) {
            return a;
        }
        if (isInfinity(b, dbl)) {
            return b;
        }
        int aSign = sign(a, dbl);
        int bSign = sign(b, dbl);
        if (isZero(a, dbl) && isZero(b, dbl)) {
            return zero(aSign == bSign ? aSign : c.rounding == DOWN ? 1 : 0, dbl);
        }
        if (isZero(b, dbl)) {
            c.exact(aSign, exponent(a, dbl), significand(a, dbl), 0);
        } else if (isZero(a, dbl)) {
            c.exact(bSign, exponent(b, dbl), significand(b, dbl), 0);
        } else {
            Significands.add(
                    c,
                    aSign,
                    exponent(a, dbl),
                    significand(a, dbl),
                    bSign,
                    exponent(b, dbl),
                    significand(b, dbl));
        }
        return round(c, dbl);
    }

    private static long product(FloatContext c, long a, long b, boolean dbl) {
        int sign = sign(a, dbl) ^ sign(b, dbl);
        boolean infinite = isInfinity(a, dbl) || isInfinity(b, dbl);
        boolean zero = isZero(a, dbl) || isZero(b, dbl);
        if (infinite && zero) {
            return invalid(c, dbl);
        }
        noteDenormal(c, a, dbl);
        noteDenormal(c, b, dbl);
        if (infinite) {
            return infinity(sign, dbl);
        }
        if (zero) {
            return zero(sign, dbl);
        }
        Significands.multiply(
                c,
                sign,
                exponent(a, dbl) + exponent(b, dbl),
                significand(a, dbl),
                significand(b, dbl));
        return round(c, dbl);
    }

    private static long quotient(FloatContext c, long a, long b, boolean dbl) {
        int sign = sign(a, dbl) ^ sign(b, dbl);
        if (isInfinity(a, dbl) && isInfinity(b, dbl) || isZero(a, dbl) && isZero(b, dbl)) {
            return invalid(c, dbl);
        }
        if (isZero(b, dbl) && !isInfinity(a, dbl)) {
            // A denormal divided by zero is not reported as a denormal.
            c.flags |= ZE;
            return infinity(sign, dbl);
        }
        noteDenormal(c, a, dbl);
        noteDenormal(c, b, dbl);
        if (isInfinity(a, dbl)) {
            return infinity(sign, dbl);
        }
        if (isInfinity(b, dbl) || isZero(a, dbl)) {
            return zero(sign, dbl);
        }
        Significands.divide(
                c,
                sign,
                exponent(a, dbl) - exponent(b, dbl),
                significand(a, dbl),
                significand(b, dbl));
        return round(c, dbl);
    }

    /** The second operand is the answer if either is a NaN or both are zeros. */
    private static long minMax(FloatContext c, int operation, long a, long b, boolean dbl) {
        int order = order(c, a, b, dbl, false);
        boolean first = operation == MIN ? order == Float80.LESS : order == Float80.GREATER;
        return first ? a : b;
    }

    static long squareRoot(FloatContext c, long given, boolean dbl) {
        long a = input(c, given, dbl);
        if (isNaN(a, dbl)) {
            c.flags |= (a & quietBit(dbl)) == 0 ? IE : 0;
            return a | quietBit(dbl);
        }
        if (isZero(a, dbl)) {
            return a;
        }
        if (sign(a, dbl) != 0) {
            return invalid(c, dbl);
        }
        noteDenormal(c, a, dbl);
        if (isInfinity(a, dbl)) {
            return a;
        }
        if (c.rounding == NEAREST && (c.flags & PE) != 0) {
            return dbl
                    ? Double.doubleToRawLongBits(Math.sqrt(Double.longBitsToDouble(a)))
                    : Float.floatToRawIntBits((float) Math.sqrt(Float.intBitsToFloat((int) a)))
                            & 0xFFFFFFFFL;
        }
        Significands.squareRoot(c, exponent(a, dbl), significand(a, dbl));
        return round(c, dbl);
    }

    /** Compares; {@code quiet} raises invalid for signalling NaNs only. */
    static int compare(FloatContext c, long a, long b, boolean dbl, boolean quiet) {
        return order(c, input(c, a, dbl), input(c, b, dbl), dbl, quiet);
    }

    private static int order(FloatContext c, long a, long b, boolean dbl, boolean quiet) {
        if (isNaN(a, dbl) || isNaN(b, dbl)) {
            if (!quiet || isSignalling(a, dbl) || isSignalling(b, dbl)) {
                c.flags |= IE;
            }
            return Float80.UNORDERED;
        }
        noteDenormal(c, a, dbl);
        noteDenormal(c, b, dbl);
        if (dbl) {
            double x = Double.longBitsToDouble(a);
            double y = Double.longBitsToDouble(b);
            return x < y ? Float80.LESS : x > y ? Float80.GREATER : Float80.EQUAL;
        }
        float x = Float.intBitsToFloat((int) a);
        float y = Float.intBitsToFloat((int) b);
        return x < y ? Float80.LESS : x > y ? Float80.GREATER : Float80.EQUAL;
    }

    /** Evaluates one of the eight CMPccPS predicates (immediate bits 2-0). */
    static boolean predicate(FloatContext c, long a, long b, boolean dbl, int predicate) {
        // LT, LE and their negations signal for quiet NaNs too.
        boolean quiet = (predicate & 3) == 0 || (predicate & 3) == 3;
        int order = compare(c, a, b, dbl, quiet);
        boolean holds =
                switch (predicate & 3) {
                    case 0 -> order == Float80.EQUAL;
                    case 1 -> order == Float80.LESS;
                    case 2 -> order == Float80.LESS || order == Float80.EQUAL;
                    default -> order == Float80.UNORDERED;
                };
        return holds != ((predicate & 4) != 0);
    }

    static long singleToDouble(FloatContext c, long given) {
        long a = input(c, given, false);
        int sign = sign(a, false);
        if (isNaN(a, false)) {
            c.flags |= (a & quietBit(false)) == 0 ? IE : 0;
            return zero(sign, true) | 0x7FF8000000000000L | (a & 0x7FFFFF) << 29;
        }
        noteDenormal(c, a, false);
        return Double.doubleToRawLongBits(Float.intBitsToFloat((int) a));
    }

    static long doubleToSingle(FloatContext c, long given) {
        long a = input(c, given, true);
        int sign = sign(a, true);
        if (isNaN(a, true)) {
            c.flags |= (a & quietBit(true)) == 0 ? IE : 0;
            return zero(sign, false) | 0x7FC00000L | a >>> 29 & 0x7FFFFF;
        }
        if (isInfinity(a, true)) {
            return infinity(sign, false);
        }
        if (isZero(a, true)) {
            return zero(sign, false);
        }
        noteDenormal(c, a, true);
        return Rounding.narrow(c, sign, exponent(a, true), significand(a, true), 24, 127);
    }

    /** Converts to a signed integer of 32 or 64 bits, rounding or truncating. */
    static long toInteger(FloatContext c, long given, boolean dbl, int bits, boolean truncate) {
        long a = input(c, given, dbl);
        if (isZero(a, dbl)) {
            return 0;
        }
        long indefinite = -1L << (bits - 1);
        if (isNaN(a, dbl) || isInfinity(a, dbl)) {
            c.flags |= IE;
            return indefinite;
        }
        int exp = exponent(a, dbl);
        if (exp > 63) {
            c.flags |= IE;
            return indefinite;
        }
        int sign = sign(a, dbl);
        int distance = 63 - exp;
        long sig = significand(a, dbl);
        long whole = distance < 64 ? sig >>> distance : 0;
        long below = Significands.belowPoint(sig, distance);
        if (!truncate && Rounding.increments(c.rounding, sign, whole, below, 1)) {
            whole++;
        }
        long limit = 1L << (bits - 1);
        if (Long.compareUnsigned(whole, sign != 0 ? limit : limit - 1) > 0) {
            c.flags |= IE;
            return indefinite;
        }
        c.flags |= below != 0 ? PE : 0;
        return sign != 0 ? -whole : whole;
    }

    /** Rounds to an integral value (ROUNDPS and family) with a rounding mode of its own. */
    static long toIntegral(FloatContext c, long given, boolean dbl, int rounding) {
        long a = input(c, given, dbl);
        if (isNaN(a, dbl)) {
            c.flags |= (a & quietBit(dbl)) == 0 ? IE : 0;
            return a | quietBit(dbl);
        }
        if (isZero(a, dbl) || isInfinity(a, dbl)) {
            return a;
        }
        int exp = exponent(a, dbl);
        if (exp >= 63) {
            return a;
        }
        int sign = sign(a, dbl);
        long sig = significand(a, dbl);
        int distance = 63 - exp;
        long whole = distance < 64 ? sig >>> distance : 0;
        long below = Significands.belowPoint(sig, distance);
        if (below == 0) {
            return a;
        }
        c.flags |= PE;
        if (Rounding.increments(rounding, sign, whole, below, 1)) {
            whole++;
        }
        if (whole == 0) {
            return zero(sign, dbl);
        }
        // Exact: an integer with a fractional neighbour fits the significand.
        return zero(sign, dbl)
                | (dbl
                        ? Double.doubleToRawLongBits((double) whole)
                        : Float.floatToRawIntBits((float) whole) & 0xFFFFFFFFL);
    }

    static long fromInteger(FloatContext c, long value, boolean dbl) {
        if (value == 0) {
            return 0;
        }
        long magnitude = Math.abs(value);
        int shift = Long.numberOfLeadingZeros(magnitude);
        c.exact(value < 0 ? 1 : 0, 63 - shift, magnitude << shift, 0);
        return round(c, dbl);
    }
}
