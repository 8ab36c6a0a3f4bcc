package dev.pacifica.emulator.execute;

/**
 * Layout of a pre-decoded instruction: two longs in {@link CodePage#code}, and an int in {@link
 * CodePage#info} with what is seldom asked for.
 *
 * <pre>
 * first long
 *   63           32 31 30 29   27 26  25 24 23 22   18 17   13 12    8 7      0
 *  +---------------+--+--+-------+------+-----+-------+-------+-------+--------+
 *  | constant (32) |M |W | bytes |segmt.|scale| index | base  |  reg  |   op   |
 *  +---------------+--+--+-------+------+-----+-------+-------+-------+--------+
 * second long, of arithmetic on memory           second long, of a branch
 *   63      41  40  39  37 36     32 31         0   63             32 31           0
 *  +----------+----+------+---------+------------+ +-----------------+--------------+
 *  |          |swap|      | target  | immediate  | | target in page  | record or -1 |
 *  +----------+----+------+---------+------------+ +-----------------+--------------+
 * info
 *   31 29 28    24 23  20 19  16 15 13 12      0
 *  +-----+--------+------+------+-----+---------+
 *  | cut | target |detail|length|     | offset  |
 *  +-----+--------+------+------+-----+---------+
 * </pre>
 *
 * An operation has two operands. Without M they are reg and base + constant, which serves for
 * registers and immediates alike, and the result goes to {@code index}, where {@link #NOWHERE}
 * takes what is to be forgotten. With M they are reg + immediate, and the {@code bytes} + 1 bytes
 * of memory (and whatever follows them: the operation cuts) at base + index × 2^scale + segment +
 * constant; W tells that the memory is written, swap that memory is the first operand.
 *
 * <p>Registers are indices into {@link dev.pacifica.emulator.cpu.Cpu#r}: 16 is zero (no register),
 * {@link #PAGE_BASE} the linear address of the page that is executed (RIP-relative operands and
 * branch targets are relative to it). In 32-bit code an address that would have to wrap is not that
 * of any translation. Segment is 0 for flat, otherwise {@link #FS_BASE} or {@link #GS_BASE} less
 * 16. {@code detail} tells members of a family of operations apart; the operation's size is 64 - 8
 * × {@code cut} bits. A generic record has the index of its {@link
 * dev.pacifica.emulator.decode.Insn} in the second long.
 */
final class CodeRecord {
    static final int ZERO = 16;
    static final int PAGE_BASE = 17;
    static final int FS_BASE = 18;
    static final int GS_BASE = 19;

    /** Where {@link FastOp#OPERAND} puts a memory operand. */
    static final int OPERAND = 22;

    /**
     * 2^32, the base of addresses in the upper half of 4 GiB that have no other one: constants are
     * signed.
     */
    static final int FOUR_GIB = 23;

    static final int NOWHERE = 31;

    static final int OP_MASK = 0xff;
    static final int REG_SHIFT = 8;
    static final int BASE_SHIFT = 13;
    static final int INDEX_SHIFT = 18;
    static final int SCALE_SHIFT = 23;
    static final int SEGMENT_SHIFT = 25;
    static final int BYTES_SHIFT = 27;
    static final int WRITE_SHIFT = 30;
    static final long MEMORY = 1L << 31;
    static final int CONSTANT_SHIFT = 32;

    /** Index and segment, and what they are if the address has neither. */
    static final int INDEX_AND_SEGMENT = 31 << INDEX_SHIFT | 3 << SEGMENT_SHIFT;

    static final int NO_INDEX = ZERO << INDEX_SHIFT;

    /** The record of a branch whose target is not known to be decoded in the same page. */
    static final int UNLINKED = -1;

    /** An operation of less than 64 bits, without M: the high bit of {@code bytes}. */
    static final int NARROW = 4 << BYTES_SHIFT;

    /** Bits that an operation does not use of 64, without M: {@code bytes} times 8. */
    static final int CUT_SHIFT = BYTES_SHIFT - 3;

    // What tells members of a family apart, where no address is.
    static final int AND_BIT = SCALE_SHIFT;
    static final int XOR_BIT = SCALE_SHIFT + 1;
    static final int SUBTRACT_BIT = SEGMENT_SHIFT;

    private static final int OFFSET_MASK = 0x1fff;
    private static final int LENGTH_SHIFT = 16;
    private static final int DETAIL_SHIFT = 20;
    private static final int TARGET_SHIFT = 24;
    private static final int SIZE_SHIFT = 29;

    private CodeRecord() {}

    static int op(long word) {
        return (int) word & OP_MASK;
    }

    static int info(int offset, int length, int detail, int target, int size) {
        return offset
                | length << LENGTH_SHIFT
                | detail << DETAIL_SHIFT
                | target << TARGET_SHIFT
                | 8 - Math.max(size, 1) << SIZE_SHIFT;
    }

    /** In the page; 4096 for the end of the page. */
    static int offset(int info) {
        return info & OFFSET_MASK;
    }

    static int length(int info) {
        return info >>> LENGTH_SHIFT & 15;
    }

    static int detail(int info) {
        return info >>> DETAIL_SHIFT & 15;
    }

    static int target(int info) {
        return info >>> TARGET_SHIFT & 31;
    }

    /** Bits that the operation does not use of 64. */
    static int cut(int info) {
        return info >>> SIZE_SHIFT << 3;
    }
}
