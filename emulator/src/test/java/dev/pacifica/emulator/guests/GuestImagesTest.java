package dev.pacifica.emulator.guests;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.boot.BootFile;
import dev.pacifica.emulator.boot.BootRequest;
import dev.pacifica.emulator.machine.Machine;
import dev.pacifica.emulator.machine.MachineConfig;
import dev.pacifica.emulator.machine.Stop;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

/**
 * Runs the project's own guests whole. They hold themselves against the manual; here their verdict
 * is read.
 */
class GuestImagesTest {
    private static final int SUCCESS = 0x21;

    @Test
    void systemTestsPassIn64BitMode() {
        assertThat(run("tests/system-tests.elf", "", 2_000_000_000L))
                .contains("TESTS PASSED")
                .doesNotContain("FAIL ");
    }

    @Test
    void legacyTestsPassIn32And16BitModes() {
        assertThat(run("tests/legacy/legacy-tests.elf", "", 200_000_000L))
                .contains("TESTS PASSED")
                .doesNotContain("FAIL ");
    }

    /** The counts are those of the same image under QEMU TCG. */
    @Test
    void demoHypervisorMakesTheExitsItShould() {
        assertThat(run("demo-hypervisor/demo-hypervisor.elf", "", 20_000_000L))
                .contains("guest: 30 checks passed, 0 failed")
                .contains("172 exits of 16 kinds, 49 pages mapped, 16 dirtied")
                .contains("DEMO PASSED");
    }

    @Test
    void demoHypervisorRepeatsItself() {
        assertThat(run("demo-hypervisor/demo-hypervisor.elf", "loops=20", 50_000_000L))
                .contains("guest: 600 checks passed, 0 failed")
                .contains("989 exits of 16 kinds")
                .contains("DEMO PASSED");
    }

    @Test
    void worldSwitchBenchmarkSeesOnlyTheExitsItAsksFor() {
        for (String mode : List.of("vmmcall", "cpuid", "ioio", "npf")) {
            assertThat(run("vmrun-bench/vmrun-bench.elf", "pairs=1000 mode=" + mode, 10_000_000L))
                    .contains("END mode=" + mode + " pairs=1000 ")
                    .contains("unexpected=0");
        }
    }

    @Test
    void processorsStartAndTalkToEachOther() {
        for (int processors : new int[] {1, 2, 4, 16, 64}) {
            for (long quantum : new long[] {100, MachineConfig.DEFAULT_QUANTUM}) {
                assertThat(
                                run(
                                        "processors/processors.elf",
                                        "",
                                        1_000_000_000L,
                                        processors,
                                        quantum))
                        .contains(processors + " processors")
                        .contains("TESTS PASSED")
                        .doesNotContain("FAIL ");
            }
        }
    }

    private static String run(String image, String commandLine, long limit) {
        return run(image, commandLine, limit, 1, MachineConfig.DEFAULT_QUANTUM);
    }

    /** The console of a run that must end through the debug-exit port with success. */
    private static String run(
            String image, String commandLine, long limit, int processors, long quantum) {
        StringBuilder console = new StringBuilder();
        MachineConfig config =
                new MachineConfig(
                        64L << 20,
                        processors,
                        "epyc-milan",
                        Instant.parse("2026-01-01T00:00:00Z"),
                        1,
                        quantum);
        try (Machine machine =
                new Machine(
                        config,
                        (device, value) -> {
                            if (device == 0) {
                                console.append((char) value);
                            }
                        })) {
            machine.boot(
                    new BootRequest(
                            BootFile.open(guests().resolve(image)),
                            List.of(),
                            commandLine,
                            OptionalLong.empty()));
            Stop stop = machine.run(limit);
            assertThat(stop).as("%s ended; its console: %s", image, console).isNotNull();
            assertThat(stop.status())
                    .as("status of %s; its console: %s", image, console)
                    .isEqualTo(SUCCESS);
        }
        return new String(
                console.toString().getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8);
    }

    /** The repository's guests/, from whichever module's folder the tests run in. */
    private static Path guests() {
        Path folder = Path.of("").toAbsolutePath();
        while (!Files.isDirectory(folder.resolve("guests/tests"))) {
            folder = folder.getParent();
            assertThat(folder)
                    .as("a folder with guests/ above %s", Path.of("").toAbsolutePath())
                    .isNotNull();
        }
        return folder.resolve("guests");
    }
}
