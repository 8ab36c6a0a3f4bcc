package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;

/**
 * The arithmetic of the integer instructions: each method takes operands of {@code size} bytes (1, 2, 4, 8; bits above are ignored), sets
 * the flags lazily and returns the result sign-extended to 64 bits. Shared by every execution tier.
 *
 * <p>Operands are shifted to the top of 64 bits, so that the carry vector's top two bits are CF and CF xor OF whatever the size.
 */
public final class Alu {
    private static final long TOP = Cpu.FLAG_AUX_CARRIES;

    private Alu() {}

    public static long add(Cpu cpu, int size, long a, long b) {
        int shift = 64 - 8 * size;
        long x = a << shift;
        long y = b << shift;
        long sum = x + y;
        cpu.flagAux = (x & y | (x | y) & ~sum) & (TOP | 8L << shift);
        return cpu.flagResult = sum >> shift;
    }

    public static long adc(Cpu cpu, int size, long a, long b) {
        int shift = 64 - 8 * size;
        long x = a << shift;
        long y = b << shift;
        long sum = x + y + (cpu.flagAux >>> 63 << shift);
        cpu.flagAux = (x & y | (x | y) & ~sum) & (TOP | 8L << shift);
        return cpu.flagResult = sum >> shift;
    }

    public static long sub(Cpu cpu, int size, long a, long b) {
        int shift = 64 - 8 * size;
        long x = a << shift;
        long y = b << shift;
        long difference = x - y;
        cpu.flagAux = (~x & y | (~x | y) & difference) & (TOP | 8L << shift);
        return cpu.flagResult = difference >> shift;
    }

    public static long sbb(Cpu cpu, int size, long a, long b) {
        int shift = 64 - 8 * size;
        long x = a << shift;
        long y = b << shift;
        long difference = x - y - (cpu.flagAux >>> 63 << shift);
        cpu.flagAux = (~x & y | (~x | y) & difference) & (TOP | 8L << shift);
        return cpu.flagResult = difference >> shift;
    }

    /** The flags of AND, OR, XOR and TEST for a result. */
    public static long logic(Cpu cpu, int size, long result) {
        int shift = 64 - 8 * size;
        cpu.flagAux = 0;
        return cpu.flagResult = result << shift >> shift;
    }

    /** Adds one; CF stays. */
    public static long inc(Cpu cpu, int size, long a) {
        long before = cpu.flagAux;
        long result = add(cpu, size, a, 1);
        cpu.flagAux ^= (cpu.flagAux ^ before) >> 63 & TOP;
        return result;
    }

    /** Subtracts one; CF stays. */
    public static long dec(Cpu cpu, int size, long a) {
        long before = cpu.flagAux;
        long result = sub(cpu, size, a, 1);
        cpu.flagAux ^= (cpu.flagAux ^ before) >> 63 & TOP;
        return result;
    }

    /**
     * SHL by a count masked to 5 or 6 bits, not zero. OF is defined for a count of one; for others it is CF xor the result's sign, as
     * for one.
     */
    public static long shl(Cpu cpu, int size, long a, int count) {
        int shift = 64 - 8 * size;
        long x = a << shift;
        boolean carry = count <= 8 * size && (x << count - 1) < 0;
        long result = count >= 64 - shift ? 0 : x << count;
        cpu.flagAux = 0;
        cpu.setCfOf(carry, carry != result < 0);
        return cpu.flagResult = result >> shift;
    }

    public static long shr(Cpu cpu, int size, long a, int count) {
        int shift = 64 - 8 * size;
        long x = a << shift >>> shift;
        long result = x >>> count;
        long signed = result << shift;
        cpu.flagAux = 0;
        cpu.setCfOf((x >>> count - 1 & 1) != 0, (signed ^ signed << 1) < 0);
        return cpu.flagResult = signed >> shift;
    }

    public static long sar(Cpu cpu, int size, long a, int count) {
        int shift = 64 - 8 * size;
        long x = a << shift >> shift;
        cpu.flagAux = (x >> count - 1 & 1) != 0 ? TOP : 0;
        return cpu.flagResult = x >> count;
    }

    /** ROL by a count masked to 5 or 6 bits, not zero (but maybe a multiple of the width). Only CF and OF change. */
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

    /** SHLD by a masked count, not zero. A 16-bit count above 16 (undefined) goes on with the destination's bits. */
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
        cpu.flagAux = 0;
        cpu.setCfOf(carry, ((result ^ x) >>> bits - 1 & 1) != 0);
        return cpu.flagResult = result << shift >> shift;
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
        cpu.flagAux = 0;
        cpu.setCfOf(carry, ((result ^ x) >>> bits - 1 & 1) != 0);
        return cpu.flagResult = result << shift >> shift;
    }

    /** The signed product of the operand size; CF and OF tell that it was cut, the other flags stay. */
    public static long imul(Cpu cpu, int size, long a, long b) {
        long x = extend(size, a);
        long y = extend(size, b);
        long product = x * y;
        boolean cut = size == 8 ? Math.multiplyHigh(x, y) != product >> 63 : product != extend(size, product);
        cpu.setCfOf(cut, cut);
        return product;
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
