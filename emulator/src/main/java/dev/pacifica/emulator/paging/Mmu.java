package dev.pacifica.emulator.paging;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.cpu.MemoryType;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.RawMemory;
import dev.pacifica.emulator.observe.TlbFlushCause;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * One processor's way from linear addresses to memory: software TLBs tagged by ASID in front of the
 * page walks.
 *
 * <p>Linear addresses given here already are canonical (64-bit mode) or below 4 GiB. The {@code
 * read}/{@code write} methods act with the current privilege; the {@code System} ones as implicit
 * supervisor accesses (descriptor tables, TSS).
 */
public final class Mmu implements Stateful, PhysicalMemory.CleanListener {
    /** Nested paging is on (VMCB offset 90h, NP_ENABLE). */
    public static final long NESTED = 1;

    /** Guest mode execute trap (§15.25.13). */
    public static final long EXECUTE_TRAP = 1 << 3;

    /** Read-only guest page tables (§15.25.5). */
    public static final long READ_ONLY_TABLES = 1 << 6;

    /**
     * Where translations of the guest's APIC page lead that AVIC redirects: a page of the physical
     * address space that has neither memory nor a device, so that no access takes the hit path.
     */
    static final long APIC_PAGE = (1L << 52) - 2 * 4096;

    /** The address space of system-management mode: no guest can have this ASID. */
    private static final int MANAGEMENT = -1;

    /** Address spaces (ASIDs) whose translations are kept at a time. */
    private static final int CONTEXTS = 16;

    private static final long[] NO_FAST = new long[Tlb.ENTRIES * Tlb.STRIDE];

    static {
        Arrays.fill(NO_FAST, Tlb.NO_PAGE);
    }

    /** What the processor cannot reach outside system-management mode. */
    public final HiddenMemory hidden = new HiddenMemory();

    private final Cpu cpu;
    private final PhysicalMemory memory;
    private final PageWalk walk;
    private final List<TlbContext> contexts = new ArrayList<>();
    private TlbContext context;

    /** The one before it, mostly the next one too: host and guest take turns. */
    private TlbContext recent;

    private long uses;

    /** What {@link #leaveSystemManagement} returns to. */
    private int interruptedAsid;

    private long interruptedNested;

    private int kind;
    private Tlb tlb;
    private boolean slowOnly;
    private AccessWatch watch;
    private TranslationWatch translationWatch;

    /**
     * The hit path's array of the current address space and privilege, four longs an entry: read
     * tag, write tag, addend, unused. An access of {@code size} bytes at {@code va} hits entry
     * {@code (va >>> 12) & (Tlb.ENTRIES - 1)} if the tag equals {@code (va + size - 1) & ~0xfff};
     * host address = va + addend. Changes with {@link #contextChanged}.
     */
    public long[] fast;

    /**
     * The instruction TLB of the current address space and privilege. Changes with {@link
     * #contextChanged}.
     */
    public FetchTlb fetch;

    /** The processor's SVM, once it exists. */
    public VirtualApicPage apicPage;

    public Mmu(Cpu cpu, PhysicalMemory memory) {
        this.cpu = cpu;
        this.memory = memory;
        walk = new PageWalk(cpu, memory, hidden);
        context = new TlbContext(0);
        recent = context;
        contexts.add(context);
        tlb = context.data(0);
        fetch = context.fetch(0);
        fast = tlb.fast;
        memory.addCleanListener(this);
    }

    /** Who takes nested page faults. */
    public void setNestedFaultHandler(NestedFaultHandler handler) {
        walk.nested.faults = handler;
    }

    /** Shows each data access to the watch, at the price of speed; null ends it. */
    public void setWatch(AccessWatch watch) {
        this.watch = watch;
        contextChanged();
    }

    /** Shows the next access by each translation to {@link #reveal}; null ends it. */
    public void setTranslationWatch(TranslationWatch watch) {
        translationWatch = watch;
    }

    /** Whether accesses by revealed translations are shown to a watch. */
    public boolean hasTranslationWatch() {
        return translationWatch != null;
    }

