package dev.pacifica.emulator.check;

import java.util.Arrays;

/**
 * How long GIF stays clear in the host (§15.17), in instructions that the processor retires: a
 * figure, not a mistake.
 */
public final class GifTimes {
    private static final int BUCKETS = 64;
    private static final long SET = -1;

    private final long[] since;
    private final long[] buckets = new long[BUCKETS];
    private long count;
    private long longest = -1;
    private int longestVcpu;
    private long longestAt;

    GifTimes(int vcpus) {
        since = new long[vcpus];
        Arrays.fill(since, SET);
    }

    void cleared(int vcpu, long retired) {
        if (since[vcpu] == SET) {
            since[vcpu] = retired;
        }
    }

    /** GIF was set, by STGI or by VMRUN. */
    void set(int vcpu, long retired, long machineRetired) {
        if (since[vcpu] == SET) {
            return;
        }
        long length = Math.max(0, retired - since[vcpu]);
        since[vcpu] = SET;
        count++;
        buckets[64 - Long.numberOfLeadingZeros(length)]++;
        if (length > longest) {
            longest = length;
            longestVcpu = vcpu;
            longestAt = machineRetired;
        }
    }

    /** How often GIF was clear. */
    public long count() {
        return count;
    }

    /** The longest stretch in instructions; -1 if there was none. */
    public long longest() {
        return longest;
    }

    /** The processor of the longest stretch. */
    public int longestVcpu() {
        return longestVcpu;
    }

    /** The machine's retired instructions at the end of the longest stretch. */
    public long longestAt() {
        return longestAt;
    }

    /**
     * Stretches by length: element n counts those of 2^(n-1) to 2^n - 1 instructions, 0 those of
     * none.
     */
    public long[] histogram() {
        return buckets.clone();
    }
}
