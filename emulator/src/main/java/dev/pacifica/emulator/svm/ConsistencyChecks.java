package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.cpu.CpuModel;

/**
 * The checks of VMRUN on the state in the VMCB (§15.5.1 "Canonicalization and Consistency Checks",
 * §15.20, §15.25.4, §15.29.4), in the manual's order. Each rule's text is what an observer is told.
 */
final class ConsistencyChecks {
    private static final long HIGH_HALF = 0xffff_ffff_0000_0000L;
    private static final long BEYOND_PHYSICAL = -1L << CpuModel.PHYSICAL_BITS;
    private static final int INTERCEPT_NMI = 1 << 1;
    private static final long LONG_MODE = Cpu.EFER_LMA | Cpu.EFER_LME;
    private static final int IOPM_BYTES = 0x3000;
    private static final int MSRPM_BYTES = 0x2000;
    private static final int TABLE_BYTES = 0x1000;

    private ConsistencyChecks() {}

    /**
     * The first rule that is broken, or null if the guest may run.
     *
     * @param hostCr0 the host's CR0: nested paging needs its paging on
     */
    static String firstBroken(Vmcb vmcb, Cpu cpu, long hostCr0) {
        long cr0 = vmcb.get64(VmcbLayout.CR0);
        long cr3 = vmcb.get64(VmcbLayout.CR3);
        long cr4 = vmcb.get64(VmcbLayout.CR4);
        long efer = vmcb.get64(VmcbLayout.EFER);
        int cs = vmcb.get16(VmcbLayout.CS + VmcbLayout.ATTRIBUTES);
        boolean paging = (cr0 & Cpu.CR0_PG) != 0;
        boolean longMode = (efer & Cpu.EFER_LME) != 0 && paging;

        if ((efer & Cpu.EFER_SVME) == 0) {
            return "§15.5.1: EFER.SVME is zero";
        }
        if ((cr0 & Cpu.CR0_CD) == 0 && (cr0 & Cpu.CR0_NW) != 0) {
            return "§15.5.1: CR0.CD is zero and CR0.NW is set";
        }
        if ((cr0 & HIGH_HALF) != 0) {
            return "§15.5.1: CR0[63:32] are not zero";
        }
        if (longMode && (cr3 & BEYOND_PHYSICAL) != 0) {
            return "§15.5.1: an MBZ bit of CR3 is set";
        }
        if ((cr4 & ~cpu.model.cr4Mask()) != 0) {
            return "§15.5.1: an MBZ bit of CR4 is set";
        }
        if ((vmcb.get64(VmcbLayout.DR6) & HIGH_HALF) != 0) {
            return "§15.5.1: DR6[63:32] are not zero";
        }
        if ((vmcb.get64(VmcbLayout.DR7) & HIGH_HALF) != 0) {
            return "§15.5.1: DR7[63:32] are not zero";
        }
        if ((efer & ~(cpu.model.eferMask() | LONG_MODE)) != 0) {
            return "§15.5.1: an MBZ bit of EFER is set";
        }
        if ((efer & LONG_MODE) != 0 && !cpu.model.has(CpuFeature.LM)) {
            return "§15.5.1: EFER.LMA or EFER.LME is set and the processor has no long mode";
        }
        if (longMode && (cr4 & Cpu.CR4_PAE) == 0) {
            return "§15.5.1: EFER.LME and CR0.PG are set and CR4.PAE is zero";
        }
        if (longMode && (cr0 & Cpu.CR0_PE) == 0) {
            return "§15.5.1: EFER.LME and CR0.PG are set and CR0.PE is zero";
        }
        if (longMode && (cs & Cpu.ATTR_L) != 0 && (cs & Cpu.ATTR_DB) != 0) {
            return "§15.5.1: EFER.LME, CR0.PG, CR4.PAE, CS.L and CS.D are all set";
        }
        if ((vmcb.get32(VmcbLayout.INTERCEPT_MISC2) & 1) == 0) {
            return "§15.5.1: the VMRUN intercept is clear";
        }
        if (beyond(vmcb.get64(VmcbLayout.MSRPM_BASE_PA), MSRPM_BYTES)) {
            return "§15.5.1: the MSR permission map extends beyond the maximum physical address";
        }
        if (beyond(vmcb.get64(VmcbLayout.IOPM_BASE_PA), IOPM_BYTES)) {
            return "§15.5.1: the I/O permission map extends beyond the maximum physical address";
        }
        String event =
                EventInjection.broken(
                        vmcb.get64(VmcbLayout.EVENTINJ), longMode && (cs & Cpu.ATTR_L) != 0);
        if (event != null) {
            return event;
        }
        boolean virtualNmi =
                (vmcb.get64(VmcbLayout.V_INTR) & VirtualInterrupts.NMI_ENABLE) != 0
                        && cpu.model.has(CpuFeature.VNMI);
        if (virtualNmi && (vmcb.get32(VmcbLayout.INTERCEPT_MISC1) & INTERCEPT_NMI) == 0) {
            return "§15.21.10: V_NMI_ENABLE is set and the NMI intercept is clear";
        }
        int asid = vmcb.get32(VmcbLayout.ASID);
        if (asid == 0) {
            return "§15.5.1: ASID is zero";
        }
        if (Integer.compareUnsigned(asid, SvmFeatures.ASIDS) >= 0) {
            return "§15.5.1: ASID is not below the number that CPUID Fn8000_000A EBX gives";
        }
        String avic = avic(vmcb, cpu.model);
        if (avic != null) {
            return avic;
        }
        if (SvmFeatures.nestedControl(cpu.model, vmcb.get64(VmcbLayout.NP_ENABLE)) != 0) {
            return nestedPaging(vmcb, hostCr0);
        }
        if (paging
                && !longMode
                && (cr4 & Cpu.CR4_PAE) != 0
                && !PageDirectoryPointers.legal(cpu, cr3)) {
            return "§15.5.1: a page-directory-pointer entry of the PAE guest has reserved bits set";
        }
        return null;
    }

