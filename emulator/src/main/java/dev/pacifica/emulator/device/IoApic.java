package dev.pacifica.emulator.device;

import dev.pacifica.emulator.memory.MmioDevice;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;

/**
 * The I/O APIC at FEC00000h: 24 inputs, version 20h (with an EOI register). Inputs are told whether
 * they are asserted; the polarity bit of an entry is stored and has no effect.
 */
public final class IoApic implements MmioDevice, Stateful {
    /** Where it is mapped. */
    public static final long BASE = 0xfec0_0000L;

    public static final int PINS = 24;

    private static final int VERSION = 0x20 | PINS - 1 << 16;
    private static final long REMOTE_IRR = 1 << 14;
    private static final long LEVEL = 1 << 15;
    private static final long MASKED = 1 << 16;
    private static final long LOGICAL = 1 << 11;
    private static final long READ_ONLY = 1 << 12 | REMOTE_IRR;
    private static final long WRITABLE_LOW = 0x1_afff;

    private final ApicBus bus;
    private int select;
    private int id;
    private final long[] redirection = new long[PINS];

    /** Bit n: input n is asserted. */
    private int lines;

    public IoApic(ApicBus bus) {
        this.bus = bus;
        for (int pin = 0; pin < PINS; pin++) {
            redirection[pin] = MASKED;
        }
        bus.attach(this);
    }

    /** Drives an input, 0 to 23. An edge on a masked input is lost. */
    public void setPin(int pin, boolean asserted) {
        int bit = 1 << pin;
        boolean was = (lines & bit) != 0;
        lines = asserted ? lines | bit : lines & ~bit;
        if (asserted && ((redirection[pin] & LEVEL) != 0 || !was)) {
            service(pin);
        }
    }

    private void service(int pin) {
        long entry = redirection[pin];
        boolean level = (entry & LEVEL) != 0;
        if ((entry & MASKED) != 0 || level && (entry & REMOTE_IRR) != 0) {
            return;
        }
        int mode = (int) (entry >> 8) & 7;
        boolean sent =
                bus.send(
                        (int) (entry >>> 56),
                        (entry & LOGICAL) != 0,
                        false,
                        mode,
                        (int) entry & 0xff,
                        level);
        if (level && sent && mode <= ApicBus.LOWEST_PRIORITY) {
            redirection[pin] |= REMOTE_IRR;
        }
    }

    /** A processor ended this level-triggered vector, or software wrote it to the EOI register. */
    void endOfInterrupt(int vector) {
        for (int pin = 0; pin < PINS; pin++) {
            long entry = redirection[pin];
            if ((entry & 0xff) == vector && (entry & LEVEL) != 0 && (entry & REMOTE_IRR) != 0) {
                redirection[pin] = entry & ~REMOTE_IRR;
                if ((lines >> pin & 1) != 0) {
                    service(pin);
                }
            }
        }
    }

    @Override
    public long read(long offset, int size) {
        return switch ((int) offset) {
            case 0x00 -> select;
            case 0x10 -> readRegister() & 0xffff_ffffL;
            default -> 0;
        };
    }

    @Override
    public void write(long offset, int size, long value) {
        switch ((int) offset) {
            case 0x00 -> select = (int) value & 0xff;
            case 0x10 -> writeRegister((int) value);
            case 0x40 -> endOfInterrupt((int) value & 0xff);
            default -> {}
        }
    }

    private int readRegister() {
        int pin = select - 0x10 >> 1;
        if (select >= 0x10 && pin < PINS) {
            return (int) ((select & 1) == 0 ? redirection[pin] : redirection[pin] >>> 32);
        }
        return switch (select) {
            case 0, 2 -> id << 24;
            case 1 -> VERSION;
            default -> 0;
        };
    }

    private void writeRegister(int value) {
        int pin = select - 0x10 >> 1;
        if (select >= 0x10 && pin < PINS) {
            long entry = redirection[pin];
            if ((select & 1) == 0) {
                entry = entry & (0xffff_ffff_0000_0000L | READ_ONLY) | value & WRITABLE_LOW;
                if ((entry & LEVEL) == 0) {
                    entry &= ~REMOTE_IRR; // how older kernels acknowledge: edge and back to level
                }
            } else {
                entry = entry & 0xffff_ffffL | (long) (value & 0xff00_0000) << 32;
            }
            redirection[pin] = entry;
            if ((entry & LEVEL) != 0 && (lines >> pin & 1) != 0) {
                service(pin);
            }
        } else if (select == 0) {
            id = value >>> 24 & 0xf;
        }
    }

    @Override
    public void save(StateWriter out) {
        out.section("ioapic");
        out.u8("select", select);
        out.u8("id", id);
        out.longs("redirection", redirection);
        out.u32("lines", lines);
    }

    @Override
    public void load(StateReader in) {
        in.section("ioapic");
        select = in.u8("select");
        id = in.u8("id");
        in.longs("redirection", redirection);
        lines = in.u32("lines");
    }
}
