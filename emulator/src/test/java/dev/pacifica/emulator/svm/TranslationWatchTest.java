package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.check.HypervisorCheck;
import dev.pacifica.emulator.cpu.Cpu;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** While a guest runs that may use a stale translation, and then only, its accesses are watched. */
class TranslationWatchTest {
    private static final long PAGE = 0x7_3000;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    /** The guest has read the page, and the nested tables have it no more. */
    @BeforeEach
    void staleTranslation() {
        machine.interceptSafely();
        machine.intercept(ExitCode.INTR);
        machine.nestedPaging();
        cpu.observer = new HypervisorCheck(List.of(cpu));
        machine.code(SvmMachine.GUEST_CODE, "488b0425 00300700 f4"); // mov rax, [73000h]; hlt
        machine.put64(VmcbLayout.RIP, SvmMachine.GUEST_CODE);
        enter();
        assertThat(machine.run(4)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(cpu.mmu.hasTranslationWatch()).isFalse();
        machine.nestedPage(PAGE, 0);
    }

    @AfterEach
    void release() {
        machine.close();
    }

    private void enter() {
        cpu.rip = SvmMachine.HOST_CODE;
        cpu.r[Cpu.RAX] = SvmMachine.VMCB;
        machine.vmrun();
    }

    @Test
    void fromVmrunToVmexit() {
        enter();
        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.mmu.hasTranslationWatch()).isTrue();
        machine.svm.exit(ExitCode.INTR, 0, 0);
        assertThat(cpu.mmu.hasTranslationWatch()).isFalse();
    }

    @Test
    void notAfterARefusedVmrun() {
        machine.put64(VmcbLayout.CR0, 1L << 32 | machine.get64(VmcbLayout.CR0));
        enter();
        assertThat(cpu.guestMode).isFalse();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.INVALID);
        assertThat(cpu.mmu.hasTranslationWatch()).isFalse();
    }
}
