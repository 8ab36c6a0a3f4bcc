package dev.pacifica.emulator.paging;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.memory.PhysicalMemory;

/**
 * Walks page tables: the current address space's (32-bit, PAE and 4-level; APM Vol 2 §5) and, for
 * guests with nested paging, the host's nested tables (§15.25). Sets accessed and dirty bits, and
 * tells of faults by {@link GuestException} or through the {@link NestedFaultHandler}.
 */
final class PageWalk {
    static final int READ = 0;
    static final int WRITE = 1;
    static final int FETCH = 2;

    /** Physical address bits, as CPUID Fn8000_0008 says. */
    static final int PHYSICAL_BITS = 48;

    private static final long P = 1;
    private static final long RW = 2;
    private static final long US = 4;
    private static final long A = 0x20;
    private static final long D = 0x40;
    private static final long PS = 0x80;
    private static final long G = 0x100;
    private static final long NX = 1L << 63;
    private static final long ADDRESS = (1L << 52) - 4096;
    private static final long RESERVED_HIGH = (1L << 52) - (1L << PHYSICAL_BITS);

    private static final long ERROR_P = 1;
    private static final long ERROR_RW = 2;
    private static final long ERROR_US = 4;
    private static final long ERROR_RSV = 8;
    private static final long ERROR_ID = 16;

    /**
     * EXITINFO1 bit 32: the fault was met translating the final guest-physical address (§15.25.6).
     */
    private static final long FINAL_TRANSLATION = 1L << 32;

    /**
     * EXITINFO1 bit 33: the fault was met translating an address of the guest's page tables
     * (§15.25.6).
     */
    private static final long TABLE_TRANSLATION = 1L << 33;

    private final Cpu cpu;
    private final PhysicalMemory memory;

    boolean nested;
    long nestedCr3;

    /** The host's paging mode as VMRUN found it (§15.25.3). */
    long hostCr4;

    long hostEfer;
    NestedFaultHandler nestedFaults =
            (gpa, info1) -> new IllegalStateException("no nested fault handler");

    PageWalk(Cpu cpu, PhysicalMemory memory) {
        this.cpu = cpu;
        this.memory = memory;
    }

    /**
     * Translates {@code va} for an access of the given kind at the given privilege. Returns the
     * physical page with the flags of {@link Tlb}; raises #PF or a nested page fault.
     *
     * @param acAllows RFLAGS.AC lifts SMAP for this access
     */
    long translate(long va, int access, boolean user, boolean acAllows) {
        if ((cpu.cr0 & Cpu.CR0_PG) == 0) {
            long flags = Tlb.READ | Tlb.WRITE | Tlb.EXECUTE;
            return finish(va & 0xffff_ffffL, access, flags);
        }
        if ((cpu.efer & Cpu.EFER_LMA) != 0) {
            return walk64(va, access, user, acAllows, 4, cpu.cr3 & ADDRESS);
        }
        if ((cpu.cr4 & Cpu.CR4_PAE) != 0) {
            return walkPae(va, access, user, acAllows);
        }
        return walk32(va, access, user, acAllows);
    }

    /**
     * The nested translation of a physical address of the current world; the identity without
     * nested paging.
     */
    long physical(long gpa, int access) {
        return nested
                ? nestedTranslate(gpa, access, FINAL_TRANSLATION) & Tlb.PAGE_MASK | gpa & 0xfff
                : gpa;
    }

    private long walkPae(long va, int access, boolean user, boolean acAllows) {
        long entryAddress = (cpu.cr3 & 0xffff_ffe0L) + (va >>> 30 & 3) * 8;
        long where = tableEntry(entryAddress);
        long entry = memory.read64(where);
        if ((entry & P) == 0) {
            throw pageFault(va, access, user, 0);
        }
        if ((entry & (RESERVED_HIGH | 0x7ff0_0000_0000_0000L | NX | 0x1e6)) != 0) {
            throw pageFault(va, access, user, ERROR_P | ERROR_RSV);
        }
        return walk64(va, access, user, acAllows, 2, entry & ADDRESS);
    }

