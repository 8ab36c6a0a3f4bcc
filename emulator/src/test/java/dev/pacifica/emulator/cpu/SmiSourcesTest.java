package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.memory.PortDevice;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * SMIs that I/O instructions cause (§15.22.1), from the chipset or by I/O trapping, and the restart
 * of such instructions (APM Vol 2 §10.3.8).
 */
class SmiSourcesTest {
    private static final int PORT = 0xb2;
    private static final int HANDLER = 0x38000;
    private static final int SAVED = 0x3fe00;
    private static final int TRAP_0 = 0xc001_0050;
    private static final int TRAP_CONTROL = 0xc001_0054;
    private static final int TRIGGER_CYCLE = 0xc001_0056;
    private static final long ON_WRITE = 1L << 62;
    private static final long ON_READ = 1L << 63;
    private static final long WHOLE_ADDRESS = 0xff_ffffL << 32;
    private static final long TRAPS_ENABLED = 1 << 15;
    private static final int IN = 1;
    private static final int VALID = 2;
    private static final int STRING = 4;
    private static final int REPEATED = 8;
    private static final int SZ8 = 1 << 4;
    private static final int SZ16 = 1 << 5;
    private static final int A16 = 1 << 7;
    private static final int TRAP_FLAG = 1 << 11;

    private final TestProcessor p = TestProcessor.realMode();
    private final Cpu cpu = p.cpu;

    /** Asserts SMI at each access while {@link #asserts} is set, as a chipset does. */
    private int accesses;

    private boolean asserts = true;

    @BeforeEach
    void chipset() {
        p.ports.claim(
                PORT,
                2,
                new PortDevice() {
                    @Override
                    public int in(int port, int size) {
                        accessed();
                        return 0x55;
                    }

                    @Override
                    public void out(int port, int size, int value) {
                        accessed();
                    }
                });
        cpu.r[Cpu.RDX] = PORT;
    }

    private void accessed() {
        accesses++;
        if (asserts) {
            cpu.smiPending = true;
            cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        }
    }

    @AfterEach
    void release() {
        p.close();
    }

    private long saved(int offset, int size) {
        return p.read(SAVED + offset, size);
    }

    @Test
    void anSmiInAnOutTellsOfTheInstruction() {
        p.code("e6 b2 90").code(HANDLER, "0faa");
        p.step(2);
        assertThat(cpu.smm.active()).isTrue();
        assertThat(saved(0x178, 8)).isEqualTo(TestProcessor.CODE + 2);
        assertThat(saved(0xa0, 8)).isEqualTo(TestProcessor.CODE);
        assertThat(saved(0xc0, 4)).isEqualTo(PORT << 16 | A16 | SZ8 | VALID);
        p.step();
        assertThat(cpu.rip).isEqualTo(TestProcessor.CODE + 2);
        assertThat(accesses).isEqualTo(1);
    }

    @Test
    void theHandlerCanHaveTheInstructionExecutedAgain() {
        p.code("ed 90").code(HANDLER, "2ec606c8fe01 0faa"); // in ax, dx; mov byte [cs:fec8h], 1
        p.step(2);
        assertThat(saved(0xc0, 4)).isEqualTo(PORT << 16 | A16 | SZ16 | VALID | IN);
        asserts = false;
        p.step(2);
        assertThat(cpu.rip).isEqualTo(TestProcessor.CODE);
        p.step();
        assertThat(accesses).isEqualTo(2);
        assertThat(cpu.rip).isEqualTo(TestProcessor.CODE + 1);
    }

    @Test
    void aRepeatedStringIsInterruptedBetweenIterations() {
        p.code("f3 6e 90").code(HANDLER, "0faa"); // rep outsb
        cpu.r[Cpu.RCX] = 3;
        cpu.r[Cpu.RSI] = 0x600;
        cpu.r[Cpu.RDI] = 0x700;
        p.step(2);
        assertThat(accesses).isEqualTo(1);
        assertThat(saved(0x178, 8)).isEqualTo(TestProcessor.CODE); // the loop goes on
        assertThat(saved(0xa0, 8)).isEqualTo(TestProcessor.CODE);
        assertThat(saved(0xa8, 8)).isEqualTo(3);
        assertThat(saved(0xb0, 8)).isEqualTo(0x600);
        assertThat(saved(0xb8, 8)).isEqualTo(0x700);
        assertThat(saved(0x1f0, 8)).isEqualTo(2);
        assertThat(saved(0x1c8, 8)).isEqualTo(0x601);
        assertThat(saved(0xc0, 4)).isEqualTo(PORT << 16 | A16 | SZ8 | REPEATED | STRING | VALID);
        asserts = false;
        p.step(3); // RSM; with RF set each iteration is a step of its own
        assertThat(cpu.r[Cpu.RCX]).isZero();
        assertThat(accesses).isEqualTo(3);
    }

