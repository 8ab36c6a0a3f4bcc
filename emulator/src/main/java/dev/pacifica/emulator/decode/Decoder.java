package dev.pacifica.emulator.decode;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * Decodes instructions as a processor with the given features does (APM Vol 3 §1). Forms whose
 * feature is not offered are undefined opcodes. Immutable after construction; decoding allocates
 * nothing.
 */
public final class Decoder {
    /** The longest instruction in bytes. */
    public static final int MAX_LENGTH = 15;

    /** What became of a decode. */
    public enum Status {
        /** The instruction is filled in; {@link Insn#row} is null for an undefined opcode. */
        OK,
        /** The instruction goes on past the bytes available. */
        NEED_MORE,
        /** Longer than 15 bytes: #GP(0). */
        TOO_LONG
    }

    private static final int ES = 0;
    private static final int SS = 2;
    private static final int DS = 3;
    private static final int FS = 4;
    private static final int RBP = 5;
    private static final int RSP = 4;
    private static final byte[] BASE_16 = {3, 3, 5, 5, 6, 7, 5, 3};
    private static final byte[] INDEX_16 = {
        6, 7, 6, 7, Insn.NO_REGISTER, Insn.NO_REGISTER, Insn.NO_REGISTER, Insn.NO_REGISTER
    };
    private static final InstructionRow[] ROWS =
            InstructionTable.rows().toArray(new InstructionRow[0]);

    /**
     * By (64-bit mode, map, opcode, prefix class): 0 undefined, n > 0 row n - 1, n < 0 by ModRM in
     * groups[-n - 1].
     */
    private final short[] primary = new short[2 * 4 * 256 * 4];

    /** By ModRM byte: 0 undefined, otherwise row + 1. */
    private final short[][] groups;

    /** By row: row + 1 that REX.W (or REX.B) selects instead, 0 the same row, -1 undefined. */
    private final short[] rexRow = new short[ROWS.length];

    private final boolean altMovCr8;

    /** A decoder of all forms in the table. */
    public Decoder() {
        this(EnumSet.allOf(CpuidFeature.class));
    }

    /** A decoder of the forms that a processor with these features has. */
    public Decoder(Set<CpuidFeature> features) {
        altMovCr8 = features.contains(CpuidFeature.ALTMOVCR8);
        List<List<InstructionRow>> byOpcode = new ArrayList<>(1024);
        for (int i = 0; i < 1024; i++) {
            byOpcode.add(null);
        }
        for (InstructionRow row : ROWS) {
            for (int i = 0; i < row.opcodeCount; i++) {
                int slot = row.map << 8 | (row.opcode + i);
                List<InstructionRow> rows = byOpcode.get(slot);
                if (rows == null) {
                    rows = new ArrayList<>(4);
                    byOpcode.set(slot, rows);
                }
                rows.add(row);
            }
        }
        List<short[]> tables = new ArrayList<>();
        for (int slot = 0; slot < 1024; slot++) {
            List<InstructionRow> rows = byOpcode.get(slot);
            if (rows != null) {
                linkRexRows(rows, features);
                List<List<InstructionRow>> seen = new ArrayList<>(8);
                List<Short> entries = new ArrayList<>(8);
                for (int i = 0; i < 8; i++) {
                    List<InstructionRow> chosen = choose(rows, features, i >= 4, i & 3);
                    int known = seen.indexOf(chosen);
                    short entry = known >= 0 ? entries.get(known) : entry(chosen, tables);
                    seen.add(chosen);
                    entries.add(entry);
                    primary[((i >> 2) << 10 | slot) << 2 | (i & 3)] = entry;
                }
            }
        }
        groups = tables.toArray(new short[0][]);
    }

    private void linkRexRows(List<InstructionRow> rows, Set<CpuidFeature> features) {
        for (InstructionRow wide : rows) {
            if (wide.needsRexW || wide.needsRexB) {
                for (InstructionRow plain : rows) {
                    boolean samePrefix =
                            plain.prefixClass == wide.prefixClass
                                    || wide.needsRexB; // F3 does not make XCHG r8 a PAUSE
                    if (!plain.needsRexW
                            && !plain.needsRexB
                            && samePrefix
                            && plain.reg == wide.reg) {
                        rexRow[plain.id] = (short) (offered(wide, features) ? wide.id + 1 : -1);
                    }
                }
            }
        }
    }

