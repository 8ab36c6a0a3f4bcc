package dev.pacifica.emulator.cpu;

/**
 * The local APIC's registers (Table 16-2) by number: the xAPIC offset divided by 16, which also is
 * the x2APIC MSR minus 800h (Table 16-6). The physical APIC and AVIC go by the same numbers.
 */
public final class ApicRegister {
    /** The APIC ID. In xAPIC mode bits 31:24 are the ID, in x2APIC mode all 32 bits. */
    public static final int ID = 0x02;

    /** Version, the number of LVT entries and whether there is the extended space. Read-only. */
    public static final int VERSION = 0x03;

    /** TPR, 8 bits. */
    public static final int TASK_PRIORITY = 0x08;

    /** APR, read-only. */
    public static final int ARBITRATION_PRIORITY = 0x09;

    /** PPR, read-only: the higher of TPR and the interrupt in service. */
    public static final int PROCESSOR_PRIORITY = 0x0a;

    /** EOI, write-only. */
    public static final int END_OF_INTERRUPT = 0x0b;

    /** The result of a remote read. */
    public static final int REMOTE_READ = 0x0c;

    /** LDR; read-only in x2APIC mode, where it follows from the ID. */
    public static final int LOGICAL_DESTINATION = 0x0d;

    /** DFR: flat or cluster model. Not in x2APIC mode. */
    public static final int DESTINATION_FORMAT = 0x0e;

    /** SVR: the spurious vector, and bit 8, which enables the APIC. */
    public static final int SPURIOUS = 0x0f;

    /** First of eight: the vectors in service. */
    public static final int IN_SERVICE = 0x10;

    /** First of eight: which of the requested vectors are level-triggered. */
    public static final int TRIGGER_MODE = 0x18;

    /** First of eight: the vectors that wait to be taken. */
    public static final int REQUEST = 0x20;

    /** ESR; written before it is read. */
    public static final int ERROR_STATUS = 0x28;

    /** Low half of the ICR, whose write sends. In x2APIC mode all 64 bits of it. */
    public static final int COMMAND_LOW = 0x30;

    /** High half of the ICR, the destination. Not in x2APIC mode. */
    public static final int COMMAND_HIGH = 0x31;

    /** First of six: timer, thermal sensor, performance counters, LINT0, LINT1, error. */
    public static final int LVT_TIMER = 0x32;

    /** LVT entry of the LINT0 pin. */
    public static final int LVT_LINT0 = 0x35;

    /** LVT entry of the LINT1 pin. */
    public static final int LVT_LINT1 = 0x36;

    /** LVT entry of APIC errors. */
    public static final int LVT_ERROR = 0x37;

    /** What the timer counts down from. */
    public static final int INITIAL_COUNT = 0x38;

    /** What the timer has left. Read-only. */
    public static final int CURRENT_COUNT = 0x39;

    /** The timer's divisor: bits 3 and 1:0. */
    public static final int DIVIDE = 0x3e;

    /** A vector, 8 bits, sent to the processor itself. Of x2APIC only, write-only. */
    public static final int SELF_IPI = 0x3f;

    /** What the extended space has. Read-only. */
    public static final int EXTENDED_FEATURE = 0x40;

    /** Enables what the extended space has. */
    public static final int EXTENDED_CONTROL = 0x41;

    /** SEOI: ends the interrupt of a vector, 8 bits. */
    public static final int SPECIFIC_END_OF_INTERRUPT = 0x42;

    /** First of eight: the vectors that are let through. */
    public static final int INTERRUPT_ENABLE = 0x48;

    /** First of four LVT entries of the extended space. */
    public static final int EXTENDED_LVT = 0x50;

    /** The last extended LVT entry. */
    public static final int LAST_EXTENDED_LVT = 0x53;

    /** Bit of an LVT entry: masked. */
    public static final int LVT_MASKED = 1 << 16;

    /** Bit of an LVT entry: level-triggered. */
    public static final int LVT_LEVEL = 1 << 15;

    /** Bits of an LVT entry that only the APIC sets. */
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

    /** Whether it is an LVT entry, an extended one too. */
    public static boolean isLvt(int register) {
        return register >= LVT_TIMER && register <= LVT_ERROR
                || register >= EXTENDED_LVT && register <= LAST_EXTENDED_LVT;
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
                || register >= INTERRUPT_ENABLE && register <= LAST_EXTENDED_LVT;
    }
}
