package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.cpu.GuestException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The idle-HLT intercept (Table 15-7, Appendix C). */
class IdleHaltTest {
    private static final long V_IRQ = 1 << 8;
    private static final long V_NMI = 1 << 11;
    private static final long V_NMI_MASK = 1 << 12;
    private static final long V_NMI_ENABLE = 1 << 26;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @BeforeEach
    void guest() {
        machine.intercept(ExitCode.IDLE_HLT);
        machine.intercept(ExitCode.NMI);
        machine.code(SvmMachine.GUEST_CODE, "90 f4");
    }

    @AfterEach
    void release() {
        machine.close();
    }

    @Test
    void exitsWhenNothingVirtualIsPending() {
        machine.vmrunAndRun(2);
        assertThat(machine.exitCode()).isEqualTo(0xa6);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE + 1);
        assertThat(machine.get64(VmcbLayout.NRIP)).isEqualTo(SvmMachine.GUEST_CODE + 2);
    }

    @Test
    void theHltInterceptComesFirst() {
        machine.intercept(ExitCode.HLT);
        machine.vmrunAndRun(2);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
    }

    @Test
    void aPendingVirtualInterruptLetsTheGuestHalt() {
        machine.put64(VmcbLayout.V_INTR, V_IRQ | 1 << 16 | 0x41L << 32);
        machine.vmrunAndRun(2);
        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.activity).isEqualTo(Cpu.HALTED);
    }

    @Test
    void aPendingVirtualNmiLetsTheGuestHalt() {
        machine.put64(VmcbLayout.V_INTR, V_NMI_ENABLE | V_NMI | V_NMI_MASK);
        machine.vmrunAndRun(2);
        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.activity).isEqualTo(Cpu.HALTED);
    }

    @Test
    void privilegeIsCheckedFirst() {
        machine.put8(VmcbLayout.CPL, 3);
        machine.intercept(ExitCode.EXCEPTION + GuestException.GP);
        machine.vmrunAndRun(2);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + GuestException.GP);
    }

    @Test
    void aModelWithoutItIgnoresTheBit() {
        cpu.model = CpuModel.parse("epyc-milan,-idle-hlt");
        machine.vmrunAndRun(2);
        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.activity).isEqualTo(Cpu.HALTED);
    }
}
