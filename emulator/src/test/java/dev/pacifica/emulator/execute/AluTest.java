package dev.pacifica.emulator.execute;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The lazy flags against a model that adds bit by bit. */
class AluTest {
    private final FlatMachine machine = new FlatMachine(true);
    private final Cpu cpu = machine.cpu;
    private final Random random = new Random(11);

    @AfterEach
    void release() {
        machine.close();
    }

    /** Result and flags of a + b + carry in {@code bits} bits, by a ripple of full adders. */
    private record Sum(long result, int flags) {
        static Sum of(int bits, long a, long b, boolean carryIn) {
            boolean carry = carryIn;
            boolean before = false;
            boolean half = false;
            long result = 0;
            for (int i = 0; i < bits; i++) {
                boolean x = (a >>> i & 1) != 0;
                boolean y = (b >>> i & 1) != 0;
                before = carry;
                if (x ^ y ^ carry) {
                    result |= 1L << i;
                }
                carry = x && y || x && carry || y && carry;
                if (i == 3) {
                    half = carry;
                }
            }
            return new Sum(result, flags(bits, result, carry, half, carry != before));
        }

        static int flags(int bits, long result, boolean carry, boolean half, boolean overflow) {
            int ones = 0;
            for (int i = 0; i < 8; i++) {
                ones += (int) (result >>> i & 1);
            }
            return (carry ? 1 : 0)
                    | (ones % 2 == 0 ? 4 : 0)
                    | (half ? 16 : 0)
                    | (result == 0 ? 64 : 0)
                    | ((result >>> bits - 1 & 1) != 0 ? 128 : 0)
                    | (overflow ? 2048 : 0);
        }

        /** a - b - borrow is a + ~b + 1 - borrow, with both carries inverted. */
        static Sum difference(int bits, long a, long b, boolean borrow) {
            Sum sum = of(bits, a, ~b, !borrow);
            return new Sum(sum.result, sum.flags ^ 1 ^ 16);
        }
    }

    private long value(int size) {
        long value =
                switch (random.nextInt(5)) {
                    case 0 -> random.nextInt(4) - 2;
                    case 1 -> 1L << 8 * size - 1;
                    case 2 -> (1L << 8 * size - 1) - 1;
                    default -> random.nextLong();
                };
        return value;
    }

    @Test
    void additionAndSubtractionInEverySize() {
        for (int i = 0; i < 40_000; i++) {
            int size = 1 << random.nextInt(4);
            int bits = 8 * size;
            long a = value(size);
            long b = value(size);
            boolean carry = random.nextBoolean();
            int before = carry ? 1 : 0;
            check(size, before, Alu::add, Sum.of(bits, a, b, false), a, b);
            check(size, before, Alu::adc, Sum.of(bits, a, b, carry), a, b);
            check(size, before, Alu::sub, Sum.difference(bits, a, b, false), a, b);
            check(size, before, Alu::sbb, Sum.difference(bits, a, b, carry), a, b);
            Sum inc = Sum.of(bits, a, 1, false);
            check(
                    size,
                    before,
                    (c, s, x, y) -> Alu.inc(c, s, x),
                    new Sum(inc.result, inc.flags & ~1 | before),
                    a,
                    b);
            Sum dec = Sum.difference(bits, a, 1, false);
            check(
                    size,
                    before,
                    (c, s, x, y) -> Alu.dec(c, s, x),
                    new Sum(dec.result, dec.flags & ~1 | before),
                    a,
                    b);
        }
    }

    private interface Operation {
        long apply(Cpu cpu, int size, long a, long b);
    }

    private void check(int size, int before, Operation operation, Sum expected, long a, long b) {
        cpu.setArithmeticFlags(before);
        long result = operation.apply(cpu, size, a, b);
        assertThat(Alu.truncate(size, result)).isEqualTo(expected.result);
        assertThat(cpu.arithmeticFlags())
                .as("size %d, %x and %x", size, a, b)
                .isEqualTo(expected.flags);
    }

    @Test
    void flagsSetExplicitlyReadBackInAllCombinations() {
        for (int flags = 0; flags < 4096; flags++) {
            int wanted = flags & Cpu.ARITHMETIC_FLAGS;
            cpu.setArithmeticFlags(wanted);
            assertThat(cpu.arithmeticFlags()).isEqualTo(wanted);
            cpu.setCf(true);
            assertThat(cpu.arithmeticFlags()).isEqualTo(wanted | Cpu.CF);
            cpu.setCfOf(false, true);
            assertThat(cpu.arithmeticFlags()).isEqualTo(wanted & ~Cpu.CF | Cpu.OF);
        }
    }

    @Test
    void conditionsFollowTheFlags() {
        for (int flags = 0; flags < 4096; flags++) {
            cpu.setArithmeticFlags(flags);
            boolean c = (flags & Cpu.CF) != 0;
            boolean z = (flags & Cpu.ZF) != 0;
            boolean s = (flags & Cpu.SF) != 0;
            boolean o = (flags & Cpu.OF) != 0;
            boolean p = (flags & Cpu.PF) != 0;
            boolean[] wanted = {o, c, z, c || z, s, p, s != o, z || s != o};
            for (int i = 0; i < 16; i++) {
                assertThat(cpu.condition(i)).isEqualTo(wanted[i / 2] != (i % 2 == 1));
            }
        }
    }
}
