package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.fp.FpuState;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import dev.pacifica.emulator.observe.MachineObserver;
import dev.pacifica.emulator.paging.Mmu;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import dev.pacifica.emulator.svm.Svm;
import dev.pacifica.emulator.time.VirtualClock;
import java.util.List;

/**
 * The architectural state of one processor and its way to memory. Fields are public because the
 * rooms {@code execute}, {@code fp}, {@code paging} and {@code svm} are the processor; nothing
 * outside them writes here.
 *
 * <p>While an instruction executes, {@link #rip} still is its own address; whoever executes it
 * advances {@code rip} when it has completed, so that a fault restarts it by itself.
 */
public final class Cpu implements Stateful {
    public static final int RAX = 0;
    public static final int RCX = 1;
    public static final int RDX = 2;
    public static final int RBX = 3;
    public static final int RSP = 4;
    public static final int RBP = 5;
    public static final int RSI = 6;
    public static final int RDI = 7;

    /** Index into {@link #r} of a register that always is zero: no base, no index. */
    public static final int ZERO = 16;

    public static final int ES = 0;
    public static final int CS = 1;
    public static final int SS = 2;
    public static final int DS = 3;
    public static final int FS = 4;
    public static final int GS = 5;
    public static final int LDTR = 6;
    public static final int TR = 7;

    public static final int CF = 1;
    public static final int PF = 1 << 2;
    public static final int AF = 1 << 4;
    public static final int ZF = 1 << 6;
    public static final int SF = 1 << 7;
    public static final int TF = 1 << 8;
    public static final int IF = 1 << 9;
    public static final int DF = 1 << 10;
    public static final int OF = 1 << 11;
    public static final int IOPL = 3 << 12;
    public static final int NT = 1 << 14;
    public static final int RF = 1 << 16;
    public static final int VM = 1 << 17;
    public static final int AC = 1 << 18;
    public static final int VIF = 1 << 19;
    public static final int VIP = 1 << 20;
    public static final int ID = 1 << 21;
    public static final int ARITHMETIC_FLAGS = CF | PF | AF | ZF | SF | OF;

    public static final long CR0_PE = 1;
    public static final long CR0_MP = 1 << 1;
    public static final long CR0_EM = 1 << 2;
    public static final long CR0_TS = 1 << 3;
    public static final long CR0_ET = 1 << 4;
    public static final long CR0_NE = 1 << 5;
    public static final long CR0_WP = 1 << 16;
    public static final long CR0_AM = 1 << 18;
    public static final long CR0_NW = 1 << 29;
    public static final long CR0_CD = 1 << 30;
    public static final long CR0_PG = 1L << 31;

    public static final long CR4_VME = 1;
    public static final long CR4_PVI = 1 << 1;
    public static final long CR4_TSD = 1 << 2;
    public static final long CR4_DE = 1 << 3;
    public static final long CR4_PSE = 1 << 4;
    public static final long CR4_PAE = 1 << 5;
    public static final long CR4_MCE = 1 << 6;
    public static final long CR4_PGE = 1 << 7;
    public static final long CR4_PCE = 1 << 8;
    public static final long CR4_OSFXSR = 1 << 9;
    public static final long CR4_OSXMMEXCPT = 1 << 10;
    public static final long CR4_UMIP = 1 << 11;
    public static final long CR4_FSGSBASE = 1 << 16;
    public static final long CR4_PCIDE = 1 << 17;
    public static final long CR4_OSXSAVE = 1 << 18;
    public static final long CR4_SMEP = 1 << 20;
    public static final long CR4_SMAP = 1 << 21;

    public static final long EFER_SCE = 1;
    public static final long EFER_LME = 1 << 8;
    public static final long EFER_LMA = 1 << 10;
    public static final long EFER_NXE = 1 << 11;
    public static final long EFER_SVME = 1 << 12;
    public static final long EFER_LMSLE = 1 << 13;
    public static final long EFER_FFXSR = 1 << 14;
    public static final long EFER_MCOMMIT = 1 << 17;

    public static final int ATTR_S = 1 << 4;
    public static final int ATTR_P = 1 << 7;
    public static final int ATTR_L = 1 << 9;
    public static final int ATTR_DB = 1 << 10;
    public static final int ATTR_G = 1 << 11;

