package dev.pacifica.recorder;

import dev.pacifica.schemas.EventPacking;
import dev.pacifica.schemas.EventReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;

/** The events of a trace in their order, each checked before it is handed out. */
public final class EventLog implements AutoCloseable {
    private final Path folder;
    private final BlockLog.Reader blocks;
    private final EventPacking packing = new EventPacking();
    private final EventReader event = new EventReader();
    private byte[] records = new byte[1 << 16];
    private int next;
    private int end;
    private long sequence;
    private long insnCount;
    private long timeNs;

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
            unpack();
        }
        try {
            event.wrap(records, next, end, sequence);
        } catch (IllegalArgumentException e) {
            throw damaged("event " + sequence, e);
        }
        next += event.kind().length();
        sequence++;
        return event;
    }

    private void unpack() {
        int start = BlockFormat.HEADER_LENGTH + EventLogWriter.MOMENT_LENGTH;
        sequence = blocks.sequence();
        try {
            if (blocks.length() < start) {
                throw new IllegalArgumentException("a block without its moment");
            }
            ByteBuffer moment = ByteBuffer.wrap(blocks.block()).order(ByteOrder.LITTLE_ENDIAN);
            insnCount = moment.getLong(BlockFormat.HEADER_LENGTH);
            timeNs = moment.getLong(BlockFormat.HEADER_LENGTH + 8);
            records =
                    packing.unpack(
                            blocks.block(),
                            start,
                            blocks.length(),
                            (int) (blocks.records() - sequence),
                            insnCount,
                            timeNs,
                            records,
                            0);
        } catch (IllegalArgumentException e) {
            throw damaged("the block from event " + sequence + " on", e);
        }
        next = 0;
        end = packing.unpackedEnd();
    }

    private TraceException damaged(String where, IllegalArgumentException e) {
        return new TraceException(
                "damaged trace: " + folder + ": " + where + ": " + e.getMessage(), e);
    }

    /** Goes on with the event numbered {@code first}; only forwards. */
    public void skipTo(long first) {
        boolean skipped = false;
        while (blocks.records() <= first && blocks.next()) {
            skipped = true;
        }
        if (skipped) {
            unpack();
        }
        while (sequence < first && next() != null) {
            // The events before the first are only stepped over.
        }
    }

    /** How many instructions the machine had retired at the end of the current block. */
    public long insnCount() {
        return insnCount;
    }

    /** The virtual time in nanoseconds at the end of the current block. */
    public long timeNs() {
        return timeNs;
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
