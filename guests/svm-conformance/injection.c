/* §15.20: event injection, which events VMRUN refuses, and how the others reach the guest. */
#include "frame.h"

/* --- reserved types, vectors that are no exceptions ----------------------------------------------------------------------------- */
#define REFUSED(name, event)                 \
    TEST("15.20/refuses-" name)              \
    {                                        \
        GUEST("nop");                        \
        v.event_injection = event;           \
        expect_invalid();                    \
    }
REFUSED("type-1", EVENT(1, 0x20))
REFUSED("type-5", EVENT(5, 0x20))
REFUSED("type-6", EVENT(6, 0x20))
REFUSED("type-7", EVENT(7, 0x20))
#define NO_EXCEPTION(n) REFUSED("exception-" #n, EVENT(EVENT_EXCEPTION, n))
NO_EXCEPTION(2)
NO_EXCEPTION(31)
NO_EXCEPTION(32)
NO_EXCEPTION(33)
NO_EXCEPTION(64)
NO_EXCEPTION(128)
NO_EXCEPTION(255)
REFUSED("bound-range-in-64-bit-mode", EVENT(EVENT_EXCEPTION, BR))
TEST("15.20/refused-event-runs-no-guest-instruction")
{
    GUEST3("", "movb $1, page", "");
    v.event_injection = EVENT(7, 0x20);
    expect_invalid();
    EXPECT_EQ("what the guest would have written", page[0][0], 0);
}

