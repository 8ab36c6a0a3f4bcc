package dev.pacifica.cli;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Ctrl-C and termination, turned into a request: what runs ends in good order, and only then does
 * the process go. Closing it says that all is in order.
 */
final class Interruption implements AutoCloseable {
    private static final long PATIENCE_SECONDS = 60;

    private final CountDownLatch done = new CountDownLatch(1);
    private final Thread hook;
    private volatile boolean requested;

    /** Calls {@code wake} when interrupted, from another thread. */
    Interruption(Runnable wake) {
        hook =
                Thread.ofPlatform()
                        .name("interruption")
                        .unstarted(() -> {
                            requested = true;
                            wake.run();
                            try {
                                if (!done.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                                    System.err.println("pacifica: could not end in good order");
                                }
                            } catch (InterruptedException e) {
                                Thread.currentThread().interrupt();
                            }
                        });
        Runtime.getRuntime().addShutdownHook(hook);
    }

    boolean requested() {
        return requested;
    }

    @Override
    public void close() {
        done.countDown();
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            // The process is going already.
        }
    }
}
