package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/**
 * What an observer is told of the hypervisor's hand in the VMCB, and that SVM state survives save
 * and load.
 */
class VmcbChangesTest {
    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;
    private final Recorder recorder = new Recorder();

    @AfterEach
    void release() {
        machine.close();
    }

    private void runOnce() {
        machine.vmrun();
        machine.svm.exit(ExitCode.HLT, 0, 0);
        cpu.rip = SvmMachine.HOST_CODE;
    }

    private List<String> changes() {
        return recorder.lines.stream().filter(line -> line.startsWith("change")).toList();
    }

    @Test
    void aVmcbSeenForTheFirstTimeHasNoChanges() {
        cpu.observer = recorder;
        runOnce();
        assertThat(changes()).isEmpty();
    }

    @Test
    void whatTheProcessorWroteIsNoChange() {
        cpu.observer = recorder;
        runOnce();
        runOnce();
        assertThat(changes()).isEmpty();
    }

    @Test
    void eachFieldOfTheLayoutIsToldByItself() {
        cpu.observer = recorder;
        for (VmcbLayout.Field field : VmcbLayout.FIELDS) {
            runOnce();
            recorder.lines.clear();
            long old = 0;
            for (int i = field.size() - 1; i >= 0; i--) {
                old = old << 8 | machine.get8(field.offset() + i);
            }
            long first = machine.get8(field.offset()) ^ 0x10;
            machine.put8(field.offset(), (int) first);
            machine.vmrun();
            assertThat(changes())
                    .containsExactly(
                            "change %x:%d %x -> %x"
                                    .formatted(field.offset(), field.size(), old, old ^ 0x10));
            if (cpu.guestMode) {
                machine.svm.exit(ExitCode.HLT, 0, 0);
            }
            machine.put8(field.offset(), (int) first ^ 0x10);
            cpu.rip = SvmMachine.HOST_CODE;
        }
    }

    @Test
    void fieldsAreInOrderAndDoNotOverlap() {
        int end = 0;
        for (VmcbLayout.Field field : VmcbLayout.FIELDS) {
            assertThat(field.offset()).as(field.name()).isGreaterThanOrEqualTo(end);
            end = field.offset() + field.size();
            assertThat(field.offset() >>> 3).isEqualTo(end - 1 >>> 3);
        }
        assertThat(end).isLessThanOrEqualTo(VmcbLayout.USED);
    }

    @Test
    void vmsaveIsNoChangeByHand() {
        cpu.observer = recorder;
        runOnce();
        cpu.msrs.star = 99;
        machine.execute("0f01db");
        cpu.rip = SvmMachine.HOST_CODE;
        runOnce();
        assertThat(changes()).isEmpty();
        assertThat(recorder.lines).contains("vmsave 10000");
    }

    @Test
    void stateSavedInAGuestIsTheSameAfterLoad() {
        cpu.observer = recorder;
        cpu.setRflags(Cpu.IF | 2);
        machine.nestedPaging();
        machine.put64(VmcbLayout.V_INTR, 5 | 1 << 8 | 9 << 16 | 1 << 24 | 0x31L << 32);
        machine.put64(VmcbLayout.TSC_OFFSET, 123);
        machine.intercept(ExitCode.CPUID);
        runOnce();
        machine.vmrun();
        BinaryStateWriter out = new BinaryStateWriter();
        machine.svm.save(out);
        try (SvmMachine other = new SvmMachine()) {
            byte[] page = new byte[4096];
            machine.memory.read(SvmMachine.VMCB, page, 0, 4096);
            other.memory.write(SvmMachine.VMCB, page, 0, 4096);
            other.cpu.guestMode = true;
            other.svm.load(new BinaryStateReader(out.toByteArray()));
            BinaryStateWriter again = new BinaryStateWriter();
            other.svm.save(again);
            assertThat(again.toByteArray()).isEqualTo(out.toByteArray());
            assertThat(other.svm.intercepted(ExitCode.CPUID)).isTrue();
            assertThat(other.svm.timeStamp() - other.cpu.tsc()).isEqualTo(123);
            assertThat(other.svm.hostInterruptFlag()).isTrue();
            assertThat(other.svm.pendingVirtualInterrupt()).isEqualTo(0x31);
            other.svm.exit(ExitCode.CPUID, 0, 0);
            assertThat(other.cpu.rip).isEqualTo(SvmMachine.HOST_CODE + 3);
            assertThat(other.cpu.cr3).isEqualTo(SvmMachine.HOST_PML4);
        }
    }

    /** Virtual NMIs, the virtual GIF, branch records and the PAUSE filter, none as after RESET. */
    @Test
    void controlsOfAGuestAreTheSameAfterLoad() {
        long flags = 1 << 8 | 1 << 9 | 1 << 11 | 1 << 12; // V_IRQ, V_GIF, V_NMI, V_NMI_MASK
        long control = 5 | flags | 3L << 16 | 7 << 24 | 0x31L << 32;
        machine.put64(VmcbLayout.V_INTR, control);
        machine.put16(VmcbLayout.PAUSE_FILTER_COUNT, 3);
        machine.put16(VmcbLayout.PAUSE_FILTER_THRESHOLD, 1000);
        machine.put64(VmcbLayout.LBR_VIRTUALIZATION_ENABLE, 1);
        machine.intercept(ExitCode.PAUSE);
        machine.intercept(ExitCode.NMI);
        cpu.msrs.lastBranchFrom = 11;
        cpu.msrs.lastBranchTo = 12;
        cpu.msrs.lastExceptionFrom = 13;
        cpu.msrs.lastExceptionTo = 14;
        machine.vmrun();
        assertThat(machine.svm.pauseIntercepted()).isFalse();
        BinaryStateWriter out = new BinaryStateWriter();
        machine.svm.save(out);
        try (SvmMachine other = new SvmMachine()) {
            byte[] page = new byte[4096];
            machine.memory.read(SvmMachine.VMCB, page, 0, 4096);
            other.memory.write(SvmMachine.VMCB, page, 0, 4096);
            other.put64(VmcbLayout.V_INTR, control & ~flags);
            other.clock.retired = machine.clock.retired;
            other.cpu.guestMode = true;
            other.svm.load(new BinaryStateReader(out.toByteArray()));
            BinaryStateWriter again = new BinaryStateWriter();
            other.svm.save(again);
            assertThat(again.toByteArray()).isEqualTo(out.toByteArray());
            assertThat(other.svm.virtualInterruptControl()).isEqualTo(control);
            assertThat(other.svm.virtualNmiDue()).as("masked").isFalse();
            assertThat(other.svm.pauseIntercepted()).as("the second of three").isFalse();
            assertThat(other.svm.pauseIntercepted()).as("the third").isFalse();
            assertThat(other.svm.pauseIntercepted()).isTrue();
            other.svm.exit(ExitCode.PAUSE, 0, 0);
            assertThat(other.cpu.msrs.lastBranchFrom).isEqualTo(11);
            assertThat(other.cpu.msrs.lastBranchTo).isEqualTo(12);
            assertThat(other.cpu.msrs.lastExceptionFrom).isEqualTo(13);
            assertThat(other.cpu.msrs.lastExceptionTo).isEqualTo(14);
        }
    }
}
