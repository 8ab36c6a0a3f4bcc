package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.cpu.CpuModel;
import java.util.ArrayList;
import java.util.List;

/**
 * What the manual says of a VMCB's legality, written from its text and tables alone, with numbers
 * where the emulator has names: §15.5.1, §15.20, §15.21.10, §15.25.3, §15.25.4, §15.29.4. Each
 * broken rule is given by words that its message must contain.
 */
final class VmcbOracle {
    private final SvmMachine m;
    private final CpuModel model;
    private final long hostCr0;
    private final List<String> broken = new ArrayList<>();

    private VmcbOracle(SvmMachine m) {
        this.m = m;
        model = m.cpu.model;
        hostCr0 = m.cpu.cr0;
    }

    /** The rules that the VMCB breaks for the processor as it stands before VMRUN. */
    static List<String> brokenRules(SvmMachine machine) {
        VmcbOracle oracle = new VmcbOracle(machine);
        oracle.state();
        oracle.controls();
        oracle.avic();
        oracle.nestedPaging();
        return oracle.broken;
    }

    private void rule(boolean isBroken, String words) {
        if (isBroken) {
            broken.add(words);
        }
    }

    private static boolean bit(long value, int number) {
        return (value >> number & 1) == 1;
    }

    private long cr0() {
        return m.get64(0x558);
    }

    private long cr4() {
        return m.get64(0x548);
    }

    private boolean lmeAndPaging() {
        return bit(m.get64(0x4d0), 8) && bit(cr0(), 31);
    }

    private void state() {
        long efer = m.get64(0x4d0);
        int attributes = (int) m.get16(0x412);
        rule(!bit(efer, 12), "EFER.SVME is zero");
        rule(!bit(cr0(), 30) && bit(cr0(), 29), "CR0.CD is zero and CR0.NW");
        rule(cr0() >>> 32 != 0, "CR0[63:32]");
        rule(lmeAndPaging() && m.get64(0x550) >>> 48 != 0, "MBZ bit of CR3");
        rule((cr4() & ~definedCr4()) != 0, "MBZ bit of CR4");
        rule(m.get64(0x568) >>> 32 != 0, "DR6[63:32]");
        rule(m.get64(0x560) >>> 32 != 0, "DR7[63:32]");
        rule((efer & ~definedEfer()) != 0, "MBZ bit of EFER");
        rule((bit(efer, 8) || bit(efer, 10)) && !has(CpuFeature.LM), "no long mode");
        rule(lmeAndPaging() && !bit(cr4(), 5), "CR4.PAE is zero");
        rule(lmeAndPaging() && !bit(cr0(), 0), "CR0.PE is zero");
        rule(
                lmeAndPaging() && bit(cr4(), 5) && bit(attributes, 9) && bit(attributes, 10),
                "CS.L and CS.D");
    }

    /** Figure 3-6 with what CPUID offers. */
    private long definedCr4() {
        long defined = 1L << 2 | 1L << 8 | 1L << 10;
        defined |= has(CpuFeature.VME) ? 3 : 0;
        defined |= has(CpuFeature.DE) ? 1L << 3 : 0;
        defined |= has(CpuFeature.PSE) ? 1L << 4 : 0;
        defined |= has(CpuFeature.PAE) ? 1L << 5 : 0;
        defined |= has(CpuFeature.MCE) ? 1L << 6 : 0;
        defined |= has(CpuFeature.PGE) ? 1L << 7 : 0;
        defined |= has(CpuFeature.FXSR) ? 1L << 9 : 0;
        defined |= has(CpuFeature.UMIP) ? 1L << 11 : 0;
        defined |= has(CpuFeature.FSGSBASE) ? 1L << 16 : 0;
        defined |= has(CpuFeature.PCID) ? 1L << 17 : 0;
        defined |= has(CpuFeature.XSAVE) ? 1L << 18 : 0;
        defined |= has(CpuFeature.SMEP) ? 1L << 20 : 0;
        return defined | (has(CpuFeature.SMAP) ? 1L << 21 : 0);
    }

    /** Figure 3-8; LME and LMA have a rule of their own. */
    private long definedEfer() {
        long defined = 1L << 8 | 1L << 10 | 1L << 12;
        defined |= has(CpuFeature.SYSCALL) ? 1 : 0;
        defined |= has(CpuFeature.NX) ? 1L << 11 : 0;
        return defined | (has(CpuFeature.FXSR_OPT) ? 1L << 14 : 0);
    }

