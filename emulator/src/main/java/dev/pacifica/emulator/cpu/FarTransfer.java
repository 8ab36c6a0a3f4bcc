package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.Insn;

/**
 * JMP, CALL and RET far: code segments, call gates with stack switch and parameter copy, task
 * switches (APM Vol 2 §4.11, Vol 3).
 */
final class FarTransfer {
    private FarTransfer() {}

    static int jump(Cpu cpu, Insn insn) {
        return transfer(cpu, insn, false);
    }

    static int call(Cpu cpu, Insn insn) {
        return transfer(cpu, insn, true);
    }

    private static int transfer(Cpu cpu, Insn insn, boolean call) {
        long offset;
        int selector;
        if (insn.memory) {
            long at = Operands.offset(cpu, insn);
            // REX.W widens what CALL pushes, but not the offset in memory.
            int width = Math.min(insn.operandSize, 4);
            offset = Operands.read(cpu, insn.segment, at, width);
            selector =
                    cpu.read16(insn.segment, Operands.truncate(at + width, insn.addressSize))
                            & 0xffff;
        } else {
            offset = Operands.truncate(insn.imm, insn.operandSize);
            selector = (int) insn.imm2 & 0xffff;
        }
        long next = cpu.rip + insn.length;
        if (!cpu.protectedMode || cpu.vm86) {
            flat(cpu, selector, offset, next, insn.operandSize, call);
        } else {
            protectedMode(cpu, selector, offset, next, insn.operandSize, call);
        }
        return SystemInstructions.JUMPED;
    }

    /** In real and virtual-8086 mode. */
    private static void flat(
            Cpu cpu, int selector, long offset, long next, int size, boolean call) {
        if (call) {
            cpu.gateStack.useCurrent();
            cpu.gateStack.push(size, cpu.segSelector[Cpu.CS]);
            cpu.gateStack.push(size, next);
        }
        if (offset > cpu.segLimit[Cpu.CS]) {
            throw cpu.fault(GuestException.GP, 0);
        }
        if (call) {
            cpu.gateStack.commit();
        }
        loadFlatCode(cpu, selector);
        cpu.rip = offset;
        cpu.updateMode();
    }

    static void loadFlatCode(Cpu cpu, int selector) {
        if (cpu.vm86) {
            SegmentLoader.fillVm86(cpu, Cpu.CS, selector);
        } else {
            SegmentLoader.fillReal(cpu, Cpu.CS, selector);
        }
    }

    private static void protectedMode(
            Cpu cpu, int selector, long offset, long next, int size, boolean call) {
        if (SegmentLoader.isNull(selector)) {
            throw cpu.fault(GuestException.GP, 0);
        }
        long d = SegmentLoader.descriptor(cpu, selector, GuestException.GP);
        if (SegmentLoader.code(d)) {
            boolean allowed =
                    SegmentLoader.conforming(d)
                            ? SegmentLoader.dpl(d) <= cpu.cpl
                            : SegmentLoader.dpl(d) == cpu.cpl && (selector & 3) <= cpu.cpl;
            if (!allowed || illegalLong(cpu, d)) {
                throw selectorFault(cpu, GuestException.GP, selector);
            }
            if (!SegmentLoader.present(d)) {
                throw selectorFault(cpu, GuestException.NP, selector);
            }
            if (call) {
                cpu.gateStack.useCurrent();
                cpu.gateStack.push(size, cpu.segSelector[Cpu.CS]);
                cpu.gateStack.push(size, next);
            }
            checkTarget(cpu, d, offset);
            long accessed = SegmentLoader.markAccessed(cpu, selector, d);
            if (call) {
                cpu.gateStack.commit();
            }
            enter(cpu, selector & ~3 | cpu.cpl, accessed, offset);
            return;
        }
        int type = SegmentLoader.type(d);
        boolean privileged = SegmentLoader.dpl(d) >= Math.max(cpu.cpl, selector & 3);
        boolean task =
                type == SegmentLoader.TASK_GATE
                        || type == SegmentLoader.TSS_AVAILABLE
                        || type == SegmentLoader.TSS16_AVAILABLE;
        boolean gate =
                type == SegmentLoader.CALL_GATE
                        || type == SegmentLoader.CALL_GATE16 && !cpu.longMode;
        if (!privileged || !gate && (cpu.longMode || !task)) {
            throw selectorFault(cpu, GuestException.GP, selector);
        }
        if (gate) {
            throughCallGate(cpu, selector, d, next, call);
        } else if (type == SegmentLoader.TASK_GATE) {
            if (!SegmentLoader.present(d)) {
                throw selectorFault(cpu, GuestException.NP, selector);
            }
            TaskSwitch.farThroughGate(cpu, (int) (d >>> 16) & 0xffff, next & 0xffff_ffffL, call);
        } else {
            TaskSwitch.far(cpu, selector, next & 0xffff_ffffL, call);
        }
    }

