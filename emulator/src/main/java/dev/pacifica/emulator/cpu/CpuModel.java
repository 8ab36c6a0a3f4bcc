package dev.pacifica.emulator.cpu;

/** A processor model: identification and the features that CPUID offers. Immutable. */
public final class CpuModel {
    public static final CpuModel DEFAULT = new CpuModel();

    private CpuModel() {}
}
