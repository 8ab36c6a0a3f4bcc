package dev.pacifica.emulator.silicon;

import com.github.luben.zstd.Zstd;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Recorded cases in a zstd-compressed file. Each case: mode, code length, code, vector; the words
 * of the state before that differ from {@link SiliconState#base()}; error code and address; the
 * words of the state after that differ from the state before. Words are written as the number of
 * equal words skipped (varint) and eight bytes; the list ends with a skip of 7FFFh.
 */
final class VectorFile {
    private static final int END = 0x7FFF;

    private VectorFile() {}

    static byte[] pack(List<SiliconCase> cases) {
        ByteArrayOutputStream out = new ByteArrayOutputStream(1 << 24);
        long[] base = SiliconState.base();
        varint(out, cases.size());
        for (SiliconCase c : cases) {
            out.write(c.mode());
            out.write(c.code().length);
            out.writeBytes(c.code());
            difference(out, base, c.before());
            out.write(c.vector());
            varint(out, c.error());
            word(out, c.address());
            difference(out, c.before(), c.after());
        }
        byte[] plain = out.toByteArray();
        byte[] packed = Zstd.compress(plain, 19);
        ByteArrayOutputStream file = new ByteArrayOutputStream(packed.length + 8);
        word(file, plain.length);
        file.writeBytes(packed);
        return file.toByteArray();
    }

    static List<SiliconCase> read(String resource) {
        try (InputStream in = VectorFile.class.getResourceAsStream(resource)) {
            if (in == null) {
                throw new IllegalStateException(resource + " is missing");
            }
            return unpack(in.readAllBytes());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static List<SiliconCase> unpack(byte[] file) {
        Reader header = new Reader(file);
        int size = Math.toIntExact(header.word());
        Reader in = new Reader(Zstd.decompress(Arrays.copyOfRange(file, 8, file.length), size));
        int count = in.varint();
        long[] base = SiliconState.base();
        List<SiliconCase> cases = new ArrayList<>(count);
        for (int i = 0; i < count; i++) {
            int mode = in.next();
            byte[] code = in.bytes(in.next());
            long[] before = in.difference(base);
            int vector = in.next();
            int error = in.varint();
            long address = in.word();
            cases.add(
                    new SiliconCase(
                            mode, code, before, vector, error, address, in.difference(before)));
        }
        return cases;
    }

    private static void difference(ByteArrayOutputStream out, long[] from, long[] to) {
        int skipped = 0;
        for (int i = 0; i < to.length; i++) {
            if (from[i] == to[i]) {
                skipped++;
            } else {
                varint(out, skipped);
                word(out, to[i]);
                skipped = 0;
            }
        }
        varint(out, END);
    }

    private static void varint(ByteArrayOutputStream out, int value) {
        int v = value;
        while ((v & ~0x7F) != 0) {
            out.write(v & 0x7F | 0x80);
            v >>>= 7;
        }
        out.write(v);
    }

    private static void word(ByteArrayOutputStream out, long value) {
        for (int i = 0; i < 64; i += 8) {
            out.write((int) (value >> i));
        }
    }

    private static final class Reader {
        private final byte[] bytes;
        private int p;

        Reader(byte[] bytes) {
            this.bytes = bytes;
        }

        int next() {
            return bytes[p++] & 0xFF;
        }

        byte[] bytes(int n) {
            p += n;
            return Arrays.copyOfRange(bytes, p - n, p);
        }

        int varint() {
            int value = 0;
            for (int shift = 0; ; shift += 7) {
                int b = next();
                value |= (b & 0x7F) << shift;
                if (b < 0x80) {
                    return value;
                }
            }
        }

        long word() {
            long value = 0;
            for (int i = 0; i < 64; i += 8) {
                value |= (long) next() << i;
            }
            return value;
        }

        long[] difference(long[] from) {
            long[] state = from.clone();
            int i = 0;
            for (int skip = varint(); skip != END; skip = varint()) {
                i += skip;
                state[i++] = word();
            }
            return state;
        }
    }
}
