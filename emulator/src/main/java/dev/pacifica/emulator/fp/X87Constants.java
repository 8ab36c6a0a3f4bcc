package dev.pacifica.emulator.fp;

/**
 * The constants of FLD1 … FLDZ, to 128 bits so that they can be rounded as rounding control says.
 */
final class X87Constants {
    private X87Constants() {}

    /**
     * Puts the constant of opcode D9 {@code modrm} into the context's result; no exception is ever
     * raised.
     */
    static void load(FloatContext c, int modrm) {
        switch (modrm) {
            case 0xE8 -> c.result(Float80.INTEGER_BIT, Float80.BIAS);
            case 0xE9 -> round(c, 1, 0xD49A784BCD1B8AFEL, 0x492BF6FF4DAFDB4CL); // FLDL2T
            case 0xEA -> round(c, 0, 0xB8AA3B295C17F0BBL, 0xBE87FED0691D3E88L); // FLDL2E
            case 0xEB -> round(c, 1, 0xC90FDAA22168C234L, 0xC4C6628B80DC1CD1L); // FLDPI
            case 0xEC -> round(c, -2, 0x9A209A84FBCFF798L, 0x8F8959AC0B7C9178L); // FLDLG2
            case 0xED -> round(c, -1, 0xB17217F7D1CF79ABL, 0xC9E3B39803F2F6AFL); // FLDLN2
            default -> c.result(0, 0);
        }
    }

    private static void round(FloatContext c, int exp, long hi, long lo) {
        Rounding.extended(c, 0, exp, hi, lo, 64);
        c.flags = 0;
        c.roundedUp = false;
    }
}
