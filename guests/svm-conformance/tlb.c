/* §15.15: VMCB clean bits; §15.16: TLB control, address space identifiers, INVLPGA. */
#include "frame.h"

/* --- §15.15: a field whose bit is clear is loaded, whatever the other bits say ------------------------------------------------------------ */
static void run_once_and_claim_clean(u32 but)
{
    v.tlb_control = 0;
    expect_done();
    v.rip = code_start;
    v.clean = 0x7fffffff & ~(u64)but;
}

#define RELOADED(name, bit, code, change, found, expected)              \
    TEST("15.15.1/clear-bit-" #bit "-reloads-" name)                    \
    {                                                                   \
        GUEST(code);                                                    \
        run_once_and_claim_clean((u32)BIT(bit));                        \
        change;                                                         \
        run();                                                          \
        EXPECT_EQ("what shows the new value", found, expected);         \
    }
RELOADED("intercepts", 0, "cpuid", v.intercept_1 |= BIT(I1_CPUID), v.exit_code, EXIT_CPUID)
RELOADED("exception-intercepts", 0, "nop; mov page, %%ecx; test %%ecx, %%ecx; jz 1f; ud2; 1:", (page[0][0] = 1, deliver(UD)), guest_vector, UD)
RELOADED("tsc-offset", 0, "rdtsc; mov %%edx, %%ebx", v.tsc_offset = BIT(60), r.rbx >> 28, 1)
RELOADED("asid", 2, "mov page, %%ebx", (v.asid = svm_asids - 1, v.tlb_control = 1), v.exit_code, EXIT_VMMCALL)
RELOADED("v-tpr", 3, "mov %%cr8, %%rbx", v.virtual_interrupt |= 9, r.rbx, 9)
RELOADED("v-irq", 3, "nop", (v.rflags |= FLAG_IF, v.virtual_interrupt |= V_IRQ | V_INTR_PRIORITY(15) | V_INTR_VECTOR(0x51)), guest_vector, 0x51)
RELOADED("cr0", 5, "mov %%cr0, %%rbx", v.cr0 |= CR0_AM, r.rbx & CR0_AM, CR0_AM)
RELOADED("cr3", 5, "mov %%cr3, %%rbx", v.cr3 |= PCD, r.rbx & PCD, PCD)
RELOADED("cr4", 5, "mov %%cr4, %%rbx", v.cr4 |= CR4_DE, r.rbx & CR4_DE, CR4_DE)
RELOADED("efer", 5, "mov $0xc0000080, %%ecx; rdmsr; mov %%rax, %%rbx", v.efer &= ~EFER_SCE, r.rbx & EFER_SCE, 0)
RELOADED("dr6", 6, "mov %%dr6, %%rbx", v.dr6 |= 5, r.rbx & 15, 5)
RELOADED("dr7", 6, "mov %%dr7, %%rbx", v.dr7 |= 0x300, r.rbx, 0x700)
RELOADED("gdtr", 7, "sgdt (%%rsp); mov 2(%%rsp), %%rbx", v.gdtr.base = 0x5000, r.rbx, 0x5000)
RELOADED("idtr", 7, "sidt (%%rsp); mov 2(%%rsp), %%rbx", v.idtr.base = 0x6000, r.rbx, 0x6000)
RELOADED("ds", 8, "xor %%ebx, %%ebx; mov %%ds, %%bx", v.ds.selector = 0x1230, r.rbx, 0x1230)
RELOADED("es", 8, "xor %%ebx, %%ebx; mov %%es, %%bx", v.es.selector = 0x1230, r.rbx, 0x1230)
RELOADED("ss", 8, "xor %%ebx, %%ebx; mov %%ss, %%bx", v.ss.selector = 0x1230, r.rbx, 0x1230)
RELOADED("cs", 8, "xor %%ebx, %%ebx; mov %%cs, %%bx", v.cs.selector = 0x1230, r.rbx, 0x1230)
RELOADED("cpl", 8, "nop; mov page, %%ecx; test %%ecx, %%ecx; jz 1f; hlt; 1:", (page[0][0] = 1, mode_user()), v.exit_code, EXIT_EXCEPTION + GP)
RELOADED("cr2", 9, "mov %%cr2, %%rbx", v.cr2 = 0x1234, r.rbx, 0x1234)

TEST("15.15.1/clear-bit-1-reloads-iopm-base")
{
    GUEST("mov $0x5e0, %%edx; in %%dx, %%al");
    v.intercept_1 |= BIT(I1_IOIO);
    run_once_and_claim_clean(BIT(1));
    memset(page[2], 0xff, 0x3000);
    v.iopm = (u64)page[2];
    expect_exit(EXIT_IOIO);
}

TEST("15.15.1/clear-bit-1-reloads-msrpm-base")
{
    GUEST("mov $0xc0000080, %%ecx; rdmsr");
    v.intercept_1 |= BIT(I1_MSR);
    run_once_and_claim_clean(BIT(1));
    memset(page[2], 0xff, 0x2000);
    v.msrpm = (u64)page[2];
    expect_exit(EXIT_MSR);
}

TEST("15.15.1/clear-bit-4-reloads-nested-cr3")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    GUEST("mov page, %%ebx");
    use_nested_paging();
    run_once_and_claim_clean(BIT(4));
    memcpy(page[1], nested_pml4, 4096);
    memset(nested_pml4, 0, 4096);
    v.nested_cr3 = (u64)page[1];
    v.tlb_control = 1;
    run();
    exits_with(EXIT_VMMCALL);
}

