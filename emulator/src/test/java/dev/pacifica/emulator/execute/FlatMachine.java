package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import dev.pacifica.emulator.time.VirtualClock;

/**
 * A processor in 64-bit mode with 16 MiB of RAM, linear = physical, and no IDT: whatever is raised
 * ends in a shutdown.
 */
final class FlatMachine implements AutoCloseable {
    static final int CODE = 0x10_0000;
    static final int DATA = 0x20_0000;
    static final int STACK = 0x30_0000;
    static final long HIGH = 0xc000_0000L;
    private static final int PML4 = 0x1000;
    private static final int PDPT = 0x2000;
    private static final int PD = 0x3000;
    private static final int PT = 0x4000;
    private static final int DIRECTORY = 0xf000;
    private static final int TABLES = 0x1_0000;
    private static final Decoder DECODER = new Decoder();

    final PhysicalMemory memory = new PhysicalMemory(16 << 20);
    final VirtualClock clock = new VirtualClock();
    final Cpu cpu = new Cpu(0, clock, memory, new PortBus());
    final Interpreter interpreter;

    FlatMachine(boolean cached) {
        interpreter = new Interpreter(cpu, DECODER);
        interpreter.setCached(cached);
        reset();
    }

    /** Page tables, control registers and segments as at the start. */
    void reset() {
        for (int i = 0; i < 8; i++) {
            memory.write64(PD + 8 * i, (long) (PT + 4096 * i) | 7);
        }
        for (int i = 0; i < 4096; i++) {
            memory.write64(PT + 8 * i, (long) i << 12 | 7);
        }
        memory.write64(PML4, PDPT | 7);
        memory.write64(PDPT, PD | 7);
        cpu.cr0 = Cpu.CR0_PE | Cpu.CR0_PG | Cpu.CR0_WP | Cpu.CR0_NE;
        cpu.cr4 = Cpu.CR4_PAE | Cpu.CR4_OSFXSR | Cpu.CR4_OSXMMEXCPT;
        cpu.efer = Cpu.EFER_LME | Cpu.EFER_LMA | Cpu.EFER_NXE;
        cpu.cr3 = PML4;
        for (int i = 0; i < 6; i++) {
            cpu.segSelector[i] = i == Cpu.CS ? 8 : 16;
            cpu.segLimit[i] = 0xffff_ffffL;
            cpu.segAttr[i] =
                    Cpu.ATTR_P
                            | Cpu.ATTR_S
                            | Cpu.ATTR_G
                            | (i == Cpu.CS ? Cpu.ATTR_L | 0xb : Cpu.ATTR_DB | 3);
            cpu.segBase[i] = 0;
        }
        cpu.idtrBase = 0;
        cpu.idtrLimit = 0;
        cpu.gdtrBase = 0;
        cpu.gdtrLimit = 0;
        cpu.cpl = 0;
        cpu.cr2 = 0;
        cpu.setRflags(2);
        cpu.activity = Cpu.RUNNING;
        cpu.interruptShadow = false;
        cpu.stackShadow = false;
        cpu.gif = true;
        cpu.updateMode();
        cpu.mmu.flush(true);
        cpu.rip = CODE;
        cpu.r[Cpu.RSP] = STACK;
    }

    /** Makes the processor 32-bit protected with flat segments. */
    void compatible() {
        cpu.segAttr[Cpu.CS] = Cpu.ATTR_P | Cpu.ATTR_S | Cpu.ATTR_G | Cpu.ATTR_DB | 0xb;
        cpu.updateMode();
    }

    /**
     * Makes the processor 32-bit protected with flat segments, in legacy mode with 32-bit paging;
     * RAM is at {@link #HIGH} as well.
     */
    void legacy() {
        for (int i = 0; i < 4; i++) {
            memory.write(DIRECTORY + 4 * i, 4, TABLES + 4096 * i | 7);
            memory.write(DIRECTORY + 4 * (int) (HIGH >>> 22) + 4 * i, 4, TABLES + 4096 * i | 7);
        }
        for (int i = 0; i < 4096; i++) {
            memory.write(TABLES + 4 * i, 4, i << 12 | 7);
        }
        cpu.cr0 &= ~Cpu.CR0_PG;
        cpu.cr4 &= ~Cpu.CR4_PAE;
        cpu.efer = 0;
        cpu.cr3 = DIRECTORY;
        cpu.cr0 |= Cpu.CR0_PG;
        cpu.mmu.flush(true);
        compatible();
    }

    /** Makes the processor start over in real mode. */
    void real() {
        cpu.cr0 = Cpu.CR0_NE;
        cpu.efer = 0;
        for (int i = 0; i < 6; i++) {
            cpu.segSelector[i] = 0;
            cpu.segLimit[i] = 0xffff;
            cpu.segAttr[i] = Cpu.ATTR_P | Cpu.ATTR_S | (i == Cpu.CS ? 0xb : 3);
        }
        cpu.updateMode();
        cpu.mmu.flush(true);
    }

    void code(int address, int... bytes) {
        byte[] all = new byte[bytes.length];
        for (int i = 0; i < bytes.length; i++) {
            all[i] = (byte) bytes[i];
        }
        memory.write(address, all, 0, all.length);
    }

    /** Runs {@code n} instructions, or until the processor no longer runs. */
    void run(long n) {
        long end = clock.retired + n;
        do {
            interpreter.run(end);
        } while (clock.retired < end && cpu.activity == Cpu.RUNNING);
    }

    @Override
    public void close() {
        memory.close();
    }
}
