package dev.pacifica.emulator.device;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import dev.pacifica.emulator.time.VirtualClock;
import java.util.Arrays;

/**
 * A 16550A serial port. It transmits at once, so that the transmitter always is empty; received
 * bytes wait in a backlog of any length and enter the FIFO as it drains, so that nothing is ever
 * overrun.
 *
 * <p>The interrupt output is gated by MCR.OUT2 as on the PC's serial cards.
 */
public final class Uart16550 implements BytePortDevice, Stateful {
    private static final int FIFO_SIZE = 16;

    private static final int IER_RECEIVE = 1;
    private static final int IER_TRANSMIT = 1 << 1;
    private static final int IER_LINE = 1 << 2;
    private static final int IER_MODEM = 1 << 3;

    private static final int IIR_NONE = 1;
    private static final int IIR_MODEM = 0;
    private static final int IIR_TRANSMIT = 2;
    private static final int IIR_RECEIVE = 4;
    private static final int IIR_LINE = 6;
    private static final int IIR_TIMEOUT = 0xc;

    private static final int FCR_ENABLE = 1;
    private static final int FCR_CLEAR_RECEIVER = 1 << 1;

    private static final int LCR_DLAB = 1 << 7;

    private static final int MCR_OUT2 = 1 << 3;
    private static final int MCR_LOOP = 1 << 4;

    private static final int LSR_READY = 1;
    private static final int LSR_OVERRUN = 1 << 1;
    private static final int LSR_TRANSMITTER_EMPTY = 0x60;

    /** CTS, DSR and DCD: a cable with somebody at the other end. */
    private static final int MSR_CONNECTED = 0xb0;

    private static final int CRYSTAL = 1_843_200;

    private final int number;
    private final int base;
    private final String section;
    private final InterruptLine interrupt;
    private final SerialSink sink;
    private final VirtualClock clock;
    private final VirtualClock.Timer timeout;

    private int divisor = 1;
    private int interruptEnable;
    private int fifoControl;
    private int lineControl;
    private int modemControl;
    private int modemStatus = MSR_CONNECTED;
    private int scratch;
    private boolean overrun;
    private boolean transmitPending;
    private boolean timeoutPending;
    private final byte[] fifo = new byte[FIFO_SIZE];
    private int fifoCount;
    private byte[] backlog = new byte[0];

    /** Port {@code number} (0 = COM1) at I/O ports {@code base} to {@code base} + 7. */
    public Uart16550(
            int number, int base, VirtualClock clock, InterruptLine interrupt, SerialSink sink) {
        this.number = number;
        this.base = base;
        this.clock = clock;
        this.interrupt = interrupt;
        this.sink = sink;
        section = "uart" + number;
        timeout = clock.timer(section + ".timeout", now -> receiverTimedOut());
    }

    /** Bytes arrive from outside. */
    public void receive(byte[] data) {
        int old = backlog.length;
        backlog = Arrays.copyOf(backlog, old + data.length);
        System.arraycopy(data, 0, backlog, old, data.length);
        fill();
        update();
    }

    /**
     * Moves waiting bytes into the receiver; only into an empty one, so that the guest sees whole
     * FIFOs.
     */
    private void fill() {
        if (fifoCount == 0 && backlog.length > 0 && (modemControl & MCR_LOOP) == 0) {
            int n = Math.min(capacity(), backlog.length);
            System.arraycopy(backlog, 0, fifo, 0, n);
            backlog = Arrays.copyOfRange(backlog, n, backlog.length);
            fifoCount = n;
            restartTimeout();
        }
    }

    private int capacity() {
        return (fifoControl & FCR_ENABLE) != 0 ? FIFO_SIZE : 1;
    }

    private int triggerLevel() {
        if ((fifoControl & FCR_ENABLE) == 0) {
            return 1;
        }
        return switch (fifoControl >> 6) {
            case 0 -> 1;
            case 1 -> 4;
            case 2 -> 8;
            default -> 14;
        };
    }

    /**
     * The character timeout interrupt comes when a FIFO below its trigger level was left alone for
     * four character times.
     */
    private void restartTimeout() {
        timeoutPending = false;
        if ((fifoControl & FCR_ENABLE) != 0 && fifoCount > 0 && fifoCount < triggerLevel()) {
            timeout.arm(clock.now() + 4 * characterTicks());
        } else {
            timeout.cancel();
        }
    }

    private long characterTicks() {
        int bits = 1 + 5 + (lineControl & 3) + (lineControl >> 3 & 1) + 1 + (lineControl >> 2 & 1);
        return Math.max(1, bits * 16L * Math.max(divisor, 1) * VirtualClock.FREQUENCY / CRYSTAL);
    }

    private void receiverTimedOut() {
        timeoutPending = fifoCount > 0;
        update();
    }

    @Override
    public int inByte(int port) {
        boolean dlab = (lineControl & LCR_DLAB) != 0;
        return switch (port - base) {
            case 0 -> dlab ? divisor & 0xff : readReceiver();
            case 1 -> dlab ? divisor >> 8 : interruptEnable;
            case 2 -> readIdentification();
            case 3 -> lineControl;
            case 4 -> modemControl;
            case 5 -> readLineStatus();
            case 6 -> readModemStatus();
            default -> scratch;
        };
    }

