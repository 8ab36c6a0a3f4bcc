package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.check.HypervisorCheck;
import dev.pacifica.emulator.cpu.Cpu;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * State that VMRUN leaves to software (§15.5.1, §15.5.2), which the host forgets to take back, or
 * takes back late, or never uses.
 */
class HostStateCheckTest {
    private static final long HOST_VMCB = 0x70000;
    private static final long HOST_TSS = 0x63000;
    private static final long USER_CODE = 0x49000;
    private static final long FS_OF_GUEST = 0x12_3000;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;
    private final HypervisorCheck check = new HypervisorCheck(List.of(cpu));

    @BeforeEach
    void hostWithTablesOfItsOwn() {
        machine.interceptSafely();
        cpu.gdtrBase = SvmMachine.GDT;
        cpu.gdtrLimit = 0xfff;
        cpu.idtrBase = SvmMachine.IDT;
        cpu.idtrLimit = 0xfff;
        cpu.segSelector[Cpu.TR] = 0x20;
        cpu.segAttr[Cpu.TR] = 0x08b;
        cpu.segLimit[Cpu.TR] = 0x67;
        cpu.segBase[Cpu.TR] = HOST_TSS;
        machine.memory.write64(HOST_TSS + 4, 0x4f000);
        cpu.segBase[Cpu.FS] = 0x45_6000;
        machine.segment(VmcbLayout.FS, 0x18, SvmMachine.DATA, 0xffff_ffffL, FS_OF_GUEST);
        machine.code(USER_CODE, "cc"); // int3
        cpu.observer = check;
    }

    @AfterEach
    void release() {
        machine.close();
    }

    private void transfer(String instruction, long vmcb) {
        cpu.r[Cpu.RAX] = vmcb;
        assertThat(machine.execute(instruction)).isNull();
    }

    private void vmload(long vmcb) {
        transfer("0f01da", vmcb);
    }

    private void vmsave(long vmcb) {
        transfer("0f01db", vmcb);
    }

    private void runGuest(String code) {
        machine.code(SvmMachine.GUEST_CODE, code + "f4");
        machine.put64(VmcbLayout.RIP, SvmMachine.GUEST_CODE);
        cpu.rip = SvmMachine.HOST_CODE;
        cpu.r[Cpu.RAX] = SvmMachine.VMCB;
        machine.vmrun();
        assertThat(machine.run(8)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
    }

    /** The host's breakpoint instruction at the given privilege goes through its IDT. */
    private void interruptHost(int cpl) {
        cpu.cpl = cpl;
        for (int i = 0; i < 4; i++) {
            boolean code = i == Cpu.CS;
            cpu.segSelector[i] = cpl == 0 ? code ? 0x10 : 0x18 : code ? 0x2b : 0x33;
            cpu.segAttr[i] = (code ? SvmMachine.CODE64 : SvmMachine.DATA) | cpl << 5;
        }
        cpu.updateMode();
        cpu.rip = USER_CODE;
        machine.step(1);
        assertThat(cpu.cpl).isZero();
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 3 * 16);
    }

    private List<String> found() {
        return check.findings().stream()
                .map(finding -> finding.kind.label() + ": " + finding.subject)
                .toList();
    }

    @Test
    void userCodeWithTheGuestsSegmentAndAStackFromTheGuestsTss() {
        vmload(SvmMachine.VMCB);
        runGuest("");
        interruptHost(3);
        assertThat(found())
                .containsExactly(
                        "host-state-not-restored: FS.base", "host-state-not-restored: TR.base");
        assertThat(check.findings().iterator().next().detail)
                .isEqualTo(
                        "user code of the host runs with the guest's 0x123000 instead of 0x456000");
        assertThat(cpu.r[Cpu.RSP]).isGreaterThan(SvmMachine.GUEST_STACK).isLessThan(0x59001);
    }

    @Test
    void vmloadTakesTheHostsStateBack() {
        for (int i = 0; i < 2; i++) {
            vmsave(HOST_VMCB);
            vmload(SvmMachine.VMCB);
            runGuest("");
            vmsave(SvmMachine.VMCB);
            vmload(HOST_VMCB);
            interruptHost(3);
        }
        assertThat(found()).isEmpty();
    }

    @Test
    void aRegisterTakenBackByHandIsTheHosts() {
        vmload(SvmMachine.VMCB);
        runGuest("");
        cpu.segBase[Cpu.FS] = 0x45_6000;
        cpu.segBase[Cpu.TR] = HOST_TSS;
        interruptHost(3);
        assertThat(found()).isEmpty();
    }

    /** As Xen does, which takes the host's state back when it leaves the virtual processor. */
    @Test
    void aHostThatDoesNotUseTheStateMayLeaveItAsItIs() {
        vmload(SvmMachine.VMCB);
        for (int i = 0; i < 3; i++) {
            runGuest("");
            interruptHost(0);
        }
        assertThat(found()).isEmpty();
    }

    @Test
    void aStackFromTheGuestsTssByAnInterruptStackTable() {
        long gate = SvmMachine.IDT + 3 * 16 + 4;
        machine.memory.write(gate, 1, 1);
        machine.memory.write64(SvmMachine.TSS + 0x24, 0x5f000);
        vmload(SvmMachine.VMCB);
        runGuest("");
        interruptHost(0);
        assertThat(found()).containsExactly("host-state-not-restored: TR.base");
    }

    @Test
    void aBreakpointAtTheGuestsAddress() {
        runGuest("48c7c0 78560000 0f23c0"); // mov rax, 5678h; mov dr0, rax
        cpu.dr[7] = 0x402;
        runGuest("");
        assertThat(found()).containsExactly("host-debug-not-restored: DR0");
    }

    @Test
    void aBreakpointAtAnAddressOfTheHosts() {
        runGuest("48c7c0 78560000 0f23c0");
        cpu.dr[0] = 0x1234;
        cpu.dr[7] = 0x402;
        runGuest("");
        assertThat(found()).isEmpty();
    }

    private void guestChangesXmm() {
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | 1 << 9);
        runGuest("660f76c0"); // pcmpeqd xmm0, xmm0
    }

    @Test
    void userCodeWithTheGuestsVectorRegisters() {
        guestChangesXmm();
        interruptHost(3);
        assertThat(found()).containsExactly("host-fpu-not-restored: x87 and XMM registers");
    }

    /** As KVM does: the guest's registers stay until the host goes back to user code. */
    @Test
    void vectorRegistersMayBeTakenBackLate() {
        guestChangesXmm();
        interruptHost(0);
        cpu.fpu.xmm[0] = 1;
        interruptHost(3);
        assertThat(found()).isEmpty();
    }

    @Test
    void vectorRegistersThatTheGuestLeftAloneAreTheHosts() {
        cpu.fpu.xmm[0] = 1;
        runGuest("");
        interruptHost(3);
        assertThat(found()).isEmpty();
    }
}
