package dev.pacifica.emulator.device;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.execute.Interpreter;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import dev.pacifica.emulator.time.VirtualClock;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Interrupt 13 and port F0h, with a real-mode processor whose CR0.NE is clear. */
class NumericErrorsTest {
    @Test
    void anErrorRaisesInterrupt13UntilPortF0IsWritten() {
        try (PhysicalMemory memory = new PhysicalMemory(1 << 20)) {
            PortBus ports = new PortBus();
            VirtualClock clock = new VirtualClock();
            Cpu cpu = new Cpu(0, clock, memory, ports);
            boolean[] line = {false};
            ports.claim(
                    NumericErrors.PORT,
                    2,
                    new NumericErrors(List.of(cpu), level -> line[0] = level));
            cpu.cr0 = Cpu.CR0_ET;
            for (int i = 0; i < 6; i++) {
                cpu.segAttr[i] = i == Cpu.CS ? 0x9b : 0x93;
                cpu.segLimit[i] = 0xffff;
            }
            cpu.rip = 0x1000;
            cpu.setRflags(2);
            cpu.updateMode();
            cpu.fpu.initialise();
            cpu.fpu.setControl(0x37b); // division by zero is not masked
            byte[] code = {
                (byte) 0xd9,
                (byte) 0xe8, // fld1
                (byte) 0xd8,
                0x36,
                0,
                0x20, // fdiv dword [2000h]: zero
                (byte) 0xd9,
                (byte) 0xe8, // fld1
                (byte) 0xdb,
                (byte) 0xe2, // fnclex
                (byte) 0xd9,
                (byte) 0xe8, // fld1
            };
            memory.write(0x1000, code, 0, code.length);
            Interpreter interpreter = new Interpreter(cpu, new Decoder());
            interpreter.run(1);
            assertThat(line[0]).isFalse();
            interpreter.run(2);
            assertThat(line[0]).as("FERR").isTrue();
            interpreter.run(3);
            assertThat(cpu.activity).as("frozen").isEqualTo(Cpu.HALTED);
            assertThat(cpu.rip).isEqualTo(0x1006);
            ports.out(NumericErrors.PORT + 1, 1, 0);
            assertThat(line[0]).isTrue();
            ports.out(NumericErrors.PORT, 1, 0);
            assertThat(line[0]).as("IGNNE").isFalse();
            cpu.activity = Cpu.RUNNING;
            interpreter.run(3);
            assertThat(cpu.rip).isEqualTo(0x1008);
            assertThat(line[0]).as("no second interrupt for the same error").isFalse();
            interpreter.run(5);
            assertThat(cpu.rip).isEqualTo(0x100c);
            assertThat(cpu.fpu.errorIgnored()).isFalse();
        }
    }
}
