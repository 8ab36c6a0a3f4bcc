package dev.pacifica.emulator.execute;

/**
 * The specialised operations, on the operands that {@link CodeRecord} describes. What occurs twice
 * in one of the switches of {@link HotLoop} HotSpot computes before the switch, for every
 * instruction: so arithmetic has one case for register, immediate and memory operands, and none for
 * operations without a result.
 */
final class FastOp {
    /** Any instruction, by way of its Insn. */
    static final int GENERIC = 0;

    /** Nothing is decoded here (any more). */
    static final int STALE = 1;

    /**
     * An instruction that goes on in the next page, or is no instruction: fetched anew each time.
     */
    static final int CROSSING = 2;

    /** No instruction: the run goes on at the record whose index is in the second long. */
    static final int GOTO = 3;

    /**
     * No instruction: the run goes on in the next page. The second long has its offset above and 1
     * below, by which a record that counts as none moves the end of the turn.
     */
    static final int PAGE_END = 4;

    static final int NOP = 5;

    /**
     * From here on arithmetic of 8 to 64 bits with a target, a first and a second operand. CMP and
     * TEST are SUB and AND with nowhere to write the result.
     */
    static final int ADD_SUB = 6;

    /** AND OR XOR. */
    static final int LOGIC = 7;

    static final int INC_DEC = 8;
    static final int SHL = 9;
    static final int SHR = 10;
    static final int SAR = 11;

    /** Jcc and JMP near, direct: their operands are the flags. */
    static final int JCC = 12;

    static final int MOV64 = 13;
    static final int MOV32 = 14;

    /** MOV of the second long. */
    static final int MOVI = 15;

    static final int LEA64 = 16;
    static final int LEA32 = 17;
    static final int ZX8 = 18;
    static final int ZX16 = 19;
    static final int SXD = 20;
    static final int IMUL = 21;

    /** JMP near whose target is a register. */
    static final int JMP_R = 22;

    /** From here on operations with a memory operand. */
    static final int LOAD64 = 23;

    /** No instruction: fetches the memory operand of the next record. */
    static final int OPERAND = 24;

    static final int LOAD32 = 25;
    static final int LOAD_ZX8 = 26;
    static final int LOAD_ZX16 = 27;
    static final int LOAD_SXD = 28;
    static final int STORE64 = 29;
    static final int STORE32 = 30;
    static final int STORE16 = 31;
    static final int STORE8 = 32;
    static final int STOREI64 = 33;
    static final int STOREI32 = 34;
    static final int STOREI8 = 35;
    static final int PUSH = 36;
    static final int POP = 37;
    static final int LEAVE = 38;

    /** CALL near, whose target is the first operand. */
    static final int CALL = 39;

    static final int RET = 40;

    /** JMP near whose target is in memory. */
    static final int JMP_M = 41;

    /** The first one that {@link RareOps} executes. */
    static final int FIRST_RARE = 42;

    static final int ADC = 42;
    static final int SBB = 43;
    static final int NEG = 44;
    static final int NOT = 45;
    static final int ALU8 = 46;

    static final int SETCC = 47;
    static final int CMOV = 48;
    static final int SHIFT_CL = 49;
    static final int ROTATE_I = 50;
    static final int SHLD_I = 51;
    static final int SHRD_I = 52;
    static final int BT = 53;
    static final int BSF = 54;
    static final int BSR = 55;
    static final int BSWAP64 = 56;
    static final int BSWAP32 = 57;
    static final int CDQE = 58;
    static final int CWDE = 59;
    static final int CQO = 60;
    static final int CDQ = 61;
    static final int SX8 = 62;
    static final int SX16 = 63;
    static final int MOV8 = 64;
    static final int MOV16 = 65;
    static final int XCHG64 = 66;
    static final int XCHG32 = 67;
    static final int MUL64 = 68;
    static final int MUL32 = 69;

    /** From here on those that write the memory operand, and most read it first. */
    static final int RMW64 = 70;

    static final int RMW32 = 71;
    static final int RMW16 = 72;
    static final int RMW8 = 73;
    static final int UNARY64 = 74;
    static final int UNARY32 = 75;
    static final int UNARY8 = 76;
    static final int SHIFT64 = 77;
    static final int SHIFT32 = 78;
    static final int XCHG64_M = 79;
    static final int XCHG32_M = 80;
    static final int XADD64_M = 81;
    static final int XADD32_M = 82;
    static final int CMPXCHG64_M = 83;
    static final int CMPXCHG32_M = 84;
    static final int SETCC_M = 85;
    static final int STOREI16 = 86;

    /** From here on operations of 32-bit code with flat segments, on its stack. */
    static final int PUSH32 = 87;

    static final int POP32 = 88;
    static final int LEAVE32 = 89;
    static final int CALL32 = 90;
    static final int RET32 = 91;
    static final int JMP32_M = 92;

    private FastOp() {}
}
