package dev.pacifica.emulator.paging;

/**
 * The physical memory that this processor cannot reach while it is outside system-management mode:
 * the ASeg and TSeg ranges, while they are protected (APM Vol 2 §10.2.5). What is hidden is
 * translated to an address where nothing is: it reads as all ones, and writes vanish. Derived from
 * the processor's state.
 */
public final class HiddenMemory {
    private static final long ASEG_START = 0xa_0000L;
    private static final long ASEG_BYTES = 0x2_0000L;

    /** Bits 51:17 of an address take part in the comparison with TSeg's. */
    private static final long COMPARED = (1L << 52) - (1L << 17);

    /** A page of the physical address space that has neither memory nor a device. */
    private static final long NOWHERE = (1L << 52) - 4096;

    private boolean any;
    private boolean shown;
    private boolean aseg;
    private boolean tseg;
    private long tsegBase;
    private long tsegMask;

    HiddenMemory() {}

    /**
     * Protects ASeg, TSeg or both; {@code base} and {@code mask} are those of SMM_ADDR and
     * SMM_MASK.
     *
     * @param management the processor is in system-management mode, and reaches everything
     */
    public void protect(
            boolean asegRange, boolean tsegRange, long base, long mask, boolean management) {
        aseg = asegRange;
        tseg = tsegRange;
        any = aseg || tseg;
        shown = management;
        tsegMask = mask & COMPARED;
        tsegBase = base & tsegMask;
    }

    /** Whether the byte at a physical address is hidden. */
    public boolean covers(long pa) {
        return any && !shown && isProtected(pa);
    }

    /** Whether a physical address is SMRAM that no device reaches, in whatever mode this is. */
    public boolean isProtected(long pa) {
        return aseg && pa - ASEG_START >= 0 && pa - ASEG_START < ASEG_BYTES
                || tseg && (pa & tsegMask) == tsegBase;
    }

    /** The address, or page with flags in its low 12 bits, as the processor sees it. */
    public long view(long pa) {
        return any && covers(pa) ? NOWHERE | pa & 0xfff : pa;
    }
}
