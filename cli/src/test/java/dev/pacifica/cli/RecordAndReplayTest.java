package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.pacifica.recorder.Manifest;
import dev.pacifica.recorder.TraceReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The command line on real-mode guests of a few instructions. */
class RecordAndReplayTest {
    @TempDir Path folder;

    private PacificaProcess.Result pacifica(String... args) {
        return PacificaProcess.run(folder, "", args);
    }

    private void guest(TinyGuest guest) throws IOException {
        guest.write(folder.resolve("guest.bin"));
    }

    private PacificaProcess.Result record(String input, String... more) {
        String[] base = {
            "record",
            "-o",
            "t.pacifica",
            "--force",
            "--kernel",
            "guest.bin",
            "--load",
            TinyGuest.LOAD,
            "--memory",
            "16M"
        };
        String[] args = new String[base.length + more.length];
        System.arraycopy(base, 0, args, 0, base.length);
        System.arraycopy(more, 0, args, base.length, more.length);
        return PacificaProcess.run(folder, input, args);
    }

    @Test
    void theGuestsDebugExitIsTheStatusOfRunAndRecord() throws IOException {
        guest(new TinyGuest().print("hello\n").exit(0x15));
        PacificaProcess.Result run =
                pacifica(
                        "run",
                        "--kernel",
                        "guest.bin",
                        "--load",
                        TinyGuest.LOAD,
                        "--memory",
                        "16M");
        assertThat(run).isEqualTo(new PacificaProcess.Result(0x15 << 1 | 1, "hello\n", ""));
        assertThat(record("")).isEqualTo(run);
    }

    /** A replay without the cache would not even read the checkpoints' saved states. */
    @Test
    void theVmcbCacheBelongsToTheRecordedMachine() throws IOException {
        guest(new TinyGuest().print("one\n").spin(20).exit(0));
        record("", "--checkpoint-every", "300k", "--vmcb-cache", "on");
        Manifest manifest = TraceReader.open(folder.resolve("t.pacifica")).manifest();
        assertThat(manifest.machine().get("vmcbCache").asBoolean()).isTrue();
        assertThat(pacifica("replay", "t.pacifica", "--verify").status()).isZero();
        PacificaProcess.Result later =
                pacifica("replay", "t.pacifica", "--verify", "--from-checkpoint", "2");
        assertThat(later.status()).isZero();
    }

    @Test
    void eachStatementOfAQueryShowsItsRows() throws IOException {
        guest(new TinyGuest().exit(0));
        assertThat(record("").status()).isEqualTo(1);
        assertThat(
                        pacifica(
                                "query",
                                "t.pacifica",
                                "SELECT 1 AS one; CREATE TEMP TABLE t AS SELECT 2 AS two; FROM t;",
                                "--format",
                                "csv"))
                .isEqualTo(new PacificaProcess.Result(0, "one\r\n1\r\ntwo\r\n2\r\n", ""));
        // As in DuckDB's own shell.
        assertThat(
                        pacifica(
                                        "query",
                                        "t.pacifica",
                                        "SELECT 1 AS one; SELECT 2 AS two",
                                        "--format",
                                        "json")
                                .out())
                .isEqualTo("[\n{\"one\":1}\n]\n[\n{\"two\":2}\n]\n");
        String copy = "COPY (FROM range(1234)) TO 'numbers.csv'";
        assertThat(pacifica("query", "t.pacifica", copy))
                .isEqualTo(new PacificaProcess.Result(0, "1,234 rows written\n", ""));
        assertThat(folder.resolve("numbers.csv")).content().hasLineCount(1235);
        assertThat(pacifica("query", "t.pacifica", copy, "--format", "csv"))
                .isEqualTo(new PacificaProcess.Result(0, "", ""));
        PacificaProcess.Result half =
                pacifica("query", "t.pacifica", "SELECT 1 AS one; SELECT two");
        assertThat(half.status()).isEqualTo(2);
        assertThat(half.out()).contains("1 row");
        assertThat(half.err()).startsWith("pacifica: query: Binder Error");
    }

