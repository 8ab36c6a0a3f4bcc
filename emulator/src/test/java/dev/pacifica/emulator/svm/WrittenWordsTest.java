package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.observe.MachineObserver;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What VMRUN, #VMEXIT and VMSAVE write to memory, bit by bit: all that Appendix B and §15.6 tell
 * and nothing else. Memory is filled at random before, also behind the back of a guest that runs,
 * as the hypervisor's other processors may do, and the registers are anything when the guest is
 * left. So a field that is forgotten shows, and so does one that comes from a stale copy.
 */
class WrittenWordsTest {
    private static final int RUNS = 300;
    private static final long ALL = -1;
    private static final long LIMIT = 0xffff_ffffL << 32;

    private static final String[] MODELS = {
        "epyc-milan",
        "epyc-milan,-v-spec-ctrl",
        "epyc-milan,-npt,-lbrv",
        "epyc-milan,-vgif,-vnmi",
        "epyc-milan,-decodeassists,-nrip-save,-bus-lock-threshold"
    };

    private static final int[] EXITS = {
        ExitCode.HLT,
        ExitCode.CPUID,
        ExitCode.IOIO,
        ExitCode.INTR,
        ExitCode.SHUTDOWN,
        ExitCode.SWINT,
        ExitCode.VMMCALL,
        ExitCode.BUSLOCK,
        ExitCode.NPF,
        ExitCode.EXCEPTION + GuestException.PF
    };

    /** The state-save area as VMRUN saves the host's and #VMEXIT the guest's, whole words. */
    private static final int[] SWITCHED = {
        0x400, 0x408, 0x410, 0x418, 0x420, 0x428, 0x430, 0x438, 0x468, 0x488, 0x4d0, 0x548, 0x550,
        0x558, 0x570, 0x578, 0x5d8, 0x5f8
    };

    /** VMSAVE's part of it. */
    private static final int[] HIDDEN = {
        0x440, 0x448, 0x450, 0x458, 0x470, 0x478, 0x490, 0x498, 0x600, 0x608, 0x610, 0x618, 0x620,
        0x628, 0x630, 0x638
    };

    private static final int[] BRANCH_RECORDS = {0x670, 0x678, 0x680, 0x688, 0x690};

    /** The VMCB as the observer of a #VMEXIT sees it. */
    private static final class Seen implements MachineObserver {
        private final long[] words = new long[VmcbLayout.SIZE / 8];

        @Override
        public void vmexit(int vcpu, long vmcb, VmcbView state, long guestInstructions) {
            for (int i = 0; i < words.length; i++) {
                words[i] = state.get(8 * i, 8);
            }
        }
    }

    private static long[] page(SvmMachine m, long address) {
        long[] words = new long[VmcbLayout.SIZE / 8];
        for (int i = 0; i < words.length; i++) {
            words[i] = m.memory.read64(address + 8 * i);
        }
        return words;
    }

    private static long[] fill(SvmMachine m, long address, SplittableRandom random) {
        long[] words = random.longs(VmcbLayout.SIZE / 8).toArray();
        for (int i = 0; i < words.length; i++) {
            m.memory.write64(address + 8 * i, words[i]);
        }
        return words;
    }

    /** The words that differ outside the bits given, as hexadecimal offsets. */
    private static List<String> changed(long[] before, long[] after, long[] mayChange) {
        List<String> offsets = new ArrayList<>();
        for (int i = 0; i < before.length; i++) {
            if (((before[i] ^ after[i]) & ~mayChange[i]) != 0) {
                offsets.add("%x: %x became %x".formatted(8 * i, before[i], after[i]));
            }
        }
        return offsets;
    }

    private static List<String> changed(long[] before, long[] after) {
        return changed(before, after, new long[before.length]);
    }

    private static void whole(long[] mask, int... offsets) {
        for (int offset : offsets) {
            mask[offset / 8] = ALL;
        }
    }

