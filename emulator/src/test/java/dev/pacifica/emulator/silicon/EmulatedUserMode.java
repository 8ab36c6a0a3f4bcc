package dev.pacifica.emulator.silicon;

import static dev.pacifica.emulator.silicon.SiliconState.CODE;
import static dev.pacifica.emulator.silicon.SiliconState.CODE_OFFSET;
import static dev.pacifica.emulator.silicon.SiliconState.CODE_PAGE;
import static dev.pacifica.emulator.silicon.SiliconState.WINDOW_ADDRESS;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.execute.Interpreter;
import dev.pacifica.emulator.fp.FpuState;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import dev.pacifica.emulator.time.VirtualClock;
import java.util.Arrays;

/**
 * The emulated processor in the situation of the native harness: user mode with the code page and
 * the memory window mapped and nothing else, the segments of a 64-bit Linux, and an IDT that leads
 * each exception to supervisor mode, where the run ends.
 */
final class EmulatedUserMode implements AutoCloseable {
    private static final long KERNEL = 0xFFFF_8000_0000_0000L;
    private static final int KERNEL_FRAME = 0x10_0000;
    private static final int GDT = 0x0;
    private static final int LDT = 0x80;
    private static final int TSS = 0x100;
    private static final int IDT = 0x1000;
    private static final int HANDLERS = 0x2000;
    private static final int STACK_TOP = 0x4000;
    private static final int CODE_FRAME = 0x20_0000;
    private static final int WINDOW_FRAME = 0x20_2000;
    private static final int TABLES = 0x1_0000;
    private static final int STEPS = 64;

    private final PhysicalMemory memory = new PhysicalMemory(16 << 20);
    private final VirtualClock clock = new VirtualClock();
    private final Cpu cpu = new Cpu(0, clock, memory, new PortBus());
    private final Interpreter interpreter;
    private final byte[] codePage = new byte[4096];

    EmulatedUserMode(boolean cached) {
        interpreter = new Interpreter(cpu, new Decoder());
        interpreter.setCached(cached);
        pageTables();
        descriptors();
        cpu.cr0 =
                Cpu.CR0_PE
                        | Cpu.CR0_MP
                        | Cpu.CR0_ET
                        | Cpu.CR0_NE
                        | Cpu.CR0_WP
                        | Cpu.CR0_AM
                        | Cpu.CR0_PG;
        cpu.cr4 =
                Cpu.CR4_PAE | Cpu.CR4_OSFXSR | Cpu.CR4_OSXMMEXCPT | Cpu.CR4_FSGSBASE | Cpu.CR4_UMIP;
        cpu.efer = Cpu.EFER_SCE | Cpu.EFER_LME | Cpu.EFER_LMA | Cpu.EFER_NXE;
        cpu.cr3 = TABLES;
    }

    private void pageTables() {
        int next = TABLES + 4096;
        long[][] pages = {
            {CODE_PAGE, CODE_FRAME | 7},
            {WINDOW_ADDRESS, WINDOW_FRAME | 7 | Long.MIN_VALUE},
            {KERNEL, KERNEL_FRAME | 3},
            {KERNEL + 0x1000, KERNEL_FRAME + 0x1000 | 3},
            {KERNEL + 0x2000, KERNEL_FRAME + 0x2000 | 3},
            {KERNEL + 0x3000, KERNEL_FRAME + 0x3000 | 3},
        };
        for (long[] page : pages) {
            long table = TABLES;
            for (int shift = 39; shift > 12; shift -= 9) {
                long entry = table + 8 * (page[0] >> shift & 0x1FF);
                if (memory.read64(entry) == 0) {
                    memory.write64(entry, next | 7);
                    next += 4096;
                }
                table = memory.read64(entry) & ~0xFFFL;
            }
            memory.write64(table + 8 * (page[0] >> 12 & 0x1FF), page[1]);
        }
    }

