package dev.pacifica.emulator.fp;

import static dev.pacifica.emulator.fp.Float80.INDEFINITE_SE;
import static dev.pacifica.emulator.fp.Float80.INDEFINITE_SIG;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;

/**
 * The x87 instructions that wait for pending exceptions: dispatch, arithmetic, comparison and stack
 * handling.
 */
final class X87Executor {
    private static final int ADD = 0,
            MULTIPLY = 1,
            SUBTRACT = 2,
            SUBTRACT_REVERSED = 3,
            DIVIDE = 4,
            DIVIDE_REVERSED = 5;

    private X87Executor() {}

    static void execute(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        switch (insn.row.operation) {
            case FADD, FIADD -> arithmetic(cpu, insn, ADD, false);
            case FMUL, FIMUL -> arithmetic(cpu, insn, MULTIPLY, false);
            case FSUB, FISUB -> arithmetic(cpu, insn, SUBTRACT, false);
            case FSUBR, FISUBR -> arithmetic(cpu, insn, SUBTRACT_REVERSED, false);
            case FDIV, FIDIV -> arithmetic(cpu, insn, DIVIDE, false);
            case FDIVR, FIDIVR -> arithmetic(cpu, insn, DIVIDE_REVERSED, false);
            case FADDP -> arithmetic(cpu, insn, ADD, true);
            case FMULP -> arithmetic(cpu, insn, MULTIPLY, true);
            case FSUBP -> arithmetic(cpu, insn, SUBTRACT, true);
            case FSUBRP -> arithmetic(cpu, insn, SUBTRACT_REVERSED, true);
            case FDIVP -> arithmetic(cpu, insn, DIVIDE, true);
            case FDIVRP -> arithmetic(cpu, insn, DIVIDE_REVERSED, true);
            case FCOM, FICOM -> compareOperand(cpu, insn, 0);
            case FCOMP, FICOMP -> compareOperand(cpu, insn, 1);
            case FCOMPP -> compare(f, 1, false, 2);
            case FUCOM -> compare(f, insn.rm & 7, true, 0);
            case FUCOMP -> compare(f, insn.rm & 7, true, 1);
            case FUCOMPP -> compare(f, 1, true, 2);
            case FCOMI -> compareToFlags(cpu, insn.rm & 7, false, false);
            case FCOMIP -> compareToFlags(cpu, insn.rm & 7, false, true);
            case FUCOMI -> compareToFlags(cpu, insn.rm & 7, true, false);
            case FUCOMIP -> compareToFlags(cpu, insn.rm & 7, true, true);
            case FTST -> test(f);
            case FLD, FILD, FBLD, FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ ->
                    X87Transfer.load(cpu, insn);
            case FST, FSTP, FIST, FISTP, FISTTP, FBSTP -> X87Transfer.store(cpu, insn);
            default -> rest(cpu, insn);
        }
        f.instructionPointer = cpu.rip;
        f.instructionSelector = cpu.segSelector[Cpu.CS];
        f.opcode = (insn.opcode & 7) << 8 | insn.modrm;
        if (insn.memory) {
            f.dataPointer = FpOperands.effectiveAddress(cpu, insn);
            f.dataSelector = cpu.segSelector[insn.segment];
        }
    }

    private static void rest(Cpu cpu, Insn insn) {
        FpuState f = cpu.fpu;
        int i = insn.rm & 7;
        switch (insn.row.operation) {
            case FXCH -> exchange(f, i);
            case FCHS -> changeSign(f, 0x8000, 0xFFFF);
            case FABS -> changeSign(f, 0, 0x7FFF);
            case FXAM -> examine(f);
            case FSQRT, FRNDINT, F2XM1, FSIN, FCOS -> unary(f, insn);
            case FSCALE, FPREM, FPREM1 -> binary(f, insn);
            case FYL2X, FYL2XP1, FPATAN -> binaryPopping(f, insn);
            case FPTAN, FSINCOS -> pushing(f, insn);
            case FXTRACT -> extract(f);
            case FINCSTP -> {
                f.top = f.top + 1 & 7;
                f.setC1(false);
            }
            case FDECSTP -> {
                f.top = f.top - 1 & 7;
                f.setC1(false);
            }
            case FFREE -> {
                f.setC1(false);
                f.free(i);
            }
            case FFREEP -> {
                f.setC1(false);
                f.free(i);
                f.pop();
            }
            case FCMOVB -> move(f, i, (cpu.arithmeticFlags() & Cpu.CF) != 0);
            case FCMOVE -> move(f, i, (cpu.arithmeticFlags() & Cpu.ZF) != 0);
            case FCMOVBE -> move(f, i, (cpu.arithmeticFlags() & (Cpu.CF | Cpu.ZF)) != 0);
            case FCMOVU -> move(f, i, (cpu.arithmeticFlags() & Cpu.PF) != 0);
            case FCMOVNB -> move(f, i, (cpu.arithmeticFlags() & Cpu.CF) == 0);
            case FCMOVNE -> move(f, i, (cpu.arithmeticFlags() & Cpu.ZF) == 0);
            case FCMOVNBE -> move(f, i, (cpu.arithmeticFlags() & (Cpu.CF | Cpu.ZF)) == 0);
            case FCMOVNU -> move(f, i, (cpu.arithmeticFlags() & Cpu.PF) == 0);
            default -> {
                // FNOP
            }
        }
    }

