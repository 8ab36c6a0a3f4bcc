package dev.pacifica.recorder;

import dev.pacifica.schemas.EventReader;
import java.nio.file.Path;

/** The events of a trace in their order, each checked before it is handed out. */
public final class EventLog implements AutoCloseable {
    private final Path folder;
    private final BlockLog.Reader blocks;
    private final EventReader event = new EventReader();
    private int next;
    private int end;
    private long sequence;

    EventLog(Path folder) {
        this.folder = folder;
        blocks = new BlockLog.Reader(folder);
    }

    /** The next event, valid until the next call; null at the end of what was written. */
    public EventReader next() {
        while (next == end) {
            if (!blocks.next()) {
                return null;
            }
            next = BlockFormat.HEADER_LENGTH;
            end = blocks.length();
            sequence = blocks.sequence();
        }
        try {
            event.wrap(blocks.block(), next, end, sequence);
        } catch (IllegalArgumentException e) {
            throw new TraceException(
                    "damaged trace: " + folder + ": event " + sequence + ": " + e.getMessage(), e);
        }
        next += event.kind().length();
        sequence++;
        return event;
    }

    /** Goes on with the event numbered {@code first}; only forwards. */
    public void skipTo(long first) {
        while (blocks.records() <= first && (next = end = 0) == 0 && blocks.next()) {
            next = BlockFormat.HEADER_LENGTH;
            end = blocks.length();
            sequence = blocks.sequence();
        }
        while (sequence < first && next() != null) {
            // The events before the first are only stepped over.
        }
    }

    /** How many events there were so far, those of the whole current block included. */
    public long events() {
        return blocks.records();
    }

    /** Chain value after the current block. */
    public long chain() {
        return blocks.chain();
    }

    @Override
    public void close() {
        blocks.close();
    }
}
