/* §15.14.1: the task switch intercept. */
#include "frame.h"

enum { BY_IRET = 36 - 32, BY_JUMP = 38 - 32, HAS_ERROR = 44 - 32, RESUME_FLAG = 48 - 32 };
static u64 reason(void) { return v.exit_info_2 >> 32 & ~BIT(RESUME_FLAG); }

/* The other task: flat, at the code that follows, with a stack in page 8. */
static void other_task(u32 eip)
{
    u32 *tss = (u32 *)guest_tss32[1];
    tss[8] = eip;
    tss[9] = 2;
    tss[14] = (u32)(u64)page[9];
    tss[18] = tss[20] = tss[21] = GUEST_DATA; /* ES, SS, DS */
    tss[19] = GUEST_CODE32;
}

#define SWITCH(name, prepare_it, before, insn, incoming, why)                      \
    TEST("15.14.1/" name)                                                          \
    {                                                                              \
        GUEST3(".code32;" before, insn, "nop");                                    \
        mode_protected();                                                          \
        other_task((u32)code_end);                                                 \
        v.intercept_1 |= BIT(I1_TASK);                                             \
        prepare_it;                                                                \
        expect_exit(EXIT_TASK_SWITCH);                                             \
        EXPECT_EQ("EXITINFO1, the TSS selector", v.exit_info_1 & 0xffff, incoming); \
        EXPECT_EQ("EXITINFO2, its reason", reason(), why);                         \
        EXPECT_EQ("TR is the old one", v.tr.selector, GUEST_TSS32);                \
    }
static void task_gate(unsigned vector) { guest_idt32[vector] = (u64)GUEST_TSS32_OTHER << 16 | 0xe5ull << 40; }
static void nested_task(void)
{
    *(u16 *)guest_tss32[0] = GUEST_TSS32_OTHER;
    guest_gdt[GUEST_TSS32_OTHER / 8] |= BIT(41); /* busy */
}

SWITCH("jump-to-a-tss", (void)0, "", "ljmp $0x50, $0", GUEST_TSS32_OTHER, BIT(BY_JUMP))
SWITCH("jump-through-a-task-gate", (void)0, "", "ljmp $0x58, $0", GUEST_TSS32_OTHER, BIT(BY_JUMP))
SWITCH("call-of-a-tss", (void)0, "", "lcall $0x50, $0", GUEST_TSS32_OTHER, 0)
SWITCH("call-through-a-task-gate", (void)0, "", "lcall $0x58, $0", GUEST_TSS32_OTHER, 0)
SWITCH("iret", nested_task(), "pushfl; orl $0x4000, (%%esp); popfl", "iretl", GUEST_TSS32_OTHER, BIT(BY_IRET))
SWITCH("int-n", task_gate(0x50), "", "int $0x50", GUEST_TSS32_OTHER, 0)
SWITCH("exception", (task_gate(UD), deliver(UD)), "", "ud2", GUEST_TSS32_OTHER, 0)
SWITCH("exception-with-error-code", (task_gate(GP), deliver(GP)), "mov $0xfff8, %%eax", "mov %%eax, %%ds", GUEST_TSS32_OTHER, BIT(HAS_ERROR))
SWITCH("virtual-interrupt", (task_gate(0x51), v.rflags |= FLAG_IF, v.virtual_interrupt |= V_IRQ | V_INTR_PRIORITY(15) | V_INTR_VECTOR(0x51)), "", "nop", GUEST_TSS32_OTHER, 0)
SWITCH("injected-exception", (task_gate(NM), v.event_injection = EVENT(EVENT_EXCEPTION, NM)), "", "nop", GUEST_TSS32_OTHER, 0)
SWITCH("cr3-and-ldtr-intercepts-are-not-checked", (v.intercept_cr_write = 0xffff, v.intercept_1 |= BIT(I1_WRITE_LDTR) | BIT(I1_WRITE_TR)), "", "ljmp $0x50, $0", GUEST_TSS32_OTHER, BIT(BY_JUMP))

TEST("15.14.1/error-code-in-exitinfo2")
{
    GUEST3(".code32; mov $0xfff8, %%eax", "mov %%eax, %%ds", "");
    mode_protected();
    other_task((u32)code_end);
    v.intercept_1 |= BIT(I1_TASK);
    task_gate(GP);
    deliver(GP);
    expect_exit(EXIT_TASK_SWITCH);
    EXPECT_EQ("EXITINFO2, low half", v.exit_info_2 & 0xffffffff, 0xfff8);
}

TEST("15.14.1/rip-of-a-jump-is-its-own")
{
    GUEST3(".code32; nop", "ljmp $0x50, $0", "");
    mode_protected();
    other_task((u32)code_end);
    v.intercept_1 |= BIT(I1_TASK);
    expect_exit(EXIT_TASK_SWITCH);
    expect_at_insn();
}

#define DURING(name, prepare_it, insn, event)                                                      \
    TEST("15.7.2/task-switch-delivering-" name)                                                    \
    {                                                                                              \
        GUEST3(".code32", insn, "nop");                                                            \
        mode_protected();                                                                          \
        other_task((u32)code_end);                                                                 \
        v.intercept_1 |= BIT(I1_TASK);                                                             \
        prepare_it;                                                                                \
        expect_exit(EXIT_TASK_SWITCH);                                                             \
        EXPECT_EQ("EXITINTINFO", v.exit_interrupt_info & 0xffffffff, event);                       \
    }
