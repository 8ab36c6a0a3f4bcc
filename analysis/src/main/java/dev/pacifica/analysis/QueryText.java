package dev.pacifica.analysis;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What a person writes as a query: one statement or several, in which numbers may be written as
 * 0xffffffff81000000, because DuckDB's SQL has no hexadecimal numbers, and addresses are thought of
 * in no other way.
 */
final class QueryText {
    /**
     * What must be passed over as a whole (texts, names, dollar texts, comments, other words), a
     * number, or the end of a statement.
     */
    private static final Pattern PIECE =
            Pattern.compile(
                    "'(?:[^']|'')*+'"
                            + "|\"(?:[^\"]|\"\")*+\""
                            + "|(\\$\\w*\\$)(?s:.*?)\\1"
                            + "|(?<comment>--[^\\n]*+|/\\*(?s:.*?)\\*/)"
                            + "|\\b0[xX](?<digits>[0-9a-fA-F]+)\\b"
                            + "|[\\w.]++"
                            + "|(?<end>;)");

    private QueryText() {}

    /**
     * The statements as DuckDB understands them: each hexadecimal number in decimal, without the
     * semicolons between them; what is only space or comment is no statement.
     */
    static List<String> statements(String text) {
        List<String> statements = new ArrayList<>();
        StringBuilder statement = new StringBuilder();
        boolean empty = true;
        int end = 0;
        Matcher piece = PIECE.matcher(text);
        while (piece.find()) {
            String between = text.substring(end, piece.start());
            end = piece.end();
            statement.append(between);
            empty &= between.isBlank();
            if (piece.group("end") != null) {
                if (!empty) {
                    statements.add(statement.toString());
                }
                statement.setLength(0);
                empty = true;
                continue;
            }
            String digits = piece.group("digits");
            statement.append(digits == null ? piece.group() : new BigInteger(digits, 16));
            empty &= piece.group("comment") != null;
        }
        String rest = text.substring(end);
        if (!empty || !rest.isBlank()) {
            statements.add(statement + rest);
        }
        return statements;
    }
}
