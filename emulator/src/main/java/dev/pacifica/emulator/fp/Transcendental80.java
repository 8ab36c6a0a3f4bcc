package dev.pacifica.emulator.fp;

import static dev.pacifica.emulator.fp.Float80.BIAS;
import static dev.pacifica.emulator.fp.Float80.INTEGER_BIT;
import static dev.pacifica.emulator.fp.FloatContext.DE;
import static dev.pacifica.emulator.fp.FloatContext.ZE;

import java.math.BigInteger;

/**
 * The x87's transcendental functions. Everything is computed in fixed point with 192 fraction bits,
 * then rounded once as rounding control says (precision control does not apply). Arguments are
 * reduced with π to 66 bits, as the processor does; for that argument results are correctly
 * rounded. Measured on a Zen 4, silicon gives the same bits and flags for 98.5 to 99.9 % of random
 * operands, depending on the function, and differs by one unit in the last place (or in C1 only)
 * for the others.
 */
final class Transcendental80 {
    private static final int F = 192;

    /**
     * Below this exponent the second term of each series no longer reaches the 128 bits that
     * rounding looks at.
     */
    private static final int TINY = -70;

    private static final BigInteger ONE = BigInteger.ONE.shiftLeft(F);

    /** π as the processor's argument reduction knows it, to 66 bits, with F fraction bits. */
    private static final BigInteger REDUCTION_PI =
            new BigInteger("3243F6A8885A308D3", 16).shiftLeft(F - 64);

    private static final BigInteger PI =
            new BigInteger("3243F6A8885A308D313198A2E03707344A4093822299F31D0", 16);

    private static final BigInteger LN2 =
            new BigInteger("B17217F7D1CF79ABC9E3B39803F2F6AF40F343267298B62D", 16);
    private static final BigInteger INVERSE_LN2 =
            new BigInteger("171547652B82FE1777D0FFDA0D23A7D11D6AEF551BAD2B4B1", 16);

    private Transcendental80() {}

    static void sine(FloatContext c, long sig, int se) {
        if (special(c, sig, se)) {
            return;
        }
        if (Float80.isZero(sig, se)) {
            c.result(sig, se);
            return;
        }
        int exp = Float80.exponent(sig, se);
        long m = Float80.normalised(sig);
        int sign = se >>> 15;
        if (exp < TINY) {
            nearlyEqual(c, sign, exp, m, false);
            return;
        }
        BigInteger x = fixed(m, exp, F);
        BigInteger count = quadrantCount(x);
        int quadrant = count.intValue() & 3;
        BigInteger r = rest(x, count);
        BigInteger value = (quadrant & 1) == 0 ? sineOf(r) : cosineOf(r);
        round(c, sign ^ quadrant >> 1, value, 0);
    }

    static void cosine(FloatContext c, long sig, int se) {
        if (special(c, sig, se)) {
            return;
        }
        if (Float80.isZero(sig, se)) {
            c.result(INTEGER_BIT, BIAS);
            return;
        }
        int exp = Float80.exponent(sig, se);
        if (exp < TINY) {
            nearlyEqual(c, 0, 0, INTEGER_BIT, false);
            return;
        }
        BigInteger x = fixed(Float80.normalised(sig), exp, F);
        BigInteger count = quadrantCount(x);
        int quadrant = count.intValue() & 3;
        BigInteger r = rest(x, count);
        BigInteger value = (quadrant & 1) == 0 ? cosineOf(r) : sineOf(r);
        round(c, (quadrant + 1 & 2) >> 1, value, 0);
    }

    static void tangent(FloatContext c, long sig, int se) {
        if (special(c, sig, se)) {
            return;
        }
        if (Float80.isZero(sig, se)) {
            c.result(sig, se);
            return;
        }
        int exp = Float80.exponent(sig, se);
        long m = Float80.normalised(sig);
        int sign = se >>> 15;
        if (exp < TINY) {
            nearlyEqual(c, sign, exp, m, true);
            return;
        }
        BigInteger x = fixed(m, exp, F);
        BigInteger count = quadrantCount(x);
        int quadrant = count.intValue() & 3;
        BigInteger r = rest(x, count);
        BigInteger sine = sineOf(r);
        BigInteger cosine = cosineOf(r);
        boolean odd = (quadrant & 1) != 0;
        BigInteger value = (odd ? cosine : sine).shiftLeft(F).divide(odd ? sine : cosine);
        round(c, sign ^ quadrant & 1, value, 0);
    }

