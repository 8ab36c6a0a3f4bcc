package dev.pacifica.cli;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Functions by address: of an ELF image's symbol table, or of a kernel's list of symbols. */
final class SymbolTable {
    /** Knows no name. */
    static final SymbolTable NONE = new SymbolTable();

    private static final int SYMBOL_SECTION = 2;
    private static final int FUNCTION = 2;
    private static final int NO_TYPE = 0;
    private static final int WIDE = 2;

    /** How far behind a symbol of unknown size an address still is its. */
    private static final long REACH = 4096;

    /** A line of System.map or /proc/kallsyms: address, type, name, module. */
    private static final Pattern LINE =
            Pattern.compile("([0-9a-fA-F]{8,16}) ([tTwW]) (\\S+)(?:\\s+\\[(\\S+)])?\\s*");

    private record Symbol(String name, long size, String module) {}

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

    /**
     * These and those of files: ELF images linked to where they run, or text as System.map and
     * /proc/kallsyms have it, which knows modules too.
     *
     * @throws BadInput if a file cannot be read or has no symbols
     */
    SymbolTable with(List<Path> files) {
        SymbolTable all = new SymbolTable();
        all.symbols.putAll(symbols);
        for (Path path : files) {
            SymbolTable more;
            try {
                byte[] bytes = Files.readAllBytes(path);
                more = of(bytes);
                if (more.symbols.isEmpty()) {
                    more = ofText(new String(bytes, StandardCharsets.ISO_8859_1));
                }
            } catch (NoSuchFileException e) {
                throw new BadInput(path + ": no such file");
            } catch (IOException e) {
                throw new BadInput(path + " cannot be read: " + e.getMessage());
            }
            if (more.symbols.isEmpty()) {
                throw new BadInput(
                        path
                                + " has no symbols: neither an ELF file with a symbol table nor"
                                + " lines of address, type and name");
            }
            all.symbols.putAll(more.symbols);
        }
        return all;
    }

    private static SymbolTable ofText(String text) {
        SymbolTable table = new SymbolTable();
        text.lines()
                .forEach(line -> {
                    Matcher match = LINE.matcher(line);
                    if (match.matches()) {
                        long address = Long.parseUnsignedLong(match.group(1), 16);
                        if (address != 0) {
                            table.symbols.put(
                                    address, new Symbol(match.group(3), 0, match.group(4)));
                        }
                    }
                });
        return table;
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
                    symbols.put(value, new Symbol(name, size, null));
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

    /**
     * {@code name+0x12}, with {@code [module]} behind where there is one, for an address in or
     * shortly behind a symbol, or null.
     */
    String nameOf(long address) {
        Map.Entry<Long, Symbol> entry = symbols.floorEntry(address);
        if (entry == null) {
            return null;
        }
        long distance = address - entry.getKey();
        long size = entry.getValue().size == 0 ? REACH : entry.getValue().size;
        if (Long.compareUnsigned(distance, size) >= 0) {
            return null;
        }
        String module = entry.getValue().module;
        return "%s+0x%x%s"
                .formatted(
                        entry.getValue().name, distance, module == null ? "" : " [" + module + "]");
    }
}
