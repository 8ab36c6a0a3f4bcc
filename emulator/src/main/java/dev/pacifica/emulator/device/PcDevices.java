package dev.pacifica.emulator.device;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import dev.pacifica.emulator.memory.PortDevice;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import dev.pacifica.emulator.time.VirtualClock;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

/**
 * All devices of the PC, at their ports and addresses, with their interrupts wired and the ACPI
 * tables that describe them.
 */
public final class PcDevices implements Stateful {
    /** Ports that absorb what is written to them: POST codes and the delay port. */
    private static final PortDevice SINK =
            new PortDevice() {
                @Override
                public int in(int port, int size) {
                    return -1;
                }

                @Override
                public void out(int port, int size, int value) {}
            };

    private final List<Stateful> stateful = new ArrayList<>();
    private final List<LocalApic> apics = new ArrayList<>();
    private final List<Uart16550> serialPorts = new ArrayList<>();
    private final FwCfg fwCfg;
    private final MemoryMap memoryMap;
    private final long rootPointer;

    /**
     * Builds the devices, claims their ports and addresses, sets {@code apic} of each processor and
     * writes the ACPI tables.
     *
     * @param rtcBase what the real-time clock shows at power-on
     * @param serial where the bytes that leave COM1 (0) and COM2 (1) go
     */
    public PcDevices(
            VirtualClock clock,
            PhysicalMemory memory,
            PortBus ports,
            List<Cpu> cpus,
            Instant rtcBase,
            SerialSink serial,
            StopRequest stop) {
        ApicBus bus = add(new ApicBus());
        Pic8259 pic = add(new Pic8259(bus::setPicLine));
        bus.attach(pic);
        IoApic ioApic = add(new IoApic(bus));
        memory.map(IoApic.BASE, PhysicalMemory.PAGE_SIZE, ioApic);
        InterruptRouter router = add(new InterruptRouter(pic, ioApic));
        claim(ports, pic, 0x20, 2, 0xa0, 2, 0x4d0, 2);
        pic.outByte(0x4d1, 1 << AcpiTables.SCI - 8); // the SCI is level-triggered
        for (Cpu cpu : cpus) {
            LocalApic apic = add(new LocalApic(cpu, clock, bus));
            cpu.apic = apic;
            apics.add(apic);
        }

        claim(ports, add(new Pit8254(clock, router.isa(0))), 0x40, 4, 0x61, 1);
        serialPorts.add(add(new Uart16550(0, 0x3f8, clock, router.isa(4), serial)));
        serialPorts.add(add(new Uart16550(1, 0x2f8, clock, router.isa(3), serial)));
        claim(ports, serialPorts.get(0), 0x3f8, 8);
        claim(ports, serialPorts.get(1), 0x2f8, 8);
        Rtc rtc = add(new Rtc(clock, router.isa(8), rtcBase));
        rtc.setConfiguration(memory.lowSize(), memory.highSize(), cpus.size());
        claim(ports, rtc, 0x70, 2);
        memory.map(Hpet.BASE, PhysicalMemory.PAGE_SIZE, add(new Hpet(clock, router)));
        AcpiPm power = add(new AcpiPm(clock, router.isa(AcpiTables.SCI), stop));
        claim(ports, power, AcpiPm.PM1_EVENT, 12, AcpiPm.GPE0, AcpiPm.GPE0_LENGTH);
        claim(ports, add(new I8042(router.isa(1), stop)), 0x60, 1, 0x64, 1);
        claim(ports, add(new Port92(stop)), 0x92, 1);
        claim(ports, add(new NumericErrors(cpus, router.isa(13))), NumericErrors.PORT, 2);
        claim(ports, add(new SmiControl(bus)), SmiControl.COMMAND, 2, SmiControl.ENABLE, 8);
        claim(ports, add(new PciHost(stop)), PciHost.PORT, 8);
        claim(ports, new DebugExit(stop), DebugExit.PORT, 4);
        claim(ports, SINK, 0x80, 1, 0xed, 1);

        memoryMap = MemoryMap.of(memory);
        fwCfg = add(new FwCfg(memory, cpus.size(), pa -> isSmram(cpus, pa)));
        fwCfg.putFile("etc/e820", memoryMap.toE820());
        claim(ports, fwCfg, FwCfg.PORT, FwCfg.PORTS);
        BiosArea.install(memory);
        rootPointer = AcpiTables.install(memory, cpus.size());
    }

    /** Whether a processor protects the address for its SMI handler (APM Vol 2 §10.2.5). */
    private static boolean isSmram(List<Cpu> cpus, long pa) {
        for (Cpu cpu : cpus) {
            if (cpu.protectsFromDevices(pa)) {
                return true;
            }
        }
        return false;
    }

    private <T extends Stateful> T add(T device) {
        stateful.add(device);
        return device;
    }

    /** Claims pairs of (first port, count). */
    private static void claim(PortBus ports, PortDevice device, int... ranges) {
        for (int i = 0; i < ranges.length; i += 2) {
            ports.claim(ranges[i], ranges[i + 1], device);
        }
    }

    /** Serial port {@code number}, 0 = COM1. */
    public Uart16550 serialPort(int number) {
        return serialPorts.get(number);
    }

    public int serialPortCount() {
        return serialPorts.size();
    }

    public LocalApic apic(int cpu) {
        return apics.get(cpu);
    }

    public FwCfg fwCfg() {
        return fwCfg;
    }

    public MemoryMap memoryMap() {
        return memoryMap;
    }

    /** The physical address of the ACPI root pointer (RSDP). */
    public long rootPointer() {
        return rootPointer;
    }

    @Override
    public void save(StateWriter out) {
        for (Stateful device : stateful) {
            device.save(out);
        }
    }

    @Override
    public void load(StateReader in) {
        for (Stateful device : stateful) {
            device.load(in);
        }
    }
}
