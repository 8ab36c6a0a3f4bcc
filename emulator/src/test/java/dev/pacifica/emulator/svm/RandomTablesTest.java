package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.GuestException;
import dev.pacifica.emulator.cpu.WorldSwitched;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Random bits in guest and nested tables of all formats, random modes, PATs and accesses: the fault
 * or address, each accessed and dirty bit, the memory type and the bus locks of the walks are what
 * {@link TableOracle} foretells (§15.25.5 to §15.25.8, §15.25.13, §15.14.5).
 */
class RandomTablesTest {
    private static final int RUNS = 4000;
    private static final long[] FLAGS = {
        0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 20, 21, 29, 47, 48, 51, 62, 63
    };

    private final SplittableRandom random = new SplittableRandom(25);
    private final Map<String, Integer> met = new TreeMap<>();

    @ParameterizedTest
    @EnumSource(
            value = VmcbFuzzer.Host.class,
            names = {"LONG", "PAE", "TWO_LEVELS"})
    void accessesEndAsForetold(VmcbFuzzer.Host host) {
        try (VmcbFuzzer.World world = new VmcbFuzzer.World(host, random)) {
            for (int run = 0; run < RUNS; run++) {
                run(world, run);
            }
        }
        assertThat(met.get("at")).isGreaterThan(RUNS / 10);
        assertThat(met.get("#PF")).isGreaterThan(RUNS / 20);
        assertThat(met.get("NPF")).isGreaterThan(RUNS / 20);
        assertThat(met.keySet()).contains("UC", "WC", "WC_PLUS", "WP", "WT", "WB", "CD");
        assertThat(met.get("locks")).isGreaterThan(RUNS / 2);
    }

    private void run(VmcbFuzzer.World world, int number) {
        SvmMachine m = world.machine;
        Cpu cpu = m.cpu;
        world.reset();
        int guest = random.nextInt(world.guests.length);
        world.restore(world.guests[guest]);
        long options = random.nextInt(2) == 0 ? 0 : random.nextInt(256) & 0x48;
        m.put64(VmcbLayout.NP_ENABLE, 1 | options);
        m.put8(VmcbLayout.TLB_CONTROL, 1);
        flip(m, VmcbLayout.CR0, Cpu.CR0_WP);
        if (random.nextInt(8) == 0) {
            flip(m, VmcbLayout.CR0, Cpu.CR0_CD);
        }
        flip(m, VmcbLayout.CR3, random.nextInt(4) << 3);
        flip(m, VmcbLayout.N_CR3, random.nextInt(4) << 3);
        m.put64(VmcbLayout.G_PAT, somePat());
        cpu.msrs.pat = somePat();
        m.intercept(ExitCode.BUSLOCK);
        m.put16(VmcbLayout.BUS_LOCK_THRESHOLD, 0xffff);
        flip(m, VmcbLayout.CR4, Cpu.CR4_SMEP);
        flip(m, VmcbLayout.CR4, Cpu.CR4_SMAP);
        flip(m, VmcbLayout.CR4, Cpu.CR4_PSE);
        flip(m, VmcbLayout.EFER, Cpu.EFER_NXE);
        flip(m, VmcbLayout.RFLAGS, Cpu.AC);
        if (random.nextBoolean()) {
            m.put8(VmcbLayout.CPL, 3);
        }
        // no instruction bytes can be fetched, which would leave accessed bits
        m.put64(VmcbLayout.RIP, 0x8000_0000_0000L | 0x10);
        m.put32(VmcbLayout.CS + VmcbLayout.LIMIT, 0);
        long va =
                random.nextInt(4) == 0
                        ? random.nextInt(0x80_0000)
                        : 0x80000 + random.nextInt(0x2000);
        for (int i = random.nextInt(5); i > 0; i--) {
            spoil(m, va);
        }
        if (random.nextInt(4) == 0) {
            cpu.efer &= ~Cpu.EFER_NXE;
        }
        cpu.cr0 = cpu.cr0 & ~Cpu.CR0_CD | (random.nextInt(16) == 0 ? Cpu.CR0_CD : 0);
        long hostCr4 = cpu.cr4;
        long hostEfer = cpu.efer;
        m.vmrun();
        assertThat(cpu.guestMode).isTrue();
        TableOracle oracle =
                new TableOracle(cpu, options, m.get64(VmcbLayout.N_CR3), hostCr4, hostEfer);
        char kind = "rwx".charAt(random.nextInt(3));
        boolean user = cpu.cpl == 3;
        boolean ac = (cpu.systemFlags() & Cpu.AC) != 0;
        String foretold = oracle.access(va, kind, user, ac);
        assertThat(access(m, va, kind, foretold))
                .as("run %d: guest %d, %c of %x, options %x", number, guest, kind, va, options)
                .isEqualTo(foretold);
        if (oracle.type != null && kind != 'x') {
            assertThat(cpu.mmu.memoryType(va))
                    .as("run %d: memory type", number)
                    .isEqualTo(oracle.type);
            met.merge(oracle.type.name(), 1, Integer::sum);
        }
        byte[] now = new byte[TableOracle.COPIED];
        m.memory.read(0, now, 0, now.length);
        assertThat(oracle.agreesWith(now)).as("run %d: accessed and dirty bits", number).isTrue();
        met.merge(foretold.split(" ")[0], 1, Integer::sum);
        if (cpu.guestMode) {
            m.svm.exit(ExitCode.INTR, 0, 0);
        }
        assertThat(0xffff - m.get16(VmcbLayout.BUS_LOCK_THRESHOLD))
                .as("run %d: bus locks of walks", number)
                .isEqualTo(oracle.busLocks);
        met.merge("locks", oracle.busLocks, Integer::sum);
    }

