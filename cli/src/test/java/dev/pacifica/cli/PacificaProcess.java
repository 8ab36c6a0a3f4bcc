package dev.pacifica.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** The command in a process of its own, as a person runs it. */
final class PacificaProcess {
    private static final long PATIENCE_SECONDS = 120;

    private PacificaProcess() {}

    /** What a run of the command gave. */
    record Result(int status, String out, String err) {}

    /** The process itself, for those who want to kill it. */
    static Process start(Path folder, String... args) {
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
        try {
            return new ProcessBuilder(command).directory(folder.toFile()).start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static Result run(Path folder, String input, String... args) {
        Process process = start(folder, args);
        try {
            process.getOutputStream().write(input.getBytes(StandardCharsets.UTF_8));
            process.getOutputStream().close();
            String[] err = {""};
            Thread reader =
                    Thread.ofPlatform().start(() -> err[0] = text(process.getErrorStream()));
            String out = text(process.getInputStream());
            if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                throw new AssertionError("pacifica " + String.join(" ", args) + " does not end");
            }
            reader.join();
            return new Result(process.exitValue(), out, err[0]);
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
