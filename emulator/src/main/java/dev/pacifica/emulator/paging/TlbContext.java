package dev.pacifica.emulator.paging;

import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import java.util.Arrays;

/** All translations that carry one ASID (§15.16): the host's is 0. */
final class TlbContext {
    static final int SUPERVISOR = 0;
    static final int USER = 1;

    /** Supervisor with RFLAGS.AC set while SMAP is on: user pages may be reached. */
    static final int SUPERVISOR_AC = 2;

    private static final int KINDS = 3;

    int asid;

    /** What else the permissions in here depend on; see {@code Mmu.rules}. */
    long rules;

    /** The guest-physical page that was redirected to AVIC, or -1. */
    long redirected = -1;

    long lastUse;
    private final Tlb[] data = new Tlb[KINDS];
    private final FetchTlb[] fetch = new FetchTlb[KINDS];

    TlbContext(int asid) {
        this.asid = asid;
    }

    Tlb data(int kind) {
        Tlb tlb = data[kind];
        if (tlb == null) {
            tlb = new Tlb();
            data[kind] = tlb;
        }
        return tlb;
    }

    FetchTlb fetch(int kind) {
        FetchTlb tlb = fetch[kind];
        if (tlb == null) {
            tlb = new FetchTlb();
            fetch[kind] = tlb;
        }
        return tlb;
    }

    void flush(boolean globals) {
        for (int i = 0; i < KINDS; i++) {
            if (data[i] != null) {
                data[i].flush(globals);
            }
            if (fetch[i] != null) {
                fetch[i].flush(globals);
            }
        }
    }

    void invalidate(long va) {
        for (int i = 0; i < KINDS; i++) {
            if (data[i] != null) {
                data[i].invalidate(va);
            }
            if (fetch[i] != null) {
                fetch[i].invalidate(va);
            }
        }
    }

    void dropFast() {
        for (Tlb tlb : data) {
            if (tlb != null) {
                tlb.dropFast();
            }
        }
    }

    void forgetDecoded() {
        for (FetchTlb tlb : fetch) {
            if (tlb != null) {
                Arrays.fill(tlb.code, null);
            }
        }
    }

    void dropWriteTags() {
        for (Tlb tlb : data) {
            if (tlb != null) {
                tlb.dropWriteTags();
            }
        }
    }

    void dropWriteTags(long physicalPage) {
        for (Tlb tlb : data) {
            if (tlb != null) {
                tlb.dropWriteTags(physicalPage);
            }
        }
    }

    /** Takes entries that lead to a physical page off the hit path. */
    void reveal(long physicalPage) {
        for (int i = 0; i < KINDS; i++) {
            if (data[i] != null) {
                data[i].dropTags(physicalPage);
            }
            if (fetch[i] != null) {
                fetch[i].forgetDecoded(physicalPage);
            }
        }
    }

    void save(StateWriter out) {
        out.u32("asid", asid);
        out.u64("lastUse", lastUse);
        out.u64("rules", rules);
        out.u64("redirected", redirected);
        for (int i = 0; i < KINDS; i++) {
            data(i).save(out);
            fetch(i).save(out);
        }
    }

    void load(StateReader in) {
        asid = in.u32("asid");
        lastUse = in.u64("lastUse");
        rules = in.u64("rules");
        redirected = in.u64("redirected");
        for (int i = 0; i < KINDS; i++) {
            data(i).load(in);
            fetch(i).load(in);
        }
    }
}