    private static void arithmetic(Cpu cpu, Insn insn, int operation, boolean pop) {
        FpuState f = cpu.fpu;
        if (insn.memory) {
            boolean denormal = X87Transfer.fetch(cpu, insn);
            memory(f, operation, denormal);
        } else if (insn.opcode == 0xD8) {
            registers(f, operation, 0, insn.rm & 7, false);
        } else {
            registers(f, operation, insn.rm & 7, 0, pop);
        }
    }

    private static void registers(FpuState f, int operation, int target, int source, boolean pop) {
        if (f.isEmpty(target) || f.isEmpty(source)) {
            if (!f.stackUnderflow()) {
                return;
            }
            f.set(target, INDEFINITE_SIG, INDEFINITE_SE);
        } else {
            FloatContext c = f.begin();
            compute(c, operation, f.sig(target), f.se(target), f.sig(source), f.se(source));
            if (!f.complete()) {
                return;
            }
            f.set(target, c.sig, c.se);
        }
        if (pop) {
            f.pop();
        }
    }

    /**
     * The memory operand is in the context's result; {@code denormal} if it was one in its own
     * format.
     */
    private static void memory(FpuState f, int operation, boolean denormal) {
        if (f.isEmpty(0)) {
            if (f.stackUnderflow()) {
                f.set(0, INDEFINITE_SIG, INDEFINITE_SE);
            }
            return;
        }
        FloatContext c = f.x87;
        long sig = c.sig;
        int se = c.se;
        c.begin();
        compute(c, operation, f.sig(0), f.se(0), sig, se);
        if (denormal) {
            noteDenormal(f, c);
        }
        if (f.complete()) {
            f.set(0, c.sig, c.se);
        }
    }

    /**
     * A denormal memory operand counts unless ST(0) is a NaN or a zero divisor, or invalid anyway.
     */
    private static void noteDenormal(FpuState f, FloatContext c) {
        if ((c.flags & (FloatContext.IE | FloatContext.ZE)) == 0
                && !Float80.isNaN(f.sig(0), f.se(0))) {
            c.flags |= FloatContext.DE;
        }
    }

    private static void compute(
            FloatContext c, int operation, long aSig, int aSe, long bSig, int bSe) {
        switch (operation) {
            case ADD -> Float80.add(c, aSig, aSe, bSig, bSe);
            case MULTIPLY -> Float80.multiply(c, aSig, aSe, bSig, bSe);
            case SUBTRACT -> Float80.subtract(c, aSig, aSe, bSig, bSe);
            case SUBTRACT_REVERSED -> Float80.subtract(c, bSig, bSe, aSig, aSe);
            case DIVIDE -> Float80.divide(c, aSig, aSe, bSig, bSe);
            default -> Float80.divide(c, bSig, bSe, aSig, aSe);
        }
    }

    private static void compareOperand(Cpu cpu, Insn insn, int pops) {
        FpuState f = cpu.fpu;
        if (!insn.memory) {
            compare(f, insn.rm & 7, false, pops);
            return;
        }
        boolean denormal = X87Transfer.fetch(cpu, insn);
        FloatContext c = f.x87;
        if (f.isEmpty(0)) {
            finishUnordered(f, f.stackUnderflow(), pops);
            return;
        }
        long sig = c.sig;
        int se = c.se;
        c.begin();
        int order = Float80.compare(c, f.sig(0), f.se(0), sig, se, false);
        if (denormal) {
            noteDenormal(f, c);
        }
        finishCompare(f, order, pops);
    }

    private static void compare(FpuState f, int i, boolean quiet, int pops) {
        if (f.isEmpty(0) || f.isEmpty(i)) {
            finishUnordered(f, f.stackUnderflow(), pops);
            return;
        }
        FloatContext c = f.begin();
        finishCompare(f, Float80.compare(c, f.sig(0), f.se(0), f.sig(i), f.se(i), quiet), pops);
    }

