package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.Operation;

/**
 * Chooses the specialised operation for a decoded instruction of 64-bit mode. Whatever it does not know stays generic. LOCK needs no
 * attention: processors take turns.
 */
final class Specializer {
    private static final int NOT_SPECIAL = -1;

    private Specializer() {}

    /** Whether what follows the instruction is reached by a jump only. */
    static boolean endsRun(Insn insn) {
        if (insn.row == null) {
            return true;
        }
        return switch (insn.row.operation) {
            case JMP, RET, JMP_FAR, RET_FAR, IRET, SYSRET, SYSEXIT, UD0, UD1, UD2 -> true;
            default -> false;
        };
    }

    /** Appends the instruction at {@code offset} to the page as a specialised record; false if there is none for it. */
    static boolean append(CodePage page, Insn insn, int offset) {
        if (insn.row == null || insn.addressSize != 8) {
            return false;
        }
        int before = page.used;
        if (insn.rep != 0) {
            switch (insn.row.operation) {
                case RET, JCC, CALL, JMP, NOP -> {}
                default -> {
                    return false;
                }
            }
        }
        new Builder(page, insn, offset).build();
        return page.used != before;
    }

    /** Builds the record of one instruction. */
    private static final class Builder {
        private final CodePage page;
        private final Insn insn;
        private final int offset;
        private final int size;

        Builder(CodePage page, Insn insn, int offset) {
            this.page = page;
            this.insn = insn;
            this.offset = offset;
            size = insn.operandSize;
        }

        void build() {
            switch (insn.row.operation) {
                case NOP -> registers(FastOp.NOP, 0, 16);
                case ADD -> binary(0, FastOp.ADD64, FastOp.ADD32);
                case OR -> binary(1, FastOp.OR64, FastOp.OR32);
                case ADC -> binary(2, FastOp.ADC64, FastOp.ADC32);
                case SBB -> binary(3, FastOp.SBB64, FastOp.SBB32);
                case AND -> binary(4, FastOp.AND64, FastOp.AND32);
                case SUB -> binary(5, FastOp.SUB64, FastOp.SUB32);
                case XOR -> binary(6, FastOp.XOR64, FastOp.XOR32);
                case CMP -> compare();
                case TEST -> test();
                case INC -> unary(0, FastOp.INC64, FastOp.INC32);
                case DEC -> unary(1, FastOp.DEC64, FastOp.DEC32);
                case NOT -> unary(2, FastOp.NOT64, FastOp.NOT32);
                case NEG -> unary(3, FastOp.NEG64, FastOp.NEG32);
                case SHL, SHR, SAR, ROL, ROR -> shift();
                case SHLD -> doubleShift(FastOp.SHLD64_I, FastOp.SHLD32_I);
                case SHRD -> doubleShift(FastOp.SHRD64_I, FastOp.SHRD32_I);
                case IMUL, MUL -> multiply();
                case MOV -> move();
                case MOVZX -> extend(false);
                case MOVSX, MOVSXD -> extend(true);
                case LEA -> loadAddress();
                case PUSH -> {
                    if (size == 8) {
                        source(FastOp.PUSH, 0, 0, 0);
                    }
                }
                case POP -> {
                    if (size == 8 && !insn.memory) {
                        registers(FastOp.POP, insn.rm, 16);
                    }
                }
                case LEAVE -> {
                    if (size == 8) {
                        registers(FastOp.LEAVE, 0, 16);
                    }
                }
                case CALL -> branch(FastOp.CALL, FastOp.CALL_INDIRECT);
                case JMP -> branch(FastOp.JMP, FastOp.JMP_INDIRECT);
                case RET -> {
                    if (size == 8 && insn.imm == 0) {
                        registers(FastOp.RET, 0, 16);
                    }
                }
                case JCC -> {
                    if (size == 8) {
                        immediate(FastOp.JO + insn.condition, 0, 0, offset + insn.length + insn.imm);
                    }
                }
                case SETCC -> {
                    if (insn.memory) {
                        memory(FastOp.SETCC_M, 0, insn.condition, 0, false);
                    } else if (insn.byteRm() < 16) {
                        immediate(FastOp.SETCC, insn.rm, insn.condition, 0);
                    }
                }
                case CMOVCC -> wide(FastOp.CMOV64, FastOp.CMOV32, insn.reg, 1, insn.condition);
                case BT -> bitTest();
                case BSF -> wide(FastOp.BSF64, FastOp.BSF32, insn.reg, 1, 0);
                case BSR -> wide(FastOp.BSR64, FastOp.BSR32, insn.reg, 1, 0);
                case BSWAP -> wide(FastOp.BSWAP64, FastOp.BSWAP32, insn.rm, 0, 0);
                case CBW -> plain(FastOp.CDQE, FastOp.CWDE);
                case CWD -> plain(FastOp.CQO, FastOp.CDQ);
                case XCHG -> {
                    if (insn.memory) {
                        update(FastOp.XCHG64_M, FastOp.XCHG32_M);
                    } else if (size >= 4) {
                        registers(size == 8 ? FastOp.XCHG64 : FastOp.XCHG32, insn.rm, register(1));
                    }
                }
                case XADD -> update(FastOp.XADD64_M, FastOp.XADD32_M);
                case CMPXCHG -> update(FastOp.CMPXCHG64_M, FastOp.CMPXCHG32_M);
                default -> {}
            }
        }

