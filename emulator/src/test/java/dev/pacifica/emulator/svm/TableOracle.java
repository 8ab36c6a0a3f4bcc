package dev.pacifica.emulator.svm;

import dev.pacifica.emulator.cpu.Cpu;
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

    /** Takes the world as it is after VMRUN. */
    TableOracle(Cpu cpu, long options, long nestedCr3, long hostCr4, long hostEfer) {
        this.cpu = cpu;
        memory = new byte[COPIED];
        cpu.memory.read(0, memory, 0, COPIED);
        guest = tables(cpu.cr3, cpu.cr4, cpu.efer);
        host = tables(nestedCr3, hostCr4, hostEfer);
        trap = (options & 8) != 0;
        readOnlyTables = (options & 0x40) != 0;
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
            if ((cpu.cr0 & Cpu.CR0_PG) == 0) {
                return "at %x".formatted(nested(va & 0xffff_ffffL, kind, user, 32));
            }
            return "at %x".formatted(nested(guestWalk(va, kind, user, ac), kind, user, 32));
        } catch (Stop stop) {
            return stop.getMessage();
        }
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
                put(nested(at, WRITE, true, 33), guest.entryBytes(), marked);
            }
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
                put(where, host.entryBytes(), marked);
            }
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
