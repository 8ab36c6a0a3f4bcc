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

    /**
     * What a read does.
     *
     * @param extendedLvt CPUID Fn8000_000A EDX[27]: extended LVT entries are in the backing page
     */
    static Access read(int register, boolean extendedLvt) {
        return register == ApicRegister.ARBITRATION_PRIORITY
                        || register == ApicRegister.CURRENT_COUNT
                        || unreachable(register, extendedLvt)
                ? Access.FAULT
                : Access.ALLOWED;
    }

    /**
     * What a write does.
     *
     * @param extendedLvt as in {@link #read}
     */
    static Access write(int register, boolean extendedLvt) {
        if (unreachable(register, extendedLvt)) {
            return Access.FAULT;
        }
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
                if (ApicRegister.isLvt(register)) {
                    yield Access.TRAP;
                }
                boolean vectors =
                        register >= ApicRegister.IN_SERVICE && register < ApicRegister.ERROR_STATUS;
                yield vectors ? Access.FAULT : Access.ALLOWED;
            }
        };
    }

    /** The extended space and what is reserved behind it. */
    private static boolean unreachable(int register, boolean extendedLvt) {
        if (register >= ApicRegister.EXTENDED_LVT && register <= ApicRegister.LAST_EXTENDED_LVT) {
            return !extendedLvt;
        }
        return ApicRegister.isExtended(register) || register > ApicRegister.LAST_EXTENDED_LVT;
    }
}