    /** Invalid operands, NaNs and arguments of 2^63 and more, which set C2 and stay as they are. */
    private static boolean special(FloatContext c, long sig, int se) {
        if (Float80.isUnsupported(sig, se) || Float80.isInfinity(sig, se)) {
            Float80.invalid(c);
            return true;
        }
        if (notNumber(c, sig, se)) {
            return true;
        }
        if ((se & 0x7FFF) >= BIAS + 63) {
            c.conditions = FpuState.C2;
            c.result(sig, se);
            return true;
        }
        noteDenormal(c, sig, se);
        return false;
    }

    private static boolean notNumber(FloatContext c, long sig, int se) {
        if (!Float80.isNaN(sig, se)) {
            return false;
        }
        c.flags |= (sig & Float80.QUIET_BIT) == 0 ? FloatContext.IE : 0;
        c.result(sig | Float80.QUIET_BIT, se);
        return true;
    }

    private static void noteDenormal(FloatContext c, long sig, int se) {
        if (Float80.isDenormal(sig, se)) {
            c.flags |= DE;
        }
    }

    private static BigInteger unsigned(long m) {
        BigInteger value = BigInteger.valueOf(m >>> 1).shiftLeft(1);
        return (m & 1) != 0 ? value.setBit(0) : value;
    }

    /** m * 2^(exp-63) with {@code fraction} fraction bits. */
    private static BigInteger fixed(long m, int exp, int fraction) {
        return unsigned(m).shiftLeft(exp - 63 + fraction);
    }

    /** How many times π/2 is nearest to x. */
    private static BigInteger quadrantCount(BigInteger x) {
        return x.shiftLeft(2).divide(REDUCTION_PI).add(BigInteger.ONE).shiftRight(1);
    }

    /** x − count * π/2, signed, with F fraction bits. */
    private static BigInteger rest(BigInteger x, BigInteger count) {
        return x.subtract(REDUCTION_PI.multiply(count).shiftRight(1));
    }

    private static BigInteger product(BigInteger a, BigInteger b) {
        return a.multiply(b).shiftRight(F);
    }

    private static BigInteger sineOf(BigInteger r) {
        BigInteger square = product(r, r);
        BigInteger term = r;
        BigInteger sum = r;
        for (int n = 2; term.signum() != 0 && n < 100; n += 2) {
            term = product(term, square).divide(BigInteger.valueOf(-(long) n * (n + 1)));
            sum = sum.add(term);
        }
        return sum;
    }

    private static BigInteger cosineOf(BigInteger r) {
        BigInteger square = product(r, r);
        BigInteger term = ONE;
        BigInteger sum = ONE;
        for (int n = 1; term.signum() != 0 && n < 100; n += 2) {
            term = product(term, square).divide(BigInteger.valueOf(-(long) n * (n + 1)));
            sum = sum.add(term);
        }
        return sum;
    }

    /** Rounds value * 2^(scale - F); a negative value turns the sign. */
    private static void round(FloatContext c, int sign, BigInteger value, int scale) {
        if (value.signum() == 0) {
            c.result(0, sign << 15);
            return;
        }
        int finalSign = value.signum() < 0 ? sign ^ 1 : sign;
        BigInteger magnitude = value.abs();
        int length = magnitude.bitLength();
        int drop = length - 128;
        BigInteger top = drop > 0 ? magnitude.shiftRight(drop) : magnitude.shiftLeft(-drop);
        long sticky = drop > 0 && magnitude.getLowestSetBit() < drop ? 1 : 0;
        Rounding.extended(
                c,
                finalSign,
                length - 1 - F + scale,
                top.shiftRight(64).longValue(),
                top.longValue() | sticky,
                64);
    }

    /** Rounds a number that is m plus or minus next to nothing. */
    private static void nearlyEqual(FloatContext c, int sign, int exp, long m, boolean above) {
        if (above) {
            Rounding.extended(c, sign, exp, m, 1, 64);
        } else if (m == INTEGER_BIT) {
            Rounding.extended(c, sign, exp - 1, -1L, -1L, 64);
        } else {
            Rounding.extended(c, sign, exp, m - 1, -1L, 64);
        }
    }

