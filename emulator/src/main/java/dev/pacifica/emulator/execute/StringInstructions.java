package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.Operation;
import dev.pacifica.emulator.memory.RawMemory;

/**
 * MOVS CMPS STOS LODS SCAS, with and without repetition (APM Vol 3 §1.2.6).
 *
 * <p>A repeated instruction works on host memory page by page where both sides are plain RAM, and
 * one element at a time elsewhere. After {@link #QUOTA} iterations it gives up with rCX, rSI and
 * rDI updated and RIP unchanged, which counts as one tick, so that interrupts are taken at points
 * that depend on nothing but the guest. A fault leaves the registers at the iteration that faulted.
 */
final class StringInstructions {
    /** Iterations that one tick may cover. */
    static final int QUOTA = 65536;

    private StringInstructions() {}

    /** Returns 0 when done, 1 when there is more to do and RIP is to stay. */
    static int execute(Cpu cpu, Insn insn) {
        if (insn.rep == 0) {
            iterate(cpu, insn);
            return 0;
        }
        long count = Operands.truncateAddress(insn, cpu.r[Cpu.RCX]);
        if (count == 0) {
            return 0;
        }
        boolean stepping = (cpu.systemFlags() & Cpu.TF) != 0;
        long quota = stepping ? 1 : Long.compareUnsigned(count, QUOTA) < 0 ? count : QUOTA;
        Operation operation = insn.row.operation;
        boolean compares = operation == Operation.CMPS || operation == Operation.SCAS;
        while (quota > 0) {
            long done = bulk(cpu, insn, operation, quota);
            if (done == 0) {
                iterate(cpu, insn);
                done = 1;
            }
            count = Operands.truncateAddress(insn, cpu.r[Cpu.RCX] - done);
            Operands.setRegister(cpu, Cpu.RCX, insn.addressSize, count);
            if (count == 0 || compares && cpu.zf() != (insn.rep == 3)) {
                cpu.events.repEnded();
                return 0;
            }
            quota -= done;
        }
        cpu.events.repSuspended();
        return 1;
    }

    /** One iteration; rSI and rDI advance when it succeeded. */
    private static void iterate(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        switch (insn.row.operation) {
            case MOVS -> {
                long value = Operands.load(cpu, source(cpu, insn, size), size);
                Operands.store(cpu, destination(cpu, insn, size, true), size, value);
                advance(cpu, insn, Cpu.RSI, 1);
                advance(cpu, insn, Cpu.RDI, 1);
            }
            case STOS -> {
                Operands.store(cpu, destination(cpu, insn, size, true), size, cpu.r[Cpu.RAX]);
                advance(cpu, insn, Cpu.RDI, 1);
            }
            case LODS -> {
                long value = Operands.load(cpu, source(cpu, insn, size), size);
                Operands.setRegister(cpu, insn, Cpu.RAX, size, value);
                advance(cpu, insn, Cpu.RSI, 1);
            }
            case SCAS -> {
                long value = Operands.load(cpu, destination(cpu, insn, size, false), size);
                Alu.sub(cpu, size, cpu.r[Cpu.RAX], value);
                advance(cpu, insn, Cpu.RDI, 1);
            }
            default -> {
                // ES:rDI is read first.
                long b = Operands.load(cpu, destination(cpu, insn, size, false), size);
                long a = Operands.load(cpu, source(cpu, insn, size), size);
                Alu.sub(cpu, size, a, b);
                advance(cpu, insn, Cpu.RSI, 1);
                advance(cpu, insn, Cpu.RDI, 1);
            }
        }
    }

    private static long source(Cpu cpu, Insn insn, int size) {
        return cpu.linear(
                insn.segment, Operands.truncateAddress(insn, cpu.r[Cpu.RSI]), size, false);
    }

    private static long destination(Cpu cpu, Insn insn, int size, boolean write) {
        return cpu.linear(Cpu.ES, Operands.truncateAddress(insn, cpu.r[Cpu.RDI]), size, write);
    }

    private static void advance(Cpu cpu, Insn insn, int register, long elements) {
        long step = elements * insn.operandSize;
        boolean down = (cpu.systemFlags() & Cpu.DF) != 0;
        Operands.setRegister(
                cpu,
                register,
                insn.addressSize,
                down ? cpu.r[register] - step : cpu.r[register] + step);
    }

