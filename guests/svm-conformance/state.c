/* §15.5.1, §15.6: the guest's state is loaded and saved, the host's state comes back. */
#include "frame.h"

/* --- what VMRUN loads: the guest reads it into RBX ----------------------------------------------------------------------------- */
#define LOADED(name, change, read, mask, expected)   \
    TEST("15.5.1/loads-" name)                       \
    {                                                \
        GUEST3("", read, "");                        \
        change;                                      \
        expect_done();                               \
        EXPECT_EQ("what the guest sees", r.rbx & (mask), expected); \
    }
LOADED("rax", v.rax = 0x1122334455667788, "mov %%rax, %%rbx", ~0ull, 0x1122334455667788)
LOADED("rsp", v.rsp = STACK_TOP - 0x48, "mov %%rsp, %%rbx", ~0ull, STACK_TOP - 0x48)
LOADED("rip", (void)0, "lea 98b(%%rip), %%rbx", ~0ull, insn_at)
LOADED("rflags", v.rflags = 2 | FLAG_CF | FLAG_ZF | FLAG_OF | FLAG_IOPL3 | BIT(21), "pushfq; pop %%rbx", ~0ull, 2 | FLAG_CF | FLAG_ZF | FLAG_OF | FLAG_IOPL3 | BIT(21))
LOADED("cr0", v.cr0 |= CR0_TS | CR0_AM, "mov %%cr0, %%rbx", ~0ull, v.cr0)
LOADED("cr2", v.cr2 = 0xfedcba9876543210, "mov %%cr2, %%rbx", ~0ull, 0xfedcba9876543210)
LOADED("cr3", v.cr3 |= PCD, "mov %%cr3, %%rbx", ~0ull, (u64)guest_pml4 | PCD)
LOADED("cr4", v.cr4 |= CR4_DE | CR4_TSD | CR4_PCE, "mov %%cr4, %%rbx", ~0ull, v.cr4)
LOADED("efer", (void)0, "mov $0xc0000080, %%ecx; rdmsr; mov %%rax, %%rbx", EFER_SCE | EFER_LME | EFER_LMA | EFER_SVME, EFER_SCE | EFER_LME | EFER_LMA | EFER_SVME)
LOADED("dr6", v.dr6 = DR6_FIXED | 5 | BIT(14), "mov %%dr6, %%rbx", ~0ull, DR6_FIXED | 5 | BIT(14))
LOADED("dr7", v.dr7 = 0x400 | 0x300, "mov %%dr7, %%rbx", ~0ull, 0x700)
LOADED("cs-selector", v.cs.selector = 0x1230, "xor %%ebx, %%ebx; mov %%cs, %%bx", ~0ull, 0x1230)
LOADED("ss-selector", v.ss.selector = 0x1231, "xor %%ebx, %%ebx; mov %%ss, %%bx", ~0ull, 0x1231)
LOADED("ds-selector", v.ds.selector = 0x1232, "xor %%ebx, %%ebx; mov %%ds, %%bx", ~0ull, 0x1232)
LOADED("es-selector", v.es.selector = 0x1233, "xor %%ebx, %%ebx; mov %%es, %%bx", ~0ull, 0x1233)
LOADED("gdtr-base", v.gdtr.base = 0xffff800012345678, "sgdt (%%rsp); mov 2(%%rsp), %%rbx", ~0ull, 0xffff800012345678)
LOADED("gdtr-limit", v.gdtr.limit = 0x1234, "sgdt (%%rsp); movzwl (%%rsp), %%ebx", ~0ull, 0x1234)
LOADED("idtr-base", v.idtr.base = 0xffff800012345670, "sidt (%%rsp); mov 2(%%rsp), %%rbx", ~0ull, 0xffff800012345670)
LOADED("idtr-limit", v.idtr.limit = 0x4321, "sidt (%%rsp); movzwl (%%rsp), %%ebx", ~0ull, 0x4321)
LOADED("v-tpr", v.virtual_interrupt |= 9, "mov %%cr8, %%rbx", ~0ull, 9)

