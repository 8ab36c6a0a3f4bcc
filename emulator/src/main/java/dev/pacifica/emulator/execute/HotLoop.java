package dev.pacifica.emulator.execute;

import static dev.pacifica.emulator.execute.CodeRecord.AND_BIT;
import static dev.pacifica.emulator.execute.CodeRecord.BASE_SHIFT;
import static dev.pacifica.emulator.execute.CodeRecord.BYTES_SHIFT;
import static dev.pacifica.emulator.execute.CodeRecord.CUT_SHIFT;
import static dev.pacifica.emulator.execute.CodeRecord.FS_BASE;
import static dev.pacifica.emulator.execute.CodeRecord.GS_BASE;
import static dev.pacifica.emulator.execute.CodeRecord.INDEX_AND_SEGMENT;
import static dev.pacifica.emulator.execute.CodeRecord.INDEX_SHIFT;
import static dev.pacifica.emulator.execute.CodeRecord.NARROW;
import static dev.pacifica.emulator.execute.CodeRecord.NO_INDEX;
import static dev.pacifica.emulator.execute.CodeRecord.OP_MASK;
import static dev.pacifica.emulator.execute.CodeRecord.PAGE_BASE;
import static dev.pacifica.emulator.execute.CodeRecord.REG_SHIFT;
import static dev.pacifica.emulator.execute.CodeRecord.SCALE_SHIFT;
import static dev.pacifica.emulator.execute.CodeRecord.SEGMENT_SHIFT;
import static dev.pacifica.emulator.execute.CodeRecord.SUBTRACT_BIT;
import static dev.pacifica.emulator.execute.CodeRecord.WRITE_SHIFT;
import static dev.pacifica.emulator.execute.CodeRecord.XOR_BIT;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.cpu.SystemInstructions;
import dev.pacifica.emulator.cpu.WorldSwitched;
import dev.pacifica.emulator.decode.CpuidFeature;
import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.memory.RawMemory;
import dev.pacifica.emulator.paging.FetchTlb;
import dev.pacifica.emulator.paging.Opening;
import dev.pacifica.emulator.paging.Tlb;
import dev.pacifica.emulator.time.VirtualClock;
import java.util.Objects;

/**
 * Executes pre-decoded code. A specialised operation either completes, touching nothing but
 * registers, lazy flags and memory that the data TLB lets it reach, or does nothing at all: then
 * the same instruction goes the generic way, which may fault, access devices and change the world.
 * Around each generic instruction RIP and the clock are exact.
 *
 * <p>{@link #loop} must stay below 8,000 bytecodes, or HotSpot does not compile it.
 */
final class HotLoop {
    private static final long PAGE = ~0xfffL;
    private static final long TOP = Cpu.FLAG_AUX_CARRIES;
    private static final long LOW = 0xffff_ffffL;

    /** Instructions that are counted down in an int. */
    private static final long MOST_AT_A_TIME = 1 << 30;

    // A conditional jump's index field: any of these flags, or none.
    static final int BELOW = 1;
    static final int EQUAL = 2;
    static final int LESS = 4;
    static final int NEGATIVE = 8;
    static final int INVERTED = 16;

    private final Cpu cpu;
    private final VirtualClock clock;
    private final CodeCache cache;
    private final InstructionFetch fetch;
    private final Insn scratch = new Insn();

    /** The deadline that the running slice was cut for. */
    private long deadline;

    HotLoop(Cpu cpu, CodeCache cache) {
        this.cpu = cpu;
        this.cache = cache;
        clock = cpu.clock;
        fetch = new InstructionFetch(cpu, cache.decoder());
        cache.attach(cpu);
    }

    /**
     * Executes from RIP on until the retired count is {@code limit}, or something has to be looked
     * at: attention, an earlier timer, a page of code to be entered. {@code timer} is the clock's
     * next deadline that the limit respects. At least one instruction is executed, or a fault
     * raised.
     */
    void run(long limit, long timer) {
        deadline = timer;
        long linear = fetch.linear();
        CodePage page = enter(linear);
        if (page == null) {
            executeFetched();
            return;
        }
        loop(page, linear, limit);
    }