    /**
     * Bits of {@link #attention}: why the interpreter must return to the run loop at the next
     * instruction boundary.
     */
    public static final int ATTENTION_INTERRUPT = 1;

    /**
     * A mode, RIP stream or translation context changed: look up everything anew (VMRUN, #VMEXIT,
     * mode switch).
     */
    public static final int ATTENTION_CONTEXT = 2;

    /**
     * The run loop is to return, so that the machine looks around: it ends, or a long instruction
     * is suspended. A processor that halts only leaves {@link #RUNNING}.
     */
    public static final int ATTENTION_STOP = 4;

    /**
     * The next instruction must be executed singly, between {@link EventDelivery#beforeInstruction}
     * and {@link EventDelivery#afterInstruction}.
     */
    public static final int ATTENTION_DEBUG = 8;

    /** What the processor does now. */
    public static final int RUNNING = 0;

    /** In HLT, woken by an interrupt. */
    public static final int HALTED = 1;

    /** In MWAIT, woken by an interrupt (a monitored write counts as none seen). */
    public static final int MWAITING = 2;

    /** Shutdown after a triple fault; only a reset or INIT ends it. */
    public static final int SHUTDOWN = 3;

    /** Waiting for SIPI after INIT (application processors). */
    public static final int WAIT_FOR_SIPI = 4;

    /** Number of the processor in the machine, from 0; also its APIC id. */
    public final int id;

    public final VirtualClock clock;
    public final PhysicalMemory memory;
    public final PortBus ports;
    public final Mmu mmu;

    /** Set by the machine before the first instruction. */
    public LocalInterruptController apic;

    public final Svm svm;
    public final Msrs msrs;
    public final EventDelivery events;
    private final EffectiveMemoryType memoryTypes = new EffectiveMemoryType(this);

    /** x87, MMX and SSE registers. */
    public final FpuState fpu = new FpuState();

    /** What CPUID offers. Set by the machine before the first instruction. */
    public CpuModel model = CpuModel.DEFAULT;

    /**
     * The processors of the machine by id, this one among them. Set by the machine before the first
     * instruction. Whatever concerns them all (INVLPGB) goes through here: they take turns between
     * instructions, so that another one's state may be changed at any time.
     */
    public List<Cpu> all = List.of(this);

    /** Instructions that the machine's other processors have retired, as of this one's turn. */
    public long retiredElsewhere;

    /** The rest of this processor's turn is given up: it waits for another one. */
    public boolean yielded;

    /** The vector of a start-up IPI that came while INIT was pending, or -1. */
    public int pendingStartup = -1;

    /** The stack that gates and far calls push on. */
    final GateStack gateStack = new GateStack(this);

    /**
     * MONITOR's line: whether armed, its physical address, what was there, and whether a masked
     * interrupt ends MWAIT.
     */
    boolean monitorArmed;

    long monitorAddress;
    final byte[] monitoredLine = new byte[SystemIdle.MONITOR_LINE];
    boolean waitEndsMasked;

    /** MWAITX waits no longer than this; whether that time is over. */
    final VirtualClock.Timer waitTimer;

    boolean waitExpired;

    /** Null when nobody observes. */
    public MachineObserver observer;

    /** Null when nobody looks at the host's instructions; to be set before any code executes. */
    public InstructionWatch instructionWatch;

    /**
     * General registers 0..15; 16 stays 0, and the rest is the engine's, among it {@link
     * #FLAG_RESULT} and {@link #FLAG_AUX}.
     */
    public final long[] r = new long[32];

    public long rip;

    /**
     * Length of the instruction that executes now; whoever executes one that can fault, exit or
     * call the system code sets it first.
     */
    public int insnLength;

    /**
     * Set by each control transfer that the instruction executing now completes (a taken branch, a
     * far transfer, a system call; interrupts and exceptions are no instruction's). Looked at only
     * where instructions are executed singly.
     */
    public boolean branchTaken;

    public final int[] segSelector = new int[8];
    public final long[] segBase = new long[8];

    /** Byte-granular limits, 0 to FFFFFFFFh. */
    public final long[] segLimit = new long[8];

