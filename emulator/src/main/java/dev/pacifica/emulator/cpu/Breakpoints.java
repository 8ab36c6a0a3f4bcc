package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.paging.AccessWatch;

/**
 * The debug registers at work (APM Vol 2 §13.1): instruction, data and I/O breakpoints, single step
 * and task-switch traps.
 */
final class Breakpoints implements AccessWatch {
    static final long GENERAL_DETECT = 1 << 13;
    private static final int BD = 1 << 13;
    private static final int BS = 1 << 14;
    private static final int BT = 1 << 15;
    private static final int ADDRESS_BITS = 15;

    private static final int EXECUTE = 0;
    private static final int WRITE = 1;
    private static final int IO = 2;

    private final Cpu cpu;
    private boolean instructionsArmed;
    private boolean dataArmed;
    private boolean portsArmed;
    private boolean generalDetectRaised;

    /** DR6 bits of traps that the last instruction caused. */
    private int pending;

    Breakpoints(Cpu cpu) {
        this.cpu = cpu;
    }

    void changed() {
        instructionsArmed = false;
        portsArmed = false;
        boolean data = false;
        long dr7 = cpu.dr[7];
        if ((dr7 & 0xff) != 0) {
            for (int i = 0; i < 4; i++) {
                if ((dr7 >>> 2 * i & 3) != 0) {
                    int kind = kind(i);
                    instructionsArmed |= kind == EXECUTE;
                    portsArmed |= kind == IO && (cpu.cr4 & Cpu.CR4_DE) != 0;
                    data |= kind == WRITE || kind == 3;
                }
            }
        }
        if (data != dataArmed) {
            dataArmed = data;
            cpu.mmu.setWatch(data ? this : null);
        }
        if (instructionsArmed) {
            cpu.attention |= Cpu.ATTENTION_DEBUG;
        }
    }

    private int kind(int i) {
        return (int) (cpu.dr[7] >>> 16 + 4 * i) & 3;
    }

    private boolean enabled(int i) {
        return (cpu.dr[7] >>> 2 * i & 3) != 0;
    }

    /** Length of breakpoint i in bytes: 1, 2, 4 or 8. */
    private int length(int i) {
        int code = (int) (cpu.dr[7] >>> 18 + 4 * i) & 3;
        return code == 2 ? 8 : code + 1;
    }

    boolean instructionsArmed() {
        return instructionsArmed;
    }

    boolean pending() {
        return pending != 0;
    }

    int pendingBits() {
        return pending;
    }

    void loadPendingBits(int bits) {
        pending = bits;
    }

    void discard() {
        pending = 0;
    }

    boolean generalDetectRaised() {
        return generalDetectRaised;
    }

    /** Raises #DB if a breakpoint is on the instruction at RIP. */
    void checkInstruction() {
        generalDetectRaised = false;
        if (!instructionsArmed) {
            return;
        }
        long va = cpu.mode64 ? cpu.rip : cpu.segBase[Cpu.CS] + cpu.rip & 0xffff_ffffL;
        int hits = 0;
        for (int i = 0; i < 4; i++) {
            if (enabled(i) && kind(i) == EXECUTE && cpu.dr[i] == va) {
                hits |= 1 << i;
            }
        }
        if (hits != 0) {
            cpu.dr[6] = cpu.dr[6] & ~ADDRESS_BITS | hits;
            throw cpu.fault(GuestException.DB);
        }
    }

    @Override
    public void accessed(long va, int size, boolean write) {
        if (!cpu.gif) {
            return; // §15.17: breakpoint matches are discarded
        }
        for (int i = 0; i < 4; i++) {
            int kind = kind(i);
            if (enabled(i) && (kind == 3 || kind == WRITE && write) && overlaps(i, va, size)) {
                note(1 << i);
            }
        }
    }

    void portAccessed(int port, int size) {
        if (portsArmed && cpu.gif) {
            for (int i = 0; i < 4; i++) {
                if (enabled(i) && kind(i) == IO && overlaps(i, port, size)) {
                    note(1 << i);
                }
            }
        }
    }

    private boolean overlaps(int i, long va, int size) {
        int length = length(i);
        long start = cpu.dr[i] & -length;
        return Long.compareUnsigned(va, start + length - 1) <= 0
                && Long.compareUnsigned(va + size - 1, start) >= 0;
    }

    private void note(int bits) {
        pending |= bits;
        cpu.attention |= Cpu.ATTENTION_DEBUG;
    }

    void singleStepped() {
        note(BS);
    }

    void taskSwitched() {
        note(BT);
    }

    GuestException generalDetect() {
        generalDetectRaised = true;
        cpu.dr[6] = cpu.dr[6] & ~ADDRESS_BITS | BD;
        return cpu.fault(GuestException.DB);
    }

    /** Moves the pending traps to DR6. */
    void report() {
        generalDetectRaised = false;
        long kept = (pending & ADDRESS_BITS) != 0 ? cpu.dr[6] & ~ADDRESS_BITS : cpu.dr[6];
        cpu.dr[6] = kept | pending;
        pending = 0;
    }
}
