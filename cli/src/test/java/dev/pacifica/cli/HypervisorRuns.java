package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.recorder.EventLog;
import dev.pacifica.recorder.Manifest;
import dev.pacifica.recorder.TraceReader;
import dev.pacifica.replayer.Replay;
import dev.pacifica.schemas.EventReader;
import dev.pacifica.schemas.Events;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What the tests of stock hypervisors look at in a recording. */
final class HypervisorRuns {
    private HypervisorRuns() {}

    /** How many exits there were by code; their moments are added to the list. */
    static Map<Integer, Long> exits(TraceReader trace, List<Long> moments) {
        Map<Integer, Long> exits = new TreeMap<>();
        try (EventLog log = trace.events()) {
            for (EventReader event = log.next(); event != null; event = log.next()) {
                if (event.kind().equals(Events.Vmexit.KIND)) {
                    exits.merge((int) event.get(Events.Vmexit.EXIT_CODE), 1L, Long::sum);
                    moments.add(event.insnCount());
                }
            }
        }
        return exits;
    }

    /** From the last checkpoint with a hundred exits behind it, in the Linux guest, to the end. */
    static void replayedFromTheLast100Exits(String name, TraceReader trace, List<Long> moments) {
        long hundredthLast = moments.get(moments.size() - 100);
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
        Ladder.say("%s: identical from checkpoint %d, %,d events", name, from, replay.events());
    }
}