    private static void test(FpuState f) {
        if (f.isEmpty(0)) {
            finishUnordered(f, f.stackUnderflow(), 0);
            return;
        }
        FloatContext c = f.begin();
        finishCompare(f, Float80.compare(c, f.sig(0), f.se(0), 0, 0, false), 0);
    }

    private static void finishCompare(FpuState f, int order, int pops) {
        boolean proceeds = f.complete();
        // The condition codes are written even if an unmasked exception holds back the pop.
        f.setConditions(
                order == Float80.LESS
                        ? FpuState.C0
                        : order == Float80.EQUAL
                                ? FpuState.C3
                                : order == Float80.GREATER
                                        ? 0
                                        : FpuState.C0 | FpuState.C2 | FpuState.C3);
        for (int i = 0; proceeds && i < pops; i++) {
            f.pop();
        }
    }

    private static void finishUnordered(FpuState f, boolean masked, int pops) {
        f.setConditions(FpuState.C0 | FpuState.C2 | FpuState.C3);
        for (int i = 0; masked && i < pops; i++) {
            f.pop();
        }
    }

    private static void compareToFlags(Cpu cpu, int i, boolean quiet, boolean pop) {
        FpuState f = cpu.fpu;
        int order = Float80.UNORDERED;
        boolean proceeds;
        if (f.isEmpty(0) || f.isEmpty(i)) {
            proceeds = f.stackUnderflow();
        } else {
            FloatContext c = f.begin();
            order = Float80.compare(c, f.sig(0), f.se(0), f.sig(i), f.se(i), quiet);
            int c1 = f.status & FpuState.C1;
            proceeds = f.complete();
            f.status |= c1;
        }
        cpu.setArithmeticFlags(comparisonFlags(order));
        if (pop && proceeds) {
            f.pop();
        }
    }

    /** ZF, PF, CF as FCOMI and COMISS set them; OF, SF, AF become 0. */
    static int comparisonFlags(int order) {
        return switch (order) {
            case Float80.LESS -> Cpu.CF;
            case Float80.EQUAL -> Cpu.ZF;
            case Float80.GREATER -> 0;
            default -> Cpu.ZF | Cpu.PF | Cpu.CF;
        };
    }

    private static void exchange(FpuState f, int i) {
        if (f.isEmpty(0) || f.isEmpty(i)) {
            if (!f.stackUnderflow()) {
                return;
            }
            if (f.isEmpty(0)) {
                f.set(0, INDEFINITE_SIG, INDEFINITE_SE);
            }
            if (f.isEmpty(i)) {
                f.set(i, INDEFINITE_SIG, INDEFINITE_SE);
            }
        } else {
            f.setC1(false);
        }
        long sig = f.sig(0);
        int se = f.se(0);
        f.set(0, f.sig(i), f.se(i));
        f.set(i, sig, se);
    }

    private static void changeSign(FpuState f, int flip, int keep) {
        if (underflowed(f)) {
            return;
        }
        f.setC1(false);
        f.set(0, f.sig(0), (f.se(0) ^ flip) & keep);
    }

    /** Handles an empty ST(0) for instructions that replace it; returns whether it was empty. */
    private static boolean underflowed(FpuState f) {
        if (!f.isEmpty(0)) {
            return false;
        }
        if (f.stackUnderflow()) {
            f.set(0, INDEFINITE_SIG, INDEFINITE_SE);
        }
        return true;
    }

    private static void examine(FpuState f) {
        long sig = f.sig(0);
        int se = f.se(0);
        int exponent = se & 0x7FFF;
        int kind;
        if (f.isEmpty(0)) {
            kind = FpuState.C3 | FpuState.C0;
        } else if (Float80.isUnsupported(sig, se)) {
            kind = 0;
        } else if (exponent == 0x7FFF) {
            kind = sig == Float80.INTEGER_BIT ? FpuState.C2 | FpuState.C0 : FpuState.C0;
        } else if (exponent == 0) {
            kind = sig == 0 ? FpuState.C3 : FpuState.C3 | FpuState.C2;
        } else {
            kind = FpuState.C2;
        }
        f.setConditions(kind | (se >> 15 != 0 ? FpuState.C1 : 0));
    }

    private static void unary(FpuState f, Insn insn) {
        boolean trigonometric = insn.modrm >= 0xFE;
        if (trigonometric) {
            f.status &= ~FpuState.C2;
        }
        if (underflowed(f)) {
            return;
        }
        FloatContext c = f.begin();
        long sig = f.sig(0);
        int se = f.se(0);
        switch (insn.row.operation) {
            case FSQRT -> Float80.squareRoot(c, sig, se);
            case FRNDINT -> Float80.roundToInteger(c, sig, se);
            case F2XM1 -> Transcendental80.exponentialMinusOne(c, sig, se);
            case FSIN -> Transcendental80.sine(c, sig, se);
            default -> Transcendental80.cosine(c, sig, se);
        }
        if (f.complete()) {
            f.set(0, c.sig, c.se);
            f.status |= c.conditions;
        }
    }

