package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.memory.PhysicalMemory;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The intercept vectors (Appendix C) and the permission maps: §15.10.1, §15.10.2, §15.11. */
class PermissionMapsTest {
    private final SvmMachine machine = new SvmMachine();
    private final PhysicalMemory memory = machine.memory;

    @AfterEach
    void release() {
        machine.close();
    }

    @Test
    void eachInterceptBitIsItsExitCodeAndNoOther() {
        for (int code = 0; code < 0xc0; code++) {
            for (int vector = 0; vector < 6; vector++) {
                machine.put32(4 * vector, 0);
            }
            machine.intercept(ExitCode.VMRUN);
            machine.intercept(code);
            machine.vmrun();
            for (int other = 0; other < 0xc0; other++) {
                assertThat(machine.svm.intercepted(other))
                        .as("bit %x, code %x", code, other)
                        .isEqualTo(other == code || other == ExitCode.VMRUN);
            }
            machine.svm.exit(ExitCode.HLT, 0, 0);
            machine.cpu.rip = SvmMachine.HOST_CODE;
        }
    }

    @Test
    void theHostIsNeverIntercepted() {
        for (int i = 0; i < 6; i++) {
            machine.put32(4 * i, 0xffff_ffffL);
        }
        machine.vmrun();
        machine.svm.exit(ExitCode.HLT, 0, 0);
        for (int code = 0; code < 0xc0; code++) {
            assertThat(machine.svm.intercepted(code)).isFalse();
        }
        assertThat(machine.svm.msrIntercepted(0x10, false)).isFalse();
        assertThat(machine.svm.ioIntercepted(0x80, 1)).isFalse();
    }

    @Test
    void mapsInHiddenSmramReadAsAllOnes() {
        machine.intercept(ExitCode.IOIO);
        machine.intercept(ExitCode.MSR);
        machine.put64(VmcbLayout.IOPM_BASE_PA, 0x2d_f000); // its first page is before TSeg
        machine.put64(VmcbLayout.MSRPM_BASE_PA, 0x2f_0000);
        machine.vmrun();
        assertThat(machine.svm.ioIntercepted(0x8000, 1)).isFalse();
        assertThat(machine.svm.msrIntercepted(0x10, true)).isFalse();
        machine.cpu.msrs.write(0xc001_0112, 0x2e_0000);
        machine.cpu.msrs.write(0xc001_0113, 0xffff_fffe_0000L | 2); // TSeg: 128 KiB
        assertThat(machine.svm.ioIntercepted(0x7ffe, 1)).isFalse();
        assertThat(machine.svm.ioIntercepted(0x7fff, 2)).isTrue();
        assertThat(machine.svm.ioIntercepted(0x8000, 1)).isTrue();
        assertThat(machine.svm.msrIntercepted(0x10, true)).isTrue();
    }

    @Test
    void withoutIoProtectionTheMapIsNotAsked() {
        memory.write64(SvmMachine.IOPM, -1);
        machine.vmrun();
        assertThat(machine.svm.ioIntercepted(0, 1)).isFalse();
    }

    @Test
    void portsAreInterceptedByAnyBitOfTheAccess() {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(15);
        boolean[] bits = new boolean[0x10003];
        for (int port = 0; port < bits.length; port++) {
            bits[port] = random.nextInt(4) == 0;
            if (bits[port]) {
                long at = SvmMachine.IOPM + (port >>> 3);
                memory.write(at, 1, memory.read(at, 1) | 1 << (port & 7));
            }
        }
        machine.intercept(ExitCode.IOIO);
        machine.vmrun();
        for (int port = 0; port < 0x10000; port++) {
            assertThat(machine.svm.ioIntercepted(port, 1)).isEqualTo(bits[port]);
            assertThat(machine.svm.ioIntercepted(port, 2)).isEqualTo(bits[port] || bits[port + 1]);
            assertThat(machine.svm.ioIntercepted(port, 4))
                    .isEqualTo(bits[port] || bits[port + 1] || bits[port + 2] || bits[port + 3]);
        }
    }

    @Test
    void msrsHaveAReadAndAWriteBit() {
        int[] firsts = {0, 0xc000_0000, 0xc001_0000};
        machine.intercept(ExitCode.MSR);
        machine.vmrun();
        for (int vector = 0; vector < 3; vector++) {
            for (int offset : new int[] {0, 1, 2, 3, 4, 0x80, 0x174, 0x1ffe, 0x1fff}) {
                int msr = firsts[vector] + offset;
                long at = SvmMachine.MSRPM + 0x800 * vector + offset / 4;
                assertThat(machine.svm.msrIntercepted(msr, false)).isFalse();
                assertThat(machine.svm.msrIntercepted(msr, true)).isFalse();
                memory.write(at, 1, 1 << 2 * (offset % 4));
                assertThat(machine.svm.msrIntercepted(msr, false)).as("%x read", msr).isTrue();
                assertThat(machine.svm.msrIntercepted(msr, true)).as("%x write", msr).isFalse();
                memory.write(at, 1, 2 << 2 * (offset % 4));
                assertThat(machine.svm.msrIntercepted(msr, false)).as("%x read", msr).isFalse();
                assertThat(machine.svm.msrIntercepted(msr, true)).as("%x write", msr).isTrue();
                memory.write(at, 1, 0);
            }
        }
    }

    @Test
    void msrsOutsideTheMapAreAlwaysIntercepted() {
        machine.intercept(ExitCode.MSR);
        machine.vmrun();
        for (int msr :
                new int[] {
                    0x2000,
                    0x3fff,
                    0x4000_0000,
                    0xbfff_ffff,
                    0xc000_2000,
                    0xc001_2000,
                    0xc002_0000,
                    -1
                }) {
            assertThat(machine.svm.msrIntercepted(msr, false)).as("%x", msr).isTrue();
            assertThat(machine.svm.msrIntercepted(msr, true)).as("%x", msr).isTrue();
        }
    }

    @Test
    void withoutMsrProtectionNoMsrIsIntercepted() {
        memory.write64(SvmMachine.MSRPM, -1);
        machine.vmrun();
        assertThat(machine.svm.msrIntercepted(0, true)).isFalse();
        assertThat(machine.svm.msrIntercepted(0x2000, true)).isFalse();
    }

    @Test
    void theMapsLowAddressBitsAreIgnored() {
        machine.put64(VmcbLayout.IOPM_BASE_PA, SvmMachine.IOPM | 0xfff);
        machine.put64(VmcbLayout.MSRPM_BASE_PA, SvmMachine.MSRPM | 0xfff);
        machine.interceptPort(0x80);
        machine.intercept(ExitCode.MSR);
        machine.vmrun();
        assertThat(machine.svm.ioIntercepted(0x80, 1)).isTrue();
        assertThat(machine.svm.ioIntercepted(0x81, 1)).isFalse();
        assertThat(machine.svm.msrIntercepted(0x10, true)).isFalse();
    }

    @Test
    void ioioInformationHasTheBitsOfFigure15p2() {
        assertThat(ExitInformation.ioio(0x3f8, false, 1, false, false, 8, 0))
                .isEqualTo(0x03f8_0210);
        assertThat(ExitInformation.ioio(0x60, true, 1, false, false, 4, 0)).isEqualTo(0x0060_0111);
        assertThat(ExitInformation.ioio(0xffff, true, 4, true, true, 2, 0)).isEqualTo(0xffff_00cdL);
        assertThat(ExitInformation.ioio(0x80, false, 2, true, false, 8, 4)).isEqualTo(0x0080_1224);
    }
}
