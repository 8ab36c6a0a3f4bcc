package dev.pacifica.emulator.machine;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** Random bytes for COM1 that come whenever somebody looks, and come again at the same ticks. */
final class RecordedInputs implements InputSource {
    private record Entry(long tick, Input input) {}

    private final SplittableRandom random;
    private final List<Entry> entries = new ArrayList<>();

    RecordedInputs(SplittableRandom random) {
        this.random = random;
    }

    int delivered() {
        return entries.size();
    }

    @Override
    public long nextPoll(long now) {
        return Long.MAX_VALUE;
    }

    @Override
    public Input poll(long now) {
        if (random.nextInt(8) != 0) {
            return null;
        }
        Input input = new Input(SERIAL_RECEIVE, 0, new byte[] {(byte) random.nextInt(256)});
        entries.add(new Entry(now, input));
        return input;
    }

    @Override
    public boolean await(long now) {
        return false;
    }

    /** What was delivered, at the same ticks. */
    InputSource playback() {
        return new InputSource() {
            private int next;

            @Override
            public long nextPoll(long now) {
                return next < entries.size() ? entries.get(next).tick : Long.MAX_VALUE;
            }

            @Override
            public Input poll(long now) {
                return next < entries.size() && entries.get(next).tick <= now
                        ? entries.get(next++).input
                        : null;
            }

            @Override
            public boolean await(long now) {
                return next < entries.size();
            }
        };
    }
}
