package dev.pacifica.emulator.silicon;

import dev.pacifica.emulator.decode.InstructionRow;

/** Which table rows can be recorded on silicon from user mode, and why the others cannot. */
final class Recordable {
    private Recordable() {}

    /** Null if the row can be recorded in the mode (64, 32, 16). */
    static String whyNot(InstructionRow row, int mode) {
        if (mode == 64 && !row.validIn64) {
            return "not in 64-bit mode";
        }
        if (mode != 64 && !row.validOutside64) {
            return "64-bit mode only";
        }
        if (row.feature != null) {
            switch (row.feature) {
                case SVM, SKINIT:
                    return "needs SVM, which user mode cannot enable";
                case XSAVE, XSAVEOPT, XSAVEC, XSAVES:
                    return "depends on the extended state of the recording processor";
                case INVLPGB, MCOMMIT, MONITORX:
                    return "not on every recording processor, and needs the kernel's leave";
                case RDRAND, RDSEED:
                    return "random";
                case RDPID, RDPRU, RDTSCP, TSC:
                    return "returns the time or number of the recording processor";
                default:
                    break;
            }
        }
        return switch (row.operation) {
            case RDPMC, CPUID -> "returns properties of the recording processor";
            case SYSCALL, SYSENTER -> "enters the recording host's kernel";
            case INT3 -> "marks the end of each case";
            case INT1 -> "intercepted by the hypervisor that the recording host runs under";
            case SGDT, SIDT, SLDT, STR, SMSW -> "emulated by the recording host's kernel (UMIP)";
            default -> null;
        };
    }
}
