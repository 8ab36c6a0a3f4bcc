package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.Wakefulness;
import dev.pacifica.emulator.memory.PortDevice;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Interrupts in guests: §15.13, §15.17, §15.21. */
class InterruptInterceptsTest {
    private static final long V_INTR_MASKING = 1 << 24;
    private static final long V_IRQ = 1 << 8;
    private static final int VECTOR = 0x51;
    private static final int VIRTUAL_VECTOR = 0x41;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;
    private final FakeApic apic = machine.apic;

    @BeforeEach
    void guest() {
        machine.code(SvmMachine.GUEST_CODE, "90 90 90 90 f4");
        machine.intercept(ExitCode.HLT);
    }

    @AfterEach
    void release() {
        machine.close();
    }

    private void guestFlags(long flags) {
        machine.put64(VmcbLayout.RFLAGS, flags | 2);
    }

    private void virtualInterrupt(int priority, int tpr, long more) {
        machine.put64(
                VmcbLayout.V_INTR,
                V_IRQ | tpr | (long) priority << 16 | (long) VIRTUAL_VECTOR << 32 | more);
    }

    private static long handler(int vector) {
        return SvmMachine.HANDLERS + 16L * vector;
    }

    @Test
    void anInterceptedInterruptExitsAndStaysPending() {
        machine.intercept(ExitCode.INTR);
        guestFlags(Cpu.IF);
        apic.pending = VECTOR;
        assertThat(machine.vmrunAndRun(1)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.INTR);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
        assertThat(machine.get64(VmcbLayout.NRIP)).isZero();
        assertThat(apic.pending).isEqualTo(VECTOR);
        assertThat(cpu.gif).isFalse();
    }

    @Test
    void withoutMaskingTheGuestsFlagRules() {
        machine.intercept(ExitCode.INTR);
        cpu.setRflags(Cpu.IF | 2);
        apic.pending = VECTOR;
        machine.vmrunAndRun(10);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
    }

