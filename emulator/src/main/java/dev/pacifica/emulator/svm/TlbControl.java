package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.observe.TlbFlushCause;
import dev.pacifica.emulator.paging.Mmu;

/** What VMRUN does for the VMCB's TLB_CONTROL field (§15.16.1, Table 15-9). */
final class TlbControl {
    static final int NOTHING = 0;
    static final int FLUSH_ALL = 1;
    static final int FLUSH_ASID = 3;
    static final int FLUSH_ASID_NON_GLOBAL = 7;

    private TlbControl() {}

    /**
     * Reserved encodings flush the guest's translations, which is safe whatever was meant.
     * Encodings 3 and 7 are reserved unless CPUID offers FlushByAsid.
     */
    static void apply(Cpu cpu, int control, int asid) {
        Mmu mmu = cpu.mmu;
        switch (control) {
            case NOTHING -> {}
            case FLUSH_ALL -> mmu.flushAll(TlbFlushCause.VMRUN);
            case FLUSH_ASID_NON_GLOBAL -> {
                boolean reserved = !cpu.model.has(CpuFeature.FLUSHBYASID);
                mmu.flushAsid(asid, reserved, TlbFlushCause.VMRUN);
            }
            default -> mmu.flushAsid(asid, true, TlbFlushCause.VMRUN);
        }
    }
}