    private void descriptors() {
        long gdt = KERNEL_FRAME + GDT;
        memory.write64(gdt + 0x08, 0x00CF_9B00_0000_FFFFL);
        memory.write64(gdt + 0x10, 0x00AF_9B00_0000_FFFFL);
        memory.write64(gdt + 0x18, 0x00CF_9300_0000_FFFFL);
        memory.write64(gdt + 0x20, 0x00CF_FB00_0000_FFFFL);
        memory.write64(gdt + 0x28, 0x00CF_F300_0000_FFFFL);
        memory.write64(gdt + 0x30, 0x00AF_FB00_0000_FFFFL);
        memory.write64(KERNEL_FRAME + LDT, 0x1000_FB00_0000_FFFFL);
        memory.write64(KERNEL_FRAME + LDT + 8, 0x1000_F300_0000_FFFFL);
        memory.write64(KERNEL_FRAME + TSS + 4, KERNEL + STACK_TOP);
        memory.write(KERNEL_FRAME + TSS + 0x66, 2, 0xFFFF); // no I/O permission map
        for (int vector = 0; vector < 256; vector++) {
            long handler = KERNEL + HANDLERS + 16 * vector;
            long gate = KERNEL_FRAME + IDT + 16 * vector;
            int dpl = vector == 3 || vector == 4 ? 3 : 0;
            memory.write64(
                    gate,
                    handler & 0xFFFF
                            | 0x10_0000
                            | (0x8E00L | dpl << 13) << 32
                            | (handler & 0xFFFF_0000L) << 32);
            memory.write64(gate + 8, handler >>> 32);
        }
        cpu.gdtrBase = KERNEL + GDT;
        cpu.gdtrLimit = 0x7F;
        cpu.idtrBase = KERNEL + IDT;
        cpu.idtrLimit = 0xFFF;
    }

    private void segment(int number, int selector) {
        cpu.segSelector[number] = selector;
        if (selector == SiliconState.LDT_CODE || selector == SiliconState.LDT_DATA) {
            cpu.segBase[number] = CODE_PAGE;
            cpu.segLimit[number] = 0xFFFF;
            cpu.segAttr[number] =
                    (selector == SiliconState.LDT_CODE ? 0xB : 3)
                            | Cpu.ATTR_S
                            | 3 << 5
                            | Cpu.ATTR_P;
            return;
        }
        cpu.segBase[number] = 0;
        cpu.segLimit[number] = selector == 0 ? 0 : 0xFFFF_FFFFL;
        int type = number == Cpu.CS ? 0xB : 3;
        int width = number == Cpu.CS && selector == 0x33 ? Cpu.ATTR_L : Cpu.ATTR_DB;
        cpu.segAttr[number] =
                selector == 0 ? 0 : type | Cpu.ATTR_S | 3 << 5 | Cpu.ATTR_P | width | Cpu.ATTR_G;
    }

    /**
     * Runs a case; what comes back has the emulated processor's outcome in place of the recorded
     * one.
     */
    SiliconCase run(SiliconCase c) {
        load(c);
        for (int i = 0; i < STEPS && cpu.cpl == 3 && cpu.activity == Cpu.RUNNING; i++) {
            interpreter.run(clock.retired + 1);
        }
        return outcome(c);
    }

