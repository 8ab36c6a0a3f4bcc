package dev.pacifica.emulator.machine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import java.time.Instant;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Moments of a run: where it may be paused, saved and gone on with (invariants I1, I2 and I4). */
class MachineTest {
    /**
     * The 8259 and the PIT set up, then HLT and INC BX for ever; the firmware's stub acknowledges
     * the interrupts.
     */
    private static final String IDLER =
            "fa b0 11 e6 20 b0 08 e6 21 b0 04 e6 21 b0 01 e6 21 b0 fe e6 21 b0 34 e6 43 b0 00 e6 40"
                    + " e6 40 bc 00 70 fb f4 43 eb fc";

    private static Machine machine() {
        Machine machine =
                new Machine(
                        new MachineConfig(1 << 20, 1, "", Instant.EPOCH, 7), (device, value) -> {});
        byte[] code = HexFormat.of().parseHex(IDLER.replace(" ", ""));
        machine.memory().write(0x8000, code, 0, code.length);
        Cpu cpu = machine.cpu(0);
        cpu.segSelector[Cpu.CS] = 0;
        cpu.segBase[Cpu.CS] = 0;
        cpu.rip = 0x8000;
        cpu.updateMode();
        return machine;
    }

    /** The 32-bit code given, run with flat segments and 4 Gi - 1 in ECX. */
    private static Machine flat(String code) {
        Machine machine = machine();
        byte[] bytes = HexFormat.of().parseHex(code.replace(" ", ""));
        machine.memory().write(0x8000, bytes, 0, bytes.length);
        Cpu cpu = machine.cpu(0);
        cpu.cr0 |= Cpu.CR0_PE;
        for (int i = 0; i < 6; i++) {
            cpu.segSelector[i] = i == Cpu.CS ? 8 : 16;
            cpu.segBase[i] = 0;
            cpu.segLimit[i] = 0xffff_ffffL;
            cpu.segAttr[i] =
                    Cpu.ATTR_P | Cpu.ATTR_S | Cpu.ATTR_G | Cpu.ATTR_DB | (i == Cpu.CS ? 0xb : 3);
        }
        cpu.updateMode();
        cpu.r[Cpu.RCX] = 0xffff_ffffL;
        cpu.r[Cpu.RDX] = 0x1234; // no device has this port
        return machine;
    }

    /** Neither the instruction that faults nor what cannot be delivered counts. */
    @ParameterizedTest
    @CsvSource({"0f 0b, 0", "90 90 0f 0b, 2", "90 cd 30, 1"})
    void aTripleFaultCountsNothing(String code, long retired) {
        try (Machine machine = flat(code)) {
            machine.cpu(0).idtrLimit = 0;
            assertThat(machine.run(100).reason()).isEqualTo(Stop.Reason.TRIPLE_FAULT);
            assertThat(machine.clock().retired).isEqualTo(retired);
            assertThat(machine.cpu(0).rip).isEqualTo(0x8000 + retired);
        }
    }

    private static byte[] state(Machine machine) {
        BinaryStateWriter out = new BinaryStateWriter();
        machine.save(out);
        return out.toByteArray();
    }

    @Test
    void aPausedMachineIsAsOneThatRanToThatCount() {
        for (int polls = 1; polls < 40; polls++) {
            try (Machine paused = machine();
                    Machine counted = machine()) {
                paused.setInputs(new PauseAtPoll(paused, polls));
                assertThat(paused.run(Long.MAX_VALUE)).isNull();
                counted.run(paused.clock().retired);
                assertThat(paused.clock().now())
                        .as("pause %d", polls)
                        .isEqualTo(counted.clock().now());
                assertThat(state(paused)).as("pause %d", polls).isEqualTo(state(counted));
            }
        }
    }

    @Test
    void aPauseRequestedBetweenTwoRunsIsHeard() {
        try (Machine machine = machine()) {
            machine.run(5);
            machine.requestPause();
            assertThat(machine.run(Long.MAX_VALUE)).isNull();
            assertThat(machine.clock().retired).isEqualTo(5);
            machine.run(6);
            assertThat(machine.clock().retired).isEqualTo(6);
        }
    }

