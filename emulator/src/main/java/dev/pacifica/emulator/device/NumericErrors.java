package dev.pacifica.emulator.device;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import java.util.List;

/**
 * How a PC reports x87 errors to software that leaves CR0.NE clear: FERR raises interrupt 13; a
 * write to port F0h lowers it and lets the processors go on (IGNNE) until the error is gone.
 */
public final class NumericErrors implements BytePortDevice, Stateful {
    public static final int PORT = 0xf0;

    private final List<Cpu> cpus;
    private final InterruptLine interrupt;
    private boolean asserted;

    public NumericErrors(List<Cpu> cpus, InterruptLine interrupt) {
        this.cpus = cpus;
        this.interrupt = interrupt;
        for (Cpu cpu : cpus) {
            cpu.fpu.setErrorLine(() -> set(!cpu.fpu.errorIgnored() || asserted));
        }
    }

    private void set(boolean level) {
        asserted = level;
        interrupt.set(level);
    }

    @Override
    public int inByte(int port) {
        return 0xff;
    }

    /** What is written does not matter. */
    @Override
    public void outByte(int port, int value) {
        if (port == PORT) {
            set(false);
            for (Cpu cpu : cpus) {
                cpu.fpu.ignoreError();
            }
        }
    }

    @Override
    public void save(StateWriter out) {
        out.section("numeric-errors");
        out.flag("asserted", asserted);
    }

    @Override
    public void load(StateReader in) {
        in.section("numeric-errors");
        asserted = in.flag("asserted");
    }
}
