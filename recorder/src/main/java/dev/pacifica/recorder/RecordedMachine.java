package dev.pacifica.recorder;

import dev.pacifica.emulator.machine.Stop;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.observe.MachineObserver;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.time.VirtualClock;
import java.util.List;

/** What recorder and replayer need of a machine. */
public interface RecordedMachine {
    VirtualClock clock();

    PhysicalMemory memory();

    /** Number of virtual processors. */
    int vcpus();

    /** Instructions that one processor has retired, while it is its turn. */
    default long retired(int vcpu) {
        return clock().retired;
    }

    /** General register 0 (RAX) to 15 of a processor. */
    long register(int vcpu, int index);

    /** What CPUID offers, by the names that {@code --cpu} has for it. */
    default List<String> cpuFeatures() {
        return List.of();
    }

    /** A cheap digest of a processor's registers. */
    long digest(int vcpu);

    /** Who sees the machine from now on. */
    void observe(MachineObserver observer);

    /**
     * Runs until exactly this many instructions are retired, or the machine ends.
     *
     * @return why the machine ended, or null
     */
    Stop run(long untilInsnCount);

    /** Saves everything but the contents of RAM. */
    void save(StateWriter out);

    /** Loads what {@link #save} wrote; the contents of RAM are loaded by the caller. */
    void load(StateReader in);
}
