package dev.pacifica.emulator.device;

import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortDevice;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.function.LongPredicate;

/**
 * The firmware configuration device at ports 510h–51Bh: read-only items by number, a directory of
 * named files, and transfers by DMA. Items are part of the machine's configuration, not of its
 * state.
 */
public final class FwCfg implements PortDevice, Stateful {
    /**
     * Its first I/O port; selector 510h (16 bits), data 511h (8 bits), DMA address 514h–51Bh
     * (big-endian).
     */
    public static final int PORT = 0x510;

    public static final int PORTS = 12;

    public static final int SIGNATURE = 0x00;
    public static final int INTERFACE = 0x01;
    public static final int RAM_SIZE = 0x03;
    public static final int CPU_COUNT = 0x05;
    public static final int KERNEL_SIZE = 0x08;
    public static final int INITRD_SIZE = 0x0b;
    public static final int MAX_CPUS = 0x0f;
    public static final int KERNEL_DATA = 0x11;
    public static final int INITRD_DATA = 0x12;
    public static final int COMMAND_LINE_SIZE = 0x14;
    public static final int COMMAND_LINE = 0x15;
    public static final int FILE_DIRECTORY = 0x19;
    private static final int FIRST_FILE = 0x20;

    private static final int DATA = PORT + 1;
    private static final int DMA_HIGH = PORT + 4;
    private static final int DMA_LOW = PORT + 8;

    private static final int DMA_ERROR = 1;
    private static final int DMA_READ = 1 << 1;
    private static final int DMA_SKIP = 1 << 2;
    private static final int DMA_SELECT = 1 << 3;
    private static final int DMA_WRITE = 1 << 4;
    private static final byte[] DMA_SIGNATURE = "QEMU CFG".getBytes(StandardCharsets.US_ASCII);

    /** An item's bytes, which may be produced on demand. */
    public interface Item {
        long size();

        /** Copies bytes from {@code offset} on; the range lies within the item. */
        void read(long offset, byte[] into, int at, int count);
    }

    private record Bytes(byte[] data) implements Item {
        @Override
        public long size() {
            return data.length;
        }

        @Override
        public void read(long offset, byte[] into, int at, int count) {
            System.arraycopy(data, (int) offset, into, at, count);
        }
    }

    private final PhysicalMemory memory;
    private final LongPredicate outOfReach;
    private final TreeMap<Integer, Item> items = new TreeMap<>();
    private final List<String> fileNames = new ArrayList<>();
    private int selected;
    private long offset;
    private long dmaAddress;

    /**
     * @param outOfReach the physical addresses that DMA does not reach: they read as all ones, and
     *     what is written there is lost
     */
    public FwCfg(PhysicalMemory memory, int processors, LongPredicate outOfReach) {
        this.memory = memory;
        this.outOfReach = outOfReach;
        put(SIGNATURE, "QEMU".getBytes(StandardCharsets.US_ASCII));
        putNumber(INTERFACE, 3, 4); // the traditional ports and DMA
        putNumber(RAM_SIZE, memory.size(), 8);
        putNumber(CPU_COUNT, processors, 2);
        putNumber(MAX_CPUS, processors, 2);
        putDirectory();
    }

    public void put(int key, Item item) {
        items.put(key, item);
    }

    public void put(int key, byte[] data) {
        put(key, new Bytes(data.clone()));
    }

    /** Stores a little-endian number of {@code size} bytes. */
    public void putNumber(int key, long value, int size) {
        byte[] data = new byte[size];
        for (int i = 0; i < size; i++) {
            data[i] = (byte) (value >>> 8 * i);
        }
        put(key, data);
    }

    /** Adds a named file, e.g. {@code etc/e820}; names have at most 55 characters. */
    public void putFile(String name, byte[] data) {
        int position = fileNames.indexOf(name);
        if (position < 0) {
            position = fileNames.size();
            fileNames.add(name);
        }
        put(FIRST_FILE + position, data);
        putDirectory();
    }

    private void putDirectory() {
        byte[] directory = new byte[4 + 64 * fileNames.size()];
        bigEndian(directory, 0, fileNames.size(), 4);
        for (int i = 0; i < fileNames.size(); i++) {
            int at = 4 + 64 * i;
            bigEndian(directory, at, items.get(FIRST_FILE + i).size(), 4);
            bigEndian(directory, at + 4, FIRST_FILE + i, 2);
            byte[] name = fileNames.get(i).getBytes(StandardCharsets.US_ASCII);
            System.arraycopy(name, 0, directory, at + 8, Math.min(name.length, 55));
        }
        put(FILE_DIRECTORY, directory);
    }

