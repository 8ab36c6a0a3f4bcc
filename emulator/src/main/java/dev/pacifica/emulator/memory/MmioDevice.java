package dev.pacifica.emulator.memory;

/**
 * A device behind physical addresses. Sizes are 1, 2, 4 or 8 bytes; an access never crosses the end
 * of the region.
 */
public interface MmioDevice {
    /** The value read, zero-extended; {@code offset} is relative to the region's start. */
    long read(long offset, int size);

    void write(long offset, int size, long value);
}
