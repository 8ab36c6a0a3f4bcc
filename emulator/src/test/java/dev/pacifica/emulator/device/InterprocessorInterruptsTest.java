package dev.pacifica.emulator.device;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.LocalInterruptController;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.IntPredicate;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Who gets an interprocessor interrupt: every way to address (APM Vol 2 §16.5, §16.6.1, §16.14)
 * with every kind of message, among eight processors.
 */
class InterprocessorInterruptsTest {
    private static final int PROCESSORS = 8;
    private static final int VECTOR = 0x61;
    private static final int FIXED = 0;
    private static final int LOWEST = 1;
    private static final int SMI = 2;
    private static final int NMI = 4;
    private static final int INIT = 5;
    private static final int LOGICAL = 1 << 11;
    private static final int ASSERT = 1 << 14;

    /** How the APICs are set up. */
    enum Addressing {
        FLAT,
        CLUSTER,
        X2APIC
    }

    private final Time time = new Time();
    private final PhysicalMemory memory = new PhysicalMemory(1 << 20);
    private Cpu[] cpus;
    private LocalApic[] apics;

    @BeforeEach
    void build() {
        ApicBus bus = new ApicBus();
        cpus = new Cpu[PROCESSORS];
        apics = new LocalApic[PROCESSORS];
        for (int i = 0; i < PROCESSORS; i++) {
            cpus[i] = new Cpu(i, time.clock, memory, new PortBus());
            apics[i] = new LocalApic(cpus[i], time.clock, bus);
            cpus[i].apic = apics[i];
            apics[i].write(0xf0, 4, 0x1ff);
        }
    }

    @AfterEach
    void release() {
        memory.close();
    }

    /** Two processors to a cluster of xAPIC's; x2APIC derives its own from the id. */
    private void setUp(Addressing addressing) {
        for (int i = 0; i < PROCESSORS; i++) {
            switch (addressing) {
                case FLAT -> apics[i].write(0xd0, 4, 1L << 24 + i);
                case CLUSTER -> {
                    apics[i].write(0xe0, 4, 0x0fff_ffffL);
                    apics[i].write(0xd0, 4, (i / 2 << 4 | 1 << i % 2) * 0x100_0000L);
                }
                case X2APIC -> assertThat(apics[i].setBase(apics[i].base() | 1 << 10)).isTrue();
            }
        }
    }

    private void send(Addressing addressing, int from, long destination, int low) {
        if (addressing == Addressing.X2APIC) {
            assertThat(apics[from].writeX2apic(0x30, destination << 32 | low)).isTrue();
        } else {
            apics[from].write(0x310, 4, destination << 24);
            apics[from].write(0x300, 4, low);
        }
    }

    /** The processors that the message reached, which is taken back. */
    private Set<Integer> reached(int mode) {
        Set<Integer> reached = new TreeSet<>();
        for (int i = 0; i < PROCESSORS; i++) {
            Cpu cpu = cpus[i];
            boolean here =
                    switch (mode) {
                        case SMI -> cpu.smiPending;
                        case NMI -> cpu.nmiPending;
                        case INIT -> cpu.initPending;
                        default -> apics[i].pendingVector() == VECTOR;
                    };
            cpu.smiPending = false;
            cpu.nmiPending = false;
            cpu.initPending = false;
            if (here) {
                reached.add(i);
                if (mode <= LOWEST) {
                    assertThat(apics[i].acknowledge()).isEqualTo(VECTOR);
                    if (apics[i].x2apic()) {
                        apics[i].writeX2apic(0x0b, 0);
                    } else {
                        apics[i].write(0xb0, 4, 0);
                    }
                }
            }
            assertThat(apics[i].pendingVector()).isEqualTo(-1);
        }
        return reached;
    }

    private static Set<Integer> those(IntPredicate which) {
        Set<Integer> set = new TreeSet<>();
        for (int i = 0; i < PROCESSORS; i++) {
            if (which.test(i)) {
                set.add(i);
            }
        }
        return set;
    }

