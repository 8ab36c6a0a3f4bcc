package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * §15.7.2: every kind of event, its delivery cut short by a nested page fault or an intercepted
 * page fault in each place that delivery touches: EXITINTINFO tells the event, and the guest stands
 * where it stood.
 */
class InterruptedDeliveryTest {
    private static final long VALID = 1L << 31;
    private static final long ERROR_CODE = 1L << 11;
    private static final int NMI = 2 << 8;
    private static final int EXCEPTION = 3 << 8;
    private static final int SOFTWARE = 4 << 8;
    private static final long IST_STACK = 0x70000;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @AfterEach
    void release() {
        machine.close();
    }

    /**
     * Makes the guest meet the event; returns what EXITINTINFO must be and where RIP must stand.
     */
    private long[] arrange(String event) {
        long next = SvmMachine.GUEST_CODE;
        String code = "90";
        long info;
        cpu.r[Cpu.RCX] = 0x8000_0000_0000_0000L;
        switch (event) {
            case "interrupt" -> {
                machine.put64(VmcbLayout.RFLAGS, Cpu.IF | 2);
                machine.apic.pending = 0x51;
                info = 0x51;
            }
            case "virtual interrupt" -> {
                machine.put64(VmcbLayout.RFLAGS, Cpu.IF | 2);
                machine.put64(VmcbLayout.V_INTR, 0x52L << 32 | 5 << 16 | 1 << 8);
                info = 0x52;
            }
            case "nmi" -> {
                cpu.nmiPending = true;
                info = NMI | 2;
            }
            case "fault" -> {
                code = "0f0b";
                info = EXCEPTION | 6;
            }
            case "fault with code" -> {
                code = "488b01";
                info = EXCEPTION | ERROR_CODE | 13;
            }
            case "page fault" -> {
                code = "48890425 10500800"; // mov [85010h], rax
                machine.guestPage(0x85000, 0);
                info = 2L << 32 | EXCEPTION | ERROR_CODE | 14;
            }
            case "trap" -> {
                machine.put64(VmcbLayout.RFLAGS, Cpu.TF | 2);
                next++;
                info = EXCEPTION | 1;
            }
            case "int n" -> {
                code = "cd53";
                info = SOFTWARE | 0x53;
            }
            case "int3" -> {
                code = "cc";
                info = EXCEPTION | 3;
            }
            case "icebp" -> {
                code = "f1";
                info = EXCEPTION | 1;
            }
            case "double fault" -> {
                code = "488b01";
                machine.memory.write(SvmMachine.IDT + 16 * 13 + 5, 1, 0); // no gate for #GP
                info = EXCEPTION | ERROR_CODE | 8;
            }
            default -> { // injected, in hexadecimal
                long injected = Long.parseUnsignedLong(event, 16);
                machine.put64(VmcbLayout.EVENTINJ, VALID | injected);
                info = injected;
            }
        }
        machine.code(SvmMachine.GUEST_CODE, code);
        return new long[] {VALID | info, next};
    }

    private void assertInterrupted(long[] expected, int exitCode) {
        machine.vmrunAndRun(3);
        assertThat(machine.exitCode()).isEqualTo(exitCode);
        assertThat(Long.toHexString(machine.get64(VmcbLayout.EXITINTINFO)))
                .isEqualTo(Long.toHexString(expected[0]));
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(expected[1]);
        assertThat(machine.get64(VmcbLayout.RSP)).isEqualTo(SvmMachine.GUEST_STACK);
        assertThat(machine.get8(VmcbLayout.CPL)).isZero();
        assertThat(machine.get16(VmcbLayout.CS)).isEqualTo(0x10);
        assertThat(machine.get64(VmcbLayout.EVENTINJ)).isZero();
    }

