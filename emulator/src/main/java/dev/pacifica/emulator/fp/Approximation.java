package dev.pacifica.emulator.fp;

/** RCPSS and RSQRTSS. */
final class Approximation {
    private Approximation() {}

    static int reciprocal(int single) {
        return Float.floatToRawIntBits(1 / Float.intBitsToFloat(single));
    }

    static int reciprocalRoot(int single) {
        return Float.floatToRawIntBits((float) (1 / Math.sqrt(Float.intBitsToFloat(single))));
    }
}
