package dev.pacifica.analysis;

import dev.pacifica.recorder.EventLog;
import dev.pacifica.recorder.InputLog;
import dev.pacifica.recorder.Manifest;
import dev.pacifica.recorder.TraceReader;
import dev.pacifica.recorder.VmcbFieldName;
import dev.pacifica.schemas.EventField;
import dev.pacifica.schemas.EventKind;
import dev.pacifica.schemas.EventReader;
import dev.pacifica.schemas.Events;
import dev.pacifica.schemas.ExitReason;
import dev.pacifica.schemas.MsrName;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import org.apache.arrow.c.ArrowArrayStream;
import org.apache.arrow.c.Data;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.ipc.ArrowReader;
import org.duckdb.DuckDBConnection;

/**
 * Loads a trace into a database: one table an event kind in schema {@code raw}, straight from the
 * event schema, and the tables and views for people out of {@code tables.sql}; what these need
 * besides is in schema {@code internal}.
 */
final class TraceLoader {
    private static final String TABLES = "tables.sql";

    private final TraceReader trace;
    private final DuckDBConnection database;

    TraceLoader(TraceReader trace, DuckDBConnection database) {
        this.trace = trace;
        this.database = database;
    }

    void load() throws SQLException, IOException {
        execute("SET preserve_insertion_order = true");
        execute("CREATE SCHEMA raw");
        execute("CREATE SCHEMA internal");
        for (EventKind kind : Events.kinds()) {
            createTable(kind);
        }
        names();
        execute(
                "CREATE TABLE internal.console_line (sequence BIGINT, insn_count BIGINT, time_ns"
                        + " BIGINT, device VARCHAR, line VARCHAR)");
        events();
        inputs();
        checkpoints();
        createEventsView();
        for (String statement : statements()) {
            execute(statement);
        }
        commentViews();
    }

    /** What a view takes over from an event's table under the same name means the same there. */
    private void commentViews() throws SQLException {
        String uncommented =
                "SELECT v.table_name, v.column_name, min(r.comment) FROM duckdb_columns() v JOIN"
                        + " duckdb_columns() r ON r.schema_name = 'raw' AND r.column_name ="
                        + " v.column_name JOIN duckdb_views() w ON w.schema_name = 'main' AND"
                        + " w.view_name = v.table_name WHERE v.schema_name = 'main' AND v.comment IS"
                        + " NULL AND r.comment IS NOT NULL AND contains(w.sql, 'raw.' || r.table_name)"
                        + " GROUP BY ALL";
        List<String> comments = new ArrayList<>();
        try (Statement statement = database.createStatement();
                ResultSet columns = statement.executeQuery(uncommented)) {
            while (columns.next()) {
                comments.add(
                        "COMMENT ON COLUMN %s.%s IS %s"
                                .formatted(
                                        columns.getString(1),
                                        columns.getString(2),
                                        quoted(columns.getString(3))));
            }
        }
        for (String comment : comments) {
            execute(comment);
        }
    }

    private void execute(String sql) throws SQLException {
        try (Statement statement = database.createStatement()) {
            statement.execute(sql);
        } catch (SQLException e) {
            throw new SQLException(sql + ": " + e.getMessage(), e);
        }
    }

    /** The statements of {@code tables.sql}; they are separated by an empty line. */
    static List<String> statements() throws IOException {
        try (InputStream in = TraceLoader.class.getResourceAsStream(TABLES)) {
            String text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
            List<String> statements = new ArrayList<>();
            for (String statement : text.split(";\\s*\n")) {
                if (!statement.isBlank()) {
                    statements.add(statement.strip());
                }
            }
            return statements;
        }
    }

    private void createTable(EventKind kind) throws SQLException {
        List<EventField> fields = new ArrayList<>(EventBatch.HEADER);
        fields.addAll(kind.fields());
        String columns =
                fields.stream()
                        .map(f -> f.name() + " " + f.type().sqlType() + " NOT NULL")
                        .collect(Collectors.joining(", "));
        String table = "raw." + kind.name();
        execute("CREATE TABLE %s (sequence BIGINT NOT NULL, %s)".formatted(table, columns));
        execute("COMMENT ON TABLE %s IS %s".formatted(table, quoted(kind.comment())));
        execute(
                "COMMENT ON COLUMN %s.sequence IS 'Number of the event in the trace, from 0'"
                        .formatted(table));
        for (EventField field : fields) {
            execute(
                    "COMMENT ON COLUMN %s.%s IS %s"
                            .formatted(table, field.name(), quoted(field.comment())));
        }
    }

    private static String quoted(String text) {
        return "'" + text.replace("'", "''") + "'";
    }

