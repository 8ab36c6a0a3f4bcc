package dev.pacifica.emulator.memory;

/** A device behind I/O ports. Sizes are 1, 2 or 4 bytes. */
public interface PortDevice {
    /** The value read, zero-extended. */
    int in(int port, int size);

    void out(int port, int size, int value);
}
