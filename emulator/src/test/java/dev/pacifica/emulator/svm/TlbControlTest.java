package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.cpu.Reset;
import dev.pacifica.emulator.observe.MachineObserver;
import dev.pacifica.emulator.observe.TlbFlushCause;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

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
    private static final long PAE_TABLES = 0x3f000;
    private static final long OTHER_TSS = 0x63000;

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

    /** Runs guest code (HLT ends it) with the ASID, nothing flushed. */
    private void guestRuns(int asid, String hex) {
        machine.code(SvmMachine.GUEST_CODE, hex);
        machine.intercept(ExitCode.HLT);
        machine.put32(VmcbLayout.ASID, asid);
        machine.put8(VmcbLayout.TLB_CONTROL, 0);
        machine.put64(VmcbLayout.RIP, SvmMachine.GUEST_CODE);
        assertThat(machine.vmrunAndRun(20)).isTrue();
        cpu.rip = SvmMachine.HOST_CODE;
    }

    private static final String RELOAD_CR3 = "0f20d8 0f22d8 f4";

    /** CR4.PGE off and on again. */
    private static final String TOGGLE_PGE = "0f20e0 3480 0f22e0 3480 0f22e0 f4";

    private static final String INVLPG_PAGE = "0f013c25 00000800 f4";

    @Test
    void aGuestsMovCr3FlushesItsAsidsNonGlobalEntries() {
        guestSees(1, 0);
        guestSees(2, 0);
        map(NEW);
        guestRuns(1, RELOAD_CR3);
        assertThat(guestSees(1, 0)).containsExactly(2, 1);
        assertThat(guestSees(2, 0)).as("another ASID keeps its own").containsExactly(1, 1);
    }

    @Test
    void aGuestsMovCr4FlushesItsAsidsGlobalEntriesToo() {
        guestSees(1, 0);
        guestSees(2, 0);
        map(NEW);
        guestRuns(1, TOGGLE_PGE);
        assertThat(guestSees(1, 0)).containsExactly(2, 2);
        assertThat(guestSees(2, 0)).containsExactly(1, 1);
    }

    @Test
    void aGuestsInvlpgDropsOnePageOfItsAsid() {
        guestSees(1, 0);
        guestSees(2, 0);
        map(NEW);
        guestRuns(1, INVLPG_PAGE);
        assertThat(guestSees(1, 0)).containsExactly(2, 1);
        assertThat(guestSees(2, 0)).containsExactly(1, 1);
    }

    @Test
    void anInterceptedMovCr3OrInvlpgFlushesNothing() {
        guestSees(1, 0);
        map(NEW);
        machine.intercept(0x13);
        guestRuns(1, RELOAD_CR3);
        assertThat(machine.exitCode()).isEqualTo(0x13);
        machine.intercept(ExitCode.INVLPG);
        guestRuns(1, INVLPG_PAGE);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.INVLPG);
        assertThat(guestSees(1, 0)).containsExactly(1, 1);
    }

    @Test
    void theHostsPagingControlsLeaveTheGuestsAlone() {
        guestSees(1, 0);
        map(NEW);
        machine.code(SvmMachine.HOST_CODE, "0f20e0 3480 0f22e0 3480 0f22e0 0f20d8 0f22d8 ebfe");
        machine.step(8);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HOST_CODE + 19);
        machine.code(SvmMachine.HOST_CODE, "0f01d8 ebfe");
        cpu.rip = SvmMachine.HOST_CODE;
        cpu.r[Cpu.RAX] = SvmMachine.VMCB;
        assertThat(guestSees(1, 0)).containsExactly(1, 1);
    }

    @Test
    void mtrrsIorrsAndTheAddressMapFlushAllAsids() {
        int[] msrs = {0x200, 0x201, 0x250, 0x268, 0x2ff, 0xc001_0016, 0xc001_0019};
        int[] more = {0xc001_0010, 0xc001_001a, 0xc001_001d};
        for (int msr : IntStream.concat(Arrays.stream(msrs), Arrays.stream(more)).toArray()) {
            cpu.mmu.flushAll(TlbFlushCause.RESET);
            map(OLD);
            guestSees(1, 0);
            guestSees(2, 0);
            map(NEW);
            cpu.msrs.write(msr, cpu.msrs.read(msr));
            assertThat(guestSees(1, 0)).as("MSR %x", msr).containsExactly(2, 2);
            assertThat(guestSees(2, 0)).as("MSR %x", msr).containsExactly(2, 2);
        }
    }

    @Test
    void initFlushesAllAsids() {
        guestSees(1, 0);
        map(NEW);
        Reset.init(cpu);
        cpu.mmu.enterGuest(1, 0, 0, 0, 0);
        cpu.cr3 = SvmMachine.GUEST_PML4;
        cpu.cr4 = Cpu.CR4_PAE;
        cpu.cr0 |= Cpu.CR0_PE | Cpu.CR0_PG;
        cpu.efer = Cpu.EFER_LME | Cpu.EFER_LMA;
        cpu.updateMode();
        assertThat(cpu.mmu.read64(PAGE)).isEqualTo(2);
    }

    private void smi() {
        cpu.smiPending = true;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
    }

    @Test
    void smiAndRsmInTheHostFlushAllAsids() {
        guestSees(1, 0);
        guestSees(2, 0);
        map(NEW);
        machine.code(0x38000, "0faa"); // rsm
        machine.code(SvmMachine.HOST_CODE, "90 ebfe");
        cpu.gif = true;
        smi();
        machine.step(1);
        assertThat(cpu.smm.active()).isTrue();
        machine.step(1);
        assertThat(cpu.smm.active()).isFalse();
        machine.code(SvmMachine.HOST_CODE, "0f01d8 ebfe");
        assertThat(guestSees(1, 0)).containsExactly(2, 2);
        assertThat(guestSees(2, 0)).containsExactly(2, 2);
    }

    @Test
    void smiAndRsmInAGuestFlushAllAsids() {
        guestSees(1, 0);
        guestSees(2, 0);
        map(NEW);
        machine.code(0x38000, "0faa");
        machine.vmrun();
        assertThat(cpu.mmu.read64(GLOBAL_PAGE)).isEqualTo(1);
        smi();
        machine.step(2);
        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.mmu.read64(GLOBAL_PAGE)).as("the interrupted one").isEqualTo(2);
        machine.svm.exit(ExitCode.HLT, 0, 0);
        cpu.rip = SvmMachine.HOST_CODE;
        assertThat(guestSees(1, 0)).as("another").containsExactly(2, 2);
    }

    /** What an observer is told from now on. */
    private List<String> told() {
        List<String> told = new ArrayList<>();
        cpu.observer =
                new MachineObserver() {
                    @Override
                    public void tlbFlushed(
                            int vcpu, int asid, boolean globals, TlbFlushCause cause) {
                        told.add(asid + " " + cause + (globals ? "" : " but globals"));
                    }
                };
        return told;
    }

    @Test
    void anObserverIsToldOfFlushesThatMatterToHypervisors() {
        List<String> told = told();
        guestSees(1, 1);
        guestSees(2, 3);
        guestSees(2, 7);
        guestSees(2, 0);
        assertThat(told).containsExactly("-1 VMRUN", "2 VMRUN", "2 VMRUN but globals");
        told.clear();
        cpu.msrs.write(0x2ff, 0xc06);
        cpu.msrs.write(0xc001_0112, 0);
        cpu.msrs.write(0xc001_0116, 2); // SMM_CTL: enter
        cpu.msrs.write(0xc001_0116, 8); // exit
        Reset.init(cpu);
        assertThat(told).containsExactly("-1 MSR", "-1 MSR", "-1 SMM_CTL", "-1 SMM_CTL", "-1 INIT");
        told.clear();
        cpu.mmu.flush(true);
        cpu.mmu.invalidatePage(PAGE);
        assertThat(told).as("a program's own address space").isEmpty();
    }

    @Test
    void smiAndRsmEachFlushAllAsids() {
        List<String> flushed = told();
        machine.code(0x38000, "90 0faa");
        smi();
        machine.step(1);
        assertThat(flushed).containsExactly("-1 SMI");
        machine.step(1);
        assertThat(flushed).containsExactly("-1 SMI");
        machine.step(1);
        assertThat(cpu.smm.active()).isFalse();
        assertThat(flushed).containsExactly("-1 SMI", "-1 RSM");
    }

    /** What changes paging in the host or a guest concerns that ASID alone. */
    @ParameterizedTest
    @CsvSource({
        "CR0.PG, 0f20c0 0fbaf01f 0f22c0 0fbae81f 0f22c0",
        "CR0.WP, 0f20c0 0fbaf010 0f22c0 0fbae810 0f22c0",
        "CR4.PSE, 0f20e0 3410 0f22e0 3410 0f22e0",
        "CR4.PGE, 0f20e0 3480 0f22e0 3480 0f22e0",
        "EFER.NXE, b9800000c0 0f32 80f408 0f30 80f408 0f30",
    })
    void aGuestsPagingControls(String what, String code) {
        boolean paging = what.equals("CR0.PG"); // which 64-bit code cannot clear
        if (paging) {
            machine.put64(VmcbLayout.EFER, Cpu.EFER_SVME);
            machine.put64(VmcbLayout.CR3, PAE_TABLES);
            machine.memory.write64(PAE_TABLES, SvmMachine.GUEST_PML4 + 0x2000 | SvmMachine.P);
            machine.segment(VmcbLayout.CS, 0x10, SvmMachine.CODE32, 0xffff_ffffL, 0);
        }
        guestSees(1, 0);
        guestSees(2, 0);
        map(NEW);
        guestRuns(1, code + "f4");
        assertThat(guestSees(1, 0)).as(what).containsExactly(2, 2);
        assertThat(guestSees(2, 0)).as("another ASID keeps its own").containsExactly(1, 1);
    }

    @Test
    void aTaskSwitchThatLoadsCr3FlushesItsAsidsNonGlobalEntries() {
        cpu.r[Cpu.RAX] = SvmMachine.VMCB;
        machine.put64(VmcbLayout.EFER, Cpu.EFER_SVME);
        machine.put64(VmcbLayout.CR3, PAE_TABLES);
        machine.memory.write64(PAE_TABLES, SvmMachine.GUEST_PML4 + 0x2000 | SvmMachine.P);
        machine.segment(VmcbLayout.CS, 0x10, SvmMachine.CODE32, 0xffff_ffffL, 0);
        guestSees(1, 0);
        guestSees(2, 0);
        map(NEW);
        // GDT 08h: flat 32-bit code; 20h: the busy TSS; 38h: the one that the jump goes to
        machine.memory.write64(SvmMachine.GDT + 0x8, 0x00cf_9b00_0000_ffffL);
        machine.memory.write64(SvmMachine.GDT + 0x20, tss(SvmMachine.TSS, 0x8b));
        machine.memory.write64(SvmMachine.GDT + 0x38, tss(OTHER_TSS, 0x89));
        machine.memory.write64(PAE_TABLES + 0x20, SvmMachine.GUEST_PML4 + 0x2000 | SvmMachine.P);
        machine.memory.write(OTHER_TSS + 0x1c, 4, PAE_TABLES + 0x20);
        machine.memory.write(OTHER_TSS + 0x20, 4, SvmMachine.HANDLERS);
        machine.memory.write(OTHER_TSS + 0x24, 4, 2);
        machine.memory.write(OTHER_TSS + 0x4c, 2, 0x08);
        machine.memory.write(OTHER_TSS + 0x50, 2, 0x18);
        machine.memory.write(OTHER_TSS + 0x66, 2, 0x68);
        cpu.segSelector[Cpu.TR] = 0x20;
        cpu.segBase[Cpu.TR] = SvmMachine.TSS;
        cpu.segLimit[Cpu.TR] = 0x67;
        cpu.segAttr[Cpu.TR] = 0x8b;
        guestRuns(1, "ea 00000000 3800"); // jmp 38h:0; the new task halts
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        machine.segment(VmcbLayout.CS, 0x10, SvmMachine.CODE32, 0xffff_ffffL, 0);
        assertThat(guestSees(1, 0)).containsExactly(2, 1);
        assertThat(guestSees(2, 0)).containsExactly(1, 1);
    }

    private static long tss(long base, int type) {
        return 0x67 | (base & 0xff_ffff) << 16 | (long) type << 40 | (base >>> 24) << 56;
    }

    @Test
    void theSmmRangesFlushAllAsids() {
        for (int msr : new int[] {0xc001_0112, 0xc001_0113}) {
            cpu.mmu.flushAll(TlbFlushCause.RESET);
            map(OLD);
            guestSees(1, 0);
            map(NEW);
            cpu.msrs.write(msr, cpu.msrs.read(msr));
            assertThat(guestSees(1, 0)).as("MSR %x", msr).containsExactly(2, 2);
        }
    }

    @Test
    void reservedEncodingsFlushTheGuestsAsid() {
        for (int control : new int[] {2, 4, 5, 6, 8, 0xff}) {
            map(OLD);
            guestSees(1, 1);
            guestSees(2, 0);
            map(NEW);
            assertThat(guestSees(1, control)).as("encoding %d", control).containsExactly(2, 2);
            assertThat(guestSees(2, 0)).containsExactly(1, 1);
        }
    }

    @Test
    void withoutFlushByAsidItsEncodingsAreReserved() {
        cpu.model = CpuModel.parse("epyc-milan,-flushbyasid");
        for (int control : new int[] {3, 7}) {
            map(OLD);
            guestSees(1, 1);
            guestSees(2, 0);
            map(NEW);
            assertThat(guestSees(1, control)).as("encoding %d", control).containsExactly(2, 2);
            assertThat(guestSees(2, 0)).containsExactly(1, 1);
        }
    }

    @Test
    void invlpgaOfAsidZeroIsTheHosts() {
        machine.memory.write64(SvmMachine.HOST_PML4 + 0x2000, SvmMachine.GUEST_PT | ALL);
        cpu.mmu.flushAll(TlbFlushCause.RESET);
        assertThat(cpu.mmu.read64(PAGE)).isEqualTo(1);
        guestSees(1, 0);
        map(NEW);
        assertThat(cpu.mmu.read64(PAGE)).isEqualTo(1);
        cpu.r[Cpu.RAX] = PAGE;
        cpu.r[Cpu.RCX] = 0;
        assertThat(machine.execute("0f01df")).isNull();
        assertThat(cpu.mmu.read64(PAGE)).isEqualTo(2);
        cpu.r[Cpu.RAX] = SvmMachine.VMCB;
        cpu.rip = SvmMachine.HOST_CODE;
        assertThat(guestSees(1, 0)).containsExactly(1, 1);
    }

    @Test
    void invlpgaTakesTheAddressSizeAndTheLowHalfOfRcx() {
        guestSees(1, 0);
        map(NEW);
        cpu.r[Cpu.RAX] = 0x7777_0000_0000L | PAGE;
        cpu.r[Cpu.RCX] = 0x5555_0000_0000L | 1;
        assertThat(machine.execute("670f01df")).isNull();
        cpu.r[Cpu.RAX] = SvmMachine.VMCB;
        cpu.rip = SvmMachine.HOST_CODE;
        assertThat(guestSees(1, 0)).containsExactly(2, 1);
    }

    @Test
    void smapAndSmepInTheVmcbTakeEffectWithoutAFlush() {
        guestSees(1, 0);
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | Cpu.CR4_PGE | Cpu.CR4_SMAP | Cpu.CR4_SMEP);
        machine.vmrun();
        assertThat(catchThrowableOfType(GuestException.class, () -> cpu.mmu.read8(PAGE)).errorCode)
                .as("§15.16 does not ask for a flush when CR4.SMAP changes")
                .isEqualTo(1);
        machine.svm.exit(ExitCode.HLT, 0, 0);
        cpu.rip = SvmMachine.HOST_CODE;
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | Cpu.CR4_PGE);
        assertThat(guestSees(1, 0)).containsExactly(1, 1);
    }

    @Test
    void invlpgOfALargeGuestPageDropsAllItsParts() {
        machine.nestedPaging();
        machine.memory.write64(SvmMachine.GUEST_PML4 + 0x2000, ALL | SvmMachine.PS);
        machine.nestedPage(PAGE, OLD | ALL);
        machine.nestedPage(GLOBAL_PAGE, OLD | ALL);
        assertThat(guestSees(1, 0)).containsExactly(1, 1);
        machine.nestedPage(PAGE, NEW | ALL);
        machine.nestedPage(GLOBAL_PAGE, NEW | ALL);
        guestRuns(1, "0f013c25 00001000 f4"); // INVLPG of another address of the same 2 MiB
        assertThat(guestSees(1, 0)).containsExactly(2, 2);
    }

    @Test
    void smallGuestPagesInALargeNestedPageAreDroppedOneByOne() {
        machine.nestedPaging();
        machine.memory.write64(SvmMachine.NESTED_PML4 + 0x2000, ALL | SvmMachine.PS);
        assertThat(guestSees(1, 0)).containsExactly(1, 1);
        map(NEW);
        guestRuns(1, INVLPG_PAGE);
        assertThat(guestSees(1, 0))
                .as("the TLB entry is as large as the smaller page (§15.25.9)")
                .containsExactly(2, 1);
    }

    @Test
    void neighbouringLargePagesAreApart() {
        long directory = SvmMachine.GUEST_PML4 + 0x2000;
        machine.memory.write64(directory + 8, ALL | SvmMachine.PS);
        machine.memory.write64(directory + 16, ALL | SvmMachine.PS);
        machine.memory.write64(directory + 24, ALL | SvmMachine.PS);
        machine.vmrun();
        assertThat(cpu.mmu.read64(0x40_0000 + OLD)).isEqualTo(1);
        assertThat(cpu.mmu.read64(0x60_0000 + OLD)).isEqualTo(1);
        machine.memory.write64(directory + 16, 0x20_0000 | ALL | SvmMachine.PS);
        machine.memory.write64(directory + 24, 0x20_0000 | ALL | SvmMachine.PS);
        cpu.mmu.invalidatePage(0x40_0000);
        assertThat(cpu.mmu.read64(0x40_0000 + OLD)).isZero();
        assertThat(cpu.mmu.read64(0x60_0000 + OLD)).as("another page").isEqualTo(1);
    }

    @Test
    void aFaultDropsTheStaleTranslation() {
        machine.guestPage(PAGE, OLD | SvmMachine.P | SvmMachine.U);
        machine.vmrun();
        assertThat(cpu.mmu.read64(PAGE)).isEqualTo(1);
        machine.guestPage(PAGE, NEW | SvmMachine.P | SvmMachine.U);
        assertThat(cpu.mmu.read64(PAGE)).as("stale").isEqualTo(1);
        assertThatThrownBy(() -> cpu.mmu.write8(PAGE, 1)).isInstanceOf(GuestException.class);
        assertThat(cpu.mmu.read64(PAGE)).as("§5.5.3: the fault dropped it").isEqualTo(2);
    }

    @Test
    void anUpgradedEntryNeedsNoInvalidation() {
        machine.guestPage(PAGE, OLD | SvmMachine.P | SvmMachine.U);
        machine.vmrun();
        assertThat(cpu.mmu.read64(PAGE)).isEqualTo(1);
        machine.guestPage(PAGE, OLD | ALL);
        cpu.mmu.write64(PAGE, 7);
        assertThat(machine.memory.read64(OLD)).isEqualTo(7);
    }

    @Test
    void anotherPcidInTheVmcbDoesNotSeeTheFirstOnesTranslations() {
        cpu.model = CpuModel.parse("epyc-milan,+pcid");
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | Cpu.CR4_PGE | Cpu.CR4_PCIDE);
        machine.put64(VmcbLayout.CR3, SvmMachine.GUEST_PML4 | 5);
        guestSees(1, 0);
        map(NEW);
        assertThat(guestSees(1, 0)).as("the same PCID").containsExactly(1, 1);
        machine.put64(VmcbLayout.CR3, SvmMachine.GUEST_PML4 | 6);
        assertThat(guestSees(1, 0)[0]).as("another PCID (§5.5.1)").isEqualTo(2);
    }

    @Test
    void aGuestThatSwitchesPcidsSeesEachOnesTables() {
        cpu.model = CpuModel.parse("epyc-milan,+pcid");
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | Cpu.CR4_PGE | Cpu.CR4_PCIDE);
        guestSees(1, 0);
        map(NEW);
        // mov rax, cr3; bts rax, 63; or al, 7; mov cr3, rax; hlt: PCID 7, nothing to be flushed
        guestRuns(1, "0f20d8 480fbae83f 0c07 0f22d8 f4");
        assertThat(machine.get64(VmcbLayout.CR3))
                .as("bit 63 is not stored (§5.5.1)")
                .isEqualTo(SvmMachine.GUEST_PML4 | 7);
        assertThat(guestSees(1, 0)[0]).isEqualTo(2);
    }
}
