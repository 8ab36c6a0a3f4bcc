package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** Virtual-8086 mode and its extensions (APM Vol 2 §8.10, §8.11). */
class Virtual8086Test {
    private static final int SEGMENT = 0x900;

    /** In VM86 mode at 900h:0 (= USER_CODE), stack 2000h:1000h, with the given flags beside VM. */
    private static TestProcessor vm86(int flags) {
        TestProcessor p = TestProcessor.protectedMode();
        long esp = TestProcessor.STACK - 36;
        long[] frame = {0, SEGMENT, Cpu.VM | flags | 2, 0x1000, 0x2000, 0xa00, 0xb00, 0xc00, 0xd00};
        for (int i = 0; i < frame.length; i++) {
            p.write(esp + 4 * i, 4, frame[i]);
        }
        p.cpu.r[Cpu.RSP] = esp;
        p.code("cf" /* iretd */).step();
        return p;
    }

    @Test
    void iretEntersVirtual8086Mode() {
        try (TestProcessor p = vm86(0)) {
            assertThat(p.cpu.vm86).isTrue();
            assertThat(p.cpu.cpl).isEqualTo(3);
            assertThat(p.cpu.codeBits).isEqualTo(16);
            assertThat(p.cpu.segBase[Cpu.CS]).isEqualTo(0x9000);
            assertThat(p.cpu.segBase[Cpu.ES]).isEqualTo(0xa000);
            assertThat(p.cpu.segBase[Cpu.DS]).isEqualTo(0xb000);
            assertThat(p.cpu.segBase[Cpu.FS]).isEqualTo(0xc000);
            assertThat(p.cpu.segBase[Cpu.GS]).isEqualTo(0xd000);
            assertThat(p.cpu.segLimit[Cpu.GS]).isEqualTo(0xffff);
        }
    }

    @Test
    void exceptionLeavesItWithNineWordsAndNullSegments() {
        try (TestProcessor p = vm86(0)) {
            p.code("0f 0b").step();
            assertThat(p.handler()).isEqualTo(GuestException.UD);
            assertThat(p.cpu.vm86).isFalse();
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(TestProcessor.RING0_STACK - 36);
            assertThat(p.stack32(0)).isZero();
            assertThat(p.stack32(1)).isEqualTo(SEGMENT);
            assertThat(p.stack32(2)).isEqualTo(Cpu.VM | Cpu.RF | 2);
            assertThat(p.stack32(3)).isEqualTo(0x1000);
            assertThat(p.stack32(5)).isEqualTo(0xa00);
            assertThat(p.stack32(8)).isEqualTo(0xd00);
            assertThat(p.cpu.segSelector[Cpu.DS]).isZero();
            p.code("cf").step(); // and back
            assertThat(p.cpu.vm86).isTrue();
            assertThat(p.cpu.segBase[Cpu.DS]).isEqualTo(0xb000);
        }
    }

    /** The exception tables of APM Vol 3: SYSEXIT and SYSRET are refused, SYSENTER is not. */
    @Test
    void sysenterLeavesItAndTheWaysBackAreForProtectedMode() {
        for (String code : new String[] {"0f 35", "0f 07"}) {
            try (TestProcessor p = vm86(Cpu.IOPL)) {
                p.cpu.efer |= Cpu.EFER_SCE;
                p.cpu.msrs.sysenterCs = TestProcessor.CODE0;
                p.code(code).step();
                assertThat(p.handler()).as(code).isEqualTo(GuestException.GP);
            }
        }
        try (TestProcessor p = vm86(Cpu.IF)) {
            p.cpu.msrs.sysenterCs = TestProcessor.CODE0;
            p.cpu.msrs.sysenterEip = 0x6000;
            p.cpu.msrs.sysenterEsp = 0x7000;
            p.code("0f 34").step();
            assertThat(p.cpu.vm86).isFalse();
            assertThat(p.cpu.cpl).isZero();
            assertThat(p.cpu.codeBits).isEqualTo(32);
            assertThat(p.cpu.rip).isEqualTo(0x6000);
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(0x7000);
            assertThat(p.cpu.rflags() & (Cpu.VM | Cpu.IF)).isZero();
        }
    }

    @Test
    void sensitiveInstructionsNeedIopl3() {
        for (String code : new String[] {"fa", "fb", "9c", "9d", "cd 30", "cf"}) {
            try (TestProcessor p = vm86(0)) {
                p.code(code).step();
                assertThat(p.handler()).as(code).isEqualTo(GuestException.GP);
            }
        }
        try (TestProcessor p = vm86(Cpu.IOPL)) {
            p.gate(0x30, TestProcessor.CODE0, TestProcessor.HANDLERS + 0x300, 0xee);
            p.code("fb" /* sti */ + "cd 30");
            p.step(2);
            assertThat(p.handler()).isEqualTo(0x30);
            assertThat(p.stack32(2)).isEqualTo(Cpu.VM | Cpu.IOPL | Cpu.IF | 2);
        }
    }

    @Test
    void extensionsVirtualiseIf() {
        try (TestProcessor p = vm86(0)) {
            p.cpu.cr4 = Cpu.CR4_VME;
            p.code("fb" /* sti */ + "9c" /* pushf */ + "fa" /* cli */);
            p.step();
            assertThat(p.cpu.rflags() & (Cpu.VIF | Cpu.IF)).isEqualTo(Cpu.VIF);
            p.step();
            assertThat(p.stack16(0)).isEqualTo(Cpu.IF | Cpu.IOPL | 2);
            p.step();
            assertThat(p.cpu.rflags() & Cpu.VIF).isZero();
        }
    }

