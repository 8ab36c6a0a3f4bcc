package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.cpu.MemoryType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Memory types of a guest by its tables, the nested tables, the MTRRs and CR0.CD (§15.25.8), seen
 * by the bus locks that atomic updates need outside write-back memory (§15.14.5).
 */
class MemoryTypesTest {
    private static final long PAGE = 0x80000;
    private static final long FAR = 0x80_0000;
    private static final long ALL = SvmMachine.P | SvmMachine.W | SvmMachine.U;
    private static final long PS = SvmMachine.PS;
    private static final long LARGE_PAT = 1 << 12;
    private static final long SMALL_PAT = 1 << 7;
    private static final long PWT = 8;
    private static final long PCD = 16;
    private static final long ACCESSED = 0x20;

    /** WB WT UC- UC WB WP WC UC-: the guest's, index 0 first. */
    private static final long GUEST_PAT = 0x0701_0506_0007_0406L;

    /** WB UC WC WP WT UC- UC WB: the host's; every type is at another place than the guest's. */
    private static final long HOST_PAT = 0x0600_0704_0501_0006L;

    private static final long ALL_WRITE_BACK = 0x0606_0606_0606_0606L;
    private static final int PAT_MSR = 0x277;
    private static final String LOCK_INC = "f0ff03"; // lock inc dword [rbx]

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @BeforeEach
    void guest() {
        machine.intercept(ExitCode.HLT);
        machine.code(SvmMachine.GUEST_CODE, LOCK_INC + "f4");
        machine.put64(VmcbLayout.G_PAT, GUEST_PAT);
        cpu.msrs.write(PAT_MSR, HOST_PAT);
        cpu.r[Cpu.RBX] = PAGE;
    }

    @AfterEach
    void release() {
        machine.close();
    }

    /**
     * The bits of an entry that choose a field of the PAT; the PAT bit is where the size has it.
     */
    private static long index(int index, long patBit) {
        return (index & 1) * PWT | (index >> 1 & 1) * PCD | (index >> 2) * patBit;
    }

    private static MemoryType type(long pat, int index) {
        return switch ((int) (pat >>> 8 * index) & 7) {
            case 0 -> MemoryType.UC;
            case 1 -> MemoryType.WC;
            case 4 -> MemoryType.WT;
            case 5 -> MemoryType.WP;
            case 6 -> MemoryType.WB;
            default -> MemoryType.UC_MINUS;
        };
    }

    /** A variable range of its own for the page's frame. */
    private void range(int encoding) {
        cpu.msrs.write(0x202, PAGE | encoding);
        cpu.msrs.write(0x203, 0xffff_ffff_f800L);
        cpu.msrs.write(0x2ff, 0x806); // fixed ranges off, WB by default
    }

    /** Whether the guest's locked update of the page locks the bus; the threshold is 0. */
    private boolean locksTheBus() {
        machine.intercept(ExitCode.BUSLOCK);
        machine.put16(VmcbLayout.BUS_LOCK_THRESHOLD, 0);
        machine.put64(VmcbLayout.RIP, SvmMachine.GUEST_CODE);
        machine.put8(VmcbLayout.TLB_CONTROL, 1);
        cpu.rip = SvmMachine.HOST_CODE;
        cpu.r[Cpu.RAX] = SvmMachine.VMCB;
        assertThat(machine.vmrunAndRun(20)).isTrue();
        assertThat(machine.exitCode()).isIn((long) ExitCode.HLT, (long) ExitCode.BUSLOCK);
        return machine.exitCode() == ExitCode.BUSLOCK;
    }

    /** What the guest's access to the page has; no bus locks are counted. */
    private MemoryType guestType() {
        machine.put32(VmcbLayout.INTERCEPT_MISC3, 0);
        machine.put64(VmcbLayout.RIP, SvmMachine.GUEST_CODE);
        machine.put8(VmcbLayout.TLB_CONTROL, 1);
        cpu.rip = SvmMachine.HOST_CODE;
        cpu.r[Cpu.RAX] = SvmMachine.VMCB;
        machine.vmrun();
        MemoryType type = cpu.mmu.memoryType(cpu.r[Cpu.RBX]);
        machine.svm.exit(ExitCode.HLT, 0, 0);
        return type;
    }

