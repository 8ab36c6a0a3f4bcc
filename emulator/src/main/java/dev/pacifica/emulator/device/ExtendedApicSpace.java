package dev.pacifica.emulator.device;

import dev.pacifica.emulator.cpu.ApicRegister;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;

/**
 * The registers of a local APIC from 400h on (§16.3.5, §16.7): which vectors take part in the
 * selection of the next interrupt, and four more LVT entries, which have no source in this machine.
 *
 * <p>Firmware leaves 8-bit APIC ids enabled, which the register's reset value does not: so it is
 * out of reset here, and INIT does not change it.
 */
final class ExtendedApicSpace {
    /** Four extended LVT entries, 8-bit APIC ids, specific EOI, interrupt enable registers. */
    private static final int FEATURE = 0x0004_0007;

    private static final int ENABLE_WRITABLE = 1;
    private static final int SPECIFIC_EOI = 1 << 1;
    private static final int WIDE_ID = 1 << 2;
    private static final int LVT_ENTRIES = 4;

    private int control = WIDE_ID;
    private int specificEnd;

    /** Bit v of the 256 in four longs enables vector v. */
    private final long[] enable = new long[4];

    private final int[] lvt = new int[LVT_ENTRIES];

    ExtendedApicSpace() {
        reset();
    }

    /** INIT, and when the APIC is disabled. */
    void reset() {
        control &= WIDE_ID;
        specificEnd = 0;
        for (int i = 0; i < LVT_ENTRIES; i++) {
            enable[i] = -1;
            lvt[i] = 0;
        }
    }

    /** 64 vectors from 64 * index on: a set bit takes part in the priority. */
    long enabled(int index) {
        return enable[index];
    }

    /** Whether APIC ids have eight bits instead of four. */
    boolean wideId() {
        return (control & WIDE_ID) != 0;
    }

    /** Whether writing SPECIFIC_END_OF_INTERRUPT ends an interrupt. */
    boolean endsSpecific() {
        return (control & SPECIFIC_EOI) != 0;
    }

    /** The APIC was disabled by software (SVR). */
    void maskAll() {
        for (int i = 0; i < LVT_ENTRIES; i++) {
            lvt[i] |= ApicRegister.LVT_MASKED;
        }
    }

    int read(int register) {
        return switch (register) {
            case ApicRegister.EXTENDED_FEATURE -> FEATURE;
            case ApicRegister.EXTENDED_CONTROL -> control;
            case ApicRegister.SPECIFIC_END_OF_INTERRUPT -> specificEnd;
            default -> {
                if (register >= ApicRegister.EXTENDED_LVT) {
                    yield lvt[register - ApicRegister.EXTENDED_LVT];
                }
                int word = register - ApicRegister.INTERRUPT_ENABLE;
                yield (int) (enable[word >> 1] >>> 32 * (word & 1));
            }
        };
    }

    /**
     * Writes a register; what a specific EOI ends is the caller's.
     *
     * @param masked whether the APIC is disabled by software, so that LVT entries stay masked
     */
    void write(int register, int value, boolean masked) {
        switch (register) {
            case ApicRegister.EXTENDED_FEATURE -> {} // read-only
            case ApicRegister.EXTENDED_CONTROL ->
                    control = value & (ENABLE_WRITABLE | SPECIFIC_EOI | WIDE_ID);
            case ApicRegister.SPECIFIC_END_OF_INTERRUPT -> specificEnd = value & 0xff;
            default -> {
                if (register >= ApicRegister.EXTENDED_LVT) {
                    lvt[register - ApicRegister.EXTENDED_LVT] =
                            value & ApicRegister.lvtWritable(register)
                                    | (masked ? ApicRegister.LVT_MASKED : 0);
                } else if ((control & ENABLE_WRITABLE) != 0) {
                    int word = register - ApicRegister.INTERRUPT_ENABLE;
                    int shift = 32 * (word & 1);
                    enable[word >> 1] =
                            enable[word >> 1] & ~(0xffff_ffffL << shift)
                                    | (value & 0xffff_ffffL) << shift;
                }
            }
        }
    }

    void save(StateWriter out) {
        out.u8("ext.control", control);
        out.u8("ext.seoi", specificEnd);
        out.longs("ext.ier", enable);
        for (int i = 0; i < LVT_ENTRIES; i++) {
            out.u32("ext.lvt" + i, lvt[i]);
        }
    }

    void load(StateReader in) {
        control = in.u8("ext.control") & (ENABLE_WRITABLE | SPECIFIC_EOI | WIDE_ID);
        specificEnd = in.u8("ext.seoi");
        in.longs("ext.ier", enable);
        for (int i = 0; i < LVT_ENTRIES; i++) {
            lvt[i] = in.u32("ext.lvt" + i);
        }
    }
}
