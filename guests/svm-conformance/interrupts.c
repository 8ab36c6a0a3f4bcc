/* §15.13: interrupt intercepts; §15.21: virtual interrupts, task priorities, interrupt shadows, NMIs. */
#include "frame.h"

static void pend(unsigned vector, unsigned priority)
{
    v.virtual_interrupt |= V_IRQ | V_INTR_PRIORITY(priority) | V_INTR_VECTOR(vector);
}

/* VMRUN with the host's IF clear, and GIF set behind it; the host's segment state stays. */
static void run_with_if_clear(void)
{
    TRY("push %%rbp; vmrun; pop %%rbp; stgi", ::"a"(&v) : "memory", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15");
    expect_no_fault();
}

/* --- §15.13.1, §15.21.1: physical interrupts ---------------------------------------------------------------------------------------- */
TEST("15.13.1/intr-intercepted")
{
    GUEST("nop");
    self_interrupt(0x50);
    expect_exit(EXIT_INTR);
    EXPECT_EQ("RIP", v.rip, code_start);
    EXPECT_EQ("EXITINTINFO.V", v.exit_interrupt_info & EVENT_VALID, 0);
}

TEST("15.13.1/intercepted-intr-stays-pending")
{
    GUEST("nop");
    self_interrupt(0x50);
    expect_exit(EXIT_INTR);
    EXPECT_EQ("interrupts before STI", interrupts[0x50], 0);
    take_interrupts();
    EXPECT_EQ("interrupts after STI", interrupts[0x50], 1);
}

TEST("15.13.1/intr-before-an-instruction-intercept")
{
    GUEST("cpuid");
    v.intercept_1 |= BIT(I1_CPUID);
    self_interrupt(0x50);
    expect_exit(EXIT_INTR);
    EXPECT_EQ("RIP", v.rip, code_start);
}

TEST("15.13.1/intr-behind-an-injected-event")
{
    GUEST("nop");
    v.event_injection = EVENT(EVENT_EXCEPTION, UD);
    self_interrupt(0x50);
    expect_exit(EXIT_INTR);
    EXPECT_EQ("RIP, in the handler", v.rip, (u64)guest_stubs + UD * 16);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), code_start);
    EXPECT_EQ("EXITINTINFO.V", v.exit_interrupt_info & EVENT_VALID, 0);
}

TEST("15.13.1/intr-ends-a-loop")
{
    GUEST("movl $0x1234, page; mov $0xfee00300, %%ecx; movl $0x44050, (%%rcx); 1: jmp 1b");
    expect_exit(EXIT_INTR);
    EXPECT_EQ("what the guest wrote before", *(u32 *)page[0], 0x1234);
}

TEST("15.13.1/intr-ends-rep-movs-in-the-middle-or-behind-it")
{
    GUEST3("mov $0xfee00300, %%ebx; mov $page, %%esi; mov $page+0x4000, %%edi; mov $0x1000, %%ecx; movl $0x44050, (%%rbx)", "rep movsb", "1: jmp 1b");
    expect_exit(EXIT_INTR);
    EXPECT_EQ("RSI and RCX agree", v.rip <= insn_at ? r.rsi + r.rcx : (u64)page[1], (u64)page[1]);
    EXPECT_EQ("RDI and RSI agree", r.rdi - r.rsi, 0x4000);
}

TEST("15.13.1/intr-not-intercepted-goes-to-the-guest")
{
    GUEST3("sti; nop; nop", "nop", "");
    v.intercept_1 &= ~(u32)BIT(I1_INTR);
    v.rflags |= FLAG_IF;
    self_interrupt(0x50);
    expect_vector(0x50);
    take_interrupts();
    EXPECT_EQ("interrupts in the host", interrupts[0x50], 0);
}

TEST("15.13.1/intr-not-intercepted-with-a-vector-below-32")
{
    GUEST3("sti; nop; nop", "nop", "");
    v.intercept_1 &= ~(u32)BIT(I1_INTR);
    v.rflags |= FLAG_IF;
    self_interrupt(0x1f);
    expect_vector(0x1f);
}

