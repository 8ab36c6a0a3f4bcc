package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;

/** PUSH to LEAVE: everything that only moves data to and from the stack (APM Vol 3 chapter 3). */
final class StackInstructions {
    private StackInstructions() {}

    /** Pushes {@code size} bytes; RSP changes only when the write succeeded. */
    static void push(Cpu cpu, int size, long value) {
        long top = truncate(cpu, cpu.r[Cpu.RSP] - size);
        Operands.store(cpu, cpu.linear(Cpu.SS, top, size, true), size, value);
        setStackPointer(cpu, top);
    }

    /** The {@code size} bytes at {@code depth} bytes from the top of the stack, zero-extended. */
    static long peek(Cpu cpu, int size, long depth) {
        return Operands.load(
                cpu, cpu.linear(Cpu.SS, truncate(cpu, cpu.r[Cpu.RSP] + depth), size, false), size);
    }

    static void drop(Cpu cpu, long bytes) {
        setStackPointer(cpu, cpu.r[Cpu.RSP] + bytes);
    }

    static long truncate(Cpu cpu, long offset) {
        return switch (cpu.stackSize) {
            case 2 -> offset & 0xffff;
            case 4 -> offset & 0xffff_ffffL;
            default -> offset;
        };
    }

    static void setStackPointer(Cpu cpu, long value) {
        Operands.setRegister(cpu, Cpu.RSP, cpu.stackSize, value);
    }

    static void push(Cpu cpu, Insn insn) {
        push(cpu, insn.operandSize, Operands.read(cpu, insn, 0, insn.operandSize));
    }

    /**
     * A memory destination's address is computed with the RSP after the pop, yet RSP changes only
     * when the write succeeded.
     */
    static void pop(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        long value = peek(cpu, size, 0);
        if (insn.memory) {
            long extra = insn.base == Cpu.RSP ? size : 0;
            Operands.store(
                    cpu,
                    cpu.linear(insn.segment, Operands.offset(cpu, insn, extra), size, true),
                    size,
                    value);
            drop(cpu, size);
        } else {
            drop(cpu, size);
            Operands.setRegister(cpu, insn.rm, size, value);
        }
    }

    static void pushSegment(Cpu cpu, Insn insn) {
        int segment = insn.row.operands.get(0).register();
        push(cpu, insn.operandSize, cpu.segSelector[segment]);
    }

    static void moveFromSegment(Cpu cpu, Insn insn) {
        int selector = cpu.segSelector[insn.reg];
        if (insn.memory) {
            cpu.write16(insn.segment, Operands.offset(cpu, insn), selector);
        } else {
            Operands.setRegister(cpu, insn, insn.rm, insn.operandSize, selector & 0xffff);
        }
    }

    /**
     * All eight writes are checked before the first, so that a fault leaves the stack as it was.
     */
    static void pushAll(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        long sp = cpu.r[Cpu.RSP];
        for (int i = 0; i < 8; i++) {
            cpu.mmu.probeWrite(
                    cpu.linear(Cpu.SS, truncate(cpu, sp - (i + 1) * size), size, true), size);
        }
        for (int i = 0; i < 8; i++) {
            long at = cpu.linear(Cpu.SS, truncate(cpu, sp - (i + 1) * size), size, true);
            Operands.store(cpu, at, size, cpu.r[i]);
        }
        setStackPointer(cpu, sp - 8 * size);
    }

    static void popAll(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        for (int i = 0; i < 8; i++) {
            cpu.mmu.probeRead(
                    cpu.linear(Cpu.SS, truncate(cpu, cpu.r[Cpu.RSP] + i * size), size, false),
                    size);
        }
        for (int i = 0; i < 8; i++) {
            int register = 7 - i;
            if (register != Cpu.RSP) {
                Operands.setRegister(cpu, register, size, peek(cpu, size, (long) i * size));
            }
        }
        drop(cpu, 8L * size);
    }

    static void enter(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        int level = (int) insn.imm2 & 31;
        long sp = cpu.r[Cpu.RSP];
        long frame = truncate(cpu, sp - size);
        // Everything that can fault, before anything changes: the pushes, the reads of outer
        // frames, a write at the final top.
        long locals = insn.imm & 0xffff;
        int pushes = level == 0 ? 1 : level + 1;
        for (int i = 1; i <= pushes; i++) {
            cpu.mmu.probeWrite(
                    cpu.linear(Cpu.SS, truncate(cpu, sp - (long) i * size), size, true), size);
        }
        long top = truncate(cpu, sp - (long) pushes * size - locals);
        cpu.mmu.probeWrite(cpu.linear(Cpu.SS, top, size, true), size);
        for (int i = 1; i < level; i++) {
            cpu.mmu.probeRead(outerFrame(cpu, size, i), size);
        }
        Operands.store(cpu, cpu.linear(Cpu.SS, frame, size, true), size, cpu.r[Cpu.RBP]);
        for (int i = 1; i < level; i++) {
            long pointer = Operands.load(cpu, outerFrame(cpu, size, i), size);
            Operands.store(
                    cpu,
                    cpu.linear(Cpu.SS, truncate(cpu, sp - (i + 1L) * size), size, true),
                    size,
                    pointer);
        }
        if (level > 0) {
            long at = cpu.linear(Cpu.SS, truncate(cpu, sp - (level + 1L) * size), size, true);
            Operands.store(cpu, at, size, frame);
        }
        Operands.setRegister(cpu, Cpu.RBP, size, frame);
        setStackPointer(cpu, top);
    }

    private static long outerFrame(Cpu cpu, int size, int level) {
        return cpu.linear(Cpu.SS, truncate(cpu, cpu.r[Cpu.RBP] - (long) level * size), size, false);
    }

    static void leave(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        long frame = truncate(cpu, cpu.r[Cpu.RBP]);
        long value = Operands.load(cpu, cpu.linear(Cpu.SS, frame, size, false), size);
        setStackPointer(cpu, frame + size);
        Operands.setRegister(cpu, Cpu.RBP, size, value);
    }
}
