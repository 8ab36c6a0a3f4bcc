package dev.pacifica.recorder;

import dev.pacifica.schemas.EventWriter;
import dev.pacifica.schemas.Events;

/** Event records on their way from the encoder to the log or to the comparison. */
public final class EventBlock {
    /** As many records as a block can take. */
    static final int CAPACITY = 1024;

    private final byte[] bytes = new byte[CAPACITY * Events.MAX_LENGTH];

    /** Writes into this block. */
    final EventWriter out = new EventWriter(bytes, 0);

    private long firstSequence;
    private int count;
    private long insnCount;
    private long timeNs;

    /** Makes it empty; its first event will have the number given. */
    void reset(long sequence) {
        out.clear();
        firstSequence = sequence;
        count = 0;
    }

    /** Counts one more record, which the caller writes; it must not be full. */
    void add() {
        count++;
    }

    /** Nothing that comes after this moment is in it. */
    void close(long insn, long time) {
        insnCount = insn;
        timeNs = time;
    }

    /** The records lie in it from 0 to {@link #end}. */
    public byte[] bytes() {
        return bytes;
    }

    public int end() {
        return out.end();
    }

    /** The number of the first event. */
    public long firstSequence() {
        return firstSequence;
    }

    /** How many events there are; 0 where it only tells how far the machine came. */
    public int count() {
        return count;
    }

    /** How many instructions the machine had retired when the block was closed. */
    public long insnCount() {
        return insnCount;
    }

    /** The virtual time in nanoseconds when the block was closed. */
    public long timeNs() {
        return timeNs;
    }
}
