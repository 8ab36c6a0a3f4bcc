package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;

/**
 * The saved form of a processor: all architectural and pending state; what derives from it is
 * recomputed.
 */
final class CpuStateFormat {
    private static final String[] REGISTERS = {
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15"
    };
    private static final String[] SEGMENTS = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

    private CpuStateFormat() {}

    static void save(Cpu cpu, StateWriter out) {
        out.section("cpu" + cpu.id);
        for (int i = 0; i < REGISTERS.length; i++) {
            out.u64(REGISTERS[i], cpu.r[i]);
        }
        out.u64("rip", cpu.rip);
        out.u64("rflags", cpu.rflags());
        for (int i = 0; i < SEGMENTS.length; i++) {
            out.u16(SEGMENTS[i], cpu.segSelector[i]);
            out.u64(SEGMENTS[i] + ".base", cpu.segBase[i]);
            out.u32(SEGMENTS[i] + ".limit", (int) cpu.segLimit[i]);
            out.u16(SEGMENTS[i] + ".attributes", cpu.segAttr[i]);
        }
        out.u64("gdtr.base", cpu.gdtrBase);
        out.u16("gdtr.limit", cpu.gdtrLimit);
        out.u64("idtr.base", cpu.idtrBase);
        out.u16("idtr.limit", cpu.idtrLimit);
        out.u64("cr0", cpu.cr0);
        out.u64("cr2", cpu.cr2);
        out.u64("cr3", cpu.cr3);
        out.u64("cr4", cpu.cr4);
        out.u64("efer", cpu.efer);
        out.u64("xcr0", cpu.xcr0);
        out.longs("dr", cpu.dr);
        out.u8("cpl", cpu.cpl);
        out.u8("activity", cpu.activity);
        out.flag("interruptShadow", cpu.interruptShadow);
        out.flag("stackShadow", cpu.stackShadow);
        out.flag("nmiPending", cpu.nmiPending);
        out.flag("nmiBlocked", cpu.nmiBlocked);
        out.flag("initPending", cpu.initPending);
        out.flag("smiPending", cpu.smiPending);
        out.flag("gif", cpu.gif);
        out.flag("guestMode", cpu.guestMode);
        out.u64("tscOffset", cpu.tscOffset);
        out.flag("monitorArmed", cpu.monitorArmed);
        out.flag("waitEndsMasked", cpu.waitEndsMasked);
        out.flag("waitExpired", cpu.waitExpired);
        out.u64("monitorAddress", cpu.monitorAddress);
        out.bytes("monitoredLine", cpu.monitoredLine);
        cpu.random.save(out);
        cpu.events.save(out);
        cpu.msrs.save(out);
        cpu.smm.save(out);
        cpu.fpu.save(out);
    }

    static void load(Cpu cpu, StateReader in) {
        in.section("cpu" + cpu.id);
        for (int i = 0; i < REGISTERS.length; i++) {
            cpu.r[i] = in.u64(REGISTERS[i]);
        }
        cpu.rip = in.u64("rip");
        long rflags = in.u64("rflags");
        for (int i = 0; i < SEGMENTS.length; i++) {
            cpu.segSelector[i] = in.u16(SEGMENTS[i]);
            cpu.segBase[i] = in.u64(SEGMENTS[i] + ".base");
            cpu.segLimit[i] = in.u32(SEGMENTS[i] + ".limit") & 0xffff_ffffL;
            cpu.segAttr[i] = in.u16(SEGMENTS[i] + ".attributes");
        }
        cpu.gdtrBase = in.u64("gdtr.base");
        cpu.gdtrLimit = in.u16("gdtr.limit");
        cpu.idtrBase = in.u64("idtr.base");
        cpu.idtrLimit = in.u16("idtr.limit");
        cpu.cr0 = in.u64("cr0");
        cpu.cr2 = in.u64("cr2");
        cpu.cr3 = in.u64("cr3");
        cpu.cr4 = in.u64("cr4");
        cpu.efer = in.u64("efer");
        cpu.xcr0 = in.u64("xcr0");
        in.longs("dr", cpu.dr);
        cpu.cpl = in.u8("cpl");
        cpu.activity = in.u8("activity");
        cpu.interruptShadow = in.flag("interruptShadow");
        cpu.stackShadow = in.flag("stackShadow");
        cpu.nmiPending = in.flag("nmiPending");
        cpu.nmiBlocked = in.flag("nmiBlocked");
        cpu.initPending = in.flag("initPending");
        cpu.smiPending = in.flag("smiPending");
        cpu.gif = in.flag("gif");
        cpu.guestMode = in.flag("guestMode");
        cpu.tscOffset = in.u64("tscOffset");
        cpu.monitorArmed = in.flag("monitorArmed");
        cpu.waitEndsMasked = in.flag("waitEndsMasked");
        cpu.waitExpired = in.flag("waitExpired");
        cpu.monitorAddress = in.u64("monitorAddress");
        in.bytes("monitoredLine", cpu.monitoredLine);
        cpu.random.load(in);
        cpu.events.load(in);
        cpu.msrs.load(in);
        cpu.smm.load(in);
        cpu.fpu.load(in);
        cpu.setRflags(rflags);
        cpu.updateMode();
        // What needs attention follows from the rest; the first boundary looks at everything.
        cpu.attention = Cpu.ATTENTION_CONTEXT | Cpu.ATTENTION_INTERRUPT | Cpu.ATTENTION_DEBUG;
    }
}
