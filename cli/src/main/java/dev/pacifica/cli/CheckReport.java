package dev.pacifica.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.pacifica.emulator.check.CheckKind;
import dev.pacifica.emulator.check.Finding;
import dev.pacifica.emulator.check.GifTimes;
import dev.pacifica.emulator.check.HypervisorCheck;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Formatter;
import java.util.List;
import java.util.Locale;

/**
 * Prints what the sanitizer found: mistakes first, then advice, then how long GIF was clear; as
 * JSON with how the run ended, of which otherwise a line tells.
 */
final class CheckReport {
    /** How it is printed. */
    enum Format {
        TEXT,
        JSON
    }

    private static final ObjectMapper JSON = new ObjectMapper();

    private final HypervisorCheck check;
    private final SymbolTable symbols;

    CheckReport(HypervisorCheck check, SymbolTable symbols) {
        this.check = check;
        this.symbols = symbols;
    }

    void print(PrintStream out, Format format, Ending ending) {
        out.println(format == Format.JSON ? json(ending) : text());
        out.flush();
    }

    private List<Finding> sorted() {
        List<Finding> findings = new ArrayList<>(check.findings());
        findings.sort(Comparator.comparing((Finding finding) -> finding.kind.level));
        return findings;
    }

    private String text() {
        Formatter text = new Formatter(Locale.ROOT);
        text.format("hypervisor check: %s%n", summary());
        for (Finding finding : sorted()) {
            finding(text, finding);
        }
        gif(text);
        return text.toString().stripTrailing();
    }

    private String summary() {
        if (check.entries() == 0) {
            return "no VMRUN was seen, so nothing was looked at";
        }
        int mistakes = check.mistakes();
        int advice = check.findings().size() - mistakes;
        return "%s, %d of advice, in %s of %s"
                .formatted(
                        mistakes == 0 ? "no mistake" : count(mistakes, "mistake"),
                        advice,
                        count(check.entries(), "VMRUN"),
                        count(check.vmcbs(), "VMCB"));
    }

    private static String count(long number, String what) {
        return String.format(Locale.ROOT, "%,d %s%s", number, what, number == 1 ? "" : "s");
    }

    private static String times(long number) {
        return number == 1 ? "once" : String.format(Locale.ROOT, "%,d times", number);
    }

    /** What was done and how often; with what, where first, and what it leads to. */
    private void finding(Formatter text, Finding finding) {
        CheckKind kind = finding.kind;
        text.format(
                "%n%s %s, %s: %s%n",
                kind.level.name().toLowerCase(Locale.ROOT),
                kind.label(),
                times(finding.count()),
                kind.title);
        text.format(
                "    what     %s%s%n",
                finding.subject, finding.detail.isEmpty() ? "" : ": " + finding.detail);
        text.format(
                "    %s %d@%d, RIP 0x%x%s in the %s, VMCB 0x%x%n",
                finding.count() == 1 ? "where   " : "first at",
                finding.vcpu,
                finding.instructions,
                finding.rip,
                symbolInBrackets(finding),
                finding.inGuest ? "guest" : "host",
                finding.vmcb);
        text.format("    manual   %s%n", kind.section);
        text.format("    silicon  %s%n", kind.consequence);
    }

    private void gif(Formatter text) {
        GifTimes gif = check.gifTimes();
        if (gif.count() == 0) {
            return;
        }
        text.format(
                "%nGIF clear %s, at most for %s (until %d@%d)%n",
                times(gif.count()),
                count(gif.longest(), "instruction"),
                gif.longestVcpu(),
                gif.longestAt());
        long[] histogram = gif.histogram();
        for (int i = 0; i < histogram.length; i++) {
            if (histogram[i] != 0) {
                text.format("    below %,15d instructions: %s%n", bound(i), times(histogram[i]));
            }
        }
    }

    /** The length below which all stretches of a histogram's element are. */
    private static long bound(int element) {
        return 1L << element;
    }

    private String symbolInBrackets(Finding finding) {
        String symbol = symbol(finding);
        return symbol == null ? "" : " (" + symbol + ")";
    }

    private String symbol(Finding finding) {
        return finding.inGuest ? null : symbols.nameOf(finding.rip);
    }

    private String json(Ending ending) {
        ObjectNode root = JSON.createObjectNode();
        root.put("mistakes", check.mistakes());
        root.put("advice", check.findings().size() - check.mistakes());
        root.put("vmruns", check.entries());
        root.put("vmcbs", check.vmcbs());
        ArrayNode list = root.putArray("findings");
        for (Finding finding : sorted()) {
            CheckKind kind = finding.kind;
            ObjectNode node = list.addObject();
            node.put("kind", kind.label());
            node.put("level", kind.level.name().toLowerCase(Locale.ROOT));
            node.put("title", kind.title);
            node.put("subject", finding.subject);
            node.put("count", finding.count());
            node.put("vcpu", finding.vcpu);
            node.put("instructions", finding.instructions);
            node.put("rip", hex(finding.rip));
            node.put("in_guest", finding.inGuest);
            node.put("symbol", symbol(finding));
            node.put("vmcb", hex(finding.vmcb));
            node.put("detail", finding.detail);
            node.put("section", kind.section);
            node.put("consequence", kind.consequence);
        }
        GifTimes gif = check.gifTimes();
        ObjectNode gifNode = root.putObject("gif_clear");
        gifNode.put("count", gif.count());
        if (gif.count() != 0) {
            gifNode.put("longest_instructions", gif.longest());
            gifNode.put("longest_vcpu", gif.longestVcpu());
            gifNode.put("longest_until_instructions", gif.longestAt());
        }
        ArrayNode buckets = gifNode.putArray("histogram");
        long[] histogram = gif.histogram();
        for (int i = 0; i < histogram.length; i++) {
            if (histogram[i] != 0) {
                buckets.addObject().put("below", bound(i)).put("count", histogram[i]);
            }
        }
        ending.describe(root.putObject("end"));
        return root.toPrettyString();
    }

    static String hex(long value) {
        return "0x" + Long.toHexString(value);
    }
}