    /**
     * Takes what an ASID's translations have in the TLB that leads to a physical page off the hit
     * path, so that the next access by each is seen. The translations stay.
     */
    public void reveal(int asid, long physicalPage) {
        for (TlbContext each : contexts) {
            if (each.asid == asid) {
                each.reveal(physicalPage);
            }
        }
    }

    public int read8(long va) {
        int i = Tlb.index(va) * Tlb.STRIDE;
        long[] f = fast;
        return f[i] == (va & Tlb.PAGE_MASK)
                ? RawMemory.getByte(va + f[i + 2])
                : (int) slowRead(va, 1, tlb, kind);
    }

    public int read16(long va) {
        int i = Tlb.index(va) * Tlb.STRIDE;
        long[] f = fast;
        return f[i] == (va + 1 & Tlb.PAGE_MASK)
                ? RawMemory.getShort(va + f[i + 2])
                : (int) slowRead(va, 2, tlb, kind);
    }

    public int read32(long va) {
        int i = Tlb.index(va) * Tlb.STRIDE;
        long[] f = fast;
        return f[i] == (va + 3 & Tlb.PAGE_MASK)
                ? RawMemory.getInt(va + f[i + 2])
                : (int) slowRead(va, 4, tlb, kind);
    }

    public long read64(long va) {
        int i = Tlb.index(va) * Tlb.STRIDE;
        long[] f = fast;
        return f[i] == (va + 7 & Tlb.PAGE_MASK)
                ? RawMemory.getLong(va + f[i + 2])
                : slowRead(va, 8, tlb, kind);
    }

    /** A write that crosses a page changes nothing when either page faults. */
    public void write8(long va, int value) {
        int i = Tlb.index(va) * Tlb.STRIDE;
        long[] f = fast;
        if (f[i + 1] == (va & Tlb.PAGE_MASK)) {
            RawMemory.putByte(va + f[i + 2], value);
        } else {
            slowWrite(va, 1, value, tlb, kind);
        }
    }

    public void write16(long va, int value) {
        int i = Tlb.index(va) * Tlb.STRIDE;
        long[] f = fast;
        if (f[i + 1] == (va + 1 & Tlb.PAGE_MASK)) {
            RawMemory.putShort(va + f[i + 2], value);
        } else {
            slowWrite(va, 2, value, tlb, kind);
        }
    }

    public void write32(long va, int value) {
        int i = Tlb.index(va) * Tlb.STRIDE;
        long[] f = fast;
        if (f[i + 1] == (va + 3 & Tlb.PAGE_MASK)) {
            RawMemory.putInt(va + f[i + 2], value);
        } else {
            slowWrite(va, 4, value, tlb, kind);
        }
    }

    public void write64(long va, long value) {
        int i = Tlb.index(va) * Tlb.STRIDE;
        long[] f = fast;
        if (f[i + 1] == (va + 7 & Tlb.PAGE_MASK)) {
            RawMemory.putLong(va + f[i + 2], value);
        } else {
            slowWrite(va, 8, value, tlb, kind);
        }
    }

    /**
     * Raises the fault that a write of {@code size} (1..4096) bytes would raise; for
     * read-modify-write and multi-part stores.
     */
    public void probeWrite(long va, int size) {
        probe(va, size, PageWalk.WRITE, tlb, kind);
    }

    /** As {@link #probeWrite}, for a read. */
    public void probeRead(long va, int size) {
        probe(va, size, PageWalk.READ, tlb, kind);
    }

    public int readSystem8(long va) {
        return (int) readSystem(va, 1);
    }

    public int readSystem16(long va) {
        return (int) readSystem(va, 2);
    }

    public int readSystem32(long va) {
        return (int) readSystem(va, 4);
    }

    public long readSystem64(long va) {
        return readSystem(va, 8);
    }

    public void writeSystem8(long va, int value) {
        slowWrite(va, 1, value, context.data(TlbContext.SUPERVISOR), TlbContext.SUPERVISOR);
    }

    public void writeSystem16(long va, int value) {
        slowWrite(va, 2, value, context.data(TlbContext.SUPERVISOR), TlbContext.SUPERVISOR);
    }

