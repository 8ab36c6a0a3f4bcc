package dev.pacifica.emulator.boot;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.device.PcDevices;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import dev.pacifica.emulator.time.VirtualClock;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;

/** A machine that was just powered on, to load kernels into. */
final class BootRig implements AutoCloseable {
    final PhysicalMemory memory;
    final PortBus ports = new PortBus();
    final Cpu cpu;
    final PcDevices devices;
    private final List<BootModule> modules = new ArrayList<>();
    private String commandLine = "";
    private OptionalLong loadAddress = OptionalLong.empty();

    BootRig(int mebibytes) {
        memory = new PhysicalMemory((long) mebibytes << 20);
        VirtualClock clock = new VirtualClock();
        cpu = new Cpu(0, clock, memory, ports);
        devices =
                new PcDevices(
                        clock,
                        memory,
                        ports,
                        List.of(cpu),
                        Instant.EPOCH,
                        (device, value) -> {},
                        (reason, status) -> {});
    }

    BootRig append(String line) {
        commandLine = line;
        return this;
    }

    BootRig loadAt(long address) {
        loadAddress = OptionalLong.of(address);
        return this;
    }

    BootRig module(String name, byte[] data, String arguments) {
        modules.add(new BootModule(BootFile.of(name, data), arguments));
        return this;
    }

    KernelLoader.Loaded load(String name, byte[] kernel) {
        BootRequest request =
                new BootRequest(BootFile.of(name, kernel), modules, commandLine, loadAddress);
        return KernelLoader.load(request, memory, cpu, devices);
    }

    int u32(long pa) {
        return (int) memory.read(pa, 4);
    }

    String string(long pa) {
        StringBuilder text = new StringBuilder();
        for (long at = pa; memory.read(at, 1) != 0; at++) {
            text.append((char) memory.read(at, 1));
        }
        return text.toString();
    }

    String text(long pa, int count) {
        byte[] bytes = new byte[count];
        memory.read(pa, bytes, 0, count);
        return new String(bytes, StandardCharsets.ISO_8859_1);
    }

    @Override
    public void close() {
        memory.close();
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }
}
