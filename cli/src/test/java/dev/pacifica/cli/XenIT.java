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
import org.junit.jupiter.api.Test;

/**
 * Debian's unmodified Xen with a PV dom0 runs a small and a Linux PVH guest by {@code xl create},
 * the sanitizer finds no mistake in it, and the recording replays.
 */
class XenIT {
    private static final Duration PATIENCE = Duration.ofMinutes(10);

    /** What guests/xen/pvh.S prints: it does what the lines say, and looks at the results. */
    private static final List<String> SMALL =
            List.of(
                    "small: hello from a small PVH guest",
                    "small: XenVMMXenVMM",
                    "small: 1000 CPUIDs",
                    "small: 2000 hypercalls",
                    "small: 4000 MSR accesses",
                    "small: 1000 pages moved",
                    "small: bye");

    private static final int CPUID = 0x72;
    private static final int VMMCALL = 0x81;

    /**
     * Others that such guests cannot do without: INTR, HLT, IOIO, MSR, and NPF of the local APIC.
     */
    private static final List<Integer> EACH = List.of(0x60, 0x78, 0x7b, 0x7c, 0x400);

    @Test
    void xenRunsPvhGuestsWithoutAMistake() throws IOException {
        Path folder = Ladder.root().resolve("cli/target/ladder/xen");
        Ladder.deleteTree(folder);
        Files.createDirectories(folder);
        Path trace = folder.resolve("run.pacifica");
        Path console = folder.resolve("console");
        Path images = Ladder.images("xen");
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
                        "--memory",
                        "1G",
                        "--kernel",
                        images.resolve("xen").toString(),
                        "--initrd",
                        "%s console=hvc0 quiet guests=small+linux,%s"
                                .formatted(images.resolve("vmlinux"), images.resolve("dom0.cpio")),
                        "--append",
                        "console=com1 dom0_mem=384M,max:384M dom0_max_vcpus=1 sched=credit"
                                + " loglvl=all guest_loglvl=all",
                        "--serial",
                        "file:" + console);
        Duration wall = Duration.between(start, Instant.now());
        List<String> lines = Files.readString(console).lines().map(String::stripTrailing).toList();
        assertThat(recording.status()).as("console: %s", lines).isZero();
        guestsRan(lines);
        assertThat(recording.err())
                .containsPattern("hypervisor check: no mistake, \\d+ of advice, in [\\d,]+ VMRUNs");
        TraceReader recorded = TraceReader.open(trace);
        assertThat(recorded.manifest().end().reason())
                .isEqualTo("the guest switched the power off");

        List<Long> moments = new ArrayList<>();
        Map<Integer, Long> exits = HypervisorRuns.exits(recorded, moments);
        Ladder.say(
                "xen: %,d instructions, %,d VMRUNs, recorded in %.1f s; exits %s",
                recorded.manifest().end().insnCount(),
                moments.size(),
                wall.toMillis() / 1e3,
                exits);
        assertThat(exits.get(CPUID)).isGreaterThanOrEqualTo(1000);
        assertThat(exits.get(VMMCALL)).isGreaterThanOrEqualTo(2000);
        assertThat(exits).containsKeys(EACH.toArray(Integer[]::new));
        HypervisorRuns.replayedFromTheLast100Exits("xen", recorded, moments);
    }

    private static void guestsRan(List<String> lines) {
        assertThat(lines)
                .contains("capabilities=control_d", "xenstored rc=0", "xen-init-dom0 rc=0")
                .anyMatch(line -> line.startsWith("MARKER-XL-ENDED small rc=0 "))
                .anyMatch(line -> line.startsWith("linux: MARKER-GUEST-USERSPACE "))
                .anyMatch(line -> line.startsWith("linux: hypervisor=xen guest_type=PVH "))
                .contains("linux: MARKER-GUEST-POWEROFF")
                .anyMatch(line -> line.startsWith("MARKER-XL-ENDED linux rc=0 "))
                .anyMatch(line -> line.startsWith("MARKER-DOM0-POWEROFF "))
                .noneMatch(line ->
                        line.contains("Call Trace")
                                || line.contains("BUG:")
                                || line.contains("Xen BUG")
                                || line.contains("domain_crash"));
        assertThat(lines.stream().filter(line -> line.startsWith("small: ")).toList())
                .isEqualTo(SMALL);
    }
}
