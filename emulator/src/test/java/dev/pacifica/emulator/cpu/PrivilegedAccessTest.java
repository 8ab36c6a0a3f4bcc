package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.memory.PortDevice;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** I/O permission, flags with privilege, MSRs and time. */
class PrivilegedAccessTest {
    private static final String RDMSR = "0f 32";
    private static final String WRMSR = "0f 30";

    /** Counts up on reads, remembers the last write. */
    private static final class Counter implements PortDevice {
        int reads;
        int written;

        @Override
        public int in(int port, int size) {
            return ++reads;
        }

        @Override
        public void out(int port, int size, int value) {
            written = value;
        }
    }

    @Test
    void ioplDecidesBeforeTheBitmap() {
        try (TestProcessor p = TestProcessor.protectedMode().user()) {
            p.code("e4 60" + "e4 60");
            p.cpu.setRflags(Cpu.IOPL | 2);
            p.step();
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.USER_CODE + 2);
            p.cpu.setRflags(2);
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
            assertThat(p.stack32(0)).isZero();
        }
    }

    @Test
    void wordAccessNeedsTheBitsOfBothPorts() {
        try (TestProcessor p = TestProcessor.longMode().user()) {
            p.cpu.segLimit[Cpu.TR] = 0x68 + 0x20;
            p.write(TestProcessor.TSS + 0x68 + (0x68 >> 3), 1, 1); // port 68h denied
            p.code("e4 67" /* in al, 67h */ + "66 e5 67" /* in ax, 67h */);
            p.step();
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.USER_CODE + 2);
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }

    @Test
    void repeatedInputFillsMemory() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            Counter counter = new Counter();
            p.ports.claim(0x300, 1, counter);
            p.cpu.r[Cpu.RDX] = 0x300;
            p.cpu.r[Cpu.RCX] = 3;
            p.cpu.r[Cpu.RDI] = 0xa000;
            p.code("f3 6c" /* rep insb */).step();
            assertThat(p.read(0xa000, 4)).isEqualTo(0x030201);
            assertThat(p.cpu.r[Cpu.RCX]).isZero();
            assertThat(p.cpu.r[Cpu.RDI]).isEqualTo(0xa003);
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 2);
        }
    }

    @Test
    void faultingInputDoesNotReachTheDevice() {
        try (TestProcessor p = TestProcessor.longMode()) {
            Counter counter = new Counter();
            p.ports.claim(0x300, 1, counter);
            p.cpu.r[Cpu.RDX] = 0x300;
            p.cpu.r[Cpu.RDI] = 0x4000_0000L; // not mapped
            p.code("6c").step();
            assertThat(p.handler()).isEqualTo(GuestException.PF);
            assertThat(counter.reads).isZero();
        }
    }

    @Test
    void backwardOutput() {
        try (TestProcessor p = TestProcessor.realMode()) {
            Counter counter = new Counter();
            p.ports.claim(0x300, 2, counter);
            p.cpu.setRflags(Cpu.DF | 2);
            p.cpu.r[Cpu.RDX] = 0x300;
            p.cpu.r[Cpu.RSI] = 0xa002;
            p.cpu.r[Cpu.RCX] = 2;
            p.write(0xa000, 4, 0x22221111);
            p.code("f3 6f" /* rep outsw */).step();
            assertThat(counter.written).isEqualTo(0x1111);
            assertThat(p.cpu.r[Cpu.RSI] & 0xffff).isEqualTo(0x9ffe);
        }
    }

    @Test
    void popfAtCpl3KeepsIoplAndIf() {
        try (TestProcessor p = TestProcessor.longMode().user()) {
            p.cpu.setRflags(Cpu.IF | 2);
            p.cpu.r[Cpu.RSP] = TestProcessor.USER_STACK - 8;
            p.write(
                    TestProcessor.USER_STACK - 8,
                    8,
                    Cpu.IOPL | Cpu.AC | Cpu.ID | Cpu.VIP | Cpu.CF | 2);
            p.code("9d").step();
            assertThat(p.cpu.rflags()).isEqualTo(Cpu.IF | Cpu.AC | Cpu.ID | Cpu.CF | 2);
        }
    }

    @Test
    void protectedModeVirtualInterrupts() {
        try (TestProcessor p = TestProcessor.protectedMode().user()) {
            p.cpu.cr4 = Cpu.CR4_PVI;
            p.code("fb" /* sti */ + "fb");
            p.step();
            assertThat(p.cpu.rflags() & (Cpu.IF | Cpu.VIF)).isEqualTo(Cpu.VIF);
            p.cpu.setRflags(Cpu.VIP | 2);
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0x3a, 0x6e0 - 1, 0x802, 0xc000_0105, 0xc001_0200, 0x4000_0000})
    void unknownMsrsRaiseGp(int msr) {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.r[Cpu.RCX] = msr & 0xffff_ffffL;
            p.code(RDMSR).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "277:0007040600070402", // PAT type 2
                "c0000082:0000800000000000", // LSTAR not canonical
                "c0000080:0000000000000800", // EFER.LME off while paging
                "c0000080:0000000000002500", // EFER.LMSLE is not offered
                "2ff:0000000000000c02", // MTRR default type 2
                "200:0001000000000006", // base beyond the physical address
                "c0010117:0000000000000800", // VM_HSAVE_PA not page-aligned
            })
    void illegalMsrValuesRaiseGp(String text) {
        try (TestProcessor p = TestProcessor.longMode()) {
            String[] part = text.split(":");
            long value = Long.parseUnsignedLong(part[1], 16);
            p.cpu.r[Cpu.RCX] = Long.parseLong(part[0], 16);
            p.cpu.r[Cpu.RAX] = value & 0xffff_ffffL;
            p.cpu.r[Cpu.RDX] = value >>> 32;
            p.code(WRMSR).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "277:0007040100070406",
                "c0000081:0023001000000000",
                "c0000102:ffff888000000000",
                "201:0000fffff0000800",
                "268:0606060606060606",
                "c001001a:0000000080000000",
                "c0010004:0000123456789abc",
                "174:0000000000000010",
            })
    void legalMsrValuesReadBack(String text) {
        try (TestProcessor p = TestProcessor.longMode()) {
            String[] part = text.split(":");
            long value = Long.parseUnsignedLong(part[1], 16);
            p.cpu.r[Cpu.RCX] = Long.parseLong(part[0], 16);
            p.cpu.r[Cpu.RAX] = value & 0xffff_ffffL;
            p.cpu.r[Cpu.RDX] = value >>> 32;
            p.code(WRMSR + "31 c0" /* xor eax, eax */ + "31 d2" /* xor edx, edx */ + RDMSR);
            p.step(4);
            assertThat(p.cpu.r[Cpu.RDX] << 32 | p.cpu.r[Cpu.RAX]).isEqualTo(value);
        }
    }

    @Test
    void eferWritesIgnoreLma() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.r[Cpu.RCX] = 0xc000_0080L;
            p.cpu.r[Cpu.RAX] = Cpu.EFER_LME | Cpu.EFER_SVME; // LMA as 0
            p.cpu.r[Cpu.RDX] = 0;
            p.code(WRMSR).step();
            assertThat(p.cpu.efer).isEqualTo(Cpu.EFER_LME | Cpu.EFER_LMA | Cpu.EFER_SVME);
        }
    }

    @Test
    void timeStampCountsInstructionsAndCanBeWritten() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.code("0f 31" /* rdtsc */ + "90 90" + "0f 31");
            p.step();
            long before = p.cpu.r[Cpu.RAX];
            p.step(3);
            assertThat(p.cpu.r[Cpu.RAX] - before).isEqualTo(3);
            p.cpu.r[Cpu.RCX] = 0x10;
            p.cpu.r[Cpu.RAX] = 0;
            p.cpu.r[Cpu.RDX] = 1;
            p.code(WRMSR + "0f 31");
            p.step(2);
            assertThat(p.cpu.r[Cpu.RDX]).isEqualTo(1);
            assertThat(p.cpu.r[Cpu.RAX]).isEqualTo(1);
        }
    }

    @Test
    void tsdForbidsTheTimeStampInUserMode() {
        try (TestProcessor p = TestProcessor.longMode().user()) {
            p.cpu.cr4 |= Cpu.CR4_TSD;
            p.code("0f 01 f9" /* rdtscp */).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }

    @Test
    void rsmOutsideSmmIsUndefined() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.code("0f aa").step();
            assertThat(p.handler()).isEqualTo(GuestException.UD);
        }
    }
}
