package dev.pacifica.emulator.device;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;

/**
 * How software asks the firmware's SMI handler for something: the APM command (B2h) and data (B3h)
 * ports, and the chipset's SMI_EN (630h) and SMI_STS (634h). A command asserts SMI to every
 * processor while GBL_SMI_EN and APMC_EN are set. Out of reset they are clear: there is no
 * firmware, and ACPI names no SMI command port.
 */
public final class SmiControl implements BytePortDevice, Stateful {
    /** APM command and data. */
    public static final int COMMAND = 0xb2;

    /** SMI_EN and SMI_STS, 32 bits each. */
    public static final int ENABLE = 0x630;

    public static final int STATUS = 0x634;

    /** SMI_EN.GBL_SMI_EN. */
    static final int GLOBAL = 1;

    /** SMI_EN.APMC_EN and SMI_STS.APM_STS, which a written 1 clears. */
    static final int APM = 1 << 5;

    private final ApicBus bus;
    private int command;
    private int data;
    private int enable;
    private int status;

    public SmiControl(ApicBus bus) {
        this.bus = bus;
    }

    @Override
    public int inByte(int port) {
        return switch (port) {
            case COMMAND -> command;
            case COMMAND + 1 -> data;
            default -> (port < STATUS ? enable : status) >>> 8 * (port & 3) & 0xff;
        };
    }

    @Override
    public void outByte(int port, int value) {
        int shift = 8 * (port & 3);
        if (port == COMMAND) {
            command = value;
            status |= APM;
            if ((enable & (GLOBAL | APM)) == (GLOBAL | APM)) {
                bus.assertSmi();
            }
        } else if (port == COMMAND + 1) {
            data = value;
        } else if (port < STATUS) {
            enable = (enable & ~(0xff << shift) | value << shift) & (GLOBAL | APM);
        } else {
            status &= ~(value << shift);
        }
    }

    @Override
    public void save(StateWriter out) {
        out.section("smi");
        out.u8("command", command);
        out.u8("data", data);
        out.u32("enable", enable);
        out.u32("status", status);
    }

    @Override
    public void load(StateReader in) {
        in.section("smi");
        command = in.u8("command");
        data = in.u8("data");
        enable = in.u32("enable");
        status = in.u32("status");
    }
}
