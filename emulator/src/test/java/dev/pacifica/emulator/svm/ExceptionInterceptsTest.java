package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * §15.7.2, §15.7.3, §15.12: exceptions that the guest's own instructions raise, through the
 * interpreter.
 */
class ExceptionInterceptsTest {
    private static final long VALID = 1L << 31;
    private static final int EXCEPTION = 3 << 8;
    private static final int NEVER = 0x7777;

    private final SvmMachine machine = new SvmMachine();
    private final Cpu cpu = machine.cpu;

    @AfterEach
    void release() {
        machine.close();
    }

    private void guest(String hex) {
        machine.code(SvmMachine.GUEST_CODE, hex);
        machine.put64(VmcbLayout.EXITCODE, NEVER);
        cpu.r[Cpu.RBX] = 0;
        cpu.r[Cpu.RCX] = 0x8000_0000_0000_0000L;
    }

    @ParameterizedTest
    @CsvSource({
        // instruction, vector, error code, bits per code segment, next RIP saved
        "f7f3, 0, 0, 64, 0", // div ebx by 0
        "cc, 3, 0, 64, 1", // int3
        "0f0b, 6, 0, 64, 0", // ud2
        "d9c0, 7, 0, 64, 0", // fld st0 with CR0.TS
        "488b01, 13, 0, 64, 0", // mov rax, [rcx], not canonical
        "8ed9, 13, 0xfff8, 64, 0", // mov ds, ecx beyond the GDT
        "ce, 4, 0, 32, 1", // into with OF
        "6206, 5, 0, 32, 2", // bound eax, [esi]: 0 in 1..0
    })
    void anInterceptedExceptionExits(String hex, int vector, String error, int bits, int next) {
        guest(hex);
        if (bits == 32) {
            machine.protected32();
            machine.memory.write(0x80000, 4, 1);
            machine.memory.write(0x80004, 4, 0);
            cpu.r[Cpu.RSI] = 0x80000;
            machine.put64(VmcbLayout.RFLAGS, Cpu.OF | 2);
        }
        if (vector == 7) {
            machine.put64(VmcbLayout.CR0, machine.get64(VmcbLayout.CR0) | Cpu.CR0_TS);
        }
        if (hex.equals("8ed9")) {
            cpu.r[Cpu.RCX] = 0xfff8;
        }
        machine.intercept(ExitCode.EXCEPTION + vector);
        assertThat(machine.vmrunAndRun(1)).isTrue();
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + vector);
        assertThat(machine.info1()).isEqualTo(Long.decode(error));
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
        assertThat(machine.get64(VmcbLayout.NRIP))
                .isEqualTo(next == 0 ? 0 : SvmMachine.GUEST_CODE + next);
        assertThat(machine.get64(VmcbLayout.EXITINTINFO)).isZero();
        assertThat(machine.get64(VmcbLayout.RSP)).isEqualTo(SvmMachine.GUEST_STACK);
    }

    @ParameterizedTest
    @CsvSource({"f7f3, 0", "cc, 3", "0f0b, 6", "488b01, 13"})
    void otherwiseTheGuestHandlesIt(String hex, int vector) {
        guest(hex);
        for (int other = 0; other < 32; other++) {
            if (other != vector) {
                machine.intercept(ExitCode.EXCEPTION + other);
            }
        }
        machine.vmrun();
        machine.run(1);
        assertThat(machine.exitCode()).isEqualTo(NEVER);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16L * vector);
    }

    @Test
    void aPageFaultExitsBeforeCr2IsWritten() {
        guest("48890425 10500800"); // mov [85010h], rax
        machine.guestPage(0x85000, SvmMachine.P | 0x85000);
        machine.put64(VmcbLayout.CR2, 0x99);
        machine.intercept(ExitCode.EXCEPTION + 14);
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 14);
        assertThat(machine.info1()).as("write, present").isEqualTo(3);
        assertThat(machine.info2()).isEqualTo(0x85010);
        assertThat(machine.get64(VmcbLayout.CR2)).isEqualTo(0x99);
        assertThat(cpu.cr2).isEqualTo(0x99);
        assertThat(machine.get8(VmcbLayout.FETCHED_BYTES)).isEqualTo(15);
        assertThat(machine.get64(VmcbLayout.INSTRUCTION_BYTES)).isEqualTo(0x0008_5010_2504_8948L);
    }

    @Test
    void aPageFaultThatIsNotInterceptedWritesCr2() {
        guest("48890425 10500800");
        machine.guestPage(0x85000, 0);
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.cr2).isEqualTo(0x85010);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16 * 14);
    }

    @Test
    void aPageFaultOfAFetchHasNoInstructionBytes() {
        guest("90");
        machine.put64(VmcbLayout.RIP, 0x85000);
        machine.guestPage(0x85000, 0);
        machine.intercept(ExitCode.EXCEPTION + 14);
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 14);
        assertThat(machine.info1() & 16).isNotZero();
        assertThat(machine.get8(VmcbLayout.FETCHED_BYTES)).isZero();
    }

    /** Error codes tell a fetch only with EFER.NXE or CR4.SMEP; §15.8.4 knows it always. */
    @ParameterizedTest
    @CsvSource({"true, 0x10", "false, 0"})
    void aFetchThatFaultsInItsSecondPageHasNoInstructionBytesEither(boolean nxe, String error) {
        long efer = machine.get64(VmcbLayout.EFER);
        machine.put64(VmcbLayout.EFER, nxe ? efer : efer & ~Cpu.EFER_NXE);
        machine.put64(VmcbLayout.RIP, 0x85ffe);
        machine.code(0x85ffe, "48b8"); // mov rax, imm64
        machine.guestPage(0x86000, 0);
        machine.intercept(ExitCode.EXCEPTION + 14);
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 14);
        assertThat(machine.info1()).isEqualTo(Long.decode(error));
        assertThat(machine.info2()).isEqualTo(0x86000);
        assertThat(machine.get8(VmcbLayout.FETCHED_BYTES)).isZero();
    }

    /** A nested fault on a guest's page table while an instruction is fetched (§15.8.4). */
    @Test
    void aFetchThatMeetsANestedFaultInATableHasNoInstructionBytes() {
        machine.nestedPaging();
        machine.put64(VmcbLayout.RIP, 0x1ffffe);
        machine.code(0x1ffffe, "48b8");
        machine.memory.write64(SvmMachine.GUEST_PML4 + 0x2008, 0x90000 | 7); // the next 2 MiB
        machine.nestedPage(0x90000, 0);
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.NPF);
        assertThat(machine.info2()).isEqualTo(0x90000);
        assertThat(machine.get8(VmcbLayout.FETCHED_BYTES)).isZero();
    }

    @Test
    void aPagedRealModeGuestsPageFaultHasItsErrorCode() {
        machine.real();
        machine.put64(VmcbLayout.CR0, machine.get64(VmcbLayout.CR0) | Cpu.CR0_PG);
        machine.put64(VmcbLayout.CR3, 0x70000);
        machine.memory.write(0x70000, 4, 0x71000 | 7);
        for (int i = 0; i < 1024; i++) {
            machine.memory.write(0x71000 + 4 * i, 4, (long) i << 12 | 7);
        }
        machine.memory.write(0x71000 + 4 * 0x5f, 4, 0);
        guest("a200f0"); // mov [f000h], al
        machine.intercept(ExitCode.EXCEPTION + 14);
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 14);
        assertThat(machine.info1()).isEqualTo(2);
        assertThat(machine.info2()).isEqualTo(0x5f000);
    }

    @Test
    void singleStepExitsAfterTheInstruction() {
        guest("90 90");
        machine.put64(VmcbLayout.RFLAGS, Cpu.TF | 2);
        machine.intercept(ExitCode.EXCEPTION + 1);
        machine.vmrunAndRun(2);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 1);
        assertThat(machine.get64(VmcbLayout.RIP))
                .as("no trap between VMRUN and the first instruction")
                .isEqualTo(SvmMachine.GUEST_CODE + 1);
        assertThat(machine.get64(VmcbLayout.DR6) & 1 << 14).isNotZero();
    }

    @Test
    void anInstructionBreakpointExitsBeforeTheInstructionAndHonoursRf() {
        guest("90 f4");
        machine.put64(VmcbLayout.DR7, 0x402);
        cpu.dr[0] = SvmMachine.GUEST_CODE;
        machine.intercept(ExitCode.EXCEPTION + 1);
        machine.intercept(ExitCode.HLT);
        machine.vmrunAndRun(2);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 1);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
        assertThat(machine.get64(VmcbLayout.DR6) & 1).isEqualTo(1);
        cpu.rip = SvmMachine.HOST_CODE;
        machine.put64(VmcbLayout.RFLAGS, Cpu.RF | 2);
        machine.vmrunAndRun(2);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
    }

    @Test
    void theHostsBreakpointsDoNotReachTheGuest() {
        guest("90 f4");
        cpu.dr[0] = SvmMachine.GUEST_CODE;
        cpu.dr[7] = 0x402;
        machine.intercept(ExitCode.HLT);
        machine.vmrunAndRun(3);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
    }

    @Test
    void aTrapFlagOfTheHostTrapsAfterTheExit() {
        guest("f4");
        machine.intercept(ExitCode.HLT);
        cpu.setRflags(Cpu.TF | 2);
        cpu.idtrBase = SvmMachine.IDT;
        cpu.idtrLimit = 0xfff;
        cpu.gdtrBase = SvmMachine.GDT;
        cpu.gdtrLimit = 0xfff;
        machine.step(2); // VMRUN with its guest, and the trap
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(cpu.rip).as("the trap handler of the host").isEqualTo(SvmMachine.HANDLERS + 16);
        assertThat(machine.memory.read64(cpu.r[Cpu.RSP])).isEqualTo(SvmMachine.HOST_CODE + 3);
        assertThat(cpu.dr[6] & 1 << 14).isNotZero();
    }

    /**
     * An exit takes no heed of the shadow that holds the guest's trap back: that is lost with it.
     */
    @Test
    void aDebugTrapThatTheGuestLeavesBehindIsNotTheHosts() {
        guest("8e142500800500 90"); // mov ss, [58000h]
        machine.intercept(ExitCode.INTR);
        machine.put64(VmcbLayout.RFLAGS, Cpu.IF | 2);
        machine.put64(VmcbLayout.DR7, 0x3_0402);
        cpu.dr[0] = 0x5_8000;
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.stackShadow).isTrue();
        machine.apic.pending = 0x51;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        machine.run(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.INTR);
        machine.code(SvmMachine.HOST_CODE + 3, "90 90");
        machine.step(2);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HOST_CODE + 5);
    }

    /** §15.8.4: what cannot be fetched is not recorded. */
    @Test
    void instructionBytesEndWhereAddressesAreNoLongerCanonical() {
        long entry = SvmMachine.P | SvmMachine.W | SvmMachine.U;
        long pointers = SvmMachine.GUEST_PML4 + 0x1000;
        long directory = SvmMachine.GUEST_PML4 + 0x2000;
        machine.memory.write64(SvmMachine.GUEST_PML4 + 8 * 255, pointers | entry);
        machine.memory.write64(SvmMachine.GUEST_PML4 + 8 * 256, pointers | entry);
        machine.memory.write64(pointers + 8 * 511, directory | entry);
        machine.memory.write64(directory + 8 * 511, SvmMachine.PS | entry);
        machine.code(0x1f_fffd, "488b01"); // mov rax, [rcx]
        cpu.r[Cpu.RCX] = 0x4000_0000L;
        machine.put64(VmcbLayout.RIP, 0x7fff_ffff_fffdL);
        machine.intercept(ExitCode.EXCEPTION + 14);
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 14);
        assertThat(machine.get8(VmcbLayout.FETCHED_BYTES)).isEqualTo(3);
    }

    /** §8.5: it would be lost if the interrupt's exit came first. */
    @Test
    void aDebugTrapComesBeforeAnInterruptsExit() {
        guest("90 90");
        machine.intercept(ExitCode.EXCEPTION + 1);
        machine.intercept(ExitCode.INTR);
        machine.put64(VmcbLayout.RFLAGS, Cpu.TF | Cpu.IF | 2);
        machine.vmrun();
        machine.run(1);
        machine.apic.pending = 0x51;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        machine.run(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 1);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE + 1);
    }

    /** Table 15-10: matches of breakpoints are discarded while GIF is clear. */
    @ParameterizedTest
    @CsvSource({
        // address, type and length, instruction that matches, RIP the trap or fault names
        "0x40000, 0, 90, 0", // an instruction's own
        "0x47ff8, 0xd, 50, 1", // push rax: a write of 8 bytes
        "0x47ff8, 0xf, 50, 1",
        "0x80, 2, e680, 2", // out 80h, al
    })
    void breakpointsOfTheHostNeedGif(long address, int kind, String hex, int behind) {
        for (boolean gif : new boolean[] {true, false}) {
            machine.code(SvmMachine.HOST_CODE, hex + "9090");
            cpu.rip = SvmMachine.HOST_CODE;
            cpu.r[Cpu.RSP] = SvmMachine.HOST_STACK;
            cpu.idtrBase = SvmMachine.IDT;
            cpu.idtrLimit = 0xfff;
            cpu.gdtrBase = SvmMachine.GDT;
            cpu.gdtrLimit = 0xfff;
            cpu.cr4 |= Cpu.CR4_DE;
            cpu.dr[3] = address;
            cpu.dr[7] = (long) kind << 28 | 0x480; // DR3, global
            cpu.gif = gif;
            cpu.activity = Cpu.RUNNING; // the handler of the first round may have halted
            cpu.updateMode();
            machine.step(2);
            if (gif) {
                long pushed = machine.memory.read64(cpu.r[Cpu.RSP]);
                assertThat(pushed).isEqualTo(SvmMachine.HOST_CODE + behind);
            } else {
                assertThat(cpu.rip).isEqualTo(SvmMachine.HOST_CODE + hex.length() / 2 + 1);
            }
        }
    }

    /** §13.1.6: with BTF only a branch traps, and VMRUN is none. */
    @Test
    void aTrapFlagOfTheHostThatAsksForBranchesDoesNotTrapAfterTheExit() {
        guest("f4");
        machine.intercept(ExitCode.HLT);
        cpu.setRflags(Cpu.TF | 2);
        cpu.msrs.setDebugControl(2);
        machine.code(SvmMachine.HOST_CODE + 3, "90 90");
        machine.step(2); // VMRUN with its guest, and a NOP
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HOST_CODE + 4);
    }

    /**
     * MOV SS holds the trap back until VMRUN has completed, when GIF is clear: it is discarded, and
     * is not the guest's.
     */
    @Test
    void aBreakpointMatchThatMovSsHeldBackDoesNotReachTheGuest() {
        guest("90 f4");
        machine.intercept(ExitCode.HLT);
        machine.intercept(ExitCode.EXCEPTION + 1);
        machine.code(
                SvmMachine.HOST_CODE, "8e142500800400 0f01d8 90 90"); // mov ss, [48000h]; vmrun
        cpu.dr[0] = SvmMachine.HOST_STACK;
        cpu.dr[7] = 0x3_0402; // 48000h, read or written
        cpu.updateMode();
        machine.step(1);
        assertThat(cpu.stackShadow).isTrue();
        machine.step(3); // VMRUN, the guest's NOP and HLT, and the host's NOP
        assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        assertThat(machine.get64(VmcbLayout.DR6)).isEqualTo(0xffff_0ff0L);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HOST_CODE + 11);
    }

    @Test
    void icebpIsNotInterceptedAsADebugException() {
        guest("f1");
        machine.intercept(ExitCode.EXCEPTION + 1);
        machine.vmrun();
        machine.run(1);
        assertThat(machine.exitCode()).isEqualTo(NEVER);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16);
    }

    @Test
    void softwareInterruptsDoNotCheckExceptionIntercepts() {
        guest("cd0d");
        machine.intercept(ExitCode.EXCEPTION + 13);
        machine.vmrun();
        machine.run(1);
        assertThat(machine.exitCode()).isEqualTo(NEVER);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16 * 13);
    }

    @Test
    void aFaultDuringDeliveryReportsTheFirstException() {
        guest("0f0b");
        machine.guestPage(SvmMachine.GUEST_STACK - 0x1000, 0);
        machine.intercept(ExitCode.EXCEPTION + 14);
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 14);
        assertThat(machine.get64(VmcbLayout.EXITINTINFO)).isEqualTo(VALID | EXCEPTION | 6);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
    }

    @Test
    void anInterceptedSecondExceptionComesBeforeTheDoubleFault() {
        guest("488b01"); // #GP
        machine.put32(
                VmcbLayout.IDTR + VmcbLayout.LIMIT, 16 * 13 - 1); // delivering it raises #GP again
        machine.intercept(ExitCode.EXCEPTION + 8);
        machine.intercept(ExitCode.EXCEPTION + 10);
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 8);
        assertThat(machine.get64(VmcbLayout.EXITINTINFO) & 0x8000_07ffL)
                .isEqualTo(VALID | EXCEPTION | 13);
    }

    @Test
    void aDoubleFaultIsDeliveredWhenNotIntercepted() {
        guest("488b01");
        machine.memory.write(SvmMachine.IDT + 16 * 13 + 5, 1, 0); // no gate for #GP
        machine.vmrun();
        machine.run(1);
        assertThat(cpu.rip).isEqualTo(SvmMachine.HANDLERS + 16 * 8);
        assertThat(machine.memory.read64(cpu.r[Cpu.RSP])).as("error code").isZero();
    }

    @Test
    void aNestedFaultWhileDeliveringADoubleFaultReportsIt() {
        guest("488b01");
        machine.nestedPaging();
        machine.memory.write(SvmMachine.IDT + 16 * 13 + 5, 1, 0);
        machine.nestedPage(SvmMachine.GUEST_STACK - 0x1000, 0);
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.NPF);
        assertThat(machine.get64(VmcbLayout.EXITINTINFO))
                .isEqualTo(VALID | 1 << 11 | EXCEPTION | 8);
    }

    @Test
    void anInterceptedShutdownExits() {
        guest("0f0b");
        machine.put32(VmcbLayout.IDTR + VmcbLayout.LIMIT, 0);
        machine.intercept(ExitCode.SHUTDOWN);
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.SHUTDOWN);
        assertThat(cpu.activity).isEqualTo(Cpu.RUNNING);
    }

    @Test
    void aShutdownThatIsNotInterceptedStopsTheProcessor() {
        guest("0f0b");
        machine.put32(VmcbLayout.IDTR + VmcbLayout.LIMIT, 0);
        machine.vmrun();
        machine.run(3);
        assertThat(cpu.activity).isEqualTo(Cpu.SHUTDOWN);
    }

    @Test
    void aGuestRipOutsideItsSegmentRaisesGeneralProtectionInTheGuest() {
        guest("90");
        machine.put64(VmcbLayout.RIP, 0x0000_8000_0000_0000L);
        machine.intercept(ExitCode.EXCEPTION + 13);
        machine.vmrunAndRun(1);
        assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 13);
        assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(0x0000_8000_0000_0000L);
    }
}
