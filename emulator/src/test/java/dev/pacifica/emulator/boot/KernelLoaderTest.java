package dev.pacifica.emulator.boot;

import static dev.pacifica.emulator.boot.BootRig.bytes;
import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What each boot protocol promises to a kernel. */
class KernelLoaderTest {
    static final int MULTIBOOT = 0x1bad_b002;

    /** Contents of a segment that begins with a Multiboot header. */
    static byte[] multiboot(int flags, int... addresses) {
        ByteBuffer b = ByteBuffer.allocate(64).order(ByteOrder.LITTLE_ENDIAN);
        b.putInt(MULTIBOOT).putInt(flags).putInt(-(MULTIBOOT + flags));
        for (int address : addresses) {
            b.putInt(address);
        }
        return b.array();
    }

    private static void assertFlatProtectedMode(Cpu cpu) {
        assertThat(cpu.cr0 & (Cpu.CR0_PE | Cpu.CR0_PG)).isEqualTo(Cpu.CR0_PE);
        assertThat(cpu.codeBits).isEqualTo(32);
        assertThat(cpu.rflags() & (Cpu.IF | Cpu.VM)).isZero();
        for (int segment : new int[] {Cpu.ES, Cpu.CS, Cpu.SS, Cpu.DS}) {
            assertThat(cpu.segBase[segment]).isZero();
            assertThat(cpu.segLimit[segment]).isEqualTo(0xffff_ffffL);
        }
    }

    @Test
    void multibootElf32GetsItsInformation() {
        try (BootRig rig = new BootRig(64)) {
            byte[] kernel =
                    ElfFile.of32()
                            .entry(0x10_0020)
                            .segment(0x10_0000, 0x10_0000, multiboot(3), 0x2345)
                            .toBytes();
            KernelLoader.Loaded loaded =
                    rig.append("noapic debug")
                            .module("dir/dom0", bytes("first"), "console=hvc0")
                            .module("initrd", bytes("second"), "")
                            .load("boot/xen", kernel);
            assertThat(loaded)
                    .isEqualTo(new KernelLoader.Loaded(KernelLoader.Format.MULTIBOOT, 0x10_0020));
            assertFlatProtectedMode(rig.cpu);
            assertThat(rig.cpu.rip).isEqualTo(0x10_0020);
            assertThat(rig.cpu.r[Cpu.RAX]).isEqualTo(0x2bad_b002L);
            assertThat(rig.u32(0x10_0000)).isEqualTo(MULTIBOOT);

            long info = rig.cpu.r[Cpu.RBX];
            int flags = rig.u32(info);
            assertThat(flags & 0x24d)
                    .isEqualTo(0x24d); // memory, command line, modules, map, loader name
            assertThat(rig.u32(info + 4)).isEqualTo(639);
            assertThat(rig.u32(info + 8)).isEqualTo(63 * 1024);
            assertThat(rig.string(rig.u32(info + 16))).isEqualTo("xen noapic debug");
            assertThat(rig.string(rig.u32(info + 64))).isEqualTo("Pacifica");

            assertThat(rig.u32(info + 20)).isEqualTo(2);
            long modules = rig.u32(info + 24);
            int start = rig.u32(modules);
            assertThat(start & 0xfff).isZero();
            assertThat(start).isGreaterThanOrEqualTo(0x10_2345);
            assertThat(rig.text(start, rig.u32(modules + 4) - start)).isEqualTo("first");
            assertThat(rig.string(rig.u32(modules + 8))).isEqualTo("dom0 console=hvc0");
            int second = rig.u32(modules + 16);
            assertThat(second & 0xfff).isZero();
            assertThat(second).isGreaterThanOrEqualTo(rig.u32(modules + 4));
            assertThat(rig.text(second, 6)).isEqualTo("second");
            assertThat(rig.string(rig.u32(modules + 24))).isEqualTo("initrd");

            // the map: entries whose size field does not count itself; usable ones sum up to RAM
            // but for the firmware's areas
            long usable = 0;
            int acpi = 0;
            long end = Integer.toUnsignedLong(rig.u32(info + 48)) + rig.u32(info + 44);
            for (long at = rig.u32(info + 48); at < end; at += rig.u32(at) + 4) {
                long length =
                        Integer.toUnsignedLong(rig.u32(at + 12)) | (long) rig.u32(at + 16) << 32;
                usable += rig.u32(at + 20) == 1 ? length : 0;
                acpi += rig.u32(at + 20) == 3 ? 1 : 0;
            }
            assertThat(usable).isEqualTo((63L << 20) + (639 << 10));
            assertThat(acpi).isEqualTo(1);
        }
    }

