package dev.pacifica.cli;

import dev.pacifica.emulator.machine.InputSource;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * What a person types, for one serial port. The machine looks for it between slices; when it is
 * idle with nothing to come, it waits here. {@link #end} wakes it up for good.
 */
final class ConsoleInput implements InputSource {
    /** Stands for the end of all input. */
    private static final byte[] END = {};

    private final int device;
    private final LinkedBlockingQueue<byte[]> arrived = new LinkedBlockingQueue<>();
    private volatile boolean ended;

    ConsoleInput(int device, InputStream in) {
        this.device = device;
        Thread.ofPlatform().daemon().name("console-input").start(() -> read(in));
    }

    private void read(InputStream in) {
        byte[] buffer = new byte[4096];
        try {
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
                if (n > 0) {
                    arrived.add(Arrays.copyOf(buffer, n));
                }
            }
        } catch (IOException e) {
            // As good as the end of the input.
        }
        arrived.add(END);
    }

    /** Nothing more will come; a waiting machine goes on. */
    void end() {
        ended = true;
        arrived.add(END);
    }

    @Override
    public long nextPoll(long now) {
        return Long.MAX_VALUE;
    }

    @Override
    @SuppressWarnings("ReferenceEquality") // END is one object
    public Input poll(long now) {
        byte[] data = arrived.peek();
        if (data == null || data == END) {
            return null;
        }
        arrived.remove();
        return new Input(SERIAL_RECEIVE, device, data);
    }

    @Override
    @SuppressWarnings("ReferenceEquality") // END is one object
    public boolean await(long now) {
        try {
            while (!ended) {
                byte[] data = arrived.peek();
                if (data == END) {
                    return false;
                }
                if (data != null) {
                    return true;
                }
                synchronized (this) {
                    wait(20);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return false;
    }
}
