package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.pacifica.emulator.observe.TlbFlushCause;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/**
 * ASeg and TSeg (APM Vol 2 §10.2.5), the SMM registers, their lock (§15.32), SMM_CTL (§15.30.3).
 */
class SmramProtectionTest {
    private static final int HWCR = 0xc001_0015;
    private static final int SMM_BASE = 0xc001_0111;
    private static final int SMM_ADDR = 0xc001_0112;
    private static final int SMM_MASK = 0xc001_0113;
    private static final int SMM_CTL = 0xc001_0116;
    private static final int SMM_KEY = 0xc001_0119;
    private static final int ASEG = 1;
    private static final int TSEG = 2;
    private static final long TSEG_BASE = 0x20_0000;
    private static final long MASK_128K = 0xffff_fffe_0000L;

    private final TestProcessor p = TestProcessor.protectedMode();
    private final Cpu cpu = p.cpu;

    @AfterEach
    void release() {
        p.close();
    }

    private void protectTseg() {
        cpu.msrs.write(SMM_ADDR, TSEG_BASE);
        cpu.msrs.write(SMM_MASK, MASK_128K | TSEG);
    }

    private long load(long address) {
        return cpu.mmu.read32(address) & 0xffff_ffffL;
    }

    private void smi() {
        cpu.smiPending = true;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        p.step();
        assertThat(cpu.smm.active()).isTrue();
    }

    private void expectFault(int msr, long value) {
        assertThatThrownBy(() -> cpu.msrs.write(msr, value)).isInstanceOf(GuestException.class);
    }

    @Test
    void withoutProtectionSmramIsOrdinaryMemory() {
        p.write(0xa_0000, 4, 0x1234);
        assertThat(load(0xa_0000)).isEqualTo(0x1234);
        assertThat(cpu.msrs.read(SMM_MASK)).isZero();
    }

    @Test
    void tsegIsOutOfReachOutsideSmm() {
        p.write(TSEG_BASE + 0x1000, 4, 0x1234);
        p.write(TSEG_BASE + 0x1_fffc, 4, 0x5678);
        p.write(TSEG_BASE + 0x2_0000, 4, 0x9abc);
        assertThat(load(TSEG_BASE + 0x1000)).isEqualTo(0x1234);
        protectTseg();
        assertThat(load(TSEG_BASE + 0x1000)).isEqualTo(0xffff_ffffL);
        assertThat(load(TSEG_BASE + 0x1_fffc)).isEqualTo(0xffff_ffffL);
        assertThat(load(TSEG_BASE + 0x2_0000)).isEqualTo(0x9abc);
        assertThat(load(TSEG_BASE - 4)).isZero();
        cpu.mmu.write32(TSEG_BASE + 0x1000, 0);
        assertThat(p.read(TSEG_BASE + 0x1000, 4)).isEqualTo(0x1234);
    }

    @Test
    void theHandlerReachesTsegAndRsmHidesItAgain() {
        protectTseg();
        cpu.msrs.write(SMM_BASE, TSEG_BASE);
        p.write(TSEG_BASE + 0x8000, 4, 0xaa0f_90); // nop; rsm
        p.code("90 90");
        smi();
        assertThat(load(TSEG_BASE + 0x8000)).isEqualTo(0xaa0f_90);
        assertThat(p.read(TSEG_BASE + 0xfefc, 4)).isEqualTo(0x3_0064);
        p.step(2);
        assertThat(cpu.smm.active()).isFalse();
        assertThat(cpu.rip).isEqualTo(TestProcessor.CODE);
        assertThat(load(TSEG_BASE + 0x8000)).isEqualTo(0xffff_ffffL);
    }

    @Test
    void oneProcessorInSmmShowsSmramToNoOther() {
        Cpu other = new Cpu(1, p.clock, p.memory, p.ports);
        Reset.powerOn(other);
        p.write(TSEG_BASE, 4, 0x1234);
        protectTseg();
        other.msrs.write(SMM_ADDR, TSEG_BASE);
        other.msrs.write(SMM_MASK, MASK_128K | TSEG);
        smi();
        assertThat(load(TSEG_BASE)).isEqualTo(0x1234);
        assertThat(other.mmu.read32(TSEG_BASE)).isEqualTo(-1);
    }