    @Test
    void aRestartedIterationHasItsRegistersAgain() {
        p.code("f3 6c 90").code(HANDLER, "2ec606c8fe01 0faa"); // rep insb
        cpu.r[Cpu.RCX] = 2;
        cpu.r[Cpu.RDI] = 0x600;
        p.step(2);
        asserts = false;
        p.step(2);
        assertThat(cpu.r[Cpu.RCX]).isEqualTo(2);
        assertThat(cpu.r[Cpu.RDI]).isEqualTo(0x600);
        assertThat(cpu.rip).isEqualTo(TestProcessor.CODE);
    }

    @Test
    void theSingleStepTrapOfTheInstructionFollowsRsm() {
        p.code("e6 b2 90").code(HANDLER, "0faa");
        cpu.setRflags(Cpu.TF | 2);
        p.step(2);
        assertThat(saved(0xc0, 4) & TRAP_FLAG).isNotZero();
        p.step(2);
        assertThat(p.handler()).isEqualTo(GuestException.DB);
    }

    @Test
    void anSmiThatCameLaterIsNoIoInstructions() {
        p.code("e6 b2 90 90").code(HANDLER, "0faa");
        cpu.gif = false;
        p.step(2);
        cpu.gif = true;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        p.step();
        assertThat(cpu.smm.active()).isTrue();
        assertThat(saved(0xc0, 4)).isZero();
        assertThat(saved(0xa0, 8)).isEqualTo(TestProcessor.CODE + 3);
    }

    private void trap(int number, long kinds, int port) {
        cpu.msrs.write(TRAP_0 + number, kinds | WHOLE_ADDRESS | port);
        cpu.msrs.write(TRAP_CONTROL, TRAPS_ENABLED | 2 << 2 * number);
        asserts = false;
    }

    @Test
    void anIoTrapTakesTheSmiInsteadOfTheAccess() {
        trap(2, ON_WRITE, PORT);
        p.code("e6 b2 90").code(HANDLER, "0faa");
        p.step(2);
        assertThat(cpu.smm.active()).isTrue();
        assertThat(accesses).isZero();
        assertThat(saved(0x178, 8)).isEqualTo(TestProcessor.CODE + 2);
        assertThat(saved(0xa0, 8)).isEqualTo(TestProcessor.CODE);
        assertThat(saved(0xc0, 4)).isEqualTo(PORT << 16 | A16 | SZ8 | VALID);
        assertThat(saved(0xc4, 4)).isEqualTo(4); // local SMI status: trap 2
        p.step();
        assertThat(cpu.smm.active()).isFalse();
        assertThat(cpu.smm.due()).isFalse();
    }

    @Test
    void aTrapCatchesOnlyItsPortAndDirection() {
        trap(0, ON_WRITE, PORT);
        p.code("e4 b2 e6 b3"); // in al, b2h; out b3h, al
        p.step(2);
        assertThat(accesses).isEqualTo(2);
        trap(0, ON_READ, PORT);
        cpu.msrs.write(TRAP_CONTROL, TRAPS_ENABLED); // none of the four is on
        cpu.rip = TestProcessor.CODE;
        p.step(1);
        assertThat(accesses).isEqualTo(3);
    }

    @Test
    void maskedAddressBitsAreNotCompared() {
        cpu.msrs.write(TRAP_0, ON_READ | (0xff_fffcL << 32) | 0xb0);
        cpu.msrs.write(TRAP_CONTROL, TRAPS_ENABLED | 2);
        p.code("e4 b2");
        p.step(2);
        assertThat(cpu.smm.active()).isTrue();
        assertThat(accesses).isZero();
    }

    @Test
    void stringInstructionsAreNotTrapped() {
        trap(0, ON_WRITE, PORT);
        p.code("6e");
        p.step();
        assertThat(accesses).isEqualTo(1);
    }

    @Test
    void withGifClearTheTrapIsLost() {
        trap(0, ON_WRITE, PORT);
        cpu.gif = false;
        p.code("e6 b2 90");
        p.step();
        cpu.gif = true;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        p.step();
        assertThat(cpu.smm.active()).isFalse();
        assertThat(accesses).isEqualTo(1);
    }

    @Test
    void theTriggerCycleTellsTheChipsetAndMakesNoSecondSmi() {
        trap(0, ON_WRITE, 0x123);
        cpu.msrs.write(TRIGGER_CYCLE, 1 << 25 | 0x77 << 16 | PORT);
        asserts = true;
        cpu.r[Cpu.RDX] = 0x123;
        p.code("ee 90").code(HANDLER, "0faa");
        p.step(2);
        assertThat(cpu.smm.active()).isTrue();
        assertThat(accesses).isEqualTo(1);
        p.step(2);
        assertThat(cpu.smm.active()).isFalse();
        assertThat(cpu.rip).isEqualTo(TestProcessor.CODE + 2);
    }
}