    /**
     * The decoded page at a linear address, with the instruction there decoded; null if it must be
     * fetched by itself.
     */
    private CodePage enter(long linear) {
        long pa = cpu.mmu.translateFetch(linear);
        if (!cpu.memory.isRam(pa)) {
            return null;
        }
        if (!cpu.mode64) {
            // The whole page must be within the code segment, and the segment must not wrap.
            long start = cpu.rip - (linear & 0xfff);
            if (start < 0 || start + 4096 + Decoder.MAX_LENGTH > cpu.segLimit[Cpu.CS]) {
                return null;
            }
        }
        int kind = FlatCode.kind(cpu);
        FetchTlb tlb = cpu.mmu.fetch;
        int i = FetchTlb.index(linear);
        CodePage page;
        if (tlb.code[i] instanceof CodePage known
                && known.kind == kind
                && !known.dead
                && !known.full()) {
            page = known;
        } else {
            page = cache.page(pa, kind);
            tlb.code[i] = page;
        }
        int offset = (int) linear & 0xfff;
        if (page.index[offset] < 0) {
            cache.decode(page, offset);
        }
        return page;
    }

    private void loop(CodePage startPage, long start, long limit) {
        Cpu cpu = this.cpu;
        long[] r = cpu.r;
        // Masks keep indices within arrays whose lengths are powers of two: no checks.
        int last = r.length - 1;
        long[] tlb = cpu.mmu.fast;
        int entries = tlb.length - 1;
        CodePage page = startPage;
        int pc = page.index[(int) start & 0xfff];
        int left = (int) Math.min(limit - clock.retired, MOST_AT_A_TIME);
        long end = clock.retired + left;
        // Where the run would end if no jump came: jumps move it, so that nothing else counts.
        int stop = pc + left;
        r[PAGE_BASE] = start & PAGE;
        r[FS_BASE] = cpu.segBase[Cpu.FS];
        r[GS_BASE] = cpu.segBase[Cpu.GS];
        r[CodeRecord.FOUR_GIB] = 1L << 32;
        // Asked once, so that HotSpot need not ask each time.
        Objects.checkIndex(CodeRecord.NOWHERE, r.length);
        Objects.checkIndex(0, tlb.length);
        while (true) {
            long[] code = page.code;
            long[] seconds = page.second;
            int records = code.length - 1;
            long target;
            jump:
            {
                slow:
                {
                    near:
                    {
                        long word = code[pc & records];
                        do {
                            int f = (int) word;
                            long x = r[f >>> REG_SHIFT & last];
                            long y = r[f >>> BASE_SHIFT & last] + (word >> 32);
                            loaded:
                            {
                                done:
                                {
                                    if (f < 0) {
                                        memory:
                                        {
                                            long va = y;
                                            if ((f & INDEX_AND_SEGMENT) != NO_INDEX) {
                                                int segment = 16 + (f >>> SEGMENT_SHIFT & 3) & last;
                                                int scale = f >>> SCALE_SHIFT & 3;
                                                // Of the long: a target is in the same place.
                                                int index = (int) (word >>> INDEX_SHIFT) & last;
                                                va += (r[index] << scale) + r[segment];
                                            }
                                            int entry = (int) (va >>> 10) & -Tlb.STRIDE;
                                            if (tlb[(entry | f >>> WRITE_SHIFT & 1) & entries]
                                                    != (va + (f >>> BYTES_SHIFT & 7) & PAGE)) {
                                                break slow;
                                            }
                                            long host = va + tlb[(entry | 2) & entries];
                                            switch (f & OP_MASK) {
                                                case FastOp.LOAD64 -> {
                                                    r[f >>> REG_SHIFT & last] =
                                                            RawMemory.getLong(host);
                                                    break memory;
                                                }
                                                case FastOp.OPERAND -> {
                                                    stop++;
                                                    r[CodeRecord.OPERAND] = RawMemory.getLong(host);
                                                    break memory;
                                                }
                                                case FastOp.LOAD32 -> {
                                                    r[f >>> REG_SHIFT & last] =
                                                            RawMemory.getInt(host) & LOW;
                                                    break memory;
                                                }
                                                case FastOp.LOAD_ZX8 -> {
                                                    r[f >>> REG_SHIFT & last] =
                                                            RawMemory.getByte(host);
                                                    break memory;
                                                }
                                                case FastOp.LOAD_ZX16 -> {
                                                    r[f >>> REG_SHIFT & last] =
                                                            RawMemory.getShort(host);
                                                    break memory;
                                                }
                                                case FastOp.LOAD_SXD -> {
                                                    r[f >>> REG_SHIFT & last] =
                                                            RawMemory.getInt(host);
                                                    break memory;
                                                }
                                                case FastOp.STORE64 -> {
                                                    RawMemory.putLong(host, x);
                                                    break memory;
                                                }
                                                case FastOp.STORE32 -> {
                                                    RawMemory.putInt(host, (int) x);
                                                    break memory;
                                                }
                                                case FastOp.STORE16 -> {
                                                    RawMemory.putShort(host, (int) x);
                                                    break memory;
                                                }
                                                case FastOp.STORE8 -> {
                                                    RawMemory.putByte(host, (int) x);
                                                    break memory;
                                                }
                                                case FastOp.STOREI64 -> {
                                                    int immediate = (int) seconds[pc];
                                                    RawMemory.putLong(host, immediate);
                                                    break memory;
                                                }
                                                case FastOp.STOREI32 -> {
                                                    RawMemory.putInt(host, (int) seconds[pc]);
                                                    break memory;
                                                }
                                                case FastOp.STOREI8 -> {
                                                    RawMemory.putByte(host, (int) seconds[pc]);
                                                    break memory;
                                                }
                                                case FastOp.PUSH -> {
                                                    RawMemory.putLong(host, x + (int) seconds[pc]);
                                                    r[Cpu.RSP] = va;
                                                    break memory;
                                                }
                                                case FastOp.POP -> {
                                                    r[Cpu.RSP] = va + 8;
                                                    r[f >>> REG_SHIFT & last] =
                                                            RawMemory.getLong(host);
                                                    break memory;
                                                }
                                                case FastOp.LEAVE -> {
                                                    r[Cpu.RSP] = va + 8;
                                                    r[Cpu.RBP] = RawMemory.getLong(host);
                                                    break memory;
                                                }
                                                case FastOp.CALL -> {
                                                    target = x + (int) seconds[pc];
                                                    if (!Cpu.canonical(target)) {
                                                        break slow;
                                                    }
                                                    RawMemory.putLong(host, page.next(pc, r));
                                                    r[Cpu.RSP] = va;
                                                    break jump;
                                                }
                                                case FastOp.RET -> {
                                                    r[Cpu.RSP] = va + 8;
                                                    target = RawMemory.getLong(host);
                                                    break jump;
                                                }
                                                case FastOp.JMP_M -> {
                                                    target = RawMemory.getLong(host);
                                                    break jump;
                                                }
                                                default -> {
                                                    if (RareOps.update(cpu, page, pc, x, host)) {
                                                        break memory;
                                                    }
                                                    target = RareOps.branch(cpu, page, pc, x, host);
                                                    if (target >= 0) {
                                                        break jump;
                                                    }
                                                    break slow;
                                                }
                                            }
                                        }
                                        // Arithmetic that follows is done at once.
                                        word = code[pc + 1 & records];
                                        if ((int) word < 0 || pc + 1 >= stop) {
                                            break loaded;
                                        }
                                        pc++;
                                        f = (int) word;
                                        x = r[f >>> REG_SHIFT & last];
                                        y = r[f >>> BASE_SHIFT & last] + (word >> 32);
                                    }
                                    int t = f >>> INDEX_SHIFT & last;
                                    int g;
                                    long result;
                                    long aux;
                                    condition:
                                    {
                                        long value;
                                        flags:
                                        {
                                            switch (f & OP_MASK) {
                                                case FastOp.GOTO -> {
                                                    int to = (int) seconds[pc];
                                                    stop += to - pc;
                                                    pc = to - 1;
                                                    break done;
                                                }
                                                case FastOp.PAGE_END -> {
                                                    stop += (int) seconds[pc];
                                                    target = seconds[pc] >> 32;
                                                    break near;
                                                }
                                                case FastOp.NOP -> {
                                                    break done;
                                                }
                                                case FastOp.ADD_SUB -> {
                                                    // x - y is x + ~y + 1; a borrow: no carry.
                                                    int cut = f >>> CUT_SHIFT & 56;
                                                    long invert = f << 31 - SUBTRACT_BIT >> 31;
                                                    long a = x << cut;
                                                    long b = y << cut ^ invert;
                                                    long sum = a - invert + b;
                                                    long carries =
                                                            (a & b | (a | b) & ~sum) ^ invert;
                                                    aux = carries & TOP | carries >>> cut & 8;
                                                    result = sum >> cut;
                                                    value = sum >>> cut;
                                                    break flags;
                                                }
                                                case FastOp.LOGIC -> {
                                                    // a | b is (a & b) ^ (a ^ b)
                                                    long and = word << 63 - AND_BIT >> 63;
                                                    long xor = word << 63 - XOR_BIT >> 63;
                                                    int cut = (int) (word >>> CUT_SHIFT) & 56;
                                                    long bits =
                                                            (x & y & and ^ (x ^ y) & xor) << cut;
                                                    aux = 0;
                                                    result = bits >> cut;
                                                    value = bits >>> cut;
                                                    break flags;
                                                }
                                                case FastOp.INC_DEC -> {
                                                    // The second operand is the flags, of which CF
                                                    // stays.
                                                    long invert = word << 63 - SUBTRACT_BIT >> 63;
                                                    if ((f & NARROW) == 0) {
                                                        result = x + (invert | 1);
                                                        aux = (x ^ invert) & ~(result ^ invert);
                                                        aux &= TOP | 8;
                                                        value = result;
                                                    } else {
                                                        int sum = (int) x + (int) (invert | 1);
                                                        int carries =
                                                                ((int) x ^ (int) invert)
                                                                        & ~(sum ^ (int) invert);
                                                        aux =
                                                                (long) carries << 32 & TOP
                                                                        | carries & 8;
                                                        result = sum;
                                                        value = sum & LOW;
                                                    }
                                                    aux ^= (aux ^ y) >> 63 & TOP;
                                                    break flags;
                                                }
                                                // The constant of a shift is its count less one.
                                                case FastOp.SHL -> {
                                                    long out;
                                                    if ((f & NARROW) == 0) {
                                                        out = x << (int) y;
                                                        value = out << 1;
                                                        result = value;
                                                    } else {
                                                        out = x << 32 << (int) y;
                                                        value = out << 1 >>> 32;
                                                        result = (int) value;
                                                    }
                                                    aux =
                                                            out & 1L << 63
                                                                    | out << 1 >>> 1 & 1L << 62;
                                                    break flags;
                                                }
                                                case FastOp.SHR -> {
                                                    long out;
                                                    long top;
                                                    if ((f & NARROW) == 0) {
                                                        out = x >>> (int) y;
                                                        top = out >>> 1 ^ out >>> 1 << 1;
                                                    } else {
                                                        out = (int) x >>> (int) y & LOW;
                                                        top = out >>> 1 << 33;
                                                    }
                                                    result = out >>> 1;
                                                    value = result;
                                                    long carry = out << 63;
                                                    aux = carry | (carry ^ top) >>> 1 & 1L << 62;
                                                    break flags;
                                                }
                                                case FastOp.SAR -> {
                                                    long out;
                                                    if ((f & NARROW) == 0) {
                                                        out = x >> (int) y;
                                                        value = out >> 1;
                                                        result = value;
                                                    } else {
                                                        out = (int) x >> (int) y;
                                                        result = out >> 1;
                                                        value = result & LOW;
                                                    }
                                                    aux = out << 63 >> 1 & TOP;
                                                    break flags;
                                                }
                                                case FastOp.JCC -> {
                                                    g = f;
                                                    result = r[Cpu.FLAG_RESULT];
                                                    aux = r[Cpu.FLAG_AUX];
                                                    break condition;
                                                }
                                                case FastOp.MOV64 -> {
                                                    r[t] = y;
                                                    break done;
                                                }
                                                case FastOp.MOV32 -> {
                                                    r[t] = y & LOW;
                                                    break done;
                                                }
                                                case FastOp.MOVI -> {
                                                    r[t] = seconds[pc];
                                                    break done;
                                                }
                                                case FastOp.LEA64 -> {
                                                    r[f >>> REG_SHIFT & last] =
                                                            y + r[t] * seconds[pc];
                                                    break done;
                                                }
                                                case FastOp.LEA32 -> {
                                                    r[f >>> REG_SHIFT & last] =
                                                            y + r[t] * seconds[pc] & LOW;
                                                    break done;
                                                }
                                                case FastOp.ZX8 -> {
                                                    r[t] = y & 0xff;
                                                    break done;
                                                }
                                                case FastOp.ZX16 -> {
                                                    r[t] = y & 0xffff;
                                                    break done;
                                                }
                                                case FastOp.SXD -> {
                                                    r[t] = (int) y;
                                                    break done;
                                                }
                                                case FastOp.IMUL -> {
                                                    long product;
                                                    boolean whole;
                                                    if ((f & NARROW) == 0) {
                                                        product = x * y;
                                                        whole =
                                                                Math.multiplyHigh(x, y)
                                                                        == product >> 63;
                                                    } else {
                                                        product = (long) (int) x * (int) y;
                                                        whole = product == (int) product;
                                                        product &= LOW;
                                                    }
                                                    r[Cpu.FLAG_AUX] =
                                                            r[Cpu.FLAG_AUX] & ~TOP
                                                                    | (whole ? 0 : 1L << 63);
                                                    r[t] = product;
                                                    break done;
                                                }
                                                case FastOp.JMP_R -> {
                                                    // Computed anew, so that y need not live on.
                                                    target = r[(int) (word >>> BASE_SHIFT) & last];
                                                    break jump;
                                                }
                                                default -> {
                                                    if ((f & OP_MASK) >= FastOp.FIRST_RARE
                                                            && RareOps.execute(cpu, page, pc)) {
                                                        break done;
                                                    }
                                                    break slow;
                                                }
                                            }
                                        }
                                        r[Cpu.FLAG_RESULT] = result;
                                        r[Cpu.FLAG_AUX] = aux;
                                        r[t] = value;
                                        // A conditional jump that follows is done at once.
                                        word = code[pc + 1 & records];
                                        g = (int) word;
                                        if ((g & OP_MASK) != FastOp.JCC || pc + 1 >= stop) {
                                            break loaded;
                                        }
                                        pc++;
                                    }
                                    int flags = result == 0 ? EQUAL : 0;
                                    if ((g & (BELOW | LESS | NEGATIVE) << INDEX_SHIFT) != 0) {
                                        flags |= order(result, aux);
                                    }
                                    if ((flags & g >>> INDEX_SHIFT)
                                            != 0
                                            != ((g & INVERTED << INDEX_SHIFT) != 0)) {
                                        long second = seconds[pc];
                                        if ((int) second < 0) {
                                            target = second >> 32;
                                            break near;
                                        }
                                        pc++;
                                        stop += (int) second - pc;
                                        pc = (int) second - 1;
                                    }
                                }
                                word = code[pc + 1 & records];
                            }
                        } while (++pc < stop);
                        clock.retired = end;
                        cpu.rip = ripOf(page.linear(pc, r));
                        return;
                    }
                    target += r[PAGE_BASE];
                    break jump;
                }
                clock.retired = end - (stop - pc);
                cpu.rip = ripOf(page.linear(pc, r));
                pc = slow(page, pc);
                if (pc < 0) {
                    return;
                }
                left = (int) Math.min(limit - clock.retired, MOST_AT_A_TIME);
                end = clock.retired + left;
                stop = pc + left;
                if (left <= 0) {
                    return;
                }
                r[FS_BASE] = cpu.segBase[Cpu.FS];
                r[GS_BASE] = cpu.segBase[Cpu.GS];
                continue;
            }
            left = stop - pc - 1;
            CodePage entered = enterFast(page, target);
            int record = entered == null ? -1 : entered.index[(int) target & 0xfff];
            if (record < 0) {
                leave(page, pc, target, end - left);
                return;
            }
            if (entered == page) {
                page.link(pc, record);
            }
            page = entered;
            pc = record;
            stop = pc + left;
            r[PAGE_BASE] = target & PAGE;
            if (left == 0) {
                clock.retired = end;
                cpu.rip = ripOf(target);
                return;
            }
        }
    }

