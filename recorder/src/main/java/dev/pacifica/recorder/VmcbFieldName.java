package dev.pacifica.recorder;

import dev.pacifica.emulator.svm.VmcbLayout;
import java.util.List;
import java.util.Locale;

/**
 * What a field of the VMCB is called in SQL: the manual's name in lower case, {@code es_limit} for
 * ES.LIMIT.
 *
 * @param offset in the VMCB, in bytes
 * @param size in bytes
 */
public record VmcbFieldName(int offset, int size, String name) {
    /** All fields in ascending order, out of the emulator's layout. */
    public static List<VmcbFieldName> all() {
        return VmcbLayout.FIELDS.stream()
                .map(f ->
                        new VmcbFieldName(
                                f.offset(),
                                f.size(),
                                f.name().toLowerCase(Locale.ROOT).replace('.', '_')))
                .toList();
    }
}
