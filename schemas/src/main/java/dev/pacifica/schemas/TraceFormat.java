package dev.pacifica.schemas;

/**
 * The trace format's version, raised with any change of the event schema or of the directory's
 * layout once a version has been released; 1 has not.
 */
public final class TraceFormat {
    /** What this program writes, and the newest that it reads. */
    public static final int VERSION = 1;

    private TraceFormat() {}
}
