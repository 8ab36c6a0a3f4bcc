package dev.pacifica.emulator.state;

/**
 * The counterpart of {@link StateWriter}: fields are read in the order in which they were written.
 * A section or length that does not match is reported as {@link StateFormatException}.
 */
public interface StateReader {
    void section(String name);

    /** Unsigned, 0 to 255. */
    int u8(String name);

    /** Unsigned, 0 to 65535. */
    int u16(String name);

    int u32(String name);

    long u64(String name);

    byte[] bytes(String name);

    /** Reads exactly {@code into.length} bytes into the given array. */
    void bytes(String name, byte[] into);

    /** Reads exactly {@code into.length} values into the given array. */
    void longs(String name, long[] into);

    default boolean flag(String name) {
        return u8(name) != 0;
    }
}
