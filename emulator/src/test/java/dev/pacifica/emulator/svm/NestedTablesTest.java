package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.cpu.WorldSwitched;
import dev.pacifica.emulator.observe.TlbFlushCause;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Both levels of translation in all their formats: which bits are reserved, in which order faults
 * come, which accessed and dirty bits are set (§15.25.3 to §15.25.10, §5.2 to §5.6).
 */
class NestedTablesTest {
    private static final long PAGE = 0x80000;
    private static final long FRAME = 0x70000;
    private static final long PRESENT = 1;
    private static final long WRITE = 2;
    private static final long USER = 4;
    private static final long RESERVED = 8;
    private static final long FETCH = 16;
    private static final long FINAL = 1L << 32;
    private static final long TABLE = 1L << 33;
    private static final long ALL = SvmMachine.P | SvmMachine.W | SvmMachine.U;
    private static final long A = 0x20;
    private static final long D = 0x40;
    private static final long G = 0x100;
    private static final long PS = SvmMachine.PS;

    private static final long NESTED_PDPT = SvmMachine.NESTED_PML4 + 0x1000;
    private static final long NESTED_PD = SvmMachine.NESTED_PML4 + 0x2000;
    private static final long PAE_HOST = 0x90000;
    private static final long HOST_32 = 0xa0000;
    private static final long GUEST_32 = 0xb0000;
    private static final long GUEST_PAE = 0xc0000;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    enum Host {
        LONG,
        PAE,
        PSE,
        PLAIN
    }

    enum Guest {
        REAL,
        PAGED_REAL,
        UNPAGED,
        TWO_LEVELS,
        PSE,
        PAE,
        LONG,
        COMPATIBILITY
    }

    @BeforeEach
    void nested() {
        machine.nestedPaging();
    }

    @AfterEach
    void release() {
        machine.close();
    }

    private void host(Host kind) {
        switch (kind) {
            case LONG -> {}
            case PAE -> {
                for (int i = 0; i < 4; i++) {
                    machine.memory.write64(
                            PAE_HOST + 8 * i, PAE_HOST + 0x1000 * (i + 1) | SvmMachine.P);
                }
                for (int i = 0; i < 8; i++) {
                    machine.memory.write64(PAE_HOST + 0x1000 + 8 * i, (long) i << 21 | ALL | PS);
                }
                machine.memory.write64(PAE_HOST + 0x1000, PAE_HOST + 0x5000 | ALL);
                for (int i = 0; i < 512; i++) {
                    machine.memory.write64(PAE_HOST + 0x5000 + 8 * i, (long) i << 12 | ALL);
                }
                legacyHost(PAE_HOST, Cpu.CR4_PAE, Cpu.EFER_NXE);
            }
            case PSE, PLAIN -> {
                for (int i = 0; i < 4; i++) {
                    machine.memory.write(HOST_32 + 4 * i, 4, (long) i << 22 | ALL | PS);
                }
                machine.memory.write(HOST_32, 4, HOST_32 + 0x1000 | ALL);
                for (int i = 0; i < 1024; i++) {
                    machine.memory.write(HOST_32 + 0x1000 + 4 * i, 4, (long) i << 12 | ALL);
                }
                legacyHost(HOST_32, kind == Host.PSE ? Cpu.CR4_PSE : 0, 0);
            }
        }
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

    /** Sets the nested entry of a page of the first 2 MiB; returns its address. */
    private long nestedPage(Host host, long gpa, long entry) {
        long page = gpa >>> 12;
        switch (host) {
            case LONG -> machine.nestedPage(gpa, entry);
            case PAE -> machine.memory.write64(PAE_HOST + 0x5000 + 8 * page, entry);
            default -> machine.memory.write(HOST_32 + 0x1000 + 4 * page, 4, entry);
        }
        return page;
    }

    /** Prepares the guest; returns the address of its uppermost table entry, or -1. */
    private long guest(Guest kind) {
        switch (kind) {
            case REAL -> machine.real();
            case PAGED_REAL -> {
                machine.real();
                twoLevels(0);
            }
            case UNPAGED -> machine.protected32();
            case TWO_LEVELS -> {
                machine.protected32();
                twoLevels(0);
            }
            case PSE -> {
                machine.protected32();
                twoLevels(Cpu.CR4_PSE);
                machine.memory.write(GUEST_32, 4, ALL | PS);
            }
            case PAE -> paeGuest();
            case LONG -> {}
            case COMPATIBILITY ->
                    machine.put16(VmcbLayout.CS + VmcbLayout.ATTRIBUTES, SvmMachine.CODE32);
        }
        return switch (kind) {
            case REAL, UNPAGED -> -1;
            case PAGED_REAL, TWO_LEVELS, PSE -> GUEST_32;
            case PAE -> GUEST_PAE;
            default -> SvmMachine.GUEST_PML4;
        };
    }

    private void twoLevels(long cr4) {
        machine.memory.write(GUEST_32, 4, GUEST_32 + 0x1000 | ALL);
        for (int i = 0; i < 1024; i++) {
            machine.memory.write(GUEST_32 + 0x1000 + 4 * i, 4, (long) i << 12 | ALL);
        }
        machine.put64(VmcbLayout.CR0, machine.get64(VmcbLayout.CR0) | Cpu.CR0_PG);
        machine.put64(VmcbLayout.CR4, cr4);
        machine.put64(VmcbLayout.CR3, GUEST_32);
    }

    private void paeGuest() {
        machine.protected32();
        machine.memory.write64(GUEST_PAE, GUEST_PAE + 0x1000 | SvmMachine.P);
        machine.memory.write64(GUEST_PAE + 0x1000, GUEST_PAE + 0x2000 | ALL);
        for (int i = 0; i < 512; i++) {
            machine.memory.write64(GUEST_PAE + 0x2000 + 8 * i, (long) i << 12 | ALL);
        }
        machine.put64(VmcbLayout.EFER, Cpu.EFER_SVME | Cpu.EFER_NXE);
        machine.put64(VmcbLayout.CR0, machine.get64(VmcbLayout.CR0) | Cpu.CR0_PG);
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE);
        machine.put64(VmcbLayout.CR3, GUEST_PAE);
    }

