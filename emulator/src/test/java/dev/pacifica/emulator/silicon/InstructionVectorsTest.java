package dev.pacifica.emulator.silicon;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.decode.Disassembler;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.InstructionRow;
import dev.pacifica.emulator.decode.InstructionTable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Every instruction form that user mode can execute does what an AMD processor did: {@code
 * src/test/native/README.md}.
 */
class InstructionVectorsTest {
    static final String VECTORS = "vectors.zst";
    private static final int CASES_A_ROW = 50;
    private static final List<SiliconCase> CASES = VectorFile.read(VECTORS);

    private final Decoder decoder = new Decoder();
    private final Insn insn = new Insn();

    /**
     * With decoded code kept, which runs the specialised operations, and without, which runs the
     * general ones.
     */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void executesAsSilicon(boolean cached) {
        List<String> differences = new ArrayList<>();
        try (EmulatedUserMode machine = new EmulatedUserMode(cached)) {
            for (SiliconCase silicon : CASES) {
                decode(silicon);
                String difference = Comparison.difference(insn, silicon, machine.run(silicon));
                if (difference != null) {
                    differences.add(
                            silicon
                                    + "  "
                                    + Disassembler.text(insn, silicon.mode(), 0)
                                    + ": "
                                    + difference);
                }
            }
        }
        assertThat(differences).isEmpty();
    }

    /**
     * Each row has its vectors, or a reason why it cannot have any. The report goes to
     * target/silicon-coverage.txt.
     */
    @Test
    void everyRowThatUserModeCanExecuteHasVectors() throws IOException {
        List<InstructionRow> rows = InstructionTable.rows();
        int[] cases64 = new int[rows.size()];
        int[] cases32 = new int[rows.size()];
        int[] executed = new int[rows.size()];
        for (SiliconCase silicon : CASES) {
            decode(silicon);
            int[] cases = silicon.mode() == 64 ? cases64 : cases32;
            cases[insn.row.id]++;
            executed[insn.row.id] += silicon.vector() == SiliconCase.EXECUTED ? 1 : 0;
        }
        List<String> report = new ArrayList<>();
        List<InstructionRow> tooFew = new ArrayList<>();
        int covered = 0;
        for (InstructionRow row : rows) {
            boolean in64 = Recordable.whyNot(row, 64) == null;
            String reason = in64 ? null : Recordable.whyNot(row, 32);
            int cases = cases64[row.id] + cases32[row.id];
            if (reason != null) {
                report.add("%-80s none: %s".formatted(row, reason));
                continue;
            }
            covered++;
            report.add(
                    "%-80s %3d in 64-bit mode, %3d in compatibility mode (32 and 16 bits), %3d without exception"
                            .formatted(row, cases64[row.id], cases32[row.id], executed[row.id]));
            if (cases < CASES_A_ROW) {
                tooFew.add(row);
            }
        }
        report.addFirst(
                "%d of %d rows have vectors, %d cases"
                        .formatted(covered, rows.size(), CASES.size()));
        Path target = Files.createDirectories(Path.of("target"));
        Files.write(target.resolve("silicon-coverage.txt"), report);
        assertThat(tooFew).isEmpty();
    }

    private void decode(SiliconCase silicon) {
        byte[] code = silicon.code();
        assertThat(decoder.decode(code, 0, code.length, silicon.mode(), insn))
                .isEqualTo(Decoder.Status.OK);
        assertThat(insn.length).isEqualTo(code.length);
    }
}
