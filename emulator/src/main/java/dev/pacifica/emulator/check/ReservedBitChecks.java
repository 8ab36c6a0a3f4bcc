package dev.pacifica.emulator.check;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.observe.MachineObserver.VmcbView;
import dev.pacifica.emulator.svm.VmcbLayout;

/** Reserved bits of a VMCB (Tables B-1 and B-2), and bits of features that are not offered. */
final class ReservedBitChecks {
    private static final long EVENT_VALID = 1L << 31;

    /** Offset, reserved bits of the 8 bytes there. */
    private static final long[][] RESERVED = {
        {0x010, 0xffff_ff80_0000_0000L},
        {0x058, 0xffff_fc00_0000_0000L},
        {0x060, 0xffff_ff00_38e0_e4f0L},
        {0x068, ~3L},
        {0x090, ~0xffL},
        {0x098, 0xfff0_0000_0000_0000L},
        {0x0b8, ~0xfL},
        {0x0c0, 0xffff_ffff_0000_0000L},
        {0x0e0, 0xfff0_0000_0000_0000L},
        {0x0e8, -1L},
        {0x0f0, 0xfff0_0000_0000_0fffL},
        {0x0f8, 0xfff0_0000_0000_0000L},
        {0x100, -1L},
        {0x108, 0xfff0_0000_0000_0fffL},
    };

    /** Reserved areas: first byte, end. Those up to 3DFh come last; the host may use the rest. */
    private static final int[][] AREAS = {{0x018, 0x038}, {0x128, 0x130}, {0x170, 0x3e0}};

    /** Reserved bytes of the state-save area (Table B-2): first, end. */
    private static final int[][] STATE_AREAS = {
        {0x4a0, 0x4c8},
        {0x580, 0x5c0},
        {0x648, 0x668},
        {0x6a0, 0x6e0},
        {0x6e8, 0xa70},
        {0xbc8, 0x1000}
    };

    private static final long EVENT_RESERVED = 0x7fff_f000L;

    private record Asked(String field, int offset, long bits, CpuFeature feature) {}

    private static final Asked[] ASKED = {
        new Asked("V_INTR.V_GIF_ENABLE", VmcbLayout.V_INTR, 1 << 25, CpuFeature.VGIF),
        new Asked("V_INTR.V_NMI_ENABLE", VmcbLayout.V_INTR, 1 << 26, CpuFeature.VNMI),
        new Asked("V_INTR.X2AVIC_ENABLE", VmcbLayout.V_INTR, 1 << 30, CpuFeature.X2AVIC),
        new Asked("V_INTR.AVIC_ENABLE", VmcbLayout.V_INTR, 1L << 31, CpuFeature.AVIC),
        new Asked("NP_ENABLE", VmcbLayout.NP_ENABLE, 1, CpuFeature.NPT),
        new Asked("NP_ENABLE.GMET", VmcbLayout.NP_ENABLE, 1 << 3, CpuFeature.GMET),
        new Asked("NP_ENABLE.SSSCHECK", VmcbLayout.NP_ENABLE, 1 << 4, CpuFeature.SSS_CHECK),
        new Asked("NP_ENABLE.ROGPT", VmcbLayout.NP_ENABLE, 1 << 6, CpuFeature.ROGPT),
        new Asked("LBR_VIRTUALIZATION", VmcbLayout.LBR_VIRTUALIZATION_ENABLE, 1, CpuFeature.LBRV),
        new Asked(
                "VMLOAD_VIRTUALIZATION",
                VmcbLayout.LBR_VIRTUALIZATION_ENABLE,
                2,
                CpuFeature.V_VMSAVE_VMLOAD),
    };

    private final Findings findings;

    ReservedBitChecks(Findings findings) {
        this.findings = findings;
    }

    /**
     * The state-save area is looked at once: no processor writes to what is reserved there.
     * Appendix B demands zeros of the control area only, and recommends a VMCB that starts as
     * zeros.
     */
    void vmrun(Cpu cpu, long address, VmcbView vmcb, boolean first) {
        if (first) {
            CheckKind kind = CheckKind.RESERVED_STATE;
            areas(kind, cpu, address, vmcb, STATE_AREAS);
            reserved(kind, cpu, address, vmcb, 0x4c8, 0xffff_ffff_00ff_ffffL);
            reserved(kind, cpu, address, vmcb, 0x4d8, -1L);
        }
        for (long[] word : RESERVED) {
            reserved(CheckKind.RESERVED_BIT, cpu, address, vmcb, (int) word[0], word[1]);
        }
        areas(CheckKind.RESERVED_BIT, cpu, address, vmcb, AREAS);
        long event = vmcb.get(VmcbLayout.EVENTINJ, 8);
        if ((event & EVENT_VALID) != 0 && (event & EVENT_RESERVED) != 0) {
            report(
                    CheckKind.RESERVED_BIT,
                    cpu,
                    address,
                    VmcbLayout.EVENTINJ,
                    event,
                    EVENT_RESERVED);
        }
        tlbControl(cpu, address, (int) vmcb.get(VmcbLayout.TLB_CONTROL, 1));
        for (Asked asked : ASKED) {
            if ((vmcb.get(asked.offset, 8) & asked.bits) != 0 && !cpu.model.has(asked.feature)) {
                findings.add(
                        CheckKind.FEATURE_NOT_OFFERED,
                        asked.field,
                        cpu,
                        address,
                        () -> "offset 0x%03x bits 0x%x".formatted(asked.offset, asked.bits));
            }
        }
    }

    private void areas(CheckKind kind, Cpu cpu, long address, VmcbView vmcb, int[][] areas) {
        for (int[] area : areas) {
            for (int at = area[0]; at < area[1]; at += 8) {
                reserved(kind, cpu, address, vmcb, at, -1L);
            }
        }
    }

    private void reserved(
            CheckKind kind, Cpu cpu, long address, VmcbView vmcb, int offset, long mask) {
        long value = vmcb.get(offset, 8);
        if ((value & mask) != 0) {
            report(kind, cpu, address, offset, value, mask);
        }
    }

    private void report(CheckKind kind, Cpu cpu, long address, int offset, long value, long mask) {
        findings.add(
                kind,
                "offset 0x%03x".formatted(offset),
                cpu,
                address,
                () -> "0x%016x, of which reserved 0x%x".formatted(value, value & mask));
    }

    private void tlbControl(Cpu cpu, long address, int control) {
        boolean byAsid = cpu.model.has(CpuFeature.FLUSHBYASID);
        if (control != 0 && control != 1 && !(byAsid && (control == 3 || control == 7))) {
            findings.add(
                    CheckKind.RESERVED_TLB_CONTROL,
                    "TLB_CONTROL",
                    cpu,
                    address,
                    () -> "0x%02x".formatted(control));
        }
    }
}
