package dev.pacifica.cli;

import dev.pacifica.emulator.machine.InputSource;
import dev.pacifica.recorder.RecordingLock;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code pacifica record}. */
@Command(
        name = "record",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = "Run a machine and record it into a trace.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  pacifica record -o demo.pacifica --memory 64M \\",
            "      --kernel guests/demo-hypervisor/demo-hypervisor.elf",
            "  pacifica record -o kvm.pacifica --kernel vmlinux --initrd kvm.cpio \\",
            "      --append \"console=ttyS0 hvnpt=1\" --checkpoint-every 500M",
            "  pacifica record -o flat.pacifica --kernel boot.bin --load 0x7c00",
            "  pacifica record -o my.pacifica --check=json --kernel my-hypervisor.elf",
            "",
            "Ctrl-C ends a recording; the trace is whole up to there."
        })
final class RecordCommand implements Callable<Integer> {
    @Option(
            names = {"-o", "--output"},
            required = true,
            paramLabel = "DIR",
            description =
                    "The trace to write: a directory that does not exist yet; those above it are"
                            + " made if need be.")
    private Path output;

    @Option(names = "--force", description = "Replace the trace if there is one already.")
    private boolean force;

    @Option(
            names = "--checkpoint-every",
            paramLabel = "N",
            defaultValue = "250M",
            converter = CountConverter.class,
            description = "Instructions between two checkpoints. Default: ${DEFAULT-VALUE}.")
    private long checkpointEvery;

    @Mixin private MachineOptions options;

    @Mixin private CheckOptions checks;

    @Override
    public Integer call() {
        if (checkpointEvery < 1) {
            throw new BadInput("--checkpoint-every must be at least 1");
        }
        MachineSetup setup = MachineSetup.of(options);
        try (SerialPorts serial = SerialPorts.open(options.serial)) {
            // A throw-away machine tells what is wrong with images and options before anything is
            // written or replaced.
            setup.build(setup.request(options.kernel), (_, _) -> {}, InputSource.NONE).close();
            makeWay(output, force);
            Progress progress = new Progress(!(serial.usesStdio() && Progress.stdoutIsTerminal()));
            return new Recording(
                            output,
                            setup,
                            MachineSetup.images(options),
                            checkpointEvery,
                            options.instructionLimit(),
                            checks)
                    .run(serial, progress);
        }
    }

    /**
     * Makes sure that a trace can be created; removes an old one only if it is a trace and that is
     * wanted.
     */
    static void makeWay(Path trace, boolean force) {
        if (!Files.exists(trace, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        if (!Files.isRegularFile(trace.resolve("manifest.json"))) {
            throw new BadInput(trace + " exists and is not a trace; choose another name");
        }
        if (RecordingLock.isHeld(trace)) {
            throw new BadInput(trace + " is being recorded by another process");
        }
        if (!force) {
            throw new BadInput(trace + " exists already; --force replaces it");
        }
        delete(trace);
    }

    static void delete(Path trace) {
        try (Stream<Path> files = Files.walk(trace)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        } catch (IOException e) {
            throw new BadInput(trace + " cannot be removed: " + e.getMessage());
        }
    }
}
