package dev.pacifica.emulator.device;

/** An interrupt wire that remembers. */
final class Wire implements InterruptLine {
    boolean asserted;
    int rises;

    @Override
    public void set(boolean value) {
        if (value && !asserted) {
            rises++;
        }
        asserted = value;
    }
}
