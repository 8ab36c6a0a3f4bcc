package dev.pacifica.emulator.paging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.memory.MmioDevice;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import dev.pacifica.emulator.observe.TlbFlushCause;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import dev.pacifica.emulator.time.VirtualClock;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * Address translation as APM Vol 2 §5 and §15.25 have it. Tables are built by hand in the first
 * megabyte.
 */
class MmuTest {
    private static final long PML4 = 0x1000;
    private static final long PDPT = 0x2000;
    private static final long PD = 0x3000;
    private static final long PT = 0x4000;
    private static final long VA = 0x40_0000_5000L; // pml4 0, pdpt 256, pd 0, pt 5
    private static final long FRAME = 0x80000;
    private static final long P = 1;
    private static final long W = 2;
    private static final long U = 4;
    private static final long A = 0x20;
    private static final long D = 0x40;
    private static final long PS = 0x80;
    private static final long G = 0x100;
    private static final long NX = 1L << 63;

    private final PhysicalMemory memory = new PhysicalMemory(16 << 20);
    private final Cpu cpu = new Cpu(0, new VirtualClock(), memory, new PortBus());
    private final Mmu mmu = cpu.mmu;

    @BeforeEach
    void longMode() {
        cpu.cr0 = Cpu.CR0_PE | Cpu.CR0_PG | Cpu.CR0_WP;
        cpu.cr4 = Cpu.CR4_PAE | Cpu.CR4_PGE;
        cpu.efer = Cpu.EFER_LME | Cpu.EFER_LMA | Cpu.EFER_NXE;
        cpu.cr3 = PML4;
        cpu.segAttr[Cpu.CS] = Cpu.ATTR_P | Cpu.ATTR_S | Cpu.ATTR_L | 0xb;
        cpu.updateMode();
        memory.write64(PML4, PDPT | P | W | U);
        memory.write64(PDPT + 256 * 8, PD | P | W | U);
        memory.write64(PD, PT | P | W | U);
        memory.write64(PT + 5 * 8, FRAME | P | W | U);
    }

    @AfterEach
    void release() {
        memory.close();
    }

    private void pte(long value) {
        memory.write64(PT + 5 * 8, value);
        mmu.flush(true);
    }

    private void cpl(int cpl) {
        cpu.cpl = cpl;
        mmu.contextChanged();
    }

    private GuestException pageFault(Runnable access) {
        GuestException fault = catchThrowableOfType(GuestException.class, access::run);
        assertThat(fault).isNotNull();
        assertThat(fault.vector).isEqualTo(GuestException.PF);
        assertThat(fault.hasErrorCode).isTrue();
        return fault;
    }

    @Test
    void aReadSetsAccessedBitsAndNoDirtyBit() {
        memory.write64(FRAME + 8, 0x1122_3344_5566_7788L);
        assertThat(mmu.read64(VA + 8)).isEqualTo(0x1122_3344_5566_7788L);
        assertThat(memory.read64(PML4)).isEqualTo(PDPT | P | W | U | A);
        assertThat(memory.read64(PDPT + 256 * 8)).isEqualTo(PD | P | W | U | A);
        assertThat(memory.read64(PD)).isEqualTo(PT | P | W | U | A);
        assertThat(memory.read64(PT + 5 * 8)).isEqualTo(FRAME | P | W | U | A);
    }

    @Test
    void aWriteAfterAReadSetsTheDirtyBit() {
        mmu.read8(VA);
        mmu.write8(VA, 7);
        assertThat(memory.read64(PT + 5 * 8)).isEqualTo(FRAME | P | W | U | A | D);
        assertThat(memory.read(FRAME, 1)).isEqualTo(7);
    }

    @Test
    void aProbeForWritingSetsTheDirtyBitAndChangesNothingElse() {
        memory.write64(FRAME, 0x55);
        mmu.probeWrite(VA, 8);
        assertThat(memory.read64(PT + 5 * 8) & D).isEqualTo(D);
        assertThat(memory.read64(FRAME)).isEqualTo(0x55);
    }

