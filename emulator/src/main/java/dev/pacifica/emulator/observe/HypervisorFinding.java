package dev.pacifica.emulator.observe;

/**
 * One occurrence of a mistake of the hypervisor, as the sanitizer tells an observer.
 *
 * @param kind the mistake's kind, lower case with hyphens
 * @param mistake the manual forbids it; otherwise it is advice
 * @param section where the manual (APM Vol 2) tells of it
 * @param subject a VMCB field, a rule, a register
 * @param detail values, for a person; may be empty
 * @param rip of the VMRUN, or of the guest's access
 * @param inGuest whether RIP is the guest's
 * @param vmcb physical address of the VMCB
 * @param count how often kind and subject were found so far
 */
public record HypervisorFinding(
        int vcpu,
        String kind,
        boolean mistake,
        String section,
        String subject,
        String detail,
        long rip,
        boolean inGuest,
        long vmcb,
        long count) {}
