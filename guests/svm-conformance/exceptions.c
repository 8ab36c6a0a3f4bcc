/* §15.12: exception intercepts, the state they report, and the exceptions of the guest that nobody intercepts. */
#include "frame.h"

/* In each row: intercepted, with the error code in EXITINFO1 and RIP as it would be pushed; then delivered to the guest. */
#define EXCEPTION(name, section, vector, has_error, error, mode, before, insn) EXCEPTION_IN(name, section, vector, has_error, error, 0, mode, before, insn)
/* The exception comes while INT n is being delivered: EXITINTINFO names that. */
#define EXCEPTION_IN(name, section, vector, has_error, error, during, mode, before, insn)   \
    TEST(section "/" name)                                                                  \
    {                                                                                       \
        GUEST3(before, insn, "");                                                           \
        mode;                                                                               \
        expect_exception(vector);                                                           \
        expect_at_insn();                                                                   \
        if (has_error)                                                                      \
            EXPECT_EQ("EXITINFO1, the error code", v.exit_info_1, error);                   \
        EXPECT_EQ("EXITINTINFO", v.exit_interrupt_info & EVENT_VALID ? v.exit_interrupt_info & 0xffffffff : 0, during); \
        EXPECT_EQ("the guest's handler", guest_vector, NO_VECTOR);                          \
    }                                                                                       \
    TEST(section "/" name "-not-intercepted")                                               \
    {                                                                                       \
        GUEST3(before, insn, "");                                                           \
        mode;                                                                               \
        deliver(vector);                                                                    \
        expect_vector(vector);                                                              \
        if (has_error)                                                                      \
            EXPECT_EQ("the pushed error code", guest_pushed(0), error);                     \
        EXPECT_EQ("the pushed RIP", guest_pushed(has_error), insn_at);                      \
        EXPECT_EQ("EXITINTINFO.V", v.exit_interrupt_info & EVENT_VALID, 0);                 \
    }
/* The same of a 32-bit guest, whose frames have four bytes a slot. */
#define EXCEPTION_32(name, section, vector, mode, before, insn, pushed)                     \
    TEST(section "/" name)                                                                  \
    {                                                                                       \
        GUEST3(".code32;" before, insn, "");                                                \
        mode;                                                                               \
        expect_exception(vector);                                                           \
        expect_at_insn();                                                                   \
    }                                                                                       \
    TEST(section "/" name "-not-intercepted")                                               \
    {                                                                                       \
        GUEST3(".code32;" before, insn, "");                                                \
        mode;                                                                               \
        deliver(vector);                                                                    \
        expect_vector(vector);                                                              \
        EXPECT_EQ("the pushed EIP", *(u32 *)v.rsp, (u32)(pushed));                          \
    }

