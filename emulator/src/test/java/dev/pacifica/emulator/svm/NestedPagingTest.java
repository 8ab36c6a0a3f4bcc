package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.cpu.WorldSwitched;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * Nested page faults and what they report: §15.25.5 to §15.25.7; hosts with 4-level, PAE and 32-bit
 * tables (§15.25.3).
 */
class NestedPagingTest {
    private static final long PAGE = 0x80000;
    private static final long PRESENT = 1;
    private static final long WRITE = 2;
    private static final long USER = 4;
    private static final long RESERVED = 8;
    private static final long FETCH = 16;
    private static final long FINAL = 1L << 32;
    private static final long TABLE = 1L << 33;
    private static final long ALL = SvmMachine.P | SvmMachine.W | SvmMachine.U;
    private static final long PAE_TABLES = 0x90000;
    private static final long TABLES_32 = 0xa0000;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @BeforeEach
    void nested() {
        machine.nestedPaging();
    }

    @AfterEach
    void release() {
        machine.close();
    }

    private void assertNestedFault(Runnable access, long info1, long address) {
        assertThatThrownBy(access::run).isInstanceOf(WorldSwitched.class);
        assertThat(cpu.guestMode).isFalse();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.NPF);
        assertThat(Long.toHexString(machine.info1())).isEqualTo(Long.toHexString(info1));
        assertThat(machine.info2()).isEqualTo(address);
        assertThat(machine.get64(VmcbLayout.NRIP)).isZero();
    }

    @Test
    void aReadOfANotPresentPage() {
        machine.nestedPage(PAGE, 0);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.read8(PAGE + 0x123), FINAL | USER, PAGE + 0x123);
    }

    @Test
    void aWriteOfANotPresentPage() {
        machine.nestedPage(PAGE, 0);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.write32(PAGE + 8, 1), FINAL | USER | WRITE, PAGE + 8);
    }

    @Test
    void aWriteOfAReadOnlyPageWhateverTheWpBits() {
        machine.nestedPage(PAGE, SvmMachine.P | SvmMachine.U | PAGE);
        machine.put64(VmcbLayout.CR0, machine.get64(VmcbLayout.CR0) & ~Cpu.CR0_WP);
        cpu.cr0 &= ~Cpu.CR0_WP;
        machine.vmrun();
        assertThat(cpu.mmu.read8(PAGE)).isZero();
        assertNestedFault(() -> cpu.mmu.write8(PAGE, 1), FINAL | USER | WRITE | PRESENT, PAGE);
    }

    @Test
    void anyAccessOfASupervisorPage() {
        machine.nestedPage(PAGE, SvmMachine.P | SvmMachine.W | PAGE);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.read8(PAGE), FINAL | USER | PRESENT, PAGE);
    }

    @Test
    void aFetchOfANoExecutePage() {
        machine.nestedPage(PAGE, ALL | PAGE | SvmMachine.NX);
        machine.vmrun();
        assertThat(cpu.mmu.read8(PAGE)).isZero();
        assertNestedFault(
                () -> cpu.mmu.translateFetch(PAGE + 4), FINAL | USER | FETCH | PRESENT, PAGE + 4);
        assertThat(machine.get8(VmcbLayout.FETCHED_BYTES)).isZero();
    }

    @Test
    void noExecuteIsAReservedBitWhileTheHostsNxeIsClear() {
        cpu.efer &= ~Cpu.EFER_NXE;
        machine.nestedPage(PAGE, ALL | PAGE | SvmMachine.NX);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.read8(PAGE), FINAL | USER | RESERVED | PRESENT, PAGE);
    }

    @Test
    void reservedAddressBits() {
        machine.nestedPage(PAGE, ALL | PAGE | 1L << 48);
        machine.vmrun();
        assertNestedFault(
                () -> cpu.mmu.write8(PAGE, 0), FINAL | USER | WRITE | RESERVED | PRESENT, PAGE);
    }

    @Test
    void aGuestTableThatIsNotPresentIsAWriteDuringTheTableWalk() {
        machine.nestedPage(SvmMachine.GUEST_PT, 0);
        machine.vmrun();
        assertNestedFault(
                () -> cpu.mmu.read8(PAGE),
                TABLE | USER | WRITE,
                SvmMachine.GUEST_PT + (PAGE >> 12) * 8);
    }

    @Test
    void aReadOnlyGuestTableFaultsEvenForReads() {
        machine.nestedPage(
                SvmMachine.GUEST_PML4, SvmMachine.P | SvmMachine.U | SvmMachine.GUEST_PML4);
        machine.vmrun();
        assertNestedFault(
                () -> cpu.mmu.translateFetch(PAGE),
                TABLE | USER | WRITE | PRESENT,
                SvmMachine.GUEST_PML4);
    }

    @Test
    void withoutGuestPagingTheLinearAddressIsTranslated() {
        machine.protected32();
        machine.nestedPage(PAGE, 0);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.write8(PAGE + 1, 0), FINAL | USER | WRITE, PAGE + 1);
    }

    @Test
    void aGuestFaultComesBeforeTheFinalTranslation() {
        machine.guestPage(PAGE, SvmMachine.P | SvmMachine.U | PAGE);
        machine.nestedPage(PAGE, 0);
        machine.vmrun();
        GuestException fault =
                catchThrowableOfType(GuestException.class, () -> cpu.mmu.write8(PAGE, 1));
        assertThat(fault.vector).isEqualTo(GuestException.PF);
        assertThat(fault.address).isEqualTo(PAGE);
        assertThat(cpu.guestMode).isTrue();
    }

    @Test
    void aGuestTableWalkSetsAccessedAndDirtyInTheNestedTables() {
        machine.vmrun();
        cpu.mmu.read8(PAGE);
        long table = machine.memory.read64(SvmMachine.NESTED_PT + (SvmMachine.GUEST_PT >>> 12) * 8);
        long page = machine.memory.read64(SvmMachine.NESTED_PT + (PAGE >>> 12) * 8);
        assertThat(table & 0x60)
                .as("the guest's table was written as far as the nested tables know")
                .isEqualTo(0x60);
        assertThat(page & 0x60).as("the page was only read").isEqualTo(0x20);
    }

    @Test
    void theFaultRecordsInstructionBytes() {
        machine.nestedPage(PAGE, 0);
        machine.code(SvmMachine.GUEST_CODE, "0102030405060708090a0b0c0d0e0f1011");
        machine.vmrun();
        assertThatThrownBy(() -> cpu.mmu.read8(PAGE)).isInstanceOf(WorldSwitched.class);
        assertThat(machine.get8(VmcbLayout.FETCHED_BYTES)).isEqualTo(15);
        for (int i = 0; i < 15; i++) {
            assertThat(machine.get8(VmcbLayout.INSTRUCTION_BYTES + i)).isEqualTo(i + 1);
        }
    }

    @Test
    void instructionBytesEndWhereFetchingDoes() {
        machine.nestedPage(PAGE, 0);
        machine.nestedPage(SvmMachine.GUEST_CODE + 0x1000, 0);
        machine.put64(VmcbLayout.RIP, SvmMachine.GUEST_CODE + 0xffb);
        machine.vmrun();
        assertThatThrownBy(() -> cpu.mmu.read8(PAGE + 5)).isInstanceOf(WorldSwitched.class);
        assertThat(machine.get8(VmcbLayout.FETCHED_BYTES)).isEqualTo(5);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.NPF);
        assertThat(machine.info2())
                .as("the first fault counts, not the fetch's")
                .isEqualTo(PAGE + 5);
    }

    @Test
    void instructionBytesEndAtTheCodeSegmentsLimit() {
        machine.protected32();
        machine.nestedPage(PAGE, 0);
        machine.segment(VmcbLayout.CS, 0x10, SvmMachine.CODE32, SvmMachine.GUEST_CODE + 2, 0);
        machine.vmrun();
        assertThatThrownBy(() -> cpu.mmu.read8(PAGE)).isInstanceOf(WorldSwitched.class);
        assertThat(machine.get8(VmcbLayout.FETCHED_BYTES)).isEqualTo(3);
    }

    @Test
    void otherExitsClearTheNumberOfInstructionBytes() {
        machine.put8(VmcbLayout.FETCHED_BYTES, 9);
        machine.vmrun();
        machine.svm.exit(ExitCode.CPUID, 0, 0);
        assertThat(machine.get8(VmcbLayout.FETCHED_BYTES)).isZero();
    }

    /**
     * A host with PAE tables: four pointers, page directories with 2-MiB pages, a page table for
     * the first 2 MiB.
     */
    private void paeHost() {
        for (int i = 0; i < 4; i++) {
            machine.memory.write64(
                    PAE_TABLES + 8 * i, PAE_TABLES + 0x1000 * (i + 1) | SvmMachine.P);
        }
        for (int i = 0; i < 8; i++) {
            machine.memory.write64(
                    PAE_TABLES + 0x1000 + 8 * i, (long) i << 21 | ALL | SvmMachine.PS);
        }
        machine.memory.write64(PAE_TABLES + 0x1000, PAE_TABLES + 0x5000 | ALL);
        for (int i = 0; i < 512; i++) {
            machine.memory.write64(PAE_TABLES + 0x5000 + 8 * i, (long) i << 12 | ALL);
        }
        legacyHost(PAE_TABLES, Cpu.CR4_PAE, Cpu.EFER_NXE);
    }

    private void legacyHost(long tables, long cr4, long efer) {
        cpu.efer = Cpu.EFER_SVME | efer;
        cpu.cr4 = cr4;
        cpu.cr3 = tables;
        cpu.segAttr[Cpu.CS] = SvmMachine.CODE32;
        cpu.updateMode();
        cpu.mmu.flush(true);
        machine.put64(VmcbLayout.N_CR3, tables);
    }

    @Test
    void aPaeHostTranslatesFor64BitGuests() {
        paeHost();
        machine.memory.write64(PAGE, 0x1122_3344_5566_7788L);
        machine.memory.write64(PAE_TABLES + 0x5000 + (0x70000 >> 12) * 8, PAGE | ALL);
        machine.vmrun();
        assertThat(cpu.mode64).isTrue();
        assertThat(cpu.mmu.read64(0x70000)).isEqualTo(0x1122_3344_5566_7788L);
        machine.svm.exit(ExitCode.HLT, 0, 0);
        assertThat(cpu.mode64).isFalse();
        assertThat(cpu.codeBits).isEqualTo(32);
    }

    @Test
    void aPaeHostReportsFaults() {
        paeHost();
        machine.memory.write64(
                PAE_TABLES + 0x5000 + (PAGE >> 12) * 8, SvmMachine.P | SvmMachine.U | PAGE);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.write8(PAGE, 1), FINAL | USER | WRITE | PRESENT, PAGE);
    }

    @Test
    void aPaeHostsNestedNoExecute() {
        paeHost();
        machine.memory.write64(PAE_TABLES + 0x5000 + (PAGE >> 12) * 8, ALL | PAGE | SvmMachine.NX);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.translateFetch(PAGE), FINAL | USER | FETCH | PRESENT, PAGE);
    }

    @Test
    void a32BitHostTranslatesAndReportsFaults() {
        for (int i = 0; i < 4; i++) {
            machine.memory.write(TABLES_32 + 4 * i, 4, (long) i << 22 | ALL | SvmMachine.PS);
        }
        machine.memory.write(TABLES_32, 4, TABLES_32 + 0x1000 | ALL);
        for (int i = 0; i < 1024; i++) {
            machine.memory.write(TABLES_32 + 0x1000 + 4 * i, 4, (long) i << 12 | ALL);
        }
        machine.memory.write(TABLES_32 + 0x1000 + (PAGE >> 12) * 4, 4, 0);
        legacyHost(TABLES_32, Cpu.CR4_PSE, 0);
        machine.memory.write64(0x70000, 0x55aa);
        machine.vmrun();
        assertThat(cpu.mmu.read64(0x70000)).isEqualTo(0x55aa);
        assertNestedFault(() -> cpu.mmu.read8(PAGE + 3), FINAL | USER, PAGE + 3);
    }

    @Test
    void theHostsTranslationIsBackAfterTheExit() {
        machine.guestPage(PAGE, 0x70000 | ALL);
        machine.memory.write64(0x70000, 1);
        machine.memory.write64(PAGE, 2);
        machine.vmrun();
        assertThat(cpu.mmu.read64(PAGE)).isEqualTo(1);
        machine.svm.exit(ExitCode.HLT, 0, 0);
        assertThat(cpu.mmu.read64(PAGE)).isEqualTo(2);
    }
}
