package dev.pacifica.emulator.boot;

import static dev.pacifica.emulator.boot.BootRig.bytes;
import static dev.pacifica.emulator.boot.KernelLoaderTest.bzImage;
import static dev.pacifica.emulator.boot.KernelLoaderTest.multiboot;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Bad input: one message that names the file and what is wrong with it. */
class BootErrorsTest {
    private static byte[] elf() {
        return ElfFile.of32()
                .entry(0x10_0000)
                .segment(0x10_0000, 0x10_0000, multiboot(0), 0x1000)
                .toBytes();
    }

    private static void fails(BootRig machine, byte[] kernel, String... parts) {
        try (BootRig rig = machine) {
            assertThatExceptionOfType(BootException.class)
                    .isThrownBy(() -> rig.load("the-kernel", kernel))
                    .withMessageStartingWith("the-kernel: ")
                    .satisfies(e -> assertThat(e.getMessage()).contains(parts));
        }
    }

    @Test
    void missingFileAndDirectory(@TempDir Path folder) {
        assertThatExceptionOfType(BootException.class)
                .isThrownBy(() -> BootFile.open(folder.resolve("nothing")))
                .withMessage(folder.resolve("nothing") + ": no such file");
        assertThatExceptionOfType(BootException.class)
                .isThrownBy(() -> BootFile.open(folder))
                .withMessage(folder + ": is a directory, not a file");
    }

    @Test
    void neitherKernelNorElf() {
        fails(new BootRig(4), bytes("#!/bin/sh\n"), "is not a kernel", "--load ADDR");
        fails(new BootRig(4), new byte[0], "is not a kernel");
    }

    @Test
    void truncatedElf() {
        byte[] elf = elf();
        fails(new BootRig(4), Arrays.copyOf(elf, 30), "truncated ELF");
        fails(new BootRig(4), Arrays.copyOf(elf, 60), "0x34", "truncated");
        fails(new BootRig(4), Arrays.copyOf(elf, elf.length - 1), "segment 0", "truncated");
    }

    @Test
    void elfForAnotherProcessor() {
        byte[] elf = ElfFile.of64().machine(183).segment(0, 0x10_0000, new byte[16], 16).toBytes();
        fails(new BootRig(4), elf, "another processor (machine 183)");
    }

    @Test
    void elfThatSaysNotHowToStart() {
        byte[] elf = ElfFile.of64().segment(0, 0x10_0000, new byte[16], 16).toBytes();
        fails(new BootRig(4), elf, "neither a Multiboot header", "nor a PVH note");
    }

    @Test
    void segmentOutsideMemory() {
        byte[] elf = ElfFile.of32().segment(0, 0x800_0000, multiboot(0), 64).toBytes();
        fails(new BootRig(4), elf, "0x8000000", "outside the machine's RAM of 4 MiB", "--memory");
        byte[] huge = ElfFile.of64().segment(0, 0x10_0000, multiboot(0), Long.MAX_VALUE).toBytes();
        fails(new BootRig(4), huge, "outside");
        byte[] high = ElfFile.of64().segment(0, -4096, multiboot(0), 64).toBytes();
        fails(new BootRig(4), high, "outside");
    }

    @Test
    void overlappingSegments() {
        byte[] elf =
                ElfFile.of32()
                        .segment(0, 0x10_0000, multiboot(0), 0x1000)
                        .segment(0, 0x10_0800, multiboot(0), 0x1000)
                        .toBytes();
        fails(new BootRig(4), elf, "overlaps", "0x100000 to 0x101000");
    }

    @Test
    void segmentOverTheAcpiTables() {
        byte[] elf = ElfFile.of32().segment(0, 0xe_0000, multiboot(0), 0x1000).toBytes();
        fails(new BootRig(4), elf, "overlaps the firmware's area");
    }

    @Test
    void segmentLargerInTheFileThanInMemory() {
        byte[] elf = ElfFile.of32().segment(0, 0x10_0000, multiboot(0), 8).toBytes();
        fails(new BootRig(4), elf, "larger in the file");
    }

    @Test
    void multibootFeatureThatIsUnknown() {
        byte[] elf = ElfFile.of32().segment(0, 0x10_0000, multiboot(0x10), 64).toBytes();
        fails(new BootRig(4), elf, "requires features", "0x00000010");
    }

    @Test
    void multibootHeaderWithoutElfOrAddresses() {
        fails(new BootRig(4), multiboot(0), "gives no load addresses");
    }

    @Test
    void multibootAddressesThatDoNotFitTheFile() {
        fails(
                new BootRig(4),
                multiboot(0x1_0000, 0x10_0000, 0x20_0000, 0, 0, 0x10_0000),
                "do not fit");
        fails(
                new BootRig(4),
                multiboot(0x1_0000, 0x10_0000, 0x10_0000, 0x10_4000, 0, 0x10_0000),
                "past the end");
    }

    @Test
    void ramdiskLargerThanMemory() {
        try (BootRig rig = new BootRig(4)) {
            assertThatExceptionOfType(BootException.class)
                    .isThrownBy(() ->
                            rig.module("initrd.img", new byte[5 << 20], "")
                                    .load("the-kernel", bzImageAt2MiB()))
                    .withMessageStartingWith("initrd.img: ")
                    .withMessageContaining(
                            "5242880 bytes is larger than the machine's memory of 4 MiB");
        }
        try (BootRig rig = new BootRig(4)) {
            assertThatExceptionOfType(BootException.class)
                    .isThrownBy(() ->
                            rig.module("initrd.img", new byte[3 << 20], "")
                                    .load("the-kernel", bzImageAt2MiB()))
                    .withMessageContaining("does not fit beside the kernel");
        }
    }

