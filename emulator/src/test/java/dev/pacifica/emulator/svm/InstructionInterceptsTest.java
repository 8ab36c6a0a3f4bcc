package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Every instruction intercept of Appendix C that this processor's instructions can meet, through
 * the interpreter (§15.9 to §15.11): it fires once it is set, with the exit information of §15.8,
 * and does not when it is clear.
 */
class InstructionInterceptsTest {
    private static final long MOV_CR = 1L << 63;
    private static final int NEVER = 0x7777;

    /**
     * One instruction of a 64-bit guest at CPL 0 with RBX = 80000h, RCX = 0, RDX = 70h: the exit
     * code and EXITINFO1 it must cause.
     */
    private static Arguments instruction(int code, String hex, long info1) {
        return arguments(code, hex, info1);
    }

    static Stream<Arguments> instructions() {
        return Stream.of(
                instruction(ExitCode.CR_READ, "0f20c3", MOV_CR | 3), // mov rbx, cr0
                instruction(ExitCode.CR_READ, "410f20c1", MOV_CR | 9), // mov r9, cr0
                instruction(ExitCode.CR_READ, "0f01e3", 0), // smsw ebx
                instruction(ExitCode.CR_READ + 2, "0f20d3", MOV_CR | 3),
                instruction(ExitCode.CR_READ + 3, "0f20db", MOV_CR | 3),
                instruction(ExitCode.CR_READ + 4, "0f20e3", MOV_CR | 3),
                instruction(ExitCode.CR_READ + 8, "440f20c3", MOV_CR | 3),
                instruction(ExitCode.CR_WRITE, "0f22c0", MOV_CR), // mov cr0, rax
                instruction(ExitCode.CR_WRITE, "0f06", 0), // clts
                instruction(ExitCode.CR_WRITE, "0f01f0", 0), // lmsw ax
                instruction(ExitCode.CR_WRITE + 2, "0f22d3", MOV_CR | 3),
                instruction(ExitCode.CR_WRITE + 3, "0f22de", MOV_CR | 6), // mov cr3, rsi
                instruction(ExitCode.CR_WRITE + 4, "0f22e7", MOV_CR | 7), // mov cr4, rdi
                instruction(ExitCode.CR_WRITE + 8, "440f22c1", MOV_CR | 1), // mov cr8, rcx
                instruction(ExitCode.DR_READ, "0f21c3", 3),
                instruction(ExitCode.DR_READ + 1, "0f21cb", 3),
                instruction(ExitCode.DR_READ + 2, "0f21d3", 3),
                instruction(ExitCode.DR_READ + 3, "0f21db", 3),
                instruction(ExitCode.DR_READ + 6, "0f21f3", 3),
                instruction(ExitCode.DR_READ + 7, "410f21fa", 10), // mov r10, dr7
                instruction(ExitCode.DR_WRITE, "0f23c3", 3),
                instruction(ExitCode.DR_WRITE + 1, "0f23cb", 3),
                instruction(ExitCode.DR_WRITE + 2, "0f23d3", 3),
                instruction(ExitCode.DR_WRITE + 3, "0f23db", 3),
                instruction(ExitCode.DR_WRITE + 6, "0f23f1", 1),
                instruction(ExitCode.DR_WRITE + 7, "0f23f9", 1),
                instruction(ExitCode.IDTR_READ, "0f010c24", 0),
                instruction(ExitCode.GDTR_READ, "0f010424", 0),
                instruction(ExitCode.LDTR_READ, "0f00c3", 0),
                instruction(ExitCode.TR_READ, "0f00cb", 0),
                instruction(ExitCode.IDTR_WRITE, "0f011c24", 0),
                instruction(ExitCode.GDTR_WRITE, "0f011424", 0),
                instruction(ExitCode.LDTR_WRITE, "0f00d1", 0), // lldt cx
                instruction(ExitCode.RDTSC, "0f31", 0),
                instruction(ExitCode.PUSHF, "9c", 0),
                instruction(ExitCode.POPF, "9d", 0),
                instruction(ExitCode.CPUID, "0fa2", 0),
                instruction(ExitCode.SWINT, "cd21", 0x21),
                instruction(ExitCode.INVD, "0f08", 0),
                instruction(ExitCode.PAUSE, "f390", 0),
                instruction(ExitCode.HLT, "f4", 0),
                instruction(ExitCode.INVLPG, "0f017b08", 0x80008),
                instruction(ExitCode.INVLPGA, "0f01df", 0),
                instruction(ExitCode.VMMCALL, "0f01d9", 0),
                instruction(ExitCode.VMLOAD, "0f01da", 0),
                instruction(ExitCode.VMSAVE, "0f01db", 0),
                instruction(ExitCode.STGI, "0f01dc", 0),
                instruction(ExitCode.CLGI, "0f01dd", 0),
                instruction(ExitCode.RDTSCP, "0f01f9", 0),
                instruction(ExitCode.ICEBP, "f1", 0),
                instruction(ExitCode.WBINVD, "0f09", 0),
                instruction(ExitCode.MONITOR, "0f01c8", 0),
                instruction(ExitCode.MWAIT, "0f01c9", 0),
                instruction(ExitCode.IRET, "48cf", 0),
                instruction(ExitCode.XSETBV, "0f01d1", 0),
                instruction(ExitCode.RDPRU, "0f01fd", 0),
                instruction(ExitCode.INVLPGB, "0f01fe", 0),
                instruction(ExitCode.TLBSYNC, "0f01ff", 0),
                instruction(ExitCode.INVPCID, "660f388203", 0x80000));
    }