EXCEPTION("divide-by-zero", "15.12.1", DE, 0, 0, (void)0, "xor %%ecx, %%ecx", "div %%ecx")
EXCEPTION("divide-overflow", "15.12.1", DE, 0, 0, (void)0, "mov $1, %%ecx; mov $2, %%edx", "div %%ecx")
EXCEPTION_32("overflow", "15.12.5", OF, mode_protected(), "mov $0x7fffffff, %%eax; add $1, %%eax", "into", insn_next)
EXCEPTION_32("bound-range", "15.12.6", BR, mode_protected(), "mov $5, %%eax; movl $1, page; movl $4, page+4", "bound %%eax, page", insn_at)
EXCEPTION("ud2", "15.12.7", UD, 0, 0, (void)0, "", "ud2")
EXCEPTION("undefined-in-64-bit-mode", "15.12.7", UD, 0, 0, (void)0, "", ".byte 0x06")
EXCEPTION("fpu-with-ts", "15.12.8", NM, 0, 0, v.cr0 |= CR0_TS, "", "fld1")
EXCEPTION("fpu-with-em", "15.12.8", NM, 0, 0, v.cr0 |= CR0_EM, "", "fld1")
EXCEPTION("sse-with-ts", "15.12.8", NM, 0, 0, v.cr0 |= CR0_TS, "", "movaps %%xmm0, %%xmm1")
EXCEPTION("segment-not-present", "15.12.12", NP, 1, GUEST_FREE, guest_gdt[GUEST_FREE / 8] = 0x00cf13000000ffff, "mov $0x60, %%eax", "mov %%eax, %%ds")
EXCEPTION_IN("gate-not-present", "15.12.12", NP, 1, 0x50 * 8 + 2, EVENT(EVENT_SOFTWARE, 0x50), guest_gate(0x50, 0, 0xe, 0, 0, false), "", "int $0x50")
EXCEPTION("stack-not-present", "15.12.13", SS, 1, GUEST_FREE, guest_gdt[GUEST_FREE / 8] = 0x00cf13000000ffff, "mov $0x60, %%eax", "mov %%eax, %%ss")
EXCEPTION("non-canonical-stack", "15.12.13", SS, 1, 0, (void)0, "movabs $0x800000000000, %%rbp", "mov (%%rbp), %%eax")
EXCEPTION("non-canonical-address", "15.12.14", GP, 1, 0, (void)0, "movabs $0x800000000000, %%rcx", "mov (%%rcx), %%eax")
EXCEPTION("selector-beyond-the-table", "15.12.14", GP, 1, 0xfff8, (void)0, "mov $0xfff8, %%eax", "mov %%eax, %%ds")
EXCEPTION_IN("interrupt-beyond-the-idt", "15.12.14", GP, 1, 0xf0 * 8 + 2, EVENT(EVENT_SOFTWARE, 0xf0), v.idtr.limit = 0xeff, "", "int $0xf0")
EXCEPTION_IN("gate-dpl", "15.12.14", GP, 1, 0x50 * 8 + 2, EVENT(EVENT_SOFTWARE, 0x50), mode_user(), "", "int $0x50")
EXCEPTION("alignment", "15.12.17", AC, 1, 0, (mode_user(), v.cr0 |= CR0_AM, v.rflags |= FLAG_AC), "", "mov page+1, %%eax")
EXCEPTION("sse-unaligned", "15.12.14", GP, 1, 0, (void)0, "", "movaps page+4, %%xmm0")

/* --- page faults: EXITINFO2 and CR2, the error code bit by bit ------------------------------------------------------------------ */
#define PAGE_FAULT(name, error, mode, before, insn)                             \
    TEST("15.12.15/" name)                                                      \
    {                                                                           \
        GUEST3(before, insn, "");                                               \
        mode;                                                                   \
        v.cr2 = 0x5555;                                                         \
        expect_exception(PF);                                                   \
        expect_at_insn();                                                       \
        EXPECT_EQ("EXITINFO1, the error code", v.exit_info_1, error);           \
        EXPECT_EQ("EXITINFO2, the address", v.exit_info_2, WINDOW + 8);         \
        EXPECT_EQ("CR2 is not written", v.cr2, 0x5555);                         \
    }                                                                           \
    TEST("15.12.15/" name "-not-intercepted")                                   \
    {                                                                           \
        GUEST3(before, insn, "");                                               \
        mode;                                                                   \
        deliver(PF);                                                            \
        expect_vector(PF);                                                      \
        EXPECT_EQ("the pushed error code", guest_pushed(0), error);             \
        EXPECT_EQ("CR2", v.cr2, WINDOW + 8);                                    \
    }
#define AT_WINDOW "movabs $0x100000008, %%rcx"
PAGE_FAULT("read-of-an-absent-page", 0, guest_window[0] = 0, AT_WINDOW, "mov (%%rcx), %%eax")
PAGE_FAULT("write-of-an-absent-page", 2, guest_window[0] = 0, AT_WINDOW, "mov %%eax, (%%rcx)")
PAGE_FAULT("user-read-of-an-absent-page", 4, (mode_user(), guest_window[0] = 0), AT_WINDOW, "mov (%%rcx), %%eax")
PAGE_FAULT("write-of-a-read-only-page", 3, guest_window[0] &= ~(u64)RW, AT_WINDOW, "mov %%eax, (%%rcx)")
PAGE_FAULT("user-read-of-a-supervisor-page", 5, (mode_user(), guest_window[0] &= ~(u64)US), AT_WINDOW, "mov (%%rcx), %%eax")
PAGE_FAULT("user-write-of-a-read-only-page", 7, (mode_user(), guest_window[0] &= ~(u64)RW), AT_WINDOW, "mov %%eax, (%%rcx)")
PAGE_FAULT("reserved-bit", 9, guest_window[0] |= BIT(51), AT_WINDOW, "mov (%%rcx), %%eax")