    private static boolean offered(InstructionRow row, Set<CpuidFeature> features) {
        return row.feature == null || features.contains(row.feature);
    }

    /**
     * The forms of one opcode that exist in a mode with a prefix, those that the prefix selects
     * first.
     */
    private static List<InstructionRow> choose(
            List<InstructionRow> rows, Set<CpuidFeature> features, boolean mode64, int prefix) {
        List<InstructionRow> chosen = new ArrayList<>(rows.size());
        for (int pass = 0; pass < 2; pass++) {
            for (int i = 0; i < rows.size(); i++) {
                InstructionRow row = rows.get(i);
                if (row.prefixClass == (pass == 0 ? prefix : -1)
                        && (mode64 ? row.validIn64 : row.validOutside64)
                        && offered(row, features)
                        && !row.needsRexW
                        && !row.needsRexB) {
                    chosen.add(row);
                }
            }
        }
        return chosen;
    }

    private static short entry(List<InstructionRow> chosen, List<short[]> tables) {
        if (chosen.isEmpty()) {
            return 0;
        }
        if (chosen.get(0).acceptsEveryModRm()) {
            return (short) (chosen.get(0).id + 1);
        }
        short[] table = new short[256];
        for (int i = chosen.size() - 1; i >= 0; i--) {
            chosen.get(i).fill(table);
        }
        tables.add(table);
        return (short) -tables.size();
    }

