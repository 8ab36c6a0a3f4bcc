package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.check.CheckKind;
import dev.pacifica.emulator.check.Finding;
import dev.pacifica.emulator.check.HypervisorCheck;
import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.observe.TlbFlushCause;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Each mistake that the sanitizer knows, planted; and correct hypervisors, which get none. */
class HypervisorCheckTest {
    private static final long OTHER_VMCB = 0x70000;
    private static final long V_IRQ = 1 << 8;
    private static final long INTERRUPT = EventInjection.VALID | 0x31;
    private static final long NMI = EventInjection.VALID | 2 << 8 | 2;
    private static final long IF_SET = Cpu.IF | 2;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;
    private HypervisorCheck check = new HypervisorCheck(List.of(cpu));

    @BeforeEach
    void carefulHypervisor() {
        machine.interceptSafely();
        machine.intercept(ExitCode.INTR);
        machine.code(SvmMachine.GUEST_CODE, "f4");
        cpu.observer = check;
    }

    @AfterEach
    void release() {
        machine.close();
    }

    private void enter(long vmcb) {
        cpu.rip = SvmMachine.HOST_CODE;
        cpu.r[Cpu.RAX] = vmcb;
        machine.vmrun();
    }

    private void leave(int code) {
        assertThat(cpu.guestMode).isTrue();
        machine.svm.exit(code, 0, 0);
    }

    private void runOnce() {
        enter(SvmMachine.VMCB);
        leave(ExitCode.INTR);
    }

    private List<String> found() {
        return check.findings().stream()
                .map(finding -> finding.kind.label() + ": " + finding.subject)
                .toList();
    }

    private Finding only() {
        assertThat(found()).hasSize(1);
        return check.findings().iterator().next();
    }

    private void copyVmcb(long to) {
        byte[] page = new byte[4096];
        machine.memory.read(SvmMachine.VMCB, page, 0, 4096);
        machine.memory.write(to, page, 0, 4096);
    }

    @Test
    void aCorrectHypervisorGetsNothingReported() {
        machine.nestedPaging();
        machine.put64(VmcbLayout.RFLAGS, IF_SET);
        runOnce();
        for (int i = 0; i < 3; i++) {
            machine.put32(VmcbLayout.CLEAN_BITS, 0xfff & ~(1 << 3));
            machine.put64(VmcbLayout.V_INTR, V_IRQ | 1 << 16 | 1L << 20 | 0x31L << 32);
            runOnce();
            machine.put64(VmcbLayout.EVENTINJ, INTERRUPT);
            enter(SvmMachine.VMCB);
            assertThat(machine.run(10)).isTrue();
            machine.put64(VmcbLayout.V_INTR, 0);
            machine.put64(VmcbLayout.RFLAGS, IF_SET);
            machine.put64(VmcbLayout.RIP, SvmMachine.GUEST_CODE);
            machine.put64(VmcbLayout.RSP, SvmMachine.GUEST_STACK);
        }
        assertThat(found()).isEmpty();
        assertThat(check.mistakes()).isZero();
        assertThat(check.entries()).isEqualTo(7);
        assertThat(check.vmcbs()).isEqualTo(1);
    }

    @Test
    void aRefusedVmcbIsExplainedByItsRule() {
        machine.put64(VmcbLayout.CR0, 0x1_0000_0000L | machine.get64(VmcbLayout.CR0));
        enter(SvmMachine.VMCB);
        enter(SvmMachine.VMCB);
        Finding finding = only();
        assertThat(finding.kind).isEqualTo(CheckKind.VMEXIT_INVALID);
        assertThat(finding.subject).isEqualTo("§15.5.1: CR0[63:32] are not zero");
        assertThat(finding.detail).isEqualTo("CR0 0x180010031");
        assertThat(finding.count()).isEqualTo(2);
        assertThat(finding.vcpu).isZero();
        assertThat(finding.instructions).isZero();
        assertThat(finding.rip).isEqualTo(SvmMachine.HOST_CODE);
        assertThat(finding.inGuest).isFalse();
        assertThat(finding.vmcb).isEqualTo(SvmMachine.VMCB);
    }

