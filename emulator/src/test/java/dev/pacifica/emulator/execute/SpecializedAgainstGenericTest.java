package dev.pacifica.emulator.execute;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.decode.Operation;
import java.util.EnumSet;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

/**
 * Cached, specialised execution and plain fetch-and-execute are the same machine: registers, flags,
 * memory, RIP and counts.
 */
class SpecializedAgainstGenericTest {
    private static final Set<Operation> EXECUTED =
            EnumSet.range(Operation.ADD, Operation.CMPXCHG16B);

    static {
        EXECUTED.removeAll(EnumSet.of(Operation.PAUSE));
        EXECUTED.addAll(
                EnumSet.of(
                        Operation.PUSH,
                        Operation.POP,
                        Operation.ENTER,
                        Operation.LEAVE,
                        Operation.JCC,
                        Operation.LOOP,
                        Operation.LOOPE,
                        Operation.LOOPNE,
                        Operation.JRCXZ,
                        Operation.CALL,
                        Operation.JMP,
                        Operation.RET,
                        Operation.MOVS,
                        Operation.CMPS,
                        Operation.STOS,
                        Operation.LODS,
                        Operation.SCAS,
                        Operation.SAHF,
                        Operation.LAHF,
                        Operation.CMC,
                        Operation.CLC,
                        Operation.STC,
                        Operation.CLD,
                        Operation.STD,
                        Operation.CRC32));
    }

    /** Where RAM is besides. */
    private long high;

    private final Random random = new Random(20_240_101);
    private final Decoder decoder = new Decoder();
    private final Insn insn = new Insn();

    @Test
    void randomSequencesIn64BitMode() {
        try (FlatMachine fast = new FlatMachine(true);
                FlatMachine plain = new FlatMachine(false)) {
            lockstep(fast, plain, 64, 12_000);
        }
    }

    @Test
    void randomSequencesIn32BitMode() {
        try (FlatMachine fast = new FlatMachine(true);
                FlatMachine plain = new FlatMachine(false)) {
            fast.compatible();
            plain.compatible();
            lockstep(fast, plain, 32, 4_000);
        }
    }

    @Test
    void randomSequencesInLegacyMode() {
        try (FlatMachine fast = new FlatMachine(true);
                FlatMachine plain = new FlatMachine(false)) {
            fast.legacy();
            plain.legacy();
            high = FlatMachine.HIGH;
            lockstep(fast, plain, 32, 12_000);
        }
    }

    /**
     * The guess what is a pointer's displacement and what a table's address, and segments that are
     * loaded on the way.
     */
    @Test
    void addressesInLegacyModeWrap() {
        for (boolean cached : new boolean[] {false, true}) {
            try (FlatMachine m = new FlatMachine(cached)) {
                m.legacy();
                m.code(
                        FlatMachine.CODE,
                        // mov eax, [C0200010]; mov eax, [ebx + C0200000]; mov eax, [ecx - 8]
                        0xa1,
                        0x10,
                        0x00,
                        0x20,
                        0xc0,
                        0x8b,
                        0x83,
                        0x00,
                        0x00,
                        0x20,
                        0xc0,
                        0x8b,
                        0x41,
                        0xf8,
                        // mov eax, [ecx + esi * 4 + 40200000]; mov [edx + C0200018], eax
                        0x8b,
                        0x84,
                        0xb1,
                        0x00,
                        0x00,
                        0x20,
                        0x40,
                        0x89,
                        0x82,
                        0x18,
                        0x00,
                        0x20,
                        0xc0,
                        // push [C0200018]; pop ebp
                        0xff,
                        0x35,
                        0x18,
                        0x00,
                        0x20,
                        0xc0,
                        0x5d);
                for (int i = 0; i < 8; i++) {
                    m.memory.write(FlatMachine.DATA + 4 * i, 4, 0x1111_1111 * (i + 1));
                }
                for (int pass = 0; pass < 3; pass++) {
                    Cpu cpu = m.cpu;
                    cpu.rip = FlatMachine.CODE;
                    cpu.r[Cpu.RBX] = 4;
                    m.run(2);
                    assertThat(cpu.r[Cpu.RAX]).isEqualTo(0x2222_2222);
                    cpu.r[Cpu.RCX] = FlatMachine.HIGH + FlatMachine.DATA + 16;
                    m.run(1);
                    assertThat(cpu.r[Cpu.RAX]).isEqualTo(0x3333_3333);
                    cpu.r[Cpu.RCX] = FlatMachine.HIGH; // wraps to 200000h, then + 4 * 3
                    cpu.r[Cpu.RSI] = 3;
                    m.run(1);
                    assertThat(cpu.r[Cpu.RAX]).isEqualTo(0x4444_4444);
                    cpu.r[Cpu.RDX] = 0;
                    cpu.r[Cpu.RSP] = FlatMachine.HIGH + FlatMachine.STACK;
                    m.run(3);
                    assertThat(cpu.r[Cpu.RBP]).isEqualTo(0x4444_4444);
                    assertThat(cpu.r[Cpu.RSP]).isEqualTo(FlatMachine.HIGH + FlatMachine.STACK);
                    assertThat(cpu.rip).isEqualTo(FlatMachine.CODE + 34);
                }
            }
        }
    }

