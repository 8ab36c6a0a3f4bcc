package dev.pacifica.emulator.fp;

import static org.assertj.core.api.Assertions.assertThat;

import java.math.BigDecimal;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/**
 * The quick path through the JVM's arithmetic and the exact path must not be told apart; both must
 * be right.
 */
class SseFloatTest {
    private final FloatContext c = new FloatContext();

    private static double random(SplittableRandom random) {
        long fraction = random.nextLong() & random.nextLong(-1L, 1L) & 0xFFFFFFFFFFFFFL;
        long exponent =
                random.nextInt(4) == 0 ? random.nextInt(2047) : 1023 - 60 + random.nextInt(120);
        return Double.longBitsToDouble(
                random.nextLong() & Long.MIN_VALUE | exponent << 52 | fraction);
    }

    /**
     * Directed rounding never takes the quick path: the nearest result is one of the two directed
     * ones, and exact if they are equal.
     */
    @Test
    void nearestLiesBetweenDirectedRoundings() {
        SplittableRandom random = new SplittableRandom(42);
        for (int i = 0; i < 200_000; i++) {
            long a = Double.doubleToRawLongBits(random(random));
            long b = Double.doubleToRawLongBits(random(random));
            int operation = i & 3;
            double down = Double.longBitsToDouble(rounded(operation, a, b, FloatContext.DOWN));
            int flags = c.flags;
            double up = Double.longBitsToDouble(rounded(operation, a, b, FloatContext.UP));
            double nearest =
                    Double.longBitsToDouble(rounded(operation, a, b, FloatContext.NEAREST));
            boolean overflowed = (flags & FloatContext.OE) != 0;
            assertThat(nearest == down || nearest == up)
                    .as(
                            "%s %s %s: %s %s %s",
                            Double.longBitsToDouble(a),
                            operation,
                            Double.longBitsToDouble(b),
                            down,
                            nearest,
                            up)
                    .isTrue();
            if (!overflowed && Double.isFinite(nearest)) {
                assertThat((c.flags & FloatContext.PE) != 0).isEqualTo(down != up);
            }
        }
    }

    private long rounded(int operation, long a, long b, int rounding) {
        c.begin();
        c.rounding = rounding;
        return SseFloat.doubleOperation(c, operation, a, b);
    }

    @Test
    void inexactFlagTellsWhetherTheSumIsExact() {
        SplittableRandom random = new SplittableRandom(7);
        for (int i = 0; i < 20_000; i++) {
            double x = random(random);
            double y = random(random);
            double sum =
                    Double.longBitsToDouble(
                            rounded(
                                    SseFloat.ADD,
                                    Double.doubleToRawLongBits(x),
                                    Double.doubleToRawLongBits(y),
                                    FloatContext.NEAREST));
            if (Double.isFinite(sum)) {
                boolean exact =
                        new BigDecimal(x).add(new BigDecimal(y)).compareTo(new BigDecimal(sum))
                                == 0;
                assertThat((c.flags & FloatContext.PE) == 0).isEqualTo(exact);
            }
        }
    }

    @Test
    void stickyInexactFlagChangesNoResult() {
        SplittableRandom random = new SplittableRandom(99);
        for (int i = 0; i < 100_000; i++) {
            long a = Double.doubleToRawLongBits(random(random));
            long b = Double.doubleToRawLongBits(random(random));
            long plain = rounded(i & 3, a, b, FloatContext.NEAREST);
            c.begin();
            c.flags = FloatContext.PE;
            assertThat(SseFloat.doubleOperation(c, i & 3, a, b)).isEqualTo(plain);
        }
    }
}
