package dev.pacifica.emulator.cpu;

/**
 * XGETBV and XSETBV (APM Vol 2 §11.5.2, Vol 4): XCR0 enables the components that XSAVE and its kind
 * transfer. This machine has x87 and SSE state, both in the legacy region of the save area.
 */
public final class ExtendedControlRegisters {
    /** Component 0: x87 and MMX registers. Always enabled. */
    public static final long X87 = 1;

    /** Component 1: XMM registers and MXCSR. */
    public static final long SSE = 2;

    /** All components that XCR0 can enable; none is enabled by XSS. */
    public static final long COMPONENTS = X87 | SSE;

    /** Bytes of the save area: the legacy region of FXSAVE, and the header. */
    public static final int AREA_SIZE = 512 + 64;

    private static final int EXIT_XSETBV = 0x8d;

    private ExtendedControlRegisters() {}

    /** #UD while CR4.OSXSAVE is clear: before all other exceptions and intercepts. */
    public static void checkEnabled(Cpu cpu) {
        if ((cpu.cr4 & Cpu.CR4_OSXSAVE) == 0) {
            throw cpu.fault(GuestException.UD);
        }
    }

    /** ECX = 0: XCR0; 1: which of its components differ from their initial state (XINUSE). */
    static int read(Cpu cpu) {
        checkEnabled(cpu);
        int register = (int) cpu.r[Cpu.RCX];
        if (register == 0) {
            Operands.writeEdxEax(cpu, cpu.xcr0);
        } else if (register == 1 && cpu.model.has(CpuFeature.XGETBV1)) {
            Operands.writeEdxEax(cpu, cpu.xcr0 & cpu.fpu.componentsInUse(cpu.mode64));
        } else {
            throw cpu.fault(GuestException.GP, 0);
        }
        return SystemInstructions.NEXT;
    }

    /** The intercept comes before every #GP, that of CPL among them (Table 15-7). */
    static int write(Cpu cpu) {
        checkEnabled(cpu);
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_XSETBV)) {
            cpu.svm.exit(EXIT_XSETBV, 0, 0);
            return SystemInstructions.JUMPED;
        }
        long value = Operands.readEdxEax(cpu);
        if (cpu.cpl != 0
                || (int) cpu.r[Cpu.RCX] != 0
                || (value & X87) == 0
                || (value & ~COMPONENTS) != 0) {
            throw cpu.fault(GuestException.GP, 0);
        }
        cpu.xcr0 = value;
        return SystemInstructions.NEXT;
    }
}
