package dev.pacifica.emulator.cpu;

/**
 * The local APIC's registers (Table 16-2) by number: the xAPIC offset divided by 16, which also is
 * the x2APIC MSR minus 800h (Table 16-6). The physical APIC and AVIC go by the same numbers.
 */
public final class ApicRegister {
    public static final int ID = 0x02;
    public static final int VERSION = 0x03;
    public static final int TASK_PRIORITY = 0x08;
    public static final int ARBITRATION_PRIORITY = 0x09;
    public static final int PROCESSOR_PRIORITY = 0x0a;
    public static final int END_OF_INTERRUPT = 0x0b;
    public static final int REMOTE_READ = 0x0c;
    public static final int LOGICAL_DESTINATION = 0x0d;
    public static final int DESTINATION_FORMAT = 0x0e;
    public static final int SPURIOUS = 0x0f;

    /** First of eight, as trigger modes and requests are. */
    public static final int IN_SERVICE = 0x10;

    public static final int TRIGGER_MODE = 0x18;
    public static final int REQUEST = 0x20;
    public static final int ERROR_STATUS = 0x28;
    public static final int COMMAND_LOW = 0x30;
    public static final int COMMAND_HIGH = 0x31;

    /** First of six: timer, thermal sensor, performance counters, LINT0, LINT1, error. */
    public static final int LVT_TIMER = 0x32;

    public static final int LVT_LINT0 = 0x35;
    public static final int LVT_LINT1 = 0x36;
    public static final int LVT_ERROR = 0x37;
    public static final int INITIAL_COUNT = 0x38;
    public static final int CURRENT_COUNT = 0x39;
    public static final int DIVIDE = 0x3e;

    /** Of x2APIC only. */
    public static final int SELF_IPI = 0x3f;

    public static final int EXTENDED_FEATURE = 0x40;
    public static final int EXTENDED_CONTROL = 0x41;
    public static final int SPECIFIC_END_OF_INTERRUPT = 0x42;

    /** First of eight. */
    public static final int INTERRUPT_ENABLE = 0x48;

    /** First of four. */
    public static final int EXTENDED_LVT = 0x50;

    /** The last extended LVT entry. */
    public static final int LAST = 0x53;

    /** Bits of an LVT entry: masked, level-triggered, and those that only the APIC sets. */
    public static final int LVT_MASKED = 1 << 16;

    public static final int LVT_LEVEL = 1 << 15;
    private static final int LVT_REMOTE_REQUEST = 1 << 14;
    private static final int LVT_DELIVERY_STATUS = 1 << 12;

    private ApicRegister() {}

    /** The bits of an LVT entry, an extended one too, that software may write (Figure 16-7). */
    public static int lvtWritable(int register) {
        return switch (register) {
            case LVT_TIMER -> 0x7_00ff;
            case LVT_LINT0, LVT_LINT1 -> 0x1_a7ff;
            case LVT_ERROR -> 0x1_00ff;
            default -> 0x1_07ff;
        };
    }

    public static boolean isLvt(int register) {
        return register >= LVT_TIMER && register <= LVT_ERROR
                || register >= EXTENDED_LVT && register <= LAST;
    }

    /**
     * Whether x2APIC has the register's MSR and lets it be read (Table 16-6).
     *
     * @param extended whether there is the extended space from 400h on
     */
    public static boolean isReadableMsr(int register, boolean extended) {
        return isMsr(register, extended) && register != END_OF_INTERRUPT && register != SELF_IPI;
    }

    /**
     * Whether x2APIC has the register's MSR and lets a value be written to it (Table 16-6,
     * §16.11.3): the read-only ones, reserved bits, and other values than 0 for EOI and ESR raise
     * #GP.
     *
     * @param extended whether there is the extended space from 400h on
     */
    public static boolean isWritableMsr(int register, long value, boolean extended) {
        if (!isMsr(register, extended) || register != COMMAND_LOW && value >>> 32 != 0) {
            return false;
        }
        if (isLvt(register)) {
            int readOnly =
                    register == LVT_LINT0 || register == LVT_LINT1
                            ? LVT_DELIVERY_STATUS | LVT_REMOTE_REQUEST
                            : LVT_DELIVERY_STATUS;
            return ((int) value & ~(lvtWritable(register) | readOnly)) == 0;
        }
        return switch (register) {
            case ID,
                    VERSION,
                    ARBITRATION_PRIORITY,
                    PROCESSOR_PRIORITY,
                    LOGICAL_DESTINATION,
                    CURRENT_COUNT,
                    EXTENDED_FEATURE ->
                    false;
            case COMMAND_LOW -> (value & 0xfff3_3000L) == 0;
            case TASK_PRIORITY, SELF_IPI, SPECIFIC_END_OF_INTERRUPT -> value >>> 8 == 0;
            case END_OF_INTERRUPT, ERROR_STATUS -> value == 0;
            case SPURIOUS -> value >>> 10 == 0;
            case DIVIDE -> (value & ~0xbL) == 0;
            case EXTENDED_CONTROL -> value >>> 3 == 0;
            case INTERRUPT_ENABLE -> (value & 0xffff) == 0;
            default -> register < IN_SERVICE || register >= ERROR_STATUS;
        };
    }

    private static boolean isMsr(int register, boolean extended) {
        return switch (register) {
            case ID,
                    VERSION,
                    TASK_PRIORITY,
                    ARBITRATION_PRIORITY,
                    PROCESSOR_PRIORITY,
                    END_OF_INTERRUPT,
                    LOGICAL_DESTINATION,
                    COMMAND_LOW,
                    DIVIDE,
                    SELF_IPI ->
                    true;
            default ->
                    register >= SPURIOUS && register <= ERROR_STATUS
                            || register >= LVT_TIMER && register <= CURRENT_COUNT
                            || extended && isExtended(register);
        };
    }

    /** Whether it is a register of the extended space. */
    public static boolean isExtended(int register) {
        return register >= EXTENDED_FEATURE && register <= SPECIFIC_END_OF_INTERRUPT
                || register >= INTERRUPT_ENABLE && register <= LAST;
    }
}