    private static void binary(FpuState f, Insn insn) {
        boolean scale = insn.modrm == 0xFD;
        if (!scale) {
            // Without a division C0 and C3 keep their values.
            f.status &= ~(FpuState.C1 | FpuState.C2);
        }
        if (f.isEmpty(0) || f.isEmpty(1)) {
            if (f.stackUnderflow()) {
                f.set(0, INDEFINITE_SIG, INDEFINITE_SE);
            }
            return;
        }
        FloatContext c = f.begin();
        if (scale) {
            Float80.scale(c, f.sig(0), f.se(0), f.sig(1), f.se(1));
        } else {
            Float80.remainder(c, f.sig(0), f.se(0), f.sig(1), f.se(1), insn.modrm == 0xF5);
        }
        if (f.complete()) {
            f.set(0, c.sig, c.se);
            if (!scale && c.conditions != Float80.NO_QUOTIENT) {
                f.setConditions(c.conditions);
            }
        }
    }

    private static void binaryPopping(FpuState f, Insn insn) {
        if (f.isEmpty(0) || f.isEmpty(1)) {
            if (f.stackUnderflow()) {
                f.set(1, INDEFINITE_SIG, INDEFINITE_SE);
                f.pop();
            }
            return;
        }
        FloatContext c = f.begin();
        switch (insn.row.operation) {
            case FYL2X -> Transcendental80.yLog2(c, f.sig(0), f.se(0), f.sig(1), f.se(1));
            case FYL2XP1 -> Transcendental80.yLog2PlusOne(c, f.sig(0), f.se(0), f.sig(1), f.se(1));
            default -> Transcendental80.arcTangent(c, f.sig(1), f.se(1), f.sig(0), f.se(0));
        }
        if (f.complete()) {
            f.set(1, c.sig, c.se);
            f.pop();
        }
    }

    /** FPTAN and FSINCOS: the first result replaces ST(0), the second is pushed. */
    private static void pushing(FpuState f, Insn insn) {
        boolean tangent = insn.modrm == 0xF2;
        f.status &= ~FpuState.C2;
        if (f.isEmpty(0) || !f.isEmpty(-1)) {
            boolean masked = f.isEmpty(0) ? f.stackUnderflow() : f.stackOverflow();
            if (masked) {
                f.set(0, INDEFINITE_SIG, INDEFINITE_SE);
                f.push(INDEFINITE_SIG, INDEFINITE_SE);
            }
            return;
        }
        FloatContext c = f.begin();
        long sig = f.sig(0);
        int se = f.se(0);
        long secondSig = Float80.INTEGER_BIT;
        int secondSe = Float80.BIAS;
        if (!tangent) {
            Transcendental80.cosine(c, sig, se);
            secondSig = c.sig;
            secondSe = c.se;
            Transcendental80.sine(c, sig, se);
        } else {
            Transcendental80.tangent(c, sig, se);
            if (Float80.isNaN(c.sig, c.se)) {
                secondSig = c.sig;
                secondSe = c.se;
            }
        }
        if (!f.complete()) {
            return;
        }
        f.set(0, c.sig, c.se);
        f.status |= c.conditions;
        if (c.conditions == 0) {
            f.push(secondSig, secondSe);
        }
    }

    private static void extract(FpuState f) {
        if (f.isEmpty(0) || !f.isEmpty(-1)) {
            boolean masked = f.isEmpty(0) ? f.stackUnderflow() : f.stackOverflow();
            if (masked) {
                f.set(0, INDEFINITE_SIG, INDEFINITE_SE);
                f.push(INDEFINITE_SIG, INDEFINITE_SE);
            }
            return;
        }
        FloatContext c = f.begin();
        long sig = f.sig(0);
        int se = f.se(0);
        Float80.extractSignificand(c, sig, se);
        long significand = c.sig;
        int signExponent = c.se;
        Float80.extractExponent(c, sig, se);
        if (f.complete()) {
            f.set(0, c.sig, c.se);
            f.push(significand, signExponent);
        }
    }

    private static void move(FpuState f, int i, boolean condition) {
        if (f.isEmpty(0) || f.isEmpty(i)) {
            if (f.stackUnderflow()) {
                f.set(0, INDEFINITE_SIG, INDEFINITE_SE);
            }
            return;
        }
        if (condition) {
            f.set(0, f.sig(i), f.se(i));
        }
    }
}
