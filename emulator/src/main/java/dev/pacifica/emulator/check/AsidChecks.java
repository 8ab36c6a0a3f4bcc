package dev.pacifica.emulator.check;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.observe.MachineObserver.VmcbView;
import dev.pacifica.emulator.svm.SvmFeatures;
import dev.pacifica.emulator.svm.VmcbLayout;
import java.util.Arrays;

/** Address space identifiers that change hands without a flush (§15.16). */
final class AsidChecks {
    private static final long CR4_BITS = Cpu.CR4_PGE | Cpu.CR4_PAE | Cpu.CR4_PSE;
    private static final int WRITE_CR3 = 1 << 19;
    private static final long EFER_BITS = Cpu.EFER_NXE | Cpu.EFER_LMA;

    /** No nested tables: those of the hypervisor are the guest's own CR3's. */
    private static final long NO_TABLES = -1;

    /** Whose translations each ASID of one processor holds. */
    private static final class Owners {
        /** VMCB by ASID; 0 when nobody's. */
        final long[] vmcb = new long[SvmFeatures.ASIDS];

        final long[] tables = new long[SvmFeatures.ASIDS];

        /** The machine's count of moves of the VMCB to another processor, when it ran here last. */
        final long[] moves = new long[SvmFeatures.ASIDS];

        /** Where CR4.PCIDE tells translations apart, by ASID; null for none. */
        final PcidTables[] pcids = new PcidTables[SvmFeatures.ASIDS];

        /** What the last VMRUN asked for; ASID 0 for none. */
        int runningAsid;

        long runningTables;

        /** The guest cannot change CR3 by itself. */
        boolean runningFixedCr3;
    }

    private final Findings findings;
    private final Owners[] processors;

    AsidChecks(Findings findings, int vcpus) {
        this.findings = findings;
        processors = new Owners[vcpus];
        for (int i = 0; i < vcpus; i++) {
            processors[i] = new Owners();
        }
    }

    void vmrun(Cpu cpu, long address, VmcbView vmcb, VmcbHistory last) {
        long asid = vmcb.get(VmcbLayout.ASID, 4);
        if (asid == 0 || asid >= SvmFeatures.ASIDS) {
            return;
        }
        if (last.processor >= 0 && last.processor != cpu.id) {
            last.moves++;
        }
        Owners owners = processors[cpu.id];
        int at = (int) asid;
        long tables =
                SvmFeatures.nestedPaging(cpu.model, vmcb.get(VmcbLayout.NP_ENABLE, 8))
                        ? vmcb.get(VmcbLayout.N_CR3, 8)
                        : NO_TABLES;
        if (vmcb.get(VmcbLayout.TLB_CONTROL, 1) == 0 && owners.vmcb[at] != 0) {
            compare(cpu, address, owners, at, tables, last, vmcb);
        }
        owners.runningAsid = at;
        owners.runningTables = tables;
        owners.runningFixedCr3 = (vmcb.get(VmcbLayout.INTERCEPT_CR, 4) & WRITE_CR3) != 0;
    }

    /** The guest was left: its translations are there, whatever VMRUN flushed before. */
    void vmexit(Cpu cpu, long address, VmcbHistory last) {
        Owners owners = processors[cpu.id];
        int at = owners.runningAsid;
        if (at > 0) {
            owners.vmcb[at] = address;
            owners.tables[at] = owners.runningTables;
            owners.moves[at] = last.moves;
            followPcid(owners, at, last);
        }
        owners.runningAsid = 0;
    }

    private static void followPcid(Owners owners, int asid, VmcbHistory last) {
        PcidTables pcids = owners.pcids[asid];
        if (pcids != null && !owners.runningFixedCr3) {
            pcids.clear();
        }
        if ((last.get(VmcbLayout.CR4, 8) & Cpu.CR4_PCIDE) != 0) {
            if (pcids == null) {
                pcids = new PcidTables();
                owners.pcids[asid] = pcids;
            }
            pcids.used(last.get(VmcbLayout.CR3, 8));
        }
    }

