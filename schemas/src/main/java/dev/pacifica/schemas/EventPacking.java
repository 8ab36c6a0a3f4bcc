package dev.pacifica.schemas;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Makes event records small: each is written as its difference from what the records before it let
 * expect. One instance packs or unpacks one block of records after the other; blocks do not depend
 * on each other.
 *
 * <p>A record is a row of 64-bit words. A packed record is the kind's code, a mask of the words
 * that are not as expected (bit 0 the first word), and for each of those, in their order, the
 * difference (found minus expected, modulo 2^64). Expected is:
 *
 * <ul>
 *   <li>word 0: the kind's code and length, and the virtual processor of the record before;
 *   <li>word 1, insn_count: that of the record before;
 *   <li>word 2, time_ns: that of the record before, plus as many nanoseconds as instructions
 *       retired since;
 *   <li>any other word: as in the record before of the same kind.
 * </ul>
 *
 * <p>Before the first record stands the moment at which the block was closed, processor 0, and zero
 * in all other words. Code and mask are variable-length numbers: 7 bits a byte from the lowest on,
 * bit 7 set where another byte follows; a ninth byte holds 8 bits and is the last. Differences are
 * such numbers too, with the sign as bit 0: {@code (d << 1) ^ (d >> 63)}.
 */
public final class EventPacking {
    /** Bytes of the longest variable-length number. */
    private static final int LONGEST = 9;

    /** No packed record is longer. */
    public static final int MAX_PACKED = 1 + LONGEST + LONGEST * Events.MAX_LENGTH / 8;

    /** The virtual processor in a record's first word. */
    private static final long VCPU = 0xffff_0000L;

    private static final VarHandle LONG =
            MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

    private final long[][] last = new long[Events.kinds().size() + 1][Events.MAX_LENGTH / 8];
    private long vcpu;
    private long insnCount;
    private long timeNs;
    private byte[] in = {};
    private int at;
    private int end;
    private int unpackedEnd;

    private void begin(long closedInsnCount, long closedTimeNs) {
        for (long[] words : last) {
            Arrays.fill(words, 0);
        }
        vcpu = 0;
        insnCount = closedInsnCount;
        timeNs = closedTimeNs;
    }

    /**
     * Packs records into {@code packed}, which must have room for {@link #MAX_PACKED} bytes each.
     *
     * @param from where the records begin
     * @param to where they end
     * @param closedInsnCount the block's moment, as {@link #unpack} will be given it
     * @return where the packed records end
     */
    public int pack(
            byte[] records,
            int from,
            int to,
            long closedInsnCount,
            long closedTimeNs,
            byte[] packed,
            int packedFrom) {
        begin(closedInsnCount, closedTimeNs);
        int out = packedFrom;
        for (int record = from; record < to; ) {
            long head = (long) LONG.get(records, record);
            long insn = (long) LONG.get(records, record + 8);
            int code = (int) head & 0xffff;
            int words = (int) (head >>> 32) >>> 3;
            long[] expected = last[code];
            expected[0] = head & ~VCPU | vcpu;
            expected[1] = insnCount;
            expected[2] = timeNs + insn - insnCount;
            long mask = 0;
            for (int i = 0; i < words; i++) {
                if ((long) LONG.get(records, record + 8 * i) != expected[i]) {
                    mask |= 1L << i;
                }
            }
            out = putNumber(packed, out, code);
            out = putNumber(packed, out, mask);
            for (long left = mask; left != 0; left &= left - 1) {
                int i = Long.numberOfTrailingZeros(left);
                long found = (long) LONG.get(records, record + 8 * i);
                long difference = found - expected[i];
                out = putNumber(packed, out, difference << 1 ^ difference >> 63);
                expected[i] = found;
            }
            remember(expected);
            record += 8 * words;
        }
        return out;
    }

    /**
     * Unpacks {@code count} records that fill the bytes in [{@code from}, {@code to}).
     *
     * @param into where the records go, from {@code intoFrom} on; a larger array takes its place
     *     where they do not fit
     * @return the array that holds them; {@link #unpackedEnd} is where they end
     * @throws IllegalArgumentException if the bytes are not what {@link #pack} writes
     */
    public byte[] unpack(
            byte[] packed,
            int from,
            int to,
            int count,
            long closedInsnCount,
            long closedTimeNs,
            byte[] into,
            int intoFrom) {
        begin(closedInsnCount, closedTimeNs);
        in = packed;
        at = from;
        end = to;
        byte[] records = into;
        int record = intoFrom;
        for (int n = 0; n < count; n++) {
            long code = number();
            EventKind kind = code == (int) code ? Events.kind((int) code) : null;
            if (kind == null) {
                throw new IllegalArgumentException("an event of unknown kind");
            }
            int words = kind.length() / 8;
            long mask = number();
            if (mask >>> words != 0) {
                throw new IllegalArgumentException("a record that is too long");
            }
            if (records.length - record < Events.MAX_LENGTH) {
                records = Arrays.copyOf(records, 2 * records.length + Events.MAX_LENGTH);
            }
            long[] value = last[kind.code()];
            value[0] = (long) kind.length() << 32 | vcpu | code;
            value[1] = insnCount;
            for (int i = 0; i < words; i++) {
                if (i == 2) {
                    value[2] = timeNs + value[1] - insnCount;
                }
                if ((mask >>> i & 1) != 0) {
                    long folded = number();
                    value[i] += folded >>> 1 ^ -(folded & 1);
                }
                LONG.set(records, record + 8 * i, value[i]);
            }
            remember(value);
            record += kind.length();
        }
        if (at != end) {
            throw new IllegalArgumentException("more bytes than records");
        }
        unpackedEnd = record;
        return records;
    }

    /** Where the records end that were unpacked last. */
    public int unpackedEnd() {
        return unpackedEnd;
    }

    private void remember(long[] words) {
        vcpu = words[0] & VCPU;
        insnCount = words[1];
        timeNs = words[2];
    }

    private static int putNumber(byte[] bytes, int from, long number) {
        int out = from;
        long left = number;
        for (int i = 0; i < LONGEST - 1 && (left & ~0x7fL) != 0; i++) {
            bytes[out++] = (byte) (left | 0x80);
            left >>>= 7;
        }
        bytes[out++] = (byte) left;
        return out;
    }

    private long number() {
        long number = 0;
        for (int i = 0; i < LONGEST; i++) {
            if (at == end) {
                throw new IllegalArgumentException("a record is cut off");
            }
            int next = in[at++];
            if (i == LONGEST - 1) {
                return number | (next & 0xffL) << 7 * i;
            }
            number |= (next & 0x7fL) << 7 * i;
            if (next >= 0) {
                return number;
            }
        }
        throw new AssertionError();
    }
}