    /**
     * Decodes the instruction at {@code window[offset]}.
     *
     * @param available bytes that may be read from offset on; 15 are enough for each instruction
     * @param codeBits 16, 32 or 64
     */
    public Status decode(byte[] window, int offset, int available, int codeBits, Insn out) {
        boolean mode64 = codeBits == 64;
        Status ranOut = available >= MAX_LENGTH ? Status.TOO_LONG : Status.NEED_MORE;
        int limit = offset + Math.min(available, MAX_LENGTH);
        int p = offset;
        int rexByte = 0;
        boolean operandPrefix = false;
        boolean addressPrefix = false;
        boolean lock = false;
        int rep = 0;
        int override = -1;
        int b;
        prefixes:
        while (true) {
            if (p >= limit) {
                return ranOut;
            }
            b = window[p++] & 0xFF;
            switch (b) {
                case 0x66 -> operandPrefix = true;
                case 0x67 -> addressPrefix = true;
                case 0xF0 -> lock = true;
                case 0xF2 -> rep = 2;
                case 0xF3 -> rep = 3;
                case 0x26, 0x2E, 0x36, 0x3E -> {
                    if (!mode64) {
                        override = ES + ((b >> 3) & 3);
                    }
                }
                case 0x64, 0x65 -> override = FS + (b & 1);
                default -> {
                    if (!mode64 || (b & 0xF0) != 0x40) {
                        break prefixes;
                    }
                    rexByte = b;
                    continue;
                }
            }
            rexByte = 0;
        }
        int map = 0;
        if (b == 0x0F) {
            if (p >= limit) {
                return ranOut;
            }
            b = window[p++] & 0xFF;
            map = 1;
            if (b == 0x38 || b == 0x3A) {
                map = b == 0x38 ? 2 : 3;
                if (p >= limit) {
                    return ranOut;
                }
                b = window[p++] & 0xFF;
            }
        }
        boolean rexW = (rexByte & 8) != 0;
        out.lock = lock;
        out.rep = rep;
        out.operandSizePrefix = operandPrefix;
        out.rex = rexByte != 0;
        out.rexW = rexW;
        out.opcode = b;
        out.condition = b & 15;
        out.segmentOverride = override >= 0;
        out.segment = override >= 0 ? override : DS;
        out.addressSize =
                mode64 ? (addressPrefix ? 4 : 8) : ((codeBits == 16) != addressPrefix ? 2 : 4);
        out.modrm = -1;
        out.mod = 3;
        out.reg = 0;
        out.rm = (b & 7) | (rexByte & 1) << 3;
        out.memory = false;
        out.base = Insn.NO_REGISTER;
        out.index = Insn.NO_REGISTER;
        out.scale = 0;
        out.disp = 0;
        out.imm = 0;
        out.imm2 = 0;

        int prefixClass = rep != 0 ? (rep == 3 ? 2 : 3) : operandPrefix ? 1 : 0;
        int entry = primary[((mode64 ? 1 << 10 : 0) | map << 8 | b) << 2 | prefixClass];
        if (entry < 0) {
            if (p >= limit) {
                return ranOut;
            }
            entry = groups[-entry - 1][window[p] & 0xFF];
        }
        if (entry == 0) {
            return undefined(out, p - offset);
        }
        InstructionRow row = ROWS[entry - 1];
        int alternative = rexRow[row.id];
        if (alternative != 0 && (map == 0 ? (rexByte & 1) != 0 : rexW)) {
            if (alternative < 0) {
                return undefined(out, p - offset);
            }
            row = ROWS[alternative - 1];
        }
        int operandSize = operandSize(row.sizeRule, codeBits, operandPrefix, rexW);
        out.operandSize = operandSize;

        if (row.hasModRm) {
            if (p >= limit) {
                return ranOut;
            }
            int modRm = window[p++] & 0xFF;
            out.modrm = modRm;
            int rm = modRm & 7;
            int reg = (modRm >> 3) & 7;
            out.reg = row.narrowReg ? reg : reg | (rexByte & 4) << 1;
            if (modRm >= 0xC0 || row.ignoresMod) {
                out.rm = row.narrowRm ? rm : rm | (rexByte & 1) << 3;
            } else {
                p = memoryOperand(window, p, limit, modRm, rexByte, override < 0, mode64, out);
                if (p < 0) {
                    return ranOut;
                }
            }
            if (row.namedRegister) {
                if (!specialRegisterExists(row, out, lock)) {
                    return undefined(out, p - offset);
                }
            }
        }
        switch (row.immediateForm) {
            case NONE -> {}
            case BYTE, BYTE_SIGNED, RELATIVE_BYTE -> {
                if (p + 1 > limit) {
                    return ranOut;
                }
                out.imm =
                        row.immediateForm == InstructionRow.ImmediateForm.BYTE
                                ? window[p] & 0xFF
                                : window[p];
                p++;
            }
            case WORD -> {
                if (p + 2 > limit) {
                    return ranOut;
                }
                out.imm = int16(window, p) & 0xFFFF;
                p += 2;
            }
            case WORD_OR_DWORD, RELATIVE -> {
                int n = operandSize == 2 ? 2 : 4;
                if (p + n > limit) {
                    return ranOut;
                }
                out.imm = n == 2 ? int16(window, p) : int32(window, p);
                p += n;
            }
            case FULL -> {
                if (p + operandSize > limit) {
                    return ranOut;
                }
                out.imm =
                        operandSize == 2
                                ? int16(window, p)
                                : operandSize == 4 ? int32(window, p) : int64(window, p);
                p += operandSize;
            }
            case FAR_POINTER -> {
                if (p + operandSize + 2 > limit) {
                    return ranOut;
                }
                out.imm =
                        operandSize == 2
                                ? int16(window, p) & 0xFFFF
                                : int32(window, p) & 0xFFFF_FFFFL;
                out.imm2 = int16(window, p + operandSize) & 0xFFFF;
                p += operandSize + 2;
            }
            case OFFSET -> {
                int n = out.addressSize;
                if (p + n > limit) {
                    return ranOut;
                }
                out.disp =
                        n == 2
                                ? int16(window, p) & 0xFFFF
                                : n == 4 ? int32(window, p) & 0xFFFF_FFFFL : int64(window, p);
                out.memory = true;
                p += n;
            }
            case WORD_BYTE -> {
                if (p + 3 > limit) {
                    return ranOut;
                }
                out.imm = int16(window, p) & 0xFFFF;
                out.imm2 = window[p + 2] & 0xFF;
                p += 3;
            }
        }
        if (lock && !((row.lockable && out.memory) || (row.lockSelectsCr8 && altMovCr8))) {
            return undefined(out, p - offset);
        }
        out.row = row;
        out.length = p - offset;
        return Status.OK;
    }

