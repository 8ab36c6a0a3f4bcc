package dev.pacifica.emulator.execute;

/**
 * Layout of a pre-decoded instruction: two longs in {@link CodePage#code}.
 *
 * <pre>
 * first long
 *   63      53 52  49 48  45 44       32 31   27 26 25 24   20 19   15 14   10 9        0
 *  +----------+------+------+-----------+-------+-----+-------+-------+-------+----------+
 *  |  unused  |detail|length|page offset|segment|scale| index | base  |  reg  |   op     |
 *  +----------+------+------+-----------+-------+-----+-------+-------+-------+----------+
 * second long
 *  |          immediate (32)            |           displacement (32)                    |
 * </pre>
 *
 * Registers are indices into {@link dev.pacifica.emulator.cpu.Cpu#r}: 16 is zero (no base, no index, flat segment), {@link #PAGE_BASE} the
 * linear address of the page that is executed (RIP-relative operands have their displacement relative to it), {@link #FS_BASE} and
 * {@link #GS_BASE} the segment bases. A register operand by ModRM.rm is in {@code base}. {@code detail} tells members of a family of
 * operations apart. MOV with a 64-bit immediate has all of it in the second long; a generic record has the index of its {@link
 * dev.pacifica.emulator.decode.Insn} there.
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
    static final int OFFSET_SHIFT = 32;
    static final int LENGTH_SHIFT = 45;
    static final int DETAIL_SHIFT = 49;

    private CodeRecord() {}

    static int op(long word) {
        return (int) word & OP_MASK;
    }

    static int offset(long word) {
        return (int) (word >>> OFFSET_SHIFT) & 0x1fff;
    }

    static int length(long word) {
        return (int) (word >>> LENGTH_SHIFT) & 15;
    }

    static int detail(long word) {
        return (int) (word >>> DETAIL_SHIFT) & 15;
    }
}
