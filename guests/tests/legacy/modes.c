/* Real mode and virtual-8086 mode (APM volume 2, §1.3, §10.4, §12.3 and chapter 8). */
#include "frame.h"

extern u8 code16_start[];
#define ROUTINE(name) extern const u8 name[]
ROUTINE(real_status); ROUTINE(real_interrupt); ROUTINE(real_divide); ROUTINE(real_limit); ROUTINE(real_limit_32); ROUTINE(real_stack_limit);
ROUTINE(real_push_at_zero); ROUTINE(real_unreal); ROUTINE(real_widths); ROUTINE(real_segments);
ROUTINE(v86_int); ROUTINE(v86_int3); ROUTINE(v86_cli); ROUTINE(v86_sti); ROUTINE(v86_pushf); ROUTINE(v86_popf); ROUTINE(v86_iret); ROUTINE(v86_hlt);
ROUTINE(v86_in); ROUTINE(v86_out); ROUTINE(v86_lar); ROUTINE(v86_mov_cr); ROUTINE(v86_lgdt); ROUTINE(v86_segments); ROUTINE(v86_limit); ROUTINE(v86_iopl3);
#define LIMITS "QEMU TCG checks no segment limits (APM 2 §4.12)"

TEST(real, there_and_back)
{
    in_real_mode(real_status);
    EXPECT_EQ(RESULTS[0] & 1, 0);
    EXPECT_EQ(RESULTS[1], 0x2000);
    EXPECT_EQ(RESULTS[2], 0xe000 - 2);
}
TEST(real, interrupt_through_the_vector_table)
{
    in_real_mode(real_interrupt);
    EXPECT_EQ(RESULTS[3], RESULTS[0] - 6);
    EXPECT_EQ(RESULTS[4] & FLAG_IF, 0);
    EXPECT_EQ(RESULTS[5] & (FLAG_IF | FLAG_CF), FLAG_IF | FLAG_CF);
    EXPECT_EQ(RESULTS[1] & (FLAG_IF | FLAG_CF), FLAG_IF | FLAG_CF);
    EXPECT_EQ(RESULTS[2], RESULTS[0]);
}
TEST(real, divide_error)
{
    in_real_mode(real_divide);
    EXPECT_EQ(RESULTS[0], RESULTS[1]);
    EXPECT(RESULTS[0]);
}
TEST_QEMU_FAILS(real, word_at_the_end_of_the_segment, LIMITS)
{
    in_real_mode(real_limit);
    EXPECT_EQ(RESULTS[2], 13);
    EXPECT_EQ(RESULTS[0], RESULTS[1]);
}
TEST_QEMU_FAILS(real, address_beyond_the_segment, LIMITS)
{
    in_real_mode(real_limit_32);
    EXPECT_EQ(RESULTS[2], 13);
    EXPECT_EQ(RESULTS[0], RESULTS[1]);
}
TEST_QEMU_FAILS(real, stack_access_beyond_the_segment, LIMITS)
{
    in_real_mode(real_stack_limit);
    EXPECT_EQ(RESULTS[2], 12);
}
TEST(real, push_wraps)
{
    in_real_mode(real_push_at_zero);
    EXPECT_EQ(RESULTS[0], 0xfffe);
    EXPECT_EQ(RESULTS[1], 0x5aa5);
}
TEST(real, limits_survive_from_protected_mode)
{
    *(volatile u32 *)0x180000 = 0xfeedface;
    in_real_mode(real_unreal);
    EXPECT_EQ(*(volatile u32 *)RESULTS, 0xfeedface);
    EXPECT_EQ(*(volatile u32 *)(RESULTS + 2), 0xfeedface);
}
TEST(real, operands_of_32_bits)
{
    in_real_mode(real_widths);
    EXPECT_EQ(RESULTS[0], 0x5678);
    EXPECT_EQ(RESULTS[1], 0x1234);
    EXPECT_EQ(*(volatile u32 *)(RESULTS + 2), 0x56780000);
}
TEST(real, segment_is_sixteen_times_the_selector)
{
    in_real_mode(real_segments);
    EXPECT_EQ(RESULTS[0] & 0xff, *(volatile u8 *)0x100000);
    EXPECT_EQ(RESULTS[1], 0x1234);
}

/* --- virtual-8086 mode ------------------------------------------------------------------------------------------------------------- */
#define IOPL3 0x3000u
static u32 offset_of(const u8 *routine) { return (u32)routine - (u32)code16_start; }
#define REFUSED(routine)                                  \
    do {                                                  \
        in_v86(routine, 0);                               \
        EXPECT_FAULT(GP, 0);                              \
        EXPECT_EQ(fault.frame.eip, offset_of(routine));   \
        EXPECT_EQ(fault.frame.cs, 0x2000);                \
        EXPECT_EQ(fault.frame.eflags & FLAG_VM, FLAG_VM); \
    } while (0)

