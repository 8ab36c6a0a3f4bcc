package dev.pacifica.emulator.execute;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import java.io.IOException;
import java.lang.classfile.ClassFile;
import java.lang.classfile.MethodModel;
import java.lang.classfile.attribute.CodeAttribute;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Decoded code follows every change of the bytes it came from, and of the page they are in. */
class CodeCacheTest {
    private static final int CODE = FlatMachine.CODE;
    private final FlatMachine machine = new FlatMachine(true);
    private final Cpu cpu = machine.cpu;

    @AfterEach
    void release() {
        machine.close();
    }

    private void from(int rip, int instructions) {
        cpu.rip = rip;
        machine.run(instructions);
    }

    @Test
    void aLoopThatWritesTheImmediateOfItsOwnNextInstructionSeesIt() {
        // again: mov [rip+imm of the next], cl ; mov eax, imm32 ; inc ecx ; jmp again
        machine.code(CODE, 0x88, 0x0d, 1, 0, 0, 0, 0xb8, 0, 0, 0, 0, 0xff, 0xc1, 0xeb, 0xf1);
        cpu.r[Cpu.RCX] = 0;
        from(CODE, 4);
        for (int i = 1; i < 100; i++) {
            machine.run(2);
            assertThat(cpu.r[Cpu.RAX]).isEqualTo(i);
            machine.run(2);
        }
    }

    @Test
    void aWriteToTheInstructionThatRunsChangesItsNextExecutionOnly() {
        // mov byte [rip - 7 + 6], 0x22 : writes its own immediate ; nop
        machine.code(CODE, 0xc6, 0x05, 0xff, 0xff, 0xff, 0xff, 0x11, 0x90);
        from(CODE, 1);
        assertThat(machine.memory.read(CODE + 6, 1)).isEqualTo(0x11);
        assertThat(cpu.rip).isEqualTo(CODE + 7);
        machine.code(CODE + 6, 0x22);
        from(CODE, 1);
        assertThat(machine.memory.read(CODE + 6, 1)).isEqualTo(0x22);
    }

    @Test
    void writesFromOutsideTheProcessorAreSeen() {
        machine.code(CODE, 0xb8, 1, 0, 0, 0, 0xeb, 0xf9); // mov eax, 1 ; jmp back
        from(CODE, 2);
        assertThat(cpu.r[Cpu.RAX]).isEqualTo(1);
        machine.code(CODE + 1, 2);
        machine.run(2);
        assertThat(cpu.r[Cpu.RAX]).isEqualTo(2);
    }

    @Test
    void anInstructionAcrossTwoPagesIsFetchedFromBoth() {
        int at = CODE + 4096 - 3;
        machine.code(at, 0xb8, 0x44, 0x33, 0x22, 0x11, 0xeb, 0xf9); // mov eax, 11223344h ; jmp back
        from(at, 2);
        assertThat(cpu.r[Cpu.RAX]).isEqualTo(0x1122_3344);
        machine.code(CODE + 4096, 0x99);
        machine.run(2);
        assertThat(cpu.r[Cpu.RAX]).isEqualTo(0x1199_3344);
        machine.code(CODE + 4094, 0x55);
        machine.run(2);
        assertThat(cpu.r[Cpu.RAX]).isEqualTo(0x1199_3355);
    }

    @Test
    void runsLongerThanOneDecodingAheadAndPageEndsAreCrossedAgainAndAgain() {
        for (int i = 0; i < 8192 - 5; i++) {
            machine.code(CODE + i, 0x90);
        }
        machine.code(CODE + 8192 - 5, 0xe9, 0x00, 0xe0, 0xff, 0xff); // jmp CODE
        for (int round = 1; round <= 3; round++) {
            from(CODE, 8192 - 5 + 1);
            assertThat(cpu.rip).isEqualTo(CODE);
        }
    }

    @Test
    void jumpingIntoTheMiddleOfAnInstructionDecodesWhatIsThere() {
        machine.code(CODE, 0xb8, 0x04, 0x07, 0x90, 0x90, 0xeb, 0xf9); // mov eax, imm ; inside: add al, 7 ; nop ; nop
        from(CODE, 1);
        cpu.r[Cpu.RAX] = 1;
        from(CODE + 1, 1);
        assertThat(cpu.r[Cpu.RAX]).isEqualTo(8);
        assertThat(cpu.rip).isEqualTo(CODE + 3);
        from(CODE, 1);
        assertThat(cpu.r[Cpu.RAX]).isEqualTo(0x9090_0704L);
    }

    @Test
    void dataBesideCodeCostsTheCodeNothingButStaysExact() {
        // inc dword [rip + 100h] ; jmp back
        machine.code(CODE, 0xff, 0x05, 0, 1, 0, 0, 0xeb, 0xf8);
        from(CODE, 2000);
        assertThat(machine.memory.read(CODE + 0x106, 4)).isEqualTo(1000);
    }

    @Test
    void theSamePhysicalPageRunsIn64And32BitCode() {
        machine.code(CODE, 0x48, 0xff, 0xc0, 0x90); // 64: inc rax ; 32: dec eax ; inc eax
        cpu.r[Cpu.RAX] = 0xffff_ffffL;
        from(CODE, 1);
        assertThat(cpu.r[Cpu.RAX]).isEqualTo(0x1_0000_0000L);
        machine.compatible();
        cpu.r[Cpu.RAX] = 5;
        from(CODE, 1);
        assertThat(cpu.r[Cpu.RAX]).isEqualTo(4);
        machine.run(1);
        assertThat(cpu.r[Cpu.RAX]).isEqualTo(5);
    }

    @Test
    void noMethodOfTheLoopIsTooBigForHotSpot() throws IOException {
        List<String> big = new ArrayList<>();
        for (Class<?> type : List.of(HotLoop.class, RareOps.class, Alu.class, IntegerInstructions.class, Interpreter.class)) {
            try (var in = type.getResourceAsStream(type.getSimpleName() + ".class")) {
                for (MethodModel method : ClassFile.of().parse(in.readAllBytes()).methods()) {
                    int bytes = method.code()
                            .map(code -> ((CodeAttribute) code).codeLength())
                            .orElse(0);
                    if (bytes >= 8000) {
                        big.add(type.getSimpleName() + "." + method.methodName() + ": " + bytes);
                    }
                }
            }
        }
        assertThat(big).isEmpty();
    }
}
