package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;

/**
 * The arithmetic of the integer instructions: each method takes operands of {@code size} bytes (1,
 * 2, 4, 8; bits above are ignored), sets the flags lazily and returns the result sign-extended to
 * 64 bits. Shared by every execution tier.
 *
 * <p>Operands are shifted to the top of 64 bits, so that the carry vector's top two bits are CF and
 * CF xor OF whatever the size.
 */
public final class Alu {
    private static final long TOP = Cpu.FLAG_AUX_CARRIES;

    private Alu() {}

    public static long add(Cpu cpu, int size, long a, long b) {
        int cut = 64 - 8 * size;
        long x = a << cut;
        long y = b << cut;
        long sum = x + y;
        long carries = x & ~sum | y & (x | ~sum);
        cpu.r[Cpu.FLAG_AUX] = carries & TOP | carries >>> cut & 8;
        return cpu.r[Cpu.FLAG_RESULT] = sum >> cut;
    }

    public static long adc(Cpu cpu, int size, long a, long b) {
        int cut = 64 - 8 * size;
        long x = a << cut;
        long y = b << cut;
        long sum = x + y + (cpu.r[Cpu.FLAG_AUX] >>> 63 << cut);
        cpu.r[Cpu.FLAG_AUX] = (x & y | (x | y) & ~sum) & (TOP | 8L << cut);
        return cpu.r[Cpu.FLAG_RESULT] = sum >> cut;
    }

    public static long sub(Cpu cpu, int size, long a, long b) {
        int cut = 64 - 8 * size;
        long x = a << cut;
        long y = b << cut;
        long difference = x - y;
        long borrows = ~x & difference | y & (~x | difference);
        cpu.r[Cpu.FLAG_AUX] = borrows & TOP | borrows >>> cut & 8;
        return cpu.r[Cpu.FLAG_RESULT] = difference >> cut;
    }

    public static long sbb(Cpu cpu, int size, long a, long b) {
        int cut = 64 - 8 * size;
        long x = a << cut;
        long y = b << cut;
        long difference = x - y - (cpu.r[Cpu.FLAG_AUX] >>> 63 << cut);
        cpu.r[Cpu.FLAG_AUX] = (~x & y | (~x | y) & difference) & (TOP | 8L << cut);
        return cpu.r[Cpu.FLAG_RESULT] = difference >> cut;
    }

    /** The flags of AND, OR, XOR and TEST for a result. */
    public static long logic(Cpu cpu, int size, long result) {
        int cut = 64 - 8 * size;
        cpu.r[Cpu.FLAG_AUX] = 0;
        return cpu.r[Cpu.FLAG_RESULT] = result << cut >> cut;
    }

    /** Adds one; CF stays. */
    public static long inc(Cpu cpu, int size, long a) {
        int cut = 64 - 8 * size;
        long x = a << cut;
        long sum = x + (1L << cut);
        return keepingCarry(cpu, x & ~sum, sum, cut);
    }

    /** Subtracts one; CF stays. */
    public static long dec(Cpu cpu, int size, long a) {
        int cut = 64 - 8 * size;
        long x = a << cut;
        long difference = x + (-1L << cut);
        return keepingCarry(cpu, ~x & difference, difference, cut);
    }

    private static long keepingCarry(Cpu cpu, long carries, long result, int cut) {
        long aux = carries & TOP | carries >>> cut & 8;
        cpu.r[Cpu.FLAG_AUX] = aux ^ (aux ^ cpu.r[Cpu.FLAG_AUX]) >> 63 & TOP;
        return cpu.r[Cpu.FLAG_RESULT] = result >> cut;
    }

    /**
     * SHL by a count masked to 5 or 6 bits, not zero. OF is defined for a count of one; for others
     * it is CF xor the result's sign, as for one.
     */
    public static long shl(Cpu cpu, int size, long a, int count) {
        int cut = 64 - 8 * size;
        long last = a << cut << count - 1;
        long result = last << 1;
        cpu.r[Cpu.FLAG_AUX] = last & 1L << 63 | result >>> 1 & 1L << 62;
        return cpu.r[Cpu.FLAG_RESULT] = result >> cut;
    }

    /** SHR by a count masked to 5 or 6 bits, not zero; the result is zero-extended. */
    public static long shr(Cpu cpu, int size, long a, int count) {
        int cut = 64 - 8 * size;
        long last = a << cut >>> cut >>> count - 1;
        long result = last >>> 1;
        long top = result << cut;
        long carry = last << 63;
        cpu.r[Cpu.FLAG_AUX] = carry | (carry ^ top ^ top << 1) >>> 1 & 1L << 62;
        cpu.r[Cpu.FLAG_RESULT] = top >> cut;
        return result;
    }

    /** SAR by a count masked to 5 or 6 bits, not zero. */
    public static long sar(Cpu cpu, int size, long a, int count) {
        int cut = 64 - 8 * size;
        long last = a << cut >> cut >> count - 1;
        cpu.r[Cpu.FLAG_AUX] = last << 63 >> 1 & TOP;
        return cpu.r[Cpu.FLAG_RESULT] = last >> 1;
    }

