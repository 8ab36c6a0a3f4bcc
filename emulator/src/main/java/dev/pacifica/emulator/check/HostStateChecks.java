package dev.pacifica.emulator.check;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.Operation;
import java.util.List;

/**
 * State that VMRUN and #VMEXIT leave to software (§15.5.2, §15.6) and that the host goes on with as
 * the guest left it. A hypervisor may switch it late, so a mistake is only what the host uses: a
 * register that still holds the guest's value when an instruction of the host works with it, or
 * when the host's code of privilege 3 runs.
 */
final class HostStateChecks {
    private static final int FS_BASE = 0;
    private static final int GS_BASE = 1;
    private static final int LDTR_BASE = 2;
    private static final int TR_BASE = 3;
    private static final int KERNEL_GS_BASE = 4;
    private static final int STAR = 5;
    private static final int LSTAR = 6;
    private static final int CSTAR = 7;
    private static final int SFMASK = 8;
    private static final int SYSENTER_CS = 9;
    private static final int SYSENTER_ESP = 10;
    private static final int SYSENTER_EIP = 11;
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

    /** What user code of the host runs with; the TSS is used only when a stack is taken from it. */
    private static final int USER_STATE = (1 << NAMES.size()) - 1 & ~(1 << TR_BASE);

    /** How far a stack moves at most when an event is delivered without taking another one. */
    private static final long FRAME = 64;

    private static final int BREAKPOINTS_ENABLED = 0xff;
    private static final int DEBUG_EXCEPTION = 1;

    // DR6
    private static final int BD = 1 << 13;
    private static final int BS = 1 << 14;
    private static final int BT = 1 << 15;
    private static final int CAUSES = 0xf | BD | BS | BT;

    /** One processor. */
    private static final class Processor {
        /** What VMLOAD and VMSAVE move: the host's own, and as the last #VMEXIT left it. */
        final long[] host = new long[NAMES.size()];

        final long[] guest = new long[NAMES.size()];

        /** A bit for each register that may be the guest's: it was, whenever it was looked at. */
        int watched;

        /** A VMLOAD of the host's since the last #VMEXIT. */
        boolean loaded;

        final long[] debugAtEntry = new long[8];
        final long[] debugAtExit = new long[8];

        /** The host had breakpoints, and has not written DR7 since #VMEXIT cleared it. */
        boolean breakpointsOff;

        long vmcb;
        boolean left;

        int interruptedCpl;
        long interruptedStack;
        boolean interruptedStep;
    }

    private final Findings findings;
    private final Processor[] processors;

    HostStateChecks(Findings findings, int vcpus) {
        this.findings = findings;
        processors = new Processor[vcpus];
        for (int i = 0; i < vcpus; i++) {
            processors[i] = new Processor();
        }
    }

    private static long register(Cpu cpu, int index) {
        return switch (index) {
            case FS_BASE -> cpu.segBase[Cpu.FS];
            case GS_BASE -> cpu.segBase[Cpu.GS];
            case LDTR_BASE -> cpu.segBase[Cpu.LDTR];
            case TR_BASE -> cpu.segBase[Cpu.TR];
            case KERNEL_GS_BASE -> cpu.msrs.kernelGsBase;
            case STAR -> cpu.msrs.star;
            case LSTAR -> cpu.msrs.lstar;
            case CSTAR -> cpu.msrs.cstar;
            case SFMASK -> cpu.msrs.sfmask;
            case SYSENTER_CS -> cpu.msrs.sysenterCs;
            case SYSENTER_ESP -> cpu.msrs.sysenterEsp;
            default -> cpu.msrs.sysenterEip;
        };
    }

    void vmrun(Cpu cpu, long vmcb) {
        Processor own = processors[cpu.id];
        breakpoints(cpu, own);
        look(cpu, own);
        if (!own.loaded) {
            takeHosts(cpu, own);
        }
        own.vmcb = vmcb;
        own.breakpointsOff = false;
        System.arraycopy(cpu.dr, 0, own.debugAtEntry, 0, own.debugAtEntry.length);
    }

    /** What is not the guest's is the host's. */
    private static void takeHosts(Cpu cpu, Processor own) {
        for (int i = 0; i < own.host.length; i++) {
            if ((own.watched >>> i & 1) == 0) {
                own.host[i] = register(cpu, i);
            }
        }
    }

    void vmexit(Cpu cpu) {
        Processor own = processors[cpu.id];
        own.left = true;
        own.loaded = false;
        own.watched = 0;
        for (int i = 0; i < own.guest.length; i++) {
            own.guest[i] = register(cpu, i);
            if (own.guest[i] != own.host[i] && own.guest[i] != 0) {
                own.watched |= 1 << i;
            }
        }
        System.arraycopy(cpu.dr, 0, own.debugAtExit, 0, own.debugAtExit.length);
        own.breakpointsOff = (own.debugAtEntry[7] & BREAKPOINTS_ENABLED) != 0;
    }

