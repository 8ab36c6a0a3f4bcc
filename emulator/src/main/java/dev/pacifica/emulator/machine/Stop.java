package dev.pacifica.emulator.machine;

/**
 * Why a machine ended.
 *
 * @param reason what happened
 * @param status the process exit status it stands for
 * @param detail a sentence for a person
 */
public record Stop(Reason reason, int status, String detail) {
    /** The ways in which a machine ends by itself. */
    public enum Reason {
        /** The guest switched the power off. */
        POWER_OFF,
        /** The guest wrote the debug-exit port. */
        DEBUG_EXIT,
        /** The guest, or a triple fault, reset the machine. */
        RESET,
        /** Halted with nothing that could ever wake it. */
        DEAD_HALT
    }
}
