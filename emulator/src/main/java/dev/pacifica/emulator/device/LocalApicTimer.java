package dev.pacifica.emulator.device;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.time.VirtualClock;

/**
 * The timer of a local APIC (APM Vol 2 §16.4.1): counts down from an initial count at the bus clock
 * of 1 GHz divided by the divide configuration, once or periodically, or waits for a TSC value.
 */
final class LocalApicTimer {
    static final int ONE_SHOT = 0;
    static final int PERIODIC = 1;
    static final int TSC_DEADLINE = 2;

    /** Periods below a microsecond are stretched to one, lest a guest stop virtual time. */
    private static final long SHORTEST_PERIOD = 1000;

    /** What the timer asks its APIC. */
    interface Owner {
        /** The timer expired. */
        void timerExpired();

        /** What the processor adds to ticks to get its TSC. */
        long tscOffset();
    }

    private final VirtualClock clock;
    private final VirtualClock.Timer timer;
    private final Owner owner;

    private int mode;
    private int divideConfiguration;

    /** Unsigned 32-bit; 0 stops the timer. */
    private long initialCount;

    /** The tick at which the count was the initial count. */
    private long start;

    /** In TSC units; 0 when disarmed. */
    private long deadline;

    LocalApicTimer(String name, VirtualClock clock, Owner owner) {
        this.clock = clock;
        this.owner = owner;
        timer = clock.timer(name, this::expire);
    }

    void reset() {
        mode = ONE_SHOT;
        divideConfiguration = 0;
        initialCount = 0;
        start = 0;
        deadline = 0;
        timer.cancel();
    }

    private int divider() {
        int code = divideConfiguration >> 1 & 4 | divideConfiguration & 3;
        return code == 7 ? 1 : 2 << code;
    }

    int divideConfiguration() {
        return divideConfiguration;
    }

    void setDivideConfiguration(int value) {
        long left = currentCount();
        divideConfiguration = value & 0xb;
        if (initialCount != 0 && mode != TSC_DEADLINE && left != 0) {
            start = clock.now() - (initialCount - left) * divider();
            rearm();
        }
    }

    void setMode(int newMode) {
        if (mode == newMode) {
            return;
        }
        boolean kindChanged = mode == TSC_DEADLINE || newMode == TSC_DEADLINE;
        long left = currentCount();
        mode = newMode;
        if (kindChanged) {
            initialCount = 0;
            deadline = 0;
            timer.cancel();
        } else if (left != 0) {
            start = clock.now() - (initialCount - left) * divider();
            rearm();
        } else {
            timer.cancel();
        }
    }

    long initialCount() {
        return initialCount;
    }

    void setInitialCount(long count) {
        if (mode != TSC_DEADLINE) {
            initialCount = count;
            start = clock.now();
            rearm();
        }
    }

    /** The count now, unsigned 32-bit. */
    long currentCount() {
        if (initialCount == 0 || mode == TSC_DEADLINE) {
            return 0;
        }
        long elapsed = (clock.now() - start) / divider();
        if (mode == PERIODIC) {
            return initialCount - elapsed % initialCount;
        }
        return Math.max(0, initialCount - elapsed);
    }

    long deadline() {
        return mode == TSC_DEADLINE ? deadline : 0;
    }

    void setDeadline(long tsc) {
        if (mode == TSC_DEADLINE) {
            deadline = tsc;
            rearm();
        }
    }

    /** The TSC jumped relative to ticks: a deadline in TSC units is at another tick now. */
    void tscChanged() {
        if (mode == TSC_DEADLINE) {
            rearm();
        }
    }

    private void rearm() {
        if (mode == TSC_DEADLINE) {
            if (deadline == 0) {
                timer.cancel();
            } else {
                long now = clock.now();
                long tsc = now + owner.tscOffset();
                boolean past = Long.compareUnsigned(deadline, tsc) <= 0;
                long tick = past ? now : now + (deadline - tsc);
                timer.arm(
                        tick < now
                                ? VirtualClock.NEVER
                                : tick); // one that can't be reckoned never comes
            }
        } else if (initialCount == 0) {
            timer.cancel();
        } else {
            long period = initialCount * divider();
            long elapsed = clock.now() - start;
            timer.arm(mode == PERIODIC ? start + (elapsed / period + 1) * period : start + period);
        }
    }

    private void expire(long now) {
        if (mode == TSC_DEADLINE) {
            deadline = 0;
        } else if (mode == PERIODIC) {
            timer.arm(now + Math.max(SHORTEST_PERIOD, initialCount * divider()));
        }
        owner.timerExpired();
    }

    void save(StateWriter out) {
        out.u8("timer.mode", mode);
        out.u8("timer.divide", divideConfiguration);
        out.u64("timer.initial", initialCount);
        out.u64("timer.start", start);
        out.u64("timer.deadline", deadline);
    }

    void load(StateReader in) {
        mode = in.u8("timer.mode");
        divideConfiguration = in.u8("timer.divide");
        initialCount = in.u64("timer.initial");
        start = in.u64("timer.start");
        deadline = in.u64("timer.deadline");
    }
}
