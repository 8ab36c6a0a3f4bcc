package dev.pacifica.emulator.check;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.observe.MachineObserver.VmcbView;
import dev.pacifica.emulator.paging.TranslationWatch;
import dev.pacifica.emulator.svm.ExitCode;
import dev.pacifica.emulator.svm.SvmFeatures;
import dev.pacifica.emulator.svm.VmcbLayout;
import java.util.List;

/**
 * Translations that the hypervisor took back, in its nested or shadow tables, but not out of the
 * processor's TLB before the guest goes on (§15.16). What only permits more, and accessed and dirty
 * bits, needs no flush.
 */
final class StaleChecks {
    /** ASIDs of one processor that are followed; the one taken up longest ago makes way. */
    private static final int ASIDS = 16;

    /**
     * Instructions that a hypervisor with more than one processor has from the change to the flush:
     * between the two, another processor may enter the guest again, since the page is not given to
     * anybody yet.
     */
    private static final long GRACE = 1_000_000;

    /** Error-code bit: an instruction fetch. */
    private static final int FETCH = 1 << 4;

    private static final int WRITE_CR3 = 1 << 19;
    private static final int INVLPG = 1 << 25;

    /** What one processor's last VMRUN put into force, and what it may have cached. */
    private static final class Processor {
        final Translations[] asids = new Translations[ASIDS];
        int next;

        /** The ASID that runs; null if its tables are not followed. */
        Translations running;

        boolean nested;
        long vmcb;

        /** RIP of the VMRUN. */
        long entered;

        /** The flush of some translation of the guest's is overdue. */
        boolean watched;

        /** Told of the guest's accesses by cached translations while some are watched. */
        TranslationWatch watch;
    }

    private final Findings findings;
    private final Processor[] processors;
    private final TableWalk walk;

    StaleChecks(Findings findings, List<Cpu> cpus) {
        this.findings = findings;
        walk = new TableWalk(cpus.getFirst().memory);
        processors = new Processor[cpus.size()];
        for (int i = 0; i < processors.length; i++) {
            Processor own = new Processor();
            Cpu cpu = cpus.get(i);
            own.watch = (va, page, write, fetch) -> hit(cpu, own, va, page, write, fetch);
            processors[i] = own;
        }
    }

    void vmrun(Cpu cpu, long address, VmcbView vmcb) {
        Processor own = processors[cpu.id];
        own.watched = false;
        enter(cpu, own, address, vmcb);
        cpu.mmu.setTranslationWatch(own.watched ? own.watch : null);
    }

    private void enter(Cpu cpu, Processor own, long address, VmcbView vmcb) {
        own.entered = cpu.rip;
        int asid = (int) vmcb.get(VmcbLayout.ASID, 4);
        own.vmcb = address;
        own.nested = SvmFeatures.nestedPaging(cpu.model, vmcb.get(VmcbLayout.NP_ENABLE, 8));
        own.running = null;
        TableWalk.Format format;
        long root;
        if (own.nested) {
            format = TableWalk.Format.of(cpu.cr4, (cpu.efer & Cpu.EFER_LMA) != 0);
            root = vmcb.get(VmcbLayout.N_CR3, 8);
        } else if (shadowed(vmcb)) {
            // Paging is on in a shadowed guest, so that LME alone decides (§15.5.1).
            boolean longMode = (vmcb.get(VmcbLayout.EFER, 8) & Cpu.EFER_LME) != 0;
            format = TableWalk.Format.of(vmcb.get(VmcbLayout.CR4, 8), longMode);
            root = vmcb.get(VmcbLayout.CR3, 8);
        } else {
            return;
        }
        Translations cached = of(own, asid);
        own.running = cached;
        if (cached.root != root || cached.format != format || cached.nested != own.nested) {
            // A change that AsidChecks looks at.
            cached.clear();
            cached.root = root;
            cached.format = format;
            cached.nested = own.nested;
        } else if (vmcb.get(VmcbLayout.TLB_CONTROL, 1) == 0) {
            verify(cpu, own, cached);
        }
    }

