package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Mistakes as a person makes them, in a process of their own: exactly one line on standard error
 * that says what is wrong, status 2, nothing on standard output, and nothing written that was not
 * there before.
 */
class BadInputIT {
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    @TempDir Path folder;

    private Path kernel;

    @BeforeEach
    void copyKernel() throws IOException {
        kernel =
                Files.copy(
                        Ladder.root().resolve("guests/demo-hypervisor/demo-hypervisor.elf"),
                        folder.resolve("kernel.elf"));
    }

    /**
     * Runs, demands the one line and returns it without {@code pacifica: } and with {@code folder}
     * taken out.
     */
    private String refused(String... args) throws IOException {
        List<String> before = files();
        PacificaProcess.Result result = PacificaProcess.run(PATIENCE, folder, "", args);
        assertThat(result.err()).as(String.join(" ", args)).matches("pacifica: [^\n]+\n");
        assertThat(result.status()).as(result.err()).isEqualTo(2);
        assertThat(result.out()).isEmpty();
        assertThat(files()).as("files before and after").isEqualTo(before);
        String line = result.err().strip().substring("pacifica: ".length());
        Ladder.say("pacifica %s: %s", args[0], line);
        return line;
    }

    private String recordRefused(String... more) throws IOException {
        List<String> args = new ArrayList<>(List.of("record", "-o", "new.pacifica"));
        args.addAll(List.of(more));
        return refused(args.toArray(String[]::new));
    }

