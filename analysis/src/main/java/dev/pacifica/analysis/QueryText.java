package dev.pacifica.analysis;

import java.math.BigInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Lets a query say 0xffffffff81000000: DuckDB's SQL has no hexadecimal numbers, and addresses are
 * thought of in no other way.
 */
final class HexadecimalNumbers {
    /**
     * What must be passed over as a whole (texts, names, dollar texts, comments, other words), or a
     * number.
     */
    private static final Pattern PIECE =
            Pattern.compile(
                    "'(?:[^']|'')*+'"
                            + "|\"(?:[^\"]|\"\")*+\""
                            + "|(\\$\\w*\\$)(?s:.*?)\\1"
                            + "|--[^\\n]*+"
                            + "|/\\*(?s:.*?)\\*/"
                            + "|\\b0[xX](?<digits>[0-9a-fA-F]+)\\b"
                            + "|[\\w.]++");

    private HexadecimalNumbers() {}

    /** The query with each hexadecimal number written in decimal. */
    static String toDecimal(String sql) {
        Matcher piece = PIECE.matcher(sql);
        StringBuilder result = new StringBuilder();
        while (piece.find()) {
            String digits = piece.group("digits");
            piece.appendReplacement(
                    result,
                    Matcher.quoteReplacement(
                            digits == null
                                    ? piece.group()
                                    : new BigInteger(digits, 16).toString()));
        }
        return piece.appendTail(result).toString();
    }
}
