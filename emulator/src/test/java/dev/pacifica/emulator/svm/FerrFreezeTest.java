package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** FERR_FREEZE (§15.14.2): an x87 error pending while CR0.NE is clear. */
class FerrFreezeTest {
    private static final int NEVER = 0x7777;
    private static final int HWCR = 0xc001_0015;
    private static final int IGNNE = 0xc001_0115;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;
    private int raised;

    @BeforeEach
    void error() {
        cpu.fpu.setControl(0x37e); // invalid operation is not masked
        cpu.fpu.setStatusWord(1); // and pending
        cpu.fpu.setErrorLine(() -> raised++);
        machine.put64(VmcbLayout.CR0, machine.get64(VmcbLayout.CR0) & ~Cpu.CR0_NE);
        machine.put64(VmcbLayout.EXITCODE, NEVER);
        machine.intercept(ExitCode.EXCEPTION + GuestException.MF);
        machine.code(SvmMachine.GUEST_CODE, "d9e8"); // fld1
    }

    @AfterEach
    void release() {
        machine.close();
    }

    @ParameterizedTest
    @CsvSource({"d9e8", "9b", "d9ee", "0f77", "0f6fc1"}) // fld1, fwait, fldz, emms, movq
    void theGuestExitsInsteadOfFreezing(String hex) {
        machine.code(SvmMachine.GUEST_CODE, hex);
        machine.intercept(ExitCode.FERR_FREEZE);
        assertThat(machine.vmrunAndRun(1)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.FERR_FREEZE);
        assertThat(machine.info1()).isZero();
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
        assertThat(machine.get64(VmcbLayout.NRIP)).isZero();
        assertThat(raised).isEqualTo(1);
    }

    @ParameterizedTest
    @CsvSource({"dbe3", "dbe2", "dfe0"}) // fninit, fnclex, fnstsw ax
    void whatDoesNotWaitDoesNotFreeze(String hex) {
        machine.code(SvmMachine.GUEST_CODE, hex);
        machine.intercept(ExitCode.FERR_FREEZE);
        assertThat(machine.vmrunAndRun(1)).isFalse();
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 2);
    }

    @Test
    void otherwiseItFreezesUntilAnInterruptComes() {
        machine.put64(VmcbLayout.RFLAGS, Cpu.IF | 2);
        machine.vmrunAndRun(1);
        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.activity).isEqualTo(Cpu.HALTED);
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE);
        machine.apic.pending = 0x75;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        machine.step(1);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 0x750);
        assertThat(machine.memory.read64(cpu.r[Cpu.RSP])).isEqualTo(SvmMachine.GUEST_CODE);
    }

    @Test
    void ignneLetsItGoOnUntilTheErrorIsGone() {
        machine.intercept(ExitCode.FERR_FREEZE);
        cpu.fpu.ignoreError();
        assertThat(machine.vmrunAndRun(1)).isFalse();
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 2);
        assertThat(cpu.msrs.read(IGNNE)).isEqualTo(1);
        cpu.fpu.setStatusWord(0);
        assertThat(cpu.msrs.read(IGNNE)).isZero();
    }

    /** §15.30.2: with its emulation on the MSR is the signal. */
    @ParameterizedTest
    @CsvSource({"false, 1, true", "true, 1, false", "true, 0, true"})
    void theIgnneMsr(boolean emulation, int value, boolean frozen) {
        if (emulation) {
            cpu.msrs.write(HWCR, cpu.msrs.read(HWCR) | 1 << 8);
        }
        cpu.msrs.write(IGNNE, value);
        machine.intercept(ExitCode.FERR_FREEZE);
        assertThat(machine.vmrunAndRun(1)).isEqualTo(frozen);
        assertThat(machine.exitCode()).isEqualTo(frozen ? ExitCode.FERR_FREEZE : NEVER);
    }

    @Test
    void withNumericErrorsInsideItIsAnException() {
        machine.put64(VmcbLayout.CR0, machine.get64(VmcbLayout.CR0) | Cpu.CR0_NE);
        machine.intercept(ExitCode.FERR_FREEZE);
        assertThat(machine.vmrunAndRun(1)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + GuestException.MF);
        assertThat(raised).isZero();
    }

    @Test
    void theIgnneMsrHasOneBit() {
        machine.code(SvmMachine.GUEST_CODE, "0f30");
        machine.intercept(ExitCode.EXCEPTION + GuestException.GP);
        cpu.r[Cpu.RCX] = IGNNE & 0xffff_ffffL;
        machine.put64(VmcbLayout.RAX, 2);
        cpu.r[Cpu.RDX] = 0;
        assertThat(machine.vmrunAndRun(1)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + GuestException.GP);
    }
}
