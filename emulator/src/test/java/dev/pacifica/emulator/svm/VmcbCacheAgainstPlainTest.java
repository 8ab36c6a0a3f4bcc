package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A hypervisor that clears the clean bit of everything it changes (§15.15.2) sees no difference
 * between a processor that caches VMCB state and one that loads everything.
 */
class VmcbCacheAgainstPlainTest {
    private static final int RUNS = 1500;
    private static final long VMRUN_INTERCEPT = 1;
    private static final long NMI_INTERCEPT = 2;

    /** MOV to CR2, CR4, CR8 and DR7, STGI, CLGI, STI, CLI, PAUSE, XCHG, INT 41h, IRETQ. */
    private static final String[] CODE = {
        "0f22d3",
        "0f22e1",
        "440f22c2",
        "0f23fe",
        "0f01dc",
        "0f01dd",
        "fb",
        "fa",
        "f390",
        "8703",
        "cd41",
        "48cf",
        "90",
    };

    private final SvmMachine plain = new SvmMachine();
    private final SvmMachine cached = new SvmMachine();
    private int changed;

    @BeforeEach
    void prepare() {
        for (SvmMachine machine : new SvmMachine[] {plain, cached}) {
            machine.intercept(ExitCode.HLT);
            machine.intercept(ExitCode.NMI);
            machine.intercept(ExitCode.SHUTDOWN);
        }
        cached.svm.cacheVmcbs();
    }

    @AfterEach
    void release() {
        plain.close();
        cached.close();
    }

    private void put(int bit, int offset, int size, long value) {
        changed |= bit < 0 ? 0 : 1 << bit;
        plain.memory.write(SvmMachine.VMCB + offset, size, value);
        cached.memory.write(SvmMachine.VMCB + offset, size, value);
    }

    private void change(RandomGenerator random) {
        switch (random.nextInt(16)) {
            case 0 -> put(0, VmcbLayout.INTERCEPT_MISC3, 4, random.nextInt(128));
            case 1 -> {
                long bits = random.nextInt() & 0x1f0000L; // PUSHF to IRET, INTn
                put(0, VmcbLayout.INTERCEPT_MISC1, 4, bits | 0x8100_0000L | NMI_INTERCEPT);
            }
            case 2 -> put(0, VmcbLayout.INTERCEPT_MISC2, 4, random.nextInt(64) | VMRUN_INTERCEPT);
            case 3 -> put(0, VmcbLayout.TSC_OFFSET, 8, random.nextLong());
            case 4 -> put(1, VmcbLayout.IOPM_BASE_PA, 8, 0x12000 + 0x1000 * random.nextInt(4));
            case 5 -> put(2, VmcbLayout.ASID, 4, 1 + random.nextInt(5));
            case 6 -> put(3, VmcbLayout.V_INTR, 8, random.nextLong() & 0x5f_071f_1b0fL);
            case 7 -> put(4, VmcbLayout.NP_ENABLE, 8, random.nextInt(2));
            case 8 -> put(4, VmcbLayout.G_PAT, 8, SvmMachine.PAT + random.nextInt(2));
            case 9 -> put(5, VmcbLayout.CR4, 8, Cpu.CR4_PAE | random.nextInt(16) << 4);
            case 10 -> put(6, VmcbLayout.DR7, 8, 0x400);
            case 11 -> put(7, VmcbLayout.IDTR + VmcbLayout.LIMIT, 4, random.nextInt(0x1000));
            case 12 -> put(8, VmcbLayout.CPL, 1, 3 * random.nextInt(2));
            case 13 -> put(9, VmcbLayout.CR2, 8, random.nextLong());
            case 14 -> {
                put(-1, VmcbLayout.LBR_VIRTUALIZATION_ENABLE, 8, random.nextInt(2));
                put(10, VmcbLayout.DBGCTL, 8, random.nextInt(2));
            }
            default -> put(-1, VmcbLayout.INTERRUPT_SHADOW, 8, random.nextInt(2));
        }
    }

    private void enter(SvmMachine machine, long[] registers) {
        Cpu cpu = machine.cpu;
        System.arraycopy(registers, 0, cpu.r, 0, 8);
        cpu.r[Cpu.RAX] = SvmMachine.VMCB;
        cpu.rip = SvmMachine.HOST_CODE;
        machine.vmrun();
        machine.run(6);
        if (cpu.guestMode) {
            machine.svm.exit(ExitCode.INTR, 0, 0);
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2})
    void theyAgree(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        byte[] first = new byte[VmcbLayout.SIZE];
        byte[] second = new byte[VmcbLayout.SIZE];
        int valid = 0;
        for (int run = 0; run < RUNS; run++) {
            changed = 0;
            for (int i = random.nextInt(4); i > 0; i--) {
                change(random);
            }
            put(-1, VmcbLayout.RIP, 8, SvmMachine.GUEST_CODE);
            put(-1, VmcbLayout.RSP, 8, SvmMachine.GUEST_STACK);
            put(-1, VmcbLayout.RAX, 8, 0);
            put(-1, VmcbLayout.RFLAGS, 8, 2 | random.nextInt(2) << 9);
            put(-1, VmcbLayout.CLEAN_BITS, 4, ~changed & 0xffff_ffffL);
            StringBuilder code = new StringBuilder();
            for (int i = 0; i < 5; i++) {
                code.append(CODE[random.nextInt(CODE.length)]);
            }
            plain.code(SvmMachine.GUEST_CODE, code + "f4");
            cached.code(SvmMachine.GUEST_CODE, code + "f4");
            long[] registers = new long[8];
            registers[Cpu.RBX] = 0x8003e;
            registers[Cpu.RCX] = Cpu.CR4_PAE | random.nextInt(16) << 4;
            registers[Cpu.RDX] = random.nextInt(16);
            registers[Cpu.RSP] = SvmMachine.HOST_STACK;
            registers[Cpu.RSI] = 0x400;
            enter(plain, registers);
            enter(cached, registers);
            plain.memory.read(SvmMachine.VMCB, first, 0, first.length);
            cached.memory.read(SvmMachine.VMCB, second, 0, second.length);
            assertThat(second).as("VMCB after run %d", run).isEqualTo(first);
            assertThat(cached.cpu.digest()).as("run %d", run).isEqualTo(plain.cpu.digest());
            valid += plain.exitCode() != -1 ? 1 : 0;
        }
        assertThat(valid).as("guests that ran").isGreaterThan(RUNS * 9 / 10);
    }

    /** The comparison above can fail: one forgotten clean bit is enough. */
    @Test
    void aForgottenBitIsSeen() {
        long[] registers = new long[8];
        plain.code(SvmMachine.GUEST_CODE, "f4");
        cached.code(SvmMachine.GUEST_CODE, "f4");
        enter(plain, registers);
        enter(cached, registers);
        put(-1, VmcbLayout.CR2, 8, 0x1234);
        put(-1, VmcbLayout.CLEAN_BITS, 4, 0xffff_ffffL);
        enter(plain, registers);
        enter(cached, registers);
        assertThat(plain.get64(VmcbLayout.CR2)).isEqualTo(0x1234);
        assertThat(cached.get64(VmcbLayout.CR2)).isZero();
    }
}
