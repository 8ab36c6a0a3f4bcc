package dev.pacifica.emulator.svm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What becomes of an instruction in each mode of a guest, intercepted and not: Table 15-7,
 * §15.10.2, §15.11 and the exception tables of volume 3, as a table. {@link InterceptOrderTest} has
 * the order against faults of memory.
 */
class InterceptMatrixTest {
    private static final int NEVER = 0x7777;
    private static final int LEGACY_IDT = 0x6a000;
    private static final int LEGACY_TSS = 0x6c000;
    private static final int MAP = 0x68;
    private static final int PORT = 0x70;

    /** The columns of the table; V0 and V3 are virtual-8086 mode with IOPL 0 and 3. */
    private enum Mode {
        LONG_0,
        LONG_3,
        PROTECTED_0,
        PROTECTED_3,
        REAL,
        V0,
        V3;

        boolean is64() {
            return this == LONG_0 || this == LONG_3;
        }

        boolean has16BitCode() {
            return this == REAL || isVirtual8086();
        }

        boolean isVirtual8086() {
            return this == V0 || this == V3;
        }
    }

    /**
     * Both strings have a letter a mode, in the order of {@link Mode}: x the intercept, U, G, D an
     * exception, - none of these, ? not said.
     */
    @ParameterizedTest(name = "{0}")
    @CsvSource(
            delimiter = '|',
            textBlock =
"""
# instruction             | exit | encoding     | set up               | intercepted | not
mov ebx, cr0              | 0x00 | 0f20c3       |                      | xGxGxGG | -G-G-GG
mov ebx, cr2              | 0x02 | 0f20d3       |                      | xGxGxGG | -G-G-GG
mov ebx, cr3              | 0x03 | 0f20db       |                      | xGxGxGG | -G-G-GG
mov ebx, cr4              | 0x04 | 0f20e3       |                      | xGxGxGG | -G-G-GG
lock mov ebx, cr0 (cr8)   | 0x08 | f00f20c3     |                      | xGxGxGG | -G-G-GG
smsw ebx                  | 0x00 | 0f01e3       |                      | xxxxxxx | -------
smsw ebx, UMIP            | 0x00 | 0f01e3       | umip                 | xGxGxGG | -G-G-GG
mov cr0, eax              | 0x10 | 0f22c0       | rax=cr0              | xGxGxGG | -G-G-GG
mov cr0, eax: NW, not CD  | 0x10 | 0f22c0       | rax=cr0 flip=0x20000000 | GGGGGGG | GGGGGGG
mov cr2, eax              | 0x12 | 0f22d0       |                      | xGxGxGG | -G-G-GG
mov cr3, eax              | 0x13 | 0f22d8       | rax=cr3              | xGxGxGG | -G-G-GG
mov cr4, eax              | 0x14 | 0f22e0       | rax=cr4              | xGxGxGG | -G-G-GG
mov cr4, eax: reserved    | 0x14 | 0f22e0       | rax=cr4 flip=0x8000  | GGGGGGG | GGGGGGG
lock mov cr0, eax (cr8)   | 0x18 | f00f22c0     | rax=0                | xGxGxGG | -G-G-GG
clts                      | 0x10 | 0f06         |                      | xGxGxGG | -G-G-GG
lmsw ax                   | 0x10 | 0f01f0       | rax=cr0              | xGxGxGG | -G-G-GG
lmsw ax, selective        | 0x65 | 0f01f0       | rax=cr0              | xGxGxGG | -G-G-GG
mov cr0: AM, selective    | 0x65 | 0f22c0       | rax=cr0 flip=0x40000 | xGxGxGG | -G-G-GG
mov cr0: TS, selective    | 0x65 | 0f22c0       | rax=cr0 flip=8       | -G-G-GG | -G-G-GG
clts, selective           | 0x65 | 0f06         |                      | -G-G-GG | -G-G-GG
mov ebx, dr0              | 0x20 | 0f21c3       |                      | xGxGxGG | -G-G-GG
mov dr0, ebx              | 0x30 | 0f23c3       |                      | xGxGxGG | -G-G-GG
mov dr7, ebx with GD      | 0x37 | 0f23fb       | gd                   | DGDGDGG | DGDGDGG
mov ebx, dr4 with DE      | 0x24 | 0f21e3       | cr4=8                | U?U?U?? | U?U?U??
mov ebx, dr4              | 0x24 | 0f21e3       |                      | xGxGxGG | -G-G-GG
sidt                      | 0x66 | 0f010f       |                      | xxxxxxx | -------
sgdt                      | 0x67 | 0f0107       |                      | xxxxxxx | -------
sldt ebx                  | 0x68 | 0f00c3       |                      | xxxxUUU | ----UUU
str ebx                   | 0x69 | 0f00cb       |                      | xxxxUUU | ----UUU
sidt, UMIP                | 0x66 | 0f010f       | umip                 | xGxGxGG | -G-G-GG
sgdt, UMIP                | 0x67 | 0f0107       | umip                 | xGxGxGG | -G-G-GG
sldt ebx, UMIP            | 0x68 | 0f00c3       | umip                 | xGxGUUU | -G-GUUU
str ebx, UMIP             | 0x69 | 0f00cb       | umip                 | xGxGUUU | -G-GUUU
lidt                      | 0x6a | 0f011f       |                      | xGxGxGG | -G-G-GG
lgdt                      | 0x6b | 0f0117       |                      | xGxGxGG | -G-G-GG
lldt ax                   | 0x6c | 0f00d0       | rax=0                | xGxGUUU | -G-GUUU
ltr ax                    | 0x6d | 0f00d8       | rax=0                | xGxGUUU | GGGGUUU
rdtsc                     | 0x6e | 0f31         |                      | xxxxxxx | -------
rdtsc, TSD                | 0x6e | 0f31         | cr4=4                | xGxGxGG | -G-G-GG
rdtscp                    | 0x87 | 0f01f9       |                      | xxxxxxx | -------
rdtscp, TSD               | 0x87 | 0f01f9       | cr4=4                | xGxGxGG | -G-G-GG
rdpmc                     | 0x6f | 0f33         |                      | xGxGxGG | -G-G-GG
rdpmc, PCE                | 0x6f | 0f33         | cr4=0x100            | xxxxxxx | -------
rdpmc of none, PCE        | 0x6f | 0f33         | cr4=0x100 rcx=99     | GGGGGGG | GGGGGGG
rdpru                     | 0x8e | 0f01fd       |                      | xxxxxxx | -------
rdpru, TSD                | 0x8e | 0f01fd       | cr4=4                | xUxUxUU | -U-U-UU
pushf                     | 0x70 | 9c           |                      | xxxxxxx | -----G-
popf                      | 0x71 | 9d           |                      | xxxxxxx | -----G-
cpuid                     | 0x72 | 0fa2         |                      | xxxxxxx | -------
rsm                       | 0x73 | 0faa         |                      | xxxxxxx | UUUUUUU
iret to a null segment    | 0x74 | cf           |                      | xxxxxxx | GGGG-G-
int 20h                   | 0x75 | cd20         |                      | xxxxxxx | -----G-
int 6                     | 0x75 | cd06         |                      | xxxxxxx | -----G-
int3                      | 0x43 | cc           |                      | xxxxxxx | -------
into                      | 0x44 | ce           | of                   | UUxxxxx | UU-----
into without OF           | 0x44 | ce           |                      | UU----- | UU-----
bound                     | 0x45 | 6207         | rax=1                | UUxxxxx | UU-----
icebp                     | 0x88 | f1           |                      | xxxxxxx | -------
invd                      | 0x76 | 0f08         |                      | xGxGxGG | -G-G-GG
wbinvd                    | 0x89 | 0f09         |                      | xGxGxGG | -G-G-GG
wbnoinvd                  | 0x89 | f30f09       |                      | xGxGxGG | -G-G-GG
pause                     | 0x77 | f390         |                      | xxxxxxx | -------
hlt                       | 0x78 | f4           |                      | xGxGxGG | -G-G-GG
hlt, idle                 | 0xa6 | f4           |                      | xGxGxGG | -G-G-GG
invlpg                    | 0x79 | 0f013f       |                      | xGxGxGG | -G-G-GG
invlpga                   | 0x7a | 0f01df       |                      | xGxGUUU | -G-GUUU
invpcid                   | 0xa2 | 660f38820f   |                      | xGxGxGG | -G-G-GG
invpcid of type 9         | 0xa2 | 660f38820f   | rcx=9                | xGxGxGG | GGGGGGG
invlpgb                   | 0xa0 | 0f01fe       | rax=0                | xGxGxGG | -G-G-GG
invlpgb, illegal          | 0xa0 | 0f01fe       | rax=0x40             | xGxGxGG | GGGGGGG
invlpgb, illegal          | 0xa1 | 0f01fe       | rax=0x40             | xGxGxGG | GGGGGGG
invlpgb, legal            | 0xa1 | 0f01fe       | rax=0                | -G-G-GG | -G-G-GG
tlbsync                   | 0xa4 | 0f01ff       |                      | xGxGxGG | -G-G-GG
in al, 70h                | 0x7b | e470         |                      | xGxGxGG | -G-G-GG
in al, 70h, map           | 0x7b | e470         | ports                | xxxxxxx | -------
outsb                     | 0x7b | 6e           | rdx=0x70             | xGxGxGG | -G-G-GG
outsb, map                | 0x7b | 6e           | rdx=0x70 ports       | xxxxxxx | -------
rdmsr                     | 0x7c | 0f32         | rcx=0xc0000103       | xGxGxGG | -G-G-GG
wrmsr                     | 0x7c | 0f30         | rcx=0xc0000103 rax=0 | xGxGxGG | -G-G-GG
rdmsr of none             | 0x7c | 0f32         | rcx=0x1ff0           | xGxGxGG | GGGGGGG
vmrun                     | 0x80 | 0f01d8       |                      | xGxGUUU | xGxGUUU
vmmcall                   | 0x81 | 0f01d9       |                      | xxxxxxx | UUUUUUU
vmload                    | 0x82 | 0f01da       |                      | xGxGUUU | -G-GUUU
vmload of no page         | 0x82 | 0f01da       | rax=0x90008          | GGGGUUU | GGGGUUU
vmsave                    | 0x83 | 0f01db       |                      | xGxGUUU | -G-GUUU
stgi                      | 0x84 | 0f01dc       |                      | xGxGUUU | -G-GUUU
clgi                      | 0x85 | 0f01dd       |                      | xGxGUUU | -G-GUUU
skinit                    | 0x86 | 0f01de       |                      | UUUUUUU | UUUUUUU
vmrun, SVME clear         | 0x80 | 0f01d8       | svm-off              | UUUUUUU | UUUUUUU
vmmcall, SVME clear       | 0x81 | 0f01d9       | svm-off              | xxxxxxx | UUUUUUU
vmload, SVME clear        | 0x82 | 0f01da       | svm-off              | UUUUUUU | UUUUUUU
vmsave, SVME clear        | 0x83 | 0f01db       | svm-off              | UUUUUUU | UUUUUUU
stgi, SVME clear          | 0x84 | 0f01dc       | svm-off              | xGxGUUU | -G-GUUU
clgi, SVME clear          | 0x85 | 0f01dd       | svm-off              | UUUUUUU | UUUUUUU
invlpga, SVME clear       | 0x7a | 0f01df       | svm-off              | UUUUUUU | UUUUUUU
monitor                   | 0x8a | 0f01c8       |                      | xUxUxUU | -U-U-UU
monitor, extensions       | 0x8a | 0f01c8       | rcx=1                | GUGUGUU | GUGUGUU
mwait                     | 0x8b | 0f01c9       |                      | xUxUxUU | -U-U-UU
mwait, extensions         | 0x8b | 0f01c9       | rcx=2                | GUGUGUU | GUGUGUU
monitorx                  | 0x8a | 0f01fa       | monitorx             | xxxxxxx | -------
monitorx, extensions      | 0x8a | 0f01fa       | monitorx rcx=1       | GGGGGGG | GGGGGGG
mwaitx                    | 0x8b | 0f01fb       | monitorx rcx=3       | xxxxxxx | -------
mwaitx, extensions        | 0x8b | 0f01fb       | monitorx rcx=4       | GGGGGGG | GGGGGGG
xsetbv                    | 0x8d | 0f01d1       | cr4=0x40000 rax=1    | xxxxxxx | -G-G-GG
xsetbv of another         | 0x8d | 0f01d1       | cr4=0x40000 rcx=5    | xxxxxxx | GGGGGGG
xsetbv, OSXSAVE clear     | 0x8d | 0f01d1       | rax=1                | UUUUUUU | UUUUUUU
syscall, SCE clear        | 0x75 | 0f05         |                      | UUUUUUU | UUUUUUU
""")
    void instruction(
            String name,
            String exit,
            String hex,
            String setUp,
            String intercepted,
            String notIntercepted) {
        int code = Integer.decode(exit);
        String preparation = setUp == null ? "" : setUp;
        StringBuilder with = new StringBuilder();
        StringBuilder without = new StringBuilder();
        int column = 0;
        for (Mode mode : Mode.values()) {
            char given = intercepted.charAt(column);
            with.append(given == '?' ? given : outcome(mode, code, hex, preparation, true));
            given = notIntercepted.charAt(column);
            without.append(given == '?' ? given : outcome(mode, code, hex, preparation, false));
            column++;
        }
        assertThat(with.toString()).as("intercepted").isEqualTo(intercepted);
        assertThat(without.toString()).as("not intercepted").isEqualTo(notIntercepted);
    }

