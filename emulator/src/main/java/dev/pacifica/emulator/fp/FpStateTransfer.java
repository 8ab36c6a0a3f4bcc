package dev.pacifica.emulator.fp;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.decode.Insn;

/**
 * FXSAVE, FXRSTOR, LDMXCSR and STMXCSR (APM Vol 2 §11.4.4). The image:
 *
 * <pre>
 *   0 FCW | 2 FSW | 4 FTW (8 bits) | 6 FOP | 8 FIP (FCS at 12) | 16 FDP (FDS at 20) | 24 MXCSR | 28 MXCSR_MASK
 *  32 ST(0) … ST(7), 16 bytes each | 160 XMM0 … XMM7 | 288 XMM8 … XMM15 (64-bit mode) | 464 left to software
 * </pre>
 *
 * The error pointers (§11.5.10): with CPUID Fn8000_0008_EBX[RstrFpErrPtrs] they are always
 * restored, and saved as zeros unless an exception is pending; without it they are neither saved
 * nor restored unless one is.
 */
final class FpStateTransfer {
    private static final int SIZE = 512;
    private static final int ALIGNMENT = 16;

    private FpStateTransfer() {}

    static void execute(Cpu cpu, Insn insn) {
        switch (insn.row.operation) {
            case FXSAVE -> {
                checkUsable(cpu);
                save(cpu, insn);
            }
            case FXRSTOR -> {
                checkUsable(cpu);
                restore(cpu, insn);
            }
            case LDMXCSR -> {
                checkSse(cpu);
                int value = FpOperands.read32(cpu, insn);
                checkMxcsr(cpu, value);
                cpu.fpu.setMxcsr(value);
            }
            default -> {
                checkSse(cpu);
                FpOperands.write32(cpu, insn, cpu.fpu.mxcsr());
            }
        }
    }

    private static void checkUsable(Cpu cpu) {
        if ((cpu.cr0 & (Cpu.CR0_EM | Cpu.CR0_TS)) != 0) {
            throw cpu.fault(GuestException.NM);
        }
    }

    private static void checkSse(Cpu cpu) {
        if ((cpu.cr0 & Cpu.CR0_EM) != 0 || (cpu.cr4 & Cpu.CR4_OSFXSR) == 0) {
            throw cpu.fault(GuestException.UD);
        }
        if ((cpu.cr0 & Cpu.CR0_TS) != 0) {
            throw cpu.fault(GuestException.NM);
        }
    }

    static void checkMxcsr(Cpu cpu, int value) {
        if ((value & ~FpuState.MXCSR_MASK) != 0) {
            throw cpu.fault(GuestException.GP, 0);
        }
    }

    /** The linear address of a whole image that can be written, aligned to a power of two. */
    static long writableArea(Cpu cpu, Insn insn, int size, int alignment) {
        checkAlignment(cpu, insn, size, alignment, true);
        return X87Control.writable(cpu, insn, size);
    }

    static long readableArea(Cpu cpu, Insn insn, int size, int alignment) {
        checkAlignment(cpu, insn, size, alignment, false);
        return X87Control.readable(cpu, insn, size);
    }

    private static void checkAlignment(Cpu cpu, Insn insn, int size, int alignment, boolean write) {
        long va = cpu.linear(insn.segment, FpOperands.effectiveAddress(cpu, insn), size, write);
        if ((va & alignment - 1) != 0) {
            throw cpu.fault(GuestException.GP, 0);
        }
    }

    /** XMM registers that the mode reaches. */
    static int xmmRegisters(Cpu cpu) {
        return cpu.mode64 ? 16 : 8;
    }

    private static void save(Cpu cpu, Insn insn) {
        long va = writableArea(cpu, insn, SIZE, ALIGNMENT);
        saveX87(cpu, va, insn.rexW);
        if ((cpu.cr4 & Cpu.CR4_OSFXSR) != 0) {
            saveMxcsr(cpu, va);
            saveXmm(cpu, va);
        }
    }

