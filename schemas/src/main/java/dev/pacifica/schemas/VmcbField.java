package dev.pacifica.schemas;

import java.util.List;

/**
 * What a field of the VMCB is called (appendix B), to give VMCB changes a name.
 *
 * @param offset in the VMCB, in bytes
 * @param size in bytes
 * @param name as in the manual, in SQL's manner
 */
public record VmcbField(int offset, int size, String name) {
    private static VmcbField f(int offset, int size, String name) {
        return new VmcbField(offset, size, name);
    }

    private static final List<VmcbField> ALL =
            List.of(
                    f(0x000, 2, "intercept_cr_read"),
                    f(0x002, 2, "intercept_cr_write"),
                    f(0x004, 2, "intercept_dr_read"),
                    f(0x006, 2, "intercept_dr_write"),
                    f(0x008, 4, "intercept_exceptions"),
                    f(0x00c, 4, "intercept_misc1"),
                    f(0x010, 4, "intercept_misc2"),
                    f(0x014, 4, "intercept_misc3"),
                    f(0x03c, 2, "pause_filter_threshold"),
                    f(0x03e, 2, "pause_filter_count"),
                    f(0x040, 8, "iopm_base_pa"),
                    f(0x048, 8, "msrpm_base_pa"),
                    f(0x050, 8, "tsc_offset"),
                    f(0x058, 4, "guest_asid"),
                    f(0x05c, 1, "tlb_control"),
                    f(0x060, 8, "virtual_interrupt_control"),
                    f(0x068, 8, "interrupt_shadow"),
                    f(0x070, 8, "exitcode"),
                    f(0x078, 8, "exitinfo1"),
                    f(0x080, 8, "exitinfo2"),
                    f(0x088, 8, "exitintinfo"),
                    f(0x090, 8, "np_enable"),
                    f(0x098, 8, "avic_apic_bar"),
                    f(0x0a0, 8, "ghcb_pa"),
                    f(0x0a8, 8, "eventinj"),
                    f(0x0b0, 8, "n_cr3"),
                    f(0x0b8, 8, "lbr_virtualization_enable"),
                    f(0x0c0, 4, "vmcb_clean_bits"),
                    f(0x0c8, 8, "nrip"),
                    f(0x0d0, 1, "bytes_fetched"),
                    f(0x0d1, 15, "guest_instruction_bytes"),
                    f(0x0e0, 8, "avic_backing_page"),
                    f(0x0f0, 8, "avic_logical_table"),
                    f(0x0f8, 8, "avic_physical_table"),
                    f(0x108, 8, "vmsa_pointer"),
                    f(0x400, 2, "es_selector"),
                    f(0x402, 2, "es_attrib"),
                    f(0x404, 4, "es_limit"),
                    f(0x408, 8, "es_base"),
                    f(0x410, 2, "cs_selector"),
                    f(0x412, 2, "cs_attrib"),
                    f(0x414, 4, "cs_limit"),
                    f(0x418, 8, "cs_base"),
                    f(0x420, 2, "ss_selector"),
                    f(0x422, 2, "ss_attrib"),
                    f(0x424, 4, "ss_limit"),
                    f(0x428, 8, "ss_base"),
                    f(0x430, 2, "ds_selector"),
                    f(0x432, 2, "ds_attrib"),
                    f(0x434, 4, "ds_limit"),
                    f(0x438, 8, "ds_base"),
                    f(0x440, 2, "fs_selector"),
                    f(0x442, 2, "fs_attrib"),
                    f(0x444, 4, "fs_limit"),
                    f(0x448, 8, "fs_base"),
                    f(0x450, 2, "gs_selector"),
                    f(0x452, 2, "gs_attrib"),
                    f(0x454, 4, "gs_limit"),
                    f(0x458, 8, "gs_base"),
                    f(0x464, 4, "gdtr_limit"),
                    f(0x468, 8, "gdtr_base"),
                    f(0x470, 2, "ldtr_selector"),
                    f(0x472, 2, "ldtr_attrib"),
                    f(0x474, 4, "ldtr_limit"),
                    f(0x478, 8, "ldtr_base"),
                    f(0x484, 4, "idtr_limit"),
                    f(0x488, 8, "idtr_base"),
                    f(0x490, 2, "tr_selector"),
                    f(0x492, 2, "tr_attrib"),
                    f(0x494, 4, "tr_limit"),
                    f(0x498, 8, "tr_base"),
                    f(0x4cb, 1, "cpl"),
                    f(0x4d0, 8, "efer"),
                    f(0x548, 8, "cr4"),
                    f(0x550, 8, "cr3"),
                    f(0x558, 8, "cr0"),
                    f(0x560, 8, "dr7"),
                    f(0x568, 8, "dr6"),
                    f(0x570, 8, "rflags"),
                    f(0x578, 8, "rip"),
                    f(0x5d8, 8, "rsp"),
                    f(0x5f8, 8, "rax"),
                    f(0x600, 8, "star"),
                    f(0x608, 8, "lstar"),
                    f(0x610, 8, "cstar"),
                    f(0x618, 8, "sfmask"),
                    f(0x620, 8, "kernel_gs_base"),
                    f(0x628, 8, "sysenter_cs"),
                    f(0x630, 8, "sysenter_esp"),
                    f(0x638, 8, "sysenter_eip"),
                    f(0x640, 8, "cr2"),
                    f(0x668, 8, "g_pat"),
                    f(0x670, 8, "dbgctl"),
                    f(0x678, 8, "br_from"),
                    f(0x680, 8, "br_to"),
                    f(0x688, 8, "lastexcpfrom"),
                    f(0x690, 8, "lastexcpto"));

    /** Every named field in the order of offsets. */
    public static List<VmcbField> all() {
        return ALL;
    }
}