    @Test
    void multibootEntryInAVirtualSegmentIsTranslated() {
        try (BootRig rig = new BootRig(16)) {
            byte[] kernel =
                    ElfFile.of64()
                            .entry(0xffff_ffff_8010_0008L)
                            .segment(0xffff_ffff_8010_0000L, 0x10_0000, multiboot(0), 64)
                            .toBytes();
            assertThat(rig.load("kernel", kernel).entry()).isEqualTo(0x10_0008);
        }
    }

    @Test
    void multibootAddressesInTheHeaderReplaceElf() {
        try (BootRig rig = new BootRig(16)) {
            byte[] file = new byte[0x400];
            // header at 0x100 of the file, which is loaded from 0x80 of the file on at 0x200000
            byte[] header =
                    multiboot(0x1_0000, 0x20_0080, 0x20_0000, 0x20_0200, 0x20_1000, 0x20_0040);
            System.arraycopy(header, 0, file, 0x100, header.length);
            file[0x80] = 0x5a;
            file[0x280] = 0x77;
            assertThat(rig.load("flat", file))
                    .isEqualTo(new KernelLoader.Loaded(KernelLoader.Format.MULTIBOOT, 0x20_0040));
            assertThat(rig.memory.read(0x20_0000, 1)).isEqualTo(0x5a);
            assertThat(rig.memory.read(0x20_0200, 1)).isZero();
        }
    }

    @Test
    void pvhKernelGetsStartInfo() {
        try (BootRig rig = new BootRig(64)) {
            byte[] kernel =
                    ElfFile.of64()
                            .entry(0xffff_ffff_8100_0000L)
                            .segment(
                                    0xffff_ffff_8100_0000L,
                                    0x100_0000,
                                    bytes("kernel text"),
                                    0x5000)
                            .pvhEntry(0x100_0123)
                            .toBytes();
            KernelLoader.Loaded loaded =
                    rig.append("console=ttyS0")
                            .module("a", bytes("abcde"), "")
                            .module("b", bytes("fgh"), "")
                            .load("vmlinux", kernel);
            assertThat(loaded)
                    .isEqualTo(new KernelLoader.Loaded(KernelLoader.Format.PVH, 0x100_0123));
            assertFlatProtectedMode(rig.cpu);
            assertThat(rig.text(0x100_0000, 11)).isEqualTo("kernel text");
            long info = rig.cpu.r[Cpu.RBX];
            assertThat(rig.u32(info)).isEqualTo(0x336e_c578);
            assertThat(rig.u32(info + 4)).isEqualTo(1);
            assertThat(rig.u32(info + 12)).isEqualTo(1);
            assertThat(rig.string(rig.memory.read64(info + 24))).isEqualTo("console=ttyS0");
            assertThat(rig.text(rig.memory.read64(info + 32), 8)).isEqualTo("RSD PTR ");
            long module = rig.memory.read64(info + 16);
            assertThat(rig.memory.read64(module + 8)).isEqualTo(11);
            assertThat(rig.text(rig.memory.read64(module), 11)).isEqualTo("abcde\0\0\0fgh");
            long map = rig.memory.read64(info + 40);
            assertThat(rig.memory.read64(map)).isZero();
            assertThat(rig.u32(map + 16)).isEqualTo(1);
            assertThat(rig.u32(info + 48)).isEqualTo(rig.devices.memoryMap().ranges().size());
        }
    }

    /** A bzImage with one setup sector: header fields as the boot protocol places them. */
    static byte[] bzImage() {
        ByteBuffer b = ByteBuffer.allocate(1024 + 0x1000).order(ByteOrder.LITTLE_ENDIAN);
        b.put(0x1f1, (byte) 1).putInt(0x1f4, 0x100).putShort(0x1fe, (short) 0xaa55);
        b.put(0x201, (byte) 0x66).putInt(0x202, 0x5372_6448).putShort(0x206, (short) 0x20f);
        b.put(0x211, (byte) 1)
                .putInt(0x22c, 0x7fff_ffff)
                .putInt(0x230, 0x20_0000)
                .put(0x234, (byte) 1);
        b.putShort(0x236, (short) 3)
                .putInt(0x238, 255)
                .putLong(0x258, 0x100_0000)
                .putInt(0x260, 0x8000);
        b.put(1024, (byte) 0xfa).put(1024 + 0x200, (byte) 0xf4);
        return b.array();
    }

