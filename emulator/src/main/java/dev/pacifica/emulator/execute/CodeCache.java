package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.RawMemory;
import java.util.ArrayList;
import java.util.List;

/**
 * Decoded code by physical page, shared by all processors of a machine. Nothing in here is state of
 * the machine: dropping any of it changes nothing but time.
 */
public final class CodeCache implements PhysicalMemory.CodeListener {
    private static final int CHUNK = 1024;

    /** Instructions decoded ahead at a time. */
    private static final int RUN = 48;

    /** Writes beside instructions after which a page is taken for data again. */
    private static final int MOST_STRAY_WRITES = 256;

    /**
     * Decoded pages that are kept, which bounds the host's memory whatever a guest executes: about
     * 15 KB each.
     */
    private static final int MOST_PAGES = 1 << 14;

    private final PhysicalMemory memory;
    private final Decoder decoder;
    private final List<Cpu> cpus = new ArrayList<>();
    private final CodePage[][] pages;
    private final int mostPages;
    private int kept;
    private final byte[] window = new byte[Decoder.MAX_LENGTH + 1];
    private final Insn scratch = new Insn();

    public CodeCache(PhysicalMemory memory, Decoder decoder) {
        this(memory, decoder, MOST_PAGES);
    }

    CodeCache(PhysicalMemory memory, Decoder decoder, int mostPages) {
        this.memory = memory;
        this.mostPages = mostPages;
        this.decoder = decoder;
        pages = new CodePage[memory.pageCount() / CHUNK + 1][];
        memory.setCodeListener(this);
    }

    Decoder decoder() {
        return decoder;
    }

    void attach(Cpu cpu) {
        cpus.add(cpu);
    }

    /** Whether the instruction must be seen where it executes. */
    private boolean watched(Insn insn) {
        return insn.segment >= Cpu.FS && cpus.getFirst().instructionWatch != null;
    }

    /** The decoded page of {@code pa}, which is RAM, made if need be. */
    CodePage page(long pa, int kind) {
        int number = memory.pageOf(pa);
        CodePage[] chunk = pages[number / CHUNK];
        if (chunk == null) {
            chunk = new CodePage[CHUNK];
            pages[number / CHUNK] = chunk;
        }
        CodePage first = chunk[number % CHUNK];
        for (CodePage page = first; page != null; page = page.next) {
            if (page.kind == kind) {
                if (!page.full()) {
                    return page;
                }
                drop(number);
                first = null;
                break;
            }
        }
        if (kept >= mostPages) {
            dropAll();
            first = null;
            chunk = new CodePage[CHUNK];
            pages[number / CHUNK] = chunk;
        }
        kept++;
        CodePage page = new CodePage(pa & -4096L, kind);
        page.next = first;
        chunk[number % CHUNK] = page;
        memory.markCode(pa);
        for (Cpu cpu : cpus) {
            cpu.mmu.revokeWrites(pa);
        }
        return page;
    }

    private void drop(int number) {
        CodePage[] chunk = pages[number / CHUNK];
        if (chunk == null) {
            return;
        }
        for (CodePage page = chunk[number % CHUNK]; page != null; page = page.next) {
            page.kill();
            kept--;
        }
        chunk[number % CHUNK] = null;
    }

    /** Pages stay marked as code until they are next written. */
    private void dropAll() {
        for (int i = 0; i < pages.length; i++) {
            if (pages[i] != null) {
                for (CodePage first : pages[i]) {
                    for (CodePage page = first; page != null; page = page.next) {
                        page.kill();
                    }
                }
                pages[i] = null;
            }
        }
        kept = 0;
        for (Cpu cpu : cpus) {
            cpu.mmu.forgetDecoded();
        }
    }

    /** Decoded pages that are kept now. */
    int kept() {
        return kept;
    }

    @Override
    public void codeWritten(long pa, int size) {
        int number = memory.pageOf(pa);
        CodePage[] chunk = pages[number / CHUNK];
        CodePage first = chunk == null ? null : chunk[number % CHUNK];
        int from = (int) pa & 0xfff;
        int to = from + size;
        long granules = -1L << (from >> 6) & -1L >>> 63 - (to - 1 >> 6);
        boolean drop = first == null;
        for (CodePage page = first; page != null; page = page.next) {
            if ((page.granules & granules) == 0 || !page.invalidate(from, to)) {
                drop |= ++page.strayWrites > MOST_STRAY_WRITES;
            }
        }
        if (drop || size > 512) {
            drop(number);
            memory.unmarkCode(pa);
        }
    }

    /** Decodes instructions from {@code offset} on, where none is decoded yet. */
    void decode(CodePage page, int offset) {
        int at = offset;
        for (int i = 0; i < RUN; i++) {
            if (at >= 4096) {
                endPage(page);
                return;
            }
            if (page.index[at] >= 0) {
                mark(page, FastOp.GOTO, at, page.index[at]);
                return;
            }
            int available = Math.min(Decoder.MAX_LENGTH, 4096 - at);
            Decoder.Status status = decodeBytes(page, at, available, scratch);
            if (status != Decoder.Status.OK) {
                // Crosses the page's end, or is too long: fetched anew each time.
                page.cover(at, available);
                page.index[at] = (short) page.append(FastOp.CROSSING, 0, info(at, available));
                return;
            }
            int length = scratch.length;
            page.cover(at, length);
            int n = page.used;
            if (watched(scratch) || !Specializer.append(page, scratch, at)) {
                Insn insn = new Insn();
                decodeBytes(page, at, available, insn);
                page.append(FastOp.GENERIC, page.append(insn), info(at, length));
            }
            page.index[at] = (short) n;
            if (Specializer.endsRun(scratch)) {
                return;
            }
            at += length;
        }
        if (at >= 4096) {
            endPage(page);
        } else {
            mark(page, FastOp.STALE, at, 0);
        }
    }

    /** Decodes the bytes as they are now. */
    Decoder.Status decodeBytes(CodePage page, int offset, int available, Insn out) {
        RawMemory.get(memory.host(page.pa) + offset, window, 0, available);
        return decoder.decode(window, 0, available, FlatCode.codeBits(page.kind), out);
    }

    private static void endPage(CodePage page) {
        mark(page, FastOp.PAGE_END, 4096, 4096L << 32 | 1);
    }

    private static void mark(CodePage page, int op, int offset, long second) {
        page.append(op, second, info(offset, 0));
    }

    private static int info(int offset, int length) {
        return CodeRecord.info(offset, length, 0, CodeRecord.NOWHERE, 8);
    }
}
