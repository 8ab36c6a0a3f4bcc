package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.recorder.TraceReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Debian's QEMU runs a Linux guest under KVM, from SeaBIOS to ACPI's power off; the sanitizer finds
 * no mistake in it, and the recording replays.
 */
class QemuKvmIT {
    private static final Duration PATIENCE = Duration.ofMinutes(10);

    /** The exits by which KVM fills its tables. */
    enum Paging {
        NPF(0x400),
        PAGE_FAULT(0x4e);

        final int code;

        Paging(int code) {
            this.code = code;
        }
    }

    private static final int RSM = 0x73;

    /** Others that such a guest cannot do without: INTR, CPUID, IOIO, MSR. */
    private static final List<Integer> EACH = List.of(0x60, 0x72, 0x7b, 0x7c);

    @ParameterizedTest
    @CsvSource({"1, 1, NPF", "0, 2, PAGE_FAULT"})
    void qemuRunsLinuxFromSeaBiosWithoutAMistake(int nested, int processors, Paging paging)
            throws IOException {
        String name = "qemu-kvm-npt" + nested;
        Path folder = Ladder.root().resolve("cli/target/ladder").resolve(name);
        Ladder.deleteTree(folder);
        Files.createDirectories(folder);
        Path trace = folder.resolve("run.pacifica");
        Path console = folder.resolve("console");
        Path images = Ladder.images("qemu-kvm");
        Instant start = Instant.now();
        PacificaProcess.Result recording =
                PacificaProcess.run(
                        PATIENCE,
                        folder,
                        "",
                        "record",
                        "--check",
                        "-o",
                        trace.toString(),
                        "--max-instructions",
                        "20G",
                        "--kernel",
                        images.resolve("vmlinux").toString(),
                        "--initrd",
                        images.resolve("qemu.cpio").toString(),
                        "--append",
                        "console=ttyS0 quiet cryptomgr.notests hvnpt=%d hvsmp=%d"
                                .formatted(nested, processors),
                        "--serial",
                        "file:" + console);
        Duration wall = Duration.between(start, Instant.now());
        List<String> lines = Files.readString(console).lines().map(String::stripTrailing).toList();
        assertThat(recording.status()).as("console: %s", lines).isZero();
        guestRan(lines, processors);
        assertThat(lines).contains("kvm_amd.npt=" + (nested == 1 ? "Y" : "N"));
        assertThat(recording.err())
                .containsPattern("hypervisor check: no mistake, \\d+ of advice, in [\\d,]+ VMRUNs");
        TraceReader recorded = TraceReader.open(trace);
        assertThat(recorded.manifest().end().reason())
                .isEqualTo("the guest switched the power off");

        List<Long> moments = new ArrayList<>();
        Map<Integer, Long> exits = HypervisorRuns.exits(recorded, moments);
        Ladder.say(
                "%s: %,d instructions, %,d VMRUNs, recorded in %.1f s; exits %s",
                name,
                recorded.manifest().end().insnCount(),
                moments.size(),
                wall.toMillis() / 1e3,
                exits);
        // The guest touches more than 10,000 pages; SeaBIOS moves SMBASE by an SMI.
        assertThat(exits.get(paging.code)).isGreaterThan(1000);
        assertThat(exits).containsKey(RSM).containsKeys(EACH.toArray(Integer[]::new));
        HypervisorRuns.replayedFromTheLast100Exits(name, recorded, moments);
    }

    private static void guestRan(List<String> lines, int processors) {
        assertThat(lines)
                .contains(
                        "insmod rc=0",
                        "SeaBIOS: Running on KVM",
                        "L2: clocksource=kvm-clock",
                        "L2: Hypervisor detected: KVM")
                .anyMatch(line -> line.startsWith("SeaBIOS: SeaBIOS (version "))
                .contains(
                        "SeaBIOS: Found %d cpu(s) max supported %d cpu(s)"
                                .formatted(processors, processors))
                .anyMatch(line -> line.startsWith("L2: MARKER-GUEST-USERSPACE "))
                .contains("L2: processors=" + processors)
                .anyMatch(line -> line.startsWith("L2: MARKER-GUEST-POWEROFF "))
                .anyMatch(line -> line.startsWith("MARKER-QEMU-ENDED rc=0 "))
                .anyMatch(line -> line.startsWith("MARKER-L1-POWEROFF "))
                .noneMatch(line ->
                        line.contains("Call Trace")
                                || line.contains("BUG:")
                                || line.contains("WARNING: CPU"));
    }
}
