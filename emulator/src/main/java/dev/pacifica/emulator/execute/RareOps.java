package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.memory.RawMemory;
import dev.pacifica.emulator.paging.Tlb;

/** The specialised operations that are too rare for {@link HotLoop}'s own switch; the same rules hold. */
final class RareOps {
    private static final long PAGE = ~0xfffL;
    private static final long LOW = 0xffff_ffffL;

    private RareOps() {}

    /** Executes the record; false if it must go the generic way, nothing having changed. */
    static boolean execute(Cpu cpu, long[] r, long[] tlb, long word, long second, long a, long b) {
        int f = (int) word;
        int reg = f >>> 10 & 31;
        int base = f >>> 15 & 31;
        int detail = CodeRecord.detail(word);
        if ((f & CodeRecord.OP_MASK) >= FastOp.FIRST_UPDATE) {
            return update(cpu, r, tlb, word, second, a);
        }
        switch (f & CodeRecord.OP_MASK) {
            case FastOp.ADC64 -> r[reg] = Alu.adc(cpu, 8, a, b);
            case FastOp.ADC32 -> r[reg] = Alu.adc(cpu, 4, a, b) & LOW;
            case FastOp.SBB64 -> r[reg] = Alu.sbb(cpu, 8, a, b);
            case FastOp.SBB32 -> r[reg] = Alu.sbb(cpu, 4, a, b) & LOW;
            case FastOp.ALU8 -> r[reg] = a & ~0xffL | alu(cpu, 1, detail, a, b) & 0xff;
            case FastOp.NEG64 -> r[reg] = Alu.sub(cpu, 8, 0, a);
            case FastOp.NEG32 -> r[reg] = Alu.sub(cpu, 4, 0, a) & LOW;
            case FastOp.NOT64 -> r[reg] = ~a;
            case FastOp.NOT32 -> r[reg] = ~a & LOW;
            case FastOp.TEST16 -> Alu.logic(cpu, 2, a & b);
            case FastOp.CMP16_TO -> Alu.sub(cpu, 2, b, a);
            case FastOp.TEST64_MI -> Alu.logic(cpu, 8, b & second >> 32);
            case FastOp.TEST16_MI -> Alu.logic(cpu, 2, b & second >> 32);
            case FastOp.SHIFT64_CL -> r[reg] = shift(cpu, 8, detail, a, (int) r[Cpu.RCX] & 63);
            case FastOp.SHIFT32_CL -> r[reg] = shift(cpu, 4, detail, a, (int) r[Cpu.RCX] & 31) & LOW;
            case FastOp.ROTATE64_I -> r[reg] = shift(cpu, 8, detail, a, (int) second);
            case FastOp.ROTATE32_I -> r[reg] = shift(cpu, 4, detail, a, (int) second) & LOW;
            case FastOp.SHLD64_I -> r[reg] = Alu.shld(cpu, 8, a, r[base], (int) second);
            case FastOp.SHLD32_I -> r[reg] = Alu.shld(cpu, 4, a, r[base], (int) second) & LOW;
            case FastOp.SHRD64_I -> r[reg] = Alu.shrd(cpu, 8, a, r[base], (int) second);
            case FastOp.SHRD32_I -> r[reg] = Alu.shrd(cpu, 4, a, r[base], (int) second) & LOW;
            case FastOp.BT64 -> cpu.setCf((a >>> b & 1) != 0);
            case FastOp.BT32 -> cpu.setCf((a >>> (b & 31) & 1) != 0);
            case FastOp.BT_MI -> cpu.setCf((b >>> (second >>> 32) & 1) != 0);
            case FastOp.BSF64 -> scan(cpu, r, reg, b, false);
            case FastOp.BSF32 -> scan(cpu, r, reg, b & LOW, false);
            case FastOp.BSR64 -> scan(cpu, r, reg, b, true);
            case FastOp.BSR32 -> scan(cpu, r, reg, b & LOW, true);
            case FastOp.BSWAP64 -> r[reg] = Long.reverseBytes(a);
            case FastOp.BSWAP32 -> r[reg] = Integer.reverseBytes((int) a) & LOW;
            case FastOp.CDQE -> r[Cpu.RAX] = (int) r[Cpu.RAX];
            case FastOp.CWDE -> r[Cpu.RAX] = (short) r[Cpu.RAX] & LOW;
            case FastOp.CQO -> r[Cpu.RDX] = r[Cpu.RAX] >> 63;
            case FastOp.CDQ -> r[Cpu.RDX] = (int) r[Cpu.RAX] >> 31 & LOW;
            case FastOp.SX16_32 -> r[reg] = (short) b & LOW;
            case FastOp.SX16_64 -> r[reg] = (short) b;
            case FastOp.MOV16 -> r[reg] = a & ~0xffffL | b & 0xffff;
            case FastOp.IMUL64_I -> r[reg] = Alu.imul(cpu, 8, r[base], second);
            case FastOp.IMUL32_I -> r[reg] = Alu.imul(cpu, 4, r[base], second) & LOW;
            case FastOp.IMUL64_MI -> r[reg] = Alu.imul(cpu, 8, b, second >> 32);
            case FastOp.IMUL32_MI -> r[reg] = Alu.imul(cpu, 4, b, second >> 32) & LOW;
            case FastOp.XCHG64 -> {
                r[reg] = b;
                r[base] = a;
            }
            case FastOp.XCHG32 -> {
                r[reg] = b & LOW;
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

    /** Those that read and write memory. */
    private static boolean update(Cpu cpu, long[] r, long[] tlb, long word, long second, long a) {
        int f = (int) word;
        int reg = f >>> 10 & 31;
        int detail = CodeRecord.detail(word);
        long va = CodeRecord.address(r, f, second);
        int op = f & CodeRecord.OP_MASK;
        int t = ((int) (va >>> 12) & Tlb.ENTRIES - 1) * Tlb.STRIDE;
        if (tlb[t + 1] != (va + (word >>> CodeRecord.BYTES_SHIFT) & PAGE)) {
            return false;
        }
        long host = va + tlb[t + 2];
        long immediate = second >> 32;
        switch (op) {
            case FastOp.RMW64_R -> RawMemory.putLong(host, alu(cpu, 8, detail, RawMemory.getLong(host), a));
            case FastOp.RMW64_I -> RawMemory.putLong(host, alu(cpu, 8, detail, RawMemory.getLong(host), immediate));
            case FastOp.RMW32_R -> RawMemory.putInt(host, (int) alu(cpu, 4, detail, RawMemory.getInt(host), a));
            case FastOp.RMW32_I -> RawMemory.putInt(host, (int) alu(cpu, 4, detail, RawMemory.getInt(host), immediate));
            case FastOp.RMW16_R -> RawMemory.putShort(host, (int) alu(cpu, 2, detail, RawMemory.getShort(host), a));
            case FastOp.RMW16_I -> RawMemory.putShort(host, (int) alu(cpu, 2, detail, RawMemory.getShort(host), immediate));
            case FastOp.RMW8_R -> RawMemory.putByte(host, (int) alu(cpu, 1, detail, RawMemory.getByte(host), a));
            case FastOp.RMW8_I -> RawMemory.putByte(host, (int) alu(cpu, 1, detail, RawMemory.getByte(host), immediate));
            case FastOp.UNARY64_M -> RawMemory.putLong(host, unary(cpu, 8, detail, RawMemory.getLong(host)));
            case FastOp.UNARY32_M -> RawMemory.putInt(host, (int) unary(cpu, 4, detail, RawMemory.getInt(host)));
            case FastOp.UNARY8_M -> RawMemory.putByte(host, (int) unary(cpu, 1, detail, RawMemory.getByte(host)));
            case FastOp.SHIFT64_MI -> RawMemory.putLong(host, shift(cpu, 8, detail, RawMemory.getLong(host), (int) immediate));
            case FastOp.SHIFT32_MI -> RawMemory.putInt(host, (int) shift(cpu, 4, detail, RawMemory.getInt(host), (int) immediate));
            case FastOp.XCHG64_M -> {
                long old = RawMemory.getLong(host);
                RawMemory.putLong(host, a);
                r[reg] = old;
            }
            case FastOp.XCHG32_M -> {
                int old = RawMemory.getInt(host);
                RawMemory.putInt(host, (int) a);
                r[reg] = old & LOW;
            }
            case FastOp.XADD64_M -> {
                long old = RawMemory.getLong(host);
                RawMemory.putLong(host, Alu.add(cpu, 8, old, a));
                r[reg] = old;
            }
            case FastOp.XADD32_M -> {
                int old = RawMemory.getInt(host);
                RawMemory.putInt(host, (int) Alu.add(cpu, 4, old, a));
                r[reg] = old & LOW;
            }
            case FastOp.CMPXCHG64_M -> {
                long old = RawMemory.getLong(host);
                if (Alu.sub(cpu, 8, r[Cpu.RAX], old) == 0) {
                    RawMemory.putLong(host, a);
                } else {
                    r[Cpu.RAX] = old;
                }
            }
            case FastOp.CMPXCHG32_M -> {
                int old = RawMemory.getInt(host);
                if (Alu.sub(cpu, 4, r[Cpu.RAX], old) == 0) {
                    RawMemory.putInt(host, (int) a);
                } else {
                    r[Cpu.RAX] = old & LOW;
                }
            }
            case FastOp.SETCC_M -> RawMemory.putByte(host, cpu.condition(detail) ? 1 : 0);
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
            r[reg] = reverse ? 63 - Long.numberOfLeadingZeros(value) : Long.numberOfTrailingZeros(value);
        }
        int others = cpu.arithmeticFlags() & ~Cpu.ZF;
        cpu.setArithmeticFlags(value == 0 ? others | Cpu.ZF : others);
    }
}