    /** Which of the flags are set that conditions are made of, but for {@link #EQUAL}. */
    private static int order(long result, long aux) {
        long less = result ^ aux ^ (aux ^ aux << 62) << 1;
        long negative = result ^ aux << 63;
        return (int) (aux >>> 63) | (int) (less >>> 63) << 2 | (int) (negative >>> 63) << 3;
    }

    /**
     * The decoded page of a jump's target if it can be gone on with at once, or null. From code
     * that is not specialised this only falls through a page's end: segment limit and code size
     * must be looked at.
     */
    private CodePage enterFast(CodePage from, long target) {
        long targetPage = target & PAGE;
        if (targetPage == cpu.r[PAGE_BASE]) {
            return from;
        }
        FetchTlb tlb = cpu.mmu.fetch;
        int i = FetchTlb.index(target);
        return tlb.page[i] == targetPage
                        && tlb.code[i] instanceof CodePage entered
                        && entered.kind == from.kind
                        && from.kind > 32
                        && !entered.dead
                ? entered
                : null;
    }

    /** RIP of a linear code address. */
    private long ripOf(long linear) {
        return cpu.mode64 ? linear : linear - cpu.segBase[Cpu.CS] & 0xffff_ffffL;
    }

    /**
     * Ends the loop after a jump, or a fall through the page's end, to code that must be looked up.
     */
    private void leave(CodePage page, int pc, long target, long retired) {
        int op = CodeRecord.op(page.code[pc]);
        if (cpu.mode64 && !Cpu.canonical(target) && op != FastOp.PAGE_END) {
            if (op == FastOp.RET) {
                cpu.r[Cpu.RSP] -= 8; // a jump has changed nothing, a call checks before it does
            }
            clock.retired = retired - 1;
            cpu.rip = page.linear(pc, cpu.r);
            throw cpu.fault(GuestException.GP, 0);
        }
        clock.retired = retired;
        cpu.rip = ripOf(target);
    }

