package dev.pacifica.emulator.device;

import dev.pacifica.emulator.memory.PhysicalMemory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * The ACPI tables that describe the machine: RSDP, RSDT, XSDT, FADT, FACS, DSDT, MADT and HPET,
 * written into RAM below 1 MiB.
 */
public final class AcpiTables {
    /** The system control interrupt. */
    public static final int SCI = 9;

    private static final int FADT_REVISION = 3;
    private static final int FADT_LENGTH = 244;
    private static final int HEADER = 36;

    // FADT flags (§5.2.9)
    private static final int WBINVD = 1;
    private static final int PROC_C1 = 1 << 2;
    private static final int NO_FIXED_POWER_BUTTON = 1 << 4;
    private static final int NO_FIXED_SLEEP_BUTTON = 1 << 5;
    private static final int NO_FIXED_RTC_WAKE = 1 << 6;
    private static final int TIMER_32_BITS = 1 << 8;
    private static final int RESET_REGISTER = 1 << 10;

    /**
     * Boot architecture: legacy devices, no VGA. No 8042 is announced, so that nobody probes for a
     * keyboard.
     */
    private static final int BOOT_ARCHITECTURE = 1 | 1 << 2;

    /** Interrupt inputs of the I/O APIC that PCI slots share. */
    private static final int FIRST_PCI_INPUT = 16;

    private static final int PCI_SLOTS = 32;

    private final PhysicalMemory memory;
    private long next = MemoryMap.ACPI_TABLES;

    private AcpiTables(PhysicalMemory memory) {
        this.memory = memory;
    }

    /**
     * Writes the tables for this many processors and returns the address of the RSDP; 0 if there is
     * no RAM for them.
     */
    public static long install(PhysicalMemory memory, int processors) {
        if (memory.lowSize() < MemoryMap.ONE_MIB) {
            return 0;
        }
        return new AcpiTables(memory).writeAll(processors);
    }

    private long writeAll(int processors) {
        long facs = MemoryMap.ACPI_FACS;
        write(facs, facs());
        long dsdt = place(table("DSDT", 2, dsdt(memory.lowSize(), processors)));
        List<Long> tables = new ArrayList<>();
        tables.add(place(fadt(facs, dsdt)));
        tables.add(place(table("APIC", 2, madt(processors))));
        tables.add(place(table("HPET", 1, hpet())));
        ByteBuffer narrow = buffer(4 * tables.size());
        ByteBuffer wide = buffer(8 * tables.size());
        for (long address : tables) {
            narrow.putInt((int) address);
            wide.putLong(address);
        }
        long rsdt = place(table("RSDT", 1, narrow.array()));
        long xsdt = place(table("XSDT", 1, wide.array()));
        write(MemoryMap.BIOS, rsdp(rsdt, xsdt));
        return MemoryMap.BIOS;
    }

