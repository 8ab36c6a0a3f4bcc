package dev.pacifica.emulator.device;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** Behaviour of the 8254 data sheet; one clock is 838.1 ticks of virtual time. */
class Pit8254Test {
    private static final long SECOND = 1_000_000_000L;

    private final Time time = new Time();
    private final Wire irq = new Wire();
    private final Pit8254 pit = new Pit8254(time.clock, irq);

    private void out(int port, int value) {
        pit.out(port, 1, value);
    }

    private int in(int port) {
        return pit.in(port, 1);
    }

    /** Lets this many input clocks pass, and a little less than one more. */
    private void clocks(long n) {
        time.advance(n * SECOND / 1_193_182 + 100);
    }

    private int latched(int channel) {
        out(0x43, channel << 6);
        return in(0x40 + channel) | in(0x40 + channel) << 8;
    }

    @Test
    void rateGeneratorInterruptsAtItsFrequency() {
        out(0x43, 0x34);
        out(0x40, 11932 & 0xff);
        out(0x40, 11932 >> 8);
        time.advance(SECOND);
        // 1193182 / 11932 = 99.998
        assertThat(irq.rises).isEqualTo(99);
        time.advance(20_000);
        assertThat(irq.rises).isEqualTo(100);
    }

    @Test
    void squareWaveInterruptsOnceAPeriod() {
        out(0x43, 0x36);
        out(0x40, 0);
        out(0x40, 0);
        time.advance(SECOND); // 1193182 / 65536 = 18.2
        assertThat(irq.rises).isEqualTo(18);
    }

    @Test
    void terminalCountInterruptsOnce() {
        out(0x43, 0x30);
        out(0x40, 0xe8);
        out(0x40, 0x03);
        clocks(998);
        assertThat(irq.asserted).isFalse();
        clocks(4);
        assertThat(irq.asserted).isTrue();
        clocks(100_000);
        assertThat(irq.rises).isEqualTo(1);
    }

    @Test
    void softwareStrobeInterruptsOnceAfterTheCount() {
        out(0x43, 0x38);
        out(0x40, 100);
        out(0x40, 0);
        clocks(200);
        assertThat(irq.rises).isEqualTo(1);
        out(0x40, 50);
        out(0x40, 0);
        clocks(200);
        assertThat(irq.rises).isEqualTo(2);
    }

    @Test
    void latchedCountStaysWhileTheCounterRuns() {
        out(0x43, 0x34);
        out(0x40, 0x10);
        out(0x40, 0x27); // 10000
        clocks(1000);
        out(0x43, 0x00);
        clocks(5000);
        assertThat(in(0x40) | in(0x40) << 8).isBetween(8998, 9000);
        assertThat(latched(0)).isBetween(3995, 4000);
    }

    @Test
    void squareWaveCountsDownByTwo() {
        out(0x43, 0x36);
        out(0x40, 0x10);
        out(0x40, 0x27);
        clocks(1000);
        assertThat(latched(0)).isBetween(7996, 8000);
        clocks(4500); // in the second half of the period
        assertThat(latched(0)).isBetween(8990, 9000);
    }

    @Test
    void newCountInRateModeTakesEffectAfterThePeriod() {
        out(0x43, 0x34);
        out(0x40, 0xe8);
        out(0x40, 0x03); // 1000
        clocks(500);
        out(0x40, 0x64);
        out(0x40, 0x00); // 100
        clocks(450);
        assertThat(irq.rises).isZero();
        clocks(60);
        assertThat(irq.rises).isEqualTo(1);
        clocks(100);
        assertThat(irq.rises).isEqualTo(2);
    }

    @Test
    void readBackGivesStatusThenCount() {
        out(0x43, 0x34);
        out(0x40, 0xff);
        out(0x40, 0xff);
        clocks(10);
        out(0x43, 0xc2); // latch count and status of channel 0
        assertThat(in(0x40)).isEqualTo(0x80 | 0x34);
        assertThat(in(0x40) | in(0x40) << 8).isBetween(0xffff - 12, 0xffff - 9);
    }

    @Test
    void statusShowsNullCountUntilACountIsWritten() {
        out(0x43, 0x30);
        out(0x43, 0xe2);
        assertThat(in(0x40)).isEqualTo(0x40 | 0x30);
        out(0x40, 1);
        out(0x40, 1);
        out(0x43, 0xe2);
        assertThat(in(0x40)).isEqualTo(0x30);
    }

    @Test
    void lowByteOnlyAccessAndBcdCount() {
        out(0x43, 0x95); // channel 2, low byte only, mode 2, BCD
        out(0x61, 1);
        out(0x42, 0x50);
        clocks(10);
        assertThat(in(0x42)).isIn(0x40, 0x39);
    }

    @Test
    void channel2OutputAndGateAreAtPort61h() {
        out(0x61, 0);
        out(0x43, 0xb0);
        out(0x42, 0xe8);
        out(0x42, 0x03);
        clocks(5000);
        assertThat(in(0x61) & 0x21).isZero(); // the gate holds the counter
        out(0x61, 1);
        clocks(900);
        assertThat(in(0x61) & 0x21).isEqualTo(1);
        clocks(150);
        assertThat(in(0x61) & 0x21).isEqualTo(0x21);
    }

    @Test
    void oneShotOfChannel2StartsAtTheGateEdge() {
        out(0x61, 0);
        out(0x43, 0xb2);
        out(0x42, 100);
        out(0x42, 0);
        assertThat(in(0x61) & 0x20).isEqualTo(0x20);
        out(0x61, 1);
        clocks(50);
        assertThat(in(0x61) & 0x20).isZero();
        clocks(60);
        assertThat(in(0x61) & 0x20).isEqualTo(0x20);
    }

    @Test
    void refreshBitToggles() {
        int toggles = 0;
        int last = in(0x61) & 0x10;
        for (int i = 0; i < 300; i++) {
            time.advance(1000);
            int bit = in(0x61) & 0x10;
            toggles += bit != last ? 1 : 0;
            last = bit;
        }
        // 300 µs in steps of 18 clocks, 15.085 µs
        assertThat(toggles).isEqualTo(19);
    }

    @Test
    void speakerDataBitIsReadBack() {
        out(0x61, 2);
        assertThat(in(0x61) & 0xf).isEqualTo(2);
    }
}
