package dev.pacifica.emulator.observe;

/**
 * Sees what a machine does. All methods do nothing by default; none may change the machine. The
 * moment of an event is (vcpu, retired instructions): {@code vcpu} is given, the count is the
 * machine's clock at the call.
 */
public interface MachineObserver {
    /**
     * VMRUN entered the guest. {@code vmcb} is the VMCB's physical address, {@code state} reads its
     * fields as loaded: where VMCB state is cached, clean fields as they are in the cache.
     */
    default void vmrun(int vcpu, long vmcb, VmcbView state) {}

    /**
     * A #VMEXIT completed; the VMCB holds what was written to it. {@code guestInstructions} retired
     * since VMRUN.
     */
    default void vmexit(int vcpu, long vmcb, VmcbView state, long guestInstructions) {}

    /** A VMRUN's consistency checks failed, before its vmexit event: {@code rule} cites §15.5.1. */
    default void consistencyFailure(int vcpu, long vmcb, String rule) {}

    /**
     * The hypervisor changed a VMCB field between the last #VMEXIT and this VMRUN; {@code offset}
     * in bytes in the VMCB, {@code size} 1..8.
     */
    default void vmcbChange(
            int vcpu, long vmcb, int offset, int size, long oldValue, long newValue) {}

    /**
     * VMLOAD (false), about to load, or VMSAVE (true), which has saved, of the VMCB at the physical
     * address.
     */
    default void vmloadSave(int vcpu, long vmcb, boolean save) {}

    /** STGI (true) or CLGI. */
    default void gif(int vcpu, boolean set) {}

    /** INVLPGA. */
    default void invlpga(int vcpu, long va, int asid) {}

    /**
     * The nested tables were walked for a guest-physical page (§15.25): {@code page} is the
     * system-physical address behind it, both 4-KiB aligned.
     */
    default void nestedTranslation(int vcpu, long guestPage, long page, boolean writable) {}

    /** A guest's tables were walked without nested paging, for a 4-KiB aligned linear address. */
    default void translation(int vcpu, long page, boolean writable) {}

    /**
     * The translations of an ASID were dropped, of all ASIDs if it is negative (§15.16); those of
     * global pages too if {@code globals}. What a program does to its own address space (MOV CR3,
     * MOV CR4, INVLPG …) is not told.
     */
    default void tlbFlushed(int vcpu, int asid, boolean globals, TlbFlushCause cause) {}

    /** INVLPGB, by whatever processor, dropped the translation of a page of an ASID. */
    default void tlbPageFlushed(int vcpu, int asid, long va) {}

    /** An event was injected through EVENTINJ (§15.20), as given there. */
    default void injection(int vcpu, long vmcb, long eventInjection) {}

    /** A virtual interrupt was delivered to the guest (§15.21.4). */
    default void virtualInterrupt(int vcpu, int vector) {}

    /** An event is about to go through the IDT, in host or guest; it may fault yet. */
    default void delivering(int vcpu) {}

    /**
     * An event was delivered through the IDT, in host or guest. {@code type} is that of EVENTINJ
     * (§15.20): 0 interrupt, 2 NMI, 3 exception, 4 software interrupt; {@code errorCode} is 0 where
     * none was pushed; {@code rip} is where it came.
     */
    default void delivery(
            int vcpu, int vector, int type, boolean hasErrorCode, long errorCode, long rip) {}

    /** The processor halted ({@code reason} is one of the Cpu activities). */
    default void halt(int vcpu, int reason) {}

    /** A byte left serial port {@code device}. */
    default void serialOutput(int device, int value) {}

    /** An input was delivered. */
    default void input(int kind, int device, byte[] data) {}

    /** The sanitizer found a mistake of the hypervisor, or wants to say how often in the end. */
    default void finding(HypervisorFinding finding) {}

    /** Processor reset, triple fault, power-off …: the machine ends for the given reason. */
    default void stopped(String reason, int status) {}

    /** Read access to a VMCB. */
    interface VmcbView {
        /** Reads {@code size} (1, 2, 4, 8) bytes at {@code offset} (0..FFFh), zero-extended. */
        long get(int offset, int size);

        /**
         * As {@link #get}, what lies in guest-visible memory, also where the processor has another
         * value in its cache (§15.15). Valid until the observer returns.
         */
        default long inMemory(int offset, int size) {
            return get(offset, size);
        }
    }
}
