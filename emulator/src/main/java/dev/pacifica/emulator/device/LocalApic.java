package dev.pacifica.emulator.device;

import dev.pacifica.emulator.cpu.ApicRegister;
import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.cpu.LocalInterruptController;
import dev.pacifica.emulator.cpu.Reset;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import dev.pacifica.emulator.time.VirtualClock;

/**
 * The local APIC of one processor (APM Vol 2 chapter 16), in xAPIC or x2APIC mode: version 10h with
 * six LVT entries and, if CPUID offers it, the extended space. Messages arrive at once, so that no
 * delivery is ever pending.
 *
 * <p>Out of reset LINT0 of processor 0 is unmasked in ExtINT mode, as firmware leaves it (virtual
 * wire).
 */
public final class LocalApic implements LocalInterruptController, Stateful {
    private static final int TIMER = 0;
    private static final int LINT0 = 3;
    private static final int LINT1 = 4;
    private static final int ERROR = 5;
    private static final int LVT_ENTRIES = 6;

    /** Version 10h, highest LVT entry 5. */
    private static final int VERSION_VALUE = 0x0005_0010;

    private static final int VERSION_EXTENDED = 1 << 31;

    private static final int ENABLED = 1 << 8;
    private static final int NO_FOCUS_CHECKING = 1 << 9;

    private static final int ERROR_SEND_VECTOR = 1 << 5;
    private static final int ERROR_RECEIVE_VECTOR = 1 << 6;
    private static final int ERROR_REGISTER = 1 << 7;

    private static final long BASE_BSP = 1 << 8;
    private static final long BASE_X2APIC = 1 << 10;
    private static final long BASE_ENABLE = 1 << 11;
    private static final long BASE_ADDRESS = 0x000f_ffff_ffff_f000L;
    private static final long DEFAULT_BASE = 0xfee0_0000L;

    private final int id;
    private final Cpu cpu;
    private final ApicBus bus;
    private final LocalApicTimer timer;
    private final ExtendedApicSpace extended = new ExtendedApicSpace();

    private long base;
    private int taskPriority;
    private int logicalDestination;
    private int destinationFormat;
    private int spurious;

    /** Errors since the last write to ESR, and what ESR shows. */
    private int errors;

    private int errorStatus;
    private long command;
    private final int[] lvt = new int[LVT_ENTRIES];

    /** Bit v of the 256 in four longs stands for vector v. */
    private final long[] request = new long[4];

    private final long[] inService = new long[4];
    private final long[] level = new long[4];

    /**
     * Highest vectors of {@link #request}, as far as they are enabled, and of {@link #inService},
     * -1 for none; derived.
     */
    private int highestRequest = -1;

    private int highestInService = -1;

    /**
     * The APIC of {@code cpu}, whose id it shares; {@code cpu.apic} is left to the caller to set.
     */
    public LocalApic(Cpu cpu, VirtualClock clock, ApicBus bus) {
        id = cpu.id;
        this.cpu = cpu;
        this.bus = bus;
        timer =
                new LocalApicTimer(
                        "apic" + id + ".timer",
                        clock,
                        new LocalApicTimer.Owner() {
                            @Override
                            public void timerExpired() {
                                raiseLocal(TIMER);
                            }

                            @Override
                            public long tscOffset() {
                                return cpu.tscOffset;
                            }
                        });
        base = DEFAULT_BASE | BASE_ENABLE | (id == 0 ? BASE_BSP : 0);
        reset();
        bus.attach(this);
    }

    private void reset() {
        taskPriority = 0;
        logicalDestination = 0;
        destinationFormat = -1;
        spurious = 0xff;
        errors = 0;
        errorStatus = 0;
        command = 0;
        for (int i = 0; i < LVT_ENTRIES; i++) {
            lvt[i] = ApicRegister.LVT_MASKED;
            if (i < 4) {
                request[i] = 0;
                inService[i] = 0;
                level[i] = 0;
            }
        }
        if (id == 0) {
            lvt[LINT0] = ApicBus.EXTERNAL << 8;
        }
        extended.reset();
        timer.reset();
        recompute();
    }

    @Override
    public void init() {
        reset();
        if (x2apic()) { // INIT does not leave x2APIC mode, whose logical destination derives from
            // the id
            logicalDestination = x2apicLogicalDestination();
        }
        changed();
    }

    private int x2apicLogicalDestination() {
        return (id & ~0xf) << 12 | 1 << (id & 0xf);
    }

    // ---- what the processor asks ----

    @Override
    public int taskPriority() {
        return taskPriority >> 4;
    }

