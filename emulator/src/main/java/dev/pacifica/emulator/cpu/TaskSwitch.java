package dev.pacifica.emulator.cpu;

/** Hardware task switches through 16- and 32-bit TSSs, outside long mode (APM Vol 2 §12.4). */
final class TaskSwitch {
    private static final int EXIT_TASK_SWITCH = 0x7d;

    /** What caused the switch; decides busy bits, link and NT (§12.4.1). */
    private enum Cause {
        JUMP,
        CALL,
        EVENT,
        RETURN
    }

    private static final int LIMIT32 = 0x67;
    private static final int LIMIT16 = 0x2b;

    /**
     * General registers in both TSS formats follow the flags in the architecture's order; then ES
     * CS SS DS (FS GS) and LDTR.
     */
    private static final int EIP32 = 0x20;

    private static final int EIP16 = 0x0e;
    private static final int CR3_32 = 0x1c;
    private static final int TRAP_32 = 0x64;

    private TaskSwitch() {}

    /** JMP or CALL to an available TSS, whose privilege was checked. */
    static void far(Cpu cpu, int selector, long nextRip, boolean call) {
        perform(cpu, selector, call ? Cause.CALL : Cause.JUMP, nextRip, cpu.rflags(), false, 0);
    }

    /** JMP or CALL through a present task gate, whose privilege was checked. */
    static void farThroughGate(Cpu cpu, int selector, long nextRip, boolean call) {
        checkGateTarget(cpu, selector);
        far(cpu, selector, nextRip, call);
    }

    /** An exception or interrupt through a task gate of the IDT. */
    static void throughGate(
            Cpu cpu, int selector, long returnRip, long image, boolean hasCode, int code) {
        checkGateTarget(cpu, selector);
        perform(cpu, selector, Cause.EVENT, returnRip, image, hasCode, code);
    }

    private static void checkGateTarget(Cpu cpu, int selector) {
        if ((selector & 4) != 0 || SegmentLoader.isNull(selector)) {
            throw fault(cpu, GuestException.GP, selector);
        }
        long d = SegmentLoader.descriptor(cpu, selector, GuestException.GP);
        int type = SegmentLoader.type(d);
        if (type != SegmentLoader.TSS_AVAILABLE && type != SegmentLoader.TSS16_AVAILABLE) {
            throw fault(cpu, GuestException.GP, selector);
        }
    }

    /** IRET with NT set: back to the task that the link names. */
    static void returnToPrevious(Cpu cpu, long nextRip) {
        int link = cpu.mmu.readSystem16(SegmentLoader.wrap(cpu, cpu.segBase[Cpu.TR])) & 0xffff;
        if ((link & 4) != 0 || SegmentLoader.address(cpu, link, 8) == SegmentLoader.OUTSIDE) {
            throw fault(cpu, GuestException.TS, link);
        }
        int type = SegmentLoader.type(SegmentLoader.descriptor(cpu, link, GuestException.TS));
        if (type != SegmentLoader.TSS_BUSY && type != SegmentLoader.TSS16_BUSY) {
            throw fault(cpu, GuestException.TS, link);
        }
        perform(cpu, link, Cause.RETURN, nextRip, cpu.rflags() & ~(long) Cpu.NT, false, 0);
    }

    private static GuestException fault(Cpu cpu, int vector, int selector) {
        return cpu.fault(vector, SegmentLoader.errorCode(cpu, selector));
    }

