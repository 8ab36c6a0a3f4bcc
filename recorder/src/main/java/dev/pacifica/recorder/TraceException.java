package dev.pacifica.recorder;

/**
 * A trace cannot be read or written; the message is one line for the person, with the file and the
 * reason.
 */
public class TraceException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public TraceException(String message) {
        super(message);
    }

    public TraceException(String message, Throwable cause) {
        super(message, cause);
    }

    /** The medium has no room for more; what was written before is whole. */
    public static final class DiskFull extends TraceException {
        private static final long serialVersionUID = 1L;

        public DiskFull(String message) {
            super(message);
        }
    }
}