    @Test
    void linuxIsEnteredInLongModeWithBootParameters() {
        try (BootRig rig = new BootRig(64)) {
            KernelLoader.Loaded loaded =
                    rig.append("quiet")
                            .module("initrd", bytes("ramdisk"), "")
                            .load("bzImage", bzImage());
            assertThat(loaded)
                    .isEqualTo(new KernelLoader.Loaded(KernelLoader.Format.LINUX, 0x100_0200));
            Cpu cpu = rig.cpu;
            assertThat(cpu.mode64).isTrue();
            assertThat(cpu.segSelector[Cpu.CS]).isEqualTo(0x10);
            assertThat(cpu.segSelector[Cpu.DS]).isEqualTo(0x18);
            assertThat(cpu.rflags() & Cpu.IF).isZero();
            assertThat(rig.memory.read(cpu.rip, 1)).isEqualTo(0xf4);
            long parameters = cpu.r[Cpu.RSI];
            assertThat(rig.u32(parameters + 0x202)).isEqualTo(0x5372_6448);
            assertThat(rig.memory.read(parameters + 0x210, 1)).isEqualTo(0xff);
            assertThat(rig.string(rig.u32(parameters + 0x228))).isEqualTo("quiet");
            assertThat(rig.u32(parameters + 0x21c)).isEqualTo(7);
            int ramdisk = rig.u32(parameters + 0x218);
            assertThat(rig.text(ramdisk, 7)).isEqualTo("ramdisk");
            assertThat(ramdisk).isEqualTo((64 << 20) - 0x1000); // as high as possible
            assertThat(rig.text(rig.memory.read64(parameters + 0x70), 8)).isEqualTo("RSD PTR ");
            assertThat(rig.memory.read(parameters + 0x1e8, 1))
                    .isEqualTo(rig.devices.memoryMap().ranges().size());
            assertThat(rig.memory.read(parameters + 0x2d0 + 8, 8)).isEqualTo(639 << 10);
            // the page tables map virtual to physical addresses one to one
            for (long va : new long[] {0, cpu.rip, 0xffff_f000L}) {
                assertThat(translate(rig, va)).isEqualTo(va);
            }
        }
    }

    @Test
    void linuxWithout64BitEntryStartsInProtectedModeAtItsBeginning() {
        try (BootRig rig = new BootRig(64)) {
            byte[] image = bzImage();
            image[0x236] = 0; // no XLF_KERNEL_64
            KernelLoader.Loaded loaded =
                    rig.append("quiet")
                            .module("initrd", bytes("ramdisk"), "")
                            .load("bzImage", image);
            assertThat(loaded)
                    .isEqualTo(new KernelLoader.Loaded(KernelLoader.Format.LINUX, 0x100_0000));
            Cpu cpu = rig.cpu;
            assertFlatProtectedMode(cpu);
            assertThat(cpu.efer).isZero();
            assertThat(cpu.segSelector[Cpu.CS]).isEqualTo(0x10);
            for (int segment : new int[] {Cpu.ES, Cpu.SS, Cpu.DS}) {
                assertThat(cpu.segSelector[segment]).isEqualTo(0x18);
            }
            assertThat(rig.memory.read64(cpu.gdtrBase + 0x10)).isEqualTo(0x00cf_9b00_0000_ffffL);
            assertThat(rig.memory.read64(cpu.gdtrBase + 0x18)).isEqualTo(0x00cf_9300_0000_ffffL);
            for (int register : new int[] {Cpu.RBX, Cpu.RBP, Cpu.RDI}) {
                assertThat(cpu.r[register]).isZero();
            }
            assertThat(cpu.rip).isEqualTo(0x100_0000);
            assertThat(rig.memory.read(cpu.rip, 1)).isEqualTo(0xfa);
            long parameters = cpu.r[Cpu.RSI];
            assertThat(rig.u32(parameters + 0x202)).isEqualTo(0x5372_6448);
            assertThat(rig.string(rig.u32(parameters + 0x228))).isEqualTo("quiet");
            assertThat(rig.text(rig.u32(parameters + 0x218), 7)).isEqualTo("ramdisk");
        }
    }

    private static long translate(BootRig rig, long va) {
        long table = rig.cpu.cr3;
        for (int shift = 39; ; shift -= 9) {
            long entry = rig.memory.read64(table + 8 * (va >>> shift & 511));
            assertThat(entry & 3).isEqualTo(3);
            if (shift == 21) {
                assertThat(entry & 0x80).isEqualTo(0x80);
                return (entry & 0xf_ffff_ffe0_0000L) + (va & 0x1f_ffff);
            }
            table = entry & 0xf_ffff_ffff_f000L;
        }
    }

