package dev.pacifica.recorder;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;

/**
 * The head of each block, which is one Chronicle document. A block holds records and is protected
 * by a checksum; its link to the block before makes a missing, repeated or swapped block show.
 *
 * <pre>
 *  0                               4                               8
 * +-------------------------------+-------------------------------+
 * |        magic "PBLK"           |  length of the records, bytes |
 * +-------------------------------+-------------------------------+
 * |              sequence number of the first record              |  8
 * +-------------------------------+-------------------------------+
 * |       number of records       |   CRC-32C of all but itself   | 16
 * +-------------------------------+-------------------------------+
 * |                 chain value of the block before               | 24
 * +---------------------------------------------------------------+
 * |                            records                            | 32
 * </pre>
 */
final class BlockFormat {
    static final int HEADER_LENGTH = 32;
    static final int MAGIC = 'P' | 'B' << 8 | 'L' << 16 | 'K' << 24;

    private static final int MAGIC_OFFSET = 0;
    private static final int LENGTH_OFFSET = 4;
    private static final int SEQUENCE_OFFSET = 8;
    private static final int COUNT_OFFSET = 16;
    private static final int CRC_OFFSET = 20;
    private static final int CHAIN_OFFSET = 24;

    /** The chain value before the first block. */
    static final long CHAIN_START = 0x9acf_1ca0_0000_0001L;

    private BlockFormat() {}

    /**
     * Fills the head of a block whose records lie in [HEADER_LENGTH, end), and returns the chain
     * value after it.
     */
    static long seal(byte[] block, int end, long firstSequence, int count, long chain) {
        ByteBuffer head = ByteBuffer.wrap(block).order(ByteOrder.LITTLE_ENDIAN);
        head.putInt(MAGIC_OFFSET, MAGIC);
        head.putInt(LENGTH_OFFSET, end - HEADER_LENGTH);
        head.putLong(SEQUENCE_OFFSET, firstSequence);
        head.putInt(COUNT_OFFSET, count);
        head.putLong(CHAIN_OFFSET, chain);
        int crc = crc(block, end);
        head.putInt(CRC_OFFSET, crc);
        return next(chain, crc);
    }

    /** What is wrong with the block, or null. */
    static String fault(byte[] block, int length, long expectedSequence, long expectedChain) {
        if (length < HEADER_LENGTH) {
            return "it is too short";
        }
        ByteBuffer head = ByteBuffer.wrap(block).order(ByteOrder.LITTLE_ENDIAN);
        if (head.getInt(MAGIC_OFFSET) != MAGIC
                || head.getInt(LENGTH_OFFSET) != length - HEADER_LENGTH) {
            return "its head is no block's";
        }
        if (head.getInt(CRC_OFFSET) != crc(block, length)) {
            return "its checksum does not match";
        }
        if (head.getLong(SEQUENCE_OFFSET) != expectedSequence
                || head.getLong(CHAIN_OFFSET) != expectedChain) {
            return "it does not follow the block before";
        }
        return null;
    }

    static int count(byte[] block) {
        return ByteBuffer.wrap(block).order(ByteOrder.LITTLE_ENDIAN).getInt(COUNT_OFFSET);
    }

    static long nextChain(byte[] block, long chain) {
        return next(
                chain, ByteBuffer.wrap(block).order(ByteOrder.LITTLE_ENDIAN).getInt(CRC_OFFSET));
    }

    private static int crc(byte[] block, int end) {
        CRC32C crc = new CRC32C();
        crc.update(block, 0, CRC_OFFSET);
        crc.update(block, CHAIN_OFFSET, end - CHAIN_OFFSET);
        return (int) crc.getValue();
    }

    private static long next(long chain, int crc) {
        long mixed = (chain ^ crc & 0xffff_ffffL) * 0x9e37_79b9_7f4a_7c15L;
        return mixed ^ mixed >>> 29;
    }
}
