package dev.pacifica.emulator.paging;

import static dev.pacifica.emulator.paging.PageEntry.A;
import static dev.pacifica.emulator.paging.PageEntry.ADDRESS;
import static dev.pacifica.emulator.paging.PageEntry.D;
import static dev.pacifica.emulator.paging.PageEntry.G;
import static dev.pacifica.emulator.paging.PageEntry.NX;
import static dev.pacifica.emulator.paging.PageEntry.P;
import static dev.pacifica.emulator.paging.PageEntry.PS;
import static dev.pacifica.emulator.paging.PageEntry.RW;
import static dev.pacifica.emulator.paging.PageEntry.US;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.memory.PhysicalMemory;

/**
 * Walks the page tables of the current address space: 32-bit, PAE and 4-level (§5.2, §5.3), for a
 * guest with nested paging by way of the {@link NestedWalk}. Sets accessed and dirty bits as it
 * passes, and tells of faults by {@link GuestException}. The order of faults is that of §15.25.6.
 */
final class PageWalk {
    static final int READ = 0;
    static final int WRITE = 1;
    static final int FETCH = 2;

    private static final long ERROR_P = 1;
    private static final long ERROR_RW = 2;
    private static final long ERROR_US = 4;
    private static final long ERROR_RSV = 8;
    private static final long ERROR_ID = 16;

    private final Cpu cpu;
    private final PhysicalMemory memory;

    final NestedWalk nested;

    private final HiddenMemory hidden;

    /** Whether the last linear address to be translated was an instruction's. */
    boolean fetching;

    PageWalk(Cpu cpu, PhysicalMemory memory, HiddenMemory hidden) {
        this.cpu = cpu;
        this.memory = memory;
        this.hidden = hidden;
        nested = new NestedWalk(cpu, memory, hidden);
    }

    /**
     * Translates {@code va} for an access of the given kind at the given privilege. Returns the
     * physical page with the flags of {@link Tlb}, or {@link NestedWalk#LEFT}; raises #PF.
     *
     * @param acAllows RFLAGS.AC lifts SMAP for this access
     */
    long translate(long va, int access, boolean user, boolean acAllows) {
        long found = walk(va, access, user, acAllows);
        if (cpu.observer != null && cpu.guestMode && !nested.enabled()) {
            cpu.observer.translation(cpu.id, va & Tlb.PAGE_MASK, (found & Tlb.WRITE) != 0);
        }
        return found;
    }

