package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.recorder.EventLog;
import dev.pacifica.recorder.Manifest;
import dev.pacifica.recorder.TraceReader;
import dev.pacifica.replayer.Replay;
import dev.pacifica.schemas.EventReader;
import dev.pacifica.schemas.Events;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/**
 * A hypervisor in legacy mode: the KVM of Debian's unmodified 32-bit kernel with PAE executes VMRUN
 * outside of long mode, and its nested page tables are PAE tables (§15.25.3). The sanitizer finds
 * no mistake in it, its own tracepoints agree with the trace, and the recording replays.
 */
class I386HypervisorIT {
    private static final Duration PATIENCE = Duration.ofMinutes(10);

    /**
     * What the guests and the VMM print: the lines that the same images print under QEMU 7.2 (TCG).
     * EAX at the end has two #PFs, two #UDs, ten SYSENTERs and two task switches.
     */
    private static final List<String> GUESTS =
            List.of(
                    "L2: hello from L2 real mode",
                    "L2: AuthenticAMD",
                    "EXIT IO port=60 dir=0 size=1 count=1",
                    "EXIT MMIO W gpa=d0010 len=2 data=0000beef",
                    "EXIT MMIO R gpa=d0020 len=2 data=42424242",
                    "EXIT HLT rip=1064 rax=fffffc18",
                    "VMM-DONE mode=16 userspace_exits=41 io=38 mmio=2 hlt=1",
                    "L2: hello from L2 protected mode",
                    "EXIT MMIO W gpa=d0000000 len=4 data=12345678",
                    "EXIT MMIO R gpa=d0000008 len=4 data=42424242",
                    "EXIT MMIO W gpa=d0000010 len=2 data=0000beef",
                    "EXIT HLT rip=10270 rax=2020a02",
                    "VMM-DONE mode=32 userspace_exits=233 io=229 mmio=3 hlt=1");

    @Test
    void pageTablesOfAPaeHostAreNested() throws IOException {
        Path folder = Ladder.root().resolve("cli/target/ladder/kvm-i386-pae");
        Ladder.deleteTree(folder);
        Files.createDirectories(folder);
        Path trace = folder.resolve("run.pacifica");
        Path console = folder.resolve("console");
        Path kernelLog = folder.resolve("kernel-log");
        Path images = Ladder.images("linux-kvm-i386");
        Instant start = Instant.now();
        PacificaProcess.Result recording =
                PacificaProcess.run(
                        PATIENCE,
                        folder,
                        "",
                        "record",
                        "--check",
                        "--checkpoint-every",
                        "100M",
                        "-o",
                        trace.toString(),
                        "--kernel",
                        images.resolve("vmlinux-pae").toString(),
                        "--initrd",
                        images.resolve("kvm-pae.cpio").toString(),
                        "--append",
                        "console=ttyS0 quiet hvnpt=1 noisapnp cryptomgr.notests"
                                + " initcall_blacklist=load_system_certificate_list",
                        "--serial",
                        "file:" + console,
                        "--serial",
                        "file:" + kernelLog);
        Duration wall = Duration.between(start, Instant.now());
        List<String> lines = lines(console);
        assertThat(recording.status()).as("console: %s", lines).isZero();
        assertThat(lines.stream().filter(line -> line.matches("(L2:|EXIT |VMM-DONE ).*")).toList())
                .isEqualTo(GUESTS);
        assertThat(lines)
                .anyMatch(line -> line.matches("kernel=.*-686-pae i686"))
                .contains("insmod rc=0", "kvm_amd.npt=Y", "kvm_amd.avic=Y")
                .anyMatch(line -> line.startsWith("MARKER-L1-POWEROFF "))
                .noneMatch(line ->
                        line.contains("Call Trace")
                                || line.contains("BUG:")
                                || line.contains("WARNING:"));
        // Of advice: KVM leaves INIT to the machine, as on 64-bit hosts.
        assertThat(recording.err())
                .containsPattern("hypervisor check: no mistake, \\d+ of advice, in [\\d,]+ VMRUNs");

        TraceReader recorded = TraceReader.open(trace);
        assertThat(recorded.manifest().end().reason())
                .isEqualTo("the guest switched the power off");
        List<KernelLog.Crossing> crossings = KernelLog.ofTrace(recorded);
        assertThat(crossings).isEqualTo(KernelLog.ofKernel(lines(kernelLog)));
        Map<String, Long> exits =
                KernelLog.exits(crossings).stream()
                        .collect(
                                Collectors.groupingBy(
                                        KernelLog.Exit::reason, Collectors.counting()));
        Ladder.say(
                "kvm-i386-pae: %,d instructions, recorded in %.1f s; exits %s",
                recorded.manifest().end().insnCount(), wall.toMillis() / 1e3, exits);
        // By the guests' construction: there and back twice; ten CPUIDs, and four in real mode; at
        // least one for each of 200 fresh pages.
        assertThat(exits).containsEntry("task_switch", 4L).containsEntry("cpuid", 14L);
        assertThat(exits.get("npf")).isGreaterThan(200);
        replayed(recorded, hundredthLastVmrun(recorded));
    }

    private static List<String> lines(Path file) throws IOException {
        return Files.readString(file).lines().map(String::stripTrailing).toList();
    }

    /** When it was; all had nested paging, with tables below 4 GiB. */
    private static long hundredthLastVmrun(TraceReader trace) {
        List<Long> moments = new ArrayList<>();
        try (EventLog log = trace.events()) {
            for (EventReader event = log.next(); event != null; event = log.next()) {
                if (event.kind().equals(Events.Vmrun.KIND)) {
                    assertThat(event.get(Events.Vmrun.NP_ENABLE)).isEqualTo(1);
                    assertThat(event.get(Events.Vmrun.NESTED_CR3)).isBetween(1L, 0xffff_ffffL);
                    moments.add(event.insnCount());
                }
            }
        }
        return moments.get(moments.size() - 100);
    }

    /** From the last checkpoint with a hundred VMRUNs behind it to the end. */
    private static void replayed(TraceReader trace, long hundredthLast) {
        List<Manifest.Checkpoint> checkpoints = trace.manifest().checkpoints();
        int from = checkpoints.size() - 1;
        while (checkpoints.get(from).insnCount() > hundredthLast) {
            from--;
        }
        Replay.Result replay = ReplayIT.replay(trace, from, Long.MAX_VALUE);
        assertThat(replay.divergence()).isNull();
        assertThat(replay.toInsnCount()).isEqualTo(trace.manifest().end().insnCount());
        assertThat(replay.checkpoints()).isEqualTo(checkpoints.size() - 1 - from);
        assertThat(replay.events())
                .isEqualTo(trace.manifest().end().events() - checkpoints.get(from).events())
                .isGreaterThan(100);
        Ladder.say("kvm-i386-pae: identical from checkpoint %d, %,d events", from, replay.events());
    }
}
