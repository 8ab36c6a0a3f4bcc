package dev.pacifica.emulator.guests;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.boot.BootFile;
import dev.pacifica.emulator.boot.BootRequest;
import dev.pacifica.emulator.machine.Machine;
import dev.pacifica.emulator.machine.MachineConfig;
import dev.pacifica.emulator.machine.Stop;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

/**
 * Runs the conformance guest: each of its tests holds a rule of chapter 15 against this processor.
 * The same image's verdict on QEMU stands in {@code docs/svm-conformance.md}.
 */
class SvmConformanceTest {
    private static final int ALL_PASSED = 1;

    /** The guest's own count of what it has, so that a test that vanishes is noticed. */
    private static final int AT_LEAST = 1445;

    private static final String MODEL = "epyc-milan";

    @Test
    void everyTestPassesOrIsSkippedByCpuid() {
        List<String> names = names();
        assertThat(names)
                .hasSizeGreaterThanOrEqualTo(AT_LEAST)
                .doesNotHaveDuplicates()
                .allMatch(name -> name.matches("15\\.\\d+(\\.\\d+)*/[a-z0-9-]+"));

        Run run = run("", MODEL, 1);

        assertThat(run.lines("FAIL")).as("failures").isEmpty();
        assertThat(run.names()).as("tests with a verdict").isEqualTo(names);
        // Beyond the manual, in every guest.
        assertThat(run.lines("SKIP")).noneMatch(line -> line.contains("write-trap"));
        assertThat(run.status).isEqualTo(ALL_PASSED);
    }

    /** What CPUID does not offer is skipped, and what is left works without it. */
    @Test
    void nothingFailsOnAProcessorWithTheBasisOfSvmAlone() {
        Run run =
                run(
                        "",
                        MODEL
                                + ",-npt,-lbrv,-svm-lock,-nrip-save,-tsc-scale,-vmcb-clean"
                                + ",-flushbyasid,-decodeassists,-pause-filter,-pfthreshold"
                                + ",-v-vmsave-vmload,-vgif,-gmet,-v-spec-ctrl,-rogpt,-vnmi"
                                + ",-idle-hlt",
                        1);

        assertThat(run.lines("FAIL")).as("failures").isEmpty();
        assertThat(run.lines("SKIP")).hasSizeGreaterThan(100);
    }

    /** The last processor, started by INIT and SIPI, obeys the same rules as the first. */
    @Test
    void everyTestPassesOnTheLastOfFourProcessors() {
        Run run = run("cpu=last", MODEL, 4);

        assertThat(run.console).contains("processor 3");
        assertThat(run.lines("FAIL")).as("failures").isEmpty();
        assertThat(run.names()).isEqualTo(names());
        assertThat(run.status).isEqualTo(ALL_PASSED);
    }

    @Test
    void monitorxAndMwaitxPassWhereTheyAreAskedFor() {
        for (String name : List.of("15.9/monitorx", "15.9/mwaitx", "15.7.1/nrip-of-mwaitx")) {
            Run run = run("only=" + name, MODEL + ",+monitorx", 1);

            assertThat(run.lines("PASS")).as(name).isNotEmpty();
            assertThat(run.lines("SKIP")).as(name).isEmpty();
            assertThat(run.status).isEqualTo(ALL_PASSED);
        }
    }

    @Test
    void prefixChoosesTests() {
        Run run = run("only=15.20/injects-", MODEL, 1);

        assertThat(run.names())
                .isNotEmpty()
                .allMatch(name -> name.startsWith("15.20/injects-"))
                .isEqualTo(
                        names().stream()
                                .filter(name -> name.startsWith("15.20/injects-"))
                                .toList());
    }

    /** A slip of the pen must not look like success. */
    @Test
    void aPrefixOfNoTestFailsAndSaysSo() {
        Run run = run("only=15.99", MODEL, 1);

        assertThat(run.names()).isEmpty();
        assertThat(run.console)
                .contains("0 tests: 0 passed")
                .contains("FAILED: no test fits the command line \"")
                .contains(" only=15.99\"; the word list");
        assertThat(run.status).isEqualTo(1 << 1 | 1);
    }

    private static List<String> names() {
        return run("list", MODEL, 1)
                .console
                .lines()
                .filter(line -> line.startsWith("15."))
                .toList();
    }

    private record Run(String console, long status) {
        List<String> lines(String verdict) {
            // A failure's further lines are indented under its first one.
            return console.lines()
                    .filter(line ->
                            line.startsWith(verdict + "  ")
                                    || verdict.equals("FAIL") && line.startsWith("      "))
                    .toList();
        }

        List<String> names() {
            return console.lines()
                    .filter(line -> line.matches("(PASS|FAIL|SKIP)  .*"))
                    .map(line -> line.substring(6).split(": ", 2)[0])
                    .toList();
        }
    }

    private static Run run(String commandLine, String model, int processors) {
        StringBuilder console = new StringBuilder();
        try (Machine machine = machine(commandLine, model, processors, console)) {
            Stop stop = machine.run(3_000_000_000L);
            assertThat(stop).as("the run ended; its console: %s", console).isNotNull();
            return new Run(console.toString(), stop.status());
        }
    }

    /** A machine that is about to start the guest, whose output goes to {@code console}. */
    static Machine machine(String commandLine, int processors, StringBuilder console) {
        return machine(commandLine, MODEL, processors, console);
    }

    private static Machine machine(
            String commandLine, String model, int processors, StringBuilder console) {
        MachineConfig config =
                new MachineConfig(
                        64L << 20, processors, model, Instant.parse("2026-01-01T00:00:00Z"), 1);
        Machine machine =
                new Machine(
                        config,
                        (device, value) -> {
                            if (device == 0) {
                                console.append((char) value);
                            }
                        });
        machine.boot(
                new BootRequest(
                        BootFile.open(guests().resolve("svm-conformance/svm-conformance.elf")),
                        List.of(),
                        commandLine,
                        OptionalLong.empty()));
        return machine;
    }

    /** The repository's guests/, from whichever module's folder the tests run in. */
    private static Path guests() {
        Path folder = Path.of("").toAbsolutePath();
        while (!Files.isDirectory(folder.resolve("guests/svm-conformance"))) {
            folder = folder.getParent();
            assertThat(folder)
                    .as("a folder with guests/ above %s", Path.of("").toAbsolutePath())
                    .isNotNull();
        }
        return folder.resolve("guests");
    }
}
