package dev.pacifica.emulator.paging;

import static dev.pacifica.emulator.paging.PageEntry.A;
import static dev.pacifica.emulator.paging.PageEntry.ADDRESS;
import static dev.pacifica.emulator.paging.PageEntry.D;
import static dev.pacifica.emulator.paging.PageEntry.NX;
import static dev.pacifica.emulator.paging.PageEntry.P;
import static dev.pacifica.emulator.paging.PageEntry.PS;
import static dev.pacifica.emulator.paging.PageEntry.RW;
import static dev.pacifica.emulator.paging.PageEntry.US;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.memory.PhysicalMemory;

/**
 * Walks the host's nested tables, which translate the guest's physical addresses (§15.25): 32-bit,
 * PAE or 4-level, as the host's CR4 and EFER were at VMRUN (§15.25.3). Sets their accessed and
 * dirty bits, and tells of faults through the {@link NestedFaultHandler}.
 */
final class NestedWalk {
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

    /**
     * What a walk returns that met a fault: the guest is left, and {@link #leaving} is to be thrown
     * by whoever has the least frames around it, since each of them that is unwound costs 100 ns.
     */
    static final long LEFT = -1;

    private final Cpu cpu;
    private final PhysicalMemory memory;

    /** Bits of the VMCB's field 90h that are in force: {@link Mmu#NESTED} and its options. */
    long control;

    long cr3;

    /** The guest-physical page that is redirected to AVIC, or -1 (§15.29.3). */
    long redirected = -1;

    long hostCr4;
    long hostEfer;

    /** The index into the host's PAT for the guest's table that was translated last. */
    int tablePat;

    NestedFaultHandler faults = (gpa, info1) -> new IllegalStateException("no handler");

    private final HiddenMemory hidden;

    private RuntimeException leaving;

    NestedWalk(Cpu cpu, PhysicalMemory memory, HiddenMemory hidden) {
        this.cpu = cpu;
        this.memory = memory;
        this.hidden = hidden;
    }

    boolean enabled() {
        return control != 0;
    }

    /** Guest tables are read as such, and written only for their A and D bits (§15.25.5). */
    boolean readOnlyTables() {
        return (control & Mmu.READ_ONLY_TABLES) != 0;
    }

    /** What is to be thrown after a walk returned {@link #LEFT}. */
    RuntimeException leaving() {
        return leaving;
    }

    /**
     * The address and permissions (as flags of {@link Tlb}) behind the final address of a guest's
     * access; or {@link #LEFT}.
     *
     * @param user the guest's access has user privilege
     */
    long translateFinal(long gpa, int access, boolean user) {
        return translate(gpa, access, user, FINAL_TRANSLATION);
    }

    /**
     * Where an entry of the guest's tables is. The walk is a user write, unless the guest may have
     * read-only tables (§15.25.5).
     */
    long translateTable(long gpa) {
        int access = readOnlyTables() ? PageWalk.READ : PageWalk.WRITE;
        return table(gpa, access);
    }

    /** As {@link #translateTable}, to set accessed and dirty bits in the entry. */
    long translateTableForUpdate(long gpa) {
        return table(gpa, PageWalk.WRITE);
    }

    private long table(long gpa, int access) {
        long found = translate(gpa, access, true, TABLE_TRANSLATION);
        if (found == LEFT) {
            throw leaving;
        }
        tablePat = (int) (found >>> Tlb.NESTED_PAT_SHIFT) & 7;
        return found & Tlb.PAGE_MASK | gpa & 0xfff;
    }

    private long translate(long gpa, int access, boolean user, long stage) {
        long found = walk(gpa, access, user, stage);
        if (cpu.observer != null && found != LEFT) {
            cpu.observer.nestedTranslation(
                    cpu.id, gpa & Tlb.PAGE_MASK, found & Tlb.PAGE_MASK, (found & Tlb.WRITE) != 0);
        }
        return found;
    }

    private long walk(long gpa, int access, boolean user, long stage) {
        if ((hostEfer & Cpu.EFER_LMA) != 0) {
            if (gpa >>> 48 != 0) {
                return fault(gpa, access, user, stage, 0);
            }
            return walk64(gpa, access, user, stage, 4, cr3);
        }
        if (gpa >>> 32 != 0) {
            return fault(gpa, access, user, stage, 0);
        }
        return (hostCr4 & Cpu.CR4_PAE) != 0
                ? walkPae(gpa, access, user, stage)
                : walk32(gpa, access, user, stage);
    }

    private long walkPae(long gpa, int access, boolean user, long stage) {
        long entry = memory.read64(hidden.view((cr3 & 0xffff_ffe0L) + (gpa >>> 30 & 3) * 8));
        if ((entry & P) == 0) {
            return fault(gpa, access, user, stage, 0);
        }
        if (PageEntry.badPointer(entry)) {
            return fault(gpa, access, user, stage, ERROR_P | ERROR_RSV);
        }
        return walk64(gpa, access, user, stage, 2, entry);
    }