/* --- what #VMEXIT saves: the guest changes it ------------------------------------------------------------------------------------ */
#define SAVED(name, code, found, expected)           \
    TEST("15.6/saves-" name)                         \
    {                                                \
        GUEST3("", code, "");                        \
        expect_done();                               \
        EXPECT_EQ("what the VMCB has", found, expected); \
    }
SAVED("rax", "movabs $0x8877665544332211, %%rax", v.rax, 0x8877665544332211)
SAVED("rsp", "sub $0x58, %%rsp", v.rsp, STACK_TOP - 0x58)
SAVED("rflags", "stc", v.rflags, 2 | FLAG_CF)
SAVED("cr0", "mov %%cr0, %%rcx; or $8, %%rcx; mov %%rcx, %%cr0", v.cr0, CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_TS | CR0_MP | CR0_PE)
SAVED("cr2", "mov $0x12345, %%ecx; mov %%rcx, %%cr2", v.cr2, 0x12345)
SAVED("cr3", "mov %%cr3, %%rcx; or $16, %%rcx; mov %%rcx, %%cr3", v.cr3, (u64)guest_pml4 | PCD)
SAVED("cr4", "mov %%cr4, %%rcx; or $8, %%rcx; mov %%rcx, %%cr4", v.cr4, CR4_OSXMMEXCPT | CR4_OSFXSR | CR4_PGE | CR4_PAE | CR4_DE)
SAVED("efer", "mov $0xc0000080, %%ecx; rdmsr; and $~1, %%eax; wrmsr", v.efer & EFER_SCE, 0)
SAVED("dr6", "mov $0xffff4ff3, %%ecx; mov %%rcx, %%dr6", v.dr6, DR6_FIXED | BIT(14) | 3)
SAVED("dr7", "mov $0x500, %%ecx; mov %%rcx, %%dr7", v.dr7, 0x500)
SAVED("ds", "mov $0x1b, %%ecx; mov %%ecx, %%ds", (u64)v.ds.selector << 16 | v.ds.attributes, 0x1bull << 16 | 0xcf3)
SAVED("es-null", "xor %%ecx, %%ecx; mov %%ecx, %%es", (u64)v.es.selector << 16 | (v.es.attributes & 0x80), 0)
SAVED("ss", "mov $0x10, %%ecx; mov %%ecx, %%ss; nop", v.ss.selector, 0x10)
SAVED("cs", "pushq $0x38; lea 1f(%%rip), %%rcx; push %%rcx; lretq; .code32; 1:", (u64)v.cs.selector << 16 | v.cs.attributes, 0x38ull << 16 | 0xc9b)
SAVED("gdtr", "mov $0x77, %%ecx; mov %%cx, (%%rsp); mov $0x5000, %%ecx; mov %%rcx, 2(%%rsp); lgdt (%%rsp)", (u64)v.gdtr.limit << 32 | v.gdtr.base, 0x7700005000)
SAVED("idtr", "mov $0x99, %%ecx; mov %%cx, (%%rsp); mov $0x6000, %%ecx; mov %%rcx, 2(%%rsp); lidt (%%rsp)", (u64)v.idtr.limit << 32 | v.idtr.base, 0x9900006000)
SAVED("v-tpr", "mov $6, %%ecx; mov %%rcx, %%cr8", v.virtual_interrupt & V_TPR, 6)
SAVED("cs-limit", "nop", v.cs.limit, 0xffffffff)
SAVED("cpl", "nop", v.cpl, 0)
TEST("15.6/saves-g-pat")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    GUEST3("mov $0x277, %%ecx; mov $0x00070406, %%eax; mov $0x00070401, %%edx", "wrmsr", "");
    use_nested_paging();
    u64 before = rdmsr(MSR_PAT);
    expect_done();
    EXPECT_EQ("G_PAT", v.pat, 0x0007040100070406);
    EXPECT_EQ("the host's PAT", rdmsr(MSR_PAT), before);
}
TEST("15.6/saves-the-interrupt-shadow")
{
    GUEST3("sti", "vmmcall", "");
    run();
    exits_with(EXIT_VMMCALL);
    EXPECT_EQ("INTERRUPT_SHADOW", v.interrupt_shadow & 1, 1);
    EXPECT_EQ("IF", v.rflags & FLAG_IF, FLAG_IF);
}
TEST("15.6/saves-that-there-is-no-interrupt-shadow")
{
    GUEST3("sti; nop", "vmmcall", "");
    v.interrupt_shadow = 0;
    run();
    exits_with(EXIT_VMMCALL);
    EXPECT_EQ("INTERRUPT_SHADOW", v.interrupt_shadow & 1, 0);
}

