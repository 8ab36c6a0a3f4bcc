package dev.pacifica.cli;

import picocli.CommandLine.Option;

/** The sanitizer's option of {@code run} and {@code record}. */
final class CheckOptions {
    @Option(
            names = "--check",
            arity = "0..1",
            fallbackValue = "TEXT",
            paramLabel = "text|json",
            description = {
                "Look for mistakes of the hypervisor, and list them on standard error at the end."
                        + " The run and its recording stay the same, and so does the exit status."
            })
    CheckReport.Format format;

    /** Whether mistakes are looked for. */
    boolean wanted() {
        return format != null;
    }
}