    // ---- #VMEXIT ----

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void vmexitWritesWhatItMust(boolean cached) {
        for (int run = 0; run < RUNS; run++) {
            SplittableRandom random = new SplittableRandom(run);
            try (SvmMachine m = new SvmMachine()) {
                if (cached) {
                    m.svm.cacheVmcbs();
                }
                Seen seen = random.nextBoolean() ? new Seen() : null;
                m.cpu.observer = seen;
                m.cpu.model = CpuModel.parse(MODELS[random.nextInt(MODELS.length)]);
                controls(m, random);
                long[] control = page(m, SvmMachine.VMCB);
                m.vmrun();
                assertThat(m.cpu.guestMode).as("run %d: the guest was entered", run).isTrue();
                int code = EXITS[random.nextInt(EXITS.length)];
                boolean bytes =
                        code == ExitCode.NPF || code == ExitCode.EXCEPTION + GuestException.PF;
                change(m, random, !bytes);
                long[] before = fill(m, SvmMachine.VMCB, random);
                long[] expected = before.clone();
                guest(expected, m.cpu, control);
                long info1 = random.nextLong();
                long info2 = random.nextLong();
                m.svm.exit(code, info1, info2);
                long[] after = page(m, SvmMachine.VMCB);
                assertThat(after[0x70 / 8]).as("EXITCODE").isEqualTo(code);
                assertThat(after[0x80 / 8]).as("EXITINFO2").isEqualTo(info2);
                if (code != ExitCode.SWINT) { // undefined without decode assists
                    assertThat(after[0x78 / 8]).as("EXITINFO1").isEqualTo(info1);
                }
                assertThat(after[0xa8 / 8]).as("EVENTINJ").isZero();
                System.arraycopy(after, 0, expected, 0, VmcbLayout.STATE / 8);
                assertThat(changed(expected, after))
                        .as("run %d: the state-save area, and the guest's registers", run)
                        .isEmpty();
                assertThat(changed(before, after, written(m, control, after)))
                        .as("run %d: words that #VMEXIT has no business with", run)
                        .isEmpty();
                if (seen != null) {
                    assertThat(changed(after, seen.words))
                            .as("run %d: words in memory, and as #VMEXIT set them", run)
                            .isEmpty();
                }
            }
        }
    }

    private static void controls(SvmMachine m, SplittableRandom random) {
        long nmi = random.nextInt(2) * (1L << 26);
        m.put64(
                VmcbLayout.V_INTR,
                nmi | random.nextLong() & ~(3L << 30 | 1L << 26)); // without AVIC
        m.put64(VmcbLayout.INTERRUPT_SHADOW, random.nextLong());
        m.put64(VmcbLayout.NP_ENABLE, random.nextInt(2));
        m.put64(VmcbLayout.LBR_VIRTUALIZATION_ENABLE, random.nextInt(4));
        m.put64(VmcbLayout.SPEC_CTRL, random.nextLong());
        m.put64(VmcbLayout.DBGCTL, random.nextInt(4));
        m.put64(VmcbLayout.BUS_LOCK_THRESHOLD, random.nextLong() | 0x100);
        m.intercept(ExitCode.NMI);
        m.intercept(ExitCode.CLGI);
        if (random.nextBoolean()) {
            m.intercept(ExitCode.BUSLOCK);
        }
    }

