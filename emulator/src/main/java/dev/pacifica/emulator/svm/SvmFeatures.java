package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.paging.Mmu;

/**
 * What CPUID Fn8000_000A tells in EAX and EBX. The features of its EDX are those of {@link
 * CpuFeature}.
 */
public final class SvmFeatures {
    /** EAX: the SVM revision. */
    public static final int REVISION = 1;

    /** EBX: address space identifiers, the host's 0 included. */
    public static final int ASIDS = 0x8000;

    private SvmFeatures() {}

    /**
     * What of the VMCB's field 90h is in force: 0 without nested paging, which all other bits need.
     * Bits of features that are not offered are ignored (§15.25.13).
     */
    static long nestedControl(CpuModel model, long field) {
        if ((field & Mmu.NESTED) == 0 || !model.has(CpuFeature.NPT)) {
            return 0;
        }
        return Mmu.NESTED
                | (model.has(CpuFeature.GMET) ? field & Mmu.EXECUTE_TRAP : 0)
                | (model.has(CpuFeature.ROGPT) ? field & Mmu.READ_ONLY_TABLES : 0);
    }

    /** Whether a VMCB whose field 90h has this value runs its guest with nested paging. */
    public static boolean nestedPaging(CpuModel model, long field) {
        return nestedControl(model, field) != 0;
    }
}
