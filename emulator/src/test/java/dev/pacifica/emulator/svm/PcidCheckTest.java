package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.check.HypervisorCheck;
import dev.pacifica.emulator.cpu.Cpu;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The sanitizer knows that PCIDs tell translations apart (§5.5.1, §15.16 software rule). */
class PcidCheckTest {
    private static final long TABLES = SvmMachine.GUEST_PML4;
    private static final long OTHER_TABLES = 0x7_0000;
    private static final int WRITE_CR3 = 1 << 19;

    private final SvmMachine machine = new SvmMachine();
    private final HypervisorCheck check = new HypervisorCheck(List.of(machine.cpu));

    @BeforeEach
    void carefulHypervisor() {
        machine.interceptSafely();
        machine.intercept(ExitCode.INTR);
        machine.put32(VmcbLayout.INTERCEPT_CR, WRITE_CR3);
        machine.put64(VmcbLayout.CR4, machine.get64(VmcbLayout.CR4) | Cpu.CR4_PCIDE);
        machine.cpu.observer = check;
    }

    @AfterEach
    void release() {
        machine.close();
    }

    private void run(long cr3) {
        machine.put64(VmcbLayout.CR3, cr3);
        machine.cpu.rip = SvmMachine.HOST_CODE;
        machine.cpu.r[Cpu.RAX] = SvmMachine.VMCB;
        machine.vmrun();
        assertThat(machine.cpu.guestMode).isTrue();
        machine.svm.exit(ExitCode.INTR, 0, 0);
    }

    private List<String> found() {
        return check.findings().stream()
                .map(finding -> finding.kind.label() + ": " + finding.subject)
                .toList();
    }

    /** KVM does so under shadow paging when its guest writes CR3 with bit 63 set. */
    @Test
    void nothingIsFlushedWhilePcidsKeepTheirTables() {
        for (int i = 0; i < 3; i++) {
            run(TABLES | 2);
            run(OTHER_TABLES | 1);
        }
        assertThat(found()).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(ints = {TlbControl.FLUSH_ALL, TlbControl.FLUSH_ASID})
    void aPcidGoesToOtherTablesWithAFlushOnly(int flush) {
        run(TABLES | 2);
        run(OTHER_TABLES | 1);
        machine.put8(VmcbLayout.TLB_CONTROL, flush);
        run(OTHER_TABLES | 2);
        machine.put8(VmcbLayout.TLB_CONTROL, TlbControl.NOTHING);
        run(TABLES | 1);
        assertThat(found()).isEmpty();
        run(TABLES | 2);
        assertThat(found()).containsExactly("paging-mode-changed: CR3");
    }

    /** A guest that may write CR3 flushes a PCID for itself before other tables take it. */
    @Test
    void whatPcidsAGuestUsedUnseenIsNotKnown() {
        machine.put32(VmcbLayout.INTERCEPT_CR, 0);
        run(TABLES | 2);
        run(OTHER_TABLES | 1);
        run(OTHER_TABLES | 2);
        assertThat(found()).isEmpty();
        run(TABLES | 2);
        assertThat(found()).containsExactly("paging-mode-changed: CR3");
    }

    @Test
    void withoutPcidsEachChangeOfCr3NeedsAFlush() {
        machine.put64(VmcbLayout.CR4, machine.get64(VmcbLayout.CR4) & ~Cpu.CR4_PCIDE);
        run(TABLES);
        run(OTHER_TABLES);
        assertThat(found()).containsExactly("paging-mode-changed: CR3");
    }
}