    /** Attributes in the VMCB's 12-bit form (Appendix B). */
    public final int[] segAttr = new int[8];

    public long gdtrBase;
    public int gdtrLimit;
    public long idtrBase;
    public int idtrLimit;

    public long cr0;
    public long cr2;
    public long cr3;
    public long cr4;
    public long efer;

    /** XFEATURE_ENABLED_MASK, {@link ExtendedControlRegisters#COMPONENTS} at most. */
    public long xcr0 = ExtendedControlRegisters.X87;

    public final long[] dr = new long[8];
    public int cpl;

    /** EFER.LMA. Derived by {@link #updateMode}. */
    public boolean longMode;

    /** Long mode with CS.L: 64-bit code. Derived. */
    public boolean mode64;

    /** CR0.PE. Derived. */
    public boolean protectedMode;

    /** RFLAGS.VM in protected mode. Derived. */
    public boolean vm86;

    /** Default code size 16, 32 or 64. Derived. */
    public int codeBits;

    /** Stack pointer width in bytes, 2, 4 or 8. Derived. */
    public int stackSize;

    /** RFLAGS but for the arithmetic flags. */
    private int systemFlags;

    /**
     * Where in {@link #r} the arithmetic flags are, lazily: the last result, sign-extended from its
     * size. ZF tells that it is zero, SF is its sign and PF the parity of its low byte, the latter
     * two corrected by {@link #FLAG_AUX}.
     */
    public static final int FLAG_RESULT = 20;

    /**
     * Where the other half of the arithmetic flags is: bit 63 is CF, bit 62 is CF xor OF (so that a
     * carry vector of the operation, shifted to the top, is all that needs to be stored), AF is set
     * if any of {@link #FLAG_AUX_AF} is, bit 0 inverts SF, bits 15:8 are xored to the low byte of
     * the result before its parity is taken. All other bits are zero.
     */
    public static final int FLAG_AUX = 21;

    /** The top two bits of the slot {@link #FLAG_AUX}. */
    public static final long FLAG_AUX_CARRIES = 0xc000_0000_0000_0000L;

    /**
     * Where AF may be in the slot {@link #FLAG_AUX}: bit 3 of an operand of 64, 32, 16 or 8 bits
     * that was shifted to the top.
     */
    public static final long FLAG_AUX_AF = 1L << 3 | 1L << 35 | 1L << 51 | 1L << 59;

    /** {@link #RUNNING}, {@link #HALTED} … */
    public int activity;

    /** Reasons to leave the interpreter at the next boundary; see ATTENTION_*. */
    public int attention;

    /**
     * Interrupt shadow of STI or MOV SS: holds for exactly the next instruction boundary
     * (§15.21.5).
     */
    public boolean interruptShadow;

    /** As {@link #interruptShadow}, but of MOV SS/POP SS, which also holds back debug traps. */
    public boolean stackShadow;

    public boolean nmiPending;

    /** Set while an NMI handler runs, until IRET. */
    public boolean nmiBlocked;

    public boolean initPending;
    public boolean smiPending;

    /** Global interrupt flag (§15.17). */
    public boolean gif = true;

    /** Running a guest: between VMRUN and #VMEXIT. */
    public boolean guestMode;

    /** System-management mode and its registers. */
    public final SystemManagement smm = new SystemManagement(this);

    /** What RDRAND and RDSEED draw from. */
    public final RandomNumbers random = new RandomNumbers();

    /** Added to the tick count to give this processor's TSC (WRMSR TSC, TSC_ADJUST). */
    public long tscOffset;

    private static final int BUS_LOCK_LINE = 64;
    private final GuestException exception = new GuestException();
    public final WorldSwitched worldSwitched = new WorldSwitched();

    public Cpu(int id, VirtualClock clock, PhysicalMemory memory, PortBus ports) {
        this.id = id;
        this.clock = clock;
        this.memory = memory;
        this.ports = ports;
        waitTimer = clock.timer("cpu" + id + ".mwaitx", this::waitExpires);
        mmu = new Mmu(this, memory);
        msrs = new Msrs(this);
        svm = new Svm(this);
        mmu.apicPage = svm;
        events = new EventDelivery(this);
        r[FLAG_RESULT] = 1;
    }

