package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.RandomAccessFile;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** Each mistake gets exactly one line on standard error that says what is wrong, and status 2. */
class BadInputTest {
    @TempDir Path folder;

    private Path guest;

    @BeforeEach
    void writeGuest() throws IOException {
        guest = new TinyGuest().exit(0).write(folder.resolve("guest.bin"));
    }

    private String refused(Object... args) {
        StringWriter err = new StringWriter();
        StringWriter out = new StringWriter();
        CommandLine command =
                Pacifica.commandLine()
                        .setErr(new PrintWriter(err, true))
                        .setOut(new PrintWriter(out, true));
        String[] words = Stream.of(args).map(String::valueOf).toArray(String[]::new);
        assertThat(command.execute(words)).as(String.join(" ", words)).isEqualTo(2);
        assertThat(out.toString()).isEmpty();
        assertThat(err.toString()).startsWith("pacifica: ").endsWith("\n");
        assertThat(err.toString().strip()).doesNotContain("\n");
        return err.toString().strip().substring("pacifica: ".length());
    }

    private String recordRefused(Object... more) {
        Object[] base = {"record", "-o", folder.resolve("new.pacifica"), "--serial", "null"};
        String message = refused(Stream.of(base, more).flatMap(Stream::of).toArray());
        assertThat(folder.resolve("new.pacifica")).doesNotExist();
        return message;
    }

    private Path trace(String... more) {
        Path trace = folder.resolve("t.pacifica");
        int status =
                Pacifica.commandLine()
                        .execute(
                                Stream.concat(
                                                Stream.of(
                                                        "record",
                                                        "-o",
                                                        trace.toString(),
                                                        "--kernel",
                                                        guest.toString(),
                                                        "--load",
                                                        TinyGuest.LOAD,
                                                        "--memory",
                                                        "16M",
                                                        "--serial",
                                                        "null"),
                                                Stream.of(more))
                                        .toArray(String[]::new));
        assertThat(status).isEqualTo(1);
        return trace;
    }

    @Test
    void aMissingFile() {
        assertThat(recordRefused("--kernel", folder.resolve("nothing")))
                .isEqualTo(folder.resolve("nothing") + ": no such file");
        assertThat(
                        recordRefused(
                                "--kernel",
                                guest,
                                "--load",
                                "0x7c00",
                                "--initrd",
                                folder.resolve("nothing")))
                .isEqualTo(folder.resolve("nothing") + ": no such file");
    }

    @Test
    void notAKernelAndATruncatedOne() throws IOException {
        Path text = Files.writeString(folder.resolve("text"), "no kernel\n".repeat(1000));
        assertThat(recordRefused("--kernel", text)).startsWith(text + ": is not a kernel");
        byte[] elf;
        try (var in = BadInputTest.class.getResourceAsStream("demo-hypervisor.elf")) {
            elf = in.readAllBytes();
        }
        Path cut = Files.write(folder.resolve("cut.elf"), Arrays.copyOf(elf, elf.length / 2));
        assertThat(recordRefused("--kernel", cut)).startsWith(cut.toString());
    }

    @Test
    void anInitialRamdiskLargerThanMemory() throws IOException {
        Path large = folder.resolve("large.cpio");
        try (var file = new RandomAccessFile(large.toFile(), "rw")) {
            file.setLength(100 << 20);
        }
        Path kernel = folder.resolve("demo.elf");
        try (var in = BadInputTest.class.getResourceAsStream("demo-hypervisor.elf")) {
            Files.copy(in, kernel);
        }
        assertThat(recordRefused("--kernel", kernel, "--memory", "32M", "--initrd", large))
                .startsWith(large.toString())
                .contains("memory");
    }

