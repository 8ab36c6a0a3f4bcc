package dev.pacifica.emulator.paging;

/**
 * Thrown instead of performing a device access while {@link Mmu#deviceAccessAllowed} is false: the
 * engine then executes that one instruction in its exact path. Preallocated, without stack trace.
 */
public final class DeviceAccess extends RuntimeException {
    private static final long serialVersionUID = 1L;

    DeviceAccess() {
        super(null, null, false, false);
    }
}
