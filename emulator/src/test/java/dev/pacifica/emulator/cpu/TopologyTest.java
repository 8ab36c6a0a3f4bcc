package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.machine.Machine;
import dev.pacifica.emulator.machine.MachineConfig;
import java.time.Instant;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What CPUID says of the processors of a machine (APM Vol 3 appendix E.5): cores of one package.
 */
class TopologyTest {
    private static int[] cpuid(Cpu cpu, int function, int sub) {
        cpu.r[Cpu.RAX] = function & 0xffff_ffffL;
        cpu.r[Cpu.RCX] = sub;
        Cpuid.execute(cpu);
        return new int[] {
            (int) cpu.r[Cpu.RAX], (int) cpu.r[Cpu.RBX], (int) cpu.r[Cpu.RCX], (int) cpu.r[Cpu.RDX]
        };
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4, 7, 8, 33, 64})
    void eachProcessorIsACoreOfOnePackage(int processors) {
        int idBits = 0;
        while (1 << idBits < processors) {
            idBits++;
        }
        try (Machine machine =
                new Machine(
                        new MachineConfig(2 << 20, processors, "", Instant.EPOCH, 1),
                        (device, value) -> {})) {
            for (int id = 0; id < processors; id++) {
                Cpu cpu = machine.cpu(id);
                assertThat(cpu.activity).isEqualTo(id == 0 ? Cpu.RUNNING : Cpu.WAIT_FOR_SIPI);
                assertThat(cpu.apic.base() >> 8 & 1)
                        .as("boot processor")
                        .isEqualTo(id == 0 ? 1 : 0);
                int[] features = cpuid(cpu, 1, 0);
                assertThat(features[1] >>> 24).isEqualTo(id);
                assertThat(features[1] >>> 16 & 0xff).isEqualTo(processors);
                assertThat(features[3] >>> 28 & 1).as("HTT").isEqualTo(processors > 1 ? 1 : 0);
                assertThat(cpuid(cpu, 0x8000_0001, 0)[2] >>> 1 & 1)
                        .as("CmpLegacy")
                        .isEqualTo(processors > 1 ? 1 : 0);
                int size = cpuid(cpu, 0x8000_0008, 0)[2];
                assertThat(size & 0xff).as("NC").isEqualTo(processors - 1);
                assertThat(size >> 12 & 15).as("ApicIdSize").isEqualTo(idBits);
                int[] thread = cpuid(cpu, 0xb, 0);
                assertThat(thread).containsExactly(0, 1, 0x100, id);
                int[] core = cpuid(cpu, 0xb, 1);
                assertThat(core).containsExactly(idBits, processors, 0x201, id);
                assertThat(cpuid(cpu, 0xb, 2)).containsExactly(0, 0, 2, id);
                int[] extended = cpuid(cpu, 0x8000_001e, 0);
                assertThat(extended[0]).as("ExtApicId").isEqualTo(id);
                cpu.apic.setBase(cpu.apic.base() & ~0xc00L);
                assertThat(cpuid(cpu, 0x8000_001e, 0)[0]).as("of an APIC that is off").isZero();
                assertThat(extended[1]).as("core, one thread").isEqualTo(id);
                assertThat(extended[2]).as("one node").isZero();
                int sharing = cpuid(cpu, 0x8000_001d, 3)[0] >>> 14 & 0xfff;
                assertThat(sharing + 1).as("processors that share the L3").isEqualTo(processors);
            }
        }
    }
}
