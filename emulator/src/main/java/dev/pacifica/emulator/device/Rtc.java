package dev.pacifica.emulator.device;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import dev.pacifica.emulator.time.VirtualClock;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.Arrays;

/**
 * The MC146818 real-time clock and its 128 bytes of CMOS memory at ports 70h–71h, interrupt 8. It
 * starts at an instant given by the configuration and runs on virtual time; flags are computed when
 * looked at, and a timer is armed for enabled interrupts only.
 *
 * <p>The CMOS bytes that hold memory sizes follow what PC firmware leaves there.
 */
public final class Rtc implements BytePortDevice, Stateful {
    private static final int SECONDS = 0;
    private static final int SECONDS_ALARM = 1;
    private static final int MINUTES = 2;
    private static final int MINUTES_ALARM = 3;
    private static final int HOURS = 4;
    private static final int HOURS_ALARM = 5;
    private static final int WEEKDAY = 6;
    private static final int DAY = 7;
    private static final int MONTH = 8;
    private static final int YEAR = 9;
    private static final int A = 10;
    private static final int B = 11;
    private static final int C = 12;
    private static final int D = 13;

    /** Where the century is, as the FADT says. */
    public static final int CENTURY = 0x32;

    private static final int A_UPDATING = 0x80;
    private static final int B_SET = 0x80;
    private static final int B_BINARY = 4;
    private static final int B_24_HOURS = 2;
    private static final int PERIODIC = 0x40;
    private static final int ALARM = 0x20;
    private static final int UPDATED = 0x10;
    private static final int INTERRUPT = 0x80;
    private static final int D_VALID = 0x80;

    private static final long SECOND = VirtualClock.FREQUENCY;

    /** UIP is seen for 244 µs before each update. */
    private static final long UPDATE_TICKS = 244_000;

    private static final int DAY_SECONDS = 86_400;
    private static final Oscillator CRYSTAL = new Oscillator(32_768);

    private final VirtualClock clock;
    private final InterruptLine interrupt;
    private final VirtualClock.Timer timer;

    private final byte[] cmos = new byte[128];
    private int index;

    /**
     * The clock shows {@link #baseSecond} at tick {@link #baseTick}; both advance together while it
     * runs.
     */
    private long baseSecond;

    private long baseTick;
    private boolean running = true;

    /** Seconds and periodic counts at the last read of register C. */
    private long updatesSeen;

    private long alarmsSeen;
    private long periodsSeen;

    /** Flags that were up when the clock last stopped or its rate changed. */
    private int heldFlags;

    /** A clock that shows {@code start} at power-on. */
    public Rtc(VirtualClock clock, InterruptLine interrupt, Instant start) {
        this.clock = clock;
        this.interrupt = interrupt;
        timer = clock.timer("rtc", now -> update());
        baseSecond = start.getEpochSecond();
        baseTick = -start.getNano();
        cmos[A] = 0x26;
        cmos[B] = B_24_HOURS;
        cmos[D] = (byte) D_VALID;
        updatesSeen = seconds();
        alarmsSeen = updatesSeen;
    }

    /**
     * Stores the sizes of memory: {@code low} bytes below the PCI hole, {@code high} from 4 GiB on;
     * and the processor count.
     */
    public void setConfiguration(long low, long high, int processors) {
        put16(0x15, 640);
        int extended = (int) Math.min(Math.max(low - (1 << 20), 0) >> 10, 0xffff);
        put16(0x17, extended);
        put16(0x30, extended);
        put16(0x34, (int) Math.min(Math.max(low - (16 << 20), 0) >> 16, 0xffff));
        put16(0x5b, (int) (high >> 16));
        cmos[0x5d] = (byte) (high >> 32);
        cmos[0x5f] = (byte) (processors - 1);
        cmos[0x14] = 0x02; // equipment: an x87, no floppy drive, no display
    }

    private void put16(int at, int value) {
        cmos[at] = (byte) value;
        cmos[at + 1] = (byte) (value >> 8);
    }

    private long seconds() {
        return running ? baseSecond + Math.floorDiv(clock.now() - baseTick, SECOND) : baseSecond;
    }

    @Override
    public int inByte(int port) {
        return (port & 1) == 0 ? 0xff : readRegister();
    }

    @Override
    public void outByte(int port, int value) {
        if ((port & 1) == 0) {
            index = value & 0x7f; // bit 7 masks NMI on a PC; nothing here raises one
        } else {
            writeRegister(value);
        }
    }

