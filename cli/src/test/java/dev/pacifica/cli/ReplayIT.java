package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.recorder.EventLog;
import dev.pacifica.recorder.Manifest;
import dev.pacifica.recorder.TraceReader;
import dev.pacifica.replayer.Replay;
import dev.pacifica.schemas.EventField;
import dev.pacifica.schemas.EventKind;
import dev.pacifica.schemas.EventReader;
import dev.pacifica.schemas.Events;
import dev.pacifica.schemas.FieldType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A recorded run can be had again, to the bit, from anywhere; and what is not the same is told. */
class ReplayIT {
    private static final Duration PATIENCE = Duration.ofMinutes(10);

    /**
     * From each checkpoint the replay goes to the next one, where the whole machine is compared;
     * what follows is the replay from that one. With -Dpacifica.thorough each goes to the end.
     */
    private static final boolean TO_THE_END = Boolean.getBoolean("pacifica.thorough");

    @TempDir Path folder;

    @ParameterizedTest
    @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "KVM_AVIC") // two processors do it, too
    void theWholeRunIsIdentical(Ladder ladder) {
        Path trace = ladder.recorded().trace();
        Manifest manifest = TraceReader.open(trace).manifest();
        PacificaProcess.Result replay =
                PacificaProcess.run(PATIENCE, folder, "", "replay", trace.toString(), "--verify");
        assertThat(replay.err()).isEmpty();
        assertThat(replay.out())
                .isEqualTo(
                        String.format(
                                Locale.ROOT,
                                "identical: instructions 0 to %,d, %,d events and %,d checkpoints"
                                        + " compared (%s)%n",
                                manifest.end().insnCount(),
                                manifest.end().events(),
                                manifest.checkpoints().size(),
                                "the guest switched the power off"));
        assertThat(replay.status()).isZero();
        Ladder.say("%s: replay --verify: %s", ladder, replay.out().strip());
    }

    @ParameterizedTest
    @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "KVM_AVIC") // two processors do it, too
    void theRunFromEachCheckpointIsIdentical(Ladder ladder) {
        TraceReader trace = TraceReader.open(ladder.recorded().trace());
        List<Manifest.Checkpoint> checkpoints = trace.manifest().checkpoints();
        assertThat(checkpoints).hasSizeGreaterThan(4);
        long end = trace.manifest().end().insnCount();
        for (int k = 0; k < checkpoints.size(); k++) {
            boolean last = TO_THE_END || k == checkpoints.size() - 1;
            long until = last ? Long.MAX_VALUE : checkpoints.get(k + 1).insnCount();
            Replay.Result result = replay(trace, k, until);
            assertThat(result.divergence()).as("%s from checkpoint %d", ladder, k).isNull();
            assertThat(result.fromInsnCount()).isEqualTo(checkpoints.get(k).insnCount());
            assertThat(result.toInsnCount()).isEqualTo(last ? end : until);
            assertThat(result.checkpoints())
                    .isEqualTo(TO_THE_END ? checkpoints.size() - 1 - k : last ? 0 : 1);
            assertThat(result.events())
                    .as("events compared from checkpoint %d", k)
                    .isEqualTo(
                            (last
                                            ? trace.manifest().end().events()
                                            : checkpoints.get(k + 1).events())
                                    - checkpoints.get(k).events());
        }
        Ladder.say("%s: identical from each of %d checkpoints", ladder, checkpoints.size());
    }

    @Test
    void theSameImageRecordedTwiceGivesTheSameTrace() {
        TraceReader first = TraceReader.open(Ladder.KVM_NESTED_PAGING.recorded().trace());
        TraceReader second = TraceReader.open(Ladder.KVM_NESTED_PAGING.record("second").trace());
        assertThat(second.manifest().end()).isEqualTo(first.manifest().end());
        assertThat(second.manifest().checkpoints()).isEqualTo(first.manifest().checkpoints());
        long events = sameEvents(first, second);
        assertThat(events).isEqualTo(first.manifest().end().events());
        Ladder.say("recorded twice: %,d events are the same", events);
    }

    /**
     * Compares two traces event by event as far as the second goes, and returns how many events
     * that are.
     */
    static long sameEvents(TraceReader whole, TraceReader other) {
        try (EventLog expected = whole.events();
                EventLog found = other.events()) {
            long events = 0;
            for (EventReader event = found.next(); event != null; event = found.next(), events++) {
                EventReader same = expected.next();
                assertThat(same).as("event %d in the longer trace", events).isNotNull();
                assertThat(event.kind()).as("kind of event %d", events).isEqualTo(same.kind());
                int length = event.kind().length();
                if (!Arrays.equals(
                        event.buffer(),
                        event.offset(),
                        event.offset() + length,
                        same.buffer(),
                        same.offset(),
                        same.offset() + length)) {
                    for (EventField field : event.kind().fields()) {
                        assertThat(event.show(field))
                                .as("%s of event %d", field.name(), events)
                                .isEqualTo(same.show(field));
                    }
                    assertThat(event.insnCount())
                            .as("moment of event %d", events)
                            .isEqualTo(same.insnCount());
                    assertThat(event.timeNs())
                            .as("time of event %d", events)
                            .isEqualTo(same.timeNs());
                }
            }
            return events;
        }
    }

    @Test
    void anExitThatWasForgedInALinuxTraceIsFound() throws IOException {
        Path trace = folder.resolve("forged.pacifica");
        copy(Ladder.KVM_NESTED_PAGING.recorded().trace(), trace);
        Place place = places(TraceReader.open(trace), Events.Vmexit.KIND).get(600);
        TraceForger.flip(trace, place.event, Events.Vmexit.INFO1.offset(), 1 << 4);
        assertThat(PacificaProcess.run(folder, "", "info", trace.toString()).status())
                .as("the checksums are right")
                .isZero();
        int checkpoint =
                (int)
                                TraceReader.open(trace).manifest().checkpoints().stream()
                                        .filter(c -> c.insnCount() <= place.insnCount)
                                        .count()
                        - 1;
        PacificaProcess.Result replay =
                PacificaProcess.run(
                        PATIENCE,
                        folder,
                        "",
                        "replay",
                        trace.toString(),
                        "--verify",
                        "--from-checkpoint",
                        "" + checkpoint);
        assertThat(replay.status()).isEqualTo(1);
        assertThat(replay.out()).isEmpty();
        assertThat(replay.err())
                .matches(
                        String.format(
                                Locale.ROOT,
                                "pacifica: first divergence at instruction %,d, event %,d:"
                                        + " vmexit\\.info1: expected 0x\\p{XDigit}+, found"
                                        + " 0x\\p{XDigit}+\n",
                                place.insnCount,
                                place.event));
        Ladder.say("forged exit: %s", replay.err().strip());
    }

    /** An event in a trace. */
    private record Place(long event, long insnCount, EventKind kind) {}

    private static List<Place> places(TraceReader trace, EventKind wanted) {
        List<Place> places = new ArrayList<>();
        try (EventLog log = trace.events()) {
            for (EventReader event = log.next(); event != null; event = log.next()) {
                if (wanted == null || event.kind().equals(wanted)) {
                    places.add(new Place(event.sequence(), event.insnCount(), event.kind()));
                }
            }
        }
        return places;
    }

    @Test
    void anyForgedFieldIsFoundWhereItIs() throws IOException {
        Path path = folder.resolve("demo.pacifica");
        Path image = Ladder.root().resolve("guests/demo-hypervisor/demo-hypervisor.elf");
        PacificaProcess.Result recording =
                PacificaProcess.run(
                        folder,
                        "",
                        "record",
                        "-o",
                        path.toString(),
                        "--kernel",
                        image.toString(),
                        "--memory",
                        "64M",
                        "--checkpoint-every",
                        "50k");
        assertThat(recording.status()).as(recording.err()).isEqualTo(0x10 << 1 | 1);
        TraceReader trace = TraceReader.open(path);
        List<Place> all = places(trace, null);
        SplittableRandom random = new SplittableRandom(8);
        List<EventKind> kinds = all.stream().map(Place::kind).distinct().toList();
        assertThat(kinds)
                .contains(
                        Events.Vmrun.KIND,
                        Events.Vmexit.KIND,
                        Events.Npf.KIND,
                        Events.Ioio.KIND,
                        Events.VmcbChange.KIND);
        int forged = 0;
        for (EventKind kind : kinds) {
            List<Place> places = all.stream().filter(p -> p.kind.equals(kind)).toList();
            List<EventField> fields = new ArrayList<>(kind.fields());
            fields.removeIf(field -> field.type() == FieldType.TEXT);
            fields.add(EventKind.TIME_NS);
            for (int i = 0; i < 2; i++, forged++) {
                Place place = places.get(random.nextInt(places.size()));
                EventField field = fields.get(random.nextInt(fields.size()));
                int bit =
                        1
                                << (field.type() == FieldType.FLAG
                                        ? 0
                                        : random.nextInt(8 * Math.min(4, field.width())));
                TraceForger.flip(path, place.event, field.offset(), bit);
                Replay.Result result =
                        replay(TraceReader.open(path), Replay.POWER_ON, Long.MAX_VALUE);
                assertThat(result.divergence())
                        .as("event %d: %s.%s ^ 0x%x", place.event, kind, field.name(), bit)
                        .isNotNull();
                assertThat(result.divergence().field()).isEqualTo(kind + "." + field.name());
                assertThat(result.divergence().event()).isEqualTo(place.event);
                assertThat(result.divergence().insnCount()).isEqualTo(place.insnCount);
                TraceForger.flip(path, place.event, field.offset(), bit);
            }
        }
        assertThat(replay(TraceReader.open(path), Replay.POWER_ON, Long.MAX_VALUE).divergence())
                .as("the trace with everything put back")
                .isNull();
        Ladder.say(
                "demo: %d forged fields of %d kinds of events found at their event and field",
                forged, kinds.size());
    }

    static Replay.Result replay(TraceReader trace, int checkpoint, long until) {
        return new Replay(trace, ReplayCommand.factory(SerialPorts.none()), (_, _) -> true)
                .run(checkpoint, until);
    }

    private static void copy(Path from, Path to) throws IOException {
        try (var files = Files.walk(from)) {
            for (Path file : files.toList()) {
                Files.copy(file, to.resolve(from.relativize(file).toString()));
            }
        }
    }
}
