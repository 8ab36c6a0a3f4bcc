package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.MemoryType;
import java.util.Arrays;

/**
 * Both levels of page translation as chapter 5 and §15.25 tell them, written apart from the
 * emulator: one walk for all formats, on a copy of memory. An access is answered by a line of text,
 * and the copy then has the accessed and dirty bits that memory must have.
 */
final class TableOracle {
    /** Bytes of memory that are copied: all tables lie in them; RAM above them is zero. */
    static final int COPIED = 0x10_0000;

    private static final char READ = 'r';
    private static final char WRITE = 'w';
    private static final char FETCH = 'x';

    /** An access ends here, with the fault's text. */
    private static final class Stop extends RuntimeException {
        private static final long serialVersionUID = 1;

        Stop(String text) {
            super(text, null, false, false);
        }
    }

    /** One set of tables: its format follows from the mode of who uses it. */
    private record Tables(
            long cr3, boolean lma, boolean pae, boolean pse, boolean nxe, boolean gb) {
        int[] shifts() {
            return lma
                    ? new int[] {39, 30, 21, 12}
                    : pae ? new int[] {30, 21, 12} : new int[] {22, 12};
        }

        int entryBytes() {
            return lma || pae ? 8 : 4;
        }

        boolean pointer(int step) {
            return !lma && pae && step == 0;
        }

        long root() {
            return lma ? cr3 & 0xf_ffff_ffff_f000L : cr3 & (pae ? 0xffff_ffe0L : 0xffff_f000L);
        }

        boolean mapsPage(int step, long entry) {
            int shift = shifts()[step];
            boolean ps = (entry & 0x80) != 0;
            return shift == 12
                    || ps && (shift == 21 || shift == 22 && pse || shift == 30 && lma && gb);
        }

        boolean illegal(int step, long entry) {
            int shift = shifts()[step];
            boolean page = mapsPage(step, entry);
            if (entryBytes() == 4) {
                return page && shift == 22 && (entry >> 21 & 1) == 1;
            }
            boolean bad = (entry >>> 48 & 15) != 0;
            bad |= !lma && (entry >>> 52 & 0x7ff) != 0;
            bad |= entry < 0 && (!nxe || pointer(step));
            bad |= pointer(step) && (entry & 0b1_1110_0110) != 0;
            bad |= shift == 39 && (entry & 0x180) != 0;
            bad |= shift == 30 && lma && !gb && (entry & 0x80) != 0;
            for (int bit = 13; page && bit < shift; bit++) {
                bad |= (entry >>> bit & 1) == 1;
            }
            return bad;
        }

        long page(int step, long entry, long address) {
            int shift = shifts()[step];
            long within = address & (1L << shift) - 1;
            if (shift == 22) {
                return (entry & 0xffc0_0000L) + ((entry >> 13 & 0xff) << 32) + within;
            }
            return (entry & 0xf_ffff_ffff_ffffL) >>> shift << shift | within;
        }
    }

    private final Cpu cpu;
    private final byte[] memory;
    private final Tables guest;
    private final Tables host;
    private final boolean trap;
    private final boolean readOnlyTables;
    private final boolean hostCachingOff;

    /** The type of the page that the access reached (§15.25.8). */
    MemoryType type;

    /** Accessed and dirty bits set in tables that are not write-back memory (§15.14.5). */
    int busLocks;

    private int guestIndex;
    private int hostIndex;

    /** Takes the world as it is after VMRUN. */
    TableOracle(Cpu cpu, long options, long nestedCr3, long hostCr4, long hostEfer) {
        this.cpu = cpu;
        memory = new byte[COPIED];
        cpu.memory.read(0, memory, 0, COPIED);
        guest = tables(cpu.cr3, cpu.cr4, cpu.efer);
        host = tables(nestedCr3, hostCr4, hostEfer);
        trap = (options & 8) != 0;
        readOnlyTables = (options & 0x40) != 0;
        hostCachingOff = (cpu.svm.hostCr0() >>> 30 & 1) == 1;
    }

    private static Tables tables(long cr3, long cr4, long efer) {
        return new Tables(
                cr3,
                (efer & 0x400) != 0,
                (cr4 & 0x20) != 0,
                (cr4 & 0x10) != 0,
                (efer & 0x800) != 0,
                true);
    }