    public void writeSystem32(long va, int value) {
        slowWrite(va, 4, value, context.data(TlbContext.SUPERVISOR), TlbContext.SUPERVISOR);
    }

    public void writeSystem64(long va, long value) {
        slowWrite(va, 8, value, context.data(TlbContext.SUPERVISOR), TlbContext.SUPERVISOR);
    }

    /**
     * Writes with a privilege other than the current one: pushes of gates onto an inner or outer
     * stack.
     */
    public void writeAs(boolean user, long va, int size, long value) {
        int as = user ? TlbContext.USER : TlbContext.SUPERVISOR;
        slowWrite(va, size, value, context.data(as), as);
    }

    public void probeWriteAs(boolean user, long va, int size) {
        int as = user ? TlbContext.USER : TlbContext.SUPERVISOR;
        probe(va, size, PageWalk.WRITE, context.data(as), as);
    }

    /**
     * Translates an instruction fetch with the current privilege to the physical address (the
     * host's, under nested paging); raises #PF or a nested page fault. Afterwards {@link #fetch}
     * holds the page.
     */
    public long translateFetch(long va) {
        int i = FetchTlb.index(va);
        long page = va & Tlb.PAGE_MASK;
        if (fetch.page[i] != page) {
            long entry =
                    walk.translate(
                            va,
                            PageWalk.FETCH,
                            kind == TlbContext.USER,
                            kind == TlbContext.SUPERVISOR_AC);
            if (entry == NestedWalk.LEFT) {
                throw walk.nested.leaving();
            }
            fetch.fill(i, page, entry);
        } else if (translationWatch != null) {
            translationWatch.hit(va, fetch.info[i] & Tlb.PAGE_MASK, false, true);
        }
        return fetch.info[i] & Tlb.PAGE_MASK | va & 0xfff;
    }

    /**
     * The host address behind {@code va}, good for reading up to the page's end, or 0 if the page
     * is not plain RAM or accesses are watched. Raises faults.
     */
    public long hostForRead(long va) {
        int i = Tlb.index(va) * Tlb.STRIDE;
        if (fast[i] == (va & Tlb.PAGE_MASK)) {
            return va + fast[i + 2];
        }
        long pa = translate(va, PageWalk.READ, tlb, kind);
        return !slowOnly && isPlainRam(pa) ? memory.host(pa) : 0;
    }

    /**
     * The host address behind {@code va}, good for writing up to the page's end, or 0 if the page
     * is not plain RAM, holds decoded code, or accesses are watched. Raises faults.
     */
    public long hostForWrite(long va) {
        int i = Tlb.index(va) * Tlb.STRIDE;
        if (fast[i + 1] == (va & Tlb.PAGE_MASK)) {
            return va + fast[i + 2];
        }
        long pa = translate(va, PageWalk.WRITE, tlb, kind);
        return !slowOnly && isPlainRam(pa) && memory.openForWriting(pa) ? memory.host(pa) : 0;
    }

    /**
     * Lets the hit path reach the page of {@code va} for reading or for writing too, if it can.
     * Raises the access's faults; that of a nested one may be {@link Opening#LEFT} instead.
     */
    public Opening open(long va, boolean write) {
        long pa = translateOrLeave(va, write ? PageWalk.WRITE : PageWalk.READ, tlb, kind);
        if (pa == NestedWalk.LEFT) {
            return Opening.LEFT;
        }
        if (slowOnly || !isPlainRam(pa) || write && !memory.openForWriting(pa)) {
            return Opening.CLOSED;
        }
        int i = Tlb.index(va);
        long page = va & Tlb.PAGE_MASK;
        if ((tlb.info[i] & Tlb.READ) != 0) {
            fast[i * Tlb.STRIDE] = page;
        }
        if (write) {
            fast[i * Tlb.STRIDE + 1] = page;
        }
        fast[i * Tlb.STRIDE + 2] = memory.host(pa) - va;
        return Opening.OPENED;
    }

