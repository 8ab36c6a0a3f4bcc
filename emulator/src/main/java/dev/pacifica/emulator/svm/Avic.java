package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.ApicRegister;
import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.cpu.WorldSwitched;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;

/**
 * The advanced virtual interrupt controller of one processor (§15.29): the guest's accesses to its
 * local APIC go to the backing page, and what is requested there is delivered to the guest.
 *
 * <p>As on silicon the processor looks for requests in the backing page only when it has a reason
 * to: at VMRUN, at a doorbell, and when the guest itself changes its APIC. A bit that somebody sets
 * in memory without ringing the doorbell waits for the next such moment.
 */
final class Avic {
    /** AVIC enable and x2AVIC mode enable in the VMCB's word at 60h. */
    static final long ENABLE = 1L << 31;

    static final long X2APIC_MODE = 1L << 30;

    /** The highest index of the physical APIC ID table in each mode (§15.29.4.3). */
    static final int MAX_INDEX = 255;

    static final int MAX_INDEX_X2APIC = 511;

    /** With x2AVIC_EXT, and a table of up to eight pages. */
    static final int MAX_INDEX_EXTENDED = 4095;

    private static final long POINTER = (1L << 52) - 4096;
    private static final long WRITE = 1L << 32;
    private static final int NONE = -1;

    private final Cpu cpu;
    private final VirtualInterrupts interrupts;
    private final AvicIpi ipis;

    /** AVIC is in force: a guest runs, or waits for RSM, whose VMCB enables it. */
    boolean enabled;

    /** The guest's APIC is reached by the x2APIC MSRs, otherwise by its page. */
    boolean x2apicMode;

    private long apicBar;
    private long backingPage;
    long logicalTable;
    long physicalTable;
    int maxIndex;

    /** The highest vector requested, and PPR, as found when last looked for; -1 is none. */
    private int request = NONE;

    private int priority;

    /** The exit that follows the instruction being executed, 0 for none. */
    private int trapCode;

    private long trapInfo1;
    private long trapInfo2;

    Avic(Cpu cpu, VirtualInterrupts interrupts) {
        this.cpu = cpu;
        this.interrupts = interrupts;
        ipis = new AvicIpi(cpu, this);
    }

    /** VMRUN, after the rest of the guest's state; all of it needs nested paging (§15.29.4.1). */
    void load(Vmcb vmcb, boolean nestedPaging) {
        long control = vmcb.get64(VmcbLayout.V_INTR);
        clear();
        enabled = (control & ENABLE) != 0 && nestedPaging && cpu.model.has(CpuFeature.AVIC);
        if (!enabled) {
            return;
        }
        x2apicMode = (control & X2APIC_MODE) != 0 && cpu.model.has(CpuFeature.X2AVIC);
        apicBar = vmcb.get64(VmcbLayout.AVIC_APIC_BAR) & POINTER;
        backingPage = vmcb.get64(VmcbLayout.AVIC_BACKING_PAGE) & POINTER;
        logicalTable = vmcb.get64(VmcbLayout.AVIC_LOGICAL_TABLE) & POINTER;
        long physical = vmcb.get64(VmcbLayout.AVIC_PHYSICAL_TABLE);
        physicalTable = physical & POINTER;
        maxIndex = (int) physical & 0xfff;
        evaluate();
    }

    /** #VMEXIT and RESET. */
    void clear() {
        enabled = false;
        x2apicMode = false;
        request = NONE;
        priority = 0;
        trapCode = 0;
    }

    /** The guest-physical page that is redirected to the backing page, or -1. */
    long redirectedPage() {
        return enabled && !x2apicMode ? apicBar : NONE;
    }

    long backingPage() {
        return backingPage;
    }

    // ---- interrupts ----

    /** Looks at what is requested and in service: at VMRUN, a doorbell, or a change (§15.29.8). */
    void evaluate() {
        request = highest(ApicRegister.REQUEST);
        priority = computePriority();
        if (deliverable() >= 0) {
            cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        }
    }

    /** The vector that the processor priority lets through, or -1. */
    int deliverable() {
        return request >= 0 && (request & 0xf0) > (priority & 0xf0) ? request : NONE;
    }

    /** The deliverable interrupt goes from requested to in service. */
    void acknowledge() {
        int vector = request;
        setBit(backingPage, ApicRegister.REQUEST, vector, false);
        setBit(backingPage, ApicRegister.IN_SERVICE, vector, true);
        changed();
    }