    @ParameterizedTest
    @CsvSource({
        "interrupt",
        "virtual interrupt",
        "nmi",
        "fault",
        "fault with code",
        "page fault",
        "trap",
        "int n",
        "int3",
        "icebp",
        "double fault",
        "54",
        "200",
        "306",
        "12300000b0d",
        "455",
        "303"
    })
    void byANestedFaultOnTheStack(String event) {
        long[] expected = arrange(event);
        machine.nestedPaging();
        machine.nestedPage(SvmMachine.GUEST_STACK - 0x1000, 0);
        assertInterrupted(nmiVector(expected), ExitCode.NPF);
        assertThat(machine.info2())
                .isBetween(SvmMachine.GUEST_STACK - 0x1000, SvmMachine.GUEST_STACK - 1);
        assertThat(cpu.nmiBlocked).as("no NMI was delivered").isFalse();
    }

    /** The vector of an injected NMI is ignored and is 2. */
    private static long[] nmiVector(long[] expected) {
        if ((expected[0] & 0x7ff) == NMI) {
            expected[0] |= 2;
        }
        return expected;
    }

    @ParameterizedTest
    @CsvSource({
        "interrupt",
        "virtual interrupt",
        "nmi",
        "fault",
        "fault with code",
        "page fault",
        "trap",
        "int n",
        "int3",
        "icebp",
        "54",
        "200",
        "306",
        "455",
        "303"
    })
    void byANestedFaultOnTheIdt(String event) {
        long[] expected = arrange(event);
        machine.nestedPaging();
        machine.nestedPage(SvmMachine.IDT, 0);
        assertInterrupted(nmiVector(expected), ExitCode.NPF);
        assertThat(machine.info2() & ~0xfffL).isEqualTo(SvmMachine.IDT);
    }

    @ParameterizedTest
    @CsvSource({
        "interrupt",
        "virtual interrupt",
        "nmi",
        "fault",
        "fault with code",
        "trap",
        "int n",
        "int3",
        "icebp",
        "double fault",
        "54",
        "200",
        "306",
        "455",
        "303"
    })
    void byAnInterceptedPageFaultOnTheStack(String event) {
        long[] expected = arrange(event);
        machine.guestPage(SvmMachine.GUEST_STACK - 0x1000, 0);
        machine.intercept(ExitCode.EXCEPTION + 14);
        assertInterrupted(nmiVector(expected), ExitCode.EXCEPTION + 14);
        assertThat(machine.info1()).as("a write by the supervisor, not present").isEqualTo(2);
        assertThat(cpu.nmiBlocked).as("no NMI was delivered").isFalse();
    }

    @ParameterizedTest
    @CsvSource({"interrupt, 0x51", "nmi, 2", "fault, 6", "int n, 0x53", "54, 0x54"})
    void byANestedFaultOnTheStackOfAnInterruptStackTable(String event, String vector) {
        long[] expected = arrange(event);
        long gate = SvmMachine.IDT + 16L * Integer.decode(vector);
        machine.memory.write(gate + 4, 1, 1); // IST1
        machine.memory.write64(SvmMachine.TSS + 0x24, IST_STACK);
        cpu.segBase[Cpu.TR] = SvmMachine.TSS;
        cpu.segLimit[Cpu.TR] = 0x67;
        cpu.segAttr[Cpu.TR] = 0x8b;
        machine.nestedPaging();
        machine.nestedPage(IST_STACK - 0x1000, 0);
        assertInterrupted(expected, ExitCode.NPF);
        assertThat(machine.info2() & ~0xfffL).isEqualTo(IST_STACK - 0x1000);
    }

    @ParameterizedTest
    @CsvSource({"interrupt, 0x51", "int n, 0x53", "fault, 6"})
    void byANestedFaultOnTheTss(String event, String vector) {
        long[] expected = arrange(event);
        machine.memory.write(SvmMachine.IDT + 16L * Integer.decode(vector) + 4, 1, 1);
        cpu.segBase[Cpu.TR] = SvmMachine.TSS;
        cpu.segLimit[Cpu.TR] = 0x67;
        cpu.segAttr[Cpu.TR] = 0x8b;
        machine.nestedPaging();
        machine.nestedPage(SvmMachine.TSS, 0);
        assertInterrupted(expected, ExitCode.NPF);
        assertThat(machine.info2() & ~0xfffL).isEqualTo(SvmMachine.TSS);
    }