    @ParameterizedTest
    @CsvSource({
        "0, 0x00c, INTERCEPT_MISC1",
        "0, 0x050, TSC_OFFSET",
        "1, 0x048, MSRPM_BASE_PA",
        "2, 0x058, ASID",
        "3, 0x060, V_INTR",
        "4, 0x0b0, N_CR3",
        "4, 0x668, G_PAT",
        "5, 0x550, CR3",
        "6, 0x560, DR7",
        "7, 0x488, IDTR.BASE",
        "8, 0x418, CS.BASE",
        "9, 0x640, CR2",
        "10, 0x670, DBGCTL",
        "11, 0x0e0, AVIC_BACKING_PAGE",
    })
    void aFieldChangedUnderItsCleanBit(int bit, String offset, String field) {
        int at = Integer.decode(offset);
        machine.put8(VmcbLayout.TLB_CONTROL, 1);
        runOnce();
        machine.put8(at, (int) machine.get8(at) ^ 2);
        machine.put32(VmcbLayout.CLEAN_BITS, 0xfff & ~(1 << bit));
        runOnce();
        assertThat(found()).isEmpty();
        machine.put8(at, (int) machine.get8(at) ^ 2);
        machine.put32(VmcbLayout.CLEAN_BITS, 1L << bit);
        runOnce();
        assertThat(found()).containsExactly("clean-bit: " + field);
    }

    /** The guest runs with the old value then, and that is what the other checks are shown. */
    @Test
    void aFieldChangedUnderItsCleanBitWhereStateIsCached() {
        cpu.svm.cacheVmcbs();
        runOnce();
        machine.put64(VmcbLayout.CS + VmcbLayout.BASE, 0x1000);
        machine.put32(VmcbLayout.CLEAN_BITS, 1 << 8);
        runOnce();
        assertThat(found()).containsExactly("clean-bit: CS.BASE");
    }

    @Test
    void cleanBitsOfAVmcbThatNeverRan() {
        machine.put32(VmcbLayout.CLEAN_BITS, 1);
        runOnce();
        assertThat(found()).containsExactly("clean-bits-first-run: CLEAN_BITS");
    }

    @ParameterizedTest
    @CsvSource({
        "0x014, 0x80", "0x020, 1", "0x05d, 4", "0x060, 0x10", "0x061, 4", "0x065, 1", "0x068, 4",
        "0x091, 1", "0x0b8, 0x10", "0x0c4, 1", "0x0e8, 1", "0x170, 1", "0x3df, 0x80", "0x0fe, 0x10",
        "0x4a0, 1", "0x4ca, 0x80", "0x4cc, 1", "0x4df, 1", "0x5bf, 0x80", "0x648, 1", "0x6df, 1",
        "0x6e8, 1", "0xa6f, 1", "0xfff, 0x80"
    })
    void aReservedBit(String offset, String bits) {
        int at = Integer.decode(offset);
        machine.put8(at, (int) machine.get8(at) | Integer.decode(bits));
        runOnce();
        String kind = at < 0x400 ? "reserved-bit" : "reserved-state"; // the latter not demanded
        assertThat(found()).containsExactly("%s: offset 0x%03x".formatted(kind, at & ~7));
        assertThat(check.mistakes()).isEqualTo(at < 0x400 ? 1 : 0);
    }