    /** TPR or what is in service changed: PPR in the backing page follows. */
    private void changed() {
        evaluate();
        putRegister(ApicRegister.PROCESSOR_PRIORITY, priority);
    }

    /**
     * PPR (§16.6.4). The class of the task's priority is V_TPR's, which only the guest's writes
     * bring in line with TPR in the backing page.
     */
    private int computePriority() {
        int register = register(ApicRegister.TASK_PRIORITY) & 0xff;
        int task =
                register >> 4 == interrupts.taskPriority ? register : interrupts.taskPriority << 4;
        int service = Math.max(0, highest(ApicRegister.IN_SERVICE)) & 0xf0;
        return (task & 0xf0) >= service ? task : service;
    }

    /** MOV CR8 wrote V_TPR: TPR 7:4 in the backing page follow, 3:0 are cleared (§15.29.3.1). */
    void taskPriorityChanged() {
        putRegister(ApicRegister.TASK_PRIORITY, interrupts.taskPriority << 4);
        changed();
    }

    private void endOfInterrupt() {
        int vector = highest(ApicRegister.IN_SERVICE);
        if (vector < 0) {
            return;
        }
        if (bit(ApicRegister.TRIGGER_MODE, vector)) {
            trapAccess(ApicRegister.END_OF_INTERRUPT, vector);
            return;
        }
        setBit(backingPage, ApicRegister.IN_SERVICE, vector, false);
        changed();
    }

    // ---- the APIC page ----

    private boolean extendedLvt() {
        return cpu.model.has(CpuFeature.EXTLVT);
    }

    /** A read of 1, 2, 4 or 8 bytes from the redirected page; does not return if it exits. */
    long read(int offset, int size) {
        if (AvicRegisters.read(offset >> 4, extendedLvt()) == AvicRegisters.Access.FAULT) {
            throw fault(offset >> 4, false);
        }
        long pa = backingPage + offset;
        return reachable(pa) ? cpu.memory.read(pa, size) : -1L >>> 64 - 8 * size;
    }

    /** A write to the redirected page; does not return if it exits before the access. */
    void write(int offset, int size, long value) {
        checkWrite(offset);
        long pa = backingPage + offset;
        if (reachable(pa)) {
            cpu.memory.write(pa, size, value);
        }
        if ((offset & 0xc) == 0) {
            written(offset >> 4);
        }
    }

    /** Exits if a write at this offset does so before it is done. */
    void checkWrite(int offset) {
        if (trapCode != 0) {
            throw exitForTrap(); // a repeated instruction's iteration before this one
        }
        if (AvicRegisters.write(offset >> 4, extendedLvt()) == AvicRegisters.Access.FAULT) {
            throw fault(offset >> 4, true);
        }
    }

    private void written(int register) {
        switch (AvicRegisters.write(register, extendedLvt())) {
            case ACCELERATED -> accelerate(register);
            case TRAP -> trapAccess(register, 0);
            default -> {}
        }
    }

    private void accelerate(int register) {
        switch (register) {
            case ApicRegister.TASK_PRIORITY -> {
                interrupts.taskPriority = register(register) >> 4 & 15;
                changed();
            }
            case ApicRegister.END_OF_INTERRUPT -> endOfInterrupt();
            default -> {
                int low = register(ApicRegister.COMMAND_LOW);
                // delivery is never pending
                putRegister(ApicRegister.COMMAND_LOW, low & ~(1 << 12));
                ipis.send(low, register(ApicRegister.COMMAND_HIGH));
            }
        }
    }

    // ---- x2APIC MSRs ----

    /** RDMSR of 800h + register, not intercepted; raises #GP or exits (§15.29.10). */
    long readMsr(int register) {
        if (!ApicRegister.isReadableMsr(register, cpu.model.has(CpuFeature.EXT_APIC))) {
            throw cpu.fault(GuestException.GP, 0);
        }
        if (AvicRegisters.read(register, extendedLvt()) == AvicRegisters.Access.FAULT) {
            throw fault(register, false);
        }
        long value = register(register) & 0xffff_ffffL;
        return register == ApicRegister.COMMAND_LOW
                ? value | (long) register(ApicRegister.COMMAND_HIGH) << 32
                : value;
    }

