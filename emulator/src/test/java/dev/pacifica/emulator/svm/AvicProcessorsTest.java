package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.machine.Machine;
import dev.pacifica.emulator.machine.MachineConfig;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import java.time.Instant;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Two processors run the two virtual processors of one guest, which send each other IPIs, one after
 * the other's, without any exit in between (§15.29.6, §15.29.8).
 */
class AvicProcessorsTest {
    private static final int ROUNDS = 50;
    private static final int VECTOR = 0x41;
    private static final long P_W_U = 7;
    private static final long TABLES = 0x1000;
    private static final long SMALL = 0x20000;
    private static final long VMCB = 0x10000;
    private static final long HOST_CODE = 0x40000;
    private static final long GUEST_CODE = 0x50000;
    private static final long GUEST_HALT = 0x51000;
    private static final long HANDLER = 0x52000;
    private static final long GDT = 0x61000;
    private static final long IDT = 0x60000;
    private static final long COUNTS = 0x7f000;
    private static final long APIC = 0x80000;
    private static final long BACKING = 0x90000;
    private static final long PHYSICAL = 0x92000;
    private static final long LONG_MODE =
            Cpu.EFER_SVME | Cpu.EFER_LME | Cpu.EFER_LMA | Cpu.EFER_NXE;
    private static final long CR0 = Cpu.CR0_PE | Cpu.CR0_PG | Cpu.CR0_ET | Cpu.CR0_WP | Cpu.CR0_NE;

    private static Machine machine(boolean x2, long quantum) {
        Machine machine =
                new Machine(
                        new MachineConfig(16 << 20, 2, "", Instant.EPOCH, 7, quantum),
                        (device, value) -> {});
        PhysicalMemory memory = machine.memory();
        identity(memory, TABLES);
        identity(memory, SMALL);
        code(memory, HOST_CODE, "0f01d8 ebfe"); // vmrun; stay here
        memory.write64(GDT + 0x10, 0x00af_9b00_0000_ffffL);
        memory.write64(GDT + 0x18, 0x00cf_9300_0000_ffffL);
        memory.write64(
                IDT + 16 * VECTOR,
                HANDLER & 0xffff | 0x10 << 16 | 0x8e00L << 32 | HANDLER >>> 16 << 48);
        guestCode(memory, x2);
        for (int i = 0; i < 2; i++) {
            vmcb(memory, i, x2);
            host(machine.cpu(i), i);
            memory.write64(PHYSICAL + 8 * i, 3L << 62 | backing(i) | i);
        }
        return machine;
    }

    private static long backing(int id) {
        return BACKING + 0x1000L * id;
    }

    private static void identity(PhysicalMemory memory, long root) {
        memory.write64(root, root + 0x1000 | P_W_U);
        memory.write64(root + 0x1000, root + 0x2000 | P_W_U);
        for (int i = 0; i < 8; i++) {
            memory.write64(root + 0x2000 + 8 * i, (long) i << 21 | P_W_U | 0x80);
        }
    }

    private static void code(PhysicalMemory memory, long at, String hex) {
        byte[] bytes = HexFormat.of().parseHex(hex.replace(" ", ""));
        memory.write(at, bytes, 0, bytes.length);
    }

    /**
     * Virtual processor 0 sends the first IPI. The handler counts at [rsi], ends the interrupt,
     * sends one to the other (ESI's bit 2 tells who this is) until it has counted enough, and
     * returns; then both halt for good.
     */
    private static void guestCode(PhysicalMemory memory, boolean x2) {
        String send =
                x2
                        ? "b930080000 b841000000 89fa 0f30" // wrmsr ICR, to the id in edi
                        : "89f8 c1e018" // mov eax, edi; shl eax, 24
                                + "898310030000" // mov [rbx + 310h], eax
                                + AvicMachine.store(0x300, VECTOR);
        String eoi = x2 ? "b90b080000 31c0 31d2 0f30" : AvicMachine.store(0xb0, 0);
        code(memory, GUEST_CODE, send + "fb f4 ebfc"); // sti; hlt; again
        code(memory, GUEST_HALT, "fb f4 ebfc");
        int bytes = HexFormat.of().parseHex(send.replace(" ", "")).length;
        code(
                memory,
                HANDLER,
                "ff06" // inc dword [rsi]
                        + eoi
                        + "833e%02x".formatted(ROUNDS) // cmp dword [rsi], ROUNDS
                        + "77%02x".formatted(bytes) // ja over the sending
                        + send
                        + "48cf");
    }