    private static void restore(Cpu cpu, Insn insn) {
        long va = readableArea(cpu, insn, SIZE, ALIGNMENT);
        boolean sse = (cpu.cr4 & Cpu.CR4_OSFXSR) != 0;
        if (sse) {
            int mxcsr = mxcsr(cpu, va);
            checkMxcsr(cpu, mxcsr);
            cpu.fpu.setMxcsr(mxcsr);
        }
        restoreX87(cpu, va, insn.rexW);
        if (sse) {
            restoreXmm(cpu, va);
        }
    }

    /** Bytes 0 to 23 and 32 to 159, with 64-bit pointers or with selectors. */
    static void saveX87(Cpu cpu, long va, boolean wide) {
        FpuState f = cpu.fpu;
        long head = f.control() | (long) f.statusWord() << 16 | (long) f.valid << 32;
        if (f.pending()) {
            put(cpu, va, 0, head | (long) f.opcode << 48);
            put(cpu, va, 8, pointer(f.instructionPointer, f.instructionSelector, wide));
            put(cpu, va, 16, pointer(f.dataPointer, f.dataSelector, wide));
        } else if (cpu.model.has(CpuFeature.XSAVEERPTR)) {
            put(cpu, va, 0, head);
            put(cpu, va, 8, 0);
            put(cpu, va, 16, 0);
        } else {
            cpu.mmu.write32(va, (int) head);
            cpu.mmu.write16(FpOperands.next(cpu, va, 4), f.valid);
        }
        for (int i = 0; i < 8; i++) {
            put(cpu, va, 32 + 16 * i, f.sig(i));
            put(cpu, va, 40 + 16 * i, f.se(i));
        }
    }

    private static long pointer(long offset, int selector, boolean wide) {
        return wide ? offset : offset & 0xFFFFFFFFL | (long) selector << 32;
    }

    static void saveMxcsr(Cpu cpu, long va) {
        put(cpu, va, 24, cpu.fpu.mxcsr() | (long) FpuState.MXCSR_MASK << 32);
    }

    static void saveXmm(Cpu cpu, long va) {
        for (int i = 0; i < 2 * xmmRegisters(cpu); i++) {
            put(cpu, va, 160 + 8 * i, cpu.fpu.xmm[i]);
        }
    }

    static void put(Cpu cpu, long va, int at, long value) {
        cpu.mmu.write64(FpOperands.next(cpu, va, at), value);
    }

    static long get(Cpu cpu, long va, int at) {
        return cpu.mmu.read64(FpOperands.next(cpu, va, at));
    }

    /** MXCSR in the image, unchecked. */
    static int mxcsr(Cpu cpu, long va) {
        return (int) get(cpu, va, 24);
    }

    static void restoreX87(Cpu cpu, long va, boolean wide) {
        FpuState f = cpu.fpu;
        long head = get(cpu, va, 0);
        f.setControl((int) head & 0xFFFF);
        f.setStatusWord((int) (head >>> 16) & 0xFFFF);
        f.valid = (int) (head >>> 32) & 0xFF;
        if (f.pending() || cpu.model.has(CpuFeature.XSAVEERPTR)) {
            f.opcode = (int) (head >>> 48) & 0x7FF;
            long ip = get(cpu, va, 8);
            long dp = get(cpu, va, 16);
            f.instructionPointer = wide ? ip : ip & 0xFFFFFFFFL;
            f.instructionSelector = wide ? 0 : (int) (ip >>> 32) & 0xFFFF;
            f.dataPointer = wide ? dp : dp & 0xFFFFFFFFL;
            f.dataSelector = wide ? 0 : (int) (dp >>> 32) & 0xFFFF;
        }
        for (int i = 0; i < 8; i++) {
            int register = f.top + i & 7;
            f.significand[register] = get(cpu, va, 32 + 16 * i);
            f.signExponent[register] = (int) get(cpu, va, 40 + 16 * i) & 0xFFFF;
        }
    }

    static void restoreXmm(Cpu cpu, long va) {
        for (int i = 0; i < 2 * xmmRegisters(cpu); i++) {
            cpu.fpu.xmm[i] = get(cpu, va, 160 + 8 * i);
        }
    }
}
