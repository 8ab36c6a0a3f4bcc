package dev.pacifica.emulator.device;

import dev.pacifica.emulator.memory.MmioDevice;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import dev.pacifica.emulator.time.VirtualClock;

/**
 * The high precision event timer at FED00000h: a 64-bit counter at 100 MHz and three comparators,
 * of which each can be periodic; legacy replacement routes the first two to the PIT's and the RTC's
 * interrupts. No FSB delivery.
 */
public final class Hpet implements MmioDevice, Stateful {
    /** Where it is mapped. */
    public static final long BASE = 0xfed0_0000L;

    /**
     * Capabilities register bits 31:0, which the ACPI HPET table repeats: vendor 8086h, legacy
     * routes, 64 bits, 3 timers.
     */
    public static final int CAPABILITIES = 0x8086_a201;

    private static final int TIMERS = 3;

    /** Ticks of virtual time a count: 10 ns. */
    private static final long TICKS = 10;

    private static final long PERIOD_FEMTOSECONDS = 10_000_000;

    private static final int ENABLE = 1;
    private static final int LEGACY = 2;

    private static final int T_LEVEL = 1 << 1;
    private static final int T_INTERRUPT = 1 << 2;
    private static final int T_PERIODIC = 1 << 3;
    private static final int T_CAN_PERIODIC = 1 << 4;
    private static final int T_CAN_64 = 1 << 5;
    private static final int T_SET_VALUE = 1 << 6;
    private static final int T_32 = 1 << 8;
    private static final int T_ROUTE_SHIFT = 9;
    private static final int T_WRITABLE = 0x3f4e;

    /** I/O APIC inputs 20 to 23. */
    private static final long ROUTES = 0x00f0_0000L;

    /**
     * Shortest period of a periodic comparator, in counts: 1 µs, lest a guest stop virtual time.
     */
    private static final long SHORTEST_PERIOD = 100;

    private final VirtualClock clock;
    private final InterruptRouter router;
    private final VirtualClock.Timer[] timers = new VirtualClock.Timer[TIMERS];

    private int configuration;
    private int status;

    /** The count when it last started or stopped, and the tick at which it started. */
    private long base;

    private long startTick;
    private final int[] timerConfiguration = new int[TIMERS];
    private final long[] comparator = new long[TIMERS];
    private final long[] period = new long[TIMERS];

    public Hpet(VirtualClock clock, InterruptRouter router) {
        this.clock = clock;
        this.router = router;
        for (int i = 0; i < TIMERS; i++) {
            int n = i;
            timers[i] = clock.timer("hpet" + i, now -> expire(n, now));
            timerConfiguration[i] = T_CAN_PERIODIC | T_CAN_64;
            comparator[i] = -1;
        }
    }

    private boolean running() {
        return (configuration & ENABLE) != 0;
    }

    private long count(long tick) {
        return running() ? base + (tick - startTick) / TICKS : base;
    }

    @Override
    public long read(long offset, int size) {
        if (offset >= 0x400) {
            return 0;
        }
        long value = readRegister((int) offset & ~7);
        long shifted = value >>> 8 * (offset & 7);
        return size == 8 ? shifted : shifted & (1L << 8 * size) - 1;
    }

    @Override
    public void write(long offset, int size, long value) {
        if (offset >= 0x400) {
            return;
        }
        int register = (int) offset & ~7;
        int shift = 8 * (int) (offset & 7);
        long mask = size == 8 ? -1L : (1L << 8 * size) - 1 << shift;
        writeRegister(register, (value << shift & mask), mask);
    }

    private long readRegister(int register) {
        int n = register - 0x100 >> 5;
        if (register >= 0x100) {
            if (n >= TIMERS) {
                return 0;
            }
            return switch (register & 0x1f) {
                case 0 -> ROUTES << 32 | timerConfiguration[n];
                case 8 ->
                        (timerConfiguration[n] & T_32) != 0
                                ? comparator[n] & 0xffff_ffffL
                                : comparator[n];
                default -> 0;
            };
        }
        return switch (register) {
            case 0x00 -> PERIOD_FEMTOSECONDS << 32 | CAPABILITIES & 0xffff_ffffL;
            case 0x10 -> configuration;
            case 0x20 -> status;
            case 0xf0 -> count(clock.now());
            default -> 0;
        };
    }

    /** {@code mask} has the bits that are written. */
    private void writeRegister(int register, long value, long mask) {
        int n = register - 0x100 >> 5;
        if (register >= 0x100) {
            if (n < TIMERS) {
                writeTimer(n, register & 0x1f, value, mask);
            }
            return;
        }
        switch (register) {
            case 0x10 ->
                    writeConfiguration(
                            (int) (configuration & ~mask | value & mask) & (ENABLE | LEGACY));
            case 0x20 -> {
                int cleared = (int) value & status;
                status &= ~cleared;
                for (int i = 0; i < TIMERS; i++) {
                    if ((cleared >> i & 1) != 0) {
                        drive(i, false);
                    }
                }
            }
            case 0xf0 -> {
                long now = clock.now();
                base = count(now) & ~mask | value;
                startTick = now;
                armAll();
            }
            default -> {}
        }
    }