    /** VMLOAD in the host, about to load. */
    void vmload(Cpu cpu) {
        Processor own = processors[cpu.id];
        look(cpu, own);
        takeHosts(cpu, own);
        own.loaded = true;
        own.watched = 0;
    }

    /** Whatever is another value than the guest's by now was restored. */
    private static void look(Cpu cpu, Processor own) {
        for (int left = own.watched; left != 0; left &= left - 1) {
            int i = Integer.numberOfTrailingZeros(left);
            if (register(cpu, i) != own.guest[i]) {
                own.watched &= ~(1 << i);
            }
        }
    }

    /** STGI or CLGI in the host: with GIF clear, breakpoints do not match (§15.17). */
    void gif(Cpu cpu, boolean set) {
        Processor own = processors[cpu.id];
        look(cpu, own);
        if (set) {
            breakpoints(cpu, own);
        }
    }

    /** An instruction of the host, before it executes. */
    void executing(Cpu cpu, Insn insn) {
        Processor own = processors[cpu.id];
        if (!own.left) {
            return;
        }
        if (insn.row.operation == Operation.MOV_TO_DR) {
            int number = debugRegister(cpu, insn.reg & 7);
            own.debugAtExit[number] = own.debugAtEntry[number];
            own.breakpointsOff &= number != 7;
        }
        if (cpu.cpl == 3) {
            userCode(cpu, own);
        }
        if (own.watched != 0) {
            look(cpu, own);
            own.watched &= ~written(cpu, insn);
            uses(cpu, own, insn);
        }
    }

    /** With CR4.DE clear, DR4 and DR5 are names of DR6 and DR7 (§13.1.1.2). */
    private static int debugRegister(Cpu cpu, int number) {
        return number >> 1 == 2 && (cpu.cr4 & Cpu.CR4_DE) == 0 ? number + 2 : number;
    }

    /** The registers, as a mask, that the instruction gives a value of the host's own. */
    private static int written(Cpu cpu, Insn insn) {
        return switch (insn.row.operation) {
            case WRFSBASE -> 1 << FS_BASE;
            case WRGSBASE -> 1 << GS_BASE;
            case LLDT -> 1 << LDTR_BASE;
            case LTR -> 1 << TR_BASE;
            case WRMSR ->
                    switch ((int) cpu.r[Cpu.RCX]) {
                        case 0xc000_0100 -> 1 << FS_BASE;
                        case 0xc000_0101 -> 1 << GS_BASE;
                        case 0xc000_0102 -> 1 << KERNEL_GS_BASE;
                        case 0xc000_0081 -> 1 << STAR;
                        case 0xc000_0082 -> 1 << LSTAR;
                        case 0xc000_0083 -> 1 << CSTAR;
                        case 0xc000_0084 -> 1 << SFMASK;
                        case 0x174 -> 1 << SYSENTER_CS;
                        case 0x175 -> 1 << SYSENTER_ESP;
                        case 0x176 -> 1 << SYSENTER_EIP;
                        default -> 0;
                    };
            default -> 0;
        };
    }

    /** What the instruction works with of what is still the guest's. */
    private void uses(Cpu cpu, Processor own, Insn insn) {
        if (insn.segment >= Cpu.FS && accessesMemory(insn)) {
            use(cpu, own, insn.segment == Cpu.FS ? FS_BASE : GS_BASE, "the host's data are at");
        }
        switch (insn.row.operation) {
            case SWAPGS -> {
                if (cpu.cpl == 0) {
                    swap(own);
                }
            }
            case SYSCALL -> {
                if ((cpu.efer & Cpu.EFER_SCE) != 0) {
                    use(cpu, own, STAR, "the host's SYSCALL goes by");
                    use(cpu, own, cpu.mode64 ? LSTAR : CSTAR, "the host's SYSCALL goes by");
                    use(cpu, own, SFMASK, "the host's SYSCALL goes by");
                }
            }
            case SYSRET -> use(cpu, own, STAR, "the host's SYSRET goes by");
            case SYSENTER -> {
                use(cpu, own, SYSENTER_CS, "the host's SYSENTER goes by");
                use(cpu, own, SYSENTER_ESP, "the host's SYSENTER goes by");
                use(cpu, own, SYSENTER_EIP, "the host's SYSENTER goes by");
            }
            case SYSEXIT -> use(cpu, own, SYSENTER_CS, "the host's SYSEXIT goes by");
            case IN, OUT, INS, OUTS -> {
                if (cpu.cpl > (cpu.systemFlags() & Cpu.IOPL) >> 12) {
                    use(
                            cpu,
                            own,
                            TR_BASE,
                            "the permission map of the host's port is in the TSS of");
                }
            }
            case MOV_TO_SEG -> {
                if (!insn.memory && (cpu.r[insn.rm] & 4) != 0) {
                    use(cpu, own, LDTR_BASE, "a selector of the host's is looked up at");
                }
            }
            default -> {}
        }
    }

