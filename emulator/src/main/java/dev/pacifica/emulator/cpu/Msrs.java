package dev.pacifica.emulator.cpu;

/** The model-specific registers of one processor. */
public final class Msrs {
    public long star;
    public long lstar;
    public long cstar;
    public long sfmask;
    public long kernelGsBase;
    public long sysenterCs;
    public long sysenterEsp;
    public long sysenterEip;
    public long pat = 0x0007_0406_0007_0406L;
    /** VM_CR (C001_0114h). */
    public long vmCr;
    /** VM_HSAVE_PA (C001_0117h). */
    public long vmHsavePa;
    public long tscAux;
    public long debugCtl;
    public long lastBranchFrom;
    public long lastBranchTo;
    public long lastExceptionFrom;
    public long lastExceptionTo;

    Msrs(Cpu cpu) {}
}
