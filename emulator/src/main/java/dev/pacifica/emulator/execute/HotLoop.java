package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.machine.VirtualClock;
import dev.pacifica.emulator.memory.RawMemory;
import dev.pacifica.emulator.paging.FetchTlb;
import dev.pacifica.emulator.paging.Tlb;

/**
 * Executes pre-decoded code. A specialised operation either completes, touching nothing but registers, lazy flags and memory that the
 * data TLB lets it reach, or does nothing at all: then the same instruction goes the generic way, which may fault, access devices and
 * change the world. Around each generic instruction RIP and the clock are exact.
 *
 * <p>{@link #loop} must stay below 8,000 bytecodes, or HotSpot does not compile it.
 */
final class HotLoop {
    private static final long PAGE = ~0xfffL;
    private static final long LOW = 0xffff_ffffL;

    /** Where the data TLB's entry for an address is. */
    private static int slot(long va) {
        return ((int) (va >>> 12) & Tlb.ENTRIES - 1) * Tlb.STRIDE;
    }

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
     * Executes from RIP on until the retired count is {@code limit}, or something has to be looked at: attention, an earlier timer, a
     * page of code to be entered. {@code timer} is the clock's next deadline that the limit respects. At least one instruction is
     * executed, or a fault raised.
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

    /** The decoded page at a linear address, with the instruction there decoded; null if it must be fetched by itself. */
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
        if (tlb.code[i] instanceof CodePage known && known.codeBits == cpu.codeBits && !known.dead && !known.full()) {
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
            long a = r[f >>> CodeRecord.REG_SHIFT & 31];
            long b = r[f >>> CodeRecord.BASE_SHIFT & 31];
            pc += 2;
            remaining--;
            jump:
            {
                branch:
                {
                    long result;
                    write:
                    {
                        slow:
                        {
                            if (f >= 0) {
                                b += second;
                            } else {
                                long va = b + (r[f >>> CodeRecord.INDEX_SHIFT & 31] << (f >>> CodeRecord.SCALE_SHIFT & 3))
                                        + r[16 + (f >>> CodeRecord.SEGMENT_SHIFT & 3)] + (int) second;
                                int t = slot(va);
                                if (tlb[t] != (va + (word >>> CodeRecord.BYTES_SHIFT) & PAGE)) {
                                    break slow;
                                }
                                b = RawMemory.getLong(va + tlb[t + 2]);
                            }
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
                                case FastOp.ADD64 -> {
                                    result = Alu.add(cpu, 8, a, b);
                                    break write;
                                }
                                case FastOp.OR64 -> {
                                    result = Alu.logic(cpu, 8, a | b);
                                    break write;
                                }
                                case FastOp.AND64 -> {
                                    result = Alu.logic(cpu, 8, a & b);
                                    break write;
                                }
                                case FastOp.SUB64 -> {
                                    result = Alu.sub(cpu, 8, a, b);
                                    break write;
                                }
                                case FastOp.XOR64 -> {
                                    result = Alu.logic(cpu, 8, a ^ b);
                                    break write;
                                }
                                case FastOp.ADD32 -> {
                                    result = Alu.add(cpu, 4, a, b) & LOW;
                                    break write;
                                }
                                case FastOp.OR32 -> {
                                    result = Alu.logic(cpu, 4, a | b) & LOW;
                                    break write;
                                }
                                case FastOp.AND32 -> {
                                    result = Alu.logic(cpu, 4, a & b) & LOW;
                                    break write;
                                }
                                case FastOp.SUB32 -> {
                                    result = Alu.sub(cpu, 4, a, b) & LOW;
                                    break write;
                                }
                                case FastOp.XOR32 -> {
                                    result = Alu.logic(cpu, 4, a ^ b) & LOW;
                                    break write;
                                }
                                case FastOp.CMP64 -> {
                                    Alu.sub(cpu, 8, a, b);
                                    continue next;
                                }
                                case FastOp.CMP32 -> {
                                    Alu.sub(cpu, 4, a, b);
                                    continue next;
                                }
                                case FastOp.CMP16 -> {
                                    Alu.sub(cpu, 2, a, b);
                                    continue next;
                                }
                                case FastOp.CMP8 -> {
                                    Alu.sub(cpu, 1, a, b);
                                    continue next;
                                }
                                case FastOp.CMP64_TO -> {
                                    Alu.sub(cpu, 8, b, a);
                                    continue next;
                                }
                                case FastOp.CMP32_TO -> {
                                    Alu.sub(cpu, 4, b, a);
                                    continue next;
                                }
                                case FastOp.CMP8_TO -> {
                                    Alu.sub(cpu, 1, b, a);
                                    continue next;
                                }
                                case FastOp.CMP64_MI -> {
                                    Alu.sub(cpu, 8, b, second >> 32);
                                    continue next;
                                }
                                case FastOp.CMP32_MI -> {
                                    Alu.sub(cpu, 4, b, second >> 32);
                                    continue next;
                                }
                                case FastOp.CMP16_MI -> {
                                    Alu.sub(cpu, 2, b, second >> 32);
                                    continue next;
                                }
                                case FastOp.CMP8_MI -> {
                                    Alu.sub(cpu, 1, b, second >> 32);
                                    continue next;
                                }
                                case FastOp.TEST64 -> {
                                    Alu.logic(cpu, 8, a & b);
                                    continue next;
                                }
                                case FastOp.TEST32 -> {
                                    Alu.logic(cpu, 4, a & b);
                                    continue next;
                                }
                                case FastOp.TEST8 -> {
                                    Alu.logic(cpu, 1, a & b);
                                    continue next;
                                }
                                case FastOp.TEST32_MI -> {
                                    Alu.logic(cpu, 4, b & second >> 32);
                                    continue next;
                                }
                                case FastOp.TEST8_MI -> {
                                    Alu.logic(cpu, 1, b & second >> 32);
                                    continue next;
                                }
                                case FastOp.ZERO -> {
                                    cpu.flagResult = 0;
                                    cpu.flagAux = 0;
                                    result = 0;
                                    break write;
                                }
                                case FastOp.INC64 -> {
                                    result = Alu.inc(cpu, 8, a);
                                    break write;
                                }
                                case FastOp.INC32 -> {
                                    result = Alu.inc(cpu, 4, a) & LOW;
                                    break write;
                                }
                                case FastOp.DEC64 -> {
                                    result = Alu.dec(cpu, 8, a);
                                    break write;
                                }
                                case FastOp.DEC32 -> {
                                    result = Alu.dec(cpu, 4, a) & LOW;
                                    break write;
                                }
                                case FastOp.SHL64_I -> {
                                    result = Alu.shl(cpu, 8, a, (int) second);
                                    break write;
                                }
                                case FastOp.SHL32_I -> {
                                    result = Alu.shl(cpu, 4, a, (int) second) & LOW;
                                    break write;
                                }
                                case FastOp.SHR64_I -> {
                                    result = Alu.shr(cpu, 8, a, (int) second);
                                    break write;
                                }
                                case FastOp.SHR32_I -> {
                                    result = Alu.shr(cpu, 4, a, (int) second) & LOW;
                                    break write;
                                }
                                case FastOp.SAR64_I -> {
                                    result = Alu.sar(cpu, 8, a, (int) second);
                                    break write;
                                }
                                case FastOp.SAR32_I -> {
                                    result = Alu.sar(cpu, 4, a, (int) second) & LOW;
                                    break write;
                                }
                                case FastOp.IMUL64 -> {
                                    result = Alu.imul(cpu, 8, a, b);
                                    break write;
                                }
                                case FastOp.IMUL32 -> {
                                    result = Alu.imul(cpu, 4, a, b) & LOW;
                                    break write;
                                }
                                case FastOp.MOV64 -> {
                                    result = b;
                                    break write;
                                }
                                case FastOp.MOV32 -> {
                                    result = b & LOW;
                                    break write;
                                }
                                case FastOp.MOV8 -> {
                                    result = a & ~0xffL | b & 0xff;
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
                                case FastOp.SX8_32 -> {
                                    result = (byte) b & LOW;
                                    break write;
                                }
                                case FastOp.SX8_64 -> {
                                    result = (byte) b;
                                    break write;
                                }
                                case FastOp.SX32_64 -> {
                                    result = (int) b;
                                    break write;
                                }
                                case FastOp.LEA64 -> {
                                    result = CodeRecord.address(r, f, second);
                                    break write;
                                }
                                case FastOp.LEA32 -> {
                                    result = CodeRecord.address(r, f, second) & LOW;
                                    break write;
                                }
                                case FastOp.STORE64 -> {
                                    long va = CodeRecord.address(r, f, second);
                                    int t = slot(va);
                                    if (tlb[t + 1] != (va + 7 & PAGE)) {
                                        break slow;
                                    }
                                    RawMemory.putLong(va + tlb[t + 2], a);
                                    continue next;
                                }
                                case FastOp.STORE64_I -> {
                                    long va = CodeRecord.address(r, f, second);
                                    int t = slot(va);
                                    if (tlb[t + 1] != (va + 7 & PAGE)) {
                                        break slow;
                                    }
                                    RawMemory.putLong(va + tlb[t + 2], (second >> 32));
                                    continue next;
                                }
                                case FastOp.STORE32 -> {
                                    long va = CodeRecord.address(r, f, second);
                                    int t = slot(va);
                                    if (tlb[t + 1] != (va + 3 & PAGE)) {
                                        break slow;
                                    }
                                    RawMemory.putInt(va + tlb[t + 2], (int) a);
                                    continue next;
                                }
                                case FastOp.STORE32_I -> {
                                    long va = CodeRecord.address(r, f, second);
                                    int t = slot(va);
                                    if (tlb[t + 1] != (va + 3 & PAGE)) {
                                        break slow;
                                    }
                                    RawMemory.putInt(va + tlb[t + 2], (int) (second >> 32));
                                    continue next;
                                }
                                case FastOp.STORE16 -> {
                                    long va = CodeRecord.address(r, f, second);
                                    int t = slot(va);
                                    if (tlb[t + 1] != (va + 1 & PAGE)) {
                                        break slow;
                                    }
                                    RawMemory.putShort(va + tlb[t + 2], (int) a);
                                    continue next;
                                }
                                case FastOp.STORE16_I -> {
                                    long va = CodeRecord.address(r, f, second);
                                    int t = slot(va);
                                    if (tlb[t + 1] != (va + 1 & PAGE)) {
                                        break slow;
                                    }
                                    RawMemory.putShort(va + tlb[t + 2], (int) (second >> 32));
                                    continue next;
                                }
                                case FastOp.STORE8 -> {
                                    long va = CodeRecord.address(r, f, second);
                                    int t = slot(va);
                                    if (tlb[t + 1] != (va & PAGE)) {
                                        break slow;
                                    }
                                    RawMemory.putByte(va + tlb[t + 2], (int) a);
                                    continue next;
                                }
                                case FastOp.STORE8_I -> {
                                    long va = CodeRecord.address(r, f, second);
                                    int t = slot(va);
                                    if (tlb[t + 1] != (va & PAGE)) {
                                        break slow;
                                    }
                                    RawMemory.putByte(va + tlb[t + 2], (int) (second >> 32));
                                    continue next;
                                }
                                case FastOp.PUSH -> {
                                    long va = r[Cpu.RSP] - 8;
                                    int t = slot(va);
                                    if (tlb[t + 1] != (va + 7 & PAGE)) {
                                        break slow;
                                    }
                                    RawMemory.putLong(va + tlb[t + 2], b);
                                    r[Cpu.RSP] = va;
                                    continue next;
                                }
                                case FastOp.POP -> {
                                    long va = r[Cpu.RSP];
                                    int t = slot(va);
                                    if (tlb[t] != (va + 7 & PAGE)) {
                                        break slow;
                                    }
                                    r[Cpu.RSP] = va + 8;
                                    result = RawMemory.getLong(va + tlb[t + 2]);
                                    break write;
                                }
                                case FastOp.LEAVE -> {
                                    long va = r[Cpu.RBP];
                                    int t = slot(va);
                                    if (tlb[t] != (va + 7 & PAGE)) {
                                        break slow;
                                    }
                                    r[Cpu.RSP] = va + 8;
                                    r[Cpu.RBP] = RawMemory.getLong(va + tlb[t + 2]);
                                    continue next;
                                }
                                case FastOp.CALL -> {
                                    long va = r[Cpu.RSP] - 8;
                                    int t = slot(va);
                                    if (tlb[t + 1] != (va + 7 & PAGE) || !Cpu.canonical(linearPage + (int) second)) {
                                        break slow;
                                    }
                                    RawMemory.putLong(va + tlb[t + 2], linearPage + CodeRecord.next(word));
                                    r[Cpu.RSP] = va;
                                    break branch;
                                }
                                case FastOp.CALL_INDIRECT -> {
                                    long va = r[Cpu.RSP] - 8;
                                    int t = slot(va);
                                    if (tlb[t + 1] != (va + 7 & PAGE) || !Cpu.canonical(b)) {
                                        break slow;
                                    }
                                    RawMemory.putLong(va + tlb[t + 2], linearPage + CodeRecord.next(word));
                                    r[Cpu.RSP] = va;
                                    target = b;
                                    break jump;
                                }
                                case FastOp.RET -> {
                                    long va = r[Cpu.RSP];
                                    int t = slot(va);
                                    if (tlb[t] != (va + 7 & PAGE)) {
                                        break slow;
                                    }
                                    target = RawMemory.getLong(va + tlb[t + 2]);
                                    if (!Cpu.canonical(target)) {
                                        break slow;
                                    }
                                    r[Cpu.RSP] = va + 8;
                                    break jump;
                                }
                                case FastOp.JMP -> {
                                    break branch;
                                }
                                case FastOp.JMP_INDIRECT -> {
                                    if (!Cpu.canonical(b)) {
                                        break slow;
                                    }
                                    target = b;
                                    break jump;
                                }
                                case FastOp.JO -> {
                                    if (cpu.of()) {
                                        break branch;
                                    }
                                    continue next;
                                }
                                case FastOp.JNO -> {
                                    if (!cpu.of()) {
                                        break branch;
                                    }
                                    continue next;
                                }
                                case FastOp.JB -> {
                                    if (cpu.cf()) {
                                        break branch;
                                    }
                                    continue next;
                                }
                                case FastOp.JAE -> {
                                    if (!cpu.cf()) {
                                        break branch;
                                    }
                                    continue next;
                                }
                                case FastOp.JZ -> {
                                    if (cpu.zf()) {
                                        break branch;
                                    }
                                    continue next;
                                }
                                case FastOp.JNZ -> {
                                    if (!cpu.zf()) {
                                        break branch;
                                    }
                                    continue next;
                                }
                                case FastOp.JBE -> {
                                    if (cpu.cf() || cpu.zf()) {
                                        break branch;
                                    }
                                    continue next;
                                }
                                case FastOp.JA -> {
                                    if (!cpu.cf() && !cpu.zf()) {
                                        break branch;
                                    }
                                    continue next;
                                }
                                case FastOp.JS -> {
                                    if (cpu.sf()) {
                                        break branch;
                                    }
                                    continue next;
                                }
                                case FastOp.JNS -> {
                                    if (!cpu.sf()) {
                                        break branch;
                                    }
                                    continue next;
                                }
                                case FastOp.JP -> {
                                    if (cpu.pf()) {
                                        break branch;
                                    }
                                    continue next;
                                }
                                case FastOp.JNP -> {
                                    if (!cpu.pf()) {
                                        break branch;
                                    }
                                    continue next;
                                }
                                case FastOp.JL -> {
                                    if (cpu.less()) {
                                        break branch;
                                    }
                                    continue next;
                                }
                                case FastOp.JGE -> {
                                    if (!cpu.less()) {
                                        break branch;
                                    }
                                    continue next;
                                }
                                case FastOp.JLE -> {
                                    if (cpu.less() || cpu.zf()) {
                                        break branch;
                                    }
                                    continue next;
                                }
                                case FastOp.JG -> {
                                    if (!cpu.less() && !cpu.zf()) {
                                        break branch;
                                    }
                                    continue next;
                                }
                                case FastOp.SETCC -> {
                                    result = a & ~0xffL | (cpu.condition(CodeRecord.detail(word)) ? 1 : 0);
                                    break write;
                                }
                                case FastOp.CMOV64 -> {
                                    result = cpu.condition(CodeRecord.detail(word)) ? b : a;
                                    break write;
                                }
                                case FastOp.CMOV32 -> {
                                    result = (cpu.condition(CodeRecord.detail(word)) ? b : a) & LOW;
                                    break write;
                                }
                                default -> {
                                    if ((f & CodeRecord.OP_MASK) >= FastOp.FIRST_RARE
                                            && RareOps.execute(cpu, r, tlb, word, second, a, b)) {
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
                        remaining = limit - clock.retired;
                        r[CodeRecord.FS_BASE] = cpu.segBase[Cpu.FS];
                        r[CodeRecord.GS_BASE] = cpu.segBase[Cpu.GS];
                        continue next;
                    }
                    r[f >>> CodeRecord.REG_SHIFT & 31] = result;
                    continue next;
                }
                target = linearPage + (int) second;
            }
            long targetPage = target & PAGE;
            if (targetPage != linearPage) {
                int i = FetchTlb.index(target);
                if (fetchTlb.page[i] != targetPage || !(fetchTlb.code[i] instanceof CodePage entered) || entered.codeBits != 64 || entered.dead) {
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

    /** Ends the loop after a jump, or a fall through the page's end, to code that must be looked up. */
    private void leave(long target, long word, long retired) {
        if (cpu.mode64 && !Cpu.canonical(target) && CodeRecord.op(word) != FastOp.PAGE_END) {
            // A relative jump; the others check before they change anything.
            clock.retired = retired - 1;
            cpu.rip = cpu.r[CodeRecord.PAGE_BASE] + CodeRecord.offset(word);
            throw cpu.fault(GuestException.GP, 0);
        }
        clock.retired = retired;
        cpu.rip = ripOf(target);
    }

    /**
     * Executes the instruction of a record by way of its Insn. RIP and the clock are exact before and afterwards. Returns the index of the
     * record to go on with in the same page, or -1 if whoever called {@link #run} must look around first.
     */
    private int slow(CodePage page, int pc) {
        long word = page.code[pc];
        int offset = CodeRecord.offset(word);
        Insn insn = scratch;
        switch (CodeRecord.op(word)) {
            case FastOp.STALE -> {
                return -1;
            }
            case FastOp.CROSSING -> {
                executeFetched();
                return -1;
            }
            case FastOp.GENERIC -> insn = page.insns[(int) page.code[pc + 1]];
            default -> cache.decodeBytes(page, offset, Math.min(Decoder.MAX_LENGTH, 4096 - offset), insn);
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
