package dev.pacifica.emulator.machine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.boot.BootFile;
import dev.pacifica.emulator.boot.BootRequest;
import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.state.BinaryStateWriter;
import java.time.Instant;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.OptionalLong;
import java.util.SplittableRandom;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Random bytes as the program of a whole PC, in real, protected and 64-bit mode, with every device
 * within reach: the machine goes on, waits or ends, and does the same when it is done again.
 */
class RandomProgramTest {
    private static final int RUNS = 60;
    private static final long INSTRUCTIONS = 30_000;
    private static final int LOAD = 0x7c00;
    private static final int TABLES = 0x10_0000;
    private static final int GDT = 0x2_0000;
    private static final int IDT = 0x2_1000;

    /** The devices' ports and MMIO pages. */
    private static final int[] PORTS = {
        0x20, 0x21, 0xa0, 0xa1, 0x40, 0x42, 0x43, 0x61, 0x60, 0x64, 0x70, 0x71, 0x80, 0x92, 0x2f8,
        0x2f9, 0x3f8, 0x3f9, 0x3fb, 0x3fc, 0x4d0, 0x510, 0x511, 0x514, 0x518, 0x600, 0x604, 0x608,
        0xb2, 0xcf8, 0xcf9, 0xcfc, 0xcfe
    };

    private static final long[] PAGES = {
        0xfee0_0000L, 0xfec0_0000L, 0xfed0_0000L, 0xb_8000L, 0xe_0000L, 0xffff_f000L, 0x3ff_f000L
    };

    private static final byte[][] OPENINGS =
            Stream.of(
                            "ec", "ed", "ee", "ef", "e4", "e6", "6c", "f36d", "6e", "f36f", "0f30",
                            "0f32", "0fa2", "0f20", "0f22", "0f01", "0f00", "fa", "fb", "f4", "cd",
                            "cf", "8b06", "8906", "8b03", "8903", "f3a5", "f3ab", "0f01d8",
                            "0f01da", "0f01db", "0f0b")
                    .map(HexFormat.of()::parseHex)
                    .toArray(byte[][]::new);

    @ParameterizedTest
    @CsvSource({"real,1", "protected,1", "long,1", "real,3", "protected,3", "long,3"})
    @Timeout(120)
    void goesOnWaitsOrEnds(String mode, int processors) {
        SplittableRandom random = new SplittableRandom(mode.hashCode() + processors - 1);
        int busy = 0;
        for (int run = 0; run < RUNS; run++) {
            long seed = random.nextLong();
            Outcome first = outcome(mode, processors, new SplittableRandom(seed));
            if (run % 8 == 0) {
                assertThat(outcome(mode, processors, new SplittableRandom(seed)))
                        .as("run %d again", run)
                        .isEqualTo(first);
            }
            busy += first.retired > 1000 ? 1 : 0;
        }
        assertThat(busy).as("runs of more than a thousand instructions").isGreaterThan(RUNS / 4);
    }

    /** How far a machine came, and a hash of all its state there. */
    private record Outcome(long retired, int state) {}

    private static Outcome outcome(String mode, int processors, SplittableRandom random) {
        MachineConfig config =
                new MachineConfig(
                        4 << 20,
                        processors,
                        "epyc-milan",
                        Instant.parse("2026-01-01T00:00:00Z"),
                        1,
                        300);
        try (Machine machine = new Machine(config, (_, _) -> {})) {
            machine.boot(
                    new BootRequest(
                            BootFile.of("random", program(random)),
                            List.of(),
                            "",
                            OptionalLong.of(LOAD)));
            for (int i = 0; i < processors; i++) {
                start(machine, machine.cpu(i), mode, random);
            }
            run(machine);
            BinaryStateWriter state = new BinaryStateWriter();
            machine.save(state);
            return new Outcome(machine.clock().retired, Arrays.hashCode(state.toByteArray()));
        }
    }

    private static void start(Machine machine, Cpu cpu, String mode, SplittableRandom random) {
        if (cpu.id != 0) { // as a SIPI would
            cpu.segSelector[Cpu.CS] = 0;
            cpu.segBase[Cpu.CS] = 0;
            cpu.rip = LOAD + random.nextInt(0x8000);
            cpu.activity = Cpu.RUNNING;
            cpu.updateMode();
        }
        enter(machine, cpu, mode, random);
        for (int i = 0; i < 16; i++) {
            if (i != Cpu.RSP) {
                cpu.r[i] =
                        switch (random.nextInt(3)) {
                            case 0 -> PORTS[random.nextInt(PORTS.length)];
                            case 1 -> PAGES[random.nextInt(PAGES.length)] + 16 * random.nextInt(64);
                            default -> random.nextLong() >>> random.nextInt(64);
                        };
            }
        }
    }

