package dev.pacifica.emulator.device;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.cpu.LocalInterruptController;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The extended APIC space: §15.21.7, §16.3.5, §16.3.6, §16.7. */
class ExtendedApicSpaceTest {
    private static final int EOI = 0xb0;
    private static final int SVR = 0xf0;
    private static final int ESR = 0x280;
    private static final int ICR_LOW = 0x300;
    private static final int ICR_HIGH = 0x310;
    private static final int FEATURE = 0x400;
    private static final int CONTROL = 0x410;
    private static final int SEOI = 0x420;
    private static final int IER = 0x480;
    private static final int EXT_LVT = 0x500;
    private static final int PROCESSORS = 20;

    private final Time time = new Time();
    private final PhysicalMemory memory = new PhysicalMemory(1 << 20);
    private final ApicBus bus = new ApicBus();
    private final IoApic ioApic = new IoApic(bus);
    private final Cpu[] cpus = new Cpu[PROCESSORS];
    private final LocalApic[] apics = new LocalApic[PROCESSORS];
    private final LocalApic apic;

    ExtendedApicSpaceTest() {
        for (int i = 0; i < PROCESSORS; i++) {
            cpus[i] = new Cpu(i, time.clock, memory, new PortBus());
            apics[i] = new LocalApic(cpus[i], time.clock, bus);
            apics[i].write(SVR, 4, 0x1ff);
            cpus[i].attention = 0;
        }
        apic = apics[1];
    }

    @AfterEach
    void release() {
        memory.close();
    }

    private void write(int offset, long value) {
        apic.write(offset, 4, value);
    }

    private long read(int offset) {
        return apic.read(offset, 4);
    }

    /** An interrupt from processor 0, edge-triggered. */
    private void send(int vector) {
        send(1, vector);
    }

    private void send(int destination, int vector) {
        apics[0].write(ICR_HIGH, 4, (long) destination << 24);
        apics[0].write(ICR_LOW, 4, vector);
    }

    private void disable(int vector) {
        write(CONTROL, 5);
        int offset = IER + 16 * (vector >> 5);
        write(offset, read(offset) & ~(1L << (vector & 31)));
    }

    private void x2apic() {
        assertThat(apic.setBase(apic.base() | 1 << 10)).isTrue();
    }

    private boolean noted() {
        write(ESR, 0);
        return read(ESR) == 0x80;
    }

    @Test
    void outOfReset() {
        assertThat(read(0x30)).as("version, EAS").isEqualTo(0x8005_0010L);
        assertThat(read(FEATURE)).isEqualTo(0x0004_0007);
        assertThat(read(CONTROL)).as("firmware enabled 8-bit ids").isEqualTo(4);
        for (int i = 0; i < 8; i++) {
            assertThat(read(IER + 16 * i)).isEqualTo(0xffff_ffffL);
        }
        for (int i = 0; i < 4; i++) {
            assertThat(read(EXT_LVT + 16 * i)).isZero();
        }
        assertThat(noted()).as("no illegal register").isFalse();
    }

    @Test
    void theFeatureRegisterIsReadOnly() {
        write(FEATURE, 0);
        assertThat(read(FEATURE)).isEqualTo(0x0004_0007);
        assertThat(noted()).isFalse();
    }

    @Test
    void controlHasThreeBits() {
        write(CONTROL, -1);
        assertThat(read(CONTROL)).isEqualTo(7);
    }

    @ParameterizedTest
    @ValueSource(ints = {0x430, 0x470, 0x540, 0xff0})
    void aroundItThereIsNothing(int offset) {
        read(offset);
        assertThat(noted()).isTrue();
        write(offset, 1);
        assertThat(noted()).isTrue();
    }