TEST("15.21.1/masking-on-the-guest-if-does-not-hold-physical-interrupts")
{
    GUEST("nop");
    EXPECT_EQ("the guest's IF", v.rflags & FLAG_IF, 0);
    self_interrupt(0x50);
    expect_exit(EXIT_INTR);
}

TEST("15.21.1/masking-on-the-host-if-holds-physical-interrupts")
{
    GUEST3("sti; nop; nop", "nop", "");
    v.rflags |= FLAG_IF;
    self_interrupt(0x50);
    run_with_if_clear();
    exits_with(EXIT_VMMCALL);
}

TEST("15.21.1/masking-off-the-guest-if-holds-physical-interrupts")
{
    GUEST("nop");
    v.virtual_interrupt = 0;
    self_interrupt(0x50);
    expect_done();
}

TEST("15.21.1/masking-off-the-guest-if-lets-physical-interrupts-in")
{
    GUEST3("", "sti", "nop; nop");
    v.virtual_interrupt = 0;
    self_interrupt(0x50);
    expect_exit(EXIT_INTR);
}

TEST("15.21.1/masking-off-the-host-if-does-not-count")
{
    GUEST3("", "nop", "nop");
    v.virtual_interrupt = 0;
    v.rflags |= FLAG_IF;
    self_interrupt(0x50);
    run_with_if_clear();
    exits_with(EXIT_INTR);
}

TEST("15.21.1/masking-off-if-holds-virtual-interrupts")
{
    GUEST("nop");
    v.virtual_interrupt = 0;
    pend(0x51, 15);
    expect_done();
    EXPECT_EQ("V_IRQ", v.virtual_interrupt & V_IRQ, V_IRQ);
}

TEST("15.21.1/masking-off-if-lets-virtual-interrupts-in")
{
    GUEST("nop");
    v.virtual_interrupt = 0;
    v.rflags |= FLAG_IF;
    pend(0x51, 15);
    expect_vector(0x51);
}

/* --- §15.21.2: task priorities -------------------------------------------------------------------------------------------------------- */
TEST("15.21.2/masking-on-cr8-writes-v-tpr-alone")
{
    GUEST3("mov $7, %%ecx", "mov %%rcx, %%cr8", "");
    write_cr8(2);
    expect_done();
    EXPECT_EQ("V_TPR", v.virtual_interrupt & V_TPR, 7);
    EXPECT_EQ("the host's CR8", read_cr8(), 2);
}

TEST("15.21.2/masking-on-cr8-reads-v-tpr")
{
    GUEST("mov %%cr8, %%rbx");
    v.virtual_interrupt |= 9;
    write_cr8(2);
    expect_done();
    EXPECT_EQ("what the guest reads", r.rbx, 9);
}

TEST("15.21.2/masking-off-cr8-writes-both")
{
    GUEST3("mov $7, %%ecx", "mov %%rcx, %%cr8", "");
    v.virtual_interrupt = 0;
    expect_done();
    EXPECT_EQ("V_TPR", v.virtual_interrupt & V_TPR, 7);
    EXPECT_EQ("the host's CR8", read_cr8(), 7);
}

TEST("15.21.2/masking-off-cr8-reads-the-apic")
{
    GUEST("mov %%cr8, %%rbx");
    v.virtual_interrupt = 9;
    write_cr8(2);
    expect_done();
    EXPECT_EQ("what the guest reads", r.rbx, 2);
}

TEST("15.21.2/apic-tpr-masks-physical-interrupts-of-a-guest")
{
    GUEST("nop");
    write_cr8(15);
    self_interrupt(0x50);
    expect_done();
}

TEST("15.21.2/v-tpr-does-not-mask-physical-interrupts")
{
    GUEST("nop");
    v.virtual_interrupt |= 15;
    self_interrupt(0x50);
    expect_exit(EXIT_INTR);
}

TEST("15.21.2/apic-tpr-does-not-mask-virtual-interrupts")
{
    GUEST("nop");
    v.rflags |= FLAG_IF;
    write_cr8(15);
    pend(0x51, 5);
    expect_vector(0x51);
}

