package dev.pacifica.emulator.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

import java.io.File;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Both ways of access to host memory, of which a JVM takes one, against a little-endian buffer. */
class RawMemoryTest {
    @Test
    void accessesAreThoseOfALittleEndianBuffer() {
        assertThatCode(Accesses::compare).doesNotThrowAnyException();
    }

    /** A JVM that denies Unsafe its memory, as later ones do, goes by segments. */
    @Test
    void accessesAreTheSameWithoutUnsafe() throws Exception {
        Process jvm =
                new ProcessBuilder(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "--enable-native-access=ALL-UNNAMED",
                                "--sun-misc-unsafe-memory-access=deny",
                                "-XX:+UseSerialGC",
                                "-cp",
                                place(Accesses.class) + File.pathSeparator + place(RawMemory.class),
                                Accesses.class.getName())
                        .redirectErrorStream(true)
                        .start();
        String said = new String(jvm.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(jvm.waitFor()).as(said).isZero();
        assertThat(said).contains(Accesses.DONE);
    }

    private static Path place(Class<?> type) throws Exception {
        return Path.of(type.getProtectionDomain().getCodeSource().getLocation().toURI());
    }

    /** Uses the JDK and RawMemory only: it also is the program of the other JVM. */
    static final class Accesses {
        static final String DONE = "compared without Unsafe";

        private static final int SIZE = 256;

        private final SplittableRandom random = new SplittableRandom(1);
        private final ByteBuffer expected =
                ByteBuffer.allocate(SIZE).order(ByteOrder.LITTLE_ENDIAN);
        private final MemorySegment memory;
        private final long address;

        private Accesses(Arena arena) {
            memory = arena.allocate(SIZE, 8);
            address = memory.address();
        }

        public static void main(String[] arguments) throws ReflectiveOperationException {
            compare();
            Field unsafe = RawMemory.class.getDeclaredField("UNSAFE");
            unsafe.setAccessible(true);
            require(unsafe.get(null) == null, "without Unsafe");
            System.out.println(DONE);
        }

        static void compare() {
            try (Arena arena = Arena.ofConfined()) {
                Accesses accesses = new Accesses(arena);
                for (int at = 0; at <= 24; at++) { // aligned and unaligned
                    accesses.integers(at);
                    accesses.arrays(at);
                    accesses.copies(at);
                }
            }
        }

        private void integers(int at) {
            fill();
            long value = random.nextLong() | 1L << 63 | 1L << 31 | 1L << 15 | 1L << 7;
            RawMemory.putLong(address + at, value);
            expected.putLong(at, value);
            same("putLong");
            require(RawMemory.getLong(address + at) == value, "getLong");
            require(RawMemory.getInt(address + at) == (int) value, "getInt");
            require(RawMemory.getShort(address + at) == (value & 0xffff), "getShort");
            require(RawMemory.getByte(address + at) == (value & 0xff), "getByte");
            RawMemory.putInt(address + at, (int) ~value);
            expected.putInt(at, (int) ~value);
            same("putInt");
            RawMemory.putShort(address + at, (int) value);
            expected.putShort(at, (short) value);
            same("putShort");
            RawMemory.putByte(address + at, (int) ~value);
            expected.put(at, (byte) ~value);
            same("putByte");
        }

        private void arrays(int at) {
            fill();
            long[] words = random.longs(8).toArray();
            RawMemory.put(address + at, words, 2, 5);
            for (int i = 0; i < 5; i++) {
                expected.putLong(at + 8 * i, words[2 + i]);
            }
            same("put of words");
            long[] wordsBack = new long[8];
            RawMemory.get(address + at, wordsBack, 1, 5);
            require(wordsBack[0] == 0 && wordsBack[6] == 0 && wordsBack[7] == 0, "words around");
            require(Arrays.equals(wordsBack, 1, 6, words, 2, 7), "get of words");
            byte[] bytes = new byte[20];
            random.nextBytes(bytes);
            RawMemory.put(address + at, bytes, 3, 11);
            expected.put(at, bytes, 3, 11);
            same("put of bytes");
            byte[] bytesBack = new byte[20];
            RawMemory.get(address + at, bytesBack, 4, 11);
            require(Arrays.equals(bytesBack, 4, 15, bytes, 3, 14), "get of bytes");
            require(bytesBack[3] == 0 && bytesBack[15] == 0, "bytes around");
        }

        /** The copies overlap, up and down. */
        private void copies(int at) {
            fill();
            RawMemory.copy(address + at, address + at + 5, 21);
            expected.put(at + 5, Arrays.copyOfRange(expected.array(), at, at + 21), 0, 21);
            same("copy up");
            RawMemory.copy(address + at + 9, address + at, 33);
            expected.put(at, Arrays.copyOfRange(expected.array(), at + 9, at + 42), 0, 33);
            same("copy down");
            RawMemory.fill(address + at, 13, (byte) 0xa5);
            Arrays.fill(expected.array(), at, at + 13, (byte) 0xa5);
            same("fill");
        }

        private void fill() {
            random.nextBytes(expected.array());
            MemorySegment.copy(expected.array(), 0, memory, ValueLayout.JAVA_BYTE, 0, SIZE);
        }

        private void same(String what) {
            require(Arrays.equals(memory.toArray(ValueLayout.JAVA_BYTE), expected.array()), what);
        }

        private static void require(boolean holds, String what) {
            if (!holds) {
                throw new IllegalStateException(what);
            }
        }
    }
}
