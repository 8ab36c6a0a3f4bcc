package dev.pacifica.emulator.machine;

import java.time.Instant;

/**
 * Everything that defines a machine before anything is loaded into it. Together with the images and
 * the input log it determines a whole run.
 *
 * @param memoryBytes RAM, a multiple of 4096, up to 64 GiB
 * @param cpus processors, 1 to 64
 * @param cpu model and features as {@code --cpu} has them, e.g. {@code "EPYC-Milan,-x2apic"}
 * @param rtcBase what the real-time clock shows at power-on
 * @param seed what the guest's sources of randomness start from
 * @param quantum instructions that one of several processors executes before it is the next one's
 *     turn, 1 to 100,000,000
 * @param vmcbCache whether processors cache VMCB state as the clean bits allow (APM Vol 2 §15.15),
 *     or load everything at every VMRUN
 */
public record MachineConfig(
        long memoryBytes,
        int cpus,
        String cpu,
        Instant rtcBase,
        long seed,
        long quantum,
        boolean vmcbCache) {
    public static final long MIN_MEMORY = 1L << 20;

    public static final long MAX_MEMORY = 64L << 30;

    public static final int MAX_CPUS = 64;

    /** What a turn is if nobody says otherwise. */
    public static final long DEFAULT_QUANTUM = 10_000;

    private static final long MAX_QUANTUM = 100_000_000;

    public MachineConfig {
        if (!isMemorySize(memoryBytes)) {
            throw new IllegalArgumentException(
                    "memory size %d is not a multiple of 4096 between 1M and 64G"
                            .formatted(memoryBytes));
        }
        if (cpus < 1 || cpus > MAX_CPUS) {
            throw new IllegalArgumentException(
                    "%d processors; a machine has 1 to %d".formatted(cpus, MAX_CPUS));
        }
        if (quantum < 1 || quantum > MAX_QUANTUM) {
            throw new IllegalArgumentException(
                    "a quantum of %d instructions is not between 1 and %d"
                            .formatted(quantum, MAX_QUANTUM));
        }
    }

    /** Whether a machine can have this much RAM, in bytes. */
    public static boolean isMemorySize(long bytes) {
        return bytes >= MIN_MEMORY && bytes <= MAX_MEMORY && (bytes & 0xfff) == 0;
    }

    /** A machine whose processors load everything at every VMRUN. */
    public MachineConfig(
            long memoryBytes, int cpus, String cpu, Instant rtcBase, long seed, long quantum) {
        this(memoryBytes, cpus, cpu, rtcBase, seed, quantum, false);
    }

    /** As before; its processors take turns of the usual length. */
    public MachineConfig(long memoryBytes, int cpus, String cpu, Instant rtcBase, long seed) {
        this(memoryBytes, cpus, cpu, rtcBase, seed, DEFAULT_QUANTUM);
    }
}