    private void load(SiliconCase c) {
        long[] s = c.before();
        Arrays.fill(codePage, (byte) 0xCC);
        System.arraycopy(c.code(), 0, codePage, CODE_OFFSET, c.code().length);
        memory.write(CODE_FRAME, codePage, 0, 4096);
        for (int i = 0; i < SiliconState.WINDOW_BYTES / 8; i++) {
            memory.write64(WINDOW_FRAME + 8 * i, s[SiliconState.WINDOW + i]);
        }
        System.arraycopy(s, SiliconState.GPR, cpu.r, 0, 16);
        cpu.rip = c.mode() == 16 ? CODE_OFFSET : CODE;
        cpu.activity = Cpu.RUNNING;
        cpu.cpl = 3;
        for (int i = 0; i < 6; i++) {
            segment(i, (int) s[SiliconState.SEGMENT + i]);
        }
        cpu.segSelector[Cpu.LDTR] = 0x50;
        cpu.segBase[Cpu.LDTR] = KERNEL + LDT;
        cpu.segLimit[Cpu.LDTR] = 15;
        cpu.segAttr[Cpu.LDTR] = 2 | Cpu.ATTR_P;
        cpu.segSelector[Cpu.TR] = 0x40;
        cpu.segBase[Cpu.TR] = KERNEL + TSS;
        cpu.segLimit[Cpu.TR] = 0x67;
        cpu.segAttr[Cpu.TR] = 0xB | Cpu.ATTR_P;
        cpu.setRflags(s[SiliconState.RFLAGS]);
        cpu.interruptShadow = false;
        cpu.stackShadow = false;
        cpu.updateMode();
        cpu.mmu.flush(true);
        FpuState fpu = cpu.fpu;
        fpu.setControl((int) s[SiliconState.FCW]);
        fpu.setStatusWord((int) s[SiliconState.FSW]);
        fpu.valid = (int) s[SiliconState.FTW];
        for (int i = 0; i < 8; i++) {
            int physical = fpu.top + i & 7;
            fpu.significand[physical] = s[SiliconState.ST + 2 * i];
            fpu.signExponent[physical] = (int) s[SiliconState.ST + 2 * i + 1] & 0xFFFF;
        }
        fpu.setMxcsr((int) s[SiliconState.MXCSR]);
        System.arraycopy(s, SiliconState.XMM, fpu.xmm, 0, 32);
        cpu.attention = 0;
    }

    private SiliconCase outcome(SiliconCase c) {
        long[] s = new long[SiliconState.WORDS];
        if (cpu.cpl == 3 || cpu.activity != Cpu.RUNNING) {
            return new SiliconCase(c.mode(), c.code(), c.before(), -1, cpu.activity, 0, s);
        }
        int vector = (int) (cpu.rip - KERNEL - HANDLERS) / 16;
        boolean coded = vector == 8 || vector >= 10 && vector <= 14 || vector == 17;
        long frame = KERNEL_FRAME + (cpu.r[Cpu.RSP] - KERNEL);
        int error = 0;
        if (coded) {
            error = (int) memory.read64(frame);
            frame += 8;
        }
        System.arraycopy(cpu.r, 0, s, SiliconState.GPR, 16);
        long rip = memory.read64(frame);
        if (vector == 3) {
            rip--;
        }
        if (memory.read64(frame + 8) == SiliconState.LDT_CODE) {
            rip += CODE_PAGE;
        }
        s[SiliconState.RIP] = rip - CODE_PAGE >= 0 && rip - CODE_PAGE < 4096 ? rip - CODE : rip;
        s[SiliconState.RFLAGS] = memory.read64(frame + 16);
        s[SiliconState.GPR + 4] = memory.read64(frame + 24);
        for (int i = 0; i < 6; i++) {
            s[SiliconState.SEGMENT + i] = cpu.segSelector[i];
        }
        s[SiliconState.SEGMENT + 1] = memory.read64(frame + 8);
        s[SiliconState.SEGMENT + 2] = memory.read64(frame + 32);
        FpuState fpu = cpu.fpu;
        s[SiliconState.MXCSR] = fpu.mxcsr();
        s[SiliconState.FCW] = fpu.control();
        s[SiliconState.FSW] = fpu.statusWord();
        s[SiliconState.FTW] = fpu.valid;
        for (int i = 0; i < 8; i++) {
            int physical = fpu.top + i & 7;
            s[SiliconState.ST + 2 * i] = fpu.significand[physical];
            s[SiliconState.ST + 2 * i + 1] = fpu.signExponent[physical];
        }
        System.arraycopy(fpu.xmm, 0, s, SiliconState.XMM, 32);
        for (int i = 0; i < SiliconState.WINDOW_BYTES / 8; i++) {
            s[SiliconState.WINDOW + i] = memory.read64(WINDOW_FRAME + 8 * i);
        }
        return new SiliconCase(
                c.mode(),
                c.code(),
                c.before(),
                vector,
                vector == 3 ? 0 : error,
                vector == 14 ? cpu.cr2 : 0,
                s);
    }

    @Override
    public void close() {
        memory.close();
    }
}
