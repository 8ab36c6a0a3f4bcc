package dev.pacifica.recorder;

import com.fasterxml.jackson.databind.JsonNode;
import dev.pacifica.emulator.machine.InputSource;
import dev.pacifica.emulator.machine.Stop;
import dev.pacifica.emulator.state.BinaryStateWriter;
import dev.pacifica.schemas.TraceFormat;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/**
 * Writes a trace: first the images and the manifest, then, from {@link #start} on, everything that
 * the machine tells, its inputs and checkpoints, until {@link #finish}. Whoever drives the machine
 * calls {@link #flush} now and then and {@link #checkpoint} when it is time.
 */
public final class TraceRecorder implements AutoCloseable {
    private final Path trace;
    private final RecordingLock lock;
    private final InputLog.Tap inputs;
    private final EventLogWriter events;
    private final CheckpointStore.Writer checkpoints;
    private final ExecutorService background =
            Executors.newSingleThreadExecutor(
                    Thread.ofPlatform().daemon().name("checkpoint-writer").factory());
    private Future<?> pending;
    private volatile Manifest manifest;
    private RecordedMachine machine;
    private EventEncoder encoder;
    private int nextCheckpoint;
    private boolean closed;

    /**
     * An image to be copied into the trace.
     *
     * @param source where it comes from, for people and, by its last element, for kernels that see
     *     names of modules
     */
    public record ImageSource(String role, String source, Path file) {
        public ImageSource(String role, Path file) {
            this(role, file.toString(), file);
        }
    }

    /**
     * Creates a trace.
     *
     * @param trace the folder, which must not exist
     * @param program who records
     * @param machineConfiguration as whoever builds machines wants to read it at replay
     * @param live where the machine's inputs come from
     */
    public TraceRecorder(
            Path trace,
            String program,
            String created,
            JsonNode machineConfiguration,
            List<ImageSource> images,
            InputSource live) {
        this.trace = trace;
        try {
            Path parent = trace.toAbsolutePath().getParent();
            if (parent != null) {
                Files.createDirectories(parent);
            }
            Files.createDirectory(trace);
            for (String folder : List.of("events", "inputs", "checkpoints", "images")) {
                Files.createDirectory(trace.resolve(folder));
            }
            lock = RecordingLock.take(trace);
        } catch (IOException e) {
            throw DiskErrors.explain(trace, e);
        }
        // Before the images are copied, since its thread takes a while to be ready.
        events = openEvents();
        try {
            manifest =
                    new Manifest(
                            Manifest.FORMAT,
                            TraceFormat.VERSION,
                            program,
                            created,
                            hostFacts(),
                            machineConfiguration,
                            null,
                            null,
                            copy(images),
                            List.of(),
                            null);
            manifest.write(trace);
            checkpoints = new CheckpointStore.Writer(trace);
            inputs = new InputLog.Tap(live, trace.resolve("inputs"));
        } catch (IOException e) {
            throw abandoned(DiskErrors.explain(trace, e));
        } catch (RuntimeException e) {
            throw abandoned(e);
        }
    }

    private EventLogWriter openEvents() {
        try {
            return new EventLogWriter(trace.resolve("events"));
        } catch (RuntimeException e) {
            lock.close();
            throw e;
        }
    }

    private RuntimeException abandoned(RuntimeException trouble) {
        try {
            events.close();
        } catch (RuntimeException e) {
            trouble.addSuppressed(e);
        } finally {
            lock.close();
        }
        return trouble;
    }

    private static Map<String, String> hostFacts() {
        return Map.of(
                "os",
                System.getProperty("os.name") + " " + System.getProperty("os.version"),
                "java",
                System.getProperty("java.vm.version", "unknown"));
    }

    /** Before {@link #start}: the sanitizer looks, so that there may be findings. */
    public void checked() {
        manifest = manifest.withChecks();
        manifest.write(trace);
    }

    private List<Manifest.Image> copy(List<ImageSource> images) throws IOException {
        List<Manifest.Image> copied = new ArrayList<>();
        for (int i = 0; i < images.size(); i++) {
            ImageSource image = images.get(i);
            String file = "images/%d-%s".formatted(i, image.file.getFileName());
            Path copy = trace.resolve(file);
            Files.copy(image.file, copy, StandardCopyOption.COPY_ATTRIBUTES);
            copied.add(
                    new Manifest.Image(
                            image.role,
                            image.source,
                            file,
                            Files.size(copy),
                            TraceReader.sha256(copy)));
        }
        return copied;
    }

    /** The source from which the machine must get its inputs, so that they are logged. */
    public InputSource inputs() {
        return inputs;
    }

    /** The trace's copy of the image that was given as number {@code index}. */
    public Path image(int index) {
        return trace.resolve(manifest.images().get(index).file());
    }