    private static void bigEndian(byte[] into, int at, long value, int size) {
        for (int i = 0; i < size; i++) {
            into[at + i] = (byte) (value >>> 8 * (size - 1 - i));
        }
    }

    @Override
    public int in(int port, int size) {
        if (port >= DMA_HIGH) {
            int value = 0;
            for (int i = 0; i < size; i++) {
                value |= DMA_SIGNATURE[port - DMA_HIGH + i] << 8 * i;
            }
            return value;
        }
        if (port != DATA) {
            return 0;
        }
        byte[] one = new byte[1];
        readItem(one, 0, 1);
        return one[0] & 0xff;
    }

    /** Copies the next bytes of the selected item; zeros past its end. */
    private void readItem(byte[] into, int at, int count) {
        Item item = items.get(selected);
        int there = item == null ? 0 : (int) Math.max(0, Math.min(count, item.size() - offset));
        if (there > 0) {
            item.read(offset, into, at, there);
        }
        java.util.Arrays.fill(into, at + there, at + count, (byte) 0);
        offset += there;
    }

    private void select(int key) {
        selected = key & 0x3fff; // bits 14 and 15 asked for writing and for the architecture's own
        // items
        if (!items.containsKey(selected)) {
            selected = key & 0xffff;
        }
        offset = 0;
    }

    @Override
    public void out(int port, int size, int value) {
        if (port == PORT && size == 2) {
            select(value);
        } else if (port == DMA_HIGH && size == 4) {
            dmaAddress = Integer.toUnsignedLong(Integer.reverseBytes(value)) << 32;
        } else if (port == DMA_LOW && size == 4) {
            dmaAddress |= Integer.toUnsignedLong(Integer.reverseBytes(value));
            transfer(dmaAddress);
            dmaAddress = 0;
        }
    }

    /**
     * Obeys the control block at {@code pa}: control, length (32 bits each) and address (64),
     * big-endian.
     */
    private void transfer(long pa) {
        byte[] block = new byte[16];
        for (int i = 0; i < block.length; i++) {
            block[i] = reaches(pa + i) ? (byte) memory.read(pa + i, 1) : -1;
        }
        int control = (int) number(block, 0, 4);
        long length = number(block, 4, 4);
        long address = number(block, 8, 8);
        boolean failed = false;
        if ((control & DMA_SELECT) != 0) {
            select(control >>> 16);
        }
        if ((control & DMA_READ) != 0) {
            read(address, length);
        } else if ((control & DMA_WRITE) != 0) {
            failed = true; // no item can be written
        } else if ((control & DMA_SKIP) != 0) {
            Item item = items.get(selected);
            offset = item == null ? 0 : Math.min(item.size(), offset + length);
        }
        byte[] result = {0, 0, 0, (byte) (failed ? DMA_ERROR : 0)};
        for (int i = 0; i < result.length; i++) {
            if (reaches(pa + i)) {
                memory.write(pa + i, 1, result[i]);
            }
        }
    }

    /** Whether DMA gets to a byte: RAM that is not hidden, no other device. */
    private boolean reaches(long pa) {
        return memory.isRam(pa) && !outOfReach.test(pa);
    }

    private void read(long address, long length) {
        byte[] page = new byte[PhysicalMemory.PAGE_SIZE];
        // what lies outside RAM is lost, so that a length of 4 GiB has an end
        for (long pa = address; pa - address < length && memory.isRam(pa); ) {
            int n = (int) Math.min(page.length - (pa & page.length - 1), length - (pa - address));
            readItem(page, 0, n);
            if (!outOfReach.test(pa)) {
                memory.write(pa, page, 0, n);
            }
            pa += n;
        }
    }

    private static long number(byte[] from, int at, int size) {
        long value = 0;
        for (int i = 0; i < size; i++) {
            value = value << 8 | from[at + i] & 0xff;
        }
        return value;
    }

    @Override
    public void save(StateWriter out) {
        out.section("fwcfg");
        out.u16("selected", selected);
        out.u64("offset", offset);
        out.u64("dmaAddress", dmaAddress);
    }

    @Override
    public void load(StateReader in) {
        in.section("fwcfg");
        selected = in.u16("selected");
        offset = in.u64("offset");
        dmaAddress = in.u64("dmaAddress");
    }
}