/* --- exceptions ----------------------------------------------------------------------------------------------------------------- */
#define INJECTED(n)                                                                       \
    TEST("15.20/injects-exception-" #n)                                                   \
    {                                                                                     \
        GUEST("nop");                                                                     \
        v.event_injection = EVENT(EVENT_EXCEPTION, n);                                    \
        expect_vector(n);                                                                 \
        EXPECT_EQ("RSP behind a frame without error code", v.rsp, STACK_TOP - 40);        \
        EXPECT_EQ("the pushed RIP", guest_pushed(0), code_start);                         \
    }
#define INJECTED_WITH_ERROR(n)                                                            \
    TEST("15.20/injects-exception-" #n "-with-error-code")                                \
    {                                                                                     \
        GUEST("nop");                                                                     \
        v.event_injection = EVENT_WITH_ERROR(n, 0xabcd);                                  \
        expect_vector(n);                                                                 \
        EXPECT_EQ("RSP behind a frame with error code", v.rsp, STACK_TOP - 48);           \
        EXPECT_EQ("the pushed error code", guest_pushed(0), 0xabcd);                      \
        EXPECT_EQ("the pushed RIP", guest_pushed(1), code_start);                         \
    }
INJECTED(0)
INJECTED(1)
INJECTED(6)
INJECTED(7)
INJECTED(16)
INJECTED(18)
INJECTED(19)
INJECTED_WITH_ERROR(8)
INJECTED_WITH_ERROR(10)
INJECTED_WITH_ERROR(11)
INJECTED_WITH_ERROR(12)
INJECTED_WITH_ERROR(13)
INJECTED_WITH_ERROR(14)
INJECTED_WITH_ERROR(17)
INJECTED_WITH_ERROR(30)

TEST("15.20/injects-breakpoint")
{
    GUEST("nop");
    v.next_rip = code_start;
    v.event_injection = EVENT(EVENT_EXCEPTION, BP);
    expect_vector(BP);
}

TEST("15.20/injects-overflow-in-protected-mode")
{
    GUEST3(".code32", "nop", "");
    mode_protected();
    v.next_rip = code_start;
    v.event_injection = EVENT(EVENT_EXCEPTION, OF);
    expect_vector(OF);
}

TEST("15.20/injects-bound-range-in-protected-mode")
{
    GUEST3(".code32", "nop", "");
    mode_protected();
    v.event_injection = EVENT(EVENT_EXCEPTION, BR);
    expect_vector(BR);
}

TEST("15.20/breakpoint-checks-the-gate-dpl")
{
    GUEST("nop");
    mode_user();
    v.next_rip = code_start;
    v.event_injection = EVENT(EVENT_EXCEPTION, BP);
    expect_exception(GP);
    EXPECT_EQ("error code", v.exit_info_1, BP * 8 + 2);
}

TEST("15.20/other-exceptions-do-not-check-the-gate-dpl")
{
    GUEST("nop");
    mode_user();
    v.event_injection = EVENT(EVENT_EXCEPTION, UD);
    expect_vector(UD);
}

TEST("15.20/without-ev-no-error-code-is-pushed")
{
    GUEST("nop");
    v.event_injection = EVENT(EVENT_EXCEPTION, GP) | 0x77ull << 32;
    expect_vector(GP);
    EXPECT_EQ("RSP", v.rsp, STACK_TOP - 40);
}

TEST("15.20/exception-is-not-intercepted")
{
    GUEST("nop");
    EXPECT("#UD is intercepted", v.intercept_exceptions & BIT(UD));
    v.event_injection = EVENT(EVENT_EXCEPTION, UD);
    expect_vector(UD);
}

TEST("15.20/page-fault-does-not-write-cr2")
{
    GUEST("nop");
    v.cr2 = 0x1234;
    v.event_injection = EVENT_WITH_ERROR(PF, 2);
    expect_vector(PF);
    EXPECT_EQ("CR2 is what the VMM put there", v.cr2, 0x1234);
}

TEST("15.20/exception-from-cpl-3-switches-the-stack")
{
    GUEST("nop");
    mode_user();
    v.event_injection = EVENT(EVENT_EXCEPTION, UD);
    expect_vector(UD);
    EXPECT_EQ("RSP", v.rsp, STACK_TOP - 40);
    EXPECT_EQ("the pushed CS", guest_pushed(1), GUEST_USER_CODE);
    EXPECT_EQ("the pushed SS", guest_pushed(4), GUEST_USER_DATA);
    EXPECT_EQ("CPL in the handler", v.cpl, 0);
}

/* --- interrupts, NMIs, software interrupts -------------------------------------------------------------------------------------- */
#define INTERRUPT(n)                                                         \
    TEST("15.20/injects-interrupt-" #n)                                      \
    {                                                                        \
        GUEST("nop");                                                        \
        v.event_injection = EVENT(EVENT_INTERRUPT, n);                       \
        expect_vector(n);                                                    \
        EXPECT_EQ("the pushed RIP", guest_pushed(0), code_start);            \
        EXPECT_EQ("RSP behind a frame", v.rsp, STACK_TOP - 40);              \
    }
INTERRUPT(0)
INTERRUPT(13)
INTERRUPT(32)
INTERRUPT(128)
INTERRUPT(255)

TEST("15.20/interrupt-ignores-if")
{
    GUEST("nop");
    EXPECT_EQ("IF", v.rflags & FLAG_IF, 0);
    v.event_injection = EVENT(EVENT_INTERRUPT, 0x40);
    expect_vector(0x40);
}

TEST("15.20/interrupt-ignores-the-shadow")
{
    GUEST("nop");
    v.interrupt_shadow = 1;
    v.event_injection = EVENT(EVENT_INTERRUPT, 0x40);
    expect_vector(0x40);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), code_start);
    EXPECT_EQ("the shadow is over", v.interrupt_shadow & 1, 0);
}

TEST("15.20/interrupt-ignores-v-tpr")
{
    GUEST("nop");
    v.virtual_interrupt |= 15;
    v.event_injection = EVENT(EVENT_INTERRUPT, 0x40);
    expect_vector(0x40);
}

TEST("15.20/interrupt-clears-if-through-an-interrupt-gate")
{
    GUEST("nop");
    v.rflags |= FLAG_IF;
    v.event_injection = EVENT(EVENT_INTERRUPT, 0x40);
    expect_vector(0x40);
    EXPECT_EQ("IF in the handler", v.rflags & FLAG_IF, 0);
    EXPECT_EQ("IF that was pushed", guest_pushed(2) & FLAG_IF, FLAG_IF);
}

TEST("15.20/interrupt-keeps-if-through-a-trap-gate")
{
    GUEST("nop");
    guest_gate(0x40, (u64)guest_stubs + 0x40 * 16, 0xf, 0, 0, true);
    v.rflags |= FLAG_IF;
    v.event_injection = EVENT(EVENT_INTERRUPT, 0x40);
    expect_vector(0x40);
    EXPECT_EQ("IF in the handler", v.rflags & FLAG_IF, FLAG_IF);
}

TEST("15.20/interrupt-does-not-check-the-gate-dpl")
{
    GUEST("nop");
    mode_user();
    v.event_injection = EVENT(EVENT_INTERRUPT, 0x40);
    expect_vector(0x40);
}

TEST("15.20/interrupt-is-no-virtual-interrupt")
{
    GUEST("nop");
    v.intercept_1 |= BIT(I1_VINTR);
    v.event_injection = EVENT(EVENT_INTERRUPT, 0x40);
    expect_vector(0x40);
}

TEST("15.20/interrupt-uses-the-ist")
{
    GUEST("nop");
    guest_gate(0x40, (u64)guest_stubs + 0x40 * 16, 0xe, 0, 3, true);
    *(u64 *)(guest_tss + 36 + 16) = (u64)page[3];
    v.event_injection = EVENT(EVENT_INTERRUPT, 0x40);
    expect_vector(0x40);
    EXPECT_EQ("RSP", v.rsp, (u64)page[3] - 40);
}

/* --- INT n in virtual-8086 mode: "in every way as though they had occurred normally" ------------------------------------------ */
#define VECTOR 0x80
#define CR4_VME BIT(0)
#define FLAG_VIF BIT(19)
#define OWN_HANDLER (REAL_IVT + 0x2000)
/* A redirection bitmap of zeros below the permission map, and the 8086 program's own handler. */
static void vme(void)
{
    volatile u64 vector_table = 4 * VECTOR;
    *(u32 *)vector_table = OWN_HANDLER >> 4 << 16;
    memcpy((void *)(u64)OWN_HANDLER, "\x0f\x01\xd9", 3); /* vmmcall */
    *(u16 *)(guest_tss32[0] + 102) = 104 + 32;
    v.tr.limit = sizeof guest_tss32[0] - 1;
    memset(guest_tss32[0] + 104, 0, 32);
    v.cr4 |= CR4_VME;
}
#define VIRTUAL_8086_INT(name, change)                        \
    TEST("15.20/int-n-in-virtual-8086-mode-" name)            \
    {                                                         \
        REQUIRE_SVM(HAS_NRIPS, "nRIP");                       \
        GUEST3(".code16", "ud2", "");                         \
        mode_virtual_8086();                                  \
        guest_gate32(VECTOR, 0x1000, 0xe, 3, false);          \
        v.next_rip = 0x1234;                                  \
        v.event_injection = EVENT(EVENT_SOFTWARE, VECTOR);    \
        change;
#define THROUGH_THE_IDT()                                                     \
    expect_exception(NP); /* its gate is not present */                       \
    EXPECT_EQ("error code", v.exit_info_1, VECTOR * 8 + 2);                   \
    EXPECT_EQ("EXITINTINFO", v.exit_interrupt_info & 0xffffffff, EVENT(EVENT_SOFTWARE, VECTOR));
#define REFUSED_BY_IOPL()                                                     \
    expect_exception(GP);                                                     \
    EXPECT_EQ("error code", v.exit_info_1, 0);                                \
    EXPECT_EQ("EXITINTINFO", v.exit_interrupt_info & 0xffffffff, EVENT(EVENT_SOFTWARE, VECTOR));
VIRTUAL_8086_INT("goes-through-the-idt", (void)0)
    THROUGH_THE_IDT()
}
VIRTUAL_8086_INT("needs-iopl-3", v.rflags &= ~FLAG_IOPL3)
    REFUSED_BY_IOPL()
}
VIRTUAL_8086_INT("is-redirected-by-vme", (vme(), v.rflags = (v.rflags & ~FLAG_IOPL3) | FLAG_VIF))
    expect_exit(EXIT_VMMCALL);
    EXPECT_EQ("CS:IP", v.cs.base + v.rip, OWN_HANDLER);
    EXPECT_EQ("SP", v.rsp, REAL_STACK - REAL_IVT - 6);
    u16 *frame = (u16 *)(u64)(REAL_STACK - 6);
    EXPECT_EQ("IP that was pushed", frame[0], 0x1234);
    EXPECT_EQ("CS that was pushed", frame[1], code_start >> 4 & 0xffff);
    EXPECT_EQ("IF and IOPL that were pushed", frame[2] & (FLAG_IF | FLAG_IOPL3), FLAG_IF | FLAG_IOPL3);
    EXPECT_EQ("VM alone", v.rflags & (FLAG_VM | FLAG_VIF | FLAG_IF), FLAG_VM);
}
VIRTUAL_8086_INT("is-redirected-by-vme-at-iopl-3", (vme(), v.rflags |= FLAG_IF))
    expect_exit(EXIT_VMMCALL);
    EXPECT_EQ("CS:IP", v.cs.base + v.rip, OWN_HANDLER);
    EXPECT_EQ("IF", v.rflags & FLAG_IF, 0);
}
VIRTUAL_8086_INT("is-left-to-the-idt-by-vme", (vme(), guest_tss32[0][104 + VECTOR / 8] = 1))
    THROUGH_THE_IDT()
}
VIRTUAL_8086_INT("is-refused-by-vme-and-iopl", (vme(), guest_tss32[0][104 + VECTOR / 8] = 1, v.rflags &= ~FLAG_IOPL3))
    REFUSED_BY_IOPL()
}
TEST("15.20/interrupt-in-virtual-8086-mode-is-not-redirected")
{
    GUEST3(".code16", "ud2", "");
    mode_virtual_8086();
    guest_gate32(VECTOR, 0x1000, 0xe, 0, false);
    vme();
    v.rflags &= ~FLAG_IOPL3;
    v.event_injection = EVENT(EVENT_INTERRUPT, VECTOR);
    expect_exception(NP);
    EXPECT_EQ("error code", v.exit_info_1, VECTOR * 8 + 3); /* EXT */
}

