package dev.pacifica.replayer;

import dev.pacifica.emulator.machine.InputSource;
import dev.pacifica.recorder.RecordedMachine;
import dev.pacifica.recorder.TraceReader;

/** Builds a machine as the recorded one was before its first instruction. */
@FunctionalInterface
public interface MachineFactory {
    RecordedMachine build(TraceReader trace, InputSource inputs);
}
