package dev.pacifica.emulator.boot;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.device.MemoryMap;
import dev.pacifica.emulator.memory.PhysicalMemory;
import java.util.List;

/**
 * Linux' boot protocol for its protected-mode part, with RSI at the boot parameters ("zero page"):
 * a 64-bit bzImage is entered in long mode at 200h, on identity page tables of the first 4 GiB; a
 * 32-bit one at its start, in protected mode without paging.
 */
final class LinuxLoader {
    // offsets in the setup header, which are those in the boot parameters too
    private static final int SETUP_SECTORS = 0x1f1;
    private static final int PARAGRAPHS = 0x1f4;
    private static final int VIDEO_MODE = 0x1fa;
    private static final int BOOT_FLAG = 0x1fe;
    private static final int HEADER_LENGTH = 0x201;
    private static final int MAGIC = 0x202;
    private static final int VERSION = 0x206;
    private static final int LOADER_TYPE = 0x210;
    private static final int LOAD_FLAGS = 0x211;
    private static final int CODE_START = 0x214;
    private static final int RAMDISK_ADDRESS = 0x218;
    private static final int RAMDISK_SIZE = 0x21c;
    private static final int COMMAND_LINE = 0x228;
    private static final int RAMDISK_LIMIT = 0x22c;
    private static final int ALIGNMENT = 0x230;
    private static final int RELOCATABLE = 0x234;
    private static final int EXTENDED_LOAD_FLAGS = 0x236;
    private static final int COMMAND_LINE_SIZE = 0x238;
    private static final int PREFERRED_ADDRESS = 0x258;
    private static final int INITIAL_SIZE = 0x260;
    // offsets in the boot parameters only
    private static final int ROOT_POINTER = 0x070;
    private static final int EXTENDED_MEMORY_KIB = 0x1e0;
    private static final int MAP_ENTRIES = 0x1e8;
    private static final int MAP = 0x2d0;

    private static final int ENTRY_64 = 0x200;
    private static final int KERNEL_64 = 1;
    private static final int LOADED_HIGH = 1;
    private static final int UNDEFINED_LOADER = 0xff;
    private static final int NORMAL_VIDEO = 0xffff;

    private static final int PAGE = PhysicalMemory.PAGE_SIZE;
    private static final int TABLE_PAGES = 6;

    private LinuxLoader() {}

    static boolean recognizes(BootFile file) {
        return file.has(0, 0x268)
                && file.u16(BOOT_FLAG) == 0xaa55
                && file.s32(MAGIC) == 0x5372_6448; // "HdrS"
    }

    static long load(
            BootRequest request, BootFile kernel, Placement placement, Cpu cpu, long rootPointer) {
        int version = kernel.u16(VERSION);
        if (version < 0x20c || (kernel.u8(LOAD_FLAGS) & LOADED_HIGH) == 0) {
            throw new BootException(
                    kernel,
                    VERSION,
                    "is a Linux kernel of boot protocol %d.%02d: only bzImages of 2.12 (Linux 3.8) and later can be booted"
                            .formatted(version >> 8, version & 0xff));
        }
        int sectors = kernel.u8(SETUP_SECTORS);
        long start = ((sectors == 0 ? 4 : sectors) + 1) * 512L;
        long size = kernel.u32(PARAGRAPHS) * 16;
        if (!kernel.has(start, size - 15)) {
            throw new BootException(
                    kernel,
                    PARAGRAPHS,
                    "says it has 0x%x bytes but ends at 0x%x: it is truncated"
                            .formatted(start + size, kernel.size()));
        }
        int longest = kernel.s32(COMMAND_LINE_SIZE);
        byte[] commandLine = Placement.cString(request.commandLine());
        if (commandLine.length - 1 > longest) {
            throw new BootException(
                    kernel,
                    "takes a command line of at most %d bytes; --append has %d"
                            .formatted(longest, commandLine.length - 1));
        }
        long load = loadAddress(kernel, placement);
        kernel.copyTo(placement.memory(), load, start, kernel.size() - start);
        long limit = Math.min(kernel.u32(RAMDISK_LIMIT) + 1, PhysicalMemory.HOLE_START);
        Ramdisk ramdisk = Ramdisk.place(request.modules(), placement, MemoryMap.ONE_MIB, limit);

        boolean longMode = (kernel.u16(EXTENDED_LOAD_FLAGS) & KERNEL_64) != 0;
        // one area: boot parameters, page tables, descriptors, command line
        long area =
                placement.conventional(
                        kernel,
                        "the boot parameters",
                        (long) PAGE * (1 + TABLE_PAGES + 1) + commandLine.length);
        long tables = area + PAGE;
        long descriptors = tables + (long) PAGE * TABLE_PAGES;
        long line = descriptors + PAGE;
        PhysicalMemory memory = placement.memory();
        memory.write(line, commandLine, 0, commandLine.length);
        writeParameters(kernel, placement, area, load, line, ramdisk, rootPointer);
        EntryState.writeDescriptors(memory, descriptors, longMode);
        long entry = load;
        if (longMode) {
            entry += ENTRY_64;
            writeIdentityTables(memory, tables);
            EntryState.longMode(cpu, entry, descriptors, tables);
        } else {
            EntryState.protectedMode(cpu, entry, descriptors);
        }
        cpu.r[Cpu.RSI] = area;
        return entry;
    }

