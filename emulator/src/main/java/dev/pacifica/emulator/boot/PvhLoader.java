package dev.pacifica.emulator.boot;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.device.MemoryMap;
import dev.pacifica.emulator.memory.PhysicalMemory;
import java.util.List;

/**
 * The PVH protocol: an ELF file whose note names a 32-bit entry, started in protected mode with EBX
 * at an {@code hvm_start_info} (version 1). Several ramdisks become one module, one after the
 * other, since Linux takes only one.
 */
final class PvhLoader {
    private static final String NOTE_OWNER = "Xen";

    /** XEN_ELFNOTE_PHYS32_ENTRY. */
    private static final int NOTE_ENTRY = 18;

    private static final int MAGIC = 0x336e_c578;
    private static final int START_INFO = 56;
    private static final int MODULE = 32;
    private static final int MAP_ENTRY = 24;

    private PvhLoader() {}

    /** The entry that the note gives, or -1. */
    static long entry(ElfImage elf) {
        return elf.noteNumber(NOTE_OWNER, NOTE_ENTRY);
    }

    static long load(
            BootRequest request,
            BootFile kernel,
            ElfImage elf,
            Placement placement,
            Cpu cpu,
            long rootPointer) {
        PhysicalMemory memory = placement.memory();
        long entry = entry(elf);
        elf.load(placement);
        Ramdisk ramdisk =
                Ramdisk.place(
                        request.modules(), placement, MemoryMap.ONE_MIB, PhysicalMemory.HOLE_START);

        byte[] commandLine = Placement.cString(request.commandLine());
        List<MemoryMap.Range> ranges = placement.map().ranges();
        long size =
                START_INFO
                        + MODULE
                        + (long) MAP_ENTRY * ranges.size()
                        + EntryState.DESCRIPTORS
                        + commandLine.length;
        long info = placement.conventional(kernel, "the PVH start info", size);
        long module = info + START_INFO;
        long map = module + MODULE;
        long descriptors = map + (long) MAP_ENTRY * ranges.size();
        long line = descriptors + EntryState.DESCRIPTORS;

        memory.write(info, 4, MAGIC);
        memory.write(info + 4, 4, 1); // version
        memory.write(info + 8, 4, 0);
        memory.write(info + 12, 4, ramdisk.size() > 0 ? 1 : 0);
        memory.write64(info + 16, ramdisk.size() > 0 ? module : 0);
        memory.write64(info + 24, line);
        memory.write64(info + 32, rootPointer);
        memory.write64(info + 40, map);
        memory.write(info + 48, 4, ranges.size());
        memory.write64(module, ramdisk.address());
        memory.write64(module + 8, ramdisk.size());
        for (int i = 0; i < ranges.size(); i++) {
            long at = map + (long) MAP_ENTRY * i;
            memory.write64(at, ranges.get(i).start());
            memory.write64(at + 8, ranges.get(i).length());
            memory.write(at + 16, 4, ranges.get(i).type());
        }
        memory.write(line, commandLine, 0, commandLine.length);
        EntryState.writeDescriptors(memory, descriptors, false);
        EntryState.protectedMode(cpu, entry, descriptors);
        cpu.r[Cpu.RBX] = info;
        return entry;
    }
}
