package dev.pacifica.recorder;

import java.io.IOException;
import java.io.InputStream;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.DirectoryStream;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.Path;
import net.openhft.chronicle.bytes.Bytes;
import net.openhft.chronicle.core.UnsafeMemory;
import net.openhft.chronicle.queue.ChronicleQueue;
import net.openhft.chronicle.queue.ExcerptAppender;
import net.openhft.chronicle.queue.ExcerptTailer;
import net.openhft.chronicle.queue.impl.single.SingleChronicleQueueBuilder;
import net.openhft.chronicle.queue.rollcycles.LegacyRollCycles;
import net.openhft.chronicle.wire.DocumentContext;
import net.openhft.chronicle.wire.Wires;

/** A Chronicle Queue of blocks ({@link BlockFormat}) in one folder of a trace. */
final class BlockLog {
    /**
     * Growth of the file that is mapped at once; the file is sparse and cut to its contents when it
     * is closed.
     */
    private static final int MAPPED = 4 << 20;

    /**
     * Room on the disk below which nothing more is written, so that a mapped write never meets a
     * full disk.
     */
    private static final long RESERVE = 1 << 20;

    /** What a closed file keeps beyond its last byte: Chronicle looks there for the end. */
    private static final int TAIL = 4096;

    /** Where a file's header ends at the latest; indices and blocks follow. */
    private static final int HEADER = 4096;

    private BlockLog() {}

    private static ChronicleQueue queue(Path folder, boolean readOnly) {
        // One cycle for ever: a clock that stands still keeps the file names and contents
        // independent of the day.
        return SingleChronicleQueueBuilder.binary(folder)
                .rollCycle(LegacyRollCycles.DAILY)
                .timeProvider(() -> 0L)
                .blockSize(MAPPED)
                .readOnly(readOnly)
                .build();
    }

    /** Fails if there is no room for a log in the folder. */
    static void requireRoomToBegin(Path folder) {
        requireRoom(folder, disk(folder), 2L * RESERVE);
    }

    private static FileStore disk(Path folder) {
        try {
            return Files.getFileStore(folder);
        } catch (IOException e) {
            throw new TraceException(folder + ": " + e.getMessage(), e);
        }
    }

    private static void requireRoom(Path folder, FileStore disk, long bytes) {
        try {
            if (disk.getUsableSpace() < bytes) {
                throw full(folder);
            }
        } catch (IOException e) {
            throw new TraceException(folder + ": " + e.getMessage(), e);
        }
    }

    private static TraceException.DiskFull full(Path folder) {
        return new TraceException.DiskFull("no space left on the disk of " + folder);
    }

    /**
     * Appends blocks. A block is safe from the death of this process as soon as {@link #append}
     * returns.
     */
    static final class Writer implements AutoCloseable {
        private final Path folder;
        private final FileStore disk;
        private final ChronicleQueue queue;
        private final ExcerptAppender appender;

        /** Off the heap, because from there Chronicle copies at once instead of long by long. */
        private final Bytes<?> staging = Bytes.allocateElasticDirect(1 << 16);

        private long chain = BlockFormat.CHAIN_START;

        Writer(Path folder) {
            this.folder = folder;
            disk = disk(folder);
            requireRoom(folder, disk, 2L * RESERVE);
            try {
                queue = queue(folder, false);
                appender = queue.createAppender();
            } catch (InternalError e) {
                // As in append.
                throw full(folder);
            }
        }

        /**
         * Appends the records in [{@link BlockFormat#HEADER_LENGTH}, end) of {@code block}, whose
         * head is filled in here.
         */
        void append(byte[] block, int end, long firstSequence, int count) {
            requireRoom(folder, disk, RESERVE + end);
            long next = BlockFormat.seal(block, end, firstSequence, count, chain);
            staging.clear();
            staging.ensureCapacity(end);
            UnsafeMemory.MEMORY.copyMemory(block, 0, staging.addressForWrite(0), end);
            staging.writeSkip(end);
            try {
                appender.writeBytes(staging);
            } catch (InternalError e) {
                // HotSpot's answer to a mapped write that the disk has no room for.
                throw full(folder);
            }
            chain = next;
        }

        long chain() {
            return chain;
        }