    /**
     * Where the kernel wants to be, or, if that is no RAM or taken, the lowest place that a
     * relocatable one may have.
     */
    private static long loadAddress(BootFile kernel, Placement placement) {
        long preferred = kernel.u64(PREFERRED_ADDRESS);
        long size = Math.max(kernel.u32(INITIAL_SIZE), kernel.size());
        long at = placement.lowest(preferred, preferred + size, size, 1);
        if (at < 0 && kernel.u8(RELOCATABLE) != 0) {
            long alignment = Math.max(PAGE, Long.highestOneBit(kernel.u32(ALIGNMENT)));
            at = placement.lowest(MemoryMap.ONE_MIB, PhysicalMemory.HOLE_START, size, alignment);
        }
        if (at < 0) {
            throw new BootException(
                    kernel,
                    "needs 0x%x bytes of memory from 0x%x on to unpack itself, but the machine has %s; give it more with --memory"
                            .formatted(
                                    size,
                                    preferred,
                                    Placement.humanSize(placement.memory().size())));
        }
        placement.occupy(kernel, "the kernel", at, size);
        return at;
    }

    private static void writeParameters(
            BootFile kernel,
            Placement placement,
            long at,
            long load,
            long commandLine,
            Ramdisk ramdisk,
            long rootPointer) {
        PhysicalMemory memory = placement.memory();
        int headerEnd = HEADER_LENGTH + 1 + kernel.u8(HEADER_LENGTH);
        kernel.copyTo(
                memory,
                at + SETUP_SECTORS,
                SETUP_SECTORS,
                Math.max(headerEnd, INITIAL_SIZE + 4) - SETUP_SECTORS);
        memory.write(at + VIDEO_MODE, 2, NORMAL_VIDEO);
        memory.write(at + LOADER_TYPE, 1, UNDEFINED_LOADER);
        memory.write(at + CODE_START, 4, load);
        memory.write(at + RAMDISK_ADDRESS, 4, ramdisk.address());
        memory.write(at + RAMDISK_SIZE, 4, ramdisk.size());
        memory.write(at + COMMAND_LINE, 4, commandLine);
        memory.write64(at + ROOT_POINTER, rootPointer);
        memory.write(
                at + EXTENDED_MEMORY_KIB,
                4,
                Math.max(0, memory.lowSize() - MemoryMap.ONE_MIB >> 10));
        List<MemoryMap.Range> ranges = placement.map().ranges();
        memory.write(at + MAP_ENTRIES, 1, ranges.size());
        byte[] map = placement.map().toE820();
        memory.write(at + MAP, map, 0, map.length);
    }

    /** PML4, one PDPT and four page directories of 2-MiB pages: virtual = physical below 4 GiB. */
    private static void writeIdentityTables(PhysicalMemory memory, long tables) {
        long pdpt = tables + PAGE;
        long directories = pdpt + PAGE;
        memory.write64(tables, pdpt | 3);
        for (int i = 0; i < 4; i++) {
            memory.write64(pdpt + 8L * i, directories + (long) PAGE * i | 3);
        }
        for (int i = 0; i < 4 * 512; i++) {
            memory.write64(directories + 8L * i, (long) i << 21 | 0x83);
        }
    }
}