    private long walk(long va, int access, boolean user, boolean acAllows) {
        fetching = access == FETCH;
        if ((cpu.cr0 & Cpu.CR0_PG) == 0) {
            long flags = Tlb.READ | Tlb.WRITE | Tlb.EXECUTE;
            return finish(va & 0xffff_ffffL, access, user, flags);
        }
        if ((cpu.efer & Cpu.EFER_LMA) != 0) {
            long root = (cpu.cr4 & Cpu.CR4_PCIDE) == 0 ? cpu.cr3 : cpu.cr3 & ADDRESS;
            return walk64(va, access, user, acAllows, 4, root);
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
        if (!nested.enabled()) {
            return hidden.view(gpa);
        }
        long found = nested.translateFinal(gpa, access, false);
        if (found == NestedWalk.LEFT) {
            throw nested.leaving();
        }
        return found & Tlb.PAGE_MASK | gpa & 0xfff;
    }

    private long walkPae(long va, int access, boolean user, boolean acAllows) {
        long entryAddress = (cpu.cr3 & 0xffff_ffe0L) + (va >>> 30 & 3) * 8;
        long where = tableEntry(entryAddress);
        long entry = memory.read64(where);
        if ((entry & P) == 0) {
            throw pageFault(va, access, user, 0);
        }
        if (PageEntry.badPointer(entry)) {
            throw pageFault(va, access, user, ERROR_P | ERROR_RSV);
        }
        return walk64(va, access, user, acAllows, 2, entry);
    }

    /** Walks from the table that {@code root}, CR3 or a page-directory-pointer entry, leads to. */
    private long walk64(
            long va, int access, boolean user, boolean acAllows, int levels, long root) {
        boolean nxe = (cpu.efer & Cpu.EFER_NXE) != 0;
        boolean hugePages = cpu.model.hugePages();
        long permissions = RW | US;
        long noExecute = 0;
        long parent = root;
        for (int level = levels; ; level--) {
            int shift = 12 + 9 * (level - 1);
            long address = (parent & ADDRESS) + (va >>> shift & 511) * 8;
            long where = tableEntry(address);
            long entry = memory.read64(where);
            if ((entry & P) == 0) {
                throw pageFault(va, access, user, 0);
            }
            boolean leaf = PageEntry.leaf(entry, level, hugePages);
            if ((entry & PageEntry.reserved(level, leaf, levels == 2, nxe, hugePages)) != 0) {
                throw pageFault(va, access, user, ERROR_P | ERROR_RSV);
            }
            permissions &= entry;
            noExecute |= entry & NX;
            if (!leaf) {
                if ((entry & A) == 0) {
                    memory.write64(forUpdate(address, where, parent), entry | A);
                }
                parent = entry;
                continue;
            }
            long flags = check(va, access, user, acAllows, permissions, noExecute != 0);
            long updated = entry | A | (access == WRITE ? D : 0);
            if (updated != entry) {
                memory.write64(forUpdate(address, where, parent), updated);
            }
            if ((updated & D) == 0) {
                flags &= ~Tlb.WRITE;
            }
            int pat = level == 1 ? PageEntry.patIndex(entry) : PageEntry.patIndexOfLarge(entry);
            flags |= (long) pat << Tlb.PAT_SHIFT;
            long mask = (1L << shift) - 1;
            long gpa = entry & ADDRESS & ~mask | va & mask;
            flags |= (entry & G) != 0 && (cpu.cr4 & Cpu.CR4_PGE) != 0 ? Tlb.GLOBAL : 0;
            flags |= level == 3 ? Tlb.HUGE : level == 2 ? Tlb.LARGE : 0;
            return finish(gpa, access, user, flags);
        }
    }

    private long walk32(long va, int access, boolean user, boolean acAllows) {
        long address = (cpu.cr3 & 0xffff_f000L) + (va >>> 22 & 1023) * 4;
        long where = tableEntry(address);
        long entry = memory.read(where, 4);
        if ((entry & P) == 0) {
            throw pageFault(va, access, user, 0);
        }
        if ((entry & PS) != 0 && (cpu.cr4 & Cpu.CR4_PSE) != 0) {
            if ((entry & PageEntry.RESERVED_4M) != 0) {
                throw pageFault(va, access, user, ERROR_P | ERROR_RSV);
            }
            return leaf32(
                    va,
                    access,
                    user,
                    acAllows,
                    address,
                    where,
                    cpu.cr3,
                    entry,
                    entry,
                    PageEntry.base4M(entry) | va & 0x3f_ffff,
                    Tlb.LARGE_4M | (long) PageEntry.patIndexOfLarge(entry) << Tlb.PAT_SHIFT);
        }
        if ((entry & A) == 0) {
            memory.write(forUpdate(address, where, cpu.cr3), 4, entry | A);
        }
        long pteAddress = (entry & 0xffff_f000L) + (va >>> 12 & 1023) * 4;
        long pteWhere = tableEntry(pteAddress);
        long pte = memory.read(pteWhere, 4);
        if ((pte & P) == 0) {
            throw pageFault(va, access, user, 0);
        }
        return leaf32(
                va,
                access,
                user,
                acAllows,
                pteAddress,
                pteWhere,
                entry,
                pte,
                entry & pte,
                pte & 0xffff_f000L | va & 0xfff,
                (long) PageEntry.patIndex(pte) << Tlb.PAT_SHIFT);
    }

    private long leaf32(
            long va,
            int access,
            boolean user,
            boolean acAllows,
            long address,
            long where,
            long parent,
            long entry,
            long permissions,
            long gpa,
            long sizeAndPat) {
        long flags = check(va, access, user, acAllows, permissions, false);
        long updated = entry | A | (access == WRITE ? D : 0);
        if (updated != entry) {
            memory.write(forUpdate(address, where, parent), 4, updated);
        }
        if ((updated & D) == 0) {
            flags &= ~Tlb.WRITE;
        }
        flags |= (entry & G) != 0 && (cpu.cr4 & Cpu.CR4_PGE) != 0 ? Tlb.GLOBAL : 0;
        return finish(gpa, access, user, flags | sizeAndPat);
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

    private long finish(long gpa, int access, boolean user, long flags) {
        if (!nested.enabled()) {
            return hidden.view(gpa & Tlb.PAGE_MASK) | flags;
        }
        long host = nested.translateFinal(gpa, access, user);
        if (host == NestedWalk.LEFT) {
            return NestedWalk.LEFT;
        }
        if ((gpa & Tlb.PAGE_MASK) == nested.redirected && access != FETCH) {
            host = Mmu.APIC_PAGE | host & 0xfff;
        }
        return host & (Tlb.PAGE_MASK | Tlb.NESTED_PAT)
                | flags & ~(Tlb.WRITE | Tlb.EXECUTE)
                | flags & host & (Tlb.WRITE | Tlb.EXECUTE);
    }

    /** Where a page-table entry is in system-physical memory. */
    private long tableEntry(long address) {
        return nested.enabled() ? nested.translateTable(address) : hidden.view(address);
    }

    /**
     * The same, for a write of its accessed and dirty bits; {@code parent} is the entry or CR3 that
     * leads to the table.
     */
    private long forUpdate(long address, long where, long parent) {
        long at = nested.readOnlyTables() ? nested.translateTableForUpdate(address) : where;
        cpu.tableUpdate(at, PageEntry.patIndexOfTable(parent), nested.tablePat);
        return at;
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
