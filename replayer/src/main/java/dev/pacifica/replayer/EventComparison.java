package dev.pacifica.replayer;

import dev.pacifica.recorder.EventBlock;
import dev.pacifica.recorder.EventEncoder;
import dev.pacifica.recorder.EventLog;
import dev.pacifica.schemas.EventField;
import dev.pacifica.schemas.EventKind;
import dev.pacifica.schemas.EventReader;
import java.util.Arrays;

/** Compares the events of a replay with the recorded ones and keeps the first difference. */
final class EventComparison implements EventEncoder.Sink {
    private final EventLog recorded;
    private final boolean whole;
    private final EventReader found = new EventReader();
    private long compared;
    private long surplus;
    private Divergence divergence;

    /**
     * @param recorded stands at the first event to compare
     * @param whole whether events after the recorded ones are a difference; not so where the
     *     recording was killed
     */
    EventComparison(EventLog recorded, boolean whole) {
        this.recorded = recorded;
        this.whole = whole;
    }

    long compared() {
        return compared;
    }

    /** The first difference, or null. */
    Divergence divergence() {
        return divergence;
    }

    @Override
    public EventBlock block(EventBlock closed) {
        int at = 0;
        for (int i = 0; i < closed.count() && divergence == null; i++) {
            found.wrap(closed.bytes(), at, closed.end(), closed.firstSequence() + i);
            compare();
            at += found.kind().length();
        }
        return closed;
    }

    private void compare() {
        EventReader expected = surplus > 0 ? null : recorded.next();
        if (expected == null) {
            surplus++;
            if (whole) {
                divergence = at("events", "the end of the trace", "event " + found.kind());
            }
            return;
        }
        compared++;
        int length = found.kind().length();
        if (expected.sequence() == found.sequence()
                && Arrays.equals(
                        expected.buffer(),
                        expected.offset(),
                        expected.offset() + Math.min(length, expected.kind().length()),
                        found.buffer(),
                        found.offset(),
                        found.offset() + length)) {
            return;
        }
        divergence = firstDifference(expected);
    }

    private Divergence firstDifference(EventReader expected) {
        if (expected.sequence() != found.sequence()) {
            return at(
                    "sequence",
                    Long.toString(expected.sequence()),
                    Long.toString(found.sequence()));
        }
        if (!expected.kind().equals(found.kind())) {
            return at("kind", describe(expected), describe(found));
        }
        for (EventField field : EventKind.HEADER) {
            if (expected.get(field) != found.get(field)) {
                return at(
                        found.kind() + "." + field.name(), expected.show(field), found.show(field));
            }
        }
        for (EventField field : found.kind().fields()) {
            if (!expected.show(field).equals(found.show(field))) {
                return at(
                        found.kind() + "." + field.name(), expected.show(field), found.show(field));
            }
        }
        return at(found.kind() + "", "other padding", "this padding");
    }

    private static String describe(EventReader event) {
        return event.kind() + " at instruction " + event.insnCount();
    }

    private Divergence at(String field, String expectedValue, String foundValue) {
        return new Divergence(
                found.insnCount(), found.sequence(), field, expectedValue, foundValue);
    }

    /**
     * To be called when the replay has gone as far as the recording: nothing recorded may be left.
     */
    void requireNoneLeft(long insnCount, long events) {
        if (divergence == null && surplus == 0) {
            EventReader expected = recorded.next();
            if (expected != null) {
                divergence =
                        new Divergence(
                                insnCount,
                                events,
                                "events",
                                describe(expected),
                                "the end of the replay");
            }
        }
    }
}
