package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.Operation;

/** Shifts, rotates, bit tests and scans (APM Vol 3 chapter 3). */
final class BitInstructions {
    private BitInstructions() {}

    /**
     * ROL ROR RCL RCR SHL SHR SAR. With a masked count of zero nothing changes, yet memory must be
     * writable.
     */
    static void shift(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        int count = (int) Operands.read(cpu, insn, 1, 1) & (size == 8 ? 63 : 31);
        Operation operation = insn.row.operation;
        if (Operands.isMemory(insn, 0)) {
            long at = Operands.addressForUpdate(cpu, insn, size);
            long value = Operands.load(cpu, at, size);
            Operands.store(
                    cpu,
                    at,
                    size,
                    count == 0 ? value : compute(cpu, operation, size, value, count));
        } else {
            long value = Operands.read(cpu, insn, 0, size);
            Operands.write(
                    cpu,
                    insn,
                    0,
                    size,
                    count == 0 ? value : compute(cpu, operation, size, value, count));
        }
    }

    private static long compute(Cpu cpu, Operation operation, int size, long a, int count) {
        return switch (operation) {
            case ROL -> Alu.rol(cpu, size, a, count);
            case ROR -> Alu.ror(cpu, size, a, count);
            case RCL -> Alu.rcl(cpu, size, a, count);
            case RCR -> Alu.rcr(cpu, size, a, count);
            case SHL -> Alu.shl(cpu, size, a, count);
            case SHR -> Alu.shr(cpu, size, a, count);
            default -> Alu.sar(cpu, size, a, count);
        };
    }

    static void doubleShift(Cpu cpu, Insn insn, boolean left) {
        int size = insn.operandSize;
        long fill = Operands.read(cpu, insn, 1, size);
        int count = (int) Operands.read(cpu, insn, 2, 1) & (size == 8 ? 63 : 31);
        boolean memory = Operands.isMemory(insn, 0);
        long at = memory ? Operands.addressForUpdate(cpu, insn, size) : 0;
        long value = memory ? Operands.load(cpu, at, size) : Operands.read(cpu, insn, 0, size);
        if (count != 0) {
            value =
                    left
                            ? Alu.shld(cpu, size, value, fill, count)
                            : Alu.shrd(cpu, size, value, fill, count);
        }
        if (memory) {
            Operands.store(cpu, at, size, value);
        } else {
            Operands.write(cpu, insn, 0, size, value);
        }
    }

    /** BT BTS BTR BTC. A bit offset in a register reaches beyond the operand in memory, signed. */
    static void bitTest(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        boolean immediate = Operands.form(insn, 1) == Operands.IMM;
        long bit = immediate ? insn.imm : Alu.extend(size, cpu.r[insn.reg]);
        int inside = (int) bit & 8 * size - 1;
        Operation operation = insn.row.operation;
        long mask = 1L << inside;
        if (!insn.memory) {
            long value = Operands.register(cpu, insn, insn.rm, size);
            cpu.setCf((value & mask) != 0);
            if (operation != Operation.BT) {
                Operands.setRegister(cpu, insn, insn.rm, size, change(operation, value, mask));
            }
            return;
        }
        int log = size == 2 ? 4 : size == 4 ? 5 : 6;
        long offset = Operands.offset(cpu, insn, immediate ? 0 : (bit >> log) * size);
        long at = cpu.linear(insn.segment, offset, size, operation != Operation.BT);
        if (operation == Operation.BT) {
            cpu.setCf((Operands.load(cpu, at, size) & mask) != 0);
            return;
        }
        Operands.forUpdate(cpu, insn, at, size);
        long value = Operands.load(cpu, at, size);
        Operands.store(cpu, at, size, change(operation, value, mask));
        cpu.setCf((value & mask) != 0);
    }

    private static long change(Operation operation, long value, long mask) {
        return switch (operation) {
            case BTS -> value | mask;
            case BTR -> value & ~mask;
            default -> value ^ mask;
        };
    }

    /** BSF BSR: with a source of zero the destination stays whole, as AMD documents. */
    static void scan(Cpu cpu, Insn insn, boolean reverse) {
        int size = insn.operandSize;
        long value = Operands.read(cpu, insn, 1, size);
        if (value != 0) {
            int bit =
                    reverse
                            ? 63 - Long.numberOfLeadingZeros(value)
                            : Long.numberOfTrailingZeros(value);
            Operands.setRegister(cpu, insn, insn.reg, size, bit);
        }
        int others = cpu.arithmeticFlags() & ~Cpu.ZF;
        cpu.setArithmeticFlags(value == 0 ? others | Cpu.ZF : others);
    }

    /** TZCNT, LZCNT: CF tells a source of zero. */
    static void count(Cpu cpu, Insn insn, boolean leading) {
        int size = insn.operandSize;
        long value = Operands.read(cpu, insn, 1, size);
        int bits = 8 * size;
        int zeros =
                leading
                        ? Long.numberOfLeadingZeros(value) - (64 - bits)
                        : Math.min(bits, Long.numberOfTrailingZeros(value));
        Operands.setRegister(cpu, insn, insn.reg, size, zeros);
        int others = cpu.arithmeticFlags() & ~(Cpu.ZF | Cpu.CF);
        cpu.setArithmeticFlags(others | (zeros == 0 ? Cpu.ZF : 0) | (value == 0 ? Cpu.CF : 0));
    }

    static void populationCount(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        long value = Operands.read(cpu, insn, 1, size);
        Operands.setRegister(cpu, insn, insn.reg, size, Long.bitCount(value));
        cpu.setArithmeticFlags(value == 0 ? Cpu.ZF : 0);
    }

    /** CRC32: the Castagnoli polynomial, bits reflected. */
    static void crc32(Cpu cpu, Insn insn) {
        int size = insn.row.operands.get(1).letters().equals("Eb") ? 1 : insn.operandSize;
        long value = Operands.read(cpu, insn, 1, size);
        int crc = (int) cpu.r[insn.reg];
        for (int i = 0; i < 8 * size; i++) {
            boolean odd = ((crc ^ (int) (value >>> i)) & 1) != 0;
            crc = crc >>> 1 ^ (odd ? 0x82f6_3b78 : 0);
        }
        cpu.r[insn.reg] = crc & 0xffff_ffffL;
    }
}
