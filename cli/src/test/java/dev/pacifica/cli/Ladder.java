package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicReference;

/**
 * The stock workloads of guests/linux-kvm, and their recordings by {@code pacifica record}: each is
 * made once for all tests of a run and left in cli/target/ladder for people to look at.
 */
enum Ladder {
    /** Debian's kernel boots to user space and switches the power off. */
    BOOT("boot.cpio", "console=ttyS0 quiet", 1),
    /** Debian's KVM runs a real-mode and a long-mode guest under nested paging. */
    KVM_NESTED_PAGING("kvm.cpio", "console=ttyS0 quiet hvnpt=1", 1),
    /**
     * The same with shadow paging. From here on without the self-tests of the kernel's
     * cryptography, a third of all instructions, which the two before have.
     */
    KVM_SHADOW_PAGING("kvm.cpio", "console=ttyS0 quiet cryptomgr.notests hvnpt=0", 1),
    /** KVM's AVIC at work: besides, a guest of two virtual processors with local APICs. */
    KVM_AVIC("kvm.cpio", "console=ttyS0 quiet cryptomgr.notests hvnpt=1 hvapic=1", 1),
    /**
     * Under nested paging on two processors, first one guest, then the other, then both at once,
     * then the guest with local APICs.
     */
    KVM_TWO_PROCESSORS(
            "kvm.cpio", "console=ttyS0 quiet cryptomgr.notests hvnpt=1 hvtogether=1 hvapic=1", 2);

    private static final Duration PATIENCE = Duration.ofMinutes(10);
    private static final Map<Ladder, Recorded> RECORDINGS = new ConcurrentHashMap<>();
    private static final Map<String, Path> IMAGES = new ConcurrentHashMap<>();

    final String initrd;
    final String append;
    final int processors;

    Ladder(String initrd, String append, int processors) {
        this.initrd = initrd;
        this.append = append;
        this.processors = processors;
    }

    /**
     * A recording.
     *
     * @param trace the trace
     * @param console what COM1 printed
     * @param kernelLog what COM2 printed: the tracepoint log of the kernel inside
     * @param wall how long recording took
     * @param cpu how much processor time it took
     */
    record Recorded(Path trace, Path console, Path kernelLog, Duration wall, Duration cpu) {
        List<String> consoleLines() {
            return lines(console);
        }

        List<String> kernelLogLines() {
            return lines(kernelLog);
        }

        private static List<String> lines(Path file) {
            try {
                return Files.readString(file).lines().map(String::stripTrailing).toList();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    /** The recording that all tests share; the first to ask makes it. */
    Recorded recorded() {
        return RECORDINGS.computeIfAbsent(this, ladder -> ladder.record("first"));
    }

    /** Records once more. */
    Recorded record(String name) {
        Path folder = folder().resolve(name);
        try {
            deleteTree(folder);
            Files.createDirectories(folder);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        say("recording %s into %s", this, folder);
        Instant start = Instant.now();
        String[] args = recordArguments(folder);
        Process process = PacificaProcess.start(folder, args);
        AtomicReference<Duration> cpu = new AtomicReference<>(Duration.ZERO);
        Thread.ofPlatform().daemon().start(() -> sampleCpu(process, cpu));
        PacificaProcess.Result result = PacificaProcess.await(process, PATIENCE, "", args);
        Recorded recorded = at(folder, Duration.between(start, Instant.now()), cpu.get());
        assertThat(result.err()).as("standard error of the recording of %s", this).isEmpty();
        assertThat(result.status())
                .as("status of the recording of %s; console: %s", this, recorded.console)
                .isZero();
        say(
                "recorded %s in %.1f s (%.1f s of processor time)",
                this, recorded.wall.toMillis() / 1e3, recorded.cpu.toMillis() / 1e3);
        return recorded;
    }

    /** The processor time of a process so far. */
    static Duration cpu(Process process) {
        return process.info().totalCpuDuration().orElse(Duration.ZERO);
    }

    private static void sampleCpu(Process process, AtomicReference<Duration> cpu) {
        try {
            while (!process.waitFor(Duration.ofMillis(100))) {
                Duration now = cpu(process);
                cpu.updateAndGet(last -> now.compareTo(last) > 0 ? now : last);
            }
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    private static Recorded at(Path folder, Duration wall, Duration cpu) {
        return new Recorded(
                folder.resolve("run.pacifica"),
                folder.resolve("console"),
                folder.resolve("kernel-log"),
                wall,
                cpu);
    }

    /** The arguments of {@code pacifica} that record this workload in {@code folder}. */
    String[] recordArguments(Path folder) {
        Recorded into = at(folder, Duration.ZERO, Duration.ZERO);
        return new String[] {
            "record",
            "-o",
            into.trace.toString(),
            "--memory",
            "512M",
            "--cpus",
            Integer.toString(processors),
            "--kernel",
            image("vmlinux").toString(),
            "--initrd",
            image(initrd).toString(),
            "--append",
            append,
            "--serial",
            "file:" + into.console,
            "--serial",
            "file:" + into.kernelLog
        };
    }

    /** Where this workload's recordings are. */
    Path folder() {
        return root().resolve("cli/target/ladder")
                .resolve(name().toLowerCase(Locale.ROOT).replace('_', '-'));
    }

    /**
     * An image of the recipe, which builds all of them out of Debian packages when they are not
     * there yet.
     */
    static Path image(String name) {
        return images("linux-kvm").resolve(name);
    }

    /** The folder of images that a recipe of guests/ makes out of Debian packages. */
    static Path images(String recipe, String... options) {
        return IMAGES.computeIfAbsent(recipe, name -> make(name, options));
    }

    private static Path make(String recipe, String... options) {
        Path folder = root().resolve(".cache").resolve(recipe);
        Path script = root().resolve("guests").resolve(recipe).resolve("make.sh");
        say("%s %s", script, folder);
        List<String> command = new ArrayList<>(List.of(script.toString()));
        command.addAll(List.of(options));
        command.add(folder.toString());
        try {
            Process make = new ProcessBuilder(command).redirectErrorStream(true).start();
            make.getOutputStream().close();
            String said = new String(make.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertThat(make.waitFor())
                    .as(
                            "The tests need the images that %s builds out of Debian packages, and"
                                    + " it failed:%n%s",
                            script, said)
                    .isZero();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
        return folder;
    }

    /** The top of the repository. */
    static Path root() {
        String given = System.getProperty("pacifica.root");
        Path root = Path.of(given == null ? "" : given).toAbsolutePath();
        while (!Files.exists(root.resolve("mvnw"))) {
            root = root.getParent();
            assertThat(root)
                    .as("the top of the repository, above the working directory")
                    .isNotNull();
        }
        return root;
    }

    /** Tells a person who waits what goes on. */
    static void say(String format, Object... args) {
        Duration since = Duration.ofMillis(ManagementFactory.getRuntimeMXBean().getUptime());
        System.out.printf(
                Locale.ROOT, "[integration %d:%02d] ", since.toMinutes(), since.toSecondsPart());
        System.out.printf(Locale.ROOT, format + "%n", args);
        System.out.flush();
    }

    static void deleteTree(Path folder) throws IOException {
        if (!Files.exists(folder)) {
            return;
        }
        List<Path> files = new ArrayList<>();
        try (var walk = Files.walk(folder)) {
            walk.forEach(files::addFirst);
        }
        for (Path file : files) {
            Files.delete(file);
        }
    }
}