    /**
     * Recomputes what derives from CR0, EFER, CS, SS and RFLAGS.VM. To be called after any of them
     * changed.
     */
    public void updateMode() {
        deriveMode();
        mmu.contextChanged();
    }

    /** As {@link #updateMode}, for who changes the address space next. */
    public void deriveMode() {
        protectedMode = (cr0 & CR0_PE) != 0;
        longMode = (efer & EFER_LMA) != 0;
        vm86 = protectedMode && (systemFlags & VM) != 0;
        mode64 = longMode && (segAttr[CS] & ATTR_L) != 0;
        boolean big =
                protectedMode && !vm86 && (segAttr[CS] & ATTR_DB) != 0
                        || !protectedMode && (segAttr[CS] & ATTR_DB) != 0;
        codeBits = mode64 ? 64 : big && !vm86 ? 32 : 16;
        stackSize = mode64 ? 8 : (segAttr[SS] & ATTR_DB) != 0 && !vm86 ? 4 : 2;
        attention |= ATTENTION_CONTEXT;
        events.breakpointsChanged();
    }

    private void waitExpires(long now) {
        waitExpired = true;
        attention |= ATTENTION_INTERRUPT;
    }

    /** RFLAGS as software sees it, bit 1 set. */
    public long rflags() {
        return systemFlags | arithmeticFlags() | 2;
    }

    /** Sets all of RFLAGS; reserved bits are dropped. Does not check privileges. */
    public void setRflags(long value) {
        setArithmeticFlags((int) value);
        int system = (int) value & (TF | IF | DF | IOPL | NT | RF | VM | AC | VIF | VIP | ID);
        int changed = systemFlags ^ system;
        systemFlags = system;
        if ((changed & VM) != 0) {
            updateMode();
        }
        if ((changed & AC) != 0) {
            mmu.contextChanged();
        }
        if ((changed & system & IF) != 0) {
            events.interruptsEnabled();
        }
        if ((system & (TF | RF)) != 0) {
            attention |= ATTENTION_DEBUG;
        }
    }

    /** An instruction completed: instruction breakpoints count again. */
    void clearResumeFlag() {
        systemFlags &= ~RF;
    }

    /** The flags but the arithmetic ones, cheaply. */
    public int systemFlags() {
        return systemFlags;
    }

    /** Sets the arithmetic flags CF PF AF ZF SF OF; other bits are ignored. */
    public void setArithmeticFlags(int value) {
        boolean zero = (value & ZF) != 0;
        boolean carry = (value & CF) != 0;
        boolean overflow = (value & OF) != 0;
        r[FLAG_RESULT] = zero ? 0 : 1;
        r[FLAG_AUX] =
                (carry ? 1L << 63 : 0)
                        | (carry != overflow ? 1L << 62 : 0)
                        | ((value & AF) != 0 ? 1L << 3 : 0)
                        | ((value & SF) != 0 ? 1 : 0)
                        | (((value & PF) != 0) != zero ? 1 << 8 : 0);
    }

    public int arithmeticFlags() {
        return (cf() ? CF : 0)
                | (pf() ? PF : 0)
                | (af() ? AF : 0)
                | (zf() ? ZF : 0)
                | (sf() ? SF : 0)
                | (of() ? OF : 0);
    }

    public boolean cf() {
        return r[FLAG_AUX] < 0;
    }

    public boolean pf() {
        return (Integer.bitCount((int) (r[FLAG_RESULT] ^ r[FLAG_AUX] >>> 8) & 0xff) & 1) == 0;
    }

    public boolean af() {
        return (r[FLAG_AUX] & FLAG_AUX_AF) != 0;
    }

    public boolean zf() {
        return r[FLAG_RESULT] == 0;
    }

    public boolean sf() {
        return (r[FLAG_RESULT] ^ r[FLAG_AUX] << 63) < 0;
    }

    public boolean of() {
        return (r[FLAG_AUX] ^ r[FLAG_AUX] << 1) < 0;
    }

    /** SF differs from OF: the signed comparison before was "less". */
    public boolean less() {
        return (r[FLAG_RESULT] ^ r[FLAG_AUX] ^ (r[FLAG_AUX] ^ r[FLAG_AUX] << 62) << 1) < 0;
    }