        private void binary(int kind, int op64, int op32) {
            if (Operands.isMemory(insn, 0)) {
                boolean immediate = Operands.form(insn, 1) == Operands.IMM;
                if (size == 1 && !immediate && insn.byteReg() >= 16) {
                    return;
                }
                int op = FastOp.RMW64_R + (size == 8 ? 0 : size == 4 ? 2 : size == 2 ? 4 : 6) + (immediate ? 1 : 0);
                memory(op, immediate ? 0 : insn.reg, kind, immediate ? insn.imm : 0, false);
                return;
            }
            int target = register(0);
            if (size == 2 || target < 0) {
                return;
            }
            if (size == 1) {
                source(FastOp.ALU8, target, 1, kind);
            } else if (kind == 6 && !insn.memory && Operands.form(insn, 1) != Operands.IMM && register(1) == target) {
                registers(FastOp.ZERO, target, 16);
            } else {
                source(size == 8 ? op64 : op32, target, 1, 0);
            }
        }

        private void compare() {
            if (Operands.isMemory(insn, 0)) {
                if (Operands.form(insn, 1) == Operands.IMM) {
                    memory(bySize(FastOp.CMP64_MI, FastOp.CMP32_MI, FastOp.CMP16_MI, FastOp.CMP8_MI), 0, 0, insn.imm, true);
                } else if (register(1) >= 0) {
                    memory(bySize(FastOp.CMP64_TO, FastOp.CMP32_TO, FastOp.CMP16_TO, FastOp.CMP8_TO), register(1), 0, 0, true);
                }
            } else if (register(0) >= 0) {
                source(bySize(FastOp.CMP64, FastOp.CMP32, FastOp.CMP16, FastOp.CMP8), register(0), 1, 0);
            }
        }

        private void test() {
            int op = bySize(FastOp.TEST64, FastOp.TEST32, FastOp.TEST16, FastOp.TEST8);
            if (!insn.memory) {
                if (register(0) >= 0) {
                    source(op, register(0), 1, 0);
                }
            } else if (Operands.form(insn, 1) == Operands.IMM) {
                memory(bySize(FastOp.TEST64_MI, FastOp.TEST32_MI, FastOp.TEST16_MI, FastOp.TEST8_MI), 0, 0, insn.imm, true);
            } else if (register(1) >= 0) {
                memory(op, register(1), 0, 0, true);
            }
        }

        private void unary(int kind, int op64, int op32) {
            if (!insn.memory) {
                if (size >= 4) {
                    registers(size == 8 ? op64 : op32, insn.rm, 16);
                }
            } else if (size != 2) {
                memory(bySize(FastOp.UNARY64_M, FastOp.UNARY32_M, 0, FastOp.UNARY8_M), 0, kind, 0, false);
            }
        }

