package dev.pacifica.emulator.svm;

/**
 * An {@link SvmMachine} whose guest has a virtual APIC at a page of its first 2 MiB, and tables for
 * three more virtual processors. Guest registers: RBX points to the APIC page.
 */
final class AvicMachine implements AutoCloseable {
    static final long APIC = 0x80000;
    static final long ELSEWHERE = 0x81000;
    static final long BACKING = 0x90000;
    static final long LOGICAL = 0x91000;
    static final long PHYSICAL = 0x92000;

    /** The backing pages of virtual processors 1, 2 and 3. */
    static final long OTHERS = 0x93000;

    static final long ENABLE = 1L << 31;
    static final long X2 = 1L << 30;
    static final long MASKING = 1L << 24;
    static final long VALID = 1L << 63;
    static final long RUNNING = 1L << 62;

    final SvmMachine m = new SvmMachine();

    AvicMachine(long control) {
        m.nestedPaging();
        m.put64(VmcbLayout.V_INTR, ENABLE | control);
        m.put64(VmcbLayout.AVIC_APIC_BAR, APIC);
        m.put64(VmcbLayout.AVIC_BACKING_PAGE, BACKING);
        m.put64(VmcbLayout.AVIC_LOGICAL_TABLE, LOGICAL);
        m.put64(VmcbLayout.AVIC_PHYSICAL_TABLE, PHYSICAL | 3);
        m.nestedPage(APIC, ELSEWHERE | SvmMachine.P | SvmMachine.W | SvmMachine.U);
        for (int id = 0; id < 4; id++) {
            m.memory.write64(PHYSICAL + 8 * id, VALID | RUNNING | page(id) | (id == 0 ? 0 : 0xabc));
            m.memory.write(LOGICAL + 4 * id, 4, 1L << 31 | id);
        }
        put(0xe0, 0xffff_ffffL); // flat
        m.intercept(ExitCode.HLT);
        m.cpu.r[3] = APIC;
        m.put64(VmcbLayout.RFLAGS, 2);
    }

    static long page(int id) {
        return id == 0 ? BACKING : OTHERS + 0x1000L * (id - 1);
    }

    long get(int register) {
        return m.memory.read(BACKING + register, 4);
    }

    void put(int register, long value) {
        m.memory.write(BACKING + register, 4, value & 0xffff_ffffL);
    }

    /** Whether a bit of the IRR (200h), ISR (100h) or TMR (180h) is set. */
    boolean bit(int id, int first, int vector) {
        return (m.memory.read(page(id) + first + 16 * (vector / 32), 4) >> vector % 32 & 1) != 0;
    }

    void set(int first, int vector) {
        int at = first + 16 * (vector / 32);
        put(at, get(at) | 1L << vector % 32);
    }

    /** mov dword [rbx + register], value. */
    static String store(int register, long value) {
        return "c783" + little(register) + little(value);
    }

    /** mov eax, [rbx + register]. */
    static String load(int register) {
        return "8b83" + little(register);
    }

    /** mov ecx, msr; mov eax, low; mov edx, high; wrmsr. */
    static String wrmsr(int msr, long value) {
        return "b9" + little(msr) + "b8" + little(value) + "ba" + little(value >>> 32) + "0f30";
    }

    /** mov ecx, msr; rdmsr. */
    static String rdmsr(int msr) {
        return "b9" + little(msr) + "0f32";
    }

    static String little(long value) {
        return "%08x".formatted(Integer.reverseBytes((int) value));
    }

    /** Runs code that ends with HLT; the guest was left. */
    void run(String code) {
        m.code(SvmMachine.GUEST_CODE, code + "f4");
        if (!m.vmrunAndRun(40)) {
            throw new AssertionError("the guest was not left");
        }
    }

    @Override
    public void close() {
        m.close();
    }
}
