package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.recorder.EventLog;
import dev.pacifica.recorder.TraceReader;
import dev.pacifica.schemas.EventReader;
import dev.pacifica.schemas.Events;
import dev.pacifica.schemas.ExitReason;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What the KVM inside a recorded machine says of its guests by its tracepoints, and the same as the
 * trace has it.
 */
final class KernelLog {
    private static final Pattern ENTRY =
            Pattern.compile("\\[(\\d+)\\] .*: kvm_entry: vcpu (\\d+), rip (0x\\p{XDigit}+)");
    private static final Pattern EXIT =
            Pattern.compile(
                    "\\[(\\d+)\\] .*: kvm_exit: vcpu (\\d+) reason (.*) rip (0x\\p{XDigit}+) info1"
                            + " (0x\\p{XDigit}+) info2 (0x\\p{XDigit}+) intr_info (0x\\p{XDigit}+)"
                            + " error_code (0x\\p{XDigit}+)");
    private static final Pattern BUFFER =
            Pattern.compile("# entries-in-buffer/entries-written: (\\d+)/(\\d+) .*");

    private KernelLog() {}

    /** A kvm_entry line, or a VMRUN; or a kvm_exit line, or a #VMEXIT. */
    sealed interface Crossing {
        /** The processor that it happened on. */
        int processor();
    }

    record Entry(int processor, String rip) implements Crossing {}

    record Exit(
            int processor,
            String reason,
            String rip,
            String info1,
            String info2,
            String intrInfo,
            String errorCode)
            implements Crossing {}

    /** The value of a field. */
    static long number(String field) {
        return Long.parseUnsignedLong(field, 2, field.length(), 16);
    }

    /** The kernel's lines in their order. */
    static List<Crossing> ofKernel(List<String> lines) {
        List<Crossing> crossings = new ArrayList<>();
        for (String line : lines) {
            Matcher buffer = BUFFER.matcher(line);
            if (buffer.matches()) {
                assertThat(buffer.group(1))
                        .as("the kernel lost none of its lines")
                        .isEqualTo(buffer.group(2));
            }
            Matcher entry = ENTRY.matcher(line);
            Matcher exit = EXIT.matcher(line);
            if (entry.find()) {
                crossings.add(new Entry(Integer.parseInt(entry.group(1)), same(entry.group(3))));
            } else if (exit.find()) {
                crossings.add(
                        new Exit(
                                Integer.parseInt(exit.group(1)),
                                exit.group(3),
                                same(exit.group(4)),
                                same(exit.group(5)),
                                same(exit.group(6)),
                                same(exit.group(7)),
                                same(exit.group(8))));
            } else {
                assertThat(line)
                        .as("a line that this test does not understand")
                        .doesNotContain("kvm_entry:", "kvm_exit:", "LOST");
            }
        }
        return crossings;
    }

    /** The trace's VMRUNs and #VMEXITs in their order. */
    static List<Crossing> ofTrace(TraceReader trace) {
        List<Crossing> crossings = new ArrayList<>();
        try (EventLog log = trace.events()) {
            for (EventReader event = log.next(); event != null; event = log.next()) {
                if (event.kind().equals(Events.Vmrun.KIND)) {
                    crossings.add(new Entry(event.vcpu(), hex(event.get(Events.Vmrun.GUEST_RIP))));
                } else if (event.kind().equals(Events.Vmexit.KIND)) {
                    crossings.add(
                            new Exit(
                                    event.vcpu(),
                                    reason(event.get(Events.Vmexit.EXIT_CODE)),
                                    hex(event.get(Events.Vmexit.GUEST_RIP)),
                                    hex(event.get(Events.Vmexit.INFO1)),
                                    hex(event.get(Events.Vmexit.INFO2)),
                                    hex(event.get(Events.Vmexit.INTR_INFO)),
                                    hex(event.get(Events.Vmexit.ERROR_CODE))));
                }
            }
        }
        return crossings;
    }

    /** What happened on one processor; different ones' order is not the kernel's to tell. */
    static List<Crossing> on(int processor, List<Crossing> crossings) {
        return crossings.stream().filter(crossing -> crossing.processor() == processor).toList();
    }

    static List<Exit> exits(List<Crossing> crossings) {
        return crossings.stream().filter(Exit.class::isInstance).map(Exit.class::cast).toList();
    }

    private static String reason(long exitCode) {
        return ExitReason.known().stream()
                .filter(reason -> reason.code() == exitCode)
                .map(ExitReason::name)
                .findFirst()
                .orElseGet(() -> hex(exitCode));
    }

    private static String same(String number) {
        return hex(number(number));
    }

    private static String hex(long value) {
        return "0x" + Long.toHexString(value);
    }
}
