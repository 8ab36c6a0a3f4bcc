package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.cpu.GuestException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** NMI virtualization (§15.21.10). */
class VirtualNmiTest {
    private static final long V_GIF = 1 << 9;
    private static final long V_NMI = 1 << 11;
    private static final long V_NMI_MASK = 1 << 12;
    private static final long V_GIF_ENABLE = 1 << 25;
    private static final long V_NMI_ENABLE = 1 << 26;
    private static final long INJECTED_NMI =
            EventInjection.VALID | EventInjection.TYPE_NMI << 8 | 2;
    private static final long HANDLER = SvmMachine.HANDLERS + 16 * 2;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @BeforeEach
    void guest() {
        machine.intercept(ExitCode.HLT);
        machine.intercept(ExitCode.NMI);
        machine.code(SvmMachine.GUEST_CODE, "90 90 90 f4");
    }

    @AfterEach
    void release() {
        machine.close();
    }

    private void control(long bits) {
        machine.put64(VmcbLayout.V_INTR, bits);
    }

    private long bits() {
        return machine.get64(VmcbLayout.V_INTR) & (V_NMI | V_NMI_MASK);
    }

    @Test
    void withoutTheNmiInterceptVmrunRefuses() {
        machine.put32(VmcbLayout.INTERCEPT_MISC1, 0);
        control(V_NMI_ENABLE);
        machine.vmrun();
        assertThat(machine.exitCode()).isEqualTo(-1);
        cpu.model = CpuModel.parse("epyc-milan,-vnmi");
        cpu.rip = SvmMachine.HOST_CODE;
        machine.vmrun();
        assertThat(cpu.guestMode).as("reserved in a model without it").isTrue();
    }

