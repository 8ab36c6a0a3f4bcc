package dev.pacifica.emulator.paging;

/** Where a guest's accesses to its redirected APIC page go, AVIC's backing page (§15.29.3). */
public interface VirtualApicPage {
    /** A read of {@code size} (1, 2, 4, 8) bytes at {@code offset} (0..FFFh) in the page. */
    long readApicPage(int offset, int size);

    /** A write likewise. */
    void writeApicPage(int offset, int size, long value);

    /** Exits if a write there does so before it is done. */
    void checkApicPageWrite(int offset);
}
