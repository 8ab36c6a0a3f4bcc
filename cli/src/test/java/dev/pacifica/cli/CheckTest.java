package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The sanitizer on the demo hypervisor, which makes two mistakes on purpose: a VMRUN with ASID 0,
 * and an interrupt for a guest that masks them.
 */
class CheckTest {
    private static final int DEMO_WELL = 0x21;

    @TempDir Path folder;

    @BeforeEach
    void image() throws IOException {
        try (var in = CheckTest.class.getResourceAsStream("demo-hypervisor.elf")) {
            Files.copy(in, folder.resolve("demo.elf"));
        }
    }

    private PacificaProcess.Result pacifica(String... args) {
        return PacificaProcess.run(folder, "", args);
    }

    private static List<String> kinds(JsonNode report) {
        List<String> kinds = new ArrayList<>();
        report.get("findings").forEach(finding -> kinds.add(finding.get("kind").asText()));
        return kinds;
    }

    @Test
    void aRunListsItsMistakesOnStandardError() throws IOException {
        Files.writeString(folder.resolve("map"), "00101000 T all_of_the_demo\n");
        PacificaProcess.Result plain = pacifica("run", "--memory", "64M", "--kernel", "demo.elf");
        PacificaProcess.Result checked =
                pacifica(
                        "run",
                        "--check",
                        "--symbols",
                        "map",
                        "--memory",
                        "64M",
                        "--kernel",
                        "demo.elf");
        assertThat(checked.status()).isEqualTo(DEMO_WELL).isEqualTo(plain.status());
        assertThat(checked.out()).isEqualTo(plain.out());
        assertThat(checked.err())
                .startsWith("hypervisor check: 2 mistakes, 1 of advice, in 172 VMRUNs of 1 VMCB\n")
                .contains(
                        "\n"
                                + "mistake vmexit-invalid, once: VMRUN of a VMCB that breaks a"
                                + " consistency rule\n"
                                + "    what     §15.5.1: ASID is zero: ASID 0x0\n"
                                + "    where    0@",
                        "\n    manual   §15.5.1\n    silicon  the guest is not run: #VMEXIT",
                        "\nGIF clear 344 times")
                .containsPattern("advice open-init, 17[0-9] times: [^\n]+\n[^\n]+\n    first at 0@")
                .containsPattern(
                        " RIP 0x10[0-9a-f]+ \\(enter_guest\\+0x[0-9a-f]+\\) in the host, VMCB");
    }

    /** A flat binary has no symbols of its own. */
    @Test
    void theLastLineKnowsTheNamesOfSymbolsToo() throws IOException {
        new TinyGuest().halt().write(folder.resolve("guest.bin"));
        Files.writeString(folder.resolve("map"), "00007c00 T the_end\n");
        List<String> run =
                List.of("run", "--kernel", "guest.bin", "--load", "0x7c00", "--memory", "1M");
        List<String> named = new ArrayList<>(run);
        named.addAll(List.of("--check", "--symbols", "map"));
        assertThat(pacifica(named.toArray(String[]::new)).err())
                .endsWith(" instructions, at rip 0x7c02 (the_end+0x2)\n");
        assertThat(pacifica(run.toArray(String[]::new)).err()).endsWith(" at rip 0x7c02\n");
    }

    /** Recordings of it from before it had symbols are checked with --symbols. */
    @Test
    void theDemoHypervisorIsAFileOfSymbolsItself() {
        SymbolTable symbols = SymbolTable.NONE.with(List.of(folder.resolve("demo.elf")));
        assertThat(symbols.nameOf(0x10_0000)).isEqualTo("image_start+0x0");
    }