    @Test
    void relocatableLinuxGoesWhereThereIsRoom() {
        try (BootRig rig = new BootRig(8)) { // its preferred 16 MiB are not there
            assertThat(rig.load("bzImage", bzImage()).entry()).isEqualTo(0x20_0200);
        }
    }

    @Test
    void flatBinaryBelow64KiBStartsInRealMode() {
        try (BootRig rig = new BootRig(2)) {
            rig.loadAt(0x7c00).load("sector", new byte[] {(byte) 0xf4});
            assertThat(rig.cpu.protectedMode).isFalse();
            assertThat(rig.cpu.segBase[Cpu.CS]).isZero();
            assertThat(rig.cpu.rip).isEqualTo(0x7c00);
            assertThat(rig.cpu.codeBits).isEqualTo(16);
        }
    }

    @Test
    void flatBinaryHigherUpGetsItsOwnCodeSegment() {
        try (BootRig rig = new BootRig(2)) {
            rig.loadAt(0x2_0010).load("code", new byte[] {(byte) 0xf4});
            assertThat(rig.cpu.segSelector[Cpu.CS]).isEqualTo(0x2001);
            assertThat(rig.cpu.segBase[Cpu.CS] + rig.cpu.rip).isEqualTo(0x2_0010);
        }
    }

    @Test
    void flatBinaryAboveOneMiBStartsInProtectedMode() {
        try (BootRig rig = new BootRig(4)) {
            rig.loadAt(0x20_0000).load("code", new byte[] {(byte) 0xf4});
            assertFlatProtectedMode(rig.cpu);
            assertThat(rig.cpu.rip).isEqualTo(0x20_0000);
        }
    }

    /** Its first bytes may be code that a boot sector's loader starts; --load says so. */
    @Test
    void flatBinaryMayHaveAMultibootHeaderBehindItsFirstInstruction() {
        byte[] header = multiboot(0x1_0000, 0x10_0004, 0x10_0000, 0, 0, 0x10_0000);
        byte[] hybrid = new byte[4 + header.length];
        hybrid[0] = (byte) 0xeb; // JMP to what is behind the header
        hybrid[1] = (byte) (hybrid.length - 2);
        System.arraycopy(header, 0, hybrid, 4, header.length);
        try (BootRig rig = new BootRig(4)) {
            rig.loadAt(0x20_0000).load("hybrid", hybrid);
            assertFlatProtectedMode(rig.cpu);
            assertThat(rig.cpu.rip).isEqualTo(0x20_0000);
            assertThat(rig.u32(0x20_0004)).isEqualTo(0x1bad_b002);
        }
    }

    @Test
    void kernelPackedWithGzipIsUnpacked() throws IOException {
        byte[] kernel =
                ElfFile.of32()
                        .entry(0x10_0000)
                        .segment(0x10_0000, 0x10_0000, multiboot(0), 64)
                        .toBytes();
        ByteArrayOutputStream packed = new ByteArrayOutputStream();
        try (GZIPOutputStream gzip = new GZIPOutputStream(packed)) {
            gzip.write(kernel);
        }
        try (BootRig rig = new BootRig(4)) {
            assertThat(rig.load("xen.gz", packed.toByteArray()).format())
                    .isEqualTo(KernelLoader.Format.MULTIBOOT);
        }
    }

    @Test
    void firmwareConfigurationKnowsTheCommandLine() {
        try (BootRig rig = new BootRig(4)) {
            rig.append("hello").loadAt(0x7c00).load("code", new byte[] {(byte) 0xf4});
            rig.ports.out(0x510, 2, 0x15);
            byte[] line = new byte[6];
            for (int i = 0; i < 6; i++) {
                line[i] = (byte) rig.ports.in(0x511, 1);
            }
            assertThat(line).isEqualTo(bytes("hello\0"));
        }
    }

    @Test
    void moduleListSplitsAtCommasAndSpaces(@TempDir Path folder) throws IOException {
        Path first = Files.write(folder.resolve("one"), bytes("1"));
        Path second = Files.write(folder.resolve("two,2"), bytes("22"));
        var modules =
                BootModule.parse(
                        first + " root=/dev/xvda ro," + second.toString().replace(",", ",,"));
        assertThat(modules).hasSize(2);
        assertThat(modules.get(0).arguments()).isEqualTo("root=/dev/xvda ro");
        assertThat(modules.get(1).file().size()).isEqualTo(2);
        assertThat(Arrays.equals(modules.get(1).file().data(), bytes("22"))).isTrue();
    }
}
