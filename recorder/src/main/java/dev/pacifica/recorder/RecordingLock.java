package dev.pacifica.recorder;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * Tells other processes that a trace is being recorded: a file in it that the recorder keeps
 * locked. The system lets go of the lock when the recorder dies, however it does; the file itself
 * then stays and means nothing.
 */
public final class RecordingLock implements AutoCloseable {
    private static final String FILE = "recording.lock";

    private final Path file;
    private final FileChannel channel;

    private RecordingLock(Path file, FileChannel channel) {
        this.file = file;
        this.channel = channel;
    }

    /** Locks a trace; where files cannot be locked, nobody is told and the recording goes on. */
    static RecordingLock take(Path trace) throws IOException {
        Path file = trace.resolve(FILE);
        FileChannel channel =
                FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        try {
            channel.tryLock();
        } catch (IOException e) {
            // As on network file systems without a lock server.
        }
        return new RecordingLock(file, channel);
    }

    /**
     * Whether another process records a trace at this moment. To be asked before the manifest is
     * read: if it then has no end and nobody recorded before, the recording was cut off. Not to be
     * asked by the recorder itself, which would lose its lock.
     */
    public static boolean isHeld(Path trace) {
        try (FileChannel channel = FileChannel.open(trace.resolve(FILE), StandardOpenOption.READ);
                FileLock shared = channel.tryLock(0, Long.MAX_VALUE, true)) {
            return shared == null;
        } catch (OverlappingFileLockException e) {
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    /** To be called when the manifest tells how the recording ended. */
    @Override
    public void close() {
        try {
            channel.close();
            Files.deleteIfExists(file);
        } catch (IOException e) {
            // A file without a lock does no harm.
        }
    }
}
