package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Which of two causes ends an instruction (Table 15-7, §15.10.2): its intercept comes behind the
 * exceptions that need no memory, and before those that do. {@link InstructionInterceptsTest} has
 * those of privilege.
 */
class InterceptOrderTest {
    private static final int NEVER = 0x7777;
    private static final long NOT_MAPPED = 0x4000_0000L;
    private static final long CR4_UMIP = 1 << 11;
    private static final long GENERAL_DETECT = 1 << 13;
    private static final int PORT = 0x70;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @AfterEach
    void release() {
        machine.close();
    }

    private void user() {
        machine.put8(VmcbLayout.CPL, 3);
        machine.segment(VmcbLayout.CS, 0x2b, 0xafb, 0xffff_ffffL, 0);
        machine.segment(VmcbLayout.SS, 0x33, 0xcf3, 0xffff_ffffL, 0);
    }

    /** The exit code of the guest's one instruction, all exceptions being intercepted too. */
    private long exitOf(String hex) {
        machine.code(SvmMachine.GUEST_CODE, hex);
        machine.put64(VmcbLayout.EXITCODE, NEVER);
        machine.put32(VmcbLayout.INTERCEPT_EXCEPTIONS, 0xffff_ffffL);
        machine.vmrunAndRun(1);
        return machine.exitCode();
    }

    private static long exception(int vector) {
        return ExitCode.EXCEPTION + vector;
    }

    /** What lies at RBX, RSI, RDI and RSP is not mapped. */
    @ParameterizedTest
    @CsvSource({
        "0x00, 0f0123", // smsw [rbx]
        "0x10, 0f0133", // lmsw [rbx]
        "0x65, 0f0133", // the same, by the selective intercept
        "0x66, 0f010b", // sidt [rbx]
        "0x67, 0f0103", // sgdt
        "0x68, 0f0003", // sldt
        "0x69, 0f000b", // str
        "0x6a, 0f011b", // lidt
        "0x6b, 0f0113", // lgdt
        "0x6c, 0f0013", // lldt
        "0x6d, 0f001b", // ltr
        "0x70, 9c", // pushf
        "0x71, 9d", // popf
        "0x74, 48cf", // iret
        "0x7b, 6c", // insb
        "0x7b, f36f", // rep outsd
        "0xa2, 660f388203", // invpcid rax, [rbx]
    })
    void anInterceptComesBeforeThePageFault(String code, String hex) {
        machine.put64(VmcbLayout.RSP, NOT_MAPPED);
        cpu.r[Cpu.RBX] = cpu.r[Cpu.RSI] = cpu.r[Cpu.RDI] = NOT_MAPPED;
        cpu.r[Cpu.RCX] = 1;
        cpu.r[Cpu.RDX] = PORT;
        assertThat(exitOf(hex)).as("without the intercept").isEqualTo(exception(GuestException.PF));
        cpu.rip = SvmMachine.HOST_CODE;
        machine.intercept(Integer.decode(code));
        machine.interceptPort(PORT);
        assertThat(exitOf(hex)).isEqualTo(Long.decode(code));
    }

