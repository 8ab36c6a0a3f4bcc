package dev.pacifica.emulator.cpu;

/**
 * Unwinds to the run loop after a #VMEXIT that happened deep inside an instruction (a nested page
 * fault, an intercepted exception): the processor already is in the host's state. Preallocated,
 * without stack trace.
 */
public final class WorldSwitched extends RuntimeException {
    private static final long serialVersionUID = 1L;

    WorldSwitched() {
        super(null, null, false, false);
    }
}