    private static char outcome(Mode mode, int code, String hex, String setUp, boolean intercept) {
        try (SvmMachine machine = new SvmMachine()) {
            enterMode(machine, mode);
            machine.code(SvmMachine.GUEST_CODE, hex);
            machine.put64(VmcbLayout.EXITCODE, NEVER);
            machine.put64(VmcbLayout.NP_ENABLE, VmcbLayout.INVLPGB_ENABLE);
            machine.put32(VmcbLayout.INTERCEPT_EXCEPTIONS, 0xffff_ffffL);
            boolean exception = code >= ExitCode.EXCEPTION && code < ExitCode.INTR;
            if (intercept) {
                intercept(machine, code);
            } else if (exception) {
                machine.put32(VmcbLayout.INTERCEPT_EXCEPTIONS, ~(1L << (code & 31)) & 0xffff_ffffL);
            }
            prepare(machine, setUp);
            long rip = machine.get64(VmcbLayout.RIP);
            machine.vmrun();
            if (setUp.contains("svm-off")) {
                machine.cpu.efer &= ~Cpu.EFER_SVME;
            }
            machine.run(1);
            long reached = machine.exitCode();
            if (reached == NEVER) {
                return '-';
            }
            assertThat(machine.get64(VmcbLayout.RIP)).as("%s: RIP", mode).isEqualTo(rip);
            if (reached == code) {
                assertThat(machine.get64(VmcbLayout.NRIP))
                        .as("%s: nRIP", mode)
                        .isEqualTo(rip + hex.length() / 2);
                return 'x';
            }
            return switch ((int) reached - ExitCode.EXCEPTION) {
                case 1 -> 'D';
                case 6 -> 'U';
                case 13 -> 'G';
                default -> throw new AssertionError("exit " + Long.toHexString(reached));
            };
        }
    }

