package dev.pacifica.emulator.boot;

import dev.pacifica.emulator.memory.PhysicalMemory;
import java.util.List;

/**
 * Initial ramdisks in RAM, one after the other at multiples of four bytes, as Linux wants them.
 * Size 0 means none.
 */
record Ramdisk(long address, long size) {
    /** Loads the files as high as possible below {@code limit}. */
    static Ramdisk place(List<BootModule> modules, Placement placement, long from, long limit) {
        long size = 0;
        for (BootModule module : modules) {
            size = Placement.align(size, 4) + module.file().size();
        }
        if (size == 0) {
            return new Ramdisk(0, 0);
        }
        BootFile first = modules.getFirst().file();
        String name =
                modules.size() == 1
                        ? "the initial ramdisk"
                        : "%d initial ramdisks".formatted(modules.size());
        PhysicalMemory memory = placement.memory();
        if (size > memory.size()) {
            throw new BootException(
                    first,
                    "%s of %d bytes is larger than the machine's memory of %s; give it more with --memory"
                            .formatted(name, size, Placement.humanSize(memory.size())));
        }
        long address = placement.highest(from, limit, size, PhysicalMemory.PAGE_SIZE);
        if (address < 0) {
            throw new BootException(
                    first,
                    "%s of %d bytes does not fit beside the kernel into the memory below 0x%x; give the machine more with --memory"
                            .formatted(name, size, Math.min(limit, memory.lowSize())));
        }
        placement.occupy(first, name, address, size);
        long at = address;
        for (BootModule module : modules) {
            at = Placement.align(at, 4);
            module.file().copyTo(memory, at, 0, module.file().size());
            at += module.file().size();
        }
        return new Ramdisk(address, size);
    }
}
