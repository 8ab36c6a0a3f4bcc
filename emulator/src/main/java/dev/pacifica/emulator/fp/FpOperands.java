package dev.pacifica.emulator.fp;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.decode.Insn;

/** Finds, reads and writes the memory and register operands of x87, MMX and SSE instructions. */
final class FpOperands {
    private FpOperands() {}

    /** The memory operand's offset in its segment, truncated to the address size. */
    static long effectiveAddress(Cpu cpu, Insn insn) {
        long base = insn.base == Insn.RIP ? cpu.rip + insn.length : cpu.r[insn.base];
        long offset = base + (cpu.r[insn.index] << insn.scale) + insn.disp;
        return truncate(offset, insn.addressSize);
    }

    static long truncate(long offset, int addressSize) {
        return addressSize == 8
                ? offset
                : addressSize == 4 ? offset & 0xFFFFFFFFL : offset & 0xFFFF;
    }

    static int read16(Cpu cpu, Insn insn) {
        return cpu.read16(insn.segment, effectiveAddress(cpu, insn));
    }

    static int read32(Cpu cpu, Insn insn) {
        return cpu.read32(insn.segment, effectiveAddress(cpu, insn));
    }

    static long read64(Cpu cpu, Insn insn) {
        return cpu.read64(insn.segment, effectiveAddress(cpu, insn));
    }

    static void write16(Cpu cpu, Insn insn, int value) {
        cpu.write16(insn.segment, effectiveAddress(cpu, insn), value);
    }

    static void write32(Cpu cpu, Insn insn, int value) {
        cpu.write32(insn.segment, effectiveAddress(cpu, insn), value);
    }

    static void write64(Cpu cpu, Insn insn, long value) {
        cpu.write64(insn.segment, effectiveAddress(cpu, insn), value);
    }

    /**
     * Reads an XMM operand's 16 bytes into the source scratch; misaligned memory raises #GP unless
     * MXCSR.MM allows it.
     */
    static void read128(Cpu cpu, Insn insn) {
        if (insn.memory) {
            read128(cpu, insn, (cpu.fpu.mxcsr() & FpuState.MXCSR_MM) == 0);
        } else {
            cpu.fpu.sourceLow = cpu.fpu.xmm[2 * insn.rm];
            cpu.fpu.sourceHigh = cpu.fpu.xmm[2 * insn.rm + 1];
        }
    }

    /** Reads 16 bytes from memory into the source scratch. */
    static void read128(Cpu cpu, Insn insn, boolean aligned) {
        long offset = effectiveAddress(cpu, insn);
        checkAlignment(cpu, insn.segment, offset, aligned);
        long va = cpu.linear(insn.segment, offset, 16, false);
        long low = cpu.mmu.read64(va);
        cpu.fpu.sourceHigh = cpu.mmu.read64(next(cpu, va, 8));
        cpu.fpu.sourceLow = low;
    }

    static void write128(Cpu cpu, Insn insn, long low, long high, boolean aligned) {
        long offset = effectiveAddress(cpu, insn);
        checkAlignment(cpu, insn.segment, offset, aligned);
        long va = cpu.linear(insn.segment, offset, 16, true);
        if ((va & 15) != 0) {
            cpu.mmu.probeWrite(va, 16);
        }
        cpu.mmu.write64(va, low);
        cpu.mmu.write64(next(cpu, va, 8), high);
    }

    /** Comes before the check for a canonical address. */
    private static void checkAlignment(Cpu cpu, int segment, long offset, boolean aligned) {
        if (aligned) {
            long va = cpu.mode64 && segment < Cpu.FS ? offset : cpu.segBase[segment] + offset;
            if ((va & 15) != 0) {
                throw cpu.fault(GuestException.GP, 0);
            }
        }
    }

    /** The linear address {@code distance} bytes on; it wraps at 4 GiB outside 64-bit mode. */
    static long next(Cpu cpu, long va, int distance) {
        return cpu.mode64 ? va + distance : va + distance & 0xFFFFFFFFL;
    }

    /**
     * The XMM source of a scalar or partial-width operand: {@code size} (2, 4, 8) bytes,
     * zero-extended, from memory or the register's low end.
     */
    static long readScalar(Cpu cpu, Insn insn, int size) {
        if (!insn.memory) {
            long low = cpu.fpu.xmm[2 * insn.rm];
            return size == 8 ? low : low & (1L << 8 * size) - 1;
        }
        long offset = effectiveAddress(cpu, insn);
        return switch (size) {
            case 2 -> cpu.read16(insn.segment, offset);
            case 4 -> cpu.read32(insn.segment, offset) & 0xFFFFFFFFL;
            default -> cpu.read64(insn.segment, offset);
        };
    }

    /** The MMX source operand by ModRM.rm. */
    static long readMmx(Cpu cpu, Insn insn) {
        return insn.memory ? read64(cpu, insn) : cpu.fpu.significand[insn.rm & 7];
    }

    /** The general-register source operand by ModRM.rm, 4 or 8 bytes, zero-extended. */
    static long readGeneral(Cpu cpu, Insn insn, boolean wide) {
        if (insn.memory) {
            return wide ? read64(cpu, insn) : read32(cpu, insn) & 0xFFFFFFFFL;
        }
        return wide ? cpu.r[insn.rm] : cpu.r[insn.rm] & 0xFFFFFFFFL;
    }

    static void setXmm(FpuState f, int register, long low, long high) {
        f.xmm[2 * register] = low;
        f.xmm[2 * register + 1] = high;
    }

    /** Replaces the low 32 bits of an XMM register. */
    static void setLowSingle(FpuState f, int register, long bits) {
        f.xmm[2 * register] = f.xmm[2 * register] & 0xFFFFFFFF00000000L | bits & 0xFFFFFFFFL;
    }
}