    private static void intercept(SvmMachine machine, int code) {
        machine.intercept(code);
        if (code == ExitCode.IOIO) {
            machine.interceptPort(PORT);
        }
        if (code == ExitCode.MSR) {
            for (int i = 0; i < 0x2000; i += 8) {
                machine.memory.write64(SvmMachine.MSRPM + i, -1);
            }
        }
    }

    private static void prepare(SvmMachine machine, String setUp) {
        for (String token : setUp.split(" ")) {
            String[] pair = token.split("=");
            switch (pair[0]) {
                case "rax" -> machine.put64(VmcbLayout.RAX, value(machine, pair[1]));
                case "flip" -> change(machine, VmcbLayout.RAX, value(machine, pair[1]));
                case "rcx" -> machine.cpu.r[Cpu.RCX] = Long.decode(pair[1]);
                case "rdx" -> machine.cpu.r[Cpu.RDX] = Long.decode(pair[1]);
                case "cr4" -> change(machine, VmcbLayout.CR4, Long.decode(pair[1]));
                case "umip" -> change(machine, VmcbLayout.CR4, 1 << 11);
                case "gd" -> change(machine, VmcbLayout.DR7, 1 << 13);
                case "monitorx" -> machine.cpu.model = CpuModel.parse("epyc-milan,+monitorx");
                case "of" -> change(machine, VmcbLayout.RFLAGS, 1 << 11);
                case "ports" -> {
                    machine.cpu.segLimit[Cpu.TR] = 0xfff;
                    machine.memory.write(machine.cpu.segBase[Cpu.TR] + 0x66, 2, MAP);
                }
                case "", "svm-off" -> {}
                default -> throw new AssertionError(token);
            }
        }
    }

