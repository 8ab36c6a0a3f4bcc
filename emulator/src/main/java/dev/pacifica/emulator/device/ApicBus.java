package dev.pacifica.emulator.device;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;

/** Carries interrupt messages between local APICs, I/O APICs and the 8259s' INTR wire. */
public final class ApicBus implements Stateful {
    /** Delivery modes of ICR, LVT and redirection entries (APM Vol 2 §16.5). */
    public static final int FIXED = 0;

    public static final int LOWEST_PRIORITY = 1;
    public static final int SMI = 2;
    public static final int NMI = 4;
    public static final int INIT = 5;
    public static final int STARTUP = 6;
    public static final int EXTERNAL = 7;

    private final List<LocalApic> locals = new ArrayList<>();
    private final List<IoApic> ioApics = new ArrayList<>();
    private Pic8259 pic;
    private boolean picLine;

    void attach(LocalApic apic) {
        locals.add(apic);
    }

    void attach(IoApic apic) {
        ioApics.add(apic);
    }

    /** Connects the 8259s, whose INTR output must call {@link #setPicLine}. */
    public void attach(Pic8259 pic) {
        this.pic = pic;
    }

    Pic8259 pic() {
        return pic;
    }

    /** The level of the 8259s' INTR wire, which is LINT0 of each local APIC. */
    boolean picLine() {
        return picLine;
    }

    /** Drives the INTR wire. */
    public void setPicLine(boolean asserted) {
        if (picLine != asserted) {
            picLine = asserted;
            for (LocalApic apic : locals) {
                apic.lint0Changed(asserted);
            }
        }
    }

    /**
     * Delivers a message to every APIC that matches, or to one of them in lowest-priority mode.
     *
     * @param destination APIC id or logical destination
     * @param wide whether {@code destination} has x2APIC's 32 bits instead of 8
     * @return whether anyone was addressed
     */
    public boolean send(
            int destination, boolean logical, boolean wide, int mode, int vector, boolean level) {
        if (mode == LOWEST_PRIORITY) {
            return sendToLowest(destination, logical, wide, vector, level);
        }
        boolean any = false;
        for (LocalApic apic : locals) {
            if (apic.matches(destination, logical, wide)) {
                apic.accept(mode, vector, level);
                any = true;
            }
        }
        return any;
    }

    private boolean sendToLowest(
            int destination, boolean logical, boolean wide, int vector, boolean level) {
        return sendToLowest(apic -> apic.matches(destination, logical, wide), vector, level);
    }

    /**
     * §16.6.2: the focus processor of the interrupt takes it, if it says that it would; else the
     * lowest arbitration priority decides, and among equals the highest APIC id. That decides among
     * several focus processors, too, of which the manual does not speak.
     */
    private boolean sendToLowest(Predicate<LocalApic> addressed, int vector, boolean level) {
        LocalApic winner = null;
        boolean focused = false;
        for (LocalApic apic : locals) {
            if (!addressed.test(apic) || !apic.acceptsFixed()) {
                continue;
            }
            boolean focus = apic.isFocus(vector);
            if (winner == null || (focus == focused ? apic.precedes(winner) : focus)) {
                winner = apic;
                focused = focus;
            }
        }
        if (winner == null) {
            return false;
        }
        winner.accept(FIXED, vector, level);
        return true;
    }

    /** Delivers to all or to all but {@code sender}; in lowest-priority mode to one of these. */
    void broadcast(LocalApic sender, boolean includingSelf, int mode, int vector, boolean level) {
        if (mode == LOWEST_PRIORITY) {
            sendToLowest(apic -> includingSelf || apic != sender, vector, level);
            return;
        }
        for (LocalApic apic : locals) {
            if (includingSelf || apic != sender) {
                apic.accept(mode, vector, level);
            }
        }
    }

    /** The SMI wire, which reaches every processor whatever its APIC is set to. */
    void assertSmi() {
        for (LocalApic apic : locals) {
            apic.accept(SMI, 0, false);
        }
    }

    /** A local APIC ended a level-triggered interrupt. */
    void endOfInterrupt(int vector) {
        for (IoApic apic : ioApics) {
            apic.endOfInterrupt(vector);
        }
    }

    @Override
    public void save(StateWriter out) {
        out.section("apicbus");
        out.flag("picLine", picLine);
    }

    @Override
    public void load(StateReader in) {
        in.section("apicbus");
        picLine = in.flag("picLine");
    }
}
