package dev.pacifica.emulator.decode;

/**
 * Prints decoded instructions in Intel syntax as GNU objdump does. Prefixes without effect on the
 * instruction are not printed.
 */
public final class Disassembler {
    private static final String[] GPR_64 = {
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15"
    };
    private static final String[] GPR_32 = {
        "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d", "r10d", "r11d",
        "r12d", "r13d", "r14d", "r15d"
    };
    private static final String[] GPR_16 = {
        "ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8w", "r9w", "r10w", "r11w", "r12w",
        "r13w", "r14w", "r15w"
    };
    private static final String[] GPR_8 = {
        "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil", "r8b", "r9b", "r10b", "r11b", "r12b",
        "r13b", "r14b", "r15b", "ah", "ch", "dh", "bh"
    };
    private static final String[] SEGMENT = {"es", "cs", "ss", "ds", "fs", "gs", "?", "?"};
    private static final String[] CONDITION = {
        "o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"
    };
    private static final String[] COMPARISON = {
        "eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord"
    };

    private Disassembler() {}

    /**
     * The text of an instruction.
     *
     * @param codeBits 16, 32 or 64
     * @param address of the instruction, for branch targets
     */
    public static String text(Insn in, int codeBits, long address) {
        InstructionRow row = in.row;
        if (row == null) {
            return "(bad)";
        }
        StringBuilder out = new StringBuilder(48);
        if (in.lock && !row.lockSelectsCr8) {
            out.append("lock ");
        }
        if (row.repeat != InstructionRow.Repeat.NONE && in.rep != 0) {
            boolean z = row.repeat == InstructionRow.Repeat.REPZ;
            out.append(in.rep == 2 ? "repnz " : z ? "repz " : "rep ");
        }
        out.append(mnemonic(in, codeBits));
        if (row.operation == Operation.XLAT) {
            out.append(" BYTE PTR ")
                    .append(SEGMENT[in.segment])
                    .append(":[")
                    .append(general(3, in.addressSize, true))
                    .append(']');
        }
        boolean first = true;
        for (Operand operand : row.operands) {
            if (printed(in, operand)) {
                out.append(first ? ' ' : ',');
                first = false;
                operand(out, in, operand, codeBits, address);
            }
        }
        return out.toString();
    }

    /** The opcode's implied operands are not printed where the mnemonic says them. */
    private static boolean printed(Insn in, Operand operand) {
        return switch (in.row.operation) {
            case FCOM, FCOMP, FUCOM, FUCOMP, FXCH, FLD, FST, FSTP, FFREE, FFREEP ->
                    operand.kind() != Operand.Kind.ST0;
            case FADD,
                    FMUL,
                    FSUB,
                    FSUBR,
                    FDIV,
                    FDIVR,
                    FIADD,
                    FIMUL,
                    FISUB,
                    FISUBR,
                    FIDIV,
                    FIDIVR,
                    FICOM,
                    FICOMP ->
                    !in.memory || operand.kind() != Operand.Kind.ST0;
            case CMPPS, CMPPD, CMPSS, CMPSD_SSE ->
                    operand.kind() != Operand.Kind.IMMEDIATE || in.imm > 7;
            case AAM, AAD -> in.imm != 10;
            default -> true;
        };
    }

