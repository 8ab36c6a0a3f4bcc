package dev.pacifica.recorder;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BlockLogTest {
    @TempDir Path folder;

    private static byte[] block(int seed, int records) {
        byte[] block = new byte[BlockFormat.HEADER_LENGTH + records * 64];
        new Random(seed).nextBytes(block);
        return block;
    }

    private void write(int blocks) {
        try (BlockLog.Writer writer = new BlockLog.Writer(folder)) {
            long sequence = 0;
            for (int i = 0; i < blocks; i++) {
                byte[] block = block(i, 1 + i % 256);
                writer.append(block, block.length, sequence, 1 + i % 256);
                sequence += 1 + i % 256;
            }
        }
    }

    private int read() {
        int blocks = 0;
        try (BlockLog.Reader reader = new BlockLog.Reader(folder)) {
            while (reader.next()) {
                byte[] expected = block(blocks, 1 + blocks % 256);
                assertThat(
                                Arrays.equals(
                                        expected,
                                        32,
                                        expected.length,
                                        reader.block(),
                                        32,
                                        reader.length()))
                        .isTrue();
                blocks++;
            }
        }
        return blocks;
    }

    private Path data() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(f -> f.toString().endsWith(".cq4")).findFirst().orElseThrow();
        }
    }

    @Test
    void blocksComeBackAndTheFileIsCutToItsContents() throws IOException {
        write(2000);
        assertThat(read()).isEqualTo(2000);
        long payload = 0;
        for (int i = 0; i < 2000; i++) {
            payload += block(i, 1 + i % 256).length;
        }
        assertThat(Files.size(data())).isBetween(payload, payload + 2_000_000);
    }

    @Test
    void anEmptyLogReadsAsEmpty() {
        write(0);
        assertThat(read()).isZero();
    }

    /**
     * What a writer leaves that is killed while Chronicle creates its files. Chronicle itself would
     * wait 10 seconds for that writer, or refuse.
     */
    @Test
    void aLogThatWasKilledWhileItBeganReadsAsEmpty() throws IOException {
        assertThat(read()).as("no file").isZero();
        byte[] good;
        byte[] goodMetadata;
        Path metadata = folder.resolve("metadata.cq4t");
        try (BlockLog.Writer writer = new BlockLog.Writer(folder)) {
            byte[] block = block(0, 1);
            writer.append(block, block.length, 0, 1);
            good = Files.readAllBytes(data());
            goodMetadata = Files.readAllBytes(metadata);
        }
        Path file = data();
        Files.delete(file);
        for (byte[] partial : begunParts(goodMetadata)) {
            Files.write(metadata, partial);
            assertThat(read()).as("%d bytes of metadata", partial.length).isZero();
        }
        Files.write(metadata, goodMetadata);
        for (byte[] partial : begunParts(good)) {
            Files.write(file, partial);
            assertThat(read()).as("%d bytes of events", partial.length).isZero();
        }
        Files.write(file, good);
        assertThat(read()).isEqualTo(1);
    }

    /** The moments of a file's creation: empty, short, sized but not written, not yet ready. */
    private static List<byte[]> begunParts(byte[] good) {
        byte[] unfinished = Arrays.copyOf(Arrays.copyOf(good, 4096), good.length);
        unfinished[3] |= (byte) 0x80;
        return List.of(new byte[0], Arrays.copyOf(good, 3), new byte[1 << 16], unfinished);
    }

    @Test
    void aFileWithBlocksButWithoutAHeaderIsDamaged() throws IOException {
        write(1);
        Path file = data();
        byte[] damaged = Files.readAllBytes(file);
        damaged[3] |= (byte) 0x80;
        Files.write(file, damaged);
        assertThatThrownBy(() -> new BlockLog.Reader(folder).close())
                .isInstanceOf(TraceException.class)
                .hasMessage("damaged trace: " + file + " has no header");
    }

    @Test
    void theSameBlocksMakeTheSameFile() throws IOException {
        write(300);
        byte[] first = Files.readAllBytes(data());
        List<Path> files = new ArrayList<>();
        try (Stream<Path> all = Files.list(folder)) {
            all.forEach(files::add);
        }
        for (Path file : files) {
            Files.delete(file);
        }
        write(300);
        assertThat(Files.readAllBytes(data())).isEqualTo(first);
    }

    /**
     * Whatever byte is damaged, the reader either says so or does not see the byte: it never hands
     * out other records.
     */
    @Test
    void noDamagePassesUnnoticed() throws IOException {
        write(60);
        Path file = data();
        byte[] good = Files.readAllBytes(file);
        Random random = new Random(1);
        int noticed = 0;
        for (int i = 0; i < 150; i++) {
            byte[] bad = good.clone();
            bad[random.nextInt(bad.length)] ^= (byte) (1 << random.nextInt(8));
            Files.write(file, bad);
            try {
                read();
            } catch (TraceException e) {
                assertThat(e)
                        .hasMessageStartingWith("damaged trace: ")
                        .hasMessageContaining(folder.toString());
                assertThat(e.getMessage()).doesNotContain("\n");
                noticed++;
            }
        }
        assertThat(noticed).isGreaterThan(20);
    }

    @Test
    void aMissingFolderIsDamage() {
        assertThatThrownBy(() -> new BlockLog.Reader(folder.resolve("events")))
                .isInstanceOf(TraceException.class)
                .hasMessageContaining("is missing");
    }
}
