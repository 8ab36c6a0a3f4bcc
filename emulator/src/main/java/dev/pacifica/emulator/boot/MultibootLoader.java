package dev.pacifica.emulator.boot;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.device.MemoryMap;
import dev.pacifica.emulator.memory.PhysicalMemory;
import java.util.ArrayList;
import java.util.List;

/**
 * Multiboot version 1: ELF kernels of either class, or any file whose header gives load addresses;
 * modules follow the kernel at page boundaries. The strings are those of GRUB: name of the file,
 * then its arguments.
 */
final class MultibootLoader {
    private static final int HEADER_MAGIC = 0x1bad_b002;
    private static final int LOADER_MAGIC = 0x2bad_b002;
    private static final int SEARCH = 8192;

    private static final int WANTS_VIDEO = 1 << 2;
    private static final int HAS_ADDRESSES = 1 << 16;

    /**
     * Of bits 0 to 15, which a loader must understand: page alignment, memory information, video
     * mode.
     */
    private static final int UNDERSTOOD = 7;

    private static final int INFO_MEMORY = 1;
    private static final int INFO_COMMAND_LINE = 1 << 2;
    private static final int INFO_MODULES = 1 << 3;
    private static final int INFO_MAP = 1 << 6;
    private static final int INFO_LOADER = 1 << 9;

    private static final int INFO = 120;
    private static final int MODULE = 16;
    private static final int MAP_ENTRY = 24;
    private static final String LOADER_NAME = "Pacifica";

    private MultibootLoader() {}

    /** The offset of the header in the first 8 KiB, or -1. */
    static long header(BootFile file) {
        for (long at = 0; at + 12 <= Math.min(file.size(), SEARCH); at += 4) {
            if (file.s32(at) == HEADER_MAGIC
                    && file.s32(at) + file.s32(at + 4) + file.s32(at + 8) == 0) {
                return at;
            }
        }
        return -1;
    }

    static long load(
            BootRequest request, BootFile kernel, long header, Placement placement, Cpu cpu) {
        int flags = kernel.s32(header + 4);
        if ((flags & 0xffff & ~UNDERSTOOD) != 0) {
            throw new BootException(
                    kernel,
                    header + 4,
                    "the Multiboot header requires features that are unknown (flags 0x%08x)"
                            .formatted(flags));
        }
        if ((flags & WANTS_VIDEO) != 0 && !kernel.has(header, 48)) {
            throw new BootException(kernel, header, "the Multiboot header is cut off");
        }
        long entry;
        long end;
        if ((flags & HAS_ADDRESSES) != 0) {
            if (!kernel.has(header, 32)) {
                throw new BootException(kernel, header, "the Multiboot header is cut off");
            }
            end = loadByAddresses(kernel, header, placement);
            entry = kernel.u32(header + 28);
        } else {
            if (!ElfImage.isElf(kernel)) {
                throw new BootException(
                        kernel,
                        header,
                        "the Multiboot header gives no load addresses (flag 16) and the file is not an ELF file");
            }
            ElfImage elf = ElfImage.read(kernel);
            end = elf.load(placement);
            entry = elf.physicalEntry();
        }
        if (entry >>> 32 != 0) {
            throw new BootException(
                    kernel,
                    "the entry 0x%x is not below 4 GiB, where Multiboot starts kernels"
                            .formatted(entry));
        }
        List<Ramdisk> modules = placeModules(request.modules(), placement, end);
        long info = writeInfo(request, kernel, modules, placement, cpu, entry);
        cpu.r[Cpu.RAX] = LOADER_MAGIC;
        cpu.r[Cpu.RBX] = info;
        return entry;
    }

    private static long loadByAddresses(BootFile kernel, long header, Placement placement) {
        long headerAddress = kernel.u32(header + 12);
        long loadAddress = kernel.u32(header + 16);
        long loadEnd = kernel.u32(header + 20);
        long bssEnd = kernel.u32(header + 24);
        long offset = header - (headerAddress - loadAddress);
        if (headerAddress < loadAddress || offset < 0) {
            throw new BootException(
                    kernel,
                    header + 12,
                    "header address 0x%x and load address 0x%x do not fit the header's place in the file"
                            .formatted(headerAddress, loadAddress));
        }
        long count = loadEnd == 0 ? kernel.size() - offset : loadEnd - loadAddress;
        if (!kernel.has(offset, count)) {
            throw new BootException(
                    kernel,
                    header + 20,
                    "load end 0x%x asks for bytes past the end of the file: it is truncated or damaged"
                            .formatted(loadEnd));
        }
        long end = Math.max(loadAddress + count, bssEnd);
        placement.occupy(kernel, "the kernel", loadAddress, end - loadAddress);
        kernel.copyTo(placement.memory(), loadAddress, offset, count);
        return end;
    }

