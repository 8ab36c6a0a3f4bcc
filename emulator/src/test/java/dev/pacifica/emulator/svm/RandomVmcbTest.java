package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * VMRUN of random VMCBs, as {@link VmcbFuzzer} makes and judges them. The property {@code
 * pacifica.vmcbRuns} says how many; a million is for the patient.
 */
class RandomVmcbTest {
    private static final int RUNS = Integer.getInteger("pacifica.vmcbRuns", 20_000) / 2;

    @ParameterizedTest
    @ValueSource(longs = {1, 2})
    @Timeout(value = 30, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void outcomesAreAsForetold(long seed, TestReporter reporter) {
        try (VmcbFuzzer fuzzer = new VmcbFuzzer(seed)) {
            for (int run = 0; run < RUNS; run++) {
                try {
                    fuzzer.run();
                } catch (RuntimeException | Error e) {
                    throw new AssertionError("run %d of seed %d".formatted(run, seed), e);
                }
            }
            Map<String, Integer> outcomes = fuzzer.outcomes();
            long rules = outcomes.keySet().stream().filter(o -> o.startsWith("refused")).count();
            long exits = outcomes.keySet().stream().filter(o -> o.startsWith("exit")).count();
            int refused =
                    outcomes.entrySet().stream()
                            .filter(e -> e.getKey().startsWith("refused"))
                            .mapToInt(Map.Entry::getValue)
                            .sum();
            reporter.publishEntry(
                    "%,d VMRUNs".formatted(RUNS),
                    "%,d refused by %d rules; exits with %d codes"
                            .formatted(refused, rules, exits));
            assertThat(rules).as("rules that were met").isGreaterThan(20);
            assertThat(exits).as("exit codes that were met").isGreaterThan(40);
            assertThat(refused).isBetween(RUNS / 5, RUNS * 4 / 5);
        }
    }

    @Test
    void allOnesAndAllZeros() {
        for (int fill : new int[] {0, 0xff}) {
            try (SvmMachine machine = new SvmMachine()) {
                for (int offset = 0; offset < VmcbLayout.SIZE; offset++) {
                    machine.put8(offset, fill);
                }
                machine.vmrun();
                assertThat(machine.exitCode()).isEqualTo(-1);
            }
        }
    }
}
