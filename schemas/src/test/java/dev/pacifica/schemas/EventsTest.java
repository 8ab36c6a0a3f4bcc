package dev.pacifica.schemas;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

class EventsTest {
    @Test
    void codesAreTheIndexPlusOneAndNamesAreUnique() {
        Set<String> names = new HashSet<>();
        for (int i = 0; i < Events.kinds().size(); i++) {
            EventKind kind = Events.kinds().get(i);
            assertThat(kind.code()).isEqualTo(i + 1);
            assertThat(Events.kind(i + 1)).isSameAs(kind);
            assertThat(names.add(kind.name())).as(kind.name()).isTrue();
        }
        assertThat(Events.kind(0)).isNull();
        assertThat(Events.kind(Events.kinds().size() + 1)).isNull();
    }

    @Test
    void fieldsAreAlignedDoNotOverlapAndHaveComments() {
        for (EventKind kind : Events.kinds()) {
            assertThat(kind.comment()).isNotBlank();
            assertThat(kind.length() % 8).isZero();
            assertThat(kind.length()).isLessThanOrEqualTo(Events.MAX_LENGTH);
            int end = 24;
            Set<String> names = new HashSet<>();
            for (EventField field : EventKind.HEADER) {
                names.add(field.name());
            }
            for (EventField field : kind.fields()) {
                assertThat(field.comment()).as(kind + "." + field.name()).isNotBlank();
                assertThat(names.add(field.name())).as(kind + "." + field.name()).isTrue();
                assertThat(field.offset()).isGreaterThanOrEqualTo(end);
                if (field.type() != FieldType.TEXT) {
                    assertThat(field.offset() % field.width()).isZero();
                    assertThat(field.width()).isEqualTo(field.type().width());
                }
                end = field.offset() + field.width();
            }
            assertThat(end).isLessThanOrEqualTo(kind.length());
        }
    }

    /** The format as docs/trace-format.md has it; a failure here means: raise the version. */
    @Test
    void aRecordLiesInBytesAsDocumented() {
        byte[] bytes = new byte[400];
        EventWriter writer = new EventWriter(bytes, 16);
        writer.begin(Events.Invlpga.KIND, 3, 0x1122334455L, 0x66778899L)
                .set(Events.Invlpga.ADDRESS, 0xffff_8000_0000_1000L)
                .set(Events.Invlpga.ASID, 7);
        ByteBuffer raw = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        assertThat(writer.end()).isEqualTo(16 + 40);
        assertThat(raw.getShort(16)).isEqualTo((short) 18);
        assertThat(raw.getShort(18)).isEqualTo((short) 3);
        assertThat(raw.getInt(20)).isEqualTo(40);
        assertThat(raw.getLong(24)).isEqualTo(0x1122334455L);
        assertThat(raw.getLong(32)).isEqualTo(0x66778899L);
        assertThat(raw.getLong(40)).isEqualTo(0xffff_8000_0000_1000L);
        assertThat(raw.getInt(48)).isEqualTo(7);
        assertThat(raw.getInt(52)).isZero();
    }

    @Test
    void everyFieldComesBackAsWritten() {
        byte[] bytes = new byte[1000];
        for (EventKind kind : Events.kinds()) {
            EventWriter writer = new EventWriter(bytes, 0);
            writer.begin(kind, 1, 2, 3);
            int salt = 1;
            for (EventField field : kind.fields()) {
                if (field.type() == FieldType.TEXT) {
                    writer.set(field, "§" + salt++);
                } else {
                    writer.set(field, -1L - salt++);
                }
            }
            EventReader reader = new EventReader().wrap(bytes, 0, writer.end(), 9);
            assertThat(reader.kind()).isSameAs(kind);
            assertThat(reader.sequence()).isEqualTo(9);
            assertThat(reader.vcpu()).isEqualTo(1);
            assertThat(reader.insnCount()).isEqualTo(2);
            assertThat(reader.timeNs()).isEqualTo(3);
            salt = 1;
            for (EventField field : kind.fields()) {
                if (field.type() == FieldType.TEXT) {
                    assertThat(reader.text(field)).isEqualTo("§" + salt++);
                } else {
                    long mask =
                            field.width() == 8 || field.type() == FieldType.I32
                                    ? -1
                                    : (1L << 8 * field.width()) - 1;
                    assertThat(reader.get(field))
                            .as(kind + "." + field.name())
                            .isEqualTo(-1L - salt++ & mask);
                }
            }
        }
    }

    @Test
    void aLongTextIsCutAtAWholeCharacter() {
        byte[] bytes = new byte[400];
        EventWriter writer = new EventWriter(bytes, 0);
        writer.begin(Events.InterruptIntercept.KIND, 0, 0, 0)
                .set(Events.InterruptIntercept.SOURCE, "1234567§9");
        EventReader reader = new EventReader().wrap(bytes, 0, writer.end(), 0);
        assertThat(reader.text(Events.InterruptIntercept.SOURCE)).isEqualTo("1234567");
    }

    @Test
    void bytesThatAreNoRecordAreRefused() {
        byte[] bytes = new byte[400];
        EventWriter writer = new EventWriter(bytes, 0);
        writer.begin(Events.Npf.KIND, 0, 0, 0);
        EventReader reader = new EventReader();
        assertThatThrownBy(() -> reader.wrap(bytes, 0, writer.end() - 1, 0))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> reader.wrap(bytes, 0, 4, 0))
                .isInstanceOf(IllegalArgumentException.class);
        bytes[0] = 99;
        assertThatThrownBy(() -> reader.wrap(bytes, 0, writer.end(), 0))
                .isInstanceOf(IllegalArgumentException.class);
    }
}
