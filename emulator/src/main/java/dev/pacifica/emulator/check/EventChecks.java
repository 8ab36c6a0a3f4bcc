package dev.pacifica.emulator.check;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.observe.MachineObserver.VmcbView;
import dev.pacifica.emulator.svm.EventInjection;
import dev.pacifica.emulator.svm.ExitCode;
import dev.pacifica.emulator.svm.VmcbLayout;

/**
 * Events that get lost between #VMEXIT and VMRUN (§15.7.2, §15.21.4, §15.21.5), or that the guest
 * could not take (§15.20).
 */
final class EventChecks {
    private static final long CR0_PE = 1;

    /** Vectors of the exceptions that push an error code: 8, 10 to 14, 17, 21, 29, 30. */
    private static final int WITH_ERROR_CODE = 0x6022_7d00;

    private static final int VINTR_INTERCEPT = 1 << 4;
    private static final long V_IRQ = 1 << 8;

    private static final long V_GIF = 1 << 9;
    private static final long V_NMI_MASK = 1 << 12;
    private static final long V_GIF_ENABLE = 1 << 25;
    private static final long V_NMI_ENABLE = 1 << 26;

    /** V_IRQ is ignored then. */
    private static final long AVIC_ENABLE = 1L << 31;

    private final Findings findings;

    EventChecks(Findings findings) {
        this.findings = findings;
    }

    void vmrun(Cpu cpu, long address, VmcbView vmcb, VmcbHistory last) {
        long event = vmcb.get(VmcbLayout.EVENTINJ, 8);
        if (last.known) {
            lost(cpu, address, vmcb, last, event);
        }
        if ((event & EventInjection.VALID) != 0
                && !(last.known && same(event, last.get(VmcbLayout.EXITINTINFO, 8)))) {
            injected(cpu, address, vmcb, event);
        }
        last.virtualInterruptIntercepted =
                (vmcb.get(VmcbLayout.INTERCEPT_MISC1, 4) & VINTR_INTERCEPT) != 0;
    }

    /** Type, vector and validity agree: an event that is injected again. */
    private static boolean same(long event, long other) {
        return ((event ^ other) & 0x8000_07ffL) == 0;
    }

    private void lost(Cpu cpu, long address, VmcbView vmcb, VmcbHistory last, long event) {
        boolean samePlace =
                vmcb.get(VmcbLayout.RIP, 8) == last.get(VmcbLayout.RIP, 8)
                        && vmcb.get(VmcbLayout.CS + VmcbLayout.BASE, 8)
                                == last.get(VmcbLayout.CS + VmcbLayout.BASE, 8)
                        && vmcb.get(VmcbLayout.RSP, 8) == last.get(VmcbLayout.RSP, 8)
                        && vmcb.get(VmcbLayout.CR3, 8) == last.get(VmcbLayout.CR3, 8);
        if (!samePlace || (event & EventInjection.VALID) != 0) {
            return; // moved on, reset or replaced: the hypervisor decided something
        }
        long control = vmcb.get(VmcbLayout.V_INTR, 8);
        long interrupted = last.get(VmcbLayout.EXITINTINFO, 8);
        int code = (int) last.get(VmcbLayout.EXITCODE, 4);
        if ((interrupted & EventInjection.VALID) != 0
                && code != ExitCode.TASK_SWITCH
                && code != ExitCode.SHUTDOWN) {
            interrupted(cpu, address, interrupted, control);
        }
        boolean asynchronous =
                code == ExitCode.INTR || code == ExitCode.NMI || code == ExitCode.SMI;
        if (asynchronous
                && (last.get(VmcbLayout.INTERRUPT_SHADOW, 1) & 1) != 0
                && (vmcb.get(VmcbLayout.INTERRUPT_SHADOW, 1) & 1) == 0) {
            findings.add(
                    CheckKind.SHADOW_LOST,
                    "INTERRUPT_SHADOW",
                    cpu,
                    address,
                    () -> "guest RIP 0x%x".formatted(vmcb.get(VmcbLayout.RIP, 8)));
        }
        if ((last.get(VmcbLayout.V_INTR, 8) & V_IRQ) != 0
                && ((control | last.get(VmcbLayout.V_INTR, 8)) & AVIC_ENABLE) == 0
                && (control & V_IRQ) == 0
                && !last.virtualInterruptIntercepted) {
            findings.add(
                    CheckKind.VIRTUAL_INTERRUPT_LOST,
                    "V_IRQ",
                    cpu,
                    address,
                    () -> "vector 0x%x".formatted(last.get(VmcbLayout.V_INTR + 4, 1)));
        }
    }