        @Override
        public void close() {
            appender.close();
            queue.close();
            staging.releaseLast();
            try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, "*.cq4")) {
                for (Path file : files) {
                    cutTail(file);
                }
                // Only who appends needs it.
                Files.deleteIfExists(folder.resolve("metadata.cq4t"));
            } catch (IOException e) {
                throw new TraceException(folder + ": " + e.getMessage(), e);
            }
        }

        /** Cuts the zeros that follow the last byte of the file, but for {@link #TAIL}. */
        private static void cutTail(Path path) throws IOException {
            try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
                byte[] window = new byte[1 << 16];
                long end = file.length();
                while (end > 0) {
                    long start = Math.max(0, end - window.length);
                    int length = (int) (end - start);
                    file.seek(start);
                    file.readFully(window, 0, length);
                    int used = length;
                    while (used > 0 && window[used - 1] == 0) {
                        used--;
                    }
                    end = start + used;
                    if (used > 0) {
                        break;
                    }
                }
                long keep = end + 2L * TAIL - 1 & -TAIL;
                if (keep < file.length()) {
                    file.setLength(keep);
                }
            }
        }
    }

    /** Reads blocks from the first on and checks each. */
    static final class Reader implements AutoCloseable {
        private final Path folder;
        private final ChronicleQueue queue;
        private final ExcerptTailer tailer;
        private byte[] block = new byte[1 << 16];
        private int length;
        private long blocks;
        private long sequence;
        private long nextSequence;
        private long chain = BlockFormat.CHAIN_START;

        Reader(Path folder) {
            this.folder = folder;
            if (!Files.isDirectory(folder)) {
                throw new TraceException("damaged trace: " + folder + " is missing");
            }
            if (!begun(folder)) {
                queue = null;
                tailer = null;
                return;
            }
            try {
                queue = queue(folder, true);
                tailer = queue.createTailer();
            } catch (RuntimeException | Error e) {
                throw damaged(e);
            }
        }

        /**
         * Whether the log has a file with a complete header. A writer that was killed before that
         * leaves none or an incomplete one, and perhaps half of Chronicle's metadata, for which a
         * reader would wait in vain. Nothing was written then; whoever knows better ({@link
         * TraceReader#requireWhole}) notices that it is missing.
         */
        private static boolean begun(Path folder) {
            boolean begun = false;
            try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, "*.cq4")) {
                for (Path file : files) {
                    try (InputStream in = Files.newInputStream(file)) {
                        begun |= hasHeader(file, in);
                    }
                }
            } catch (IOException e) {
                throw new TraceException(
                        "damaged trace: " + DiskErrors.explain(folder, e).getMessage(), e);
            }
            return begun;
        }

        /** Fails if something was written behind a header that is not complete. */
        private static boolean hasHeader(Path file, InputStream in) throws IOException {
            byte[] first = in.readNBytes(HEADER);
            if (first.length >= Integer.BYTES
                    && Wires.isReady(
                            ByteBuffer.wrap(first).order(ByteOrder.LITTLE_ENDIAN).getInt())) {
                return true;
            }
            byte[] buffer = new byte[1 << 16];
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
                for (int i = 0; i < n; i++) {
                    if (buffer[i] != 0) {
                        throw new TraceException("damaged trace: " + file + " has no header");
                    }
                }
            }
            return false;
        }

        /** Goes to the next block; false at the end of what was written. */
        boolean next() {
            if (tailer == null) {
                return false;
            }
            try (DocumentContext document = tailer.readingDocument()) {
                if (!document.isPresent()) {
                    return false;
                }
                Bytes<?> bytes = document.wire().bytes();
                long size = bytes.readRemaining();
                if (size > 1 << 30) {
                    throw new TraceException(
                            "damaged trace: "
                                    + folder
                                    + ": block "
                                    + blocks
                                    + " has an impossible length");
                }
                if (size > block.length) {
                    block = new byte[(int) size];
                }
                length = bytes.read(block, 0, (int) size);
            } catch (TraceException e) {
                throw e;
            } catch (RuntimeException | Error e) {
                throw damaged(e);
            }
            String fault = BlockFormat.fault(block, length, nextSequence, chain);
            if (fault != null) {
                throw new TraceException(
                        "damaged trace: "
                                + folder
                                + ": block "
                                + blocks
                                + " (from record "
                                + nextSequence
                                + " on): "
                                + fault);
            }
            chain = BlockFormat.nextChain(block, chain);
            sequence = nextSequence;
            nextSequence += BlockFormat.count(block);
            blocks++;
            return true;
        }

        /**
         * The bytes of the current block; its records begin at {@link BlockFormat#HEADER_LENGTH}.
         */
        byte[] block() {
            return block;
        }

        /** The length of the current block, its head included. */
        int length() {
            return length;
        }

        /** The sequence number of the current block's first record. */
        long sequence() {
            return sequence;
        }

        /** How many records there were in the blocks so far. */
        long records() {
            return nextSequence;
        }

        long chain() {
            return chain;
        }

        /** An access behind the end of a mapped file is the JVM's InternalError. */
        private TraceException damaged(Throwable e) {
            return new TraceException(
                    "damaged trace: "
                            + folder
                            + " cannot be read ("
                            + (e instanceof InternalError
                                    ? "a file of it was cut short"
                                    : e.getClass().getSimpleName())
                            + ")",
                    e);
        }

        @Override
        public void close() {
            if (tailer != null) {
                tailer.close();
                queue.close();
            }
        }
    }
}
