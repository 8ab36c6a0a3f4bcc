package dev.pacifica.emulator.memory;

/** The 64 Ki I/O ports. A port that nobody claimed reads as all ones and ignores writes. */
public final class PortBus {
    private final PortDevice[] devices = new PortDevice[0x10000];

    /** Claims {@code count} ports from {@code first} on. */
    public void claim(int first, int count, PortDevice device) {
        for (int port = first; port < first + count; port++) {
            if (devices[port] != null) {
                throw new IllegalStateException("port 0x%x is claimed twice".formatted(port));
            }
            devices[port] = device;
        }
    }

    /**
     * Reads {@code size} (1, 2 or 4) bytes. An access that spans ports of different devices is
     * split into bytes, as the ISA bus does.
     */
    public int in(int port, int size) {
        PortDevice device = devices[port & 0xffff];
        if (size > 1 && !sameDevice(port, size, device)) {
            int value = 0;
            for (int i = 0; i < size; i++) {
                value |= (in(port + i & 0xffff, 1) & 0xff) << 8 * i;
            }
            return value;
        }
        int ones = size == 4 ? -1 : (1 << 8 * size) - 1;
        return device == null ? ones : device.in(port & 0xffff, size) & ones;
    }

    public void out(int port, int size, int value) {
        PortDevice device = devices[port & 0xffff];
        if (size > 1 && !sameDevice(port, size, device)) {
            for (int i = 0; i < size; i++) {
                out(port + i & 0xffff, 1, value >>> 8 * i & 0xff);
            }
        } else if (device != null) {
            device.out(port & 0xffff, size, value);
        }
    }

    @SuppressWarnings("ReferenceEquality") // the same device, not an equal one
    private boolean sameDevice(int port, int size, PortDevice device) {
        for (int i = 1; i < size; i++) {
            if (devices[port + i & 0xffff] != device) {
                return false;
            }
        }
        return true;
    }
}
