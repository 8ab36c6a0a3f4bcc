package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * VMRUN of random VMCBs made from the legal one: the outcome is the one that an oracle written from
 * §15.5.1, §15.20, §15.21.10 and §15.25.4 by itself foretells, and whatever the guest then does, no
 * Java exception escapes and the machine goes on.
 */
class RandomVmcbTest {
    private static final int RUNS = 15_000;
    private static final long[] BITS = {0, 1, 31, 32, 48, 52, 63};
    private static final int[] CHECKED = {
        VmcbLayout.CR0,
        VmcbLayout.CR3,
        VmcbLayout.CR4,
        VmcbLayout.EFER,
        VmcbLayout.DR6,
        VmcbLayout.DR7,
        VmcbLayout.EVENTINJ,
        VmcbLayout.ASID,
        VmcbLayout.N_CR3,
        VmcbLayout.G_PAT,
        VmcbLayout.NP_ENABLE,
        VmcbLayout.IOPM_BASE_PA,
        VmcbLayout.MSRPM_BASE_PA,
        VmcbLayout.INTERCEPT_MISC2,
        VmcbLayout.CS,
        VmcbLayout.V_INTR,
        VmcbLayout.INTERCEPT_MISC1,
    };

    private static long random64(RandomGenerator random) {
        return switch (random.nextInt(4)) {
            case 0 -> random.nextLong();
            case 1 -> 1L << random.nextInt(64);
            case 2 -> 1L << BITS[random.nextInt(BITS.length)];
            default -> random.nextInt(64);
        };
    }

    private static void mutate(SvmMachine machine, RandomGenerator random) {
        int changes = 1 + random.nextInt(3);
        for (int i = 0; i < changes; i++) {
            boolean checked = random.nextBoolean();
            VmcbLayout.Field field =
                    VmcbLayout.FIELDS.get(random.nextInt(VmcbLayout.FIELDS.size()));
            int offset = (checked ? CHECKED[random.nextInt(CHECKED.length)] : field.offset()) & ~7;
            long value = random64(random);
            machine.put64(offset, random.nextBoolean() ? machine.get64(offset) ^ value : value);
        }
        if (random.nextInt(8) == 0) {
            machine.put64(
                    VmcbLayout.EVENTINJ, 1L << 31 | random.nextLong() & 0xffff_ffff_0000_0fffL);
        }
    }

    /** Whether the manual calls the state illegal. */
    private static boolean illegal(SvmMachine m) {
        long efer = m.get64(0x4d0);
        long cr0 = m.get64(0x558);
        long cr3 = m.get64(0x550);
        long cr4 = m.get64(0x548);
        boolean bad = (efer >> 12 & 1) == 0;
        bad |= (cr0 >> 30 & 1) == 0 && (cr0 >> 29 & 1) == 1;
        bad |= (cr0 >>> 32) != 0;
        boolean lme = (efer >> 8 & 1) == 1;
        boolean pg = (cr0 >> 31 & 1) == 1;
        bad |= lme && pg && (cr3 >>> 48) != 0;
        bad |= (cr4 & ~m.cpu.model.cr4Mask()) != 0;
        bad |= (m.get64(0x568) >>> 32) != 0;
        bad |= (m.get64(0x560) >>> 32) != 0;
        bad |= (efer & ~(m.cpu.model.eferMask() | 1 << 10)) != 0;
        bad |= lme && pg && (cr4 >> 5 & 1) == 0;
        bad |= lme && pg && (cr0 & 1) == 0;
        boolean l = (m.get16(0x412) >> 9 & 1) == 1;
        boolean d = (m.get16(0x412) >> 10 & 1) == 1;
        bad |= lme && pg && (cr4 >> 5 & 1) == 1 && l && d;
        bad |= (m.get64(0x10) & 1) == 0;
        bad |= mapEnd(m.get64(0x48), 8192) || mapEnd(m.get64(0x40), 12288);
        bad |= badEvent(m.get64(0xa8), lme && pg && l);
        bad |= (m.get64(0x60) >> 26 & 1) == 1 && (m.get32(0xc) >> 1 & 1) == 0; // §15.21.10
        long asid = m.get32(0x58);
        bad |= asid == 0 || asid >= 0x8000;
        if ((m.get64(0x90) & 1) == 1) {
            bad |= (m.get64(0xb0) >>> 48) != 0;
            for (int i = 0; i < 8; i++) {
                long type = m.get8(0x668 + i);
                bad |= type != 0 && type != 1 && (type < 4 || type > 7);
            }
        } else if (pg && !lme && (cr4 >> 5 & 1) == 1) {
            for (int i = 0; i < 4; i++) {
                long entry = m.memory.read64((cr3 & 0xffff_ffe0L) + 8 * i);
                bad |= (entry & 1) == 1 && ((entry & 0x1e6) != 0 || entry >>> 48 != 0);
            }
        }
        return bad;
    }