    @Override
    public void setTaskPriority(int cr8) {
        taskPriority = cr8 << 4 & 0xf0;
        changed();
    }

    @Override
    public int pendingVector() {
        if (fixedDeliverable()) {
            return highestRequest;
        }
        return externalDeliverable() ? bus.pic().pendingVector() : -1;
    }

    @Override
    public int acknowledge() {
        if (fixedDeliverable()) {
            int vector = highestRequest;
            clear(request, vector);
            set(inService, vector);
            recompute();
            changed();
            return vector;
        }
        if (externalDeliverable()) {
            int vector = bus.pic().acknowledge();
            changed();
            return vector;
        }
        return spurious & 0xff;
    }

    private boolean fixedDeliverable() {
        return highestRequest >= 0
                && (highestRequest & 0xf0) > (processorPriority() & 0xf0)
                && acceptsFixed();
    }

    private boolean externalDeliverable() {
        if (!bus.picLine() || bus.pic() == null) {
            return false;
        }
        if ((base & BASE_ENABLE) == 0) {
            return (base & BASE_BSP) != 0; // the INTR pin of old
        }
        return (lvt[LINT0] & (ApicRegister.LVT_MASKED | 0x700)) == ApicBus.EXTERNAL << 8;
    }

    @Override
    public long base() {
        return base;
    }

    @Override
    public boolean setBase(long value) {
        long reserved =
                ~(BASE_ADDRESS & 0x0000_ffff_ffff_ffffL | BASE_BSP | BASE_X2APIC | BASE_ENABLE);
        boolean wasEnabled = (base & BASE_ENABLE) != 0;
        boolean enabled = (value & BASE_ENABLE) != 0;
        boolean wantsX2apic = (value & BASE_X2APIC) != 0;
        if ((value & reserved) != 0
                || wantsX2apic && !enabled
                || wantsX2apic && !wasEnabled
                || x2apic() && enabled && !wantsX2apic) {
            return false;
        }
        boolean becomesExtended = wantsX2apic && !x2apic();
        base = value & ~BASE_BSP | base & BASE_BSP;
        if (!enabled && wasEnabled) {
            reset();
        }
        if (becomesExtended) {
            logicalDestination = x2apicLogicalDestination();
            command = 0;
        }
        changed();
        return true;
    }

    @Override
    public boolean x2apic() {
        return (base & BASE_X2APIC) != 0;
    }

    @Override
    public long tscDeadline() {
        return timer.deadline();
    }

    @Override
    public void setTscDeadline(long tsc) {
        timer.setDeadline(tsc);
    }

    @Override
    public void tscChanged() {
        timer.tscChanged();
    }

    // ---- what the bus asks ----

    boolean acceptsFixed() {
        return (base & BASE_ENABLE) != 0 && (spurious & ENABLED) != 0;
    }

    /** PPR: the higher of the task's priority and of the interrupt in service (§16.6.4). */
    int processorPriority() {
        int service = highestInService < 0 ? 0 : highestInService & 0xf0;
        return (taskPriority & 0xf0) >= service ? taskPriority : service;
    }

    /**
     * APR, by which processors arbitrate for a lowest-priority interrupt: the highest of the task's
     * priority, of the interrupt in service and of the one requested (§16.6.2).
     */
    int arbitrationPriority() {
        int highest = Math.max(highestInService, highestRequest);
        int vectors = highest < 0 ? 0 : highest & 0xf0;
        return (taskPriority & 0xf0) >= vectors ? taskPriority : vectors;
    }

    /** Whether this one rather than the other wins a lowest-priority arbitration (§16.6.2). */
    boolean precedes(LocalApic other) {
        int mine = arbitrationPriority();
        int theirs = other.arbitrationPriority();
        return mine < theirs || mine == theirs && id > other.id;
    }

    /**
     * Whether the processor has the interrupt requested or in service already, and its spurious
     * interrupt register does not forbid to look (§16.6.2).
     */
    boolean isFocus(int vector) {
        return (spurious & NO_FOCUS_CHECKING) == 0
                && (test(request, vector) || test(inService, vector));
    }

    boolean matches(int destination, boolean logical, boolean wide) {
        if ((base & BASE_ENABLE) == 0) {
            return !logical && destination == id; // INIT and SIPI reach even a disabled APIC
        }
        if (destination == (wide ? -1 : 0xff)) {
            return true;
        }
        if (!logical) {
            return destination == id || narrowId() && matchesNarrow(destination);
        }
        if (x2apic()) {
            return destination >>> 16 == logicalDestination >>> 16
                    && (destination & logicalDestination & 0xffff) != 0;
        }
        int mine = logicalDestination >>> 24;
        if (destinationFormat >>> 28 == 0xf) { // flat
            return (destination & mine) != 0;
        }
        return (destination >> 4 & 0xf) == mine >> 4 && (destination & mine & 0xf) != 0;
    }

