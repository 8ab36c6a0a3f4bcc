package dev.pacifica.emulator.device;

import dev.pacifica.emulator.memory.PhysicalMemory;
import java.util.ArrayList;
import java.util.List;

/** The machine's memory map as firmware tells it to a kernel, in ascending order. */
public record MemoryMap(List<Range> ranges) {
    /** Types as the firmware call INT 15h/E820h numbers them. */
    public static final int USABLE = 1;

    public static final int RESERVED = 2;
    public static final int ACPI_DATA = 3;
    public static final int ACPI_NVS = 4;

    /** Where conventional memory ends: 639 KiB, below the extended BIOS data area. */
    public static final long LOW_END = 0x9_fc00;

    /** The ACPI tables, FACS excepted. */
    public static final long ACPI_TABLES = 0xe_0000;

    /** The FACS, which the running system writes to. */
    public static final long ACPI_FACS = 0xe_f000;

    /** The BIOS segment, where the RSDP is looked for. */
    public static final long BIOS = 0xf_0000;

    public static final long ONE_MIB = 0x10_0000;

    /** {@code length} bytes from {@code start} on. */
    public record Range(long start, long length, int type) {
        public long end() {
            return start + length;
        }
    }

    /** The map of a machine with this memory. */
    public static MemoryMap of(PhysicalMemory memory) {
        List<Range> ranges = new ArrayList<>();
        long low = memory.lowSize();
        ranges.add(new Range(0, LOW_END, USABLE));
        ranges.add(new Range(LOW_END, 0xa_0000 - LOW_END, RESERVED));
        ranges.add(new Range(ACPI_TABLES, ACPI_FACS - ACPI_TABLES, ACPI_DATA));
        ranges.add(new Range(ACPI_FACS, BIOS - ACPI_FACS, ACPI_NVS));
        ranges.add(new Range(BIOS, ONE_MIB - BIOS, RESERVED));
        if (low > ONE_MIB) {
            ranges.add(new Range(ONE_MIB, low - ONE_MIB, USABLE));
        }
        ranges.add(new Range(IoApic.BASE, 0x1000, RESERVED));
        ranges.add(new Range(Hpet.BASE, 0x1000, RESERVED));
        ranges.add(new Range(0xfee0_0000L, 0x1000, RESERVED));
        if (memory.highSize() > 0) {
            ranges.add(new Range(PhysicalMemory.HOLE_END, memory.highSize(), USABLE));
        }
        return new MemoryMap(List.copyOf(ranges));
    }

    /**
     * The map as an array of E820 entries: start and length (64 bits each), type (32),
     * little-endian.
     */
    public byte[] toE820() {
        byte[] table = new byte[20 * ranges.size()];
        int at = 0;
        for (Range range : ranges) {
            for (int i = 0; i < 8; i++) {
                table[at + i] = (byte) (range.start >>> 8 * i);
                table[at + 8 + i] = (byte) (range.length >>> 8 * i);
            }
            table[at + 16] = (byte) range.type;
            at += 20;
        }
        return table;
    }
}
