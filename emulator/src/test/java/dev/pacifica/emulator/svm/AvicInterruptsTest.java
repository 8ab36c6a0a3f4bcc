package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Delivery from the backing page to a running guest (§15.29.6, §15.29.8), doorbells. */
class AvicInterruptsTest {
    private static final int ISR = 0x100;
    private static final int IRR = 0x200;
    private static final int DOORBELL = 0xc001_011b;
    private static final long GIF_ENABLE = 1L << 25;
    private static final String IRETQ = "48cf";
    private static final String EOI = AvicMachine.store(0xb0, 0);

    private AvicMachine a = new AvicMachine(AvicMachine.MASKING);

    @AfterEach
    void release() {
        a.close();
    }

    private void enabled() {
        a.m.put64(VmcbLayout.RFLAGS, Cpu.IF | 2);
        a.m.code(SvmMachine.GUEST_CODE, "90 90 90 90 90 90 f4");
    }

    private static long handler(int vector) {
        return SvmMachine.HANDLERS + 16L * vector;
    }

    @Test
    void vmrunDeliversTheHighestRequest() {
        enabled();
        a.set(IRR, 0x41);
        a.set(IRR, 0xc3);
        a.m.vmrun();
        a.m.run(1);
        assertThat(a.m.cpu.rip).isEqualTo(handler(0xc3));
        assertThat(a.bit(0, IRR, 0xc3)).isFalse();
        assertThat(a.bit(0, ISR, 0xc3)).isTrue();
        assertThat(a.bit(0, IRR, 0x41)).isTrue();
        assertThat(a.get(0xa0)).as("PPR").isEqualTo(0xc0);
    }

    @Test
    void theOthersFollowInOrderOfPriority() {
        enabled();
        // each handler notes its vector at [rsi], ends the interrupt and returns
        for (int vector : new int[] {0x41, 0x52, 0xc3}) {
            a.set(IRR, vector);
            long at = 0x70000 + vector * 0x100;
            a.m.code(handler(vector), "e9" + AvicMachine.little(at - handler(vector) - 5));
            a.m.code(at, "c606" + "%02x".formatted(vector) + "48ffc6" + EOI + IRETQ);
        }
        a.m.cpu.r[Cpu.RSI] = 0x7f000;
        assertThat(a.m.vmrunAndRun(60)).isTrue();
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(a.m.memory.read(0x7f000, 4)).isEqualTo(0x0041_52c3);
        assertThat(a.get(0xa0)).isZero();
    }

    /** Requested vector, in service, TPR, V_TPR, delivered or not. */
    @ParameterizedTest
    @CsvSource({
        "41, 00, 00, 0, true",
        "41, 35, 00, 0, true",
        "41, 42, 00, 0, false", // the same class
        "41, 51, 00, 0, false",
        "41, 00, 3f, 3, true",
        "41, 00, 40, 4, false",
        "41, 00, 00, 4, false", // V_TPR decides, which VMRUN does not take from TPR
        "41, 00, f0, 0, true",
        "0f, 00, 00, 0, false", // class 0 never is
    })
    void onlyAHigherClassIsDelivered(
            String request, String service, String tpr, int vTpr, boolean delivered) {
        enabled();
        int vector = Integer.parseInt(request, 16);
        int inService = Integer.parseInt(service, 16);
        a.set(IRR, vector);
        if (inService != 0) {
            a.set(ISR, inService);
        }
        a.put(0x80, Integer.parseInt(tpr, 16));
        a.m.put8(VmcbLayout.V_TPR, vTpr);
        a.m.vmrun();
        a.m.run(2);
        assertThat(a.m.cpu.rip == handler(vector) || a.bit(0, ISR, vector)).isEqualTo(delivered);
    }

