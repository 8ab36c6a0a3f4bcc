package dev.pacifica.cli;

import dev.pacifica.emulator.device.SerialSink;
import dev.pacifica.emulator.machine.InputSource;
import dev.pacifica.recorder.EmulatedMachine;
import dev.pacifica.recorder.Manifest;
import dev.pacifica.recorder.RecordedMachine;
import dev.pacifica.recorder.TraceReader;
import dev.pacifica.replayer.MachineFactory;
import dev.pacifica.replayer.Replay;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicBoolean;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.TypeConversionException;

/** {@code pacifica replay}. */
@Command(
        name = "replay",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Execute a recorded run again and compare it with the recording as it goes: every"
                    + " event, and at each checkpoint all processors, devices and written pages.",
            "Shows the guest's console, or with --verify only the verdict."
        },
        exitCodeListHeading = "%nExit status:%n",
        exitCodeList = {
            "0:identical",
            "1:diverged; the first difference is told",
            "2:bad usage or a damaged trace",
            "130:ended by Ctrl-C"
        },
        footerHeading = "%nExamples:%n",
        footer = {
            "  pacifica replay sample-traces/demo.pacifica --verify",
            "  pacifica replay sample-traces/demo.pacifica --verify --from-checkpoint 1",
            "  pacifica replay kvm.pacifica --until 1.5G"
        })
final class ReplayCommand implements Callable<Integer> {
    @Parameters(paramLabel = "DIR", description = "The trace.")
    private Path trace;

    @Option(
            names = "--verify",
            description = "Do not show the guest's console; tell whether the replay is identical.")
    private boolean verify;

    @Option(
            names = "--from-checkpoint",
            paramLabel = "K",
            converter = CheckpointConverter.class,
            description = "Begin at this checkpoint instead of at power-on.")
    private Integer fromCheckpoint;

    @Option(
            names = "--until",
            paramLabel = "INSTRUCTIONS",
            converter = CountConverter.class,
            description = "End at this instruction count.")
    private Long until;

    /** A checkpoint's number; whether there is one of it is asked later. */
    static final class CheckpointConverter implements ITypeConverter<Integer> {
        @Override
        public Integer convert(String text) {
            try {
                return Integer.valueOf(text);
            } catch (NumberFormatException e) {
                throw new TypeConversionException(
                        "'" + text + "' is not the number of a checkpoint, from 0 on");
            }
        }
    }

    @Override
    public Integer call() {
        TraceReader reader = TraceReader.open(trace);
        requireUntilAfterStart(reader);
        try (SerialPorts serial = verify ? SerialPorts.none() : SerialPorts.open(List.of())) {
            Progress progress = new Progress(verify || !Progress.stdoutIsTerminal());
            AtomicBoolean cancelled = new AtomicBoolean();
            Replay.Result result;
            try (Interruption _ = new Interruption(() -> cancelled.set(true))) {
                Replay replay =
                        new Replay(
                                reader,
                                factory(serial),
                                (machine, events) -> {
                                    serial.flush();
                                    progress.report(machine.clock(), events);
                                    return !cancelled.get();
                                });
                result =
                        replay.run(
                                fromCheckpoint == null ? Replay.POWER_ON : fromCheckpoint,
                                until == null ? Long.MAX_VALUE : until);
            }
            progress.clear();
            serial.flush();
            if (cancelled.get()) {
                return Pacifica.INTERRUPTED;
            }
            return tell(result, serial);
        }
    }

    private void requireUntilAfterStart(TraceReader reader) {
        if (until == null || fromCheckpoint == null) {
            return;
        }
        for (Manifest.Checkpoint checkpoint : reader.manifest().checkpoints()) {
            if (checkpoint.checkpoint() == fromCheckpoint && until < checkpoint.insnCount()) {
                throw new BadInput(
                        String.format(
                                Locale.ROOT,
                                "--until %,d lies before checkpoint %d, which is at instruction"
                                        + " %,d",
                                until,
                                fromCheckpoint,
                                checkpoint.insnCount()));
            }
        }
    }

    static MachineFactory factory(SerialSink serial) {
        return (TraceReader trace, InputSource inputs) -> machine(trace, inputs, serial);
    }

    private static RecordedMachine machine(
            TraceReader trace, InputSource inputs, SerialSink serial) {
        MachineSetup setup = MachineSetup.of(trace);
        return new EmulatedMachine(setup.build(setup.request(trace), serial, inputs));
    }

    private int tell(Replay.Result result, SerialPorts serial) {
        if (result.divergence() != null) {
            serial.endLine();
            System.err.println("pacifica: " + result.divergence().describe());
            return Pacifica.DIVERGED;
        }
        if (verify) {
            System.out.println(describe(result));
        }
        return 0;
    }

    static String describe(Replay.Result result) {
        return String.format(
                Locale.ROOT,
                "identical: instructions %,d to %,d, %,d %s and %,d %s compared (%s)",
                result.fromInsnCount(),
                result.toInsnCount(),
                result.events(),
                result.events() == 1 ? "event" : "events",
                result.checkpoints(),
                result.checkpoints() == 1 ? "checkpoint" : "checkpoints",
                result.end());
    }
}
