package dev.pacifica.emulator.fp;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.Operation;

/**
 * x87 control instructions: those that do not wait, WAIT, and the environment and state in their
 * 14, 28, 94 and 108 byte images.
 */
final class X87Control {
    private X87Control() {}

    static void execute(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        if (insn.row.operation == Operation.WAIT) {
            if ((cpu.cr0 & (Cpu.CR0_MP | Cpu.CR0_TS)) == (Cpu.CR0_MP | Cpu.CR0_TS)) {
                throw cpu.fault(GuestException.NM);
            }
            FpExecutor.checkPending(cpu);
            return;
        }
        if ((cpu.cr0 & (Cpu.CR0_EM | Cpu.CR0_TS)) != 0) {
            throw cpu.fault(GuestException.NM);
        }
        switch (insn.row.operation) {
            case FNINIT -> f.initialise();
            case FNCLEX -> f.clearExceptions();
            case FNSTCW -> FpOperands.write16(cpu, insn, f.control());
            case FNSTSW -> storeStatus(cpu, insn);
            case FNSTENV -> storeEnvironment(cpu, insn);
            case FNSAVE -> save(cpu, insn);
            case FLDCW -> {
                FpExecutor.checkPending(cpu);
                f.setControl(FpOperands.read16(cpu, insn));
            }
            case FLDENV -> {
                FpExecutor.checkPending(cpu);
                loadEnvironment(cpu, insn);
            }
            case FRSTOR -> {
                FpExecutor.checkPending(cpu);
                restore(cpu, insn);
            }
            default -> {
                // FNENI, FNDISI and FNSETPM do nothing since the 387.
            }
        }
    }

    private static void storeStatus(Cpu cpu, Insn insn) {
        if (insn.memory) {
            FpOperands.write16(cpu, insn, cpu.fpu.statusWord());
        } else {
            cpu.r[Cpu.RAX] = cpu.r[Cpu.RAX] & ~0xFFFFL | cpu.fpu.statusWord();
        }
    }

    private static int environmentSize(Insn insn) {
        return insn.operandSize == 2 ? 14 : 28;
    }

    private static boolean realFormat(Cpu cpu) {
        return !cpu.protectedMode || cpu.vm86;
    }

    private static void storeEnvironment(Cpu cpu, Insn insn) {
        long va = writable(cpu, insn, environmentSize(insn));
        writeEnvironment(cpu, insn, va);
        cpu.fpu.setControl(cpu.fpu.control() | FloatContext.ALL);
    }

    /** The linear address of {@code size} bytes that can be written to the last one. */
    static long writable(Cpu cpu, Insn insn, int size) {
        long va = cpu.linear(insn.segment, FpOperands.effectiveAddress(cpu, insn), size, true);
        cpu.mmu.probeWrite(va, size);
        return va;
    }

    static long readable(Cpu cpu, Insn insn, int size) {
        long va = cpu.linear(insn.segment, FpOperands.effectiveAddress(cpu, insn), size, false);
        cpu.mmu.probeRead(va, size);
        return va;
    }

    private static void writeEnvironment(Cpu cpu, Insn insn, long va) {
        FpuState f = cpu.fpu;
        int ip = (int) f.instructionPointer;
        int cs = f.instructionSelector;
        int dp = (int) f.dataPointer;
        int ds = f.dataSelector;
        boolean real = realFormat(cpu);
        if (real) {
            ip += cs << 4;
            dp += ds << 4;
        }
        if (insn.operandSize == 2) {
            put16(cpu, va, 0, f.control());
            put16(cpu, va, 2, f.statusWord());
            put16(cpu, va, 4, f.tagWord());
            put16(cpu, va, 6, ip & 0xFFFF);
            put16(cpu, va, 8, real ? (ip >>> 16 & 0xF) << 12 | f.opcode : cs);
            put16(cpu, va, 10, dp & 0xFFFF);
            put16(cpu, va, 12, real ? (dp >>> 16 & 0xF) << 12 : ds);
            return;
        }
        put32(cpu, va, 0, f.control() | 0xFFFF0000);
        put32(cpu, va, 4, f.statusWord() | 0xFFFF0000);
        put32(cpu, va, 8, f.tagWord() | 0xFFFF0000);
        put32(cpu, va, 12, real ? ip & 0xFFFF | 0xFFFF0000 : ip);
        put32(cpu, va, 16, real ? (ip >>> 16) << 12 | f.opcode : f.opcode << 16 | cs);
        put32(cpu, va, 20, real ? dp & 0xFFFF | 0xFFFF0000 : dp);
        put32(cpu, va, 24, real ? (dp >>> 16) << 12 : ds | 0xFFFF0000);
    }

