package dev.pacifica.emulator.execute;

/**
 * Layout of a pre-decoded instruction: two longs in {@link CodePage#code}.
 *
 * <pre>
 * first long
 *   63   56 55 53 52  49 48  45 44       32 31 30 29 28  27 26 25 24   20 19   15 14   10 9       0
 *  +-------+-----+------+------+-----------+--+-----+------+-----+-------+-------+-------+---------+
 *  |       |bytes|detail|length|page offset|L |     |segmt.|scale| index | base  |  reg  |   op    |
 *  +-------+-----+------+------+-----------+--+-----+------+-----+-------+-------+-------+---------+
 * second long, without memory operand            second long, with memory operand
 *  |         immediate (64)           |           |  immediate (32)  |  displacement (32)  |
 * </pre>
 *
 * The operands of an operation are {@code reg} (read and, mostly, written) and a source: with L set the {@code bytes} + 1 bytes at
 * base + index × 2^scale + segment + displacement (and whatever bytes follow them: the operation truncates), otherwise base + the second
 * long, which serves for registers and immediates alike.
 *
 * <p>Registers are indices into {@link dev.pacifica.emulator.cpu.Cpu#r}: 16 is zero (no base, no index), {@link #PAGE_BASE} the linear
 * address of the page that is executed (RIP-relative operands have their displacement relative to it). Segment is 0 for flat, otherwise
 * {@link #FS_BASE} or {@link #GS_BASE} less 16. {@code detail} tells members of a family of operations apart. A generic record has the
 * index of its {@link dev.pacifica.emulator.decode.Insn} in the second long.
 */
final class CodeRecord {
    static final int PAGE_BASE = 17;
    static final int FS_BASE = 18;
    static final int GS_BASE = 19;

    static final int OP_MASK = 0x3ff;
    static final int REG_SHIFT = 10;
    static final int BASE_SHIFT = 15;
    static final int INDEX_SHIFT = 20;
    static final int SCALE_SHIFT = 25;
    static final int SEGMENT_SHIFT = 27;
    static final long LOAD = 1L << 31;
    static final int OFFSET_SHIFT = 32;
    static final int LENGTH_SHIFT = 45;
    static final int DETAIL_SHIFT = 49;
    static final int BYTES_SHIFT = 53;

    private CodeRecord() {}

    static int op(long word) {
        return (int) word & OP_MASK;
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

    /** Linear address of the memory operand. */
    static long address(long[] r, int first, long second) {
        return r[first >>> BASE_SHIFT & 31] + (r[first >>> INDEX_SHIFT & 31] << (first >>> SCALE_SHIFT & 3))
                + r[16 + (first >>> SEGMENT_SHIFT & 3)] + (int) second;
    }
}