    private static void perform(
            Cpu cpu,
            int selector,
            Cause cause,
            long oldRip,
            long oldFlags,
            boolean hasCode,
            int code) {
        long address = SegmentLoader.address(cpu, selector, 8);
        long d = SegmentLoader.descriptor(cpu, selector, GuestException.GP);
        boolean wide = (SegmentLoader.type(d) & 8) != 0;
        if (!SegmentLoader.present(d)) {
            throw fault(cpu, GuestException.NP, selector);
        }
        if (SegmentLoader.limit(d) < (wide ? LIMIT32 : LIMIT16)) {
            throw fault(cpu, GuestException.TS, selector);
        }
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_TASK_SWITCH)) {
            long info2 =
                    (hasCode ? code & 0xffff_ffffL | 1L << 44 : 0)
                            | (cause == Cause.RETURN ? 1L << 36 : 0)
                            | (cause == Cause.JUMP ? 1L << 38 : 0)
                            | ((oldFlags & Cpu.RF) != 0 ? 1L << 48 : 0);
            cpu.svm.exit(EXIT_TASK_SWITCH, selector, info2);
            throw cpu.worldSwitched;
        }
        // Everything that can page-fault in the old task's context comes before the first change.
        long oldBase = cpu.segBase[Cpu.TR];
        boolean oldWide = (cpu.segAttr[Cpu.TR] & 8) != 0;
        long newBase = SegmentLoader.base(d);
        int[] incoming = read(cpu, newBase, wide);
        cpu.mmu.probeWriteAs(false, oldBase, oldWide ? LIMIT32 + 1 : LIMIT16 + 1);
        if (cause == Cause.CALL || cause == Cause.EVENT) {
            cpu.mmu.probeWriteAs(false, newBase, 2);
        }
        int oldSelector = cpu.segSelector[Cpu.TR];
        save(cpu, oldBase, oldWide, oldRip, oldFlags);
        if (cause == Cause.JUMP || cause == Cause.RETURN) {
            setBusy(cpu, SegmentLoader.address(cpu, oldSelector, 8), false);
        }
        if (cause == Cause.CALL || cause == Cause.EVENT) {
            cpu.mmu.writeSystem16(newBase, oldSelector);
        }
        if (cause != Cause.RETURN) {
            setBusy(cpu, address, true);
        }
        SegmentLoader.fill(cpu, Cpu.TR, selector, d | 1L << 41);
        cpu.cr0 |= Cpu.CR0_TS;
        boolean mapped = loadCr3(cpu, incoming, wide);
        load(cpu, incoming, wide, cause == Cause.CALL || cause == Cause.EVENT);
        cpu.dr[7] &= ~0x55L; // local breakpoint enables
        cpu.events.breakpointsChanged();
        if (!mapped) {
            throw cpu.fault(GuestException.GP, cpu.events.externalBit());
        }
        loadSegments(cpu, incoming, wide);
        if (hasCode) {
            Operands.push(cpu, wide ? 4 : 2, code);
        }
        if (wide && (incoming[incoming.length - 1] & 1) != 0) {
            cpu.events.taskTrap();
        }
        if (cpu.rip > cpu.segLimit[Cpu.CS]) {
            throw cpu.fault(GuestException.GP, cpu.events.externalBit());
        }
    }

    private static void setBusy(Cpu cpu, long address, boolean busy) {
        if (address != SegmentLoader.OUTSIDE) {
            int type = cpu.mmu.readSystem8(address + 5);
            cpu.mmu.writeSystem8(address + 5, busy ? type | 2 : type & ~2);
        }
    }

    /**
     * EIP, EFLAGS, eight registers, six selectors (FS and GS null in a 16-bit TSS), LDT, then CR3
     * and the T word.
     */
    private static int[] read(Cpu cpu, long base, boolean wide) {
        int[] fields = new int[19];
        int step = wide ? 4 : 2;
        int at = wide ? EIP32 : EIP16;
        int count = wide ? 17 : 15;
        for (int i = 0; i < count; i++) {
            int value = field(cpu, base + at + i * step, step);
            boolean ldt16 = !wide && i == 14;
            fields[ldt16 ? 16 : i] = value;
        }
        if (wide) {
            fields[17] = field(cpu, base + CR3_32, 4);
            fields[18] = field(cpu, base + TRAP_32, 2);
        }
        return fields;
    }

    private static int field(Cpu cpu, long va, int size) {
        long at = SegmentLoader.wrap(cpu, va);
        return size == 4 ? cpu.mmu.readSystem32(at) : cpu.mmu.readSystem16(at) & 0xffff;
    }

    private static void save(Cpu cpu, long base, boolean wide, long rip, long flags) {
        int step = wide ? 4 : 2;
        long at = base + (wide ? EIP32 : EIP16);
        put(cpu, at, step, rip);
        put(cpu, at + step, step, flags);
        for (int i = 0; i < 8; i++) {
            put(cpu, at + (2L + i) * step, step, cpu.r[i]);
        }
        for (int i = 0; i < (wide ? 6 : 4); i++) {
            put(cpu, at + (10L + i) * step, 2, cpu.segSelector[i]);
        }
    }

    private static void put(Cpu cpu, long va, int size, long value) {
        long at = SegmentLoader.wrap(cpu, va);
        if (size == 4) {
            cpu.mmu.writeSystem32(at, (int) value);
        } else {
            cpu.mmu.writeSystem16(at, (int) value);
        }
    }

    /**
     * CR3, unless PAE's page-directory pointers are illegal there: then it stays, as with MOV CR3,
     * but the #GP(0) is the new task's (§12.3.2; the manual names no exception of its own for it).
     */
    private static boolean loadCr3(Cpu cpu, int[] in, boolean wide) {
        long cr3 = in[17] & 0xffff_ffffL;
        if (!wide || (cpu.cr0 & Cpu.CR0_PG) == 0 || cr3 == cpu.cr3) {
            return true;
        }
        boolean pae = (cpu.cr4 & Cpu.CR4_PAE) != 0;
        if (pae && !ControlRegisterInstructions.pdptesLegal(cpu, cr3)) {
            return false;
        }
        cpu.cr3 = cr3;
        cpu.mmu.flush(false);
        return true;
    }

    private static void load(Cpu cpu, int[] in, boolean wide, boolean nested) {
        cpu.rip = in[0] & 0xffff_ffffL;
        for (int i = 0; i < 8; i++) {
            Operands.writeRegister(cpu, i, wide ? 4 : 2, in[2 + i]);
        }
        for (int i = 0; i < 6; i++) {
            cpu.segSelector[i] = in[10 + i] & 0xffff;
            cpu.segAttr[i] &= ~Cpu.ATTR_P;
        }
        cpu.segSelector[Cpu.LDTR] = in[16] & 0xffff;
        cpu.segAttr[Cpu.LDTR] = 0;
        long flags = wide ? in[1] & 0xffff_ffffL : in[1];
        cpu.setRflags(flags | (nested ? Cpu.NT : 0));
        cpu.events.resumeFlagLoaded();
        cpu.cpl = (flags & Cpu.VM) != 0 ? 3 : in[11] & 3;
        cpu.updateMode();
    }

    /** Loads the descriptors of the new task; a fault here happens in its context (§12.4.3). */
    private static void loadSegments(Cpu cpu, int[] in, boolean wide) {
        SegmentLoader.loadLdt(cpu, in[16] & 0xffff, GuestException.TS);
        if (cpu.vm86) {
            for (int i = 0; i < 6; i++) {
                SegmentLoader.fillVm86(cpu, i, cpu.segSelector[i]);
            }
            cpu.updateMode();
            return;
        }
        int cs = in[11] & 0xffff;
        if (SegmentLoader.isNull(cs)) {
            throw fault(cpu, GuestException.TS, cs);
        }
        long code = SegmentLoader.descriptor(cpu, cs, GuestException.TS);
        int dpl = SegmentLoader.dpl(code);
        boolean privileged = SegmentLoader.conforming(code) ? dpl <= (cs & 3) : dpl == (cs & 3);
        if (!SegmentLoader.code(code) || !privileged) {
            throw fault(cpu, GuestException.TS, cs);
        }
        if (!SegmentLoader.present(code)) {
            throw fault(cpu, GuestException.NP, cs);
        }
        SegmentLoader.fill(cpu, Cpu.CS, cs, SegmentLoader.markAccessed(cpu, cs, code));
        cpu.updateMode();
        int ss = in[12] & 0xffff;
        if (SegmentLoader.isNull(ss)) {
            throw fault(cpu, GuestException.TS, ss);
        }
        long stack = SegmentLoader.checkStack(cpu, ss, cpu.cpl, GuestException.TS);
        SegmentLoader.fill(cpu, Cpu.SS, ss, SegmentLoader.markAccessed(cpu, ss, stack));
        cpu.updateMode();
        loadData(cpu, Cpu.DS, in[13] & 0xffff);
        loadData(cpu, Cpu.ES, in[10] & 0xffff);
        loadData(cpu, Cpu.FS, wide ? in[14] & 0xffff : 0);
        loadData(cpu, Cpu.GS, wide ? in[15] & 0xffff : 0);
    }

    private static void loadData(Cpu cpu, int segment, int selector) {
        if (SegmentLoader.isNull(selector)) {
            SegmentLoader.fillNull(cpu, segment, selector);
            return;
        }
        long d = SegmentLoader.checkData(cpu, selector, GuestException.TS);
        SegmentLoader.fill(cpu, segment, selector, SegmentLoader.markAccessed(cpu, selector, d));
    }
}