    @ParameterizedTest
    @CsvSource({
        "0x00, 0f01e3", // smsw ebx
        "0x66, 0f010c24", // sidt [rsp]
        "0x67, 0f010424", // sgdt [rsp]
        "0x68, 0f00c3", // sldt ebx
        "0x69, 0f00cb", // str ebx
    })
    void userModeInstructionPreventionComesBeforeTheIntercept(String code, String hex) {
        user();
        machine.intercept(Integer.decode(code));
        assertThat(exitOf(hex)).isEqualTo(Long.decode(code));
        cpu.rip = SvmMachine.HOST_CODE;
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | CR4_UMIP);
        assertThat(exitOf(hex)).isEqualTo(exception(GuestException.GP));
    }

    /** RCX is 4: no such counter, and extensions that MONITOR and MWAIT do not have. */
    @ParameterizedTest
    @CsvSource({"0x6f, 0f33", "0x8a, 0f01c8", "0x8b, 0f01c9"})
    void anIllegalEcxComesBeforeTheIntercept(String code, String hex) {
        machine.put64(VmcbLayout.RAX, 0x8_0000);
        cpu.r[Cpu.RCX] = 4;
        machine.intercept(Integer.decode(code));
        assertThat(exitOf(hex)).isEqualTo(exception(GuestException.GP));
        cpu.rip = SvmMachine.HOST_CODE;
        cpu.r[Cpu.RCX] = 0;
        assertThat(exitOf(hex)).isEqualTo(Long.decode(code));
    }

    @ParameterizedTest
    @CsvSource({"0x20, 0f21c3", "0x36, 0f23f0"})
    void generalDetectComesBeforeTheInterceptAndIsClearBehindIt(String code, String hex) {
        machine.put64(VmcbLayout.DR7, 0x400 | GENERAL_DETECT);
        machine.intercept(Integer.decode(code));
        assertThat(exitOf(hex)).isEqualTo(exception(GuestException.DB));
        assertThat(machine.get64(VmcbLayout.DR7)).as("§15.12.2").isEqualTo(0x400);
        assertThat(machine.get64(VmcbLayout.DR6)).isEqualTo(0xffff_0ff0L | GENERAL_DETECT);
    }

    @Test
    void debugRegisters4And5HaveInterceptsOfTheirOwn() {
        machine.intercept(ExitCode.DR_WRITE + 6);
        assertThat(exitOf("0f23e0")).as("mov dr4, rax").isEqualTo(NEVER);
        machine.svm.exit(ExitCode.HLT, 0, 0);
        cpu.rip = SvmMachine.HOST_CODE;
        machine.put64(VmcbLayout.RIP, SvmMachine.GUEST_CODE);
        machine.intercept(ExitCode.DR_WRITE + 4);
        assertThat(exitOf("0f23e0")).isEqualTo(ExitCode.DR_WRITE + 4);
    }

    @Test
    void theGeneralInterceptOfLmswComesBeforeTheSelectiveOne() {
        machine.intercept(ExitCode.CR0_SEL_WRITE);
        machine.intercept(ExitCode.CR_WRITE);
        assertThat(exitOf("0f01f0")).isEqualTo(ExitCode.CR_WRITE);
    }

    /** With IOPL 0 and a TSS without a permission map. */
    @ParameterizedTest
    @CsvSource({"6c", "6e", "f36c", "f36e", "e470", "e670"})
    void portProtectionOfTheTssComesBeforeTheIntercept(String hex) {
        user();
        cpu.r[Cpu.RCX] = 1;
        cpu.r[Cpu.RDX] = PORT;
        cpu.r[Cpu.RSI] = cpu.r[Cpu.RDI] = 0x8_0000;
        machine.interceptPort(PORT);
        assertThat(exitOf(hex)).isEqualTo(exception(GuestException.GP));
        cpu.rip = SvmMachine.HOST_CODE;
        machine.put64(VmcbLayout.RFLAGS, Cpu.IOPL | 2);
        assertThat(exitOf(hex)).isEqualTo(ExitCode.IOIO);
    }

    /** Nothing is accessed: there is nothing to exit for. */
    @ParameterizedTest
    @CsvSource({"f36c", "f36f", "f26e"})
    void aStringAccessRepeatedZeroTimesDoesNotExit(String hex) {
        cpu.r[Cpu.RCX] = 0;
        cpu.r[Cpu.RDX] = PORT;
        machine.interceptPort(PORT);
        assertThat(exitOf(hex)).isEqualTo(NEVER);
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 2);
    }

    /** Virtual-8086 mode with IOPL 0, where all these raise #GP. */
    @ParameterizedTest
    @CsvSource({"0x70, 9c", "0x71, 9d", "0x74, cf", "0x75, cd21"})
    void interceptsOfFlagsComeBeforeIopl(String code, String hex) {
        machine.real();
        machine.put64(VmcbLayout.CR0, Cpu.CR0_PE | Cpu.CR0_ET);
        machine.put64(VmcbLayout.RFLAGS, Cpu.VM | 2);
        machine.put64(VmcbLayout.IDTR + VmcbLayout.BASE, SvmMachine.IDT);
        assertThat(exitOf(hex)).isEqualTo(exception(GuestException.GP));
        cpu.rip = SvmMachine.HOST_CODE;
        machine.intercept(Integer.decode(code));
        assertThat(exitOf(hex)).isEqualTo(Long.decode(code));
    }

    @Test
    void illegalPointersOfAPaeGuestComeBehindTheInterceptOfMovCr3() {
        machine.put64(VmcbLayout.EFER, Cpu.EFER_SVME);
        machine.segment(VmcbLayout.CS, 0x10, SvmMachine.CODE32, 0xffff_ffffL, 0);
        machine.memory.write64(0x7_0000, 0x7_1000 | SvmMachine.P);
        machine.memory.write64(
                0x7_1000, SvmMachine.P | SvmMachine.W | SvmMachine.U | SvmMachine.PS);
        machine.put64(VmcbLayout.CR3, 0x7_0000);
        machine.memory.write64(0x7_2000, 0x7_1000 | SvmMachine.P | SvmMachine.W); // W is reserved
        machine.put64(VmcbLayout.RAX, 0x7_2000);
        assertThat(exitOf("0f22d8")).isEqualTo(exception(GuestException.GP));
        cpu.rip = SvmMachine.HOST_CODE;
        machine.intercept(ExitCode.CR_WRITE + 3);
        assertThat(exitOf("0f22d8")).isEqualTo(ExitCode.CR_WRITE + 3);
    }

    @Test
    void theAddressOfInvlpgHasTheSegmentsBase() {
        cpu.segBase[Cpu.FS] = 0x1000;
        cpu.r[Cpu.RBX] = 0x8_0000;
        machine.intercept(ExitCode.INVLPG);
        assertThat(exitOf("640f013b")).isEqualTo(ExitCode.INVLPG); // invlpg fs:[rbx]
        assertThat(machine.info1()).isEqualTo(0x8_1000);
    }
}
