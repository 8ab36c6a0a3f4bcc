package dev.pacifica.emulator.check;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.paging.PageEntry;

/**
 * Reads page tables (§5.2, §5.3) as they stand in memory now, setting no accessed or dirty bit, and
 * keeps the entries on the way.
 */
final class TableWalk {
    /** The levels and entries of tables. */
    enum Format {
        FOUR_LEVELS,
        PAE,
        THIRTY_TWO_BITS,
        /** The same without CR4.PSE: all pages have 4 KiB. */
        THIRTY_TWO_BITS_SMALL;

        private boolean narrow() {
            return this == THIRTY_TWO_BITS || this == THIRTY_TWO_BITS_SMALL;
        }

        /** What CR4 and long mode select. */
        static Format of(long cr4, boolean longMode) {
            if (longMode) {
                return FOUR_LEVELS;
            }
            if ((cr4 & Cpu.CR4_PAE) != 0) {
                return PAE;
            }
            return (cr4 & Cpu.CR4_PSE) != 0 ? THIRTY_TWO_BITS : THIRTY_TWO_BITS_SMALL;
        }
    }

    static final long PRESENT = 1;
    static final long WRITE = 2;
    static final long USER = 4;

    /** In a result: the page may be executed. */
    static final long EXECUTE = 8;

    static final long ADDRESS = (1L << CpuModel.PHYSICAL_BITS) - 4096;
    private static final long LARGE = 1 << 7;
    private static final long NO_EXECUTE = 1L << 63;
    private static final int LEVELS = 4;

    private final PhysicalMemory memory;

    /** Where each entry of the last walk lies, from the root on, and what it was. */
    final long[] where = new long[LEVELS];

    final long[] value = new long[LEVELS];

    /** How many entries the last walk met. */
    int depth;

    /** Binary logarithm of the size in bytes of the page that the last walk ended in. */
    int shift;

    TableWalk(PhysicalMemory memory) {
        this.memory = memory;
    }

    /** The 4-KiB page behind an address with its permissions; 0 if there is none. */
    long translate(Format format, long root, long address) {
        depth = 0;
        return switch (format) {
            case FOUR_LEVELS -> walk(format, root & ADDRESS, 4, address);
            case PAE -> {
                long entry = step(format, (root & 0xffff_ffe0L) + (address >>> 30 & 3) * 8);
                yield (entry & PRESENT) == 0 ? 0 : walk(format, entry & ADDRESS, 2, address);
            }
            case THIRTY_TWO_BITS, THIRTY_TWO_BITS_SMALL ->
                    walk32(format, root & 0xffff_f000L, address);
        };
    }

    private long walk(Format format, long root, int levels, long address) {
        long table = root;
        long permissions = WRITE | USER | EXECUTE;
        for (int level = levels; ; level--) {
            shift = 3 + 9 * level;
            long entry = step(format, table + (address >>> shift & 511) * 8);
            if ((entry & PRESENT) == 0) {
                return 0;
            }
            permissions &= entry & (WRITE | USER) | ((entry & NO_EXECUTE) == 0 ? EXECUTE : 0);
            if (level == 1 || level < 4 && (entry & LARGE) != 0) {
                long mask = (1L << shift) - 1;
                return (entry & ADDRESS & ~mask | address & mask & ADDRESS) | permissions | PRESENT;
            }
            table = entry & ADDRESS;
        }
    }

    private long walk32(Format format, long table, long address) {
        shift = 22;
        long directory = step(format, table + (address >>> 22 & 1023) * 4);
        if ((directory & PRESENT) == 0) {
            return 0;
        }
        if (format == Format.THIRTY_TWO_BITS && (directory & LARGE) != 0) {
            return PageEntry.base4M(directory)
                    | address & 0x3f_f000
                    | directory & (WRITE | USER)
                    | EXECUTE
                    | PRESENT;
        }
        shift = 12;
        long entry = step(format, (directory & 0xffff_f000L) + (address >>> 12 & 1023) * 4);
        return (entry & PRESENT) == 0
                ? 0
                : entry & 0xffff_f000L | directory & entry & (WRITE | USER) | EXECUTE | PRESENT;
    }

    /** A table entry as it stands in memory now; 0 outside of RAM. */
    long entry(Format format, long at) {
        if (!memory.isRam(at)) {
            return 0;
        }
        return format.narrow() ? memory.read(at, 4) : memory.read64(at);
    }

    private long step(Format format, long at) {
        long entry = entry(format, at);
        where[depth] = at;
        value[depth++] = entry;
        return entry;
    }
}
