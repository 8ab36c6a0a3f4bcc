package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.cpu.GuestException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** When the SVM instructions may execute at all: §15.4, §15.5.1, §15.17, §15.18, §15.31. */
class VmrunInstructionTest {
    private static final String VMRUN = "0f01d8";
    private static final String VMMCALL = "0f01d9";
    private static final String VMLOAD = "0f01da";
    private static final String VMSAVE = "0f01db";
    private static final String STGI = "0f01dc";
    private static final String CLGI = "0f01dd";
    private static final String SKINIT = "0f01de";
    private static final String INVLPGA = "0f01df";

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @AfterEach
    void release() {
        machine.close();
    }

    private static void assertFault(GuestException fault, int vector) {
        assertThat(fault).isNotNull();
        assertThat(fault.vector).isEqualTo(vector);
        if (vector == GuestException.GP) {
            assertThat(fault.errorCode).isZero();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {VMRUN, VMMCALL, VMLOAD, VMSAVE, CLGI, INVLPGA, SKINIT})
    void withoutSvmeInstructionsAreUndefined(String instruction) {
        cpu.efer &= ~Cpu.EFER_SVME;
        assertFault(machine.execute(instruction), GuestException.UD);
        cpu.cpl = 3;
        assertFault(machine.execute(instruction), GuestException.UD);
    }

    @Test
    void withSvmLockOfferedStgiWorksWithoutSvme() {
        cpu.efer &= ~Cpu.EFER_SVME;
        cpu.gif = false;
        assertThat(machine.execute(STGI)).isNull();
        assertThat(cpu.gif).isTrue();
    }

    @Test
    void withoutSvmLockStgiNeedsSvme() {
        cpu.model = CpuModel.parse("epyc-milan,-svm-lock");
        cpu.efer &= ~Cpu.EFER_SVME;
        assertFault(machine.execute(STGI), GuestException.UD);
    }

    @ParameterizedTest
    @ValueSource(strings = {VMRUN, VMLOAD, VMSAVE, STGI, CLGI, INVLPGA})
    void outsideProtectedModeInstructionsAreUndefined(String instruction) {
        cpu.cr0 = Cpu.CR0_ET;
        cpu.efer = Cpu.EFER_SVME;
        cpu.updateMode();
        assertFault(machine.execute(instruction), GuestException.UD);
    }

    @ParameterizedTest
    @ValueSource(strings = {VMRUN, VMLOAD, VMSAVE, STGI, CLGI, INVLPGA})
    void atLowerPrivilegeInstructionsRaiseGeneralProtection(String instruction) {
        cpu.cpl = 3;
        assertFault(machine.execute(instruction), GuestException.GP);
    }

    @Test
    void vmmcallInTheHostIsUndefined() {
        assertFault(machine.execute(VMMCALL), GuestException.UD);
    }

    @ParameterizedTest
    @ValueSource(strings = {VMRUN, VMLOAD, VMSAVE})
    void aMisalignedVmcbRaisesGeneralProtection(String instruction) {
        cpu.r[Cpu.RAX] = SvmMachine.VMCB + 0x800;
        assertFault(machine.execute(instruction), GuestException.GP);
    }

    @ParameterizedTest
    @ValueSource(strings = {VMRUN, VMLOAD, VMSAVE})
    void aVmcbBeyondThePhysicalAddressLimitRaisesGeneralProtection(String instruction) {
        cpu.r[Cpu.RAX] = 1L << 48;
        assertFault(machine.execute(instruction), GuestException.GP);
    }

    @ParameterizedTest
    @ValueSource(strings = {VMRUN, VMLOAD, VMSAVE})
    void aVmcbOutsideMemoryRaisesGeneralProtection(String instruction) {
        cpu.r[Cpu.RAX] = 0xfee0_0000L;
        assertFault(machine.execute(instruction), GuestException.GP);
    }

    @Test
    void vmrunWithoutHostSaveAreaRaisesGeneralProtection() {
        cpu.msrs.vmHsavePa = 0;
        assertFault(machine.execute(VMRUN), GuestException.GP);
    }

    @Test
    void vmrunTakesTheAddressInTheEffectiveAddressSize() {
        cpu.r[Cpu.RAX] = 0x7777_0000_0000L | SvmMachine.VMCB;
        assertThat(machine.execute("67" + VMRUN)).isNull();
        assertThat(cpu.guestMode).isTrue();
    }

    @Test
    void aFaultingVmrunChangesNothing() {
        cpu.r[Cpu.RAX] = SvmMachine.VMCB + 1;
        byte[] before = new byte[4096];
        machine.memory.read(SvmMachine.VMCB, before, 0, 4096);
        machine.execute(VMRUN);
        byte[] after = new byte[4096];
        machine.memory.read(SvmMachine.VMCB, after, 0, 4096);
        assertThat(after).isEqualTo(before);
        assertThat(cpu.guestMode).isFalse();
        assertThat(cpu.rip).isEqualTo(SvmMachine.HOST_CODE);
    }

    @Test
    void clgiAndStgiChangeTheGlobalInterruptFlag() {
        assertThat(machine.execute(CLGI)).isNull();
        assertThat(cpu.gif).isFalse();
        assertThat(machine.execute(STGI)).isNull();
        assertThat(cpu.gif).isTrue();
    }

    @Test
    void interceptedInstructionsOfTheGuestExitAfterTheirPrivilegeChecks() {
        machine.intercept(ExitCode.STGI);
        machine.vmrun();
        cpu.cpl = 3;
        assertFault(machine.execute(STGI), GuestException.GP);
        cpu.cpl = 0;
        assertThat(machine.execute(STGI)).isNull();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.STGI);
        assertThat(cpu.guestMode).isFalse();
    }

    @Test
    void interceptedVmmcallExitsAtAnyPrivilege() {
        machine.intercept(ExitCode.VMMCALL);
        machine.vmrun();
        cpu.cpl = 3;
        assertThat(machine.execute(VMMCALL)).isNull();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.VMMCALL);
    }

    @Test
    void vmrunOfTheGuestExitsWithTheGuestStillAtIt() {
        machine.vmrun();
        assertThat(machine.execute(VMRUN))
                .as("RAX of the guest is 0, a legal VMCB address")
                .isNull();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.VMRUN);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
        assertThat(machine.get64(VmcbLayout.NRIP)).isEqualTo(SvmMachine.GUEST_CODE + 3);
    }
}