    private long walk64(
            long va, int access, boolean user, boolean acAllows, int levels, long table) {
        boolean nxe = (cpu.efer & Cpu.EFER_NXE) != 0;
        boolean legacy = levels == 2;
        long permissions = RW | US;
        long noExecute = 0;
        for (int level = levels; ; level--) {
            int shift = 12 + 9 * (level - 1);
            long where = tableEntry(table + (va >>> shift & 511) * 8);
            long entry = memory.read64(where);
            if ((entry & P) == 0) {
                throw pageFault(va, access, user, 0);
            }
            boolean leaf = level == 1 || (entry & PS) != 0 && level <= 3;
            long reserved = RESERVED_HIGH | (nxe ? 0 : NX) | (legacy ? 0x7ff0_0000_0000_0000L : 0);
            if (level == 4) {
                reserved |= PS;
            } else if (leaf && level > 1) {
                reserved |= (1L << shift) - 1 & ~0x1fffL;
            }
            if ((entry & reserved) != 0) {
                throw pageFault(va, access, user, ERROR_P | ERROR_RSV);
            }
            permissions &= entry;
            noExecute |= entry & NX;
            if (!leaf) {
                if ((entry & A) == 0) {
                    memory.write64(where, entry | A);
                }
                table = entry & ADDRESS;
                continue;
            }
            long flags = check(va, access, user, acAllows, permissions, noExecute != 0);
            long updated = entry | A | (access == WRITE ? D : 0);
            if (updated != entry) {
                memory.write64(where, updated);
            }
            if ((updated & D) == 0) {
                flags &= ~Tlb.WRITE;
            }
            long mask = (1L << shift) - 1;
            long gpa = entry & ADDRESS & ~mask | va & mask;
            flags |= (entry & G) != 0 && (cpu.cr4 & Cpu.CR4_PGE) != 0 ? Tlb.GLOBAL : 0;
            flags |= level == 3 ? Tlb.HUGE : level == 2 ? Tlb.LARGE : 0;
            return finish(gpa, access, flags);
        }
    }

    private long walk32(long va, int access, boolean user, boolean acAllows) {
        long where = tableEntry((cpu.cr3 & 0xffff_f000L) + (va >>> 22 & 1023) * 4);
        long entry = memory.read(where, 4);
        if ((entry & P) == 0) {
            throw pageFault(va, access, user, 0);
        }
        if ((entry & PS) != 0 && (cpu.cr4 & Cpu.CR4_PSE) != 0) {
            if ((entry & 1 << 21) != 0) {
                throw pageFault(va, access, user, ERROR_P | ERROR_RSV);
            }
            // bits 20:13 are physical address bits 39:32 (PSE-36)
            long base = entry & 0xffc0_0000L | (entry & 0x1f_e000L) << 19;
            return leaf32(
                    va,
                    access,
                    user,
                    acAllows,
                    where,
                    entry,
                    entry,
                    base | va & 0x3f_ffff,
                    Tlb.LARGE);
        }
        if ((entry & A) == 0) {
            memory.write(where, 4, entry | A);
        }
        long pteWhere = tableEntry((entry & 0xffff_f000L) + (va >>> 12 & 1023) * 4);
        long pte = memory.read(pteWhere, 4);
        if ((pte & P) == 0) {
            throw pageFault(va, access, user, 0);
        }
        return leaf32(
                va,
                access,
                user,
                acAllows,
                pteWhere,
                pte,
                entry & pte,
                pte & 0xffff_f000L | va & 0xfff,
                0);
    }

    private long leaf32(
            long va,
            int access,
            boolean user,
            boolean acAllows,
            long where,
            long entry,
            long permissions,
            long gpa,
            long size) {
        long flags = check(va, access, user, acAllows, permissions, false);
        long updated = entry | A | (access == WRITE ? D : 0);
        if (updated != entry) {
            memory.write(where, 4, updated);
        }
        if ((updated & D) == 0) {
            flags &= ~Tlb.WRITE;
        }
        flags |= (entry & G) != 0 && (cpu.cr4 & Cpu.CR4_PGE) != 0 ? Tlb.GLOBAL : 0;
        return finish(gpa, access, flags | size);
    }

