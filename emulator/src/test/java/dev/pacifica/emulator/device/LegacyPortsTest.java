package dev.pacifica.emulator.device;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * Power, reset and probing ports: ACPI fixed hardware, port 92h, CF9h, keyboard controller, PCI
 * configuration, debug exit.
 */
class LegacyPortsTest {
    private final Time time = new Time();
    private final Wire irq = new Wire();
    private final List<String> stops = new ArrayList<>();
    private final StopRequest stop = (reason, status) -> stops.add(reason + " " + status);

    @Test
    void pmTimerRunsAt3579545HertzIn32Bits() {
        AcpiPm pm = new AcpiPm(time.clock, irq, stop);
        time.advance(1_000_000_000L);
        assertThat(pm.in(0x608, 4)).isEqualTo(3_579_545);
        time.advance(2_000_000_000_000L);
        assertThat(pm.in(0x608, 4)).isEqualTo((int) (2001L * 3_579_545));
    }

    @Test
    void pmTimerStatusComesWhenTheTopBitChanges() {
        AcpiPm pm = new AcpiPm(time.clock, irq, stop);
        pm.out(0x602, 2, 1);
        time.advance(599_900_000_000L); // 2^31 clocks take 599.93 s
        assertThat(pm.in(0x600, 2)).isZero();
        assertThat(irq.asserted).isFalse();
        time.advance(100_000_000L);
        assertThat(pm.in(0x600, 2)).isEqualTo(1);
        assertThat(irq.asserted).isTrue();
        pm.out(0x600, 2, 1);
        assertThat(pm.in(0x600, 2)).isZero();
        assertThat(irq.asserted).isFalse();
        assertThat(pm.in(0x602, 2)).isEqualTo(1);
    }

    @Test
    void sleepTypeZeroWithSleepEnableIsPowerOff() {
        AcpiPm pm = new AcpiPm(time.clock, irq, stop);
        assertThat(pm.in(0x604, 2)).isEqualTo(1); // SCI_EN: ACPI mode
        pm.out(0x604, 2, 5 << 10 | 1 << 13);
        assertThat(stops).isEmpty();
        pm.out(0x604, 2, 1 << 13);
        assertThat(stops).containsExactly("power-off 0");
    }

    @Test
    void debugExitGivesOddStatus() {
        DebugExit exit = new DebugExit(stop);
        exit.out(0xf4, 1, 0x1ff);
        exit.out(0xf4, 2, 0x1234);
        exit.out(0xf4, 4, 0x10);
        assertThat(stops)
                .containsExactly(
                        "debug-exit 511", "debug-exit " + (0x1234 * 2 + 1), "debug-exit 33");
    }

    @Test
    void port92ResetsOnARisingBit0() {
        Port92 port = new Port92(stop);
        assertThat(port.in(0x92, 1)).isEqualTo(2);
        port.out(0x92, 1, 0);
        assertThat(stops).isEmpty();
        port.out(0x92, 1, 3);
        assertThat(stops).containsExactly("reset 0");
    }

    @Test
    void resetControlRegisterResetsOnARisingBit2() {
        PciHost pci = new PciHost(stop);
        pci.out(0xcf9, 1, 2);
        assertThat(stops).isEmpty();
        pci.out(0xcf9, 1, 6);
        assertThat(stops).containsExactly("reset 0");
    }

    @Test
    void keyboardControllerSelfTestAndReset() {
        I8042 controller = new I8042(irq, stop);
        controller.out(0x64, 1, 0xaa);
        assertThat(controller.in(0x64, 1) & 1).isEqualTo(1);
        assertThat(controller.in(0x60, 1)).isEqualTo(0x55);
        assertThat(controller.in(0x64, 1) & 3).isZero();
        controller.out(0x64, 1, 0xfe);
        assertThat(stops).containsExactly("reset 0");
    }

    @Test
    void keyboardAnswersIdentifyAndReset() {
        I8042 controller = new I8042(irq, stop);
        controller.out(0x60, 1, 0xf2);
        assertThat(irq.asserted).isTrue();
        assertThat(List.of(controller.in(0x60, 1), controller.in(0x60, 1), controller.in(0x60, 1)))
                .containsExactly(0xfa, 0xab, 0x83);
        assertThat(irq.asserted).isFalse();
        assertThat(irq.rises).isEqualTo(3);
        controller.out(0x60, 1, 0xff);
        assertThat(List.of(controller.in(0x60, 1), controller.in(0x60, 1)))
                .containsExactly(0xfa, 0xaa);
    }

    @Test
    void controllerMemoryHoldsTheCommandByte() {
        I8042 controller = new I8042(irq, stop);
        controller.out(0x64, 1, 0x60);
        controller.out(0x60, 1, 0x74); // interrupts off
        controller.out(0x64, 1, 0x20);
        assertThat(controller.in(0x60, 1)).isEqualTo(0x74);
        controller.out(0x60, 1, 0xf2);
        assertThat(irq.rises).isZero();
    }

    @Test
    void pciBusHoldsTwoBridgesAndNothingElse() {
        PciHost pci = new PciHost(stop);
        pci.out(0xcf8, 4, 0x8000_0000);
        assertThat(pci.in(0xcf8, 4)).isEqualTo(0x8000_0000);
        assertThat(pci.in(0xcfc, 4)).isEqualTo(0x1237_8086);
        assertThat(pci.in(0xcfe, 2)).isEqualTo(0x1237);
        pci.out(0xcf8, 4, 0x8000_0008);
        assertThat(pci.in(0xcfe, 2)).isEqualTo(0x0600);
        pci.out(0xcf8, 4, 0x8000_0808);
        assertThat(pci.in(0xcfe, 2)).isEqualTo(0x0601);
        for (int device = 2; device < 32; device++) {
            pci.out(0xcf8, 4, 0x8000_0000 | device << 11);
            assertThat(pci.in(0xcfc, 4)).isEqualTo(-1);
        }
        pci.out(0xcf8, 4, 0x8001_0000);
        assertThat(pci.in(0xcfc, 4)).isEqualTo(-1);
        pci.out(0xcf8, 4, 0);
        assertThat(pci.in(0xcfc, 4)).isEqualTo(-1);
    }

    @Test
    void pciIdentityCantBeWritten() {
        PciHost pci = new PciHost(stop);
        pci.out(0xcf8, 4, 0x8000_0000);
        pci.out(0xcfc, 4, 0);
        assertThat(pci.in(0xcfc, 4)).isEqualTo(0x1237_8086);
        pci.out(0xcf8, 4, 0x8000_0010);
        pci.out(0xcfc, 4, -1);
        assertThat(pci.in(0xcfc, 4)).isZero(); // no base address
        pci.out(0xcf8, 4, 0x8000_003c);
        pci.out(0xcfc, 1, 0x0b);
        assertThat(pci.in(0xcfc, 1)).isEqualTo(0x0b);
    }
}