    private long walk64(long gpa, int access, boolean user, long stage, int levels, long root) {
        boolean nxe = (hostEfer & Cpu.EFER_NXE) != 0;
        boolean hugePages = cpu.model.hugePages();
        long permissions = RW | US;
        long noExecute = 0;
        long parent = root;
        for (int level = levels; ; level--) {
            int shift = 12 + 9 * (level - 1);
            long where = hidden.view((parent & ADDRESS) + (gpa >>> shift & 511) * 8);
            long entry = memory.read64(where);
            if ((entry & P) == 0) {
                return fault(gpa, access, user, stage, 0);
            }
            boolean leaf = PageEntry.leaf(entry, level, hugePages);
            if ((entry & PageEntry.reserved(level, leaf, levels == 2, nxe, hugePages)) != 0) {
                return fault(gpa, access, user, stage, ERROR_P | ERROR_RSV);
            }
            permissions &= entry;
            noExecute |= entry & NX;
            if (!leaf) {
                if ((entry & A) == 0) {
                    update(parent, where);
                    memory.write64(where, entry | A);
                }
                parent = entry;
                continue;
            }
            long flags = check(gpa, access, user, stage, permissions, noExecute != 0);
            if (flags == LEFT) {
                return LEFT;
            }
            long updated = entry | A | (access == PageWalk.WRITE ? D : 0);
            if (updated != entry) {
                update(parent, where);
                memory.write64(where, updated);
            }
            long mask = (1L << shift) - 1;
            int pat = level == 1 ? PageEntry.patIndex(entry) : PageEntry.patIndexOfLarge(entry);
            return hidden.view((entry & ADDRESS & ~mask | gpa & mask) & Tlb.PAGE_MASK)
                    | (long) pat << Tlb.NESTED_PAT_SHIFT
                    | flags & ((updated & D) == 0 ? ~Tlb.WRITE : -1L);
        }
    }

    private long walk32(long gpa, int access, boolean user, long stage) {
        long where = hidden.view((cr3 & 0xffff_f000L) + (gpa >>> 22 & 1023) * 4);
        long entry = memory.read(where, 4);
        if ((entry & P) == 0) {
            return fault(gpa, access, user, stage, 0);
        }
        long permissions = entry;
        long parent = cr3;
        long page;
        int pat;
        if ((entry & PS) != 0 && (hostCr4 & Cpu.CR4_PSE) != 0) {
            if ((entry & PageEntry.RESERVED_4M) != 0) {
                return fault(gpa, access, user, stage, ERROR_P | ERROR_RSV);
            }
            page = PageEntry.base4M(entry) | gpa & 0x3f_f000;
            pat = PageEntry.patIndexOfLarge(entry);
        } else {
            if ((entry & A) == 0) {
                update(parent, where);
                memory.write(where, 4, entry | A);
            }
            parent = entry;
            where = hidden.view((entry & 0xffff_f000L) + (gpa >>> 12 & 1023) * 4);
            entry = memory.read(where, 4);
            if ((entry & P) == 0) {
                return fault(gpa, access, user, stage, 0);
            }
            permissions &= entry;
            page = entry & 0xffff_f000L;
            pat = PageEntry.patIndex(entry);
        }
        long flags = check(gpa, access, user, stage, permissions, false);
        if (flags == LEFT) {
            return LEFT;
        }
        long updated = entry | A | (access == PageWalk.WRITE ? D : 0);
        if (updated != entry) {
            update(parent, where);
            memory.write(where, 4, updated);
        }
        return hidden.view(page)
                | (long) pat << Tlb.NESTED_PAT_SHIFT
                | flags & ((updated & D) == 0 ? ~Tlb.WRITE : -1L);
    }

    /** Accessed and dirty bits are about to be set in the entry at {@code where}. */
    private void update(long parent, long where) {
        cpu.nestedTableUpdate(where, PageEntry.patIndexOfTable(parent));
    }

    /**
     * Every nested access is a user access, and hCR0.WP, hCR4.SMEP and hCR4.SMAP have no effect
     * (§15.25.5, §15.25.7). With the execute trap, the U/S bit forbids nothing but execution by the
     * guest's supervisor (§15.25.13).
     */
    private long check(
            long gpa, int access, boolean user, long stage, long permissions, boolean noExecute) {
        boolean userPage = (permissions & US) != 0;
        boolean trap = executeTrap();
        boolean executable = !noExecute && !(trap && userPage && !user);
        boolean allowed =
                (userPage || trap)
                        && switch (access) {
                            case PageWalk.FETCH -> executable;
                            case PageWalk.WRITE -> (permissions & RW) != 0;
                            default -> true;
                        };
        if (!allowed) {
            return fault(gpa, access, user, stage, ERROR_P);
        }
        return Tlb.READ
                | ((permissions & RW) != 0 ? Tlb.WRITE : 0)
                | (executable ? Tlb.EXECUTE : 0);
    }

    private boolean executeTrap() {
        return (control & Mmu.EXECUTE_TRAP) != 0;
    }

    /** Bit 2 is always set but with the execute trap, when it tells the guest's privilege. */
    private long fault(long gpa, int access, boolean user, long stage, long error) {
        long info1 = error | stage | (user || !executeTrap() ? ERROR_US : 0);
        info1 |= access == PageWalk.WRITE ? ERROR_RW : access == PageWalk.FETCH ? ERROR_ID : 0;
        leaving = faults.nestedPageFault(gpa, info1);
        return LEFT;
    }
}
