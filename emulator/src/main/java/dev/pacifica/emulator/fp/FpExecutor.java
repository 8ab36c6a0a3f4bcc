package dev.pacifica.emulator.fp;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.InstructionRow;
import dev.pacifica.emulator.decode.InstructionTable;
import dev.pacifica.emulator.decode.Operand;
import dev.pacifica.emulator.decode.Operation;
import java.util.List;

/**
 * Executes every x87, MMX and SSE instruction: checks whether the unit may be used, then hands over
 * to the family's class. The caller advances RIP afterwards. An instruction that faults leaves
 * everything but exception flags unchanged.
 */
public final class FpExecutor {
    private static final int NONE = 0;
    private static final int X87 = 1;
    private static final int X87_CONTROL = 2;
    private static final int ARITHMETIC = 3;
    private static final int MOVE = 4;
    private static final int CONVERT = 5;
    private static final int INTEGER = 6;
    private static final int SHUFFLE = 7;
    private static final int STATE = 8;
    private static final int SSE4 = 9;
    private static final int EXTENDED_STATE = 10;

    private static final int USES_XMM = 0x10;
    private static final int USES_MMX = 0x20;
    private static final int FAMILY = 0x0F;

    /** By row: the family and which registers it touches. */
    private static final byte[] KIND = kinds();

    private FpExecutor() {}

    /** Whether this room executes the form. */
    public static boolean handles(InstructionRow row) {
        return KIND[row.id] != NONE;
    }

    /**
     * Executes one instruction for which {@link #handles} is true. Throws the guest's exceptions.
     */
    public static void execute(Cpu cpu, Insn insn) {
        int kind = KIND[insn.row.id];
        switch (kind & FAMILY) {
            case X87 -> {
                checkX87(cpu);
                X87Executor.execute(cpu, insn);
                reportOutside(cpu);
            }
            case X87_CONTROL -> {
                X87Control.execute(cpu, insn);
                reportOutside(cpu);
            }
            case STATE -> {
                FpStateTransfer.execute(cpu, insn);
                reportOutside(cpu);
            }
            case EXTENDED_STATE -> {
                ExtendedStateTransfer.execute(cpu, insn);
                reportOutside(cpu);
            }
            case NONE -> throw cpu.fault(GuestException.UD);
            default -> {
                checkSimd(cpu, kind);
                executeSimd(cpu, insn, kind);
            }
        }
    }

    private static void executeSimd(Cpu cpu, Insn insn, int kind) {
        switch (kind & FAMILY) {
            case ARITHMETIC -> SseArithmetic.execute(cpu, insn);
            case MOVE -> SseMove.execute(cpu, insn);
            case CONVERT -> SseConvert.execute(cpu, insn);
            case INTEGER -> SimdInteger.execute(cpu, insn, (kind & USES_XMM) != 0);
            case SHUFFLE -> SimdShuffle.execute(cpu, insn, (kind & USES_XMM) != 0);
            default -> Sse4.execute(cpu, insn);
        }
    }

    /** #NM by CR0.EM and TS, then a pending #MF. */
    static void checkX87(Cpu cpu) {
        if ((cpu.cr0 & (Cpu.CR0_EM | Cpu.CR0_TS)) != 0) {
            throw cpu.fault(GuestException.NM);
        }
        checkPending(cpu);
    }

    /**
     * Raises #MF for a pending exception. With CR0.NE clear it is reported outside the processor
     * (FERR), which freezes until an interrupt comes, unless IGNNE lets it go on.
     */
    static void checkPending(Cpu cpu) {
        if (cpu.fpu.pending()) {
            if ((cpu.cr0 & Cpu.CR0_NE) != 0) {
                throw cpu.fault(GuestException.MF);
            }
            if (!cpu.msrs.numericErrorsIgnored()) {
                cpu.fpu.raiseErrorLine();
                throw cpu.events.freeze();
            }
        }
    }

    private static void reportOutside(Cpu cpu) {
        if (cpu.fpu.pending() && (cpu.cr0 & Cpu.CR0_NE) == 0) {
            cpu.fpu.raiseErrorLine();
        }
    }

    private static void checkSimd(Cpu cpu, int kind) {
        boolean xmm = (kind & USES_XMM) != 0;
        if ((cpu.cr0 & Cpu.CR0_EM) != 0 || (xmm && (cpu.cr4 & Cpu.CR4_OSFXSR) == 0)) {
            throw cpu.fault(GuestException.UD);
        }
        if ((cpu.cr0 & Cpu.CR0_TS) != 0) {
            throw cpu.fault(GuestException.NM);
        }
        if ((kind & USES_MMX) != 0) {
            checkPending(cpu);
        }
    }

    /** Records the SSE flags; raises #XM (#UD without CR4.OSXMMEXCPT) if one is unmasked. */
    static void completeSse(Cpu cpu) {
        if (!cpu.fpu.completeSse()) {
            throw cpu.fault(
                    (cpu.cr4 & Cpu.CR4_OSXMMEXCPT) != 0 ? GuestException.XM : GuestException.UD);
        }
    }

