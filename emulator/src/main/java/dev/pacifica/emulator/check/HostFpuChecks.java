package dev.pacifica.emulator.check;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.Operation;
import dev.pacifica.emulator.fp.FpuState;
import java.util.Arrays;

/**
 * x87 and SSE state, which VMRUN and #VMEXIT do not touch (§15.5.1, §15.6), used by the host as the
 * guest left it: an instruction calculates with a register that only the guest has written since
 * the host's VMRUN, or under its rounding and exception masks, or user code of the host runs with
 * all the guest's registers. To save and to load is no use.
 */
final class HostFpuChecks {
    private static final int X87 = 32;
    private static final int VALUES = X87 + 8;
    private static final int XMM_REGISTERS = 16;

    /** Of {@link Processor#watched}. */
    private static final int ALL_XMM = (1 << XMM_REGISTERS) - 1;

    private static final int XCR0_X87 = 1;
    private static final int XCR0_SSE = 1 << 1;

    /** MXCSR is transferred with this component too. */
    private static final int XCR0_AVX = 1 << 2;

    /** Rounding, exception masks, flush to zero and denormals are zeros; not the flags. */
    private static final int MXCSR_CONTROL = 0xffc0;

    /** One processor. */
    private static final class Processor {
        /** XMM0 to XMM15, two values each, then the significands of R0 to R7. */
        final long[] host = new long[VALUES];

        final long[] guest = new long[VALUES];

        /** By register, XMM0 to XMM15, then R0 to R7: changed by the guest, and not since. */
        int watched;

        int hostMxcsr;
        int guestMxcsr;
        boolean mxcsrWatched;

        int hostControl;
        int guestControl;
        boolean controlWatched;

        long hostXcr0;
        long guestXcr0;
        boolean xcr0Watched;

        /** User code of the host has not run since #VMEXIT, and the guest changed something. */
        boolean userWatched;

        long vmcb;
    }

    private final Findings findings;
    private final Processor[] processors;
    private final long[] registers = new long[VALUES];

    HostFpuChecks(Findings findings, int vcpus) {
        this.findings = findings;
        processors = new Processor[vcpus];
        for (int i = 0; i < vcpus; i++) {
            processors[i] = new Processor();
        }
    }

    private static void read(Cpu cpu, long[] to) {
        System.arraycopy(cpu.fpu.xmm, 0, to, 0, X87);
        System.arraycopy(cpu.fpu.significand, 0, to, X87, VALUES - X87);
    }

    private static boolean same(long[] values, long[] others, int register) {
        if (register >= XMM_REGISTERS) {
            int at = X87 + register - XMM_REGISTERS;
            return values[at] == others[at];
        }
        return values[2 * register] == others[2 * register]
                && values[2 * register + 1] == others[2 * register + 1];
    }

    private static boolean zero(long[] values, int register) {
        return register >= XMM_REGISTERS
                ? values[X87 + register - XMM_REGISTERS] == 0
                : (values[2 * register] | values[2 * register + 1]) == 0;
    }

    /** What is not the guest's any more is the host's. */
    void vmrun(Cpu cpu, long vmcb) {
        Processor own = processors[cpu.id];
        own.vmcb = vmcb;
        look(cpu, own);
        for (int i = 0; i < XMM_REGISTERS; i++) {
            if ((own.watched >>> i & 1) == 0) {
                own.host[2 * i] = registers[2 * i];
                own.host[2 * i + 1] = registers[2 * i + 1];
            }
        }
        for (int i = 0; i < VALUES - X87; i++) {
            if ((own.watched >>> XMM_REGISTERS + i & 1) == 0) {
                own.host[X87 + i] = registers[X87 + i];
            }
        }
        if (!own.mxcsrWatched) {
            own.hostMxcsr = cpu.fpu.mxcsr() & MXCSR_CONTROL;
        }
        if (!own.controlWatched) {
            own.hostControl = cpu.fpu.control();
        }
        own.xcr0Watched &= cpu.xcr0 == own.guestXcr0;
        if (!own.xcr0Watched) {
            own.hostXcr0 = cpu.xcr0;
        }
    }

