package dev.pacifica.emulator.decode;

import java.util.Random;

/**
 * Encodes random instances of a table row: prefixes, registers, addressing modes and immediates are
 * chosen within what the form allows.
 */
public final class FormEncoder {
    private static final Decoder DECODER = new Decoder();

    private final Random random;
    private final long window;
    private final Insn check = new Insn();
    private final byte[] bytes = new byte[32];
    private int length;
    private int displacementAt;
    private boolean ripRelative;

    /**
     * @param window an address below 2 GiB that absolute and RIP-relative operands are near
     *     (aligned to 64)
     */
    public FormEncoder(Random random, long window) {
        this.random = random;
        this.window = window;
    }

    /**
     * Whether the form has instances with a memory operand, and with a register operand, by ModRM.
     */
    public static boolean canBeMemory(InstructionRow row) {
        return row.hasModRm && !row.registerOnly && !row.ignoresMod && row.modRmByte < 0;
    }

    public static boolean canBeRegister(InstructionRow row) {
        return !row.hasModRm || !row.memoryOnly;
    }

    /**
     * The bytes of an instance that decodes to the row, at most 15; the address where it will be
     * decides RIP-relative displacements.
     */
    public byte[] encode(InstructionRow row, int mode, boolean memory, long address) {
        for (int attempt = 0; attempt < 1000; attempt++) {
            build(row, mode, memory, address);
            if (length <= Decoder.MAX_LENGTH
                    && DECODER.decode(bytes, 0, length, mode, check) == Decoder.Status.OK
                    && check.row == row
                    && check.length == length) {
                return java.util.Arrays.copyOf(bytes, length);
            }
        }
        throw new IllegalStateException(
                "no encoding found for " + row + " in " + mode + "-bit mode");
    }

    private boolean chance(int oneIn) {
        return random.nextInt(oneIn) == 0;
    }

    private void put(int b) {
        bytes[length++] = (byte) b;
    }

    private void put(long value, int n) {
        for (int i = 0; i < n; i++) {
            put((int) (value >> 8 * i));
        }
    }

    private void build(InstructionRow row, int mode, boolean memory, long address) {
        length = 0;
        ripRelative = false;
        boolean bySize = row.prefixClass < 0 || row.sizeRule == InstructionRow.SizeRule.STANDARD;
        boolean sized =
                switch (row.sizeRule) {
                    case STANDARD, DEFAULT_64, WORD_OR_DWORD, FORCED_64 -> bySize;
                    default -> false;
                };
        boolean strings = row.repeat != InstructionRow.Repeat.NONE;
        boolean addressPrefix =
                chance(10) && (mode != 32 && (memory || strings) || strings || chance(10));
        if (addressPrefix) {
            put(0x67);
        }
        if (chance(20)) {
            put(
                    mode == 64
                            ? new int[] {0x26, 0x2E, 0x36, 0x3E, 0x64}[random.nextInt(5)]
                            : new int[] {0x26, 0x36, 0x3E}[random.nextInt(3)]);
        }
        boolean operandPrefix = row.prefixClass == 1 || sized && chance(4);
        if (operandPrefix) {
            put(0x66);
        }
        if (row.prefixClass >= 2) {
            put(row.prefixClass == 2 ? 0xF3 : 0xF2);
        } else if (strings && chance(2)) {
            put(chance(3) ? 0xF2 : 0xF3);
        }
        if (row.lockable && memory && chance(4)) {
            put(0xF0);
        }
        boolean wide = row.needsRexW;
        if (mode == 64) {
            int rex = row.needsRexB ? 1 : 0;
            if (chance(2)) {
                rex |= random.nextInt(8);
            }
            wide |= chance(3);
            if (wide) {
                rex |= 8;
            }
            if (rex != 0 || chance(8)) {
                put(0x40 | rex);
            }
        }
        if (row.map > 0) {
            put(0x0F);
        }
        if (row.map > 1) {
            put(row.map == 2 ? 0x38 : 0x3A);
        }
        put(row.opcode + random.nextInt(row.opcodeCount));
        int narrow = (mode == 16) != operandPrefix ? 2 : 4;
        int operandSize =
                wide
                        ? 8
                        : row.sizeRule == InstructionRow.SizeRule.DEFAULT_64
                                        && mode == 64
                                        && !operandPrefix
                                ? 8
                                : narrow;
        int addressSize =
                mode == 64 ? (addressPrefix ? 4 : 8) : (mode == 16) != addressPrefix ? 2 : 4;
        if (row.hasModRm) {
            modRm(row, mode, memory, addressSize);
        }
        immediate(row, mode, operandSize, addressSize);
        if (ripRelative) {
            long displacement = window + 64 - (address + length);
            int end = length;
            length = displacementAt;
            put(displacement, 4);
            length = end;
        }
    }

