package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.Cpu;

/**
 * Moves the guest's registers between the VMCB's state-save area and the processor: what VMRUN and
 * #VMEXIT move (§15.5.1, §15.6) and what VMLOAD and VMSAVE move (§15.5.2).
 */
final class GuestState {
    private static final long CR0_DEFINED =
            Cpu.CR0_PE
                    | Cpu.CR0_MP
                    | Cpu.CR0_EM
                    | Cpu.CR0_TS
                    | Cpu.CR0_ET
                    | Cpu.CR0_NE
                    | Cpu.CR0_WP
                    | Cpu.CR0_AM
                    | Cpu.CR0_NW
                    | Cpu.CR0_CD
                    | Cpu.CR0_PG;
    private static final int ATTR_CODE = 8;
    private static final int ATTR_DPL = 3 << 5;
    private static final long DR6_FIXED_ONES = 0xffff_0ff0L;
    private static final long DR6_DEFINED = 0xe00fL;
    private static final long DR7_FIXED_ONES = 0x400;
    private static final long DR7_DEFINED = 0xffff_23ffL;
    private static final long DR7_DISABLED = DR7_FIXED_ONES;

    /** What VMRUN saves of the host, and #VMEXIT of the guest, at the same places. */
    static final int[] SWITCHED = {
        VmcbLayout.ES,
        VmcbLayout.ES + VmcbLayout.BASE,
        VmcbLayout.CS,
        VmcbLayout.CS + VmcbLayout.BASE,
        VmcbLayout.SS,
        VmcbLayout.SS + VmcbLayout.BASE,
        VmcbLayout.DS,
        VmcbLayout.DS + VmcbLayout.BASE,
        VmcbLayout.GDTR,
        VmcbLayout.GDTR + VmcbLayout.BASE,
        VmcbLayout.IDTR,
        VmcbLayout.IDTR + VmcbLayout.BASE,
        VmcbLayout.CPL & -8,
        VmcbLayout.EFER,
        VmcbLayout.CR4,
        VmcbLayout.CR3,
        VmcbLayout.CR0,
        VmcbLayout.RFLAGS,
        VmcbLayout.RIP,
        VmcbLayout.RSP,
        VmcbLayout.RAX,
        VmcbLayout.SPEC_CTRL,
    };

    /** What {@link #storeBranchRecords} sets. */
    static final int[] BRANCH_RECORDS = {
        VmcbLayout.DBGCTL,
        VmcbLayout.BR_FROM,
        VmcbLayout.BR_TO,
        VmcbLayout.LASTEXCPFROM,
        VmcbLayout.LASTEXCPTO,
    };

    /** What {@link #loadHidden} and {@link #storeHidden} move, each a whole word. */
    static final int[] HIDDEN = {
        VmcbLayout.FS,
        VmcbLayout.FS + VmcbLayout.BASE,
        VmcbLayout.GS,
        VmcbLayout.GS + VmcbLayout.BASE,
        VmcbLayout.LDTR,
        VmcbLayout.LDTR + VmcbLayout.BASE,
        VmcbLayout.TR,
        VmcbLayout.TR + VmcbLayout.BASE,
        VmcbLayout.STAR,
        VmcbLayout.LSTAR,
        VmcbLayout.CSTAR,
        VmcbLayout.SFMASK,
        VmcbLayout.KERNEL_GS_BASE,
        VmcbLayout.SYSENTER_CS,
        VmcbLayout.SYSENTER_ESP,
        VmcbLayout.SYSENTER_EIP,
    };

    private GuestState() {}