DURING("an-exception", (task_gate(UD), deliver(UD)), "ud2", EVENT(EVENT_EXCEPTION, UD))
DURING("int-n", task_gate(0x50), "int $0x50", EVENT(EVENT_SOFTWARE, 0x50))
DURING("an-injected-interrupt", (task_gate(0x52), v.event_injection = EVENT(EVENT_INTERRUPT, 0x52)), "nop", EVENT(EVENT_INTERRUPT, 0x52))

TEST("15.14.1/not-intercepted-switches")
{
    GUEST3(".code32", "ljmp $0x50, $0", "");
    mode_protected();
    other_task((u32)code_end);
    expect_done();
    EXPECT_EQ("TR", v.tr.selector, GUEST_TSS32_OTHER);
    EXPECT_EQ("ESP", v.rsp, (u64)page[9]);
    EXPECT_EQ("CR0.TS", v.cr0 & CR0_TS, CR0_TS);
}

/* --- CR3 of a task under PAE paging: Table 15-7 has #GP for illegal pointers, 12.3.2 the context -------------------------------- */
static u64 task_pointers[4] __attribute__((aligned(32)));
static void pae_task(u64 bad)
{
    mode_pae();
    other_task((u32)code_end);
    memcpy(task_pointers, (void *)v.cr3, sizeof task_pointers);
    task_pointers[3] |= bad;
    ((u32 *)guest_tss32[1])[7] = (u32)(u64)task_pointers;
}
TEST("15.14.1/not-intercepted-loads-cr3-under-pae")
{
    GUEST3(".code32", "ljmp $0x50, $0", "");
    pae_task(0);
    expect_done();
    EXPECT_EQ("CR3", v.cr3, (u64)task_pointers);
}
TEST("15.14.1/illegal-pae-pointers-are-gp-in-the-new-task")
{
    GUEST3(".code32", "ljmp $0x50, $0", "");
    pae_task(RW);
    u64 before = v.cr3;
    expect_exception(GP);
    EXPECT_EQ("error code", v.exit_info_1, 0);
    EXPECT_EQ("TR", v.tr.selector, GUEST_TSS32_OTHER);
    EXPECT_EQ("RIP is the new task's", v.rip, code_end);
    EXPECT_EQ("CR3 is the old task's", v.cr3, before);
}
TEST("15.25.10/task-switch-does-not-look-at-pae-pointers")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    GUEST3(".code32", "ljmp $0x50, $0", "");
    pae_task(RW);
    use_nested_paging();
    expect_done();
    EXPECT_EQ("CR3", v.cr3, (u64)task_pointers);
}

/* --- the incoming TSS is checked first --------------------------------------------------------------------------------------------- */
#define CHECKED_FIRST(name, prepare_it, vector)              \
    TEST("15.14.1/" name)                                    \
    {                                                        \
        GUEST3(".code32", "ljmp $0x50, $0", "");             \
        mode_protected();                                    \
        other_task((u32)code_end);                           \
        v.intercept_1 |= BIT(I1_TASK);                       \
        prepare_it;                                          \
        expect_exception(vector);                            \
        EXPECT_EQ("error code", v.exit_info_1, GUEST_TSS32_OTHER); \
    }
CHECKED_FIRST("absent-tss-is-np-first", guest_gdt[GUEST_TSS32_OTHER / 8] &= ~BIT(47), NP)
CHECKED_FIRST("busy-tss-is-gp-first", guest_gdt[GUEST_TSS32_OTHER / 8] |= BIT(41), GP)
CHECKED_FIRST("short-tss-is-ts-first", guest_gdt[GUEST_TSS32_OTHER / 8] &= ~0xffull, TS)
TEST("15.14.1/absent-task-gate-is-np-first")
{
    GUEST3(".code32", "ljmp $0x58, $0", "");
    mode_protected();
    other_task((u32)code_end);
    v.intercept_1 |= BIT(I1_TASK);
    guest_gdt[GUEST_TASK_GATE / 8] &= ~BIT(47);
    expect_exception(NP);
    EXPECT_EQ("error code", v.exit_info_1, GUEST_TASK_GATE);
}

/* --- §15.14.3: shutdown --------------------------------------------------------------------------------------------------------------- */
#define SHUTDOWN(name, prepare_it, before, insn) \
    TEST("15.14.3/" name)                        \
    {                                            \
        GUEST3(before, insn, "");                \
        v.intercept_exceptions = 0;              \
        prepare_it;                              \
        expect_exit(EXIT_SHUTDOWN);              \
    }
SHUTDOWN("no-idt", v.idtr.limit = 0, "", "ud2")
SHUTDOWN("absent-gates", (guest_gate(DE, 0, 0xe, 0, 0, false), guest_gate(DF, 0, 0xe, 0, 0, false)), "xor %%ecx, %%ecx", "div %%ecx")
SHUTDOWN("unmapped-idt", v.idtr.base = 0xffffffff80000000, "", "mov 0xffffffff80000000, %%eax")
SHUTDOWN("no-stack", v.rsp = 0x800000000000ull, "", "int $0x50")
SHUTDOWN("real-mode-without-an-idt", (mode_real(), v.idtr.limit = 0), ".code16", "int $0x21")
SHUTDOWN("protected-mode-without-an-idt", (mode_protected(), v.idtr.limit = 0), ".code32", "ud2")

TEST("15.14.3/intercepted-exceptions-do-not-come-so-far")
{
    GUEST("ud2");
    v.idtr.limit = 0;
    v.intercept_exceptions = BIT(UD);
    expect_exception(UD);
}

TEST("15.14.3/intercepted-double-faults-do-not-come-so-far")
{
    GUEST("ud2");
    v.idtr.limit = 0;
    v.intercept_exceptions = BIT(DF);
    expect_exception(DF);
}