    private static void throughCallGate(
            Cpu cpu, int gateSelector, long gate, long next, boolean call) {
        if (!SegmentLoader.present(gate)) {
            throw selectorFault(cpu, GuestException.NP, gateSelector);
        }
        boolean wide = SegmentLoader.type(gate) == SegmentLoader.CALL_GATE;
        long offset = gate & 0xffff | (wide ? gate >>> 32 & 0xffff_0000L : 0);
        if (cpu.longMode) {
            long address = SegmentLoader.address(cpu, gateSelector, 16);
            if (address == SegmentLoader.OUTSIDE) {
                throw selectorFault(cpu, GuestException.GP, gateSelector);
            }
            long high = cpu.mmu.readSystem64(address + 8);
            if ((high >>> 40 & 0x1f) != 0) {
                throw selectorFault(cpu, GuestException.GP, gateSelector);
            }
            offset |= high << 32;
        }
        int selector = (int) (gate >>> 16) & 0xffff;
        if (SegmentLoader.isNull(selector)) {
            throw cpu.fault(GuestException.GP, 0);
        }
        long d = SegmentLoader.descriptor(cpu, selector, GuestException.GP);
        int dpl = SegmentLoader.dpl(d);
        boolean conforming = SegmentLoader.conforming(d);
        boolean allowed =
                SegmentLoader.code(d) && (dpl == cpu.cpl || dpl < cpu.cpl && (call || conforming));
        boolean fits = !cpu.longMode || SegmentLoader.longCode(d) && !SegmentLoader.defaultBig(d);
        if (!allowed || !fits) {
            throw selectorFault(cpu, GuestException.GP, selector);
        }
        if (!SegmentLoader.present(d)) {
            throw selectorFault(cpu, GuestException.NP, selector);
        }
        int size = cpu.longMode ? 8 : wide ? 4 : 2;
        GateStack stack = cpu.gateStack;
        int newCpl = cpu.cpl;
        if (call && !conforming && dpl < cpu.cpl) {
            newCpl = dpl;
            if (cpu.longMode) {
                stack.useFlat(Gates.taskStack(cpu, 4 + 8 * newCpl), newCpl);
            } else {
                Gates.innerStack(cpu, stack, newCpl);
            }
            stack.push(size, cpu.segSelector[Cpu.SS]);
            stack.push(size, cpu.r[Cpu.RSP]);
            int parameters = cpu.longMode ? 0 : (int) (gate >>> 32) & 31;
            for (int i = parameters - 1; i >= 0; i--) {
                stack.push(size, Operands.peek(cpu, (long) i * size, size));
            }
        } else if (call) {
            stack.useCurrent();
        }
        if (call) {
            stack.push(size, cpu.segSelector[Cpu.CS]);
            stack.push(size, next);
        }
        checkTarget(cpu, d, offset);
        long accessed = SegmentLoader.markAccessed(cpu, selector, d);
        if (call) {
            stack.commit();
        }
        cpu.cpl = newCpl;
        enter(cpu, selector & ~3 | newCpl, accessed, offset);
    }

    /** L and D both set: reserved in long mode. */
    static boolean illegalLong(Cpu cpu, long d) {
        return cpu.longMode && SegmentLoader.longCode(d) && SegmentLoader.defaultBig(d);
    }

    /** Whether a code descriptor means 64-bit code in the current mode. */
    static boolean targets64(Cpu cpu, long d) {
        return cpu.longMode && SegmentLoader.longCode(d);
    }

    static void checkTarget(Cpu cpu, long d, long offset) {
        boolean good =
                targets64(cpu, d)
                        ? Cpu.canonical(offset)
                        : (offset & 0xffff_ffffL) <= SegmentLoader.limit(d);
        if (!good) {
            throw cpu.fault(GuestException.GP, 0);
        }
    }

