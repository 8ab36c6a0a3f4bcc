package dev.pacifica.emulator.machine;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.Wakefulness;
import dev.pacifica.emulator.execute.Interpreter;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import dev.pacifica.emulator.time.VirtualClock;
import java.util.List;

/**
 * Gives the processors their turns: round-robin on one thread, each for a fixed number of
 * instructions, the quantum.
 *
 * <p>A round lasts a quantum of virtual time, however many processors have something to do: with n
 * of them, n instructions make a tick, and a turn is an n-th of the round. So each runs at the
 * clock's frequency, time never goes back from one turn to the next, and all processors see one
 * TSC. How many share a round is looked at when it begins; who wakes up in it gets its turn in it,
 * if its place is still to come.
 *
 * <p>A processor that halts, or waits for another one by PAUSE, gives up the rest of its turn; the
 * rest of its time passes, if anybody else has something to do. Who has nothing to do is passed
 * over.
 *
 * <p>Every decision depends on saved state only, and is made at moments that do not depend on where
 * {@link Machine#run} stops. Turns begin at the first instruction of a tick.
 */
final class Scheduler implements Stateful {
    /** What a {@link #step} was. */
    enum Step {
        /** Instructions were executed, or something has to be looked at before that. */
        RAN,
        /** No instruction was executed, but time passed or a turn ended. */
        WAITED,
        /** No processor has anything to do. */
        IDLE
    }

    /** Nobody's turn: the next one is to be found from {@link #turn} on. */
    private static final int BETWEEN = 0;

    private static final int RUNNING = 1;

    /** The turn is over, but not yet the time that belongs to it. */
    private static final int OVER = 2;

    private final VirtualClock clock;
    private final List<Cpu> cpus;
    private final List<Interpreter> interpreters;
    private final long quantum;

    private int turn;
    private int phase = BETWEEN;

    /** How many share the round. */
    private int share = 1;

    /** The retired count at which the turn began. */
    private long turnStart;

    /** The tick at which the turn's time ends. */
    private long turnEnd;

    Scheduler(VirtualClock clock, List<Cpu> cpus, List<Interpreter> interpreters, long quantum) {
        this.clock = clock;
        this.cpus = cpus;
        this.interpreters = interpreters;
        this.quantum = quantum;
    }

    /** The processor whose turn it is or was last. */
    Cpu current() {
        return cpus.get(Math.min(turn, cpus.size() - 1));
    }

    /**
     * Goes on, at most to the retired count {@code end}, and lets no time pass beyond the tick
     * {@code latest}.
     */
    Step step(long end, long latest) {
        if (cpus.size() == 1) {
            return run(end) || cpus.getFirst().activity == Cpu.RUNNING ? Step.RAN : Step.IDLE;
        }
        if (phase == OVER) {
            long now = clock.now();
            if (now < turnEnd) {
                long next = Math.min(clock.earliestDeadline(), latest);
                clock.skipTo(Math.clamp(next, now + 1, turnEnd));
                return Step.WAITED;
            }
            phase = BETWEEN;
            turn++;
        }
        if (phase == BETWEEN && !beginTurn()) {
            return Step.IDLE;
        }
        Cpu cpu = cpus.get(turn);
        boolean ran = run(Math.min(end, turnStart + quantum));
        boolean stuck = !ran && cpu.activity != Cpu.RUNNING;
        if (cpu.yielded
                || stuck
                || clock.retired - turnStart >= quantum
                || !Wakefulness.awake(cpu)) {
            endTurn(cpu, stuck);
        }
        return ran ? Step.RAN : Step.WAITED;
    }

    private boolean run(long end) {
        long before = clock.retired;
        interpreters.get(turn).run(end);
        return clock.retired != before;
    }

    /** Finds who is next, in this round or a new one; false if nobody has anything to do. */
    private boolean beginTurn() {
        findAwake();
        if (turn == cpus.size()) {
            share = 0;
            for (Cpu cpu : cpus) {
                share += Wakefulness.awake(cpu) ? 1 : 0;
            }
            if (share == 0) {
                return false;
            }
            turn = 0;
            findAwake();
        }
        clock.shareAmong(share);
        turnStart = clock.retired;
        turnEnd = clock.now() + (quantum + share - 1) / share;
        phase = RUNNING;
        return true;
    }

    private void findAwake() {
        while (turn < cpus.size() && !Wakefulness.awake(cpus.get(turn))) {
            turn++;
        }
    }

    private void endTurn(Cpu ending, boolean stuck) {
        ending.yielded = false;
        long executed = clock.retired - turnStart;
        for (Cpu cpu : cpus) {
            if (cpu != ending) {
                cpu.retiredElsewhere += executed;
            }
        }
        clock.endSharing();
        if (!stuck && !ending.anotherAwake()) {
            turnEnd = clock.now();
        }
        phase = OVER;
    }

    /** Instructions that the processor has retired. */
    long retired(Cpu cpu) {
        boolean waits = phase == RUNNING && cpu.id != turn;
        return (waits ? turnStart : clock.retired) - cpu.retiredElsewhere;
    }

    @Override
    public void save(StateWriter out) {
        out.section("scheduler");
        clock.saveSharing(out);
        out.u8("turn", turn);
        out.u8("phase", phase);
        out.u8("roundShare", share);
        out.u64("turnStart", turnStart);
        out.u64("turnEnd", turnEnd);
        for (Cpu cpu : cpus) {
            out.u64("retiredElsewhere", cpu.retiredElsewhere);
            out.u32("pendingStartup", cpu.pendingStartup);
        }
    }

    @Override
    public void load(StateReader in) {
        in.section("scheduler");
        clock.loadSharing(in);
        turn = Math.min(in.u8("turn"), cpus.size());
        phase = in.u8("phase");
        share = in.u8("roundShare");
        turnStart = in.u64("turnStart");
        turnEnd = in.u64("turnEnd");
        for (Cpu cpu : cpus) {
            cpu.retiredElsewhere = in.u64("retiredElsewhere");
            cpu.pendingStartup = in.u32("pendingStartup");
            cpu.yielded = false;
        }
    }
}
