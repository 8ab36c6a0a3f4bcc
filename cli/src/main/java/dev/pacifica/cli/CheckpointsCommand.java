package dev.pacifica.cli;

import dev.pacifica.recorder.Manifest;
import dev.pacifica.recorder.TraceReader;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** {@code pacifica checkpoints}. */
@Command(
        name = "checkpoints",
        mixinStandardHelpOptions = true,
        description = "List the checkpoints of a trace: where a replay can begin.",
        footerHeading = "%nExample:%n",
        footer = "  pacifica checkpoints sample-traces/demo.pacifica")
final class CheckpointsCommand implements Callable<Integer> {
    @Parameters(paramLabel = "DIR", description = "The trace.")
    private Path trace;

    @Override
    public Integer call() {
        TextTable table =
                new TextTable()
                        .number("checkpoint")
                        .number("instructions")
                        .number("virtual time")
                        .number("event")
                        .number("input")
                        .number("pages")
                        .number("new")
                        .number("size");
        for (Manifest.Checkpoint checkpoint : TraceReader.open(trace).manifest().checkpoints()) {
            table.row(
                    checkpoint.checkpoint(),
                    "%,d".formatted(checkpoint.insnCount()),
                    String.format(Locale.ROOT, "%.9f s", checkpoint.timeNs() / 1e9),
                    "%,d".formatted(checkpoint.events()),
                    checkpoint.inputs(),
                    "%,d".formatted(checkpoint.pages()),
                    "%,d".formatted(checkpoint.newPages()),
                    ByteSize.show(checkpoint.bytes()));
        }
        System.out.println(table);
        return 0;
    }
}
