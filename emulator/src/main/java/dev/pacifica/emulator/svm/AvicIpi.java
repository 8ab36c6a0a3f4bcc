package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.ApicRegister;
import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;

/**
 * Interprocessor interrupts between virtual processors (§15.29.6.1): an ICR write sets the request
 * in every target's backing page and rings the doorbell of those that run, or traps to the
 * hypervisor (§15.29.9.1). If a target is illegal, none gets the interrupt: the hypervisor delivers
 * it to all.
 */
final class AvicIpi {
    /** Why an IPI could not be completed (Table 15-27). */
    private static final int INVALID_TYPE = 0;

    private static final int TARGET_NOT_RUNNING = 1;
    private static final int INVALID_TARGET = 2;
    private static final int INVALID_BACKING_PAGE = 3;
    private static final int INVALID_VECTOR = 4;

    private static final long VALID = 1L << 63;
    private static final long RUNNING = 1L << 62;
    private static final long POINTER = (1L << 52) - 4096;
    private static final int LOGICAL_VALID = 1 << 31;

    /** In ICR: message type, logical destination, level trigger mode, self shorthand. */
    private static final int MESSAGE_TYPE = 7 << 8;

    private static final int LOGICAL = 1 << 11;
    private static final int LEVEL = 1 << 15;
    private static final int SELF = 1 << 18;

    private final Cpu cpu;
    private final Avic avic;
    private int low;
    private int high;

    AvicIpi(Cpu cpu, Avic avic) {
        this.cpu = cpu;
        this.avic = avic;
    }

    /** SELF_IPI of x2APIC. */
    void sendSelf(int vector) {
        send(SELF | vector, 0);
    }

    /** The guest wrote the low half of ICR. */
    void send(int icrLow, int icrHigh) {
        low = icrLow;
        high = icrHigh;
        int vector = low & 0xff;
        if ((low & (MESSAGE_TYPE | LEVEL)) != 0) {
            incomplete(INVALID_TYPE, 0);
        } else if (vector < 16) {
            incomplete(INVALID_VECTOR, 0);
        } else {
            switch (low >> 18 & 3) {
                case 0 -> direct(vector);
                case 1 -> {
                    avic.setBit(avic.backingPage(), ApicRegister.REQUEST, vector, true);
                    avic.evaluate();
                }
                case 2 -> broadcast(vector, true);
                default -> broadcast(vector, false);
            }
        }
    }

    private void incomplete(int reason, int index) {
        avic.trap(
                ExitCode.AVIC_INCOMPLETE_IPI,
                (long) high << 32 | low & 0xffff_ffffL,
                (long) reason << 32 | index & 0xfff);
    }

    private void direct(int vector) {
        boolean logical = (low & LOGICAL) != 0;
        int destination = avic.x2apicMode ? high : high >>> 24;
        if (destination == (avic.x2apicMode ? -1 : 0xff)) {
            broadcast(vector, true);
        } else if (!logical) {
            unicast(vector, destination);
        } else if (avic.x2apicMode) {
            multicast(vector, destination & 0xffff, destination >>> 16 << 4);
        } else if (avic.register(ApicRegister.DESTINATION_FORMAT) >>> 28 == 0xf) {
            multicast(vector, destination, 0);
        } else {
            multicast(vector, destination & 15, 4 * (destination >> 4));
        }
    }

    private void unicast(int vector, int id) {
        long entry = entry(id);
        if (entry >= 0) { // V is the sign
            incomplete(INVALID_TARGET, id);
        } else if (badPointer(entry)) {
            incomplete(INVALID_BACKING_PAGE, id);
        } else if (!deliver(entry, vector)) {
            incomplete(TARGET_NOT_RUNNING, id);
        }
    }

    /**
     * To the logical destinations whose bits are set.
     *
     * @param first where bit 0 is in the logical table or, for x2APIC, in the physical one
     */
    private void multicast(int vector, int bits, int first) {
        for (int rest = bits; rest != 0; rest &= rest - 1) {
            int index = first + Integer.numberOfTrailingZeros(rest);
            long entry = logicalTarget(index);
            if (entry >= 0) {
                incomplete(INVALID_TARGET, index);
                return;
            }
            if (badPointer(entry)) {
                incomplete(INVALID_BACKING_PAGE, index);
                return;
            }
        }
        int asleep = -1;
        for (int rest = bits; rest != 0; rest &= rest - 1) {
            int index = first + Integer.numberOfTrailingZeros(rest);
            if (!deliver(logicalTarget(index), vector) && asleep < 0) {
                asleep = index;
            }
        }
        if (asleep >= 0) {
            incomplete(TARGET_NOT_RUNNING, asleep);
        }
    }

    /** The physical table's entry of a logical destination; 0, not valid, if there is none. */
    private long logicalTarget(int index) {
        if (avic.x2apicMode) {
            return entry(index);
        }
        boolean reserved = index >= 4 * 15; // cluster 15
        int logical = reserved ? 0 : avic.logicalEntry(index);
        return (logical & LOGICAL_VALID) != 0 ? entry(logical & 0xff) : 0;
    }

    private void broadcast(int vector, boolean includingSelf) {
        for (int i = 0; i <= avic.maxIndex; i++) {
            long entry = entry(i);
            if (addressed(entry, includingSelf) && badPointer(entry)) {
                incomplete(INVALID_BACKING_PAGE, i);
                return;
            }
        }
        int asleep = -1;
        for (int i = 0; i <= avic.maxIndex; i++) {
            long entry = entry(i);
            if (addressed(entry, includingSelf) && !deliver(entry, vector) && asleep < 0) {
                asleep = i;
            }
        }
        if (asleep >= 0) {
            incomplete(TARGET_NOT_RUNNING, asleep);
        }
    }

    private boolean addressed(long entry, boolean includingSelf) {
        return (entry & VALID) != 0 && (includingSelf || (entry & POINTER) != avic.backingPage());
    }

    /** An entry of the physical table; 0, not valid, beyond its end. */
    private long entry(int id) {
        return Integer.compareUnsigned(id, avic.maxIndex) <= 0 ? avic.physicalEntry(id) : 0;
    }

    private static boolean badPointer(long entry) {
        return (entry & POINTER) >>> CpuModel.PHYSICAL_BITS != 0;
    }

    /** Requests the interrupt, and rings if the target has a processor: otherwise false. */
    private boolean deliver(long entry, int vector) {
        avic.setBit(entry & POINTER, ApicRegister.REQUEST, vector, true);
        if ((entry & RUNNING) == 0) {
            return false;
        }
        ring(cpu, (int) entry & 0xfff);
        return true;
    }

    /** Rings the doorbell of the processor with a physical APIC id, if there is one. */
    static void ring(Cpu cpu, int apicId) {
        if (apicId < cpu.all.size()) {
            cpu.all.get(apicId).svm.doorbell();
        }
    }
}
