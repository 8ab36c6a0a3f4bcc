package dev.pacifica.emulator.device;

import dev.pacifica.emulator.memory.PortDevice;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import dev.pacifica.emulator.time.VirtualClock;

/**
 * ACPI's fixed hardware: PM1a event block (600h), PM1a control (604h), the 32-bit PM timer (608h)
 * and a general-purpose event block without events (620h). The machine always is in ACPI mode;
 * SLP_TYP 0 with SLP_EN is \_S5, power-off.
 */
public final class AcpiPm implements PortDevice, Stateful {
    /** I/O port of the PM1a event block: status, enable. */
    public static final int PM1_EVENT = 0x600;

    public static final int PM1_CONTROL = 0x604;
    public static final int PM_TIMER = 0x608;
    public static final int GPE0 = 0x620;
    public static final int GPE0_LENGTH = 4;

    /** SLP_TYP of \_S5. */
    public static final int SLEEP_TYPE_OFF = 0;

    /** PM timer frequency in Hz. */
    public static final long TIMER_HERTZ = 3_579_545;

    private static final Oscillator OSCILLATOR = new Oscillator(TIMER_HERTZ);
    private static final int TIMER_STATUS = 1;
    private static final int SCI_ENABLED = 1;
    private static final int SLEEP_ENABLE = 1 << 13;

    /** Enable bits: timer, global lock, power button, sleep button, RTC. */
    private static final int ENABLE_WRITABLE = 0x0721;

    private final VirtualClock clock;
    private final InterruptLine sci;
    private final StopRequest stop;
    private final VirtualClock.Timer timer;

    private int status;
    private int enable;
    private int control = SCI_ENABLED;
    private int gpeEnable;

    /** How often the timer's top bit had changed when software last cleared its status. */
    private long togglesSeen;

    public AcpiPm(VirtualClock clock, InterruptLine sci, StopRequest stop) {
        this.clock = clock;
        this.sci = sci;
        this.stop = stop;
        timer = clock.timer("acpi.timer", now -> update());
    }

    private long count() {
        return OSCILLATOR.clocks(clock.now());
    }

    private long toggles() {
        return count() >> 31;
    }

    private int status() {
        return status | (toggles() > togglesSeen ? TIMER_STATUS : 0);
    }

    @Override
    public int in(int port, int size) {
        int first = port >= GPE0 ? GPE0 : port & ~3;
        int value =
                switch (first) {
                    case GPE0 -> gpeEnable << 16;
                    case PM_TIMER -> (int) count();
                    case PM1_CONTROL -> control;
                    default -> enable << 16 | status();
                };
        int shifted = value >>> 8 * (port - first);
        return size == 4 ? shifted : shifted & (1 << 8 * size) - 1;
    }

    @Override
    public void out(int port, int size, int value) {
        int mask = size == 4 ? -1 : (1 << 8 * size) - 1;
        int shift = 8 * (port & 3);
        int bits = (value & mask) << shift;
        int written = mask << shift;
        if (port >= GPE0) {
            gpeEnable = gpeEnable & ~(written >>> 16) | bits >>> 16;
        } else if (port >= PM_TIMER) {
            return; // read-only
        } else if (port >= PM1_CONTROL) {
            writeControl(control & ~written & 0xffff | bits & 0xffff);
        } else {
            if ((bits & TIMER_STATUS) != 0) {
                togglesSeen = toggles();
            }
            status &= ~bits;
            enable = (enable & ~(written >>> 16) | bits >>> 16) & ENABLE_WRITABLE;
            update();
        }
    }

    private void writeControl(int value) {
        control = value & 0x1c06 | SCI_ENABLED;
        if ((value & SLEEP_ENABLE) != 0 && (value >> 10 & 7) == SLEEP_TYPE_OFF) {
            stop.stop(StopRequest.POWER_OFF, 0);
        }
    }

    private void update() {
        boolean asserted = (status() & enable) != 0;
        sci.set(asserted);
        if ((enable & TIMER_STATUS) != 0 && !asserted) {
            timer.arm(OSCILLATOR.tick(toggles() + 1 << 31));
        } else {
            timer.cancel();
        }
    }

    @Override
    public void save(StateWriter out) {
        out.section("acpi");
        out.u16("status", status);
        out.u16("enable", enable);
        out.u16("control", control);
        out.u16("gpeEnable", gpeEnable);
        out.u64("togglesSeen", togglesSeen);
    }

    @Override
    public void load(StateReader in) {
        in.section("acpi");
        status = in.u16("status");
        enable = in.u16("enable");
        control = in.u16("control");
        gpeEnable = in.u16("gpeEnable");
        togglesSeen = in.u64("togglesSeen");
    }
}
