package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import java.time.Duration;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Whatever bytes a guest executes, in each mode: no Java exception escapes, each exit restores the
 * host and has an exit code that the manual knows, and a guest confined by nested paging and the
 * intercepts that hypervisors need changes nothing outside its pages.
 */
class RandomGuestCodeTest {
    private static final int RUNS = 120;
    private static final int STEPS = 300;

    /**
     * The guest's own pages: its page tables, code, stack, and descriptor tables; the host's code
     * lies between them.
     */
    private static boolean own(long page) {
        return page >= 0x30000 && page < 0x34000 || page >= 0x50000 && page < 0x70000;
    }

    /**
     * Openings of instructions that interest a hypervisor, so that random code is not mostly
     * arithmetic.
     */
    private static final byte[][] OPENINGS =
            openings(
                    "0f00", "0f01d8", "0f01d9", "0f01da", "0f01db", "0f01dc", "0f01dd", "0f01df",
                    "0f01f8", "0f01f9", "0f01c8", "0f01c9", "0f01d0", "0f01d1", "0f0138", "0f0118",
                    "0f05", "0f07", "0f06", "0f08", "0f09", "0f20", "0f21", "0f22", "0f23", "0f30",
                    "0f31", "0f32", "0f33", "0f34", "0f35", "0fa2", "0faa", "0f0b", "cc", "cd",
                    "cf", "48cf", "9c", "9d", "fa", "fb", "f1", "f4", "f390", "6c", "f36d", "6e",
                    "f36f", "e4", "e6", "ec", "ed", "ee", "ef", "9a", "ea", "cb", "8ed0", "8ed8",
                    "d9", "df", "0fae", "f30fc7", "0fc7", "f3a4", "f3ab", "f3a6");

    private static byte[][] openings(String... hex) {
        return Stream.of(hex).map(java.util.HexFormat.of()::parseHex).toArray(byte[][]::new);
    }

    static Stream<Arguments> guests() {
        return Stream.of(
                Arguments.of("real", true, (Consumer<SvmMachine>) SvmMachine::real),
                Arguments.of("protected", true, (Consumer<SvmMachine>) SvmMachine::protected32),
                Arguments.of("long", true, (Consumer<SvmMachine>) _ -> {}),
                Arguments.of("real", false, (Consumer<SvmMachine>) SvmMachine::real),
                Arguments.of("protected", false, (Consumer<SvmMachine>) SvmMachine::protected32),
                Arguments.of("long", false, (Consumer<SvmMachine>) _ -> {}));
    }

    @ParameterizedTest(name = "{0} mode, nested paging {1}")
    @MethodSource("guests")
    void staysWithinTheArchitecture(String mode, boolean nested, Consumer<SvmMachine> shape) {
        SplittableRandom random = new SplittableRandom(mode.hashCode() + (nested ? 1 : 0));
        int exits =
                Assertions.assertTimeoutPreemptively(
                        Duration.ofMinutes(2),
                        () -> {
                            int sum = 0;
                            for (int run = 0; run < RUNS; run++) {
                                try (SvmMachine machine = new SvmMachine()) {
                                    shape.accept(machine);
                                    scramble(machine, random, nested);
                                    sum += drive(machine, random, nested);
                                }
                            }
                            return sum;
                        });
        assertThat(exits).as("exits").isGreaterThan(RUNS);
    }

    private static void scramble(SvmMachine machine, SplittableRandom random, boolean nested) {
        byte[] code = new byte[0x2000];
        for (long at : new long[] {SvmMachine.GUEST_CODE, SvmMachine.HANDLERS}) {
            random.nextBytes(code);
            for (int i = 0; i < code.length - 16; i += random.nextInt(2, 12)) {
                byte[] opening = OPENINGS[random.nextInt(OPENINGS.length)];
                System.arraycopy(opening, 0, code, i, opening.length);
            }
            machine.memory.write(at, code, 0, code.length);
        }
        for (int i = 0; i < 6; i++) {
            machine.put32(4 * i, nested || random.nextBoolean() ? sparse(random) : -1);
        }
        // What a hypervisor must intercept or lose the machine; SHUTDOWN, so that a triple fault
        // ends the guest only.
        for (int needed = ExitCode.VMRUN; needed <= ExitCode.SKINIT; needed++) {
            machine.intercept(needed);
        }
        machine.intercept(ExitCode.SHUTDOWN);
        machine.intercept(ExitCode.HLT);
        byte[] permissions = new byte[0x5000];
        random.nextBytes(permissions);
        machine.memory.write(SvmMachine.IOPM, permissions, 0, permissions.length);
        if (nested) {
            machine.nestedPaging();
            machine.intercept(ExitCode.MSR);
            machine.memory.write(SvmMachine.MSRPM, ones(0x2000), 0, 0x2000);
            for (long page = 0; page < 0x20_0000; page += 0x1000) {
                if (!own(page)) {
                    machine.nestedPage(
                            page, random.nextInt(3) == 0 ? page | SvmMachine.P | SvmMachine.U : 0);
                }
            }
            for (int i = 1; i < 8; i++) {
                machine.memory.write64(SvmMachine.NESTED_PML4 + 0x2000 + 8 * i, 0);
            }
        }
        for (int i = 0; i < 16; i++) {
            machine.cpu.r[i] =
                    i == Cpu.RSP || i == Cpu.RAX
                            ? machine.cpu.r[i]
                            : random.nextLong() >>> random.nextInt(64);
        }
        machine.put64(
                VmcbLayout.RFLAGS, random.nextInt() & 0x3f_7fd5 & (nested ? -1 : ~Cpu.VM) | 2);
    }

