package dev.pacifica.emulator.fp;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import java.util.HexFormat;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * When the units may be used, which exception comes first, and the image formats that user mode on
 * silicon cannot show.
 */
class FpRulesTest {
    private static final int NO_FAULT = -1;
    private static final long DATA = 0x5000;

    private final FpVectorRunner runner = new FpVectorRunner();
    private final Cpu cpu = runner.cpu();

    @AfterEach
    void close() {
        runner.close();
    }

    private int run(String code) {
        return runner.run(HexFormat.of().parseHex(code.replace(" ", "")), 0x1_2345);
    }

    private static final String FADD = "D8 C1";
    private static final String FWAIT = "9B";
    private static final String PADDB_MMX = "0F FC C1";
    private static final String PSHUFW = "0F 70 C1 00";
    private static final String ADDPS = "0F 58 C1";
    private static final String ADDPS_RSI = "0F 58 06";
    private static final String LDMXCSR_RSI = "0F AE 16";
    private static final String FXSAVE_RSI = "0F AE 06";
    private static final String FXRSTOR_RSI = "0F AE 0E";

    /** APM Vol 2 §3.1.1 (EM, TS, MP) and §3.1.3 (OSFXSR). */
    @Test
    void controlRegistersForbidTheUnits() {
        long cr0 = Cpu.CR0_PE | Cpu.CR0_NE;
        cpu.cr0 = cr0 | Cpu.CR0_EM;
        assertThat(run(FADD)).isEqualTo(GuestException.NM);
        assertThat(run(FWAIT)).isEqualTo(NO_FAULT);
        assertThat(run(PADDB_MMX)).isEqualTo(GuestException.UD);
        assertThat(run(ADDPS)).isEqualTo(GuestException.UD);
        assertThat(run(FXSAVE_RSI)).isEqualTo(GuestException.NM);
        cpu.cr0 = cr0 | Cpu.CR0_TS;
        assertThat(run(FADD)).isEqualTo(GuestException.NM);
        assertThat(run(FWAIT)).isEqualTo(NO_FAULT);
        assertThat(run(PADDB_MMX)).isEqualTo(GuestException.NM);
        assertThat(run(ADDPS)).isEqualTo(GuestException.NM);
        assertThat(run(LDMXCSR_RSI)).isEqualTo(GuestException.NM);
        cpu.cr0 = cr0 | Cpu.CR0_TS | Cpu.CR0_MP;
        assertThat(run(FWAIT)).isEqualTo(GuestException.NM);
        cpu.cr0 = cr0 | Cpu.CR0_MP;
        assertThat(run(FWAIT)).isEqualTo(NO_FAULT);
        cpu.cr4 = 0;
        assertThat(run(ADDPS)).isEqualTo(GuestException.UD);
        assertThat(run(LDMXCSR_RSI)).isEqualTo(GuestException.UD);
        assertThat(run(PADDB_MMX)).isEqualTo(NO_FAULT);
        assertThat(run(PSHUFW)).isEqualTo(NO_FAULT);
    }

    @Test
    void unmaskedSimdExceptionWithoutOsxmmexcptIsInvalidOpcode() {
        cpu.fpu.setMxcsr(0x1F80 & ~0x80);
        cpu.fpu.xmm[0] = 0x7F800001_00000000L;
        cpu.fpu.xmm[2] = 0x3F800000_3F800000L;
        assertThat(run(ADDPS)).isEqualTo(GuestException.XM);
        assertThat(cpu.fpu.mxcsr()).isEqualTo(0x1F01);
        assertThat(cpu.fpu.xmm[0]).isEqualTo(0x7F800001_00000000L);
        cpu.cr4 = Cpu.CR4_OSFXSR;
        assertThat(run(ADDPS)).isEqualTo(GuestException.UD);
    }

