package dev.pacifica.analysis;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.machine.InputSource;
import dev.pacifica.emulator.machine.Machine;
import dev.pacifica.emulator.machine.MachineConfig;
import dev.pacifica.emulator.observe.TlbFlushCause;
import dev.pacifica.recorder.TraceException;
import dev.pacifica.recorder.TraceReader;
import dev.pacifica.recorder.TraceRecorder;
import dev.pacifica.schemas.EventKind;
import dev.pacifica.schemas.Events;
import dev.pacifica.schemas.MsrName;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TraceDatabaseTest {
    @TempDir Path folder;

    private TraceReader trace(Consumer<ScriptedMachine> script) {
        Path path = folder.resolve("run.pacifica");
        try (TraceRecorder recorder =
                new TraceRecorder(
                        path,
                        "test",
                        "2026-01-01T00:00:00Z",
                        JsonNodeFactory.instance.objectNode(),
                        List.of(),
                        InputSource.NONE)) {
            ScriptedMachine machine = new ScriptedMachine();
            recorder.start(machine);
            script.accept(machine);
            recorder.finish(null, "the script is over");
        }
        return TraceReader.open(path);
    }

    private static List<String> query(TraceReader trace, String sql) {
        try (TraceDatabase database = TraceDatabase.open(trace)) {
            List<String> lines = new ArrayList<>();
            database.query(sql, rows -> addLines(lines, rows));
            return lines;
        } catch (SQLException | IOException e) {
            throw new AssertionError(sql, e);
        }
    }

    private static void addLines(List<String> lines, ResultSet rows) throws SQLException {
        while (rows.next()) {
            StringBuilder line = new StringBuilder();
            for (int i = 1; i <= rows.getMetaData().getColumnCount(); i++) {
                line.append(i > 1 ? "|" : "").append(rows.getString(i));
            }
            lines.add(line.toString());
        }
    }

    private static void threeExits(ScriptedMachine machine) {
        machine.registers[0] = 0x1234_5678_9abc_de41L;
        machine.enterAndExit(100, 10, 0x1000, 0x400, 0x1_0000_0006L, 0x20_3abcL, 0x1010);
        machine.enterAndExit(50, 20, 0x1010, 0x7b, 0x03f8_0010L, 0x1018, 0x1017);
        machine.registers[1] = 0xc000_0080L;
        machine.registers[2] = 0xffff_ffff_0000_0001L;
        machine.enterAndExit(70, 30, 0x1018, 0x7c, 1, 0, 0xffff_ffff_8100_0000L);
    }

    @Test
    void exitsPairsVmrunWithItsExitAndCountsBothSides() {
        TraceReader trace = trace(TraceDatabaseTest::threeExits);
        assertThat(
                        query(
                                trace,
                                "SELECT exit_number, exit_reason, to_hex(guest_rip),"
                                        + " to_hex(entry_rip), to_hex(info1), to_hex(info2),"
                                        + " guest_instructions, host_instructions,"
                                        + " handling_instructions, insn_count FROM exits ORDER BY"
                                        + " sequence"))
                .containsExactly(
                        "0|npf|1010|1000|100000006|203ABC|10|100|50|110",
                        "1|io|1017|1010|3F80010|1018|20|50|70|180",
                        "2|msr|FFFFFFFF81000000|1018|1|0|30|70|null|280");
    }

    @Test
    void exitInformationIsTakenApart() {
        TraceReader trace = trace(TraceDatabaseTest::threeExits);
        assertThat(
                        query(
                                trace,
                                "SELECT to_hex(gpa), present, is_write, is_user, reserved_bit,"
                                        + " is_fetch, final_address, table_walk FROM npf"))
                .containsExactly("203ABC|false|true|true|false|false|true|false");
        assertThat(query(trace, "SELECT port, size, direction, value, string, rep FROM io"))
                .containsExactly("1016|1|out|65|false|false");
        assertThat(query(trace, "SELECT to_hex(msr), name, access, to_hex(value) FROM msr"))
                .containsExactly("C0000080|EFER|write|19ABCDE41");
    }

    /** Events with exits of their kind are joined by its number. */
    @Test
    void whatAnExitSaysNamesTheExit() {
        TraceReader trace =
                trace(machine -> {
                    threeExits(machine);
                    threeExits(machine);
                    machine.registers[0] = 0x8000_000aL;
                    machine.enterAndExit(10, 10, 0x2000, 0x72, 0, 0, 0x2002);
                    machine.enterAndExit(10, 10, 0x2000, 0x81, 0, 0, 0x2002);
                });
        assertThat(query(trace, "SELECT exit_number FROM npf")).containsExactly("0", "3");
        assertThat(query(trace, "SELECT exit_number FROM io")).containsExactly("1", "4");
        assertThat(query(trace, "SELECT exit_number FROM msr")).containsExactly("2", "5");
        assertThat(
                        query(
                                trace,
                                "SELECT exit_number, exit_reason, to_hex(leaf) FROM cpuid JOIN"
                                        + " exits USING (exit_number)"))
                .containsExactly("6|cpuid|8000000A");
        assertThat(query(trace, "SELECT exit_number, to_hex(rax) FROM hypercalls"))
                .containsExactly("7|8000000A");
    }

    @Test
    void aDeliveryTellsOfWhatTypeItIsAndWhetherItHasAnErrorCode() {
        TraceReader trace =
                trace(machine -> {
                    machine.observer.delivery(0, 14, 3, true, 2, 0x1000);
                    machine.observer.delivery(0, 13, 3, true, 0, 0x1000);
                    machine.observer.delivery(0, 14, 4, false, 0, 0x1000);
                    machine.observer.delivery(0, 32, 0, false, 0, 0x1000);
                    machine.observer.delivery(0, 2, 2, false, 0, 0x1000);
                });
        assertThat(
                        query(
                                trace,
                                "SELECT type, vector, \"external\", has_error_code, error_code FROM"
                                        + " deliveries"))
                .containsExactly(
                        "exception|14|false|true|2",
                        "exception|13|false|true|0",
                        "software|14|false|false|null",
                        "interrupt|32|true|false|null",
                        "nmi|2|true|false|null");
    }

    @Test
    void aDeliveryInAGuestNamesTheExitAfterIt() {
        TraceReader trace =
                trace(machine -> {
                    machine.observer.delivery(0, 32, 0, false, 0, 0x1000);
                    machine.enter(0x2000);
                    machine.observer.delivery(0, 33, 0, false, 0, 0x2000);
                    machine.observer.delivery(0, 34, 0, false, 0, 0x2000);
                    machine.exit(0x72, 0x2002);
                    machine.observer.delivery(0, 35, 0, false, 0, 0x1000);
                    machine.enter(0x3000);
                    machine.observer.delivery(0, 36, 0, false, 0, 0x3000);
                    machine.exit(0x78, 0x3002);
                    machine.enter(0x4000);
                    machine.observer.delivery(0, 37, 0, false, 0, 0x4000); // and there it ends
                });
        assertThat(query(trace, "SELECT vector, in_guest, exit_number FROM deliveries"))
                .containsExactly(
                        "32|false|null",
                        "33|true|0",
                        "34|true|0",
                        "35|false|null",
                        "36|true|1",
                        "37|true|null");
        assertThat(
                        query(
                                trace,
                                "SELECT vector, exit_reason FROM deliveries JOIN exits USING"
                                        + " (exit_number) ORDER BY vector"))
                .containsExactly("33|cpuid", "34|cpuid", "36|hlt");
    }

    /** An intercepted IN or RDMSR has no value yet, and not every event has an error code. */
    @Test
    void whatIsNotThereIsNull() {
        TraceReader trace =
                trace(machine -> {
                    machine.registers[0] = 0x99;
                    machine.registers[2] = 1;
                    for (long io : new long[] {0x10, 0x11, 0x14}) { // OUT, IN, OUTS of a byte
                        machine.enter(0x1000);
                        machine.exit(0x7b, io, 0, 0x1002, 0);
                    }
                    machine.enter(0x2000);
                    machine.exit(0x7c, 1, 0, 0x2002, 0x8000_0030L);
                    machine.enter(0x2000);
                    machine.exit(0x7c, 0, 0, 0, 0xd_8000_0b0dL);
                    machine.observer.injection(0, 0x5000, 0x8000_0030L);
                    machine.observer.injection(0, 0x5000, 0x8000_0b0dL);
                });
        assertThat(query(trace, "SELECT value FROM io")).containsExactly("153", "null", "null");
        assertThat(query(trace, "SELECT access, to_hex(value) FROM msr"))
                .containsExactly("write|100000099", "read|null");
        assertThat(
                        query(
                                trace,
                                "SELECT to_hex(nrip), error_code FROM exits WHERE exit_reason ="
                                        + " 'msr' ORDER BY sequence"))
                .containsExactly("2002|null", "null|13");
        assertThat(query(trace, "SELECT vector, error_code FROM injections ORDER BY sequence"))
                .containsExactly("48|null", "13|0");
    }

    /** Counts, sizes and vectors are decimal; of the rest, people compare bits. */
    @Test
    void bitsAreOfTheTypeThatIsShownInHexadecimal() {
        assertThat(
                        query(
                                trace(TraceDatabaseTest::threeExits),
                                "SELECT table_name || '.' || column_name FROM duckdb_columns()"
                                        + " WHERE schema_name = 'main' AND NOT internal AND data_type"
                                        + " <> 'UBIGINT' AND column_name IN ('error_code', 'intr_info',"
                                        + " 'clean_bits', 'value', 'field_offset', 'port', 'msr',"
                                        + " 'vmcb', 'gpa', 'info1', 'info2', 'event_inj', 'int_ctl')"))
                .isEmpty();
    }

    @Test
    void addressesCanBeGivenAsNumbers() {
        TraceReader trace = trace(TraceDatabaseTest::threeExits);
        assertThat(
                        query(
                                trace,
                                "SELECT exit_reason FROM exits WHERE guest_rip = 0xffffffff81000000"
                                        + " OR info1 = 0x3f80010 ORDER BY sequence"))
                .containsExactly("io", "msr");
    }

    @Test
    void eachStatementOfAQueryGivesItsRows() throws SQLException, IOException {
        try (TraceDatabase database = TraceDatabase.open(trace(TraceDatabaseTest::threeExits))) {
            List<String> lines = new ArrayList<>();
            int statements =
                    database.query(
                            "SELECT 'a;b'; CREATE TEMP VIEW mine AS SELECT count(*) AS n FROM"
                                    + " exits; -- ; nothing\n"
                                    + " ; SELECT n + 0x10 FROM mine;",
                            rows -> {
                                lines.add("result");
                                addLines(lines, rows);
                            });
            assertThat(statements).isEqualTo(3);
            assertThat(lines).containsExactly("result", "a;b", "result", "19");
            assertThat(database.query(" ; -- nothing", _ -> {})).isZero();
        }
    }

    @Test
    void aMistakeInAQueryIsToldWithWhatCouldBeMeant() {
        try (TraceDatabase database = TraceDatabase.open(trace(TraceDatabaseTest::threeExits))) {
            assertThatThrownBy(() -> database.query("SELECT * FROM exitz", _ -> {}))
                    .satisfies(e ->
                            assertThat(TraceDatabase.oneLine(e.getMessage()))
                                    .contains("exitz", "Did you mean \"exits\"?")
                                    .doesNotContain("\n", "LINE", "^"));
        }
    }

    @Test
    void eventsComeInTheirOrder() {
        TraceReader trace = trace(TraceDatabaseTest::threeExits);
        assertThat(
                        query(
                                trace,
                                "SELECT list_sort(list(sequence)) = list(sequence) FROM (FROM"
                                        + " events)"))
                .containsExactly("true");
    }

    @Test
    void viewsCount() {
        TraceReader trace =
                trace(machine -> {
                    threeExits(machine);
                    threeExits(machine);
                    machine.observer.vmcbChange(0, 0x5000, 0x0a8, 8, 0, 0x8000_0020L);
                    machine.observer.vmcbChange(0, 0x5000, 0x0a8, 8, 0, 0x8000_0021L);
                    machine.observer.vmcbChange(0, 0x5000, 0x578, 8, 1, 2);
                    machine.observer.vmcbChange(0, 0x5000, 0x300, 8, 1, 2);
                });
        assertThat(
                        query(
                                trace,
                                "SELECT exit_reason, exits, exits_percent, guest_instructions,"
                                        + " handling_ns FROM exit_stats"))
                .containsExactly("io|2|33.33|40|140", "msr|2|33.33|60|100", "npf|2|33.33|20|100");
        assertThat(
                        query(
                                trace,
                                "SELECT printf('%x', port), direction, size, accesses FROM"
                                        + " io_ports"))
                .containsExactly("3f8|out|1|2");
        assertThat(query(trace, "SELECT to_hex(msr), name, access, accesses FROM msr_stats"))
                .containsExactly("C0000080|EFER|write|2");
        assertThat(query(trace, "SELECT to_hex(page), faults, writes, fetches FROM npf_pages"))
                .containsExactly("203000|2|2|0");
        assertThat(query(trace, "SELECT field, changes, different_values FROM vmcb_change_stats"))
                .containsExactly("eventinj|2|2", "offset_300|1|1", "rip|1|1");
    }

    @Test
    void everyMsrOfTheMachineHasAName() {
        Set<Long> named = MsrName.known().stream().map(MsrName::msr).collect(Collectors.toSet());
        MachineConfig config = new MachineConfig(1 << 20, 1, "", Instant.EPOCH, 0);
        int found = 0;
        List<String> unnamed = new ArrayList<>();
        try (Machine machine = new Machine(config, (_, _) -> {})) {
            for (int start : new int[] {0, 0xc000_0000, 0xc001_0000}) {
                for (int msr = start; msr < start + 0x2000; msr++) {
                    // Configuration that only the manuals of single models name.
                    boolean core = (msr & ~0xf) == 0xc001_1020;
                    if (!core && exists(machine.cpu(0), msr)) {
                        found++;
                        if (!named.contains(Integer.toUnsignedLong(msr))) {
                            unnamed.add(Integer.toHexString(msr));
                        }
                    }
                }
            }
        }
        assertThat(unnamed).as("MSRs that MsrName has no name for").isEmpty();
        assertThat(found).isGreaterThan(80);
    }

    private static boolean exists(Cpu cpu, int msr) {
        try {
            cpu.msrs.read(msr);
            return true;
        } catch (GuestException e) {
            return false;
        }
    }

    @Test
    void theConsoleIsThereByLine() {
        TraceReader trace =
                trace(machine -> {
                    byte[] text = "first\r\nsecönd\n\nlast".getBytes(StandardCharsets.UTF_8);
                    for (byte each : text) {
                        machine.clock().retired += 10;
                        machine.observer.serialOutput(0, each & 0xff);
                        machine.observer.serialOutput(1, '!');
                    }
                });
        assertThat(
                        query(
                                trace,
                                "SELECT insn_count, line FROM console WHERE device = 'COM1' ORDER"
                                        + " BY sequence"))
                .containsExactly("10|first", "80|secönd", "160|", "170|last");
        assertThat(query(trace, "SELECT length(line) FROM console WHERE device = 'COM2'"))
                .containsExactly("20");
    }

    /** The way from an event through Arrow to SQL, for each kind and field of the schema. */
    @Test
    void everyKindHasATableWithACommentOnEachColumn() {
        TraceReader trace = trace(TraceDatabaseTest::threeExits);
        for (EventKind kind : Events.kinds()) {
            List<String> columns =
                    new ArrayList<>(List.of("sequence", "vcpu_id", "insn_count", "time_ns"));
            kind.fields().forEach(f -> columns.add(f.name()));
            assertThat(
                            query(
                                    trace,
                                    "SELECT column_name FROM duckdb_columns() WHERE schema_name ="
                                            + " 'raw' AND table_name = '"
                                            + kind.name()
                                            + "' AND comment IS NOT NULL ORDER BY column_index"))
                    .containsExactlyElementsOf(columns);
        }
        assertThat(
                        query(
                                trace,
                                "SELECT table_name || '.' || column_name FROM duckdb_columns()"
                                        + " WHERE schema_name = 'main' AND NOT internal AND comment IS"
                                        + " NULL"))
                .isEmpty();
        assertThat(
                        query(
                                trace,
                                "SELECT view_name FROM duckdb_views() WHERE schema_name = 'main'"
                                        + " AND NOT internal AND comment IS NULL"))
                .isEmpty();
    }

    /** What a person looks at has a comment, and nothing else is beside it. */
    @Test
    void tablesForTheDatabasesOwnUseAreApart() {
        TraceReader trace = trace(TraceDatabaseTest::threeExits);
        assertThat(
                        query(
                                trace,
                                "SELECT DISTINCT schema_name FROM duckdb_columns() WHERE NOT"
                                        + " internal ORDER BY schema_name"))
                .containsExactly("internal", "main", "raw");
        assertThat(
                        query(
                                trace,
                                "SELECT table_name || '.' || column_name FROM duckdb_columns()"
                                        + " WHERE schema_name IN ('main', 'raw') AND NOT internal AND"
                                        + " comment IS NULL"))
                .isEmpty();
    }

    @Test
    void moreEventsThanABatchHoldsAllArrive() {
        int count = EventBatch.CAPACITY * 2 + 17;
        TraceReader trace =
                trace(machine -> {
                    for (int i = 0; i < count; i++) {
                        machine.clock().retired++;
                        machine.observer.invlpga(0, 0xffff_8000_0000_0000L + i, i & 7);
                    }
                });
        assertThat(
                        query(
                                trace,
                                "SELECT count(*), count(DISTINCT sequence), min(address) ="
                                        + " '0xffff800000000000', sum(asid), sum(insn_count) FROM"
                                        + " raw.invlpga"))
                .containsExactly(
                        "%d|%d|true|%d|%d"
                                .formatted(
                                        count,
                                        count,
                                        java.util.stream.IntStream.range(0, count)
                                                .map(i -> i & 7)
                                                .asLongStream()
                                                .sum(),
                                        (long) count * (count + 1) / 2));
        assertThat(query(trace, "SELECT count(*) FROM events"))
                .containsExactly(Integer.toString(count + 3));
    }

    @Test
    void flushesOfTheTlb() {
        TraceReader trace =
                trace(machine -> {
                    machine.observer.invlpga(0, 0x1000, 3);
                    machine.observer.tlbFlushed(0, 5, true, TlbFlushCause.VMRUN);
                    machine.observer.tlbFlushed(0, -1, true, TlbFlushCause.SMI);
                    machine.observer.tlbFlushed(0, 6, false, TlbFlushCause.INVLPGB);
                    machine.observer.tlbPageFlushed(0, 7, 0xffff_8000_0000_0000L);
                });
        assertThat(
                        query(
                                trace,
                                "SELECT cause, asid, address, globals FROM tlb_flushes ORDER BY"
                                        + " sequence"))
                .as("VMRUN's is told by its tlb_control event, of which there is none here")
                .containsExactly(
                        "invlpga|3|4096|true",
                        "smi|null|null|true",
                        "invlpgb|6|null|false",
                        "invlpgb|7|18446603336221196288|true");
    }

    /** VMEXIT_INVALID is EXITCODE -1; no state was loaded, and nothing flushed (§15.5.1). */
    @Test
    void aRefusedVmrunFlushesNothing() {
        TraceReader trace =
                trace(machine -> {
                    machine.tlbControl(1);
                    machine.enterAndExit(1, 0, 0x1000, -1, 0, 0, 0x1000);
                    machine.enterAndExit(1, 1, 0x2000, 0x72, 0, 0, 0x2002);
                    machine.tlbControl(7);
                    machine.enterAndExit(1, 1, 0x3000, 0x72, 0, 0, 0x3002);
                    machine.enterAndExit(1, 0, 0x4000, -1, 0, 0, 0x4000);
                    machine.tlbControl(0);
                    machine.enterAndExit(1, 1, 0x5000, 0x72, 0, 0, 0x5002);
                    machine.tlbControl(3);
                    machine.enter(0x6000); // and there the trace ends
                });
        assertThat(query(trace, "SELECT count(*) FROM raw.tlb_control")).containsExactly("5");
        assertThat(
                        query(
                                trace,
                                "SELECT v.guest_rip, cause, f.asid, address, globals FROM"
                                        + " tlb_flushes f JOIN vmruns v ON v.sequence = f.sequence - 1"
                                        + " ORDER BY f.sequence"))
                .containsExactly(
                        "8192|vmrun|null|null|true",
                        "12288|vmrun|1|null|false",
                        "24576|vmrun|1|null|true");
        assertThat(query(trace, "SELECT count(*) FROM tlb_flushes")).containsExactly("3");
    }

    @Test
    void theCacheIsUsedAgainAndNeverForAnotherTrace() throws IOException {
        TraceReader trace = trace(TraceDatabaseTest::threeExits);
        assertThat(query(trace, "SELECT count(*) FROM exits")).containsExactly("3");
        Path cache = trace.path().resolve(".cache/events.duckdb");
        Object first = Files.getAttribute(cache, "unix:ino");
        assertThat(query(trace, "SELECT count(*) FROM exits")).containsExactly("3");
        assertThat(Files.getAttribute(cache, "unix:ino")).isEqualTo(first);

        // The same folder, another run; the stale cache stays where it is.
        Path keep = folder.resolve("keep.duckdb");
        Files.copy(cache, keep);
        try (Stream<Path> files = Files.walk(trace.path())) {
            for (Path file : files.sorted((a, b) -> b.compareTo(a)).toList()) {
                Files.delete(file);
            }
        }
        TraceReader other = trace(machine -> machine.enterAndExit(1, 1, 0, 0x72, 0, 0, 0));
        Files.createDirectories(cache.getParent());
        Files.copy(keep, cache);
        assertThat(query(other, "SELECT exit_reason FROM exits")).containsExactly("cpuid");
    }

    @Test
    void aDamagedTraceIsNotLoadedAndNotTakenFromTheCache() throws IOException {
        TraceReader trace = trace(TraceDatabaseTest::threeExits);
        assertThat(query(trace, "SELECT count(*) FROM exits")).containsExactly("3");
        Path log;
        try (Stream<Path> files = Files.list(trace.path().resolve("events"))) {
            log = files.filter(f -> f.toString().endsWith(".cq4")).findFirst().orElseThrow();
        }
        try (RandomAccessFile file = new RandomAccessFile(log.toFile(), "rw")) {
            // In the last records: 8 KiB before the end are zeros kept for Chronicle.
            long at = file.length() - 8192;
            byte[] bytes = new byte[8192];
            file.seek(at);
            file.readFully(bytes);
            int last = bytes.length - 1;
            while (bytes[last] == 0) {
                last--;
            }
            file.seek(at + last);
            file.write(bytes[last] ^ 1);
        }
        assertThatThrownBy(
                        () -> query(TraceReader.open(trace.path()), "SELECT count(*) FROM exits"))
                .isInstanceOf(TraceException.class)
                .hasMessageStartingWith("damaged trace: ");
    }
}
