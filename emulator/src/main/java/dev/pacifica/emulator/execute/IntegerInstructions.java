package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.cpu.SystemInstructions;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.fp.FpExecutor;

/**
 * Executes any decoded instruction in any mode: the integer ones here by family, x87, MMX and SSE
 * in room {@code fp}, the system's in room {@code cpu}. The specialised operations of {@link
 * Interpreter} must do exactly what these do.
 */
public final class IntegerInstructions {
    /** The caller advances RIP by the instruction's length. */
    public static final int NEXT = 0;

    /** RIP is set already; look up anew. */
    public static final int JUMPED = 1;

    private IntegerInstructions() {}

    /**
     * Executes one instruction at {@link Cpu#rip}. A fault (GuestException) leaves registers and
     * memory as if the instruction had not begun, but for the finished iterations of a repeated
     * string instruction.
     */
    public static int execute(Cpu cpu, Insn insn) {
        if (insn.row == null) {
            throw cpu.fault(GuestException.UD);
        }
        switch (insn.row.operation) {
            case ADD, OR, ADC, SBB, AND, SUB, XOR -> ArithmeticInstructions.binary(cpu, insn);
            case CMP -> ArithmeticInstructions.compare(cpu, insn);
            case TEST -> ArithmeticInstructions.test(cpu, insn);
            case NOT, NEG, INC, DEC -> ArithmeticInstructions.unary(cpu, insn);
            case MUL -> ArithmeticInstructions.multiply(cpu, insn, false);
            case IMUL -> {
                if (insn.row.operands.size() == 1) {
                    ArithmeticInstructions.multiply(cpu, insn, true);
                } else {
                    ArithmeticInstructions.multiplyInto(cpu, insn);
                }
            }
            case DIV -> ArithmeticInstructions.divide(cpu, insn);
            case IDIV -> ArithmeticInstructions.divideSigned(cpu, insn);
            case DAA -> ArithmeticInstructions.decimalAdjust(cpu, false);
            case DAS -> ArithmeticInstructions.decimalAdjust(cpu, true);
            case AAA -> ArithmeticInstructions.asciiAdjust(cpu, false);
            case AAS -> ArithmeticInstructions.asciiAdjust(cpu, true);
            case AAM -> ArithmeticInstructions.asciiAdjustMultiply(cpu, insn);
            case AAD -> ArithmeticInstructions.asciiAdjustDivide(cpu, insn);
            case ROL, ROR, RCL, RCR, SHL, SHR, SAR -> BitInstructions.shift(cpu, insn);
            case SHLD -> BitInstructions.doubleShift(cpu, insn, true);
            case SHRD -> BitInstructions.doubleShift(cpu, insn, false);
            case BT, BTS, BTR, BTC -> BitInstructions.bitTest(cpu, insn);
            case BSF -> BitInstructions.scan(cpu, insn, false);
            case BSR -> BitInstructions.scan(cpu, insn, true);
            case POPCNT -> BitInstructions.populationCount(cpu, insn);
            case TZCNT -> BitInstructions.count(cpu, insn, false);
            case LZCNT -> BitInstructions.count(cpu, insn, true);
            case CRC32 -> BitInstructions.crc32(cpu, insn);
            case BSWAP -> MoveInstructions.byteSwap(cpu, insn);
            case MOV, MOVNTI -> MoveInstructions.move(cpu, insn);
            case MOVSXD, MOVSX -> MoveInstructions.extend(cpu, insn, true);
            case MOVZX -> MoveInstructions.extend(cpu, insn, false);
            case MOVBE -> MoveInstructions.moveBigEndian(cpu, insn);
            case CMOVCC -> MoveInstructions.conditionalMove(cpu, insn);
            case SETCC -> Operands.write(cpu, insn, 0, 1, cpu.condition(insn.condition) ? 1 : 0);
            case LEA -> MoveInstructions.loadAddress(cpu, insn);
            case XCHG -> MoveInstructions.exchange(cpu, insn);
            case NOP, PREFETCH, LFENCE, MFENCE, SFENCE -> {}
            case CBW -> MoveInstructions.widenAccumulator(cpu, insn);
            case CWD -> MoveInstructions.widenToPair(cpu, insn);
            case XLAT -> MoveInstructions.translateByte(cpu, insn);
            case CMPXCHG -> MoveInstructions.compareExchange(cpu, insn);
            case XADD -> MoveInstructions.exchangeAdd(cpu, insn);
            case CMPXCHG8B -> MoveInstructions.compareExchange8(cpu, insn);
            case CMPXCHG16B -> MoveInstructions.compareExchange16(cpu, insn);
            case CLZERO -> MoveInstructions.clearLine(cpu, insn);
            case CLFLUSH, CLFLUSHOPT, CLWB ->
                    cpu.mmu.probeRead(Operands.address(cpu, insn, 1, false), 1);
            case MOV_FROM_SEG -> StackInstructions.moveFromSegment(cpu, insn);
            case PUSH_SEG -> StackInstructions.pushSegment(cpu, insn);
            case PUSH -> StackInstructions.push(cpu, insn);
            case POP -> StackInstructions.pop(cpu, insn);
            case PUSHA -> StackInstructions.pushAll(cpu, insn);
            case POPA -> StackInstructions.popAll(cpu, insn);
            case ENTER -> StackInstructions.enter(cpu, insn);
            case LEAVE -> StackInstructions.leave(cpu, insn);
            case JCC -> {
                return BranchInstructions.conditionalJump(cpu, insn);
            }
            case LOOP -> {
                return BranchInstructions.loop(cpu, insn, false, false);
            }
            case LOOPE -> {
                return BranchInstructions.loop(cpu, insn, true, true);
            }
            case LOOPNE -> {
                return BranchInstructions.loop(cpu, insn, true, false);
            }
            case JRCXZ -> {
                return BranchInstructions.jumpIfCountZero(cpu, insn);
            }
            case CALL -> {
                return BranchInstructions.call(cpu, insn);
            }
            case JMP -> {
                return BranchInstructions.jump(cpu, insn);
            }
            case RET -> {
                return BranchInstructions.ret(cpu, insn);
            }
            case BOUND -> BranchInstructions.bound(cpu, insn);
            case MOVS, CMPS, STOS, LODS, SCAS -> {
                return StringInstructions.execute(cpu, insn);
            }
            case SAHF -> sahf(cpu);
            case LAHF ->
                    cpu.r[Cpu.RAX] = cpu.r[Cpu.RAX] & ~0xff00L | (cpu.rflags() & 0xd5 | 2) << 8;
            case CMC -> cpu.setCf(!cpu.cf());
            case CLC -> cpu.setCf(false);
            case STC -> cpu.setCf(true);
            case CLD -> cpu.setRflags(cpu.rflags() & ~Cpu.DF);
            case STD -> cpu.setRflags(cpu.rflags() | Cpu.DF);
            case SALC -> cpu.r[Cpu.RAX] = cpu.r[Cpu.RAX] & ~0xffL | (cpu.cf() ? 0xff : 0);
            case UD0, UD1, UD2 -> throw cpu.fault(GuestException.UD);
            case PAUSE,
                    MOV_TO_SEG,
                    POP_SEG,
                    LES,
                    LDS,
                    LSS,
                    LFS,
                    LGS,
                    PUSHF,
                    POPF,
                    CALL_FAR,
                    JMP_FAR,
                    RET_FAR,
                    INT3,
                    INT,
                    INTO,
                    INT1,
                    IRET,
                    INS,
                    OUTS,
                    IN,
                    OUT,
                    CLI,
                    STI,
                    SLDT,
                    STR,
                    LLDT,
                    LTR,
                    VERR,
                    VERW,
                    SGDT,
                    SIDT,
                    LGDT,
                    LIDT,
                    SMSW,
                    LMSW,
                    INVLPG,
                    MONITOR,
                    MWAIT,
                    MONITORX,
                    MWAITX,
                    CLAC,
                    STAC,
                    XGETBV,
                    XSETBV,
                    VMRUN,
                    VMMCALL,
                    VMLOAD,
                    VMSAVE,
                    STGI,
                    CLGI,
                    SKINIT,
                    INVLPGA,
                    SWAPGS,
                    RDTSCP,
                    RDPRU,
                    LAR,
                    LSL,
                    ARPL,
                    SYSCALL,
                    SYSRET,
                    SYSENTER,
                    SYSEXIT,
                    CLTS,
                    INVD,
                    WBINVD,
                    WBNOINVD,
                    MOV_FROM_CR,
                    MOV_TO_CR,
                    MOV_FROM_DR,
                    MOV_TO_DR,
                    WRMSR,
                    RDMSR,
                    RDTSC,
                    RDPMC,
                    CPUID,
                    RSM,
                    HLT,
                    INVPCID,
                    INVLPGB,
                    TLBSYNC,
                    MCOMMIT,
                    RDFSBASE,
                    RDGSBASE,
                    WRFSBASE,
                    WRGSBASE,
                    RDRAND,
                    RDSEED,
                    RDPID -> {
                return SystemInstructions.execute(cpu, insn);
            }
            default -> FpExecutor.execute(cpu, insn);
        }
        return NEXT;
    }

    private static void sahf(Cpu cpu) {
        int ah = (int) (cpu.r[Cpu.RAX] >>> 8);
        cpu.setArithmeticFlags(
                ah & (Cpu.CF | Cpu.PF | Cpu.AF | Cpu.ZF | Cpu.SF) | cpu.arithmeticFlags() & Cpu.OF);
    }
}