    private void assertNestedFault(Runnable access, long info1, long address) {
        assertThatThrownBy(access::run).isInstanceOf(WorldSwitched.class);
        assertThat(cpu.guestMode).isFalse();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.NPF);
        assertThat(Long.toHexString(machine.info1())).isEqualTo(Long.toHexString(info1));
        assertThat(Long.toHexString(machine.info2())).isEqualTo(Long.toHexString(address));
    }

    private void assertGuestFault(Runnable access, int errorCode) {
        GuestException fault = catchThrowableOfType(GuestException.class, access::run);
        assertThat(fault).as("a fault of the guest's").isNotNull();
        assertThat(fault.vector).isEqualTo(GuestException.PF);
        assertThat(fault.errorCode).isEqualTo(errorCode);
        assertThat(cpu.guestMode).isTrue();
    }

    private long guestEntry(long va) {
        return machine.memory.read64(SvmMachine.GUEST_PT + (va >>> 12) * 8);
    }

    private long nestedEntry(long gpa) {
        return machine.memory.read64(SvmMachine.NESTED_PT + (gpa >>> 12) * 8);
    }

    static Stream<Arguments> worlds() {
        return Arrays.stream(Host.values())
                .flatMap(host -> Arrays.stream(Guest.values()).map(g -> arguments(host, g)));
    }

    @ParameterizedTest
    @MethodSource("worlds")
    void everyHostTranslatesForEveryGuest(Host host, Guest guest) {
        host(host);
        guest(guest);
        nestedPage(host, PAGE, FRAME | ALL);
        machine.memory.write64(FRAME + 8, 0x1122_3344_5566_7788L);
        machine.vmrun();
        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.mmu.read64(PAGE + 8)).isEqualTo(0x1122_3344_5566_7788L);
        cpu.mmu.write32(PAGE + 16, 7);
        assertThat(machine.memory.read(FRAME + 16, 4)).isEqualTo(7);
        assertThat(cpu.mmu.translateFetch(PAGE + 9)).isEqualTo(FRAME + 9);
    }

    @ParameterizedTest
    @MethodSource("worlds")
    void everyHostTellsOfFinalFaultsOfEveryGuest(Host host, Guest guest) {
        host(host);
        guest(guest);
        nestedPage(host, PAGE, PAGE | SvmMachine.P | SvmMachine.U);
        nestedPage(host, PAGE + 0x1000, 0);
        machine.vmrun();
        assertThat(cpu.mmu.read8(PAGE)).isZero();
        assertNestedFault(
                () -> cpu.mmu.write8(PAGE + 5, 1), FINAL | USER | WRITE | PRESENT, PAGE + 5);
        cpu.rip = SvmMachine.HOST_CODE;
        machine.vmrun();
        assertNestedFault(
                () -> cpu.mmu.translateFetch(PAGE + 0x1002), FINAL | USER | FETCH, PAGE + 0x1002);
    }

    @ParameterizedTest
    @MethodSource("worlds")
    void everyHostTellsOfFaultsInTheGuestsTables(Host host, Guest guest) {
        host(host);
        long root = guest(guest);
        if (root < 0) {
            return;
        }
        nestedPage(host, root & -0x1000, root & -0x1000 | SvmMachine.P | SvmMachine.U);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.read8(PAGE), TABLE | USER | WRITE | PRESENT, root);
        cpu.rip = SvmMachine.HOST_CODE;
        nestedPage(host, root & -0x1000, 0);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.translateFetch(PAGE), TABLE | USER | WRITE, root);
    }

    static Stream<Arguments> reservedIn4LevelTables() {
        Stream<Arguments> beyond =
                Stream.of(SvmMachine.NESTED_PML4, NESTED_PDPT, NESTED_PD, entryOfPage())
                        .flatMap(at ->
                                Stream.of(48, 49, 50, 51).map(bit -> arguments(at, 0L, 1L << bit)));
        Stream<Arguments> others =
                Stream.of(
                        arguments(SvmMachine.NESTED_PML4, 0L, PS),
                        arguments(SvmMachine.NESTED_PML4, 0L, G),
                        arguments(NESTED_PD, PS, 1L << 13),
                        arguments(NESTED_PD, PS, 1L << 20),
                        arguments(NESTED_PDPT, PS, 1L << 13),
                        arguments(NESTED_PDPT, PS, 1L << 21),
                        arguments(NESTED_PDPT, PS, 1L << 29));
        return Stream.concat(beyond, others);
    }

    private static long entryOfPage() {
        return SvmMachine.NESTED_PT + (PAGE >> 12) * 8;
    }

    private long mapping(long where, long size) {
        return size == 0 ? machine.memory.read64(where) : ALL | size;
    }

    @ParameterizedTest
    @MethodSource("reservedIn4LevelTables")
    void reservedBitsOfNestedEntriesFault(long where, long size, long bit) {
        machine.real(); // no guest tables that would be met first
        machine.vmrun();
        machine.memory.write64(where, mapping(where, size) | bit);
        cpu.mmu.flushAll(TlbFlushCause.RESET);
        assertNestedFault(() -> cpu.mmu.read8(PAGE), FINAL | USER | RESERVED | PRESENT, PAGE);
        machine.memory.write64(where, 0);
        cpu.rip = SvmMachine.HOST_CODE;
        machine.vmrun();
        cpu.mmu.flushAll(TlbFlushCause.RESET);
        assertNestedFault(() -> cpu.mmu.read8(PAGE), FINAL | USER, PAGE);
    }

    static Stream<Arguments> reservedForGuests() {
        long entry = SvmMachine.GUEST_PT + (PAGE >> 12) * 8;
        long directory = SvmMachine.GUEST_PML4 + 0x2000;
        long pointers = SvmMachine.GUEST_PML4 + 0x1000;
        return Stream.of(
                arguments(SvmMachine.GUEST_PML4, 0L, PS),
                arguments(SvmMachine.GUEST_PML4, 0L, G),
                arguments(SvmMachine.GUEST_PML4, 0L, 1L << 48),
                arguments(pointers, 0L, 1L << 51),
                arguments(pointers, PS, 1L << 13),
                arguments(pointers, PS, 1L << 29),
                arguments(directory, PS, 1L << 13),
                arguments(directory, PS, 1L << 20),
                arguments(entry, 0L, 1L << 48));
    }

    @ParameterizedTest
    @MethodSource("reservedForGuests")
    void reservedBitsOfTheGuestsEntriesFaultInTheGuest(long where, long size, long bit) {
        machine.vmrun();
        machine.memory.write64(where, mapping(where, size) | bit);
        assertGuestFault(() -> cpu.mmu.read8(PAGE), (int) (PRESENT | RESERVED));
    }

    @Test
    void ignoredBitsOfNestedEntriesAreIgnored() {
        long ignoredHigh = 0x7ff0_0000_0000_0000L;
        machine.memory.write64(SvmMachine.NESTED_PML4, NESTED_PDPT | ALL | ignoredHigh | D | 0xe18);
        machine.memory.write64(NESTED_PDPT, NESTED_PD | ALL | ignoredHigh | D | G | 0xe18);
        machine.memory.write64(NESTED_PD, SvmMachine.NESTED_PT | ALL | ignoredHigh | D | G | 0xe18);
        machine.nestedPage(PAGE, FRAME | ALL | ignoredHigh | PS | G | 0xe18);
        machine.memory.write(FRAME, 1, 0x5a);
        machine.vmrun();
        assertThat(cpu.mmu.read8(PAGE)).isEqualTo(0x5a);
    }

    @ParameterizedTest
    @ValueSource(longs = {SvmMachine.NESTED_PML4, NESTED_PDPT, NESTED_PD})
    void noExecuteOfAnyNestedLevelHoldsAndIsReservedWithoutTheHostsNxe(long where) {
        machine.real();
        machine.memory.write64(where, machine.memory.read64(where) | SvmMachine.NX);
        machine.vmrun();
        assertThat(cpu.mmu.read8(PAGE)).isZero();
        assertNestedFault(() -> cpu.mmu.translateFetch(PAGE), FINAL | USER | FETCH | PRESENT, PAGE);
        cpu.efer &= ~Cpu.EFER_NXE;
        cpu.rip = SvmMachine.HOST_CODE;
        machine.put8(VmcbLayout.TLB_CONTROL, 1);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.read8(PAGE), FINAL | USER | RESERVED | PRESENT, PAGE);
    }

    @Test
    void withoutTheGuestsNxeItsPagesAreExecutableUnlessTheHostForbids() {
        machine.put64(VmcbLayout.EFER, machine.get64(VmcbLayout.EFER) & ~Cpu.EFER_NXE);
        machine.nestedPage(PAGE, PAGE | ALL | SvmMachine.NX);
        machine.guestPage(PAGE + 0x1000, PAGE | ALL | SvmMachine.NX);
        machine.vmrun();
        assertGuestFault(() -> cpu.mmu.read8(PAGE + 0x1000), (int) (PRESENT | RESERVED));
        assertNestedFault(() -> cpu.mmu.translateFetch(PAGE), FINAL | USER | FETCH | PRESENT, PAGE);
    }

    @Test
    void theGuestsOwnNoExecuteFaultsInTheGuest() {
        machine.guestPage(PAGE, PAGE | ALL | SvmMachine.NX);
        machine.nestedPage(PAGE, PAGE | ALL | SvmMachine.NX);
        machine.vmrun();
        assertGuestFault(() -> cpu.mmu.translateFetch(PAGE), (int) (PRESENT | FETCH));
    }

    @Test
    void theGuestsSmepAndSmapFaultInTheGuestBeforeTheFinalTranslation() {
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | Cpu.CR4_SMEP | Cpu.CR4_SMAP);
        machine.nestedPage(PAGE, 0);
        machine.vmrun();
        assertGuestFault(() -> cpu.mmu.translateFetch(PAGE), (int) (PRESENT | FETCH));
        assertGuestFault(() -> cpu.mmu.read8(PAGE), (int) PRESENT);
    }

    @Test
    void theHostsWriteProtectSmepAndSmapHaveNoEffect() {
        cpu.cr0 &= ~Cpu.CR0_WP;
        cpu.cr4 |= Cpu.CR4_SMEP | Cpu.CR4_SMAP;
        cpu.updateMode();
        machine.nestedPage(PAGE + 0x1000, PAGE | SvmMachine.P | SvmMachine.U);
        machine.vmrun();
        assertThat(cpu.mmu.translateFetch(PAGE)).isEqualTo(PAGE);
        cpu.mmu.write8(PAGE, 1);
        assertNestedFault(
                () -> cpu.mmu.write8(PAGE + 0x1000, 1),
                FINAL | USER | WRITE | PRESENT,
                PAGE + 0x1000);
    }

    @Test
    void thePrivilegeOfTheGuestMakesNoDifferenceToTheErrorCode() {
        machine.put8(VmcbLayout.CPL, 3);
        machine.nestedPage(PAGE, PAGE | SvmMachine.P);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.read8(PAGE), FINAL | USER | PRESENT, PAGE);
    }

    @Test
    void hugeNestedPagesMapAGigabyte() {
        machine.memory.write64(NESTED_PDPT, ALL | PS);
        machine.memory.write64(FRAME, 0x77);
        machine.guestPage(PAGE, FRAME | ALL);
        machine.vmrun();
        assertThat(cpu.mmu.read64(PAGE)).isEqualTo(0x77);
        assertThat(machine.memory.read64(NESTED_PDPT) & (A | D))
                .as("the guest's tables lie in it")
                .isEqualTo(A | D);
    }

    @Test
    void hugePagesAreReservedWhereTheyAreNotOffered() {
        cpu.model = CpuModel.parse("epyc-milan,-pdpe1gb");
        machine.real();
        machine.memory.write64(NESTED_PDPT, ALL | PS);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.read8(PAGE), FINAL | USER | RESERVED | PRESENT, PAGE);
    }

    @Test
    void theGuestsHugePagesAreReservedWhereTheyAreNotOffered() {
        cpu.model = CpuModel.parse("epyc-milan,-pdpe1gb");
        machine.memory.write64(SvmMachine.GUEST_PML4 + 0x1000, ALL | PS);
        machine.vmrun();
        assertGuestFault(() -> cpu.mmu.read8(PAGE), (int) (PRESENT | RESERVED));
    }

    @Test
    void aHugePageOfTheGuestOverSmallNestedPagesReachesEach() {
        machine.memory.write64(SvmMachine.GUEST_PML4 + 0x1000, ALL | PS);
        machine.nestedPage(PAGE, FRAME | ALL);
        machine.nestedPage(PAGE + 0x1000, 0);
        machine.memory.write(FRAME + 1, 1, 9);
        machine.vmrun();
        assertThat(cpu.mmu.read8(PAGE + 1)).isEqualTo(9);
        assertNestedFault(() -> cpu.mmu.read8(PAGE + 0x1000), FINAL | USER, PAGE + 0x1000);
    }

    @ParameterizedTest
    @ValueSource(longs = {2, 4, 0x20, 0x40, 0x80, 0x100, 1L << 48, 1L << 52, 1L << 62, 1L << 63})
    void aPaeHostsPointersHaveReservedBits(long bit) {
        host(Host.PAE);
        machine.real();
        machine.memory.write64(PAE_HOST, PAE_HOST + 0x1000 | SvmMachine.P | bit);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.read8(PAGE), FINAL | USER | RESERVED | PRESENT, PAGE);
    }

    @ParameterizedTest
    @ValueSource(ints = {48, 51, 52, 58, 62})
    void aPaeHostsEntriesReserveTheirHighBits(int bit) {
        host(Host.PAE);
        machine.real();
        nestedPage(Host.PAE, PAGE, PAGE | ALL | 1L << bit);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.read8(PAGE), FINAL | USER | RESERVED | PRESENT, PAGE);
    }

    @Test
    void a32BitHostsFourMegabytePagesReserveBit21AndNeedPse() {
        host(Host.PSE);
        machine.real();
        machine.memory.write(HOST_32, 4, ALL | PS | 1 << 21);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.read8(PAGE), FINAL | USER | RESERVED | PRESENT, PAGE);
        host(Host.PLAIN); // PS is nothing without CR4.PSE
        machine.memory.write(HOST_32, 4, HOST_32 + 0x1000 | ALL | PS);
        cpu.rip = SvmMachine.HOST_CODE;
        machine.vmrun();
        assertThat(cpu.mmu.read8(PAGE)).isZero();
    }

    @ParameterizedTest
    @ValueSource(strings = {"PAE", "PSE"})
    void guestAddressesAboveALegacyHostsFourGigabytesAreNotPresent(Host host) {
        host(host);
        guest(Guest.PSE);
        machine.memory.write(GUEST_32 + 4, 4, 0x40_0000 | 1 << 13 | ALL | PS);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.read8(0x40_0123), FINAL | USER, 0x1_0040_0123L);
    }

    @Test
    void theGuestsAccessedAndDirtyBitsAreSetBeforeTheFinalTranslation() {
        machine.nestedPage(PAGE, PAGE | SvmMachine.P | SvmMachine.U);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.write8(PAGE, 1), FINAL | USER | WRITE | PRESENT, PAGE);
        assertThat(guestEntry(PAGE) & (A | D)).isEqualTo(A | D);
        assertThat(nestedEntry(PAGE) & (A | D)).as("the nested fault sets none").isZero();
    }

    @Test
    void aGuestFaultLeavesAccessedBitsOfTheLevelsAboveOnly() {
        machine.guestPage(PAGE, PAGE | SvmMachine.P | SvmMachine.U);
        machine.vmrun();
        assertGuestFault(() -> cpu.mmu.write8(PAGE, 1), (int) (PRESENT | WRITE));
        assertThat(guestEntry(PAGE) & (A | D)).isZero();
        assertThat(machine.memory.read64(SvmMachine.GUEST_PML4 + 0x2000) & A).isEqualTo(A);
        assertThat(nestedEntry(SvmMachine.GUEST_PT) & (A | D))
                .as("the walk of the guest's table")
                .isEqualTo(A | D);
        assertThat(nestedEntry(PAGE) & (A | D)).isZero();
    }

    @Test
    void aNestedTableFaultComesBeforeTheGuestsNextLevel() {
        machine.memory.write64(SvmMachine.GUEST_PML4 + 0x1000, 0);
        machine.nestedPage(SvmMachine.GUEST_PML4, 0);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.read8(PAGE), TABLE | USER | WRITE, SvmMachine.GUEST_PML4);
    }

    @Test
    void aGuestFaultOfALevelComesBeforeTheNestedFaultOfTheNext() {
        machine.memory.write64(SvmMachine.GUEST_PML4 + 0x2000, SvmMachine.GUEST_PT);
        machine.nestedPage(SvmMachine.GUEST_PT, 0);
        machine.vmrun();
        assertGuestFault(() -> cpu.mmu.read8(PAGE), 0);
    }

    @Test
    void nestedDirtyFollowsTheAccess() {
        machine.vmrun();
        cpu.mmu.translateFetch(PAGE);
        cpu.mmu.read8(PAGE);
        assertThat(nestedEntry(PAGE) & (A | D)).isEqualTo(A);
        assertThat(guestEntry(PAGE) & (A | D)).isEqualTo(A);
        cpu.mmu.write8(PAGE, 1);
        assertThat(nestedEntry(PAGE) & (A | D)).isEqualTo(A | D);
        assertThat(guestEntry(PAGE) & (A | D)).isEqualTo(A | D);
        assertThat(machine.memory.read64(NESTED_PD) & (A | D)).as("D in leaves only").isEqualTo(A);
    }

    @Test
    void aWriteThatTheGuestsDirtyBitNeedsReachesTheGuestsTable() {
        machine.guestPage(PAGE, PAGE | ALL | A);
        machine.nestedPage(SvmMachine.GUEST_PT, SvmMachine.GUEST_PT | ALL); // clean before
        machine.vmrun();
        cpu.mmu.write8(PAGE, 1);
        assertThat(guestEntry(PAGE) & D).isEqualTo(D);
        assertThat(nestedEntry(SvmMachine.GUEST_PT) & D).isEqualTo(D);
    }

    @Test
    void aPresentBitThatIsClearKeepsTheOthersFromChanging() {
        machine.nestedPage(PAGE, PAGE | SvmMachine.W | SvmMachine.U | 1L << 50);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.write8(PAGE, 1), FINAL | USER | WRITE, PAGE);
        assertThat(nestedEntry(PAGE)).isEqualTo(PAGE | SvmMachine.W | SvmMachine.U | 1L << 50);
    }

    @Test
    void aNestedPageThatIsSupervisorsOnAnyLevelIsOutOfReach() {
        machine.real();
        machine.memory.write64(NESTED_PDPT, NESTED_PD | SvmMachine.P | SvmMachine.W);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.read8(PAGE), FINAL | USER | PRESENT, PAGE);
    }

    @Test
    void nestedWritePermissionNeedsAllLevels() {
        machine.real();
        machine.memory.write64(NESTED_PDPT, NESTED_PD | SvmMachine.P | SvmMachine.U);
        machine.vmrun();
        assertThat(cpu.mmu.read8(PAGE)).isZero();
        assertNestedFault(() -> cpu.mmu.write8(PAGE, 1), FINAL | USER | WRITE | PRESENT, PAGE);
    }

    @Test
    void nestedGlobalBitsMakeNothingGlobal() {
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | Cpu.CR4_PGE);
        cpu.cr4 |= Cpu.CR4_PGE;
        machine.nestedPage(PAGE, FRAME | ALL | G);
        machine.vmrun();
        assertThat(cpu.mmu.read8(PAGE)).isZero();
        machine.nestedPage(PAGE, PAGE | ALL | G);
        machine.memory.write(PAGE, 1, 5);
        assertThat(cpu.mmu.read8(PAGE)).as("still the old translation").isZero();
        cpu.mmu.flush(false);
        assertThat(cpu.mmu.read8(PAGE)).isEqualTo(5);
    }

    @Test
    void aPaeGuestsPointersAreReadOnDemand() {
        guest(Guest.PAE);
        machine.code(SvmMachine.GUEST_CODE, "0f22d8 f4"); // mov cr3, eax; hlt
        machine.intercept(ExitCode.HLT);
        long other = GUEST_PAE + 0x40;
        machine.memory.write64(other, GUEST_PAE + 0x1000 | SvmMachine.P);
        machine.memory.write64(other + 8, GUEST_PAE + 0x1000 | SvmMachine.P | SvmMachine.W);
        machine.put64(VmcbLayout.RAX, other);
        machine.vmrunAndRun(4);
        assertThat(machine.exitCode()).as("MOV CR3 looks at no pointer").isEqualTo(ExitCode.HLT);
        cpu.rip = SvmMachine.HOST_CODE;
        machine.vmrun();
        assertGuestFault(() -> cpu.mmu.read8(0x4000_0000L), (int) (PRESENT | RESERVED));
        machine.memory.write64(other + 8, GUEST_PAE + 0x1000 | SvmMachine.P);
        assertThat(cpu.mmu.read8(0x4000_0000L + PAGE)).as("no MOV CR3 needed").isZero();
    }

    @Test
    void nestedAddressesOutsideRamReadAsOnesAndSoHaveReservedBits() {
        machine.real();
        machine.put64(VmcbLayout.N_CR3, 0x7000_0000_0000L);
        machine.vmrun();
        assertNestedFault(() -> cpu.mmu.read8(PAGE), FINAL | USER | RESERVED | PRESENT, PAGE);
    }

    @Test
    void theNestedRootIsNotWrittenBackAndItsLowBitsAreIgnored() {
        machine.put64(VmcbLayout.N_CR3, SvmMachine.NESTED_PML4 | 0xfff);
        machine.vmrun();
        assertThat(cpu.mmu.read8(PAGE)).isZero();
        machine.svm.exit(ExitCode.HLT, 0, 0);
        assertThat(machine.get64(VmcbLayout.N_CR3)).isEqualTo(SvmMachine.NESTED_PML4 | 0xfff);
    }

    @Test
    void theHostsModeAtVmrunDecidesWhateverTheGuestThenSets() {
        host(Host.PAE);
        machine.code(SvmMachine.GUEST_CODE, "0f20e0 0c10 0f22e0 f4"); // CR4.PSE in the guest
        machine.intercept(ExitCode.HLT);
        machine.vmrunAndRun(6);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(cpu.cr4).as("the host's own").isEqualTo(Cpu.CR4_PAE);
    }
}
