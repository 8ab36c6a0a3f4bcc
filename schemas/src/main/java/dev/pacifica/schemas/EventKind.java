package dev.pacifica.schemas;

import java.util.ArrayList;
import java.util.List;

/**
 * One kind of event and the layout of its record.
 *
 * <pre>
 *  0               2               4                               8
 * +---------------+---------------+-------------------------------+
 * |  kind's code  |    vcpu_id    |   length of the whole record  |
 * +---------------+---------------+-------------------------------+
 * |                          insn_count                           |  8
 * +---------------------------------------------------------------+
 * |                           time_ns                             | 16
 * +---------------------------------------------------------------+
 * |            the kind's own fields, zero-filled to 8            | 24
 * </pre>
 *
 * <p>The sequence number is not stored: the document that holds the record gives the first one's.
 *
 * @param code the number that stands for the kind in records; never used again for another one
 * @param fields the kind's own fields, without the header, in the order of their offsets
 * @param length the length of a record in bytes, header included; a multiple of 8
 */
public record EventKind(
        int code, String name, String comment, List<EventField> fields, int length) {
    public static final EventField CODE =
            new EventField("kind", FieldType.U16, 0, 2, "Kind of the event");
    public static final EventField VCPU_ID =
            new EventField(
                    "vcpu_id",
                    FieldType.U16,
                    2,
                    2,
                    "Virtual processor of the recorded machine, from 0");
    public static final EventField LENGTH =
            new EventField(
                    "length",
                    FieldType.U32,
                    4,
                    4,
                    "Length of the record in bytes, a multiple of 8");
    public static final EventField INSN_COUNT =
            new EventField(
                    "insn_count",
                    FieldType.COUNT,
                    8,
                    8,
                    "Instructions retired by the machine since power-on: the moment of the event,"
                            + " for ever");
    public static final EventField TIME_NS =
            new EventField(
                    "time_ns",
                    FieldType.COUNT,
                    16,
                    8,
                    "Virtual time in nanoseconds since power-on, idle time included");

    /** Every record starts with these. */
    public static final List<EventField> HEADER =
            List.of(CODE, VCPU_ID, LENGTH, INSN_COUNT, TIME_NS);

    static final int HEADER_LENGTH = 24;

    public EventKind {
        fields = List.copyOf(fields);
    }

    @Override
    public String toString() {
        return name;
    }

    /**
     * Lays the fields of one kind out, each at its natural alignment in the order of declaration.
     */
    static final class Layout {
        private final int code;
        private final String name;
        private final String comment;
        private final List<EventField> fields = new ArrayList<>();
        private int end = HEADER_LENGTH;

        Layout(int code, String name, String comment) {
            this.code = code;
            this.name = name;
            this.comment = comment;
        }

        EventField flag(String field, String meaning) {
            return add(field, FieldType.FLAG, FieldType.FLAG.width(), meaning);
        }

        EventField u8(String field, String meaning) {
            return add(field, FieldType.U8, FieldType.U8.width(), meaning);
        }

        EventField u16(String field, String meaning) {
            return add(field, FieldType.U16, FieldType.U16.width(), meaning);
        }

        EventField i32(String field, String meaning) {
            return add(field, FieldType.I32, FieldType.I32.width(), meaning);
        }

        EventField u32(String field, String meaning) {
            return add(field, FieldType.U32, FieldType.U32.width(), meaning);
        }

        EventField count(String field, String meaning) {
            return add(field, FieldType.COUNT, FieldType.COUNT.width(), meaning);
        }

        EventField bits64(String field, String meaning) {
            return add(field, FieldType.BITS64, FieldType.BITS64.width(), meaning);
        }

        EventField text(String field, int width, String meaning) {
            return add(field, FieldType.TEXT, width, meaning);
        }

        private EventField add(String field, FieldType type, int width, String meaning) {
            int alignment = type == FieldType.TEXT ? 1 : width;
            int offset = end + alignment - 1 & -alignment;
            end = offset + width;
            EventField added = new EventField(field, type, offset, width, meaning);
            fields.add(added);
            return added;
        }

        EventKind kind() {
            return new EventKind(code, name, comment, fields, end + 7 & -8);
        }
    }
}
