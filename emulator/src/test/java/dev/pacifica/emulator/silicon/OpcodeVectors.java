package dev.pacifica.emulator.silicon;

import com.github.luben.zstd.Zstd;
import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.decode.Insn;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * What the processor makes of random bytes: undefined or not, and the length of what it executed.
 * Each record of the file: mode (32, 64), verdict ({@link #UNDEFINED}, {@link #DEFINED}, or the
 * length), number of bytes, bytes.
 */
final class OpcodeVectors {
    static final int UNDEFINED = 255;

    /** Executed or faulted otherwise than by #UD; the length does not show. */
    static final int DEFINED = 0;

    private static final int COUNT = 60_000;

    record Verdict(int mode, byte[] code, int verdict) {}

    private OpcodeVectors() {}

    static byte[] record(SiliconHarness harness) throws IOException, InterruptedException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (SiliconCase c : harness.run(cases())) {
            boolean undefined = c.vector() == 6 && c.after()[SiliconState.RIP] == 0;
            boolean fellThrough =
                    c.vector() == SiliconCase.EXECUTED && c.code().length < Decoder.MAX_LENGTH;
            long length = c.after()[SiliconState.RIP];
            out.write(c.mode());
            out.write(
                    undefined
                            ? UNDEFINED
                            : fellThrough && length > 0 && length <= Decoder.MAX_LENGTH
                                    ? (int) length
                                    : DEFINED);
            out.write(c.code().length);
            out.writeBytes(c.code());
        }
        byte[] plain = out.toByteArray();
        byte[] packed = Zstd.compress(plain, 19);
        return ByteBuffer.allocate(4 + packed.length).putInt(plain.length).put(packed).array();
    }

    static List<Verdict> unpack(byte[] file) {
        byte[] plain =
                Zstd.decompress(
                        Arrays.copyOfRange(file, 4, file.length), ByteBuffer.wrap(file).getInt());
        List<Verdict> verdicts = new ArrayList<>();
        for (int p = 0; p < plain.length; ) {
            int length = plain[p + 2];
            verdicts.add(
                    new Verdict(
                            plain[p],
                            Arrays.copyOfRange(plain, p + 3, p + 3 + length),
                            plain[p + 1] & 0xFF));
            p += 3 + length;
        }
        return verdicts;
    }

    /**
     * Random bytes behind likely prefixes, cut where our decoder ends the instruction if it knows
     * one: the INT3 that follows tells whether the processor ends it there too.
     */
    private static List<SiliconCase> cases() {
        int[] prefixes = {0x66, 0x66, 0x67, 0xF2, 0xF3, 0xF0, 0x2E, 0x3E, 0x64, 0x65, 0x26, 0x36};
        Random random = new Random(20_261_123L);
        Decoder decoder = new Decoder();
        Insn insn = new Insn();
        List<SiliconCase> cases = new ArrayList<>();
        for (int i = 0; i < COUNT; i++) {
            int mode = i % 2 == 0 ? 64 : 32;
            byte[] code = new byte[Decoder.MAX_LENGTH];
            random.nextBytes(code);
            int p = 0;
            for (int chance = 3; random.nextInt(chance) == 0; chance *= 3) {
                code[p++] = (byte) prefixes[random.nextInt(prefixes.length)];
            }
            if (mode == 64 && random.nextInt(3) == 0) {
                code[p++] = (byte) (0x40 + random.nextInt(16));
            }
            int map = random.nextInt(8);
            if (map >= 4) {
                code[p++] = 0x0F;
                if (map == 7) {
                    code[p++] = (byte) (random.nextBoolean() ? 0x38 : 0x3A);
                }
            }
            if (random.nextInt(3) == 0) {
                code[p + 1] |= (byte) 0xC0;
            }
            decoder.decode(code, 0, code.length, mode, insn);
            long[] state = SiliconState.base();
            Arrays.fill(state, 0, 16, SiliconState.WINDOW_ADDRESS + 1024);
            state[SiliconState.SEGMENT + 1] = mode == 64 ? 0x33 : 0x23;
            state[1] = 1; // a short LOOP or REP
            cases.add(
                    new SiliconCase(
                            mode,
                            insn.row == null ? code : Arrays.copyOf(code, insn.length),
                            state,
                            0,
                            0,
                            0,
                            null));
        }
        return cases;
    }
}
