package dev.pacifica.cli;

import dev.pacifica.analysis.TraceDatabase;
import dev.pacifica.recorder.Manifest;
import dev.pacifica.recorder.TraceReader;
import dev.pacifica.recorder.TraceRecorder;
import dev.pacifica.replayer.Replay;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.sql.SQLException;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code pacifica demo}. */
@Command(
        name = "demo",
        mixinStandardHelpOptions = true,
        description = {
            "Record Pacifica's own little hypervisor with its guest, show what happened, replay it"
                    + " from a checkpoint in the middle, and prove that both agree."
        })
final class DemoCommand implements Callable<Integer> {
    private static final String IMAGE = "demo-hypervisor.elf";

    /** How the guest ends when all went well: it writes 10h to the debug-exit port. */
    private static final int WELL = 0x10 << 1 | 1;

    private static final long MEMORY = 64L << 20;
    private static final long CHECKPOINT_EVERY = 50_000;

    @Option(
            names = {"-o", "--output"},
            paramLabel = "DIR",
            defaultValue = "demo.pacifica",
            description =
                    "The trace to write; one that is there is replaced. Default: ${DEFAULT-VALUE}.")
    private Path output;

    @Override
    public Integer call() throws IOException, SQLException {
        Path folder = Files.createTempDirectory("pacifica-demo");
        Path image = folder.resolve(IMAGE);
        try {
            try (InputStream in = DemoCommand.class.getResourceAsStream(IMAGE)) {
                if (in == null) {
                    throw new IllegalStateException("the demo's image is not on the class path");
                }
                Files.copy(in, image, StandardCopyOption.REPLACE_EXISTING);
            }
            return demo(image);
        } finally {
            Files.deleteIfExists(image);
            Files.deleteIfExists(folder);
        }
    }

    private int demo(Path image) throws IOException, SQLException {
        RecordCommand.makeWay(output, true);
        MachineSetup setup =
                new MachineSetup(
                        MEMORY,
                        1,
                        null,
                        false,
                        "epyc-milan",
                        "2026-01-01T00:00:00Z",
                        1,
                        "",
                        null,
                        List.of());
        title("Recording the demo hypervisor into " + output);
        int status;
        try (SerialPorts serial = SerialPorts.open(List.of("stdio", "null"))) {
            status =
                    new Recording(
                                    output,
                                    setup,
                                    List.of(
                                            new TraceRecorder.ImageSource(
                                                    "kernel",
                                                    "guests/demo-hypervisor/" + IMAGE,
                                                    image)),
                                    CHECKPOINT_EVERY,
                                    Long.MAX_VALUE,
                                    new CheckOptions())
                            .run(serial, new Progress(!Progress.stdoutIsTerminal()));
        }
        if (status != WELL) {
            System.err.printf(
                    "pacifica: the demo ended with status 0x%x instead of 0x%x%n", status, WELL);
            return status == Pacifica.INTERRUPTED ? status : 1;
        }
        TraceReader trace = TraceReader.open(output);
        title("Why the guest was left, out of the trace by SQL: SELECT … FROM exit_stats");
        try (TraceDatabase database = TraceDatabase.open(trace)) {
            database.query(
                    "SELECT exit_reason, exits, exits_percent AS \"%\", guest_instructions,"
                            + " handling_ns, handling_max_ns FROM exit_stats",
                    new ResultPrinter(System.out, ResultPrinter.Format.TABLE));
        }
        return replay(trace);
    }

    private int replay(TraceReader trace) {
        List<Manifest.Checkpoint> checkpoints = trace.manifest().checkpoints();
        int middle = checkpoints.size() / 2;
        title(
                String.format(
                        Locale.ROOT,
                        "Replaying it from checkpoint %d of %d (instruction %,d)",
                        middle,
                        checkpoints.size() - 1,
                        checkpoints.get(middle).insnCount()));
        Replay replay =
                new Replay(trace, ReplayCommand.factory(SerialPorts.none()), (_, _) -> true);
        Replay.Result result = replay.run(middle, Long.MAX_VALUE);
        if (result.divergence() != null) {
            System.err.println("pacifica: " + result.divergence().describe());
            return Pacifica.DIVERGED;
        }
        System.out.println(ReplayCommand.describe(result));
        title("What to try next");
        System.out.printf("./pacifica query %s \"SELECT * FROM npf_pages LIMIT 10\"%n", output);
        System.out.printf(
                "./pacifica query %s \"SELECT insn_count, line FROM console ORDER BY sequence\"%n",
                output);
        System.out.printf("./pacifica replay %s --verify%n", output);
        return 0;
    }

    private static void title(String text) {
        System.out.println();
        System.out.println("== " + text);
    }
}
