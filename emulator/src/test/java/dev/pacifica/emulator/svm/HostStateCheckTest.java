package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.check.HypervisorCheck;
import dev.pacifica.emulator.cpu.Cpu;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * State that VMRUN leaves to software (§15.5.1, §15.5.2), which the host forgets to take back, or
 * takes back late, or never uses.
 */
class HostStateCheckTest {
    private static final long HOST_VMCB = 0x70000;
    private static final long HOST_TSS = 0x63000;
    private static final long USER_CODE = 0x49000;
    private static final long KERNEL_CODE = 0x4a000;
    private static final long PAGE = 0x7_3000;
    private static final long FS_OF_GUEST = 0x12_3000;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;
    private final HypervisorCheck check = new HypervisorCheck(List.of(cpu));

    @BeforeEach
    void hostWithTablesOfItsOwn() {
        machine.interceptSafely();
        cpu.gdtrBase = SvmMachine.GDT;
        cpu.gdtrLimit = 0xfff;
        cpu.idtrBase = SvmMachine.IDT;
        cpu.idtrLimit = 0xfff;
        cpu.segSelector[Cpu.TR] = 0x20;
        cpu.segAttr[Cpu.TR] = 0x08b;
        cpu.segLimit[Cpu.TR] = 0x67;
        cpu.segBase[Cpu.TR] = HOST_TSS;
        machine.memory.write64(HOST_TSS + 4, 0x4f000);
        cpu.segBase[Cpu.FS] = 0x45_6000;
        machine.segment(VmcbLayout.FS, 0x18, SvmMachine.DATA, 0xffff_ffffL, FS_OF_GUEST);
        machine.code(USER_CODE, "cc"); // int3
        cpu.observer = check;
    }

    @AfterEach
    void release() {
        machine.close();
    }

    private void transfer(String instruction, long vmcb) {
        cpu.r[Cpu.RAX] = vmcb;
        assertThat(machine.execute(instruction)).isNull();
    }

    private void vmload(long vmcb) {
        transfer("0f01da", vmcb);
    }

    private void vmsave(long vmcb) {
        transfer("0f01db", vmcb);
    }

    private void runGuest(String code) {
        machine.code(SvmMachine.GUEST_CODE, code + "f4");
        machine.put64(VmcbLayout.RIP, SvmMachine.GUEST_CODE);
        cpu.rip = SvmMachine.HOST_CODE;
        cpu.r[Cpu.RAX] = SvmMachine.VMCB;
        machine.vmrun();
        assertThat(machine.run(8)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
    }

    /** The host's breakpoint instruction at the given privilege goes through its IDT. */
    private void interruptHost(int cpl) {
        cpu.cpl = cpl;
        for (int i = 0; i < 4; i++) {
            boolean code = i == Cpu.CS;
            cpu.segSelector[i] = cpl == 0 ? code ? 0x10 : 0x18 : code ? 0x2b : 0x33;
            cpu.segAttr[i] = (code ? SvmMachine.CODE64 : SvmMachine.DATA) | cpl << 5;
        }
        cpu.updateMode();
        cpu.rip = USER_CODE;
        machine.step(1);
        assertThat(cpu.cpl).isZero();
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 3 * 16);
    }

    private List<String> found() {
        return check.findings().stream()
                .map(finding -> finding.kind.label() + ": " + finding.subject)
                .toList();
    }

    @Test
    void userCodeWithTheGuestsSegmentAndAStackFromTheGuestsTss() {
        vmload(SvmMachine.VMCB);
        runGuest("");
        interruptHost(3);
        assertThat(found())
                .containsExactly(
                        "host-state-not-restored: FS.base", "host-state-not-restored: TR.base");
        assertThat(check.findings().iterator().next().detail)
                .isEqualTo(
                        "user code of the host runs with the guest's 0x123000 instead of 0x456000");
        assertThat(cpu.r[Cpu.RSP]).isGreaterThan(SvmMachine.GUEST_STACK).isLessThan(0x59001);
    }