    /**
     * VMRUN: loads the guest; the checks have passed. EFER.LMA follows from EFER.LME and CR0.PG.
     */
    static void load(Vmcb vmcb, Cpu cpu) {
        long[] from = vmcb.words();
        cpu.cr0 = from[VmcbLayout.CR0 / 8] & CR0_DEFINED | Cpu.CR0_ET;
        cpu.cr2 = from[VmcbLayout.CR2 / 8];
        cpu.cr3 = from[VmcbLayout.CR3 / 8];
        cpu.cr4 = from[VmcbLayout.CR4 / 8];
        long efer = from[VmcbLayout.EFER / 8] & ~Cpu.EFER_LMA;
        boolean longMode = (efer & Cpu.EFER_LME) != 0 && (cpu.cr0 & Cpu.CR0_PG) != 0;
        cpu.efer = longMode ? efer | Cpu.EFER_LMA : efer;

        loadSegments(from, cpu, Cpu.ES, 4, VmcbLayout.ES);
        cpu.gdtrBase = canonical(from[(VmcbLayout.GDTR + VmcbLayout.BASE) / 8]);
        cpu.gdtrLimit = vmcb.get16(VmcbLayout.GDTR + VmcbLayout.LIMIT);
        cpu.idtrBase = canonical(from[(VmcbLayout.IDTR + VmcbLayout.BASE) / 8]);
        cpu.idtrLimit = vmcb.get16(VmcbLayout.IDTR + VmcbLayout.LIMIT);

        long rflags = from[VmcbLayout.RFLAGS / 8];
        boolean real = (cpu.cr0 & Cpu.CR0_PE) == 0;
        if (longMode || real) {
            rflags &= ~Cpu.VM;
        }
        cpu.cpl = real ? 0 : (rflags & Cpu.VM) != 0 ? 3 : vmcb.get8(VmcbLayout.CPL) & 3;
        canonicalizeCode(cpu);
        canonicalizeStack(cpu);

        boolean mode64 = longMode && (cpu.segAttr[Cpu.CS] & Cpu.ATTR_L) != 0;
        long rip = from[VmcbLayout.RIP / 8];
        cpu.rip = mode64 ? rip : rip & 0xffff_ffffL;
        cpu.r[Cpu.RSP] = from[VmcbLayout.RSP / 8];
        cpu.r[Cpu.RAX] = from[VmcbLayout.RAX / 8];
        cpu.dr[6] = from[VmcbLayout.DR6 / 8] & DR6_DEFINED | DR6_FIXED_ONES;
        cpu.dr[7] = from[VmcbLayout.DR7 / 8] & DR7_DEFINED | DR7_FIXED_ONES;
        cpu.setRflags(rflags);
    }

    /** #VMEXIT: stores the guest. */
    static void store(Vmcb vmcb, Cpu cpu) {
        long[] to = vmcb.words();
        storeSegments(to, cpu, Cpu.ES, 4, VmcbLayout.ES);
        vmcb.put32(VmcbLayout.GDTR + VmcbLayout.LIMIT, cpu.gdtrLimit);
        to[(VmcbLayout.GDTR + VmcbLayout.BASE) / 8] = cpu.gdtrBase;
        vmcb.put32(VmcbLayout.IDTR + VmcbLayout.LIMIT, cpu.idtrLimit);
        to[(VmcbLayout.IDTR + VmcbLayout.BASE) / 8] = cpu.idtrBase;
        vmcb.put8(VmcbLayout.CPL, cpu.cpl);
        to[VmcbLayout.EFER / 8] = cpu.efer;
        to[VmcbLayout.CR4 / 8] = cpu.cr4;
        to[VmcbLayout.CR3 / 8] = cpu.cr3;
        to[VmcbLayout.CR2 / 8] = cpu.cr2;
        to[VmcbLayout.CR0 / 8] = cpu.cr0;
        to[VmcbLayout.DR7 / 8] = cpu.dr[7];
        to[VmcbLayout.DR6 / 8] = cpu.dr[6];
        to[VmcbLayout.RFLAGS / 8] = cpu.rflags();
        to[VmcbLayout.RIP / 8] = cpu.rip;
        to[VmcbLayout.RSP / 8] = cpu.r[Cpu.RSP];
        to[VmcbLayout.RAX / 8] = cpu.r[Cpu.RAX];
    }

    /** VMRUN with LBR virtualization: DebugCtl and the branch records (§15.23.1). */
    static void loadBranchRecords(Vmcb vmcb, Cpu cpu) {
        cpu.msrs.setDebugControl(vmcb.get64(VmcbLayout.DBGCTL));
        cpu.msrs.lastBranchFrom = vmcb.get64(VmcbLayout.BR_FROM);
        cpu.msrs.lastBranchTo = vmcb.get64(VmcbLayout.BR_TO);
        cpu.msrs.lastExceptionFrom = vmcb.get64(VmcbLayout.LASTEXCPFROM);
        cpu.msrs.lastExceptionTo = vmcb.get64(VmcbLayout.LASTEXCPTO);
    }

    /** #VMEXIT with LBR virtualization. */
    static void storeBranchRecords(Vmcb vmcb, Cpu cpu) {
        vmcb.put64(VmcbLayout.DBGCTL, cpu.msrs.debugCtl);
        vmcb.put64(VmcbLayout.BR_FROM, cpu.msrs.lastBranchFrom);
        vmcb.put64(VmcbLayout.BR_TO, cpu.msrs.lastBranchTo);
        vmcb.put64(VmcbLayout.LASTEXCPFROM, cpu.msrs.lastExceptionFrom);
        vmcb.put64(VmcbLayout.LASTEXCPTO, cpu.msrs.lastExceptionTo);
    }

    /** #VMEXIT disables the host's breakpoints (§15.6). */
    static void disableBreakpoints(Cpu cpu) {
        cpu.dr[7] = DR7_DISABLED;
    }

