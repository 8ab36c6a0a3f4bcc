package dev.pacifica.emulator.execute;

/**
 * The specialised operations. In most, the source is a register, an immediate, their sum, or memory that was loaded beforehand (see {@link
 * CodeRecord}): ADD64 is ADD of whatever source to a 64-bit register. {@code I} is an immediate in the second long, {@code M} memory that the
 * operation itself writes, {@code MI} loaded memory and an immediate in the upper half of the second long.
 */
final class FastOp {
    /** Any instruction, by way of its Insn. */
    static final int GENERIC = 0;
    /** Nothing is decoded here (any more). */
    static final int STALE = 1;
    /** An instruction that goes on in the next page, or is no instruction: fetched anew each time. */
    static final int CROSSING = 2;
    /** No instruction: the run goes on at the record whose index is in the second long. */
    static final int GOTO = 3;
    /** No instruction: the run goes on in the next page. */
    static final int PAGE_END = 4;
    static final int NOP = 5;
    static final int ADD64 = 6;
    static final int OR64 = 7;
    static final int AND64 = 8;
    static final int SUB64 = 9;
    static final int XOR64 = 10;
    static final int CMP64 = 11;
    static final int ADD32 = 12;
    static final int OR32 = 13;
    static final int AND32 = 14;
    static final int SUB32 = 15;
    static final int XOR32 = 16;
    static final int CMP32 = 17;
    static final int CMP16 = 18;
    static final int CMP8 = 19;
    /** CMP with the source as first operand: memory compared with a register. */
    static final int CMP64_TO = 20;
    static final int CMP32_TO = 21;
    static final int CMP8_TO = 22;
    static final int CMP64_MI = 23;
    static final int CMP32_MI = 24;
    static final int CMP16_MI = 25;
    static final int CMP8_MI = 26;
    static final int TEST64 = 27;
    static final int TEST32 = 28;
    static final int TEST8 = 29;
    static final int TEST32_MI = 30;
    static final int TEST8_MI = 31;
    static final int ZERO = 32;
    static final int INC64 = 33;
    static final int INC32 = 34;
    static final int DEC64 = 35;
    static final int DEC32 = 36;
    static final int SHL64_I = 37;
    static final int SHR64_I = 38;
    static final int SAR64_I = 39;
    static final int SHL32_I = 40;
    static final int SHR32_I = 41;
    static final int SAR32_I = 42;
    static final int IMUL64 = 43;
    static final int IMUL32 = 44;
    static final int MOV64 = 45;
    static final int MOV32 = 46;
    static final int MOV8 = 47;
    static final int ZX8 = 48;
    static final int ZX16 = 49;
    static final int SX8_32 = 50;
    static final int SX8_64 = 51;
    static final int SX32_64 = 52;
    /** LEA with an index; one without is a MOV. */
    static final int LEA64 = 53;
    static final int LEA32 = 54;
    static final int STORE64 = 55;
    static final int STORE32 = 56;
    static final int STORE16 = 57;
    static final int STORE8 = 58;
    static final int STORE64_I = 59;
    static final int STORE32_I = 60;
    static final int STORE16_I = 61;
    static final int STORE8_I = 62;
    static final int PUSH = 63;
    static final int POP = 64;
    static final int LEAVE = 65;
    static final int CALL = 66;
    static final int CALL_INDIRECT = 67;
    static final int RET = 68;
    static final int JMP = 69;
    static final int JMP_INDIRECT = 70;
    static final int JO = 71;
    static final int JNO = 72;
    static final int JB = 73;
    static final int JAE = 74;
    static final int JZ = 75;
    static final int JNZ = 76;
    static final int JBE = 77;
    static final int JA = 78;
    static final int JS = 79;
    static final int JNS = 80;
    static final int JP = 81;
    static final int JNP = 82;
    static final int JL = 83;
    static final int JGE = 84;
    static final int JLE = 85;
    static final int JG = 86;
    static final int SETCC = 87;
    static final int CMOV64 = 88;
    static final int CMOV32 = 89;

    /** The first one that {@link RareOps} executes. */
    static final int FIRST_RARE = 90;

    static final int ADC64 = 90;
    static final int ADC32 = 91;
    static final int SBB64 = 92;
    static final int SBB32 = 93;
    static final int ALU8 = 94;
    static final int NEG64 = 95;
    static final int NEG32 = 96;
    static final int NOT64 = 97;
    static final int NOT32 = 98;
    static final int TEST16 = 99;
    static final int CMP16_TO = 100;
    static final int TEST64_MI = 101;
    static final int TEST16_MI = 102;
    static final int SHIFT64_CL = 103;
    static final int SHIFT32_CL = 104;
    static final int ROTATE64_I = 105;
    static final int ROTATE32_I = 106;
    static final int SHLD64_I = 107;
    static final int SHRD64_I = 108;
    static final int SHLD32_I = 109;
    static final int SHRD32_I = 110;
    static final int BT64 = 111;
    static final int BT32 = 112;
    static final int BT_MI = 113;
    static final int BSF64 = 114;
    static final int BSR64 = 115;
    static final int BSF32 = 116;
    static final int BSR32 = 117;
    static final int BSWAP64 = 118;
    static final int BSWAP32 = 119;
    static final int CDQE = 120;
    static final int CWDE = 121;
    static final int CQO = 122;
    static final int CDQ = 123;
    static final int SX16_32 = 124;
    static final int SX16_64 = 125;
    static final int MOV16 = 126;
    static final int IMUL64_I = 127;
    static final int IMUL32_I = 128;
    static final int IMUL64_MI = 129;
    static final int IMUL32_MI = 130;
    static final int XCHG64 = 131;
    static final int XCHG32 = 132;
    static final int MUL64 = 133;
    static final int MUL32 = 134;

    /** The first one whose memory operand {@link RareOps} reads and writes. */
    static final int FIRST_UPDATE = 135;

    static final int RMW64_R = 135;
    static final int RMW64_I = 136;
    static final int RMW32_R = 137;
    static final int RMW32_I = 138;
    static final int RMW16_R = 139;
    static final int RMW16_I = 140;
    static final int RMW8_R = 141;
    static final int RMW8_I = 142;
    static final int UNARY64_M = 143;
    static final int UNARY32_M = 144;
    static final int UNARY8_M = 145;
    static final int SHIFT64_MI = 146;
    static final int SHIFT32_MI = 147;
    static final int XCHG64_M = 148;
    static final int XCHG32_M = 149;
    static final int XADD64_M = 150;
    static final int XADD32_M = 151;
    static final int CMPXCHG64_M = 152;
    static final int CMPXCHG32_M = 153;
    static final int SETCC_M = 154;

    private FastOp() {}
}
