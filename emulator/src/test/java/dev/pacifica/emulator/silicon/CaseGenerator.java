package dev.pacifica.emulator.silicon;

import static dev.pacifica.emulator.silicon.SiliconState.CODE;
import static dev.pacifica.emulator.silicon.SiliconState.FCW;
import static dev.pacifica.emulator.silicon.SiliconState.FSW;
import static dev.pacifica.emulator.silicon.SiliconState.FTW;
import static dev.pacifica.emulator.silicon.SiliconState.MXCSR;
import static dev.pacifica.emulator.silicon.SiliconState.RFLAGS;
import static dev.pacifica.emulator.silicon.SiliconState.ST;
import static dev.pacifica.emulator.silicon.SiliconState.WINDOW;
import static dev.pacifica.emulator.silicon.SiliconState.WINDOW_ADDRESS;
import static dev.pacifica.emulator.silicon.SiliconState.XMM;

import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.decode.Edges;
import dev.pacifica.emulator.decode.FormEncoder;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.InstructionRow;
import dev.pacifica.emulator.decode.InstructionTable;
import dev.pacifica.emulator.decode.Operand;
import dev.pacifica.emulator.decode.Operation;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * Makes the cases to be recorded: for each table row, instances in memory and register form with a
 * state that suits them.
 */
final class CaseGenerator {
    /**
     * Cases of a row in the mode that shows it best, and of a row of 64-bit mode in compatibility
     * mode.
     */
    private static final int CASES = 60;

    private static final int FEW_CASES = 12;
    private static final int RAX = 0;
    private static final int RCX = 1;
    private static final int RDX = 2;
    private static final int RBX = 3;
    private static final int RSP = 4;
    private static final int RBP = 5;
    private static final int RSI = 6;
    private static final int RDI = 7;

    /** Selectors of the recording host's GDT, null ones, and others that fault. */
    private static final int[] SELECTORS = {
        0, 0, 3, 0x2B, 0x2B, 0x28, 0x23, 0x33, 0x30, 0x10, 0x18, 0x13, 0xFFF8
    };

    private final Decoder decoder = new Decoder();
    private final Insn insn = new Insn();
    private Random random;
    private long[] state;
    private InstructionRow row;
    private int mode;

    /** Where the segments of the mode begin, and the offsets of code and memory window in them. */
    private long origin;

    private long code;
    private long window;

    static List<SiliconCase> all() {
        CaseGenerator generator = new CaseGenerator();
        List<SiliconCase> cases = new ArrayList<>();
        for (InstructionRow row : InstructionTable.rows()) {
            for (int mode = 64; mode >= 16; mode /= 2) {
                if (Recordable.whyNot(row, mode) == null) {
                    boolean best = mode == 64 || mode == 32 && !row.validIn64;
                    generator.addCases(row, mode, best ? CASES : FEW_CASES, cases);
                }
            }
        }
        return cases;
    }

    private void addCases(InstructionRow form, int codeMode, int count, List<SiliconCase> cases) {
        random = new Random(form.encoding.hashCode() * 31L + codeMode);
        row = form;
        mode = codeMode;
        origin = mode == 16 ? SiliconState.CODE_PAGE : 0;
        code = CODE - origin;
        window = WINDOW_ADDRESS - origin;
        FormEncoder encoder = new FormEncoder(random, window + 1024);
        for (int i = 0; i < count; i++) {
            boolean memory =
                    FormEncoder.canBeMemory(row) && (!FormEncoder.canBeRegister(row) || i % 2 == 0);
            byte[] bytes = encoder.encode(row, mode, memory, code);
            decoder.decode(bytes, 0, bytes.length, mode, insn);
            if (row.operation == Operation.INT
                    && (insn.imm == 3 || insn.imm == 4 || insn.imm == 0x80)) {
                bytes[bytes.length - 1] = 0x55; // the others have no gate that user mode may use
            }
            state = SiliconState.base();
            if (mode != 64) {
                state[SiliconState.SEGMENT + 1] = mode == 32 ? 0x23 : SiliconState.LDT_CODE;
            }
            if (mode == 16) {
                state[SiliconState.SEGMENT] = SiliconState.LDT_DATA;
                state[SiliconState.SEGMENT + 2] = SiliconState.LDT_DATA;
                state[SiliconState.SEGMENT + 3] = SiliconState.LDT_DATA;
                state[RSP] = window + 512;
            }
            fillState();
            cases.add(new SiliconCase(mode, bytes, state, 0, 0, 0, null));
        }
    }

