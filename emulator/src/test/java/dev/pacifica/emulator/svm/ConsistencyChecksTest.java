package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * §15.5.1 "Canonicalization and Consistency Checks", §15.20, §15.25.3, §15.25.4: each illegal state
 * exits with VMEXIT_INVALID.
 */
class ConsistencyChecksTest {
    private static Arguments rule(String text, Consumer<SvmMachine> fault) {
        return arguments(text, fault);
    }

    private static void set(SvmMachine m, int offset, long bits) {
        m.put64(offset, m.get64(offset) | bits);
    }

    private static void clear(SvmMachine m, int offset, long bits) {
        m.put64(offset, m.get64(offset) & ~bits);
    }

    private static Consumer<SvmMachine> avic(long control, int offset, long value) {
        return m -> {
            m.put64(VmcbLayout.V_INTR, 1L << 31 | control);
            m.put64(offset, value);
        };
    }

    private static void injectException(SvmMachine m, int vector) {
        m.put64(VmcbLayout.EVENTINJ, 1L << 31 | 3 << 8 | vector);
    }

    static Stream<Arguments> rules() {
        return Stream.of(
                rule("x2AVIC mode is enabled", m -> m.put64(VmcbLayout.V_INTR, 1L << 30)),
                rule("AVIC_BACKING_PAGE", avic(0, VmcbLayout.AVIC_BACKING_PAGE, 1L << 48)),
                rule("AVIC_BACKING_PAGE", avic(0, VmcbLayout.AVIC_BACKING_PAGE, 1L << 63)),
                rule("logical APIC ID table", avic(0, VmcbLayout.AVIC_LOGICAL_TABLE, 1L << 48)),
                rule("physical APIC ID table", avic(0, VmcbLayout.AVIC_PHYSICAL_TABLE, 1L << 52)),
                rule("AVIC_PHYSICAL_MAX_INDEX", avic(0, VmcbLayout.AVIC_PHYSICAL_TABLE, 256)),
                rule(
                        "AVIC_PHYSICAL_MAX_INDEX",
                        m -> {
                            m.cpu.model = CpuModel.parse("epyc-milan,-x2avic-ext");
                            avic(1L << 30, VmcbLayout.AVIC_PHYSICAL_TABLE, 512).accept(m);
                        }),
                rule( // eight pages, of which the last is beyond
                        "physical APIC ID table",
                        avic(1L << 30, VmcbLayout.AVIC_PHYSICAL_TABLE, (1L << 48) - 0x6001)),
                rule("EFER.SVME is zero", m -> clear(m, VmcbLayout.EFER, Cpu.EFER_SVME)),
                rule("CR0.CD is zero and CR0.NW", m -> set(m, VmcbLayout.CR0, Cpu.CR0_NW)),
                rule("CR0[63:32]", m -> set(m, VmcbLayout.CR0, 1L << 32)),
                rule("CR0[63:32]", m -> set(m, VmcbLayout.CR0, 1L << 63)),
                rule("MBZ bit of CR3", m -> set(m, VmcbLayout.CR3, 1L << 52)),
                rule("MBZ bit of CR3", m -> set(m, VmcbLayout.CR3, 1L << 48)),
                rule(
                        "MBZ bit of CR3",
                        m -> { // MOV CR3's bit 63 is never stored (§5.5.1)
                            m.cpu.model = CpuModel.parse("epyc-milan,+pcid");
                            set(m, VmcbLayout.CR4, Cpu.CR4_PCIDE);
                            set(m, VmcbLayout.CR3, 1L << 63);
                        }),
                rule("MBZ bit of CR4", m -> set(m, VmcbLayout.CR4, 1L << 13)),
                rule("MBZ bit of CR4", m -> set(m, VmcbLayout.CR4, 1L << 40)),
                rule("DR6[63:32]", m -> set(m, VmcbLayout.DR6, 1L << 32)),
                rule("DR7[63:32]", m -> set(m, VmcbLayout.DR7, 1L << 63)),
                rule("MBZ bit of EFER", m -> set(m, VmcbLayout.EFER, 1L << 9)),
                rule("MBZ bit of EFER", m -> set(m, VmcbLayout.EFER, 1L << 63)),
                rule(
                        "no long mode",
                        m -> {
                            m.cpu.model = CpuModel.parse("epyc-milan,-lm");
                            m.protected32();
                            set(m, VmcbLayout.EFER, Cpu.EFER_LMA);
                        }),
                rule(
                        "no long mode",
                        m -> {
                            m.cpu.model = CpuModel.parse("epyc-milan,-lm");
                            m.protected32();
                            set(m, VmcbLayout.EFER, Cpu.EFER_LME);
                        }),
                rule("CR4.PAE is zero", m -> clear(m, VmcbLayout.CR4, Cpu.CR4_PAE)),
                rule("CR0.PE is zero", m -> clear(m, VmcbLayout.CR0, Cpu.CR0_PE)),
                rule("CS.L and CS.D", m -> m.put16(VmcbLayout.CS + VmcbLayout.ATTRIBUTES, 0xe9b)),
                rule("VMRUN intercept is clear", m -> m.put32(VmcbLayout.INTERCEPT_MISC2, 0)),
                rule(
                        "MSR permission map",
                        m -> m.put64(VmcbLayout.MSRPM_BASE_PA, (1L << 48) - 0x1000)),
                rule("MSR permission map", m -> m.put64(VmcbLayout.MSRPM_BASE_PA, -1L)),
                rule(
                        "I/O permission map",
                        m -> m.put64(VmcbLayout.IOPM_BASE_PA, (1L << 48) - 0x2000)),
                rule("I/O permission map", m -> m.put64(VmcbLayout.IOPM_BASE_PA, 1L << 48)),
                rule("of no exception", m -> injectException(m, 2)),
                rule("of no exception", m -> injectException(m, 9)),
                rule("of no exception", m -> injectException(m, 15)),
                rule("of no exception", m -> injectException(m, 31)),
                rule("of no exception", m -> injectException(m, 32)),
                rule("impossible in 64-bit mode", m -> injectException(m, 4)),
                rule("impossible in 64-bit mode", m -> injectException(m, 5)),
                rule("a reserved TYPE", m -> m.put64(VmcbLayout.EVENTINJ, 1L << 31 | 1 << 8 | 14)),
                rule("a reserved TYPE", m -> m.put64(VmcbLayout.EVENTINJ, 1L << 31 | 5 << 8 | 14)),
                rule("a reserved TYPE", m -> m.put64(VmcbLayout.EVENTINJ, 1L << 31 | 7 << 8 | 14)),
                rule("ASID is zero", m -> m.put32(VmcbLayout.ASID, 0)),
                rule("ASID is not below", m -> m.put32(VmcbLayout.ASID, 0x8000)),
                rule("ASID is not below", m -> m.put32(VmcbLayout.ASID, 0xffff_ffffL)),
                rule(
                        "MBZ bit of nCR3",
                        m -> {
                            m.nestedPaging();
                            set(m, VmcbLayout.N_CR3, 1L << 52);
                        }),
                rule(
                        "G_PAT",
                        m -> {
                            m.nestedPaging();
                            m.put64(VmcbLayout.G_PAT, 2);
                        }),
                rule(
                        "G_PAT",
                        m -> {
                            m.nestedPaging();
                            m.put64(VmcbLayout.G_PAT, 3L << 56);
                        }),
                rule(
                        "G_PAT",
                        m -> {
                            m.nestedPaging();
                            m.put64(VmcbLayout.G_PAT, 8L << 24);
                        }),
                rule(
                        "host's CR0.PG is zero",
                        m -> {
                            m.nestedPaging();
                            m.cpu.cr0 = Cpu.CR0_PE | Cpu.CR0_ET;
                            m.cpu.efer = Cpu.EFER_SVME;
                            m.cpu.segAttr[Cpu.CS] = SvmMachine.CODE32;
                            m.cpu.updateMode();
                        }),
                rule(
                        "page-directory-pointer",
                        m -> {
                            m.protected32();
                            set(m, VmcbLayout.CR0, Cpu.CR0_PG);
                            set(m, VmcbLayout.CR4, Cpu.CR4_PAE);
                            m.put64(VmcbLayout.CR3, 0x70000);
                            m.memory.write64(0x70000 + 24, 0x71000 | SvmMachine.P | SvmMachine.W);
                        }));
    }

