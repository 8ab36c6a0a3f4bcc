package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;

/** Rules for writing the SVM MSRs VM_CR, VM_HSAVE_PA and SVM_KEY (§15.30, §15.31). */
public final class SvmLock {
    public static final long VM_CR_DPD = 1;
    public static final long VM_CR_R_INIT = 1 << 1;
    public static final long VM_CR_DIS_A20M = 1 << 2;
    public static final long VM_CR_LOCK = 1 << 3;
    public static final long VM_CR_SVMDIS = 1 << 4;

    private final Cpu cpu;
    private long key;

    SvmLock(Cpu cpu) {
        this.cpu = cpu;
    }

    /** WRMSR VM_CR (C001_0114h); false means #GP(0). */
    public boolean writeVmCr(long value) {
        if ((value & ~0x1fL) != 0) {
            return false;
        }
        if ((value & VM_CR_SVMDIS) != 0 && (cpu.efer & Cpu.EFER_SVME) != 0) {
            return false;
        }
        boolean lockable = cpu.model.has(CpuFeature.SVM_LOCK); // else both are read-only (§15.31)
        long locked = VM_CR_LOCK | VM_CR_SVMDIS;
        long old = cpu.msrs.vmCr;
        boolean writable = lockable && (old & VM_CR_LOCK) == 0;
        cpu.msrs.vmCr = writable ? value : value & ~locked | old & locked;
        return true;
    }

    /** WRMSR VM_HSAVE_PA (C001_0117h); false means #GP(0). */
    public boolean writeHostSaveArea(long value) {
        if ((value & 0xfff) != 0 || value >>> CpuModel.PHYSICAL_BITS != 0) {
            return false;
        }
        cpu.msrs.vmHsavePa = value;
        return true;
    }

    /**
     * WRMSR SVM_KEY (C001_0118h): sets the key while VM_CR is not locked, otherwise unlocks it if
     * the key matches and is not 0.
     */
    public void writeKey(long value) {
        if ((cpu.msrs.vmCr & VM_CR_LOCK) == 0) {
            key = value;
        } else if (value == key && key != 0) {
            cpu.msrs.vmCr &= ~VM_CR_LOCK;
        }
    }

    /** INIT clears SVMDIS unless it is locked (§15.30.1). */
    public void init() {
        if ((cpu.msrs.vmCr & VM_CR_LOCK) == 0) {
            cpu.msrs.vmCr &= ~VM_CR_SVMDIS;
        }
    }

    /** Whether WRMSR EFER must treat SVME as a bit that must be zero. */
    public boolean svmDisabled() {
        return (cpu.msrs.vmCr & VM_CR_SVMDIS) != 0;
    }

    void save(StateWriter out) {
        out.u64("svmKey", key);
    }

    void load(StateReader in) {
        key = in.u64("svmKey");
    }
}
