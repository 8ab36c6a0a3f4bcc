package dev.pacifica.emulator.check;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.observe.MachineObserver.VmcbView;
import dev.pacifica.emulator.svm.ExitCode;
import dev.pacifica.emulator.svm.VmcbLayout;

/**
 * Intercepts without which the guest's kernel has power over the host. That of VMRUN is a
 * consistency rule of the processor's own.
 */
final class SafetyChecks {
    private static final int EFER = 0xc000_0080;
    private static final int VM_CR = 0xc001_0114;
    private static final int VM_HSAVE_PA = 0xc001_0117;

    /** Where the MSR permission map's parts for C000_0000h and C001_0000h begin (§15.11). */
    private static final int C000 = 0x800;

    private static final int C001 = 0x1000;
    private static final long R_INIT = 1 << 1;
    private static final long V_GIF_ENABLE = 1 << 25;

    private final Findings findings;

    SafetyChecks(Findings findings) {
        this.findings = findings;
    }

    void vmrun(Cpu cpu, long address, VmcbView vmcb) {
        boolean virtualTransfer =
                cpu.model.has(CpuFeature.V_VMSAVE_VMLOAD)
                        && (vmcb.get(VmcbLayout.LBR_VIRTUALIZATION_ENABLE, 8)
                                        & VmcbLayout.VMLOAD_VIRTUALIZATION)
                                != 0;
        if (!virtualTransfer) {
            require(cpu, address, vmcb, ExitCode.VMLOAD, CheckKind.OPEN_VMLOAD_VMSAVE, "VMLOAD");
            require(cpu, address, vmcb, ExitCode.VMSAVE, CheckKind.OPEN_VMLOAD_VMSAVE, "VMSAVE");
        }
        boolean virtualGif =
                cpu.model.has(CpuFeature.VGIF)
                        && (vmcb.get(VmcbLayout.V_INTR, 8) & V_GIF_ENABLE) != 0;
        if (!virtualGif) {
            require(cpu, address, vmcb, ExitCode.STGI, CheckKind.OPEN_GIF, "STGI");
            require(cpu, address, vmcb, ExitCode.CLGI, CheckKind.OPEN_GIF, "CLGI");
        }
        require(cpu, address, vmcb, ExitCode.SKINIT, CheckKind.OPEN_SKINIT, "SKINIT");
        if ((cpu.msrs.vmCr & R_INIT) == 0) {
            require(cpu, address, vmcb, ExitCode.INIT, CheckKind.OPEN_INIT, "INIT");
        }
        require(cpu, address, vmcb, ExitCode.SHUTDOWN, CheckKind.OPEN_SHUTDOWN, "SHUTDOWN");
        registers(cpu, address, vmcb);
    }

    private void require(
            Cpu cpu, long address, VmcbView vmcb, int code, CheckKind kind, String subject) {
        if (!intercepts(vmcb, code)) {
            findings.add(
                    kind,
                    subject,
                    cpu,
                    address,
                    () ->
                            "intercept bit %d of offset 0x%03x"
                                    .formatted(code & 31, code >>> 5 << 2));
        }
    }

    private static boolean intercepts(VmcbView vmcb, int code) {
        return (vmcb.get(code >>> 5 << 2, 4) >>> (code & 31) & 1) != 0;
    }

    private void registers(Cpu cpu, long address, VmcbView vmcb) {
        boolean checked = intercepts(vmcb, ExitCode.MSR);
        long map = vmcb.get(VmcbLayout.MSRPM_BASE_PA, 8) & ~0xfffL;
        if (checked && !(cpu.memory.isRam(map) && cpu.memory.isRam(map + 0x1fff))) {
            return;
        }
        if (!checked || open(cpu, map + C001, VM_CR)) {
            report(cpu, address, CheckKind.OPEN_SVM_MSR, "VM_CR", checked);
        }
        if (!checked || open(cpu, map + C001, VM_HSAVE_PA)) {
            report(cpu, address, CheckKind.OPEN_SVM_MSR, "VM_HSAVE_PA", checked);
        }
        if (!checked || open(cpu, map + C000, EFER)) {
            report(cpu, address, CheckKind.OPEN_EFER, "EFER", checked);
        }
    }

    /** Whether the map's second bit of an MSR, which is for writes, is clear. */
    private static boolean open(Cpu cpu, long part, int msr) {
        int index = msr & 0x1fff;
        return (cpu.memory.read(part + (index >>> 2), 1) >>> 2 * (index & 3) + 1 & 1) == 0;
    }

    private void report(Cpu cpu, long address, CheckKind kind, String register, boolean checked) {
        findings.add(
                kind,
                register,
                cpu,
                address,
                () -> checked ? "its bit in the MSR permission map is clear" : "MSR_PROT is clear");
    }
}