    @Test
    void loweringTprLetsARequestThrough() {
        enabled();
        a.m.put8(VmcbLayout.V_TPR, 15);
        a.put(0x80, 0xf0);
        a.set(IRR, 0x41);
        a.m.code(SvmMachine.GUEST_CODE, "90 90" + AvicMachine.store(0x80, 0x30) + "90");
        a.m.vmrun();
        a.m.run(4);
        assertThat(a.m.memory.read64(a.m.cpu.r[Cpu.RSP])).isEqualTo(SvmMachine.GUEST_CODE + 12);
        assertThat(a.m.cpu.rip).isEqualTo(handler(0x41));
    }

    @Test
    void eoiLetsTheNextOneThrough() {
        enabled();
        a.set(ISR, 0x61);
        a.set(IRR, 0x41);
        a.m.code(SvmMachine.GUEST_CODE, "90" + EOI + "90");
        a.m.vmrun();
        a.m.run(3);
        assertThat(a.m.cpu.rip).isEqualTo(handler(0x41));
    }

    @Test
    void itWaitsForTheFlagAndTheShadow() {
        a.set(IRR, 0x41);
        a.m.code(SvmMachine.GUEST_CODE, "90 fb 90 90");
        a.m.vmrun();
        a.m.run(3);
        assertThat(a.m.cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 3);
        a.m.run(1);
        assertThat(a.m.cpu.rip).isEqualTo(handler(0x41));
    }

    @Test
    void itWaitsForTheShadowOfTheVmcb() {
        enabled();
        a.set(IRR, 0x41);
        a.m.put8(VmcbLayout.INTERRUPT_SHADOW, 1);
        a.m.vmrun();
        a.m.run(2);
        assertThat(a.m.memory.read64(a.m.cpu.r[Cpu.RSP])).isEqualTo(SvmMachine.GUEST_CODE + 1);
    }

    @Test
    void itWaitsForTheVirtualGif() {
        a.close();
        a = new AvicMachine(GIF_ENABLE);
        enabled();
        a.set(IRR, 0x41);
        a.m.code(SvmMachine.GUEST_CODE, "90 0f01dc 90");
        a.m.vmrun();
        a.m.run(2);
        assertThat(a.m.cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 4);
        a.m.run(1);
        assertThat(a.m.cpu.rip).isEqualTo(handler(0x41));
    }

    @Test
    void vIrqIsIgnoredAndKept() {
        enabled();
        long irq = AvicMachine.ENABLE | 1 << 8 | 15 << 16 | 0x77L << 32;
        a.m.put64(VmcbLayout.V_INTR, irq);
        assertThat(a.m.vmrunAndRun(10)).isTrue();
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(a.m.get64(VmcbLayout.V_INTR)).isEqualTo(irq);
    }

