package dev.pacifica.emulator.device;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.LocalInterruptController;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Behaviour of APM Vol 2 chapter 16. */
class LocalApicTest {
    private static final int EOI = 0xb0;
    private static final int SVR = 0xf0;
    private static final int ESR = 0x280;
    private static final int ICR_LOW = 0x300;
    private static final int ICR_HIGH = 0x310;
    private static final int LVT_TIMER = 0x320;
    private static final int LVT_LINT0 = 0x350;
    private static final int LVT_LINT1 = 0x360;
    private static final int LVT_ERROR = 0x370;
    private static final int INITIAL = 0x380;
    private static final int CURRENT = 0x390;
    private static final int DIVIDE = 0x3e0;

    private final Time time = new Time();
    private final PhysicalMemory memory = new PhysicalMemory(1 << 20);
    private final ApicBus bus = new ApicBus();
    private final Pic8259 pic = new Pic8259(bus::setPicLine);
    private final Cpu[] cpus = new Cpu[3];
    private final LocalApic[] apics = new LocalApic[3];

    LocalApicTest() {
        bus.attach(pic);
        for (int i = 0; i < 3; i++) {
            cpus[i] = new Cpu(i, time.clock, memory, new PortBus());
            apics[i] = new LocalApic(cpus[i], time.clock, bus);
            write(i, SVR, 0x1ff);
            cpus[i].attention = 0;
        }
    }

    @AfterEach
    void release() {
        memory.close();
    }

    private void write(int apic, int offset, long value) {
        apics[apic].write(offset, 4, value);
    }

    private long read(int apic, int offset) {
        return apics[apic].read(offset, 4);
    }

    private void send(int from, int destination, int command) {
        write(from, ICR_HIGH, (long) destination << 24);
        write(from, ICR_LOW, command);
    }

    private boolean called(int cpu) {
        boolean was = (cpus[cpu].attention & Cpu.ATTENTION_INTERRUPT) != 0;
        cpus[cpu].attention = 0;
        return was;
    }

    @Test
    void resetValues() {
        LocalApic fresh =
                new LocalApic(
                        new Cpu(1, time.clock, memory, new PortBus()), time.clock, new ApicBus());
        assertThat(fresh.read(0x20, 4)).isEqualTo(0x0100_0000);
        assertThat(fresh.read(0x30, 4)).isEqualTo(0x8005_0010L);
        assertThat(fresh.read(SVR, 4)).isEqualTo(0xff);
        assertThat(fresh.read(0xe0, 4)).isEqualTo(0xffff_ffffL);
        assertThat(fresh.read(LVT_TIMER, 4)).isEqualTo(0x1_0000);
        assertThat(fresh.read(LVT_LINT0, 4)).isEqualTo(0x1_0000);
        assertThat(fresh.base()).isEqualTo(0xfee0_0800L);
        assertThat(apics[0].base()).isEqualTo(0xfee0_0900L);
    }

    @Test
    void physicalInterruptReachesOnlyItsDestination() {
        send(0, 1, 0x41);
        assertThat(apics[1].pendingVector()).isEqualTo(0x41);
        assertThat(apics[0].pendingVector()).isEqualTo(-1);
        assertThat(apics[2].pendingVector()).isEqualTo(-1);
        assertThat(called(1)).isTrue();
        assertThat(called(2)).isFalse();
    }

    @Test
    void acknowledgeMovesFromRequestToServiceAndEoiEndsIt() {
        send(0, 1, 0x41);
        assertThat(read(1, 0x220)).isEqualTo(2);
        assertThat(apics[1].acknowledge()).isEqualTo(0x41);
        assertThat(read(1, 0x220)).isZero();
        assertThat(read(1, 0x120)).isEqualTo(2);
        assertThat(read(1, 0xa0)).isEqualTo(0x40);
        write(1, EOI, 0);
        assertThat(read(1, 0x120)).isZero();
    }

    @Test
    void higherClassInterruptsServiceOfLowerButNotOfItsOwnClass() {
        send(0, 1, 0x41);
        apics[1].acknowledge();
        send(0, 1, 0x4f);
        assertThat(apics[1].pendingVector()).isEqualTo(-1);
        send(0, 1, 0x51);
        assertThat(apics[1].pendingVector()).isEqualTo(0x51);
        apics[1].acknowledge();
        write(1, EOI, 0);
        assertThat(apics[1].pendingVector()).isEqualTo(-1);
        write(1, EOI, 0);
        assertThat(apics[1].pendingVector()).isEqualTo(0x4f);
    }

