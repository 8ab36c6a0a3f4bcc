package dev.pacifica.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** The command in a process of its own, as a person runs it. */
final class PacificaProcess {
    private static final long PATIENCE_SECONDS = 120;

    private PacificaProcess() {}

    /** What a run of the command gave. */
    record Result(int status, String out, String err) {}

    /** The process itself, for those who want to kill it. */
    static Process start(Path folder, String... args) {
        try {
            return new ProcessBuilder(command(args)).directory(folder.toFile()).start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** What the launcher executes. */
    static List<String> command(String... args) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        // The flags that this very JVM got for the libraries.
        ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
                .filter(a ->
                        a.startsWith("--add-")
                                || a.startsWith("--enable-native")
                                || a.startsWith("--sun-misc"))
                .forEach(command::add);
        command.addAll(
                List.of(
                        "-XX:+UseSerialGC",
                        "-cp",
                        System.getProperty("java.class.path"),
                        "dev.pacifica.cli.Pacifica"));
        command.addAll(List.of(args));
        return command;
    }

    static Result run(Path folder, String input, String... args) {
        return run(Duration.ofSeconds(PATIENCE_SECONDS), folder, input, args);
    }

    static Result run(Duration patience, Path folder, String input, String... args) {
        return await(start(folder, args), patience, input, args);
    }

    /** Feeds a process and waits for its end. */
    static Result await(Process process, Duration patience, String input, String... args) {
        try {
            process.getOutputStream().write(input.getBytes(StandardCharsets.UTF_8));
            process.getOutputStream().close();
            String[] said = {"", ""};
            Thread out = Thread.ofPlatform().start(() -> said[0] = text(process.getInputStream()));
            Thread err = Thread.ofPlatform().start(() -> said[1] = text(process.getErrorStream()));
            if (!process.waitFor(patience)) {
                process.destroyForcibly();
                throw new AssertionError("pacifica " + String.join(" ", args) + " does not end");
            }
            out.join();
            err.join();
            return new Result(process.exitValue(), said[0], said[1]);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    private static String text(InputStream in) {
        try {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
