package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.observe.MachineObserver;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** VMCB state caching by the clean bits (§15.15). */
class VmcbCacheTest {
    private static final int ALL_CLEAN = -1;
    private static final int INTERCEPTS = 1;
    private static final int MAPS = 1 << 1;
    private static final int ASID = 1 << 2;
    private static final int TPR = 1 << 3;
    private static final int NESTED = 1 << 4;
    private static final int CONTROL_REGISTERS = 1 << 5;
    private static final int DEBUG_REGISTERS = 1 << 6;
    private static final int DESCRIPTOR_TABLES = 1 << 7;
    private static final int SEGMENTS = 1 << 8;
    private static final int CR2 = 1 << 9;
    private static final int LBR = 1 << 10;

    /** Figure 15-4 by the offsets of Appendix B: first, length of each field. */
    private static final int[][] FIELDS = {
        {0x00, 24, 0x3c, 4, 0x50, 8},
        {0x40, 16},
        {0x58, 4},
        {0x60, 8},
        {0x90, 8, 0xb0, 8, 0x668, 8},
        {0x4d0, 8, 0x548, 24},
        {0x560, 16},
        {0x460, 16, 0x480, 16},
        {0x400, 0x40, 0x4cb, 1},
        {0x640, 8},
        {0x670, 40},
        {0x98, 8, 0xe0, 8, 0xf0, 16},
    };

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @BeforeEach
    void guest() {
        machine.intercept(ExitCode.HLT);
        machine.intercept(ExitCode.NMI);
        machine.code(SvmMachine.GUEST_CODE, "f4");
        cpu.svm.cacheVmcbs();
    }

    @AfterEach
    void release() {
        machine.close();
    }

    /** Enters the guest with these clean bits, its code not yet executed. */
    private void enter(int clean) {
        cpu.rip = SvmMachine.HOST_CODE;
        cpu.r[Cpu.RAX] = SvmMachine.VMCB;
        machine.put32(VmcbLayout.CLEAN_BITS, clean & 0xffff_ffffL);
        machine.vmrun();
    }

    /** Enters the guest and leaves it as it was. */
    private void runOnce(int clean) {
        enter(clean);
        leave();
    }

    private void leave() {
        assertThat(cpu.guestMode).isTrue();
        machine.svm.exit(ExitCode.INTR, 0, 0);
    }

    /**
     * What an observer of VMRUN is shown: the state that is used, and beside it what lies there.
     */
    @Test
    void anObserverSeesTheMergedState() {
        List<Long> seen = new ArrayList<>();
        cpu.observer =
                new MachineObserver() {
                    @Override
                    public void vmrun(int vcpu, long vmcb, VmcbView state) {
                        seen.add(state.get(VmcbLayout.ASID, 4));
                        seen.add(state.inMemory(VmcbLayout.ASID, 4));
                        seen.add(state.get(VmcbLayout.CLEAN_BITS, 4));
                    }
                };
        runOnce(0);
        machine.put32(VmcbLayout.ASID, 7);
        runOnce(~INTERCEPTS);
        runOnce(~ASID);
        assertThat(seen)
                .containsExactly(
                        1L,
                        1L,
                        0L, //
                        1L,
                        7L,
                        0xffff_fffeL, //
                        7L,
                        7L,
                        0xffff_fffbL);
    }

    private interface Effect {
        long value();
    }

    /**
     * The VMCB holds another value from now on: with its clean bit set the guest runs with the old
     * one, with this bit alone clear with the new one.
     */
    private void assertGoverned(int bit, long before, Runnable change, long after, Effect effect) {
        enter(ALL_CLEAN);
        assertThat(effect.value()).as("the first run loads everything").isEqualTo(before);
        leave();
        change.run();
        enter(ALL_CLEAN);
        assertThat(effect.value()).as("clean").isEqualTo(before);
        leave();
        change.run();
        enter(~bit);
        assertThat(effect.value()).as("not clean").isEqualTo(after);
        leave();
        enter(ALL_CLEAN);
        assertThat(effect.value()).as("clean again").isEqualTo(after);
    }

    @Test
    void interceptVectors() {
        assertGoverned(
                INTERCEPTS,
                0,
                () -> machine.intercept(ExitCode.CPUID),
                1,
                () -> machine.svm.intercepted(ExitCode.CPUID) ? 1 : 0);
    }

    @Test
    void timeStampOffset() {
        assertGoverned(
                INTERCEPTS,
                0,
                () -> machine.put64(VmcbLayout.TSC_OFFSET, 5),
                5,
                () -> machine.svm.timeStamp() - cpu.tsc());
    }

