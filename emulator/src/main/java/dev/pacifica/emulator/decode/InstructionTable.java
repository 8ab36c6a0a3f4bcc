package dev.pacifica.emulator.decode;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The instruction table, read once from {@code instructions.table}: the single truth about
 * instruction forms.
 */
public final class InstructionTable {
    private static final int COLUMNS = 12;
    private static final List<InstructionRow> ROWS = read();

    private InstructionTable() {}

    /** All rows in the table's order; {@code rows().get(i).id == i}. */
    public static List<InstructionRow> rows() {
        return ROWS;
    }

    private static List<InstructionRow> read() {
        String text;
        try (InputStream in = InstructionTable.class.getResourceAsStream("instructions.table")) {
            if (in == null) {
                throw new IllegalStateException(
                        "instructions.table is missing from the class path");
            }
            text = new String(in.readAllBytes(), StandardCharsets.ISO_8859_1);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        List<InstructionRow> rows = new ArrayList<>(1000);
        Map<String, List<Operand>> operands = new HashMap<>();
        String[] column = new String[COLUMNS];
        for (int from = 0; from < text.length(); ) {
            int end = text.indexOf('\n', from);
            if (end > from && text.charAt(from) != '#') {
                split(text, from, end, column);
                List<Operand> parsed = operands.get(column[2]);
                if (parsed == null) {
                    parsed = operands(column[2]);
                    operands.put(column[2], parsed);
                }
                rows.add(new InstructionRow(rows.size(), column, parsed));
            }
            from = end + 1;
        }
        return Collections.unmodifiableList(rows);
    }

    private static void split(String text, int start, int end, String[] column) {
        int from = start;
        for (int i = 0; i < COLUMNS; i++) {
            if (from >= end) {
                column[i] = "";
                continue;
            }
            int bar = text.indexOf('|', from);
            int next = bar < 0 || bar > end ? end : bar;
            int to = next;
            while (from < to && text.charAt(from) == ' ') {
                from++;
            }
            while (to > from && text.charAt(to - 1) == ' ') {
                to--;
            }
            column[i] = from == to ? "" : text.substring(from, to);
            from = next + 1;
        }
    }

    private static List<Operand> operands(String column) {
        if (column.isEmpty()) {
            return List.of();
        }
        String[] letters = column.split(",");
        Operand[] parsed = new Operand[letters.length];
        for (int i = 0; i < letters.length; i++) {
            parsed[i] = Operand.parse(letters[i]);
        }
        return List.of(parsed);
    }
}
