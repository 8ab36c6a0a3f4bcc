/* §15.7.2, §15.7.3: EXITINTINFO says which event was being delivered when an intercept ended the guest's run. */
#include "frame.h"

/* The IDT is in the window, in a page that is not there: the delivery of any event meets a page fault, which is intercepted. */
static void absent_idt(void)
{
    use_virtual_idt();
    guest_window[15] = 0;
}

#define EVENT_MASK(has_error) ((has_error) ? ~0ull : 0xffffffffull)

/* Of each kind of event: a page fault in its delivery; then a nested one. */
#define DELIVERY(name, mode, before, insn, event, has_error, place)                                          \
    TEST("15.7.2/page-fault-delivering-" name)                                                               \
    {                                                                                                        \
        GUEST3(before, insn, "nop");                                                                         \
        mode;                                                                                                \
        absent_idt();                                                                                        \
        v.intercept_exceptions = BIT(PF);                                                                    \
        expect_exception(PF);                                                                                \
        EXPECT_EQ("EXITINTINFO", v.exit_interrupt_info & EVENT_MASK(has_error), event);                      \
        EXPECT_EQ("EXITINFO2, in the IDT", v.exit_info_2 >> 12, WINDOW_PAGE(15) >> 12);                      \
        EXPECT_EQ("RIP", v.cs.base + v.rip, place);                                                           \
        EXPECT_EQ("the guest's handler", guest_vector, NO_VECTOR);                                           \
    }                                                                                                        \
    TEST("15.7.2/nested-fault-delivering-" name)                                                             \
    {                                                                                                        \
        REQUIRE_SVM(HAS_NP, "nested paging");                                                                \
        GUEST3(before, insn, "nop");                                                                         \
        mode;                                                                                                \
        use_nested_paging();                                                                                 \
        use_virtual_idt();                                                                                   \
        guest_window[15] = WINDOW_PAGE(15) | D | A | US | RW | P;                                            \
        nested_window[15] = 0;                                                                               \
        v.intercept_exceptions = 0;                                                                          \
        expect_exit(EXIT_NPF);                                                                               \
        EXPECT_EQ("EXITINTINFO", v.exit_interrupt_info & EVENT_MASK(has_error), event);                      \
        EXPECT_EQ("EXITINFO2, in the IDT", v.exit_info_2 >> 12, WINDOW_PAGE(15) >> 12);                      \
        EXPECT_EQ("RIP", v.cs.base + v.rip, place);                                                           \
    }
static void virtual_interrupt(unsigned vector)
{
    v.rflags |= FLAG_IF;
    v.virtual_interrupt |= V_IRQ | V_INTR_PRIORITY(15) | V_INTR_VECTOR(vector);
}
DELIVERY("a-virtual-interrupt", virtual_interrupt(0x55), "", "nop", EVENT(EVENT_INTERRUPT, 0x55), false, insn_at)
DELIVERY("an-injected-interrupt", v.event_injection = EVENT(EVENT_INTERRUPT, 0x56), "", "nop", EVENT(EVENT_INTERRUPT, 0x56), false, insn_at)
DELIVERY("an-injected-nmi", v.event_injection = EVENT(EVENT_NMI, 2), "", "nop", EVENT(EVENT_NMI, 2), false, insn_at)
DELIVERY("an-injected-exception", v.event_injection = EVENT(EVENT_EXCEPTION, UD), "", "nop", EVENT(EVENT_EXCEPTION, UD), false, insn_at)
DELIVERY("an-injected-exception-with-error-code", v.event_injection = EVENT_WITH_ERROR(GP, 0x1234), "", "nop", EVENT_WITH_ERROR(GP, 0x1234), true, insn_at)
DELIVERY("a-physical-interrupt", (v.intercept_1 &= ~1u, v.rflags |= FLAG_IF, self_interrupt(0x57)), "", "nop", EVENT(EVENT_INTERRUPT, 0x57), false, insn_at)
DELIVERY("a-divide-error", (void)0, "xor %%ecx, %%ecx", "div %%ecx", EVENT(EVENT_EXCEPTION, DE), false, insn_at)
DELIVERY("an-invalid-opcode", (void)0, "", "ud2", EVENT(EVENT_EXCEPTION, UD), false, insn_at)
DELIVERY("a-device-not-available", v.cr0 |= CR0_TS, "", "fld1", EVENT(EVENT_EXCEPTION, NM), false, insn_at)
DELIVERY("a-general-protection", (void)0, "mov $0xfff8, %%eax", "mov %%eax, %%ds", EVENT_WITH_ERROR(GP, 0xfff8), true, insn_at)
DELIVERY("a-segment-not-present", guest_gdt[GUEST_FREE / 8] = 0x00cf13000000ffff, "mov $0x60, %%eax", "mov %%eax, %%ds", EVENT_WITH_ERROR(NP, GUEST_FREE), true, insn_at)
DELIVERY("a-single-step", v.rflags |= FLAG_TF, "", "nop", EVENT(EVENT_EXCEPTION, DB), false, insn_next)
DELIVERY("int-n", (void)0, "", "int $0x58", EVENT(EVENT_SOFTWARE, 0x58), false, insn_at)
DELIVERY("int3", (void)0, "", "int3", EVENT(EVENT_EXCEPTION, BP), false, insn_at)
DELIVERY("icebp", (void)0, "", ".byte 0xf1", EVENT(EVENT_EXCEPTION, DB), false, insn_at)

