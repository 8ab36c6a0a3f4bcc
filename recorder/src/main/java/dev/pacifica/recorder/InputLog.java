package dev.pacifica.recorder;

import dev.pacifica.emulator.machine.InputSource;
import dev.pacifica.emulator.machine.InputSource.Input;
import dev.pacifica.emulator.time.VirtualClock;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The input log: one block an input, safe before the machine sees it.
 *
 * <pre>
 *  0                               4               6               8
 * +---------------------------------------------------------------+
 * |        tick of the arrival (virtual time in nanoseconds)      |
 * +---------------------------------------------------------------+
 * |             instructions retired by the machine               |  8
 * +---------------+---------------+-------------------------------+
 * |     kind      |    device     |       number of bytes         | 16
 * +---------------+---------------+-------------------------------+
 * |                            bytes                              | 24
 * </pre>
 */
public final class InputLog {
    private static final int RECORD_HEADER = 24;

    private InputLog() {}

    /** An input as it was logged. */
    public record Entry(long sequence, long timeNs, long insnCount, Input input) {
        /** What arrived: {@link InputSource#SERIAL_RECEIVE}. */
        public int kind() {
            return input.kind();
        }

        /** The device it arrived at, e.g. 0 for COM1. */
        public int device() {
            return input.device();
        }

        public byte[] data() {
            return input.data();
        }
    }

    /** Passes inputs of a live source through and logs each. */
    static final class Tap implements InputSource, AutoCloseable {
        private final InputSource live;
        private final Path folder;

        /** Opened for the first input, because most recordings have none. */
        private BlockLog.Writer log;

        private VirtualClock clock;
        private Runnable beforeWaiting;
        private long inputs;

        Tap(InputSource live, Path folder) {
            this.live = live;
            this.folder = folder;
            BlockLog.requireRoomToBegin(folder);
        }

        /**
         * Must be called before the machine runs.
         *
         * @param flush called before the machine waits for input, which may take for ever
         */
        void attach(VirtualClock machineClock, Runnable flush) {
            clock = machineClock;
            beforeWaiting = flush;
        }

        long inputs() {
            return inputs;
        }

        long chain() {
            return log == null ? BlockFormat.CHAIN_START : log.chain();
        }

        @Override
        public long nextPoll(long now) {
            return live.nextPoll(now);
        }

        @Override
        public Input poll(long now) {
            Input input = live.poll(now);
            if (input != null) {
                int start = BlockFormat.HEADER_LENGTH;
                byte[] data = input.data();
                byte[] block = new byte[start + RECORD_HEADER + data.length];
                ByteBuffer record =
                        ByteBuffer.wrap(block).order(ByteOrder.LITTLE_ENDIAN).position(start);
                record.putLong(now).putLong(clock.retired);
                record.putShort((short) input.kind())
                        .putShort((short) input.device())
                        .putInt(data.length);
                record.put(data);
                if (log == null) {
                    log = new BlockLog.Writer(folder);
                }
                log.append(block, block.length, inputs++, 1);
            }
            return input;
        }

        @Override
        public boolean await(long now) {
            beforeWaiting.run();
            return live.await(now);
        }

        @Override
        public void close() {
            if (log != null) {
                log.close();
            }
        }
    }

    /** All inputs of a log, checked. The chain value after the last is {@link Contents#chain}. */
    static Contents read(Path folder) {
        List<Entry> entries = new ArrayList<>();
        try (BlockLog.Reader reader = new BlockLog.Reader(folder)) {
            while (reader.next()) {
                int start = BlockFormat.HEADER_LENGTH;
                ByteBuffer record =
                        ByteBuffer.wrap(reader.block(), 0, reader.length())
                                .order(ByteOrder.LITTLE_ENDIAN)
                                .position(start);
                if (record.remaining() < RECORD_HEADER
                        || record.getInt(start + 20) != record.remaining() - RECORD_HEADER) {
                    throw new TraceException(
                            "damaged trace: "
                                    + folder
                                    + ": input "
                                    + entries.size()
                                    + " is no record of this version");
                }
                long tick = record.getLong();
                long insnCount = record.getLong();
                int kind = record.getShort() & 0xffff;
                int device = record.getShort() & 0xffff;
                byte[] data = new byte[record.getInt()];
                record.get(data);
                entries.add(
                        new Entry(entries.size(), tick, insnCount, new Input(kind, device, data)));
            }
            return new Contents(List.copyOf(entries), reader.chain());
        }
    }

    record Contents(List<Entry> entries, long chain) {}

    /** Gives recorded inputs to a machine at their moments. */
    public static final class Playback implements InputSource {
        private final List<Entry> entries;
        private int next;

        /** Begins with the input numbered {@code first}. */
        public Playback(List<Entry> entries, long first) {
            this.entries = entries;
            next = Math.toIntExact(first);
        }

        /** How many inputs were handed out or skipped. */
        public long position() {
            return next;
        }

        /** Goes on with the input numbered {@code first}. */
        public void seek(long first) {
            next = Math.toIntExact(first);
        }

        @Override
        public long nextPoll(long now) {
            return next < entries.size() ? entries.get(next).timeNs() : Long.MAX_VALUE;
        }

        @Override
        public Input poll(long now) {
            if (next < entries.size() && entries.get(next).timeNs() <= now) {
                return entries.get(next++).input();
            }
            return null;
        }

        @Override
        public boolean await(long now) {
            return next < entries.size();
        }
    }
}
