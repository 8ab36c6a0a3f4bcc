package dev.pacifica.cli;

import dev.pacifica.recorder.Manifest;
import dev.pacifica.recorder.RecordingLock;
import dev.pacifica.recorder.TraceReader;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** {@code pacifica info}. */
@Command(
        name = "info",
        mixinStandardHelpOptions = true,
        description =
                "Tell what a trace holds and how far it goes, after checking every byte of it:"
                        + " events, inputs, checkpoints and images.",
        footerHeading = "%nExample:%n",
        footer = "  pacifica info sample-traces/demo.pacifica")
final class InfoCommand implements Callable<Integer> {
    @Parameters(paramLabel = "DIR", description = "The trace.")
    private Path trace;

    @Override
    public Integer call() {
        boolean held = RecordingLock.isHeld(trace);
        TraceReader reader = TraceReader.open(trace);
        Manifest manifest = reader.manifest();
        MachineSetup setup = MachineSetup.of(reader);
        TraceReader.Extent extent = reader.extent();
        reader.checkpoints().check();
        manifest.images().forEach(reader::image);
        Manifest.End end = manifest.end();
        line("trace", trace + " (format version " + manifest.version() + ")");
        line(
                "recorded",
                manifest.created()
                        + " by "
                        + manifest.program()
                        + (manifest.hasFindings()
                                ? ", with --check (table findings)"
                                : ", without --check"));
        line(
                "machine",
                "%s, %s, cpu %s"
                        .formatted(
                                ByteSize.show(setup.memoryBytes()),
                                processors(setup),
                                setup.cpu()));
        for (Manifest.Image image : manifest.images()) {
            line(
                    image.role(),
                    "%s (%s, SHA-256 %s…)"
                            .formatted(
                                    image.source(),
                                    ByteSize.show(image.bytes()),
                                    image.sha256().substring(0, 16)));
        }
        if (!setup.append().isEmpty()) {
            line("command line", setup.append());
        }
        line("ends", ending(end, held));
        line("instructions", "%,d".formatted(end == null ? extent.insnCount() : end.insnCount()));
        line(
                "virtual time",
                String.format(
                        Locale.ROOT,
                        "%.9f s",
                        (end == null ? extent.timeNs() : end.timeNs()) / 1e9));
        line("events", "%,d".formatted(extent.events()));
        line("inputs", "%,d".formatted(reader.inputs().size()));
        line("checkpoints", "%,d".formatted(held ? until(extent) : manifest.checkpoints().size()));
        return 0;
    }

    /** A recording went on while its events were counted. */
    private long until(TraceReader.Extent extent) {
        return TraceReader.open(trace).manifest().checkpoints().stream()
                .filter(checkpoint -> checkpoint.insnCount() <= extent.insnCount())
                .count();
    }

    private static String ending(Manifest.End end, boolean held) {
        if (end != null) {
            return end.reason() + (end.stopped() ? " (status " + end.status() + ")" : "");
        }
        return held
                ? "not yet: it is being recorded; whole up to now"
                : "cut off (killed, or the disk was full); whole up to there";
    }

    private static String processors(MachineSetup setup) {
        return setup.cpus() == 1
                ? "1 processor"
                : "%d processors taking turns of %,d instructions"
                        .formatted(setup.cpus(), setup.turn());
    }

    private static void line(String name, String value) {
        System.out.printf("%-13s %s%n", name, value);
    }
}
