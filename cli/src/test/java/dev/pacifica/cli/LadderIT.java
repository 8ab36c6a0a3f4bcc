package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.recorder.Manifest;
import dev.pacifica.recorder.TraceReader;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Debian's unmodified kernel boots, its KVM runs guests, and all of it is recorded. */
class LadderIT {
    /**
     * What both guests and the VMM print, in this order. The lines are those that the same images
     * print under QEMU 7.2 (TCG), with nested and with shadow paging alike; the guests compute them
     * (CPUID, I/O, MMIO, HLT), and KVM and the VMM count their exits.
     */
    private static final List<String> GUESTS =
            List.of(
                    "L2: hello from L2 real mode",
                    "L2: AuthenticAMD",
                    "EXIT IO port=60 dir=0 size=1 count=1",
                    "EXIT MMIO W gpa=d0010 len=2 data=0000beef",
                    "EXIT MMIO R gpa=d0020 len=2 data=42424242",
                    "EXIT HLT rip=1064 rax=fffffc18",
                    "VMM-DONE mode=16 userspace_exits=41 io=38 mmio=2 hlt=1",
                    "L2: hello from L2 long mode",
                    "EXIT MMIO W gpa=d0000000 len=4 data=12345678",
                    "EXIT MMIO R gpa=d0000008 len=4 data=42424242",
                    "EXIT HLT rip=100ab rax=4000002e",
                    "VMM-DONE mode=64 userspace_exits=1027 io=1024 mmio=2 hlt=1");

    /**
     * What the guest with local APICs adds, by its construction: 100 interrupts to itself, 100 and
     * 20 to its other processor by physical and logical id, each answered, one of the timer, 100 to
     * itself in x2APIC mode; 28 characters and two ends.
     */
    private static final List<String> APIC_GUEST =
            List.of(
                    "L2: hello from L2's local APICs",
                    "VMM-DONE mode=apic userspace_exits=30 to_oneself=100 asking=120 answering=120"
                            + " timer=1 by_msr=100");

    private static final Pattern OF_GUESTS = Pattern.compile("^(L2:|EXIT |VMM-DONE ).*");

    @Test
    void linuxBootsToUserSpaceAndSwitchesThePowerOff() {
        Ladder.Recorded boot = Ladder.BOOT.recorded();
        assertThat(boot.consoleLines())
                .anyMatch(line -> line.startsWith("MARKER-L1-USERSPACE"))
                .anyMatch(line -> line.startsWith("Linux ") && line.contains(" x86_64 "))
                .contains("MARKER-L1-POWEROFF");
        endedByPowerOff(boot);
    }

    @ParameterizedTest
    @EnumSource(names = {"KVM_NESTED_PAGING", "KVM_SHADOW_PAGING"})
    void kvmRunsBothGuests(Ladder ladder) {
        Ladder.Recorded kvm = ladder.recorded();
        List<String> console = kvm.consoleLines();
        assertThat(console.stream().filter(line -> OF_GUESTS.matcher(line).matches()).toList())
                .isEqualTo(GUESTS);
        assertThat(console)
                .contains(
                        "insmod rc=0",
                        "kvm_amd.npt=" + (ladder == Ladder.KVM_NESTED_PAGING ? "Y" : "N"))
                .anyMatch(line -> line.startsWith("MARKER-L1-POWEROFF "))
                .noneMatch(line ->
                        line.contains("Call Trace")
                                || line.contains("BUG:")
                                || line.contains("WARNING:"));
        endedByPowerOff(kvm);
    }

    /** One after the other as on one processor, then both at once on processors of their own. */
    @Test
    void kvmRunsBothGuestsAtOnceOnTwoProcessors() {
        Ladder.Recorded kvm = Ladder.KVM_TWO_PROCESSORS.recorded();
        List<String> console = kvm.consoleLines();
        List<String> guests =
                console.stream().filter(line -> OF_GUESTS.matcher(line).matches()).toList();
        int size = GUESTS.size();
        assertThat(guests).hasSize(2 * size + APIC_GUEST.size());
        assertThat(guests.subList(0, size)).isEqualTo(GUESTS);
        assertThat(guests.subList(size, 2 * size)).containsExactlyInAnyOrderElementsOf(GUESTS);
        assertThat(guests.subList(2 * size, guests.size())).isEqualTo(APIC_GUEST);
        assertThat(console)
                .contains("processors=2", "insmod rc=0")
                .anyMatch(line -> line.startsWith("MARKER-L1-POWEROFF "))
                .noneMatch(line ->
                        line.contains("Call Trace")
                                || line.contains("BUG:")
                                || line.contains("WARNING:"));
        endedByPowerOff(kvm);
    }

    /** KVM switches AVIC on for a guest with local APICs, which then raises AVIC's exits. */
    @Test
    void kvmRunsTheGuestWithLocalApicsByAvic() {
        Ladder.Recorded kvm = Ladder.KVM_AVIC.recorded();
        List<String> expected = new ArrayList<>(GUESTS);
        expected.addAll(APIC_GUEST);
        assertThat(
                        kvm.consoleLines().stream()
                                .filter(line -> OF_GUESTS.matcher(line).matches())
                                .toList())
                .isEqualTo(expected);
        Map<String, Long> exits =
                KernelLog.exits(KernelLog.ofTrace(TraceReader.open(kvm.trace()))).stream()
                        .collect(
                                Collectors.groupingBy(
                                        KernelLog.Exit::reason, Collectors.counting()));
        // On one processor the target of an IPI never runs: 120 each way and the last. Those to
        // oneself make no exit. Six writes of SVR, DFR and LDR, three of the timer's registers, and
        // one read of its count. The long-mode guest makes four exits by MSRs, this one's APIC_BASE
        // two, x2APIC's ICR and EOI none.
        assertThat(exits)
                .containsEntry("msr", 6L)
                .containsEntry("avic_incomplete_ipi", 241L)
                .containsEntry("avic_unaccelerated_access", 10L);
        endedByPowerOff(kvm);
    }

    private static void endedByPowerOff(Ladder.Recorded recorded) {
        Manifest manifest = TraceReader.open(recorded.trace()).manifest();
        assertThat(manifest.end().reason()).isEqualTo("the guest switched the power off");
        Ladder.say(
                "%s: %,d instructions, %,d events, %d checkpoints; recorded in %.1f s",
                recorded.trace().getParent().getParent().getFileName(),
                manifest.end().insnCount(),
                manifest.end().events(),
                manifest.checkpoints().size(),
                recorded.wall().toMillis() / 1e3);
    }
}
