package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** §15.20: events that VMRUN injects, and what becomes of their delivery. */
class EventInjectionTest {
    private static final long VALID = 1L << 31;
    private static final long EV = 1 << 11;
    private static final int INTERRUPT = 0;
    private static final int NMI = 2 << 8;
    private static final int EXCEPTION = 3 << 8;
    private static final int SOFTWARE = 4 << 8;
    private static final long NEXT_RIP = 0x50777;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @AfterEach
    void release() {
        machine.close();
    }

    private void inject(long event) {
        machine.put64(VmcbLayout.EVENTINJ, VALID | event);
        machine.put64(VmcbLayout.NRIP, NEXT_RIP);
        machine.vmrun();
    }

    private void user() {
        machine.put8(VmcbLayout.CPL, 3);
        machine.segment(VmcbLayout.CS, 0x2b, 0xafb, 0xffff_ffffL, 0);
        machine.segment(VmcbLayout.SS, 0x33, 0xcf3, 0xffff_ffffL, 0);
        taskState();
    }

    private void taskState() {
        cpu.segSelector[Cpu.TR] = 0x20;
        cpu.segBase[Cpu.TR] = SvmMachine.TSS;
        cpu.segLimit[Cpu.TR] = 0x67;
        cpu.segAttr[Cpu.TR] = 0x8b;
    }

