package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.observe.TlbFlushCause;
import dev.pacifica.emulator.paging.Mmu;

/**
 * INVLPGB and TLBSYNC (APM Vol 3): translations of every processor are dropped. Each INVLPGB has
 * reached them all when it completes, so that TLBSYNC has nothing to wait for. Translations carry
 * no PCID: what is asked of one is done to all.
 *
 * <pre>
 *   rAX  63:12 or 31:12 linear address | 5 nested, 4 final only, 3 global, 2 ASID, 1 PCID, 0 address is valid
 *   ECX  31 steps of 2 MiB, not 4 KiB  | 15:0 further pages
 *   EDX  27:16 PCID                    | 15:0 ASID
 * </pre>
 */
final class BroadcastInvalidation {
    /** Further pages that one INVLPGB can drop (CPUID Fn8000_0008 EDX[15:0]). */
    static final int COUNT_MAX = 7;

    private static final int EXIT_INVLPGB = 0xa0;
    private static final int EXIT_INVLPGB_ILLEGAL = 0xa1;
    private static final int EXIT_TLBSYNC = 0xa4;

    private static final int VALID_ADDRESS = 1;
    private static final int VALID_PCID = 1 << 1;
    private static final int VALID_ASID = 1 << 2;
    private static final int GLOBAL = 1 << 3;
    private static final int NESTED = 1 << 5;
    private static final int RAX_RESERVED = 0xfc0;
    private static final int ECX_RESERVED = 0x7fff_0000;
    private static final int EDX_RESERVED = 0xf000_0000;
    private static final int EDX_PCID = 0x0fff_0000;
    private static final int LOW = 0xffff;

    private BroadcastInvalidation() {}

    private static boolean exits(Cpu cpu, int code) {
        if (cpu.guestMode && cpu.svm.intercepted(code)) {
            cpu.svm.exit(code, 0, 0);
            return true;
        }
        return false;
    }

    /** VMCB 090h bit 7: whether the guest may execute the two instructions at all. */
    private static boolean enabled(Cpu cpu) {
        return !cpu.guestMode || cpu.svm.broadcastInvalidationEnabled();
    }

    /** Both intercepts come before every exception but that of CPL (Table 15-7). */
    static int invalidate(Cpu cpu, int addressSize) {
        if (exits(cpu, EXIT_INVLPGB)) {
            return SystemInstructions.JUMPED;
        }
        boolean enabled = enabled(cpu);
        boolean legal = legal(cpu);
        if (!(enabled && legal) && exits(cpu, EXIT_INVLPGB_ILLEGAL)) {
            return SystemInstructions.JUMPED;
        }
        if (!enabled) {
            throw cpu.fault(GuestException.UD);
        }
        if (!legal) {
            throw cpu.fault(GuestException.GP, 0);
        }
        for (Cpu each : cpu.all) {
            drop(cpu, each, addressSize);
        }
        return SystemInstructions.NEXT;
    }

    /** Without CR4.PCIDE there is no PCID but 0. */
    private static boolean legal(Cpu cpu) {
        int flags = (int) cpu.r[Cpu.RAX];
        int count = (int) cpu.r[Cpu.RCX];
        int space = (int) cpu.r[Cpu.RDX];
        boolean noSuchPcid =
                (flags & VALID_PCID) != 0
                        && (space & EDX_PCID) != 0
                        && (cpu.cr4 & Cpu.CR4_PCIDE) == 0;
        return (flags & RAX_RESERVED) == 0
                && ((flags & NESTED) == 0 || cpu.model.has(CpuFeature.INVLPGB_NESTED))
                && (count & ECX_RESERVED) == 0
                && (count & LOW) <= COUNT_MAX
                && (space & EDX_RESERVED) == 0
                && !noSuchPcid;
    }

    /** A guest reaches its own ASID only, whatever it names. */
    private static void drop(Cpu cpu, Cpu on, int addressSize) {
        Mmu mmu = on.mmu;
        int flags = (int) cpu.r[Cpu.RAX];
        int count = (int) cpu.r[Cpu.RCX];
        int asid = cpu.guestMode ? cpu.mmu.asid() : (int) cpu.r[Cpu.RDX] & LOW;
        boolean anyAsid = !cpu.guestMode && (flags & VALID_ASID) == 0;
        if (anyAsid) {
            mmu.flushAll(TlbFlushCause.INVLPGB);
        } else if ((flags & NESTED) != 0) {
            mmu.flushAsid(asid, true, TlbFlushCause.INVLPGB);
        } else if ((flags & VALID_ADDRESS) == 0) {
            mmu.flushAsid(asid, (flags & GLOBAL) != 0, TlbFlushCause.INVLPGB);
        } else {
            long step = count < 0 ? 1 << 21 : 1 << 12;
            long va = Operands.truncate(cpu.r[Cpu.RAX], addressSize) & ~0xfffL;
            for (int i = 0; i <= (count & LOW); i++) {
                mmu.invalidatePage(va + i * step, asid);
                if (cpu.observer != null) {
                    cpu.observer.tlbPageFlushed(on.id, asid, va + i * step);
                }
            }
        }
    }

    /** Exceptions come before the intercept (Table 15-7). */
    static int synchronise(Cpu cpu) {
        if (!enabled(cpu)) {
            throw cpu.fault(GuestException.UD);
        }
        return exits(cpu, EXIT_TLBSYNC) ? SystemInstructions.JUMPED : SystemInstructions.NEXT;
    }
}
