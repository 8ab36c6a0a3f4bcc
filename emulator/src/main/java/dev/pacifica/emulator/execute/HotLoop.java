package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.memory.RawMemory;
import dev.pacifica.emulator.paging.FetchTlb;
import dev.pacifica.emulator.paging.Tlb;
import dev.pacifica.emulator.time.VirtualClock;

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
    // Bits of a conditional jump's index field; not the same for both families, or HotSpot would
    // test them before the switch.
    static final int BELOW_INVERTED = 1 << CodeRecord.INDEX_SHIFT;
    static final int BELOW_OR_ZERO = 2 << CodeRecord.INDEX_SHIFT;
    static final int LESS_INVERTED = 4 << CodeRecord.INDEX_SHIFT;
    static final int LESS_OR_ZERO = 8 << CodeRecord.INDEX_SHIFT;

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
        cache.attach(cpu.mmu);
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
        FetchTlb tlb = cpu.mmu.fetch;
        int i = FetchTlb.index(linear);
        CodePage page;
        if (tlb.code[i] instanceof CodePage known
                && known.codeBits == cpu.codeBits
                && !known.dead
                && !known.full()) {
            page = known;
        } else {
            page = cache.page(pa, cpu.codeBits);
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
        int last = r.length - 1; // 31: a mask that HotSpot knows to stay within the array
        long[] tlb = cpu.mmu.fast;
        FetchTlb fetchTlb = cpu.mmu.fetch;
        CodePage page = startPage;
        long[] code = page.code;
        short[] index = page.index;
        long linearPage = start & PAGE;
        int pc = 2 * index[(int) start & 0xfff];
        long remaining = limit - clock.retired;
        r[CodeRecord.PAGE_BASE] = linearPage;
        r[CodeRecord.FS_BASE] = cpu.segBase[Cpu.FS];
        r[CodeRecord.GS_BASE] = cpu.segBase[Cpu.GS];
        long target;
        next:
        while (remaining > 0) {
            long word = code[pc];
            long second = code[pc + 1];
            int f = (int) word;
            long a = r[f >>> CodeRecord.REG_SHIFT & last];
            long b = r[f >>> CodeRecord.BASE_SHIFT & last];
            int cut = (int) (word >>> CodeRecord.CUT_SHIFT) << 3;
            long va = 0;
            long host = 0;
            pc += 2;
            remaining--;
            jump:
            {
                long result;
                write:
                {
                    slow:
                    {
                        if (f >= 0) {
                            b += second;
                        } else {
                            va =
                                    b
                                            + (r[f >>> CodeRecord.INDEX_SHIFT & last]
                                                    << (f >>> CodeRecord.SCALE_SHIFT & 3))
                                            + r[16 + (f >>> CodeRecord.SEGMENT_SHIFT & 3)]
                                            + (int) second;
                            int t = ((int) (va >>> 12) & Tlb.ENTRIES - 1) * Tlb.STRIDE;
                            if (tlb[t + (f >>> CodeRecord.WRITE_SHIFT & 1)]
                                    != (va + (word >>> CodeRecord.BYTES_SHIFT & 7) & PAGE)) {
                                break slow;
                            }
                            host = va + tlb[t + 2];
                            a += second >> 32;
                            b = RawMemory.getLong(host);
                        }
                        long x = a << cut;
                        long y = b << cut;
                        switch (f & CodeRecord.OP_MASK) {
                            case FastOp.GOTO -> {
                                remaining++;
                                pc = (int) second;
                                continue next;
                            }
                            case FastOp.PAGE_END -> {
                                remaining++;
                                target = linearPage + 4096;
                                break jump;
                            }
                            case FastOp.NOP -> {
                                continue next;
                            }
                            case FastOp.ADD -> {
                                result = Alu.addAtTop(cpu, x, y, cut) >>> cut;
                                break write;
                            }
                            case FastOp.SUB -> {
                                result = Alu.subAtTop(cpu, x, y, cut) >>> cut;
                                break write;
                            }
                            case FastOp.AND -> {
                                long bits = x & y;
                                cpu.flagAux = 0;
                                cpu.flagResult = bits >> cut;
                                result = bits >>> cut;
                                break write;
                            }
                            case FastOp.OR -> {
                                long bits = x | y;
                                cpu.flagAux = 0;
                                cpu.flagResult = bits >> cut;
                                result = bits >>> cut;
                                break write;
                            }
                            case FastOp.XOR -> {
                                long bits = x ^ y;
                                cpu.flagAux = 0;
                                cpu.flagResult = bits >> cut;
                                result = bits >>> cut;
                                break write;
                            }
                            case FastOp.COMPARE -> {
                                Alu.subAtTop(cpu, y, x, cut);
                                continue next;
                            }
                            case FastOp.ZERO -> {
                                cpu.flagResult = 0;
                                cpu.flagAux = 0;
                                result = 0;
                                break write;
                            }
                            case FastOp.INC -> {
                                result = Alu.incAtTop(cpu, x, cut) >>> cut;
                                break write;
                            }
                            case FastOp.DEC -> {
                                result = Alu.decAtTop(cpu, x, cut) >>> cut;
                                break write;
                            }
                            case FastOp.SHL -> {
                                result = Alu.shlAtTop(cpu, x, (int) second, cut) >>> cut;
                                break write;
                            }
                            case FastOp.SHR -> {
                                result = Alu.shrAtTop(cpu, x, (int) second, cut);
                                break write;
                            }
                            case FastOp.SAR -> {
                                result = Alu.sarAtTop(cpu, x, (int) second, cut) << cut >>> cut;
                                break write;
                            }
                            case FastOp.IMUL -> {
                                result = Alu.imulAtTop(cpu, x, y, cut) >>> cut;
                                break write;
                            }
                            case FastOp.MOV -> {
                                result = y >>> cut;
                                break write;
                            }
                            case FastOp.MOV8 -> {
                                result = a ^ (a ^ b) & 0xff;
                                break write;
                            }
                            case FastOp.ZX8 -> {
                                result = b & 0xff;
                                break write;
                            }
                            case FastOp.ZX16 -> {
                                result = b & 0xffff;
                                break write;
                            }
                            case FastOp.SX8 -> {
                                result = (long) (byte) b << cut >>> cut;
                                break write;
                            }
                            case FastOp.SXD -> {
                                result = (int) b;
                                break write;
                            }
                            case FastOp.STORE64 -> {
                                RawMemory.putLong(host, a);
                                continue next;
                            }
                            case FastOp.STORE32 -> {
                                RawMemory.putInt(host, (int) a);
                                continue next;
                            }
                            case FastOp.STORE16 -> {
                                RawMemory.putShort(host, (int) a);
                                continue next;
                            }
                            case FastOp.STORE8 -> {
                                RawMemory.putByte(host, (int) a);
                                continue next;
                            }
                            case FastOp.PUSH -> {
                                RawMemory.putLong(host, a);
                                r[Cpu.RSP] = va;
                                continue next;
                            }
                            case FastOp.POP -> {
                                r[Cpu.RSP] = va + 8;
                                result = b;
                                break write;
                            }
                            case FastOp.LEAVE -> {
                                r[Cpu.RSP] = va + 8;
                                result = b;
                                break write;
                            }
                            case FastOp.CALL -> {
                                if (!Cpu.canonical(a)) {
                                    break slow;
                                }
                                RawMemory.putLong(host, linearPage + CodeRecord.next(word));
                                r[Cpu.RSP] = va;
                                target = a;
                                break jump;
                            }
                            case FastOp.RET -> {
                                r[Cpu.RSP] = va + 8;
                                target = b;
                                break jump;
                            }
                            case FastOp.JMP -> {
                                target = b;
                                break jump;
                            }
                            case FastOp.J_B -> {
                                if ((cpu.cf() || (f & BELOW_OR_ZERO) != 0 && cpu.zf())
                                        != ((f & BELOW_INVERTED) != 0)) {
                                    target = b;
                                    break jump;
                                }
                                continue next;
                            }
                            case FastOp.J_Z -> {
                                if (cpu.zf()) {
                                    target = b;
                                    break jump;
                                }
                                continue next;
                            }
                            case FastOp.J_NZ -> {
                                if (!cpu.zf()) {
                                    target = b;
                                    break jump;
                                }
                                continue next;
                            }
                            case FastOp.J_S -> {
                                if (cpu.sf()) {
                                    target = b;
                                    break jump;
                                }
                                continue next;
                            }
                            case FastOp.J_NS -> {
                                if (!cpu.sf()) {
                                    target = b;
                                    break jump;
                                }
                                continue next;
                            }
                            case FastOp.J_L -> {
                                if ((cpu.less() || (f & LESS_OR_ZERO) != 0 && cpu.zf())
                                        != ((f & LESS_INVERTED) != 0)) {
                                    target = b;
                                    break jump;
                                }
                                continue next;
                            }
                            default -> {
                                if ((f & CodeRecord.OP_MASK) >= FastOp.FIRST_RARE
                                        && RareOps.execute(cpu, r, word, second, a, b, host)) {
                                    continue next;
                                }
                                break slow;
                            }
                        }
                    }
                    clock.retired = limit - remaining - 1;
                    cpu.rip = ripOf(linearPage + CodeRecord.offset(word));
                    pc = slow(page, pc - 2);
                    if (pc < 0) {
                        return;
                    }
                    code = page.code;
                    remaining = limit - clock.retired;
                    r[CodeRecord.FS_BASE] = cpu.segBase[Cpu.FS];
                    r[CodeRecord.GS_BASE] = cpu.segBase[Cpu.GS];
                    continue next;
                }
                r[(int) (word >>> CodeRecord.TARGET_SHIFT) & last] = result;
                continue next;
            }
            long targetPage = target & PAGE;
            if (targetPage != linearPage) {
                int i = FetchTlb.index(target);
                // From 16- and 32-bit code this only falls through a page's end: segment limit and
                // code size must be looked at.
                if (fetchTlb.page[i] != targetPage
                        || !(fetchTlb.code[i] instanceof CodePage entered)
                        || entered.codeBits != 64
                        || page.codeBits != 64
                        || entered.dead) {
                    leave(target, word, limit - remaining);
                    return;
                }
                page = entered;
                linearPage = targetPage;
                code = page.code;
                index = page.index;
                r[CodeRecord.PAGE_BASE] = targetPage;
            }
            int record = index[(int) target & 0xfff];
            if (record < 0) {
                leave(target, word, limit - remaining);
                return;
            }
            pc = 2 * record;
        }
        clock.retired = limit;
        cpu.rip = ripOf(linearPage + CodeRecord.offset(code[pc]));
    }

    /** RIP of a linear code address. */
    private long ripOf(long linear) {
        return cpu.mode64 ? linear : linear - cpu.segBase[Cpu.CS] & 0xffff_ffffL;
    }

    /**
     * Ends the loop after a jump, or a fall through the page's end, to code that must be looked up.
     */
    private void leave(long target, long word, long retired) {
        if (cpu.mode64 && !Cpu.canonical(target) && CodeRecord.op(word) != FastOp.PAGE_END) {
            if (CodeRecord.op(word) == FastOp.RET) {
                cpu.r[Cpu.RSP] -= 8; // a jump has changed nothing, a call checks before it does
            }
            clock.retired = retired - 1;
            cpu.rip = cpu.r[CodeRecord.PAGE_BASE] + CodeRecord.offset(word);
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
        long word = page.code[pc];
        int offset = CodeRecord.offset(word);
        Insn insn = scratch;
        switch (CodeRecord.op(word)) {
            case FastOp.STALE -> {
                if (page.dead || page.full()) {
                    return -1;
                }
                if (page.index[offset] < 0) {
                    cache.decode(page, offset);
                }
                int found = 2 * page.index[offset];
                page.code[pc] = CodeRecord.withoutOperands(word, FastOp.GOTO);
                page.code[pc + 1] = found;
                return found;
            }
            case FastOp.CROSSING -> {
                executeFetched();
                return -1;
            }
            case FastOp.GENERIC -> insn = page.insns[(int) page.code[pc + 1]];
            default -> {
                if (opensMemory(word, page.code[pc + 1])) {
                    return pc;
                }
                cache.decodeBytes(page, offset, Math.min(Decoder.MAX_LENGTH, 4096 - offset), insn);
            }
        }
        long pageStart = cpu.rip - offset;
        int how = execute(insn);
        if (cpu.attention != 0 || clock.nextDeadline() < deadline || page.dead) {
            return -1;
        }
        if (how == IntegerInstructions.NEXT) {
            return pc + 2;
        }
        long inPage = cpu.rip - pageStart;
        if (inPage >= 0 && inPage < 4096 && page.index[(int) inPage] >= 0) {
            return 2 * page.index[(int) inPage];
        }
        return -1;
    }

    /**
     * Whether a specialised operation missed the data TLB only, which now holds its memory
     * operand's page; raises the access's faults.
     */
    private boolean opensMemory(long word, long second) {
        int f = (int) word;
        if (f >= 0) {
            return false;
        }
        long[] r = cpu.r;
        long va =
                r[f >>> CodeRecord.BASE_SHIFT & 31]
                        + (r[f >>> CodeRecord.INDEX_SHIFT & 31]
                                << (f >>> CodeRecord.SCALE_SHIFT & 3))
                        + r[16 + (f >>> CodeRecord.SEGMENT_SHIFT & 3)]
                        + (int) second;
        if (CodeRecord.op(word) == FastOp.CALL
                && !Cpu.canonical(r[f >>> CodeRecord.REG_SHIFT & 31] + (second >> 32))) {
            return false; // which comes before a fault of the push
        }
        int bytes = (int) (word >>> CodeRecord.BYTES_SHIFT & 7) + 1;
        int write = f >>> CodeRecord.WRITE_SHIFT & 1;
        if ((va & 0xfff) + bytes > 4096 || !Cpu.canonical(va)) {
            return false;
        }
        int t = ((int) (va >>> 12) & Tlb.ENTRIES - 1) * Tlb.STRIDE + write;
        return cpu.mmu.fast[t] != (va & PAGE) && cpu.mmu.open(va, write != 0);
    }

    /** Fetches, decodes and executes the instruction at RIP without any cache. */
    void executeFetched() {
        fetch.decode(scratch);
        execute(scratch);
    }

    private int execute(Insn insn) {
        cpu.insnLength = insn.length;
        boolean guest = cpu.guestMode;
        int how = IntegerInstructions.execute(cpu, insn);
        if (how == IntegerInstructions.NEXT) {
            cpu.rip = cpu.mode64 ? cpu.rip + insn.length : cpu.rip + insn.length & 0xffff_ffffL;
        }
        if (!guest || cpu.guestMode) {
            clock.retired++; // an intercepted instruction does not retire
        }
        return how;
    }
}
