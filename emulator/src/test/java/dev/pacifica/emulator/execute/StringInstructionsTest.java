package dev.pacifica.emulator.execute;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Repeated string instructions, in bulk and at the edges, against element by element models (APM
 * Vol 3 §1.2.6).
 */
class StringInstructionsTest {
    private static final int A = FlatMachine.DATA;
    private final FlatMachine machine = new FlatMachine(true);
    private final Cpu cpu = machine.cpu;
    private final Random random = new Random(7);

    @AfterEach
    void release() {
        machine.close();
    }

    private void registers(long count, long source, long destination) {
        cpu.r[Cpu.RCX] = count;
        cpu.r[Cpu.RSI] = source;
        cpu.r[Cpu.RDI] = destination;
        cpu.rip = FlatMachine.CODE;
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 4, 8})
    void repMovsCopiesElementByElementWhateverOverlaps(int size) {
        int[] code =
                switch (size) {
                    case 1 -> new int[] {0xf3, 0xa4};
                    case 2 -> new int[] {0x66, 0xf3, 0xa5};
                    case 4 -> new int[] {0xf3, 0xa5};
                    default -> new int[] {0xf3, 0x48, 0xa5};
                };
        machine.code(FlatMachine.CODE, code);
        byte[] model = new byte[20_000];
        for (int round = 0; round < 60; round++) {
            random.nextBytes(model);
            machine.memory.write(A, model, 0, model.length);
            boolean down = random.nextBoolean();
            int count = random.nextInt(5000 / size);
            int from = 6000 + random.nextInt(3000);
            int to =
                    random.nextInt(3) == 0
                            ? from + random.nextInt(17) - 8
                            : 6000 + random.nextInt(3000);
            cpu.setRflags(down ? Cpu.DF : 0);
            registers(count, A + from, A + to);
            machine.run(1);
            int step = down ? -size : size;
            for (int i = 0; i < count; i++) {
                byte[] element = new byte[size];
                System.arraycopy(model, from + i * step, element, 0, size);
                System.arraycopy(element, 0, model, to + i * step, size);
            }
            byte[] found = new byte[model.length];
            machine.memory.read(A, found, 0, found.length);
            assertThat(found)
                    .as("size %d count %d from %d to %d down %b", size, count, from, to, down)
                    .isEqualTo(model);
            assertThat(cpu.r[Cpu.RCX]).isZero();
            assertThat(cpu.r[Cpu.RSI]).isEqualTo(A + from + (long) count * step);
            assertThat(cpu.r[Cpu.RDI]).isEqualTo(A + to + (long) count * step);
            assertThat(cpu.rip).isEqualTo(FlatMachine.CODE + code.length);
        }
    }

    @Test
    void aLongRepStosTakesOneTickForEach65536Iterations() {
        machine.code(FlatMachine.CODE, 0xf3, 0xaa);
        cpu.r[Cpu.RAX] = 0x5a;
        registers(200_000, 0, A);
        machine.run(1);
        assertThat(cpu.r[Cpu.RCX]).isEqualTo(200_000 - 65_536);
        assertThat(cpu.r[Cpu.RDI]).isEqualTo(A + 65_536);
        assertThat(cpu.rip).isEqualTo(FlatMachine.CODE);
        machine.run(3);
        assertThat(cpu.r[Cpu.RCX]).isZero();
        assertThat(cpu.rip).isEqualTo(FlatMachine.CODE + 2);
        assertThat(machine.memory.read(A + 199_999, 1)).isEqualTo(0x5a);
        assertThat(machine.memory.read(A + 200_000, 1)).isZero();
    }

    @Test
    void aFaultInTheMiddleLeavesTheRegistersAtTheElementThatFaulted() {
        machine.code(
                FlatMachine.CODE,
                0xf3,
                0x48,
                0xab); // rep stosq towards the end of the mapped 16 MiB
        cpu.r[Cpu.RAX] = -1;
        registers(100, 0, 0x100_0000 - 40);
        machine.run(1);
        assertThat(cpu.r[Cpu.RCX]).isEqualTo(95);
        assertThat(cpu.r[Cpu.RDI]).isEqualTo(0x100_0000);
        assertThat(cpu.cr2).isEqualTo(0x100_0000);
        assertThat(cpu.rip).isEqualTo(FlatMachine.CODE);
    }

    @Test
    void repneScasbStopsAfterTheMatchAndSetsTheFlagsOfIt() {
        machine.code(FlatMachine.CODE, 0xf2, 0xae);
        byte[] text = new byte[9000];
        java.util.Arrays.fill(text, (byte) 'x');
        text[8765] = 0;
        machine.memory.write(A, text, 0, text.length);
        cpu.r[Cpu.RAX] = 0;
        registers(-1, 0, A);
        machine.run(1);
        assertThat(cpu.r[Cpu.RDI]).isEqualTo(A + 8766);
        assertThat(cpu.r[Cpu.RCX]).isEqualTo(-1 - 8766);
        assertThat(cpu.zf()).isTrue();
        assertThat(cpu.cf()).isFalse();
    }

    @Test
    void repeCmpsStopsAfterTheFirstDifference() {
        machine.code(FlatMachine.CODE, 0xf3, 0xa6);
        byte[] text = new byte[6000];
        random.nextBytes(text);
        machine.memory.write(A, text, 0, text.length);
        text[4500] = (byte) (text[4500] + 1);
        machine.memory.write(A + 0x10000, text, 0, text.length);
        registers(6000, A, A + 0x10000);
        machine.run(1);
        assertThat(cpu.r[Cpu.RCX]).isEqualTo(6000 - 4501);
        assertThat(cpu.r[Cpu.RSI]).isEqualTo(A + 4501);
        assertThat(cpu.zf()).isFalse();
    }

    @Test
    void aCountOfZeroTouchesNothing() {
        machine.code(FlatMachine.CODE, 0xf3, 0xa4);
        registers(0, 1L << 40, 1L << 41);
        cpu.setRflags(Cpu.ZF | Cpu.CF);
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(FlatMachine.CODE + 2);
        assertThat(cpu.r[Cpu.RSI]).isEqualTo(1L << 40);
        assertThat(cpu.zf()).isTrue();
    }

    @Test
    void repStosOverDecodedCodeTakesTheCodeAway() {
        machine.code(FlatMachine.CODE + 256, 0xb0, 7, 0xeb, 0xfc); // mov al, 7 ; jmp back
        cpu.rip = FlatMachine.CODE + 256;
        machine.run(4);
        machine.code(FlatMachine.CODE, 0xf3, 0xaa);
        cpu.r[Cpu.RAX] = 0x90;
        registers(3000, 0, FlatMachine.CODE + 256);
        machine.run(1);
        cpu.r[Cpu.RAX] = 0;
        cpu.rip = FlatMachine.CODE + 256;
        machine.run(3);
        assertThat(cpu.r[Cpu.RAX]).isZero();
        assertThat(cpu.rip).isEqualTo(FlatMachine.CODE + 259);
    }
}
