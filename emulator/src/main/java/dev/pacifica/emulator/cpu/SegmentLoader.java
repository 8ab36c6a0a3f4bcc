package dev.pacifica.emulator.cpu;

/**
 * Loads segment registers from selectors and descriptors with the checks of APM Vol 2 §4.7 to §4.11
 * and their error codes.
 */
final class SegmentLoader {
    /** Descriptor types of system segments and gates (§4.7.4). */
    static final int TSS16_AVAILABLE = 1;

    static final int LDT = 2;
    static final int TSS16_BUSY = 3;
    static final int CALL_GATE16 = 4;
    static final int TASK_GATE = 5;
    static final int INTERRUPT_GATE16 = 6;
    static final int TRAP_GATE16 = 7;
    static final int TSS_AVAILABLE = 9;
    static final int TSS_BUSY = 11;
    static final int CALL_GATE = 12;
    static final int INTERRUPT_GATE = 14;
    static final int TRAP_GATE = 15;

    /**
     * What {@link #address} returns for a selector outside its table; no descriptor is there (it
     * would wrap).
     */
    static final long OUTSIDE = -1;

    private SegmentLoader() {}

    static int attr(long descriptor) {
        return (int) (descriptor >>> 40 & 0xff | descriptor >>> 44 & 0xf00);
    }

    /** The segment limit in bytes. */
    static long limit(long descriptor) {
        long raw = descriptor & 0xffff | descriptor >>> 32 & 0xf_0000;
        return (descriptor & 1L << 55) != 0 ? raw << 12 | 0xfff : raw;
    }

    static long base(long descriptor) {
        return descriptor >>> 16 & 0xff_ffff | descriptor >>> 32 & 0xff00_0000L;
    }

    /** S and type, 5 bits: 10h and up is code or data. */
    static int type(long descriptor) {
        return (int) (descriptor >>> 40) & 0x1f;
    }

    static int dpl(long descriptor) {
        return (int) (descriptor >>> 45) & 3;
    }

    static boolean present(long descriptor) {
        return (descriptor & 1L << 47) != 0;
    }

    static boolean code(long descriptor) {
        return (type(descriptor) & 0x18) == 0x18;
    }

    static boolean conforming(long descriptor) {
        return (type(descriptor) & 0x1c) == 0x1c;
    }

    static boolean writableData(long descriptor) {
        return (type(descriptor) & 0x1a) == 0x12;
    }

    /** CS.L of a code descriptor. */
    static boolean longCode(long descriptor) {
        return (descriptor & 1L << 53) != 0;
    }

    /** CS.D of a code descriptor. */
    static boolean defaultBig(long descriptor) {
        return (descriptor & 1L << 54) != 0;
    }

    static boolean isNull(int selector) {
        return (selector & 0xfffc) == 0;
    }

    /**
     * The linear address of a selector's descriptor, or {@link #OUTSIDE}; {@code size} is 8, or 16
     * for system descriptors in long mode.
     */
    static long address(Cpu cpu, int selector, int size) {
        long offset = selector & 0xfff8;
        if ((selector & 4) == 0) {
            return offset + size - 1 > cpu.gdtrLimit ? OUTSIDE : wrap(cpu, cpu.gdtrBase + offset);
        }
        if ((cpu.segAttr[Cpu.LDTR] & Cpu.ATTR_P) == 0
                || offset + size - 1 > cpu.segLimit[Cpu.LDTR]) {
            return OUTSIDE;
        }
        return wrap(cpu, cpu.segBase[Cpu.LDTR] + offset);
    }

    /** A linear address in the mode's width: 32 bits outside long mode. */
    static long wrap(Cpu cpu, long va) {
        return cpu.longMode ? va : va & 0xffff_ffffL;
    }

    /**
     * Error code of a fault on a selector: index, TI and, while an external event is delivered,
     * EXT.
     */
    static int errorCode(Cpu cpu, int selector) {
        return selector & 0xfffc | cpu.events.externalBit();
    }

    /**
     * The descriptor of a selector; outside its table raises {@code vector} with the selector as
     * error code.
     */
    static long descriptor(Cpu cpu, int selector, int vector) {
        long address = address(cpu, selector, 8);
        if (address == OUTSIDE) {
            throw cpu.fault(vector, errorCode(cpu, selector));
        }
        return cpu.mmu.readSystem64(address);
    }