    /**
     * The tables themselves are {@code MemoryTypeTest}'s; here it counts that the right types meet.
     */
    @ParameterizedTest
    @CsvSource({"0, UC", "1, WC", "4, WT", "5, WP", "6, WB"})
    void everyCombinationThroughBothTables(int encoding, String mtrr) {
        machine.nestedPaging();
        range(encoding);
        for (int guest = 0; guest < 8; guest++) {
            for (int host = 0; host < 8; host++) {
                machine.guestPage(PAGE, PAGE | ALL | index(guest, SMALL_PAT));
                machine.nestedPage(PAGE, PAGE | ALL | index(host, SMALL_PAT));
                MemoryType expected =
                        type(GUEST_PAT, guest)
                                .combinedWithHost(type(HOST_PAT, host))
                                .combinedWithMtrr(MemoryType.valueOf(mtrr));
                assertThat(guestType()).as("%d, %d", guest, host).isEqualTo(expected);
                assertThat(locksTheBus())
                        .as("%d, %d", guest, host)
                        .isEqualTo(expected != MemoryType.WB);
            }
        }
    }

    /**
     * Index 7 is WB and would be taken for 3 if the bit were sought elsewhere. UC in write-back
     * ranges is CD (table 15-20).
     */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void thePatBitOfNestedPagesOfEachSize(int level) {
        machine.nestedPaging();
        cpu.r[Cpu.RBX] = FAR;
        cpu.msrs.write(PAT_MSR, 0x0600_0000_0000_0006L);
        machine.put64(VmcbLayout.G_PAT, ALL_WRITE_BACK);
        nestedLeaf(level, index(7, level == 1 ? SMALL_PAT : LARGE_PAT));
        assertThat(guestType()).isEqualTo(MemoryType.WB);
        nestedLeaf(level, index(3, 0));
        assertThat(guestType()).isEqualTo(MemoryType.CD);
        nestedLeaf(level, index(4, level == 1 ? SMALL_PAT : LARGE_PAT));
        assertThat(guestType()).as("PAT without PCD and PWT").isEqualTo(MemoryType.CD);
    }

