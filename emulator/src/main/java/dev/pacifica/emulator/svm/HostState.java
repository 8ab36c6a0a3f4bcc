package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;

/**
 * The host's state while a guest runs (§15.5.1 "Saving Host State"). What counts is kept on the
 * chip; a copy is written to the page at VM_HSAVE_PA in the layout of a VMCB's state-save area, so
 * that software which uses that page for something else finds out.
 */
final class HostState {
    /** ES, CS, SS and DS, which follow each other in the processor and in the area. */
    private static final int SAVED_SEGMENTS = 4;

    private final Cpu cpu;

    /** The page, for the copy. */
    private final Vmcb area;

    /** Each register's word and base in the VMCB's form. */
    private final long[] segments = new long[2 * SAVED_SEGMENTS];

    private long gdtrBase;
    private int gdtrLimit;
    private long idtrBase;
    private int idtrLimit;
    private long efer;
    long cr0;
    private long cr3;
    private long cr4;
    private long rflags;
    private long rip;
    private long rsp;
    private long rax;
    private long pat;
    private long specCtrl;
    private boolean valid;

    /** LBR virtualization: the host's DebugCtl and branch records wait here too (§15.23.1). */
    private boolean branchRecords;

    private long debugCtl;
    private long branchFrom;
    private long branchTo;
    private long exceptionFrom;
    private long exceptionTo;

    HostState(Cpu cpu, Vmcb area) {
        this.cpu = cpu;
        this.area = area;
    }

    /** VMRUN: remembers the host, to go on at {@code nextRip}, and copies it to the area. */
    void take(long nextRip) {
        gdtrBase = cpu.gdtrBase;
        gdtrLimit = cpu.gdtrLimit;
        idtrBase = cpu.idtrBase;
        idtrLimit = cpu.idtrLimit;
        efer = cpu.efer;
        cr0 = cpu.cr0;
        cr3 = cpu.cr3;
        cr4 = cpu.cr4;
        rflags = cpu.rflags();
        rip = nextRip;
        rsp = cpu.r[Cpu.RSP];
        rax = cpu.r[Cpu.RAX];
        pat = cpu.msrs.pat;
        specCtrl = cpu.msrs.specCtrl;
        valid = true;
        branchRecords = false;

        keepSegment(Cpu.ES);
        keepSegment(Cpu.CS);
        keepSegment(Cpu.SS);
        keepSegment(Cpu.DS);
        if (areaInMemory()) {
            area.at(cpu.msrs.vmHsavePa);
            area.aboutToWrite();
            GuestState.storeSegments(area, cpu);
            area.put64(VmcbLayout.GDTR, (long) gdtrLimit << 32);
            area.put64(VmcbLayout.GDTR + VmcbLayout.BASE, gdtrBase);
            area.put64(VmcbLayout.IDTR, (long) idtrLimit << 32);
            area.put64(VmcbLayout.IDTR + VmcbLayout.BASE, idtrBase);
            area.put8(VmcbLayout.CPL, 0);
            area.put64(VmcbLayout.EFER, efer);
            area.put64(VmcbLayout.CR4, cr4);
            area.put64(VmcbLayout.CR3, cr3);
            area.put64(VmcbLayout.CR0, cr0);
            area.put64(VmcbLayout.RFLAGS, rflags);
            area.put64(VmcbLayout.RIP, rip);
            area.put64(VmcbLayout.RSP, rsp);
            area.put64(VmcbLayout.RAX, rax);
            area.put64(VmcbLayout.SPEC_CTRL, specCtrl);
        }
    }

    private void keepSegment(int register) {
        segments[2 * register] = GuestState.segmentWord(cpu, register);
        segments[2 * register + 1] = cpu.segBase[register];
    }

    /** VMRUN with LBR virtualization: remembers DebugCtl and the branch records too. */
    void takeBranchRecords() {
        branchRecords = true;
        debugCtl = cpu.msrs.debugCtl;
        branchFrom = cpu.msrs.lastBranchFrom;
        branchTo = cpu.msrs.lastBranchTo;
        exceptionFrom = cpu.msrs.lastExceptionFrom;
        exceptionTo = cpu.msrs.lastExceptionTo;
        if (areaInMemory()) {
            area.aboutToWrite();
            GuestState.storeBranchRecords(area, cpu);
        }
    }

    private boolean areaInMemory() {
        long address = cpu.msrs.vmHsavePa;
        return cpu.memory.isRam(address) && !cpu.mmu.hidden.covers(address);
    }

    /**
     * #VMEXIT: the host goes on (§15.6), CR0.PE forced to 1, RFLAGS.VM to 0, CPL to 0, all
     * breakpoints off. CR2, DR6, LDTR, TR, FS and GS keep the guest's values. The caller updates
     * the mode.
     */
    void restore() {
        restoreSegment(Cpu.ES);
        restoreSegment(Cpu.CS);
        restoreSegment(Cpu.SS);
        restoreSegment(Cpu.DS);
        cpu.gdtrBase = gdtrBase;
        cpu.gdtrLimit = gdtrLimit;
        cpu.idtrBase = idtrBase;
        cpu.idtrLimit = idtrLimit;
        cpu.efer = efer;
        cpu.cr0 = cr0 | Cpu.CR0_PE;
        cpu.cr3 = cr3;
        cpu.cr4 = cr4;
        cpu.rip = rip;
        cpu.r[Cpu.RSP] = rsp;
        cpu.r[Cpu.RAX] = rax;
        cpu.cpl = 0;
        cpu.setRflags(rflags & ~(Cpu.VM | Cpu.RF));
        if (branchRecords) {
            cpu.msrs.setDebugControl(debugCtl);
            cpu.msrs.lastBranchFrom = branchFrom;
            cpu.msrs.lastBranchTo = branchTo;
            cpu.msrs.lastExceptionFrom = exceptionFrom;
            cpu.msrs.lastExceptionTo = exceptionTo;
        }
        valid = false;
    }

