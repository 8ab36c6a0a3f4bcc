package dev.pacifica.emulator.check;

import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.InstructionRow;
import dev.pacifica.emulator.decode.InstructionTable;
import dev.pacifica.emulator.decode.Operand;
import dev.pacifica.emulator.decode.Operation;
import java.util.List;

/**
 * Which x87 and SSE state an instruction works with. Moves, shuffles, saving and loading work with
 * nothing: software that switches the state does it by them.
 */
final class FpuUse {
    /** The destination is an operand too. */
    private static final int DESTINATION = 1;

    private static final int SOURCE = 2;

    /** Rounds, or raises exceptions, as MXCSR says. */
    private static final int MXCSR = 4;

    /** x87 arithmetic. */
    private static final int X87 = 8;

    /** Of a register with itself gives a constant. */
    private static final int CONSTANT = 16;

    /** By row. */
    private static final byte[] USES = uses();

    private FpuUse() {}

    private static byte[] uses() {
        byte[] uses = new byte[InstructionTable.rows().size()];
        for (InstructionRow row : InstructionTable.rows()) {
            uses[row.id] = (byte) uses(row.operation);
        }
        return uses;
    }

    private static int uses(Operation operation) {
        return switch (operation) {
            case ADDPS, ADDPD, ADDSS, ADDSD, MULPS, MULPD, MULSS, MULSD ->
                    DESTINATION | SOURCE | MXCSR;
            case SUBPS, SUBPD, SUBSS, SUBSD, DIVPS, DIVPD, DIVSS, DIVSD ->
                    DESTINATION | SOURCE | MXCSR;
            case MINPS, MINPD, MINSS, MINSD, MAXPS, MAXPD, MAXSS, MAXSD ->
                    DESTINATION | SOURCE | MXCSR;
            case CMPPS, CMPPD, CMPSS, CMPSD_SSE -> DESTINATION | SOURCE | MXCSR;
            case UCOMISS, UCOMISD, COMISS, COMISD -> DESTINATION | SOURCE | MXCSR;
            case HADDPD, HADDPS, HSUBPD, HSUBPS, ADDSUBPD, ADDSUBPS, DPPS, DPPD ->
                    DESTINATION | SOURCE | MXCSR;
            case SQRTPS, SQRTPD, SQRTSS, SQRTSD, ROUNDPS, ROUNDPD, ROUNDSS, ROUNDSD ->
                    SOURCE | MXCSR;
            case RSQRTPS, RSQRTSS, RCPPS, RCPSS, PABSB, PABSW, PABSD, PHMINPOSUW -> SOURCE;
            case CVTSI2SS, CVTSI2SD, CVTSS2SI, CVTSD2SI, CVTTSS2SI, CVTTSD2SI -> SOURCE | MXCSR;
            case CVTPS2PD, CVTPD2PS, CVTSS2SD, CVTSD2SS, CVTDQ2PS, CVTPS2DQ -> SOURCE | MXCSR;
            case CVTTPS2DQ, CVTTPD2DQ, CVTDQ2PD, CVTPD2DQ -> SOURCE | MXCSR;
            case ANDPS, ANDPD, ORPS, ORPD, PAND, POR -> DESTINATION | SOURCE;
            case XORPS, XORPD, ANDNPS, ANDNPD, PXOR, PANDN -> DESTINATION | SOURCE | CONSTANT;
            case PCMPGTB, PCMPGTW, PCMPGTD, PCMPGTQ, PCMPEQB, PCMPEQW, PCMPEQD, PCMPEQQ ->
                    DESTINATION | SOURCE | CONSTANT;
            case PSUBB, PSUBW, PSUBD, PSUBQ, PSUBSB, PSUBSW, PSUBUSB, PSUBUSW ->
                    DESTINATION | SOURCE | CONSTANT;
            case PADDB, PADDW, PADDD, PADDQ, PADDSB, PADDSW, PADDUSB, PADDUSW ->
                    DESTINATION | SOURCE;
            case PMULLW, PMULHW, PMULHUW, PMULUDQ, PMULDQ, PMULLD, PMULHRSW -> DESTINATION | SOURCE;
            case PMADDWD, PMADDUBSW, PSADBW, MPSADBW, PAVGB, PAVGW -> DESTINATION | SOURCE;
            case PMINUB, PMINSW, PMINSB, PMINSD, PMINUW, PMINUD -> DESTINATION | SOURCE;
            case PMAXUB, PMAXSW, PMAXSB, PMAXSD, PMAXUW, PMAXUD -> DESTINATION | SOURCE;
            case PHADDW, PHADDD, PHADDSW, PHSUBW, PHSUBD, PHSUBSW -> DESTINATION | SOURCE;
            case PSIGNB, PSIGNW, PSIGND, PTEST -> DESTINATION | SOURCE;
            case PSRLW, PSRLD, PSRLQ, PSRAW, PSRAD, PSLLW, PSLLD, PSLLQ -> DESTINATION | SOURCE;
            case PCMPESTRM, PCMPESTRI, PCMPISTRM, PCMPISTRI -> DESTINATION | SOURCE;
            case FADD,
                    FADDP,
                    FIADD,
                    FMUL,
                    FMULP,
                    FIMUL,
                    FSUB,
                    FSUBP,
                    FISUB,
                    FSUBR,
                    FSUBRP,
                    FISUBR ->
                    X87;
            case FDIV, FDIVP, FIDIV, FDIVR, FDIVRP, FIDIVR, FCOM, FCOMP, FCOMPP, FICOM, FICOMP ->
                    X87;
            case FUCOM, FUCOMP, FUCOMPP, FCOMI, FCOMIP, FUCOMI, FUCOMIP, FTST, FCHS, FABS -> X87;
            case F2XM1, FYL2X, FYL2XP1, FPTAN, FPATAN, FXTRACT, FPREM, FPREM1, FSQRT -> X87;
            case FSINCOS, FSIN, FCOS, FRNDINT, FSCALE -> X87;
            default -> 0;
        };
    }

    /** Whether the instruction works with any state that is followed. */
    static boolean any(Insn insn) {
        return USES[insn.row.id] != 0;
    }

    /** Whether the instruction is arithmetic of the x87 unit, with ST(0) among its operands. */
    static boolean x87(Insn insn) {
        return (USES[insn.row.id] & X87) != 0;
    }

    /** Whether MXCSR's control bits matter to the instruction. */
    static boolean mxcsr(Insn insn) {
        return (USES[insn.row.id] & MXCSR) != 0;
    }

    /** The XMM registers, as a mask, that the instruction calculates or compares with. */
    static int xmm(Insn insn) {
        int uses = USES[insn.row.id];
        if ((uses & (DESTINATION | SOURCE)) == 0
                || (uses & CONSTANT) != 0 && !insn.memory && insn.rm == insn.reg) {
            return 0;
        }
        int mask = 0;
        int role = DESTINATION;
        List<Operand> operands = insn.row.operands;
        for (int i = 0; i < operands.size(); i++) { // without an iterator: it is a hot path
            Operand operand = operands.get(i);
            if ((uses & role) != 0) {
                mask |=
                        switch (operand.kind()) {
                            case XMM -> 1 << insn.reg;
                            case XMM_RM -> 1 << insn.rm;
                            case XMM_OR_MEMORY -> insn.memory ? 0 : 1 << insn.rm;
                            case XMM0 -> 1;
                            default -> 0;
                        };
            }
            role = SOURCE;
        }
        return mask;
    }
}
