package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.observe.MachineObserver;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import java.util.Arrays;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Copies of the VMCBs as the processor last left them, so that an observer can be told which fields
 * the hypervisor changed before the next VMRUN. Kept only while somebody observes; the least
 * recently used of a fixed number goes first. The processors of a machine share them, because a
 * hypervisor runs one VMCB now here, now there.
 */
final class VmcbShadow implements Stateful {
    private static final int ENTRIES = 16;
    private static final long FREE = -1;

    /** The fields by the word they lie in; null where all eight bytes are reserved. */
    private static final VmcbLayout.Field[][] FIELDS = new VmcbLayout.Field[Vmcb.WORDS][];

    static {
        VmcbLayout.FIELDS.stream()
                .collect(Collectors.groupingBy(field -> field.offset() >>> 3))
                .forEach((word, fields) -> FIELDS[word] = fields.toArray(VmcbLayout.Field[]::new));
    }

    /** The words that have fields, in ascending order: a saved copy consists of these. */
    private static final int[] SAVED =
            IntStream.range(0, Vmcb.WORDS).filter(word -> FIELDS[word] != null).toArray();

    private final int cpuId;
    private Copies copies = new Copies();
    private boolean shares;

    /** The fields of the VMCB that is reported. */
    private final long[] now = new long[Vmcb.WORDS];

    private static final class Copies {
        final long[] address = new long[ENTRIES];
        final long[] lastUse = new long[ENTRIES];
        final long[][] words = new long[ENTRIES][];
        long uses;

        Copies() {
            Arrays.fill(address, FREE);
        }
    }

    /** Where the last search ended; the next one tries there first. */
    private int found;

    VmcbShadow(int cpuId) {
        this.cpuId = cpuId;
    }

    /** From now on this one uses, and leaves to be saved, another processor's copies. */
    void shareWith(VmcbShadow other) {
        copies = other.copies;
        shares = true;
    }

    /** Takes the fields of the VMCB as they are now. */
    void remember(Vmcb vmcb) {
        int entry = find(vmcb.address());
        if (entry < 0) {
            entry = oldest();
            copies.address[entry] = vmcb.address();
            if (copies.words[entry] == null) {
                copies.words[entry] = new long[Vmcb.WORDS];
            }
        }
        copies.lastUse[entry] = ++copies.uses;
        vmcb.copyTo(copies.words[entry]);
    }

    /** VMSAVE wrote to the VMCB: that is no change by the hypervisor's hand. */
    void refresh(Vmcb vmcb) {
        if (find(vmcb.address()) >= 0) {
            remember(vmcb);
        }
    }

    /**
     * Tells of each field that differs from the copy, in ascending order; of a VMCB that was not
     * seen before, nothing.
     */
    void report(Vmcb vmcb, MachineObserver observer) {
        int entry = find(vmcb.address());
        if (entry < 0) {
            return;
        }
        long[] copy = copies.words[entry];
        vmcb.copyTo(now);
        for (int word = firstDifference(copy, now, 0);
                word < Vmcb.WORDS;
                word = firstDifference(copy, now, word + 1)) {
            report(vmcb.address(), word, copy[word], now[word], observer);
        }
    }

    /** The first word from one on that differs; neighbours often do, the others hardly ever. */
    private static int firstDifference(long[] copy, long[] now, int from) {
        if (from < Vmcb.WORDS && copy[from] != now[from]) {
            return from;
        }
        int found = Arrays.mismatch(copy, from, Vmcb.WORDS, now, from, Vmcb.WORDS);
        return found < 0 ? Vmcb.WORDS : from + found;
    }

    private void report(long vmcb, int word, long then, long now, MachineObserver observer) {
        if (FIELDS[word] == null) {
            return; // reserved bytes are nobody's business
        }
        for (VmcbLayout.Field field : FIELDS[word]) {
            long before = part(then, field);
            long after = part(now, field);
            if (before != after) {
                observer.vmcbChange(cpuId, vmcb, field.offset(), field.size(), before, after);
            }
        }
    }

    private static long part(long word, VmcbLayout.Field field) {
        long shifted = word >>> 8 * (field.offset() & 7);
        return field.size() == 8 ? shifted : shifted & (1L << 8 * field.size()) - 1;
    }

    private int find(long vmcb) {
        if (copies.address[found] == vmcb) {
            return found;
        }
        for (int i = 0; i < ENTRIES; i++) {
            if (copies.address[i] == vmcb) {
                found = i;
                return i;
            }
        }
        return -1;
    }

    private int oldest() {
        int oldest = 0;
        for (int i = 1; i < ENTRIES; i++) {
            if (copies.lastUse[i] < copies.lastUse[oldest]) {
                oldest = i;
            }
        }
        return oldest;
    }

    @Override
    public void save(StateWriter out) {
        if (shares) {
            return;
        }
        out.section("vmcb-shadow" + cpuId);
        out.u64("uses", copies.uses);
        for (int i = 0; i < ENTRIES; i++) {
            out.u64("address", copies.address[i]);
            out.u64("lastUse", copies.lastUse[i]);
            if (copies.address[i] != FREE) {
                out.longs("words", saved(copies.words[i]));
            }
        }
    }

    @Override
    public void load(StateReader in) {
        if (shares) {
            return;
        }
        in.section("vmcb-shadow" + cpuId);
        copies.uses = in.u64("uses");
        for (int i = 0; i < ENTRIES; i++) {
            copies.address[i] = in.u64("address");
            copies.lastUse[i] = in.u64("lastUse");
            if (copies.address[i] != FREE) {
                long[] saved = new long[SAVED.length];
                in.longs("words", saved);
                copies.words[i] = new long[Vmcb.WORDS];
                for (int j = 0; j < SAVED.length; j++) {
                    copies.words[i][SAVED[j]] = saved[j];
                }
            }
        }
    }

    private static long[] saved(long[] words) {
        long[] saved = new long[SAVED.length];
        for (int i = 0; i < SAVED.length; i++) {
            saved[i] = words[SAVED[i]];
        }
        return saved;
    }
}
