/* 32-bit protected mode: limits, types, gates, rings, fast system calls (APM volume 2, chapters 4, 6, 8). */
#include "frame.h"

#define LIMITS "QEMU TCG checks no segment limits or types of access (APM 2 §4.12)"

/* --- limits: FS covers part of scratch -------------------------------------------------------------------------------------------- */
static void load_fs(u64 d)
{
    gdt[FREE / 8] = d;
    __asm__ volatile("mov %0, %%fs" ::"r"(FREE));
}
#define FS_BYTE(offset) TRY("movb %%fs:(%0), %%al", : : "r"(offset) : "eax")
#define FS_LONG(offset) TRY("movl %%fs:(%0), %%eax", : : "r"(offset) : "eax")

TEST(segment, base_is_added)
{
    *(volatile u32 *)(scratch + 0x124) = 0x12345678;
    load_fs(descriptor((u32)scratch + 0x100, 0xff, 0x93, 4));
    u32 value;
    __asm__ volatile("movl %%fs:0x24, %0" : "=r"(value));
    EXPECT_EQ(value, 0x12345678);
}
TEST(segment, base_wraps_at_4_gib)
{
    scratch[5] = 0x42;
    load_fs(descriptor((u32)scratch + 0x10, 0xfffff, 0x93, 0xc));
    u8 value;
    __asm__ volatile("movb %%fs:(%1), %0" : "=q"(value) : "r"(-11));
    EXPECT_EQ(value, 0x42);
}
TEST(limit, last_byte_is_inside)
{
    load_fs(descriptor((u32)scratch, 0xff, 0x93, 4));
    FS_BYTE(0xff);
    EXPECT_NO_FAULT();
    FS_LONG(0xfc);
    EXPECT_NO_FAULT();
}
TEST_QEMU_FAILS(limit, first_byte_beyond, LIMITS)
{
    load_fs(descriptor((u32)scratch, 0xff, 0x93, 4));
    FS_BYTE(0x100);
    EXPECT_FAULT(GP, 0);
}
TEST_QEMU_FAILS(limit, operand_across_the_limit, LIMITS)
{
    load_fs(descriptor((u32)scratch, 0xff, 0x93, 4));
    FS_LONG(0xfd);
    EXPECT_FAULT(GP, 0);
}
TEST_QEMU_FAILS(limit, page_granular, LIMITS)
{
    load_fs(descriptor((u32)scratch, 1, 0x93, 0xc));
    FS_BYTE(0x1fff);
    EXPECT_NO_FAULT();
    FS_BYTE(0x2000);
    EXPECT_FAULT(GP, 0);
}
TEST_QEMU_FAILS(limit, expand_down, LIMITS)
{
    load_fs(descriptor((u32)scratch, 0xff, 0x97, 4));
    FS_BYTE(0x100);
    EXPECT_NO_FAULT();
    FS_BYTE(0xff);
    EXPECT_FAULT(GP, 0);
}
TEST_QEMU_FAILS(limit, expand_down_of_16_bits_ends_at_ffff, LIMITS)
{
    load_fs(descriptor((u32)scratch, 0xff, 0x97, 0));
    FS_BYTE(0xffff);
    EXPECT_NO_FAULT();
    FS_BYTE(0x10000);
    EXPECT_FAULT(GP, 0);
}
TEST_QEMU_FAILS(limit, stack_segment, LIMITS)
{
    gdt[FREE / 8] = descriptor(0, 0xfff, 0x93, 0xc); /* 16 MiB: the stack itself stays inside */
    TRY_THEN("mov %w0, %%ss; movl %%ss:(%1), %%eax", "mov %2, %%ss", : : "r"(FREE), "r"(0x1000000), "r"(FLAT) : "eax");
    EXPECT_FAULT(SS, 0);
    TRY_THEN("mov %w0, %%ss; mov %%ebp, %%edx; mov %1, %%ebp; movl (%%ebp), %%eax; mov %%edx, %%ebp", "mov %%edx, %%ebp; mov %2, %%ss", : : "r"(FREE), "r"(0x1000000), "r"(FLAT) : "eax", "edx");
    EXPECT_FAULT(SS, 0);
}
TEST_QEMU_FAILS(limit, write_to_read_only_data, LIMITS)
{
    load_fs(descriptor((u32)scratch, 0xff, 0x91, 4));
    FS_BYTE(0);
    EXPECT_NO_FAULT();
    TRY("movb %%al, %%fs:0", : : : "memory");
    EXPECT_FAULT(GP, 0);
}
TEST_QEMU_FAILS(limit, write_to_code, LIMITS)
{
    load_fs(descriptor((u32)scratch, 0xff, 0x9b, 4));
    FS_BYTE(0);
    EXPECT_NO_FAULT();
    TRY("movb %%al, %%fs:0", : : : "memory");
    EXPECT_FAULT(GP, 0);
}
TEST_QEMU_FAILS(limit, null_selector_in_use, LIMITS)
{
    TRY("mov %0, %%fs; movb %%fs:0, %%al", : : "r"(0) : "eax");
    EXPECT_FAULT(GP, 0);
    TRY("mov %0, %%fs; movb %%fs:0, %%al", : : "r"(3) : "eax");
    EXPECT_FAULT(GP, 0);
}
TEST_QEMU_FAILS(limit, code_segment, LIMITS)
{
    extern u8 gate_target[];
    gdt[FREE / 8] = descriptor((u32)gate_target, 0, 0x9b, 4); /* one byte of code: the far call itself is inside, its end is not */
    TRY("lcall %0, $0", : : "i"(FREE) : "eax", "memory");
    EXPECT(fault.taken && fault.vector == GP && fault.error == 0);
    EXPECT_EQ(fault.frame.cs, FREE);
}
TEST_QEMU_FAILS(limit, far_call_beyond_the_code_segment, "QEMU reports the selector (APM 3, CALL)")
{
    gdt[FREE / 8] = descriptor(0, 0xff, 0x9b, 4);
    TRY("lcall %0, $0x100", : : "i"(FREE) : "eax", "memory");
    EXPECT_FAULT(GP, 0);
    EXPECT_EQ(fault.frame.cs, CODE);
}