    private boolean chance(int oneIn) {
        return random.nextInt(oneIn) == 0;
    }

    private void fillState() {
        flags();
        boolean x87 = row.encoding.matches("(9B|D[89A-F]) ?.*");
        boolean mmx = false;
        boolean sse = false;
        for (Operand operand : row.operands) {
            switch (operand.kind()) {
                case MMX, MMX_RM, MMX_OR_MEMORY -> mmx = true;
                case XMM, XMM_RM, XMM_OR_MEMORY, XMM0 -> sse = true;
                default -> {}
            }
        }
        mmx |= row.operation == Operation.EMMS;
        if (x87 || row.operation == Operation.FXSAVE || row.operation == Operation.FXRSTOR) {
            x87();
        } else if (mmx) {
            mmx();
        }
        if (sse || row.operation == Operation.LDMXCSR || row.operation == Operation.STMXCSR) {
            sse();
        }
        for (Operand operand : row.operands) {
            register(operand);
        }
        implicit();
        if (insn.memory && insn.row.hasModRm) {
            memory();
        } else if (insn.memory) {
            fillMemory((int) (insn.disp - window), 16);
        }
        special();
    }

    private void flags() {
        state[RFLAGS] = 0x202 | random.nextInt() & 0x8D5;
        if (row.repeat != InstructionRow.Repeat.NONE || chance(16)) {
            state[RFLAGS] |= chance(3) ? 0x400 : 0;
        }
    }

    private long integer(int bytes) {
        long value = Edges.integer(random, bytes);
        return bytes < 8 && chance(2)
                ? value & (1L << 8 * bytes) - 1 | random.nextLong() << 8 * bytes
                : value;
    }

    private void register(Operand operand) {
        int size = Math.max(1, Math.min(8, operand.width().bytes(Math.max(1, insn.operandSize))));
        int number;
        switch (operand.kind()) {
            case GPR -> number = insn.reg;
            case GPR_OPCODE, GPR_RM -> number = insn.rm;
            case GPR_OR_MEMORY -> number = insn.memory ? -1 : insn.rm;
            case REGISTER -> number = operand.register();
            default -> number = -1;
        }
        if (number < 0) {
            return;
        }
        if (size == 1 && !insn.rex && number >= 4 && operand.kind() != Operand.Kind.REGISTER) {
            number -= 4; // AH..BH
            state[number] = random.nextLong() & ~0xFF00L | Edges.integer(random, 1) << 8 & 0xFF00L;
        } else {
            state[number] = integer(size);
        }
    }

