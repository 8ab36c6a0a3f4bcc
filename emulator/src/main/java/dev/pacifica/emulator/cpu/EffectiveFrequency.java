package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.time.VirtualClock;

/**
 * MPERF and APERF (APM Vol 2 §17.3): both count a processor's ticks but those in HLT and MWAIT, at
 * the same rate, since its frequency never changes.
 */
final class EffectiveFrequency {
    private final VirtualClock clock;
    private long idleTicks;
    private boolean stopped;
    private long stoppedAt;

    /** What is added to the ticks to give the two registers that software can write. */
    private long mperfOffset;

    private long aperfOffset;

    /** The same for those that it cannot: since RESET. */
    private long resetOffset;

    EffectiveFrequency(VirtualClock clock) {
        this.clock = clock;
    }

    void reset() {
        stopped = false;
        resetOffset = -ticks();
        mperfOffset = resetOffset;
        aperfOffset = resetOffset;
    }

    /** The processor halts. */
    void stop() {
        stopped = true;
        stoppedAt = clock.now();
    }

    /** The processor runs, if it did not already. */
    void start() {
        if (stopped) {
            stopped = false;
            idleTicks += clock.now() - stoppedAt;
        }
    }

    private long ticks() {
        return clock.now() - idleTicks;
    }

    long mperf() {
        return ticks() + mperfOffset;
    }

    long aperf() {
        return ticks() + aperfOffset;
    }

    long mperfReadOnly() {
        return ticks() + resetOffset;
    }

    long aperfReadOnly() {
        return ticks() + resetOffset;
    }

    void setMperf(long value) {
        mperfOffset = value - ticks();
    }

    void setAperf(long value) {
        aperfOffset = value - ticks();
    }

    void save(StateWriter out) {
        out.u64("idleTicks", idleTicks);
        out.flag("frequencyStopped", stopped);
        out.u64("stoppedAt", stopped ? stoppedAt : 0);
        out.u64("mperfOffset", mperfOffset);
        out.u64("aperfOffset", aperfOffset);
        out.u64("perfResetOffset", resetOffset);
    }

    void load(StateReader in) {
        idleTicks = in.u64("idleTicks");
        stopped = in.flag("frequencyStopped");
        stoppedAt = in.u64("stoppedAt");
        mperfOffset = in.u64("mperfOffset");
        aperfOffset = in.u64("aperfOffset");
        resetOffset = in.u64("perfResetOffset");
    }
}
