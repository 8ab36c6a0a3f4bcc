package dev.pacifica.cli;

import dev.pacifica.emulator.time.VirtualClock;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.Locale;

/**
 * One line on standard error that tells how a machine is doing, rewritten twice a second; silent
 * unless that is a terminal.
 */
final class Progress {
    private static final long PERIOD_NS = 500_000_000L;

    private final PrintStream out;
    private final boolean active;
    private long lastTime = System.nanoTime();
    private long lastInsn;
    private long lastEvents;
    private boolean shown;

    Progress(boolean wanted) {
        out = System.err;
        active = wanted && Boolean.getBoolean("pacifica.stderr.tty");
    }

    /**
     * Whether standard output is a terminal, on which a guest's console and a progress line would
     * fight.
     */
    static boolean stdoutIsTerminal() {
        return Boolean.getBoolean("pacifica.stdout.tty");
    }

    /** To be called between slices; {@code events} so far, or -1 if nobody counts. */
    void report(VirtualClock clock, long events) {
        if (!active) {
            return;
        }
        long now = System.nanoTime();
        if (now - lastTime < PERIOD_NS) {
            return;
        }
        double seconds = (now - lastTime) / 1e9;
        StringBuilder line = new StringBuilder();
        line.append(
                String.format(
                        Locale.ROOT,
                        "%,.1f M instructions  %.0f MIPS",
                        clock.retired / 1e6,
                        (clock.retired - lastInsn) / 1e6 / seconds));
        if (events >= 0) {
            line.append(
                    String.format(
                            Locale.ROOT, "  %,.0f events/s", (events - lastEvents) / seconds));
        }
        line.append(
                String.format(
                        Locale.ROOT,
                        "  %.2f s virtual",
                        clock.now() / (double) VirtualClock.FREQUENCY));
        out.print("\r" + line + "\u001b[K");
        out.flush();
        shown = true;
        lastTime = now;
        lastInsn = clock.retired;
        lastEvents = events;
    }

    /** Tells what a recording has become, at its end, where standard error is a terminal. */
    void summary(VirtualClock clock, long events, Path trace) {
        if (Boolean.getBoolean("pacifica.stderr.tty")) {
            out.printf(
                    Locale.ROOT,
                    "pacifica: recorded %,d instructions, %,d events, %.9f s of virtual time into %s%n",
                    clock.retired,
                    events,
                    clock.now() / (double) VirtualClock.FREQUENCY,
                    trace);
        }
    }

    /** Takes the line away. */
    void clear() {
        if (shown) {
            out.print("\r\u001b[K");
            out.flush();
            shown = false;
        }
    }
}