    /** DS gets a base in the middle of a run: it is no longer flat. */
    @Test
    void segmentsThatAreLoadedOnTheWayCount() {
        for (boolean cached : new boolean[] {false, true}) {
            try (FlatMachine m = new FlatMachine(cached)) {
                m.legacy();
                m.memory.write64(FlatMachine.STACK + 8, 0x00cf_9300_1000_ffffL); // base 1000h
                m.memory.write64(FlatMachine.STACK + 16, 0x00cf_9300_0000_ffffL);
                m.cpu.gdtrBase = FlatMachine.STACK;
                m.cpu.gdtrLimit = 23;
                m.memory.write(FlatMachine.DATA, 4, 0x1111_1111);
                m.memory.write(FlatMachine.DATA + 0x1000, 4, 0x2222_2222);
                m.code( // mov eax, [200000]; mov ds, ecx; mov ebx, [200000]; mov ds, edx; jmp $
                        FlatMachine.CODE,
                        0xa1,
                        0x00,
                        0x00,
                        0x20,
                        0x00,
                        0x8e,
                        0xd9,
                        0x8b,
                        0x1d,
                        0x00,
                        0x00,
                        0x20,
                        0x00,
                        0x8e,
                        0xda);
                for (int pass = 0; pass < 3; pass++) {
                    m.cpu.rip = FlatMachine.CODE;
                    m.cpu.r[Cpu.RCX] = 8;
                    m.cpu.r[Cpu.RDX] = 16;
                    m.run(4);
                    assertThat(m.cpu.r[Cpu.RAX]).isEqualTo(0x1111_1111);
                    assertThat(m.cpu.r[Cpu.RBX]).isEqualTo(0x2222_2222);
                }
            }
        }
    }

    private void lockstep(FlatMachine fast, FlatMachine plain, int codeBits, int sequences) {
        byte[] code = new byte[64];
        byte[] data = new byte[4096];
        long[] registers = new long[16];
        for (int n = 0; n < sequences; n++) {
            StringBuilder text = new StringBuilder();
            int length = sequence(code, codeBits, text);
            // Sometimes in the middle of a page, sometimes across its end.
            int at =
                    FlatMachine.CODE
                            + (random.nextInt(4) == 0
                                    ? 4096 - random.nextInt(40)
                                    : random.nextInt(16) * 64);
            random.nextBytes(data);
            for (int i = 0; i < 16; i++) {
                registers[i] = value(codeBits);
            }
            registers[Cpu.RSP] = FlatMachine.STACK + random.nextInt(64) * 8 + eitherHalf();
            long rip = at + eitherHalf();
            int flags = random.nextInt() & (Cpu.ARITHMETIC_FLAGS | Cpu.DF);
            fast.memory.write(at, code, 0, length);
            plain.memory.write(at, code, 0, length);
            int steps = 1 + random.nextInt(6);
            // The second and third time the translations and the decoded code are there already.
            for (int pass = 0; pass < 3; pass++) {
                prepare(fast, registers, flags, rip, data);
                prepare(plain, registers, flags, rip, data);
                fast.run(steps);
                plain.run(steps);
                String context =
                        "sequence "
                                + n
                                + " pass "
                                + pass
                                + " at "
                                + Integer.toHexString(at)
                                + ": "
                                + text;
                compare(fast, plain, context);
            }
        }
    }