    /** A PAT of legal types, half of them write-back. */
    private long somePat() {
        long pat = 0;
        for (int i = 0; i < 8; i++) {
            pat = pat << 8 | new int[] {0, 1, 4, 5, 6, 7, 6, 6, 6, 6}[random.nextInt(10)];
        }
        return pat;
    }

    private void flip(SvmMachine m, int offset, long bit) {
        if (random.nextInt(3) == 0) {
            m.put64(offset, m.get64(offset) ^ bit);
        }
    }

    /** Changes a bit of an entry that the access may meet. */
    private void spoil(SvmMachine m, long va) {
        long page = va >>> 12 & 511;
        long[] guests = {
            SvmMachine.GUEST_PML4,
            SvmMachine.GUEST_PML4 + 0x1000,
            SvmMachine.GUEST_PML4 + 0x2000,
            SvmMachine.GUEST_PT + 8 * page,
            VmcbFuzzer.PT_PAE,
            VmcbFuzzer.PT_PAE + 0x1000,
            VmcbFuzzer.PT_PAE + 0x2000 + 8 * page,
            VmcbFuzzer.PT_32,
            VmcbFuzzer.PT_32 + 0x1000 + 4 * (va >>> 12 & 1023)
        };
        // the nested entry of the page itself, or of a page of the guest's tables
        long of = random.nextBoolean() ? page : guests[random.nextInt(guests.length)] >>> 12;
        long[] hosts = {
            SvmMachine.NESTED_PML4,
            SvmMachine.NESTED_PML4 + 0x1000,
            SvmMachine.NESTED_PML4 + 0x2000,
            SvmMachine.NESTED_PT + 8 * of,
            VmcbFuzzer.HOST_PAE,
            VmcbFuzzer.HOST_PAE + 0x1000,
            VmcbFuzzer.HOST_PAE + 0x2000 + 8 * of,
            VmcbFuzzer.HOST_32,
            VmcbFuzzer.HOST_32 + 0x1000 + 4 * of
        };
        long where =
                random.nextBoolean()
                        ? guests[random.nextInt(guests.length)]
                        : hosts[random.nextInt(hosts.length)];
        boolean small = where >= VmcbFuzzer.PT_32 && where < VmcbFuzzer.PT_32 + 0x2000;
        small |= where >= VmcbFuzzer.HOST_32 && where < VmcbFuzzer.HOST_32 + 0x2000;
        long bit = 1L << FLAGS[random.nextInt(FLAGS.length)];
        if (small) {
            m.memory.write(where, 4, m.memory.read(where, 4) ^ bit);
        } else {
            m.memory.write64(where, m.memory.read64(where) ^ bit);
        }
    }

    private static String access(SvmMachine m, long va, char kind, String foretold) {
        Cpu cpu = m.cpu;
        try {
            switch (kind) {
                case 'r' -> {
                    return "at %x".formatted(cpu.mmu.translateRead(va));
                }
                case 'x' -> {
                    return "at %x".formatted(cpu.mmu.translateFetch(va));
                }
                default -> {
                    cpu.mmu.probeWrite(va, 1);
                    return "at %x".formatted(cpu.mmu.translateRead(va));
                }
            }
        } catch (GuestException e) {
            assertThat(e.vector).as("instead of %s", foretold).isEqualTo(GuestException.PF);
            assertThat(e.address).isEqualTo(va);
            return "#PF %x".formatted(e.errorCode);
        } catch (WorldSwitched e) {
            assertThat(m.exitCode()).isEqualTo(ExitCode.NPF);
            return "NPF %x %x".formatted(m.info1(), m.info2());
        }
    }
}
