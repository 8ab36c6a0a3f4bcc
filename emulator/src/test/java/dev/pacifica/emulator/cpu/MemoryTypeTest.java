package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Tables 15-19 and 15-20 as the manual prints them, and the MTRRs' types (§7.7). */
class MemoryTypeTest {
    private final MemoryTypeRegisters ranges = new MemoryTypeRegisters();

    private static MemoryType named(String name) {
        return switch (name) {
            case "UC-" -> MemoryType.UC_MINUS;
            case "WC+" -> MemoryType.WC_PLUS;
            default -> MemoryType.valueOf(name);
        };
    }

    private static void row(String columns, String row, boolean nested) {
        String[] heads = columns.split(" ");
        String[] cells = row.split(" +");
        for (int i = 0; i < heads.length; i++) {
            MemoryType first = named(cells[0]);
            MemoryType second = named(heads[i]);
            MemoryType found =
                    nested ? first.combinedWithHost(second) : first.combinedWithMtrr(second);
            assertThat(found).as(cells[0] + " and " + heads[i]).isEqualTo(named(cells[i + 1]));
        }
    }

    @ParameterizedTest
    @CsvSource({
        "UC   UC  UC   UC  UC   UC   UC",
        "UC-  UC  UC-  WC  UC   UC   UC",
        "WC   WC  WC   WC  WC+  WC+  WC+",
        "WP   UC  UC   UC  WP   UC   WP",
        "WT   UC  UC   UC  UC   WT   WT",
        "WB   UC  UC   WC  WP   WT   WB",
    })
    void guestAndHostPatTypes(String row) {
        row("UC UC- WC WP WT WB", row, true);
    }

    @ParameterizedTest
    @CsvSource({
        "UC   UC  CD  CD   CD   CD",
        "UC-  UC  WC  CD   CD   CD",
        "WC   WC  WC  WC   WC   WC",
        "WC+  WC  WC  WC+  WC+  WC+",
        "WP   UC  CD  WP   CD   WP",
        "WT   UC  CD  CD   WT   WT",
        "WB   UC  WC  WP   WT   WB",
    })
    void patAndMtrrTypes(String row) {
        row("UC WC WP WT WB", row, false);
    }

    /** CR0.CD keeps nothing in a cache; what was not cached stays what it is. */
    @ParameterizedTest
    @CsvSource({"WB, CD", "WT, CD", "WP, CD", "CD, CD", "UC, UC", "WC, WC", "WC+, WC+"})
    void cachingDisabled(String type, String left) {
        assertThat(named(type).uncached()).isEqualTo(named(left));
    }

    /** Tables 7-5 and 7-9. */
    @ParameterizedTest
    @CsvSource({"0, UC, UC", "1, WC, WC", "4, WT, WT", "5, WP, WP", "6, WB, WB", "7, UC, UC-"})
    void encodings(int encoding, String mtrr, String pat) {
        assertThat(MemoryType.encoded(encoding)).isEqualTo(named(mtrr));
        assertThat(MemoryType.ofPat((long) encoding << 40, 5)).isEqualTo(named(pat));
    }

    /** No WRMSR lets them through, but a checkpoint may hold anything. */
    @ParameterizedTest
    @ValueSource(ints = {2, 3})
    void reservedEncodingsAreUncacheable(int encoding) {
        assertThat(MemoryType.encoded(encoding)).isEqualTo(MemoryType.UC);
        assertThat(MemoryType.ofPat((long) encoding << 40, 5)).isEqualTo(MemoryType.UC);
    }

    /**
     * Two variable ranges over the address and the default type: UC before all, WT before WB
     * (§7.7.4); an address in neither has the default.
     */
    @ParameterizedTest
    @CsvSource({
        "6, 0, UC",
        "0, 6, UC",
        "1, 0, UC",
        "6, 4, WT",
        "4, 6, WT",
        "6, 6, WB",
        "5, 5, WP",
        "1, 1, WC"
    })
    void overlappingVariableRanges(int first, int second, MemoryType type) {
        ranges.write(0x200, 0x80_0000 | first);
        ranges.write(0x201, 0xffff_ff80_0800L);
        ranges.write(0x20e, 0x84_0000 | second);
        ranges.write(0x20f, 0xffff_fffc_0800L);
        ranges.write(0x2ff, 0x805);
        assertThat(ranges.type(0x84_1000, false)).isEqualTo(type);
        assertThat(ranges.type(0x80_1000, false)).isEqualTo(MemoryType.encoded(first));
        assertThat(ranges.type(0x100_0000, false)).isEqualTo(MemoryType.WP);
    }

    @Test
    void fixedRangesComeFirstWhereTheyAreEnabled() {
        ranges.write(0x200, 6);
        ranges.write(0x201, 0xffff_fff0_0800L);
        ranges.write(0x250, 0x0000_0000_0000_0400L); // 10000h..1FFFFh
        ranges.write(0x259, 0x0000_0000_0005_0000L); // A8000h..ABFFFh
        ranges.write(0x26f, 0x0100_0000_0000_0000L); // FF000h..FFFFFh
        ranges.write(0x2ff, 0xc06);
        assertThat(ranges.type(0x1_ffff, false)).isEqualTo(MemoryType.WT);
        assertThat(ranges.type(0xa_8000, false)).isEqualTo(MemoryType.WP);
        assertThat(ranges.type(0xa_c000, false)).isEqualTo(MemoryType.UC);
        assertThat(ranges.type(0xf_f000, false)).isEqualTo(MemoryType.WC);
        ranges.write(0x2ff, 0x806);
        assertThat(ranges.type(0x1_ffff, false)).isEqualTo(MemoryType.WB);
    }

    @Test
    void withoutMtrrsAllIsUncacheable() {
        ranges.write(0x2ff, 0x406);
        assertThat(ranges.type(0x50_0000, true)).isEqualTo(MemoryType.UC);
    }

    /** Tom2ForceMemTypeWB replaces the default type, and neither the ranges nor no MTRRs. */
    @Test
    void syscfgMakesHighMemoryWriteBack() {
        ranges.write(0x200, 0x1_4000_0000L);
        ranges.write(0x201, 0xffff_f000_0800L);
        ranges.write(0x2ff, 0x800);
        assertThat(ranges.type(0x1_0000_0000L, true)).isEqualTo(MemoryType.WB);
        assertThat(ranges.type(0x1_0000_0000L, false)).isEqualTo(MemoryType.UC);
        assertThat(ranges.type(0x1_4000_0000L, true)).isEqualTo(MemoryType.UC);
    }
}