    @ParameterizedTest
    @ValueSource(ints = {FEATURE, CONTROL, SEOI, IER, 0x4f0, EXT_LVT, 0x530})
    void withoutTheFeatureThereIsNoSpace(int offset) {
        cpus[1].model = CpuModel.parse("epyc-milan,-ext-apic");
        assertThat(read(0x30)).isEqualTo(0x0005_0010);
        assertThat(read(offset)).isZero();
        assertThat(noted()).isTrue();
        write(offset, 1);
        assertThat(noted()).isTrue();
        x2apic();
        assertThat(apic.readX2apic(offset >> 4)).isEqualTo(LocalInterruptController.BAD_REGISTER);
        assertThat(apic.writeX2apic(offset >> 4, 0)).isFalse();
    }

    // ---- interrupt enable registers ----

    @Test
    void enableRegistersTakeWritesWhenControlSaysSo() {
        write(IER + 0x20, 0x1234_5678);
        assertThat(read(IER + 0x20)).isEqualTo(0xffff_ffffL);
        write(CONTROL, 5);
        write(IER + 0x20, 0x1234_5678);
        write(IER + 0x30, 0x89ab_cdefL);
        assertThat(read(IER + 0x20)).isEqualTo(0x1234_5678);
        assertThat(read(IER + 0x30)).isEqualTo(0x89ab_cdefL);
        write(CONTROL, 4);
        write(IER + 0x20, 0);
        assertThat(read(IER + 0x20)).as("locked, not gone").isEqualTo(0x1234_5678);
    }

    @Test
    void aDisabledVectorIsRequestedButNotPending() {
        disable(0x61);
        send(0x61);
        assertThat(apic.pendingVector()).isEqualTo(-1);
        assertThat(read(0x230)).as("IRR").isEqualTo(2);
        send(0x41);
        assertThat(apic.pendingVector()).as("the next one below").isEqualTo(0x41);
        assertThat(apic.acknowledge()).isEqualTo(0x41);
        assertThat(read(0x230)).isEqualTo(2);
    }

    @Test
    void enablingAVectorLetsItThroughAndCallsTheProcessor() {
        disable(0x61);
        send(0x61);
        cpus[1].attention = 0;
        write(IER + 0x30, 0xffff_ffffL);
        assertThat(cpus[1].attention & Cpu.ATTENTION_INTERRUPT).isNotZero();
        assertThat(apic.pendingVector()).isEqualTo(0x61);
    }

    @Test
    void disablingARequestedVectorTakesItOutOfThePriority() {
        send(0x61);
        send(0x52);
        disable(0x61);
        assertThat(apic.pendingVector()).isEqualTo(0x52);
        write(CONTROL, 4);
        assertThat(apic.pendingVector()).as("the registers stay in force").isEqualTo(0x52);
    }

    @Test
    void aDisabledVectorInServiceCountsForPpr() {
        send(0x61);
        apic.acknowledge();
        disable(0x61);
        assertThat(read(0xa0)).isEqualTo(0x60);
        send(0x52);
        assertThat(apic.pendingVector()).isEqualTo(-1);
        write(EOI, 0);
        assertThat(apic.pendingVector()).isEqualTo(0x52);
    }

    @ParameterizedTest
    @ValueSource(ints = {0x10, 0x1f, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0xfe, 0xff})
    void eachVectorHasItsBit(int vector) {
        disable(vector);
        for (int i = 0x10; i < 0x100; i++) {
            send(i);
        }
        int pending = 0;
        while (apic.pendingVector() >= 0) {
            assertThat(apic.acknowledge()).isNotEqualTo(vector);
            write(EOI, 0);
            pending++;
        }
        assertThat(pending).isEqualTo(0xf0 - 1);
    }

    // ---- specific EOI ----

    @Test
    void aSpecificEoiEndsItsVectorOnly() {
        send(0x41);
        apic.acknowledge();
        send(0x61);
        apic.acknowledge();
        write(CONTROL, 6);
        write(SEOI, 0x41);
        assertThat(read(0x120)).as("41h is over").isZero();
        assertThat(read(0x130)).as("61h is not").isEqualTo(2);
        assertThat(read(0xa0)).isEqualTo(0x60);
        write(SEOI, 0x61);
        assertThat(read(0x130)).isZero();
        assertThat(read(0xa0)).isZero();
        assertThat(read(SEOI)).isEqualTo(0x61);
    }