/* --- what is never cached -------------------------------------------------------------------------------------------------------------- */
#define NEVER_CACHED(name, code, change, found, expected)               \
    TEST("15.15.3/all-bits-set-still-loads-" name)                      \
    {                                                                   \
        GUEST(code);                                                    \
        run_once_and_claim_clean(0);                                    \
        change;                                                         \
        run();                                                          \
        EXPECT_EQ("what shows the new value", found, expected);         \
    }
NEVER_CACHED("rax", "mov %%rax, %%rbx", v.rax = 0x1234, r.rbx, 0x1234)
NEVER_CACHED("rsp", "mov %%rsp, %%rbx", v.rsp = STACK_TOP - 0x40, r.rbx, STACK_TOP - 0x40)
NEVER_CACHED("rflags", "pushfq; pop %%rbx", v.rflags |= FLAG_CF, r.rbx, 2 | FLAG_CF)
NEVER_CACHED("rip", "nop; nop", v.rip = code_end, v.rip, code_end)
NEVER_CACHED("event-injection", "nop", v.event_injection = EVENT(EVENT_INTERRUPT, 0x51), guest_vector, 0x51)
NEVER_CACHED("interrupt-shadow", "nop", (v.rip = code_end, v.interrupt_shadow = 1), v.interrupt_shadow & 1, 1)

TEST("15.15.2/another-page-is-not-cached")
{
    GUEST("mov %%cr2, %%rbx");
    run_once_and_claim_clean(0);
    w = v;
    w.cr2 = 0x4321;
    w.clean = 0x7fffffff;
    enter(&w, &r, &host);
    EXPECT_EQ("CR2 in the guest", r.rbx, 0x4321);
}

TEST("15.15.1/clean-bits-are-not-written")
{
    GUEST("nop");
    run_once_and_claim_clean(0);
    v.clean = 0x7fffffff;
    run();
    EXPECT_EQ("the clean field", v.clean, 0x7fffffff);
}

