package dev.pacifica.emulator.machine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.memory.RawMemory;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Several processors that do random things to each other (spinlock, IPIs of every kind, HLT, MWAIT,
 * timers, code that another one changes): whatever way the run is cut, it is the same run.
 */
class ProcessorsTest {
    /** Turns of 1 to 23 instructions cut everything in pieces; 10,000 is the default. */
    private static final long[] QUANTA = {1, 2, 23, 1000, 10_000, 77_777};

    private static final int CODE = 0x8000;
    private static final int COUNT = 0x1004;
    private static final int ERRORS = 0x1010;
    private static final int STARTED = 0x1014;
    private static final int IPIS = 0x1018;
    private static final int NMIS = 0x101c;
    private static final int SEED = 0x1020;
    private static final int RING = 0x1100;
    private static final long LENGTH = 200_000;

    private static Machine machine(int processors, long quantum, int seed) {
        Machine machine =
                new Machine(
                        new MachineConfig(1 << 20, processors, "", Instant.EPOCH, 7, quantum),
                        (device, value) -> {});
        byte[] code = program();
        machine.memory().write(CODE, code, 0, code.length);
        machine.memory().write(SEED, 4, seed);
        int handler = find(code, 0x66, 0x50, 0x66, 0x51);
        int nmi = find(code, 0xf0, 0x66, 0xff, 0x06, 0x1c, 0x10);
        machine.memory().write(4 * 2, 4, 0x800_0000L | nmi);
        for (int vector = 0x40; vector <= 0x43; vector++) {
            machine.memory().write(4 * vector, 4, 0x800_0000L | handler);
        }
        Cpu cpu = machine.cpu(0);
        cpu.segSelector[Cpu.CS] = CODE >> 4;
        cpu.segBase[Cpu.CS] = CODE;
        cpu.rip = 0;
        cpu.updateMode();
        return machine;
    }

