package dev.pacifica.emulator.cpu;

/** RDPRU (APM Vol 3): MPERF and APERF for software of every privilege that CR4.TSD lets. */
final class ReadProcessorRegister {
    private static final int EXIT_RDPRU = 0x8e;
    private static final int MPERF = 0;
    private static final int APERF = 1;

    /** The highest register number (CPUID Fn8000_0008 EDX[31:16]). */
    static final int MAX = APERF;

    private ReadProcessorRegister() {}

    /** All exceptions come before the intercept (Table 15-7); unknown registers read as zero. */
    static int read(Cpu cpu) {
        if (cpu.cpl > 0 && (cpu.cr4 & Cpu.CR4_TSD) != 0) {
            throw cpu.fault(GuestException.UD);
        }
        if (cpu.guestMode && cpu.svm.intercepted(EXIT_RDPRU)) {
            cpu.svm.exit(EXIT_RDPRU, 0, 0);
            return SystemInstructions.JUMPED;
        }
        long value =
                switch ((int) cpu.r[Cpu.RCX]) {
                    case MPERF -> cpu.svm.scaledInGuest(cpu.msrs.frequency.mperf());
                    case APERF -> cpu.msrs.frequency.aperf();
                    default -> 0;
                };
        Operands.writeEdxEax(cpu, value);
        return SystemInstructions.NEXT;
    }
}
