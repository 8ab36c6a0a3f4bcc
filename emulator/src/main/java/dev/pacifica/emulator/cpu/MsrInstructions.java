package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.Insn;

/** RDMSR, WRMSR, RDTSC, RDTSCP, RDPMC and CPUID. */
final class MsrInstructions {
    private static final int EXIT_RDTSC = 0x6e;
    private static final int EXIT_RDPMC = 0x6f;
    private static final int EXIT_CPUID = 0x72;
    private static final int EXIT_MSR = 0x7c;
    private static final int EXIT_RDTSCP = 0x87;
    private static final int EXIT_EFER_WRITE_TRAP = 0x8f;
    private static final int X2APIC = 0x800;
    private static final int PERF_CTR0 = 0xc001_0004;

    private MsrInstructions() {}

    private static boolean exits(Cpu cpu, int code) {
        if (cpu.guestMode && cpu.svm.intercepted(code)) {
            cpu.svm.exit(code, 0, 0);
            return true;
        }
        return false;
    }

    /** §15.11: the intercept comes before the exceptions of the single MSR. */
    static int read(Cpu cpu) {
        int msr = (int) cpu.r[Cpu.RCX];
        if (cpu.guestMode && cpu.svm.msrIntercepted(msr, false)) {
            cpu.svm.exit(EXIT_MSR, 0, 0);
            return SystemInstructions.JUMPED;
        }
        long value =
                virtualX2apic(cpu, msr)
                        ? cpu.svm.readVirtualX2apic(msr - X2APIC)
                        : cpu.msrs.read(msr);
        Operands.writeEdxEax(cpu, value);
        return SystemInstructions.NEXT;
    }

    static int write(Cpu cpu) {
        int msr = (int) cpu.r[Cpu.RCX];
        if (cpu.guestMode && cpu.svm.msrIntercepted(msr, true)) {
            cpu.svm.exit(EXIT_MSR, 1, 0);
            return SystemInstructions.JUMPED;
        }
        if (virtualX2apic(cpu, msr)) {
            cpu.svm.writeVirtualX2apic(msr - X2APIC, Operands.readEdxEax(cpu));
            return SystemInstructions.NEXT;
        }
        cpu.msrs.write(msr, Operands.readEdxEax(cpu));
        if (msr == Msrs.EFER && cpu.guestMode && cpu.svm.intercepted(EXIT_EFER_WRITE_TRAP)) {
            cpu.events.completeBeforeExit();
            cpu.svm.exit(EXIT_EFER_WRITE_TRAP, cpu.efer, 0);
            return SystemInstructions.JUMPED;
        }
        return SystemInstructions.NEXT;
    }

    /** §15.29.10: the guest's x2APIC under AVIC. */
    private static boolean virtualX2apic(Cpu cpu, int msr) {
        return (msr & 0xffff_ff00) == X2APIC && cpu.guestMode && cpu.svm.virtualX2apic();
    }

    private static void checkTimeStamp(Cpu cpu) {
        if (cpu.cpl > 0 && (cpu.cr4 & Cpu.CR4_TSD) != 0) {
            throw cpu.fault(GuestException.GP, 0);
        }
    }

    static int timeStamp(Cpu cpu) {
        checkTimeStamp(cpu);
        if (exits(cpu, EXIT_RDTSC)) {
            return SystemInstructions.JUMPED;
        }
        Operands.writeEdxEax(cpu, cpu.svm.timeStamp());
        return SystemInstructions.NEXT;
    }

    static int timeStampAndAux(Cpu cpu) {
        checkTimeStamp(cpu);
        if (exits(cpu, EXIT_RDTSCP)) {
            return SystemInstructions.JUMPED;
        }
        Operands.writeEdxEax(cpu, cpu.svm.timeStamp());
        cpu.r[Cpu.RCX] = cpu.msrs.tscAux;
        return SystemInstructions.NEXT;
    }

    static int processorId(Cpu cpu, Insn insn) {
        Operands.writeRegister(cpu, insn.rm, insn.operandSize, cpu.msrs.tscAux);
        return SystemInstructions.NEXT;
    }

    static int performanceCounter(Cpu cpu) {
        long counter = cpu.r[Cpu.RCX] & 0xffff_ffffL;
        if (cpu.cpl > 0 && (cpu.cr4 & Cpu.CR4_PCE) == 0 || counter > 3) {
            throw cpu.fault(GuestException.GP, 0);
        }
        if (exits(cpu, EXIT_RDPMC)) {
            return SystemInstructions.JUMPED;
        }
        Operands.writeEdxEax(cpu, cpu.msrs.read(PERF_CTR0 + (int) counter));
        return SystemInstructions.NEXT;
    }

    static int cpuid(Cpu cpu) {
        if (exits(cpu, EXIT_CPUID)) {
            return SystemInstructions.JUMPED;
        }
        Cpuid.execute(cpu);
        return SystemInstructions.NEXT;
    }
}
