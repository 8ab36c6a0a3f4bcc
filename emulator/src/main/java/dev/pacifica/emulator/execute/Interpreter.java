package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.cpu.WorldSwitched;
import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.time.VirtualClock;

/**
 * Runs a processor: executes instructions, delivers what they raise, keeps the count of retired
 * instructions exact.
 */
public final class Interpreter {
    private final Cpu cpu;
    private final VirtualClock clock;
    private final HotLoop hotLoop;
    private boolean cached = true;

    public Interpreter(Cpu cpu, Decoder decoder) {
        this(cpu, new CodeCache(cpu.memory, decoder));
    }

    /** An interpreter that shares decoded code with others of the same machine. */
    public Interpreter(Cpu cpu, CodeCache cache) {
        this.cpu = cpu;
        clock = cpu.clock;
        hotLoop = new HotLoop(cpu, cache);
    }

    /**
     * Whether to keep decoded code (the default) or to fetch and decode each instruction anew,
     * slowly and with the same results.
     */
    public void setCached(boolean cached) {
        this.cached = cached;
    }

    /**
     * Executes until the clock's retired count reaches {@code untilRetired}, a timer is due, the
     * processor no longer is {@link Cpu#RUNNING}, or {@link Cpu#ATTENTION_STOP} is set meanwhile,
     * as a repeated string instruction does where it is suspended; whoever wants to go on calls
     * again. An exception or interrupt that is delivered counts as one tick, so that a guest that
     * does nothing but fault makes progress in time.
     */
    public void run(long untilRetired) {
        cpu.attention &= ~Cpu.ATTENTION_STOP; // whoever asked last has been heard
        boolean goesOn = true;
        while (goesOn
                && clock.retired < untilRetired
                && (cpu.attention & Cpu.ATTENTION_STOP) == 0) {
            goesOn = advance(untilRetired);
        }
    }

    /**
     * Executes up to the next boundary at which something is to be looked at; false if nothing can
     * be executed now. Apart from the loop around it, which HotSpot enters in two ways, so that it
     * compiles this once.
     */
    private boolean advance(long untilRetired) {
        long deadline = clock.nextDeadline();
        long limit = Math.min(untilRetired, clock.retiredAt(deadline));
        if (clock.retired >= limit) {
            return false;
        }
        try {
            if (cpu.attention != 0 && attend()) {
                countDelivery();
                return true;
            }
            if (cpu.activity != Cpu.RUNNING) {
                return false;
            }
            if (cpu.events.stepNeeded()) {
                step();
            } else if (cached) {
                hotLoop.run(limit, deadline);
            } else {
                hotLoop.executeFetched();
            }
        } catch (GuestException e) {
            deliver(e);
        } catch (WorldSwitched e) {
            // The processor already is where it goes on.
        }
        return true;
    }

    /** Takes what is due at an instruction boundary; true if something was taken. */
    private boolean attend() {
        cpu.attention &= ~Cpu.ATTENTION_CONTEXT;
        return cpu.attention != 0 && cpu.events.poll();
    }

    private void deliver(GuestException e) {
        boolean guest = cpu.guestMode;
        try {
            cpu.events.deliverException(e);
        } catch (WorldSwitched switched) {
            // Intercepted: the host goes on.
        }
        if (!guest || cpu.guestMode) {
            countDelivery();
        }
    }

    /** Counts an event that was taken; a triple fault delivers none. */
    private void countDelivery() {
        if (cpu.activity != Cpu.SHUTDOWN) {
            clock.retired++;
        }
    }

    /** Executes one instruction with everything that may have to happen around it. */
    private void step() {
        cpu.events.beforeInstruction();
        hotLoop.executeFetched();
        cpu.events.afterInstruction();
    }
}