    /** Registers that the operands do not name. */
    private void implicit() {
        int size = Math.max(1, insn.operandSize);
        switch (row.operation) {
            case MUL, IMUL, CBW, CWD, CMPXCHG, DAA, DAS, AAA, AAS, AAM, AAD, SAHF, LAHF, SALC -> {
                state[RAX] = integer(size == 1 ? 2 : size);
                state[RDX] = integer(size);
            }
            case DIV, IDIV -> divide(size);
            case CMPXCHG8B, CMPXCHG16B -> {
                state[RAX] = integer(8);
                state[RDX] = integer(8);
                state[RBX] = integer(8);
                state[RCX] = integer(8);
            }
            case XLAT -> {
                state[RBX] = window + 1024 + random.nextInt(64);
                state[RAX] = random.nextLong();
            }
            case LOOP, LOOPE, LOOPNE, JRCXZ ->
                    state[RCX] =
                            new long[] {0, 1, 2, 1L << 32, (1L << 32) + 1, -1, 0x1_0000}
                                    [random.nextInt(7)];
            case PCMPESTRI, PCMPESTRM -> {
                state[RAX] = random.nextInt(-20, 20);
                state[RDX] = random.nextInt(-20, 20);
            }
            case MASKMOVQ, MASKMOVDQU -> state[RDI] = window + 1024 + random.nextInt(32);
            case CLZERO -> state[RAX] = window + 1024 + random.nextInt(128);
            case SHL, SHR, SAR, ROL, ROR, RCL, RCR, SHLD, SHRD -> {
                if (row.operands.getLast().letters().equals("CL") && chance(2)) {
                    state[RCX] = random.nextInt(70);
                }
            }
            case BT, BTS, BTR, BTC -> {
                if (insn.memory && row.operands.getLast().kind() == Operand.Kind.GPR) {
                    // The register is an offset in bits from the operand.
                    state[insn.reg] =
                            chance(8) ? integer(insn.operandSize) : random.nextInt(-3000, 3000);
                }
            }
            case MOV_TO_SEG -> {
                if (!insn.memory) {
                    state[insn.rm] = random.nextLong() & ~0xFFFFL | selector();
                }
            }
            case LAR, LSL, VERR, VERW, ARPL -> {
                if (!insn.memory) {
                    state[insn.rm] = random.nextLong() & ~0xFFFFL | selector();
                }
            }
            case WRFSBASE, WRGSBASE ->
                    state[insn.rm] = chance(4) ? random.nextLong() : random.nextLong() >>> 20;
            default -> {}
        }
    }

    private int ownCode() {
        return (int) state[SiliconState.SEGMENT + 1];
    }

    private int selector() {
        if (mode == 16 && chance(2)) {
            return chance(3) ? SiliconState.LDT_CODE : SiliconState.LDT_DATA;
        }
        return SELECTORS[random.nextInt(SELECTORS.length)];
    }

    /** Mostly dividends whose quotient fits. */
    private void divide(int size) {
        state[RAX] = integer(size == 1 ? 2 : size);
        state[RDX] =
                chance(3)
                        ? integer(size)
                        : chance(2) && row.operation == Operation.IDIV && state[RAX] < 0
                                ? -1
                                : random.nextInt(3);
        if (!insn.memory) {
            register(row.operands.get(0));
            if (chance(3)) {
                state[insn.rm & (size == 1 && !insn.rex ? 3 : 15)] |= 0x4040_4040_4040_4040L;
            }
        }
    }

