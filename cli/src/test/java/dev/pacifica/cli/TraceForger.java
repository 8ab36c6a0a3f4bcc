package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.schemas.Events;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32C;
import net.openhft.chronicle.bytes.Bytes;
import net.openhft.chronicle.queue.ChronicleQueue;
import net.openhft.chronicle.queue.impl.single.SingleChronicleQueueBuilder;
import net.openhft.chronicle.queue.rollcycles.LegacyRollCycles;

/**
 * Changes one recorded event and puts every checksum right again, the links between blocks and the
 * manifest's last link too, so that nothing but a replay can notice. It goes by
 * docs/trace-format.md, not by the recorder's code.
 */
final class TraceForger {
    private static final int HEADER = 32;
    private static final int MOMENT = 16;
    private static final int BLOCK_LENGTH = 4;
    private static final int BLOCK_SEQUENCE = 8;
    private static final int BLOCK_COUNT = 16;
    private static final int BLOCK_CRC = 20;
    private static final int BLOCK_CHAIN = 24;
    private static final int RECORD_LENGTH = 4;
    private static final long FIRST_CHAIN = 0x9acf_1ca0_0000_0001L;
    private static final int MAGIC = 'P' | 'B' << 8 | 'L' << 16 | 'K' << 24;

    private final Map<Integer, long[]> lastOfKind = new HashMap<>();
    private long[] last;

    private TraceForger(ByteBuffer block) {
        last = new long[] {0, block.getLong(HEADER), block.getLong(HEADER + 8)};
    }

    /**
     * Flips bits of the 32 at {@code offset} in the record of an event; doing so twice restores the
     * trace.
     */
    static void flip(Path trace, long event, int offset, int bits) throws IOException {
        Path log = trace.resolve("events/19700101.cq4");
        List<byte[]> blocks = blocks(Files.readAllBytes(log));
        long oldChain = chainAfter(blocks);
        boolean found = false;
        long chain = FIRST_CHAIN;
        for (int i = 0; i < blocks.size(); i++) {
            ByteBuffer block = little(blocks.get(i));
            long first = block.getLong(BLOCK_SEQUENCE);
            if (event >= first && event < first + block.getInt(BLOCK_COUNT)) {
                blocks.set(i, flipped(block, (int) (event - first), offset, bits));
                block = little(blocks.get(i));
                found = true;
            }
            block.putLong(BLOCK_CHAIN, chain);
            block.putInt(BLOCK_CRC, crc(block.array()));
            chain = next(chain, block.getInt(BLOCK_CRC));
        }
        assertThat(found).as("event %d is in the log", event).isTrue();
        Files.delete(log);
        write(trace.resolve("events"), blocks);
        Path manifest = trace.resolve("manifest.json");
        String text = Files.readString(manifest);
        String expected = "\"eventChain\" : \"" + Long.toHexString(oldChain) + "\"";
        assertThat(text).contains(expected);
        Files.writeString(
                manifest,
                text.replace(expected, "\"eventChain\" : \"" + Long.toHexString(chain) + "\""));
    }

