package dev.pacifica.emulator.check;

import dev.pacifica.emulator.cpu.Cpu;
import java.util.Arrays;
import java.util.List;

/**
 * State that VMRUN and #VMEXIT leave to software (§15.5.2, §15.6) and that the host goes on with as
 * the guest left it. A hypervisor may switch it late, so a mistake is only what the host uses: a
 * register that still holds the guest's value when host code of privilege 3 is interrupted, the TSS
 * from which a stack is taken, a breakpoint that is enabled.
 */
final class HostStateChecks {
    private static final int TR_BASE = 3;
    private static final List<String> NAMES =
            List.of(
                    "FS.base",
                    "GS.base",
                    "LDTR.base",
                    "TR.base",
                    "KERNEL_GS_BASE",
                    "STAR",
                    "LSTAR",
                    "CSTAR",
                    "SFMASK",
                    "SYSENTER_CS",
                    "SYSENTER_ESP",
                    "SYSENTER_EIP");

    /** How far a stack moves at most when an event is delivered without taking another one. */
    private static final long FRAME = 64;

    /** One processor. */
    private static final class Processor {
        /** What VMLOAD and VMSAVE move: the host's own, and as the last #VMEXIT left it. */
        final long[] host = new long[NAMES.size()];

        final long[] guest = new long[NAMES.size()];

        /** Whether the register still may be the guest's: it was, whenever it was looked at. */
        final boolean[] watched = new boolean[NAMES.size()];

        /** A VMLOAD of the host's since the last #VMEXIT. */
        boolean loaded;

        final long[] debugAtEntry = new long[4];
        final long[] debugAtExit = new long[4];
        final long[] fpuAtEntry = new long[40];
        final long[] fpuAtExit = new long[40];

        /** The guest changed its registers in the last run, and they are not all zero. */
        boolean fpuChanged;

        long vmcb;
        boolean left;

        int interruptedCpl;
        long interruptedStack;
    }

    private final Findings findings;
    private final Processor[] processors;
    private final long[] registers = new long[40];

    HostStateChecks(Findings findings, int vcpus) {
        this.findings = findings;
        processors = new Processor[vcpus];
        for (int i = 0; i < vcpus; i++) {
            processors[i] = new Processor();
        }
    }

    private static long register(Cpu cpu, int index) {
        return switch (index) {
            case 0 -> cpu.segBase[Cpu.FS];
            case 1 -> cpu.segBase[Cpu.GS];
            case 2 -> cpu.segBase[Cpu.LDTR];
            case TR_BASE -> cpu.segBase[Cpu.TR];
            case 4 -> cpu.msrs.kernelGsBase;
            case 5 -> cpu.msrs.star;
            case 6 -> cpu.msrs.lstar;
            case 7 -> cpu.msrs.cstar;
            case 8 -> cpu.msrs.sfmask;
            case 9 -> cpu.msrs.sysenterCs;
            case 10 -> cpu.msrs.sysenterEsp;
            default -> cpu.msrs.sysenterEip;
        };
    }

    private static void fpu(Cpu cpu, long[] to) {
        System.arraycopy(cpu.fpu.xmm, 0, to, 0, 32);
        System.arraycopy(cpu.fpu.significand, 0, to, 32, 8);
    }

    void vmrun(Cpu cpu, long vmcb) {
        Processor own = processors[cpu.id];
        breakpoints(cpu, own);
        look(cpu, own);
        if (!own.loaded) {
            takeHosts(cpu, own);
        }
        own.vmcb = vmcb;
        System.arraycopy(cpu.dr, 0, own.debugAtEntry, 0, 4);
        fpu(cpu, own.fpuAtEntry);
    }

    /** What is not the guest's is the host's. */
    private static void takeHosts(Cpu cpu, Processor own) {
        for (int i = 0; i < own.host.length; i++) {
            if (!own.watched[i]) {
                own.host[i] = register(cpu, i);
            }
        }
    }