    @Test
    void physicalInterruptsComeFirstAndAreIntercepted() {
        enabled();
        a.set(IRR, 0x41);
        a.m.intercept(ExitCode.INTR);
        a.m.cpu.setRflags(Cpu.IF | 2);
        a.m.apic.pending = 0x51;
        a.m.vmrunAndRun(1);
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.INTR);
        assertThat(a.bit(0, IRR, 0x41)).isTrue();
    }

    @Test
    void theInterceptOfVirtualInterruptsCountsForThemToo() {
        enabled();
        a.set(IRR, 0x41);
        a.m.intercept(ExitCode.VINTR);
        a.m.vmrunAndRun(1);
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.VINTR);
        assertThat(a.bit(0, IRR, 0x41)).isTrue();
    }

    @Test
    void aDeliveryThatExitsLeavesTheVectorInExitIntInfoAndInService() {
        enabled();
        a.set(IRR, 0x41);
        a.m.nestedPage(SvmMachine.IDT, 0);
        a.m.vmrunAndRun(1);
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.NPF);
        assertThat(a.m.get64(VmcbLayout.EXITINTINFO)).isEqualTo(1L << 31 | 0x41);
        assertThat(a.bit(0, ISR, 0x41)).isTrue();
        assertThat(a.bit(0, IRR, 0x41)).isFalse();
    }

    @Test
    void idleHaltExitsUnlessARequestHasPriority() {
        a.m.put32(VmcbLayout.INTERCEPT_MISC1, 0);
        a.m.intercept(ExitCode.IDLE_HLT);
        a.m.code(SvmMachine.GUEST_CODE, "f4");
        a.m.vmrunAndRun(1);
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.IDLE_HLT);
        a.set(IRR, 0x41);
        a.m.cpu.rip = SvmMachine.HOST_CODE;
        a.m.vmrunAndRun(1);
        assertThat(a.m.cpu.activity).isEqualTo(Cpu.HALTED);
    }

    @Test
    void aDoorbellWakesAHaltedGuest() {
        enabled();
        a.m.put32(VmcbLayout.INTERCEPT_MISC1, 0);
        a.m.code(SvmMachine.GUEST_CODE, "f4");
        a.m.vmrun();
        a.m.run(3);
        assertThat(a.m.cpu.activity).isEqualTo(Cpu.HALTED);
        a.set(IRR, 0x41);
        a.m.run(3);
        assertThat(a.m.cpu.activity).as("nobody rang").isEqualTo(Cpu.HALTED);
        a.m.svm.doorbell();
        a.m.run(1);
        assertThat(a.m.cpu.rip).isEqualTo(handler(0x41));
        assertThat(a.m.memory.read64(a.m.cpu.r[Cpu.RSP])).isEqualTo(SvmMachine.GUEST_CODE + 1);
    }

    @Test
    void theDoorbellRegisterIsWriteOnlyAndTakesAnApicId() {
        a.m.cpu.msrs.write(DOORBELL, 0);
        a.m.cpu.msrs.write(DOORBELL, 255); // nobody there
        assertThat(fault(() -> a.m.cpu.msrs.read(DOORBELL))).isEqualTo(GuestException.GP);
        assertThat(fault(() -> a.m.cpu.msrs.write(DOORBELL, 256))).isEqualTo(GuestException.GP);
        a.m.cpu.model = CpuModel.parse("epyc-milan,-avic");
        assertThat(fault(() -> a.m.cpu.msrs.write(DOORBELL, 0))).isEqualTo(GuestException.GP);
    }

    private static int fault(Runnable access) {
        try {
            access.run();
        } catch (GuestException e) {
            return e.vector;
        }
        return -1;
    }

    @Test
    void nothingOfItReachesTheHost() {
        a.set(IRR, 0x41);
        a.run("90");
        a.m.cpu.gif = true;
        a.m.cpu.setRflags(Cpu.IF | 2);
        a.m.svm.doorbell();
        a.m.step(3);
        assertThat(a.m.cpu.guestMode).isFalse();
        assertThat(a.m.cpu.rip).isEqualTo(SvmMachine.HOST_CODE + 3);
    }

    @Test
    void aSavedMachineGoesOnTheSame() {
        a.m.put8(VmcbLayout.V_TPR, 6);
        a.put(0x80, 0x60);
        a.set(IRR, 0x93);
        a.m.code(SvmMachine.GUEST_CODE, AvicMachine.store(0xf0, 0x1ff) + "90");
        a.m.vmrun();
        a.m.run(1); // the trap is due
        assertThat(a.m.cpu.guestMode).isTrue();
        try (AvicMachine b = new AvicMachine(0)) {
            byte[] ram = new byte[(int) SvmMachine.MEMORY];
            a.m.memory.read(0, ram, 0, ram.length);
            b.m.memory.write(0, ram, 0, ram.length);
            byte[] saved = state(a);
            BinaryStateReader in = new BinaryStateReader(saved);
            b.m.cpu.load(in);
            b.m.svm.load(in);
            b.m.cpu.mmu.load(in);
            assertThat(state(b)).isEqualTo(saved);
            b.m.run(1);
            assertThat(b.m.exitCode()).isEqualTo(ExitCode.AVIC_NOACCEL);
            assertThat(b.m.info1()).isEqualTo(1L << 32 | 0xf0);
        }
    }

    private static byte[] state(AvicMachine machine) {
        BinaryStateWriter out = new BinaryStateWriter();
        machine.m.cpu.save(out);
        machine.m.svm.save(out);
        machine.m.cpu.mmu.save(out);
        return out.toByteArray();
    }
}
