/* Single step, breakpoints, interrupt shadows (APM volume 2, chapter 13, and §8.5). */
#include "frame.h"

#define DR6_B(n) BIT(n)
#define DR6_BD BIT(13)
#define DR6_BS BIT(14)
#define DR6_CLEAR 0xffff0ff0ull
enum { BREAK_EXECUTE = 0, BREAK_WRITE = 1, BREAK_IO = 2, BREAK_ACCESS = 3 };

static u64 read_dr6(void) { u64 v; __asm__ volatile("mov %%dr6, %0" : "=r"(v)); return v; }
static void write_dr6(u64 v) { __asm__ volatile("mov %0, %%dr6" ::"r"(v)); }
static u64 read_dr7(void) { u64 v; __asm__ volatile("mov %%dr7, %0" : "=r"(v)); return v; }
static void write_dr7(u64 v) { __asm__ volatile("mov %0, %%dr7" ::"r"(v)); }

/* What the #DB handler saw, one entry a #DB. */
static volatile struct { u64 rip, flags, dr6; } hits[64];
static volatile unsigned hit_count;
static volatile u64 stop_stepping_at;
static void note(struct interrupt_frame *frame)
{
    if (hit_count < ARRAY_SIZE(hits)) {
        hits[hit_count].rip = frame->rip;
        hits[hit_count].flags = frame->rflags;
        hits[hit_count].dr6 = read_dr6();
    }
    hit_count++;
    write_dr6(DR6_CLEAR);
    if (frame->rip == stop_stepping_at || hit_count >= ARRAY_SIZE(hits))
        frame->rflags &= ~FLAG_TF;
    if (!(frame->rflags & FLAG_TF))
        frame->rflags |= FLAG_RF;
}
static void watch_debug(void)
{
    hit_count = 0;
    stop_stepping_at = 0;
    memset((void *)hits, 0, sizeof hits);
    write_dr6(DR6_CLEAR);
    on_interrupt(DB, note);
}
static void breakpoint(unsigned n, const volatile void *address, unsigned kind, unsigned length)
{
    u64 at = (u64)address, code = length == 8 ? 2 : length - 1;
    switch (n) {
    case 0: __asm__ volatile("mov %0, %%dr0" ::"r"(at)); break;
    case 1: __asm__ volatile("mov %0, %%dr1" ::"r"(at)); break;
    case 2: __asm__ volatile("mov %0, %%dr2" ::"r"(at)); break;
    default: __asm__ volatile("mov %0, %%dr3" ::"r"(at));
    }
    write_dr7((read_dr7() & ~(0xfull << (16 + 4 * n))) | (u64)kind << (16 + 4 * n) | code << (18 + 4 * n) | 2ull << 2 * n);
}

/* --- registers ------------------------------------------------------------------------------------------------------------------ */
TEST(debug, address_registers_hold_64_bits)
{
    u64 value;
    __asm__ volatile("mov %0, %%dr3" ::"r"(0x0000123456789abc));
    __asm__ volatile("mov %%dr3, %0" : "=r"(value));
    EXPECT_EQ(value, 0x0000123456789abc);
}
TEST(debug, fixed_bits_of_dr6_and_dr7)
{
    write_dr6(0);
    EXPECT_EQ(read_dr6(), DR6_CLEAR);
    write_dr7(0);
    EXPECT_EQ(read_dr7(), 0x400);
}
TEST(debug, dr4_and_dr5_are_dr6_and_dr7_without_de)
{
    u64 value;
    write_dr6(DR6_CLEAR);
    __asm__ volatile(".byte 0x0f, 0x21, 0xe0" : "=a"(value)); /* mov rax, dr4 */
    EXPECT_EQ(value, DR6_CLEAR);
    write_cr4(read_cr4() | CR4_DE);
    TRY(".byte 0x0f, 0x21, 0xe0", : : : "rax");
    EXPECT_FAULT(UD, 0);
}
TEST_QEMU_FAILS(debug, upper_halves_of_dr6_and_dr7_must_be_zero, "QEMU 7.2 takes them (APM 2 §13.1.1)")
{
    TRY("mov %0, %%dr6", : : "r"(1ull << 32));
    EXPECT_FAULT(GP, 0);
    TRY("mov %0, %%dr7", : : "r"(1ull << 32));
    EXPECT_FAULT(GP, 0);
}
TEST_QEMU_FAILS(debug, general_detect, "QEMU has no general detect (APM 2 §13.1.1.3)")
{
    watch_debug();
    write_dr7(0x400 | BIT(13));
    u64 value;
    __asm__ volatile("1: mov %%dr0, %0" : "=r"(value));
    EXPECT_EQ(hit_count, 1);
    EXPECT_EQ(hits[0].dr6 & (DR6_BD | DR6_BS), DR6_BD);
    EXPECT_EQ(read_dr7() & BIT(13), 0); /* cleared, or the handler could do nothing */
}

