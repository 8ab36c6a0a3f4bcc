package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.memory.DecodedPage;
import java.util.Arrays;

/**
 * The decoded instructions of one physical page as one kind of code, in runs as they were first
 * executed.
 */
final class CodePage extends DecodedPage {
    /** Records after which a page that changes itself all the time starts anew. */
    private static final int MOST_USED = 12_000;

    /** Physical address of the page. */
    final long pa;

    /** 16, 32 or 64; {@link FlatCode#FLAT_32} for what is specialised of 32-bit code. */
    final int kind;

    /** Another page object for the same physical page as another kind of code. */
    CodePage next;

    // Records as {@link CodeRecord} describes them, each at the same index of three arrays, whose
    // length is a power of two; those of a run follow each other.
    long[] code = new long[32];
    long[] second = new long[32];
    int[] info = new int[32];

    /** Records used. */
    int used;

    /** By page offset: the record that starts there; -1 if none. */
    final short[] index = new short[4096];

    /** Instructions of generic records. */
    Insn[] insns = new Insn[8];

    int insnCount;

    /** Units of 64 bytes that decoded instructions overlap. */
    long granules;

    /** Writes to the page that hit no instruction, since decoding. */
    int strayWrites;

    /** No longer the page's code; every record says so too. */
    boolean dead;

    CodePage(long pa, int kind) {
        this.pa = pa;
        this.kind = kind;
        Arrays.fill(index, (short) -1);
    }

    /** Whether so much was decoded here, most of it stale, that the page should start anew. */
    boolean full() {
        return used >= MOST_USED;
    }

    /** Appends a record and returns its index. */
    int append(long word, long more, int facts) {
        if (used == code.length) {
            code = Arrays.copyOf(code, 2 * used);
            second = Arrays.copyOf(second, 2 * used);
            info = Arrays.copyOf(info, 2 * used);
        }
        code[used] = word;
        second[used] = more;
        info[used] = facts;
        return used++;
    }

    /** The linear address of a record's instruction while this page is executed. */
    long linear(int record, long[] r) {
        return r[CodeRecord.PAGE_BASE] + CodeRecord.offset(info[record]);
    }

    /** The linear address of the instruction after a record's, likewise. */
    long next(int record, long[] r) {
        int facts = info[record];
        return r[CodeRecord.PAGE_BASE] + CodeRecord.offset(facts) + CodeRecord.length(facts);
    }

    /** Lets a direct jump go to a record of this page without looking for it. */
    void link(int record, int target) {
        if (CodeRecord.op(code[record]) == FastOp.JCC) {
            second[record] = second[record] & ~0xffff_ffffL | target;
        }
    }

    int append(Insn insn) {
        if (insnCount == insns.length) {
            insns = Arrays.copyOf(insns, 2 * insnCount);
        }
        insns[insnCount] = insn;
        return insnCount++;
    }

    /** Notes that an instruction of {@code length} bytes at {@code offset} is decoded. */
    void cover(int offset, int length) {
        granules |= 1L << (offset >> 6) | 1L << (Math.min(offset + length - 1, 4095) >> 6);
    }

    /**
     * Marks the instructions that overlap the bytes [from, to) as stale; true if there were any.
     */
    boolean invalidate(int from, int to) {
        boolean any = false;
        for (int offset = Math.max(0, from - 14); offset < to; offset++) {
            int n = index[offset];
            if (n >= 0) {
                if (offset + CodeRecord.length(info[n]) > from) {
                    code[n] = FastOp.STALE;
                    index[offset] = -1;
                    any = true;
                }
            }
        }
        return any;
    }

    /** Takes the whole page out of use: whoever still runs in it finds only stale records. */
    void kill() {
        dead = true;
        for (int i = 0; i < used; i++) {
            code[i] = FastOp.STALE;
        }
        Arrays.fill(index, (short) -1);
    }
}
