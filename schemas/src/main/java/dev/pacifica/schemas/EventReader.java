package dev.pacifica.schemas;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * A window on one event record in an array; moves from record to record and allocates nothing but
 * texts.
 */
public final class EventReader {
    private static final VarHandle SHORT =
            MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);
    private static final VarHandle INT =
            MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
    private static final VarHandle LONG =
            MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

    private byte[] buffer = {};
    private int start;
    private long sequence;
    private EventKind kind;

    /**
     * Looks at the record at {@code start}, of which {@code limit} is the end of all bytes.
     *
     * @throws IllegalArgumentException if there is no whole record of a known kind
     */
    public EventReader wrap(byte[] bytes, int at, int limit, long eventSequence) {
        if (limit - at < 8) {
            throw new IllegalArgumentException("a record is cut off");
        }
        EventKind found = Events.kind((short) SHORT.get(bytes, at) & 0xffff);
        if (found == null
                || (int) INT.get(bytes, at + 4) != found.length()
                || limit - at < found.length()) {
            throw new IllegalArgumentException("no record of this version");
        }
        buffer = bytes;
        start = at;
        sequence = eventSequence;
        kind = found;
        return this;
    }

    public EventKind kind() {
        return kind;
    }

    /** The number of the event in its trace, from 0. */
    public long sequence() {
        return sequence;
    }

    public int vcpu() {
        return (short) SHORT.get(buffer, start + 2) & 0xffff;
    }

    public long insnCount() {
        return (long) LONG.get(buffer, start + 8);
    }

    public long timeNs() {
        return (long) LONG.get(buffer, start + 16);
    }

    /** A copy of the whole record. */
    public byte[] record() {
        return Arrays.copyOfRange(buffer, start, start + kind.length());
    }

    /** The array that holds the record at {@link #offset}. */
    public byte[] buffer() {
        return buffer;
    }

    public int offset() {
        return start;
    }

    /** The value of a field that is no text, zero-extended but for {@link FieldType#I32}. */
    public long get(EventField field) {
        int at = start + field.offset();
        return switch (field.width()) {
            case 1 -> buffer[at] & 0xffL;
            case 2 -> (short) SHORT.get(buffer, at) & 0xffffL;
            case 4 -> {
                int value = (int) INT.get(buffer, at);
                yield field.type() == FieldType.I32 ? value : value & 0xffff_ffffL;
            }
            default -> (long) LONG.get(buffer, at);
        };
    }

    public boolean isSet(EventField field) {
        return buffer[start + field.offset()] != 0;
    }

    /** The value of a text field. */
    public String text(EventField field) {
        int length = 0;
        while (length < field.width() && buffer[start + field.offset() + length] != 0) {
            length++;
        }
        return new String(buffer, start + field.offset(), length, StandardCharsets.UTF_8);
    }

    /** The field's value as a person reads it. */
    public String show(EventField field) {
        return switch (field.type()) {
            case TEXT -> text(field);
            case BITS64 -> "0x" + Long.toHexString(get(field));
            case FLAG -> isSet(field) ? "true" : "false";
            case U8, U16, I32, U32, COUNT -> Long.toString(get(field));
        };
    }
}
