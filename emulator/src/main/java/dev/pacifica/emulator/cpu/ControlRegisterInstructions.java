package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.Insn;

/**
 * MOV to and from CR0, 2, 3, 4, 8, LMSW, SMSW, CLTS (APM Vol 2 §3.1, §14.6 for the activation of
 * long mode).
 */
public final class ControlRegisterInstructions {
    private static final int EXIT_CR_READ = 0x00;
    private static final int EXIT_CR_WRITE = 0x10;
    private static final int EXIT_CR0_SELECTIVE = 0x65;
    private static final int EXIT_CR_WRITE_TRAP = 0x90;

    /** EXITINFO1 of a MOV CRx: valid flag beside the register's number (§15.8.1). */
    private static final long ASSIST_VALID = 1L << 63;

    /** The bits of CR0 that exist. */
    static final long CR0_IMPLEMENTED =
            Cpu.CR0_PE
                    | Cpu.CR0_MP
                    | Cpu.CR0_EM
                    | Cpu.CR0_TS
                    | Cpu.CR0_ET
                    | Cpu.CR0_NE
                    | Cpu.CR0_WP
                    | Cpu.CR0_AM
                    | Cpu.CR0_NW
                    | Cpu.CR0_CD
                    | Cpu.CR0_PG;

    /** Bits of CR0 whose change makes cached translations wrong. */
    private static final long CR0_PAGING = Cpu.CR0_PG | Cpu.CR0_WP | Cpu.CR0_PE;

    private static final long CR4_PAGING =
            Cpu.CR4_PGE | Cpu.CR4_PAE | Cpu.CR4_PSE | Cpu.CR4_SMEP | Cpu.CR4_PCIDE;

    /**
     * Reserved bits of a PDPTE in legacy PAE paging: 2:1, 8:5 and everything above the physical
     * address.
     */
    private static final long PDPTE_RESERVED = 0x1e6L | ~((1L << CpuModel.PHYSICAL_BITS) - 1);

    private ControlRegisterInstructions() {}