    private static void enter(Cpu cpu, int selector, long d, long offset) {
        SegmentLoader.fill(cpu, Cpu.CS, selector, d);
        cpu.rip = targets64(cpu, d) ? offset : offset & 0xffff_ffffL;
        cpu.updateMode();
    }

    private static GuestException selectorFault(Cpu cpu, int vector, int selector) {
        return cpu.fault(vector, SegmentLoader.errorCode(cpu, selector));
    }

    /** RET far, with the immediate's bytes of parameters released on both stacks. */
    static int ret(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        long parameters = insn.imm & 0xffff;
        long offset = Operands.peek(cpu, 0, size);
        int selector = (int) Operands.peek(cpu, size, size) & 0xffff;
        if (!cpu.protectedMode || cpu.vm86) {
            if (offset > cpu.segLimit[Cpu.CS]) {
                throw cpu.fault(GuestException.GP, 0);
            }
            Operands.release(cpu, 2L * size + parameters);
            loadFlatCode(cpu, selector);
            cpu.rip = offset;
            cpu.updateMode();
            return SystemInstructions.JUMPED;
        }
        long d = returnCode(cpu, selector);
        int cpl = selector & 3;
        checkTarget(cpu, d, offset);
        if (cpl == cpu.cpl) {
            long accessed = SegmentLoader.markAccessed(cpu, selector, d);
            Operands.release(cpu, 2L * size + parameters);
            enter(cpu, selector, accessed, offset);
            return SystemInstructions.JUMPED;
        }
        long rsp = Operands.peek(cpu, 2L * size + parameters, size);
        int ss = (int) Operands.peek(cpu, 3L * size + parameters, size) & 0xffff;
        returnOutward(cpu, selector, d, offset, ss, rsp, parameters);
        return SystemInstructions.JUMPED;
    }

    /** Checks the code selector that RET or IRET returns to, and reads its descriptor. */
    static long returnCode(Cpu cpu, int selector) {
        if (SegmentLoader.isNull(selector)) {
            throw cpu.fault(GuestException.GP, 0);
        }
        long d = SegmentLoader.descriptor(cpu, selector, GuestException.GP);
        int rpl = selector & 3;
        boolean privileged =
                SegmentLoader.conforming(d)
                        ? SegmentLoader.dpl(d) <= rpl
                        : SegmentLoader.dpl(d) == rpl;
        if (!SegmentLoader.code(d) || rpl < cpu.cpl || !privileged || illegalLong(cpu, d)) {
            throw selectorFault(cpu, GuestException.GP, selector);
        }
        if (!SegmentLoader.present(d)) {
            throw selectorFault(cpu, GuestException.NP, selector);
        }
        return d;
    }

    /**
     * Completes a return that also loads SS:RSP: to an outer privilege, or IRET from 64-bit mode.
     */
    static void returnOutward(
            Cpu cpu, int selector, long d, long offset, int ss, long rsp, long parameters) {
        int cpl = selector & 3;
        boolean to64 = targets64(cpu, d);
        long stack = 0;
        boolean nullStack = SegmentLoader.isNull(ss);
        if (nullStack) {
            if (!to64 || cpl == 3 || (ss & 3) != cpl) {
                throw cpu.fault(GuestException.GP, 0);
            }
        } else {
            stack = SegmentLoader.checkStack(cpu, ss, cpl, GuestException.GP);
            stack = SegmentLoader.markAccessed(cpu, ss, stack);
        }
        long accessed = SegmentLoader.markAccessed(cpu, selector, d);
        boolean outward = cpl != cpu.cpl;
        cpu.cpl = cpl;
        if (nullStack) {
            SegmentLoader.fillNull(cpu, Cpu.SS, ss);
        } else {
            SegmentLoader.fill(cpu, Cpu.SS, ss, stack);
        }
        int width = to64 ? 8 : (cpu.segAttr[Cpu.SS] & Cpu.ATTR_DB) != 0 ? 4 : 2;
        Operands.writeRegister(cpu, Cpu.RSP, width, rsp + parameters);
        if (outward) {
            SegmentLoader.dropInaccessible(cpu, cpl);
        }
        enter(cpu, selector, accessed, offset);
    }
}
