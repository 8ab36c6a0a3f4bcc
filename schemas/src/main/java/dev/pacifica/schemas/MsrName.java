package dev.pacifica.schemas;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * What an MSR is called: the names of APM Vol 2 appendix A, in capitals, with those that the
 * manuals of family 19h and, for its own, KVM add.
 *
 * @param msr the number, ECX of RDMSR and WRMSR, unsigned 32 bits
 */
public record MsrName(long msr, String name) {
    /** One line an MSR, or a run of MSRs with names of their own in ascending order. */
    private static final String NAMES =
            """
            00000000 P5_MC_ADDR P5_MC_TYPE
            00000010 TSC KVM_WALL_CLOCK KVM_SYSTEM_TIME
            00000017 PLATFORM_ID
            0000001b APIC_BASE
            0000002a EBL_CR_POWERON
            0000003a FEATURE_CONTROL TSC_ADJUST
            00000048 SPEC_CTRL PRED_CMD
            0000008b PATCH_LEVEL
            000000ce PLATFORM_INFO
            000000e7 MPERF APERF
            000000fe MTRR_CAP
            0000010a ARCH_CAPABILITIES FLUSH_CMD
            00000140 MISC_FEATURES_ENABLES
            00000174 SYSENTER_CS SYSENTER_ESP SYSENTER_EIP
            00000179 MCG_CAP MCG_STATUS MCG_CTL
            00000186 P6_EVNTSEL0 P6_EVNTSEL1
            000001a0 MISC_ENABLE
            000001d9 DEBUG_CTL
            000001db LAST_BRANCH_FROM_IP LAST_BRANCH_TO_IP LAST_INT_FROM_IP LAST_INT_TO_IP
            00000250 MTRR_FIX_64K_00000
            00000258 MTRR_FIX_16K_80000 MTRR_FIX_16K_A0000
            00000268 MTRR_FIX_4K_C0000 MTRR_FIX_4K_C8000 MTRR_FIX_4K_D0000 MTRR_FIX_4K_D8000
            0000026c MTRR_FIX_4K_E0000 MTRR_FIX_4K_E8000 MTRR_FIX_4K_F0000 MTRR_FIX_4K_F8000
            00000277 PAT
            000002ff MTRR_DEF_TYPE
            000006a0 U_CET
            000006a2 S_CET
            000006a4 PL0_SSP PL1_SSP PL2_SSP PL3_SSP ISST_ADDR
            000006e0 TSC_DEADLINE
            00000802 X2APIC_ID X2APIC_VERSION
            00000808 X2APIC_TPR X2APIC_APR X2APIC_PPR X2APIC_EOI
            0000080d X2APIC_LDR
            0000080f X2APIC_SVR
            00000828 X2APIC_ESR
            00000830 X2APIC_ICR
            00000832 X2APIC_LVT_TIMER X2APIC_LVT_THERMAL X2APIC_LVT_PERF X2APIC_LVT_LINT0
            00000836 X2APIC_LVT_LINT1 X2APIC_LVT_ERROR X2APIC_TIMER_INITIAL X2APIC_TIMER_CURRENT
            0000083e X2APIC_TIMER_DIVIDE X2APIC_SELF_IPI
            00000840 X2APIC_EXT_FEATURE X2APIC_EXT_CONTROL X2APIC_SEOI
            00000850 X2APIC_EXT_LVT0 X2APIC_EXT_LVT1 X2APIC_EXT_LVT2 X2APIC_EXT_LVT3
            00000da0 XSS
            40000000 HV_GUEST_OS_ID HV_HYPERCALL HV_VP_INDEX
            4b564d00 KVM_WALL_CLOCK_NEW KVM_SYSTEM_TIME_NEW KVM_ASYNC_PF_EN KVM_STEAL_TIME
            4b564d04 KVM_PV_EOI_EN KVM_POLL_CONTROL KVM_ASYNC_PF_INT KVM_ASYNC_PF_ACK
            4b564d08 KVM_MIGRATION_CONTROL
            c0000080 EFER STAR LSTAR CSTAR SFMASK
            c00000e7 MPERF_READ_ONLY APERF_READ_ONLY IRPERF
            c0000100 FS_BASE GS_BASE KERNEL_GS_BASE TSC_AUX TSC_RATIO
            c000010e LBR_SELECT
            c0010000 PERF_EVT_SEL0 PERF_EVT_SEL1 PERF_EVT_SEL2 PERF_EVT_SEL3
            c0010004 PERF_CTR0 PERF_CTR1 PERF_CTR2 PERF_CTR3
            c0010010 SYSCFG
            c0010015 HWCR IORR_BASE0 IORR_MASK0 IORR_BASE1 IORR_MASK1 TOP_MEM
            c001001d TOP_MEM2
            c001001f NB_CFG
            c0010050 SMI_ON_IO_TRAP0 SMI_ON_IO_TRAP1 SMI_ON_IO_TRAP2 SMI_ON_IO_TRAP3
            c0010054 SMI_ON_IO_TRAP_CTL_STS INT_PENDING SMI_TRIGGER_IO
            c0010058 MMIO_CONF_BASE
            c0010061 PSTATE_LIMIT PSTATE_CTL PSTATE_STATUS
            c0010074 CPU_WATCHDOG
            c0010111 SMM_BASE SMM_ADDR SMM_MASK VM_CR IGNNE SMM_CTL VM_HSAVE_PA SVM_KEY SMM_KEY
            c001011a LOCAL_SMI_STATUS AVIC_DOORBELL
            c001011e VM_PAGE_FLUSH VIRT_SPEC_CTRL
            c0010130 GHCB SEV_STATUS
            c0010140 OSVW_ID_LENGTH OSVW_STATUS
            c0010300 PERF_GLOBAL_STATUS PERF_GLOBAL_CTL PERF_GLOBAL_STATUS_CLR
            c0011019 DR1_ADDR_MASK DR2_ADDR_MASK DR3_ADDR_MASK
            c0011020 LS_CFG IC_CFG DC_CFG
            c0011027 DR0_ADDR_MASK
            c0011029 DE_CFG
            c0011030 IBS_FETCH_CTL IBS_FETCH_LINEAR IBS_FETCH_PHYSICAL IBS_OP_CTL IBS_OP_RIP
            c0011035 IBS_OP_DATA IBS_OP_DATA2 IBS_OP_DATA3 IBS_DC_LINEAR IBS_DC_PHYSICAL IBS_CTL
            """;

