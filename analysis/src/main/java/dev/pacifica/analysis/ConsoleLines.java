package dev.pacifica.analysis;

import dev.pacifica.schemas.EventReader;
import dev.pacifica.schemas.Events;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.sql.SQLException;
import java.util.Map;
import java.util.TreeMap;
import org.duckdb.DuckDBAppender;
import org.duckdb.DuckDBConnection;

/** Collects the bytes of each serial port to lines; a line's moment is that of its first byte. */
final class ConsoleLines implements AutoCloseable {
    private final DuckDBAppender rows;
    private final Map<Integer, Line> open = new TreeMap<>();

    /** A line that has no end yet. */
    private static final class Line {
        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        private long sequence;
        private long insnCount;
        private long timeNs;
    }

    ConsoleLines(DuckDBConnection database) throws SQLException {
        rows = database.createAppender("internal", "console_line");
    }

    void add(EventReader event) throws SQLException {
        int device = (int) event.get(Events.Console.DEVICE);
        int value = (int) event.get(Events.Console.VALUE);
        Line line = open.computeIfAbsent(device, _ -> new Line());
        if (line.bytes.size() == 0) {
            line.sequence = event.sequence();
            line.insnCount = event.insnCount();
            line.timeNs = event.timeNs();
        }
        if (value == '\n') {
            end(device, line);
        } else {
            line.bytes.write(value);
        }
    }

    private void end(int device, Line line) throws SQLException {
        byte[] bytes = line.bytes.toByteArray();
        int length = bytes.length;
        while (length > 0 && bytes[length - 1] == '\r') {
            length--;
        }
        rows.beginRow();
        rows.append(line.sequence);
        rows.append(line.insnCount);
        rows.append(line.timeNs);
        rows.append("COM" + (device + 1));
        rows.append(text(bytes, length));
        rows.endRow();
        line.bytes.reset();
    }

    /**
     * The bytes as text; zero bytes, which SQL text cannot hold, become the replacement character.
     */
    static String text(byte[] bytes, int length) {
        return new String(bytes, 0, length, StandardCharsets.UTF_8).replace('\0', '\ufffd');
    }

    @Override
    public void close() throws SQLException {
        for (Map.Entry<Integer, Line> each : open.entrySet()) {
            if (each.getValue().bytes.size() > 0) {
                end(each.getKey(), each.getValue());
            }
        }
        rows.close();
    }
}
