/* What CPUID Fn8000_000A EDX offers beyond the basis: §15.14.4, §15.14.5, §15.21.10, §15.23, §15.29, §15.30.5, §15.33, §15.37.1. */
#include "frame.h"

static void pend(unsigned vector, unsigned priority)
{
    v.virtual_interrupt |= V_IRQ | V_INTR_PRIORITY(priority) | V_INTR_VECTOR(vector);
}

/* --- §15.14.4: the pause filter ----------------------------------------------------------------------------------------------------- */
#define COUNT_PAUSES "1: inc %%ebx; pause; cmp $50, %%ebx; jb 1b"
TEST("15.14.4/count-0-exits-at-the-first-pause")
{
    GUEST(COUNT_PAUSES);
    v.intercept_1 |= BIT(I1_PAUSE);
    expect_exit(EXIT_PAUSE);
    EXPECT_EQ("PAUSEs", r.rbx, 1);
}

/* §15.9 exits below zero, §15.14.4 at zero: both are let pass. */
TEST("15.14.4/count-is-counted-down")
{
    REQUIRE_SVM(HAS_PAUSE_FILTER, "the pause filter");
    GUEST(COUNT_PAUSES);
    v.intercept_1 |= BIT(I1_PAUSE);
    v.pause_count = 10;
    expect_exit(EXIT_PAUSE);
    EXPECT("the exit comes at the 10th or 11th PAUSE", r.rbx == 10 || r.rbx == 11);
    EXPECT_EQ("the count in the VMCB", v.pause_count, 10);
}

TEST("15.14.4/vmrun-loads-the-count-again")
{
    REQUIRE_SVM(HAS_PAUSE_FILTER, "the pause filter");
    GUEST(COUNT_PAUSES);
    v.intercept_1 |= BIT(I1_PAUSE);
    v.pause_count = 10;
    expect_exit(EXIT_PAUSE);
    u64 at_first = r.rbx;
    v.rip = code_start;
    r.rbx = 0;
    expect_exit(EXIT_PAUSE);
    EXPECT_EQ("PAUSEs of the second run", r.rbx, at_first);
}

TEST("15.14.4/count-does-nothing-without-the-intercept")
{
    REQUIRE_SVM(HAS_PAUSE_FILTER, "the pause filter");
    GUEST(COUNT_PAUSES);
    v.pause_count = 3;
    expect_done();
}

TEST("15.14.4/threshold-reloads-the-count-after-a-gap")
{
    REQUIRE_SVM(HAS_PAUSE_FILTER, "the pause filter");
    REQUIRE_SVM(HAS_PAUSE_THRESHOLD, "the pause filter threshold");
    GUEST("1: mov $2000, %%ecx; 2: dec %%ecx; jnz 2b; inc %%ebx; pause; cmp $20, %%ebx; jb 1b");
    v.intercept_1 |= BIT(I1_PAUSE);
    v.pause_count = 3;
    v.pause_threshold = 20;
    expect_done();
}

TEST("15.14.4/threshold-counts-a-tight-loop")
{
    REQUIRE_SVM(HAS_PAUSE_FILTER, "the pause filter");
    REQUIRE_SVM(HAS_PAUSE_THRESHOLD, "the pause filter threshold");
    GUEST(COUNT_PAUSES);
    v.intercept_1 |= BIT(I1_PAUSE);
    v.pause_count = 10;
    v.pause_threshold = 0xffff;
    expect_exit(EXIT_PAUSE);
    EXPECT("the exit comes about the 10th PAUSE", r.rbx >= 10 && r.rbx <= 12);
}

/* --- §15.14.5, idle HLT ------------------------------------------------------------------------------------------------------------- */
TEST("15.14.5/bus-lock-at-count-0")
{
    REQUIRE_SVM(HAS_BUS_LOCK, "the bus lock threshold");
    GUEST3("", "lock incl page+62", "");
    v.intercept_3 |= BIT(5);
    VMCB_U16(0x120) = 0;
    expect_exit(EXIT_BUS_LOCK);
    expect_at_insn();
    EXPECT_EQ("EXITINFO1", v.exit_info_1, 0);
    EXPECT_EQ("EXITINFO2", v.exit_info_2, 0);
    EXPECT_EQ("what the guest would have written", *(u32 *)(page[0] + 62), 0);
}

