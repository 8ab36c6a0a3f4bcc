package dev.pacifica.schemas;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Writes event records one after the other into an array. Fields are given as constants of {@link
 * Events}, so that a compiled {@code set} is one store.
 */
public final class EventWriter {
    private static final VarHandle SHORT =
            MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);
    private static final VarHandle INT =
            MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
    private static final VarHandle LONG =
            MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

    private final byte[] buffer;
    private final int first;
    private int start;
    private int end;

    /** Records begin at {@code first} in the array; what comes before is the caller's. */
    public EventWriter(byte[] buffer, int first) {
        this.buffer = buffer;
        this.first = first;
        clear();
    }

    /** Forgets all records. */
    public void clear() {
        start = first;
        end = first;
    }

    /** Where the last record ends, in bytes from the array's start. */
    public int end() {
        return end;
    }

    /** Begins a record with all of its own fields zero. */
    public EventWriter begin(EventKind kind, int vcpu, long insnCount, long timeNs) {
        start = end;
        int length = kind.length();
        end = start + length;
        // Where the kind is a constant, so is its length: a few stores instead of a call.
        for (int at = EventKind.HEADER_LENGTH; at < length; at += 8) {
            LONG.set(buffer, start + at, 0L);
        }
        SHORT.set(buffer, start, (short) kind.code());
        SHORT.set(buffer, start + 2, (short) vcpu);
        INT.set(buffer, start + 4, length);
        LONG.set(buffer, start + 8, insnCount);
        LONG.set(buffer, start + 16, timeNs);
        return this;
    }

    /** Appends a whole record as it is. */
    public void append(byte[] record) {
        start = end;
        end = start + record.length;
        System.arraycopy(record, 0, buffer, start, record.length);
    }

    /** Sets a field of the record begun last; bits beyond the field's width are lost. */
    public EventWriter set(EventField field, long value) {
        int at = start + field.offset();
        switch (field.width()) {
            case 1 -> buffer[at] = (byte) value;
            case 2 -> SHORT.set(buffer, at, (short) value);
            case 4 -> INT.set(buffer, at, (int) value);
            default -> LONG.set(buffer, at, value);
        }
        return this;
    }

    public EventWriter set(EventField field, boolean value) {
        buffer[start + field.offset()] = (byte) (value ? 1 : 0);
        return this;
    }

    /** Sets a text field; what is too long is cut at a whole character. */
    public EventWriter set(EventField field, String value) {
        byte[] utf8 = value.getBytes(StandardCharsets.UTF_8);
        int length = Math.min(utf8.length, field.width());
        while (length < utf8.length && length > 0 && (utf8[length] & 0xc0) == 0x80) {
            length--;
        }
        System.arraycopy(utf8, 0, buffer, start + field.offset(), length);
        return this;
    }
}
