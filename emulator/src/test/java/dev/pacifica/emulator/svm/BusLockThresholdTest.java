package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.cpu.GuestException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The bus lock threshold (§15.14.5, §7.3.3). */
class BusLockThresholdTest {
    /** Four bytes here lie in two 64-byte lines. */
    private static final long SPLIT = 0x8003e;

    private static final long WHOLE = 0x80040;

    /** Uncacheable by the fixed MTRRs. */
    private static final long VIDEO = 0xa0000;

    private static final String LOCK_INC = "f0ff03"; // lock inc dword [rbx]

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @BeforeEach
    void guest() {
        machine.intercept(ExitCode.BUSLOCK);
        machine.intercept(ExitCode.HLT);
        cpu.r[Cpu.RBX] = SPLIT;
    }

    @AfterEach
    void release() {
        machine.close();
    }

    private void run(int threshold, String code) {
        machine.put16(VmcbLayout.BUS_LOCK_THRESHOLD, threshold);
        machine.code(SvmMachine.GUEST_CODE, code + "f4");
        assertThat(machine.vmrunAndRun(20)).isTrue();
    }

    private long counter() {
        return machine.get16(VmcbLayout.BUS_LOCK_THRESHOLD);
    }

    @Test
    void soManyLocksAreExecutedAndTheNextOneExitsBeforeItIs() {
        run(2, LOCK_INC.repeat(3));
        assertThat(machine.exitCode()).isEqualTo(0xa5);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE + 6);
        assertThat(machine.get64(VmcbLayout.NRIP)).isZero();
        assertThat(machine.info1()).isZero();
        assertThat(machine.info2()).isZero();
        assertThat(machine.memory.read(SPLIT, 4)).isEqualTo(2);
        assertThat(counter()).isZero();
    }

    @Test
    void theNextRunGoesOnWhenTheHypervisorAllowsOneMore() {
        run(0, LOCK_INC);
        assertThat(machine.exitCode()).isEqualTo(0xa5);
        machine.put16(VmcbLayout.BUS_LOCK_THRESHOLD, 1);
        cpu.rip = SvmMachine.HOST_CODE;
        machine.vmrunAndRun(3);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(machine.memory.read(SPLIT, 4)).isEqualTo(1);
    }

    @Test
    void everyExitWritesTheCounter() {
        run(0xffff, LOCK_INC + LOCK_INC);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(counter()).isEqualTo(0xfffd);
    }

    @ParameterizedTest
    @CsvSource({
        "lock add, f0 01 03",
        "xchg without LOCK, 87 03",
        "lock xadd, f0 0f c1 03",
        "lock cmpxchg, f0 0f b1 03",
        "lock cmpxchg8b, f0 0f c7 0b",
        "lock bts by an immediate, f0 0f ba 2b 01",
        "lock bts by a register, f0 0f ab 03",
        "lock not, f0 f7 13",
        "lock neg of 16 bits that lie in two lines, 66 f0 f7 5b 01",
    })
    void eachAtomicUpdateThatIsSplitLocksTheBus(String what, String code) {
        run(0, code.replace(" ", ""));
        assertThat(machine.exitCode()).as(what).isEqualTo(0xa5);
    }

    @ParameterizedTest
    @ValueSource(strings = {"ff03", "0103", "0fc103", "8903", "8703"})
    void anUpdateWithinALineOrWithoutLockDoesNot(String code) {
        cpu.r[Cpu.RBX] = code.equals("8703") ? WHOLE : SPLIT;
        run(0, code);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
    }

    @Test
    void aLockedUpdateWithinALineOfWriteBackMemoryDoesNot() {
        cpu.r[Cpu.RBX] = WHOLE;
        run(0, LOCK_INC);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
    }

    @Test
    void uncacheableMemoryTakesABusLockWhereverTheUpdateLies() {
        cpu.r[Cpu.RBX] = VIDEO;
        run(0, LOCK_INC);
        assertThat(machine.exitCode()).isEqualTo(0xa5);
    }

    @Test
    void withCachesDisabledEveryLockIsABusLock() {
        machine.put64(VmcbLayout.CR0, machine.get64(VmcbLayout.CR0) | Cpu.CR0_CD);
        cpu.r[Cpu.RBX] = WHOLE;
        run(0, LOCK_INC);
        assertThat(machine.exitCode()).isEqualTo(0xa5);
    }

    /** Four entries get their accessed bits when the guest's first instruction is fetched. */
    @Test
    void tableWalksLockTheBusWhereTablesAreNotWriteBack() {
        cpu.msrs.write(0x2ff, 0); // MTRRs off: all memory is uncacheable
        run(100, "90");
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(counter()).isEqualTo(96);
    }

    @Test
    void aWalkBeyondTheThresholdExitsBeforeTheBitIsSet() {
        cpu.msrs.write(0x2ff, 0);
        machine.nestedPaging();
        run(3, "90");
        assertThat(machine.exitCode()).isEqualTo(0xa5);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
        assertThat(counter()).isZero();
        long entry = SvmMachine.GUEST_PT + (SvmMachine.GUEST_CODE >>> 12) * 8;
        assertThat(machine.memory.read64(entry) & 0x20).isZero();
    }

    @Test
    void faultsComeFirst() {
        machine.guestPage(0x80000, 0);
        machine.intercept(ExitCode.EXCEPTION + GuestException.PF);
        run(0, LOCK_INC);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + GuestException.PF);
    }

    @Test
    void withoutTheInterceptNothingIsCounted() {
        machine.put32(VmcbLayout.INTERCEPT_MISC3, 0);
        run(3, LOCK_INC);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(counter()).isEqualTo(3);
    }

    @Test
    void aModelWithoutItIgnoresTheBit() {
        cpu.model = CpuModel.parse("epyc-milan,-bus-lock-threshold");
        run(0, LOCK_INC);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
    }

    @Test
    void theHostIsNotCounted() {
        run(0, "90");
        machine.code(SvmMachine.HOST_CODE + 3, LOCK_INC);
        cpu.r[Cpu.RBX] = SPLIT;
        machine.step(1);
        assertThat(machine.memory.read(SPLIT, 4)).isEqualTo(1);
    }
}
