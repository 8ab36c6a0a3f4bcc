package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.memory.RawMemory;

/**
 * The specialised operations that are too rare for {@link HotLoop}'s own switch; the same rules
 * hold.
 */
final class RareOps {
    private static final long LOW = 0xffff_ffffL;

    private RareOps() {}

    /**
     * Executes the record with its operands {@code a} and {@code b}; false if it must go the
     * generic way, nothing having changed.
     */
    static boolean execute(Cpu cpu, CodePage page, int record) {
        long word = page.code[record];
        int f = (int) word;
        int op = f & CodeRecord.OP_MASK;
        int info = page.info[record];
        long second = page.second[record];
        long[] r = cpu.r;
        long a = r[f >>> CodeRecord.REG_SHIFT & 31];
        long b = r[f >>> CodeRecord.BASE_SHIFT & 31] + (word >> CodeRecord.CONSTANT_SHIFT);
        int target = CodeRecord.target(info);
        int cut = CodeRecord.cut(info);
        int size = 8 - (cut >> 3);
        int base = f >>> CodeRecord.BASE_SHIFT & 31;
        int detail = CodeRecord.detail(info);
        switch (op) {
            case FastOp.ADC -> r[target] = Alu.adc(cpu, size, a, b) << cut >>> cut;
            case FastOp.SBB -> r[target] = Alu.sbb(cpu, size, a, b) << cut >>> cut;
            case FastOp.NEG -> r[target] = Alu.sub(cpu, size, 0, a) << cut >>> cut;
            case FastOp.NOT -> r[target] = ~a << cut >>> cut;
            case FastOp.ALU8 -> r[target] = a & ~0xffL | alu(cpu, 1, detail, a, b) & 0xff;
            case FastOp.SETCC -> r[target] = a & ~0xffL | (cpu.condition(detail) ? 1 : 0);
            case FastOp.CMOV -> r[target] = (cpu.condition(detail) ? b : a) << cut >>> cut;
            case FastOp.SHIFT_CL -> {
                int count = (int) r[Cpu.RCX] & (size == 8 ? 63 : 31);
                r[target] = shift(cpu, size, detail, a, count) << cut >>> cut;
            }
            case FastOp.ROTATE_I ->
                    r[target] = shift(cpu, size, detail, a, (int) second) << cut >>> cut;
            case FastOp.SHLD_I ->
                    r[target] = Alu.shld(cpu, size, a, r[base], (int) second) << cut >>> cut;
            case FastOp.SHRD_I ->
                    r[target] = Alu.shrd(cpu, size, a, r[base], (int) second) << cut >>> cut;
            case FastOp.BT -> cpu.setCf((a >>> (b & 8L * size - 1) & 1) != 0);
            case FastOp.BSF -> scan(cpu, r, target, b << cut >>> cut, false);
            case FastOp.BSR -> scan(cpu, r, target, b << cut >>> cut, true);
            case FastOp.BSWAP64 -> r[target] = Long.reverseBytes(a);
            case FastOp.BSWAP32 -> r[target] = Integer.reverseBytes((int) a) & LOW;
            case FastOp.CDQE -> r[Cpu.RAX] = (int) r[Cpu.RAX];
            case FastOp.CWDE -> r[Cpu.RAX] = (short) r[Cpu.RAX] & LOW;
            case FastOp.CQO -> r[Cpu.RDX] = r[Cpu.RAX] >> 63;
            case FastOp.CDQ -> r[Cpu.RDX] = (int) r[Cpu.RAX] >> 31 & LOW;
            case FastOp.SX8 -> r[target] = (long) (byte) b << cut >>> cut;
            case FastOp.SX16 -> r[target] = (long) (short) b << cut >>> cut;
            case FastOp.MOV8 -> r[target] = a & ~0xffL | b & 0xff;
            case FastOp.MOV16 -> r[target] = a & ~0xffffL | b & 0xffff;
            case FastOp.XCHG64 -> {
                r[target] = b;
                r[base] = a;
            }
            case FastOp.XCHG32 -> {
                r[target] = b & LOW;
                r[base] = a & LOW;
            }
            case FastOp.MUL64 -> {
                long multiplicand = r[Cpu.RAX];
                long high = Math.unsignedMultiplyHigh(multiplicand, b);
                r[Cpu.RAX] = multiplicand * b;
                r[Cpu.RDX] = high;
                cpu.setCfOf(high != 0, high != 0);
            }
            case FastOp.MUL32 -> {
                long product = (r[Cpu.RAX] & LOW) * (b & LOW);
                r[Cpu.RAX] = product & LOW;
                r[Cpu.RDX] = product >>> 32;
                cpu.setCfOf(product >>> 32 != 0, product >>> 32 != 0);
            }
            default -> {
                return false;
            }
        }
        return true;
    }

    /**
     * Executes a record of 32-bit code that goes on at its memory operand, at {@code host}, or
     * calls: returns the linear address of what is next, or -1 if the record is no such one.
     */
    static long branch(Cpu cpu, CodePage page, int record, long reg, long host) {
        long[] r = cpu.r;
        long stack = r[Cpu.RSP];
        long target = RawMemory.getInt(host) & LOW;
        switch (CodeRecord.op(page.code[record])) {
            case FastOp.CALL32 -> {
                target = reg + (int) page.second[record] & LOW;
                RawMemory.putInt(host, (int) page.next(record, r));
                r[Cpu.RSP] = stack - 4 & LOW;
            }
            case FastOp.RET32 -> r[Cpu.RSP] = stack + 4 & LOW;
            case FastOp.JMP32_M -> {}
            default -> {
                return -1;
            }
        }
        return target;
    }