    private void memory() {
        int addressSize = insn.addressSize;
        if (addressSize == 2 && mode != 16) {
            return; // below 64 KiB nothing is mapped: a page fault, or LEA
        }
        Operand operand =
                row.operands.stream()
                        .filter(o ->
                                switch (o.kind()) {
                                    case GPR_OR_MEMORY, MEMORY, MMX_OR_MEMORY, XMM_OR_MEMORY ->
                                            true;
                                    default -> false;
                                })
                        .findFirst()
                        .orElseThrow();
        int size = operand.memoryWidth().bytes(Math.max(1, insn.operandSize));
        if (size <= 0) {
            size = 512;
        }
        boolean aligned = size >= 16 && !chance(8);
        long target =
                window
                        + 1024
                        + (size == 512
                                ? (chance(8) ? 8 : 0)
                                : aligned ? 16 * random.nextInt(3) : random.nextInt(40));
        boolean crossing = size < 512 && chance(30);
        if (crossing) {
            target = window + 4096 - random.nextInt(size);
            if (mode == 16 && chance(2)) {
                target = 0x1_0000 - random.nextInt(size + 2); // the segment's limit
            }
        }
        if (insn.base == Insn.RIP) {
            target = code + insn.length + insn.disp;
        } else if (insn.base == Insn.NO_REGISTER && insn.index == Insn.NO_REGISTER) {
            target = insn.disp;
        } else if (insn.index == Insn.NO_REGISTER) {
            state[insn.base] = target - insn.disp;
        } else if (insn.base == Insn.NO_REGISTER) {
            state[insn.index] = target - insn.disp >> insn.scale;
            target = (state[insn.index] << insn.scale) + insn.disp;
        } else if (insn.base == insn.index) {
            state[insn.base] = (target - insn.disp) / (1 + (1L << insn.scale));
            target = state[insn.base] * (1 + (1L << insn.scale)) + insn.disp;
        } else {
            state[insn.index] = chance(2) ? 16L * random.nextInt(-8, 8) : random.nextInt(-20, 20);
            state[insn.base] = target - insn.disp - (state[insn.index] << insn.scale);
        }
        if (addressSize == 2 && insn.base < 16) {
            state[insn.base] &= 0xFFFF;
        }
        if (!crossing && chance(40) && insn.base < 16 && mode == 64) {
            state[insn.base] ^= 1L << random.nextInt(44, 64); // not mapped, or not canonical
        } else if (addressSize == 2 && chance(2)) {
            if (insn.base < 16) {
                state[insn.base] ^= 0x5A5A_0000L; // ignored
            }
        } else if (addressSize == 4 && mode == 64 && insn.base < 16 && chance(2)) {
            state[insn.base] |= random.nextLong() << 32; // ignored
        }
        int offset = (int) (target - window);
        if (offset >= 0 && offset + size <= SiliconState.WINDOW_BYTES) {
            fillMemory(offset, size, operand);
        }
    }

    private void fillMemory(int offset, int size) {
        for (int i = 0; i < size; i += 8) {
            store(offset + i, 8, integer(Math.max(1, insn.operandSize)));
        }
    }

    private void fillMemory(int offset, int size, Operand operand) {
        switch (operand.memoryWidth()) {
            case F32 -> store(offset, 4, Edges.single(random));
            case F64 -> store(offset, 8, Edges.dual(random));
            case F80 -> {
                int exponent = Edges.exponent(random);
                store(offset, 8, Edges.significand(random, exponent));
                store(offset + 8, 2, exponent);
            }
            case BCD -> {
                for (int i = 0; i < 9; i++) {
                    store(
                            offset + i,
                            1,
                            chance(30)
                                    ? random.nextInt(256)
                                    : random.nextInt(10) << 4 | random.nextInt(10));
                }
                store(offset + 9, 1, chance(4) ? random.nextInt(256) : random.nextInt(2) << 7);
            }
            case I16, I32, I64 -> store(offset, size, Edges.integer(random, size));
            case P -> {
                store(offset, 8, code + random.nextInt(-256, 256));
                store(
                        offset + size - 2,
                        2,
                        row.operation == Operation.CALL_FAR || row.operation == Operation.JMP_FAR
                                ? new int[] {ownCode(), 0x23, 0x33, 0, 0x2B, 0x10}
                                        [random.nextInt(6)]
                                : selector());
            }
            case A -> {
                store(offset, size / 2, random.nextInt(-300, 100));
                store(offset + size / 2, size / 2, random.nextInt(-100, 30000));
            }
            case NONE -> image(offset);
            default -> {
                switch (operand.kind()) {
                    case XMM_OR_MEMORY, MMX_OR_MEMORY -> {
                        for (int i = 0; i < size; i += 8) {
                            store(offset + i, Math.min(8, size), vectorHalf());
                        }
                    }
                    default -> {
                        for (int i = 0; i < size; i += 8) {
                            store(
                                    offset + i,
                                    Math.min(8, size - i),
                                    Edges.integer(random, Math.min(8, size)));
                        }
                    }
                }
                switch (row.operation) {
                    case MOV_TO_SEG, LAR, LSL, VERR, VERW, ARPL -> store(offset, 2, selector());
                    case JMP, CALL ->
                            store(
                                    offset,
                                    size,
                                    chance(10)
                                            ? random.nextLong()
                                            : code + random.nextInt(-256, 256));
                    case CMPXCHG -> {
                        if (chance(2)) {
                            store(offset, size, state[RAX]);
                        }
                    }
                    case CMPXCHG8B, CMPXCHG16B -> {
                        if (chance(2)) {
                            store(offset, size / 2, state[RAX]);
                            store(offset + size / 2, size / 2, state[RDX]);
                        }
                    }
                    case LDMXCSR ->
                            store(
                                    offset,
                                    4,
                                    chance(8) ? random.nextInt() : random.nextInt() & 0xFFFF);
                    case FLDCW -> store(offset, 2, controlWord());
                    case DIV, IDIV -> {
                        if (chance(2)) {
                            store(offset, size, random.nextLong() | 0x4040_4040_4040_4040L);
                        }
                    }
                    default -> {}
                }
            }
        }
    }

