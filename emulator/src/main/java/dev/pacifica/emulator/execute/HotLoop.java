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

    private static long address(long[] r, int f, long second) {
        return r[f >>> 15 & 31] + (r[f >>> 20 & 31] << (f >>> 25 & 3)) + r[f >>> 27] + (int) second;
    }

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
            int f = (int) word;
            pc += 2;
            remaining--;
            jump:
            {
                branch:
                {
                    switch (f & CodeRecord.OP_MASK) {
                        case FastOp.GOTO -> {
                            remaining++;
                            pc = (int) code[pc - 1];
                            continue;
                        }
                        case FastOp.PAGE_END -> {
                            remaining++;
                            target = linearPage + 4096;
                            break jump;
                        }
                        case FastOp.NOP -> {
                            continue;
                        }
                        case FastOp.ADD64_RR -> {
                            r[f >>> 10 & 31] = Alu.add(cpu, 8, r[f >>> 10 & 31], r[f >>> 15 & 31]);
                            continue;
                        }
                        case FastOp.OR64_RR -> {
                            r[f >>> 10 & 31] = Alu.logic(cpu, 8, r[f >>> 10 & 31] | r[f >>> 15 & 31]);
                            continue;
                        }
                        case FastOp.AND64_RR -> {
                            r[f >>> 10 & 31] = Alu.logic(cpu, 8, r[f >>> 10 & 31] & r[f >>> 15 & 31]);
                            continue;
                        }
                        case FastOp.SUB64_RR -> {
                            r[f >>> 10 & 31] = Alu.sub(cpu, 8, r[f >>> 10 & 31], r[f >>> 15 & 31]);
                            continue;
                        }
                        case FastOp.XOR64_RR -> {
                            r[f >>> 10 & 31] = Alu.logic(cpu, 8, r[f >>> 10 & 31] ^ r[f >>> 15 & 31]);
                            continue;
                        }
                        case FastOp.CMP64_RR -> {
                            Alu.sub(cpu, 8, r[f >>> 10 & 31], r[f >>> 15 & 31]);
                            continue;
                        }
                        case FastOp.ADD64_RI -> {
                            r[f >>> 10 & 31] = Alu.add(cpu, 8, r[f >>> 10 & 31], code[pc - 1]);
                            continue;
                        }
                        case FastOp.OR64_RI -> {
                            r[f >>> 10 & 31] = Alu.logic(cpu, 8, r[f >>> 10 & 31] | code[pc - 1]);
                            continue;
                        }
                        case FastOp.AND64_RI -> {
                            r[f >>> 10 & 31] = Alu.logic(cpu, 8, r[f >>> 10 & 31] & code[pc - 1]);
                            continue;
                        }
                        case FastOp.SUB64_RI -> {
                            r[f >>> 10 & 31] = Alu.sub(cpu, 8, r[f >>> 10 & 31], code[pc - 1]);
                            continue;
                        }
                        case FastOp.XOR64_RI -> {
                            r[f >>> 10 & 31] = Alu.logic(cpu, 8, r[f >>> 10 & 31] ^ code[pc - 1]);
                            continue;
                        }
                        case FastOp.CMP64_RI -> {
                            Alu.sub(cpu, 8, r[f >>> 10 & 31], code[pc - 1]);
                            continue;
                        }
                        case FastOp.ADD64_RM -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 7 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = Alu.add(cpu, 8, r[f >>> 10 & 31], RawMemory.getLong(va + tlb[t + 2]));
                            continue;
                        }
                        case FastOp.OR64_RM -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 7 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = Alu.logic(cpu, 8, r[f >>> 10 & 31] | RawMemory.getLong(va + tlb[t + 2]));
                            continue;
                        }
                        case FastOp.AND64_RM -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 7 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = Alu.logic(cpu, 8, r[f >>> 10 & 31] & RawMemory.getLong(va + tlb[t + 2]));
                            continue;
                        }
                        case FastOp.SUB64_RM -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 7 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = Alu.sub(cpu, 8, r[f >>> 10 & 31], RawMemory.getLong(va + tlb[t + 2]));
                            continue;
                        }
                        case FastOp.XOR64_RM -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 7 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = Alu.logic(cpu, 8, r[f >>> 10 & 31] ^ RawMemory.getLong(va + tlb[t + 2]));
                            continue;
                        }
                        case FastOp.CMP64_RM -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 7 & PAGE)) {
                                break;
                            }
                            Alu.sub(cpu, 8, r[f >>> 10 & 31], RawMemory.getLong(va + tlb[t + 2]));
                            continue;
                        }
                        case FastOp.ADD32_RR -> {
                            r[f >>> 10 & 31] = Alu.add(cpu, 4, r[f >>> 10 & 31], r[f >>> 15 & 31]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.OR32_RR -> {
                            r[f >>> 10 & 31] = Alu.logic(cpu, 4, r[f >>> 10 & 31] | r[f >>> 15 & 31]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.AND32_RR -> {
                            r[f >>> 10 & 31] = Alu.logic(cpu, 4, r[f >>> 10 & 31] & r[f >>> 15 & 31]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.SUB32_RR -> {
                            r[f >>> 10 & 31] = Alu.sub(cpu, 4, r[f >>> 10 & 31], r[f >>> 15 & 31]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.XOR32_RR -> {
                            r[f >>> 10 & 31] = Alu.logic(cpu, 4, r[f >>> 10 & 31] ^ r[f >>> 15 & 31]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.CMP32_RR -> {
                            Alu.sub(cpu, 4, r[f >>> 10 & 31], r[f >>> 15 & 31]);
                            continue;
                        }
                        case FastOp.ADD32_RI -> {
                            r[f >>> 10 & 31] = Alu.add(cpu, 4, r[f >>> 10 & 31], code[pc - 1]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.OR32_RI -> {
                            r[f >>> 10 & 31] = Alu.logic(cpu, 4, r[f >>> 10 & 31] | code[pc - 1]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.AND32_RI -> {
                            r[f >>> 10 & 31] = Alu.logic(cpu, 4, r[f >>> 10 & 31] & code[pc - 1]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.SUB32_RI -> {
                            r[f >>> 10 & 31] = Alu.sub(cpu, 4, r[f >>> 10 & 31], code[pc - 1]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.XOR32_RI -> {
                            r[f >>> 10 & 31] = Alu.logic(cpu, 4, r[f >>> 10 & 31] ^ code[pc - 1]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.CMP32_RI -> {
                            Alu.sub(cpu, 4, r[f >>> 10 & 31], code[pc - 1]);
                            continue;
                        }
                        case FastOp.ADD32_RM -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 3 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = Alu.add(cpu, 4, r[f >>> 10 & 31], RawMemory.getInt(va + tlb[t + 2])) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.OR32_RM -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 3 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = Alu.logic(cpu, 4, r[f >>> 10 & 31] | RawMemory.getInt(va + tlb[t + 2])) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.AND32_RM -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 3 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = Alu.logic(cpu, 4, r[f >>> 10 & 31] & RawMemory.getInt(va + tlb[t + 2])) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.SUB32_RM -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 3 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = Alu.sub(cpu, 4, r[f >>> 10 & 31], RawMemory.getInt(va + tlb[t + 2])) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.XOR32_RM -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 3 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = Alu.logic(cpu, 4, r[f >>> 10 & 31] ^ RawMemory.getInt(va + tlb[t + 2])) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.CMP32_RM -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 3 & PAGE)) {
                                break;
                            }
                            Alu.sub(cpu, 4, r[f >>> 10 & 31], RawMemory.getInt(va + tlb[t + 2]));
                            continue;
                        }
                        case FastOp.CMP64_MR -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 7 & PAGE)) {
                                break;
                            }
                            Alu.sub(cpu, 8, RawMemory.getLong(va + tlb[t + 2]), r[f >>> 10 & 31]);
                            continue;
                        }
                        case FastOp.CMP32_MR -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 3 & PAGE)) {
                                break;
                            }
                            Alu.sub(cpu, 4, RawMemory.getInt(va + tlb[t + 2]), r[f >>> 10 & 31]);
                            continue;
                        }
                        case FastOp.CMP64_MI -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 7 & PAGE)) {
                                break;
                            }
                            Alu.sub(cpu, 8, RawMemory.getLong(va + tlb[t + 2]), code[pc - 1] >> 32);
                            continue;
                        }
                        case FastOp.CMP32_MI -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 3 & PAGE)) {
                                break;
                            }
                            Alu.sub(cpu, 4, RawMemory.getInt(va + tlb[t + 2]), code[pc - 1] >> 32);
                            continue;
                        }
                        case FastOp.CMP16_MI -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 1 & PAGE)) {
                                break;
                            }
                            Alu.sub(cpu, 2, RawMemory.getShort(va + tlb[t + 2]), code[pc - 1] >> 32);
                            continue;
                        }
                        case FastOp.CMP8_MI -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 0 & PAGE)) {
                                break;
                            }
                            Alu.sub(cpu, 1, RawMemory.getByte(va + tlb[t + 2]), code[pc - 1] >> 32);
                            continue;
                        }
                        case FastOp.CMP8_RR -> {
                            Alu.sub(cpu, 1, r[f >>> 10 & 31], r[f >>> 15 & 31]);
                            continue;
                        }
                        case FastOp.CMP8_RI -> {
                            Alu.sub(cpu, 1, r[f >>> 10 & 31], code[pc - 1]);
                            continue;
                        }
                        case FastOp.CMP8_RM -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 0 & PAGE)) {
                                break;
                            }
                            Alu.sub(cpu, 1, r[f >>> 10 & 31], RawMemory.getByte(va + tlb[t + 2]));
                            continue;
                        }
                        case FastOp.TEST64_RR -> {
                            Alu.logic(cpu, 8, r[f >>> 10 & 31] & r[f >>> 15 & 31]);
                            continue;
                        }
                        case FastOp.TEST32_RR -> {
                            Alu.logic(cpu, 4, r[f >>> 10 & 31] & r[f >>> 15 & 31]);
                            continue;
                        }
                        case FastOp.TEST8_RR -> {
                            Alu.logic(cpu, 1, r[f >>> 10 & 31] & r[f >>> 15 & 31]);
                            continue;
                        }
                        case FastOp.TEST32_RI -> {
                            Alu.logic(cpu, 4, r[f >>> 10 & 31] & code[pc - 1]);
                            continue;
                        }
                        case FastOp.TEST8_RI -> {
                            Alu.logic(cpu, 1, r[f >>> 10 & 31] & code[pc - 1]);
                            continue;
                        }
                        case FastOp.TEST8_MI -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 0 & PAGE)) {
                                break;
                            }
                            Alu.logic(cpu, 1, RawMemory.getByte(va + tlb[t + 2]) & code[pc - 1] >> 32);
                            continue;
                        }
                        case FastOp.TEST32_MI -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 3 & PAGE)) {
                                break;
                            }
                            Alu.logic(cpu, 4, RawMemory.getInt(va + tlb[t + 2]) & code[pc - 1] >> 32);
                            continue;
                        }
                        case FastOp.ZERO -> {
                            r[f >>> 10 & 31] = 0;
                            cpu.flagResult = 0;
                            cpu.flagAux = 0;
                            continue;
                        }
                        case FastOp.INC64 -> {
                            r[f >>> 10 & 31] = Alu.inc(cpu, 8, r[f >>> 10 & 31]);
                            continue;
                        }
                        case FastOp.INC32 -> {
                            r[f >>> 10 & 31] = Alu.inc(cpu, 4, r[f >>> 10 & 31]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.DEC64 -> {
                            r[f >>> 10 & 31] = Alu.dec(cpu, 8, r[f >>> 10 & 31]);
                            continue;
                        }
                        case FastOp.DEC32 -> {
                            r[f >>> 10 & 31] = Alu.dec(cpu, 4, r[f >>> 10 & 31]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.SHL64_I -> {
                            r[f >>> 10 & 31] = Alu.shl(cpu, 8, r[f >>> 10 & 31], (int) code[pc - 1]);
                            continue;
                        }
                        case FastOp.SHL32_I -> {
                            r[f >>> 10 & 31] = Alu.shl(cpu, 4, r[f >>> 10 & 31], (int) code[pc - 1]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.SHR64_I -> {
                            r[f >>> 10 & 31] = Alu.shr(cpu, 8, r[f >>> 10 & 31], (int) code[pc - 1]);
                            continue;
                        }
                        case FastOp.SHR32_I -> {
                            r[f >>> 10 & 31] = Alu.shr(cpu, 4, r[f >>> 10 & 31], (int) code[pc - 1]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.SAR64_I -> {
                            r[f >>> 10 & 31] = Alu.sar(cpu, 8, r[f >>> 10 & 31], (int) code[pc - 1]);
                            continue;
                        }
                        case FastOp.SAR32_I -> {
                            r[f >>> 10 & 31] = Alu.sar(cpu, 4, r[f >>> 10 & 31], (int) code[pc - 1]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.IMUL64_RR -> {
                            r[f >>> 10 & 31] = Alu.imul(cpu, 8, r[f >>> 10 & 31], r[f >>> 15 & 31]);
                            continue;
                        }
                        case FastOp.IMUL32_RR -> {
                            r[f >>> 10 & 31] = Alu.imul(cpu, 4, r[f >>> 10 & 31], r[f >>> 15 & 31]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.IMUL64_I -> {
                            r[f >>> 10 & 31] = Alu.imul(cpu, 8, r[f >>> 15 & 31], code[pc - 1]);
                            continue;
                        }
                        case FastOp.IMUL32_I -> {
                            r[f >>> 10 & 31] = Alu.imul(cpu, 4, r[f >>> 15 & 31], code[pc - 1]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.MOV64_RR -> {
                            r[f >>> 10 & 31] = r[f >>> 15 & 31];
                            continue;
                        }
                        case FastOp.MOV32_RR -> {
                            r[f >>> 10 & 31] = r[f >>> 15 & 31] & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.MOV_RI -> {
                            r[f >>> 10 & 31] = code[pc - 1];
                            continue;
                        }
                        case FastOp.MOV8_RI -> {
                            r[f >>> 10 & 31] = r[f >>> 10 & 31] & ~0xffL | code[pc - 1];
                            continue;
                        }
                        case FastOp.LOAD64 -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 7 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = RawMemory.getLong(va + tlb[t + 2]);
                            continue;
                        }
                        case FastOp.LOAD32 -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 3 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = RawMemory.getInt(va + tlb[t + 2]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.LOADZX8 -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 0 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = RawMemory.getByte(va + tlb[t + 2]);
                            continue;
                        }
                        case FastOp.LOADZX16 -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 1 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = RawMemory.getShort(va + tlb[t + 2]);
                            continue;
                        }
                        case FastOp.LOADSX8_32 -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 0 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = (byte) RawMemory.getByte(va + tlb[t + 2]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.LOADSX8_64 -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 0 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = (byte) RawMemory.getByte(va + tlb[t + 2]);
                            continue;
                        }
                        case FastOp.LOADSX16_32 -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 1 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = (short) RawMemory.getShort(va + tlb[t + 2]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.LOADSX16_64 -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 1 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = (short) RawMemory.getShort(va + tlb[t + 2]);
                            continue;
                        }
                        case FastOp.LOADSX32_64 -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 3 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = RawMemory.getInt(va + tlb[t + 2]);
                            continue;
                        }
                        case FastOp.LOAD8 -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 0 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = r[f >>> 10 & 31] & ~0xffL | RawMemory.getByte(va + tlb[t + 2]);
                            continue;
                        }
                        case FastOp.STORE64 -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t + 1] != (va + 7 & PAGE)) {
                                break;
                            }
                            RawMemory.putLong(va + tlb[t + 2], r[f >>> 10 & 31]);
                            continue;
                        }
                        case FastOp.STORE64_I -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t + 1] != (va + 7 & PAGE)) {
                                break;
                            }
                            RawMemory.putLong(va + tlb[t + 2], (code[pc - 1] >> 32));
                            continue;
                        }
                        case FastOp.STORE32 -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t + 1] != (va + 3 & PAGE)) {
                                break;
                            }
                            RawMemory.putInt(va + tlb[t + 2], (int) r[f >>> 10 & 31]);
                            continue;
                        }
                        case FastOp.STORE32_I -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t + 1] != (va + 3 & PAGE)) {
                                break;
                            }
                            RawMemory.putInt(va + tlb[t + 2], (int) (code[pc - 1] >> 32));
                            continue;
                        }
                        case FastOp.STORE16 -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t + 1] != (va + 1 & PAGE)) {
                                break;
                            }
                            RawMemory.putShort(va + tlb[t + 2], (int) r[f >>> 10 & 31]);
                            continue;
                        }
                        case FastOp.STORE16_I -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t + 1] != (va + 1 & PAGE)) {
                                break;
                            }
                            RawMemory.putShort(va + tlb[t + 2], (int) (code[pc - 1] >> 32));
                            continue;
                        }
                        case FastOp.STORE8 -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t + 1] != (va + 0 & PAGE)) {
                                break;
                            }
                            RawMemory.putByte(va + tlb[t + 2], (int) r[f >>> 10 & 31]);
                            continue;
                        }
                        case FastOp.STORE8_I -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t + 1] != (va + 0 & PAGE)) {
                                break;
                            }
                            RawMemory.putByte(va + tlb[t + 2], (int) (code[pc - 1] >> 32));
                            continue;
                        }
                        case FastOp.LEA64 -> {
                            r[f >>> 10 & 31] = address(r, f, code[pc - 1]);
                            continue;
                        }
                        case FastOp.LEA32 -> {
                            r[f >>> 10 & 31] = address(r, f, code[pc - 1]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.MOVZX8 -> {
                            r[f >>> 10 & 31] = r[f >>> 15 & 31] & 0xff;
                            continue;
                        }
                        case FastOp.MOVZX16 -> {
                            r[f >>> 10 & 31] = r[f >>> 15 & 31] & 0xffff;
                            continue;
                        }
                        case FastOp.MOVSX8_32 -> {
                            r[f >>> 10 & 31] = (byte) r[f >>> 15 & 31] & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.MOVSX8_64 -> {
                            r[f >>> 10 & 31] = (byte) r[f >>> 15 & 31];
                            continue;
                        }
                        case FastOp.MOVSXD -> {
                            r[f >>> 10 & 31] = (int) r[f >>> 15 & 31];
                            continue;
                        }
                        case FastOp.PUSH -> {
                            long va = r[Cpu.RSP] - 8;
                            int t = slot(va);
                            if (tlb[t + 1] != (va + 7 & PAGE)) {
                                break;
                            }
                            RawMemory.putLong(va + tlb[t + 2], r[f >>> 10 & 31]);
                            r[Cpu.RSP] = va;
                            continue;
                        }
                        case FastOp.PUSH_I -> {
                            long va = r[Cpu.RSP] - 8;
                            int t = slot(va);
                            if (tlb[t + 1] != (va + 7 & PAGE)) {
                                break;
                            }
                            RawMemory.putLong(va + tlb[t + 2], code[pc - 1]);
                            r[Cpu.RSP] = va;
                            continue;
                        }
                        case FastOp.POP -> {
                            long va = r[Cpu.RSP];
                            int t = slot(va);
                            if (tlb[t] != (va + 7 & PAGE)) {
                                break;
                            }
                            r[Cpu.RSP] = va + 8;
                            r[f >>> 10 & 31] = RawMemory.getLong(va + tlb[t + 2]);
                            continue;
                        }
                        case FastOp.LEAVE -> {
                            long va = r[Cpu.RBP];
                            int t = slot(va);
                            if (tlb[t] != (va + 7 & PAGE)) {
                                break;
                            }
                            r[Cpu.RSP] = va + 8;
                            r[Cpu.RBP] = RawMemory.getLong(va + tlb[t + 2]);
                            continue;
                        }
                        case FastOp.CALL -> {
                            long va = r[Cpu.RSP] - 8;
                            int t = slot(va);
                            if (tlb[t + 1] != (va + 7 & PAGE)) {
                                break;
                            }
                            long second = code[pc - 1];
                            target = linearPage + (int) second;
                            if (!Cpu.canonical(target)) {
                                break;
                            }
                            RawMemory.putLong(va + tlb[t + 2], linearPage + (second >>> 32));
                            r[Cpu.RSP] = va;
                            break jump;
                        }
                        case FastOp.CALL_R -> {
                            long va = r[Cpu.RSP] - 8;
                            int t = slot(va);
                            if (tlb[t + 1] != (va + 7 & PAGE)) {
                                break;
                            }
                            target = r[f >>> 15 & 31];
                            if (!Cpu.canonical(target)) {
                                break;
                            }
                            RawMemory.putLong(va + tlb[t + 2], linearPage + (code[pc - 1] >>> 32));
                            r[Cpu.RSP] = va;
                            break jump;
                        }
                        case FastOp.CALL_M -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 7 & PAGE)) {
                                break;
                            }
                            target = RawMemory.getLong(va + tlb[t + 2]);
                            va = r[Cpu.RSP] - 8;
                            t = slot(va);
                            if (tlb[t + 1] != (va + 7 & PAGE) || !Cpu.canonical(target)) {
                                break;
                            }
                            RawMemory.putLong(va + tlb[t + 2], linearPage + (code[pc - 1] >>> 32));
                            r[Cpu.RSP] = va;
                            break jump;
                        }
                        case FastOp.RET -> {
                            long va = r[Cpu.RSP];
                            int t = slot(va);
                            if (tlb[t] != (va + 7 & PAGE)) {
                                break;
                            }
                            target = RawMemory.getLong(va + tlb[t + 2]);
                            if (!Cpu.canonical(target)) {
                                break;
                            }
                            r[Cpu.RSP] = va + 8;
                            break jump;
                        }
                        case FastOp.JMP -> {
                            break branch;
                        }
                        case FastOp.JMP_R -> {
                            target = r[f >>> 15 & 31];
                            if (!Cpu.canonical(target)) {
                                break;
                            }
                            break jump;
                        }
                        case FastOp.JMP_M -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 7 & PAGE)) {
                                break;
                            }
                            target = RawMemory.getLong(va + tlb[t + 2]);
                            if (!Cpu.canonical(target)) {
                                break;
                            }
                            break jump;
                        }
                        case FastOp.JO -> {
                            if (cpu.of()) {
                                break branch;
                            }
                            continue;
                        }
                        case FastOp.JNO -> {
                            if (!cpu.of()) {
                                break branch;
                            }
                            continue;
                        }
                        case FastOp.JB -> {
                            if (cpu.cf()) {
                                break branch;
                            }
                            continue;
                        }
                        case FastOp.JAE -> {
                            if (!cpu.cf()) {
                                break branch;
                            }
                            continue;
                        }
                        case FastOp.JZ -> {
                            if (cpu.zf()) {
                                break branch;
                            }
                            continue;
                        }
                        case FastOp.JNZ -> {
                            if (!cpu.zf()) {
                                break branch;
                            }
                            continue;
                        }
                        case FastOp.JBE -> {
                            if (cpu.flagAux < 0 || cpu.flagResult == 0) {
                                break branch;
                            }
                            continue;
                        }
                        case FastOp.JA -> {
                            if (cpu.flagAux >= 0 && cpu.flagResult != 0) {
                                break branch;
                            }
                            continue;
                        }
                        case FastOp.JS -> {
                            if (cpu.sf()) {
                                break branch;
                            }
                            continue;
                        }
                        case FastOp.JNS -> {
                            if (!cpu.sf()) {
                                break branch;
                            }
                            continue;
                        }
                        case FastOp.JP -> {
                            if (cpu.pf()) {
                                break branch;
                            }
                            continue;
                        }
                        case FastOp.JNP -> {
                            if (!cpu.pf()) {
                                break branch;
                            }
                            continue;
                        }
                        case FastOp.JL -> {
                            if (cpu.less()) {
                                break branch;
                            }
                            continue;
                        }
                        case FastOp.JGE -> {
                            if (!cpu.less()) {
                                break branch;
                            }
                            continue;
                        }
                        case FastOp.JLE -> {
                            if (cpu.less() || cpu.flagResult == 0) {
                                break branch;
                            }
                            continue;
                        }
                        case FastOp.JG -> {
                            if (!cpu.less() && cpu.flagResult != 0) {
                                break branch;
                            }
                            continue;
                        }
                        case FastOp.SETCC -> {
                            r[f >>> 10 & 31] = r[f >>> 10 & 31] & ~0xffL | (cpu.condition(CodeRecord.detail(word)) ? 1 : 0);
                            continue;
                        }
                        case FastOp.CMOV64 -> {
                            if (cpu.condition(CodeRecord.detail(word))) {
                                r[f >>> 10 & 31] = r[f >>> 15 & 31];
                            }
                            continue;
                        }
                        case FastOp.CMOV32 -> {
                            r[f >>> 10 & 31] = (cpu.condition(CodeRecord.detail(word)) ? r[f >>> 15 & 31] : r[f >>> 10 & 31]) & 0xffff_ffffL;
                            continue;
                        }
                        case FastOp.CMOV64_M -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 7 & PAGE)) {
                                break;
                            }
                            if (cpu.condition(CodeRecord.detail(word))) {
                                r[f >>> 10 & 31] = RawMemory.getLong(va + tlb[t + 2]);
                            }
                            continue;
                        }
                        case FastOp.CMOV32_M -> {
                            long va = address(r, f, code[pc - 1]);
                            int t = slot(va);
                            if (tlb[t] != (va + 3 & PAGE)) {
                                break;
                            }
                            r[f >>> 10 & 31] = (cpu.condition(CodeRecord.detail(word)) ? RawMemory.getInt(va + tlb[t + 2]) : r[f >>> 10 & 31]) & 0xffff_ffffL;
                            continue;
                        }
                        default -> {
                            if ((f & CodeRecord.OP_MASK) >= FastOp.FIRST_RARE && RareOps.execute(cpu, r, tlb, word, code[pc - 1])) {
                                continue;
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
                target = linearPage + (int) code[pc - 1];
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
