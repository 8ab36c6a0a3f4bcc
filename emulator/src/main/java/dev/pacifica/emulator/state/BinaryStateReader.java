package dev.pacifica.emulator.state;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Reads what {@link BinaryStateWriter} wrote. */
public final class BinaryStateReader implements StateReader {
    private final ByteBuffer buffer;
    private String section = "(start)";

    public BinaryStateReader(byte[] state) {
        buffer = ByteBuffer.wrap(state).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Whether everything was read. */
    public boolean atEnd() {
        return !buffer.hasRemaining();
    }

    private void need(String name, int bytes) {
        if (bytes < 0 || buffer.remaining() < bytes) {
            throw new StateFormatException(
                    "the saved state ends inside section %s, field %s (byte %d)"
                            .formatted(section, name, buffer.position()));
        }
    }

    @Override
    public void section(String name) {
        need(name, 8);
        if (buffer.getInt() != BinaryStateWriter.SECTION_MARK) {
            throw new StateFormatException(
                    "the saved state has no section where %s should begin, after %s (byte %d)"
                            .formatted(name, section, buffer.position() - 4));
        }
        String found = new String(bytes("name"), StandardCharsets.UTF_8);
        if (!found.equals(name)) {
            throw new StateFormatException(
                    "the saved state has section %s where this machine has %s"
                            .formatted(found, name));
        }
        section = name;
    }

    @Override
    public int u8(String name) {
        need(name, 1);
        return buffer.get() & 0xff;
    }

    @Override
    public int u16(String name) {
        need(name, 2);
        return buffer.getShort() & 0xffff;
    }

    @Override
    public int u32(String name) {
        need(name, 4);
        return buffer.getInt();
    }

    @Override
    public long u64(String name) {
        need(name, 8);
        return buffer.getLong();
    }

    @Override
    public byte[] bytes(String name) {
        int length = u32(name);
        need(name, length);
        byte[] value = new byte[length];
        buffer.get(value);
        return value;
    }

    @Override
    public void bytes(String name, byte[] into) {
        int length = u32(name);
        if (length != into.length) {
            throw new StateFormatException(
                    "field %s of section %s has %d bytes, this machine expects %d"
                            .formatted(name, section, length, into.length));
        }
        need(name, length);
        buffer.get(into);
    }

    @Override
    public void longs(String name, long[] into) {
        int length = u32(name);
        if (length != into.length) {
            throw new StateFormatException(
                    "field %s of section %s has %d values, this machine expects %d"
                            .formatted(name, section, length, into.length));
        }
        need(name, Math.multiplyExact(8, length));
        for (int i = 0; i < length; i++) {
            into[i] = buffer.getLong();
        }
    }
}
