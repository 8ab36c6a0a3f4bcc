package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.InstructionRow;
import dev.pacifica.emulator.decode.InstructionTable;
import dev.pacifica.emulator.decode.Operand;
import dev.pacifica.emulator.decode.Operation;
import java.util.List;

/**
 * Where the operands of a decoded instruction are, and how to read and write them: registers of
 * each width, memory with segmentation, immediates. Used by every instruction family.
 */
public final class Operands {
    /**
     * Operand kinds: ModRM.rm (register or memory), ModRM.reg, a fixed register, an immediate, the
     * constant 1.
     */
    static final int NONE = 0;

    static final int RM = 1;
    static final int REG = 2;
    static final int FIXED = 3;
    static final int IMM = 4;
    static final int ONE = 5;

    /** A byte per operand: the kind in bits 2:0, a fixed register in bits 7:4. */
    private static final byte[] FORMS = forms();

    private static final int SLOTS = 4;

    private Operands() {}

    private static byte[] forms() {
        List<InstructionRow> rows = InstructionTable.rows();
        byte[] forms = new byte[rows.size() * SLOTS];
        for (InstructionRow row : rows) {
            for (int i = 0; i < row.operands.size() && i < SLOTS; i++) {
                Operand operand = row.operands.get(i);
                int form =
                        switch (operand.kind()) {
                            case GPR_OR_MEMORY, MEMORY, GPR_RM, GPR_OPCODE, OFFSET -> RM;
                            case GPR -> REG;
                            case REGISTER -> FIXED | operand.register() << 4;
                            case IMMEDIATE -> IMM;
                            case ONE -> ONE;
                            default -> NONE;
                        };
                forms[row.id * SLOTS + i] = (byte) form;
            }
        }
        return forms;
    }

    /** Kind of the operand {@code slot} (0..2); a fixed register's number is in bits 7:4. */
    static int form(Insn insn, int slot) {
        return FORMS[insn.row.id * SLOTS + slot];
    }

    /** Whether the operand is memory. */
    static boolean isMemory(Insn insn, int slot) {
        return (form(insn, slot) & 7) == RM && insn.memory;
    }

    /**
     * The operand's {@code size} (1, 2, 4, 8) bytes, zero-extended; a memory operand may fault.
     * Immediates come sign-extended.
     */
    static long read(Cpu cpu, Insn insn, int slot, int size) {
        int form = form(insn, slot);
        switch (form & 7) {
            case RM:
                return insn.memory
                        ? load(cpu, address(cpu, insn, size, false), size)
                        : register(cpu, insn, insn.rm, size);
            case REG:
                return register(cpu, insn, insn.reg, size);
            case FIXED:
                return register(cpu, insn, form >> 4, size);
            case IMM:
                return insn.imm;
            default:
                return 1;
        }
    }

    /** Writes a register or memory operand; 32-bit results clear the upper half. */
    static void write(Cpu cpu, Insn insn, int slot, int size, long value) {
        int form = form(insn, slot);
        switch (form & 7) {
            case RM -> {
                if (insn.memory) {
                    store(cpu, address(cpu, insn, size, true), size, value);
                } else {
                    setRegister(cpu, insn, insn.rm, size, value);
                }
            }
            case REG -> setRegister(cpu, insn, insn.reg, size, value);
            default -> setRegister(cpu, insn, form >> 4, size, value);
        }
    }

    /**
     * The low {@code size} bytes of a general register as the instruction names it (byte registers
     * by REX), zero-extended.
     */
    static long register(Cpu cpu, Insn insn, int number, int size) {
        long[] r = cpu.r;
        switch (size) {
            case 1:
                int n = Insn.byteRegister(number, insn.rex);
                return n < 16 ? r[n] & 0xff : r[n - 16] >>> 8 & 0xff;
            case 2:
                return r[number] & 0xffff;
            case 4:
                return r[number] & 0xffff_ffffL;
            default:
                return r[number];
        }
    }

    static void setRegister(Cpu cpu, Insn insn, int number, int size, long value) {
        long[] r = cpu.r;
        switch (size) {
            case 1 -> {
                int n = Insn.byteRegister(number, insn.rex);
                if (n < 16) {
                    r[n] = r[n] & ~0xffL | value & 0xff;
                } else {
                    r[n - 16] = r[n - 16] & ~0xff00L | (value & 0xff) << 8;
                }
            }
            case 2 -> r[number] = r[number] & ~0xffffL | value & 0xffff;
            case 4 -> r[number] = value & 0xffff_ffffL;
            default -> r[number] = value;
        }
    }

    /** Sets a register of 2, 4 or 8 bytes that needs no byte naming, e.g. rCX or rSP. */
    static void setRegister(Cpu cpu, int number, int size, long value) {
        switch (size) {
            case 2 -> cpu.r[number] = cpu.r[number] & ~0xffffL | value & 0xffff;
            case 4 -> cpu.r[number] = value & 0xffff_ffffL;
            default -> cpu.r[number] = value;
        }
    }

    /** The offset of the memory operand in its segment, truncated to the address size. */
    public static long offset(Cpu cpu, Insn insn) {
        return offset(cpu, insn, 0);
    }

    /** As {@link #offset(Cpu, Insn)}, plus {@code extra} before truncation. */
    static long offset(Cpu cpu, Insn insn, long extra) {
        long base = insn.base == Insn.RIP ? cpu.rip + insn.length : cpu.r[insn.base];
        return truncateAddress(insn, base + (cpu.r[insn.index] << insn.scale) + insn.disp + extra);
    }

    static long truncateAddress(Insn insn, long offset) {
        return switch (insn.addressSize) {
            case 2 -> offset & 0xffff;
            case 4 -> offset & 0xffff_ffffL;
            default -> offset;
        };
    }

    /** The linear address of the memory operand after segment checks. */
    public static long address(Cpu cpu, Insn insn, int size, boolean write) {
        return cpu.linear(insn.segment, offset(cpu, insn), size, write);
    }

    /**
     * The linear address of a memory operand that will be read and then written: raises what the
     * write would raise.
     */
    static long addressForUpdate(Cpu cpu, Insn insn, int size) {
        return forUpdate(cpu, insn, cpu.linear(insn.segment, offset(cpu, insn), size, true), size);
    }

    /** As {@link #addressForUpdate}, at a linear address. */
    static long forUpdate(Cpu cpu, Insn insn, long linear, int size) {
        cpu.mmu.probeWrite(linear, size);
        if (cpu.countsBusLocks() && (insn.lock || insn.row.operation == Operation.XCHG)) {
            cpu.lockedUpdate(linear, size);
        }
        return linear;
    }

    /** Reads {@code size} (1, 2, 4, 8) bytes at a linear address, zero-extended. */
    static long load(Cpu cpu, long linear, int size) {
        return switch (size) {
            case 1 -> cpu.mmu.read8(linear) & 0xff;
            case 2 -> cpu.mmu.read16(linear) & 0xffff;
            case 4 -> cpu.mmu.read32(linear) & 0xffff_ffffL;
            default -> cpu.mmu.read64(linear);
        };
    }

    static void store(Cpu cpu, long linear, int size, long value) {
        switch (size) {
            case 1 -> cpu.mmu.write8(linear, (int) value & 0xff);
            case 2 -> cpu.mmu.write16(linear, (int) value & 0xffff);
            case 4 -> cpu.mmu.write32(linear, (int) value);
            default -> cpu.mmu.write64(linear, value);
        }
    }
}
