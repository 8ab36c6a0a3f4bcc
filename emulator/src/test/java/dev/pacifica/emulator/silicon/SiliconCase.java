package dev.pacifica.emulator.silicon;

import java.util.HexFormat;

/**
 * One instruction, the state before it and what the processor made of it.
 *
 * @param mode 64, or 32 or 16 in compatibility mode
 * @param code the instruction's bytes
 * @param vector the exception raised; {@link #EXECUTED} if none
 * @param address CR2 of a page fault
 * @param after null before the case was run
 */
record SiliconCase(
        int mode, byte[] code, long[] before, int vector, int error, long address, long[] after) {
    /** INT3 behind the instruction was reached. */
    static final int EXECUTED = 3;

    /** The harness gave up: a branch to itself. */
    static final int ENDLESS = 255;

    @Override
    public String toString() {
        return mode + "-bit " + HexFormat.ofDelimiter(" ").formatHex(code);
    }
}
