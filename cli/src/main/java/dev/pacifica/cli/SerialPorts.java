package dev.pacifica.cli;

import dev.pacifica.emulator.device.SerialSink;
import dev.pacifica.emulator.machine.InputSource;
import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The person's ends of the serial ports: what {@code --serial} names. */
final class SerialPorts implements SerialSink, AutoCloseable {
    private static final int PORTS = 2;

    private final OutputStream[] outputs = new OutputStream[PORTS];
    private int stdio = -1;

    /** The last byte to standard output did not end a line. */
    private boolean lineOpen;

    private SerialPorts() {}

    /** Opens what the options name; COM1 is stdio and COM2 nothing by default. */
    static SerialPorts open(List<String> options) {
        if (options.size() > PORTS) {
            throw new BadInput(
                    "--serial is given %d times; the machine has %d serial ports"
                            .formatted(options.size(), PORTS));
        }
        SerialPorts ports = new SerialPorts();
        List<String> all = new ArrayList<>(options);
        if (all.isEmpty()) {
            all.add("stdio");
        }
        for (int i = 0; i < all.size(); i++) {
            ports.open(i, all.get(i));
        }
        return ports;
    }

    /** No port leads anywhere. */
    static SerialPorts none() {
        return new SerialPorts();
    }

    private void open(int device, String option) {
        if (option.equals("stdio")) {
            if (stdio >= 0) {
                throw new BadInput("--serial stdio is given twice");
            }
            stdio = device;
            // Unbuffered here and flushed by slices: what a guest prints shows at once, bytes as
            // they are.
            outputs[device] =
                    new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 13);
        } else if (option.startsWith("file:")) {
            outputs[device] = new BufferedOutputStream(file(option), 1 << 16);
        } else if (!option.equals("null")) {
            throw new BadInput("--serial '" + option + "' is neither stdio nor file:PATH nor null");
        }
    }

    private static OutputStream file(String option) {
        String name = option.substring("file:".length());
        String problem;
        try {
            if (!name.isEmpty()) {
                return Files.newOutputStream(Path.of(name));
            }
            problem = "names no file";
        } catch (InvalidPathException e) {
            problem = "is no name of a file: " + e.getReason();
        } catch (NoSuchFileException e) {
            problem = "there is no folder " + Path.of(name).getParent();
        } catch (AccessDeniedException e) {
            problem = "permission denied";
        } catch (FileSystemException e) {
            problem = "cannot be written: " + e.getReason();
        } catch (IOException e) {
            problem = "cannot be written: " + e.getMessage();
        }
        throw new BadInput("--serial " + option + ": " + problem);
    }

    /** Whether a port leads to standard output. */
    boolean usesStdio() {
        return stdio >= 0;
    }

    /** What comes in by standard input, for the port that leads there; nothing if none does. */
    InputSource inputs() {
        return stdio >= 0 ? new ConsoleInput(stdio, System.in) : InputSource.NONE;
    }

    @Override
    public void write(int device, int value) {
        OutputStream out = device < PORTS ? outputs[device] : null;
        if (out != null) {
            try {
                out.write(value);
                if (device == stdio) {
                    lineOpen = value != '\n';
                    if (!lineOpen) {
                        out.flush();
                    }
                }
            } catch (IOException e) {
                // The reader has gone away (a closed pipe): the machine does not care.
                outputs[device] = null;
            }
        }
    }

    /** Shows what is written so far. */
    void flush() {
        for (OutputStream out : outputs) {
            if (out != null) {
                try {
                    out.flush();
                } catch (IOException e) {
                    // As in write: nobody is there to read.
                }
            }
        }
    }

    /**
     * Before something is told on standard error: where that is the same terminal, file or pipe as
     * standard output, the guest's last line gets an end.
     */
    void endLine() {
        flush();
        if (lineOpen && stderrIsStdout()) {
            System.err.println();
        }
        lineOpen = false;
    }

    private static boolean stderrIsStdout() {
        try {
            return Files.isSameFile(Path.of("/proc/self/fd/1"), Path.of("/proc/self/fd/2"));
        } catch (IOException e) {
            return false; // as on systems that do not tell
        }
    }

    @Override
    public void close() {
        flush();
    }
}
