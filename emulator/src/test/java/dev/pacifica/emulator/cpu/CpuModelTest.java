package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.pacifica.emulator.decode.CpuidFeature;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

/** Models by name, and what CPUID says of them. */
class CpuModelTest {
    private static long[] cpuid(TestProcessor p, int function, int sub) {
        Cpu cpu = p.cpu;
        cpu.r[Cpu.RAX] = function & 0xffff_ffffL;
        cpu.r[Cpu.RCX] = sub;
        cpu.rip = TestProcessor.CODE;
        p.code("0f a2").step();
        return new long[] {cpu.r[Cpu.RAX], cpu.r[Cpu.RBX], cpu.r[Cpu.RCX], cpu.r[Cpu.RDX]};
    }

    @Test
    void defaultIsFamily19hModel1Stepping1OfAmd() {
        try (TestProcessor p = TestProcessor.longMode()) {
            long[] vendor = cpuid(p, 0, 0);
            String name = "";
            for (int i : new int[] {1, 3, 2}) {
                byte[] four = {
                    (byte) vendor[i],
                    (byte) (vendor[i] >> 8),
                    (byte) (vendor[i] >> 16),
                    (byte) (vendor[i] >> 24)
                };
                name += new String(four, StandardCharsets.US_ASCII);
            }
            assertThat(name).isEqualTo("AuthenticAMD");
            long signature = cpuid(p, 1, 0)[0];
            long family = (signature >> 8 & 15) + (signature >> 20 & 255);
            long model = signature >> 4 & 15 | (signature >> 16 & 15) << 4;
            assertThat(family).isEqualTo(0x19);
            assertThat(model).isEqualTo(1);
            assertThat(signature & 15).isEqualTo(1);
        }
    }

    @Test
    void offeredFeaturesAreThoseThatTheDecoderKnows() {
        CpuModel model = CpuModel.DEFAULT;
        assertThat(model.decoderFeatures())
                .contains(CpuidFeature.SSE2, CpuidFeature.SVM, CpuidFeature.RDTSCP);
        assertThat(model.decoderFeatures()).doesNotContain(CpuidFeature.BMI1, CpuidFeature.SKINIT);
    }

    @Test
    void svmFunctionIsEmptyWithoutSvm() {
        try (TestProcessor p = TestProcessor.longMode()) {
            assertThat(cpuid(p, 0x8000_0001, 0)[2] & 4).isEqualTo(4);
            assertThat(cpuid(p, 0x8000_000a, 0)[0]).isEqualTo(1);
            p.cpu.model = CpuModel.parse("epyc-milan,-svm");
            assertThat(cpuid(p, 0x8000_0001, 0)[2] & 4).isZero();
            assertThat(cpuid(p, 0x8000_000a, 0)).containsOnly(0);
        }
    }

    @Test
    void svmFeaturesAreSwitchedOffOneByOne() {
        try (TestProcessor p = TestProcessor.longMode()) {
            long all = cpuid(p, 0x8000_000a, 0)[3];
            assertThat(all & 0xed)
                    .as("NP SVML NRIPS VmcbClean FlushByAsid DecodeAssists")
                    .isEqualTo(0xed);
            p.cpu.model = CpuModel.parse("epyc-milan,-nrip-save");
            assertThat(cpuid(p, 0x8000_000a, 0)[3]).isEqualTo(all & ~(1L << 3));
        }
    }

    @Test
    void hypervisorBitIsAbsentUnlessAskedFor() {
        try (TestProcessor p = TestProcessor.longMode()) {
            assertThat(cpuid(p, 1, 0)[2] >>> 31).isZero();
            p.cpu.model = CpuModel.parse("epyc-milan,+hypervisor");
            assertThat(cpuid(p, 1, 0)[2] >>> 31).isEqualTo(1);
        }
    }

    @Test
    void unknownFunctionsReturnZeros() {
        try (TestProcessor p = TestProcessor.longMode()) {
            assertThat(cpuid(p, 0x4000_0000, 0)).containsOnly(0);
            assertThat(cpuid(p, 0xf000_0000, 0)).containsOnly(0);
        }
    }

    @Test
    void addressSizes() {
        try (TestProcessor p = TestProcessor.longMode()) {
            assertThat(cpuid(p, 0x8000_0008, 0)[0]).isEqualTo(0x3030);
        }
    }

    @Test
    void parseNamesTheProblem() {
        assertThat(CpuModel.parse("epyc-rome").name()).isEqualTo("epyc-rome");
        assertThat(CpuModel.parse("epyc-milan,+monitor,-pdpe1gb").has(CpuFeature.MONITOR)).isTrue();
        assertThatThrownBy(() -> CpuModel.parse("pentium"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("unknown CPU model 'pentium'; there are epyc-milan, epyc-rome");
        assertThatThrownBy(() -> CpuModel.parse("epyc-milan,+avx512"))
                .hasMessageStartingWith("unknown CPU feature 'avx512'; there are vme, de, ")
                .hasMessageContaining(", npt, ")
                .hasMessageNotContaining("bmi1");
        assertThatThrownBy(() -> CpuModel.parse("epyc-milan,sse3"))
                .hasMessage("CPU feature 'sse3' must begin with + or -");
        assertThatThrownBy(() -> CpuModel.parse("epyc-milan,+bmi1"))
                .hasMessage("CPU feature 'bmi1' is not implemented");
        assertThatThrownBy(() -> CpuModel.parse("epyc-milan,-apic"))
                .hasMessage("CPU feature 'apic' cannot be taken away");
    }

    @Test
    void nestedPagingTakesWhatIsNothingWithoutItAway() {
        CpuModel without = CpuModel.parse("epyc-milan,-npt");
        assertThat(without.has(CpuFeature.GMET)).isFalse();
        assertThat(without.has(CpuFeature.ROGPT)).isFalse();
        assertThat(without.has(CpuFeature.V_VMSAVE_VMLOAD)).isFalse();
        assertThat(without.has(CpuFeature.VGIF)).isTrue();
        assertThat(CpuModel.parse("epyc-milan,-npt,+gmet").has(CpuFeature.NPT)).isTrue();
    }
}
