package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * VMCB state caching (§15.15): copies of the VMCBs that this processor ran last, by their physical
 * addresses, of which VMRUN takes every field whose clean bit is set. Memory is not looked at for
 * those, so that a hypervisor that changes a field and leaves its clean bit set runs the guest with
 * the old value.
 */
final class VmcbCache {
    /** VMCBs that one processor keeps. */
    static final int ENTRIES = 4;

    private static final long FREE = -1;

    /**
     * The fields of each clean bit (Figure 15-4) as pairs of offset and size in bytes. NP_ENABLE
     * counts to the nested paging fields.
     */
    private static final int[][] GROUPS = {
        {
            VmcbLayout.INTERCEPT_CR, 0x18,
            VmcbLayout.PAUSE_FILTER_THRESHOLD, 4,
            VmcbLayout.TSC_OFFSET, 8,
        },
        {VmcbLayout.IOPM_BASE_PA, 8, VmcbLayout.MSRPM_BASE_PA, 8},
        {VmcbLayout.ASID, 4},
        {VmcbLayout.V_INTR, 8},
        {VmcbLayout.NP_ENABLE, 8, VmcbLayout.N_CR3, 8, VmcbLayout.G_PAT, 8},
        {
            VmcbLayout.CR0, 8,
            VmcbLayout.CR3, 8,
            VmcbLayout.CR4, 8,
            VmcbLayout.EFER, 8,
        },
        {VmcbLayout.DR6, 8, VmcbLayout.DR7, 8},
        {VmcbLayout.GDTR, 16, VmcbLayout.IDTR, 16},
        {
            VmcbLayout.ES, 16,
            VmcbLayout.CS, 16,
            VmcbLayout.SS, 16,
            VmcbLayout.DS, 16,
            VmcbLayout.CPL, 1,
        },
        {VmcbLayout.CR2, 8},
        {
            VmcbLayout.DBGCTL, 8,
            VmcbLayout.BR_FROM, 8,
            VmcbLayout.BR_TO, 8,
            VmcbLayout.LASTEXCPFROM, 8,
            VmcbLayout.LASTEXCPTO, 8,
        },
        {
            VmcbLayout.AVIC_APIC_BAR, 8,
            VmcbLayout.AVIC_BACKING_PAGE, 8,
            VmcbLayout.AVIC_LOGICAL_TABLE, 8,
            VmcbLayout.AVIC_PHYSICAL_TABLE, 8,
        },
    };

    /** For each word of a VMCB the bytes that a clean bit governs, all ones each. */
    private static final long[][] GOVERNED =
            Arrays.stream(GROUPS).map(VmcbCache::bytesOf).toArray(long[][]::new);

    private final Vmcb[] images = new Vmcb[ENTRIES];
    private final long[] kept = new long[Vmcb.WORDS];
    private final long[] words = new long[Vmcb.WORDS];
    private final long[] address = new long[ENTRIES];
    private final long[] lastUse = new long[ENTRIES];
    private long uses;

    VmcbCache(PhysicalMemory memory) {
        Arrays.setAll(images, _ -> Vmcb.image(memory));
        Arrays.fill(address, FREE);
    }

    private static long[] bytesOf(int[] group) {
        long[] masks = new long[Vmcb.WORDS];
        for (int i = 0; i < group.length; i += 2) {
            for (int at = group[i]; at < group[i] + group[i + 1]; at++) {
                masks[at >>> 3] |= 0xffL << 8 * (at & 7);
            }
        }
        return masks;
    }

    /**
     * VMRUN: the merged state that the processor takes, from memory where a clean bit is clear or
     * the VMCB is not cached, otherwise as {@link #current} was when the guest was left. It stays
     * the cached state of the VMCB.
     */
    Vmcb merge(Vmcb vmcb) {
        int entry = find(vmcb.address());
        int clean = entry < 0 ? 0 : vmcb.get32(VmcbLayout.CLEAN_BITS);
        if (entry < 0) {
            entry = oldest();
            address[entry] = vmcb.address();
        }
        lastUse[entry] = ++uses;
        Vmcb image = images[entry];
        image.copyTo(kept);
        vmcb.copyTo(words);
        for (int bit = 0; bit < GOVERNED.length; bit++) {
            if ((clean >>> bit & 1) != 0) {
                restore(GOVERNED[bit]);
            }
        }
        image.copyFrom(words);
        image.imageOf(vmcb);
        return image;
    }

    private void restore(long[] governed) {
        for (int i = 0; i < Vmcb.WORDS; i++) {
            words[i] ^= (words[i] ^ kept[i]) & governed[i];
        }
    }

    /**
     * The cached state of the VMCB that was merged last and still is cached: what #VMEXIT updates.
     */
    Vmcb current(Vmcb vmcb) {
        return images[find(vmcb.address())];
    }

    /** VMRUN refused the VMCB: no guest state was loaded, and none is kept. */
    void forget(Vmcb vmcb) {
        address[find(vmcb.address())] = FREE;
    }

    void reset() {
        Arrays.fill(address, FREE);
    }

    private int find(long vmcb) {
        for (int i = 0; i < ENTRIES; i++) {
            if (address[i] == vmcb) {
                return i;
            }
        }
        return -1;
    }

    private int oldest() {
        int oldest = 0;
        for (int i = 0; i < ENTRIES; i++) {
            if (address[i] == FREE) {
                return i;
            }
            if (lastUse[i] < lastUse[oldest]) {
                oldest = i;
            }
        }
        return oldest;
    }

    void save(StateWriter out) {
        out.u64("cacheUses", uses);
        byte[] bytes = new byte[VmcbLayout.USED];
        for (int i = 0; i < ENTRIES; i++) {
            out.u64("cachedVmcb", address[i]);
            if (address[i] != FREE) {
                out.u64("cachedLastUse", lastUse[i]);
                images[i].copyTo(words);
                MemorySegment.copy(
                        MemorySegment.ofArray(words),
                        ValueLayout.JAVA_BYTE,
                        0,
                        bytes,
                        0,
                        bytes.length);
                out.bytes("cachedState", bytes);
            }
        }
    }

    void load(StateReader in) {
        uses = in.u64("cacheUses");
        byte[] bytes = new byte[VmcbLayout.USED];
        for (int i = 0; i < ENTRIES; i++) {
            address[i] = in.u64("cachedVmcb");
            if (address[i] != FREE) {
                lastUse[i] = in.u64("cachedLastUse");
                in.bytes("cachedState", bytes);
                MemorySegment.copy(
                        bytes,
                        0,
                        MemorySegment.ofArray(words),
                        ValueLayout.JAVA_BYTE,
                        0,
                        bytes.length);
                images[i].copyFrom(words);
            }
        }
    }
}
