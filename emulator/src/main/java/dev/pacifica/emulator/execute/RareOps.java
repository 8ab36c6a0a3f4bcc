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
    static boolean execute(Cpu cpu, long[] r, long[] tlb, long word, long second) {
        int f = (int) word;
        int reg = f >>> 10 & 31;
        int base = f >>> 15 & 31;
        int detail = CodeRecord.detail(word);
        switch (f & CodeRecord.OP_MASK) {
            case FastOp.ADC64_RR -> r[reg] = Alu.adc(cpu, 8, r[reg], r[base]);
            case FastOp.ADC32_RR -> r[reg] = Alu.adc(cpu, 4, r[reg], r[base]) & LOW;
            case FastOp.ADC64_RI -> r[reg] = Alu.adc(cpu, 8, r[reg], second);
            case FastOp.ADC32_RI -> r[reg] = Alu.adc(cpu, 4, r[reg], second) & LOW;
            case FastOp.SBB64_RR -> r[reg] = Alu.sbb(cpu, 8, r[reg], r[base]);
            case FastOp.SBB32_RR -> r[reg] = Alu.sbb(cpu, 4, r[reg], r[base]) & LOW;
            case FastOp.SBB64_RI -> r[reg] = Alu.sbb(cpu, 8, r[reg], second);
            case FastOp.SBB32_RI -> r[reg] = Alu.sbb(cpu, 4, r[reg], second) & LOW;
            case FastOp.ALU8_RR -> r[reg] = r[reg] & ~0xffL | alu(cpu, 1, detail, r[reg], r[base]) & 0xff;
            case FastOp.ALU8_RI -> r[reg] = r[reg] & ~0xffL | alu(cpu, 1, detail, r[reg], second) & 0xff;
            case FastOp.NEG64 -> r[reg] = Alu.sub(cpu, 8, 0, r[reg]);
            case FastOp.NEG32 -> r[reg] = Alu.sub(cpu, 4, 0, r[reg]) & LOW;
            case FastOp.NOT64 -> r[reg] = ~r[reg];
            case FastOp.NOT32 -> r[reg] = ~r[reg] & LOW;
            case FastOp.TEST64_RI -> Alu.logic(cpu, 8, r[reg] & second);
            case FastOp.TEST16_RR -> Alu.logic(cpu, 2, r[reg] & r[base]);
            case FastOp.TEST16_RI -> Alu.logic(cpu, 2, r[reg] & second);
            case FastOp.CMP16_RR -> Alu.sub(cpu, 2, r[reg], r[base]);
            case FastOp.CMP16_RI -> Alu.sub(cpu, 2, r[reg], second);
            case FastOp.SHIFT64_CL -> r[reg] = shift(cpu, 8, detail, r[reg], (int) r[Cpu.RCX] & 63);
            case FastOp.SHIFT32_CL -> r[reg] = shift(cpu, 4, detail, r[reg], (int) r[Cpu.RCX] & 31) & LOW;
            case FastOp.ROTATE64_I -> r[reg] = shift(cpu, 8, detail, r[reg], (int) second);
            case FastOp.ROTATE32_I -> r[reg] = shift(cpu, 4, detail, r[reg], (int) second) & LOW;
            case FastOp.SHLD64_I -> r[reg] = Alu.shld(cpu, 8, r[reg], r[base], (int) second);
            case FastOp.SHLD32_I -> r[reg] = Alu.shld(cpu, 4, r[reg], r[base], (int) second) & LOW;
            case FastOp.SHRD64_I -> r[reg] = Alu.shrd(cpu, 8, r[reg], r[base], (int) second);
            case FastOp.SHRD32_I -> r[reg] = Alu.shrd(cpu, 4, r[reg], r[base], (int) second) & LOW;
            case FastOp.BT64_RR -> cpu.setCf((r[reg] >>> r[base] & 1) != 0);
            case FastOp.BT32_RR -> cpu.setCf((r[reg] >>> (r[base] & 31) & 1) != 0);
            case FastOp.BT64_RI, FastOp.BT32_RI -> cpu.setCf((r[reg] >>> second & 1) != 0);
            case FastOp.BSF64 -> scan(cpu, r, reg, r[base], false);
            case FastOp.BSF32 -> scan(cpu, r, reg, r[base] & LOW, false);
            case FastOp.BSR64 -> scan(cpu, r, reg, r[base], true);
            case FastOp.BSR32 -> scan(cpu, r, reg, r[base] & LOW, true);
            case FastOp.BSWAP64 -> r[reg] = Long.reverseBytes(r[reg]);
            case FastOp.BSWAP32 -> r[reg] = Integer.reverseBytes((int) r[reg]) & LOW;
            case FastOp.CDQE -> r[Cpu.RAX] = (int) r[Cpu.RAX];
            case FastOp.CWDE -> r[Cpu.RAX] = (short) r[Cpu.RAX] & LOW;
            case FastOp.CQO -> r[Cpu.RDX] = r[Cpu.RAX] >> 63;
            case FastOp.CDQ -> r[Cpu.RDX] = (int) r[Cpu.RAX] >> 31 & LOW;
            case FastOp.MOVSX16_32 -> r[reg] = (short) r[base] & LOW;
            case FastOp.MOVSX16_64 -> r[reg] = (short) r[base];
            case FastOp.MOV8_RR -> r[reg] = r[reg] & ~0xffL | r[base] & 0xff;
            case FastOp.MOV16_RR -> r[reg] = r[reg] & ~0xffffL | r[base] & 0xffff;
            case FastOp.XCHG64_RR -> {
                long old = r[reg];
                r[reg] = r[base];
                r[base] = old;
            }
            case FastOp.XCHG32_RR -> {
                long old = r[reg] & LOW;
                r[reg] = r[base] & LOW;
                r[base] = old;
            }
            case FastOp.MUL64_R -> {
                long a = r[Cpu.RAX];
                long high = Math.unsignedMultiplyHigh(a, r[base]);
                r[Cpu.RAX] = a * r[base];
                r[Cpu.RDX] = high;
                cpu.setCfOf(high != 0, high != 0);
            }
            case FastOp.MUL32_R -> {
                long product = (r[Cpu.RAX] & LOW) * (r[base] & LOW);
                r[Cpu.RAX] = product & LOW;
                r[Cpu.RDX] = product >>> 32;
                cpu.setCfOf(product >>> 32 != 0, product >>> 32 != 0);
            }
            default -> {
                return memory(cpu, r, tlb, word, second);
            }
        }
        return true;
    }

    /** Those with a memory operand. */
    private static boolean memory(Cpu cpu, long[] r, long[] tlb, long word, long second) {
        int f = (int) word;
        int reg = f >>> 10 & 31;
        int detail = CodeRecord.detail(word);
        long va = r[f >>> 15 & 31] + (r[f >>> 20 & 31] << (f >>> 25 & 3)) + r[f >>> 27] + (int) second;
        int op = f & CodeRecord.OP_MASK;
        int t = ((int) (va >>> 12) & Tlb.ENTRIES - 1) * Tlb.STRIDE;
        int size = size(op);
        int tag = reads(op) ? t : t + 1;
        if (size == 0 || tlb[tag] != (va + size - 1 & PAGE)) {
            return false;
        }
        long host = va + tlb[t + 2];
        long immediate = second >> 32;
        switch (op) {
            case FastOp.RMW64_R -> RawMemory.putLong(host, alu(cpu, 8, detail, RawMemory.getLong(host), r[reg]));
            case FastOp.RMW64_I -> RawMemory.putLong(host, alu(cpu, 8, detail, RawMemory.getLong(host), immediate));
            case FastOp.RMW32_R -> RawMemory.putInt(host, (int) alu(cpu, 4, detail, RawMemory.getInt(host), r[reg]));
            case FastOp.RMW32_I -> RawMemory.putInt(host, (int) alu(cpu, 4, detail, RawMemory.getInt(host), immediate));
            case FastOp.RMW16_R -> RawMemory.putShort(host, (int) alu(cpu, 2, detail, RawMemory.getShort(host), r[reg]));
            case FastOp.RMW16_I -> RawMemory.putShort(host, (int) alu(cpu, 2, detail, RawMemory.getShort(host), immediate));
            case FastOp.RMW8_R -> RawMemory.putByte(host, (int) alu(cpu, 1, detail, RawMemory.getByte(host), r[reg]));
            case FastOp.RMW8_I -> RawMemory.putByte(host, (int) alu(cpu, 1, detail, RawMemory.getByte(host), immediate));
            case FastOp.UNARY64_M -> RawMemory.putLong(host, unary(cpu, 8, detail, RawMemory.getLong(host)));
            case FastOp.UNARY32_M -> RawMemory.putInt(host, (int) unary(cpu, 4, detail, RawMemory.getInt(host)));
            case FastOp.UNARY8_M -> RawMemory.putByte(host, (int) unary(cpu, 1, detail, RawMemory.getByte(host)));
            case FastOp.ALU8_RM -> r[reg] = r[reg] & ~0xffL | alu(cpu, 1, detail, r[reg], RawMemory.getByte(host)) & 0xff;
            case FastOp.TEST64_MR -> Alu.logic(cpu, 8, RawMemory.getLong(host) & r[reg]);
            case FastOp.TEST32_MR -> Alu.logic(cpu, 4, RawMemory.getInt(host) & r[reg]);
            case FastOp.TEST8_MR -> Alu.logic(cpu, 1, RawMemory.getByte(host) & r[reg]);
            case FastOp.TEST64_MI -> Alu.logic(cpu, 8, RawMemory.getLong(host) & immediate);
            case FastOp.TEST16_MI -> Alu.logic(cpu, 2, RawMemory.getShort(host) & immediate);
            case FastOp.CMP8_MR -> Alu.sub(cpu, 1, RawMemory.getByte(host), r[reg]);
            case FastOp.CMP16_MR -> Alu.sub(cpu, 2, RawMemory.getShort(host), r[reg]);
            case FastOp.CMP16_RM -> Alu.sub(cpu, 2, r[reg], RawMemory.getShort(host));
            case FastOp.SHIFT64_MI -> RawMemory.putLong(host, shift(cpu, 8, detail, RawMemory.getLong(host), (int) immediate));
            case FastOp.SHIFT32_MI -> RawMemory.putInt(host, (int) shift(cpu, 4, detail, RawMemory.getInt(host), (int) immediate));
            case FastOp.BT_MI -> {
                long value = detail != 0 ? RawMemory.getLong(host) : RawMemory.getInt(host);
                cpu.setCf((value >>> immediate & 1) != 0);
            }
            case FastOp.LOAD16 -> r[reg] = r[reg] & ~0xffffL | RawMemory.getShort(host);
            case FastOp.XCHG64_M -> {
                long old = RawMemory.getLong(host);
                RawMemory.putLong(host, r[reg]);
                r[reg] = old;
            }
            case FastOp.XCHG32_M -> {
                int old = RawMemory.getInt(host);
                RawMemory.putInt(host, (int) r[reg]);
                r[reg] = old & LOW;
            }
            case FastOp.XADD64_M -> {
                long old = RawMemory.getLong(host);
                RawMemory.putLong(host, Alu.add(cpu, 8, old, r[reg]));
                r[reg] = old;
            }
            case FastOp.XADD32_M -> {
                int old = RawMemory.getInt(host);
                RawMemory.putInt(host, (int) Alu.add(cpu, 4, old, r[reg]));
                r[reg] = old & LOW;
            }
            case FastOp.CMPXCHG64_M -> {
                long old = RawMemory.getLong(host);
                if (Alu.sub(cpu, 8, r[Cpu.RAX], old) == 0) {
                    RawMemory.putLong(host, r[reg]);
                } else {
                    r[Cpu.RAX] = old;
                }
            }
            case FastOp.CMPXCHG32_M -> {
                int old = RawMemory.getInt(host);
                if (Alu.sub(cpu, 4, r[Cpu.RAX], old) == 0) {
                    RawMemory.putInt(host, (int) r[reg]);
                } else {
                    r[Cpu.RAX] = old & LOW;
                }
            }
            case FastOp.IMUL64_RM -> r[reg] = Alu.imul(cpu, 8, r[reg], RawMemory.getLong(host));
            case FastOp.IMUL32_RM -> r[reg] = Alu.imul(cpu, 4, r[reg], RawMemory.getInt(host)) & LOW;
            case FastOp.IMUL64_MI -> r[reg] = Alu.imul(cpu, 8, RawMemory.getLong(host), immediate);
            case FastOp.IMUL32_MI -> r[reg] = Alu.imul(cpu, 4, RawMemory.getInt(host), immediate) & LOW;
            case FastOp.PUSH_M -> {
                long top = r[Cpu.RSP] - 8;
                int s = ((int) (top >>> 12) & Tlb.ENTRIES - 1) * Tlb.STRIDE;
                if (tlb[s + 1] != (top + 7 & PAGE)) {
                    return false;
                }
                RawMemory.putLong(top + tlb[s + 2], RawMemory.getLong(host));
                r[Cpu.RSP] = top;
            }
            case FastOp.SETCC_M -> RawMemory.putByte(host, cpu.condition(detail) ? 1 : 0);
            default -> {
                return false;
            }
        }
        return true;
    }

    /** Whether the operation only reads its memory operand. */
    private static boolean reads(int op) {
        return switch (op) {
            case FastOp.ALU8_RM, FastOp.TEST64_MR, FastOp.TEST32_MR, FastOp.TEST8_MR, FastOp.TEST64_MI, FastOp.TEST16_MI, FastOp.CMP8_MR,
                    FastOp.CMP16_MR, FastOp.CMP16_RM, FastOp.BT_MI, FastOp.LOAD16, FastOp.IMUL64_RM, FastOp.IMUL32_RM,
                    FastOp.IMUL64_MI, FastOp.IMUL32_MI, FastOp.PUSH_M -> true;
            default -> false;
        };
    }

    /** Bytes of the memory operand; 0 for an operation without one. */
    private static int size(int op) {
        return switch (op) {
            case FastOp.RMW64_R, FastOp.RMW64_I, FastOp.UNARY64_M, FastOp.TEST64_MR, FastOp.TEST64_MI, FastOp.SHIFT64_MI, FastOp.XCHG64_M,
                    FastOp.XADD64_M, FastOp.CMPXCHG64_M, FastOp.IMUL64_RM, FastOp.IMUL64_MI, FastOp.PUSH_M -> 8;
            case FastOp.RMW32_R, FastOp.RMW32_I, FastOp.UNARY32_M, FastOp.TEST32_MR, FastOp.SHIFT32_MI, FastOp.XCHG32_M, FastOp.XADD32_M,
                    FastOp.CMPXCHG32_M, FastOp.IMUL32_RM, FastOp.IMUL32_MI -> 4;
            // The wide form's size decides between hit and miss; a narrow one near the page's end goes the generic way.
            case FastOp.BT_MI -> 8;
            case FastOp.RMW16_R, FastOp.RMW16_I, FastOp.TEST16_MI, FastOp.CMP16_MR, FastOp.CMP16_RM, FastOp.LOAD16 -> 2;
            case FastOp.RMW8_R, FastOp.RMW8_I, FastOp.UNARY8_M, FastOp.ALU8_RM, FastOp.TEST8_MR, FastOp.CMP8_MR, FastOp.SETCC_M -> 1;
            default -> 0;
        };
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
