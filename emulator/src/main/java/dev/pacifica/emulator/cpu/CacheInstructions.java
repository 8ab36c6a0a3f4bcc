package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.Insn;

/** INVLPG, INVPCID and the instructions that write back caches, of which there are none here. */
final class CacheInstructions {
    private static final int EXIT_INVD = 0x76;
    private static final int EXIT_INVLPG = 0x79;
    private static final int EXIT_WBINVD = 0x89;
    private static final int EXIT_INVPCID = 0xa2;
    private static final int EXIT_MCOMMIT = 0xa3;

    private CacheInstructions() {}

    static int invalidatePage(Cpu cpu, Insn insn) {
        long va = linearAddress(cpu, insn);
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_INVLPG)) {
            cpu.svm.exit(EXIT_INVLPG, va, 0);
            return SystemInstructions.JUMPED;
        }
        if (Cpu.canonical(va)) {
            cpu.mmu.invalidatePage(va);
        }
        return SystemInstructions.NEXT;
    }

    /** Of the memory operand, which need not be canonical and is not accessed. */
    private static long linearAddress(Cpu cpu, Insn insn) {
        long offset = Operands.offset(cpu, insn);
        long base = !cpu.mode64 || insn.segment >= Cpu.FS ? cpu.segBase[insn.segment] : 0;
        return cpu.mode64 ? base + offset : base + offset & 0xffff_ffffL;
    }

    /**
     * Translations are not tagged by PCID, so each type drops more than it must, which is allowed
     * (APM Vol 3). Chapter 15 is silent on what the intercept tells; AMD's own support for it in
     * KVM, which emulates INVPCID by nothing else, takes EXITINFO1 for the descriptor's linear
     * address and EXITINFO2 for the register operand.
     */
    static int invalidatePcid(Cpu cpu, Insn insn) {
        long type = Operands.truncate(cpu.r[insn.reg], insn.operandSize);
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_INVPCID)) {
            cpu.svm.exit(EXIT_INVPCID, linearAddress(cpu, insn), type);
            return SystemInstructions.JUMPED;
        }
        long at = Operands.offset(cpu, insn);
        long pcid = Operands.read(cpu, insn.segment, at, 8);
        long va = Operands.read(cpu, insn.segment, Operands.truncate(at + 8, insn.addressSize), 8);
        boolean bad = type > 3 || type < 0 || pcid >>> 12 != 0 || type == 0 && !Cpu.canonical(va);
        bad |= type <= 1 && (cpu.cr4 & Cpu.CR4_PCIDE) == 0 && pcid != 0;
        if (bad) {
            throw cpu.fault(GuestException.GP, 0);
        }
        if (type == 0) {
            cpu.mmu.invalidatePage(va);
        } else {
            cpu.mmu.flush(type == 2);
        }
        return SystemInstructions.NEXT;
    }

    /**
     * MCOMMIT: #UD unless EFER.MCOMMIT is set; then the intercept. Stores reach memory at once and
     * never meet an error here, which CF = 1 tells.
     */
    static int commitStores(Cpu cpu) {
        if ((cpu.efer & Cpu.EFER_MCOMMIT) == 0) {
            throw cpu.fault(GuestException.UD);
        }
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_MCOMMIT)) {
            cpu.svm.exit(EXIT_MCOMMIT, 0, 0);
            return SystemInstructions.JUMPED;
        }
        cpu.setCf(true);
        return SystemInstructions.NEXT;
    }

    static int invalidateCaches(Cpu cpu) {
        return nothing(cpu, EXIT_INVD);
    }

    static int writeBackCaches(Cpu cpu) {
        return nothing(cpu, EXIT_WBINVD);
    }

    private static int nothing(Cpu cpu, int exit) {
        if (cpu.guestMode && cpu.svm.intercepted(exit)) {
            cpu.svm.exit(exit, 0, 0);
            return SystemInstructions.JUMPED;
        }
        return SystemInstructions.NEXT;
    }
}
