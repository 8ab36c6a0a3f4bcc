package dev.pacifica.emulator.device;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Behaviour of the 8259A data sheet, on the PC's pair with vectors 20h and 28h. */
class Pic8259Test {
    private final Wire intr = new Wire();
    private final Pic8259 pic = new Pic8259(intr);

    @BeforeEach
    void initialize() {
        init(0x01, 0x01);
    }

    private void init(int masterIcw4, int slaveIcw4) {
        out(0x20, 0x11);
        out(0x21, 0x20);
        out(0x21, 0x04);
        out(0x21, masterIcw4);
        out(0xa0, 0x11);
        out(0xa1, 0x28);
        out(0xa1, 0x02);
        out(0xa1, slaveIcw4);
    }

    private void out(int port, int value) {
        pic.out(port, 1, value);
    }

    private int in(int port) {
        return pic.in(port, 1);
    }

    private void pulse(int irq) {
        pic.setLine(irq, true);
        pic.setLine(irq, false);
    }

    @Test
    void edgeIsAcknowledgedWithItsVectorAndBlocksLowerPriorities() {
        pulse(4);
        assertThat(intr.asserted).isTrue();
        assertThat(pic.acknowledge()).isEqualTo(0x24);
        assertThat(intr.asserted).isFalse();
        pulse(5);
        assertThat(intr.asserted).isFalse();
        pulse(3);
        assertThat(pic.acknowledge()).isEqualTo(0x23);
        out(0x20, 0x20); // ends 3, the highest in service
        out(0x20, 0x20);
        assertThat(pic.acknowledge()).isEqualTo(0x25);
    }

    @Test
    void slaveInterruptsGoThroughTheCascade() {
        pulse(12);
        assertThat(pic.acknowledge()).isEqualTo(0x2c);
        out(0x20, 0x0b);
        out(0xa0, 0x0b);
        assertThat(in(0x20)).isEqualTo(0x04);
        assertThat(in(0xa0)).isEqualTo(0x10);
        out(0xa0, 0x20);
        out(0x20, 0x20);
        assertThat(in(0x20)).isZero();
        assertThat(in(0xa0)).isZero();
    }

    @Test
    void slaveRequestsThatWaitAreNotLost() {
        pulse(14);
        pulse(15);
        assertThat(pic.acknowledge()).isEqualTo(0x2e);
        out(0xa0, 0x20);
        out(0x20, 0x20);
        assertThat(pic.acknowledge()).isEqualTo(0x2f);
    }

    @Test
    void slaveRequestsThatWaitAreNotLostWithAutomaticEnd() {
        init(0x03, 0x03);
        pulse(14);
        pulse(15);
        assertThat(pic.acknowledge()).isEqualTo(0x2e);
        assertThat(intr.asserted).isTrue();
        assertThat(pic.acknowledge()).isEqualTo(0x2f);
        assertThat(intr.asserted).isFalse();
    }

    @Test
    void maskedRequestWaitsInIrr() {
        out(0x21, 0xff);
        pulse(1);
        assertThat(intr.asserted).isFalse();
        assertThat(in(0x20)).isEqualTo(0x02);
        out(0x21, 0xfd);
        assertThat(intr.asserted).isTrue();
    }

    @Test
    void acknowledgeWithNothingPendingGivesInput7WithoutServiceBit() {
        assertThat(pic.acknowledge()).isEqualTo(0x27);
        out(0x20, 0x0b);
        assertThat(in(0x20)).isZero();
    }

    @Test
    void levelTriggeredRequestWithdrawnBeforeAcknowledgeIsSpurious() {
        out(0x4d0, 0x20);
        pic.setLine(5, true);
        assertThat(intr.asserted).isTrue();
        pic.setLine(5, false);
        assertThat(intr.asserted).isFalse();
        assertThat(pic.acknowledge()).isEqualTo(0x27);
    }

    @Test
    void levelTriggeredRequestComesAgainWhileAsserted() {
        out(0x4d1, 0x02);
        pic.setLine(9, true);
        assertThat(pic.acknowledge()).isEqualTo(0x29);
        out(0xa0, 0x20);
        out(0x20, 0x20);
        assertThat(pic.acknowledge()).isEqualTo(0x29);
        pic.setLine(9, false);
        out(0xa0, 0x20);
        out(0x20, 0x20);
        assertThat(intr.asserted).isFalse();
    }

    @Test
    void edgeTriggeredInputNeedsANewEdge() {
        pic.setLine(6, true);
        assertThat(pic.acknowledge()).isEqualTo(0x26);
        out(0x20, 0x20);
        assertThat(intr.asserted).isFalse();
    }

    @Test
    void edgeControlBitsOfSystemInterruptsAreFixed() {
        out(0x4d0, 0xff);
        out(0x4d1, 0xff);
        assertThat(in(0x4d0)).isEqualTo(0xf8);
        assertThat(in(0x4d1)).isEqualTo(0xde);
    }

    @Test
    void automaticEndLeavesNothingInService() {
        init(0x03, 0x01);
        pulse(0);
        assertThat(pic.acknowledge()).isEqualTo(0x20);
        out(0x20, 0x0b);
        assertThat(in(0x20)).isZero();
    }

    @Test
    void specificEndAndRotationChangePriorities() {
        pulse(3);
        pic.acknowledge();
        out(0x20, 0xe3); // rotate on specific end: 3 becomes the lowest
        pulse(3);
        pulse(4);
        assertThat(pic.acknowledge()).isEqualTo(0x24);
        out(0x20, 0x64);
        assertThat(pic.acknowledge()).isEqualTo(0x23);
    }

    @Test
    void specialMaskModeLetsLowerPrioritiesThrough() {
        pulse(2 + 1);
        pic.acknowledge();
        pulse(6);
        assertThat(intr.asserted).isFalse();
        out(0x21, 0x08);
        out(0x20, 0x68);
        assertThat(pic.acknowledge()).isEqualTo(0x26);
    }

    @Test
    void pollAcknowledgesAndReadsTheInput() {
        pulse(5);
        out(0x20, 0x0c);
        assertThat(in(0x20)).isEqualTo(0x85);
        out(0x20, 0x0b);
        assertThat(in(0x20)).isEqualTo(0x20);
        out(0x20, 0x0c);
        assertThat(in(0x20)).isZero();
    }

    @Test
    void initializationClearsMasksAndRequests() {
        out(0x21, 0x55);
        pulse(6);
        init(1, 1);
        assertThat(in(0x21)).isZero();
        assertThat(intr.asserted).isFalse();
    }
}
