/* Rings, gates, segments, fast system calls (APM volume 2, chapters 4, 6, 8). */
#include "frame.h"

static u64 user_call(u64 address)
{
    u64 result;
    __asm__ volatile("call *%1" : "=a"(result) : "r"(address) : "rcx", "rdx", "r11", "memory", "cc");
    return result;
}

/* Puts bytes and a RET into user-accessible memory and calls them in ring 3. */
static u64 user_code(const u8 *bytes, u64 count, u64 rflags)
{
    memcpy(scratch, bytes, count);
    scratch[count] = 0xc3;
    return in_user_mode_with(user_call, (u64)scratch, rflags);
}
#define USER(rflags, ...)                             \
    ({                                                \
        static const u8 bytes_[] = {__VA_ARGS__};     \
        user_code(bytes_, sizeof bytes_, rflags | 2); \
    })

/* --- instructions of ring 0 ---------------------------------------------------------------------------------------------------- */
#define RING_0_ONLY(name, ...)   \
    TEST(ring3, name)            \
    {                            \
        USER(0, __VA_ARGS__);    \
        EXPECT_FAULT(GP, 0);     \
        EXPECT_EQ(fault.rip, scratch); \
        EXPECT_EQ(fault.cs & 3, 3);    \
    }
RING_0_ONLY(cli, 0xfa)
RING_0_ONLY(sti, 0xfb)
RING_0_ONLY(hlt, 0xf4)
RING_0_ONLY(clts, 0x0f, 0x06)
RING_0_ONLY(invd, 0x0f, 0x08)
RING_0_ONLY(wbinvd, 0x0f, 0x09)
RING_0_ONLY(mov_from_cr0, 0x0f, 0x20, 0xc0)
RING_0_ONLY(mov_to_cr3, 0x0f, 0x22, 0xd8)
RING_0_ONLY(mov_from_dr0, 0x0f, 0x21, 0xc0)
RING_0_ONLY(mov_to_dr7, 0x0f, 0x23, 0xf8)
RING_0_ONLY(lmsw, 0x0f, 0x01, 0xf0)
RING_0_ONLY(lgdt, 0x0f, 0x01, 0x17)
RING_0_ONLY(lidt, 0x0f, 0x01, 0x1f)
RING_0_ONLY(lldt, 0x0f, 0x00, 0xd0)
RING_0_ONLY(ltr, 0x0f, 0x00, 0xd8)
RING_0_ONLY(invlpg, 0x0f, 0x01, 0x3f)
RING_0_ONLY(swapgs, 0x0f, 0x01, 0xf8)
RING_0_ONLY(rdmsr, 0x0f, 0x32)
RING_0_ONLY(wrmsr, 0x0f, 0x30)
RING_0_ONLY(in_byte, 0xe4, 0x80)
RING_0_ONLY(out_byte, 0xe6, 0x80)
RING_0_ONLY(outsb, 0x6e)

