package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.observe.MachineObserver;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * Makes VMCBs, guests and their tables at random from legal ones and runs them. Of each VMRUN it
 * demands: no Java exception; either VMEXIT_INVALID with a rule that {@link VmcbOracle} finds
 * broken too, or a guest that runs, and if it exits, then with a code of Appendix C whose intercept
 * is set; and afterwards the host as it was.
 *
 * <p>As a program: {@code VmcbFuzzer RUNS SEED} prints the outcomes.
 */
final class VmcbFuzzer implements AutoCloseable {
    static final long PT_32 = 0xb0000;
    static final long PT_PAE = 0xc0000;
    static final long HOST_32 = 0xa0000;
    static final long HOST_PAE = 0x90000;
    static final long VIRTUAL_APIC = 0xd0000;
    private static final long ALL = SvmMachine.P | SvmMachine.W | SvmMachine.U;
    private static final int MOST_INSTRUCTIONS = 12;
    private static final long UNWRITTEN = 0x7777;

    /** Fields whose values VMRUN checks, and those that decide most about the guest. */
    private static final int[] INTERESTING = {
        0x10, 0x40, 0x48, 0x58, 0x60, 0x68, 0x90, 0x98, 0xa8, 0xb0, 0xb8, 0xe0, 0xf0, 0xf8, 0x410,
        0x420, 0x4c8, 0x4d0, 0x548, 0x550, 0x558, 0x560, 0x568, 0x570, 0x578, 0x668
    };

    private static final long[] POPULAR_BITS = {0, 1, 5, 12, 29, 31, 32, 47, 48, 51, 52, 62, 63};

    private static final byte[][] OPENINGS =
            openings(
                    "f4",
                    "0fa2",
                    "0f31",
                    "0f32",
                    "0f30",
                    "0f01d8",
                    "0f01d9",
                    "0f01da",
                    "0f01db",
                    "0f01dc",
                    "0f01dd",
                    "0f01de",
                    "0f01df",
                    "0f20c0",
                    "0f22c0",
                    "0f20d8",
                    "0f22d8",
                    "0f20e0",
                    "0f22e0",
                    "440f20c0",
                    "440f22c0",
                    "0f21f8",
                    "0f23f8",
                    "cc",
                    "cd80",
                    "ce",
                    "cf",
                    "48cf",
                    "9c",
                    "9d",
                    "fa",
                    "fb",
                    "f1",
                    "f390",
                    "6c",
                    "f36d",
                    "6e",
                    "e410",
                    "e610",
                    "ec",
                    "ee",
                    "0f0b",
                    "0f00d0",
                    "0f00d8",
                    "0f0110",
                    "0f0118",
                    "0f013d00000800",
                    "0f06",
                    "0f08",
                    "0f09",
                    "0f05",
                    "0f07",
                    "0f34",
                    "0f35",
                    "8ed0",
                    "8ed8",
                    "8ec0",
                    "cb",
                    "ca0400",
                    "50",
                    "58",
                    "c3",
                    "ebfe",
                    "a100000800",
                    "a300000800",
                    "f3a4",
                    "f3ab",
                    "0faa",
                    "0f01c8",
                    "0f01c9",
                    "0f01f8",
                    "f7f0",
                    "d9fa",
                    "0f58c1",
                    "0f0105",
                    "67f3a5",
                    "f30fc7f8",
                    "0fc7f0",
                    "0f3382");

    /** What a machine's host is: its paging mode decides that of the nested tables. */
    enum Host {
        LONG,
        PAE,
        TWO_LEVELS,
        UNPAGED,
        /** A processor without long mode, as far as VMRUN is concerned, and without the options. */
        OLD
    }

    /** One host with its guests, and its pristine memory and registers. */
    static final class World implements AutoCloseable, MachineObserver {
        final SvmMachine machine = new SvmMachine();
        final Host host;
        final byte[][] guests;
        final byte[][] pristine;
        final byte[] registers;
        String rule;

