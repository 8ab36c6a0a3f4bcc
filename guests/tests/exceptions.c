/* Exceptions of 64-bit mode: vector, error code, saved RIP (APM volume 2, chapter 8). */
#include "frame.h"

#define IDT_ERROR_CODE "QEMU 7.2 counts 16 to a vector in error codes (APM 2 §8.4.1)"

TEST(de, division_by_zero)
{
    TRY("div %b0", : : "c"(0) : "rax");
    EXPECT_FAULT(DE, 0);
}
TEST(de, quotient_too_large)
{
    TRY("mov $0x1000, %%eax; mov $16, %%ecx; div %%cl", : : : "rax", "rcx");
    EXPECT_FAULT(DE, 0);
}
TEST(de, most_negative_by_minus_one)
{
    TRY("movabs $0x8000000000000000, %%rax; cqo; mov $-1, %%rcx; idiv %%rcx", : : : "rax", "rcx", "rdx");
    EXPECT_FAULT(DE, 0);
}
TEST(de, is_a_fault_and_changes_nothing)
{
    u64 at;
    __asm__ volatile("lea 1f(%%rip), %0" : "=r"(at));
    fault.taken = false;
    __asm__ volatile("movq %%rsp, resume_stack; movq $2f, resume; lea 1f(%%rip), %0; mov $0x1234, %%eax; mov $7, %%edx; xor %%ecx, %%ecx\n"
                     "1: div %%ecx\n2: movq $0, resume"
                     : "=&r"(at)::"rax", "rcx", "rdx", "cc", "memory");
    EXPECT_FAULT(DE, 0);
    EXPECT_EQ(fault.rip, at);
    EXPECT_EQ(fault.rax, 0x1234);
    EXPECT_EQ(fault.rdx, 7);
}
TEST(bp, int3_is_a_trap)
{
    u64 at;
    __asm__ volatile("movq %%rsp, resume_stack; movq $2f, resume; lea 1f(%%rip), %0; int3\n1: nop\n2: movq $0, resume" : "=&r"(at)::"memory");
    EXPECT_FAULT(BP, 0);
    EXPECT_EQ(fault.rip, at);
}
TEST(bp, int_3_two_byte_form)
{
    TRY(".byte 0xcd, 3", :);
    EXPECT_FAULT(BP, 0);
}
TEST(of, into_is_undefined_in_64_bit_mode)
{
    TRY(".byte 0xce", :);
    EXPECT_FAULT(UD, 0);
}
TEST(ud, ud2)
{
    u64 at;
    __asm__ volatile("movq %%rsp, resume_stack; movq $2f, resume; lea 1f(%%rip), %0\n1: ud2\n2: movq $0, resume" : "=&r"(at)::"memory");
    EXPECT_FAULT(UD, 0);
    EXPECT_EQ(fault.rip, at);
}
TEST(ud, opcodes_invalid_in_64_bit_mode)
{
    static const u8 opcodes[] = {0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x82, 0x9a, 0xd4, 0xd5, 0xd6, 0xea};
    for (u64 i = 0; i < ARRAY_SIZE(opcodes); i++) {
        memset(scratch, 0, 16);
        scratch[0] = opcodes[i];
        scratch[15] = 0xc3;
        TRY("call *%0", : : "r"(scratch) : "rax", "memory");
        EXPECT_FAULT(UD, 0);
        EXPECT_EQ(fault.rip, scratch);
    }
}
TEST_QEMU_FAILS(ud, lock_on_what_cannot_be_locked, "QEMU 7.2 accepts LOCK on MOV and CMP (APM 3 §1.2.5)")
{
    TRY(".byte 0xf0; mov %%eax, (%0)", : : "r"(scratch) : "memory");
    EXPECT_FAULT(UD, 0);
    TRY(".byte 0xf0; add %%eax, %%ecx", : : : "rcx");
    EXPECT_FAULT(UD, 0);
    TRY(".byte 0xf0; cmp %%eax, (%0)", : : "r"(scratch) : "memory");
    EXPECT_FAULT(UD, 0);
    TRY(".byte 0xf0; add (%0), %%eax", : : "r"(scratch) : "rax", "memory");
    EXPECT_FAULT(UD, 0);
}
TEST(ud, lock_where_it_is_allowed)
{
    scratch[0] = 1;
    TRY("lock addb $2, (%0); lock btsl $3, (%0); lock xchgb %%al, (%0)", : : "r"(scratch) : "rax", "memory");
    EXPECT_NO_FAULT();
}
TEST(ud, mov_to_cs)
{
    TRY(".byte 0x8e, 0xc8", : : "a"(CODE64));
    EXPECT_FAULT(UD, 0);
}
TEST(ud, control_registers_that_do_not_exist)
{
    TRY(".byte 0x0f, 0x20, 0xc8", : : : "rax"); /* mov rax, cr1 */
    EXPECT_FAULT(UD, 0);
    TRY(".byte 0x0f, 0x20, 0xe8", : : : "rax"); /* cr5 */
    EXPECT_FAULT(UD, 0);
    TRY(".byte 0x44, 0x0f, 0x20, 0xc8", : : : "rax"); /* cr9 */
    EXPECT_FAULT(UD, 0);
}
TEST(ud, lea_with_a_register)
{
    TRY(".byte 0x8d, 0xc0", :);
    EXPECT_FAULT(UD, 0);
}
TEST(gp, instruction_longer_than_15_bytes)
{
    memset(scratch, 0x66, 15);
    scratch[15] = 0x90;
    TRY("call *%0", : : "r"(scratch) : "memory");
    EXPECT_FAULT(GP, 0);
}
TEST(gp, fifteen_bytes_are_allowed)
{
    memset(scratch, 0x66, 14);
    scratch[14] = 0x90;
    scratch[15] = 0xc3;
    TRY("call *%0", : : "r"(scratch) : "memory");
    EXPECT_NO_FAULT();
}
TEST(nm, x87_with_task_switched)
{
    write_cr0(read_cr0() | CR0_TS);
    TRY("fninit", :);
    EXPECT_FAULT(NM, 0);
    __asm__ volatile("clts");
    EXPECT(!(read_cr0() & CR0_TS));
    TRY("fninit", :);
    EXPECT_NO_FAULT();
}
TEST(nm, x87_with_emulation)
{
    write_cr0(read_cr0() | CR0_EM);
    TRY("fninit", :);
    EXPECT_FAULT(NM, 0);
}
TEST(nm, wait_needs_both_ts_and_mp)
{
    write_cr0((read_cr0() | CR0_TS) & ~CR0_MP);
    TRY("fwait", :);
    EXPECT_NO_FAULT();
    write_cr0(read_cr0() | CR0_TS | CR0_MP);
    TRY("fwait", :);
    EXPECT_FAULT(NM, 0);
}
TEST(nm, sse_with_task_switched)
{
    write_cr0(read_cr0() | CR0_TS);
    TRY("xorps %%xmm0, %%xmm0", :);
    EXPECT_FAULT(NM, 0);
}
TEST(ud, sse_with_emulation)
{
    write_cr0(read_cr0() | CR0_EM);
    TRY("xorps %%xmm0, %%xmm0", :);
    EXPECT_FAULT(UD, 0);
}
TEST(ud, sse_without_osfxsr)
{
    write_cr4(read_cr4() & ~CR4_OSFXSR);
    TRY("xorps %%xmm0, %%xmm0", :);
    EXPECT_FAULT(UD, 0);
}
TEST(mf, unmasked_x87_exception_waits_for_the_next_instruction)
{
    u16 control = 0x037b; /* zero divide unmasked */
    __asm__ volatile("fninit; fldcw %0" ::"m"(control));
    TRY("fld1; fldz; fdivrp; nop", :); /* raises it, does not report it */
    EXPECT_NO_FAULT();
    TRY("fwait", :);
    EXPECT_FAULT(MF, 0);
    TRY("fnclex; fwait", :);
    EXPECT_NO_FAULT();
    __asm__ volatile("fninit");
}
TEST(mf, masked_exception_is_silent)
{
    u16 status;
    TRY("fninit; fld1; fldz; fdivrp; fwait", :);
    EXPECT_NO_FAULT();
    __asm__ volatile("fnstsw %0; fninit" : "=a"(status));
    EXPECT(status & 4);
}
TEST_QEMU_FAILS(xm, unmasked_divide_by_zero, "QEMU never reports SIMD floating-point exceptions (APM 2 §8.2.20)")
{
    u32 mxcsr = 0x1f80 & ~0x200;
    static const float one = 1, zero = 0;
    __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
    TRY("movss %0, %%xmm0; divss %1, %%xmm0", : : "m"(one), "m"(zero));
    EXPECT_FAULT(XM, 0);
    mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
}
TEST_QEMU_FAILS(xm, is_ud_without_osxmmexcpt, "QEMU never reports SIMD floating-point exceptions (APM 2 §8.2.20)")
{
    u32 mxcsr = 0x1f80 & ~0x200;
    static const float one = 1, zero = 0;
    write_cr4(read_cr4() & ~CR4_OSXMMEXCPT);
    __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
    TRY("movss %0, %%xmm0; divss %1, %%xmm0", : : "m"(one), "m"(zero));
    EXPECT_FAULT(UD, 0);
    mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
}
TEST_QEMU_FAILS(gp, reserved_bits_of_mxcsr, "QEMU ignores them (APM 3, LDMXCSR)")
{
    u32 mxcsr = 0x10000;
    TRY("ldmxcsr %0", : : "m"(mxcsr));
    EXPECT_FAULT(GP, 0);
}
TEST(gp, misaligned_movaps)
{
    TRY("movaps 1(%0), %%xmm0", : : "r"(scratch));
    EXPECT_FAULT(GP, 0);
}
TEST(gp, non_canonical_data)
{
    TRY("mov (%0), %%al", : : "r"(0x800000000000) : "rax");
    EXPECT_FAULT(GP, 0);
    TRY("mov %%al, (%0)", : : "r"(0xffff7fffffffffff));
    EXPECT_FAULT(GP, 0);
}
TEST_QEMU_FAILS(ss, non_canonical_stack, "QEMU reports #GP (APM 2 §8.2.13)")
{
    extern u8 interrupt_stubs[];
    set_gate(SS, interrupt_stubs + SS * 16, GATE_INTERRUPT, 0, 1, true); /* on a stack of its own: #DF otherwise */
    TRY("mov %0, %%rsp; push %%rax", : : "r"(0x800000001000));
    EXPECT_FAULT(SS, 0);
    TRY_THEN("mov %%rbp, %%r15; mov %0, %%rbp; mov (%%rbp), %%eax", "mov %%r15, %%rbp", : : "r"(0x800000000000) : "rax", "r15");
    EXPECT_FAULT(SS, 0);
}
TEST(gp, non_canonical_jump)
{
    TRY("jmp *%0", : : "r"(0x800000000000));
    EXPECT_FAULT(GP, 0);
}
TEST_QEMU_FAILS(gp, interrupt_beyond_the_idt, IDT_ERROR_CODE)
{
    load_idt(0x80 * 16 - 1);
    TRY("int $0x80", :);
    EXPECT_FAULT(GP, 0x80 * 8 + 2);
}
TEST_QEMU_FAILS(np, interrupt_through_an_absent_gate, IDT_ERROR_CODE)
{
    set_gate(0x80, 0, GATE_INTERRUPT, 0, 0, false);
    TRY("int $0x80", :);
    EXPECT_FAULT(NP, 0x80 * 8 + 2);
}
TEST_QEMU_FAILS(gp, interrupt_through_something_that_is_no_gate, IDT_ERROR_CODE)
{
    set_gate(0x80, 0, 0xc, 0, 0, true);
    TRY("int $0x80", :);
    EXPECT_FAULT(GP, 0x80 * 8 + 2);
}
TEST_QEMU_FAILS(np, exception_through_an_absent_gate_leaves_ext_clear, IDT_ERROR_CODE)
{
    set_gate(UD, 0, GATE_INTERRUPT, 0, 0, false);
    TRY("ud2", :);
    EXPECT_FAULT(NP, UD * 8 + 2);
}
TEST(gp, gate_with_a_null_selector)
{
    idt[2 * 0x80] &= ~0xffff0000ull;
    TRY("int $0x80", :);
    EXPECT_FAULT(GP, 0);
}
TEST(gp, gate_to_a_data_segment)
{
    idt[2 * 0x80] = (idt[2 * 0x80] & ~0xffff0000ull) | DATA << 16;
    TRY("int $0x80", :);
    EXPECT_FAULT(GP, DATA);
}
TEST(gp, gate_to_32_bit_code)
{
    idt[2 * 0x80] = (idt[2 * 0x80] & ~0xffff0000ull) | 0x38 << 16;
    TRY("int $0x80", :);
    EXPECT_FAULT(GP, 0x38);
}
TEST(df, contributory_after_contributory)
{
    set_gate(DE, 0, GATE_INTERRUPT, 0, 0, false);
    TRY("div %b0", : : "c"(0) : "rax");
    EXPECT_FAULT(DF, 0);
}
TEST(df, page_fault_after_page_fault)
{
    set_gate(PF, (void *)0x7ff0000000, GATE_INTERRUPT, 0, 0, false); /* #NP when delivering #PF: #DF */
    TRY("mov (%0), %%al", : : "r"(0x7ff0000000) : "rax");
    EXPECT_FAULT(DF, 0);
}
TEST_QEMU_FAILS(df, benign_first_exception_gives_no_double_fault, IDT_ERROR_CODE)
{
    set_gate(BP, 0, GATE_INTERRUPT, 0, 0, false);
    TRY("int3", :);
    EXPECT_FAULT(NP, BP * 8 + 2);
}
TEST(gp, software_interrupt_of_a_fault_vector_pushes_no_error_code)
{
    /* INT 13 pushes no error code, so the stub for #GP would misread its frame: a handler of vector 3's shape takes it. */
    extern u8 interrupt_stubs[];
    set_gate(GP, interrupt_stubs + BP * 16, GATE_INTERRUPT, 0, 0, true);
    TRY("int $13", :);
    EXPECT_FAULT(BP, 0);
    EXPECT_EQ(fault.cs, CODE64);
}
