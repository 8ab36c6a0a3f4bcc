package dev.pacifica.emulator.boot;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Makes small ELF executables for tests. */
final class ElfFile {
    private record Header(
            int type, long virtual, long physical, byte[] contents, long memorySize) {}

    private final boolean wide;
    private final List<Header> headers = new ArrayList<>();
    private long entry;
    private int machine = 62;

    private ElfFile(boolean wide) {
        this.wide = wide;
    }

    static ElfFile of32() {
        ElfFile file = new ElfFile(false);
        file.machine = 3;
        return file;
    }

    static ElfFile of64() {
        return new ElfFile(true);
    }

    ElfFile entry(long address) {
        entry = address;
        return this;
    }

    ElfFile machine(int number) {
        machine = number;
        return this;
    }

    ElfFile segment(long virtual, long physical, byte[] contents, long memorySize) {
        headers.add(new Header(1, virtual, physical, contents, memorySize));
        return this;
    }

    /** The note of a PVH kernel, after another note that must be skipped. */
    ElfFile pvhEntry(int address) {
        ByteBuffer note = ByteBuffer.allocate(24 + 20).order(ByteOrder.LITTLE_ENDIAN);
        note.putInt(6)
                .putInt(1)
                .putInt(7)
                .put("Linux\0".getBytes(StandardCharsets.US_ASCII))
                .put(new byte[2])
                .put((byte) 9)
                .put(new byte[3]);
        note.putInt(4)
                .putInt(4)
                .putInt(18)
                .put("Xen\0".getBytes(StandardCharsets.US_ASCII))
                .putInt(address);
        headers.add(new Header(4, 0, 0, note.array(), note.capacity()));
        return this;
    }

    byte[] toBytes() {
        int headerSize = wide ? 64 : 52;
        int entrySize = wide ? 56 : 32;
        int size = headerSize + entrySize * headers.size();
        for (Header header : headers) {
            size += header.contents.length;
        }
        ByteBuffer b = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
        b.put(new byte[] {0x7f, 'E', 'L', 'F', (byte) (wide ? 2 : 1), 1, 1});
        b.putShort(16, (short) 2).putShort(18, (short) machine).putInt(20, 1);
        if (wide) {
            b.putLong(24, entry)
                    .putLong(32, headerSize)
                    .putShort(54, (short) entrySize)
                    .putShort(56, (short) headers.size());
        } else {
            b.putInt(24, (int) entry)
                    .putInt(28, headerSize)
                    .putShort(42, (short) entrySize)
                    .putShort(44, (short) headers.size());
        }
        int at = headerSize;
        int data = headerSize + entrySize * headers.size();
        for (Header h : headers) {
            b.position(at);
            if (wide) {
                b.putInt(h.type)
                        .putInt(7)
                        .putLong(data)
                        .putLong(h.virtual)
                        .putLong(h.physical)
                        .putLong(h.contents.length)
                        .putLong(h.memorySize);
            } else {
                b.putInt(h.type)
                        .putInt(data)
                        .putInt((int) h.virtual)
                        .putInt((int) h.physical)
                        .putInt(h.contents.length)
                        .putInt((int) h.memorySize);
            }
            b.position(data);
            b.put(h.contents);
            at += entrySize;
            data += h.contents.length;
        }
        return b.array();
    }
}