TEST("15.7.2/nested-fault-delivering-into")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    GUEST3(".code32; mov $0x7fffffff, %%eax; add $1, %%eax", "into", "nop");
    mode_protected();
    use_nested_paging();
    v.idtr.base = 0x4000000;
    nested_directories[0][32] = 0;
    v.intercept_exceptions = 0;
    expect_exit(EXIT_NPF);
    EXPECT_EQ("EXITINTINFO", v.exit_interrupt_info & 0xffffffff, EVENT(EVENT_EXCEPTION, OF));
}

TEST("15.7.2/nested-fault-delivering-a-page-fault")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    GUEST("mov 0xffffffff80000000, %%eax");
    use_nested_paging();
    use_virtual_idt();
    guest_window[15] = WINDOW_PAGE(15) | D | A | US | RW | P;
    nested_window[15] = 0;
    v.intercept_exceptions = 0;
    expect_exit(EXIT_NPF);
    EXPECT_EQ("EXITINTINFO", v.exit_interrupt_info, EVENT_WITH_ERROR(PF, 0));
    EXPECT_EQ("CR2", v.cr2, 0xffffffff80000000);
}

TEST("15.7.2/example-double-fault-in-delivery")
{
    GUEST3("mov $0xfff8, %%eax", "mov %%eax, %%ds", ""); /* #GP; its gate is not present: #NP, so #DF; its stack page is absent */
    v.intercept_exceptions = BIT(PF);
    guest_gate(GP, 0, 0xe, 0, 0, false);
    guest_gate(DF, (u64)guest_stubs + DF * 16, 0xe, 0, 1, true);
    *(u64 *)(guest_tss + 36) = WINDOW_PAGE(1);
    guest_window[0] = 0;
    expect_exception(PF);
    EXPECT_EQ("EXITINTINFO", v.exit_interrupt_info, EVENT_WITH_ERROR(DF, 0));
    EXPECT_EQ("EXITINFO2", v.exit_info_2 >> 12, WINDOW >> 12);
}

TEST("15.7.2/page-fault-on-the-stack-in-delivery")
{
    GUEST("ud2");
    v.intercept_exceptions = BIT(PF);
    v.rsp = WINDOW_PAGE(1);
    guest_window[0] = 0;
    expect_exception(PF);
    EXPECT_EQ("EXITINTINFO", v.exit_interrupt_info & 0xffffffff, EVENT(EVENT_EXCEPTION, UD));
    EXPECT_EQ("EXITINFO1: a write", v.exit_info_1 & 2, 2);
    EXPECT_EQ("RSP is the old one", v.rsp, WINDOW_PAGE(1));
}

TEST("15.7.2/exit-without-delivery-clears-v")
{
    GUEST("cpuid");
    v.intercept_1 |= BIT(I1_CPUID);
    v.exit_interrupt_info = EVENT(EVENT_EXCEPTION, UD);
    expect_exit(EXIT_CPUID);
    EXPECT_EQ("EXITINTINFO.V", v.exit_interrupt_info & EVENT_VALID, 0);
}

TEST("15.7.2/exit-in-a-handler-clears-v")
{
    GUEST("ud2");
    deliver(UD);
    expect_vector(UD);
    EXPECT_EQ("EXITINTINFO.V", v.exit_interrupt_info & EVENT_VALID, 0);
}

TEST("15.7.2/reinjection-completes-the-delivery")
{
    GUEST("ud2");
    v.intercept_exceptions = BIT(PF);
    absent_idt();
    expect_exception(PF);
    guest_window[15] = (u64)page[15] | D | A | US | RW | P;
    v.event_injection = v.exit_interrupt_info;
    expect_vector(UD);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), insn_at);
}

TEST("15.7.2/shutdown-exit-names-the-double-fault")
{
    GUEST("ud2");
    v.intercept_exceptions = 0;
    v.idtr.limit = 0;
    expect_exit(EXIT_SHUTDOWN);
}
