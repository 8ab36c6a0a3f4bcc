package dev.pacifica.emulator.cpu;

/**
 * The memory type that an access of one processor has in the end (§7.8, §15.25.8): by the page
 * attributes of its tables, under nested paging of the nested ones too, the MTRRs and CR0.CD. There
 * are no caches; what is not write-back locks the bus for atomic updates.
 *
 * <p>Translations keep only the indices into the PATs, so that all of this is looked up when it is
 * asked for.
 */
final class EffectiveMemoryType {
    private final Cpu cpu;

    EffectiveMemoryType(Cpu cpu) {
        this.cpu = cpu;
    }

    /**
     * The type at a system-physical address that was reached through the current world's tables.
     * While their paging is off, they do not make it less than write-back.
     *
     * @param index of the current world's PAT
     * @param nestedIndex of the host's PAT, by the nested tables, if they are in use
     */
    MemoryType of(long pa, int index, int nestedIndex) {
        boolean paging = (cpu.cr0 & Cpu.CR0_PG) != 0;
        MemoryType type = paging ? MemoryType.ofPat(cpu.msrs.pat, index) : MemoryType.WB;
        if (cpu.mmu.nested()) {
            type = type.combinedWithHost(MemoryType.ofPat(cpu.svm.hostPat(), nestedIndex));
        }
        return atAddress(type, pa);
    }

    /** The type of a nested table, reached from its parent's entry or nCR3. */
    MemoryType ofNestedTable(long pa, int nestedIndex) {
        return atAddress(MemoryType.ofPat(cpu.svm.hostPat(), nestedIndex), pa);
    }

    private MemoryType atAddress(MemoryType type, long pa) {
        if (!cpu.memory.isRam(pa)) {
            return MemoryType.UC;
        }
        MemoryType combined = type.combinedWithMtrr(cpu.msrs.rangeType(pa));
        return cachingDisabled() ? combined.uncached() : combined;
    }

    /**
     * Either the guest's or the host's CR0.CD disables caching; without nested paging one exists.
     */
    private boolean cachingDisabled() {
        return (cpu.cr0 & Cpu.CR0_CD) != 0
                || cpu.mmu.nested() && (cpu.svm.hostCr0() & Cpu.CR0_CD) != 0;
    }
}
