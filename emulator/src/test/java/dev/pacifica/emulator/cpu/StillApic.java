package dev.pacifica.emulator.cpu;

/** A local APIC whose pending vector a test sets. */
final class StillApic implements LocalInterruptController {
    int pending = -1;
    int acknowledged = -1;
    int taskPriority;
    long base = 0xfee0_0900L;

    @Override
    public int taskPriority() {
        return taskPriority;
    }

    @Override
    public void setTaskPriority(int cr8) {
        taskPriority = cr8;
    }

    @Override
    public int pendingVector() {
        return pending;
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
