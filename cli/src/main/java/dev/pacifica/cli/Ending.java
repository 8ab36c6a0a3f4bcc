package dev.pacifica.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.machine.Machine;
import dev.pacifica.emulator.machine.Stop;
import java.util.Locale;
import java.util.function.Supplier;

/**
 * How a run ended: the process's status, and one line on standard error if nobody meant it to end
 * there; or the same as JSON.
 */
final class Ending {
    /** Of a run that --max-instructions ended; timeout(1) has it for the same. */
    static final int LIMIT = 124;

    /** In a recording's manifest. */
    static final String AT_THE_LIMIT = "instruction limit reached";

    /** In a recording's manifest. */
    static final String INTERRUPTED = "interrupted";

    /** Of so many processors the line says where they are. */
    private static final int SHOWN = 4;

    private final Machine machine;
    private final Stop stop;
    private final String reason;
    private final Supplier<SymbolTable> names;

    /**
     * The end of a machine.
     *
     * @param stop why it ended by itself, or null; not heard if the person ended the run, which may
     *     be why the machine did
     * @param reason why the run ends if the machine could go on
     * @param names of addresses, asked for only where an address is told
     */
    Ending(Machine machine, Stop stop, String reason, Supplier<SymbolTable> names) {
        boolean interrupted = reason.equals(INTERRUPTED);
        this.machine = machine;
        this.stop = interrupted ? null : stop;
        this.reason = interrupted || stop == null ? reason : stop.detail();
        this.names = names;
    }

    /** The status for the process. */
    int status() {
        if (stop != null) {
            return stop.status();
        }
        return reason.equals(INTERRUPTED) ? Pacifica.INTERRUPTED : LIMIT;
    }

    /** Whether the guest or the person meant the run to end there. */
    boolean meant() {
        return stop == null
                ? reason.equals(INTERRUPTED)
                : switch (stop.reason()) {
                    case POWER_OFF, DEBUG_EXIT -> true;
                    case RESET, TRIPLE_FAULT, DEAD_HALT -> false;
                };
    }

    /** Tells where a run ended that nobody meant to end there. */
    void tell() {
        if (!meant()) {
            System.err.println(
                    String.format(
                            Locale.ROOT,
                            "pacifica: %s after %,d %s, %s",
                            reason,
                            machine.clock().retired,
                            machine.clock().retired == 1 ? "instruction" : "instructions",
                            places()));
        }
    }

    private String places() {
        if (machine.vcpus() == 1) {
            return "at " + place(machine.cpu(0));
        }
        StringBuilder all = new StringBuilder("processor ");
        for (int i = 0; i < Math.min(machine.vcpus(), SHOWN); i++) {
            all.append(i == 0 ? "" : ", ").append(i).append(" at ");
            all.append(place(machine.cpu(i)));
        }
        return machine.vcpus() > SHOWN ? all + " \u2026" : all.toString();
    }

    private String place(Cpu cpu) {
        String symbol = symbol(cpu);
        return String.format(
                "rip 0x%x%s%s%s",
                cpu.rip,
                cpu.segBase[Cpu.CS] == 0 ? "" : ", cs base 0x%x".formatted(cpu.segBase[Cpu.CS]),
                cpu.guestMode ? " of its guest" : "",
                symbol == null ? "" : " (" + symbol + ")");
    }

    private String symbol(Cpu cpu) {
        return cpu.guestMode ? null : names.get().nameOf(cpu.segBase[Cpu.CS] + cpu.rip);
    }

    /** The end, meant or not, with the place of each processor. */
    void describe(ObjectNode node) {
        node.put("reason", reason);
        if (stop == null) {
            node.putNull("status");
        } else {
            node.put("status", stop.status());
        }
        node.put("instructions", machine.clock().retired);
        ArrayNode processors = node.putArray("processors");
        for (int i = 0; i < machine.vcpus(); i++) {
            Cpu cpu = machine.cpu(i);
            ObjectNode processor = processors.addObject();
            processor.put("vcpu", i);
            processor.put("rip", CheckReport.hex(cpu.rip));
            processor.put("cs_base", CheckReport.hex(cpu.segBase[Cpu.CS]));
            processor.put("in_guest", cpu.guestMode);
            processor.put("symbol", symbol(cpu));
        }
    }
}
