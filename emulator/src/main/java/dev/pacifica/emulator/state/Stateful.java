package dev.pacifica.emulator.state;

/**
 * A component whose whole state can be saved and loaded; save, load, save yields the same bytes.
 */
public interface Stateful {
    void save(StateWriter out);

    void load(StateReader in);
}
