package dev.pacifica.schemas;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class EventPackingTest {
    private static final int RECORDS = 500;

    private final byte[] records = new byte[RECORDS * Events.MAX_LENGTH];
    private final byte[] packed = new byte[RECORDS * EventPacking.MAX_PACKED];
    private final EventPacking packing = new EventPacking();

    /** The format as docs/trace-format.md has it, packed by hand. */
    @Test
    void aRecordIsPackedAsDocumented() {
        EventWriter writer = new EventWriter(records, 0);
        writer.begin(Events.Invlpga.KIND, 3, 1000, 5000)
                .set(Events.Invlpga.ADDRESS, 0xffff_ffff_ffff_f000L)
                .set(Events.Invlpga.ASID, 7);
        writer.begin(Events.Invlpga.KIND, 3, 1010, 5010)
                .set(Events.Invlpga.ADDRESS, 0x1000)
                .set(Events.Invlpga.ASID, 7);
        writer.begin(Events.Stgi.KIND, 3, 1010, 5012);
        int end = packing.pack(records, 0, writer.end(), 1100, 5200, packed, 0);
        byte[] expected = {
            // Kind 18, all five words: processor 3 instead of 0, 100 instructions before the
            // block's end, and 200 − 100 ns earlier than that lets expect.
            18,
            0b11111,
            (byte) 0x80,
            (byte) 0x80,
            0x18,
            (byte) 0xc7,
            1,
            (byte) 0xc7,
            1,
            // The address differs from 0 by −1000h, the ASID by 7.
            (byte) 0xff,
            0x3f,
            14,
            // Words 1 and 3: 10 instructions, 2000h bytes on.
            18,
            0b01010,
            20,
            (byte) 0x80,
            (byte) 0x80,
            1,
            // Kind 16, word 2: 2 ns of idle time.
            16,
            0b100,
            4
        };
        assertThat(Arrays.copyOf(packed, end)).isEqualTo(expected);
    }

    @Test
    void theLongestNumberHasNineBytes() {
        EventWriter writer = new EventWriter(records, 0);
        writer.begin(Events.Vmload.KIND, 0, 0, 0).set(Events.Vmload.VMCB, Long.MIN_VALUE);
        int end = packing.pack(records, 0, writer.end(), 0, 0, packed, 0);
        byte[] expected = new byte[11];
        Arrays.fill(expected, (byte) 0xff);
        expected[0] = 14;
        expected[1] = 0b1000;
        assertThat(Arrays.copyOf(packed, end)).isEqualTo(expected);
    }

    private int randomRecords(Random random) {
        EventWriter writer = new EventWriter(records, 0);
        long insn = random.nextLong() >>> 8;
        for (int i = 0; i < RECORDS; i++) {
            EventKind kind = Events.kinds().get(random.nextInt(Events.kinds().size()));
            insn += random.nextInt(3);
            writer.begin(kind, random.nextInt(20) == 0 ? random.nextInt(65536) : 1, insn, 3 * insn);
            for (EventField field : kind.fields()) {
                if (field.type() == FieldType.TEXT) {
                    writer.set(field, Long.toString(random.nextLong(), 36));
                } else if (random.nextBoolean()) {
                    writer.set(field, random.nextLong() >> random.nextInt(64));
                }
            }
        }
        return writer.end();
    }

    @Test
    void whateverWasPackedComesBack() {
        Random random = new Random(11);
        for (int round = 0; round < 50; round++) {
            int end = randomRecords(random);
            long insn = random.nextLong();
            int packedEnd = packing.pack(records, 0, end, insn, 5, packed, 3);
            assertThat(packedEnd).isLessThanOrEqualTo(packed.length);
            EventPacking other = new EventPacking();
            byte[] back = other.unpack(packed, 3, packedEnd, RECORDS, insn, 5, new byte[9], 2);
            assertThat(other.unpackedEnd()).isEqualTo(2 + end);
            assertThat(Arrays.equals(back, 2, 2 + end, records, 0, end)).isTrue();
        }
    }

    @Test
    void blocksDoNotDependOnEachOther() {
        int end = randomRecords(new Random(2));
        int first = packing.pack(records, 0, end, 1, 2, packed, 0);
        byte[] copy = Arrays.copyOf(packed, first);
        int second = packing.pack(records, 0, end, 1, 2, packed, 0);
        assertThat(Arrays.copyOf(packed, second)).isEqualTo(copy);
    }

    @Test
    void bytesThatAreNoPackedRecordsAreRefusedAndNothingElseHappens() {
        int end = randomRecords(new Random(3));
        int packedEnd = packing.pack(records, 0, end, 1, 2, packed, 0);
        for (int cut = 1; cut < 200; cut++) {
            int to = packedEnd - cut;
            assertThatThrownBy(
                            () -> packing.unpack(packed, 0, to, RECORDS, 1, 2, new byte[1000], 0))
                    .isInstanceOf(IllegalArgumentException.class);
        }
        assertThatThrownBy(() ->
                        packing.unpack(packed, 0, packedEnd, RECORDS - 1, 1, 2, new byte[9], 0))
                .isInstanceOf(IllegalArgumentException.class);
        Random random = new Random(4);
        byte[] noise = new byte[64];
        int refused = 0;
        for (int i = 0; i < 20_000; i++) {
            random.nextBytes(noise);
            ByteBuffer.wrap(noise).order(ByteOrder.LITTLE_ENDIAN).put(0, (byte) random.nextInt(30));
            try {
                packing.unpack(noise, 0, noise.length, 1 + random.nextInt(9), 1, 2, records, 0);
            } catch (IllegalArgumentException e) {
                refused++;
            }
        }
        assertThat(refused).isGreaterThan(15_000);
    }
}