    @Test
    void unknownOptionsAndValues() {
        assertThat(recordRefused("--kernel", guest, "--memory", "lots"))
                .contains("'lots' is not a size");
        assertThat(recordRefused("--kernel", guest, "--memory", "128G")).contains("64 GiB");
        assertThat(recordRefused("--kernel", guest, "--cpu", "pentium")).contains("pentium");
        for (String cpus : List.of("0", "65", "-1")) {
            assertThat(recordRefused("--kernel", guest, "--cpus", cpus))
                    .contains(cpus + " processors; a machine has 1 to 64");
        }
        assertThat(recordRefused("--kernel", guest, "--quantum", "0"))
                .contains("a quantum of 0 instructions is not between 1 and 100000000");
        assertThat(recordRefused("--kernel", guest, "--serial", "telnet")).contains("'telnet'");
        assertThat(recordRefused("--kernel", guest, "--rtc-base", "yesterday"))
                .contains("'yesterday'");
        assertThat(recordRefused("--kernel", guest, "--max-instructions", "-1")).contains("'-1'");
        assertThat(recordRefused("--kernel", guest, "--vmcb-cache", "maybe"))
                .contains("'maybe' is not on or off");
        assertThat(recordRefused("--kernel", guest, "--colour", "blue")).contains("--colour");
        assertThat(recordRefused()).contains("--kernel");
        assertThat(recordRefused("--kernel", guest, "--load", "0x7c00", "--symbols", guest))
                .contains("--symbols names addresses in the list of --check");
        assertThat(
                        recordRefused(
                                "--kernel",
                                guest,
                                "--load",
                                "0x7c00",
                                "--check",
                                "--symbols",
                                "nothing"))
                .isEqualTo("nothing: no such file");
        assertThat(recordRefused("--kernel", guest, "--load", "7c00"))
                .contains("'7c00' is not an address such as 0x7c00");
    }

    @Test
    void whatIsExpectedIsSaid() {
        assertThat(recordRefused("--kernel", guest, "--cpus", "many"))
                .endsWith("'many' is not a number of processors from 1 to 64");
        assertThat(recordRefused("--kernel", guest, "--seed", "pips"))
                .endsWith("'pips' is not a whole number of 64 bits such as 42 or 0x2a");
        assertThat(recordRefused("--kernel", guest, "--quantum", "1.5"))
                .endsWith("'1.5' is not a number of instructions such as 250000000, 250M or 2.5G");
        assertThat(refused("replay", folder, "--from-checkpoint", "first"))
                .endsWith("'first' is not the number of a checkpoint, from 0 on");
        assertThat(recordRefused("--kernel", guest, "--cpu", ""))
                .isEqualTo("--cpu names no model; there are epyc-milan, epyc-rome");
    }

    @Test
    void whatMayHaveBeenMeantIsAsked() {
        assertThat(recordRefused("--kernel", guest, "--load", "0x7c00", "--cpu", "milan"))
                .isEqualTo(
                        "unknown CPU model 'milan'; did you mean epyc-milan? There are epyc-milan,"
                                + " epyc-rome");
        assertThat(recordRefused("--kernel", guest, "--load", "0x7c00", "--cpu", "z80"))
                .isEqualTo("unknown CPU model 'z80'; there are epyc-milan, epyc-rome");
        assertThat(
                        recordRefused(
                                "--kernel",
                                guest,
                                "--load",
                                "0x7c00",
                                "--cpu",
                                "epyc-milan,-nrips"))
                .startsWith("unknown CPU feature 'nrips'; did you mean nrip-save, ")
                .contains("? There are vme, de, ");
        assertThat(refused("recrod"))
                .matches(
                        "unknown command 'recrod'; did you mean record.*[?] pacifica --help lists"
                                + " them");
        assertThat(refused("help", "querry")).contains("; did you mean query");
        assertThat(recordRefused("--kernle", guest))
                .startsWith("unknown option '--kernle'; did you mean --kernel");
        assertThat(recordRefused("--kernel", guest, "--memroy=64M"))
                .startsWith("unknown option '--memroy'; did you mean --memory");
    }

