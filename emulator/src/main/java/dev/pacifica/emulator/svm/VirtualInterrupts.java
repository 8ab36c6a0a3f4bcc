package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;

/**
 * The guest's virtual interrupt and task priority (§15.21): the processor's copies of VMCB field
 * 60h between VMRUN and #VMEXIT.
 */
final class VirtualInterrupts {
    private static final int NONE = -1;

    /** V_TPR, 0 to 15. */
    int taskPriority;

    boolean pending;
    int priority;
    boolean ignoreTaskPriority;
    int vector;

    /**
     * V_INTR_MASKING: the guest's IF and CR8 are virtual, physical interrupts obey the host's IF.
     */
    boolean masking;

    /** RFLAGS.IF of the host at VMRUN. */
    boolean hostInterruptFlag;

    void load(Vmcb vmcb, boolean hostIf) {
        long control = vmcb.get64(VmcbLayout.V_INTR);
        taskPriority = (int) control & 15;
        pending = (control >>> 8 & 1) != 0;
        priority = (int) (control >>> 16) & 15;
        ignoreTaskPriority = (control >>> 20 & 1) != 0;
        masking = (control >>> 24 & 1) != 0;
        vector = (int) (control >>> 32) & 0xff;
        hostInterruptFlag = hostIf;
    }

    /**
     * #VMEXIT: writes V_TPR and V_IRQ back and clears the processor's copies of V_IRQ and
     * V_INTR_MASKING (§15.21.4).
     */
    void store(Vmcb vmcb) {
        vmcb.put8(VmcbLayout.V_TPR, taskPriority);
        vmcb.put8(VmcbLayout.V_IRQ, vmcb.get8(VmcbLayout.V_IRQ) & ~1 | (pending ? 1 : 0));
        clear();
    }

    void clear() {
        pending = false;
        masking = false;
    }

    /**
     * The vector that priority and V_TPR let through, or -1; RFLAGS.IF, GIF and the interrupt
     * shadow are not considered.
     */
    int deliverable() {
        return pending && (ignoreTaskPriority || priority > taskPriority) ? vector : NONE;
    }

    void save(StateWriter out) {
        out.u8("vTpr", taskPriority);
        out.flag("vIrq", pending);
        out.u8("vIntrPrio", priority);
        out.flag("vIgnTpr", ignoreTaskPriority);
        out.u8("vIntrVector", vector);
        out.flag("vIntrMasking", masking);
        out.flag("hostIf", hostInterruptFlag);
    }

    void load(StateReader in) {
        taskPriority = in.u8("vTpr");
        pending = in.flag("vIrq");
        priority = in.u8("vIntrPrio");
        ignoreTaskPriority = in.flag("vIgnTpr");
        vector = in.u8("vIntrVector");
        masking = in.flag("vIntrMasking");
        hostInterruptFlag = in.flag("hostIf");
    }
}
