package dev.pacifica.emulator.device;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import java.util.Arrays;

/**
 * The keyboard controller at ports 60h and 64h with a keyboard on which nobody types: it answers
 * commands, so that probing ends at once. No auxiliary port. Pulsing output line 0 (command FEh and
 * the like) resets the machine; A20 always is on.
 */
public final class I8042 implements BytePortDevice, Stateful {
    private static final int STATUS_FULL = 1;
    private static final int STATUS_SYSTEM = 1 << 2;
    private static final int STATUS_COMMAND = 1 << 3;
    private static final int STATUS_UNLOCKED = 1 << 4;

    private static final int CONFIG_INTERRUPT = 1;
    private static final int CONFIG_SYSTEM = 1 << 2;
    private static final int CONFIG_DISABLED = 1 << 4;

    private static final int ACKNOWLEDGE = 0xfa;
    private static final int QUEUE = 16;

    private final InterruptLine interrupt;
    private final StopRequest stop;

    private final byte[] ram = new byte[32];
    private int outputPort = 0xcf;
    private boolean lastWasCommand;

    /** The controller command whose data byte is to come, or 0. */
    private int controllerCommand;

    /** The keyboard command whose data byte is to come, or 0. */
    private int keyboardCommand;

    private final byte[] queue = new byte[QUEUE];
    private int queued;
    private int scanCodeSet = 2;

    /** {@code interrupt} is ISA interrupt 1. */
    public I8042(InterruptLine interrupt, StopRequest stop) {
        this.interrupt = interrupt;
        this.stop = stop;
        ram[0] = CONFIG_INTERRUPT | CONFIG_SYSTEM | 0x40;
    }

    @Override
    public int inByte(int port) {
        if (port == 0x64) {
            return STATUS_UNLOCKED
                    | ((ram[0] & CONFIG_SYSTEM) != 0 ? STATUS_SYSTEM : 0)
                    | (lastWasCommand ? STATUS_COMMAND : 0)
                    | (queued > 0 ? STATUS_FULL : 0);
        }
        int value = queue[0] & 0xff; // an empty buffer gives the last byte once more
        if (queued > 0) {
            queued--;
            if (queued > 0) {
                System.arraycopy(queue, 1, queue, 0, queued);
            }
            interrupt.set(false);
            update();
        }
        return value;
    }

    @Override
    public void outByte(int port, int value) {
        if (port == 0x64) {
            lastWasCommand = true;
            command(value);
        } else {
            lastWasCommand = false;
            data(value);
        }
        update();
    }

    private void command(int value) {
        controllerCommand = 0;
        if (value >= 0x20 && value < 0x40) {
            put(ram[value & 0x1f]);
        } else if (value >= 0x60 && value < 0x80) {
            controllerCommand = value;
        } else if (value >= 0xf0) {
            if ((value & 1) == 0) {
                stop.stop(StopRequest.RESET, 0);
            }
        } else {
            switch (value) {
                case 0xaa -> { // self test
                    queued = 0;
                    ram[0] |= CONFIG_SYSTEM;
                    put(0x55);
                }
                case 0xab -> put(0x00); // keyboard port test: no error
                case 0xad -> ram[0] |= CONFIG_DISABLED;
                case 0xae -> ram[0] &= ~CONFIG_DISABLED;
                case 0xc0 -> put(0x80); // input port: keyboard not locked
                case 0xd0 -> put(outputPort);
                case 0xd1, 0xd2, 0xd3, 0xd4 -> controllerCommand = value;
                case 0xdd -> outputPort &= ~2;
                case 0xdf -> outputPort |= 2;
                default -> {} // A7h to A9h: no auxiliary port answers
            }
        }
    }

    private void data(int value) {
        int waiting = controllerCommand;
        controllerCommand = 0;
        if (waiting == 0) {
            keyboard(value);
        } else if (waiting < 0x80) {
            ram[waiting & 0x1f] = (byte) value;
        } else if (waiting == 0xd1) {
            outputPort = value;
            if ((value & 1) == 0) {
                stop.stop(StopRequest.RESET, 0);
            }
        } else if (waiting == 0xd2) {
            put(value);
        }
    }

    private void keyboard(int value) {
        int waiting = keyboardCommand;
        keyboardCommand = 0;
        if (waiting != 0 && value < 0xed) {
            put(ACKNOWLEDGE);
            if (waiting == 0xf0) {
                if (value == 0) {
                    put(scanCodeSet);
                } else if (value <= 3) {
                    scanCodeSet = value;
                }
            }
            return;
        }
        switch (value) {
            case 0xee -> put(0xee);
            case 0xed, 0xf0, 0xf3 -> {
                keyboardCommand = value;
                put(ACKNOWLEDGE);
            }
            case 0xf2 -> {
                put(ACKNOWLEDGE);
                put(0xab);
                put(0x83);
            }
            case 0xff -> {
                scanCodeSet = 2;
                put(ACKNOWLEDGE);
                put(0xaa);
            }
            case 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa -> put(ACKNOWLEDGE);
            default -> put(0xfe); // unknown: resend
        }
    }

    private void put(int value) {
        if (queued < QUEUE) {
            queue[queued++] = (byte) value;
        }
    }

    private void update() {
        interrupt.set(queued > 0 && (ram[0] & CONFIG_INTERRUPT) != 0);
    }

    @Override
    public void save(StateWriter out) {
        out.section("i8042");
        out.bytes("ram", Arrays.copyOf(ram, ram.length));
        out.u8("outputPort", outputPort);
        out.flag("lastWasCommand", lastWasCommand);
        out.u8("controllerCommand", controllerCommand);
        out.u8("keyboardCommand", keyboardCommand);
        out.bytes("queue", Arrays.copyOf(queue, queue.length));
        out.u8("queued", queued);
        out.u8("scanCodeSet", scanCodeSet);
    }

    @Override
    public void load(StateReader in) {
        in.section("i8042");
        in.bytes("ram", ram);
        outputPort = in.u8("outputPort");
        lastWasCommand = in.flag("lastWasCommand");
        controllerCommand = in.u8("controllerCommand");
        keyboardCommand = in.u8("keyboardCommand");
        in.bytes("queue", queue);
        queued = Math.min(in.u8("queued"), QUEUE);
        scanCodeSet = in.u8("scanCodeSet");
    }
}
