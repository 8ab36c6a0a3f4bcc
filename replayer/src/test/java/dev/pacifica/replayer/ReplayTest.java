package dev.pacifica.replayer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.pacifica.emulator.machine.InputSource;
import dev.pacifica.emulator.machine.Stop;
import dev.pacifica.recorder.EventLog;
import dev.pacifica.recorder.MachineForm;
import dev.pacifica.recorder.Manifest;
import dev.pacifica.recorder.TraceException;
import dev.pacifica.recorder.TraceReader;
import dev.pacifica.recorder.TraceRecorder;
import dev.pacifica.schemas.EventReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReplayTest {
    private static final long ENDS = 200_000;
    private static final long EVERY = 40_000;

    @TempDir Path folder;

    private Path trace() {
        return folder.resolve("run.pacifica");
    }

    /** Bytes typed at moments that nobody can foresee. */
    private static final class Typist implements InputSource {
        private final Random random = new Random(5);
        private long next = 1000;

        @Override
        public long nextPoll(long now) {
            return next;
        }

        @Override
        public Input poll(long now) {
            if (now < next) {
                return null;
            }
            next = now + 1 + random.nextInt(50_000);
            return new Input(
                    SERIAL_RECEIVE,
                    0,
                    Integer.toString(random.nextInt()).getBytes(StandardCharsets.UTF_8));
        }

        @Override
        public boolean await(long now) {
            return true;
        }
    }

    private TraceRecorder recorder(Path trace) {
        return new TraceRecorder(
                trace,
                "test",
                "2026-01-01T00:00:00Z",
                JsonNodeFactory.instance.objectNode(),
                List.of(),
                new Typist());
    }

    private void record(Path trace, long endsAt) {
        try (TraceRecorder recorder = recorder(trace)) {
            FakeMachine machine = new FakeMachine(1, endsAt, recorder.inputs());
            recorder.start(machine);
            Stop stop = null;
            for (long next = EVERY; stop == null && next <= ENDS; next += EVERY) {
                stop = machine.run(next);
                recorder.flush();
                if (stop == null && machine.clock().retired < ENDS) {
                    recorder.checkpoint();
                }
            }
            recorder.finish(stop, "as many instructions as asked for");
        }
    }

    private Replay replay(Path trace, Consumer<FakeMachine> change) {
        return new Replay(
                TraceReader.open(trace),
                (_, inputs) -> {
                    FakeMachine machine = new FakeMachine(1, Long.MAX_VALUE, inputs);
                    change.accept(machine);
                    return machine;
                },
                (_, _) -> true);
    }

    @Test
    void aRunComesBackWholeAndFromEachCheckpoint() {
        record(trace(), Long.MAX_VALUE);
        Manifest manifest = TraceReader.open(trace()).manifest();
        assertThat(manifest.checkpoints()).hasSize(5);
        assertThat(manifest.end().events()).isGreaterThan(5000);
        assertThat(manifest.end().inputs()).isGreaterThan(5);
        for (int from = -1; from < 5; from++) {
            Replay.Result result =
                    replay(trace(), _ -> {}).run(from < 0 ? Replay.POWER_ON : from, Long.MAX_VALUE);
            assertThat(result.divergence()).as("from %d", from).isNull();
            long before = from < 0 ? 0 : manifest.checkpoints().get(from).events();
            assertThat(result.events()).isEqualTo(manifest.end().events() - before);
            assertThat(result.checkpoints()).isEqualTo(4 - from);
            assertThat(result.toInsnCount()).isEqualTo(manifest.end().insnCount());
        }
    }

    @Test
    void theMachinesOwnEndIsReplayed() {
        record(trace(), 150_001);
        Replay replay =
                new Replay(
                        TraceReader.open(trace()),
                        (_, inputs) -> new FakeMachine(1, 150_001, inputs),
                        (_, _) -> true);
        Replay.Result result = replay.run(2, Long.MAX_VALUE);
        assertThat(result.divergence()).isNull();
        assertThat(result.stop().status()).isEqualTo(33);
        Replay.Result onward = replay(trace(), _ -> {}).run(2, Long.MAX_VALUE);
        assertThat(onward.divergence().field()).isIn("events", "end", "kind");
    }

    @Test
    void aFlippedRegisterBitIsFoundAtTheFirstEventOrStateThatShowsIt() {
        record(trace(), Long.MAX_VALUE);
        Replay.Result result =
                replay(trace(), m -> m.glitchAt = 100_000).run(Replay.POWER_ON, Long.MAX_VALUE);
        assertThat(result.divergence().insnCount()).isBetween(100_000L, 101_000L);
        assertThat(result.divergence().field()).startsWith("vm");
        assertThat(result.divergence().expected()).isNotEqualTo(result.divergence().found());
        assertThat(result.divergence().describe())
                .startsWith("first divergence at instruction 100,");
    }

    @Test
    void aChangedByteOfRamIsFoundAtTheNextCheckpoint() {
        record(trace(), Long.MAX_VALUE);
        Replay.Result result =
                replay(trace(), m -> m.memoryGlitchAt = 100_000).run(0, Long.MAX_VALUE);
        assertThat(result.divergence().insnCount()).isBetween(120_000L, 120_200L);
        assertThat(result.divergence().field()).isEqualTo("RAM page 0x200");
    }

    @Test
    void theSameRunRecordedTwiceGivesTheSameEvents() {
        Path second = folder.resolve("second.pacifica");
        record(trace(), Long.MAX_VALUE);
        record(second, Long.MAX_VALUE);
        assertThat(TraceReader.open(second).manifest().end())
                .isEqualTo(TraceReader.open(trace()).manifest().end());
    }

    @Test
    void untilEndsEarly() {
        record(trace(), Long.MAX_VALUE);
        Replay.Result result = replay(trace(), _ -> {}).run(1, 90_000);
        assertThat(result.divergence()).isNull();
        assertThat(result.toInsnCount()).isBetween(90_000L, 90_100L);
        assertThat(result.checkpoints()).isEqualTo(1);
    }

    /** As after kill -9: no end in the manifest, whatever was flushed in the logs. */
    @Test
    void aTraceThatWasCutOffReplaysAsFarAsItGoes() throws IOException {
        TraceRecorder recorder = recorder(trace());
        FakeMachine machine = new FakeMachine(1, Long.MAX_VALUE, recorder.inputs());
        recorder.start(machine);
        machine.run(EVERY);
        recorder.checkpoint();
        machine.run(EVERY + 12_345);
        recorder.flush();
        machine.run(EVERY + 13_000);
        // A kill stops all files at one moment; a copy does so only when nothing is being written.
        recorder.settle();
        Path copy = folder.resolve("copy.pacifica");
        copyTree(trace(), copy);
        recorder.close();

        TraceReader reader = TraceReader.open(copy);
        assertThat(reader.manifest().end()).isNull();
        TraceReader.Extent extent = reader.extent();
        assertThat(extent.insnCount()).isBetween(EVERY + 12_000, EVERY + 13_000);
        for (int from = -1; from < reader.manifest().checkpoints().size(); from++) {
            Replay.Result result =
                    replay(copy, _ -> {}).run(from < 0 ? Replay.POWER_ON : from, Long.MAX_VALUE);
            assertThat(result.divergence()).isNull();
            assertThat(result.toInsnCount()).isEqualTo(extent.insnCount());
        }
    }

    private TraceReader killed(Consumer<FakeMachine> change, long... flushedAt) throws IOException {
        TraceRecorder recorder =
                new TraceRecorder(
                        trace(),
                        "test",
                        "2026-01-01T00:00:00Z",
                        JsonNodeFactory.instance.objectNode(),
                        List.of(),
                        InputSource.NONE);
        FakeMachine machine = new FakeMachine(1, Long.MAX_VALUE, recorder.inputs());
        change.accept(machine);
        recorder.start(machine);
        for (long at : flushedAt) {
            machine.run(at);
            recorder.flush();
        }
        machine.run(machine.clock().retired + 100_000);
        recorder.settle();
        Path copy = folder.resolve("copy.pacifica");
        copyTree(trace(), copy);
        recorder.close();
        return TraceReader.open(copy);
    }

    @Test
    void aKilledTraceReachesTheLastFlushOfASilentMachine() throws IOException {
        TraceReader reader = killed(m -> m.silentFrom = 50_000, 60_000, 70_000);
        assertThat(reader.extent().insnCount()).isEqualTo(70_000);
        Replay.Result result =
                replay(reader.path(), m -> m.silentFrom = 50_000).run(0, Long.MAX_VALUE);
        assertThat(result.divergence()).isNull();
        assertThat(result.toInsnCount()).isEqualTo(70_000);
        assertThat(result.events()).isEqualTo(reader.extent().events() - 2);
        assertThat(result.end()).isEqualTo("the recording was cut off here");
    }

    /** A full block is closed wherever the machine is, within an instruction too. */
    @Test
    void aKilledTraceEndsAtItsLastFullBlock() throws IOException {
        TraceReader reader = killed(_ -> {});
        TraceReader.Extent extent = reader.extent();
        assertThat(extent.insnCount()).isBetween(20_000L, 100_000L);
        assertThat(extent.events()).isGreaterThan(3_000);
        Replay.Result result = replay(reader.path(), _ -> {}).run(Replay.POWER_ON, Long.MAX_VALUE);
        assertThat(result.divergence()).isNull();
        assertThat(result.toInsnCount()).isEqualTo(extent.insnCount());
        assertThat(result.events()).isEqualTo(extent.events());
    }

    @Test
    void anUnknownCheckpointIsOneClearLine() {
        record(trace(), Long.MAX_VALUE);
        assertThatThrownBy(() -> replay(trace(), _ -> {}).run(5, Long.MAX_VALUE))
                .isInstanceOf(TraceException.class)
                .hasMessage("no checkpoint 5: the trace has 0 to 4");
    }

    @Test
    void aTraceOfANewerVersionIsRefused() throws IOException {
        record(trace(), Long.MAX_VALUE);
        Path manifest = trace().resolve("manifest.json");
        Files.writeString(
                manifest,
                Files.readString(manifest).replaceFirst("\"version\" : 1", "\"version\" : 2"));
        assertThatThrownBy(() -> TraceReader.open(trace()))
                .isInstanceOf(TraceException.class)
                .hasMessageEndingWith(
                        "has trace format version 2; this Pacifica reads up to version 1");
    }

    private void refusedAsAnothers(Consumer<FakeMachine> change, String difference) {
        for (int from : new int[] {Replay.POWER_ON, 2}) {
            assertThatThrownBy(() -> replay(trace(), change).run(from, Long.MAX_VALUE))
                    .isInstanceOf(TraceException.class)
                    .hasMessage(
                            "%s was recorded by another build of Pacifica (test,"
                                    + " 2026-01-01T00:00:00Z), whose machine is not this one's: %s;"
                                    + " replay it with that build, or record the run again (info and"
                                    + " query read it as it is)",
                            trace(), difference);
        }
    }

    /** Nothing diverges where nothing can be executed. */
    @Test
    void aTraceOfAnotherBuildsMachineIsRefused() {
        record(trace(), Long.MAX_VALUE);
        refusedAsAnothers(
                m -> m.features = List.of("fpu", "avic", "svm", "vgif"),
                "its processor lacked avic, vgif");
        refusedAsAnothers(
                m -> m.features = List.of("svm", "avic"),
                "its processor had, and now lacks, fpu; its processor lacked avic");
        String recorded = TraceReader.open(trace()).manifest().form().stateLayout();
        assertThat(recorded).matches("[0-9a-f]{16}");
        FakeMachine other = new FakeMachine(1, Long.MAX_VALUE, InputSource.NONE);
        other.fieldName = "chance";
        String built = MachineForm.of(other).stateLayout();
        assertThat(built).matches("[0-9a-f]{16}").isNotEqualTo(recorded);
        refusedAsAnothers(
                m -> m.fieldName = "chance",
                "its saved state has layout %s, here it is %s".formatted(recorded, built));
    }

    @Test
    void aTraceOfAnotherEventSchemaIsNotReplayed() throws IOException {
        record(trace(), Long.MAX_VALUE);
        Path file = trace().resolve("manifest.json");
        String layout = TraceReader.open(trace()).manifest().form().eventLayout();
        Files.writeString(file, Files.readString(file).replace(layout, "0123456789abcdef"));
        refusedAsAnothers(
                _ -> {},
                "its event schema has layout 0123456789abcdef, here it is %s".formatted(layout));
    }

    @Test
    void aMachineThatBeginsOtherwiseIsAnotherBuilds() {
        record(trace(), Long.MAX_VALUE);
        assertThatThrownBy(() ->
                        replay(trace(), FakeMachine::changeRegister)
                                .run(Replay.POWER_ON, Long.MAX_VALUE))
                .isInstanceOf(TraceException.class)
                .hasMessageContainingAll(
                        "another build of Pacifica",
                        "before the first instruction, fake.registers[5] was 0x0 and is 0x7");
    }

    /** Of traces from before it was written down. */
    @Test
    void aTraceThatDoesNotTellTheFormOfItsMachineReplays() throws IOException {
        record(trace(), Long.MAX_VALUE);
        Path file = trace().resolve("manifest.json");
        String text = Files.readString(file);
        String without = text.replaceFirst("(?s)\"form\" : \\{.*?\\},", "");
        assertThat(without).hasSizeLessThan(text.length());
        Files.writeString(file, without);
        assertThat(TraceReader.open(trace()).manifest().form()).isNull();
        assertThat(replay(trace(), _ -> {}).run(2, Long.MAX_VALUE).divergence()).isNull();
    }

    @Test
    void damagedCheckpointsAreNoticed() throws IOException {
        record(trace(), Long.MAX_VALUE);
        Path file = trace().resolve("checkpoints/000001.checkpoint");
        byte[] bytes = Files.readAllBytes(file);
        bytes[bytes.length / 2] ^= 1;
        Files.write(file, bytes);
        assertThatThrownBy(() -> replay(trace(), _ -> {}).run(1, Long.MAX_VALUE))
                .isInstanceOf(TraceException.class)
                .hasMessage("damaged trace: " + file + ": its checksum does not match");
    }

    @Test
    void eventsAfterASkipAreThoseOfTheWholeLog() {
        record(trace(), Long.MAX_VALUE);
        TraceReader reader = TraceReader.open(trace());
        for (long first : new long[] {0, 1, 255, 256, 257, 5000}) {
            try (EventLog log = reader.events()) {
                log.skipTo(first);
                EventReader event = log.next();
                assertThat(event.sequence()).isEqualTo(first);
            }
        }
    }

    private static void copyTree(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : (Iterable<Path>) files::iterator) {
                Files.copy(file, to.resolve(from.relativize(file)));
            }
        }
    }
}