    @Test
    void taskPriorityHoldsBackItsClassAndBelow() {
        send(0, 1, 0x41);
        apics[1].setTaskPriority(4);
        assertThat(apics[1].pendingVector()).isEqualTo(-1);
        assertThat(read(1, 0x80)).isEqualTo(0x40);
        called(1);
        apics[1].setTaskPriority(3);
        assertThat(called(1)).isTrue();
        assertThat(apics[1].pendingVector()).isEqualTo(0x41);
    }

    @Test
    void acknowledgeAfterPriorityRoseIsSpurious() {
        send(0, 1, 0x41);
        apics[1].setTaskPriority(15);
        assertThat(apics[1].acknowledge()).isEqualTo(0xff);
        assertThat(read(1, 0x120)).isZero();
    }

    @Test
    void shorthandsAddressSelfAllAndOthers() {
        write(0, ICR_LOW, 0x4_0033);
        assertThat(apics[0].pendingVector()).isEqualTo(0x33);
        assertThat(apics[1].pendingVector()).isEqualTo(-1);
        write(0, ICR_LOW, 0xc_0044);
        assertThat(apics[0].pendingVector()).isEqualTo(0x33);
        assertThat(apics[1].pendingVector()).isEqualTo(0x44);
        assertThat(apics[2].pendingVector()).isEqualTo(0x44);
        write(0, ICR_LOW, 0x8_0055);
        assertThat(apics[0].pendingVector()).isEqualTo(0x55);
        assertThat(apics[2].pendingVector()).isEqualTo(0x55);
    }

    @Test
    void flatLogicalDestinationIsABitMask() {
        for (int i = 0; i < 3; i++) {
            write(i, 0xd0, 1L << 24 + i);
        }
        send(0, 0b101, 0x0841);
        assertThat(apics[0].pendingVector()).isEqualTo(0x41);
        assertThat(apics[1].pendingVector()).isEqualTo(-1);
        assertThat(apics[2].pendingVector()).isEqualTo(0x41);
    }

    @Test
    void clusterLogicalDestinationNeedsTheSameCluster() {
        for (int i = 0; i < 3; i++) {
            write(i, 0xe0, 0x0fff_ffffL);
        }
        write(0, 0xd0, 0x1100_0000);
        write(1, 0xd0, 0x2100_0000);
        write(2, 0xd0, 0x2200_0000);
        send(0, 0x23, 0x0841);
        assertThat(apics[0].pendingVector()).isEqualTo(-1);
        assertThat(apics[1].pendingVector()).isEqualTo(0x41);
        assertThat(apics[2].pendingVector()).isEqualTo(0x41);
    }

    /** Flat logical ids 1, 2 and 4, so that 7 addresses all three. */
    private void flatIds() {
        for (int i = 0; i < 3; i++) {
            write(i, 0xd0, 1L << 24 + i);
        }
    }

    /** §16.6.2. */
    @Test
    void lowestPriorityGoesToTheLeastBusyAndAmongEqualsToTheHighestId() {
        flatIds();
        apics[2].setTaskPriority(5);
        send(0, 7, 0x0961);
        assertThat(apics[1].acknowledge()).isEqualTo(0x61);
        write(1, EOI, 0);
        apics[2].setTaskPriority(0);
        for (int i = 0; i < 4; i++) {
            send(0, 7, 0x0961);
            assertThat(apics[2].acknowledge()).as("each time anew").isEqualTo(0x61);
            write(2, EOI, 0);
        }
        send(0, 3, 0x0961);
        assertThat(apics[1].acknowledge()).as("of those addressed").isEqualTo(0x61);
    }

