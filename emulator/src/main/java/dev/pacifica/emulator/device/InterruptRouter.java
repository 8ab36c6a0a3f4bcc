package dev.pacifica.emulator.device;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;

/**
 * How a PC wires its interrupts: each ISA interrupt goes to the 8259s and to the I/O APIC's input
 * of the same number, but interrupt 0, which goes to input 2. While the HPET replaces the legacy
 * timers, the PIT's and the RTC's wires are cut.
 */
public final class InterruptRouter implements Stateful {
    private final Pic8259 pic;
    private final IoApic ioApic;
    private boolean legacyReplacement;

    public InterruptRouter(Pic8259 pic, IoApic ioApic) {
        this.pic = pic;
        this.ioApic = ioApic;
    }

    /** The wire of ISA interrupt {@code irq}, 0 to 15, for a device. */
    public InterruptLine isa(int irq) {
        boolean replaced = irq == 0 || irq == 8;
        return asserted -> {
            if (!replaced || !legacyReplacement) {
                drive(irq, asserted);
            }
        };
    }

    void setFromHpet(int irq, boolean asserted) {
        drive(irq, asserted);
    }

    void setIoApicPin(int pin, boolean asserted) {
        ioApic.setPin(pin, asserted);
    }

    void setLegacyReplacement(boolean replaced) {
        legacyReplacement = replaced;
        drive(0, false);
        drive(8, false);
    }

    private void drive(int irq, boolean asserted) {
        pic.setLine(irq, asserted);
        ioApic.setPin(irq == 0 ? 2 : irq, asserted);
    }

    @Override
    public void save(StateWriter out) {
        out.section("irqs");
        out.flag("legacyReplacement", legacyReplacement);
    }

    @Override
    public void load(StateReader in) {
        in.section("irqs");
        legacyReplacement = in.flag("legacyReplacement");
    }
}
