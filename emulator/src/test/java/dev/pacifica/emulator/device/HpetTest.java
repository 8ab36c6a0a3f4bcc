package dev.pacifica.emulator.device;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Behaviour of the IA-PC HPET specification 1.0a; one count is 10 ticks. */
class HpetTest {
    private final Time time = new Time();
    private final PhysicalMemory memory = new PhysicalMemory(1 << 20);
    private final ApicBus bus = new ApicBus();
    private final Pic8259 pic = new Pic8259(bus::setPicLine);
    private final LocalApic local =
            new LocalApic(new Cpu(0, time.clock, memory, new PortBus()), time.clock, bus);
    private final IoApic ioApic = new IoApic(bus);
    private final InterruptRouter router = new InterruptRouter(pic, ioApic);
    private final Hpet hpet = new Hpet(time.clock, router);

    HpetTest() {
        local.write(0xf0, 4, 0x1ff);
        for (int pin : new int[] {2, 8, 20, 21}) {
            ioApic.write(0, 4, 0x10 + 2 * pin);
            ioApic.write(0x10, 4, 0x30 + pin);
        }
    }

    @AfterEach
    void release() {
        memory.close();
    }

    private int serve() {
        if (local.pendingVector() < 0) {
            return -1;
        }
        int vector = local.acknowledge();
        local.write(0xb0, 4, 0);
        return vector;
    }

    @Test
    void capabilities() {
        assertThat(hpet.read(0, 8)).isEqualTo(10_000_000L << 32 | 0x8086_a201L);
        assertThat(hpet.read(4, 4)).isEqualTo(10_000_000);
        assertThat(hpet.read(0x100, 4)).isEqualTo(0x30);
        assertThat(hpet.read(0x104, 4)).isEqualTo(0x00f0_0000);
    }

    @Test
    void counterRunsOnlyWhileEnabled() {
        time.advance(1000);
        assertThat(hpet.read(0xf0, 8)).isZero();
        hpet.write(0x10, 8, 1);
        time.advance(1000);
        assertThat(hpet.read(0xf0, 8)).isEqualTo(100);
        hpet.write(0x10, 8, 0);
        time.advance(1000);
        assertThat(hpet.read(0xf0, 8)).isEqualTo(100);
        hpet.write(0xf0, 8, 0x1_0000_0000L);
        hpet.write(0x10, 8, 1);
        time.advance(50);
        assertThat(hpet.read(0xf4, 4)).isEqualTo(1);
        assertThat(hpet.read(0xf0, 4)).isEqualTo(5);
    }

    @Test
    void oneShotComparatorInterruptsItsRoute() {
        hpet.write(0x100, 8, 20 << 9 | 1 << 2);
        hpet.write(0x108, 8, 500);
        hpet.write(0x10, 8, 1);
        time.advance(4999);
        assertThat(serve()).isEqualTo(-1);
        time.advance(1);
        assertThat(serve()).isEqualTo(0x30 + 20);
        time.advance(1_000_000);
        assertThat(serve()).isEqualTo(-1);
    }

    @Test
    void legacyReplacementTakesThePitsAndTheRtcsPlaces() {
        hpet.write(0x100, 8, 1 << 2);
        hpet.write(0x120, 8, 1 << 2);
        hpet.write(0x108, 8, 100);
        hpet.write(0x128, 8, 200);
        hpet.write(0x10, 8, 3);
        router.isa(0).set(true); // the PIT's wire is cut
        assertThat(serve()).isEqualTo(-1);
        time.advance(1000);
        assertThat(serve()).isEqualTo(0x32);
        time.advance(1000);
        assertThat(serve()).isEqualTo(0x38);
    }

    @Test
    void periodicComparatorAddsItsPeriod() {
        hpet.write(0x10, 8, 3);
        // the sequence of system software: set value, comparator, then the period
        hpet.write(0x100, 4, 1 << 2 | 1 << 3 | 1 << 6 | 1 << 8);
        hpet.write(0x108, 4, 1000);
        hpet.write(0x108, 4, 400);
        time.advance(10_000);
        assertThat(serve()).isEqualTo(0x32);
        time.advance(3_999);
        assertThat(serve()).isEqualTo(-1);
        time.advance(1);
        assertThat(serve()).isEqualTo(0x32);
        assertThat(hpet.read(0x108, 4)).isEqualTo(1800);
    }

    @Test
    void levelTriggeredInterruptHoldsItsStatusBit() {
        ioApic.write(0, 4, 0x10 + 2 * 21);
        ioApic.write(0x10, 4, 0x8035);
        hpet.write(0x120, 8, 21 << 9 | 1 << 2 | 1 << 1);
        hpet.write(0x128, 8, 10);
        hpet.write(0x10, 8, 1);
        time.advance(100);
        assertThat(hpet.read(0x20, 4)).isEqualTo(2);
        assertThat(serve()).isEqualTo(0x35);
        hpet.write(0x20, 4, 2);
        assertThat(hpet.read(0x20, 4)).isZero();
        assertThat(serve()).isEqualTo(0x35); // had been sent again before the line fell
        assertThat(serve()).isEqualTo(-1);
    }

    @Test
    void comparatorOf32BitsWraps() {
        hpet.write(0x100, 8, 20 << 9 | 1 << 2 | 1 << 8);
        hpet.write(0xf0, 8, 0xffff_fff0L);
        hpet.write(0x108, 4, 0x10);
        hpet.write(0x10, 8, 1);
        time.advance(319);
        assertThat(serve()).isEqualTo(-1);
        time.advance(1);
        assertThat(serve()).isEqualTo(0x30 + 20);
    }

    @Test
    void anAssertedLevelFollowsItsRoute() {
        ioApic.write(0, 4, 0x10 + 2 * 20);
        ioApic.write(0x10, 4, 0x8044); // level-triggered
        hpet.write(0x100, 8, 20 << 9 | 1 << 2 | 1 << 1);
        hpet.write(0x108, 8, 10);
        hpet.write(0x10, 8, 1);
        time.advance(100);
        hpet.write(0x100, 8, 21 << 9 | 1 << 2 | 1 << 1);
        assertThat(serve()).isEqualTo(0x45); // pin 21's edge
        assertThat(serve()).isEqualTo(0x44); // pin 20's, remembered
        assertThat(serve()).isEqualTo(-1); // but no longer asserted
    }
}