TEST("15.14.5/bus-locks-are-counted-down")
{
    REQUIRE_SVM(HAS_BUS_LOCK, "the bus lock threshold");
    GUEST3("lock incl page+62; lock incl page+62", "lock incl page+62", "");
    v.intercept_3 |= BIT(5);
    VMCB_U16(0x120) = 2;
    expect_exit(EXIT_BUS_LOCK);
    expect_at_insn();
    EXPECT_EQ("the count in the VMCB", VMCB_U16(0x120), 0);
}

TEST("15.14.5/aligned-locks-are-no-bus-locks")
{
    REQUIRE_SVM(HAS_BUS_LOCK, "the bus lock threshold");
    GUEST("lock incl page");
    v.intercept_3 |= BIT(5);
    VMCB_U16(0x120) = 0;
    expect_done();
}

/* §15.25.8: what is not write-back by both tables' entries is locked by the bus. PAT entries 0 to 3 are WB, WT, UC-, UC after reset. */
static void lock_in_the_window(u64 guest_bits, u64 nested_bits)
{
    use_nested_paging();
    guest_window[0] = WINDOW | D | A | US | RW | P | guest_bits;
    nested_window[0] |= nested_bits;
    GUEST3("mov $0x100000000, %%rcx", "lock incl (%%rcx)", "");
    v.intercept_3 |= BIT(5);
    VMCB_U16(0x120) = 0;
}
#define TYPE_LOCKS(name, guest_bits, nested_bits)                                   \
    TEST("15.25.8/bus-lock-in-memory-" name)                                        \
    {                                                                               \
        REQUIRE_SVM(HAS_BUS_LOCK, "the bus lock threshold");                        \
        REQUIRE_SVM(HAS_NP, "nested paging");                                       \
        lock_in_the_window(guest_bits, nested_bits);                                \
        expect_exit(EXIT_BUS_LOCK);                                                 \
        EXPECT_EQ("what the guest would have written", *(u32 *)page[0], 0);         \
    }
TYPE_LOCKS("uncacheable-to-the-guest", PCD | PWT, 0)
TYPE_LOCKS("uncacheable-by-nested-tables", 0, PCD | PWT)
TYPE_LOCKS("write-through-to-the-guest", PWT, 0)
TYPE_LOCKS("write-through-by-nested-tables", 0, PWT)

TEST("15.25.8/no-bus-lock-in-memory-write-back-to-both")
{
    REQUIRE_SVM(HAS_BUS_LOCK, "the bus lock threshold");
    REQUIRE_SVM(HAS_NP, "nested paging");
    lock_in_the_window(0, 0);
    expect_done();
    EXPECT_EQ("what the guest wrote", *(u32 *)page[0], 1);
}

TEST("15.25.8/g-pat-gives-the-index-of-the-guest-its-type")
{
    REQUIRE_SVM(HAS_BUS_LOCK, "the bus lock threshold");
    REQUIRE_SVM(HAS_NP, "nested paging");
    lock_in_the_window(PCD | PWT, 0);
    v.pat = 0x0606060606060606;
    expect_done();
}

TEST("15.25.8/cr0-cd-of-the-host-disables-caching-in-guests")
{
    REQUIRE_SVM(HAS_BUS_LOCK, "the bus lock threshold");
    REQUIRE_SVM(HAS_NP, "nested paging");
    lock_in_the_window(0, 0);
    u64 cr0;
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %0, %%cr0; wbinvd" ::"r"(cr0 | CR0_CD) : "memory");
    run();
    __asm__ volatile("mov %0, %%cr0" ::"r"(cr0) : "memory");
    exits_with(EXIT_BUS_LOCK);
}

TEST("15.9/idle-hlt-without-a-virtual-interrupt")
{
    REQUIRE_SVM(HAS_IDLE_HLT, "the idle HLT intercept");
    GUEST("hlt");
    v.intercept_3 |= BIT(6);
    expect_exit(EXIT_IDLE_HLT);
    expect_at_insn();
    expect_next_rip();
}

