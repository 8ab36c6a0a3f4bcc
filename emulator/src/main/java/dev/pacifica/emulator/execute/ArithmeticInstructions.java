package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.Operation;

/** Addition to division, logic, and decimal adjustment (APM Vol 3 chapter 3). */
final class ArithmeticInstructions {
    private ArithmeticInstructions() {}

    /** ADD OR ADC SBB AND SUB XOR with two operands. */
    static void binary(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        Operation operation = insn.row.operation;
        if (Operands.isMemory(insn, 0)) {
            long source = Operands.read(cpu, insn, 1, size);
            long at = Operands.addressForUpdate(cpu, insn, size);
            Operands.store(
                    cpu,
                    at,
                    size,
                    compute(cpu, operation, size, Operands.load(cpu, at, size), source));
        } else {
            long source = Operands.read(cpu, insn, 1, size);
            long target = Operands.read(cpu, insn, 0, size);
            Operands.write(cpu, insn, 0, size, compute(cpu, operation, size, target, source));
        }
    }

    private static long compute(Cpu cpu, Operation operation, int size, long a, long b) {
        return switch (operation) {
            case ADD -> Alu.add(cpu, size, a, b);
            case OR -> Alu.logic(cpu, size, a | b);
            case ADC -> Alu.adc(cpu, size, a, b);
            case SBB -> Alu.sbb(cpu, size, a, b);
            case AND -> Alu.logic(cpu, size, a & b);
            case SUB -> Alu.sub(cpu, size, a, b);
            default -> Alu.logic(cpu, size, a ^ b);
        };
    }

    static void compare(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        long a = Operands.read(cpu, insn, 0, size);
        long b = Operands.read(cpu, insn, 1, size);
        Alu.sub(cpu, size, a, b);
    }

    static void test(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        long a = Operands.read(cpu, insn, 0, size);
        long b = Operands.read(cpu, insn, 1, size);
        Alu.logic(cpu, size, a & b);
    }

    /** INC DEC NEG NOT. */
    static void unary(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        Operation operation = insn.row.operation;
        if (Operands.isMemory(insn, 0)) {
            long at = Operands.addressForUpdate(cpu, insn, size);
            Operands.store(
                    cpu, at, size, compute(cpu, operation, size, Operands.load(cpu, at, size)));
        } else {
            Operands.write(
                    cpu,
                    insn,
                    0,
                    size,
                    compute(cpu, operation, size, Operands.read(cpu, insn, 0, size)));
        }
    }

    private static long compute(Cpu cpu, Operation operation, int size, long a) {
        return switch (operation) {
            case INC -> Alu.inc(cpu, size, a);
            case DEC -> Alu.dec(cpu, size, a);
            case NEG -> Alu.sub(cpu, size, 0, a);
            default -> ~a;
        };
    }

    /**
     * MUL, and IMUL with one operand: rDX:rAX (AX for bytes) = rAX × operand. CF and OF tell
     * whether the upper half matters.
     */
    static void multiply(Cpu cpu, Insn insn, boolean signed) {
        int size = insn.operandSize;
        long a = Operands.register(cpu, insn, Cpu.RAX, size);
        long b = Operands.read(cpu, insn, 0, size);
        long low;
        long high;
        if (signed) {
            a = Alu.extend(size, a);
            b = Alu.extend(size, b);
        }
        boolean big;
        if (size == 8) {
            low = a * b;
            high = signed ? Math.multiplyHigh(a, b) : Math.unsignedMultiplyHigh(a, b);
            big = signed ? high != low >> 63 : high != 0;
        } else {
            long product = a * b;
            low = Alu.truncate(size, product);
            high = product >>> 8 * size;
            big = signed ? product != Alu.extend(size, product) : high != 0;
        }
        if (size == 1) {
            cpu.r[Cpu.RAX] = cpu.r[Cpu.RAX] & ~0xffffL | (high & 0xff) << 8 | low;
        } else {
            Operands.setRegister(cpu, Cpu.RAX, size, low);
            Operands.setRegister(cpu, Cpu.RDX, size, high);
        }
        // SF, ZF, AF and PF are undefined; they stay.
        cpu.setCfOf(big, big);
    }

    /** IMUL with two or three operands. */
    static void multiplyInto(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        int operands = insn.row.operands.size();
        long a =
                operands == 3
                        ? Operands.read(cpu, insn, 2, size)
                        : Operands.read(cpu, insn, 0, size);
        long b = Operands.read(cpu, insn, 1, size);
        Operands.write(cpu, insn, 0, size, Alu.imul(cpu, size, a, b));
    }

    static void divide(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        long divisor = Operands.read(cpu, insn, 0, size);
        if (divisor == 0) {
            throw cpu.fault(GuestException.DE);
        }
        if (size == 8) {
            long high = cpu.r[Cpu.RDX];
            long low = cpu.r[Cpu.RAX];
            if (Long.compareUnsigned(high, divisor) >= 0) {
                throw cpu.fault(GuestException.DE);
            }
            long quotient = WideDivision.quotient(high, low, divisor);
            cpu.r[Cpu.RAX] = quotient;
            cpu.r[Cpu.RDX] = low - quotient * divisor;
            return;
        }
        long dividend = dividend(cpu, size);
        long quotient = Long.divideUnsigned(dividend, divisor);
        if (Alu.truncate(size, quotient) != quotient) {
            throw cpu.fault(GuestException.DE);
        }
        setQuotient(cpu, size, quotient, Long.remainderUnsigned(dividend, divisor));
    }