    /**
     * CPL, RFLAGS.AC, paging mode or address space changed: chooses the translations that hold now.
     */
    public void contextChanged() {
        boolean user = cpu.cpl == 3;
        boolean ac = (cpu.systemFlags() & Cpu.AC) != 0;
        kind =
                user
                        ? TlbContext.USER
                        : ac && (cpu.cr4 & Cpu.CR4_SMAP) != 0
                                ? TlbContext.SUPERVISOR_AC
                                : TlbContext.SUPERVISOR;
        Tlb chosen = context.data(kind);
        slowOnly = watch != null || alignmentChecked();
        fast = slowOnly ? NO_FAST : chosen.fast;
        if (chosen != tlb) {
            tlb = chosen;
            fetch = context.fetch(kind);
        }
        cpu.attention |= Cpu.ATTENTION_CONTEXT;
    }

    private boolean alignmentChecked() {
        return cpu.cpl == 3 && (cpu.cr0 & Cpu.CR0_AM) != 0 && (cpu.systemFlags() & Cpu.AC) != 0;
    }

    /**
     * Drops the current address space's translations, global ones only if told so (MOV CR3 keeps
     * them).
     */
    public void flush(boolean globals) {
        context.flush(globals);
        context.rules = rules();
        flushed();
    }

    /**
     * INVLPG: drops the translations of the page that holds {@code va}, a large page as a whole.
     */
    public void invalidatePage(long va) {
        context.invalidate(va);
        flushed();
    }

    /**
     * Whether the fault that was raised last, nested or not, was met in fetching an instruction;
     * error codes tell it only while EFER.NXE or CR4.SMEP is set.
     */
    public boolean faultedFetching() {
        return walk.fetching;
    }

    /** The ASID of the current address space, 0 in the host. */
    public int asid() {
        return context.asid;
    }

    /** Drops the translations of one ASID, the host's being 0 (§15.16.2). */
    public void flushAsid(int asid, boolean globals, TlbFlushCause cause) {
        for (TlbContext each : contexts) {
            if (each.asid == asid) {
                each.flush(globals);
            }
        }
        flushed();
        if (cpu.observer != null) {
            cpu.observer.tlbFlushed(cpu.id, asid, globals, cause);
        }
    }

    /** Drops every translation of every ASID (§15.16.2). */
    public void flushAll(TlbFlushCause cause) {
        for (TlbContext each : contexts) {
            each.flush(true);
        }
        followRules();
        flushed();
        if (cpu.observer != null) {
            cpu.observer.tlbFlushed(cpu.id, -1, true, cause);
        }
    }

    /** INVLPGA: as {@link #invalidatePage(long)} in the address space of an ASID (§15.16.1). */
    public void invalidatePage(long va, int asid) {
        for (TlbContext each : contexts) {
            if (each.asid == asid) {
                each.invalidate(va);
            }
        }
        flushed();
    }

    private void flushed() {
        cpu.attention |= Cpu.ATTENTION_CONTEXT;
    }

    /**
     * VMRUN, before {@link #enterGuest}: accesses to a guest-physical page go to AVIC once the
     * nested tables permit them (§15.29.3); -1 for none.
     */
    public void redirect(long guestPage) {
        walk.nested.redirected = guestPage;
    }

    /** Enters the host's address space, at #VMEXIT. The caller has loaded the host's registers. */
    public void enterHost() {
        walk.nested.control = 0;
        switchTo(0);
    }

    /**
     * Enters a guest's address space, at VMRUN. The caller has loaded the guest's registers. With
     * nested paging, {@code nestedCr3} and the host's CR4 and EFER define the second translation
     * (§15.25.3).
     *
     * @param nestedControl 0, or {@link #NESTED} with those of the other bits of the VMCB's field
     *     90h that are offered: {@link #EXECUTE_TRAP}, {@link #READ_ONLY_TABLES}
     */
    public void enterGuest(
            int asid, long nestedControl, long nestedCr3, long hostCr4, long hostEfer) {
        walk.nested.control = nestedControl;
        walk.nested.cr3 = nestedCr3;
        walk.nested.hostCr4 = hostCr4;
        walk.nested.hostEfer = hostEfer;
        switchTo(asid);
    }