    /** One tick of these takes milliseconds, a slice of them minutes. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "be 00 00 00 d0  bf 00 00 00 d8  f3 a4", // rep movsb in space without device
                "be 00 00 00 d0  bf 00 00 00 d8  f3 6c", // rep insb there from a port without
                // device
                "be 00 00 00 d0  bf 00 00 e0 fe  f3 a5", // rep movsd to the local APIC and beyond
            })
    void aPauseIsHeardInTheMiddleOfALongRepeatedInstruction(String code) {
        try (Machine machine = flat(code)) {
            machine.run(3);
            assertThat(machine.cpu(0).rip).isEqualTo(0x800a);
            machine.setInputs(new PauseAtPoll(machine, 1));
            assertThat(machine.run(Long.MAX_VALUE)).isNull();
            assertThat(machine.clock().retired).isEqualTo(4);
            assertThat(machine.cpu(0).r[Cpu.RCX]).isBetween(0xfff0_0000L, 0xffff_fffeL);
        }
    }

    /** The guest's own statuses are odd; those of how a machine ends otherwise are even. */
    @ParameterizedTest
    @CsvSource({
        "b0 00 e6 f4, DEBUG_EXIT, 1", // mov al, 0; out 0xf4, al
        "b0 10 e6 f4, DEBUG_EXIT, 0x21",
        "fa f4, DEAD_HALT, 6", // cli; hlt
        "b0 01 e6 92, RESET, 8", // mov al, 1; out 0x92, al
        "0f 01 1d 00 90 00 00 0f 0b, TRIPLE_FAULT, 8", // lidt [0x9000], which is 0; ud2
    })
    void eachWayToEndHasItsStatus(String code, Stop.Reason reason, int status) {
        try (Machine machine = flat(code)) {
            Stop stop = machine.run(10);
            assertThat(stop.reason()).isEqualTo(reason);
            assertThat(stop.status()).isEqualTo(status);
        }
    }

    @Test
    void aSuspendedRepeatedInstructionGoesOnTheSameWhereverRunsEnd() {
        // twice: 200,000 bytes of stosb in RAM, 3,000 of insb
        String code =
                "bb 02 00 00 00  b9 40 0d 03 00  bf 00 00 01 00  f3 aa  b9 b8 0b 00 00  f3 6c"
                        + "4b  75 ea  eb fe";
        try (Machine whole = flat(code);
                Machine parts = flat(code);
                Machine paused = flat(code)) {
            whole.run(40);
            for (int n = 1; n <= 40; n++) {
                parts.run(n);
            }
            while (paused.clock().retired < 40) {
                paused.setInputs(new PauseAtPoll(paused, 1));
                paused.run(40);
            }
            assertThat(whole.cpu(0).r[Cpu.RBX]).isZero();
            assertThat(whole.cpu(0).r[Cpu.RDI]).isEqualTo(0x1_0000 + 203_000);
            assertThat(state(parts)).isEqualTo(state(whole));
            assertThat(state(paused)).isEqualTo(state(whole));
        }
    }

    @Test
    void whereRunsEndChangesNothing() {
        try (Machine whole = machine();
                Machine parts = machine()) {
            whole.run(400);
            for (int n = 1; n <= 400; n++) {
                parts.run(n);
            }
            assertThat(state(parts)).isEqualTo(state(whole));
            assertThat(whole.cpu(0).r[Cpu.RBX]).isGreaterThan(10);
        }
    }

    @Test
    void savedAtAnyMomentTheRunGoesOnTheSame() {
        try (Machine first = machine()) {
            for (int n = 1; n <= 120; n++) {
                first.run(n);
                byte[] saved = state(first);
                try (Machine second = machine()) {
                    copyMemory(first, second);
                    second.load(new BinaryStateReader(saved));
                    assertThat(state(second)).as("loaded at %d", n).isEqualTo(saved);
                    second.run(160);
                    try (Machine whole = machine()) {
                        whole.run(160);
                        assertThat(state(second)).as("from %d on", n).isEqualTo(state(whole));
                    }
                }
            }
        }
    }

    private static void copyMemory(Machine from, Machine to) {
        byte[] page = new byte[4096];
        for (int i = 0; i < from.memory().pageCount(); i++) {
            from.memory().read((long) i << 12, page, 0, page.length);
            to.memory().loadPage(i, page);
        }
    }
}
