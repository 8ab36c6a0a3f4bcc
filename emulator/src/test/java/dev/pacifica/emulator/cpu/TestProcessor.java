package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.execute.Interpreter;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import dev.pacifica.emulator.svm.FakeApic;
import dev.pacifica.emulator.time.VirtualClock;
import java.util.HexFormat;

/**
 * A processor with 4 MiB of RAM, put into a mode with tables that the tests share.
 *
 * <pre>
 *   1000h GDT   2000h IDT   3000h TSS (32- or 64-bit)   3800h second TSS   4000h LDT
 *   5000h..    handlers, vector v at 5000h + 10h * v (all HLT)
 *   8000h code (ring 0)   9000h code (ring 3)   10000h page tables
 *   stacks: ring 0 ends at 20000h, TSS's ring 0 at 22000h, ring 3 at 24000h, IST1 at 26000h
 * </pre>
 */
final class TestProcessor implements AutoCloseable {
    static final int GDT = 0x1000;
    static final int IDT = 0x2000;
    static final int TSS = 0x3000;
    static final int TSS2 = 0x3800;
    static final int LDT = 0x4000;
    static final int HANDLERS = 0x5000;
    static final int CODE = 0x8000;
    static final int USER_CODE = 0x9000;
    static final int TABLES = 0x10000;
    static final int STACK = 0x20000;
    static final int RING0_STACK = 0x22000;
    static final int USER_STACK = 0x24000;
    static final int IST_STACK = 0x26000;

    /** Selectors of the shared GDT. */
    static final int CODE0 = 0x08;

    static final int DATA0 = 0x10;
    static final int CODE3 = 0x1b;
    static final int DATA3 = 0x23;
    static final int TSS_SELECTOR = 0x28; // 16 bytes in long mode
    static final int TSS2_SELECTOR = 0x38;
    static final int LDT_SELECTOR = 0x40; // 16 bytes in long mode
    static final int CODE64 = 0x50;
    static final int CODE64_3 = 0x5b;
    static final int GATE_SELECTOR = 0x60; // 16 bytes in long mode
    static final int CONFORMING = 0x70;
    static final int NOT_PRESENT = 0x78;
    static final int FREE = 0x80;

    final VirtualClock clock = new VirtualClock();
    final PhysicalMemory memory = new PhysicalMemory(4 << 20);
    final PortBus ports = new PortBus();
    final Cpu cpu = new Cpu(0, clock, memory, ports);
    final FakeApic apic = new FakeApic();
    final Interpreter interpreter;

    private TestProcessor() {
        cpu.apic = apic;
        Reset.powerOn(cpu);
        interpreter = new Interpreter(cpu, new Decoder(cpu.model.decoderFeatures()));
        for (int vector = 0; vector < 256; vector++) {
            code(HANDLERS + 16 * vector, "f4"); // hlt
        }
    }

    /** Real mode: IVT at 0 points at the handlers, stack ends at 7000h, code at 8000h. */
    static TestProcessor realMode() {
        TestProcessor p = new TestProcessor();
        Cpu cpu = p.cpu;
        for (int vector = 0; vector < 256; vector++) {
            p.write(4 * vector, 2, HANDLERS + 16 * vector);
            p.write(4 * vector + 2, 2, 0);
        }
        for (int segment = Cpu.ES; segment <= Cpu.GS; segment++) {
            cpu.segSelector[segment] = 0;
            cpu.segBase[segment] = 0;
        }
        cpu.r[Cpu.RSP] = 0x7000;
        cpu.rip = CODE;
        cpu.updateMode();
        return p;
    }

    /** 32-bit protected mode without paging at CPL 0, flat segments. */
    static TestProcessor protectedMode() {
        TestProcessor p = new TestProcessor();
        p.tables(false);
        p.cpu.cr0 = Cpu.CR0_PE | Cpu.CR0_ET;
        p.enterRing0(CODE0, 0xc9b);
        return p;
    }

    /** 64-bit mode at CPL 0, the first GiB identity-mapped for everybody. */
    static TestProcessor longMode() {
        TestProcessor p = new TestProcessor();
        p.tables(true);
        p.write(TABLES, 8, TABLES + 0x1000 | 7);
        p.write(TABLES + 0x1000, 8, 0x87); // 1 GiB page: present, writable, user, PS
        p.cpu.cr3 = TABLES;
        p.cpu.cr4 = Cpu.CR4_PAE | Cpu.CR4_PGE;
        p.cpu.efer = Cpu.EFER_LME | Cpu.EFER_LMA | Cpu.EFER_NXE | Cpu.EFER_SCE;
        p.cpu.cr0 = Cpu.CR0_PE | Cpu.CR0_PG | Cpu.CR0_ET | Cpu.CR0_WP;
        p.enterRing0(CODE64, 0xa9b);
        return p;
    }

