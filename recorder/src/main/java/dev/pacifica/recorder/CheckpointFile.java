package dev.pacifica.recorder;

import com.github.luben.zstd.Zstd;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * One checkpoint in a file. RAM is there as the pages written since the checkpoint before; contents
 * that an earlier checkpoint already has are only named. Sections are compressed with zstd; the
 * SHA-256 of all before it ends the file.
 *
 * <pre>
 *  0                               4                               8
 * +---------------------------------------------------------------+
 * |                       magic "PACCKPT1"                        |
 * +-------------------------------+-------------------------------+
 * |    number of the checkpoint   |          pages listed         |  8
 * +-------------------------------+-------------------------------+
 * |         contents held         |           reserved, 0         | 16
 * +-------------------------------+-------------------------------+
 * |     section: machine state                                    | 24
 * |     section: event encoder's state                            |
 * |     section: page list, 28 bytes each: u32 page,              |
 * |         u32 checkpoint and u32 index of the contents          |
 * |         (both FFFFFFFFh: zeros), 16 bytes of their SHA-256    |
 * |     sections: contents, up to 64 pages each                   |
 * |     SHA-256, 32 bytes                                         |
 * +---------------------------------------------------------------+
 * a section: u32 raw length, u32 compressed length, zstd frame
 * </pre>
 */
final class CheckpointFile {
    static final int PAGE_SIZE = 4096;
    static final int PAGES_PER_SECTION = 64;

    /** The contents' checkpoint and index of a page that is all zero. */
    static final int ZEROS = -1;

    private static final long MAGIC = 0x3154_504b_4343_4150L;
    private static final int HEADER_LENGTH = 24;
    private static final int ENTRY_LENGTH = 28;
    private static final int DIGEST_LENGTH = 32;
    private static final int LEVEL = 1;

    private CheckpointFile() {}

    /**
     * A page that was written since the checkpoint before.
     *
     * @param page RAM page number
     * @param checkpoint the checkpoint whose file has the contents, or {@link #ZEROS}
     * @param index of the contents there, or {@link #ZEROS}
     * @param hash of the contents
     */
    record Page(int page, int checkpoint, int index, PageHash hash) {}

    /** The first 128 bits of the SHA-256 of a page. */
    record PageHash(long high, long low) {
        @Override
        public String toString() {
            return "SHA-256 %016x%016x…".formatted(high, low);
        }

        /** The hash of the page that lies in an array from an offset on. */
        static PageHash of(byte[] array, int offset, MessageDigest sha256) {
            sha256.update(array, offset, PAGE_SIZE);
            ByteBuffer digest = ByteBuffer.wrap(sha256.digest());
            return new PageHash(digest.getLong(), digest.getLong());
        }
    }

    /** What a file says, but for the contents of pages. */
    record Head(int checkpoint, byte[] machine, byte[] encoder, List<Page> pages) {}

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Where the contents of pages come from. */
    interface PageSource {
        /** Copies the contents with a number, from 0 on, to an offset of an array. */
        void copy(int content, byte[] into, int at);
    }

    /** Writes the file in one step and returns its length. */
    static long write(
            Path file,
            int checkpoint,
            byte[] machine,
            byte[] encoder,
            List<Page> pages,
            int contentCount,
            PageSource contents) {
        ByteArrayOutputStream out = new ByteArrayOutputStream(1 << 16);
        ByteBuffer head = ByteBuffer.allocate(HEADER_LENGTH).order(ByteOrder.LITTLE_ENDIAN);
        head.putLong(MAGIC).putInt(checkpoint).putInt(pages.size()).putInt(contentCount).putInt(0);
        out.writeBytes(head.array());
        section(out, machine, machine.length);
        section(out, encoder, encoder.length);
        ByteBuffer list =
                ByteBuffer.allocate(pages.size() * ENTRY_LENGTH).order(ByteOrder.LITTLE_ENDIAN);
        for (Page page : pages) {
            list.putInt(page.page).putInt(page.checkpoint).putInt(page.index);
            list.putLong(page.hash.high).putLong(page.hash.low);
        }
        section(out, list.array(), list.capacity());
        byte[] group = new byte[PAGES_PER_SECTION * PAGE_SIZE];
        for (int first = 0; first < contentCount; first += PAGES_PER_SECTION) {
            int count = Math.min(PAGES_PER_SECTION, contentCount - first);
            for (int i = 0; i < count; i++) {
                contents.copy(first + i, group, i * PAGE_SIZE);
            }
            section(out, group, count * PAGE_SIZE);
        }
        out.writeBytes(sha256().digest(out.toByteArray()));
        return writeAtomically(file, out);
    }

