package dev.pacifica.analysis;

import dev.pacifica.emulator.machine.Stop;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.observe.MachineObserver;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.time.VirtualClock;
import dev.pacifica.recorder.RecordedMachine;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** A machine without a processor: a test says what its observer sees, and when. */
final class ScriptedMachine implements RecordedMachine {
    private final VirtualClock clock = new VirtualClock();
    private final PhysicalMemory memory = new PhysicalMemory(1 << 20);
    private final ByteBuffer vmcb = ByteBuffer.allocate(4096).order(ByteOrder.LITTLE_ENDIAN);
    final long[] registers = new long[16];
    MachineObserver observer = new MachineObserver() {};

    private long get(int offset, int size) {
        long value = 0;
        for (int i = 0; i < size; i++) {
            value |= (vmcb.get(offset + i) & 0xffL) << 8 * i;
        }
        return value;
    }

    /**
     * A guest that runs for the given number of instructions and then exits; the host took {@code
     * hostInstructions} before.
     */
    void enterAndExit(
            int hostInstructions,
            int guestInstructions,
            long entryRip,
            long exitCode,
            long info1,
            long info2,
            long rip) {
        clock.retired += hostInstructions;
        enter(entryRip);
        clock.retired += guestInstructions;
        vmcb.putLong(0x070, exitCode);
        vmcb.putLong(0x078, info1);
        vmcb.putLong(0x080, info2);
        vmcb.putLong(0x578, rip);
        vmcb.putLong(0x5f8, registers[0]);
        observer.vmexit(0, 0x5000, this::get, guestInstructions);
    }

    /** The guest that was entered last is left. */
    void exit(long exitCode, long rip) {
        vmcb.putLong(0x578, rip);
        exit(exitCode, 0, 0, 0, 0);
    }

    /** The same with what the VMCB says of the exit. */
    void exit(long exitCode, long info1, long info2, long nextRip, long interruptInfo) {
        vmcb.putLong(0x070, exitCode);
        vmcb.putLong(0x078, info1);
        vmcb.putLong(0x080, info2);
        vmcb.putLong(0x088, interruptInfo);
        vmcb.putLong(0x0c8, nextRip);
        vmcb.putLong(0x5f8, registers[0]);
        observer.vmexit(0, 0x5000, this::get, 0);
    }

    /** A guest that is entered and, as far as this goes, runs on. */
    void enter(long entryRip) {
        vmcb.putInt(0x058, 1);
        vmcb.putLong(0x578, entryRip);
        observer.vmrun(0, 0x5000, this::get);
    }

    /** TLB_CONTROL of the VMRUNs from here on. */
    void tlbControl(int value) {
        vmcb.put(0x05c, (byte) value);
    }

    @Override
    public Stop run(long untilInsnCount) {
        throw new UnsupportedOperationException();
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
    public long digest(int vcpu) {
        return 0;
    }

    @Override
    public void observe(MachineObserver newObserver) {
        if (newObserver != null) {
            observer = newObserver;
        }
    }

    @Override
    public void save(StateWriter out) {
        clock.save(out);
    }

    @Override
    public void load(StateReader in) {
        clock.load(in);
    }
}
