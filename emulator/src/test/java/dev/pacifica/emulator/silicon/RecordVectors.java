package dev.pacifica.emulator.silicon;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Records on this host's processor: {@code RecordVectors HARNESS FOLDER}. See
 * src/test/native/README.md.
 */
final class RecordVectors {
    private RecordVectors() {}

    public static void main(String[] args) throws IOException, InterruptedException {
        SiliconHarness harness = new SiliconHarness(Path.of(args[0]));
        Path folder = Path.of(args[1]);
        List<SiliconCase> cases =
                harness.run(CaseGenerator.all()).stream()
                        .filter(c -> c.vector() != SiliconCase.ENDLESS)
                        .toList();
        byte[] packed = VectorFile.pack(cases);
        Files.write(folder.resolve("vectors.zst"), packed);
        byte[] opcodes = OpcodeVectors.record(harness);
        Files.write(folder.resolve("opcodes.zst"), opcodes);
        System.out.println(
                cases.size()
                        + " cases, "
                        + packed.length
                        + " bytes; opcodes "
                        + opcodes.length
                        + " bytes");
    }
}
