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

    private GuestState() {}

    /**
     * VMRUN: loads the guest; the checks have passed. EFER.LMA follows from EFER.LME and CR0.PG.
     */
    static void load(Vmcb vmcb, Cpu cpu) {
        cpu.cr0 = vmcb.get64(VmcbLayout.CR0) & CR0_DEFINED | Cpu.CR0_ET;
        cpu.cr2 = vmcb.get64(VmcbLayout.CR2);
        cpu.cr3 = vmcb.get64(VmcbLayout.CR3);
        cpu.cr4 = vmcb.get64(VmcbLayout.CR4);
        long efer = vmcb.get64(VmcbLayout.EFER) & ~Cpu.EFER_LMA;
        boolean longMode = (efer & Cpu.EFER_LME) != 0 && (cpu.cr0 & Cpu.CR0_PG) != 0;
        cpu.efer = longMode ? efer | Cpu.EFER_LMA : efer;

        loadSegments(vmcb, cpu);
        cpu.gdtrBase = canonical(vmcb.get64(VmcbLayout.GDTR + VmcbLayout.BASE));
        cpu.gdtrLimit = vmcb.get16(VmcbLayout.GDTR + VmcbLayout.LIMIT);
        cpu.idtrBase = canonical(vmcb.get64(VmcbLayout.IDTR + VmcbLayout.BASE));
        cpu.idtrLimit = vmcb.get16(VmcbLayout.IDTR + VmcbLayout.LIMIT);

        long rflags = vmcb.get64(VmcbLayout.RFLAGS);
        boolean real = (cpu.cr0 & Cpu.CR0_PE) == 0;
        if (longMode || real) {
            rflags &= ~Cpu.VM;
        }
        cpu.cpl = real ? 0 : (rflags & Cpu.VM) != 0 ? 3 : vmcb.get8(VmcbLayout.CPL) & 3;
        canonicalizeCode(cpu);
        canonicalizeStack(cpu);

        boolean mode64 = longMode && (cpu.segAttr[Cpu.CS] & Cpu.ATTR_L) != 0;
        long rip = vmcb.get64(VmcbLayout.RIP);
        cpu.rip = mode64 ? rip : rip & 0xffff_ffffL;
        cpu.r[Cpu.RSP] = vmcb.get64(VmcbLayout.RSP);
        cpu.r[Cpu.RAX] = vmcb.get64(VmcbLayout.RAX);
        cpu.dr[6] = vmcb.get64(VmcbLayout.DR6) & DR6_DEFINED | DR6_FIXED_ONES;
        cpu.dr[7] = vmcb.get64(VmcbLayout.DR7) & DR7_DEFINED | DR7_FIXED_ONES;
        cpu.setRflags(rflags);
    }

    /** #VMEXIT: stores the guest. */
    static void store(Vmcb vmcb, Cpu cpu) {
        storeSegments(vmcb, cpu);
        vmcb.put32(VmcbLayout.GDTR + VmcbLayout.LIMIT, cpu.gdtrLimit);
        vmcb.put64(VmcbLayout.GDTR + VmcbLayout.BASE, cpu.gdtrBase);
        vmcb.put32(VmcbLayout.IDTR + VmcbLayout.LIMIT, cpu.idtrLimit);
        vmcb.put64(VmcbLayout.IDTR + VmcbLayout.BASE, cpu.idtrBase);
        vmcb.put8(VmcbLayout.CPL, cpu.cpl);
        vmcb.put64(VmcbLayout.EFER, cpu.efer);
        vmcb.put64(VmcbLayout.CR4, cpu.cr4);
        vmcb.put64(VmcbLayout.CR3, cpu.cr3);
        vmcb.put64(VmcbLayout.CR2, cpu.cr2);
        vmcb.put64(VmcbLayout.CR0, cpu.cr0);
        vmcb.put64(VmcbLayout.DR7, cpu.dr[7]);
        vmcb.put64(VmcbLayout.DR6, cpu.dr[6]);
        vmcb.put64(VmcbLayout.RFLAGS, cpu.rflags());
        vmcb.put64(VmcbLayout.RIP, cpu.rip);
        vmcb.put64(VmcbLayout.RSP, cpu.r[Cpu.RSP]);
        vmcb.put64(VmcbLayout.RAX, cpu.r[Cpu.RAX]);
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
        loadSegment(vmcb, VmcbLayout.FS, cpu, Cpu.FS);
        loadSegment(vmcb, VmcbLayout.GS, cpu, Cpu.GS);
        loadSegment(vmcb, VmcbLayout.LDTR, cpu, Cpu.LDTR);
        loadSegment(vmcb, VmcbLayout.TR, cpu, Cpu.TR);
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
        storeSegment(vmcb, VmcbLayout.FS, cpu, Cpu.FS);
        storeSegment(vmcb, VmcbLayout.GS, cpu, Cpu.GS);
        storeSegment(vmcb, VmcbLayout.LDTR, cpu, Cpu.LDTR);
        storeSegment(vmcb, VmcbLayout.TR, cpu, Cpu.TR);
        vmcb.put64(VmcbLayout.KERNEL_GS_BASE, cpu.msrs.kernelGsBase);
        vmcb.put64(VmcbLayout.STAR, cpu.msrs.star);
        vmcb.put64(VmcbLayout.LSTAR, cpu.msrs.lstar);
        vmcb.put64(VmcbLayout.CSTAR, cpu.msrs.cstar);
        vmcb.put64(VmcbLayout.SFMASK, cpu.msrs.sfmask);
        vmcb.put64(VmcbLayout.SYSENTER_CS, cpu.msrs.sysenterCs);
        vmcb.put64(VmcbLayout.SYSENTER_ESP, cpu.msrs.sysenterEsp);
        vmcb.put64(VmcbLayout.SYSENTER_EIP, cpu.msrs.sysenterEip);
    }

    private static void loadSegments(Vmcb vmcb, Cpu cpu) {
        loadSegment(vmcb, VmcbLayout.ES, cpu, Cpu.ES);
        loadSegment(vmcb, VmcbLayout.CS, cpu, Cpu.CS);
        loadSegment(vmcb, VmcbLayout.SS, cpu, Cpu.SS);
        loadSegment(vmcb, VmcbLayout.DS, cpu, Cpu.DS);
    }

    /** Stores the segment registers that VMRUN and #VMEXIT switch. */
    static void storeSegments(Vmcb vmcb, Cpu cpu) {
        storeSegment(vmcb, VmcbLayout.ES, cpu, Cpu.ES);
        storeSegment(vmcb, VmcbLayout.CS, cpu, Cpu.CS);
        storeSegment(vmcb, VmcbLayout.SS, cpu, Cpu.SS);
        storeSegment(vmcb, VmcbLayout.DS, cpu, Cpu.DS);
    }

    /**
     * A segment register from its place in the VMCB. Bases are sign-extended from bit 47; of ES,
     * CS, SS and DS only the low 32 bits exist (Table B-2).
     */
    private static void loadSegment(Vmcb vmcb, int offset, Cpu cpu, int register) {
        long word = vmcb.get64(offset);
        long base = vmcb.get64(offset + VmcbLayout.BASE);
        cpu.segSelector[register] = (int) word & 0xffff;
        cpu.segAttr[register] = (int) (word >>> 16) & 0xfff;
        cpu.segLimit[register] = word >>> 32;
        cpu.segBase[register] = register < Cpu.FS ? base & 0xffff_ffffL : canonical(base);
    }

    private static void storeSegment(Vmcb vmcb, int offset, Cpu cpu, int register) {
        vmcb.put64(offset, segmentWord(cpu, register));
        vmcb.put64(offset + VmcbLayout.BASE, cpu.segBase[register]);
    }

    /** Limit, attributes and selector of a segment register as the VMCB has them. */
    static long segmentWord(Cpu cpu, int register) {
        return cpu.segLimit[register] << 32
                | (long) cpu.segAttr[register] << 16
                | cpu.segSelector[register] & 0xffffL;
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
