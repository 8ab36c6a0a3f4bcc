package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;

/**
 * I/O trapping, the internal source of SMIs (§15.22.1): the MSRs SMI_ON_IO_TRAP_0 to 3 (C001_0050h
 * on), their control (C001_0054h) and SMI_TRIGGER_IO_CYCLE (C001_0056h), as family 19h has them.
 * Only IN and OUT are trapped, no string instructions.
 */
final class IoTraps implements Stateful {
    static final int FIRST_MSR = 0xc001_0050;
    static final int CONTROL_MSR = 0xc001_0054;
    static final int TRIGGER_MSR = 0xc001_0056;

    private static final int TRAPS = 4;
    private static final long ON_READ = 1L << 63;
    private static final long ON_WRITE = 1L << 62;
    private static final long CONFIGURATION = 1L << 61;
    private static final long ENTRY_DEFINED = 0xe0ff_ffff_ffff_ffffL;
    private static final long CONTROL_DEFINED = 0x80aa;
    private static final long ENABLED = 1 << 15;
    private static final long CYCLE_READS = 1 << 26;
    private static final long CYCLE_ENABLED = 1 << 25;
    private static final long TRIGGER_DEFINED = 0x06ff_ffff;
    private static final int CONFIGURATION_ADDRESS = 0xcf8;
    private static final int CONFIGURATION_DATA = 0xcfc;

    private final Cpu cpu;
    private final long[] entry = new long[TRAPS];
    private long control;
    private long trigger;

    IoTraps(Cpu cpu) {
        this.cpu = cpu;
    }

    long readMsr(int msr) {
        return switch (msr) {
            case CONTROL_MSR -> control;
            case TRIGGER_MSR -> trigger;
            default -> entry[msr - FIRST_MSR];
        };
    }

    void writeMsr(int msr, long value) {
        switch (msr) {
            case CONTROL_MSR -> control = value & CONTROL_DEFINED;
            case TRIGGER_MSR -> trigger = value & TRIGGER_DEFINED;
            default -> entry[msr - FIRST_MSR] = value & ENTRY_DEFINED;
        }
    }

    boolean enabled() {
        return (control & ENABLED) != 0;
    }

    /** The traps that IN (true) or OUT at the port meets, a bit each. */
    int hits(int port, boolean in) {
        int hits = 0;
        boolean configuration = (port & ~3) == CONFIGURATION_DATA;
        int selected = configuration ? cpu.ports.in(CONFIGURATION_ADDRESS, 4) : 0;
        configuration &= selected < 0;
        int address = configuration ? selected : port;
        for (int i = 0; i < TRAPS; i++) {
            long trap = entry[i];
            long compared = 0xff00_0000L | trap >>> 32 & 0xff_ffff;
            boolean on =
                    (control >>> 2 * i + 1 & 1) != 0
                            && (trap & (in ? ON_READ : ON_WRITE)) != 0
                            && (trap & CONFIGURATION) != 0 == configuration;
            if (on && ((address ^ trap) & compared) == 0) {
                hits |= 1 << i;
            }
        }
        return hits;
    }

    /** The byte that is read or written when a trap is met, so that the chipset learns of it. */
    void cycle() {
        if ((trigger & CYCLE_ENABLED) == 0) {
            return;
        }
        int port = (int) trigger & 0xffff;
        if ((trigger & CYCLE_READS) != 0) {
            cpu.ports.in(port, 1);
        } else {
            cpu.ports.out(port, 1, (int) (trigger >>> 16) & 0xff);
        }
    }

    void reset() {
        java.util.Arrays.fill(entry, 0);
        control = 0;
        trigger = 0;
    }

    @Override
    public void save(StateWriter out) {
        out.longs("ioTraps", entry);
        out.u64("ioTrapControl", control);
        out.u64("smiTriggerCycle", trigger);
    }

    @Override
    public void load(StateReader in) {
        in.longs("ioTraps", entry);
        control = in.u64("ioTrapControl");
        trigger = in.u64("smiTriggerCycle");
    }
}