#define PRIORITY(name, priority, tpr, more, taken)                                       \
    TEST("15.21.4/" name)                                                                \
    {                                                                                    \
        GUEST("nop");                                                                    \
        v.rflags |= FLAG_IF;                                                             \
        v.virtual_interrupt |= (tpr) | (more);                                           \
        pend(0x51, priority);                                                            \
        if (taken)                                                                       \
            expect_vector(0x51);                                                         \
        else                                                                             \
            expect_done();                                                               \
        EXPECT_EQ("V_IRQ", v.virtual_interrupt & V_IRQ, taken ? 0 : V_IRQ);              \
    }
PRIORITY("priority-above-v-tpr", 6, 5, 0, true)
PRIORITY("priority-equal-to-v-tpr", 5, 5, 0, false)
PRIORITY("priority-below-v-tpr", 4, 5, 0, false)
PRIORITY("priority-1-above-v-tpr-0", 1, 0, 0, true)
PRIORITY("priority-15-equal-to-v-tpr-15", 15, 15, 0, false)
PRIORITY("priority-15-above-v-tpr-14", 15, 14, 0, true)
PRIORITY("ignore-tpr-with-priority-below", 1, 15, V_IGNORE_TPR, true)
PRIORITY("ignore-tpr-with-priority-0", 0, 15, V_IGNORE_TPR, true)

TEST("15.21.4/lowering-cr8-lets-the-interrupt-in")
{
    GUEST3("xor %%ecx, %%ecx", "mov %%rcx, %%cr8", "nop");
    v.rflags |= FLAG_IF;
    v.virtual_interrupt |= 10;
    pend(0x51, 5);
    expect_vector(0x51);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), insn_next);
    EXPECT_EQ("V_TPR", v.virtual_interrupt & V_TPR, 0);
}

TEST("15.21.4/raising-cr8-keeps-the-interrupt-out")
{
    GUEST3("mov $10, %%ecx", "mov %%rcx, %%cr8", "sti; nop; nop");
    pend(0x51, 5);
    expect_done();
}

/* --- §15.21.4: virtual interrupts ------------------------------------------------------------------------------------------------------ */
TEST("15.21.4/interrupt-is-taken-and-v-irq-cleared")
{
    GUEST("nop");
    v.rflags |= FLAG_IF;
    pend(0x61, 15);
    expect_vector(0x61);
    EXPECT_EQ("V_IRQ", v.virtual_interrupt & V_IRQ, 0);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), code_start);
}

TEST("15.21.4/if-clear-holds-it")
{
    GUEST("nop");
    pend(0x51, 15);
    expect_done();
    EXPECT_EQ("V_IRQ", v.virtual_interrupt & V_IRQ, V_IRQ);
}

TEST("15.21.4/sti-lets-it-in-one-instruction-later")
{
    GUEST3("sti", "nop", "nop");
    pend(0x51, 15);
    expect_vector(0x51);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), insn_next);
}

TEST("15.21.4/popf-lets-it-in-at-once")
{
    GUEST3("pushq $0x202", "popfq", "nop");
    pend(0x51, 15);
    expect_vector(0x51);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), insn_next);
}

TEST("15.21.4/it-ends-hlt")
{
    GUEST3("sti", "hlt", "");
    pend(0x51, 15);
    expect_vector(0x51);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), insn_next);
}

/* ECX bit 0: interrupts end the wait though IF is clear. A virtual one follows the rules of a real one. */
TEST("15.21.4/it-ends-mwait-that-asks-for-masked-interrupts")
{
    REQUIRE(cpuid_bit(1, 'c', 3) && cpuid_bit(5, 'c', 1), "no MWAIT that masked interrupts end");
    GUEST3("mov $page, %%eax; xor %%ecx, %%ecx; xor %%edx, %%edx; monitor; inc %%ecx", "mwait", "");
    pend(0x51, 15);
    expect_done();
    EXPECT_EQ("V_IRQ", v.virtual_interrupt & V_IRQ, V_IRQ);
}

TEST("15.21.4/physical-interrupts-come-first")
{
    GUEST("nop");
    v.rflags |= FLAG_IF;
    pend(0x51, 15);
    self_interrupt(0x50);
    expect_exit(EXIT_INTR);
    EXPECT_EQ("V_IRQ", v.virtual_interrupt & V_IRQ, V_IRQ);
}