        private void shift() {
            int kind =
                    switch (insn.row.operation) {
                        case SHL -> 0;
                        case SHR -> 1;
                        case SAR -> 2;
                        case ROL -> 3;
                        default -> 4;
                    };
            if (size < 4) {
                return;
            }
            boolean wide = size == 8;
            int form = Operands.form(insn, 1) & 7;
            if (form == Operands.FIXED) {
                if (!insn.memory) {
                    immediate(wide ? FastOp.SHIFT64_CL : FastOp.SHIFT32_CL, insn.rm, kind, 0);
                }
                return;
            }
            int count = form == Operands.ONE ? 1 : (int) insn.imm & (wide ? 63 : 31);
            if (count == 0) {
                return;
            }
            if (insn.memory) {
                memory(wide ? FastOp.SHIFT64_MI : FastOp.SHIFT32_MI, 0, kind, count, false);
            } else if (kind < 3) {
                immediate((wide ? FastOp.SHL64_I : FastOp.SHL32_I) + kind, insn.rm, 0, count);
            } else {
                immediate(wide ? FastOp.ROTATE64_I : FastOp.ROTATE32_I, insn.rm, kind, count);
            }
        }

        private void doubleShift(int op64, int op32) {
            int count = (int) insn.imm & (size == 8 ? 63 : 31);
            if (!insn.memory && size >= 4 && Operands.form(insn, 2) == Operands.IMM && count != 0) {
                page.append(first(size == 8 ? op64 : op32, insn.rm, insn.reg, 0), count);
            }
        }

        private void multiply() {
            if (size < 4) {
                return;
            }
            boolean wide = size == 8;
            int operands = insn.row.operands.size();
            if (operands == 1) {
                if (insn.row.operation == Operation.MUL) {
                    source(wide ? FastOp.MUL64 : FastOp.MUL32, 0, 0, 0);
                }
            } else if (operands == 2) {
                source(wide ? FastOp.IMUL64 : FastOp.IMUL32, insn.reg, 1, 0);
            } else if (insn.memory) {
                memory(wide ? FastOp.IMUL64_MI : FastOp.IMUL32_MI, insn.reg, 0, insn.imm, true);
            } else {
                page.append(first(wide ? FastOp.IMUL64_I : FastOp.IMUL32_I, insn.reg, insn.rm, 0), insn.imm);
            }
        }

        private void move() {
            if (Operands.isMemory(insn, 0)) {
                boolean immediate = Operands.form(insn, 1) == Operands.IMM;
                int source = immediate ? 0 : register(1);
                if (source >= 0) {
                    int op = bySize(FastOp.STORE64, FastOp.STORE32, FastOp.STORE16, FastOp.STORE8);
                    int byImmediate = bySize(FastOp.STORE64_I, FastOp.STORE32_I, FastOp.STORE16_I, FastOp.STORE8_I);
                    memory(immediate ? byImmediate : op, source, 0, immediate ? insn.imm : 0, false);
                }
            } else if (register(0) >= 0) {
                source(bySize(FastOp.MOV64, FastOp.MOV32, FastOp.MOV16, FastOp.MOV8), register(0), 1, 0);
            }
        }

        private void extend(boolean signed) {
            int from = insn.row.operands.get(1).width().bytes;
            if (size < 4 || from == 1 && !insn.memory && insn.byteRm() >= 16) {
                return;
            }
            boolean wide = size == 8;
            int op;
            if (from == 1) {
                op = !signed ? FastOp.ZX8 : wide ? FastOp.SX8_64 : FastOp.SX8_32;
            } else if (from == 2) {
                op = !signed ? FastOp.ZX16 : wide ? FastOp.SX16_64 : FastOp.SX16_32;
            } else {
                op = wide ? FastOp.SX32_64 : FastOp.MOV32;
            }
            if (insn.memory) {
                append(op, insn.reg, 0, 0, true, from);
            } else {
                registers(op, insn.reg, insn.rm);
            }
        }

        /** Without an index an address is a register plus a constant, which any source is. */
        private void loadAddress() {
            if (size < 4) {
                return;
            }
            boolean wide = size == 8;
            if (insn.index != Insn.NO_REGISTER) {
                append(wide ? FastOp.LEA64 : FastOp.LEA32, insn.reg, 0, 0, false, 8);
            } else if (insn.base == Insn.RIP) {
                long displacement = insn.disp + offset + insn.length;
                page.append(first(wide ? FastOp.MOV64 : FastOp.MOV32, insn.reg, CodeRecord.PAGE_BASE, 0), displacement);
            } else {
                page.append(first(wide ? FastOp.MOV64 : FastOp.MOV32, insn.reg, insn.base, 0), insn.disp);
            }
        }