    /**
     * Sets the accessed bit of a code or data descriptor in its table, and returns the descriptor
     * with it.
     */
    static long markAccessed(Cpu cpu, int selector, long descriptor) {
        if ((descriptor & 1L << 40) == 0) {
            long address = address(cpu, selector, 8) + 5;
            cpu.mmu.writeSystem8(address, cpu.mmu.readSystem8(address) | 1);
        }
        return descriptor | 1L << 40;
    }

    /** Fills the hidden part of a segment register. */
    static void fill(Cpu cpu, int segment, int selector, long descriptor) {
        cpu.segSelector[segment] = selector;
        cpu.segBase[segment] = base(descriptor);
        cpu.segLimit[segment] = limit(descriptor);
        cpu.segAttr[segment] = attr(descriptor);
    }

    /** Loads a null selector: not present; the limit stays, as AMD processors leave it. */
    static void fillNull(Cpu cpu, int segment, int selector) {
        cpu.segSelector[segment] = selector;
        cpu.segBase[segment] = 0;
        cpu.segAttr[segment] = 0;
    }

    /**
     * Loads a segment register as real mode does: only base and selector change, so that a large
     * limit survives.
     */
    static void fillReal(Cpu cpu, int segment, int selector) {
        cpu.segSelector[segment] = selector;
        cpu.segBase[segment] = (long) selector << 4;
        if ((cpu.segAttr[segment] & Cpu.ATTR_P) == 0) {
            cpu.segAttr[segment] = 0x93;
        }
    }

    /** Loads a segment register as virtual-8086 mode does: 64 KiB at selector × 16, privilege 3. */
    static void fillVm86(Cpu cpu, int segment, int selector) {
        cpu.segSelector[segment] = selector;
        cpu.segBase[segment] = (long) selector << 4;
        cpu.segLimit[segment] = 0xffff;
        cpu.segAttr[segment] = segment == Cpu.CS ? 0xfb : 0xf3;
    }

    /** MOV to Sreg, POP Sreg and LxS: any register but CS, in the current mode. */
    static void load(Cpu cpu, int segment, int selector) {
        if (!cpu.protectedMode) {
            fillReal(cpu, segment, selector);
        } else if (cpu.vm86) {
            fillVm86(cpu, segment, selector);
        } else if (segment == Cpu.SS) {
            loadStack(cpu, selector);
        } else {
            loadData(cpu, segment, selector);
        }
        if (segment == Cpu.SS) {
            cpu.updateMode();
        } else {
            cpu.attention |= Cpu.ATTENTION_CONTEXT;
        }
    }

    private static void loadData(Cpu cpu, int segment, int selector) {
        if (isNull(selector)) {
            fillNull(cpu, segment, selector);
            return;
        }
        long d = checkData(cpu, selector, GuestException.GP);
        fill(cpu, segment, selector, markAccessed(cpu, selector, d));
    }

    /** Checks a non-null selector for a data segment register; raises {@code vector}, or #NP. */
    static long checkData(Cpu cpu, int selector, int vector) {
        long d = descriptor(cpu, selector, vector);
        boolean readable = (type(d) & 0x10) != 0 && (type(d) & 0x0a) != 0x08;
        boolean privileged = conforming(d) || Math.max(cpu.cpl, selector & 3) <= dpl(d);
        if (!readable || !privileged) {
            throw cpu.fault(vector, errorCode(cpu, selector));
        }
        if (!present(d)) {
            throw cpu.fault(GuestException.NP, errorCode(cpu, selector));
        }
        return d;
    }

    private static void loadStack(Cpu cpu, int selector) {
        if (isNull(selector)) {
            if (!cpu.mode64 || cpu.cpl == 3 || (selector & 3) != cpu.cpl) {
                throw cpu.fault(GuestException.GP, errorCode(cpu, 0));
            }
            fillNull(cpu, Cpu.SS, selector);
            return;
        }
        long d = checkStack(cpu, selector, cpu.cpl, GuestException.GP);
        fill(cpu, Cpu.SS, selector, markAccessed(cpu, selector, d));
    }

