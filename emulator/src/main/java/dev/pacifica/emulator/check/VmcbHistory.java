package dev.pacifica.emulator.check;

import dev.pacifica.emulator.observe.MachineObserver.VmcbView;
import dev.pacifica.emulator.svm.VmcbLayout;

/** A VMCB as its last #VMEXIT left it, and who ran it. */
final class VmcbHistory {
    private static final int WORDS = VmcbLayout.USED / 8;

    private final long[] words = new long[WORDS];

    /** Whether a #VMEXIT was seen since the VMCB was last refused. */
    boolean known;

    /** The processor that ran it last, -1 before the first time. */
    int processor = -1;

    /** How often it went to another processor. */
    long moves;

    /** The VINTR intercept at the last VMRUN. */
    boolean virtualInterruptIntercepted;

    void exited(VmcbView vmcb) {
        known = true;
        for (int i = 0; i < WORDS; i++) {
            words[i] = vmcb.get(8 * i, 8);
        }
    }

    /** A field as the last #VMEXIT left it; it does not cross 8 bytes. */
    long get(int offset, int size) {
        long word = words[offset >>> 3] >>> 8 * (offset & 7);
        return size == 8 ? word : word & (1L << 8 * size) - 1;
    }
}