/* --- what comes back in the host ---------------------------------------------------------------------------------------------- */
#define RESTORED(name, change_host, change_guest, code, read)    \
    TEST("15.6/host-" name "-comes-back")                         \
    {                                                            \
        GUEST3("", code, "");                                    \
        change_host;                                             \
        change_guest;                                            \
        u64 before = (u64)(read);                                \
        expect_done();                                           \
        u64 after = (u64)(read);                                 \
        EXPECT_EQ("the host's register", after, before);          \
    }
static u64 selector_ds(void) { u16 s; __asm__ volatile("mov %%ds, %0" : "=r"(s)); return s; }
static u64 selector_es(void) { u16 s; __asm__ volatile("mov %%es, %0" : "=r"(s)); return s; }
static u64 selector_ss(void) { u16 s; __asm__ volatile("mov %%ss, %0" : "=r"(s)); return s; }
static u64 selector_cs(void) { u16 s; __asm__ volatile("mov %%cs, %0" : "=r"(s)); return s; }
struct table_register { u16 limit; u64 base; } __attribute__((packed));
static u64 gdtr_sum(void) { struct table_register t; __asm__ volatile("sgdt %0" : "=m"(t)); return t.base ^ (u64)t.limit << 48; }
static u64 idtr_sum(void) { struct table_register t; __asm__ volatile("sidt %0" : "=m"(t)); return t.base ^ (u64)t.limit << 48; }

RESTORED("cr0", write_cr0(read_cr0() | CR0_AM), (void)0, "mov %%cr0, %%rcx; or $8, %%rcx; mov %%rcx, %%cr0", read_cr0())
RESTORED("cr3", write_cr3(read_cr3() | PCD), (void)0, "mov %%cr3, %%rcx; mov %%rcx, %%cr3", read_cr3())
RESTORED("cr4", write_cr4(read_cr4() | CR4_DE), v.cr4 |= CR4_TSD, "mov %%cr4, %%rcx; or $0x100, %%rcx; mov %%rcx, %%cr4", read_cr4())
RESTORED("efer", wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SCE), v.efer |= EFER_SCE, "nop", rdmsr(MSR_EFER))
RESTORED("gdtr", (void)0, v.gdtr.base = 0x5000, "nop", gdtr_sum())
RESTORED("idtr", (void)0, v.idtr.base = 0x5000, "nop", idtr_sum())
RESTORED("cs", (void)0, v.cs.selector = 0x120, "nop", selector_cs())
RESTORED("ss", (void)0, v.ss.selector = 0x120, "nop", selector_ss())
RESTORED("ds", __asm__ volatile("mov %0, %%ds" ::"r"(USER_DATA | 3)), v.ds.selector = 0x120, "nop", selector_ds())
RESTORED("es", __asm__ volatile("mov %0, %%es" ::"r"(USER_DATA | 3)), v.es.selector = 0x120, "nop", selector_es())
RESTORED("cr8", write_cr8(3), (void)0, "mov $9, %%ecx; mov %%rcx, %%cr8", read_cr8())

TEST("15.6/host-rax-comes-back")
{
    u64 rax = (u64)&v;
    GUEST3("", "mov $0x1234, %%eax", "");
    TRY("vmrun", : "+a"(rax)::"memory");
    EXPECT_EQ("RAX", rax, (u64)&v);
}

