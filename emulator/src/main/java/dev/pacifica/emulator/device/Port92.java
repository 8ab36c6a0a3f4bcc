package dev.pacifica.emulator.device;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;

/**
 * System control port A: bit 0 resets, bit 1 is the fast A20 gate, which is stored and has no
 * effect (A20 always is on).
 */
public final class Port92 implements BytePortDevice, Stateful {
    private final StopRequest stop;
    private int value = 2;

    public Port92(StopRequest stop) {
        this.stop = stop;
    }

    @Override
    public int inByte(int port) {
        return value;
    }

    @Override
    public void outByte(int port, int written) {
        if ((written & ~value & 1) != 0) {
            stop.stop(StopRequest.RESET, 0);
        }
        value = written & 3;
    }

    @Override
    public void save(StateWriter out) {
        out.section("port92");
        out.u8("value", value);
    }

    @Override
    public void load(StateReader in) {
        in.section("port92");
        value = in.u8("value");
    }
}
