package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;

/** The internal counter of the bus lock threshold (§15.14.5). */
final class BusLockThreshold {
    /** The running guest's bus locks are counted. */
    boolean enabled;

    private int left;

    /** VMRUN. */
    void load(Vmcb vmcb, boolean intercepted) {
        enabled = intercepted;
        left = vmcb.get16(VmcbLayout.BUS_LOCK_THRESHOLD) & 0xffff;
    }

    /** Whether a bus lock that is about to be executed exceeds the threshold; counts it if not. */
    boolean exceeded() {
        if (left == 0) {
            return true;
        }
        left--;
        return false;
    }

    /** #VMEXIT: writes the counter back. */
    void leave(Vmcb vmcb) {
        if (enabled) {
            vmcb.put16(VmcbLayout.BUS_LOCK_THRESHOLD, left);
            enabled = false;
        }
    }

    void save(StateWriter out) {
        out.flag("busLocksCounted", enabled);
        out.u16("busLocksLeft", left);
    }

    void load(StateReader in) {
        enabled = in.flag("busLocksCounted");
        left = in.u16("busLocksLeft") & 0xffff;
    }
}
