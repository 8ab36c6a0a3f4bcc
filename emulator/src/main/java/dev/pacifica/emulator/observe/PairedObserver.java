package dev.pacifica.emulator.observe;

/** Two observers, told one after the other. */
public final class PairedObserver implements MachineObserver {
    private final MachineObserver first;
    private final MachineObserver second;

    private PairedObserver(MachineObserver first, MachineObserver second) {
        this.first = first;
        this.second = second;
    }

    /** Both of the two; null stands for nobody. */
    public static MachineObserver of(MachineObserver first, MachineObserver second) {
        if (first == null) {
            return second;
        }
        return second == null ? first : new PairedObserver(first, second);
    }

    @Override
    public void vmrun(int vcpu, long vmcb, VmcbView state) {
        first.vmrun(vcpu, vmcb, state);
        second.vmrun(vcpu, vmcb, state);
    }

    @Override
    public void vmexit(int vcpu, long vmcb, VmcbView state, long guestInstructions) {
        first.vmexit(vcpu, vmcb, state, guestInstructions);
        second.vmexit(vcpu, vmcb, state, guestInstructions);
    }

    @Override
    public void consistencyFailure(int vcpu, long vmcb, String rule) {
        first.consistencyFailure(vcpu, vmcb, rule);
        second.consistencyFailure(vcpu, vmcb, rule);
    }

    @Override
    public void vmcbChange(
            int vcpu, long vmcb, int offset, int size, long oldValue, long newValue) {
        first.vmcbChange(vcpu, vmcb, offset, size, oldValue, newValue);
        second.vmcbChange(vcpu, vmcb, offset, size, oldValue, newValue);
    }

    @Override
    public void vmloadSave(int vcpu, long vmcb, boolean save) {
        first.vmloadSave(vcpu, vmcb, save);
        second.vmloadSave(vcpu, vmcb, save);
    }

    @Override
    public void gif(int vcpu, boolean set) {
        first.gif(vcpu, set);
        second.gif(vcpu, set);
    }

    @Override
    public void invlpga(int vcpu, long va, int asid) {
        first.invlpga(vcpu, va, asid);
        second.invlpga(vcpu, va, asid);
    }

    @Override
    public void nestedTranslation(int vcpu, long guestPage, long page, boolean writable) {
        first.nestedTranslation(vcpu, guestPage, page, writable);
        second.nestedTranslation(vcpu, guestPage, page, writable);
    }

    @Override
    public void translation(int vcpu, long page, boolean writable) {
        first.translation(vcpu, page, writable);
        second.translation(vcpu, page, writable);
    }

    @Override
    public void tlbFlushed(int vcpu, int asid, boolean globals, TlbFlushCause cause) {
        first.tlbFlushed(vcpu, asid, globals, cause);
        second.tlbFlushed(vcpu, asid, globals, cause);
    }

    @Override
    public void tlbPageFlushed(int vcpu, int asid, long va) {
        first.tlbPageFlushed(vcpu, asid, va);
        second.tlbPageFlushed(vcpu, asid, va);
    }

    @Override
    public void injection(int vcpu, long vmcb, long eventInjection) {
        first.injection(vcpu, vmcb, eventInjection);
        second.injection(vcpu, vmcb, eventInjection);
    }

    @Override
    public void virtualInterrupt(int vcpu, int vector) {
        first.virtualInterrupt(vcpu, vector);
        second.virtualInterrupt(vcpu, vector);
    }

    @Override
    public void delivering(int vcpu) {
        first.delivering(vcpu);
        second.delivering(vcpu);
    }

    @Override
    public void delivery(
            int vcpu, int vector, int type, boolean hasErrorCode, long errorCode, long rip) {
        first.delivery(vcpu, vector, type, hasErrorCode, errorCode, rip);
        second.delivery(vcpu, vector, type, hasErrorCode, errorCode, rip);
    }

    @Override
    public void halt(int vcpu, int reason) {
        first.halt(vcpu, reason);
        second.halt(vcpu, reason);
    }

    @Override
    public void serialOutput(int device, int value) {
        first.serialOutput(device, value);
        second.serialOutput(device, value);
    }

    @Override
    public void input(int kind, int device, byte[] data) {
        first.input(kind, device, data);
        second.input(kind, device, data);
    }

    @Override
    public void stopped(String reason, int status) {
        first.stopped(reason, status);
        second.stopped(reason, status);
    }

    @Override
    public void finding(HypervisorFinding finding) {
        first.finding(finding);
        second.finding(finding);
    }
}
