package dev.pacifica.emulator.device;

/** One interrupt request wire as its device drives it. */
@FunctionalInterface
public interface InterruptLine {
    /** Asserts or releases the wire; saying the same twice changes nothing. */
    void set(boolean asserted);

    /** Releases the wire, then asserts it: an edge for edge-triggered inputs. */
    default void pulse() {
        set(false);
        set(true);
    }
}