        World(Host host, SplittableRandom random) {
            this.host = host;
            tables();
            guests = guests();
            byte[] maps = new byte[0x5000];
            random.nextBytes(maps);
            byte[] sparse = new byte[maps.length];
            random.nextBytes(sparse);
            for (int i = 0; i < maps.length; i++) {
                maps[i] &= sparse[i];
            }
            machine.memory.write(SvmMachine.IOPM, maps, 0, maps.length);
            setHost();
            machine.cpu.observer = this;
            BinaryStateWriter out = new BinaryStateWriter();
            machine.cpu.save(out);
            registers = out.toByteArray();
            pristine = new byte[machine.memory.pageCount()][];
            for (int page = 0; page < pristine.length; page++) {
                if (machine.memory.everWritten(page)) {
                    pristine[page] = new byte[4096];
                    machine.memory.read((long) page << 12, pristine[page], 0, 4096);
                }
            }
            machine.memory.cleanAll();
        }

        private void tables() {
            machine.memory.write(PT_32, 4, PT_32 + 0x1000 | ALL);
            machine.memory.write(HOST_32, 4, HOST_32 + 0x1000 | ALL);
            machine.memory.write(PT_32 + 4, 4, 0x40_0000 | ALL | SvmMachine.PS);
            machine.memory.write(HOST_32 + 4, 4, 0x40_0000 | ALL | SvmMachine.PS);
            for (int i = 0; i < 1024; i++) {
                machine.memory.write(PT_32 + 0x1000 + 4 * i, 4, (long) i << 12 | ALL);
                machine.memory.write(HOST_32 + 0x1000 + 4 * i, 4, (long) i << 12 | ALL);
            }
            for (long at : new long[] {PT_PAE, HOST_PAE}) {
                machine.memory.write64(at, at + 0x1000 | SvmMachine.P);
                machine.memory.write64(at + 0x1000, at + 0x2000 | ALL);
                for (int i = 1; i < 8; i++) {
                    machine.memory.write64(
                            at + 0x1000 + 8 * i, (long) i << 21 | ALL | SvmMachine.PS);
                }
                for (int i = 0; i < 512; i++) {
                    machine.memory.write64(at + 0x2000 + 8 * i, (long) i << 12 | ALL);
                }
            }
        }

        private void setHost() {
            Cpu cpu = machine.cpu;
            if (host == Host.LONG) {
                return;
            }
            if (host == Host.OLD) {
                cpu.model = CpuModel.parse("epyc-milan,-lm,-vnmi,-gmet,-rogpt,-smep,-pdpe1gb");
            }
            cpu.segAttr[Cpu.CS] = SvmMachine.CODE32;
            cpu.efer = Cpu.EFER_SVME | (host == Host.PAE ? Cpu.EFER_NXE : 0);
            cpu.cr4 = host == Host.PAE ? Cpu.CR4_PAE : Cpu.CR4_PSE;
            cpu.cr3 = host == Host.PAE ? HOST_PAE : HOST_32;
            if (host == Host.UNPAGED) {
                cpu.cr0 &= ~Cpu.CR0_PG;
            }
            cpu.updateMode();
            cpu.mmu.flush(true);
        }