    /** The first exception is told, the second is the exit (§15.7.3). */
    @Test
    void byAnInterceptedExceptionThatWouldMakeADoubleFault() {
        long[] expected = arrange("fault with code");
        machine.memory.write(SvmMachine.IDT + 16 * 13 + 5, 1, 0);
        machine.intercept(ExitCode.EXCEPTION + 13);
        machine.put32(VmcbLayout.INTERCEPT_EXCEPTIONS, 1 << 11); // #NP: the gate is not present
        machine.memory.write(SvmMachine.IDT + 16 * 13 + 5, 1, 0x6e);
        assertInterrupted(expected, ExitCode.EXCEPTION + 11);
        assertThat(machine.info1()).as("vector, IDT, not external").isEqualTo(13 << 3 | 2);
    }

    /** EXITINTINFO has no error code where none would be pushed: in real mode (§8.4). */
    @Test
    void inRealModeExceptionsHaveNoErrorCode() {
        machine.put64(VmcbLayout.CR0, Cpu.CR0_ET);
        machine.put64(VmcbLayout.CR4, 0);
        machine.put64(VmcbLayout.EFER, Cpu.EFER_SVME);
        machine.put32(VmcbLayout.CS, 0x9b << 16);
        machine.put32(VmcbLayout.IDTR + VmcbLayout.LIMIT, 0x3ff);
        machine.put64(VmcbLayout.IDTR + VmcbLayout.BASE, SvmMachine.IDT);
        machine.put64(VmcbLayout.EVENTINJ, VALID | EXCEPTION | ERROR_CODE | 13);
        machine.nestedPaging();
        machine.nestedPage(SvmMachine.IDT, 0);
        machine.vmrunAndRun(3);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.NPF);
        assertThat(machine.get64(VmcbLayout.EXITINTINFO)).isEqualTo(VALID | EXCEPTION | 13);
    }

    /**
     * Error codes of faults on the way carry EXT (§8.4.1) when the event is an interrupt or an NMI,
     * not when it is an exception: Linux's nested_exceptions_test demands the same of AMD's
     * processors.
     */
    @ParameterizedTest
    @CsvSource({
        "interrupt, 0x51, 1",
        "virtual interrupt, 0x52, 1",
        "nmi, 2, 1",
        "fault, 6, 0",
        "trap, 1, 0",
        "int n, 0x53, 0",
        "int3, 3, 0",
        "icebp, 1, 0",
        "54, 0x54, 1",
        "200, 2, 1",
        "306, 6, 0",
        "deadbeef00000b0c, 12, 0",
        "455, 0x55, 0",
        "303, 3, 0"
    })
    void errorCodesTellWhetherTheEventIsExternal(String event, String vector, int external) {
        long[] expected = arrange(event);
        machine.put32(VmcbLayout.IDTR + VmcbLayout.LIMIT, 0);
        machine.intercept(ExitCode.EXCEPTION + 13);
        assertInterrupted(nmiVector(expected), ExitCode.EXCEPTION + 13);
        assertThat(machine.info1()).isEqualTo(Integer.decode(vector) << 3 | 2 | external);
    }

    /** What was told is injected again and arrives. */
    @ParameterizedTest
    @CsvSource({"interrupt, 0x51", "nmi, 2", "fault with code, 13", "int n, 0x53", "int3, 3"})
    void andTheEventCanBeInjectedAgain(String event, String vector) {
        arrange(event);
        machine.nestedPaging();
        machine.nestedPage(SvmMachine.GUEST_STACK - 0x1000, 0);
        machine.vmrunAndRun(3);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.NPF);
        machine.nestedPage(SvmMachine.GUEST_STACK - 0x1000, SvmMachine.GUEST_STACK - 0x1000 | 7);
        machine.put64(VmcbLayout.EVENTINJ, machine.get64(VmcbLayout.EXITINTINFO));
        machine.put64(VmcbLayout.NRIP, SvmMachine.GUEST_CODE + 2);
        cpu.rip = SvmMachine.HOST_CODE;
        cpu.r[Cpu.RAX] = SvmMachine.VMCB;
        machine.vmrun();
        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16L * Integer.decode(vector));
    }
}