TEST("15.6/host-rsp-comes-back")
{
    u64 before, after;
    GUEST3("", "push %%rax", "");
    TRY("mov %%rsp, %0; vmrun; mov %%rsp, %1", : "=&b"(before), "=&c"(after) : "a"(&v) : "memory");
    EXPECT_EQ("RSP", after, before);
}

TEST("15.6/host-flags-come-back")
{
    u64 flags;
    GUEST("clc");
    TRY("clgi; pushfq; orl $0x40ad5, (%%rsp); popfq; vmrun; pushfq; pop %0; cld; cli", : "=&b"(flags) : "a"(&v) : "memory", "cc");
    EXPECT_EQ("RFLAGS", flags & 0x40ad5, 0x40ad5);
}

TEST("15.6/host-64-bit-mode-comes-back")
{
    GUEST3(".code32", "nop", "");
    mode_protected();
    expect_done();
    EXPECT_EQ("EFER.LMA", rdmsr(MSR_EFER) & EFER_LMA, EFER_LMA);
}

TEST("15.6/host-breakpoints-are-disabled")
{
    u64 dr7;
    GUEST("nop");
    __asm__ volatile("mov %0, %%dr3; mov %1, %%dr7" ::"r"(0x1000ull), "r"(0x4c0ull));
    expect_done();
    __asm__ volatile("mov %%dr7, %0" : "=r"(dr7));
    EXPECT_EQ("DR7", dr7, 0x400);
}

TEST("15.6/host-cpl-is-0-after-a-user-guest")
{
    GUEST("nop");
    mode_user();
    expect_done();
    EXPECT_EQ("the host's CS.RPL", selector_cs() & 3, 0);
    wrmsr(MSR_STAR, rdmsr(MSR_STAR)); /* faults at any other CPL */
}

TEST("15.6/exit-clears-gif")
{
    GUEST("nop");
    unsigned before = interrupts[0x50];
    TRY("vmrun", ::"a"(&v) : "memory");
    self_interrupt(0x50);
    take_interrupts();
    unsigned held = interrupts[0x50];
    stgi();
    take_interrupts();
    EXPECT_EQ("interrupts before STGI", held, before);
    EXPECT_EQ("interrupts after STGI", interrupts[0x50], before + 1);
}

TEST("15.6/exit-does-not-restore-ldtr")
{
    u16 selector;
    GUEST3("", "mov $0x60, %%ecx; lldt %%cx", "");
    guest_gdt[GUEST_FREE / 8] = 0x0000820000000000 | 0x1000 << 16 | 0x27;
    TRY("vmrun; sldt %0", : "=b"(selector) : "a"(&v) : "memory", "rcx");
    EXPECT_EQ("LDTR", selector, GUEST_FREE);
}

TEST("15.6/exit-does-not-restore-fs-base")
{
    u64 base;
    GUEST3("", "mov $0xc0000100, %%ecx; mov $0x1234, %%eax; xor %%edx, %%edx; wrmsr", "");
    TRY("vmrun", ::"a"(&v) : "memory", "rcx", "rdx");
    base = rdmsr(MSR_FS_BASE);
    EXPECT_EQ("FS.base", base, 0x1234);
}

TEST("15.6/exit-code-of-invalid-state-has-64-bits")
{
    GUEST("nop");
    v.asid = 0;
    run();
    EXPECT_EQ("EXITCODE", v.exit_code, ~0ull);
}

TEST("15.6/exit-clears-eventinj")
{
    GUEST("nop");
    v.event_injection = EVENT(EVENT_INTERRUPT, 0x40);
    expect_vector(0x40);
    EXPECT_EQ("EVENTINJ.V", v.event_injection & EVENT_VALID, 0);
}