    @ParameterizedTest
    @EnumSource
    void physicalDestinationsNameOneOrAll(Addressing addressing) {
        setUp(addressing);
        long everybody = addressing == Addressing.X2APIC ? 0xffff_ffffL : 0xff;
        for (int mode : new int[] {FIXED, SMI, NMI, INIT}) {
            int low = ASSERT | mode << 8 | (mode == FIXED ? VECTOR : 0);
            for (int from = 0; from < PROCESSORS; from += 3) {
                for (int to = 0; to < PROCESSORS + 2; to++) {
                    send(addressing, from, to, low);
                    int one = to;
                    assertThat(reached(mode)).isEqualTo(those(i -> i == one));
                }
                send(addressing, from, everybody, low);
                assertThat(reached(mode)).isEqualTo(those(i -> true));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {FIXED, SMI, NMI, INIT})
    void flatDestinationsAreSets(int mode) {
        setUp(Addressing.FLAT);
        for (int set = 0; set < 256; set++) {
            int low = ASSERT | LOGICAL | mode << 8 | (mode == FIXED ? VECTOR : 0);
            send(Addressing.FLAT, set % PROCESSORS, set, low);
            int to = set;
            assertThat(reached(mode)).isEqualTo(those(i -> (to >> i & 1) != 0));
        }
    }

    @Test
    void clusterDestinationsAreSetsWithinOneCluster() {
        setUp(Addressing.CLUSTER);
        for (int to = 0; to < 255; to++) {
            send(Addressing.CLUSTER, 1, to, ASSERT | LOGICAL | VECTOR);
            int cluster = to >> 4;
            int set = to & 15;
            assertThat(reached(FIXED))
                    .as("destination %02x", to)
                    .isEqualTo(those(i -> i / 2 == cluster && (set >> i % 2 & 1) != 0));
        }
        send(Addressing.CLUSTER, 1, 255, ASSERT | LOGICAL | VECTOR);
        assertThat(reached(FIXED)).hasSize(PROCESSORS);
    }

    @Test
    void x2apicDestinationsAreSetsWithinSixteen() {
        setUp(Addressing.X2APIC);
        for (int set = 0; set < 256; set++) {
            send(Addressing.X2APIC, 2, set, ASSERT | LOGICAL | VECTOR);
            int to = set;
            assertThat(reached(FIXED)).isEqualTo(those(i -> (to >> i & 1) != 0));
            send(Addressing.X2APIC, 2, 1 << 16 | set, ASSERT | LOGICAL | VECTOR);
            assertThat(reached(FIXED)).isEmpty(); // ids 16 to 31
        }
    }

    @ParameterizedTest
    @EnumSource
    void shorthandsNeedNoDestination(Addressing addressing) {
        setUp(addressing);
        for (int from = 0; from < PROCESSORS; from++) {
            int sender = from;
            send(addressing, from, 0, 1 << 18 | ASSERT | VECTOR);
            assertThat(reached(FIXED)).isEqualTo(those(i -> i == sender));
            send(addressing, from, 0, 2 << 18 | ASSERT | VECTOR);
            assertThat(reached(FIXED)).isEqualTo(those(i -> true));
            for (int mode : new int[] {FIXED, SMI, NMI, INIT}) {
                int low = 3 << 18 | ASSERT | mode << 8 | (mode == FIXED ? VECTOR : 0);
                send(addressing, from, 0, low);
                assertThat(reached(mode)).isEqualTo(those(i -> i != sender));
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void lowestPriorityReachesOneOfThoseAddressed(Addressing addressing) {
        setUp(addressing);
        for (int i = 0; i < PROCESSORS; i++) {
            apics[i].setTaskPriority(i == 5 ? 2 : 3);
        }
        long set = addressing == Addressing.CLUSTER ? 0x23 : 0x3c; // 4 and 5, or 2 to 5
        send(addressing, 0, set, ASSERT | LOGICAL | LOWEST << 8 | VECTOR);
        assertThat(reached(LOWEST)).containsExactly(5);
        apics[5].setTaskPriority(3);
        send(addressing, 0, set, ASSERT | LOGICAL | LOWEST << 8 | VECTOR);
        assertThat(reached(LOWEST)).as("the highest id").containsExactly(5);
        apics[5].setTaskPriority(4);
        send(addressing, 0, set, ASSERT | LOGICAL | LOWEST << 8 | VECTOR);
        assertThat(reached(LOWEST)).containsExactly(4);
        send(addressing, 3, 0, 3 << 18 | ASSERT | LOWEST << 8 | VECTOR);
        assertThat(reached(LOWEST)).containsExactly(7);
        send(addressing, 7, 0, 3 << 18 | ASSERT | LOWEST << 8 | VECTOR);
        assertThat(reached(LOWEST)).as("not the sender").containsExactly(6);
    }

    @Test
    void ioApicReachesAnyProcessor() {
        ApicBus bus = new ApicBus();
        LocalApic[] locals = new LocalApic[PROCESSORS];
        for (int i = 0; i < PROCESSORS; i++) {
            locals[i] = new LocalApic(cpus[i], time.clock, bus);
            locals[i].write(0xf0, 4, 0x1ff);
        }
        IoApic ioApic = new IoApic(bus);
        for (int to = 0; to < PROCESSORS; to++) {
            ioApic.write(0, 4, 0x11 + 2 * to);
            ioApic.write(0x10, 4, (long) to << 24);
            ioApic.write(0, 4, 0x10 + 2 * to);
            ioApic.write(0x10, 4, VECTOR + to);
            ioApic.setPin(to, true);
            for (int i = 0; i < PROCESSORS; i++) {
                assertThat(locals[i].pendingVector()).isEqualTo(i <= to ? VECTOR + i : -1);
            }
        }
    }

    /** INIT is taken when it is the processor's turn; a SIPI that was sent before is not lost. */
    @Test
    void startupBehindInitThatIsStillPending() {
        send(Addressing.FLAT, 0, 1, ASSERT | 1 << 15 | INIT << 8);
        send(Addressing.FLAT, 0, 1, 1 << 15 | INIT << 8); // de-assert
        send(Addressing.FLAT, 0, 1, ASSERT | 6 << 8 | 0x99);
        assertThat(cpus[1].activity).isEqualTo(Cpu.RUNNING);
        assertThat(cpus[1].events.poll()).isTrue();
        assertThat(cpus[1].activity).isEqualTo(Cpu.RUNNING);
        assertThat(cpus[1].segBase[Cpu.CS]).isEqualTo(0x99000);
        assertThat(cpus[1].rip).isZero();
        send(Addressing.FLAT, 0, 1, ASSERT | INIT << 8);
        cpus[1].events.poll();
        assertThat(cpus[1].activity).isEqualTo(Cpu.WAIT_FOR_SIPI);
        assertThat(cpus[1].events.poll()).isFalse();
    }

    /** With VM_CR.R_INIT it becomes #SX (§15.28), and the processor does not wait for SIPI. */
    @Test
    void startupIsLostOnAProcessorThatRedirectsInit() {
        cpus[1].msrs.vmCr = 2;
        send(Addressing.FLAT, 0, 1, ASSERT | INIT << 8);
        send(Addressing.FLAT, 0, 1, ASSERT | 6 << 8 | 0x99);
        assertThat(cpus[1].pendingStartup).isEqualTo(-1);
    }

    @Test
    void badVectorsAreErrorsOfTheSender() {
        setUp(Addressing.X2APIC);
        send(Addressing.X2APIC, 0, 1, ASSERT | 15);
        assertThat(reached(FIXED)).isEmpty();
        apics[0].writeX2apic(0x28, 0);
        assertThat(apics[0].readX2apic(0x28)).isEqualTo(1 << 5);
        assertThat(apics[1].readX2apic(0x31)).isEqualTo(LocalInterruptController.BAD_REGISTER);
    }
}
