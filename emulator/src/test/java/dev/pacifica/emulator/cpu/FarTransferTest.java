package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.execute.Interpreter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Far JMP, CALL and RET, call gates, IRET to other privileges and modes (APM Vol 2 §4.11, §8.7.4).
 */
class FarTransferTest {
    private static final int GATE32_DPL3 = 0xec;

    /** A call gate in {@link TestProcessor#GATE_SELECTOR}. */
    private static void callGate(
            TestProcessor p, int selector, long offset, int access, int parameters) {
        long low =
                offset & 0xffff
                        | (long) selector << 16
                        | (long) parameters << 32
                        | (long) access << 40
                        | (offset >>> 16 & 0xffff) << 48;
        p.write(TestProcessor.GDT + TestProcessor.GATE_SELECTOR, 8, low);
        p.write(TestProcessor.GDT + TestProcessor.GATE_SELECTOR + 8, 8, offset >>> 32);
    }

    @Test
    void realModeFarCallAndReturn() {
        try (TestProcessor p = TestProcessor.realMode()) {
            p.code("9a 34 12 00 10" /* call 1000h:1234h */).code(0x11234, "ca 02 00" /* retf 2 */);
            p.step();
            assertThat(p.cpu.segSelector[Cpu.CS]).isEqualTo(0x1000);
            assertThat(p.cpu.segBase[Cpu.CS]).isEqualTo(0x10000);
            assertThat(p.cpu.rip).isEqualTo(0x1234);
            assertThat(p.stack16(0)).isEqualTo(TestProcessor.CODE + 5);
            p.step();
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 5);
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(0x7002);
        }
    }

    @Test
    void realModeKeepsALargeLimit() {
        try (TestProcessor p = TestProcessor.realMode()) {
            p.cpu.segLimit[Cpu.DS] = 0xffff_ffffL; // "unreal mode"
            p.cpu.r[Cpu.RAX] = 0x2000;
            p.write(0x120000, 1, 0x77);
            p.code("8e d8" /* mov ds, ax */ + "67 8a 05 00 00 10 00" /* mov al, [100000h] */);
            p.step(2);
            assertThat(p.cpu.segBase[Cpu.DS]).isEqualTo(0x20000);
            assertThat(p.cpu.r[Cpu.RAX] & 0xff).isEqualTo(0x77);
        }
    }

    @Test
    void farJumpEntersProtectedAndThenRealModeAgain() {
        try (TestProcessor p = TestProcessor.realMode()) {
            p.descriptor(TestProcessor.CODE0, 0, 0xfffff, 0xc9b);
            p.cpu.gdtrBase = TestProcessor.GDT;
            p.cpu.gdtrLimit = 0xff;
            p.code(
                    "0f 20 c0" /* mov eax, cr0 */
                            + "0c 01" /* or al, 1 */
                            + "0f 22 c0" /* mov cr0, eax */
                            + "66 ea 00 90 00 00 08 00" /* jmp 08h:9000h */);
            p.step(3);
            assertThat(p.cpu.protectedMode).isTrue();
            assertThat(p.cpu.codeBits).isEqualTo(16);
            p.step();
            assertThat(p.cpu.codeBits).isEqualTo(32);
            assertThat(p.cpu.rip).isEqualTo(0x9000);
        }
    }

    @Test
    void callGateToRing0CopiesParametersAndReturnReleasesThem() {
        try (TestProcessor p = TestProcessor.protectedMode().user()) {
            callGate(p, TestProcessor.CODE0, 0x6000, GATE32_DPL3, 2);
            p.cpu.r[Cpu.RSP] = TestProcessor.USER_STACK - 8;
            p.write(TestProcessor.USER_STACK - 8, 4, 0x1111);
            p.write(TestProcessor.USER_STACK - 4, 4, 0x2222);
            p.code("9a 00 00 00 00 63 00" /* call 60h|3 */).code(0x6000, "ca 08 00" /* retf 8 */);
            p.step();
            assertThat(p.cpu.cpl).isZero();
            assertThat(p.cpu.rip).isEqualTo(0x6000);
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(TestProcessor.RING0_STACK - 24);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.USER_CODE + 7);
            assertThat(p.stack32(1)).isEqualTo(TestProcessor.CODE3);
            assertThat(p.stack32(2)).isEqualTo(0x1111);
            assertThat(p.stack32(3)).isEqualTo(0x2222);
            assertThat(p.stack32(4)).isEqualTo(TestProcessor.USER_STACK - 8);
            assertThat(p.stack32(5)).isEqualTo(TestProcessor.DATA3);
            p.step();
            assertThat(p.cpu.cpl).isEqualTo(3);
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.USER_CODE + 7);
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(TestProcessor.USER_STACK);
            assertThat(p.cpu.segSelector[Cpu.SS]).isEqualTo(TestProcessor.DATA3);
        }
    }

    @Test
    void longModeCallGatePushesQuadwordsAndLoadsANullStack() {
        try (TestProcessor p = TestProcessor.longMode().user()) {
            callGate(p, TestProcessor.CODE64, 0x6000, GATE32_DPL3, 0);
            p.write(0x9800, 4, 0);
            p.write(0x9804, 2, TestProcessor.GATE_SELECTOR | 3);
            p.code("ff 1c 25 00 98 00 00" /* call far [9800h] */).code(0x6000, "48 cb" /* retfq */);
            p.step();
            assertThat(p.cpu.cpl).isZero();
            assertThat(p.cpu.segSelector[Cpu.SS]).isZero();
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(TestProcessor.RING0_STACK - 32);
            assertThat(p.stack64(0)).isEqualTo(TestProcessor.USER_CODE + 7);
            assertThat(p.stack64(1)).isEqualTo(TestProcessor.CODE64_3);
            assertThat(p.stack64(2)).isEqualTo(TestProcessor.USER_STACK);
            p.step();
            assertThat(p.cpu.cpl).isEqualTo(3);
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(TestProcessor.USER_STACK);
        }
    }

    @Test
    void gateBelowCplIsRefused() {
        try (TestProcessor p = TestProcessor.protectedMode().user()) {
            callGate(p, TestProcessor.CODE0, 0x6000, 0x8c /* DPL 0 */, 0);
            p.code("9a 00 00 00 00 63 00").step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.GATE_SELECTOR);
        }
    }

    @Test
    void farJumpToOtherPrivilegeIsRefusedAndToConformingKeepsCpl() {
        try (TestProcessor p = TestProcessor.protectedMode().user()) {
            p.code("ea 00 60 00 00 08 00" /* jmp 08h:6000h */).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.CODE0);
        }
        try (TestProcessor p = TestProcessor.protectedMode().user()) {
            p.code("ea 00 60 00 00 70 00" /* jmp 70h:6000h */).step();
            assertThat(p.cpu.rip).isEqualTo(0x6000);
            assertThat(p.cpu.cpl).isEqualTo(3);
            assertThat(p.cpu.segSelector[Cpu.CS]).isEqualTo(TestProcessor.CONFORMING | 3);
        }
    }

    @Test
    void targetBeyondTheLimitRaisesGpZeroAndChangesNothing() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.descriptor(TestProcessor.FREE, 0, 0xfff, 0x49b);
            p.code("9a 00 10 00 00 80 00" /* call 80h:1000h */).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
            assertThat(p.stack32(0)).isZero();
            assertThat(p.stack32(1)).isEqualTo(TestProcessor.CODE);
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(TestProcessor.STACK - 16);
        }
    }

    @Test
    void longModeJumpBetweenCompatibilityAnd64BitCode() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.write(0x9800, 4, 0x6000);
            p.write(0x9804, 2, TestProcessor.CODE0);
            p.code("ff 2c 25 00 98 00 00" /* jmp far [9800h] */)
                    .code(0x6000, "ea 00 70 00 00 50 00" /* jmp 50h:7000h */);
            p.step();
            assertThat(p.cpu.codeBits).isEqualTo(32);
            p.step();
            assertThat(p.cpu.mode64).isTrue();
            assertThat(p.cpu.rip).isEqualTo(0x7000);
        }
    }

    @Test
    void iretToOuterRingDropsDataSegmentsAndKeepsIoplAndIfOfOuterRings() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            long esp = TestProcessor.STACK - 20;
            p.write(esp, 4, TestProcessor.USER_CODE);
            p.write(esp + 4, 4, TestProcessor.CODE3);
            p.write(esp + 8, 4, Cpu.IF | 2);
            p.write(esp + 12, 4, TestProcessor.USER_STACK);
            p.write(esp + 16, 4, TestProcessor.DATA3);
            p.cpu.r[Cpu.RSP] = esp;
            p.code("cf").step();
            assertThat(p.cpu.cpl).isEqualTo(3);
            assertThat(p.cpu.segSelector[Cpu.DS]).isZero();
            // and an IRET at CPL 3 cannot change IOPL or, IOPL being 0, IF
            p.write(TestProcessor.USER_STACK - 12, 4, 0x6000);
            p.write(TestProcessor.USER_STACK - 8, 4, TestProcessor.CODE3);
            p.write(TestProcessor.USER_STACK - 4, 4, Cpu.IOPL | Cpu.DF | 2);
            p.cpu.r[Cpu.RSP] = TestProcessor.USER_STACK - 12;
            p.code("cf").step();
            assertThat(p.cpu.rip).isEqualTo(0x6000);
            assertThat(p.cpu.rflags()).isEqualTo(Cpu.IF | Cpu.DF | 2);
        }
    }

    @Test
    void returnToInnerPrivilegeIsRefused() {
        try (TestProcessor p = TestProcessor.protectedMode().user()) {
            p.write(TestProcessor.USER_STACK - 8, 4, 0x6000);
            p.write(TestProcessor.USER_STACK - 4, 4, TestProcessor.CODE0);
            p.cpu.r[Cpu.RSP] = TestProcessor.USER_STACK - 8;
            p.code("cb").step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.CODE0);
        }
    }

    @Test
    void syscallAndSysretInLongMode() {
        try (TestProcessor p = TestProcessor.longMode().user()) {
            // SYSCALL loads CS 50h, SS 58h; SYSRET loads CS 48h + 16 | 3, SS 48h + 8
            p.cpu.msrs.star = (long) TestProcessor.CODE64 << 32 | 0x4bL << 48;
            p.cpu.msrs.lstar = 0x6000;
            p.cpu.msrs.sfmask = Cpu.IF;
            p.cpu.setRflags(Cpu.IF | Cpu.CF | 2);
            p.code("0f 05").code(0x6000, "48 0f 07");
            p.step();
            assertThat(p.cpu.cpl).isZero();
            assertThat(p.cpu.rip).isEqualTo(0x6000);
            assertThat(p.cpu.r[Cpu.RCX]).isEqualTo(TestProcessor.USER_CODE + 2);
            assertThat(p.cpu.r[11]).isEqualTo(Cpu.IF | Cpu.CF | 2);
            assertThat(p.cpu.rflags()).isEqualTo(Cpu.CF | 2);
            assertThat(p.cpu.segSelector[Cpu.SS]).isEqualTo(0x58);
            p.step();
            assertThat(p.cpu.cpl).isEqualTo(3);
            assertThat(p.cpu.mode64).isTrue();
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.USER_CODE + 2);
            assertThat(p.cpu.rflags()).isEqualTo(Cpu.IF | Cpu.CF | 2);
            assertThat(p.cpu.segSelector[Cpu.CS]).isEqualTo(TestProcessor.CODE64_3);
            assertThat(p.cpu.segSelector[Cpu.SS]).isEqualTo(0x53);
        }
    }

    @Test
    void syscallWithoutSceAndSysenterInLongModeAreUndefined() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.efer &= ~Cpu.EFER_SCE;
            p.code("0f 05").step();
            assertThat(p.handler()).isEqualTo(GuestException.UD);
        }
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.msrs.sysenterCs = TestProcessor.CODE0;
            p.code("0f 34").step();
            assertThat(p.handler()).isEqualTo(GuestException.UD);
        }
    }

    /** The exception tables of APM Vol 3. */
    @ParameterizedTest
    @CsvSource({
        "0f 34, 13", // SYSENTER
        "0f 35, 13", // SYSEXIT
        "0f 07, 13", // SYSRET
        "0f 00 c0, 6", // SLDT
        "0f 02 c0, 6", // LAR
        "63 c0, 6", // ARPL
    })
    void instructionsOfProtectedModeFaultInRealMode(String code, int vector) {
        try (TestProcessor p = TestProcessor.realMode()) {
            p.cpu.efer |= Cpu.EFER_SCE;
            p.cpu.msrs.sysenterCs = TestProcessor.CODE0;
            p.cpu.msrs.sysenterEip = 0x6000;
            p.code(code).step();
            assertThat(p.handler()).isEqualTo(vector);
            assertThat(p.stack16(0)).isEqualTo(TestProcessor.CODE);
        }
    }

    /** INVPCID is no instruction of protected mode only: type 2 in real mode, and type 4, #GP. */
    @Test
    void invpcidWorksInRealMode() {
        for (int type : new int[] {2, 4}) {
            try (TestProcessor p = TestProcessor.realMode()) {
                CpuModel model = CpuModel.parse("epyc-milan,+invpcid");
                Interpreter interpreter =
                        new Interpreter(p.cpu, new Decoder(model.decoderFeatures()));
                p.cpu.r[Cpu.RAX] = type;
                p.cpu.r[Cpu.RBX] = 0x600;
                p.code("66 0f 38 82 07"); // invpcid eax, [bx]
                interpreter.run(p.clock.retired + 1);
                if (type == 2) {
                    assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 5);
                } else {
                    assertThat(p.handler()).isEqualTo(GuestException.GP);
                }
            }
        }
    }

    @Test
    void sysretWithoutSceIsUndefinedInRealModeToo() {
        try (TestProcessor p = TestProcessor.realMode()) {
            p.code("0f 07").step();
            assertThat(p.handler()).isEqualTo(GuestException.UD);
        }
    }

    /** The exception table of SYSCALL (APM Vol 3) has no mode in which it is refused. */
    @Test
    void syscallInRealModeLoadsFlatSegments() {
        try (TestProcessor p = TestProcessor.realMode()) {
            p.cpu.efer |= Cpu.EFER_SCE;
            p.cpu.msrs.star = (long) TestProcessor.CODE0 << 32 | 0x6000;
            p.code("0f 05").step();
            assertThat(p.cpu.rip).isEqualTo(0x6000);
            assertThat(p.cpu.r[Cpu.RCX]).isEqualTo(TestProcessor.CODE + 2);
            assertThat(p.cpu.segSelector[Cpu.CS]).isEqualTo(TestProcessor.CODE0);
            assertThat(p.cpu.segSelector[Cpu.SS]).isEqualTo(TestProcessor.CODE0 + 8);
            assertThat(p.cpu.segLimit[Cpu.SS]).isEqualTo(0xffff_ffffL);
        }
    }

    @Test
    void sysenterAndSysexitNeedASelector() {
        for (String code : new String[] {"0f 34", "0f 35"}) {
            try (TestProcessor p = TestProcessor.protectedMode()) {
                p.cpu.msrs.sysenterCs = 3;
                p.code(code).step();
                assertThat(p.handler()).as(code).isEqualTo(GuestException.GP);
            }
        }
    }

    @Test
    void sysenterAndSysexitInProtectedMode() {
        try (TestProcessor p = TestProcessor.protectedMode().user()) {
            p.cpu.msrs.sysenterCs = TestProcessor.CODE0;
            p.cpu.msrs.sysenterEip = 0x6000;
            p.cpu.msrs.sysenterEsp = 0x7000;
            p.cpu.r[Cpu.RCX] = TestProcessor.USER_STACK;
            p.cpu.r[Cpu.RDX] = TestProcessor.USER_CODE;
            p.code("0f 34").code(0x6000, "0f 35");
            p.step();
            assertThat(p.cpu.cpl).isZero();
            assertThat(p.cpu.rip).isEqualTo(0x6000);
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(0x7000);
            p.step();
            assertThat(p.cpu.cpl).isEqualTo(3);
            assertThat(p.cpu.segSelector[Cpu.CS]).isEqualTo(TestProcessor.CODE0 + 16 | 3);
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(TestProcessor.USER_STACK);
        }
    }
}