    void vmexit(Cpu cpu) {
        Processor own = processors[cpu.id];
        read(cpu, own.guest);
        own.watched = 0;
        for (int i = 0; i < XMM_REGISTERS + VALUES - X87; i++) {
            if (!same(own.guest, own.host, i) && !zero(own.guest, i)) {
                own.watched |= 1 << i;
            }
        }
        own.guestMxcsr = cpu.fpu.mxcsr() & MXCSR_CONTROL;
        own.mxcsrWatched = own.guestMxcsr != own.hostMxcsr;
        own.guestControl = cpu.fpu.control();
        own.controlWatched = own.guestControl != own.hostControl;
        own.guestXcr0 = cpu.xcr0;
        own.xcr0Watched = own.guestXcr0 != own.hostXcr0;
        own.userWatched = own.watched != 0;
    }

    /** Whatever is another value than the guest's by now was restored. */
    private void look(Cpu cpu, Processor own) {
        read(cpu, registers);
        for (int left = own.watched; left != 0; left &= left - 1) {
            int i = Integer.numberOfTrailingZeros(left);
            if (!same(registers, own.guest, i)) {
                own.watched &= ~(1 << i);
            }
        }
        own.mxcsrWatched &= (cpu.fpu.mxcsr() & MXCSR_CONTROL) == own.guestMxcsr;
        own.controlWatched &= cpu.fpu.control() == own.guestControl;
    }

    /** An event is about to be delivered in the host. */
    void delivering(Cpu cpu) {
        if (cpu.cpl == 3) {
            userCode(cpu, processors[cpu.id]);
        }
    }

    /** An instruction of the host, before it executes. */
    void executing(Cpu cpu, Insn insn) {
        Processor own = processors[cpu.id];
        if (cpu.cpl == 3) {
            userCode(cpu, own);
        }
        if (own.xcr0Watched) {
            enabledComponents(cpu, own, insn);
        }
        loaded(cpu, own, insn);
        boolean watched = own.watched != 0 || own.mxcsrWatched || own.controlWatched;
        if (!watched
                || !FpuUse.any(insn)
                || (cpu.cr0 & (Cpu.CR0_EM | Cpu.CR0_TS)) != 0) { // the host switches at #NM
            return;
        }
        look(cpu, own);
        if (FpuUse.x87(insn)) {
            x87(cpu, own, insn);
            return;
        }
        for (int used = FpuUse.xmm(insn) & own.watched; used != 0; used &= used - 1) {
            use(cpu, own, Integer.numberOfTrailingZeros(used));
        }
        if (FpuUse.mxcsr(insn) && own.mxcsrWatched) {
            own.mxcsrWatched = false;
            control(cpu, own, "MXCSR", own.guestMxcsr, own.hostMxcsr);
        }
    }

    /** What XSAVE and its kin transfer is what XCR0 enables. */
    private void enabledComponents(Cpu cpu, Processor own, Insn insn) {
        switch (insn.row.operation) {
            case XSETBV -> own.xcr0Watched = false;
            case XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR, XRSTORS -> {
                if ((cpu.cr0 & Cpu.CR0_TS) != 0) {
                    return; // #NM: it transfers nothing
                }
                own.xcr0Watched = false;
                if (cpu.xcr0 == own.guestXcr0) {
                    findings.add(
                            CheckKind.HOST_FPU_NOT_RESTORED,
                            "XCR0",
                            cpu,
                            own.vmcb,
                            () ->
                                    "the host saves and restores by the guest's 0x%x instead of 0x%x"
                                            .formatted(own.guestXcr0, own.hostXcr0));
                }
            }
            default -> {}
        }
    }

    private void x87(Cpu cpu, Processor own, Insn insn) {
        use87(cpu, own, 0);
        if (!insn.memory) {
            use87(cpu, own, insn.rm & 7);
        }
        if (own.controlWatched) {
            own.controlWatched = false;
            control(cpu, own, "x87 control word", own.guestControl, own.hostControl);
        }
    }

