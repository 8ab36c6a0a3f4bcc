package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Saving and loading a processor (invariant I4). */
class CpuStateFormatTest {
    private static byte[] save(Cpu cpu) {
        BinaryStateWriter out = new BinaryStateWriter();
        cpu.save(out);
        return out.toByteArray();
    }

    @Test
    void savedLoadedAndSavedAgainIsIdentical() {
        SplittableRandom random = new SplittableRandom(1);
        try (TestProcessor from = TestProcessor.longMode().user();
                TestProcessor to = TestProcessor.realMode()) {
            Cpu cpu = from.cpu;
            for (int i = 0; i < 16; i++) {
                cpu.r[i] = random.nextLong();
            }
            for (int i = 0; i < 8; i++) {
                cpu.segBase[i] = random.nextLong();
            }
            cpu.setRflags(Cpu.IF | Cpu.AC | Cpu.CF | Cpu.OF | Cpu.TF | 2);
            cpu.dr[0] = 0x1234;
            cpu.dr[7] = 0x402;
            cpu.msrs.lstar = random.nextLong();
            cpu.nmiPending = true;
            cpu.interruptShadow = true;
            cpu.tscOffset = random.nextLong();
            byte[] saved = save(cpu);
            to.cpu.load(new BinaryStateReader(saved));
            assertThat(save(to.cpu)).isEqualTo(save(cpu));
            assertThat(to.cpu.r).isEqualTo(cpu.r);
            assertThat(to.cpu.mode64).isTrue();
            assertThat(to.cpu.cpl).isEqualTo(3);
            assertThat(to.cpu.rflags()).isEqualTo(cpu.rflags());
        }
    }

    @Test
    void pendingTrapSurvives() {
        try (TestProcessor from = TestProcessor.protectedMode();
                TestProcessor to = TestProcessor.protectedMode()) {
            from.cpu.setRflags(Cpu.TF | 2);
            from.code("90").step(); // the trap is due but not taken
            to.cpu.load(new BinaryStateReader(save(from.cpu)));
            to.step();
            assertThat(to.handler()).isEqualTo(GuestException.DB);
            assertThat(to.stack32(0)).isEqualTo(TestProcessor.CODE + 1);
        }
    }
}