    private static SvmMachine machine(String hex) {
        SvmMachine machine = new SvmMachine();
        machine.code(SvmMachine.GUEST_CODE, hex);
        machine.put64(VmcbLayout.RAX, machine.get64(VmcbLayout.CR0));
        if (hex.startsWith("0f01da") || hex.startsWith("0f01db") || hex.startsWith("0f01c8")) {
            machine.put64(VmcbLayout.RAX, 0x90000);
        }
        if (hex.startsWith("0f01d1")) {
            machine.put64(VmcbLayout.CR4, machine.get64(VmcbLayout.CR4) | Cpu.CR4_OSXSAVE);
        }
        machine.cpu.r[Cpu.RBX] = 0x80000;
        machine.cpu.r[Cpu.RCX] = 0;
        machine.cpu.r[Cpu.RDX] = 0x70;
        machine.cpu.r[Cpu.RSI] = SvmMachine.GUEST_PML4;
        machine.cpu.r[Cpu.RDI] = machine.get64(VmcbLayout.CR4);
        machine.put64(VmcbLayout.EXITCODE, NEVER);
        machine.put64(VmcbLayout.NP_ENABLE, VmcbLayout.INVLPGB_ENABLE);
        machine.put16(VmcbLayout.BUS_LOCK_THRESHOLD, 0xffff); // table walks lock the bus too
        return machine;
    }

    @ParameterizedTest
    @MethodSource("instructions")
    void aSetInterceptFiresBeforeTheInstruction(int code, String hex, long info1) {
        try (SvmMachine machine = machine(hex)) {
            machine.intercept(code);
            long rflags = machine.get64(VmcbLayout.RFLAGS);
            assertThat(machine.vmrunAndRun(1)).as("exits").isTrue();
            assertThat(machine.exitCode()).isEqualTo(code);
            assertThat(machine.info1()).isEqualTo(info1);
            assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
            assertThat(machine.get64(VmcbLayout.NRIP))
                    .isEqualTo(SvmMachine.GUEST_CODE + hex.length() / 2);
            assertThat(machine.get64(VmcbLayout.RSP)).isEqualTo(SvmMachine.GUEST_STACK);
            assertThat(machine.get64(VmcbLayout.RFLAGS)).isEqualTo(rflags);
            assertThat(machine.get64(VmcbLayout.EXITINTINFO)).isZero();
            assertThat(machine.cpu.r[Cpu.RBX]).isEqualTo(0x80000);
        }
    }