    @Test
    void pendingExceptionIsRaisedByTheNextWaitingInstruction() {
        cpu.fpu.initialise();
        cpu.fpu.setControl(0x37E);
        assertThat(run("D9 EE")).isEqualTo(NO_FAULT); // FLDZ
        assertThat(run("D8 F0")).isEqualTo(NO_FAULT); // FDIV ST0,ST0: invalid
        assertThat(cpu.fpu.statusWord()).isEqualTo(0xB881);
        assertThat(run("DF E0")).isEqualTo(NO_FAULT); // FNSTSW AX
        assertThat(cpu.r[Cpu.RAX] & 0xFFFF).isEqualTo(0xB881);
        assertThat(run(ADDPS)).isEqualTo(NO_FAULT);
        assertThat(run(FXSAVE_RSI)).isEqualTo(NO_FAULT);
        assertThat(run(FADD)).isEqualTo(GuestException.MF);
        assertThat(run(FWAIT)).isEqualTo(GuestException.MF);
        assertThat(run(PADDB_MMX)).isEqualTo(GuestException.MF);
        assertThat(run("DB E2")).isEqualTo(NO_FAULT); // FNCLEX
        assertThat(run(FWAIT)).isEqualTo(NO_FAULT);
    }

    /** With CR0.NE clear the exception leaves by the FERR line instead (APM Vol 2 §3.1.1). */
    @Test
    void withoutNumericErrorBitTheLineIsRaised() {
        int[] raised = {0};
        cpu.fpu.setErrorLine(() -> raised[0]++);
        cpu.cr0 = Cpu.CR0_PE;
        cpu.fpu.initialise();
        cpu.fpu.setControl(0x37E);
        run("D9 EE");
        assertThat(raised[0]).isZero();
        assertThat(run("D8 F0")).isEqualTo(NO_FAULT);
        assertThat(raised[0]).isEqualTo(1);
    }

    @Test
    void misalignedOperandsFaultUnlessAllowed() {
        cpu.r[Cpu.RSI] = DATA + 4;
        assertThat(run(ADDPS_RSI)).isEqualTo(GuestException.GP);
        assertThat(run("66 0F 6F 06")).isEqualTo(GuestException.GP); // MOVDQA
        assertThat(run("F3 0F 6F 06")).isEqualTo(NO_FAULT); // MOVDQU
        assertThat(run(FXSAVE_RSI)).isEqualTo(GuestException.GP);
        cpu.fpu.setMxcsr(0x1F80 | FpuState.MXCSR_MM);
        assertThat(run(ADDPS_RSI)).isEqualTo(NO_FAULT);
        assertThat(run("66 0F 6F 06")).isEqualTo(GuestException.GP);
    }

    @Test
    void reservedMxcsrBitsFaultAndLeaveEverything() {
        cpu.r[Cpu.RSI] = DATA;
        runner.memory().write(DATA, 4, 0x41F80);
        assertThat(run(LDMXCSR_RSI)).isEqualTo(GuestException.GP);
        cpu.fpu.initialise();
        run("D9 E8");
        runner.memory().write(DATA + 24, 4, 0x8000_0000L);
        assertThat(run(FXRSTOR_RSI)).isEqualTo(GuestException.GP);
        assertThat(cpu.fpu.statusWord()).isEqualTo(0x3800);
        assertThat(cpu.fpu.mxcsr()).isEqualTo(0x1F80);
    }

    /** The 14 and 28 byte formats of real mode hold linear addresses (APM Vol 2 §11.4.3). */
    @Test
    void realModeEnvironmentHoldsLinearAddresses() {
        FpuState f = cpu.fpu;
        f.initialise();
        f.instructionPointer = 0x1234;
        f.instructionSelector = 0xF000;
        f.dataPointer = 0x9ABC;
        f.dataSelector = 0x4000;
        f.opcode = 0x5D1;
        cpu.cr0 = Cpu.CR0_NE;
        cpu.updateMode();
        cpu.mode64 = true;
        cpu.protectedMode = false;
        cpu.r[Cpu.RSI] = DATA;
        assertThat(run("66 D9 36")).isEqualTo(NO_FAULT);
        assertThat(words(7)).containsExactly(0x37F, 0, 0xFFFF, 0x1234, 0xF5D1, 0x9ABC, 0x4000);
        assertThat(run("D9 36")).isEqualTo(NO_FAULT);
        assertThat(words(14))
                .containsExactly(
                        0x37F, 0xFFFF, 0, 0xFFFF, 0xFFFF, 0xFFFF, 0x1234, 0xFFFF, 0xF5D1, 0, 0x9ABC,
                        0xFFFF, 0x4000, 0);
    }