    private static byte[] bzImageAt2MiB() {
        byte[] image = bzImage();
        image[0x258 + 3] = 0;
        image[0x258 + 2] = 0x20;
        return image;
    }

    @Test
    void moduleLargerThanMemory() {
        try (BootRig rig = new BootRig(4)) {
            assertThatExceptionOfType(BootException.class)
                    .isThrownBy(() ->
                            rig.module("module", new byte[4 << 20], "").load("the-kernel", elf()))
                    .withMessageStartingWith("module: ")
                    .withMessageContaining("does not fit behind the kernel");
        }
    }

    @Test
    void fileLargerThanCanBeLoadedIsNotRead(@TempDir Path folder) throws IOException {
        Path sparse = folder.resolve("huge");
        try (RandomAccessFile file = new RandomAccessFile(sparse.toFile(), "rw")) {
            file.setLength(5L << 30);
        }
        BootFile huge = BootFile.open(sparse);
        assertThat(huge.size()).isEqualTo(5L << 30);
        assertThatExceptionOfType(BootException.class)
                .isThrownBy(huge::data)
                .withMessageContaining("more than the 2 GiB");
    }

    @Test
    void linuxThatIsTooOld() {
        byte[] image = bzImage();
        image[0x206] = 0xb;
        fails(new BootRig(64), image, "boot protocol 2.11", "2.12");
        byte[] loadedLow = bzImage();
        loadedLow[0x211] = 0;
        fails(new BootRig(64), loadedLow, "only bzImages");
    }

    @Test
    void truncatedLinux() {
        fails(new BootRig(64), Arrays.copyOf(bzImage(), 0x800), "truncated");
    }

    @Test
    void commandLineLongerThanLinuxTakes() {
        fails(new BootRig(64).append("x".repeat(256)), bzImage(), "at most 255 bytes");
    }

    @Test
    void linuxThatNeedsMoreMemory() {
        byte[] image = bzImage();
        image[0x263] = 0x10; // init_size 256 MiB
        fails(new BootRig(64), image, "--memory");
    }

    @Test
    void flatBinaryThatDoesNotFit() {
        fails(
                new BootRig(2).loadAt(0x1f_f000),
                new byte[0x2000],
                "outside the machine's RAM of 2 MiB");
        fails(new BootRig(2).loadAt(0x9_f000), new byte[0x2000], "overlaps the firmware's area");
        fails(new BootRig(2).loadAt(-1), new byte[1], "below 4 GiB");
        fails(new BootRig(2).loadAt(0x1000), new byte[0], "is empty");
    }

    /** Executed from their first byte on they would do nobody knows what. */
    @Test
    void flatBinaryThatHasAHeaderOfAnotherFormat() {
        fails(new BootRig(4).loadAt(0x7c00), elf(), "is an ELF file", "without --load");
        byte[] plain = ElfFile.of64().segment(0, 0x10_0000, new byte[16], 16).toBytes();
        fails(new BootRig(4).loadAt(0x7c00), plain, "is an ELF file", "--kernel", "objcopy");
        fails(new BootRig(64).loadAt(0x10_0000), bzImage(), "is a Linux bzImage", "--kernel");
        byte[] packed = new byte[40];
        packed[0] = 0x1f;
        packed[1] = (byte) 0x8b;
        packed[2] = 8;
        fails(new BootRig(4).loadAt(0x7c00), packed, "is packed with gzip", "unpack it first");
    }

    @Test
    void damagedGzip() {
        byte[] packed = new byte[40];
        packed[0] = 0x1f;
        packed[1] = (byte) 0x8b;
        packed[2] = 8;
        fails(new BootRig(4), packed, "packed with gzip but damaged");
    }

    @Test
    void emptyNameInAModuleList() {
        assertThatExceptionOfType(BootException.class)
                .isThrownBy(() -> BootModule.parse(""))
                .withMessageContaining("--initrd");
    }

    /**
     * Whatever bytes are damaged, the loader either loads or says why not; no other exception comes
     * out.
     */
    @Test
    void randomDamageNeverGivesAnotherException() {
        byte[][] images = {
            elf(),
            bzImage(),
            ElfFile.of64()
                    .entry(0x10_0000)
                    .segment(0, 0x10_0000, new byte[64], 64)
                    .pvhEntry(0x10_0000)
                    .toBytes(),
            multiboot(0x1_0000, 0x10_0000, 0x10_0000, 0, 0, 0x10_0000),
        };
        SplittableRandom random = new SplittableRandom(1);
        int refused = 0;
        for (int i = 0; i < 1600; i++) {
            byte[] image = images[i % images.length].clone();
            for (int n = random.nextInt(1, 5); n > 0; n--) {
                image[random.nextInt(Math.min(image.length, 0x280))] = (byte) random.nextInt();
            }
            if (random.nextInt(4) == 0) {
                image = Arrays.copyOf(image, random.nextInt(image.length));
            }
            try (BootRig rig = new BootRig(32)) {
                rig.load("damaged", image);
            } catch (BootException e) {
                assertThat(e.getMessage()).startsWith("damaged: ");
                refused++;
            }
        }
        assertThat(refused).isBetween(200, 1550);
    }

    @Test
    void unreadableFile(@TempDir Path folder) throws IOException {
        Path file = Files.write(folder.resolve("kernel"), bytes("data"));
        BootFile boot = BootFile.open(file);
        Files.delete(file);
        assertThatExceptionOfType(BootException.class)
                .isThrownBy(boot::data)
                .withMessageContaining("can't be read");
    }
}