    @Test
    void aSpecificEoiNeedsItsControlBit() {
        send(0x41);
        apic.acknowledge();
        write(CONTROL, 5);
        write(SEOI, 0x41);
        assertThat(read(0x120)).isEqualTo(2);
    }

    @Test
    void aSpecificEoiOfWhatIsNotInServiceDoesNothing() {
        send(0x41);
        apic.acknowledge();
        send(0x61);
        write(CONTROL, 6);
        write(SEOI, 0x61);
        assertThat(read(0x120)).isEqualTo(2);
        assertThat(apic.pendingVector()).as("a request stays").isEqualTo(0x61);
    }

    /** Level-triggered and still asserted: the I/O APIC sends it again after its EOI. */
    @Test
    void aSpecificEoiReachesTheIoApic() {
        ioApic.write(0, 4, 0x10 + 2 * 20 + 1);
        ioApic.write(0x10, 4, 1L << 24);
        ioApic.write(0, 4, 0x10 + 2 * 20);
        ioApic.write(0x10, 4, 1 << 15 | 0x41);
        ioApic.setPin(20, true);
        assertThat(apic.acknowledge()).isEqualTo(0x41);
        send(0x61);
        apic.acknowledge();
        write(CONTROL, 6);
        write(SEOI, 0x41);
        assertThat(read(0x220)).as("requested again").isEqualTo(2);
        ioApic.setPin(20, false);
    }

    // ---- APIC ids ----

    @ParameterizedTest
    @CsvSource({
        "1, true, true", // destination, reached with four bits, with eight
        "17, true, false",
        "2, false, false",
        "18, false, false",
        "15, true, false",
        "31, true, false",
        "255, true, true"
    })
    void fourBitIds(int destination, boolean four, boolean eight) {
        send(destination, 0x51);
        assertThat(apic.pendingVector() == 0x51).isEqualTo(eight);
        if (eight) {
            apic.acknowledge();
            write(EOI, 0);
        }
        write(CONTROL, 0);
        send(destination, 0x51);
        assertThat(apic.pendingVector() == 0x51).isEqualTo(four);
    }

    @Test
    void idsOfX2apicAreWholeWhateverControlSays() {
        write(CONTROL, 0);
        x2apic();
        send(17, 0x51);
        assertThat(apic.pendingVector()).isEqualTo(-1);
        assertThat(apics[17].pendingVector()).isEqualTo(0x51);
    }

    // ---- extended LVT ----

    @Test
    void extendedLvtEntriesKeepWhatTheyMay() {
        for (int i = 0; i < 4; i++) {
            write(EXT_LVT + 16 * i, 0xffff_ff00L | 0x40 + i);
        }
        for (int i = 0; i < 4; i++) {
            assertThat(read(EXT_LVT + 16 * i)).isEqualTo(0x1_0740 + i);
        }
    }

    @Test
    void disablingTheApicMasksThem() {
        write(EXT_LVT, 0x41);
        write(SVR, 0xff);
        assertThat(read(EXT_LVT)).isEqualTo(0x1_0041);
        write(EXT_LVT, 0x42);
        assertThat(read(EXT_LVT)).as("and they stay masked").isEqualTo(0x1_0042);
        write(SVR, 0x1ff);
        write(EXT_LVT, 0x42);
        assertThat(read(EXT_LVT)).isEqualTo(0x42);
    }

    // ---- x2APIC ----

