package dev.pacifica.emulator.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Task switches by JMP, CALL, IRET, INT and exceptions (APM Vol 2 §12.4). */
class TaskSwitchTest {
    private static final int TSS = TestProcessor.TSS;
    private static final int TSS2 = TestProcessor.TSS2;
    private static final int OLD_TYPE = TestProcessor.GDT + TestProcessor.TSS_SELECTOR + 5;
    private static final int NEW_TYPE = TestProcessor.GDT + TestProcessor.TSS2_SELECTOR + 5;

    /** A processor whose second TSS is a task at 6000h at CPL 0 with stack 30000h. */
    private static TestProcessor twoTasks() {
        TestProcessor p = TestProcessor.protectedMode();
        p.write(TSS2 + 0x20, 4, 0x6000);
        p.write(TSS2 + 0x24, 4, 2);
        p.write(TSS2 + 0x28, 4, 0x1234_5678); // EAX
        p.write(TSS2 + 0x38, 4, 0x30000);
        p.write(TSS2 + 0x48, 2, TestProcessor.DATA0); // ES
        p.write(TSS2 + 0x4c, 2, TestProcessor.CODE0);
        p.write(TSS2 + 0x50, 2, TestProcessor.DATA0);
        p.write(TSS2 + 0x54, 2, TestProcessor.DATA0);
        p.code(0x6000, "90 cf" /* nop; iret */);
        return p;
    }

    @Test
    void jumpSavesTheOldTaskAndMovesTheBusyBit() {
        try (TestProcessor p = twoTasks()) {
            p.cpu.r[Cpu.RBX] = 0x77;
            p.cpu.dr[7] = 0x455; // local enables of all four, at address 0, execute
            p.code("ea 00 00 00 00 38 00" /* jmp 38h:0 */).step();
            assertThat(p.cpu.rip).isEqualTo(0x6000);
            assertThat(p.cpu.r[Cpu.RAX]).isEqualTo(0x1234_5678);
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(0x30000);
            assertThat(p.cpu.segSelector[Cpu.TR]).isEqualTo(TestProcessor.TSS2_SELECTOR);
            assertThat(p.cpu.segBase[Cpu.TR]).isEqualTo(TSS2);
            assertThat(p.cpu.segSelector[Cpu.FS]).isZero();
            assertThat(p.read(TSS + 0x20, 4)).isEqualTo(TestProcessor.CODE + 7);
            assertThat(p.read(TSS + 0x34, 4)).isEqualTo(0x77);
            assertThat(p.read(TSS + 0x4c, 2)).isEqualTo(TestProcessor.CODE0);
            assertThat(p.read(OLD_TYPE, 1)).isEqualTo(0x89);
            assertThat(p.read(NEW_TYPE, 1)).isEqualTo(0x8b);
            assertThat(p.cpu.cr0 & Cpu.CR0_TS).isNotZero();
            assertThat(p.cpu.rflags() & Cpu.NT).isZero();
            assertThat(p.cpu.dr[7]).isEqualTo(0x400);
        }
    }