TEST("15.9/idle-hlt-with-a-virtual-interrupt")
{
    REQUIRE_SVM(HAS_IDLE_HLT, "the idle HLT intercept");
    GUEST3("sti", "hlt", "");
    v.intercept_3 |= BIT(6);
    pend(0x51, 15);
    expect_vector(0x51);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), insn_next);
}

TEST("15.9/idle-hlt-behind-hlt")
{
    REQUIRE_SVM(HAS_IDLE_HLT, "the idle HLT intercept");
    GUEST("hlt");
    v.intercept_1 |= BIT(I1_HLT);
    v.intercept_3 |= BIT(6);
    expect_exit(EXIT_HLT);
}

/* --- §15.21.10: NMI virtualization ---------------------------------------------------------------------------------------------------- */
#define WITH_VNMI(name, code, more)                                 \
    TEST("15.21.10/" name)                                          \
    {                                                               \
        REQUIRE_SVM(HAS_VNMI, "NMI virtualization");                \
        GUEST3("", code, "nop; nop");                               \
        v.intercept_1 |= BIT(I1_NMI);                               \
        v.virtual_interrupt |= V_NMI_ENABLE;                        \
        more;                                                       \
    }
WITH_VNMI("needs-the-nmi-intercept", "nop", (v.intercept_1 &= ~(u32)BIT(I1_NMI), expect_invalid()))
WITH_VNMI("pending-nmi-is-taken", "nop", {
    v.virtual_interrupt |= V_NMI_PENDING;
    expect_vector(NMI);
    EXPECT_EQ("V_NMI", v.virtual_interrupt & V_NMI_PENDING, 0);
    EXPECT_EQ("V_NMI_MASK", v.virtual_interrupt & V_NMI_MASK, V_NMI_MASK);
})
WITH_VNMI("masked-nmi-waits", "nop", {
    v.virtual_interrupt |= V_NMI_PENDING | V_NMI_MASK;
    expect_done();
    EXPECT_EQ("V_NMI", v.virtual_interrupt & V_NMI_PENDING, V_NMI_PENDING);
    EXPECT_EQ("V_NMI_MASK", v.virtual_interrupt & V_NMI_MASK, V_NMI_MASK);
})
WITH_VNMI("iret-unmasks", "mov %%rsp, %%rcx; pushq $0x10; push %%rcx; pushq $2; pushq $8; lea 1f(%%rip), %%rcx; push %%rcx; iretq; 1:", {
    v.virtual_interrupt |= V_NMI_MASK;
    expect_done();
    EXPECT_EQ("V_NMI_MASK", v.virtual_interrupt & V_NMI_MASK, 0);
})
WITH_VNMI("nmi-ignores-if", "nop", {
    v.rflags &= ~FLAG_IF;
    v.virtual_interrupt |= V_NMI_PENDING;
    expect_vector(NMI);
})
WITH_VNMI("shadow-holds-it", "nop", {
    v.interrupt_shadow = 1;
    v.virtual_interrupt |= V_NMI_PENDING;
    expect_vector(NMI);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), insn_next);
})
WITH_VNMI("injected-nmi-sets-the-mask", "nop", {
    v.event_injection = EVENT(EVENT_NMI, 2);
    expect_vector(NMI);
    EXPECT_EQ("V_NMI_MASK", v.virtual_interrupt & V_NMI_MASK, V_NMI_MASK);
})
WITH_VNMI("exit-in-the-delivery-clears-the-mask", "nop", {
    use_virtual_idt();
    guest_window[15] = 0;
    v.virtual_interrupt |= V_NMI_PENDING;
    expect_exception(PF);
    EXPECT_EQ("EXITINTINFO", v.exit_interrupt_info & 0xffffffff, EVENT(EVENT_NMI, 2));
    EXPECT_EQ("V_NMI_MASK", v.virtual_interrupt & V_NMI_MASK, 0);
})
WITH_VNMI("physical-nmis-are-intercepted", "nop", {
    clgi();
    self_nmi();
    expect_exit(EXIT_NMI);
})
WITH_VNMI("physical-nmi-comes-first", "nop", {
    v.virtual_interrupt |= V_NMI_PENDING;
    clgi();
    self_nmi();
    expect_exit(EXIT_NMI);
    EXPECT_EQ("V_NMI", v.virtual_interrupt & V_NMI_PENDING, V_NMI_PENDING);
})
WITH_VNMI("virtual-gif-holds-it", "nop", {
    REQUIRE_SVM(HAS_VGIF, "virtual GIF");
    v.virtual_interrupt |= V_NMI_PENDING | V_GIF_ENABLE;
    expect_done();
    EXPECT_EQ("V_NMI", v.virtual_interrupt & V_NMI_PENDING, V_NMI_PENDING);
})
TEST("15.21.10/disabled-v-nmi-does-nothing")
{
    GUEST("nop");
    v.intercept_1 |= BIT(I1_NMI);
    v.virtual_interrupt |= V_NMI_PENDING;
    expect_done();
}