/* --- single step ------------------------------------------------------------------------------------------------------------------ */
#define STEP_ON "pushfq; orq $0x100, (%%rsp); popfq\n\t"
#define STEP_OFF "pushfq; andq $~0x100, (%%rsp); popfq\n\t"

TEST(step, traps_behind_each_instruction)
{
    u64 first, second, third;
    watch_debug();
    __asm__ volatile("lea 1f(%%rip), %0; lea 2f(%%rip), %1; lea 3f(%%rip), %2; mov %2, stop_stepping_at\n\t" STEP_ON
                     "nop\n1: mov $5, %%eax\n2: inc %%eax\n3:"
                     : "=&r"(first), "=&r"(second), "=&r"(third)::"rax", "memory", "cc");
    EXPECT_EQ(hit_count, 3);
    EXPECT_EQ(hits[0].rip, first);
    EXPECT_EQ(hits[1].rip, second);
    EXPECT_EQ(hits[2].rip, third);
    EXPECT_EQ(hits[0].dr6, DR6_CLEAR | DR6_BS);
    EXPECT_EQ(hits[0].flags & FLAG_TF, FLAG_TF);
}
TEST(step, popf_that_clears_tf_is_the_last)
{
    watch_debug();
    __asm__ volatile(STEP_ON "nop\n\t" STEP_OFF "nop" ::: "memory", "cc");
    EXPECT_EQ(hit_count, 4); /* nop, pushfq, andq, popfq: TF was set when POPF began */
}
TEST(step, rep_string_traps_after_each_iteration)
{
    u64 count = 3;
    const void *from = scratch;
    void *to = scratch + 64;
    watch_debug();
    __asm__ volatile("lea 2f(%%rip), %%rax; mov %%rax, stop_stepping_at\n\t" STEP_ON "1: rep movsb\n2:" : "+S"(from), "+D"(to), "+c"(count)::"rax", "memory", "cc");
    EXPECT_EQ(hit_count, 3);
    EXPECT_EQ(hits[0].rip, hits[1].rip);
    EXPECT(hits[2].rip > hits[1].rip);
    EXPECT_EQ(count, 0);
}
TEST(step, mov_ss_holds_the_trap_back)
{
    u64 after;
    watch_debug();
    __asm__ volatile("lea 2f(%%rip), %0; mov %0, stop_stepping_at; mov %%ss, %%ecx\n\t" STEP_ON "mov %%ecx, %%ss\n\tnop\n2:" : "=&r"(after)::"rcx", "memory", "cc");
    EXPECT_EQ(hit_count, 1);
    EXPECT_EQ(hits[0].rip, after);
}
TEST(step, int_n_clears_tf_and_resumes_stepping_behind)
{
    watch_debug();
    on_interrupt(0x80, count_interrupt);
    u64 after;
    __asm__ volatile("lea 2f(%%rip), %0; mov %0, stop_stepping_at\n\t" STEP_ON "int $0x80\n1: nop\n2:" : "=&r"(after)::"memory", "cc");
    EXPECT_EQ(interrupts[0x80], 1);
    EXPECT_EQ(hits[hit_count - 1].rip, after);
    EXPECT_EQ(hit_count, 1); /* INT leaves no pending trap; IRET sets TF again, and traps behind the next instruction */
}
TEST(step, syscall_traps_by_the_mask)
{
    u64 after;
    watch_debug();
    __asm__ volatile("lea 2f(%%rip), %0; mov %0, stop_stepping_at\n\t" STEP_ON "jmp 1f\n\tud2\n1: nop\n2:" : "=&r"(after)::"memory", "cc");
    EXPECT_EQ(hit_count, 2); /* a taken jump is one step */
    EXPECT_EQ(hits[1].rip, after);
}
TEST(step, faulting_instruction_does_not_trap)
{
    watch_debug();
    TRY("pushfq; orq $0x100, (%%rsp); popfq; ud2", :);
    EXPECT_FAULT(UD, 0);
    EXPECT_EQ(hit_count, 0);
    EXPECT_EQ(fault.rflags & FLAG_TF, FLAG_TF);
}
TEST_QEMU_FAILS(step, int1, "QEMU 7.2 gives F1 to its own debugger (APM 3, INT1)")
{
    u64 after = 0;
    watch_debug();
    TRY("lea 1f(%%rip), %0\n\t.byte 0xf1\n1:", : "=&r"(after) : : "memory");
    EXPECT_EQ(hit_count, 1);
    EXPECT_EQ(hits[0].rip, after);
    EXPECT_EQ(hits[0].dr6 & DR6_BS, 0);
}

/* --- breakpoints -------------------------------------------------------------------------------------------------------------------- */
extern u8 break_here[], break_next[];
void pass_by(void);
__asm__("pass_by: break_here: nop\nbreak_next: nop\nret");

