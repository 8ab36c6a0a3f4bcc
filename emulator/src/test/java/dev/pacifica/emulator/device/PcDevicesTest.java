package dev.pacifica.emulator.device;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The devices as a machine sees them: ports, wires, and invariant I4. */
class PcDevicesTest {
    /** A machine without instructions. */
    private static final class Pc {
        final Time time = new Time();
        final PhysicalMemory memory = new PhysicalMemory(4 << 20);
        final PortBus ports = new PortBus();
        final Cpu cpu = new Cpu(0, time.clock, memory, ports);
        final StringBuilder serial = new StringBuilder();
        final List<String> stops = new ArrayList<>();
        final PcDevices devices =
                new PcDevices(
                        time.clock,
                        memory,
                        ports,
                        List.of(cpu),
                        Instant.parse("2024-02-29T12:00:00Z"),
                        (device, value) -> serial.append(device).append(':').append((char) value),
                        (reason, status) -> stops.add(reason));

        byte[] save() {
            BinaryStateWriter out = new BinaryStateWriter();
            time.clock.save(out);
            devices.save(out);
            return out.toByteArray();
        }

        void load(byte[] state) {
            BinaryStateReader in = new BinaryStateReader(state);
            time.clock.load(in);
            devices.load(in);
        }

        /**
         * One access or pause, chosen by the generator; what the guest would see goes to the log.
         */
        void act(SplittableRandom random, StringBuilder log) {
            int port = PORTS[random.nextInt(PORTS.length)];
            int value = random.nextInt();
            switch (random.nextInt(5)) {
                case 0, 1 -> ports.out(port, 1, value & 0xff);
                case 2 -> log.append(ports.in(port, 1)).append(' ');
                case 3 -> time.advance(random.nextInt(3_000_000));
                default -> {
                    int vector = cpu.apic.pendingVector();
                    log.append("v").append(vector).append(' ');
                    if (vector >= 0) {
                        cpu.apic.acknowledge();
                        cpu.apic.write(0xb0, 4, 0);
                        ports.out(0x20, 1, 0x20);
                        ports.out(0xa0, 1, 0x20);
                    }
                }
            }
        }
    }

    private static final int[] PORTS = {
        0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x40, 0x42, 0x43, 0x61, 0x70, 0x71, 0x3f8, 0x3f9, 0x3fa,
        0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x2f8, 0x2f9, 0x2fc, 0x600, 0x602, 0x608, 0x60, 0x511, 0xcf8,
        0xcfc,
    };

    private final List<Pc> pcs = new ArrayList<>();

    private Pc pc() {
        Pc pc = new Pc();
        pcs.add(pc);
        return pc;
    }

    @AfterEach
    void release() {
        pcs.forEach(pc -> pc.memory.close());
    }

    @Test
    void serialPortsAreAtTheirPlaces() {
        Pc pc = pc();
        pc.ports.out(0x3f8, 1, 'a');
        pc.ports.out(0x2f8, 1, 'b');
        assertThat(pc.serial).hasToString("0:a1:b");
    }

    @Test
    void interrupt0IsOnInput2OfTheIoApicAndOnThe8259() {
        Pc pc = pc();
        pc.cpu.apic.write(0xf0, 4, 0x1ff);
        pc.memory.write(0xfec0_0000L, 4, 0x14);
        pc.memory.write(0xfec0_0010L, 4, 0x42);
        pc.ports.out(0x43, 1, 0x34);
        pc.ports.out(0x40, 1, 0x00);
        pc.ports.out(0x40, 1, 0x10);
        pc.time.advance(4_000_000);
        assertThat(pc.cpu.apic.pendingVector()).isEqualTo(0x42);
        pc.ports.out(0x20, 1, 0x0a);
        assertThat(pc.ports.in(0x20, 1) & 1).isEqualTo(1);
    }

    @Test
    void portsThatNobodyHasReadAsOnes() {
        assertThat(pc().ports.in(0x2e9, 1)).isEqualTo(0xff);
    }

    @Test
    void savedAndLoadedStateIsTheSameAndGoesOnTheSame() {
        for (int seed = 0; seed < 20; seed++) {
            Pc first = pc();
            SplittableRandom random = new SplittableRandom(seed);
            StringBuilder ignored = new StringBuilder();
            // otherwise random accesses would hardly ever enable anything
            first.cpu.apic.write(0xf0, 4, 0x1ff);
            first.ports.out(0x43, 1, 0x34);
            first.ports.out(0x40, 1, 0);
            first.ports.out(0x40, 1, 0x20);
            for (int i = 0; i < 2000; i++) {
                first.act(random, ignored);
            }
            first.devices.serialPort(0).receive(new byte[] {1, 2, 3, 4, 5});
            byte[] state = first.save();
            Pc second = pc();
            second.load(state);
            assertThat(second.save()).isEqualTo(state);

            StringBuilder one = new StringBuilder();
            StringBuilder two = new StringBuilder();
            SplittableRandom again = random.split();
            long continuation = again.nextLong();
            SplittableRandom randomOne = new SplittableRandom(continuation);
            SplittableRandom randomTwo = new SplittableRandom(continuation);
            for (int i = 0; i < 2000; i++) {
                first.act(randomOne, one);
                second.act(randomTwo, two);
            }
            assertThat(two).hasToString(one.toString());
            assertThat(second.save()).isEqualTo(first.save());
        }
    }
}