    @Test
    void aRecordingReplaysFromEachCheckpointAndAnswersSql() throws IOException {
        guest(new TinyGuest().print("one\n").spin(20).print("two\n").exit(0));
        assertThat(record("", "--checkpoint-every", "300k").status()).isEqualTo(1);
        Manifest manifest = TraceReader.open(folder.resolve("t.pacifica")).manifest();
        // 20 × 65,536 instructions of LOOP make 1.3 million.
        assertThat(manifest.checkpoints()).hasSize(5);
        PacificaProcess.Result whole = pacifica("replay", "t.pacifica", "--verify");
        assertThat(whole.status()).isZero();
        assertThat(whole.out())
                .startsWith("identical: instructions 0 to 1,3")
                .contains(" 5 checkpoints compared");
        for (int k = 0; k < 5; k++) {
            String trace = folder.resolve("t.pacifica").toString();
            assertThat(
                            Pacifica.commandLine()
                                    .execute(
                                            "replay",
                                            trace,
                                            "--verify",
                                            "--from-checkpoint",
                                            "" + k))
                    .as("from checkpoint %d", k)
                    .isZero();
        }
        assertThat(pacifica("replay", "t.pacifica").out()).isEqualTo("one\ntwo\n");
        assertThat(
                        pacifica(
                                        "query",
                                        "t.pacifica",
                                        "SELECT line FROM console ORDER BY sequence",
                                        "--format",
                                        "csv")
                                .out())
                .isEqualTo("line\r\none\r\ntwo\r\n");
        assertThat(
                        PacificaProcess.run(
                                        folder,
                                        "SELECT checkpoint, insn_count, 0xffffffff81000000::UBIGINT"
                                                + " AS rip FROM checkpoints WHERE checkpoint = 2",
                                        "query",
                                        "t.pacifica",
                                        "-",
                                        "--format",
                                        "json")
                                .out())
                .isEqualTo(
                        "[\n"
                                + "{\"checkpoint\":2,\"insn_count\":600000,\"rip\":\"0xffffffff81000000\"}\n"
                                + "]\n");
        assertThat(pacifica("checkpoints", "t.pacifica").out()).contains("600,000");
        assertThat(pacifica("info", "t.pacifica").out())
                .contains("the guest left through the debug-exit port (status 1)");
    }

    @Test
    void fourProcessorsReplayFromEachCheckpointWhateverTheQuantum() {
        String image = Ladder.root().resolve("guests/processors/processors.elf").toString();
        String trace = folder.resolve("t.pacifica").toString();
        for (String quantum : List.of("10000", "777", "50")) {
            PacificaProcess.Result recorded =
                    pacifica(
                            "record",
                            "-o",
                            "t.pacifica",
                            "--force",
                            "--kernel",
                            image,
                            "--memory",
                            "64M",
                            "--cpus",
                            "4",
                            "--quantum",
                            quantum,
                            "--checkpoint-every",
                            "400k");
            assertThat(recorded.status()).as(recorded.out()).isEqualTo(0x10 << 1 | 1);
            assertThat(recorded.out()).contains("4 processors").contains("TESTS PASSED");
            Manifest manifest = TraceReader.open(folder.resolve("t.pacifica")).manifest();
            assertThat(manifest.machine().get("cpus").asInt()).isEqualTo(4);
            assertThat(manifest.machine().get("quantum").asText()).isEqualTo(quantum);
            assertThat(manifest.checkpoints()).hasSizeGreaterThan(4);
            for (int k = 0; k < manifest.checkpoints().size(); k++) {
                assertThat(
                                Pacifica.commandLine()
                                        .execute(
                                                "replay",
                                                trace,
                                                "--verify",
                                                "--from-checkpoint",
                                                "" + k))
                        .as("quantum %s, from checkpoint %d", quantum, k)
                        .isZero();
            }
        }
        assertThat(pacifica("info", "t.pacifica").out())
                .contains("4 processors taking turns of 50 instructions");
    }

