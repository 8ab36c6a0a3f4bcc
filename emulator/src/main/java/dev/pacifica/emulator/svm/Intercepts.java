package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.paging.HiddenMemory;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;

/** The intercepts in force (§15.9 to §15.14): none in the host, those of the VMCB in a guest. */
final class Intercepts {
    private static final int MSRPM_VECTOR_MSRS = 0x2000;
    private static final int MSRPM_VECTOR_BYTES = 0x800;
    private static final int NOT_COVERED = -1;

    /** Exit code of bit 0 of {@link #instructions}. */
    private static final int FIRST_INSTRUCTION = 0x80;

    /** The intercepts of {@link #instructions} that not every model has. */
    private static final long OPTIONAL =
            instruction(ExitCode.IDLE_HLT)
                    | instruction(ExitCode.BUSLOCK)
                    | instruction(ExitCode.TLBSYNC);

    private final PhysicalMemory memory;
    private final HiddenMemory hidden;

    /** Exit codes 00h-3Fh, 40h-7Fh and 80h-BFh, a bit each. */
    private long registers;

    private long events;
    private long instructions;

    private long ioMap;
    private long msrMap;

    Intercepts(PhysicalMemory memory, HiddenMemory hidden) {
        this.memory = memory;
        this.hidden = hidden;
    }

    /**
     * VMRUN: takes the intercept vectors and the permission maps' addresses, whose low 12 bits are
     * ignored. Intercept bits of features that the model has not are reserved and ignored.
     */
    void load(Vmcb vmcb, CpuModel model) {
        registers = vmcb.get64(VmcbLayout.INTERCEPT_CR);
        events = vmcb.get64(VmcbLayout.INTERCEPT_EXCEPTIONS);
        instructions = vmcb.get64(VmcbLayout.INTERCEPT_MISC2);
        if ((instructions & OPTIONAL) != 0) {
            instructions = offered(instructions, model);
        }
        ioMap = vmcb.get64(VmcbLayout.IOPM_BASE_PA) & ~0xfffL;
        msrMap = vmcb.get64(VmcbLayout.MSRPM_BASE_PA) & ~0xfffL;
    }

    private static long offered(long instructions, CpuModel model) {
        return instructions
                & (model.has(CpuFeature.IDLE_HLT) ? -1L : ~instruction(ExitCode.IDLE_HLT))
                & (model.has(CpuFeature.BUS_LOCK_THRESHOLD) ? -1L : ~instruction(ExitCode.BUSLOCK))
                & (model.has(CpuFeature.TLBI_CTL) ? -1L : ~instruction(ExitCode.TLBSYNC));
    }

    private static long instruction(int exitCode) {
        return 1L << exitCode - FIRST_INSTRUCTION;
    }

    /** #VMEXIT clears all intercepts (§15.6). */
    void clear() {
        registers = 0;
        events = 0;
        instructions = 0;
    }

    boolean intercepts(int exitCode) {
        long vector = exitCode < 0x40 ? registers : exitCode < 0x80 ? events : instructions;
        return (vector >>> exitCode & 1) != 0;
    }

    /**
     * §15.11: two bits an MSR, the lower one for reads; MSRs that the map does not cover are always
     * intercepted.
     */
    boolean interceptsMsr(int msr, boolean write) {
        if (!intercepts(ExitCode.MSR)) {
            return false;
        }
        int index = msrIndex(msr);
        if (index == NOT_COVERED) {
            return true;
        }
        int bit = 2 * (index & 3) + (write ? 1 : 0);
        return (mapByte(msrMap + (index >>> 2)) >>> bit & 1) != 0;
    }

    /** The position of an MSR in the map (Table 15-8). */
    private static int msrIndex(int msr) {
        int low = msr & MSRPM_VECTOR_MSRS - 1;
        int vector =
                switch (msr & -MSRPM_VECTOR_MSRS) {
                    case 0 -> 0;
                    case 0xc000_0000 -> 1;
                    case 0xc001_0000 -> 2;
                    default -> NOT_COVERED;
                };
        return vector == NOT_COVERED ? NOT_COVERED : vector * MSRPM_VECTOR_BYTES * 4 + low;
    }

    /**
     * §15.10.2: the permission bits of all bytes of the access are checked; a dword at port FFFFh
     * needs bits 10000h to 10002h.
     */
    boolean interceptsIo(int port, int size) {
        if (!intercepts(ExitCode.IOIO)) {
            return false;
        }
        long first = ioMap + (port >>> 3);
        long bits = mapByte(first);
        if ((port & 7) + size > 8) {
            bits |= mapByte(first + 1) << 8;
        }
        return (bits >>> (port & 7) & (1L << size) - 1) != 0;
    }

    /** A map in hidden SMRAM reads as all ones. */
    private long mapByte(long pa) {
        return memory.read(hidden.view(pa), 1);
    }

    void save(StateWriter out) {
        out.u64("interceptRegisters", registers);
        out.u64("interceptEvents", events);
        out.u64("interceptInstructions", instructions);
        out.u64("ioMap", ioMap);
        out.u64("msrMap", msrMap);
    }

    void load(StateReader in) {
        registers = in.u64("interceptRegisters");
        events = in.u64("interceptEvents");
        instructions = in.u64("interceptInstructions");
        ioMap = in.u64("ioMap");
        msrMap = in.u64("msrMap");
    }
}