/* --- §15.16.1 -------------------------------------------------------------------------------------------------------------------------- */
/* The guest reads page 0 or 1 through the window's first page; `first` fills the TLB. */
static void mark_pages(void)
{
    *(u64 *)page[0] = 0x100;
    *(u64 *)page[1] = 0x101;
    *(u64 *)page[2] = 0x102;
}
static void first(void)
{
    mark_pages();
    GUEST3("", "mov 0x100000000, %%rax", "mov %%rax, %%rbx");
    expect_done();
    EXPECT_EQ("the first reading", r.rbx, 0x100);
    v.rip = code_start;
}
static void remap(unsigned n) { guest_window[0] = (guest_window[0] & 0xfff) | (u64)page[n]; }

#define FLUSHES(name, feature, control, flags)                         \
    TEST("15.16.1/" name)                                              \
    {                                                                  \
        REQUIRE(feature, "CPUID Fn8000_000A EDX does not offer FlushByAsid"); \
        guest_window[0] |= flags;                                      \
        first();                                                       \
        remap(1);                                                      \
        v.tlb_control = control;                                       \
        expect_done();                                                 \
        EXPECT_EQ("the reading behind the flush", r.rbx, 0x101);       \
        EXPECT_EQ("TLB_CONTROL is not written", v.tlb_control, control); \
    }
#define BY_ASID (svm_features & BIT(HAS_FLUSH_BY_ASID))
FLUSHES("flush-everything", true, 1, 0)
FLUSHES("flush-everything-global-pages-too", true, 1, G)
FLUSHES("flush-this-guest", BY_ASID, 3, 0)
FLUSHES("flush-this-guest-global-pages-too", BY_ASID, 3, G)
FLUSHES("flush-this-guest-non-global", BY_ASID, 7, 0)

TEST("15.16/asids-are-kept-apart")
{
    first();
    remap(1);
    v.asid = 2;
    expect_done(); /* the first run with TLB_CONTROL 1 flushed this one too, and it has not run since */
    EXPECT_EQ("the reading with the other ASID", r.rbx, 0x101);
}

TEST("15.16/guest-translations-do-not-reach-the-host")
{
    first(); /* the guest's TLB has an entry for the window, which the host does not map */
    TRY("mov (%0), %%rax", ::"r"(WINDOW) : "rax");
    expect_fault(PF, 0);
}

TEST("15.16.2/invlpga-by-the-host")
{
    first();
    remap(1);
    v.tlb_control = 0;
    invlpga(WINDOW, v.asid);
    expect_done();
    EXPECT_EQ("the reading behind INVLPGA", r.rbx, 0x101);
}

TEST("15.16.2/invlpga-of-a-global-page")
{
    guest_window[0] |= G;
    first();
    remap(1);
    v.tlb_control = 0;
    invlpga(WINDOW, v.asid);
    expect_done();
    EXPECT_EQ("the reading behind INVLPGA", r.rbx, 0x101);
}

TEST("15.16.2/invlpga-anywhere-in-the-page")
{
    first();
    remap(1);
    v.tlb_control = 0;
    invlpga(WINDOW + 0xfff, v.asid);
    expect_done();
    EXPECT_EQ("the reading behind INVLPGA", r.rbx, 0x101);
}

TEST("15.16.2/invlpga-with-address-size-32")
{
    mark_pages();
    guest_directories[0][32] = (u64)guest_window | A | US | RW | P; /* 64 MiB shows the window's pages too */
    GUEST3("", "mov 0x4000000, %%rax", "mov %%rax, %%rbx");
    expect_done();
    EXPECT_EQ("the first reading", r.rbx, 0x100);
    v.rip = code_start;
    remap(1);
    v.tlb_control = 0;
    __asm__ volatile("addr32 invlpga" ::"a"(0xabcd04000000ull), "c"(v.asid) : "memory");
    expect_done();
    EXPECT_EQ("the reading behind INVLPGA", r.rbx, 0x101);
}