    /** Whether only the lower four bits of an APIC id count (§16.3.6). */
    private boolean narrowId() {
        return hasExtendedSpace() && !x2apic() && !extended.wideId();
    }

    private boolean matchesNarrow(int destination) {
        int low = destination & 0xf;
        return destination >>> 8 == 0 && (low == 0xf || low == (id & 0xf));
    }

    private boolean hasExtendedSpace() {
        return cpu.model.has(CpuFeature.EXT_APIC);
    }

    /** Takes a message of the bus or of a local source. */
    void accept(int mode, int vector, boolean levelTriggered) {
        switch (mode) {
            case ApicBus.FIXED, ApicBus.LOWEST_PRIORITY -> acceptFixed(vector, levelTriggered);
            case ApicBus.SMI -> cpu.smiPending = true;
            case ApicBus.NMI -> cpu.nmiPending = true;
            case ApicBus.INIT -> cpu.initPending = true;
            case ApicBus.STARTUP -> Reset.startup(cpu, vector);
            default -> {} // ExtINT comes by wire only
        }
        changed();
    }

    private void acceptFixed(int vector, boolean levelTriggered) {
        if (!acceptsFixed()) {
            return;
        }
        if (vector < 16) {
            error(ERROR_RECEIVE_VECTOR);
            return;
        }
        set(request, vector);
        if (levelTriggered) {
            set(level, vector);
        } else {
            clear(level, vector);
        }
        recompute();
    }

    /** The 8259s' INTR wire rose or fell. */
    void lint0Changed(boolean asserted) {
        if (asserted) {
            if ((base & BASE_ENABLE) != 0 && (lvt[LINT0] & 0x700) != ApicBus.EXTERNAL << 8) {
                raiseLocal(LINT0);
            }
            changed();
        }
    }

    /** An edge on LINT1, the PC's NMI wire. */
    public void pulseLint1() {
        if ((base & BASE_ENABLE) == 0) {
            cpu.nmiPending = true;
            changed();
        } else {
            raiseLocal(LINT1);
        }
    }

    private void raiseLocal(int entry) {
        int value = lvt[entry];
        if ((value & ApicRegister.LVT_MASKED) == 0) {
            int mode = entry == TIMER || entry == ERROR ? ApicBus.FIXED : value >> 8 & 7;
            accept(
                    mode,
                    value & 0xff,
                    entry == LINT0
                            && mode == ApicBus.FIXED
                            && (value & ApicRegister.LVT_LEVEL) != 0);
        }
    }

    private void error(int bit) {
        errors |= bit;
        // an error while reporting an error (vector below 16) must not recurse
        if ((lvt[ERROR] & 0xff) >= 16) {
            raiseLocal(ERROR);
        }
    }

    private void changed() {
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
    }

    // ---- registers ----

    @Override
    public long read(long offset, int size) {
        if ((offset & 0xc) != 0) {
            return 0; // each register has the first four of its sixteen bytes
        }
        int value = readRegister((int) offset >> 4);
        long shifted = (value & 0xffff_ffffL) >>> 8 * (offset & 3);
        return size >= 4 ? shifted : shifted & (1L << 8 * size) - 1;
    }

    @Override
    public void write(long offset, int size, long value) {
        if ((offset & 0xf) == 0) {
            writeRegister((int) offset >> 4, (int) value);
        }
    }

