package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.cpu.GuestException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The guest's accesses to its virtual APIC, register by register (§15.29.3, Table 15-22). */
class AvicRegistersTest {
    private static final int SOME = 0x5a;

    private AvicMachine a = new AvicMachine(AvicMachine.MASKING);

    @AfterEach
    void release() {
        a.close();
    }

    private void again(long control) {
        a.close();
        a = new AvicMachine(control);
    }

    /**
     * Table 15-22 by offset, MSR and what reads and writes do: a(llowed), f(ault), t(rap); the
     * three accelerated registers have tests of their own. What the table does not name is allowed.
     */
    static List<String> table() {
        List<String> rows = new ArrayList<>();
        for (int offset = 0; offset < 0x1000; offset += 16) {
            rows.add("%x,%s".formatted(offset, expected(offset)));
        }
        return rows;
    }

    private static String expected(int offset) {
        if (offset >= 0x100 && offset < 0x280) {
            return "a,f"; // ISR, TMR, IRR
        }
        if (offset >= 0x320 && offset <= 0x370) {
            return "a,t"; // LVT
        }
        if (offset >= 0x500 && offset <= 0x530) {
            return "a,t"; // extended LVT
        }
        if (offset >= 0x480) {
            return "f,f"; // IER, reserved
        }
        return switch (offset) {
            case 0x20, 0xc0, 0xd0, 0xe0, 0xf0, 0x280, 0x380, 0x3e0 -> "a,t";
            case 0x30, 0xa0 -> "a,f";
            case 0x90, 0x390, 0x400, 0x410, 0x420 -> "f,f";
            case 0x80, 0xb0, 0x300 -> "a,s"; // accelerated
            default -> "a,a";
        };
    }

    @ParameterizedTest
    @MethodSource("table")
    void reads(String row) {
        String[] column = row.split(",");
        int offset = Integer.parseInt(column[0], 16);
        a.put(offset, SOME);
        a.m.memory.write(AvicMachine.ELSEWHERE + offset, 4, 0x77);
        a.run(AvicMachine.load(offset));
        if (column[1].equals("a")) {
            assertThat(a.m.exitCode()).isEqualTo(ExitCode.HLT);
            assertThat(a.m.get64(VmcbLayout.RAX)).isEqualTo(SOME);
        } else {
            assertThat(a.m.exitCode()).isEqualTo(0x402);
            assertThat(a.m.info1()).isEqualTo(offset);
            assertThat(a.m.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
            assertThat(a.m.get64(VmcbLayout.NRIP)).isZero();
        }
    }

    @ParameterizedTest
    @MethodSource("table")
    void writes(String row) {
        String[] column = row.split(",");
        int offset = Integer.parseInt(column[0], 16);
        if (column[2].equals("s")) {
            return;
        }
        a.run(AvicMachine.store(offset, SOME));
        boolean written = !column[2].equals("f");
        assertThat(a.get(offset)).isEqualTo(written ? SOME : offset == 0xe0 ? 0xffff_ffffL : 0);
        assertThat(a.m.memory.read(AvicMachine.ELSEWHERE + offset, 4)).isZero();
        if (column[2].equals("a")) {
            assertThat(a.m.exitCode()).isEqualTo(ExitCode.HLT);
            return;
        }
        assertThat(a.m.exitCode()).isEqualTo(0x402);
        assertThat(a.m.info1()).isEqualTo(1L << 32 | offset);
        assertThat(a.m.get64(VmcbLayout.RIP))
                .as("a trap exits after the instruction, a fault before")
                .isEqualTo(SvmMachine.GUEST_CODE + (written ? 10 : 0));
    }

    @Test
    void writingTprSetsVtprAndPpr() {
        a.run(AvicMachine.store(0x80, 0x57));
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(a.get(0x80)).isEqualTo(0x57);
        assertThat(a.get(0xa0)).as("PPR").isEqualTo(0x57);
        assertThat(a.m.get8(VmcbLayout.V_TPR)).isEqualTo(5);
        assertThat(a.m.apic.tpr).as("the host's").isZero();
    }

    @ParameterizedTest
    @ValueSource(longs = {0, AvicMachine.MASKING})
    void cr8IsVtprAndTprWhateverTheMasking(long masking) {
        again(masking);
        a.m.apic.tpr = 3;
        a.put(0x80, 0x5f);
        // mov eax, 9; mov cr8, rax; xor eax, eax; mov rax, cr8
        a.run("b809000000 440f22c0 31c0 440f20c0");
        assertThat(a.m.get64(VmcbLayout.RAX)).isEqualTo(9);
        assertThat(a.get(0x80)).isEqualTo(0x90);
        assertThat(a.get(0xa0)).isEqualTo(0x90);
        assertThat(a.m.get8(VmcbLayout.V_TPR)).isEqualTo(9);
        assertThat(a.m.apic.tpr).as("the host's").isEqualTo(3);
    }

    @Test
    void eoiEndsTheHighestInterruptInService() {
        a.set(0x100, 0x41);
        a.set(0x100, 0x93);
        a.run(AvicMachine.store(0xb0, 0));
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(a.bit(0, 0x100, 0x93)).isFalse();
        assertThat(a.bit(0, 0x100, 0x41)).isTrue();
        assertThat(a.get(0xa0)).isEqualTo(0x40);
    }

    @Test
    void eoiWithNothingInServiceDoesNothing() {
        a.run(AvicMachine.store(0xb0, 0));
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.HLT);
    }

