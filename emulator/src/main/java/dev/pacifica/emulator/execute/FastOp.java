package dev.pacifica.emulator.execute;

/**
 * The specialised operations, on the operands that {@link CodeRecord} describes. One serves for all
 * sizes and shapes of operands where it can: what occurs twice in the big switch of {@link HotLoop}
 * is computed by HotSpot before the switch, for every instruction.
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

    /** No instruction: the run goes on in the next page. */
    static final int PAGE_END = 4;

    static final int NOP = 5;

    /**
     * From here on a target and a source of 8 to 64 bits. CMP and TEST are SUB and AND with nowhere
     * to write the result.
     */
    static final int ADD = 6;

    static final int SUB = 7;
    static final int AND = 8;
    static final int OR = 9;
    static final int XOR = 10;

    /** CMP with its operands in reverse: memory is the source. */
    static final int COMPARE = 11;

    static final int ZERO = 12;
    static final int INC = 13;
    static final int DEC = 14;
    static final int SHL = 15;
    static final int SHR = 16;
    static final int SAR = 17;
    static final int IMUL = 18;

    /** MOV, and LEA without index. */
    static final int MOV = 19;

    static final int MOV8 = 20;
    static final int ZX8 = 21;
    static final int ZX16 = 22;
    static final int SX8 = 23;
    static final int SXD = 24;
    static final int STORE64 = 25;
    static final int STORE32 = 26;
    static final int STORE16 = 27;
    static final int STORE8 = 28;
    static final int PUSH = 29;
    static final int POP = 30;
    static final int LEAVE = 31;

    /** CALL near, whose target is the register operand. */
    static final int CALL = 32;

    static final int RET = 33;

    /** JMP near, whose target is the source. */
    static final int JMP = 34;

    /**
     * JB JAE JBE JA by the bits that HotLoop defines, likewise J_L; JO and JP are left to the
     * generic way.
     */
    static final int J_B = 35;

    static final int J_Z = 36;
    static final int J_NZ = 37;
    static final int J_S = 38;
    static final int J_NS = 39;
    static final int J_L = 40;

    /** The first one that {@link RareOps} executes. */
    static final int FIRST_RARE = 41;

    static final int LEA = 41;
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
    static final int SX16 = 62;
    static final int MOV16 = 63;
    static final int XCHG64 = 64;
    static final int XCHG32 = 65;
    static final int MUL64 = 66;
    static final int MUL32 = 67;

    /** The first one that reads and writes the memory operand. */
    static final int FIRST_UPDATE = 68;

    static final int RMW64 = 68;
    static final int RMW32 = 69;
    static final int RMW16 = 70;
    static final int RMW8 = 71;
    static final int UNARY64 = 72;
    static final int UNARY32 = 73;
    static final int UNARY8 = 74;
    static final int SHIFT64 = 75;
    static final int SHIFT32 = 76;
    static final int XCHG64_M = 77;
    static final int XCHG32_M = 78;
    static final int XADD64_M = 79;
    static final int XADD32_M = 80;
    static final int CMPXCHG64_M = 81;
    static final int CMPXCHG32_M = 82;
    static final int SETCC_M = 83;

    private FastOp() {}
}
