package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** §15.21.4: which virtual interrupt V_IRQ, V_INTR_PRIO, V_IGN_TPR and V_TPR let through. */
class VirtualInterruptsTest {
    private final SvmMachine machine = new SvmMachine();

    @AfterEach
    void release() {
        machine.close();
    }

    @ParameterizedTest
    @CsvSource({
        // V_IRQ, V_INTR_PRIO, V_TPR, V_IGN_TPR, passes
        "1, 1, 0, 0, true",
        "1, 0, 0, 0, false",
        "1, 5, 5, 0, false",
        "1, 6, 5, 0, true",
        "1, 4, 5, 0, false",
        "1, 0, 15, 1, true",
        "0, 15, 0, 0, false",
        "0, 15, 0, 1, false",
    })
    void priorityIsComparedWithTheVirtualTpr(
            int irq, int priority, int tpr, int ignore, boolean passes) {
        machine.put64(
                VmcbLayout.V_INTR, tpr | irq << 8 | priority << 16 | ignore << 20 | 0x41L << 32);
        machine.vmrun();
        assertThat(machine.svm.pendingVirtualInterrupt()).isEqualTo(passes ? 0x41 : -1);
    }

    @ParameterizedTest
    @CsvSource({"true", "false"})
    void theHostsInterruptFlagIsRemembered(boolean set) {
        machine.cpu.setRflags(set ? Cpu.IF | 2 : 2);
        machine.vmrun();
        assertThat(machine.svm.hostInterruptFlag()).isEqualTo(set);
    }
}
