package dev.pacifica.schemas;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * What an EXITCODE is called (appendix C).
 *
 * @param code the EXITCODE; all 64 bits count
 * @param name as KVM's tracepoints print it, e.g. {@code npf}
 * @param manualName as the AMD manual has it, e.g. {@code VMEXIT_NPF}
 */
public record ExitReason(long code, String name, String manualName) {
    public static final long READ_CR0 = 0x00;
    public static final long WRITE_CR0 = 0x10;
    public static final long READ_DR0 = 0x20;
    public static final long WRITE_DR0 = 0x30;
    public static final long EXCEPTION = 0x40;
    public static final long INTR = 0x60;
    public static final long INIT = 0x63;
    public static final long CR0_SEL_WRITE = 0x65;
    public static final long CPUID = 0x72;
    public static final long IOIO = 0x7b;
    public static final long MSR = 0x7c;
    public static final long VMMCALL = 0x81;
    public static final long NPF = 0x400;
    public static final long INVALID = -1;

    private static final String[] EXCEPTIONS = {
        "DE", "DB", "NMI", "BP", "OF", "BR", "UD", "NM", "DF", "09", "TS", "NP", "SS", "GP", "PF",
                "15",
        "MF", "AC", "MC", "XM", "20", "CP", "22", "23", "24", "25", "26", "27", "HV", "VC", "SX",
                "31"
    };

    /** From 60h on, without holes: KVM's name, the manual's. */
    private static final String[][] FROM_INTR = {
        {"interrupt", "INTR"},
        {"nmi", "NMI"},
        {"smi", "SMI"},
        {"init", "INIT"},
        {"vintr", "VINTR"},
        {"cr0_sel_write", "CR0_SEL_WRITE"},
        {"read_idtr", "IDTR_READ"},
        {"read_gdtr", "GDTR_READ"},
        {"read_ldtr", "LDTR_READ"},
        {"read_tr", "TR_READ"},
        {"write_idtr", "IDTR_WRITE"},
        {"write_gdtr", "GDTR_WRITE"},
        {"write_ldtr", "LDTR_WRITE"},
        {"write_tr", "TR_WRITE"},
        {"rdtsc", "RDTSC"},
        {"rdpmc", "RDPMC"},
        {"pushf", "PUSHF"},
        {"popf", "POPF"},
        {"cpuid", "CPUID"},
        {"rsm", "RSM"},
        {"iret", "IRET"},
        {"swint", "SWINT"},
        {"invd", "INVD"},
        {"pause", "PAUSE"},
        {"hlt", "HLT"},
        {"invlpg", "INVLPG"},
        {"invlpga", "INVLPGA"},
        {"io", "IOIO"},
        {"msr", "MSR"},
        {"task_switch", "TASK_SWITCH"},
        {"ferr_freeze", "FERR_FREEZE"},
        {"shutdown", "SHUTDOWN"},
        {"vmrun", "VMRUN"},
        {"hypercall", "VMMCALL"},
        {"vmload", "VMLOAD"},
        {"vmsave", "VMSAVE"},
        {"stgi", "STGI"},
        {"clgi", "CLGI"},
        {"skinit", "SKINIT"},
        {"rdtscp", "RDTSCP"},
        {"icebp", "ICEBP"},
        {"wbinvd", "WBINVD"},
        {"monitor", "MONITOR"},
        {"mwait", "MWAIT"},
        {"mwait_conditional", "MWAIT_CONDITIONAL"},
        {"xsetbv", "XSETBV"},
        {"rdpru", "RDPRU"},
        {"efer_write_trap", "EFER_WRITE_TRAP"}
    };

    private static final List<ExitReason> ALL = all();

    private static List<ExitReason> all() {
        List<ExitReason> all = new ArrayList<>();
        for (int i = 0; i < 16; i++) {
            all.add(new ExitReason(READ_CR0 + i, "read_cr" + i, "VMEXIT_CR" + i + "_READ"));
        }
        for (int i = 0; i < 16; i++) {
            all.add(new ExitReason(WRITE_CR0 + i, "write_cr" + i, "VMEXIT_CR" + i + "_WRITE"));
        }
        for (int i = 0; i < 16; i++) {
            all.add(new ExitReason(READ_DR0 + i, "read_dr" + i, "VMEXIT_DR" + i + "_READ"));
        }
        for (int i = 0; i < 16; i++) {
            all.add(new ExitReason(WRITE_DR0 + i, "write_dr" + i, "VMEXIT_DR" + i + "_WRITE"));
        }
        for (int i = 0; i < EXCEPTIONS.length; i++) {
            all.add(new ExitReason(EXCEPTION + i, EXCEPTIONS[i] + " excp", "VMEXIT_EXCP" + i));
        }
        for (int i = 0; i < FROM_INTR.length; i++) {
            all.add(new ExitReason(INTR + i, FROM_INTR[i][0], "VMEXIT_" + FROM_INTR[i][1]));
        }
        for (int i = 0; i < 16; i++) {
            all.add(
                    new ExitReason(
                            0x90 + i, "cr" + i + "_write_trap", "VMEXIT_CR" + i + "_WRITE_TRAP"));
        }
        all.add(new ExitReason(0xa0, "invlpgb", "VMEXIT_INVLPGB"));
        all.add(new ExitReason(0xa1, "illegal_invlpgb", "VMEXIT_INVLPGB_ILLEGAL"));
        all.add(new ExitReason(0xa2, "invpcid", "VMEXIT_INVPCID"));
        all.add(new ExitReason(0xa3, "mcommit", "VMEXIT_MCOMMIT"));
        all.add(new ExitReason(0xa4, "tlbsync", "VMEXIT_TLBSYNC"));
        all.add(new ExitReason(0xa5, "buslock", "VMEXIT_BUSLOCK"));
        all.add(new ExitReason(0xa6, "idle-halt", "VMEXIT_IDLE_HLT"));
        all.add(new ExitReason(NPF, "npf", "VMEXIT_NPF"));
        all.add(new ExitReason(0x401, "avic_incomplete_ipi", "AVIC_INCOMPLETE_IPI"));
        all.add(new ExitReason(0x402, "avic_unaccelerated_access", "AVIC_NOACCEL"));
        all.add(new ExitReason(0x403, "vmgexit", "VMEXIT_VMGEXIT"));
        all.add(new ExitReason(INVALID, "invalid_guest_state", "VMEXIT_INVALID"));
        all.add(new ExitReason(-2, "busy", "VMEXIT_BUSY"));
        return Collections.unmodifiableList(all);
    }

    /** Every known reason, in no order that matters. */
    public static List<ExitReason> known() {
        return ALL;
    }
}