TEST(ring3, sysret)
{
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
    USER(0, 0x48, 0x0f, 0x07);
    EXPECT_FAULT(GP, 0);
}
TEST(ring3, reading_descriptor_tables_is_allowed)
{
    USER(0, 0x0f, 0x01, 0xe0); /* smsw eax */
    EXPECT_NO_FAULT();
    USER(0, 0x0f, 0x00, 0xc8); /* str eax */
    EXPECT_NO_FAULT();
    EXPECT_EQ(USER(0, 0x31, 0xc0, 0x0f, 0x00, 0xc8) & 0xffff, TSS);
    USER(0, 0x0f, 0x01, 0x44, 0x24, 0xe0); /* sgdt -32(%rsp) */
    EXPECT_NO_FAULT();
}
TEST(ring3, popf_changes_neither_if_nor_iopl)
{
    /* pushfq; orq $0x3200,(%rsp); popfq; pushfq; pop %rax */
    u64 flags = USER(0, 0x9c, 0x48, 0x81, 0x0c, 0x24, 0x00, 0x32, 0x00, 0x00, 0x9d, 0x9c, 0x58);
    EXPECT_NO_FAULT();
    EXPECT_EQ(flags & 0x3200, 0);
}
TEST(ring3, popf_with_iopl_3_changes_if)
{
    /* pushfq; andq $~0x200,(%rsp); popfq; pushfq; pop %rax */
    u64 flags = USER(0x3200, 0x9c, 0x48, 0x81, 0x24, 0x24, 0xff, 0xfd, 0xff, 0xff, 0x9d, 0x9c, 0x58);
    EXPECT_NO_FAULT();
    EXPECT_EQ(flags & 0x3200, 0x3000);
}
TEST(ring3, cli_and_sti_with_iopl_3)
{
    u64 flags = USER(0x3000, 0xfb, 0x90, 0x9c, 0x58, 0xfa); /* sti; nop; pushfq; pop rax; cli */
    EXPECT_NO_FAULT();
    EXPECT_EQ(flags & FLAG_IF, FLAG_IF);
}
TEST(ring3, ports_with_iopl_3)
{
    USER(0x3000, 0xe6, 0x80);
    EXPECT_NO_FAULT();
}
TEST(ring3, port_permission_bitmap)
{
    memset(tss + 104, 0xff, 0x2000 + 1);
    set_tss_io_limit(104 + 0x2000);
    USER(0, 0xe6, 0x80);
    EXPECT_FAULT(GP, 0);
    tss[104 + 0x10] = 0xfe; /* port 80 alone */
    USER(0, 0xe6, 0x80);
    EXPECT_NO_FAULT();
    USER(0, 0xe6, 0x81);
    EXPECT_FAULT(GP, 0);
    USER(0, 0x66, 0xe7, 0x80); /* a word needs both ports */
    EXPECT_FAULT(GP, 0);
    tss[104 + 0x10] = 0xfc;
    USER(0, 0x66, 0xe7, 0x80);
    EXPECT_NO_FAULT();
}
TEST(ring3, port_permission_bitmap_ends_with_the_tss)
{
    memset(tss + 104, 0, 0x2000 + 1);
    set_tss_io_limit(104 + 0x10); /* the byte of port 80 is the last: its word needs the one behind */
    USER(0, 0xe6, 0x80);
    EXPECT_FAULT(GP, 0);
    set_tss_io_limit(104 + 0x11);
    USER(0, 0xe6, 0x80);
    EXPECT_NO_FAULT();
}
TEST(ring3, rdtsc_with_tsd)
{
    USER(0, 0x0f, 0x31);
    EXPECT_NO_FAULT();
    write_cr4(read_cr4() | CR4_TSD);
    USER(0, 0x0f, 0x31);
    EXPECT_FAULT(GP, 0);
    TRY("rdtsc", : : : "rax", "rdx");
    EXPECT_NO_FAULT();
}
TEST(ring3, rdtscp_with_tsd)
{
    SKIP_UNLESS(cpuid(0x80000001, 0).edx & BIT(27), "no RDTSCP");
    write_cr4(read_cr4() | CR4_TSD);
    USER(0, 0x0f, 0x01, 0xf9);
    EXPECT_FAULT(GP, 0);
}
TEST(ring3, rdpmc_without_pce)
{
    USER(0, 0x31, 0xc9, 0x0f, 0x33);
    EXPECT_FAULT(GP, 0);
}

/* --- alignment checks ------------------------------------------------------------------------------------------------------------ */
static u64 user_misaligned(u64 address)
{
    u32 value;
    __asm__ volatile("movl 1(%1), %0" : "=r"(value) : "r"(address));
    return value;
}
static u64 user_aligned(u64 address) { return *(volatile u32 *)(address + 4); }
TEST_QEMU_FAILS(ac, misaligned_in_ring_3, "QEMU 7.2 never checks alignment (APM 2 §8.2.18)")
{
    write_cr0(read_cr0() | CR0_AM);
    in_user_mode_with(user_misaligned, (u64)scratch, 2 | FLAG_AC);
    EXPECT_FAULT(AC, 0);
}
TEST(ac, needs_am)
{
    write_cr0(read_cr0() & ~CR0_AM);
    in_user_mode_with(user_misaligned, (u64)scratch, 2 | FLAG_AC);
    EXPECT_NO_FAULT();
}
TEST(ac, needs_the_flag)
{
    write_cr0(read_cr0() | CR0_AM);
    in_user_mode_with(user_misaligned, (u64)scratch, 2);
    EXPECT_NO_FAULT();
    in_user_mode_with(user_aligned, (u64)scratch, 2 | FLAG_AC);
    EXPECT_NO_FAULT();
}
TEST(ac, not_in_ring_0)
{
    write_cr0(read_cr0() | CR0_AM);
    TRY_THEN("pushfq; orq $0x40000, (%%rsp); popfq; movl 1(%0), %%eax", "pushfq; andq $~0x40000, (%%rsp); popfq", : : "r"(scratch) : "rax");
    EXPECT_NO_FAULT();
}

