package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.Insn;

/**
 * Operand access for system instructions: effective addresses, registers by width, memory by width.
 * Cold code.
 */
final class Operands {
    private Operands() {}

    /** The offset of the memory operand within its segment, truncated to the address size. */
    static long offset(Cpu cpu, Insn insn) {
        long base = insn.base == Insn.RIP ? cpu.rip + insn.length : cpu.r[insn.base];
        long offset = base + (cpu.r[insn.index] << insn.scale) + insn.disp;
        return truncate(offset, insn.addressSize);
    }

    /** The low {@code size} bytes (1, 2, 4, 8), zero-extended. */
    static long truncate(long value, int size) {
        return size == 8 ? value : value & (1L << 8 * size) - 1;
    }

    static long read(Cpu cpu, int segment, long offset, int size) {
        return switch (size) {
            case 1 -> cpu.read8(segment, offset) & 0xff;
            case 2 -> cpu.read16(segment, offset) & 0xffff;
            case 4 -> cpu.read32(segment, offset) & 0xffff_ffffL;
            default -> cpu.read64(segment, offset);
        };
    }

    static void write(Cpu cpu, int segment, long offset, int size, long value) {
        switch (size) {
            case 1 -> cpu.write8(segment, offset, (int) value);
            case 2 -> cpu.write16(segment, offset, (int) value);
            case 4 -> cpu.write32(segment, offset, (int) value);
            default -> cpu.write64(segment, offset, value);
        }
    }

    /** A 16-bit r/m source: a selector or machine status word. */
    static int readRm16(Cpu cpu, Insn insn) {
        return insn.memory
                ? cpu.read16(insn.segment, offset(cpu, insn)) & 0xffff
                : (int) cpu.r[insn.rm] & 0xffff;
    }

    /** Writes a general register: 4 bytes zero-extend, 2 bytes (and low 1) merge. */
    static void writeRegister(Cpu cpu, int register, int size, long value) {
        switch (size) {
            case 1 -> cpu.r[register] = cpu.r[register] & ~0xffL | value & 0xff;
            case 2 -> cpu.r[register] = cpu.r[register] & ~0xffffL | value & 0xffff;
            case 4 -> cpu.r[register] = value & 0xffff_ffffL;
            default -> cpu.r[register] = value;
        }
    }

    /**
     * A destination that is a word in memory but a whole register (SLDT, STR, SMSW, MOV from Sreg).
     */
    static void writeRmWord(Cpu cpu, Insn insn, long value) {
        if (insn.memory) {
            cpu.write16(insn.segment, offset(cpu, insn), (int) value);
        } else {
            writeRegister(cpu, insn.rm, insn.operandSize, value);
        }
    }

    /** EDX:EAX of a 64-bit value, both registers zero-extended. */
    static void writeEdxEax(Cpu cpu, long value) {
        cpu.r[Cpu.RAX] = value & 0xffff_ffffL;
        cpu.r[Cpu.RDX] = value >>> 32;
    }

    static long readEdxEax(Cpu cpu) {
        return cpu.r[Cpu.RDX] << 32 | cpu.r[Cpu.RAX] & 0xffff_ffffL;
    }

    static void setZf(Cpu cpu, boolean set) {
        int flags = cpu.arithmeticFlags() & ~Cpu.ZF;
        cpu.setArithmeticFlags(set ? flags | Cpu.ZF : flags);
    }

    /**
     * Pushes one value of {@code size} bytes on the current stack; RSP changes only if the write
     * succeeds.
     */
    static void push(Cpu cpu, int size, long value) {
        long rsp = cpu.r[Cpu.RSP];
        long top = truncate(rsp - size, cpu.stackSize);
        write(cpu, Cpu.SS, top, size, value);
        writeRegister(cpu, Cpu.RSP, cpu.stackSize, top);
    }

    /** Reads {@code size} bytes at a distance above the top of the current stack. */
    static long peek(Cpu cpu, long distance, int size) {
        return read(cpu, Cpu.SS, truncate(cpu.r[Cpu.RSP] + distance, cpu.stackSize), size);
    }

    /** Moves the current stack's pointer up. */
    static void release(Cpu cpu, long bytes) {
        writeRegister(cpu, Cpu.RSP, cpu.stackSize, cpu.r[Cpu.RSP] + bytes);
    }
}