    /**
     * With nested paging an ASID stands for a guest-physical address space, which several VMCBs may
     * share (§15.25.1); without, for one guest's linear one.
     */
    private void compare(
            Cpu cpu,
            long address,
            Owners owners,
            int asid,
            long tables,
            VmcbHistory last,
            VmcbView vmcb) {
        boolean sameTables = owners.tables[asid] == tables;
        if (owners.vmcb[asid] != address) {
            if (!sameTables || tables == NO_TABLES) {
                findings.add(
                        CheckKind.ASID_REUSED,
                        "ASID",
                        cpu,
                        address,
                        () -> "ASID %d, last of VMCB 0x%x".formatted(asid, owners.vmcb[asid]));
            }
        } else if (!sameTables) {
            findings.add(
                    CheckKind.ASID_NESTED_TABLE_CHANGED,
                    "N_CR3",
                    cpu,
                    address,
                    () ->
                            "ASID %d, nested CR3 %s, now %s"
                                    .formatted(asid, text(owners.tables[asid]), text(tables)));
        } else if (owners.moves[asid] != last.moves) {
            findings.add(
                    CheckKind.ASID_MOVED,
                    "ASID",
                    cpu,
                    address,
                    () -> "ASID %d, between on processor %d".formatted(asid, last.processor));
        } else if (last.known) {
            pagingMode(cpu, address, owners.pcids[asid], last, vmcb);
        }
    }

    /** §15.16 "Software Rule", as far as it matters to translations that a guest can have. */
    private void pagingMode(
            Cpu cpu, long address, PcidTables pcids, VmcbHistory last, VmcbView vmcb) {
        long cr0 = vmcb.get(VmcbLayout.CR0, 8) | last.get(VmcbLayout.CR0, 8);
        if ((cr0 & Cpu.CR0_PG) == 0) {
            return;
        }
        CheckKind kind = CheckKind.PAGING_MODE_CHANGED;
        changed(kind, cpu, address, last, vmcb, "CR0", VmcbLayout.CR0, Cpu.CR0_PG);
        if (!tagged(pcids, last, vmcb)) {
            changed(kind, cpu, address, last, vmcb, "CR3", VmcbLayout.CR3, -1);
        }
        changed(kind, cpu, address, last, vmcb, "CR4", VmcbLayout.CR4, CR4_BITS);
        // Bit 63 of an entry is reserved while NXE is clear: no translation that the guest can have
        // has it, and all of them hold once NXE is set.
        boolean nxeOnlySet =
                (last.get(VmcbLayout.EFER, 8) & EFER_BITS | Cpu.EFER_NXE)
                        == (vmcb.get(VmcbLayout.EFER, 8) & EFER_BITS);
        kind = nxeOnlySet ? CheckKind.NXE_SET : kind;
        changed(kind, cpu, address, last, vmcb, "EFER", VmcbLayout.EFER, EFER_BITS);
    }

    /** Another PCID, of whose tables the translations are that it has (§5.5.1). */
    private static boolean tagged(PcidTables pcids, VmcbHistory last, VmcbView vmcb) {
        long both = last.get(VmcbLayout.CR4, 8) & vmcb.get(VmcbLayout.CR4, 8);
        return (both & Cpu.CR4_PCIDE) != 0
                && (pcids == null || pcids.agree(vmcb.get(VmcbLayout.CR3, 8)));
    }

    private void changed(
            CheckKind kind,
            Cpu cpu,
            long address,
            VmcbHistory last,
            VmcbView vmcb,
            String field,
            int offset,
            long bits) {
        long then = last.get(offset, 8);
        long now = vmcb.get(offset, 8);
        if (((then ^ now) & bits) != 0) {
            findings.add(
                    kind,
                    field,
                    cpu,
                    address,
                    () -> "0x%x at the last #VMEXIT, now 0x%x".formatted(then, now));
        }
    }

    private static String text(long tables) {
        return tables == NO_TABLES ? "none" : "0x%x".formatted(tables);
    }

    /** VMRUN was refused: no translation is the guest's. */
    void refused(Cpu cpu) {
        processors[cpu.id].runningAsid = 0;
    }

    /** The translations of an ASID, or of all for a negative one, were dropped. */
    void flushed(int vcpu, int asid) {
        Owners owners = processors[vcpu];
        if (asid < 0) {
            Arrays.fill(owners.vmcb, 0);
            Arrays.fill(owners.pcids, null);
        } else if (asid < SvmFeatures.ASIDS) {
            owners.vmcb[asid] = 0;
            if (owners.pcids[asid] != null) {
                owners.pcids[asid].clear();
            }
        }
    }
}