    private int[] words(int count) {
        int[] words = new int[count];
        for (int i = 0; i < count; i++) {
            words[i] = (int) runner.memory().read(DATA + 2L * i, 2);
        }
        return words;
    }

    @Test
    void lastInstructionAndOperandAreRecorded() {
        cpu.fpu.initialise();
        cpu.r[Cpu.RSI] = DATA;
        cpu.segSelector[Cpu.DS] = 0x18;
        assertThat(run("D9 46 10")).isEqualTo(NO_FAULT); // FLD dword [rsi+16]
        assertThat(cpu.fpu.instructionPointer).isEqualTo(0x1_2345);
        assertThat(cpu.fpu.instructionSelector).isEqualTo(0x33);
        assertThat(cpu.fpu.dataPointer).isEqualTo(DATA + 16);
        assertThat(cpu.fpu.dataSelector).isEqualTo(0x18);
        assertThat(cpu.fpu.opcode).isEqualTo(0x146);
        run("DB E2");
        run("D9 7E 20"); // FNSTCW: a control instruction leaves the pointers alone
        assertThat(cpu.fpu.opcode).isEqualTo(0x146);
    }

    @Test
    void fxsave64KeepsWholePointersOfAPendingException() {
        cpu.fpu.initialise();
        cpu.fpu.setControl(0x37E);
        runner.run(HexFormat.of().parseHex("D9EE"), 0x7FFF_1234_5678L);
        runner.run(HexFormat.of().parseHex("D8F0"), 0x7FFF_1234_5678L);
        cpu.r[Cpu.RSI] = DATA;
        assertThat(run("48 0F AE 06")).isEqualTo(NO_FAULT);
        assertThat(runner.memory().read64(DATA + 8)).isEqualTo(0x7FFF_1234_5678L);
        assertThat(run("0F AE 06")).isEqualTo(NO_FAULT);
        assertThat(runner.memory().read64(DATA + 8)).isEqualTo(0x33_1234_5678L);
    }

    /** §11.5.10, with and without CPUID's RstrFpErrPtrs. */
    @ParameterizedTest
    @CsvSource({"epyc-milan, true", "'epyc-milan,-xsaveerptr', false"})
    void errorPointersWithoutAPendingException(String model, boolean always) {
        cpu.model = CpuModel.parse(model);
        cpu.r[Cpu.RSI] = DATA;
        cpu.fpu.initialise();
        cpu.fpu.opcode = 0x5D1;
        cpu.fpu.instructionPointer = 0x1234;
        cpu.fpu.dataPointer = 0x5678;
        for (int i = 0; i < 24; i += 8) {
            runner.memory().write64(DATA + i, -1);
        }
        assertThat(run(FXSAVE_RSI)).isEqualTo(NO_FAULT);
        assertThat(runner.memory().read64(DATA))
                .isEqualTo(always ? 0x37FL : 0xFFFF_0000_0000_037FL);
        assertThat(runner.memory().read64(DATA + 8)).isEqualTo(always ? 0 : -1);
        assertThat(runner.memory().read64(DATA + 16)).isEqualTo(always ? 0 : -1);
        runner.memory().write64(DATA, 0x0111_0000_0000_037FL);
        runner.memory().write64(DATA + 8, 0x33_0000_0042L);
        assertThat(run(FXRSTOR_RSI)).isEqualTo(NO_FAULT);
        assertThat(cpu.fpu.opcode).isEqualTo(always ? 0x111 : 0x5D1);
        assertThat(cpu.fpu.instructionPointer).isEqualTo(always ? 0x42 : 0x1234);
        runner.memory().write64(DATA, 0x0111_0000_0001_037EL); // #IA is pending
        assertThat(run(FXRSTOR_RSI)).isEqualTo(NO_FAULT);
        assertThat(cpu.fpu.opcode).isEqualTo(0x111);
        assertThat(cpu.fpu.instructionPointer).isEqualTo(0x42);
        runner.memory().write64(DATA + 8, -1);
        assertThat(run(FXSAVE_RSI)).isEqualTo(NO_FAULT);
        assertThat(runner.memory().read64(DATA + 8)).isEqualTo(0x33_0000_0042L);
        assertThat(runner.memory().read64(DATA)).isEqualTo(0x0111_0000_8081_037EL);
    }

