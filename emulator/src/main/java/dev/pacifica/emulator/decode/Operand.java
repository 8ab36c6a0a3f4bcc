package dev.pacifica.emulator.decode;

/**
 * One operand of a table row.
 *
 * @param letters as the table writes it, e.g. {@code Ev}, {@code Wps}
 * @param kind where the operand is
 * @param width its width letters; for {@link Kind#REGISTER} that of the register
 * @param memoryWidth the width when the operand is memory (differs for {@code Mw/Rv} only)
 * @param access read, written or both
 * @param register the number for {@link Kind#REGISTER} and {@link Kind#SEGMENT_REGISTER}, otherwise
 *     0
 */
public record Operand(
        String letters, Kind kind, Width width, Width memoryWidth, Access access, int register) {

    /** Where an operand is found. */
    public enum Kind {
        /** E: general register or memory by ModRM.rm. */
        GPR_OR_MEMORY,
        /** M: memory by ModRM.rm. */
        MEMORY,
        /** R: general register by ModRM.rm. */
        GPR_RM,
        /** G: general register by ModRM.reg. */
        GPR,
        /** Z: general register by the opcode's low bits ({@link Insn#rm}). */
        GPR_OPCODE,
        /** A fixed general register. */
        REGISTER,
        /** A fixed segment register. */
        SEGMENT_REGISTER,
        /** S: segment register by ModRM.reg. */
        SEGMENT,
        /** C: control register by ModRM.reg. */
        CONTROL,
        /** D: debug register by ModRM.reg. */
        DEBUG,
        /** I: immediate. */
        IMMEDIATE,
        /** The constant 1. */
        ONE,
        /** J: displacement from the next instruction. */
        RELATIVE,
        /** A: selector and offset in the instruction. */
        FAR_POINTER,
        /** O: memory at an offset in the instruction. */
        OFFSET,
        /** X: memory at DS:rSI. */
        STRING_SOURCE,
        /** Y: memory at ES:rDI. */
        STRING_DESTINATION,
        /** P: MMX register by ModRM.reg. */
        MMX,
        /** N: MMX register by ModRM.rm. */
        MMX_RM,
        /** Q: MMX register or memory by ModRM.rm. */
        MMX_OR_MEMORY,
        /** V: XMM register by ModRM.reg. */
        XMM,
        /** U: XMM register by ModRM.rm. */
        XMM_RM,
        /** W: XMM register or memory by ModRM.rm. */
        XMM_OR_MEMORY,
        /** XMM0. */
        XMM0,
        /** ST(0). */
        ST0,
        /** ST(i), i = ModRM.rm. */
        STI
    }

    /** The manual's width letters. */
    public enum Width {
        NONE(0),
        B(1),
        W(2),
        D(4),
        Q(8),
        DQ(16),
        /** 16, 32 or 64 bits by operand size. */
        V(-1),
        /** 16 or 32 bits by operand size. */
        Z(-1),
        /** 32 or 64 bits by operand size. */
        Y(-1),
        /** Far pointer: offset of the operand size and a selector. */
        P(-1),
        /** Descriptor-table register: limit and base. */
        S(-1),
        /** Two values of the operand size. */
        A(-1),
        PS(16),
        PD(16),
        SS(4),
        SD(8),
        F32(4),
        F64(8),
        F80(10),
        I16(2),
        I32(4),
        I64(8),
        BCD(10);

        /** In bytes; -1 where the operand size decides, 0 where the instruction does. */
        public final int bytes;

        Width(int bytes) {
            this.bytes = bytes;
        }

        /**
         * Bytes of an operand of this width in an instruction with the effective operand size
         * (pairs and pointers in whole).
         */
        public int bytes(int operandSize) {
            return switch (this) {
                case V -> operandSize;
                case Z -> Math.min(operandSize, 4);
                case Y -> Math.max(operandSize, 4);
                case P -> Math.min(operandSize, 4) + 2;
                case A -> 2 * operandSize;
                case S -> operandSize == 8 ? 10 : 6;
                default -> bytes;
            };
        }
    }

    /** How an operand is used. */
    public enum Access {
        READ,
        WRITE,
        READ_WRITE
    }

    /** Whether the operand is taken from ModRM.rm. */
    boolean usesRm() {
        return switch (kind) {
            case GPR_OR_MEMORY, MEMORY, GPR_RM, MMX_RM, MMX_OR_MEMORY, XMM_RM, XMM_OR_MEMORY, STI ->
                    true;
            default -> false;
        };
    }

    /** Whether the operand is taken from ModRM.reg. */
    boolean usesReg() {
        return switch (kind) {
            case GPR, SEGMENT, CONTROL, DEBUG, MMX, XMM -> true;
            default -> false;
        };
    }

    static Operand parse(String text) {
        Access access =
                text.endsWith("!")
                        ? Access.WRITE
                        : text.endsWith("*") ? Access.READ_WRITE : Access.READ;
        String t = access == Access.READ ? text : text.substring(0, text.length() - 1);
        int fixed = fixedRegister(t);
        if (fixed >= 0) {
            return new Operand(t, Kind.REGISTER, fixedWidth(t), Width.NONE, access, fixed);
        }
        int segment = t.length() == 2 && t.charAt(1) == 'S' ? "ECSDFG".indexOf(t.charAt(0)) : -1;
        if (segment >= 0) {
            return new Operand(t, Kind.SEGMENT_REGISTER, Width.W, Width.NONE, access, segment);
        }
        switch (t) {
            case "1":
                return new Operand(t, Kind.ONE, Width.B, Width.NONE, access, 0);
            case "ST0":
                return new Operand(t, Kind.ST0, Width.F80, Width.NONE, access, 0);
            case "STi":
                return new Operand(t, Kind.STI, Width.F80, Width.NONE, access, 0);
            case "XMM0":
                return new Operand(t, Kind.XMM0, Width.DQ, Width.NONE, access, 0);
            default:
                break;
        }
        if (t.contains("/")) {
            String[] half = t.split("/");
            return new Operand(t, Kind.GPR_OR_MEMORY, width(half[1]), width(half[0]), access, 0);
        }
        Kind kind =
                switch (t.charAt(0)) {
                    case 'E' -> Kind.GPR_OR_MEMORY;
                    case 'M' -> Kind.MEMORY;
                    case 'R' -> Kind.GPR_RM;
                    case 'G' -> Kind.GPR;
                    case 'Z' -> Kind.GPR_OPCODE;
                    case 'S' -> Kind.SEGMENT;
                    case 'C' -> Kind.CONTROL;
                    case 'D' -> Kind.DEBUG;
                    case 'I' -> Kind.IMMEDIATE;
                    case 'J' -> Kind.RELATIVE;
                    case 'A' -> Kind.FAR_POINTER;
                    case 'O' -> Kind.OFFSET;
                    case 'X' -> Kind.STRING_SOURCE;
                    case 'Y' -> Kind.STRING_DESTINATION;
                    case 'P' -> Kind.MMX;
                    case 'N' -> Kind.MMX_RM;
                    case 'Q' -> Kind.MMX_OR_MEMORY;
                    case 'V' -> Kind.XMM;
                    case 'U' -> Kind.XMM_RM;
                    case 'W' -> Kind.XMM_OR_MEMORY;
                    default -> throw new IllegalArgumentException("operand " + text);
                };
        Width width = width(t);
        return new Operand(t, kind, width, width, access, 0);
    }

    private static Width width(String letters) {
        String w = letters.substring(1);
        return w.isEmpty()
                ? Width.NONE
                : w.equals("bs") ? Width.B : Width.valueOf(w.toUpperCase(java.util.Locale.ROOT));
    }

    private static int fixedRegister(String t) {
        return switch (t) {
            case "AL", "AX", "eAX", "rAX" -> 0;
            case "CL" -> 1;
            case "DX" -> 2;
            default -> -1;
        };
    }

    private static Width fixedWidth(String t) {
        return switch (t) {
            case "AL", "CL" -> Width.B;
            case "AX", "DX" -> Width.W;
            case "eAX" -> Width.Z;
            default -> Width.V;
        };
    }
}
