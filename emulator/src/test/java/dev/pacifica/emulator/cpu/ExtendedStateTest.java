package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR and XRSTORS, rule by rule (APM Vol 2 §11.5, Vol 4). */
class ExtendedStateTest {
    /** Each with [RDI] as its operand. */
    private static final String XSAVE = "0f ae 27";

    private static final String XRSTOR = "0f ae 2f";
    private static final String XSAVEOPT = "0f ae 37";
    private static final String XRSTORS = "0f c7 1f";
    private static final String XSAVEC = "0f c7 27";
    private static final String XSAVES = "0f c7 2f";

    private static final int NONE = -1;
    private static final long AREA = 0x30000;
    private static final int HEADER = 512;
    private static final long COMPACTED = 1L << 63;
    private static final int FILL = 0xa5;

    private static TestProcessor ready(TestProcessor p) {
        p.cpu.cr4 |= Cpu.CR4_OSXSAVE;
        p.cpu.xcr0 = 3;
        p.cpu.r[Cpu.RDI] = AREA;
        request(p, 3);
        byte[] fill = new byte[640];
        Arrays.fill(fill, (byte) FILL);
        p.memory.write(AREA, fill, 0, fill.length);
        return p;
    }

    private static TestProcessor ready() {
        return ready(TestProcessor.longMode());
    }

    private static void request(TestProcessor p, long mask) {
        p.cpu.r[Cpu.RAX] = 0x7777_7777_0000_0000L | mask & 0xffff_ffffL;
        p.cpu.r[Cpu.RDX] = 0x7777_7777_0000_0000L | mask >>> 32;
    }

    /** Executes one instruction at the place for code of the privilege; its exception or -1. */
    private static int run(TestProcessor p, String code) {
        int length = code.replace(" ", "").length() / 2;
        long at = p.cpu.cpl == 3 ? TestProcessor.USER_CODE : TestProcessor.CODE;
        p.cpu.rip = at;
        p.code(code).step();
        if (p.handler() == NONE) {
            assertThat(p.cpu.rip).isEqualTo(at + length);
        }
        return p.handler();
    }

    /** Marks x87 with -1.0 in ST(0), SSE with a number in each register. */
    private static void use(Cpu cpu) {
        cpu.fpu.initialise();
        cpu.fpu.setStatusWord(7 << 11);
        cpu.fpu.valid = 0x80;
        cpu.fpu.significand[7] = 1L << 63;
        cpu.fpu.signExponent[7] = 0xbfff;
        for (int i = 0; i < 32; i++) {
            cpu.fpu.xmm[i] = 0x1111_0000_0000_0000L * (i + 1) | i;
        }
        cpu.fpu.setMxcsr(0x3f80);
    }

    private static void initial(Cpu cpu) {
        cpu.fpu.initialise();
        Arrays.fill(cpu.fpu.significand, 0);
        Arrays.fill(cpu.fpu.signExponent, 0);
        Arrays.fill(cpu.fpu.xmm, 0);
        cpu.fpu.setMxcsr(0x1f80);
    }

    private static boolean untouched(TestProcessor p, int from, int to) {
        for (int i = from; i < to; i++) {
            if (p.read(AREA + i, 1) != FILL) {
                return false;
            }
        }
        return true;
    }

    private static void header(TestProcessor p, long present, long format) {
        byte[] zeros = new byte[64];
        p.memory.write(AREA + HEADER, zeros, 0, 64);
        p.write(AREA + HEADER, 8, present);
        p.write(AREA + HEADER + 8, 8, format);
    }

    private static final long FILL64 = 0xa5a5_a5a5_a5a5_a5a5L;

