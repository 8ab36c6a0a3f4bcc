package dev.pacifica.emulator.machine;

import java.time.Instant;

/**
 * Everything that defines a machine before anything is loaded into it. Together with the images and
 * the input log it determines a whole run.
 *
 * @param memoryBytes RAM, a multiple of 4096, up to 64 GiB
 * @param cpus processors
 * @param cpu model and features as {@code --cpu} has them, e.g. {@code "EPYC-Milan,-x2apic"}
 * @param rtcBase what the real-time clock shows at power-on
 * @param seed what the guest's sources of randomness start from
 */
public record MachineConfig(long memoryBytes, int cpus, String cpu, Instant rtcBase, long seed) {
    /** The largest RAM size in bytes. */
    public static final long MAX_MEMORY = 64L << 30;

    public MachineConfig {
        if (memoryBytes < 1 << 20 || memoryBytes > MAX_MEMORY || (memoryBytes & 0xfff) != 0) {
            throw new IllegalArgumentException(
                    "memory size %d is not a multiple of 4096 between 1M and 64G"
                            .formatted(memoryBytes));
        }
        if (cpus != 1) {
            throw new IllegalArgumentException(
                    "%d processors; this version emulates one".formatted(cpus));
        }
    }
}
