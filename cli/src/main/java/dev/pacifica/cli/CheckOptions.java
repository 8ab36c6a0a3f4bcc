package dev.pacifica.cli;

import dev.pacifica.emulator.check.HypervisorCheck;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Supplier;
import picocli.CommandLine.Option;

/** The sanitizer's option of {@code run} and {@code record}. */
final class CheckOptions {
    static final String SYMBOLS = "--symbols";
    static final String SYMBOLS_MEANING =
            "Names for addresses in the list, besides the kernel's own: an ELF file linked to where"
                    + " it runs, or text like System.map and /proc/kallsyms, which knows modules. May"
                    + " be given several times.";

    @Option(
            names = "--check",
            arity = "0..1",
            fallbackValue = "TEXT",
            paramLabel = "text|json",
            description = {
                "Look for mistakes of the hypervisor, and list them on standard error at the end."
                        + " The run stays the same, and so does the exit status; a recording gets"
                        + " them as events besides (table findings)."
            })
    CheckReport.Format format;

    @Option(names = SYMBOLS, paramLabel = "FILE", description = SYMBOLS_MEANING)
    List<Path> symbols = List.of();

    /** Whether mistakes are looked for. */
    boolean wanted() {
        return format != null;
    }

    /**
     * Tells on standard error what was found, if somebody looked, and how the run ended: as JSON
     * all in one object.
     *
     * @param check who looked, or null
     */
    void report(
            HypervisorCheck check, Supplier<SymbolTable> names, Ending ending, SerialPorts serial) {
        if (check != null || !ending.meant()) {
            serial.endLine();
        }
        if (check != null) {
            new CheckReport(check, names.get()).print(System.err, format, ending);
        }
        if (format != CheckReport.Format.JSON) {
            ending.tell();
        }
    }

    /**
     * The kernel's symbols and those of the files given, read before the run, so that it is not
     * lost; without --check the kernel's, read when somebody asks for them.
     */
    Supplier<SymbolTable> names(Path kernel) {
        if (!wanted() && !symbols.isEmpty()) {
            throw new BadInput(
                    SYMBOLS + " names addresses in the list of --check, which is missing");
        }
        if (!wanted()) {
            return () -> SymbolTable.of(kernel);
        }
        SymbolTable names = SymbolTable.of(kernel).with(symbols);
        return () -> names;
    }
}
