/* What each processor has of its own, and what comes from another one. Skipped where there is only one. */
#include "frame.h"

#define NEEDS_ANOTHER REQUIRE(has_helper(), "there is no other processor to help")

static volatile u32 step;
static volatile u64 seen;

static void send_to_target(u32 command)
{
    apic_write(APIC_ICR_HIGH, (u32)helper_target() << 24);
    apic_write(APIC_ICR, command);
}

static void wait_for_step(u32 value)
{
    for (u64 i = 0; i < 100000000 && step < value; i++)
        cpu_relax();
}

static void interrupt_the_guest(void)
{
    wait_for_step(1);
    send_to_target(0x4050);
}

TEST("15.13.1/intr-from-another-processor-ends-a-loop")
{
    NEEDS_ANOTHER;
    GUEST("movl $1, step; 1: pause; jmp 1b");
    step = 0;
    start_helper(interrupt_the_guest);
    expect_exit(EXIT_INTR);
    take_interrupts();
    EXPECT_EQ("interrupts", interrupts[0x50], 1);
    EXPECT("the other processor is done", wait_for_helper());
}

static void nmi_for_the_guest(void)
{
    wait_for_step(1);
    send_to_target(0x4400);
}

TEST("15.13.2/nmi-from-another-processor-ends-a-loop")
{
    NEEDS_ANOTHER;
    GUEST("movl $1, step; 1: pause; jmp 1b");
    v.intercept_1 |= BIT(I1_NMI);
    step = 0;
    start_helper(nmi_for_the_guest);
    expect_exit(EXIT_NMI);
    EXPECT("the other processor is done", wait_for_helper());
}

TEST("15.13.1/intr-from-another-processor-ends-hlt")
{
    NEEDS_ANOTHER;
    GUEST("movl $1, step; hlt");
    step = 0;
    start_helper(interrupt_the_guest);
    expect_exit(EXIT_INTR);
    take_interrupts();
    EXPECT_EQ("interrupts", interrupts[0x50], 1);
    EXPECT("the other processor is done", wait_for_helper());
}

static void clear_gif(void)
{
    become_host();
    clgi();
    step = 1;
    wait_for_step(2);
    stgi();
}

TEST("15.17/gif-is-one-for-each-processor")
{
    NEEDS_ANOTHER;
    step = 0;
    start_helper(clear_gif);
    wait_for_step(1);
    self_interrupt(0x50);
    take_interrupts();
    step = 2;
    EXPECT_EQ("interrupts while the other's GIF is clear", interrupts[0x50], 1);
    EXPECT("the other processor is done", wait_for_helper());
}

static void read_efer(void) { seen = rdmsr(MSR_EFER); }

TEST("15.4/svme-is-one-for-each-processor")
{
    NEEDS_ANOTHER;
    start_helper(read_efer);
    EXPECT("the other processor is done", wait_for_helper());
    EXPECT_EQ("the other's EFER.SVME, which INIT cleared", seen & EFER_SVME, 0);
    EXPECT_EQ("EFER.SVME here", rdmsr(MSR_EFER) & EFER_SVME, EFER_SVME);
}

static void write_hsave(void)
{
    wrmsr(MSR_VM_HSAVE_PA, (u64)page[1]);
    seen = rdmsr(MSR_VM_HSAVE_PA);
}

TEST("15.30.4/vm-hsave-pa-is-one-for-each-processor")
{
    NEEDS_ANOTHER;
    start_helper(write_hsave);
    EXPECT("the other processor is done", wait_for_helper());
    EXPECT_EQ("the other's VM_HSAVE_PA", seen, (u64)page[1]);
    EXPECT_EQ("VM_HSAVE_PA here", rdmsr(MSR_VM_HSAVE_PA), (u64)host_save);
}

static u8 other_host_save[4096] ALIGNED(4096);
static void run_the_guest_there(void)
{
    become_host();
    wrmsr(MSR_VM_HSAVE_PA, (u64)other_host_save);
    v.clean = 0;
    v.tlb_control = 1;
    enter(&v, &r, &host);
}

TEST("15.15.2/guest-goes-on-at-another-processor")
{
    NEEDS_ANOTHER;
    GUEST3("mov $0x1234, %%ebx", "cpuid", "");
    v.intercept_1 |= BIT(I1_CPUID);
    expect_exit(EXIT_CPUID);
    v.rip = insn_next;
    r.rcx = 0x77;
    start_helper(run_the_guest_there);
    EXPECT("the other processor is done", wait_for_helper());
    exits_with(EXIT_VMMCALL);
    EXPECT_EQ("RIP", v.rip, code_end);
    EXPECT_EQ("RBX", r.rbx, 0x1234);
}

static struct vmcb theirs;
static struct guest_registers their_registers;
static void run_another_guest(void)
{
    become_host();
    wrmsr(MSR_VM_HSAVE_PA, (u64)other_host_save);
    theirs = v;
    their_registers = r;
    step = 2;
    enter(&theirs, &their_registers, &host);
}

TEST("15.16/asids-are-those-of-each-processor")
{
    NEEDS_ANOTHER;
    *(u64 *)page[0] = 0x100;
    *(u64 *)page[1] = 0x101;
    GUEST("mov 0x100000000, %%rax; mov %%rax, %%rbx");
    expect_done();
    EXPECT_EQ("here", r.rbx, 0x100);
    guest_window[0] = (guest_window[0] & 0xfff) | (u64)page[1];
    v.rip = code_start;
    start_helper(run_another_guest); /* TLB_CONTROL 1 flushes there; the same ASID means other translations */
    EXPECT("the other processor is done", wait_for_helper());
    EXPECT_EQ("there", their_registers.rbx, 0x101);
}
