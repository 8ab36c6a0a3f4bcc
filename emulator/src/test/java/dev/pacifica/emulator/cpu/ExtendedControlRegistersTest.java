package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.execute.Interpreter;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** XGETBV, XSETBV, XSS, CR4.OSXSAVE and what CPUID tells of them (APM Vol 2 §11.5). */
class ExtendedControlRegistersTest {
    private static final String XGETBV = "0f 01 d0";
    private static final String XSETBV = "0f 01 d1";
    private static final int XSS = 0xda0;
    private static final int NONE = -1;

    private static TestProcessor enabled(TestProcessor p) {
        p.cpu.cr4 |= Cpu.CR4_OSXSAVE;
        return p;
    }

    private static void operands(Cpu cpu, long ecx, long value) {
        cpu.r[Cpu.RCX] = ecx;
        cpu.r[Cpu.RAX] = 0x1234_5678_0000_0000L | value & 0xffff_ffffL;
        cpu.r[Cpu.RDX] = 0x1234_5678_0000_0000L | value >>> 32;
    }

    private static long[] cpuid(TestProcessor p, int function, int sub) {
        Cpu cpu = p.cpu;
        cpu.r[Cpu.RAX] = function;
        cpu.r[Cpu.RCX] = sub;
        cpu.rip = TestProcessor.CODE;
        p.code("0f a2").step();
        return new long[] {cpu.r[Cpu.RAX], cpu.r[Cpu.RBX], cpu.r[Cpu.RCX], cpu.r[Cpu.RDX]};
    }

    @ParameterizedTest
    @CsvSource({
        // ECX, value, vector or -1
        "0, 1, -1",
        "0, 3, -1",
        "0, 0, 13", // x87 must be set
        "0, 2, 13",
        "0, 7, 13", // no AVX here
        "0, 9, 13",
        "0, 0x8000000000000003, 13",
        "0, 0x100000001, 13",
        "1, 3, 13",
        "0x80000000, 3, 13",
    })
    void xsetbvTakesWhatExistsOnly(String ecx, String value, int vector) {
        try (TestProcessor p = enabled(TestProcessor.longMode())) {
            p.cpu.xcr0 = 3;
            long wanted =
                    Long.parseUnsignedLong(value.replace("0x", ""), value.length() > 1 ? 16 : 10);
            operands(p.cpu, Long.decode(ecx), wanted);
            p.code(XSETBV).step();
            assertThat(p.handler()).isEqualTo(vector);
            assertThat(p.cpu.xcr0).isEqualTo(vector == NONE ? wanted : 3);
        }
    }

