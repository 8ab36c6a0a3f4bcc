package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Linux's own KVM selftests of the same kernel that is packaged, under {@code kvm-amd nested=1}:
 * each does what guests/kvm-selftests/tests says, which names the reason of what is skipped. Those
 * named slow run with {@code -Dpacifica.selftests=all}.
 */
class KvmSelftestsIT {
    private static final Duration PATIENCE = Duration.ofMinutes(15);
    private static final Pattern ENDED = Pattern.compile("^SELFTEST (\\S+) status=(\\d+) .*");
    private static final Pattern SKIPPED = Pattern.compile(".*(# SKIP|skipping test).*");

    /** KSFT_SKIP of Linux's kselftest.h. */
    private static final int SKIP = 4;

    @TempDir Path folder;

    private static Map<String, String> expected(boolean all) throws IOException {
        Map<String, String> results = new LinkedHashMap<>();
        for (String line :
                Files.readAllLines(Ladder.root().resolve("guests/kvm-selftests/tests"))) {
            String[] words = line.split(" +", 4);
            if (words.length >= 3 && !line.startsWith("#") && (all || words[2].equals("quick"))) {
                results.put(words[0].substring(words[0].indexOf('/') + 1), words[1]);
            }
        }
        return results;
    }

    @Test
    void eachEndsAsTheListSays() throws IOException {
        boolean all = "all".equals(System.getProperty("pacifica.selftests"));
        Map<String, String> expected = expected(all);
        Path console = folder.resolve("console");
        Path initrd =
                (all ? Ladder.images("kvm-selftests", "--all") : Ladder.images("kvm-selftests"))
                        .resolve("selftests.cpio");
        PacificaProcess.Result result =
                PacificaProcess.run(
                        PATIENCE,
                        folder,
                        "",
                        "run",
                        "--memory",
                        "512M",
                        "--cpus",
                        all ? "2" : "1",
                        "--kernel",
                        Ladder.image("vmlinux").toString(),
                        "--initrd",
                        initrd.toString(),
                        "--append",
                        "console=ttyS0 quiet hvnpt=1",
                        "--serial",
                        "file:" + console);
        assertThat(result.err()).isEmpty();
        assertThat(result.status()).isZero();
        List<String> lines = Files.readString(console).lines().map(String::stripTrailing).toList();
        assertThat(lines)
                .contains("insmod rc=0")
                .anyMatch(line -> line.startsWith("MARKER-L1-POWEROFF "))
                .noneMatch(line -> line.contains("Call Trace") || line.contains("BUG:"));

        Map<String, String> results = new LinkedHashMap<>();
        List<String> said = new ArrayList<>();
        for (String line : lines) {
            Matcher ended = ENDED.matcher(line);
            if (ended.matches()) {
                Ladder.say("%s%s", line, said.isEmpty() ? "" : ": " + said.getLast());
                results.put(ended.group(1), outcome(Integer.parseInt(ended.group(2)), said));
                said.clear();
            } else if (line.startsWith("## ")) {
                said.clear();
            } else {
                said.add(line);
            }
        }
        assertThat(results).as("console: %s", lines).isEqualTo(expected);
        assertThat(results).containsEntry("svm_nested_soft_inject_test", "pass");
    }

    /** A skipped test says why; one that is silent about it did not get that far. */
    private static String outcome(int status, List<String> said) {
        return switch (status) {
            case 0 -> "pass";
            case SKIP -> said.stream().anyMatch(SKIPPED.asPredicate()) ? "skip" : "silent";
            default -> "fail";
        };
    }
}
