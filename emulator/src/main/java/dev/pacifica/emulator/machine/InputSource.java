package dev.pacifica.emulator.machine;

import dev.pacifica.emulator.time.VirtualClock;

/**
 * The one door through which anything from outside reaches a running machine. A live source reads
 * consoles; a replayed one reads the trace's input log.
 */
public interface InputSource {
    /** Bytes that arrive at serial port {@code device} (0 = COM1) or another outside event. */
    record Input(int kind, int device, byte[] data) {}

    /** {@link Input#kind} of bytes received by a serial port. */
    int SERIAL_RECEIVE = 1;

    /**
     * The tick at which {@link #poll} must next be called, later than {@code now}; {@link
     * Long#MAX_VALUE} if there is nothing to come. All moments here are ticks of {@link
     * VirtualClock#now}; the machine pauses exactly there.
     */
    long nextPoll(long now);

    /**
     * The next input to deliver at exactly this tick, or null; called again until it returns null.
     */
    Input poll(long now);

    /**
     * Called when the machine is halted with no deadline pending: blocks until input is there (a
     * live source) and returns true, or returns false when none can ever come.
     */
    boolean await(long now);

    /** A source from which nothing ever comes. */
    InputSource NONE =
            new InputSource() {
                @Override
                public long nextPoll(long now) {
                    return Long.MAX_VALUE;
                }

                @Override
                public Input poll(long now) {
                    return null;
                }

                @Override
                public boolean await(long now) {
                    return false;
                }
            };
}
