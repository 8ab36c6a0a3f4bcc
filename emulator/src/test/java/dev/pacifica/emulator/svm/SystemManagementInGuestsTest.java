package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.memory.PortDevice;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** SMIs and SMM beside guests: §15.13.3, §15.22, §15.30.3, §15.32. */
class SystemManagementInGuestsTest {
    private static final int HANDLER = 0x38000;
    private static final int SAVED = 0x3fe00;
    private static final int NOTE = 0x500;
    private static final int HWCR = 0xc001_0015;
    private static final int SMM_CTL = 0xc001_0116;
    private static final int PORT = 0xb2;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @BeforeEach
    void guest() {
        machine.code(SvmMachine.GUEST_CODE, "90 90 90 f4");
        machine.code(HANDLER, "c706 0005 3412 0faa"); // mov word [500h], 1234h; rsm
        machine.intercept(ExitCode.HLT);
    }

    @AfterEach
    void release() {
        machine.close();
    }

    private void smi() {
        cpu.smiPending = true;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
    }

    private long saved(int offset, int size) {
        return machine.memory.read(SAVED + offset, size);
    }

    private void smiPort() {
        machine.ports.claim(
                PORT,
                1,
                new PortDevice() {
                    @Override
                    public int in(int port, int size) {
                        return 0;
                    }

                    @Override
                    public void out(int port, int size, int value) {
                        smi();
                    }
                });
    }

