package dev.pacifica.emulator.device;

import dev.pacifica.emulator.memory.PhysicalMemory;

/** stub, replaced below */
public final class AcpiTables {
    /** The system control interrupt. */
    public static final int SCI = 9;

    private AcpiTables() {}

    public static long install(PhysicalMemory memory, int processors) {
        return 0;
    }
}
