package dev.pacifica.emulator.paging;

import dev.pacifica.emulator.memory.DecodedPage;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import java.util.Arrays;

/**
 * Instruction translations of one address space at one privilege, direct-mapped. The page that is
 * being executed always is in here at an instruction boundary, so that looking it up again (at the
 * start of a slice) changes nothing.
 */
public final class FetchTlb {
    /** Entries; a power of two. */
    public static final int ENTRIES = 1024;

    /** Linear page address of each entry, or -1. */
    public final long[] page = new long[ENTRIES];

    /** Physical page address and flags. */
    final long[] info = new long[ENTRIES];

    /**
     * The decoded code of the entry's physical page, if the engine put it here; cleared with the
     * entry.
     */
    public final DecodedPage[] code = new DecodedPage[ENTRIES];

    FetchTlb() {
        Arrays.fill(page, Tlb.NO_PAGE);
    }

    /** The entry that a linear address maps to. */
    public static int index(long va) {
        return (int) (va >>> 12) & ENTRIES - 1;
    }

    void fill(int index, long pageAddress, long entry) {
        page[index] = pageAddress;
        info[index] = entry;
        code[index] = null;
    }

    /** Lets go of the decoded code of one physical page. */
    void forgetDecoded(long physicalPage) {
        for (int i = 0; i < ENTRIES; i++) {
            if ((info[i] & Tlb.PAGE_MASK) == physicalPage) {
                code[i] = null;
            }
        }
    }

    void flush(boolean globals) {
        for (int i = 0; i < ENTRIES; i++) {
            if (globals || (info[i] & Tlb.GLOBAL) == 0) {
                page[i] = Tlb.NO_PAGE;
                code[i] = null;
            }
        }
    }

    void invalidate(long va) {
        for (int i = 0; i < ENTRIES; i++) {
            if (page[i] != Tlb.NO_PAGE && ((page[i] ^ va) & -Tlb.pageBytes(info[i])) == 0) {
                page[i] = Tlb.NO_PAGE;
                code[i] = null;
            }
        }
    }

    void save(StateWriter out) {
        Tlb.saveEntries(out, page, info);
    }

    void load(StateReader in) {
        Tlb.loadEntries(in, page, info);
        Arrays.fill(code, null);
    }
}