TEST("15.12.15/fetch-of-a-no-execute-page")
{
    GUEST3(AT_WINDOW, "jmp *%%rcx", "");
    guest_window[0] |= NX;
    expect_exception(PF);
    EXPECT_EQ("EXITINFO1, the error code", v.exit_info_1, 0x11);
    EXPECT_EQ("EXITINFO2, the address", v.exit_info_2, WINDOW + 8);
    EXPECT_EQ("RIP", v.rip, WINDOW + 8);
}

TEST("15.12.15/page-fault-leaves-a-and-d-clear")
{
    GUEST3(AT_WINDOW, "mov %%eax, (%%rcx)", "");
    guest_window[0] &= ~(u64)(RW | A | D);
    expect_exception(PF);
    EXPECT_EQ("D of the entry", guest_window[0] & D, 0);
}

/* --- §15.8.4: instruction bytes ------------------------------------------------------------------------------------------------- */
TEST("15.8.4/instruction-bytes-of-a-data-page-fault")
{
    REQUIRE_SVM(HAS_DECODE, "decode assists");
    GUEST3(AT_WINDOW, "mov (%%rcx), %%eax", "nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop");
    guest_window[0] = 0;
    expect_exception(PF);
    EXPECT_EQ("number of bytes", v.fetched, 15);
    EXPECT_EQ("the bytes differ", memcmp(v.instruction, (void *)insn_at, 15), 0);
}

TEST("15.8.4/instruction-bytes-end-at-an-absent-page")
{
    REQUIRE_SVM(HAS_DECODE, "decode assists");
    u8 *code = page[1] + 4096 - 5;
    memcpy(code, "\x8b\x01\x90\x90\x90", 5); /* MOV EAX, [RCX] */
    guest_window[0] = guest_window[2] = 0;
    r.rcx = WINDOW + 8;
    v.rip = WINDOW_PAGE(2) - 5;
    expect_exception(PF);
    EXPECT_EQ("number of bytes", v.fetched, 5);
    EXPECT_EQ("the bytes differ", memcmp(v.instruction, code, 5), 0);
}

TEST("15.8.4/instruction-bytes-end-at-the-cs-limit")
{
    REQUIRE_SVM(HAS_DECODE, "decode assists");
    GUEST3(".code32", "mov 0x4000000, %%eax", "nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop");
    mode_pae();
    guest_directories[0][32] = 0;
    v.cs.limit = (u32)insn_at + 7;
    expect_exception(PF);
    EXPECT_EQ("number of bytes", v.fetched, 8);
}

TEST("15.8.4/no-instruction-bytes-of-a-fetch-page-fault")
{
    REQUIRE_SVM(HAS_DECODE, "decode assists");
    GUEST3(AT_WINDOW, "jmp *%%rcx", "");
    guest_window[0] = 0;
    v.fetched = 7;
    expect_exception(PF);
    EXPECT_EQ("number of bytes", v.fetched, 0);
}

TEST("15.8.4/other-exits-clear-the-number-of-bytes")
{
    REQUIRE_SVM(HAS_DECODE, "decode assists");
    GUEST("nop");
    v.fetched = 7;
    expect_done();
    EXPECT_EQ("number of bytes", v.fetched, 0);
}

/* --- #DB ------------------------------------------------------------------------------------------------------------------------ */
static void breakpoint(u64 address) { __asm__ volatile("mov %0, %%dr0" ::"r"(address)); }

TEST("15.12.2/instruction-breakpoint-is-a-fault")
{
    GUEST3("nop", "nop", "");
    breakpoint(insn_at);
    v.dr7 = 0x402;
    expect_exception(DB);
    expect_at_insn();
    EXPECT_EQ("DR6", v.dr6, DR6_FIXED | 1);
}

TEST("15.12.2/data-breakpoint-is-a-trap")
{
    GUEST3("", "mov %%rax, page", "nop");
    breakpoint((u64)page);
    v.dr7 = 0x402 | 0xd0000;
    expect_exception(DB);
    EXPECT_EQ("RIP", v.rip, insn_next);
    EXPECT_EQ("DR6", v.dr6, DR6_FIXED | 1);
}

TEST("15.12.2/single-step-is-a-trap")
{
    GUEST3("", "nop", "nop");
    v.rflags |= FLAG_TF;
    expect_exception(DB);
    EXPECT_EQ("RIP", v.rip, insn_next);
    EXPECT_EQ("DR6", v.dr6, DR6_FIXED | BIT(14));
    EXPECT_EQ("TF in RFLAGS", v.rflags & FLAG_TF, FLAG_TF);
}

