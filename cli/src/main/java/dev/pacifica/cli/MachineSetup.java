package dev.pacifica.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.pacifica.emulator.boot.BootException;
import dev.pacifica.emulator.boot.BootFile;
import dev.pacifica.emulator.boot.BootModule;
import dev.pacifica.emulator.boot.BootRequest;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.device.SerialSink;
import dev.pacifica.emulator.machine.InputSource;
import dev.pacifica.emulator.machine.Machine;
import dev.pacifica.emulator.machine.MachineConfig;
import dev.pacifica.recorder.Manifest;
import dev.pacifica.recorder.TraceException;
import dev.pacifica.recorder.TraceReader;
import dev.pacifica.recorder.TraceRecorder.ImageSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;

/**
 * A machine with what it boots, as the command line has it or as a trace's manifest has it; both
 * give the same machine.
 *
 * @param quantum instructions in the turn of one of several processors; null for the default
 * @param vmcbCache whether processors cache VMCB state as the clean bits allow
 * @param loadAddress of a flat binary, or null
 * @param modules the files after the kernel, each with its arguments
 */
record MachineSetup(
        long memoryBytes,
        int cpus,
        Long quantum,
        boolean vmcbCache,
        String cpu,
        String rtcBase,
        long seed,
        String append,
        Long loadAddress,
        List<Module> modules) {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** A file that is handed to the kernel: its name as the kernel sees it, and its arguments. */
    record Module(String name, String arguments) {}

    static MachineSetup of(MachineOptions options) {
        String wrong = wrongMemorySize(options.memory.bytes());
        if (wrong != null) {
            throw new BadInput("--memory: " + wrong);
        }
        if (options.cpu.isBlank()) {
            throw new BadInput(
                    "--cpu names no model; there are " + String.join(", ", CpuModel.names()));
        }
        List<Module> modules = new ArrayList<>();
        for (BootModule module : initrds(options)) {
            modules.add(new Module(module.file().name(), module.arguments()));
        }
        return new MachineSetup(
                options.memory.bytes(),
                options.cpus,
                options.quantum,
                options.vmcbCache == MachineOptions.OnOff.ON,
                options.cpu,
                options.rtcBase.toString(),
                options.seed,
                options.append,
                options.load,
                List.copyOf(modules));
    }

    /** What is wrong with a size of RAM that no machine can have, or null. */
    private static String wrongMemorySize(long bytes) {
        if (MachineConfig.isMemorySize(bytes)) {
            return null;
        }
        boolean inRange = bytes >= MachineConfig.MIN_MEMORY && bytes <= MachineConfig.MAX_MEMORY;
        return ByteSize.show(bytes)
                + (inRange
                        ? " is not a multiple of 4 KiB"
                        : " is out of range; a machine has %s to %s"
                                .formatted(
                                        ByteSize.show(MachineConfig.MIN_MEMORY),
                                        ByteSize.show(MachineConfig.MAX_MEMORY)));
    }

    private static List<BootModule> initrds(MachineOptions options) {
        return options.initrd == null ? List.of() : BootModule.parse(options.initrd);
    }

    static MachineSetup of(TraceReader trace) {
        try {
            MachineSetup setup = JSON.treeToValue(trace.manifest().machine(), MachineSetup.class);
            if (setup.modules == null
                    || setup.cpu == null
                    || setup.rtcBase == null
                    || setup.append == null) {
                throw new TraceException(
                        "damaged trace: "
                                + trace.path()
                                + ": the manifest's machine is incomplete");
            }
            String wrong = wrongMemorySize(setup.memoryBytes);
            if (wrong != null) {
                throw new TraceException(
                        "damaged trace: "
                                + trace.path()
                                + ": the manifest's machine.memoryBytes: "
                                + wrong);
            }
            return setup;
        } catch (IOException e) {
            throw new TraceException(
                    "damaged trace: " + trace.path() + ": the manifest describes no machine", e);
        }
    }

    JsonNode toJson() {
        return JSON.valueToTree(this);
    }

    /** The files to boot, kernel first, as the recorder wants them. */
    static List<ImageSource> images(MachineOptions options) {
        List<ImageSource> images = new ArrayList<>();
        images.add(new ImageSource("kernel", options.kernel));
        for (BootModule module : initrds(options)) {
            images.add(new ImageSource("initrd", Path.of(module.file().name())));
        }
        return images;
    }

    /** Reads the files of a run that is not recorded. */
    BootRequest request(Path kernel) {
        List<BootModule> files = new ArrayList<>();
        for (Module module : modules) {
            files.add(new BootModule(BootFile.open(Path.of(module.name)), module.arguments));
        }
        return request(BootFile.open(kernel), files);
    }

    /** Takes the files out of a trace. */
    BootRequest request(TraceReader trace) {
        List<Manifest.Image> images = trace.manifest().images();
        if (images.size() != modules.size() + 1) {
            throw new TraceException(
                    "damaged trace: "
                            + trace.path()
                            + ": the manifest names "
                            + images.size()
                            + " images for a kernel and "
                            + modules.size()
                            + " modules");
        }
        List<BootModule> files = new ArrayList<>();
        for (int i = 0; i < modules.size(); i++) {
            files.add(new BootModule(recorded(trace, images.get(i + 1)), modules.get(i).arguments));
        }
        return request(recorded(trace, images.getFirst()), files);
    }

    private static BootFile recorded(TraceReader trace, Manifest.Image image) {
        try {
            return BootFile.of(image.source(), Files.readAllBytes(trace.image(image)));
        } catch (IOException e) {
            throw new TraceException(
                    "damaged trace: " + trace.path().resolve(image.file()) + ": " + e.getMessage(),
                    e);
        }
    }

    private BootRequest request(BootFile kernel, List<BootModule> files) {
        return new BootRequest(
                kernel,
                files,
                append,
                loadAddress == null ? OptionalLong.empty() : OptionalLong.of(loadAddress));
    }

    /** Instructions in the turn of one of several processors. */
    long turn() {
        return quantum == null ? MachineConfig.DEFAULT_QUANTUM : quantum;
    }

    /**
     * Builds the machine, boots what is asked for into it, and leaves it before its first
     * instruction.
     */
    Machine build(BootRequest request, SerialSink console, InputSource inputs) {
        Machine machine;
        try {
            machine =
                    new Machine(
                            new MachineConfig(
                                    memoryBytes,
                                    cpus,
                                    cpu,
                                    Instant.parse(rtcBase),
                                    seed,
                                    turn(),
                                    vmcbCache),
                            console);
        } catch (CpuModel.UnknownName e) {
            String question = Similar.question(e.name(), e.choices());
            throw new BadInput(
                    "unknown CPU %s '%s'%s %s"
                            .formatted(
                                    e.what(),
                                    e.name(),
                                    question.isEmpty() ? "; there are" : question + " There are",
                                    String.join(", ", e.choices())));
        } catch (IllegalArgumentException e) {
            throw new BadInput(e.getMessage());
        } catch (OutOfMemoryError e) {
            throw new BadInput("the machine's RAM: " + e.getMessage());
        }
        try {
            machine.boot(request);
        } catch (BootException e) {
            machine.close();
            throw e;
        }
        machine.setInputs(inputs);
        return machine;
    }
}