    @Test
    void whatIsTypedIsReplayed() throws IOException {
        guest(new TinyGuest().echoUntil('q').exit(3));
        PacificaProcess.Result recorded = record("abc, q");
        assertThat(recorded).isEqualTo(new PacificaProcess.Result(7, "abc, q", ""));
        assertThat(pacifica("replay", "t.pacifica").out()).isEqualTo("abc, q");
        assertThat(pacifica("replay", "t.pacifica", "--verify").status()).isZero();
        assertThat(
                        pacifica(
                                        "query",
                                        "t.pacifica",
                                        "SELECT string_agg(text, '') AS t FROM inputs",
                                        "--format",
                                        "csv")
                                .out())
                .isEqualTo("t\r\n\"abc, q\"\r\n");
    }

    @Test
    void aReplayOnAnotherImageDivergesWithStatusOne() throws IOException {
        guest(new TinyGuest().print("x").exit(1));
        record("");
        Path recorded = folder.resolve("t.pacifica");
        Manifest.Image image = TraceReader.open(recorded).manifest().images().getFirst();
        Path copy = recorded.resolve(image.file());
        String before = TraceReader.open(recorded).manifest().images().getFirst().sha256();
        new TinyGuest().print("y").exit(1).write(copy);
        // The image's hash is put right too, or the change would be found before the replay begins.
        String after = HexFormat.of().formatHex(sha256(Files.readAllBytes(copy)));
        Path manifest = recorded.resolve("manifest.json");
        Files.writeString(manifest, Files.readString(manifest).replace(before, after));
        PacificaProcess.Result replay = pacifica("replay", "t.pacifica", "--verify");
        assertThat(replay.status()).isEqualTo(1);
        assertThat(replay.err())
                .matches(
                        "pacifica: first divergence at instruction 0, event 0: RAM page 0x7: .*\n");
    }

    private static byte[] sha256(byte[] bytes) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(bytes);
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void theInstructionLimitIsExact() throws IOException {
        guest(new TinyGuest().forEver());
        PacificaProcess.Result recorded = record("", "--max-instructions", "1_234_567");
        assertThat(recorded.status()).isEqualTo(124);
        assertThat(recorded.err())
                .matches(
                        "pacifica: instruction limit reached after 1,234,567 instructions, at rip"
                                + " 0x7c[0-9a-f]{2}\n");
        assertThat(TraceReader.open(folder.resolve("t.pacifica")).manifest().end().insnCount())
                .isEqualTo(1_234_567);
        assertThat(pacifica("replay", "t.pacifica", "--verify").out())
                .isEqualTo(
                        "identical: instructions 0 to 1,234,567, 3 events and 1 checkpoint compared"
                                + " (instruction limit reached)\n");
    }

    @Test
    void aGuestThatHaltsForEverSaysWhere() throws IOException {
        guest(new TinyGuest().print("x").halt());
        PacificaProcess.Result halted =
                new PacificaProcess.Result(
                        6,
                        "x",
                        "pacifica: halted with nothing that could wake it after 5 instructions, at"
                                + " rip 0x7c08\n");
        assertThat(record("")).isEqualTo(halted);
        assertThat(pacifica("replay", "t.pacifica", "--verify").out())
                .contains("(halted with nothing that could wake it)");
        assertThat(pacifica("info", "t.pacifica").out())
                .contains("halted with nothing that could wake it (status 6)");
    }

    /** Where both go to the same place, as to a terminal. */
    @Test
    void theLastLineIsNotGluedToTheGuests() throws IOException {
        String told =
                "pacifica: halted with nothing that could wake it after 5 instructions, at rip"
                        + " 0x7c08\n";
        assertThat(merged(new TinyGuest().print("x").halt())).isEqualTo("x\n" + told);
        assertThat(merged(new TinyGuest().print("\n").halt())).isEqualTo("\n" + told);
        assertThat(merged(new TinyGuest().print("x").exit(0))).isEqualTo("x");
    }

