package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** IPIs between virtual processors (§15.29.6.1) and those not completed (§15.29.9.1). */
class AvicIpiTest {
    private static final int IRR = 0x200;
    private static final int VECTOR = 0x95;

    private AvicMachine a = new AvicMachine(0);

    @AfterEach
    void release() {
        a.close();
    }

    private void x2() {
        a.close();
        a = new AvicMachine(AvicMachine.X2);
    }

    /** Writes ICR through the page. */
    private void icr(long high, long low) {
        a.run(AvicMachine.store(0x310, high) + AvicMachine.store(0x300, low));
    }

    private void physical(int id, long clear, long set) {
        long at = AvicMachine.PHYSICAL + 8 * id;
        a.m.memory.write64(at, a.m.memory.read64(at) & ~clear | set);
    }

    /** Who has the vector requested: bit i for virtual processor i. */
    private int requested() {
        int who = 0;
        for (int id = 0; id < 4; id++) {
            who |= a.bit(id, IRR, VECTOR) ? 1 << id : 0;
        }
        return who;
    }

    private void completed(int who) {
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(requested()).isEqualTo(who);
    }

    private void incomplete(int reason, int index, int who) {
        assertThat(a.m.exitCode()).isEqualTo(0x401);
        assertThat(a.m.info2()).isEqualTo((long) reason << 32 | index);
        assertThat(requested()).isEqualTo(who);
        assertThat(a.m.get64(VmcbLayout.RIP))
                .as("after the instruction")
                .isEqualTo(SvmMachine.GUEST_CODE + 20);
        assertThat(a.m.get64(VmcbLayout.NRIP)).isZero();
    }

    @ParameterizedTest
    @CsvSource({
        "00000000, 00040095, 1", // self
        "00000000, 00080095, 15", // all
        "00000000, 000c0095, 14", // all but self
        "02000000, 00000095, 4", // one by its id
        "ff000000, 00000095, 15", // broadcast
        "05000000, 00000895, 5", // logical, flat
        "ff000000, 00000895, 15",
        "00000000, 00000895, 0", // nobody
        "01000000, 00004095, 2", // assert
        "01000000, 00001095, 2", // delivery status is read-only
    })
    void reachesItsTargets(String high, String low, int who) {
        icr(Long.parseLong(high, 16), Long.parseLong(low, 16));
        completed(who);
        assertThat(a.get(0x300)).isEqualTo(Long.parseLong(low, 16) & ~0x1000);
        assertThat(a.get(0x310)).isEqualTo(Long.parseLong(high, 16));
    }

    @Test
    void clusterDestinationsHaveFourEntriesEach() {
        a.put(0xe0, 0x0fff_ffff);
        a.m.memory.write(AvicMachine.LOGICAL + 16 * 3 + 4, 4, 1L << 31 | 1);
        a.m.memory.write(AvicMachine.LOGICAL + 16 * 3 + 12, 4, 1L << 31 | 3);
        icr(0x3a00_0000L, 0x895);
        completed(0b1010);
    }

