package dev.pacifica.emulator.execute;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import dev.pacifica.emulator.memory.PortDevice;
import dev.pacifica.emulator.time.VirtualClock;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * How fast the interpreter is, by hand: {@code MipsProbe bench.elf [scale]} runs the benchmark
 * guest on a processor with nothing around it but a console and an exit port, and prints
 * instructions per second for each kernel.
 */
final class MipsProbe {
    private static final int INFO = 0x8000;
    private static final int LINE = 0x8100;

    private final PhysicalMemory memory = new PhysicalMemory(256 << 20);
    private final VirtualClock clock = new VirtualClock();
    private final PortBus ports = new PortBus();
    private final Cpu cpu = new Cpu(0, clock, memory, ports);
    private final StringBuilder line = new StringBuilder();
    private long startNanos;
    private long startRetired;
    private boolean ended;

    private MipsProbe() {}

    /** Of this thread, so that other load on the host does not count; nanoseconds. */
    private static long cpuTime() {
        return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
    }

    public static void main(String[] args) throws IOException {
        new MipsProbe().run(Path.of(args[0]), args.length > 1 ? args[1] : "2");
    }

    private void run(Path elf, String scale) throws IOException {
        ports.claim(0x3f8, 8, new Console());
        ports.claim(0xf4, 4, new Exit());
        ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(elf)).order(ByteOrder.LITTLE_ENDIAN);
        int header = file.getInt(28);
        for (int i = 0; i < file.getShort(44); i++, header += 32) {
            if (file.getInt(header) == 1) {
                memory.write(
                        file.getInt(header + 12),
                        file.array(),
                        file.getInt(header + 4),
                        file.getInt(header + 16));
            }
        }
        byte[] text = ("bench scale=" + scale + "\0").getBytes(StandardCharsets.US_ASCII);
        memory.write(LINE, text, 0, text.length);
        memory.write(INFO, 4, 4);
        memory.write(INFO + 16, 4, LINE);
        cpu.cr0 = Cpu.CR0_PE | Cpu.CR0_ET;
        for (int i = 0; i < 6; i++) {
            cpu.segSelector[i] = i == Cpu.CS ? 0x10 : 0x18;
            cpu.segLimit[i] = 0xffff_ffffL;
            cpu.segAttr[i] =
                    Cpu.ATTR_P | Cpu.ATTR_S | Cpu.ATTR_G | Cpu.ATTR_DB | (i == Cpu.CS ? 0xb : 3);
        }
        cpu.setRflags(2);
        cpu.rip = file.getInt(24);
        cpu.r[Cpu.RAX] = 0x2bad_b002L;
        cpu.r[Cpu.RBX] = INFO;
        cpu.updateMode();
        Interpreter interpreter = new Interpreter(cpu, new Decoder());
        long start = cpuTime();
        while (!ended && cpu.activity == Cpu.RUNNING) {
            interpreter.run(clock.retired + (1 << 20));
        }
        double seconds = (cpuTime() - start) / 1e9;
        System.out.printf(
                "total %,d instructions in %.2f s: %.1f MIPS, activity %d at %x%n",
                clock.retired, seconds, clock.retired / seconds / 1e6, cpu.activity, cpu.rip);
        memory.close();
    }

    private final class Console implements PortDevice {
        @Override
        public int in(int port, int size) {
            return port == 0x3fd ? 0x60 : 0;
        }

        @Override
        public void out(int port, int size, int value) {
            if (port != 0x3f8) {
                return;
            }
            if (value != '\n') {
                line.append((char) value);
                return;
            }
            String text = line.toString().strip();
            line.setLength(0);
            if (text.startsWith("BEGIN")) {
                startNanos = cpuTime();
                startRetired = clock.retired;
            } else if (text.startsWith("END")) {
                double seconds = (cpuTime() - startNanos) / 1e9;
                System.out.printf(
                        "%-60s %6.1f MIPS%n",
                        text.substring(0, Math.min(60, text.length())),
                        (clock.retired - startRetired) / seconds / 1e6);
            } else if (!text.startsWith("\u0001")) {
                System.out.println(text);
            }
        }
    }

    private final class Exit implements PortDevice {
        @Override
        public int in(int port, int size) {
            return 0;
        }

        @Override
        public void out(int port, int size, int value) {
            ended = true;
            cpu.attention |= Cpu.ATTENTION_STOP;
        }
    }
}