    private String merged(TinyGuest guest) throws IOException {
        guest(guest);
        Process process =
                new ProcessBuilder(
                                PacificaProcess.command(
                                        "run",
                                        "--kernel",
                                        "guest.bin",
                                        "--load",
                                        TinyGuest.LOAD,
                                        "--memory",
                                        "16M"))
                        .directory(folder.toFile())
                        .redirectErrorStream(true)
                        .start();
        process.getOutputStream().close();
        return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    }

    /** One object and nothing else, in which the end is told as well. */
    @Test
    void withJsonTheEndIsInTheReport() throws IOException {
        guest(new TinyGuest().print("x").halt());
        JsonNode end = new ObjectMapper().readTree(record("", "--check=json").err()).get("end");
        String expected =
                """
                {"reason": "halted with nothing that could wake it", "status": 6, "instructions": 5,
                 "processors": [{"vcpu": 0, "rip": "0x7c08", "cs_base": "0x0", "in_guest": false,
                                 "symbol": null}]}
                """;
        assertThat(end).isEqualTo(new ObjectMapper().readTree(expected));
        String checked = pacifica("check", "t.pacifica", "--format", "json").out();
        assertThat(new ObjectMapper().readTree(checked).get("end")).isEqualTo(end);
        JsonNode limited =
                new ObjectMapper()
                        .readTree(record("", "--check=json", "--max-instructions", "1").err())
                        .get("end");
        assertThat(limited.get("reason").asText()).isEqualTo("instruction limit reached");
        assertThat(limited.get("status").isNull()).isTrue();
        assertThat(limited.get("instructions").asLong()).isEqualTo(1);
    }

    @Test
    void terminationEndsARecordingInGoodOrder() throws IOException, InterruptedException {
        guest(new TinyGuest().print("go\n").forEver());
        Process process =
                PacificaProcess.start(
                        folder,
                        "record",
                        "-o",
                        "t.pacifica",
                        "--kernel",
                        "guest.bin",
                        "--load",
                        TinyGuest.LOAD,
                        "--memory",
                        "16M");
        assertThat(process.getInputStream().read()).isEqualTo('g');
        process.destroy();
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        assertThat(TraceReader.open(folder.resolve("t.pacifica")).manifest().end().reason())
                .isEqualTo("interrupted");
        assertThat(pacifica("replay", "t.pacifica", "--verify").out()).contains("(interrupted)");
    }

    @Test
    void aKilledRecordingOpensAndReplaysAsFarAsItGoes() throws IOException, InterruptedException {
        guest(new TinyGuest().print("go\n").spin(200).print("still\n").forEver());
        Process process =
                PacificaProcess.start(
                        folder,
                        "record",
                        "-o",
                        "t.pacifica",
                        "--kernel",
                        "guest.bin",
                        "--load",
                        TinyGuest.LOAD,
                        "--memory",
                        "16M",
                        "--checkpoint-every",
                        "3M");
        assertThat(process.getInputStream().read()).isEqualTo('g');
        while (TraceReader.open(folder.resolve("t.pacifica")).manifest().checkpoints().size() < 3) {
            Thread.sleep(10);
        }
        assertThat(pacifica("info", "t.pacifica").out())
                .containsPattern("ends +not yet: it is being recorded; whole up to now\n");
        assertThat(record("").err())
                .isEqualTo("pacifica: t.pacifica is being recorded by another process\n");
        process.destroyForcibly();
        process.waitFor();
        assertThat(pacifica("info", "t.pacifica").out()).contains("cut off");
        for (String[] from : new String[][] {{}, {"--from-checkpoint", "2"}}) {
            String[] args = {"replay", "t.pacifica", "--verify"};
            String[] all = Stream.of(args, from).flatMap(Arrays::stream).toArray(String[]::new);
            PacificaProcess.Result replay = pacifica(all);
            assertThat(replay.status()).isZero();
            assertThat(replay.out()).contains("(the recording was cut off here)");
        }
    }
}
