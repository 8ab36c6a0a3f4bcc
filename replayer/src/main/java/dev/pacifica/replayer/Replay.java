package dev.pacifica.replayer;

import dev.pacifica.emulator.machine.Stop;
import dev.pacifica.emulator.state.BinaryStateWriter;
import dev.pacifica.recorder.CheckpointStore;
import dev.pacifica.recorder.EventEncoder;
import dev.pacifica.recorder.EventLog;
import dev.pacifica.recorder.InputLog;
import dev.pacifica.recorder.MachineForm;
import dev.pacifica.recorder.Manifest;
import dev.pacifica.recorder.RecordedMachine;
import dev.pacifica.recorder.TraceException;
import dev.pacifica.recorder.TraceReader;
import dev.pacifica.recorder.TraceRecorder;
import dev.pacifica.schemas.EventReader;
import dev.pacifica.schemas.Events;
import java.util.ArrayList;
import java.util.List;

/**
 * Executes a recorded run again, from power-on or from a checkpoint, and compares every event, and
 * at every checkpoint the whole machine and the written RAM pages, with the recording.
 */
public final class Replay {
    /** Where a replay begins. */
    public static final int POWER_ON = Integer.MIN_VALUE;

    private static final long SLICE = 20_000_000;

    private final TraceReader trace;
    private final MachineFactory factory;
    private final Progress progress;

    /** Told between slices. */
    @FunctionalInterface
    public interface Progress {
        /** Tells how far the replay is; false ends it here. */
        boolean report(RecordedMachine machine, long events);
    }

    /**
     * What a replay found.
     *
     * @param fromInsnCount where it began
     * @param toInsnCount where it ended; of a recording that was cut off, where that ended
     * @param events how many events were compared
     * @param checkpoints how many checkpoints were compared
     * @param divergence the first difference, or null
     * @param end how the recording ended there, for a person
     * @param stop why the machine ended, or null
     */
    public record Result(
            long fromInsnCount,
            long toInsnCount,
            long events,
            int checkpoints,
            Divergence divergence,
            String end,
            Stop stop) {}

    /** A checkpoint event in the recording, whether or not its checkpoint was completed. */
    private record Mark(int checkpoint, long insnCount) {}

    public Replay(TraceReader trace, MachineFactory factory, Progress progress) {
        this.trace = trace;
        this.factory = factory;
        this.progress = progress;
    }

    /**
     * Replays.
     *
     * @param fromCheckpoint number of a checkpoint, or {@link #POWER_ON}
     * @param until the instruction count at which to end at the latest
     */
    public Result run(int fromCheckpoint, long until) {
        List<Manifest.Checkpoint> checkpoints = trace.manifest().checkpoints();
        if (fromCheckpoint != POWER_ON
                && (fromCheckpoint < 0 || fromCheckpoint >= checkpoints.size())) {
            throw new TraceException(
                    checkpoints.isEmpty()
                            ? "no checkpoint %d: the trace has none".formatted(fromCheckpoint)
                            : "no checkpoint %d: the trace has 0 to %d"
                                    .formatted(fromCheckpoint, checkpoints.size() - 1));
        }
        List<Mark> marks = new ArrayList<>();
        List<EventEncoder.Remark> remarks = new ArrayList<>();
        TraceReader.Extent extent = scan(marks, remarks);
        try (EventLog recorded = trace.events()) {
            return new Run(recorded, until, extent, remarks).from(fromCheckpoint, marks);
        }
    }

    /** Reads the whole event log, checks it and collects checkpoints and remarks. */
    private TraceReader.Extent scan(List<Mark> marks, List<EventEncoder.Remark> remarks) {
        try (EventLog log = trace.events()) {
            for (EventReader event = log.next(); event != null; event = log.next()) {
                if (event.kind().equals(Events.Checkpoint.KIND)) {
                    // Numbered as a replay will number it, so that another number in the event
                    // shows.
                    marks.add(new Mark(marks.size(), event.insnCount()));
                } else if (EventEncoder.Remark.is(event.kind())) {
                    remarks.add(EventEncoder.Remark.of(event));
                }
            }
            trace.requireWhole(log);
            return new TraceReader.Extent(log.events(), log.insnCount(), log.timeNs());
        }
    }

    /** One replay on one machine. */
    private final class Run {
        private final EventLog recorded;
        private final long until;
        private final TraceReader.Extent extent;
        private final InputLog.Playback inputs = new InputLog.Playback(trace.inputs(), 0);
        private final RecordedMachine machine = factory.build(trace, inputs);
        private final CheckpointStore.Reader store = trace.checkpoints();
        private final EventComparison comparison;
        private final EventEncoder encoder;
        private long from;
        private int compared;
        private boolean cancelled;
        private Stop stop;
        private Divergence divergence;

        Run(
                EventLog recorded,
                long until,
                TraceReader.Extent extent,
                List<EventEncoder.Remark> remarks) {
            this.recorded = recorded;
            this.until = until;
            this.extent = extent;
            comparison = new EventComparison(recorded, trace.manifest().end() != null);
            encoder = new EventEncoder(machine, comparison, remarks);
        }

        Result from(int checkpoint, List<Mark> marks) {
            requireSameForm();
            machine.observe(encoder);
            if (checkpoint != POWER_ON) {
                Manifest.Checkpoint start = trace.manifest().checkpoints().get(checkpoint);
                store.load(checkpoint, machine, encoder);
                inputs.seek(start.inputs());
                recorded.skipTo(start.events());
                from = machine.clock().retired;
            }
            for (Mark mark : marks) {
                if (mark.checkpoint > checkpoint) {
                    if (mark.insnCount > until || !runTo(mark.insnCount)) {
                        break;
                    }
                    compareCheckpoint(mark.checkpoint);
                    if (divergence != null) {
                        break;
                    }
                }
            }
            runToEnd();
            return new Result(
                    from,
                    reached(),
                    comparison.compared(),
                    compared,
                    divergence,
                    describeEnd(),
                    stop);
        }

