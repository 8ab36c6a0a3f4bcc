package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine;

class HelpTest {
    static Stream<CommandLine> commands() {
        CommandLine pacifica = Pacifica.commandLine();
        return Stream.concat(Stream.of(pacifica), pacifica.getSubcommands().values().stream());
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
