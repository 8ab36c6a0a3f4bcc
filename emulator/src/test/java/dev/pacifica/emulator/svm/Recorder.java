package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.observe.MachineObserver;
import java.util.ArrayList;
import java.util.List;

/** Keeps what an observer is told, as lines. */
final class Recorder implements MachineObserver {
    final List<String> lines = new ArrayList<>();

    @Override
    public void vmrun(int vcpu, long vmcb, VmcbView state) {
        lines.add("vmrun %x rip %x".formatted(vmcb, state.get(VmcbLayout.RIP, 8)));
    }

    @Override
    public void vmexit(int vcpu, long vmcb, VmcbView state, long guestInstructions) {
        lines.add(
                "vmexit %x code %x after %d"
                        .formatted(vmcb, state.get(VmcbLayout.EXITCODE, 8), guestInstructions));
    }

    @Override
    public void consistencyFailure(int vcpu, long vmcb, String rule) {
        lines.add("failure " + rule);
    }

    @Override
    public void vmcbChange(
            int vcpu, long vmcb, int offset, int size, long oldValue, long newValue) {
        lines.add("change %x:%d %x -> %x".formatted(offset, size, oldValue, newValue));
    }

    @Override
    public void vmloadSave(int vcpu, long vmcb, boolean save) {
        lines.add((save ? "vmsave " : "vmload ") + Long.toHexString(vmcb));
    }

    @Override
    public void gif(int vcpu, boolean set) {
        lines.add(set ? "stgi" : "clgi");
    }

    @Override
    public void invlpga(int vcpu, long va, int asid) {
        lines.add("invlpga %x asid %d".formatted(va, asid));
    }
}
