package dev.pacifica.emulator.fp;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import java.util.Arrays;

/**
 * The x87, MMX and SSE registers of one processor (APM Vol 1 §§4.2, 5.4, 6.2).
 *
 * <pre>
 * status word:  15 B | 14 C3 | 13-11 TOP | 10 C2 | 9 C1 | 8 C0 | 7 ES | 6 SF | 5 PE | 4 UE | 3 OE | 2 ZE | 1 DE | 0 IE
 * control word: 11-10 RC | 9-8 PC | 6 set | 5-0 masks
 * </pre>
 */
public final class FpuState implements Stateful {
    public static final int C0 = 0x0100, C1 = 0x0200, C2 = 0x0400, C3 = 0x4000;
    public static final int SF = 0x40, ES = 0x80, BUSY = 0x8000;

    /** Writable MXCSR bits: those of SSE2 with DAZ, and MM (misaligned exception mask). */
    public static final int MXCSR_MASK = 0x2FFFF;

    public static final int MXCSR_DAZ = 0x40, MXCSR_FZ = 0x8000, MXCSR_MM = 0x20000;

    /** MXCSR after reset. */
    static final int INITIAL_MXCSR = 0x1F80;

    private static final int INITIAL_CONTROL = 0x37F;
    private static final int CONTROL_WRITABLE = 0x1F3F;

    /** Significands of the physical registers R0 to R7; also MM0 to MM7. */
    public final long[] significand = new long[8];

    /** Sign and exponent of R0 to R7, 16 bits. */
    public final int[] signExponent = new int[8];

    /** Bit i: physical register Ri is not empty. */
    public int valid;

    /** Physical number of ST(0). */
    public int top;

    /** Status word without TOP. */
    int status;

    private int control;

    /**
     * Address of the last non-control x87 instruction, its selector, its operand's address and
     * selector, its 11-bit opcode.
     */
    public long instructionPointer;

    public int instructionSelector;
    public long dataPointer;
    public int dataSelector;
    public int opcode;

    /** XMM0 to XMM15: low quadword at 2n, high quadword at 2n + 1. */
    public final long[] xmm = new long[32];

    private int mxcsr;

    /** Scratch of the operation being executed; no architectural state. */
    final FloatContext x87 = new FloatContext();

    final FloatContext sse = new FloatContext();

    /** The operand fetched from a register or memory: low and high quadword. */
    long sourceLow;

    long sourceHigh;

    private Runnable errorLine = () -> {};

    /** IGNNE as the chipset drives it: it lets go of the line when the error is gone. */
    private boolean errorIgnored;

    public FpuState() {
        reset();
    }

    /**
     * Sets what happens when the processor reports an x87 exception by its FERR line (IRQ 13 of a
     * PC), which it does with CR0.NE clear.
     */
    public void setErrorLine(Runnable line) {
        errorLine = line;
    }

    /** The chipset asserts IGNNE until no exception is pending any more. */
    public void ignoreError() {
        errorIgnored = pending();
    }

    /** IGNNE as the chipset drives it. */
    public boolean errorIgnored() {
        return errorIgnored;
    }

    void raiseErrorLine() {
        errorLine.run();
    }

    /** Power-on state. */
    public void reset() {
        Arrays.fill(significand, 0);
        Arrays.fill(signExponent, 0);
        Arrays.fill(xmm, 0);
        initialise();
        setControl(0x40);
        valid = 0xFF;
        setMxcsr(INITIAL_MXCSR);
    }

    /** FNINIT. */
    public void initialise() {
        setControl(INITIAL_CONTROL);
        status = 0;
        errorIgnored = false;
        top = 0;
        valid = 0;
        instructionPointer = 0;
        instructionSelector = 0;
        dataPointer = 0;
        dataSelector = 0;
        opcode = 0;
    }

    /** XRSTOR's initial x87 state: as after FNINIT, and with zeros in the registers. */
    void initialiseWithRegisters() {
        initialise();
        Arrays.fill(significand, 0);
        Arrays.fill(signExponent, 0);
    }

