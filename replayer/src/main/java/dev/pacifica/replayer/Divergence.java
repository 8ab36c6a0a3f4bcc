package dev.pacifica.replayer;

/**
 * Where a replay first was not what was recorded.
 *
 * @param insnCount retired instructions at that moment
 * @param event number of the event that differs, or of the next one where state differs
 * @param field {@code kind.field} of the event, {@code section.field} of the state, or a RAM page
 */
public record Divergence(long insnCount, long event, String field, String expected, String found) {
    /** One line for a person. */
    public String describe() {
        return "first divergence at instruction %,d, event %,d: %s: expected %s, found %s"
                .formatted(insnCount, event, field, expected, found);
    }
}
