package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.cpu.GuestException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** VM_CR, VM_HSAVE_PA and SVM_KEY: §15.30.1, §15.30.4, §15.31. */
class SvmLockTest {
    private static final int SVM_KEY = 0xc001_0118;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;
    private final SvmLock lock = machine.svm.lock;

    @AfterEach
    void release() {
        machine.close();
    }

    @Test
    void reservedBitsOfVmCrRaiseGeneralProtection() {
        assertThat(lock.writeVmCr(0x20)).isFalse();
        assertThat(lock.writeVmCr(1L << 63)).isFalse();
        assertThat(cpu.msrs.vmCr).isZero();
    }

    @Test
    void disablingSvmWhileItIsEnabledRaisesGeneralProtection() {
        assertThat(lock.writeVmCr(SvmLock.VM_CR_SVMDIS)).isFalse();
        cpu.efer &= ~Cpu.EFER_SVME;
        assertThat(lock.writeVmCr(SvmLock.VM_CR_SVMDIS)).isTrue();
        assertThat(lock.svmDisabled()).isTrue();
    }

    @Test
    void whileLockedLockAndDisableKeepTheirValues() {
        cpu.efer &= ~Cpu.EFER_SVME;
        assertThat(lock.writeVmCr(SvmLock.VM_CR_LOCK | SvmLock.VM_CR_SVMDIS)).isTrue();
        assertThat(lock.writeVmCr(SvmLock.VM_CR_R_INIT)).isTrue();
        assertThat(cpu.msrs.vmCr)
                .isEqualTo(SvmLock.VM_CR_LOCK | SvmLock.VM_CR_SVMDIS | SvmLock.VM_CR_R_INIT);
    }

    @Test
    void onlyTheKeyUnlocks() {
        cpu.efer &= ~Cpu.EFER_SVME;
        lock.writeKey(0x1234);
        lock.writeVmCr(SvmLock.VM_CR_LOCK);
        lock.writeKey(0x4321);
        assertThat(cpu.msrs.vmCr).isEqualTo(SvmLock.VM_CR_LOCK);
        lock.writeKey(0x1234);
        assertThat(cpu.msrs.vmCr).isZero();
    }

    @Test
    void aKeyOfZeroNeverUnlocks() {
        lock.writeVmCr(SvmLock.VM_CR_LOCK);
        lock.writeKey(0);
        assertThat(cpu.msrs.vmCr).isEqualTo(SvmLock.VM_CR_LOCK);
    }

    @Test
    void initClearsDisableUnlessLocked() {
        cpu.efer &= ~Cpu.EFER_SVME;
        lock.writeVmCr(SvmLock.VM_CR_SVMDIS);
        lock.init();
        assertThat(lock.svmDisabled()).isFalse();
        lock.writeVmCr(SvmLock.VM_CR_SVMDIS | SvmLock.VM_CR_LOCK);
        lock.init();
        assertThat(lock.svmDisabled()).isTrue();
    }

    @Test
    void theHostSaveAreaMustBeAlignedAndBelowTheAddressLimit() {
        assertThat(lock.writeHostSaveArea(0x800)).isFalse();
        assertThat(lock.writeHostSaveArea(1L << 48)).isFalse();
        assertThat(lock.writeHostSaveArea(0x7000)).isTrue();
        assertThat(cpu.msrs.vmHsavePa).isEqualTo(0x7000);
    }

    /** §15.31: VM_CR.SVMDIS is read-only then, as firmware left it, and there is no key. */
    @Test
    void withoutTheFeatureNothingLocks() {
        cpu.model = CpuModel.parse("epyc-milan,-svm-lock");
        cpu.efer &= ~Cpu.EFER_SVME;
        assertThat(lock.writeVmCr(0x1f)).isTrue();
        assertThat(cpu.msrs.vmCr).isEqualTo(7);
        cpu.msrs.vmCr = SvmLock.VM_CR_LOCK | SvmLock.VM_CR_SVMDIS;
        assertThat(lock.writeVmCr(0)).isTrue();
        assertThat(lock.svmDisabled()).isTrue();
        assertThatThrownBy(() -> cpu.msrs.read(SVM_KEY)).isInstanceOf(GuestException.class);
        assertThatThrownBy(() -> cpu.msrs.write(SVM_KEY, 1)).isInstanceOf(GuestException.class);
    }

    @Test
    void theKeyCannotBeRead() {
        cpu.msrs.write(SVM_KEY, 0x1234);
        assertThat(cpu.msrs.read(SVM_KEY)).isZero();
    }
}
