package dev.pacifica.emulator.device;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

/** Register behaviour of the PC16550D data sheet. */
class Uart16550Test {
    private static final int BASE = 0x3f8;
    private static final int DATA = BASE;
    private static final int IER = BASE + 1;
    private static final int IIR = BASE + 2;
    private static final int FCR = BASE + 2;
    private static final int LCR = BASE + 3;
    private static final int MCR = BASE + 4;
    private static final int LSR = BASE + 5;
    private static final int MSR = BASE + 6;
    private static final int SCR = BASE + 7;
    private static final int OUT2 = 8;

    private final Time time = new Time();
    private final Wire irq = new Wire();
    private final StringBuilder sent = new StringBuilder();
    private final Uart16550 uart =
            new Uart16550(0, BASE, time.clock, irq, (device, value) -> sent.append((char) value));

    private void receive(String text) {
        uart.receive(text.getBytes(StandardCharsets.ISO_8859_1));
    }

    private int in(int port) {
        return uart.in(port, 1);
    }

    private void out(int port, int value) {
        uart.out(port, 1, value);
    }

    @Test
    void transmitterIsAlwaysReadyAndSendsAtOnce() {
        assertThat(in(LSR)).isEqualTo(0x60);
        out(DATA, 'A');
        assertThat(sent).hasToString("A");
        assertThat(in(LSR)).isEqualTo(0x60);
    }

    @Test
    void divisorLatchHidesDataAndInterruptEnable() {
        out(IER, 5);
        out(LCR, 0x83);
        out(DATA, 0x34);
        out(IER, 0x12);
        assertThat(in(DATA)).isEqualTo(0x34);
        assertThat(in(IER)).isEqualTo(0x12);
        out(LCR, 3);
        assertThat(in(IER)).isEqualTo(5);
        assertThat(sent).isEmpty();
    }

    @Test
    void scratchRegisterKeepsItsValue() {
        out(SCR, 0xa5);
        assertThat(in(SCR)).isEqualTo(0xa5);
    }

    @Test
    void identifiesItselfAs16550AByTheFifoBits() {
        assertThat(in(IIR)).isEqualTo(1);
        out(FCR, 1);
        assertThat(in(IIR)).isEqualTo(0xc1);
        out(FCR, 0);
        assertThat(in(IIR)).isEqualTo(1);
    }

    @Test
    void enablingTheTransmitInterruptRaisesItBecauseTheTransmitterIsEmpty() {
        out(MCR, OUT2);
        out(IER, 2);
        assertThat(irq.asserted).isTrue();
        assertThat(in(IIR)).isEqualTo(2);
        // reading IIR with this source clears it
        assertThat(irq.asserted).isFalse();
        assertThat(in(IIR)).isEqualTo(1);
    }

    @Test
    void eachByteWrittenGivesAnotherTransmitInterruptEdge() {
        out(MCR, OUT2);
        out(IER, 2);
        int before = irq.rises;
        out(DATA, 'x');
        assertThat(irq.rises).isEqualTo(before + 1);
        assertThat(in(IIR)).isEqualTo(2);
        out(DATA, 'y');
        assertThat(in(IIR)).isEqualTo(2);
    }

    @Test
    void interruptOutputIsGatedByOut2() {
        out(IER, 2);
        assertThat(irq.asserted).isFalse();
        out(MCR, OUT2);
        assertThat(irq.asserted).isTrue();
    }

    @Test
    void receivedByteSetsDataReadyAndInterrupts() {
        out(MCR, OUT2);
        out(IER, 1);
        receive("Q");
        assertThat(irq.asserted).isTrue();
        assertThat(in(IIR)).isEqualTo(4);
        assertThat(in(LSR)).isEqualTo(0x61);
        assertThat(in(DATA)).isEqualTo('Q');
        assertThat(in(LSR)).isEqualTo(0x60);
        assertThat(irq.asserted).isFalse();
    }

    @Test
    void withoutFifoBytesComeOneByOneAndNoneIsLost() {
        receive("abc");
        StringBuilder got = new StringBuilder();
        while ((in(LSR) & 1) != 0) {
            got.append((char) in(DATA));
        }
        assertThat(got).hasToString("abc");
    }

    @Test
    void triggerLevelHoldsBackTheInterruptUntilTheCharacterTimeout() {
        out(LCR, 0x83); // 8N1, divisor 1: 10 bits of 8.68 µs
        out(DATA, 1);
        out(IER, 0);
        out(LCR, 3);
        out(FCR, 0xc1); // trigger level 14
        out(MCR, OUT2);
        out(IER, 1);
        receive("abc");
        assertThat(irq.asserted).isFalse();
        time.advance(340_000); // just before four characters of 86.8 µs
        assertThat(irq.asserted).isFalse();
        time.advance(10_000);
        assertThat(irq.asserted).isTrue();
        assertThat(in(IIR)).isEqualTo(0xcc);
        in(DATA); // reading a byte resets the timeout
        assertThat(irq.asserted).isFalse();
        assertThat(in(LSR) & 1).isEqualTo(1);
    }

    @Test
    void fourteenBytesReachTheTriggerLevel() {
        out(FCR, 0xc1);
        out(MCR, OUT2);
        out(IER, 1);
        receive("0123456789abcd");
        assertThat(in(IIR)).isEqualTo(0xc4);
        in(DATA);
        assertThat(in(IIR)).isEqualTo(0xc1);
    }

    @Test
    void moreThanSixteenBytesArriveInOrder() {
        out(FCR, 1);
        String text = "the quick brown fox jumps over the lazy dog";
        receive(text.substring(0, 20));
        receive(text.substring(20));
        StringBuilder got = new StringBuilder();
        while ((in(LSR) & 1) != 0) {
            got.append((char) in(DATA));
        }
        assertThat(got).hasToString(text);
    }

    @Test
    void clearingTheReceiverFifoDropsWhatIsInIt() {
        out(FCR, 1);
        receive("abc");
        out(FCR, 3);
        assertThat(in(LSR) & 1).isZero();
    }

    @Test
    void loopbackTurnsOutputsIntoInputs() {
        out(MCR, 0x1f);
        assertThat(in(MSR) & 0xf0).isEqualTo(0xf0);
        out(MCR, 0x10 | 0x0a); // RTS and OUT2, which come back as CTS and DCD
        assertThat(in(MSR) & 0xf0).isEqualTo(0x90);
        out(DATA, 'L');
        assertThat(sent).isEmpty();
        assertThat(in(DATA)).isEqualTo('L');
    }

    @Test
    void modemStatusChangesInterruptUntilRead() {
        out(IER, 8);
        out(MCR, 0x10); // loopback with all outputs off: CTS, DSR, DCD fall
        assertThat(in(IIR)).isEqualTo(0);
        assertThat(in(MSR)).isEqualTo(0x0b);
        assertThat(in(MSR)).isEqualTo(0x00);
        assertThat(in(IIR)).isEqualTo(1);
    }

    @Test
    void receiveDataHasPriorityOverTransmitterEmpty() {
        out(MCR, OUT2);
        out(IER, 3);
        receive("r");
        assertThat(in(IIR)).isEqualTo(4);
        in(DATA);
        assertThat(in(IIR)).isEqualTo(2);
    }

    @Test
    void overrunInLoopbackIsReportedOnce() {
        out(MCR, 0x10);
        out(DATA, 1);
        out(DATA, 2);
        out(IER, 4);
        assertThat(in(IIR)).isEqualTo(6);
        assertThat(in(LSR) & 2).isEqualTo(2);
        assertThat(in(LSR) & 2).isZero();
    }
}