    byte[] memory() {
        return memory;
    }

    /** What becomes of an access; the system-physical address if it succeeds. */
    String access(long va, char kind, boolean user, boolean ac) {
        try {
            boolean paging = (cpu.cr0 & Cpu.CR0_PG) != 0;
            long gpa = paging ? guestWalk(va, kind, user, ac) : va & 0xffff_ffffL;
            MemoryType mapped = paging ? pat(cpu.msrs.pat, guestIndex) : MemoryType.WB;
            long pa = nested(gpa, kind, user, 32);
            type = at(pa, mapped.combinedWithHost(pat(cpu.svm.hostPat(), hostIndex)));
            return "at %x".formatted(pa);
        } catch (Stop stop) {
            return stop.getMessage();
        }
    }

    private static MemoryType pat(long pat, int index) {
        int field = (int) (pat >>> index * 8) & 0xff;
        return field == 0
                ? MemoryType.UC
                : field == 1
                        ? MemoryType.WC
                        : field == 4
                                ? MemoryType.WT
                                : field == 5
                                        ? MemoryType.WP
                                        : field == 6 ? MemoryType.WB : MemoryType.UC_MINUS;
    }

    /** The MTRRs are as firmware leaves them: all of RAM is write-back, but video memory is not. */
    private MemoryType at(long pa, MemoryType mapped) {
        if (pa >= SvmMachine.MEMORY) {
            return MemoryType.UC;
        }
        boolean video = pa >= 0xa_0000 && pa < 0xc_0000;
        MemoryType found = mapped.combinedWithMtrr(video ? MemoryType.UC : MemoryType.WB);
        boolean cachingOff = hostCachingOff || (cpu.cr0 >>> 30 & 1) == 1;
        boolean cached = found == MemoryType.WB || found == MemoryType.WT || found == MemoryType.WP;
        return cachingOff && cached ? MemoryType.CD : found;
    }

    private void lockUnlessWriteBack(MemoryType tables) {
        busLocks += tables == MemoryType.WB ? 0 : 1;
    }

    /** Bits 4 and 3, and in entries of pages the PAT bit. */
    private static int index(Tables tables, int step, long entry, boolean page) {
        int patBit = tables.shifts()[step] == 12 ? 7 : 12;
        return (int) (entry >> 3) & 3 | (page && (entry >> patBit & 1) == 1 ? 4 : 0);
    }

    private long guestWalk(long va, char kind, boolean user, boolean ac) {
        boolean smep = (cpu.cr4 >> 20 & 1) == 1;
        boolean smap = (cpu.cr4 >> 21 & 1) == 1;
        boolean wp = (cpu.cr0 >> 16 & 1) == 1;
        int access = (kind == WRITE ? 2 : 0) | (user ? 4 : 0);
        if (kind == FETCH && (smep || guest.nxe && (guest.pae || guest.lma))) {
            access |= 16;
        }
        boolean us = true;
        boolean rw = true;
        boolean nx = false;
        long table = guest.root();
        guestIndex = (int) (guest.cr3 >> 3) & 3;
        for (int step = 0; ; step++) {
            long at = table + index(guest, step, va) * guest.entryBytes();
            long where = nested(at, readOnlyTables ? READ : WRITE, true, 33);
            long entry = get(where, guest.entryBytes());
            if ((entry & 1) == 0) {
                throw new Stop("#PF %x".formatted(access));
            }
            if (guest.illegal(step, entry)) {
                throw new Stop("#PF %x".formatted(access | 9));
            }
            if (guest.pointer(step)) {
                guestIndex = index(guest, step, entry, false);
                table = entry & 0xf_ffff_ffff_f000L;
                continue;
            }
            us &= (entry & 4) != 0;
            rw &= (entry & 2) != 0;
            nx |= guest.entryBytes() == 8 && entry < 0;
            boolean page = guest.mapsPage(step, entry);
            if (page) {
                boolean hidden = user ? !us : us && smap && !ac;
                boolean refused =
                        switch (kind) {
                            case FETCH -> nx || (user ? !us : us && smep);
                            case WRITE -> hidden || !rw && (user || wp);
                            default -> hidden;
                        };
                if (refused) {
                    throw new Stop("#PF %x".formatted(access | 1));
                }
            }
            long marked = entry | 0x20 | (page && kind == WRITE ? 0x40 : 0);
            if (marked != entry) {
                long update = nested(at, WRITE, true, 33);
                MemoryType mapped = pat(cpu.msrs.pat, guestIndex);
                lockUnlessWriteBack(
                        at(update, mapped.combinedWithHost(pat(cpu.svm.hostPat(), hostIndex))));
                put(update, guest.entryBytes(), marked);
            }
            guestIndex = index(guest, step, entry, page);
            if (page) {
                return guest.page(step, entry, va);
            }
            table = entry & (guest.entryBytes() == 4 ? 0xffff_f000L : 0xf_ffff_ffff_f000L);
        }
    }