    /** Each bit with a chance of one in four. */
    private static int sparse(SplittableRandom random) {
        int some = random.nextInt();
        return some & random.nextInt();
    }

    private static byte[] ones(int length) {
        byte[] ones = new byte[length];
        Arrays.fill(ones, (byte) -1);
        return ones;
    }

    private static int drive(SvmMachine machine, SplittableRandom random, boolean nested) {
        byte[] before = nested ? outside(machine) : null;
        int exits = 0;
        machine.vmrun();
        for (int step = 0; step < STEPS; step++) {
            if (machine.cpu.guestMode) {
                if (machine.cpu.activity != Cpu.RUNNING) {
                    // An MWAIT or the like that was not intercepted: something comes from outside.
                    machine.cpu.activity = Cpu.RUNNING;
                    machine.svm.exit(ExitCode.INTR, 0, 0);
                }
                machine.run(1);
                continue;
            }
            exits++;
            long code = machine.exitCode();
            assertThat(code)
                    .as("exit code")
                    .satisfiesAnyOf(
                            c -> assertThat(c).isBetween(0L, 0x8eL),
                            c -> assertThat(c).isBetween(0x90L, 0xa6L),
                            c -> assertThat(c).isEqualTo(ExitCode.NPF),
                            c -> assertThat(c).isEqualTo(-1L));
            assertThat(machine.cpu.cr3).isEqualTo(SvmMachine.HOST_PML4);
            assertThat(machine.cpu.cpl).isZero();
            assertThat(machine.cpu.mode64).isTrue();
            if (nested) {
                assertThat(machine.cpu.rip)
                        .as(
                                "RIP of the host after exit 0x%x at 0x%x",
                                code, machine.get64(VmcbLayout.RIP))
                        .isEqualTo(SvmMachine.HOST_CODE + 3);
            } else {
                if (code == -1 || exits > 3) {
                    // Without nested paging the guest has all of memory; it may have changed its
                    // own VMCB.
                    break;
                }
            }
            again(machine, random);
        }
        if (nested) {
            assertThat(outside(machine)).as("memory that is not the guest's").isEqualTo(before);
        }
        return exits;
    }

    /**
     * Enters the guest again, somewhere else in its code, at times with an event, as a hypervisor
     * might.
     */
    private static void again(SvmMachine machine, SplittableRandom random) {
        if (machine.exitCode() == -1 || random.nextInt(4) != 0) {
            machine.put64(
                    VmcbLayout.RIP,
                    random.nextInt(0x1000)
                            + (machine.get64(VmcbLayout.CS + 8) == 0 ? SvmMachine.GUEST_CODE : 0));
        }
        machine.put64(
                VmcbLayout.EVENTINJ,
                switch (random.nextInt(6)) {
                    case 0 -> 1L << 31 | random.nextInt(256);
                    case 1 ->
                            1L << 31 | 3 << 8 | random.nextInt(32) | (long) random.nextInt() << 32;
                    case 2 -> 1L << 31 | 4 << 8 | random.nextInt(256);
                    default -> 0;
                });
        machine.put64(
                VmcbLayout.V_INTR,
                random.nextInt(4) == 0
                        ? (long) random.nextInt(256) << 32 | 0x101_0f00L & random.nextInt()
                        : 0);
        machine.put32(VmcbLayout.ASID, random.nextInt(1, 4));
        machine.put32(VmcbLayout.TLB_CONTROL, random.nextInt(4) == 0 ? 3 : 0);
        machine.cpu.rip = SvmMachine.HOST_CODE;
        machine.cpu.r[Cpu.RAX] = SvmMachine.VMCB;
        machine.cpu.gif = true;
        machine.vmrun();
    }

    /**
     * Everything but the guest's pages, the VMCB, the host save area and the accessed and dirty
     * bits of the nested tables.
     */
    private static byte[] outside(SvmMachine machine) {
        byte[] all = new byte[0x20_0000];
        machine.memory.read(0, all, 0, all.length);
        for (int page = 0; page < all.length; page += 0x1000) {
            if (own(page)) {
                Arrays.fill(all, page, page + 0x1000, (byte) 0);
            }
        }
        Arrays.fill(all, (int) SvmMachine.VMCB, (int) SvmMachine.HOST_SAVE + 0x1000, (byte) 0);
        for (int at = (int) SvmMachine.NESTED_PML4; at < SvmMachine.NESTED_PT + 0x1000; at += 8) {
            all[at] &= ~0x60;
        }
        for (int at = (int) SvmMachine.HOST_PML4; at < SvmMachine.HOST_PML4 + 0x3000; at += 8) {
            all[at] &= ~0x60;
        }
        return all;
    }
}