    @Test
    void asegIsOutOfReachOutsideSmm() {
        p.write(0xa_0000, 4, 0x1234);
        p.write(0xb_fffc, 4, 0x5678);
        p.write(0x9_fffc, 4, 0x1111);
        p.write(0xc_0000, 4, 0x2222);
        cpu.msrs.write(SMM_MASK, ASEG);
        assertThat(load(0xa_0000)).isEqualTo(0xffff_ffffL);
        assertThat(load(0xb_fffc)).isEqualTo(0xffff_ffffL);
        assertThat(load(0x9_fffc)).isEqualTo(0x1111);
        assertThat(load(0xc_0000)).isEqualTo(0x2222);
        smi();
        assertThat(load(0xa_0000)).isEqualTo(0x1234);
    }

    @Test
    void codeInHiddenSmramCannotBeExecuted() {
        p.code(TSEG_BASE, "b8 78563412"); // mov eax, 12345678h
        protectTseg();
        cpu.rip = TSEG_BASE;
        p.step(); // all ones: FF /7, undefined
        assertThat(p.handler()).isEqualTo(GuestException.UD);
        assertThat(cpu.r[Cpu.RAX]).isZero();
    }

    @Test
    void pageTablesInHiddenSmramAreNotRead() {
        p.write(TSEG_BASE, 4, 0x83); // 4-MiB page at 0, if it could be read
        protectTseg();
        cpu.cr3 = TSEG_BASE;
        cpu.cr4 |= Cpu.CR4_PSE;
        cpu.cr0 |= Cpu.CR0_PG;
        cpu.mmu.flushAll(TlbFlushCause.RESET);
        cpu.updateMode();
        assertThatThrownBy(() -> load(0x1000)).isInstanceOf(GuestException.class);
        assertThat(p.read(TSEG_BASE, 4)).isEqualTo(0x83);
    }

    @Test
    void reservedBitsOfTheRangeRegistersReadAsZero() {
        cpu.msrs.write(SMM_ADDR, -1);
        cpu.msrs.write(SMM_MASK, -1);
        assertThat(cpu.msrs.read(SMM_ADDR)).isEqualTo(0xffff_fffe_0000L);
        assertThat(cpu.msrs.read(SMM_MASK)).isEqualTo(0xffff_fffe_0003L);
    }

    @Test
    void smmlockFreezesTheSmmRegisters() {
        protectTseg();
        cpu.msrs.write(HWCR, cpu.msrs.read(HWCR) | 1);
        cpu.msrs.write(SMM_ADDR, 0);
        cpu.msrs.write(SMM_MASK, 0);
        cpu.msrs.write(SMM_BASE, 0);
        assertThat(cpu.msrs.read(SMM_ADDR)).isEqualTo(TSEG_BASE);
        assertThat(cpu.msrs.read(SMM_MASK)).isEqualTo(MASK_128K | TSEG);
        assertThat(cpu.msrs.read(SMM_BASE)).isEqualTo(0x3_0000);
        expectFault(SMM_CTL, 1);
    }

    @Test
    void smmlockCanBeSetButNotCleared() {
        long reset = cpu.msrs.read(HWCR);
        assertThat(reset & 1).isZero();
        cpu.msrs.write(HWCR, reset | 1);
        cpu.msrs.write(HWCR, reset | 3 << 13);
        assertThat(cpu.msrs.read(HWCR)).isEqualTo(reset | 1); // bits 14:13 are locked too
        Reset.init(cpu);
        assertThat(cpu.msrs.read(HWCR) & 1).isEqualTo(1);
        Reset.powerOn(cpu);
        assertThat(cpu.msrs.read(HWCR)).isEqualTo(reset);
    }

