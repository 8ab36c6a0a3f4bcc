package dev.pacifica.emulator.boot;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.device.FwCfg;
import dev.pacifica.emulator.device.PcDevices;
import dev.pacifica.emulator.memory.PhysicalMemory;

/**
 * Loads a kernel of whatever format into a machine that was just powered on, and readies its boot
 * processor.
 */
public final class KernelLoader {
    /** How a kernel was recognised. */
    public enum Format {
        LINUX("Linux bzImage"),
        MULTIBOOT("Multiboot 1"),
        PVH("PVH ELF"),
        FLAT("flat binary");

        private final String title;

        Format(String title) {
            this.title = title;
        }

        /** For a person to read. */
        public String title() {
            return title;
        }
    }

    /** What was loaded, and the physical address at which it starts. */
    public record Loaded(Format format, long entry) {}

    private KernelLoader() {}

    /**
     * Loads the kernel and its modules, and tells the firmware configuration device of them. {@code
     * --load} means a flat binary; otherwise the first that fits of Linux bzImage, Multiboot
     * header, ELF with PVH note. A kernel packed with gzip is unpacked.
     */
    public static Loaded load(
            BootRequest request, PhysicalMemory memory, Cpu bootCpu, PcDevices devices) {
        Placement placement = new Placement(memory, devices.memoryMap());
        long rootPointer = devices.rootPointer();
        Loaded loaded;
        if (request.loadAddress().isPresent()) {
            loaded =
                    new Loaded(
                            Format.FLAT,
                            FlatLoader.load(request, request.kernel(), placement, bootCpu));
        } else {
            loaded =
                    loadByFormat(
                            request, request.kernel().unpacked(), placement, bootCpu, rootPointer);
        }
        describe(request, devices.fwCfg());
        return loaded;
    }

    private static Loaded loadByFormat(
            BootRequest request, BootFile kernel, Placement placement, Cpu cpu, long rootPointer) {
        if (LinuxLoader.recognizes(kernel)) {
            return new Loaded(
                    Format.LINUX, LinuxLoader.load(request, kernel, placement, cpu, rootPointer));
        }
        long header = MultibootLoader.header(kernel);
        if (header >= 0) {
            return new Loaded(
                    Format.MULTIBOOT,
                    MultibootLoader.load(request, kernel, header, placement, cpu));
        }
        if (ElfImage.isElf(kernel)) {
            ElfImage elf = ElfImage.read(kernel);
            if (PvhLoader.entry(elf) >= 0) {
                return new Loaded(
                        Format.PVH,
                        PvhLoader.load(request, kernel, elf, placement, cpu, rootPointer));
            }
            throw new BootException(
                    kernel,
                    "is an ELF file with neither a Multiboot header in its first 8 KiB nor a PVH"
                            + " note: nothing says how to start it");
        }
        throw new BootException(
                kernel,
                "is not a kernel: neither a Linux bzImage nor an ELF file nor anything with a"
                        + " Multiboot header; for a flat binary say where it goes with --load ADDR");
    }

    private static void describe(BootRequest request, FwCfg fwCfg) {
        byte[] line = Placement.cString(request.commandLine());
        fwCfg.putNumber(FwCfg.COMMAND_LINE_SIZE, line.length, 4);
        fwCfg.put(FwCfg.COMMAND_LINE, line);
        BootFile kernel = request.kernel();
        fwCfg.putNumber(FwCfg.KERNEL_SIZE, kernel.size(), 4);
        fwCfg.put(FwCfg.KERNEL_DATA, new FileItem(kernel));
        if (!request.modules().isEmpty()) {
            BootFile first = request.modules().getFirst().file();
            fwCfg.putNumber(FwCfg.INITRD_SIZE, first.size(), 4);
            fwCfg.put(FwCfg.INITRD_DATA, new FileItem(first));
        }
    }

    private record FileItem(BootFile file) implements FwCfg.Item {
        @Override
        public long size() {
            return file.size();
        }

        @Override
        public void read(long offset, byte[] into, int at, int count) {
            System.arraycopy(file.data(), (int) offset, into, at, count);
        }
    }
}
