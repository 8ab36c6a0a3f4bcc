package dev.pacifica.emulator.boot;

import dev.pacifica.emulator.device.MemoryMap;
import dev.pacifica.emulator.memory.PhysicalMemory;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** What lies where in RAM before the kernel starts: finds free places and refuses overlaps. */
final class Placement {
    /** {@code what} occupies [start, end). */
    private record Piece(String what, long start, long end) {}

    private final PhysicalMemory memory;
    private final MemoryMap map;
    private final List<Piece> pieces = new ArrayList<>();

    Placement(PhysicalMemory memory, MemoryMap map) {
        this.memory = memory;
        this.map = map;
        for (MemoryMap.Range range : map.ranges()) {
            if (range.type() != MemoryMap.USABLE && memory.isRam(range.start())) {
                pieces.add(new Piece("the firmware's area", range.start(), range.end()));
            }
        }
    }

    PhysicalMemory memory() {
        return memory;
    }

    MemoryMap map() {
        return map;
    }

    /** Occupies the range for {@code what} of {@code file}. */
    void occupy(BootFile file, String what, long start, long size) {
        if (size == 0) {
            return;
        }
        long end = start + size;
        boolean fits =
                memory.isRam(start)
                        && Long.compareUnsigned(size, memory.size()) <= 0
                        && memory.isRam(end - 1)
                        && (start < PhysicalMemory.HOLE_START)
                                == (end - 1 < PhysicalMemory.HOLE_START);
        if (!fits) {
            throw new BootException(
                    file,
                    "%s at 0x%x to 0x%x lies outside the machine's RAM of %s; give it more memory with --memory"
                            .formatted(what, start, end, humanSize(memory.size())));
        }
        for (Piece piece : pieces) {
            if (start < piece.end && piece.start < end) {
                throw new BootException(
                        file,
                        "%s at 0x%x to 0x%x overlaps %s at 0x%x to 0x%x"
                                .formatted(what, start, end, piece.what, piece.start, piece.end));
            }
        }
        pieces.add(new Piece(what + " of " + file.baseName(), start, end));
    }

    /**
     * The lowest free place at or above {@code from} that ends at or below {@code limit}; -1 if
     * there is none.
     */
    long lowest(long from, long limit, long size, long alignment) {
        List<Piece> ordered = new ArrayList<>(pieces);
        ordered.sort(Comparator.comparingLong(Piece::start));
        for (MemoryMap.Range range : map.ranges()) {
            if (range.type() != MemoryMap.USABLE) {
                continue;
            }
            long start = align(Math.max(from, range.start()), alignment);
            for (Piece piece : ordered) {
                if (start < piece.end && piece.start < start + size) {
                    start = align(piece.end, alignment);
                }
            }
            if (start < range.end() && start + size <= Math.min(range.end(), limit)) {
                return start;
            }
        }
        return -1;
    }

    /**
     * The highest free place that ends at or below {@code limit}, at least at {@code from}; -1 if
     * there is none.
     */
    long highest(long from, long limit, long size, long alignment) {
        List<Piece> ordered = new ArrayList<>(pieces);
        ordered.sort(Comparator.comparingLong(Piece::start).reversed());
        for (MemoryMap.Range range : map.ranges().reversed()) {
            if (range.type() != MemoryMap.USABLE) {
                continue;
            }
            long start = Math.min(limit, range.end()) - size & -alignment;
            for (Piece piece : ordered) {
                if (start < piece.end && piece.start < start + size) {
                    start = piece.start - size & -alignment;
                }
            }
            if (start >= Math.max(from, range.start()) && start + size <= range.end()) {
                return start;
            }
        }
        return -1;
    }

    /** Finds and occupies a place in conventional memory for what the loader itself hands over. */
    long conventional(BootFile kernel, String what, long size) {
        long start = lowest(0x1000, MemoryMap.LOW_END, size, PhysicalMemory.PAGE_SIZE);
        if (start < 0) {
            throw new BootException(
                    kernel,
                    "no room for %s (%d bytes) below 640 KiB; shorten the command lines"
                            .formatted(what, size));
        }
        occupy(kernel, what, start, size);
        return start;
    }

    static long align(long value, long alignment) {
        return value + alignment - 1 & -alignment;
    }

    static byte[] cString(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        return java.util.Arrays.copyOf(bytes, bytes.length + 1);
    }

    static String humanSize(long bytes) {
        return bytes % (1L << 30) == 0
                ? (bytes >> 30) + " GiB"
                : bytes % (1 << 20) == 0 ? (bytes >> 20) + " MiB" : bytes + " bytes";
    }
}
