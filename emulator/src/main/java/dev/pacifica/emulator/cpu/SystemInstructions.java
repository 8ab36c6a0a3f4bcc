package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.Insn;

/**
 * The instructions that touch the system state: control, debug and segment registers, MSRs,
 * descriptor tables, far transfers, interrupts, I/O, flags with privilege, SVM. {@link
 * Cpu#insnLength} must be set.
 */
public final class SystemInstructions {
    /** The caller advances RIP by the instruction's length. */
    public static final int NEXT = 0;

    /**
     * RIP, mode or world are set already; a repeated instruction that is not complete leaves RIP at
     * itself.
     */
    public static final int JUMPED = 1;

    private static final int EXIT_RSM = 0x73;
    private static final int EXIT_PAUSE = 0x77;

    private SystemInstructions() {}

    /** Executes one; #UD for what it does not know. */
    public static int execute(Cpu cpu, Insn insn) {
        if (insn.row.protectedOnly && (!cpu.protectedMode || cpu.vm86)) {
            throw cpu.fault(GuestException.UD);
        }
        switch (insn.row.operation) {
            case VMRUN, VMMCALL, VMLOAD, VMSAVE, STGI, CLGI, SKINIT, INVLPGA -> {
                return executeSvm(cpu, insn);
            }
            case CLAC, STAC, SYSRET, MONITOR, MWAIT, XSETBV -> {} // not the first to check
            default -> {
                if (insn.row.cpl == 0 && cpu.cpl != 0) {
                    throw cpu.fault(GuestException.GP, 0);
                }
            }
        }
        return switch (insn.row.operation) {
            case MOV_FROM_CR -> ControlRegisterInstructions.moveFrom(cpu, insn);
            case MOV_TO_CR -> ControlRegisterInstructions.moveTo(cpu, insn);
            case SMSW -> ControlRegisterInstructions.storeMachineStatus(cpu, insn);
            case LMSW -> ControlRegisterInstructions.loadMachineStatus(cpu, insn);
            case CLTS -> ControlRegisterInstructions.clearTaskSwitched(cpu);
            case MOV_FROM_DR -> DebugRegisterInstructions.moveFrom(cpu, insn);
            case MOV_TO_DR -> DebugRegisterInstructions.moveTo(cpu, insn);
            case RDMSR -> MsrInstructions.read(cpu);
            case WRMSR -> MsrInstructions.write(cpu);
            case RDTSC -> MsrInstructions.timeStamp(cpu);
            case RDTSCP -> MsrInstructions.timeStampAndAux(cpu);
            case RDPMC -> MsrInstructions.performanceCounter(cpu);
            case CPUID -> MsrInstructions.cpuid(cpu);
            case MOV_FROM_SEG -> SegmentInstructions.moveFrom(cpu, insn);
            case MOV_TO_SEG -> SegmentInstructions.moveTo(cpu, insn);
            case PUSH_SEG -> SegmentInstructions.push(cpu, insn);
            case POP_SEG -> SegmentInstructions.pop(cpu, insn);
            case LES -> SegmentInstructions.loadPointer(cpu, insn, Cpu.ES);
            case LDS -> SegmentInstructions.loadPointer(cpu, insn, Cpu.DS);
            case LSS -> SegmentInstructions.loadPointer(cpu, insn, Cpu.SS);
            case LFS -> SegmentInstructions.loadPointer(cpu, insn, Cpu.FS);
            case LGS -> SegmentInstructions.loadPointer(cpu, insn, Cpu.GS);
            case SLDT -> SegmentInstructions.storeLdt(cpu, insn);
            case STR -> SegmentInstructions.storeTask(cpu, insn);
            case LLDT -> SegmentInstructions.loadLdt(cpu, insn);
            case LTR -> SegmentInstructions.loadTask(cpu, insn);
            case SGDT -> SegmentInstructions.storeTable(cpu, insn, false);
            case SIDT -> SegmentInstructions.storeTable(cpu, insn, true);
            case LGDT -> SegmentInstructions.loadTable(cpu, insn, false);
            case LIDT -> SegmentInstructions.loadTable(cpu, insn, true);
            case LAR -> SegmentInstructions.accessRights(cpu, insn, false);
            case LSL -> SegmentInstructions.accessRights(cpu, insn, true);
            case VERR -> SegmentInstructions.verify(cpu, insn, false);
            case VERW -> SegmentInstructions.verify(cpu, insn, true);
            case ARPL -> SegmentInstructions.adjustRpl(cpu, insn);
            case SWAPGS -> SegmentInstructions.swapGs(cpu);
            case RDFSBASE -> SegmentInstructions.base(cpu, insn, Cpu.FS, false);
            case RDGSBASE -> SegmentInstructions.base(cpu, insn, Cpu.GS, false);
            case WRFSBASE -> SegmentInstructions.base(cpu, insn, Cpu.FS, true);
            case WRGSBASE -> SegmentInstructions.base(cpu, insn, Cpu.GS, true);
            case JMP_FAR -> branch(cpu, FarTransfer.jump(cpu, insn));
            case CALL_FAR -> branch(cpu, FarTransfer.call(cpu, insn));
            case RET_FAR -> branch(cpu, FarTransfer.ret(cpu, insn));
            case INT -> InterruptInstructions.interrupt(cpu, insn);
            case INT3 -> InterruptInstructions.breakpoint(cpu);
            case INTO -> InterruptInstructions.overflow(cpu);
            case INT1 -> InterruptInstructions.icebp(cpu);
            case IRET -> branch(cpu, InterruptInstructions.iret(cpu, insn));
            case SYSCALL -> branch(cpu, FastSystemCalls.syscall(cpu, insn));
            case SYSRET -> branch(cpu, FastSystemCalls.sysret(cpu, insn));
            case SYSENTER -> branch(cpu, FastSystemCalls.sysenter(cpu));
            case SYSEXIT -> branch(cpu, FastSystemCalls.sysexit(cpu));
            case PUSHF -> FlagInstructions.pushFlags(cpu, insn);
            case POPF -> FlagInstructions.popFlags(cpu, insn);
            case CLI -> FlagInstructions.clearInterrupts(cpu);
            case STI -> FlagInstructions.setInterrupts(cpu);
            case CLAC -> FlagInstructions.alignmentCheck(cpu, false);
            case STAC -> FlagInstructions.alignmentCheck(cpu, true);
            case IN, OUT -> IoInstructions.single(cpu, insn);
            case INS, OUTS -> IoInstructions.string(cpu, insn);
            case HLT -> SystemIdle.halt(cpu);
            case MONITOR -> SystemIdle.monitor(cpu, insn);
            case MWAIT -> SystemIdle.mwait(cpu);
            case MONITORX -> SystemIdle.monitorAtAnyPrivilege(cpu, insn);
            case MWAITX -> SystemIdle.mwaitAtAnyPrivilege(cpu);
            case INVLPG -> CacheInstructions.invalidatePage(cpu, insn);
            case INVPCID -> CacheInstructions.invalidatePcid(cpu, insn);
            case INVLPGB -> BroadcastInvalidation.invalidate(cpu, insn.addressSize);
            case TLBSYNC -> BroadcastInvalidation.synchronise(cpu);
            case RDPRU -> ReadProcessorRegister.read(cpu);
            case XGETBV -> ExtendedControlRegisters.read(cpu);
            case XSETBV -> ExtendedControlRegisters.write(cpu);
            case MCOMMIT -> CacheInstructions.commitStores(cpu);
            case INVD -> CacheInstructions.invalidateCaches(cpu);
            case WBINVD, WBNOINVD -> CacheInstructions.writeBackCaches(cpu);
            case RDRAND, RDSEED -> cpu.random.read(cpu, insn);
            case RDPID -> MsrInstructions.processorId(cpu, insn);
            case PAUSE -> pause(cpu);
            case RSM -> resume(cpu);
            default -> throw cpu.fault(GuestException.UD);
        };
    }