    static void divideSigned(Cpu cpu, Insn insn) {
        int size = insn.operandSize;
        long divisor = Alu.extend(size, Operands.read(cpu, insn, 0, size));
        if (divisor == 0) {
            throw cpu.fault(GuestException.DE);
        }
        if (size == 8) {
            divideSigned128(cpu, divisor);
            return;
        }
        long dividend = Alu.extend(2 * size, dividend(cpu, size));
        if (dividend == Long.MIN_VALUE && divisor == -1) {
            throw cpu.fault(GuestException.DE);
        }
        long quotient = dividend / divisor;
        if (Alu.extend(size, quotient) != quotient) {
            throw cpu.fault(GuestException.DE);
        }
        setQuotient(cpu, size, quotient, dividend % divisor);
    }

    private static void divideSigned128(Cpu cpu, long divisor) {
        long high = cpu.r[Cpu.RDX];
        long low = cpu.r[Cpu.RAX];
        boolean negative = high < 0;
        if (negative) {
            low = -low;
            high = ~high + (low == 0 ? 1 : 0);
        }
        long magnitude = divisor < 0 ? -divisor : divisor;
        if (Long.compareUnsigned(high, magnitude) >= 0) {
            throw cpu.fault(GuestException.DE);
        }
        long quotient = WideDivision.quotient(high, low, magnitude);
        long remainder = low - quotient * magnitude;
        boolean negativeQuotient = negative != divisor < 0;
        if (negativeQuotient ? quotient < 0 && quotient != Long.MIN_VALUE : quotient < 0) {
            throw cpu.fault(GuestException.DE);
        }
        cpu.r[Cpu.RAX] = negativeQuotient ? -quotient : quotient;
        cpu.r[Cpu.RDX] = negative ? -remainder : remainder;
    }

    private static long dividend(Cpu cpu, int size) {
        long[] r = cpu.r;
        return switch (size) {
            case 1 -> r[Cpu.RAX] & 0xffff;
            case 2 -> (r[Cpu.RDX] & 0xffff) << 16 | r[Cpu.RAX] & 0xffff;
            default -> r[Cpu.RDX] << 32 | r[Cpu.RAX] & 0xffff_ffffL;
        };
    }

    private static void setQuotient(Cpu cpu, int size, long quotient, long remainder) {
        if (size == 1) {
            cpu.r[Cpu.RAX] = cpu.r[Cpu.RAX] & ~0xffffL | (remainder & 0xff) << 8 | quotient & 0xff;
        } else {
            Operands.setRegister(cpu, Cpu.RAX, size, quotient);
            Operands.setRegister(cpu, Cpu.RDX, size, remainder);
        }
    }

    static void decimalAdjust(Cpu cpu, boolean subtract) {
        int al = (int) cpu.r[Cpu.RAX] & 0xff;
        boolean carry = cpu.cf();
        boolean auxiliary = cpu.af();
        int result = al;
        boolean carryOut = carry;
        boolean low = (al & 0xf) > 9 || auxiliary;
        if (low) {
            result = subtract ? result - 6 : result + 6;
            carryOut |= subtract ? al < 6 : al > 0xf9;
        }
        if (al > 0x99 || carry) {
            result = subtract ? result - 0x60 : result + 0x60;
            carryOut = true;
        }
        setAl(cpu, result);
        Alu.logic(cpu, 1, result);
        cpu.r[Cpu.FLAG_AUX] = low ? 8 : 0;
        cpu.setCfOf(carryOut, false);
    }

    /** AAA, AAS: the whole of AX counts. */
    static void asciiAdjust(Cpu cpu, boolean subtract) {
        int ax = (int) cpu.r[Cpu.RAX] & 0xffff;
        boolean adjust = (ax & 0xf) > 9 || cpu.af();
        if (adjust) {
            ax = subtract ? ax - 0x106 : ax + 0x106;
        }
        ax &= 0xff0f;
        cpu.r[Cpu.RAX] = cpu.r[Cpu.RAX] & ~0xffffL | ax;
        Alu.logic(cpu, 1, ax);
        cpu.r[Cpu.FLAG_AUX] = adjust ? 8 : 0;
        cpu.setCfOf(adjust, false);
    }

    static void asciiAdjustMultiply(Cpu cpu, Insn insn) {
        int base = (int) insn.imm & 0xff;
        if (base == 0) {
            throw cpu.fault(GuestException.DE);
        }
        int al = (int) cpu.r[Cpu.RAX] & 0xff;
        cpu.r[Cpu.RAX] = cpu.r[Cpu.RAX] & ~0xffffL | (al / base) << 8 | al % base;
        Alu.logic(cpu, 1, al % base);
    }

    static void asciiAdjustDivide(Cpu cpu, Insn insn) {
        int ax = (int) cpu.r[Cpu.RAX] & 0xffff;
        int al = (ax >> 8) * ((int) insn.imm & 0xff) + (ax & 0xff) & 0xff;
        cpu.r[Cpu.RAX] = cpu.r[Cpu.RAX] & ~0xffffL | al;
        Alu.logic(cpu, 1, al);
    }

    private static void setAl(Cpu cpu, int value) {
        cpu.r[Cpu.RAX] = cpu.r[Cpu.RAX] & ~0xffL | value & 0xff;
    }
}