TEST("15.6/exit-clears-v-irq-and-masking-inside")
{
    GUEST("nop");
    v.virtual_interrupt |= V_IRQ | V_INTR_PRIORITY(15) | V_INTR_VECTOR(0x52);
    run(); /* the guest's IF is clear: the interrupt stays */
    stgi();
    take_interrupts();
    EXPECT_EQ("interrupts in the host", interrupts[0x52], 0);
    EXPECT_EQ("V_IRQ in the VMCB", v.virtual_interrupt & V_IRQ, V_IRQ);
}

/* --- what VMRUN and #VMEXIT leave alone ------------------------------------------------------------------------------------------ */
TEST("15.5.1/xmm-registers-are-not-switched")
{
    GUEST3("movq %%xmm5, %%rbx", "mov $0x55, %%ecx; movq %%rcx, %%xmm6", "");
    u64 seen;
    __asm__ volatile("movq %0, %%xmm5" ::"r"(0x1122334455667788ull));
    expect_done();
    __asm__ volatile("movq %%xmm6, %0" : "=r"(seen));
    EXPECT_EQ("the host's XMM5 in the guest", r.rbx, 0x1122334455667788);
    EXPECT_EQ("the guest's XMM6 in the host", seen, 0x55);
}

TEST("15.5.1/dr0-to-dr3-are-not-switched")
{
    GUEST3("mov %%dr0, %%rbx; mov %%dr3, %%rsi", "mov $0x5000, %%ecx; mov %%rcx, %%dr1", "");
    u64 seen;
    __asm__ volatile("mov %0, %%dr0; mov %1, %%dr3" ::"r"(0x1230ull), "r"(0x4560ull));
    expect_done();
    __asm__ volatile("mov %%dr1, %0" : "=r"(seen));
    EXPECT_EQ("the host's DR0 in the guest", r.rbx, 0x1230);
    EXPECT_EQ("the host's DR3 in the guest", r.rsi, 0x4560);
    EXPECT_EQ("the guest's DR1 in the host", seen, 0x5000);
}

#define BASE_32(name, field)                                                        \
    TEST("15.5.1/" name "-base-has-32-bits")                                        \
    {                                                                               \
        GUEST3(".code32", "nop", "");                                               \
        mode_protected();                                                           \
        v.field.base |= 0x1234ull << 32; /* table B-2: the upper half is not there */ \
        expect_valid();                                                             \
        if (exits_with(EXIT_VMMCALL))                                               \
            EXPECT_EQ("the upper half of the base saved", v.field.base >> 32, 0);   \
    }
BASE_32("es", es)
BASE_32("cs", cs)
BASE_32("ss", ss)
BASE_32("ds", ds)

#define SEGMENT_SAVED(name, field)                                                  \
    TEST("15.6/saves-" name "-as-loaded")                                           \
    {                                                                               \
        GUEST3(".code32", "nop", "");                                               \
        mode_protected();                                                           \
        v.field = (struct segment){0x1238, 0xcf3, 0xfffeffff, 0x12340};             \
        if (&v.field == &v.ss)                                                      \
            v.field.attributes = 0xc93;                                             \
        struct segment loaded = v.field;                                            \
        run();                                                                      \
        exits_with(EXIT_VMMCALL);                                                   \
        EXPECT_EQ("selector", v.field.selector, loaded.selector);                   \
        EXPECT_EQ("attributes", v.field.attributes, loaded.attributes);             \
        EXPECT_EQ("limit", v.field.limit, loaded.limit);                            \
        EXPECT_EQ("base", v.field.base, loaded.base);                               \
    }
SEGMENT_SAVED("es", es)
SEGMENT_SAVED("ss", ss)
SEGMENT_SAVED("ds", ds)

TEST("15.6/exit-clears-no-guest-registers")
{
    GUEST("nop");
    u64 *all = (u64 *)&r;
    for (u64 i = 0; i < sizeof r / 8; i++)
        all[i] = 0x1000 + i;
    expect_done();
    for (u64 i = 0; i < sizeof r / 8; i++)
        EXPECT_EQ("a register that VMRUN leaves to software", all[i], 0x1000 + i);
}
