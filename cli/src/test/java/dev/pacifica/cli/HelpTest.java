package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

class HelpTest {
    static Stream<CommandLine> commands() {
        CommandLine pacifica = Pacifica.commandLine();
        return Stream.concat(Stream.of(pacifica), pacifica.getSubcommands().values().stream());
    }

    /** Both of these end as the guest, --max-instructions or Ctrl-C will have it. */
    @ParameterizedTest
    @ValueSource(strings = {"run", "record"})
    void helpOfACommandThatRunsAMachineHasItsStatuses(String command) {
        String help = helped("help", command);
        assertThat(help).isEqualTo(helped(command, "--help"));
        assertThat(help).contains("  6          the guest halted", "  124        ended by --max");
    }

    @Test
    void helpAloneIsThatOfAll() {
        assertThat(helped("help")).isEqualTo(helped("--help")).contains("  query ");
    }

    private static String helped(String... words) {
        StringWriter out = new StringWriter();
        assertThat(Pacifica.commandLine().setOut(new PrintWriter(out, true)).execute(words))
                .isZero();
        return out.toString();
    }

    /** An example that is broken in the middle of a word cannot be pasted. */
    @ParameterizedTest
    @MethodSource("commands")
    void examplesAreShownAsTheyAreWritten(CommandLine command) {
        List<String> shown = command.getUsageMessage(CommandLine.Help.Ansi.OFF).lines().toList();
        assertThat(shown)
                .containsAll(Arrays.asList(command.getCommandSpec().usageMessage().footer()));
    }
}
