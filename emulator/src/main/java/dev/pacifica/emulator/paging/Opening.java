package dev.pacifica.emulator.paging;

/** What came of {@link Mmu#open}. */
public enum Opening {
    /** The page now is on the hit path. */
    OPENED,

    /** It is not: a device, decoded code that is to be written, or accesses are watched. */
    CLOSED,

    /**
     * A nested page fault has left the guest. It is told so because it is hot, and an exception
     * costs as much as half of the #VMEXIT.
     */
    LEFT
}
