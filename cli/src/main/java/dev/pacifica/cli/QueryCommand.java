package dev.pacifica.cli;

import dev.pacifica.analysis.TraceDatabase;
import dev.pacifica.recorder.TraceReader;
import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.sql.SQLException;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code pacifica query}. */
@Command(
        name = "query",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Ask a trace in SQL (DuckDB's); of several statements each shows its rows, with json in"
                    + " an array of its own.",
            "What happened: exits, vmruns, npf, io, msr, cpuid, hypercalls, injections, deliveries,"
                    + " virtual_interrupts, tlb_flushes, vmcb_changes, consistency_failures, console,"
                    + " inputs, checkpoints, findings, events.",
            "Counted: exit_stats, io_ports, npf_pages, msr_stats, vmcb_change_stats.",
            "Tables show addresses and registers in hexadecimal, and a query may say guest_rip ="
                    + " 0xffffffff81000000; csv has them in decimal, json as hexadecimal strings."
        },
        footerHeading = "%nExamples:%n",
        footer = {
            "  pacifica query sample-traces/demo.pacifica \"SELECT * FROM exit_stats\"",
            "  pacifica query kvm.pacifica \"SELECT * FROM npf_pages LIMIT 20\" --format csv",
            "  pacifica query kvm.pacifica \"SELECT column_name, comment",
            "      FROM duckdb_columns() WHERE table_name = 'exits'\"",
            "  pacifica query kvm.pacifica \"COPY exits TO 'exits.parquet'\"",
            "  echo \"SELECT line FROM console\" | pacifica query kvm.pacifica -"
        })
final class QueryCommand implements Callable<Integer> {
    @Parameters(index = "0", paramLabel = "DIR", description = "The trace.")
    private Path trace;

    @Parameters(
            index = "1",
            paramLabel = "SQL",
            description = "The query, or - to read it from standard input.")
    private String sql;

    @Option(
            names = "--format",
            paramLabel = "table|csv|json",
            defaultValue = "table",
            description = "How rows are printed. Default: ${DEFAULT-VALUE}.")
    private ResultPrinter.Format format;

    @Override
    public Integer call() throws IOException, SQLException {
        String query =
                sql.equals("-")
                        ? new String(System.in.readAllBytes(), StandardCharsets.UTF_8)
                        : sql;
        PrintStream out =
                new PrintStream(
                        new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 16),
                        false,
                        StandardCharsets.UTF_8);
        try (TraceDatabase database = TraceDatabase.open(TraceReader.open(trace))) {
            if (database.query(query, new ResultPrinter(out, format)) == 0) {
                throw new BadInput("the query is empty");
            }
        } finally {
            out.flush(); // what came before a mistake is shown
        }
        return 0;
    }
}