    @Test
    void anUnknownCommandEvenWhereHelpIsWanted() {
        String unknown = "unknown command 'fly'; pacifica --help lists them";
        assertThat(refused("fly")).isEqualTo(unknown);
        assertThat(refused("fly", "--help")).isEqualTo(unknown);
        assertThat(refused("--help", "fly")).isEqualTo(unknown);
        assertThat(refused("fly", "-h", "high")).isEqualTo(unknown);
        assertThat(refused("--version", "fly")).isEqualTo(unknown);
        assertThat(refused("help", "fly")).isEqualTo(unknown);
    }

    @Test
    void aMemorySizeThatNoMachineHas() {
        for (String size : List.of("128G", "1023K", "1000000", "0")) {
            assertThat(recordRefused("--kernel", guest, "--load", "0x7c00", "--memory", size))
                    .startsWith("--memory: ")
                    .endsWith(" is out of range; a machine has 1 MiB to 64 GiB");
        }
        assertThat(recordRefused("--kernel", guest, "--load", "0x7c00", "--memory", "65G"))
                .isEqualTo("--memory: 65 GiB is out of range; a machine has 1 MiB to 64 GiB");
        assertThat(recordRefused("--kernel", guest, "--load", "0x7c00", "--memory", "2000000"))
                .isEqualTo("--memory: 1.9 MiB is not a multiple of 4 KiB");
    }

    @Test
    void aSerialFileThatCannotBeWritten() {
        Path nowhere = folder.resolve("nowhere/log");
        assertThat(recordRefused("--kernel", guest, "--serial", "file:" + nowhere))
                .isEqualTo(
                        "--serial file:" + nowhere + ": there is no folder " + nowhere.getParent());
        assertThat(recordRefused("--kernel", guest, "--serial", "file:" + folder))
                .isEqualTo("--serial file:" + folder + ": cannot be written: Is a directory");
        assertThat(recordRefused("--kernel", guest, "--serial", "file:"))
                .isEqualTo("--serial file:: names no file");
    }

    @Test
    void aKernelWithAHeaderAsAFlatBinary() throws IOException {
        Path kernel = folder.resolve("demo.elf");
        try (var in = BadInputTest.class.getResourceAsStream("demo-hypervisor.elf")) {
            Files.copy(in, kernel);
        }
        assertThat(recordRefused("--kernel", kernel, "--load", "0x100000"))
                .startsWith(kernel + ": is an ELF file, no flat binary")
                .contains("without --load, --kernel boots it");
    }

    @Test
    void aTraceThatExistsOrDoesNot() {
        Path trace = trace();
        assertThat(
                        refused(
                                "record",
                                "-o",
                                trace,
                                "--kernel",
                                guest,
                                "--load",
                                "0x7c00",
                                "--serial",
                                "null"))
                .isEqualTo(trace + " exists already; --force replaces it");
        assertThat(
                        refused(
                                "record",
                                "-o",
                                folder,
                                "--force",
                                "--kernel",
                                guest,
                                "--load",
                                "0x7c00",
                                "--serial",
                                "null"))
                .contains("is not a trace");
        Path nothing = folder.resolve("nothing");
        for (String command : new String[] {"info", "checkpoints", "replay"}) {
            assertThat(refused(command, nothing)).isEqualTo(nothing + ": no such trace");
        }
        assertThat(refused("query", nothing, "SELECT 1")).isEqualTo(nothing + ": no such trace");
        assertThat(refused("info", guest)).contains("is not a trace");
    }

    @Test
    void aNewerVersion() throws IOException {
        Path trace = trace();
        Path manifest = trace.resolve("manifest.json");
        Files.writeString(
                manifest,
                Files.readString(manifest).replaceFirst("\"version\" : \\d+", "\"version\" : 99"));
        assertThat(refused("info", trace)).contains("version 99");
    }