/* --- §15.33.2: virtual GIF ------------------------------------------------------------------------------------------------------------- */
#define WITH_VGIF(name, code, more)                 \
    TEST("15.33.2/" name)                           \
    {                                               \
        REQUIRE_SVM(HAS_VGIF, "virtual GIF");       \
        GUEST3("", code, "nop; nop");               \
        v.virtual_interrupt |= V_GIF_ENABLE;        \
        more;                                       \
    }
WITH_VGIF("stgi-sets-v-gif", "stgi", { expect_done(); EXPECT_EQ("V_GIF", v.virtual_interrupt & V_GIF, V_GIF); })
WITH_VGIF("clgi-clears-v-gif", "clgi", { v.virtual_interrupt |= V_GIF; expect_done(); EXPECT_EQ("V_GIF", v.virtual_interrupt & V_GIF, 0); })
WITH_VGIF("v-gif-clear-holds-virtual-interrupts", "sti; nop", {
    pend(0x51, 15);
    expect_done();
    EXPECT_EQ("V_IRQ", v.virtual_interrupt & V_IRQ, V_IRQ);
})
WITH_VGIF("v-gif-set-lets-virtual-interrupts-in", "nop", {
    v.rflags |= FLAG_IF;
    v.virtual_interrupt |= V_GIF;
    pend(0x51, 15);
    expect_vector(0x51);
})
WITH_VGIF("stgi-lets-virtual-interrupts-in", "stgi", {
    v.rflags |= FLAG_IF;
    pend(0x51, 15);
    expect_vector(0x51);
    EXPECT("the interrupt came behind STGI", guest_pushed(0) >= insn_next);
})
WITH_VGIF("clgi-holds-virtual-interrupts", "clgi; sti; nop; nop", {
    v.virtual_interrupt |= V_GIF;
    pend(0x51, 15);
    expect_done();
})
WITH_VGIF("v-gif-clear-does-not-hold-physical-interrupts", "nop", {
    self_interrupt(0x50);
    expect_exit(EXIT_INTR);
})
WITH_VGIF("clgi-does-not-hold-physical-interrupts", "clgi", {
    self_interrupt(0x50);
    expect_exit(EXIT_INTR);
})
WITH_VGIF("stgi-can-still-be-intercepted", "stgi", { v.intercept_2 |= BIT(I2_STGI); expect_exit(EXIT_STGI); expect_at_insn(); EXPECT_EQ("V_GIF", v.virtual_interrupt & V_GIF, 0); })
WITH_VGIF("clgi-can-still-be-intercepted", "clgi", { v.intercept_2 |= BIT(I2_CLGI); v.virtual_interrupt |= V_GIF; expect_exit(EXIT_CLGI); EXPECT_EQ("V_GIF", v.virtual_interrupt & V_GIF, V_GIF); })
WITH_VGIF("injected-events-ignore-v-gif", "nop", {
    v.event_injection = EVENT(EVENT_INTERRUPT, 0x51);
    expect_vector(0x51);
})