    /** As {@link #execute}, of an instruction whose feature is SVM. */
    public static int executeSvm(Cpu cpu, Insn insn) {
        if (insn.row.protectedOnly && (!cpu.protectedMode || cpu.vm86)) {
            throw cpu.fault(GuestException.UD);
        }
        return cpu.svm.execute(insn); // which checks EFER.SVME before CPL
    }

    /**
     * The instruction was a far control transfer: the debug facilities look for those (§13.1.6),
     * and the monitor is armed no more (APM Vol 3, MWAIT).
     */
    private static int branch(Cpu cpu, int how) {
        cpu.branchTaken = true;
        cpu.monitorArmed = false;
        return how;
    }

    private static int pause(Cpu cpu) {
        if (cpu.guestMode && cpu.svm.pauseIntercepted()) {
            cpu.svm.exit(EXIT_PAUSE, 0, 0);
            return JUMPED;
        }
        cpu.yieldTurn();
        return NEXT;
    }

    /** Outside SMM RSM is undefined; its intercept comes first (table 15-7). */
    private static int resume(Cpu cpu) {
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_RSM)) {
            cpu.svm.exit(EXIT_RSM, 0, 0);
            return JUMPED;
        }
        if (!cpu.smm.handling()) {
            throw cpu.fault(GuestException.UD);
        }
        cpu.events.suppressStep();
        cpu.events.resumeFlagLoaded();
        long from = cpu.rip;
        cpu.smm.resume();
        cpu.msrs.recordBranch(from, cpu.rip);
        return JUMPED;
    }
}
