package dev.pacifica.emulator.state;

/**
 * Where a component writes its whole state, field by field. A binary store keeps only the values; a
 * dump keeps the names too, so that two states can be compared by field.
 */
public interface StateWriter {
    /**
     * Begins the section of one component; names are unique in a machine, e.g. {@code "cpu0"} or
     * {@code "pit"}.
     */
    void section(String name);

    void u8(String name, int value);

    void u16(String name, int value);

    void u32(String name, int value);

    void u64(String name, long value);

    /** Writes the length, then the bytes. */
    void bytes(String name, byte[] value);

    /** Writes the length, then the values. */
    void longs(String name, long[] value);

    default void flag(String name, boolean value) {
        u8(name, value ? 1 : 0);
    }
}