    @Test
    void theUpperHalfOfRcxIsNotLookedAt() {
        try (TestProcessor p = enabled(TestProcessor.longMode())) {
            operands(p.cpu, 0x5_0000_0000L, 3);
            p.code(XSETBV + XGETBV).step(2);
            assertThat(p.cpu.xcr0).isEqualTo(3);
            assertThat(p.cpu.r[Cpu.RAX]).isEqualTo(3);
            assertThat(p.cpu.r[Cpu.RDX]).isZero();
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 6);
        }
    }

    @Test
    void usersReadAndCannotWrite() {
        try (TestProcessor p = enabled(TestProcessor.longMode()).user()) {
            p.cpu.xcr0 = 3;
            operands(p.cpu, 0, 1);
            p.code(XGETBV + XSETBV).step();
            assertThat(p.cpu.r[Cpu.RAX]).isEqualTo(3);
            p.cpu.r[Cpu.RAX] = 1;
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
            assertThat(p.cpu.xcr0).isEqualTo(3);
        }
    }

    @Test
    void realModeHasThemToo() {
        try (TestProcessor p = enabled(TestProcessor.realMode())) {
            operands(p.cpu, 0, 3);
            p.code(XSETBV).step();
            assertThat(p.cpu.xcr0).isEqualTo(3);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {XGETBV, XSETBV})
    void undefinedWhileOsxsaveIsClear(String code) {
        for (boolean user : new boolean[] {false, true}) {
            try (TestProcessor p = TestProcessor.longMode()) {
                TestProcessor at = user ? p.user() : p;
                operands(p.cpu, 0x77, 0); // #UD comes before #GP
                at.code(code).step();
                assertThat(p.handler()).isEqualTo(GuestException.UD);
                assertThat(p.cpu.xcr0).isEqualTo(1);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"66", "f2", "f3", "f0"})
    void anyPrefixThatSelectsAFormMakesThemUndefined(String prefix) {
        for (String code : new String[] {XGETBV, XSETBV}) {
            try (TestProcessor p = enabled(TestProcessor.longMode())) {
                operands(p.cpu, 0, 3);
                p.code(prefix + code).step();
                assertThat(p.handler()).isEqualTo(GuestException.UD);
            }
        }
    }

    @Test
    void xgetbv1TellsTheComponentsInUse() {
        try (TestProcessor p = enabled(TestProcessor.longMode())) {
            Cpu cpu = p.cpu;
            cpu.fpu.initialise();
            cpu.fpu.setMxcsr(0x1fa0); // no part of it
            assertThat(inUse(p, 3)).isZero();
            cpu.fpu.xmm[31] = 1L << 63;
            assertThat(inUse(p, 3)).isEqualTo(2);
            assertThat(inUse(p, 1)).isZero();
            cpu.fpu.significand[5] = 1;
            assertThat(inUse(p, 3)).isEqualTo(3);
            cpu.fpu.significand[5] = 0;
            cpu.fpu.signExponent[7] = 0x8000;
            assertThat(inUse(p, 1)).isEqualTo(1);
            cpu.fpu.signExponent[7] = 0;
            cpu.fpu.setControl(0x27f);
            assertThat(inUse(p, 1)).isEqualTo(1);
            cpu.fpu.initialise();
            cpu.fpu.setStatusWord(0x4000);
            assertThat(inUse(p, 1)).isEqualTo(1);
            cpu.fpu.initialise();
            cpu.fpu.valid = 0x10;
            assertThat(inUse(p, 1)).isEqualTo(1);
            cpu.fpu.initialise();
            cpu.fpu.dataPointer = 1L << 40;
            assertThat(inUse(p, 1)).isEqualTo(1);
            cpu.fpu.initialise();
            cpu.fpu.opcode = 0x5d1;
            assertThat(inUse(p, 1)).isEqualTo(1);
        }
        try (TestProcessor p = enabled(TestProcessor.protectedMode())) {
            p.cpu.fpu.initialise();
            p.cpu.fpu.xmm[16] = 7; // XMM8, which this mode does not reach
            assertThat(inUse(p, 3)).isZero();
            p.cpu.fpu.xmm[15] = 7;
            assertThat(inUse(p, 3)).isEqualTo(2);
        }
    }

    private static long inUse(TestProcessor p, long xcr0) {
        p.cpu.xcr0 = xcr0;
        p.cpu.rip = TestProcessor.CODE;
        operands(p.cpu, 1, -1);
        p.code(XGETBV).step();
        assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 3);
        return p.cpu.r[Cpu.RDX] << 32 | p.cpu.r[Cpu.RAX];
    }

    @Test
    void otherRegistersDoNotExist() {
        for (int register : new int[] {2, -1}) {
            try (TestProcessor p = enabled(TestProcessor.longMode())) {
                operands(p.cpu, register, 0);
                p.code(XGETBV).step();
                assertThat(p.handler()).isEqualTo(GuestException.GP);
            }
        }
        try (TestProcessor p = enabled(TestProcessor.longMode())) {
            p.cpu.model = CpuModel.parse("epyc-milan,-xgetbv1");
            operands(p.cpu, 1, 0);
            p.code(XGETBV).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }

    @Test
    void xssHasNoBits() {
        try (TestProcessor p = TestProcessor.longMode()) {
            operands(p.cpu, XSS, 0);
            p.code("0f 30" + "0f 32" /* wrmsr; rdmsr */).step(2);
            assertThat(p.handler()).isEqualTo(NONE);
            assertThat(p.cpu.r[Cpu.RAX] | p.cpu.r[Cpu.RDX]).isZero();
        }
        for (long value : new long[] {1, 2, 1 << 11, 1L << 63}) {
            try (TestProcessor p = TestProcessor.longMode()) {
                operands(p.cpu, XSS, value);
                p.code("0f 30").step();
                assertThat(p.handler()).isEqualTo(GuestException.GP);
            }
        }
        for (String code : new String[] {"0f 30", "0f 32"}) {
            try (TestProcessor p = TestProcessor.longMode()) {
                p.cpu.model = CpuModel.parse("epyc-milan,-xsaves");
                operands(p.cpu, XSS, 0);
                p.code(code).step();
                assertThat(p.handler()).isEqualTo(GuestException.GP);
            }
        }
    }

    @Test
    void cpuidTellsComponentsSizesAndOsxsave() {
        try (TestProcessor p = TestProcessor.longMode()) {
            assertThat(cpuid(p, 1, 0)[2] >> 26 & 3).isEqualTo(1);
            p.cpu.cr4 |= Cpu.CR4_OSXSAVE;
            assertThat(cpuid(p, 1, 0)[2] >> 26 & 3).isEqualTo(3);
            assertThat(cpuid(p, 0xd, 0)).containsExactly(3, 576, 576, 0);
            p.cpu.xcr0 = 3;
            assertThat(cpuid(p, 0xd, 0)).containsExactly(3, 576, 576, 0);
            assertThat(cpuid(p, 0xd, 1)).containsExactly(0xf, 576, 0, 0);
            for (int sub : new int[] {2, 3, 9, 62, 63, 64, -1}) {
                assertThat(cpuid(p, 0xd, sub)).as("%d", sub).containsOnly(0);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "-xsaveopt, 0xe, 576",
        "-xsavec, 0xd, 576",
        "-xgetbv1, 0xb, 576",
        "-xsaves, 0x7, 576",
        "'-xsavec,-xsaves', 0x5, 0",
        "'-xsave,+xsaves', 0x8, 576"
    })
    void theExtensionsAreSwitchedOneByOne(String change, String bits, long size) {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.model = CpuModel.parse("epyc-milan," + change);
            assertThat(cpuid(p, 0xd, 1)).containsExactly(Long.decode(bits), size, 0, 0);
            assertThat(cpuid(p, 1, 0)[2] >> 26 & 1).isEqualTo(1);
        }
    }

    @Test
    void cpuidTellsThatErrorPointersAreAlwaysRestored() {
        try (TestProcessor p = TestProcessor.longMode()) {
            assertThat(cpuid(p, 0x8000_0008, 0)[1] >> 2 & 1).isEqualTo(1);
            p.cpu.model = CpuModel.parse("epyc-milan,-xsaveerptr");
            assertThat(cpuid(p, 0x8000_0008, 0)[1] >> 2 & 1).isZero();
        }
    }

    @Test
    void withoutXsaveNothingOfItIsLeft() {
        try (TestProcessor p = TestProcessor.longMode()) {
            CpuModel model = CpuModel.parse("epyc-milan,-xsave");
            p.cpu.model = model;
            assertThat(cpuid(p, 1, 0)[2] >> 26 & 3).isZero();
            assertThat(cpuid(p, 0xd, 0)).containsOnly(0);
            assertThat(cpuid(p, 0xd, 1)).containsOnly(0);
            assertThat(model.cr4Mask() & Cpu.CR4_OSXSAVE).isZero();
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                XGETBV,
                XSETBV,
                "0f ae 27",
                "0f ae 2f",
                "0f ae 37",
                "0f c7 1f",
                "0f c7 27",
                "0f c7 2f"
            })
    void withoutXsaveTheInstructionsAreUndefined(String code) {
        try (TestProcessor p = enabled(TestProcessor.longMode())) {
            p.cpu.model = CpuModel.parse("epyc-milan,-xsave");
            Interpreter interpreter =
                    new Interpreter(p.cpu, new Decoder(p.cpu.model.decoderFeatures()));
            operands(p.cpu, 0, 3);
            p.cpu.r[Cpu.RDI] = 0x30000;
            p.code(code);
            interpreter.run(p.clock.retired + 1);
            assertThat(p.handler()).isEqualTo(GuestException.UD);
        }
    }

    @Test
    void movToCr4SetsOsxsaveOnlyIfOffered() {
        for (boolean offered : new boolean[] {true, false}) {
            try (TestProcessor p = TestProcessor.longMode()) {
                p.cpu.model = CpuModel.parse(offered ? "epyc-milan" : "epyc-milan,-xsave");
                p.cpu.r[Cpu.RAX] = p.cpu.cr4 | Cpu.CR4_OSXSAVE;
                p.code("0f 22 e0").step();
                assertThat(p.handler()).isEqualTo(offered ? NONE : GuestException.GP);
            }
        }
    }

    /** §11.5.2 for RESET; INIT leaves the floating-point state and its register alone. */
    @Test
    void resetClearsXcr0AndInitDoesNot() {
        try (TestProcessor p = TestProcessor.longMode()) {
            assertThat(p.cpu.xcr0).isEqualTo(1);
            p.cpu.xcr0 = 3;
            p.cpu.cr4 |= Cpu.CR4_OSXSAVE;
            Reset.init(p.cpu);
            assertThat(p.cpu.xcr0).isEqualTo(3);
            assertThat(p.cpu.cr4).isZero();
            Reset.powerOn(p.cpu);
            assertThat(p.cpu.xcr0).isEqualTo(1);
        }
    }

    /** Table 10-3 clears CR4 for the handler; RSM brings it back. XCR0 is in neither. */
    @Test
    void smmClearsOsxsaveAndLeavesXcr0() {
        try (TestProcessor p = enabled(TestProcessor.longMode())) {
            p.cpu.xcr0 = 3;
            p.code("90").code(0x38000, "0f aa"); // rsm
            p.cpu.smiPending = true;
            p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
            p.step();
            assertThat(p.cpu.smm.active()).isTrue();
            assertThat(p.cpu.cr4).isZero();
            assertThat(p.cpu.xcr0).isEqualTo(3);
            p.step();
            assertThat(p.cpu.smm.active()).isFalse();
            assertThat(p.cpu.cr4 & Cpu.CR4_OSXSAVE).isNotZero();
            assertThat(p.cpu.xcr0).isEqualTo(3);
        }
    }

    @Test
    void xcr0IsSaved() {
        try (TestProcessor p = TestProcessor.longMode();
                TestProcessor other = TestProcessor.longMode()) {
            p.cpu.xcr0 = 3;
            BinaryStateWriter out = new BinaryStateWriter();
            p.cpu.save(out);
            other.cpu.load(new BinaryStateReader(out.toByteArray()));
            assertThat(other.cpu.xcr0).isEqualTo(3);
        }
    }
}
