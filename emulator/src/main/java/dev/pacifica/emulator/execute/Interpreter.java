package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.cpu.WorldSwitched;
import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.machine.VirtualClock;

/** Runs a processor: executes instructions, delivers what they raise, keeps the count of retired instructions exact. */
public final class Interpreter {
    private final Cpu cpu;
    private final VirtualClock clock;
    private final InstructionFetch fetch;
    private final Insn insn = new Insn();

    public Interpreter(Cpu cpu, Decoder decoder) {
        this.cpu = cpu;
        clock = cpu.clock;
        fetch = new InstructionFetch(cpu, decoder);
    }

    /**
     * Executes until the clock's retired count reaches {@code untilRetired}, a timer is due, the processor no longer is
     * {@link Cpu#RUNNING}, or {@link Cpu#ATTENTION_STOP} is set. An exception or interrupt that is delivered counts as one tick, so that
     * a guest that does nothing but fault makes progress in time.
     */
    public void run(long untilRetired) {
        while (clock.retired < untilRetired && clock.now() < clock.nextDeadline() && (cpu.attention & Cpu.ATTENTION_STOP) == 0) {
            try {
                if (cpu.attention != 0 && attend()) {
                    clock.retired++;
                    continue;
                }
                if (cpu.activity != Cpu.RUNNING) {
                    return;
                }
                step();
            } catch (GuestException e) {
                deliver(e);
            } catch (WorldSwitched e) {
                // The processor already is where it goes on.
            }
        }
    }

    /** Takes what is due at an instruction boundary; true if something was taken. */
    private boolean attend() {
        cpu.attention &= ~Cpu.ATTENTION_CONTEXT;
        return cpu.attention != 0 && cpu.events.poll();
    }

    private void deliver(GuestException e) {
        try {
            cpu.events.deliverException(e);
            clock.retired++;
        } catch (WorldSwitched switched) {
            // Intercepted: the host goes on.
        }
    }

    /** Executes one instruction without any cache, with everything that may have to happen around it. */
    private void step() {
        boolean single = cpu.events.stepNeeded();
        if (single) {
            cpu.events.beforeInstruction();
        }
        fetch.decode(insn);
        cpu.insnLength = insn.length;
        if (IntegerInstructions.execute(cpu, insn) == IntegerInstructions.NEXT) {
            cpu.rip = cpu.mode64 ? cpu.rip + insn.length : cpu.rip + insn.length & 0xffff_ffffL;
        }
        clock.retired++;
        if (single) {
            cpu.events.afterInstruction();
        }
    }
}
