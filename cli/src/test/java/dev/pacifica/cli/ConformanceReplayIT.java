package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.recorder.EventLog;
import dev.pacifica.recorder.Manifest;
import dev.pacifica.recorder.TraceReader;
import dev.pacifica.replayer.Replay;
import dev.pacifica.schemas.EventKind;
import dev.pacifica.schemas.EventReader;
import dev.pacifica.schemas.Events;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The conformance guest uses every part of chapter 15 that there is: what it does is recorded and
 * comes again from each checkpoint to the end.
 */
class ConformanceReplayIT {
    private static final Duration PATIENCE = Duration.ofMinutes(5);

    /** What the guest gives to port 0xf4 when no test failed, as the process's status. */
    private static final int ALL_PASSED = 1;

    private static final String CHECKPOINT_EVERY = "8M";

    /** What a guest that uses all of SVM and no device beyond the console need not have. */
    private static final Set<String> OF_OTHER_THINGS = Set.of("input", "check");

    @TempDir Path folder;

    @ParameterizedTest(name = "{0} processors, {1}")
    @CsvSource({"1, ''", "4, cpu=last"})
    void theRunFromEachCheckpointIsIdentical(int processors, String words) {
        Path path = folder.resolve("conformance.pacifica");
        PacificaProcess.Result recording =
                PacificaProcess.run(
                        PATIENCE,
                        folder,
                        "",
                        "record",
                        "-o",
                        path.toString(),
                        "--memory",
                        "64M",
                        "--cpus",
                        Integer.toString(processors),
                        "--checkpoint-every",
                        CHECKPOINT_EVERY,
                        "--kernel",
                        Ladder.root()
                                .resolve("guests/svm-conformance/svm-conformance.elf")
                                .toString(),
                        "--append",
                        words);
        assertThat(recording.out()).contains(" tests: ").contains(" 0 failed");
        assertThat(recording.status()).as(recording.err()).isEqualTo(ALL_PASSED);

        TraceReader trace = TraceReader.open(path);
        List<Manifest.Checkpoint> checkpoints = trace.manifest().checkpoints();
        Manifest.End end = trace.manifest().end();
        assertThat(checkpoints).hasSizeGreaterThan(5);
        for (int k = 0; k < checkpoints.size(); k++) {
            Replay.Result result = ReplayIT.replay(trace, k, Long.MAX_VALUE);
            assertThat(result.divergence()).as("from checkpoint %d", k).isNull();
            assertThat(result.fromInsnCount()).isEqualTo(checkpoints.get(k).insnCount());
            assertThat(result.toInsnCount()).isEqualTo(end.insnCount());
            assertThat(result.events()).isEqualTo(end.events() - checkpoints.get(k).events());
            assertThat(result.checkpoints()).isEqualTo(checkpoints.size() - 1 - k);
        }
        assertThat(kindsOf(trace)).containsAll(kindsThatComeOfSvm());
        Ladder.say(
                "conformance guest with %d processors: %,d events, identical from each of %d"
                        + " checkpoints",
                processors, end.events(), checkpoints.size());
    }

    private static Set<String> kindsThatComeOfSvm() {
        Set<String> kinds = new TreeSet<>();
        for (EventKind kind : Events.kinds()) {
            kinds.add(kind.name());
        }
        kinds.removeAll(OF_OTHER_THINGS);
        return kinds;
    }

    private static Set<String> kindsOf(TraceReader trace) {
        Set<String> kinds = new TreeSet<>();
        try (EventLog log = trace.events()) {
            for (EventReader event = log.next(); event != null; event = log.next()) {
                kinds.add(event.kind().name());
            }
        }
        return kinds;
    }
}
