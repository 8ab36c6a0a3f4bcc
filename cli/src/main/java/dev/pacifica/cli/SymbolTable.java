package dev.pacifica.cli;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;

/** The functions in an ELF image's symbol table, if it has one. */
final class SymbolTable {
    /** Knows no name. */
    static final SymbolTable NONE = new SymbolTable();

    private static final int SYMBOL_SECTION = 2;
    private static final int FUNCTION = 2;
    private static final int NO_TYPE = 0;
    private static final int WIDE = 2;

    /** How far behind a symbol of unknown size an address still is its. */
    private static final long REACH = 4096;

    private record Symbol(String name, long size) {}

    private final TreeMap<Long, Symbol> symbols = new TreeMap<>(Long::compareUnsigned);

    private SymbolTable() {}

    /** The symbols of an image; none if it is no ELF file, has none, or is damaged. */
    static SymbolTable of(Path image) {
        try {
            return of(Files.readAllBytes(image));
        } catch (IOException e) {
            return NONE;
        }
    }

    static SymbolTable of(byte[] image) {
        SymbolTable table = new SymbolTable();
        try {
            ByteBuffer file = ByteBuffer.wrap(image).order(ByteOrder.LITTLE_ENDIAN);
            if (image.length > 64 && file.getInt(0) == 0x464c_457f) {
                table.read(file, file.get(4) == WIDE);
            }
            return table;
        } catch (IndexOutOfBoundsException e) {
            return NONE;
        }
    }

    private void read(ByteBuffer file, boolean wide) {
        int sections = wide ? (int) file.getLong(40) : file.getInt(32);
        int entry = file.getShort(wide ? 58 : 46) & 0xffff;
        int count = file.getShort(wide ? 60 : 48) & 0xffff;
        for (int i = 0; i < count; i++) {
            int header = sections + i * entry;
            if (file.getInt(header + 4) == SYMBOL_SECTION) {
                int names = sections + file.getInt(header + (wide ? 40 : 24)) * entry;
                readSymbols(file, wide, header, offset(file, wide, names));
            }
        }
    }

    private static int offset(ByteBuffer file, boolean wide, int header) {
        return wide ? (int) file.getLong(header + 24) : file.getInt(header + 16);
    }

    private void readSymbols(ByteBuffer file, boolean wide, int header, int names) {
        int start = offset(file, wide, header);
        int bytes = wide ? (int) file.getLong(header + 32) : file.getInt(header + 20);
        int step = wide ? 24 : 16;
        for (int at = start; at + step <= start + bytes; at += step) {
            int type = file.get(at + (wide ? 4 : 12)) & 15;
            int section = file.getShort(at + (wide ? 6 : 14)) & 0xffff;
            if ((type == FUNCTION || type == NO_TYPE) && section != 0 && section < 0xff00) {
                long value = wide ? file.getLong(at + 8) : file.getInt(at + 4) & 0xffff_ffffL;
                long size = wide ? file.getLong(at + 16) : file.getInt(at + 8) & 0xffff_ffffL;
                String name = name(file, names + file.getInt(at));
                if (!name.isEmpty()) {
                    symbols.put(value, new Symbol(name, size));
                }
            }
        }
    }

    private static String name(ByteBuffer file, int start) {
        int end = start;
        while (file.get(end) != 0) {
            end++;
        }
        return new String(file.array(), start, end - start, StandardCharsets.UTF_8);
    }

    /** {@code name+0x12} for an address in or shortly behind a symbol, or null. */
    String nameOf(long address) {
        Map.Entry<Long, Symbol> entry = symbols.floorEntry(address);
        if (entry == null) {
            return null;
        }
        long distance = address - entry.getKey();
        long size = entry.getValue().size == 0 ? REACH : entry.getValue().size;
        return Long.compareUnsigned(distance, size) < 0
                ? "%s+0x%x".formatted(entry.getValue().name, distance)
                : null;
    }
}
