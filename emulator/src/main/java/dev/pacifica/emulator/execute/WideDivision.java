package dev.pacifica.emulator.execute;

/** Division of 128 by 64 bits. */
final class WideDivision {
    private WideDivision() {}

    /**
     * The unsigned quotient of high:low by the divisor; high must be below the divisor, unsigned.
     */
    static long quotient(long high, long low, long divisor) {
        if (high == 0) {
            return Long.divideUnsigned(low, divisor);
        }
        long remainder = high;
        long quotient = low;
        // Restoring division; the bit that leaves the remainder at the top makes it exceed any
        // divisor.
        for (int i = 0; i < 64; i++) {
            boolean carry = remainder < 0;
            remainder = remainder << 1 | quotient >>> 63;
            quotient <<= 1;
            if (carry || Long.compareUnsigned(remainder, divisor) >= 0) {
                remainder -= divisor;
                quotient |= 1;
            }
        }
        return quotient;
    }
}
