package dev.pacifica.emulator.silicon;

import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.Operation;

/**
 * Compares an emulated outcome with the recorded one; what the manuals leave open, and only that,
 * is left out.
 */
final class Comparison {
    private static final int PAGE_FAULT = 14;
    private static final long OF = 0x800;
    private static final long ID = 1 << 21;

    private Comparison() {}

    /** Null if the outcomes agree, otherwise the first difference. */
    static String difference(Insn insn, SiliconCase silicon, SiliconCase emulated) {
        if (silicon.vector() != emulated.vector()) {
            return "vector " + emulated.vector() + " expected " + silicon.vector();
        }
        if (silicon.vector() == PAGE_FAULT) {
            if (silicon.address() != emulated.address()) {
                return "CR2 %x expected %x".formatted(emulated.address(), silicon.address());
            }
            // In the upper half the recording host's kernel may have something mapped: the P bit is
            // its.
            int mask = silicon.address() < 0 ? ~1 : ~0;
            if (((silicon.error() ^ emulated.error()) & mask) != 0) {
                return "error code %x expected %x".formatted(emulated.error(), silicon.error());
            }
        } else if (silicon.vector() != SiliconCase.EXECUTED
                && silicon.error() != emulated.error()) {
            return "error code %x expected %x".formatted(emulated.error(), silicon.error());
        }
        boolean undefinedShift = undefinedDoubleShift(insn, silicon);
        for (int i = 0; i < SiliconState.WORDS; i++) {
            long expected = silicon.after()[i];
            long found = emulated.after()[i];
            if (((expected ^ found) & mask(insn, silicon, i)) != 0
                    && !undefinedShift
                    && !approximatelyEqual(insn, i, expected, found)
                    && !nullSelectors(i, expected, found)) {
                return "%s %x expected %x".formatted(SiliconState.name(i), found, expected);
            }
        }
        return null;
    }

    private static long mask(Insn insn, SiliconCase silicon, int word) {
        if (silicon.mode() != 64 && (word < 8 || word == SiliconState.RIP)) {
            return 0xFFFF_FFFFL; // the upper halves are undefined after compatibility mode
        }
        if (word == SiliconState.RFLAGS && silicon.vector() == SiliconCase.EXECUTED) {
            // A 16-bit POPF does not change ID, and the harness does not set it.
            long keeps = insn.row.operation == Operation.POPF && insn.operandSize == 2 ? ID : 0;
            return ~(undefinedFlags(insn, silicon) | keeps);
        }
        return -1;
    }

    /** By the table's column, but shifts and rotates depend on the count. */
    private static long undefinedFlags(Insn insn, SiliconCase silicon) {
        long flags = insn.row.flagsUndefined;
        switch (insn.row.operation) {
            case SHL, SHR, SAR, ROL, ROR, RCL, RCR, SHLD, SHRD -> {
                long n = count(insn, silicon);
                return n == 0
                        ? 0
                        : n == 1 ? flags & ~OF : flags; // nothing changes with a count of zero
            }
            default -> {
                return flags;
            }
        }
    }

    private static long count(Insn insn, SiliconCase silicon) {
        String count = insn.row.operands.getLast().letters();
        int mask = insn.operandSize == 8 ? 63 : 31;
        return (count.equals("CL") ? silicon.before()[1] : count.equals("1") ? 1 : insn.imm) & mask;
    }

    /** A 16-bit SHLD or SHRD by more than 16 leaves its result undefined. */
    private static boolean undefinedDoubleShift(Insn insn, SiliconCase silicon) {
        boolean shift =
                insn.row.operation == Operation.SHLD || insn.row.operation == Operation.SHRD;
        return shift && insn.operandSize == 2 && count(insn, silicon) > 16;
    }

    /** The recording host's return to the harness clears the RPL of null selectors. */
    private static boolean nullSelectors(int word, long expected, long found) {
        return word >= SiliconState.SEGMENT && word < SiliconState.MXCSR && (expected | found) <= 3;
    }

    /**
     * Transcendental results may differ in the last place; with them C1, which says whether it was
     * rounded up.
     */
    private static boolean approximatelyEqual(Insn insn, int word, long expected, long found) {
        switch (insn.row.operation) {
            case FSIN, FCOS, FSINCOS, FPTAN, FPATAN, F2XM1, FYL2X, FYL2XP1 -> {
                if (word == SiliconState.FSW) {
                    return ((expected ^ found) & ~0x200) == 0;
                }
                if (word < SiliconState.ST || word >= SiliconState.XMM) {
                    return false;
                }
                boolean power =
                        expected + found
                                == Long.MAX_VALUE; // 1.0 and the number below, whose exponents
                // differ by one
                return Math.abs(expected - found) <= 1
                        || (word - SiliconState.ST) % 2 == 0 && power;
            }
            default -> {
                return false;
            }
        }
    }
}