        /** Relative targets are relative to the page's start. */
        private void branch(int relative, int indirect) {
            if (size != 8) {
                return;
            }
            if (Operands.form(insn, 0) == Operands.NONE) {
                immediate(relative, 0, 0, offset + insn.length + insn.imm);
            } else {
                source(indirect, 0, 0, 0);
            }
        }

        private void bitTest() {
            if (size < 4) {
                return;
            }
            boolean immediate = Operands.form(insn, 1) == Operands.IMM;
            if (!insn.memory) {
                source(size == 8 ? FastOp.BT64 : FastOp.BT32, insn.rm, 1, 0);
            } else if (immediate) {
                memory(FastOp.BT_MI, 0, 0, insn.imm & 8L * size - 1, true);
            }
        }

        private void update(int op64, int op32) {
            if (insn.memory && size >= 4) {
                memory(size == 8 ? op64 : op32, insn.reg, 0, 0, false);
            }
        }

        private void plain(int op64, int op32) {
            if (size >= 4) {
                registers(size == 8 ? op64 : op32, 0, 16);
            }
        }

        private void wide(int op64, int op32, int target, int slot, int detail) {
            if (size >= 4) {
                source(size == 8 ? op64 : op32, target, slot, detail);
            }
        }

        private int bySize(int op64, int op32, int op16, int op8) {
            return size == 8 ? op64 : size == 4 ? op32 : size == 2 ? op16 : op8;
        }

        /** The register operand in a slot, or -1 if it is AH CH DH BH. */
        private int register(int slot) {
            int form = Operands.form(insn, slot);
            int number =
                    switch (form & 7) {
                        case Operands.RM -> insn.rm;
                        case Operands.REG -> insn.reg;
                        default -> form >> 4;
                    };
            return size == 1 && Insn.byteRegister(number, insn.rex) >= 16 ? NOT_SPECIAL : number;
        }

        /** The first long without memory operand. */
        private long first(int op, int reg, int base, int detail) {
            return CodeCache.word(op, offset, insn.length)
                    | (long) reg << CodeRecord.REG_SHIFT
                    | (long) base << CodeRecord.BASE_SHIFT
                    | 16L << CodeRecord.INDEX_SHIFT
                    | (long) detail << CodeRecord.DETAIL_SHIFT;
        }

        private void registers(int op, int reg, int base) {
            page.append(first(op, reg, base, 0), 0);
        }

        private void immediate(int op, int reg, int detail, long value) {
            page.append(first(op, reg, 16, detail), value);
        }

        /** An operation whose source is the operand in {@code slot}, whatever it is. */
        private void source(int op, int reg, int slot, int detail) {
            if (Operands.isMemory(insn, slot)) {
                append(op, reg, detail, 0, true, size);
            } else if (Operands.form(insn, slot) == Operands.IMM) {
                immediate(op, reg, detail, insn.imm);
            } else if (register(slot) >= 0) {
                page.append(first(op, reg, register(slot), detail), 0);
            }
        }

        private void memory(int op, int reg, int detail, long immediate, boolean load) {
            append(op, reg, detail, immediate, load, size);
        }

        /** An operation with a memory operand, if its displacement fits. */
        private void append(int op, int reg, int detail, long immediate, boolean load, int bytes) {
            long displacement = insn.disp;
            int base = insn.base;
            if (base == Insn.RIP) {
                base = CodeRecord.PAGE_BASE;
                displacement += offset + insn.length;
            }
            if (displacement != (int) displacement) {
                return;
            }
            boolean flat = insn.segment < 4 || insn.row.operation == Operation.LEA;
            long segment = flat ? 0 : insn.segment == 4 ? CodeRecord.FS_BASE - 16 : CodeRecord.GS_BASE - 16;
            long first = CodeCache.word(op, offset, insn.length)
                    | (long) reg << CodeRecord.REG_SHIFT
                    | (long) base << CodeRecord.BASE_SHIFT
                    | (long) insn.index << CodeRecord.INDEX_SHIFT
                    | (long) insn.scale << CodeRecord.SCALE_SHIFT
                    | segment << CodeRecord.SEGMENT_SHIFT
                    | (load ? CodeRecord.LOAD : 0)
                    | (long) detail << CodeRecord.DETAIL_SHIFT
                    | (long) (bytes - 1) << CodeRecord.BYTES_SHIFT;
            page.append(first, immediate << 32 | displacement & 0xffff_ffffL);
        }
    }
}
