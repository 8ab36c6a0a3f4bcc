package dev.pacifica.emulator.check;

import java.util.Arrays;

/**
 * The page tables that the translations of each PCID of one address space were made from (§5.5.1).
 */
final class PcidTables {
    private static final int PCID = 0xfff;

    /** CR3 without its PCID, and bit 0 to tell it from none. */
    private final long[] tables = new long[PCID + 1];

    private int used;

    /** The guest was left with this CR3. */
    void used(long cr3) {
        used++;
        tables[(int) cr3 & PCID] = cr3 & ~PCID | 1;
    }

    /** Whether a CR3 leads where the translations of its PCID do, or there are none. */
    boolean agree(long cr3) {
        long known = tables[(int) cr3 & PCID];
        return known == 0 || known == (cr3 & ~PCID | 1);
    }

    void clear() {
        if (used != 0) {
            used = 0;
            Arrays.fill(tables, 0);
        }
    }
}