    @ParameterizedTest
    @MethodSource("rules")
    void illegalStateExitsInvalidAndTellsTheRule(String text, Consumer<SvmMachine> fault) {
        try (SvmMachine machine = new SvmMachine()) {
            fault.accept(machine);
            machine.put64(VmcbLayout.EXITINTINFO, 1L << 31 | 13);
            Recorder recorder = new Recorder();
            machine.cpu.observer = recorder;
            machine.vmrun();

            assertThat(machine.exitCode()).isEqualTo(-1);
            assertThat(machine.get64(VmcbLayout.EXITINTINFO)).isZero();
            assertThat(machine.get64(VmcbLayout.EVENTINJ)).isZero();
            assertThat(machine.get64(VmcbLayout.NRIP)).isZero();
            assertThat(machine.cpu.guestMode).isFalse();
            assertThat(machine.cpu.gif).isFalse();
            assertThat(machine.cpu.rip).isEqualTo(SvmMachine.HOST_CODE + 3);
            assertThat(machine.cpu.r[Cpu.RAX]).isEqualTo(SvmMachine.VMCB);
            assertThat(recorder.lines).hasSize(3);
            assertThat(recorder.lines.get(1)).startsWith("failure §15.").contains(text);
            assertThat(recorder.lines.get(2)).contains("code ffffffffffffffff");
        }
    }

