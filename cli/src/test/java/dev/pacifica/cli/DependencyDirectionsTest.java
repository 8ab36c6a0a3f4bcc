package dev.pacifica.cli;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The directions of docs/design.md: which module may use which, and what the emulator may know of
 * the world outside.
 */
class DependencyDirectionsTest {
    private static final JavaClasses PACIFICA =
            new ClassFileImporter()
                    .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
                    .importPackages("dev.pacifica");

    private static void mayUseOnly(String module, String... others) {
        String[] allowed = new String[others.length + 1];
        allowed[0] = "dev.pacifica." + module + "..";
        for (int i = 0; i < others.length; i++) {
            allowed[i + 1] = "dev.pacifica." + others[i] + "..";
        }
        noClasses()
                .that()
                .resideInAPackage("dev.pacifica." + module + "..")
                .should()
                .dependOnClassesThat(
                        resideInAPackage("dev.pacifica..").and(not(resideInAnyPackage(allowed))))
                .allowEmptyShould(true)
                .check(PACIFICA);
    }

    @Test
    void schemasUseNoOtherModule() {
        mayUseOnly("schemas");
    }

    @Test
    void theEmulatorDoesNotKnowThatTracesExist() {
        mayUseOnly("emulator");
    }

    @Test
    void theRecorderUsesSchemasAndEmulator() {
        mayUseOnly("recorder", "schemas", "emulator");
    }

    @Test
    void theReplayerUsesWhatTheRecorderReads() {
        mayUseOnly("replayer", "schemas", "emulator", "recorder");
    }

    @Test
    void analysisDoesNotNeedTheMachine() {
        mayUseOnly("analysis", "schemas", "recorder");
    }

    @Test
    void theEmulatorNeedsNothingButTheJdk() {
        classes()
                .that()
                .resideInAPackage("dev.pacifica.emulator..")
                .should()
                .onlyDependOnClassesThat(
                        resideInAnyPackage(
                                "dev.pacifica.emulator..",
                                "java..",
                                "jdk.internal..",
                                "sun.misc.."))
                .allowEmptyShould(true)
                .check(PACIFICA);
    }

    /** The emulator's rooms: what each may use of the others; {@code machine} puts all together. */
    @ParameterizedTest
    @CsvSource({
        "state,",
        "time, state",
        "decode,",
        "memory,",
        "observe,",
        "paging, cpu memory observe state",
        "check, cpu decode fp memory observe paging svm time",
        "fp, cpu decode paging state",
        "svm, cpu decode memory observe paging state time",
        "cpu, decode fp memory observe paging state svm time",
        "execute, cpu decode fp memory paging time",
        "device, cpu fp memory state time",
        "boot, cpu device memory",
    })
    void roomsUseOnly(String room, String others) {
        Set<String> allowed = new HashSet<>(Set.of(room));
        if (others != null) {
            allowed.addAll(List.of(others.split(" ")));
        }
        noClasses()
                .that()
                .resideInAPackage("dev.pacifica.emulator." + room)
                .should()
                .dependOnClassesThat(
                        resideInAPackage("dev.pacifica.emulator..")
                                .and(
                                        not(
                                                resideInAnyPackage(
                                                        allowed.stream()
                                                                .map(name ->
                                                                        "dev.pacifica.emulator."
                                                                                + name)
                                                                .toArray(String[]::new)))))
                .check(PACIFICA);
    }

    /** Invariant I1: no wall clock, thread or host randomness may reach the machine. */
    @Test
    void theEmulatorIsDeterministic() {
        noClasses()
                .that()
                .resideInAPackage("dev.pacifica.emulator..")
                .should()
                .dependOnClassesThat()
                .haveFullyQualifiedName("java.util.Random")
                .orShould()
                .dependOnClassesThat()
                .haveFullyQualifiedName("java.security.SecureRandom")
                .orShould()
                .callMethod(System.class, "nanoTime")
                .orShould()
                .callMethod(System.class, "currentTimeMillis")
                .allowEmptyShould(true)
                .check(PACIFICA);
    }
}