    @Test
    void higherXmmRegistersAreSavedIn64BitModeOnly() {
        cpu.r[Cpu.RSI] = DATA;
        cpu.fpu.xmm[30] = 0x1122334455667788L;
        run(FXSAVE_RSI);
        assertThat(runner.memory().read64(DATA + 160 + 15 * 16)).isEqualTo(0x1122334455667788L);
        runner.memory().write64(DATA + 160 + 15 * 16, 7);
        cpu.mode64 = false;
        run(FXSAVE_RSI);
        assertThat(runner.memory().read64(DATA + 160 + 15 * 16)).isEqualTo(7);
    }

    @Test
    void stateSurvivesSavingAndLoading() {
        FpuState f = cpu.fpu;
        f.setControl(0x27E);
        f.setStatusWord(0x5921);
        f.valid = 0x5A;
        f.opcode = 0x123;
        f.instructionPointer = 0xFFFF_8000_1234_5678L;
        f.dataSelector = 0x2B;
        f.setMxcsr(0x9FC0);
        for (int i = 0; i < 8; i++) {
            f.significand[i] = i * 0x0123_4567_89AB_CDEFL;
            f.signExponent[i] = 0xFFF0 + i;
            f.xmm[4 * i + 3] = ~f.significand[i];
        }
        BinaryStateWriter first = new BinaryStateWriter();
        first.section("fpu");
        f.save(first);
        FpuState other = new FpuState();
        BinaryStateReader in = new BinaryStateReader(first.toByteArray());
        in.section("fpu");
        other.load(in);
        BinaryStateWriter second = new BinaryStateWriter();
        second.section("fpu");
        other.save(second);
        assertThat(second.toByteArray()).isEqualTo(first.toByteArray());
        assertThat(other.statusWord()).isEqualTo(f.statusWord());
        assertThat(other.signExponent).isEqualTo(f.signExponent);
        assertThat(other.xmm).isEqualTo(f.xmm);
        assertThat(other.mxcsr()).isEqualTo(0x9FC0);
    }

    /**
     * Whatever the bytes and register contents: a result or a guest exception, never a Java
     * exception.
     */
    @Test
    void randomInstructionsNeverEscape() {
        cpu.cr4 |= Cpu.CR4_OSXSAVE;
        cpu.xcr0 = 3;
        SplittableRandom random = new SplittableRandom(2026);
        int[] prefixes = {0x66, 0xF2, 0xF3, 0x48, 0x4F};
        int executed = 0;
        for (int n = 0; n < 90_000; n++) {
            byte[] code = new byte[12];
            int at = 0;
            while (random.nextInt(3) == 0 && at < 2) {
                code[at++] = (byte) prefixes[random.nextInt(prefixes.length)];
            }
            if (random.nextInt(3) == 0) {
                code[at++] = (byte) (0xD8 + random.nextInt(8));
            } else {
                code[at++] = 0x0F;
                int map = random.nextInt(4);
                if (map < 2) {
                    code[at++] = (byte) (map == 0 ? 0x38 : 0x3A);
                }
            }
            while (at < code.length) {
                code[at++] = (byte) random.nextInt();
            }
            for (int i = 0; i < 8; i++) {
                cpu.fpu.significand[i] = random.nextLong() << random.nextInt(64);
                cpu.fpu.signExponent[i] = random.nextInt(0x10000) >> random.nextInt(3) * 7;
                cpu.r[i] = random.nextInt(0x3FFF_0000);
                cpu.fpu.xmm[2 * i] = random.nextLong();
            }
            if (random.nextInt(4) == 0) {
                cpu.fpu.initialise();
                cpu.fpu.setControl(random.nextInt());
                cpu.fpu.valid = random.nextInt(0x100);
                cpu.fpu.setMxcsr(random.nextInt());
            }
            executed += runner.runIfHandled(code) ? 1 : 0;
        }
        assertThat(executed).isGreaterThan(30_000);
    }
}