    /** The guest pages by tables that it cannot know, so the hypervisor's. */
    private static boolean shadowed(VmcbView vmcb) {
        return (vmcb.get(VmcbLayout.CR0, 8) & Cpu.CR0_PG) != 0
                && (vmcb.get(VmcbLayout.INTERCEPT_CR, 4) & WRITE_CR3) != 0
                && (vmcb.get(VmcbLayout.INTERCEPT_MISC1, 4) & INVLPG) != 0;
    }

    private static Translations find(Processor own, int asid) {
        for (Translations each : own.asids) {
            if (each != null && each.asid == asid) {
                return each;
            }
        }
        return null;
    }

    private static Translations of(Processor own, int asid) {
        Translations known = find(own, asid);
        if (known == null) {
            known = new Translations(asid);
            own.asids[own.next] = known;
            own.next = (own.next + 1) % ASIDS;
        }
        return known;
    }

    private void verify(Cpu cpu, Processor own, Translations cached) {
        boolean all = cached.uppersChanged(walk);
        for (int i = cached.count - 1; i >= 0; i--) {
            int slot = cached.used[i];
            if (all || cached.staleSince[slot] != 0 || cached.leafChanged(slot, walk)) {
                compare(cpu, own, cached, slot);
            }
        }
    }

    /** Notes whether a translation is stale, and from when on it must not be used. */
    private void compare(Cpu cpu, Processor own, Translations cached, int slot) {
        long then = cached.found[slot];
        long now = walk.translate(cached.format, cached.root, cached.page[slot]);
        if (taken(then, now) == 0) {
            cached.accept(slot, walk);
            return;
        }
        if (cached.staleSince[slot] == 0) {
            cached.staleSince[slot] = Math.max(1, cpu.clock.retired);
        }
        if (processors.length == 1 || cpu.clock.retired - cached.staleSince[slot] >= GRACE) {
            if (!cached.overdue[slot]) {
                cached.overdue[slot] = true;
                cpu.mmu.reveal(cached.asid, then & TableWalk.ADDRESS);
            }
            own.watched = true;
        }
    }

    /** What of an old translation does not hold any more: all of it, or some permissions. */
    private static long taken(long then, long now) {
        boolean gone = (now & TableWalk.PRESENT) == 0 || ((then ^ now) & TableWalk.ADDRESS) != 0;
        return (gone ? then : then & ~now) & 0xfff;
    }

    /** The guest, or the processor for it, gets to a page by a translation cached before. */
    private void hit(Cpu cpu, Processor own, long va, long page, boolean write, boolean fetch) {
        Translations cached = own.running;
        if (cached == null || !cpu.guestMode) {
            return;
        }
        int slot = own.nested ? onlyOneBehind(cached, page) : Translations.slot(va);
        if (slot < 0 || !cached.overdue(own.nested ? cached.page[slot] : va & -4096)) {
            return;
        }
        long then = cached.found[slot];
        long now = walk.translate(cached.format, cached.root, cached.page[slot]);
        long needed = TableWalk.PRESENT | TableWalk.USER;
        if (!own.nested && cpu.cpl != 3) {
            needed = TableWalk.PRESENT;
        }
        needed |= write ? TableWalk.WRITE : fetch ? TableWalk.EXECUTE : 0;
        if ((taken(then, now) & needed) != 0) {
            report(cpu, own, slot, now, cpu.rip);
        }
    }

    /** VMRUN was refused: no guest runs, whose accesses were to be watched. */
    void refused(Cpu cpu) {
        processors[cpu.id].watched = false;
        cpu.mmu.setTranslationWatch(null);
    }

    /** The translation that leads to a page if it is the only one; -1 otherwise. */
    private static int onlyOneBehind(Translations cached, long page) {
        int only = -1;
        for (int i = 0; i < cached.count; i++) {
            int slot = cached.used[i];
            if ((cached.found[slot] & TableWalk.ADDRESS) == page) {
                if (only >= 0) {
                    return -1;
                }
                only = slot;
            }
        }
        return only;
    }

