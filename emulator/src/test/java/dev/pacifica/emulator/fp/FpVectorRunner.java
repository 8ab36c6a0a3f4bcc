package dev.pacifica.emulator.fp;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.decode.Insn;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import dev.pacifica.emulator.time.VirtualClock;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HexFormat;

/**
 * Executes records of {@code src/test/native/fpvectors.c} on the emulated unit, one instruction
 * each between FXRSTOR and FXSAVE, and tells the first difference from what the processor did.
 */
final class FpVectorRunner implements AutoCloseable {
    static final int RECORD = 1344;

    private static final int DATA = 0x3000_0000;
    private static final int IMAGE = 0x1000;
    private static final int CODE = 0x2000_0000;

    private final PhysicalMemory memory = new PhysicalMemory(1L << 30);
    private final Cpu cpu = new Cpu(0, new VirtualClock(), memory, new PortBus());
    private final Decoder decoder = new Decoder();
    private final Insn insn = new Insn();
    private byte[] lastImage = new byte[512];

    FpVectorRunner() {
        cpu.cr0 = Cpu.CR0_PE | Cpu.CR0_NE | Cpu.CR0_MP;
        cpu.cr4 = Cpu.CR4_OSFXSR | Cpu.CR4_OSXMMEXCPT;
        cpu.updateMode();
        // 64-bit addressing without the page tables that long mode needs: linear addresses are
        // physical ones here.
        cpu.mode64 = true;
        cpu.segSelector[Cpu.CS] = 0x33;
        cpu.segSelector[Cpu.SS] = 0x2B;
    }

    Cpu cpu() {
        return cpu;
    }

    /** The FXSAVE image after the last record. */
    byte[] lastImage() {
        return lastImage;
    }

    PhysicalMemory memory() {
        return memory;
    }

    /** Executes one instruction; returns the vector of the exception it raised or -1. */
    int run(byte[] code, long rip) {
        byte[] window = new byte[16];
        System.arraycopy(code, 0, window, 0, code.length);
        Decoder.Status status = decoder.decode(window, 0, 16, 64, insn);
        if (status != Decoder.Status.OK || insn.row == null) {
            return GuestException.UD;
        }
        cpu.rip = rip;
        cpu.insnLength = insn.length;
        try {
            FpExecutor.execute(cpu, insn);
            return -1;
        } catch (GuestException e) {
            return e.vector;
        }
    }

    /**
     * Executes one instruction if it belongs to the floating-point room; returns whether it does.
     */
    boolean runIfHandled(byte[] code) {
        byte[] window = Arrays.copyOf(code, 16);
        if (decoder.decode(window, 0, 16, 64, insn) != Decoder.Status.OK
                || insn.row == null
                || !FpExecutor.handles(insn.row)) {
            return false;
        }
        run(code, CODE);
        return true;
    }

    private static byte[] part(byte[] record, int from, int count) {
        byte[] bytes = new byte[count];
        System.arraycopy(record, from, bytes, 0, count);
        return bytes;
    }

    /** Runs one record; returns null if all agrees, otherwise what differs. */
    String difference(byte[] record) {
        ByteBuffer b = ByteBuffer.wrap(record).order(ByteOrder.LITTLE_ENDIAN);
        byte[] code = part(record, 2, record[0]);
        int expectedFault = record[1];
        byte[] before = part(record, 320, 512);
        byte[] expected = part(record, 832, 512);
        for (int i = 0; i < 512; i++) {
            expected[i] ^= before[i];
        }
        memory.write(DATA, record, 64, 128);
        memory.write(IMAGE, before, 0, 512);
        cpu.r[Cpu.RSI] = IMAGE;
        int restored = run(new byte[] {0x0F, (byte) 0xAE, 0x0E}, CODE);
        if (restored >= 0) {
            return "FXRSTOR raised " + restored;
        }
        cpu.r[Cpu.RSI] = DATA;
        cpu.r[Cpu.RDI] = DATA;
        cpu.r[Cpu.RAX] = b.getLong(16);
        cpu.r[Cpu.RCX] = 0;
        cpu.r[Cpu.RDX] = b.getLong(56);
        cpu.setRflags(b.getLong(32));
        int fault = run(code, CODE);
        int kind =
                switch (fault) {
                    case -1 -> 0;
                    case GuestException.MF, GuestException.XM -> 1;
                    case GuestException.GP -> 2;
                    default -> 3;
                };
        long rax = cpu.r[Cpu.RAX];
        long flags = cpu.rflags();
        byte[] memoryAfter = new byte[128];
        memory.read(DATA, memoryAfter, 0, 128);
        cpu.r[Cpu.RSI] = IMAGE;
        run(new byte[] {0x0F, (byte) 0xAE, 0x06}, CODE);
        byte[] after = new byte[512];
        memory.read(IMAGE, after, 0, 512);
        lastImage = after;
        String what = null;
        if (kind != expectedFault) {
            what = "fault " + fault + " expected kind " + expectedFault;
        } else if (rax != (b.getLong(16) ^ b.getLong(24))) {
            what = "rax %016x expected %016x".formatted(rax, b.getLong(16) ^ b.getLong(24));
        } else if (cpu.r[Cpu.RCX] != b.getLong(48)) {
            what = "rcx %016x expected %016x".formatted(cpu.r[Cpu.RCX], b.getLong(48));
        } else if (((flags ^ b.getLong(32) ^ b.getLong(40)) & 0x8D5) != 0) {
            what = "flags %x expected %x".formatted(flags, b.getLong(32) ^ b.getLong(40));
        }
        byte[] expectedMemory = part(record, 64, 128);
        for (int i = 0; i < 128; i++) {
            expectedMemory[i] ^= record[192 + i];
        }
        for (int i = 0; i < 128 && what == null; i++) {
            if (memoryAfter[i] != expectedMemory[i]) {
                what =
                        "memory[%d] %s expected %s"
                                .formatted(
                                        i,
                                        hex(memoryAfter, i & ~15, 16),
                                        hex(expectedMemory, i & ~15, 16));
            }
        }
        for (int i = 0; i < 416 && what == null; i++) {
            boolean pointer = expectedFault != 0 && i >= 6 && i < 24;
            if (after[i] != expected[i] && !pointer) {
                what =
                        "image[%d] %s expected %s"
                                .formatted(i, hex(after, i & ~15, 16), hex(expected, i & ~15, 16));
            }
        }
        if (what == null) {
            return null;
        }
        return "%s: %s\n   in  %s\n   out %s\n   exp %s\n   st  %s\n   xmm %s mem %s"
                .formatted(
                        HexFormat.of().formatHex(code),
                        what,
                        hex(before, 0, 32),
                        hex(after, 0, 32),
                        hex(expected, 0, 32),
                        f80(before, 32)
                                + " "
                                + f80(before, 48)
                                + " -> "
                                + f80(after, 32)
                                + " "
                                + f80(after, 48)
                                + " exp "
                                + f80(expected, 32)
                                + " "
                                + f80(expected, 48),
                        hex(before, 160, 32),
                        hex(record, 64, 16));
    }

    private static String f80(byte[] b, int at) {
        ByteBuffer buffer = ByteBuffer.wrap(b).order(ByteOrder.LITTLE_ENDIAN);
        return "%04x.%016x".formatted(buffer.getShort(at + 8), buffer.getLong(at));
    }

    private static String hex(byte[] bytes, int from, int count) {
        return HexFormat.of().formatHex(bytes, from, from + count);
    }

    @Override
    public void close() {
        memory.close();
    }
}