    /** §16.6.2: who has the interrupt in service or requested takes it, however busy. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void theFocusProcessorTakesALowestPriorityInterrupt(boolean inService) {
        flatIds();
        apics[0].setTaskPriority(inService ? 0 : 15);
        send(0, 1, 0x0861);
        if (inService) {
            assertThat(apics[0].acknowledge()).isEqualTo(0x61);
        }
        apics[0].setTaskPriority(15);
        send(0, 7, 0x0961);
        assertThat(apics[1].pendingVector()).isEqualTo(-1);
        assertThat(apics[2].pendingVector()).isEqualTo(-1);
        send(0, 7, 0x0962);
        assertThat(apics[2].acknowledge()).as("another one").isEqualTo(0x62);
        write(2, EOI, 0);
        write(0, 0xf0, 0x3ff);
        send(0, 7, 0x0961);
        assertThat(apics[2].acknowledge()).as("no focus checking").isEqualTo(0x61);
        write(2, EOI, 0);
        write(0, 0xf0, 0x1ff);
        send(0, 6, 0x0961);
        assertThat(apics[2].acknowledge()).as("not addressed").isEqualTo(0x61);
    }

    /** The manual knows one focus processor only; this is ours to choose. */
    @Test
    void amongTwoFocusProcessorsTheLessBusyOneTakesIt() {
        flatIds();
        for (int i = 0; i < 2; i++) {
            send(0, 1 << i, 0x0861);
            assertThat(apics[i].acknowledge()).isEqualTo(0x61);
        }
        apics[1].setTaskPriority(7);
        send(0, 7, 0x0961);
        write(0, EOI, 0);
        assertThat(apics[0].pendingVector()).isEqualTo(0x61);
    }

    /**
     * §16.6.2: task priority, what is in service, what is requested; the sub-class is the task's.
     */
    @Test
    void arbitrationPriorityIsTheHighestOfThree() {
        write(1, 0x80, 0x35);
        assertThat(read(1, 0x90)).isEqualTo(0x35);
        send(0, 1, 0x41);
        assertThat(read(1, 0x90)).as("a request").isEqualTo(0x40);
        apics[1].acknowledge();
        assertThat(read(1, 0x90)).as("in service").isEqualTo(0x40);
        send(0, 1, 0x62);
        assertThat(read(1, 0x90)).isEqualTo(0x60);
        assertThat(read(1, 0xa0)).as("PPR knows no requests").isEqualTo(0x40);
        write(1, 0x80, 0x6a);
        assertThat(read(1, 0x90)).isEqualTo(0x6a);
    }

    @Test
    void aRequestMakesAProcessorBusierForLowestPriority() {
        flatIds();
        send(0, 2, 0x0841);
        send(0, 4, 0x0851);
        for (int i = 0; i < 2; i++) {
            apics[0].setTaskPriority(3); // less busy than who has 41h or 51h pending
            send(0, 7, 0x0961);
            assertThat(apics[0].acknowledge()).isEqualTo(0x61);
            write(0, EOI, 0);
        }
    }

    @Test
    void nmiInitAndStartup() {
        cpus[1].activity = Cpu.WAIT_FOR_SIPI;
        cpus[1].rip = 0xfff0;
        send(0, 1, 0x0c500);
        assertThat(cpus[1].initPending).isTrue();
        cpus[1].initPending = false;
        send(0, 1, 0x08500); // level de-assert does nothing
        assertThat(cpus[1].initPending).isFalse();
        send(0, 1, 0x0699);
        assertThat(cpus[1].activity).isEqualTo(Cpu.RUNNING);
        assertThat(cpus[1].segSelector[Cpu.CS]).isEqualTo(0x9900);
        assertThat(cpus[1].segBase[Cpu.CS]).isEqualTo(0x99000);
        assertThat(cpus[1].rip).isZero();
        send(0, 2, 0x0699); // not waiting: no effect
        assertThat(cpus[2].segBase[Cpu.CS]).isZero();
        send(0, 2, 0x0400);
        assertThat(cpus[2].nmiPending).isTrue();
        assertThat(cpus[0].nmiPending).isFalse();
    }

    @Test
    void softwareDisabledApicTakesNoFixedInterruptsAndMasksItsLvt() {
        write(1, LVT_LINT1, 0x400);
        write(1, SVR, 0xff);
        send(0, 1, 0x41);
        assertThat(apics[1].pendingVector()).isEqualTo(-1);
        assertThat(read(1, LVT_LINT1)).isEqualTo(0x1_0400);
        write(1, LVT_LINT1, 0x400);
        assertThat(read(1, LVT_LINT1)).isEqualTo(0x1_0400);
        write(1, SVR, 0x1ff);
        assertThat(apics[1].pendingVector()).isEqualTo(-1);
    }

