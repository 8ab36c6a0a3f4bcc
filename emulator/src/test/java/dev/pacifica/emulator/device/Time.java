package dev.pacifica.emulator.device;

import dev.pacifica.emulator.time.VirtualClock;

/** Lets virtual time pass in tests, firing timers at their exact ticks. */
final class Time {
    final VirtualClock clock = new VirtualClock();

    void advanceTo(long tick) {
        while (clock.nextDeadline() <= tick) {
            clock.skipTo(clock.nextDeadline());
            clock.fireDue();
        }
        clock.skipTo(tick);
    }

    void advance(long ticks) {
        advanceTo(clock.now() + ticks);
    }
}