    private int readRegister() {
        return switch (index) {
            case SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY -> {
                if (running) {
                    showTime();
                }
                yield cmos[index] & 0xff;
            }
            case A -> cmos[A] & 0x7f | (updating() ? A_UPDATING : 0);
            case C -> {
                int flags = flags();
                int value = flags | ((flags & cmos[B] & 0x70) != 0 ? INTERRUPT : 0);
                clearFlags();
                update();
                yield value;
            }
            default -> cmos[index] & 0xff;
        };
    }

    private boolean updating() {
        return running && SECOND - Math.floorMod(clock.now() - baseTick, SECOND) <= UPDATE_TICKS;
    }

    private void writeRegister(int value) {
        switch (index) {
            case SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY -> {
                if (running) {
                    heldFlags = flags();
                    showTime();
                    cmos[index] = (byte) value;
                    baseSecond = parseTime() - Math.floorDiv(clock.now() - baseTick, SECOND);
                    forgetSeconds();
                } else {
                    cmos[index] = (byte) value;
                }
            }
            case A -> {
                heldFlags = flags();
                clearSeen();
                changeRunning(value & 0x7f, cmos[B]);
                cmos[A] = (byte) (value & 0x7f);
                periodsSeen = periods();
            }
            case B -> {
                heldFlags = flags();
                clearSeen();
                changeRunning(cmos[A], value);
                cmos[B] = (byte) value;
            }
            case SECONDS_ALARM, MINUTES_ALARM, HOURS_ALARM -> {
                heldFlags = flags();
                clearSeen();
                cmos[index] = (byte) value;
            }
            case C, D -> {}
            default -> cmos[index] = (byte) value;
        }
        update();
    }

    /**
     * The clock stands while B.SET is set or A holds the divider in reset; it goes on from what its
     * registers say.
     */
    private void changeRunning(int newA, int newB) {
        boolean dividerReset = (newA & 0x60) == 0x60;
        boolean wasReset = (cmos[A] & 0x60) == 0x60;
        boolean run = (newB & B_SET) == 0 && !dividerReset;
        if (running && !run) {
            showTime();
            baseSecond = seconds();
            running = false;
        } else if (!running && run) {
            baseSecond = parseTime();
            // after the divider's reset the first update comes half a second later
            baseTick = wasReset ? clock.now() - SECOND / 2 : clock.now();
            running = true;
            forgetSeconds();
        }
    }

    private void forgetSeconds() {
        updatesSeen = seconds();
        alarmsSeen = updatesSeen;
    }

    // ---- flags and interrupts ----

    /** Ticks of one periodic interrupt are 2^shift crystal clocks; 0 when off. */
    private int periodShift() {
        int rate = cmos[A] & 0xf;
        return rate == 0 || (cmos[A] & 0x60) == 0x60 ? 0 : rate <= 2 ? rate + 6 : rate - 1;
    }

    private long periods() {
        int shift = periodShift();
        return shift == 0 ? 0 : CRYSTAL.clocks(clock.now()) >> shift;
    }

    private int flags() {
        int flags = heldFlags;
        if (periods() > periodsSeen) {
            flags |= PERIODIC;
        }
        if (running) {
            long now = seconds();
            if (now > updatesSeen) {
                flags |= UPDATED;
            }
            if (now > alarmsSeen && nextAlarm(alarmsSeen) <= now) {
                flags |= ALARM;
            }
        }
        return flags;
    }

    private void clearFlags() {
        heldFlags = 0;
        clearSeen();
    }

    private void clearSeen() {
        periodsSeen = periods();
        forgetSeconds();
    }

    /** The first second after {@code after} that matches the alarm registers. */
    private long nextAlarm(long after) {
        int second = alarmField(SECONDS_ALARM);
        int minute = alarmField(MINUTES_ALARM);
        int hour = alarmField(HOURS_ALARM);
        long candidate = after + 1;
        for (int step = 0; step < 2 * (24 + 60 + 60); step++) {
            int ofDay = (int) Math.floorMod(candidate, (long) DAY_SECONDS);
            if (hour >= 0 && ofDay / 3600 != hour) {
                candidate += 3600 - ofDay % 3600;
            } else if (minute >= 0 && ofDay / 60 % 60 != minute) {
                candidate += 60 - ofDay % 60;
            } else if (second >= 0 && ofDay % 60 != second) {
                candidate++;
            } else {
                return candidate;
            }
        }
        return Long.MAX_VALUE; // a field that no time has
    }

    private int alarmField(int register) {
        int raw = cmos[register] & 0xff;
        return raw >= 0xc0 ? -1 : register == HOURS_ALARM ? decodeHour(raw) : decode(raw);
    }