    /**
     * SMI: addresses are physical ones, in an address space of the handler's own; all others lose
     * their translations (§15.16.1). The caller has loaded the handler's registers.
     */
    public void enterSystemManagement() {
        interruptedAsid = context.asid;
        interruptedNested = walk.nested.control;
        walk.nested.control = 0;
        switchTo(MANAGEMENT);
        flushAll(TlbFlushCause.SMI);
    }

    /**
     * RSM: the interrupted address space again, and no translation anywhere (§15.16.1). The caller
     * has loaded its registers.
     */
    public void leaveSystemManagement() {
        walk.nested.control = interruptedNested;
        switchTo(interruptedAsid);
        flushAll(TlbFlushCause.RSM);
    }

    private void switchTo(int asid) {
        if (context.asid != asid) {
            TlbContext left = context;
            context = recent.asid == asid ? recent : find(asid);
            recent = left;
        }
        if (context.rules != rules() || context.redirected != redirected()) {
            context.flush(true);
            followRules();
        }
        context.lastUse = ++uses;
        contextChanged();
    }

    /**
     * What cached translations depend on beside ASID and tables: CR4.SMEP, CR4.SMAP and the PCID,
     * of which VMRUN may load others without a flush. Those that §15.16's software rule names
     * (CR0.WP, EFER.NXE …) are not among them: a hypervisor that changes one flushes.
     */
    private long rules() {
        long pcid = (cpu.cr4 & Cpu.CR4_PCIDE) != 0 ? (cpu.cr3 & 0xfff) << 32 : 0;
        return cpu.cr4 & (Cpu.CR4_SMEP | Cpu.CR4_SMAP | Cpu.CR4_PCIDE) | pcid;
    }

    private long redirected() {
        return walk.nested.enabled() ? walk.nested.redirected : -1;
    }

    private void followRules() {
        context.rules = rules();
        context.redirected = redirected();
    }

    private TlbContext find(int asid) {
        TlbContext oldest = null;
        for (TlbContext each : contexts) {
            if (each.asid == asid) {
                return each;
            }
            if (each.asid != 0 && (oldest == null || each.lastUse < oldest.lastUse)) {
                oldest = each;
            }
        }
        if (contexts.size() < CONTEXTS || oldest == null) {
            TlbContext added = new TlbContext(asid);
            contexts.add(added);
            return added;
        }
        oldest.flush(true);
        oldest.asid = asid;
        return oldest;
    }

    /** Decoded code now depends on the page of {@code pa}: every write to it must be noticed. */
    public void revokeWrites(long pa) {
        for (TlbContext each : contexts) {
            each.dropWriteTags(pa & Tlb.PAGE_MASK);
        }
    }

    /** The engine's decoded code is gone: lets go of every reference to it. */
    public void forgetDecoded() {
        for (TlbContext each : contexts) {
            each.forgetDecoded();
        }
    }

    @Override
    public void pagesCleaned() {
        for (TlbContext each : contexts) {
            each.dropWriteTags();
        }
    }

    /**
     * Whether the current world's physical addresses are themselves translated: a guest with nested
     * paging.
     */
    public boolean nested() {
        return walk.nested.enabled();
    }

    /**
     * The system-physical address behind a physical address of the current world, which differs in
     * a guest with nested paging; raises nested page faults.
     */
    public long translatePhysical(long gpa, boolean write) {
        return walk.physical(gpa, write ? PageWalk.WRITE : PageWalk.READ);
    }

    /**
     * Reads 8 bytes of the current world's physical memory, through nested paging in a guest that
     * has it (PDPTEs).
     */
    public long readPhysical64(long gpa) {
        return memory.read64(walk.physical(gpa, PageWalk.READ));
    }

    /**
     * The system-physical address behind a linear address for a read with the current privilege;
     * raises faults.
     */
    public long translateRead(long va) {
        return translate(va, PageWalk.READ, tlb, kind);
    }

