package dev.pacifica.emulator.silicon;

import java.nio.ByteBuffer;

/**
 * A user-mode processor state as an array of 64-bit words, in the layout of {@code struct state} of
 * {@code src/test/native/silicon.c}; these are the indices.
 */
final class SiliconState {
    /** RAX RCX RDX RBX RSP RBP RSI RDI R8..R15. */
    static final int GPR = 0;

    /** After: relative to the first byte of the instruction where it is within the code page. */
    static final int RIP = 16;

    static final int RFLAGS = 17;

    /** Selectors ES CS SS DS FS GS. */
    static final int SEGMENT = 18;

    static final int MXCSR = 24;
    static final int FCW = 25;
    static final int FSW = 26;

    /** Bit r set: physical register r is in use. */
    static final int FTW = 27;

    /** ST(0)..ST(7), two words each, the second holding sign and exponent. */
    static final int ST = 28;

    /** XMM0..XMM15, two words each. */
    static final int XMM = 44;

    /** The memory window. */
    static final int WINDOW = 76;

    static final int WORDS = 332;

    /** The code page is filled with INT3; the instruction is at the offset. */
    static final long CODE_PAGE = 0x1000_0000L;

    static final int CODE_OFFSET = 0x400;
    static final long CODE = CODE_PAGE + CODE_OFFSET;

    /**
     * Start of the memory that is compared; the rest of its page is there too, the pages around are
     * not.
     */
    static final long WINDOW_ADDRESS = 0x1000_2000L;

    static final int WINDOW_BYTES = 2048;

    private SiliconState() {}

    /** 16-bit code and data segments of 64 KiB that begin at the code page. */
    static final int LDT_CODE = 0x07;

    static final int LDT_DATA = 0x0F;

    /**
     * What all cases start from: each register has a value of its own, so that a wrong register
     * number shows.
     */
    static long[] base() {
        long[] s = new long[WORDS];
        for (int i = 0; i < 16; i++) {
            s[GPR + i] = 0x1111_1111_1111_1111L * i + 0x0F0E_0D0C_0B0A_0908L;
            s[XMM + 2 * i] = 0x4142_4344_4546_4748L + 0x0101_0101_0101_0101L * i;
            s[XMM + 2 * i + 1] = 0x8182_8384_8586_8788L + 0x0101_0101_0101_0101L * i;
        }
        s[GPR + 4] = WINDOW_ADDRESS + 512;
        s[RFLAGS] = 0x202;
        s[SEGMENT] = 0x2B;
        s[SEGMENT + 1] = 0x33;
        s[SEGMENT + 2] = 0x2B;
        s[SEGMENT + 3] = 0x2B;
        s[MXCSR] = 0x1F80;
        s[FCW] = 0x37F;
        for (int i = 0; i < 8; i++) {
            s[ST + 2 * i] = 0x8000_0000_0000_0000L | (0x1234_5678L * (i + 1));
            s[ST + 2 * i + 1] = 0x3FFF + i;
        }
        for (int i = 0; i < WINDOW_BYTES / 8; i++) {
            s[WINDOW + i] = 0x0706_0504_0302_0100L + 0x0808_0808_0808_0808L * (i & 31);
        }
        return s;
    }

    static void put(ByteBuffer buffer, long[] state) {
        for (long word : state) {
            buffer.putLong(word);
        }
    }

    static long[] get(ByteBuffer buffer) {
        long[] state = new long[WORDS];
        for (int i = 0; i < WORDS; i++) {
            state[i] = buffer.getLong();
        }
        return state;
    }

    /** Name of a word, for messages. */
    static String name(int word) {
        if (word < RIP) {
            return "RAX RCX RDX RBX RSP RBP RSI RDI R8 R9 R10 R11 R12 R13 R14 R15".split(" ")[word];
        }
        if (word < SEGMENT) {
            return word == RIP ? "RIP" : "RFLAGS";
        }
        if (word < MXCSR) {
            return "ES CS SS DS FS GS".split(" ")[word - SEGMENT];
        }
        if (word < ST) {
            return "MXCSR FCW FSW FTW".split(" ")[word - MXCSR];
        }
        if (word < XMM) {
            return "ST" + (word - ST) / 2 + (word % 2 == 0 ? ".significand" : ".exponent");
        }
        if (word < WINDOW) {
            return "XMM" + (word - XMM) / 2 + (word % 2 == 0 ? ".low" : ".high");
        }
        return "[" + Long.toHexString(WINDOW_ADDRESS + 8L * (word - WINDOW)) + "]";
    }
}
