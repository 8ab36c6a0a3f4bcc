package dev.pacifica.emulator.device;

import dev.pacifica.emulator.memory.PortDevice;

/**
 * A device whose ports are one byte wide: wider accesses go to the ports in ascending order, as on
 * the ISA bus.
 */
interface BytePortDevice extends PortDevice {
    /** The byte at {@code port}, 0 to 255. */
    int inByte(int port);

    /** Writes {@code value}, 0 to 255. */
    void outByte(int port, int value);

    @Override
    default int in(int port, int size) {
        int value = 0;
        for (int i = 0; i < size; i++) {
            value |= (inByte(port + i & 0xffff) & 0xff) << 8 * i;
        }
        return value;
    }

    @Override
    default void out(int port, int size, int value) {
        for (int i = 0; i < size; i++) {
            outByte(port + i & 0xffff, value >>> 8 * i & 0xff);
        }
    }
}
