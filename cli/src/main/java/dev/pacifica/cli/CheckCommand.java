package dev.pacifica.cli;

import dev.pacifica.emulator.check.HypervisorCheck;
import dev.pacifica.emulator.machine.InputSource;
import dev.pacifica.emulator.machine.Machine;
import dev.pacifica.recorder.EmulatedMachine;
import dev.pacifica.recorder.Manifest;
import dev.pacifica.recorder.RecordedMachine;
import dev.pacifica.recorder.TraceReader;
import dev.pacifica.replayer.Replay;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicBoolean;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code pacifica check}. */
@Command(
        name = "check",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Execute a recorded run again and look for mistakes of its hypervisor: VMCBs that the"
                    + " manual forbids, clean bits that lie, events lost, ASIDs reused without a flush,"
                    + " guests that can reach the host.",
            "Each kind is listed with its count, where it first was made, the manual's section, and"
                    + " what a processor does then."
        },
        exitCodeListHeading = "%nExit status:%n",
        exitCodeList = {
            "0:no mistake found (there may be advice)",
            "1:the run diverged from its recording, which must not be; the first difference is"
                    + " told",
            "2:bad usage or a damaged trace",
            "3:no VMRUN was seen, so nothing was looked at",
            "4:mistakes found",
            "130:ended by Ctrl-C, with the list up to there"
        },
        footerHeading = "%nExamples:%n",
        footer = {
            "  pacifica check sample-traces/demo.pacifica",
            "  pacifica check kvm.pacifica --until 1.5G --format json"
        })
final class CheckCommand implements Callable<Integer> {
    private static final int NOTHING_SEEN = 3;
    private static final int MISTAKES = 4;

    @Parameters(paramLabel = "DIR", description = "The trace.")
    private Path trace;

    @Option(
            names = "--format",
            paramLabel = "text|json",
            defaultValue = "TEXT",
            description = "How the list is printed. Default: text.")
    private CheckReport.Format format;

    @Option(
            names = "--until",
            paramLabel = "INSTRUCTIONS",
            converter = CountConverter.class,
            description = "End at this instruction count.")
    private Long until;

    @Option(
            names = CheckOptions.SYMBOLS,
            paramLabel = "FILE",
            description = CheckOptions.SYMBOLS_MEANING)
    private List<Path> symbols = List.of();

    private Machine machine;
    private HypervisorCheck check;

    @Override
    public Integer call() {
        TraceReader reader = TraceReader.open(trace);
        SymbolTable names = symbols(reader).with(symbols);
        Progress progress = new Progress(true);
        AtomicBoolean cancelled = new AtomicBoolean();
        Replay.Result result;
        try (Interruption _ = new Interruption(() -> cancelled.set(true))) {
            Replay replay =
                    new Replay(
                            reader,
                            this::machine,
                            (machine, events) -> {
                                progress.report(machine.clock(), events);
                                return !cancelled.get();
                            });
            result = replay.run(Replay.POWER_ON, until == null ? Long.MAX_VALUE : until);
        }
        progress.clear();
        boolean diverged = result.divergence() != null;
        if (!diverged || check.entries() > 0) {
            Ending ending =
                    new Ending(
                            machine,
                            result.stop(),
                            cancelled.get() ? Ending.INTERRUPTED : result.end(),
                            () -> names);
            new CheckReport(check, names).print(System.out, format, ending);
        }
        if (diverged) {
            System.err.println("pacifica: " + result.divergence().describe());
            return Pacifica.DIVERGED;
        }
        return cancelled.get() ? Pacifica.INTERRUPTED : status();
    }

    private int status() {
        if (check.entries() == 0) {
            return NOTHING_SEEN;
        }
        return check.mistakes() == 0 ? 0 : MISTAKES;
    }

    private RecordedMachine machine(TraceReader reader, InputSource inputs) {
        MachineSetup setup = MachineSetup.of(reader);
        machine = setup.build(setup.request(reader), SerialPorts.none(), inputs);
        check = machine.check();
        return new EmulatedMachine(machine);
    }

    /** The kernel's symbols: the trace keeps a copy of it. */
    static SymbolTable symbols(TraceReader reader) {
        List<Manifest.Image> images = reader.manifest().images();
        return images.isEmpty()
                ? SymbolTable.NONE
                : SymbolTable.of(reader.image(images.getFirst()));
    }
}
