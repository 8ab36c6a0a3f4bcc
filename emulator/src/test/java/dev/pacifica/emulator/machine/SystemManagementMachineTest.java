package dev.pacifica.emulator.machine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import java.time.Instant;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A whole PC whose two processors have SMI handlers of their own (APM Vol 2 §10.5). */
class SystemManagementMachineTest {
    private static final int CODE = 0x8000;
    private static final int COUNT = 0x500;
    private static final int SMBASE_MSR = 0xc001_0111;

    /** mov dx, 630h; mov al, 21h; out dx, al; 1: out b2h, al; inc word [508h]; jmp 1b. */
    private static final String COMMANDER = "ba3006 b021 ee e6b2 ff060805 ebf8";

    /** 1: inc word [50ah]; jmp 1b. */
    private static final String WORKER = "ff060a05 ebfa";

    private static void code(Machine machine, int at, String hex) {
        byte[] bytes = HexFormat.of().parseHex(hex.replace(" ", ""));
        machine.memory().write(at, bytes, 0, bytes.length);
    }

    private static void start(Cpu cpu, int at) {
        cpu.segSelector[Cpu.CS] = 0;
        cpu.segBase[Cpu.CS] = 0;
        cpu.rip = at;
        cpu.activity = Cpu.RUNNING;
        cpu.updateMode();
    }

    private static Machine machine(long quantum) {
        Machine machine =
                new Machine(
                        new MachineConfig(1 << 20, 2, "", Instant.EPOCH, 7, quantum),
                        (device, value) -> {});
        code(machine, CODE, COMMANDER);
        code(machine, CODE + 0x100, WORKER);
        code(machine, 0x3_8000, "ff060005 0faa"); // inc word [500h]; rsm
        code(machine, 0x4_8000, "ff060205 0faa"); // inc word [502h]; rsm
        start(machine.cpu(0), CODE);
        start(machine.cpu(1), CODE + 0x100);
        machine.cpu(1).msrs.write(SMBASE_MSR, 0x4_0000);
        return machine;
    }

    private static byte[] state(Machine machine) {
        BinaryStateWriter out = new BinaryStateWriter();
        machine.save(out);
        return out.toByteArray();
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 3, 100})
    void aCommandReachesEachProcessorsHandler(long quantum) {
        try (Machine machine = machine(quantum)) {
            machine.run(20_000);
            long first = machine.memory().read(COUNT, 2);
            long second = machine.memory().read(COUNT + 2, 2);
            long commands = machine.memory().read(COUNT + 8, 2);
            assertThat(commands).isGreaterThan(100);
            assertThat(first).isBetween(commands, commands + 1);
            // SMIs that meet one pending or in SMM are one
            assertThat(second).isBetween(commands / 100, commands + 1);
            assertThat(machine.memory().read(COUNT + 10, 2)).isPositive();
            assertThat(machine.memory().read(0x3_ff00, 4)).isEqualTo(0x3_0000);
            assertThat(machine.memory().read(0x4_ff00, 4)).isEqualTo(0x4_0000);
            // processor 1 executed no I/O instruction
            assertThat(machine.memory().read(0x3_fec0, 4) >>> 16).isEqualTo(0xb2);
            assertThat(machine.memory().read(0x4_fec0, 4)).isZero();
        }
    }

    @Test
    void cutAnywhereTheRunIsTheSame() {
        try (Machine whole = machine(3);
                Machine cut = machine(3)) {
            byte[] ram = new byte[1 << 20];
            for (int at = 1; at < 400; at += 7) {
                whole.run(at);
                whole.memory().read(0, ram, 0, ram.length);
                cut.memory().write(0, ram, 0, ram.length);
                cut.load(new BinaryStateReader(state(whole)));
                cut.run(at + 7);
                whole.run(at + 7);
                assertThat(state(cut)).as("from %d on", at).isEqualTo(state(whole));
            }
        }
    }
}