/* --- §15.33.1: virtual VMLOAD and VMSAVE ---------------------------------------------------------------------------------------------------- */
static void virtual_vmload(void)
{
    v.nested_control = 1;
    v.nested_cr3 = (u64)nested_pml4;
    v.lbr_control |= BIT(1);
    for (unsigned i = 0; i < 16; i++)
        nested_window[i] = (u64)page[i] | D | A | US | RW | P;
}
TEST("15.33.1/vmsave-goes-through-the-nested-tables")
{
    REQUIRE_SVM(HAS_VLS, "virtual VMLOAD and VMSAVE");
    GUEST3("movabs $0x100003000, %%rax", "vmsave", "");
    virtual_vmload();
    v.kernel_gs_base = 0x1234;
    expect_done();
    EXPECT_EQ("KernelGSBase in page 3", ((struct vmcb *)page[3])->kernel_gs_base, 0x1234);
}

TEST("15.33.1/vmload-goes-through-the-nested-tables")
{
    REQUIRE_SVM(HAS_VLS, "virtual VMLOAD and VMSAVE");
    GUEST3("movabs $0x100003000, %%rax", "vmload", "");
    virtual_vmload();
    *(struct vmcb *)page[3] = host;
    ((struct vmcb *)page[3])->kernel_gs_base = 0x4321;
    expect_done();
    EXPECT_EQ("KernelGSBase of the guest", v.kernel_gs_base, 0x4321);
}

TEST("15.33.1/vmsave-to-an-absent-page-is-a-nested-fault")
{
    REQUIRE_SVM(HAS_VLS, "virtual VMLOAD and VMSAVE");
    GUEST3("movabs $0x100003000, %%rax", "vmsave", "");
    virtual_vmload();
    nested_window[3] = 0;
    expect_exit(EXIT_NPF);
    expect_at_insn();
    EXPECT_EQ("EXITINFO2, the page", v.exit_info_2 & ~0xfffull, WINDOW_PAGE(3));
}

TEST("15.33.1/vmload-from-an-absent-page-is-a-nested-fault")
{
    REQUIRE_SVM(HAS_VLS, "virtual VMLOAD and VMSAVE");
    GUEST3("movabs $0x100003000, %%rax", "vmload", "");
    virtual_vmload();
    nested_window[3] = 0;
    expect_exit(EXIT_NPF);
    EXPECT_EQ("EXITINFO2, the page", v.exit_info_2 & ~0xfffull, WINDOW_PAGE(3));
}

TEST("15.33.1/without-nested-paging-vmsave-exits")
{
    REQUIRE_SVM(HAS_VLS, "virtual VMLOAD and VMSAVE");
    GUEST3("mov $page, %%eax", "vmsave", "");
    v.lbr_control |= BIT(1);
    v.intercept_2 |= BIT(I2_VMSAVE);
    expect_exit(EXIT_VMSAVE);
}

/* --- §15.23: LBR virtualization -------------------------------------------------------------------------------------------------------------- */
enum { MSR_DEBUGCTL = 0x1d9, MSR_BR_FROM = 0x1db, MSR_BR_TO = 0x1dc, MSR_INT_FROM = 0x1dd, MSR_INT_TO = 0x1de };
#define BR_FROM VMCB_U64(0x678)
#define BR_TO VMCB_U64(0x680)
#define EXCP_FROM VMCB_U64(0x688)
#define EXCP_TO VMCB_U64(0x690)
#define WITH_LBRV(name, before, code, more)                   \
    TEST("15.23.1/" name)                                     \
    {                                                         \
        REQUIRE_SVM(HAS_LBRV, "LBR virtualization");          \
        GUEST3(before, code, "nop");                          \
        v.lbr_control |= 1;                                   \
        more;                                                 \
        wrmsr(MSR_DEBUGCTL, 0);                               \
    }
