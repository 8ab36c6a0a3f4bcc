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

/** The virtual global interrupt flag (§15.33.2) and what it masks (§15.17, §15.21). */
class VirtualGifTest {
    private static final long V_IRQ = 1 << 8;
    private static final long V_GIF = 1 << 9;
    private static final long V_INTR_MASKING = 1 << 24;
    private static final long V_GIF_ENABLE = 1 << 25;
    private static final int VECTOR = 0x51;
    private static final int VIRTUAL_VECTOR = 0x41;
    private static final String STGI = "0f01dc";
    private static final String CLGI = "0f01dd";

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @BeforeEach
    void guest() {
        machine.intercept(ExitCode.HLT);
        machine.put64(VmcbLayout.RFLAGS, Cpu.IF | 2);
    }

    @AfterEach
    void release() {
        machine.close();
    }

    private void control(long bits) {
        machine.put64(VmcbLayout.V_INTR, bits | 4 << 16 | (long) VIRTUAL_VECTOR << 32);
    }

    private boolean vGifInVmcb() {
        return (machine.get64(VmcbLayout.V_INTR) & V_GIF) != 0;
    }

    private static long handler(int vector) {
        return SvmMachine.HANDLERS + 16L * vector;
    }

    @Test
    void whileClearItHoldsAVirtualInterruptBackUntilStgi() {
        machine.code(SvmMachine.GUEST_CODE, "90 90" + STGI + "90");
        control(V_GIF_ENABLE | V_INTR_MASKING | V_IRQ);
        machine.vmrun();
        machine.run(3);
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 5);
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(handler(VIRTUAL_VECTOR));
        assertThat(machine.memory.read64(cpu.r[Cpu.RSP])).isEqualTo(SvmMachine.GUEST_CODE + 5);
    }

    @Test
    void clgiMasksAVirtualInterruptThatComesLater() {
        machine.code(SvmMachine.GUEST_CODE, "fa" + CLGI + "fb 90 90 f4"); // cli clgi sti nop nop
        control(V_GIF_ENABLE | V_GIF | V_INTR_MASKING | V_IRQ);
        machine.put64(VmcbLayout.RFLAGS, 2);
        assertThat(machine.vmrunAndRun(6)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(machine.get64(VmcbLayout.V_INTR) & V_IRQ).as("still pending").isNotZero();
        assertThat(vGifInVmcb()).isFalse();
    }

    @Test
    void exitSavesWhatStgiSetAndLeavesThePhysicalFlagAlone() {
        machine.code(SvmMachine.GUEST_CODE, STGI + "f4");
        control(V_GIF_ENABLE);
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.gif).isTrue();
        machine.run(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(vGifInVmcb()).isTrue();
        assertThat(cpu.gif).isFalse();
    }

    @Test
    void clgiLeavesThePhysicalFlagSet() {
        machine.code(SvmMachine.GUEST_CODE, CLGI + "90");
        control(V_GIF_ENABLE | V_GIF);
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.gif).isTrue();
    }

    @Test
    void clearItDoesNotMaskPhysicalInterrupts() {
        machine.code(SvmMachine.GUEST_CODE, "90");
        machine.intercept(ExitCode.INTR);
        control(V_GIF_ENABLE);
        machine.apic.pending = VECTOR;
        assertThat(machine.vmrunAndRun(1)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.INTR);
    }

    @Test
    void clearItDoesNotMaskPhysicalNmisNorInits() {
        machine.code(SvmMachine.GUEST_CODE, "90");
        machine.intercept(ExitCode.NMI);
        machine.intercept(ExitCode.INIT);
        control(V_GIF_ENABLE);
        cpu.nmiPending = true;
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.NMI);
        cpu.nmiPending = false;
        cpu.initPending = true;
        cpu.rip = SvmMachine.HOST_CODE;
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.INIT);
    }

    @Test
    void theInterceptOfAVirtualInterruptWaitsForItToo() {
        machine.code(SvmMachine.GUEST_CODE, "90" + STGI + "90");
        machine.intercept(ExitCode.VINTR);
        control(V_GIF_ENABLE | V_IRQ);
        assertThat(machine.vmrunAndRun(3)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.VINTR);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE + 4);
        assertThat(machine.get64(VmcbLayout.V_INTR) & V_IRQ).isNotZero();
    }

    @Test
    void aVirtualInterruptAfterStgiStillObeysFlagShadowAndPriority() {
        machine.code(SvmMachine.GUEST_CODE, STGI + "90 fb 90 90");
        control(V_GIF_ENABLE | V_IRQ);
        machine.put64(VmcbLayout.RFLAGS, 2);
        machine.vmrun();
        machine.run(4); // the last one in the shadow of STI
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 6);
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(handler(VIRTUAL_VECTOR));
    }

    @ParameterizedTest
    @ValueSource(ints = {ExitCode.STGI, ExitCode.CLGI})
    void theInterceptsComeBeforeTheVirtualFlag(int code) {
        machine.code(SvmMachine.GUEST_CODE, code == ExitCode.STGI ? STGI : CLGI);
        machine.intercept(code);
        control(V_GIF_ENABLE | (code == ExitCode.STGI ? 0 : V_GIF));
        assertThat(machine.vmrunAndRun(1)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(code);
        assertThat(vGifInVmcb()).as("unchanged").isEqualTo(code == ExitCode.CLGI);
        assertThat(machine.get64(VmcbLayout.NRIP)).isEqualTo(SvmMachine.GUEST_CODE + 3);
    }

    @Test
    void privilegeIsCheckedBeforeTheVirtualFlag() {
        machine.put8(VmcbLayout.CPL, 3);
        machine.code(SvmMachine.GUEST_CODE, STGI);
        machine.intercept(ExitCode.EXCEPTION + GuestException.GP);
        control(V_GIF_ENABLE);
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + GuestException.GP);
        assertThat(vGifInVmcb()).isFalse();
    }

    @Test
    void notEnabledTheGuestReachesThePhysicalFlagAndTheVmcbsBitStays() {
        machine.code(SvmMachine.GUEST_CODE, CLGI + "f4");
        control(V_GIF);
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.gif).isFalse();
        machine.run(1);
        assertThat(vGifInVmcb()).isTrue();
    }

    @Test
    void notEnabledTheValueMasksNothing() {
        machine.code(SvmMachine.GUEST_CODE, "90");
        control(V_IRQ);
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(handler(VIRTUAL_VECTOR));
    }

    @Test
    void aModelWithoutItIgnoresTheBits() {
        cpu.model = CpuModel.parse("epyc-milan,-vgif");
        machine.code(SvmMachine.GUEST_CODE, CLGI + "f4");
        control(V_GIF_ENABLE | V_GIF);
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.gif).isFalse();
        machine.run(1);
        assertThat(vGifInVmcb()).isTrue();
    }

    @Test
    void nothingOfItReachesTheHost() {
        machine.code(SvmMachine.GUEST_CODE, "f4");
        control(V_GIF_ENABLE | V_GIF);
        machine.vmrunAndRun(1);
        machine.execute(STGI);
        assertThat(cpu.gif).isTrue();
        machine.execute(CLGI);
        assertThat(cpu.gif).isFalse();
        assertThat(vGifInVmcb()).isTrue();
    }
}