    private static byte[] program() {
        try (InputStream in = ProcessorsTest.class.getResourceAsStream("processors.bin")) {
            return in.readAllBytes();
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private static int find(byte[] code, int... bytes) {
        for (int at = 0; ; at++) {
            int i = 0;
            while (i < bytes.length && (code[at + i] & 0xff) == bytes[i]) {
                i++;
            }
            if (i == bytes.length) {
                return at;
            }
        }
    }

    private static long word(Machine machine, int address) {
        return machine.memory().read(address, 4);
    }

    private static byte[] state(Machine machine) {
        BinaryStateWriter out = new BinaryStateWriter();
        machine.save(out);
        return out.toByteArray();
    }

    private static byte[] ram(Machine machine) {
        byte[] ram = new byte[0x1_0000];
        machine.memory().read(0, ram, 0, ram.length);
        return ram;
    }

    /** Another machine in the state of this one, with no translation cached and no code decoded. */
    private static Machine moved(Machine from, long quantum) {
        Machine to = machine(from.vcpus(), quantum, 0);
        byte[] page = new byte[4096];
        for (int i = 0; i < from.memory().pageCount(); i++) {
            if (from.memory().everWritten(i)) {
                RawMemory.get(from.memory().hostOfPage(i), page, 0, page.length);
                to.memory().loadPage(i, page);
            }
        }
        byte[] saved = state(from);
        to.load(new BinaryStateReader(saved));
        assertThat(state(to)).isEqualTo(saved);
        from.close();
        return to;
    }

    @ParameterizedTest
    @CsvSource({"2,1", "4,2", "4,3", "7,4", "64,5"})
    void theyAllWorkAndSeeOneTime(int processors, int seed) {
        for (long quantum : QUANTA) {
            try (Machine machine = machine(processors, quantum, seed)) {
                assertThat(machine.run(processors > 7 ? 6 * LENGTH : LENGTH)).isNull();
                assertThat(word(machine, STARTED)).as("started").isEqualTo(processors);
                assertThat(word(machine, ERRORS)).as("TSC went back").isZero();
                assertThat(word(machine, COUNT)).as("lock taken").isGreaterThan(0);
                assertThat(word(machine, IPIS)).as("interrupts").isGreaterThan(100);
                assertThat(word(machine, NMIS)).as("NMIs").isGreaterThan(10);
                byte[] who = new byte[256];
                machine.memory().read(RING, who, 0, who.length);
                int distinct = 0;
                for (int i = 0; i < processors; i++) {
                    distinct +=
                            new String(who, StandardCharsets.ISO_8859_1).indexOf(i) >= 0 ? 1 : 0;
                }
                assertThat(distinct).as("the lock changed hands").isGreaterThan(1);
                long retired = 0;
                for (int i = 0; i < processors; i++) {
                    assertThat(machine.retired(i)).as("processor %d", i).isGreaterThan(100);
                    retired += machine.retired(i);
                }
                assertThat(retired).isEqualTo(machine.clock().retired);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4, 5, 6})
    void cutAndMovedAtRandomItIsTheSameRun(int seed) {
        SplittableRandom random = new SplittableRandom(seed);
        int processors = 2 + random.nextInt(4);
        for (long quantum : QUANTA) {
            Machine moving = machine(processors, quantum, seed);
            try (Machine whole = machine(processors, quantum, seed);
                    Machine parts = machine(processors, quantum, seed)) {
                whole.run(LENGTH);
                while (parts.clock().retired < LENGTH) {
                    long step = 1 + random.nextLong(random.nextInt(4) == 0 ? 3 : 5000);
                    parts.run(Math.min(LENGTH, parts.clock().retired + step));
                }
                for (int i = 0; i < 40; i++) {
                    long step = random.nextInt(3) == 0 ? 1 : random.nextLong(LENGTH / 20);
                    moving.run(Math.min(LENGTH, moving.clock().retired + step));
                    moving = moved(moving, quantum);
                }
                moving.run(LENGTH);
                String what = "%d processors, quantum %d".formatted(processors, quantum);
                assertThat(state(parts)).as(what).isEqualTo(state(whole));
                assertThat(ram(parts)).as(what).isEqualTo(ram(whole));
                assertThat(state(moving)).as(what).isEqualTo(state(whole));
                assertThat(ram(moving)).as(what).isEqualTo(ram(whole));
            } finally {
                moving.close();
            }
        }
    }

    /** Every moment of a stretch, one by one. */
    @Test
    void everyMomentMayBeTheLastOfARun() {
        for (long quantum : new long[] {1, 7, 100}) {
            try (Machine whole = machine(3, quantum, 9);
                    Machine parts = machine(3, quantum, 9)) {
                for (int n = 20_000; n <= 26_000; n++) {
                    parts.run(n);
                }
                whole.run(26_000);
                assertThat(state(parts)).as("quantum %d", quantum).isEqualTo(state(whole));
            }
        }
    }

    @Test
    void anotherQuantumIsAnotherRun() {
        byte[][] states = new byte[QUANTA.length][];
        for (int i = 0; i < QUANTA.length; i++) {
            try (Machine machine = machine(4, QUANTA[i], 1)) {
                machine.run(LENGTH);
                states[i] = ram(machine);
                for (int j = 0; j < i; j++) {
                    assertThat(Arrays.equals(states[i], states[j])).isFalse();
                }
            }
        }
    }

    /** Inputs that were heard between slices are heard again at the same moment. */
    @Test
    void inputsComeAgainAtTheirTicks() {
        SplittableRandom random = new SplittableRandom(3);
        for (long quantum : QUANTA) {
            RecordedInputs inputs = new RecordedInputs(random.split());
            byte[] first;
            try (Machine live = machine(3, quantum, 5)) {
                live.setInputs(inputs);
                while (live.clock().retired < LENGTH) {
                    live.run(Math.min(LENGTH, live.clock().retired + 1 + random.nextInt(500)));
                }
                first = state(live);
            }
            try (Machine again = machine(3, quantum, 5)) {
                again.setInputs(inputs.playback());
                again.run(LENGTH);
                assertThat(inputs.delivered()).isGreaterThan(10);
                assertThat(state(again)).as("quantum %d", quantum).isEqualTo(first);
            }
        }
    }

    @Test
    void aPausedMachineIsAsOneThatRanToThatCount() {
        for (int polls = 1; polls < 120; polls += 3) {
            try (Machine paused = machine(3, 37, 2);
                    Machine counted = machine(3, 37, 2)) {
                paused.run(10_000);
                paused.setInputs(new PauseAtPoll(paused, polls));
                assertThat(paused.run(Long.MAX_VALUE)).isNull();
                counted.run(paused.clock().retired);
                assertThat(state(paused)).as("pause %d", polls).isEqualTo(state(counted));
            }
        }
    }
}
