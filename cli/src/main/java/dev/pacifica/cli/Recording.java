package dev.pacifica.cli;

import dev.pacifica.emulator.check.HypervisorCheck;
import dev.pacifica.emulator.machine.InputSource;
import dev.pacifica.emulator.machine.Machine;
import dev.pacifica.emulator.machine.Stop;
import dev.pacifica.recorder.EmulatedMachine;
import dev.pacifica.recorder.TraceException;
import dev.pacifica.recorder.TraceReader;
import dev.pacifica.recorder.TraceRecorder;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.function.Supplier;

/** Drives a machine and its recorder from power-on to the end. */
final class Recording {
    /** Instructions between two flushes of the event log. */
    private static final long SLICE = 10_000_000;

    private final Path trace;
    private final MachineSetup setup;
    private final List<TraceRecorder.ImageSource> images;
    private final long checkpointEvery;
    private final long limit;
    private final CheckOptions checks;

    /**
     * @param checks whether the sanitizer looks, and how what it finds is printed
     */
    Recording(
            Path trace,
            MachineSetup setup,
            List<TraceRecorder.ImageSource> images,
            long checkpointEvery,
            long limit,
            CheckOptions checks) {
        this.trace = trace;
        this.setup = setup;
        this.images = images;
        this.checkpointEvery = checkpointEvery;
        this.limit = limit;
        this.checks = checks;
    }

    /** Records; returns the status for the process. */
    int run(SerialPorts serial, Progress progress) {
        Supplier<SymbolTable> names = checks.names(images.getFirst().file());
        InputSource inputs = serial.inputs();
        boolean begun = false;
        try (TraceRecorder recorder = create(inputs);
                Machine machine =
                        setup.build(
                                setup.request(TraceReader.open(trace)), serial, recorder.inputs());
                Interruption interruption = interruption(recorder, machine, inputs)) {
            HypervisorCheck check = checks.wanted() ? machine.check() : null;
            if (check != null) {
                recorder.checked();
            }
            recorder.start(new EmulatedMachine(machine));
            begun = true;
            Stop stop = null;
            long nextCheckpoint = checkpointEvery;
            while (stop == null && !interruption.requested() && machine.clock().retired < limit) {
                long now = machine.clock().retired;
                stop = machine.run(Math.min(limit, Math.min(nextCheckpoint, now + SLICE)));
                recorder.flush();
                serial.flush();
                progress.report(machine.clock(), recorder.events());
                if (stop == null && machine.clock().retired >= nextCheckpoint) {
                    recorder.checkpoint();
                    nextCheckpoint += checkpointEvery;
                }
            }
            progress.clear();
            serial.flush();
            if (check != null) {
                check.summarize();
            }
            String reason = interruption.requested() ? Ending.INTERRUPTED : Ending.AT_THE_LIMIT;
            recorder.finish(stop, reason);
            Ending ending = new Ending(machine, stop, reason, names);
            progress.summary(machine.clock(), recorder.events(), trace);
            checks.report(check, names, ending, serial);
            return ending.status();
        } catch (TraceException.DiskFull e) {
            progress.clear();
            serial.endLine();
            if (begun) {
                throw new TraceException.DiskFull(
                        e.getMessage() + "; the trace is whole up to that moment");
            }
            RecordCommand.delete(trace);
            throw new TraceException.DiskFull(e.getMessage() + "; nothing was recorded");
        }
    }

    private static Interruption interruption(
            TraceRecorder recorder, Machine machine, InputSource inputs) {
        recorder.awaitOpen();
        return new Interruption(() -> {
            RunCommand.endInput(inputs);
            machine.requestPause();
        });
    }

    private TraceRecorder create(InputSource inputs) {
        return new TraceRecorder(
                trace,
                Pacifica.PROGRAM,
                Instant.now().truncatedTo(ChronoUnit.SECONDS).toString(),
                setup.toJson(),
                images,
                inputs);
    }
}
