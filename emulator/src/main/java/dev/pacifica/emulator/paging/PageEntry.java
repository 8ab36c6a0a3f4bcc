package dev.pacifica.emulator.paging;

import dev.pacifica.emulator.cpu.CpuModel;

/** The fields of page-table entries and which bits of the 64-bit formats must be zero (§5.4). */
public final class PageEntry {
    static final long P = 1;
    static final long RW = 2;
    static final long US = 4;
    static final long A = 0x20;
    static final long D = 0x40;
    static final long PS = 0x80;
    static final long G = 0x100;
    static final long NX = 1L << 63;

    /** The base address field of a 64-bit entry and of CR3. */
    static final long ADDRESS = (1L << 52) - 4096;

    /** Bit 21 of a 4-MiB entry of 32-bit tables (Figure 5-8). */
    static final long RESERVED_4M = 1 << 21;

    private static final long BEYOND_PHYSICAL = (1L << 52) - (1L << CpuModel.PHYSICAL_BITS);
    private static final long LEGACY_HIGH = 0x7ff0_0000_0000_0000L;

    /** Of a legacy page-directory-pointer entry: 2:1, 8:5, 63:52 (Figure 5-10). */
    private static final long POINTER_RESERVED = BEYOND_PHYSICAL | LEGACY_HIGH | NX | 0x1e6;

    private PageEntry() {}

    /** Whether an entry of the 64-bit formats maps a page; 1 is the level of PTEs. */
    static boolean leaf(long entry, int level, boolean hugePages) {
        return level == 1 || (entry & PS) != 0 && (level == 2 || level == 3 && hugePages);
    }

    /**
     * The bits that must be zero in a present entry of the 64-bit formats.
     *
     * @param legacy the tables are those of PAE paging outside long mode, where bits 62:52 are
     *     reserved
     * @param nxe EFER.NXE, without which NX is reserved
     * @param hugePages 1-GiB pages are offered; otherwise the PDPE's PS is reserved
     */
    static long reserved(int level, boolean leaf, boolean legacy, boolean nxe, boolean hugePages) {
        long reserved = BEYOND_PHYSICAL | (nxe ? 0 : NX) | (legacy ? LEGACY_HIGH : 0);
        if (level == 4) {
            // AMD reserves G here, and ignores it in other entries that map no page
            return reserved | PS | G;
        }
        if (level == 1) {
            return reserved;
        }
        if (leaf) {
            // between the PAT bit and the base address
            return reserved | (1L << 12 + 9 * (level - 1)) - 1 & ~0x1fffL;
        }
        return level == 3 && !hugePages ? reserved | PS : reserved;
    }

    /** Whether a present page-directory-pointer entry of legacy PAE paging is illegal. */
    static boolean badPointer(long entry) {
        return (entry & POINTER_RESERVED) != 0;
    }

    /** The PAT's index in the entry of a 4-KiB page: PAT, PCD, PWT in bits 7, 4, 3 (§7.8.2). */
    static int patIndex(long entry) {
        return (int) (entry >>> 3 & 3 | entry >>> 5 & 4);
    }

    /** The same of a 2-MiB, 4-MiB or 1-GiB page, where the PAT bit is bit 12. */
    static int patIndexOfLarge(long entry) {
        return (int) (entry >>> 3 & 3 | entry >>> 10 & 4);
    }

    /** The PAT's index for the table that an entry or CR3 leads to: PCD and PWT (§7.8.3). */
    static int patIndexOfTable(long parent) {
        return (int) (parent >>> 3 & 3);
    }

    /** The page that a 4-MiB entry maps: bits 20:13 are address bits 39:32 (§5.2.2). */
    public static long base4M(long entry) {
        return entry & 0xffc0_0000L | (entry & 0x1f_e000L) << 19;
    }
}
