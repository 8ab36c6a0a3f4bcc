package dev.pacifica.analysis;

import dev.pacifica.recorder.TraceException;
import dev.pacifica.recorder.TraceReader;
import dev.pacifica.schemas.TraceFormat;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.HexFormat;
import java.util.List;
import java.util.Properties;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.duckdb.DuckDBConnection;

/**
 * A trace as an SQL database. It is kept beside the trace and used again as long as no file of the
 * trace has changed; where the trace cannot be written to, it lives in memory.
 */
public final class TraceDatabase implements AutoCloseable {
    private static final String CACHE = ".cache/events.duckdb";

    /** Raised with any change of the tables. */
    private static final int TABLES_VERSION = 4;

    private final Connection connection;

    private TraceDatabase(Connection connection) {
        this.connection = connection;
    }

    /**
     * Opens the database of a trace, loading the trace first where that was not done since it
     * changed.
     */
    public static TraceDatabase open(TraceReader trace) {
        Path cache = trace.path().resolve(CACHE);
        try {
            String key = key(trace.path());
            TraceDatabase cached = openCache(cache, key);
            if (cached != null) {
                return cached;
            }
            Path folder = cache.getParent();
            if (!Files.isWritable(trace.path())) {
                return inMemory(trace);
            }
            Files.createDirectories(folder);
            Path temporary = Files.createTempFile(folder, "loading", ".duckdb");
            try {
                // DuckDB wants to create the file itself.
                Files.delete(temporary);
                build(trace, temporary, key);
                Files.move(
                        temporary,
                        cache,
                        StandardCopyOption.ATOMIC_MOVE,
                        StandardCopyOption.REPLACE_EXISTING);
            } finally {
                Files.deleteIfExists(temporary);
                Files.deleteIfExists(temporary.resolveSibling(temporary.getFileName() + ".wal"));
            }
            TraceDatabase built = openCache(cache, key);
            return built != null ? built : inMemory(trace);
        } catch (IOException e) {
            throw new TraceException(cache + ": " + e.getMessage(), e);
        } catch (SQLException e) {
            throw new TraceException(
                    "cannot load " + trace.path() + ": " + oneLine(e.getMessage()), e);
        }
    }

    private static TraceDatabase inMemory(TraceReader trace) throws SQLException, IOException {
        Connection memory = connect("", false);
        try {
            new TraceLoader(trace, memory.unwrap(DuckDBConnection.class)).load();
        } catch (SQLException | IOException | RuntimeException e) {
            memory.close();
            throw e;
        }
        return new TraceDatabase(memory);
    }

    private static void build(TraceReader trace, Path file, String key)
            throws SQLException, IOException {
        try (Connection connection = connect(file.toString(), false)) {
            new TraceLoader(trace, connection.unwrap(DuckDBConnection.class)).load();
            try (Statement statement = connection.createStatement()) {
                statement.execute("CREATE TABLE internal.cache_key AS SELECT '" + key + "' AS key");
                statement.execute("CHECKPOINT");
            }
        }
    }

    private static Connection connect(String file, boolean readOnly) throws SQLException {
        Properties properties = new Properties();
        if (readOnly) {
            properties.setProperty("duckdb.read_only", "true");
        }
        return DriverManager.getConnection("jdbc:duckdb:" + file, properties);
    }

    /** The cached database if it is one of this very trace, else null. */
    private static TraceDatabase openCache(Path cache, String key) throws SQLException {
        if (!Files.isRegularFile(cache)) {
            return null;
        }
        Connection connection;
        try {
            connection = connect(cache.toString(), true);
        } catch (SQLException e) {
            return null;
        }
        try (Statement statement = connection.createStatement();
                ResultSet found = statement.executeQuery("SELECT key FROM internal.cache_key")) {
            if (found.next() && found.getString(1).equals(key)) {
                return new TraceDatabase(connection);
            }
        } catch (SQLException e) {
            // Not ours, or of another version: it is built anew.
        }
        connection.close();
        return null;
    }

    /**
     * Changes whenever a file of the trace changes: names, sizes, inodes and times of change, which
     * nobody can set back.
     */
    private static String key(Path trace) throws IOException {
        StringBuilder text =
                new StringBuilder(
                        "tables " + TABLES_VERSION + " format " + TraceFormat.VERSION + '\n');
        text.append(String.join("\n", TraceLoader.statements()).hashCode()).append('\n');
        for (String part : List.of("manifest.json", "events", "inputs")) {
            if (!Files.exists(trace.resolve(part))) {
                continue; // an empty folder, which does not survive every copy
            }
            try (Stream<Path> files = Files.walk(trace.resolve(part))) {
                for (Path file : files.filter(Files::isRegularFile).sorted().toList()) {
                    text.append(trace.relativize(file))
                            .append(' ')
                            .append(
                                    Files.readAttributes(
                                            file, "unix:size,ino,ctime,lastModifiedTime"))
                            .append('\n');
                }
            }
        }
        try {
            MessageDigest sha256 = MessageDigest.getInstance("SHA-256");
            return HexFormat.of()
                    .formatHex(sha256.digest(text.toString().getBytes(StandardCharsets.UTF_8)));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Takes the results of statements. */
    @FunctionalInterface
    public interface Result {
        /** The rows that a statement gave, closed after this. */
        void accept(ResultSet rows) throws SQLException, IOException;

        /** How many rows a statement wrote, as COPY to a file does. */
        default void written(long rows) {}
    }

    /**
     * Runs the statements of a person's query one after the other and hands over what each gives.
     *
     * @return how many statements there were
     */
    public int query(String text, Result result) throws SQLException, IOException {
        List<String> statements = QueryText.statements(text);
        for (String sql : statements) {
            try (Statement statement = connection.createStatement()) {
                if (statement.execute(sql)) {
                    try (ResultSet rows = statement.getResultSet()) {
                        result.accept(rows);
                    }
                } else {
                    long written = statement.getUpdateCount(); // it tells once
                    if (written >= 0) {
                        result.written(written);
                    }
                }
            }
        }
        return statements.size();
    }

    /**
     * A message of DuckDB's on one line: what is wrong and what could be meant, without the picture
     * of the query that follows.
     */
    public static String oneLine(String message) {
        if (message == null) {
            return "unknown error";
        }
        String text =
                message.lines()
                        .takeWhile(l -> !l.startsWith("LINE "))
                        .map(String::strip)
                        .filter(l -> !l.isEmpty())
                        .collect(Collectors.joining(" "));
        return text.isEmpty() ? "unknown error" : text;
    }

    @Override
    public void close() {
        try {
            connection.close();
        } catch (SQLException e) {
            throw new TraceException("closing the database: " + oneLine(e.getMessage()), e);
        }
    }
}
