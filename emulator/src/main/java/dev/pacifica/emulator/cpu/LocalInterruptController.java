package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.memory.MmioDevice;

/**
 * What a processor needs of its local APIC: the register page, x2APIC MSRs, TPR as CR8, and the
 * interrupt to take next.
 */
public interface LocalInterruptController extends MmioDevice {
    /** CR8: TPR bits 7:4, 0 to 15. */
    int taskPriority();

    void setTaskPriority(int cr8);

    /**
     * The vector that would be acknowledged now, from the APIC or, through it, the 8259s (ExtINT);
     * -1 if none is deliverable.
     */
    int pendingVector();

    /** Acknowledges the pending interrupt and returns its vector. */
    int acknowledge();

    /** IA32_APIC_BASE. */
    long base();

    /** Writes IA32_APIC_BASE; false means #GP. */
    boolean setBase(long value);

    /** Whether x2APIC mode is on. */
    boolean x2apic();

    /** Reads x2APIC MSR 0x800 + register; {@link #BAD_REGISTER} means #GP. */
    long readX2apic(int register);

    /** Writes x2APIC MSR 0x800 + register; false means #GP. */
    boolean writeX2apic(int register, long value);

    /** IA32_TSC_DEADLINE (MSR 6E0h), in TSC units. */
    long tscDeadline();

    void setTscDeadline(long tsc);

    /** The processor's TSC was written: a deadline in TSC units is at another moment now. */
    default void tscChanged() {}

    /** The processor takes INIT: all state but APIC base and id goes to its reset values. */
    default void init() {}

    /** No x2APIC register has this value. */
    long BAD_REGISTER = Long.MIN_VALUE + 0x5eed;
}