    /**
     * Does up to {@code quota} iterations at once and returns how many (rSI, rDI updated), or 0 if
     * one must be done by itself.
     */
    private static long bulk(Cpu cpu, Insn insn, Operation operation, long quota) {
        if (quota == 1 || operation == Operation.LODS) {
            return 0;
        }
        int size = insn.operandSize;
        boolean down = (cpu.systemFlags() & Cpu.DF) != 0;
        boolean write = operation == Operation.MOVS || operation == Operation.STOS;
        boolean usesSource = operation == Operation.MOVS || operation == Operation.CMPS;
        long n = quota;
        long source = 0;
        if (usesSource) {
            source = source(cpu, insn, size);
            n = Math.min(n, elements(cpu, insn, insn.segment, Cpu.RSI, source, down));
        }
        long destination = destination(cpu, insn, size, write);
        n = Math.min(n, elements(cpu, insn, Cpu.ES, Cpu.RDI, destination, down));
        if (n <= 1) {
            return 0;
        }
        // What faults first is as in iterate().
        long to = write ? 0 : cpu.mmu.hostForRead(destination);
        long from = usesSource ? cpu.mmu.hostForRead(source) : 0;
        if (write) {
            to = cpu.mmu.hostForWrite(destination);
        }
        if (to == 0 || usesSource && from == 0) {
            return 0;
        }
        switch (operation) {
            case MOVS -> copy(from, to, n, size, down);
            case STOS -> fill(to, n, size, down, cpu.r[Cpu.RAX]);
            case SCAS -> n = scan(cpu, insn, to, n, size, down);
            default -> n = compare(cpu, insn, from, to, n, size, down);
        }
        if (usesSource) {
            advance(cpu, insn, Cpu.RSI, n);
        }
        advance(cpu, insn, Cpu.RDI, n);
        return n;
    }

    /**
     * How many elements from the current one on lie in the same page, within segment limit and
     * address size.
     */
    private static long elements(
            Cpu cpu, Insn insn, int segment, int register, long linear, boolean down) {
        int size = insn.operandSize;
        int inPage = (int) linear & 0xfff;
        if (inPage + size > 4096) {
            return 0;
        }
        long n = down ? inPage / size + 1 : (4096 - inPage) / size;
        if (cpu.mode64 && insn.addressSize == 8) {
            return n;
        }
        long offset = Operands.truncateAddress(insn, cpu.r[register]);
        if (down) {
            return Math.min(n, offset / size);
        }
        long top = insn.addressSize == 2 ? 0xffff : 0xffff_ffffL;
        if (!cpu.mode64) {
            if ((cpu.segAttr[segment] & 0xc) == 4) {
                return 0; // expand-down: one at a time
            }
            top = Math.min(top, cpu.segLimit[segment]);
        }
        return Math.min(n, (top - offset + 1) / size);
    }

    private static void copy(long from, long to, long n, int size, boolean down) {
        long bytes = n * size;
        if (!down && (to <= from || to >= from + bytes)) {
            RawMemory.copy(from, to, bytes);
            return;
        }
        int step = down ? -size : size;
        long a = from;
        long b = to;
        for (long i = 0; i < n; i++) {
            put(b, size, get(a, size));
            a += step;
            b += step;
        }
    }

    private static void fill(long to, long n, int size, boolean down, long value) {
        long bytes = n * size;
        long start = down ? to - (bytes - size) : to;
        long pattern = size == 1 ? (value & 0xff) * 0x0101_0101_0101_0101L : value;
        if (Alu.truncate(size, pattern)
                == Alu.truncate(size, (pattern & 0xff) * 0x0101_0101_0101_0101L)) {
            RawMemory.fill(start, bytes, (byte) value);
            return;
        }
        for (long i = 0; i < bytes; i += size) {
            put(start + i, size, value);
        }
    }

    private static long scan(Cpu cpu, Insn insn, long at, long n, int size, boolean down) {
        int step = down ? -size : size;
        long wanted = Alu.truncate(size, cpu.r[Cpu.RAX]);
        boolean whileEqual = insn.rep == 3;
        long i = 0;
        long value;
        do {
            value = get(at + i * step, size);
            i++;
        } while (i < n && (value == wanted) == whileEqual);
        Alu.sub(cpu, size, wanted, value);
        return i;
    }

    private static long compare(
            Cpu cpu, Insn insn, long from, long to, long n, int size, boolean down) {
        int step = down ? -size : size;
        boolean whileEqual = insn.rep == 3;
        long i = 0;
        long a;
        long b;
        do {
            a = get(from + i * step, size);
            b = get(to + i * step, size);
            i++;
        } while (i < n && (a == b) == whileEqual);
        Alu.sub(cpu, size, a, b);
        return i;
    }

    private static long get(long host, int size) {
        return switch (size) {
            case 1 -> RawMemory.getByte(host);
            case 2 -> RawMemory.getShort(host);
            case 4 -> RawMemory.getInt(host) & 0xffff_ffffL;
            default -> RawMemory.getLong(host);
        };
    }

    private static void put(long host, int size, long value) {
        switch (size) {
            case 1 -> RawMemory.putByte(host, (int) value);
            case 2 -> RawMemory.putShort(host, (int) value);
            case 4 -> RawMemory.putInt(host, (int) value);
            default -> RawMemory.putLong(host, value);
        }
    }
}