    @Override
    public void outByte(int port, int value) {
        boolean dlab = (lineControl & LCR_DLAB) != 0;
        switch (port - base) {
            case 0 -> {
                if (dlab) {
                    divisor = divisor & 0xff00 | value;
                } else {
                    transmit(value);
                }
            }
            case 1 -> {
                if (dlab) {
                    divisor = divisor & 0xff | value << 8;
                } else {
                    writeInterruptEnable(value & 0xf);
                }
            }
            case 2 -> writeFifoControl(value);
            case 3 -> lineControl = value;
            case 4 -> writeModemControl(value & 0x1f);
            case 7 -> scratch = value;
            default -> {} // LSR and MSR are read-only
        }
    }

    private int readReceiver() {
        if (fifoCount == 0) {
            return 0;
        }
        int value = fifo[0] & 0xff;
        fifoCount--;
        System.arraycopy(fifo, 1, fifo, 0, fifoCount);
        restartTimeout();
        fill();
        update();
        return value;
    }

    private void transmit(int value) {
        transmitPending = false;
        update(); // the request drops before it rises again: an edge, if nothing else holds the
        // line
        if ((modemControl & MCR_LOOP) != 0) {
            receiveLooped(value);
        } else {
            sink.write(number, value);
        }
        transmitPending = true;
        update();
    }

    private void receiveLooped(int value) {
        if (fifoCount == capacity()) {
            overrun = true;
            return;
        }
        fifo[fifoCount++] = (byte) value;
        restartTimeout();
    }

    private void writeInterruptEnable(int value) {
        int changed = interruptEnable ^ value;
        interruptEnable = value;
        if ((changed & IER_TRANSMIT) != 0) {
            transmitPending = (value & IER_TRANSMIT) != 0;
        }
        update();
    }

    private int readIdentification() {
        int source = source();
        if (source == IIR_TRANSMIT) {
            transmitPending = false;
            update();
        }
        return source | ((fifoControl & FCR_ENABLE) != 0 ? 0xc0 : 0);
    }

    private void writeFifoControl(int value) {
        boolean toggled = ((fifoControl ^ value) & FCR_ENABLE) != 0;
        fifoControl = (value & FCR_ENABLE) != 0 ? value & 0xc9 : 0;
        if (toggled || (value & FCR_CLEAR_RECEIVER) != 0 && (value & FCR_ENABLE) != 0) {
            fifoCount = 0;
        }
        restartTimeout();
        fill();
        update();
    }

    private void writeModemControl(int value) {
        modemControl = value;
        int lines = MSR_CONNECTED;
        if ((value & MCR_LOOP) != 0) {
            // DTR, RTS, OUT1, OUT2 come back as DSR, CTS, RI, DCD
            lines = (value & 1) << 5 | (value & 2) << 3 | (value & 4) << 4 | (value & 8) << 4;
        }
        int old = modemStatus & 0xf0;
        int delta = (old ^ lines) >> 4 & 0xb;
        if ((old & ~lines & 0x40) != 0) {
            delta |= 4; // only the trailing edge of RI counts
        }
        modemStatus = lines | modemStatus & 0xf | delta;
        fill();
        update();
    }

    private int readLineStatus() {
        int value =
                LSR_TRANSMITTER_EMPTY
                        | (fifoCount > 0 ? LSR_READY : 0)
                        | (overrun ? LSR_OVERRUN : 0);
        if (overrun) {
            overrun = false;
            update();
        }
        return value;
    }

    private int readModemStatus() {
        int value = modemStatus;
        modemStatus &= 0xf0;
        update();
        return value;
    }

    /** The interrupt of highest priority as IIR shows it. */
    private int source() {
        if (overrun && (interruptEnable & IER_LINE) != 0) {
            return IIR_LINE;
        }
        if ((interruptEnable & IER_RECEIVE) != 0) {
            if (fifoCount >= triggerLevel()) {
                return IIR_RECEIVE;
            }
            if (timeoutPending) {
                return IIR_TIMEOUT;
            }
        }
        if (transmitPending && (interruptEnable & IER_TRANSMIT) != 0) {
            return IIR_TRANSMIT;
        }
        if ((modemStatus & 0xf) != 0 && (interruptEnable & IER_MODEM) != 0) {
            return IIR_MODEM;
        }
        return IIR_NONE;
    }

    private void update() {
        boolean gate = (modemControl & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
        interrupt.set(gate && source() != IIR_NONE);
    }

    @Override
    public void save(StateWriter out) {
        out.section(section);
        out.u16("divisor", divisor);
        out.u8("ier", interruptEnable);
        out.u8("fcr", fifoControl);
        out.u8("lcr", lineControl);
        out.u8("mcr", modemControl);
        out.u8("msr", modemStatus);
        out.u8("scr", scratch);
        out.flag("overrun", overrun);
        out.flag("thre", transmitPending);
        out.flag("timeout", timeoutPending);
        out.bytes("fifo", Arrays.copyOf(fifo, fifoCount));
        out.bytes("backlog", backlog);
    }

    @Override
    public void load(StateReader in) {
        in.section(section);
        divisor = in.u16("divisor");
        interruptEnable = in.u8("ier");
        fifoControl = in.u8("fcr");
        lineControl = in.u8("lcr");
        modemControl = in.u8("mcr");
        modemStatus = in.u8("msr");
        scratch = in.u8("scr");
        overrun = in.flag("overrun");
        transmitPending = in.flag("thre");
        timeoutPending = in.flag("timeout");
        byte[] waiting = in.bytes("fifo");
        fifoCount = Math.min(waiting.length, FIFO_SIZE);
        System.arraycopy(waiting, 0, fifo, 0, fifoCount);
        backlog = in.bytes("backlog");
    }
}
