package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.Operation;

/**
 * Chooses the specialised operation for a decoded instruction of 64-bit code, or of flat 32-bit
 * code ({@link FlatCode}). Whatever it does not know stays generic. LOCK needs no attention:
 * processors take turns.
 */
final class Specializer {
    private static final int NOT_SPECIAL = -1;

    /**
     * Displacements below are not from a pointer in 32-bit code but are a table's address in the
     * upper half of 4 GiB. This is a guess, which costs time where it is wrong.
     */
    private static final int LOWEST_OF_POINTER = -1 << 20;

    // Members of families.
    private static final long AND = 1L << CodeRecord.AND_BIT;
    private static final long XOR = 1L << CodeRecord.XOR_BIT;
    private static final long SUBTRACT = 1L << CodeRecord.SUBTRACT_BIT;

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
        int wordSize = page.kind == 64 ? 8 : page.kind == FlatCode.FLAT_32 ? 4 : 0;
        if (insn.row == null || insn.addressSize != wordSize) {
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
        private final boolean flat;

        /** Bytes of addresses, and of what PUSH, POP, CALL and RET move if they are specialised. */
        private final int wordSize;

        Builder(CodePage page, Insn insn, int offset) {
            this.page = page;
            this.insn = insn;
            this.offset = offset;
            size = insn.operandSize;
            flat = page.kind == FlatCode.FLAT_32;
            wordSize = flat ? 4 : 8;
        }

        void build() {
            switch (insn.row.operation) {
                case NOP ->
                        registers(FastOp.NOP, CodeRecord.NOWHERE, CodeRecord.ZERO, CodeRecord.ZERO);
                case ADD -> binary(0, FastOp.ADD_SUB, 0);
                case OR -> binary(1, FastOp.LOGIC, AND | XOR);
                case ADC -> binary(2, FastOp.ADC, 0);
                case SBB -> binary(3, FastOp.SBB, 0);
                case AND -> binary(4, FastOp.LOGIC, AND);
                case SUB -> binary(5, FastOp.ADD_SUB, SUBTRACT);
                case XOR -> binary(6, FastOp.LOGIC, XOR);
                case CMP -> compare(FastOp.ADD_SUB, SUBTRACT);
                case TEST -> compare(FastOp.LOGIC, AND);
                case INC -> increment(0, 0);
                case DEC -> increment(1, SUBTRACT);
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
                    if (size == wordSize && !insn.memory) {
                        stack(flat ? FastOp.POP32 : FastOp.POP, insn.rm, Cpu.RSP, false, 0);
                    }
                }
                case LEAVE -> {
                    if (size == wordSize) {
                        int op = flat ? FastOp.LEAVE32 : FastOp.LEAVE;
                        stack(op, Cpu.RBP, Cpu.RBP, false, 0);
                    }
                }
                case CALL -> call();
                case JMP -> jump();
                case RET -> {
                    if (size == wordSize && insn.imm == 0) {
                        int op = flat ? FastOp.RET32 : FastOp.RET;
                        stack(op, CodeRecord.ZERO, Cpu.RSP, false, 0);
                    }
                }
                case JCC -> {
                    if (size == wordSize) {
                        conditionalJump();
                    }
                }
                case SETCC -> {
                    if (insn.memory) {
                        update(FastOp.SETCC_M, CodeRecord.ZERO, 0, insn.condition);
                    } else if (insn.byteRm() < 16) {
                        registers(
                                FastOp.SETCC,
                                insn.rm,
                                insn.rm,
                                CodeRecord.ZERO,
                                0,
                                0,
                                insn.condition);
                    }
                }
                case CMOVCC -> wide(FastOp.CMOV, insn.condition);
                case BT -> {
                    if (!insn.memory && size >= 4) {
                        source(FastOp.BT, 0, CodeRecord.NOWHERE, insn.rm, 1, 0);
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

        private void binary(int kind, int op, long family) {
            if (Operands.isMemory(insn, 0)) {
                int update = bySize(FastOp.RMW64, FastOp.RMW32, FastOp.RMW16, FastOp.RMW8);
                boolean immediate = Operands.form(insn, 1) == Operands.IMM;
                int reg = immediate ? CodeRecord.ZERO : register(1);
                if (reg >= 0) {
                    update(update, reg, immediate ? insn.imm : 0, kind);
                }
                return;
            }
            int target = register(0);
            if (size == 2 || target < 0) {
                return;
            }
            if (size == 1) {
                source(FastOp.ALU8, 0, target, target, 1, kind);
            } else if (kind == 6
                    && !insn.memory
                    && Operands.form(insn, 1) != Operands.IMM
                    && register(1) == target) {
                registers(FastOp.LOGIC, target, CodeRecord.ZERO, CodeRecord.ZERO);
            } else {
                source(op, family, target, target, 1, 0);
            }
        }

        /** CMP and TEST: the memory operand, if any, may be the first one. */
        private void compare(int op, long family) {
            if (!Operands.isMemory(insn, 0)) {
                source(op, family, CodeRecord.NOWHERE, register(0), 1, 0);
                return;
            }
            boolean immediate = Operands.form(insn, 1) == Operands.IMM;
            int reg = immediate ? CodeRecord.ZERO : register(1);
            if (reg >= 0 && operand()) {
                registers(
                        op | family,
                        CodeRecord.NOWHERE,
                        CodeRecord.OPERAND,
                        reg,
                        immediate ? insn.imm : 0,
                        0,
                        0);
            }
        }

        /** INC and DEC of registers get the flags, of which CF stays, as second operand. */
        private void increment(int kind, long family) {
            if (!insn.memory && size >= 4) {
                registers(FastOp.INC_DEC | family, insn.rm, insn.rm, Cpu.FLAG_AUX);
            } else {
                unary(kind, -1);
            }
        }

        private void unary(int kind, int op) {
            if (!insn.memory) {
                if (size >= 4) {
                    registers(op, insn.rm, insn.rm, CodeRecord.ZERO);
                }
            } else if (size != 2) {
                int update = bySize(FastOp.UNARY64, FastOp.UNARY32, 0, FastOp.UNARY8);
                update(update, CodeRecord.ZERO, 0, kind);
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
                    registers(FastOp.SHIFT_CL, insn.rm, insn.rm, CodeRecord.ZERO, 0, 0, kind);
                }
                return;
            }
            int count = form == Operands.ONE ? 1 : (int) insn.imm & (size == 8 ? 63 : 31);
            if (count == 0) {
                return;
            }
            if (insn.memory) {
                int op = size == 8 ? FastOp.SHIFT64 : FastOp.SHIFT32;
                update(op, CodeRecord.ZERO, count, kind);
            } else if (kind >= 3) {
                registers(FastOp.ROTATE_I, insn.rm, insn.rm, CodeRecord.ZERO, 0, count, kind);
            } else {
                registers(FastOp.SHL + kind, insn.rm, insn.rm, CodeRecord.ZERO, count - 1, 0, 0);
            }
        }

        private void doubleShift(int op) {
            int count = (int) insn.imm & (size == 8 ? 63 : 31);
            if (!insn.memory && size >= 4 && Operands.form(insn, 2) == Operands.IMM && count != 0) {
                registers(op, insn.rm, insn.rm, insn.reg, 0, count, 0);
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
                            0,
                            CodeRecord.NOWHERE,
                            CodeRecord.ZERO,
                            0,
                            0);
                }
            } else if (operands == 2) {
                source(FastOp.IMUL, 0, insn.reg, insn.reg, 1, 0);
            } else if (!insn.memory || operand()) {
                int factor = insn.memory ? CodeRecord.OPERAND : insn.rm;
                registers(FastOp.IMUL, insn.reg, factor, CodeRecord.ZERO, insn.imm, 0, 0);
            }
        }

        private void move() {
            boolean immediate = Operands.form(insn, 1) == Operands.IMM;
            if (Operands.isMemory(insn, 0)) {
                if (immediate) {
                    int op =
                            bySize(
                                    FastOp.STOREI64,
                                    FastOp.STOREI32,
                                    FastOp.STOREI16,
                                    FastOp.STOREI8);
                    update(op, CodeRecord.ZERO, insn.imm, 0);
                } else if (register(1) >= 0) {
                    int op = bySize(FastOp.STORE64, FastOp.STORE32, FastOp.STORE16, FastOp.STORE8);
                    memory(op, register(1), true, size);
                }
                return;
            }
            int target = register(0);
            if (target < 0) {
                return;
            }
            if (size < 4) {
                source(size == 2 ? FastOp.MOV16 : FastOp.MOV8, 0, target, target, 1, 0);
            } else if (Operands.isMemory(insn, 1)) {
                memory(size == 8 ? FastOp.LOAD64 : FastOp.LOAD32, target, false, size);
            } else if (immediate) {
                long value = size == 8 ? insn.imm : insn.imm & 0xffff_ffffL;
                append(
                        word(FastOp.MOVI, CodeRecord.ZERO, CodeRecord.ZERO, target, 0),
                        value,
                        0,
                        target);
            } else {
                registers(
                        size == 8 ? FastOp.MOV64 : FastOp.MOV32,
                        target,
                        CodeRecord.ZERO,
                        register(1));
            }
        }

        private void extend(boolean signed) {
            int from = insn.row.operands.get(1).width().bytes;
            if (size < 4 || from == 1 && !insn.memory && insn.byteRm() >= 16) {
                return;
            }
            if (signed && from < 4) {
                int op = from == 1 ? FastOp.SX8 : FastOp.SX16;
                if (!insn.memory || operand(from)) {
                    int source = insn.memory ? CodeRecord.OPERAND : insn.rm;
                    registers(op, insn.reg, CodeRecord.ZERO, source);
                }
                return;
            }
            int op;
            if (from == 1) {
                op = insn.memory ? FastOp.LOAD_ZX8 : FastOp.ZX8;
            } else if (from == 2) {
                op = insn.memory ? FastOp.LOAD_ZX16 : FastOp.ZX16;
            } else if (size == 8) {
                op = insn.memory ? FastOp.LOAD_SXD : FastOp.SXD;
            } else {
                op = insn.memory ? FastOp.LOAD32 : FastOp.MOV32;
            }
            if (insn.memory) {
                memory(op, insn.reg, false, from);
            } else {
                registers(op, insn.reg, CodeRecord.ZERO, insn.rm);
            }
        }

        /** Without an index an address is a register plus a constant, as any second operand. */
        private void loadAddress() {
            if (size < 4) {
                return;
            }
            boolean relative = insn.base == Insn.RIP;
            long displacement = relative ? insn.disp + offset + insn.length : insn.disp;
            int base = relative ? CodeRecord.PAGE_BASE : insn.base;
            if (insn.index == Insn.NO_REGISTER) {
                registers(
                        size == 8 ? FastOp.MOV64 : FastOp.MOV32,
                        insn.reg,
                        CodeRecord.ZERO,
                        base,
                        displacement,
                        0,
                        0);
            } else if (displacement == (int) displacement) {
                int op = size == 8 ? FastOp.LEA64 : FastOp.LEA32;
                append(
                        word(op, insn.reg, base, insn.index, displacement),
                        1L << insn.scale,
                        0,
                        insn.reg);
            }
        }

        private void push() {
            if (size == wordSize && !insn.memory) {
                boolean immediate = Operands.form(insn, 0) == Operands.IMM;
                int reg = immediate ? CodeRecord.ZERO : insn.rm;
                int op = flat ? FastOp.PUSH32 : FastOp.PUSH;
                stack(op, reg, Cpu.RSP, true, immediate ? insn.imm : 0);
            }
        }

        /** The target is a register, or the page's address plus an immediate. */
        private void call() {
            if (size != wordSize || insn.memory) {
                return;
            }
            int op = flat ? FastOp.CALL32 : FastOp.CALL;
            if (Operands.form(insn, 0) == Operands.NONE) {
                long relative = offset + insn.length + insn.imm;
                if (relative == (int) relative) {
                    stack(op, CodeRecord.PAGE_BASE, Cpu.RSP, true, relative);
                }
            } else {
                stack(op, insn.rm, Cpu.RSP, true, 0);
            }
        }

        private void jump() {
            if (size != wordSize) {
                return;
            }
            if (Operands.form(insn, 0) == Operands.NONE) {
                branch(HotLoop.INVERTED);
            } else if (insn.memory) {
                memory(flat ? FastOp.JMP32_M : FastOp.JMP_M, CodeRecord.ZERO, false, size);
            } else {
                registers(FastOp.JMP_R, CodeRecord.NOWHERE, CodeRecord.ZERO, insn.rm);
            }
        }

        /** The operands are the flags; JO and JP are left to the generic way. */
        private void conditionalJump() {
            int flags =
                    switch (insn.condition >> 1) {
                        case 1 -> HotLoop.BELOW;
                        case 2 -> HotLoop.EQUAL;
                        case 3 -> HotLoop.BELOW | HotLoop.EQUAL;
                        case 4 -> HotLoop.NEGATIVE;
                        case 6 -> HotLoop.LESS;
                        case 7 -> HotLoop.LESS | HotLoop.EQUAL;
                        default -> 0;
                    };
            if (flags != 0) {
                branch(flags | ((insn.condition & 1) != 0 ? HotLoop.INVERTED : 0));
            }
        }

        /** A direct jump if any of the flags is set, or none if {@link HotLoop#INVERTED}. */
        private void branch(int flags) {
            long target = offset + insn.length + insn.imm;
            if (target == (int) target) {
                append(
                        word(FastOp.JCC, Cpu.FLAG_RESULT, Cpu.FLAG_AUX, flags, 0),
                        target << 32 | CodeRecord.UNLINKED & 0xffff_ffffL,
                        0,
                        CodeRecord.NOWHERE);
            }
        }

        private void update(int op64, int op32) {
            if (insn.memory && size >= 4) {
                memory(size == 8 ? op64 : op32, insn.reg, true, size);
            }
        }

        /** An operation that writes its memory operand, of a register plus an immediate. */
        private void update(int op, int reg, long immediate, int detail) {
            memory(op, reg, true, size, immediate & 0xffff_ffffL, detail);
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
                source(op, 0, insn.reg, insn.reg, 1, detail);
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

        private void append(long word, long second, int detail, int target) {
            page.append(word, second, CodeRecord.info(offset, insn.length, detail, target, size));
        }

        /** The first long; {@code constant} must fit into 32 bits. */
        private static long word(long op, int reg, int base, int index, long constant) {
            return constant << CodeRecord.CONSTANT_SHIFT
                    | (long) index << CodeRecord.INDEX_SHIFT
                    | (long) base << CodeRecord.BASE_SHIFT
                    | (long) reg << CodeRecord.REG_SHIFT
                    | op;
        }

        private void registers(long op, int target, int reg, int base) {
            registers(op, target, reg, base, 0, 0, 0);
        }

        private void registers(
                long op, int target, int reg, int base, long constant, long second, int detail) {
            if (reg >= 0 && base >= 0 && (constant == (int) constant || size <= 4)) {
                long bytes = (long) (8 - Math.max(size, 1)) << CodeRecord.BYTES_SHIFT;
                append(word(op, reg, base, target, constant) | bytes, second, detail, target);
            }
        }

        /** An operation whose second operand is the one in {@code slot}, whatever it is. */
        private void source(int op, long family, int target, int reg, int slot, int detail) {
            if (reg < 0) {
                return;
            }
            if (Operands.isMemory(insn, slot)) {
                if (operand()) {
                    registers(op | family, target, reg, CodeRecord.OPERAND, 0, 0, detail);
                }
            } else if (Operands.form(insn, slot) == Operands.IMM) {
                registers(op | family, target, reg, CodeRecord.ZERO, insn.imm, 0, detail);
            } else {
                registers(op | family, target, reg, register(slot), 0, 0, detail);
            }
        }

        /** An operation on the word at a register, or one that pushes the word below it. */
        private void stack(int op, int reg, int base, boolean pushes, long immediate) {
            append(
                    word(op, reg, base, CodeRecord.ZERO, pushes ? -wordSize : 0)
                            | CodeRecord.MEMORY
                            | (pushes ? 1L << CodeRecord.WRITE_SHIFT : 0)
                            | wordSize - 1L << CodeRecord.BYTES_SHIFT,
                    immediate & 0xffff_ffffL,
                    0,
                    CodeRecord.NOWHERE);
        }

        /** Fetches the memory operand for the record that follows; false if it can't. */
        private boolean operand() {
            return operand(size);
        }

        private boolean operand(int bytes) {
            return memory(FastOp.OPERAND, CodeRecord.ZERO, false, bytes);
        }

        private boolean memory(int op, int reg, boolean write, int bytes) {
            return memory(op, reg, write, bytes, 0, 0);
        }

        /** An operation with a memory operand; false if its displacement does not fit. */
        private boolean memory(int op, int reg, boolean write, int bytes, long second, int detail) {
            long displacement = flat ? (int) insn.disp : insn.disp;
            int base = insn.base;
            if (base == Insn.RIP) {
                base = CodeRecord.PAGE_BASE;
                displacement += offset + insn.length;
            }
            if (displacement != (int) displacement) {
                return false;
            }
            int index = insn.index;
            int scale = insn.scale;
            if (flat) {
                if (insn.segment == Cpu.CS || insn.segment >= Cpu.FS) {
                    return false;
                }
                if (index == Insn.NO_REGISTER && displacement < LOWEST_OF_POINTER) {
                    index = base; // of a table
                    scale = 0;
                    base = Insn.NO_REGISTER;
                }
                if (base == Insn.NO_REGISTER && displacement < 0) {
                    base = CodeRecord.FOUR_GIB;
                }
            }
            long segment =
                    insn.segment < 4
                            ? 0
                            : insn.segment == 4 ? CodeRecord.FS_BASE - 16 : CodeRecord.GS_BASE - 16;
            append(
                    word(op, reg, base, index, displacement)
                            | CodeRecord.MEMORY
                            | (write ? 1L << CodeRecord.WRITE_SHIFT : 0)
                            | (long) (bytes - 1) << CodeRecord.BYTES_SHIFT
                            | segment << CodeRecord.SEGMENT_SHIFT
                            | (long) scale << CodeRecord.SCALE_SHIFT,
                    second,
                    detail,
                    reg);
            return true;
        }
    }
}