TEST("15.12.2/general-detect-is-a-fault-and-clears-gd")
{
    GUEST3("", "mov %%dr0, %%rbx", "");
    v.dr7 |= BIT(13);
    expect_exception(DB);
    expect_at_insn();
    EXPECT_EQ("DR6", v.dr6, DR6_FIXED | BIT(13));
    EXPECT_EQ("DR7.GD as a handler would see it", v.dr7 & BIT(13), 0);
}

TEST("15.12.2/instruction-breakpoint-not-intercepted")
{
    GUEST3("nop", "nop", "");
    breakpoint(insn_at);
    v.dr7 = 0x402;
    deliver(DB);
    expect_vector(DB);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), insn_at);
    EXPECT_EQ("DR6", v.dr6, DR6_FIXED | 1);
}

TEST("15.12.2/single-step-not-intercepted")
{
    GUEST3("", "nop", "nop");
    v.rflags |= FLAG_TF;
    deliver(DB);
    expect_vector(DB);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), insn_next);
    EXPECT_EQ("DR6", v.dr6, DR6_FIXED | BIT(14));
}

/* --- #BP, and what the exception intercepts do not see -------------------------------------------------------------------------- */
TEST("15.12.4/int3")
{
    GUEST3("", "int3", "nop");
    expect_exception(BP);
    expect_at_insn();
    expect_next_rip();
}

TEST("15.12.4/int3-not-intercepted")
{
    GUEST3("", "int3", "nop");
    deliver(BP);
    expect_vector(BP);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), insn_next);
}

TEST("15.12.4/int-3-by-cd-is-no-breakpoint-intercept")
{
    GUEST(".byte 0xcd, 3");
    expect_vector(BP);
}

TEST("15.12.5/into-nrip")
{
    GUEST3(".code32; mov $0x7fffffff, %%eax; add $1, %%eax", "into", "");
    mode_protected();
    expect_exception(OF);
    expect_next_rip();
}

TEST("15.12.6/bound-nrip")
{
    GUEST3(".code32; mov $5, %%eax; movl $1, page; movl $4, page+4", "bound %%eax, page", "");
    mode_protected();
    expect_exception(BR);
    expect_next_rip();
}

