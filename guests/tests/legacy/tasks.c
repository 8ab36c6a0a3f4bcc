/* Task switches (APM volume 2, chapter 12). */
#include "frame.h"

enum { OTHER_TSS = FREE, TASK_GATE = FREE + 8 };

static struct tss other ALIGNED(4096);
static u8 other_stack[4096] ALIGNED(16);
extern u8 task_entry[], task_leaves_by_jump[], task_with_error[], task_rescues[], leave_ring[];
extern u32 task_seen[8], saved_stack;
/* What a task does: notes EAX, EFLAGS, TR, CR0, DS, LDTR and its stack, then goes back. */
__asm__(".globl task_entry, task_leaves_by_jump, task_with_error, task_rescues, task_seen\n"
        "task_note: mov %eax, task_seen; pushf; pop task_seen + 4; str task_seen + 8; mov %cr0, %eax; mov %eax, task_seen + 12\n"
        "mov %ds, task_seen + 16; sldt task_seen + 20; lea 4(%esp), %eax; mov %eax, task_seen + 24; ret\n"
        "task_entry: call task_note; iret; jmp task_entry\n"
        "task_leaves_by_jump: call task_note; ljmp $0x28, $0; jmp task_leaves_by_jump\n"
        "task_with_error: call task_note; pop task_seen + 28; movl $task_continue, tss + 32; iret; jmp task_with_error\n"
        "task_rescues: call task_note; pop task_seen + 28\n"
        "movl $leave_ring, tss + 32; movl $2, tss + 36; mov saved_stack, %eax; mov %eax, tss + 56\n"
        "movl $0x08, tss + 76; movl $0x10, tss + 80; movl $0x10, tss + 72; movl $0x10, tss + 84; iret\n"
        ".data\n.balign 4\ntask_seen: .skip 32\n.text");

static void prepare(const void *entry)
{
    memset(&other, 0, sizeof other);
    memset(task_seen, 0, 32);
    other.cr3 = (u32)read_cr3();
    other.eip = (u32)entry;
    other.eflags = 2;
    other.eax = 0x11112222;
    other.esp = (u32)other_stack + sizeof other_stack;
    other.cs = CODE;
    other.ss = other.ds = other.es = FLAT;
    other.io_map = sizeof other;
    gdt[OTHER_TSS / 8] = descriptor((u32)&other, sizeof other - 1, 0x89, 0);
    gdt[TASK_GATE / 8] = (u64)OTHER_TSS << 16 | 0x85ull << 40;
}
static unsigned type_of(u16 selector) { return (unsigned)(gdt[selector / 8] >> 40 & 0xf); }
#define JUMP(selector) __asm__ volatile("ljmp %0, $0" ::"i"(selector) : "memory", "cc")
/* A fault in the new task comes back with the new task's registers. */
#define EVERYTHING "eax", "ebx", "ecx", "edx", "esi", "edi", "ebp", "memory", "cc"
#define CALL(selector) __asm__ volatile("lcall %0, $0" ::"i"(selector) : "memory", "cc")

