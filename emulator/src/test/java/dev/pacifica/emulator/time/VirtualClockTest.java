package dev.pacifica.emulator.time;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class VirtualClockTest {
    private final VirtualClock clock = new VirtualClock();
    private final List<String> fired = new ArrayList<>();

    private VirtualClock.Timer timer(String name) {
        return clock.timer(name, due -> fired.add(name + "@" + due));
    }

    @Test
    void firesInOrderOfDeadlineThenOfCreation() {
        VirtualClock.Timer a = timer("a");
        VirtualClock.Timer b = timer("b");
        VirtualClock.Timer c = timer("c");
        c.arm(5);
        b.arm(7);
        a.arm(7);
        clock.skipTo(7);
        clock.fireDue();
        assertThat(fired).containsExactly("c@5", "a@7", "b@7");
        assertThat(clock.nextDeadline()).isEqualTo(VirtualClock.NEVER);
    }

    @Test
    void aTimerThatArmsItselfForThePastDoesNotStopTime() {
        VirtualClock.Timer[] self = new VirtualClock.Timer[1];
        self[0] = clock.timer("self", due -> self[0].arm(due));
        self[0].arm(3);
        clock.skipTo(10);
        clock.fireDue();
        assertThat(clock.nextDeadline()).isEqualTo(11);
    }

    @Test
    void deadlinesBeyondReckoningNeverCome() {
        VirtualClock.Timer timer = timer("far");
        long base = Long.MAX_VALUE - 1;
        timer.arm(base + 1000); // overflows
        assertThat(clock.nextDeadline()).isEqualTo(VirtualClock.NEVER);
        timer.arm((1L << 62) + 1);
        assertThat(clock.nextDeadline()).isEqualTo(VirtualClock.NEVER);
        timer.arm(1L << 62);
        assertThat(clock.nextDeadline()).isEqualTo(1L << 62);
    }

    @Test
    void cancelledTimersAreNoDeadlineOnceAllAreLookedAt() {
        VirtualClock.Timer timer = timer("cancelled");
        timer.arm(100);
        timer.cancel();
        assertThat(clock.earliestDeadline()).isEqualTo(VirtualClock.NEVER);
    }
}