TEST(breakpoint, execution_is_a_fault)
{
    watch_debug();
    breakpoint(0, break_here, BREAK_EXECUTE, 1);
    pass_by();
    EXPECT_EQ(hit_count, 1);
    EXPECT_EQ(hits[0].rip, break_here);
    EXPECT_EQ(hits[0].dr6 & (DR6_BS | 0xf), DR6_B(0));
}
TEST(breakpoint, resume_flag_is_good_for_one_instruction)
{
    watch_debug();
    breakpoint(0, break_here, BREAK_EXECUTE, 1);
    breakpoint(1, break_next, BREAK_EXECUTE, 1);
    pass_by();
    EXPECT_EQ(hit_count, 2);
    EXPECT_EQ(hits[1].rip, break_next);
    EXPECT_EQ(hits[1].dr6 & 0xf, DR6_B(1));
    pass_by();
    EXPECT_EQ(hit_count, 4);
}
TEST(breakpoint, disabled_is_silent)
{
    watch_debug();
    breakpoint(0, break_here, BREAK_EXECUTE, 1);
    write_dr7(0x400);
    pass_by();
    EXPECT_EQ(hit_count, 0);
}
TEST(breakpoint, local_enable_works_too)
{
    watch_debug();
    breakpoint(2, break_here, BREAK_EXECUTE, 1);
    write_dr7(0x400 | BIT(4));
    pass_by();
    EXPECT_EQ(hit_count, 1);
    EXPECT_EQ(hits[0].dr6 & DR6_B(2), DR6_B(2)); /* bits of conditions that are met but disabled may be set too */
}
TEST(breakpoint, write_is_a_trap)
{
    u64 after;
    watch_debug();
    breakpoint(1, scratch + 8, BREAK_WRITE, 4);
    __asm__ volatile("lea 1f(%%rip), %0; movl $1, (%1)\n1:" : "=&r"(after) : "r"(scratch + 8) : "memory");
    EXPECT_EQ(hit_count, 1);
    EXPECT_EQ(hits[0].rip, after);
    EXPECT_EQ(hits[0].dr6 & 0xf, DR6_B(1));
    EXPECT_EQ(scratch[8], 1);
}
TEST(breakpoint, write_ignores_reads)
{
    watch_debug();
    breakpoint(0, scratch + 8, BREAK_WRITE, 4);
    (void)*(volatile u32 *)(scratch + 8);
    EXPECT_EQ(hit_count, 0);
}
TEST(breakpoint, access_sees_reads_and_writes)
{
    watch_debug();
    breakpoint(0, scratch + 8, BREAK_ACCESS, 4);
    (void)*(volatile u32 *)(scratch + 8);
    *(volatile u32 *)(scratch + 8) = 1;
    EXPECT_EQ(hit_count, 2);
}
TEST(breakpoint, length_bounds)
{
    watch_debug();
    breakpoint(0, scratch + 16, BREAK_WRITE, 4);
    *(volatile u8 *)(scratch + 15) = 1;
    *(volatile u8 *)(scratch + 20) = 1;
    EXPECT_EQ(hit_count, 0);
    *(volatile u8 *)(scratch + 19) = 1;
    EXPECT_EQ(hit_count, 1);
    *(volatile u64 *)(scratch + 13) = 1; /* overlaps from below */
    EXPECT_EQ(hit_count, 2);
}
TEST(breakpoint, eight_bytes)
{
    watch_debug();
    breakpoint(0, scratch + 16, BREAK_WRITE, 8);
    *(volatile u8 *)(scratch + 23) = 1;
    EXPECT_EQ(hit_count, 1);
    *(volatile u8 *)(scratch + 24) = 1;
    EXPECT_EQ(hit_count, 1);
}
TEST_QEMU_FAILS(breakpoint, two_at_once, "QEMU 7.2 reports the first alone (APM 2 §13.1.1.2)")
{
    watch_debug();
    breakpoint(0, scratch + 16, BREAK_WRITE, 1);
    breakpoint(3, scratch + 17, BREAK_ACCESS, 1);
    *(volatile u16 *)(scratch + 16) = 1;
    EXPECT_EQ(hit_count, 1);
    EXPECT_EQ(hits[0].dr6 & 0xf, DR6_B(0) | DR6_B(3));
}
TEST(breakpoint, other_parts_of_the_page_are_silent)
{
    watch_debug();
    breakpoint(0, scratch + 16, BREAK_WRITE, 1);
    for (unsigned i = 32; i < 4096; i++)
        *(volatile u8 *)(scratch + i) = (u8)i;
    EXPECT_EQ(hit_count, 0);
}
TEST(breakpoint, stack_and_string_writes_count)
{
    watch_debug();
    breakpoint(0, scratch + 256, BREAK_WRITE, 8);
    __asm__ volatile("mov %%rsp, %%rbx; lea 8(%0), %%rsp; push %%rax; mov %%rbx, %%rsp" ::"r"(scratch + 256) : "rbx", "memory");
    EXPECT_EQ(hit_count, 1);
    void *to = scratch + 256;
    __asm__ volatile("stosq" : "+D"(to) : "a"(0) : "memory");
    EXPECT_EQ(hit_count, 2);
}
TEST_QEMU_FAILS(breakpoint, mov_ss_holds_a_data_breakpoint_back, "QEMU 7.2 reports it at once (APM 2 §8.5, APM 3 MOV)")
{
    u64 after;
    watch_debug();
    *(u32 *)(scratch + 8) = DATA;
    breakpoint(0, scratch + 8, BREAK_ACCESS, 4);
    __asm__ volatile("lea 1f(%%rip), %0; movw (%1), %%ss; nop\n1:" : "=&r"(after) : "r"(scratch + 8) : "memory");
    EXPECT_EQ(hit_count, 1);
    EXPECT_EQ(hits[0].rip, after);
}
TEST(breakpoint, port)
{
    u64 after;
    watch_debug();
    write_cr4(read_cr4() | CR4_DE);
    breakpoint(0, (void *)0x80, BREAK_IO, 1);
    __asm__ volatile("lea 1f(%%rip), %0; outb %%al, $0x80\n1: outb %%al, $0x84" : "=&r"(after)::"memory");
    EXPECT_EQ(hit_count, 1);
    EXPECT_EQ(hits[0].rip, after);
    EXPECT_EQ(hits[0].dr6 & 0xf, DR6_B(0));
}
TEST(breakpoint, iret_sets_rf)
{
    watch_debug();
    breakpoint(0, break_here, BREAK_EXECUTE, 1);
    __asm__ volatile("mov %%rsp, %%rax; push $2f; lea -8(%%rax), %%rcx; push $0x10; push %%rcx; pushfq; orq $0x10000, (%%rsp); push $0x08; push $break_here; iretq\n2:"
                     ::: "rax", "rcx", "memory", "cc");
    EXPECT_EQ(hit_count, 0);
}