    /** What FLDENV, FRSTOR and FXRSTOR load. */
    private void image(int offset) {
        if (row.operation == Operation.FXRSTOR) {
            store(offset, 2, controlWord());
            store(offset + 2, 2, random.nextInt() & 0x7F00 | random.nextInt() & 0x7F);
            store(offset + 4, 1, random.nextInt());
            store(offset + 8, 8, 0);
            store(offset + 16, 8, 0);
            store(offset + 24, 4, chance(8) ? random.nextInt() : random.nextInt() & 0xFFFF);
            for (int i = 0; i < 8; i++) {
                int exponent = Edges.exponent(random);
                store(offset + 32 + 16 * i, 8, Edges.significand(random, exponent));
                store(offset + 40 + 16 * i, 8, exponent);
            }
            return;
        }
        if (row.operation == Operation.FLDENV || row.operation == Operation.FRSTOR) {
            int unit = insn.operandSize == 2 ? 2 : 4;
            store(offset, unit, controlWord());
            store(offset + unit, unit, random.nextInt() & 0x7F7F);
            store(offset + 2 * unit, unit, random.nextInt() & 0xFFFF);
            for (int i = 3; i < 7; i++) {
                store(offset + i * unit, unit, 0);
            }
            for (int i = 0; i < 8; i++) {
                int exponent = Edges.exponent(random);
                store(offset + 7 * unit + 10 * i, 8, Edges.significand(random, exponent));
                store(offset + 7 * unit + 10 * i + 8, 2, exponent);
            }
        }
    }

    private void store(int offset, int bytes, long value) {
        for (int i = 0; i < bytes; i++) {
            int at = offset + i;
            if (at >= 0 && at < SiliconState.WINDOW_BYTES) {
                int shift = 8 * (at & 7);
                state[WINDOW + at / 8] =
                        state[WINDOW + at / 8] & ~(0xFFL << shift)
                                | (value >> 8 * i & 0xFF) << shift;
            }
        }
    }

    /** Eight bytes of an XMM or MMX operand of the kind of value that the operation works on. */
    private long vectorHalf() {
        String name = row.operation.name();
        if (chance(12)) {
            return random.nextLong();
        }
        int kind;
        if (name.startsWith("CVTDQ") || name.startsWith("CVTPI")) {
            kind = 2;
        } else if (name.startsWith("CVT")) {
            String source = name.substring(name.startsWith("CVTT") ? 4 : 3, name.indexOf('2'));
            kind =
                    source.equals("PS") || source.equals("SS")
                            ? 0
                            : source.equals("SI") ? random.nextInt(2) : 1;
        } else if (name.endsWith("PS") || name.endsWith("SS")) {
            kind = 0;
        } else if (name.endsWith("PD") || name.endsWith("SD") || name.endsWith("SD_SSE")) {
            kind = 1;
        } else {
            kind = 2;
        }
        return switch (kind) {
            case 0 -> Edges.twice(random);
            case 1 -> Edges.dual(random);
            default -> {
                int lane = 1 << random.nextInt(4);
                if (row.operation.name().startsWith("PCMP") && chance(2)) {
                    yield 0x0101_0101_0101_0101L * random.nextInt(3);
                }
                long value = 0;
                for (int i = 0; i < 8; i += lane) {
                    value |=
                            (lane == 8 ? -1L : (1L << 8 * lane) - 1 & Edges.integer(random, lane))
                                    << 8 * i;
                }
                yield lane == 8 ? Edges.integer(random, 8) : value;
            }
        };
    }