#define READ_MSR(msr) "mov $" #msr ", %%ecx; rdmsr; shl $32, %%rdx; or %%rdx, %%rax; mov %%rax, %%rbx"
WITH_LBRV("vmrun-loads-debugctl", "", READ_MSR(0x1d9), { v.debug_control = 2; expect_done(); EXPECT_EQ("DebugCtl in the guest", r.rbx, 2); })
WITH_LBRV("vmrun-loads-br-from", "", READ_MSR(0x1db), { BR_FROM = 0x1234; expect_done(); EXPECT_EQ("LastBranchFromIP", r.rbx, 0x1234); })
WITH_LBRV("vmrun-loads-br-to", "", READ_MSR(0x1dc), { BR_TO = 0x2345; expect_done(); EXPECT_EQ("LastBranchToIP", r.rbx, 0x2345); })
WITH_LBRV("vmrun-loads-lastexcpfrom", "", READ_MSR(0x1dd), { EXCP_FROM = 0x3456; expect_done(); EXPECT_EQ("LastIntFromIP", r.rbx, 0x3456); })
WITH_LBRV("vmrun-loads-lastexcpto", "", READ_MSR(0x1de), { EXCP_TO = 0x4567; expect_done(); EXPECT_EQ("LastIntToIP", r.rbx, 0x4567); })
WITH_LBRV("exit-saves-debugctl", "", "mov $0x1d9, %%ecx; mov $2, %%eax; xor %%edx, %%edx; wrmsr", { expect_done(); EXPECT_EQ("DBGCTL", v.debug_control, 2); })
WITH_LBRV("exit-saves-the-last-branch", "", "jmp 99f; nop", {
    v.debug_control = 1;
    expect_done();
    EXPECT_EQ("BR_FROM", BR_FROM, insn_at);
    EXPECT_EQ("BR_TO", BR_TO, insn_next);
})
WITH_LBRV("exit-saves-the-last-branch-before-an-exception", "", "jmp 99f; nop", {
    v.debug_control = 1;
    deliver(UD);
    memcpy(page[0], "\x0f\x0b", 2);
    v.rip = (u64)page[0]; /* UD2: its handler jumps */
    guest_gate(UD, insn_at, 0xe, 0, 0, true);
    expect_done();
    EXPECT_EQ("BR_FROM, the jump", BR_FROM, insn_at);
    EXPECT_EQ("BR_TO", BR_TO, insn_next);
})
WITH_LBRV("exception-moves-the-branch-to-lastexcp", "", "jmp 99f; nop", {
    v.debug_control = 1;
    deliver(BP);
    expect_done();
    v.rip = (u64)page[0];
    memcpy(page[0], "\xcc", 1); /* INT3 */
    expect_vector(BP);
    EXPECT_EQ("LASTEXCPFROM, the jump before", EXCP_FROM, insn_at);
    EXPECT_EQ("LASTEXCPTO", EXCP_TO, insn_next);
})
WITH_LBRV("host-debugctl-comes-back", "", "nop", {
    wrmsr(MSR_DEBUGCTL, 2);
    expect_done();
    EXPECT_EQ("the host's DebugCtl", rdmsr(MSR_DEBUGCTL), 2);
})
WITH_LBRV("host-records-come-back", "", "jmp 99f; nop", {
    u64 from = rdmsr(MSR_BR_FROM);
    u64 to = rdmsr(MSR_BR_TO);
    v.debug_control = 1;
    expect_done();
    EXPECT_EQ("the host's LastBranchFromIP", rdmsr(MSR_BR_FROM), from);
    EXPECT_EQ("the host's LastBranchToIP", rdmsr(MSR_BR_TO), to);
})
TEST("15.23.1/disabled-the-fields-are-not-used")
{
    REQUIRE_SVM(HAS_LBRV, "LBR virtualization");
    GUEST(READ_MSR(0x1d9));
    v.debug_control = 2;
    BR_FROM = 0x1234;
    expect_done();
    EXPECT_EQ("DebugCtl in the guest", r.rbx, 0);
    EXPECT_EQ("BR_FROM in the VMCB", BR_FROM, 0x1234);
}

/* --- §15.30.5: the TSC ratio ------------------------------------------------------------------------------------------------------------------- */
enum { MSR_TSC_RATIO = 0xc0000104 };
#define WITH_RATIO(name, ratio, code, more)                            \
    TEST("15.30.5/" name)                                              \
    {                                                                  \
        REQUIRE_SVM(HAS_TSC_RATE, "the TSC ratio");                    \
        GUEST(code);                                                   \
        wrmsr(MSR_TSC_RATIO, ratio);                                   \
        more;                                                          \
        wrmsr(MSR_TSC_RATIO, BIT(32));                                 \
    }