/* --- interrupts through gates ------------------------------------------------------------------------------------------------------ */
static struct interrupt_frame seen;
static u64 seen_ss, seen_flags, seen_stack;
static void look(struct interrupt_frame *frame)
{
    seen = *frame;
    __asm__ volatile("mov %%ss, %0; pushfq; pop %1" : "=r"(seen_ss), "=r"(seen_flags));
    seen_stack = (u64)frame;
    interrupts[frame->vector]++;
}
extern u8 interrupt_stubs[];
#define STUB(vector) (interrupt_stubs + (vector) * 16)

TEST(gate, interrupt_gate_clears_if)
{
    on_interrupt(0x80, look);
    __asm__ volatile("sti; int $0x80; cli" ::: "memory");
    EXPECT_EQ(interrupts[0x80], 1);
    EXPECT_EQ(seen.rflags & FLAG_IF, FLAG_IF);
    EXPECT_EQ(seen_flags & FLAG_IF, 0);
    EXPECT_EQ(seen.cs, CODE64);
    EXPECT_EQ(seen.ss, DATA);
}
TEST(gate, trap_gate_keeps_if)
{
    on_interrupt(0x80, look);
    set_gate(0x80, STUB(0x80), GATE_TRAP, 0, 0, true);
    __asm__ volatile("sti; int $0x80; cli" ::: "memory");
    EXPECT_EQ(seen_flags & FLAG_IF, FLAG_IF);
}
TEST(gate, nt_and_tf_are_cleared)
{
    on_interrupt(0x80, look);
    __asm__ volatile("pushfq; orq $0x4000, (%%rsp); popfq; int $0x80; pushfq; andq $~0x4000, (%%rsp); popfq" ::: "memory", "cc");
    EXPECT_EQ(seen.rflags & FLAG_NT, FLAG_NT);
    EXPECT_EQ(seen_flags & FLAG_NT, 0);
}
TEST(gate, stack_is_aligned_to_16_bytes)
{
    on_interrupt(0x80, look);
    u64 before;
    for (u64 offset = 0; offset < 16; offset++) {
        __asm__ volatile("mov %%rsp, %0; sub %1, %%rsp; int $0x80; mov %0, %%rsp" : "=&r"(before) : "r"(offset) : "memory", "cc");
        EXPECT_EQ(seen.rsp, before - offset);
        EXPECT_EQ((seen_stack + sizeof seen) & 15, 0);
    }
}
TEST(gate, ring_change_takes_the_stack_from_the_tss)
{
    on_interrupt(0x82, look);
    set_gate(0x82, STUB(0x82), GATE_INTERRUPT, 3, 0, true);
    u64 result = USER(0x200, 0xcd, 0x82, 0xb8, 5, 0, 0, 0); /* int 0x82; mov eax, 5 */
    EXPECT_NO_FAULT();
    EXPECT_EQ(result, 5);
    EXPECT_EQ(seen.cs, USER_CODE64 | 3);
    EXPECT_EQ(seen.ss, USER_DATA | 3);
    EXPECT_EQ(seen_ss, 0); /* a null selector, RPL of the new ring */
    EXPECT_EQ(seen_stack + sizeof seen, *(u64 *)(tss + 4) & ~15ull);
}
TEST(gate, interrupt_stack_table)
{
    u8 *stack = fresh_page();
    *(u64 *)(tss + 36 + 8) = (u64)stack + PAGE; /* IST2 */
    set_gate(0x80, STUB(0x80), GATE_INTERRUPT, 0, 2, true);
    on_interrupt(0x80, look);
    __asm__ volatile("int $0x80" ::: "memory");
    EXPECT_EQ(seen_stack + sizeof seen, (u64)stack + PAGE);
}
TEST_QEMU_FAILS(gate, int_n_obeys_dpl, "QEMU 7.2 counts 16 to a vector in error codes (APM 2 §8.4.1)")
{
    USER(0, 0xcd, 0x80);
    EXPECT_FAULT(GP, 0x80 * 8 + 2);
    USER(0, 0xcc);
    EXPECT_FAULT(GP, BP * 8 + 2);
}
TEST(gate, int_n_is_refused_by_dpl)
{
    USER(0, 0xcd, 0x80);
    EXPECT(fault.taken && fault.vector == GP);
    EXPECT_EQ(fault.rip, scratch);
}
TEST(gate, exceptions_ignore_dpl)
{
    USER(0, 0x0f, 0x0b);
    EXPECT_FAULT(UD, 0);
    EXPECT_EQ(fault.cs, USER_CODE64 | 3);
}
TEST_QEMU_FAILS(gate, int1_ignores_dpl, "QEMU 7.2 gives F1 to its own debugger (APM 3, INT1)")
{
    USER(0, 0xf1);
    EXPECT(fault.taken && fault.vector == DB);
}