    /** 2^x − 1 for −1 ≤ x ≤ 1 (F2XM1). */
    static void exponentialMinusOne(FloatContext c, long sig, int se) {
        if (Float80.isUnsupported(sig, se)) {
            Float80.invalid(c);
            return;
        }
        if (notNumber(c, sig, se)) {
            return;
        }
        int sign = se >>> 15;
        if (Float80.isZero(sig, se)) {
            c.result(sig, se);
            return;
        }
        if (Float80.isInfinity(sig, se)) {
            c.result(sign == 0 ? sig : INTEGER_BIT, sign == 0 ? se : 0x8000 | BIAS);
            return;
        }
        noteDenormal(c, sig, se);
        int exp = Float80.exponent(sig, se);
        long m = Float80.normalised(sig);
        if (exp > 0 || (exp == 0 && m != INTEGER_BIT)) {
            outOfRange(c, sig, se);
            return;
        }
        if (exp == 0) {
            if (sign == 0) {
                // The processor's answer to 1 lies a hair below 1; its answer to -1 is exact, but
                // reported as inexact.
                nearlyEqual(c, 0, 0, INTEGER_BIT, false);
            } else {
                c.flags |= FloatContext.PE;
                c.result(INTEGER_BIT, 0x8000 | BIAS - 1);
            }
            return;
        }
        if (exp < TINY) {
            // x ln2 (1 + x ln2 / 2)
            BigInteger half =
                    exp < -200 ? BigInteger.ZERO : product(fixed(m, exp, F), LN2).shiftRight(1);
            BigInteger factor = sign == 0 ? ONE.add(half) : ONE.subtract(half);
            round(c, sign, product(LN2, factor).multiply(unsigned(m)), exp - 63);
            return;
        }
        BigInteger t = product(fixed(m, exp, F), LN2);
        if (sign != 0) {
            t = t.negate();
        }
        BigInteger term = t;
        BigInteger sum = t;
        for (int n = 2; n < 200 && term.abs().bitLength() > 1; n++) {
            term = product(term, t).divide(BigInteger.valueOf(n));
            sum = sum.add(term);
        }
        round(c, 0, sum, 0);
    }

    /** y log2(x) (FYL2X). */
    static void yLog2(FloatContext c, long xSig, int xSe, long ySig, int ySe) {
        if (invalidPair(c, xSig, xSe, ySig, ySe)) {
            return;
        }
        int ySign = ySe >>> 15;
        boolean xZero = Float80.isZero(xSig, xSe);
        boolean yZero = Float80.isZero(ySig, ySe);
        boolean xInfinite = Float80.isInfinity(xSig, xSe);
        boolean yInfinite = Float80.isInfinity(ySig, ySe);
        if ((xSe & 0x8000) != 0 && !xZero) {
            Float80.invalid(c);
            return;
        }
        boolean xOne = xSig == INTEGER_BIT && xSe == BIAS;
        if (yZero && (xZero || xInfinite) || yInfinite && xOne) {
            Float80.invalid(c);
            return;
        }
        if (xZero) {
            // As with division a denormal y is not reported beside the zero.
            c.flags |= yInfinite ? 0 : ZE;
            c.result(INTEGER_BIT, (ySign ^ 1) << 15 | 0x7FFF);
            return;
        }
        noteDenormal(c, xSig, xSe);
        noteDenormal(c, ySig, ySe);
        boolean below = (xSe & 0x7FFF) < BIAS;
        if (xInfinite || yInfinite) {
            c.result(INTEGER_BIT, (below ? ySign ^ 1 : ySign) << 15 | 0x7FFF);
            return;
        }
        if (yZero || xOne) {
            c.result(0, (below ? ySign ^ 1 : ySign) << 15);
            return;
        }
        BigInteger log =
                logarithm(fixed(Float80.normalised(xSig), 0, F), Float80.exponent(xSig, xSe));
        scaled(c, ySign, log, ySig, ySe);
    }