    static Stream<Consumer<SvmMachine>> legal() {
        return Stream.of(
                m -> {},
                avic(0, VmcbLayout.AVIC_PHYSICAL_TABLE, 255),
                avic(1L << 30, VmcbLayout.AVIC_PHYSICAL_TABLE, 511),
                avic(1L << 30, VmcbLayout.AVIC_PHYSICAL_TABLE, 0xfff),
                avic(1L << 30, VmcbLayout.AVIC_PHYSICAL_TABLE, (1L << 48) - 0x7001),
                avic(1L << 30, VmcbLayout.AVIC_LOGICAL_TABLE, -1), // not used
                avic(0, VmcbLayout.AVIC_BACKING_PAGE, 0xfff),
                m -> { // without the features their bits are ignored
                    m.cpu.model = CpuModel.parse("epyc-milan,-x2avic");
                    m.put64(VmcbLayout.V_INTR, 1L << 30);
                },
                m -> {
                    m.cpu.model = CpuModel.parse("epyc-milan,-avic");
                    m.put64(VmcbLayout.V_INTR, 3L << 30);
                    m.put64(VmcbLayout.AVIC_BACKING_PAGE, -1);
                },
                m -> set(m, VmcbLayout.CR0, Cpu.CR0_NW | Cpu.CR0_CD),
                m -> set(m, VmcbLayout.CR3, 0xfff),
                m -> m.put64(VmcbLayout.MSRPM_BASE_PA, SvmMachine.MSRPM | 0xfff),
                m -> m.put64(VmcbLayout.MSRPM_BASE_PA, (1L << 48) - 0x2000),
                m -> m.put64(VmcbLayout.IOPM_BASE_PA, (1L << 48) - 0x3000),
                m -> m.put32(VmcbLayout.ASID, 0x7fff),
                m -> m.put64(VmcbLayout.EVENTINJ, 3 << 8 | 2), // not valid, so not looked at
                m -> m.put16(VmcbLayout.CS + VmcbLayout.ATTRIBUTES, 0xc9b), // compatibility mode
                m -> clear(m, VmcbLayout.EFER, Cpu.EFER_LMA), // derived from LME and PG
                m -> m.nestedPaging(),
                m -> {
                    m.nestedPaging();
                    m.put64(VmcbLayout.G_PAT, 0x0706_0504_0100_0706L);
                },
                m -> m.put64(VmcbLayout.G_PAT, -1), // nobody looks without nested paging
                m -> m.put64(VmcbLayout.N_CR3, -1),
                m -> { // what nobody offers is ignored: SEV, SSS, VTE
                    m.put64(VmcbLayout.NP_ENABLE, 0x36);
                    m.put64(VmcbLayout.N_CR3, -1);
                },
                m -> { // without nested paging in the processor its enable bit is ignored
                    m.cpu.model = CpuModel.parse("epyc-milan,-npt");
                    m.nestedPaging();
                    m.put64(VmcbLayout.N_CR3, -1);
                },
                m -> { // a host without paging may run a guest without nested paging
                    m.cpu.cr0 = Cpu.CR0_PE | Cpu.CR0_ET;
                    m.cpu.efer = Cpu.EFER_SVME;
                    m.cpu.segAttr[Cpu.CS] = SvmMachine.CODE32;
                    m.cpu.updateMode();
                    m.protected32();
                },
                m -> set(m, VmcbLayout.CR4, Cpu.CR4_PGE | Cpu.CR4_SMEP | Cpu.CR4_SMAP),
                m -> { // legacy paging looks at the low half of CR3 only
                    m.protected32();
                    set(m, VmcbLayout.CR0, Cpu.CR0_PG);
                    m.put64(VmcbLayout.CR3, -1L << 32 | 0x70000);
                },
                m -> m.put64(VmcbLayout.EVENTINJ, 1L << 31 | 0x7fff_f000L | 2 << 8 | 0x80),
                SvmMachine::protected32,
                SvmMachine::real,
                m -> { // paged real mode (§15.19)
                    m.real();
                    set(m, VmcbLayout.CR0, Cpu.CR0_PG);
                    m.put64(VmcbLayout.CR3, 0x70000);
                },
                m -> { // PAE with nested paging reads its pointers on demand (§15.25.10)
                    m.protected32();
                    m.nestedPaging();
                    set(m, VmcbLayout.CR0, Cpu.CR0_PG);
                    set(m, VmcbLayout.CR4, Cpu.CR4_PAE);
                    m.put64(VmcbLayout.CR3, 0x70000);
                    m.memory.write64(0x70000, 0x71000 | SvmMachine.P | SvmMachine.W);
                });
    }

