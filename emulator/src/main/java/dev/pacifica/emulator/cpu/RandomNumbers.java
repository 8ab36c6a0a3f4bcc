package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;

/**
 * RDRAND and RDSEED: numbers that look random to the guest, and that follow from the machine's
 * seed.
 */
public final class RandomNumbers implements Stateful {
    private long state;

    RandomNumbers() {}

    /** Starts the sequence anew. */
    public void seed(long seed) {
        state = seed;
    }

    /** The next 64 bits: a Weyl sequence, scrambled (splitmix64). */
    private long next() {
        state += 0x9e37_79b9_7f4a_7c15L;
        long z = (state ^ state >>> 30) * 0xbf58_476d_1ce4_e5b9L;
        z = (z ^ z >>> 27) * 0x94d0_49bb_1331_11ebL;
        return z ^ z >>> 31;
    }

    /** Always succeeds: CF set, the other arithmetic flags clear. */
    int read(Cpu cpu, Insn insn) {
        Operands.writeRegister(
                cpu, insn.rm, insn.operandSize, Operands.truncate(next(), insn.operandSize));
        cpu.setArithmeticFlags(Cpu.CF);
        return SystemInstructions.NEXT;
    }

    @Override
    public void save(StateWriter out) {
        out.u64("randomState", state);
    }

    @Override
    public void load(StateReader in) {
        state = in.u64("randomState");
    }
}