    /** Drives the interrupt and arms the timer for the next one that is enabled. */
    private void update() {
        int enabled = cmos[B] & 0x70;
        boolean asserted = (flags() & enabled) != 0;
        interrupt.set(asserted);
        long next = VirtualClock.NEVER;
        if (!asserted && enabled != 0) {
            int shift = periodShift();
            if ((enabled & PERIODIC) != 0 && shift != 0) {
                next = CRYSTAL.tick(periods() + 1 << shift);
            }
            if (running && (enabled & UPDATED) != 0) {
                next = Math.min(next, tickOf(seconds() + 1));
            }
            if (running && (enabled & ALARM) != 0) {
                next = Math.min(next, tickOf(nextAlarm(seconds())));
            }
        }
        if (next == VirtualClock.NEVER) {
            timer.cancel();
        } else {
            timer.arm(next);
        }
    }

    private long tickOf(long second) {
        if (second == Long.MAX_VALUE) {
            return VirtualClock.NEVER;
        }
        long ahead = second - baseSecond;
        return ahead > Long.MAX_VALUE / SECOND / 2 ? VirtualClock.NEVER : baseTick + ahead * SECOND;
    }

    // ---- the registers' formats ----

    private void showTime() {
        LocalDateTime time = LocalDateTime.ofEpochSecond(seconds(), 0, ZoneOffset.UTC);
        cmos[SECONDS] = encode(time.getSecond());
        cmos[MINUTES] = encode(time.getMinute());
        cmos[HOURS] = encodeHour(time.getHour());
        cmos[WEEKDAY] = encode(time.getDayOfWeek().getValue() % 7 + 1);
        cmos[DAY] = encode(time.getDayOfMonth());
        cmos[MONTH] = encode(time.getMonthValue());
        cmos[YEAR] = encode(Math.floorMod(time.getYear(), 100));
        cmos[CENTURY] = encode(Math.floorMod(time.getYear() / 100, 100));
    }

    private long parseTime() {
        int year = decode(cmos[CENTURY] & 0xff) * 100 + decode(cmos[YEAR] & 0xff);
        // values no calendar has count on, as the chip's counters would
        LocalDateTime start = LocalDateTime.of(year, 1, 1, 0, 0);
        return start.plusMonths(decode(cmos[MONTH] & 0xff) - 1L)
                .plusDays(decode(cmos[DAY] & 0xff) - 1L)
                .plusHours(decodeHour(cmos[HOURS] & 0xff))
                .plusMinutes(decode(cmos[MINUTES] & 0xff))
                .plusSeconds(decode(cmos[SECONDS] & 0xff))
                .toEpochSecond(ZoneOffset.UTC);
    }

    private byte encode(int value) {
        return (byte) ((cmos[B] & B_BINARY) != 0 ? value : value / 10 << 4 | value % 10);
    }

    private int decode(int raw) {
        return (cmos[B] & B_BINARY) != 0 ? raw : (raw >> 4) * 10 + (raw & 0xf);
    }

    private byte encodeHour(int hour) {
        if ((cmos[B] & B_24_HOURS) != 0) {
            return encode(hour);
        }
        int twelve = hour % 12 == 0 ? 12 : hour % 12;
        return (byte) (encode(twelve) | (hour >= 12 ? 0x80 : 0));
    }

    private int decodeHour(int raw) {
        if ((cmos[B] & B_24_HOURS) != 0) {
            return decode(raw);
        }
        return decode(raw & 0x7f) % 12 + ((raw & 0x80) != 0 ? 12 : 0);
    }

    @Override
    public void save(StateWriter out) {
        out.section("rtc");
        out.bytes("cmos", Arrays.copyOf(cmos, cmos.length));
        out.u8("index", index);
        out.u64("baseSecond", baseSecond);
        out.u64("baseTick", baseTick);
        out.flag("running", running);
        out.u64("updatesSeen", updatesSeen);
        out.u64("alarmsSeen", alarmsSeen);
        out.u64("periodsSeen", periodsSeen);
        out.u8("heldFlags", heldFlags);
    }

    @Override
    public void load(StateReader in) {
        in.section("rtc");
        in.bytes("cmos", cmos);
        index = in.u8("index");
        baseSecond = in.u64("baseSecond");
        baseTick = in.u64("baseTick");
        running = in.flag("running");
        updatesSeen = in.u64("updatesSeen");
        alarmsSeen = in.u64("alarmsSeen");
        periodsSeen = in.u64("periodsSeen");
        heldFlags = in.u8("heldFlags");
    }
}