    /** Replay executes without checks and compares every event and state with the recording. */
    @Test
    void whatIsCheckedIsRecordedAndReplayedTheSame() throws IOException {
        PacificaProcess.Result recorded =
                pacifica(
                        "record",
                        "-o",
                        "t.pacifica",
                        "--check=json",
                        "--checkpoint-every",
                        "100k",
                        "--memory",
                        "64M",
                        "--kernel",
                        "demo.elf");
        assertThat(recorded.status()).isEqualTo(DEMO_WELL);
        assertThat(pacifica("info", "t.pacifica").out())
                .containsPattern("recorded +[^\n]+, with --check \\(table findings\\)\n");
        JsonNode report = new ObjectMapper().readTree(recorded.err());
        assertThat(report.get("mistakes").asInt()).isEqualTo(2);
        assertThat(kinds(report))
                .containsExactlyInAnyOrder(
                        "vmexit-invalid", "injected-interrupt-masked", "open-init");
        assertThat(pacifica("replay", "t.pacifica", "--verify").status()).isZero();
        assertThat(pacifica("replay", "t.pacifica", "--verify", "--from-checkpoint", "1").status())
                .isZero();

        PacificaProcess.Result rows =
                pacifica(
                        "query",
                        "t.pacifica",
                        "SELECT finding, level, occurrences, first_insn_count FROM findings",
                        "--format",
                        "csv");
        List<String> expected =
                new ArrayList<>(List.of("finding,level,occurrences,first_insn_count"));
        List<JsonNode> findings = new ArrayList<>();
        report.get("findings").forEach(findings::add);
        findings.sort(Comparator.comparingLong(finding -> finding.get("instructions").asLong()));
        for (JsonNode finding : findings) {
            expected.add(
                    "%s,%s,%d,%d"
                            .formatted(
                                    finding.get("kind").asText(),
                                    finding.get("level").asText(),
                                    finding.get("count").asLong(),
                                    finding.get("instructions").asLong()));
        }
        assertThat(rows.out().lines()).containsExactlyElementsOf(expected);

        PacificaProcess.Result checked = pacifica("check", "t.pacifica", "--format", "json");
        assertThat(checked.status()).isEqualTo(4);
        assertThat(checked.err()).isEmpty();
        assertThat(new ObjectMapper().readTree(checked.out())).isEqualTo(report);
        PacificaProcess.Result early = pacifica("check", "t.pacifica", "--until", "100k");
        assertThat(early.status()).isZero();
        assertThat(early.out()).startsWith("hypervisor check: no mistake, 1 of advice");
        PacificaProcess.Result before = pacifica("check", "t.pacifica", "--until", "1");
        assertThat(before.status()).isEqualTo(3);
        assertThat(before.out())
                .isEqualTo("hypervisor check: no VMRUN was seen, so nothing was looked at\n");
    }

    @Test
    void aMachineWithoutAHypervisorGetsNoCleanBill() throws IOException {
        new TinyGuest().print("hello\n").exit(0).write(folder.resolve("guest.bin"));
        PacificaProcess.Result result =
                pacifica("run", "--check", "--kernel", "guest.bin", "--load", TinyGuest.LOAD);
        assertThat(result.err())
                .isEqualTo("hypervisor check: no VMRUN was seen, so nothing was looked at\n");
    }

    @Test
    void anAddressIsNamedByItsSymbol() {
        SymbolTable symbols = SymbolTable.of(elfWithSymbol("vm_enter", 0x10_1000, 0x40));
        assertThat(symbols.nameOf(0x10_1003)).isEqualTo("vm_enter+0x3");
        assertThat(symbols.nameOf(0x10_1040)).isNull();
        assertThat(symbols.nameOf(0xfff)).isNull();
    }

    @Test
    void aModuleIsKnownByTheKernelsListOfSymbols() throws IOException {
        Path list = folder.resolve("kallsyms");
        Files.writeString(
                list,
                "ffffffff81000000 T _stext\n"
                        + "ffffffffc0401000 t svm_vcpu_run\t[kvm_amd]\n"
                        + "ffffffffc0402000 d data\t[kvm_amd]\n");
        SymbolTable symbols =
                SymbolTable.of(elfWithSymbol("vm_enter", 0x10_1000, 0x40)).with(List.of(list));
        assertThat(symbols.nameOf(0xffff_ffff_c040_1012L)).isEqualTo("svm_vcpu_run+0x12 [kvm_amd]");
        assertThat(symbols.nameOf(0xffff_ffff_8100_0000L)).isEqualTo("_stext+0x0");
        assertThat(symbols.nameOf(0x10_1003)).isEqualTo("vm_enter+0x3");
        assertThat(symbols.nameOf(0xffff_ffff_c040_2001L)).isNull();
        Files.writeString(list, "no list\n");
        assertThatThrownBy(() -> SymbolTable.NONE.with(List.of(list)))
                .isInstanceOf(BadInput.class)
                .hasMessageContaining("has no symbols");
    }

    @Test
    void damagedSymbolsAreNone() {
        byte[] image = elfWithSymbol("vm_enter", 0x10_1000, 0x40);
        for (int length = 0; length < image.length; length++) {
            byte[] part = Arrays.copyOf(image, length);
            assertThat(SymbolTable.of(part).nameOf(0x10_1003)).isIn(null, "vm_enter+0x3");
        }
        assertThat(SymbolTable.of("#!/bin/sh".getBytes(StandardCharsets.UTF_8)).nameOf(0)).isNull();
    }

    /** A 64-bit ELF file: header, one symbol at 64, names at 100h, two section headers at 200h. */
    private static byte[] elfWithSymbol(String name, long value, long size) {
        var file = ByteBuffer.allocate(0x280).order(ByteOrder.LITTLE_ENDIAN);
        file.putInt(0, 0x464c_457f).put(4, (byte) 2).putLong(40, 0x200);
        file.putShort(58, (short) 64).putShort(60, (short) 2);
        file.putInt(64, 1).put(68, (byte) 2).putShort(70, (short) 1);
        file.putLong(72, value).putLong(80, size);
        file.put(0x101, name.getBytes(StandardCharsets.UTF_8));
        file.putInt(0x204, 2).putLong(0x218, 64).putLong(0x220, 24).putInt(0x228, 1);
        file.putInt(0x244, 3).putLong(0x258, 0x100).putLong(0x260, 0x40);
        return file.array();
    }
}