    private void use87(Cpu cpu, Processor own, int stackRegister) {
        FpuState fpu = cpu.fpu;
        int physical = fpu.top + stackRegister & 7;
        int register = XMM_REGISTERS + physical;
        if ((fpu.valid >>> physical & 1) != 0 && (own.watched >>> register & 1) != 0) {
            use(cpu, own, register);
        }
    }

    private void use(Cpu cpu, Processor own, int register) {
        own.watched &= ~(1 << register);
        boolean xmm = register < XMM_REGISTERS;
        findings.add(
                CheckKind.HOST_FPU_NOT_RESTORED,
                xmm ? "XMM" + register : "x87 R" + (register - XMM_REGISTERS),
                cpu,
                own.vmcb,
                () ->
                        "the host calculates with the guest's 0x%s"
                                .formatted(text(own.guest, register)));
    }

    private static String text(long[] values, int register) {
        return register >= XMM_REGISTERS
                ? "%x".formatted(values[X87 + register - XMM_REGISTERS])
                : "%x%016x".formatted(values[2 * register + 1], values[2 * register]);
    }

    private void control(Cpu cpu, Processor own, String name, int guests, int hosts) {
        findings.add(
                CheckKind.HOST_FPU_NOT_RESTORED,
                name,
                cpu,
                own.vmcb,
                () ->
                        "the host calculates by the guest's 0x%x instead of 0x%x"
                                .formatted(guests, hosts));
    }

    /**
     * Software that loads state decides itself what to go on with. With CR0.TS set nothing is
     * loaded, since #NM comes first, and with CR0.EM only what XRSTOR loads, which EM does not
     * concern (§11.5).
     */
    private static void loaded(Cpu cpu, Processor own, Insn insn) {
        boolean extended =
                insn.row.operation == Operation.XRSTOR || insn.row.operation == Operation.XRSTORS;
        if ((cpu.cr0 & (extended ? Cpu.CR0_TS : Cpu.CR0_EM | Cpu.CR0_TS)) != 0) {
            return;
        }
        switch (insn.row.operation) {
            case FXRSTOR -> components(own, XCR0_X87 | XCR0_SSE);
            case XRSTOR, XRSTORS -> components(own, cpu.r[Cpu.RAX] & cpu.xcr0);
            case LDMXCSR -> own.mxcsrWatched = false;
            case FNINIT, FLDCW, FLDENV, FRSTOR, FNSAVE -> own.controlWatched = false;
            default -> {}
        }
    }

    /** State components, as in XCR0, that the host loads. */
    private static void components(Processor own, long loaded) {
        if ((loaded & XCR0_X87) != 0) {
            own.watched &= ALL_XMM;
            own.controlWatched = false;
        }
        if ((loaded & XCR0_SSE) != 0) {
            own.watched &= ~ALL_XMM;
        }
        if ((loaded & (XCR0_SSE | XCR0_AVX)) != 0) {
            own.mxcsrWatched = false;
        }
        own.userWatched &= own.watched != 0;
    }

    /** All registers are as the guest left them: if one is not, the host has its own again. */
    private void userCode(Cpu cpu, Processor own) {
        if (!own.userWatched || (cpu.cr0 & (Cpu.CR0_EM | Cpu.CR0_TS)) != 0) {
            return; // as above: Xen's PV guests are such user code, and have TS until their first
            // use
        }
        own.userWatched = false;
        own.watched = 0;
        read(cpu, registers);
        if (Arrays.equals(registers, own.guest)) {
            findings.add(
                    CheckKind.HOST_FPU_NOT_RESTORED,
                    "x87 and XMM registers",
                    cpu,
                    own.vmcb,
                    () ->
                            "user code of the host runs with all as the guest left them, XMM0 0x%s"
                                    .formatted(text(own.guest, 0)));
        }
    }
}
