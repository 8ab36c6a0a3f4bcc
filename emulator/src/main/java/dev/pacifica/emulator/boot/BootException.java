package dev.pacifica.emulator.boot;

/**
 * What was to be booted can't be: the message names the file, the place in it, what is wrong and
 * what to do about it.
 */
public final class BootException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public BootException(String message) {
        super(message);
    }

    BootException(BootFile file, String problem) {
        super(file.name() + ": " + problem);
    }

    BootException(BootFile file, long offset, String problem) {
        super("%s: at offset 0x%x: %s".formatted(file.name(), offset, problem));
    }
}
