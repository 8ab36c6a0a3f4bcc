package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.Operation;

/**
 * Chooses the specialised operation for a decoded instruction of 64-bit mode. Whatever it does not
 * know stays generic. LOCK needs no attention: processors take turns.
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

    /**
     * Appends the instruction at {@code offset} to the page as a specialised record; false if there
     * is none for it.
     */
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
                case NOP ->
                        registers(FastOp.NOP, CodeRecord.NOWHERE, CodeRecord.ZERO, CodeRecord.ZERO);
                case ADD -> binary(0, FastOp.ADD);
                case OR -> binary(1, FastOp.OR);
                case ADC -> binary(2, FastOp.ADC);
                case SBB -> binary(3, FastOp.SBB);
                case AND -> binary(4, FastOp.AND);
                case SUB -> binary(5, FastOp.SUB);
                case XOR -> binary(6, FastOp.XOR);
                case CMP -> {
                    if (!Operands.isMemory(insn, 0)) {
                        source(FastOp.SUB, CodeRecord.NOWHERE, register(0), 1, 0);
                    } else {
                        fromMemory(FastOp.COMPARE, CodeRecord.NOWHERE, 1);
                    }
                }
                case TEST -> {
                    if (!Operands.isMemory(insn, 0)) {
                        source(FastOp.AND, CodeRecord.NOWHERE, register(0), 1, 0);
                    } else {
                        fromMemory(FastOp.AND, CodeRecord.NOWHERE, 1);
                    }
                }
                case INC -> unary(0, FastOp.INC);
                case DEC -> unary(1, FastOp.DEC);
                case NOT -> unary(2, FastOp.NOT);
                case NEG -> unary(3, FastOp.NEG);
                case SHL, SHR, SAR, ROL, ROR -> shift();
                case SHLD -> doubleShift(FastOp.SHLD_I);
                case SHRD -> doubleShift(FastOp.SHRD_I);
                case IMUL, MUL -> multiply();
                case MOV -> move();
                case MOVZX -> extend(false);
                case MOVSX, MOVSXD -> extend(true);
                case LEA -> loadAddress();
                case PUSH -> push();
                case POP -> {
                    if (size == 8 && !insn.memory) {
                        stack(FastOp.POP, insn.rm, CodeRecord.ZERO, Cpu.RSP, 0, 0);
                    }
                }
                case LEAVE -> {
                    if (size == 8) {
                        stack(FastOp.LEAVE, Cpu.RBP, CodeRecord.ZERO, Cpu.RBP, 0, 0);
                    }
                }
                case CALL -> call();
                case JMP -> {
                    if (size == 8) {
                        if (Operands.form(insn, 0) == Operands.NONE) {
                            branch(FastOp.JMP, 0);
                        } else {
                            source(FastOp.JMP, CodeRecord.NOWHERE, CodeRecord.ZERO, 0, 0);
                        }
                    }
                }
                case RET -> {
                    if (size == 8 && insn.imm == 0) {
                        stack(FastOp.RET, CodeRecord.NOWHERE, CodeRecord.ZERO, Cpu.RSP, 0, 0);
                    }
                }
                case JCC -> {
                    if (size == 8) {
                        conditionalJump();
                    }
                }
                case SETCC -> {
                    if (insn.memory) {
                        memory(
                                FastOp.SETCC_M,
                                CodeRecord.NOWHERE,
                                CodeRecord.ZERO,
                                insn.condition,
                                0,
                                true,
                                1);
                    } else if (insn.byteRm() < 16) {
                        page.append(
                                first(
                                        FastOp.SETCC,
                                        insn.rm,
                                        insn.rm,
                                        CodeRecord.ZERO,
                                        insn.condition),
                                0);
                    }
                }
                case CMOVCC -> wide(FastOp.CMOV, insn.condition);
                case BT -> {
                    if (!insn.memory && size >= 4) {
                        source(FastOp.BT, CodeRecord.NOWHERE, insn.rm, 1, 0);
                    }
                }
                case BSF -> wide(FastOp.BSF, 0);
                case BSR -> wide(FastOp.BSR, 0);
                case BSWAP -> {
                    if (size >= 4) {
                        registers(
                                size == 8 ? FastOp.BSWAP64 : FastOp.BSWAP32,
                                insn.rm,
                                insn.rm,
                                CodeRecord.ZERO);
                    }
                }
                case CBW -> plain(FastOp.CDQE, FastOp.CWDE);
                case CWD -> plain(FastOp.CQO, FastOp.CDQ);
                case XCHG -> {
                    if (insn.memory) {
                        update(FastOp.XCHG64_M, FastOp.XCHG32_M);
                    } else if (size >= 4) {
                        registers(
                                size == 8 ? FastOp.XCHG64 : FastOp.XCHG32,
                                insn.rm,
                                insn.rm,
                                register(1));
                    }
                }
                case XADD -> update(FastOp.XADD64_M, FastOp.XADD32_M);
                case CMPXCHG -> update(FastOp.CMPXCHG64_M, FastOp.CMPXCHG32_M);
                default -> {}
            }
        }

        private void binary(int kind, int op) {
            if (Operands.isMemory(insn, 0)) {
                int update = bySize(FastOp.RMW64, FastOp.RMW32, FastOp.RMW16, FastOp.RMW8);
                boolean immediate = Operands.form(insn, 1) == Operands.IMM;
                int reg = immediate ? CodeRecord.ZERO : register(1);
                if (reg >= 0) {
                    memory(
                            update,
                            CodeRecord.NOWHERE,
                            reg,
                            kind,
                            immediate ? insn.imm : 0,
                            true,
                            size);
                }
                return;
            }
            int target = register(0);
            if (size == 2 || target < 0) {
                return;
            }
            if (size == 1) {
                source(FastOp.ALU8, target, target, 1, kind);
            } else if (kind == 6
                    && !insn.memory
                    && Operands.form(insn, 1) != Operands.IMM
                    && register(1) == target) {
                registers(FastOp.ZERO, target, CodeRecord.ZERO, CodeRecord.ZERO);
            } else {
                source(op, target, target, 1, 0);
            }
        }

        /** An operation of a register or immediate (slot) with memory, which is only read. */
        private void fromMemory(int op, int target, int slot) {
            boolean immediate = Operands.form(insn, slot) == Operands.IMM;
            int reg = immediate ? CodeRecord.ZERO : register(slot);
            if (reg >= 0) {
                memory(op, target, reg, 0, immediate ? insn.imm : 0, false, size);
            }
        }

        private void unary(int kind, int op) {
            if (!insn.memory) {
                if (size >= 4) {
                    registers(op, insn.rm, insn.rm, CodeRecord.ZERO);
                }
            } else if (size != 2) {
                int update = bySize(FastOp.UNARY64, FastOp.UNARY32, 0, FastOp.UNARY8);
                memory(update, CodeRecord.NOWHERE, CodeRecord.ZERO, kind, 0, true, size);
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
            int form = Operands.form(insn, 1) & 7;
            if (form == Operands.FIXED) {
                if (!insn.memory) {
                    page.append(first(FastOp.SHIFT_CL, insn.rm, insn.rm, CodeRecord.ZERO, kind), 0);
                }
                return;
            }
            int count = form == Operands.ONE ? 1 : (int) insn.imm & (size == 8 ? 63 : 31);
            if (count == 0) {
                return;
            }
            if (insn.memory) {
                memory(
                        size == 8 ? FastOp.SHIFT64 : FastOp.SHIFT32,
                        CodeRecord.NOWHERE,
                        CodeRecord.ZERO,
                        kind,
                        count,
                        true,
                        size);
            } else {
                page.append(
                        first(
                                kind < 3 ? FastOp.SHL + kind : FastOp.ROTATE_I,
                                insn.rm,
                                insn.rm,
                                CodeRecord.ZERO,
                                kind),
                        count);
            }
        }

        private void doubleShift(int op) {
            int count = (int) insn.imm & (size == 8 ? 63 : 31);
            if (!insn.memory && size >= 4 && Operands.form(insn, 2) == Operands.IMM && count != 0) {
                page.append(first(op, insn.rm, insn.rm, insn.reg, 0), count);
            }
        }

        private void multiply() {
            if (size < 4) {
                return;
            }
            int operands = insn.row.operands.size();
            if (operands == 1) {
                if (insn.row.operation == Operation.MUL) {
                    source(
                            size == 8 ? FastOp.MUL64 : FastOp.MUL32,
                            CodeRecord.NOWHERE,
                            CodeRecord.ZERO,
                            0,
                            0);
                }
            } else if (operands == 2) {
                source(FastOp.IMUL, insn.reg, insn.reg, 1, 0);
            } else if (insn.memory) {
                fromMemory(FastOp.IMUL, insn.reg, 2);
            } else {
                page.append(first(FastOp.IMUL, insn.reg, insn.rm, CodeRecord.ZERO, 0), insn.imm);
            }
        }

        private void move() {
            if (Operands.isMemory(insn, 0)) {
                boolean immediate = Operands.form(insn, 1) == Operands.IMM;
                int reg = immediate ? CodeRecord.ZERO : register(1);
                if (reg >= 0) {
                    int op = bySize(FastOp.STORE64, FastOp.STORE32, FastOp.STORE16, FastOp.STORE8);
                    memory(op, CodeRecord.NOWHERE, reg, 0, immediate ? insn.imm : 0, true, size);
                }
                return;
            }
            int target = register(0);
            if (target >= 0) {
                source(
                        bySize(FastOp.MOV, FastOp.MOV, FastOp.MOV16, FastOp.MOV8),
                        target,
                        target,
                        1,
                        0);
            }
        }

        private void extend(boolean signed) {
            int from = insn.row.operands.get(1).width().bytes;
            if (size < 4 || from == 1 && !insn.memory && insn.byteRm() >= 16) {
                return;
            }
            int op;
            if (from == 1) {
                op = signed ? FastOp.SX8 : FastOp.ZX8;
            } else if (from == 2) {
                op = signed ? FastOp.SX16 : FastOp.ZX16;
            } else {
                op = size == 8 ? FastOp.SXD : FastOp.MOV;
            }
            if (insn.memory) {
                memory(op, insn.reg, CodeRecord.ZERO, 0, 0, false, from);
            } else {
                registers(op, insn.reg, CodeRecord.ZERO, insn.rm);
            }
        }

        /** Without an index an address is a register plus a constant, which any source is. */
        private void loadAddress() {
            if (size < 4) {
                return;
            }
            boolean relative = insn.base == Insn.RIP;
            long displacement = relative ? insn.disp + offset + insn.length : insn.disp;
            int base = relative ? CodeRecord.PAGE_BASE : insn.base;
            if (insn.index == Insn.NO_REGISTER) {
                page.append(first(FastOp.MOV, insn.reg, CodeRecord.ZERO, base, 0), displacement);
            } else {
                long first =
                        first(FastOp.LEA, insn.reg, CodeRecord.ZERO, base, 0)
                                & ~(31L << CodeRecord.INDEX_SHIFT);
                long index =
                        (long) insn.index << CodeRecord.INDEX_SHIFT
                                | (long) insn.scale << CodeRecord.SCALE_SHIFT;
                page.append(first | index, displacement);
            }
        }

        private void push() {
            if (size == 8 && !insn.memory) {
                boolean immediate = Operands.form(insn, 0) == Operands.IMM;
                int reg = immediate ? CodeRecord.ZERO : insn.rm;
                stack(FastOp.PUSH, CodeRecord.NOWHERE, reg, Cpu.RSP, -8, immediate ? insn.imm : 0);
            }
        }

        /** The target is a register, or the page's address plus an immediate. */
        private void call() {
            if (size != 8 || insn.memory) {
                return;
            }
            if (Operands.form(insn, 0) == Operands.NONE) {
                long relative = offset + insn.length + insn.imm;
                if (relative == (int) relative) {
                    stack(
                            FastOp.CALL,
                            CodeRecord.NOWHERE,
                            CodeRecord.PAGE_BASE,
                            Cpu.RSP,
                            -8,
                            relative);
                }
            } else {
                stack(FastOp.CALL, CodeRecord.NOWHERE, insn.rm, Cpu.RSP, -8, 0);
            }
        }

        private void conditionalJump() {
            boolean inverted = (insn.condition & 1) != 0;
            switch (insn.condition >> 1) {
                case 1 -> branch(FastOp.J_B, inverted ? HotLoop.BELOW_INVERTED : 0);
                case 2 -> branch(inverted ? FastOp.J_NZ : FastOp.J_Z, 0);
                case 3 ->
                        branch(
                                FastOp.J_B,
                                HotLoop.BELOW_OR_ZERO | (inverted ? HotLoop.BELOW_INVERTED : 0));
                case 4 -> branch(inverted ? FastOp.J_NS : FastOp.J_S, 0);
                case 6 -> branch(FastOp.J_L, inverted ? HotLoop.LESS_INVERTED : 0);
                case 7 ->
                        branch(
                                FastOp.J_L,
                                HotLoop.LESS_OR_ZERO | (inverted ? HotLoop.LESS_INVERTED : 0));
                default -> {}
            }
        }

        private void branch(int op, int bits) {
            long first =
                    first(op, CodeRecord.NOWHERE, CodeRecord.ZERO, CodeRecord.PAGE_BASE, 0)
                            & ~(31L << CodeRecord.INDEX_SHIFT);
            page.append(first | bits, offset + insn.length + insn.imm);
        }

        private void update(int op64, int op32) {
            if (insn.memory && size >= 4) {
                memory(size == 8 ? op64 : op32, insn.reg, insn.reg, 0, 0, true, size);
            }
        }

        private void plain(int op64, int op32) {
            if (size >= 4) {
                registers(
                        size == 8 ? op64 : op32,
                        CodeRecord.NOWHERE,
                        CodeRecord.ZERO,
                        CodeRecord.ZERO);
            }
        }

        private void wide(int op, int detail) {
            if (size >= 4) {
                source(op, insn.reg, insn.reg, 1, detail);
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
        private long first(int op, int target, int reg, int base, int detail) {
            return CodeCache.word(op, offset, insn.length)
                    | (long) target << CodeRecord.TARGET_SHIFT
                    | (long) reg << CodeRecord.REG_SHIFT
                    | (long) base << CodeRecord.BASE_SHIFT
                    | (long) CodeRecord.ZERO << CodeRecord.INDEX_SHIFT
                    | (long) detail << CodeRecord.DETAIL_SHIFT
                    | 8L - Math.max(size, 1) << CodeRecord.CUT_SHIFT;
        }

        private void registers(int op, int target, int reg, int base) {
            page.append(first(op, target, reg, base, 0), 0);
        }

        /** An operation whose source is the operand in {@code slot}, whatever it is. */
        private void source(int op, int target, int reg, int slot, int detail) {
            if (reg < 0) {
                return;
            }
            if (Operands.isMemory(insn, slot)) {
                memory(op, target, reg, detail, 0, false, size);
            } else if (Operands.form(insn, slot) == Operands.IMM) {
                page.append(first(op, target, reg, CodeRecord.ZERO, detail), insn.imm);
            } else if (register(slot) >= 0) {
                page.append(first(op, target, reg, register(slot), detail), 0);
            }
        }

        /** An operation on eight bytes at a register plus a displacement. */
        private void stack(
                int op, int target, int reg, int base, int displacement, long immediate) {
            long write = displacement < 0 ? 1L << CodeRecord.WRITE_SHIFT : 0;
            long first =
                    first(op, target, reg, base, 0)
                            | CodeRecord.MEMORY
                            | write
                            | 7L << CodeRecord.BYTES_SHIFT;
            page.append(first, immediate << 32 | displacement & 0xffff_ffffL);
        }

        /** An operation with a memory operand, if its displacement fits. */
        private void memory(
                int op, int target, int reg, int detail, long immediate, boolean write, int bytes) {
            long displacement = insn.disp;
            int base = insn.base;
            if (base == Insn.RIP) {
                base = CodeRecord.PAGE_BASE;
                displacement += offset + insn.length;
            }
            if (displacement != (int) displacement) {
                return;
            }
            long segment =
                    insn.segment < 4
                            ? 0
                            : insn.segment == 4 ? CodeRecord.FS_BASE - 16 : CodeRecord.GS_BASE - 16;
            long first =
                    first(op, target, reg, base, detail) & ~(31L << CodeRecord.INDEX_SHIFT)
                            | (long) insn.index << CodeRecord.INDEX_SHIFT
                            | (long) insn.scale << CodeRecord.SCALE_SHIFT
                            | segment << CodeRecord.SEGMENT_SHIFT
                            | (write ? 1L << CodeRecord.WRITE_SHIFT : 0)
                            | CodeRecord.MEMORY
                            | (long) (bytes - 1) << CodeRecord.BYTES_SHIFT;
            page.append(first, immediate << 32 | displacement & 0xffff_ffffL);
        }
    }
}