    private static boolean accessesMemory(Insn insn) {
        return switch (insn.row.operation) {
            case LEA, NOP, PREFETCH -> false;
            case MOVS, CMPS, LODS, OUTS, XLAT, MASKMOVQ, MASKMOVDQU, MONITOR, MONITORX, CLZERO ->
                    true;
            default -> insn.memory;
        };
    }

    /** SWAPGS: each of the two registers takes the other's history along. */
    private static void swap(Processor own) {
        long guest = own.guest[GS_BASE];
        own.guest[GS_BASE] = own.guest[KERNEL_GS_BASE];
        own.guest[KERNEL_GS_BASE] = guest;
        long host = own.host[GS_BASE];
        own.host[GS_BASE] = own.host[KERNEL_GS_BASE];
        own.host[KERNEL_GS_BASE] = host;
        int both = own.watched & (1 << GS_BASE | 1 << KERNEL_GS_BASE);
        if (Integer.bitCount(both) == 1) {
            own.watched ^= 1 << GS_BASE | 1 << KERNEL_GS_BASE;
        }
    }

    /** An event is about to be delivered in the host. */
    void delivering(Cpu cpu) {
        Processor own = processors[cpu.id];
        own.interruptedCpl = cpu.cpl;
        own.interruptedStack = cpu.r[Cpu.RSP];
        own.interruptedStep = (cpu.systemFlags() & Cpu.TF) != 0;
        if (!own.left) {
            return;
        }
        breakpoints(cpu, own);
        look(cpu, own);
        if (cpu.cpl == 3) {
            userCode(cpu, own);
        }
    }

    private void userCode(Cpu cpu, Processor own) {
        if (own.breakpointsOff) {
            own.breakpointsOff = false;
            debug(
                    cpu,
                    own,
                    7,
                    "user code of the host runs without the breakpoints of DR7 0x%x"
                            .formatted(own.debugAtEntry[7]));
        }
        breakpoints(cpu, own);
        if ((own.watched & USER_STATE) != 0) {
            look(cpu, own);
            for (int i = 0; i < own.guest.length; i++) {
                if ((USER_STATE >>> i & 1) != 0) {
                    use(cpu, own, i, "user code of the host runs with");
                }
            }
        }
    }

    /** An event was delivered in the host. */
    void delivered(Cpu cpu, int vector) {
        Processor own = processors[cpu.id];
        if (!own.left) {
            return;
        }
        boolean otherStack =
                own.interruptedCpl != cpu.cpl
                        || own.interruptedStack - cpu.r[Cpu.RSP] > FRAME
                        || own.interruptedStack - cpu.r[Cpu.RSP] < 0;
        if (otherStack) {
            use(cpu, own, TR_BASE, "a stack of the host is taken from the TSS of");
        }
        if (vector == DEBUG_EXCEPTION) {
            causes(cpu, own);
        }
    }

    private void use(Cpu cpu, Processor own, int index, String use) {
        if ((own.watched >>> index & 1) == 0) {
            return;
        }
        own.watched &= ~(1 << index);
        long guests = own.guest[index];
        long hosts = own.host[index];
        findings.add(
                CheckKind.HOST_STATE_NOT_RESTORED,
                NAMES.get(index),
                cpu,
                own.vmcb,
                () -> "%s the guest's 0x%x instead of 0x%x".formatted(use, guests, hosts));
    }

    /** Breakpoints that the host enables, at addresses that the guest has set. */
    private void breakpoints(Cpu cpu, Processor own) {
        if (!own.left || (cpu.dr[7] & BREAKPOINTS_ENABLED) == 0) {
            return;
        }
        for (int i = 0; i < 4; i++) {
            if ((cpu.dr[7] >>> 2 * i & 3) != 0
                    && own.debugAtExit[i] != own.debugAtEntry[i]
                    && cpu.dr[i] == own.debugAtExit[i]) {
                debug(
                        cpu,
                        own,
                        i,
                        "the guest's 0x%x instead of 0x%x, enabled in DR7 0x%x"
                                .formatted(cpu.dr[i], own.debugAtEntry[i], cpu.dr[7]));
                own.debugAtExit[i] = own.debugAtEntry[i];
            }
        }
    }

    /** Causes that the guest left in DR6, and that this #DB of the host's cannot have. */
    private void causes(Cpu cpu, Processor own) {
        long possible = BD | BT | (own.interruptedStep ? BS : 0);
        for (int i = 0; i < 4; i++) {
            possible |= (cpu.dr[7] >>> 2 * i & 3) != 0 ? 1 << i : 0;
        }
        long guests = own.debugAtExit[6] & ~own.debugAtEntry[6] & CAUSES;
        long seen = cpu.dr[6] & guests & ~possible;
        if (seen != 0) {
            own.debugAtExit[6] = 0;
            debug(cpu, own, 6, "a #DB of the host's finds the guest's causes 0x%x".formatted(seen));
        }
    }

    private void debug(Cpu cpu, Processor own, int register, String what) {
        findings.add(CheckKind.HOST_DEBUG_NOT_RESTORED, "DR" + register, cpu, own.vmcb, () -> what);
    }
}
