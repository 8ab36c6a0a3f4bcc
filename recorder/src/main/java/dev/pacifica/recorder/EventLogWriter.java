package dev.pacifica.recorder;

import dev.pacifica.schemas.EventPacking;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * Packs and writes event blocks on a thread of its own, in the order in which they were handed
 * over, while the machine fills the next ones. A block's records are preceded by its moment:
 *
 * <pre>
 *  0                               4                               8
 * +---------------------------------------------------------------+
 * |       instructions retired when the block was closed          |
 * +---------------------------------------------------------------+
 * |       virtual time in nanoseconds when it was closed          |  8
 * +---------------------------------------------------------------+
 * |                       packed records                          | 16
 * </pre>
 *
 * What goes wrong on that thread (a full disk) is thrown at the next call here.
 */
final class EventLogWriter implements AutoCloseable {
    static final int MOMENT_LENGTH = 16;

    /** Blocks that may wait to be written; who hands over one more waits itself. */
    private static final int WAITING = 6;

    private final Path folder;
    private final Thread thread;
    private final Deque<EventBlock> free = new ArrayDeque<>();
    private final Deque<EventBlock> full = new ArrayDeque<>();
    private boolean open;
    private boolean closing;
    private long handedOver;
    private long written;
    private RuntimeException trouble;
    private long chain = BlockFormat.CHAIN_START;

    EventLogWriter(Path folder) {
        this.folder = folder;
        BlockLog.requireRoomToBegin(folder);
        for (int i = 0; i < WAITING; i++) {
            free.add(new EventBlock());
        }
        // Chronicle takes its time to start; the images can be loaded meanwhile.
        thread = Thread.ofPlatform().daemon().name("event-writer").start(this::work);
    }

    /**
     * Waits until the log is open. Must be called before anybody can end this process in good
     * order: Chronicle cannot start while the virtual machine shuts down.
     */
    synchronized void awaitOpen() {
        while (!open && trouble == null) {
            pause();
        }
        check();
    }

    /** Hands a block over and returns another one. */
    synchronized EventBlock exchange(EventBlock closed) {
        full.add(closed);
        handedOver++;
        notifyAll();
        while (free.isEmpty() && trouble == null) {
            pause();
        }
        check();
        return free.remove();
    }

    /** How many blocks were handed over so far. */
    synchronized long handedOver() {
        return handedOver;
    }

    /** Waits until so many blocks are safe from the death of this process. */
    synchronized void await(long blocks) {
        while (written < blocks && trouble == null) {
            pause();
        }
        check();
    }

    /** Throws what went wrong since the last call, if anything did. */
    synchronized void check() {
        if (trouble != null) {
            // Each throw tells where it was noticed.
            throw trouble instanceof TraceException.DiskFull
                    ? new TraceException.DiskFull(trouble.getMessage())
                    : new TraceException(trouble.getMessage(), trouble);
        }
    }

    /** The chain value after the last block that was written. */
    synchronized long chain() {
        return chain;
    }

    @SuppressWarnings("WaitNotInLoop") // every caller asks again in a loop, synchronized
    private void pause() {
        try {
            wait();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new TraceException("interrupted while events were written", e);
        }
    }

    private void work() {
        try (BlockLog.Writer log = new BlockLog.Writer(folder)) {
            opened();
            EventPacking packing = new EventPacking();
            byte[] bytes =
                    new byte
                            [BlockFormat.HEADER_LENGTH
                                    + MOMENT_LENGTH
                                    + EventBlock.CAPACITY * EventPacking.MAX_PACKED];
            ByteBuffer head = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
            for (EventBlock block = next(); block != null; block = next()) {
                head.putLong(BlockFormat.HEADER_LENGTH, block.insnCount());
                head.putLong(BlockFormat.HEADER_LENGTH + 8, block.timeNs());
                int end =
                        packing.pack(
                                block.bytes(),
                                0,
                                block.end(),
                                block.insnCount(),
                                block.timeNs(),
                                bytes,
                                BlockFormat.HEADER_LENGTH + MOMENT_LENGTH);
                log.append(bytes, end, block.firstSequence(), block.count());
                done(block, log.chain());
            }
        } catch (RuntimeException e) {
            fail(e);
        } catch (Error e) {
            fail(new TraceException("events cannot be written: " + e, e));
            throw e;
        }
    }

    private synchronized void opened() {
        open = true;
        notifyAll();
    }

    /** The next block to write; null when there will be none. */
    private synchronized EventBlock next() {
        while (full.isEmpty() && !closing) {
            pause();
        }
        return full.poll();
    }

    private synchronized void done(EventBlock block, long newChain) {
        free.add(block);
        written++;
        chain = newChain;
        notifyAll();
    }

    private synchronized void fail(RuntimeException e) {
        trouble = e;
        notifyAll();
    }

    /** Writes what was handed over and lets go of the file. */
    @Override
    public void close() {
        synchronized (this) {
            closing = true;
            notifyAll();
        }
        boolean interrupted = false;
        while (thread.isAlive()) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        check();
    }
}
