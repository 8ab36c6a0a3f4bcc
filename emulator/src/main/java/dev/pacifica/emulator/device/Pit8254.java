package dev.pacifica.emulator.device;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import dev.pacifica.emulator.time.VirtualClock;

/**
 * The 8254 interval timer at ports 40h–43h and system control port B (61h), which gates channel 2
 * and shows its output. Channel 0 interrupts; counts are computed from virtual time when looked at,
 * and a timer is armed for channel 0's rising edges only.
 *
 * <p>Deviations from the chip: a count takes effect at once instead of at the next clock, and reads
 * of a channel in mode 3 give the count that decrements by two without the odd-count correction.
 */
public final class Pit8254 implements BytePortDevice, Stateful {
    /** Input clock in Hz. */
    public static final long HERTZ = 1_193_182;

    private static final Oscillator OSCILLATOR = new Oscillator(HERTZ);
    private static final long NEVER = VirtualClock.NEVER;

    /** Refresh requests come every 18 clocks; port 61h shows their toggling. */
    private static final int REFRESH_CLOCKS = 18;

    /** One counter. Times are in clocks of the input since power-on. */
    private static final class Channel {
        int mode;
        boolean bcd;

        /** 1 low byte, 2 high byte, 3 low then high byte. */
        int access = 3;

        /** The count in force, 1 to 65536. */
        int count = 0x10000;

        boolean loaded;
        boolean gate;

        /** The clock at which the count started, valid if {@link #counting}. */
        long start;

        boolean counting;

        /** Clocks already counted when the gate stopped the counter. */
        long counted;

        /** In modes 2 and 3: the clock at which {@link #nextCount} comes into force. */
        long switchAt = NEVER;

        int nextCount;
        boolean highByteNext;
        int lowByteWritten;
        boolean highReadNext;
        boolean countLatched;
        int latchedCount;
        boolean statusLatched;
        int latchedStatus;

        /** Lets a count written in modes 2 and 3 come into force at the end of the period. */
        void advance(long clock) {
            if (clock >= switchAt) {
                start = switchAt;
                count = nextCount;
                switchAt = NEVER;
            }
        }

        long elapsed(long clock) {
            return counting ? clock - start : counted;
        }

        int read(long clock) {
            advance(clock);
            long elapsed = elapsed(clock);
            long value =
                    switch (mode) {
                        case 2 -> count - elapsed % count;
                        case 3 -> count - 2 * elapsed % count;
                        default -> count - elapsed;
                    };
            return bcd ? toBcd((int) Math.floorMod(value, 10000L)) : (int) value & 0xffff;
        }

        boolean output(long clock) {
            advance(clock);
            long elapsed = elapsed(clock);
            return switch (mode) {
                case 0 -> loaded && elapsed >= count;
                case 1 -> !loaded || !counting || elapsed >= count;
                case 2 -> !counting || elapsed % count != count - 1;
                case 3 -> !counting || elapsed % count < (count + 1) / 2;
                default -> !counting || elapsed != count;
            };
        }

        void setMode(int control) {
            mode = control >> 1 & 7;
            if (mode > 5) {
                mode &= 3; // bit 2 is ignored in modes 2 and 3
            }
            bcd = (control & 1) != 0;
            access = control >> 4 & 3;
            loaded = false;
            counting = false;
            counted = 0;
            switchAt = NEVER;
            highByteNext = false;
            highReadNext = false;
            countLatched = false;
            statusLatched = false;
        }

        void writeCount(int value, long clock) {
            switch (access) {
                case 1 -> load(value, clock);
                case 2 -> load(value << 8, clock);
                default -> {
                    if (highByteNext) {
                        load(value << 8 | lowByteWritten, clock);
                    } else {
                        lowByteWritten = value;
                        if (mode == 0) { // the first byte stops the count
                            counted = elapsed(clock);
                            counting = false;
                            loaded = false;
                        }
                    }
                    highByteNext = !highByteNext;
                }
            }
        }