    @Test
    void aNotPresentPageFaultsWithErrorCodeByAccess() {
        pte(0);
        assertThat(pageFault(() -> mmu.read8(VA)).errorCode).isEqualTo(0);
        GuestException write = pageFault(() -> mmu.write8(VA + 3, 0));
        assertThat(write.errorCode).isEqualTo(2);
        assertThat(write.address).isEqualTo(VA + 3);
        assertThat(pageFault(() -> mmu.translateFetch(VA)).errorCode).isEqualTo(0x10);
        cpl(3);
        assertThat(pageFault(() -> mmu.read8(VA)).errorCode).isEqualTo(4);
        assertThat(pageFault(() -> mmu.write8(VA, 0)).errorCode).isEqualTo(6);
    }

    @Test
    void aFetchIsNotToldWhenNeitherNxNorSmepIsOn() {
        pte(0);
        cpu.efer &= ~Cpu.EFER_NXE;
        assertThat(pageFault(() -> mmu.translateFetch(VA)).errorCode).isEqualTo(0);
    }

    @Test
    void aSupervisorPageIsOutOfReachForUserCode() {
        pte(FRAME | P | W);
        assertThat(mmu.read8(VA)).isZero();
        cpl(3);
        assertThat(pageFault(() -> mmu.read8(VA)).errorCode).isEqualTo(5);
        assertThat(mmu.readSystem8(VA)).isZero();
    }

    @Test
    void aReadOnlyPageFaultsOnWriteForSupervisorOnlyWithWp() {
        pte(FRAME | P | U);
        assertThat(pageFault(() -> mmu.write8(VA, 1)).errorCode).isEqualTo(3);
        cpu.cr0 &= ~Cpu.CR0_WP;
        mmu.flush(true);
        mmu.write8(VA, 1);
        assertThat(memory.read(FRAME, 1)).isEqualTo(1);
        cpl(3);
        assertThat(pageFault(() -> mmu.write8(VA, 1)).errorCode).isEqualTo(7);
    }

    @Test
    void writePermissionOfAnUpperLevelCounts() {
        memory.write64(PD, PT | P | U);
        assertThat(pageFault(() -> mmu.write8(VA, 1)).errorCode).isEqualTo(3);
    }

    @Test
    void noExecuteOfAnyLevelStopsFetches() {
        memory.write64(PDPT + 256 * 8, PD | P | W | U | NX);
        assertThat(pageFault(() -> mmu.translateFetch(VA)).errorCode).isEqualTo(0x11);
        assertThat(mmu.read8(VA)).isZero();
    }

    @Test
    void noExecuteIsReservedWithoutNxe() {
        cpu.efer &= ~Cpu.EFER_NXE;
        pte(FRAME | P | W | U | NX);
        assertThat(pageFault(() -> mmu.read8(VA)).errorCode).isEqualTo(9);
    }

    @Test
    void addressBitsAboveThePhysicalWidthAreReserved() {
        pte(1L << 48 | FRAME | P | W | U);
        assertThat(pageFault(() -> mmu.read8(VA)).errorCode).isEqualTo(9);
    }

    @Test
    void aLargePageMapsTwoMegabytesAndReservesItsLowAddressBits() {
        memory.write64(PD, 0x20_0000 | P | W | U | PS);
        memory.write64(0x20_0000 + 0x12_3456, 0xabcd);
        assertThat(mmu.read16(VA - 0x5000 + 0x12_3456)).isEqualTo(0xabcd);
        memory.write64(PD, 0x20_2000 | P | W | U | PS);
        mmu.flush(true);
        assertThat(pageFault(() -> mmu.read8(VA)).errorCode).isEqualTo(9);
    }

    @Test
    void aHugePageMapsOneGigabyte() {
        memory.write64(PDPT + 256 * 8, P | W | U | PS);
        memory.write64(0x7_0008, 0x77);
        assertThat(mmu.read64(VA - 0x5000 + 0x7_0008)).isEqualTo(0x77);
    }

