package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.observe.MachineObserver;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Exceptions and interrupts through the IVT and IDT (APM Vol 2 chapter 8). */
class EventDeliveryTest {
    private static final String INT_30 = "cd 30";
    private static final String UD2 = "0f 0b";
    private static final String NOP = "90";
    private static final String STI = "fb";

    @Test
    void realModeInterruptPushesFlagsCsIpAndIretReturns() {
        try (TestProcessor p = TestProcessor.realMode()) {
            p.cpu.setRflags(Cpu.IF | Cpu.CF | 2);
            p.code(INT_30).code(TestProcessor.HANDLERS + 0x300, "cf" /* iret */);
            p.step();
            assertThat(p.handler()).isEqualTo(0x30);
            assertThat(p.stack16(0)).isEqualTo(TestProcessor.CODE + 2);
            assertThat(p.stack16(1)).isZero();
            assertThat(p.stack16(2)).isEqualTo(Cpu.IF | Cpu.CF | 2);
            assertThat(p.cpu.rflags() & Cpu.IF).isZero();
            p.step();
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 2);
            assertThat(p.cpu.rflags()).isEqualTo(Cpu.IF | Cpu.CF | 2);
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(0x7000);
        }
    }

    @Test
    void realModeWithoutIvtShutsDown() {
        try (TestProcessor p = TestProcessor.realMode()) {
            p.cpu.idtrLimit = 3; // vector 0 only: #GP, #DF and all others are outside
            p.code(INT_30).step();
            assertThat(p.cpu.activity).isEqualTo(Cpu.SHUTDOWN);
        }
    }

    @Test
    void faultPushesItsOwnAddressWithRfAndTrapTheNextOne() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.code(UD2).step();
            assertThat(p.handler()).isEqualTo(GuestException.UD);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.CODE);
            assertThat(p.stack32(1)).isEqualTo(TestProcessor.CODE0);
            assertThat(p.stack32(2)).isEqualTo(Cpu.RF | 2);
            assertThat(p.cpu.rflags() & Cpu.RF).isZero();
        }
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.code(INT_30).step();
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.CODE + 2);
            assertThat(p.stack32(2)).isEqualTo(2);
        }
    }

    @Test
    void privilegeChangeSwitchesToTheTssStack() {
        try (TestProcessor p = TestProcessor.protectedMode().user()) {
            p.code(UD2).step();
            assertThat(p.handler()).isEqualTo(GuestException.UD);
            assertThat(p.cpu.cpl).isZero();
            assertThat(p.cpu.segSelector[Cpu.SS]).isEqualTo(TestProcessor.DATA0);
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(TestProcessor.RING0_STACK - 20);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.USER_CODE);
            assertThat(p.stack32(1)).isEqualTo(TestProcessor.CODE3);
            assertThat(p.stack32(3)).isEqualTo(TestProcessor.USER_STACK);
            assertThat(p.stack32(4)).isEqualTo(TestProcessor.DATA3);
        }
    }

    @Test
    void softwareInterruptThroughAPrivilegedGateRaisesGpWithVectorAndIdtBit() {
        try (TestProcessor p = TestProcessor.protectedMode().user()) {
            p.code(INT_30).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
            assertThat(p.stack32(0)).isEqualTo(0x30 << 3 | 2);
            assertThat(p.stack32(1)).isEqualTo(TestProcessor.USER_CODE);
        }
    }

    @Test
    void hardwareInterruptIgnoresTheGatesDplAndErrorCodesCarryExt() {
        try (TestProcessor p = TestProcessor.protectedMode().user()) {
            p.cpu.setRflags(Cpu.IF | 2);
            p.apic.pending = 0x31;
            p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
            p.code(NOP).step();
            assertThat(p.handler()).isEqualTo(0x31);
            assertThat(p.apic.acknowledged).isEqualTo(0x31);
        }
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.gate(0x31, TestProcessor.CODE0, 0, 0x0e); // not present
            p.cpu.setRflags(Cpu.IF | 2);
            p.apic.pending = 0x31;
            p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
            p.code(NOP).step();
            assertThat(p.handler()).isEqualTo(GuestException.NP);
            assertThat(p.stack32(0)).isEqualTo(0x31 << 3 | 2 | 1);
        }
    }

    @Test
    void interruptGateClearsIfAndTrapGateKeepsIt() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.gate(0x30, TestProcessor.CODE0, TestProcessor.HANDLERS + 0x300, 0x8f);
            p.cpu.setRflags(Cpu.IF | 2);
            p.code(INT_30).step();
            assertThat(p.cpu.rflags() & Cpu.IF).isNotZero();
        }
    }

    @Test
    void stackFaultInTheNewStackHasItsSelector() {
        try (TestProcessor p = TestProcessor.protectedMode().user()) {
            // ring 0 stack of 16 bytes only: five pushes do not fit; the #SS then needs the same
            // stack, and so #DF, and so shutdown
            p.descriptor(TestProcessor.FREE, 0, 0xf, 0x493);
            p.write(TestProcessor.TSS + 4, 4, 0x10);
            p.write(TestProcessor.TSS + 8, 2, TestProcessor.FREE);
            p.code(UD2).step();
            assertThat(p.cpu.activity).isEqualTo(Cpu.SHUTDOWN);
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.USER_CODE);
            assertThat(p.cpu.cpl).isEqualTo(3);
        }
    }

    @Test
    void invalidTssStackRaisesTsThroughATaskOrSameLevelGate() {
        try (TestProcessor p = TestProcessor.protectedMode().user()) {
            p.write(TestProcessor.TSS + 8, 2, TestProcessor.DATA3); // RPL and DPL 3 for ring 0
            p.gate(
                    GuestException.TS,
                    TestProcessor.CONFORMING,
                    TestProcessor.HANDLERS + 16 * GuestException.TS,
                    0x8e);
            p.code(UD2).step();
            assertThat(p.handler()).isEqualTo(GuestException.TS);
            assertThat(p.cpu.cpl).isEqualTo(3);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.DATA3 & ~3);
        }
    }

    @Test
    void contributoryFaultDuringContributoryFaultIsADoubleFault() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.gate(
                    GuestException.GP,
                    TestProcessor.NOT_PRESENT,
                    0,
                    0x8e); // data selector: #GP while delivering #GP
            p.code("8e 1d 00 00 00 00" /* mov ds, [0] */)
                    .write(0, 2, TestProcessor.NOT_PRESENT | 0x100);
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.DF);
            assertThat(p.stack32(0)).isZero();
        }
    }

    /** Vectors of exceptions make no exceptions: INT 13 and an interrupt are benign (§8.2.9). */
    @Test
    void anIntInstructionWithTheVectorOfAnExceptionIsNotCombined() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.gate(GuestException.SS, TestProcessor.NOT_PRESENT, 0, 0x8e);
            p.code("cd 0c").step();
            assertThat(p.handler()).isEqualTo(GuestException.GP); // not #DF
        }
    }

    @Test
    void benignEventIsNotCombined() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.gate(GuestException.UD, TestProcessor.NOT_PRESENT, 0, 0x8e);
            p.code(UD2).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP); // not #DF: #UD is benign
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.NOT_PRESENT);
        }
    }

    @Test
    void longModeGateAlignsTheStackAndPushesFiveQuadwords() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.r[Cpu.RSP] = TestProcessor.STACK - 5;
            p.code(UD2).step();
            assertThat(p.handler()).isEqualTo(GuestException.UD);
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(TestProcessor.STACK - 16 - 40);
            assertThat(p.stack64(0)).isEqualTo(TestProcessor.CODE);
            assertThat(p.stack64(1)).isEqualTo(TestProcessor.CODE64);
            assertThat(p.stack64(2)).isEqualTo(Cpu.RF | 2);
            assertThat(p.stack64(3)).isEqualTo(TestProcessor.STACK - 5);
            assertThat(p.stack64(4)).isEqualTo(TestProcessor.DATA0);
        }
    }

    @Test
    void longModePrivilegeChangeLoadsANullSs() {
        try (TestProcessor p = TestProcessor.longMode().user()) {
            p.code("0f 00 d0" /* lldt ax: #GP(0) at CPL 3 */).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
            assertThat(p.cpu.segSelector[Cpu.SS]).isZero();
            assertThat(p.cpu.segAttr[Cpu.SS] & Cpu.ATTR_P).isZero();
            assertThat(p.stack64(0)).isZero(); // error code
            assertThat(p.stack64(4)).isEqualTo(TestProcessor.USER_STACK);
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(TestProcessor.RING0_STACK - 48);
        }
    }

    @Test
    void interruptStackTableIsUsedWithoutPrivilegeChange() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.write(TestProcessor.IDT + 16 * GuestException.UD + 4, 1, 1); // IST1
            p.code(UD2).step();
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(TestProcessor.IST_STACK - 40);
            assertThat(p.cpu.segSelector[Cpu.SS]).isEqualTo(TestProcessor.DATA0);
        }
    }

    @Test
    void nonCanonicalStackRaisesSsWhichAnInterruptStackCanTake() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.write(TestProcessor.IDT + 16 * GuestException.SS + 4, 1, 1); // IST1
            p.cpu.r[Cpu.RSP] = 0x8000_0000_0100L;
            p.code("50" /* push rax */).step();
            assertThat(p.handler()).isEqualTo(GuestException.SS);
            assertThat(p.stack64(0)).isZero();
            assertThat(p.stack64(4)).isEqualTo(0x8000_0000_0100L);
        }
        try (TestProcessor p = TestProcessor.longMode()) {
            p.write(TestProcessor.IDT + 16 * GuestException.SS + 4, 1, 1);
            p.cpu.r[Cpu.RBP] = 0x8000_0000_0000L;
            p.code("8b 45 00" /* mov eax, [rbp] */).step();
            assertThat(p.handler()).isEqualTo(GuestException.SS);
        }
    }

    @Test
    void longModeGateToA32BitSegmentRaisesGp() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.gate(GuestException.UD, TestProcessor.CODE0, TestProcessor.HANDLERS, 0x8e);
            p.code(UD2).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
            assertThat(p.stack64(0)).isEqualTo(TestProcessor.CODE0);
        }
    }

    @Test
    void iretqReturnsToUserCodeAndUnblocksNmi() {
        try (TestProcessor p = TestProcessor.longMode()) {
            long rsp = TestProcessor.STACK - 40;
            p.write(rsp, 8, TestProcessor.USER_CODE);
            p.write(rsp + 8, 8, TestProcessor.CODE64_3);
            p.write(rsp + 16, 8, Cpu.IF | 2);
            p.write(rsp + 24, 8, TestProcessor.USER_STACK);
            p.write(rsp + 32, 8, TestProcessor.DATA3);
            p.cpu.r[Cpu.RSP] = rsp;
            p.cpu.nmiBlocked = true;
            p.code("48 cf" /* iretq */).step();
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.USER_CODE);
            assertThat(p.cpu.cpl).isEqualTo(3);
            assertThat(p.cpu.mode64).isTrue();
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(TestProcessor.USER_STACK);
            assertThat(p.cpu.nmiBlocked).isFalse();
            assertThat(p.cpu.segSelector[Cpu.DS]).isZero(); // DPL 0 data is dropped
        }
    }

    @Test
    void pageFaultDeliversCr2AndErrorCode() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.code("8a 04 25 00 00 00 40" /* mov al, [4000_0000h]: second GiB is not mapped */)
                    .step();
            assertThat(p.handler()).isEqualTo(GuestException.PF);
            assertThat(p.cpu.cr2).isEqualTo(0x4000_0000L);
            assertThat(p.stack64(0)).isZero();
            assertThat(p.stack64(1)).isEqualTo(TestProcessor.CODE);
        }
    }

    @Test
    void pageFaultWhileDeliveringPageFaultIsADoubleFaultAndThenShutdown() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.write(TestProcessor.TSS + 0x24, 8, 0x5000_0000L); // IST1 is not mapped
            p.write(TestProcessor.IDT + 16 * GuestException.PF + 4, 1, 1);
            p.code("8a 04 25 00 00 00 40").step();
            assertThat(p.handler()).isEqualTo(GuestException.DF);
            assertThat(p.cpu.cr2).isEqualTo(0x4fff_fff8L);
        }
        try (TestProcessor p = TestProcessor.longMode()) {
            p.write(TestProcessor.TSS + 0x24, 8, 0x5000_0000L);
            p.write(TestProcessor.IDT + 16 * GuestException.PF + 4, 1, 1);
            p.write(TestProcessor.IDT + 16 * GuestException.DF + 4, 1, 1);
            p.code("8a 04 25 00 00 00 40").step();
            assertThat(p.cpu.activity).isEqualTo(Cpu.SHUTDOWN);
        }
    }

    @Test
    void stiHoldsInterruptsBackForOneInstruction() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.apic.pending = 0x40;
            p.code(STI + NOP + NOP);
            p.step();
            assertThat(p.cpu.interruptShadow).isTrue();
            p.step();
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 2);
            assertThat(p.cpu.interruptShadow).isFalse();
            p.step();
            assertThat(p.handler()).isEqualTo(0x40);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.CODE + 2);
        }
    }

    @Test
    void stiWithIfSetHasNoShadow() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.setRflags(Cpu.IF | 2);
            p.code(STI).step();
            assertThat(p.cpu.interruptShadow).isFalse();
        }
    }

    @Test
    void haltWakesOnInterruptAndReturnsBehindIt() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.setRflags(Cpu.IF | 2);
            p.code("f4").step();
            assertThat(p.cpu.activity).isEqualTo(Cpu.HALTED);
            assertThat(p.cpu.events.poll()).isFalse();
            p.apic.pending = 0x50;
            assertThat(p.cpu.events.poll()).isTrue();
            assertThat(p.cpu.activity).isEqualTo(Cpu.RUNNING);
            assertThat(p.handler()).isEqualTo(0x50);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.CODE + 1);
        }
    }

    @Test
    void nmiIsBlockedUntilIret() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.code(NOP).code(TestProcessor.HANDLERS + 16 * GuestException.NMI, NOP + "cf");
            p.cpu.nmiPending = true;
            p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.NMI);
            p.cpu.nmiPending = true;
            p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
            p.step();
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.HANDLERS + 16 * GuestException.NMI + 1);
            p.step();
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE);
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.NMI);
        }
    }

    @Test
    void nmiComesBeforeInterrupt() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.setRflags(Cpu.IF | 2);
            p.apic.pending = 0x40;
            p.cpu.nmiPending = true;
            p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
            p.code(NOP).step();
            assertThat(p.handler()).isEqualTo(GuestException.NMI);
        }
    }

    /** What the observer is told of the one delivery that a step makes. */
    private static String told(TestProcessor p) {
        List<String> told = new ArrayList<>();
        p.cpu.observer =
                new MachineObserver() {
                    @Override
                    public void delivery(
                            int vcpu,
                            int vector,
                            int type,
                            boolean hasErrorCode,
                            long errorCode,
                            long rip) {
                        String code = hasErrorCode ? " code " + errorCode : "";
                        told.add("type %d vector %d%s at %x".formatted(type, vector, code, rip));
                    }
                };
        p.step();
        return String.join(", ", told);
    }

    /** By the types of EVENTINJ and EXITINTINFO (§15.7.2). */
    @Test
    void theObserverIsToldOfTheEventsType() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.setRflags(Cpu.IF | 2);
            p.apic.pending = 0x40;
            p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
            assertThat(told(p.code(NOP))).isEqualTo("type 0 vector 64 at 8000");
        }
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.nmiPending = true;
            p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
            assertThat(told(p.code(NOP))).isEqualTo("type 2 vector 2 at 8000");
        }
        try (TestProcessor p = TestProcessor.protectedMode()) {
            assertThat(told(p.code(UD2))).isEqualTo("type 3 vector 6 at 8000");
        }
        try (TestProcessor p = TestProcessor.protectedMode()) {
            assertThat(told(p.code("cd 02"))).isEqualTo("type 4 vector 2 at 8000");
        }
        try (TestProcessor p = TestProcessor.protectedMode().user()) {
            assertThat(told(p.code("f4"))).isEqualTo("type 3 vector 13 code 0 at 9000");
        }
    }

    @Test
    void initReturnsToTheResetVectorAndKeepsMsrs() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.msrs.lstar = 0x1234;
            p.cpu.initPending = true;
            p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
            p.step();
            assertThat(p.cpu.segBase[Cpu.CS] + p.cpu.rip).isEqualTo(0xffff_fff0L);
            assertThat(p.cpu.protectedMode).isFalse();
            assertThat(p.cpu.efer).isZero();
            assertThat(p.cpu.msrs.lstar).isEqualTo(0x1234);
        }
    }

    @Test
    void clearedGifHoldsEverythingBack() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.setRflags(Cpu.IF | 2);
            p.apic.pending = 0x40;
            p.cpu.nmiPending = true;
            p.cpu.initPending = true;
            p.cpu.gif = false;
            p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
            p.code(NOP).step();
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 1);
        }
    }

    @Test
    void anInterruptThatCameWithADebugTrapIsTakenInItsTrapHandler() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.gate(
                    GuestException.DB,
                    TestProcessor.CODE0,
                    TestProcessor.HANDLERS + 16 * GuestException.DB,
                    0x8f); // keeps IF
            p.code(TestProcessor.HANDLERS + 16 * GuestException.DB, NOP);
            p.cpu.setRflags(Cpu.IF | Cpu.TF | 2);
            p.code(NOP).step();
            p.apic.pending = 0x40;
            p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.DB);
            p.step();
            assertThat(p.handler()).isEqualTo(0x40);
        }
    }
}
