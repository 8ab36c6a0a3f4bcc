package dev.pacifica.emulator.state;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Keeps a state as text by field, {@code section.field} to value, so that two states can be
 * compared and shown.
 */
public final class StateDump implements StateWriter {
    private final Map<String, String> fields = new LinkedHashMap<>();
    private String section = "";

    /**
     * The fields in the order in which they were written; a name that recurs has {@code #2}, {@code
     * #3} … appended.
     */
    public Map<String, String> fields() {
        return fields;
    }

    private void put(String name, String value) {
        String key = section + "." + name;
        String unique = key;
        for (int i = 2; fields.containsKey(unique); i++) {
            unique = key + "#" + i;
        }
        fields.put(unique, value);
    }

    @Override
    public void section(String name) {
        section = name;
    }

    @Override
    public void u8(String name, int value) {
        put(name, "0x" + Integer.toHexString(value & 0xff));
    }

    @Override
    public void u16(String name, int value) {
        put(name, "0x" + Integer.toHexString(value & 0xffff));
    }

    @Override
    public void u32(String name, int value) {
        put(name, "0x" + Integer.toHexString(value));
    }

    @Override
    public void u64(String name, long value) {
        put(name, "0x" + Long.toHexString(value));
    }

    @Override
    public void bytes(String name, byte[] value) {
        put(name, "%d bytes, hash %08x".formatted(value.length, Arrays.hashCode(value)));
    }

    @Override
    public void longs(String name, long[] value) {
        if (value.length <= 64) {
            for (int i = 0; i < value.length; i++) {
                put(name + "[" + i + "]", "0x" + Long.toHexString(value[i]));
            }
        } else {
            put(name, "%d longs, hash %08x".formatted(value.length, Arrays.hashCode(value)));
        }
    }
}