    private void prepare(FlatMachine machine, long[] registers, int flags, long rip, byte[] data) {
        Cpu cpu = machine.cpu;
        System.arraycopy(registers, 0, cpu.r, 0, 16);
        cpu.setRflags(flags);
        cpu.rip = rip;
        cpu.activity = Cpu.RUNNING;
        machine.memory.write(FlatMachine.DATA, data, 0, data.length);
        machine.memory.write(FlatMachine.STACK - 2048, data, 0, data.length);
    }

    private void compare(FlatMachine fast, FlatMachine plain, String context) {
        for (int i = 0; i < 16; i++) {
            assertThat(fast.cpu.r[i]).as("r%d, %s", i, context).isEqualTo(plain.cpu.r[i]);
        }
        assertThat(fast.cpu.rip).as(context).isEqualTo(plain.cpu.rip);
        assertThat(fast.cpu.rflags()).as("flags, %s", context).isEqualTo(plain.cpu.rflags());
        assertThat(fast.clock.retired).as("count, %s", context).isEqualTo(plain.clock.retired);
        assertThat(fast.cpu.activity).as("activity, %s", context).isEqualTo(plain.cpu.activity);
        byte[] a = new byte[8192];
        byte[] b = new byte[8192];
        for (int at :
                new int[] {FlatMachine.DATA - 2048, FlatMachine.STACK - 4096, FlatMachine.CODE}) {
            fast.memory.read(at, a, 0, a.length);
            plain.memory.read(at, b, 0, b.length);
            assertThat(a).as("memory, %s", context).isEqualTo(b);
        }
    }

    /** A register: mostly an address of data, else any bits, edge values or small numbers. */
    private long value(int codeBits) {
        long value =
                switch (random.nextInt(8)) {
                    case 0 -> random.nextLong();
                    case 1 -> random.nextInt(64);
                    case 2 -> -1L << random.nextInt(64);
                    case 3 -> (1L << random.nextInt(64)) - 1;
                    default -> FlatMachine.DATA + random.nextInt(4096) + eitherHalf();
                };
        return codeBits == 64 ? value : value & 0xffff_ffffL;
    }

    /** Nothing, or the distance to where RAM is as well. */
    private long eitherHalf() {
        return high != 0 && random.nextBoolean() ? high : 0;
    }

    /** Puts an address in the upper half of 4 GiB where the operand may have a displacement. */
    private void displace(byte[] bytes, int modRm) {
        int mode = bytes[modRm] >> 6 & 3;
        int rm = bytes[modRm] & 7;
        int at = rm == 4 ? modRm + 2 : modRm + 1;
        if (mode == 2 || mode == 0 && (rm == 5 || rm == 4 && (bytes[modRm + 1] & 7) == 5)) {
            int address = (int) high + FlatMachine.DATA + random.nextInt(4096);
            for (int i = 0; i < 4; i++) {
                bytes[at + i] = (byte) (address >> 8 * i);
            }
        }
    }

    private int sequence(byte[] code, int codeBits, StringBuilder text) {
        int at = 0;
        byte[] bytes = new byte[16];
        while (at < 40) {
            random.nextBytes(bytes);
            int p = 0;
            if (random.nextInt(12) == 0) {
                bytes[p++] = (byte) 0x66;
            }
            if (random.nextInt(20) == 0) {
                bytes[p++] = (byte) (random.nextBoolean() ? 0xf3 : 0xf2);
            }
            if (codeBits == 64 && random.nextInt(3) != 0) {
                bytes[p++] = (byte) (0x40 | random.nextInt(16) & (random.nextBoolean() ? 8 : 15));
            }
            if (random.nextInt(3) == 0) {
                bytes[p++] = 0x0f;
            }
            p++;
            // Small displacements, few SIB forms without base.
            if (random.nextInt(4) != 0) {
                bytes[p] = (byte) (bytes[p] & 0x3f | (random.nextBoolean() ? 0xc0 : 0x40));
            }
            if (high != 0) {
                displace(bytes, p);
            }
            if (decoder.decode(bytes, 0, 16, codeBits, insn) == Decoder.Status.OK
                    && insn.row != null
                    && EXECUTED.contains(insn.row.operation)) {
                System.arraycopy(bytes, 0, code, at, insn.length);
                at += insn.length;
                text.append(insn.row).append(" / ");
            }
        }
        return at;
    }
}
