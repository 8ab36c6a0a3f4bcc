package dev.pacifica.emulator.memory;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Little-endian access to host memory by absolute address. Every address must come from {@link
 * PhysicalMemory} or another allocation; nothing is checked here.
 */
public final class RawMemory {
    private static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

    private RawMemory() {}

    /** The byte at the address, 0 to 255. */
    public static int getByte(long address) {
        return ALL.get(ValueLayout.JAVA_BYTE, address) & 0xff;
    }

    /** The 16 bits at the address, 0 to 65535. */
    public static int getShort(long address) {
        return ALL.get(SHORT, address) & 0xffff;
    }

    public static int getInt(long address) {
        return ALL.get(INT, address);
    }

    public static long getLong(long address) {
        return ALL.get(LONG, address);
    }

    public static void putByte(long address, int value) {
        ALL.set(ValueLayout.JAVA_BYTE, address, (byte) value);
    }

    public static void putShort(long address, int value) {
        ALL.set(SHORT, address, (short) value);
    }

    public static void putInt(long address, int value) {
        ALL.set(INT, address, value);
    }

    public static void putLong(long address, long value) {
        ALL.set(LONG, address, value);
    }

    /** Copies bytes between host addresses as memmove does. */
    public static void copy(long from, long to, long bytes) {
        MemorySegment.copy(ALL, from, ALL, to, bytes);
    }

    public static void fill(long address, long bytes, byte value) {
        ALL.asSlice(address, bytes).fill(value);
    }

    public static void get(long address, byte[] into, int offset, int count) {
        MemorySegment.copy(ALL, ValueLayout.JAVA_BYTE, address, into, offset, count);
    }

    public static void put(long address, byte[] from, int offset, int count) {
        MemorySegment.copy(from, offset, ALL, ValueLayout.JAVA_BYTE, address, count);
    }

    /** Reads 64-bit words. */
    public static void get(long address, long[] into, int index, int count) {
        MemorySegment.copy(ALL, LONG, address, into, index, count);
    }

    /** Writes 64-bit words. */
    public static void put(long address, long[] from, int index, int count) {
        MemorySegment.copy(from, index, ALL, LONG, address, count);
    }
}
