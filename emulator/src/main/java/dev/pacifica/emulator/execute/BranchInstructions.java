package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.decode.Insn;

/**
 * Near branches, calls and returns (APM Vol 3 chapter 3). Each returns whether RIP is set already:
 * 0 no, 1 yes.
 */
final class BranchInstructions {
    private BranchInstructions() {}

    /** The address of the next instruction. */
    static long next(Cpu cpu, Insn insn) {
        return cpu.rip + insn.length;
    }

    /**
     * Truncates a branch target to the operand size and checks that code may be there: #GP(0)
     * otherwise, before anything changes.
     */
    static long checked(Cpu cpu, Insn insn, long target) {
        long at =
                insn.operandSize == 2
                        ? target & 0xffff
                        : insn.operandSize == 4 ? target & 0xffff_ffffL : target;
        if (cpu.mode64) {
            if (!Cpu.canonical(at)) {
                throw cpu.fault(GuestException.GP, 0);
            }
        } else if (at > cpu.segLimit[Cpu.CS]) {
            throw cpu.fault(GuestException.GP, 0);
        }
        return at;
    }

    private static int transfer(Cpu cpu, long target) {
        cpu.rip = target;
        cpu.branchTaken = true;
        return 1;
    }

    static int jump(Cpu cpu, Insn insn) {
        boolean relative = Operands.form(insn, 0) == Operands.NONE;
        return transfer(
                cpu,
                relative
                        ? checked(cpu, insn, next(cpu, insn) + insn.imm)
                        : checked(cpu, insn, Operands.read(cpu, insn, 0, insn.operandSize)));
    }

    static int conditionalJump(Cpu cpu, Insn insn) {
        return branchIf(cpu, insn, cpu.condition(insn.condition));
    }

    private static int branchIf(Cpu cpu, Insn insn, boolean taken) {
        if (!taken) {
            return 0;
        }
        return transfer(cpu, checked(cpu, insn, next(cpu, insn) + insn.imm));
    }

    /** LOOP LOOPE LOOPNE: the counter changes unless the branch faults. */
    static int loop(Cpu cpu, Insn insn, boolean conditional, boolean zero) {
        long count = Operands.truncateAddress(insn, cpu.r[Cpu.RCX] - 1);
        boolean taken = count != 0 && (!conditional || cpu.zf() == zero);
        int jumped = branchIf(cpu, insn, taken);
        Operands.setRegister(cpu, Cpu.RCX, insn.addressSize, count);
        return jumped;
    }

    static int jumpIfCountZero(Cpu cpu, Insn insn) {
        return branchIf(cpu, insn, Operands.truncateAddress(insn, cpu.r[Cpu.RCX]) == 0);
    }

    static int call(Cpu cpu, Insn insn) {
        boolean relative = Operands.form(insn, 0) == Operands.NONE;
        long next = next(cpu, insn);
        long target =
                checked(
                        cpu,
                        insn,
                        relative ? next + insn.imm : Operands.read(cpu, insn, 0, insn.operandSize));
        StackInstructions.push(cpu, insn.operandSize, next);
        return transfer(cpu, target);
    }

    static int ret(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        long target = checked(cpu, insn, StackInstructions.peek(cpu, size, 0));
        StackInstructions.drop(cpu, size + (insn.imm & 0xffff));
        return transfer(cpu, target);
    }

    static void bound(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        long at = Operands.address(cpu, insn, 2 * size, false);
        long lower = Alu.extend(size, Operands.load(cpu, at, size));
        long upper = Alu.extend(size, Operands.load(cpu, at + size, size));
        long value = Alu.extend(size, cpu.r[insn.reg]);
        if (value < lower || value > upper) {
            throw cpu.fault(GuestException.BR);
        }
    }
}