    /**
     * XINUSE: which components differ from the initial state of Table 11-7 in Vol 2; bit 0 x87, bit
     * 1 the XMM registers that the mode reaches. MXCSR has no part in it.
     */
    public long componentsInUse(boolean mode64) {
        return (x87InUse() ? 1 : 0) | (xmmInUse(mode64 ? 32 : 16) ? 2 : 0);
    }

    private boolean x87InUse() {
        boolean inUse =
                control != INITIAL_CONTROL
                        || statusWord() != 0
                        || valid != 0
                        || (instructionPointer | dataPointer) != 0
                        || (instructionSelector | dataSelector | opcode) != 0;
        for (int i = 0; i < 8 && !inUse; i++) {
            inUse = significand[i] != 0 || signExponent[i] != 0;
        }
        return inUse;
    }

    private boolean xmmInUse(int words) {
        for (int i = 0; i < words; i++) {
            if (xmm[i] != 0) {
                return true;
            }
        }
        return false;
    }

    public int control() {
        return control;
    }

    /** Sets the control word; an exception flag that loses its mask becomes pending. */
    public void setControl(int value) {
        control = value & CONTROL_WRITABLE | 0x40;
        x87.masks = control & 0x3F;
        x87.rounding = control >> 10 & 3;
        x87.precision =
                switch (control >> 8 & 3) {
                    case 0 -> 24;
                    case 2 -> 53;
                    default -> 64;
                };
        summarise();
    }

    /** The status word as software sees it. */
    public int statusWord() {
        return status | top << 11;
    }

    public void setStatusWord(int value) {
        status = value & 0x477F;
        top = value >> 11 & 7;
        summarise();
    }

    private void summarise() {
        boolean pending = (status & ~control & 0x3F) != 0;
        status = status & ~(ES | BUSY) | (pending ? ES | BUSY : 0);
        errorIgnored &= pending;
    }

    /** Whether an unmasked x87 exception waits for the next waiting instruction. */
    public boolean pending() {
        return (status & ES) != 0;
    }

    void clearExceptions() {
        status &= 0x4700;
        errorIgnored = false;
    }

    /** Sets exception flags (and SF); may make an exception pending. */
    void raise(int flags) {
        status |= flags;
        summarise();
    }

    void setConditions(int bits) {
        status = status & ~(C0 | C1 | C2 | C3) | bits;
    }

    void setC1(boolean set) {
        status = set ? status | C1 : status & ~C1;
    }

    /** Starts an x87 operation in the reused context. */
    FloatContext begin() {
        x87.begin();
        return x87;
    }

    /**
     * Ends an x87 operation: moves its flags and C1 into the status word. Returns whether its
     * result may be written, which an unmasked exception found before computation forbids.
     */
    boolean complete() {
        int flags = x87.flags;
        boolean proceeds = (flags & ~control & FloatContext.PRE_COMPUTATION) == 0;
        if (!proceeds) {
            flags &= FloatContext.PRE_COMPUTATION;
        }
        setC1(proceeds && x87.roundedUp);
        if (flags != 0) {
            raise(flags);
        }
        return proceeds;
    }

    /** Signals reading an empty register; returns whether the masked response is to be given. */
    boolean stackUnderflow() {
        setC1(false);
        raise(FloatContext.IE | SF);
        return (control & FloatContext.IE) != 0;
    }

    /** Signals pushing onto a full stack; returns whether the masked response is to be given. */
    boolean stackOverflow() {
        setC1(true);
        raise(FloatContext.IE | SF);
        return (control & FloatContext.IE) != 0;
    }

    boolean isEmpty(int i) {
        return (valid >> (top + i & 7) & 1) == 0;
    }

    long sig(int i) {
        return significand[top + i & 7];
    }

    int se(int i) {
        return signExponent[top + i & 7];
    }

    void set(int i, long sig, int se) {
        int register = top + i & 7;
        significand[register] = sig;
        signExponent[register] = se;
        valid |= 1 << register;
    }

    void free(int i) {
        valid &= ~(1 << (top + i & 7));
    }

