package dev.pacifica.emulator.device;

import dev.pacifica.emulator.memory.PortDevice;

/**
 * The debug-exit port: writing {@code v} ends the machine with status {@code (v << 1) | 1}, so that
 * the guest can't feign success.
 */
public final class DebugExit implements PortDevice {
    /** Its first I/O port, of four. */
    public static final int PORT = 0xf4;

    private final StopRequest stop;

    public DebugExit(StopRequest stop) {
        this.stop = stop;
    }

    @Override
    public int in(int port, int size) {
        return 0;
    }

    @Override
    public void out(int port, int size, int value) {
        int wide = size == 4 ? value : value & (1 << 8 * size) - 1;
        stop.stop(StopRequest.DEBUG_EXIT, wide << 1 | 1);
    }
}