    /** Everything that #VMEXIT stores gets another value. */
    private static void change(SvmMachine m, SplittableRandom random, boolean codeToo) {
        Cpu cpu = m.cpu;
        if (m.svm.countsBusLocks()) {
            m.svm.lockBus();
        }
        m.svm.setVirtualTaskPriority(random.nextInt(16));
        if (random.nextBoolean()) {
            m.svm.acknowledgeVirtualInterrupt();
        }
        if (m.svm.virtualGif()) {
            m.svm.setVirtualGif(random.nextBoolean());
        }
        if (m.svm.virtualNmi() && random.nextBoolean()) {
            m.svm.acknowledgeVirtualNmi();
        }
        cpu.events.delivering = random.nextBoolean();
        cpu.events.deliveringInfo = random.nextLong();
        cpu.interruptShadow = random.nextBoolean();
        cpu.stackShadow = random.nextBoolean();
        for (int i = 0; i < 8; i++) {
            if (codeToo || i != Cpu.CS) {
                cpu.segSelector[i] = random.nextInt(0x10000);
                cpu.segAttr[i] = random.nextInt(0x1000);
                cpu.segLimit[i] = random.nextLong() & 0xffff_ffffL;
                cpu.segBase[i] = random.nextLong();
            }
        }
        if (codeToo) {
            cpu.cr0 = random.nextLong();
            cpu.cr3 = random.nextLong();
            cpu.cr4 = random.nextLong();
            cpu.efer = random.nextLong();
            cpu.rip = random.nextLong();
            cpu.cpl = random.nextInt(4);
        }
        cpu.gdtrBase = random.nextLong();
        cpu.gdtrLimit = random.nextInt(0x10000);
        cpu.idtrBase = random.nextLong();
        cpu.idtrLimit = random.nextInt(0x10000);
        cpu.cr2 = random.nextLong();
        cpu.dr[6] = random.nextLong();
        cpu.dr[7] = random.nextLong();
        cpu.setRflags(random.nextInt() & 0x8d5 | 2);
        cpu.r[Cpu.RSP] = random.nextLong();
        cpu.r[Cpu.RAX] = random.nextLong();
        cpu.msrs.pat = random.nextLong() & 0x0505_0505_0505_0505L; // UC, WC, WT, WP
        cpu.msrs.specCtrl = random.nextLong();
        cpu.msrs.debugCtl = random.nextLong();
        branchRecords(cpu, random);
    }

    private static void branchRecords(Cpu cpu, SplittableRandom random) {
        cpu.msrs.lastBranchFrom = random.nextLong();
        cpu.msrs.lastBranchTo = random.nextLong();
        cpu.msrs.lastExceptionFrom = random.nextLong();
        cpu.msrs.lastExceptionTo = random.nextLong();
    }

    /**
     * The bits that #VMEXIT may change (Appendix B).
     *
     * @param control the VMCB as VMRUN found it
     * @param after the VMCB now, which tells how many instruction bytes there are
     */
    private static long[] written(SvmMachine m, long[] control, long[] after) {
        long[] mask = new long[after.length];
        String model = m.cpu.model.name();
        whole(mask, SWITCHED);
        whole(mask, 0x70, 0x78, 0x80, 0x88, 0xa8, 0xc8); // the exit's own fields
        whole(mask, 0x560, 0x568, 0x640); // DR7, DR6, CR2
        boolean gif = (control[0x60 / 8] & 1L << 25) != 0 && !model.contains("-vgif");
        boolean nmi = (control[0x60 / 8] & 1L << 26) != 0 && !model.contains("-vnmi");
        mask[0x60 / 8] = 0x1ff | (gif ? 1 << 9 : 0) | (nmi ? 3 << 11 : 0);
        mask[0x68 / 8] = 1;
        int count = (int) after[0xd0 / 8] & 0xff;
        assertThat(count).as("instruction bytes").isBetween(0, 15);
        for (int at = 0; at <= count; at++) {
            mask[0xd0 / 8 + at / 8] |= 0xffL << 8 * (at & 7);
        }
        boolean locks = (control[0x10 / 8] & 1L << 37) != 0 && !model.contains("-bus-lock");
        mask[0x120 / 8] = locks ? 0xffff : 0;
        mask[0x460 / 8] = LIMIT;
        mask[0x480 / 8] = LIMIT;
        mask[0x4c8 / 8] = 0xff00_0000L; // CPL
        if ((control[0x90 / 8] & 1) != 0 && !model.contains("-npt")) {
            whole(mask, 0x668);
        }
        if ((control[0xb8 / 8] & 1) != 0 && !model.contains("-lbrv")) {
            whole(mask, BRANCH_RECORDS);
        }
        if (!model.contains("-v-spec-ctrl")) {
            whole(mask, 0x6e0);
        }
        return mask;
    }

