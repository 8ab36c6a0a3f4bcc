package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Single step, breakpoints, general detect and their interplay with shadows (APM Vol 2 §13.1). */
class DebugTest {
    private static final long BS = 1 << 14;
    private static final long BD = 1 << 13;
    private static final String NOP = "90";

    private static void arm(TestProcessor p, int number, long address, int kind, int length) {
        p.cpu.dr[number] = address;
        p.cpu.dr[7] |= 1L << 2 * number | (long) (length << 2 | kind) << 16 + 4 * number;
        p.cpu.updateMode();
    }

    @Test
    void trapFlagStepsAfterTheNextInstruction() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.r[Cpu.RSP] = TestProcessor.STACK - 4;
            p.write(TestProcessor.STACK - 4, 4, Cpu.TF | 2);
            p.code("9d" /* popf */ + NOP + NOP);
            p.step(2);
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 2); // popf, nop
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.DB);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.CODE + 2);
            assertThat(p.stack32(2)).isEqualTo(Cpu.TF | 2);
            assertThat(p.cpu.dr[6] & BS).isEqualTo(BS);
            assertThat(p.cpu.rflags() & Cpu.TF).isZero();
        }
    }

    @Test
    void softwareInterruptIsNotStepped() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.setRflags(Cpu.TF | 2);
            p.code("cd 30").code(TestProcessor.HANDLERS + 0x300, NOP);
            p.step(2);
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.HANDLERS + 0x301);
            assertThat(p.cpu.dr[6] & BS).isZero();
        }
    }

    @Test
    void movSsHoldsBackTheStepTrap() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.setRflags(Cpu.TF | 2);
            p.cpu.r[Cpu.RAX] = TestProcessor.DATA0;
            p.code("8e d0" /* mov ss, ax */ + NOP);
            p.step(2);
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 3);
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.DB);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.CODE + 3);
        }
    }

    @Test
    void instructionBreakpointIsAFaultThatRfSuppresses() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.code(NOP + NOP + NOP);
            arm(p, 0, TestProcessor.CODE + 1, 0, 0);
            p.step(2);
            assertThat(p.handler()).isEqualTo(GuestException.DB);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.CODE + 1);
            assertThat(p.stack32(2)).isEqualTo(2); // RF is not set for instruction breakpoints
            assertThat(p.cpu.dr[6] & 15).isEqualTo(1);
            // the handler sets RF in the image and returns: no second fault, and RF is gone
            // afterwards
            p.write(p.cpu.r[Cpu.RSP] + 8, 4, Cpu.RF | 2);
            p.code("cf").step();
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 1);
            assertThat(p.cpu.rflags() & Cpu.RF).isNotZero();
            p.step();
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 2);
            assertThat(p.cpu.rflags() & Cpu.RF).isZero();
        }
    }

    @Test
    void dataWriteBreakpointTrapsAfterTheInstruction() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.code(
                    "a0 00 a0 00 00" /* mov al, [a000h] */
                            + "c6 05 03 a0 00 00 55" /* mov byte [a003h], 55h */
                            + NOP);
            arm(p, 2, 0xa000, 1, 3);
            p.step(2);
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 12);
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.DB);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.CODE + 12);
            assertThat(p.read(0xa003, 1)).isEqualTo(0x55);
            assertThat(p.cpu.dr[6] & 15).isEqualTo(4);
        }
    }

    @Test
    void readWriteBreakpointNoticesReadsAndMissesNeighbours() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.code("a0 04 a0 00 00" + "a0 01 a0 00 00" + NOP);
            arm(p, 1, 0xa000, 3, 3);
            p.step(2);
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 10);
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.DB);
            assertThat(p.cpu.dr[6] & 15).isEqualTo(2);
        }
    }

    @Test
    void ioBreakpointNeedsCr4De() {
        for (boolean enabled : new boolean[] {false, true}) {
            try (TestProcessor p = TestProcessor.protectedMode()) {
                p.cpu.cr4 = enabled ? Cpu.CR4_DE : 0;
                p.code("e4 60" /* in al, 60h */ + NOP);
                arm(p, 3, 0x60, 2, 0);
                p.step(2);
                assertThat(p.handler()).isEqualTo(enabled ? GuestException.DB : -1);
            }
        }
    }

    @Test
    void generalDetectFaultsAndIsCleared() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.dr[7] |= 1 << 13;
            p.code("0f 21 c0" /* mov eax, dr0 */).step();
            assertThat(p.handler()).isEqualTo(GuestException.DB);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.CODE);
            assertThat(p.cpu.dr[6] & BD).isEqualTo(BD);
            assertThat(p.cpu.dr[7] & 1 << 13).isZero();
        }
    }

    @Test
    void dr4IsDr6UnlessDebugExtensionsAreOn() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.code("0f 21 e0" /* mov eax, dr4 */ + "0f 21 e0");
            p.step();
            assertThat(p.cpu.r[Cpu.RAX]).isEqualTo(0xffff_0ff0L);
            p.cpu.cr4 = Cpu.CR4_DE;
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.UD);
        }
    }

    @Test
    void upperHalvesOfDr6AndDr7MustBeZeroAndFixedBitsStay() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.r[Cpu.RAX] = 0xffff_ffffL & ~0xffL; // nothing enabled
            p.code("0f 23 f8" /* mov dr7, rax */);
            p.step();
            assertThat(p.cpu.dr[7]).isEqualTo(0xffff_2700L);
            p.cpu.dr[7] = 0x400;
            p.cpu.r[Cpu.RAX] = 1L << 32;
            p.code("0f 23 f0" /* mov dr6, rax */).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }

    @Test
    void icebpRaisesVector1WithoutDr6() {
        try (TestProcessor p = TestProcessor.protectedMode().user()) {
            p.code("f1").step(); // the gate's DPL is 0 and is not looked at
            assertThat(p.handler()).isEqualTo(GuestException.DB);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.USER_CODE + 1);
            assertThat(p.cpu.dr[6]).isEqualTo(0xffff_0ff0L);
        }
    }

    @Test
    void repeatedStringInstructionStepsEachIteration() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.setRflags(Cpu.TF | 2);
            p.cpu.r[Cpu.RCX] = 3;
            p.cpu.r[Cpu.RDI] = 0xa000;
            p.code("f3 aa" /* rep stosb */);
            p.step(2);
            assertThat(p.handler()).isEqualTo(GuestException.DB);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.CODE);
            assertThat(p.cpu.r[Cpu.RCX]).isEqualTo(2);
        }
    }

    @Test
    void branchSingleStepTrapsAfterTheNextBranchOnly() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.setRflags(Cpu.TF | 2);
            p.cpu.msrs.debugCtl = 2; // BTF
            p.code("90 90 eb 10" /* nop; nop; jmp +10h */);
            p.step(3);
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 0x14);
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.DB);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.CODE + 0x14);
            assertThat(p.cpu.msrs.debugCtl).isZero();
        }
    }

    @Test
    void lastBranchIsRecordedUntilDebugExceptions() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.r[Cpu.RCX] = 0x1d9;
            p.cpu.r[Cpu.RDX] = 0;
            p.cpu.r[Cpu.RAX] = 1;
            p.code("0f 30" /* wrmsr */ + "eb 0c" /* jmp 8010h */)
                    .code(TestProcessor.CODE + 0x10, "90 0f 0b" /* nop; ud2 */);
            p.step(3);
            assertThat(p.cpu.msrs.lastBranchFrom).isEqualTo(TestProcessor.CODE + 2);
            assertThat(p.cpu.msrs.lastBranchTo).isEqualTo(TestProcessor.CODE + 0x10);
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.UD);
            assertThat(p.cpu.msrs.lastExceptionTo)
                    .isEqualTo(TestProcessor.CODE + 0x10); // the branch before the exception
            assertThat(p.cpu.msrs.lastBranchFrom).isEqualTo(TestProcessor.CODE + 0x11);
            assertThat(p.cpu.msrs.debugCtl).isEqualTo(1);
        }
    }

    private static final int LBR = 1;
    private static final int BTF = 2;

    private static void recording(TestProcessor p) {
        p.cpu.msrs.setDebugControl(LBR);
        p.cpu.msrs.lastBranchFrom = 0x1111;
        p.cpu.msrs.lastBranchTo = 0x2222;
        p.cpu.msrs.lastExceptionFrom = 0x3333;
        p.cpu.msrs.lastExceptionTo = 0x4444;
    }

    private static void assertRecords(
            TestProcessor p, long from, long to, long exceptionFrom, long exceptionTo) {
        assertThat(
                        new long[] {
                            p.cpu.msrs.lastBranchFrom,
                            p.cpu.msrs.lastBranchTo,
                            p.cpu.msrs.lastExceptionFrom,
                            p.cpu.msrs.lastExceptionTo
                        })
                .containsExactly(from, to, exceptionFrom, exceptionTo);
    }

    /** §13.1.6.1: every kind of taken branch, wherever it goes; a branch not taken is none. */
    @ParameterizedTest
    @CsvSource({
        "eb10, 12", // jmp
        "ebfe, 0", // jmp to itself
        "eb00, 2", // jmp to the next instruction
        "7410, -1", // jz, not taken
        "7510, 12", // jnz
        "e310, -1", // jecxz, not taken
        "e210, 12", // loop
        "e80b000000, 10", // call
        "c3, 100", // ret
        "ffe0, 100", // jmp eax
        "ea008100000800, 100", // jmp 8:8100h
        "9a008100000800, 100", // call 8:8100h
        "cb, 100", // far ret
        "cf, 100", // iret
        "90, -1",
        "0faac8, -2", // rsm is undefined
    })
    void takenBranchesAreRecorded(String hex, String distance) {
        int offset = Integer.parseInt(distance, distance.startsWith("-") ? 10 : 16);
        try (TestProcessor p = TestProcessor.protectedMode()) {
            recording(p);
            p.cpu.r[Cpu.RAX] = TestProcessor.CODE + 0x100;
            p.cpu.r[Cpu.RCX] = 5;
            p.cpu.r[Cpu.RSP] = TestProcessor.STACK - 12;
            p.write(TestProcessor.STACK - 12, 4, TestProcessor.CODE + 0x100);
            p.write(TestProcessor.STACK - 8, 4, TestProcessor.CODE0);
            p.write(TestProcessor.STACK - 4, 4, 2);
            p.cpu.setRflags(2); // ZF clear
            p.code(hex).step();
            if (offset == -1) {
                assertRecords(p, 0x1111, 0x2222, 0x3333, 0x4444);
            } else if (offset == -2) {
                long handler = TestProcessor.HANDLERS + 16 * GuestException.UD;
                assertRecords(p, TestProcessor.CODE, handler, 0x1111, 0x2222);
            } else {
                long target = TestProcessor.CODE + (hex.startsWith("e8") ? 0x10 : offset);
                assertThat(p.cpu.rip).isEqualTo(target);
                assertRecords(p, TestProcessor.CODE, target, 0x3333, 0x4444);
            }
        }
    }

    @Test
    void systemCallsAreRecorded() {
        try (TestProcessor p = TestProcessor.longMode()) {
            recording(p);
            p.cpu.msrs.lstar = TestProcessor.CODE + 0x200;
            p.cpu.msrs.star = (long) TestProcessor.CODE64 << 32;
            p.code("0f 05").step();
            assertRecords(p, TestProcessor.CODE, TestProcessor.CODE + 0x200, 0x3333, 0x4444);
        }
    }

    @Test
    void softwareInterruptsMoveTheLastBranchToTheLastInterrupt() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            recording(p);
            p.code("cd 30").step();
            long handler = TestProcessor.HANDLERS + 0x300;
            assertRecords(p, TestProcessor.CODE, handler, 0x1111, 0x2222);
        }
    }

    @Test
    void externalInterruptsAreRecordedFromTheInterruptedInstruction() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            recording(p);
            p.code(NOP + NOP).step();
            p.cpu.nmiPending = true;
            p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
            p.step();
            long handler = TestProcessor.HANDLERS + 16 * GuestException.NMI;
            assertRecords(p, TestProcessor.CODE + 1, handler, 0x1111, 0x2222);
        }
    }

    /** §13.1.6.1: #DB and ICEBP end the recording and change no record. */
    @ParameterizedTest
    @CsvSource({"true, 9090", "false, f1"})
    void debugExceptionsEndTheRecording(boolean step, String hex) {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            recording(p);
            if (step) {
                p.cpu.setRflags(Cpu.TF | 2);
            }
            p.code(hex).step(step ? 2 : 1);
            assertThat(p.handler()).isEqualTo(GuestException.DB);
            assertRecords(p, 0x1111, 0x2222, 0x3333, 0x4444);
            assertThat(p.cpu.msrs.debugCtl).isZero();
        }
    }

    /** §13.1.6.2 */
    @ParameterizedTest
    @CsvSource({"ebfe, true", "eb00, true", "e210, true", "7410, false", "90, false"})
    void branchSingleStepTrapsOnEachTakenBranch(String hex, boolean trap) {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.msrs.setDebugControl(BTF);
            p.cpu.r[Cpu.RCX] = 5;
            p.cpu.setRflags(Cpu.TF | 2);
            p.code(hex + NOP).step(2);
            assertThat(p.handler()).isEqualTo(trap ? GuestException.DB : -1);
            assertThat(p.cpu.dr[6] & BS).isEqualTo(trap ? BS : 0);
            assertThat(p.cpu.msrs.debugCtl).isEqualTo(trap ? 0 : BTF);
        }
    }

    /** §13.1.1.6: 6:3 must be zero, there is no bus lock trap, and what is above reads as zero. */
    @ParameterizedTest
    @CsvSource({"1, 1", "2, 2", "3, 3", "4, -1", "8, -1", "64, -1", "128, 0", "4097, 1"})
    void debugControl(long value, long kept) {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.r[Cpu.RCX] = 0x1d9;
            p.cpu.r[Cpu.RAX] = value;
            p.cpu.r[Cpu.RDX] = 0;
            p.code("0f 30").step();
            assertThat(p.handler()).isEqualTo(kept < 0 ? GuestException.GP : -1);
            assertThat(p.cpu.msrs.read(0x1d9)).isEqualTo(Math.max(kept, 0));
        }
    }

    /** §13.1.1.7 */
    @ParameterizedTest
    @CsvSource({"0x1db, 0x1111", "0x1dc, 0x2222", "0x1dd, 0x3333", "0x1de, 0x4444"})
    void theRecordsAreReadOnly(String msr, String value) {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            recording(p);
            p.cpu.msrs.setDebugControl(0);
            p.cpu.r[Cpu.RCX] = Long.decode(msr);
            p.code("0f 32" + "0f 30").step();
            assertThat(p.cpu.r[Cpu.RAX]).isEqualTo(Long.decode(value));
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }
}
