package dev.pacifica.emulator.memory;

/**
 * What the execution engine keeps for a physical page of code; the instruction TLB holds a
 * reference to it.
 */
public abstract class DecodedPage {}