    @Test
    void illegalVectorsAndRegistersAreReported() {
        write(1, LVT_ERROR, 0xfe);
        send(1, 1, 0x0f);
        write(1, ESR, 0);
        assertThat(read(1, ESR)).isEqualTo(0x20);
        assertThat(apics[1].pendingVector()).isEqualTo(0xfe);
        read(1, 0x3f0);
        write(1, ESR, 0);
        assertThat(read(1, ESR)).isEqualTo(0x80);
        write(1, ESR, 0);
        assertThat(read(1, ESR)).isZero();
    }

    @Test
    void oneShotTimerCountsDownAtTheDividedBusClock() {
        write(0, DIVIDE, 0xb); // by 1
        write(0, LVT_TIMER, 0x31);
        write(0, INITIAL, 1000);
        time.advance(400);
        assertThat(read(0, CURRENT)).isEqualTo(600);
        time.advance(599);
        assertThat(apics[0].pendingVector()).isEqualTo(-1);
        time.advance(1);
        assertThat(apics[0].pendingVector()).isEqualTo(0x31);
        assertThat(read(0, CURRENT)).isZero();
        apics[0].acknowledge();
        write(0, EOI, 0);
        time.advance(10_000);
        assertThat(apics[0].pendingVector()).isEqualTo(-1);
    }

    @Test
    void dividerValues() {
        int[] codes = {0, 1, 2, 3, 8, 9, 10, 11};
        int[] divisors = {2, 4, 8, 16, 32, 64, 128, 1};
        for (int i = 0; i < codes.length; i++) {
            write(0, DIVIDE, codes[i]);
            write(0, INITIAL, 1_000_000);
            time.advance(128_000);
            assertThat(read(0, CURRENT))
                    .as("divide configuration %d", codes[i])
                    .isEqualTo(1_000_000 - 128_000 / divisors[i]);
        }
    }

    @Test
    void periodicTimerComesAgain() {
        write(0, DIVIDE, 0xb);
        write(0, LVT_TIMER, 0x2_0031);
        write(0, INITIAL, 10_000);
        for (int i = 1; i <= 3; i++) {
            time.advanceTo(10_000L * i);
            assertThat(apics[0].acknowledge()).isEqualTo(0x31);
            write(0, EOI, 0);
            assertThat(apics[0].pendingVector()).isEqualTo(-1);
        }
        time.advance(2500);
        assertThat(read(0, CURRENT)).isEqualTo(7500);
    }

    @Test
    void maskedTimerExpiresSilently() {
        write(0, DIVIDE, 0xb);
        write(0, LVT_TIMER, 0x1_0031);
        write(0, INITIAL, 100);
        time.advance(200);
        write(0, LVT_TIMER, 0x31);
        assertThat(apics[0].pendingVector()).isEqualTo(-1);
    }

    @Test
    void deadlineTimerFiresWhenTheTscReachesIt() {
        cpus[0].tscOffset = 1_000_000;
        write(0, LVT_TIMER, 0x4_0031);
        apics[0].setTscDeadline(1_005_000);
        assertThat(apics[0].tscDeadline()).isEqualTo(1_005_000);
        write(0, INITIAL, 10); // ignored in this mode
        time.advance(4_999);
        assertThat(apics[0].pendingVector()).isEqualTo(-1);
        time.advance(1);
        assertThat(apics[0].pendingVector()).isEqualTo(0x31);
        assertThat(apics[0].tscDeadline()).isZero();
    }

    @Test
    void deadlineFollowsTheTscAndZeroDisarms() {
        write(0, LVT_TIMER, 0x4_0031);
        apics[0].setTscDeadline(5_000);
        cpus[0].tscOffset = 4_000;
        apics[0].tscChanged();
        time.advance(1_000);
        assertThat(apics[0].acknowledge()).isEqualTo(0x31);
        write(0, EOI, 0);
        apics[0].setTscDeadline(10_000);
        apics[0].setTscDeadline(0);
        time.advance(20_000);
        assertThat(apics[0].pendingVector()).isEqualTo(-1);
        apics[0].setTscDeadline(1); // in the past
        time.clock.fireDue();
        assertThat(apics[0].pendingVector()).isEqualTo(0x31);
    }

