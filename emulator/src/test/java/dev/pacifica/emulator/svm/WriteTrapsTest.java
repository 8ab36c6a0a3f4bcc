package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The CR and EFER write traps (Appendix C, 8Fh to 9Fh): exits after the instruction. */
class WriteTrapsTest {
    private static final int NEVER = 0x7777;
    private static final long CR0 = Cpu.CR0_PE | Cpu.CR0_PG | Cpu.CR0_ET | Cpu.CR0_WP | Cpu.CR0_NE;
    private static final long EFER =
            Cpu.EFER_SVME | Cpu.EFER_LME | Cpu.EFER_LMA | Cpu.EFER_NXE | Cpu.EFER_SCE;

    private static SvmMachine machine(String hex, long value) {
        SvmMachine machine = new SvmMachine();
        machine.put64(VmcbLayout.EXITCODE, NEVER);
        machine.code(SvmMachine.GUEST_CODE, hex);
        machine.cpu.r[Cpu.RBX] = value;
        machine.put64(VmcbLayout.RAX, value & 0xffff_ffffL);
        machine.cpu.r[Cpu.RDX] = value >>> 32;
        machine.cpu.r[Cpu.RCX] = 0xc000_0080L; // EFER
        return machine;
    }

    @ParameterizedTest
    @CsvSource({
        // exit code, instruction, value, EXITINFO1, VMCB field that has it
        "0x90, 0f22c3, 0x80010039, 0x80010039, 0x558", // mov cr0, rbx: TS
        "0x90, 0f01f3, 0x0000000b, 0x8001003b, 0x558", // lmsw bx: MP and TS
        "0x90, 0f06, 0x00000000, 0x80010031, 0x558", // clts
        "0x92, 0f22d3, 0x123456789, 0x123456789, 0x640", // mov cr2, rbx
        "0x93, 0f22db, 0x00030018, 0x00030018, 0x550", // mov cr3, rbx
        "0x94, 0f22e3, 0x000000a0, 0x000000a0, 0x548", // mov cr4, rbx
        "0x98, 440f22c3, 0x00000009, 0x00000009, 0x060", // mov cr8, rbx
        "0x98, f00f22c3, 0x00000009, 0x00000009, 0x060", // lock mov cr0, rbx
        "0x8f, 0f30, 0x00001901, 0x00001d01, 0x4d0", // wrmsr EFER: SCE, not NXE
    })
    void trapsComeAfterTheInstruction(
            String code, String hex, String value, String info1, String field) {
        try (SvmMachine machine = machine(hex, Long.decode(value))) {
            machine.put64(VmcbLayout.CR0, CR0 | (hex.equals("0f06") ? Cpu.CR0_TS : 0));
            machine.put64(VmcbLayout.RFLAGS, Cpu.RF | 2);
            machine.put64(VmcbLayout.INTERRUPT_SHADOW, 1);
            machine.intercept(Integer.decode(code));
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(Long.decode(code));
            assertThat(machine.info1()).isEqualTo(Long.decode(info1));
            assertThat(machine.get64(Integer.decode(field))).isEqualTo(Long.decode(info1));
            assertThat(machine.get64(VmcbLayout.RIP))
                    .isEqualTo(SvmMachine.GUEST_CODE + hex.length() / 2);
            assertThat(machine.get64(VmcbLayout.NRIP)).isZero();
            assertThat(machine.get64(VmcbLayout.RFLAGS)).isEqualTo(2);
            assertThat(machine.get64(VmcbLayout.INTERRUPT_SHADOW)).isZero();
        }
        try (SvmMachine machine = machine(hex, Long.decode(value))) {
            for (int each = ExitCode.EFER_WRITE_TRAP; each < ExitCode.INVLPGB; each++) {
                if (each != Integer.decode(code)) {
                    machine.intercept(each);
                }
            }
            machine.vmrunAndRun(1);
            assertThat(machine.exitCode()).isEqualTo(NEVER);
        }
    }

    @Test
    void theInterceptBeforeTheInstructionComesFirst() {
        try (SvmMachine machine = machine("0f22e3", 0xa0)) {
            machine.intercept(ExitCode.CR_WRITE + 4);
            machine.intercept(ExitCode.CR_WRITE_TRAP + 4);
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.CR_WRITE + 4);
            assertThat(machine.get64(VmcbLayout.CR4)).isEqualTo(Cpu.CR4_PAE);
        }
    }

    @Test
    void aFaultingWriteIsNoWrite() {
        try (SvmMachine machine = machine("0f30", EFER | 1L << 40)) {
            machine.intercept(ExitCode.EFER_WRITE_TRAP);
            machine.intercept(ExitCode.EXCEPTION + 13);
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 13);
        }
    }

    @Test
    void otherMsrsHaveNoTrap() {
        try (SvmMachine machine = machine("0f30", 0)) {
            machine.cpu.r[Cpu.RCX] = 0xc000_0084L;
            machine.intercept(ExitCode.EFER_WRITE_TRAP);
            machine.vmrunAndRun(1);
            assertThat(machine.exitCode()).isEqualTo(NEVER);
        }
    }

    @Test
    void theTrappedInstructionHasRetired() {
        try (SvmMachine machine = machine("90 0f22d3", 5)) {
            machine.intercept(ExitCode.CR_WRITE_TRAP + 2);
            machine.vmrun();
            long before = machine.clock.retired;
            machine.step(2);
            assertThat(machine.cpu.guestMode).isFalse();
            assertThat(machine.clock.retired).isEqualTo(before + 2);
        }
    }
}