    @Test
    void permissionMaps() {
        long other = 0x80000;
        machine.intercept(ExitCode.IOIO);
        machine.memory.write(other, 1, 0x80);
        assertGoverned(
                MAPS,
                0,
                () -> machine.put64(VmcbLayout.IOPM_BASE_PA, other),
                1,
                () -> machine.svm.ioIntercepted(7, 1) ? 1 : 0);
    }

    @Test
    void addressSpaceIdentifier() {
        runOnce(0);
        machine.put32(VmcbLayout.ASID, 0);
        enter(ALL_CLEAN);
        assertThat(cpu.guestMode).as("the old ASID is legal").isTrue();
        leave();
        enter(~ASID);
        assertThat(machine.exitCode()).isEqualTo(-1);
    }

    @Test
    void virtualInterruptControl() {
        assertGoverned(
                TPR,
                0,
                () -> machine.put8(VmcbLayout.V_TPR, 9),
                9,
                machine.svm::virtualTaskPriority);
    }

    @Test
    void nestedPageTables() {
        machine.nestedPaging();
        runOnce(0);
        machine.put64(VmcbLayout.N_CR3, 1L << 60);
        enter(ALL_CLEAN);
        assertThat(cpu.guestMode).as("the old nCR3 is legal").isTrue();
        leave();
        enter(~NESTED);
        assertThat(machine.exitCode()).isEqualTo(-1);
    }

    @Test
    void nestedPagingItself() {
        assertGoverned(NESTED, 0, machine::nestedPaging, 1, () -> cpu.mmu.nested() ? 1 : 0);
    }

    @Test
    void guestPageAttributes() {
        machine.nestedPaging();
        long other = 0x0606_0606_0606_0606L;
        assertGoverned(
                NESTED,
                SvmMachine.PAT,
                () -> machine.put64(VmcbLayout.G_PAT, other),
                other,
                () -> cpu.msrs.pat);
    }

