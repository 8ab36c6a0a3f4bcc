package dev.pacifica.cli;

/** What the person gave cannot be used; the message is the one line that tells why. */
final class BadInput extends RuntimeException {
    private static final long serialVersionUID = 1L;

    BadInput(String message) {
        super(message);
    }
}