    /**
     * Waits until the logs are open, which begins with the construction and takes a while. From
     * then on the trace can be ended in good order even while this process shuts down.
     */
    public void awaitOpen() {
        events.awaitOpen();
    }

    /** Begins with a machine that is ready to run its first instruction, and takes checkpoint 0. */
    public void start(RecordedMachine recorded) {
        machine = recorded;
        manifest = manifest.with(MachineForm.of(recorded));
        encoder = new EventEncoder(recorded, events::exchange);
        inputs.attach(recorded.clock(), encoder::flush);
        recorded.observe(encoder);
        checkpoint();
    }

    /** The number of events so far. */
    public long events() {
        return encoder.events();
    }

    /**
     * Hands all events so far, and how far the machine is, over to be written; throws what went
     * wrong with those handed over before.
     */
    public void flush() {
        encoder.flush();
        events.check();
        if (pending != null && pending.isDone()) {
            await();
        }
    }

    /**
     * Waits until every event handed over and every checkpoint taken so far is on the disk, safe
     * from the death of this process.
     */
    public void settle() {
        events.await(events.handedOver());
        await();
    }

    /**
     * Takes a checkpoint. Compression and writing go on in the background while the machine runs.
     */
    public void checkpoint() {
        int number = nextCheckpoint++;
        BinaryStateWriter state = new BinaryStateWriter();
        machine.save(state);
        byte[] machineState = state.toByteArray();
        CheckpointStore.Snapshot snapshot = CheckpointStore.takeDirtyPages(machine.memory());
        encoder.checkpoint(number);
        encoder.stateDigest(digest(machineState), snapshot.count());
        BinaryStateWriter encoderState = new BinaryStateWriter();
        encoder.save(encoderState);
        encoder.flush();
        long insnCount = machine.clock().retired;
        long timeNs = machine.clock().now();
        long eventCount = encoder.events();
        long inputCount = inputs.inputs();
        long blocks = events.handedOver();
        await();
        pending =
                background.submit(() -> {
                    CheckpointStore.Writer.Written written =
                            checkpoints.write(
                                    number, machineState, encoderState.toByteArray(), snapshot);
                    List<Manifest.Checkpoint> all = new ArrayList<>(manifest.checkpoints());
                    all.add(
                            new Manifest.Checkpoint(
                                    number,
                                    written.file(),
                                    insnCount,
                                    timeNs,
                                    eventCount,
                                    inputCount,
                                    written.pages(),
                                    written.newPages(),
                                    written.bytes()));
                    // No checkpoint is in the manifest without all events before it.
                    events.await(blocks);
                    manifest = manifest.with(List.copyOf(all), null);
                    manifest.write(trace);
                });
    }

    /** A digest of a saved state: the first 64 bits of its SHA-256. */
    public static long digest(byte[] state) {
        return ByteBuffer.wrap(CheckpointFile.sha256().digest(state)).getLong();
    }

    private void await() {
        if (pending == null) {
            return;
        }
        try {
            pending.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new TraceException("interrupted while a checkpoint was written", e);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof TraceException trouble) {
                throw trouble;
            }
            throw new IllegalStateException(e.getCause());
        } finally {
            pending = null;
        }
    }

    /**
     * Ends the trace in good order.
     *
     * @param stop why the machine ended, or null if it could go on
     * @param reason why the recording ends, if the machine could go on
     */
    public void finish(Stop stop, String reason) {
        BinaryStateWriter state = new BinaryStateWriter();
        machine.save(state);
        int dirty = CheckpointStore.dirtyPages(machine.memory());
        encoder.stateDigest(digest(state.toByteArray()), dirty);
        encoder.flush();
        events.await(events.handedOver());
        await();
        machine.observe(null);
        Manifest.End end =
                new Manifest.End(
                        stop == null ? reason : stop.detail(),
                        stop == null ? 0 : stop.status(),
                        stop != null,
                        machine.clock().retired,
                        machine.clock().now(),
                        encoder.events(),
                        inputs.inputs(),
                        Long.toHexString(events.chain()),
                        Long.toHexString(inputs.chain()));
        closeLogs();
        manifest = manifest.with(manifest.checkpoints(), end);
        manifest.write(trace);
        lock.close();
    }

    /**
     * Lets go of the files. Without {@link #finish} before, the trace ends like that of a killed
     * recording.
     */
    @Override
    public void close() {
        try {
            closeLogs();
        } finally {
            lock.close();
        }
    }

    private void closeLogs() {
        if (closed) {
            return;
        }
        closed = true;
        background.shutdown();
        try {
            // Nothing may write the manifest any more once this returns.
            if (!background.awaitTermination(10, TimeUnit.MINUTES)) {
                throw new TraceException("a checkpoint of " + trace + " cannot be written");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        try {
            events.close();
        } finally {
            inputs.close();
        }
    }
}