        /** The VMCBs of guests in each mode, with nested tables of the host's kind named. */
        private byte[][] guests() {
            long nested =
                    switch (host) {
                        case LONG -> SvmMachine.NESTED_PML4;
                        case PAE -> HOST_PAE;
                        default -> HOST_32;
                    };
            machine.put64(VmcbLayout.N_CR3, nested);
            byte[] longMode = vmcb();
            byte[][] all = new byte[9][];
            all[0] = longMode;
            machine.put16(VmcbLayout.CS + VmcbLayout.ATTRIBUTES, SvmMachine.CODE32);
            all[1] = vmcb();
            restore(longMode);
            machine.put8(VmcbLayout.CPL, 3);
            all[2] = vmcb();
            restore(longMode);
            machine.protected32();
            all[3] = vmcb();
            paged(PT_32, Cpu.CR4_PSE, 0);
            all[4] = vmcb();
            machine.put64(VmcbLayout.RFLAGS, 2 | Cpu.VM);
            all[5] = vmcb();
            restore(longMode);
            machine.protected32();
            paged(PT_PAE, Cpu.CR4_PAE, Cpu.EFER_NXE);
            all[6] = vmcb();
            restore(longMode);
            machine.real();
            all[7] = vmcb();
            paged(PT_32, 0, 0);
            all[8] = vmcb();
            restore(longMode);
            return all;
        }

        private void paged(long cr3, long cr4, long efer) {
            machine.put64(VmcbLayout.CR0, machine.get64(VmcbLayout.CR0) | Cpu.CR0_PG);
            machine.put64(VmcbLayout.CR3, cr3);
            machine.put64(VmcbLayout.CR4, cr4);
            machine.put64(VmcbLayout.EFER, Cpu.EFER_SVME | efer);
        }

        private byte[] vmcb() {
            byte[] page = new byte[4096];
            machine.memory.read(SvmMachine.VMCB, page, 0, page.length);
            return page;
        }

        void restore(byte[] vmcb) {
            machine.memory.write(SvmMachine.VMCB, vmcb, 0, vmcb.length);
        }

        /** Memory and registers as at first; translations stay. */
        void reset() {
            for (int page = 0; page < pristine.length; page++) {
                if (machine.memory.dirty(page)) {
                    byte[] was = pristine[page] == null ? ZEROS : pristine[page];
                    machine.memory.write((long) page << 12, was, 0, 4096);
                }
            }
            machine.memory.cleanAll();
            machine.cpu.load(new BinaryStateReader(registers));
            machine.apic.pending = -1;
            machine.apic.tpr = 0;
        }

        @Override
        public void consistencyFailure(int vcpu, long vmcb, String broken) {
            rule = broken;
        }

        /** The host's own code is not run: a guest without nested paging may have written to it. */
        @Override
        public void vmexit(int vcpu, long vmcb, VmcbView state, long guestInstructions) {
            machine.cpu.attention |= Cpu.ATTENTION_STOP;
        }

        @Override
        public void close() {
            machine.close();
        }
    }

    private static final byte[] ZEROS = new byte[4096];

    private final SplittableRandom random;
    private final World[] worlds;
    private final Map<String, Integer> outcomes = new TreeMap<>();
    private World world;
    private SvmMachine m;

    VmcbFuzzer(long seed) {
        random = new SplittableRandom(seed);
        worlds = new World[Host.values().length];
        int made = 0;
        for (Host host : Host.values()) {
            worlds[made++] = new World(host, random);
        }
    }

    private static byte[][] openings(String... hex) {
        return Stream.of(hex).map(HexFormat.of()::parseHex).toArray(byte[][]::new);
    }

    /** How often each outcome was met, by its name. */
    Map<String, Integer> outcomes() {
        return outcomes;
    }

