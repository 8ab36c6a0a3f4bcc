package dev.pacifica.emulator.check;

import dev.pacifica.emulator.observe.HypervisorFinding;

/** One kind of mistake with one subject: how often it was made, and where first. */
public final class Finding {
    public final CheckKind kind;

    /** What it is about: a VMCB field, a rule, a register. */
    public final String subject;

    /** The processor that made it first, and the machine's retired instructions then. */
    public final int vcpu;

    public final long instructions;

    /** RIP of the VMRUN, of the host's use of a register, or of the guest's access. */
    public final long rip;

    /** Whether RIP is the guest's. */
    public final boolean inGuest;

    /** Physical address of the VMCB. */
    public final long vmcb;

    /** Values of the first time, for a person; may be empty. */
    public final String detail;

    private long count;
    private long told;

    Finding(
            CheckKind kind,
            String subject,
            long instructions,
            Findings.Place place,
            String detail) {
        this.kind = kind;
        this.subject = subject;
        vcpu = place.vcpu();
        this.instructions = instructions;
        rip = place.rip();
        inGuest = place.inGuest();
        vmcb = place.vmcb();
        this.detail = detail;
    }

    void again() {
        count++;
    }

    /** Whether the observer was told of this count. */
    boolean told() {
        return told == count;
    }

    /** As an observer is told of it, at one of its occurrences. */
    HypervisorFinding event(Findings.Place place, String values) {
        return tell(place.vcpu(), values, place.rip(), place.inGuest(), place.vmcb());
    }

    /** As an observer is told of it in the end, with the place of its first occurrence. */
    HypervisorFinding summary() {
        return tell(vcpu, detail, rip, inGuest, vmcb);
    }

    private HypervisorFinding tell(
            int where, String values, long atRip, boolean guests, long ofVmcb) {
        told = count;
        return new HypervisorFinding(
                where,
                kind.label(),
                kind.level == CheckKind.Level.MISTAKE,
                kind.section,
                subject,
                values,
                atRip,
                guests,
                ofVmcb,
                count);
    }

    /** How often. */
    public long count() {
        return count;
    }
}
