package dev.pacifica.emulator.boot;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.memory.PhysicalMemory;
import java.util.Arrays;

/** Puts the boot processor into the states in which boot protocols start kernels. */
final class EntryState {
    /**
     * Code and data selectors of the table that {@link #writeDescriptors} makes, which are those of
     * Linux' boot protocol.
     */
    static final int CODE = 0x10;

    static final int DATA = 0x18;

    /** Bytes of that table. */
    static final int DESCRIPTORS = 32;

    private static final int CODE_ATTRIBUTES = 0x9b;
    private static final int DATA_ATTRIBUTES = 0x93;
    private static final int BUSY_TSS = 0x8b;
    private static final int LDT = 0x82;
    private static final long FLAT_LIMIT = 0xffff_ffffL;

    private EntryState() {}

    /** 32-bit protected mode without paging, flat segments: Multiboot, PVH. */
    static void protectedMode(Cpu cpu, long entry, long descriptors) {
        common(cpu, entry, descriptors);
        cpu.cr0 = Cpu.CR0_PE | Cpu.CR0_ET;
        segments(
                cpu,
                CODE_ATTRIBUTES | Cpu.ATTR_DB | Cpu.ATTR_G,
                DATA_ATTRIBUTES | Cpu.ATTR_DB | Cpu.ATTR_G,
                FLAT_LIMIT);
        cpu.updateMode();
    }

    /** 64-bit mode on the page tables at {@code pageTables}. */
    static void longMode(Cpu cpu, long entry, long descriptors, long pageTables) {
        common(cpu, entry, descriptors);
        cpu.cr0 = Cpu.CR0_PG | Cpu.CR0_PE | Cpu.CR0_ET;
        cpu.cr3 = pageTables;
        cpu.cr4 = Cpu.CR4_PAE;
        cpu.efer = Cpu.EFER_LME | Cpu.EFER_LMA;
        segments(
                cpu,
                CODE_ATTRIBUTES | Cpu.ATTR_L | Cpu.ATTR_G,
                DATA_ATTRIBUTES | Cpu.ATTR_DB | Cpu.ATTR_G,
                FLAT_LIMIT);
        cpu.updateMode();
    }

    /** Real mode, with the stack below 7C00h. */
    static void realMode(Cpu cpu, int codeSegment, int instructionPointer) {
        common(cpu, instructionPointer, 0);
        cpu.cr0 = Cpu.CR0_ET;
        segments(cpu, CODE_ATTRIBUTES, DATA_ATTRIBUTES, 0xffff);
        Arrays.fill(cpu.segSelector, 0);
        cpu.segSelector[Cpu.CS] = codeSegment;
        cpu.segBase[Cpu.CS] = (long) codeSegment << 4;
        cpu.idtrLimit = 0x3ff;
        cpu.r[Cpu.RSP] = 0x7c00;
        cpu.updateMode();
    }

    private static void common(Cpu cpu, long entry, long descriptors) {
        Arrays.fill(cpu.r, 0);
        cpu.rip = entry;
        cpu.setRflags(2);
        cpu.cr2 = 0;
        cpu.cr3 = 0;
        cpu.cr4 = 0;
        cpu.efer = 0;
        cpu.cpl = 0;
        cpu.gdtrBase = descriptors;
        cpu.gdtrLimit = descriptors == 0 ? 0 : DESCRIPTORS - 1;
        cpu.idtrBase = 0;
        cpu.idtrLimit = 0;
        cpu.activity = Cpu.RUNNING;
    }

    private static void segments(Cpu cpu, int code, int data, long limit) {
        for (int i = Cpu.ES; i <= Cpu.GS; i++) {
            cpu.segSelector[i] = i == Cpu.CS ? CODE : DATA;
            cpu.segBase[i] = 0;
            cpu.segLimit[i] = limit;
            cpu.segAttr[i] = i == Cpu.CS ? code : data;
        }
        cpu.segSelector[Cpu.LDTR] = 0;
        cpu.segBase[Cpu.LDTR] = 0;
        cpu.segLimit[Cpu.LDTR] = 0;
        cpu.segAttr[Cpu.LDTR] = LDT;
        cpu.segSelector[Cpu.TR] = 0;
        cpu.segBase[Cpu.TR] = 0;
        cpu.segLimit[Cpu.TR] = 0x67;
        cpu.segAttr[Cpu.TR] = BUSY_TSS;
    }

    /** Writes a descriptor table whose entries match the segments of 32-bit or of 64-bit mode. */
    static void writeDescriptors(PhysicalMemory memory, long at, boolean longMode) {
        memory.write64(at, 0);
        memory.write64(at + 8, 0);
        memory.write64(at + CODE, longMode ? 0x00af_9b00_0000_ffffL : 0x00cf_9b00_0000_ffffL);
        memory.write64(at + DATA, 0x00cf_9300_0000_ffffL);
    }
}