    private static ByteBuffer little(byte[] bytes) {
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static List<byte[]> blocks(byte[] file) {
        ByteBuffer data = little(file);
        List<byte[]> blocks = new ArrayList<>();
        long chain = FIRST_CHAIN;
        int at = 0;
        while (at + HEADER <= data.capacity()) {
            if (data.getInt(at) == MAGIC && data.getLong(at + BLOCK_CHAIN) == chain) {
                byte[] block = new byte[HEADER + data.getInt(at + BLOCK_LENGTH)];
                data.get(at, block);
                blocks.add(block);
                chain = next(chain, data.getInt(at + BLOCK_CRC));
                at += block.length;
            } else {
                at++;
            }
        }
        return blocks;
    }

    private static long chainAfter(List<byte[]> blocks) {
        ByteBuffer block = little(blocks.getLast());
        return next(block.getLong(BLOCK_CHAIN), block.getInt(BLOCK_CRC));
    }

    private static void write(Path folder, List<byte[]> blocks) throws IOException {
        try (ChronicleQueue queue =
                        SingleChronicleQueueBuilder.binary(folder)
                                .rollCycle(LegacyRollCycles.DAILY)
                                .timeProvider(() -> 0L)
                                .build();
                var appender = queue.createAppender()) {
            for (byte[] block : blocks) {
                appender.writeBytes(Bytes.wrapForRead(block));
            }
        }
        Files.deleteIfExists(folder.resolve("metadata.cq4t"));
    }

    /** The block with bits of one record flipped; its checksum is not right yet. */
    private static byte[] flipped(ByteBuffer block, int record, int offset, int bits) {
        int count = block.getInt(BLOCK_COUNT);
        TraceForger old = new TraceForger(block);
        TraceForger forged = new TraceForger(block);
        ByteArrayOutputStream packed = new ByteArrayOutputStream();
        packed.write(block.array(), 0, HEADER + MOMENT);
        block.position(HEADER + MOMENT);
        for (int i = 0; i < count; i++) {
            long[] values = old.unpack(block);
            if (i == record) {
                assertThat(offset).isLessThan(8 * values.length);
                ByteBuffer plain = ByteBuffer.allocate(8 * values.length + 4);
                plain.order(ByteOrder.LITTLE_ENDIAN).asLongBuffer().put(values);
                plain.putInt(offset, plain.getInt(offset) ^ bits);
                plain.asLongBuffer().get(values);
            }
            forged.pack(values, packed);
        }
        assertThat(block.remaining()).isZero();
        byte[] result = packed.toByteArray();
        little(result).putInt(BLOCK_LENGTH, result.length - HEADER);
        return result;
    }

    /** What the record's words are expected to be, the third by the second. */
    private long[] expected(int kind, int length) {
        long[] expected = lastOfKind.getOrDefault(kind, new long[length]).clone();
        expected[0] = 8L * length << 8 * RECORD_LENGTH | last[0] & 0xffff_0000L | kind;
        expected[1] = last[1];
        expected[2] = last[2];
        return expected;
    }

    private void remember(int kind, long[] values) {
        lastOfKind.put(kind, values.clone());
        last = values.clone();
    }

    private long[] unpack(ByteBuffer in) {
        int kind = (int) number(in);
        long mask = number(in);
        int length = Events.kind(kind).length() / 8;
        assertThat(mask >>> length).isZero();
        long[] values = expected(kind, length);
        for (int i = 0; i < length; i++) {
            if (i == 2) {
                values[2] += values[1] - last[1];
            }
            if ((mask & 1L << i) != 0) {
                long folded = number(in);
                values[i] += (folded & 1) == 0 ? folded >>> 1 : ~(folded >>> 1);
            }
        }
        remember(kind, values);
        return values;
    }

    private void pack(long[] values, ByteArrayOutputStream out) {
        int kind = (int) values[0] & 0xffff;
        long[] expected = expected(kind, values.length);
        expected[2] += values[1] - last[1];
        long mask = 0;
        ByteArrayOutputStream differences = new ByteArrayOutputStream();
        for (int i = 0; i < values.length; i++) {
            long difference = values[i] - expected[i];
            if (difference != 0) {
                mask |= 1L << i;
                number(difference >= 0 ? difference << 1 : ~(difference << 1), differences);
            }
        }
        number(kind, out);
        number(mask, out);
        out.writeBytes(differences.toByteArray());
        remember(kind, values);
    }

    private static long number(ByteBuffer in) {
        long number = 0;
        for (int i = 0; i < 8; i++) {
            int next = in.get();
            number |= (next & 0x7fL) << 7 * i;
            if (next >= 0) {
                return number;
            }
        }
        return number | (in.get() & 0xffL) << 56;
    }

    private static void number(long number, ByteArrayOutputStream out) {
        long left = number;
        for (int i = 0; i < 8 && Long.compareUnsigned(left, 0x7f) > 0; i++) {
            out.write((int) (left & 0x7f | 0x80));
            left >>>= 7;
        }
        out.write((int) left);
    }

    private static int crc(byte[] block) {
        CRC32C crc = new CRC32C();
        crc.update(block, 0, BLOCK_CRC);
        crc.update(block, BLOCK_CHAIN, block.length - BLOCK_CHAIN);
        return (int) crc.getValue();
    }

    private static long next(long chain, int crc) {
        long mixed = (chain ^ crc & 0xffff_ffffL) * 0x9e37_79b9_7f4a_7c15L;
        return mixed ^ mixed >>> 29;
    }
}
