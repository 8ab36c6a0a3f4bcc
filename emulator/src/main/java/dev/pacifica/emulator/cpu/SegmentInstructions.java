package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.Insn;

/** Segment registers, descriptor-table registers and descriptor queries (APM Vol 2 §4, Vol 3). */
final class SegmentInstructions {
    private static final int EXIT_IDTR_READ = 0x66;
    private static final int EXIT_GDTR_READ = 0x67;
    private static final int EXIT_LDTR_READ = 0x68;
    private static final int EXIT_TR_READ = 0x69;
    private static final int EXIT_IDTR_WRITE = 0x6a;
    private static final int EXIT_GDTR_WRITE = 0x6b;
    private static final int EXIT_LDTR_WRITE = 0x6c;
    private static final int EXIT_TR_WRITE = 0x6d;

    private SegmentInstructions() {}

    private static boolean exits(Cpu cpu, int code) {
        if (cpu.guestMode && cpu.svm.intercepted(code)) {
            cpu.svm.exit(code, 0, 0);
            return true;
        }
        return false;
    }

    static int moveFrom(Cpu cpu, Insn insn) {
        Operands.writeRmWord(cpu, insn, cpu.segSelector[insn.reg]);
        return SystemInstructions.NEXT;
    }

    static int moveTo(Cpu cpu, Insn insn) {
        SegmentLoader.load(cpu, insn.reg, Operands.readRm16(cpu, insn));
        if (insn.reg == Cpu.SS) {
            cpu.events.beginShadow(true);
        }
        return SystemInstructions.NEXT;
    }

    static int push(Cpu cpu, Insn insn) {
        Operands.push(cpu, insn.operandSize, cpu.segSelector[insn.row.operands.get(0).register()]);
        return SystemInstructions.NEXT;
    }

    static int pop(Cpu cpu, Insn insn) {
        int segment = insn.row.operands.get(0).register();
        int selector = (int) Operands.peek(cpu, 0, insn.operandSize) & 0xffff;
        int width = cpu.stackSize;
        SegmentLoader.load(cpu, segment, selector);
        Operands.writeRegister(cpu, Cpu.RSP, width, cpu.r[Cpu.RSP] + insn.operandSize);
        if (segment == Cpu.SS) {
            cpu.events.beginShadow(true);
        }
        return SystemInstructions.NEXT;
    }

    /** LES, LDS, LSS, LFS, LGS. */
    static int loadPointer(Cpu cpu, Insn insn, int segment) {
        long at = Operands.offset(cpu, insn);
        int size = insn.operandSize;
        long offset = Operands.read(cpu, insn.segment, at, size);
        int selector =
                cpu.read16(insn.segment, Operands.truncate(at + size, insn.addressSize)) & 0xffff;
        SegmentLoader.load(cpu, segment, selector);
        Operands.writeRegister(cpu, insn.reg, size, offset);
        return SystemInstructions.NEXT;
    }

    /** With CR4.UMIP, SGDT SIDT SLDT STR SMSW raise #GP(0) outside CPL 0. */
    static void checkUserModeInstructionPrevention(Cpu cpu) {
        if (cpu.cpl > 0 && (cpu.cr4 & Cpu.CR4_UMIP) != 0) {
            throw cpu.fault(GuestException.GP, 0);
        }
    }

    static int storeLdt(Cpu cpu, Insn insn) {
        checkUserModeInstructionPrevention(cpu);
        if (exits(cpu, EXIT_LDTR_READ)) {
            return SystemInstructions.JUMPED;
        }
        Operands.writeRmWord(cpu, insn, cpu.segSelector[Cpu.LDTR]);
        return SystemInstructions.NEXT;
    }

    static int storeTask(Cpu cpu, Insn insn) {
        checkUserModeInstructionPrevention(cpu);
        if (exits(cpu, EXIT_TR_READ)) {
            return SystemInstructions.JUMPED;
        }
        Operands.writeRmWord(cpu, insn, cpu.segSelector[Cpu.TR]);
        return SystemInstructions.NEXT;
    }

    static int loadLdt(Cpu cpu, Insn insn) {
        if (exits(cpu, EXIT_LDTR_WRITE)) {
            return SystemInstructions.JUMPED;
        }
        SegmentLoader.loadLdt(cpu, Operands.readRm16(cpu, insn), GuestException.GP);
        return SystemInstructions.NEXT;
    }

    static int loadTask(Cpu cpu, Insn insn) {
        if (exits(cpu, EXIT_TR_WRITE)) {
            return SystemInstructions.JUMPED;
        }
        SegmentLoader.loadTask(cpu, Operands.readRm16(cpu, insn));
        return SystemInstructions.NEXT;
    }

    /** SGDT and SIDT. */
    static int storeTable(Cpu cpu, Insn insn, boolean interrupts) {
        checkUserModeInstructionPrevention(cpu);
        if (exits(cpu, interrupts ? EXIT_IDTR_READ : EXIT_GDTR_READ)) {
            return SystemInstructions.JUMPED;
        }
        long at = Operands.offset(cpu, insn);
        int baseSize = cpu.mode64 ? 8 : 4;
        cpu.mmu.probeWrite(cpu.linear(insn.segment, at, 2 + baseSize, true), 2 + baseSize);
        cpu.write16(insn.segment, at, interrupts ? cpu.idtrLimit : cpu.gdtrLimit);
        long base = interrupts ? cpu.idtrBase : cpu.gdtrBase;
        Operands.write(
                cpu, insn.segment, Operands.truncate(at + 2, insn.addressSize), baseSize, base);
        return SystemInstructions.NEXT;
    }

