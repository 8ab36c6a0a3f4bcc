package dev.pacifica.emulator.execute;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Decoder;
import org.junit.jupiter.api.Test;

/** Decoded code is bounded, and dropping it changes nothing. */
class CodeCacheTest {
    private static final int PAGES = 10;
    private static final int MOST = 4;

    @Test
    void keepsNoMorePagesThanAllowedAndExecutesTheSame() {
        try (FlatMachine m = new FlatMachine(true)) {
            CodeCache cache = new CodeCache(m.memory, new Decoder(), MOST);
            Interpreter interpreter = new Interpreter(m.cpu, cache);
            for (int i = 0; i < PAGES; i++) {
                int distance = i + 1 < PAGES ? 0x1000 - 8 : -0x1000 * (PAGES - 1) - 8;
                int at = FlatMachine.CODE + 0x1000 * i;
                m.code(
                        at,
                        0x48,
                        0xff,
                        0xc0,
                        0xe9,
                        distance,
                        distance >> 8,
                        distance >> 16,
                        distance >> 24); // inc rax; jmp on
            }
            for (int round = 1; round <= 5; round++) {
                interpreter.run(m.clock.retired + 2 * PAGES);
                assertThat(m.cpu.r[Cpu.RAX]).isEqualTo((long) round * PAGES);
                assertThat(cache.kept()).isBetween(1, MOST);
            }
            m.memory.write(
                    FlatMachine.CODE + 2,
                    1,
                    0xc8); // dec rax: noticed, whether its page is kept or not
            interpreter.run(m.clock.retired + 2 * PAGES);
            assertThat(m.cpu.r[Cpu.RAX]).isEqualTo(5L * PAGES + PAGES - 2);
        }
    }
}