    /** Checks the permissions gathered on the way and returns what the mapping allows (§5.6). */
    private long check(
            long va,
            int access,
            boolean user,
            boolean acAllows,
            long permissions,
            boolean noExecute) {
        boolean userPage = (permissions & US) != 0;
        boolean writable = (permissions & RW) != 0 || !user && (cpu.cr0 & Cpu.CR0_WP) == 0;
        boolean executable = !noExecute && (user || !userPage || (cpu.cr4 & Cpu.CR4_SMEP) == 0);
        boolean reachable =
                user ? userPage : !userPage || acAllows || (cpu.cr4 & Cpu.CR4_SMAP) == 0;
        boolean allowed =
                switch (access) {
                    case FETCH -> executable && (!user || userPage);
                    case WRITE -> reachable && writable;
                    default -> reachable;
                };
        if (!allowed) {
            throw pageFault(va, access, user, ERROR_P);
        }
        return (reachable ? Tlb.READ : 0)
                | (reachable && writable ? Tlb.WRITE : 0)
                | (executable ? Tlb.EXECUTE : 0);
    }

    private long finish(long gpa, int access, long flags) {
        if (!nested) {
            return gpa & Tlb.PAGE_MASK | flags;
        }
        long host = nestedTranslate(gpa, access, FINAL_TRANSLATION);
        return host & Tlb.PAGE_MASK
                | flags & ~(Tlb.WRITE | Tlb.EXECUTE)
                | flags & host & (Tlb.WRITE | Tlb.EXECUTE);
    }

    /**
     * Where a page-table entry is; under nested paging the walk of a guest table counts as a user
     * write (§15.25.5).
     */
    private long tableEntry(long address) {
        return nested
                ? nestedTranslate(address, WRITE, TABLE_TRANSLATION) & Tlb.PAGE_MASK
                        | address & 0xfff
                : address;
    }

    private long nestedTranslate(long gpa, int access, long stage) {
        if ((hostEfer & Cpu.EFER_LMA) != 0) {
            if (gpa >>> 48 != 0) {
                throw nestedFault(gpa, access, stage, 0);
            }
            return nestedWalk64(gpa, access, stage, 4, nestedCr3 & ADDRESS);
        }
        if (gpa >>> 32 != 0) {
            throw nestedFault(gpa, access, stage, 0);
        }
        if ((hostCr4 & Cpu.CR4_PAE) != 0) {
            long entry = memory.read64((nestedCr3 & 0xffff_ffe0L) + (gpa >>> 30 & 3) * 8);
            if ((entry & P) == 0) {
                throw nestedFault(gpa, access, stage, 0);
            }
            if ((entry & (RESERVED_HIGH | 0x7ff0_0000_0000_0000L | NX | 0x1e6)) != 0) {
                throw nestedFault(gpa, access, stage, ERROR_P | ERROR_RSV);
            }
            return nestedWalk64(gpa, access, stage, 2, entry & ADDRESS);
        }
        return nestedWalk32(gpa, access, stage);
    }