#define READ_TSC "rdtsc; shl $32, %%rdx; or %%rdx, %%rax; mov %%rax, %%rbx"
WITH_RATIO("ratio-0-leaves-the-offset-to-rdtsc", 0, READ_TSC, { v.tsc_offset = 0x123456789; expect_done(); EXPECT_EQ("RDTSC", r.rbx, 0x123456789); })
WITH_RATIO("ratio-0-leaves-the-offset-to-rdtscp", 0, "rdtscp; shl $32, %%rdx; or %%rdx, %%rax; mov %%rax, %%rbx", { v.tsc_offset = 0x123456789; expect_done(); EXPECT_EQ("RDTSCP", r.rbx, 0x123456789); })
WITH_RATIO("ratio-0-leaves-the-offset-to-rdmsr", 0, "mov $0x10, %%ecx; rdmsr; shl $32, %%rdx; or %%rdx, %%rax; mov %%rax, %%rbx", { v.tsc_offset = 0x123456789; expect_done(); EXPECT_EQ("RDMSR", r.rbx, 0x123456789); })
static void between(u64 low, u64 high) { EXPECT("the guest's time lies between the host's, scaled", r.rbx >= low && r.rbx <= high); }
WITH_RATIO("ratio-2-doubles", BIT(33), READ_TSC, { u64 before = rdtsc(); expect_done(); between(before * 2, rdtsc() * 2 + 2); })
WITH_RATIO("ratio-half-halves", BIT(31), READ_TSC, { u64 before = rdtsc(); expect_done(); between(before / 2, rdtsc() / 2 + 1); })
WITH_RATIO("ratio-1-is-the-host-time", BIT(32), READ_TSC, { u64 before = rdtsc(); expect_done(); between(before, rdtsc()); })
WITH_RATIO("host-time-is-not-scaled", 0, "nop", { u64 before = rdtsc(); expect_done(); u64 after = rdtsc(); EXPECT("the host's time goes on", after > before); })
TEST("15.30.5/reset-value-is-1")
{
    REQUIRE_SVM(HAS_TSC_RATE, "the TSC ratio");
    EXPECT_EQ("TSC ratio", rdmsr(MSR_TSC_RATIO), BIT(32));
}
TEST("15.30.5/reserved-bits-are-gp")
{
    REQUIRE_SVM(HAS_TSC_RATE, "the TSC ratio");
    EXPECT("bit 40 faults", !write_msr(MSR_TSC_RATIO, BIT(40)));
    EXPECT("bit 63 faults", !write_msr(MSR_TSC_RATIO, BIT(63) | BIT(32)));
    EXPECT("8 bits of integer do not", write_msr(MSR_TSC_RATIO, 0xffffffffffull));
    wrmsr(MSR_TSC_RATIO, BIT(32));
}

/* --- §15.37.1: SPEC_CTRL virtualization ---------------------------------------------------------------------------------------------------------- */
enum { MSR_SPEC_CTRL = 0x48 };
#define SPEC_CTRL VMCB_U64(0x6e0)
TEST("15.37.1/guest-reads-its-own-spec-ctrl")
{
    REQUIRE_SVM(HAS_SPEC_CTRL, "SPEC_CTRL virtualization");
    REQUIRE(cpuid_bit(0x80000008, 'b', 15), "no STIBP");
    GUEST(READ_MSR(0x48));
    SPEC_CTRL = 2;
    wrmsr(MSR_SPEC_CTRL, 0);
    expect_done();
    EXPECT_EQ("SPEC_CTRL in the guest", r.rbx, 2);
    EXPECT_EQ("SPEC_CTRL of the host", rdmsr(MSR_SPEC_CTRL), 0);
}
TEST("15.37.1/exit-saves-spec-ctrl")
{
    REQUIRE_SVM(HAS_SPEC_CTRL, "SPEC_CTRL virtualization");
    REQUIRE(cpuid_bit(0x80000008, 'b', 15), "no STIBP");
    GUEST("mov $0x48, %%ecx; mov $2, %%eax; xor %%edx, %%edx; wrmsr");
    wrmsr(MSR_SPEC_CTRL, 0);
    expect_done();
    EXPECT_EQ("SPEC_CTRL in the VMCB", SPEC_CTRL, 2);
    EXPECT_EQ("SPEC_CTRL of the host", rdmsr(MSR_SPEC_CTRL), 0);
}
