package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/**
 * §15.5.2: FS, GS, TR, LDTR with their hidden parts, KernelGsBase, the SYSCALL and SYSENTER
 * registers.
 */
class VmloadVmsaveTest {
    private static final String VMLOAD = "0f01da";
    private static final String VMSAVE = "0f01db";

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @AfterEach
    void release() {
        machine.close();
    }

    @Test
    void vmloadLoadsThem() {
        machine.segment(VmcbLayout.FS, 0x11, 0xcf3, 0x1111, 0xffff_8880_0000_0000L);
        machine.segment(VmcbLayout.GS, 0x22, 0x0f3, 0x2222, 0x7fff_0000_0000L);
        machine.segment(VmcbLayout.LDTR, 0x33, 0x082, 0x3333, 0x30000);
        machine.segment(VmcbLayout.TR, 0x44, 0x08b, 0x4444, 0x40000);
        for (int i = 0; i < 8; i++) {
            machine.put64(VmcbLayout.STAR + 8 * i, 0x1000 + i);
        }
        assertThat(machine.execute(VMLOAD)).isNull();

        assertThat(cpu.segSelector[Cpu.FS]).isEqualTo(0x11);
        assertThat(cpu.segAttr[Cpu.FS]).isEqualTo(0xcf3);
        assertThat(cpu.segLimit[Cpu.FS]).isEqualTo(0x1111);
        assertThat(cpu.segBase[Cpu.FS]).isEqualTo(0xffff_8880_0000_0000L);
        assertThat(cpu.segBase[Cpu.GS]).isEqualTo(0x7fff_0000_0000L);
        assertThat(cpu.segSelector[Cpu.LDTR]).isEqualTo(0x33);
        assertThat(cpu.segLimit[Cpu.LDTR]).isEqualTo(0x3333);
        assertThat(cpu.segSelector[Cpu.TR]).isEqualTo(0x44);
        assertThat(cpu.segAttr[Cpu.TR]).isEqualTo(0x08b);
        assertThat(cpu.msrs.star).isEqualTo(0x1000);
        assertThat(cpu.msrs.lstar).isEqualTo(0x1001);
        assertThat(cpu.msrs.cstar).isEqualTo(0x1002);
        assertThat(cpu.msrs.sfmask).isEqualTo(0x1003);
        assertThat(cpu.msrs.kernelGsBase).isEqualTo(0x1004);
        assertThat(cpu.msrs.sysenterCs).isEqualTo(0x1005);
        assertThat(cpu.msrs.sysenterEsp).isEqualTo(0x1006);
        assertThat(cpu.msrs.sysenterEip).isEqualTo(0x1007);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HOST_CODE + 3);
    }

    @Test
    void basesAreCanonicalized() {
        machine.segment(VmcbLayout.FS, 0, 0, 0, 0x1234_8000_0000_0000L);
        machine.put64(VmcbLayout.KERNEL_GS_BASE, 0x0000_ffff_ffff_ffffL);
        machine.execute(VMLOAD);
        assertThat(cpu.segBase[Cpu.FS]).isEqualTo(0xffff_8000_0000_0000L);
        assertThat(cpu.msrs.kernelGsBase).isEqualTo(-1);
    }

    @Test
    void vmsaveStoresThemAndNothingElse() {
        for (int offset = 0; offset < VmcbLayout.SIZE; offset += 8) {
            machine.put64(offset, 0x5a5a_5a5a_5a5a_5a5aL);
        }
        int[] segments = {Cpu.FS, Cpu.GS, Cpu.LDTR, Cpu.TR};
        int[] places = {VmcbLayout.FS, VmcbLayout.GS, VmcbLayout.LDTR, VmcbLayout.TR};
        for (int i = 0; i < 4; i++) {
            cpu.segSelector[segments[i]] = 0x10 * i + 3;
            cpu.segAttr[segments[i]] = 0x80 + i;
            cpu.segLimit[segments[i]] = 0xf000_0000L + i;
            cpu.segBase[segments[i]] = -1L - i;
        }
        cpu.msrs.star = 1;
        cpu.msrs.lstar = 2;
        cpu.msrs.cstar = 3;
        cpu.msrs.sfmask = 4;
        cpu.msrs.kernelGsBase = 5;
        cpu.msrs.sysenterCs = 6;
        cpu.msrs.sysenterEsp = 7;
        cpu.msrs.sysenterEip = 8;
        assertThat(machine.execute(VMSAVE)).isNull();

        for (int i = 0; i < 4; i++) {
            assertThat(machine.get16(places[i])).isEqualTo(0x10 * i + 3);
            assertThat(machine.get16(places[i] + VmcbLayout.ATTRIBUTES)).isEqualTo(0x80 + i);
            assertThat(machine.get32(places[i] + VmcbLayout.LIMIT)).isEqualTo(0xf000_0000L + i);
            assertThat(machine.get64(places[i] + VmcbLayout.BASE)).isEqualTo(-1L - i);
        }
        for (int i = 0; i < 8; i++) {
            assertThat(machine.get64(VmcbLayout.STAR + 8 * i)).isEqualTo(i + 1);
        }
        for (int offset = 0; offset < VmcbLayout.SIZE; offset += 8) {
            boolean saved =
                    offset >= VmcbLayout.FS && offset < VmcbLayout.GDTR
                            || offset >= VmcbLayout.LDTR && offset < VmcbLayout.IDTR
                            || offset >= VmcbLayout.TR && offset < VmcbLayout.TR + 16
                            || offset >= VmcbLayout.STAR && offset < VmcbLayout.CR2;
            if (!saved) {
                assertThat(machine.get64(offset))
                        .as("offset %x", offset)
                        .isEqualTo(0x5a5a_5a5a_5a5a_5a5aL);
            }
        }
    }

    @Test
    void inAGuestTheyAreInterceptedOrUseSystemPhysicalAddresses() {
        machine.intercept(ExitCode.VMLOAD);
        machine.put64(VmcbLayout.RAX, SvmMachine.VMCB);
        machine.vmrun();
        cpu.msrs.star = 77;
        assertThat(machine.execute(VMSAVE)).isNull();
        assertThat(machine.get64(VmcbLayout.STAR)).isEqualTo(77);
        assertThat(cpu.guestMode).isTrue();
        assertThat(machine.execute(VMLOAD)).isNull();
        assertThat(cpu.guestMode).isFalse();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.VMLOAD);
    }
}