    @Test
    void theRightKeyUnlocks() {
        cpu.msrs.write(SMM_KEY, 0x1234);
        cpu.msrs.write(HWCR, 1);
        cpu.msrs.write(SMM_KEY, 0x1235);
        assertThat(cpu.msrs.read(HWCR) & 1).isEqualTo(1);
        assertThat(cpu.msrs.read(SMM_KEY)).isZero();
        cpu.msrs.write(SMM_KEY, 0x1234);
        assertThat(cpu.msrs.read(HWCR) & 1).isZero();
    }

    @Test
    void aKeyOfZeroLocksForEver() {
        cpu.msrs.write(HWCR, 1);
        cpu.msrs.write(SMM_KEY, 0);
        assertThat(cpu.msrs.read(HWCR) & 1).isEqualTo(1);
    }

    @Test
    void theHandlerCanLockItsPagingConfiguration() {
        long lock = cpu.msrs.read(HWCR) | 1L << 33;
        expectFault(HWCR, lock); // only in SMM (§10.3.9)
        // mov eax, cr0; mov cr0, eax; rsm
        p.code(0x38000, "0f20c0 0f22c0 0faa").code("90");
        for (int vector = 0; vector < 32; vector++) {
            p.write(TestProcessor.IDT + 4 * vector, 4, 0x7000 + 16 * vector);
        }
        smi();
        cpu.msrs.write(HWCR, lock);
        expectFault(0xc000_0080, 0);
        cpu.msrs.write(HWCR, lock & ~(1L << 33));
        assertThat(cpu.msrs.read(HWCR)).isEqualTo(lock);
        p.step(2);
        assertThat(cpu.rip).isEqualTo(0x7000 + 16 * GuestException.GP);
        cpu.segBase[Cpu.CS] = 0x30000;
        cpu.rip = 0x8006;
        p.step();
        assertThat(cpu.smm.active()).isFalse();
        assertThat(cpu.msrs.read(HWCR)).isEqualTo(lock & ~(1L << 33));
        cpu.msrs.write(0xc000_0080, 0);
    }

    @Test
    void smmCtlEntersAndLeavesSmm() {
        p.write(TSEG_BASE, 4, 0x1234);
        protectTseg();
        cpu.msrs.write(SMM_CTL, 2 | 4); // ENTER, SMI_CYCLE
        assertThat(cpu.smm.active()).isTrue();
        assertThat(cpu.nmiBlocked).isTrue();
        assertThat(load(TSEG_BASE)).isEqualTo(0x1234);
        p.code("90 0faa"); // RSM is not the way out
        cpu.nmiPending = true;
        cpu.smiPending = true;
        cpu.initPending = true;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        p.step(2);
        assertThat(p.handler()).isEqualTo(GuestException.UD);
        cpu.initPending = false;
        cpu.msrs.write(SMM_CTL, 1); // DISMISS
        assertThat(cpu.smiPending).isFalse();
        cpu.msrs.write(SMM_CTL, 8 | 16); // EXIT, RSM_CYCLE
        assertThat(cpu.smm.active()).isFalse();
        assertThat(cpu.nmiBlocked).isFalse();
        assertThat(load(TSEG_BASE)).isEqualTo(0xffff_ffffL);
        p.step();
        assertThat(p.handler()).isEqualTo(GuestException.NMI);
    }

    @Test
    void smmCtlDismissesAPendingSmiAsItEnters() {
        cpu.smiPending = true;
        cpu.msrs.write(SMM_CTL, 1 | 2 | 4);
        cpu.msrs.write(SMM_CTL, 8);
        p.code("90").step();
        assertThat(cpu.rip).isEqualTo(TestProcessor.CODE + 1);
    }

    @Test
    void smmCtlIsWriteOnlyWithReservedBits() {
        expectFault(SMM_CTL, 1 << 5);
        assertThatThrownBy(() -> cpu.msrs.read(SMM_CTL)).isInstanceOf(GuestException.class);
        cpu.model = CpuModel.parse("epyc-milan,+no-smm-ctl");
        expectFault(SMM_CTL, 1);
    }
}