    /**
     * Checks a non-null stack selector for privilege {@code cpl}; raises {@code vector}, or #SS if
     * not present.
     */
    static long checkStack(Cpu cpu, int selector, int cpl, int vector) {
        long d = descriptor(cpu, selector, vector);
        if ((selector & 3) != cpl || !writableData(d) || dpl(d) != cpl) {
            throw cpu.fault(vector, errorCode(cpu, selector));
        }
        if (!present(d)) {
            throw cpu.fault(GuestException.SS, errorCode(cpu, selector));
        }
        return d;
    }

    /** LLDT, and the LDT of a new task (then {@code vector} is #TS and a fault on presence too). */
    static void loadLdt(Cpu cpu, int selector, int vector) {
        if (isNull(selector)) {
            cpu.segSelector[Cpu.LDTR] = selector;
            cpu.segAttr[Cpu.LDTR] = 0;
            return;
        }
        int size = cpu.longMode ? 16 : 8;
        long address = (selector & 4) != 0 ? OUTSIDE : address(cpu, selector, size);
        if (address == OUTSIDE) {
            throw cpu.fault(vector, errorCode(cpu, selector));
        }
        long d = cpu.mmu.readSystem64(address);
        if (type(d) != LDT) {
            throw cpu.fault(vector, errorCode(cpu, selector));
        }
        long high = cpu.longMode ? upperBase(cpu, address, selector, vector) : 0;
        if (!present(d)) {
            throw cpu.fault(
                    vector == GuestException.TS ? GuestException.TS : GuestException.NP,
                    errorCode(cpu, selector));
        }
        fill(cpu, Cpu.LDTR, selector, d);
        cpu.segBase[Cpu.LDTR] |= high;
    }

    /** LTR: loads an available TSS and marks it busy. */
    static void loadTask(Cpu cpu, int selector) {
        if (isNull(selector)) {
            throw cpu.fault(GuestException.GP, 0);
        }
        int size = cpu.longMode ? 16 : 8;
        long address = (selector & 4) != 0 ? OUTSIDE : address(cpu, selector, size);
        if (address == OUTSIDE) {
            throw cpu.fault(GuestException.GP, errorCode(cpu, selector));
        }
        long d = cpu.mmu.readSystem64(address);
        int type = type(d);
        if (type != TSS_AVAILABLE && (type != TSS16_AVAILABLE || cpu.longMode)) {
            throw cpu.fault(GuestException.GP, errorCode(cpu, selector));
        }
        if (!present(d)) {
            throw cpu.fault(GuestException.NP, errorCode(cpu, selector));
        }
        long high = cpu.longMode ? upperBase(cpu, address, selector, GuestException.GP) : 0;
        cpu.mmu.writeSystem8(address + 5, cpu.mmu.readSystem8(address + 5) | 2);
        fill(cpu, Cpu.TR, selector, d | 1L << 41);
        cpu.segBase[Cpu.TR] |= high;
    }

    /**
     * Bits 63:32 of the base in the second half of a 16-byte system descriptor, whose type must be
     * 0 and base canonical.
     */
    private static long upperBase(Cpu cpu, long address, int selector, int vector) {
        long second = cpu.mmu.readSystem64(address + 8);
        long high = second << 32;
        if ((second >>> 40 & 0x1f) != 0 || !Cpu.canonical(high)) {
            throw cpu.fault(vector, errorCode(cpu, selector));
        }
        return high;
    }

    /**
     * After a return to an outer privilege: data segments that the new CPL may not use become null
     * (§4.11.2).
     */
    static void dropInaccessible(Cpu cpu, int cpl) {
        for (int segment = Cpu.ES; segment <= Cpu.GS; segment++) {
            if (segment != Cpu.CS && segment != Cpu.SS) {
                int attr = cpu.segAttr[segment];
                boolean conforming = (attr & 0xc) == 0xc;
                if ((attr & Cpu.ATTR_P) != 0 && !conforming && (attr >> 5 & 3) < cpl) {
                    fillNull(cpu, segment, 0);
                } else if (isNull(cpu.segSelector[segment])) {
                    cpu.segSelector[segment] = 0; // a null selector loses its RPL
                }
            }
        }
    }
}
