package dev.pacifica.emulator.machine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import java.time.Instant;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;

/** MWAITX with a time in a whole machine, where nothing else ends the wait. */
class TimedWaitTest {
    private static final int MILLISECOND = 1_000_000;
    private static final int INSTRUCTIONS = 8;

    /** A loop of eight instructions, the sixth an MWAITX of a millisecond; EDI counts. */
    private static final String LOOP =
            "b800900000 31c9 0f01fa bb40420f00 b902000000 0f01fb 47 ebe6";

    private static Machine machine() {
        Machine machine =
                new Machine(
                        new MachineConfig(1 << 20, 1, "epyc-milan,+monitorx", Instant.EPOCH, 7),
                        (device, value) -> {});
        byte[] code = HexFormat.of().parseHex(LOOP.replace(" ", ""));
        machine.memory().write(0x8000, code, 0, code.length);
        Cpu cpu = machine.cpu(0);
        cpu.cr0 |= Cpu.CR0_PE;
        for (int i = 0; i < 6; i++) {
            cpu.segSelector[i] = i == Cpu.CS ? 8 : 16;
            cpu.segBase[i] = 0;
            cpu.segLimit[i] = 0xffff_ffffL;
            cpu.segAttr[i] =
                    Cpu.ATTR_P | Cpu.ATTR_S | Cpu.ATTR_G | Cpu.ATTR_DB | (i == Cpu.CS ? 0xb : 3);
        }
        cpu.rip = 0x8000;
        cpu.r[Cpu.RDI] = 0;
        cpu.updateMode();
        return machine;
    }

    private static byte[] state(Machine machine) {
        BinaryStateWriter out = new BinaryStateWriter();
        machine.save(out);
        return out.toByteArray();
    }

    @Test
    void eachWaitTakesItsTime() {
        try (Machine machine = machine()) {
            machine.run(10 * INSTRUCTIONS);
            assertThat(machine.cpu(0).r[Cpu.RDI]).isEqualTo(10);
            assertThat(machine.clock().now())
                    .isBetween(10L * MILLISECOND, 10L * MILLISECOND + 10 * INSTRUCTIONS);
        }
    }

    @Test
    void aMachineSavedWhileItWaitsGoesOnAsIfItHadNot() {
        try (Machine whole = machine()) {
            whole.run(5 * INSTRUCTIONS);
            byte[] end = state(whole);
            for (int cut = 1; cut < 3 * INSTRUCTIONS; cut++) {
                try (Machine first = machine();
                        Machine second = machine()) {
                    first.run(cut);
                    second.load(new BinaryStateReader(state(first)));
                    second.run(5 * INSTRUCTIONS);
                    assertThat(state(second)).as("cut at %d", cut).isEqualTo(end);
                }
            }
        }
    }
}
