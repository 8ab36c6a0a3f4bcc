package dev.pacifica.emulator.execute;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Whatever bytes a guest executes, in whatever mode, the processor goes on, halts or shuts down: no
 * Java exception escapes.
 */
class RandomBytesTest {
    @ParameterizedTest
    @ValueSource(ints = {64, 32, 16})
    void anyBytesAreExecutedAlikeWithAndWithoutCache(int codeBits) {
        Random random = new Random(codeBits);
        byte[] code = new byte[256];
        try (FlatMachine fast = new FlatMachine(true);
                FlatMachine plain = new FlatMachine(false)) {
            for (int n = 0; n < 4000; n++) {
                random.nextBytes(code);
                if (random.nextBoolean()) {
                    for (int i = 0; i < code.length; i += 4) {
                        code[i] = 0x0f;
                    }
                }
                long seed = random.nextLong();
                start(fast, codeBits, code, seed);
                start(plain, codeBits, code, seed);
                fast.run(30);
                plain.run(30);
                assertThat(fast.clock.retired).as("round %d", n).isEqualTo(plain.clock.retired);
                assertThat(fast.cpu.rip).as("round %d", n).isEqualTo(plain.cpu.rip);
                assertThat(fast.cpu.activity).as("round %d", n).isEqualTo(plain.cpu.activity);
                assertThat(fast.cpu.digest()).as("round %d", n).isEqualTo(plain.cpu.digest());
                fast.clock.retired = plain.clock.retired;
            }
        }
    }

    private static void start(FlatMachine machine, int codeBits, byte[] code, long seed) {
        Random random = new Random(seed);
        Cpu cpu = machine.cpu;
        machine.reset();
        if (codeBits == 32) {
            machine.compatible();
        } else if (codeBits == 16) {
            machine.real();
        }
        machine.memory.write(codeBits == 16 ? 0x7c00 : FlatMachine.CODE, code, 0, code.length);
        cpu.rip = codeBits == 16 ? 0x7c00 : FlatMachine.CODE;
        for (int i = 0; i < 16; i++) {
            long value =
                    random.nextInt(3) == 0
                            ? random.nextLong()
                            : FlatMachine.DATA + random.nextInt(4096);
            cpu.r[i] = codeBits == 64 ? value : value & 0xffff_ffffL;
        }
        cpu.r[Cpu.RSP] = codeBits == 16 ? 0x7000 : FlatMachine.STACK;
        cpu.setRflags(random.nextInt() & Cpu.ARITHMETIC_FLAGS);
    }
}