    @Test
    void anSmiThatIsNotInterceptedRunsTheHandlerAndReturnsToTheGuest() {
        machine.put64(VmcbLayout.V_INTR, 1 << 24 | 5); // V_INTR_MASKING, V_TPR 5
        machine.put64(VmcbLayout.TSC_OFFSET, 1 << 20);
        cpu.setRflags(Cpu.IF | 2);
        machine.vmrun();
        machine.step(1);
        smi();
        machine.step(1);
        assertThat(cpu.smm.active()).isTrue();
        assertThat(cpu.guestMode).isFalse();
        assertThat(cpu.rip).isEqualTo(0x8000);
        assertThat(saved(0xd8, 8)).isEqualTo(0xa); // a guest, and the host's IF
        assertThat(saved(0xe0, 8)).isEqualTo(SvmMachine.VMCB);
        assertThat(saved(0xe8, 8)).isEqualTo(1 << 24 | 5);
        assertThat(saved(0x128, 8)).isEqualTo(0x1d00);
        assertThat(saved(0x130, 8)).isEqualTo(Cpu.CR4_PAE);
        assertThat(saved(0x138, 8)).isEqualTo(SvmMachine.HOST_PML4);
        assertThat(saved(0x140, 8)).isEqualTo(0x8001_0031L);
        assertThat(saved(0x150, 8)).isEqualTo(SvmMachine.GUEST_PML4);
        assertThat(saved(0x178, 8)).isEqualTo(SvmMachine.GUEST_CODE + 1);
        machine.step(2);
        assertThat(machine.memory.read(NOTE, 2)).isEqualTo(0x1234);
        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 1);
        assertThat(svmTsc()).isEqualTo(1 << 20);
        assertThat(machine.run(10)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HOST_CODE + 3);
        assertThat(cpu.cr3).isEqualTo(SvmMachine.HOST_PML4);
    }

    private long svmTsc() {
        return machine.svm.timeStamp() - cpu.tsc();
    }

    @Test
    void theHandlerIsSubjectToNoIntercept() {
        machine.code(HANDLER, "0fa2 0f31 e4b2 0faa"); // cpuid; rdtsc; in al, b2h; rsm
        machine.intercept(ExitCode.CPUID);
        machine.intercept(ExitCode.RDTSC);
        machine.intercept(ExitCode.RSM);
        machine.interceptPort(PORT);
        machine.put64(VmcbLayout.TSC_OFFSET, 1L << 40);
        machine.vmrun();
        smi();
        machine.step(3);
        assertThat(cpu.r[Cpu.RDX]).isZero(); // of the host's TSC
        machine.step(2);
        assertThat(cpu.guestMode).isTrue();
        assertThat(machine.run(10)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
    }

    @Test
    void aGuestWithNestedPagingGoesOnWithItsOwnTranslationsAndPat() {
        machine.nestedPaging();
        machine.put64(VmcbLayout.G_PAT, 0x0606_0606_0606_0606L);
        machine.nestedPage(0x70000, 0x71000 | SvmMachine.P | SvmMachine.W | SvmMachine.U);
        machine.memory.write(0x71000, 4, 0x77);
        machine.code(SvmMachine.GUEST_CODE, "90 a1 0000070000000000 f4"); // mov eax, [70000h]
        machine.vmrun();
        smi();
        machine.step(1);
        assertThat(saved(0xd8, 8)).isEqualTo(6);
        assertThat(saved(0x120, 8)).isEqualTo(0x0606_0606_0606_0606L);
        assertThat(cpu.msrs.pat).isEqualTo(SvmMachine.PAT);
        machine.step(2);
        assertThat(cpu.msrs.pat).isEqualTo(0x0606_0606_0606_0606L);
        assertThat(machine.run(10)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(machine.get64(VmcbLayout.RAX)).isEqualTo(0x77);
    }

    @Test
    void savedInTheHandlerTheGuestGoesOnFromThere() {
        machine.nestedPaging();
        machine.put64(VmcbLayout.G_PAT, 0x0606_0606_0606_0606L);
        machine.vmrun();
        smi();
        machine.step(1);
        BinaryStateWriter out = new BinaryStateWriter();
        cpu.save(out);
        cpu.svm.save(out);
        cpu.mmu.save(out);
        machine.step(2);
        assertThat(machine.run(10)).isTrue();
        BinaryStateReader in = new BinaryStateReader(out.toByteArray());
        cpu.load(in);
        cpu.svm.load(in);
        cpu.mmu.load(in);
        assertThat(cpu.smm.active()).isTrue();
        assertThat(cpu.guestMode).isFalse();
        machine.memory.write(NOTE, 2, 0);
        machine.put64(VmcbLayout.EXITCODE, 0);
        machine.step(2);
        assertThat(machine.memory.read(NOTE, 2)).isEqualTo(0x1234);
        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.msrs.pat).isEqualTo(0x0606_0606_0606_0606L);
        assertThat(machine.run(10)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HOST_CODE + 3);
    }

    @Test
    void aHaltedGuestHaltsAgainAfterRsm() {
        machine.put32(VmcbLayout.INTERCEPT_MISC1, 0);
        machine.code(SvmMachine.GUEST_CODE, "f4 90");
        machine.vmrun();
        machine.step(1);
        smi();
        machine.step(1);
        assertThat(saved(0xc9, 1)).isEqualTo(1);
        machine.step(2);
        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.activity).isEqualTo(Cpu.HALTED);
    }

    @Test
    void theHandlersInstructionsAreNotTheGuests() {
        Recorder recorder = new Recorder();
        cpu.observer = recorder;
        machine.code(HANDLER, "90 90 90 90 0faa");
        machine.vmrun();
        machine.step(1);
        smi();
        machine.step(6);
        assertThat(cpu.guestMode).isTrue();
        assertThat(machine.run(10)).isTrue();
        assertThat(recorder.lines).last().isEqualTo("vmexit 10000 code 78 after 3");
    }

    @Test
    void aShutdownInTheHandlerIsNotIntercepted() {
        machine.intercept(ExitCode.SHUTDOWN);
        machine.code(HANDLER, "2ec706fcfe0000 0faa"); // spoils the revision identifier
        machine.vmrun();
        smi();
        machine.step(3);
        assertThat(cpu.activity).isEqualTo(Cpu.SHUTDOWN);
        assertThat(cpu.guestMode).isFalse();
    }

    @Test
    void theHandlersChangesReachTheGuest() {
        // mov dword [cs:fff8h], 42h; add word [cs:ff78h], 1; rsm
        machine.code(HANDLER, "2e66c706f8ff42000000 2e830678ff01 0faa");
        machine.vmrun();
        smi();
        machine.step(4);
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 1);
        assertThat(cpu.r[Cpu.RAX]).isEqualTo(0x42);
    }

    @Test
    void rsmMayReturnToPagedRealMode() {
        machine.real();
        machine.put64(VmcbLayout.CR0, Cpu.CR0_ET | Cpu.CR0_PG); // §15.19
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PSE);
        machine.memory.write(0x7_0000, 4, 0x83);
        machine.put64(VmcbLayout.CR3, 0x7_0000);
        machine.vmrun();
        smi();
        machine.step(3);
        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.activity).isEqualTo(Cpu.RUNNING);
        assertThat(cpu.cr0).isEqualTo(Cpu.CR0_ET | Cpu.CR0_PG);
        assertThat(machine.run(10)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
    }

    @Test
    void anInterceptedExternalSmiExitsAndStaysPending() {
        machine.intercept(ExitCode.SMI);
        machine.vmrun();
        smi();
        machine.step(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.SMI);
        assertThat(machine.info1()).isEqualTo(1); // SMISRC: external
        assertThat(cpu.smiPending).isTrue();
        assertThat(machine.execute("0f01dc")).isNull(); // STGI takes it, in the host
        machine.step(1);
        assertThat(cpu.smm.active()).isTrue();
        assertThat(saved(0xd8, 8)).isZero();
        machine.step(2);
        assertThat(cpu.guestMode).isFalse();
        assertThat(cpu.cr3).isEqualTo(SvmMachine.HOST_PML4);
        assertThat(cpu.gif).isTrue();
    }

    @Test
    void theExitDoesNotWaitForTheShadowsEnd() {
        machine.intercept(ExitCode.SMI);
        machine.put64(VmcbLayout.INTERRUPT_SHADOW, 1);
        smi();
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.SMI);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
        assertThat(machine.get8(VmcbLayout.INTERRUPT_SHADOW)).isEqualTo(1);
    }

    @Test
    void theExitTellsOfTheIoInstructionThatCausedTheSmi() {
        smiPort();
        machine.intercept(ExitCode.SMI);
        machine.code(SvmMachine.GUEST_CODE, "e6 b2 f4");
        assertThat(machine.vmrunAndRun(3)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.SMI);
        // port, A64, SZ8, VAL; external
        assertThat(machine.info1()).isEqualTo(0x00b2_0000L << 32 | 0x212L << 32 | 1);
        assertThat(machine.info2()).isEqualTo(SvmMachine.GUEST_CODE);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE + 2);
        assertThat(cpu.smiPending).isTrue();
    }

    /** Figure 15-3: BRP and TF. */
    @Test
    void theExitTellsTheDebugTrapsOfTheIoInstruction() {
        smiPort();
        machine.intercept(ExitCode.SMI);
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | Cpu.CR4_DE);
        machine.put64(VmcbLayout.RFLAGS, Cpu.TF | 2);
        machine.put64(VmcbLayout.DR7, 0x0200_0420); // DR2, I/O, one byte
        cpu.dr[2] = PORT;
        machine.code(SvmMachine.GUEST_CODE, "e6 b2 f4");
        assertThat(machine.vmrunAndRun(3)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.SMI);
        assertThat(machine.info1()).isEqualTo(0x00b2_4a12L << 32 | 1);
    }

    @Test
    void theExitTellsTheSegmentAndRepeatOfAString() {
        smiPort();
        machine.intercept(ExitCode.SMI);
        machine.code(SvmMachine.GUEST_CODE, "66ba b200 f3 65 67 6e f4"); // rep outsb gs:[esi]
        cpu.r[Cpu.RCX] = 2;
        assertThat(machine.vmrunAndRun(4)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.SMI);
        // port, A32, SZ8, REP, STR, VAL; segment GS (5)
        assertThat(machine.info1()).isEqualTo(0x00b2_011eL << 32 | 5 << 10 | 1);
        assertThat(machine.info2()).isEqualTo(SvmMachine.GUEST_CODE + 4);
        assertThat(cpu.r[Cpu.RCX]).isEqualTo(1);
    }

    @Test
    void anInterceptedInternalSmiExitsAndIsGone() {
        cpu.msrs.write(0xc001_0050, 1L << 62 | 0xff_ffffL << 32 | PORT);
        cpu.msrs.write(0xc001_0054, 1 << 15 | 2);
        machine.intercept(ExitCode.SMI);
        machine.code(SvmMachine.GUEST_CODE, "e6 b2 f4");
        assertThat(machine.vmrunAndRun(3)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.SMI);
        assertThat(machine.info1()).isEqualTo(0x00b2_0212L << 32); // SMISRC: internal
        assertThat(machine.info2()).isEqualTo(SvmMachine.GUEST_CODE);
        assertThat(cpu.smiPending).isFalse();
        machine.execute("0f01dc"); // STGI
        machine.step(1);
        assertThat(cpu.smm.active()).isFalse();
    }

    @Test
    void anInterceptedIoInstructionCausesNoSmi() {
        smiPort();
        machine.intercept(ExitCode.SMI);
        machine.interceptPort(PORT);
        machine.code(SvmMachine.GUEST_CODE, "e6 b2 f4");
        assertThat(machine.vmrunAndRun(3)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.IOIO);
        assertThat(cpu.smiPending).isFalse();
    }

    @Test
    void smmlockSwitchesTheInterceptOff() {
        cpu.msrs.write(HWCR, 1);
        machine.intercept(ExitCode.SMI);
        machine.vmrun();
        smi();
        machine.step(1);
        assertThat(cpu.smm.active()).isTrue();
        machine.step(2);
        assertThat(machine.run(10)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
    }

    @Test
    void withGifClearAnSmiWaitsForTheGuest() {
        cpu.gif = false;
        smi();
        machine.step(1); // VMRUN, which sets GIF
        assertThat(cpu.guestMode).isTrue();
        machine.step(1);
        assertThat(cpu.smm.active()).isTrue();
        assertThat(saved(0xd8, 8)).isEqualTo(2);
        assertThat(saved(0x178, 8)).isEqualTo(SvmMachine.GUEST_CODE);
    }

    @Test
    void anInterceptedRsmExitsInAGuest() {
        machine.intercept(ExitCode.RSM);
        machine.code(SvmMachine.GUEST_CODE, "0faa");
        assertThat(machine.vmrunAndRun(2)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.RSM);
    }

    @Test
    void rsmInAGuestOutsideSmmIsUndefined() {
        machine.intercept(ExitCode.EXCEPTION + GuestException.UD);
        machine.code(SvmMachine.GUEST_CODE, "0faa");
        assertThat(machine.vmrunAndRun(2)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + GuestException.UD);
    }

    @Test
    void vmrunIsUndefinedInAHandler() {
        smi();
        machine.step(1);
        cpu.efer = Cpu.EFER_SVME;
        cpu.cr0 |= Cpu.CR0_PE;
        cpu.updateMode();
        GuestException fault = machine.execute("0f01d8");
        assertThat(fault).isNotNull();
        assertThat(fault.vector).isEqualTo(GuestException.UD);
    }

    @Test
    void aVmcbInHiddenSmramIsNone() {
        cpu.msrs.write(0xc001_0112, 0);
        cpu.msrs.write(0xc001_0113, 0xffff_fffe_0000L | 2); // TSeg is 0 to 1FFFFh
        GuestException fault = machine.execute("0f01d8");
        assertThat(fault).isNotNull();
        assertThat(fault.vector).isEqualTo(GuestException.GP);
    }

    /** Appendix D: the hypervisor takes the SMI and runs the handler as a guest in real mode. */
    @Test
    void aHypervisorCanContainSmm() {
        machine.intercept(ExitCode.SMI);
        machine.vmrun();
        smi();
        machine.step(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.SMI);
        cpu.msrs.write(SMM_CTL, 2 | 4 | 1); // ENTER, SMI_CYCLE, DISMISS
        assertThat(cpu.smiPending).isFalse();

        machine.real();
        machine.segment(VmcbLayout.CS, 0x3000, 0x89b, 0xffff_ffffL, 0x30000);
        machine.segment(VmcbLayout.DS, 0, 0x893, 0xffff_ffffL, 0);
        machine.put64(VmcbLayout.RIP, 0x8000);
        machine.put32(VmcbLayout.ASID, 2);
        machine.intercept(ExitCode.RSM);
        cpu.r[Cpu.RAX] = SvmMachine.VMCB;
        cpu.nmiPending = true; // SMM blocks it, in the container too
        machine.intercept(ExitCode.NMI);
        assertThat(machine.execute("0f01d8")).isNull();
        smi(); // and this
        assertThat(machine.run(4)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.RSM);
        assertThat(machine.memory.read(NOTE, 2)).isEqualTo(0x1234);
        assertThat(cpu.smm.active()).isTrue();

        cpu.msrs.write(SMM_CTL, 8 | 16); // EXIT, RSM_CYCLE
        assertThat(cpu.smm.active()).isFalse();
        assertThat(cpu.smiPending).isTrue();
        assertThat(cpu.nmiPending).isTrue();
    }
}
