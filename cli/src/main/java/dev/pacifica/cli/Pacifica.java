package dev.pacifica.cli;

import dev.pacifica.analysis.TraceDatabase;
import dev.pacifica.emulator.boot.BootException;
import dev.pacifica.recorder.TraceException;
import java.sql.SQLException;
import java.util.List;
import picocli.AutoComplete;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/** The {@code pacifica} command. */
@Command(
        name = "pacifica",
        mixinStandardHelpOptions = true,
        version = Pacifica.PROGRAM,
        description = "The flight recorder for AMD-V hypervisors.",
        synopsisSubcommandLabel = "COMMAND",
        subcommands = {
            DemoCommand.class,
            RecordCommand.class,
            RunCommand.class,
            InfoCommand.class,
            CheckpointsCommand.class,
            ReplayCommand.class,
            CheckCommand.class,
            QueryCommand.class,
            CommandLine.HelpCommand.class,
            AutoComplete.GenerateCompletion.class
        },
        exitCodeListHeading = "%nExit status:%n",
        exitCodeList = {
            "0:success; run, record: the guest switched the power off",
            "1:replay, check: the run diverged from its recording; demo: the demo failed",
            "2:bad usage or bad input, with one line on standard error that says what",
            "3:check: no VMRUN was seen, so nothing was looked at",
            "4:check: the hypervisor makes mistakes",
            "6:run, record: the guest halted with nothing that could wake it",
            "8:run, record: the guest, or a triple fault, reset the machine",
            "70:a bug of Pacifica's own",
            "124:run, record: ended by --max-instructions",
            "130:ended by Ctrl-C; a trace is whole up to there",
            "(v<<1)|1:run, record: the guest wrote v to the debug-exit port f4h; so all odd ones"
                    + " are the guest's"
        },
        footerHeading = "%nExamples:%n",
        footer = {
            "  pacifica demo",
            "  pacifica record -o boot.pacifica --kernel vmlinux --initrd boot.cpio \\",
            "      --append console=ttyS0",
            "  pacifica query boot.pacifica \"SELECT * FROM exit_stats\"",
            "  pacifica replay boot.pacifica --verify --from-checkpoint 3",
            "  source <(pacifica generate-completion)      completion for bash and zsh"
        })
public final class Pacifica {
    static final String PROGRAM = "Pacifica 0.1.0";

    static final int DIVERGED = 1;
    static final int BAD_INPUT = 2;
    static final int BUG = 70;
    static final int INTERRUPTED = 130;

    /** Runs the command and ends the process with its status. */
    public static void main(String[] args) {
        int status = commandLine().execute(args);
        System.out.flush();
        System.exit(status);
    }

    static CommandLine commandLine() {
        return new CommandLine(new Pacifica())
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setExecutionStrategy(Pacifica::execute)
                .setParameterExceptionHandler(Pacifica::badUsage)
                .setExecutionExceptionHandler((e, command, _) -> failed(e, command));
    }

    /** As usual, but --help does not make up for an unknown command, which nobody can explain. */
    private static int execute(CommandLine.ParseResult parsed) {
        if (!parsed.unmatched().isEmpty() && !parsed.unmatched().getFirst().startsWith("-")) {
            throw new UnmatchedArgumentException(
                    parsed.commandSpec().commandLine(), parsed.unmatched());
        }
        return new CommandLine.RunLast().execute(parsed);
    }

    /** One line, and where to read more only if nothing was asked for at all. */
    private static int badUsage(ParameterException e, String[] args) {
        CommandLine command = e.getCommandLine();
        if (args.length == 0
                || e instanceof CommandLine.MissingParameterException
                        && args.length == 1
                        && command.getParent() == null) {
            command.usage(command.getErr());
            return BAD_INPUT;
        }
        command.getErr().println("pacifica: " + oneLine(explain(e, command)));
        return BAD_INPUT;
    }

    private static String explain(ParameterException e, CommandLine command) {
        String word = command.getParent() == null ? unknownCommand(e) : null;
        if (word != null) {
            String question = Similar.question(word, command.getSubcommands().keySet());
            return "unknown command '%s'%s pacifica --help lists them"
                    .formatted(word, question.isEmpty() ? ";" : question);
        }
        // An option that is misspelt may be the one that is missing.
        List<String> unmatched = command.getUnmatchedArguments();
        if (!unmatched.isEmpty() && unmatched.getFirst().startsWith("--")) {
            String option = unmatched.getFirst().replaceFirst("=.*", "");
            return "unknown option '%s'%s"
                    .formatted(
                            option,
                            Similar.question(
                                    option, command.getCommandSpec().optionsMap().keySet()));
        }
        return e.getMessage();
    }

    /** What was given as a command, also to {@code help}, and is none; or null. */
    private static String unknownCommand(ParameterException e) {
        String word =
                e instanceof UnmatchedArgumentException unmatched
                        ? unmatched.getUnmatched().getFirst()
                        : e.getValue();
        return word == null || word.startsWith("-") ? null : word;
    }

    private static int failed(Exception e, CommandLine command) {
        switch (e) {
            case TraceException _, BootException _, BadInput _ ->
                    command.getErr().println("pacifica: " + oneLine(e.getMessage()));
            case SQLException _ ->
                    command.getErr()
                            .println("pacifica: query: " + TraceDatabase.oneLine(e.getMessage()));
            default -> {
                command.getErr()
                        .println(
                                "pacifica: this is a bug of Pacifica's own; please report it with"
                                        + " what follows");
                e.printStackTrace(command.getErr());
                return BUG;
            }
        }
        return BAD_INPUT;
    }

    private static String oneLine(String message) {
        return message == null ? "unknown error" : message.strip().replaceAll("\\s*\\R\\s*", "; ");
    }
}
