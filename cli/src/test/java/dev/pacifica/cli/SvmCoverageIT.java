package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Element;

/**
 * docs/svm-coverage.md keeps its word: each row that says "done" or "partly" names tests, and this
 * build has run them and they passed.
 */
class SvmCoverageIT {
    private static final Path ROOT = Path.of(System.getProperty("pacifica.root"));
    private static final Path REPORTS = ROOT.resolve("emulator/target/surefire-reports");
    private static final Pattern QUOTED = Pattern.compile("`(\\w+)`");

    private record Row(int line, String subject, String state, List<String> tests) {}

    @BeforeAll
    static void theEmulatorWasTested() {
        Assumptions.assumeTrue(
                Files.isDirectory(REPORTS),
                "the emulator's tests did not run in this build: ./mvnw verify runs them first");
    }

    private static List<Row> rows() throws IOException {
        List<Row> rows = new ArrayList<>();
        List<String> header = List.of();
        int number = 0;
        for (String line : Files.readAllLines(ROOT.resolve("docs/svm-coverage.md"))) {
            number++;
            if (!line.startsWith("|")) {
                header = List.of();
                continue;
            }
            List<String> cells =
                    Stream.of(line.split("\\|", -1)).map(String::strip).skip(1).toList();
            if (header.isEmpty()) {
                header = cells;
            }
            int state = header.indexOf("state");
            int tests = header.indexOf("tests");
            if (state >= 0 && tests >= 0 && tests < cells.size()) {
                List<String> names = new ArrayList<>();
                Matcher quoted = QUOTED.matcher(cells.get(tests));
                while (quoted.find()) {
                    names.add(quoted.group(1));
                }
                rows.add(
                        new Row(
                                number,
                                cells.get(0) + " " + cells.get(1),
                                cells.get(state),
                                names));
            }
        }
        return rows;
    }

    /** The report of a test class, or null if it did not run. */
    private static Element report(String test) throws Exception {
        try (Stream<Path> reports = Files.list(REPORTS)) {
            Path report =
                    reports.filter(file -> file.toString().endsWith("." + test + ".xml"))
                            .findFirst()
                            .orElse(null);
            return report == null
                    ? null
                    : DocumentBuilderFactory.newInstance()
                            .newDocumentBuilder()
                            .parse(report.toFile())
                            .getDocumentElement();
        }
    }

    @Test
    void whatIsDoneHasTestsThatPassed() throws Exception {
        List<String> complaints = new ArrayList<>();
        int done = 0;
        for (Row row : rows()) {
            if (!row.state.startsWith("done") && !row.state.startsWith("partly")) {
                continue;
            }
            done++;
            if (row.tests.isEmpty()) {
                complaints.add("line %d: %s names no test".formatted(row.line, row.subject));
            }
            for (String test : row.tests) {
                Element report = report(test);
                if (report == null) {
                    complaints.add("line %d: %s did not run".formatted(row.line, test));
                } else if (Integer.parseInt(report.getAttribute("tests"))
                                <= Integer.parseInt(report.getAttribute("skipped"))
                        || !"0".equals(report.getAttribute("failures"))
                        || !"0".equals(report.getAttribute("errors"))) {
                    complaints.add("line %d: %s did not pass".formatted(row.line, test));
                }
            }
        }
        assertThat(complaints).isEmpty();
        assertThat(done).isGreaterThan(100);
    }
}
