package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import org.junit.jupiter.api.Test;

/** LBR virtualization (§15.23): DebugCtl and the branch records of host and guest. */
class LbrVirtualizationTest {
    private static final long LBR = 1;
    private static final long BTF = 2;
    private static final int[] RECORDS = {
        VmcbLayout.DBGCTL,
        VmcbLayout.BR_FROM,
        VmcbLayout.BR_TO,
        VmcbLayout.LASTEXCPFROM,
        VmcbLayout.LASTEXCPTO
    };

    private static void host(SvmMachine machine, long debugCtl) {
        machine.cpu.msrs.setDebugControl(debugCtl);
        machine.cpu.msrs.lastBranchFrom = 0x11;
        machine.cpu.msrs.lastBranchTo = 0x12;
        machine.cpu.msrs.lastExceptionFrom = 0x13;
        machine.cpu.msrs.lastExceptionTo = 0x14;
        machine.intercept(ExitCode.HLT);
        machine.put64(VmcbLayout.BR_FROM, 0x21);
        machine.put64(VmcbLayout.BR_TO, 0x22);
        machine.put64(VmcbLayout.LASTEXCPFROM, 0x23);
        machine.put64(VmcbLayout.LASTEXCPTO, 0x24);
    }

    private static long[] vmcb(SvmMachine machine) {
        long[] values = new long[RECORDS.length];
        for (int i = 0; i < values.length; i++) {
            values[i] = machine.get64(RECORDS[i]);
        }
        return values;
    }

    private static long[] registers(SvmMachine machine) {
        return new long[] {
            machine.cpu.msrs.debugCtl,
            machine.cpu.msrs.lastBranchFrom,
            machine.cpu.msrs.lastBranchTo,
            machine.cpu.msrs.lastExceptionFrom,
            machine.cpu.msrs.lastExceptionTo
        };
    }

