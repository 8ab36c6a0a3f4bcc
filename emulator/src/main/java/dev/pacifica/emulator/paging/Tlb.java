package dev.pacifica.emulator.paging;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import java.util.Arrays;

/**
 * Data translations of one address space at one privilege, direct-mapped.
 *
 * <p>What is architectural (a guest can notice stale entries) is in {@link #page} and {@link #info}
 * and is part of a saved machine. {@link #fast} derives from it: it lets the hit path reach host
 * memory with one comparison, and loses entries whenever a write must be noticed.
 */
public final class Tlb {
    /** Entries; a power of two. */
    public static final int ENTRIES = 1024;

    /** Longs an entry in {@link #fast}: read tag, write tag, addend, unused. */
    public static final int STRIDE = 4;

    /** No page address has this value. */
    static final long NO_PAGE = -1;

    /** The mapping may be read. */
    static final long READ = 1;

    /** The mapping may be written and its dirty bits are set. */
    static final long WRITE = 2;

    /** Code may be fetched. */
    static final long EXECUTE = 4;

    /** A global page. */
    static final long GLOBAL = 8;

    /** Part of a 2-MiB page of the guest's tables. */
    static final long LARGE = 16;

    /** Part of a 1-GiB page of the guest's tables. */
    static final long HUGE = 32;

    /** Part of a 4-MiB page of the guest's tables. */
    static final long LARGE_4M = LARGE | HUGE;

    /** Where the index into the current world's PAT is, three bits (§7.8.2). */
    static final int PAT_SHIFT = 6;

    /** Where the index into the host's PAT is that the nested tables gave (§15.25.8). */
    static final int NESTED_PAT_SHIFT = 9;

    static final long NESTED_PAT = 7 << NESTED_PAT_SHIFT;

    static final long PAGE_MASK = ~0xfffL;

    /**
     * Hit path: for entry i at 4i: the page address for reads, for writes (or -1), and what to add
     * to get a host address.
     */
    public final long[] fast = new long[ENTRIES * STRIDE];

    /** Page address of each entry, or {@link #NO_PAGE}. */
    final long[] page = new long[ENTRIES];

    /** Physical page address and flags of each entry. */
    final long[] info = new long[ENTRIES];

    private boolean empty;

    Tlb() {
        Arrays.fill(page, NO_PAGE);
        Arrays.fill(fast, NO_PAGE);
        empty = true;
    }

    static int index(long va) {
        return (int) (va >>> 12) & ENTRIES - 1;
    }

    void fill(int index, long pageAddress, long entry) {
        page[index] = pageAddress;
        info[index] = entry;
        fast[index * STRIDE] = NO_PAGE;
        fast[index * STRIDE + 1] = NO_PAGE;
        empty = false;
    }

    void dropFast() {
        if (!empty) {
            Arrays.fill(fast, NO_PAGE);
        }
    }

    void dropWriteTags() {
        if (!empty) {
            for (int i = 1; i < fast.length; i += STRIDE) {
                fast[i] = NO_PAGE;
            }
        }
    }

    /** Drops the write tags of all mappings of one physical page. */
    void dropWriteTags(long physicalPage) {
        if (!empty) {
            for (int i = 0; i < ENTRIES; i++) {
                if ((info[i] & PAGE_MASK) == physicalPage) {
                    fast[i * STRIDE + 1] = NO_PAGE;
                }
            }
        }
    }

    /** Drops the tags of all mappings of one physical page. */
    void dropTags(long physicalPage) {
        if (!empty) {
            for (int i = 0; i < ENTRIES; i++) {
                if ((info[i] & PAGE_MASK) == physicalPage) {
                    fast[i * STRIDE] = NO_PAGE;
                    fast[i * STRIDE + 1] = NO_PAGE;
                }
            }
        }
    }

    void flush(boolean globals) {
        if (empty) {
            return;
        }
        if (globals) {
            Arrays.fill(page, NO_PAGE);
            Arrays.fill(fast, NO_PAGE);
            empty = true;
            return;
        }
        for (int i = 0; i < ENTRIES; i++) {
            if ((info[i] & GLOBAL) == 0) {
                drop(i);
            }
        }
    }

    /** Drops the entry of a page, and all parts of a large page that holds it. */
    void invalidate(long va) {
        if (empty) {
            return;
        }
        for (int i = 0; i < ENTRIES; i++) {
            long difference = page[i] ^ va;
            if (page[i] != NO_PAGE && (difference & -pageBytes(info[i])) == 0) {
                drop(i);
            }
        }
    }

    /**
     * The size of the page, in the tables of the current address space, that an entry is part of.
     */
    static long pageBytes(long info) {
        long size = info & LARGE_4M;
        return size == 0 ? 1L << 12 : size == LARGE ? 1L << 21 : size == HUGE ? 1L << 30 : 1L << 22;
    }

    void drop(int index) {
        page[index] = NO_PAGE;
        fast[index * STRIDE] = NO_PAGE;
        fast[index * STRIDE + 1] = NO_PAGE;
    }

    void save(StateWriter out) {
        saveEntries(out, page, info);
    }

    void load(StateReader in) {
        Arrays.fill(fast, NO_PAGE);
        empty = loadEntries(in, page, info) == 0;
    }

    /** Writes the valid entries only: index, page and info each. */
    static void saveEntries(StateWriter out, long[] page, long[] info) {
        int valid = 0;
        for (long p : page) {
            valid += p == NO_PAGE ? 0 : 1;
        }
        long[] entries = new long[3 * valid];
        int next = 0;
        for (int i = 0; i < page.length; i++) {
            if (page[i] != NO_PAGE) {
                entries[next++] = i;
                entries[next++] = page[i];
                entries[next++] = info[i];
            }
        }
        out.u32("valid", valid);
        out.longs("entries", entries);
    }

    static int loadEntries(StateReader in, long[] page, long[] info) {
        int valid = in.u32("valid");
        long[] entries = new long[3 * valid];
        in.longs("entries", entries);
        Arrays.fill(page, NO_PAGE);
        Arrays.fill(info, 0);
        for (int i = 0; i < entries.length; i += 3) {
            int index = (int) entries[i] & page.length - 1;
            page[index] = entries[i + 1];
            info[index] = entries[i + 2];
        }
        return valid;
    }
}
