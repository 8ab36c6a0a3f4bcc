package dev.pacifica.emulator.boot;

import java.util.ArrayList;
import java.util.List;

/**
 * The parts of an ELF executable that a boot loader looks at: loadable segments, notes, entry. 32-
 * and 64-bit x86 only.
 */
final class ElfImage {
    private static final int LOAD = 1;
    private static final int NOTE = 4;
    private static final int EXECUTABLE = 2;
    private static final int SHARED = 3;
    private static final int MACHINE_386 = 3;
    private static final int MACHINE_X86_64 = 62;

    /**
     * A segment: {@code fileSize} bytes from {@code offset} go to {@code physical}, zeros up to
     * {@code memorySize}.
     */
    record Segment(long offset, long virtual, long physical, long fileSize, long memorySize) {}

    private final BootFile file;
    private final boolean wide;
    private final long entry;
    private final List<Segment> segments = new ArrayList<>();
    private final List<Segment> notes = new ArrayList<>();

    private ElfImage(BootFile file) {
        this.file = file;
        if (!file.has(0, 52)) {
            throw new BootException(
                    file,
                    "is a truncated ELF file: %d bytes do not hold its header"
                            .formatted(file.size()));
        }
        wide =
                switch (file.u8(4)) {
                    case 1 -> false;
                    case 2 -> true;
                    default ->
                            throw new BootException(
                                    file,
                                    4,
                                    "is an ELF file of unknown class %d".formatted(file.u8(4)));
                };
        if (wide && !file.has(0, 64)) {
            throw new BootException(
                    file,
                    "is a truncated ELF file: %d bytes do not hold its header"
                            .formatted(file.size()));
        }
        int type = file.u16(16);
        int machine = file.u16(18);
        if (file.u8(5) != 1 || machine != MACHINE_386 && machine != MACHINE_X86_64) {
            throw new BootException(
                    file,
                    18,
                    "is an ELF file for another processor (machine %d), not for x86"
                            .formatted(machine));
        }
        if (type != EXECUTABLE && type != SHARED) {
            throw new BootException(
                    file,
                    16,
                    "is an ELF file but not an executable (type %d): link it first"
                            .formatted(type));
        }
        entry = wide ? file.u64(24) : file.u32(24);
        readProgramHeaders();
    }

    static boolean isElf(BootFile file) {
        return file.has(0, 4) && file.s32(0) == 0x464c_457f;
    }

    /** Reads the headers of a file that {@link #isElf}. */
    static ElfImage read(BootFile file) {
        return new ElfImage(file);
    }

    private void readProgramHeaders() {
        long table = wide ? file.u64(32) : file.u32(28);
        int entrySize = file.u16(wide ? 54 : 42);
        int count = file.u16(wide ? 56 : 44);
        if (count == 0) {
            throw new BootException(
                    file,
                    "is an ELF file without program headers: nothing says what to load where");
        }
        if (entrySize < (wide ? 56 : 32) || !file.has(table, (long) count * entrySize)) {
            throw new BootException(
                    file,
                    table,
                    "%d program headers of %d bytes are not there: the ELF file is truncated or damaged"
                            .formatted(count, entrySize));
        }
        for (int i = 0; i < count; i++) {
            long at = table + (long) i * entrySize;
            int type = file.s32(at);
            if (type == LOAD || type == NOTE) {
                Segment segment =
                        wide
                                ? new Segment(
                                        file.u64(at + 8),
                                        file.u64(at + 16),
                                        file.u64(at + 24),
                                        file.u64(at + 32),
                                        file.u64(at + 40))
                                : new Segment(
                                        file.u32(at + 4),
                                        file.u32(at + 8),
                                        file.u32(at + 12),
                                        file.u32(at + 16),
                                        file.u32(at + 20));
                check(segment, i, at);
                (type == LOAD ? segments : notes).add(segment);
            }
        }
        if (segments.isEmpty()) {
            throw new BootException(
                    file, table, "none of the %d program headers is loadable".formatted(count));
        }
    }

    private void check(Segment segment, int number, long at) {
        if (!file.has(segment.offset, segment.fileSize)) {
            throw new BootException(
                    file,
                    at,
                    "segment %d is said to have 0x%x bytes at offset 0x%x but the file ends at 0x%x: it is truncated or damaged"
                            .formatted(number, segment.fileSize, segment.offset, file.size()));
        }
        if (Long.compareUnsigned(segment.memorySize, segment.fileSize) < 0) {
            throw new BootException(
                    file,
                    at,
                    "segment %d is larger in the file (0x%x) than in memory (0x%x)"
                            .formatted(number, segment.fileSize, segment.memorySize));
        }
    }

    /** The entry address as the header gives it, physical or virtual. */
    long entry() {
        return entry;
    }

    /**
     * The physical address of the entry: a virtual one is translated by the segment that holds it.
     */
    long physicalEntry() {
        for (Segment segment : segments) {
            if (entry - segment.virtual >= 0 && entry - segment.virtual < segment.memorySize) {
                return entry - segment.virtual + segment.physical;
            }
        }
        return entry;
    }

    /**
     * The descriptor of the first note with this owner and type: a 4- or 8-byte number; -1 if there
     * is none.
     */
    long noteNumber(String owner, int type) {
        for (Segment note : notes) {
            long at = note.offset;
            long end = note.offset + note.fileSize;
            while (at + 12 <= end) {
                long nameSize = file.u32(at);
                long size = file.u32(at + 4);
                long descriptor = at + 12 + Placement.align(nameSize, 4);
                long next = descriptor + Placement.align(size, 4);
                if (next > end + 3) {
                    break;
                }
                if (file.s32(at + 8) == type
                        && named(at + 12, nameSize, owner)
                        && file.has(descriptor, size)) {
                    return size >= 8 ? file.u64(descriptor) : size >= 4 ? file.u32(descriptor) : -1;
                }
                at = next;
            }
        }
        return -1;
    }

    private boolean named(long at, long size, String owner) {
        if (size < owner.length() || size > owner.length() + 1 || !file.has(at, size)) {
            return false;
        }
        for (int i = 0; i < owner.length(); i++) {
            if (file.u8(at + i) != owner.charAt(i)) {
                return false;
            }
        }
        return true;
    }

    /**
     * Loads each segment at its physical address; RAM is expected to be zero. Returns the end of
     * the highest one.
     */
    long load(Placement placement) {
        long end = 0;
        for (Segment segment : segments) {
            placement.occupy(file, "a segment", segment.physical, segment.memorySize);
            file.copyTo(placement.memory(), segment.physical, segment.offset, segment.fileSize);
            end = Math.max(end, segment.physical + segment.memorySize);
        }
        return end;
    }
}
