import java.io.IOException;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;
import org.junit.platform.engine.CancellationToken;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.LauncherExecutionRequest;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherExecutionRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/**
 * Plants the faults of faults.txt, one at a time, in the emulator's sources and runs the tests of
 * rooms svm, cpu, paging and device until one fails. Started by run.sh in the module's folder.
 */
final class MutationRun {
    private static final Path HERE = Path.of("src/test/mutations");
    private static final Path SOURCES = Path.of("src/main/java/dev/pacifica/emulator");
    private static final Path RESOURCES = Path.of("src/main/resources");
    private static final Path TESTS = Path.of("src/test/java");
    private static final Path TEST_RESOURCES = Path.of("src/test/resources");
    private static final Path WORK = Path.of("target/mutations");
    private static final Path MAIN_CLASSES = WORK.resolve("main");
    private static final Path TEST_CLASSES = WORK.resolve("test");
    private static final Path FAULTY_CLASSES = WORK.resolve("faulty");
    private static final List<String> ROOMS = List.of("svm", "check", "cpu", "paging", "device");
    private static final String TEST_PACKAGE = "dev.pacifica.emulator.";

    private final JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    private final List<String> testClasses = new ArrayList<>();

    record Fault(
            String name,
            String file,
            String section,
            String breaks,
            List<String> likely,
            String find,
            String replace) {}

    public static void main(String[] arguments) throws Exception {
        // Tests that a fault sends into an endless loop leave threads behind.
        System.exit(new MutationRun().run(List.of(arguments)));
    }

    private int run(List<String> arguments) throws Exception {
        List<Fault> faults = parse(Files.readAllLines(HERE.resolve("faults.txt")));
        if (arguments.equals(List.of("--list"))) {
            faults.forEach(f -> System.out.printf("%-28s %-10s %s%n", f.name, f.section, f.breaks));
            return 0;
        }
        List<String> stale = faults.stream().filter(f -> !matchesOnce(f)).map(Fault::name).toList();
        stale.forEach(name -> System.out.println(name + ": its text is not there exactly once"));
        if (arguments.equals(List.of("--match"))) {
            System.out.println(faults.size() - stale.size() + " of " + faults.size() + " match");
            return stale.isEmpty() ? 0 : 1;
        }
        for (String name : arguments) {
            if (faults.stream().noneMatch(f -> f.name.equals(name))) {
                System.out.println("no fault is named " + name);
                return 2;
            }
        }
        compileAll();
        String failed = arguments.isEmpty() ? firstFailure(MAIN_CLASSES, testClasses) : null;
        if (failed != null) {
            System.out.println("a test fails without any fault: " + failed);
            return 2;
        }
        int planted = 0;
        List<String> escaped = new ArrayList<>();
        for (Fault fault : faults) {
            boolean asked = arguments.isEmpty() || arguments.contains(fault.name);
            if (!asked || stale.contains(fault.name)) {
                continue;
            }
            planted++;
            plant(fault);
            String catcher = firstFailure(FAULTY_CLASSES, inOrder(fault));
            if (catcher == null) {
                escaped.add(fault.name);
            }
            System.out.printf(
                    "%-28s %-10s %s%n",
                    fault.name,
                    fault.section,
                    catcher == null ? "NOT CAUGHT" : "caught by " + catcher);
        }
        System.out.printf(
                "%d faults planted, %d caught, %d escaped, %d no longer match%n",
                planted, planted - escaped.size(), escaped.size(), stale.size());
        escaped.forEach(name -> System.out.println("escaped: " + name));
        return escaped.isEmpty() && stale.isEmpty() ? 0 : 1;
    }

    /** The list's form is described in README.md. */
    private static List<Fault> parse(List<String> lines) {
        List<Fault> faults = new ArrayList<>();
        Map<String, String> fields = new LinkedHashMap<>();
        for (String line : lines) {
            if (line.startsWith("[")) {
                finish(fields, faults);
                fields.put("name", line.substring(1, line.indexOf(']')));
            } else if (line.startsWith("- ") || line.startsWith("+ ")) {
                fields.merge(line.substring(0, 1), line.substring(2), (a, b) -> a + "\n" + b);
            } else if (!line.isBlank() && !line.startsWith("#")) {
                int equals = line.indexOf(" = ");
                if (equals < 0) {
                    throw new IllegalArgumentException("faults.txt: " + line);
                }
                fields.put(line.substring(0, equals), line.substring(equals + 3));
            }
        }
        finish(fields, faults);
        return faults;
    }

    private static void finish(Map<String, String> fields, List<Fault> faults) {
        if (!fields.isEmpty()) {
            faults.add(
                    new Fault(
                            fields.get("name"),
                            fields.get("file"),
                            fields.get("section"),
                            fields.get("breaks"),
                            List.of(fields.getOrDefault("try", "").split(" ")),
                            fields.get("-"),
                            fields.getOrDefault("+", "")));
            fields.clear();
        }
    }