    @Test
    void vmloadTakesTheHostsStateBack() {
        for (int i = 0; i < 2; i++) {
            vmsave(HOST_VMCB);
            vmload(SvmMachine.VMCB);
            runGuest("");
            vmsave(SvmMachine.VMCB);
            vmload(HOST_VMCB);
            interruptHost(3);
        }
        assertThat(found()).isEmpty();
    }

    @Test
    void whatTheHostLoadedIsItsOwnWhateverItIs() {
        vmload(SvmMachine.VMCB);
        runGuest("");
        vmload(SvmMachine.VMCB);
        interruptHost(3);
        assertThat(found()).isEmpty();
    }

    @Test
    void aRegisterTakenBackByHandIsTheHosts() {
        vmload(SvmMachine.VMCB);
        runGuest("");
        cpu.segBase[Cpu.FS] = 0x45_6000;
        cpu.segBase[Cpu.TR] = HOST_TSS;
        interruptHost(3);
        assertThat(found()).isEmpty();
    }

    /** As Xen does, which takes the host's state back when it leaves the virtual processor. */
    @Test
    void aHostThatDoesNotUseTheStateMayLeaveItAsItIs() {
        vmload(SvmMachine.VMCB);
        for (int i = 0; i < 3; i++) {
            runGuest("");
            interruptHost(0);
        }
        assertThat(found()).isEmpty();
    }

    @Test
    void aStackFromTheGuestsTssByAnInterruptStackTable() {
        long gate = SvmMachine.IDT + 3 * 16 + 4;
        machine.memory.write(gate, 1, 1);
        machine.memory.write64(SvmMachine.TSS + 0x24, 0x5f000);
        vmload(SvmMachine.VMCB);
        runGuest("");
        interruptHost(0);
        assertThat(found()).containsExactly("host-state-not-restored: TR.base");
    }

    @Test
    void aBreakpointAtTheGuestsAddress() {
        runGuest("48c7c0 78560000 0f23c0"); // mov rax, 5678h; mov dr0, rax
        cpu.dr[7] = 0x402;
        runGuest("");
        assertThat(found()).containsExactly("host-debug-not-restored: DR0");
    }

    @Test
    void aBreakpointAtAnAddressOfTheHosts() {
        runGuest("48c7c0 78560000 0f23c0");
        cpu.dr[0] = 0x1234;
        cpu.dr[7] = 0x402;
        runGuest("");
        assertThat(found()).isEmpty();
    }