    private static String mnemonic(Insn in, int codeBits) {
        int size = in.operandSize;
        boolean mode64 = codeBits == 64;
        String name = in.row.mnemonic;
        switch (in.row.operation) {
            case JCC, SETCC, CMOVCC:
                return name + CONDITION[in.condition];
            case CBW:
                return size == 8 ? "cdqe" : size == 4 ? "cwde" : "cbw";
            case CWD:
                return size == 8 ? "cqo" : size == 4 ? "cdq" : "cwd";
            case JRCXZ:
                return in.addressSize == 8 ? "jrcxz" : in.addressSize == 4 ? "jecxz" : "jcxz";
            case LOOP, LOOPE, LOOPNE:
                return mode64 || in.addressSize == codeBits / 8
                        ? name
                        : name + (in.addressSize == 4 ? "d" : "w");
            case IRET:
                return size == 8 ? "iretq" : name + sizeSuffix(size, codeBits);
            case RET_FAR:
                return size == 8 ? name + "q" : name + sizeSuffix(size, codeBits);
            case PUSHF, POPF, PUSHA, POPA, ENTER, LEAVE, RET:
                return name + sizeSuffix(size, codeBits);
            case SYSRET, SYSEXIT:
                return mode64 ? name + (in.rexW ? "q" : "d") : name;
            case PUSH, CALL, JMP:
                boolean plain =
                        in.row.immediateForm == InstructionRow.ImmediateForm.NONE
                                || in.row.immediateForm
                                        == InstructionRow.ImmediateForm.RELATIVE_BYTE;
                return plain ? name : name + sizeSuffix(size, codeBits);
            case PUSH_SEG, POP_SEG:
                return name + sizeSuffix(size, codeBits);
            case MOV:
                boolean absolute =
                        in.row.immediateForm == InstructionRow.ImmediateForm.OFFSET
                                && in.addressSize == 8;
                boolean wide =
                        in.row.immediateForm == InstructionRow.ImmediateForm.FULL && size == 8;
                return absolute || wide ? "movabs" : name;
            case LGDT, LIDT, SGDT, SIDT:
                return mode64 ? name : name + (size == 2 ? "w" : "d");
            case FNSAVE, FRSTOR, FLDENV, FNSTENV:
                return name + sizeSuffix(size, codeBits);
            case PCMPESTRI, PCMPESTRM:
                return in.rexW ? name + "q" : name;
            case CMPPS, CMPPD, CMPSS, CMPSD_SSE:
                return in.imm > 7 ? name : "cmp" + COMPARISON[(int) in.imm] + name.substring(3);
            case FXSAVE, FXRSTOR, XSAVE, XRSTOR, XSAVEOPT, XSAVEC, XSAVES, XRSTORS:
                return in.rexW ? name + "64" : name;
            case NOP:
                return in.opcode == 0x90 && in.operandSizePrefix && in.modrm < 0
                        ? (size == 8 ? "xchg rax,rax" : size == 4 ? "xchg eax,eax" : "xchg ax,ax")
                        : name;
            default:
                return name;
        }
    }

    /** The letter for an operand size that is not the mode's default. */
    private static String sizeSuffix(int size, int codeBits) {
        if (codeBits == 64) {
            return size == 2 ? "w" : "";
        }
        return size == codeBits / 8 ? "" : size == 2 ? "w" : "d";
    }

    private static void operand(
            StringBuilder out, Insn in, Operand operand, int codeBits, long address) {
        int size = in.operandSize;
        switch (operand.kind()) {
            case GPR_OR_MEMORY, MEMORY, MMX_OR_MEMORY, XMM_OR_MEMORY, GPR_RM, MMX_RM, XMM_RM -> {
                if (in.memory) {
                    memory(out, in, operand, codeBits);
                } else {
                    register(out, in, operand, in.rm);
                }
            }
            case GPR, MMX, XMM -> register(out, in, operand, in.reg);
            case GPR_OPCODE -> register(out, in, operand, in.rm);
            case REGISTER ->
                    out.append(general(operand.register(), operand.width().bytes(size), true));
            case SEGMENT_REGISTER -> out.append(SEGMENT[operand.register()]);
            case SEGMENT -> out.append(SEGMENT[in.reg]);
            case CONTROL -> out.append("cr").append(in.reg);
            case DEBUG -> out.append("dr").append(in.reg);
            case XMM0 -> out.append("xmm0");
            case ST0 -> out.append("st");
            case STI -> out.append("st(").append(in.rm).append(')');
            case ONE -> out.append('1');
            case IMMEDIATE -> immediate(out, in, operand);
            case RELATIVE -> {
                long target = address + in.length + in.imm;
                hex(out, size == 2 ? target & 0xFFFF : size == 4 ? target & 0xFFFF_FFFFL : target);
            }
            case FAR_POINTER -> {
                hex(out, in.imm2);
                out.append(':');
                hex(out, in.imm);
            }
            case OFFSET -> {
                out.append(SEGMENT[in.segment]).append(':');
                hex(out, in.disp);
            }
            case STRING_SOURCE, STRING_DESTINATION -> {
                boolean source = operand.kind() == Operand.Kind.STRING_SOURCE;
                out.append(pointer(operand.width().bytes(size)))
                        .append(source ? SEGMENT[in.segment] : "es")
                        .append(":[")
                        .append(general(source ? 6 : 7, in.addressSize, true))
                        .append(']');
            }
        }
    }