TEST("15.21.4/no-eoi-is-needed")
{
    GUEST("nop");
    v.rflags |= FLAG_IF;
    pend(0x51, 15);
    expect_vector(0x51);
    EXPECT_EQ("ISR of the local APIC", apic_read(0x100 + 0x51 / 32 * 16) & BIT(0x51 % 32), 0);
}

/* --- §15.21.5: shadows ------------------------------------------------------------------------------------------------------------------ */
TEST("15.21.5/shadow-of-the-vmcb-lasts-one-instruction")
{
    GUEST3("", "nop", "nop");
    v.rflags |= FLAG_IF;
    v.interrupt_shadow = 1;
    pend(0x51, 15);
    expect_vector(0x51);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), insn_next);
}

TEST("15.21.5/mov-ss-has-a-shadow")
{
    GUEST3("mov $0x10, %%ecx", "mov %%ecx, %%ss", "vmmcall");
    expect_exit(EXIT_VMMCALL);
    EXPECT_EQ("INTERRUPT_SHADOW behind MOV SS", v.interrupt_shadow & 1, 1);
}

TEST("15.21.5/sti-with-if-set-has-no-shadow")
{
    GUEST3("sti", "vmmcall", "");
    v.rflags |= FLAG_IF;
    expect_exit(EXIT_VMMCALL);
    EXPECT_EQ("INTERRUPT_SHADOW", v.interrupt_shadow & 1, 0);
}

TEST("15.21.5/shadow-is-saved-by-an-instruction-intercept")
{
    GUEST3("sti", "cpuid", "");
    v.intercept_1 |= BIT(I1_CPUID);
    expect_exit(EXIT_CPUID);
    EXPECT_EQ("INTERRUPT_SHADOW", v.interrupt_shadow & 1, 1);
}

TEST("15.21.5/shadow-is-over-behind-the-next-instruction")
{
    GUEST3("sti; nop", "cpuid", "");
    v.intercept_1 |= BIT(I1_CPUID);
    expect_exit(EXIT_CPUID);
    EXPECT_EQ("INTERRUPT_SHADOW", v.interrupt_shadow & 1, 0);
}

/* --- §15.13.5, §15.21.6: the VINTR intercept ----------------------------------------------------------------------------------------------- */
TEST("15.13.5/vintr-exit-before-the-interrupt")
{
    GUEST("nop");
    v.rflags |= FLAG_IF;
    v.intercept_1 |= BIT(I1_VINTR);
    pend(0x51, 15);
    expect_exit(EXIT_VINTR);
    EXPECT_EQ("RIP", v.rip, code_start);
    EXPECT_EQ("V_IRQ", v.virtual_interrupt & V_IRQ, V_IRQ);
    EXPECT_EQ("EXITINTINFO.V", v.exit_interrupt_info & EVENT_VALID, 0);
}

TEST("15.13.5/vintr-waits-for-if")
{
    GUEST3("sti", "nop", "nop");
    v.intercept_1 |= BIT(I1_VINTR);
    pend(0x51, 15);
    expect_exit(EXIT_VINTR);
    EXPECT_EQ("RIP", v.rip, insn_next);
}

TEST("15.13.5/vintr-waits-for-v-tpr")
{
    GUEST("nop");
    v.rflags |= FLAG_IF;
    v.intercept_1 |= BIT(I1_VINTR);
    v.virtual_interrupt |= 9;
    pend(0x51, 9);
    expect_done();
}

TEST("15.13.5/vintr-with-ignore-tpr")
{
    GUEST("nop");
    v.rflags |= FLAG_IF;
    v.intercept_1 |= BIT(I1_VINTR);
    v.virtual_interrupt |= 15 | V_IGNORE_TPR;
    pend(0x51, 0);
    expect_exit(EXIT_VINTR);
}

TEST("15.13.5/vintr-waits-for-the-shadow")
{
    GUEST3("", "nop", "nop");
    v.rflags |= FLAG_IF;
    v.interrupt_shadow = 1;
    v.intercept_1 |= BIT(I1_VINTR);
    pend(0x51, 15);
    expect_exit(EXIT_VINTR);
    EXPECT_EQ("RIP", v.rip, insn_next);
}