    /** Only interrupts and NMIs: whatever else was interrupted happens again by itself. */
    private void interrupted(Cpu cpu, long address, long event, long control) {
        int type = EventInjection.type(event);
        boolean interrupt = type == EventInjection.TYPE_INTERRUPT;
        boolean pending =
                interrupt
                        ? (control & V_IRQ) != 0
                                && (control >>> 32 & 0xff) == EventInjection.vector(event)
                        : (control & 1 << 11) != 0;
        if ((interrupt || type == EventInjection.TYPE_NMI) && !pending) {
            findings.add(
                    CheckKind.EVENT_LOST,
                    interrupt ? "interrupt" : "NMI",
                    cpu,
                    address,
                    () -> "EXITINTINFO 0x%x".formatted(event));
        }
    }

    private void injected(Cpu cpu, long address, VmcbView vmcb, long event) {
        int type = EventInjection.type(event);
        int vector = EventInjection.vector(event);
        long control = vmcb.get(VmcbLayout.V_INTR, 8);
        if (type == EventInjection.TYPE_NMI
                && cpu.model.has(CpuFeature.VNMI)
                && (control & V_NMI_ENABLE) != 0
                && (control & V_NMI_MASK) != 0) {
            findings.add(
                    CheckKind.INJECTED_NMI_MASKED,
                    "V_NMI_MASK is set",
                    cpu,
                    address,
                    () -> "V_INTR 0x%x".formatted(control));
        }
        if ((type == EventInjection.TYPE_INTERRUPT || type == EventInjection.TYPE_NMI)
                && cpu.model.has(CpuFeature.VGIF)
                && (control & (V_GIF_ENABLE | V_GIF)) == V_GIF_ENABLE) {
            findings.add(
                    type == EventInjection.TYPE_NMI
                            ? CheckKind.INJECTED_NMI_MASKED
                            : CheckKind.INJECTED_INTERRUPT_MASKED,
                    "V_GIF is clear",
                    cpu,
                    address,
                    () -> "V_INTR 0x%x".formatted(control));
        }
        if (type == EventInjection.TYPE_INTERRUPT) {
            boolean masked = (vmcb.get(VmcbLayout.RFLAGS, 8) & Cpu.IF) == 0;
            boolean shadow = (vmcb.get(VmcbLayout.INTERRUPT_SHADOW, 1) & 1) != 0;
            if (masked || shadow) {
                findings.add(
                        CheckKind.INJECTED_INTERRUPT_MASKED,
                        masked ? "RFLAGS.IF is clear" : "the guest is in an interrupt shadow",
                        cpu,
                        address,
                        () -> "vector 0x%x".formatted(vector));
            }
        } else if (type == EventInjection.TYPE_EXCEPTION
                && vector < 32
                && (vmcb.get(VmcbLayout.CR0, 8) & CR0_PE) != 0) {
            boolean given = (event & EventInjection.ERROR_CODE_VALID) != 0;
            if (given != ((WITH_ERROR_CODE >>> vector & 1) != 0)) {
                findings.add(
                        CheckKind.INJECTED_ERROR_CODE,
                        "exception " + vector + (given ? " with" : " without") + " error code",
                        cpu,
                        address,
                        () -> "EVENTINJ 0x%x".formatted(event));
            }
        }
    }
}
