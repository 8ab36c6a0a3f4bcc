package dev.pacifica.emulator.device;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/**
 * Writes ACPI Machine Language (ACPI specification §20.2): enough of it to describe a PC's devices.
 * Each method appends one object or resource descriptor; what encloses others takes them as a
 * finished builder.
 */
final class AmlBuilder {
    private static final int SCOPE = 0x10;
    private static final int BUFFER = 0x11;
    private static final int PACKAGE = 0x12;
    private static final int NAME = 0x08;
    private static final int EXTENDED = 0x5b;
    private static final int DEVICE = 0x82;

    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    byte[] toBytes() {
        return out.toByteArray();
    }

    AmlBuilder scope(String path, AmlBuilder contents) {
        out.write(SCOPE);
        return enclosed(path, contents);
    }

    AmlBuilder device(String name, AmlBuilder contents) {
        out.write(EXTENDED);
        out.write(DEVICE);
        return enclosed(name, contents);
    }

    private AmlBuilder enclosed(String path, AmlBuilder contents) {
        byte[] name = nameString(path);
        packageLength(name.length + contents.out.size());
        out.writeBytes(name);
        out.writeBytes(contents.toBytes());
        return this;
    }

    AmlBuilder name(String name, long value) {
        return startName(name).integer(value);
    }

    AmlBuilder name(String name, String text) {
        startName(name).out.write(0x0d);
        out.writeBytes(text.getBytes(StandardCharsets.US_ASCII));
        out.write(0);
        return this;
    }

    /** A compressed EISA identifier such as {@code PNP0A03}. */
    AmlBuilder nameEisa(String name, String id) {
        int value =
                (id.charAt(0) - 0x40) << 26
                        | (id.charAt(1) - 0x40) << 21
                        | (id.charAt(2) - 0x40) << 16
                        | Integer.parseInt(id, 3, 7, 16);
        startName(name).out.write(0x0c);
        return bytes(Integer.reverseBytes(value), 4);
    }

    /** A package of {@code count} elements. */
    AmlBuilder namePackage(String name, int count, AmlBuilder elements) {
        return startName(name).packageOf(count, elements);
    }

    /** A resource template; the end tag is added here. */
    AmlBuilder nameResources(String name, AmlBuilder descriptors) {
        byte[] contents = descriptors.bytes(0x79, 2).toBytes(); // checksum 0: none
        byte[] size = new AmlBuilder().integer(contents.length).toBytes();
        startName(name).out.write(BUFFER);
        packageLength(size.length + contents.length);
        out.writeBytes(size);
        out.writeBytes(contents);
        return this;
    }

    private AmlBuilder startName(String name) {
        out.write(NAME);
        out.writeBytes(nameString(name));
        return this;
    }

    AmlBuilder packageOf(int count, AmlBuilder elements) {
        out.write(PACKAGE);
        packageLength(1 + elements.out.size());
        out.write(count);
        out.writeBytes(elements.toBytes());
        return this;
    }

    /** An integer constant in its shortest form, unsigned. */
    AmlBuilder integer(long value) {
        if (value == 0 || value == 1) {
            out.write((int) value);
        } else if (value >>> 8 == 0) {
            out.write(0x0a);
            bytes(value, 1);
        } else if (value >>> 16 == 0) {
            out.write(0x0b);
            bytes(value, 2);
        } else if (value >>> 32 == 0) {
            out.write(0x0c);
            bytes(value, 4);
        } else {
            out.write(0x0e);
            bytes(value, 8);
        }
        return this;
    }

    // ---- resource descriptors (§6.4) ----

    AmlBuilder ioPorts(int first, int count) {
        return bytes(0x47, 1)
                .bytes(1, 1)
                .bytes(first, 2)
                .bytes(first, 2)
                .bytes(1, 1)
                .bytes(count, 1);
    }

    AmlBuilder irq(int irq) {
        return bytes(0x22, 1).bytes(1L << irq, 2);
    }

    AmlBuilder fixedMemory(long base, long length) {
        return bytes(0x86, 1).bytes(9, 2).bytes(1, 1).bytes(base, 4).bytes(length, 4);
    }

    /** Buses {@code first} to {@code last} that a bridge produces. */
    AmlBuilder busRange(int first, int last) {
        return bytes(0x88, 1)
                .bytes(13, 2)
                .bytes(2, 1)
                .bytes(0xc, 1)
                .bytes(0, 1)
                .range(first, last, 2);
    }

    AmlBuilder ioRange(int first, int last) {
        return bytes(0x88, 1)
                .bytes(13, 2)
                .bytes(1, 1)
                .bytes(0xc, 1)
                .bytes(3, 1)
                .range(first, last, 2);
    }

    /** Memory that a bridge passes on, uncached and writable. */
    AmlBuilder memoryRange(long first, long last) {
        return bytes(0x87, 1)
                .bytes(23, 2)
                .bytes(0, 1)
                .bytes(0xc, 1)
                .bytes(1, 1)
                .range(first, last, 4);
    }

    /** Granularity, minimum, maximum, translation, length, each of {@code width} bytes. */
    private AmlBuilder range(long first, long last, int width) {
        return bytes(0, width)
                .bytes(first, width)
                .bytes(last, width)
                .bytes(0, width)
                .bytes(last - first + 1, width);
    }

    // ---- encoding ----

    private AmlBuilder bytes(long value, int count) {
        for (int i = 0; i < count; i++) {
            out.write((int) (value >>> 8 * i) & 0xff);
        }
        return this;
    }

    /** The length counts its own bytes too. */
    private void packageLength(int contents) {
        if (contents + 1 < 0x40) {
            out.write(contents + 1);
            return;
        }
        int following = contents + 2 < 1 << 12 ? 1 : contents + 3 < 1 << 20 ? 2 : 3;
        int length = contents + 1 + following;
        out.write(following << 6 | length & 0xf);
        bytes(length >> 4, following);
    }

    private static byte[] nameString(String path) {
        ByteArrayOutputStream name = new ByteArrayOutputStream();
        String rest = path;
        if (rest.startsWith("\\")) {
            name.write('\\');
            rest = rest.substring(1);
        }
        String[] segments = rest.split("\\.");
        if (segments.length == 2) {
            name.write(0x2e);
        } else if (segments.length > 2) {
            name.write(0x2f);
            name.write(segments.length);
        }
        for (String segment : segments) {
            name.writeBytes((segment + "____").substring(0, 4).getBytes(StandardCharsets.US_ASCII));
        }
        return name.toByteArray();
    }
}