TEST("15.13.5/vintr-before-an-instruction-intercept")
{
    GUEST("cpuid");
    v.rflags |= FLAG_IF;
    v.intercept_1 |= BIT(I1_VINTR) | BIT(I1_CPUID);
    pend(0x51, 15);
    expect_exit(EXIT_VINTR);
}

TEST("15.13.5/vintr-behind-an-injected-event")
{
    GUEST("nop");
    guest_gate(UD, (u64)guest_stubs + UD * 16, 0xf, 0, 0, true); /* a trap gate leaves IF set */
    v.rflags |= FLAG_IF;
    v.intercept_1 |= BIT(I1_VINTR);
    v.event_injection = EVENT(EVENT_EXCEPTION, UD);
    pend(0x51, 15);
    expect_exit(EXIT_VINTR);
    EXPECT_EQ("RIP, in the handler", v.rip, (u64)guest_stubs + UD * 16);
}

TEST("15.13.5/vintr-ends-hlt")
{
    GUEST3("sti", "hlt", "");
    v.intercept_1 |= BIT(I1_VINTR);
    pend(0x51, 15);
    expect_exit(EXIT_VINTR);
    EXPECT_EQ("RIP", v.rip, insn_next);
}

TEST("15.13.5/vintr-needs-v-irq")
{
    GUEST("nop");
    v.rflags |= FLAG_IF;
    v.intercept_1 |= BIT(I1_VINTR);
    expect_done();
}

/* --- §15.21.7: the interrupt enable registers and the specific EOI of the physical APIC ----------------------------------------------- */
enum { APIC_EXTENDED_FEATURE = 0x400, APIC_EXTENDED_CONTROL = 0x410, APIC_SPECIFIC_EOI = 0x420, APIC_ENABLE = 0x480, APIC_ISR = 0x100, APIC_IRR = 0x200 };
#define REQUIRE_EXTENDED_APIC(bit, what)                                                        \
    REQUIRE(cpuid_bit(0x80000001, 'c', 3), "CPUID Fn8000_0001 ECX offers no extended APIC space"); \
    REQUIRE(apic_read(APIC_EXTENDED_FEATURE) & BIT(bit), "the extended APIC feature register has no " what)

static bool apic_bit(u32 bank, unsigned vector) { return apic_read(bank + vector / 32 * 16) >> vector % 32 & 1; }

static void enable_vector(unsigned vector, bool on)
{
    u32 at = APIC_ENABLE + vector / 32 * 16, bit = (u32)BIT(vector % 32), control = apic_read(APIC_EXTENDED_CONTROL);
    apic_write(APIC_EXTENDED_CONTROL, control | 1);
    apic_write(at, on ? apic_read(at) | bit : apic_read(at) & ~bit);
    apic_write(APIC_EXTENDED_CONTROL, control);
}

TEST("15.21.7/a-disabled-vector-is-requested-but-does-not-exit")
{
    REQUIRE_EXTENDED_APIC(0, "interrupt enable registers");
    GUEST("nop");
    enable_vector(0x50, false);
    self_interrupt(0x50);
    expect_done();
    EXPECT("it is requested", apic_bit(APIC_IRR, 0x50));
    take_interrupts();
    EXPECT_EQ("interrupts while it is disabled", interrupts[0x50], 0);
    enable_vector(0x50, true);
    take_interrupts();
    EXPECT_EQ("interrupts when it is enabled again", interrupts[0x50], 1);
}

TEST("15.21.7/a-disabled-vector-does-not-hold-back-a-lower-one")
{
    REQUIRE_EXTENDED_APIC(0, "interrupt enable registers");
    GUEST("nop");
    enable_vector(0x60, false);
    self_interrupt(0x60);
    self_interrupt(0x50);
    expect_exit(EXIT_INTR);
    take_interrupts();
    EXPECT_EQ("interrupts 50h", interrupts[0x50], 1);
    EXPECT_EQ("interrupts 60h", interrupts[0x60], 0);
    enable_vector(0x60, true);
    take_interrupts();
    EXPECT_EQ("interrupts 60h when it is enabled again", interrupts[0x60], 1);
}

