package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.SplittableRandom;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Whatever bytes a guest executes, and whatever its tables hold, the processor goes on or shuts
 * down.
 */
class RandomSystemCodeTest {
    private static final int RUNS = 150;
    private static final int STEPS = 400;

    /** Openings of system instructions, so that random code is not mostly arithmetic. */
    private static final String[] SYSTEM = {
        "0f 00",
        "0f 01",
        "0f 02",
        "0f 03",
        "0f 05",
        "0f 06",
        "0f 07",
        "0f 08",
        "0f 09",
        "0f 20",
        "0f 21",
        "0f 22",
        "0f 23",
        "0f 30",
        "0f 31",
        "0f 32",
        "0f 34",
        "0f 35",
        "0f a2",
        "0f aa",
        "8e",
        "9a",
        "ea",
        "ff 18",
        "ff 28",
        "ca",
        "cb",
        "cc",
        "cd",
        "ce",
        "cf",
        "48 cf",
        "f1",
        "9c",
        "9d",
        "fa",
        "fb",
        "c4",
        "c5",
        "0f b2",
        "6c",
        "f3 6d",
        "6e",
        "f3 6f",
        "e4",
        "e6",
        "63",
        "07",
        "17",
        "1f",
        "f3 0f ae d0",
        "66 0f 38 82",
        "0f 01 f8",
        "0f 01 d8",
        "0f 01 dc"
    };

    static Stream<Arguments> modes() {
        return Stream.of(
                Arguments.of("real", (Supplier<TestProcessor>) TestProcessor::realMode),
                Arguments.of(
                        "protected, ring 0",
                        (Supplier<TestProcessor>) TestProcessor::protectedMode),
                Arguments.of(
                        "protected, ring 3",
                        (Supplier<TestProcessor>) () -> TestProcessor.protectedMode().user()),
                Arguments.of("long, ring 0", (Supplier<TestProcessor>) TestProcessor::longMode),
                Arguments.of(
                        "long, ring 3",
                        (Supplier<TestProcessor>) () -> TestProcessor.longMode().user()));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("modes")
    void neverLeavesTheArchitecture(String name, Supplier<TestProcessor> mode) {
        SplittableRandom random = new SplittableRandom(name.hashCode());
        int progressed = 0;
        for (int run = 0; run < RUNS; run++) {
            try (TestProcessor p = mode.get()) {
                scramble(p, random, run);
                long before = p.clock.retired;
                for (int step = 0; step < STEPS && p.cpu.activity != Cpu.SHUTDOWN; step++) {
                    if (p.cpu.activity != Cpu.RUNNING) {
                        p.cpu.nmiPending = true;
                        p.cpu.gif = true;
                        p.cpu.nmiBlocked = false;
                        p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
                    }
                    p.step();
                    assertThat(p.cpu.cpl).isBetween(0, 3);
                    assertThat(p.cpu.rflags() & 2).isEqualTo(2);
                }
                progressed += p.clock.retired - before > 3 ? 1 : 0;
            }
        }
        assertThat(progressed).isGreaterThan(RUNS / 2);
    }

    /**
     * Random code everywhere a handler or program starts, random registers, and in some runs random
     * table entries.
     */
    private static void scramble(TestProcessor p, SplittableRandom random, int run) {
        for (int at = TestProcessor.HANDLERS; at < TestProcessor.USER_CODE + 0x1000; ) {
            if (random.nextInt(3) == 0) {
                String opening = SYSTEM[random.nextInt(SYSTEM.length)];
                p.code(at, opening);
                at += (opening.length() + 1) / 3;
            }
            p.write(at, 8, random.nextLong());
            at += random.nextInt(1, 9);
        }
        for (int i = 0; i < 16; i++) {
            if (i != Cpu.RSP || random.nextInt(4) == 0) {
                p.cpu.r[i] =
                        switch (random.nextInt(4)) {
                            case 0 -> random.nextLong();
                            case 1 -> random.nextInt(0x100);
                            case 2 -> 0xc000_0080L + random.nextInt(6);
                            default -> TestProcessor.GDT + random.nextInt(0x10000);
                        };
            }
        }
        if (run % 3 == 0) {
            for (int i = 0; i < 40; i++) {
                long table = random.nextBoolean() ? TestProcessor.GDT : TestProcessor.IDT;
                p.write(table + 8 * random.nextInt(32), 8, random.nextLong());
            }
        }
        if (run % 5 == 0) {
            for (int i = 0; i < 26; i++) {
                p.write(TestProcessor.TSS + 4 * i, 4, random.nextInt());
                p.write(TestProcessor.TSS2 + 4 * i, 4, random.nextInt(0x10000));
            }
        }
        p.cpu.setRflags(random.nextInt() & ~Cpu.VM & (random.nextInt(4) == 0 ? -1 : ~Cpu.TF) | 2);
        p.cpu.msrs.lstar = TestProcessor.CODE;
        p.cpu.msrs.star = random.nextLong();
        p.cpu.msrs.sysenterCs = random.nextInt(0x100);
        p.cpu.msrs.sysenterEip = TestProcessor.CODE;
        p.cpu.msrs.vmHsavePa = 0x6_0000;
        p.cpu.efer |= random.nextBoolean() ? Cpu.EFER_SVME | Cpu.EFER_SCE : 0;
    }
}
