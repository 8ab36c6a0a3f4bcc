package dev.pacifica.emulator.cpu;

/**
 * An architectural exception on its way to the guest: thrown by whatever detects it, caught by the
 * run loop, which delivers it. One preallocated instance a processor, without stack trace; see
 * {@link Cpu#fault}.
 */
public final class GuestException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public static final int DE = 0;
    public static final int DB = 1;
    public static final int NMI = 2;
    public static final int BP = 3;
    public static final int OF = 4;
    public static final int BR = 5;
    public static final int UD = 6;
    public static final int NM = 7;
    public static final int DF = 8;
    public static final int TS = 10;
    public static final int NP = 11;
    public static final int SS = 12;
    public static final int GP = 13;
    public static final int PF = 14;
    public static final int MF = 16;
    public static final int AC = 17;
    public static final int MC = 18;
    public static final int XM = 19;
    public static final int SX = 30;

    /** Vector, 0 to 31. */
    public int vector;

    /** Error code, valid if {@link #hasErrorCode}. */
    public int errorCode;

    public boolean hasErrorCode;

    /**
     * Of a #PF: the faulting linear address, which delivery writes to CR2 unless the fault is
     * intercepted (§15.12.15).
     */
    public long address;

    GuestException() {
        super(null, null, false, false);
    }
}
