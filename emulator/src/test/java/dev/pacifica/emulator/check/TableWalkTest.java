package dev.pacifica.emulator.check;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.memory.PhysicalMemory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Tables of 32-bit paging (§5.2), read as they stand in memory. */
class TableWalkTest {
    private static final long DIRECTORY = 0x1000;
    private static final long VA = 0xc1_2345;

    private final PhysicalMemory memory = new PhysicalMemory(1 << 20);
    private final TableWalk walk = new TableWalk(memory);

    @AfterEach
    void release() {
        memory.close();
    }

    private long translate(long directoryEntry, TableWalk.Format format) {
        memory.write(DIRECTORY + 3 * 4, 4, directoryEntry);
        return walk.translate(format, DIRECTORY, VA) & TableWalk.ADDRESS;
    }

    /** Bits 20:13 of the entry are address bits 39:32; bit 12 is the PAT's. */
    @Test
    void pagesOfFourMebibytesReachAboveFourGibibytes() {
        TableWalk.Format format = TableWalk.Format.THIRTY_TWO_BITS;
        assertThat(translate(0x0080_0087L, format)).isEqualTo(0x0081_2000L);
        assertThat(translate(0x0080_2087L, format)).isEqualTo(0x01_0081_2000L);
        assertThat(translate(0xffd0_1087L, format)).isEqualTo(0x80_ffc1_2000L);
        assertThat(walk.shift).isEqualTo(22);
    }

    @Test
    void withoutPageSizeExtensionTheEntryLeadsToATable() {
        memory.write(0x2000 + 0x12 * 4, 4, 0x3_4007);
        TableWalk.Format format = TableWalk.Format.THIRTY_TWO_BITS_SMALL;
        assertThat(translate(0x2087, format)).isEqualTo(0x3_4000);
        assertThat(walk.shift).isEqualTo(12);
    }
}