    private void tables(boolean wide) {
        descriptor(CODE0, 0, 0xfffff, 0xc9b);
        descriptor(DATA0, 0, 0xfffff, 0xc93);
        descriptor(CODE3, 0, 0xfffff, 0xcfb);
        descriptor(DATA3, 0, 0xfffff, 0xcf3);
        descriptor(CODE64, 0, 0xfffff, 0xa9b);
        descriptor(CODE64_3, 0, 0xfffff, 0xafb);
        descriptor(CONFORMING, 0, 0xfffff, 0xc9f);
        descriptor(NOT_PRESENT, 0, 0xfffff, 0xc13);
        descriptor(TSS_SELECTOR, TSS, 0x67, 0x08b);
        descriptor(LDT_SELECTOR, LDT, 0xff, 0x082);
        if (!wide) {
            descriptor(TSS2_SELECTOR, TSS2, 0x67, 0x089);
            write(TSS + 4, 4, RING0_STACK);
            write(TSS + 8, 2, DATA0);
        } else {
            write(TSS + 4, 8, RING0_STACK);
            write(TSS + 0x24, 8, IST_STACK);
        }
        write(TSS + 0x66, 2, 0x68);
        for (int vector = 0; vector < 256; vector++) {
            gate(vector, wide ? CODE64 : CODE0, HANDLERS + 16 * vector, 0x8e);
        }
        cpu.gdtrBase = GDT;
        cpu.gdtrLimit = 0xff;
        cpu.idtrBase = IDT;
        cpu.idtrLimit = wide ? 0xfff : 0x7ff;
        cpu.segSelector[Cpu.TR] = TSS_SELECTOR;
        cpu.segBase[Cpu.TR] = TSS;
        cpu.segLimit[Cpu.TR] = 0x67;
        cpu.segAttr[Cpu.TR] = 0x8b;
        cpu.segAttr[Cpu.LDTR] = 0;
        if (wide) {
            cpu.efer = Cpu.EFER_LMA; // so that gate() writes 16-byte gates
            for (int vector = 0; vector < 256; vector++) {
                gate(vector, CODE64, HANDLERS + 16 * vector, 0x8e);
            }
        }
    }

    private void enterRing0(int codeSelector, int codeAttr) {
        segment(Cpu.CS, codeSelector, codeAttr);
        for (int segment : new int[] {Cpu.SS, Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS}) {
            segment(segment, DATA0, 0xc93);
        }
        cpu.cpl = 0;
        cpu.r[Cpu.RSP] = STACK;
        cpu.rip = CODE;
        cpu.updateMode();
    }

    /** Goes on at CPL 3 at {@link #USER_CODE}, in 64-bit code if in long mode. */
    TestProcessor user() {
        boolean wide = (cpu.efer & Cpu.EFER_LMA) != 0;
        segment(Cpu.CS, wide ? CODE64_3 : CODE3, wide ? 0xafb : 0xcfb);
        for (int segment : new int[] {Cpu.SS, Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS}) {
            segment(segment, DATA3, 0xcf3);
        }
        cpu.cpl = 3;
        cpu.r[Cpu.RSP] = USER_STACK;
        cpu.rip = USER_CODE;
        cpu.updateMode();
        return this;
    }

    private void segment(int segment, int selector, int attr) {
        cpu.segSelector[segment] = selector;
        cpu.segBase[segment] = 0;
        cpu.segLimit[segment] = 0xffff_ffffL;
        cpu.segAttr[segment] = attr;
    }

    /**
     * Writes a code, data or system descriptor; {@code limit} as encoded, {@code attr} in the
     * VMCB's form.
     */
    void descriptor(int selector, long base, int limit, int attr) {
        long low =
                limit & 0xffff
                        | (base & 0xff_ffff) << 16
                        | (long) (attr & 0xff) << 40
                        | (long) (limit >> 16 & 15) << 48
                        | (long) (attr >> 8 & 15) << 52
                        | (base >>> 24 & 0xff) << 56;
        write(GDT + (selector & ~7), 8, low);
    }

    /** Writes an IDT gate for the mode; {@code access} is the byte with P, DPL and type. */
    void gate(int vector, int selector, long offset, int access) {
        long low =
                offset & 0xffff
                        | (long) selector << 16
                        | (long) access << 40
                        | (offset >>> 16 & 0xffff) << 48;
        if ((cpu.efer & Cpu.EFER_LMA) != 0) {
            write(IDT + 16 * vector, 8, low);
            write(IDT + 16 * vector + 8, 8, offset >>> 32);
        } else {
            write(IDT + 8 * vector, 8, low);
        }
    }

    void write(long pa, int size, long value) {
        memory.write(pa, size, value);
    }

    long read(long pa, int size) {
        long value = memory.read(pa, size);
        return size == 8 ? value : value & (1L << 8 * size) - 1;
    }

    /** Puts machine code, hexadecimal with spaces, at an address. */
    TestProcessor code(long at, String hex) {
        byte[] bytes = HexFormat.of().parseHex(hex.replace(" ", ""));
        memory.write(at, bytes, 0, bytes.length);
        return this;
    }

    /** Puts code at RIP. */
    TestProcessor code(String hex) {
        return code(cpu.segBase[Cpu.CS] + cpu.rip, hex);
    }

    /** Executes {@code count} instructions (or deliveries of events). */
    TestProcessor step(int count) {
        for (int i = 0; i < count; i++) {
            interpreter.run(clock.retired + 1);
        }
        return this;
    }

    TestProcessor step() {
        return step(1);
    }

    /** The vector whose handler RIP is at, -1 if it is at none. */
    int handler() {
        long offset = cpu.rip - HANDLERS;
        return offset >= 0 && offset < 0x1000 && (offset & 15) == 0 ? (int) offset >> 4 : -1;
    }

    /** The 32-bit value {@code index} places above the stack's top. */
    long stack32(int index) {
        return read(cpu.segBase[Cpu.SS] + (cpu.r[Cpu.RSP] & 0xffff_ffffL) + 4L * index, 4);
    }

    long stack64(int index) {
        return read(cpu.r[Cpu.RSP] + 8L * index, 8);
    }

    long stack16(int index) {
        return read(cpu.segBase[Cpu.SS] + (cpu.r[Cpu.RSP] & 0xffff) + 2L * index, 2);
    }

    @Override
    public void close() {
        memory.close();
    }
}
