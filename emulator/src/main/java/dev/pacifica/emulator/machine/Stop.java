package dev.pacifica.emulator.machine;

/**
 * Why a machine ended.
 *
 * @param reason what happened
 * @param status the process exit status it stands for
 * @param detail a sentence for a person
 */
public record Stop(Reason reason, int status, String detail) {
    /** Of a machine that halted for ever; even, since the debug-exit port's are odd. */
    static final int HALTED = 6;

    /** Of a machine that was reset. */
    static final int RESET = 8;

    /** The ways in which a machine ends by itself. */
    public enum Reason {
        /** The guest switched the power off. */
        POWER_OFF,
        /** The guest wrote the debug-exit port. */
        DEBUG_EXIT,
        /** The guest reset the machine. */
        RESET,
        /** The chipset reset the machine after a triple fault (APM Vol 2 §8.2.9, shutdown). */
        TRIPLE_FAULT,
        /** Halted with nothing that could ever wake it. */
        DEAD_HALT
    }
}