/* --- loading segment registers ------------------------------------------------------------------------------------------------------ */
TEST(segment, null_stack)
{
    TRY("mov %0, %%ss", : : "r"(0));
    EXPECT_FAULT(GP, 0);
}
TEST(segment, read_only_stack)
{
    gdt[FREE / 8] = descriptor(0, 0xfffff, 0x91, 0xc);
    TRY("mov %0, %%ss", : : "r"(FREE));
    EXPECT_FAULT(GP, FREE);
}
TEST(segment, stack_not_present)
{
    gdt[FREE / 8] = descriptor(0, 0xfffff, 0x13, 0xc);
    TRY("mov %0, %%ss", : : "r"(FREE));
    EXPECT_FAULT(SS, FREE);
}
TEST(segment, data_not_present)
{
    gdt[FREE / 8] = descriptor(0, 0xfffff, 0x13, 0xc);
    TRY("mov %0, %%ds", : : "r"(FREE));
    EXPECT_FAULT(NP, FREE);
}
TEST(segment, execute_only_as_data)
{
    gdt[FREE / 8] = descriptor(0, 0xfffff, 0x99, 0xc);
    TRY("mov %0, %%es", : : "r"(FREE));
    EXPECT_FAULT(GP, FREE);
}
TEST(segment, requested_privilege_counts)
{
    TRY("mov %0, %%es", : : "r"(FLAT | 3)); /* RPL 3 against DPL 0 */
    EXPECT_FAULT(GP, FLAT);
    TRY("mov %0, %%es; mov %1, %%es", : : "r"(USER_FLAT | 3), "r"(FLAT));
    EXPECT_NO_FAULT();
}
TEST(segment, lds_and_its_kin)
{
    u32 pointer[2] = {0xabcd, FLAT}, offset, selector;
    __asm__ volatile("les (%2), %0; mov %%es, %1" : "=&r"(offset), "=r"(selector) : "r"(pointer), "m"(pointer));
    EXPECT_EQ(offset, 0xabcd);
    EXPECT_EQ(selector & 0xffff, FLAT);
    __asm__ volatile("lfs (%2), %0; mov %%fs, %1" : "=&r"(offset), "=r"(selector) : "r"(pointer), "m"(pointer));
    EXPECT_EQ(selector & 0xffff, FLAT);
    pointer[1] = 0x1f8;
    TRY("lgs (%0), %%eax", : : "r"(pointer), "m"(pointer) : "eax");
    EXPECT_FAULT(GP, 0x1f8);
}
TEST(segment, arpl)
{
    u32 selector = 0x10;
    bool adjusted;
    __asm__ volatile("arpl %w2, %w0" : "+r"(selector), "=@ccz"(adjusted) : "r"(3));
    EXPECT(adjusted && selector == 0x13);
    __asm__ volatile("arpl %w2, %w0" : "+r"(selector), "=@ccz"(adjusted) : "r"(1));
    EXPECT(!adjusted && selector == 0x13);
}