    @Test
    void withMaskingTheHostsFlagRules() {
        machine.intercept(ExitCode.INTR);
        machine.put64(VmcbLayout.V_INTR, V_INTR_MASKING);
        cpu.setRflags(Cpu.IF | 2);
        apic.pending = VECTOR;
        machine.vmrunAndRun(10);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.INTR);
    }

    @Test
    void withMaskingAClearHostFlagHoldsInterruptsBack() {
        machine.intercept(ExitCode.INTR);
        machine.put64(VmcbLayout.V_INTR, V_INTR_MASKING);
        guestFlags(Cpu.IF);
        apic.pending = VECTOR;
        machine.vmrunAndRun(10);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
    }

    @Test
    void anInterruptThatIsNotInterceptedGoesToTheGuest() {
        guestFlags(Cpu.IF);
        apic.pending = VECTOR;
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.rip).isEqualTo(handler(VECTOR));
        assertThat(apic.pending).isEqualTo(-1);
        assertThat(machine.memory.read64(cpu.r[Cpu.RSP])).isEqualTo(SvmMachine.GUEST_CODE);
    }

    @Test
    void anInterruptShadowDelaysDeliveryByOneInstruction() {
        guestFlags(Cpu.IF);
        machine.put64(VmcbLayout.INTERRUPT_SHADOW, 1);
        apic.pending = VECTOR;
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 1);
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(handler(VECTOR));
    }

    @Test
    void anExitIsNotDelayedByTheShadowWhichTheVmcbKeeps() {
        machine.intercept(ExitCode.INTR);
        guestFlags(Cpu.IF);
        machine.put64(VmcbLayout.INTERRUPT_SHADOW, 1);
        apic.pending = VECTOR;
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.INTR);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
        assertThat(machine.get8(VmcbLayout.INTERRUPT_SHADOW)).isEqualTo(1);
    }

    @Test
    void anInterceptedInstructionInAShadowSavesTheShadow() {
        machine.code(SvmMachine.GUEST_CODE, "fb f4"); // sti; hlt
        machine.vmrunAndRun(2);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(machine.get8(VmcbLayout.INTERRUPT_SHADOW)).isEqualTo(1);
        assertThat(machine.get64(VmcbLayout.RFLAGS) & Cpu.IF).isNotZero();
    }

    @Test
    void aHaltedGuestIsLeftForAnInterrupt() {
        machine.put32(VmcbLayout.INTERCEPT_MISC1, 0);
        machine.intercept(ExitCode.INTR);
        machine.code(SvmMachine.GUEST_CODE, "fb f4 90");
        machine.put64(VmcbLayout.V_INTR, V_INTR_MASKING);
        cpu.setRflags(Cpu.IF | 2);
        machine.vmrun();
        machine.run(2);
        assertThat(cpu.activity).isEqualTo(Cpu.HALTED);
        apic.pending = VECTOR;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        assertThat(cpu.events.poll()).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.INTR);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE + 2);
        assertThat(cpu.activity).isEqualTo(Cpu.RUNNING);
    }

    /** §15.21.4: it ends what a real one ends, an MWAIT with ECX bit 0 though IF is clear too. */
    @ParameterizedTest
    @CsvSource({"1, 9, true", "0, 9, false", "1, 5, false"})
    void aVirtualInterruptEndsMwaitThatAsksForMaskedOnes(int ecx, int priority, boolean ends) {
        // mov eax, 80000h; xor ecx, ecx; xor edx, edx; monitor; mov cl, 1; mwait
        String wait = "b800000800 31c9 31d2 0f01c8 b1%02x 0f01c9 f4".formatted(ecx);
        machine.code(SvmMachine.GUEST_CODE, wait);
        virtualInterrupt(priority, 5, V_INTR_MASKING);
        machine.vmrun();
        machine.step(6);
        assertThat(Wakefulness.awake(cpu)).isEqualTo(ends);
        machine.step(2);
        assertThat(cpu.guestMode).as("waits").isEqualTo(!ends);
        if (ends) {
            assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
            assertThat(machine.get64(VmcbLayout.V_INTR) & V_IRQ).isNotZero();
        }
    }

    @Test
    void anInterceptedNmiExitsAndStaysPendingUntilStgi() {
        machine.intercept(ExitCode.NMI);
        cpu.nmiPending = true;
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.NMI);
        assertThat(cpu.nmiPending).isTrue();
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        assertThat(cpu.events.poll()).as("GIF is clear").isFalse();
    }

    @Test
    void anNmiThatIsNotInterceptedGoesToTheGuest() {
        cpu.nmiPending = true;
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(handler(2));
        assertThat(cpu.nmiBlocked).isTrue();
    }

    @Test
    void anInterceptedSmiExits() {
        machine.intercept(ExitCode.SMI);
        cpu.smiPending = true;
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.SMI);
        assertThat(machine.info1()).as("asserted externally").isEqualTo(1);
    }

    @Test
    void anInterceptedInitExitsAndStaysPending() {
        machine.intercept(ExitCode.INIT);
        cpu.initPending = true;
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.INIT);
        assertThat(cpu.initPending).isTrue();
    }

    @Test
    void aRedirectedInitBecomesASecurityException() {
        machine.intercept(ExitCode.EXCEPTION + 30);
        cpu.msrs.vmCr = SvmLock.VM_CR_R_INIT;
        cpu.initPending = true;
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 30);
        assertThat(machine.info1()).isEqualTo(1);
        assertThat(cpu.initPending).isFalse();
    }

    @Test
    void aVirtualInterruptIsDelivered() {
        guestFlags(Cpu.IF);
        virtualInterrupt(4, 3, 0);
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(handler(VIRTUAL_VECTOR));
        machine.run(2);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(machine.get8(VmcbLayout.V_IRQ)).isZero();
    }

    @Test
    void aVirtualInterruptWaitsForTheGuestsFlag() {
        virtualInterrupt(4, 3, V_INTR_MASKING);
        machine.code(SvmMachine.GUEST_CODE, "90 fb 90 90");
        machine.vmrun();
        machine.run(3); // nop, sti, nop in the shadow
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 3);
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(handler(VIRTUAL_VECTOR));
        assertThat(machine.memory.read64(cpu.r[Cpu.RSP])).isEqualTo(SvmMachine.GUEST_CODE + 3);
    }

    @Test
    void aVirtualInterruptWaitsForTheVirtualTaskPriority() {
        guestFlags(Cpu.IF);
        virtualInterrupt(4, 4, V_INTR_MASKING);
        machine.code(SvmMachine.GUEST_CODE, "90 440f22c1 90"); // nop; mov cr8, rcx
        cpu.r[Cpu.RCX] = 3;
        machine.vmrun();
        machine.run(2);
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 5);
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(handler(VIRTUAL_VECTOR));
        assertThat(apic.tpr).as("the APIC's TPR is not touched while V_INTR_MASKING").isZero();
    }

    @Test
    void withoutMaskingCr8WritesGoToBothTprs() {
        machine.code(SvmMachine.GUEST_CODE, "440f22c1 f4");
        cpu.r[Cpu.RCX] = 6;
        machine.vmrunAndRun(2);
        assertThat(apic.tpr).isEqualTo(6);
        assertThat(machine.get8(VmcbLayout.V_TPR)).isEqualTo(6);
    }

    @Test
    void cr8ReadsTheVirtualTprWithMaskingOnly() {
        apic.tpr = 2;
        machine.code(SvmMachine.GUEST_CODE, "440f20c3 f4"); // mov rbx, cr8
        machine.put64(VmcbLayout.V_INTR, 9);
        machine.vmrunAndRun(2);
        assertThat(cpu.r[Cpu.RBX]).isEqualTo(2);
        cpu.rip = SvmMachine.HOST_CODE;
        machine.put64(VmcbLayout.RIP, SvmMachine.GUEST_CODE);
        machine.put64(VmcbLayout.V_INTR, 9 | V_INTR_MASKING);
        machine.vmrunAndRun(2);
        assertThat(cpu.r[Cpu.RBX]).isEqualTo(9);
    }

    @Test
    void anInterceptedVirtualInterruptExitsJustBeforeItIsTaken() {
        machine.intercept(ExitCode.VINTR);
        guestFlags(Cpu.IF);
        virtualInterrupt(4, 0, 0);
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.VINTR);
        assertThat(machine.get8(VmcbLayout.V_IRQ)).isEqualTo(1);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
    }

    @Test
    void theVirtualInterruptInterceptWaitsForTheGuestsFlag() {
        machine.intercept(ExitCode.VINTR);
        virtualInterrupt(4, 0, 0);
        machine.code(SvmMachine.GUEST_CODE, "90 fb 90 90");
        machine.vmrunAndRun(4);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.VINTR);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE + 3);
        assertThat(machine.get8(VmcbLayout.INTERRUPT_SHADOW)).isZero();
    }

    @Test
    void physicalInterruptsComeBeforeVirtualOnes() {
        machine.intercept(ExitCode.INTR);
        guestFlags(Cpu.IF);
        virtualInterrupt(4, 0, 0);
        apic.pending = VECTOR;
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.INTR);
        assertThat(machine.get8(VmcbLayout.V_IRQ)).isEqualTo(1);
    }

    @Test
    void virtualInterruptsDoNotReachTheHost() {
        guestFlags(Cpu.IF);
        machine.put64(VmcbLayout.INTERRUPT_SHADOW, 1);
        virtualInterrupt(4, 0, 0);
        machine.code(SvmMachine.GUEST_CODE, "f4");
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        cpu.gif = true;
        cpu.setRflags(Cpu.IF | 2);
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        assertThat(cpu.events.poll()).isFalse();
    }

    @Test
    void theHostTakesPendingInterruptsOnlyWithGifSet() {
        apic.pending = VECTOR;
        cpu.setRflags(Cpu.IF | 2);
        cpu.gif = false;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        assertThat(cpu.events.poll()).isFalse();
        assertThat(apic.pending).isEqualTo(VECTOR);
        machine.execute("0f01dc"); // stgi
        cpu.idtrBase = SvmMachine.IDT;
        cpu.idtrLimit = 0xfff;
        cpu.gdtrBase = SvmMachine.GDT;
        cpu.gdtrLimit = 0xfff;
        assertThat(cpu.attention & Cpu.ATTENTION_INTERRUPT).isNotZero();
        assertThat(cpu.events.poll()).isTrue();
        assertThat(cpu.rip).isEqualTo(handler(VECTOR));
    }

    @Test
    void anInitThatIsNotInterceptedLeavesTheGuestForGood() {
        machine.vmrun();
        assertThat(cpu.guestMode).isTrue();
        cpu.initPending = true;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        machine.step(1);
        assertThat(cpu.guestMode).isFalse();
        assertThat(cpu.svm.intercepted(ExitCode.HLT)).isFalse();
        assertThat(cpu.segBase[Cpu.CS] + cpu.rip).isEqualTo(0xffff_fff0L);
    }

    @Test
    void theShadowOfALoadOfSsIsSavedToo() {
        machine.put64(VmcbLayout.RAX, 0x18);
        machine.code(SvmMachine.GUEST_CODE, "8ed0 f4"); // mov ss, ax; hlt
        machine.vmrunAndRun(2);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(machine.get64(VmcbLayout.INTERRUPT_SHADOW)).isEqualTo(1);
    }

    /** §15.21.9: the shadow holds back the guest's NMIs, not the exit. */
    @Test
    void anInterceptedNmiIsNotDelayedByTheShadow() {
        machine.intercept(ExitCode.NMI);
        machine.put64(VmcbLayout.INTERRUPT_SHADOW, 1);
        cpu.nmiPending = true;
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.NMI);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
        assertThat(machine.get8(VmcbLayout.INTERRUPT_SHADOW)).isEqualTo(1);
    }

    @Test
    void anNmiWaitsForTheShadowsEnd() {
        machine.put64(VmcbLayout.INTERRUPT_SHADOW, 1);
        cpu.nmiPending = true;
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 1);
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(handler(2));
    }

    /** Table 15-13 knows no blocking. */
    @Test
    void anInterceptedNmiExitsThoughNmisAreBlocked() {
        machine.intercept(ExitCode.NMI);
        cpu.nmiPending = true;
        cpu.nmiBlocked = true;
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.NMI);
        assertThat(cpu.nmiPending).isTrue();
    }

    @Test
    void popSsHasAShadow() {
        machine.protected32();
        machine.memory.write(SvmMachine.GUEST_STACK, 4, 0x18);
        machine.code(SvmMachine.GUEST_CODE, "17 f4"); // pop ss; hlt
        machine.vmrunAndRun(2);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(machine.get8(VmcbLayout.INTERRUPT_SHADOW)).isEqualTo(1);
    }

    @Test
    void aVirtualInterruptsVectorHasEightBits() {
        guestFlags(Cpu.IF);
        machine.put64(VmcbLayout.V_INTR, V_IRQ | 15 << 16 | 0xe1L << 32);
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(handler(0xe1));
    }

    private void interruptingPort() {
        machine.ports.claim(
                0x80,
                1,
                new PortDevice() {
                    @Override
                    public int in(int port, int size) {
                        return 0;
                    }

                    @Override
                    public void out(int port, int size, int value) {
                        apic.pending = VECTOR;
                        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
                    }
                });
        machine.code(SvmMachine.GUEST_CODE, "ba80000000 b903000000 f36e f4"); // rep outsb
        guestFlags(Cpu.IF);
        cpu.r[Cpu.RSI] = 0x8_0000;
        cpu.setRflags(Cpu.IF | 2);
        cpu.idtrBase = SvmMachine.IDT;
        cpu.idtrLimit = 0xfff;
        cpu.gdtrBase = SvmMachine.GDT;
        cpu.gdtrLimit = 0xfff;
    }

    /** §3.1.6: it hides a breakpoint on the instruction that goes on. */
    @Test
    void anInterruptedStringInstructionPushesTheResumeFlag() {
        interruptingPort();
        machine.vmrun();
        machine.run(4);
        assertThat(cpu.rip).isEqualTo(handler(VECTOR));
        assertThat(cpu.r[Cpu.RCX]).isEqualTo(2);
        assertThat(machine.memory.read64(cpu.r[Cpu.RSP])).isEqualTo(SvmMachine.GUEST_CODE + 10);
        assertThat(machine.memory.read64(cpu.r[Cpu.RSP] + 16) & Cpu.RF).isNotZero();
    }

    @Test
    void theHostsInterruptIsNotThatOfTheGuestsStringInstruction() {
        machine.intercept(ExitCode.INTR);
        interruptingPort();
        assertThat(machine.vmrunAndRun(4)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.INTR);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE + 10);
        assertThat(machine.execute("0f01dc")).isNull(); // STGI
        machine.step(1);
        assertThat(cpu.rip).isEqualTo(handler(VECTOR));
        assertThat(machine.memory.read64(cpu.r[Cpu.RSP] + 16) & Cpu.RF).isZero();
    }
}