    @Test
    void whatTheHostMayUseIsNotReserved() {
        for (int at = 0x3e0; at < 0x400; at += 8) {
            machine.put64(at, -1);
        }
        runOnce();
        assertThat(found()).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 4, 5, 6, 8, 0xff})
    void aReservedTlbControl(int control) {
        machine.put8(VmcbLayout.TLB_CONTROL, control);
        runOnce();
        assertThat(found()).containsExactly("reserved-tlb-control: TLB_CONTROL");
    }

    @Test
    void aFeatureThatIsNotOffered() {
        machine.cpu.model = CpuModel.parse("epyc-milan,-avic");
        machine.put64(VmcbLayout.V_INTR, 1 << 25 | 1 << 9);
        machine.put8(VmcbLayout.TLB_CONTROL, 1);
        runOnce();
        assertThat(found()).isEmpty();
        cpu.model = CpuModel.parse("epyc-milan,-vgif");
        runOnce();
        assertThat(found()).containsExactly("feature-not-offered: V_INTR.V_GIF_ENABLE");
    }

    @Test
    void anInterruptForAGuestThatMasksThem() {
        machine.put64(VmcbLayout.EVENTINJ, INTERRUPT);
        runOnce();
        assertThat(found()).containsExactly("injected-interrupt-masked: RFLAGS.IF is clear");
    }

    @Test
    void anInterruptForAGuestInAShadow() {
        machine.put64(VmcbLayout.RFLAGS, IF_SET);
        machine.put64(VmcbLayout.INTERRUPT_SHADOW, 1);
        machine.put64(VmcbLayout.EVENTINJ, INTERRUPT);
        runOnce();
        assertThat(found())
                .containsExactly("injected-interrupt-masked: the guest is in an interrupt shadow");
    }

    @ParameterizedTest
    @CsvSource({
        "0x06001200, 2, injected-nmi-masked: V_NMI_MASK is set",
        "0x02000000, 2, injected-nmi-masked: V_GIF is clear",
        "0x02000000, 0, injected-interrupt-masked: V_GIF is clear",
        "0x06000200, 2,",
        "0x00001000, 2,",
        "0x02000200, 0,",
    })
    void anEventThatVirtualMasksHoldBack(String control, int type, String expected) {
        machine.intercept(ExitCode.NMI);
        machine.put64(VmcbLayout.RFLAGS, IF_SET);
        machine.put64(VmcbLayout.V_INTR, Long.decode(control));
        machine.put64(VmcbLayout.EVENTINJ, type == 2 ? NMI : INTERRUPT);
        runOnce();
        assertThat(found()).isEqualTo(expected == null ? List.of() : List.of(expected));
    }

    @Test
    void anExceptionWithoutItsErrorCode() {
        machine.put64(VmcbLayout.EVENTINJ, EventInjection.VALID | 3 << 8 | 13);
        runOnce();
        assertThat(found()).containsExactly("injected-error-code: exception 13 without error code");
    }

    @Test
    void anErrorCodeTooMany() {
        machine.put64(
                VmcbLayout.EVENTINJ,
                EventInjection.VALID | EventInjection.ERROR_CODE_VALID | 3 << 8 | 6);
        runOnce();
        assertThat(found()).containsExactly("injected-error-code: exception 6 with error code");
    }

    /** A nested page fault on the guest's stack interrupts the delivery of an interrupt or NMI. */
    private void interruptDelivery(long event) {
        machine.nestedPaging();
        machine.put64(VmcbLayout.RFLAGS, IF_SET);
        machine.nestedPage(SvmMachine.GUEST_STACK - 8, 0);
        machine.put64(VmcbLayout.EVENTINJ, event);
        enter(SvmMachine.VMCB);
        assertThat(cpu.guestMode).isFalse();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.NPF);
        assertThat(machine.get64(VmcbLayout.EXITINTINFO)).isEqualTo(event);
        long page = SvmMachine.GUEST_STACK - 8 & ~0xfffL;
        machine.nestedPage(page, page | 7);
    }

    @ParameterizedTest
    @ValueSource(longs = {INTERRUPT, NMI})
    void anInterruptedEventForgotten(long event) {
        interruptDelivery(event);
        runOnce();
        assertThat(only().kind).isEqualTo(CheckKind.EVENT_LOST);
    }

    @ParameterizedTest
    @ValueSource(longs = {INTERRUPT, NMI})
    void anInterruptedEventInjectedAgain(long event) {
        interruptDelivery(event);
        machine.put64(VmcbLayout.EVENTINJ, event);
        runOnce();
        assertThat(found()).isEmpty();
    }

    @Test
    void anInterruptShadowForgotten() {
        machine.put64(VmcbLayout.INTERRUPT_SHADOW, 1);
        runOnce();
        assertThat(machine.get64(VmcbLayout.INTERRUPT_SHADOW)).isEqualTo(1);
        machine.put64(VmcbLayout.INTERRUPT_SHADOW, 0);
        runOnce();
        assertThat(only().kind).isEqualTo(CheckKind.SHADOW_LOST);
    }

    @Test
    void aShadowEndsWithTheEmulatedInstruction() {
        machine.put64(VmcbLayout.INTERRUPT_SHADOW, 1);
        runOnce();
        machine.put64(VmcbLayout.INTERRUPT_SHADOW, 0);
        machine.put64(VmcbLayout.RIP, SvmMachine.GUEST_CODE + 1);
        runOnce();
        assertThat(found()).isEmpty();
    }

    @Test
    void aVirtualInterruptWithdrawnIsWorthAnAdvice() {
        machine.put64(VmcbLayout.V_INTR, V_IRQ | 1 << 16 | 0x31L << 32);
        runOnce();
        machine.put64(VmcbLayout.V_INTR, 0);
        runOnce();
        assertThat(only().kind).isEqualTo(CheckKind.VIRTUAL_INTERRUPT_LOST);
        assertThat(check.mistakes()).isZero();
    }

    @Test
    void anInterruptWindowMayBeClosed() {
        machine.intercept(ExitCode.VINTR);
        machine.put64(VmcbLayout.V_INTR, V_IRQ | 1 << 16);
        runOnce();
        machine.put64(VmcbLayout.V_INTR, 0);
        runOnce();
        assertThat(found()).isEmpty();
    }

    private void guestReads(long guestPhysical, long mappedTo) {
        machine.nestedPaging();
        machine.nestedPage(guestPhysical, mappedTo | 7);
        machine.code(
                SvmMachine.GUEST_CODE, "488b0425 %s f4".formatted(littleEndian(guestPhysical)));
        enter(SvmMachine.VMCB);
        assertThat(machine.run(4)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
    }

    private static String littleEndian(long value) {
        return "%08x".formatted(Integer.reverseBytes((int) value));
    }

    @ParameterizedTest
    @CsvSource({
        "0x10000, 'reaches-vmcb: VMCB, read-only'",
        "0x11000, 'reaches-host-save-area: VM_HSAVE_PA, read-only'",
        "0x14000, 'reaches-permission-map: IOPM, read-only'",
        "0x16000, 'reaches-permission-map: MSRPM, read-only'",
        "0x20000, 'reaches-nested-table: N_CR3, read-only'",
        "0x23000, 'reaches-nested-table: nested table, read-only'",
        "0x1000, 'reaches-host-table: host CR3, read-only'",
    })
    void aPageOfTheHosts(String page, String expected) {
        guestReads(0x7_3000, Long.decode(page));
        assertThat(found()).containsExactly(expected);
        assertThat(only().inGuest).isTrue();
        assertThat(only().rip).isEqualTo(SvmMachine.GUEST_CODE);
    }

    @Test
    void aPageThatWasDirtyIsWritable() {
        guestReads(0x7_3000, SvmMachine.VMCB | 0x60);
        assertThat(found()).containsExactly("reaches-vmcb: VMCB, writable");
    }

    @Test
    void aLargePageThatHoldsTheVmcb() {
        machine.memory.write64(SvmMachine.NESTED_PML4 + 0x2008, 0x87); // second 2 MiB: the first
        machine.nestedPaging();
        machine.code(SvmMachine.GUEST_CODE, "488b0425 00002700 f4"); // 270000h lies at 70000h
        enter(SvmMachine.VMCB);
        assertThat(machine.run(4)).isTrue();
        assertThat(found()).contains("reaches-vmcb: VMCB, read-only");
    }

    @Test
    void aPageOfTheGuestsOwnIsNoFinding() {
        guestReads(0x7_3000, 0x7_4000);
        assertThat(found()).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({
        "0x82, open-vmload-vmsave: VMLOAD",
        "0x83, open-vmload-vmsave: VMSAVE",
        "0x84, open-gif: STGI",
        "0x85, open-gif: CLGI",
        "0x86, open-skinit: SKINIT",
        "0x63, open-init: INIT",
        "0x7f, open-shutdown: SHUTDOWN",
    })
    void aMissingIntercept(String code, String expected) {
        int bit = Integer.decode(code);
        int offset = bit >>> 5 << 2;
        machine.put32(offset, machine.get32(offset) & ~(1L << (bit & 31)));
        runOnce();
        assertThat(found()).containsExactly(expected);
    }

    @Test
    void virtualizedInstructionsNeedNoIntercept() {
        machine.nestedPaging();
        machine.put32(VmcbLayout.INTERCEPT_MISC2, 1 | 1 << 6);
        machine.put64(VmcbLayout.LBR_VIRTUALIZATION_ENABLE, 2);
        machine.put64(VmcbLayout.V_INTR, 1 << 25 | 1 << 9);
        runOnce();
        assertThat(found()).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({
        "0x15820, 1, open-efer: EFER",
        "0x16045, 1, open-svm-msr: VM_CR",
        "0x16045, 7, open-svm-msr: VM_HSAVE_PA",
    })
    void anOpenRegister(String at, int bit, String expected) {
        machine.memory.write(Long.decode(at), 1, 0xff & ~(1 << bit));
        runOnce();
        assertThat(found()).containsExactly(expected);
    }

    @Test
    void withoutMsrProtectionAllRegistersAreOpen() {
        machine.put32(
                VmcbLayout.INTERCEPT_MISC1,
                machine.get32(VmcbLayout.INTERCEPT_MISC1) & ~(1L << (ExitCode.MSR & 31)));
        runOnce();
        assertThat(found())
                .containsExactly(
                        "open-svm-msr: VM_CR", "open-svm-msr: VM_HSAVE_PA", "open-efer: EFER");
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 7})
    void anAsidForAnotherGuestNeedsAFlush(int control) {
        copyVmcb(OTHER_VMCB);
        runOnce();
        machine.memory.write(OTHER_VMCB + VmcbLayout.TLB_CONTROL, 1, control);
        enter(OTHER_VMCB);
        leave(ExitCode.INTR);
        assertThat(found()).isEmpty();
        runOnce();
        assertThat(found()).containsExactly("asid-reused: ASID");
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void aFlushCountsWhoeverOrdersIt(boolean everything) {
        copyVmcb(OTHER_VMCB);
        runOnce();
        if (everything) {
            cpu.mmu.flushAll(TlbFlushCause.RESET);
        } else {
            cpu.mmu.flushAsid(1, true, TlbFlushCause.INVLPGB);
        }
        enter(OTHER_VMCB);
        leave(ExitCode.INTR);
        assertThat(found()).isEmpty();
    }

    @Test
    void newNestedTablesNeedAFlush() {
        machine.nestedPaging();
        runOnce();
        machine.put64(VmcbLayout.N_CR3, 0x7_0000);
        machine.put8(VmcbLayout.TLB_CONTROL, 3);
        runOnce();
        assertThat(found()).isEmpty();
        machine.put64(VmcbLayout.N_CR3, SvmMachine.NESTED_PML4);
        machine.put8(VmcbLayout.TLB_CONTROL, 0);
        runOnce();
        assertThat(found()).containsExactly("asid-nested-table-changed: N_CR3");
    }

    private static final long PAGE = 0x7_3000;

    /** The guest reads the page once, which the processor's TLB keeps, and halts. */
    private void guestReadsThePage() {
        machine.code(SvmMachine.GUEST_CODE, "488b0425 %s f4".formatted(littleEndian(PAGE)));
        machine.put64(VmcbLayout.RIP, SvmMachine.GUEST_CODE);
        enter(SvmMachine.VMCB);
        assertThat(machine.run(4)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
    }

    /** As {@link #guestReadsThePage}, to an end that may be a fault. */
    private void guestDoes(String code) {
        machine.code(SvmMachine.GUEST_CODE, code + "f4");
        machine.put64(VmcbLayout.RIP, SvmMachine.GUEST_CODE);
        enter(SvmMachine.VMCB);
        assertThat(machine.run(8)).isTrue();
    }

    private static String on(String opcode) {
        return "%s0425 %s".formatted(opcode, littleEndian(PAGE));
    }

    @ParameterizedTest
    @CsvSource({
        "0x73007, 0, page unmapped",
        "0x73007, 0x74007, page moved",
        "0x73007, 0x73003, permission taken",
    })
    void aNestedEntryTakenBackAndUsedNeedsAFlush(String then, String now, String subject) {
        machine.nestedPaging();
        machine.nestedPage(PAGE, Long.decode(then));
        guestReadsThePage();
        machine.nestedPage(PAGE, Long.decode(now));
        guestReadsThePage();
        assertThat(found()).containsExactly("stale-nested-entry: " + subject);
        assertThat(only().detail)
                .startsWith("ASID 1, page 0x73000: 0x73000 ")
                .endsWith("entered by the VMRUN at 0x%x".formatted(SvmMachine.HOST_CODE));
        assertThat(only().inGuest).isTrue();
        assertThat(only().rip).isEqualTo(SvmMachine.GUEST_CODE);
    }

    /** The processor may have it, but the guest does not get to the page any more. */
    @Test
    void aNestedEntryTakenBackIsNoMistakeWhileItIsNotUsed() {
        machine.nestedPaging();
        guestReadsThePage();
        machine.nestedPage(PAGE, 0);
        runOnce();
        guestDoes("90");
        machine.put8(VmcbLayout.TLB_CONTROL, 3);
        runOnce();
        machine.put8(VmcbLayout.TLB_CONTROL, 0);
        machine.nestedPage(PAGE, 0x7_4007);
        guestReadsThePage();
        assertThat(found()).isEmpty();
    }

    /** Reads may go on by an old translation that also permits writes. */
    @Test
    void aPermissionTakenBackIsUsedByAnAccessThatNeedsIt() {
        machine.nestedPaging();
        machine.nestedPage(PAGE, PAGE | 7);
        guestDoes(on("4889") + on("4889")); // mov [page], rax
        machine.nestedPage(PAGE, PAGE | 0x65);
        guestReadsThePage();
        assertThat(found()).isEmpty();
        guestDoes(on("4889"));
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(found()).containsExactly("stale-nested-entry: permission taken");
    }

    @Test
    void anExecutePermissionIsUsedByAFetch() {
        machine.nestedPaging();
        machine.nestedPage(PAGE, PAGE | 7);
        machine.code(PAGE, "c3");
        String call = "48c7c0 %s ffd0".formatted(littleEndian(PAGE)); // mov rax, page; call rax
        guestDoes(call);
        machine.nestedPage(PAGE, PAGE | 0x27 | 1L << 63);
        guestReadsThePage();
        assertThat(found()).isEmpty();
        guestDoes(call);
        assertThat(found()).containsExactly("stale-nested-entry: permission taken");
    }

    /** This processor dropped its translation; a larger TLB has it still. */
    @ParameterizedTest
    @CsvSource({"0, page unmapped", "0x74007, page moved", "0x73005, ''"})
    void aWalkToAPageWhoseOldTranslationMayBeCachedIsAUse(String now, String subject) {
        machine.nestedPaging();
        guestReadsThePage();
        machine.nestedPage(PAGE, Long.decode(now));
        guestDoes("0f013c25 %s".formatted(littleEndian(PAGE)) + on("488b")); // invlpg, mov
        assertThat(found())
                .isEqualTo(
                        subject.isEmpty() ? List.of() : List.of("stale-nested-entry: " + subject));
    }

    /** Whose page the processor reached cannot be told. */
    @Test
    void aPageThatIsBehindTwoAddressesIsNobodys() {
        machine.nestedPaging();
        machine.nestedPage(PAGE + 0x1000, PAGE | 7);
        guestDoes(on("488b") + "488b0425 %s".formatted(littleEndian(PAGE + 0x1000)));
        machine.nestedPage(PAGE, 0);
        guestDoes("488b0425 %s".formatted(littleEndian(PAGE + 0x1000)));
        assertThat(found()).isEmpty();
    }

    @Test
    void anotherTableInAHigherEntryNeedsAFlush() {
        machine.nestedPaging();
        guestReadsThePage();
        long table = 0x7_8000;
        for (long page = 0; page < 0x20_0000; page += 0x1000) {
            long entry = page == PAGE ? 0x7_4007 : page | 7;
            machine.memory.write64(table + (page >>> 12) * 8, entry);
        }
        machine.memory.write64(SvmMachine.NESTED_PML4 + 0x2000, table | 7);
        guestReadsThePage();
        assertThat(found()).containsExactly("stale-nested-entry: page moved");
    }

    @Test
    void aLargeNestedPageTakenBackNeedsAFlush() {
        machine.nestedPaging();
        String read = "488b0425 %s".formatted(littleEndian(0x20_0000));
        guestDoes(read);
        machine.memory.write64(SvmMachine.NESTED_PML4 + 0x2008, 0x40_0087);
        runOnce();
        assertThat(found()).isEmpty();
        guestDoes(read);
        assertThat(found()).containsExactly("stale-nested-entry: page moved");
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 7})
    void aNestedEntryMayBeTakenBackWithAFlush(int control) {
        machine.nestedPaging();
        guestReadsThePage();
        machine.nestedPage(PAGE, 0x7_4007);
        machine.put8(VmcbLayout.TLB_CONTROL, control);
        guestReadsThePage();
        machine.put8(VmcbLayout.TLB_CONTROL, 0);
        guestReadsThePage();
        assertThat(found()).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({"0x73005, 0x73007", "0x73067, 0x73007", "0x73007, 0x73e67", "0x73007, 0x73005"})
    void whatPermitsMoreOrWasNotUsedNeedsNoFlush(String then, String now) {
        machine.nestedPaging();
        machine.nestedPage(PAGE, Long.decode(then));
        guestReadsThePage();
        machine.nestedPage(PAGE, Long.decode(now));
        guestReadsThePage();
        assertThat(found()).isEmpty();
    }

    /** Another processor may enter the guest between the change and the flush, for a while. */
    @Test
    void withSeveralProcessorsTheFlushMayComeALittleLater() {
        Cpu second = new Cpu(1, machine.clock, machine.memory, machine.ports);
        check = new HypervisorCheck(List.of(cpu, second));
        cpu.observer = check;
        machine.nestedPaging();
        guestReadsThePage();
        machine.nestedPage(PAGE, 0);
        guestReadsThePage();
        assertThat(found()).isEmpty();
        machine.clock.retired += 1_000_001;
        guestReadsThePage();
        assertThat(found()).containsExactly("stale-nested-entry: page unmapped");
    }

    private void shadowPaging() {
        machine.intercept(ExitCode.INVLPG);
        machine.put32(VmcbLayout.INTERCEPT_CR, 1 << 19);
    }

    @Test
    void aShadowEntryTakenBackNeedsAFlush() {
        shadowPaging();
        guestReadsThePage();
        machine.guestPage(PAGE, 0x7_4007);
        guestReadsThePage();
        assertThat(found()).containsExactly("stale-shadow-entry: page moved");
    }

    @Test
    void aShadowEntryMayBeTakenBackWithInvlpga() {
        shadowPaging();
        guestReadsThePage();
        machine.guestPage(PAGE, 0x7_4007);
        cpu.r[Cpu.RAX] = PAGE;
        cpu.r[Cpu.RCX] = 1;
        machine.execute("0f01df"); // invlpga
        guestReadsThePage();
        assertThat(found()).isEmpty();
    }

    @Test
    void aShadowEntryMayBeTakenBackWithInvlpgb() {
        shadowPaging();
        guestReadsThePage();
        machine.guestPage(PAGE, 0x7_4007);
        machine.code(SvmMachine.HOST_CODE, "0f01fe"); // invlpgb
        cpu.r[Cpu.RAX] = PAGE | 5; // address and ASID are valid
        cpu.r[Cpu.RCX] = 0;
        cpu.r[Cpu.RDX] = 1;
        cpu.rip = SvmMachine.HOST_CODE;
        machine.step(1);
        machine.code(SvmMachine.HOST_CODE, "0f01d8");
        cpu.rip = SvmMachine.HOST_CODE;
        guestReadsThePage();
        assertThat(found()).isEmpty();
    }

    @Test
    void aGuestThatHasItsOwnTablesFlushesForItself() {
        guestReadsThePage();
        machine.guestPage(PAGE, 0x7_4007);
        guestReadsThePage();
        assertThat(found()).isEmpty();
    }

    @Test
    void vmcbsOfOneGuestPhysicalAddressSpaceMayShareAnAsid() {
        machine.nestedPaging();
        copyVmcb(OTHER_VMCB);
        runOnce();
        enter(OTHER_VMCB);
        leave(ExitCode.INTR);
        assertThat(found()).isEmpty();
        machine.memory.write64(OTHER_VMCB + VmcbLayout.N_CR3, 0x7_1000);
        enter(OTHER_VMCB);
        leave(ExitCode.INTR);
        assertThat(found()).containsExactly("asid-nested-table-changed: N_CR3");
        runOnce();
        assertThat(found()).contains("asid-reused: ASID");
    }

    @ParameterizedTest
    @CsvSource({
        "0x550, 0x1000, CR3",
        "0x548, 0x80, CR4",
    })
    void anotherPagingModeNeedsAFlush(String offset, String bits, String field) {
        int at = Integer.decode(offset);
        runOnce();
        machine.put64(at, machine.get64(at) ^ Integer.decode(bits));
        machine.put8(VmcbLayout.TLB_CONTROL, 3);
        runOnce();
        assertThat(found()).isEmpty();
        machine.put64(at, machine.get64(at) ^ Integer.decode(bits));
        machine.put8(VmcbLayout.TLB_CONTROL, 0);
        runOnce();
        assertThat(found()).containsExactly("paging-mode-changed: " + field);
    }

    /** Xen's hvm_set_efer does the second: while NXE is clear, no translation can have NX. */
    @Test
    void clearingNxeNeedsAFlushAndSettingItIsNoMistake() {
        runOnce();
        machine.put64(VmcbLayout.EFER, machine.get64(VmcbLayout.EFER) & ~Cpu.EFER_NXE);
        runOnce();
        assertThat(found()).containsExactly("paging-mode-changed: EFER");
        machine.put64(VmcbLayout.EFER, machine.get64(VmcbLayout.EFER) | Cpu.EFER_NXE);
        runOnce();
        assertThat(found()).containsExactly("paging-mode-changed: EFER", "nxe-set: EFER");
        assertThat(check.findings())
                .extracting(finding -> finding.kind.level)
                .containsExactly(CheckKind.Level.MISTAKE, CheckKind.Level.ADVICE);
        machine.put64(VmcbLayout.EFER, machine.get64(VmcbLayout.EFER) & ~Cpu.EFER_NXE);
        machine.put8(VmcbLayout.TLB_CONTROL, 3);
        runOnce();
        assertThat(check.findings()).extracting(Finding::count).containsExactly(1L, 1L);
    }

    /** Two processors that share one memory; each has its own checks' view by its id. */
    @Test
    void aVmcbThatComesBackToAProcessor() {
        Cpu second = new Cpu(1, machine.clock, machine.memory, machine.ports);
        check = new HypervisorCheck(List.of(cpu, second));
        cpu.observer = check;
        runOnce();
        machine.put32(VmcbLayout.CLEAN_BITS, 1);
        Vmcb view = new Vmcb(machine.memory);
        view.at(SvmMachine.VMCB);
        second.msrs.vmCr = 0;
        check.vmrun(1, SvmMachine.VMCB, view);
        assertThat(found()).containsExactly("clean-bits-other-processor: CLEAN_BITS");
        check.vmexit(1, SvmMachine.VMCB, view, 1);
        machine.put32(VmcbLayout.CLEAN_BITS, 0);
        runOnce();
        assertThat(found())
                .containsExactly("clean-bits-other-processor: CLEAN_BITS", "asid-moved: ASID");
    }

    @Test
    void aVmcbThatRunsOnAnotherProcessor() {
        Cpu second = new Cpu(1, machine.clock, machine.memory, machine.ports);
        check = new HypervisorCheck(List.of(cpu, second));
        cpu.observer = check;
        enter(SvmMachine.VMCB);
        Vmcb view = new Vmcb(machine.memory);
        view.at(SvmMachine.VMCB);
        check.vmrun(1, SvmMachine.VMCB, view);
        assertThat(found()).containsExactly("vmcb-on-two-processors: VMCB");
    }

    @Test
    void howLongGifIsClear() {
        runOnce();
        machine.clock.retired += 100;
        machine.execute("0f01dc"); // stgi
        machine.clock.retired += 1000;
        machine.execute("0f01dd"); // clgi
        machine.clock.retired += 3;
        enter(SvmMachine.VMCB);
        assertThat(check.gifTimes().count()).isEqualTo(2);
        assertThat(check.gifTimes().longest()).isEqualTo(100);
        assertThat(check.gifTimes().histogram()[7]).isEqualTo(1);
        assertThat(check.gifTimes().histogram()[2]).isEqualTo(1);
    }
}
