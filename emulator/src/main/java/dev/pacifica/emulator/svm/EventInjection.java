package dev.pacifica.emulator.svm;

/** The EVENTINJ field (§15.20) and its twin EXITINTINFO (§15.7.2): layout and validity. */
public final class EventInjection {
    public static final long VALID = 1L << 31;
    public static final long ERROR_CODE_VALID = 1 << 11;

    public static final int TYPE_INTERRUPT = 0;
    public static final int TYPE_NMI = 2;
    public static final int TYPE_EXCEPTION = 3;
    public static final int TYPE_SOFTWARE = 4;

    /**
     * Vectors that stand for exceptions of this processor: 0, 1, 3-8, 10-14, 16-19 and #SX (30).
     */
    private static final int EXCEPTIONS = 0x400f_7dfb;

    private static final int OVERFLOW = 4;
    private static final int BOUND = 5;

    private EventInjection() {}

    public static int vector(long event) {
        return (int) event & 0xff;
    }

    public static int type(long event) {
        return (int) (event >>> 8) & 7;
    }

    /** Whether the event is an NMI. */
    static boolean isNmi(long event) {
        return (event & VALID) != 0 && type(event) == TYPE_NMI;
    }

    /**
     * Why VMRUN refuses the event for a guest that starts in 64-bit mode or not, or null (§15.20).
     */
    static String broken(long event, boolean mode64) {
        if ((event & VALID) == 0) {
            return null;
        }
        int vector = vector(event);
        return switch (type(event)) {
            case TYPE_INTERRUPT, TYPE_NMI, TYPE_SOFTWARE -> null;
            case TYPE_EXCEPTION -> {
                if (vector > 31 || (EXCEPTIONS >>> vector & 1) == 0) {
                    yield "§15.20: illegal event injection: the vector is that of no exception";
                }
                yield mode64 && (vector == OVERFLOW || vector == BOUND)
                        ? "§15.20: illegal event injection: impossible in 64-bit mode"
                        : null;
            }
            default -> "§15.20: illegal event injection: a reserved TYPE";
        };
    }
}
