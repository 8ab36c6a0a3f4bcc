package dev.pacifica.emulator.execute;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import org.junit.jupiter.api.Test;

/**
 * The same bytes mean other instructions in other code sizes, whatever was decoded there before.
 */
class CodeSizeTest {
    @Test
    void fallingIntoAPageThatRanAs64BitCode() {
        for (boolean cached : new boolean[] {false, true}) {
            try (FlatMachine m = new FlatMachine(cached)) {
                int second = FlatMachine.CODE + 0x1000;
                m.code(second, 0x48, 0xff, 0xc0, 0x90); // inc rax; nop - or dec eax; inc eax; nop
                m.cpu.rip = second;
                m.run(2);
                assertThat(m.cpu.r[Cpu.RAX]).isEqualTo(1);
                m.compatible();
                m.code(second - 2, 0x90, 0x90);
                m.cpu.rip = second - 2;
                m.run(4);
                assertThat(m.cpu.r[Cpu.RAX]).isEqualTo(1);
                assertThat(m.cpu.rip).isEqualTo(second + 3);
            }
        }
    }
}
