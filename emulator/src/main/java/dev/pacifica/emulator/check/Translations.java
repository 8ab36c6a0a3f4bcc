package dev.pacifica.emulator.check;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * The translations that one processor may hold for one ASID: all walked for since the last flush,
 * as many as a processor's TLBs keep, with the table entries that they were made from.
 */
final class Translations {
    /** Power of two; a page takes the place of another with the same low bits. */
    static final int SLOTS = 4096;

    private static final long NO_PAGE = -1;

    /** The bits of table entries that make a translation. */
    private static final long MATTERS =
            TableWalk.ADDRESS
                    | TableWalk.PRESENT
                    | TableWalk.WRITE
                    | TableWalk.USER
                    | 1 << 7
                    | 1L << 63;

    final int asid;

    /** Where the tables begin, and how they are read. */
    long root = NO_PAGE;

    TableWalk.Format format = TableWalk.Format.FOUR_LEVELS;

    /** The tables are nested ones, and the pages guest-physical. */
    boolean nested;

    /** The guest's page by slot; -1 for none. */
    final long[] page = new long[SLOTS];

    /** What {@link TableWalk#translate} found, without WRITE if the processor may not write yet. */
    final long[] found = new long[SLOTS];

    /** Binary logarithm of the page's size in bytes. */
    final byte[] shift = new byte[SLOTS];

    final long[] leafWhere = new long[SLOTS];

    /** When it was first seen stale, in instructions; 0 if it is not. */
    final long[] staleSince = new long[SLOTS];

    /** Whether a flush is overdue: the guest must not use it any more. */
    final boolean[] overdue = new boolean[SLOTS];

    /** The slots that hold a page, in no order, and where in that list each is. */
    final int[] used = new int[SLOTS];

    private final int[] place = new int[SLOTS];

    /** How many slots hold a page. */
    int count;

    private final long[] leaf = new long[SLOTS];

    /** Entries of higher tables: their places' numbers, their places, their values. */
    private final Map<Long, Integer> upperNumbers = new HashMap<>();

    private long[] upperWhere = new long[64];
    private long[] upper = new long[64];
    private int uppers;
    private boolean largePages;

    Translations(int asid) {
        this.asid = asid;
        Arrays.fill(page, NO_PAGE);
    }

    void clear() {
        while (count > 0) {
            page[used[--count]] = NO_PAGE;
        }
        upperNumbers.clear();
        uppers = 0;
        largePages = false;
    }

    static int slot(long page) {
        return (int) (page >>> 12) & SLOTS - 1;
    }

    /** Keeps what a walk has just found for a page. */
    void keep(long at, long translation, TableWalk walk) {
        int slot = slot(at);
        if (page[slot] == NO_PAGE) {
            place[slot] = count;
            used[count++] = slot;
        }
        page[slot] = at;
        found[slot] = translation;
        shift[slot] = (byte) walk.shift;
        largePages |= walk.shift > 12;
        accept(slot, walk);
    }

    private void keepUpper(long where, long value) {
        Integer number = upperNumbers.putIfAbsent(where, uppers);
        if (number != null) {
            return;
        }
        if (uppers == upper.length) {
            upperWhere = Arrays.copyOf(upperWhere, 2 * uppers);
            upper = Arrays.copyOf(upper, 2 * uppers);
        }
        upperWhere[uppers] = where;
        upper[uppers++] = value;
    }

    /** Whether an entry of a higher table is another one now; it is known as it is now then. */
    boolean uppersChanged(TableWalk tables) {
        boolean changed = false;
        for (int i = 0; i < uppers; i++) {
            long now = tables.entry(format, upperWhere[i]);
            if (((now ^ upper[i]) & MATTERS) != 0) {
                upper[i] = now;
                changed = true;
            }
        }
        return changed;
    }

    /** Whether the lowest entry is another one now. */
    boolean leafChanged(int slot, TableWalk tables) {
        return ((tables.entry(format, leafWhere[slot]) ^ leaf[slot]) & MATTERS) != 0;
    }

    /** The slot's tables are as the walk found them: new, or changed so that no flush is due. */
    void accept(int slot, TableWalk walk) {
        staleSince[slot] = 0;
        overdue[slot] = false;
        leafWhere[slot] = walk.where[walk.depth - 1];
        leaf[slot] = walk.value[walk.depth - 1];
        for (int i = 0; i < walk.depth - 1; i++) {
            keepUpper(walk.where[i], walk.value[i]);
        }
    }

    void drop(int slot) {
        page[slot] = NO_PAGE;
        int last = used[--count];
        used[place[slot]] = last;
        place[last] = place[slot];
    }

    /** Whether there is a translation of the page whose flush is overdue. */
    boolean overdue(long at) {
        int slot = slot(at);
        return page[slot] == at && overdue[slot];
    }

    /** INVLPGA of a linear address: the page that holds it goes, a large one as a whole. */
    void invalidate(long va) {
        int slot = slot(va);
        if (page[slot] == (va & -4096)) {
            drop(slot);
        }
        if (largePages) {
            for (int i = count - 1; i >= 0; i--) {
                int held = used[i];
                if (page[held] >>> shift[held] == va >>> shift[held]) {
                    drop(held);
                }
            }
        }
    }
}