    /** Maps FAR by a nested page of the size; all else stays as it was, or has index 0. */
    private void nestedLeaf(int level, long bits) {
        long tables = SvmMachine.NESTED_PML4;
        switch (level) {
            case 1 -> {
                machine.memory.write64(tables + 0x2000 + 8 * 4, 0xd0000 | ALL);
                machine.memory.write64(0xd0000, FAR | ALL | bits);
            }
            case 2 -> machine.memory.write64(tables + 0x2000 + 8 * 4, FAR | ALL | PS | bits);
            default -> {
                // the guest's tables and code in the first GiB as well: the MTRRs are all they have
                machine.memory.write64(tables + 0x1000, ALL | PS | bits);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void thePatBitOfGuestPagesOfEachSize(int level) {
        long tables = SvmMachine.GUEST_PML4;
        machine.nestedPaging();
        cpu.msrs.write(PAT_MSR, ALL_WRITE_BACK);
        machine.put64(VmcbLayout.G_PAT, 0x0600_0000_0000_0006L);
        cpu.r[Cpu.RBX] = FAR;
        long patBit = level == 1 ? SMALL_PAT : LARGE_PAT;
        for (int index : new int[] {7, 3, 4}) {
            long bits = index(index, patBit);
            switch (level) {
                case 1 -> {
                    machine.memory.write64(tables + 0x2000 + 8 * 4, 0xd0000 | ALL);
                    machine.memory.write64(0xd0000, FAR | ALL | bits);
                }
                case 2 -> machine.memory.write64(tables + 0x2000 + 8 * 4, FAR | ALL | PS | bits);
                default -> machine.memory.write64(tables + 0x1000, ALL | PS | bits);
            }
            assertThat(guestType())
                    .as("index %d", index)
                    .isEqualTo(index == 7 ? MemoryType.WB : MemoryType.CD);
        }
    }

    /** 32-bit tables at the guest's level: bit 7 of a 4-KiB entry, bit 12 of a 4-MiB one. */
    @Test
    void thePatBitOfLegacyGuestPages() {
        long directory = 0xb0000;
        machine.nestedPaging();
        cpu.msrs.write(PAT_MSR, ALL_WRITE_BACK);
        machine.put64(VmcbLayout.G_PAT, 0x0600_0000_0000_0006L);
        machine.protected32();
        machine.put64(
                VmcbLayout.CR0, Cpu.CR0_PE | Cpu.CR0_PG | Cpu.CR0_ET | Cpu.CR0_NE | Cpu.CR0_WP);
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PSE);
        machine.put64(VmcbLayout.CR3, directory);
        machine.memory.write(directory, 4, ALL | PS);
        cpu.r[Cpu.RBX] = FAR;
        for (int index : new int[] {7, 3, 4}) {
            MemoryType expected = index == 7 ? MemoryType.WB : MemoryType.CD;
            machine.memory.write(directory + 8, 4, FAR | ALL | PS | index(index, LARGE_PAT));
            assertThat(guestType()).as("4 MiB, index %d", index).isEqualTo(expected);
            machine.memory.write(directory + 8, 4, 0xd0000 | ALL);
            machine.memory.write(0xd0000, 4, FAR | ALL | index(index, SMALL_PAT));
            assertThat(guestType()).as("4 KiB, index %d", index).isEqualTo(expected);
        }
    }

    /** A host without long mode: 32-bit nested tables. */
    @Test
    void thePatBitOfLegacyNestedPages() {
        long directory = 0xb0000;
        cpu.efer = Cpu.EFER_SVME;
        cpu.cr4 = Cpu.CR4_PSE;
        cpu.cr3 = directory;
        cpu.segAttr[Cpu.CS] = SvmMachine.CODE32;
        machine.memory.write(directory, 4, ALL | PS);
        cpu.updateMode();
        cpu.mmu.flush(true);
        machine.nestedPaging();
        machine.put64(VmcbLayout.N_CR3, directory);
        machine.protected32();
        cpu.msrs.write(PAT_MSR, 0x0600_0000_0000_0006L);
        cpu.r[Cpu.RBX] = FAR;
        for (int index : new int[] {7, 3, 4}) {
            MemoryType expected = index == 7 ? MemoryType.WB : MemoryType.CD;
            machine.memory.write(directory + 8, 4, FAR | ALL | PS | index(index, LARGE_PAT));
            assertThat(guestType()).as("4 MiB, index %d", index).isEqualTo(expected);
            machine.memory.write(directory + 8, 4, 0xd0000 | ALL);
            machine.memory.write(0xd0000, 4, FAR | ALL | index(index, SMALL_PAT));
            assertThat(guestType()).as("4 KiB, index %d", index).isEqualTo(expected);
        }
    }

    @Test
    void theGuestsCr0CdDisablesCaching() {
        machine.nestedPaging();
        machine.put64(VmcbLayout.CR0, machine.get64(VmcbLayout.CR0) | Cpu.CR0_CD);
        assertThat(guestType()).isEqualTo(MemoryType.CD);
        assertThat(locksTheBus()).isTrue();
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void theHostsCr0CdCountsUnderNestedPagingOnly(boolean nested) {
        if (nested) {
            machine.nestedPaging();
        }
        cpu.cr0 |= Cpu.CR0_CD;
        assertThat(guestType()).isEqualTo(nested ? MemoryType.CD : MemoryType.WB);
        assertThat(cpu.cr0 & Cpu.CR0_CD).isNotZero();
        assertThat(locksTheBus()).isEqualTo(nested);
    }

    @Test
    void withoutNestedPagingTheHostsPatIsTheGuestsToo() {
        machine.guestPage(PAGE, PAGE | ALL | index(5, SMALL_PAT));
        machine.put64(VmcbLayout.G_PAT, ALL_WRITE_BACK);
        assertThat(guestType())
                .as("index 5 of the host")
                .isEqualTo(MemoryType.UC_MINUS.combinedWithMtrr(MemoryType.WB));
        // mov ecx, 277h; mov eax, 06060606h; mov edx, eax; wrmsr; lock inc dword [rbx]; hlt
        machine.code(SvmMachine.GUEST_CODE, "b977020000 b806060606 89c2 0f30" + LOCK_INC + "f4");
        assertThat(locksTheBus()).as("the guest made all of it WB").isFalse();
        assertThat(cpu.msrs.pat).as("the host's too").isEqualTo(ALL_WRITE_BACK);
    }

    @Test
    void aChangeOfTheGuestsPatTakesEffectWithoutAFlush() {
        machine.nestedPaging();
        machine.nestedPage(PAGE, PAGE | ALL);
        machine.guestPage(PAGE, PAGE | ALL | index(1, SMALL_PAT));
        machine.vmrun();
        assertThat(cpu.mmu.memoryType(PAGE)).isEqualTo(MemoryType.WT);
        cpu.msrs.write(PAT_MSR, ALL_WRITE_BACK);
        assertThat(cpu.mmu.memoryType(PAGE)).isEqualTo(MemoryType.WB);
    }

    @Test
    void anUnpagedGuestHasTheNestedTablesTypes() {
        machine.nestedPaging();
        machine.protected32();
        machine.put64(VmcbLayout.G_PAT, 0);
        assertThat(guestType()).isEqualTo(MemoryType.WB);
        machine.nestedPage(PAGE, PAGE | ALL | index(4, SMALL_PAT));
        assertThat(guestType()).isEqualTo(MemoryType.WT);
        assertThat(locksTheBus()).isTrue();
    }

    @Test
    void aStaleTranslationKeepsTheStaleType() {
        machine.nestedPaging();
        machine.vmrun();
        assertThat(cpu.mmu.memoryType(PAGE)).isEqualTo(MemoryType.WB);
        machine.guestPage(PAGE, PAGE | ALL | index(3, SMALL_PAT));
        assertThat(cpu.mmu.memoryType(PAGE)).as("not flushed").isEqualTo(MemoryType.WB);
        cpu.mmu.invalidatePage(PAGE);
        assertThat(cpu.mmu.memoryType(PAGE)).isNotEqualTo(MemoryType.WB);
    }

    // ---- tables ----

    /** So many bus locks does a guest take that executes nothing but HLT. */
    private int locksOfWalks() {
        machine.code(SvmMachine.GUEST_CODE, "f4");
        machine.intercept(ExitCode.BUSLOCK);
        machine.put16(VmcbLayout.BUS_LOCK_THRESHOLD, 1000);
        assertThat(machine.vmrunAndRun(20)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        return 1000 - (int) machine.get16(VmcbLayout.BUS_LOCK_THRESHOLD);
    }

    private void mark(long entry, long bits) {
        machine.memory.write64(entry, machine.memory.read64(entry) | bits);
    }

    /** The entry of one level that leads to the guest's code, or the tables: PML4 is level 4. */
    private static long entry(long pml4, int level) {
        return pml4 + 0x1000L * (4 - level) + (level == 1 ? 8 * (SvmMachine.GUEST_CODE >>> 12) : 0);
    }

    @Test
    void cr3GivesTheTypeOfTheHighestTable() {
        machine.put64(VmcbLayout.CR3, SvmMachine.GUEST_PML4 | PCD);
        assertThat(locksOfWalks()).as("A of one PML4 entry").isEqualTo(1);
    }

    @ParameterizedTest
    @ValueSource(ints = {4, 3, 2})
    void anEntryGivesTheTypeOfTheTableItLeadsTo(int level) {
        mark(entry(SvmMachine.GUEST_PML4, level), PCD);
        assertThat(locksOfWalks()).as("A of one entry below").isEqualTo(1);
    }

    /** Bits 7 and 12 are the PAT bit in entries of pages only; a PAT with UC above shows it. */
    @Test
    void tablesAreOfTheFirstFourTypes() {
        cpu.msrs.write(PAT_MSR, 0x0000_0000_0606_0606L);
        for (int level = 4; level >= 2; level--) {
            mark(entry(SvmMachine.GUEST_PML4, level), PCD | PWT);
        }
        assertThat(locksOfWalks()).isZero();
    }

    @Test
    void pcidsInCr3AreNoMemoryType() {
        cpu.model = CpuModel.parse("epyc-milan,+pcid,+bus-lock-threshold");
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | Cpu.CR4_PCIDE);
        machine.put64(VmcbLayout.CR3, SvmMachine.GUEST_PML4 | PCD | PWT);
        assertThat(locksOfWalks()).isZero();
    }

    /**
     * Two entries of nested level 1 get their accessed bits for the guest's PML4 and code, which
     * lie in two pages; so do those of the other tables.
     */
    @Test
    void ncr3AndNestedEntriesGiveTheTypesOfNestedTables() {
        machine.nestedPaging();
        machine.put64(VmcbLayout.N_CR3, SvmMachine.NESTED_PML4 | PCD);
        assertThat(locksOfWalks()).as("A of one nested PML4 entry").isEqualTo(1);
    }

    @Test
    void nestedEntriesOfTheLowestTableLockOncePerPage() {
        machine.nestedPaging();
        mark(SvmMachine.NESTED_PML4 + 0x2000, PCD);
        assertThat(locksOfWalks())
                .as("four tables, A and D at once, and the page of the code")
                .isEqualTo(5);
    }

    @Test
    void aGuestTableInANestedPageThatIsNotWriteBack() {
        machine.nestedPaging();
        long page = SvmMachine.GUEST_PT;
        machine.nestedPage(page, page | ALL | index(4, SMALL_PAT));
        assertThat(locksOfWalks()).as("A of the guest's PTE").isEqualTo(1);
    }

    @Test
    void aNestedTableUpdateBeyondTheThresholdIsABusLockExit() {
        machine.nestedPaging();
        mark(SvmMachine.NESTED_PML4 + 0x2000, PCD);
        machine.intercept(ExitCode.BUSLOCK);
        machine.put16(VmcbLayout.BUS_LOCK_THRESHOLD, 0);
        assertThat(machine.vmrunAndRun(20)).isTrue();
        assertThat(machine.exitCode()).as("no nested page fault").isEqualTo(ExitCode.BUSLOCK);
        assertThat(machine.info1()).isZero();
        assertThat(machine.info2()).isZero();
        long entry = SvmMachine.NESTED_PT + (SvmMachine.GUEST_PML4 >>> 12) * 8;
        assertThat(machine.memory.read64(entry) & ACCESSED).as("not set").isZero();
    }
}
