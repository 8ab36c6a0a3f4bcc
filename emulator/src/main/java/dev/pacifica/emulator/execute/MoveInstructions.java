package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.decode.Insn;

/** Moves, conversions and the atomic exchanges (APM Vol 3 chapter 3). */
final class MoveInstructions {
    private MoveInstructions() {}

    static void move(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        Operands.write(cpu, insn, 0, size, Operands.read(cpu, insn, 1, size));
    }

    /** MOVZX MOVSX MOVSXD: the source's size is that of its table column. */
    static void extend(Cpu cpu, Insn insn, boolean signed) {
        int size = insn.row.operands.get(1).width().bytes;
        long value = Operands.read(cpu, insn, 1, size);
        Operands.setRegister(
                cpu, insn, insn.reg, insn.operandSize, signed ? Alu.extend(size, value) : value);
    }

    /**
     * The source is read, and a 32-bit destination's upper half cleared, whatever the condition.
     */
    static void conditionalMove(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        long value = Operands.read(cpu, insn, 1, size);
        if (!cpu.condition(insn.condition)) {
            value = Operands.register(cpu, insn, insn.reg, size);
        }
        Operands.setRegister(cpu, insn, insn.reg, size, value);
    }

    static void loadAddress(Cpu cpu, Insn insn) {
        Operands.setRegister(cpu, insn, insn.reg, insn.operandSize, Operands.offset(cpu, insn));
    }

    static void exchange(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        if (insn.memory) {
            long at = Operands.addressForUpdate(cpu, insn, size);
            long old = Operands.load(cpu, at, size);
            Operands.store(cpu, at, size, Operands.register(cpu, insn, insn.reg, size));
            Operands.setRegister(cpu, insn, insn.reg, size, old);
        } else {
            long a = Operands.read(cpu, insn, 0, size);
            long b = Operands.read(cpu, insn, 1, size);
            Operands.write(cpu, insn, 0, size, b);
            Operands.write(cpu, insn, 1, size, a);
        }
    }

    static void byteSwap(Cpu cpu, Insn insn) {
        switch (insn.operandSize) {
            case 8 -> cpu.r[insn.rm] = Long.reverseBytes(cpu.r[insn.rm]);
            case 4 -> cpu.r[insn.rm] = Integer.reverseBytes((int) cpu.r[insn.rm]) & 0xffff_ffffL;
            default -> cpu.r[insn.rm] &= ~0xffffL; // undefined; this is what processors do
        }
    }

    static void moveBigEndian(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        long value = Operands.read(cpu, insn, 1, size);
        Operands.write(cpu, insn, 0, size, Long.reverseBytes(value) >>> 64 - 8 * size);
    }

    /** CBW CWDE CDQE. */
    static void widenAccumulator(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        Operands.setRegister(cpu, Cpu.RAX, size, Alu.extend(size / 2, cpu.r[Cpu.RAX]));
    }

    /** CWD CDQ CQO. */
    static void widenToPair(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        Operands.setRegister(cpu, Cpu.RDX, size, Alu.extend(size, cpu.r[Cpu.RAX]) >> 63);
    }

    static void translateByte(Cpu cpu, Insn insn) {
        long offset = Operands.truncateAddress(insn, cpu.r[Cpu.RBX] + (cpu.r[Cpu.RAX] & 0xff));
        int value = cpu.read8(insn.segment, offset);
        cpu.r[Cpu.RAX] = cpu.r[Cpu.RAX] & ~0xffL | value & 0xff;
    }

    /** The destination is written in any case, so that it must be writable. */
    static void compareExchange(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        long accumulator = Operands.register(cpu, insn, Cpu.RAX, size);
        long source = Operands.register(cpu, insn, insn.reg, size);
        if (insn.memory) {
            long at = Operands.addressForUpdate(cpu, insn, size);
            long old = Operands.load(cpu, at, size);
            boolean equal = Alu.sub(cpu, size, accumulator, old) == 0;
            Operands.store(cpu, at, size, equal ? source : old);
            if (!equal) {
                Operands.setRegister(cpu, insn, Cpu.RAX, size, old);
            }
        } else {
            long old = Operands.register(cpu, insn, insn.rm, size);
            if (Alu.sub(cpu, size, accumulator, old) == 0) {
                Operands.setRegister(cpu, insn, insn.rm, size, source);
            } else {
                Operands.setRegister(cpu, insn, Cpu.RAX, size, old);
            }
        }
    }

    static void exchangeAdd(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        long source = Operands.register(cpu, insn, insn.reg, size);
        if (insn.memory) {
            long at = Operands.addressForUpdate(cpu, insn, size);
            long old = Operands.load(cpu, at, size);
            Operands.store(cpu, at, size, Alu.add(cpu, size, old, source));
            Operands.setRegister(cpu, insn, insn.reg, size, old);
        } else {
            long old = Operands.register(cpu, insn, insn.rm, size);
            Operands.setRegister(cpu, insn, insn.reg, size, old);
            Operands.setRegister(cpu, insn, insn.rm, size, Alu.add(cpu, size, old, source));
        }
    }

    static void compareExchange8(Cpu cpu, Insn insn) {
        long at = Operands.addressForUpdate(cpu, insn, 8);
        long old = cpu.mmu.read64(at);
        long[] r = cpu.r;
        boolean equal = old == (r[Cpu.RDX] << 32 | r[Cpu.RAX] & 0xffff_ffffL);
        cpu.mmu.write64(at, equal ? r[Cpu.RCX] << 32 | r[Cpu.RBX] & 0xffff_ffffL : old);
        if (!equal) {
            r[Cpu.RAX] = old & 0xffff_ffffL;
            r[Cpu.RDX] = old >>> 32;
        }
        setZero(cpu, equal);
    }

    static void compareExchange16(Cpu cpu, Insn insn) {
        long at = Operands.address(cpu, insn, 16, true);
        if ((at & 15) != 0) {
            throw cpu.fault(GuestException.GP, 0);
        }
        Operands.forUpdate(cpu, insn, at, 16);
        long low = cpu.mmu.read64(at);
        long high = cpu.mmu.read64(at + 8);
        long[] r = cpu.r;
        boolean equal = low == r[Cpu.RAX] && high == r[Cpu.RDX];
        cpu.mmu.write64(at, equal ? r[Cpu.RBX] : low);
        cpu.mmu.write64(at + 8, equal ? r[Cpu.RCX] : high);
        if (!equal) {
            r[Cpu.RAX] = low;
            r[Cpu.RDX] = high;
        }
        setZero(cpu, equal);
    }

    private static void setZero(Cpu cpu, boolean zero) {
        int others = cpu.arithmeticFlags() & ~Cpu.ZF;
        cpu.setArithmeticFlags(zero ? others | Cpu.ZF : others);
    }

    /** CLZERO: clears the 64-byte line at rAX. */
    static void clearLine(Cpu cpu, Insn insn) {
        long offset = Operands.truncateAddress(insn, cpu.r[Cpu.RAX] & ~63L);
        long at = cpu.linear(insn.segment, offset, 64, true);
        cpu.mmu.probeWrite(at, 64);
        for (int i = 0; i < 64; i += 8) {
            cpu.mmu.write64(at + i, 0);
        }
    }
}
