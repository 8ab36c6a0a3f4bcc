package dev.pacifica.emulator.check;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.observe.MachineObserver;
import dev.pacifica.emulator.time.VirtualClock;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Supplier;

/** What was found so far, in the order of its first occurrence. */
final class Findings {
    /** Different subjects kept; what comes beyond is not told. */
    private static final int MOST = 1000;

    private record Key(CheckKind kind, String subject) {}

    private final Map<Key, Finding> findings = new LinkedHashMap<>();

    /** Who is told of occurrence 1, 2, 4, 8 and so on; may be null. */
    MachineObserver observer;

    /** Who does it where: {@code rip} is the host's, or the guest's that runs by the VMCB. */
    record Place(int vcpu, long rip, boolean inGuest, long vmcb) {}

    /** Machine-wide retired instructions. */
    private final VirtualClock clock;

    Findings(VirtualClock clock) {
        this.clock = clock;
    }

    /**
     * Notes a mistake made by the processor where it stands.
     *
     * @param detail the values, for a person; asked for only when they are told
     */
    void add(CheckKind kind, String subject, Cpu cpu, long vmcb, Supplier<String> detail) {
        add(kind, subject, new Place(cpu.id, cpu.rip, cpu.guestMode, vmcb), detail);
    }

    void add(CheckKind kind, String subject, Place place, Supplier<String> detail) {
        Key key = new Key(kind, subject);
        Finding finding = findings.get(key);
        if (finding == null) {
            if (findings.size() >= MOST) {
                return;
            }
            finding = new Finding(kind, subject, clock.retired, place, detail.get());
            findings.put(key, finding);
        }
        finding.again();
        long count = finding.count();
        if (observer != null && (count & count - 1) == 0) {
            observer.finding(finding.event(place, detail.get()));
        }
    }

    /** Tells how often each was found, where that was not told yet. */
    void summarize() {
        if (observer != null) {
            for (Finding finding : findings.values()) {
                if (!finding.told()) {
                    observer.finding(finding.summary());
                }
            }
        }
    }

    Collection<Finding> all() {
        return Collections.unmodifiableCollection(findings.values());
    }
}