    private static byte[] kinds() {
        List<InstructionRow> rows = InstructionTable.rows();
        byte[] kinds = new byte[rows.size()];
        for (InstructionRow row : rows) {
            int kind = family(row.operation);
            if (kind == NONE) {
                continue;
            }
            for (Operand operand : row.operands) {
                switch (operand.kind()) {
                    case XMM, XMM_RM, XMM_OR_MEMORY, XMM0 -> kind |= USES_XMM;
                    case MMX, MMX_RM, MMX_OR_MEMORY -> kind |= USES_MMX;
                    default -> {}
                }
            }
            if (row.operation == Operation.EMMS) {
                kind |= USES_MMX;
            }
            kinds[row.id] = (byte) kind;
        }
        return kinds;
    }

    private static int family(Operation operation) {
        return switch (operation) {
            case FADD,
                    FMUL,
                    FCOM,
                    FCOMP,
                    FSUB,
                    FSUBR,
                    FDIV,
                    FDIVR,
                    FIADD,
                    FADDP,
                    FIMUL,
                    FMULP,
                    FICOM,
                    FICOMP,
                    FCOMPP,
                    FISUB,
                    FSUBRP,
                    FISUBR,
                    FSUBP,
                    FIDIV,
                    FDIVRP,
                    FIDIVR,
                    FDIVP,
                    FLD,
                    FST,
                    FSTP,
                    FILD,
                    FIST,
                    FISTP,
                    FISTTP,
                    FBLD,
                    FBSTP,
                    FXCH,
                    FNOP,
                    FCHS,
                    FABS,
                    FTST,
                    FXAM,
                    FLD1,
                    FLDL2T,
                    FLDL2E,
                    FLDPI,
                    FLDLG2,
                    FLDLN2,
                    FLDZ,
                    F2XM1,
                    FYL2X,
                    FPTAN,
                    FPATAN,
                    FXTRACT,
                    FPREM1,
                    FDECSTP,
                    FINCSTP,
                    FPREM,
                    FYL2XP1,
                    FSQRT,
                    FSINCOS,
                    FRNDINT,
                    FSCALE,
                    FSIN,
                    FCOS,
                    FCMOVB,
                    FCMOVE,
                    FCMOVBE,
                    FCMOVU,
                    FCMOVNB,
                    FCMOVNE,
                    FCMOVNBE,
                    FCMOVNU,
                    FUCOMPP,
                    FUCOMI,
                    FCOMI,
                    FUCOMIP,
                    FCOMIP,
                    FFREE,
                    FFREEP,
                    FUCOM,
                    FUCOMP ->
                    X87;
            case WAIT,
                    FLDENV,
                    FLDCW,
                    FNSTENV,
                    FNSTCW,
                    FRSTOR,
                    FNSAVE,
                    FNSTSW,
                    FNCLEX,
                    FNINIT,
                    FNENI,
                    FNDISI,
                    FNSETPM ->
                    X87_CONTROL;
            case FXSAVE, FXRSTOR, LDMXCSR, STMXCSR -> STATE;
            case XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR, XRSTORS -> EXTENDED_STATE;
            case ADDPS,
                    ADDPD,
                    ADDSS,
                    ADDSD,
                    MULPS,
                    MULPD,
                    MULSS,
                    MULSD,
                    SUBPS,
                    SUBPD,
                    SUBSS,
                    SUBSD,
                    MINPS,
                    MINPD,
                    MINSS,
                    MINSD,
                    DIVPS,
                    DIVPD,
                    DIVSS,
                    DIVSD,
                    MAXPS,
                    MAXPD,
                    MAXSS,
                    MAXSD,
                    SQRTPS,
                    SQRTPD,
                    SQRTSS,
                    SQRTSD,
                    RSQRTPS,
                    RSQRTSS,
                    RCPPS,
                    RCPSS,
                    CMPPS,
                    CMPPD,
                    CMPSS,
                    CMPSD_SSE,
                    UCOMISS,
                    UCOMISD,
                    COMISS,
                    COMISD,
                    HADDPD,
                    HADDPS,
                    HSUBPD,
                    HSUBPS,
                    ADDSUBPD,
                    ADDSUBPS ->
                    ARITHMETIC;
            case MOVD,
                    MOVQ_GPR,
                    MOVQ,
                    MOVDQA,
                    MOVDQU,
                    MOVQ2DQ,
                    MOVDQ2Q,
                    MOVUPS,
                    MOVUPD,
                    MOVSS,
                    MOVSD_SSE,
                    MOVLPS,
                    MOVHLPS,
                    MOVLPD,
                    MOVHPS,
                    MOVLHPS,
                    MOVHPD,
                    MOVSLDUP,
                    MOVSHDUP,
                    MOVDDUP,
                    MOVAPS,
                    MOVAPD,
                    MOVNTPS,
                    MOVNTPD,
                    MOVNTQ,
                    MOVNTDQ,
                    MOVNTSS,
                    MOVNTSD,
                    MOVMSKPS,
                    MOVMSKPD,
                    PMOVMSKB,
                    MASKMOVQ,
                    MASKMOVDQU,
                    LDDQU,
                    MOVNTDQA,
                    EMMS ->
                    MOVE;
            case CVTPI2PS,
                    CVTPI2PD,
                    CVTSI2SS,
                    CVTSI2SD,
                    CVTTPS2PI,
                    CVTTPD2PI,
                    CVTTSS2SI,
                    CVTTSD2SI,
                    CVTPS2PI,
                    CVTPD2PI,
                    CVTSS2SI,
                    CVTSD2SI,
                    CVTPS2PD,
                    CVTPD2PS,
                    CVTSS2SD,
                    CVTSD2SS,
                    CVTDQ2PS,
                    CVTPS2DQ,
                    CVTTPS2DQ,
                    CVTTPD2DQ,
                    CVTDQ2PD,
                    CVTPD2DQ ->
                    CONVERT;
            case ANDPS,
                    ANDPD,
                    ANDNPS,
                    ANDNPD,
                    ORPS,
                    ORPD,
                    XORPS,
                    XORPD,
                    PCMPGTB,
                    PCMPGTW,
                    PCMPGTD,
                    PSRLW,
                    PSRAW,
                    PSLLW,
                    PSRLD,
                    PSRAD,
                    PSLLD,
                    PSRLQ,
                    PSLLQ,
                    PCMPEQB,
                    PCMPEQW,
                    PCMPEQD,
                    PADDQ,
                    PMULLW,
                    PSUBUSB,
                    PSUBUSW,
                    PMINUB,
                    PAND,
                    PADDUSB,
                    PADDUSW,
                    PMAXUB,
                    PANDN,
                    PAVGB,
                    PAVGW,
                    PMULHUW,
                    PMULHW,
                    PSUBSB,
                    PSUBSW,
                    PMINSW,
                    POR,
                    PADDSB,
                    PADDSW,
                    PMAXSW,
                    PXOR,
                    PMULUDQ,
                    PMADDWD,
                    PSADBW,
                    PSUBB,
                    PSUBW,
                    PSUBD,
                    PSUBQ,
                    PADDB,
                    PADDW,
                    PADDD,
                    PMADDUBSW,
                    PSIGNB,
                    PSIGNW,
                    PSIGND,
                    PMULHRSW,
                    PABSB,
                    PABSW,
                    PABSD,
                    PMULDQ,
                    PCMPEQQ,
                    PMINSB,
                    PMINSD,
                    PMINUW,
                    PMINUD,
                    PMAXSB,
                    PMAXSD,
                    PMAXUW,
                    PMAXUD,
                    PMULLD,
                    PCMPGTQ ->
                    INTEGER;
            case UNPCKLPS,
                    UNPCKLPD,
                    UNPCKHPS,
                    UNPCKHPD,
                    SHUFPS,
                    SHUFPD,
                    PUNPCKLBW,
                    PUNPCKLWD,
                    PUNPCKLDQ,
                    PACKSSWB,
                    PACKUSWB,
                    PUNPCKHBW,
                    PUNPCKHWD,
                    PUNPCKHDQ,
                    PACKSSDW,
                    PUNPCKLQDQ,
                    PUNPCKHQDQ,
                    PSHUFW,
                    PSHUFD,
                    PSHUFHW,
                    PSHUFLW,
                    PSRLDQ,
                    PSLLDQ,
                    PINSRW,
                    PEXTRW,
                    PSHUFB,
                    PHADDW,
                    PHADDD,
                    PHADDSW,
                    PHSUBW,
                    PHSUBD,
                    PHSUBSW,
                    PALIGNR,
                    PACKUSDW ->
                    SHUFFLE;
            case PBLENDVB,
                    BLENDVPS,
                    BLENDVPD,
                    PTEST,
                    PMOVSXBW,
                    PMOVSXBD,
                    PMOVSXBQ,
                    PMOVSXWD,
                    PMOVSXWQ,
                    PMOVSXDQ,
                    PMOVZXBW,
                    PMOVZXBD,
                    PMOVZXBQ,
                    PMOVZXWD,
                    PMOVZXWQ,
                    PMOVZXDQ,
                    PHMINPOSUW,
                    ROUNDPS,
                    ROUNDPD,
                    ROUNDSS,
                    ROUNDSD,
                    BLENDPS,
                    BLENDPD,
                    PBLENDW,
                    PEXTRB,
                    PEXTRD,
                    PEXTRQ,
                    EXTRACTPS,
                    PINSRB,
                    INSERTPS,
                    PINSRD,
                    PINSRQ,
                    DPPS,
                    DPPD,
                    MPSADBW,
                    PCMPESTRM,
                    PCMPESTRI,
                    PCMPISTRM,
                    PCMPISTRI ->
                    SSE4;
            default -> NONE;
        };
    }
}