    @Test
    void aVirtualNmiWaitsForGif() {
        control(V_NMI_ENABLE | V_NMI);
        machine.vmrun();
        cpu.gif = false;
        machine.run(2);
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 2);
        cpu.gif = true;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(HANDLER);
    }

    @Test
    void aVirtualNmiIsTakenAndMasksTheNext() {
        control(V_NMI_ENABLE | V_NMI);
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(HANDLER);
        assertThat(machine.memory.read64(cpu.r[Cpu.RSP])).isEqualTo(SvmMachine.GUEST_CODE);
        machine.run(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(bits()).isEqualTo(V_NMI_MASK);
        assertThat(cpu.nmiBlocked).as("the host's NMIs").isFalse();
    }

    @Test
    void oneThatIsMaskedWaitsForIret() {
        machine.code(HANDLER, "90 48cf"); // nop; iretq
        machine.put64(VmcbLayout.EVENTINJ, INJECTED_NMI);
        control(V_NMI_ENABLE | V_NMI);
        machine.vmrun(); // injects: in the handler, the virtual NMI waits
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(HANDLER + 1);
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE);
        machine.run(1);
        assertThat(cpu.rip).as("taken right after IRET").isEqualTo(HANDLER);
        machine.run(3);
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 1);
        machine.run(3);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(bits()).isZero();
    }

    @Test
    void theMaskInTheVmcbHoldsItBack() {
        control(V_NMI_ENABLE | V_NMI | V_NMI_MASK);
        machine.vmrunAndRun(4);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(bits()).isEqualTo(V_NMI | V_NMI_MASK);
    }

    @Test
    void anIretThatFaultsKeepsTheMask() {
        machine.code(SvmMachine.GUEST_CODE, "48cf");
        machine.put64(VmcbLayout.RSP, 0x3000_0000);
        machine.intercept(ExitCode.EXCEPTION + GuestException.PF);
        control(V_NMI_ENABLE | V_NMI_MASK);
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + GuestException.PF);
        assertThat(bits()).isEqualTo(V_NMI_MASK);
    }

    @Test
    void anInterceptedIretKeepsTheMask() {
        machine.code(SvmMachine.GUEST_CODE, "48cf");
        machine.intercept(ExitCode.IRET);
        control(V_NMI_ENABLE | V_NMI_MASK);
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.IRET);
        assertThat(bits()).isEqualTo(V_NMI_MASK);
    }

    @Test
    void iretInTheGuestDoesNotUnmaskTheHostsNmis() {
        machine.memory.write64(SvmMachine.GUEST_STACK, SvmMachine.GUEST_CODE + 2);
        machine.memory.write64(SvmMachine.GUEST_STACK + 8, 0x10);
        machine.memory.write64(SvmMachine.GUEST_STACK + 16, 2);
        machine.memory.write64(SvmMachine.GUEST_STACK + 24, SvmMachine.GUEST_STACK);
        machine.memory.write64(SvmMachine.GUEST_STACK + 32, 0x18);
        machine.code(SvmMachine.GUEST_CODE, "48cf f4");
        cpu.nmiBlocked = true;
        control(V_NMI_ENABLE | V_NMI_MASK);
        machine.vmrunAndRun(2);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(bits()).isZero();
        assertThat(cpu.nmiBlocked).isTrue();
    }

    @Test
    void theShadowOfAnInterruptHoldsItBackForOneInstruction() {
        machine.put64(VmcbLayout.INTERRUPT_SHADOW, 1);
        control(V_NMI_ENABLE | V_NMI);
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 1);
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(HANDLER);
    }

    @Test
    void theVirtualGifMasksIt() {
        machine.code(SvmMachine.GUEST_CODE, "90 0f01dc 90");
        control(V_NMI_ENABLE | V_NMI | V_GIF_ENABLE);
        machine.vmrun();
        machine.run(2);
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 4);
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(HANDLER);
        assertThat(machine.memory.read64(cpu.r[Cpu.RSP])).isEqualTo(SvmMachine.GUEST_CODE + 4);
    }

    @Test
    void theVirtualGifSetLetsItThrough() {
        control(V_NMI_ENABLE | V_NMI | V_GIF_ENABLE | V_GIF);
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(HANDLER);
    }

    @Test
    void thePhysicalNmiExitsFirst() {
        control(V_NMI_ENABLE | V_NMI);
        cpu.nmiPending = true;
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.NMI);
        assertThat(bits()).isEqualTo(V_NMI);
    }

    @Test
    void itComesBeforeInterrupts() {
        machine.put64(VmcbLayout.RFLAGS, Cpu.IF | 2);
        machine.apic.pending = 0x51;
        control(V_NMI_ENABLE | V_NMI);
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(HANDLER);
    }

    @Test
    void anExitDuringItsDeliveryUnmasksAndTellsOfIt() {
        machine.nestedPaging();
        machine.nestedPage(SvmMachine.GUEST_STACK - 0x1000, 0);
        control(V_NMI_ENABLE | V_NMI);
        assertThat(machine.vmrunAndRun(1)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.NPF);
        assertThat(machine.get64(VmcbLayout.EXITINTINFO)).isEqualTo(INJECTED_NMI);
        assertThat(bits()).isZero();
    }

    @Test
    void anInjectedNmiMasksVirtualOnes() {
        machine.put64(VmcbLayout.EVENTINJ, INJECTED_NMI);
        control(V_NMI_ENABLE);
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(bits()).isEqualTo(V_NMI_MASK);
    }

    @Test
    void notEnabledAnInjectedNmiMasksNothingAndTheBitsStay() {
        machine.put64(VmcbLayout.EVENTINJ, INJECTED_NMI);
        control(V_NMI);
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(bits()).isEqualTo(V_NMI);
        assertThat(cpu.nmiBlocked).isFalse();
    }

    @Test
    void itWakesAHaltedGuest() {
        machine.put32(VmcbLayout.INTERCEPT_MISC1, 0);
        machine.intercept(ExitCode.NMI);
        machine.code(SvmMachine.GUEST_CODE, "f4 90");
        machine.put64(VmcbLayout.INTERRUPT_SHADOW, 1);
        control(V_NMI_ENABLE | V_NMI);
        machine.vmrun();
        machine.run(2);
        assertThat(cpu.rip).isEqualTo(HANDLER);
        assertThat(cpu.activity).isEqualTo(Cpu.RUNNING);
        assertThat(machine.memory.read64(cpu.r[Cpu.RSP])).isEqualTo(SvmMachine.GUEST_CODE + 1);
    }
}