    void push(long sig, int se) {
        top = top - 1 & 7;
        set(0, sig, se);
    }

    void pop() {
        free(0);
        top = top + 1 & 7;
    }

    /** The full tag word: two bits a physical register: 0 valid, 1 zero, 2 special, 3 empty. */
    public int tagWord() {
        int word = 0;
        for (int i = 7; i >= 0; i--) {
            word = word << 2 | tag(i);
        }
        return word;
    }

    private int tag(int register) {
        if ((valid >> register & 1) == 0) {
            return 3;
        }
        int exponent = signExponent[register] & 0x7FFF;
        if (exponent == 0 && significand[register] == 0) {
            return 1;
        }
        return exponent == 0 || exponent == 0x7FFF || significand[register] >= 0 ? 2 : 0;
    }

    public void setTagWord(int word) {
        valid = 0;
        for (int i = 0; i < 8; i++) {
            valid |= (word >> 2 * i & 3) != 3 ? 1 << i : 0;
        }
    }

    public int mxcsr() {
        return mxcsr;
    }

    /** Sets MXCSR; the caller has refused reserved bits. */
    public void setMxcsr(int value) {
        mxcsr = value & MXCSR_MASK;
        sse.masks = mxcsr >> 7 & 0x3F;
        sse.rounding = mxcsr >> 13 & 3;
        sse.denormalsAreZero = (mxcsr & MXCSR_DAZ) != 0;
        sse.flushToZero = (mxcsr & MXCSR_FZ) != 0;
    }

    /**
     * Starts an SSE operation; a precision flag that is set and masked already need not be computed
     * again.
     */
    FloatContext beginSse() {
        sse.flags = mxcsr & mxcsr >> 7 & FloatContext.PE;
        return sse;
    }

    /**
     * Ends an SSE operation. Returns false if an unmasked exception forbids its result; the flags
     * are recorded in either case.
     */
    boolean completeSse() {
        int flags = sse.flags;
        int unmasked = flags & ~sse.masks;
        if ((unmasked & FloatContext.PRE_COMPUTATION) != 0) {
            flags &= FloatContext.PRE_COMPUTATION;
        }
        mxcsr |= flags;
        return unmasked == 0;
    }

    /** What each MMX instruction but EMMS does to the x87 state. */
    void enterMmx() {
        top = 0;
        valid = 0xFF;
    }

    void setMmx(int register, long value) {
        significand[register] = value;
        signExponent[register] = 0xFFFF;
    }

    @Override
    public void save(StateWriter out) {
        out.longs("fpu.significand", significand);
        for (int i = 0; i < 8; i++) {
            out.u16("fpu.signExponent" + i, signExponent[i]);
        }
        out.u8("fpu.valid", valid);
        out.u16("fpu.control", control);
        out.u16("fpu.status", statusWord());
        out.flag("fpu.errorIgnored", errorIgnored);
        out.u64("fpu.instructionPointer", instructionPointer);
        out.u16("fpu.instructionSelector", instructionSelector);
        out.u64("fpu.dataPointer", dataPointer);
        out.u16("fpu.dataSelector", dataSelector);
        out.u16("fpu.opcode", opcode);
        out.longs("fpu.xmm", xmm);
        out.u32("fpu.mxcsr", mxcsr);
    }

    @Override
    public void load(StateReader in) {
        in.longs("fpu.significand", significand);
        for (int i = 0; i < 8; i++) {
            signExponent[i] = in.u16("fpu.signExponent" + i);
        }
        valid = in.u8("fpu.valid");
        setControl(in.u16("fpu.control"));
        setStatusWord(in.u16("fpu.status"));
        errorIgnored = in.flag("fpu.errorIgnored");
        instructionPointer = in.u64("fpu.instructionPointer");
        instructionSelector = in.u16("fpu.instructionSelector");
        dataPointer = in.u64("fpu.dataPointer");
        dataSelector = in.u16("fpu.dataSelector");
        opcode = in.u16("fpu.opcode");
        in.longs("fpu.xmm", xmm);
        setMxcsr(in.u32("fpu.mxcsr"));
    }
}