TEST("15.21.7/enable-registers-need-their-control-bit")
{
    REQUIRE_EXTENDED_APIC(0, "interrupt enable registers");
    u32 control = apic_read(APIC_EXTENDED_CONTROL), was = apic_read(APIC_ENABLE + 0x20);
    apic_write(APIC_EXTENDED_CONTROL, control & ~1u);
    apic_write(APIC_ENABLE + 0x20, ~was);
    EXPECT_EQ("the register", apic_read(APIC_ENABLE + 0x20), was);
    apic_write(APIC_EXTENDED_CONTROL, control);
}

/* The guest takes the interrupt and does not end it. */
TEST("15.21.7/a-specific-eoi-ends-its-own-vector")
{
    REQUIRE_EXTENDED_APIC(1, "specific EOI");
    GUEST3("sti; nop; nop", "nop", "");
    v.intercept_1 &= ~(u32)BIT(I1_INTR);
    v.rflags |= FLAG_IF;
    self_interrupt(0x50);
    expect_vector(0x50);
    EXPECT("it is in service", apic_bit(APIC_ISR, 0x50));
    u32 control = apic_read(APIC_EXTENDED_CONTROL);
    apic_write(APIC_EXTENDED_CONTROL, control | 2);
    apic_write(APIC_SPECIFIC_EOI, 0x51);
    EXPECT("the EOI of another vector leaves it", apic_bit(APIC_ISR, 0x50));
    apic_write(APIC_SPECIFIC_EOI, 0x50);
    EXPECT("its own ends it", !apic_bit(APIC_ISR, 0x50));
    apic_write(APIC_EXTENDED_CONTROL, control);
}

/* --- §15.13.2, §15.21.9: NMIs ------------------------------------------------------------------------------------------------------------- */
TEST("15.13.2/nmi-intercepted")
{
    GUEST("nop");
    v.intercept_1 |= BIT(I1_NMI);
    clgi();
    self_nmi();
    expect_exit(EXIT_NMI);
    EXPECT_EQ("RIP", v.rip, code_start);
}

TEST("15.21.9/intercepted-nmi-stays-pending")
{
    GUEST("nop");
    v.intercept_1 |= BIT(I1_NMI);
    clgi();
    self_nmi();
    unsigned before = interrupts[NMI];
    expect_exit(EXIT_NMI); /* run() sets GIF behind the exit */
    EXPECT_EQ("NMIs before", before, 0);
    EXPECT_EQ("NMIs after STGI", interrupts[NMI], 1);
}

TEST("15.21.9/nmi-not-intercepted-goes-to-the-guest")
{
    GUEST("nop");
    clgi();
    self_nmi();
    expect_vector(NMI);
    EXPECT_EQ("NMIs in the host", interrupts[NMI], 0);
    GUEST3("mov %%rsp, %%rcx; pushq $0x10; push %%rcx; pushq $2; pushq $8; lea 99f(%%rip), %%rcx; push %%rcx", "iretq", "");
    run(); /* NMIs are no longer blocked */
}

TEST("15.21.9/nmi-ignores-if")
{
    GUEST("nop");
    v.intercept_1 |= BIT(I1_NMI);
    v.rflags &= ~FLAG_IF;
    clgi();
    self_nmi();
    expect_exit(EXIT_NMI);
}

TEST("15.21.9/nmi-before-intr")
{
    GUEST("nop");
    v.intercept_1 |= BIT(I1_NMI);
    clgi();
    self_interrupt(0x50);
    self_nmi();
    expect_exit(EXIT_NMI);
}

TEST("15.21.9/nmi-before-a-virtual-interrupt")
{
    GUEST("nop");
    v.intercept_1 |= BIT(I1_NMI);
    v.rflags |= FLAG_IF;
    pend(0x51, 15);
    clgi();
    self_nmi();
    expect_exit(EXIT_NMI);
    EXPECT_EQ("V_IRQ", v.virtual_interrupt & V_IRQ, V_IRQ);
}