    private void names() throws SQLException {
        execute(
                "CREATE TABLE internal.exit_reason (exit_code UBIGINT, name VARCHAR, manual_name"
                        + " VARCHAR)");
        try (PreparedStatement insert =
                database.prepareStatement("INSERT INTO internal.exit_reason VALUES (?, ?, ?)")) {
            for (ExitReason reason : ExitReason.known()) {
                insert.setObject(1, new BigInteger(Long.toUnsignedString(reason.code())));
                insert.setString(2, reason.name());
                insert.setString(3, reason.manualName());
                insert.addBatch();
            }
            insert.executeBatch();
        }
        execute("CREATE TABLE internal.msr_name (msr UBIGINT, name VARCHAR)");
        try (PreparedStatement insert =
                database.prepareStatement("INSERT INTO internal.msr_name VALUES (?, ?)")) {
            for (MsrName msr : MsrName.known()) {
                insert.setLong(1, msr.msr());
                insert.setString(2, msr.name());
                insert.addBatch();
            }
            insert.executeBatch();
        }
        execute(
                "CREATE TABLE internal.vmcb_field (field_offset INTEGER, field_size INTEGER, name"
                        + " VARCHAR)");
        try (PreparedStatement insert =
                database.prepareStatement("INSERT INTO internal.vmcb_field VALUES (?, ?, ?)")) {
            for (VmcbFieldName field : VmcbFieldName.all()) {
                insert.setInt(1, field.offset());
                insert.setInt(2, field.size());
                insert.setString(3, field.name());
                insert.addBatch();
            }
            insert.executeBatch();
        }
    }

    private void events() throws SQLException, IOException {
        try (BufferAllocator allocator = new RootAllocator();
                EventLog log = trace.events();
                ConsoleLines console = new ConsoleLines(database)) {
            EventBatch[] batches = new EventBatch[Events.kinds().size()];
            try {
                for (EventReader event = log.next(); event != null; event = log.next()) {
                    EventKind kind = event.kind();
                    EventBatch batch = batches[kind.code() - 1];
                    if (batch == null) {
                        batch = new EventBatch(kind, allocator);
                        batches[kind.code() - 1] = batch;
                    }
                    if (batch.add(event)) {
                        insert(batch, allocator);
                    }
                    if (kind.equals(Events.Console.KIND)) {
                        console.add(event);
                    }
                }
                trace.requireWhole(log);
                for (EventBatch batch : batches) {
                    if (batch != null && batch.rows() > 0) {
                        insert(batch, allocator);
                    }
                }
            } finally {
                for (EventBatch batch : batches) {
                    if (batch != null) {
                        batch.close();
                    }
                }
            }
        }
    }

    private void insert(EventBatch batch, BufferAllocator allocator)
            throws SQLException, IOException {
        try (ArrowReader reader = batch.reader();
                ArrowArrayStream stream = ArrowArrayStream.allocateNew(allocator)) {
            Data.exportArrayStream(allocator, reader, stream);
            String name = "batch_of_" + batch.kind().name();
            database.registerArrowStream(name, stream);
            execute("INSERT INTO raw.%s SELECT * FROM %s".formatted(batch.kind().name(), name));
            execute("DROP VIEW IF EXISTS " + name);
        }
        batch.clear();
    }

    private void createEventsView() throws SQLException {
        execute(
                "CREATE VIEW events AS "
                        + Events.kinds().stream()
                                .map(kind ->
                                        "SELECT sequence, vcpu_id, insn_count, time_ns, '%s' AS kind FROM raw.%s"
                                                .formatted(kind.name(), kind.name()))
                                .collect(Collectors.joining(" UNION ALL "))
                        + " ORDER BY sequence");
    }

    private void inputs() throws SQLException {
        execute(
                "CREATE TABLE inputs (input BIGINT, insn_count BIGINT, time_ns BIGINT, kind"
                        + " INTEGER, device INTEGER, bytes BIGINT, data BLOB, text VARCHAR)");
        try (PreparedStatement insert =
                database.prepareStatement("INSERT INTO inputs VALUES (?, ?, ?, ?, ?, ?, ?, ?)")) {
            for (InputLog.Entry entry : trace.inputs()) {
                byte[] data = entry.data();
                insert.setLong(1, entry.sequence());
                insert.setLong(2, entry.insnCount());
                insert.setLong(3, entry.timeNs());
                insert.setInt(4, entry.kind());
                insert.setInt(5, entry.device());
                insert.setLong(6, data.length);
                insert.setBytes(7, data);
                insert.setString(8, ConsoleLines.text(data, data.length));
                insert.execute();
            }
        }
    }

    private void checkpoints() throws SQLException {
        execute(
                "CREATE TABLE checkpoints (checkpoint INTEGER, insn_count BIGINT, time_ns BIGINT,"
                        + " events BIGINT, inputs BIGINT, pages INTEGER, new_pages INTEGER, bytes"
                        + " BIGINT, file VARCHAR)");
        try (PreparedStatement insert =
                database.prepareStatement(
                        "INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")) {
            for (Manifest.Checkpoint checkpoint : trace.manifest().checkpoints()) {
                insert.setInt(1, checkpoint.checkpoint());
                insert.setLong(2, checkpoint.insnCount());
                insert.setLong(3, checkpoint.timeNs());
                insert.setLong(4, checkpoint.events());
                insert.setLong(5, checkpoint.inputs());
                insert.setInt(6, checkpoint.pages());
                insert.setInt(7, checkpoint.newPages());
                insert.setLong(8, checkpoint.bytes());
                insert.setString(9, checkpoint.file());
                insert.execute();
            }
        }
    }
}
