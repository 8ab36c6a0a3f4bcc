package dev.pacifica.emulator.time;

import dev.pacifica.emulator.state.StateFormatException;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import java.util.ArrayList;
import java.util.List;

/**
 * The only clock of the machine. One retired instruction is one tick, one tick is one nanosecond of
 * virtual time; an idle machine skips ticks without retiring instructions. While several processors
 * take turns, they share the time among them: {@link #shareAmong}.
 */
public final class VirtualClock implements Stateful {
    /** Ticks a second, which is also the TSC frequency in Hz. */
    public static final long FREQUENCY = 1_000_000_000L;

    /** The deadline of a timer that is not armed. */
    public static final long NEVER = Long.MAX_VALUE;

    /**
     * The last tick that a timer can be armed for, 146 years after power-on, so that reckoning with
     * ticks does not overflow.
     */
    private static final long LATEST = 1L << 62;

    /** Bounds {@link #share}, so that reckoning with it does not overflow. */
    private static final int MOST_SHARES = 256;

    /** Timers that fire at one tick, repetitions included. */
    private static final int MOST_AT_ONCE = 1000;

    /** What a timer does when its moment has come. */
    @FunctionalInterface
    public interface Action {
        /** Called at the exact tick {@code now} that the timer was armed for. */
        void fire(long now);
    }

    /** One timer, which belongs to a device; unarmed at first. */
    public final class Timer {
        private final String name;
        private final Action action;
        private long deadline = NEVER;

        private Timer(String name, Action action) {
            this.name = name;
            this.action = action;
        }

        /**
         * Arms the timer for the given tick; a tick that has passed already means the next possible
         * moment, one that overflowed or is more than a century away never comes.
         */
        public void arm(long tick) {
            deadline = tick < 0 || tick > LATEST ? NEVER : tick;
            nextDeadline = Math.min(nextDeadline, deadline);
        }

        public void cancel() {
            deadline = NEVER;
        }

        /** The armed tick, or {@link #NEVER}. */
        public long deadline() {
            return deadline;
        }
    }

    /**
     * Instructions retired by all processors of the machine together. Written by the interpreter
     * before anything that can look.
     */
    public long retired;

    /**
     * What added to {@link #retired} gives the time: ticks skipped while the machine was idle, less
     * those that processors had in common.
     */
    private long idle;

    /** How many instructions make a tick now, counted from {@link #shareStart}. */
    private int share = 1;

    /** The retired count since which {@link #share} holds; always the first of its tick. */
    private long shareStart;

    private final List<Timer> timers = new ArrayList<>();
    private long nextDeadline = NEVER;

    /** Creates a timer; timers due at the same tick fire in the order of creation. */
    public Timer timer(String name, Action action) {
        Timer timer = new Timer(name, action);
        timers.add(timer);
        return timer;
    }

    /** Virtual time in ticks (nanoseconds) since power-on. */
    public long now() {
        return share == 1 ? retired + idle : shareStart + (retired - shareStart) / share + idle;
    }

    /**
     * From now on {@code processors} instructions make a tick: that many processors take turns, and
     * the time in which one of them works is the others' too. To be called at the first instruction
     * of a tick only, see {@link #atTickStart}.
     */
    public void shareAmong(int processors) {
        idle = now() - retired;
        share = processors;
        shareStart = retired;
    }

    /** From now on an instruction is a tick again; a tick that has begun passes for that. */
    public void endSharing() {
        if (!atTickStart()) {
            idle++;
        }
        shareAmong(1);
    }

    /** Whether the next instruction is the first one of its tick. */
    public boolean atTickStart() {
        return share == 1 || (retired - shareStart) % share == 0;
    }

    /**
     * The retired count at which the given tick begins if no time is skipped; {@link #NEVER} if
     * that is beyond reckoning.
     */
    public long retiredAt(long tick) {
        if (share == 1) {
            return tick > LATEST ? NEVER : tick - idle;
        }
        long ticks = tick - idle - shareStart;
        return tick > LATEST || ticks > LATEST / MOST_SHARES ? NEVER : shareStart + ticks * share;
    }

    /**
     * The tick of the earliest armed timer, or {@link #NEVER}. May be early (a cancelled one),
     * never late.
     */
    public long nextDeadline() {
        return nextDeadline;
    }

    /** As {@link #nextDeadline}, exactly. */
    public long earliestDeadline() {
        recomputeNextDeadline();
        return nextDeadline;
    }

    /** Lets virtual time jump forward to the given tick while no instruction runs. */
    public void skipTo(long tick) {
        long now = now();
        if (tick > now) {
            idle += tick - now;
        }
    }

    /**
     * Fires every timer that is due, in order of deadline, then of creation. Timers that arm
     * themselves again and again for moments that have passed go on at the next tick, so that time
     * never stands still.
     */
    public void fireDue() {
        long now = now();
        for (int fired = 0; ; fired++) {
            Timer first = null;
            for (Timer timer : timers) {
                if (timer.deadline <= now && (first == null || timer.deadline < first.deadline)) {
                    first = timer;
                }
            }
            if (first == null) {
                break;
            }
            if (fired == MOST_AT_ONCE) {
                postponeDue(now);
                break;
            }
            long due = first.deadline;
            first.deadline = NEVER;
            first.action.fire(due);
        }
        recomputeNextDeadline();
    }

    private void postponeDue(long now) {
        for (Timer timer : timers) {
            if (timer.deadline <= now) {
                timer.deadline = now + 1;
            }
        }
    }

    private void recomputeNextDeadline() {
        long next = NEVER;
        for (Timer timer : timers) {
            next = Math.min(next, timer.deadline);
        }
        nextDeadline = next;
    }

    /** Saves how time is shared, which only a machine of several processors needs. */
    public void saveSharing(StateWriter out) {
        out.u32("share", share);
        out.u64("shareStart", shareStart);
    }

    /** Loads what {@link #saveSharing} wrote, after {@link #load}. */
    public void loadSharing(StateReader in) {
        share = Math.clamp(in.u32("share"), 1, MOST_SHARES);
        shareStart = in.u64("shareStart");
    }

    @Override
    public void save(StateWriter out) {
        out.section("clock");
        out.u64("retired", retired);
        out.u64("idle", idle);
        out.u32("timers", timers.size());
        for (Timer timer : timers) {
            out.u64(timer.name, timer.deadline);
        }
    }

    @Override
    public void load(StateReader in) {
        in.section("clock");
        retired = in.u64("retired");
        idle = in.u64("idle");
        share = 1;
        shareStart = 0;
        if (in.u32("timers") != timers.size()) {
            throw new StateFormatException("the saved machine has other timers than this one");
        }
        for (Timer timer : timers) {
            timer.deadline = in.u64(timer.name);
        }
        recomputeNextDeadline();
    }
}
