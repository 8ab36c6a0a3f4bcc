package dev.pacifica.emulator.fp;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/**
 * RCPSS and RSQRTSS: 12-bit approximations out of the tables that AMD's processors use, recorded in
 * {@code approximations.txt}.
 */
final class Approximation {
    private static final int ENTRIES = 4096;
    private static final int QUIET_BIT = 1 << 22;
    private static final int INDEFINITE = 0xFFC00000;
    private static final int INFINITY = 0x7F800000;

    /**
     * Results for 1 ≤ x < 2 (reciprocal), 1 ≤ x < 2 and 2 ≤ x < 4 (reciprocal root), as bits of
     * singles.
     */
    private static final int[][] TABLES = read();

    private Approximation() {}

    static int reciprocal(int single) {
        int sign = single & 0x80000000;
        int exponent = single >>> 23 & 0xFF;
        if (exponent == 0) {
            return sign | INFINITY;
        }
        if (exponent == 0xFF) {
            return (single & 0x7FFFFF) != 0 ? single | QUIET_BIT : sign;
        }
        int value = TABLES[0][single >>> 11 & ENTRIES - 1];
        int resultExponent = (value >>> 23) + 127 - exponent;
        return resultExponent <= 0 ? sign : sign | resultExponent << 23 | value & 0x7FFFFF;
    }

    static int reciprocalRoot(int single) {
        int exponent = single >>> 23 & 0xFF;
        if (exponent == 0xFF && (single & 0x7FFFFF) != 0) {
            return single | QUIET_BIT;
        }
        if (exponent == 0) {
            return single & 0x80000000 | INFINITY;
        }
        if (single < 0) {
            return INDEFINITE;
        }
        if (exponent == 0xFF) {
            return 0;
        }
        boolean odd = (exponent & 1) != 0;
        int value = TABLES[odd ? 1 : 2][single >>> 11 & ENTRIES - 1];
        return value - ((exponent - (odd ? 127 : 128)) / 2 << 23);
    }

    private static int[][] read() {
        int[][] tables = new int[3][];
        try (InputStream in = Approximation.class.getResourceAsStream("approximations.txt")) {
            if (in == null) {
                throw new IllegalStateException(
                        "approximations.txt is missing from the class path");
            }
            BufferedReader reader =
                    new BufferedReader(new InputStreamReader(in, StandardCharsets.US_ASCII));
            int count = 0;
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                if (!line.startsWith("#")) {
                    tables[count++] = table(line);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return tables;
    }

    private static int[] table(String line) {
        int space = line.indexOf(' ');
        int value = Integer.parseInt(line.substring(0, space), 16);
        int[] table = new int[ENTRIES];
        for (int i = 0; i < ENTRIES; i++) {
            table[i] = value << 11;
            int letter = line.charAt(space + 1 + i / 2) - 'A';
            value -= (i & 1) == 0 ? letter / 5 : letter % 5;
        }
        return table;
    }
}
