package dev.pacifica.emulator.cpu;

/**
 * The way of an event to its handler: real-mode IVT (APM Vol 2 §8.6), legacy gates (§8.7),
 * long-mode gates (§8.9).
 */
final class Gates {
    private final Cpu cpu;
    private final GateStack stack;

    Gates(Cpu cpu) {
        this.cpu = cpu;
        stack = cpu.gateStack;
    }

    /**
     * Enters the handler of a vector. A fault leaves the state as it was (except in a task switch
     * that has begun).
     *
     * @param image the flags to push
     * @param dplChecked whether the gate's DPL is compared with CPL (INT n, INT3, INTO)
     */
    void enter(
            int vector, boolean hasCode, int code, long returnRip, long image, boolean dplChecked) {
        if (!cpu.protectedMode) {
            realMode(vector, returnRip, image);
        } else if (cpu.longMode) {
            longMode(vector, hasCode, code, returnRip, image, dplChecked);
        } else {
            legacy(vector, hasCode, code, returnRip, image, dplChecked);
        }
    }

    private GuestException gateFault(int fault, int vector) {
        return cpu.fault(fault, vector << 3 | 2 | cpu.events.externalBit());
    }

    private GuestException selectorFault(int fault, int selector) {
        return cpu.fault(fault, SegmentLoader.errorCode(cpu, selector));
    }

    private void realMode(int vector, long returnRip, long image) {
        if (vector * 4 + 3 > cpu.idtrLimit) {
            throw gateFault(GuestException.GP, vector);
        }
        long entry = SegmentLoader.wrap(cpu, cpu.idtrBase + vector * 4L);
        int offset = cpu.mmu.readSystem16(entry) & 0xffff;
        int selector = cpu.mmu.readSystem16(entry + 2) & 0xffff;
        stack.useCurrent();
        stack.push(2, image);
        stack.push(2, cpu.segSelector[Cpu.CS]);
        stack.push(2, returnRip);
        stack.commit();
        SegmentLoader.fillReal(cpu, Cpu.CS, selector);
        cpu.rip = offset;
        cpu.setRflags(cpu.rflags() & ~(long) (Cpu.IF | Cpu.TF | Cpu.AC | Cpu.RF));
        cpu.updateMode();
    }

    /** Flags in a handler: TF, NT, RF and VM clear, IF too through an interrupt gate. */
    private void handlerFlags(boolean interruptGate) {
        int cleared = Cpu.TF | Cpu.NT | Cpu.RF | Cpu.VM | (interruptGate ? Cpu.IF : 0);
        cpu.setRflags(cpu.rflags() & ~(long) cleared);
    }

    private void legacy(
            int vector, boolean hasCode, int code, long returnRip, long image, boolean dplChecked) {
        if (vector * 8 + 7 > cpu.idtrLimit) {
            throw gateFault(GuestException.GP, vector);
        }
        long gate = cpu.mmu.readSystem64(SegmentLoader.wrap(cpu, cpu.idtrBase + vector * 8L));
        int type = SegmentLoader.type(gate);
        boolean known =
                switch (type) {
                    case SegmentLoader.TASK_GATE,
                            SegmentLoader.INTERRUPT_GATE16,
                            SegmentLoader.TRAP_GATE16,
                            SegmentLoader.INTERRUPT_GATE,
                            SegmentLoader.TRAP_GATE ->
                            true;
                    default -> false;
                };
        if (!known || dplChecked && SegmentLoader.dpl(gate) < cpu.cpl) {
            throw gateFault(GuestException.GP, vector);
        }
        if (!SegmentLoader.present(gate)) {
            throw gateFault(GuestException.NP, vector);
        }
        int selector = (int) (gate >>> 16) & 0xffff;
        if (type == SegmentLoader.TASK_GATE) {
            TaskSwitch.throughGate(cpu, selector, returnRip, image, hasCode, code);
            return;
        }
        long target = handlerCode(selector);
        boolean conforming = SegmentLoader.conforming(target);
        int newCpl = conforming ? cpu.cpl : SegmentLoader.dpl(target);
        if (cpu.vm86 && newCpl != 0) {
            throw selectorFault(GuestException.GP, selector);
        }
        int size = (type & 8) != 0 ? 4 : 2;
        long offset = gate & 0xffff | (size == 4 ? gate >>> 32 & 0xffff_0000L : 0);
        boolean fromVm86 = cpu.vm86;
        if (newCpl < cpu.cpl) {
            innerStack(newCpl);
            if (fromVm86) {
                stack.push(size, cpu.segSelector[Cpu.GS]);
                stack.push(size, cpu.segSelector[Cpu.FS]);
                stack.push(size, cpu.segSelector[Cpu.DS]);
                stack.push(size, cpu.segSelector[Cpu.ES]);
            }
            stack.push(size, cpu.segSelector[Cpu.SS]);
            stack.push(size, cpu.r[Cpu.RSP]);
        } else {
            stack.useCurrent();
        }
        stack.push(size, image);
        stack.push(size, cpu.segSelector[Cpu.CS]);
        stack.push(size, returnRip);
        if (hasCode) {
            stack.push(size, code);
        }
        if (offset > SegmentLoader.limit(target)) {
            throw selectorFault(GuestException.GP, 0);
        }
        long accessed = SegmentLoader.markAccessed(cpu, selector, target);
        stack.commit();
        if (fromVm86) {
            for (int segment : new int[] {Cpu.ES, Cpu.DS, Cpu.FS, Cpu.GS}) {
                SegmentLoader.fillNull(cpu, segment, 0);
            }
        }
        SegmentLoader.fill(cpu, Cpu.CS, selector & ~3 | newCpl, accessed);
        cpu.cpl = newCpl;
        cpu.rip = offset;
        handlerFlags((type & 1) == 0);
        cpu.updateMode();
    }