    /** Runs one random VMCB. */
    void run() {
        world = worlds[random.nextInt(2) == 0 ? 0 : random.nextInt(worlds.length)];
        m = world.machine;
        world.reset();
        world.restore(world.guests[random.nextInt(world.guests.length)]);
        if (random.nextInt(3) != 0) {
            m.put64(VmcbLayout.NP_ENABLE, 1 | (random.nextInt(4) == 0 ? random.nextInt(256) : 0));
        }
        dress();
        for (int i = random.nextInt(4); i > 0; i--) {
            mutate();
        }
        outside();
        long[] host = hostRegisters();
        List<String> expected = VmcbOracle.brokenRules(m);
        byte[] before = world.vmcb();
        m.put64(VmcbLayout.EXITCODE, UNWRITTEN);
        world.rule = null;
        m.vmrun();
        boolean invalid = world.rule != null;
        if (invalid != !expected.isEmpty()) {
            throw new AssertionError("refused for " + world.rule + ", foretold " + expected);
        }
        if (invalid) {
            refused(expected, before);
        } else {
            ran(before);
        }
        if (m.cpu.activity == Cpu.SHUTDOWN) {
            assertThat(world.host).as("a host that shuts down").isEqualTo(Host.PAE);
            assertThat(VmcbOracle.badPointers(m, HOST_PAE)).isTrue();
            count("the host shuts down: illegal PDPEs (§15.6)");
        } else if (world.host == Host.PAE) {
            assertThat(VmcbOracle.badPointers(m, HOST_PAE)).as("illegal PDPEs").isFalse();
        }
        assertThat(hostRegisters()).as("the host's registers").containsExactly(host);
        assertThat(m.cpu.guestMode).isFalse();
        assertThat(m.cpu.gif).isFalse();
        assertThat(m.cpu.cpl).isZero();
        assertThat(m.cpu.dr[7]).isEqualTo(0x400);
    }

    /** What a hypervisor sets differently each time: intercepts, ASID, event, code. */
    private void dress() {
        for (int vector = 0; vector < 6; vector++) {
            int some = random.nextInt();
            some &= random.nextInt();
            m.put32(4 * vector, random.nextInt(4) == 0 ? 0 : random.nextInt(4) == 0 ? -1 : some);
        }
        m.put32(0x10, m.get32(0x10) | 1);
        m.put32(VmcbLayout.ASID, random.nextInt(1, 20));
        m.put8(VmcbLayout.TLB_CONTROL, random.nextInt(4) == 0 ? random.nextInt(9) : 0);
        if (random.nextInt(3) == 0) {
            long types = 0x0_0000_4300L >>> 4 * random.nextInt(4) & 7;
            m.put64(
                    VmcbLayout.EVENTINJ,
                    1L << 31
                            | (random.nextInt(4) == 0 ? random.nextInt(8) : types) << 8
                            | random.nextInt(random.nextInt(4) == 0 ? 256 : 32)
                            | (random.nextInt(3) == 0 ? 1L << 11 : 0)
                            | random.nextLong() << 32);
        }
        if (random.nextInt(4) == 0) {
            m.put64(
                    VmcbLayout.V_INTR,
                    (long) random.nextInt(256) << 32 | random.nextInt() & 0x070f_1b0fL);
            virtualApic();
        }
        m.put64(VmcbLayout.NRIP, m.get64(VmcbLayout.RIP) + random.nextInt(16));
        m.put32(VmcbLayout.CLEAN_BITS, 0);
        code();
        for (int i = 0; i < 16; i++) {
            if (i != Cpu.RAX && i != Cpu.RSP) {
                m.cpu.r[i] =
                        random.nextBoolean()
                                ? random.nextInt(0x10_0000)
                                : random.nextLong() >>> random.nextInt(64);
            }
        }
    }

    /** Sometimes a virtual APIC, of which the guest's stack or data is the register page. */
    private void virtualApic() {
        if (random.nextBoolean()) {
            return;
        }
        long x2 = random.nextInt(4) == 0 ? 1L << 30 : 0;
        m.put64(VmcbLayout.V_INTR, m.get64(VmcbLayout.V_INTR) | 1L << 31 | x2);
        m.put64(VmcbLayout.AVIC_APIC_BAR, random.nextInt(0x50, 0x65) << 12);
        m.put64(VmcbLayout.AVIC_BACKING_PAGE, VIRTUAL_APIC);
        m.put64(VmcbLayout.AVIC_LOGICAL_TABLE, VIRTUAL_APIC + 0x1000);
        m.put64(VmcbLayout.AVIC_PHYSICAL_TABLE, VIRTUAL_APIC + 0x2000 | random.nextInt(16));
        for (int i = 0; i < 16; i++) {
            m.memory.write(VIRTUAL_APIC + 0x1000 + 4 * i, 4, random.nextInt() & 0x8000_000fL);
            m.memory.write64(
                    VIRTUAL_APIC + 0x2000 + 8 * i,
                    random.nextLong() & 0xc000_0000_0000_0003L | VIRTUAL_APIC + 0x3000);
            m.memory.write(VIRTUAL_APIC + 0x100 + 16 * random.nextInt(24), 4, random.nextInt());
        }
    }