    private static Status undefined(Insn out, int length) {
        out.row = null;
        out.length = length;
        out.operandSize = 0;
        return Status.OK;
    }

    private static int operandSize(
            InstructionRow.SizeRule rule, int codeBits, boolean operandPrefix, boolean rexW) {
        int narrow = (codeBits == 16) != operandPrefix ? 2 : 4;
        return switch (rule) {
            case STANDARD -> rexW ? 8 : narrow;
            case BYTE -> 1;
            case WORD -> 2;
            case WORD_OR_DWORD -> rexW ? 4 : narrow;
            case DWORD_OR_QWORD -> rexW ? 8 : 4;
            case DEFAULT_64 -> codeBits != 64 ? narrow : operandPrefix && !rexW ? 2 : 8;
            case FORCED_64 -> codeBits == 64 ? 8 : narrow;
            case FULL -> codeBits == 64 ? 8 : 4;
        };
    }

    /**
     * Segment registers 6 and 7, MOV to CS, and control and debug registers that do not exist are
     * undefined opcodes.
     */
    private static boolean specialRegisterExists(InstructionRow row, Insn out, boolean lock) {
        switch (row.operation) {
            case MOV_TO_SEG:
                return out.reg < 6 && out.reg != 1;
            case MOV_FROM_SEG:
                return out.reg < 6;
            case MOV_TO_CR, MOV_FROM_CR:
                if (lock) {
                    out.reg |= 8;
                }
                return out.reg == 8 || (out.reg < 5 && out.reg != 1);
            case MOV_TO_DR, MOV_FROM_DR:
                return out.reg < 8;
            default:
                return true;
        }
    }

    /** Reads SIB and displacement; returns the position after them, -1 if bytes are missing. */
    private static int memoryOperand(
            byte[] window,
            int position,
            int limit,
            int modRm,
            int rexByte,
            boolean defaultSegment,
            boolean mode64,
            Insn out) {
        int p = position;
        int mod = modRm >> 6;
        int rm = modRm & 7;
        out.memory = true;
        out.mod = mod;
        out.rm = rm | (rexByte & 1) << 3;
        int displacementBytes;
        if (out.addressSize == 2) {
            displacementBytes = mod;
            if (mod == 0 && rm == 6) {
                displacementBytes = 2;
            } else {
                out.base = BASE_16[rm];
                out.index = INDEX_16[rm];
                if (defaultSegment && out.base == RBP) {
                    out.segment = SS;
                }
            }
        } else {
            displacementBytes = mod == 2 ? 4 : mod;
            int base = rm | (rexByte & 1) << 3;
            if (rm == RSP) {
                if (p >= limit) {
                    return -1;
                }
                int sib = window[p++] & 0xFF;
                int index = ((sib >> 3) & 7) | (rexByte & 2) << 2;
                if (index != RSP) {
                    out.index = index;
                    out.scale = sib >> 6;
                }
                base = (sib & 7) | (rexByte & 1) << 3;
                if ((sib & 7) == RBP && mod == 0) {
                    base = Insn.NO_REGISTER;
                    displacementBytes = 4;
                }
            } else if (rm == RBP && mod == 0) {
                base = mode64 ? Insn.RIP : Insn.NO_REGISTER;
                displacementBytes = 4;
            }
            out.base = base;
            if (defaultSegment && (base == RSP || base == RBP)) {
                out.segment = SS;
            }
        }
        if (p + displacementBytes > limit) {
            return -1;
        }
        if (displacementBytes == 1) {
            out.disp = window[p];
        } else if (displacementBytes == 2) {
            out.disp = int16(window, p);
        } else if (displacementBytes == 4) {
            out.disp = int32(window, p);
        }
        return p + displacementBytes;
    }

    private static short int16(byte[] window, int p) {
        return (short) ((window[p] & 0xFF) | window[p + 1] << 8);
    }

    private static int int32(byte[] window, int p) {
        return (window[p] & 0xFF)
                | (window[p + 1] & 0xFF) << 8
                | (window[p + 2] & 0xFF) << 16
                | window[p + 3] << 24;
    }

    private static long int64(byte[] window, int p) {
        return (int32(window, p) & 0xFFFF_FFFFL) | (long) int32(window, p + 4) << 32;
    }
}
