package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.CRC32C;

/**
 * Changes one recorded event and puts every checksum right again, the links between blocks and the
 * manifest's last link too, so that nothing but a replay can notice. It goes by
 * docs/trace-format.md, not by the recorder's code.
 */
final class TraceForger {
    private static final int HEADER = 32;
    private static final int RECORD_LENGTH = 4;
    private static final int BLOCK_LENGTH = 4;
    private static final int BLOCK_SEQUENCE = 8;
    private static final int BLOCK_COUNT = 16;
    private static final int BLOCK_CRC = 20;
    private static final int BLOCK_CHAIN = 24;
    private static final long FIRST_CHAIN = 0x9acf_1ca0_0000_0001L;
    private static final int MAGIC = 'P' | 'B' << 8 | 'L' << 16 | 'K' << 24;

    private TraceForger() {}

    /**
     * Flips bits of the 32 at {@code offset} (a multiple of 1) in the record of an event; doing so
     * twice restores the trace.
     */
    static void flip(Path trace, long event, int offset, int bits) throws IOException {
        Path log = trace.resolve("events/19700101.cq4");
        byte[] bytes = Files.readAllBytes(log);
        ByteBuffer data = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        long chainBefore = FIRST_CHAIN;
        long chain = FIRST_CHAIN;
        boolean found = false;
        for (int at = nextBlock(data, 0, chainBefore); at >= 0; ) {
            int end = at + HEADER + data.getInt(at + BLOCK_LENGTH);
            long oldChain = next(data.getLong(at + BLOCK_CHAIN), data.getInt(at + BLOCK_CRC));
            long first = data.getLong(at + BLOCK_SEQUENCE);
            if (event >= first && event < first + data.getInt(at + BLOCK_COUNT)) {
                int record = at + HEADER;
                for (long i = first; i < event; i++) {
                    record += data.getInt(record + RECORD_LENGTH);
                }
                assertThat(offset).isLessThan(data.getInt(record + RECORD_LENGTH));
                for (int i = 0; i < 4 && bits >>> 8 * i != 0; i++) {
                    bytes[record + offset + i] ^= (byte) (bits >>> 8 * i);
                }
                found = true;
            }
            data.putLong(at + BLOCK_CHAIN, chain);
            data.putInt(at + BLOCK_CRC, crc(bytes, at, end));
            chain = next(chain, data.getInt(at + BLOCK_CRC));
            at = nextBlock(data, end, oldChain);
            chainBefore = oldChain;
        }
        assertThat(found).as("event %d is in the log", event).isTrue();
        Files.write(log, bytes);
        Path manifest = trace.resolve("manifest.json");
        String text = Files.readString(manifest);
        String expected = "\"eventChain\" : \"" + Long.toHexString(chainBefore) + "\"";
        assertThat(text).contains(expected);
        Files.writeString(
                manifest,
                text.replace(expected, "\"eventChain\" : \"" + Long.toHexString(chain) + "\""));
    }

    /** The offset of the block that follows the one with the chain value given, or -1. */
    private static int nextBlock(ByteBuffer data, int from, long chain) {
        for (int at = from; at + HEADER <= data.capacity(); at++) {
            if (data.getInt(at) == MAGIC && data.getLong(at + BLOCK_CHAIN) == chain) {
                return at;
            }
        }
        return -1;
    }

    private static int crc(byte[] bytes, int at, int end) {
        CRC32C crc = new CRC32C();
        crc.update(bytes, at, BLOCK_CRC);
        crc.update(bytes, at + BLOCK_CHAIN, end - at - BLOCK_CHAIN);
        return (int) crc.getValue();
    }

    private static long next(long chain, int crc) {
        long mixed = (chain ^ crc & 0xffff_ffffL) * 0x9e37_79b9_7f4a_7c15L;
        return mixed ^ mixed >>> 29;
    }
}