    @Test
    void eoiOfALevelTriggeredInterruptIsTheHypervisors() {
        a.set(0x100, 0x93);
        a.set(0x180, 0x93);
        a.run(AvicMachine.store(0xb0, 0));
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.AVIC_NOACCEL);
        assertThat(a.m.info1()).isEqualTo(1L << 32 | 0xb0);
        assertThat(a.m.info2()).isEqualTo(0x93);
        assertThat(a.bit(0, 0x100, 0x93)).as("still in service").isTrue();
        assertThat(a.m.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE + 10);
    }

    @Test
    void theNestedTablesMustPermitTheAccess() {
        a.m.nestedPage(AvicMachine.APIC, 0);
        a.run(AvicMachine.load(0x20));
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.NPF);
        assertThat(a.m.info2()).isEqualTo(AvicMachine.APIC + 0x20);
        a.m.nestedPage(AvicMachine.APIC, AvicMachine.ELSEWHERE | SvmMachine.P | SvmMachine.U);
        a.m.cpu.rip = SvmMachine.HOST_CODE;
        a.m.put64(VmcbLayout.RIP, SvmMachine.GUEST_CODE);
        a.run(AvicMachine.store(0x80, 0x10));
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.NPF);
        assertThat(a.get(0x80)).isZero();
    }

    @Test
    void aReadModifyWriteThatFaultsChangesNothing() {
        a.put(0xa0, 0x11);
        a.m.cpu.r[Cpu.RCX] = 5;
        a.run("018b a0000000"); // add [rbx + a0h], ecx
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.AVIC_NOACCEL);
        assertThat(a.m.info1()).isEqualTo(1L << 32 | 0xa0);
        assertThat(a.get(0xa0)).isEqualTo(0x11);
        assertThat(a.m.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
    }

    @Test
    void aRepeatedStoreTrapsAfterItsFirstRegister() {
        a.m.cpu.r[Cpu.RDI] = AvicMachine.APIC + 0xf0;
        a.m.cpu.r[Cpu.RCX] = 8;
        a.m.put64(VmcbLayout.RAX, 0x1ff);
        a.run("f3ab"); // rep stosd
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.AVIC_NOACCEL);
        assertThat(a.m.info1()).isEqualTo(1L << 32 | 0xf0);
        assertThat(a.m.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
        assertThat(a.m.cpu.r[Cpu.RCX]).isEqualTo(7);
        assertThat(a.m.cpu.r[Cpu.RDI]).isEqualTo(AvicMachine.APIC + 0xf4);
        assertThat(a.get(0xf0)).isEqualTo(0x1ff);
    }

    @Test
    void partsOfARegisterAreReachable() {
        a.put(0xd0, 0x1234_5678);
        a.run("0fb683 d2000000"); // movzx eax, byte [rbx + d2h]
        assertThat(a.m.get64(VmcbLayout.RAX)).isEqualTo(0x34);
    }

    @Test
    void theBarTellsWhichPage() {
        a.m.put64(VmcbLayout.AVIC_APIC_BAR, AvicMachine.APIC + 0x5000);
        a.run(AvicMachine.store(0x80, 0x22));
        assertThat(a.get(0x80)).isZero();
        assertThat(a.m.memory.read(AvicMachine.ELSEWHERE + 0x80, 4)).isEqualTo(0x22);
        a.m.put64(VmcbLayout.AVIC_APIC_BAR, AvicMachine.APIC); // the same ASID
        a.m.cpu.rip = SvmMachine.HOST_CODE;
        a.m.put64(VmcbLayout.RIP, SvmMachine.GUEST_CODE);
        a.run(AvicMachine.store(0x80, 0x33));
        assertThat(a.get(0x80)).isEqualTo(0x33);
    }

    @ParameterizedTest
    @ValueSource(strings = {"epyc-milan,-avic", "epyc-milan"})
    void withoutTheFeatureOrNestedPagingThereIsNone(String model) {
        a.m.cpu.model = CpuModel.parse(model);
        if (model.equals("epyc-milan")) {
            a.m.put64(VmcbLayout.NP_ENABLE, 0);
        }
        a.m.put64(VmcbLayout.RFLAGS, Cpu.IF | 2);
        a.set(0x200, 0x51);
        a.run(AvicMachine.store(0xa0, 0x22));
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(a.get(0xa0)).isZero();
        assertThat(a.bit(0, 0x200, 0x51)).as("not delivered").isTrue();
    }

    @Test
    void x2apicModeLeavesThePageAlone() {
        again(AvicMachine.X2);
        a.run(AvicMachine.store(0xa0, 0x22));
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(a.m.memory.read(AvicMachine.ELSEWHERE + 0xa0, 4)).isEqualTo(0x22);
    }

    /** MSR, and whether a read and a write of 1 are allowed, fault, trap or are #GP. */
    @ParameterizedTest
    @CsvSource({
        "802,a,g", "803,a,g", "804,g,g", "808,a,a", "809,f,g", "80a,a,g", "80b,g,g", "80c,g,g",
        "80d,a,g", "80e,g,g", "80f,a,t", "810,a,g", "817,a,g", "818,a,g", "81f,a,g", "820,a,g",
        "827,a,g", "828,a,g", "830,a,-", "831,g,g", "832,a,t", "833,a,t", "834,a,t", "835,a,t",
        "836,a,t", "837,a,t", "838,a,t", "839,f,g", "83e,a,t", "83f,g,-", "840,f,g", "841,f,f",
        "842,f,f", "843,g,g", "847,g,g", "848,f,g", "849,f,f", "84f,f,f", "850,a,t", "853,a,t",
        "854,g,g", "8ff,g,g"
    })
    void x2apicMsrs(String number, String read, String write) {
        int msr = Integer.parseInt(number, 16);
        int offset = (msr & 0xff) << 4;
        for (boolean isWrite : new boolean[] {false, true}) {
            again(AvicMachine.X2);
            a.m.intercept(ExitCode.EXCEPTION + GuestException.GP);
            a.put(offset, SOME);
            String expected = isWrite ? write : read;
            a.run(isWrite ? AvicMachine.wrmsr(msr, 1) : AvicMachine.rdmsr(msr));
            long rip = a.m.get64(VmcbLayout.RIP) - SvmMachine.GUEST_CODE;
            switch (expected) {
                case "a" -> {
                    assertThat(a.m.exitCode()).isEqualTo(ExitCode.HLT);
                    assertThat(isWrite ? a.get(offset) : a.m.get64(VmcbLayout.RAX))
                            .isEqualTo(isWrite ? 1 : SOME);
                }
                case "g" ->
                        assertThat(a.m.exitCode())
                                .isEqualTo(ExitCode.EXCEPTION + GuestException.GP);
                case "f", "t" -> {
                    assertThat(a.m.exitCode()).isEqualTo(ExitCode.AVIC_NOACCEL);
                    assertThat(a.m.info1()).isEqualTo((isWrite ? 1L << 32 : 0) | offset);
                    boolean trap = expected.equals("t");
                    assertThat(rip).isEqualTo((isWrite ? 15 : 5) + (trap ? 2 : 0));
                    assertThat(a.get(offset)).isEqualTo(trap ? 1 : SOME);
                }
                default -> {} // an IPI
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "808,100", "80b,1", "828,1", "80f,400", "830,1000", "83f,100", "832,100000000", "832,80000",
        "833,800", "836,800", "837,100", "83e,4", "83e,10", "841,8", "842,100", "848,8000",
        "850,800", "853,20000"
    })
    void x2apicMsrsRefuseReservedBits(String number, String value) {
        again(AvicMachine.X2);
        a.m.intercept(ExitCode.EXCEPTION + GuestException.GP);
        a.run(AvicMachine.wrmsr(Integer.parseInt(number, 16), Long.parseLong(value, 16)));
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.EXCEPTION + GuestException.GP);
    }

    /** Table 15-22: CPUID Fn8000_000A EDX[27]. */
    @ParameterizedTest
    @ValueSource(ints = {0x500, 0x510, 0x520, 0x530})
    void withoutTheFeatureExtendedLvtEntriesFault(int offset) {
        for (boolean write : new boolean[] {false, true}) {
            for (long mode : new long[] {AvicMachine.MASKING, AvicMachine.X2}) {
                again(mode);
                a.m.cpu.model = CpuModel.parse("epyc-milan,-extlvt");
                a.put(offset, SOME);
                int msr = 0x800 + offset / 16;
                if (mode == AvicMachine.X2) {
                    a.run(write ? AvicMachine.wrmsr(msr, 1) : AvicMachine.rdmsr(msr));
                } else {
                    a.run(write ? AvicMachine.store(offset, 1) : AvicMachine.load(offset));
                }
                assertThat(a.m.exitCode()).isEqualTo(ExitCode.AVIC_NOACCEL);
                assertThat(a.m.info1()).isEqualTo((write ? 1L << 32 : 0) | offset);
                assertThat(a.get(offset)).isEqualTo(SOME);
            }
        }
    }

    /** §15.29.10: whether the MSR exists is asked before the table. */
    @ParameterizedTest
    @ValueSource(ints = {0x840, 0x841, 0x842, 0x848, 0x84f, 0x850, 0x853})
    void withoutTheExtendedSpaceItsMsrsDoNotExist(int msr) {
        for (boolean write : new boolean[] {false, true}) {
            again(AvicMachine.X2);
            a.m.cpu.model = CpuModel.parse("epyc-milan,-ext-apic");
            a.m.intercept(ExitCode.EXCEPTION + GuestException.GP);
            a.run(write ? AvicMachine.wrmsr(msr, 0) : AvicMachine.rdmsr(msr));
            assertThat(a.m.exitCode()).isEqualTo(ExitCode.EXCEPTION + GuestException.GP);
        }
    }

    @Test
    void x2apicEoiAndEsrTakeZero() {
        again(AvicMachine.X2);
        a.set(0x100, 0x61);
        a.run(AvicMachine.wrmsr(0x80b, 0) + AvicMachine.wrmsr(0x828, 0));
        assertThat(a.bit(0, 0x100, 0x61)).isFalse();
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.AVIC_NOACCEL);
        assertThat(a.m.info1()).isEqualTo(1L << 32 | 0x280);
    }

    @Test
    void interceptsOfMsrsComeBeforeX2avic() {
        again(AvicMachine.X2);
        a.m.intercept(ExitCode.MSR);
        a.m.memory.write(SvmMachine.MSRPM + 0x808 / 4, 1, 3);
        a.run(AvicMachine.rdmsr(0x808));
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.MSR);
    }

    @Test
    void withoutX2avicTheMsrsAreTheProcessors() {
        a.m.intercept(ExitCode.EXCEPTION + GuestException.GP); // it has no x2APIC mode here
        a.run(AvicMachine.rdmsr(0x808));
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.EXCEPTION + GuestException.GP);
    }

    @Test
    void x2apicIcrHas64Bits() {
        again(AvicMachine.X2);
        a.run(AvicMachine.wrmsr(0x830, 0x1_0000_0041L) + "31c0 31d2" + AvicMachine.rdmsr(0x830));
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(a.m.get64(VmcbLayout.RAX)).isEqualTo(0x41);
        assertThat(a.m.cpu.r[Cpu.RDX]).isEqualTo(1);
        assertThat(a.bit(1, 0x200, 0x41)).isTrue();
    }
}