    /** §3.1.6: RF of the new task's flags holds for its first instruction. */
    @Test
    void theNewTasksResumeFlagHidesABreakpointOnItsFirstInstruction() {
        try (TestProcessor p = twoTasks()) {
            p.write(TSS2 + 0x24, 4, Cpu.RF | 2);
            p.cpu.dr[0] = 0x6000;
            p.cpu.dr[1] = 0x6001;
            p.cpu.dr[7] = 0x40a; // both, globally, execution
            p.code("ea 00 00 00 00 38 00");
            p.cpu.updateMode();
            p.step();
            assertThat(p.cpu.rip).isEqualTo(0x6000);
            p.step();
            assertThat(p.cpu.rip).isEqualTo(0x6001);
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.DB);
            assertThat(p.stack32(0)).isEqualTo(0x6001);
        }
    }

    @Test
    void callLinksTheTasksAndIretReturns() {
        try (TestProcessor p = twoTasks()) {
            p.code("9a 00 00 00 00 38 00" /* call 38h:0 */);
            p.step();
            assertThat(p.read(TSS2, 2)).isEqualTo(TestProcessor.TSS_SELECTOR);
            assertThat(p.cpu.rflags() & Cpu.NT).isNotZero();
            assertThat(p.read(OLD_TYPE, 1)).isEqualTo(0x8b);
            p.step(2);
            assertThat(p.cpu.rip).isEqualTo(TestProcessor.CODE + 7);
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(TestProcessor.STACK);
            assertThat(p.cpu.segSelector[Cpu.TR]).isEqualTo(TestProcessor.TSS_SELECTOR);
            assertThat(p.read(NEW_TYPE, 1)).isEqualTo(0x89);
            assertThat(p.read(TSS2 + 0x20, 4)).isEqualTo(0x6002); // where the second task goes on
            assertThat(p.read(TSS2 + 0x24, 4) & Cpu.NT).isZero();
        }
    }

    @Test
    void exceptionThroughATaskGatePushesItsErrorCodeInTheNewTask() {
        try (TestProcessor p = twoTasks()) {
            p.gate(GuestException.GP, TestProcessor.TSS2_SELECTOR, 0, 0x85);
            p.cpu.r[Cpu.RAX] = TestProcessor.TSS_SELECTOR;
            p.code("8e d8" /* mov ds, ax: #GP */).step();
            assertThat(p.cpu.rip).isEqualTo(0x6000);
            assertThat(p.cpu.r[Cpu.RSP]).isEqualTo(0x30000 - 4);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.TSS_SELECTOR);
            assertThat(p.read(TSS + 0x20, 4)).isEqualTo(TestProcessor.CODE);
            assertThat(p.read(TSS + 0x24, 4) & Cpu.RF).isNotZero();
            assertThat(p.cpu.rflags() & Cpu.NT).isNotZero();
        }
    }

    @Test
    void busyTssIsRefused() {
        try (TestProcessor p = twoTasks()) {
            p.code("ea 00 00 00 00 28 00" /* jmp to the current task */).step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.TSS_SELECTOR);
        }
    }

    @Test
    void tooSmallTssRaisesTsAndAbsentOneNp() {
        try (TestProcessor p = twoTasks()) {
            p.descriptor(TestProcessor.TSS2_SELECTOR, TSS2, 0x66, 0x089);
            p.code("ea 00 00 00 00 38 00").step();
            assertThat(p.handler()).isEqualTo(GuestException.TS);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.TSS2_SELECTOR);
        }
        try (TestProcessor p = twoTasks()) {
            p.descriptor(TestProcessor.TSS2_SELECTOR, TSS2, 0x67, 0x009);
            p.code("ea 00 00 00 00 38 00").step();
            assertThat(p.handler()).isEqualTo(GuestException.NP);
        }
    }

    @Test
    void badSegmentOfTheNewTaskFaultsInItsContext() {
        try (TestProcessor p = twoTasks()) {
            p.write(TSS2 + 0x54, 2, TestProcessor.TSS_SELECTOR); // DS
            p.code("ea 00 00 00 00 38 00").step();
            assertThat(p.handler()).isEqualTo(GuestException.TS);
            assertThat(p.stack32(0)).isEqualTo(TestProcessor.TSS_SELECTOR);
            assertThat(p.stack32(1)).isEqualTo(0x6000);
            assertThat(p.cpu.segSelector[Cpu.TR]).isEqualTo(TestProcessor.TSS2_SELECTOR);
        }
    }

    @Test
    void trapBitRaisesDebugBeforeTheFirstInstruction() {
        try (TestProcessor p = twoTasks()) {
            p.write(TSS2 + 0x64, 2, 1);
            p.code("ea 00 00 00 00 38 00");
            p.step(2);
            assertThat(p.handler()).isEqualTo(GuestException.DB);
            assertThat(p.stack32(0)).isEqualTo(0x6000);
            assertThat(p.cpu.dr[6] & 1 << 15).isNotZero();
        }
    }

    @Test
    void jumpTo16BitTaskLoadsItsSmallerTss() {
        try (TestProcessor p = TestProcessor.protectedMode()) {
            p.descriptor(TestProcessor.TSS2_SELECTOR, TSS2, 0x2b, 0x081);
            p.write(TSS2 + 0x0e, 2, 0x6000);
            p.write(TSS2 + 0x10, 2, 2);
            p.write(TSS2 + 0x12, 2, 0xabcd);
            p.write(TSS2 + 0x1a, 2, 0x7000);
            p.write(TSS2 + 0x22, 2, TestProcessor.DATA0);
            p.write(TSS2 + 0x24, 2, TestProcessor.CODE0);
            p.write(TSS2 + 0x26, 2, TestProcessor.DATA0);
            p.code("ea 00 00 00 00 38 00").step();
            assertThat(p.cpu.rip).isEqualTo(0x6000);
            assertThat(p.cpu.r[Cpu.RAX] & 0xffff).isEqualTo(0xabcd);
            assertThat(p.cpu.r[Cpu.RSP] & 0xffff).isEqualTo(0x7000);
            assertThat(p.cpu.segSelector[Cpu.ES]).isEqualTo(TestProcessor.DATA0);
            assertThat(p.cpu.segSelector[Cpu.DS]).isZero();
        }
    }

    private static final int OLD_POINTERS = 0x50000;
    private static final int NEW_POINTERS = 0x50020;
    private static final int DIRECTORY = 0x51000;
    private static final int DIRECTORY_ENTRY = 0x87; // 2 MiB, user, writable

    /** As {@link #twoTasks}, under PAE paging; the second task has a CR3 of its own. */
    private static TestProcessor twoPaeTasks(long secondPointer) {
        TestProcessor p = twoTasks();
        p.write(DIRECTORY, 8, DIRECTORY_ENTRY);
        p.write(OLD_POINTERS, 8, DIRECTORY | 1);
        p.write(NEW_POINTERS, 8, DIRECTORY | 1);
        p.write(NEW_POINTERS + 24, 8, secondPointer);
        p.write(TSS2 + 0x1c, 4, NEW_POINTERS);
        p.cpu.cr3 = OLD_POINTERS;
        p.cpu.cr4 |= Cpu.CR4_PAE;
        p.cpu.cr0 |= Cpu.CR0_PG;
        p.cpu.updateMode();
        p.code("ea 00 00 00 00 38 00" /* jmp 38h:0 */);
        return p;
    }

    /** §12.3.2: the pointers of PAE paging are read when a task switch loads CR3. */
    @ParameterizedTest
    @ValueSource(longs = {0, 0x1e6 /* not present */, 0x51e19 /* PWT, PCD, software's */})
    void aTaskSwitchLoadsCr3(long pointer) {
        try (TestProcessor p = twoPaeTasks(pointer)) {
            p.step();
            assertThat(p.cpu.rip).isEqualTo(0x6000);
            assertThat(p.cpu.cr3).isEqualTo(NEW_POINTERS);
            assertThat(p.cpu.segSelector[Cpu.CS]).isEqualTo(TestProcessor.CODE0);
            assertThat(p.cpu.segAttr[Cpu.CS] & Cpu.ATTR_P).isNotZero();
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {0x3, 0x5, 0x21, 0x101, 1L << 52 | 1, Long.MIN_VALUE | 1})
    void illegalPagePointersFaultInTheNewTask(long pointer) {
        try (TestProcessor p = twoPaeTasks(pointer)) {
            p.step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
            assertThat(p.stack32(0)).isZero();
            assertThat(p.stack32(1)).as("at its first instruction").isEqualTo(0x6000);
            assertThat(p.cpu.segSelector[Cpu.TR]).isEqualTo(TestProcessor.TSS2_SELECTOR);
            assertThat(p.cpu.r[Cpu.RAX]).isEqualTo(0x1234_5678);
            assertThat(p.cpu.cr3).as("as at MOV CR3").isEqualTo(OLD_POINTERS);
            assertThat(p.read(OLD_TYPE, 1)).isEqualTo(0x89);
        }
    }

    @Test
    void pagePointersThatStayAreNotLookedAt() {
        try (TestProcessor p = twoPaeTasks(3)) {
            p.cpu.cr3 = NEW_POINTERS;
            p.step();
            assertThat(p.cpu.rip).isEqualTo(0x6000);
        }
    }

    @Test
    void thereAreNoTaskSwitchesInLongMode() {
        try (TestProcessor p = TestProcessor.longMode()) {
            p.cpu.setRflags(Cpu.NT | 2);
            p.code("48 cf").step();
            assertThat(p.handler()).isEqualTo(GuestException.GP);
        }
    }
}
