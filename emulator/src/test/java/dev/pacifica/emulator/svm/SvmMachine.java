package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.execute.Interpreter;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import dev.pacifica.emulator.time.VirtualClock;
import java.util.HexFormat;

/**
 * A processor with a 64-bit host and a 64-bit guest, both identity-mapped, for SVM tests: the VMCB
 * is legal and ready, the host stands at a VMRUN instruction. Physical memory:
 *
 * <pre>
 *   01000 host PML4, PDPT, PD          10000 VMCB      11000 host save area   12000 IOPM (12 KiB)   15000 MSRPM (8 KiB)
 *   20000 nested PML4, PDPT, PD, PT    30000 guest PML4, PDPT, PD, PT (PT maps the first 2 MiB in 4-KiB pages)
 *   40000 host code                    50000 guest code     58000 guest stack top
 *   60000 guest IDT   61000 guest GDT   62000 guest TSS   64000 the IDT's handlers, 16 bytes each
 * </pre>
 */
final class SvmMachine implements AutoCloseable {
    static final long MEMORY = 16 << 20;
    static final long HOST_PML4 = 0x1000;
    static final long VMCB = 0x10000;
    static final long HOST_SAVE = 0x11000;
    static final long IOPM = 0x12000;
    static final long MSRPM = 0x15000;
    static final long NESTED_PML4 = 0x20000;
    static final long NESTED_PT = 0x23000;
    static final long GUEST_PML4 = 0x30000;
    static final long GUEST_PT = 0x33000;
    static final long HOST_CODE = 0x40000;
    static final long HOST_STACK = 0x48000;
    static final long GUEST_CODE = 0x50000;
    static final long GUEST_STACK = 0x58000;
    static final long IDT = 0x60000;
    static final long GDT = 0x61000;
    static final long TSS = 0x62000;
    static final long HANDLERS = 0x64000;

    static final long P = 1;
    static final long W = 2;
    static final long U = 4;
    static final long PS = 0x80;
    static final long NX = 1L << 63;
    static final long PAT = 0x0007_0406_0007_0406L;

    static final int CODE64 = 0xa9b;
    static final int CODE32 = 0xc9b;
    static final int CODE16 = 0x09b;
    static final int DATA = 0xc93;

    final PhysicalMemory memory = new PhysicalMemory(MEMORY);
    final VirtualClock clock = new VirtualClock();
    final PortBus ports = new PortBus();
    final Cpu cpu = new Cpu(0, clock, memory, ports);
    final Svm svm = cpu.svm;
    final FakeApic apic = new FakeApic();
    private final Decoder decoder = new Decoder();
    private final Interpreter interpreter = new Interpreter(cpu, decoder);

    SvmMachine() {
        cpu.apic = apic;
        identity(HOST_PML4, false);
        identity(NESTED_PML4, true);
        identity(GUEST_PML4, true);
        host();
        vmcb();
        guestTables();
        code(HOST_CODE, "0f01d8 ebfe"); // vmrun; stay here
    }

    /**
     * Four-level tables that map the first 16 MiB to themselves: PML4, PDPT, PD in a row, and a PT
     * for the first 2 MiB if asked.
     */
    private void identity(long pml4, boolean smallPages) {
        memory.write64(pml4, pml4 + 0x1000 | P | W | U);
        memory.write64(pml4 + 0x1000, pml4 + 0x2000 | P | W | U);
        for (int i = 0; i < 8; i++) {
            memory.write64(pml4 + 0x2000 + 8 * i, (long) i << 21 | P | W | U | PS);
        }
        if (smallPages) {
            memory.write64(pml4 + 0x2000, pml4 + 0x3000 | P | W | U);
            for (int i = 0; i < 512; i++) {
                memory.write64(pml4 + 0x3000 + 8 * i, (long) i << 12 | P | W | U);
            }
        }
    }

    private void host() {
        cpu.cr0 = Cpu.CR0_PE | Cpu.CR0_PG | Cpu.CR0_ET | Cpu.CR0_WP | Cpu.CR0_NE;
        cpu.cr3 = HOST_PML4;
        cpu.cr4 = Cpu.CR4_PAE;
        cpu.efer = Cpu.EFER_SVME | Cpu.EFER_LME | Cpu.EFER_LMA | Cpu.EFER_NXE;
        for (int i = 0; i < 8; i++) {
            cpu.segSelector[i] = i == Cpu.CS ? 0x10 : i < 6 ? 0x18 : 0;
            cpu.segAttr[i] = i == Cpu.CS ? CODE64 : i < 6 ? DATA : 0;
            cpu.segLimit[i] = 0xffff_ffffL;
            cpu.segBase[i] = 0;
        }
        cpu.cpl = 0;
        cpu.dr[6] = 0xffff_0ff0L;
        cpu.dr[7] = 0x400;
        cpu.rip = HOST_CODE;
        cpu.r[Cpu.RSP] = HOST_STACK;
        cpu.r[Cpu.RAX] = VMCB;
        cpu.msrs.vmHsavePa = HOST_SAVE;
        cpu.msrs.asFirmwareLeavesThem(); // without MTRRs all memory would be uncacheable
        cpu.setRflags(2);
        cpu.updateMode();
    }