/* --- exceptions that only exist here ------------------------------------------------------------------------------------------------- */
TEST(legacy, into)
{
    TRY("movb $0x7f, %%al; addb $1, %%al; into", : : : "eax", "cc");
    EXPECT_FAULT(OF, 0);
    TRY("xor %%eax, %%eax; into", : : : "eax", "cc");
    EXPECT_NO_FAULT();
}
TEST(legacy, bound)
{
    static const int bounds[2] = {-5, 10};
    TRY("bound %0, %1", : : "r"(10), "m"(bounds));
    EXPECT_NO_FAULT();
    TRY("bound %0, %1", : : "r"(-5), "m"(bounds));
    EXPECT_NO_FAULT();
    TRY("bound %0, %1", : : "r"(11), "m"(bounds));
    EXPECT_FAULT(BR, 0);
    TRY("bound %0, %1", : : "r"(-6), "m"(bounds));
    EXPECT_FAULT(BR, 0);
}
TEST(legacy, aam_by_zero)
{
    TRY(".byte 0xd4, 0", : : : "eax", "cc");
    EXPECT_FAULT(DE, 0);
}
TEST(legacy, decimal_adjustments)
{
    u32 a = 0x79;
    __asm__ volatile("addb $0x35, %%al; daa" : "+a"(a)::"cc");
    EXPECT_EQ(a & 0xff, 0x14);
    a = 0x0035;
    __asm__ volatile("aam" : "+a"(a)::"cc");
    EXPECT_EQ(a & 0xffff, 0x0503);
    __asm__ volatile("aad" : "+a"(a)::"cc");
    EXPECT_EQ(a & 0xffff, 0x35);
}
TEST(legacy, push_segment_of_32_bits)
{
    u32 before, after;
    __asm__ volatile("mov %%esp, %0; push %%fs; mov %%esp, %1; pop %%fs" : "=&r"(before), "=&r"(after));
    EXPECT_EQ(before - after, 4);
}
TEST(legacy, code_of_16_bits)
{
    extern u8 protected16[];
    gdt[FREE / 8] = descriptor((u32)protected16, 0xffff, 0x9b, 0);
    u32 a, c;
    __asm__ volatile("lcall %2, $0" : "=a"(a), "=c"(c) : "i"(FREE) : "memory", "cc");
    EXPECT_EQ(a, 0x1ffff);
    EXPECT_EQ(c, 0);
}