    static int moveFrom(Cpu cpu, Insn insn) {
        int number = insn.reg;
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_CR_READ + number)) {
            cpu.svm.exit(EXIT_CR_READ + number, ASSIST_VALID | insn.rm, 0);
            return SystemInstructions.JUMPED;
        }
        long value =
                switch (number) {
                    case 0 -> cpu.cr0;
                    case 2 -> cpu.cr2;
                    case 3 -> cpu.cr3;
                    case 4 -> cpu.cr4;
                    case 8 -> taskPriority(cpu);
                    default -> throw cpu.fault(GuestException.UD);
                };
        Operands.writeRegister(cpu, insn.rm, insn.operandSize, value);
        return SystemInstructions.NEXT;
    }

    /** §15.21.2. */
    private static long taskPriority(Cpu cpu) {
        return cpu.guestMode && cpu.svm.ownTaskPriority()
                ? cpu.svm.virtualTaskPriority()
                : cpu.apic.taskPriority();
    }

    static int moveTo(Cpu cpu, Insn insn) {
        int number = insn.reg;
        long value = Operands.truncate(cpu.r[insn.rm], insn.operandSize);
        long info = ASSIST_VALID | insn.rm;
        switch (number) {
            case 0 -> {
                checkCr0(cpu, value);
                if (interceptedCr0Write(cpu, value, info)) {
                    return SystemInstructions.JUMPED;
                }
                writeCr0(cpu, value);
                return written(cpu, 0, cpu.cr0);
            }
            case 2, 3, 4, 8 -> {
                check(cpu, number, value);
                if (cpu.guestMode && cpu.svm.intercepted(EXIT_CR_WRITE + number)) {
                    cpu.svm.exit(EXIT_CR_WRITE + number, info, 0);
                    return SystemInstructions.JUMPED;
                }
                write(cpu, number, value);
                return written(cpu, number, value);
            }
            default -> throw cpu.fault(GuestException.UD);
        }
    }

    /**
     * The CR write traps (Appendix C, 90h to 9Fh): an exit once the instruction has completed, with
     * what was written in EXITINFO1.
     */
    private static int written(Cpu cpu, int number, long value) {
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_CR_WRITE_TRAP + number)) {
            cpu.events.completeBeforeExit();
            cpu.svm.exit(EXIT_CR_WRITE_TRAP + number, value, 0);
            return SystemInstructions.JUMPED;
        }
        return SystemInstructions.NEXT;
    }

    private static void check(Cpu cpu, int number, long value) {
        if (number == 3) {
            checkCr3(cpu, value);
        } else if (number == 4) {
            checkCr4(cpu, value);
        } else if (number == 8 && (value & ~15L) != 0) {
            throw cpu.fault(GuestException.GP, 0);
        }
    }

    private static void write(Cpu cpu, int number, long value) {
        switch (number) {
            case 2 -> cpu.cr2 = value;
            case 3 -> writeCr3(cpu, value);
            case 4 -> writeCr4(cpu, value);
            default -> writeCr8(cpu, value);
        }
    }

    private static void writeCr8(Cpu cpu, long value) {
        if (cpu.guestMode) {
            cpu.svm.setVirtualTaskPriority((int) value);
        }
        if (!cpu.guestMode || !cpu.svm.ownTaskPriority()) {
            cpu.apic.setTaskPriority((int) value);
        }
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
    }

    /**
     * Of activating long mode, what §14.6.2 lists. TR does not matter: KVM starts a guest's other
     * processors with a busy 16-bit TSS in it, and Linux loads another one only in 64-bit code.
     */
    private static void checkCr0(Cpu cpu, long value) {
        cpu.smm.checkPagingUnlocked();
        boolean bad =
                value >>> 32 != 0
                        || (value & (Cpu.CR0_PG | Cpu.CR0_PE)) == Cpu.CR0_PG
                        || (value & (Cpu.CR0_NW | Cpu.CR0_CD)) == Cpu.CR0_NW;
        boolean enabling = (value & ~cpu.cr0 & Cpu.CR0_PG) != 0;
        boolean disabling = (~value & cpu.cr0 & Cpu.CR0_PG) != 0;
        if (enabling && (cpu.efer & Cpu.EFER_LME) != 0) {
            bad |= (cpu.cr4 & Cpu.CR4_PAE) == 0 || (cpu.segAttr[Cpu.CS] & Cpu.ATTR_L) != 0;
        }
        bad |= disabling && (cpu.mode64 || (cpu.cr4 & Cpu.CR4_PCIDE) != 0);
        if (bad) {
            throw cpu.fault(GuestException.GP, 0);
        }
    }

    private static boolean interceptedCr0Write(Cpu cpu, long value, long info) {
        if (!cpu.guestMode) {
            return false;
        }
        if (cpu.svm.intercepted(EXIT_CR_WRITE)) {
            cpu.svm.exit(EXIT_CR_WRITE, info, 0);
            return true;
        }
        long changed =
                (value ^ cpu.cr0) & CR0_IMPLEMENTED & ~(Cpu.CR0_TS | Cpu.CR0_MP | Cpu.CR0_ET);
        if (changed != 0 && cpu.svm.intercepted(EXIT_CR0_SELECTIVE)) {
            cpu.svm.exit(EXIT_CR0_SELECTIVE, info, 0);
            return true;
        }
        return false;
    }

    private static void writeCr0(Cpu cpu, long value) {
        long next = value & CR0_IMPLEMENTED | Cpu.CR0_ET;
        long changed = next ^ cpu.cr0;
        boolean paging = (next & Cpu.CR0_PG) != 0;
        boolean longMode = paging && (cpu.efer & Cpu.EFER_LME) != 0;
        if (paging
                && !longMode
                && (cpu.cr4 & Cpu.CR4_PAE) != 0
                && (changed & (Cpu.CR0_PG | Cpu.CR0_CD | Cpu.CR0_NW)) != 0) {
            checkPdptes(cpu, cpu.cr3);
        }
        cpu.cr0 = next;
        cpu.efer = longMode ? cpu.efer | Cpu.EFER_LMA : cpu.efer & ~Cpu.EFER_LMA;
        if ((changed & CR0_PAGING) != 0) {
            cpu.mmu.flush(true);
        }
        if ((changed & Cpu.CR0_PE) != 0 && (next & Cpu.CR0_PE) == 0) {
            cpu.cpl = 0;
        }
        cpu.updateMode();
    }

    private static void checkCr3(Cpu cpu, long value) {
        cpu.smm.checkPagingUnlocked();
        if (cpu.longMode) {
            long allowed = (1L << CpuModel.PHYSICAL_BITS) - 1;
            long mask = (cpu.cr4 & Cpu.CR4_PCIDE) != 0 ? allowed | 1L << 63 : allowed;
            if ((value & ~mask) != 0) {
                throw cpu.fault(GuestException.GP, 0);
            }
        }
    }

    private static void writeCr3(Cpu cpu, long value) {
        boolean pae = (cpu.cr0 & Cpu.CR0_PG) != 0 && !cpu.longMode && (cpu.cr4 & Cpu.CR4_PAE) != 0;
        if (pae) {
            checkPdptes(cpu, value);
        }
        boolean keep = value < 0 && cpu.longMode; // PCIDE's no-flush bit
        cpu.cr3 = keep ? value & Long.MAX_VALUE : value;
        cpu.mmu.flush(false);
    }

    private static void checkPdptes(Cpu cpu, long cr3) {
        if (!pdptesLegal(cpu, cr3)) {
            throw cpu.fault(GuestException.GP, 0);
        }
    }

    /**
     * Whether no present PDPTE has reserved bits set; a guest with nested paging gets a fault at
     * the walk instead (§15.25.10).
     */
    static boolean pdptesLegal(Cpu cpu, long cr3) {
        if (cpu.guestMode && cpu.mmu.nested()) {
            return true;
        }
        for (int i = 0; i < 4; i++) {
            long entry = cpu.mmu.readPhysical64((cr3 & 0xffff_ffe0L) + 8L * i);
            if ((entry & 1) != 0 && (entry & PDPTE_RESERVED) != 0) {
                return false;
            }
        }
        return true;
    }

    private static void checkCr4(Cpu cpu, long value) {
        cpu.smm.checkPagingUnlocked();
        long changed = value ^ cpu.cr4;
        boolean bad = (value & ~cpu.model.cr4Mask()) != 0;
        bad |= cpu.longMode && (value & Cpu.CR4_PAE) == 0;
        bad |= (changed & value & Cpu.CR4_PCIDE) != 0 && (!cpu.longMode || (cpu.cr3 & 0xfff) != 0);
        if (bad) {
            throw cpu.fault(GuestException.GP, 0);
        }
    }

    private static void writeCr4(Cpu cpu, long value) {
        long changed = value ^ cpu.cr4;
        boolean pae = (cpu.cr0 & Cpu.CR0_PG) != 0 && !cpu.longMode && (value & Cpu.CR4_PAE) != 0;
        if (pae && (changed & (Cpu.CR4_PAE | Cpu.CR4_PGE | Cpu.CR4_PSE | Cpu.CR4_SMEP)) != 0) {
            checkPdptes(cpu, cpu.cr3);
        }
        cpu.cr4 = value;
        if ((changed & (CR4_PAGING | Cpu.CR4_SMAP)) != 0) {
            cpu.mmu.flush(true);
        }
        cpu.updateMode();
    }

    static int storeMachineStatus(Cpu cpu, Insn insn) {
        SegmentInstructions.checkUserModeInstructionPrevention(cpu);
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_CR_READ)) {
            cpu.svm.exit(EXIT_CR_READ, 0, 0);
            return SystemInstructions.JUMPED;
        }
        Operands.writeRmWord(cpu, insn, cpu.cr0);
        return SystemInstructions.NEXT;
    }

    /**
     * LMSW changes PE, MP, EM and TS, and cannot clear PE. Its intercepts come before the memory
     * access (table 15-7).
     */
    static int loadMachineStatus(Cpu cpu, Insn insn) {
        if (cpu.guestMode) {
            int exit = cpu.svm.intercepted(EXIT_CR_WRITE) ? EXIT_CR_WRITE : EXIT_CR0_SELECTIVE;
            if (cpu.svm.intercepted(exit)) {
                cpu.svm.exit(exit, 0, 0);
                return SystemInstructions.JUMPED;
            }
        }
        int status = Operands.readRm16(cpu, insn);
        long value = cpu.cr0 & ~0xeL | status & 0xf;
        writeCr0(cpu, value);
        return written(cpu, 0, cpu.cr0);
    }

    static int clearTaskSwitched(Cpu cpu) {
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_CR_WRITE)) {
            cpu.svm.exit(EXIT_CR_WRITE, 0, 0);
            return SystemInstructions.JUMPED;
        }
        cpu.cr0 &= ~Cpu.CR0_TS;
        cpu.updateMode();
        return written(cpu, 0, cpu.cr0);
    }
}