    @ParameterizedTest
    @MethodSource("instructions")
    void aClearInterceptDoesNotFire(int code, String hex, long info1) {
        try (SvmMachine machine = machine(hex)) {
            for (int each = 0; each < 0xa7; each++) {
                boolean exception = each >= ExitCode.EXCEPTION && each < ExitCode.INTR;
                boolean selective = each == ExitCode.CR0_SEL_WRITE || each == ExitCode.IDLE_HLT;
                boolean trap = each >= ExitCode.EFER_WRITE_TRAP && each < ExitCode.INVLPGB;
                if (each != code && !exception && !selective && !trap) {
                    machine.intercept(each);
                }
            }
            machine.vmrunAndRun(1);
            assertThat(machine.exitCode()).isNotEqualTo(code).isEqualTo(NEVER);
        }
    }

    @ParameterizedTest
    @MethodSource("instructions")
    void theInterceptsAreThoseOfTheGuestOnly(int code, String hex, long info1) {
        try (SvmMachine machine = machine(hex)) {
            machine.vmrun();
            machine.svm.exit(ExitCode.HLT, 0, 0);
            assertThat(machine.svm.intercepted(code)).isFalse();
        }
    }

    @Test
    void rsmExitsBeforeItIsUndefined() {
        try (SvmMachine machine = machine("0faa")) {
            machine.intercept(ExitCode.RSM);
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.RSM);
        }
        try (SvmMachine machine = machine("0faa")) {
            machine.intercept(ExitCode.EXCEPTION + 6);
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 6);
        }
    }

    @Test
    void ltrExitsAfterItsChecksOfPrivilegeAndBeforeMemory() {
        try (SvmMachine machine = machine("0f00d8")) {
            machine.put64(VmcbLayout.RAX, 0x20);
            machine.intercept(ExitCode.TR_WRITE);
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.TR_WRITE);
        }
    }

    @Test
    void rdpmcExits() {
        try (SvmMachine machine = machine("0f33")) {
            machine.intercept(ExitCode.RDPMC);
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.RDPMC);
        }
    }

    /** Table 15-7: before every #GP, that of the privilege level among them. */
    @ParameterizedTest
    @CsvSource({"0, 0x77, 3", "0, 0, 0", "3, 0, 3", "3, 0x77, 0"})
    void xsetbvExitsBeforeGeneralProtection(int cpl, String ecx, long value) {
        try (SvmMachine machine = machine("0f01d1")) {
            machine.put8(VmcbLayout.CPL, cpl);
            machine.put64(VmcbLayout.RAX, value);
            machine.cpu.r[Cpu.RCX] = Long.decode(ecx);
            machine.intercept(ExitCode.EXCEPTION + 13);
            machine.vmrunAndRun(1);
            assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 13);
            machine.intercept(ExitCode.XSETBV);
            machine.cpu.rip = SvmMachine.HOST_CODE;
            machine.cpu.r[Cpu.RAX] = SvmMachine.VMCB;
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.XSETBV);
            assertThat(machine.get64(VmcbLayout.NRIP)).isEqualTo(SvmMachine.GUEST_CODE + 3);
            assertThat(machine.cpu.xcr0).isEqualTo(1);
        }
    }

    @Test
    void xsetbvIsUndefinedWithoutOsxsaveBeforeItsIntercept() {
        try (SvmMachine machine = machine("0f01d1")) {
            machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE);
            machine.cpu.cr4 |= Cpu.CR4_OSXSAVE; // the host's does not count
            machine.intercept(ExitCode.XSETBV);
            machine.intercept(ExitCode.EXCEPTION + 6);
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 6);
        }
    }

    /** §15.5.1 and §15.6 do not name XCR0: the two worlds share it. */
    @Test
    void xcr0IsNotSwitched() {
        try (SvmMachine machine = machine("0f01d1 f4")) { // xsetbv; hlt
            machine.cpu.xcr0 = 1;
            machine.put64(VmcbLayout.RAX, 3);
            machine.cpu.r[Cpu.RDX] = 0;
            machine.intercept(ExitCode.HLT);
            assertThat(machine.vmrunAndRun(2)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
            assertThat(machine.cpu.xcr0).isEqualTo(3);
        }
    }

    @ParameterizedTest
    @CsvSource({"false, true", "true, false"})
    void cpuidTellsOsxsaveOfTheWorldThatRuns(boolean host, boolean guest) {
        try (SvmMachine machine = machine("0fa2 f4")) { // cpuid; hlt
            machine.cpu.cr4 |= host ? Cpu.CR4_OSXSAVE : 0;
            machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | (guest ? Cpu.CR4_OSXSAVE : 0));
            machine.put64(VmcbLayout.RAX, 1);
            machine.intercept(ExitCode.HLT);
            assertThat(machine.vmrunAndRun(2)).isTrue();
            assertThat(machine.cpu.r[Cpu.RCX] >> 26 & 3).isEqualTo(guest ? 3 : 1);
            assertThat((machine.cpu.cr4 & Cpu.CR4_OSXSAVE) != 0).isEqualTo(host);
        }
    }

    @ParameterizedTest
    @CsvSource({"epyc-milan, false", "'epyc-milan,-xsave', true"})
    void osxsaveOfAGuestNeedsTheFeature(String model, boolean refused) {
        try (SvmMachine machine = machine("f4")) {
            machine.cpu.model = CpuModel.parse(model);
            machine.put64(VmcbLayout.CR4, Cpu.CR4_PAE | Cpu.CR4_OSXSAVE);
            machine.intercept(ExitCode.HLT);
            machine.vmrunAndRun(1);
            assertThat(machine.exitCode()).isEqualTo(refused ? ExitCode.INVALID : ExitCode.HLT);
        }
    }

    @Test
    void wbnoinvdIsInterceptedAsWbinvd() {
        try (SvmMachine machine = machine("f30f09")) {
            machine.intercept(ExitCode.WBINVD);
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.WBINVD);
        }
    }

    @Test
    void conditionalMwaitExitsOnlyWithTheMonitorArmed() {
        try (SvmMachine machine = machine("0f01c9")) {
            machine.intercept(ExitCode.MWAIT_CONDITIONAL);
            machine.vmrunAndRun(1);
            assertThat(machine.exitCode()).isEqualTo(NEVER);
        }
        try (SvmMachine machine = machine("0f01c8 0f01c9")) {
            machine.put64(VmcbLayout.RAX, 0x80000);
            machine.cpu.r[Cpu.RDX] = 0;
            machine.intercept(ExitCode.MWAIT_CONDITIONAL);
            machine.intercept(ExitCode.MWAIT);
            assertThat(machine.vmrunAndRun(2)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.MWAIT_CONDITIONAL);
            assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE + 3);
        }
    }

    /** APM Vol 3, MWAIT: a far control transfer between MONITOR and MWAIT disarms the monitor. */
    @ParameterizedTest
    @CsvSource({
        // what comes between, the handler of INT 21h, exits
        "90, 90, true",
        "eb00, 90, true", // jmp
        "6a10 488d0503000000 50 48cb, 90, false", // far return to what follows
        "cd21, 48cf, false", // int, and iret at once
        "cd21, 0f01c9, false", // mwait in the handler
    })
    void aFarTransferDisarmsTheMonitor(String between, String handler, boolean exits) {
        try (SvmMachine machine = machine("0f01c8 " + between + " 0f01c9 0f01d9")) {
            machine.code(SvmMachine.HANDLERS + 16 * 0x21, handler + "0f01d9");
            machine.put64(VmcbLayout.RAX, 0x80000);
            machine.cpu.r[Cpu.RDX] = 0;
            machine.intercept(ExitCode.MWAIT_CONDITIONAL);
            machine.intercept(ExitCode.VMMCALL);
            assertThat(machine.vmrunAndRun(9)).isTrue();
            assertThat(machine.exitCode())
                    .isEqualTo(exits ? ExitCode.MWAIT_CONDITIONAL : ExitCode.VMMCALL);
        }
    }

    @Test
    void theMonitorOfOneWorldIsNotArmedInTheOther() {
        try (SvmMachine machine = machine("0f01c9 0f01c8 0f01d9 0f01c9 f4")) {
            machine.cpu.r[Cpu.RDX] = 0;
            machine.code(SvmMachine.HOST_CODE, "0f01c8 0f01d8 0f01c9 90"); // monitor vmrun mwait
            machine.intercept(ExitCode.MWAIT_CONDITIONAL);
            machine.intercept(ExitCode.VMMCALL);
            machine.put64(VmcbLayout.RAX, 0x80000);
            machine.step(6); // the host's two, the guest's two, MWAIT and NOP of the host
            assertThat(machine.exitCode()).isEqualTo(ExitCode.VMMCALL);
            assertThat(machine.cpu.rip).isEqualTo(SvmMachine.HOST_CODE + 10);
            machine.intercept(ExitCode.HLT);
            machine.put64(VmcbLayout.RIP, machine.get64(VmcbLayout.NRIP));
            machine.cpu.rip = SvmMachine.HOST_CODE + 3;
            machine.step(3);
            assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
        }
    }

    /** §15.9, selective CR0 write. */
    @ParameterizedTest
    @CsvSource({
        // instruction, CR0 bits changed by RAX, non-selective too, exit code (7777: none)
        "0f22c0, 0x00010000, false, 0x65",
        "0f22c0, 0x00000008, false, 0x7777",
        "0f22c0, 0x0000000a, false, 0x7777",
        "0f22c0, 0x00000000, false, 0x7777",
        "0f22c0, 0x00010000, true, 0x10",
        "0f22c0, 0x00000008, true, 0x10",
        "0f01f0, 0x00000000, false, 0x65",
        "0f06, 0x00000000, false, 0x7777",
    })
    void selectiveCr0Writes(String hex, String changed, boolean both, String exit) {
        try (SvmMachine machine = machine(hex)) {
            machine.put64(VmcbLayout.RAX, machine.get64(VmcbLayout.CR0) ^ Long.decode(changed));
            machine.intercept(ExitCode.CR0_SEL_WRITE);
            if (both) {
                machine.intercept(ExitCode.CR_WRITE);
            }
            machine.vmrunAndRun(1);
            assertThat(machine.exitCode()).isEqualTo(Long.decode(exit));
        }
    }

    /** §15.10.2, Figure 15-2. */
    @ParameterizedTest
    @CsvSource({
        "e460, 0x60, 0x00600211", // in al, 60h
        "66e560, 0x61, 0x00600221", // in ax, 60h: the second byte's permission counts too
        "ed, 0x73, 0x00700241", // in eax, dx
        "e680, 0x80, 0x00800210", // out 80h, al
        "66ef, 0x70, 0x00700220", // out dx, ax
        "ef, 0x70, 0x00700240", // out dx, eax
        "6e, 0x70, 0x00700e14", // outsb
        "666f, 0x70, 0x00700e24", // outsw
        "646e, 0x70, 0x00701214", // fs outsb
        "676e, 0x70, 0x00700d14", // a32 outsb
        "f36f, 0x70, 0x00700e4c", // rep outsd
        "6c, 0x70, 0x00700215", // insb
        "f36d, 0x70, 0x0070024d", // rep insd
    })
    void ports(String hex, String port, String info1) {
        try (SvmMachine machine = machine(hex)) {
            machine.interceptPort(Integer.decode(port));
            machine.cpu.r[Cpu.RCX] = 5;
            machine.cpu.r[Cpu.RDI] = 0x80000;
            machine.cpu.r[Cpu.RSI] = 0x80000;
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.IOIO);
            assertThat(Long.toHexString(machine.info1()))
                    .isEqualTo(Long.toHexString(Long.decode(info1)));
            assertThat(machine.info2()).isEqualTo(SvmMachine.GUEST_CODE + hex.length() / 2);
            assertThat(machine.get64(VmcbLayout.NRIP))
                    .isEqualTo(SvmMachine.GUEST_CODE + hex.length() / 2);
            assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(SvmMachine.GUEST_CODE);
            assertThat(machine.cpu.r[Cpu.RCX]).isEqualTo(5);
        }
        try (SvmMachine machine = machine(hex)) {
            machine.interceptPort(0x90);
            machine.cpu.r[Cpu.RCX] = 0;
            machine.cpu.r[Cpu.RDI] = 0x80000;
            machine.cpu.r[Cpu.RSI] = 0x80000;
            machine.vmrunAndRun(1);
            assertThat(machine.exitCode()).isEqualTo(NEVER);
        }
    }

    @Test
    void portProtectionOfTheTssComesBeforeTheIntercept() {
        try (SvmMachine machine = machine("e460")) {
            machine.interceptPort(0x60);
            machine.intercept(ExitCode.EXCEPTION + 13);
            machine.put8(VmcbLayout.CPL, 3);
            machine.segment(VmcbLayout.CS, 0x2b, 0xafb, 0xffff_ffffL, 0);
            machine.vmrunAndRun(1);
            assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 13);
        }
    }

    @ParameterizedTest
    @CsvSource({"0f32, 1, 0", "0f30, 2, 1"})
    void msrs(String hex, int bit, long info1) {
        for (boolean set : new boolean[] {true, false}) {
            try (SvmMachine machine = machine(hex)) {
                machine.intercept(ExitCode.MSR);
                machine.cpu.r[Cpu.RCX] = 0xc000_0081L; // STAR
                machine.memory.write(
                        SvmMachine.MSRPM + 0x800 + 0x81 / 4, 1, set ? bit << 2 : (bit ^ 3) << 2);
                machine.vmrunAndRun(1);
                assertThat(machine.exitCode()).isEqualTo(set ? ExitCode.MSR : NEVER);
                if (set) {
                    assertThat(machine.info1()).isEqualTo(info1);
                    assertThat(machine.get64(VmcbLayout.NRIP)).isEqualTo(SvmMachine.GUEST_CODE + 2);
                }
            }
        }
    }

    @Test
    void anInterceptedMsrNeedNotExist() {
        try (SvmMachine machine = machine("0f32")) {
            machine.intercept(ExitCode.MSR);
            machine.cpu.r[Cpu.RCX] = 0x4000_0000L;
            machine.vmrunAndRun(1);
            assertThat(machine.exitCode()).isEqualTo(ExitCode.MSR);
        }
    }

    static Stream<Arguments> privileged() {
        return Stream.of(
                arguments(ExitCode.HLT, "f4"),
                arguments(ExitCode.CR_READ + 3, "0f20db"),
                arguments(ExitCode.DR_READ, "0f21c3"),
                arguments(ExitCode.WBINVD, "0f09"),
                arguments(ExitCode.INVLPG, "0f013b"),
                arguments(ExitCode.MSR, "0f32"),
                arguments(ExitCode.IDTR_WRITE, "0f011c24"));
    }

    /** Table 15-7: what is checked before the intercept of each of these, and what is not. */
    @ParameterizedTest
    @CsvSource({
        // exit code, instruction, CPL, CR4, RAX; exit code that comes instead (0: none)
        "0x8e, 0f01fd, 0, 0x24, 0, 0", // rdpru: TSD stops user code only
        "0x8e, 0f01fd, 3, 0x20, 0, 0",
        "0x8e, 0f01fd, 3, 0x24, 0, 0x46",
        "0x6e, 0f31, 3, 0x24, 0, 0x4d", // rdtsc
        "0x6f, 0f33, 3, 0x20, 0, 0x4d", // rdpmc
        "0x87, 0f01f9, 3, 0x24, 0, 0x4d", // rdtscp
        "0xa0, 0f01fe, 3, 0x20, 0, 0x4d", // invlpgb
        "0xa0, 0f01fe, 0, 0x20, 0xfc0, 0",
        "0xa1, 0f01fe, 3, 0x20, 0xfc0, 0x4d",
        "0xa2, 660f388203, 3, 0x20, 0, 0x4d", // invpcid
        "0xa2, 660f388203, 0, 0x20, 9, 0",
        "0xa4, 0f01ff, 3, 0x20, 0, 0x4d", // tlbsync
        "0x70, 9c, 3, 0x20, 0, 0", // pushf
        "0x71, 9d, 3, 0x20, 0, 0", // popf
        "0x75, cd21, 3, 0x20, 0, 0", // int
        "0x74, 48cf, 3, 0x20, 0, 0", // iret
        "0x73, 0faa, 3, 0x20, 0, 0", // rsm
        "0x81, 0f01d9, 3, 0x20, 0, 0", // vmmcall
        "0x76, 0f08, 3, 0x20, 0, 0x4d", // invd
        "0x79, 0f013b, 3, 0x20, 0, 0x4d", // invlpg
        "0x7a, 0f01df, 3, 0x20, 0, 0x4d", // invlpga
        "0x82, 0f01da, 0, 0x20, 1, 0x4d", // vmload of no page
        "0x83, 0f01db, 0, 0x20, 1, 0x4d", // vmsave
        "0x84, 0f01dc, 3, 0x20, 0, 0x4d", // stgi
        "0x85, 0f01dd, 3, 0x20, 0, 0x4d", // clgi
        "0x8a, 0f01c8, 3, 0x20, 0, 0x46", // monitor
        "0x8b, 0f01c9, 3, 0x20, 0, 0x46", // mwait
        "0x8a, 0f01c8, 0, 0x20, 0x40000000, 0x4e", // monitor of a page that is not present
        "0x8a, 0f01c8, 0, 0x20, 0x8000000000000000, 0x4d", // and of no address
        "0x14, 0f22e0, 0, 0x20, 0x80000000, 0x4d", // mov cr4: a reserved bit
        "0x18, 440f22c0, 0, 0x20, 0x10, 0x4d", // mov cr8
        "0x10, 0f22c0, 0, 0x20, 0x80000000, 0x4d", // mov cr0: PG without PE
        "0x36, 0f23f0, 0, 0x20, 0x100000000, 0x4d", // mov dr6
        "0x24, 0f21e0, 0, 0x28, 0, 0x46", // mov from dr4 with CR4.DE
        "0x25, 0f21e8, 0, 0x20, 0, 0", // mov from dr5 without
    })
    void priorities(String code, String hex, int cpl, String cr4, String rax, String instead) {
        try (SvmMachine machine = machine(hex)) {
            machine.put64(VmcbLayout.CR4, Long.decode(cr4));
            machine.put64(VmcbLayout.RAX, Long.parseUnsignedLong(rax.replace("0x", ""), 16));
            machine.cpu.r[Cpu.RDX] = 0;
            machine.intercept(Integer.decode(code));
            machine.intercept(ExitCode.EXCEPTION + 6);
            machine.intercept(ExitCode.EXCEPTION + 13);
            machine.intercept(ExitCode.EXCEPTION + 14);
            if (cpl == 3) {
                machine.put8(VmcbLayout.CPL, 3);
                machine.segment(VmcbLayout.CS, 0x2b, 0xafb, 0xffff_ffffL, 0);
                machine.segment(VmcbLayout.SS, 0x33, 0xcf3, 0xffff_ffffL, 0);
            }
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode())
                    .isEqualTo(Long.decode(instead.equals("0") ? code : instead));
        }
    }

    /** Without their features nRIP and the decode assists are zero. */
    @ParameterizedTest
    @CsvSource({
        "0x03, 0f20db",
        "0x33, 0f23db",
        "0x75, cd21",
        "0x79, 0f017b08",
    })
    void nextRipAndDecodeAssistsAreFeatures(String code, String hex) {
        try (SvmMachine machine = machine(hex)) {
            machine.cpu.model = CpuModel.parse("epyc-milan,-nrip-save,-decodeassists");
            machine.intercept(Integer.decode(code));
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(Long.decode(code));
            assertThat(machine.info1()).isZero();
            assertThat(machine.get64(VmcbLayout.NRIP)).isZero();
        }
    }

    /** With or without decode assists: the descriptor's address and the whole type. */
    @ParameterizedTest
    @CsvSource({
        "epyc-milan, 660f388203, 0x80000", // invpcid rax, [rbx]
        "'epyc-milan,-decodeassists', 660f388203, 0x80000",
        "epyc-milan, 660f38824308, 0x80008", // invpcid rax, [rbx + 8]
        "epyc-milan, 64660f388203, 0x123480000", // invpcid rax, fs:[rbx]
        "epyc-milan, 67660f388203, 0x80000", // invpcid rax, [ebx]
    })
    void invpcidTellsItsOperands(String model, String hex, String address) {
        try (SvmMachine machine = machine(hex)) {
            machine.cpu.model = CpuModel.parse(model);
            machine.cpu.segBase[Cpu.FS] = 0x1_2340_0000L;
            machine.put64(VmcbLayout.RAX, 0x1234_5678_9abc_def0L);
            machine.intercept(ExitCode.INVPCID);
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.INVPCID);
            assertThat(machine.info1()).isEqualTo(Long.decode(address));
            assertThat(machine.info2()).isEqualTo(0x1234_5678_9abc_def0L);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void theSelectiveCr0WriteHasADecodeAssistToo(boolean offered) {
        try (SvmMachine machine = machine("0f22c0")) {
            machine.cpu.model =
                    CpuModel.parse(offered ? "epyc-milan" : "epyc-milan,-decodeassists");
            machine.intercept(ExitCode.CR0_SEL_WRITE);
            machine.put64(VmcbLayout.RAX, machine.get64(VmcbLayout.CR0) | Cpu.CR0_AM);
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.CR0_SEL_WRITE);
            assertThat(machine.info1()).isEqualTo(offered ? MOV_CR : 0);
        }
    }

    @ParameterizedTest
    @MethodSource("privileged")
    void privilegeIsCheckedBeforeTheIntercept(int code, String hex) {
        try (SvmMachine machine = machine(hex)) {
            machine.intercept(code);
            machine.intercept(ExitCode.EXCEPTION + 13);
            machine.put8(VmcbLayout.CPL, 3);
            machine.segment(VmcbLayout.CS, 0x2b, 0xafb, 0xffff_ffffL, 0);
            machine.segment(VmcbLayout.SS, 0x33, 0xcf3, 0xffff_ffffL, 0);
            machine.vmrunAndRun(1);
            assertThat(machine.exitCode()).isEqualTo(ExitCode.EXCEPTION + 13);
        }
    }

    @Test
    void theTscOffsetIsAddedInTheGuestOnly() {
        try (SvmMachine machine = machine("0f31 f4")) {
            machine.intercept(ExitCode.HLT);
            machine.put64(VmcbLayout.TSC_OFFSET, 0x5_0000_0000L);
            machine.vmrunAndRun(2);
            assertThat(machine.exitCode()).isEqualTo(ExitCode.HLT);
            long guest = machine.cpu.r[Cpu.RDX] << 32 | machine.get64(VmcbLayout.RAX);
            assertThat(guest).isBetween(0x5_0000_0000L, 0x5_0000_0000L + 100);
            assertThat(machine.cpu.tsc()).isLessThan(100);
        }
    }

    /** §15.7.1: all 64 bits of nRIP, above 4 GiB and where kernels live. */
    @ParameterizedTest
    @ValueSource(longs = {0x1_0005_0000L, 0xffff_ffff_8005_0000L})
    void theNextRipOf64BitCodeIsWhole(long rip) {
        try (SvmMachine machine = new SvmMachine()) {
            long pointers = SvmMachine.GUEST_PML4 + 0x1000;
            long directory = SvmMachine.GUEST_PML4 + 0x2000;
            long entry = SvmMachine.P | SvmMachine.W | SvmMachine.U;
            machine.memory.write64(
                    SvmMachine.GUEST_PML4 + 8 * (rip >>> 39 & 511), pointers | entry);
            machine.memory.write64(pointers + 8 * (rip >>> 30 & 511), directory | entry);
            machine.code(SvmMachine.GUEST_CODE, "0fa2"); // cpuid
            machine.put64(VmcbLayout.RIP, rip);
            machine.intercept(ExitCode.CPUID);
            assertThat(machine.vmrunAndRun(1)).isTrue();
            assertThat(machine.exitCode()).isEqualTo(ExitCode.CPUID);
            assertThat(machine.get64(VmcbLayout.RIP)).isEqualTo(rip);
            assertThat(machine.get64(VmcbLayout.NRIP)).isEqualTo(rip + 2);
        }
    }
}