    private static void vmcb(PhysicalMemory memory, int id, boolean x2) {
        long at = VMCB + 0x1000L * id;
        memory.write(at + VmcbLayout.INTERCEPT_MISC1, 4, 1L << 31); // shutdown
        memory.write(at + VmcbLayout.INTERCEPT_MISC2, 4, 1);
        memory.write64(at + VmcbLayout.IOPM_BASE_PA, 0x100000);
        memory.write64(at + VmcbLayout.MSRPM_BASE_PA, 0x104000);
        memory.write(at + VmcbLayout.ASID, 4, 1 + id);
        memory.write64(at + VmcbLayout.NP_ENABLE, 1);
        memory.write64(at + VmcbLayout.N_CR3, SMALL);
        memory.write64(at + VmcbLayout.G_PAT, SvmMachine.PAT);
        memory.write64(
                at + VmcbLayout.V_INTR,
                AvicMachine.ENABLE | AvicMachine.MASKING | (x2 ? AvicMachine.X2 : 0));
        memory.write64(at + VmcbLayout.AVIC_APIC_BAR, APIC);
        memory.write64(at + VmcbLayout.AVIC_BACKING_PAGE, backing(id));
        memory.write64(at + VmcbLayout.AVIC_PHYSICAL_TABLE, PHYSICAL | 1);
        segment(memory, at + VmcbLayout.CS, SvmMachine.CODE64, 0x10);
        segment(memory, at + VmcbLayout.SS, SvmMachine.DATA, 0x18);
        segment(memory, at + VmcbLayout.DS, SvmMachine.DATA, 0x18);
        segment(memory, at + VmcbLayout.ES, SvmMachine.DATA, 0x18);
        memory.write64(at + VmcbLayout.GDTR + VmcbLayout.BASE, GDT);
        memory.write(at + VmcbLayout.GDTR + VmcbLayout.LIMIT, 4, 0xfff);
        memory.write64(at + VmcbLayout.IDTR + VmcbLayout.BASE, IDT);
        memory.write(at + VmcbLayout.IDTR + VmcbLayout.LIMIT, 4, 0xfff);
        memory.write64(at + VmcbLayout.EFER, LONG_MODE);
        memory.write64(at + VmcbLayout.CR0, CR0);
        memory.write64(at + VmcbLayout.CR3, TABLES);
        memory.write64(at + VmcbLayout.CR4, Cpu.CR4_PAE);
        memory.write64(at + VmcbLayout.DR6, 0xffff_0ff0L);
        memory.write64(at + VmcbLayout.DR7, 0x400);
        memory.write64(at + VmcbLayout.RFLAGS, 2);
        memory.write64(at + VmcbLayout.RIP, id == 0 ? GUEST_CODE : GUEST_HALT);
        memory.write64(at + VmcbLayout.RSP, 0x58000 + 0x1000L * id);
    }

    private static void segment(PhysicalMemory memory, long at, int attributes, int selector) {
        memory.write64(at, 0xffff_ffffL << 32 | (long) attributes << 16 | selector);
    }

    private static void host(Cpu cpu, int id) {
        cpu.cr0 = CR0;
        cpu.cr3 = TABLES;
        cpu.cr4 = Cpu.CR4_PAE;
        cpu.efer = LONG_MODE;
        for (int i = 0; i < 8; i++) {
            cpu.segSelector[i] = i == Cpu.CS ? 0x10 : 0x18;
            cpu.segAttr[i] = i == Cpu.CS ? SvmMachine.CODE64 : i < 6 ? SvmMachine.DATA : 0;
            cpu.segLimit[i] = 0xffff_ffffL;
            cpu.segBase[i] = 0;
        }
        cpu.activity = Cpu.RUNNING;
        cpu.rip = HOST_CODE;
        cpu.r[Cpu.RAX] = VMCB + 0x1000L * id;
        cpu.r[Cpu.RBX] = APIC;
        cpu.r[Cpu.RSI] = COUNTS + 4L * id;
        cpu.r[Cpu.RDI] = 1 - id;
        cpu.msrs.vmHsavePa = 0x14000 + 0x1000L * id;
        cpu.setRflags(2);
        cpu.updateMode();
    }

    private static byte[] state(Machine machine) {
        BinaryStateWriter out = new BinaryStateWriter();
        machine.save(out);
        return out.toByteArray();
    }

    @ParameterizedTest
    @CsvSource({"false,1", "false,7", "false,10000", "true,1", "true,7", "true,10000"})
    void theyRingEachOther(boolean x2, long quantum) {
        try (Machine machine = machine(x2, quantum);
                Machine other = machine(x2, quantum)) {
            machine.run(20_000);
            for (int i = 0; i < 2; i++) {
                assertThat(machine.memory().read(VMCB + 0x1000L * i + VmcbLayout.EXITCODE, 8))
                        .as("no exit was written")
                        .isZero();
                assertThat(machine.cpu(i).guestMode).isTrue();
                assertThat(machine.cpu(i).activity).isEqualTo(Cpu.HALTED);
            }
            // 0 sent the first; who counts ROUNDS still answers, the next one stops
            assertThat(machine.memory().read(COUNTS + 4, 4)).isEqualTo(ROUNDS + 1);
            assertThat(machine.memory().read(COUNTS, 4)).isEqualTo(ROUNDS);
            // the same run in pieces, its state saved and loaded between them
            for (long until = 13; until < 2000; until += 13) {
                other.run(until);
                byte[] saved = state(other);
                other.load(new BinaryStateReader(saved));
            }
            other.run(20_000);
            assertThat(state(other)).isEqualTo(state(machine));
        }
    }

    @Test
    void aTrapExitsBeforeTheNextInstructionOfTheSameRun() {
        try (Machine machine = machine(false, 10_000)) {
            code(machine.memory(), GUEST_CODE, AvicMachine.store(0xf0, 0x1ff) + "ff06 ebfc");
            machine.run(1000);
            assertThat(machine.memory().read(VMCB + VmcbLayout.EXITCODE, 8))
                    .isEqualTo(ExitCode.AVIC_NOACCEL);
            assertThat(machine.memory().read(VMCB + VmcbLayout.RIP, 8)).isEqualTo(GUEST_CODE + 10);
            assertThat(machine.memory().read(COUNTS, 4)).isZero();
            assertThat(machine.memory().read(BACKING + 0xf0, 4)).isEqualTo(0x1ff);
        }
    }
}
