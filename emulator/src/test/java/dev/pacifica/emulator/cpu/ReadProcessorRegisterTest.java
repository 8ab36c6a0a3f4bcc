package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.execute.Interpreter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** RDPRU, MPERF and APERF, MCOMMIT, INVPCID and what CPUID tells of them. */
class ReadProcessorRegisterTest {
    private static final int MPERF = 0xe7;
    private static final int APERF = 0xe8;

    private static long result(TestProcessor p) {
        return p.cpu.r[Cpu.RDX] << 32 | p.cpu.r[Cpu.RAX];
    }

    @ParameterizedTest
    @CsvSource({"0, 0xe7", "1, 0xe8"})
    void rdpruReadsTheCountersAtEveryPrivilege(int number, String msr) {
        try (TestProcessor p = TestProcessor.longMode().user()) {
            p.cpu.msrs.write(Integer.decode(msr), 0x12_3456_7890L);
            p.cpu.r[Cpu.RCX] = number;
            p.code("0f 01 fd").step();
            assertThat(result(p)).isEqualTo(0x12_3456_7890L);
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.USER_CODE + 3);
        }
    }

    @Test
    void unknownRegistersReadAsZero() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.r[Cpu.RCX] = 2;
            p.cpu.r[Cpu.RAX] = 5;
            p.cpu.r[Cpu.RDX] = 6;
            p.code("0f 01 fd").step();
            assertThat(result(p)).isZero();
        }
    }

    @Test
    void timeStampDisableMakesItUndefinedForUsers() {
        try (TestProcessor p = TestProcessor.longMode().user()) {
            p.cpu.cr4 |= Cpu.CR4_TSD;
            p.code("0f 01 fd").step();
            assertThat(p.handler()).isEqualTo(GuestException.UD);
        }
    }

    @Test
    void theCountersStandStillInHlt() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.msrs.write(MPERF, 1000);
            p.cpu.msrs.write(APERF, 2000);
            p.code("f4").step();
            long before = p.clock.now();
            p.clock.skipTo(before + 500);
            p.cpu.nmiPending = true;
            p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.NMI);
            assertThat(p.clock.now()).isGreaterThanOrEqualTo(before + 500);
            assertThat(p.cpu.msrs.read(MPERF)).isBetween(1001L, 1003L);
            assertThat(p.cpu.msrs.read(APERF)).isBetween(2001L, 2003L);
            assertThat(p.cpu.msrs.read(0xc000_00e7)).isLessThan(10);
        }
    }

    @Test
    void theReadOnlyCountersCannotBeWritten() {
        for (int msr : new int[] {0xc000_00e7, 0xc000_00e8}) {
            try (TestProcessor p = TestProcessor.longMode()) {
                p.cpu.r[Cpu.RCX] = msr;
                p.code("0f 30").step();
                assertThat(p.handler()).isEqualTo(GuestException.GP);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"false, 6", "true, -1"})
    void mcommitNeedsItsBitOfEfer(boolean enabled, int fault) {
        try (TestProcessor p = TestProcessor.longMode().user()) {
            p.cpu.model = CpuModel.parse("epyc-milan,+mcommit");
            Interpreter interpreter =
                    new Interpreter(p.cpu, new Decoder(p.cpu.model.decoderFeatures()));
            if (enabled) {
                p.cpu.msrs.write(0xc000_0080, p.cpu.efer | Cpu.EFER_MCOMMIT);
            }
            p.cpu.setCf(false);
            p.code("f3 0f 01 fa");
            interpreter.run(p.clock.retired + 1);
            assertThat(p.handler()).isEqualTo(fault);
            assertThat(p.cpu.cf()).isEqualTo(enabled);
        }
    }

    @Test
    void mcommitIsUndefinedAndItsBitReservedUnlessAskedFor() {
        try (TestProcessor p = TestProcessor.longMode()) {
            assertThat(p.cpu.model.eferMask() & Cpu.EFER_MCOMMIT).isZero();
            p.code("f3 0f 01 fa").step();
            assertThat(p.handler()).isEqualTo(GuestException.UD);
        }
    }

    @ParameterizedTest
    @CsvSource({
        // INVPCID type, PCID, address, CR4.PCIDE; vector (-1: none)
        "0, 0, 0x8000, false, -1",
        "1, 0, 0, false, -1",
        "0, 5, 0x8000, false, 13",
        "1, 5, 0, false, 13",
        "0, 5, 0x8000, true, -1",
        "1, 0x1000, 0, true, 13",
        "0, 0, 0x8000000000000000, true, 13",
        "1, 0, 0x7000000000000000, true, -1",
        "2, 7, 0, false, -1",
        "3, 7, 0, false, -1",
        "4, 0, 0, true, 13",
    })
    void invpcidChecksItsDescriptor(
            int type, String pcid, String address, boolean enabled, int fault) {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.cr4 |= enabled ? Cpu.CR4_PCIDE : 0;
            p.write(0xa000, 8, Long.decode(pcid));
            p.write(0xa008, 8, Long.parseUnsignedLong(address.replace("0x", ""), 16));
            p.cpu.r[Cpu.RBX] = 0xa000;
            p.cpu.r[Cpu.RAX] = type;
            p.code("66 0f 38 82 03").step();
            assertThat(p.handler()).isEqualTo(fault);
        }
    }

    @Test
    void cpuidTellsTheLimits() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.r[Cpu.RAX] = 0x8000_0008L;
            p.code("0f a2").step();
            assertThat(p.cpu.r[Cpu.RDX]).isEqualTo(0x0001_0007);
            assertThat(p.cpu.r[Cpu.RBX] & 0x118).as("MCOMMIT, RDPRU, INVLPGB").isEqualTo(0x18);
            p.cpu.model = CpuModel.parse("epyc-milan,-rdpru,-invlpgb");
            p.cpu.r[Cpu.RAX] = 0x8000_0008L;
            p.code("0f a2").step();
            assertThat(p.cpu.r[Cpu.RDX]).isZero();
        }
    }
}