    @Test
    void theGuestHasRecordsOfItsOwn() {
        try (SvmMachine machine = new SvmMachine()) {
            host(machine, 0);
            machine.put64(VmcbLayout.LBR_VIRTUALIZATION_ENABLE, 1);
            machine.put64(VmcbLayout.DBGCTL, LBR);
            machine.code(SvmMachine.GUEST_CODE, "90 eb0d"); // nop; jmp +16
            machine.code(SvmMachine.GUEST_CODE + 0x10, "cd30"); // int 30h: its handler halts
            machine.vmrun();
            assertThat(registers(machine)).containsExactly(LBR, 0x21, 0x22, 0x23, 0x24);
            assertThat(machine.run(4)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
            assertThat(vmcb(machine))
                    .containsExactly(
                            LBR,
                            SvmMachine.GUEST_CODE + 0x10,
                            SvmMachine.HANDLERS + 0x300,
                            SvmMachine.GUEST_CODE + 1,
                            SvmMachine.GUEST_CODE + 0x10);
            assertThat(registers(machine)).containsExactly(0, 0x11, 0x12, 0x13, 0x14);
        }
    }

    @Test
    void theHostRecordsOnAfterwardsAndVmrunIsNoBranch() {
        try (SvmMachine machine = new SvmMachine()) {
            host(machine, LBR);
            machine.put64(VmcbLayout.LBR_VIRTUALIZATION_ENABLE, 1);
            machine.code(SvmMachine.GUEST_CODE, "eb00 f4"); // jmp next; hlt
            machine.step(1); // vmrun
            assertThat(machine.cpu.guestMode).isTrue();
            machine.step(1);
            machine.step(1); // an exit is no step of its own: hlt exits, then jmp $ is executed
            assertThat(machine.cpu.guestMode).isFalse();
            assertThat(vmcb(machine)).containsExactly(0, 0x21, 0x22, 0x23, 0x24);
            long loop = SvmMachine.HOST_CODE + 3;
            assertThat(registers(machine)).containsExactly(LBR, loop, loop, 0x13, 0x14);
            assertThat(machine.memory.read64(SvmMachine.HOST_SAVE + VmcbLayout.BR_FROM))
                    .isEqualTo(0x11);
        }
    }

    @Test
    void withoutItTheRegistersAreShared() {
        try (SvmMachine machine = new SvmMachine()) {
            host(machine, LBR);
            machine.put64(VmcbLayout.DBGCTL, BTF);
            machine.code(SvmMachine.GUEST_CODE, "eb0e");
            machine.vmrun();
            machine.step(1);
            machine.svm.exit(ExitCode.INTR, 0, 0);
            assertThat(vmcb(machine)).containsExactly(BTF, 0x21, 0x22, 0x23, 0x24);
            assertThat(registers(machine))
                    .containsExactly(
                            LBR, SvmMachine.GUEST_CODE, SvmMachine.GUEST_CODE + 0x10, 0x13, 0x14);
        }
    }

    @Test
    void withoutTheFeatureTheBitMeansNothing() {
        try (SvmMachine machine = new SvmMachine()) {
            machine.cpu.model = CpuModel.parse("epyc-milan,-lbrv");
            host(machine, 0);
            machine.put64(VmcbLayout.LBR_VIRTUALIZATION_ENABLE, 1);
            machine.put64(VmcbLayout.DBGCTL, LBR);
            machine.code(SvmMachine.GUEST_CODE, "eb00 f4");
            assertThat(machine.vmrunAndRun(2)).isTrue();
            assertThat(vmcb(machine)).containsExactly(LBR, 0x21, 0x22, 0x23, 0x24);
            assertThat(registers(machine)).containsExactly(0, 0x11, 0x12, 0x13, 0x14);
        }
    }

    /** An intercepted #DB has already ended the recording (§13.1.6.1, §15.12.2). */
    @Test
    void anInterceptedDebugExceptionStoresAClearDebugControl() {
        try (SvmMachine machine = new SvmMachine()) {
            host(machine, 0);
            machine.intercept(ExitCode.EXCEPTION + 1);
            machine.put64(VmcbLayout.LBR_VIRTUALIZATION_ENABLE, 1);
            machine.put64(VmcbLayout.DBGCTL, LBR | BTF);
            machine.put64(VmcbLayout.RFLAGS, Cpu.TF | 2);
            machine.code(SvmMachine.GUEST_CODE, "90 eb0d");
            assertThat(machine.vmrunAndRun(4)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 1);
            assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE + 0x10);
            assertThat(vmcb(machine))
                    .containsExactly(
                            0, SvmMachine.GUEST_CODE + 1, SvmMachine.GUEST_CODE + 0x10, 0x23, 0x24);
            assertThat(machine.get64(VmcbLayout.DR6) & 1 << 14).isNotZero();
        }
    }

    @Test
    void injectedEventsAreRecorded() {
        try (SvmMachine machine = new SvmMachine()) {
            host(machine, 0);
            machine.put64(VmcbLayout.LBR_VIRTUALIZATION_ENABLE, 1);
            machine.put64(VmcbLayout.DBGCTL, LBR);
            machine.put64(VmcbLayout.EVENTINJ, 1L << 31 | 0x40);
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(vmcb(machine))
                    .containsExactly(
                            LBR, SvmMachine.GUEST_CODE, SvmMachine.HANDLERS + 0x400, 0x21, 0x22);
        }
    }

    @Test
    void anIllegalGuestStateLeavesTheRegistersAlone() {
        try (SvmMachine machine = new SvmMachine()) {
            host(machine, LBR);
            machine.put64(VmcbLayout.LBR_VIRTUALIZATION_ENABLE, 1);
            machine.put64(VmcbLayout.DBGCTL, BTF);
            machine.put32(VmcbLayout.ASID, 0);
            machine.vmrun();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.INVALID);
            assertThat(vmcb(machine)).containsExactly(BTF, 0x21, 0x22, 0x23, 0x24);
            assertThat(registers(machine)).containsExactly(LBR, 0x11, 0x12, 0x13, 0x14);
        }
    }
}
