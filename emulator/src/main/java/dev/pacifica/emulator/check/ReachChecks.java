package dev.pacifica.emulator.check;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.observe.MachineObserver.VmcbView;
import dev.pacifica.emulator.svm.SvmFeatures;
import dev.pacifica.emulator.svm.VmcbLayout;
import java.util.Arrays;
import java.util.List;

/**
 * Pages of the host's that a guest gets through its nested tables (§15.25): looked at whenever the
 * tables are walked, for the whole page, large ones too, that the walk ends in.
 */
final class ReachChecks {
    private static final long ADDRESS = (1L << CpuModel.PHYSICAL_BITS) - 4096;
    private static final long PRESENT = 1;
    private static final long LARGE = 1 << 7;
    private static final long PAGE = 4096;
    private static final int IO_MAP_PAGES = 3;
    private static final int MSR_MAP_PAGES = 2;

    /** Table pages that are remembered with an address that they were walked for. */
    private static final int TABLES = 1 << 14;

    private static final long NONE = -1;

    /** What one processor's VMRUN put into force. */
    private static final class Guest {
        long vmcb = NONE;
        long ioMap = NONE;
        long msrMap = NONE;
        long hostTable = NONE;
        long nestedTable = NONE;
        boolean fourLevels;
    }

    private final Findings findings;
    private final List<Cpu> cpus;
    private final Guest[] guests;
    private final long[] tablePage = new long[TABLES];
    private final long[] tableRoot = new long[TABLES];
    private final long[] walkedFor = new long[TABLES];

    ReachChecks(Findings findings, List<Cpu> cpus) {
        this.findings = findings;
        this.cpus = cpus;
        guests = new Guest[cpus.size()];
        for (int i = 0; i < guests.length; i++) {
            guests[i] = new Guest();
        }
        Arrays.fill(tablePage, NONE);
    }

    void vmrun(Cpu cpu, long address, VmcbView vmcb) {
        Guest guest = guests[cpu.id];
        guest.vmcb = address;
        guest.ioMap = vmcb.get(VmcbLayout.IOPM_BASE_PA, 8) & ADDRESS;
        guest.msrMap = vmcb.get(VmcbLayout.MSRPM_BASE_PA, 8) & ADDRESS;
        guest.hostTable = (cpu.cr0 & Cpu.CR0_PG) != 0 ? cpu.cr3 & ADDRESS : NONE;
        boolean nested = SvmFeatures.nestedPaging(cpu.model, vmcb.get(VmcbLayout.NP_ENABLE, 8));
        guest.nestedTable = nested ? vmcb.get(VmcbLayout.N_CR3, 8) & ADDRESS : NONE;
        guest.fourLevels = (cpu.efer & Cpu.EFER_LMA) != 0;
    }

    void translated(Cpu cpu, long guestPage, long page, boolean writable) {
        Guest own = guests[cpu.id];
        long size = PAGE;
        if (own.fourLevels && own.nestedTable != NONE) {
            size = leafSize(cpu.memory, own.nestedTable, guestPage);
        }
        long base = page & -size;
        for (int i = 0; i < guests.length; i++) {
            Cpu other = cpus.get(i);
            long saveArea = other.msrs.vmHsavePa;
            if (saveArea != 0) {
                look(
                        cpu,
                        CheckKind.REACHES_HOST_SAVE_AREA,
                        "VM_HSAVE_PA",
                        saveArea,
                        1,
                        base,
                        size,
                        guestPage,
                        writable);
            }
            if (other.guestMode) {
                look(cpu, guests[i], base, size, guestPage, writable);
            }
        }
        nestedTable(cpu, own, guestPage, page, writable);
    }

    private void look(
            Cpu cpu, Guest guest, long base, long size, long guestPage, boolean writable) {
        look(cpu, CheckKind.REACHES_VMCB, "VMCB", guest.vmcb, 1, base, size, guestPage, writable);
        look(
                cpu,
                CheckKind.REACHES_PERMISSION_MAP,
                "IOPM",
                guest.ioMap,
                IO_MAP_PAGES,
                base,
                size,
                guestPage,
                writable);
        look(
                cpu,
                CheckKind.REACHES_PERMISSION_MAP,
                "MSRPM",
                guest.msrMap,
                MSR_MAP_PAGES,
                base,
                size,
                guestPage,
                writable);
        look(
                cpu,
                CheckKind.REACHES_NESTED_TABLE,
                "N_CR3",
                guest.nestedTable,
                1,
                base,
                size,
                guestPage,
                writable);
        look(
                cpu,
                CheckKind.REACHES_HOST_TABLE,
                "host CR3",
                guest.hostTable,
                1,
                base,
                size,
                guestPage,
                writable);
    }

    private void look(
            Cpu cpu,
            CheckKind kind,
            String what,
            long target,
            int pages,
            long base,
            long size,
            long guestPage,
            boolean writable) {
        if (target == NONE || target + pages * PAGE <= base || target >= base + size) {
            return;
        }
        report(cpu, kind, what, target, base, size, guestPage, writable);
    }

    private void report(
            Cpu cpu,
            CheckKind kind,
            String what,
            long target,
            long base,
            long size,
            long guestPage,
            boolean writable) {
        findings.add(
                kind,
                what + (writable ? ", writable" : ", read-only"),
                cpu,
                guests[cpu.id].vmcb,
                () ->
                        "0x%x, behind guest-physical 0x%x (a page of %d KiB at 0x%x)"
                                .formatted(target, guestPage & -size, size >>> 10, base));
    }

    /** The size in bytes of the page that the walk ends in; remembers the tables on the way. */
    private long leafSize(PhysicalMemory memory, long root, long guestPage) {
        long table = root;
        for (int level = 4; level > 1; level--) {
            remember(root, table, guestPage);
            if (!memory.isRam(table)) {
                return PAGE;
            }
            int shift = 3 + 9 * level;
            long entry = memory.read64(table + (guestPage >>> shift & 511) * 8);
            if ((entry & PRESENT) == 0) {
                return PAGE;
            }
            if ((entry & LARGE) != 0) {
                return 1L << shift;
            }
            table = entry & ADDRESS;
        }
        remember(root, table, guestPage);
        return PAGE;
    }

    private static int slot(long page) {
        return (int) (page >>> 12) & TABLES - 1;
    }

    private void remember(long root, long table, long guestPage) {
        int slot = slot(table);
        tablePage[slot] = table;
        tableRoot[slot] = root;
        walkedFor[slot] = guestPage;
    }

    /** Whether the page is one of the guest's nested tables, and still is. */
    private void nestedTable(Cpu cpu, Guest own, long guestPage, long page, boolean writable) {
        int slot = slot(page);
        if (tablePage[slot] != page
                || tableRoot[slot] != own.nestedTable
                || page == own.nestedTable) {
            return;
        }
        if (isTable(cpu.memory, own.nestedTable, walkedFor[slot], page)) {
            report(
                    cpu,
                    CheckKind.REACHES_NESTED_TABLE,
                    "nested table",
                    page,
                    page,
                    PAGE,
                    guestPage,
                    writable);
        } else {
            tablePage[slot] = NONE;
        }
    }

    private static boolean isTable(PhysicalMemory memory, long root, long guestPage, long page) {
        long table = root;
        for (int level = 4; level > 1; level--) {
            if (!memory.isRam(table)) {
                return false;
            }
            long entry = memory.read64(table + (guestPage >>> 3 + 9 * level & 511) * 8);
            if ((entry & (PRESENT | LARGE)) != PRESENT) {
                return false;
            }
            table = entry & ADDRESS;
            if (table == page) {
                return true;
            }
        }
        return false;
    }
}