/* --- far transfers ------------------------------------------------------------------------------------------------------------------- */
extern u8 gate_target[], conforming_target[];
extern u64 gate_seen[5];
u64 user_far_call(u64);
extern struct { u32 offset; u16 selector; } __attribute__((packed)) user_far_pointer;

static void call_gate(u16 selector, void *target, unsigned dpl, bool present, u16 code)
{
    u64 at = (u64)target;
    gdt[selector / 8] = (at & 0xffff) | (u64)code << 16 | (u64)(GATE_CALL | dpl << 5 | (present ? 0x80 : 0)) << 40 | (at >> 16 & 0xffff) << 48;
    gdt[selector / 8 + 1] = at >> 32;
    user_far_pointer.selector = selector | 3;
}
TEST(far, call_gate_from_ring_3)
{
    call_gate(FREE_SELECTOR, gate_target, 3, true, CODE64);
    EXPECT_EQ(in_user_mode(user_far_call, 0), 0x77);
    EXPECT_NO_FAULT();
    EXPECT_EQ(gate_seen[0] & 0xffff, CODE64);
    EXPECT_EQ(gate_seen[1] & 0xffff, 0);
    EXPECT_EQ(gate_seen[2], *(u64 *)(tss + 4) - 32);
    EXPECT_EQ(gate_seen[3], USER_CODE64 | 3);
    EXPECT_EQ(gate_seen[4], USER_DATA | 3);
}
TEST(far, call_gate_obeys_dpl)
{
    call_gate(FREE_SELECTOR, gate_target, 0, true, CODE64);
    in_user_mode(user_far_call, 0);
    EXPECT_FAULT(GP, FREE_SELECTOR);
}
TEST(far, absent_call_gate)
{
    call_gate(FREE_SELECTOR, gate_target, 3, false, CODE64);
    in_user_mode(user_far_call, 0);
    EXPECT_FAULT(NP, FREE_SELECTOR);
}
TEST(far, call_gate_to_a_null_selector)
{
    call_gate(FREE_SELECTOR, gate_target, 3, true, 0);
    in_user_mode(user_far_call, 0);
    EXPECT_FAULT(GP, 0);
}
TEST(far, call_gate_to_data)
{
    call_gate(FREE_SELECTOR, gate_target, 3, true, DATA);
    in_user_mode(user_far_call, 0);
    EXPECT_FAULT(GP, DATA);
}
TEST(far, call_gate_to_32_bit_code)
{
    call_gate(FREE_SELECTOR, gate_target, 3, true, 0x38);
    in_user_mode(user_far_call, 0);
    EXPECT_FAULT(GP, 0x38);
}
TEST(far, call_beyond_the_descriptor_table)
{
    user_far_pointer.selector = 0xff0 | 3;
    in_user_mode(user_far_call, 0);
    EXPECT_FAULT(GP, 0xff0);
}
TEST(far, call_to_ring_0_code_from_ring_3)
{
    user_far_pointer.selector = CODE64;
    in_user_mode(user_far_call, 0);
    EXPECT_FAULT(GP, CODE64);
}
TEST(far, call_to_a_null_selector)
{
    user_far_pointer.selector = 0;
    in_user_mode(user_far_call, 0);
    EXPECT_FAULT(GP, 0);
}
TEST(far, conforming_code_keeps_the_ring)
{
    gdt[FREE_SELECTOR / 8] = 0x00af9f000000ffff; /* conforming, DPL 0 */
    user_far_pointer.selector = FREE_SELECTOR | 3;
    user_far_pointer.offset = (u32)(u64)conforming_target;
    EXPECT_EQ(in_user_mode(user_far_call, 0), 0x77);
    EXPECT_NO_FAULT();
    EXPECT_EQ(gate_seen[0] & 3, 3);
    user_far_pointer.offset = 0;
}
TEST(far, return_to_ring_0)
{
    u64 cs;
    __asm__ volatile("push $0x08; lea 1f(%%rip), %%rax; push %%rax; lretq\n1: mov %%cs, %0" : "=r"(cs)::"rax", "memory");
    EXPECT_EQ(cs & 0xffff, CODE64);
}
TEST(far, return_to_data)
{
    TRY("push %0; push $0; lretq", : : "i"(DATA));
    EXPECT_FAULT(GP, DATA);
}
TEST(far, iret_with_nested_task)
{
    TRY_THEN("pushfq; orq $0x4000, (%%rsp); popfq; iretq", "pushfq; andq $~0x4000, (%%rsp); popfq", : : : "cc");
    EXPECT_FAULT(GP, 0);
}
TEST(far, iret_restores_flags)
{
    u64 flags;
    __asm__ volatile("mov %%rsp, %%rax; push $0x10; push %%rax; push $0x40cd7; push $0x08; lea 1f(%%rip), %%rax; push %%rax; iretq\n"
                     "1: pushfq; pop %0; push $2; popfq"
                     : "=r"(flags)::"rax", "memory", "cc");
    EXPECT_EQ(flags, 0x40cd7);
}
TEST(far, iret_to_a_non_canonical_address)
{
    TRY("mov %%rsp, %%rax; push $0x10; push %%rax; push $2; push $0x08; push %0; iretq", : : "r"(0x800000000000) : "rax");
    EXPECT_FAULT(GP, 0);
}