    void vmexit(Cpu cpu) {
        Processor own = processors[cpu.id];
        own.left = true;
        own.loaded = false;
        for (int i = 0; i < own.guest.length; i++) {
            own.guest[i] = register(cpu, i);
            own.watched[i] = own.guest[i] != own.host[i] && own.guest[i] != 0;
        }
        System.arraycopy(cpu.dr, 0, own.debugAtExit, 0, 4);
        fpu(cpu, own.fpuAtExit);
        own.fpuChanged = !Arrays.equals(own.fpuAtEntry, own.fpuAtExit) && !zero(own.fpuAtExit);
    }

    private static boolean zero(long[] values) {
        for (long value : values) {
            if (value != 0) {
                return false;
            }
        }
        return true;
    }

    /** VMLOAD in the host, about to load. */
    void vmload(Cpu cpu) {
        Processor own = processors[cpu.id];
        look(cpu, own);
        takeHosts(cpu, own);
        own.loaded = true;
        Arrays.fill(own.watched, false);
    }

    /** Whatever is another value than the guest's by now was restored. */
    private static void look(Cpu cpu, Processor own) {
        for (int i = 0; i < own.guest.length; i++) {
            if (own.watched[i] && register(cpu, i) != own.guest[i]) {
                own.watched[i] = false;
            }
        }
    }

    /** STGI or CLGI in the host. */
    void gif(Cpu cpu) {
        look(cpu, processors[cpu.id]);
    }

    /** An event is about to be delivered in the host. */
    void delivering(Cpu cpu) {
        Processor own = processors[cpu.id];
        own.interruptedCpl = cpu.cpl;
        own.interruptedStack = cpu.r[Cpu.RSP];
        if (!own.left) {
            return;
        }
        breakpoints(cpu, own);
        look(cpu, own);
        if (cpu.cpl != 3) {
            return;
        }
        for (int i = 0; i < own.guest.length; i++) {
            if (own.watched[i] && i != TR_BASE) {
                report(cpu, own, i, "user code of the host runs with");
            }
        }
        fpu(cpu, registers);
        if (own.fpuChanged && Arrays.equals(registers, own.fpuAtExit)) {
            findings.add(
                    CheckKind.HOST_FPU_NOT_RESTORED,
                    "x87 and XMM registers",
                    cpu,
                    own.vmcb,
                    () ->
                            "all as the guest left them, XMM0 0x%x%016x"
                                    .formatted(registers[1], registers[0]));
            own.fpuChanged = false;
        }
    }

    /** An event was delivered in the host. */
    void delivered(Cpu cpu) {
        Processor own = processors[cpu.id];
        boolean otherStack =
                own.interruptedCpl != cpu.cpl
                        || own.interruptedStack - cpu.r[Cpu.RSP] > FRAME
                        || own.interruptedStack - cpu.r[Cpu.RSP] < 0;
        if (own.left && own.watched[TR_BASE] && otherStack) {
            report(cpu, own, TR_BASE, "a stack of the host is taken from the TSS of");
        }
    }

    private void report(Cpu cpu, Processor own, int index, String use) {
        findings.add(
                CheckKind.HOST_STATE_NOT_RESTORED,
                NAMES.get(index),
                cpu,
                own.vmcb,
                () ->
                        "%s the guest's 0x%x instead of 0x%x"
                                .formatted(use, own.guest[index], own.host[index]));
        own.watched[index] = false;
    }

    /** Breakpoints that the host enables, at addresses that the guest has set. */
    private void breakpoints(Cpu cpu, Processor own) {
        if (!own.left || (cpu.dr[7] & 0xff) == 0) {
            return;
        }
        for (int i = 0; i < 4; i++) {
            if ((cpu.dr[7] >>> 2 * i & 3) != 0
                    && own.debugAtExit[i] != own.debugAtEntry[i]
                    && cpu.dr[i] == own.debugAtExit[i]) {
                breakpoint(cpu, own, i);
            }
        }
    }

    private void breakpoint(Cpu cpu, Processor own, int number) {
        long hosts = own.debugAtEntry[number];
        findings.add(
                CheckKind.HOST_DEBUG_NOT_RESTORED,
                "DR" + number,
                cpu,
                own.vmcb,
                () ->
                        "the guest's 0x%x instead of 0x%x, enabled in DR7 0x%x"
                                .formatted(cpu.dr[number], hosts, cpu.dr[7]));
        own.debugAtExit[number] = hosts;
    }
}