TEST(v86, int_needs_iopl_3) { REFUSED(v86_int); }
TEST(v86, cli_needs_iopl_3) { REFUSED(v86_cli); }
TEST(v86, sti_needs_iopl_3) { REFUSED(v86_sti); }
TEST(v86, pushf_needs_iopl_3) { REFUSED(v86_pushf); }
TEST(v86, popf_needs_iopl_3) { REFUSED(v86_popf); }
TEST(v86, iret_needs_iopl_3) { REFUSED(v86_iret); }
TEST(v86, hlt_is_refused) { REFUSED(v86_hlt); }
TEST(v86, control_registers_are_refused) { REFUSED(v86_mov_cr); }
TEST(v86, lgdt_is_refused) { REFUSED(v86_lgdt); }
TEST(v86, port_not_permitted) { REFUSED(v86_in); }
TEST(v86, port_not_permitted_even_with_iopl_3)
{
    in_v86(v86_in, IOPL3);
    EXPECT_FAULT(GP, 0);
    EXPECT_EQ(fault.frame.eip, offset_of(v86_in));
}
TEST(v86, port_permitted_by_the_bitmap)
{
    tss.io[0x84 / 8] = (u8)~(1 << 4);
    in_v86(v86_out, 0);
    EXPECT_FAULT(UD, 0);
    EXPECT_EQ(fault.frame.eip, offset_of(v86_out) + 2);
}
TEST(v86, protected_mode_instructions_are_undefined)
{
    in_v86(v86_lar, 0);
    EXPECT_FAULT(UD, 0);
    EXPECT_EQ(fault.frame.eip, offset_of(v86_lar));
}
TEST(v86, int_with_iopl_3_goes_through_the_idt)
{
    set_gate(0x60, CODE, STUB(UD), 0xe, 3, true); /* ends the excursion as if it were #UD */
    in_v86(v86_int, IOPL3);
    EXPECT_FAULT(UD, 0);
    EXPECT_EQ(fault.frame.eip, offset_of(v86_int) + 2);
    EXPECT_EQ(fault.frame.eflags & (FLAG_VM | IOPL3), FLAG_VM | IOPL3);
}
TEST(v86, int_obeys_the_dpl_of_the_gate)
{
    in_v86(v86_int, IOPL3);
    EXPECT_FAULT(GP, 0x60 * 8 + 2);
}
TEST(v86, int3_needs_no_iopl)
{
    set_gate(BP, CODE, STUB(BP), 0xe, 3, true);
    in_v86(v86_int3, 0);
    EXPECT_FAULT(BP, 0);
    EXPECT_EQ(fault.frame.eip, offset_of(v86_int3) + 1);
}
TEST(v86, interrupt_saves_and_clears_the_data_segments)
{
    in_v86(v86_segments, 0);
    EXPECT_FAULT(UD, 0);
    EXPECT_EQ(fault.frame.v86_es, 0x2010);
    EXPECT_EQ(fault.frame.v86_ds, 0x2000);
    EXPECT_EQ(fault.frame.v86_fs, 0x1234);
    EXPECT_EQ(fault.frame.v86_gs, 0x5678);
    EXPECT_EQ(fault.frame.ss, 0x2000);
    EXPECT_EQ(fault.frame.esp, 0xe000);
    EXPECT_EQ(fault.frame.fs, 0); /* as the handler found them */
    EXPECT_EQ(fault.frame.gs, 0);
    EXPECT_EQ(fault.frame.edx & 0xffff, 0x2000);
}
TEST(v86, segment_is_sixteen_times_the_selector)
{
    *(volatile u8 *)RESULTS = 0x9d;
    in_v86(v86_segments, 0);
    EXPECT_EQ(fault.frame.ecx & 0xff, 0x9d);
}
TEST_QEMU_FAILS(v86, segments_end_at_64_kib, LIMITS)
{
    in_v86(v86_limit, 0);
    EXPECT_FAULT(GP, 0);
}
TEST(v86, flags_work_with_iopl_3)
{
    in_v86(v86_iopl3, IOPL3 | FLAG_IF);
    EXPECT_FAULT(UD, 0);
    EXPECT_EQ(fault.frame.ecx & FLAG_IF, 0);
    EXPECT_EQ(fault.frame.eflags & IOPL3, IOPL3);
    EXPECT_EQ(fault.frame.esp, 0xe000);
}
TEST(v86, interrupt_gate_must_lead_to_ring_0)
{
    set_gate(0x60, USER_CODE | 3, STUB(UD), 0xe, 3, true);
    in_v86(v86_int, IOPL3);
    EXPECT_FAULT(GP, USER_CODE);
}
