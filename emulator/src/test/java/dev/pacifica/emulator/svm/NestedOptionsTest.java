package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.cpu.WorldSwitched;
import dev.pacifica.emulator.observe.TlbFlushCause;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * The options of nested paging in the VMCB's field 90h: guest mode execute trap (§15.25.13) and
 * read-only guest page tables (§15.25.5).
 */
class NestedOptionsTest {
    private static final long PAGE = 0x80000;
    private static final long PRESENT = 1;
    private static final long WRITE = 2;
    private static final long USER = 4;
    private static final long FETCH = 16;
    private static final long FINAL = 1L << 32;
    private static final long TABLE = 1L << 33;
    private static final long ALL = SvmMachine.P | SvmMachine.W | SvmMachine.U;
    private static final long SUPERVISOR_PAGE = SvmMachine.P | SvmMachine.W;
    private static final long READ_ONLY = SvmMachine.P | SvmMachine.U;
    private static final long GMET = 8;
    private static final long ROGPT = 0x40;
    private static final long A = 0x20;
    private static final long D = 0x40;

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

    private void enter(long options, int cpl) {
        machine.put64(VmcbLayout.NP_ENABLE, 1 | options);
        machine.put8(VmcbLayout.CPL, cpl);
        machine.vmrun();
        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.cpl).isEqualTo(cpl);
    }

    private void assertNestedFault(Runnable access, long info1, long address) {
        assertThatThrownBy(access::run).isInstanceOf(WorldSwitched.class);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.NPF);
        assertThat(Long.toHexString(machine.info1())).isEqualTo(Long.toHexString(info1));
        assertThat(Long.toHexString(machine.info2())).isEqualTo(Long.toHexString(address));
    }

    private long nestedEntry(long gpa) {
        return machine.memory.read64(SvmMachine.NESTED_PT + (gpa >>> 12) * 8);
    }

    @Test
    void theTrapStopsSupervisorsFromExecutingUserPages() {
        enter(GMET, 0);
        assertThat(cpu.mmu.read8(PAGE)).isZero();
        assertNestedFault(
                () -> cpu.mmu.translateFetch(PAGE + 3), FINAL | FETCH | PRESENT, PAGE + 3);
    }

    @Test
    void theTrapLetsUsersExecuteThem() {
        enter(GMET, 3);
        assertThat(cpu.mmu.translateFetch(PAGE + 3)).isEqualTo(PAGE + 3);
    }

    @Test
    void theTrapLetsEverybodyExecuteSupervisorPages() {
        machine.nestedPage(PAGE, PAGE | SUPERVISOR_PAGE);
        for (int cpl : new int[] {0, 1, 2, 3}) {
            enter(GMET, cpl);
            assertThat(cpu.mmu.translateFetch(PAGE)).isEqualTo(PAGE);
            machine.svm.exit(ExitCode.HLT, 0, 0);
            cpu.mmu.flushAll(TlbFlushCause.RESET);
            cpu.rip = SvmMachine.HOST_CODE;
        }
    }

    @Test
    void theTrapStopsPrivilegeOneAndTwo() {
        for (int cpl : new int[] {1, 2}) {
            enter(GMET, cpl);
            assertNestedFault(() -> cpu.mmu.translateFetch(PAGE), FINAL | FETCH | PRESENT, PAGE);
            cpu.rip = SvmMachine.HOST_CODE;
        }
    }

    @Test
    void theTrapTakesTheUserBitOfAllLevelsTogether() {
        long directory = SvmMachine.NESTED_PML4 + 0x2000;
        machine.memory.write64(directory, SvmMachine.NESTED_PT | SUPERVISOR_PAGE);
        enter(GMET, 0);
        assertThat(cpu.mmu.translateFetch(PAGE)).isEqualTo(PAGE);
    }

    @Test
    void withTheTrapNoExecuteHoldsForEverybody() {
        machine.nestedPage(PAGE, PAGE | SUPERVISOR_PAGE | SvmMachine.NX);
        enter(GMET, 3);
        assertNestedFault(() -> cpu.mmu.translateFetch(PAGE), FINAL | FETCH | PRESENT | USER, PAGE);
        cpu.rip = SvmMachine.HOST_CODE;
        enter(GMET, 0);
        assertNestedFault(() -> cpu.mmu.translateFetch(PAGE), FINAL | FETCH | PRESENT, PAGE);
    }

    @Test
    void withTheTrapDataOfSupervisorPagesIsInReachAndGuestTablesMayLieInThem() {
        machine.nestedPage(PAGE, PAGE | SUPERVISOR_PAGE);
        machine.nestedPage(SvmMachine.GUEST_PT, SvmMachine.GUEST_PT | SUPERVISOR_PAGE);
        enter(GMET, 3);
        cpu.mmu.write8(PAGE, 0x5a);
        assertThat(cpu.mmu.read8(PAGE)).isEqualTo(0x5a);
    }

    @Test
    void withTheTrapTheUserBitTellsTheGuestsPrivilegeButWalksStayUserWrites() {
        machine.nestedPage(PAGE, 0);
        enter(GMET, 0);
        assertNestedFault(() -> cpu.mmu.write8(PAGE, 1), FINAL | WRITE, PAGE);
        cpu.rip = SvmMachine.HOST_CODE;
        enter(GMET, 3);
        assertNestedFault(() -> cpu.mmu.write8(PAGE, 1), FINAL | WRITE | USER, PAGE);
        cpu.rip = SvmMachine.HOST_CODE;
        machine.nestedPage(SvmMachine.GUEST_PT, 0);
        enter(GMET, 0);
        assertNestedFault(
                () -> cpu.mmu.read8(PAGE),
                TABLE | WRITE | USER,
                SvmMachine.GUEST_PT + (PAGE >> 12) * 8);
    }

    @Test
    void guestCodeThatTheTrapStopsExits() {
        machine.code(SvmMachine.GUEST_CODE, "90 f4");
        machine.intercept(ExitCode.HLT);
        machine.put64(VmcbLayout.NP_ENABLE, 1 | GMET);
        machine.vmrunAndRun(5);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.NPF);
        assertThat(machine.info2()).isEqualTo(SvmMachine.GUEST_CODE);
        machine.nestedPage(SvmMachine.GUEST_CODE, SvmMachine.GUEST_CODE | SUPERVISOR_PAGE);
        cpu.rip = SvmMachine.HOST_CODE;
        machine.vmrunAndRun(5);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
    }

    @Test
    void theTrapIsIgnoredWhereItIsNotOffered() {
        cpu.model = CpuModel.parse("epyc-milan,-gmet");
        enter(GMET, 0);
        assertThat(cpu.mmu.translateFetch(PAGE)).isEqualTo(PAGE);
        machine.nestedPage(PAGE + 0x1000, PAGE | SUPERVISOR_PAGE);
        assertNestedFault(
                () -> cpu.mmu.read8(PAGE + 0x1000), FINAL | USER | PRESENT, PAGE + 0x1000);
    }

    @Test
    void theTrapAloneIsNoNestedPaging() {
        machine.put64(VmcbLayout.NP_ENABLE, GMET | ROGPT);
        machine.nestedPage(PAGE, 0);
        machine.vmrun();
        assertThat(cpu.mmu.translateFetch(PAGE)).isEqualTo(PAGE);
    }

    @Test
    void nestedPagingItselfIsIgnoredWhereItIsNotOffered() {
        cpu.model = CpuModel.parse("epyc-milan,-npt");
        machine.put64(VmcbLayout.G_PAT, -1);
        machine.nestedPage(PAGE, 0);
        machine.vmrun();
        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.mmu.read8(PAGE)).isZero();
    }

    /** The guest's tables with the A bits of all levels set, D for the page only if asked. */
    private void markGuestTables(long leafBits) {
        for (long at = SvmMachine.GUEST_PML4; at < SvmMachine.GUEST_PT; at += 0x1000) {
            machine.memory.write64(at, machine.memory.read64(at) | A);
        }
        machine.guestPage(PAGE, PAGE | ALL | leafBits);
    }

    private void readOnlyGuestTables() {
        for (long at = SvmMachine.GUEST_PML4; at <= SvmMachine.GUEST_PT; at += 0x1000) {
            machine.nestedPage(at, at | READ_ONLY);
        }
    }

    @Test
    void readOnlyTablesAreReadAndStayCleanInTheNestedTables() {
        markGuestTables(A);
        readOnlyGuestTables();
        enter(ROGPT, 0);
        assertThat(cpu.mmu.read8(PAGE)).isZero();
        assertThat(nestedEntry(SvmMachine.GUEST_PT) & (A | D)).isEqualTo(A);
        assertThat(nestedEntry(SvmMachine.GUEST_PML4) & (A | D)).isEqualTo(A);
    }

    @Test
    void settingAnAccessedBitInAReadOnlyTableFaultsAsAWrite() {
        markGuestTables(0);
        readOnlyGuestTables();
        enter(ROGPT, 0);
        long entry = SvmMachine.GUEST_PT + (PAGE >> 12) * 8;
        assertNestedFault(() -> cpu.mmu.read8(PAGE), TABLE | USER | WRITE | PRESENT, entry);
        assertThat(machine.memory.read64(entry)).as("not written").isEqualTo(PAGE | ALL);
    }

    @Test
    void settingAnAccessedBitOfAnUpperLevelFaultsToo() {
        readOnlyGuestTables();
        enter(ROGPT, 0);
        assertNestedFault(
                () -> cpu.mmu.translateFetch(PAGE),
                TABLE | USER | WRITE | PRESENT,
                SvmMachine.GUEST_PML4);
    }

    @Test
    void settingTheDirtyBitInAReadOnlyTableFaultsAsAWrite() {
        markGuestTables(A);
        readOnlyGuestTables();
        enter(ROGPT, 0);
        long entry = SvmMachine.GUEST_PT + (PAGE >> 12) * 8;
        assertThat(cpu.mmu.read8(PAGE)).isZero();
        assertNestedFault(() -> cpu.mmu.write8(PAGE, 1), TABLE | USER | WRITE | PRESENT, entry);
        cpu.rip = SvmMachine.HOST_CODE;
        machine.guestPage(PAGE, PAGE | ALL | A | D);
        enter(ROGPT, 0);
        cpu.mmu.write8(PAGE, 1);
        assertThat(nestedEntry(PAGE) & D).isEqualTo(D);
    }

    @Test
    void aWritableTableIsMarkedDirtyOnlyByAnUpdate() {
        markGuestTables(A);
        enter(ROGPT, 0);
        cpu.mmu.read8(PAGE);
        assertThat(nestedEntry(SvmMachine.GUEST_PT) & D).isZero();
        cpu.mmu.write8(PAGE, 1);
        assertThat(nestedEntry(SvmMachine.GUEST_PT) & D).isEqualTo(D);
        assertThat(nestedEntry(SvmMachine.GUEST_PML4) & D).isZero();
        assertThat(machine.memory.read64(SvmMachine.GUEST_PT + (PAGE >> 12) * 8) & D).isEqualTo(D);
    }

    @Test
    void anAbsentTableIsThenMissedByARead() {
        markGuestTables(A);
        machine.nestedPage(SvmMachine.GUEST_PT, 0);
        enter(ROGPT, 0);
        assertNestedFault(
                () -> cpu.mmu.write8(PAGE, 1),
                TABLE | USER,
                SvmMachine.GUEST_PT + (PAGE >> 12) * 8);
    }

    @Test
    void readOnlyTablesOf32BitGuests() {
        machine.protected32();
        long tables = 0xc0000;
        machine.memory.write(tables, 4, tables + 0x1000 | ALL | A);
        machine.memory.write(tables + 0x1000 + (PAGE >> 12) * 4, 4, PAGE | ALL | A);
        machine.nestedPage(tables, tables | READ_ONLY);
        machine.nestedPage(tables + 0x1000, tables + 0x1000 | READ_ONLY);
        machine.put64(VmcbLayout.CR0, machine.get64(VmcbLayout.CR0) | Cpu.CR0_PG);
        machine.put64(VmcbLayout.CR3, tables);
        enter(ROGPT, 0);
        assertThat(cpu.mmu.read8(PAGE)).isZero();
        assertNestedFault(
                () -> cpu.mmu.write8(PAGE, 1),
                TABLE | USER | WRITE | PRESENT,
                tables + 0x1000 + (PAGE >> 12) * 4);
    }

    @Test
    void readOnlyTablesAreIgnoredWhereTheyAreNotOffered() {
        cpu.model = CpuModel.parse("epyc-milan,-rogpt");
        markGuestTables(A | D);
        readOnlyGuestTables();
        enter(ROGPT, 0);
        assertNestedFault(
                () -> cpu.mmu.read8(PAGE), TABLE | USER | WRITE | PRESENT, SvmMachine.GUEST_PML4);
    }
}