    private static long value(SvmMachine machine, String text) {
        return switch (text) {
            case "cr0" -> machine.get64(VmcbLayout.CR0);
            case "cr3" -> machine.get64(VmcbLayout.CR3);
            case "cr4" -> machine.get64(VmcbLayout.CR4);
            default -> Long.decode(text);
        };
    }

    private static void change(SvmMachine machine, int offset, long bits) {
        machine.put64(offset, machine.get64(offset) ^ bits);
    }

    /** RDI, RSI and in 16-bit code BX point to zeros; RAX is the address of a page of zeros. */
    private static void enterMode(SvmMachine machine, Mode mode) {
        Cpu cpu = machine.cpu;
        cpu.segSelector[Cpu.TR] = 0x20;
        cpu.segBase[Cpu.TR] = SvmMachine.TSS;
        cpu.segLimit[Cpu.TR] = 0x67;
        cpu.segAttr[Cpu.TR] = 0x8b;
        cpu.r[Cpu.RCX] = 0;
        cpu.r[Cpu.RDX] = 0;
        cpu.r[Cpu.RBX] = 0x2000;
        cpu.r[Cpu.RSI] = cpu.r[Cpu.RDI] = mode.has16BitCode() ? 0x2000 : 0x8_0000;
        if (!mode.is64()) {
            legacy(machine);
        }
        if (mode == Mode.PROTECTED_0 || mode == Mode.PROTECTED_3) {
            machine.protected32();
        }
        if (mode == Mode.LONG_3 || mode == Mode.PROTECTED_3) {
            boolean wide = mode == Mode.LONG_3;
            machine.put8(VmcbLayout.CPL, 3);
            machine.segment(VmcbLayout.CS, 0x2b, wide ? 0xafb : 0xcfb, 0xffff_ffffL, 0);
            machine.segment(VmcbLayout.SS, 0x33, 0xcf3, 0xffff_ffffL, 0);
        }
        if (mode.has16BitCode()) {
            machine.real();
        }
        if (mode.isVirtual8086()) {
            machine.put64(VmcbLayout.CR0, Cpu.CR0_PE | Cpu.CR0_ET);
            machine.put64(VmcbLayout.RFLAGS, Cpu.VM | (mode == Mode.V3 ? Cpu.IOPL : 0) | 2);
        }
        if (!mode.is64() && mode != Mode.REAL) {
            machine.put64(VmcbLayout.IDTR + VmcbLayout.BASE, LEGACY_IDT);
            machine.put32(VmcbLayout.IDTR + VmcbLayout.LIMIT, 0x7ff);
        }
        machine.memory.write(cpu.segBase[Cpu.TR] + 0x66, 2, 0xffff); // no port permission map
        machine.put64(VmcbLayout.RAX, 0x9_0000);
    }

    /** An IDT of interrupt gates, DPL 3, to 32-bit handlers, and a TSS with a stack for them. */
    private static void legacy(SvmMachine machine) {
        machine.memory.write64(SvmMachine.GDT + 0x10, 0x00cf_9b00_0000_ffffL);
        for (int vector = 0; vector < 256; vector++) {
            long handler = SvmMachine.HANDLERS + 16L * vector;
            machine.memory.write64(
                    LEGACY_IDT + 8L * vector,
                    handler & 0xffff | 0x10 << 16 | 0xee00L << 32 | (handler >>> 16) << 48);
        }
        machine.memory.write(LEGACY_TSS + 4, 4, SvmMachine.GUEST_STACK + 0x1000);
        machine.memory.write(LEGACY_TSS + 8, 2, 0x18);
        machine.cpu.segBase[Cpu.TR] = LEGACY_TSS;
    }
}