    /** y log2(x + 1) (FYL2XP1). */
    static void yLog2PlusOne(FloatContext c, long xSig, int xSe, long ySig, int ySe) {
        if (invalidPair(c, xSig, xSe, ySig, ySe)) {
            return;
        }
        boolean xZero = Float80.isZero(xSig, xSe);
        boolean yZero = Float80.isZero(ySig, ySe);
        boolean xInfinite = Float80.isInfinity(xSig, xSe);
        boolean yInfinite = Float80.isInfinity(ySig, ySe);
        int sign = (xSe ^ ySe) >>> 15 & 1;
        if (xInfinite && ((xSe & 0x8000) != 0 || yZero) || yInfinite && xZero) {
            Float80.invalid(c);
            return;
        }
        noteDenormal(c, xSig, xSe);
        noteDenormal(c, ySig, ySe);
        if (xInfinite || yInfinite) {
            c.result(INTEGER_BIT, sign << 15 | 0x7FFF);
            return;
        }
        if (xZero || yZero) {
            c.result(0, sign << 15);
            return;
        }
        int exp = Float80.exponent(xSig, xSe);
        long m = Float80.normalised(xSig);
        boolean negative = (xSe & 0x8000) != 0;
        if (exp >= 0 && negative) {
            outOfRange(c, xSig, xSe);
            return;
        }
        if (exp > 2 * F) {
            // The one added is too small to be seen.
            scaled(c, ySe >>> 15, logarithm(fixed(m, 0, F), exp), ySig, ySe);
            return;
        }
        if (exp < TINY) {
            BigInteger half = exp < -200 ? BigInteger.ZERO : fixed(m, exp, F).shiftRight(1);
            BigInteger factor = negative ? ONE.add(half) : ONE.subtract(half);
            BigInteger log = product(INVERSE_LN2, factor);
            int yExp = Float80.exponent(ySig, ySe);
            round(
                    c,
                    sign,
                    log.multiply(unsigned(m)).multiply(unsigned(Float80.normalised(ySig))),
                    exp - 63 + yExp - 63);
            return;
        }
        BigInteger x = fixed(m, exp, F);
        if (negative) {
            x = x.negate();
        }
        if (exp < -2) {
            scaled(c, ySe >>> 15, logarithm(x, x.add(ONE.shiftLeft(1))), ySig, ySe);
            return;
        }
        BigInteger sum = x.add(ONE);
        int size = sum.bitLength() - 1 - F;
        BigInteger mantissa = size < 0 ? sum.shiftLeft(-size) : sum.shiftRight(size);
        scaled(c, ySe >>> 15, logarithm(mantissa, size), ySig, ySe);
    }

    /** log2(m * 2^exp) for 1 ≤ m < 2. */
    private static BigInteger logarithm(BigInteger m, int exp) {
        // Between about √½ and √2 the series converges fastest.
        boolean large = m.compareTo(ONE.add(ONE.shiftRight(1))) > 0;
        BigInteger reduced = large ? m.shiftRight(1) : m;
        return logarithm(reduced.subtract(ONE), reduced.add(ONE))
                .add(BigInteger.valueOf(large ? exp + 1 : exp).shiftLeft(F));
    }

    /**
     * The answer to operands for which the manual defines none: the operand itself, called inexact.
     */
    private static void outOfRange(FloatContext c, long sig, int se) {
        c.flags |= FloatContext.PE;
        c.result(sig, se);
    }

    /** log2((1 + s) / (1 − s)) for s = numerator / denominator. */
    private static BigInteger logarithm(BigInteger numerator, BigInteger denominator) {
        BigInteger s = numerator.shiftLeft(F).divide(denominator);
        BigInteger square = product(s, s);
        BigInteger power = s;
        BigInteger sum = s;
        for (int n = 3; n < 400 && power.abs().bitLength() > 1; n += 2) {
            power = product(power, square);
            sum = sum.add(power.divide(BigInteger.valueOf(n)));
        }
        return product(sum, INVERSE_LN2).shiftLeft(1);
    }

    /** y times the logarithm; always reported as inexact. */
    private static void scaled(FloatContext c, int sign, BigInteger log, long ySig, int ySe) {
        c.flags |= FloatContext.PE;
        round(
                c,
                sign,
                log.multiply(unsigned(Float80.normalised(ySig))),
                Float80.exponent(ySig, ySe) - 63);
        if ((c.se & 0x7FFF) == 0 && c.sig > 0) {
            c.flags |= FloatContext.UE;
        }
    }