    /**
     * Executes a record whose memory operand, at {@code host}, is written, and maybe read first, or
     * that is on the stack of 32-bit code; {@code reg} is its register operand.
     */
    static boolean update(Cpu cpu, CodePage page, int record, long reg, long host) {
        int info = page.info[record];
        long second = page.second[record];
        long[] r = cpu.r;
        int target = CodeRecord.target(info);
        int detail = CodeRecord.detail(info);
        int count = (int) second;
        long a = reg + (int) second;
        long b = RawMemory.getLong(host);
        switch (CodeRecord.op(page.code[record])) {
            case FastOp.RMW64 -> RawMemory.putLong(host, alu(cpu, 8, detail, b, a));
            case FastOp.RMW32 -> RawMemory.putInt(host, (int) alu(cpu, 4, detail, b, a));
            case FastOp.RMW16 -> RawMemory.putShort(host, (int) alu(cpu, 2, detail, b, a));
            case FastOp.RMW8 -> RawMemory.putByte(host, (int) alu(cpu, 1, detail, b, a));
            case FastOp.UNARY64 -> RawMemory.putLong(host, unary(cpu, 8, detail, b));
            case FastOp.UNARY32 -> RawMemory.putInt(host, (int) unary(cpu, 4, detail, b));
            case FastOp.UNARY8 -> RawMemory.putByte(host, (int) unary(cpu, 1, detail, b));
            case FastOp.SHIFT64 -> RawMemory.putLong(host, shift(cpu, 8, detail, b, count));
            case FastOp.SHIFT32 -> RawMemory.putInt(host, (int) shift(cpu, 4, detail, b, count));
            case FastOp.XCHG64_M -> {
                RawMemory.putLong(host, a);
                r[target] = b;
            }
            case FastOp.XCHG32_M -> {
                RawMemory.putInt(host, (int) a);
                r[target] = b & LOW;
            }
            case FastOp.XADD64_M -> {
                RawMemory.putLong(host, Alu.add(cpu, 8, b, a));
                r[target] = b;
            }
            case FastOp.XADD32_M -> {
                RawMemory.putInt(host, (int) Alu.add(cpu, 4, b, a));
                r[target] = b & LOW;
            }
            case FastOp.CMPXCHG64_M -> {
                if (Alu.sub(cpu, 8, r[Cpu.RAX], b) == 0) {
                    RawMemory.putLong(host, a);
                } else {
                    r[Cpu.RAX] = b;
                }
            }
            case FastOp.CMPXCHG32_M -> {
                if (Alu.sub(cpu, 4, r[Cpu.RAX], b) == 0) {
                    RawMemory.putInt(host, (int) a);
                } else {
                    r[Cpu.RAX] = b & LOW;
                }
            }
            case FastOp.STOREI16 -> RawMemory.putShort(host, (int) a);
            case FastOp.SETCC_M -> RawMemory.putByte(host, cpu.condition(detail) ? 1 : 0);
            case FastOp.PUSH32 -> {
                RawMemory.putInt(host, (int) a);
                r[Cpu.RSP] = r[Cpu.RSP] - 4 & LOW;
            }
            case FastOp.POP32 -> {
                r[Cpu.RSP] = r[Cpu.RSP] + 4 & LOW;
                r[(int) page.code[record] >>> CodeRecord.REG_SHIFT & 31] = b & LOW;
            }
            case FastOp.LEAVE32 -> {
                r[Cpu.RSP] = r[Cpu.RBP] + 4 & LOW;
                r[Cpu.RBP] = b & LOW;
            }
            default -> {
                return false;
            }
        }
        return true;
    }

    /** ADD OR ADC SBB AND SUB XOR by their opcodes' order. */
    private static long alu(Cpu cpu, int size, int kind, long a, long b) {
        return switch (kind) {
            case 0 -> Alu.add(cpu, size, a, b);
            case 1 -> Alu.logic(cpu, size, a | b);
            case 2 -> Alu.adc(cpu, size, a, b);
            case 3 -> Alu.sbb(cpu, size, a, b);
            case 4 -> Alu.logic(cpu, size, a & b);
            case 5 -> Alu.sub(cpu, size, a, b);
            default -> Alu.logic(cpu, size, a ^ b);
        };
    }

    /** INC DEC NOT NEG. */
    private static long unary(Cpu cpu, int size, int kind, long a) {
        return switch (kind) {
            case 0 -> Alu.inc(cpu, size, a);
            case 1 -> Alu.dec(cpu, size, a);
            case 2 -> ~a;
            default -> Alu.sub(cpu, size, 0, a);
        };
    }

    /** SHL SHR SAR ROL ROR by a masked count, which may be zero. */
    private static long shift(Cpu cpu, int size, int kind, long a, int count) {
        if (count == 0) {
            return a;
        }
        return switch (kind) {
            case 0 -> Alu.shl(cpu, size, a, count);
            case 1 -> Alu.shr(cpu, size, a, count);
            case 2 -> Alu.sar(cpu, size, a, count);
            case 3 -> Alu.rol(cpu, size, a, count);
            default -> Alu.ror(cpu, size, a, count);
        };
    }

    private static void scan(Cpu cpu, long[] r, int reg, long value, boolean reverse) {
        if (value != 0) {
            r[reg] =
                    reverse
                            ? 63 - Long.numberOfLeadingZeros(value)
                            : Long.numberOfTrailingZeros(value);
        }
        int others = cpu.arithmeticFlags() & ~Cpu.ZF;
        cpu.setArithmeticFlags(value == 0 ? others | Cpu.ZF : others);
    }
}
