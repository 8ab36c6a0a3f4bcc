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
                case NOP -> emit(FastOp.NOP, 0, 0, 0, 0);
                case ADD -> binary(0);
                case OR -> binary(1);
                case ADC -> binary(2);
                case SBB -> binary(3);
                case AND -> binary(4);
                case SUB -> binary(5);
                case XOR -> binary(6);
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
                case LEA -> {
                    if (size >= 4) {
                        memory(size == 8 ? FastOp.LEA64 : FastOp.LEA32, insn.reg, 0, 0, 0);
                    }
                }
                case PUSH -> push();
                case POP -> {
                    if (size == 8 && !insn.memory) {
                        emit(FastOp.POP, insn.rm, 0, 0, 0);
                    }
                }
                case LEAVE -> {
                    if (size == 8) {
                        emit(FastOp.LEAVE, 0, 0, 0, 0);
                    }
                }
                case CALL -> branch(FastOp.CALL, FastOp.CALL_R, FastOp.CALL_M);
                case JMP -> branch(FastOp.JMP, FastOp.JMP_R, FastOp.JMP_M);
                case RET -> {
                    if (size == 8 && insn.imm == 0) {
                        emit(FastOp.RET, 0, 0, 0, 0);
                    }
                }
                case JCC -> {
                    if (size == 8) {
                        emit(FastOp.JO + insn.condition, 0, 0, 0, offset + insn.length + insn.imm);
                    }
                }
                case SETCC -> {
                    if (insn.memory) {
                        memory(FastOp.SETCC_M, 0, insn.condition, 0, 0);
                    } else if (insn.byteRm() < 16) {
                        emit(FastOp.SETCC, insn.rm, 0, insn.condition, 0);
                    }
                }
                case CMOVCC -> {
                    if (size >= 4) {
                        if (insn.memory) {
                            memory(size == 8 ? FastOp.CMOV64_M : FastOp.CMOV32_M, insn.reg, insn.condition, 0, 0);
                        } else {
                            emit(size == 8 ? FastOp.CMOV64 : FastOp.CMOV32, insn.reg, insn.rm, insn.condition, 0);
                        }
                    }
                }
                case BT -> bitTest();
                case BSF -> registers(FastOp.BSF64, FastOp.BSF32, insn.reg, insn.rm);
                case BSR -> registers(FastOp.BSR64, FastOp.BSR32, insn.reg, insn.rm);
                case BSWAP -> registers(FastOp.BSWAP64, FastOp.BSWAP32, insn.rm, insn.rm);
                case CBW -> registers(FastOp.CDQE, FastOp.CWDE, 0, 0);
                case CWD -> registers(FastOp.CQO, FastOp.CDQ, 0, 0);
                case XCHG -> exchange();
                case XADD -> updateWithRegister(FastOp.XADD64_M, FastOp.XADD32_M);
                case CMPXCHG -> updateWithRegister(FastOp.CMPXCHG64_M, FastOp.CMPXCHG32_M);
                default -> {}
            }
        }

        private void binary(int kind) {
            if (insn.memory && Operands.isMemory(insn, 0)) {
                boolean immediate = Operands.form(insn, 1) == Operands.IMM;
                int op =
                        switch (size) {
                            case 8 -> immediate ? FastOp.RMW64_I : FastOp.RMW64_R;
                            case 4 -> immediate ? FastOp.RMW32_I : FastOp.RMW32_R;
                            case 2 -> immediate ? FastOp.RMW16_I : FastOp.RMW16_R;
                            default -> immediate ? FastOp.RMW8_I : FastOp.RMW8_R;
                        };
                if (size == 1 && !immediate && insn.byteReg() >= 16) {
                    return;
                }
                memory(op, immediate ? 0 : insn.reg, kind, immediate ? insn.imm : 0, 0);
                return;
            }
            int target = register(0);
            if (size == 2 || target < 0) {
                return;
            }
            int form = Operands.form(insn, 1);
            if (size == 1) {
                if (insn.memory) {
                    memory(FastOp.ALU8_RM, target, kind, 0, 0);
                } else if (form == Operands.IMM) {
                    emit(FastOp.ALU8_RI, target, 0, kind, insn.imm);
                } else if (register(1) >= 0) {
                    emit(FastOp.ALU8_RR, target, register(1), kind, 0);
                }
                return;
            }
            if (kind == 2 || kind == 3) {
                int base = kind == 2 ? FastOp.ADC64_RR : FastOp.SBB64_RR;
                if (!insn.memory) {
                    boolean immediate = form == Operands.IMM;
                    int op = base + (size == 8 ? 0 : 1) + (immediate ? 2 : 0);
                    emit(op, target, immediate ? 0 : register(1), 0, immediate ? insn.imm : 0);
                }
                return;
            }
            if (kind == 6 && !insn.memory && form != Operands.IMM && register(1) == target) {
                emit(FastOp.ZERO, target, 0, 0, 0);
                return;
            }
            int slot = kind < 2 ? kind : kind - 2;
            int group = (size == 8 ? FastOp.ADD64_RR : FastOp.ADD32_RR) + slot;
            if (insn.memory) {
                memory(group + 12, target, 0, 0, 0);
            } else if (form == Operands.IMM) {
                emit(group + 6, target, 0, 0, insn.imm);
            } else {
                emit(group, target, register(1), 0, 0);
            }
        }

        private void compare() {
            int form = Operands.form(insn, 1);
            if (insn.memory && Operands.isMemory(insn, 0)) {
                if (form == Operands.IMM) {
                    int op =
                            switch (size) {
                                case 8 -> FastOp.CMP64_MI;
                                case 4 -> FastOp.CMP32_MI;
                                case 2 -> FastOp.CMP16_MI;
                                default -> FastOp.CMP8_MI;
                            };
                    memory(op, 0, 0, insn.imm, 0);
                } else if (size != 1 || insn.byteReg() < 16) {
                    int op =
                            switch (size) {
                                case 8 -> FastOp.CMP64_MR;
                                case 4 -> FastOp.CMP32_MR;
                                case 2 -> FastOp.CMP16_MR;
                                default -> FastOp.CMP8_MR;
                            };
                    memory(op, insn.reg, 0, 0, 0);
                }
                return;
            }
            int a = register(0);
            if (a < 0) {
                return;
            }
            if (insn.memory) {
                int op =
                        switch (size) {
                            case 8 -> FastOp.CMP64_RM;
                            case 4 -> FastOp.CMP32_RM;
                            case 2 -> FastOp.CMP16_RM;
                            default -> FastOp.CMP8_RM;
                        };
                memory(op, a, 0, 0, 0);
                return;
            }
            if (form == Operands.IMM) {
                int op =
                        switch (size) {
                            case 8 -> FastOp.CMP64_RI;
                            case 4 -> FastOp.CMP32_RI;
                            case 2 -> FastOp.CMP16_RI;
                            default -> FastOp.CMP8_RI;
                        };
                emit(op, a, 0, 0, insn.imm);
            } else if (register(1) >= 0) {
                int op =
                        switch (size) {
                            case 8 -> FastOp.CMP64_RR;
                            case 4 -> FastOp.CMP32_RR;
                            case 2 -> FastOp.CMP16_RR;
                            default -> FastOp.CMP8_RR;
                        };
                emit(op, a, register(1), 0, 0);
            }
        }

        private void test() {
            boolean immediate = Operands.form(insn, 1) == Operands.IMM;
            if (insn.memory) {
                int op;
                if (immediate) {
                    op =
                            switch (size) {
                                case 8 -> FastOp.TEST64_MI;
                                case 4 -> FastOp.TEST32_MI;
                                case 2 -> FastOp.TEST16_MI;
                                default -> FastOp.TEST8_MI;
                            };
                } else if (size == 1 && insn.byteReg() >= 16 || size == 2) {
                    return;
                } else {
                    op = size == 8 ? FastOp.TEST64_MR : size == 4 ? FastOp.TEST32_MR : FastOp.TEST8_MR;
                }
                memory(op, insn.reg, 0, immediate ? insn.imm : 0, 0);
                return;
            }
            int a = register(0);
            int b = immediate ? 0 : register(1);
            if (a < 0 || b < 0) {
                return;
            }
            int op =
                    switch (size) {
                        case 8 -> immediate ? FastOp.TEST64_RI : FastOp.TEST64_RR;
                        case 4 -> immediate ? FastOp.TEST32_RI : FastOp.TEST32_RR;
                        case 2 -> immediate ? FastOp.TEST16_RI : FastOp.TEST16_RR;
                        default -> immediate ? FastOp.TEST8_RI : FastOp.TEST8_RR;
                    };
            emit(op, a, b, 0, immediate ? insn.imm : 0);
        }

        private void unary(int kind, int op64, int op32) {
            if (insn.memory) {
                if (size != 2) {
                    memory(size == 8 ? FastOp.UNARY64_M : size == 4 ? FastOp.UNARY32_M : FastOp.UNARY8_M, 0, kind, 0, 0);
                }
            } else if (size >= 4) {
                emit(size == 8 ? op64 : op32, insn.rm, insn.rm, 0, 0);
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
                    emit(size == 8 ? FastOp.SHIFT64_CL : FastOp.SHIFT32_CL, insn.rm, 0, kind, 0);
                }
                return;
            }
            int count = form == Operands.ONE ? 1 : (int) insn.imm & (size == 8 ? 63 : 31);
            if (count == 0) {
                return;
            }
            if (insn.memory) {
                memory(size == 8 ? FastOp.SHIFT64_MI : FastOp.SHIFT32_MI, 0, kind, count, 0);
            } else if (kind < 3) {
                emit((size == 8 ? FastOp.SHL64_I : FastOp.SHL32_I) + kind, insn.rm, 0, 0, count);
            } else {
                emit(size == 8 ? FastOp.ROTATE64_I : FastOp.ROTATE32_I, insn.rm, 0, kind, count);
            }
        }

        private void doubleShift(int op64, int op32) {
            int count = (int) insn.imm & (size == 8 ? 63 : 31);
            if (!insn.memory && size >= 4 && Operands.form(insn, 2) == Operands.IMM && count != 0) {
                emit(size == 8 ? op64 : op32, insn.rm, insn.reg, 0, count);
            }
        }

        private void multiply() {
            if (size < 4) {
                return;
            }
            int operands = insn.row.operands.size();
            if (operands == 1) {
                if (insn.row.operation == Operation.MUL && !insn.memory) {
                    emit(size == 8 ? FastOp.MUL64_R : FastOp.MUL32_R, 0, insn.rm, 0, 0);
                }
            } else if (operands == 2) {
                if (insn.memory) {
                    memory(size == 8 ? FastOp.IMUL64_RM : FastOp.IMUL32_RM, insn.reg, 0, 0, 0);
                } else {
                    emit(size == 8 ? FastOp.IMUL64_RR : FastOp.IMUL32_RR, insn.reg, insn.rm, 0, 0);
                }
            } else if (insn.memory) {
                memory(size == 8 ? FastOp.IMUL64_MI : FastOp.IMUL32_MI, insn.reg, 0, insn.imm, 0);
            } else {
                emit(size == 8 ? FastOp.IMUL64_I : FastOp.IMUL32_I, insn.reg, insn.rm, 0, insn.imm);
            }
        }

        private void move() {
            boolean immediate = Operands.form(insn, 1) == Operands.IMM;
            if (insn.memory && Operands.isMemory(insn, 0)) {
                int source = immediate ? 0 : register(1);
                if (source < 0) {
                    return;
                }
                int op =
                        switch (size) {
                            case 8 -> immediate ? FastOp.STORE64_I : FastOp.STORE64;
                            case 4 -> immediate ? FastOp.STORE32_I : FastOp.STORE32;
                            case 2 -> immediate ? FastOp.STORE16_I : FastOp.STORE16;
                            default -> immediate ? FastOp.STORE8_I : FastOp.STORE8;
                        };
                memory(op, source, 0, immediate ? insn.imm : 0, 0);
                return;
            }
            int target = register(0);
            if (target < 0) {
                return;
            }
            if (insn.memory) {
                int op =
                        switch (size) {
                            case 8 -> FastOp.LOAD64;
                            case 4 -> FastOp.LOAD32;
                            case 2 -> FastOp.LOAD16;
                            default -> FastOp.LOAD8;
                        };
                memory(op, target, 0, 0, 0);
            } else if (immediate) {
                if (size == 1) {
                    emit(FastOp.MOV8_RI, target, 0, 0, insn.imm & 0xff);
                } else if (size >= 4) {
                    long first = first(FastOp.MOV_RI, target, 0, 0);
                    page.append(first, size == 8 ? insn.imm : insn.imm & 0xffff_ffffL);
                }
            } else if (register(1) >= 0) {
                int op =
                        switch (size) {
                            case 8 -> FastOp.MOV64_RR;
                            case 4 -> FastOp.MOV32_RR;
                            case 2 -> FastOp.MOV16_RR;
                            default -> FastOp.MOV8_RR;
                        };
                emit(op, target, register(1), 0, 0);
            }
        }

        private void extend(boolean signed) {
            int from = insn.row.operands.get(1).width().bytes;
            if (size < 4) {
                return;
            }
            boolean wide = size == 8;
            if (insn.memory) {
                int op;
                if (from == 1) {
                    op = !signed ? FastOp.LOADZX8 : wide ? FastOp.LOADSX8_64 : FastOp.LOADSX8_32;
                } else if (from == 2) {
                    op = !signed ? FastOp.LOADZX16 : wide ? FastOp.LOADSX16_64 : FastOp.LOADSX16_32;
                } else {
                    op = wide ? FastOp.LOADSX32_64 : FastOp.LOAD32;
                }
                memory(op, insn.reg, 0, 0, 0);
                return;
            }
            if (from == 1 && insn.byteRm() >= 16) {
                return;
            }
            int op;
            if (from == 1) {
                op = !signed ? FastOp.MOVZX8 : wide ? FastOp.MOVSX8_64 : FastOp.MOVSX8_32;
            } else if (from == 2) {
                op = !signed ? FastOp.MOVZX16 : wide ? FastOp.MOVSX16_64 : FastOp.MOVSX16_32;
            } else {
                op = wide ? FastOp.MOVSXD : FastOp.MOV32_RR;
            }
            emit(op, insn.reg, insn.rm, 0, 0);
        }

        private void push() {
            if (size != 8) {
                return;
            }
            if (insn.memory) {
                memory(FastOp.PUSH_M, 0, 0, 0, 0);
            } else if (Operands.form(insn, 0) == Operands.IMM) {
                emit(FastOp.PUSH_I, 0, 0, 0, insn.imm);
            } else {
                emit(FastOp.PUSH, insn.rm, 0, 0, 0);
            }
        }

        /** Relative targets are relative to the page's start; a call also has the return address in that way. */
        private void branch(int relative, int byRegister, int byMemory) {
            if (size != 8) {
                return;
            }
            long next = offset + insn.length;
            if (Operands.form(insn, 0) == Operands.NONE) {
                long first = first(relative, 0, 0, 0);
                page.append(first, next << 32 | next + insn.imm & 0xffff_ffffL);
            } else if (insn.memory) {
                memory(byMemory, 0, 0, next, 0);
            } else {
                emit(byRegister, 0, insn.rm, 0, next << 32);
            }
        }

        private void bitTest() {
            if (size < 4) {
                return;
            }
            boolean immediate = Operands.form(insn, 1) == Operands.IMM;
            if (insn.memory) {
                if (immediate) {
                    int bit = (int) insn.imm & 8 * size - 1;
                    memory(FastOp.BT_MI, 0, size == 8 ? 1 : 0, bit, 0);
                }
            } else if (immediate) {
                emit(size == 8 ? FastOp.BT64_RI : FastOp.BT32_RI, insn.rm, 0, 0, insn.imm & 8L * size - 1);
            } else {
                emit(size == 8 ? FastOp.BT64_RR : FastOp.BT32_RR, insn.rm, insn.reg, 0, 0);
            }
        }

        private void exchange() {
            if (insn.memory) {
                updateWithRegister(FastOp.XCHG64_M, FastOp.XCHG32_M);
            } else if (size >= 4) {
                int b = register(1);
                emit(size == 8 ? FastOp.XCHG64_RR : FastOp.XCHG32_RR, insn.rm, b, 0, 0);
            }
        }

        private void updateWithRegister(int op64, int op32) {
            if (insn.memory && size >= 4) {
                memory(size == 8 ? op64 : op32, insn.reg, 0, 0, 0);
            }
        }

        private void registers(int op64, int op32, int target, int source) {
            if (!insn.memory && size >= 4) {
                emit(size == 8 ? op64 : op32, target, source, 0, 0);
            }
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

        private long first(int op, int reg, int base, int detail) {
            return CodeCache.word(op, offset, insn.length)
                    | (long) reg << CodeRecord.REG_SHIFT
                    | (long) base << CodeRecord.BASE_SHIFT
                    | (long) detail << CodeRecord.DETAIL_SHIFT
                    | 16L << CodeRecord.INDEX_SHIFT
                    | 16L << CodeRecord.SEGMENT_SHIFT;
        }

        /** Emits an operation on registers with {@code second} as it is. */
        private void emit(int op, int reg, int base, int detail, long second) {
            page.append(first(op, reg, base, detail), second);
        }

        /** Emits an operation with a memory operand, if its displacement fits; the immediate goes to the upper half. */
        private void memory(int op, int reg, int detail, long immediate, int extra) {
            long displacement = insn.disp;
            int base = insn.base;
            if (base == Insn.RIP) {
                base = CodeRecord.PAGE_BASE;
                displacement += offset + insn.length;
            }
            if (displacement != (int) displacement) {
                return;
            }
            boolean address = insn.row.operation == Operation.LEA;
            int segment = address || insn.segment < 4 ? 16 : insn.segment == 4 ? CodeRecord.FS_BASE : CodeRecord.GS_BASE;
            long first = CodeCache.word(op, offset, insn.length)
                    | (long) reg << CodeRecord.REG_SHIFT
                    | (long) base << CodeRecord.BASE_SHIFT
                    | (long) insn.index << CodeRecord.INDEX_SHIFT
                    | (long) insn.scale << CodeRecord.SCALE_SHIFT
                    | (long) segment << CodeRecord.SEGMENT_SHIFT
                    | (long) (detail + extra) << CodeRecord.DETAIL_SHIFT;
            page.append(first, immediate << 32 | displacement & 0xffff_ffffL);
        }
    }
}
