package dev.pacifica.emulator.device;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import dev.pacifica.emulator.time.VirtualClock;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Behaviour of the 82093AA data sheet, with the EOI register of later versions. */
class IoApicTest {
    private final PhysicalMemory memory = new PhysicalMemory(1 << 20);
    private final VirtualClock clock = new VirtualClock();
    private final ApicBus bus = new ApicBus();
    private final LocalApic local =
            new LocalApic(new Cpu(0, clock, memory, new PortBus()), clock, bus);
    private final IoApic ioApic = new IoApic(bus);

    IoApicTest() {
        local.write(0xf0, 4, 0x1ff);
    }

    @AfterEach
    void release() {
        memory.close();
    }

    private int get(int register) {
        ioApic.write(0, 4, register);
        return (int) ioApic.read(0x10, 4);
    }

    private void set(int register, int value) {
        ioApic.write(0, 4, register);
        ioApic.write(0x10, 4, value);
    }

    private void redirect(int pin, int low) {
        set(0x11 + 2 * pin, 0);
        set(0x10 + 2 * pin, low);
    }

    /** Acknowledges and ends the one pending interrupt, or returns -1. */
    private int serve() {
        if (local.pendingVector() < 0) {
            return -1;
        }
        int vector = local.acknowledge();
        local.write(0xb0, 4, 0);
        return vector;
    }

    @Test
    void identifiesItself() {
        assertThat(get(1)).isEqualTo(0x0017_0020);
        set(0, 0x0500_0000);
        assertThat(get(0)).isEqualTo(0x0500_0000);
        assertThat(get(0x10)).isEqualTo(0x1_0000);
        assertThat(get(0x3e)).isEqualTo(0x1_0000);
    }

    @Test
    void edgeInterruptsOncePerEdge() {
        redirect(4, 0x24);
        ioApic.setPin(4, true);
        ioApic.setPin(4, true);
        assertThat(serve()).isEqualTo(0x24);
        assertThat(serve()).isEqualTo(-1);
        ioApic.setPin(4, false);
        ioApic.setPin(4, true);
        assertThat(serve()).isEqualTo(0x24);
    }

    @Test
    void edgeOnAMaskedInputIsLost() {
        redirect(4, 0x1_0024);
        ioApic.setPin(4, true);
        redirect(4, 0x24);
        assertThat(serve()).isEqualTo(-1);
    }

    @Test
    void levelInterruptHoldsRemoteIrrUntilEoiAndComesAgainWhileAsserted() {
        redirect(9, 0x8029);
        ioApic.setPin(9, true);
        assertThat(get(0x10 + 18) & 0x4000).isEqualTo(0x4000);
        assertThat(local.acknowledge()).isEqualTo(0x29);
        assertThat(local.pendingVector()).isEqualTo(-1);
        local.write(0xb0, 4, 0);
        assertThat(serve()).isEqualTo(0x29);
        ioApic.setPin(9, false);
        assertThat(serve()).isEqualTo(0x29); // sent once more at the EOI before
        assertThat(serve()).isEqualTo(-1);
        assertThat(get(0x10 + 18) & 0x4000).isZero();
    }

    @Test
    void unmaskingAnAssertedLevelInputDelivers() {
        redirect(9, 0x1_8029);
        ioApic.setPin(9, true);
        assertThat(local.pendingVector()).isEqualTo(-1);
        redirect(9, 0x8029);
        assertThat(local.pendingVector()).isEqualTo(0x29);
    }

    @Test
    void eoiRegisterEndsByVector() {
        redirect(9, 0x8029);
        ioApic.setPin(9, true);
        ioApic.setPin(9, false);
        ioApic.write(0x40, 4, 0x29);
        assertThat(get(0x10 + 18) & 0x4000).isZero();
    }

    @Test
    void switchingToEdgeClearsRemoteIrr() {
        redirect(9, 0x8029);
        ioApic.setPin(9, true);
        set(0x10 + 18, 0x1_0029);
        set(0x10 + 18, 0x1_8029);
        assertThat(get(0x10 + 18)).isEqualTo(0x1_8029);
    }

    @Test
    void nmiDeliveryMode() {
        redirect(7, 0x400);
        ioApic.setPin(7, true);
        assertThat(local.pendingVector()).isEqualTo(-1);
    }
}
