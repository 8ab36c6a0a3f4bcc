package dev.pacifica.replayer;

import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.StateFormatException;
import dev.pacifica.emulator.state.StateWriter;

/**
 * Compares a machine with a recorded state while the machine saves itself: the first field that
 * differs is kept with its name, although the recorded bytes have no names.
 */
final class StateComparison implements StateWriter {
    private final BinaryStateReader recorded;
    private String section = "";
    private String field;
    private String expected;
    private String found;

    StateComparison(byte[] state) {
        recorded = new BinaryStateReader(state);
    }

    /** The first field that differs as {@code section.field}, or null. */
    String field() {
        return field;
    }

    String expected() {
        return expected;
    }

    String found() {
        return found;
    }

    private void differs(String name, String recordedValue, String value) {
        if (field == null) {
            field = section.isEmpty() ? name : section + "." + name;
            expected = recordedValue;
            found = value;
        }
    }

    private void check(String name, long recordedValue, long value) {
        if (recordedValue != value) {
            differs(name, "0x" + Long.toHexString(recordedValue), "0x" + Long.toHexString(value));
        }
    }

    private interface Step {
        void run();
    }

    private void step(String name, Step step) {
        if (field == null) {
            try {
                step.run();
            } catch (StateFormatException e) {
                differs(name, "state of the same shape", e.getMessage());
            }
        }
    }

    @Override
    public void section(String name) {
        step(name, () -> recorded.section(name));
        section = name;
    }

    @Override
    public void u8(String name, int value) {
        step(name, () -> check(name, recorded.u8(name), value & 0xff));
    }

    @Override
    public void u16(String name, int value) {
        step(name, () -> check(name, recorded.u16(name), value & 0xffff));
    }

    @Override
    public void u32(String name, int value) {
        step(name, () -> check(name, recorded.u32(name) & 0xffff_ffffL, value & 0xffff_ffffL));
    }

    @Override
    public void u64(String name, long value) {
        step(name, () -> check(name, recorded.u64(name), value));
    }

    @Override
    public void bytes(String name, byte[] value) {
        step(
                name,
                () -> {
                    byte[] other = recorded.bytes(name);
                    check(name + ".length", other.length, value.length);
                    for (int i = 0; i < value.length && field == null; i++) {
                        check(name + "[" + i + "]", other[i] & 0xff, value[i] & 0xff);
                    }
                });
    }

    @Override
    public void longs(String name, long[] value) {
        step(
                name,
                () -> {
                    check(name + ".length", recorded.u32(name), value.length);
                    for (int i = 0; i < value.length && field == null; i++) {
                        check(name + "[" + i + "]", recorded.u64(name), value[i]);
                    }
                });
    }
}
