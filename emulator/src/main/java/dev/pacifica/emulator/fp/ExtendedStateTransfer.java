package dev.pacifica.emulator.fp;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.cpu.ExtendedControlRegisters;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.Operation;
import java.util.Arrays;

/**
 * XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR and XRSTORS (APM Vol 2 §11.5, Vol 4). The save area:
 *
 * <pre>
 *   0 the image of FXSAVE | 512 XSTATE_BV: components that are not in their initial state
 * 520 XCOMP_BV: 0, or bit 63 and the components of the compacted form | 528 reserved, to 575
 * </pre>
 *
 * <p>Both components lie in the legacy region, so that the compacted form differs in the header
 * only. Everything that can fault does so before the area or a register changes. XSAVEOPT and
 * XSAVES leave out what is in its initial state, never what is unmodified since XRSTOR, which
 * processors may.
 */
final class ExtendedStateTransfer {
    private static final int ALIGNMENT = 64;
    private static final int XSTATE_BV = 512;
    private static final int XCOMP_BV = 520;
    private static final int RESERVED = 528;
    private static final long COMPACTED = 1L << 63;

    private ExtendedStateTransfer() {}

    static void execute(Cpu cpu, Insn insn) {
        ExtendedControlRegisters.checkEnabled(cpu);
        if ((cpu.cr0 & Cpu.CR0_TS) != 0) {
            throw cpu.fault(GuestException.NM);
        }
        if (insn.row.cpl == 0 && cpu.cpl != 0) {
            throw cpu.fault(GuestException.GP, 0);
        }
        long mask = cpu.r[Cpu.RDX] << 32 | cpu.r[Cpu.RAX] & 0xFFFFFFFFL;
        long requested = mask & cpu.xcr0;
        switch (insn.row.operation) {
            case XSAVE -> save(cpu, insn, requested, requested);
            case XSAVEOPT -> save(cpu, insn, requested, requested & inUse(cpu));
            case XSAVEC, XSAVES -> saveCompacted(cpu, insn, requested);
            default -> restore(cpu, insn, requested);
        }
    }

    private static long inUse(Cpu cpu) {
        return cpu.fpu.componentsInUse(cpu.mode64);
    }

    private static boolean x87(long components) {
        return (components & ExtendedControlRegisters.X87) != 0;
    }

    private static boolean sse(long components) {
        return (components & ExtendedControlRegisters.SSE) != 0;
    }

    /** MXCSR is written whenever SSE is requested (§11.5.9). */
    private static void save(Cpu cpu, Insn insn, long requested, long stored) {
        long va = writableArea(cpu, insn);
        long header = FpStateTransfer.get(cpu, va, XSTATE_BV);
        if (x87(stored)) {
            FpStateTransfer.saveX87(cpu, va, insn.rexW);
        }
        if (sse(requested)) {
            FpStateTransfer.saveMxcsr(cpu, va);
        }
        if (sse(stored)) {
            FpStateTransfer.saveXmm(cpu, va);
        }
        long kept = header & ~requested;
        FpStateTransfer.put(cpu, va, XSTATE_BV, kept | requested & inUse(cpu));
    }

    /** MXCSR belongs to the SSE component, which it alone can keep from being left out. */
    private static void saveCompacted(Cpu cpu, Insn insn, long requested) {
        long va = writableArea(cpu, insn);
        long stored = requested & inUse(cpu);
        if (sse(requested) && cpu.fpu.mxcsr() != FpuState.INITIAL_MXCSR) {
            stored |= ExtendedControlRegisters.SSE;
        }
        if (x87(stored)) {
            FpStateTransfer.saveX87(cpu, va, insn.rexW);
        }
        if (sse(stored)) {
            FpStateTransfer.saveMxcsr(cpu, va);
            FpStateTransfer.saveXmm(cpu, va);
        }
        FpStateTransfer.put(cpu, va, XSTATE_BV, stored);
        FpStateTransfer.put(cpu, va, XCOMP_BV, requested | COMPACTED);
    }

    private static void restore(Cpu cpu, Insn insn, long requested) {
        long va =
                FpStateTransfer.readableArea(
                        cpu, insn, ExtendedControlRegisters.AREA_SIZE, ALIGNMENT);
        long present = FpStateTransfer.get(cpu, va, XSTATE_BV);
        long format = FpStateTransfer.get(cpu, va, XCOMP_BV);
        boolean compacted = format < 0;
        boolean good =
                compacted
                        ? goodCompacted(cpu, insn, va, present, format & ~COMPACTED)
                        : goodStandard(cpu, insn, va, present, format);
        if (!good) {
            throw cpu.fault(GuestException.GP, 0);
        }
        long loaded = requested & present;
        if (sse(compacted ? loaded : requested)) {
            int mxcsr = FpStateTransfer.mxcsr(cpu, va);
            FpStateTransfer.checkMxcsr(cpu, mxcsr);
            cpu.fpu.setMxcsr(mxcsr);
        } else if (sse(requested)) {
            cpu.fpu.setMxcsr(FpuState.INITIAL_MXCSR);
        }
        if (x87(loaded)) {
            FpStateTransfer.restoreX87(cpu, va, insn.rexW);
        } else if (x87(requested)) {
            cpu.fpu.initialiseWithRegisters();
        }
        if (sse(loaded)) {
            FpStateTransfer.restoreXmm(cpu, va);
        } else if (sse(requested)) {
            Arrays.fill(cpu.fpu.xmm, 0, 2 * FpStateTransfer.xmmRegisters(cpu), 0);
        }
    }

    /** Nothing but enabled components; bytes 8 to 23 of the header are zero. */
    private static boolean goodStandard(Cpu cpu, Insn insn, long va, long present, long format) {
        return insn.row.operation == Operation.XRSTOR
                && (present & ~cpu.xcr0) == 0
                && (format | FpStateTransfer.get(cpu, va, RESERVED)) == 0;
    }

    /**
     * Enabled components in XCOMP_BV, of those any in XSTATE_BV; bytes 16 to 63 of the header are
     * zero. XRSTOR knows this form only beside XSAVEC.
     */
    private static boolean goodCompacted(Cpu cpu, Insn insn, long va, long present, long format) {
        long reserved = 0;
        for (int at = RESERVED; at < ExtendedControlRegisters.AREA_SIZE; at += 8) {
            reserved |= FpStateTransfer.get(cpu, va, at);
        }
        boolean known = insn.row.operation == Operation.XRSTORS || cpu.model.has(CpuFeature.XSAVEC);
        return known && (format & ~cpu.xcr0) == 0 && (present & ~format) == 0 && reserved == 0;
    }

    private static long writableArea(Cpu cpu, Insn insn) {
        return FpStateTransfer.writableArea(
                cpu, insn, ExtendedControlRegisters.AREA_SIZE, ALIGNMENT);
    }
}