        private void load(int raw, long clock) {
            int value = bcd ? fromBcd(raw) : raw;
            if (value == 0) {
                value = bcd ? 10000 : 0x10000;
            }
            advance(clock);
            boolean periodic = mode == 2 || mode == 3;
            if (periodic && counting) {
                nextCount = value;
                switchAt = start + ((clock - start) / count + 1) * count;
                return;
            }
            count = value;
            if (mode == 1 || mode == 5) { // waits for a trigger, and lets a running count end
                loaded = true;
                return;
            }
            loaded = true;
            start = clock;
            counted = 0;
            counting = gate;
        }

        void setGate(boolean value, long clock) {
            if (value == gate) {
                return;
            }
            advance(clock);
            gate = value;
            if (!value) {
                if (mode != 1 && mode != 5) {
                    counted = mode == 2 || mode == 3 ? 0 : elapsed(clock);
                    counting = false;
                    if (switchAt != NEVER) {
                        count = nextCount;
                        switchAt = NEVER;
                    }
                }
            } else if (loaded) {
                start = mode == 0 || mode == 4 ? clock - counted : clock;
                counting = true;
            }
        }

        void latchCount(long clock) {
            if (!countLatched) {
                latchedCount = read(clock);
                countLatched = true;
            }
        }

        void latchStatus(long clock) {
            if (!statusLatched) {
                latchedStatus =
                        (output(clock) ? 0x80 : 0)
                                | (loaded && switchAt == NEVER ? 0 : 0x40)
                                | access << 4
                                | mode << 1
                                | (bcd ? 1 : 0);
                statusLatched = true;
            }
        }

        int readByte(long clock) {
            if (statusLatched) {
                statusLatched = false;
                return latchedStatus;
            }
            int value = countLatched ? latchedCount : read(clock);
            boolean high = access == 2 || access == 3 && highReadNext;
            if (access == 3) {
                highReadNext = !highReadNext;
            }
            if (access != 3 || high) {
                countLatched = false;
            }
            return (high ? value >> 8 : value) & 0xff;
        }

        /** The first clock after {@code clock} at which the output rises, or NEVER. */
        long nextRise(long clock) {
            if (!counting) {
                return NEVER;
            }
            return switch (mode) {
                case 0, 1 -> start + count > clock ? start + count : NEVER;
                case 2, 3 -> Math.min(switchAt, start + ((clock - start) / count + 1) * count);
                default -> start + count + 1 > clock ? start + count + 1 : NEVER;
            };
        }

        private static int toBcd(int value) {
            return value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
        }

        private static int fromBcd(int value) {
            return (value >> 12 & 15) * 1000
                    + (value >> 8 & 15) * 100
                    + (value >> 4 & 15) * 10
                    + (value & 15);
        }

        void save(StateWriter out, String prefix) {
            out.u8(prefix + "mode", mode);
            out.flag(prefix + "bcd", bcd);
            out.u8(prefix + "access", access);
            out.u32(prefix + "count", count);
            out.flag(prefix + "loaded", loaded);
            out.flag(prefix + "gate", gate);
            out.u64(prefix + "start", start);
            out.flag(prefix + "counting", counting);
            out.u64(prefix + "counted", counted);
            out.u64(prefix + "switchAt", switchAt);
            out.u32(prefix + "nextCount", nextCount);
            out.flag(prefix + "highByteNext", highByteNext);
            out.u8(prefix + "lowByteWritten", lowByteWritten);
            out.flag(prefix + "highReadNext", highReadNext);
            out.flag(prefix + "countLatched", countLatched);
            out.u16(prefix + "latchedCount", latchedCount);
            out.flag(prefix + "statusLatched", statusLatched);
            out.u8(prefix + "latchedStatus", latchedStatus);
        }