    /**
     * The guest was left. A fault by the tables as they are now is a use of what the processor may
     * have cached, if that permits the access.
     */
    void vmexit(Cpu cpu, VmcbView vmcb) {
        Processor own = processors[cpu.id];
        Translations cached = own.running;
        if (cached == null || !own.watched) {
            return;
        }
        cpu.mmu.setTranslationWatch(null);
        int code = (int) vmcb.get(VmcbLayout.EXITCODE, 4);
        if (code != (own.nested ? ExitCode.NPF : ExitCode.EXCEPTION + GuestException.PF)) {
            return;
        }
        long at = vmcb.get(VmcbLayout.EXITINFO2, 8) & -4096;
        if (!cached.overdue(at)) {
            return;
        }
        int slot = Translations.slot(at);
        long now = walk.translate(cached.format, cached.root, at);
        long error = vmcb.get(VmcbLayout.EXITINFO1, 8);
        long needed = TableWalk.PRESENT | error & (TableWalk.WRITE | TableWalk.USER);
        needed |= (error & FETCH) != 0 ? TableWalk.EXECUTE : 0;
        long then = cached.found[slot];
        if ((needed & ~then) == 0 && (taken(then, now) & needed) != 0) {
            report(cpu, own, slot, now, vmcb.get(VmcbLayout.RIP, 8));
        }
    }

    private void report(Cpu cpu, Processor own, int slot, long now, long rip) {
        Translations cached = own.running;
        long then = cached.found[slot];
        long page = cached.page[slot];
        findings.add(
                own.nested ? CheckKind.STALE_NESTED_ENTRY : CheckKind.STALE_SHADOW_ENTRY,
                (now & TableWalk.PRESENT) == 0 ? "page unmapped" : subject(then, now),
                new Findings.Place(cpu.id, rip, true, own.vmcb),
                () ->
                        "ASID %d, page 0x%x: %s, now %s; entered by the VMRUN at 0x%x"
                                .formatted(cached.asid, page, text(then), text(now), own.entered));
        cached.drop(slot);
    }

    private static String subject(long then, long now) {
        return ((then ^ now) & TableWalk.ADDRESS) != 0 ? "page moved" : "permission taken";
    }

    private static String text(long translation) {
        if ((translation & TableWalk.PRESENT) == 0) {
            return "none";
        }
        return "0x%x r%s%s%s"
                .formatted(
                        translation & TableWalk.ADDRESS,
                        (translation & TableWalk.WRITE) != 0 ? "w" : "-",
                        (translation & TableWalk.EXECUTE) != 0 ? "x" : "-",
                        (translation & TableWalk.USER) != 0 ? "u" : "-");
    }

    /** The nested tables were walked for a guest-physical page. */
    void nestedTranslation(Cpu cpu, long page, boolean writable) {
        if (processors[cpu.id].nested) {
            keep(cpu, page, writable);
        }
    }

    /** A guest's tables were walked without nested paging. */
    void translation(Cpu cpu, long page, boolean writable) {
        if (!processors[cpu.id].nested) {
            keep(cpu, page, writable);
        }
    }

    private void keep(Cpu cpu, long page, boolean writable) {
        Translations cached = processors[cpu.id].running;
        if (cached == null || !cpu.guestMode) {
            return;
        }
        long found = walk.translate(cached.format, cached.root, page);
        if (cached.overdue(page)) {
            int slot = Translations.slot(page);
            if (((cached.found[slot] ^ found) & TableWalk.ADDRESS) == 0) {
                return; // what the processor may have cached permits this access too
            }
            report(cpu, processors[cpu.id], slot, found, cpu.rip);
        }
        if (found != 0) {
            cached.keep(page, writable ? found : found & ~TableWalk.WRITE, walk);
        }
    }

    void flushed(int vcpu, int asid) {
        for (Translations each : processors[vcpu].asids) {
            if (each != null && (asid < 0 || each.asid == asid)) {
                each.clear();
            }
        }
    }

    /**
     * INVLPGA and INVLPGB of a page drop linear translations, which under nested paging are not
     * those followed here.
     */
    void invlpga(int vcpu, long va, int asid) {
        Translations cached = find(processors[vcpu], asid);
        if (cached != null && !cached.nested) {
            cached.invalidate(va);
        }
    }
}
