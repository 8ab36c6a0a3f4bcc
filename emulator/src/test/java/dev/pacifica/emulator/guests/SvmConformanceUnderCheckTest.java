package dev.pacifica.emulator.guests;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.check.CheckKind;
import dev.pacifica.emulator.check.HypervisorCheck;
import dev.pacifica.emulator.machine.Machine;
import dev.pacifica.emulator.machine.Stop;
import dev.pacifica.emulator.memory.RawMemory;
import dev.pacifica.emulator.observe.MachineObserver;
import dev.pacifica.emulator.state.BinaryStateWriter;
import java.util.EnumSet;
import java.util.Set;
import java.util.zip.CRC32;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The conformance guest makes mistakes on purpose, all day: the sanitizer sees them, and the
 * machine runs the same to the bit with and without it.
 */
class SvmConformanceUnderCheckTest {
    /** Instructions between two comparisons. */
    private static final long STRETCH = 4_000_000;

    /** What tests of the rules cannot help doing. */
    private static final Set<CheckKind> MADE_ON_PURPOSE =
            EnumSet.of(
                    CheckKind.VMEXIT_INVALID,
                    CheckKind.CLEAN_BITS_FIRST_RUN,
                    CheckKind.INJECTED_INTERRUPT_MASKED,
                    CheckKind.INJECTED_ERROR_CODE,
                    CheckKind.REACHES_VMCB,
                    CheckKind.REACHES_HOST_SAVE_AREA,
                    CheckKind.REACHES_PERMISSION_MAP,
                    CheckKind.REACHES_NESTED_TABLE,
                    CheckKind.REACHES_HOST_TABLE,
                    CheckKind.OPEN_VMLOAD_VMSAVE,
                    CheckKind.OPEN_GIF,
                    CheckKind.OPEN_SVM_MSR,
                    CheckKind.OPEN_EFER,
                    CheckKind.OPEN_SKINIT,
                    CheckKind.OPEN_INIT,
                    CheckKind.ASID_REUSED,
                    CheckKind.ASID_NESTED_TABLE_CHANGED,
                    CheckKind.PAGING_MODE_CHANGED);

    @ParameterizedTest(name = "{1} processors, {0}")
    @CsvSource({"'', 1", "cpu=last, 4"})
    void theMachineIsTheSameWithAndWithoutChecks(String words, int processors) {
        StringBuilder plainConsole = new StringBuilder();
        StringBuilder checkedConsole = new StringBuilder();
        StringBuilder bareConsole = new StringBuilder();
        try (Machine plain = SvmConformanceTest.machine(words, processors, plainConsole);
                Machine checked = SvmConformanceTest.machine(words, processors, checkedConsole);
                Machine bare = SvmConformanceTest.machine(words, processors, bareConsole)) {
            // As in a recording: the VMCBs of an observed machine are remembered, for its events.
            plain.observe(new MachineObserver() {});
            HypervisorCheck check = checked.check();
            Stop stop = null;
            for (long until = STRETCH; stop == null; until += STRETCH) {
                assertThat(until).isLessThan(3_000_000_000L);
                stop = plain.run(until);
                assertThat(checked.run(until)).isEqualTo(stop);
                assertThat(state(checked)).as("state before %d", until).isEqualTo(state(plain));
            }
            assertThat(checkedConsole).hasToString(plainConsole.toString());
            assertThat(memory(checked)).isEqualTo(memory(plain));

            // Without any observer the guest sees the same; the state has no remembered VMCBs.
            assertThat(bare.run(3_000_000_000L)).isEqualTo(stop);
            assertThat(bareConsole).hasToString(checkedConsole.toString());
            assertThat(memory(bare)).isEqualTo(memory(checked));
            assertThat(check.entries()).isGreaterThan(1000);

            Set<CheckKind> kinds = EnumSet.noneOf(CheckKind.class);
            check.findings().forEach(finding -> kinds.add(finding.kind));
            assertThat(kinds).containsAll(MADE_ON_PURPOSE);
        }
    }

    private static byte[] state(Machine machine) {
        BinaryStateWriter out = new BinaryStateWriter();
        machine.save(out);
        return out.toByteArray();
    }

    private static long memory(Machine machine) {
        CRC32 sum = new CRC32();
        byte[] content = new byte[4096];
        for (int i = 0; i < machine.memory().pageCount(); i++) {
            if (machine.memory().everWritten(i)) {
                RawMemory.get(machine.memory().hostOfPage(i), content, 0, content.length);
                sum.update(content);
            }
        }
        return sum.getValue();
    }
}