    private boolean has(CpuFeature feature) {
        return model.has(feature);
    }

    private void controls() {
        rule(!bit(m.get64(0x10), 0), "VMRUN intercept");
        rule(reachesBeyond(m.get64(0x48), 0x2000), "MSR permission map");
        rule(reachesBeyond(m.get64(0x40), 0x3000), "I/O permission map");
        event(m.get64(0xa8));
        boolean virtualNmi = has(CpuFeature.VNMI) && bit(m.get64(0x60), 26);
        rule(virtualNmi && !bit(m.get64(0x0c), 1), "V_NMI_ENABLE");
        long asid = m.get64(0x58) & 0xffff_ffffL;
        rule(asid == 0, "ASID is zero");
        rule(asid >= 0x8000, "ASID is not below");
    }

    private static boolean reachesBeyond(long base, int length) {
        long last = (base >>> 12 << 12) + length - 1;
        return Long.compareUnsigned(last, 0xffff_ffff_ffffL) > 0
                || Long.compareUnsigned(base, 0xffff_ffff_ffffL) > 0;
    }

    private void event(long event) {
        if (!bit(event, 31)) {
            return;
        }
        int type = (int) (event >> 8 & 7);
        int vector = (int) (event & 0xff);
        rule(type == 1 || type >= 5, "a reserved TYPE");
        if (type == 3) {
            boolean exception =
                    switch (vector) {
                        case 0, 1, 3, 4, 5, 6, 7, 8 -> true;
                        case 10, 11, 12, 13, 14, 16, 17, 18, 19, 30 -> true;
                        default -> false;
                    };
            rule(!exception, "of no exception");
            boolean mode64 = lmeAndPaging() && bit(m.get16(0x412), 9);
            rule(mode64 && (vector == 4 || vector == 5), "impossible in 64-bit mode");
        }
    }

    /** §15.29.4.1: bits 31 and 30 of field 60h; §15.29.4.3: the pointers and the last index. */
    private void avic() {
        if (!has(CpuFeature.AVIC)) {
            return;
        }
        boolean on = bit(m.get64(0x60), 31);
        boolean x2 = has(CpuFeature.X2AVIC) && bit(m.get64(0x60), 30);
        rule(x2 && !on, "x2AVIC mode is enabled");
        if (on) {
            rule(m.get64(0xe0) >>> 48 != 0, "AVIC_BACKING_PAGE");
            rule(!x2 && m.get64(0xf0) >>> 48 != 0, "logical APIC ID table");
            boolean many = x2 && has(CpuFeature.X2AVIC_EXT);
            long last = m.get64(0xf8) & 0xfff;
            long pages = many ? last / 512 + 1 : 1;
            rule(reachesBeyond(m.get64(0xf8), (int) pages << 12), "the physical APIC ID table");
            rule(!many && last >= (x2 ? 512 : 256), "AVIC_PHYSICAL_MAX_INDEX");
        }
    }

    private void nestedPaging() {
        if (has(CpuFeature.NPT) && bit(m.get64(0x90), 0)) {
            rule(!bit(hostCr0, 31), "host's CR0.PG is zero");
            rule(m.get64(0xb0) >>> 48 != 0, "MBZ bit of nCR3");
            boolean bad = false;
            for (int i = 0; i < 8; i++) {
                long type = m.get8(0x668 + i);
                bad |= type == 2 || type == 3 || type > 7;
            }
            rule(bad, "G_PAT");
        } else if (bit(cr0(), 31) && !bit(m.get64(0x4d0), 8) && bit(cr4(), 5)) {
            rule(badPointers(m, m.get64(0x550)), "page-directory-pointer");
        }
    }

    /** Figure 5-10: a present PDPE has zeros in 2:1, 8:5 and from the physical width up. */
    static boolean badPointers(SvmMachine m, long cr3) {
        boolean bad = false;
        for (int i = 0; i < 4; i++) {
            long entry = m.memory.read64((cr3 & 0xffff_ffe0L) + 8 * i);
            bad |= bit(entry, 0) && ((entry & 6) != 0 || (entry & 0x1e0) != 0 || entry >>> 48 != 0);
        }
        return bad;
    }
}
