package dev.pacifica.emulator.device;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Instant;
import org.junit.jupiter.api.Test;

/** Behaviour of the MC146818A data sheet. */
class RtcTest {
    private static final long SECOND = 1_000_000_000L;

    private final Time time = new Time();
    private final Wire irq = new Wire();
    private final Rtc rtc = new Rtc(time.clock, irq, Instant.parse("2023-12-31T23:59:58Z"));

    private int get(int register) {
        rtc.out(0x70, 1, register);
        return rtc.in(0x71, 1);
    }

    private void set(int register, int value) {
        rtc.out(0x70, 1, register);
        rtc.out(0x71, 1, value);
    }

    /** Year with century, month, day, hour, minute, second as the registers show them. */
    private String shown() {
        return "%02x%02x-%02x-%02x %02x:%02x:%02x"
                .formatted(get(0x32), get(9), get(8), get(7), get(4), get(2), get(0));
    }

    @Test
    void showsTheBaseTimeAndRunsOnVirtualTime() {
        assertThat(shown()).isEqualTo("2023-12-31 23:59:58");
        assertThat(get(6)).isEqualTo(1); // a Sunday
        time.advance(SECOND - 1);
        assertThat(shown()).isEqualTo("2023-12-31 23:59:58");
        time.advance(SECOND + 1);
        assertThat(shown()).isEqualTo("2024-01-01 00:00:00");
        time.advance(59 * 86_400 * SECOND);
        assertThat(shown()).isEqualTo("2024-02-29 00:00:00");
    }

    @Test
    void binaryAndTwelveHourFormats() {
        set(0xb, 0x06);
        assertThat(get(0)).isEqualTo(58);
        assertThat(get(4)).isEqualTo(23);
        set(0xb, 0x00);
        assertThat(get(4)).isEqualTo(0x91); // 11 pm
        time.advance(2 * SECOND);
        assertThat(get(4)).isEqualTo(0x12); // 12 am
    }

    @Test
    void setBitStopsTheClockAndTimeGoesOnFromWhatIsWritten() {
        set(0xb, 0x82);
        time.advance(10 * SECOND);
        assertThat(shown()).isEqualTo("2023-12-31 23:59:58");
        set(9, 0x30);
        set(8, 0x07);
        set(7, 0x04);
        set(4, 0x12);
        set(2, 0x34);
        set(0, 0x56);
        set(0xb, 0x02);
        assertThat(shown()).isEqualTo("2030-07-04 12:34:56");
        time.advance(5 * SECOND);
        assertThat(shown()).isEqualTo("2030-07-04 12:35:01");
    }

    @Test
    void dividerResetDelaysTheFirstUpdateByHalfASecond() {
        set(0xa, 0x76);
        set(0xa, 0x26);
        time.advance(SECOND / 2 - 1000);
        assertThat(get(0)).isEqualTo(0x58);
        time.advance(2000);
        assertThat(get(0)).isEqualTo(0x59);
    }

    @Test
    void updateInProgressShowsJustBeforeTheSecond() {
        assertThat(get(0xa)).isEqualTo(0x26);
        time.advance(SECOND - 200_000);
        assertThat(get(0xa)).isEqualTo(0xa6);
        time.advance(200_000);
        assertThat(get(0xa)).isEqualTo(0x26);
    }

    @Test
    void updateEndedInterruptsOnceASecondUntilReadFromC() {
        set(0xb, 0x12);
        time.advance(SECOND);
        assertThat(irq.asserted).isTrue();
        assertThat(get(0xc)).isEqualTo(0xd0); // the periodic flag is up too, enabled or not
        assertThat(irq.asserted).isFalse();
        assertThat(get(0xc)).isZero();
        time.advance(3 * SECOND);
        assertThat(irq.rises).isEqualTo(2); // not acknowledged in between
    }

    @Test
    void updateFlagIsSetWithoutInterrupt() {
        time.advance(SECOND);
        assertThat(get(0xc) & 0x10).isEqualTo(0x10);
        assertThat(irq.rises).isZero();
    }

    @Test
    void periodicInterruptAt1024Hertz() {
        set(0xb, 0x42);
        for (int i = 0; i < 1024; i++) {
            time.advanceTo((i + 1) * SECOND / 1024 + 1);
            assertThat(irq.asserted).isTrue();
            assertThat(get(0xc) & 0xc0).isEqualTo(0xc0);
        }
        assertThat(irq.rises).isEqualTo(1024);
    }

    @Test
    void alarmMatchesWithDontCareFields() {
        set(1, 0x05);
        set(3, 0xc0);
        set(5, 0xff);
        set(0xb, 0x22);
        time.advance(6 * SECOND);
        assertThat(irq.asserted).isFalse();
        time.advance(SECOND); // 00:00:05
        assertThat(irq.asserted).isTrue();
        assertThat(get(0xc) & 0xa0).isEqualTo(0xa0);
        time.advance(59 * SECOND);
        assertThat(irq.asserted).isFalse();
        time.advance(SECOND);
        assertThat(irq.asserted).isTrue();
    }

    @Test
    void alarmThatNoTimeMatchesNeverComes() {
        set(1, 0x75);
        set(3, 0x75);
        set(5, 0x75);
        set(0xb, 0x22);
        time.advance(3 * 86_400 * SECOND);
        assertThat(irq.rises).isZero();
    }

    @Test
    void memorySizesFollowTheFirmwareConvention() {
        rtc.setConfiguration(3L << 30, 5L << 30, 4);
        assertThat(get(0x15) | get(0x16) << 8).isEqualTo(640);
        assertThat(get(0x17) | get(0x18) << 8).isEqualTo(0xffff);
        assertThat(get(0x34) | get(0x35) << 8)
                .isEqualTo((3 * 1024 - 16) * 16); // 64-KiB units above 16 MiB
        assertThat(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16).isEqualTo(5 * 1024 * 16);
        assertThat(get(0x5f)).isEqualTo(3);
    }

    @Test
    void registerDSaysTheBatteryIsGoodAndMemoryKeeps() {
        assertThat(get(0xd)).isEqualTo(0x80);
        set(0x7f, 0x5a);
        assertThat(get(0x7f)).isEqualTo(0x5a);
    }

    @Test
    void anAlarmThatNoTimeHasNeverComesWhateverTheYear() {
        set(0x32, 0x00);
        set(9, 0x01); // the year 1: before the epoch
        set(5, 0x3f); // no hour
        set(0xb, 0x22); // alarm interrupt
        assertThat(time.clock.nextDeadline()).isEqualTo(Long.MAX_VALUE);
        time.advance(86_400 * SECOND);
        assertThat(irq.asserted).isFalse();
    }
}
