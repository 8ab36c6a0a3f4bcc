package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;

/** One processor's SVM state: what VMRUN loaded, the intercepts in force, and the way out (APM Vol 2 chapter 15). */
public final class Svm {
    public Svm(Cpu cpu) {}

    /** Whether the guest's VMCB intercepts this exit code (Appendix C: 0 to A6h, the bit's position in the intercept vectors). */
    public boolean intercepted(int exitCode) {
        return false;
    }

    /** Performs the #VMEXIT. Afterwards the processor is in the host's state; nothing of the instruction or event may happen any more. */
    public void exit(int exitCode, long exitInfo1, long exitInfo2) {}

    /** Whether RDMSR or WRMSR of this MSR exits (§15.11): MSR_PROT and the permission map. */
    public boolean msrIntercepted(int msr, boolean write) {
        return false;
    }

    /** Whether an access of {@code size} bytes (1, 2, 4) to the port exits (§15.10): IOIO_PROT and the permission map. */
    public boolean ioIntercepted(int port, int size) {
        return false;
    }

    /** V_INTR_MASKING of the running guest (§15.21.1). */
    public boolean virtualInterruptMasking() {
        return false;
    }

    /** The host's RFLAGS.IF at VMRUN, which masks physical interrupts while {@link #virtualInterruptMasking}. */
    public boolean hostInterruptFlag() {
        return false;
    }

    /** V_TPR, 0 to 15 (§15.21.2). */
    public int virtualTaskPriority() {
        return 0;
    }

    public void setVirtualTaskPriority(int tpr) {}

    /** The vector of the virtual interrupt that V_IRQ, its priority and V_TPR let through, IF and shadow not considered; -1 if none. */
    public int pendingVirtualInterrupt() {
        return -1;
    }

    /** Clears V_IRQ: the virtual interrupt is about to be delivered. */
    public void acknowledgeVirtualInterrupt() {}

    /** VMCB TSC_OFFSET of the running guest; 0 in the host. */
    public long tscOffset() {
        return 0;
    }

    /** PAUSE executed in a guest: whether the intercept and its filter (§15.14.4) make it exit now. */
    public boolean pauseIntercepted() {
        return false;
    }

    /**
     * VMRUN VMMCALL VMLOAD VMSAVE STGI CLGI SKINIT INVLPGA, their CPL already checked. Returns 0 when the caller is to advance RIP by the
     * instruction's length, 1 when the world changed.
     */
    public int execute(Insn insn) {
        throw new UnsupportedOperationException(insn.toString());
    }
}
