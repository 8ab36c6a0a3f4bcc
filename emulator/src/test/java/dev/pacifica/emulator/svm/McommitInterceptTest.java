package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** MCOMMIT in a guest: #UD without EFER.MCOMMIT, then the intercept (Appendix C, A3h). */
class McommitInterceptTest {
    private static final int NEVER = 0x7777;

    @ParameterizedTest
    @CsvSource({"true, true, 0xa3", "true, false, 0x7777", "false, true, 0x46"})
    void theIntercept(boolean enabled, boolean intercepted, String exit) {
        try (SvmMachine machine = new SvmMachine()) {
            machine.cpu.model = CpuModel.parse("epyc-milan,+mcommit");
            machine.put64(VmcbLayout.EXITCODE, NEVER);
            machine.put64(
                    VmcbLayout.EFER,
                    machine.get64(VmcbLayout.EFER) | (enabled ? Cpu.EFER_MCOMMIT : 0));
            machine.code(SvmMachine.GUEST_CODE, "f30f01fa");
            machine.intercept(ExitCode.EXCEPTION + 6);
            if (intercepted) {
                machine.intercept(ExitCode.MCOMMIT);
            }
            machine.vmrunAndRun(1);
            assertThat(machine.exitCode()).isEqualTo(Long.decode(exit));
            if (exit.equals("0xa3")) {
                assertThat(machine.get64(VmcbLayout.NRIP)).isEqualTo(SvmMachine.GUEST_CODE + 4);
            } else if (!intercepted) {
                assertThat(machine.cpu.cf()).isTrue();
            }
        }
    }
}