    private void restoreSegment(int register) {
        long word = segments[2 * register];
        cpu.segSelector[register] = (int) word & 0xffff;
        cpu.segAttr[register] = (int) (word >>> 16) & 0xffff;
        cpu.segLimit[register] = word >>> 32;
        cpu.segBase[register] = segments[2 * register + 1];
    }

    /** Nobody waits for a #VMEXIT. */
    void forget() {
        valid = false;
    }

    /** Whether LBR virtualization is in force. */
    boolean hasBranchRecords() {
        return branchRecords;
    }

    long cr3() {
        return cr3;
    }

    long cr4() {
        return cr4;
    }

    long efer() {
        return efer;
    }

    long pat() {
        return pat;
    }

    long specCtrl() {
        return specCtrl;
    }

    boolean trapFlag() {
        return (rflags & Cpu.TF) != 0;
    }

    boolean interruptFlag() {
        return (rflags & Cpu.IF) != 0;
    }

    /** The host runs in 64-bit mode. */
    boolean mode64() {
        return (efer & Cpu.EFER_LMA) != 0 && (segments[2 * Cpu.CS] >>> 16 & Cpu.ATTR_L) != 0;
    }

    /** Legacy PAE paging reloads its page-directory pointers at #VMEXIT. */
    boolean legacyPae() {
        return (cr0 & Cpu.CR0_PG) != 0 && (cr4 & Cpu.CR4_PAE) != 0 && (efer & Cpu.EFER_LMA) == 0;
    }

    /** Only a host that waits for a #VMEXIT is state; what an earlier one left behind is not. */
    void save(StateWriter out) {
        out.flag("hostWaits", valid);
        if (!valid) {
            return;
        }
        for (int i = 0; i < SAVED_SEGMENTS; i++) {
            long word = segments[2 * i];
            out.u16("hostSelector", (int) word & 0xffff);
            out.u16("hostAttributes", (int) (word >>> 16) & 0xffff);
            out.u64("hostLimit", word >>> 32);
            out.u64("hostBase", segments[2 * i + 1]);
        }
        out.u64("hostGdtrBase", gdtrBase);
        out.u32("hostGdtrLimit", gdtrLimit);
        out.u64("hostIdtrBase", idtrBase);
        out.u32("hostIdtrLimit", idtrLimit);
        out.u64("hostEfer", efer);
        out.u64("hostCr0", cr0);
        out.u64("hostCr3", cr3);
        out.u64("hostCr4", cr4);
        out.u64("hostRflags", rflags);
        out.u64("hostRip", rip);
        out.u64("hostRsp", rsp);
        out.u64("hostRax", rax);
        out.u64("hostPat", pat);
        out.u64("hostSpecCtrl", specCtrl);
        out.flag("hostBranchRecords", branchRecords);
        if (branchRecords) {
            out.u64("hostDebugCtl", debugCtl);
            out.u64("hostBranchFrom", branchFrom);
            out.u64("hostBranchTo", branchTo);
            out.u64("hostExceptionFrom", exceptionFrom);
            out.u64("hostExceptionTo", exceptionTo);
        }
    }

    void load(StateReader in) {
        valid = in.flag("hostWaits");
        if (!valid) {
            return;
        }
        for (int i = 0; i < SAVED_SEGMENTS; i++) {
            long selector = in.u16("hostSelector") & 0xffff;
            long attributes = in.u16("hostAttributes") & 0xffff;
            segments[2 * i] = in.u64("hostLimit") << 32 | attributes << 16 | selector;
            segments[2 * i + 1] = in.u64("hostBase");
        }
        gdtrBase = in.u64("hostGdtrBase");
        gdtrLimit = in.u32("hostGdtrLimit");
        idtrBase = in.u64("hostIdtrBase");
        idtrLimit = in.u32("hostIdtrLimit");
        efer = in.u64("hostEfer");
        cr0 = in.u64("hostCr0");
        cr3 = in.u64("hostCr3");
        cr4 = in.u64("hostCr4");
        rflags = in.u64("hostRflags");
        rip = in.u64("hostRip");
        rsp = in.u64("hostRsp");
        rax = in.u64("hostRax");
        pat = in.u64("hostPat");
        specCtrl = in.u64("hostSpecCtrl");
        branchRecords = in.flag("hostBranchRecords");
        if (branchRecords) {
            debugCtl = in.u64("hostDebugCtl");
            branchFrom = in.u64("hostBranchFrom");
            branchTo = in.u64("hostBranchTo");
            exceptionFrom = in.u64("hostExceptionFrom");
            exceptionTo = in.u64("hostExceptionTo");
        }
    }
}