    @Test
    void extensionsRedirectInterruptsToTheIvt() {
        try (TestProcessor p = vm86(Cpu.VIF)) {
            p.cpu.cr4 = Cpu.CR4_VME;
            // the redirection bitmap lies below the I/O map; bit clear: 8086 handler
            p.descriptor(TestProcessor.TSS_SELECTOR, TestProcessor.TSS, 0xfff, 0x08b);
            p.cpu.segLimit[Cpu.TR] = 0xfff;
            p.write(TestProcessor.TSS + 0x66, 2, 0x88);
            p.write(4 * 0x30, 2, 0x40);
            p.write(4 * 0x30 + 2, 2, 0x600);
            p.code("cd 30").step();
            assertThat(p.cpu.vm86).isTrue();
            assertThat(p.cpu.segBase[Cpu.CS]).isEqualTo(0x6000);
            assertThat(p.cpu.rip).isEqualTo(0x40);
            assertThat(p.stack16(0)).isEqualTo(2);
            assertThat(p.stack16(2)).isEqualTo(Cpu.IF | Cpu.IOPL | 2);
            assertThat(p.cpu.rflags() & Cpu.VIF).isZero();
        }
    }

    /** With IOPL 3 there is no virtual flag: the redirected interrupt clears IF itself. */
    @Test
    void redirectedInterruptsAtIopl3ClearIf() {
        try (TestProcessor p = vm86(Cpu.IOPL | Cpu.IF | Cpu.VIF | Cpu.NT)) {
            p.cpu.cr4 = Cpu.CR4_VME;
            p.cpu.segLimit[Cpu.TR] = 0xfff;
            p.write(TestProcessor.TSS + 0x66, 2, 0x88);
            p.write(4 * 0x30, 4, 0x600_0040);
            p.code("cd 30").step();
            assertThat(p.stack16(2)).isEqualTo(Cpu.IOPL | Cpu.IF | Cpu.NT | 2);
            assertThat(p.cpu.rflags())
                    .isEqualTo(Cpu.VM | Cpu.VIF | Cpu.IOPL | Cpu.NT | 2); // as INT n in real mode
        }
    }

    /** The bitmap says: to protected mode, which needs IOPL 3; or it lies outside the TSS. */
    @Test
    void theRedirectionBitmapLeadsToTheMonitor() {
        for (int iopl : new int[] {0, Cpu.IOPL}) {
            try (TestProcessor p = vm86(iopl)) {
                p.cpu.cr4 = Cpu.CR4_VME;
                p.cpu.segLimit[Cpu.TR] = 0xfff;
                p.write(TestProcessor.TSS + 0x66, 2, 0x88);
                p.write(TestProcessor.TSS + 0x68 + (0x30 >> 3), 1, 1);
                p.gate(0x30, TestProcessor.CODE0, TestProcessor.HANDLERS + 0x300, 0xee);
                p.code("cd 30").step();
                assertThat(p.handler()).isEqualTo(iopl == 0 ? GuestException.GP : 0x30);
            }
        }
        try (TestProcessor p = vm86(Cpu.IOPL)) {
            p.cpu.cr4 = Cpu.CR4_VME;
            p.cpu.segLimit[Cpu.TR] = 0x68 + 0x30 / 8 - 1;
            p.write(TestProcessor.TSS + 0x66, 2, 0x88);
            p.code("cd 30").step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }

    /** A pending virtual interrupt turns every way to set VIF into #GP; so does TF in an image. */
    @Test
    void virtualInterruptsPending() {
        for (String code : new String[] {"fb", "9d", "cf"}) {
            try (TestProcessor p = vm86(Cpu.VIP)) {
                p.cpu.cr4 = Cpu.CR4_VME;
                p.write(0x20000 + 0x1000, 2, Cpu.IF | 2);
                p.write(0x20000 + 0x1004, 2, Cpu.IF | 2);
                p.code(code).step();
                assertThat(p.handler()).as(code).isEqualTo(GuestException.GP);
                assertThat(p.stack32(3) & Cpu.VIF).isZero();
            }
        }
        for (String code : new String[] {"9d", "cf", "66 9c", "66 9d", "66 cf"}) {
            try (TestProcessor p = vm86(0)) {
                p.cpu.cr4 = Cpu.CR4_VME;
                p.write(0x20000 + 0x1000, 2, Cpu.TF | 2);
                p.write(0x20000 + 0x1004, 2, Cpu.TF | 2);
                p.code(code).step();
                assertThat(p.handler()).as(code).isEqualTo(GuestException.GP);
            }
        }
        for (String code : new String[] {"9d", "cf"}) {
            try (TestProcessor p = vm86(0)) {
                p.cpu.cr4 = Cpu.CR4_VME;
                p.write(0x20000 + 0x1000, 2, Cpu.IF | Cpu.IOPL | 2);
                p.write(0x20000 + 0x1004, 2, Cpu.IF | Cpu.IOPL | 2);
                p.code(code).step();
                assertThat(p.cpu.vm86).as(code).isTrue();
                assertThat(p.cpu.rflags()).as(code).isEqualTo(Cpu.VM | Cpu.VIF | 2);
            }
        }
    }

    @Test
    void portsAreCheckedAgainstTheBitmapAtAnyIopl() {
        try (TestProcessor p = vm86(Cpu.IOPL)) {
            p.cpu.segLimit[Cpu.TR] = 0x68 + 0x20; // the map covers ports below 100h
            p.write(TestProcessor.TSS + 0x68 + (0x60 >> 3), 1, 1); // port 60h denied
            p.code("e4 61" /* in al, 61h */ + "e4 60" /* in al, 60h */);
            p.step();
            assertThat(p.cpu.rip).isEqualTo(2);
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }
}
