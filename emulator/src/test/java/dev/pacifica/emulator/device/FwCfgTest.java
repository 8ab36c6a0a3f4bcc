package dev.pacifica.emulator.device;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.memory.MmioDevice;
import dev.pacifica.emulator.memory.PhysicalMemory;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The interface of QEMU's fw_cfg specification. */
class FwCfgTest {
    private final PhysicalMemory memory = new PhysicalMemory(4 << 20);

    /** A page that DMA does not reach; none at first. */
    private long smram = -1;

    private final FwCfg fwCfg = new FwCfg(memory, 3, pa -> pa >= smram && pa < smram + 0x1000);

    @AfterEach
    void release() {
        memory.close();
    }

    private byte[] item(int key, int count) {
        fwCfg.out(0x510, 2, key);
        byte[] bytes = new byte[count];
        for (int i = 0; i < count; i++) {
            bytes[i] = (byte) fwCfg.in(0x511, 1);
        }
        return bytes;
    }

    @Test
    void signatureInterfaceMemoryAndProcessors() {
        assertThat(item(0, 4)).isEqualTo("QEMU".getBytes(StandardCharsets.US_ASCII));
        assertThat(item(1, 4)).containsExactly(3, 0, 0, 0);
        assertThat(item(3, 8)).containsExactly(0, 0, 0x40, 0, 0, 0, 0, 0);
        assertThat(item(5, 2)).containsExactly(3, 0);
    }

    @Test
    void absentItemsAndWhatLiesPastTheEndReadAsZero() {
        assertThat(item(0x1234, 3)).containsExactly(0, 0, 0);
        assertThat(item(5, 4)).containsExactly(3, 0, 0, 0);
    }

    @Test
    void directoryListsFilesInBigEndian() {
        fwCfg.putFile("etc/first", new byte[] {1, 2, 3});
        fwCfg.putFile("etc/second", new byte[] {9});
        byte[] directory = item(0x19, 4 + 128);
        assertThat(directory).startsWith(0, 0, 0, 2, 0, 0, 0, 3, 0, 0x20, 0, 0);
        assertThat(new String(directory, 12, 56, StandardCharsets.US_ASCII))
                .startsWith("etc/first\0");
        assertThat(directory[4 + 64 + 3]).isEqualTo((byte) 1);
        assertThat(directory[4 + 64 + 5]).isEqualTo((byte) 0x21);
        assertThat(item(0x20, 3)).containsExactly(1, 2, 3);
        assertThat(item(0x21, 1)).containsExactly(9);
    }

    private int dma(int control, int length, long address) {
        long block = 0x1000;
        memory.write(block, 4, Integer.toUnsignedLong(Integer.reverseBytes(control)));
        memory.write(block + 4, 4, Integer.toUnsignedLong(Integer.reverseBytes(length)));
        memory.write64(block + 8, Long.reverseBytes(address));
        fwCfg.out(0x518, 4, Integer.reverseBytes((int) block));
        return Integer.reverseBytes((int) memory.read(block, 4));
    }

    @Test
    void dmaSelectsSkipsAndReads() {
        fwCfg.putFile("etc/data", "0123456789".getBytes(StandardCharsets.US_ASCII));
        assertThat(dma(0x20 << 16 | 8 | 4, 3, 0)).isZero();
        assertThat(dma(2, 4, 0x2000)).isZero();
        byte[] got = new byte[4];
        memory.read(0x2000, got, 0, 4);
        assertThat(new String(got, StandardCharsets.US_ASCII)).isEqualTo("3456");
        assertThat(dma(0x10, 4, 0x2000)).isEqualTo(1); // writing is an error
    }

    @Test
    void dmaDoesNotReachSmram() {
        smram = 0x3000;
        fwCfg.putFile("etc/data", new byte[0x3000]);
        memory.write64(0x2ff8, -1);
        memory.write64(0x3000, -1);
        memory.write64(0x3ff8, -1);
        memory.write64(0x4000, -1);
        assertThat(dma(0x20 << 16 | 8 | 2, 0x2000, 0x2800)).isZero();
        assertThat(memory.read64(0x2ff8)).isZero();
        assertThat(memory.read64(0x3000)).isEqualTo(-1);
        assertThat(memory.read64(0x3ff8)).isEqualTo(-1);
        assertThat(memory.read64(0x4000)).isZero();
    }

    @Test
    void theControlBlockOfDmaIsNotReadFromSmram() {
        fwCfg.putFile("etc/data", new byte[16]);
        memory.write64(0x2000, -1);
        smram = 0x1000;
        // all ones: the item that is selected does not exist, and the block stays as it is
        assertThat(dma(0x20 << 16 | 8 | 2, 8, 0x2000)).isEqualTo(0x20 << 16 | 8 | 2);
        assertThat(memory.read64(0x2000)).isEqualTo(-1);
    }

    @Test
    void theControlBlockOfDmaIsNoOtherDevice() {
        long[] accesses = {0};
        memory.map(
                0xfec0_0000L,
                0x1000,
                new MmioDevice() {
                    @Override
                    public long read(long offset, int size) {
                        accesses[0]++;
                        return 0;
                    }

                    @Override
                    public void write(long offset, int size, long value) {
                        accesses[0]++;
                    }
                });
        fwCfg.out(0x518, 4, Integer.reverseBytes(0xfec0_0000));
        assertThat(accesses[0]).isZero();
    }

    @Test
    void dmaOfTheLargestLengthEnds() {
        assertThat(dma(8 | 2, -1, 0x2000)).isZero();
        assertThat(dma(8 | 2, -1, 0xffff_ffff_f000L)).isZero();
    }

    @Test
    void dmaSignature() {
        assertThat(fwCfg.in(0x514, 4)).isEqualTo(0x554d_4551); // "QEMU"
        assertThat(fwCfg.in(0x518, 4)).isEqualTo(0x4746_4320); // " CFG"
    }
}
