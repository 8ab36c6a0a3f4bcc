package dev.pacifica.emulator.decode;

import java.util.Random;

/**
 * Operand values that tests like: the edges of each format much more often than chance would have
 * them.
 */
public final class Edges {
    private Edges() {}

    /**
     * An integer whose low {@code bytes} bytes are likely an edge value of that width;
     * sign-extended.
     */
    public static long integer(Random random, int bytes) {
        int bits = bytes * 8;
        long value =
                switch (random.nextInt(10)) {
                    case 0 -> 0;
                    case 1 -> 1;
                    case 2 -> -1;
                    case 3 -> 1L << bits - 1;
                    case 4 -> (1L << bits - 1) - 1;
                    case 5 -> 1L << random.nextInt(bits);
                    case 6 -> (1L << random.nextInt(bits)) - 1;
                    case 7 -> random.nextInt(-20, 20);
                    default -> random.nextLong();
                };
        return bits == 64 ? value : value << 64 - bits >> 64 - bits;
    }

    public static int single(Random random) {
        int sign = random.nextInt(2) << 31;
        return sign
                | switch (random.nextInt(16)) {
                    case 0 -> 0;
                    case 1 -> 0x3F80_0000;
                    case 2 -> 1 + random.nextInt(0x7F_FFFF);
                    case 3 -> 1;
                    case 4 -> 0x0080_0000;
                    case 5 -> 0x7F7F_FFFF;
                    case 6 -> 0x7F80_0000;
                    case 7 -> 0x7FC0_0000 | random.nextInt(0x40_0000);
                    case 8 -> 0x7F80_0001 | random.nextInt(0x40_0000);
                    case 9 -> Float.floatToRawIntBits(random.nextInt(1 << 12) / 2f);
                    case 10 -> Float.floatToRawIntBits(0x1p31f) + random.nextInt(-2, 3);
                    case 11 -> random.nextInt() & 0x7FFF_FFFF;
                    default -> (100 + random.nextInt(50)) << 23 | random.nextInt(0x80_0000);
                };
    }

    public static long twice(Random random) {
        return (long) single(random) << 32 | single(random) & 0xFFFF_FFFFL;
    }

    public static long dual(Random random) {
        long sign = (long) random.nextInt(2) << 63;
        return sign
                | switch (random.nextInt(17)) {
                    case 0 -> 0;
                    case 1 -> 0x3FF0_0000_0000_0000L;
                    case 2 -> 1 + random.nextLong(0xF_FFFF_FFFF_FFFFL);
                    case 3 -> 1;
                    case 4 -> 0x0010_0000_0000_0000L;
                    case 5 -> 0x7FEF_FFFF_FFFF_FFFFL;
                    case 6 -> 0x7FF0_0000_0000_0000L;
                    case 7 -> 0x7FF8_0000_0000_0000L | random.nextLong(1L << 51);
                    case 8 -> 0x7FF0_0000_0000_0001L | random.nextLong(1L << 51);
                    case 9 -> Double.doubleToRawLongBits(random.nextInt(1 << 12) / 2d);
                    case 10 ->
                            Double.doubleToRawLongBits(random.nextBoolean() ? 0x1p31 : 0x1p63)
                                    + random.nextInt(-2, 3);
                    case 11 -> random.nextLong() & Long.MAX_VALUE;
                    case 12 ->
                            Double.doubleToRawLongBits(
                                                    Float.intBitsToFloat(
                                                            single(random) & 0x7FFF_FFFF))
                                            + random.nextInt(-2, 3)
                                    & Long.MAX_VALUE;
                    default -> (long) (1000 + random.nextInt(50)) << 52 | random.nextLong(1L << 52);
                };
    }

    /** Sign and exponent of an extended float; {@link #significand} goes with it. */
    public static int exponent(Random random) {
        int sign = random.nextInt(2) << 15;
        return sign
                | switch (random.nextInt(12)) {
                    case 0 -> 0;
                    case 1 -> 0x7FFF;
                    case 2 -> 0x7FFE;
                    case 3 -> 1;
                    case 4 -> random.nextInt(0x8000);
                    case 5 -> 0x3FFF + 63 + random.nextInt(-2, 3);
                    case 6 -> 0x3FFF + random.nextInt(64);
                    default -> 0x3FFF + random.nextInt(-8, 8);
                };
    }

    /**
     * A significand that goes with the exponent: mostly normalised, sometimes an encoding that is
     * not supported.
     */
    public static long significand(Random random, int exponent) {
        int e = exponent & 0x7FFF;
        boolean odd = random.nextInt(24) == 0;
        if (e == 0) {
            return random.nextBoolean()
                    ? 0
                    : odd ? random.nextLong() : random.nextLong() & Long.MAX_VALUE;
        }
        if (odd) {
            return random.nextLong() & Long.MAX_VALUE;
        }
        long integerBit = Long.MIN_VALUE;
        return integerBit
                | switch (random.nextInt(6)) {
                    case 0, 1 -> 0;
                    case 2 -> -1;
                    case 3 -> 1L << random.nextInt(63);
                    default -> random.nextLong();
                };
    }
}