    /** Changes CF alone. */
    public void setCf(boolean carry) {
        if (carry != r[FLAG_AUX] < 0) {
            r[FLAG_AUX] ^= FLAG_AUX_CARRIES;
        }
    }

    /** Changes CF and OF alone. */
    public void setCfOf(boolean carry, boolean overflow) {
        r[FLAG_AUX] =
                r[FLAG_AUX] & ~FLAG_AUX_CARRIES
                        | (carry ? 1L << 63 : 0)
                        | (carry != overflow ? 1L << 62 : 0);
    }

    /** The condition of Jcc, SETcc and CMOVcc: the low four bits of their opcodes. */
    public boolean condition(int code) {
        boolean holds =
                switch (code >> 1 & 7) {
                    case 0 -> of();
                    case 1 -> cf();
                    case 2 -> zf();
                    case 3 -> cf() || zf();
                    case 4 -> sf();
                    case 5 -> pf();
                    case 6 -> less();
                    default -> zf() || less();
                };
        return holds != ((code & 1) != 0);
    }

    /** How many processors the machine has. */
    public int processors() {
        return all.size();
    }

    /** Instructions that this processor has retired, while it is its turn. */
    public long retired() {
        return clock.retired - retiredElsewhere;
    }

    /** PAUSE: the rest of the turn goes to the others, if there is one that has something to do. */
    public void yieldTurn() {
        if (all.size() > 1 && anotherAwake()) {
            yielded = true;
            attention |= ATTENTION_STOP;
        }
    }

    /** Whether a processor other than this one has something to do. */
    public boolean anotherAwake() {
        for (int i = 0; i < all.size(); i++) {
            if (i != id && Wakefulness.awake(all.get(i))) {
                return true;
            }
        }
        return false;
    }

    /** Time stamp counter of this processor outside SVM guests: ticks plus {@link #tscOffset}. */
    public long tsc() {
        return clock.now() + tscOffset;
    }

    /** The exception, ready to throw: {@code throw cpu.fault(GuestException.GP, 0)}. */
    public GuestException fault(int vector, int errorCode) {
        exception.vector = vector;
        exception.errorCode = errorCode;
        exception.hasErrorCode = true;
        return exception;
    }

    /** An exception without error code, ready to throw. */
    public GuestException fault(int vector) {
        exception.vector = vector;
        exception.errorCode = 0;
        exception.hasErrorCode = false;
        return exception;
    }

    /** A #PF at a linear address; the error code as it would be pushed. */
    public GuestException pageFault(long va, int errorCode) {
        GuestException fault = fault(GuestException.PF, errorCode);
        fault.address = va;
        return fault;
    }

    /** Whether a guest runs whose bus locks are counted, so that each one must be seen. */
    public boolean countsBusLocks() {
        return svm.countsBusLocks();
    }

    /**
     * An atomic update is about to be executed, its faults are checked and {@link #countsBusLocks}:
     * it locks the bus across a 64-byte line and outside write-back memory (§7.3.3), which may end
     * in a #VMEXIT.
     */
    public void lockedUpdate(long linear, int size) {
        boolean splits = (linear & BUS_LOCK_LINE - 1) + size > BUS_LOCK_LINE;
        if (splits || mmu.memoryType(linear) != MemoryType.WB) {
            svm.lockBus();
        }
    }

    /**
     * A walk of the current world's tables is about to set an accessed or dirty bit in the entry at
     * a system-physical address (§15.14.5).
     *
     * @param index of the PAT, by the entry that leads to the table
     * @param nestedIndex of the host's PAT, by the nested tables
     */
    public void tableUpdate(long pa, int index, int nestedIndex) {
        if (countsBusLocks() && memoryTypes.of(pa, index, nestedIndex) != MemoryType.WB) {
            svm.lockBus();
        }
    }

    /** The same of a walk of nested tables. */
    public void nestedTableUpdate(long pa, int nestedIndex) {
        if (countsBusLocks() && memoryTypes.ofNestedTable(pa, nestedIndex) != MemoryType.WB) {
            svm.lockBus();
        }
    }

