package dev.pacifica.emulator.device;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;

/**
 * The PC's two cascaded 8259A interrupt controllers: master at ports 20h–21h, slave at A0h–A1h on
 * the master's input 2, edge/level control registers at 4D0h–4D1h.
 */
public final class Pic8259 implements BytePortDevice, Stateful {
    private static final int CASCADE = 2;

    /** One of the two chips. Bit n of a mask stands for input n. */
    private static final class Chip {
        final boolean master;
        final int levelWritable;
        int requested;
        int inService;
        int masked;

        /** Inputs that are asserted now. */
        int lines;

        /** ELCR: inputs that are level-triggered. */
        int level;

        int vectorBase;

        /** The input of lowest priority. */
        int lowest = 7;

        /** The next initialization command word expected, 2 to 4; 0 when initialized. */
        int expects;

        boolean wantsIcw4;
        boolean single;
        boolean autoEnd;
        boolean rotateOnAutoEnd;
        boolean specialMask;
        boolean fullyNested;
        boolean readInService;
        boolean poll;

        Chip(boolean master, int levelWritable) {
            this.master = master;
            this.levelWritable = levelWritable;
        }

        void setLine(int input, boolean asserted) {
            int bit = 1 << input;
            if (asserted) {
                if ((level & bit) != 0 || (lines & bit) == 0) {
                    requested |= bit;
                }
                lines |= bit;
            } else {
                if ((level & bit) != 0) {
                    requested &= ~bit;
                }
                lines &= ~bit;
            }
        }

        /** Position in the current priority order, 0 the highest; 8 for an empty mask. */
        private int rankOfHighest(int mask) {
            for (int rank = 0; rank < 8; rank++) {
                if ((mask >> (lowest + 1 + rank & 7) & 1) != 0) {
                    return rank;
                }
            }
            return 8;
        }

        private int input(int rank) {
            return lowest + 1 + rank & 7;
        }

        /** The input that requests service with success, or -1. */
        int pending() {
            int rank = rankOfHighest(requested & ~masked);
            if (rank == 8 || expects != 0) {
                return -1;
            }
            int blocking = inService;
            if (specialMask) {
                blocking &= ~masked;
            }
            if (fullyNested && master) {
                blocking &= ~(1 << CASCADE);
            }
            return rank < rankOfHighest(blocking) ? input(rank) : -1;
        }

        void acknowledge(int input) {
            int bit = 1 << input;
            if (autoEnd) {
                if (rotateOnAutoEnd) {
                    lowest = input;
                }
            } else {
                inService |= bit;
            }
            if ((level & bit) == 0) {
                requested &= ~bit;
            }
        }

        /** The first command word: the chip starts over. */
        private void initialize(int value) {
            requested = lines & level; // the edge sense circuit is reset, and lines that are high
            // must rise anew
            inService = 0;
            masked = 0;
            lowest = 7;
            autoEnd = false;
            rotateOnAutoEnd = false;
            specialMask = false;
            fullyNested = false;
            readInService = false;
            poll = false;
            expects = 2;
            wantsIcw4 = (value & 1) != 0;
            single = (value & 2) != 0;
        }

        void writeCommand(int value) {
            if ((value & 0x10) != 0) {
                initialize(value);
            } else if ((value & 8) != 0) {
                if ((value & 4) != 0) {
                    poll = true;
                }
                if ((value & 2) != 0) {
                    readInService = (value & 1) != 0;
                }
                if ((value & 0x40) != 0) {
                    specialMask = (value & 0x20) != 0;
                }
            } else {
                endOfInterrupt(value >> 5, value & 7);
            }
        }

        private void endOfInterrupt(int command, int input) {
            switch (command) {
                case 0 -> rotateOnAutoEnd = false;
                case 4 -> rotateOnAutoEnd = true;
                case 1, 5 -> {
                    int rank = rankOfHighest(specialMask ? inService & ~masked : inService);
                    if (rank < 8) {
                        int ended = input(rank);
                        inService &= ~(1 << ended);
                        if (command == 5) {
                            lowest = ended;
                        }
                    }
                }
                case 3 -> inService &= ~(1 << input);
                case 6 -> lowest = input;
                case 7 -> {
                    inService &= ~(1 << input);
                    lowest = input;
                }
                default -> {} // 2: no operation
            }
        }

        void writeData(int value) {
            switch (expects) {
                case 2 -> {
                    vectorBase = value & 0xf8;
                    expects = !single ? 3 : wantsIcw4 ? 4 : 0;
                }
                case 3 -> expects = wantsIcw4 ? 4 : 0; // the wiring of the cascade is what it is
                case 4 -> {
                    fullyNested = (value & 0x10) != 0;
                    autoEnd = (value & 2) != 0;
                    expects = 0;
                }
                default -> masked = value;
            }
        }

