package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** RSM of whatever a handler leaves in the state-save area: a state or a shutdown, nothing else. */
class RandomSaveStateTest {
    private static final int SAVED = 0x3fe00;
    private static final int RUNS = 3000;

    @Test
    void rsmLoadsAnyStateOrShutsDown() {
        SplittableRandom random = new SplittableRandom(10);
        int resumed = 0;
        try (TestProcessor p = TestProcessor.longMode()) {
            Cpu cpu = p.cpu;
            p.code(0x38000, "0faa");
            for (int run = 0; run < RUNS; run++) {
                Reset.powerOn(cpu);
                cpu.rip = 0x8000;
                cpu.segBase[Cpu.CS] = 0;
                cpu.updateMode();
                cpu.smiPending = true;
                cpu.attention |= Cpu.ATTENTION_INTERRUPT;
                p.step();
                assertThat(cpu.smm.active()).isTrue();
                for (int change = random.nextInt(1, 12); change > 0; change--) {
                    int at = SAVED + 8 * random.nextInt(64);
                    boolean bit = random.nextInt(3) > 0;
                    p.write(
                            at,
                            8,
                            bit ? p.read(at, 8) ^ 1L << random.nextInt(64) : random.nextLong());
                }
                p.step(4);
                if (!cpu.smm.active()) {
                    resumed++;
                    assertThat(cpu.cpl).isBetween(0, 3);
                    assertThat(Cpu.canonical(cpu.segBase[Cpu.TR])).isTrue();
                } else {
                    assertThat(cpu.activity).isEqualTo(Cpu.SHUTDOWN);
                }
            }
        }
        assertThat(resumed).isBetween(RUNS / 10, RUNS - RUNS / 20);
    }
}
