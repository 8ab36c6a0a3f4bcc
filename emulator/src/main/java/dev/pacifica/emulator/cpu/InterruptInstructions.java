package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.Insn;

/**
 * INT n, INT3, INTO, INT1 and IRET, with the virtual-8086 mode extensions (APM Vol 2 §8.7, §8.9,
 * §8.10).
 */
final class InterruptInstructions {
    private static final int EXIT_IRET = 0x74;
    private static final int EXIT_SWINT = 0x75;
    private static final int EXIT_ICEBP = 0x88;
    private static final int LOW_FLAGS = 0xffff;

    private InterruptInstructions() {}

    static int interrupt(Cpu cpu, Insn insn) {
        int vector = (int) insn.imm & 0xff;
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_SWINT)) {
            cpu.svm.exit(EXIT_SWINT, vector, 0);
            return SystemInstructions.JUMPED;
        }
        if (cpu.vm86 && staysInVm86(cpu, vector)) {
            long from = cpu.rip;
            vm86Interrupt(cpu, vector, cpu.rip + insn.length);
            cpu.msrs.recordException(from, cpu.rip);
            return SystemInstructions.JUMPED;
        }
        cpu.events.softwareInterrupt(vector, EventDelivery.SOFTWARE, true);
        return SystemInstructions.JUMPED;
    }

    /**
     * In virtual-8086 mode: whether INT n goes to the 8086 program's own handler; otherwise it goes
     * through the IDT, which needs IOPL 3 (#GP).
     */
    static boolean staysInVm86(Cpu cpu, int vector) {
        if ((cpu.cr4 & Cpu.CR4_VME) != 0 && !redirectedToProtectedMode(cpu, vector)) {
            return true;
        }
        if ((cpu.systemFlags() & Cpu.IOPL) != Cpu.IOPL) {
            throw cpu.fault(GuestException.GP, 0);
        }
        return false;
    }

    /** The interrupt-redirection bitmap: the 32 bytes below the I/O permission map. */
    private static boolean redirectedToProtectedMode(Cpu cpu, int vector) {
        if (0x67 > cpu.segLimit[Cpu.TR]) {
            throw cpu.fault(GuestException.GP, 0);
        }
        long tss = cpu.segBase[Cpu.TR];
        int map = cpu.mmu.readSystem16(SegmentLoader.wrap(cpu, tss + 0x66)) & 0xffff;
        int at = map - 32 + (vector >> 3);
        if (at < 0 || at > cpu.segLimit[Cpu.TR]) {
            throw cpu.fault(GuestException.GP, 0);
        }
        return (cpu.mmu.readSystem8(SegmentLoader.wrap(cpu, tss + at)) >> (vector & 7) & 1) != 0;
    }

    /**
     * Through the vector table at linear address 0, as in real mode; below IOPL 3 with VIF for IF.
     */
    static void vm86Interrupt(Cpu cpu, int vector, long next) {
        boolean iopl3 = (cpu.systemFlags() & Cpu.IOPL) == Cpu.IOPL;
        long image = cpu.rflags() & LOW_FLAGS;
        if (!iopl3) {
            image |= Cpu.IOPL;
            image = (cpu.systemFlags() & Cpu.VIF) != 0 ? image | Cpu.IF : image & ~Cpu.IF;
        }
        int offset = cpu.mmu.readSystem16(vector * 4L) & 0xffff;
        int selector = cpu.mmu.readSystem16(vector * 4L + 2) & 0xffff;
        GateStack stack = cpu.gateStack;
        stack.useCurrent();
        stack.push(2, image);
        stack.push(2, cpu.segSelector[Cpu.CS]);
        stack.push(2, next);
        stack.commit();
        cpu.events.suppressStep();
        SegmentLoader.fillVm86(cpu, Cpu.CS, selector);
        cpu.rip = offset;
        int cleared = Cpu.TF | Cpu.RF | (iopl3 ? Cpu.IF : Cpu.VIF);
        cpu.setRflags(cpu.rflags() & ~(long) cleared);
        cpu.updateMode();
    }

    static int breakpoint(Cpu cpu) {
        cpu.events.softwareInterrupt(GuestException.BP, EventDelivery.EXCEPTION, true);
        return SystemInstructions.JUMPED;
    }

    static int overflow(Cpu cpu) {
        if (!cpu.of()) {
            return SystemInstructions.NEXT;
        }
        cpu.events.softwareInterrupt(GuestException.OF, EventDelivery.EXCEPTION, true);
        return SystemInstructions.JUMPED;
    }

    static int icebp(Cpu cpu) {
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_ICEBP)) {
            cpu.svm.exit(EXIT_ICEBP, 0, 0);
            return SystemInstructions.JUMPED;
        }
        cpu.events.softwareInterrupt(GuestException.DB, EventDelivery.EXCEPTION, false);
        return SystemInstructions.JUMPED;
    }

    static int iret(Cpu cpu, Insn insn) {
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_IRET)) {
            cpu.svm.exit(EXIT_IRET, 0, 0);
            return SystemInstructions.JUMPED;
        }
        int size = insn.operandSize;
        if (!cpu.protectedMode) {
            realReturn(cpu, size);
        } else if (cpu.vm86) {
            vm86Return(cpu, size);
        } else if ((cpu.systemFlags() & Cpu.NT) != 0) {
            if (cpu.longMode) {
                throw cpu.fault(GuestException.GP, 0);
            }
            TaskSwitch.returnToPrevious(cpu, cpu.rip + insn.length & 0xffff_ffffL);
        } else {
            protectedReturn(cpu, size);
        }
        cpu.events.resumeFlagLoaded();
        if (cpu.guestMode && cpu.svm.virtualNmi()) {
            cpu.svm.unmaskVirtualNmi();
        } else if (cpu.nmiBlocked) {
            cpu.nmiBlocked = false;
            cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        }
        return SystemInstructions.JUMPED;
    }

    /** Loads the flags in {@code mask} from the image; a 16-bit image clears RF. */
    private static void loadFlags(Cpu cpu, long image, long mask, int size) {
        long effective = size == 2 ? mask & LOW_FLAGS : mask;
        cpu.setRflags(cpu.rflags() & ~(effective | Cpu.RF) | image & effective);
    }

    private static void realReturn(Cpu cpu, int size) {
        long offset = Operands.peek(cpu, 0, size);
        int selector = (int) Operands.peek(cpu, size, size) & 0xffff;
        long image = Operands.peek(cpu, 2L * size, size);
        if (offset > cpu.segLimit[Cpu.CS]) {
            throw cpu.fault(GuestException.GP, 0);
        }
        Operands.release(cpu, 3L * size);
        SegmentLoader.fillReal(cpu, Cpu.CS, selector);
        cpu.rip = offset;
        int kept = Cpu.VM | Cpu.VIF | Cpu.VIP;
        loadFlags(cpu, image, ~(long) kept, size);
        cpu.updateMode();
    }

    private static void vm86Return(Cpu cpu, int size) {
        boolean iopl3 = (cpu.systemFlags() & Cpu.IOPL) == Cpu.IOPL;
        boolean extended = !iopl3 && (cpu.cr4 & Cpu.CR4_VME) != 0 && size == 2;
        if (!iopl3 && !extended) {
            throw cpu.fault(GuestException.GP, 0);
        }
        long offset = Operands.peek(cpu, 0, size);
        int selector = (int) Operands.peek(cpu, size, size) & 0xffff;
        long image = Operands.peek(cpu, 2L * size, size);
        if (offset > cpu.segLimit[Cpu.CS]) {
            throw cpu.fault(GuestException.GP, 0);
        }
        int kept = Cpu.VM | Cpu.VIF | Cpu.VIP | Cpu.IOPL;
        if (extended) {
            boolean virtualIf = (image & Cpu.IF) != 0;
            if (virtualIf && (cpu.systemFlags() & Cpu.VIP) != 0 || (image & Cpu.TF) != 0) {
                throw cpu.fault(GuestException.GP, 0);
            }
            kept |= Cpu.IF;
            long flags = cpu.rflags();
            cpu.setRflags(virtualIf ? flags | Cpu.VIF : flags & ~(long) Cpu.VIF);
        }
        Operands.release(cpu, 3L * size);
        SegmentLoader.fillVm86(cpu, Cpu.CS, selector);
        cpu.rip = offset;
        loadFlags(cpu, image, ~(long) kept, size);
        cpu.updateMode();
    }

    private static void protectedReturn(Cpu cpu, int size) {
        long offset = Operands.peek(cpu, 0, size);
        int selector = (int) Operands.peek(cpu, size, size) & 0xffff;
        long image = Operands.peek(cpu, 2L * size, size);
        if (!cpu.longMode && cpu.cpl == 0 && size == 4 && (image & Cpu.VM) != 0) {
            enterVm86(cpu, selector, offset, image);
            return;
        }
        boolean from64 = cpu.mode64;
        long rsp = 0;
        int ss = 0;
        if (from64) {
            rsp = Operands.peek(cpu, 3L * size, size);
            ss = (int) Operands.peek(cpu, 4L * size, size) & 0xffff;
        }
        long d = FarTransfer.returnCode(cpu, selector);
        FarTransfer.checkTarget(cpu, d, offset);
        int cpl = cpu.cpl;
        int kept = Cpu.VM | (cpl == 0 ? 0 : Cpu.IOPL | Cpu.VIF | Cpu.VIP);
        if (cpl > (cpu.systemFlags() & Cpu.IOPL) >> 12) {
            kept |= Cpu.IF;
        }
        if (from64 || (selector & 3) != cpl) {
            if (!from64) {
                rsp = Operands.peek(cpu, 3L * size, size);
                ss = (int) Operands.peek(cpu, 4L * size, size) & 0xffff;
            }
            FarTransfer.returnOutward(cpu, selector, d, offset, ss, rsp, 0);
        } else {
            long accessed = SegmentLoader.markAccessed(cpu, selector, d);
            Operands.release(cpu, 3L * size);
            SegmentLoader.fill(cpu, Cpu.CS, selector, accessed);
            cpu.rip = FarTransfer.targets64(cpu, d) ? offset : offset & 0xffff_ffffL;
        }
        loadFlags(cpu, image, ~(long) kept, size);
        cpu.updateMode();
    }

    private static void enterVm86(Cpu cpu, int selector, long offset, long image) {
        long esp = Operands.peek(cpu, 12, 4);
        int[] order = {Cpu.SS, Cpu.ES, Cpu.DS, Cpu.FS, Cpu.GS};
        int[] selectors = new int[order.length];
        for (int i = 0; i < order.length; i++) {
            selectors[i] = (int) Operands.peek(cpu, 16 + 4L * i, 4) & 0xffff;
        }
        if (offset > 0xffff) {
            throw cpu.fault(GuestException.GP, 0);
        }
        cpu.cpl = 3;
        cpu.setRflags(image);
        for (int i = 0; i < order.length; i++) {
            SegmentLoader.fillVm86(cpu, order[i], selectors[i]);
        }
        SegmentLoader.fillVm86(cpu, Cpu.CS, selector);
        cpu.r[Cpu.RSP] = esp;
        cpu.rip = offset;
        cpu.updateMode();
    }
}
