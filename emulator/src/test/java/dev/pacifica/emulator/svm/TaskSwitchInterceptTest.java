package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * §15.14.1, in a 32-bit guest: TSS selectors 38h (running) and 40h, a task gate 48h to it, IDT
 * vector 30h a task gate too.
 */
class TaskSwitchInterceptTest {
    private static final int OTHER = 0x40;
    private static final long OTHER_TSS = 0x72000;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @BeforeEach
    void tasks() {
        machine.protected32();
        machine.memory.write64(SvmMachine.GDT + 0x10, 0x00cf_9b00_0000_ffffL);
        machine.memory.write64(SvmMachine.GDT + 0x38, 0x0000_8b06_2000_0067L);
        machine.memory.write64(SvmMachine.GDT + OTHER, 0x0000_8907_2000_0067L);
        machine.memory.write64(SvmMachine.GDT + 0x48, 0x0000_8500_0000_0000L | OTHER << 16);
        machine.memory.write64(SvmMachine.IDT + 8 * 0x30, 0x0000_e500_0000_0000L | OTHER << 16);
        machine.memory.write64(SvmMachine.IDT + 8 * 13, 0x0000_8500_0000_0000L | OTHER << 16);
        machine.intercept(ExitCode.TASK_SWITCH);
        cpu.segSelector[Cpu.TR] = 0x38;
        cpu.segAttr[Cpu.TR] = 0x8b;
        cpu.segBase[Cpu.TR] = SvmMachine.TSS;
        cpu.segLimit[Cpu.TR] = 0x67;
    }

    @AfterEach
    void release() {
        machine.close();
    }

    private void run(String hex) {
        machine.code(SvmMachine.GUEST_CODE, hex);
        assertThat(machine.vmrunAndRun(1)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.TASK_SWITCH);
        assertThat(machine.info1() & 0xffff).isEqualTo(OTHER);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
        assertThat(machine.memory.read64(SvmMachine.GDT + OTHER))
                .as("not marked busy")
                .isEqualTo(0x0000_8907_2000_0067L);
    }

    @Test
    void aFarJumpToATss() {
        run("ea000000004000");
        assertThat(machine.info2() >>> 32).isEqualTo(1 << 6);
    }

    @Test
    void aFarCallThroughATaskGate() {
        run("9a000000004800");
        assertThat(machine.info2() >>> 32).isZero();
    }

    @Test
    void aSoftwareInterruptThroughATaskGate() {
        run("cd30");
        assertThat(machine.info2() >>> 32).isZero();
        assertThat(machine.get64(VmcbLayout.EXITINTINFO)).isEqualTo(1L << 31 | 4 << 8 | 0x30);
    }

    @Test
    void anExceptionWithErrorCode() {
        machine.put64(VmcbLayout.RAX, 0xfff8);
        run("8ed8"); // mov ds, ax beyond the GDT
        assertThat(machine.info2())
                .as("RF of a fault, error code, and that there is one")
                .isEqualTo(1L << 48 | 1L << 44 | 0xfff8);
        assertThat(machine.get64(VmcbLayout.EXITINTINFO))
                .isEqualTo(0xfff8L << 32 | 1L << 31 | 1 << 11 | 3 << 8 | 13);
    }

    @Test
    void anIretToTheBackLink() {
        machine.memory.write64(SvmMachine.GDT + OTHER, 0x0000_8b07_2000_0067L);
        machine.memory.write(SvmMachine.TSS, 2, OTHER);
        machine.put64(VmcbLayout.RFLAGS, Cpu.NT | 2);
        machine.code(SvmMachine.GUEST_CODE, "cf");
        assertThat(machine.vmrunAndRun(1)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.TASK_SWITCH);
        assertThat(machine.info1() & 0xffff).isEqualTo(OTHER);
        assertThat(machine.info2() >>> 32).isEqualTo(1 << 4);
    }

    /** The incoming TSS and the task gate are checked before the intercept. */
    @ParameterizedTest
    @CsvSource({
        // descriptor (TSS or gate), its second half, instruction, exception
        "0x40, 0x00000907, ea000000004000, 11", // absent
        "0x40, 0x00008b07, ea000000004000, 13", // busy
        "0x48, 0x00000500, ea000000004800, 11", // absent gate
        "0x40, 0x00000907, 9a000000004800, 11", // absent behind a gate
        "0x40, 0x00008b07, 9a000000004800, 13", // busy behind a gate
    })
    void anIllegalTaskRaisesItsExceptionFirst(int at, String high, String hex, int vector) {
        machine.memory.write(SvmMachine.GDT + at + 4, 4, Integer.decode(high));
        assertRaisedFirst(hex, vector);
    }

    @ParameterizedTest
    @ValueSource(strings = {"ea000000004000", "9a000000004800", "cd30"})
    void aShortTssRaisesItsExceptionFirst(String hex) {
        machine.memory.write(SvmMachine.GDT + OTHER, 2, 0x66);
        assertRaisedFirst(hex, 10);
    }

    private void assertRaisedFirst(String hex, int vector) {
        machine.intercept(ExitCode.EXCEPTION + vector);
        machine.code(SvmMachine.GUEST_CODE, hex);
        assertThat(machine.vmrunAndRun(1)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + vector);
        assertThat(cpu.segSelector[Cpu.TR]).isEqualTo(0x38);
    }

    /** §15.7.2: the event is known too when the switch itself meets a nested fault. */
    @Test
    void aNestedFaultOnTheNewTssTellsTheEvent() {
        machine.put32(VmcbLayout.INTERCEPT_MISC1, 0);
        machine.nestedPaging();
        machine.nestedPage(OTHER_TSS, 0);
        machine.code(SvmMachine.GUEST_CODE, "cd30");
        assertThat(machine.vmrunAndRun(1)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.NPF);
        assertThat(machine.get64(VmcbLayout.EXITINTINFO)).isEqualTo(1L << 31 | 4 << 8 | 0x30);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
        assertThat(cpu.segSelector[Cpu.TR]).as("the old task goes on").isEqualTo(0x38);
    }

    @Test
    void withoutTheInterceptTheTaskSwitches() {
        machine.put32(VmcbLayout.INTERCEPT_MISC1, 0);
        machine.memory.write(OTHER_TSS + 0x20, 4, SvmMachine.GUEST_CODE + 0x100);
        machine.memory.write(OTHER_TSS + 0x24, 4, 2);
        for (int segment = 0; segment < 6; segment++) {
            machine.memory.write(OTHER_TSS + 0x48 + 4 * segment, 2, segment == 1 ? 0x10 : 0x18);
        }
        machine.code(SvmMachine.GUEST_CODE, "ea000000004000");
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.guestMode).isTrue();
        assertThat(cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 0x100);
        assertThat(cpu.segSelector[Cpu.TR]).isEqualTo(OTHER);
    }
}