    @Test
    void controlRegisters() {
        assertGoverned(
                CONTROL_REGISTERS,
                Cpu.CR4_PAE,
                () -> machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | Cpu.CR4_DE),
                Cpu.CR4_PAE | Cpu.CR4_DE,
                () -> cpu.cr4);
    }

    @Test
    void debugRegisters() {
        assertGoverned(
                DEBUG_REGISTERS,
                0x400,
                () -> machine.put64(VmcbLayout.DR7, 0x402),
                0x402,
                () -> cpu.dr[7]);
    }

    @Test
    void descriptorTables() {
        assertGoverned(
                DESCRIPTOR_TABLES,
                SvmMachine.IDT,
                () -> machine.put64(VmcbLayout.IDTR + VmcbLayout.BASE, 0x7000),
                0x7000,
                () -> cpu.idtrBase);
    }

    @Test
    void segments() {
        assertGoverned(
                SEGMENTS,
                0x18,
                () -> machine.segment(VmcbLayout.DS, 0x30, SvmMachine.DATA, 0xffff_ffffL, 0),
                0x30,
                () -> cpu.segSelector[Cpu.DS]);
    }

    @Test
    void privilegeLevel() {
        assertGoverned(SEGMENTS, 0, () -> machine.put8(VmcbLayout.CPL, 3), 3, () -> cpu.cpl);
    }

    @Test
    void pageFaultAddress() {
        assertGoverned(CR2, 0, () -> machine.put64(VmcbLayout.CR2, 0x5000), 0x5000, () -> cpu.cr2);
    }

    @Test
    void branchRecords() {
        machine.put64(VmcbLayout.LBR_VIRTUALIZATION_ENABLE, VmcbLayout.LBR_VIRTUALIZATION);
        assertGoverned(
                LBR, 0, () -> machine.put64(VmcbLayout.DBGCTL, 1), 1, () -> cpu.msrs.debugCtl);
    }

    /** Every byte of the merged state comes from where the figure says, for each single bit. */
    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 31})
    void eachBitGovernsItsFieldsAndNoOthers(int bit) {
        BitSet governed = new BitSet();
        if (bit < FIELDS.length) {
            for (int i = 0; i < FIELDS[bit].length; i += 2) {
                governed.set(FIELDS[bit][i], FIELDS[bit][i] + FIELDS[bit][i + 1]);
            }
        }
        VmcbCache cache = new VmcbCache(machine.memory);
        Vmcb vmcb = new Vmcb(machine.memory);
        vmcb.at(SvmMachine.VMCB);
        fill(machine.memory, 0x11, ALL_CLEAN);
        cache.merge(vmcb);
        fill(machine.memory, 0x22, 1 << bit);
        Vmcb merged = cache.merge(vmcb);
        for (int offset = 0; offset < VmcbLayout.USED; offset++) {
            boolean clean = offset >= 0xc0 && offset < 0xc4;
            if (!clean) {
                assertThat(merged.get8(offset))
                        .as("offset %x", offset)
                        .isEqualTo(governed.get(offset) ? 0x11 : 0x22);
            }
        }
    }

    private static void fill(PhysicalMemory memory, int value, int clean) {
        for (int i = 0; i < VmcbLayout.SIZE; i++) {
            memory.write(SvmMachine.VMCB + i, 1, value);
        }
        memory.write(SvmMachine.VMCB + 0xc0, 4, clean & 0xffff_ffffL);
    }

    @Test
    void whatTheGuestChangedIsWhatIsCached() {
        machine.code(SvmMachine.GUEST_CODE, "0f22d0 0f22e3 f4"); // mov cr2, rax; mov cr4, rbx; hlt
        machine.put64(VmcbLayout.RAX, 0x7777);
        cpu.r[Cpu.RBX] = Cpu.CR4_PAE | Cpu.CR4_PGE;
        enter(0);
        machine.run(3);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        machine.put64(VmcbLayout.CR2, 0x1111);
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE);
        enter(ALL_CLEAN);
        assertThat(cpu.cr2).isEqualTo(0x7777);
        assertThat(cpu.cr4).isEqualTo(Cpu.CR4_PAE | Cpu.CR4_PGE);
    }

    @Test
    void aVirtualInterruptThatWasTakenIsNotPendingInTheCachedState() {
        machine.put64(VmcbLayout.RFLAGS, Cpu.IF | 2);
        machine.put64(VmcbLayout.V_INTR, 1 << 8 | 4 << 16 | 0x41L << 32);
        enter(0);
        machine.run(2);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        machine.put8(VmcbLayout.V_IRQ, 1);
        enter(ALL_CLEAN);
        assertThat(machine.svm.pendingVirtualInterrupt()).isEqualTo(-1);
        leave();
        machine.put8(VmcbLayout.V_IRQ, 1);
        enter(~TPR);
        assertThat(machine.svm.pendingVirtualInterrupt()).isEqualTo(0x41);
    }

    @Test
    void fieldsWithoutACleanBitAreAlwaysLoaded() {
        runOnce(0);
        machine.put64(VmcbLayout.RIP, 0x51000);
        machine.put64(VmcbLayout.RSP, 0x52000);
        machine.put64(VmcbLayout.RAX, 0x53000);
        machine.put64(VmcbLayout.RFLAGS, 2 | Cpu.CF);
        machine.put64(VmcbLayout.INTERRUPT_SHADOW, 1);
        enter(ALL_CLEAN);
        assertThat(cpu.rip).isEqualTo(0x51000);
        assertThat(cpu.r[Cpu.RSP]).isEqualTo(0x52000);
        assertThat(cpu.r[Cpu.RAX]).isEqualTo(0x53000);
        assertThat(cpu.cf()).isTrue();
        assertThat(cpu.interruptShadow).isTrue();
    }

    @Test
    void anInjectedEventIsTakenWhateverIsClean() {
        runOnce(0);
        machine.put64(VmcbLayout.EVENTINJ, 1L << 31 | 0x33);
        enter(ALL_CLEAN);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16 * 0x33);
    }

    @Test
    void theMergedStateIsWhatIsChecked() {
        runOnce(0);
        machine.put64(VmcbLayout.CR0, 1L << 32);
        enter(ALL_CLEAN);
        assertThat(cpu.guestMode).isTrue();
        leave();
        machine.put64(VmcbLayout.CR0, 1L << 32);
        enter(~CONTROL_REGISTERS);
        assertThat(machine.exitCode()).isEqualTo(-1);
    }

    @Test
    void aVmcbThatWasRefusedIsNotCached() {
        runOnce(0);
        machine.put64(VmcbLayout.CR2, 0x1000);
        machine.put32(VmcbLayout.INTERCEPT_MISC2, 0);
        enter(~INTERCEPTS);
        assertThat(machine.exitCode()).isEqualTo(-1);
        machine.put32(VmcbLayout.INTERCEPT_MISC2, 1);
        enter(ALL_CLEAN);
        assertThat(cpu.cr2).isEqualTo(0x1000);
    }

    @Test
    void anotherPhysicalAddressIsAnotherVmcb() {
        long moved = 0x80000;
        runOnce(0);
        byte[] page = new byte[VmcbLayout.SIZE];
        machine.put64(VmcbLayout.CR2, 0x1000);
        machine.put32(VmcbLayout.CLEAN_BITS, 0xffff_ffffL);
        machine.memory.read(SvmMachine.VMCB, page, 0, page.length);
        machine.memory.write(moved, page, 0, page.length);
        cpu.rip = SvmMachine.HOST_CODE;
        cpu.r[Cpu.RAX] = moved;
        machine.vmrun();
        assertThat(cpu.cr2).isEqualTo(0x1000);
    }

    @Test
    void anotherProcessorHasNotCachedIt() {
        VmcbCache first = new VmcbCache(machine.memory);
        VmcbCache second = new VmcbCache(machine.memory);
        Vmcb vmcb = new Vmcb(machine.memory);
        vmcb.at(SvmMachine.VMCB);
        first.merge(vmcb);
        machine.put64(VmcbLayout.CR2, 0x1000);
        machine.put32(VmcbLayout.CLEAN_BITS, 0xffff_ffffL);
        assertThat(second.merge(vmcb).get64(VmcbLayout.CR2)).isEqualTo(0x1000);
        assertThat(first.merge(vmcb).get64(VmcbLayout.CR2)).isZero();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void theLeastRecentlyUsedGoesFirst(boolean afterLoad) {
        VmcbCache cache = new VmcbCache(machine.memory);
        Vmcb vmcb = new Vmcb(machine.memory);
        long base = 0x80000;
        for (int i = 0; i < VmcbCache.ENTRIES; i++) {
            vmcb.at(base + 0x1000L * i);
            cache.merge(vmcb);
        }
        vmcb.at(base);
        cache.merge(vmcb);
        if (afterLoad) {
            BinaryStateWriter saved = new BinaryStateWriter();
            cache.save(saved);
            cache = new VmcbCache(machine.memory);
            cache.load(new BinaryStateReader(saved.toByteArray()));
        }
        vmcb.at(base + 0x1000L * VmcbCache.ENTRIES);
        cache.merge(vmcb); // takes the place of the second
        for (int i = 0; i < 3; i++) {
            machine.memory.write64(base + 0x1000L * i + VmcbLayout.CR2, 5);
            machine.memory.write(base + 0x1000L * i + VmcbLayout.CLEAN_BITS, 4, 0xffff_ffffL);
        }
        vmcb.at(base);
        assertThat(cache.merge(vmcb).get64(VmcbLayout.CR2)).isZero();
        vmcb.at(base + 0x2000);
        assertThat(cache.merge(vmcb).get64(VmcbLayout.CR2)).isZero();
        vmcb.at(base + 0x1000);
        assertThat(cache.merge(vmcb).get64(VmcbLayout.CR2)).isEqualTo(5);
    }

    @Test
    void theCacheIsSavedWithTheProcessor() {
        runOnce(0);
        BinaryStateWriter saved = new BinaryStateWriter();
        machine.svm.save(saved);
        try (SvmMachine other = new SvmMachine()) {
            other.svm.cacheVmcbs();
            other.svm.load(new BinaryStateReader(saved.toByteArray()));
            other.put64(VmcbLayout.CR2, 0x1000);
            other.put32(VmcbLayout.CLEAN_BITS, 0xffff_ffffL);
            other.vmrun();
            assertThat(other.cpu.cr2).isZero();
        }
    }

    @Test
    void resetForgetsAll() {
        runOnce(0);
        machine.svm.reset();
        machine.put64(VmcbLayout.CR2, 0x1000);
        enter(ALL_CLEAN);
        assertThat(cpu.cr2).isEqualTo(0x1000);
    }

    @Test
    void withoutTheCacheOrTheFeatureEverythingIsLoaded() {
        try (SvmMachine plain = new SvmMachine()) {
            assertEverythingLoaded(plain);
        }
        try (SvmMachine without = new SvmMachine()) {
            without.cpu.model = CpuModel.parse("epyc-milan,-vmcb-clean");
            without.svm.cacheVmcbs();
            assertEverythingLoaded(without);
        }
    }

    private static void assertEverythingLoaded(SvmMachine other) {
        other.vmrun();
        other.svm.exit(ExitCode.INTR, 0, 0);
        other.put64(VmcbLayout.CR2, 0x1000);
        other.put32(VmcbLayout.CLEAN_BITS, 0xffff_ffffL);
        other.cpu.rip = SvmMachine.HOST_CODE;
        other.vmrun();
        assertThat(other.cpu.cr2).isEqualTo(0x1000);
    }
}