    @Test
    void pic8259ComesThroughLint0AsExternalInterrupt() {
        pic.out(0x20, 1, 0x11);
        pic.out(0x21, 1, 0x20);
        pic.out(0x21, 1, 4);
        pic.out(0x21, 1, 1);
        pic.setLine(3, true);
        assertThat(called(0)).isTrue();
        assertThat(apics[0].pendingVector()).isEqualTo(0x23);
        assertThat(apics[1].pendingVector()).isEqualTo(-1);
        assertThat(apics[0].acknowledge()).isEqualTo(0x23);
        assertThat(read(0, 0x110)).isZero(); // external interrupts are in no ISR
        assertThat(apics[0].pendingVector()).isEqualTo(-1);
        write(0, LVT_LINT0, 0x1_0700);
        pic.out(0x20, 1, 0x20);
        pic.setLine(1, true);
        assertThat(apics[0].pendingVector()).isEqualTo(-1);
        assertThat(apics[0].setBase(0xfee0_0000L))
                .isTrue(); // without APIC the wire goes to the processor
        assertThat(apics[0].pendingVector()).isEqualTo(0x21);
    }

    @Test
    void lint1IsTheNmiWire() {
        write(0, LVT_LINT1, 0x400);
        apics[0].pulseLint1();
        assertThat(cpus[0].nmiPending).isTrue();
    }

    @Test
    void baseRegisterRules() {
        LocalApic apic = apics[1];
        assertThat(apic.setBase(0xfee0_0400L)).isFalse(); // EXTD without EN
        assertThat(apic.setBase(0xfee0_0801L)).isFalse(); // reserved bit
        assertThat(apic.setBase(0xfee0_0c00L)).isTrue();
        assertThat(apic.setBase(0xfee0_0800L)).isFalse(); // x2APIC to xAPIC
        assertThat(apic.setBase(0xfee0_0000L)).isTrue();
        assertThat(apic.setBase(0xfee0_0c00L)).isFalse(); // disabled to x2APIC
        assertThat(apic.setBase(0xfeb0_0800L)).isTrue();
        assertThat(apic.base()).isEqualTo(0xfeb0_0800L);
    }

    @Test
    void x2apicRegisters() {
        LocalApic apic = apics[2];
        assertThat(apic.readX2apic(0x02)).isEqualTo(LocalInterruptController.BAD_REGISTER);
        apic.setBase(0xfee0_0c00L);
        assertThat(apic.x2apic()).isTrue();
        assertThat(apic.readX2apic(0x02)).isEqualTo(2);
        assertThat(apic.readX2apic(0x0d)).isEqualTo(1 << 2);
        assertThat(apic.readX2apic(0x0e)).isEqualTo(LocalInterruptController.BAD_REGISTER);
        assertThat(apic.readX2apic(0x31)).isEqualTo(LocalInterruptController.BAD_REGISTER);
        assertThat(apic.writeX2apic(0x0b, 1)).isFalse();
        assertThat(apic.writeX2apic(0x0b, 0)).isTrue();
        assertThat(apic.writeX2apic(0x08, 0x100)).isFalse();
        assertThat(apic.writeX2apic(0x02, 0)).isFalse();
        assertThat(apic.writeX2apic(0x3f, 0x77)).isTrue();
        assertThat(apic.pendingVector()).isEqualTo(0x77);
        assertThat(apic.writeX2apic(0x30, 1L << 32 | 0x66)).isTrue();
        assertThat(apics[1].pendingVector()).isEqualTo(0x66);
        assertThat(apic.readX2apic(0x30)).isEqualTo(1L << 32 | 0x66);
        assertThat(apic.writeX2apic(0x30, 0xffff_ffff_000c_0045L)).isTrue();
        assertThat(apics[0].pendingVector()).isEqualTo(0x45);
    }

    @Test
    void initKeepsBaseAndClearsTheRest() {
        apics[1].setBase(0xfeb0_0800L);
        send(0, 1, 0x41);
        apics[1].setTaskPriority(9);
        apics[1].init();
        assertThat(apics[1].base()).isEqualTo(0xfeb0_0800L);
        assertThat(read(1, SVR)).isEqualTo(0xff);
        assertThat(read(1, 0x220)).isZero();
        assertThat(apics[1].taskPriority()).isZero();
    }
}
