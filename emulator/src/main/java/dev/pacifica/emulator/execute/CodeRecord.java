package dev.pacifica.emulator.execute;

/**
 * Layout of a pre-decoded instruction: two longs in {@link CodePage#code}.
 *
 * <pre>
 * first long
 *   63 61 60   56 55 53 52  49 48  45 44       32 31 30 29 28  27 26 25 24   20 19   15 14   10 9       0
 *  +-----+-------+-----+------+------+-----------+--+--+--+------+-----+-------+-------+-------+---------+
 *  |cut  |target |bytes|detail|length|page offset|M |  |W |segmt.|scale| index | base  |  reg  |   op    |
 *  +-----+-------+-----+------+------+-----------+--+--+--+------+-----+-------+-------+-------+---------+
 * second long, without memory operand            second long, with memory operand
 *  |         immediate (64)           |           |  immediate (32)  |  displacement (32)  |
 * </pre>
 *
 * An operation has two operands. Without M they are reg and base + immediate, which serves for
 * registers and immediates alike. With M they are reg + immediate, and the {@code bytes} + 1 bytes
 * of memory (and whatever follows them: the operation cuts) at base + index × 2^scale + segment +
 * displacement; W tells that the memory is written. The operation's size is 64 - 8 × {@code cut}
 * bits, and its result goes to {@code target}, where {@link #NOWHERE} takes what is to be
 * forgotten.
 *
 * <p>Registers are indices into {@link dev.pacifica.emulator.cpu.Cpu#r}: 16 is zero (no register),
 * {@link #PAGE_BASE} the linear address of the page that is executed (RIP-relative operands and
 * branch targets are relative to it). Segment is 0 for flat, otherwise {@link #FS_BASE} or {@link
 * #GS_BASE} less 16. {@code detail} tells members of a family of operations apart. A generic record
 * has the index of its {@link dev.pacifica.emulator.decode.Insn} in the second long.
 */
final class CodeRecord {
    static final int ZERO = 16;
    static final int PAGE_BASE = 17;
    static final int FS_BASE = 18;
    static final int GS_BASE = 19;
    static final int NOWHERE = 31;

    static final int OP_MASK = 0x3ff;
    static final int REG_SHIFT = 10;
    static final int BASE_SHIFT = 15;
    static final int INDEX_SHIFT = 20;
    static final int SCALE_SHIFT = 25;
    static final int SEGMENT_SHIFT = 27;
    static final int WRITE_SHIFT = 29;
    static final long MEMORY = 1L << 31;
    static final int OFFSET_SHIFT = 32;
    static final int LENGTH_SHIFT = 45;
    static final int DETAIL_SHIFT = 49;
    static final int BYTES_SHIFT = 53;
    static final int TARGET_SHIFT = 56;
    static final int CUT_SHIFT = 61;

    private CodeRecord() {}

    static int op(long word) {
        return (int) word & OP_MASK;
    }

    /** A record for the same place in the page, with another operation and no operands. */
    static long withoutOperands(long word, int op) {
        return word & 0xffff_ffff_0000_0000L | op;
    }

    /** In the page; 4096 for the end of the page. */
    static int offset(long word) {
        return (int) (word >>> OFFSET_SHIFT) & 0x1fff;
    }

    static int length(long word) {
        return (int) (word >>> LENGTH_SHIFT) & 15;
    }

    static int detail(long word) {
        return (int) (word >>> DETAIL_SHIFT) & 15;
    }

    /** Page offset of the next instruction. */
    static int next(long word) {
        return offset(word) + length(word);
    }
}
