package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.recorder.TraceReader;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The kernel inside the recorded machine traces its own guests and prints that log on the second
 * serial port: each of its kvm_entry and kvm_exit lines must be the VMRUN or #VMEXIT that was
 * recorded, one to one and in order, in every field that the lines have:
 *
 * <ul>
 *   <li>kvm_entry: rip
 *   <li>kvm_exit: reason, rip, info1, info2, intr_info, error_code
 * </ul>
 *
 * <p>No field may differ and none does. (KVM takes all of them out of the VMCB as #VMEXIT left it,
 * and traces before it handles an exit. kvm_entry traces the RIP that VMRUN loads; it would differ
 * where KVM moves RIP after that line, which it does only to inject software interrupts without
 * NRIP save.) KVM's vcpu number is that of its guest; ours, that of the recorded machine, is the
 * kernel's CPU column.
 */
class KernelTracepointsIT {
    @ParameterizedTest
    @EnumSource(
            names = {"KVM_NESTED_PAGING", "KVM_SHADOW_PAGING", "KVM_AVIC", "KVM_TWO_PROCESSORS"})
    void theKernelAndTheTraceTellTheSame(Ladder ladder) {
        Ladder.Recorded recorded = ladder.recorded();
        List<KernelLog.Crossing> kernel = KernelLog.ofKernel(recorded.kernelLogLines());
        List<KernelLog.Crossing> trace = KernelLog.ofTrace(TraceReader.open(recorded.trace()));
        for (int processor = 0; processor < ladder.processors; processor++) {
            compare(
                    "%s, processor %d".formatted(ladder, processor),
                    KernelLog.on(processor, kernel),
                    KernelLog.on(processor, trace));
        }
        assertThat(trace).as("%s: number of VMRUNs and #VMEXITs", ladder).hasSameSizeAs(kernel);
        // The VMM alone sees 41 + 1,027 of them.
        assertThat(KernelLog.exits(trace)).hasSizeGreaterThan(1068);
        Ladder.say(
                "%s: %d kvm_entry and %d kvm_exit lines of the kernel inside agree with the trace"
                        + " in every field",
                ladder,
                kernel.size() - KernelLog.exits(kernel).size(),
                KernelLog.exits(kernel).size());
    }

    /** Each of two guests at the same time ran on a processor of its own. */
    @Test
    void bothProcessorsOfTwoRunGuests() {
        List<KernelLog.Crossing> trace =
                KernelLog.ofTrace(TraceReader.open(Ladder.KVM_TWO_PROCESSORS.recorded().trace()));
        for (int processor = 0; processor < 2; processor++) {
            assertThat(KernelLog.exits(KernelLog.on(processor, trace)))
                    .as("exits on processor %d", processor)
                    .hasSizeGreaterThan(40);
        }
    }

    private static void compare(
            String what, List<KernelLog.Crossing> kernel, List<KernelLog.Crossing> trace) {
        for (int i = 0; i < Math.min(kernel.size(), trace.size()); i++) {
            assertThat(trace.get(i))
                    .as(
                            "%s: recorded crossing %d, after %s",
                            what, i, i == 0 ? "the start" : kernel.get(i - 1))
                    .isEqualTo(kernel.get(i));
        }
        assertThat(trace).as("%s: number of crossings", what).hasSameSizeAs(kernel);
    }
}
