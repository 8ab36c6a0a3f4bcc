package dev.pacifica.emulator.device;

/**
 * How a device ends the machine: power-off, reset or the debug-exit port. The machine stops after
 * the current instruction.
 */
@FunctionalInterface
public interface StopRequest {
    /** The reason given when the guest turns the machine off. */
    String POWER_OFF = "power-off";

    /**
     * The reason given when the guest resets the machine; Pacifica ends the run then instead of
     * starting over.
     */
    String RESET = "reset";

    /** The reason given, by the machine itself, when the chipset resets it after a triple fault. */
    String TRIPLE_FAULT = "triple-fault";

    /** The reason given when the guest writes to the debug-exit port. */
    String DEBUG_EXIT = "debug-exit";

    /**
     * Ends the machine for {@code reason}; {@code status} is the exit status that its run is to
     * have after {@link #POWER_OFF} and {@link #DEBUG_EXIT}, of the others it is fixed.
     */
    void stop(String reason, int status);
}
