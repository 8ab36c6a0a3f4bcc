package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/**
 * The committed trace must replay on the machine as it is now. When the machine's behaviour has
 * changed on purpose, make it anew: {@code ./pacifica demo -o sample-traces/demo.pacifica && rm -rf
 * sample-traces/demo.pacifica/.cache}.
 */
class SampleTraceTest {
    private static final long LARGEST = 500_000;

    private final Path trace =
            Path.of(System.getProperty("pacifica.root"), "sample-traces", "demo.pacifica");

    @Test
    void itReplaysWholeAndFromTheMiddle() {
        assertThat(trace).isDirectory();
        assertThat(Pacifica.commandLine().execute("replay", trace.toString(), "--verify")).isZero();
        assertThat(
                        Pacifica.commandLine()
                                .execute(
                                        "replay",
                                        trace.toString(),
                                        "--verify",
                                        "--from-checkpoint",
                                        "2"))
                .isZero();
    }

    /**
     * As the README promises; a clone of the repository has no folder for the inputs there were
     * not.
     */
    @Test
    void itAnswersQueries() {
        assertThat(
                        Pacifica.commandLine()
                                .execute("query", trace.toString(), "SELECT * FROM exit_stats"))
                .isZero();
    }

    @Test
    void itIsSmall() throws IOException {
        assertThat(trace).isDirectory();
        long bytes = 0;
        try (var files = Files.walk(trace)) {
            for (Path file :
                    files.filter(f -> !f.toString().contains(".cache"))
                            .filter(Files::isRegularFile)
                            .toList()) {
                bytes += Files.size(file);
            }
        }
        assertThat(bytes).isLessThanOrEqualTo(LARGEST);
    }
}