    @Test
    void pageSizeIsReservedInThePml4() {
        memory.write64(PML4, PDPT | P | W | U | PS);
        assertThat(pageFault(() -> mmu.read8(VA)).errorCode).isEqualTo(9);
    }

    @Test
    void smepStopsSupervisorFetchesFromUserPages() {
        cpu.cr4 |= Cpu.CR4_SMEP;
        assertThat(pageFault(() -> mmu.translateFetch(VA)).errorCode).isEqualTo(0x11);
        cpl(3);
        assertThat(mmu.translateFetch(VA + 5)).isEqualTo(FRAME + 5);
    }

    @Test
    void smapStopsSupervisorDataAccessesUnlessAcIsSet() {
        cpu.cr4 |= Cpu.CR4_SMAP;
        assertThat(pageFault(() -> mmu.read8(VA)).errorCode).isEqualTo(1);
        cpu.setRflags(Cpu.AC);
        assertThat(mmu.read8(VA)).isZero();
        assertThat(pageFault(() -> mmu.readSystem8(VA)).errorCode).isEqualTo(1);
        cpu.setRflags(0);
        assertThat(pageFault(() -> mmu.read8(VA)).errorCode).isEqualTo(1);
    }

    @Test
    void anAccessAcrossPagesFaultsOnTheSecondBeforeItWrites() {
        memory.write64(FRAME + 4092, 0);
        GuestException fault = pageFault(() -> mmu.write64(VA + 4092, -1L));
        assertThat(fault.address).isEqualTo(VA + 4096);
        assertThat(memory.read(FRAME + 4092, 4)).isZero();
        memory.write64(PT + 6 * 8, 0x90000 | P | W | U);
        mmu.write64(VA + 4092, 0x1122_3344_5566_7788L);
        assertThat(mmu.read64(VA + 4092)).isEqualTo(0x1122_3344_5566_7788L);
        assertThat(memory.read(0x90000, 4)).isEqualTo(0x1122_3344L);
    }

    @Test
    void aStaleTranslationHoldsUntilItIsInvalidated() {
        memory.write64(0x90000, 9);
        assertThat(mmu.read8(VA)).isZero();
        memory.write64(PT + 5 * 8, 0x90000 | P | W | U);
        assertThat(mmu.read8(VA)).isZero();
        mmu.invalidatePage(VA + 0x123);
        assertThat(mmu.read8(VA)).isEqualTo(9);
    }

    @Test
    void globalPagesSurviveAFlushThatKeepsThem() {
        memory.write64(0x90000, 9);
        pte(FRAME | P | W | U | G);
        assertThat(mmu.read8(VA)).isZero();
        memory.write64(PT + 5 * 8, 0x90000 | P | W | U | G);
        mmu.flush(false);
        assertThat(mmu.read8(VA)).isZero();
        mmu.flush(true);
        assertThat(mmu.read8(VA)).isEqualTo(9);
    }

    @Test
    void asidsKeepTheirTranslationsApart() {
        assertThat(mmu.read8(VA)).isZero();
        memory.write64(0x90000, 9);
        memory.write64(PT + 5 * 8, 0x90000 | P | W | U);
        mmu.enterGuest(3, 0, 0, 0, 0);
        assertThat(mmu.read8(VA)).isEqualTo(9);
        mmu.enterHost();
        assertThat(mmu.read8(VA)).isZero();
        mmu.flushAsid(0, true, TlbFlushCause.INVLPGB);
        assertThat(mmu.read8(VA)).isEqualTo(9);
    }

    @Test
    void paeTablesTranslateThroughFourPointers() {
        cpu.efer = 0;
        cpu.segAttr[Cpu.CS] = Cpu.ATTR_P | Cpu.ATTR_S | Cpu.ATTR_DB | 0xb;
        cpu.updateMode();
        cpu.cr3 = PDPT + 0x20;
        memory.write64(PDPT + 0x20 + 2 * 8, PD | P);
        memory.write64(PD + 8, PT | P | W | U);
        memory.write64(PT + 8, FRAME | P | W | U);
        mmu.flush(true);
        long va = 0x8000_0000L + (1 << 21) + (1 << 12);
        memory.write64(FRAME + 4, 0x44);
        assertThat(mmu.read8(va + 4)).isEqualTo(0x44);
        memory.write64(PDPT + 0x20 + 2 * 8, PD | P | W);
        mmu.flush(true);
        assertThat(pageFault(() -> mmu.read8(va)).errorCode).isEqualTo(9);
    }