    private static boolean invalidPair(FloatContext c, long aSig, int aSe, long bSig, int bSe) {
        if (Float80.isNaN(aSig, aSe)
                || Float80.isNaN(bSig, bSe)
                || Float80.isUnsupported(aSig, aSe)
                || Float80.isUnsupported(bSig, bSe)) {
            // Addition treats NaNs and unsupported encodings just so.
            Float80.add(c, aSig, aSe, bSig, bSe);
            return true;
        }
        return false;
    }

    /** The angle of the point (x, y) (FPATAN). */
    static void arcTangent(FloatContext c, long ySig, int ySe, long xSig, int xSe) {
        if (invalidPair(c, xSig, xSe, ySig, ySe)) {
            return;
        }
        noteDenormal(c, xSig, xSe);
        noteDenormal(c, ySig, ySe);
        int ySign = ySe >>> 15;
        boolean left = (xSe & 0x8000) != 0;
        boolean xInfinite = Float80.isInfinity(xSig, xSe);
        boolean yInfinite = Float80.isInfinity(ySig, ySe);
        if (yInfinite) {
            BigInteger quarter = PI.shiftRight(2);
            BigInteger angle =
                    !xInfinite
                            ? PI.shiftRight(1)
                            : left ? quarter.multiply(BigInteger.valueOf(3)) : quarter;
            round(c, ySign, angle, 0);
            return;
        }
        if (xInfinite || Float80.isZero(ySig, ySe)) {
            if (left) {
                round(c, ySign, PI, 0);
            } else {
                c.result(0, ySign << 15);
            }
            return;
        }
        if (Float80.isZero(xSig, xSe)) {
            round(c, ySign, PI.shiftRight(1), 0);
            return;
        }
        int xExp = Float80.exponent(xSig, xSe);
        int yExp = Float80.exponent(ySig, ySe);
        BigInteger x = unsigned(Float80.normalised(xSig));
        BigInteger y = unsigned(Float80.normalised(ySig));
        int distance = yExp - xExp;
        if (distance < TINY) {
            BigInteger ratio = y.shiftLeft(F).divide(x);
            if (left) {
                round(
                        c,
                        ySign,
                        PI.subtract(distance < -200 ? BigInteger.ONE : ratio.shiftRight(-distance)),
                        0);
            } else {
                // A hair below the quotient, exact or not.
                round(c, ySign, ratio.shiftLeft(F).subtract(BigInteger.ONE), distance - F);
            }
            return;
        }
        if (distance > -TINY) {
            BigInteger ratio =
                    distance > 200 ? BigInteger.ONE : x.shiftLeft(F).divide(y).shiftRight(distance);
            BigInteger quarter = PI.shiftRight(1);
            round(c, ySign, left ? quarter.add(ratio) : quarter.subtract(ratio), 0);
            return;
        }
        BigInteger scaledY = distance > 0 ? y.shiftLeft(distance) : y;
        BigInteger scaledX = distance < 0 ? x.shiftLeft(-distance) : x;
        boolean steep = scaledY.compareTo(scaledX) > 0;
        BigInteger tangent =
                steep ? scaledX.shiftLeft(F).divide(scaledY) : scaledY.shiftLeft(F).divide(scaledX);
        BigInteger angle = arcTangentOf(tangent);
        if (steep) {
            angle = PI.shiftRight(1).subtract(angle);
        }
        round(c, ySign, left ? PI.subtract(angle) : angle, 0);
    }

    /** arctan t for 0 ≤ t ≤ 1: the angle is halved twice, then the series summed. */
    private static BigInteger arcTangentOf(BigInteger tangent) {
        BigInteger t = tangent;
        for (int i = 0; i < 2; i++) {
            BigInteger root = product(t, t).add(ONE).shiftLeft(F).sqrt();
            t = t.shiftLeft(F).divide(ONE.add(root));
        }
        BigInteger square = product(t, t);
        BigInteger power = t;
        BigInteger sum = t;
        for (int n = 3; n < 400 && power.bitLength() > 1; n += 2) {
            power = product(power, square).negate();
            sum = sum.add(power.divide(BigInteger.valueOf(n)));
            if (power.signum() == 0) {
                break;
            }
        }
        return sum.shiftLeft(2);
    }
}