    private void vmcb() {
        put32(VmcbLayout.INTERCEPT_MISC2, 1);
        put64(VmcbLayout.IOPM_BASE_PA, IOPM);
        put64(VmcbLayout.MSRPM_BASE_PA, MSRPM);
        put32(VmcbLayout.ASID, 1);
        put64(VmcbLayout.N_CR3, NESTED_PML4);
        put64(VmcbLayout.G_PAT, PAT);
        segment(VmcbLayout.ES, 0x18, DATA, 0xffff_ffffL, 0);
        segment(VmcbLayout.CS, 0x10, CODE64, 0xffff_ffffL, 0);
        segment(VmcbLayout.SS, 0x18, DATA, 0xffff_ffffL, 0);
        segment(VmcbLayout.DS, 0x18, DATA, 0xffff_ffffL, 0);
        segment(VmcbLayout.FS, 0x18, DATA, 0xffff_ffffL, 0);
        segment(VmcbLayout.GS, 0x18, DATA, 0xffff_ffffL, 0);
        segment(VmcbLayout.TR, 0x20, 0x08b, 0x67, TSS);
        put32(VmcbLayout.GDTR + VmcbLayout.LIMIT, 0xfff);
        put64(VmcbLayout.GDTR + VmcbLayout.BASE, GDT);
        put32(VmcbLayout.IDTR + VmcbLayout.LIMIT, 0xfff);
        put64(VmcbLayout.IDTR + VmcbLayout.BASE, IDT);
        put64(VmcbLayout.EFER, Cpu.EFER_SVME | Cpu.EFER_LME | Cpu.EFER_LMA | Cpu.EFER_NXE);
        put64(VmcbLayout.CR0, Cpu.CR0_PE | Cpu.CR0_PG | Cpu.CR0_ET | Cpu.CR0_WP | Cpu.CR0_NE);
        put64(VmcbLayout.CR3, GUEST_PML4);
        put64(VmcbLayout.CR4, Cpu.CR4_PAE);
        put64(VmcbLayout.DR6, 0xffff_0ff0L);
        put64(VmcbLayout.DR7, 0x400);
        put64(VmcbLayout.RFLAGS, 2);
        put64(VmcbLayout.RIP, GUEST_CODE);
        put64(VmcbLayout.RSP, GUEST_STACK);
    }

    /**
     * A GDT with 64-bit code (10h), data (18h), user code (28h|3) and data (30h|3); an IDT of
     * interrupt gates, DPL 3, to HLT handlers.
     */
    private void guestTables() {
        memory.write64(GDT + 0x10, 0x00af_9b00_0000_ffffL);
        memory.write64(GDT + 0x18, 0x00cf_9300_0000_ffffL);
        memory.write64(GDT + 0x28, 0x00af_fb00_0000_ffffL);
        memory.write64(GDT + 0x30, 0x00cf_f300_0000_ffffL);
        memory.write64(TSS + 4, GUEST_STACK + 0x1000);
        for (int vector = 0; vector < 256; vector++) {
            long handler = HANDLERS + 16L * vector;
            memory.write64(
                    IDT + 16 * vector,
                    handler & 0xffff | 0x10 << 16 | 0xee00L << 32 | (handler >>> 16) << 48);
            memory.write64(IDT + 16 * vector + 8, 0);
            memory.write(handler, 1, 0xf4);
        }
    }

    /** A 32-bit guest without paging; code and stack as in the 64-bit one. */
    void protected32() {
        put64(VmcbLayout.EFER, Cpu.EFER_SVME);
        put64(VmcbLayout.CR0, Cpu.CR0_PE | Cpu.CR0_ET | Cpu.CR0_NE);
        put64(VmcbLayout.CR4, 0);
        segment(VmcbLayout.CS, 0x10, CODE32, 0xffff_ffffL, 0);
    }

    /** A real-mode guest at GUEST_CODE. */
    void real() {
        put64(VmcbLayout.EFER, Cpu.EFER_SVME);
        put64(VmcbLayout.CR0, Cpu.CR0_ET);
        put64(VmcbLayout.CR4, 0);
        segment(VmcbLayout.CS, (int) (GUEST_CODE >> 4), CODE16, 0xffff, GUEST_CODE);
        for (int at : new int[] {VmcbLayout.ES, VmcbLayout.SS, VmcbLayout.DS}) {
            segment(at, 0x5000, 0x93, 0xffff, 0x50000);
        }
        put64(VmcbLayout.RIP, 0);
        put64(VmcbLayout.RSP, 0x8000);
        put64(VmcbLayout.IDTR + VmcbLayout.BASE, 0);
        put32(VmcbLayout.IDTR + VmcbLayout.LIMIT, 0x3ff);
    }

