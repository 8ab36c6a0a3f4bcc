package dev.pacifica.schemas;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ExitReasonTest {
    /** Codes of appendix C. */
    @ParameterizedTest
    @CsvSource({
        "0x00, read_cr0, VMEXIT_CR0_READ",
        "0x13, write_cr3, VMEXIT_CR3_WRITE",
        "0x27, read_dr7, VMEXIT_DR7_READ",
        "0x37, write_dr7, VMEXIT_DR7_WRITE",
        "0x4e, PF excp, VMEXIT_EXCP14",
        "0x60, interrupt, VMEXIT_INTR",
        "0x64, vintr, VMEXIT_VINTR",
        "0x65, cr0_sel_write, VMEXIT_CR0_SEL_WRITE",
        "0x6d, write_tr, VMEXIT_TR_WRITE",
        "0x72, cpuid, VMEXIT_CPUID",
        "0x78, hlt, VMEXIT_HLT",
        "0x7b, io, VMEXIT_IOIO",
        "0x7c, msr, VMEXIT_MSR",
        "0x7f, shutdown, VMEXIT_SHUTDOWN",
        "0x80, vmrun, VMEXIT_VMRUN",
        "0x81, hypercall, VMEXIT_VMMCALL",
        "0x87, rdtscp, VMEXIT_RDTSCP",
        "0x8b, mwait, VMEXIT_MWAIT",
        "0x8c, mwait_conditional, VMEXIT_MWAIT_CONDITIONAL",
        "0x8d, xsetbv, VMEXIT_XSETBV",
        "0x8e, rdpru, VMEXIT_RDPRU",
        "0x8f, efer_write_trap, VMEXIT_EFER_WRITE_TRAP",
        "0xa2, invpcid, VMEXIT_INVPCID",
        "0x400, npf, VMEXIT_NPF"
    })
    void codesHaveTheManualsAndKvmsNames(String code, String name, String manualName) {
        assertThat(ExitReason.known())
                .contains(new ExitReason(Long.decode(code), name, manualName));
    }

    @Test
    void noCodeHasTwoNames() {
        Map<Long, ExitReason> seen = new HashMap<>();
        for (ExitReason reason : ExitReason.known()) {
            assertThat(seen.put(reason.code(), reason)).as(reason.name()).isNull();
        }
    }
}