        int readCommand() {
            return readInService ? inService : requested;
        }

        void save(StateWriter out, String prefix) {
            out.u8(prefix + "irr", requested);
            out.u8(prefix + "isr", inService);
            out.u8(prefix + "imr", masked);
            out.u8(prefix + "lines", lines);
            out.u8(prefix + "elcr", level);
            out.u8(prefix + "base", vectorBase);
            out.u8(prefix + "lowest", lowest);
            out.u8(prefix + "expects", expects);
            out.flag(prefix + "icw4", wantsIcw4);
            out.flag(prefix + "single", single);
            out.flag(prefix + "aeoi", autoEnd);
            out.flag(prefix + "rotate", rotateOnAutoEnd);
            out.flag(prefix + "smm", specialMask);
            out.flag(prefix + "sfnm", fullyNested);
            out.flag(prefix + "readIsr", readInService);
            out.flag(prefix + "poll", poll);
        }

        void load(StateReader in, String prefix) {
            requested = in.u8(prefix + "irr");
            inService = in.u8(prefix + "isr");
            masked = in.u8(prefix + "imr");
            lines = in.u8(prefix + "lines");
            level = in.u8(prefix + "elcr");
            vectorBase = in.u8(prefix + "base");
            lowest = in.u8(prefix + "lowest");
            expects = in.u8(prefix + "expects");
            wantsIcw4 = in.flag(prefix + "icw4");
            single = in.flag(prefix + "single");
            autoEnd = in.flag(prefix + "aeoi");
            rotateOnAutoEnd = in.flag(prefix + "rotate");
            specialMask = in.flag(prefix + "smm");
            fullyNested = in.flag(prefix + "sfnm");
            readInService = in.flag(prefix + "readIsr");
            poll = in.flag(prefix + "poll");
        }
    }

    private final Chip master = new Chip(true, 0xf8);
    private final Chip slave = new Chip(false, 0xde);
    private final InterruptLine output;

    /** {@code output} is the INTR wire to the processor. */
    public Pic8259(InterruptLine output) {
        this.output = output;
    }

    /** Drives ISA interrupt 0 to 15. Interrupt 2 is the cascade and can't be driven. */
    public void setLine(int irq, boolean asserted) {
        if (irq < 8) {
            if (irq != CASCADE) {
                master.setLine(irq, asserted);
            }
        } else {
            slave.setLine(irq - 8, asserted);
        }
        update();
    }

    /** Whether INTR is asserted. */
    public boolean pending() {
        return master.pending() >= 0;
    }

    /** The vector that {@link #acknowledge} would return now. */
    public int pendingVector() {
        int input = master.pending();
        if (input != CASCADE) {
            return master.vectorBase | (input < 0 ? 7 : input);
        }
        int slaveInput = slave.pending();
        return slave.vectorBase | (slaveInput < 0 ? 7 : slaveInput);
    }

    /**
     * The interrupt acknowledge cycle: returns the vector; with nothing to acknowledge the spurious
     * one of input 7.
     */
    public int acknowledge() {
        int vector = pendingVector();
        int input = master.pending();
        if (input >= 0) {
            master.acknowledge(input);
            if (input == CASCADE) {
                int slaveInput = slave.pending();
                if (slaveInput >= 0) {
                    slave.acknowledge(slaveInput);
                }
                master.setLine(CASCADE, false); // so that the slave's next request is an edge
            }
        }
        update();
        return vector;
    }

    private void update() {
        master.setLine(CASCADE, slave.pending() >= 0);
        output.set(master.pending() >= 0);
    }

    @Override
    public int inByte(int port) {
        if (port >= 0x4d0) {
            return (port == 0x4d0 ? master : slave).level;
        }
        Chip chip = port < 0xa0 ? master : slave;
        if (chip.poll) {
            chip.poll = false;
            int input = chip.pending();
            if (input >= 0) {
                chip.acknowledge(input);
                if (!chip.master) {
                    master.setLine(CASCADE, false);
                }
                update();
                return 0x80 | input;
            }
            return 0;
        }
        return (port & 1) == 0 ? chip.readCommand() : chip.masked;
    }

    @Override
    public void outByte(int port, int value) {
        if (port >= 0x4d0) {
            Chip chip = port == 0x4d0 ? master : slave;
            chip.level = value & chip.levelWritable;
            chip.requested |= chip.lines & chip.level;
        } else {
            Chip chip = port < 0xa0 ? master : slave;
            if ((port & 1) == 0) {
                chip.writeCommand(value);
            } else {
                chip.writeData(value);
            }
        }
        update();
    }

    @Override
    public void save(StateWriter out) {
        out.section("pic");
        master.save(out, "master.");
        slave.save(out, "slave.");
    }

    @Override
    public void load(StateReader in) {
        in.section("pic");
        master.load(in, "master.");
        slave.load(in, "slave.");
    }
}
