package dev.pacifica.emulator.device;

/** Where the bytes that leave the serial ports go. */
@FunctionalInterface
public interface SerialSink {
    /** One byte, 0 to 255, left serial port {@code device} (0 = COM1). */
    void write(int device, int value);
}