    private int readRegister(int register) {
        return switch (register) {
            case ApicRegister.ID -> x2apic() ? id : id << 24;
            case ApicRegister.VERSION ->
                    hasExtendedSpace() ? VERSION_VALUE | VERSION_EXTENDED : VERSION_VALUE;
            case ApicRegister.TASK_PRIORITY -> taskPriority;
            case ApicRegister.ARBITRATION_PRIORITY -> arbitrationPriority();
            case ApicRegister.PROCESSOR_PRIORITY -> processorPriority();
            case ApicRegister.END_OF_INTERRUPT, ApicRegister.REMOTE_READ -> 0;
            case ApicRegister.LOGICAL_DESTINATION -> logicalDestination;
            case ApicRegister.DESTINATION_FORMAT -> destinationFormat;
            case ApicRegister.SPURIOUS -> spurious;
            case 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17 ->
                    word(inService, register - ApicRegister.IN_SERVICE);
            case 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f ->
                    word(level, register - ApicRegister.TRIGGER_MODE);
            case 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27 ->
                    word(request, register - ApicRegister.REQUEST);
            case ApicRegister.ERROR_STATUS -> errorStatus;
            case ApicRegister.COMMAND_LOW -> (int) command;
            case ApicRegister.COMMAND_HIGH -> (int) (command >>> 32);
            case 0x32, 0x33, 0x34, 0x35, 0x36, 0x37 -> lvt[register - ApicRegister.LVT_TIMER];
            case ApicRegister.INITIAL_COUNT -> (int) timer.initialCount();
            case ApicRegister.CURRENT_COUNT -> (int) timer.currentCount();
            case ApicRegister.DIVIDE -> timer.divideConfiguration();
            default -> {
                if (ApicRegister.isExtended(register) && hasExtendedSpace()) {
                    yield extended.read(register);
                }
                error(ERROR_REGISTER);
                yield 0;
            }
        };
    }

    private void writeRegister(int register, int value) {
        switch (register) {
            case ApicRegister.ID,
                    ApicRegister.VERSION,
                    ApicRegister.ARBITRATION_PRIORITY,
                    ApicRegister.PROCESSOR_PRIORITY,
                    ApicRegister.CURRENT_COUNT -> {} // read-only
            case ApicRegister.TASK_PRIORITY -> taskPriority = value & 0xff;
            case ApicRegister.END_OF_INTERRUPT -> endOfInterrupt();
            case ApicRegister.LOGICAL_DESTINATION -> logicalDestination = value & 0xff00_0000;
            case ApicRegister.DESTINATION_FORMAT -> destinationFormat = value | 0x0fff_ffff;
            case ApicRegister.SPURIOUS -> writeSpurious(value);
            case ApicRegister.ERROR_STATUS -> {
                errorStatus = errors;
                errors = 0;
            }
            case ApicRegister.COMMAND_LOW -> {
                command = command & 0xffff_ffff_0000_0000L | value & 0x000c_cfffL;
                sendCommand();
            }
            case ApicRegister.COMMAND_HIGH ->
                    command = command & 0xffff_ffffL | (long) (value & 0xff00_0000) << 32;
            case 0x32, 0x33, 0x34, 0x35, 0x36, 0x37 ->
                    writeLvt(register - ApicRegister.LVT_TIMER, value);
            case ApicRegister.INITIAL_COUNT -> timer.setInitialCount(value & 0xffff_ffffL);
            case ApicRegister.DIVIDE -> timer.setDivideConfiguration(value);
            default -> {
                if (ApicRegister.isExtended(register) && hasExtendedSpace()) {
                    writeExtended(register, value);
                } else if (register < ApicRegister.IN_SERVICE
                        || register >= ApicRegister.ERROR_STATUS) {
                    error(ERROR_REGISTER);
                }
            }
        }
        changed();
    }

    private void writeExtended(int register, int value) {
        extended.write(register, value, (spurious & ENABLED) == 0);
        if (register == ApicRegister.SPECIFIC_END_OF_INTERRUPT && extended.endsSpecific()) {
            endOfInterrupt(value & 0xff);
        }
        recompute();
    }

    private void writeSpurious(int value) {
        spurious = value & 0x3ff;
        if ((value & ENABLED) == 0) {
            for (int i = 0; i < LVT_ENTRIES; i++) {
                lvt[i] |= ApicRegister.LVT_MASKED;
            }
            extended.maskAll();
        }
    }

    private void writeLvt(int entry, int value) {
        int writable = ApicRegister.lvtWritable(ApicRegister.LVT_TIMER + entry);
        int masked = value & writable | ((spurious & ENABLED) == 0 ? ApicRegister.LVT_MASKED : 0);
        lvt[entry] = masked;
        if (entry == TIMER) {
            timer.setMode(masked >> 17 & 3);
        }
        if (entry == LINT0 && bus.picLine()) {
            lint0Changed(true);
        }
    }

    private void endOfInterrupt() {
        if (highestInService >= 0) {
            endOfInterrupt(highestInService);
        }
    }

    /** The specific one (§16.7.1) ends any interrupt in service. */
    private void endOfInterrupt(int vector) {
        if (!test(inService, vector)) {
            return;
        }
        clear(inService, vector);
        recompute();
        if (test(level, vector)) {
            bus.endOfInterrupt(vector);
        }
    }