    /**
     * The guest's registers as #VMEXIT stores them.
     *
     * @param control the VMCB as VMRUN found it
     */
    private static void guest(long[] words, Cpu cpu, long[] control) {
        String model = cpu.model.name();
        common(words, cpu);
        words[0x460 / 8] = (long) cpu.gdtrLimit << 32 | words[0x460 / 8] & 0xffff_ffffL;
        words[0x480 / 8] = (long) cpu.idtrLimit << 32 | words[0x480 / 8] & 0xffff_ffffL;
        words[0x4c8 / 8] = words[0x4c8 / 8] & ~0xff00_0000L | (long) cpu.cpl << 24;
        words[0x560 / 8] = cpu.dr[7];
        words[0x568 / 8] = cpu.dr[6];
        words[0x578 / 8] = cpu.rip;
        words[0x5f8 / 8] = cpu.r[Cpu.RAX];
        words[0x640 / 8] = cpu.cr2;
        if ((control[0x90 / 8] & 1) != 0 && !model.contains("-npt")) {
            words[0x668 / 8] = cpu.msrs.pat;
        }
        if ((control[0xb8 / 8] & 1) != 0 && !model.contains("-lbrv")) {
            branchRecords(words, cpu);
        }
        if (!model.contains("-v-spec-ctrl")) {
            words[0x6e0 / 8] = cpu.msrs.specCtrl;
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aRefusedVmrunWritesTheExitOnly(boolean cached) {
        for (int run = 0; run < RUNS / 10; run++) {
            SplittableRandom random = new SplittableRandom(run);
            try (SvmMachine m = new SvmMachine()) {
                if (cached) {
                    m.svm.cacheVmcbs();
                }
                Seen seen = new Seen();
                m.cpu.observer = seen;
                long[] before = fill(m, SvmMachine.VMCB, random);
                m.vmrun();
                assertThat(m.exitCode()).isEqualTo(-1);
                long[] after = page(m, SvmMachine.VMCB);
                long[] mask = new long[after.length];
                whole(mask, 0x70, 0x78, 0x80, 0x88, 0xa8, 0xc8);
                mask[0xd0 / 8] = 0xff;
                assertThat(changed(before, after, mask)).as("run %d", run).isEmpty();
                assertThat(changed(after, seen.words)).as("run %d", run).isEmpty();
            }
        }
    }

    @Test
    void aRefusedVmrunLeavesTheVmcbThatRanBeforeAlone() {
        long refused = 0x70000; // empty: EFER.SVME is zero
        try (SvmMachine m = new SvmMachine()) {
            m.vmrun();
            m.svm.exit(ExitCode.CPUID, 1, 2);
            long[] before = page(m, SvmMachine.VMCB);
            m.cpu.r[Cpu.RAX] = refused;
            m.vmrun();
            assertThat(m.memory.read64(refused + VmcbLayout.EXITCODE)).isEqualTo(-1);
            assertThat(changed(before, page(m, SvmMachine.VMCB))).isEmpty();
        }
    }

    /** Checkpoints take dirty pages only, and decoded code hears of writes in the same way. */
    @Test
    void whatIsWrittenIsNoticed() {
        try (SvmMachine m = new SvmMachine()) {
            m.memory.cleanAll();
            m.vmrun();
            assertThat(dirty(m)).as("VMRUN").containsExactly(SvmMachine.HOST_SAVE);
            m.memory.cleanAll();
            m.svm.exit(ExitCode.CPUID, 1, 2);
            assertThat(dirty(m)).as("#VMEXIT").containsExactly(SvmMachine.VMCB);
            m.memory.cleanAll();
            m.execute("0f01db"); // vmsave
            assertThat(dirty(m)).as("VMSAVE").containsExactly(SvmMachine.VMCB);
            m.put32(VmcbLayout.ASID, 0);
            m.cpu.msrs.vmHsavePa = 0x71000;
            m.memory.cleanAll();
            m.vmrun();
            assertThat(dirty(m)).as("refused VMRUN").containsExactly(SvmMachine.VMCB, 0x71000L);
        }
    }

    private static List<Long> dirty(SvmMachine m) {
        return LongStream.iterate(0, pa -> pa < SvmMachine.MEMORY, pa -> pa + 4096)
                .filter(pa -> m.memory.dirty(m.memory.pageOf(pa)))
                .boxed()
                .toList();
    }

    // ---- VMRUN ----

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void vmrunSavesTheHost(boolean branchRecords) {
        for (int run = 0; run < RUNS / 10; run++) {
            SplittableRandom random = new SplittableRandom(run);
            try (SvmMachine m = new SvmMachine()) {
                m.put64(VmcbLayout.LBR_VIRTUALIZATION_ENABLE, branchRecords ? 1 : 0);
                for (int again = 0; again < 2; again++) { // the second time over stale copies
                    long[] expected = fill(m, SvmMachine.HOST_SAVE, random);
                    host(m.cpu, random);
                    saved(expected, m.cpu);
                    if (branchRecords) {
                        branchRecords(expected, m.cpu);
                    }
                    m.vmrun();
                    assertThat(changed(expected, page(m, SvmMachine.HOST_SAVE)))
                            .as("run %d", run)
                            .isEmpty();
                    m.svm.exit(ExitCode.HLT, 0, 0);
                    m.cpu.rip = SvmMachine.HOST_CODE;
                }
            }
        }
    }

    /** A host that can execute VMRUN, otherwise anything. */
    private static void host(Cpu cpu, SplittableRandom random) {
        for (int i = 0; i < 4; i++) {
            if (i != Cpu.CS) {
                cpu.segSelector[i] = random.nextInt(0x10000);
                cpu.segLimit[i] = random.nextLong() & 0xffff_ffffL;
                cpu.segBase[i] = random.nextLong() & 0xffff_ffffL;
            }
        }
        cpu.segSelector[Cpu.CS] = random.nextInt(0x10000) & ~3;
        cpu.gdtrBase = random.nextLong() >> 16;
        cpu.gdtrLimit = random.nextInt(0x10000);
        cpu.idtrBase = random.nextLong() >> 16;
        cpu.idtrLimit = random.nextInt(0x10000);
        cpu.cr4 ^= Cpu.CR4_PGE;
        cpu.cr0 ^= Cpu.CR0_WP;
        cpu.r[Cpu.RSP] = random.nextLong();
        cpu.setRflags(random.nextInt() & 0x8d5 | 2);
        cpu.msrs.specCtrl = random.nextInt(4);
        cpu.msrs.debugCtl = random.nextInt(2) << 1;
        branchRecords(cpu, random);
    }

    private static void saved(long[] words, Cpu cpu) {
        common(words, cpu);
        words[0x460 / 8] = (long) cpu.gdtrLimit << 32;
        words[0x480 / 8] = (long) cpu.idtrLimit << 32;
        words[0x4c8 / 8] &= ~0xff00_0000L; // CPL 0
        words[0x578 / 8] = SvmMachine.HOST_CODE + 3;
        words[0x5f8 / 8] = SvmMachine.VMCB;
        words[0x6e0 / 8] = cpu.msrs.specCtrl;
    }

    /** What VMRUN saves of the host and #VMEXIT of the guest alike. */
    private static void common(long[] words, Cpu cpu) {
        for (int i = 0; i < 4; i++) {
            words[0x400 / 8 + 2 * i] = segment(cpu, i);
            words[0x408 / 8 + 2 * i] = cpu.segBase[i];
        }
        words[0x468 / 8] = cpu.gdtrBase;
        words[0x488 / 8] = cpu.idtrBase;
        words[0x4d0 / 8] = cpu.efer;
        words[0x548 / 8] = cpu.cr4;
        words[0x550 / 8] = cpu.cr3;
        words[0x558 / 8] = cpu.cr0;
        words[0x570 / 8] = cpu.rflags();
        words[0x5d8 / 8] = cpu.r[Cpu.RSP];
    }

    private static long segment(Cpu cpu, int register) {
        return cpu.segLimit[register] << 32
                | (long) cpu.segAttr[register] << 16
                | cpu.segSelector[register];
    }

    private static void branchRecords(long[] words, Cpu cpu) {
        words[0x670 / 8] = cpu.msrs.debugCtl;
        words[0x678 / 8] = cpu.msrs.lastBranchFrom;
        words[0x680 / 8] = cpu.msrs.lastBranchTo;
        words[0x688 / 8] = cpu.msrs.lastExceptionFrom;
        words[0x690 / 8] = cpu.msrs.lastExceptionTo;
    }

    // ---- VMSAVE and VMLOAD ----

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void vmsaveWritesAndVmloadReadsTheSameWords(boolean observed) {
        try (SvmMachine m = new SvmMachine()) {
            m.cpu.observer = observed ? new Seen() : null;
            SplittableRandom random = new SplittableRandom(1);
            for (int run = 0; run < RUNS; run++) {
                long[] expected = fill(m, SvmMachine.VMCB, random);
                hidden(m.cpu, random);
                hidden(expected, m.cpu);
                m.execute("0f01db");
                assertThat(changed(expected, page(m, SvmMachine.VMCB)))
                        .as("VMSAVE %d", run)
                        .isEmpty();
                hidden(m.cpu, random);
                hidden(expected, m.cpu);
                for (int offset : HIDDEN) {
                    m.put64(offset, expected[offset / 8]);
                }
                hidden(m.cpu, random);
                m.execute("0f01da");
                long[] loaded = Arrays.copyOf(expected, expected.length);
                hidden(loaded, m.cpu);
                assertThat(changed(expected, loaded)).as("VMLOAD %d", run).isEmpty();
                assertThat(changed(expected, page(m, SvmMachine.VMCB)))
                        .as("VMLOAD writes nothing, %d", run)
                        .isEmpty();
                m.cpu.rip = SvmMachine.HOST_CODE;
            }
        }
    }

    private static void hidden(Cpu cpu, SplittableRandom random) {
        for (int i = Cpu.FS; i < 8; i++) {
            cpu.segSelector[i] = random.nextInt(0x10000);
            cpu.segAttr[i] = random.nextInt(0x1000);
            cpu.segLimit[i] = random.nextLong() & 0xffff_ffffL;
            cpu.segBase[i] = random.nextLong() >> 16;
        }
        cpu.msrs.star = random.nextLong();
        cpu.msrs.lstar = random.nextLong() >> 16;
        cpu.msrs.cstar = random.nextLong() >> 16;
        cpu.msrs.sfmask = random.nextLong() & 0xffff_ffffL;
        cpu.msrs.kernelGsBase = random.nextLong() >> 16;
        cpu.msrs.sysenterCs = random.nextLong() & 0xffff_ffffL;
        cpu.msrs.sysenterEsp = random.nextLong() >> 16;
        cpu.msrs.sysenterEip = random.nextLong() >> 16;
    }

    private static void hidden(long[] words, Cpu cpu) {
        int[] at = {0x440, 0x450, 0x470, 0x490};
        for (int i = 0; i < 4; i++) {
            words[at[i] / 8] = segment(cpu, Cpu.FS + i);
            words[at[i] / 8 + 1] = cpu.segBase[Cpu.FS + i];
        }
        words[0x600 / 8] = cpu.msrs.star;
        words[0x608 / 8] = cpu.msrs.lstar;
        words[0x610 / 8] = cpu.msrs.cstar;
        words[0x618 / 8] = cpu.msrs.sfmask;
        words[0x620 / 8] = cpu.msrs.kernelGsBase;
        words[0x628 / 8] = cpu.msrs.sysenterCs;
        words[0x630 / 8] = cpu.msrs.sysenterEsp;
        words[0x638 / 8] = cpu.msrs.sysenterEip;
    }
}