    /**
     * The type of memory behind a linear address for a read with the current privilege (§15.25.8);
     * raises faults.
     */
    public MemoryType memoryType(long va) {
        long pa = translate(va, PageWalk.READ, tlb, kind);
        int info = (int) tlb.info[Tlb.index(va)];
        return cpu.memoryType(pa, info >>> Tlb.PAT_SHIFT & 7, info >>> Tlb.NESTED_PAT_SHIFT & 7);
    }

    private long readSystem(long va, int size) {
        return slowRead(va, size, context.data(TlbContext.SUPERVISOR), TlbContext.SUPERVISOR);
    }

    private long translate(long va, int access, Tlb in, int as) {
        long pa = translateOrLeave(va, access, in, as);
        if (pa == NestedWalk.LEFT) {
            throw walk.nested.leaving();
        }
        return pa;
    }

    /** The physical address, or {@link NestedWalk#LEFT}. */
    private long translateOrLeave(long va, int access, Tlb in, int as) {
        int i = Tlb.index(va);
        long page = va & Tlb.PAGE_MASK;
        long need = access == PageWalk.WRITE ? Tlb.WRITE : Tlb.READ;
        long entry = in.info[i];
        if (in.page[i] != page || (entry & need) == 0) {
            if (in.page[i] == page) {
                in.drop(i); // should the walk fault, nothing of the old translation stays (§5.5.3)
            }
            entry =
                    walk.translate(
                            va, access, as == TlbContext.USER, as == TlbContext.SUPERVISOR_AC);
            if (entry == NestedWalk.LEFT) {
                return NestedWalk.LEFT;
            }
            in.fill(i, page, entry);
        } else if (translationWatch != null) {
            translationWatch.hit(va, entry & Tlb.PAGE_MASK, access == PageWalk.WRITE, false);
        }
        return entry & Tlb.PAGE_MASK | va & 0xfff;
    }

    private boolean isPlainRam(long pa) {
        return memory.isRam(pa);
    }

    private long slowRead(long va, int size, Tlb in, int as) {
        checkAccess(va, size, false, as);
        if ((va & 0xfff) + size > 4096) {
            int first = 4096 - (int) (va & 0xfff);
            long second = next(va, first);
            long pa = translate(va, PageWalk.READ, in, as);
            long secondPa = translate(second, PageWalk.READ, in, as);
            long value = 0;
            for (int i = 0; i < size; i++) {
                long at = i < first ? pa + i : secondPa + i - first;
                value |= readPhysical(at, 1) << 8 * i;
            }
            return value;
        }
        long pa = translate(va, PageWalk.READ, in, as);
        if (!memory.isRam(pa)) {
            return readPhysical(pa, size);
        }
        int i = Tlb.index(va);
        in.fast[i * Tlb.STRIDE] = va & Tlb.PAGE_MASK;
        in.fast[i * Tlb.STRIDE + 2] = memory.host(pa) - va;
        return memory.read(pa, size);
    }

    private void slowWrite(long va, int size, long value, Tlb in, int as) {
        checkAccess(va, size, true, as);
        if ((va & 0xfff) + size > 4096) {
            int first = 4096 - (int) (va & 0xfff);
            long second = next(va, first);
            long pa = translate(va, PageWalk.WRITE, in, as);
            long secondPa = translate(second, PageWalk.WRITE, in, as);
            for (int i = 0; i < size; i++) {
                long at = i < first ? pa + i : secondPa + i - first;
                writePhysical(at, 1, value >>> 8 * i & 0xff);
            }
            return;
        }
        long pa = translate(va, PageWalk.WRITE, in, as);
        if (!memory.isRam(pa)) {
            writePhysical(pa, size, value);
            return;
        }
        if (memory.openForWriting(pa)) {
            int i = Tlb.index(va);
            if ((in.info[i] & Tlb.READ) != 0) {
                in.fast[i * Tlb.STRIDE] = va & Tlb.PAGE_MASK;
            }
            in.fast[i * Tlb.STRIDE + 1] = va & Tlb.PAGE_MASK;
            in.fast[i * Tlb.STRIDE + 2] = memory.host(pa) - va;
        }
        memory.write(pa, size, value);
    }

