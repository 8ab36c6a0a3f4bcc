package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.memory.DecodedPage;
import java.util.Arrays;

/**
 * The decoded instructions of one physical page in one code size, in runs as they were first
 * executed.
 */
final class CodePage extends DecodedPage {
    /** Longs of records after which a page that changes itself all the time starts anew. */
    private static final int MOST_USED = 2 * 12_000;

    /** Physical address of the page. */
    final long pa;

    /** 16, 32 or 64. */
    final int codeBits;

    /** Another page object for the same physical page in another code size. */
    CodePage next;

    /** Records as {@link CodeRecord} describes them; those of a run follow each other. */
    long[] code = new long[64];

    /** Longs used in {@link #code}. */
    int used;

    /**
     * By page offset: index in {@link #code} of the record that starts there, halved; -1 if none.
     */
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

    CodePage(long pa, int codeBits) {
        this.pa = pa;
        this.codeBits = codeBits;
        Arrays.fill(index, (short) -1);
    }

    /** Whether so much was decoded here, most of it stale, that the page should start anew. */
    boolean full() {
        return used >= MOST_USED;
    }

    /** Appends a record and returns its index in {@link #code}. */
    int append(long first, long second) {
        if (used == code.length) {
            code = Arrays.copyOf(code, 2 * used);
        }
        code[used] = first;
        code[used + 1] = second;
        used += 2;
        return used - 2;
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
                long word = code[2 * n];
                if (offset + CodeRecord.length(word) > from) {
                    code[2 * n] = CodeRecord.withoutOperands(word, FastOp.STALE);
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
        for (int i = 0; i < used; i += 2) {
            code[i] = CodeRecord.withoutOperands(code[i], FastOp.STALE);
        }
        Arrays.fill(index, (short) -1);
    }
}
