package dev.pacifica.emulator.boot;

import dev.pacifica.emulator.memory.PhysicalMemory;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.GZIPInputStream;

/**
 * A file to boot: a kernel, an initial ramdisk or a module. Its contents are read when first needed
 * and kept.
 */
public final class BootFile {
    private static final long LARGEST = Integer.MAX_VALUE - 64;

    private final String name;
    private final Path path;
    private final long size;
    private byte[] data;

    private BootFile(String name, Path path, long size, byte[] data) {
        this.name = name;
        this.path = path;
        this.size = size;
        this.data = data;
    }

    /** The file at {@code path}, which must exist; it is not read yet. */
    public static BootFile open(Path path) {
        try {
            if (!Files.exists(path)) {
                throw new BootException(path + ": no such file");
            }
            if (Files.isDirectory(path)) {
                throw new BootException(path + ": is a directory, not a file");
            }
            if (!Files.isReadable(path)) {
                throw new BootException(path + ": permission denied");
            }
            if (!Files.isRegularFile(path)) {
                byte[] all = Files.readAllBytes(path); // a pipe
                return new BootFile(path.toString(), path, all.length, all);
            }
            return new BootFile(path.toString(), path, Files.size(path), null);
        } catch (IOException e) {
            throw new BootException(path + ": can't be read: " + e.getMessage());
        }
    }

    /** A file that is in memory already, e.g. out of a trace. */
    public static BootFile of(String name, byte[] data) {
        return new BootFile(name, null, data.length, data);
    }

    /** The name as the person gave it. */
    public String name() {
        return name;
    }

    /** The last element of the name. */
    public String baseName() {
        return name.substring(name.lastIndexOf('/') + 1);
    }

    public long size() {
        return size;
    }

    /** The whole contents; not to be changed. */
    public byte[] data() {
        if (data == null) {
            if (size > LARGEST) {
                throw new BootException(
                        this,
                        "is %d bytes, more than the 2 GiB that can be loaded from one file"
                                .formatted(size));
            }
            try {
                data = Files.readAllBytes(path);
            } catch (AccessDeniedException e) {
                throw new BootException(this, "permission denied");
            } catch (IOException e) {
                throw new BootException(this, "can't be read: " + e.getMessage());
            }
        }
        return data;
    }

    /** This file, or what it unpacks to if it is packed with gzip. */
    BootFile unpacked() {
        if (!isGzip()) {
            return this;
        }
        try (GZIPInputStream in = new GZIPInputStream(new ByteArrayInputStream(data()))) {
            return of(name, in.readAllBytes());
        } catch (IOException e) {
            throw new BootException(this, "is packed with gzip but damaged: " + e.getMessage());
        }
    }

    /** Whether it begins as what gzip packed does: long enough, magic number, method 8. */
    boolean isGzip() {
        return has(0, 18) && u16(0) == 0x8b1f && u8(2) == 8;
    }

    /** Copies {@code count} bytes from {@code offset} on into RAM, both within bounds. */
    void copyTo(PhysicalMemory memory, long pa, long offset, long count) {
        memory.write(pa, data(), (int) offset, (int) count);
    }

    boolean has(long offset, long count) {
        return offset >= 0 && count >= 0 && offset <= size && count <= size - offset;
    }

    /** The byte at an offset that the file has. */
    int u8(long offset) {
        return data()[(int) offset] & 0xff;
    }

    int u16(long offset) {
        return u8(offset) | u8(offset + 1) << 8;
    }

    int s32(long offset) {
        return u16(offset) | u16(offset + 2) << 16;
    }

    long u32(long offset) {
        return Integer.toUnsignedLong(s32(offset));
    }

    long u64(long offset) {
        return u32(offset) | u32(offset + 4) << 32;
    }
}
