package dev.pacifica.emulator.state;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Writes a state as little-endian bytes: values without names, each section headed by its name. */
public final class BinaryStateWriter implements StateWriter {
    /** Precedes a section's name, so that a misread is noticed. */
    static final int SECTION_MARK = 0x5ec7_10a5;

    private ByteBuffer buffer = ByteBuffer.allocate(1 << 16).order(ByteOrder.LITTLE_ENDIAN);

    /** What was written so far. */
    public byte[] toByteArray() {
        return Arrays.copyOf(buffer.array(), buffer.position());
    }

    private ByteBuffer room(int bytes) {
        if (buffer.remaining() < bytes) {
            int size = Math.max(buffer.capacity() * 2, buffer.position() + bytes);
            buffer =
                    ByteBuffer.wrap(Arrays.copyOf(buffer.array(), size))
                            .order(ByteOrder.LITTLE_ENDIAN)
                            .position(buffer.position());
        }
        return buffer;
    }

    @Override
    public void section(String name) {
        room(4).putInt(SECTION_MARK);
        bytes("name", name.getBytes(StandardCharsets.UTF_8));
    }

    @Override
    public void u8(String name, int value) {
        room(1).put((byte) value);
    }

    @Override
    public void u16(String name, int value) {
        room(2).putShort((short) value);
    }

    @Override
    public void u32(String name, int value) {
        room(4).putInt(value);
    }

    @Override
    public void u64(String name, long value) {
        room(8).putLong(value);
    }

    @Override
    public void bytes(String name, byte[] value) {
        room(4 + value.length).putInt(value.length).put(value);
    }

    @Override
    public void longs(String name, long[] value) {
        room(4 + 8 * value.length).putInt(value.length);
        for (long each : value) {
            buffer.putLong(each);
        }
    }
}