    private static void put16(Cpu cpu, long va, int at, int value) {
        cpu.mmu.write16(FpOperands.next(cpu, va, at), value);
    }

    private static void put32(Cpu cpu, long va, int at, int value) {
        cpu.mmu.write32(FpOperands.next(cpu, va, at), value);
    }

    private static int get16(Cpu cpu, long va, int at) {
        return cpu.mmu.read16(FpOperands.next(cpu, va, at));
    }

    private static int get32(Cpu cpu, long va, int at) {
        return cpu.mmu.read32(FpOperands.next(cpu, va, at));
    }

    private static void loadEnvironment(Cpu cpu, Insn insn) {
        readEnvironment(cpu, insn, readable(cpu, insn, environmentSize(insn)));
    }

    private static void readEnvironment(Cpu cpu, Insn insn, long va) {
        FpuState f = cpu.fpu;
        boolean small = insn.operandSize == 2;
        boolean real = realFormat(cpu);
        int control = get16(cpu, va, 0);
        int status = get16(cpu, va, small ? 2 : 4);
        int tags = get16(cpu, va, small ? 4 : 8);
        int ip;
        int cs;
        int dp;
        int ds;
        int opcode;
        if (small) {
            ip = get16(cpu, va, 6);
            cs = get16(cpu, va, 8);
            dp = get16(cpu, va, 10);
            ds = get16(cpu, va, 12);
            opcode = real ? cs & 0x7FF : 0;
            if (real) {
                ip |= (cs >>> 12) << 16;
                dp |= (ds >>> 12) << 16;
            }
        } else {
            ip = get32(cpu, va, 12);
            int codeWord = get32(cpu, va, 16);
            dp = get32(cpu, va, 20);
            int dataWord = get32(cpu, va, 24);
            opcode = real ? codeWord & 0x7FF : codeWord >>> 16 & 0x7FF;
            cs = codeWord & 0xFFFF;
            ds = dataWord & 0xFFFF;
            if (real) {
                ip = ip & 0xFFFF | (codeWord >>> 12) << 16;
                dp = dp & 0xFFFF | (dataWord >>> 12) << 16;
            }
        }
        f.setControl(control);
        f.setStatusWord(status);
        f.setTagWord(tags);
        f.instructionPointer = ip & 0xFFFFFFFFL;
        f.instructionSelector = real ? 0 : cs;
        f.dataPointer = dp & 0xFFFFFFFFL;
        f.dataSelector = real ? 0 : ds;
        f.opcode = opcode;
    }

    private static void save(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        int header = environmentSize(insn);
        long va = writable(cpu, insn, header + 80);
        writeEnvironment(cpu, insn, va);
        for (int i = 0; i < 8; i++) {
            cpu.mmu.write64(FpOperands.next(cpu, va, header + 10 * i), f.sig(i));
            put16(cpu, va, header + 10 * i + 8, f.se(i));
        }
        f.initialise();
    }

    private static void restore(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        int header = environmentSize(insn);
        long va = readable(cpu, insn, header + 80);
        readEnvironment(cpu, insn, va);
        for (int i = 0; i < 8; i++) {
            int register = f.top + i & 7;
            f.significand[register] = cpu.mmu.read64(FpOperands.next(cpu, va, header + 10 * i));
            f.signExponent[register] = get16(cpu, va, header + 10 * i + 8);
        }
    }
}
