package dev.pacifica.schemas;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MsrNameTest {
    /** Numbers of APM Vol 2 appendix A. */
    @ParameterizedTest
    @CsvSource({
        "0x00000010, TSC",
        "0x0000001b, APIC_BASE",
        "0x00000176, SYSENTER_EIP",
        "0x000001d9, DEBUG_CTL",
        "0x000001de, LAST_INT_TO_IP",
        "0x0000020f, MTRR_PHYS_MASK7",
        "0x0000026f, MTRR_FIX_4K_F8000",
        "0x00000277, PAT",
        "0x00000405, MC1_STATUS",
        "0x0000080b, X2APIC_EOI",
        "0x00000827, X2APIC_IRR7",
        "0x00000837, X2APIC_LVT_ERROR",
        "0x0000083f, X2APIC_SELF_IPI",
        "0xc0000080, EFER",
        "0xc0000084, SFMASK",
        "0xc0000102, KERNEL_GS_BASE",
        "0xc0000104, TSC_RATIO",
        "0xc0010007, PERF_CTR3",
        "0xc001001a, TOP_MEM",
        "0xc0010035, PROCESSOR_NAME5",
        "0xc0010114, VM_CR",
        "0xc0010117, VM_HSAVE_PA",
        "0xc0010118, SVM_KEY",
        "0xc0011029, DE_CFG"
    })
    void numbersHaveTheManualsNames(String msr, String name) {
        assertThat(MsrName.known()).contains(new MsrName(Long.decode(msr), name));
    }

    @Test
    void noNumberAndNoNameIsThereTwice() {
        assertThat(MsrName.known().stream().map(MsrName::msr)).doesNotHaveDuplicates();
        assertThat(MsrName.known().stream().map(MsrName::name))
                .doesNotHaveDuplicates()
                .allMatch(name -> name.matches("[A-Z0-9_]+"));
    }
}
