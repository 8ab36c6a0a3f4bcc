package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.Operation;
import dev.pacifica.emulator.svm.ExitInformation;

/**
 * IN, OUT, INS, OUTS: IOPL and the TSS's permission map (APM Vol 2 §12.2.4), then the SVM intercept
 * (§15.10.2), then the access.
 */
final class IoInstructions {
    private static final int EXIT_IOIO = 0x7b;

    /** Iterations of a repeated form between two points where it can be interrupted. */
    private static final int CHUNK = 1024;

    /** What a device may ask for that is heard before the next iteration. */
    private static final int DUE =
            Cpu.ATTENTION_INTERRUPT | Cpu.ATTENTION_DEBUG | Cpu.ATTENTION_STOP;

    private IoInstructions() {}

    /** #GP(0) unless the port may be accessed. */
    private static void checkPermission(Cpu cpu, int port, int size) {
        boolean free =
                !cpu.protectedMode || !cpu.vm86 && cpu.cpl <= (cpu.systemFlags() & Cpu.IOPL) >> 12;
        if (free) {
            return;
        }
        boolean task32 = (cpu.segAttr[Cpu.TR] & (Cpu.ATTR_P | 9)) == (Cpu.ATTR_P | 9);
        if (task32 && cpu.segLimit[Cpu.TR] >= 0x67) {
            long tss = cpu.segBase[Cpu.TR];
            int map = cpu.mmu.readSystem16(SegmentLoader.wrap(cpu, tss + 0x66)) & 0xffff;
            long at = map + (port >> 3);
            if (at + 1 <= cpu.segLimit[Cpu.TR]) {
                int bits = cpu.mmu.readSystem16(SegmentLoader.wrap(cpu, tss + at)) & 0xffff;
                if ((bits >> (port & 7) & (1 << size) - 1) == 0) {
                    return;
                }
            }
        }
        throw cpu.fault(GuestException.GP, 0);
    }

    private static boolean exits(
            Cpu cpu, Insn insn, int port, int size, boolean in, boolean string) {
        if (!cpu.guestMode || !cpu.svm.ioIntercepted(port, size)) {
            return false;
        }
        boolean repeated = string && insn.rep != 0;
        int segment = string && !in ? insn.segment : Cpu.ES;
        long info =
                ExitInformation.ioio(port, in, size, string, repeated, insn.addressSize, segment);
        long next = cpu.rip + insn.length;
        cpu.svm.exit(EXIT_IOIO, info, cpu.mode64 ? next : next & 0xffff_ffffL);
        return true;
    }

    /** IN and OUT. */
    static int single(Cpu cpu, Insn insn) {
        boolean in = insn.row.operation == Operation.IN;
        int size = insn.operandSize;
        boolean immediate = (insn.opcode & 8) == 0;
        int port = (int) (immediate ? insn.imm & 0xff : cpu.r[Cpu.RDX] & 0xffff);
        checkPermission(cpu, port, size);
        if (exits(cpu, insn, port, size, in, false)) {
            return SystemInstructions.JUMPED;
        }
        if (cpu.smm.trapped(port, in, size, insn.addressSize)) {
            return SystemInstructions.NEXT;
        }
        boolean smiBefore = cpu.smiPending;
        if (in) {
            int value = cpu.ports.in(port, size);
            Operands.writeRegister(cpu, Cpu.RAX, size, value & 0xffff_ffffL);
        } else {
            cpu.ports.out(port, size, (int) Operands.truncate(cpu.r[Cpu.RAX], size));
        }
        cpu.events.portAccessed(port, size);
        if (cpu.smiPending && !smiBefore) {
            cpu.smm.raisedByIo(port, in, size, false, false, insn.addressSize, Cpu.ES);
        }
        return SystemInstructions.NEXT;
    }

    /** INS and OUTS, repeated or not. */
    static int string(Cpu cpu, Insn insn) {
        boolean in = insn.row.operation == Operation.INS;
        int size = insn.operandSize;
        int width = insn.addressSize;
        boolean repeated = insn.rep != 0;
        int port = (int) cpu.r[Cpu.RDX] & 0xffff;
        checkPermission(cpu, port, size); // also for a count of zero
        if (repeated && Operands.truncate(cpu.r[Cpu.RCX], width) == 0) {
            return SystemInstructions.NEXT;
        }
        if (exits(cpu, insn, port, size, in, true)) {
            return SystemInstructions.JUMPED;
        }
        int index = in ? Cpu.RDI : Cpu.RSI;
        int step = (cpu.systemFlags() & Cpu.DF) != 0 ? -size : size;
        for (int i = 0; i < CHUNK; i++) {
            long offset = Operands.truncate(cpu.r[index], width);
            boolean smiBefore = cpu.smiPending;
            if (in) {
                cpu.mmu.probeWrite(cpu.linear(Cpu.ES, offset, size, true), size);
                Operands.write(cpu, Cpu.ES, offset, size, cpu.ports.in(port, size));
            } else {
                cpu.ports.out(port, size, (int) Operands.read(cpu, insn.segment, offset, size));
            }
            cpu.events.portAccessed(port, size);
            if (cpu.smiPending && !smiBefore) {
                int segment = in ? Cpu.ES : insn.segment;
                cpu.smm.raisedByIo(port, in, size, true, repeated, width, segment);
            }
            Operands.writeRegister(cpu, index, width, offset + step);
            if (!repeated) {
                return SystemInstructions.NEXT;
            }
            long left = Operands.truncate(cpu.r[Cpu.RCX] - 1, width);
            Operands.writeRegister(cpu, Cpu.RCX, width, left);
            if (left == 0) {
                cpu.events.repEnded();
                return SystemInstructions.NEXT;
            }
            if ((cpu.attention & DUE) != 0 || (cpu.systemFlags() & Cpu.TF) != 0) {
                break;
            }
        }
        cpu.events.repSuspended();
        return SystemInstructions.JUMPED;
    }
}