    private void guestChangesXmm() {
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | 1 << 9);
        runGuest("660f76c0"); // pcmpeqd xmm0, xmm0
    }

    @Test
    void userCodeWithTheGuestsVectorRegisters() {
        guestChangesXmm();
        interruptHost(3);
        assertThat(found()).containsExactly("host-fpu-not-restored: x87 and XMM registers");
    }

    /** As KVM does: the guest's registers stay until the host goes back to user code. */
    @Test
    void vectorRegistersMayBeTakenBackLate() {
        guestChangesXmm();
        interruptHost(0);
        cpu.fpu.xmm[0] = 1;
        interruptHost(3);
        assertThat(found()).isEmpty();
    }

    /** As Xen does: CR0.TS is set while PV code, of privilege 3, has not used them yet. */
    @Test
    void vectorRegistersMayBeSwitchedAtTheirFirstUse() {
        guestChangesXmm();
        cpu.cr0 |= Cpu.CR0_TS;
        interruptHost(3);
        assertThat(found()).isEmpty();
        cpu.cr0 &= ~Cpu.CR0_TS;
        interruptHost(3);
        assertThat(found()).containsExactly("host-fpu-not-restored: x87 and XMM registers");
    }

    @Test
    void vectorRegistersThatTheGuestLeftAloneAreTheHosts() {
        cpu.fpu.xmm[0] = 1;
        runGuest("");
        interruptHost(3);
        assertThat(found()).isEmpty();
    }

    /** The host's kernel executes so many instructions. */
    private void host(int instructions, String code) {
        machine.code(KERNEL_CODE, code);
        cpu.rip = KERNEL_CODE;
        machine.step(instructions);
        assertThat(cpu.rip)
                .as("after %s", code)
                .isEqualTo(KERNEL_CODE + code.replace(" ", "").length() / 2);
    }

    @Test
    void theHostsKernelReadsAtTheGuestsSegment() {
        vmload(SvmMachine.VMCB);
        cpu.segBase[Cpu.FS] = 0x10_0000;
        runGuest("");
        host(1, "64488b042500000000"); // mov rax, fs:[0]
        assertThat(found()).containsExactly("host-state-not-restored: FS.base");
        assertThat(check.findings().iterator().next().detail)
                .isEqualTo("the host's data are at the guest's 0x100000 instead of 0x456000");
        assertThat(check.findings().iterator().next().rip).isEqualTo(KERNEL_CODE);
    }

    /** LEA, NOP, RDFSBASE and MOV from the selector take no data from there. */
    @Test
    void whatNamesASegmentNeedNotUseIt() {
        vmload(SvmMachine.VMCB);
        runGuest("");
        cpu.cr4 |= Cpu.CR4_FSGSBASE;
        host(4, "64488d042500000000 640f1f00 f3480faec0 8ce0");
        assertThat(found()).isEmpty();
    }

    @Test
    void aSegmentThatTheHostWroteIsItsOwn() {
        vmload(SvmMachine.VMCB);
        runGuest("");
        cpu.cr4 |= Cpu.CR4_FSGSBASE;
        cpu.r[Cpu.RAX] = FS_OF_GUEST;
        host(2, "f3480faed0 64488b042500000000"); // wrfsbase rax; mov rax, fs:[0]
        assertThat(found()).isEmpty();
    }

    @Test
    void swapgsTakesTheGuestsValueAlong() {
        machine.put64(VmcbLayout.KERNEL_GS_BASE, 0x7000);
        vmload(SvmMachine.VMCB);
        runGuest("");
        host(1, "0f01f8");
        assertThat(found()).isEmpty();
        host(1, "65488b042500000000");
        assertThat(found()).containsExactly("host-state-not-restored: GS.base");
    }

    @Test
    void theHostsSystemCallGoesByTheGuestsRegisters() {
        cpu.msrs.star = 0x10L << 32;
        cpu.efer |= Cpu.EFER_SCE;
        machine.put64(VmcbLayout.LSTAR, 0x7000);
        vmload(SvmMachine.VMCB);
        runGuest("");
        machine.code(KERNEL_CODE, "0f05");
        cpu.rip = KERNEL_CODE;
        machine.step(1);
        assertThat(found()).containsExactly("host-state-not-restored: LSTAR");
    }

    @Test
    void aPortOfUserCodeIsLookedUpInTheGuestsTss() {
        vmload(SvmMachine.VMCB);
        cpu.segBase[Cpu.FS] = 0;
        runGuest("");
        cpu.cpl = 3;
        cpu.segAttr[Cpu.CS] = SvmMachine.CODE64 | 3 << 5;
        cpu.updateMode();
        machine.code(KERNEL_CODE, "e480"); // in al, 80h
        cpu.rip = KERNEL_CODE;
        machine.step(1);
        assertThat(found()).contains("host-state-not-restored: TR.base");
    }

    @Test
    void breakpointsThatStayOffInUserCode() {
        cpu.dr[0] = 0x1234;
        cpu.dr[7] = 0x402;
        runGuest("");
        interruptHost(0);
        assertThat(found()).isEmpty();
        interruptHost(3);
        assertThat(found()).containsExactly("host-debug-not-restored: DR7");
    }

    @Test
    void aHostThatWritesDr7KnowsWhatItDoes() {
        cpu.dr[7] = 0x402;
        runGuest("");
        cpu.r[Cpu.RAX] = 0x400;
        host(1, "0f23f8"); // mov dr7, rax
        interruptHost(3);
        assertThat(found()).isEmpty();
    }

    @Test
    void theGuestsCausesInDr6() {
        runGuest("b8 f04fffff 0f23f0"); // mov eax, ffff4ff0h (BS); mov dr6, rax
        assertThat(cpu.dr[6] & 1 << 14).isNotZero();
        machine.code(KERNEL_CODE, "f1"); // int1
        cpu.rip = KERNEL_CODE;
        machine.step(1);
        assertThat(found()).containsExactly("host-debug-not-restored: DR6");
    }

    @Test
    void aStepOfTheHostsOwnHasThatCause() {
        runGuest("b8 f04fffff 0f23f0");
        cpu.setRflags(cpu.rflags() | Cpu.TF);
        machine.code(KERNEL_CODE, "9090");
        cpu.rip = KERNEL_CODE;
        machine.step(2);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16);
        assertThat(found()).isEmpty();
    }

    private void sse() {
        cpu.cr4 |= 1 << 9;
        cpu.cr0 &= ~(Cpu.CR0_TS | Cpu.CR0_EM);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "660fefc8", // pxor xmm1, xmm0
                "660fefc1", // pxor xmm0, xmm1
                "0f58c8", // addps xmm1, xmm0
                "f20f51c8", // sqrtsd xmm1, xmm0
                "660f3817c0", // ptest xmm0, xmm0
                "660f72d004", // psrld xmm0, 4
                "660f74c0 660fefc8", // pcmpeqb xmm0, xmm0 gives the same again
            })
    void theHostsKernelCalculatesWithTheGuestsRegister(String code) {
        sse();
        guestChangesXmm();
        host(code.length() > 12 ? 2 : 1, code);
        assertThat(found()).containsExactly("host-fpu-not-restored: XMM0");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "660fefc0", // pxor xmm0, xmm0
                "660f76c0", // pcmpeqd xmm0, xmm0
                "0f28c8", // movaps xmm1, xmm0
                "660f7e c0", // movd eax, xmm0
                "660f70c800", // pshufd xmm1, xmm0, 0
                "f20f2ac0", // cvtsi2sd xmm0, eax
                "f20f51c1", // sqrtsd xmm0, xmm1
                "0f58ca", // addps xmm1, xmm2
                "0fae042500b00400", // fxsave [4b000h]
            })
    void toMoveSaveOrOverwriteIsNoUse(String code) {
        sse();
        guestChangesXmm();
        host(1, code);
        assertThat(found()).isEmpty();
    }

    @Test
    void aRegisterThatTheHostLoadedIsItsOwn() {
        sse();
        guestChangesXmm();
        host(2, "660fefc0 660ffec8"); // pxor xmm0, xmm0; paddd xmm1, xmm0
        assertThat(found()).isEmpty();
    }

    @Test
    void theGuestsRoundingInTheHostsCalculation() {
        sse();
        cpu.fpu.setMxcsr(0x1f80);
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | 1 << 9);
        machine.memory.write(PAGE, 4, 0x7f80);
        runGuest("0fae1425 00300700"); // ldmxcsr [73000h]
        host(1, "660fefca"); // pxor xmm1, xmm2
        assertThat(found()).isEmpty();
        host(1, "0f58ca"); // addps xmm1, xmm2
        assertThat(found()).containsExactly("host-fpu-not-restored: MXCSR");
    }

    @Test
    void aHostThatLoadsMxcsrTakesItBack() {
        sse();
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | 1 << 9);
        machine.memory.write(PAGE, 4, 0x7f80);
        runGuest("0fae1425 00300700");
        host(2, "0fae1425 00300700 0f58ca");
        assertThat(found()).isEmpty();
    }

    @Test
    void theHostsX87CalculatesWithTheGuestsValue() {
        sse();
        cpu.fpu.initialise();
        runGuest("d9eb"); // fldpi
        host(1, "d9e0"); // fchs
        assertThat(found()).containsExactly("host-fpu-not-restored: x87 R7");
    }

    @Test
    void theGuestsControlWordInTheHostsCalculation() {
        sse();
        cpu.fpu.initialise();
        machine.memory.write(PAGE, 2, 0xf7f);
        runGuest("d92c25 00300700"); // fldcw [73000h]
        host(2, "d9e8 d8c0"); // fld1; fadd st0, st0
        assertThat(found()).containsExactly("host-fpu-not-restored: x87 control word");
    }

    /** VMRUN and #VMEXIT do not switch XCR0, and this guest's XSETBV is not intercepted. */
    private void guestChangesXcr0() {
        sse();
        cpu.cr4 |= Cpu.CR4_OSXSAVE;
        cpu.xcr0 = 3;
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | Cpu.CR4_OSXSAVE);
        runGuest("31c9 31d2 b801000000 0f01d1"); // XCR0 = 1
        assertThat(cpu.xcr0).isEqualTo(1);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "0fae242500b00400", // xsave [4b000h]
                "0fae342500b00400", // xsaveopt
                "0fc7242500b00400", // xsavec
                "0fc72c2500b00400", // xsaves
                "0fae2c2500b00400", // xrstor
                "0fc71c2500b00400", // xrstors
            })
    void theHostSavesByTheGuestsXcr0(String code) {
        guestChangesXcr0();
        machine.memory.write64(0x4b000 + 520, 1L << 63); // XRSTORS takes the compacted form only
        host(1, code);
        assertThat(found()).containsExactly("host-fpu-not-restored: XCR0");
    }

    @Test
    void aHostThatWritesXcr0HasItsOwn() {
        guestChangesXcr0();
        host(6, "31c9 0f01d0 31d2 b003 0f01d1 0fae242500b00400"); // xgetbv; xsetbv; xsave
        assertThat(cpu.xcr0).isEqualTo(3);
        assertThat(found()).isEmpty();
    }

    @Test
    void anInterceptedXsetbvLeavesXcr0() {
        sse();
        cpu.cr4 |= Cpu.CR4_OSXSAVE;
        cpu.xcr0 = 3;
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | Cpu.CR4_OSXSAVE);
        machine.intercept(ExitCode.XSETBV);
        machine.code(SvmMachine.GUEST_CODE, "31c9 31d2 b801000000 0f01d1");
        cpu.r[Cpu.RAX] = SvmMachine.VMCB;
        cpu.rip = SvmMachine.HOST_CODE;
        assertThat(machine.vmrunAndRun(8)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.XSETBV);
        host(1, "0fae242500b00400");
        assertThat(found()).isEmpty();
    }

    /** By its other name, which DR7 has while CR4.DE is clear. */
    @Test
    void aHostThatWritesDr5KnowsWhatItDoes() {
        cpu.dr[7] = 0x402;
        runGuest("");
        cpu.r[Cpu.RAX] = 0x400;
        host(1, "0f23e8"); // mov dr5, rax
        interruptHost(3);
        assertThat(found()).isEmpty();
    }

    @Test
    void aHostThatWritesDr4HasItsOwnCausesInDr6() {
        runGuest("b8 f04fffff 0f23f0"); // mov eax, ffff4ff0h (BS); mov dr6, rax
        cpu.r[Cpu.RAX] = 0xffff_4ff0L;
        host(1, "0f23e0"); // mov dr4, rax
        machine.code(KERNEL_CODE, "f1"); // int1
        cpu.rip = KERNEL_CODE;
        machine.step(1);
        assertThat(found()).isEmpty();
    }

    /** With CR4.DE set there is no such register: #UD, and DR7 is as #VMEXIT left it. */
    @Test
    void dr5IsNotDr7WithDebuggingExtensions() {
        cpu.cr4 |= Cpu.CR4_DE;
        cpu.dr[7] = 0x402;
        runGuest("");
        cpu.cr4 |= Cpu.CR4_DE;
        machine.code(KERNEL_CODE, "0f23e8");
        cpu.rip = KERNEL_CODE;
        machine.step(1);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 6 * 16);
        interruptHost(3);
        assertThat(found()).containsExactly("host-debug-not-restored: DR7");
    }

    private void extendedState() {
        sse();
        cpu.cr4 |= Cpu.CR4_OSXSAVE;
        cpu.xcr0 = 3;
        machine.memory.write64(0x4b000 + 520, 1L << 63); // XRSTORS takes the compacted form only
    }

    /** #NM comes first, and what the host's handler restores is not what it went on to use. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "0fae0c2500b00400", // fxrstor [4b000h]
                "0fae2c2500b00400", // xrstor
                "0fc71c2500b00400", // xrstors
            })
    void aRestoreThatRaisesDeviceNotAvailableLoadsNothing(String restore) {
        extendedState();
        guestChangesXmm();
        extendedState();
        cpu.r[Cpu.RAX] = 3;
        cpu.cr0 |= Cpu.CR0_TS;
        machine.code(KERNEL_CODE, restore);
        cpu.rip = KERNEL_CODE;
        machine.step(1);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 7 * 16);
        cpu.cr0 &= ~Cpu.CR0_TS;
        host(1, "660fefc8"); // pxor xmm1, xmm0
        assertThat(found()).containsExactly("host-fpu-not-restored: XMM0");
    }

    @Test
    void aRestoreUnderEmulationLoadsNothing() {
        sse();
        guestChangesXmm();
        cpu.cr0 |= Cpu.CR0_EM;
        machine.code(KERNEL_CODE, "0fae0c2500b00400");
        cpu.rip = KERNEL_CODE;
        machine.step(1);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 7 * 16);
        cpu.cr0 &= ~Cpu.CR0_EM;
        host(1, "660fefc8");
        assertThat(found()).containsExactly("host-fpu-not-restored: XMM0");
    }

    /** XRSTOR loads what EDX:EAX asks for: 1 is x87, 2 is XMM and MXCSR. */
    @ParameterizedTest
    @CsvSource({
        "1, host-fpu-not-restored: XMM0",
        "2, ''",
        "3, ''",
        "4, host-fpu-not-restored: XMM0"
    })
    void onlyTheComponentsThatAreAskedForAreRestored(int mask, String expected) {
        extendedState();
        cpu.fpu.xmm[0] = -1;
        cpu.fpu.xmm[1] = -1;
        host(1, "0fae042500b00400"); // fxsave [4b000h]: the guest's value again, by the host's will
        machine.memory.write64(0x4b000 + 512, 3);
        machine.memory.write64(0x4b000 + 520, 0);
        cpu.fpu.xmm[0] = 0;
        cpu.fpu.xmm[1] = 0;
        guestChangesXmm();
        cpu.r[Cpu.RAX] = mask;
        cpu.r[Cpu.RDX] = 0;
        host(2, "0fae2c2500b00400 660fefc8"); // xrstor; pxor xmm1, xmm0
        assertThat(found()).isEqualTo(expected.isEmpty() ? List.of() : List.of(expected));
    }

    @Test
    void whatXcr0DoesNotEnableIsNotRestored() {
        extendedState();
        guestChangesXmm();
        cpu.xcr0 = 1;
        machine.memory.write64(0x4b000 + 520, 0);
        cpu.r[Cpu.RAX] = 3;
        cpu.r[Cpu.RDX] = 0;
        host(1, "0fae2c2500b00400");
        cpu.xcr0 = 3;
        host(1, "660fefc8");
        assertThat(found()).contains("host-fpu-not-restored: XMM0");
    }

    /** A host that switches when it gets #NM. */
    @Test
    void whatRaisesDeviceNotAvailableIsNoUse() {
        sse();
        guestChangesXmm();
        cpu.cr0 |= Cpu.CR0_TS;
        machine.code(KERNEL_CODE, "660fefc8");
        cpu.rip = KERNEL_CODE;
        machine.step(1);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 7 * 16);
        assertThat(found()).isEmpty();
    }
}
