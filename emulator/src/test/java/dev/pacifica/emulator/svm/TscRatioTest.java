package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import java.math.BigInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The TSC ratio (§15.30.5): the scaled time stamp of guests. */
class TscRatioTest {
    private static final long TSC = 0x10;
    private static final long TSC_RATIO = 0xc000_0104L;
    private static final long ONE = 1L << 32;

    private static long result(SvmMachine machine) {
        long low = machine.cpu.guestMode ? machine.cpu.r[Cpu.RAX] : machine.get64(VmcbLayout.RAX);
        return machine.cpu.r[Cpu.RDX] << 32 | low & 0xffff_ffffL;
    }

    /** A guest whose first instruction finds the TSC at a value. */
    private static SvmMachine guest(String hex, long tsc, long ratio, long offset) {
        SvmMachine machine = new SvmMachine();
        machine.cpu.msrs.write((int) TSC_RATIO, ratio);
        machine.put64(VmcbLayout.TSC_OFFSET, offset);
        machine.code(SvmMachine.GUEST_CODE, hex);
        machine.cpu.r[Cpu.RCX] = TSC;
        machine.vmrun();
        machine.cpu.tscOffset = tsc - machine.clock.now();
        return machine;
    }

    @ParameterizedTest
    @CsvSource({
        "0x100000000, 1000, 0",
        "0x80000000, 1001, 0",
        "0x180000000, 0x7fffffffffffffff, 5",
        "0xffffffffff, 0xfedcba9876543210, 0",
        "0x1, 0xffffffff, 0",
        "0x1, 0x100000000, 0",
        "0x123456789a, 0x0123456789abcdef, -77",
        "0x0, 0x0123456789abcdef, 12",
    })
    void theWholeProductCounts(String ratio, String tsc, long offset) {
        BigInteger product =
                new BigInteger(Long.toUnsignedString(Long.decode(ratio)))
                        .multiply(
                                new BigInteger(hexOrDecimal(tsc), tsc.startsWith("0x") ? 16 : 10));
        long expected = product.shiftRight(32).longValue() + offset;
        long start = Long.parseUnsignedLong(hexOrDecimal(tsc), tsc.startsWith("0x") ? 16 : 10);
        for (String hex : new String[] {"0f31", "0f01f9", "0f32"}) { // rdtsc, rdtscp, rdmsr
            try (SvmMachine machine = guest(hex, start, Long.decode(ratio), offset)) {
                machine.step(1);
                assertThat(result(machine)).as(hex).isEqualTo(expected);
            }
        }
    }

    private static String hexOrDecimal(String number) {
        return number.startsWith("0x") ? number.substring(2) : number;
    }

    @Test
    void theHostSeesTheTscItself() {
        try (SvmMachine machine = new SvmMachine()) {
            machine.cpu.msrs.write((int) TSC_RATIO, 5 * ONE);
            machine.put64(VmcbLayout.TSC_OFFSET, 77);
            machine.cpu.tscOffset = 1000;
            assertThat(machine.svm.timeStamp()).isEqualTo(machine.cpu.tsc());
            machine.vmrun();
            assertThat(machine.svm.timeStamp()).isEqualTo(5 * machine.cpu.tsc() + 77);
            machine.svm.exit(ExitCode.INTR, 0, 0);
            assertThat(machine.svm.timeStamp()).isEqualTo(machine.cpu.tsc());
        }
    }

    /** "nor the value that gets written ... on a write by either the host or the guest" */
    @Test
    void aGuestsWriteIsNotScaled() {
        try (SvmMachine machine = guest("0f30 0f31", 0, 3 * ONE, 0)) {
            machine.cpu.r[Cpu.RAX] = 1_000_000;
            machine.cpu.r[Cpu.RDX] = 0;
            machine.step(1);
            long written = machine.cpu.tsc();
            assertThat(written).isBetween(1_000_000L, 1_000_010L);
            machine.step(1);
            assertThat(result(machine)).isEqualTo(3 * written);
        }
    }

    @Test
    void theRatioIsReadBackAndOneAfterReset() {
        try (SvmMachine machine = new SvmMachine()) {
            assertThat(machine.cpu.msrs.read((int) TSC_RATIO)).isEqualTo(ONE);
            machine.cpu.msrs.write((int) TSC_RATIO, 0xff_1234_5678L);
            assertThat(machine.cpu.msrs.read((int) TSC_RATIO)).isEqualTo(0xff_1234_5678L);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {40, 41, 63})
    void reservedBitsFault(int bit) {
        try (SvmMachine machine = new SvmMachine()) {
            machine.code(SvmMachine.GUEST_CODE, "0f30");
            machine.intercept(ExitCode.EXCEPTION + 13);
            machine.cpu.r[Cpu.RCX] = TSC_RATIO;
            machine.cpu.r[Cpu.RDX] = 1L << bit - 32;
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 13);
            assertThat(machine.cpu.msrs.tscRatio).isEqualTo(ONE);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"0f30", "0f32"})
    void withoutTheFeatureThereIsNoSuchRegister(String hex) {
        try (SvmMachine machine = new SvmMachine()) {
            machine.cpu.model = CpuModel.parse("epyc-milan,-tsc-scale");
            machine.code(SvmMachine.GUEST_CODE, hex);
            machine.intercept(ExitCode.EXCEPTION + 13);
            machine.cpu.r[Cpu.RCX] = TSC_RATIO;
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 13);
        }
    }

    /** MPERF too (§15.30.5), and the host reads it as it counts. */
    @Test
    void guestsReadMperfScaled() {
        try (SvmMachine machine = guest("90 90 90", 0, 3 * ONE, 77)) {
            machine.step(2);
            long inGuest = machine.cpu.msrs.read(0xe7);
            machine.svm.exit(ExitCode.INTR, 0, 0);
            long inHost = machine.cpu.msrs.read(0xe7);
            assertThat(inHost).isPositive();
            assertThat(inGuest).as("scaled, without TSC_OFFSET").isEqualTo(3 * inHost);
        }
    }
}
