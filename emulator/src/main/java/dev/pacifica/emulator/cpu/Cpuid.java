package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.svm.SvmFeatures;

/**
 * The CPUID instruction's answers (APM Vol 3 appendix E): the model's features, and the caches and
 * topology of family 19h.
 */
final class Cpuid {
    private static final int MAX_STANDARD = 0xd;
    private static final int MAX_EXTENDED = 0x8000_0021;
    private static final int OSXSAVE = 1 << 27;

    private Cpuid() {}

    /** Fills EAX EBX ECX EDX for the function in EAX and subfunction in ECX. */
    static void execute(Cpu cpu) {
        int function = (int) cpu.r[Cpu.RAX];
        int sub = (int) cpu.r[Cpu.RCX];
        if (function < 0) {
            if (function <= MAX_EXTENDED) {
                extended(cpu, function, sub);
                return;
            }
        } else if (function <= MAX_STANDARD) {
            standard(cpu, function, sub);
            return;
        }
        set(cpu, 0, 0, 0, 0); // AMD processors return zeros for unknown functions
    }

    private static void set(Cpu cpu, int eax, int ebx, int ecx, int edx) {
        cpu.r[Cpu.RAX] = eax & 0xffff_ffffL;
        cpu.r[Cpu.RBX] = ebx & 0xffff_ffffL;
        cpu.r[Cpu.RCX] = ecx & 0xffff_ffffL;
        cpu.r[Cpu.RDX] = edx & 0xffff_ffffL;
    }

    private static int bits(Cpu cpu, int leaf, CpuFeature.Register register) {
        return cpu.model.bits(leaf, register);
    }

    private static void standard(Cpu cpu, int function, int sub) {
        switch (function) {
            // "AuthenticAMD"
            case 0 -> set(cpu, MAX_STANDARD, 0x6874_7541, 0x444d_4163, 0x6974_6e65);
            case 1 -> features(cpu);
            case 5 -> {
                boolean monitor = cpu.model.has(CpuFeature.MONITOR);
                boolean any = monitor || cpu.model.has(CpuFeature.MONITORX);
                int line = any ? SystemIdle.MONITOR_LINE : 0;
                set(cpu, line, line, any ? 3 : 0, monitor ? 0x11 : 0);
            }
            // EAX: ARAT, the APIC timer never stops
            case 6 -> set(cpu, 4, 0, bits(cpu, 6, CpuFeature.Register.ECX), 0);
            case 7 -> {
                if (sub == 0) {
                    int edx = bits(cpu, 7, CpuFeature.Register.EDX);
                    set(
                            cpu,
                            0,
                            bits(cpu, 7, CpuFeature.Register.EBX),
                            bits(cpu, 7, CpuFeature.Register.ECX),
                            edx);
                } else {
                    set(cpu, 0, 0, 0, 0);
                }
            }
            case 0xb -> topology(cpu, sub);
            case 0xd -> extendedState(cpu, sub);
            default -> set(cpu, 0, 0, 0, 0);
        }
    }

    private static void features(Cpu cpu) {
        int ebx = cpu.id << 24 | Math.min(cpu.processors(), 255) << 16 | 8 << 8;
        int edx = bits(cpu, 1, CpuFeature.Register.EDX);
        if ((cpu.apic.base() & 1 << 11) == 0) {
            edx &= ~(1 << CpuFeature.APIC.bit); // the local APIC is switched off
        }
        if (cpu.processors() > 1) {
            edx |= 1 << 28; // HTT: several logical processors
        }
        int ecx = bits(cpu, 1, CpuFeature.Register.ECX);
        if ((cpu.cr4 & Cpu.CR4_OSXSAVE) != 0) {
            ecx |= OSXSAVE;
        }
        set(cpu, cpu.model.signature(), ebx, ecx, edx);
    }

    /** Bits that a processor number needs. */
    private static int idBits(int processors) {
        return 32 - Integer.numberOfLeadingZeros(processors - 1);
    }

    private static void topology(Cpu cpu, int sub) {
        if (!cpu.model.has(CpuFeature.X2APIC)) {
            set(cpu, 0, 0, 0, 0);
        } else if (sub == 0) {
            set(cpu, 0, 1, 0x100, cpu.id); // one thread a core
        } else if (sub == 1) {
            set(cpu, idBits(cpu.processors()), cpu.processors(), 0x201, cpu.id);
        } else {
            set(cpu, 0, 0, sub & 0xff, cpu.id);
        }
    }

    /**
     * Fn0000_000D: which components XCR0 can enable and how large their area is. No component lies
     * behind the header, so that all sizes are the same.
     */
    private static void extendedState(Cpu cpu, int sub) {
        boolean offered = cpu.model.has(CpuFeature.XSAVE);
        int size = ExtendedControlRegisters.AREA_SIZE;
        if (offered && sub == 0) {
            set(cpu, (int) ExtendedControlRegisters.COMPONENTS, size, size, 0);
        } else if (offered && sub == 1) {
            boolean compacts = cpu.model.has(CpuFeature.XSAVEC) || cpu.model.has(CpuFeature.XSAVES);
            set(cpu, bits(cpu, 0xd, CpuFeature.Register.EAX), compacts ? size : 0, 0, 0);
        } else {
            set(cpu, 0, 0, 0, 0);
        }
    }