    /**
     * Executes the instruction of a record by way of its Insn. RIP and the clock are exact before
     * and afterwards. Returns the index of the record to go on with in the same page, or -1 if
     * whoever called {@link #run} must look around first.
     */
    private int slow(CodePage page, int pc) {
        int offset = CodeRecord.offset(page.info[pc]);
        Insn insn = scratch;
        switch (CodeRecord.op(page.code[pc])) {
            case FastOp.STALE -> {
                if (page.dead || page.full()) {
                    return -1;
                }
                if (page.index[offset] < 0) {
                    cache.decode(page, offset);
                }
                int found = page.index[offset];
                page.code[pc] = FastOp.GOTO;
                page.second[pc] = found;
                return found;
            }
            case FastOp.CROSSING -> {
                executeFetched();
                return -1;
            }
            case FastOp.GENERIC -> insn = page.insns[(int) page.second[pc]];
            default -> {
                Opening opened;
                try {
                    opened = opensMemory(page.code[pc], page.second[pc]);
                } catch (WorldSwitched e) {
                    return -1; // caught here because each frame costs time
                }
                if (opened != Opening.CLOSED) {
                    return opened == Opening.OPENED ? pc : -1;
                }
                cache.decodeBytes(page, offset, Math.min(Decoder.MAX_LENGTH, 4096 - offset), insn);
            }
        }
        long pageStart = cpu.rip - offset;
        int how = execute(insn);
        if (cpu.attention != 0 || clock.nextDeadline() < deadline || page.dead) {
            return -1;
        }
        if (page.kind == FlatCode.FLAT_32 && FlatCode.kind(cpu) != FlatCode.FLAT_32) {
            return -1;
        }
        if (how == IntegerInstructions.NEXT) {
            return pc + (CodeRecord.op(page.code[pc]) == FastOp.OPERAND ? 2 : 1);
        }
        long inPage = cpu.rip - pageStart;
        if (inPage >= 0 && inPage < 4096 && page.index[(int) inPage] >= 0) {
            return page.index[(int) inPage];
        }
        return -1;
    }