TEST("15.21.9/nmi-in-the-guest-is-blocked-until-iret")
{
    u64 handler = CODE("incl guest_vector; cmpl $1, guest_vector; jne 1f; mov $0xfee00300, %%ecx; mov $0x4400, %%eax; mov page, %%edx; mov %%edx, 0x10(%%rcx);"
                       "mov %%eax, (%%rcx); nop; nop; mov guest_vector, %%ebx; 1: iretq");
    GUEST3("", "nop", "nop; nop");
    guest_gate(NMI, handler, 0xe, 0, 0, true);
    guest_vector = 0;
    *(u32 *)page[0] = apic_read(APIC_ID);
    clgi();
    self_nmi();
    run();
    if (exits_with(EXIT_VMMCALL)) {
        EXPECT_EQ("NMIs taken when the first handler ended", r.rbx, 1);
        EXPECT_EQ("NMIs taken at the end", guest_vector, 2);
    }
}

/* --- §15.17: GIF --------------------------------------------------------------------------------------------------------------------------- */
TEST("15.17/clgi-holds-interrupts")
{
    clgi();
    self_interrupt(0x50);
    take_interrupts();
    EXPECT_EQ("interrupts while GIF is clear", interrupts[0x50], 0);
    stgi();
    take_interrupts();
    EXPECT_EQ("interrupts when GIF is set", interrupts[0x50], 1);
}

TEST("15.17/clgi-holds-nmis")
{
    clgi();
    self_nmi();
    for (int i = 0; i < 100; i++)
        cpu_relax();
    EXPECT_EQ("NMIs while GIF is clear", interrupts[NMI], 0);
    stgi();
    for (int i = 0; i < 100; i++)
        cpu_relax();
    EXPECT_EQ("NMIs when GIF is set", interrupts[NMI], 1);
}

TEST("15.17/clgi-does-not-change-if")
{
    sti();
    clgi();
    u64 flags = read_flags();
    cli();
    stgi();
    EXPECT_EQ("IF", flags & FLAG_IF, FLAG_IF);
}

TEST("15.17/clgi-discards-breakpoints")
{
    __asm__ volatile("mov %0, %%dr0; mov %1, %%dr7" ::"r"(page), "r"(0xd0402ull));
    clgi();
    TRY("movq $1, page; nop; nop", ::: "memory");
    bool taken = fault.taken;
    stgi();
    TRY("nop; nop", ::: "memory");
    EXPECT("no #DB while GIF is clear", !taken);
    EXPECT("no #DB when GIF is set", !fault.taken);
}

TEST("15.17/clgi-discards-instruction-breakpoints")
{
    u64 at = 0;
    clgi();
    TRY("lea 1f(%%rip), %0; mov %0, %%dr0; mov %1, %%dr7; 1: nop; nop", : "+r"(at) : "r"(0x402ull) : "memory");
    bool taken = fault.taken;
    stgi();
    EXPECT("no #DB while GIF is clear", !taken);
}

TEST("15.17/breakpoints-work-with-gif-set")
{
    __asm__ volatile("mov %0, %%dr0; mov %1, %%dr7" ::"r"(page), "r"(0xd0402ull));
    TRY("movq $1, page; nop; nop", ::: "memory");
    expect_fault(DB, 0);
}

TEST("15.17/clgi-lets-single-steps-through")
{
    clgi();
    TRY("pushfq; orl $0x100, (%%rsp); popfq; nop; nop", ::: "memory");
    bool taken = fault.taken && fault.vector == DB;
    stgi();
    EXPECT("#DB", taken);
}

TEST("15.17/vmrun-sets-gif")
{
    GUEST("nop");
    clgi();
    self_interrupt(0x50);
    expect_exit(EXIT_INTR);
}

TEST("15.17/clgi-in-a-guest-holds-virtual-interrupts")
{
    REQUIRE(!(svm_features & BIT(HAS_VGIF)), "with virtual GIF §15.33.2 has a test of its own");
    GUEST3("clgi; sti; nop; nop", "stgi", "nop; nop");
    pend(0x51, 15);
    expect_vector(0x51);
    EXPECT("the interrupt came behind STGI", guest_pushed(0) >= insn_next);
}

TEST("15.17/clgi-in-a-guest-holds-physical-interrupts")
{
    GUEST3("clgi; mov $0xfee00300, %%ecx; movl $0x44050, (%%rcx); nop; nop; nop", "stgi", "nop; nop");
    expect_exit(EXIT_INTR);
    EXPECT("the exit came behind STGI", v.rip >= insn_next);
}