    @ParameterizedTest
    @MethodSource("legal")
    void legalStateEntersTheGuest(Consumer<SvmMachine> change) {
        try (SvmMachine machine = new SvmMachine()) {
            change.accept(machine);
            machine.vmrun();
            assertThat(machine.cpu.guestMode).isTrue();
            assertThat(machine.cpu.gif).isTrue();
        }
    }

    @Test
    void vmrunWithAsidZeroExitsInvalid() {
        try (SvmMachine machine = new SvmMachine()) {
            machine.put32(VmcbLayout.ASID, 0);
            machine.vmrun();
            assertThat(machine.exitCode()).isEqualTo(-1);
        }
    }

    @Test
    void aRefusedGuestsStateIsNotTouched() {
        try (SvmMachine machine = new SvmMachine()) {
            machine.put32(VmcbLayout.ASID, 0);
            machine.put64(VmcbLayout.RAX, 0x1234);
            machine.cpu.r[Cpu.RBX] = 7;
            machine.cpu.cr2 = 0x5555;
            byte[] before = new byte[0xc00];
            machine.memory.read(SvmMachine.VMCB + VmcbLayout.STATE, before, 0, before.length);
            machine.vmrun();
            byte[] after = new byte[0xc00];
            machine.memory.read(SvmMachine.VMCB + VmcbLayout.STATE, after, 0, after.length);
            assertThat(after).isEqualTo(before);
            assertThat(machine.cpu.cr2).isEqualTo(0x5555);
            assertThat(machine.cpu.cr3).isEqualTo(SvmMachine.HOST_PML4);
        }
    }
}
