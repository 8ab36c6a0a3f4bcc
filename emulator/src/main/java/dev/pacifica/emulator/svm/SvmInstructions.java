package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuFeature;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.cpu.SystemInstructions;
import dev.pacifica.emulator.decode.Insn;

/**
 * VMRUN, VMMCALL, VMLOAD, VMSAVE, STGI, CLGI and INVLPGA; their order of checks is that of §15.9.
 * SKINIT is not offered.
 */
final class SvmInstructions {
    private final Cpu cpu;
    private final Svm svm;
    private final WorldSwitch world;
    private final VmcbShadow shadow;
    private final Vmcb operand;

    SvmInstructions(Cpu cpu, Svm svm, WorldSwitch world, VmcbShadow shadow) {
        this.cpu = cpu;
        this.svm = svm;
        this.world = world;
        this.shadow = shadow;
        operand = new Vmcb(cpu.memory);
    }

    int execute(Insn insn) {
        return switch (insn.row.operation) {
            case VMRUN -> vmrun(insn.addressSize);
            case VMMCALL -> vmmcall();
            case VMLOAD -> vmload(insn.addressSize);
            case VMSAVE -> vmsave(insn.addressSize);
            case STGI -> stgi();
            case CLGI -> clgi();
            case INVLPGA -> invlpga(insn.addressSize);
            default -> throw cpu.fault(GuestException.UD);
        };
    }

    private int vmrun(int addressSize) {
        checkEnabledAndPrivileged();
        if (cpu.smm.handling()) {
            throw cpu.fault(GuestException.UD); // §15.5: not supported inside an SMM handler
        }
        long address = vmcbAddress(addressSize);
        if (cpu.msrs.vmHsavePa == 0) {
            throw cpu.fault(
                    GuestException.GP,
                    0); // what silicon does; the manual only asks to set the register before
        }
        if (svm.intercepted(ExitCode.VMRUN)) {
            return exit(ExitCode.VMRUN);
        }
        requireMemory(address);
        long next = cpu.rip + cpu.insnLength;
        world.enter(address, cpu.mode64 ? next : next & 0xffff_ffffL);
        return SystemInstructions.JUMPED;
    }

    /** §15.18: without an intercept, and so always in the host, #UD at any CPL. */
    private int vmmcall() {
        if (svm.intercepted(ExitCode.VMMCALL)) {
            return exit(ExitCode.VMMCALL);
        }
        throw cpu.fault(GuestException.UD);
    }

    private int vmload(int addressSize) {
        checkEnabledAndPrivileged();
        long address = vmcbAddress(addressSize);
        if (svm.intercepted(ExitCode.VMLOAD) || world.transferExits()) {
            return exit(ExitCode.VMLOAD);
        }
        address = world.transferAddress(address, false);
        requireMemory(address);
        operand.at(address);
        if (cpu.observer != null) {
            cpu.observer.vmloadSave(cpu.id, address, false);
        }
        GuestState.loadHidden(operand, cpu);
        cpu.attention |= Cpu.ATTENTION_CONTEXT;
        return SystemInstructions.NEXT;
    }

    private int vmsave(int addressSize) {
        checkEnabledAndPrivileged();
        long address = vmcbAddress(addressSize);
        if (svm.intercepted(ExitCode.VMSAVE) || world.transferExits()) {
            return exit(ExitCode.VMSAVE);
        }
        address = world.transferAddress(address, true);
        requireMemory(address);
        operand.at(address);
        if (cpu.observer != null) {
            shadow.report(operand, cpu.observer);
        }
        operand.aboutToWrite();
        GuestState.storeHidden(operand, cpu);
        if (cpu.observer != null) {
            shadow.refresh(operand);
            cpu.observer.vmloadSave(cpu.id, address, true);
        }
        return SystemInstructions.NEXT;
    }

    /**
     * With SVM-Lock offered, STGI works while EFER.SVME is 0 too (§15.31), otherwise not (§15.4).
     */
    private int stgi() {
        if (cpu.model.has(CpuFeature.SVM_LOCK)) {
            checkPrivileged();
        } else {
            checkEnabledAndPrivileged();
        }
        if (svm.intercepted(ExitCode.STGI)) {
            return exit(ExitCode.STGI);
        }
        if (cpu.guestMode && svm.virtualGif()) {
            svm.setVirtualGif(true);
            return SystemInstructions.NEXT;
        }
        cpu.gif = true;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        if (cpu.observer != null) {
            cpu.observer.gif(cpu.id, true);
        }
        return SystemInstructions.NEXT;
    }

    private int clgi() {
        checkEnabledAndPrivileged();
        if (svm.intercepted(ExitCode.CLGI)) {
            return exit(ExitCode.CLGI);
        }
        if (cpu.guestMode && svm.virtualGif()) {
            svm.setVirtualGif(false);
            return SystemInstructions.NEXT;
        }
        cpu.gif = false;
        if (cpu.observer != null) {
            cpu.observer.gif(cpu.id, false);
        }
        return SystemInstructions.NEXT;
    }

    private int invlpga(int addressSize) {
        checkEnabledAndPrivileged();
        if (svm.intercepted(ExitCode.INVLPGA)) {
            return exit(ExitCode.INVLPGA);
        }
        long va = truncated(cpu.r[Cpu.RAX], addressSize);
        int asid = (int) cpu.r[Cpu.RCX];
        cpu.mmu.invalidatePage(va, asid);
        if (cpu.observer != null) {
            cpu.observer.invlpga(cpu.id, va, asid);
        }
        return SystemInstructions.NEXT;
    }

    private int exit(int code) {
        svm.exit(code, 0, 0);
        return SystemInstructions.JUMPED;
    }

    private void checkEnabledAndPrivileged() {
        if ((cpu.efer & Cpu.EFER_SVME) == 0) {
            throw cpu.fault(GuestException.UD);
        }
        checkPrivileged();
    }

    private void checkPrivileged() {
        if (!cpu.protectedMode || cpu.vm86) {
            throw cpu.fault(GuestException.UD);
        }
        if (cpu.cpl != 0) {
            throw cpu.fault(GuestException.GP, 0);
        }
    }

    /**
     * rAX as the effective address size takes it: a page below the physical address limit,
     * otherwise #GP(0). Whether there is memory is looked at after the intercepts (SvmeAddrChk),
     * because what is none for the processor may well be memory of a guest.
     */
    private long vmcbAddress(int addressSize) {
        long address = truncated(cpu.r[Cpu.RAX], addressSize);
        if ((address & VmcbLayout.SIZE - 1) != 0 || address >>> CpuModel.PHYSICAL_BITS != 0) {
            throw cpu.fault(GuestException.GP, 0);
        }
        if (!cpu.model.has(CpuFeature.SVME_ADDR_CHK)) {
            requireMemory(address);
        }
        return address;
    }

    private void requireMemory(long address) {
        if (!cpu.memory.isRam(address) || cpu.mmu.hidden.covers(address)) {
            throw cpu.fault(GuestException.GP, 0);
        }
    }

    private static long truncated(long value, int addressSize) {
        return addressSize == 8 ? value : addressSize == 4 ? value & 0xffff_ffffL : value & 0xffff;
    }
}