    private void writeConfiguration(int value) {
        long now = clock.now();
        boolean wasRunning = running();
        if (((configuration ^ value) & LEGACY) != 0) {
            for (int i = 0; i < TIMERS; i++) {
                if ((status >> i & 1) != 0) {
                    drive(i, false);
                }
            }
            router.setLegacyReplacement((value & LEGACY) != 0);
        }
        if (wasRunning && (value & ENABLE) == 0) {
            base = count(now);
        } else if (!wasRunning && (value & ENABLE) != 0) {
            startTick = now;
        }
        configuration = value;
        armAll();
    }

    private void writeTimer(int n, int register, long value, long mask) {
        int configured = timerConfiguration[n];
        if (register == 0) {
            int merged = (int) (configured & ~mask | value & mask);
            boolean asserted = (status >> n & 1) != 0;
            if (asserted) {
                drive(n, false); // the wire of the route that was
            }
            timerConfiguration[n] = configured & ~T_WRITABLE | merged & T_WRITABLE;
            if ((merged & T_LEVEL) == 0) {
                status &= ~(1 << n);
            } else if (asserted && (merged & T_INTERRUPT) != 0) {
                drive(n, true);
            }
            if ((merged & T_32) != 0) {
                comparator[n] &= 0xffff_ffffL;
                period[n] &= 0xffff_ffffL;
            }
        } else if (register == 8) {
            boolean periodic = (configured & T_PERIODIC) != 0;
            long width = (configured & T_32) != 0 ? 0xffff_ffffL : -1L;
            if (!periodic || (configured & T_SET_VALUE) != 0) {
                comparator[n] = (comparator[n] & ~mask | value) & width;
            }
            if (periodic) {
                period[n] = (period[n] & ~mask | value) & width;
            }
            // both halves of a 64-bit value may be written before the bit drops
            if ((mask >>> 32) != 0 || (configured & T_32) != 0 || !periodic) {
                timerConfiguration[n] &= ~T_SET_VALUE;
            }
        }
        arm(n, clock.now());
    }

    private void armAll() {
        for (int i = 0; i < TIMERS; i++) {
            arm(i, clock.now());
        }
    }

    /**
     * Arms the timer for the next match after the count at {@code tick}, if anything would come of
     * it.
     */
    private void arm(int n, long tick) {
        boolean heard = (timerConfiguration[n] & (T_INTERRUPT | T_LEVEL | T_PERIODIC)) != 0;
        if (!running() || !heard) {
            timers[n].cancel();
            return;
        }
        long now = count(tick);
        long wait = comparator[n] - now;
        if ((timerConfiguration[n] & T_32) != 0) {
            wait &= 0xffff_ffffL;
            wait = wait == 0 ? 1L << 32 : wait;
        }
        if (wait <= 0 || wait > Long.MAX_VALUE / 4 / TICKS) {
            timers[n].cancel(); // a match that a 64-bit counter reaches in centuries
        } else {
            timers[n].arm(startTick + (now - base + wait) * TICKS);
        }
    }

    private void expire(int n, long tick) {
        int configured = timerConfiguration[n];
        if ((configured & T_PERIODIC) != 0 && period[n] != 0) {
            long width = (configured & T_32) != 0 ? 0xffff_ffffL : -1L;
            comparator[n] = comparator[n] + Math.max(period[n], SHORTEST_PERIOD) & width;
        }
        if ((configured & T_LEVEL) != 0) {
            status |= 1 << n;
        }
        if ((configured & T_INTERRUPT) != 0) {
            if ((configured & T_LEVEL) != 0) {
                drive(n, true);
            } else {
                drive(n, false);
                drive(n, true);
                drive(n, false);
            }
        }
        arm(n, tick);
    }

    private void drive(int n, boolean asserted) {
        if ((configuration & LEGACY) != 0 && n < 2) {
            router.setFromHpet(n == 0 ? 0 : 8, asserted);
        } else {
            int route = timerConfiguration[n] >> T_ROUTE_SHIFT & 0x1f;
            if ((ROUTES >> route & 1) != 0) {
                router.setIoApicPin(route, asserted);
            }
        }
    }

    @Override
    public void save(StateWriter out) {
        out.section("hpet");
        out.u32("configuration", configuration);
        out.u32("status", status);
        out.u64("base", base);
        out.u64("startTick", startTick);
        for (int i = 0; i < TIMERS; i++) {
            out.u32("timerConfiguration" + i, timerConfiguration[i]);
            out.u64("comparator" + i, comparator[i]);
            out.u64("period" + i, period[i]);
        }
    }

    @Override
    public void load(StateReader in) {
        in.section("hpet");
        configuration = in.u32("configuration");
        status = in.u32("status");
        base = in.u64("base");
        startTick = in.u64("startTick");
        for (int i = 0; i < TIMERS; i++) {
            timerConfiguration[i] = in.u32("timerConfiguration" + i);
            comparator[i] = in.u64("comparator" + i);
            period[i] = in.u64("period" + i);
        }
    }
}
