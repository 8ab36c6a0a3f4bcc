package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.execute.Interpreter;
import dev.pacifica.emulator.time.VirtualClock;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** MONITORX and MWAITX (APM Vol 3): at every privilege, and no longer than EBX says. */
class MonitorExtensionsTest {
    private static final int LINE = 0x3_0000;
    private static final String MONITORX = "0f 01 fa";
    private static final String MWAITX = "0f 01 fb";

    private static final CpuModel MODEL = CpuModel.parse("epyc-milan,+monitorx");

    private final TestProcessor p = TestProcessor.longMode();
    private final VirtualClock clock = p.cpu.clock;
    private final Interpreter interpreter =
            new Interpreter(p.cpu, new Decoder(MODEL.decoderFeatures()));

    @AfterEach
    void release() {
        p.close();
    }

    /** MONITORX done, at MWAITX with these extensions and time, NOPs behind it. */
    private void armed(int ecx, long ebx) {
        p.cpu.model = MODEL;
        p.cpu.r[Cpu.RAX] = LINE;
        p.cpu.r[Cpu.RBX] = ebx;
        p.cpu.r[Cpu.RCX] = 0;
        p.code(MONITORX + MWAITX + "90 90 90");
        step();
        p.cpu.r[Cpu.RCX] = ecx;
    }

    private void step() {
        interpreter.run(clock.retired + 1);
    }

    private void pass(long ticks) {
        clock.skipTo(clock.now() + ticks);
        clock.fireDue();
        step();
    }

    @Test
    void itEndsWhenItsTimeIsOver() {
        armed(2, 1000);
        step();
        long end = clock.now() - 1 + 1000; // MWAITX counts when it has armed the timer
        assertThat(p.cpu.activity).isEqualTo(Cpu.MWAITING);
        assertThat(clock.earliestDeadline()).isEqualTo(end);
        pass(end - clock.now() - 1);
        assertThat(p.cpu.activity).isEqualTo(Cpu.MWAITING);
        pass(1);
        assertThat(p.cpu.activity).isEqualTo(Cpu.RUNNING);
        assertThat(clock.earliestDeadline()).isEqualTo(VirtualClock.NEVER);
    }

    @ParameterizedTest
    @CsvSource({"0, 1000", "1, 1000", "2, 0", "2, 0x100000000"})
    void withoutATimeItWaitsForever(int ecx, String ebx) {
        armed(ecx, Long.decode(ebx));
        step();
        assertThat(p.cpu.activity).isEqualTo(Cpu.MWAITING);
        assertThat(clock.earliestDeadline()).isEqualTo(VirtualClock.NEVER);
        pass(1L << 40);
        assertThat(p.cpu.activity).isEqualTo(Cpu.MWAITING);
    }

    @Test
    void aStoreToTheLineEndsItBeforeItsTime() {
        armed(2, 1000);
        step();
        p.write(LINE + 63, 1, 1);
        step();
        assertThat(p.cpu.activity).isEqualTo(Cpu.RUNNING);
        assertThat(clock.earliestDeadline()).isEqualTo(VirtualClock.NEVER);
    }

    /** The time of one does not end the next one, which MWAIT without a time is. */
    @Test
    void theNextWaitHasATimeOfItsOwn() {
        armed(2, 1000);
        step();
        pass(1000);
        p.cpu.rip = TestProcessor.CODE;
        p.cpu.r[Cpu.RCX] = 0;
        step();
        step();
        assertThat(p.cpu.activity).isEqualTo(Cpu.MWAITING);
        pass(10);
        assertThat(p.cpu.activity).isEqualTo(Cpu.MWAITING);
        assertThat(clock.earliestDeadline()).isEqualTo(VirtualClock.NEVER);
    }

    @Test
    void withTheLineWrittenAlreadyItDoesNotWait() {
        armed(2, 1000);
        p.write(LINE, 1, 1);
        step();
        assertThat(p.cpu.activity).isEqualTo(Cpu.RUNNING);
        assertThat(clock.earliestDeadline()).isEqualTo(VirtualClock.NEVER);
    }

    @Test
    void userCodeMayUseThem() {
        p.user();
        armed(2, 1000);
        step();
        assertThat(p.cpu.activity).isEqualTo(Cpu.MWAITING);
        assertThat(p.cpu.cpl).isEqualTo(3);
    }

    @ParameterizedTest
    @ValueSource(strings = {MONITORX, MWAITX})
    void theyAreUndefinedUnlessAskedFor(String hex) {
        p.code(hex).step();
        assertThat(p.handler()).isEqualTo(GuestException.UD);
    }

    @Test
    void cpuidTellsOfThemOnRequest() {
        p.code("0f a2 0f a2 0f a2");
        p.cpu.r[Cpu.RAX] = 0x8000_0001L;
        p.step();
        assertThat(p.cpu.r[Cpu.RCX] >>> 29 & 1).isZero();
        p.cpu.model = CpuModel.parse("epyc-milan,-monitor,+monitorx");
        p.cpu.r[Cpu.RAX] = 0x8000_0001L;
        p.step();
        assertThat(p.cpu.r[Cpu.RCX] >>> 29 & 1).isEqualTo(1);
        p.cpu.r[Cpu.RAX] = 5;
        p.cpu.r[Cpu.RCX] = 0;
        p.step();
        assertThat(p.cpu.r[Cpu.RAX]).as("the line's size").isEqualTo(64);
        assertThat(p.cpu.r[Cpu.RCX]).as("extensions").isEqualTo(3);
    }
}
