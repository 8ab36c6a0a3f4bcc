package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The PAUSE filter, simple and with its threshold (§15.14.4, Table 15-7). */
class PauseFilterTest {
    private static final String PAUSE = "f390";

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @BeforeEach
    void guest() {
        machine.intercept(ExitCode.PAUSE);
        machine.intercept(ExitCode.HLT);
    }

    @AfterEach
    void release() {
        machine.close();
    }

    private void filter(int count, int threshold) {
        machine.put16(VmcbLayout.PAUSE_FILTER_COUNT, count);
        machine.put16(VmcbLayout.PAUSE_FILTER_THRESHOLD, threshold);
    }

    /** Runs and returns how many PAUSEs of two bytes each completed before the exit. */
    private long completed() {
        assertThat(machine.vmrunAndRun(1000)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.PAUSE);
        long rip = machine.get64(VmcbLayout.RIP);
        assertThat(machine.get64(VmcbLayout.NRIP)).isEqualTo(rip + 2);
        return (rip - SvmMachine.GUEST_CODE) / 2;
    }

    @ParameterizedTest
    @CsvSource({"0, 0", "1, 1", "2, 2", "7, 7", "100, 100"})
    void exitsWhenTheCounterGoesBelowZero(int count, int completed) {
        machine.code(SvmMachine.GUEST_CODE, PAUSE.repeat(120));
        filter(count, 0);
        assertThat(completed()).isEqualTo(completed);
        assertThat(machine.get16(VmcbLayout.PAUSE_FILTER_COUNT)).as("not written").isEqualTo(count);
    }

    @Test
    void vmrunLoadsTheCounterAnew() {
        machine.code(SvmMachine.GUEST_CODE, PAUSE.repeat(10));
        filter(3, 0);
        assertThat(completed()).isEqualTo(3);
        cpu.rip = SvmMachine.HOST_CODE;
        assertThat(completed()).isEqualTo(6);
    }

    @Test
    void withoutTheInterceptNothingExits() {
        machine.put32(VmcbLayout.INTERCEPT_MISC1, 0);
        machine.intercept(ExitCode.HLT);
        machine.code(SvmMachine.GUEST_CODE, PAUSE.repeat(5) + "f4");
        filter(2, 0);
        machine.vmrunAndRun(10);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
    }

    @Test
    void aModelWithoutTheFilterExitsAtTheFirst() {
        cpu.model = CpuModel.parse("epyc-milan,-pause-filter");
        machine.code(SvmMachine.GUEST_CODE, PAUSE.repeat(5));
        filter(3, 100);
        assertThat(completed()).isZero();
    }

    @Test
    void pausesThatFollowEachOtherWithinTheThresholdCountDown() {
        // Each PAUSE is three cycles after the one before: two NOPs lie between.
        machine.code(SvmMachine.GUEST_CODE, (PAUSE + "9090").repeat(10));
        filter(4, 3);
        assertThat(completed()).as("two bytes a PAUSE, two for its NOPs").isEqualTo(2 * 4);
    }

    @Test
    void aPauseLaterThanTheThresholdLoadsTheCounterAnew() {
        // Pauses 3 cycles apart; then a gap of 5 cycles, more than the threshold of 4.
        String close = PAUSE + "9090";
        machine.code(SvmMachine.GUEST_CODE, close.repeat(3) + "9090" + close.repeat(10));
        filter(4, 4);
        // The 4th PAUSE reloads 4; four more count down to 0; the ninth goes below.
        long bytes = 3 * 4 + 2 + 5 * 4;
        assertThat(completed()).isEqualTo(bytes / 2);
    }

    @Test
    void pausesFartherApartThanTheThresholdNeverExit() {
        machine.code(SvmMachine.GUEST_CODE, (PAUSE + "909090").repeat(50) + "f4");
        filter(2, 3);
        machine.vmrunAndRun(1000);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
    }

    @Test
    void aModelWithoutTheThresholdOnlyCounts() {
        cpu.model = CpuModel.parse("epyc-milan,-pfthreshold");
        machine.code(SvmMachine.GUEST_CODE, (PAUSE + "909090").repeat(5));
        filter(2, 3);
        assertThat(machine.vmrunAndRun(1000)).isTrue();
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE + 10);
    }

    @Test
    void countIsUnsigned() {
        machine.code(SvmMachine.GUEST_CODE, PAUSE + "ebfc"); // pause; jump back
        filter(0xffff, 0);
        machine.vmrun();
        machine.run(2 * 0xffff);
        assertThat(cpu.guestMode).isTrue();
        machine.run(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.PAUSE);
    }
}