    private void code() {
        byte[] code = new byte[random.nextInt(8, 48)];
        random.nextBytes(code);
        for (int at = 0; at < code.length - 8; at += random.nextInt(2, 8)) {
            byte[] opening = OPENINGS[random.nextInt(OPENINGS.length)];
            System.arraycopy(opening, 0, code, at, Math.min(opening.length, code.length - at));
        }
        m.memory.write(SvmMachine.GUEST_CODE, code, 0, code.length);
    }

    private long value() {
        return switch (random.nextInt(5)) {
            case 0 -> random.nextLong();
            case 1 -> 1L << random.nextInt(64);
            case 2 -> 1L << POPULAR_BITS[random.nextInt(POPULAR_BITS.length)];
            case 3 -> -1L << random.nextInt(64);
            default -> random.nextInt(64);
        };
    }

    private void mutate() {
        int kind = random.nextInt(8);
        long offset;
        if (kind < 4) {
            offset = SvmMachine.VMCB + INTERESTING[random.nextInt(INTERESTING.length)];
        } else if (kind == 4) {
            int field = random.nextInt(VmcbLayout.FIELDS.size());
            offset = SvmMachine.VMCB + (VmcbLayout.FIELDS.get(field).offset() & ~7);
        } else if (kind == 5) {
            offset = SvmMachine.VMCB + 8 * random.nextInt(0x200);
        } else {
            offset = table();
        }
        long value = value();
        m.memory.write64(offset, random.nextInt(3) == 0 ? value : m.memory.read64(offset) ^ value);
    }

    /** An entry of one of the tables that guests and the second translation use. */
    private long table() {
        long root =
                switch (random.nextInt(5)) {
                    case 0 -> SvmMachine.NESTED_PML4;
                    case 1 -> SvmMachine.GUEST_PML4;
                    case 2 -> PT_PAE;
                    case 3 -> PT_32;
                    default -> m.get64(VmcbLayout.N_CR3) & 0xff000;
                };
        long page = root + 0x1000L * random.nextInt(4);
        long entry = random.nextInt(3) == 0 ? 0 : random.nextInt(0x50, 0x65);
        boolean hostsOwn = world.host != Host.LONG && page >= HOST_PAE && page < PT_32;
        // a host that does not find its own code is none that VMRUN could return to
        return hostsOwn ? SvmMachine.GUEST_PT + 8 * entry : page + 8 * entry;
    }

    /** Interrupts from outside. */
    private void outside() {
        if (random.nextInt(8) == 0) {
            m.apic.pending = random.nextInt(32, 256);
        }
        m.cpu.nmiPending = random.nextInt(8) == 0;
        m.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        if (random.nextInt(4) == 0) {
            m.cpu.setRflags(2 | Cpu.IF);
        }
    }

    private void refused(List<String> expected, byte[] before) {
        assertThat(m.exitCode()).isEqualTo(-1);
        assertThat(world.rule).startsWith("§15.");
        assertThat(expected.stream().anyMatch(world.rule::contains))
                .as("%s is among %s", world.rule, expected)
                .isTrue();
        byte[] after = world.vmcb();
        assertThat(Arrays.equals(before, 0x400, 4096, after, 0x400, 4096))
                .as("the state-save area of a refused VMCB")
                .isTrue();
        count("refused: " + world.rule);
    }