    /**
     * ROL by a count masked to 5 or 6 bits, not zero (but maybe a multiple of the width). Only CF
     * and OF change.
     */
    public static long rol(Cpu cpu, int size, long a, int count) {
        int bits = 8 * size;
        int n = count & bits - 1;
        long x = truncate(size, a);
        long result = n == 0 ? x : truncate(size, x << n | x >>> bits - n);
        boolean carry = (result & 1) != 0;
        cpu.setCfOf(carry, carry != ((result >>> bits - 1 & 1) != 0));
        return result;
    }

    public static long ror(Cpu cpu, int size, long a, int count) {
        int bits = 8 * size;
        int n = count & bits - 1;
        long x = truncate(size, a);
        long result = n == 0 ? x : truncate(size, x >>> n | x << bits - n);
        boolean sign = (result >>> bits - 1 & 1) != 0;
        cpu.setCfOf(sign, sign != ((result >>> bits - 2 & 1) != 0));
        return result;
    }

    public static long rcl(Cpu cpu, int size, long a, int count) {
        int bits = 8 * size;
        int n = size <= 2 ? count % (bits + 1) : count;
        long x = truncate(size, a);
        boolean carry = cpu.cf();
        for (int i = 0; i < n; i++) {
            boolean out = (x >>> bits - 1 & 1) != 0;
            x = truncate(size, x << 1 | (carry ? 1 : 0));
            carry = out;
        }
        cpu.setCfOf(carry, carry != ((x >>> bits - 1 & 1) != 0));
        return x;
    }

    public static long rcr(Cpu cpu, int size, long a, int count) {
        int bits = 8 * size;
        int n = size <= 2 ? count % (bits + 1) : count;
        long x = truncate(size, a);
        boolean carry = cpu.cf();
        for (int i = 0; i < n; i++) {
            boolean out = (x & 1) != 0;
            x = x >>> 1 | (carry ? 1L << bits - 1 : 0);
            carry = out;
        }
        boolean sign = (x >>> bits - 1 & 1) != 0;
        cpu.setCfOf(carry, sign != ((x >>> bits - 2 & 1) != 0));
        return x;
    }

    /**
     * SHLD by a masked count, not zero. A 16-bit count above 16 (undefined) goes on with the
     * destination's bits.
     */
    public static long shld(Cpu cpu, int size, long a, long fill, int count) {
        int bits = 8 * size;
        long x = truncate(size, a);
        long y = truncate(size, fill);
        long result;
        boolean carry;
        if (size == 2) {
            long joined = x << 32 | y << 16 | x;
            result = joined << count >>> 32 & 0xffff;
            carry = (joined << count - 1 >>> 47 & 1) != 0;
        } else {
            result = truncate(size, x << count | y >>> bits - count);
            carry = (x >>> bits - count & 1) != 0;
        }
        int shift = 64 - bits;
        cpu.r[Cpu.FLAG_AUX] = 0;
        cpu.setCfOf(carry, ((result ^ x) >>> bits - 1 & 1) != 0);
        return cpu.r[Cpu.FLAG_RESULT] = result << shift >> shift;
    }

    /** SHRD, as {@link #shld}. */
    public static long shrd(Cpu cpu, int size, long a, long fill, int count) {
        int bits = 8 * size;
        long x = truncate(size, a);
        long y = truncate(size, fill);
        long result;
        if (size == 2) {
            result = (x << 32 | y << 16 | x) >>> count & 0xffff;
        } else {
            result = truncate(size, x >>> count | y << bits - count);
        }
        boolean carry = (count > bits ? y >>> count - bits - 1 & 1 : x >>> count - 1 & 1) != 0;
        int shift = 64 - bits;
        cpu.r[Cpu.FLAG_AUX] = 0;
        cpu.setCfOf(carry, ((result ^ x) >>> bits - 1 & 1) != 0);
        return cpu.r[Cpu.FLAG_RESULT] = result << shift >> shift;
    }

    /**
     * The signed product of the operand size; CF and OF tell that it was cut, the other flags stay.
     */
    public static long imul(Cpu cpu, int size, long a, long b) {
        int cut = 64 - 8 * size;
        long multiplier = a << cut >> cut;
        long product = multiplier * (b << cut);
        boolean whole = Math.multiplyHigh(multiplier, b << cut) == product >> 63;
        cpu.setCfOf(!whole, !whole);
        return product >> cut;
    }

    /** The low {@code size} bytes, zero-extended. */
    public static long truncate(int size, long value) {
        int shift = 64 - 8 * size;
        return value << shift >>> shift;
    }

    /** The low {@code size} bytes, sign-extended. */
    public static long extend(int size, long value) {
        int shift = 64 - 8 * size;
        return value << shift >> shift;
    }
}
