package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;

/**
 * The guest's virtual interrupt, task priority and NMI (§15.21) and its virtual global interrupt
 * flag (§15.33.2): the processor's copies of VMCB field 60h between VMRUN and #VMEXIT.
 */
final class VirtualInterrupts {
    /** V_INTR_MASKING, V_GIF_ENABLE and V_NMI_ENABLE in the word at 60h. */
    static final long MASKING = 1L << 24;

    static final long GIF_ENABLE = 1L << 25;
    static final long NMI_ENABLE = 1L << 26;

    /** V_IRQ, V_GIF, V_NMI and V_NMI_MASK in the byte at 61h. */
    private static final int IRQ = 1;

    private static final int GIF = 1 << 1;
    private static final int NMI = 1 << 3;
    private static final int NMI_MASK = 1 << 4;

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

    /** V_GIF_ENABLE: STGI and CLGI act on {@link #gif}, which masks virtual interrupts and NMIs. */
    boolean gifVirtual;

    /** V_GIF while {@link #gifVirtual}. */
    boolean gif;

    /** V_NMI_ENABLE: the guest's NMIs and their masking are virtual. */
    boolean nmiVirtual;

    /** V_NMI and V_NMI_MASK while {@link #nmiVirtual}. */
    boolean nmiPending;

    boolean nmiMasked;

    /** VMRUN. Bits of features that the model has not are reserved and ignored. */
    void load(Vmcb vmcb, boolean hostIf, CpuModel model) {
        long control = vmcb.get64(VmcbLayout.V_INTR);
        taskPriority = (int) control & 15;
        pending = (control >>> 8 & 1) != 0;
        priority = (int) (control >>> 16) & 15;
        ignoreTaskPriority = (control >>> 20 & 1) != 0;
        masking = (control & MASKING) != 0;
        vector = (int) (control >>> 32) & 0xff;
        hostInterruptFlag = hostIf;
        int flags = (int) control >>> 8;
        gifVirtual = (control & GIF_ENABLE) != 0 && model.has(CpuFeature.VGIF);
        gif = (flags & GIF) != 0;
        nmiVirtual = (control & NMI_ENABLE) != 0 && model.has(CpuFeature.VNMI);
        nmiPending = nmiVirtual && (flags & NMI) != 0;
        nmiMasked = nmiVirtual && (flags & NMI_MASK) != 0;
    }

    /**
     * #VMEXIT: writes V_TPR, V_IRQ and, while they are enabled, V_GIF, V_NMI and V_NMI_MASK back;
     * {@link #clear} follows.
     *
     * @param deliveringNmi the exit interrupts the delivery of an NMI, which so masks no further
     *     one (§15.21.10)
     */
    void store(Vmcb vmcb, boolean deliveringNmi) {
        vmcb.put8(VmcbLayout.V_TPR, taskPriority);
        vmcb.put8(VmcbLayout.V_IRQ, flags(vmcb, deliveringNmi));
    }

    private int flags(Vmcb vmcb, boolean deliveringNmi) {
        int flags = vmcb.get8(VmcbLayout.V_IRQ) & ~IRQ | (pending ? IRQ : 0);
        if (gifVirtual) {
            flags = flags & ~GIF | (gif ? GIF : 0);
        }
        if (nmiVirtual) {
            boolean masked = nmiMasked && !deliveringNmi;
            flags = flags & ~(NMI | NMI_MASK) | (nmiPending ? NMI : 0) | (masked ? NMI_MASK : 0);
        }
        return flags;
    }

    /** The whole word at 60h as it is now. */
    long control(Vmcb vmcb) {
        long kept = vmcb.get64(VmcbLayout.V_INTR) & ~0xffffL;
        return kept | (long) (flags(vmcb, false) & 0xff) << 8 | taskPriority;
    }

    /** #VMEXIT clears the processor's copies of V_IRQ and V_INTR_MASKING (§15.21.4). */
    void clear() {
        pending = false;
        masking = false;
        gifVirtual = false;
        gif = false;
        nmiVirtual = false;
        nmiPending = false;
        nmiMasked = false;
    }

    /**
     * The vector that priority, V_TPR and the virtual GIF let through, or -1; RFLAGS.IF, GIF and
     * the interrupt shadow are not considered.
     */
    int deliverable() {
        return pending && letThrough() && (ignoreTaskPriority || priority > taskPriority)
                ? vector
                : NONE;
    }

    /** Whether the virtual GIF lets virtual interrupts through. */
    boolean letThrough() {
        return !gifVirtual || gif;
    }

    /** Whether a virtual NMI is due, GIF and the interrupt shadow not considered (§15.21.10). */
    boolean nmiDeliverable() {
        return nmiPending && !nmiMasked && (!gifVirtual || gif);
    }

    void save(StateWriter out) {
        out.u8("vTpr", taskPriority);
        out.flag("vIrq", pending);
        out.u8("vIntrPrio", priority);
        out.flag("vIgnTpr", ignoreTaskPriority);
        out.u8("vIntrVector", vector);
        out.flag("vIntrMasking", masking);
        out.flag("hostIf", hostInterruptFlag);
        out.flag("vGifEnable", gifVirtual);
        out.flag("vGif", gif);
        out.flag("vNmiEnable", nmiVirtual);
        out.flag("vNmi", nmiPending);
        out.flag("vNmiMask", nmiMasked);
    }

    void load(StateReader in) {
        taskPriority = in.u8("vTpr");
        pending = in.flag("vIrq");
        priority = in.u8("vIntrPrio");
        ignoreTaskPriority = in.flag("vIgnTpr");
        vector = in.u8("vIntrVector");
        masking = in.flag("vIntrMasking");
        hostInterruptFlag = in.flag("hostIf");
        gifVirtual = in.flag("vGifEnable");
        gif = in.flag("vGif");
        nmiVirtual = in.flag("vNmiEnable");
        nmiPending = in.flag("vNmi");
        nmiMasked = in.flag("vNmiMask");
    }
}