    @Test
    void legacyTablesTranslateSmallAndFourMegabytePages() {
        cpu.efer = 0;
        cpu.cr4 = Cpu.CR4_PSE;
        cpu.segAttr[Cpu.CS] = Cpu.ATTR_P | Cpu.ATTR_S | Cpu.ATTR_DB | 0xb;
        cpu.updateMode();
        cpu.cr3 = PD;
        memory.write64(PD, 0);
        memory.write(PD + 4, 4, PT | P | W | U);
        memory.write(PT + 8, 4, FRAME | P | W | U);
        memory.write(PD + 8, 4, 0x40_0000 | P | W | U | PS);
        mmu.flush(true);
        memory.write(FRAME + 1, 1, 0x12);
        memory.write(0x40_0000 + 0x23_4567, 1, 0x34);
        assertThat(mmu.read8(0x40_2001)).isEqualTo(0x12);
        assertThat(mmu.read8(0x80_0000 + 0x23_4567)).isEqualTo(0x34);
        assertThat(memory.read(PT + 8, 4)).isEqualTo(FRAME | P | W | U | A);
        memory.write(PD + 8, 4, 0x60_0000 | P | W | U | PS);
        mmu.flush(true);
        assertThat(pageFault(() -> mmu.read8(0x80_0000)).errorCode).isEqualTo(9);
    }

    @Test
    void unalignedUserAccessesFaultWhenAlignmentIsChecked() {
        cpu.cr0 |= Cpu.CR0_AM;
        cpl(3);
        assertThat(mmu.read32(VA + 1)).isZero();
        cpu.setRflags(Cpu.AC);
        GuestException fault = catchThrowableOfType(GuestException.class, () -> mmu.read32(VA + 1));
        assertThat(fault.vector).isEqualTo(GuestException.AC);
        assertThat(mmu.read32(VA + 4)).isZero();
    }

    @Test
    void anAccessToADeviceReachesItOnceEachTime() {
        int[] touched = {0};
        memory.map(
                0xfed0_0000L,
                0x1000,
                new MmioDevice() {
                    @Override
                    public long read(long offset, int size) {
                        touched[0]++;
                        return offset;
                    }

                    @Override
                    public void write(long offset, int size, long value) {
                        touched[0]++;
                    }
                });
        pte(0xfed0_0000L | P | W | U);
        assertThat(mmu.read32(VA + 8)).isEqualTo(8);
        assertThat(touched[0]).isEqualTo(1);
        mmu.write32(VA + 8, 1);
        assertThat(touched[0]).isEqualTo(2);
        assertThat(mmu.read32(VA + 12)).isEqualTo(12);
        assertThat(touched[0]).isEqualTo(3);
    }

    @Test
    void writesToCodeAreNoticedAfterPermissionIsRevoked() {
        mmu.write8(VA, 1);
        memory.markCode(FRAME);
        mmu.revokeWrites(FRAME);
        long[] seen = {0, 0};
        memory.setCodeListener((pa, size) -> {
            seen[0] = pa;
            seen[1] = size;
        });
        mmu.write32(VA + 0x10, 2);
        assertThat(seen).containsExactly(FRAME + 0x10, 4);
        assertThat(mmu.hostForWrite(VA)).isZero();
    }

    @Test
    void pagesAreDirtyFromTheFirstWriteAfterCleaning() {
        int page = memory.pageOf(FRAME);
        mmu.write8(VA, 1);
        assertThat(memory.dirty(page)).isTrue();
        memory.cleanAll();
        assertThat(mmu.read8(VA)).isEqualTo(1);
        assertThat(memory.dirty(page)).isFalse();
        mmu.write8(VA, 2);
        assertThat(memory.dirty(page)).isTrue();
    }