    /** LGDT and LIDT: a 16-bit operand size loads 24 bits of base. */
    static int loadTable(Cpu cpu, Insn insn, boolean interrupts) {
        if (exits(cpu, interrupts ? EXIT_IDTR_WRITE : EXIT_GDTR_WRITE)) {
            return SystemInstructions.JUMPED;
        }
        long at = Operands.offset(cpu, insn);
        int limit = cpu.read16(insn.segment, at) & 0xffff;
        int baseSize = cpu.mode64 ? 8 : 4;
        long base =
                Operands.read(
                        cpu, insn.segment, Operands.truncate(at + 2, insn.addressSize), baseSize);
        if (insn.operandSize == 2) {
            base &= 0xff_ffff;
        }
        if (!Cpu.canonical(base)) {
            throw cpu.fault(GuestException.GP, 0);
        }
        if (interrupts) {
            cpu.idtrBase = base;
            cpu.idtrLimit = limit;
        } else {
            cpu.gdtrBase = base;
            cpu.gdtrLimit = limit;
        }
        return SystemInstructions.NEXT;
    }

    /** What LAR, LSL, VERR and VERW look at. */
    private static final long NONE = 0;

    /**
     * The descriptor of a selector, or {@link #NONE} (type 0) if null, outside its table, or a
     * system type that {@code lar} or LSL excludes.
     */
    private static long query(Cpu cpu, int selector) {
        if (SegmentLoader.isNull(selector)) {
            return NONE;
        }
        long address = SegmentLoader.address(cpu, selector, 8);
        return address == SegmentLoader.OUTSIDE ? NONE : cpu.mmu.readSystem64(address);
    }

    private static boolean visible(Cpu cpu, int selector, long d) {
        return SegmentLoader.conforming(d)
                || SegmentLoader.dpl(d) >= Math.max(cpu.cpl, selector & 3);
    }

    private static boolean queryable(Cpu cpu, long d, boolean limit) {
        int type = SegmentLoader.type(d);
        if (type >= 0x10) {
            return true;
        }
        return switch (type) {
            case SegmentLoader.LDT, SegmentLoader.TSS_AVAILABLE, SegmentLoader.TSS_BUSY -> true;
            case SegmentLoader.TSS16_AVAILABLE, SegmentLoader.TSS16_BUSY -> !cpu.longMode;
            case SegmentLoader.CALL_GATE -> !limit;
            case SegmentLoader.CALL_GATE16, SegmentLoader.TASK_GATE -> !limit && !cpu.longMode;
            default -> false;
        };
    }

    static int accessRights(Cpu cpu, Insn insn, boolean limit) {
        int selector = Operands.readRm16(cpu, insn);
        long d = query(cpu, selector);
        boolean good = queryable(cpu, d, limit) && visible(cpu, selector, d);
        if (good) {
            long value = limit ? SegmentLoader.limit(d) : d >>> 32 & 0x00ff_ff00L;
            Operands.writeRegister(cpu, insn.reg, insn.operandSize, value);
        }
        Operands.setZf(cpu, good);
        return SystemInstructions.NEXT;
    }

    static int verify(Cpu cpu, Insn insn, boolean write) {
        int selector = Operands.readRm16(cpu, insn);
        long d = query(cpu, selector);
        boolean kind =
                write
                        ? SegmentLoader.writableData(d)
                        : (SegmentLoader.type(d) & 0x10) != 0
                                && (SegmentLoader.type(d) & 0x0a) != 8;
        Operands.setZf(cpu, kind && visible(cpu, selector, d));
        return SystemInstructions.NEXT;
    }

    static int adjustRpl(Cpu cpu, Insn insn) {
        int source = (int) cpu.r[insn.reg] & 3;
        if (insn.memory) {
            long at = Operands.offset(cpu, insn);
            int selector = cpu.read16(insn.segment, at) & 0xffff; // written only if it changes
            boolean raise = (selector & 3) < source;
            if (raise) {
                cpu.write16(insn.segment, at, selector & ~3 | source);
            }
            Operands.setZf(cpu, raise);
        } else {
            int selector = (int) cpu.r[insn.rm] & 0xffff;
            boolean raise = (selector & 3) < source;
            if (raise) {
                Operands.writeRegister(cpu, insn.rm, 2, selector & ~3 | source);
            }
            Operands.setZf(cpu, raise);
        }
        return SystemInstructions.NEXT;
    }

    static int swapGs(Cpu cpu) {
        long base = cpu.segBase[Cpu.GS];
        cpu.segBase[Cpu.GS] = cpu.msrs.kernelGsBase;
        cpu.msrs.kernelGsBase = base;
        cpu.attention |= Cpu.ATTENTION_CONTEXT;
        return SystemInstructions.NEXT;
    }

    /** RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE. */
    static int base(Cpu cpu, Insn insn, int segment, boolean write) {
        if ((cpu.cr4 & Cpu.CR4_FSGSBASE) == 0) {
            throw cpu.fault(GuestException.UD);
        }
        if (write) {
            long value = Operands.truncate(cpu.r[insn.rm], insn.operandSize);
            if (!Cpu.canonical(value)) {
                throw cpu.fault(GuestException.GP, 0);
            }
            cpu.segBase[segment] = value;
            cpu.attention |= Cpu.ATTENTION_CONTEXT;
        } else {
            Operands.writeRegister(cpu, insn.rm, insn.operandSize, cpu.segBase[segment]);
        }
        return SystemInstructions.NEXT;
    }
}
