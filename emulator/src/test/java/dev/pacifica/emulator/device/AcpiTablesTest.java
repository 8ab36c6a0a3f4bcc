package dev.pacifica.emulator.device;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.memory.PhysicalMemory;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The tables as a kernel looks for them (ACPI specification chapter 5). */
class AcpiTablesTest {
    private final PhysicalMemory memory = new PhysicalMemory(64 << 20);
    private final long pointer = AcpiTables.install(memory, 2);

    @AfterEach
    void release() {
        memory.close();
    }

    private String ascii(long at, int count) {
        byte[] bytes = new byte[count];
        memory.read(at, bytes, 0, count);
        return new String(bytes, StandardCharsets.US_ASCII);
    }

    private int sum(long at, long count) {
        int sum = 0;
        for (long i = 0; i < count; i++) {
            sum += (int) memory.read(at + i, 1);
        }
        return sum & 0xff;
    }

    /** The table with this signature that the XSDT names. */
    private long table(String signature) {
        long xsdt = memory.read64(pointer + 24);
        long count = (memory.read(xsdt + 4, 4) - 36) / 8;
        for (int i = 0; i < count; i++) {
            long at = memory.read(xsdt + 36 + 8L * i, 4) | memory.read(xsdt + 40 + 8L * i, 4) << 32;
            if (ascii(at, 4).equals(signature)) {
                return at;
            }
        }
        throw new AssertionError(signature + " is not in the XSDT");
    }

    @Test
    void rootPointerIsWhereKernelsLookAndHasBothChecksums() {
        assertThat(pointer).isBetween(0xe_0000L, 0xf_ffffL);
        assertThat(pointer & 0xf).isZero();
        assertThat(ascii(pointer, 8)).isEqualTo("RSD PTR ");
        assertThat(sum(pointer, 20)).isZero();
        assertThat(sum(pointer, 36)).isZero();
    }

    @Test
    void everyTableHasAChecksumAndLiesInAcpiMemory() {
        for (String signature : new String[] {"FACP", "APIC", "HPET"}) {
            long at = table(signature);
            assertThat(sum(at, memory.read(at + 4, 4))).as(signature).isZero();
            assertThat(at).isBetween(MemoryMap.ACPI_TABLES, MemoryMap.ACPI_FACS);
        }
        long rsdt = memory.read(pointer + 16, 4);
        assertThat(ascii(rsdt, 4)).isEqualTo("RSDT");
        assertThat(memory.read(rsdt + 36, 4)).isEqualTo(table("FACP"));
    }

    @Test
    void fadtNamesFixedHardware() {
        long fadt = table("FACP");
        assertThat(memory.read(fadt + 8, 1)).isEqualTo(3);
        assertThat(memory.read(fadt + 46, 2)).isEqualTo(9);
        assertThat(memory.read(fadt + 56, 4)).isEqualTo(0x600);
        assertThat(memory.read(fadt + 76, 4)).isEqualTo(0x608);
        assertThat(memory.read(fadt + 120, 4)).isEqualTo(0xcf9);
        assertThat(memory.read(fadt + 128, 1)).isEqualTo(6);
        assertThat(ascii(memory.read(fadt + 36, 4), 4)).isEqualTo("FACS");
        assertThat(memory.read(fadt + 36, 4) & 0x3f).isZero();
        long dsdt = memory.read(fadt + 40, 4);
        assertThat(ascii(dsdt, 4)).isEqualTo("DSDT");
        assertThat(sum(dsdt, memory.read(dsdt + 4, 4))).isZero();
    }

    @Test
    void madtListsProcessorsIoApicAndOverrides() {
        long madt = table("APIC");
        StringBuilder types = new StringBuilder();
        long end = madt + memory.read(madt + 4, 4);
        for (long at = madt + 44; at < end; at += memory.read(at + 1, 1)) {
            types.append(memory.read(at, 1)).append(' ');
        }
        assertThat(types).hasToString("0 0 1 2 2 4 ");
    }

    @Test
    void amlLengthsAreEncodedInTheFewestBytes() {
        // Scope (\_SB) of an empty body: opcode, length, root and name
        assertThat(new AmlBuilder().scope("\\_SB", new AmlBuilder()).toBytes())
                .containsExactly(0x10, 6, '\\', '_', 'S', 'B', '_');
        AmlBuilder body = new AmlBuilder();
        for (int i = 0; i < 20; i++) {
            body.integer(0xffff); // three bytes each
        }
        byte[] scope = new AmlBuilder().scope("ABCD", body).toBytes();
        // 60 + 4 + 2 = 66 = 0x42: low four bits in the first byte, the rest in the second
        assertThat(scope).startsWith(0x10, 0x42, 0x04, 'A', 'B', 'C', 'D').hasSize(67);
    }

    @Test
    void eisaIdentifiersAreCompressed() {
        // the ACPI specification's example: PNP0A03 is 030AD041h
        assertThat(new AmlBuilder().nameEisa("_HID", "PNP0A03").toBytes())
                .containsExactly(0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x0a, 0x03);
    }
}
