package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.observe.MachineObserver;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** INVLPGB and TLBSYNC (APM Vol 3), in the host and in guests, on all processors. */
class BroadcastInvalidationTest {
    private static final int NEVER = 0x7777;
    private static final long PAGE = 0x80000;
    private static final long OTHER = 0x90000;
    private static final long P = SvmMachine.P | SvmMachine.W;
    private static final long GLOBAL = 1 << 8;

    /**
     * A guest with translations of {@link #PAGE} and its neighbours in its TLB, whose tables now
     * say otherwise.
     */
    private static SvmMachine staleGuest(String hex, long bits) {
        SvmMachine machine = new SvmMachine();
        machine.put64(VmcbLayout.EXITCODE, NEVER);
        machine.put64(VmcbLayout.NP_ENABLE, VmcbLayout.INVLPGB_ENABLE);
        machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | Cpu.CR4_PGE | Cpu.CR4_PCIDE);
        machine.code(SvmMachine.GUEST_CODE, hex);
        for (int i = 0; i < 8; i++) {
            machine.guestPage(PAGE + 0x1000 * i, PAGE + 0x1000 * i | P | bits);
            machine.memory.write64(PAGE + 0x1000 * i, 1);
        }
        machine.memory.write64(OTHER, 2);
        machine.vmrun();
        for (int i = 0; i < 8; i++) {
            assertThat(machine.cpu.mmu.read64(PAGE + 0x1000 * i)).isEqualTo(1);
            machine.guestPage(PAGE + 0x1000 * i, OTHER | P | bits);
        }
        machine.cpu.r[Cpu.RCX] = 0;
        machine.cpu.r[Cpu.RDX] = 0;
        return machine;
    }

    /** Which of the eight pages the guest now sees through the new tables, a bit each. */
    private static int fresh(SvmMachine machine) {
        int pages = 0;
        for (int i = 0; i < 8; i++) {
            pages |= machine.cpu.mmu.read64(PAGE + 0x1000 * i) == 2 ? 1 << i : 0;
        }
        return pages;
    }

    @ParameterizedTest
    @CsvSource({
        // RAX, ECX, EDX, pages that are dropped; a guest's ASID is its own whatever it says
        "0x80001, 0, 0, 0x01",
        "0x82001, 0, 0, 0x04",
        "0x81001, 2, 0, 0x0e",
        "0x80001, 7, 0, 0xff",
        "0x80005, 0, 0x1234, 0x01",
        "0x80003, 1, 0x50000, 0x03",
        "0x00000, 0, 0, 0xff",
        "0x00008, 0, 0, 0xff",
        "0x00024, 0, 0, 0xff",
    })
    void theGuestDropsItsOwnTranslations(String rax, int ecx, String edx, String pages) {
        try (SvmMachine machine = staleGuest("0f01fe 0f01ff", 0)) {
            machine.cpu.r[Cpu.RAX] = Long.decode(rax);
            machine.cpu.r[Cpu.RCX] = ecx;
            machine.cpu.r[Cpu.RDX] = Long.decode(edx);
            machine.step(2);
            assertThat(machine.cpu.guestMode).isTrue();
            assertThat(machine.cpu.rip).isEqualTo(SvmMachine.GUEST_CODE + 6);
            assertThat(fresh(machine)).isEqualTo(Integer.decode(pages));
        }
    }

    @ParameterizedTest
    @CsvSource({"0x0, 0", "0x8, 0xff", "0x20, 0xff"})
    void globalTranslationsStayUnlessIncluded(String rax, String pages) {
        try (SvmMachine machine = staleGuest("0f01fe", GLOBAL)) {
            machine.cpu.r[Cpu.RAX] = Long.decode(rax);
            machine.step(1);
            assertThat(fresh(machine)).isEqualTo(Integer.decode(pages));
        }
    }

    @Test
    void stepsOfTwoMebibytes() {
        try (SvmMachine machine = staleGuest("0f01fe", 0)) {
            machine.cpu.r[Cpu.RAX] = PAGE + 1 - (1 << 21); // the second step reaches the page
            machine.cpu.r[Cpu.RCX] = 1L << 31 | 1;
            machine.step(1);
            assertThat(fresh(machine)).isEqualTo(1);
        }
    }

    @ParameterizedTest
    @CsvSource({"0x4, 1, true", "0x4, 2, false", "0x0, 2, true", "0x24, 1, true"})
    void theHostNamesAnAsidOrReachesAll(String rax, int asid, boolean dropped) {
        try (SvmMachine machine = staleGuest("90", 0)) {
            machine.svm.exit(ExitCode.INTR, 0, 0);
            machine.code(SvmMachine.HOST_CODE + 3, "0f01fe");
            machine.cpu.r[Cpu.RAX] = Long.decode(rax);
            machine.cpu.r[Cpu.RCX] = 0;
            machine.cpu.r[Cpu.RDX] = asid;
            machine.step(1);
            assertThat(machine.cpu.rip).isEqualTo(SvmMachine.HOST_CODE + 6);
            machine.cpu.r[Cpu.RAX] = SvmMachine.VMCB;
            machine.vmrun();
            assertThat(fresh(machine)).isEqualTo(dropped ? 0xff : 0);
        }
    }

    @Test
    void allIsReached() {
        try (SvmMachine machine = new SvmMachine()) {
            Cpu other = new Cpu(1, machine.clock, machine.memory, machine.ports);
            other.apic = machine.apic;
            other.cr0 = machine.cpu.cr0;
            other.cr3 = SvmMachine.GUEST_PML4;
            other.cr4 = machine.cpu.cr4;
            other.efer = machine.cpu.efer;
            other.updateMode();
            machine.cpu.all = List.of(machine.cpu, other);
            machine.memory.write64(PAGE, 1);
            machine.memory.write64(OTHER, 2);
            assertThat(other.mmu.read64(PAGE)).isEqualTo(1);
            machine.guestPage(PAGE, OTHER | P);
            assertThat(other.mmu.read64(PAGE)).isEqualTo(1);
            List<String> told = new ArrayList<>();
            machine.cpu.observer =
                    new MachineObserver() {
                        @Override
                        public void tlbPageFlushed(int vcpu, int asid, long va) {
                            told.add("%d %d %x".formatted(vcpu, asid, va));
                        }
                    };
            machine.code(SvmMachine.HOST_CODE, "0f01fe");
            machine.cpu.r[Cpu.RAX] = PAGE | 5;
            machine.cpu.r[Cpu.RCX] = 1;
            machine.cpu.r[Cpu.RDX] = 0;
            machine.step(1);
            assertThat(other.mmu.read64(PAGE)).isEqualTo(2);
            assertThat(told).containsExactly("0 0 80000", "0 0 81000", "1 0 80000", "1 0 81000");
        }
    }

    @ParameterizedTest
    @CsvSource({
        "0x40, 0, 0", // reserved bits of each register
        "0x800, 0, 0",
        "0, 0x10000, 0",
        "0, 0x40000000, 0",
        "0, 0, 0x10000000",
        "0, 0, 0x80000000",
        "1, 8, 0", // one page too many
        "2, 0, 0x10000", // PCIDs are not enabled
        "7, 0, 0x8000000",
    })
    void illegalOperands(String rax, String ecx, String edx) {
        for (boolean intercepted : new boolean[] {false, true}) {
            try (SvmMachine machine = new SvmMachine()) {
                machine.put64(VmcbLayout.NP_ENABLE, VmcbLayout.INVLPGB_ENABLE);
                machine.code(SvmMachine.GUEST_CODE, "0f01fe");
                machine.put64(VmcbLayout.RAX, Long.decode(rax));
                machine.cpu.r[Cpu.RCX] = Long.decode(ecx);
                machine.cpu.r[Cpu.RDX] = Long.decode(edx);
                machine.intercept(ExitCode.EXCEPTION + GuestException.GP);
                if (intercepted) {
                    machine.intercept(ExitCode.INVLPGB_ILLEGAL);
                }
                assertThat(machine.vmrunAndRun(1)).isTrue();
                assertThat(machine.exitCode())
                        .isEqualTo(
                                intercepted
                                        ? ExitCode.INVLPGB_ILLEGAL
                                        : ExitCode.EXCEPTION + GuestException.GP);
                assertThat(machine.info1()).isZero();
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"2, 0x0", "2, 0xffff", "1, 0x10000", "0, 0xfff0000"})
    void withoutPcidsTheirNumberMustBeZeroWhereItCounts(String rax, String edx) {
        try (SvmMachine machine = new SvmMachine()) {
            machine.code(SvmMachine.HOST_CODE, "0f01fe");
            machine.cpu.r[Cpu.RAX] = Long.decode(rax);
            machine.cpu.r[Cpu.RCX] = 0;
            machine.cpu.r[Cpu.RDX] = Long.decode(edx);
            machine.step(1);
            assertThat(machine.cpu.rip).isEqualTo(SvmMachine.HOST_CODE + 3);
        }
    }

    @Test
    void nestedTranslationsAreAFeature() {
        try (SvmMachine machine = staleGuest("0f01fe", 0)) {
            machine.cpu.model = CpuModel.parse("epyc-milan,-invlpgb-nested");
            machine.cpu.r[Cpu.RAX] = 0x20;
            machine.step(1);
            assertThat(machine.cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16 * GuestException.GP);
        }
    }

    /** VMCB 090h bit 7 */
    @ParameterizedTest
    @CsvSource({
        // instruction, model without TLBI_CTL, VMCB bit, intercept, exit code
        "0f01fe, false, false, 0, 0x46",
        "0f01ff, false, false, 0, 0x46",
        "0f01fe, false, false, 0xa0, 0xa0",
        "0f01fe, false, false, 0xa1, 0xa1",
        "0f01ff, false, false, 0xa4, 0x46",
        "0f01fe, false, true, 0xa1, 0x7777",
        "0f01ff, false, true, 0xa4, 0xa4",
        "0f01fe, true, false, 0, 0x7777",
        "0f01ff, true, false, 0xa4, 0x7777",
    })
    void theyAreUndefinedInGuestsThatMayNotHaveThem(
            String hex, boolean old, boolean enabled, String intercept, String exit) {
        try (SvmMachine machine = new SvmMachine()) {
            if (old) {
                machine.cpu.model = CpuModel.parse("epyc-milan,-tlbi-ctl");
            }
            machine.put64(VmcbLayout.EXITCODE, NEVER);
            machine.put64(VmcbLayout.NP_ENABLE, enabled ? VmcbLayout.INVLPGB_ENABLE : 0);
            machine.put64(VmcbLayout.RAX, 0);
            machine.cpu.r[Cpu.RCX] = 0;
            machine.cpu.r[Cpu.RDX] = 0;
            machine.code(SvmMachine.GUEST_CODE, hex);
            machine.intercept(ExitCode.EXCEPTION + GuestException.UD);
            if (!intercept.equals("0")) {
                machine.intercept(Integer.decode(intercept));
            }
            machine.vmrunAndRun(1);
            assertThat(machine.exitCode()).isEqualTo(Long.decode(exit));
        }
    }
}
