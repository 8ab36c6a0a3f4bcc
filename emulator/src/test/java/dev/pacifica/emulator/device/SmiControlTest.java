package dev.pacifica.emulator.device;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The APM command port, and SMIs through local APICs and the I/O APIC. */
class SmiControlTest {
    private final Time time = new Time();
    private final PhysicalMemory memory = new PhysicalMemory(1 << 20);
    private final ApicBus bus = new ApicBus();
    private final Cpu[] cpus = new Cpu[2];
    private final LocalApic[] apics = new LocalApic[2];
    private final SmiControl control = new SmiControl(bus);

    SmiControlTest() {
        for (int i = 0; i < 2; i++) {
            cpus[i] = new Cpu(i, time.clock, memory, new PortBus());
            apics[i] = new LocalApic(cpus[i], time.clock, bus);
            cpus[i].apic = apics[i];
        }
    }

    @AfterEach
    void release() {
        memory.close();
    }

    private void expectSmi(boolean first, boolean second) {
        assertThat(cpus[0].smiPending).isEqualTo(first);
        assertThat(cpus[1].smiPending).isEqualTo(second);
    }

    @Test
    void aCommandAssertsNothingOutOfReset() {
        control.out(SmiControl.COMMAND, 1, 0x42);
        expectSmi(false, false);
        assertThat(control.in(SmiControl.COMMAND, 1)).isEqualTo(0x42);
        assertThat(control.in(SmiControl.ENABLE, 4)).isZero();
        assertThat(control.in(SmiControl.STATUS, 4)).isEqualTo(0x20);
    }

    @Test
    void aCommandAssertsSmiToEveryProcessorOnceBothEnablesAreSet() {
        control.out(SmiControl.ENABLE, 4, 0x20);
        control.out(SmiControl.COMMAND, 1, 1);
        expectSmi(false, false);
        control.out(SmiControl.ENABLE, 4, 0xffff_ffff);
        assertThat(control.in(SmiControl.ENABLE, 4)).isEqualTo(0x21);
        control.out(SmiControl.COMMAND, 2, 0x77_01); // with data
        expectSmi(true, true);
        assertThat(cpus[1].attention & Cpu.ATTENTION_INTERRUPT).isNotZero();
        assertThat(control.in(SmiControl.COMMAND + 1, 1)).isEqualTo(0x77);
        control.out(SmiControl.STATUS, 4, 0x20);
        assertThat(control.in(SmiControl.STATUS, 4)).isZero();
    }

    @Test
    void anIpiOfSmiDeliveryMode() {
        apics[0].write(0x310, 4, 1L << 24);
        apics[0].write(0x300, 4, 0x200);
        expectSmi(false, true);
    }

    @Test
    void anIoApicEntryOfSmiDeliveryMode() {
        IoApic ioApic = new IoApic(bus);
        ioApic.write(0x00, 4, 0x10 + 2 * 5 + 1);
        ioApic.write(0x10, 4, 1 << 24);
        ioApic.write(0x00, 4, 0x10 + 2 * 5);
        ioApic.write(0x10, 4, 0x200);
        ioApic.setPin(5, true);
        expectSmi(false, true);
    }

    @Test
    void aLocalVectorOfSmiDeliveryMode() {
        apics[0].write(0xf0, 4, 0x1ff);
        apics[0].write(0x360, 4, 0x200); // LINT1
        apics[0].pulseLint1();
        expectSmi(true, false);
    }

    @Test
    void savedAndLoadedItIsTheSame() {
        control.out(SmiControl.ENABLE, 4, 0x21);
        control.out(SmiControl.COMMAND, 2, 0x1234);
        BinaryStateWriter out = new BinaryStateWriter();
        control.save(out);
        SmiControl other = new SmiControl(bus);
        other.load(new BinaryStateReader(out.toByteArray()));
        assertThat(other.in(SmiControl.COMMAND, 2)).isEqualTo(0x1234);
        assertThat(other.in(SmiControl.ENABLE, 4)).isEqualTo(0x21);
        assertThat(other.in(SmiControl.STATUS, 4)).isEqualTo(0x20);
    }
}
