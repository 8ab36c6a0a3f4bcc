package dev.pacifica.cli;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.pacifica.analysis.TraceDatabase;
import java.io.IOException;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.sql.Blob;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Types;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVPrinter;

/**
 * Prints the rows of a query, those of several statements one after the other. Columns of 64
 * unsigned bits are addresses and registers: hexadecimal for people, decimal in CSV, and
 * hexadecimal strings in JSON, whose numbers most readers round to 53 bits.
 */
final class ResultPrinter implements TraceDatabase.Result {
    /** How rows are printed. */
    enum Format {
        /** A table for people. */
        TABLE,
        /** Comma-separated values with a header (RFC 4180). */
        CSV,
        /** An array of objects. */
        JSON
    }

    private static final String UNSIGNED_64 = "UBIGINT";

    private final PrintStream out;
    private final Format format;
    private boolean printed;

    ResultPrinter(PrintStream out, Format format) {
        this.out = out;
        this.format = format;
    }

    /** Prints one result after those that came before. */
    @Override
    public void accept(ResultSet rows) throws SQLException, IOException {
        separate();
        switch (format) {
            case TABLE -> table(rows);
            case CSV -> csv(rows);
            case JSON -> json(rows);
        }
    }

    /** Told to people only, because CSV and JSON are data and nothing else. */
    @Override
    public void written(long rows) {
        if (format == Format.TABLE) {
            separate();
            out.println(count(rows) + " written");
        }
    }

    private void separate() {
        if (printed && format == Format.TABLE) {
            out.println();
        }
        printed = true;
    }

    private static String count(long rows) {
        return rows == 1 ? "1 row" : "%,d rows".formatted(rows);
    }

    private void table(ResultSet rows) throws SQLException {
        ResultSetMetaData columns = rows.getMetaData();
        int count = columns.getColumnCount();
        TextTable table = new TextTable();
        boolean[] hexadecimal = new boolean[count];
        for (int i = 0; i < count; i++) {
            String name = columns.getColumnLabel(i + 1);
            hexadecimal[i] = columns.getColumnTypeName(i + 1).equals(UNSIGNED_64);
            if (hexadecimal[i] || isNumber(columns.getColumnType(i + 1))) {
                table.number(name);
            } else {
                table.text(name);
            }
        }
        long found = 0;
        while (rows.next()) {
            List<String> row = new ArrayList<>(count);
            for (int i = 0; i < count; i++) {
                Object value = rows.getObject(i + 1);
                row.add(
                        hexadecimal[i] && value instanceof BigInteger bits
                                ? hexadecimal(bits)
                                : text(value));
            }
            table.row(row);
            found++;
        }
        out.println(table);
        out.println(count(found));
    }

    private static String hexadecimal(BigInteger bits) {
        return "0x" + bits.toString(16);
    }

    private static boolean isNumber(int type) {
        return switch (type) {
            case Types.TINYINT,
                    Types.SMALLINT,
                    Types.INTEGER,
                    Types.BIGINT,
                    Types.FLOAT,
                    Types.DOUBLE,
                    Types.REAL,
                    Types.DECIMAL,
                    Types.NUMERIC ->
                    true;
            default -> false;
        };
    }

    private static String text(Object value) throws SQLException {
        return switch (value) {
            case null -> "";
            case Blob blob -> HexFormat.of().formatHex(blob.getBytes(1, (int) blob.length()));
            case byte[] bytes -> HexFormat.of().formatHex(bytes);
            default -> value.toString();
        };
    }

    private void csv(ResultSet rows) throws SQLException, IOException {
        ResultSetMetaData columns = rows.getMetaData();
        int count = columns.getColumnCount();
        CSVPrinter printer = new CSVPrinter(out, CSVFormat.RFC4180);
        List<String> line = new ArrayList<>();
        for (int i = 1; i <= count; i++) {
            line.add(columns.getColumnLabel(i));
        }
        printer.printRecord(line);
        while (rows.next()) {
            line.clear();
            for (int i = 1; i <= count; i++) {
                line.add(text(rows.getObject(i)));
            }
            printer.printRecord(line);
        }
        printer.flush();
    }

    private void json(ResultSet rows) throws SQLException, IOException {
        ResultSetMetaData columns = rows.getMetaData();
        int count = columns.getColumnCount();
        JsonGenerator json = new JsonFactory().createGenerator(out);
        json.disable(JsonGenerator.Feature.AUTO_CLOSE_TARGET);
        json.writeStartArray();
        while (rows.next()) {
            json.writeRaw('\n');
            json.writeStartObject();
            for (int i = 1; i <= count; i++) {
                json.writeFieldName(columns.getColumnLabel(i));
                Object value = rows.getObject(i);
                if (value instanceof BigInteger bits
                        && columns.getColumnTypeName(i).equals(UNSIGNED_64)) {
                    json.writeString(hexadecimal(bits));
                } else {
                    value(json, value);
                }
            }
            json.writeEndObject();
        }
        json.writeRaw('\n');
        json.writeEndArray();
        json.writeRaw('\n');
        json.close();
    }

    private static void value(JsonGenerator json, Object value) throws IOException, SQLException {
        switch (value) {
            case null -> json.writeNull();
            case Boolean flag -> json.writeBoolean(flag);
            case BigInteger number -> json.writeNumber(number);
            case BigDecimal number -> json.writeNumber(number);
            case Double number -> json.writeNumber(number);
            case Float number -> json.writeNumber(number);
            case Number number -> json.writeNumber(number.longValue());
            default -> json.writeString(text(value));
        }
    }
}