    /** Every file below the folder with its length. */
    private List<String> files() throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(file -> !file.toString().contains("/.cache"))
                    .map(file ->
                            file + (Files.isRegularFile(file) ? " " + file.toFile().length() : ""))
                    .sorted()
                    .collect(Collectors.toList());
        }
    }

    private Path trace() {
        PacificaProcess.Result recording =
                PacificaProcess.run(
                        PATIENCE,
                        folder,
                        "",
                        "record",
                        "-o",
                        "t.pacifica",
                        "--kernel",
                        "kernel.elf",
                        "--memory",
                        "64M");
        assertThat(recording.status()).as(recording.err()).isEqualTo(0x10 << 1 | 1);
        return folder.resolve("t.pacifica");
    }

    @Test
    void aMissingFile() throws IOException {
        assertThat(recordRefused("--kernel", "nowhere")).isEqualTo("nowhere: no such file");
        assertThat(recordRefused("--kernel", "kernel.elf", "--initrd", "nowhere"))
                .isEqualTo("nowhere: no such file");
    }

    @Test
    void notAnElfFile() throws IOException {
        Files.writeString(folder.resolve("poem"), "The sea is calm tonight.\n".repeat(1000));
        assertThat(recordRefused("--kernel", "poem")).startsWith("poem: ");
        Files.write(folder.resolve("empty"), new byte[0]);
        assertThat(recordRefused("--kernel", "empty")).startsWith("empty: ");
    }

    @Test
    void aTruncatedElfFile() throws IOException {
        byte[] whole = Files.readAllBytes(kernel);
        for (int length : new int[] {20, 60, 100, whole.length / 2}) {
            Files.write(folder.resolve("cut.elf"), Arrays.copyOf(whole, length));
            assertThat(recordRefused("--kernel", "cut.elf")).startsWith("cut.elf: ");
        }
    }

    @Test
    void anInitrdLargerThanMemory() throws IOException {
        try (RandomAccessFile large =
                new RandomAccessFile(folder.resolve("large.cpio").toFile(), "rw")) {
            large.setLength(100 << 20);
        }
        assertThat(
                        recordRefused(
                                "--kernel",
                                "kernel.elf",
                                "--memory",
                                "64M",
                                "--initrd",
                                "large.cpio"))
                .startsWith("large.cpio: ")
                .contains("memory");
    }

    @Test
    void unknownOptionValues() throws IOException {
        assertThat(recordRefused("--kernel", "kernel.elf", "--memory", "plenty"))
                .contains("plenty");
        assertThat(recordRefused("--kernel", "kernel.elf", "--cpu", "z80")).contains("z80");
        assertThat(recordRefused("--kernel", "kernel.elf", "--cpu", "epyc-milan,+wings"))
                .contains("wings");
        assertThat(recordRefused("--kernel", "kernel.elf", "--serial", "pigeon"))
                .contains("pigeon");
        assertThat(recordRefused("--kernel", "kernel.elf", "--checkpoint-every", "0"))
                .contains("--checkpoint-every");
        assertThat(recordRefused("--kernel", "kernel.elf", "--wings", "2")).contains("--wings");
    }

    @Test
    void aTraceThatExists() throws IOException {
        trace();
        assertThat(refused("record", "-o", "t.pacifica", "--kernel", "kernel.elf"))
                .isEqualTo("t.pacifica exists already; --force replaces it");
    }

    @Test
    void aTraceOfANewerVersion() throws IOException {
        Path manifest = trace().resolve("manifest.json");
        Files.writeString(
                manifest,
                Files.readString(manifest)
                        .replaceFirst("\"version\" : \\d+", "\"version\" : 1000"));
        for (String command : List.of("info", "checkpoints", "replay")) {
            assertThat(refused(command, "t.pacifica")).contains("version 1000");
        }
        assertThat(refused("query", "t.pacifica", "SELECT 1")).contains("version 1000");
    }

    @Test
    void aDamagedTrace() throws IOException {
        Path trace = trace();
        // One byte each in the middle of the file.
        for (String file :
                List.of(
                        "events/19700101.cq4",
                        "checkpoints/000000.checkpoint",
                        "images/0-kernel.elf",
                        "manifest.json")) {
            Path path = trace.resolve(file);
            byte[] good = Files.readAllBytes(path);
            byte[] bad = good.clone();
            bad[file.endsWith("json") ? 0 : middle(good)] ^= 0x40;
            Files.write(path, bad);
            assertThat(refused("replay", "t.pacifica", "--verify", "--from-checkpoint", "0"))
                    .as("damaged %s", file)
                    .startsWith("damaged trace: ")
                    .contains(file.startsWith("events") ? "t.pacifica/events" : file);
            Files.write(path, good);
        }
        Files.write(trace.resolve("events/19700101.cq4"), new byte[0]);
        assertThat(refused("info", "t.pacifica")).startsWith("damaged trace: ");
    }

    /**
     * The middle of what a file holds before its trailing zeros; in a log, of the last block, as
     * Chronicle's own index before the blocks may be damaged without harm.
     */
    private static int middle(byte[] bytes) {
        int end = bytes.length;
        while (bytes[end - 1] == 0) {
            end--;
        }
        int block = new String(bytes, StandardCharsets.ISO_8859_1).lastIndexOf("PBLK");
        return (Math.max(block, 0) + end) / 2;
    }

    @Test
    void badSql() throws IOException {
        trace();
        assertThat(refused("query", "t.pacifica", "SELECT FROM WHERE"))
                .startsWith("query: Parser Error");
        assertThat(refused("query", "t.pacifica", "SELECT rip FROM exits"))
                .startsWith("query: Binder Error")
                .contains("rip");
    }

    @Test
    void anUnknownCheckpoint() throws IOException {
        trace();
        assertThat(refused("replay", "t.pacifica", "--from-checkpoint", "9999"))
                .startsWith("no checkpoint 9999: the trace has 0 to ");
    }

    /**
     * What a script said inside a name space of its own where a small tmpfs is mounted at {@code
     * small}.
     */
    private PacificaProcess.Result onSmallDisk(String size, String script) throws IOException {
        Files.createDirectories(folder.resolve("small"));
        String[] unshare = {
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            "--propagation",
            "private",
            "/bin/sh",
            "-c"
        };
        String mount = "mount -t tmpfs -o size=" + size + " tmpfs small";
        PacificaProcess.Result probe = run(unshare, mount);
        assumeTrue(
                probe.status() == 0, "no small disk can be mounted here: " + probe.err().strip());
        return run(unshare, mount + " && { " + script + "; }");
    }

    private PacificaProcess.Result run(String[] command, String script) throws IOException {
        List<String> all = new ArrayList<>(List.of(command));
        all.add(script);
        Process process = new ProcessBuilder(all).directory(folder.toFile()).start();
        process.getOutputStream().close();
        // Both are short, so one after the other does.
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        String err = new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8);
        try {
            return new PacificaProcess.Result(process.waitFor(), out, err);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    private static String pacifica(String... args) {
        return PacificaProcess.command(args).stream()
                .map(word -> "'" + word + "'")
                .collect(Collectors.joining(" "));
    }

    @Test
    void aDiskTooSmallForTheImage() throws IOException {
        Files.write(
                folder.resolve("kernel.elf"), Arrays.copyOf(Files.readAllBytes(kernel), 5 << 20));
        PacificaProcess.Result full =
                onSmallDisk(
                        "4m",
                        pacifica(
                                        "record",
                                        "-o",
                                        "small/t.pacifica",
                                        "--kernel",
                                        "kernel.elf",
                                        "--memory",
                                        "64M")
                                + "; echo $?; ls small");
        assertThat(full.err())
                .matches(
                        "pacifica: no space left [^\n"
                                + "]*small/t.pacifica[^\n"
                                + "]*; nothing was recorded\n");
        assertThat(full.out()).isEqualTo("2\n");
        Ladder.say("disk full at the start: %s", full.err().strip());
    }

    @Test
    void aDiskThatFillsUpWithEvents() throws IOException {
        new TinyGuest().printForEver().write(folder.resolve("guest.bin"));
        diskFull("20m", "250M");
    }

    @Test
    void aDiskThatFillsUpWithCheckpoints() throws IOException {
        new TinyGuest().spin(0xffff).exit(0).write(folder.resolve("guest.bin"));
        diskFull("8m", "20k");
    }

    private void diskFull(String size, String checkpointEvery) throws IOException {
        PacificaProcess.Result full =
                onSmallDisk(
                        size,
                        pacifica(
                                        "record",
                                        "-o",
                                        "small/t.pacifica",
                                        "--kernel",
                                        "guest.bin",
                                        "--load",
                                        TinyGuest.LOAD,
                                        "--memory",
                                        "16M",
                                        "--serial",
                                        "null",
                                        "--checkpoint-every",
                                        checkpointEvery)
                                + "; echo $?; "
                                + pacifica("info", "small/t.pacifica")
                                + " && "
                                + pacifica("replay", "small/t.pacifica", "--verify"));
        assertThat(full.err())
                .matches(
                        "pacifica: no space left [^\n"
                                + "]*small/t.pacifica[^\n"
                                + "]*; the trace is whole up to that moment\n");
        assertThat(full.status()).isZero();
        assertThat(full.out())
                .startsWith("2\n")
                .contains("cut off (killed, or the disk was full); whole up to there")
                .containsPattern(
                        "identical: instructions 0 to [\\d,]+, [\\d,]+ events and [\\d,]+"
                                + " checkpoints? compared \\(the recording was cut off here\\)\n"
                                + "$");
        Ladder.say("disk full: %s%n%s", full.err().strip(), full.out().strip());
    }
}
