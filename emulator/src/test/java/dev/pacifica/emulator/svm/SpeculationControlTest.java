package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** SPEC_CTRL and PRED_CMD, and SPEC_CTRL virtualization (§15.37.1). */
class SpeculationControlTest {
    private static final int SPEC_CTRL = 0x48;
    private static final int PRED_CMD = 0x49;
    private static final int IBRS = 1;
    private static final int SSBD = 4;

    @Test
    void hostAndGuestHaveARegisterEach() {
        try (SvmMachine machine = new SvmMachine()) {
            machine.cpu.msrs.write(SPEC_CTRL, IBRS);
            machine.put64(VmcbLayout.SPEC_CTRL, SSBD);
            machine.code(SvmMachine.GUEST_CODE, "0f32 0f30"); // rdmsr; wrmsr
            machine.cpu.r[Cpu.RCX] = SPEC_CTRL;
            machine.vmrun();
            machine.step(1);
            assertThat(machine.cpu.r[Cpu.RAX]).isEqualTo(SSBD);
            machine.cpu.r[Cpu.RAX] = 0x80;
            machine.step(1);
            machine.svm.exit(ExitCode.INTR, 0, 0);
            assertThat(machine.get64(VmcbLayout.SPEC_CTRL)).isEqualTo(0x80);
            assertThat(machine.cpu.msrs.read(SPEC_CTRL)).isEqualTo(IBRS);
            assertThat(machine.memory.read64(SvmMachine.HOST_SAVE + VmcbLayout.SPEC_CTRL))
                    .isEqualTo(IBRS);
        }
    }

    @Test
    void withoutTheVirtualizationThereIsOneRegister() {
        try (SvmMachine machine = new SvmMachine()) {
            machine.cpu.model = CpuModel.parse("epyc-milan,-v-spec-ctrl");
            machine.cpu.msrs.write(SPEC_CTRL, IBRS);
            machine.put64(VmcbLayout.SPEC_CTRL, SSBD);
            machine.vmrun();
            assertThat(machine.cpu.msrs.read(SPEC_CTRL)).isEqualTo(IBRS);
            machine.cpu.msrs.write(SPEC_CTRL, 2);
            machine.svm.exit(ExitCode.INTR, 0, 0);
            assertThat(machine.get64(VmcbLayout.SPEC_CTRL)).isEqualTo(SSBD);
            assertThat(machine.cpu.msrs.read(SPEC_CTRL)).isEqualTo(2);
        }
    }

    @Test
    void anIllegalGuestChangesNothing() {
        try (SvmMachine machine = new SvmMachine()) {
            machine.cpu.msrs.write(SPEC_CTRL, IBRS);
            machine.put64(VmcbLayout.SPEC_CTRL, SSBD);
            machine.put32(VmcbLayout.ASID, 0);
            machine.vmrun();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.INVALID);
            assertThat(machine.cpu.msrs.read(SPEC_CTRL)).isEqualTo(IBRS);
            assertThat(machine.get64(VmcbLayout.SPEC_CTRL)).isEqualTo(SSBD);
        }
    }

    @ParameterizedTest
    @CsvSource({
        // model, MSR, value; whether WRMSR takes it
        "epyc-milan, 0x48, 0x87, true",
        "epyc-milan, 0x48, 0x08, false",
        "epyc-milan, 0x48, 0x40, false",
        "epyc-milan, 0x48, 0x100000000, false",
        "'epyc-milan,-ssbd', 0x48, 0x04, false",
        "'epyc-milan,-ssbd', 0x48, 0x03, true",
        "'epyc-milan,-psfd', 0x48, 0x80, false",
        "'epyc-milan,-ibrs,-stibp,-ssbd,-psfd', 0x48, 0x00, false",
        "epyc-milan, 0x49, 0x01, true",
        "epyc-milan, 0x49, 0x00, true",
        "epyc-milan, 0x49, 0x02, false",
        "'epyc-milan,-ibpb', 0x49, 0x01, false",
    })
    void reservedBitsFault(String model, String msr, String value, boolean taken) {
        try (SvmMachine machine = new SvmMachine()) {
            machine.cpu.model = CpuModel.parse(model);
            machine.code(SvmMachine.GUEST_CODE, "0f30 f4");
            machine.intercept(ExitCode.EXCEPTION + 13);
            machine.intercept(ExitCode.HLT);
            machine.cpu.r[Cpu.RCX] = Long.decode(msr);
            machine.put64(VmcbLayout.RAX, Long.decode(value) & 0xffff_ffffL);
            machine.cpu.r[Cpu.RDX] = Long.decode(value) >>> 32;
            assertThat(machine.vmrunAndRun(2)).isTrue();
            assertThat(machine.exitCode())
                    .isEqualTo(taken ? ExitCode.HLT : ExitCode.EXCEPTION + 13);
        }
    }

    @Test
    void predCmdCannotBeRead() {
        try (SvmMachine machine = new SvmMachine()) {
            machine.code(SvmMachine.GUEST_CODE, "0f32");
            machine.intercept(ExitCode.EXCEPTION + 13);
            machine.cpu.r[Cpu.RCX] = PRED_CMD;
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 13);
        }
    }
}