/* --- compatibility mode ------------------------------------------------------------------------------------------------------------- */
u64 in_compatibility_mode(u32 target);
extern u8 compatibility_inc[], compatibility_wrap[], compatibility_push[], compatibility_pusha[], compatibility_segment_base[], compatibility_sahf[];
extern u32 compatibility_value;
static u32 low(const void *target) { return (u32)(u64)target; }

TEST(compatibility, opcode_40_is_inc) { EXPECT_EQ((u32)in_compatibility_mode(low(compatibility_inc)), 42); }
TEST(compatibility, addresses_wrap_at_4_gib) { EXPECT_EQ((u32)in_compatibility_mode(low(compatibility_wrap)), 0xcafe); }
TEST(compatibility, push_is_four_bytes) { EXPECT_EQ((u32)in_compatibility_mode(low(compatibility_push)), 4); }
TEST(compatibility, pusha_exists) { EXPECT_EQ((u32)in_compatibility_mode(low(compatibility_pusha)), 32); }
TEST(compatibility, lahf) { EXPECT_EQ((u32)in_compatibility_mode(low(compatibility_sahf)) & 3, 3); }
TEST(compatibility, segment_bases_count)
{
    u64 base = low(&compatibility_value);
    gdt[FREE_SELECTOR / 8] = 0x00cf93000000ffff | (base & 0xffffff) << 16 | (base >> 24) << 56;
    __asm__ volatile("mov %0, %%fs" ::"r"(FREE_SELECTOR));
    EXPECT_EQ((u32)in_compatibility_mode(low(compatibility_segment_base)), 0xcafe);
    EXPECT_EQ(rdmsr(MSR_FS_BASE), base);
}
TEST_QEMU_FAILS(compatibility, segment_limits_count, "QEMU TCG checks no segment limits (APM 2 §4.12)")
{
    u64 base = low(&compatibility_value);
    gdt[FREE_SELECTOR / 8] = 0x0040930000000002 | (base & 0xffffff) << 16 | (base >> 24) << 56; /* three bytes */
    __asm__ volatile("mov %0, %%fs" ::"r"(FREE_SELECTOR));
    TRY("call in_compatibility_mode", : : "D"(low(compatibility_segment_base)) : "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "rbx", "r12", "r13", "r14", "r15", "memory");
    EXPECT_FAULT(GP, 0);
    EXPECT_EQ(fault.cs, 0x38);
}

/* --- segment registers ---------------------------------------------------------------------------------------------------------------- */
#define LOAD(register, selector) TRY("mov %0, %%" register, : : "r"(selector))
TEST(segment, loading_sets_accessed)
{
    gdt[FREE_SELECTOR / 8] = 0x00cf92000000ffff;
    LOAD("fs", FREE_SELECTOR);
    EXPECT_NO_FAULT();
    EXPECT_EQ(gdt[FREE_SELECTOR / 8], 0x00cf93000000ffff);
}
TEST(segment, absent_data_segment)
{
    gdt[FREE_SELECTOR / 8] = 0x00cf12000000ffff;
    LOAD("es", FREE_SELECTOR);
    EXPECT_FAULT(NP, FREE_SELECTOR);
}
TEST(segment, absent_stack_segment)
{
    gdt[FREE_SELECTOR / 8] = 0x00cf12000000ffff;
    LOAD("ss", FREE_SELECTOR);
    EXPECT_FAULT(SS, FREE_SELECTOR);
}
TEST(segment, execute_only_code_as_data)
{
    gdt[FREE_SELECTOR / 8] = 0x00cf98000000ffff;
    LOAD("ds", FREE_SELECTOR);
    EXPECT_FAULT(GP, FREE_SELECTOR);
}
TEST(segment, system_descriptor_as_data)
{
    LOAD("ds", TSS);
    EXPECT_FAULT(GP, TSS);
}
TEST(segment, beyond_the_table)
{
    LOAD("gs", GDT_ENTRIES * 8);
    EXPECT_FAULT(GP, GDT_ENTRIES * 8);
}
TEST(segment, local_table_that_is_null)
{
    LOAD("gs", 0xc);
    EXPECT_FAULT(GP, 0xc);
}
TEST(segment, local_table)
{
    u64 *ldt = fresh_page(), base = (u64)ldt;
    ldt[1] = 0x00cf93000000ffff;
    gdt[FREE_SELECTOR / 8] = (0x0000820000000000 | 15) | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
    gdt[FREE_SELECTOR / 8 + 1] = base >> 32;
    TRY("lldt %w0", : : "r"(FREE_SELECTOR));
    EXPECT_NO_FAULT();
    LOAD("gs", 0xc);
    EXPECT_NO_FAULT();
    LOAD("gs", 0x14);
    EXPECT_FAULT(GP, 0x14);
    u64 selector;
    __asm__ volatile("sldt %0" : "=r"(selector));
    EXPECT_EQ(selector & 0xffff, FREE_SELECTOR);
    __asm__ volatile("mov %0, %%gs; lldt %w0" ::"r"(0));
}
TEST(segment, lldt_of_something_else)
{
    TRY("lldt %w0", : : "r"(DATA));
    EXPECT_FAULT(GP, DATA);
}
TEST(segment, ltr_sets_busy_and_refuses_busy)
{
    EXPECT_EQ(gdt[TSS / 8] >> 40 & 0xf, 0xb);
    TRY("ltr %w0", : : "r"(TSS));
    EXPECT_FAULT(GP, TSS);
}
TEST_QEMU_FAILS(segment, ltr_of_null, "QEMU takes it (APM 3, LTR)")
{
    TRY("ltr %w0", : : "r"(0));
    EXPECT_FAULT(GP, 0);
}
TEST(segment, ltr_of_an_absent_tss)
{
    gdt[FREE_SELECTOR / 8] = 0x0000090000000067;
    TRY("ltr %w0", : : "r"(FREE_SELECTOR));
    EXPECT_FAULT(NP, FREE_SELECTOR);
}
TEST(segment, null_stack_in_ring_0)
{
    TRY_THEN("mov %0, %%ss; push %%rax; pop %%rax", "mov %1, %%ss", : : "r"(0), "r"(DATA));
    EXPECT_NO_FAULT();
}
TEST(segment, null_stack_in_ring_3)
{
    USER(0, 0x31, 0xc0, 0x8e, 0xd0); /* xor eax, eax; mov ss, eax */
    EXPECT_FAULT(GP, 0);
}
TEST(segment, stack_of_another_ring)
{
    LOAD("ss", USER_DATA | 3);
    EXPECT_FAULT(GP, USER_DATA);
}
TEST(segment, null_data_segments_work_in_64_bit_mode)
{
    TRY_THEN("mov %0, %%ds; mov %0, %%es; movb (%2), %%al", "mov %1, %%ds; mov %1, %%es", : : "r"(0), "r"(DATA), "r"(scratch) : "rax");
    EXPECT_NO_FAULT();
}
TEST(segment, fs_and_gs_bases)
{
    *(u64 *)(scratch + 24) = 0xabcdef;
    wrmsr(MSR_GS_BASE, (u64)scratch + 16);
    u64 value;
    __asm__ volatile("mov %%gs:8, %0" : "=r"(value));
    EXPECT_EQ(value, 0xabcdef);
    wrmsr(MSR_KERNEL_GS_BASE, (u64)scratch + 24);
    __asm__ volatile("swapgs; mov %%gs:0, %0" : "=r"(value));
    EXPECT_EQ(value, 0xabcdef);
    EXPECT_EQ(rdmsr(MSR_KERNEL_GS_BASE), (u64)scratch + 16);
    wrmsr(MSR_GS_BASE, 0);
}
TEST_QEMU_FAILS(segment, bases_must_be_canonical, "QEMU 7.2 checks no addresses in WRMSR (APM 3, WRMSR)")
{
    TRY("wrmsr", : : "c"(MSR_GS_BASE), "a"(0), "d"(0x8000));
    EXPECT_FAULT(GP, 0);
}
TEST(segment, sgdt_and_sidt_store_ten_bytes)
{
    memset(scratch, 0xee, 32);
    __asm__ volatile("sgdt (%0)" ::"r"(scratch) : "memory");
    EXPECT_EQ(*(u16 *)scratch, GDT_ENTRIES * 8 - 1);
    EXPECT_EQ(*(u64 *)(scratch + 2), (u64)gdt);
    EXPECT_EQ(scratch[10], 0xee);
    __asm__ volatile("sidt (%0)" ::"r"(scratch) : "memory");
    EXPECT_EQ(*(u16 *)scratch, 0xfff);
    EXPECT_EQ(*(u64 *)(scratch + 2), (u64)idt);
}

static bool lar(u64 selector, u64 *rights)
{
    bool good;
    *rights = 0;
    __asm__ volatile("lar %2, %0" : "+r"(*rights), "=@ccz"(good) : "r"(selector));
    return good;
}
static bool lsl(u64 selector, u64 *limit)
{
    bool good;
    *limit = 0;
    __asm__ volatile("lsl %2, %0" : "+r"(*limit), "=@ccz"(good) : "r"(selector));
    return good;
}
static bool verr(u64 selector) { bool good; __asm__ volatile("verr %w1" : "=@ccz"(good) : "r"(selector)); return good; }
static bool verw(u64 selector) { bool good; __asm__ volatile("verw %w1" : "=@ccz"(good) : "r"(selector)); return good; }

TEST(segment, lar)
{
    u64 rights;
    EXPECT(lar(DATA, &rights));
    EXPECT_EQ(rights & 0xf0ff00, 0x00c09300);
    EXPECT(lar(TSS, &rights));
    EXPECT_EQ(rights & 0xff00, 0x8b00);
    EXPECT(!lar(0, &rights));
    EXPECT(!lar(GDT_ENTRIES * 8, &rights));
    gdt[FREE_SELECTOR / 8] = 0x00008e0000000000; /* an interrupt gate */
    EXPECT(!lar(FREE_SELECTOR, &rights));
}
TEST(segment, lsl)
{
    u64 limit;
    EXPECT(lsl(DATA, &limit));
    EXPECT_EQ(limit, 0xffffffff);
    EXPECT(lsl(TSS, &limit));
    EXPECT_EQ(limit, 103);
    gdt[FREE_SELECTOR / 8] = 0x0040930000000123;
    EXPECT(lsl(FREE_SELECTOR, &limit));
    EXPECT_EQ(limit, 0x123);
    EXPECT(!lsl(0, &limit));
    call_gate(FREE_SELECTOR, gate_target, 3, true, CODE64);
    EXPECT(!lsl(FREE_SELECTOR, &limit));
}
TEST(segment, verr_and_verw)
{
    EXPECT(verr(DATA) && verw(DATA));
    EXPECT(verr(CODE64) && !verw(CODE64));
    gdt[FREE_SELECTOR / 8] = 0x00cf98000000ffff; /* execute only */
    EXPECT(!verr(FREE_SELECTOR) && !verw(FREE_SELECTOR));
    gdt[FREE_SELECTOR / 8] = 0x00cf90000000ffff; /* read only */
    EXPECT(verr(FREE_SELECTOR) && !verw(FREE_SELECTOR));
    EXPECT(!verr(TSS) && !verr(0));
}

/* --- fast system calls ------------------------------------------------------------------------------------------------------------------ */
/* A user function that makes a SYSCALL; the kernel's side notes what it finds and comes back by SYSRET. */
static u64 syscall_seen[6];
__attribute__((used)) static u64 syscall_stack;
u64 user_syscall(u64);
void syscall_entry(void);
__asm__(".globl user_syscall, syscall_entry, user_syscall_return\n"
        "user_syscall: push %rbx\n"
        "mov $0x11, %ecx; mov $0x22, %r11d; stc; syscall\n"
        "user_syscall_return: pushfq; pop %rax; mov %cs, %ecx; shl $32, %rcx; or %rcx, %rax; mov %ss, %ecx; shl $48, %rcx; or %rcx, %rax\n"
        "pop %rbx; ret\n"
        "syscall_entry: mov %rsp, syscall_stack; mov $user_saved_stack + 4096 - 16, %rsp\n"
        "mov %rcx, syscall_seen; mov %r11, syscall_seen + 8; pushfq; pop syscall_seen + 16\n"
        "mov %cs, syscall_seen + 24; mov %ss, syscall_seen + 32\n"
        "mov syscall_stack, %rsp; sysretq");
extern u8 user_syscall_return[];

static void prepare_syscall(u64 mask)
{
    memset(syscall_seen, 0, sizeof syscall_seen);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
    wrmsr(MSR_STAR, (u64)(DATA | 3) << 48 | (u64)CODE64 << 32);
    wrmsr(MSR_LSTAR, (u64)syscall_entry);
    wrmsr(MSR_SFMASK, mask);
}
TEST(syscall, there_and_back)
{
    prepare_syscall(FLAG_IF | FLAG_CF);
    u64 result = in_user_mode_with(user_syscall, 0, 0x202);
    EXPECT_NO_FAULT();
    EXPECT_EQ(syscall_seen[0], (u64)user_syscall_return);
    EXPECT_EQ(syscall_seen[1] & (FLAG_IF | FLAG_CF), FLAG_IF | FLAG_CF);
    EXPECT_EQ(syscall_seen[2] & (FLAG_IF | FLAG_CF), 0);
    EXPECT_EQ(syscall_seen[3] & 0xffff, CODE64);
    EXPECT_EQ(syscall_seen[4] & 0xffff, DATA);
    EXPECT_EQ(result & (FLAG_IF | FLAG_CF), FLAG_IF | FLAG_CF);
    EXPECT_EQ(result >> 32 & 0xffff, USER_CODE64 | 3);
    EXPECT_EQ(result >> 48, USER_DATA | 3);
}
TEST_QEMU_FAILS(syscall, mask_leaves_other_flags, "QEMU 7.2 clears the arithmetic flags (APM 3, SYSCALL)")
{
    prepare_syscall(FLAG_IF);
    in_user_mode_with(user_syscall, 0, 0x202);
    EXPECT_NO_FAULT();
    EXPECT_EQ(syscall_seen[2] & FLAG_CF, FLAG_CF);
}
TEST(syscall, is_undefined_without_sce)
{
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SCE);
    in_user_mode(user_syscall, 0);
    EXPECT_FAULT(UD, 0);
    TRY("sysretq", :);
    EXPECT_FAULT(UD, 0);
}
TEST_QEMU_FAILS(syscall, lstar_must_be_canonical, "QEMU 7.2 checks no addresses in WRMSR (APM 3, WRMSR)")
{
    TRY("wrmsr", : : "c"(MSR_LSTAR), "a"(0), "d"(0x8000));
    EXPECT_FAULT(GP, 0);
}
TEST(syscall, sysenter_is_undefined_in_long_mode_on_amd)
{
    SKIP_UNLESS(cpuid(0, 0).ebx == 0x68747541, "not an AMD processor");
    USER(0, 0x0f, 0x34);
    EXPECT_FAULT(UD, 0);
    TRY("sysexitl", :);
    EXPECT_FAULT(UD, 0);
}