    private static void extended(Cpu cpu, int function, int sub) {
        switch (function) {
            case 0x8000_0000 -> set(cpu, MAX_EXTENDED, 0x6874_7541, 0x444d_4163, 0x6974_6e65);
            case 0x8000_0001 -> extendedFeatures(cpu);
            case 0x8000_0002, 0x8000_0003, 0x8000_0004 -> {
                long low = cpu.model.namePart(2 * (function - 0x8000_0002));
                long high = cpu.model.namePart(2 * (function - 0x8000_0002) + 1);
                set(cpu, (int) low, (int) (low >>> 32), (int) high, (int) (high >>> 32));
            }
            // L1: 64-entry fully associative TLBs, 32 KiB 8-way caches
            case 0x8000_0005 -> set(cpu, 0xff40_ff40, 0xff40_ff40, 0x2008_0140, 0x2008_0140);
            // L2: 512 KiB 8-way; L3: 32 MiB 16-way
            case 0x8000_0006 -> set(cpu, 0x4800_2200, 0x6800_4200, 0x0200_6140, 0x0100_9140);
            case 0x8000_0007 -> set(cpu, 0, 0, 0, bits(cpu, 0x8000_0007, CpuFeature.Register.EDX));
            case 0x8000_0008 -> {
                int cores = cpu.processors() - 1;
                int size = Math.max(idBits(cpu.processors()), 0);
                int ebx = bits(cpu, 0x8000_0008, CpuFeature.Register.EBX);
                int edx =
                        (cpu.model.has(CpuFeature.RDPRU) ? ReadProcessorRegister.MAX << 16 : 0)
                                | (cpu.model.has(CpuFeature.INVLPGB)
                                        ? BroadcastInvalidation.COUNT_MAX
                                        : 0);
                set(cpu, 48 << 8 | CpuModel.PHYSICAL_BITS, ebx, size << 12 | cores, edx);
            }
            case 0x8000_000a -> {
                if (cpu.model.has(CpuFeature.SVM)) {
                    int edx = bits(cpu, 0x8000_000a, CpuFeature.Register.EDX);
                    int ecx = bits(cpu, 0x8000_000a, CpuFeature.Register.ECX);
                    set(cpu, SvmFeatures.REVISION, SvmFeatures.ASIDS, ecx, edx);
                } else {
                    set(cpu, 0, 0, 0, 0);
                }
            }
            case 0x8000_0019 -> set(cpu, 0xf040_f040, 0, 0, 0);
            case 0x8000_001d -> caches(cpu, sub);
            case 0x8000_001e -> {
                if (cpu.model.has(CpuFeature.TOPOEXT)) {
                    set(cpu, apicId(cpu), cpu.id & 0xff, 0, 0);
                } else {
                    set(cpu, 0, 0, 0, 0);
                }
            }
            case 0x8000_0021 -> {
                int eax = bits(cpu, 0x8000_0021, CpuFeature.Register.EAX);
                set(cpu, eax, 0, bits(cpu, 0x8000_0021, CpuFeature.Register.ECX), 0);
            }
            default -> set(cpu, 0, 0, 0, 0);
        }
    }

    /** Of the APIC's mode (§16.12): 32 bits in x2APIC mode, 8 in xAPIC mode, 0 if it is off. */
    private static int apicId(Cpu cpu) {
        boolean on = (cpu.apic.base() & 1 << 11) != 0;
        return !on ? 0 : cpu.apic.x2apic() ? cpu.id : cpu.id & 0xff;
    }

    private static void extendedFeatures(Cpu cpu) {
        int edx = bits(cpu, 0x8000_0001, CpuFeature.Register.EDX);
        // The low features of function 1 are repeated here, but for SEP (SYSCALL's place), CLFLUSH
        // and SSE.
        edx |= bits(cpu, 1, CpuFeature.Register.EDX) & 0x0183_f3ff;
        if ((cpu.apic.base() & 1 << 11) == 0) {
            edx &= ~(1 << CpuFeature.APIC.bit);
        }
        int ecx = bits(cpu, 0x8000_0001, CpuFeature.Register.ECX);
        if (cpu.processors() > 1) {
            ecx |= 2; // CmpLegacy
        }
        set(cpu, cpu.model.signature(), 4 << 28, ecx, edx);
    }

    /** Cache properties: type, level, ways, sets as in the L1 to L3 functions above. */
    private static void caches(Cpu cpu, int sub) {
        if (!cpu.model.has(CpuFeature.TOPOEXT)) {
            set(cpu, 0, 0, 0, 0);
            return;
        }
        int sharing = cpu.processors() - 1 << 14;
        switch (sub) {
            case 0 -> set(cpu, 0x121, 0x01c0_003f, 0x3f, 0);
            case 1 -> set(cpu, 0x122, 0x01c0_003f, 0x3f, 0);
            case 2 -> set(cpu, 0x143, 0x01c0_003f, 0x3ff, 2);
            case 3 -> set(cpu, 0x163 | sharing, 0x03c0_003f, 0x7fff, 1);
            default -> set(cpu, 0, 0, 0, 0);
        }
    }
}