#define INT_N_PASSES(n)                                                   \
    TEST("15.12/int-" #n "-is-not-the-exception")                         \
    {                                                                     \
        GUEST(".byte 0xcd, " #n);                                         \
        expect_vector(n);                                                 \
        EXPECT_EQ("the pushed RIP", guest_pushed(0), insn_next);          \
    }
INT_N_PASSES(0)
INT_N_PASSES(6)
INT_N_PASSES(13)
INT_N_PASSES(14)

#define INTERRUPT_PASSES(n)                                                    \
    TEST("15.12/interrupt-with-vector-" #n "-is-not-the-exception")            \
    {                                                                          \
        GUEST("nop; nop");                                                     \
        v.rflags |= FLAG_IF;                                                   \
        v.virtual_interrupt |= V_IRQ | V_INTR_PRIORITY(15) | V_INTR_VECTOR(n); \
        expect_vector(n);                                                      \
    }
INTERRUPT_PASSES(6)
INTERRUPT_PASSES(14)

TEST("15.12.2/icebp-writes-no-dr6-bits-of-steps")
{
    GUEST(".byte 0xf1");
    expect_vector(DB);
    EXPECT_EQ("DR6", v.dr6, DR6_FIXED);
}

/* --- #MF, #XF: the status is written first -------------------------------------------------------------------------------------- */
TEST("15.12.16/x87-error")
{
    u16 status;
    GUEST3("fninit; movw $0x37b, page; fldcw page; fld1; fldz; fdivrp", "fwait", ""); /* #Z is not masked */
    expect_exception(MF);
    expect_at_insn();
    __asm__ volatile("fnstsw %0; fninit" : "=a"(status));
    EXPECT_EQ("FSW.ZE and ES", status & 0x84, 0x84);
}

TEST("15.12.16/x87-error-not-intercepted")
{
    GUEST3("fninit; movw $0x37b, page; fldcw page; fld1; fldz; fdivrp", "fwait", "");
    deliver(MF);
    expect_vector(MF);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), insn_at);
    __asm__ volatile("fninit");
}

TEST("15.12.19/simd-error")
{
    u32 mxcsr;
    GUEST3("movl $0x1d80, page; ldmxcsr page; xorps %%xmm0, %%xmm0; mov $0x3f800000, %%eax; movd %%eax, %%xmm1", "divss %%xmm0, %%xmm1", "");
    expect_exception(XM);
    expect_at_insn();
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    EXPECT_EQ("MXCSR.ZE", mxcsr & 4, 4);
}

TEST("15.12.19/simd-error-not-intercepted")
{
    GUEST3("movl $0x1d80, page; ldmxcsr page; xorps %%xmm0, %%xmm0; mov $0x3f800000, %%eax; movd %%eax, %%xmm1", "divss %%xmm0, %%xmm1", "");
    deliver(XM);
    expect_vector(XM);
}

/* --- #TS, #DF: intercepts are checked before exceptions combine ----------------------------------------------------------------- */
TEST("15.12.11/invalid-tss")
{
    GUEST3(".code32; pushfl; orl $0x4000, (%%esp); popfl", "iretl", "");
    mode_protected();
    *(u16 *)guest_tss32[0] = 0x0c; /* a back link into the LDT */
    expect_exception(TS);
    EXPECT_EQ("EXITINFO1, the error code", v.exit_info_1, 0x0c);
}

TEST("15.12.11/invalid-stack-in-the-tss")
{
    GUEST("int $0x50");
    mode_user();
    guest_gate(0x50, (u64)guest_stubs + 0x50 * 16, 0xe, 3, 0, true);
    *(u64 *)(guest_tss + 4) = 0x800000000000ull; /* RSP0 */
    run();
    EXPECT("#SS is reported", v.exit_code == EXIT_EXCEPTION + SS);
}

TEST("15.12.9/double-fault")
{
    GUEST("ud2");
    v.intercept_exceptions = BIT(DF);
    guest_gate(UD, 0, 0xe, 0, 0, false); /* #UD is benign: #NP follows it */
    guest_gate(NP, 0, 0xe, 0, 0, false); /* but #NP upon #NP is a double fault */
    expect_exception(DF);
}

TEST("15.12.9/double-fault-not-intercepted")
{
    GUEST3("xor %%ecx, %%ecx", "div %%ecx", "");
    v.intercept_exceptions = 0;
    guest_gate(DE, 0, 0xe, 0, 0, false);
    expect_vector(DF);
    EXPECT_EQ("the pushed error code", guest_pushed(0), 0);
}

TEST("15.12/second-exception-is-checked-before-the-double-fault")
{
    GUEST3("xor %%ecx, %%ecx", "div %%ecx", "");
    v.intercept_exceptions = BIT(NP) | BIT(DF);
    guest_gate(DE, 0, 0xe, 0, 0, false);
    expect_exception(NP);
    EXPECT_EQ("EXITINFO1, the error code", v.exit_info_1, 0 * 8 + 2);
    EXPECT_EQ("EXITINTINFO", v.exit_interrupt_info & 0xffffffff, EVENT(EVENT_EXCEPTION, DE));
}

TEST("15.12/double-fault-intercept-when-the-second-is-not-intercepted")
{
    GUEST3("xor %%ecx, %%ecx", "div %%ecx", "");
    v.intercept_exceptions = BIT(DF);
    guest_gate(DE, 0, 0xe, 0, 0, false);
    expect_exception(DF);
}

TEST("15.12/benign-then-contributory-gives-the-second")
{
    GUEST("ud2");
    v.intercept_exceptions = BIT(DF);
    guest_gate(UD, 0, 0xe, 0, 0, false);
    expect_vector(NP);
    EXPECT_EQ("the pushed error code", guest_pushed(0), UD * 8 + 2);
}

/* §8.4.1: an interrupt is external, an exception is not. */
TEST("15.12/error-code-tells-an-external-source")
{
    GUEST("nop");
    v.intercept_exceptions = BIT(NP);
    guest_gate(0x51, 0, 0xe, 0, 0, false);
    v.event_injection = EVENT(EVENT_INTERRUPT, 0x51);
    expect_exception(NP);
    EXPECT_EQ("EXITINFO1, the error code", v.exit_info_1, 0x51 * 8 + 2 + 1);
}

TEST("15.12.9/double-fault-wrote-cr2-before")
{
    GUEST("mov 0xffffffff80000000, %%eax");
    v.intercept_exceptions = BIT(DF);
    guest_gate(PF, 0, 0xe, 0, 0, false);
    expect_exception(DF);
    EXPECT_EQ("CR2", v.cr2, 0xffffffff80000000);
}
