package dev.pacifica.emulator.svm;

/**
 * What CPUID Fn8000_000A tells in EAX and EBX. The features of its EDX are those of {@link
 * dev.pacifica.emulator.cpu.CpuFeature}.
 */
public final class SvmFeatures {
    /** EAX: the SVM revision. */
    public static final int REVISION = 1;

    /** EBX: address space identifiers, the host's 0 included. */
    public static final int ASIDS = 0x8000;

    private SvmFeatures() {}
}