    private void modRm(InstructionRow row, int mode, boolean memory, int addressSize) {
        if (row.modRmByte >= 0) {
            put(row.modRmByte + random.nextInt(row.modRmCount));
            return;
        }
        int reg = row.reg >= 0 ? row.reg : random.nextInt(8);
        int rm = random.nextInt(8);
        if (row.ignoresMod || !memory) {
            put((row.ignoresMod ? random.nextInt(4) : 3) << 6 | reg << 3 | rm);
            return;
        }
        int mod = random.nextInt(3);
        put(mod << 6 | reg << 3 | rm);
        if (addressSize == 2) {
            if (mod == 0 && rm == 6) {
                put(window + 64, 2);
            } else {
                put(chance(4) ? random.nextInt(-2000, 2000) : 16L * random.nextInt(-100, 100), mod);
            }
            return;
        }
        int base = rm;
        boolean absolute = false;
        boolean indexed = false;
        if (rm == 4) {
            int index = random.nextInt(8);
            base = random.nextInt(8);
            put(random.nextInt(4) << 6 | index << 3 | base);
            indexed = index != 4;
            absolute = mod == 0 && base == 5;
        }
        displacementAt = length;
        if (mod == 0 && base == 5) {
            ripRelative = mode == 64 && rm == 5;
            put(
                    !indexed && (absolute || mode != 64)
                            ? window + 64
                            : 16L * random.nextInt(-100, 100),
                    4);
        } else if (mod == 1) {
            put(chance(4) ? random.nextInt(256) : 16 * random.nextInt(16), 1);
        } else if (mod == 2) {
            put(chance(4) ? random.nextInt(-2000, 2000) : 16L * random.nextInt(-100, 100), 4);
        }
    }

    private void immediate(InstructionRow row, int mode, int operandSize, int addressSize) {
        switch (row.immediateForm) {
            case NONE -> {}
            case BYTE -> put(Edges.integer(random, 1), 1);
            case BYTE_SIGNED -> put(Edges.integer(random, 1), 1);
            case RELATIVE_BYTE -> put(random.nextInt(256), 1);
            case WORD -> put(random.nextInt(12) * 2L, 2);
            case WORD_OR_DWORD ->
                    put(Edges.integer(random, operandSize == 2 ? 2 : 4), operandSize == 2 ? 2 : 4);
            case RELATIVE ->
                    put(
                            chance(3) ? random.nextInt() : random.nextInt(-256, 256),
                            operandSize == 2 ? 2 : 4);
            case FULL -> put(Edges.integer(random, operandSize), operandSize);
            case FAR_POINTER -> {
                put((mode == 16 ? 0x400 : 0x1000_0400L) + random.nextInt(-256, 256), operandSize);
                int near = mode == 16 ? 0x07 : 0x23;
                put(new int[] {near, near, 0x33, 0, 0x10}[random.nextInt(5)], 2);
            }
            case OFFSET -> put(window + 64 + random.nextInt(16), addressSize);
            case WORD_BYTE -> {
                put(random.nextInt(12) * 8L, 2);
                put(chance(2) ? random.nextInt(4) : random.nextInt(256), 1);
            }
        }
    }
}
