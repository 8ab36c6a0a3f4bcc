package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;

/**
 * MTRRs (APM Vol 2 §7.7) and which values of the PAT are legal (§7.8.1). What a type does on this
 * machine is in {@link EffectiveMemoryType}.
 */
final class MemoryTypeRegisters {
    private static final int VARIABLE = 8;
    private static final long PHYSICAL_MASK = (1L << CpuModel.PHYSICAL_BITS) - 1;
    private static final int DEF_TYPE = 0x2ff;

    private static final int VALID = 1 << 11;
    private static final int ENABLE = 1 << 11;
    private static final int FIXED_ENABLE = 1 << 10;
    private static final int NONE = 8;

    private final long[] base = new long[VARIABLE];
    private final long[] mask = new long[VARIABLE];

    /** 250h, 258h, 259h, 268h..26Fh. */
    private final long[] fixed = new long[11];

    private long defType;

    /** MTRRcap: eight variable ranges, fixed ranges, write-combining. */
    static final long CAPABILITIES = 0x508;

    void reset() {
        java.util.Arrays.fill(base, 0);
        java.util.Arrays.fill(mask, 0);
        java.util.Arrays.fill(fixed, 0);
        defType = 0;
    }

    /**
     * What firmware leaves: write-back by default, uncacheable from {@code holeStart} to 4 GiB and
     * in the legacy video range.
     */
    void asFirmwareLeavesThem(long holeStart) {
        java.util.Arrays.fill(fixed, 0x0606_0606_0606_0606L);
        fixed[2] = 0; // A0000h..BFFFFh
        base[0] = holeStart;
        mask[0] = PHYSICAL_MASK & -(0x1_0000_0000L - holeStart) | 0x800;
        defType = 0xc06;
    }

    static boolean owns(int msr) {
        return msr >= 0x200 && msr < 0x200 + 2 * VARIABLE
                || fixedIndex(msr) >= 0
                || msr == DEF_TYPE;
    }

    private static int fixedIndex(int msr) {
        return switch (msr) {
            case 0x250 -> 0;
            case 0x258, 0x259 -> msr - 0x257;
            default -> msr >= 0x268 && msr <= 0x26f ? msr - 0x268 + 3 : -1;
        };
    }

    long read(int msr) {
        if (msr == DEF_TYPE) {
            return defType;
        }
        int index = fixedIndex(msr);
        if (index >= 0) {
            return fixed[index];
        }
        long[] half = (msr & 1) == 0 ? base : mask;
        return half[msr - 0x200 >> 1];
    }

    /** False means #GP. */
    boolean write(int msr, long value) {
        if (msr == DEF_TYPE) {
            if ((value & ~0xcffL) != 0 || !validType((int) value & 0xff)) {
                return false;
            }
            defType = value;
            return true;
        }
        int index = fixedIndex(msr);
        if (index >= 0) {
            for (int i = 0; i < 64; i += 8) {
                // bits 4:3 of a type are RdMem and WrMem, which software sees while SYSCFG lets it
                if (!validType((int) (value >>> i) & 0xe7)) {
                    return false;
                }
            }
            fixed[index] = value;
            return true;
        }
        boolean isBase = (msr & 1) == 0;
        long reserved = ~PHYSICAL_MASK | (isBase ? 0xf00 : 0x7ff);
        if ((value & reserved) != 0 || isBase && !validType((int) value & 0xff)) {
            return false;
        }
        long[] half = isBase ? base : mask;
        half[msr - 0x200 >> 1] = value;
        return true;
    }

    /**
     * The type that the MTRRs give an address (§7.7.3 to §7.7.5). Of overlapping variable ranges
     * the type that caches less counts, which is the one of the lower encoding.
     *
     * @param defaultIsWriteBack SYSCFG overrides the default type here (Tom2ForceMemTypeWB, §3.2.1)
     */
    MemoryType type(long pa, boolean defaultIsWriteBack) {
        if ((defType & ENABLE) == 0) {
            return MemoryType.UC;
        }
        if (pa < 1 << 20 && (defType & FIXED_ENABLE) != 0) {
            return MemoryType.encoded(fixedType((int) pa));
        }
        int found = NONE;
        for (int i = 0; i < VARIABLE; i++) {
            long bits = mask[i] & ~0xfffL;
            if ((mask[i] & VALID) != 0 && (pa & bits) == (base[i] & bits)) {
                found = Math.min(found, (int) base[i] & 7);
            }
        }
        if (found != NONE) {
            return MemoryType.encoded(found);
        }
        return defaultIsWriteBack ? MemoryType.WB : MemoryType.encoded((int) defType & 7);
    }

    /** The type of an address in the first MiB: 64-KiB, 16-KiB and 4-KiB ranges. */
    private int fixedType(int pa) {
        int range =
                pa < 0x8_0000
                        ? pa >>> 16
                        : pa < 0xc_0000 ? 8 + (pa - 0x8_0000 >>> 14) : 24 + (pa - 0xc_0000 >>> 12);
        return (int) (fixed[range >>> 3] >>> 8 * (range & 7)) & 7;
    }

    private static boolean validType(int type) {
        return type == 0 || type == 1 || type >= 4 && type <= 6;
    }

    /** Whether each byte is a PAT type. */
    static boolean validPat(long value) {
        for (int i = 0; i < 64; i += 8) {
            int type = (int) (value >>> i) & 0xff;
            if (!validType(type) && type != 7) {
                return false;
            }
        }
        return true;
    }

    void save(StateWriter out) {
        out.longs("mtrrBase", base);
        out.longs("mtrrMask", mask);
        out.longs("mtrrFixed", fixed);
        out.u64("mtrrDefType", defType);
    }

    void load(StateReader in) {
        in.longs("mtrrBase", base);
        in.longs("mtrrMask", mask);
        in.longs("mtrrFixed", fixed);
        defType = in.u64("mtrrDefType");
    }
}