/* The guest changes its entry itself, in memory that both see. */
#define GUEST_FLUSHES(name, flush, flags, prepare_it)                                                       \
    TEST("15.16.1/guest-" name)                                                                             \
    {                                                                                                       \
        guest_window[0] |= flags;                                                                           \
        mark_pages();                                                                                       \
        GUEST3("mov 0x100000000, %%rax; mov %%rcx, guest_window", flush, "mov 0x100000000, %%rax; mov %%rax, %%rbx"); \
        r.rcx = (guest_window[0] & 0xfff) | (u64)page[1];                                                   \
        r.rsi = WINDOW;                                                                                     \
        prepare_it;                                                                                         \
        expect_done();                                                                                      \
        EXPECT_EQ("the reading behind the flush", r.rbx, 0x101);                                            \
    }
GUEST_FLUSHES("invlpg", "invlpg (%%rsi)", 0, (void)0)
GUEST_FLUSHES("invlpg-of-a-global-page", "invlpg (%%rsi)", G, (void)0)
GUEST_FLUSHES("invlpga", "mov $0x100000000, %%rax; mov $1, %%ecx; invlpga", 0, (void)0)
GUEST_FLUSHES("mov-cr3", "mov %%cr3, %%rdx; mov %%rdx, %%cr3", 0, (void)0)
GUEST_FLUSHES("mov-cr4-pge", "mov %%cr4, %%rdx; xor $0x80, %%rdx; mov %%rdx, %%cr4", G, (void)0)
GUEST_FLUSHES("cr0-wp-and-cr3", "mov %%cr0, %%rdx; btc $16, %%rdx; mov %%rdx, %%cr0; mov %%cr3, %%rdx; mov %%rdx, %%cr3", 0, (void)0)

/* MTRRs, IORRs and other registers of the address map flush all ASIDs, though nothing of them changes. */
#define MSR_FLUSHES(name, msr)                                        \
    TEST("15.16.1/wrmsr-" name "-flushes-guests")                     \
    {                                                                 \
        u64 value;                                                    \
        REQUIRE(read_msr(msr, &value), "no such register");           \
        guest_window[0] |= G;                                         \
        first();                                                      \
        remap(1);                                                     \
        v.tlb_control = 0;                                            \
        REQUIRE(write_msr(msr, value), "the register is locked");     \
        expect_done();                                                \
        EXPECT_EQ("the reading behind WRMSR", r.rbx, 0x101);          \
    }
MSR_FLUSHES("mtrr-def-type", 0x2ff)
MSR_FLUSHES("variable-mtrr", 0x20e)
MSR_FLUSHES("fixed-mtrr", 0x268)
MSR_FLUSHES("iorr", 0xc0010016)
MSR_FLUSHES("top-mem", 0xc001001a)

TEST("15.16.1/nested-tables-flush-everything")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    use_nested_paging();
    guest_window[0] = WINDOW | D | A | US | RW | P;
    first();
    nested_window[0] = (nested_window[0] & 0xfff) | (u64)page[1];
    v.tlb_control = 1;
    expect_done();
    EXPECT_EQ("the reading behind the flush", r.rbx, 0x101);
}

TEST("15.16.1/nested-tables-flush-this-guest")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    REQUIRE_SVM(HAS_FLUSH_BY_ASID, "FlushByAsid");
    use_nested_paging();
    guest_window[0] = WINDOW | D | A | US | RW | P;
    first();
    nested_window[0] = (nested_window[0] & 0xfff) | (u64)page[1];
    v.tlb_control = 3;
    expect_done();
    EXPECT_EQ("the reading behind the flush", r.rbx, 0x101);
}

TEST("15.16.1/nested-tables-flush-this-guest-removes-permissions")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    REQUIRE_SVM(HAS_FLUSH_BY_ASID, "FlushByAsid");
    use_nested_paging();
    guest_window[0] = WINDOW | D | A | US | RW | P;
    first();
    nested_window[0] = 0;
    v.tlb_control = 3;
    expect_exit(EXIT_NPF);
    EXPECT_EQ("EXITINFO2", v.exit_info_2, WINDOW);
}