    private long nestedWalk64(long gpa, int access, long stage, int levels, long table) {
        boolean nxe = (hostEfer & Cpu.EFER_NXE) != 0;
        long permissions = RW | US;
        long noExecute = 0;
        for (int level = levels; ; level--) {
            int shift = 12 + 9 * (level - 1);
            long where = table + (gpa >>> shift & 511) * 8;
            long entry = memory.read64(where);
            if ((entry & P) == 0) {
                throw nestedFault(gpa, access, stage, 0);
            }
            boolean leaf = level == 1 || (entry & PS) != 0 && level <= 3;
            long reserved =
                    RESERVED_HIGH | (nxe ? 0 : NX) | (levels == 2 ? 0x7ff0_0000_0000_0000L : 0);
            if (level == 4) {
                reserved |= PS;
            } else if (leaf && level > 1) {
                reserved |= (1L << shift) - 1 & ~0x1fffL;
            }
            if ((entry & reserved) != 0) {
                throw nestedFault(gpa, access, stage, ERROR_P | ERROR_RSV);
            }
            permissions &= entry;
            noExecute |= entry & NX;
            if (!leaf) {
                if ((entry & A) == 0) {
                    memory.write64(where, entry | A);
                }
                table = entry & ADDRESS;
                continue;
            }
            long flags = nestedCheck(gpa, access, stage, permissions, noExecute != 0);
            long updated = entry | A | (access == WRITE ? D : 0);
            if (updated != entry) {
                memory.write64(where, updated);
            }
            long mask = (1L << shift) - 1;
            return (entry & ADDRESS & ~mask | gpa & mask) & Tlb.PAGE_MASK
                    | flags & ((updated & D) == 0 ? ~Tlb.WRITE : -1L);
        }
    }

    private long nestedWalk32(long gpa, int access, long stage) {
        long where = (nestedCr3 & 0xffff_f000L) + (gpa >>> 22 & 1023) * 4;
        long entry = memory.read(where, 4);
        if ((entry & P) == 0) {
            throw nestedFault(gpa, access, stage, 0);
        }
        long permissions = entry;
        long page;
        if ((entry & PS) != 0 && (hostCr4 & Cpu.CR4_PSE) != 0) {
            if ((entry & 1 << 21) != 0) {
                throw nestedFault(gpa, access, stage, ERROR_P | ERROR_RSV);
            }
            page = entry & 0xffc0_0000L | (entry & 0x1f_e000L) << 19 | gpa & 0x3f_f000;
        } else {
            if ((entry & A) == 0) {
                memory.write(where, 4, entry | A);
            }
            where = (entry & 0xffff_f000L) + (gpa >>> 12 & 1023) * 4;
            entry = memory.read(where, 4);
            if ((entry & P) == 0) {
                throw nestedFault(gpa, access, stage, 0);
            }
            permissions &= entry;
            page = entry & 0xffff_f000L;
        }
        long flags = nestedCheck(gpa, access, stage, permissions, false);
        long updated = entry | A | (access == WRITE ? D : 0);
        if (updated != entry) {
            memory.write(where, 4, updated);
        }
        return page | flags & ((updated & D) == 0 ? ~Tlb.WRITE : -1L);
    }

    /** Every nested access is a user access, and hCR0.WP is ignored (§15.25.5, §15.25.7). */
    private long nestedCheck(
            long gpa, int access, long stage, long permissions, boolean noExecute) {
        boolean allowed =
                (permissions & US) != 0
                        && switch (access) {
                            case FETCH -> !noExecute;
                            case WRITE -> (permissions & RW) != 0;
                            default -> true;
                        };
        if (!allowed) {
            throw nestedFault(gpa, access, stage, ERROR_P);
        }
        return Tlb.READ | ((permissions & RW) != 0 ? Tlb.WRITE : 0) | (noExecute ? 0 : Tlb.EXECUTE);
    }

    private RuntimeException nestedFault(long gpa, int access, long stage, long error) {
        long info1 = error | ERROR_US | stage;
        info1 |= access == WRITE ? ERROR_RW : access == FETCH ? ERROR_ID : 0;
        return nestedFaults.nestedPageFault(gpa, info1);
    }

    private GuestException pageFault(long va, int access, boolean user, long error) {
        long code = error | (user ? ERROR_US : 0) | (access == WRITE ? ERROR_RW : 0);
        boolean tellsFetch =
                (cpu.cr4 & Cpu.CR4_SMEP) != 0
                        || (cpu.cr4 & Cpu.CR4_PAE) != 0 && (cpu.efer & Cpu.EFER_NXE) != 0;
        if (access == FETCH && tellsFetch) {
            code |= ERROR_ID;
        }
        return cpu.pageFault(va, (int) code);
    }
}
