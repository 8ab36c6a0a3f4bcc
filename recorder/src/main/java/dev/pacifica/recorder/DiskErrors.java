package dev.pacifica.recorder;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** Turns what the operating system says about files into one line for the person. */
final class DiskErrors {
    private DiskErrors() {}

    static TraceException explain(Path file, IOException e) {
        String message = e.getMessage() == null ? "" : e.getMessage();
        if (message.contains("No space left") || message.contains("quota exceeded")) {
            return new TraceException.DiskFull("no space left on the disk of " + file);
        }
        String reason =
                switch (e) {
                    case NoSuchFileException _ -> "no such file";
                    case AccessDeniedException _ -> "permission denied";
                    case FileSystemException f when f.getReason() != null -> f.getReason();
                    default -> message.isEmpty() ? e.getClass().getSimpleName() : message;
                };
        return new TraceException(file + ": " + reason, e);
    }
}