    private void probe(long va, int size, int access, Tlb in, int as) {
        checkAccess(va, size, access == PageWalk.WRITE, as);
        long pa = translate(va, access, in, as);
        if ((va & 0xfff) + size > 4096) {
            translate(next(va, 4096 - (int) (va & 0xfff)), access, in, as);
        }
        if (access == PageWalk.WRITE && isRedirected(pa)) {
            apicPage.checkApicPageWrite((int) pa & 0xfff);
        }
    }

    /**
     * Linear addresses above 4 GiB are met outside 64-bit mode too: the descriptor tables and TSS
     * of a 64-bit kernel.
     */
    private long next(long va, int bytes) {
        return cpu.mode64 || va >>> 32 != 0 ? va + bytes : va + bytes & 0xffff_ffffL;
    }

    private void checkAccess(long va, int size, boolean write, int as) {
        if (slowOnly) {
            if (as == TlbContext.USER && (va & size - 1) != 0 && size <= 8 && alignmentChecked()) {
                throw cpu.fault(GuestException.AC, 0);
            }
            if (watch != null) {
                watch.accessed(va, size, write);
            }
        }
    }

    private static boolean isRedirected(long pa) {
        return (pa & Tlb.PAGE_MASK) == APIC_PAGE;
    }

    private boolean isLocalApic(long pa) {
        return cpu.apic != null
                && (pa & Tlb.PAGE_MASK) == (cpu.apic.base() & 0x000f_ffff_ffff_f000L)
                && (cpu.apic.base() & 0xc00) == 0x800;
    }

    private long readPhysical(long pa, int size) {
        if (!memory.isRam(pa)) {
            if (isLocalApic(pa)) {
                return cpu.apic.read(pa & 0xfff, size);
            }
            if (isRedirected(pa)) {
                return apicPage.readApicPage((int) pa & 0xfff, size);
            }
        }
        return memory.read(pa, size);
    }

    private void writePhysical(long pa, int size, long value) {
        if (!memory.isRam(pa)) {
            if (isLocalApic(pa)) {
                cpu.apic.write(pa & 0xfff, size, value);
                return;
            }
            if (isRedirected(pa)) {
                apicPage.writeApicPage((int) pa & 0xfff, size, value);
                return;
            }
        }
        memory.write(pa, size, value);
    }

    @Override
    public void save(StateWriter out) {
        out.section("mmu" + cpu.id);
        out.u64("nestedControl", walk.nested.control);
        out.u64("nestedCr3", walk.nested.cr3);
        out.u64("redirected", walk.nested.redirected);
        out.u64("hostCr4", walk.nested.hostCr4);
        out.u64("hostEfer", walk.nested.hostEfer);
        out.u32("interruptedAsid", interruptedAsid);
        out.u64("interruptedNested", interruptedNested);
        out.u64("uses", uses);
        out.u32("current", contexts.indexOf(context));
        out.u32("contexts", contexts.size());
        for (TlbContext each : contexts) {
            each.save(out);
        }
    }

    /** To be called after the processor's registers are loaded. */
    @Override
    public void load(StateReader in) {
        in.section("mmu" + cpu.id);
        walk.nested.control = in.u64("nestedControl");
        walk.nested.cr3 = in.u64("nestedCr3");
        walk.nested.redirected = in.u64("redirected");
        walk.nested.hostCr4 = in.u64("hostCr4");
        walk.nested.hostEfer = in.u64("hostEfer");
        interruptedAsid = in.u32("interruptedAsid");
        interruptedNested = in.u64("interruptedNested");
        uses = in.u64("uses");
        int current = in.u32("current");
        int count = in.u32("contexts");
        contexts.clear();
        for (int i = 0; i < count; i++) {
            TlbContext each = new TlbContext(0);
            each.load(in);
            contexts.add(each);
        }
        context = contexts.get(current);
        recent = context;
        tlb = context.data(TlbContext.SUPERVISOR);
        fetch = context.fetch(TlbContext.SUPERVISOR);
        kind = TlbContext.SUPERVISOR;
        contextChanged();
    }
}
