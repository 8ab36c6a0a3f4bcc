package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;

/**
 * The PAUSE filter (§15.14.4): the internal counter that VMRUN loads, and the time of the guest's
 * last PAUSE in TSC cycles.
 */
final class PauseFilter {
    /** PAUSE Filter Count; 0 if the model has no filter. */
    private int initial;

    /** PAUSE Filter Threshold; 0 for the simple mode. */
    private int threshold;

    private int count;
    private boolean paused;
    private long lastPause;

    /** VMRUN. */
    void load(Vmcb vmcb, CpuModel model) {
        initial = vmcb.get16(VmcbLayout.PAUSE_FILTER_COUNT);
        threshold = vmcb.get16(VmcbLayout.PAUSE_FILTER_THRESHOLD);
        if ((initial | threshold) != 0) {
            boolean filter = model.has(CpuFeature.PAUSE_FILTER);
            initial = filter ? initial : 0;
            threshold = filter && model.has(CpuFeature.PFTHRESHOLD) ? threshold : 0;
        }
        count = initial;
        paused = false;
        lastPause = 0;
    }

    /**
     * The guest executes PAUSE: whether the counter went below zero, so that the intercept exits.
     *
     * @param now in TSC cycles of any offset
     */
    boolean expires(long now) {
        boolean late = paused && threshold != 0 && now - lastPause > threshold;
        paused = true;
        lastPause = now;
        count = late ? initial : count - 1;
        return count < 0;
    }

    void save(StateWriter out) {
        out.u32("pauseFilterCount", initial);
        out.u32("pauseFilterThreshold", threshold);
        out.u32("pauseCounter", count);
        out.flag("paused", paused);
        out.u64("lastPause", lastPause);
    }

    void load(StateReader in) {
        initial = in.u32("pauseFilterCount");
        threshold = in.u32("pauseFilterThreshold");
        count = in.u32("pauseCounter");
        paused = in.flag("paused");
        lastPause = in.u64("lastPause");
    }
}
