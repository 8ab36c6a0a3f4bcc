package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What VMRUN loads and #VMEXIT stores and restores: §15.5.1, §15.6, §15.7.1. */
class WorldSwitchTest {
    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @AfterEach
    void release() {
        machine.close();
    }

    private void exit() {
        machine.svm.exit(ExitCode.HLT, 0, 0);
    }

    @Test
    void vmrunLoadsTheGuest() {
        machine.segment(VmcbLayout.CS, 0x1234, 0xa9b, 0x1111_1111, 0x2000);
        machine.segment(VmcbLayout.SS, 0x2345, 0xc93, 0x2222_2222, 0x3000);
        machine.segment(VmcbLayout.DS, 0x3456, 0xcf3, 0x3333_3333, 0x4000);
        machine.segment(VmcbLayout.ES, 0x4567, 0x493, 0x4444_4444, 0x5000);
        machine.put64(VmcbLayout.GDTR + VmcbLayout.BASE, 0xffff_8000_0000_1000L);
        machine.put32(VmcbLayout.GDTR + VmcbLayout.LIMIT, 0x7f);
        machine.put64(VmcbLayout.IDTR + VmcbLayout.BASE, 0x7000);
        machine.put32(VmcbLayout.IDTR + VmcbLayout.LIMIT, 0xabcd_0fff);
        machine.put64(VmcbLayout.RAX, 0x1122_3344_5566_7788L);
        machine.put64(VmcbLayout.RSP, 0x8888);
        machine.put64(VmcbLayout.RIP, 0x9999);
        machine.put64(VmcbLayout.RFLAGS, Cpu.IF | Cpu.CF | Cpu.DF | 2);
        machine.put64(VmcbLayout.CR2, 0xdead_beefL);
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | Cpu.CR4_PGE);
        machine.put64(VmcbLayout.DR6, 0xffff_7ff1L);
        machine.put64(VmcbLayout.TSC_OFFSET, -5);
        machine.put64(VmcbLayout.V_INTR, 7 | 1 << 8 | 9 << 16 | 1 << 24 | 0x31L << 32);
        machine.put8(VmcbLayout.INTERRUPT_SHADOW, 1);
        cpu.gif = false;
        machine.vmrun();

        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.gif).isTrue();
        assertThat(cpu.segSelector).startsWith(0x4567, 0x1234, 0x2345, 0x3456);
        assertThat(cpu.segAttr).startsWith(0x493, 0xa9b, 0xc93, 0xcf3);
        assertThat(cpu.segLimit).startsWith(0x4444_4444L, 0x1111_1111L, 0x2222_2222L, 0x3333_3333L);
        assertThat(cpu.segBase).startsWith(0x5000, 0x2000, 0x3000, 0x4000);
        assertThat(cpu.gdtrBase).isEqualTo(0xffff_8000_0000_1000L);
        assertThat(cpu.gdtrLimit).isEqualTo(0x7f);
        assertThat(cpu.idtrBase).isEqualTo(0x7000);
        assertThat(cpu.idtrLimit).as("only 16 bits of the limit exist").isEqualTo(0x0fff);
        assertThat(cpu.r[Cpu.RAX]).isEqualTo(0x1122_3344_5566_7788L);
        assertThat(cpu.r[Cpu.RSP]).isEqualTo(0x8888);
        assertThat(cpu.rip).isEqualTo(0x9999);
        assertThat(cpu.rflags()).isEqualTo(Cpu.IF | Cpu.CF | Cpu.DF | 2);
        assertThat(cpu.cr2).isEqualTo(0xdead_beefL);
        assertThat(cpu.cr3).isEqualTo(SvmMachine.GUEST_PML4);
        assertThat(cpu.cr4).isEqualTo(Cpu.CR4_PAE | Cpu.CR4_PGE);
        assertThat(cpu.dr[6]).as("bit 12 is always 0").isEqualTo(0xffff_6ff1L);
        assertThat(machine.svm.timeStamp() - machine.cpu.tsc()).isEqualTo(-5);
        assertThat(machine.svm.virtualTaskPriority()).isEqualTo(7);
        assertThat(machine.svm.virtualInterruptMasking()).isTrue();
        assertThat(machine.svm.pendingVirtualInterrupt()).isEqualTo(0x31);
        assertThat(cpu.interruptShadow).isTrue();
    }

    @Test
    void vmexitBringsTheHostBack() {
        cpu.setRflags(Cpu.IF | Cpu.SF | Cpu.RF | 2);
        cpu.gdtrBase = 0x1230;
        cpu.gdtrLimit = 0x67;
        cpu.idtrBase = 0x4560;
        cpu.idtrLimit = 0x89;
        cpu.segBase[Cpu.DS] = 0x777;
        cpu.dr[7] = 0x401;
        cpu.cr4 |= Cpu.CR4_PGE;
        machine.put64(VmcbLayout.TSC_OFFSET, 1000);
        machine.put64(VmcbLayout.V_INTR, 1 << 8 | 9 << 16 | 1 << 24 | 0x31L << 32);
        machine.vmrun();
        cpu.segBase[Cpu.DS] = 1;
        cpu.r[Cpu.RSP] = 2;
        cpu.r[Cpu.RAX] = 3;
        cpu.r[Cpu.RBX] = 4;
        cpu.cr2 = 5;
        exit();

        assertThat(cpu.guestMode).isFalse();
        assertThat(cpu.gif).isFalse();
        assertThat(cpu.rip).isEqualTo(SvmMachine.HOST_CODE + 3);
        assertThat(cpu.r[Cpu.RSP]).isEqualTo(SvmMachine.HOST_STACK);
        assertThat(cpu.r[Cpu.RAX]).isEqualTo(SvmMachine.VMCB);
        assertThat(cpu.r[Cpu.RBX]).as("other registers are the hypervisor's business").isEqualTo(4);
        assertThat(cpu.rflags()).as("VMRUN completes, so RF goes").isEqualTo(Cpu.IF | Cpu.SF | 2);
        assertThat(cpu.gdtrBase).isEqualTo(0x1230);
        assertThat(cpu.gdtrLimit).isEqualTo(0x67);
        assertThat(cpu.idtrBase).isEqualTo(0x4560);
        assertThat(cpu.idtrLimit).isEqualTo(0x89);
        assertThat(cpu.segBase[Cpu.DS]).isEqualTo(0x777);
        assertThat(cpu.cr3).isEqualTo(SvmMachine.HOST_PML4);
        assertThat(cpu.cr4).isEqualTo(Cpu.CR4_PAE | Cpu.CR4_PGE);
        assertThat(cpu.cr2).as("CR2 is not switched back").isEqualTo(5);
        assertThat(cpu.dr[7]).as("breakpoints are disabled").isEqualTo(0x400);
        assertThat(cpu.cpl).isZero();
        assertThat(cpu.mode64).isTrue();
        assertThat(machine.svm.timeStamp() - machine.cpu.tsc()).isZero();
        assertThat(machine.svm.pendingVirtualInterrupt()).isEqualTo(-1);
        assertThat(machine.svm.virtualInterruptMasking()).isFalse();
        assertThat(machine.svm.intercepted(ExitCode.VMRUN)).isFalse();
    }

    @Test
    void vmexitStoresTheGuest() {
        machine.vmrun();
        cpu.segSelector[Cpu.ES] = 0x99;
        cpu.segAttr[Cpu.SS] = 0xc93;
        cpu.segLimit[Cpu.CS] = 0x8765_4321L;
        cpu.segBase[Cpu.DS] = 0xabc0;
        cpu.gdtrBase = 0x111;
        cpu.gdtrLimit = 0x22;
        cpu.idtrBase = 0x333;
        cpu.idtrLimit = 0x44;
        cpu.cpl = 2;
        cpu.cr0 |= Cpu.CR0_TS;
        cpu.cr2 = 0x5678;
        cpu.cr3 = 0x31000;
        cpu.cr4 |= Cpu.CR4_OSFXSR;
        cpu.efer |= Cpu.EFER_SCE;
        cpu.dr[6] = 0xffff_4ff0L;
        cpu.dr[7] = 0x755;
        cpu.rip = 0x5_0010;
        cpu.r[Cpu.RSP] = 0x777;
        cpu.r[Cpu.RAX] = -2;
        cpu.setRflags(Cpu.ZF | Cpu.IF | 2);
        cpu.insnLength = 2;
        machine.svm.setVirtualTaskPriority(11);
        machine.svm.exit(ExitCode.CR_READ + 3, 0x8000_0000_0000_0005L, 0x66);

        assertThat(machine.exitCode()).isEqualTo(3);
        assertThat(machine.info1()).isEqualTo(0x8000_0000_0000_0005L);
        assertThat(machine.info2()).isEqualTo(0x66);
        assertThat(machine.get64(VmcbLayout.NRIP)).isEqualTo(0x5_0012);
        assertThat(machine.get64(VmcbLayout.EXITINTINFO)).isZero();
        assertThat(machine.get16(VmcbLayout.ES)).isEqualTo(0x99);
        assertThat(machine.get16(VmcbLayout.SS + VmcbLayout.ATTRIBUTES)).isEqualTo(0xc93);
        assertThat(machine.get32(VmcbLayout.CS + VmcbLayout.LIMIT)).isEqualTo(0x8765_4321L);
        assertThat(machine.get64(VmcbLayout.DS + VmcbLayout.BASE)).isEqualTo(0xabc0);
        assertThat(machine.get64(VmcbLayout.GDTR + VmcbLayout.BASE)).isEqualTo(0x111);
        assertThat(machine.get32(VmcbLayout.GDTR + VmcbLayout.LIMIT)).isEqualTo(0x22);
        assertThat(machine.get64(VmcbLayout.IDTR + VmcbLayout.BASE)).isEqualTo(0x333);
        assertThat(machine.get32(VmcbLayout.IDTR + VmcbLayout.LIMIT)).isEqualTo(0x44);
        assertThat(machine.get8(VmcbLayout.CPL)).isEqualTo(2);
        assertThat(machine.get64(VmcbLayout.CR0) & Cpu.CR0_TS).isNotZero();
        assertThat(machine.get64(VmcbLayout.CR2)).isEqualTo(0x5678);
        assertThat(machine.get64(VmcbLayout.CR3)).isEqualTo(0x31000);
        assertThat(machine.get64(VmcbLayout.CR4) & Cpu.CR4_OSFXSR).isNotZero();
        assertThat(machine.get64(VmcbLayout.EFER) & Cpu.EFER_SCE).isNotZero();
        assertThat(machine.get64(VmcbLayout.DR6)).isEqualTo(0xffff_4ff0L);
        assertThat(machine.get64(VmcbLayout.DR7)).isEqualTo(0x755);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(0x5_0010);
        assertThat(machine.get64(VmcbLayout.RSP)).isEqualTo(0x777);
        assertThat(machine.get64(VmcbLayout.RAX)).isEqualTo(-2);
        assertThat(machine.get64(VmcbLayout.RFLAGS)).isEqualTo(Cpu.ZF | Cpu.IF | 2);
        assertThat(machine.get8(VmcbLayout.V_TPR)).isEqualTo(11);
    }

    @Test
    void registersOfVmloadAreNotSwitched() {
        cpu.segBase[Cpu.FS] = 0x1000;
        cpu.segSelector[Cpu.TR] = 0x40;
        cpu.msrs.lstar = 0x7777;
        machine.vmrun();
        assertThat(cpu.segBase[Cpu.FS]).isEqualTo(0x1000);
        assertThat(cpu.segSelector[Cpu.TR]).isEqualTo(0x40);
        assertThat(cpu.msrs.lstar).isEqualTo(0x7777);
        cpu.msrs.lstar = 0x8888;
        exit();
        assertThat(cpu.msrs.lstar).isEqualTo(0x8888);
    }

    @Test
    void interruptShadowGoesToTheVmcb() {
        machine.put64(VmcbLayout.INTERRUPT_SHADOW, 1);
        machine.vmrun();
        exit();
        assertThat(machine.get8(VmcbLayout.INTERRUPT_SHADOW)).isEqualTo(1);
        assertThat(cpu.interruptShadow).isFalse();
        machine.vmrun();
        cpu.interruptShadow = false;
        exit();
        assertThat(machine.get8(VmcbLayout.INTERRUPT_SHADOW)).isZero();
    }

    @Test
    void theHostsShadowIsNotTheGuests() {
        cpu.stackShadow = true; // mov ss; vmrun
        machine.vmrun();
        assertThat(cpu.stackShadow).isFalse();
        exit();
        assertThat(machine.get8(VmcbLayout.INTERRUPT_SHADOW)).isZero();
    }

    /** There is no virtual-8086 mode in long mode. */
    @Test
    void theVmFlagMeansNothingInLongMode() {
        machine.put64(VmcbLayout.RFLAGS, Cpu.VM | 2);
        machine.vmrun();
        assertThat(cpu.cpl).isZero();
        exit();
        assertThat(machine.get64(VmcbLayout.RFLAGS) & Cpu.VM).isZero();
    }

    /** As at RSM: a guest that then sets CR0.PE would be in virtual-8086 mode at CPL 0. */
    @Test
    void theVmFlagMeansNothingInRealMode() {
        machine.real();
        machine.put64(VmcbLayout.RFLAGS, Cpu.VM | 2);
        machine.vmrun();
        assertThat(cpu.rflags() & Cpu.VM).isZero();
    }

    @Test
    void aTakenVirtualInterruptIsClearInTheVmcb() {
        machine.put64(VmcbLayout.V_INTR, 1 << 8 | 9 << 16 | 0x31L << 32);
        machine.vmrun();
        exit();
        assertThat(machine.get8(VmcbLayout.V_IRQ)).isEqualTo(1);
        machine.vmrun();
        machine.svm.acknowledgeVirtualInterrupt();
        exit();
        assertThat(machine.get8(VmcbLayout.V_IRQ)).isZero();
        assertThat(machine.get8(VmcbLayout.V_INTR + 4)).as("the vector stays").isEqualTo(0x31);
    }

    @Test
    void anEventInDeliveryGoesToExitIntInfo() {
        machine.vmrun();
        cpu.events.delivering = true;
        cpu.events.deliveringInfo = 1L << 31 | 1 << 11 | 3 << 8 | 13 | 0x28L << 32;
        exit();
        assertThat(machine.get64(VmcbLayout.EXITINTINFO))
                .isEqualTo(1L << 31 | 1 << 11 | 3 << 8 | 13 | 0x28L << 32);
        assertThat(cpu.events.delivering).isFalse();
    }

    @Test
    void vmexitClearsTheInjectedEvent() {
        machine.put64(VmcbLayout.EVENTINJ, 3 << 8 | 14); // V clear
        machine.vmrun();
        exit();
        assertThat(machine.get64(VmcbLayout.EVENTINJ)).isZero();
    }

    @Test
    void nextRipIsZeroForEventsAndSetForInstructions() {
        for (int code = 0; code <= ExitCode.IDLE_HLT; code++) {
            machine.vmrun();
            cpu.insnLength = 3;
            machine.svm.exit(code, 0, 0);
            boolean exception = code >= 0x40 && code < 0x60;
            boolean event =
                    code >= 0x60 && code <= 0x64
                            || code == 0x7d
                            || code == 0x7e
                            || code == 0x7f
                            || code >= 0x8f && code <= 0x9f // write traps: RIP is the next one
                            || code == 0xa5;
            boolean expected = exception ? code >= 0x43 && code <= 0x45 : !event;
            assertThat(machine.get64(VmcbLayout.NRIP))
                    .as("code %x", code)
                    .isEqualTo(expected ? SvmMachine.GUEST_CODE + 3 : 0);
            cpu.rip = SvmMachine.HOST_CODE;
        }
    }

    @Test
    void realModeForcesPrivilegeZero() {
        machine.real();
        machine.put8(VmcbLayout.CPL, 3);
        machine.vmrun();
        assertThat(cpu.cpl).isZero();
        assertThat(cpu.protectedMode).isFalse();
        assertThat(cpu.codeBits).isEqualTo(16);
        exit();
        assertThat(machine.get8(VmcbLayout.CPL)).isZero();
        assertThat(cpu.mode64).isTrue();
    }

    @Test
    void virtual8086ModeForcesPrivilegeThree() {
        machine.protected32();
        machine.put64(VmcbLayout.RFLAGS, Cpu.VM | 2);
        machine.put8(VmcbLayout.CPL, 0);
        machine.vmrun();
        assertThat(cpu.cpl).isEqualTo(3);
        assertThat(cpu.vm86).isTrue();
        exit();
        assertThat(cpu.vm86).isFalse();
        assertThat(cpu.cpl).isZero();
    }

    @Test
    void otherwiseThePrivilegeComesFromTheVmcbAndStackDplFollows() {
        machine.put8(VmcbLayout.CPL, 3);
        machine.vmrun();
        assertThat(cpu.cpl).isEqualTo(3);
        assertThat(cpu.segAttr[Cpu.SS]).isEqualTo(SvmMachine.DATA | 3 << 5);
    }

    @Test
    void aNullStackSegmentStaysNull() {
        machine.segment(VmcbLayout.SS, 0, 0, 0, 0);
        machine.vmrun();
        assertThat(cpu.segAttr[Cpu.SS]).isZero();
    }

    @Test
    void codeSegmentsArePresentCodeWhateverTheVmcbSays() {
        machine.real();
        machine.segment(VmcbLayout.CS, 0x5000, 0x003, 0xffff, 0x50000);
        machine.vmrun();
        assertThat(cpu.segAttr[Cpu.CS]).isEqualTo(0x09b);
    }

    @Test
    void basesAreCanonicalizedAndNarrow() {
        machine.segment(VmcbLayout.DS, 0x18, SvmMachine.DATA, 0xffff_ffffL, 0x1234_5678_9abc_def0L);
        machine.put64(VmcbLayout.GDTR + VmcbLayout.BASE, 0x0000_8000_0000_0000L);
        machine.vmrun();
        assertThat(cpu.segBase[Cpu.DS]).isEqualTo(0x9abc_def0L);
        assertThat(cpu.gdtrBase).isEqualTo(0xffff_8000_0000_0000L);
    }

    @Test
    void longModeFollowsFromLmeAndPg() {
        machine.protected32();
        machine.put64(VmcbLayout.EFER, Cpu.EFER_SVME | Cpu.EFER_LME | Cpu.EFER_LMA);
        machine.vmrun();
        assertThat(cpu.longMode).isFalse();
        exit();
        assertThat(machine.get64(VmcbLayout.EFER)).isEqualTo(Cpu.EFER_SVME | Cpu.EFER_LME);
    }

    @Test
    void guestPatIsSwitchedWithNestedPagingOnly() {
        cpu.msrs.pat = 0x0606;
        machine.put64(VmcbLayout.G_PAT, 0x0404);
        machine.vmrun();
        assertThat(cpu.msrs.pat).isEqualTo(0x0606);
        exit();
        machine.nestedPaging();
        machine.vmrun();
        assertThat(cpu.msrs.pat).isEqualTo(0x0404);
        cpu.msrs.pat = 0x0101;
        exit();
        assertThat(machine.get64(VmcbLayout.G_PAT)).isEqualTo(0x0101);
        assertThat(cpu.msrs.pat).isEqualTo(0x0606);
    }

    @Test
    void vmrunWritesTheHostSaveArea() {
        machine.vmrun();
        assertThat(machine.memory.read64(SvmMachine.HOST_SAVE + VmcbLayout.RIP))
                .isEqualTo(SvmMachine.HOST_CODE + 3);
        assertThat(machine.memory.read64(SvmMachine.HOST_SAVE + VmcbLayout.CR3))
                .isEqualTo(SvmMachine.HOST_PML4);
        assertThat(machine.memory.read64(SvmMachine.HOST_SAVE + VmcbLayout.RSP))
                .isEqualTo(SvmMachine.HOST_STACK);
        assertThat(machine.memory.read(SvmMachine.HOST_SAVE + VmcbLayout.CS, 2)).isEqualTo(0x10);
    }

    @Test
    void aHaltedGuestThatExitsLeavesARunningHost() {
        machine.vmrun();
        cpu.activity = Cpu.HALTED;
        exit();
        assertThat(cpu.activity).isEqualTo(Cpu.RUNNING);
    }

    @Test
    void aPaeHostWithIllegalPageDirectoryPointersShutsDown() {
        for (long entry : new long[] {0x71001, 0x71003}) {
            try (SvmMachine pae = new SvmMachine()) {
                pae.cpu.efer = Cpu.EFER_SVME;
                pae.cpu.cr3 = 0x70000;
                pae.cpu.segAttr[Cpu.CS] = SvmMachine.CODE32;
                pae.cpu.updateMode();
                pae.vmrun();
                pae.memory.write64(0x70018, entry);
                pae.svm.exit(ExitCode.HLT, 0, 0);
                assertThat(pae.cpu.activity)
                        .isEqualTo(entry == 0x71001 ? Cpu.RUNNING : Cpu.SHUTDOWN);
            }
        }
    }

    @Test
    void pageDirectoryPointersInHiddenSmramAreIllegal() {
        try (SvmMachine pae = new SvmMachine()) {
            pae.cpu.efer = Cpu.EFER_SVME;
            pae.cpu.cr3 = 0x60_0000; // where everything is zero
            pae.cpu.segAttr[Cpu.CS] = SvmMachine.CODE32;
            pae.cpu.updateMode();
            pae.vmrun();
            pae.cpu.msrs.write(0xc001_0112, 0x60_0000);
            pae.cpu.msrs.write(0xc001_0113, 0xffff_fffe_0000L | 2);
            pae.svm.exit(ExitCode.HLT, 0, 0);
            assertThat(pae.cpu.activity).as("all ones").isEqualTo(Cpu.SHUTDOWN);
        }
    }

    @Test
    void aHostRipThatIsNotCanonicalRaisesGeneralProtectionInTheHost() {
        long top = 0x7fff_ffff_f000L;
        machine.memory.write64(0x1000 + 8 * 255, 0x9_0000 | 7);
        machine.memory.write64(0x9_0000 + 8 * 511, 0x9_1000 | 7);
        machine.memory.write64(0x9_1000 + 8 * 511, 0x9_2000 | 7);
        machine.memory.write64(0x9_2000 + 8 * 511, SvmMachine.HOST_CODE | 7);
        cpu.idtrBase = SvmMachine.IDT;
        cpu.idtrLimit = 0xfff;
        cpu.gdtrBase = SvmMachine.GDT;
        cpu.gdtrLimit = 0xfff;
        cpu.rip = top + 0xffd; // VMRUN ends where the canonical addresses do
        machine.vmrun();
        exit();
        assertThat(cpu.rip).isEqualTo(0x8000_0000_0000L);
        assertThat(cpu.activity).as("no shutdown").isEqualTo(Cpu.RUNNING);
        cpu.gif = true;
        machine.step(1);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16 * 13);
    }

    @Test
    void theObserverCountsGuestInstructions() {
        Recorder recorder = new Recorder();
        cpu.observer = recorder;
        machine.vmrun();
        machine.clock.retired += 41;
        exit();
        assertThat(recorder.lines)
                .containsExactly("vmrun 10000 rip 50000", "vmexit 10000 code 78 after 41");
    }
}