    private static List<Ramdisk> placeModules(
            List<BootModule> modules, Placement placement, long kernelEnd) {
        List<Ramdisk> placed = new ArrayList<>();
        PhysicalMemory memory = placement.memory();
        for (BootModule module : modules) {
            BootFile file = module.file();
            if (file.size() > memory.size()) {
                throw new BootException(
                        file,
                        "the module of %d bytes is larger than the machine's memory of %s; give it more with --memory"
                                .formatted(file.size(), Placement.humanSize(memory.size())));
            }
            long from = Math.max(MemoryMap.ONE_MIB, kernelEnd);
            long at =
                    placement.lowest(
                            from,
                            PhysicalMemory.HOLE_START,
                            Math.max(file.size(), 1),
                            PhysicalMemory.PAGE_SIZE);
            if (at < 0) {
                throw new BootException(
                        file,
                        "the module of %d bytes does not fit behind the kernel (which ends at 0x%x) into the machine's memory; give it more with --memory"
                                .formatted(file.size(), kernelEnd));
            }
            placement.occupy(file, "the module", at, file.size());
            file.copyTo(memory, at, 0, file.size());
            placed.add(new Ramdisk(at, file.size()));
        }
        return placed;
    }

    /**
     * Writes the information structure and what it points to, and sets the processor's entry state;
     * returns its address.
     */
    private static long writeInfo(
            BootRequest request,
            BootFile kernel,
            List<Ramdisk> modules,
            Placement placement,
            Cpu cpu,
            long entry) {
        List<MemoryMap.Range> ranges = placement.map().ranges();
        String line =
                request.commandLine().isEmpty()
                        ? kernel.baseName()
                        : kernel.baseName() + " " + request.commandLine();
        List<byte[]> strings = new ArrayList<>();
        strings.add(Placement.cString(line));
        strings.add(Placement.cString(LOADER_NAME));
        for (BootModule module : request.modules()) {
            strings.add(Placement.cString(module.commandLine()));
        }
        long size =
                INFO
                        + EntryState.DESCRIPTORS
                        + (long) MODULE * modules.size()
                        + (long) MAP_ENTRY * ranges.size();
        for (byte[] string : strings) {
            size += string.length;
        }
        long info = placement.conventional(kernel, "the Multiboot information", size);
        long descriptors = info + INFO;
        long moduleList = descriptors + EntryState.DESCRIPTORS;
        long map = moduleList + (long) MODULE * modules.size();
        long text = map + (long) MAP_ENTRY * ranges.size();

        PhysicalMemory memory = placement.memory();
        memory.write(
                info, 4, INFO_MEMORY | INFO_COMMAND_LINE | INFO_MODULES | INFO_MAP | INFO_LOADER);
        memory.write(info + 4, 4, MemoryMap.LOW_END >> 10);
        memory.write(info + 8, 4, Math.max(0, memory.lowSize() - MemoryMap.ONE_MIB >> 10));
        memory.write(info + 20, 4, modules.size());
        memory.write(info + 24, 4, moduleList);
        memory.write(info + 44, 4, (long) MAP_ENTRY * ranges.size());
        memory.write(info + 48, 4, map);
        for (int i = 0; i < strings.size(); i++) {
            long field =
                    i == 0
                            ? info + 16
                            : i == 1 ? info + 64 : moduleList + (long) MODULE * (i - 2) + 8;
            memory.write(field, 4, text);
            memory.write(text, strings.get(i), 0, strings.get(i).length);
            text += strings.get(i).length;
        }
        for (int i = 0; i < modules.size(); i++) {
            long at = moduleList + (long) MODULE * i;
            memory.write(at, 4, modules.get(i).address());
            memory.write(at + 4, 4, modules.get(i).address() + modules.get(i).size());
        }
        for (int i = 0; i < ranges.size(); i++) {
            long at = map + (long) MAP_ENTRY * i;
            memory.write(at, 4, MAP_ENTRY - 4); // the size does not count itself
            writeUnaligned(memory, at + 4, ranges.get(i).start());
            writeUnaligned(memory, at + 12, ranges.get(i).length());
            memory.write(at + 20, 4, ranges.get(i).type());
        }
        EntryState.writeDescriptors(memory, descriptors, false);
        EntryState.protectedMode(cpu, entry, descriptors);
        return info;
    }

    private static void writeUnaligned(PhysicalMemory memory, long pa, long value) {
        memory.write(pa, 4, value & 0xffff_ffffL);
        memory.write(pa + 4, 4, value >>> 32);
    }
}