    /** WRMSR of 800h + register, not intercepted; raises #GP or exits (§15.29.10). */
    void writeMsr(int register, long value) {
        if (!ApicRegister.isWritableMsr(register, value, cpu.model.has(CpuFeature.EXT_APIC))) {
            throw cpu.fault(GuestException.GP, 0);
        }
        checkWrite(register << 4);
        putRegister(register, (int) value);
        if (register == ApicRegister.COMMAND_LOW) {
            putRegister(ApicRegister.COMMAND_HIGH, (int) (value >>> 32));
        }
        if (register == ApicRegister.SELF_IPI) {
            ipis.sendSelf((int) value);
        } else {
            written(register);
        }
    }

    // ---- exits ----

    private WorldSwitched fault(int register, boolean write) {
        cpu.svm.exit(ExitCode.AVIC_NOACCEL, (long) register << 4 | (write ? WRITE : 0), 0);
        return cpu.worldSwitched;
    }

    private void trapAccess(int register, int vector) {
        trap(ExitCode.AVIC_NOACCEL, (long) register << 4 | WRITE, vector);
    }

    /** The guest exits as soon as the instruction has completed. */
    void trap(int exitCode, long info1, long info2) {
        trapCode = exitCode;
        trapInfo1 = info1;
        trapInfo2 = info2;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
    }

    /** Whether the instruction that has completed exits. */
    boolean trapped() {
        return trapCode != 0;
    }

    WorldSwitched exitForTrap() {
        cpu.svm.exit(trapCode, trapInfo1, trapInfo2);
        return cpu.worldSwitched;
    }

    // ---- memory ----

    private boolean reachable(long pa) {
        return !cpu.mmu.hidden.covers(pa);
    }

    int register(int number) {
        long pa = backingPage + (number << 4);
        return reachable(pa) ? (int) cpu.memory.read(pa, 4) : -1;
    }

    private void putRegister(int number, int value) {
        long pa = backingPage + (number << 4);
        if (reachable(pa)) {
            cpu.memory.write(pa, 4, value & 0xffff_ffffL);
        }
    }

    private int highest(int first) {
        for (int i = 7; i >= 0; i--) {
            int word = register(first + i);
            if (word != 0) {
                return 32 * i + 31 - Integer.numberOfLeadingZeros(word);
            }
        }
        return NONE;
    }

    private boolean bit(int first, int vector) {
        return (register(first + (vector >> 5)) >>> vector & 1) != 0;
    }

    /** Sets or clears a vector's bit in a virtual processor's backing page. */
    void setBit(long page, int first, int vector, boolean value) {
        long pa = page + (first + (vector >> 5) << 4);
        if (reachable(pa)) {
            long bit = 1L << (vector & 31);
            long word = cpu.memory.read(pa, 4);
            cpu.memory.write(pa, 4, value ? word | bit : word & ~bit);
        }
    }

    /** An entry of 8 bytes of the physical APIC ID table (Figure 15-17); 0 if it is hidden. */
    long physicalEntry(int index) {
        long pa = physicalTable + 8L * index;
        return reachable(pa) ? cpu.memory.read64(pa) : 0;
    }

    /** An entry of 4 bytes of the logical APIC ID table (Figure 15-19); 0 if it is hidden. */
    int logicalEntry(int index) {
        long pa = logicalTable + 4L * index;
        return reachable(pa) ? (int) cpu.memory.read(pa, 4) : 0;
    }

    void save(StateWriter out) {
        out.flag("avic", enabled);
        out.flag("x2avic", x2apicMode);
        out.u64("avicBar", apicBar);
        out.u64("avicBackingPage", backingPage);
        out.u64("avicLogicalTable", logicalTable);
        out.u64("avicPhysicalTable", physicalTable);
        out.u32("avicMaxIndex", maxIndex);
        out.u32("avicRequest", request);
        out.u32("avicPriority", priority);
        out.u32("avicTrap", trapCode);
        out.u64("avicTrapInfo1", trapInfo1);
        out.u64("avicTrapInfo2", trapInfo2);
    }

    void load(StateReader in) {
        enabled = in.flag("avic");
        x2apicMode = in.flag("x2avic");
        apicBar = in.u64("avicBar");
        backingPage = in.u64("avicBackingPage");
        logicalTable = in.u64("avicLogicalTable");
        physicalTable = in.u64("avicPhysicalTable");
        maxIndex = in.u32("avicMaxIndex") & 0xfff;
        request = Math.clamp(in.u32("avicRequest"), NONE, 255);
        priority = in.u32("avicPriority") & 0xff;
        trapCode = in.u32("avicTrap");
        trapInfo1 = in.u64("avicTrapInfo1");
        trapInfo2 = in.u64("avicTrapInfo2");
        if (enabled) {
            cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        }
    }
}