    /** The type of memory behind a translation with these indices into the PATs (§15.25.8). */
    public MemoryType memoryType(long pa, int index, int nestedIndex) {
        return memoryTypes.of(pa, index, nestedIndex);
    }

    /** Whether the address is canonical for 48-bit linear addresses. */
    public static boolean canonical(long va) {
        return va << 16 >> 16 == va;
    }

    /**
     * The linear address of {@code size} bytes at {@code offset} in a segment, with every check of
     * the mode: canonical form in 64-bit mode, limit, type and presence otherwise. Raises #GP(0)
     * or, for SS, #SS(0). The offset must already be truncated to the address size.
     */
    public long linear(int segment, long offset, int size, boolean write) {
        if (mode64) {
            long va = segment >= FS ? segBase[segment] + offset : offset;
            if (!canonical(va) || !canonical(va + size - 1)) {
                throw fault(segment == SS ? GuestException.SS : GuestException.GP, 0);
            }
            return va;
        }
        checkSegment(segment, offset & 0xffff_ffffL, size, write);
        return segBase[segment] + offset & 0xffff_ffffL;
    }

    private void checkSegment(int segment, long offset, int size, boolean write) {
        int attr = segAttr[segment];
        long limit = segLimit[segment];
        boolean bad = false;
        if (protectedMode && !vm86) {
            bad =
                    (attr & ATTR_P) == 0
                            || (attr & 8) != 0
                                    && (write
                                            || (attr & 2)
                                                    == 0) // code: never writable, readable only
                            // with R
                            || (attr & 8) == 0 && write && (attr & 2) == 0;
        }
        long last = offset + size - 1;
        if ((attr & 0xc) == 4) { // expand-down data
            bad |= offset <= limit || last > ((attr & ATTR_DB) != 0 ? 0xffff_ffffL : 0xffffL);
        } else {
            bad |= last > limit;
        }
        if (bad) {
            throw fault(segment == SS ? GuestException.SS : GuestException.GP, 0);
        }
    }

    /** Reads a byte, zero-extended, with the current privilege. */
    public int read8(int segment, long offset) {
        return mmu.read8(linear(segment, offset, 1, false));
    }

    public int read16(int segment, long offset) {
        return mmu.read16(linear(segment, offset, 2, false));
    }

    public int read32(int segment, long offset) {
        return mmu.read32(linear(segment, offset, 4, false));
    }

    public long read64(int segment, long offset) {
        return mmu.read64(linear(segment, offset, 8, false));
    }

    public void write8(int segment, long offset, int value) {
        mmu.write8(linear(segment, offset, 1, true), value);
    }

    public void write16(int segment, long offset, int value) {
        mmu.write16(linear(segment, offset, 2, true), value);
    }

    public void write32(int segment, long offset, int value) {
        mmu.write32(linear(segment, offset, 4, true), value);
    }

    public void write64(int segment, long offset, long value) {
        mmu.write64(linear(segment, offset, 8, true), value);
    }

    /** Whether a physical address is SMRAM that no device reaches (§10.2.5). */
    public boolean protectsFromDevices(long pa) {
        return mmu.hidden.isProtected(pa);
    }

    /**
     * A cheap digest of the registers that a run's identity shows in first: general registers, RIP,
     * RFLAGS, control registers.
     */
    public long digest() {
        long hash = rip * 0x9e37_79b9_7f4a_7c15L ^ rflags();
        for (int i = 0; i < 16; i++) {
            hash = Long.rotateLeft((hash ^ r[i]) * 0x9e37_79b9_7f4a_7c15L, 29);
        }
        hash = Long.rotateLeft((hash ^ cr0) * 0x9e37_79b9_7f4a_7c15L, 29);
        hash = Long.rotateLeft((hash ^ cr3) * 0x9e37_79b9_7f4a_7c15L, 29);
        return (hash ^ cr4 ^ efer) * 0x9e37_79b9_7f4a_7c15L;
    }

    /** The registers, MSRs and pending events; the FPU, the MMU and SVM save themselves. */
    @Override
    public void save(StateWriter out) {
        CpuStateFormat.save(this, out);
    }

    @Override
    public void load(StateReader in) {
        CpuStateFormat.load(this, in);
    }
}
