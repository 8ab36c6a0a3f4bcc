package dev.pacifica.emulator.paging;

/** Sees accesses that find their translation in the TLB, so that no table is walked. */
public interface TranslationWatch {
    /**
     * An access to a linear address goes, by a translation cached before, to the physical page: a
     * read unless it is a write or an instruction fetch. Who repeats it need not be seen again.
     */
    void hit(long va, long page, boolean write, boolean fetch);
}