    /**
     * To the limit, or until the machine has ended or sleeps for good: its timers run on, but
     * nothing wakes it.
     */
    private static void run(Machine machine) {
        long before = -1;
        try (ScheduledExecutorService watch = Executors.newSingleThreadScheduledExecutor()) {
            ScheduledFuture<?> pauses =
                    watch.scheduleAtFixedRate(
                            machine::requestPause, 500, 500, TimeUnit.MILLISECONDS);
            while (machine.clock().retired < INSTRUCTIONS && machine.clock().retired > before) {
                before = machine.clock().retired;
                if (machine.run(INSTRUCTIONS) != null) {
                    break;
                }
            }
            pauses.cancel(true);
            watch.shutdownNow();
        }
    }

    private static byte[] program(SplittableRandom random) {
        byte[] program = new byte[0x8000];
        random.nextBytes(program);
        for (int i = 0; i < program.length - 32; i += random.nextInt(3, 16)) {
            if (random.nextBoolean()) {
                int port = PORTS[random.nextInt(PORTS.length)];
                program[i++] =
                        (byte) 0xba; // mov dx (or edx, whose upper half is then random code's)
                program[i++] = (byte) port;
                program[i++] = (byte) (port >> 8);
            }
            byte[] opening = OPENINGS[random.nextInt(OPENINGS.length)];
            System.arraycopy(opening, 0, program, i, opening.length);
        }
        return program;
    }

    private static void enter(Machine machine, Cpu cpu, String mode, SplittableRandom random) {
        boolean wide = mode.equals("long");
        // Each vector goes on somewhere in the program.
        for (int vector = 0; vector < 256; vector++) {
            long handler = LOAD + random.nextInt(0x8000);
            switch (mode) {
                case "real" -> machine.memory().write(4 * vector, 4, handler);
                case "protected" ->
                        machine.memory()
                                .write64(IDT + 8 * vector, handler | 8 << 16 | 0x8e00L << 32);
                default -> {
                    machine.memory().write64(IDT + 16 * vector, handler | 8 << 16 | 0x8e00L << 32);
                    machine.memory().write64(IDT + 16 * vector + 8, 0);
                }
            }
        }
        if (mode.equals("real")) {
            return;
        }
        machine.memory().write64(GDT + 8, wide ? 0x00af_9b00_0000_ffffL : 0x00cf_9b00_0000_ffffL);
        machine.memory().write64(GDT + 16, 0x00cf_9300_0000_ffffL);
        cpu.gdtrBase = GDT;
        cpu.gdtrLimit = 0x17;
        cpu.idtrBase = IDT;
        cpu.idtrLimit = 0xfff;
        // RAM, and the APICs and the HPET, in large pages. Nothing else: a REP that runs through
        // gigabytes of nothing is one instruction, which
        // ends, but not soon.
        if (wide) {
            machine.memory().write64(TABLES, TABLES + 0x1000 | 7);
            machine.memory().write64(TABLES + 0x1000, TABLES + 0x2000 | 7);
            machine.memory().write64(TABLES + 0x1000 + 8 * 3, TABLES + 0x3000 | 7);
            machine.memory().write64(TABLES + 0x2000, 0x87);
            machine.memory().write64(TABLES + 0x2008, 0x20_0087);
            machine.memory().write64(TABLES + 0x3000 + 8 * 0x1f6, 0xfec0_0087L);
            machine.memory().write64(TABLES + 0x3000 + 8 * 0x1f7, 0xfee0_0087L);
            cpu.cr3 = TABLES;
            cpu.cr4 = Cpu.CR4_PAE;
            cpu.efer = Cpu.EFER_LME | Cpu.EFER_LMA | Cpu.EFER_NXE | Cpu.EFER_SVME;
            cpu.cr0 = Cpu.CR0_PE | Cpu.CR0_PG | Cpu.CR0_ET;
        } else {
            machine.memory().write(TABLES, 4, 0x87);
            machine.memory().write(TABLES + 4 * 0x3fb, 4, 0xfec0_0087L);
            cpu.cr3 = TABLES;
            cpu.cr4 = Cpu.CR4_PSE;
            cpu.cr0 = Cpu.CR0_PE | Cpu.CR0_PG | Cpu.CR0_ET;
        }
        for (int segment = 0; segment < 6; segment++) {
            cpu.segSelector[segment] = segment == Cpu.CS ? 8 : 16;
            cpu.segBase[segment] = 0;
            cpu.segLimit[segment] = 0xffff_ffffL;
            cpu.segAttr[segment] = segment != Cpu.CS ? 0xc93 : wide ? 0xa9b : 0xc9b;
        }
        cpu.r[Cpu.RSP] = 0x20_0000;
        cpu.rip = LOAD;
        cpu.updateMode();
    }
}