    private void sse() {
        state[MXCSR] = 0x1F80 | random.nextInt(4) << 13;
        if (chance(4)) {
            state[MXCSR] |= chance(2) ? 0x8000 : 0x40;
        }
        if (chance(4)) {
            state[MXCSR] |= random.nextInt(0x40);
        }
        if (chance(4)) {
            state[MXCSR] &= ~(long) (random.nextInt(0x40) << 7);
        }
        for (Operand operand : row.operands) {
            int number =
                    switch (operand.kind()) {
                        case XMM -> insn.reg;
                        case XMM_RM -> insn.rm;
                        case XMM_OR_MEMORY -> insn.memory ? -1 : insn.rm;
                        case XMM0 -> 0;
                        default -> -1;
                    };
            if (number >= 0) {
                state[XMM + 2 * number] = vectorHalf();
                state[XMM + 2 * number + 1] = vectorHalf();
                if (number == insn.rm
                        && operand.width() == Operand.Width.DQ
                        && row.operands.size() == 2
                        && shiftsByOperand()
                        && chance(2)) {
                    state[XMM + 2 * number] = random.nextInt(70);
                }
            }
        }
    }

    private boolean shiftsByOperand() {
        return switch (row.operation) {
            case PSLLW, PSLLD, PSLLQ, PSRLW, PSRLD, PSRLQ, PSRAW, PSRAD -> true;
            default -> false;
        };
    }

    private void mmx() {
        int top = random.nextInt(8);
        state[FSW] = top << 11;
        state[FTW] = random.nextInt(256);
        for (int i = 0; i < 8; i++) {
            state[ST + 2 * i] = shiftsByOperand() && chance(2) ? random.nextInt(70) : vectorHalf();
            state[ST + 2 * i + 1] = random.nextInt(0x1_0000);
        }
    }

    private int controlWord() {
        int masks = chance(5) ? random.nextInt(0x40) : 0x3F;
        int precision = chance(2) ? 3 : random.nextInt(4);
        return masks | 0x40 | precision << 8 | random.nextInt(4) << 10 | (chance(10) ? 0x1000 : 0);
    }

    private void x87() {
        int control = controlWord();
        int flags = chance(3) ? random.nextInt(0x80) : 0;
        if ((flags & ~control & 0x3F) != 0 && !chance(8)) {
            flags &= control | 0x40;
        }
        boolean pending = (flags & ~control & 0x3F) != 0;
        state[FCW] = control;
        state[FSW] =
                flags
                        | (pending ? 0x8080 : 0)
                        | random.nextInt(8) << 11
                        | random.nextInt(16) << 8 & 0x4700;
        state[FTW] = chance(4) ? random.nextInt(256) : 0xFF;
        for (int i = 0; i < 8; i++) {
            int exponent = Edges.exponent(random);
            state[ST + 2 * i] = Edges.significand(random, exponent);
            state[ST + 2 * i + 1] = exponent;
        }
        if (chance(4)) { // operands close to each other
            state[ST + 3] = state[ST + 1] ^ random.nextInt(2);
        }
    }

