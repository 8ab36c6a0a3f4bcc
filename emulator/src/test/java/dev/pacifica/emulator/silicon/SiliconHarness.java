package dev.pacifica.emulator.silicon;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Runs cases on this host's processor through the native harness. */
final class SiliconHarness {
    private static final int INPUT_BYTES = 24 + 8 * SiliconState.WORDS;
    private static final int OUTPUT_BYTES = 16 + 8 * SiliconState.WORDS;

    private final Path executable;

    SiliconHarness(Path executable) {
        this.executable = executable;
    }

    List<SiliconCase> run(List<SiliconCase> cases) throws IOException, InterruptedException {
        Process process =
                new ProcessBuilder(executable.toString())
                        .redirectError(ProcessBuilder.Redirect.INHERIT)
                        .start();
        Thread writer = Thread.ofPlatform().start(() -> write(process, cases));
        List<SiliconCase> done = new ArrayList<>(cases.size());
        try (InputStream in = new BufferedInputStream(process.getInputStream(), 1 << 20)) {
            byte[] bytes = new byte[OUTPUT_BYTES];
            for (SiliconCase c : cases) {
                if (in.readNBytes(bytes, 0, OUTPUT_BYTES) != OUTPUT_BYTES) {
                    throw new IOException(
                            "the harness ended at or before case " + done.size() + ": " + c);
                }
                ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
                int vector = buffer.getInt();
                int error = buffer.getInt();
                long address = buffer.getLong();
                done.add(
                        new SiliconCase(
                                c.mode(),
                                c.code(),
                                c.before(),
                                vector,
                                error,
                                address,
                                SiliconState.get(buffer)));
            }
        }
        writer.join();
        process.waitFor();
        return done;
    }

    private static void write(Process process, List<SiliconCase> cases) {
        byte[] bytes = new byte[INPUT_BYTES];
        try (OutputStream out = new BufferedOutputStream(process.getOutputStream(), 1 << 20)) {
            for (SiliconCase c : cases) {
                ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
                buffer.putInt(c.mode()).putInt(c.code().length);
                buffer.put(c.code()).position(24);
                SiliconState.put(buffer, c.before());
                out.write(bytes);
            }
        } catch (IOException e) {
            // The reader finds out and reports it.
            process.destroy();
        }
    }
}
