package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * What a person asks a trace of KVM by SQL, checked against what the kernel in the trace counted
 * itself.
 */
class LadderSqlIT {
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    /**
     * Of the console: {@code 39 reason io}; the VMM's own KVM_EXIT_… reasons are something else.
     */
    private static final Pattern COUNTED = Pattern.compile("^ *(\\d+) reason (?!KVM_EXIT_)(\\w+)$");

    @TempDir Path folder;

    private String query(Ladder ladder, String sql, String format) {
        PacificaProcess.Result result =
                PacificaProcess.run(
                        PATIENCE,
                        folder,
                        "",
                        "query",
                        ladder.recorded().trace().toString(),
                        sql,
                        "--format",
                        format);
        assertThat(result.err()).isEmpty();
        assertThat(result.status()).isZero();
        return result.out();
    }

    /** The rows of an answer without quoted values, headings left out. */
    private List<String[]> rows(Ladder ladder, String sql) {
        Ladder.say("%s: %s%n%s", ladder, sql, query(ladder, sql, "table").stripTrailing());
        return query(ladder, sql, "csv").lines().skip(1).map(row -> row.split(",", -1)).toList();
    }

    private static List<KernelLog.Exit> kernelExits(Ladder ladder) {
        return KernelLog.exits(KernelLog.ofKernel(ladder.recorded().kernelLogLines()));
    }

    @ParameterizedTest
    @EnumSource(names = {"KVM_NESTED_PAGING", "KVM_SHADOW_PAGING"})
    void theHistogramOfExitsIsTheKernels(Ladder ladder) {
        Map<String, Long> kernel = new TreeMap<>();
        for (String line : ladder.recorded().consoleLines()) {
            Matcher counted = COUNTED.matcher(line);
            if (counted.matches()) {
                kernel.merge(counted.group(2), Long.parseLong(counted.group(1), 10), Long::sum);
            }
        }
        Map<String, Long> trace = new TreeMap<>();
        long guestTime = 0;
        for (String[] row :
                rows(
                        ladder,
                        "SELECT exit_reason, exits, guest_instructions, guest_ns, handling_ns,"
                                + " handling_max_ns FROM exit_stats")) {
            trace.put(row[0].replace(" excp", ""), Long.parseLong(row[1], 10));
            assertThat(Long.parseLong(row[3], 10))
                    .as("virtual time in the guest before %s", row[0])
                    .isNotNegative();
            guestTime += Long.parseLong(row[3], 10);
        }
        assertThat(trace).isEqualTo(kernel);
        assertThat(trace)
                .containsKeys(
                        "io",
                        "cpuid",
                        "msr",
                        "hypercall",
                        "hlt",
                        ladder == Ladder.KVM_NESTED_PAGING ? "npf" : "PF");
        // The guests do next to nothing between two exits; KVM and the VMM take the time.
        long exits = kernel.values().stream().mapToLong(Long::longValue).sum();
        assertThat(guestTime).isBetween(2 * exits, 100 * exits);
        for (String table : new String[] {"msr", "cpuid", "hypercall:hypercalls"}) {
            String[] names = table.split(":", -1);
            assertThat(
                            rows(ladder, "SELECT count(*) AS n FROM " + names[names.length - 1])
                                    .getFirst()[0])
                    .as("rows of %s", table)
                    .isEqualTo(kernel.get(names[0]).toString());
        }
    }

    @Test
    void nestedPageFaultsByPageAreTheKernels() {
        Map<String, Long> kernel = new TreeMap<>();
        for (KernelLog.Exit exit : kernelExits(Ladder.KVM_NESTED_PAGING)) {
            if (exit.reason().equals("npf")) {
                kernel.merge(
                        Long.toHexString(KernelLog.number(exit.info2()) & -4096), 1L, Long::sum);
            }
        }
        Map<String, Long> trace = new TreeMap<>();
        for (String[] row :
                rows(
                        Ladder.KVM_NESTED_PAGING,
                        "SELECT printf('%x', page) AS page, faults, writes, fetches, table_walks"
                                + " FROM npf_pages")) {
            trace.put(row[0], Long.parseLong(row[1], 10));
            assertThat(Long.parseLong(row[2], 10) + Long.parseLong(row[3], 10))
                    .isLessThanOrEqualTo(Long.parseLong(row[1], 10));
        }
        assertThat(trace).isEqualTo(kernel).hasSizeGreaterThan(50);
        // The MMIO page of the long-mode guest: one write, one read.
        assertThat(trace).containsEntry("d0000000", 2L);
        assertThat(rows(Ladder.KVM_SHADOW_PAGING, "SELECT count(*) AS n FROM npf").getFirst()[0])
                .isEqualTo("0");
    }

    @ParameterizedTest
    @EnumSource(names = {"KVM_NESTED_PAGING", "KVM_SHADOW_PAGING"})
    void portsAreTheKernels(Ladder ladder) {
        Map<String, Long> kernel = new TreeMap<>();
        for (KernelLog.Exit exit : kernelExits(ladder)) {
            if (exit.reason().equals("io")) {
                long info = KernelLog.number(exit.info1());
                // §15.10.2: port in bits 31:16, sizes in bits 6:4, IN in bit 0.
                String access =
                        "%x %s %d"
                                .formatted(
                                        info >> 16, (info & 1) != 0 ? "in" : "out", info >> 4 & 7);
                kernel.merge(access, 1L, Long::sum);
            }
        }
        Map<String, Long> trace = new TreeMap<>();
        for (String[] row :
                rows(
                        ladder,
                        "SELECT printf('%x %s %d', port, direction, size) AS access, accesses FROM"
                                + " io_ports")) {
            trace.put(row[0], Long.parseLong(row[1], 10));
        }
        assertThat(trace).isEqualTo(kernel).containsKey("3f8 out 1").containsKey("60 in 1");
    }

    @ParameterizedTest
    @EnumSource(names = {"KVM_NESTED_PAGING", "KVM_SHADOW_PAGING"})
    void whatKvmChangesMostIsRip(Ladder ladder) {
        // Between an exit and the entry that follows it, KVM moved RIP where the kernel's two lines
        // differ in it. The VMM runs twice, and
        // the second guest's first entry follows no exit of its own.
        long moved = 0;
        List<String> lines = new ArrayList<>(ladder.recorded().kernelLogLines());
        int second =
                lines.lastIndexOf(
                        lines.stream()
                                .filter(line -> line.startsWith("#### vmm 64"))
                                .findFirst()
                                .orElseThrow());
        for (List<String> vmm :
                List.of(lines.subList(0, second), lines.subList(second, lines.size()))) {
            KernelLog.Exit before = null;
            for (KernelLog.Crossing crossing : KernelLog.ofKernel(vmm)) {
                switch (crossing) {
                    case KernelLog.Exit exit -> before = exit;
                    case KernelLog.Entry entry ->
                            moved += before == null || before.rip().equals(entry.rip()) ? 0 : 1;
                }
            }
        }
        Map<String, Long> changes = new LinkedHashMap<>();
        for (String[] row :
                rows(ladder, "SELECT field, changes, different_values FROM vmcb_change_stats")) {
            changes.put(row[0], Long.parseLong(row[1], 10));
        }
        assertThat(changes.keySet().iterator().next()).isEqualTo("rip");
        assertThat(changes).containsEntry("rip", moved).containsKeys("rax", "rflags", "eventinj");
    }
}