        /** What another emulator recorded is no divergence: nothing was executed yet. */
        private void requireSameForm() {
            MachineForm recordedForm = trace.manifest().form();
            String difference =
                    recordedForm == null
                            ? null
                            : recordedForm.differenceTo(MachineForm.of(machine));
            if (difference != null) {
                throw anotherEmulator(difference);
            }
        }

        private TraceException anotherEmulator(String difference) {
            return new TraceException(
                    "%s was recorded by another build of Pacifica (%s, %s), whose machine is not this one's: %s; replay it with that build, or record the run again (info and query read it as it is)"
                            .formatted(
                                    trace.path(),
                                    trace.manifest().program(),
                                    trace.manifest().created(),
                                    difference));
        }

        /** Runs to an instruction count; false when there is no point in going on. */
        private boolean runTo(long insnCount) {
            while (machine.clock().retired < insnCount) {
                stop = machine.run(Math.min(insnCount, machine.clock().retired + SLICE));
                encoder.flush();
                noteDivergence();
                if (divergence != null) {
                    return false;
                }
                if (!progress.report(machine, encoder.events())) {
                    cancelled = true;
                    return false;
                }
                if (stop != null) {
                    return machine.clock().retired >= insnCount;
                }
            }
            return true;
        }

        private void noteDivergence() {
            if (divergence == null) {
                divergence = comparison.divergence();
            }
        }

        private void runToEnd() {
            Manifest.End end = trace.manifest().end();
            if (divergence != null || cancelled) {
                return;
            }
            if (end == null) {
                // Killed: what comes after the last block is not known.
                boolean whole = runTo(Math.min(until, extent.insnCount()));
                if (until <= extent.insnCount() || divergence != null || cancelled) {
                    return;
                }
                if (whole && encoder.events() < extent.events()) {
                    // The block was closed within an instruction, or while the machine was idle:
                    // its last events belong to what comes after that count.
                    runTo(extent.insnCount() + 1);
                }
                if (!cancelled) {
                    requireNoneLeft();
                }
                return;
            }
            if (until < end.insnCount()) {
                runTo(until);
                return;
            }
            if (end.stopped()) {
                if (stop == null) {
                    runTo(end.insnCount());
                }
                // The machine ends without retiring one more instruction.
                if (stop == null && divergence == null && !cancelled) {
                    stop = machine.run(end.insnCount() + 1);
                }
            } else {
                runTo(end.insnCount());
            }
            if (divergence == null && !cancelled) {
                compareEnd(end);
            }
        }

        /** How far the machine was compared. */
        private long reached() {
            long retired = machine.clock().retired;
            return trace.manifest().end() == null && divergence == null
                    ? Math.min(retired, extent.insnCount())
                    : retired;
        }

        private void compareEnd(Manifest.End end) {
            BinaryStateWriter state = new BinaryStateWriter();
            machine.save(state);
            int dirty = CheckpointStore.dirtyPages(machine.memory());
            encoder.stateDigest(TraceRecorder.digest(state.toByteArray()), dirty);
            encoder.flush();
            noteDivergence();
            requireNoneLeft();
            if (divergence == null
                    && end.stopped()
                    && (stop == null || !stop.detail().equals(end.reason()))) {
                divergence =
                        new Divergence(
                                machine.clock().retired,
                                encoder.events(),
                                "end",
                                end.reason(),
                                stop == null ? "the machine goes on" : stop.detail());
            }
        }

        private void requireNoneLeft() {
            comparison.requireNoneLeft(machine.clock().retired, encoder.events());
            noteDivergence();
        }

        private void compareCheckpoint(int number) {
            BinaryStateWriter state = new BinaryStateWriter();
            machine.save(state);
            byte[] machineState = state.toByteArray();
            long dirty = 0;
            if (number < trace.manifest().checkpoints().size()) {
                compareState(number);
                CheckpointStore.Comparison pages = store.comparePages(number, machine.memory());
                dirty = pages.dirtyPages();
                if (divergence == null && pages.difference() != null) {
                    divergence =
                            new Divergence(
                                    machine.clock().retired,
                                    encoder.events(),
                                    "RAM page 0x%x".formatted(pages.difference().page()),
                                    pages.difference().expected(),
                                    pages.difference().found());
                }
                compared++;
            } else {
                dirty = CheckpointStore.cleanPages(machine.memory());
            }
            if (divergence == null) {
                encoder.checkpoint(number);
                encoder.stateDigest(TraceRecorder.digest(machineState), dirty);
                encoder.flush();
                noteDivergence();
            }
        }

        /** Names the first field that differs, which the digest alone could not. */
        private void compareState(int number) {
            StateComparison difference = new StateComparison(store.machineState(number));
            machine.save(difference);
            if (difference.field() != null && machine.clock().retired == 0) {
                throw anotherEmulator(
                        "before the first instruction, %s was %s and is %s"
                                .formatted(
                                        difference.field(),
                                        difference.expected(),
                                        difference.found()));
            }
            if (difference.field() != null) {
                divergence =
                        new Divergence(
                                machine.clock().retired,
                                encoder.events(),
                                difference.field(),
                                difference.expected(),
                                difference.found());
            }
        }

        private String describeEnd() {
            Manifest.End end = trace.manifest().end();
            if (cancelled) {
                return "cancelled";
            }
            if (end == null && machine.clock().retired >= extent.insnCount()) {
                return "the recording was cut off here";
            }
            return end != null && machine.clock().retired >= end.insnCount()
                    ? end.reason()
                    : "as far as asked for";
        }
    }
}
