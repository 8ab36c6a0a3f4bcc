package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.cpu.GuestException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Virtual VMLOAD and VMSAVE (§15.33.1). */
class VirtualVmloadVmsaveTest {
    private static final String VMLOAD = "0f01da";
    private static final String VMSAVE = "0f01db";
    private static final long ENABLE = 2;

    /** The guest's idea of a VMCB's address, and where nested paging puts it. */
    private static final long GUEST_VMCB = 0x90000;

    private static final long SYSTEM_VMCB = 0x95000;

    private static final long FINAL = 1L << 32;
    private static final long USER = 4;
    private static final long WRITE = 2;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @BeforeEach
    void guest() {
        machine.nestedPaging();
        machine.nestedPage(GUEST_VMCB, SYSTEM_VMCB | SvmMachine.P | SvmMachine.W | SvmMachine.U);
        machine.put64(VmcbLayout.LBR_VIRTUALIZATION_ENABLE, ENABLE);
        machine.put64(VmcbLayout.RAX, GUEST_VMCB);
        machine.memory.write64(SYSTEM_VMCB + VmcbLayout.STAR, 0x1234);
        machine.memory.write64(GUEST_VMCB + VmcbLayout.STAR, 0xbad);
    }

    @AfterEach
    void release() {
        machine.close();
    }

    private void run(String hex) {
        machine.code(SvmMachine.GUEST_CODE, hex);
        machine.vmrun();
        machine.run(1);
    }

    private void assertExit(int code) {
        assertThat(cpu.guestMode).isFalse();
        assertThat(machine.exitCode()).isEqualTo(code);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
    }

    @Test
    void vmloadReadsTheGuestPhysicalPage() {
        run(VMLOAD);
        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 3);
        assertThat(cpu.msrs.star).isEqualTo(0x1234);
    }

    @Test
    void vmsaveWritesTheGuestPhysicalPage() {
        cpu.msrs.star = 0x77;
        run(VMSAVE);
        assertThat(cpu.guestMode).isTrue();
        assertThat(machine.memory.read64(SYSTEM_VMCB + VmcbLayout.STAR)).isEqualTo(0x77);
        assertThat(machine.memory.read64(GUEST_VMCB + VmcbLayout.STAR)).isEqualTo(0xbad);
    }

    @Test
    void aPageThatIsNotPresentExitsWithANestedPageFault() {
        machine.nestedPage(GUEST_VMCB, 0);
        run(VMLOAD);
        assertExit(ExitCode.NPF);
        assertThat(machine.info1()).isEqualTo(FINAL | USER);
        assertThat(machine.info2()).isEqualTo(GUEST_VMCB);
        assertThat(machine.get64(VmcbLayout.NRIP)).isZero();
    }

    @Test
    void vmsaveToAReadOnlyPageExitsWithANestedPageFault() {
        machine.nestedPage(GUEST_VMCB, SYSTEM_VMCB | SvmMachine.P | SvmMachine.U);
        cpu.msrs.star = 0x77;
        run(VMSAVE);
        assertExit(ExitCode.NPF);
        assertThat(machine.info1()).isEqualTo(FINAL | USER | WRITE | SvmMachine.P);
        assertThat(machine.memory.read64(SYSTEM_VMCB + VmcbLayout.STAR)).isEqualTo(0x1234);
    }

    @Test
    void vmloadOfAReadOnlyPageWorks() {
        machine.nestedPage(GUEST_VMCB, SYSTEM_VMCB | SvmMachine.P | SvmMachine.U);
        run(VMLOAD);
        assertThat(cpu.msrs.star).isEqualTo(0x1234);
    }

    @ParameterizedTest
    @ValueSource(ints = {ExitCode.VMLOAD, ExitCode.VMSAVE})
    void theInterceptsComeFirst(int code) {
        machine.intercept(code);
        machine.nestedPage(GUEST_VMCB, 0);
        run(code == ExitCode.VMLOAD ? VMLOAD : VMSAVE);
        assertExit(code);
        assertThat(machine.get64(VmcbLayout.NRIP)).isEqualTo(SvmMachine.GUEST_CODE + 3);
    }

    @ParameterizedTest
    @ValueSource(ints = {ExitCode.VMLOAD, ExitCode.VMSAVE})
    void withoutNestedPagingBothExit(int code) {
        machine.put64(VmcbLayout.NP_ENABLE, 0);
        run(code == ExitCode.VMLOAD ? VMLOAD : VMSAVE);
        assertExit(code);
    }

    @Test
    void underAHostInCompatibilityModeBothExit() {
        cpu.segAttr[Cpu.CS] = SvmMachine.CODE32;
        cpu.updateMode();
        run(VMLOAD);
        assertExit(ExitCode.VMLOAD);
    }

    @ParameterizedTest
    @ValueSource(longs = {GUEST_VMCB + 8, 1L << 48})
    void anAddressThatIsNoPageIsTheGuestsFault(long address) {
        machine.put64(VmcbLayout.RAX, address);
        machine.intercept(ExitCode.EXCEPTION + GuestException.GP);
        machine.intercept(ExitCode.VMLOAD);
        run(VMLOAD);
        assertExit(ExitCode.EXCEPTION + GuestException.GP);
    }

    @Test
    void privilegeIsCheckedFirst() {
        machine.put8(VmcbLayout.CPL, 3);
        machine.intercept(ExitCode.EXCEPTION + GuestException.GP);
        run(VMSAVE);
        assertExit(ExitCode.EXCEPTION + GuestException.GP);
    }

    @Test
    void notEnabledTheAddressIsSystemPhysical() {
        machine.put64(VmcbLayout.LBR_VIRTUALIZATION_ENABLE, 0);
        run(VMLOAD);
        assertThat(cpu.msrs.star).isEqualTo(0xbad);
    }

    @Test
    void aModelWithoutItIgnoresTheBit() {
        cpu.model = CpuModel.parse("epyc-milan,-v-vmsave-vmload");
        run(VMLOAD);
        assertThat(cpu.msrs.star).isEqualTo(0xbad);
    }

    @Test
    void aGuestsAddressBeyondTheHostsMemoryIsLeftToTheIntercept() {
        machine.put64(VmcbLayout.RAX, 1L << 40);
        machine.intercept(ExitCode.VMLOAD);
        run(VMLOAD);
        assertExit(ExitCode.VMLOAD);
    }

    @Test
    void withoutSvmeAddrChkSuchAnAddressFaultsFirst() {
        cpu.model = CpuModel.parse("epyc-milan,-svme-addr-chk");
        machine.put64(VmcbLayout.RAX, 1L << 40);
        machine.intercept(ExitCode.VMLOAD);
        machine.intercept(ExitCode.EXCEPTION + GuestException.GP);
        run(VMLOAD);
        assertExit(ExitCode.EXCEPTION + GuestException.GP);
    }

    @Test
    void notInterceptedItFaults() {
        machine.put64(VmcbLayout.LBR_VIRTUALIZATION_ENABLE, 0);
        machine.put64(VmcbLayout.RAX, 1L << 40);
        machine.intercept(ExitCode.EXCEPTION + GuestException.GP);
        run(VMSAVE);
        assertExit(ExitCode.EXCEPTION + GuestException.GP);
    }
}