    @Test
    void xsaveStoresTheImageOfFxsaveAndItsBits() {
        try (TestProcessor p = ready()) {
            use(p.cpu);
            assertThat(run(p, XSAVE)).isEqualTo(NONE);
            assertThat(p.read(AREA, 8)).isEqualTo(0x0000_0080_3800_037fL);
            assertThat(p.read(AREA + 32, 8)).isEqualTo(1L << 63);
            assertThat(p.read(AREA + 40, 2)).isEqualTo(0xbfff);
            assertThat(p.read(AREA + 24, 4)).isEqualTo(0x3f80);
            assertThat(p.read(AREA + 28, 4)).isEqualTo(0x2ffff);
            for (int i = 0; i < 32; i++) {
                assertThat(p.read(AREA + 160 + 8 * i, 8)).isEqualTo(p.cpu.fpu.xmm[i]);
            }
            assertThat(p.read(AREA + HEADER, 8)).isEqualTo(FILL64 | 3);
            assertThat(untouched(p, 416, 512)).as("left to software").isTrue();
            assertThat(untouched(p, 520, 640)).as("header and behind").isTrue();
            byte[] extended = new byte[416];
            p.memory.read(AREA, extended, 0, 416);
            p.cpu.cr4 |= Cpu.CR4_OSFXSR;
            assertThat(run(p, "0f ae 07" /* fxsave [rdi] */)).isEqualTo(NONE);
            byte[] legacy = new byte[416];
            p.memory.read(AREA, legacy, 0, 416);
            assertThat(extended).isEqualTo(legacy);
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 3, 1", "2, 3, 2", "3, 1, 1", "0, 3, 0", "0xfffffffffffffffc, 3, 0"})
    void onlyWhatMaskAndXcr0AskForIsStored(String mask, long xcr0, long stored) {
        for (String code : new String[] {XSAVE, XSAVEOPT}) {
            try (TestProcessor p = ready()) {
                use(p.cpu);
                p.cpu.xcr0 = xcr0;
                request(p, Long.parseUnsignedLong(mask.replace("0x", ""), 16));
                assertThat(run(p, code)).isEqualTo(NONE);
                boolean sse = (stored & 2) != 0;
                assertThat(untouched(p, 0, 24)).isEqualTo((stored & 1) == 0);
                assertThat(untouched(p, 32, 160)).isEqualTo((stored & 1) == 0);
                assertThat(untouched(p, 24, 32)).isEqualTo(!sse);
                assertThat(untouched(p, 160, 416)).isEqualTo(!sse);
                assertThat(p.read(AREA + HEADER, 8)).isEqualTo(FILL64 | stored);
            }
        }
    }

    @Test
    void aComponentInItsInitialStateClearsItsBit() {
        try (TestProcessor p = ready()) {
            initial(p.cpu);
            p.write(AREA + HEADER, 8, -1);
            assertThat(run(p, XSAVE)).isEqualTo(NONE);
            assertThat(p.read(AREA + HEADER, 8)).isEqualTo(~3L);
            assertThat(p.read(AREA, 8)).as("XSAVE stores it all the same").isEqualTo(0x37f);
            assertThat(p.read(AREA + 160, 8)).isZero();
        }
    }

    @Test
    void xsaveoptLeavesOutWhatIsInItsInitialStateButForMxcsr() {
        try (TestProcessor p = ready()) {
            initial(p.cpu);
            p.cpu.fpu.setMxcsr(0x1fa0);
            assertThat(run(p, XSAVEOPT)).isEqualTo(NONE);
            assertThat(untouched(p, 0, 24)).isTrue();
            assertThat(untouched(p, 32, 512)).isTrue();
            assertThat(p.read(AREA + 24, 8)).isEqualTo(0x2_ffff_0000_1fa0L);
            assertThat(p.read(AREA + HEADER, 8)).isEqualTo(FILL64 & ~3L);
            p.cpu.fpu.xmm[9] = 1;
            assertThat(run(p, XSAVEOPT)).isEqualTo(NONE);
            assertThat(p.read(AREA + 160 + 72, 8)).isEqualTo(1);
            assertThat(untouched(p, 0, 24)).isTrue();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {XSAVEC, XSAVES})
    void theCompactedFormsWriteBothWordsOfTheHeader(String code) {
        try (TestProcessor p = ready()) {
            use(p.cpu);
            request(p, -1);
            assertThat(run(p, code)).isEqualTo(NONE);
            assertThat(p.read(AREA + HEADER, 8)).isEqualTo(3);
            assertThat(p.read(AREA + HEADER + 8, 8)).isEqualTo(COMPACTED | 3);
            assertThat(p.read(AREA, 8)).isEqualTo(0x0000_0080_3800_037fL);
            assertThat(p.read(AREA + 160 + 8 * 31, 8)).isEqualTo(p.cpu.fpu.xmm[31]);
            assertThat(untouched(p, 416, 512)).isTrue();
            assertThat(untouched(p, 528, 640)).isTrue();
        }
        try (TestProcessor p = ready()) {
            use(p.cpu);
            request(p, 1);
            assertThat(run(p, code)).isEqualTo(NONE);
            assertThat(p.read(AREA + HEADER, 8)).isEqualTo(1);
            assertThat(p.read(AREA + HEADER + 8, 8)).isEqualTo(COMPACTED | 1);
            assertThat(untouched(p, 24, 32)).isTrue();
            assertThat(untouched(p, 160, 512)).isTrue();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {XSAVEC, XSAVES})
    void theCompactedFormsLeaveOutInitialState(String code) {
        try (TestProcessor p = ready()) {
            initial(p.cpu);
            assertThat(run(p, code)).isEqualTo(NONE);
            assertThat(untouched(p, 0, 512)).isTrue();
            assertThat(p.read(AREA + HEADER, 8)).isZero();
            assertThat(p.read(AREA + HEADER + 8, 8)).isEqualTo(COMPACTED | 3);
            p.cpu.fpu.setMxcsr(0x1f81); // of the SSE component in these forms
            assertThat(run(p, code)).isEqualTo(NONE);
            assertThat(p.read(AREA + HEADER, 8)).isEqualTo(2);
            assertThat(p.read(AREA + 24, 4)).isEqualTo(0x1f81);
            assertThat(p.read(AREA + 160, 8)).isZero();
            assertThat(untouched(p, 0, 24)).isTrue();
        }
    }

    static Stream<Arguments> pairs() {
        return Stream.of(
                arguments(XSAVE, XRSTOR, false),
                arguments(XSAVEOPT, XRSTOR, false),
                arguments(XSAVEC, XRSTOR, true),
                arguments(XSAVES, XRSTOR, true),
                arguments(XSAVEC, XRSTORS, true),
                arguments(XSAVES, XRSTORS, true));
    }

    /** Whatever was left out in saving comes back as the initial state. */
    @ParameterizedTest
    @MethodSource("pairs")
    void savedStateComesBack(String save, String restore, boolean compacted) {
        for (int used = 0; used < 4; used++) {
            try (TestProcessor p = ready()) {
                Cpu cpu = p.cpu;
                use(cpu);
                if ((used & 1) == 0) {
                    cpu.fpu.initialise();
                    Arrays.fill(cpu.fpu.significand, 0);
                    Arrays.fill(cpu.fpu.signExponent, 0);
                }
                if ((used & 2) == 0) {
                    Arrays.fill(cpu.fpu.xmm, 0);
                    cpu.fpu.setMxcsr(0x1f80);
                }
                header(p, 0, 0);
                long[] significand = cpu.fpu.significand.clone();
                long[] xmm = cpu.fpu.xmm.clone();
                int status = cpu.fpu.statusWord();
                int mxcsr = cpu.fpu.mxcsr();
                assertThat(run(p, save)).isEqualTo(NONE);
                assertThat(p.read(AREA + HEADER, 8)).isEqualTo(used);
                cpu.fpu.setControl(0x27e);
                cpu.fpu.setStatusWord(0x1002);
                cpu.fpu.opcode = 5;
                Arrays.fill(cpu.fpu.significand, 3);
                Arrays.fill(cpu.fpu.xmm, 0x99);
                cpu.fpu.setMxcsr(0x1fbf);
                request(p, -1);
                assertThat(run(p, restore)).isEqualTo(NONE);
                assertThat(cpu.fpu.significand).isEqualTo(significand);
                assertThat(cpu.fpu.xmm).isEqualTo(xmm);
                assertThat(cpu.fpu.statusWord()).isEqualTo(status);
                assertThat(cpu.fpu.control()).isEqualTo(0x37f);
                assertThat(cpu.fpu.opcode).isZero();
                assertThat(cpu.fpu.mxcsr()).isEqualTo(mxcsr);
                assertThat(cpu.fpu.componentsInUse(true)).isEqualTo(used);
            }
        }
    }

    @Test
    void restoringTouchesOnlyWhatIsRequested() {
        try (TestProcessor p = ready()) {
            use(p.cpu);
            header(p, 3, 0);
            p.write(AREA + 24, 4, 0x1f80);
            long[] xmm = p.cpu.fpu.xmm.clone();
            request(p, 1);
            assertThat(run(p, XRSTOR)).isEqualTo(NONE);
            assertThat(p.cpu.fpu.xmm).isEqualTo(xmm);
            assertThat(p.cpu.fpu.mxcsr()).isEqualTo(0x3f80);
            assertThat(p.cpu.fpu.significand[0]).isEqualTo(FILL64);
            use(p.cpu);
            request(p, 2);
            assertThat(run(p, XRSTOR)).isEqualTo(NONE);
            assertThat(p.cpu.fpu.significand[7]).isEqualTo(1L << 63);
            assertThat(p.cpu.fpu.xmm).containsOnly(FILL64);
            assertThat(p.cpu.fpu.mxcsr()).isEqualTo(0x1f80);
        }
    }

    /** §11.5.9: MXCSR has no initial state in the standard form. */
    @Test
    void mxcsrOfInitialSseStateDependsOnTheForm() {
        try (TestProcessor p = ready()) {
            use(p.cpu);
            p.write(AREA + 24, 4, 0x1f85);
            header(p, 0, 0);
            assertThat(run(p, XRSTOR)).isEqualTo(NONE);
            assertThat(p.cpu.fpu.mxcsr()).isEqualTo(0x1f85);
            assertThat(p.cpu.fpu.xmm).containsOnly(0);
            use(p.cpu);
            header(p, 0, COMPACTED | 3);
            assertThat(run(p, XRSTOR)).isEqualTo(NONE);
            assertThat(p.cpu.fpu.mxcsr()).isEqualTo(0x1f80);
            use(p.cpu);
            header(p, 0, COMPACTED); // not in the area at all
            assertThat(run(p, XRSTORS)).isEqualTo(NONE);
            assertThat(p.cpu.fpu.componentsInUse(true)).isZero();
        }
    }

    @ParameterizedTest
    @CsvSource({
        // form, MXCSR in memory, XSTATE_BV, mask, vector
        "0, 0x40000, 3, 3, 13",
        "0, 0x40000, 0, 2, 13", // looked at even if the registers are initialised
        "0, 0x40000, 3, 1, -1",
        "0, 0x2ffff, 3, 3, -1",
        "0x8000000000000003, 0x40000, 2, 2, 13",
        "0x8000000000000003, 0x40000, 1, 3, -1",
        "0x8000000000000003, 0x80000000, 3, 1, -1",
    })
    void reservedBitsOfMxcsrRaiseGp(
            String format, String mxcsr, long present, long mask, int vector) {
        try (TestProcessor p = ready()) {
            use(p.cpu);
            p.write(AREA + 24, 4, Long.decode(mxcsr));
            header(p, present, Long.parseUnsignedLong(format.replace("0x", ""), 16));
            request(p, mask);
            assertThat(run(p, XRSTOR)).isEqualTo(vector);
            if (vector != NONE) {
                assertThat(p.cpu.fpu.significand[7]).isEqualTo(1L << 63);
                assertThat(p.cpu.fpu.mxcsr()).isEqualTo(0x3f80);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        // XSTATE_BV, XCOMP_BV, a header byte set besides, XCR0, XRSTOR's vector, XRSTORS's vector
        "3, 0, 0, 3, -1, 13",
        "4, 0, 0, 3, 13, 13",
        "2, 0, 0, 1, 13, 13",
        "8000000000000000, 0, 0, 3, 13, 13",
        "3, 1, 0, 3, 13, 13",
        "3, 0, 16, 3, 13, 13",
        "3, 0, 23, 3, 13, 13",
        "3, 0, 24, 3, -1, 13", // bytes 24 to 63 are looked at in the compacted form only
        "3, 0, 63, 3, -1, 13",
        "3, 8000000000000003, 0, 3, -1, -1",
        "0, 8000000000000000, 0, 3, -1, -1",
        "1, 8000000000000003, 0, 3, -1, -1",
        "3, 8000000000000001, 0, 3, 13, 13",
        "8000000000000003, 8000000000000003, 0, 3, 13, 13",
        "3, 8000000000000007, 0, 3, 13, 13",
        "1, 8000000000000003, 0, 1, 13, 13",
        "3, c000000000000003, 0, 3, 13, 13",
        "3, 8000000000000003, 16, 3, 13, 13",
        "3, 8000000000000003, 24, 3, 13, 13",
        "3, 8000000000000003, 63, 3, 13, 13",
    })
    void theHeaderIsCheckedFirst(
            String present, String format, int extra, long xcr0, int user, int supervisor) {
        for (boolean xrstors : new boolean[] {false, true}) {
            try (TestProcessor p = ready()) {
                use(p.cpu);
                p.cpu.xcr0 = xcr0;
                p.write(AREA + 24, 4, 0x1f80);
                header(p, Long.parseUnsignedLong(present, 16), Long.parseUnsignedLong(format, 16));
                if (extra != 0) {
                    p.write(AREA + HEADER + extra, 1, 0x80);
                }
                int vector = xrstors ? supervisor : user;
                assertThat(run(p, xrstors ? XRSTORS : XRSTOR)).isEqualTo(vector);
                assertThat(p.cpu.fpu.mxcsr() == 0x3f80).isEqualTo(vector != NONE || xcr0 == 1);
            }
        }
    }

    @Test
    void xrstorKnowsTheCompactedFormOnlyBesideXsavec() {
        for (String model : new String[] {"epyc-milan", "epyc-milan,-xsavec"}) {
            try (TestProcessor p = ready()) {
                p.cpu.model = CpuModel.parse(model);
                header(p, 0, COMPACTED | 3);
                int vector = model.contains("-") && model.contains(",") ? GuestException.GP : NONE;
                assertThat(run(p, XRSTOR)).isEqualTo(vector);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {XSAVE, XRSTOR, XSAVEOPT, XSAVEC, XSAVES, XRSTORS})
    void whichExceptionComesFirst(String code) {
        boolean supervisor = code.equals(XSAVES) || code.equals(XRSTORS);
        try (TestProcessor p = ready()) {
            header(p, 0, supervisor ? COMPACTED : 0);
            p.write(AREA + 24, 4, 0x1f80);
            p.cpu.r[Cpu.RDI] = AREA + 16;
            assertThat(run(p, code)).as("misaligned").isEqualTo(GuestException.GP);
            p.cpu.r[Cpu.RDI] = AREA;
            assertThat(run(p, "f0" + code)).as("LOCK").isEqualTo(GuestException.UD);
        }
        try (TestProcessor p = ready()) {
            p.cpu.r[Cpu.RDI] = 0x8000_0000_0000_0000L;
            p.cpu.cr0 |= Cpu.CR0_TS;
            assertThat(run(p, code)).isEqualTo(GuestException.NM);
        }
        try (TestProcessor p = ready()) {
            p.cpu.cr0 |= Cpu.CR0_TS;
            p.cpu.cr4 &= ~Cpu.CR4_OSXSAVE;
            assertThat(run(p, code)).isEqualTo(GuestException.UD);
        }
        try (TestProcessor p = ready()) {
            header(p, 0, supervisor ? COMPACTED : 0);
            p.write(AREA + 24, 4, 0x1f80);
            p.cpu.cr0 |= Cpu.CR0_EM; // says nothing of these instructions
            assertThat(run(p, code)).isEqualTo(NONE);
        }
        try (TestProcessor p = ready().user()) {
            header(p, 0, supervisor ? COMPACTED : 0);
            p.write(AREA + 24, 4, 0x1f80);
            assertThat(run(p, code)).isEqualTo(supervisor ? GuestException.GP : NONE);
        }
        try (TestProcessor p = ready().user()) {
            p.cpu.cr0 |= Cpu.CR0_TS;
            assertThat(run(p, code)).isEqualTo(GuestException.NM);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {XSAVE, XRSTOR, XSAVEOPT, XSAVEC, XSAVES, XRSTORS})
    void addressesAreCheckedToTheLastByte(String code) {
        try (TestProcessor p = ready()) {
            p.cpu.r[Cpu.RDI] = 0x7fff_ffff_fe00L; // its last 64 bytes are not canonical
            assertThat(run(p, code)).isEqualTo(GuestException.GP);
            p.cpu.r[Cpu.RSP] = 0x7fff_ffff_fe00L;
            String atRsp = code.substring(0, 6) + modrm(code, 4) + "24";
            p.cpu.rip = TestProcessor.CODE;
            p.gate(GuestException.SS, TestProcessor.CODE64, 0x5000 + 16 * 12, 0x8e);
            p.write(TestProcessor.IDT + 16 * 12 + 4, 1, 1); // IST1
            assertThat(run(p, atRsp)).isEqualTo(GuestException.SS);
        }
        try (TestProcessor p = ready(TestProcessor.protectedMode())) {
            p.cpu.segLimit[Cpu.DS] = AREA + 574;
            header(p, 0, COMPACTED);
            assertThat(run(p, code)).isEqualTo(GuestException.GP);
            p.cpu.segLimit[Cpu.DS] = AREA + 575;
            header(p, 0, code.equals(XRSTOR) || code.equals(XRSTORS) ? COMPACTED : 0);
            assertThat(run(p, code)).isEqualTo(NONE);
        }
    }

    private static String modrm(String code, int rm) {
        int value = Integer.parseInt(code.substring(6), 16) & ~7 | rm;
        return "%02x".formatted(value);
    }

    /** Neither the area nor a register changes if the area's second page is missing. */
    @ParameterizedTest
    @ValueSource(strings = {XSAVE, XRSTOR, XSAVEOPT, XSAVEC, XSAVES, XRSTORS})
    void aPageFaultInTheSecondPageLeavesEverything(String code) {
        try (TestProcessor p = ready()) {
            long directory = TestProcessor.TABLES + 0x2000;
            long table = TestProcessor.TABLES + 0x3000;
            p.write(TestProcessor.TABLES + 0x1000, 8, directory | 7);
            p.write(directory, 8, table | 7);
            for (int i = 0; i < 512; i++) {
                p.write(table + 8 * i, 8, (long) i << 12 | 7);
            }
            boolean reads = code.equals(XRSTOR) || code.equals(XRSTORS);
            long page = AREA + 0x1000;
            p.write(table + 8 * (page >> 12), 8, page | (reads ? 6 : 5)); // absent; read-only
            use(p.cpu);
            long[] xmm = p.cpu.fpu.xmm.clone();
            long area = page - 512;
            byte[] fill = new byte[576];
            Arrays.fill(fill, (byte) FILL);
            p.memory.write(area, fill, 0, 576);
            p.cpu.r[Cpu.RDI] = area;
            assertThat(run(p, code)).isEqualTo(GuestException.PF);
            assertThat(p.cpu.cr2).isEqualTo(page);
            assertThat(p.stack64(0)).as("error code").isEqualTo(reads ? 0 : 3);
            byte[] after = new byte[576];
            p.memory.read(area, after, 0, 576);
            assertThat(after).isEqualTo(fill);
            assertThat(p.cpu.fpu.xmm).isEqualTo(xmm);
            assertThat(p.cpu.fpu.mxcsr()).isEqualTo(0x3f80);
        }
    }

    @Test
    void outside64BitModeXmm8AndAboveStay() {
        try (TestProcessor p = ready(TestProcessor.protectedMode())) {
            use(p.cpu);
            assertThat(run(p, XSAVE)).isEqualTo(NONE);
            assertThat(p.read(AREA + 160 + 8 * 15, 8)).isEqualTo(p.cpu.fpu.xmm[15]);
            assertThat(untouched(p, 288, 512)).isTrue();
            long high = p.cpu.fpu.xmm[16];
            header(p, 0, 0);
            assertThat(run(p, XRSTOR)).isEqualTo(NONE);
            assertThat(p.cpu.fpu.xmm[15]).isZero();
            assertThat(p.cpu.fpu.xmm[16]).isEqualTo(high);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {XSAVE, XSAVEOPT, XSAVEC, XSAVES})
    void the64BitFormsKeepWholePointers(String code) {
        try (TestProcessor p = ready()) {
            use(p.cpu);
            p.cpu.fpu.setControl(0x37e);
            p.cpu.fpu.setStatusWord(1); // pending: otherwise pointers are stored as zeros
            p.cpu.fpu.instructionPointer = 0x7fff_1234_5678L;
            p.cpu.fpu.instructionSelector = 0x33;
            p.cpu.fpu.dataPointer = 0x7ffe_8765_4321L;
            p.cpu.fpu.dataSelector = 0x2b;
            assertThat(run(p, "48" + code)).isEqualTo(NONE);
            assertThat(p.read(AREA + 8, 8)).isEqualTo(0x7fff_1234_5678L);
            assertThat(p.read(AREA + 16, 8)).isEqualTo(0x7ffe_8765_4321L);
            assertThat(run(p, code)).isEqualTo(NONE);
            assertThat(p.read(AREA + 8, 8)).isEqualTo(0x33_1234_5678L);
            assertThat(p.read(AREA + 16, 8)).isEqualTo(0x2b_8765_4321L);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {XRSTOR, XRSTORS})
    void the64BitFormsRestoreWholePointers(String code) {
        try (TestProcessor p = ready()) {
            p.write(AREA, 8, 0x37f);
            p.write(AREA + 8, 8, 0x7fff_1234_5678L);
            p.write(AREA + 16, 8, 0x2b_8765_4321L);
            header(p, 1, COMPACTED | 1);
            request(p, 1);
            assertThat(run(p, "48" + code)).isEqualTo(NONE);
            assertThat(p.cpu.fpu.instructionPointer).isEqualTo(0x7fff_1234_5678L);
            assertThat(p.cpu.fpu.instructionSelector).isZero();
            assertThat(run(p, code)).isEqualTo(NONE);
            assertThat(p.cpu.fpu.instructionPointer).isEqualTo(0x1234_5678L);
            assertThat(p.cpu.fpu.instructionSelector).isEqualTo(0x7fff);
            assertThat(p.cpu.fpu.dataPointer).isEqualTo(0x8765_4321L);
            assertThat(p.cpu.fpu.dataSelector).isEqualTo(0x2b);
        }
    }

    @Test
    void theyNeedNoOsfxsr() {
        try (TestProcessor p = ready()) {
            assertThat(p.cpu.cr4 & Cpu.CR4_OSFXSR).isZero();
            use(p.cpu);
            assertThat(run(p, XSAVE)).isEqualTo(NONE);
            assertThat(p.read(AREA + 160, 8)).isEqualTo(p.cpu.fpu.xmm[0]);
        }
    }
}
