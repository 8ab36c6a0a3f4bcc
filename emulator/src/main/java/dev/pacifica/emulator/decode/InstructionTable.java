package dev.pacifica.emulator.decode;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** The instruction table, read once from {@code instructions.table}: the single truth about instruction forms. */
public final class InstructionTable {
    private static final int COLUMNS = 12;
    private static final List<InstructionRow> ROWS = read();

    private InstructionTable() {}

    /** All rows in the table's order; {@code rows().get(i).id == i}. */
    public static List<InstructionRow> rows() {
        return ROWS;
    }

    private static List<InstructionRow> read() {
        List<InstructionRow> rows = new ArrayList<>(1000);
        try (InputStream in = InstructionTable.class.getResourceAsStream("instructions.table")) {
            if (in == null) {
                throw new IllegalStateException("instructions.table is missing from the class path");
            }
            BufferedReader reader = new BufferedReader(new InputStreamReader(in, StandardCharsets.US_ASCII));
            String[] column = new String[COLUMNS];
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                if (!line.isEmpty() && line.charAt(0) != '#') {
                    split(line, column);
                    rows.add(new InstructionRow(rows.size(), column));
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return Collections.unmodifiableList(rows);
    }

    private static void split(String line, String[] column) {
        int from = 0;
        for (int i = 0; i < COLUMNS; i++) {
            int bar = from > line.length() ? -1 : line.indexOf('|', from);
            int to = bar < 0 ? line.length() : bar;
            column[i] = from > line.length() ? "" : line.substring(from, to).strip();
            from = to + 1;
        }
    }
}