    /**
     * {@link Opening#OPENED} if a specialised operation missed the data TLB only, which now holds
     * its memory operand's page; {@link Opening#CLOSED} or {@link Opening#LEFT}; raises the
     * access's faults.
     */
    private Opening opensMemory(long word, long second) {
        int f = (int) word;
        if (f >= 0) {
            return Opening.CLOSED;
        }
        long[] r = cpu.r;
        long va =
                r[f >>> BASE_SHIFT & 31]
                        + (r[f >>> INDEX_SHIFT & 31] << (f >>> SCALE_SHIFT & 3))
                        + r[16 + (f >>> SEGMENT_SHIFT & 3)]
                        + (word >> 32);
        if (CodeRecord.op(word) == FastOp.CALL
                && !Cpu.canonical(r[f >>> REG_SHIFT & 31] + (int) second)) {
            return Opening.CLOSED; // which comes before a fault of the push
        }
        int bytes = (f >>> BYTES_SHIFT & 7) + 1;
        int write = f >>> WRITE_SHIFT & 1;
        if ((va & 0xfff) + bytes > 4096 || !(cpu.mode64 ? Cpu.canonical(va) : va >>> 32 == 0)) {
            return Opening.CLOSED;
        }
        int t = ((int) (va >>> 12) & Tlb.ENTRIES - 1) * Tlb.STRIDE + write;
        return cpu.mmu.fast[t] != (va & PAGE) ? cpu.mmu.open(va, write != 0) : Opening.CLOSED;
    }

    /** Fetches, decodes and executes the instruction at RIP without any cache. */
    void executeFetched() {
        fetch.decode(scratch);
        execute(scratch);
    }

    private int execute(Insn insn) {
        cpu.insnLength = insn.length;
        boolean guest = cpu.guestMode;
        if (cpu.instructionWatch != null && !guest) {
            cpu.instructionWatch.executing(insn);
        }
        int how =
                insn.row != null && insn.row.feature == CpuidFeature.SVM
                        ? SystemInstructions.executeSvm(cpu, insn) // a shorter way to what is hot
                        : IntegerInstructions.execute(cpu, insn);
        if (how == IntegerInstructions.NEXT) {
            cpu.rip = cpu.mode64 ? cpu.rip + insn.length : cpu.rip + insn.length & 0xffff_ffffL;
        }
        // Neither an intercepted instruction retires nor an INT n that shuts the processor down.
        if ((!guest || cpu.guestMode) && cpu.activity != Cpu.SHUTDOWN) {
            clock.retired++;
        }
        return how;
    }
}