    @ParameterizedTest
    @ValueSource(strings = {"00000195", "00000295", "00000495", "00000595", "00008095", "00000410"})
    void otherTypesAndLevelTriggerAreTheHypervisors(String low) {
        icr(0x0100_0000, Long.parseLong(low, 16));
        incomplete(0, 0, 0);
        assertThat(a.m.info1()).isEqualTo(0x0100_0000L << 32 | Long.parseLong(low, 16));
        assertThat(a.get(0x300)).as("written").isEqualTo(Long.parseLong(low, 16));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 15, 1 << 18, 1 << 18 | 15, 2 << 18 | 1})
    void illegalVectors(int low) {
        icr(0, low);
        incomplete(4, 0, 0);
        assertThat(a.m.info1()).isEqualTo(low);
    }

    @ParameterizedTest
    @CsvSource({
        "02000000, 00000095, 2, 4", // physical: the index is the id
        "05000000, 00000895, 2, 5", // logical: the index is that of the logical table
        "00000000, 00080095, 2, 15",
        "00000000, 000c0095, 2, 14",
        "ff000000, 00000095, 2, 15",
    })
    void aTargetThatDoesNotRunExitsAfterAllAreRequested(
            String high, String low, int index, int who) {
        physical(2, AvicMachine.RUNNING, 0);
        icr(Long.parseLong(high, 16), Long.parseLong(low, 16));
        incomplete(1, index, who);
    }

    @Test
    void theFirstThatDoesNotRunIsTold() {
        physical(1, AvicMachine.RUNNING, 0);
        physical(3, AvicMachine.RUNNING, 0);
        icr(0, 0x0008_0095);
        incomplete(1, 1, 15);
    }

    @ParameterizedTest
    @CsvSource({"04000000, 00000095, 4", "fe000000, 00000095, 254", "02000000, 00000095, 2"})
    void physicalTargetsThatAreNone(String high, String low, int index) {
        physical(2, AvicMachine.VALID, 0);
        icr(Long.parseLong(high, 16), Long.parseLong(low, 16));
        incomplete(2, index, 0);
    }

    @Test
    void broadcastsPassThemOver() {
        physical(2, AvicMachine.VALID | AvicMachine.RUNNING, 0);
        icr(0, 0x0008_0095);
        completed(0b1011);
    }

    @Test
    void broadcastsEndWithTheLastIndex() {
        a.m.put64(VmcbLayout.AVIC_PHYSICAL_TABLE, AvicMachine.PHYSICAL | 1);
        icr(0, 0x0008_0095);
        completed(0b0011);
    }

    @Test
    void logicalTargetsThatAreNoneKeepTheOthersFromTheInterrupt() {
        a.m.memory.write(AvicMachine.LOGICAL + 8, 4, 2); // not valid
        icr(0x0700_0000, 0x895);
        incomplete(2, 2, 0);
    }

    @Test
    void logicalEntriesBeyondThePhysicalTable() {
        a.m.memory.write(AvicMachine.LOGICAL + 4, 4, 1L << 31 | 9);
        icr(0x0300_0000, 0x895);
        incomplete(2, 1, 0);
    }

    @Test
    void cluster15IsReserved() {
        a.put(0xe0, 0x0fff_ffff);
        a.m.memory.write(AvicMachine.LOGICAL + 16 * 15, 4, 1L << 31);
        icr(0xf100_0000L, 0x895);
        incomplete(2, 60, 0);
    }

    @ParameterizedTest
    @CsvSource({
        "02000000, 00000095, 2",
        "04000000, 00000895, 2",
        "00000000, 00080095, 2",
    })
    void illegalBackingPages(String high, String low, int index) {
        physical(2, 0, 1L << 48);
        icr(Long.parseLong(high, 16), Long.parseLong(low, 16));
        incomplete(3, index, 0);
    }

    @Test
    void requestsAreAddedToThoseThere() {
        a.m.memory.write(AvicMachine.page(1) + 0x240, 4, 0x8000_0001L);
        icr(0x0100_0000, 0x95);
        assertThat(a.m.memory.read(AvicMachine.page(1) + 0x240, 4)).isEqualTo(0x8020_0001L);
    }

    @Test
    void x2apicLogicalIdsAreThoseOfTheProcessorIds() {
        x2();
        a.m.put64(VmcbLayout.AVIC_PHYSICAL_TABLE, AvicMachine.PHYSICAL | 0x22);
        a.m.memory.write64(
                AvicMachine.PHYSICAL + 8 * 0x22,
                AvicMachine.VALID | AvicMachine.RUNNING | AvicMachine.page(3) | 0xabc);
        a.run(AvicMachine.wrmsr(0x830, 0x0002_0004L << 32 | 0x895));
        completed(0b1000);
    }

    @ParameterizedTest
    @CsvSource({
        "ffffffff00000095, 15",
        "00000000000c0095, 14",
        "0000000300000095, 8",
        "0000000500000895, 5"
    })
    void x2apicTargets(String value, int who) {
        x2();
        a.run(AvicMachine.wrmsr(0x830, Long.parseUnsignedLong(value, 16)));
        completed(who);
    }

    @ParameterizedTest
    @CsvSource({
        "000000ff00000095, 2, 255",
        "0000000300000495, 0, 0",
        "0000000200000005, 4, 0",
        "0000000100000095, 1, 1",
        "0001000100000895, 2, 16"
    })
    void x2apicIncomplete(String value, int reason, int index) {
        x2();
        physical(1, AvicMachine.RUNNING, 0);
        long icr = Long.parseUnsignedLong(value, 16);
        a.run(AvicMachine.wrmsr(0x830, icr));
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.AVIC_INCOMPLETE_IPI);
        assertThat(a.m.info1()).isEqualTo(icr);
        assertThat(a.m.info2()).isEqualTo((long) reason << 32 | index);
        assertThat(a.m.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE + 17);
        assertThat(a.get(0x300)).isEqualTo(icr & 0xffff_ffffL);
        assertThat(a.get(0x310)).isEqualTo(icr >>> 32);
    }

    /** x2AVIC_EXT: a table of eight pages, ids of twelve bits. */
    @ParameterizedTest
    @CsvSource({
        "000009ab00000095, -1", // physical, logical, all but self
        "009a080000000895, -1",
        "00000000000c0095, -1",
        "000009ac00000095, 2476",
        "009a100000000895, 2476"
    })
    void x2apicIdsOfTwelveBits(String value, int invalid) {
        x2();
        long table = 0xa0000;
        a.m.put64(VmcbLayout.AVIC_PHYSICAL_TABLE, table | 0xfff);
        a.m.memory.write64(
                table + 8 * 0x9ab,
                AvicMachine.VALID | AvicMachine.RUNNING | AvicMachine.page(2) | 0xabc);
        a.run(AvicMachine.wrmsr(0x830, Long.parseUnsignedLong(value, 16)));
        if (invalid < 0) {
            completed(0b100);
        } else {
            assertThat(a.m.exitCode()).isEqualTo(ExitCode.AVIC_INCOMPLETE_IPI);
            assertThat(a.m.info2()).isEqualTo(2L << 32 | invalid);
        }
    }

    @Test
    void selfIpi() {
        x2();
        a.run(AvicMachine.wrmsr(0x83f, VECTOR));
        completed(1);
    }

    @Test
    void selfIpiWithAnIllegalVector() {
        x2();
        a.run(AvicMachine.wrmsr(0x83f, 7));
        assertThat(a.m.exitCode()).isEqualTo(ExitCode.AVIC_INCOMPLETE_IPI);
        assertThat(a.m.info2()).isEqualTo(4L << 32);
    }

    @Test
    void aSelfIpiIsTakenAtOnce() {
        a.m.put64(VmcbLayout.RFLAGS, Cpu.IF | 2);
        a.m.code(SvmMachine.GUEST_CODE, AvicMachine.store(0x300, 0x0004_0095) + "90");
        a.m.vmrun();
        a.m.run(2);
        assertThat(a.m.cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16 * VECTOR);
        assertThat(a.m.memory.read64(a.m.cpu.r[Cpu.RSP])).isEqualTo(SvmMachine.GUEST_CODE + 10);
        assertThat(a.bit(0, IRR, VECTOR)).isFalse();
        assertThat(a.bit(0, 0x100, VECTOR)).isTrue();
    }
}
