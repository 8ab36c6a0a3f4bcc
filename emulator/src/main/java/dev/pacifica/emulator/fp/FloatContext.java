package dev.pacifica.emulator.fp;

/**
 * The mutable environment of one floating-point operation: rounding, precision, exception masks
 * going in; exception flags and an unpacked result coming out. One instance is reused for ever, so
 * that no operation allocates.
 */
public final class FloatContext {
    /** Exception flag bits, placed as in the x87 status word and in MXCSR. */
    public static final int IE = 0x01, DE = 0x02, ZE = 0x04, OE = 0x08, UE = 0x10, PE = 0x20;

    /** The exceptions that are detected before anything is computed. */
    public static final int PRE_COMPUTATION = IE | DE | ZE;

    public static final int ALL = 0x3F;

    /** Rounding control values, the encoding of both RC fields. */
    public static final int NEAREST = 0, DOWN = 1, UP = 2, ZERO = 3;

    /** Rounding control: {@link #NEAREST}, {@link #DOWN}, {@link #UP} or {@link #ZERO}. */
    public int rounding;

    /** Significand bits an extended result is rounded to: 24, 53 or 64. */
    public int precision = 64;

    /**
     * Exception mask bits (1 = masked); they matter for tiny and huge results, which an unmasked
     * exception changes.
     */
    public int masks = ALL;

    /** MXCSR.DAZ: denormal inputs count as zeros. */
    public boolean denormalsAreZero;

    /** MXCSR.FZ: tiny results become zeros while underflow is masked. */
    public boolean flushToZero;

    /** Exception flags raised since the last {@link #begin}. */
    public int flags;

    /** Whether the last rounding increased the magnitude (x87 C1). */
    public boolean roundedUp;

    /** Significand of an extended result, explicit integer bit on top. */
    public long sig;

    /** Sign (bit 15) and biased exponent (bits 14-0) of an extended result. */
    public int se;

    /**
     * Condition-code outcome of partial remainders and range checks: C0, C1, C2, C3 in status-word
     * positions.
     */
    public int conditions;

    /* The exact, not yet rounded result of Significands: (-1)^sign * hi.lo * 2^(exp-63), top bit of hi set, bit 0 of lo sticky. */
    int sign;
    int exp;
    long hi;
    long lo;

    /** Clears what the previous operation left behind. */
    public void begin() {
        flags = 0;
        roundedUp = false;
        conditions = 0;
    }

    /** The flags raised that are not masked. */
    public int unmasked() {
        return flags & ~masks & ALL;
    }

    void result(long significand, int signExponent) {
        sig = significand;
        se = signExponent;
    }

    void exact(int sign, int exp, long hi, long lo) {
        this.sign = sign;
        this.exp = exp;
        this.hi = hi;
        this.lo = lo;
    }
}