/* --- interrupt shadows --------------------------------------------------------------------------------------------------------------- */
enum { SELF_IPI = 0x40000, VECTOR = 0x90 };
static void request(u8 vector) /* pending at once, since IF is clear */
{
    apic_write(APIC_ICR, SELF_IPI | vector);
    for (int i = 0; i < 100; i++)
        cpu_relax();
}
TEST(shadow, sti_lets_one_instruction_run)
{
    u64 after;
    request(VECTOR);
    __asm__ volatile("lea 1f(%%rip), %0; sti; nop\n1: nop; cli" : "=&r"(after)::"memory");
    EXPECT_EQ(interrupts[VECTOR], 1);
    EXPECT_EQ(interrupt_rip, after);
}
TEST(shadow, sti_then_cli_lets_nothing_in)
{
    request(VECTOR);
    __asm__ volatile("sti; cli; nop" ::: "memory");
    EXPECT_EQ(interrupts[VECTOR], 0);
    let_interrupts_in();
    EXPECT_EQ(interrupts[VECTOR], 1);
}
TEST(shadow, second_sti_has_none)
{
    u64 after;
    request(VECTOR);
    __asm__ volatile("lea 1f(%%rip), %0; sti; sti\n1: nop; nop; cli" : "=&r"(after)::"memory");
    EXPECT_EQ(interrupts[VECTOR], 1);
    EXPECT_EQ(interrupt_rip, after);
}
TEST(shadow, mov_ss)
{
    u64 after;
    /* POPF enables without a shadow: the interrupt would come before MOV SS; STI's own shadow covers it */
    request(VECTOR);
    __asm__ volatile("mov %%ss, %%ecx; lea 1f(%%rip), %0; sti; mov %%ecx, %%ss\n\tnop\n1: nop; cli" : "=&r"(after)::"rcx", "memory");
    EXPECT_EQ(interrupts[VECTOR], 1);
    EXPECT(interrupt_rip == after || interrupt_rip == after - 1);
}
TEST(shadow, popf_has_none)
{
    u64 after;
    request(VECTOR);
    __asm__ volatile("lea 1f(%%rip), %0; pushfq; orq $0x200, (%%rsp); popfq\n1: nop; cli" : "=&r"(after)::"memory", "cc");
    EXPECT_EQ(interrupts[VECTOR], 1);
    EXPECT_EQ(interrupt_rip, after);
}
TEST(shadow, hlt_behind_sti_is_woken)
{
    request(VECTOR);
    __asm__ volatile("sti; hlt; cli" ::: "memory");
    EXPECT_EQ(interrupts[VECTOR], 1);
}
