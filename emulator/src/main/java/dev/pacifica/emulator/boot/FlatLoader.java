package dev.pacifica.emulator.boot;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.device.MemoryMap;
import dev.pacifica.emulator.memory.PhysicalMemory;

/**
 * A flat binary at the address that {@code --load} gives, entered at its first byte: below 1 MiB in
 * real mode (CS 0 below 10000h, else the address' paragraph; SS:SP 0000:7C00), above in 32-bit
 * protected mode with flat segments.
 */
final class FlatLoader {
    private FlatLoader() {}

    static long load(BootRequest request, BootFile kernel, Placement placement, Cpu cpu) {
        long address = request.loadAddress().getAsLong();
        if (address < 0 || address >= PhysicalMemory.HOLE_END) {
            throw new BootException(
                    kernel,
                    "--load 0x%x: a flat binary must be loaded below 4 GiB".formatted(address));
        }
        if (kernel.size() == 0) {
            throw new BootException(kernel, "is empty");
        }
        refuseOtherFormats(kernel);
        placement.occupy(kernel, "the binary", address, kernel.size());
        kernel.copyTo(placement.memory(), address, 0, kernel.size());
        if (address < MemoryMap.ONE_MIB) {
            int segment = address < 0x1_0000 ? 0 : (int) (address >> 4);
            EntryState.realMode(cpu, segment, (int) (address - ((long) segment << 4)));
        } else {
            long descriptors =
                    placement.conventional(kernel, "the descriptor table", EntryState.DESCRIPTORS);
            EntryState.writeDescriptors(placement.memory(), descriptors, false);
            EntryState.protectedMode(cpu, address, descriptors);
            cpu.r[Cpu.RSP] = 0x7c00;
        }
        return address;
    }

    /**
     * Files whose first bytes are no code. A Multiboot header may lie anywhere in the first 8 KiB,
     * behind code that starts without it: such a file is flat as well.
     */
    private static void refuseOtherFormats(BootFile kernel) {
        if (LinuxLoader.recognizes(kernel)) {
            throw new BootException(
                    kernel, "is a Linux bzImage, no flat binary: --kernel boots it without --load");
        }
        if (ElfImage.isElf(kernel)) {
            throw new BootException(
                    kernel,
                    "is an ELF file, no flat binary: without --load, --kernel boots it if it has a"
                            + " PVH note or a Multiboot header; objcopy -O binary makes a flat one of"
                            + " it");
        }
        if (kernel.isGzip()) {
            throw new BootException(
                    kernel,
                    "is packed with gzip, no flat binary: unpack it first; without --load, --kernel"
                            + " unpacks kernels by itself");
        }
    }
}