    private static void immediate(StringBuilder out, Insn in, Operand operand) {
        if (operand.width() == Operand.Width.W && in.row.operation == Operation.ENTER) {
            hex(out, in.imm);
            return;
        }
        if (in.row.operation == Operation.ENTER) {
            hex(out, in.imm2);
            return;
        }
        int size =
                operand.letters().equals("Ib")
                        ? 1
                        : operand.letters().equals("Iw") ? 2 : in.operandSize;
        hex(out, size == 8 ? in.imm : in.imm & ((1L << size * 8) - 1));
    }

    private static void register(StringBuilder out, Insn in, Operand operand, int number) {
        switch (operand.kind()) {
            case MMX, MMX_RM, MMX_OR_MEMORY -> out.append("mm").append(number);
            case XMM, XMM_RM, XMM_OR_MEMORY -> out.append("xmm").append(number);
            default -> {
                int size = operand.width().bytes(in.operandSize);
                out.append(
                        size == 1
                                ? GPR_8[Insn.byteRegister(number, in.rex)]
                                : general(number, size, in.rex));
            }
        }
    }

    private static String general(int number, int size, boolean rex) {
        return switch (size) {
            case 1 -> GPR_8[Insn.byteRegister(number, rex)];
            case 2 -> GPR_16[number];
            case 4 -> GPR_32[number];
            default -> GPR_64[number];
        };
    }

    private static void memory(StringBuilder out, Insn in, Operand operand, int codeBits) {
        out.append(
                in.row.operation == Operation.CMPXCHG16B
                        ? "OWORD PTR "
                        : pointer(pointerBytes(in, operand)));
        boolean bare = in.base == Insn.NO_REGISTER && in.index == Insn.NO_REGISTER;
        if (in.segmentOverride || bare) {
            out.append(SEGMENT[in.segment]).append(':');
        }
        if (bare) {
            hex(
                    out,
                    in.addressSize == 2
                            ? in.disp & 0xFFFF
                            : in.addressSize == 4 && codeBits != 64
                                    ? in.disp & 0xFFFF_FFFFL
                                    : in.disp);
            return;
        }
        out.append('[');
        if (in.base == Insn.RIP) {
            out.append(in.addressSize == 8 ? "rip" : "eip");
        } else if (in.base != Insn.NO_REGISTER) {
            out.append(general(in.base, in.addressSize, true));
        }
        if (in.index != Insn.NO_REGISTER) {
            if (in.base != Insn.NO_REGISTER) {
                out.append('+');
            }
            out.append(general(in.index, in.addressSize, true));
            if (in.addressSize != 2) {
                out.append('*').append(1 << in.scale);
            }
        }
        if (in.mod != 0 || in.base == Insn.NO_REGISTER || in.base == Insn.RIP) {
            boolean negative = in.disp < 0 && in.base != Insn.RIP;
            out.append(negative ? '-' : '+');
            hex(out, negative ? -in.disp : in.disp);
        }
        out.append(']');
    }

    /** Bytes of the memory operand as objdump names it; 0 where it names none. */
    private static int pointerBytes(Insn in, Operand operand) {
        return switch (in.row.operation) {
            case LEA, LDDQU, LGDT, LIDT, SGDT, SIDT -> 0;
            case BOUND -> in.operandSize == 2 ? 4 : 8;
            case INVPCID -> 0;
            default -> operand.memoryWidth().bytes(in.operandSize);
        };
    }

    private static String pointer(int bytes) {
        return switch (bytes) {
            case 1 -> "BYTE PTR ";
            case 2 -> "WORD PTR ";
            case 4 -> "DWORD PTR ";
            case 6 -> "FWORD PTR ";
            case 8 -> "QWORD PTR ";
            case 10 -> "TBYTE PTR ";
            case 16 -> "XMMWORD PTR ";
            default -> "";
        };
    }

    private static void hex(StringBuilder out, long value) {
        out.append("0x").append(Long.toHexString(value));
    }
}
