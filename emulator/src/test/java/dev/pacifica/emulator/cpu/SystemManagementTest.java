package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** SMI, the handler's environment, the state-save area and RSM (APM Vol 2 chapter 10). */
class SystemManagementTest {
    private static final int SMBASE = 0x30000;
    private static final int HANDLER = SMBASE + 0x8000;
    private static final int SAVED = SMBASE + 0xfe00;

    /** mov word [500h], 1234h; rsm. */
    private static final String NOTE_AND_RSM = "c706 0005 3412 0faa";

    private static final String RSM = "0faa";
    private static final int NOTE = 0x500;

    private TestProcessor p = TestProcessor.longMode();

    @AfterEach
    void release() {
        p.close();
    }

    private void smi() {
        p.cpu.smiPending = true;
        p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
    }

    private TestProcessor with(TestProcessor other) {
        p.close();
        p = other;
        return other;
    }

    private long saved(int offset, int size) {
        return p.read(SAVED + offset, size);
    }

    @Test
    void theHandlerRunsInSmramAndRsmReturnsToUserMode() {
        with(TestProcessor.longMode().user()).code("90 90").code(HANDLER, NOTE_AND_RSM);
        Cpu cpu = p.cpu;
        cpu.setRflags(Cpu.IF | Cpu.CF | Cpu.OF | Cpu.AC | 2);
        long digest = cpu.digest();
        smi();
        p.step();
        assertThat(cpu.smm.active()).isTrue();
        assertThat(cpu.rip).isEqualTo(0x8000);
        p.step(2);
        assertThat(p.read(NOTE, 2)).isEqualTo(0x1234);
        assertThat(cpu.smm.active()).isFalse();
        assertThat(cpu.digest()).isEqualTo(digest);
        assertThat(cpu.mode64).isTrue();
        assertThat(cpu.cpl).isEqualTo(3);
        assertThat(cpu.segSelector[Cpu.SS]).isEqualTo(TestProcessor.DATA3);
        assertThat(cpu.nmiBlocked).isFalse();
        p.step();
        assertThat(cpu.rip).isEqualTo(TestProcessor.USER_CODE + 1);
    }

    /** §13.1.6: SMI and RSM are control transfers, the former an interrupt. */
    @Test
    void smiAndRsmAreRecordedAsBranches() {
        p.code("90 90").code(HANDLER, RSM);
        Cpu cpu = p.cpu;
        cpu.msrs.setDebugControl(1);
        cpu.msrs.lastBranchFrom = 0x11;
        cpu.msrs.lastBranchTo = 0x22;
        p.step();
        smi();
        p.step();
        assertThat(cpu.msrs.lastBranchFrom).isEqualTo(TestProcessor.CODE + 1);
        assertThat(cpu.msrs.lastBranchTo).isEqualTo(0x8000);
        assertThat(cpu.msrs.lastExceptionFrom).isEqualTo(0x11);
        assertThat(cpu.msrs.lastExceptionTo).isEqualTo(0x22);
        p.step();
        assertThat(cpu.smm.active()).isFalse();
        assertThat(cpu.msrs.lastBranchFrom).isEqualTo(0x8000);
        assertThat(cpu.msrs.lastBranchTo).isEqualTo(TestProcessor.CODE + 1);
        assertThat(cpu.msrs.lastExceptionFrom).isEqualTo(0x11);
    }

