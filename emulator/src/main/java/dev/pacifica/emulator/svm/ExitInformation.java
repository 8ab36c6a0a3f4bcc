package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.cpu.WorldSwitched;
import dev.pacifica.emulator.memory.PhysicalMemory;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * What #VMEXIT tells beside the exit code: EXITINFO1 of IOIO and the guest's instruction bytes
 * (§15.8, §15.10.2).
 */
public final class ExitInformation {
    private static final int MOST_BYTES = 15;
    private static final VarHandle LONG =
            MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

    private final Cpu cpu;
    private final byte[] bytes = new byte[MOST_BYTES];

    /** True while instruction bytes are read: a fault then means only that there are no more. */
    private boolean reading;

    ExitInformation(Cpu cpu) {
        this.cpu = cpu;
    }

    /**
     * EXITINFO1 of an IOIO intercept (Figure 15-2).
     *
     * @param size operand size in bytes, 1, 2 or 4
     * @param addressSize effective address size in bytes, 2, 4 or 8
     * @param segment effective segment of the string (ES for INS), 0..5; 0 if it is not a string
     *     instruction
     */
    public static long ioio(
            int port,
            boolean in,
            int size,
            boolean string,
            boolean repeated,
            int addressSize,
            int segment) {
        return (long) port << 16
                | (long) segment << 10
                | (addressSize == 8 ? 1 << 9 : addressSize == 4 ? 1 << 8 : 1 << 7)
                | (size == 4 ? 1 << 6 : size == 2 ? 1 << 5 : 1 << 4)
                | (repeated ? 1 << 3 : 0)
                | (string ? 1 << 2 : 0)
                | (in ? 1 : 0);
    }

    boolean reading() {
        return reading;
    }

    /**
     * Whether the exit records instruction bytes (§15.8.4): data page faults, nested or
     * intercepted.
     */
    boolean wantsBytes(int exitCode) {
        return (exitCode == ExitCode.NPF || exitCode == ExitCode.EXCEPTION + GuestException.PF)
                && !cpu.mmu.faultedFetching();
    }

    /**
     * Reads up to 15 bytes at the guest's CS:RIP, as many as can be fetched; to be called before
     * the guest's state is left.
     */
    int read() {
        long offset = cpu.rip;
        int wanted = MOST_BYTES;
        if (!cpu.mode64) {
            long left = cpu.segLimit[Cpu.CS] - offset + 1;
            if (left <= 0) {
                return 0;
            }
            wanted = (int) Math.min(wanted, left);
        }
        reading = true;
        int count = 0;
        try {
            while (count < wanted) {
                long va =
                        cpu.mode64
                                ? offset + count
                                : cpu.segBase[Cpu.CS] + offset + count & 0xffff_ffffL;
                if (cpu.mode64 && !Cpu.canonical(va)) {
                    break;
                }
                long pa = cpu.mmu.translateFetch(va);
                if (!cpu.memory.isRam(pa)) {
                    break;
                }
                int n =
                        Math.min(
                                wanted - count,
                                PhysicalMemory.PAGE_SIZE
                                        - (int) (pa & PhysicalMemory.PAGE_SIZE - 1));
                cpu.memory.read(pa, bytes, count, n);
                count += n;
            }
        } catch (GuestException | WorldSwitched e) {
            // The bytes from here on cannot be fetched; those before are recorded.
        } finally {
            reading = false;
        }
        return count;
    }

    /** Writes the bytes that {@link #read} found. */
    void store(Vmcb vmcb, int count) {
        if (count == MOST_BYTES) {
            vmcb.put64(VmcbLayout.FETCHED_BYTES, (long) LONG.get(bytes, 0) << 8 | count);
            vmcb.put64(VmcbLayout.FETCHED_BYTES + 8, (long) LONG.get(bytes, 7));
            return;
        }
        vmcb.put8(VmcbLayout.FETCHED_BYTES, count);
        for (int i = 0; i < count; i++) {
            vmcb.put8(VmcbLayout.INSTRUCTION_BYTES + i, bytes[i]);
        }
    }
}