TEST("15.20/nmi")
{
    GUEST("nop");
    v.event_injection = EVENT(EVENT_NMI, 2);
    expect_vector(NMI);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), code_start);
}

TEST("15.20/nmi-ignores-the-vector-field")
{
    GUEST("nop");
    v.event_injection = EVENT(EVENT_NMI, 0x77);
    expect_vector(NMI);
}

TEST("15.20/nmi-is-not-intercepted")
{
    GUEST("nop");
    v.intercept_1 |= BIT(I1_NMI);
    v.event_injection = EVENT(EVENT_NMI, 2);
    expect_vector(NMI);
}

TEST("15.20/nmi-does-not-block-further-ones")
{
    GUEST("nop");
    v.intercept_1 |= BIT(I1_NMI);
    v.event_injection = EVENT(EVENT_NMI, 2);
    clgi();
    self_nmi();
    expect_exit(EXIT_NMI);
    EXPECT_EQ("RIP, in the handler", v.rip, (u64)guest_stubs + 2 * 16);
    EXPECT_EQ("EXITINTINFO.V", v.exit_interrupt_info & EVENT_VALID, 0);
}

TEST("15.20/software-interrupt-pushes-nrip")
{
    REQUIRE_SVM(HAS_NRIPS, "nRIP");
    GUEST3("nop", "nop", "");
    v.next_rip = insn_at;
    v.event_injection = EVENT(EVENT_SOFTWARE, 0x60);
    expect_vector(0x60);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), insn_at);
}

