package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Control registers and the activation of long mode (APM Vol 2 §3.1, §14.6). */
class ControlRegisterInstructionsTest {
    private static final String MOV_CR0_EAX = "0f 22 c0";
    private static final String MOV_CR3_EAX = "0f 22 d8";
    private static final String MOV_CR4_EAX = "0f 22 e0";

    @ParameterizedTest
    @ValueSource(longs = {Cpu.CR0_PG, Cpu.CR0_PE | Cpu.CR0_NW, 1L << 32 | Cpu.CR0_PE | Cpu.CR0_PG})
    void illegalCr0RaisesGp(long value) {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.r[Cpu.RAX] = value;
            p.code(MOV_CR0_EAX).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }

    @Test
    void longModeIsActivatedByPagingWithLmeAndPae() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.write(TestProcessor.TABLES, 8, TestProcessor.TABLES + 0x1000 | 7);
            p.write(TestProcessor.TABLES + 0x1000, 8, 0x87);
            p.cpu.cr3 = TestProcessor.TABLES;
            p.cpu.cr4 = Cpu.CR4_PAE;
            p.cpu.efer = Cpu.EFER_LME;
            p.cpu.r[Cpu.RAX] = Cpu.CR0_PE | Cpu.CR0_PG;
            p.code(MOV_CR0_EAX + "ea 00 60 00 00 50 00" /* jmp 50h:6000h */);
            p.step();
            assertThat(p.cpu.efer).isEqualTo(Cpu.EFER_LME | Cpu.EFER_LMA);
            assertThat(p.cpu.longMode).isTrue();
            assertThat(p.cpu.codeBits).isEqualTo(32);
            p.step();
            assertThat(p.cpu.codeBits).isEqualTo(64);
        }
    }

    @Test
    void activationWithoutPaeRaisesGp() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.efer = Cpu.EFER_LME;
            p.cpu.r[Cpu.RAX] = Cpu.CR0_PE | Cpu.CR0_PG;
            p.code(MOV_CR0_EAX).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
            assertThat(p.cpu.efer).isEqualTo(Cpu.EFER_LME);
        }
    }

    /** §14.6.2 does not name TR; KVM starts a guest's other processors with a busy 16-bit TSS. */
    @ParameterizedTest
    @ValueSource(ints = {0x83, 0x8b})
    void longModeIsActivatedWithAnyTss(int attributes) {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.write(TestProcessor.TABLES, 8, TestProcessor.TABLES + 0x1000 | 7);
            p.write(TestProcessor.TABLES + 0x1000, 8, 0x87);
            p.cpu.segAttr[Cpu.TR] = attributes;
            p.cpu.cr3 = TestProcessor.TABLES;
            p.cpu.cr4 = Cpu.CR4_PAE;
            p.cpu.efer = Cpu.EFER_LME;
            p.cpu.r[Cpu.RAX] = Cpu.CR0_PE | Cpu.CR0_PG;
            p.code(MOV_CR0_EAX).step();
            assertThat(p.cpu.longMode).isTrue();
        }
    }

    @Test
    void pagingCannotEndIn64BitMode() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.r[Cpu.RAX] = Cpu.CR0_PE;
            p.code(MOV_CR0_EAX).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "80000000000, true", // bit 43
        "1000000000000, false", // bit 48, beyond the physical address
        "8000000000000000, false"
    })
    void cr3InLongModeTakesPhysicalAddressesOnly(String value, boolean good) {
        try (TestProcessor p = TestProcessor.longMode()) {
            long cr3 = Long.parseUnsignedLong(value, 16);
            p.cpu.r[Cpu.RAX] = cr3;
            p.code(MOV_CR3_EAX).step();
            assertThat(p.cpu.cr3 == cr3).isEqualTo(good);
        }
    }

    @ParameterizedTest
    @ValueSource(
            longs = {
                0 /* PAE off in long mode */,
                Cpu.CR4_PAE | 1L << 14,
                Cpu.CR4_PAE | 1L << 19 /* reserved */,
                Cpu.CR4_PAE | 1L << 12 /* LA57 */
            })
    void illegalCr4RaisesGp(long value) {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.r[Cpu.RAX] = value;
            p.code(MOV_CR4_EAX).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }

    @Test
    void paePointersWithReservedBitsRaiseGp() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.write(TestProcessor.TABLES, 8, 0x11003); // bit 1 is reserved in a PDPTE
            p.cpu.cr3 = TestProcessor.TABLES;
            p.cpu.cr4 = Cpu.CR4_PAE;
            p.cpu.r[Cpu.RAX] = Cpu.CR0_PE | Cpu.CR0_PG;
            p.code(MOV_CR0_EAX).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
            assertThat(p.cpu.cr0 & Cpu.CR0_PG).isZero();
        }
    }

    @Test
    void lmswSetsPeButCannotClearIt() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.r[Cpu.RAX] = 0xfffc; // TS and EM, not PE, not MP
            p.code("0f 01 f0" + "0f 01 e1" /* smsw ecx */ + "0f 06" /* clts */);
            p.step(2);
            assertThat(p.cpu.cr0).isEqualTo(Cpu.CR0_PE | Cpu.CR0_EM | Cpu.CR0_TS | Cpu.CR0_ET);
            assertThat(p.cpu.r[Cpu.RCX]).isEqualTo(p.cpu.cr0);
            p.step();
            assertThat(p.cpu.cr0 & Cpu.CR0_TS).isZero();
        }
    }

    @Test
    void cr8IsTheTaskPriority() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.r[Cpu.RAX] = 9;
            p.code("44 0f 22 c0" /* mov cr8, rax */ + "44 0f 20 c3" /* mov rbx, cr8 */);
            p.step(2);
            assertThat(p.apic.tpr).isEqualTo(9);
            assertThat(p.cpu.r[Cpu.RBX]).isEqualTo(9);
            p.cpu.r[Cpu.RAX] = 16;
            p.code("44 0f 22 c0").step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }

    @Test
    void lockedMovCr0IsCr8In32BitMode() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.cpu.r[Cpu.RAX] = 5;
            p.code("f0 0f 22 c0").step();
            assertThat(p.apic.tpr).isEqualTo(5);
        }
    }

    @Test
    void privilegedAtCpl3() {
        try (TestProcessor p = TestProcessor.longMode().user()) {
            p.code(MOV_CR0_EAX).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }

    @Test
    void cr1IsUndefined() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.code("0f 20 c8" /* mov rax, cr1 */).step();
            assertThat(p.handler()).isEqualTo(GuestException.UD);
        }
    }
}