    private void assertInHandler(int vector, long returnRip) {
        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16L * vector);
        assertThat(pushed(0)).isEqualTo(returnRip);
        assertThat(pushed(1)).as("CS").isEqualTo(0x10);
    }

    private long pushed(int slot) {
        return machine.memory.read64(cpu.r[Cpu.RSP] + 8 * slot);
    }

    @Test
    void anInterruptIsDeliveredWhateverTheFlagAndShadow() {
        machine.put64(VmcbLayout.INTERRUPT_SHADOW, 1);
        inject(INTERRUPT | 0x31);
        assertInHandler(0x31, SvmMachine.GUEST_CODE);
        assertThat(cpu.interruptShadow).as("of the handler's first instruction").isFalse();
        assertThat(cpu.r[Cpu.RSP]).isEqualTo(SvmMachine.GUEST_STACK - 40);
    }

    @Test
    void anExceptionPushesItsErrorCode() {
        inject(EXCEPTION | EV | 13 | 0x1234L << 32);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16 * 13);
        assertThat(pushed(0)).isEqualTo(0x1234);
        assertThat(pushed(1)).isEqualTo(SvmMachine.GUEST_CODE);
    }

    @Test
    void withoutEvNoErrorCodeIsPushed() {
        inject(EXCEPTION | 13 | 0x1234L << 32);
        assertInHandler(13, SvmMachine.GUEST_CODE);
    }

    @Test
    void aPageFaultTakesCr2FromTheVmcb() {
        machine.put64(VmcbLayout.CR2, 0x1234_5000);
        inject(EXCEPTION | EV | 14 | 2L << 32);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16 * 14);
        assertThat(cpu.cr2).isEqualTo(0x1234_5000);
    }

    @Test
    void anNmiIgnoresTheVectorAndBlocksNothing() {
        inject(NMI | 0x77);
        assertInHandler(2, SvmMachine.GUEST_CODE);
        assertThat(cpu.nmiBlocked).isFalse();
    }

    @Test
    void aSoftwareInterruptReturnsToTheNextRip() {
        inject(SOFTWARE | 0x80);
        assertInHandler(0x80, NEXT_RIP);
    }

    @Test
    void breakpointExceptionsReturnToTheNextRip() {
        inject(EXCEPTION | 3);
        assertInHandler(3, NEXT_RIP);
    }

    @Test
    void aSoftwareInterruptChecksTheGatesPrivilege() {
        user();
        machine.memory.write(SvmMachine.IDT + 16 * 0x80 + 5, 1, 0x8e); // DPL 0
        machine.intercept(ExitCode.EXCEPTION + 13);
        inject(SOFTWARE | 0x80);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 13);
        assertThat(machine.info1()).isEqualTo(0x80 * 8 + 2);
        assertThat(machine.get64(VmcbLayout.EXITINTINFO)).isEqualTo(VALID | SOFTWARE | 0x80);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
    }

    @Test
    void anInterruptDoesNotCheckTheGatesPrivilege() {
        user();
        machine.memory.write(SvmMachine.IDT + 16 * 0x31 + 5, 1, 0x8e);
        inject(INTERRUPT | 0x31);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16 * 0x31);
        assertThat(cpu.cpl).isZero();
        assertThat(cpu.r[Cpu.RSP]).isEqualTo(SvmMachine.GUEST_STACK + 0x1000 - 40);
    }

    @Test
    void injectedEventsAreNotIntercepted() {
        for (int vector = 0; vector < 32; vector++) {
            machine.intercept(ExitCode.EXCEPTION + vector);
        }
        machine.intercept(ExitCode.SWINT);
        machine.intercept(ExitCode.INTR);
        machine.intercept(ExitCode.NMI);
        inject(EXCEPTION | 6);
        assertInHandler(6, SvmMachine.GUEST_CODE);
    }

    @Test
    void aNestedFaultDuringDeliveryReportsTheEvent() {
        machine.nestedPaging();
        machine.nestedPage(SvmMachine.GUEST_STACK - 0x1000, 0);
        long event = EXCEPTION | EV | 13 | 0x18L << 32;
        inject(event);
        assertThat(cpu.guestMode).isFalse();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.NPF);
        assertThat(machine.info1() & 0x1_0000_0006L).isEqualTo(0x1_0000_0006L);
        assertThat(machine.info2() & ~0xfffL).isEqualTo(SvmMachine.GUEST_STACK - 0x1000);
        assertThat(machine.get64(VmcbLayout.EXITINTINFO)).isEqualTo(VALID | event);
        assertThat(machine.get64(VmcbLayout.EVENTINJ)).isZero();
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
        assertThat(machine.get64(VmcbLayout.RSP)).isEqualTo(SvmMachine.GUEST_STACK);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HOST_CODE + 3);
    }

    @Test
    void anInterceptedPageFaultDuringDeliveryReportsTheEventAndKeepsCr2() {
        machine.guestPage(SvmMachine.GUEST_STACK - 0x1000, 0);
        machine.put64(VmcbLayout.CR2, 0x42);
        machine.intercept(ExitCode.EXCEPTION + 14);
        inject(INTERRUPT | 0x31);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 14);
        assertThat(machine.info1()).isEqualTo(2);
        assertThat(machine.info2() & ~0xfffL).isEqualTo(SvmMachine.GUEST_STACK - 0x1000);
        assertThat(machine.get64(VmcbLayout.CR2)).isEqualTo(0x42);
        assertThat(machine.get64(VmcbLayout.EXITINTINFO)).isEqualTo(VALID | INTERRUPT | 0x31);
    }

    @Test
    void theReportedEventCanBeInjectedAgain() {
        machine.nestedPaging();
        machine.nestedPage(SvmMachine.GUEST_STACK - 0x1000, 0);
        inject(INTERRUPT | 0x31);
        machine.nestedPage(SvmMachine.GUEST_STACK - 0x1000, SvmMachine.GUEST_STACK - 0x1000 | 7);
        machine.put64(VmcbLayout.EVENTINJ, machine.get64(VmcbLayout.EXITINTINFO));
        cpu.rip = SvmMachine.HOST_CODE;
        machine.vmrun();
        assertInHandler(0x31, SvmMachine.GUEST_CODE);
    }

    @Test
    void theNextExitHasNoEventLeft() {
        machine.intercept(ExitCode.HLT);
        inject(INTERRUPT | 0x31);
        assertThat(machine.run(1)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(machine.get64(VmcbLayout.EXITINTINFO)).isZero();
        assertThat(machine.get64(VmcbLayout.EVENTINJ)).isZero();
    }

    @Test
    void aRealModeGuestTakesItsVectorTable() {
        machine.real();
        machine.memory.write(4 * 0x31, 4, 0x5000_1234L);
        inject(INTERRUPT | 0x31);
        assertThat(cpu.rip).isEqualTo(0x1234);
        assertThat(cpu.segSelector[Cpu.CS]).isEqualTo(0x5000);
        assertThat(machine.memory.read(0x50000 + 0x7ffa, 2)).as("IP pushed").isZero();
    }

    @Test
    void aDoubleFaultWhileDeliveringWithoutHandlersShutsDown() {
        machine.put32(VmcbLayout.IDTR + VmcbLayout.LIMIT, 0);
        machine.intercept(ExitCode.SHUTDOWN);
        inject(EXCEPTION | EV | 13);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.SHUTDOWN);
        assertThat(cpu.guestMode).isFalse();
    }

    private static final int TASK = 0x68000;

    /** A virtual-8086 guest at 5000h:0 with its stack at 5000h:8000h and a 32-bit TSS. */
    private void virtual8086(int flags, long cr4) {
        machine.real();
        machine.put64(VmcbLayout.CR0, Cpu.CR0_PE | Cpu.CR0_ET);
        machine.put64(VmcbLayout.CR4, cr4);
        machine.put64(VmcbLayout.RFLAGS, Cpu.VM | flags | 2);
        machine.put64(VmcbLayout.IDTR + VmcbLayout.BASE, SvmMachine.IDT);
        machine.put32(VmcbLayout.IDTR + VmcbLayout.LIMIT, 0xfff);
        machine.memory.write64(SvmMachine.GDT + 0x10, 0x00cf_9b00_0000_ffffL);
        for (int vector : new int[] {6, 13, 0x30}) {
            long handler = SvmMachine.HANDLERS + 16L * vector;
            machine.memory.write64(
                    SvmMachine.IDT + 8 * vector,
                    handler & 0xffff | 0x10 << 16 | 0xee00L << 32 | (handler >>> 16) << 48);
        }
        taskState();
        cpu.segBase[Cpu.TR] = TASK;
        cpu.segLimit[Cpu.TR] = 0xfff;
        machine.memory.write(TASK + 4, 4, 0x5a000);
        machine.memory.write(TASK + 8, 2, 0x18);
        machine.memory.write(TASK + 0x66, 2, 0x88); // redirection bitmap at 68h
        machine.memory.write(4 * 0x30, 4, 0x5000_1234L);
    }

    private long pushed32(int slot) {
        return machine.memory.read(cpu.r[Cpu.RSP] + 4 * slot, 4);
    }

    /** The INTn intercept comes before the check of IOPL, which is left to the injection. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aSoftwareInterruptInVirtual8086ModeNeedsIopl(boolean intercepted) {
        virtual8086(0, 0);
        if (intercepted) {
            machine.intercept(ExitCode.EXCEPTION + 13);
        }
        inject(SOFTWARE | 0x30);
        if (intercepted) {
            assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 13);
            assertThat(machine.info1()).isZero();
            assertThat(machine.get64(VmcbLayout.EXITINTINFO)).isEqualTo(VALID | SOFTWARE | 0x30);
        } else {
            assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16 * 13);
            assertThat(pushed32(0)).isZero();
            assertThat(pushed32(1)).as("a fault").isZero();
        }
    }

    @Test
    void withIopl3ItGoesThroughTheIdt() {
        virtual8086(Cpu.IOPL, 0);
        inject(SOFTWARE | 0x30);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16 * 0x30);
        assertThat(cpu.vm86).isFalse();
        assertThat(pushed32(0)).isEqualTo(NEXT_RIP);
    }

    @Test
    void theVirtualModeExtensionsRedirectIt() {
        virtual8086(Cpu.VIF, Cpu.CR4_VME);
        inject(SOFTWARE | 0x30);
        assertThat(cpu.vm86).isTrue();
        assertThat(cpu.segSelector[Cpu.CS]).isEqualTo(0x5000);
        assertThat(cpu.rip).isEqualTo(0x1234);
        assertThat(cpu.rflags()).isEqualTo(Cpu.VM | 2);
        assertThat(cpu.r[Cpu.RSP]).isEqualTo(0x7ffa);
        assertThat(machine.memory.read(0x57ffa, 2)).isEqualTo(NEXT_RIP & 0xffff);
        assertThat(machine.memory.read(0x57ffe, 2)).isEqualTo(Cpu.IF | Cpu.IOPL | 2);
    }

    @Test
    void theRedirectionBitmapSendsItToTheIdt() {
        virtual8086(Cpu.IOPL, Cpu.CR4_VME);
        machine.memory.write(TASK + 0x68 + 0x30 / 8, 1, 1);
        inject(SOFTWARE | 0x30);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16 * 0x30);
    }

    /** Interrupts and exceptions are not what the extensions and IOPL are about. */
    @ParameterizedTest
    @ValueSource(ints = {INTERRUPT | 0x30, EXCEPTION | 6})
    void otherEventsAlwaysGoThroughTheIdt(int event) {
        virtual8086(0, Cpu.CR4_VME);
        inject(event);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16L * (event & 0xff));
    }

    /** §15.28: #SX is a contributory fault, #UD is none. */
    @Test
    void aSecurityExceptionIsContributory() {
        machine.memory.write(SvmMachine.IDT + 16 * 30 + 5, 1, 0x6e); // not present: #NP
        inject(EXCEPTION | EV | 30 | 1L << 32);
        assertThat(cpu.rip).as("#DF").isEqualTo(SvmMachine.HANDLERS + 16 * 8);
        machine.svm.exit(ExitCode.HLT, 0, 0);
        machine.memory.write(SvmMachine.IDT + 16 * 6 + 5, 1, 0x6e);
        cpu.rip = SvmMachine.HOST_CODE;
        inject(EXCEPTION | 6);
        assertThat(cpu.rip).as("#NP").isEqualTo(SvmMachine.HANDLERS + 16 * 11);
    }

    /** As those of completed instructions (§15.20): RF would hide the next one's breakpoint. */
    @ParameterizedTest
    @ValueSource(ints = {SOFTWARE | 0x80, EXCEPTION | 3})
    void softwareInterruptsPushAClearResumeFlag(int event) {
        machine.put64(VmcbLayout.RFLAGS, Cpu.RF | 2);
        inject(event);
        assertThat(pushed(0)).isEqualTo(NEXT_RIP);
        assertThat(pushed(2) & Cpu.RF).isZero();
    }

    @Test
    void faultsPushASetResumeFlagAndInterruptsThatOfTheVmcb() {
        inject(EXCEPTION | 6);
        assertThat(pushed(2) & Cpu.RF).isNotZero();
        machine.svm.exit(ExitCode.HLT, 0, 0);
        cpu.rip = SvmMachine.HOST_CODE;
        machine.put64(VmcbLayout.RFLAGS, Cpu.RF | 2);
        inject(INTERRUPT | 0x31);
        assertThat(pushed(2) & Cpu.RF).isNotZero();
        machine.svm.exit(ExitCode.HLT, 0, 0);
        cpu.rip = SvmMachine.HOST_CODE;
        machine.put64(VmcbLayout.RFLAGS, 2);
        inject(INTERRUPT | 0x31);
        assertThat(pushed(2) & Cpu.RF).isZero();
    }

    /** §8.2.9: a page fault in the delivery of #GP is a page fault. */
    @Test
    void aPageFaultInTheDeliveryOfGeneralProtectionIsNoDoubleFault() {
        taskState();
        machine.memory.write64(SvmMachine.TSS + 0x24, 0x4000_0000L); // IST 1, not mapped
        machine.memory.write(SvmMachine.IDT + 16 * 13 + 4, 1, 1);
        inject(EXCEPTION | EV | 13);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16 * 14);
    }

    @Test
    void anInjectedDebugExceptionClearsGeneralDetect() {
        machine.put64(VmcbLayout.DR7, 0x2400);
        inject(EXCEPTION | 1);
        assertInHandler(1, SvmMachine.GUEST_CODE);
        assertThat(cpu.dr[7]).isEqualTo(0x400);
    }

    @Test
    void aBreakpointExceptionChecksTheGatesPrivilege() {
        user();
        machine.memory.write(SvmMachine.IDT + 16 * 3 + 5, 1, 0x8e); // DPL 0
        machine.intercept(ExitCode.EXCEPTION + 13);
        inject(EXCEPTION | 3);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 13);
        assertThat(machine.info1()).isEqualTo(3 * 8 + 2);
        assertThat(machine.get64(VmcbLayout.EXITINTINFO)).isEqualTo(VALID | EXCEPTION | 3);
    }

    @Test
    void withoutTheFeatureASoftwareInterruptReturnsToRip() {
        cpu.model = CpuModel.parse("epyc-milan,-nrip-save");
        inject(SOFTWARE | 0x80);
        assertInHandler(0x80, SvmMachine.GUEST_CODE);
    }
}
