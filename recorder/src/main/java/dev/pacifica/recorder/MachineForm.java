package dev.pacifica.recorder;

import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.schemas.EventField;
import dev.pacifica.schemas.EventKind;
import dev.pacifica.schemas.Events;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/**
 * What of a recorded run is not in the machine's configuration but in the build of Pacifica, and
 * without which a trace cannot be replayed. Taken before the first instruction, from the machine
 * itself, so that nobody has to think of it when the emulator changes.
 *
 * @param stateLayout digest of the saved state's layout: its sections and fields by name, each with
 *     its type and length
 * @param eventLayout digest of the event schema: kinds and fields by name, with types and offsets
 * @param cpuFeatures what CPUID offers, by the names that {@code --cpu} has for it
 */
public record MachineForm(String stateLayout, String eventLayout, List<String> cpuFeatures) {
    private static final int DIGEST_DIGITS = 16;

    public MachineForm {
        cpuFeatures = cpuFeatures == null ? List.of() : List.copyOf(cpuFeatures);
    }

    /** That of a machine before its first instruction. */
    public static MachineForm of(RecordedMachine machine) {
        Layout layout = new Layout();
        machine.save(layout);
        return new MachineForm(digest(layout.text), digestOfEvents(), machine.cpuFeatures());
    }

    private static String digestOfEvents() {
        StringBuilder text = new StringBuilder();
        for (EventKind kind : Events.kinds()) {
            text.append(kind.code()).append(' ').append(kind.name()).append('\n');
            for (EventField field : kind.fields()) {
                text.append(field.offset()).append(' ').append(field.width()).append(' ');
                text.append(field.type()).append(' ').append(field.name()).append('\n');
            }
        }
        return digest(text);
    }

    private static String digest(CharSequence text) {
        byte[] digest =
                CheckpointFile.sha256().digest(text.toString().getBytes(StandardCharsets.UTF_8));
        return HexFormat.of().formatHex(digest).substring(0, DIGEST_DIGITS);
    }

    /** How the machine that an emulator builds differs from this, the recorded one; or null. */
    public String differenceTo(MachineForm built) {
        List<String> differences = new ArrayList<>();
        List<String> gone = without(cpuFeatures, built.cpuFeatures);
        List<String> added = without(built.cpuFeatures, cpuFeatures);
        if (!gone.isEmpty()) {
            differences.add("its processor had, and now lacks, " + String.join(", ", gone));
        }
        if (!added.isEmpty()) {
            differences.add("its processor lacked " + String.join(", ", added));
        }
        layout(differences, "saved state", stateLayout, built.stateLayout);
        layout(differences, "event schema", eventLayout, built.eventLayout);
        return differences.isEmpty() ? null : String.join("; ", differences);
    }

    private static void layout(List<String> differences, String what, String was, String is) {
        if (!is.equals(was)) {
            differences.add("its %s has layout %s, here it is %s".formatted(what, was, is));
        }
    }

    private static List<String> without(List<String> all, List<String> taken) {
        return all.stream().filter(feature -> !taken.contains(feature)).toList();
    }

    /** Takes names, types and lengths down instead of values. */
    private static final class Layout implements StateWriter {
        private final StringBuilder text = new StringBuilder();

        private void field(String type, String name) {
            text.append(type).append(' ').append(name).append('\n');
        }

        @Override
        public void section(String name) {
            field("section", name);
        }

        @Override
        public void u8(String name, int value) {
            field("u8", name);
        }

        @Override
        public void u16(String name, int value) {
            field("u16", name);
        }

        @Override
        public void u32(String name, int value) {
            field("u32", name);
        }

        @Override
        public void u64(String name, long value) {
            field("u64", name);
        }

        @Override
        public void bytes(String name, byte[] value) {
            field("bytes " + value.length, name);
        }

        @Override
        public void longs(String name, long[] value) {
            field("longs " + value.length, name);
        }
    }
}