    /** VMLOAD (§15.5.2). */
    static void loadHidden(Vmcb vmcb, Cpu cpu) {
        long[] from = vmcb.words();
        loadSegments(from, cpu, Cpu.FS, 2, VmcbLayout.FS);
        loadSegments(from, cpu, Cpu.LDTR, 1, VmcbLayout.LDTR);
        loadSegments(from, cpu, Cpu.TR, 1, VmcbLayout.TR);
        cpu.msrs.kernelGsBase = canonical(vmcb.get64(VmcbLayout.KERNEL_GS_BASE));
        cpu.msrs.star = vmcb.get64(VmcbLayout.STAR);
        cpu.msrs.lstar = vmcb.get64(VmcbLayout.LSTAR);
        cpu.msrs.cstar = vmcb.get64(VmcbLayout.CSTAR);
        cpu.msrs.sfmask = vmcb.get64(VmcbLayout.SFMASK);
        cpu.msrs.sysenterCs = vmcb.get64(VmcbLayout.SYSENTER_CS);
        cpu.msrs.sysenterEsp = vmcb.get64(VmcbLayout.SYSENTER_ESP);
        cpu.msrs.sysenterEip = vmcb.get64(VmcbLayout.SYSENTER_EIP);
    }

    /** VMSAVE (§15.5.2). */
    static void storeHidden(Vmcb vmcb, Cpu cpu) {
        long[] to = vmcb.words();
        storeSegments(to, cpu, Cpu.FS, 2, VmcbLayout.FS);
        storeSegments(to, cpu, Cpu.LDTR, 1, VmcbLayout.LDTR);
        storeSegments(to, cpu, Cpu.TR, 1, VmcbLayout.TR);
        vmcb.put64(VmcbLayout.KERNEL_GS_BASE, cpu.msrs.kernelGsBase);
        vmcb.put64(VmcbLayout.STAR, cpu.msrs.star);
        vmcb.put64(VmcbLayout.LSTAR, cpu.msrs.lstar);
        vmcb.put64(VmcbLayout.CSTAR, cpu.msrs.cstar);
        vmcb.put64(VmcbLayout.SFMASK, cpu.msrs.sfmask);
        vmcb.put64(VmcbLayout.SYSENTER_CS, cpu.msrs.sysenterCs);
        vmcb.put64(VmcbLayout.SYSENTER_ESP, cpu.msrs.sysenterEsp);
        vmcb.put64(VmcbLayout.SYSENTER_EIP, cpu.msrs.sysenterEip);
    }

    /**
     * Segment registers that follow each other in the processor and from an offset on in the VMCB.
     * Bases are sign-extended from bit 47; of ES, CS, SS and DS only the low 32 bits exist (Table
     * B-2).
     */
    private static void loadSegments(long[] from, Cpu cpu, int first, int count, int offset) {
        int[] selector = cpu.segSelector;
        int[] attributes = cpu.segAttr;
        long[] limit = cpu.segLimit;
        long[] bases = cpu.segBase;
        int at = offset / 8;
        for (int register = first; register < first + count; register++) {
            long word = from[at];
            long base = from[at + 1];
            selector[register] = (int) word & 0xffff;
            attributes[register] = (int) (word >>> 16) & 0xfff;
            limit[register] = word >>> 32;
            bases[register] = register < Cpu.FS ? base & 0xffff_ffffL : canonical(base);
            at += 2;
        }
    }

    static void storeSegments(long[] to, Cpu cpu, int first, int count, int offset) {
        int[] selector = cpu.segSelector;
        int[] attributes = cpu.segAttr;
        long[] limit = cpu.segLimit;
        long[] base = cpu.segBase;
        int at = offset / 8;
        for (int register = first; register < first + count; register++) {
            to[at] =
                    limit[register] << 32
                            | (long) attributes[register] << 16
                            | selector[register] & 0xffffL;
            to[at + 1] = base[register];
            at += 2;
        }
    }

    /** Of CS the processor observes D, L and R only: it always is a present code segment. */
    private static void canonicalizeCode(Cpu cpu) {
        cpu.segAttr[Cpu.CS] |= Cpu.ATTR_P | Cpu.ATTR_S | ATTR_CODE;
    }

    /**
     * The privilege level comes from the CPL field; SS.DPL, which must equal it, follows. A null SS
     * stays null.
     */
    private static void canonicalizeStack(Cpu cpu) {
        int attributes = cpu.segAttr[Cpu.SS];
        if ((attributes & Cpu.ATTR_P) != 0) {
            cpu.segAttr[Cpu.SS] = attributes & ~ATTR_DPL | cpu.cpl << 5 | Cpu.ATTR_S;
        }
    }

    private static long canonical(long address) {
        return address << 16 >> 16;
    }
}