    /** Stacks, strings, branches: what a plain operand is not enough for. */
    private void special() {
        int size = Math.max(1, insn.operandSize);
        switch (row.operation) {
            case POP, POPA, LEAVE, RET, POP_SEG -> {
                if (row.operation == Operation.LEAVE) {
                    state[RBP] = window + 512 + 8 * random.nextInt(32);
                }
                long sp = row.operation == Operation.LEAVE ? state[RBP] : state[RSP];
                int offset = (int) (sp - window);
                for (int i = 0; i < 8; i++) {
                    store(offset + i * size, size, Edges.integer(random, size));
                }
                if (row.operation == Operation.RET) {
                    store(
                            offset,
                            size,
                            chance(10) ? random.nextLong() : code + random.nextInt(-256, 256));
                } else if (row.operation == Operation.POP_SEG) {
                    store(offset, 2, selector());
                }
            }
            case RET_FAR, IRET -> {
                int offset = (int) (state[RSP] - window);
                store(offset, size, code + random.nextInt(-256, 256));
                store(
                        offset + size,
                        size,
                        mode == 64
                                ? new int[] {0x33, 0x33, 0x23, 0x2B, 0, 0x10}[random.nextInt(6)]
                                : new int[] {ownCode(), ownCode(), 0x33, 0x10}[random.nextInt(4)]);
                store(offset + 2 * size, size, random.nextInt() & 0xED5 | 0x202);
                store(offset + 3 * size, size, window + 256 + 8 * random.nextInt(64));
                store(
                        offset + 4 * size,
                        size,
                        new int[] {0x2B, 0x2B, 0x2B, 0, 0x18}[random.nextInt(5)]);
            }
            case POPF ->
                    store(
                            (int) (state[RSP] - window),
                            size,
                            random.nextInt() & ~0x7_4100); // not TF, NT, RF, VM, AC
            case ENTER -> state[RBP] = window + 768 + 8 * random.nextInt(16);
            case JMP, CALL -> {
                if (row.hasModRm && !insn.memory) {
                    state[insn.rm] =
                            chance(10) ? random.nextLong() : code + random.nextInt(-256, 256);
                }
            }
            case MOVS, CMPS, STOS, LODS, SCAS, INS, OUTS -> strings(size);
            case ARPL -> state[insn.reg] = random.nextLong();
            case BOUND -> {
                if (!chance(4) && insn.reg != insn.base && insn.reg != insn.index) {
                    state[insn.reg] = random.nextInt(-300, 30000);
                }
            }
            case CMPXCHG -> {
                if (!insn.memory && chance(2)) {
                    state[insn.byteRm() & 15] = state[RAX];
                }
            }
            default -> {}
        }
    }

    private void strings(int size) {
        long high =
                insn.addressSize == 2 && mode == 16 && chance(2)
                        ? 0x5A5A_0000L
                        : insn.addressSize == 4 && mode == 64 && chance(2) ? 0x5A5A_5A5AL << 32 : 0;
        state[RSI] = window + 1024 + random.nextInt(64) | high;
        state[RDI] =
                window + (chance(3) ? 1024 + random.nextInt(64) : 1500 + random.nextInt(16)) | high;
        state[RCX] =
                (insn.rep != 0
                                ? new int[] {0, 1, 2, 3, 5, 8, 15}[random.nextInt(7)]
                                : random.nextInt(1000))
                        | high;
        boolean compare = row.operation == Operation.CMPS || row.operation == Operation.SCAS;
        if (compare) {
            int fill = random.nextInt(2);
            for (int i = 768; i < 1792; i += size) {
                store(i, size, chance(5) ? random.nextInt(2) : fill);
            }
            state[RAX] = random.nextLong() << 8 * Math.min(size, 7) | fill;
            if (size == 8) {
                state[RAX] = fill;
            }
        }
        if (insn.addressSize == 2 && mode != 16) {
            state[RCX] &= 0xF;
        }
        if (chance(40)) {
            state[RDI] =
                    window
                            + 4096
                            - size * 2
                            + random.nextInt(3); // runs into the page that is not there
            state[RFLAGS] &= ~0x400L;
        }
    }
}