    /** The code descriptor that a gate points at, with the checks that all gates share. */
    private long handlerCode(int selector) {
        if (SegmentLoader.isNull(selector)) {
            throw selectorFault(GuestException.GP, 0);
        }
        long d = SegmentLoader.descriptor(cpu, selector, GuestException.GP);
        if (!SegmentLoader.code(d) || SegmentLoader.dpl(d) > cpu.cpl) {
            throw selectorFault(GuestException.GP, selector);
        }
        if (cpu.longMode && (!SegmentLoader.longCode(d) || SegmentLoader.defaultBig(d))) {
            throw selectorFault(GuestException.GP, selector);
        }
        if (!SegmentLoader.present(d)) {
            throw selectorFault(GuestException.NP, selector);
        }
        return d;
    }

    /** Takes SS:ESP of an inner privilege from the TSS. */
    private void innerStack(int newCpl) {
        innerStack(cpu, stack, newCpl);
    }

    /** Takes SS:ESP of an inner privilege from a legacy TSS, for gates of all kinds (§12.2.2). */
    static void innerStack(Cpu cpu, GateStack stack, int newCpl) {
        boolean wide = (cpu.segAttr[Cpu.TR] & 8) != 0;
        long offset = wide ? newCpl * 8L + 4 : newCpl * 4L + 2;
        if (offset + (wide ? 5 : 3) > cpu.segLimit[Cpu.TR]) {
            throw cpu.fault(
                    GuestException.TS, SegmentLoader.errorCode(cpu, cpu.segSelector[Cpu.TR]));
        }
        long at = SegmentLoader.wrap(cpu, cpu.segBase[Cpu.TR] + offset);
        long esp =
                wide ? cpu.mmu.readSystem32(at) & 0xffff_ffffL : cpu.mmu.readSystem16(at) & 0xffff;
        int ss = cpu.mmu.readSystem16(at + (wide ? 4 : 2)) & 0xffff;
        if (SegmentLoader.isNull(ss)) {
            throw cpu.fault(GuestException.TS, SegmentLoader.errorCode(cpu, ss));
        }
        long d = SegmentLoader.checkStack(cpu, ss, newCpl, GuestException.TS);
        stack.useSegment(ss, SegmentLoader.markAccessed(cpu, ss, d), newCpl, esp);
    }

    private void longMode(
            int vector, boolean hasCode, int code, long returnRip, long image, boolean dplChecked) {
        if (vector * 16 + 15 > cpu.idtrLimit) {
            throw gateFault(GuestException.GP, vector);
        }
        long gate = cpu.mmu.readSystem64(cpu.idtrBase + vector * 16L);
        long high = cpu.mmu.readSystem64(cpu.idtrBase + vector * 16L + 8);
        int type = SegmentLoader.type(gate);
        if (type != SegmentLoader.INTERRUPT_GATE && type != SegmentLoader.TRAP_GATE
                || dplChecked && SegmentLoader.dpl(gate) < cpu.cpl) {
            throw gateFault(GuestException.GP, vector);
        }
        if (!SegmentLoader.present(gate)) {
            throw gateFault(GuestException.NP, vector);
        }
        int selector = (int) (gate >>> 16) & 0xffff;
        long target = handlerCode(selector);
        int newCpl = SegmentLoader.conforming(target) ? cpu.cpl : SegmentLoader.dpl(target);
        long offset = gate & 0xffff | gate >>> 32 & 0xffff_0000L | high << 32;
        int ist = (int) (gate >>> 32) & 7;
        boolean inner = newCpl < cpu.cpl;
        long rsp =
                ist != 0
                        ? taskStack(cpu, 0x1c + 8 * ist)
                        : inner ? taskStack(cpu, 4 + 8 * newCpl) : cpu.r[Cpu.RSP];
        stack.useFlat(rsp & ~15L, inner ? newCpl : -1);
        stack.push(8, cpu.segSelector[Cpu.SS]);
        stack.push(8, cpu.r[Cpu.RSP]);
        stack.push(8, image);
        stack.push(8, cpu.segSelector[Cpu.CS]);
        stack.push(8, returnRip);
        if (hasCode) {
            stack.push(8, code & 0xffff_ffffL);
        }
        if (!Cpu.canonical(offset)) {
            throw selectorFault(GuestException.GP, 0);
        }
        long accessed = SegmentLoader.markAccessed(cpu, selector, target);
        stack.commit();
        SegmentLoader.fill(cpu, Cpu.CS, selector & ~3 | newCpl, accessed);
        cpu.cpl = newCpl;
        cpu.rip = offset;
        handlerFlags(type == SegmentLoader.INTERRUPT_GATE);
        cpu.updateMode();
    }

    /** A stack pointer of the 64-bit TSS (§12.2.5). */
    static long taskStack(Cpu cpu, int offset) {
        if (offset + 7 > cpu.segLimit[Cpu.TR]) {
            throw cpu.fault(
                    GuestException.TS, SegmentLoader.errorCode(cpu, cpu.segSelector[Cpu.TR]));
        }
        long rsp = cpu.mmu.readSystem64(cpu.segBase[Cpu.TR] + offset);
        if (!Cpu.canonical(rsp)) {
            throw cpu.fault(GuestException.SS, SegmentLoader.errorCode(cpu, 0));
        }
        return rsp;
    }
}