    void nestedPaging() {
        put64(VmcbLayout.NP_ENABLE, 1);
    }

    /** Sets the entry of the nested tables for a page of the first 2 MiB. */
    void nestedPage(long gpa, long entry) {
        memory.write64(NESTED_PT + (gpa >>> 12) * 8, entry);
    }

    /** Sets the entry of the guest's tables for a page of the first 2 MiB. */
    void guestPage(long va, long entry) {
        memory.write64(GUEST_PT + (va >>> 12) * 8, entry);
    }

    void segment(int at, int selector, int attributes, long limit, long base) {
        put64(at, limit << 32 | (long) attributes << 16 | selector);
        put64(at + VmcbLayout.BASE, base);
    }

    void put8(int offset, int value) {
        memory.write(VMCB + offset, 1, value);
    }

    void put16(int offset, int value) {
        memory.write(VMCB + offset, 2, value);
    }

    void put32(int offset, long value) {
        memory.write(VMCB + offset, 4, value);
    }

    void put64(int offset, long value) {
        memory.write64(VMCB + offset, value);
    }

    long get8(int offset) {
        return memory.read(VMCB + offset, 1);
    }

    long get16(int offset) {
        return memory.read(VMCB + offset, 2);
    }

    long get32(int offset) {
        return memory.read(VMCB + offset, 4);
    }

    long get64(int offset) {
        return memory.read64(VMCB + offset);
    }

    long exitCode() {
        return get64(VmcbLayout.EXITCODE);
    }

    long info1() {
        return get64(VmcbLayout.EXITINFO1);
    }

    long info2() {
        return get64(VmcbLayout.EXITINFO2);
    }

    /** Sets the intercept bit of an exit code below C0h. */
    void intercept(int exitCode) {
        int offset = exitCode >>> 5 << 2;
        put32(offset, get32(offset) | 1L << (exitCode & 31));
    }

    void interceptPort(int port) {
        intercept(ExitCode.IOIO);
        long at = IOPM + (port >>> 3);
        memory.write(at, 1, memory.read(at, 1) | 1 << (port & 7));
    }

    /** Puts machine code, in hexadecimal, at a physical address; blanks are ignored. */
    void code(long address, String hex) {
        byte[] bytes = HexFormat.of().parseHex(hex.replace(" ", ""));
        memory.write(address, bytes, 0, bytes.length);
    }

    /**
     * Executes one SVM instruction, given in hexadecimal, at the current RIP; the fault's vector
     * and error code go to the caller.
     */
    GuestException execute(String hex) {
        byte[] bytes = HexFormat.of().parseHex(hex.replace(" ", ""));
        Insn insn = new Insn();
        decoder.decode(bytes, 0, bytes.length, cpu.codeBits, insn);
        cpu.insnLength = insn.length;
        try {
            if (svm.execute(insn) == 0) {
                cpu.rip += insn.length;
            }
        } catch (GuestException e) {
            return e;
        }
        return null;
    }

    /** As a careful hypervisor: intercepts HLT, all MSRs and what would give the guest power. */
    void interceptSafely() {
        for (int code :
                new int[] {
                    ExitCode.VMLOAD,
                    ExitCode.VMSAVE,
                    ExitCode.STGI,
                    ExitCode.CLGI,
                    ExitCode.SKINIT,
                    ExitCode.INIT,
                    ExitCode.SHUTDOWN,
                    ExitCode.MSR,
                    ExitCode.HLT
                }) {
            intercept(code);
        }
        for (int i = 0; i < 0x2000; i += 8) {
            memory.write64(MSRPM + i, -1);
        }
    }

    /** Executes VMRUN directly. */
    void vmrun() {
        GuestException fault = execute("0f01d8");
        if (fault != null) {
            throw new AssertionError("VMRUN raised exception " + fault.vector);
        }
        clock.retired++;
    }

    /**
     * Runs the interpreter until the guest was left or the count of instructions is used up; true
     * if the processor is in the host.
     */
    boolean run(int instructions) {
        for (int i = 0; i < instructions && cpu.guestMode; i++) {
            interpreter.run(clock.retired + 1);
        }
        return !cpu.guestMode;
    }

    /** Runs so many instruction boundaries in host or guest, events included. */
    void step(int instructions) {
        for (int i = 0; i < instructions; i++) {
            interpreter.run(clock.retired + 1);
        }
    }

    /** VMRUN, then the guest's code for at most so many instructions. */
    boolean vmrunAndRun(int instructions) {
        vmrun();
        return run(instructions);
    }

    @Override
    public void close() {
        memory.close();
    }
}
