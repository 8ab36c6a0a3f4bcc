package dev.pacifica.recorder;

import dev.pacifica.schemas.EventReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;

/** A trace on the disk, open for reading. */
public final class TraceReader {
    private final Path trace;
    private final Manifest manifest;

    private TraceReader(Path trace, Manifest manifest) {
        this.trace = trace;
        this.manifest = manifest;
    }

    /**
     * Opens a trace; refuses what is none, damaged manifests and newer versions with a {@link
     * TraceException}.
     */
    public static TraceReader open(Path trace) {
        return new TraceReader(trace, Manifest.read(trace));
    }

    public Path path() {
        return trace;
    }

    public Manifest manifest() {
        return manifest;
    }

    /** The events from the first on. */
    public EventLog events() {
        return new EventLog(trace.resolve("events"));
    }

    /** All inputs. */
    public List<InputLog.Entry> inputs() {
        Manifest.End end = manifest.end();
        Path folder = trace.resolve("inputs");
        if (end != null && end.inputs() == 0 && !Files.exists(folder)) {
            // A log without inputs is an empty folder, which does not survive every copy.
            return List.of();
        }
        InputLog.Contents contents = InputLog.read(folder);
        if (end != null) {
            requireEnd(
                    "inputs",
                    end.inputs(),
                    end.inputChain(),
                    contents.entries().size(),
                    contents.chain());
        } else if (!manifest.checkpoints().isEmpty()
                && contents.entries().size() < manifest.checkpoints().getLast().inputs()) {
            throw new TraceException(
                    "damaged trace: %s has %d inputs; its last checkpoint comes after input %d"
                            .formatted(
                                    folder,
                                    contents.entries().size(),
                                    manifest.checkpoints().getLast().inputs()));
        }
        return contents.entries();
    }

    public CheckpointStore.Reader checkpoints() {
        return new CheckpointStore.Reader(trace, manifest.checkpoints());
    }

    /**
     * How far the event log goes.
     *
     * @param events number of events
     * @param insnCount how many instructions the machine had retired when it was written last
     * @param timeNs the virtual time then
     */
    public record Extent(long events, long insnCount, long timeNs) {}

    /**
     * Reads and checks the whole event log; where the recording ended in good order, nothing may be
     * missing.
     */
    public Extent extent() {
        try (EventLog log = events()) {
            EventReader event = log.next();
            while (event != null) {
                event = log.next();
            }
            requireWhole(log);
            return new Extent(log.events(), log.insnCount(), log.timeNs());
        }
    }

    /** Fails if a log that was read to its end is shorter than the manifest says. */
    public void requireWhole(EventLog log) {
        Manifest.End end = manifest.end();
        if (end != null) {
            requireEnd("events", end.events(), end.eventChain(), log.events(), log.chain());
            return;
        }
        List<Manifest.Checkpoint> checkpoints = manifest.checkpoints();
        if (!checkpoints.isEmpty() && log.events() < checkpoints.getLast().events()) {
            throw new TraceException(
                    "damaged trace: %s has %d events; its last checkpoint comes after event %d"
                            .formatted(
                                    trace.resolve("events"),
                                    log.events(),
                                    checkpoints.getLast().events()));
        }
    }

    private void requireEnd(
            String what, long expected, String expectedChain, long found, long foundChain) {
        if (expected != found || !Long.toHexString(foundChain).equals(expectedChain)) {
            throw new TraceException(
                    "damaged trace: %s has %d %s; the manifest says %d"
                            .formatted(trace.resolve(what), found, what, expected));
        }
    }

    /** The trace's own copy of an image, checked. */
    public Path image(Manifest.Image image) {
        Path file = trace.resolve(image.file());
        try {
            if (!sha256(file).equals(image.sha256())) {
                throw new TraceException(
                        "damaged trace: " + file + " is not the image that was recorded");
            }
        } catch (IOException e) {
            throw new TraceException(
                    "damaged trace: " + DiskErrors.explain(file, e).getMessage(), e);
        }
        return file;
    }

    static String sha256(Path file) throws IOException {
        MessageDigest digest = CheckpointFile.sha256();
        try (var in = Files.newInputStream(file)) {
            byte[] buffer = new byte[1 << 16];
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
                digest.update(buffer, 0, n);
            }
        }
        return HexFormat.of().formatHex(digest.digest());
    }
}