/* An INT n that completes clears RF, whatever it was (§3.1.6). */
TEST("15.20/software-interrupt-pushes-rf-clear")
{
    REQUIRE_SVM(HAS_NRIPS, "nRIP");
    GUEST3("nop", "nop", "");
    v.rflags |= FLAG_RF;
    v.next_rip = insn_at;
    v.event_injection = EVENT(EVENT_SOFTWARE, 0x60);
    expect_vector(0x60);
    EXPECT_EQ("RF that was pushed", guest_pushed(2) & FLAG_RF, 0);
}

TEST("15.20/fault-pushes-rf-set")
{
    GUEST("nop");
    v.event_injection = EVENT(EVENT_EXCEPTION, UD);
    expect_vector(UD);
    EXPECT_EQ("RF that was pushed", guest_pushed(2) & FLAG_RF, FLAG_RF);
}

TEST("15.20/software-interrupt-checks-the-gate-dpl")
{
    GUEST("nop");
    mode_user();
    v.next_rip = code_start;
    v.event_injection = EVENT(EVENT_SOFTWARE, 0x60);
    expect_exception(GP);
    EXPECT_EQ("error code", v.exit_info_1, 0x60 * 8 + 2);
}

TEST("15.20/software-interrupt-is-not-intercepted")
{
    GUEST("nop");
    v.intercept_1 |= BIT(I1_INTN);
    v.next_rip = code_start;
    v.event_injection = EVENT(EVENT_SOFTWARE, 0x60);
    expect_vector(0x60);
}

