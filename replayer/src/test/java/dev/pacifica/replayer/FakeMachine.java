package dev.pacifica.replayer;

import dev.pacifica.emulator.machine.InputSource;
import dev.pacifica.emulator.machine.Stop;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.observe.MachineObserver;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.time.VirtualClock;
import dev.pacifica.recorder.RecordedMachine;
import java.util.Arrays;
import java.util.List;

/**
 * A machine that executes nothing but behaves like one: a pseudo-random sequence of memory writes,
 * VMRUN/#VMEXIT pairs, serial output and idle time, all of which depends on all that came before,
 * its inputs included.
 */
final class FakeMachine implements RecordedMachine {
    private final VirtualClock clock = new VirtualClock();
    private final PhysicalMemory memory = new PhysicalMemory(8 << 20);
    private final InputSource inputs;
    private final long endsAt;
    private final long[] registers = new long[16];
    private final byte[] vmcb = new byte[4096];
    private MachineObserver observer = new MachineObserver() {};
    private long random;
    private Stop stop;

    /** Set to make the machine misbehave: one register bit flips at this instruction. */
    long glitchAt = -1;

    /** Set to make the machine misbehave: a byte of RAM changes at this instruction. */
    long memoryGlitchAt = -1;

    /** From this instruction on, nothing happens that anybody could see. */
    long silentFrom = Long.MAX_VALUE;

    /** What CPUID offers. */
    List<String> features = List.of("fpu", "svm");

    /** Name of a field of the saved state. */
    String fieldName = "random";

    FakeMachine(long seed, long endsAt, InputSource inputs) {
        this.inputs = inputs;
        this.endsAt = endsAt;
        random = seed;
        byte[] image = new byte[10_000];
        Arrays.fill(image, (byte) 0x5a);
        memory.write(0x10_0000, image, 0, image.length);
    }

    private int next(int bound) {
        random = random * 6364136223846793005L + 1442695040888963407L;
        return (int) ((random >>> 33) % bound);
    }

    private void put(int offset, int size, long value) {
        for (int i = 0; i < size; i++) {
            vmcb[offset + i] = (byte) (value >>> 8 * i);
        }
    }

    private long get(int offset, int size) {
        long value = 0;
        for (int i = 0; i < size; i++) {
            value |= (vmcb[offset + i] & 0xffL) << 8 * i;
        }
        return value;
    }

    private void step() {
        clock.retired++;
        registers[next(16)] += next(1000);
        if (clock.retired == glitchAt) {
            registers[3] ^= 4;
        }
        if (clock.retired == memoryGlitchAt) {
            memory.write(0x20_0000, 1, 0x99);
        }
        if (next(20) == 0) {
            memory.write(
                    (long) next((int) (memory.size() >> 4)) & ~7L,
                    8,
                    next(4) == 0 ? 0 : registers[next(16)]);
        }
        if (next(50) == 0 && clock.retired < silentFrom) {
            worldSwitch();
        }
        if (next(300) == 0 && clock.retired < silentFrom) {
            observer.serialOutput(0, 'a' + next(26));
        }
        if (next(400) == 0) {
            clock.skipTo(clock.now() + next(10_000));
        }
    }

    private void worldSwitch() {
        observer.vmcbChange(0, 0x5000, 0x578, 8, get(0x578, 8), registers[1]);
        put(0x578, 8, registers[1]);
        put(0x058, 4, 1 + next(3));
        put(0x05c, 1, next(8) == 0 ? 1 : 0);
        observer.vmrun(0, 0x5000, this::get);
        int instructions = next(100);
        clock.retired += instructions;
        long[] codes = {0x400, 0x7b, 0x7c, 0x72, 0x81, 0x60, 0x4e, 0x13, 0x23, 0x78};
        put(0x070, 8, codes[next(codes.length)]);
        put(0x078, 8, (long) next(0x10000) << 16 | 0x10);
        put(0x080, 8, registers[2]);
        put(0x578, 8, registers[3]);
        observer.vmexit(0, 0x5000, this::get, instructions);
    }

    @Override
    public Stop run(long untilInsnCount) {
        while (clock.retired < untilInsnCount && stop == null) {
            while (inputs.nextPoll(clock.now() - 1) <= clock.now()) {
                InputSource.Input input = inputs.poll(clock.now());
                if (input == null) {
                    break;
                }
                observer.input(input.kind(), input.device(), input.data());
                random += Arrays.hashCode(input.data());
            }
            step();
            if (clock.retired >= endsAt) {
                stop =
                        new Stop(
                                Stop.Reason.DEBUG_EXIT,
                                33,
                                "the guest wrote 0x10 to the debug-exit port");
                observer.stopped(stop.detail(), stop.status());
            }
        }
        return stop;
    }

    @Override
    public VirtualClock clock() {
        return clock;
    }

    @Override
    public PhysicalMemory memory() {
        return memory;
    }

    @Override
    public int vcpus() {
        return 1;
    }

    @Override
    public long register(int vcpu, int index) {
        return registers[index];
    }

    @Override
    public List<String> cpuFeatures() {
        return features;
    }

    /** Changes what the machine is before its first instruction. */
    void changeRegister() {
        registers[5] = 7;
    }

    @Override
    public long digest(int vcpu) {
        return Arrays.hashCode(registers);
    }

    @Override
    public void observe(MachineObserver newObserver) {
        observer = newObserver == null ? new MachineObserver() {} : newObserver;
    }

    @Override
    public void save(StateWriter out) {
        clock.save(out);
        out.section("fake");
        out.longs("registers", registers);
        out.bytes("vmcb", vmcb);
        out.u64(fieldName, random);
    }

    @Override
    public void load(StateReader in) {
        clock.load(in);
        in.section("fake");
        in.longs("registers", registers);
        in.bytes("vmcb", vmcb);
        random = in.u64("random");
    }
}
