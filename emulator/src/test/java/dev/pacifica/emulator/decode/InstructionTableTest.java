package dev.pacifica.emulator.decode;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** The table is sound in itself. */
class InstructionTableTest {
    private static final List<InstructionRow> ROWS = InstructionTable.rows();

    @Test
    void idsAreDenseAndInOrder() {
        for (int i = 0; i < ROWS.size(); i++) {
            assertThat(ROWS.get(i).id).isEqualTo(i);
        }
    }

    @Test
    void eachOperationHasARow() {
        Set<Operation> operations = new HashSet<>();
        ROWS.forEach(row -> operations.add(row.operation));
        assertThat(operations).containsExactlyInAnyOrder(Operation.values());
    }

    /** No two rows with the same prefix, opcode and mode accept the same ModRM byte. */
    @Test
    void noTwoRowsClaimTheSameEncoding() {
        Map<String, InstructionRow> owner = new HashMap<>();
        for (InstructionRow row : ROWS) {
            short[] accepted = new short[256];
            if (row.acceptsEveryModRm()) {
                java.util.Arrays.fill(accepted, (short) 1);
            } else {
                row.fill(accepted);
            }
            for (int i = 0; i < row.opcodeCount; i++) {
                for (int modRm = 0; modRm < 256; modRm++) {
                    for (int mode = 0; mode < 2; mode++) {
                        if (accepted[modRm] != 0
                                && (mode == 0 ? row.validIn64 : row.validOutside64)) {
                            String key =
                                    row.prefixClass
                                            + " "
                                            + row.needsRexW
                                            + row.needsRexB
                                            + " "
                                            + row.map
                                            + " "
                                            + (row.opcode + i)
                                            + " "
                                            + modRm
                                            + " "
                                            + mode;
                            assertThat(owner.put(key, row)).as("also %s", row).isNull();
                        }
                    }
                }
            }
        }
    }

    /**
     * Each row can be encoded, in each of its modes, with a register and with memory; the encoder
     * checks that it decodes to the row.
     */
    @Test
    void eachRowDecodesToItself() {
        FormEncoder encoder = new FormEncoder(new Random(3), 0x1000_2400L);
        for (InstructionRow row : ROWS) {
            for (int mode = 32; mode <= 64; mode += 32) {
                if (mode == 64 ? row.validIn64 : row.validOutside64) {
                    if (FormEncoder.canBeMemory(row)) {
                        assertThat(encoder.encode(row, mode, true, 0x1000_0400L)).isNotEmpty();
                    }
                    if (FormEncoder.canBeRegister(row)) {
                        assertThat(encoder.encode(row, mode, false, 0x1000_0400L)).isNotEmpty();
                    }
                }
            }
        }
    }

    @Test
    void lockableRowsWriteTheirFirstOperand() {
        for (InstructionRow row : ROWS) {
            if (row.lockable) {
                assertThat(row.operands.get(0).access())
                        .as("%s", row)
                        .isEqualTo(Operand.Access.READ_WRITE);
            }
        }
    }

    @Test
    void interceptsAreThoseOfTheManual() {
        for (InstructionRow row : ROWS) {
            switch (row.operation) {
                case CPUID -> assertThat(row.intercept).isEqualTo(0x72);
                case IRET -> assertThat(row.intercept).isEqualTo(0x74);
                case VMRUN -> assertThat(row.intercept).isEqualTo(0x80);
                case MOV_TO_CR -> assertThat(row.intercept).isEqualTo(0x10);
                case ADD -> assertThat(row.intercept).isEqualTo(-1);
                default -> {}
            }
        }
    }
}
