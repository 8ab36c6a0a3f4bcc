package dev.pacifica.cli;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.machine.Machine;
import dev.pacifica.emulator.machine.Stop;
import java.util.Locale;
import java.util.function.Supplier;

/**
 * How a run ended: the process's status, and one line on standard error if nobody meant it to end
 * there.
 */
final class Ending {
    /** Of a run that --max-instructions ended; timeout(1) has it for the same. */
    static final int LIMIT = 124;

    /** In a recording's manifest. */
    static final String AT_THE_LIMIT = "instruction limit reached";

    /** Of so many processors the line says where they are. */
    private static final int SHOWN = 4;

    private Ending() {}

    /**
     * Tells of the end of a machine.
     *
     * @param stop why it ended by itself, or null
     * @param names of addresses, asked for only where an address is told
     * @param quiet whether standard error is for something else
     */
    static int of(
            Machine machine,
            Stop stop,
            Interruption interruption,
            Supplier<SymbolTable> names,
            boolean quiet) {
        if (interruption.requested()) {
            return Pacifica.INTERRUPTED;
        }
        String what =
                stop == null
                        ? AT_THE_LIMIT
                        : switch (stop.reason()) {
                            case POWER_OFF, DEBUG_EXIT -> null;
                            case RESET, TRIPLE_FAULT, DEAD_HALT -> stop.detail();
                        };
        if (what != null && !quiet) {
            System.err.println(
                    String.format(
                            Locale.ROOT,
                            "pacifica: %s after %,d instructions, %s",
                            what,
                            machine.clock().retired,
                            places(machine, names.get())));
        }
        return stop == null ? LIMIT : stop.status();
    }

    private static String places(Machine machine, SymbolTable names) {
        if (machine.vcpus() == 1) {
            return "at " + place(machine.cpu(0), names);
        }
        StringBuilder all = new StringBuilder("processor ");
        for (int i = 0; i < Math.min(machine.vcpus(), SHOWN); i++) {
            all.append(i == 0 ? "" : ", ").append(i).append(" at ");
            all.append(place(machine.cpu(i), names));
        }
        return machine.vcpus() > SHOWN ? all + " \u2026" : all.toString();
    }

    private static String place(Cpu cpu, SymbolTable names) {
        String symbol = cpu.guestMode ? null : names.nameOf(cpu.segBase[Cpu.CS] + cpu.rip);
        return String.format(
                "rip 0x%x%s%s%s",
                cpu.rip,
                cpu.segBase[Cpu.CS] == 0 ? "" : ", cs base 0x%x".formatted(cpu.segBase[Cpu.CS]),
                cpu.guestMode ? " of its guest" : "",
                symbol == null ? "" : " (" + symbol + ")");
    }
}