/* --- gates --------------------------------------------------------------------------------------------------------------------------- */
static struct interrupt_frame seen;
static u32 seen_stack, seen_flags;
static void look(struct interrupt_frame *f)
{
    seen = *f;
    seen_stack = (u32)f;
    seen_flags = (u32)read_flags();
}
static u32 user_int(void)
{
    u32 answer;
    __asm__ volatile("int $0x80; mov $7, %0" : "=a"(answer));
    return answer;
}
TEST(gate, interrupt_from_ring_3_changes_the_stack)
{
    on_vector = look;
    set_gate(0x80, CODE, STUB(0x80), 0xe, 3, true);
    EXPECT_EQ(in_ring_3(user_int, FLAG_IF), 7);
    EXPECT_NO_FAULT();
    EXPECT_EQ(seen.cs, USER_CODE | 3);
    EXPECT_EQ(seen.ss, USER_FLAT | 3);
    EXPECT(seen.esp <= (u32)user_stack_end && seen.esp > (u32)user_stack_end - 4096);
    EXPECT_EQ(seen_stack + offsetof(struct interrupt_frame, v86_es), tss.esp0);
    EXPECT_EQ(seen.eflags & FLAG_IF, FLAG_IF);
    EXPECT_EQ(seen_flags & FLAG_IF, 0);
}
TEST(gate, interrupt_in_ring_0_keeps_the_stack)
{
    on_vector = look;
    u32 stack;
    __asm__ volatile("mov %%esp, %0; int $0x80" : "=r"(stack)::"memory");
    EXPECT_EQ(seen_stack + offsetof(struct interrupt_frame, esp), stack);
}
TEST(gate, trap_gate_keeps_if)
{
    on_vector = look;
    set_gate(0x80, CODE, STUB(0x80), 0xf, 0, true);
    __asm__ volatile("sti; int $0x80; cli" ::: "memory");
    EXPECT_EQ(seen_flags & FLAG_IF, FLAG_IF);
}
TEST(gate, int_n_obeys_dpl)
{
    in_ring_3(user_int, 0);
    EXPECT_FAULT(GP, 0x80 * 8 + 2);
}
TEST(gate, absent)
{
    set_gate(0x80, CODE, STUB(0x80), 0xe, 0, false);
    TRY("int $0x80", :);
    EXPECT_FAULT(NP, 0x80 * 8 + 2);
}
TEST(gate, exception_through_an_absent_gate_leaves_ext_clear)
{
    set_gate(UD, CODE, STUB(UD), 0xe, 0, false);
    TRY("ud2", :);
    EXPECT_FAULT(NP, UD * 8 + 2);
}
TEST(gate, to_data)
{
    set_gate(0x80, FLAT, STUB(0x80), 0xe, 0, true);
    TRY("int $0x80", :);
    EXPECT_FAULT(GP, FLAT);
}
TEST(gate, to_an_outer_ring)
{
    set_gate(0x80, USER_CODE | 3, STUB(0x80), 0xe, 0, true);
    TRY("int $0x80", :);
    EXPECT_FAULT(GP, USER_CODE);
}
extern u8 gate_target[], gate_target_2[];
extern u32 gate_seen[8];
static void call_gate(const void *target, unsigned dpl, unsigned parameters, bool present)
{
    u32 at = (u32)target;
    gdt[FREE / 8] = (at & 0xffff) | CODE << 16 | (u64)parameters << 32 | (u64)(0xc | dpl << 5 | (present ? 0x80 : 0)) << 40 | (u64)(at >> 16) << 48;
}
static u32 user_call(void)
{
    __asm__ volatile("lcall %0, $0" ::"i"(FREE | 3) : "eax", "memory");
    return 9;
}
static u32 user_call_2(void)
{
    __asm__ volatile("push $0x2222; push $0x1111; lcall %0, $0" ::"i"(FREE | 3) : "eax", "memory");
    return 9;
}
TEST(gate, call_from_ring_3)
{
    call_gate(gate_target, 3, 0, true);
    EXPECT_EQ(in_ring_3(user_call, 0), 9);
    EXPECT_NO_FAULT();
    EXPECT_EQ(gate_seen[0] & 0xffff, CODE);
    EXPECT_EQ(gate_seen[1] & 0xffff, FLAT);
    EXPECT_EQ(gate_seen[2], tss.esp0 - 16);
    EXPECT_EQ(gate_seen[4], USER_CODE | 3);
    EXPECT_EQ(gate_seen[6], USER_FLAT | 3);
}
TEST(gate, call_copies_parameters)
{
    call_gate(gate_target_2, 3, 2, true);
    EXPECT_EQ(in_ring_3(user_call_2, 0), 9);
    EXPECT_NO_FAULT();
    EXPECT_EQ(gate_seen[0], 0x1111);
    EXPECT_EQ(gate_seen[1], 0x2222);
    EXPECT_EQ(gate_seen[3], USER_FLAT | 3);
}
TEST(gate, call_in_the_same_ring)
{
    call_gate(gate_target, 0, 0, true);
    __asm__ volatile("lcall %0, $0" ::"i"(FREE) : "eax", "memory");
    EXPECT_EQ(gate_seen[4], CODE);
}
TEST(gate, call_obeys_dpl_and_present)
{
    call_gate(gate_target, 0, 0, true);
    in_ring_3(user_call, 0);
    EXPECT_FAULT(GP, FREE);
    call_gate(gate_target, 3, 0, false);
    in_ring_3(user_call, 0);
    EXPECT_FAULT(NP, FREE);
}
static u32 data_segments_in_ring_3(void)
{
    u32 ds, fs;
    __asm__ volatile("mov %%ds, %0; mov %%fs, %1" : "=r"(ds), "=r"(fs));
    return (ds & 0xffff) | fs << 16;
}
TEST(gate, return_to_an_outer_ring_clears_inner_segments)
{
    __asm__ volatile("mov %0, %%fs" ::"r"(FLAT)); /* DPL 0 */
    EXPECT_EQ(in_ring_3(data_segments_in_ring_3, 0) >> 16, 0);
}

