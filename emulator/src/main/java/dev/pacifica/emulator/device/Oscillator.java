package dev.pacifica.emulator.device;

import dev.pacifica.emulator.time.VirtualClock;

/**
 * A crystal that has run since power-on: converts ticks to its own clocks and back without drift.
 */
record Oscillator(long hertz) {
    private static final long SECOND = VirtualClock.FREQUENCY;

    /** Clocks completed at {@code tick}. */
    long clocks(long tick) {
        return tick / SECOND * hertz + tick % SECOND * hertz / SECOND;
    }

    /**
     * The first tick at which {@code clocks} are completed; {@link VirtualClock#NEVER} if that is
     * beyond reckoning.
     */
    long tick(long clocks) {
        if (clocks / hertz >= VirtualClock.NEVER / SECOND - 1) {
            return VirtualClock.NEVER;
        }
        return clocks / hertz * SECOND + (clocks % hertz * SECOND + hertz - 1) / hertz;
    }
}
