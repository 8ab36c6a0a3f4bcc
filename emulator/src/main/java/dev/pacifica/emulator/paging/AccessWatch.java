package dev.pacifica.emulator.paging;

/** Sees each data access by its linear address; for data breakpoints. */
public interface AccessWatch {
    void accessed(long va, int size, boolean write);
}