    @Test
    void table103GivesTheHandlersRegisters() {
        Cpu cpu = p.cpu;
        cpu.cr0 |= Cpu.CR0_TS | Cpu.CR0_EM | Cpu.CR0_NE;
        cpu.dr[7] = 0x700;
        cpu.r[Cpu.RBX] = 0x1234_5678_9abc_def0L;
        cpu.setRflags(Cpu.IF | Cpu.ZF | 2);
        long cr3 = cpu.cr3;
        smi();
        p.step();
        assertThat(cpu.segSelector[Cpu.CS]).isEqualTo(0x3000);
        assertThat(cpu.segBase[Cpu.CS]).isEqualTo(SMBASE);
        assertThat(cpu.segLimit[Cpu.CS]).isEqualTo(0xffff_ffffL);
        for (int segment : new int[] {Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS, Cpu.SS}) {
            assertThat(cpu.segSelector[segment]).isZero();
            assertThat(cpu.segBase[segment]).isZero();
            assertThat(cpu.segLimit[segment]).isEqualTo(0xffff_ffffL);
        }
        assertThat(cpu.rip).isEqualTo(0x8000);
        assertThat(cpu.rflags()).isEqualTo(2);
        assertThat(cpu.cr0).isEqualTo(Cpu.CR0_ET | Cpu.CR0_WP | Cpu.CR0_NE);
        assertThat(cpu.cr4).isZero();
        assertThat(cpu.efer).isZero();
        assertThat(cpu.dr[7]).isEqualTo(0x400);
        assertThat(cpu.cr3).isEqualTo(cr3);
        assertThat(cpu.r[Cpu.RBX]).isEqualTo(0x1234_5678_9abc_def0L);
        assertThat(cpu.codeBits).isEqualTo(16);
        assertThat(cpu.cpl).isZero();
    }

    @Test
    void the32BitPrefixesReachAllMemory() {
        // addr32 mov dword [200000h], 12345678h: with limits of 4 GiB (§10.3.2)
        p.code(HANDLER, "66 67 c7 05 00002000 78563412 0faa");
        smi();
        p.step(2);
        assertThat(p.read(0x20_0000, 4)).isEqualTo(0x1234_5678);
    }

    @Test
    void theSaveAreaHasTheFieldsOfTable101() {
        with(TestProcessor.longMode().user());
        Cpu cpu = p.cpu;
        for (int i = 0; i < 16; i++) {
            cpu.r[i] = 0x1111_1111_1111_1111L * i;
        }
        cpu.segBase[Cpu.FS] = 0xffff_8000_1234_5678L;
        cpu.segBase[Cpu.GS] = 0x7fff_1234_5678L;
        cpu.segSelector[Cpu.LDTR] = TestProcessor.LDT_SELECTOR;
        cpu.segBase[Cpu.LDTR] = 0x4000;
        cpu.segLimit[Cpu.LDTR] = 0xff;
        cpu.segAttr[Cpu.LDTR] = 0x82;
        cpu.dr[6] = 0xffff_4ff1L;
        cpu.dr[7] = 0x401;
        cpu.setRflags(Cpu.IF | Cpu.CF | 2);
        cpu.nmiBlocked = true;
        smi();
        p.step();
        int[] segments = {Cpu.ES, Cpu.CS, Cpu.SS, Cpu.DS, Cpu.FS, Cpu.GS};
        int[] selectors = {0x23, 0x5b, 0x23, 0x23, 0x23, 0x23};
        for (int i = 0; i < 6; i++) {
            assertThat(saved(16 * segments[i], 2)).isEqualTo(selectors[i]);
            assertThat(saved(16 * segments[i] + 2, 2)).isEqualTo(i == 1 ? 0xafb : 0xcf3);
            assertThat(saved(16 * segments[i] + 4, 4)).isEqualTo(0xffff_ffffL);
        }
        assertThat(saved(0x48, 8)).isEqualTo(0xffff_8000_1234_5678L);
        assertThat(saved(0x58, 8)).isEqualTo(0x7fff_1234_5678L);
        assertThat(saved(0x64, 2)).isEqualTo(0xff);
        assertThat(saved(0x68, 8)).isEqualTo(TestProcessor.GDT);
        assertThat(saved(0x70, 8)).isEqualTo(0x0000_00ff_0082_0040L);
        assertThat(saved(0x78, 8)).isEqualTo(0x4000);
        assertThat(saved(0x84, 2)).isEqualTo(0xfff);
        assertThat(saved(0x88, 8)).isEqualTo(TestProcessor.IDT);
        assertThat(saved(0x90, 8)).isEqualTo(0x0000_0067_008b_0028L);
        assertThat(saved(0x98, 8)).isEqualTo(TestProcessor.TSS);
        assertThat(saved(0xa0, 8)).isEqualTo(TestProcessor.USER_CODE);
        assertThat(saved(0xa8, 8)).isEqualTo(0x1111_1111_1111_1111L);
        assertThat(saved(0xb0, 8)).isEqualTo(0x6666_6666_6666_6666L);
        assertThat(saved(0xb8, 8)).isEqualTo(0x7777_7777_7777_7777L);
        assertThat(saved(0xc0, 8)).isZero(); // no I/O instruction
        assertThat(saved(0xc8, 1)).isZero();
        assertThat(saved(0xc9, 1)).isZero();
        assertThat(saved(0xca, 1)).isEqualTo(1);
        assertThat(saved(0xcb, 1)).isEqualTo(3);
        assertThat(saved(0xd0, 8)).isEqualTo(0xd01);
        for (int offset = 0xd8; offset < 0xfc; offset += 4) {
            assertThat(saved(offset, 4)).isZero(); // no guest
        }
        assertThat(saved(0xfc, 4)).isEqualTo(0x0003_0064);
        assertThat(saved(0x100, 4)).isEqualTo(SMBASE);
        for (int offset = 0x104; offset < 0x148; offset += 4) {
            assertThat(saved(offset, 4)).isZero();
        }
        assertThat(saved(0x148, 8)).isEqualTo(0xa0);
        assertThat(saved(0x150, 8)).isEqualTo(TestProcessor.TABLES);
        assertThat(saved(0x158, 8)).isEqualTo(0x8001_0011L);
        assertThat(saved(0x160, 8)).isEqualTo(0x401);
        assertThat(saved(0x168, 8)).isEqualTo(0xffff_4ff1L);
        assertThat(saved(0x170, 8)).isEqualTo(0x203);
        assertThat(saved(0x178, 8)).isEqualTo(TestProcessor.USER_CODE);
        for (int i = 0; i < 16; i++) {
            assertThat(saved(0x1f8 - 8 * i, 8)).isEqualTo(0x1111_1111_1111_1111L * i);
        }
    }

