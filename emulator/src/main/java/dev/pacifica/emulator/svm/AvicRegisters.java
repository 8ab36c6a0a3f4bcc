package dev.pacifica.emulator.svm;

/**
 * What AVIC does with accesses to each register of the guest's virtual APIC page (Table 15-22).
 * Registers have numbers: the xAPIC offset divided by 16, which also is the x2APIC MSR minus 800h.
 */
final class AvicRegisters {
    static final int ID = 0x02;
    static final int VERSION = 0x03;
    static final int TASK_PRIORITY = 0x08;
    static final int ARBITRATION_PRIORITY = 0x09;
    static final int PROCESSOR_PRIORITY = 0x0a;
    static final int END_OF_INTERRUPT = 0x0b;
    static final int REMOTE_READ = 0x0c;
    static final int LOGICAL_DESTINATION = 0x0d;
    static final int DESTINATION_FORMAT = 0x0e;
    static final int SPURIOUS = 0x0f;
    static final int IN_SERVICE = 0x10;
    static final int TRIGGER_MODE = 0x18;
    static final int REQUEST = 0x20;
    static final int ERROR_STATUS = 0x28;
    static final int COMMAND_LOW = 0x30;
    static final int COMMAND_HIGH = 0x31;
    static final int LVT_TIMER = 0x32;
    static final int LVT_ERROR = 0x37;
    static final int INITIAL_COUNT = 0x38;
    static final int CURRENT_COUNT = 0x39;
    static final int DIVIDE = 0x3e;

    /** Of x2APIC only. */
    static final int SELF_IPI = 0x3f;

    private static final int EXTENDED_FEATURE = 0x40;
    private static final int SPECIFIC_END_OF_INTERRUPT = 0x42;
    private static final int FIRST_ENABLE = 0x48;
    private static final int LAST_EXTENDED = 0x53;

    /** How an access is handled. */
    enum Access {
        /** The backing page is read or written, and that is all. */
        ALLOWED,
        /** It is written, and the processor acts on it. */
        ACCELERATED,
        /** It is written, and the guest exits after the instruction. */
        TRAP,
        /** The guest exits before the access. */
        FAULT
    }

    private AvicRegisters() {}

    static Access read(int register) {
        return register == ARBITRATION_PRIORITY || register == CURRENT_COUNT || extended(register)
                ? Access.FAULT
                : Access.ALLOWED;
    }

    static Access write(int register) {
        return switch (register) {
            case TASK_PRIORITY, END_OF_INTERRUPT, COMMAND_LOW -> Access.ACCELERATED;
            case ID,
                    REMOTE_READ,
                    LOGICAL_DESTINATION,
                    DESTINATION_FORMAT,
                    SPURIOUS,
                    ERROR_STATUS,
                    INITIAL_COUNT,
                    DIVIDE ->
                    Access.TRAP;
            case VERSION, ARBITRATION_PRIORITY, PROCESSOR_PRIORITY, CURRENT_COUNT -> Access.FAULT;
            default -> {
                if (register >= LVT_TIMER && register <= LVT_ERROR) {
                    yield Access.TRAP;
                }
                boolean vectors = register >= IN_SERVICE && register < ERROR_STATUS;
                yield vectors || extended(register) ? Access.FAULT : Access.ALLOWED;
            }
        };
    }

    /** The extended space and what is reserved behind it; CPUID has no virtual extended LVTs. */
    private static boolean extended(int register) {
        return register >= EXTENDED_FEATURE && register <= SPECIFIC_END_OF_INTERRUPT
                || register >= FIRST_ENABLE;
    }

    /** Whether x2APIC has the register's MSR and lets it be read (§16.11). */
    static boolean readableMsr(int register) {
        return exists(register)
                && register != END_OF_INTERRUPT
                && register != SELF_IPI
                && register != SPECIFIC_END_OF_INTERRUPT;
    }

    /**
     * Whether x2APIC has the register's MSR and lets a value be written to it (§16.11): the
     * read-only ones, reserved bits, and other values than 0 for EOI and ESR raise #GP.
     */
    static boolean writableMsr(int register, long value) {
        if (!exists(register)) {
            return false;
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
            case TASK_PRIORITY, SELF_IPI -> value >>> 8 == 0;
            case END_OF_INTERRUPT, ERROR_STATUS -> value == 0;
            case SPURIOUS -> value >>> 10 == 0;
            default -> value >>> 32 == 0 && !(register >= IN_SERVICE && register < ERROR_STATUS);
        };
    }

    private static boolean exists(int register) {
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
                            || register >= EXTENDED_FEATURE && register <= SPECIFIC_END_OF_INTERRUPT
                            || register >= FIRST_ENABLE && register <= LAST_EXTENDED;
        };
    }
}
