package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.LocalInterruptController;

/** A local APIC with one interrupt at most, which a test sets. */
public final class FakeApic implements LocalInterruptController {
    /** The vector that waits, or -1. */
    public int pending = -1;

    /** The vector that was acknowledged last, or -1. */
    public int acknowledged = -1;

    /** Task priority class, as in CR8. */
    public int tpr;

    private long base = 0xfee0_0900L;

    @Override
    public int taskPriority() {
        return tpr;
    }

    @Override
    public void setTaskPriority(int cr8) {
        tpr = cr8;
    }

    @Override
    public int pendingVector() {
        return pending >>> 4 > tpr ? pending : -1;
    }

    @Override
    public int acknowledge() {
        acknowledged = pending;
        pending = -1;
        return acknowledged;
    }

    @Override
    public long base() {
        return base;
    }

    @Override
    public boolean setBase(long value) {
        base = value;
        return true;
    }

    @Override
    public boolean x2apic() {
        return false;
    }

    @Override
    public long readX2apic(int register) {
        return BAD_REGISTER;
    }

    @Override
    public boolean writeX2apic(int register, long value) {
        return false;
    }

    @Override
    public long tscDeadline() {
        return 0;
    }

    @Override
    public void setTscDeadline(long tsc) {}

    @Override
    public long read(long offset, int size) {
        return 0;
    }

    @Override
    public void write(long offset, int size, long value) {}
}
