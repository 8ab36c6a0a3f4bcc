package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Segment register loads and descriptor instructions (APM Vol 2 §4). */
class SegmentInstructionsTest {
    private static final String MOV_DS_AX = "8e d8";
    private static final String MOV_SS_AX = "8e d0";

    @ParameterizedTest
    @CsvSource({
        "10, -1, 0", // ring 0 data at CPL 0
        "08, -1, 0", // readable code
        "00, -1, 0", // null
        "78, 11, 78", // not present
        "28, 13, 28", // a TSS
        "f8, 13, f8", // empty descriptor
        "ff8, 13, ff8", // outside the GDT
        "14, 13, 14", // LDT that is not there
        "13, 13, 10", // RPL 3, DPL 0
    })
    void dataSegmentLoad(String selector, int fault, String code) {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.r[Cpu.RAX] = Integer.parseInt(selector, 16);
            p.code(MOV_DS_AX).step();
            assertThat(p.handler()).isEqualTo(fault);
            if (fault >= 0) {
                assertThat(p.stack32(0)).isEqualTo(Integer.parseInt(code, 16));
            } else {
                assertThat(p.cpu.segSelector[Cpu.DS]).isEqualTo(Integer.parseInt(selector, 16));
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "10, -1, 0",
        "00, 13, 0", // null outside 64-bit mode
        "13, 13, 10", // RPL is not CPL
        "23, 13, 20", // DPL is not CPL
        "08, 13, 08", // code
        "80, 12, 80", // not present
    })
    void stackSegmentLoad(String selector, int fault, String code) {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.descriptor(TestProcessor.FREE, 0, 0xfffff, 0xc13);
            p.cpu.r[Cpu.RAX] = Integer.parseInt(selector, 16);
            p.code(MOV_SS_AX).step();
            assertThat(p.handler()).isEqualTo(fault);
            if (fault >= 0) {
                assertThat(p.stack32(0)).isEqualTo(Integer.parseInt(code, 16));
            }
        }
    }

    @Test
    void nullStackSegmentIsGoodIn64BitModeBelowCpl3() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.r[Cpu.RAX] = 0;
            p.code(MOV_SS_AX).step();
            assertThat(p.cpu.segSelector[Cpu.SS]).isZero();
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 2);
        }
        try (TestProcessor p = TestProcessor.longMode().user()) {
            p.cpu.r[Cpu.RAX] = 3;
            p.code(MOV_SS_AX).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }

    @Test
    void loadSetsTheAccessedBit() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.descriptor(TestProcessor.FREE, 0x12345678, 0x00fff, 0x492);
            p.cpu.r[Cpu.RAX] = TestProcessor.FREE;
            p.code(MOV_DS_AX).step();
            assertThat(p.read(TestProcessor.GDT + TestProcessor.FREE + 5, 1)).isEqualTo(0x93);
            assertThat(p.cpu.segBase[Cpu.DS]).isEqualTo(0x12345678);
            assertThat(p.cpu.segLimit[Cpu.DS]).isEqualTo(0xfff);
            assertThat(p.cpu.segAttr[Cpu.DS]).isEqualTo(0x493);
        }
    }

    @Test
    void useOfANullSegmentRaisesGp() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.code(MOV_DS_AX + "a0 00 00 00 00" /* mov al, [0] */);
            p.step(2);
            assertThat(p.handler()).isEqualTo(GuestException.GP);
            assertThat(p.stack32(0)).isZero();
        }
    }

    @Test
    void lldtAndLtrTake16ByteDescriptorsInLongMode() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.write(TestProcessor.GDT + TestProcessor.LDT_SELECTOR + 8, 8, 0xffff_8000L);
            p.cpu.r[Cpu.RAX] = TestProcessor.LDT_SELECTOR;
            p.code("0f 00 d0").step();
            assertThat(p.cpu.segBase[Cpu.LDTR]).isEqualTo(0xffff_8000_0000_4000L);
        }
        try (TestProcessor p = TestProcessor.longMode()) {
            p.descriptor(TestProcessor.TSS_SELECTOR, TestProcessor.TSS, 0x67, 0x089);
            p.cpu.r[Cpu.RAX] = TestProcessor.TSS_SELECTOR;
            p.code("0f 00 d8" + "0f 00 d8" /* ltr ax, twice */);
            p.step();
            assertThat(p.read(TestProcessor.GDT + TestProcessor.TSS_SELECTOR + 5, 1))
                    .isEqualTo(0x8b);
            p.step(); // now busy
            assertThat(p.handler()).isEqualTo(GuestException.GP);
            assertThat(p.stack64(0)).isEqualTo(TestProcessor.TSS_SELECTOR);
        }
    }

    @Test
    void lldtOfSomethingElseRaisesGpWithTheSelector() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.r[Cpu.RAX] = TestProcessor.DATA0;
            p.code("0f 00 d0").step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.DATA0);
        }
    }

    @Test
    void larLslVerrVerwAnswerByZf() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.r[Cpu.RAX] = TestProcessor.DATA3;
            p.cpu.r[Cpu.RCX] = TestProcessor.CODE0;
            p.code(
                    "0f 02 d8" /* lar ebx, ax */
                            + "0f 03 d0" /* lsl edx, ax */
                            + "0f 00 e1" /* verr cx */
                            + "0f 00 e9" /* verw cx */);
            p.step(2);
            assertThat(p.cpu.r[Cpu.RBX]).isEqualTo(0x00cf_f300 & 0x00ff_ff00);
            assertThat(p.cpu.r[Cpu.RDX]).isEqualTo(0xffff_ffffL);
            assertThat(p.cpu.zf()).isTrue();
            p.step();
            assertThat(p.cpu.zf()).isTrue();
            p.step();
            assertThat(p.cpu.zf()).isFalse();
        }
    }

    @Test
    void larOfAPrivilegedDescriptorLeavesTheRegister() {
        try (TestProcessor p = TestProcessor.protectedMode().user()) {
            p.cpu.r[Cpu.RAX] = TestProcessor.DATA0;
            p.cpu.r[Cpu.RBX] = 77;
            p.cpu.setArithmeticFlags(Cpu.ZF);
            p.code("0f 02 d8").step();
            assertThat(p.cpu.zf()).isFalse();
            assertThat(p.cpu.r[Cpu.RBX]).isEqualTo(77);
        }
    }

    @Test
    void arplRaisesTheRpl() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.r[Cpu.RAX] = 0x10;
            p.cpu.r[Cpu.RCX] = 3;
            p.code("63 c8" /* arpl ax, cx */).step();
            assertThat(p.cpu.r[Cpu.RAX]).isEqualTo(0x13);
            assertThat(p.cpu.zf()).isTrue();
        }
    }

    @Test
    void sgdtAndLgdtIn64BitModeUseTenBytes() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.gdtrBase = 0xffff_8000_0000_1000L;
            p.write(0xa000, 8, -1L);
            p.write(0xa008, 8, -1L);
            p.code(
                    "0f 01 04 25 00 a0 00 00" /* sgdt [a000h] */
                            + "0f 01 1c 25 10 a0 00 00" /* lidt [a010h] */);
            p.write(0xa010, 2, 0x123);
            p.write(0xa012, 8, 0x0000_9000_0000_0000L); // not canonical
            p.step();
            assertThat(p.read(0xa000, 2)).isEqualTo(0xff);
            assertThat(p.read(0xa002, 8)).isEqualTo(0xffff_8000_0000_1000L);
            assertThat(p.read(0xa00a, 2)).isEqualTo(0xffff);
            p.cpu.gdtrBase = TestProcessor.GDT;
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }

    @Test
    void lgdtWith16BitOperandTakes24Bits() {
        try (TestProcessor p = TestProcessor.realMode()) {
            p.write(0xa000, 2, 0x17);
            p.write(0xa002, 4, 0x12345678);
            p.code("0f 01 16 00 a0" /* lgdt [a000h] */).step();
            assertThat(p.cpu.gdtrBase).isEqualTo(0x345678);
            assertThat(p.cpu.gdtrLimit).isEqualTo(0x17);
        }
    }

    @Test
    void swapgsExchangesTheBases() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.segBase[Cpu.GS] = 1;
            p.cpu.msrs.kernelGsBase = 2;
            p.code("0f 01 f8").step();
            assertThat(p.cpu.segBase[Cpu.GS]).isEqualTo(2);
            assertThat(p.cpu.msrs.kernelGsBase).isEqualTo(1);
        }
        try (TestProcessor p = TestProcessor.longMode().user()) {
            p.code("0f 01 f8").step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }

    @Test
    void fsbaseInstructionsNeedCr4() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.code("f3 48 0f ae d0" /* wrfsbase rax */).step();
            assertThat(p.handler()).isEqualTo(GuestException.UD);
        }
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.cr4 |= Cpu.CR4_FSGSBASE;
            p.cpu.r[Cpu.RAX] = 0x7fff_1234_5678L;
            p.code("f3 48 0f ae d0" + "f3 48 0f ae c3" /* rdfsbase rbx */);
            p.step(2);
            assertThat(p.cpu.segBase[Cpu.FS]).isEqualTo(0x7fff_1234_5678L);
            assertThat(p.cpu.r[Cpu.RBX]).isEqualTo(0x7fff_1234_5678L);
        }
    }

    @Test
    void userModeInstructionPrevention() {
        try (TestProcessor p = TestProcessor.longMode().user()) {
            p.cpu.cr4 |= Cpu.CR4_UMIP;
            p.code("0f 01 e0" /* smsw eax */).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }

    @Test
    void poppedStackSegmentHoldsBackInterruptsAndFaultKeepsEsp() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.setRflags(Cpu.IF | 2);
            p.cpu.r[Cpu.RSP] = TestProcessor.STACK - 4;
            p.write(TestProcessor.STACK - 4, 4, TestProcessor.DATA0);
            p.code("17" /* pop ss */ + "90");
            p.step();
            p.apic.pending = 0x40;
            p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
            p.step();
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 2);
            p.step();
            assertThat(p.handler()).isEqualTo(0x40);
        }
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.r[Cpu.RSP] = TestProcessor.STACK - 4;
            p.write(TestProcessor.STACK - 4, 4, 0);
            p.code("17").step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(TestProcessor.STACK - 4 - 16);
        }
    }
}
