package dev.pacifica.emulator.check;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.observe.MachineObserver.VmcbView;
import dev.pacifica.emulator.svm.VmcbLayout;
import dev.pacifica.emulator.svm.VmcbLayout.Field;
import java.util.List;

/** Clean bits that lie (§15.15.2): at a VMRUN, against the VMCB as the last #VMEXIT left it. */
final class CleanBitChecks {
    private static final int BITS = 12;

    /** The first byte and the length of what each clean bit stands for (Figure 15-4). */
    private static final int[][] GROUPS = {
        {
            VmcbLayout.INTERCEPT_CR, 0x18,
            VmcbLayout.PAUSE_FILTER_THRESHOLD, 4,
            VmcbLayout.TSC_OFFSET, 8
        },
        {VmcbLayout.IOPM_BASE_PA, 16},
        {VmcbLayout.ASID, 4},
        {VmcbLayout.V_INTR, 8},
        {VmcbLayout.NP_ENABLE, 8, VmcbLayout.N_CR3, 8, VmcbLayout.G_PAT, 8},
        {VmcbLayout.EFER, 8, VmcbLayout.CR4, 24},
        {VmcbLayout.DR7, 16},
        {VmcbLayout.GDTR, 16, VmcbLayout.IDTR, 16},
        {VmcbLayout.ES, 64, VmcbLayout.CPL, 1},
        {VmcbLayout.CR2, 8},
        {VmcbLayout.DBGCTL, 40},
        {
            VmcbLayout.AVIC_APIC_BAR, 8,
            VmcbLayout.AVIC_BACKING_PAGE, 8,
            VmcbLayout.AVIC_LOGICAL_TABLE, 16
        },
    };

    private static final String[] NAMES = {
        "I", "IOPM", "ASID", "TPR", "NP", "CRx", "DRx", "DT", "SEG", "CR2", "LBR", "AVIC"
    };

    /** The fields of each clean bit. */
    private static final Field[][] FIELDS = new Field[BITS][];

    static {
        for (int bit = 0; bit < BITS; bit++) {
            int[] group = GROUPS[bit];
            List<Field> fields =
                    VmcbLayout.FIELDS.stream().filter(field -> within(field, group)).toList();
            FIELDS[bit] = fields.toArray(Field[]::new);
        }
    }

    private final Findings findings;

    CleanBitChecks(Findings findings) {
        this.findings = findings;
    }

    private static boolean within(Field field, int[] group) {
        for (int i = 0; i < group.length; i += 2) {
            if (field.offset() >= group[i]
                    && field.offset() + field.size() <= group[i] + group[i + 1]) {
                return true;
            }
        }
        return false;
    }

    void vmrun(Cpu cpu, long address, VmcbView vmcb, VmcbHistory last) {
        int clean = (int) vmcb.get(VmcbLayout.CLEAN_BITS, 4) & (1 << BITS) - 1;
        if (clean == 0 || !cpu.model.has(CpuFeature.VMCB_CLEAN)) {
            return;
        }
        if (last.processor < 0) {
            findings.add(
                    CheckKind.CLEAN_BITS_FIRST_RUN, "CLEAN_BITS", cpu, address, () -> bits(clean));
        }
        if (!last.known) {
            return;
        }
        if (last.processor != cpu.id) {
            findings.add(
                    CheckKind.CLEAN_BITS_OTHER_PROCESSOR,
                    "CLEAN_BITS",
                    cpu,
                    address,
                    () -> bits(clean) + ", last run by processor " + last.processor);
            return;
        }
        for (int bit = 0; bit < BITS; bit++) {
            if ((clean >>> bit & 1) != 0) {
                compare(cpu, address, vmcb, last, bit);
            }
        }
    }

    private void compare(Cpu cpu, long address, VmcbView vmcb, VmcbHistory last, int bit) {
        for (Field field : FIELDS[bit]) {
            int size = field.size();
            long then = last.get(field.offset(), size);
            long now = vmcb.inMemory(field.offset(), size);
            if (now != then) {
                findings.add(
                        CheckKind.CLEAN_BIT,
                        field.name(),
                        cpu,
                        address,
                        () ->
                                "0x%x at the last #VMEXIT, now 0x%x, clean bit %d (%s)"
                                        .formatted(then, now, bit, NAMES[bit]));
            }
        }
    }

    private static String bits(int clean) {
        return "clean bits 0x%x".formatted(clean);
    }
}
