package dev.pacifica.emulator.machine;

/** Asks for a pause while the machine looks for something to come, the {@code polls}-th time. */
final class PauseAtPoll implements InputSource {
    private final Machine machine;
    private int left;

    PauseAtPoll(Machine machine, int polls) {
        this.machine = machine;
        left = polls;
    }

    @Override
    public long nextPoll(long now) {
        if (--left == 0) {
            machine.requestPause();
        }
        return Long.MAX_VALUE;
    }

    @Override
    public Input poll(long now) {
        return null;
    }

    @Override
    public boolean await(long now) {
        return false;
    }
}