    private void ran(byte[] before) {
        boolean exited = m.run(random.nextInt(1, MOST_INSTRUCTIONS));
        if (!exited) {
            count(m.cpu.activity == Cpu.SHUTDOWN ? "guest shuts down" : "guest runs on");
            m.cpu.activity = Cpu.RUNNING;
            m.svm.exit(ExitCode.INTR, 0, 0);
            return;
        }
        int code = Math.toIntExact(m.exitCode());
        // §15.33.1: virtual VMLOAD and VMSAVE, asked for where they cannot be had, exit
        boolean virtual = (code == 0x82 || code == 0x83) && (before[0xb8] & 2) != 0;
        if (code < 0xc0 && !virtual) {
            assertThat(before[code >>> 3] >>> (code & 7) & 1)
                    .as("the intercept of exit %x", code)
                    .isEqualTo(1);
        } else if (!virtual) {
            if (code != ExitCode.NPF) {
                assertThat(code).isIn(ExitCode.AVIC_NOACCEL, ExitCode.AVIC_INCOMPLETE_IPI);
                assertThat(before[VmcbLayout.V_INTR + 3]).as("AVIC enable, the sign").isNegative();
            }
            assertThat(before[VmcbLayout.NP_ENABLE] & 1).isEqualTo(1);
        }
        assertThat(m.get64(VmcbLayout.EVENTINJ)).isZero();
        assertThat(m.get64(VmcbLayout.EXITINTINFO) & 0x7fff_f000L).isZero();
        count("exit %03xh".formatted(code));
    }

    private void count(String outcome) {
        outcomes.merge(outcome, 1, Integer::sum);
    }

    /** What #VMEXIT must bring back (§15.6). */
    private long[] hostRegisters() {
        Cpu cpu = m.cpu;
        long[] all = new long[14 + 4 * 4];
        long next = cpu.rip == SvmMachine.HOST_CODE ? 3 : 0;
        long[] some = {
            cpu.rip + next,
            cpu.r[Cpu.RAX],
            cpu.r[Cpu.RSP],
            cpu.rflags(),
            cpu.cr0,
            cpu.cr3,
            cpu.cr4,
            cpu.efer,
            cpu.gdtrBase,
            cpu.gdtrLimit,
            cpu.idtrBase,
            cpu.idtrLimit,
            cpu.codeBits,
            cpu.mode64 ? 1 : 0
        };
        System.arraycopy(some, 0, all, 0, some.length);
        for (int i = 0; i < 4; i++) {
            all[14 + 4 * i] = cpu.segSelector[i];
            all[15 + 4 * i] = cpu.segBase[i];
            all[16 + 4 * i] = cpu.segLimit[i];
            all[17 + 4 * i] = cpu.segAttr[i];
        }
        return all;
    }

    @Override
    public void close() {
        for (World each : worlds) {
            each.close();
        }
    }

    /** Prints how often each outcome was met; on a failure, the number of the run. */
    public static void main(String[] arguments) {
        int runs = Integer.parseInt(arguments[0]);
        long seed = Long.parseLong(arguments[1]);
        ThreadMXBean threads = ManagementFactory.getThreadMXBean();
        long begin = threads.getCurrentThreadCpuTime();
        long before = begin;
        long slowest = 0;
        try (VmcbFuzzer fuzzer = new VmcbFuzzer(seed)) {
            for (int i = 0; i < runs; i++) {
                try {
                    fuzzer.run();
                } catch (RuntimeException | Error e) {
                    throw new IllegalStateException("run " + i + " of seed " + seed, e);
                }
                long now = threads.getCurrentThreadCpuTime();
                slowest = Math.max(slowest, now - before);
                before = now;
            }
            fuzzer.outcomes.forEach((name, count) -> System.out.printf("%9d  %s%n", count, name));
            System.out.printf(
                    "%9d  VMRUNs in %.1f s of processor time, the slowest in %d ms%n",
                    runs, (before - begin) / 1e9, slowest / 1_000_000);
        }
    }
}
