package dev.pacifica.cli;

import dev.pacifica.emulator.check.HypervisorCheck;
import dev.pacifica.emulator.machine.InputSource;
import dev.pacifica.emulator.machine.Machine;
import dev.pacifica.emulator.machine.Stop;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code pacifica run}. */
@Command(
        name = "run",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = "Run a machine without recording it.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  pacifica run --memory 64M \\",
            "      --kernel guests/demo-hypervisor/demo-hypervisor.elf",
            "  pacifica run --kernel vmlinux --initrd boot.cpio --append console=ttyS0",
            "  pacifica run --check --memory 64M --kernel my-hypervisor.elf"
        })
final class RunCommand implements Callable<Integer> {
    private static final long SLICE = 10_000_000;

    @Mixin private MachineOptions options;

    @Mixin private CheckOptions checks;

    @Override
    public Integer call() {
        MachineSetup setup = MachineSetup.of(options);
        Supplier<SymbolTable> names = checks.names(options.kernel);
        try (SerialPorts serial = SerialPorts.open(options.serial)) {
            InputSource inputs = serial.inputs();
            try (Machine machine = setup.build(setup.request(options.kernel), serial, inputs);
                    Interruption interruption =
                            new Interruption(() -> {
                                endInput(inputs);
                                machine.requestPause();
                            })) {
                HypervisorCheck check = checks.wanted() ? machine.check() : null;
                Progress progress =
                        new Progress(!(serial.usesStdio() && Progress.stdoutIsTerminal()));
                Stop stop = null;
                while (stop == null
                        && !interruption.requested()
                        && machine.clock().retired < options.instructionLimit()) {
                    stop =
                            machine.run(
                                    Math.min(
                                            options.instructionLimit(),
                                            machine.clock().retired + SLICE));
                    serial.flush();
                    progress.report(machine.clock(), -1);
                }
                progress.clear();
                Ending ending =
                        new Ending(
                                machine,
                                stop,
                                interruption.requested() ? Ending.INTERRUPTED : Ending.AT_THE_LIMIT,
                                names);
                checks.report(check, names, ending, serial);
                return ending.status();
            }
        }
    }

    static void endInput(InputSource inputs) {
        if (inputs instanceof ConsoleInput console) {
            console.end();
        }
    }
}