    private static String avic(Vmcb vmcb, CpuModel model) {
        long control = vmcb.get64(VmcbLayout.V_INTR);
        if ((control & (Avic.ENABLE | Avic.X2APIC_MODE)) == 0 || !model.has(CpuFeature.AVIC)) {
            return null;
        }
        boolean x2avic = (control & Avic.X2APIC_MODE) != 0 && model.has(CpuFeature.X2AVIC);
        if ((control & Avic.ENABLE) == 0) {
            return x2avic ? "§15.29.4.1: x2AVIC mode is enabled and AVIC is not" : null;
        }
        if (beyond(vmcb.get64(VmcbLayout.AVIC_BACKING_PAGE), TABLE_BYTES)) {
            return "§15.29.4.3: AVIC_BACKING_PAGE is beyond the maximum physical address";
        }
        if (!x2avic && beyond(vmcb.get64(VmcbLayout.AVIC_LOGICAL_TABLE), TABLE_BYTES)) {
            return "§15.29.4.3: the logical APIC ID table is beyond the maximum physical address";
        }
        long physical = vmcb.get64(VmcbLayout.AVIC_PHYSICAL_TABLE);
        int maxIndex = (int) physical & 0xfff;
        boolean large = x2avic && model.has(CpuFeature.X2AVIC_EXT);
        if (beyond(physical, large ? (maxIndex / 512 + 1) * TABLE_BYTES : TABLE_BYTES)) {
            return "§15.29.4.3: the physical APIC ID table is beyond the maximum physical address";
        }
        if (maxIndex
                > (large
                        ? Avic.MAX_INDEX_EXTENDED
                        : x2avic ? Avic.MAX_INDEX_X2APIC : Avic.MAX_INDEX)) {
            return "§15.29.4.3: AVIC_PHYSICAL_MAX_INDEX is greater than the mode's tables allow";
        }
        return null;
    }

    private static String nestedPaging(Vmcb vmcb, long hostCr0) {
        if ((hostCr0 & Cpu.CR0_PG) == 0) {
            return "§15.25.3: NP_ENABLE is set and the host's CR0.PG is zero";
        }
        if ((vmcb.get64(VmcbLayout.N_CR3) & BEYOND_PHYSICAL) != 0) {
            return "§15.25.4: an MBZ bit of nCR3 is set";
        }
        if (badPat(vmcb.get64(VmcbLayout.G_PAT))) {
            return "§15.25.4: G_PAT has an unsupported type or a reserved bit set";
        }
        return null;
    }

    /** Each of the eight bytes must be 0, 1, 4, 5, 6 or 7 (§7.8.1). */
    static boolean badPat(long pat) {
        boolean reservedBits = (pat & 0xf8f8_f8f8_f8f8_f8f8L) != 0;
        boolean reservedTypes = (pat >>> 1 & ~(pat >>> 2) & 0x0101_0101_0101_0101L) != 0;
        return reservedBits || reservedTypes;
    }

    private static boolean beyond(long base, int bytes) {
        return ((base & ~0xfffL) + bytes - 1 & BEYOND_PHYSICAL) != 0
                || (base & BEYOND_PHYSICAL) != 0;
    }

    /** The four page-directory-pointer entries of legacy PAE paging. */
    static final class PageDirectoryPointers {
        private static final long P = 1;
        private static final long RESERVED = BEYOND_PHYSICAL | 0x1e6;

        private PageDirectoryPointers() {}

        /** Whether no present entry has a reserved bit set. */
        static boolean legal(Cpu cpu, long cr3) {
            for (int i = 0; i < 4; i++) {
                long entry = cpu.memory.read64(cpu.mmu.hidden.view((cr3 & 0xffff_ffe0L) + 8 * i));
                if ((entry & P) != 0 && (entry & RESERVED) != 0) {
                    return false;
                }
            }
            return true;
        }
    }
}