    @Test
    void damage() throws IOException {
        Path trace = trace();
        Path log = trace.resolve("events/19700101.cq4");
        byte[] good = Files.readAllBytes(log);
        byte[] bad = good.clone();
        // The magic number of the only block's head.
        for (int i = 0; i < bad.length - 4; i++) {
            if (bad[i] == 'P' && bad[i + 1] == 'B' && bad[i + 2] == 'L' && bad[i + 3] == 'K') {
                bad[i + 60] ^= 1;
            }
        }
        Files.write(log, bad);
        assertThat(refused("info", trace)).startsWith("damaged trace: ").contains("checksum");
        assertThat(refused("replay", trace, "--verify")).startsWith("damaged trace: ");
        assertThat(refused("query", trace, "SELECT 1")).startsWith("damaged trace: ");
        Files.write(log, Arrays.copyOf(good, good.length / 2));
        assertThat(refused("info", trace)).startsWith("damaged trace: ");
        Files.delete(log);
        assertThat(refused("info", trace)).startsWith("damaged trace: ");
        Files.writeString(trace.resolve("manifest.json"), "{\"format\" : ");
        assertThat(refused("info", trace)).startsWith("damaged trace: ");
    }

    /** What only a replay would read, too. */
    @Test
    void damageOfCheckpointsAndImages() throws IOException {
        Path trace = trace();
        for (String file : List.of("checkpoints/000000.checkpoint", "images/0-guest.bin")) {
            Path path = trace.resolve(file);
            byte[] good = Files.readAllBytes(path);
            byte[] bad = good.clone();
            bad[bad.length / 2] ^= 1;
            Files.write(path, bad);
            assertThat(refused("info", trace)).startsWith("damaged trace: " + path);
            Files.delete(path);
            assertThat(refused("info", trace)).startsWith("damaged trace: " + path);
            Files.write(path, good);
        }
        assertThat(Pacifica.commandLine().execute("info", trace.toString())).isZero();
    }

    @Test
    void aTraceOfAMachineWithAMemorySizeThatNoMachineHas() throws IOException {
        Path trace = trace();
        Path manifest = trace.resolve("manifest.json");
        String good = Files.readString(manifest);
        String size = "\"memoryBytes\" : 16777216";
        assertThat(good).contains(size);
        Files.writeString(manifest, good.replace(size, "\"memoryBytes\" : 1000"));
        for (String command : List.of("info", "replay", "check")) {
            assertThat(refused(command, trace))
                    .isEqualTo(
                            "damaged trace: "
                                    + trace
                                    + ": the manifest's machine.memoryBytes: 1,000 bytes is out of"
                                    + " range; a machine has 1 MiB to 64 GiB");
        }
    }

    @Test
    void badSql() {
        Path trace = trace();
        assertThat(refused("query", trace, "SELEC 1"))
                .startsWith("query: Parser Error: syntax error at or near \"SELEC\"");
        assertThat(refused("query", trace, "SELECT * FROM nowhere"))
                .startsWith("query: Catalog Error");
        assertThat(refused("query", trace, " ")).isEqualTo("the query is empty");
        assertThat(refused("query", trace, "SELECT 1", "--format", "xml")).contains("'xml'");
    }

    @Test
    void anUnknownCheckpoint() {
        Path trace = trace();
        assertThat(refused("replay", trace, "--from-checkpoint", "7"))
                .isEqualTo("no checkpoint 7: the trace has 0 to 0");
        assertThat(refused("replay", trace, "--from-checkpoint", "-1"))
                .startsWith("no checkpoint -1");
        assertThat(refused("replay", trace, "--from-checkpoint", "first")).contains("'first'");
    }

    @Test
    void anEndBeforeTheStart() {
        Path trace = trace("--checkpoint-every", "2");
        assertThat(refused("replay", trace, "--from-checkpoint", "1", "--until", "1"))
                .isEqualTo("--until 1 lies before checkpoint 1, which is at instruction 2");
    }
}