    private static boolean matchesOnce(Fault fault) {
        String source = source(fault);
        int at = source.indexOf(fault.find);
        return at >= 0 && source.indexOf(fault.find, at + 1) < 0;
    }

    private static String source(Fault fault) {
        try {
            return Files.readString(SOURCES.resolve(fault.file));
        } catch (IOException e) {
            return "";
        }
    }

    private void compileAll() throws IOException {
        delete(MAIN_CLASSES);
        delete(TEST_CLASSES);
        compile(javaFiles(SOURCES), MAIN_CLASSES, "");
        List<Path> tests = javaFiles(TESTS);
        compile(tests, TEST_CLASSES, MAIN_CLASSES + ":");
        for (String room : ROOMS) {
            for (Path test : tests) {
                String name = test.getFileName().toString();
                if (test.getParent().endsWith(room) && name.endsWith("Test.java")) {
                    testClasses.add(TEST_PACKAGE + room + "." + name.replace(".java", ""));
                }
            }
        }
        // Those with random input run longest.
        testClasses.sort(Comparator.comparing(name -> name.contains("Random")));
    }

    private void plant(Fault fault) throws IOException {
        delete(FAULTY_CLASSES);
        Path copy = WORK.resolve("source").resolve(fault.file);
        Files.createDirectories(copy.getParent());
        Files.writeString(copy, source(fault).replace(fault.find, fault.replace));
        compile(List.of(copy), FAULTY_CLASSES, MAIN_CLASSES + ":");
    }

    private void compile(List<Path> sources, Path to, String classPath) throws IOException {
        Files.createDirectories(to);
        List<String> options =
                List.of(
                        "-nowarn",
                        "-proc:none",
                        "-XDignore.symbol.file", // no word about RawMemory's Unsafe
                        "-cp",
                        classPath + System.getProperty("java.class.path"),
                        "-d",
                        to.toString());
        try (var files = compiler.getStandardFileManager(null, null, null)) {
            var units = files.getJavaFileObjectsFromPaths(sources);
            if (!compiler.getTask(null, files, null, options, null, units).call()) {
                throw new IllegalStateException("does not compile: " + sources);
            }
        }
    }

    private List<String> inOrder(Fault fault) {
        List<String> order = new ArrayList<>(testClasses);
        order.sort(
                Comparator.comparing(
                        name -> !fault.likely.contains(name.substring(name.lastIndexOf('.') + 1))));
        return order;
    }

    /** The first test that fails with these classes before all others, or null. */
    private static String firstFailure(Path classes, List<String> tests) throws Exception {
        URL[] path = {
            url(classes), url(MAIN_CLASSES), url(TEST_CLASSES), url(RESOURCES), url(TEST_RESOURCES)
        };
        ClassLoader before = Thread.currentThread().getContextClassLoader();
        try (URLClassLoader loader = new URLClassLoader(path, before)) {
            loader.setDefaultAssertionStatus(true);
            Thread.currentThread().setContextClassLoader(loader);
            for (String test : tests) {
                String failure = firstFailure(loader.loadClass(test));
                if (failure != null) {
                    return failure;
                }
            }
            return null;
        } finally {
            Thread.currentThread().setContextClassLoader(before);
        }
    }

    private static String firstFailure(Class<?> test) {
        CancellationToken stop = CancellationToken.create();
        List<String> failures = new ArrayList<>();
        LauncherExecutionRequest request =
                LauncherExecutionRequestBuilder.request(
                                LauncherDiscoveryRequestBuilder.request()
                                        .selectors(DiscoverySelectors.selectClass(test))
                                        .configurationParameter(
                                                "junit.jupiter.execution.timeout.default", "120 s")
                                        .configurationParameter(
                                                "junit.jupiter.execution.timeout.thread.mode.default",
                                                "SEPARATE_THREAD")
                                        .build())
                        .cancellationToken(stop)
                        .listeners(
                                new TestExecutionListener() {
                                    @Override
                                    public void executionFinished(
                                            TestIdentifier id, TestExecutionResult result) {
                                        if (result.getStatus()
                                                == TestExecutionResult.Status.FAILED) {
                                            failures.add(name(test, id));
                                            stop.cancel();
                                        }
                                    }
                                })
                        .build();
        LauncherFactory.create().execute(request);
        return failures.isEmpty() ? null : failures.getFirst();
    }

    private static String name(Class<?> test, TestIdentifier id) {
        return id.getSource()
                .filter(MethodSource.class::isInstance)
                .map(source -> test.getSimpleName() + "." + ((MethodSource) source).getMethodName())
                .orElse(test.getSimpleName());
    }

    private static List<Path> javaFiles(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(file -> file.toString().endsWith(".java")).sorted().toList();
        }
    }

    private static URL url(Path folder) throws MalformedURLException {
        return folder.toUri().toURL();
    }

    private static void delete(Path folder) throws IOException {
        if (Files.exists(folder)) {
            try (Stream<Path> files = Files.walk(folder)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            }
        }
    }
}