    private long nested(long gpa, char kind, boolean user, int stage) {
        long info = 1L << stage | (kind == WRITE ? 2 : kind == FETCH ? 16 : 0);
        info |= trap && !user ? 0 : 4;
        if (gpa >>> (host.lma ? 48 : 32) != 0) {
            throw new Stop("NPF %x %x".formatted(info, gpa));
        }
        boolean us = true;
        boolean rw = true;
        boolean nx = false;
        long table = host.root();
        hostIndex = (int) (host.cr3 >> 3) & 3;
        for (int step = 0; ; step++) {
            long where = table + index(host, step, gpa) * host.entryBytes();
            long entry = get(where, host.entryBytes());
            if ((entry & 1) == 0) {
                throw new Stop("NPF %x %x".formatted(info, gpa));
            }
            if (host.illegal(step, entry)) {
                throw new Stop("NPF %x %x".formatted(info | 9, gpa));
            }
            if (host.pointer(step)) {
                hostIndex = index(host, step, entry, false);
                table = entry & 0xf_ffff_ffff_f000L;
                continue;
            }
            us &= (entry & 4) != 0;
            rw &= (entry & 2) != 0;
            nx |= host.entryBytes() == 8 && entry < 0;
            boolean page = host.mapsPage(step, entry);
            if (page) {
                boolean refused = !us && !trap;
                refused |= kind == WRITE && !rw;
                refused |= kind == FETCH && (nx || trap && us && !user);
                if (refused) {
                    throw new Stop("NPF %x %x".formatted(info | 1, gpa));
                }
            }
            long marked = entry | 0x20 | (page && kind == WRITE ? 0x40 : 0);
            if (marked != entry) {
                lockUnlessWriteBack(at(where, pat(cpu.svm.hostPat(), hostIndex)));
                put(where, host.entryBytes(), marked);
            }
            hostIndex = index(host, step, entry, page);
            if (page) {
                return host.page(step, entry, gpa);
            }
            table = entry & (host.entryBytes() == 4 ? 0xffff_f000L : 0xf_ffff_ffff_f000L);
        }
    }

    private static long index(Tables tables, int step, long address) {
        int mask = tables.pointer(step) ? 3 : tables.entryBytes() == 8 ? 511 : 1023;
        return address >>> tables.shifts()[step] & mask;
    }

    private long get(long pa, int bytes) {
        long value = 0;
        for (int i = bytes - 1; i >= 0; i--) {
            long at = pa + i;
            int octet = at < COPIED ? memory[(int) at] & 0xff : at < SvmMachine.MEMORY ? 0 : 0xff;
            value = value << 8 | octet;
        }
        return value;
    }

    private void put(long pa, int bytes, long value) {
        for (int i = 0; i < bytes && pa + i < COPIED; i++) {
            memory[(int) pa + i] = (byte) (value >>> 8 * i);
        }
    }

    /** Whether memory is as the oracle left its copy, the VMCB and the host save area apart. */
    boolean agreesWith(byte[] now) {
        int from = (int) SvmMachine.VMCB;
        int to = (int) SvmMachine.HOST_SAVE + 0x1000;
        return Arrays.equals(memory, 0, from, now, 0, from)
                && Arrays.equals(memory, to, COPIED, now, to, COPIED);
    }
}
