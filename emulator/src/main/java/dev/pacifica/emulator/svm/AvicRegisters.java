package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.ApicRegister;

/**
 * What AVIC does with accesses to each register of the guest's virtual APIC page (Table 15-22).
 * Registers have the numbers of {@link ApicRegister}.
 */
final class AvicRegisters {
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
        return register == ApicRegister.ARBITRATION_PRIORITY
                        || register == ApicRegister.CURRENT_COUNT
                        || extended(register)
                ? Access.FAULT
                : Access.ALLOWED;
    }

    static Access write(int register) {
        return switch (register) {
            case ApicRegister.TASK_PRIORITY,
                    ApicRegister.END_OF_INTERRUPT,
                    ApicRegister.COMMAND_LOW ->
                    Access.ACCELERATED;
            case ApicRegister.ID,
                    ApicRegister.REMOTE_READ,
                    ApicRegister.LOGICAL_DESTINATION,
                    ApicRegister.DESTINATION_FORMAT,
                    ApicRegister.SPURIOUS,
                    ApicRegister.ERROR_STATUS,
                    ApicRegister.INITIAL_COUNT,
                    ApicRegister.DIVIDE ->
                    Access.TRAP;
            case ApicRegister.VERSION,
                    ApicRegister.ARBITRATION_PRIORITY,
                    ApicRegister.PROCESSOR_PRIORITY,
                    ApicRegister.CURRENT_COUNT ->
                    Access.FAULT;
            default -> {
                if (register >= ApicRegister.LVT_TIMER && register <= ApicRegister.LVT_ERROR) {
                    yield Access.TRAP;
                }
                boolean vectors =
                        register >= ApicRegister.IN_SERVICE && register < ApicRegister.ERROR_STATUS;
                yield vectors || extended(register) ? Access.FAULT : Access.ALLOWED;
            }
        };
    }

    /** The extended space and what is reserved behind it; CPUID has no virtual extended LVTs. */
    private static boolean extended(int register) {
        return register >= ApicRegister.EXTENDED_FEATURE
                        && register <= ApicRegister.SPECIFIC_END_OF_INTERRUPT
                || register >= ApicRegister.INTERRUPT_ENABLE;
    }

    /** Whether x2APIC has the register's MSR and lets it be read (§16.11). */
    static boolean readableMsr(int register) {
        return exists(register)
                && register != ApicRegister.END_OF_INTERRUPT
                && register != ApicRegister.SELF_IPI
                && register != ApicRegister.SPECIFIC_END_OF_INTERRUPT;
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
            case ApicRegister.ID,
                    ApicRegister.VERSION,
                    ApicRegister.ARBITRATION_PRIORITY,
                    ApicRegister.PROCESSOR_PRIORITY,
                    ApicRegister.LOGICAL_DESTINATION,
                    ApicRegister.CURRENT_COUNT,
                    ApicRegister.EXTENDED_FEATURE ->
                    false;
            case ApicRegister.COMMAND_LOW -> (value & 0xfff3_3000L) == 0;
            case ApicRegister.TASK_PRIORITY, ApicRegister.SELF_IPI -> value >>> 8 == 0;
            case ApicRegister.END_OF_INTERRUPT, ApicRegister.ERROR_STATUS -> value == 0;
            case ApicRegister.SPURIOUS -> value >>> 10 == 0;
            default ->
                    value >>> 32 == 0
                            && !(register >= ApicRegister.IN_SERVICE
                                    && register < ApicRegister.ERROR_STATUS);
        };
    }

    private static boolean exists(int register) {
        return switch (register) {
            case ApicRegister.ID,
                    ApicRegister.VERSION,
                    ApicRegister.TASK_PRIORITY,
                    ApicRegister.ARBITRATION_PRIORITY,
                    ApicRegister.PROCESSOR_PRIORITY,
                    ApicRegister.END_OF_INTERRUPT,
                    ApicRegister.LOGICAL_DESTINATION,
                    ApicRegister.COMMAND_LOW,
                    ApicRegister.DIVIDE,
                    ApicRegister.SELF_IPI ->
                    true;
            default ->
                    register >= ApicRegister.SPURIOUS && register <= ApicRegister.ERROR_STATUS
                            || register >= ApicRegister.LVT_TIMER
                                    && register <= ApicRegister.CURRENT_COUNT
                            || register >= ApicRegister.EXTENDED_FEATURE
                                    && register <= ApicRegister.SPECIFIC_END_OF_INTERRUPT
                            || register >= ApicRegister.INTERRUPT_ENABLE
                                    && register <= ApicRegister.LAST;
        };
    }
}
