package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Debian's unmodified kvm-amd, asked for AVIC, finds each feature of SVM that it knows: what its
 * parameters are after it loaded, and what it said about it in the kernel's log.
 *
 * <p>It clears each of these parameters when CPUID Fn8000_000A lacks the feature (the pause
 * filter's count and threshold become 0), and with shadow paging those two that the manual allows
 * with nested paging only: avic (§15.29.4.1) and vls (§15.33.1). Linux 6.1 prints no line for nrips
 * and the pause filter.
 */
class KvmFeaturesIT {
    private static final Pattern PARAMETER = Pattern.compile("kvm_amd\\.(\\w+)=(\\w*)");

    private static final Pattern SAID = Pattern.compile("\\[ *\\d+\\.\\d+\\] (?:SVM|kvm): (.*)");

    @ParameterizedTest
    @EnumSource(names = {"KVM_NESTED_PAGING", "KVM_AVIC", "KVM_TWO_PROCESSORS"})
    void withNestedPagingEachFeatureIsOn(Ladder ladder) {
        List<String> console = ladder.recorded().consoleLines();
        assertThat(parameters(console))
                .containsExactly(
                        "npt=Y",
                        "nested=1",
                        "nrips=1",
                        "vls=1",
                        "vgif=1",
                        "lbrv=1",
                        "avic=Y",
                        "tsc_scaling=1",
                        "pause_filter_thresh=128",
                        "pause_filter_count=3000",
                        "pause_filter_count_grow=2",
                        "pause_filter_count_shrink=0",
                        "pause_filter_count_max=65535");
        assertThat(said(console))
                .containsExactly(
                        "TSC scaling supported",
                        "Nested Virtualization enabled",
                        "kvm: Nested Paging enabled",
                        "AVIC enabled",
                        "x2AVIC enabled",
                        "Virtual VMLOAD VMSAVE supported",
                        "Virtual GIF supported",
                        "LBR virtualization supported");
    }

    @ParameterizedTest
    @EnumSource(names = "KVM_SHADOW_PAGING")
    void withShadowPagingEachIsOnThatDoesNotNeedNestedPaging(Ladder ladder) {
        List<String> console = ladder.recorded().consoleLines();
        assertThat(parameters(console))
                .containsExactly(
                        "npt=N",
                        "nested=1",
                        "nrips=1",
                        "vls=0",
                        "vgif=1",
                        "lbrv=1",
                        "avic=N",
                        "tsc_scaling=1",
                        "pause_filter_thresh=128",
                        "pause_filter_count=3000",
                        "pause_filter_count_grow=2",
                        "pause_filter_count_shrink=0",
                        "pause_filter_count_max=65535");
        assertThat(said(console))
                .containsExactly(
                        "TSC scaling supported",
                        "Nested Virtualization enabled",
                        "kvm: Nested Paging disabled",
                        "Virtual GIF supported",
                        "LBR virtualization supported");
    }

    private static List<String> parameters(List<String> console) {
        return console.stream()
                .map(PARAMETER::matcher)
                .filter(Matcher::matches)
                .map(parameter -> parameter.group(1) + "=" + parameter.group(2))
                .toList();
    }

    /** What kvm-amd said while it loaded, without time and name. */
    private static List<String> said(List<String> console) {
        return console.stream()
                .map(SAID::matcher)
                .filter(Matcher::matches)
                .map(line -> line.group(1))
                .toList();
    }
}