    private void sendCommand() {
        int low = (int) command;
        int mode = low >> 8 & 7;
        int vector = low & 0xff;
        boolean levelTriggered = (low & 1 << 15) != 0;
        if (mode == ApicBus.INIT && levelTriggered && (low & 1 << 14) == 0) {
            return; // INIT level de-assert only set arbitration ids, on processors long gone
        }
        if (mode <= ApicBus.LOWEST_PRIORITY && vector < 16) {
            error(ERROR_SEND_VECTOR);
            return;
        }
        boolean logical = (low & 1 << 11) != 0;
        switch (low >> 18 & 3) {
            case 0 -> {
                int destination = x2apic() ? (int) (command >>> 32) : (int) (command >>> 56);
                bus.send(destination, logical, x2apic(), mode, vector, false);
            }
            case 1 -> accept(mode, vector, false);
            case 2 -> bus.broadcast(this, true, mode, vector, false);
            default -> bus.broadcast(this, false, mode, vector, false);
        }
    }

    @Override
    public long readX2apic(int register) {
        if (!x2apic() || !ApicRegister.isReadableMsr(register, hasExtendedSpace())) {
            return BAD_REGISTER;
        }
        return switch (register) {
            case ApicRegister.COMMAND_LOW -> command;
            case ApicRegister.INTERRUPT_ENABLE -> readRegister(register) & 0xffff_0000L; // reserved
            default -> readRegister(register) & 0xffff_ffffL;
        };
    }

    @Override
    public boolean writeX2apic(int register, long value) {
        if (!x2apic() || !ApicRegister.isWritableMsr(register, value, hasExtendedSpace())) {
            return false;
        }
        int low = (int) value;
        switch (register) {
            case ApicRegister.COMMAND_LOW -> {
                command = value;
                sendCommand();
            }
            case ApicRegister.SELF_IPI -> {
                if (low < 16) {
                    error(ERROR_SEND_VECTOR);
                } else {
                    accept(ApicBus.FIXED, low, false);
                }
            }
            default -> writeRegister(register, low);
        }
        changed();
        return true;
    }

    // ---- sets of vectors ----

    private static int word(long[] vectors, int index) {
        return (int) (vectors[index >> 1] >>> 32 * (index & 1));
    }

    private static void set(long[] vectors, int vector) {
        vectors[vector >> 6] |= 1L << vector;
    }

    private static void clear(long[] vectors, int vector) {
        vectors[vector >> 6] &= ~(1L << vector);
    }

    private static boolean test(long[] vectors, int vector) {
        return (vectors[vector >> 6] >>> vector & 1) != 0;
    }

    private static int highest(long[] vectors) {
        for (int i = 3; i >= 0; i--) {
            if (vectors[i] != 0) {
                return 64 * i + 63 - Long.numberOfLeadingZeros(vectors[i]);
            }
        }
        return -1;
    }

    private int highestEnabledRequest() {
        for (int i = 3; i >= 0; i--) {
            long enabled = request[i] & extended.enabled(i);
            if (enabled != 0) {
                return 64 * i + 63 - Long.numberOfLeadingZeros(enabled);
            }
        }
        return -1;
    }

    private void recompute() {
        highestRequest = highestEnabledRequest();
        highestInService = highest(inService);
    }

    @Override
    public void save(StateWriter out) {
        out.section("apic" + id);
        out.u64("base", base);
        out.u8("tpr", taskPriority);
        out.u32("ldr", logicalDestination);
        out.u32("dfr", destinationFormat);
        out.u32("svr", spurious);
        out.u32("errors", errors);
        out.u32("esr", errorStatus);
        out.u64("icr", command);
        for (int i = 0; i < LVT_ENTRIES; i++) {
            out.u32("lvt" + i, lvt[i]);
        }
        out.longs("irr", request);
        out.longs("isr", inService);
        out.longs("tmr", level);
        extended.save(out);
        timer.save(out);
    }

    @Override
    public void load(StateReader in) {
        in.section("apic" + id);
        base = in.u64("base");
        taskPriority = in.u8("tpr");
        logicalDestination = in.u32("ldr");
        destinationFormat = in.u32("dfr");
        spurious = in.u32("svr");
        errors = in.u32("errors");
        errorStatus = in.u32("esr");
        command = in.u64("icr");
        for (int i = 0; i < LVT_ENTRIES; i++) {
            lvt[i] = in.u32("lvt" + i);
        }
        in.longs("irr", request);
        in.longs("isr", inService);
        in.longs("tmr", level);
        extended.load(in);
        timer.load(in);
        recompute();
        changed();
    }
}
