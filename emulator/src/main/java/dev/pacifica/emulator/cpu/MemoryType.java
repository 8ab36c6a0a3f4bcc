package dev.pacifica.emulator.cpu;

/**
 * The memory types, those of the MTRRs and the PAT (§7.4, §7.8) and the two that only combining
 * makes: CD, as with caching disabled by CR0.CD, and WC+ (§15.25.8).
 */
public enum MemoryType {
    UC,
    UC_MINUS,
    WC,
    WC_PLUS,
    WP,
    WT,
    WB,
    CD;

    /** By the encoding of MTRRs and PAT (tables 7-5 and 7-9). */
    private static final MemoryType[] ENCODED = {UC, WC, UC, UC, WT, WP, WB, UC_MINUS};

    /** Columns of {@link #NESTED}: the host's PAT type. */
    private static final MemoryType[] HOST = {UC, UC_MINUS, WC, WP, WT, WB};

    /** Table 15-19; the first of a row is the guest's PAT type. */
    private static final MemoryType[][] NESTED = {
        {UC, UC, UC, UC, UC, UC, UC},
        {UC_MINUS, UC, UC_MINUS, WC, UC, UC, UC},
        {WC, WC, WC, WC, WC_PLUS, WC_PLUS, WC_PLUS},
        {WP, UC, UC, UC, WP, UC, WP},
        {WT, UC, UC, UC, UC, WT, WT},
        {WB, UC, UC, WC, WP, WT, WB},
    };

    /** Columns of {@link #RANGED}: the MTRRs' type. */
    private static final MemoryType[] RANGE = {UC, WC, WP, WT, WB};

    /** Table 15-20, which extends that of §7.8.5; the first of a row is the PAT type. */
    private static final MemoryType[][] RANGED = {
        {UC, UC, CD, CD, CD, CD},
        {UC_MINUS, UC, WC, CD, CD, CD},
        {WC, WC, WC, WC, WC, WC},
        {WC_PLUS, WC, WC, WC_PLUS, WC_PLUS, WC_PLUS},
        {WP, UC, CD, WP, CD, WP},
        {WT, UC, CD, CD, WT, WT},
        {WB, UC, WC, WP, WT, WB},
    };

    /**
     * The type that MTRRs encode as 0, 1, 4, 5 or 6. WRMSR writes no others; from a checkpoint that
     * somebody doctored they are UC.
     */
    static MemoryType encoded(int encoding) {
        return encoding == 7 ? UC : ENCODED[encoding];
    }

    /** Field PA0..PA7 of a PAT register, where 7 is UC- and the reserved 2 and 3 are UC. */
    static MemoryType ofPat(long pat, int index) {
        return ENCODED[(int) (pat >>> 8 * index) & 7];
    }

    /** This guest PAT type combined with the host's for the nested tables' page (table 15-19). */
    public MemoryType combinedWithHost(MemoryType host) {
        return find(NESTED, HOST, host);
    }

    /** This PAT type, combined or not, with the MTRRs' type of the address (table 15-20). */
    public MemoryType combinedWithMtrr(MemoryType mtrr) {
        return find(RANGED, RANGE, mtrr);
    }

    /** What is left of it while CR0.CD disables caching. */
    MemoryType uncached() {
        return this == WB || this == WT || this == WP ? CD : this;
    }

    private MemoryType find(MemoryType[][] rows, MemoryType[] columns, MemoryType column) {
        for (MemoryType[] row : rows) {
            if (row[0] == this) {
                for (int i = 0; i < columns.length; i++) {
                    if (columns[i] == column) {
                        return row[i + 1];
                    }
                }
            }
        }
        throw new IllegalArgumentException(this + " with " + column);
    }
}
