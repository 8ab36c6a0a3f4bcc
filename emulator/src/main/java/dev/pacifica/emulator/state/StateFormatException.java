package dev.pacifica.emulator.state;

/**
 * A saved state that does not fit this machine: damaged, of another version, or of another
 * configuration.
 */
public final class StateFormatException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public StateFormatException(String message) {
        super(message);
    }
}
