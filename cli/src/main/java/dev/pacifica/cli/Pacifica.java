package dev.pacifica.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The {@code pacifica} command. */
@Command(name = "pacifica", mixinStandardHelpOptions = true, version = "Pacifica 0.1.0")
public final class Pacifica implements Runnable {
    public static void main(String[] args) {
        System.exit(new CommandLine(new Pacifica()).execute(args));
    }

    @Override
    public void run() {
        CommandLine.usage(this, System.out);
    }
}