TEST(task, jump_there_and_back)
{
    prepare(task_leaves_by_jump);
    u32 mark = 0x77778888;
    __asm__ volatile("ljmp %1, $0" : "+b"(mark) : "i"(OTHER_TSS) : "memory", "cc");
    EXPECT_EQ(mark, 0x77778888);
    EXPECT_EQ(tss.ebx, 0x77778888); /* saved on the way out */
    EXPECT_EQ(task_seen[0], 0x11112222);
    EXPECT_EQ(task_seen[1] & FLAG_NT, 0);
    EXPECT_EQ(task_seen[2] & 0xffff, OTHER_TSS);
    EXPECT_EQ(task_seen[4] & 0xffff, FLAT);
    EXPECT_EQ(task_seen[6], (u32)other_stack + sizeof other_stack);
    EXPECT_EQ(type_of(OTHER_TSS), 9); /* not busy any more */
    EXPECT_EQ(type_of(MAIN_TSS), 11);
}
TEST(task, switch_sets_ts)
{
    prepare(task_leaves_by_jump);
    __asm__ volatile("clts");
    JUMP(OTHER_TSS);
    EXPECT_EQ(task_seen[3] & 8, 8);
    EXPECT(read_cr0() & 8);
}
TEST(task, call_nests_and_iret_returns)
{
    prepare(task_entry);
    CALL(OTHER_TSS);
    EXPECT_EQ(task_seen[1] & FLAG_NT, FLAG_NT);
    EXPECT_EQ(other.link, MAIN_TSS);
    EXPECT_EQ(read_flags() & FLAG_NT, 0);
    EXPECT_EQ(other.eflags & FLAG_NT, 0); /* IRET clears it in the image it saves */
    EXPECT_EQ(type_of(OTHER_TSS), 9);
    EXPECT_EQ(type_of(MAIN_TSS), 11);
    CALL(OTHER_TSS); /* continues behind its IRET */
    EXPECT_EQ(task_seen[2] & 0xffff, OTHER_TSS);
}
TEST(task, call_through_a_task_gate)
{
    prepare(task_entry);
    CALL(TASK_GATE);
    EXPECT_EQ(task_seen[2] & 0xffff, OTHER_TSS);
}
TEST(task, interrupt_through_a_task_gate)
{
    prepare(task_entry);
    idt[0x80] = (u64)OTHER_TSS << 16 | 0x85ull << 40;
    __asm__ volatile("int $0x80" ::: "memory", "cc");
    EXPECT_EQ(task_seen[1] & FLAG_NT, FLAG_NT);
    EXPECT_EQ(task_seen[6], (u32)other_stack + sizeof other_stack); /* no error code */
}
TEST(task, exception_pushes_its_error_code_on_the_new_stack)
{
    prepare(task_with_error);
    idt[GP] = (u64)OTHER_TSS << 16 | 0x85ull << 40;
    __asm__ volatile("mov %0, %%fs\n.globl task_continue\ntask_continue:" ::"r"(0x1f0) : "memory", "cc");
    EXPECT_EQ(task_seen[7], 0x1f0);
    EXPECT_EQ(task_seen[6], (u32)other_stack + sizeof other_stack - 4);
}
TEST(task, local_descriptor_table_is_loaded)
{
    prepare(task_leaves_by_jump);
    gdt[(FREE + 16) / 8] = descriptor((u32)scratch, 63, 0x82, 0);
    other.ldt = FREE + 16;
    JUMP(OTHER_TSS);
    EXPECT_EQ(task_seen[5] & 0xffff, FREE + 16);
}
TEST_QEMU_FAILS(task, trap_bit, "QEMU ignores the T bit (APM 2 §12.2.2)")
{
    prepare(task_leaves_by_jump);
    other.trap = 1;
    fault.taken = false;
    TRY("ljmp %0, $0", : : "i"(OTHER_TSS) : EVERYTHING);
    EXPECT_FAULT(DB, 0);
    u32 dr6;
    __asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
    EXPECT_EQ(dr6 & 0x8000, 0x8000);
    EXPECT_EQ(fault.frame.eip, (u32)task_leaves_by_jump);
}
TEST(task, local_breakpoints_are_cleared)
{
    prepare(task_leaves_by_jump);
    __asm__ volatile("mov %0, %%dr0; mov %1, %%dr7" ::"r"(0x1000000), "r"(0x403));
    JUMP(OTHER_TSS);
    u32 dr7;
    __asm__ volatile("mov %%dr7, %0" : "=r"(dr7));
    EXPECT_EQ(dr7 & 3, 2);
}
TEST(task, absent)
{
    prepare(task_leaves_by_jump);
    gdt[OTHER_TSS / 8] &= ~(0x80ull << 40);
    TRY("ljmp %0, $0", : : "i"(OTHER_TSS) : EVERYTHING);
    EXPECT_FAULT(NP, OTHER_TSS);
}
TEST(task, limit_below_103)
{
    prepare(task_leaves_by_jump);
    gdt[OTHER_TSS / 8] = descriptor((u32)&other, 102, 0x89, 0);
    TRY("ljmp %0, $0", : : "i"(OTHER_TSS) : EVERYTHING);
    EXPECT_FAULT(TSF, OTHER_TSS);
}
TEST(task, busy)
{
    prepare(task_leaves_by_jump);
    gdt[OTHER_TSS / 8] |= 2ull << 40;
    TRY("ljmp %0, $0", : : "i"(OTHER_TSS) : EVERYTHING);
    EXPECT_FAULT(GP, OTHER_TSS);
}
TEST(task, iret_to_a_task_that_is_not_busy)
{
    prepare(task_leaves_by_jump);
    tss.link = OTHER_TSS;
    TRY_THEN("pushf; orl $0x4000, (%%esp); popf; iret", "pushl $2; popf", : : : "memory", "cc");
    EXPECT_FAULT(TSF, OTHER_TSS);
    tss.link = 0;
}
TEST(task, bad_data_segment_faults_in_the_new_task)
{
    prepare(task_leaves_by_jump);
    other.es = FREE + 16; /* a null descriptor */
    TRY("ljmp %0, $0", : : "i"(OTHER_TSS) : EVERYTHING);
    EXPECT_FAULT(TSF, FREE + 16);
    u32 tr;
    __asm__ volatile("str %0" : "=r"(tr));
    EXPECT_EQ(tr & 0xffff, OTHER_TSS);
}
TEST_QEMU_FAILS(task, such_a_fault_points_to_the_new_task, "QEMU 7.2 reports the old task's EIP (APM 2 §12.3.4)")
{
    prepare(task_leaves_by_jump);
    other.es = FREE + 16;
    TRY("ljmp %0, $0", : : "i"(OTHER_TSS) : EVERYTHING);
    EXPECT_FAULT(TSF, FREE + 16);
    EXPECT_EQ(fault.frame.eip, (u32)task_leaves_by_jump);
}
TEST(task, absent_data_segment_faults_in_the_new_task)
{
    prepare(task_leaves_by_jump);
    gdt[(FREE + 16) / 8] = descriptor(0, 0xfffff, 0x13, 0xc);
    other.fs = FREE + 16;
    TRY("ljmp %0, $0", : : "i"(OTHER_TSS) : EVERYTHING);
    EXPECT_FAULT(NP, FREE + 16);
}
static u32 user_jump(void)
{
    __asm__ volatile("ljmp %0, $0" ::"i"(OTHER_TSS | 3) : "memory");
    return 0;
}
TEST(task, descriptor_privilege)
{
    prepare(task_leaves_by_jump);
    in_ring_3(user_jump, 0);
    EXPECT_FAULT(GP, OTHER_TSS);
}
static u32 user_int(void)
{
    __asm__ volatile("int $0x80");
    return 0;
}
TEST(task, bad_inner_stack)
{
    prepare(task_rescues);
    idt[TSF] = (u64)OTHER_TSS << 16 | 0x85ull << 40;
    set_gate(0x80, CODE, STUB(0x80), 0xe, 3, true);
    tss.ss0 = USER_FLAT | 3; /* wrong privilege for ring 0 */
    in_ring_3(user_int, 0);
    tss.ss0 = FLAT;
    EXPECT_EQ(task_seen[7], USER_FLAT);
}
/* --- tasks of 16 bits ------------------------------------------------------------------------------------------------------------------ */
TEST(task, tss_of_16_bits)
{
    struct tss16 { u16 link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt; } *small = fresh_page();
    extern u8 code16_start[], task16[];
    memset(task_seen, 0, 32);
    small->ip = (u16)((u32)task16 - (u32)code16_start);
    small->flags = 2;
    small->ax = 0x4321;
    small->sp = 0xe000;
    small->cs = CODE16;
    small->ss = small->ds = small->es = DATA16;
    gdt[OTHER_TSS / 8] = descriptor((u32)small, 43, 0x81, 0);
    JUMP(OTHER_TSS);
    EXPECT_EQ(RESULTS[0], 0x4321);
    EXPECT_EQ(RESULTS[1], OTHER_TSS);
    EXPECT_EQ(type_of(OTHER_TSS), 1);
    EXPECT_EQ(type_of(MAIN_TSS), 11);
}
