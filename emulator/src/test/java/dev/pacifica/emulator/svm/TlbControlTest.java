package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * ASIDs and TLB control: §15.16. A translation is seen to be stale or fresh by the value behind it.
 */
class TlbControlTest {
    private static final long PAGE = 0x80000;
    private static final long GLOBAL_PAGE = 0x81000;
    private static final long OLD = 0x70000;
    private static final long NEW = 0x71000;
    private static final long ALL = SvmMachine.P | SvmMachine.W | SvmMachine.U;
    private static final long G = 0x100;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @BeforeEach
    void pages() {
        machine.memory.write64(OLD, 1);
        machine.memory.write64(NEW, 2);
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | Cpu.CR4_PGE);
        map(OLD);
    }

    @AfterEach
    void release() {
        machine.close();
    }

    private void map(long frame) {
        machine.guestPage(PAGE, frame | ALL);
        machine.guestPage(GLOBAL_PAGE, frame | ALL | G);
    }

    /** Enters the guest with the ASID and TLB_CONTROL and returns what it sees at the page. */
    private long[] guestSees(int asid, int control) {
        machine.put32(VmcbLayout.ASID, asid);
        machine.put8(VmcbLayout.TLB_CONTROL, control);
        machine.vmrun();
        long[] seen = {cpu.mmu.read64(PAGE), cpu.mmu.read64(GLOBAL_PAGE)};
        machine.svm.exit(ExitCode.HLT, 0, 0);
        cpu.rip = SvmMachine.HOST_CODE;
        return seen;
    }

    @Test
    void vmrunAndVmexitDoNotFlush() {
        assertThat(guestSees(1, 0)).containsExactly(1, 1);
        map(NEW);
        assertThat(guestSees(1, 0))
                .as("stale, as the manual allows and silicon does")
                .containsExactly(1, 1);
    }

    @Test
    void flushOfEverything() {
        guestSees(1, 0);
        guestSees(2, 0);
        map(NEW);
        assertThat(guestSees(2, 1)).containsExactly(2, 2);
        assertThat(guestSees(1, 0)).as("other ASIDs too").containsExactly(2, 2);
    }

    @Test
    void flushOfTheGuestsAsid() {
        guestSees(1, 0);
        guestSees(2, 0);
        map(NEW);
        assertThat(guestSees(1, 3)).containsExactly(2, 2);
        assertThat(guestSees(2, 0)).as("another ASID keeps its own").containsExactly(1, 1);
    }

    @Test
    void flushOfTheGuestsNonGlobalEntries() {
        guestSees(1, 0);
        map(NEW);
        assertThat(guestSees(1, 7)).containsExactly(2, 1);
    }

    @Test
    void tlbControlIsNotWritten() {
        guestSees(1, 3);
        assertThat(machine.get8(VmcbLayout.TLB_CONTROL)).isEqualTo(3);
    }

    @Test
    void asidsAreApart() {
        assertThat(guestSees(1, 0)).containsExactly(1, 1);
        map(NEW);
        assertThat(guestSees(2, 0)).containsExactly(2, 2);
        assertThat(guestSees(1, 0)).containsExactly(1, 1);
    }

    @Test
    void moreAsidsThanTheTlbKeepsAreStillCorrect() {
        for (int asid = 1; asid <= 100; asid++) {
            map(asid % 2 == 0 ? OLD : NEW);
            assertThat(guestSees(asid, 0))
                    .containsExactly(asid % 2 == 0 ? 1 : 2, asid % 2 == 0 ? 1 : 2);
        }
    }

    @Test
    void invlpgaDropsOnePageOfOneAsid() {
        guestSees(1, 0);
        guestSees(2, 0);
        map(NEW);
        cpu.r[Cpu.RAX] = PAGE + 0x10;
        cpu.r[Cpu.RCX] = 1;
        assertThat(machine.execute("0f01df")).isNull();
        cpu.r[Cpu.RAX] = SvmMachine.VMCB;
        cpu.rip = SvmMachine.HOST_CODE;
        assertThat(guestSees(1, 0)).containsExactly(2, 1);
        assertThat(guestSees(2, 0)).containsExactly(1, 1);
    }

    @Test
    void aFlushInTheHostLeavesTheGuestsAlone() {
        guestSees(1, 0);
        map(NEW);
        cpu.mmu.flush(true);
        assertThat(guestSees(1, 0)).containsExactly(1, 1);
    }
}
