package dev.pacifica.emulator.silicon;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.decode.Insn;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/**
 * Random bytes are an undefined opcode exactly where an AMD processor raised #UD, and as long as it
 * found them.
 */
class DecoderAgainstSiliconTest {
    /** Defined on the recording processor (Zen 4), by features that are not in the table. */
    private static final Pattern NOT_OFFERED =
            Pattern.compile(
                    "(c4|c5|62|8f) .*" // VEX, EVEX, XOP
                            + "|0f 01 .*" // MONITORX, MWAITX and others; VMCALL, which a hypervisor
                            // sees
                            + "|0f 38 (c[89a-f]|d[b-f]|f[689a]) .*" // SHA, GFNI, AES, ADX, MOVDIR
                            + "|0f 3a (44|c[cef]|df) .*" // PCLMULQDQ, SHA, GFNI, AES
                            + "|0f 7[89] .*"); // EXTRQ, INSERTQ

    private static final Pattern PREFIXES =
            Pattern.compile("^((66|67|f2|f3|f0|26|2e|36|3e|64|65) )*(4. )?");

    /** Undefined in user mode, or a UD instruction. */
    private static final List<String> RAISES_UD =
            List.of("UD0", "UD1", "UD2", "RSM", "MONITOR", "MWAIT", "CLAC", "STAC", "SYSENTER");

    @Test
    void undefinedWhereSiliconSaysSo() throws IOException {
        List<OpcodeVectors.Verdict> verdicts;
        try (InputStream in = DecoderAgainstSiliconTest.class.getResourceAsStream("opcodes.zst")) {
            verdicts = OpcodeVectors.unpack(in.readAllBytes());
        }
        assertThat(verdicts).hasSizeGreaterThan(50_000);
        Decoder decoder = new Decoder();
        Insn insn = new Insn();
        List<String> differences = new ArrayList<>();
        for (OpcodeVectors.Verdict v : verdicts) {
            byte[] window = Arrays.copyOf(v.code(), Decoder.MAX_LENGTH);
            Decoder.Status status = decoder.decode(window, 0, window.length, v.mode(), insn);
            String bytes = HexFormat.ofDelimiter(" ").formatHex(v.code());
            boolean undefined = v.verdict() == OpcodeVectors.UNDEFINED;
            if (status != Decoder.Status.OK) {
                assertThat(undefined).as(bytes).isFalse(); // too long: #GP
            } else if (insn.row == null) {
                boolean known =
                        v.mode() == 64
                                ? NOT_OFFERED
                                        .matcher(PREFIXES.matcher(bytes).replaceFirst(""))
                                        .matches()
                                : NOT_OFFERED
                                        .matcher(
                                                bytes.replaceFirst(
                                                        "^((66|67|f2|f3|f0|26|2e|36|3e|64|65) )*",
                                                        ""))
                                        .matches();
                if (!undefined && !known) {
                    differences.add(v.mode() + "-bit " + bytes + ": undefined here, defined there");
                }
            } else if (undefined) {
                if (!RAISES_UD.contains(insn.row.operation.name())) {
                    differences.add(
                            v.mode()
                                    + "-bit "
                                    + bytes
                                    + ": "
                                    + insn.row
                                    + " here, undefined there");
                }
            } else if (v.verdict() != OpcodeVectors.DEFINED && v.verdict() != insn.length) {
                boolean branch =
                        insn.row.operands.stream().anyMatch(o -> o.letters().startsWith("J"))
                                || insn.row.operation.name().matches("RET|INT3?|JMP|CALL");
                if (!branch) {
                    differences.add(
                            v.mode()
                                    + "-bit "
                                    + bytes
                                    + ": length "
                                    + insn.length
                                    + " here, "
                                    + v.verdict()
                                    + " there");
                }
            }
        }
        assertThat(differences).isEmpty();
    }
}
