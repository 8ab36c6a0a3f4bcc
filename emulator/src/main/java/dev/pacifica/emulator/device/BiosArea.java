package dev.pacifica.emulator.device;

import dev.pacifica.emulator.memory.PhysicalMemory;

/**
 * What kernels read of a PC's firmware in real-mode memory: the BIOS data area and an interrupt
 * vector table. There is no firmware: each software interrupt returns with carry set
 * ("unsupported"), each hardware interrupt is acknowledged and dropped.
 */
final class BiosArea {
    private static final int SEGMENT = 0xf000;

    /** Where the stubs are in the segment. */
    private static final int SOFTWARE = 0xe000;

    private static final int MASTER = 0xe010;
    private static final int SLAVE = 0xe020;

    private BiosArea() {}

    static void install(PhysicalMemory memory) {
        if (memory.lowSize() < MemoryMap.ONE_MIB) {
            return;
        }
        stub(
                memory, SOFTWARE, 0x55, 0x89, 0xe5, 0x83, 0x4e, 0x06, 0x01, 0x5d,
                0xcf); // push bp; mov bp,sp; or word [bp+6],1; pop bp; iret
        stub(
                memory, MASTER, 0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58,
                0xcf); // push ax; mov al,20h; out 20h,al; pop ax; iret
        stub(
                memory, SLAVE, 0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58,
                0xcf); // the same, to both 8259s
        for (int vector = 0; vector < 256; vector++) {
            int offset =
                    vector >= 0x08 && vector < 0x10
                            ? MASTER
                            : vector >= 0x70 && vector < 0x78 ? SLAVE : SOFTWARE;
            memory.write(4L * vector, 4, (long) SEGMENT << 16 | offset);
        }
        memory.write(0x400, 2, 0x3f8); // COM1
        memory.write(0x402, 2, 0x2f8); // COM2
        memory.write(0x40e, 2, MemoryMap.LOW_END >> 4); // segment of the extended data area
        memory.write(0x410, 2, 0x0402); // equipment: x87, two serial ports
        memory.write(0x413, 2, MemoryMap.LOW_END >> 10); // conventional memory in KiB
        memory.write(MemoryMap.LOW_END, 1, 1); // size of the extended data area in KiB
    }

    private static void stub(PhysicalMemory memory, int offset, int... code) {
        for (int i = 0; i < code.length; i++) {
            memory.write(((long) SEGMENT << 4) + offset + i, 1, code[i]);
        }
    }
}