    private static ByteBuffer buffer(int size) {
        return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    private long place(byte[] table) {
        long at = next;
        next = at + table.length + 15 & -16;
        if (next > MemoryMap.ACPI_FACS) {
            throw new IllegalStateException(
                    "the ACPI tables need more than their %d bytes"
                            .formatted(MemoryMap.ACPI_FACS - MemoryMap.ACPI_TABLES));
        }
        write(at, table);
        return at;
    }

    private void write(long at, byte[] bytes) {
        memory.write(at, bytes, 0, bytes.length);
    }

    /** Puts the common header (§5.2.6) before a body. */
    private static byte[] table(String signature, int revision, byte[] body) {
        byte[] table =
                buffer(HEADER + body.length)
                        .put(ascii(signature))
                        .putInt(HEADER + body.length)
                        .put((byte) revision)
                        .put((byte) 0)
                        .put(ascii("PACIFI"))
                        .put(ascii("PACIFICA"))
                        .putInt(1)
                        .put(ascii("PCFC"))
                        .putInt(1)
                        .put(body)
                        .array();
        table[9] = checksum(table, table.length);
        return table;
    }

    /** The byte that makes the first {@code length} bytes sum up to zero. */
    private static byte checksum(byte[] bytes, int length) {
        int sum = 0;
        for (int i = 0; i < length; i++) {
            sum += bytes[i];
        }
        return (byte) -sum;
    }

    private static byte[] rsdp(long rsdt, long xsdt) {
        byte[] pointer =
                buffer(36)
                        .put(ascii("RSD PTR "))
                        .put((byte) 0)
                        .put(ascii("PACIFI"))
                        .put((byte) 2)
                        .putInt((int) rsdt)
                        .putInt(36)
                        .putLong(xsdt)
                        .array();
        pointer[8] = checksum(pointer, 20);
        pointer[32] = checksum(pointer, 36);
        return pointer;
    }

    private static byte[] facs() {
        return buffer(64)
                .put(ascii("FACS"))
                .putInt(64)
                .putInt(0)
                .putInt(0)
                .putInt(0)
                .putInt(0)
                .putLong(0)
                .put((byte) 1)
                .array();
    }

    private static byte[] fadt(long facs, long dsdt) {
        ByteBuffer b = buffer(FADT_LENGTH);
        b.putInt(36, (int) facs).putInt(40, (int) dsdt);
        b.put(45, (byte) 1); // preferred profile: desktop
        b.putShort(46, (short) SCI);
        // no SMI command port (48): the machine always is in ACPI mode
        b.putInt(56, AcpiPm.PM1_EVENT)
                .putInt(64, AcpiPm.PM1_CONTROL)
                .putInt(76, AcpiPm.PM_TIMER)
                .putInt(80, AcpiPm.GPE0);
        b.put(88, (byte) 4).put(89, (byte) 2).put(91, (byte) 4).put(92, (byte) AcpiPm.GPE0_LENGTH);
        b.putShort(96, (short) 0xfff)
                .putShort(98, (short) 0xfff); // latencies that say: no C2, no C3
        b.put(108, (byte) Rtc.CENTURY);
        b.putShort(109, (short) BOOT_ARCHITECTURE);
        b.putInt(
                112,
                WBINVD
                        | PROC_C1
                        | NO_FIXED_POWER_BUTTON
                        | NO_FIXED_SLEEP_BUTTON
                        | NO_FIXED_RTC_WAKE
                        | TIMER_32_BITS
                        | RESET_REGISTER);
        ioAddress(b, 116, PciHost.RESET_PORT, 8);
        b.put(128, (byte) PciHost.RESET_VALUE);
        b.putLong(132, facs).putLong(140, dsdt);
        ioAddress(b, 148, AcpiPm.PM1_EVENT, 32);
        ioAddress(b, 172, AcpiPm.PM1_CONTROL, 16);
        ioAddress(b, 208, AcpiPm.PM_TIMER, 32);
        ioAddress(b, 220, AcpiPm.GPE0, 8 * AcpiPm.GPE0_LENGTH);
        byte[] body = new byte[FADT_LENGTH - HEADER];
        b.get(HEADER, body);
        return table("FACP", FADT_REVISION, body);
    }

    /** A generic address structure (§5.2.3.2) in I/O space. */
    private static void ioAddress(ByteBuffer b, int at, int port, int bits) {
        b.put(at, (byte) 1)
                .put(at + 1, (byte) bits)
                .put(at + 3, (byte) (bits == 8 ? 1 : bits == 16 ? 2 : 3))
                .putLong(at + 4, port);
    }

    private static byte[] madt(int processors) {
        ByteBuffer b = buffer(8 + 16 * processors + 12 + 10 + 10 + 6);
        b.putInt(0xfee0_0000).putInt(1); // with 8259s
        for (int i = 0; i < processors; i++) {
            if (i < 255) {
                b.put((byte) 0).put((byte) 8).put((byte) i).put((byte) i).putInt(1);
            } else {
                b.put((byte) 9).put((byte) 16).putShort((short) 0).putInt(i).putInt(1).putInt(i);
            }
        }
        b.put((byte) 1)
                .put((byte) 12)
                .put((byte) 0)
                .put((byte) 0)
                .putInt((int) IoApic.BASE)
                .putInt(0);
        override(b, 0, 2, 0); // the PIT is on input 2
        override(b, SCI, SCI, 0xd); // active high, level
        b.put((byte) 4)
                .put((byte) 6)
                .put((byte) 0xff)
                .putShort((short) 0)
                .put((byte) 1); // NMI is LINT1 of all
        byte[] body = new byte[b.position()];
        b.get(0, body);
        return body;
    }

    private static void override(ByteBuffer b, int irq, int input, int flags) {
        b.put((byte) 2)
                .put((byte) 10)
                .put((byte) 0)
                .put((byte) irq)
                .putInt(input)
                .putShort((short) flags);
    }

    private static byte[] hpet() {
        return buffer(20)
                .putInt(Hpet.CAPABILITIES)
                .put((byte) 0)
                .put((byte) 64)
                .put((byte) 0)
                .put((byte) 0)
                .putLong(Hpet.BASE)
                .put((byte) 0)
                .putShort((short) 0x80)
                .put((byte) 1) // alone in its page
                .array();
    }

    private static byte[] dsdt(long lowMemory, int processors) {
        AmlBuilder system = new AmlBuilder().device("PCI0", pciRoot(lowMemory));
        system.device(
                "HPET",
                new AmlBuilder()
                        .nameEisa("_HID", "PNP0103")
                        .name("_UID", 0)
                        .nameResources("_CRS", new AmlBuilder().fixedMemory(Hpet.BASE, 0x400)));
        for (int i = 0; i < processors; i++) {
            system.device(
                    "C%03X".formatted(i),
                    new AmlBuilder().name("_HID", "ACPI0007").name("_UID", i));
        }
        AmlBuilder sleepOff =
                new AmlBuilder().integer(AcpiPm.SLEEP_TYPE_OFF).integer(0).integer(0).integer(0);
        return new AmlBuilder().scope("\\_SB", system).namePackage("\\_S5", 4, sleepOff).toBytes();
    }

    private static AmlBuilder pciRoot(long lowMemory) {
        AmlBuilder resources =
                new AmlBuilder()
                        .busRange(0, 0xff)
                        .ioPorts(PciHost.PORT, 8)
                        .ioRange(0, PciHost.PORT - 1)
                        .ioRange(PciHost.PORT + 8, 0xffff)
                        .memoryRange(0xa_0000, 0xb_ffff)
                        .memoryRange(Math.max(lowMemory, 0x8000_0000L), IoApic.BASE - 1);
        AmlBuilder routes = new AmlBuilder();
        int count = 0;
        for (int slot = 1; slot < PCI_SLOTS; slot++) {
            for (int pin = 0; pin < 4; pin++) {
                AmlBuilder route =
                        new AmlBuilder()
                                .integer((long) slot << 16 | 0xffff)
                                .integer(pin)
                                .integer(0)
                                .integer(FIRST_PCI_INPUT + (slot + pin & 3));
                routes.packageOf(4, route);
                count++;
            }
        }
        AmlBuilder isa =
                new AmlBuilder()
                        .name("_ADR", 1 << 16)
                        .device("COM1", legacy("PNP0501", 1, 0x3f8, 8, 4))
                        .device("COM2", legacy("PNP0501", 2, 0x2f8, 8, 3))
                        .device("RTC", legacy("PNP0B00", 0, 0x70, 2, 8))
                        .device("FWCF", firmwareConfiguration());
        return new AmlBuilder()
                .nameEisa("_HID", "PNP0A03")
                .name("_UID", 0)
                .nameResources("_CRS", resources)
                .namePackage("_PRT", count, routes)
                .device("ISA", isa);
    }

    private static AmlBuilder legacy(String id, int unit, int port, int count, int irq) {
        return new AmlBuilder()
                .nameEisa("_HID", id)
                .name("_UID", unit)
                .nameResources("_CRS", new AmlBuilder().ioPorts(port, count).irq(irq));
    }

    private static AmlBuilder firmwareConfiguration() {
        return new AmlBuilder()
                .name("_HID", "QEMU0002")
                .name("_STA", 0xb)
                .nameResources("_CRS", new AmlBuilder().ioPorts(FwCfg.PORT, FwCfg.PORTS));
    }
}
