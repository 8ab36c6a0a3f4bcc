package dev.pacifica.cli;

import com.github.freva.asciitable.AsciiTable;
import com.github.freva.asciitable.Column;
import com.github.freva.asciitable.ColumnData;
import com.github.freva.asciitable.HorizontalAlign;
import com.github.freva.asciitable.OverflowBehaviour;
import java.util.ArrayList;
import java.util.List;

/** A table as text: a header, a rule, rows; numbers to the right. */
final class TextTable {
    private static final int WIDEST = 4000;

    private final List<String> headers = new ArrayList<>();
    private final List<HorizontalAlign> aligns = new ArrayList<>();
    private final List<List<String>> rows = new ArrayList<>();

    TextTable text(String header) {
        headers.add(header);
        aligns.add(HorizontalAlign.LEFT);
        return this;
    }

    TextTable number(String header) {
        headers.add(header);
        aligns.add(HorizontalAlign.RIGHT);
        return this;
    }

    TextTable row(List<String> cells) {
        rows.add(cells);
        return this;
    }

    TextTable row(Object... cells) {
        List<String> row = new ArrayList<>();
        for (Object cell : cells) {
            row.add(String.valueOf(cell));
        }
        return row(row);
    }

    @Override
    public String toString() {
        List<ColumnData<List<String>>> columns = new ArrayList<>();
        for (int i = 0; i < headers.size(); i++) {
            int index = i;
            columns.add(
                    new Column()
                            .header(headers.get(i))
                            .headerAlign(aligns.get(i))
                            .dataAlign(aligns.get(i))
                            .maxWidth(WIDEST, OverflowBehaviour.NEWLINE)
                            .with(row -> row.get(index)));
        }
        return AsciiTable.getTable(
                AsciiTable.BASIC_ASCII_NO_DATA_SEPARATORS_NO_OUTSIDE_BORDER, rows, columns);
    }
}
