package dev.pacifica.emulator.cpu;

/**
 * A stack that a gate or far call pushes on before anything of the processor's state changes, so
 * that a fault on the way leaves the instruction restartable. Reused; {@link #commit} makes it the
 * processor's.
 */
final class GateStack {
    private final Cpu cpu;

    /** SS selector, hidden part as in {@link Cpu}. */
    private int selector;

    private long base;
    private long limit;
    private int attr;

    /** Width of the stack pointer in bytes; 8 means flat. */
    private int width;

    private boolean user;
    private boolean switched;
    private long rsp;

    GateStack(Cpu cpu) {
        this.cpu = cpu;
    }

    /** The current stack. */
    void useCurrent() {
        base = cpu.segBase[Cpu.SS];
        limit = cpu.segLimit[Cpu.SS];
        attr = cpu.segAttr[Cpu.SS];
        width = cpu.stackSize;
        user = cpu.cpl == 3;
        switched = false;
        rsp = cpu.r[Cpu.RSP];
    }

    /** A stack of a protected-mode segment at an inner privilege. */
    void useSegment(int newSelector, long descriptor, int cpl, long newRsp) {
        selector = newSelector;
        base = SegmentLoader.base(descriptor);
        limit = SegmentLoader.limit(descriptor);
        attr = SegmentLoader.attr(descriptor);
        width = (attr & Cpu.ATTR_DB) != 0 ? 4 : 2;
        user = cpl == 3;
        switched = true;
        rsp = newRsp;
    }

    /**
     * A flat 64-bit stack; {@code toCpl} is -1 when SS stays, otherwise SS becomes null with that
     * RPL.
     */
    void useFlat(long newRsp, int toCpl) {
        width = 8;
        user = (toCpl < 0 ? cpu.cpl : toCpl) == 3;
        switched = toCpl >= 0;
        selector = toCpl;
        base = 0;
        attr = 0;
        limit = cpu.segLimit[Cpu.SS];
        rsp = newRsp;
    }

    /** Pushes {@code size} bytes; #SS when outside the segment or not canonical. */
    void push(int size, long value) {
        long top = Operands.truncate(rsp - size, width);
        long va;
        if (width == 8) {
            if (!Cpu.canonical(top) || !Cpu.canonical(top + size - 1)) {
                throw fault();
            }
            va = top;
        } else {
            long last = top + size - 1;
            boolean outside =
                    (attr & 0xc) == 4
                            ? top <= limit
                                    || last > ((attr & Cpu.ATTR_DB) != 0 ? 0xffff_ffffL : 0xffffL)
                            : last > limit;
            if (outside) {
                throw fault();
            }
            va = SegmentLoader.wrap(cpu, base + top);
        }
        cpu.mmu.writeAs(user, va, size, value);
        rsp = width == 2 ? rsp & ~0xffffL | top : top;
    }

    private GuestException fault() {
        return cpu.fault(
                GuestException.SS,
                SegmentLoader.errorCode(cpu, switched && width != 8 ? selector : 0));
    }

    /**
     * Loads SS (if the stack was switched) and RSP. The caller changes CPL and calls {@link
     * Cpu#updateMode}.
     */
    void commit() {
        if (switched) {
            cpu.segSelector[Cpu.SS] = selector;
            cpu.segBase[Cpu.SS] = base;
            cpu.segLimit[Cpu.SS] = limit;
            cpu.segAttr[Cpu.SS] = attr;
        }
        cpu.r[Cpu.RSP] = rsp;
    }
}
