package dev.pacifica.emulator.paging;

/** Takes a nested page fault (§15.25.6): performs the #VMEXIT and unwinds; does not return. */
@FunctionalInterface
public interface NestedFaultHandler {
    /** {@code gpa} goes to EXITINFO2, {@code info1} to EXITINFO1. */
    RuntimeException nestedPageFault(long gpa, long info1);
}