    private static boolean mapEnd(long base, int bytes) {
        return Long.compareUnsigned((base & -4096L) + bytes - 1, 1L << 48) >= 0
                || Long.compareUnsigned(base, 1L << 48) >= 0;
    }

    private static boolean badEvent(long event, boolean mode64) {
        if ((event >> 31 & 1) == 0) {
            return false;
        }
        int type = (int) (event >> 8) & 7;
        int vector = (int) event & 255;
        if (type == 3) {
            boolean exception =
                    vector <= 8 && vector != 2
                            || vector >= 10 && vector <= 14
                            || vector >= 16 && vector <= 19
                            || vector == 30;
            return !exception || mode64 && (vector == 4 || vector == 5);
        }
        return type == 1 || type > 4;
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2})
    void outcomesAreAsForetold(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        int refused = 0;
        try (SvmMachine machine = new SvmMachine()) {
            byte[] legal = new byte[4096];
            byte[] low = new byte[0x70000];
            machine.memory.read(SvmMachine.VMCB, legal, 0, legal.length);
            machine.memory.read(0, low, 0, low.length);
            Cpu cpu = machine.cpu;
            for (int run = 0; run < RUNS; run++) {
                machine.memory.write(SvmMachine.VMCB, legal, 0, legal.length);
                mutate(machine, random);
                boolean expected = illegal(machine);
                machine.put64(VmcbLayout.EXITCODE, 0x7777);
                cpu.rip = SvmMachine.HOST_CODE;
                cpu.r[Cpu.RAX] = SvmMachine.VMCB;
                cpu.gif = true;
                machine.vmrun();
                boolean invalid = machine.exitCode() == -1;
                assertThat(invalid).as("run %d of seed %d", run, seed).isEqualTo(expected);
                refused += invalid ? 1 : 0;
                machine.run(4);
                if (cpu.guestMode) {
                    cpu.activity = Cpu.RUNNING;
                    machine.svm.exit(ExitCode.INTR, 0, 0);
                }
                assertThat(cpu.rip).isEqualTo(SvmMachine.HOST_CODE + 3);
                assertThat(cpu.cr3).isEqualTo(SvmMachine.HOST_PML4);
                assertThat(cpu.mode64).isTrue();
                if (run % 64 == 0) {
                    machine.memory.write(0, low, 0, low.length);
                    cpu.mmu.flushAll();
                }
            }
        }
        assertThat(refused).isBetween(RUNS / 5, RUNS * 4 / 5);
    }

    @Test
    void allOnesAndAllZeros() {
        for (int fill : new int[] {0, 0xff}) {
            try (SvmMachine machine = new SvmMachine()) {
                for (int offset = 0; offset < VmcbLayout.SIZE; offset++) {
                    machine.put8(offset, fill);
                }
                machine.vmrun();
                assertThat(machine.exitCode()).isEqualTo(-1);
            }
        }
    }
}