    @Test
    void nestedFaultsTellStageAccessAndAddress() {
        long[] seen = {0, 0};
        mmu.setNestedFaultHandler((gpa, info1) -> {
            seen[0] = gpa;
            seen[1] = info1;
            return cpu.worldSwitched;
        });
        long ncr3 = 0x10000;
        memory.write64(ncr3, 0x11000 | P | W | U);
        memory.write64(0x11000, 0x12000 | P | W | U);
        memory.write64(0x12000, 0x13000 | P | W | U);
        for (int i = 0; i < 512; i++) {
            memory.write64(0x13000 + 8 * i, (long) i << 12 | P | W | U);
        }
        mmu.enterGuest(1, Mmu.NESTED, ncr3, cpu.cr4, cpu.efer);
        assertThat(mmu.read8(VA)).isZero();
        assertThat(memory.read64(0x13000 + 8 * (PT >>> 12))).isEqualTo(PT | P | W | U | A | D);
        assertThat(memory.read64(0x13000 + 8 * (FRAME >>> 12))).isEqualTo(FRAME | P | W | U | A);
        // final translation not present: write, read, fetch
        memory.write64(0x13000 + 8 * (FRAME >>> 12), 0);
        mmu.flushAsid(1, true, TlbFlushCause.INVLPGB);
        assertThatThrownBy(() -> mmu.write8(VA + 0x34, 1)).isSameAs(cpu.worldSwitched);
        assertThat(seen).containsExactly(FRAME + 0x34, 0x1_0000_0006L);
        assertThatThrownBy(() -> mmu.read8(VA)).isSameAs(cpu.worldSwitched);
        assertThat(seen).containsExactly(FRAME, 0x1_0000_0004L);
        assertThatThrownBy(() -> mmu.translateFetch(VA)).isSameAs(cpu.worldSwitched);
        assertThat(seen).containsExactly(FRAME, 0x1_0000_0014L);
        // read-only page of the guest's table: a user write of the table walk (§15.25.5)
        memory.write64(0x13000 + 8 * (PT >>> 12), PT | P | U);
        assertThatThrownBy(() -> mmu.read8(VA)).isSameAs(cpu.worldSwitched);
        assertThat(seen).containsExactly(PT + 5 * 8, 0x2_0000_0007L);
        // a supervisor page of the nested tables is out of any reach; reserved bits are told
        memory.write64(0x13000 + 8 * (PT >>> 12), PT | P | W | U);
        memory.write64(0x13000 + 8 * (FRAME >>> 12), FRAME | P | W);
        assertThatThrownBy(() -> mmu.read8(VA)).isSameAs(cpu.worldSwitched);
        assertThat(seen).containsExactly(FRAME, 0x1_0000_0005L);
        memory.write64(0x13000 + 8 * (FRAME >>> 12), 1L << 50 | FRAME | P | W | U);
        assertThatThrownBy(() -> mmu.read8(VA)).isSameAs(cpu.worldSwitched);
        assertThat(seen).containsExactly(FRAME, 0x1_0000_000dL);
    }

    @Test
    void saveLoadSaveIsByteIdenticalAndKeepsStaleEntries() {
        mmu.read8(VA);
        mmu.translateFetch(VA);
        memory.write64(0x90000, 9);
        memory.write64(PT + 5 * 8, 0x90000 | P | W | U);
        BinaryStateWriter first = new BinaryStateWriter();
        mmu.save(first);
        mmu.flush(true);
        mmu.load(new BinaryStateReader(first.toByteArray()));
        BinaryStateWriter second = new BinaryStateWriter();
        mmu.save(second);
        assertThat(second.toByteArray()).isEqualTo(first.toByteArray());
        assertThat(mmu.read8(VA)).isZero();
        assertThat(mmu.translateFetch(VA)).isEqualTo(FRAME);
    }
}