        void load(StateReader in, String prefix) {
            mode = in.u8(prefix + "mode");
            bcd = in.flag(prefix + "bcd");
            access = in.u8(prefix + "access");
            count = in.u32(prefix + "count");
            loaded = in.flag(prefix + "loaded");
            gate = in.flag(prefix + "gate");
            start = in.u64(prefix + "start");
            counting = in.flag(prefix + "counting");
            counted = in.u64(prefix + "counted");
            switchAt = in.u64(prefix + "switchAt");
            nextCount = in.u32(prefix + "nextCount");
            highByteNext = in.flag(prefix + "highByteNext");
            lowByteWritten = in.u8(prefix + "lowByteWritten");
            highReadNext = in.flag(prefix + "highReadNext");
            countLatched = in.flag(prefix + "countLatched");
            latchedCount = in.u16(prefix + "latchedCount");
            statusLatched = in.flag(prefix + "statusLatched");
            latchedStatus = in.u8(prefix + "latchedStatus");
        }
    }

    private final VirtualClock clock;
    private final InterruptLine interrupt;
    private final VirtualClock.Timer timer;
    private final Channel[] channels = {new Channel(), new Channel(), new Channel()};

    /** Bits 1 to 3 of port 61h: speaker data and the two check enables. */
    private int controlB;

    /** {@code interrupt} is channel 0's output. */
    public Pit8254(VirtualClock clock, InterruptLine interrupt) {
        this.clock = clock;
        this.interrupt = interrupt;
        timer = clock.timer("pit", this::rise);
        channels[0].gate = true;
        channels[1].gate = true;
    }

    private long now() {
        return OSCILLATOR.clocks(clock.now());
    }

    private void rise(long tick) {
        long at = OSCILLATOR.clocks(tick);
        channels[0].advance(at);
        interrupt.pulse();
        armAfter(at);
    }

    private void armAfter(long at) {
        long next = channels[0].nextRise(at);
        if (next == NEVER) {
            timer.cancel();
        } else {
            timer.arm(OSCILLATOR.tick(next));
        }
    }

    @Override
    public int inByte(int port) {
        long now = now();
        if (port == 0x61) {
            int gate = channels[2].gate ? 1 : 0;
            int refresh = (int) (now / REFRESH_CLOCKS & 1) << 4;
            int output = channels[2].output(now) ? 0x20 : 0;
            return gate | controlB | refresh | output;
        }
        return port == 0x43 ? 0xff : channels[port & 3].readByte(now);
    }

    @Override
    public void outByte(int port, int value) {
        long now = now();
        if (port == 0x61) {
            controlB = value & 0xe;
            channels[2].setGate((value & 1) != 0, now);
        } else if (port == 0x43) {
            writeControl(value, now);
        } else {
            channels[port & 3].writeCount(value, now);
            if (port == 0x40) {
                channel0Changed(now);
            }
        }
    }

    private void writeControl(int value, long now) {
        int select = value >> 6;
        if (select == 3) { // read-back
            for (int i = 0; i < 3; i++) {
                if ((value >> 1 + i & 1) != 0) {
                    if ((value & 0x20) == 0) {
                        channels[i].latchCount(now);
                    }
                    if ((value & 0x10) == 0) {
                        channels[i].latchStatus(now);
                    }
                }
            }
        } else if ((value & 0x30) == 0) {
            channels[select].latchCount(now);
        } else {
            channels[select].setMode(value);
            if (select == 0) {
                channel0Changed(now);
            }
        }
    }

    private void channel0Changed(long now) {
        if (channels[0].mode == 0 && !channels[0].output(now)) {
            interrupt.set(false);
        }
        armAfter(now);
    }

    @Override
    public void save(StateWriter out) {
        out.section("pit");
        for (int i = 0; i < channels.length; i++) {
            channels[i].save(out, "channel" + i + ".");
        }
        out.u8("controlB", controlB);
    }

    @Override
    public void load(StateReader in) {
        in.section("pit");
        for (int i = 0; i < channels.length; i++) {
            channels[i].load(in, "channel" + i + ".");
        }
        controlB = in.u8("controlB");
    }
}
