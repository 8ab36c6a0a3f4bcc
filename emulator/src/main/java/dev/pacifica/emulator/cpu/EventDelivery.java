package dev.pacifica.emulator.cpu;

/**
 * Delivers exceptions and interrupts through the IVT or IDT, and decides at instruction boundaries what is to be delivered.
 *
 * <p>The run loop's part, for each instruction boundary:
 *
 * <pre>
 *   if (cpu.attention != 0 &amp;&amp; events.poll()) continue;           // something was delivered, or the processor halts
 *   if (events.stepNeeded()) {                                     // TF, RF, shadow, breakpoints: rare
 *       try { events.beforeInstruction(); execute one instruction, rip advanced; events.afterInstruction(); }
 *       catch (GuestException e) { events.deliverException(e); }
 *   } else run freely until attention != 0 or a fault
 * </pre>
 *
 * A fault (GuestException) is given to {@link #deliverException}, rip still at the instruction. {@link WorldSwitched} needs nothing more.
 */
public final class EventDelivery {
    /** Whether an event is being delivered now; {@link #deliveringInfo} tells which. */
    public boolean delivering;

    /** The event being delivered, as EXITINTINFO has it (§15.7.2), 0 if none. */
    public long deliveringInfo;

    EventDelivery(Cpu cpu) {}

    /** Delivers an exception that the instruction at rip raised; handles double and triple faults and exception intercepts. */
    public void deliverException(GuestException e) {}

    /**
     * At an instruction boundary, also of a halted processor: takes the one event of the highest priority that is due (INIT, SMI, debug
     * trap, NMI, interrupt, virtual interrupt). True if something was taken: RIP, mode or world changed. Clears the attention bits that
     * need no more attention.
     */
    public boolean poll() {
        return false;
    }

    /** Whether the next instruction must be executed singly, between {@link #beforeInstruction} and {@link #afterInstruction}. */
    public boolean stepNeeded() {
        return false;
    }

    /** Before an instruction that is executed singly: instruction breakpoints (raises #DB). */
    public void beforeInstruction() {}

    /** After it completed, rip advanced: ends RF and the interrupt shadow, notes the single-step trap for {@link #poll}. */
    public void afterInstruction() {}

    /** A data access or I/O access (port as address) while {@link Cpu#dataBreakpointsArmed}: notes matching breakpoints. */
    public void memoryAccessed(long va, int size, boolean write) {}

    /** Delivers the event of a VMCB's EVENTINJ field (§15.20), its validity already checked. */
    public void inject(long eventInjection) {}
}