/* --- other modes ----------------------------------------------------------------------------------------------------------------- */
TEST("15.20/exception-in-protected-mode-pushes-doublewords")
{
    GUEST3(".code32", "nop", "");
    mode_protected();
    v.event_injection = EVENT_WITH_ERROR(GP, 0x4444);
    expect_vector(GP);
    EXPECT_EQ("ESP", v.rsp, STACK_TOP - 16);
    EXPECT_EQ("the pushed error code", ((u32 *)v.rsp)[0], 0x4444);
    EXPECT_EQ("the pushed EIP", ((u32 *)v.rsp)[1], code_start);
}

TEST("15.20/interrupt-in-real-mode")
{
    GUEST3(".code16", "nop", "");
    mode_real();
    v.event_injection = EVENT(EVENT_INTERRUPT, 0x21);
    expect_exit(EXIT_VMMCALL);
    EXPECT_EQ("the handler's vector", r.rdx, 0x21);
    EXPECT_EQ("SP", v.rsp & 0xffff, REAL_STACK - REAL_IVT - 6);
}

TEST("15.20/exception-in-compatibility-mode")
{
    GUEST3(".code32", "nop", "");
    mode_compatibility();
    v.event_injection = EVENT(EVENT_EXCEPTION, UD);
    expect_vector(UD);
    EXPECT_EQ("the pushed CS", guest_pushed(1), GUEST_CODE32);
}

/* --- what goes wrong while the event is delivered --------------------------------------------------------------------------------- */
TEST("15.20/secondary-exception-is-intercepted")
{
    GUEST("nop");
    guest_gate(0x40, 0, 0xe, 0, 0, false);
    v.event_injection = EVENT(EVENT_INTERRUPT, 0x40);
    expect_exception(NP);
    EXPECT_EQ("EXITINFO1, the error code", v.exit_info_1, 0x40 * 8 + 2 + 1);
    EXPECT_EQ("EXITINTINFO", v.exit_interrupt_info & 0xffffffff, EVENT(EVENT_INTERRUPT, 0x40));
}

TEST("15.20/contributory-exception-and-another-make-a-double-fault")
{
    GUEST("nop");
    guest_gate(GP, 0, 0xe, 0, 0, false);
    v.intercept_exceptions = BIT(DF);
    v.event_injection = EVENT_WITH_ERROR(GP, 0);
    expect_exception(DF);
}

TEST("15.28/sx-is-a-contributory-fault")
{
    GUEST("nop");
    guest_gate(SX, 0, 0xe, 0, 0, false);
    v.intercept_exceptions = BIT(DF);
    v.event_injection = EVENT_WITH_ERROR(SX, 1);
    expect_exception(DF);
}

TEST("15.20/double-fault-that-fails-is-a-shutdown")
{
    GUEST("nop");
    guest_gate(DF, 0, 0xe, 0, 0, false);
    v.intercept_exceptions = 0;
    v.event_injection = EVENT_WITH_ERROR(DF, 0);
    expect_exit(EXIT_SHUTDOWN);
}

TEST("15.20/nothing-is-injected-without-v")
{
    GUEST("nop");
    v.event_injection = EVENT(EVENT_INTERRUPT, 0x40) & ~EVENT_VALID;
    expect_done();
}

TEST("15.20/event-comes-before-a-virtual-interrupt")
{
    GUEST("nop");
    v.rflags |= FLAG_IF;
    v.virtual_interrupt |= V_IRQ | V_INTR_PRIORITY(15) | V_INTR_VECTOR(0x51);
    v.event_injection = EVENT(EVENT_EXCEPTION, UD);
    expect_vector(UD);
    EXPECT_EQ("V_IRQ waits", v.virtual_interrupt & V_IRQ, V_IRQ);
}

TEST("15.20/event-comes-before-a-single-step")
{
    GUEST("nop");
    v.rflags |= FLAG_TF;
    v.event_injection = EVENT(EVENT_EXCEPTION, UD);
    expect_vector(UD);
    EXPECT_EQ("TF that was pushed", guest_pushed(2) & FLAG_TF, FLAG_TF);
    EXPECT_EQ("TF in the handler", v.rflags & FLAG_TF, 0);
}