    private static void section(ByteArrayOutputStream out, byte[] raw, int length) {
        byte[] compressed =
                Zstd.compress(length == raw.length ? raw : Arrays.copyOf(raw, length), LEVEL);
        ByteBuffer lengths = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        lengths.putInt(length).putInt(compressed.length);
        out.writeBytes(lengths.array());
        out.writeBytes(compressed);
    }

    private static long writeAtomically(Path file, ByteArrayOutputStream bytes) {
        Path temporary = file.resolveSibling(file.getFileName() + ".tmp");
        try {
            try (OutputStream out = Files.newOutputStream(temporary)) {
                bytes.writeTo(out);
            }
            try (FileChannel channel = FileChannel.open(temporary, StandardOpenOption.WRITE)) {
                channel.force(true);
            }
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
            return bytes.size();
        } catch (IOException e) {
            try {
                Files.deleteIfExists(temporary);
            } catch (IOException suppressed) {
                e.addSuppressed(suppressed);
            }
            throw DiskErrors.explain(file, e);
        }
    }

    /** Reads a file and checks it; page contents are reached through {@link Contents#page}. */
    static Contents read(Path file, int checkpoint) {
        byte[] bytes;
        try {
            bytes = Files.readAllBytes(file);
        } catch (IOException e) {
            throw new TraceException(
                    "damaged trace: " + DiskErrors.explain(file, e).getMessage(), e);
        }
        int end = bytes.length - DIGEST_LENGTH;
        if (end < HEADER_LENGTH) {
            throw damaged(file, "it is too short");
        }
        MessageDigest sha256 = sha256();
        sha256.update(bytes, 0, end);
        if (!Arrays.equals(sha256.digest(), Arrays.copyOfRange(bytes, end, bytes.length))) {
            throw damaged(file, "its checksum does not match");
        }
        ByteBuffer in = ByteBuffer.wrap(bytes, 0, end).order(ByteOrder.LITTLE_ENDIAN);
        if (in.getLong() != MAGIC || in.getInt() != checkpoint) {
            throw damaged(file, "it is not checkpoint " + checkpoint);
        }
        int pageCount = in.getInt();
        int contentCount = in.getInt();
        in.getInt();
        byte[] machine = section(in);
        byte[] encoder = section(in);
        ByteBuffer list = ByteBuffer.wrap(section(in)).order(ByteOrder.LITTLE_ENDIAN);
        List<Page> pages = new ArrayList<>(pageCount);
        for (int i = 0; i < pageCount; i++) {
            pages.add(
                    new Page(
                            list.getInt(),
                            list.getInt(),
                            list.getInt(),
                            new PageHash(list.getLong(), list.getLong())));
        }
        return new Contents(new Head(checkpoint, machine, encoder, pages), in, contentCount);
    }

    private static byte[] section(ByteBuffer in) {
        int raw = in.getInt();
        byte[] compressed = new byte[in.getInt()];
        in.get(compressed);
        return Zstd.decompress(compressed, raw);
    }

    private static TraceException damaged(Path file, String why) {
        return new TraceException("damaged trace: " + file + ": " + why);
    }

    /** A checked file in memory; groups of pages are decompressed when they are needed. */
    static final class Contents {
        private final Head head;
        private final ByteBuffer in;
        private final int[] offsets;
        private int openGroup = -1;
        private byte[] open = {};

        private Contents(Head head, ByteBuffer in, int contentCount) {
            this.head = head;
            this.in = in;
            offsets = new int[(contentCount + PAGES_PER_SECTION - 1) / PAGES_PER_SECTION];
            int at = in.position();
            for (int i = 0; i < offsets.length; i++) {
                offsets[i] = at;
                at += 8 + in.getInt(at + 4);
            }
        }

        Head head() {
            return head;
        }

        /** Copies the contents with the given index. */
        void page(int index, byte[] into) {
            int group = index / PAGES_PER_SECTION;
            if (group != openGroup) {
                open =
                        section(
                                in.duplicate()
                                        .order(ByteOrder.LITTLE_ENDIAN)
                                        .position(offsets[group]));
                openGroup = group;
            }
            System.arraycopy(open, index % PAGES_PER_SECTION * PAGE_SIZE, into, 0, PAGE_SIZE);
        }
    }
}
