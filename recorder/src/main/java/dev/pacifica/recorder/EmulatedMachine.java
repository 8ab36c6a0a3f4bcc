package dev.pacifica.recorder;

import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.machine.Machine;
import dev.pacifica.emulator.machine.Stop;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.observe.MachineObserver;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.time.VirtualClock;
import java.util.List;
import java.util.stream.Stream;

/** The emulator's machine as recorder and replayer see it. */
public record EmulatedMachine(Machine machine) implements RecordedMachine {
    @Override
    public VirtualClock clock() {
        return machine.clock();
    }

    @Override
    public PhysicalMemory memory() {
        return machine.memory();
    }

    @Override
    public int vcpus() {
        return machine.vcpus();
    }

    @Override
    public long retired(int vcpu) {
        return machine.cpu(vcpu).retired();
    }

    @Override
    public long register(int vcpu, int index) {
        return machine.cpu(vcpu).r[index];
    }

    @Override
    public List<String> cpuFeatures() {
        return Stream.of(CpuFeature.values())
                .filter(machine.cpu(0).model::has)
                .map(CpuFeature::label)
                .toList();
    }

    @Override
    public long digest(int vcpu) {
        return machine.cpu(vcpu).digest();
    }

    @Override
    public void observe(MachineObserver observer) {
        machine.observe(observer);
    }

    @Override
    public Stop run(long untilInsnCount) {
        return machine.run(untilInsnCount);
    }

    @Override
    public void save(StateWriter out) {
        machine.save(out);
    }

    @Override
    public void load(StateReader in) {
        machine.load(in);
    }
}