    private static final List<MsrName> ALL = all();

    private static List<MsrName> all() {
        List<MsrName> all = new ArrayList<>();
        for (String line : NAMES.lines().toList()) {
            String[] words = line.split(" ", -1);
            long first = Long.parseLong(words[0], 16);
            for (int i = 1; i < words.length; i++) {
                all.add(new MsrName(first + i - 1, words[i]));
            }
        }
        for (int i = 0; i < 8; i++) {
            all.add(new MsrName(0x200 + 2 * i, "MTRR_PHYS_BASE" + i));
            all.add(new MsrName(0x201 + 2 * i, "MTRR_PHYS_MASK" + i));
            all.add(new MsrName(0x810 + i, "X2APIC_ISR" + i));
            all.add(new MsrName(0x818 + i, "X2APIC_TMR" + i));
            all.add(new MsrName(0x820 + i, "X2APIC_IRR" + i));
            all.add(new MsrName(0x848 + i, "X2APIC_IER" + i));
            all.add(new MsrName(0xc001_0064L + i, "PSTATE_DEF" + i));
        }
        for (int i = 0; i < 6; i++) {
            all.add(new MsrName(0xc001_0030L + i, "PROCESSOR_NAME" + i));
            all.add(new MsrName(0xc001_0200L + 2 * i, "PERF_CTL" + i));
            all.add(new MsrName(0xc001_0201L + 2 * i, "PERF_CTR_EXT" + i));
        }
        String[] bank = {"CTL", "STATUS", "ADDR", "MISC"};
        for (int i = 0; i < 32 * bank.length; i++) {
            all.add(new MsrName(0x400 + i, "MC" + i / bank.length + "_" + bank[i % bank.length]));
        }
        return Collections.unmodifiableList(all);
    }

    /** Every known MSR, in no order that matters. */
    public static List<MsrName> known() {
        return ALL;
    }
}
