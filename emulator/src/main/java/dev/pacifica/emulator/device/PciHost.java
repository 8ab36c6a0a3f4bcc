package dev.pacifica.emulator.device;

import dev.pacifica.emulator.memory.PortDevice;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;

/**
 * PCI configuration mechanism #1 (ports CF8h–CFFh) over a bus 0 that holds a host bridge and an ISA
 * bridge and nothing else; all other functions read as all ones. Port CF9h, in the midst, is the
 * reset control register.
 */
public final class PciHost implements PortDevice, Stateful {
    /** Its first I/O port, of eight. */
    public static final int PORT = 0xcf8;

    /** I/O port of the reset control register and what to write there, for the FADT. */
    public static final int RESET_PORT = 0xcf9;

    public static final int RESET_VALUE = 6;

    private static final int ENABLE = 1 << 31;
    private static final int HOST_BRIDGE = 0;
    private static final int ISA_BRIDGE = 1;

    /**
     * Where a function's command register, cache line size and interrupt line are: what system
     * software may write.
     */
    private static final int[] WRITABLE = {0x04, 0x05, 0x0c, 0x3c};

    private final StopRequest stop;
    private int address;
    private int resetControl;
    private final byte[][] functions = {
        // 440FX host bridge and PIIX3 ISA bridge: what every x86 system knows and expects nothing
        // of
        function(0x8086, 0x1237, 0x0600_0002), function(0x8086, 0x7000, 0x0601_0000),
    };

    public PciHost(StopRequest stop) {
        this.stop = stop;
    }

    private static byte[] function(int vendor, int device, int classAndRevision) {
        byte[] config = new byte[256];
        put(config, 0x00, device << 16 | vendor);
        put(
                config,
                0x04,
                0x0200_0007); // status: medium DEVSEL timing; command: I/O, memory, bus master
        put(config, 0x08, classAndRevision);
        return config;
    }

    private static void put(byte[] config, int at, int value) {
        for (int i = 0; i < 4; i++) {
            config[at + i] = (byte) (value >>> 8 * i);
        }
    }

    /** The addressed function of bus 0, or null. */
    private byte[] addressed() {
        if ((address & ENABLE) == 0) {
            return null;
        }
        return switch (address >> 8 & 0xffff) {
            case HOST_BRIDGE << 3 -> functions[HOST_BRIDGE];
            case ISA_BRIDGE << 3 -> functions[ISA_BRIDGE];
            default -> null;
        };
    }

    @Override
    public int in(int port, int size) {
        int value = read(port, size);
        return size == 4 ? value : value & (1 << 8 * size) - 1;
    }

    private int read(int port, int size) {
        if (port == RESET_PORT && size == 1) {
            return resetControl;
        }
        if (port < PORT + 4) {
            return address >>> 8 * (port & 3);
        }
        byte[] config = addressed();
        if (config == null) {
            return -1;
        }
        int value = 0;
        for (int i = 0; i < size; i++) {
            value |= (config[address & 0xfc | port + i & 3] & 0xff) << 8 * i;
        }
        return value;
    }

    @Override
    public void out(int port, int size, int value) {
        if (port == RESET_PORT && size == 1) {
            if ((value & ~resetControl & 4) != 0) {
                stop.stop(StopRequest.RESET, 0);
            }
            resetControl = value & 0xa;
            return;
        }
        if (port < PORT + 4) {
            if (port == PORT && size == 4) {
                address = value & (ENABLE | 0x00ff_fffc);
            }
            return;
        }
        byte[] config = addressed();
        if (config == null) {
            return;
        }
        for (int i = 0; i < size; i++) {
            int at = address & 0xfc | port + i & 3;
            for (int writable : WRITABLE) {
                if (at == writable) {
                    config[at] = (byte) (value >>> 8 * i);
                }
            }
        }
    }

    @Override
    public void save(StateWriter out) {
        out.section("pci");
        out.u32("address", address);
        out.u8("resetControl", resetControl);
        for (byte[] config : functions) {
            out.bytes("config", config.clone());
        }
    }

    @Override
    public void load(StateReader in) {
        in.section("pci");
        address = in.u32("address");
        resetControl = in.u8("resetControl");
        for (byte[] config : functions) {
            in.bytes("config", config);
        }
    }
}
