package dev.pacifica.emulator.decode;

/** A decoded instruction: filled by {@link Decoder#decode} and reused. */
public final class Insn {
    /** {@link #base} and {@link #index}: no register. */
    public static final int NO_REGISTER = 16;

    /** {@link #base}: the address of the next instruction. */
    public static final int RIP = 17;

    /** The form, or null for an undefined opcode (#UD). */
    public InstructionRow row;

    /** In bytes, 1..15. */
    public int length;

    /** Effective operand size in bytes: 1 (byte forms), 2, 4 or 8. */
    public int operandSize;

    /** Effective address size in bytes: 2, 4 or 8. */
    public int addressSize;

    /**
     * Segment of the memory operand or string source, 0..5 (ES CS SS DS FS GS), the default
     * applied.
     */
    public int segment;

    public boolean segmentOverride;
    public boolean lock;

    /** 0, 2 (F2) or 3 (F3): the last one before the opcode, whether or not the form repeats. */
    public int rep;

    /** Whether a 66 prefix is present. */
    public boolean operandSizePrefix;

    /** Whether a REX prefix is present. */
    public boolean rex;

    public boolean rexW;

    /** The last opcode byte. */
    public int opcode;

    /** Condition of Jcc, SETcc, CMOVcc: the opcode's low four bits. */
    public int condition;

    /** The raw ModRM byte, -1 if there is none. */
    public int modrm;

    /** ModRM.mod; 3 for forms that take rm as a register always. */
    public int mod;

    /** ModRM.reg with REX.R. */
    public int reg;

    /** ModRM.rm, or the register in the opcode, with REX.B. */
    public int rm;

    /** Base register 0..15, {@link #NO_REGISTER} or {@link #RIP}. */
    public int base;

    /** Index register 0..15 or {@link #NO_REGISTER}. */
    public int index;

    /** Shift count of the index, 0..3. */
    public int scale;

    /** Sign-extended displacement; for an O operand the offset itself (zero-extended). */
    public long disp;

    /**
     * Immediate, relative displacement or far offset: Ib, Iw and far offsets zero-extended, all
     * others sign-extended from their encoded width. Mask it to the operand size.
     */
    public long imm;

    /** ENTER's level, or a far pointer's selector. */
    public long imm2;

    /** Whether the ModRM (or O) operand is memory. */
    public boolean memory;

    /** The byte register that {@link #reg} means: 0..15, or 16..19 for AH CH DH BH. */
    public int byteReg() {
        return byteRegister(reg, rex);
    }

    /** The byte register that {@link #rm} means: 0..15, or 16..19 for AH CH DH BH. */
    public int byteRm() {
        return byteRegister(rm, rex);
    }

    /** Numbers 4..7 mean AH CH DH BH (returned as 16..19) when there is no REX prefix. */
    public static int byteRegister(int number, boolean rex) {
        return rex || (number & ~3) != 4 ? number : number + 12;
    }
}