    @Test
    void rsmLoadsWhatTheHandlerWroteToTheArea() {
        // mov dword [cs:fff8h], 42h; mov byte [cs:ff70h], 3; mov word [cs:ff78h], 8765h; rsm
        p.code(HANDLER, "2e66c706f8ff42000000 2ec60670ff03 2ec70678ff6587 0faa");
        smi();
        p.step(5);
        assertThat(p.cpu.r[Cpu.RAX]).isEqualTo(0x42);
        assertThat(p.cpu.rip).isEqualTo(0x8765);
        assertThat(p.cpu.cf()).isTrue();
    }

    @Test
    void smramMovesToTheSmbaseThatTheHandlerSaves() {
        p.code(HANDLER, "2e66c70600ff00000a00 0faa"); // mov dword [cs:ff00h], a0000h; rsm
        p.code(0xa8000, NOTE_AND_RSM);
        p.code("90 90 90");
        smi();
        p.step(3);
        assertThat(p.cpu.msrs.read(0xc001_0111)).isEqualTo(0xa0000);
        smi();
        p.step();
        assertThat(p.cpu.segSelector[Cpu.CS]).isEqualTo(0xa000);
        assertThat(p.read(0xaff00, 4)).isEqualTo(0xa0000);
        p.step(2);
        assertThat(p.read(NOTE, 2)).isEqualTo(0x1234);
        assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE);
    }

    @Test
    void anSmiInSmmWaitsForRsm() {
        p.code(HANDLER, "90 0faa").code("90");
        smi();
        p.step();
        smi();
        p.step();
        assertThat(p.cpu.rip).isEqualTo(0x8001);
        p.step(2); // RSM, the second SMI
        assertThat(p.cpu.smm.active()).isTrue();
        assertThat(p.cpu.rip).isEqualTo(0x8000);
        assertThat(saved(0x178, 8)).isEqualTo(TestProcessor.CODE);
        p.step(2);
        assertThat(p.cpu.smm.active()).isFalse();
        assertThat(p.cpu.smiPending).isFalse();
    }

    @Test
    void anNmiWaitsForRsmAndIsTakenBeforeTheProgramGoesOn() {
        p.code(HANDLER, "90 0faa").code("90");
        smi();
        p.step();
        p.cpu.nmiPending = true;
        p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        p.step();
        assertThat(p.cpu.rip).isEqualTo(0x8001);
        p.step(2);
        assertThat(p.handler()).isEqualTo(GuestException.NMI);
        assertThat(p.stack64(0)).isEqualTo(TestProcessor.CODE);
    }

    @Test
    void iretInTheHandlerLetsAnNmiIn() {
        with(TestProcessor.realMode());
        p.code(HANDLER, "9c 0e 680680 cf 90"); // pushf; push cs; push 8006h; iret; nop
        smi();
        p.step();
        p.cpu.nmiPending = true;
        p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        p.step(4);
        assertThat(p.cpu.rip).isEqualTo(0x8006);
        p.step();
        assertThat(p.handler()).isEqualTo(GuestException.NMI);
        assertThat(p.cpu.smm.active()).isTrue();
    }

    @Test
    void rsmRestoresTheMaskingOfNmis() {
        p.code(HANDLER, RSM).code("90 90");
        p.cpu.nmiBlocked = true; // in an NMI handler
        p.cpu.nmiPending = true;
        smi();
        p.step(3);
        assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 1);
        assertThat(p.cpu.nmiBlocked).isTrue();
    }

    @Test
    void initWaitsForRsm() {
        p.code(HANDLER, "90 0faa");
        smi();
        p.step();
        p.cpu.initPending = true;
        p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        p.step(2);
        assertThat(p.cpu.smm.active()).isFalse();
        assertThat(p.cpu.initPending).isTrue();
        p.step();
        assertThat(p.cpu.rip).isEqualTo(0xfff0);
        assertThat(p.cpu.msrs.read(0xc001_0111)).isEqualTo(SMBASE);
    }

    @Test
    void anSmiGoesBeforeAnNmiAndATrapWhichFollowAfterRsm() {
        p.code(HANDLER, RSM).code("90 90");
        p.cpu.setRflags(Cpu.TF | 2);
        p.cpu.nmiPending = true;
        smi();
        p.cpu.nmiBlocked = true; // so that the first instruction is not held up by the NMI
        p.cpu.smiPending = false;
        p.step();
        smi();
        p.cpu.nmiBlocked = false;
        p.step();
        assertThat(p.cpu.smm.active()).isTrue();
        assertThat(saved(0x178, 8)).isEqualTo(TestProcessor.CODE + 1);
        p.step(2); // RSM, the trap
        assertThat(p.handler()).isEqualTo(GuestException.DB);
        assertThat(p.cpu.dr[6] & 1 << 14).isNotZero();
        assertThat(p.stack64(0)).isEqualTo(TestProcessor.CODE + 1);
        p.step();
        assertThat(p.handler()).isEqualTo(GuestException.NMI);
    }

    @Test
    void anInitGoesBeforeAnSmiAndTheSmiBeforeAnInterrupt() {
        with(TestProcessor.realMode()).code("90");
        p.cpu.setRflags(Cpu.IF | 2);
        p.apic.pending = 0x51;
        p.cpu.initPending = true;
        smi();
        p.step();
        assertThat(p.cpu.rip).isEqualTo(0xfff0);
        p.step();
        assertThat(p.cpu.smm.active()).isTrue();
        assertThat(saved(0x178, 8)).isEqualTo(0xfff0);
        assertThat(p.apic.pending).isEqualTo(0x51);
    }

    @Test
    void aMaskableInterruptIsTakenAfterRsm() {
        p.code(HANDLER, RSM).code("90");
        p.cpu.setRflags(Cpu.IF | 2);
        p.apic.pending = 0x51;
        smi();
        p.step(2);
        assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE);
        p.step();
        assertThat(p.handler()).isEqualTo(0x51);
    }

    @Test
    void aProcessorInMwaitGoesOnBehindIt() {
        // lea rax, [700h]; xor ecx, ecx; xor edx, edx; monitor; mwait; nop
        p.code("488d042500070000 31c9 31d2 0f01c8 0f01c9 90").code(HANDLER, RSM);
        p.step(5);
        assertThat(p.cpu.activity).isEqualTo(Cpu.MWAITING);
        smi();
        p.step(2);
        assertThat(saved(0xc9, 1)).isZero();
        assertThat(p.cpu.activity).isEqualTo(Cpu.RUNNING);
        p.step();
        assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 19);
    }

    @Test
    void rsmItselfIsNotSteppedOver() {
        p.code(HANDLER, RSM).code("90 90");
        p.cpu.setRflags(Cpu.TF | 2);
        smi();
        p.step(2);
        assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE);
        p.step(2);
        assertThat(p.handler()).isEqualTo(GuestException.DB);
        assertThat(p.stack64(0)).isEqualTo(TestProcessor.CODE + 1);
    }

    @Test
    void anInterruptShadowHoldsAnSmiBackForOneInstruction() {
        p.code(HANDLER, RSM).code("fb 90 90"); // sti
        p.step();
        smi();
        p.step();
        assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 2);
        p.step();
        assertThat(p.cpu.smm.active()).isTrue();
        assertThat(saved(0x178, 8)).isEqualTo(TestProcessor.CODE + 2);
    }

    /** An SMI is taken with GIF set only (§15.17), so that is what RSM goes back to. */
    @Test
    void rsmSetsGifThatTheHandlerCleared() {
        p.code(HANDLER, RSM).code("90 90");
        smi();
        p.step();
        assertThat(p.cpu.smm.active()).isTrue();
        p.cpu.gif = false; // CLGI
        p.step();
        assertThat(p.cpu.smm.active()).isFalse();
        assertThat(p.cpu.gif).isTrue();
    }

    @Test
    void aClearGifHoldsAnExternalSmi() {
        p.code(HANDLER, RSM).code("90 90");
        p.cpu.gif = false;
        smi();
        p.step();
        assertThat(p.cpu.smm.active()).isFalse();
        p.cpu.gif = true;
        p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        p.step();
        assertThat(p.cpu.smm.active()).isTrue();
    }

    @Test
    void aHaltedProcessorHaltsAgainAfterRsmUnlessTheHandlerSaysNo() {
        p.code(HANDLER, NOTE_AND_RSM).code("f4 90");
        p.step();
        smi();
        p.step();
        assertThat(saved(0xc9, 1)).isEqualTo(1);
        p.step(2);
        assertThat(p.read(NOTE, 2)).isEqualTo(0x1234);
        assertThat(p.cpu.activity).isEqualTo(Cpu.HALTED);
        p.code(HANDLER, "2ec606c9fe00 0faa"); // mov byte [cs:fec9h], 0; rsm
        smi();
        p.step(3);
        assertThat(p.cpu.activity).isEqualTo(Cpu.RUNNING);
        assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 1);
    }

    @Test
    void rsmOutsideSmmIsUndefined() {
        p.code(RSM).step();
        assertThat(p.handler()).isEqualTo(GuestException.UD);
    }

    static Stream<Arguments> illegalStates() {
        long cr0 = 0x8001_0011L;
        return Stream.of(
                Arguments.of("PG without PE", 0x158, cr0 & ~1),
                Arguments.of("NW without CD", 0x158, cr0 | Cpu.CR0_NW),
                Arguments.of("CR0 above bit 31", 0x158, cr0 | 1L << 32),
                Arguments.of("unsupported CR3 bit", 0x150, 1L << 52),
                Arguments.of("unsupported CR4 bit", 0x148, 0xa0L | 1 << 31),
                Arguments.of("DR6 above bit 31", 0x168, 1L << 32),
                Arguments.of("DR7 above bit 31", 0x160, 0x400L | 1L << 63),
                Arguments.of("unsupported EFER bit", 0xd0, 0xd01L | 1 << 9),
                Arguments.of("long mode without PAE", 0x148, 0x80L),
                Arguments.of("CS.L and CS.D", 0x10, 0xffff_ffff_0e9b_0050L),
                Arguments.of("revision identifier", 0xf8, 0x0003_0065L << 32));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("illegalStates")
    void rsmOfAnIllegalStateShutsTheProcessorDown(String what, int offset, long value) {
        p.code(HANDLER, "90 0faa");
        smi();
        p.step();
        p.write(SAVED + offset, 8, value);
        p.step(2);
        assertThat(p.cpu.activity).as(what).isEqualTo(Cpu.SHUTDOWN);
        p.cpu.initPending = true; // which ends a shutdown, in SMM too
        p.cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        p.step();
        assertThat(p.cpu.smm.active()).isFalse();
        assertThat(p.cpu.rip).isEqualTo(0xfff0);
    }

    @Test
    void rsmRepairsWhatItNeedNotRefuse() {
        p.code(HANDLER, "90 0faa");
        smi();
        p.step();
        p.write(SAVED + 0xd0, 8, 0x901); // LMA clear, LME set
        p.write(SAVED + 0x170, 8, 0x2_0002); // VM
        p.write(SAVED + 0x48, 8, 0x0000_8000_0000_1000L);
        p.write(SAVED + 0x68, 8, 0x1234_8000_0000_2000L);
        p.write(SAVED + 0x38, 8, 0x1_0000_5000L);
        p.step(2);
        assertThat(p.cpu.efer).isEqualTo(0xd01);
        assertThat(p.cpu.systemFlags() & Cpu.VM).isZero();
        assertThat(p.cpu.segBase[Cpu.FS]).isEqualTo(0xffff_8000_0000_1000L);
        assertThat(p.cpu.gdtrBase).isEqualTo(0xffff_8000_0000_2000L);
        assertThat(p.cpu.segBase[Cpu.DS]).isEqualTo(0x5000);
    }

    @Test
    void translationsOutsideAndInsideSmmDoNotMix() {
        // The program maps page 300000h to 301000h; the handler sees physical memory.
        p.write(TestProcessor.TABLES + 0x1000, 8, TestProcessor.TABLES + 0x2000 | 7);
        p.write(TestProcessor.TABLES + 0x2000, 8, 0x87);
        p.write(TestProcessor.TABLES + 0x2008, 8, TestProcessor.TABLES + 0x3000 | 7);
        p.write(TestProcessor.TABLES + 0x3800, 8, 0x30_1003);
        p.code("a1 0000300000000000 a1 0000300000000000"); // mov eax, [300000h], twice
        p.code(HANDLER, "6667a100003000 6667a300053000 0faa"); // mov eax,[300000h]; mov [300500h]
        p.write(0x30_0000, 4, 0x11);
        p.write(0x30_1000, 4, 0x22);
        p.step();
        assertThat(p.cpu.r[Cpu.RAX]).isEqualTo(0x22);
        smi();
        p.step(4);
        assertThat(p.read(0x30_0500, 4)).isEqualTo(0x11);
        p.step();
        assertThat(p.cpu.r[Cpu.RAX]).isEqualTo(0x22);
    }

    @Test
    void aProcessorSavedInTheHandlerGoesOnThere() {
        p.code(HANDLER, "90 0faa").code("90");
        smi();
        p.step();
        BinaryStateWriter out = new BinaryStateWriter();
        p.cpu.save(out);
        p.cpu.mmu.save(out);
        p.step(2);
        assertThat(p.cpu.smm.active()).isFalse();
        BinaryStateReader in = new BinaryStateReader(out.toByteArray());
        p.cpu.load(in);
        p.cpu.mmu.load(in);
        assertThat(p.cpu.smm.active()).isTrue();
        p.step(2);
        assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE);
        assertThat(p.cpu.mode64).isTrue();
    }
}