    @Test
    void itsMsrs() {
        x2apic();
        assertThat(apic.readX2apic(0x03)).isEqualTo(0x8005_0010L);
        assertThat(apic.readX2apic(0x40)).isEqualTo(0x0004_0007);
        assertThat(apic.writeX2apic(0x40, 0)).as("read-only").isFalse();
        assertThat(apic.writeX2apic(0x41, 7)).isTrue();
        assertThat(apic.readX2apic(0x41)).isEqualTo(7);
        assertThat(apic.writeX2apic(0x42, 0x33)).isTrue();
        assertThat(apic.readX2apic(0x42)).isEqualTo(0x33);
        assertThat(apic.readX2apic(0x48)).as("15:0 are reserved").isEqualTo(0xffff_0000L);
        assertThat(apic.readX2apic(0x49)).isEqualTo(0xffff_ffffL);
        for (int register = 0x49; register <= 0x4f; register++) {
            assertThat(apic.writeX2apic(register, register)).isTrue();
            assertThat(apic.readX2apic(register)).isEqualTo(register);
        }
        assertThat(apic.writeX2apic(0x53, 0x1_0744)).isTrue();
        assertThat(apic.readX2apic(0x53)).isEqualTo(0x1_0744);
        assertThat(apic.readX2apic(0x43)).isEqualTo(LocalInterruptController.BAD_REGISTER);
        assertThat(apic.readX2apic(0x54)).isEqualTo(LocalInterruptController.BAD_REGISTER);
    }

    /** §16.11.3. */
    @ParameterizedTest
    @CsvSource({
        "41, 8", "42, 100", "48, 1", "48, 8000", "49, 100000000", "50, 800", "50, 2000", "50, 4000",
        "50, 8000", "50, 20000", "53, 80000000", "3e, 4", "3e, 10", "33, 800", "37, 100", "35, 800",
        "32, 100", "0f, 400"
    })
    void reservedBitsOfMsrsAreRefused(String register, String value) {
        x2apic();
        int number = Integer.parseInt(register, 16);
        long before = apic.readX2apic(number);
        assertThat(apic.writeX2apic(number, Long.parseLong(value, 16))).isFalse();
        assertThat(apic.readX2apic(number)).isEqualTo(before);
    }

    @ParameterizedTest
    @CsvSource({"50, 1000", "35, 5000", "36, 5000", "32, 1000"})
    void statusBitsOfLvtEntriesAreReadOnlyNotReserved(String register, String value) {
        x2apic();
        int number = Integer.parseInt(register, 16);
        assertThat(apic.writeX2apic(number, Long.parseLong(value, 16))).isTrue();
        assertThat(apic.readX2apic(number)).isZero();
    }

    @Test
    void theArbitrationPriorityHasAnMsr() {
        x2apic();
        apic.setTaskPriority(3);
        assertThat(apic.readX2apic(0x09)).isEqualTo(0x30);
        assertThat(apic.writeX2apic(0x09, 0)).isFalse();
    }

    // ---- state ----

    @Test
    void initResetsAllButTheWidthOfIds() {
        write(CONTROL, 7);
        write(IER + 0x30, 0);
        write(EXT_LVT, 0x41);
        write(SEOI, 0x41);
        apic.init();
        assertThat(read(CONTROL)).isEqualTo(4);
        assertThat(read(IER + 0x30)).isEqualTo(0xffff_ffffL);
        assertThat(read(EXT_LVT)).isZero();
        assertThat(read(SEOI)).isZero();
        write(CONTROL, 3);
        apic.init();
        assertThat(read(CONTROL)).isZero();
    }

    @Test
    void isSavedAndLoaded() {
        disable(0x61);
        send(0x61);
        write(CONTROL, 3);
        write(EXT_LVT + 0x30, 0x1_0441);
        write(SEOI, 0x77);
        BinaryStateWriter out = new BinaryStateWriter();
        apic.save(out);
        apic.init();
        apic.load(new BinaryStateReader(out.toByteArray()));
        assertThat(apic.pendingVector()).isEqualTo(-1);
        assertThat(read(0x230)).isEqualTo(2);
        assertThat(read(CONTROL)).isEqualTo(3);
        assertThat(read(EXT_LVT + 0x30)).isEqualTo(0x1_0441);
        assertThat(read(SEOI)).isEqualTo(0x77);
        write(IER + 0x30, 0xffff_ffffL);
        assertThat(apic.pendingVector()).isEqualTo(0x61);
    }
}