/* --- fast system calls ------------------------------------------------------------------------------------------------------------------ */
extern u8 sysenter_back[];
u32 user_sysenter(void);
__asm__(".globl user_sysenter\nuser_sysenter: push %ebp; mov %esp, %ebp; sysenter\n"
        "sysenter_back: mov %cs, %eax; mov %ss, %ecx; shl $16, %ecx; or %ecx, %eax; pop %ebp; ret\n"
        ".globl sysenter_entry\nsysenter_entry: mov %cs, gate_seen; mov %ss, gate_seen + 4; mov %esp, gate_seen + 8; pushf; pop gate_seen + 12\n"
        "mov $sysenter_back, %edx; mov %ebp, %ecx; sysexit");
extern u8 sysenter_entry[];
TEST(syscall, sysenter_and_sysexit)
{
    SKIP_UNLESS(cpuid(1, 0).edx & BIT(11), "no SYSENTER");
    wrmsr(0x174, CODE);
    wrmsr(0x175, (u32)user_stack_end - 4096);
    wrmsr(0x176, (u32)sysenter_entry);
    u32 selectors = in_ring_3(user_sysenter, FLAG_IF);
    EXPECT_NO_FAULT();
    EXPECT_EQ(gate_seen[0] & 0xffff, CODE);
    EXPECT_EQ(gate_seen[1] & 0xffff, FLAT);
    EXPECT_EQ(gate_seen[2], (u32)user_stack_end - 4096);
    EXPECT_EQ(gate_seen[3] & FLAG_IF, 0);
    EXPECT_EQ(selectors, USER_CODE | 3 | (USER_FLAT | 3) << 16);
}
TEST(syscall, sysenter_with_a_null_selector)
{
    SKIP_UNLESS(cpuid(1, 0).edx & BIT(11), "no SYSENTER");
    wrmsr(0x174, 0);
    in_ring_3(user_sysenter, 0);
    EXPECT_FAULT(GP, 0);
}
u32 user_syscall(void);
__asm__(".globl user_syscall\nuser_syscall: syscall\n"
        "1: mov %cs, %eax; mov %ss, %ecx; shl $16, %ecx; or %ecx, %eax; ret\n"
        ".globl syscall_entry\nsyscall_entry: mov %cs, gate_seen; mov %ss, gate_seen + 4; mov %ecx, gate_seen + 8; sysret");
extern u8 syscall_entry[];
TEST(syscall, legacy_syscall_and_sysret)
{
    SKIP_UNLESS(cpuid(0, 0).ebx == 0x68747541 && (cpuid(0x80000001, 0).edx & BIT(11)), "no SYSCALL in legacy mode");
    u64 efer = rdmsr(MSR_EFER);
    wrmsr(MSR_EFER, efer | 1);
    wrmsr(MSR_STAR, (u64)(USER_CODE | 3) << 48 | (u64)CODE << 32 | (u32)syscall_entry);
    u32 selectors = in_ring_3(user_syscall, FLAG_IF);
    EXPECT_NO_FAULT();
    EXPECT_EQ(gate_seen[0] & 0xffff, CODE);
    EXPECT_EQ(gate_seen[1] & 0xffff, FLAT);
    EXPECT_EQ(selectors, USER_CODE | 3 | (USER_FLAT | 3) << 16);
    wrmsr(MSR_EFER, efer);
}
