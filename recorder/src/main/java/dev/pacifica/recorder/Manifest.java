package dev.pacifica.recorder;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import dev.pacifica.schemas.TraceFormat;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Map;

/**
 * The trace's manifest.json: what was recorded, on what, and how far it goes. Replaced as a whole,
 * so that a reader never sees a half of it.
 *
 * @param format always {@link #FORMAT}
 * @param version the trace format's version
 * @param program who wrote it
 * @param created when the recording began, ISO 8601
 * @param host facts about the host
 * @param machine the machine's configuration, as whoever builds machines wrote it
 * @param form what the machine had of the emulator that built it; null until the machine is ready
 * @param checked true if the sanitizer looked, so that there may be findings; null if it did not
 * @param images what was booted
 * @param checkpoints those that are complete
 * @param end how the recording ended; null while it runs or when it was killed
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record Manifest(
        String format,
        int version,
        String program,
        String created,
        Map<String, String> host,
        JsonNode machine,
        MachineForm form,
        Boolean checked,
        List<Image> images,
        List<Checkpoint> checkpoints,
        End end) {
    public static final String FORMAT = "pacifica-trace";
    public static final String FILE = "manifest.json";

    private static final ObjectMapper JSON =
            new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

    /**
     * A file that was booted, copied into the trace.
     *
     * @param role what for: kernel, initrd …
     * @param source where it came from
     * @param file the copy, relative to the trace
     */
    public record Image(String role, String source, String file, long bytes, String sha256) {}

    /**
     * A complete checkpoint.
     *
     * @param file relative to the trace
     * @param insnCount its moment
     * @param events number of events before what happens next
     * @param inputs number of inputs before what happens next
     * @param pages RAM pages written since the checkpoint before
     * @param newPages those of them with contents that no earlier checkpoint has
     */
    public record Checkpoint(
            int checkpoint,
            String file,
            long insnCount,
            long timeNs,
            long events,
            long inputs,
            int pages,
            int newPages,
            long bytes) {}

    /**
     * How a recording ended in good order.
     *
     * @param status the exit status that the guest asked for, 0 otherwise
     * @param stopped whether the machine ended by itself; otherwise the recording was ended at this
     *     moment
     * @param eventChain chain value of the event log's last block, hexadecimal
     * @param inputChain chain value of the input log's last block, hexadecimal
     */
    public record End(
            String reason,
            int status,
            boolean stopped,
            long insnCount,
            long timeNs,
            long events,
            long inputs,
            String eventChain,
            String inputChain) {}

    /** Whether the sanitizer looked while the run was recorded. */
    public boolean hasFindings() {
        return Boolean.TRUE.equals(checked);
    }

    /** Writes the manifest into the trace's folder, in one step. */
    public void write(Path trace) {
        Path file = trace.resolve(FILE);
        Path temporary = trace.resolve(FILE + ".tmp");
        try {
            Files.write(temporary, JSON.writeValueAsBytes(this));
            Files.move(
                    temporary,
                    file,
                    StandardCopyOption.ATOMIC_MOVE,
                    StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            throw DiskErrors.explain(file, e);
        }
    }

    /** Reads the manifest of a trace, refusing what is no trace and what a newer Pacifica wrote. */
    public static Manifest read(Path trace) {
        Path file = trace.resolve(FILE);
        if (!Files.isDirectory(trace)) {
            throw new TraceException(
                    Files.exists(trace)
                            ? trace + " is not a trace: not a directory"
                            : trace + ": no such trace");
        }
        if (!Files.isRegularFile(file)) {
            throw new TraceException(trace + " is not a trace: it has no " + FILE);
        }
        try {
            JsonNode json = JSON.readTree(Files.readAllBytes(file));
            if (!FORMAT.equals(json.path("format").asText())) {
                throw new TraceException(
                        "damaged trace: " + file + " is not the manifest of a trace");
            }
            int version = json.path("version").asInt();
            if (version > TraceFormat.VERSION) {
                throw new TraceException(
                        "%s has trace format version %d; this Pacifica reads up to version %d"
                                .formatted(trace, version, TraceFormat.VERSION));
            }
            Manifest manifest = JSON.treeToValue(json, Manifest.class);
            if (version < 1
                    || manifest.machine == null
                    || manifest.images == null
                    || manifest.checkpoints == null) {
                throw new TraceException("damaged trace: " + file + " is incomplete");
            }
            return manifest;
        } catch (JsonProcessingException e) {
            throw new TraceException(
                    "damaged trace: " + file + ": " + firstLine(e.getOriginalMessage()), e);
        } catch (IOException e) {
            throw DiskErrors.explain(file, e);
        }
    }

    private static String firstLine(String text) {
        return text == null ? "not JSON" : text.lines().findFirst().orElse("not JSON");
    }

    Manifest with(List<Checkpoint> newCheckpoints, End newEnd) {
        return new Manifest(
                format,
                version,
                program,
                created,
                host,
                machine,
                form,
                checked,
                images,
                newCheckpoints,
                newEnd);
    }

    Manifest withChecks() {
        return new Manifest(
                format,
                version,
                program,
                created,
                host,
                machine,
                form,
                true,
                images,
                checkpoints,
                end);
    }

    Manifest with(MachineForm newForm) {
        return new Manifest(
                format,
                version,
                program,
                created,
                host,
                machine,
                newForm,
                checked,
                images,
                checkpoints,
                end);
    }
}
